//! Echoes its arguments, joined by spaces. Sends structs by field name.
//!
//! A message of any length is sent whole: its size is counted first, then a
//! buffer of that size is filled.

const std = @import("std");
const msgpack = @import("msgpack.zig");

const allocator = std.heap.wasm_allocator;

/// The allocator rounds up to a power of two and cannot give more than this.
const max_buffer = (1 << 30) - 2 * std.wasm.page_size;

const failure = 1;

const ArgSpec = struct {
    name: []const u8,
    long: ?[]const u8 = null,
    short: ?[]const u8 = null,
    required: bool = false,
    help: []const u8,
    value_name: ?[]const u8 = null,
    default_value: ?[]const u8 = null,
    possible_values: ?[]const []const u8 = null,
};

const CommandSpec = struct {
    name: []const u8,
    about: []const u8,
    version: ?[]const u8 = null,
    author: ?[]const u8 = null,
    args: []const ArgSpec = &.{},
    subcommands: []const CommandSpec = &.{},
};

const PluginManifest = struct { api_version: u7 = 2, command: CommandSpec };

const ExecuteResult = union(enum) {
    Success: []const u8,
    Error: struct { code: u7, message: []const u8 },
};

const greeting = "Hello from Zig!";

const manifest = msgpack.encoded(PluginManifest{ .command = .{
    .name = "echo",
    .about = "Echoes arguments back (written in Zig)",
    .version = "1.0.0",
    .args = &.{.{ .name = "message", .help = "Message to echo", .default_value = greeting }},
} });

const no_room = msgpack.encoded(failed("out of memory"));
const cut_short = msgpack.encoded(failed("cannot decode the arguments: the message is cut short"));
const wrong_type = msgpack.encoded(failed("cannot decode the arguments: expected an array of strings"));
const invalid_utf8 = msgpack.encoded(failed("cannot decode the arguments: invalid UTF-8"));

fn failed(message: []const u8) ExecuteResult {
    return .{ .Error = .{ .code = failure, .message = message } };
}

/// The address in the upper half, the length in the lower one.
fn pack(message: []const u8) u64 {
    return @as(u64, @intFromPtr(message.ptr)) << 32 | message.len;
}

/// A buffer of `len` bytes, or null if there is no room.
fn allocate(len: usize) ?[]u8 {
    if (len > max_buffer) return null;
    // An empty buffer takes a byte, so that its address is real.
    return allocator.alloc(u8, @max(len, 1)) catch null;
}

/// Hand a message that is part of the plugin to the host. The host frees what it
/// gets, so this is a copy.
fn sendConstant(message: []const u8) u64 {
    // Without room for a copy the constant itself goes out: plugin_dealloc knows it.
    const copy = allocate(message.len) orelse return pack(no_room);
    @memcpy(copy, message);
    return pack(copy);
}

export fn plugin_alloc(len: u32) ?[*]u8 {
    return (allocate(len) orelse return null).ptr;
}

export fn plugin_dealloc(ptr: ?[*]u8, len: u32) void {
    const data = ptr orelse return;
    if (data == no_room.ptr) return;
    allocator.free(data[0..@max(len, 1)]);
}

export fn plugin_manifest() u64 {
    return sendConstant(manifest);
}

export fn plugin_execute(ptr: ?[*]const u8, len: u32) u64 {
    const message = if (ptr) |data| data[0..len] else "";
    const args = msgpack.Strings.open(message) catch |fault| return sendConstant(switch (fault) {
        error.CutShort => cut_short,
        error.WrongType => wrong_type,
        error.InvalidUtf8 => invalid_utf8,
    });
    var count = msgpack.Writer{};
    writeEcho(&count, args);
    const buffer = allocate(count.len) orelse return pack(no_room);
    var writer = msgpack.Writer{ .buffer = buffer };
    writeEcho(&writer, args);
    return pack(buffer);
}

/// `{"Success": "Echo: one two"}`, or the greeting if there is nothing to echo.
fn writeEcho(writer: *msgpack.Writer, args: msgpack.Strings) void {
    if (args.left == 0) return writer.write(ExecuteResult{ .Success = greeting });
    const prefix = "Echo: ";
    var text_len = prefix.len + args.left - 1;
    var texts = args;
    while (texts.next() catch unreachable) |text| text_len += text.len;

    writer.raw("\x81\xa7Success");
    writer.strHeader(text_len);
    writer.raw(prefix);
    texts = args;
    while (texts.next() catch unreachable) |text| {
        writer.raw(text);
        if (texts.left > 0) writer.raw(" ");
    }
}
