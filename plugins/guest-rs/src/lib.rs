//! What the Rust plugins in this repository share: the messages of plugin ABI
//! version 2 and the functions that a host calls.
//!
//! A plugin is a constant [`PluginManifest`], a function from arguments to an
//! [`ExecuteResult`] and, if it yields effects, a function that takes their
//! results. [`export_plugin!`] turns these into exports.

pub mod abi;
mod messages;

pub use messages::{
    ArgSpec, Capabilities, CommandSpec, Effect, EffectResult, ExecuteResult, HttpResponse,
    NetPattern, PluginManifest, Protocol, API_VERSION,
};

/// Exit code of a run that was asked for properly and failed.
pub const FAILURE: u8 = 1;
/// Exit code of a run that was not asked for properly.
pub const USAGE: u8 = 2;

/// The `resume` of a plugin that never yields an effect.
pub fn no_effects(effect_id: u32, _message: &[u8]) -> ExecuteResult {
    ExecuteResult::error(FAILURE, format!("effect {effect_id} is not pending"))
}

/// Export a plugin to its host.
///
/// `form` is a variant of [`abi::Form`]: how structs are sent. `execute` is a
/// `fn(&[&str]) -> ExecuteResult`; `resume`, which may be left out, a
/// `fn(u32, &[u8]) -> ExecuteResult` that gets the id of an effect and an
/// encoded [`EffectResult`].
#[macro_export]
macro_rules! export_plugin {
    (form: $form:ident, manifest: $manifest:expr, execute: $execute:path
     $(, resume: $resume:path)? $(,)?) => {
        const FORM: $crate::abi::Form = $crate::abi::Form::$form;

        #[no_mangle]
        pub extern "C" fn plugin_alloc(len: u32) -> u32 {
            $crate::abi::alloc(len)
        }

        /// # Safety
        /// `ptr` and `len` are those of a buffer that this plugin gave out.
        #[no_mangle]
        pub unsafe extern "C" fn plugin_dealloc(ptr: u32, len: u32) {
            $crate::abi::dealloc(ptr, len)
        }

        #[no_mangle]
        pub extern "C" fn plugin_manifest() -> u64 {
            $crate::abi::send(&$manifest, FORM)
        }

        /// # Safety
        /// `ptr` and `len` are those of initialised memory that nobody writes to.
        #[no_mangle]
        pub unsafe extern "C" fn plugin_execute(ptr: u32, len: u32) -> u64 {
            $crate::abi::execute($crate::abi::received(ptr, len), FORM, $execute)
        }

        $(
            /// # Safety
            /// As for `plugin_execute`.
            #[no_mangle]
            pub unsafe extern "C" fn plugin_resume(effect_id: u32, ptr: u32, len: u32) -> u64 {
                $crate::abi::send(&$resume(effect_id, $crate::abi::received(ptr, len)), FORM)
            }
        )?
    };
}
