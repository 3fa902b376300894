//! The plugin of echo.zig behind the entry of an Extism plugin: `run` takes the same message
//! and gives the same answer. Input and output pass through Extism's own memory by
//! eight bytes at a time, as its libraries for plugins do it.

const std = @import("std");

comptime {
    _ = @import("echo.zig");
}

extern fn plugin_alloc(len: u32) ?[*]u8;
extern fn plugin_dealloc(ptr: [*]u8, len: u32) void;
extern fn plugin_execute(ptr: [*]const u8, len: u32) u64;

extern "extism:host/env" fn input_length() u64;
extern "extism:host/env" fn input_load_u8(offset: u64) u32;
extern "extism:host/env" fn input_load_u64(offset: u64) u64;
extern "extism:host/env" fn alloc(length: u64) u64;
extern "extism:host/env" fn store_u8(offset: u64, value: u32) void;
extern "extism:host/env" fn store_u64(offset: u64, value: u64) void;
extern "extism:host/env" fn output_set(offset: u64, length: u64) void;

const word = @sizeOf(u64);

export fn run() i32 {
    const len: u32 = @intCast(input_length());
    const input = plugin_alloc(len) orelse return 1;
    load(input[0..len]);
    const answer = plugin_execute(input, len);
    plugin_dealloc(input, len);
    const pointer: usize = @intCast(answer >> 32);
    const output = @as([*]u8, @ptrFromInt(pointer))[0..@as(u32, @truncate(answer))];
    const offset = alloc(output.len);
    store(offset, output);
    output_set(offset, output.len);
    plugin_dealloc(output.ptr, output.len);
    return 0;
}

fn load(data: []u8) void {
    const whole = data.len / word * word;
    var at: usize = 0;
    while (at < whole) : (at += word) {
        std.mem.writeInt(u64, data[at..][0..word], input_load_u64(at), .little);
    }
    while (at < data.len) : (at += 1) data[at] = @truncate(input_load_u8(at));
}

fn store(offset: u64, data: []const u8) void {
    const whole = data.len / word * word;
    var at: usize = 0;
    while (at < whole) : (at += word) {
        store_u64(offset + at, std.mem.readInt(u64, data[at..][0..word], .little));
    }
    while (at < data.len) : (at += 1) store_u8(offset + at, data[at]);
}
