//! A plugin that gives back its one argument, and does nothing else: what a call of it
//! takes is the cost of calling.

const std = @import("std");

const allocator = std.heap.wasm_allocator;

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
    const buffer = allocator.alloc(u8, first.len + second.len) catch return 0;
    @memcpy(buffer[0..first.len], first);
    @memcpy(buffer[first.len..], second);
    return @as(u64, @intFromPtr(buffer.ptr)) << 32 | buffer.len;
}

export fn plugin_alloc(len: u32) ?[*]u8 {
    return (allocator.alloc(u8, len) catch return null).ptr;
}

export fn plugin_dealloc(ptr: [*]u8, len: u32) void {
    allocator.free(ptr[0..len]);
}

export fn plugin_manifest() u64 {
    return send(manifest, "");
}

export fn plugin_execute(ptr: [*]const u8, len: u32) u64 {
    if (len == 0 or ptr[0] != one_argument) return send(refusal, "");
    return send(success, ptr[1..len]);
}
