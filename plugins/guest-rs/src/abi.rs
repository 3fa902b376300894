//! The memory that guest and host hand to each other, and the calls themselves.

use std::alloc::Layout;

use serde::Serialize;

use crate::messages::ExecuteResult;
use crate::FAILURE;

/// How structs are sent: both forms are legal, and a host reads either.
#[derive(Clone, Copy)]
pub enum Form {
    /// By position.
    Array,
    /// By field name.
    Map,
}

/// The layout of a buffer of `len` bytes. An empty one takes a byte, so that
/// its address is real.
fn layout(len: u32) -> Option<Layout> {
    Layout::from_size_align(len.max(1) as usize, 1)
        .ok()
        .filter(|layout| layout.size() <= isize::MAX as usize)
}

/// A buffer of `len` bytes for the host to write to, or 0 if there is no room.
pub fn alloc(len: u32) -> u32 {
    match layout(len) {
        // SAFETY: the size is not zero.
        Some(layout) => unsafe { std::alloc::alloc(layout) as u32 },
        None => 0,
    }
}

/// Free a buffer of [`alloc`] or a message of [`send`].
///
/// # Safety
/// `ptr` and `len` are those of such a buffer, and it is freed once.
pub unsafe fn dealloc(ptr: u32, len: u32) {
    if let Some(layout) = layout(len).filter(|_| ptr != 0) {
        std::alloc::dealloc(ptr as *mut u8, layout);
    }
}

/// The bytes that the host wrote.
///
/// # Safety
/// `ptr` and `len` describe initialised memory that lives and stays unchanged
/// for `'a`.
pub unsafe fn received<'a>(ptr: u32, len: u32) -> &'a [u8] {
    if ptr == 0 || len > isize::MAX as u32 {
        return &[];
    }
    std::slice::from_raw_parts(ptr as *const u8, len as usize)
}

/// Encode a message and hand it to the host: the address in the upper half of
/// the returned word, the length in the lower one. The host frees it.
pub fn send<T: Serialize>(message: &T, form: Form) -> u64 {
    let encoded = match form {
        Form::Array => rmp_serde::to_vec(message),
        Form::Map => rmp_serde::to_vec_named(message),
    };
    // Our own types into a vector: encoding cannot fail, only run out of memory.
    let bytes = encoded.unwrap_or_else(|_| std::process::abort()).into_boxed_slice();
    let len = bytes.len() as u64;
    let ptr = Box::into_raw(bytes) as *mut u8 as u32;
    u64::from(ptr) << 32 | len
}

/// Decode the arguments, run the plugin, send its result.
pub fn execute(message: &[u8], form: Form, run: fn(&[&str]) -> ExecuteResult) -> u64 {
    let result = match rmp_serde::from_slice::<Vec<&str>>(message) {
        Ok(args) => run(&args),
        Err(fault) => {
            ExecuteResult::error(FAILURE, format!("cannot decode the arguments: {fault}"))
        }
    };
    send(&result, form)
}
