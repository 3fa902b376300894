//! A plugin that gives back its one argument, and does nothing else: what a call of it
//! takes is the cost of calling.

const std = @import("std");

/// Where the next buffer lies. As the buffers of a call are all freed at its end, there is
/// no more to an allocator here than to begin again when none is in use.
var next: usize = 0;
var in_use: u32 = 0;

/// Between buffers, so that copying from one to the next does not read, 4 KiB further, what
/// was just written: processors wait there, and this is not what is to be measured.
const gap = 2048;

extern const __heap_base: u8;

fn allocate(len: usize) ?[*]u8 {
    if (in_use == 0) next = @intFromPtr(&__heap_base);
    const end = std.math.add(usize, next, len) catch return null;
    const present = @wasmMemorySize(0) * std.wasm.page_size;
    if (end > present) {
        const pages = (end - present + std.wasm.page_size - 1) / std.wasm.page_size;
        if (@wasmMemoryGrow(0, pages) < 0) return null;
    }
    const pointer: [*]u8 = @ptrFromInt(next);
    next = std.mem.alignForward(usize, end, 16) + gap;
    in_use += 1;
    return pointer;
}

const manifest =
    "\x82" ++ "\xabapi_version" ++ "\x02" ++ "\xa7command" ++
    "\x86" ++ "\xa4name" ++ "\xa4echo" ++ "\xa5about" ++ "\xb3Echoes one argument" ++
    "\xa7version" ++ "\xa51.0.0" ++ "\xa6author" ++ "\xc0" ++ "\xa4args" ++ "\x90" ++
    "\xabsubcommands" ++ "\x90";

const one_argument = 0x91;
const success = "\x81" ++ "\xa7Success";
const refusal = "\x81" ++ "\xa5Error" ++ "\x82" ++ "\xa4code" ++ "\x01" ++
    "\xa7message" ++ "\xb5one argument expected";

/// A message of two parts: its address in the upper half, its length in the lower one.
fn send(first: []const u8, second: []const u8) u64 {
    const len = first.len + second.len;
    const buffer = allocate(len) orelse return 0;
    @memcpy(buffer[0..first.len], first);
    @memcpy(buffer[first.len..len], second);
    return @as(u64, @intFromPtr(buffer)) << 32 | len;
}

export fn plugin_alloc(len: u32) ?[*]u8 {
    return allocate(len);
}

export fn plugin_dealloc(_: [*]u8, _: u32) void {
    in_use -= 1;
}

export fn plugin_manifest() u64 {
    return send(manifest, "");
}

export fn plugin_execute(ptr: [*]const u8, len: u32) u64 {
    if (len == 0 or ptr[0] != one_argument) return send(refusal, "");
    return send(success, ptr[1..len]);
}
