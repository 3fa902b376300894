//! Does what its arguments say with the files, variables, clocks and streams that the
//! host grants, and reports what came of each: one argument is one step, such as
//! `write out/note some text`. It uses Zig's standard library without a libc, whose
//! system here is WASI preview 1.

const std = @import("std");
const msgpack = @import("msgpack");

const allocator = std.heap.wasm_allocator;

/// The longest file that is read.
const max_read = 1 << 20;

/// The allocator rounds up to a power of two and cannot give more than this.
const max_buffer = (1 << 30) - 2 * std.wasm.page_size;

const PathPattern = struct { pattern: []const u8, recursive: bool };
const ArgSpec = struct { name: []const u8, help: []const u8 };

const manifest = msgpack.encoded(.{
    .api_version = @as(u7, 2),
    .command = .{
        .name = @as([]const u8, "probe"),
        .about = @as([]const u8, "Reports what files, variables, clocks and streams it can use"),
        .version = @as(?[]const u8, "1.0.0"),
        .args = @as([]const ArgSpec, &.{.{
            .name = "step",
            .help = "What to do, such as \"read data/note\"; any number of them",
        }}),
    },
    .capabilities = .{
        .fs_read = @as([]const PathPattern, &.{.{ .pattern = "data", .recursive = true }}),
        .fs_write = @as([]const PathPattern, &.{.{ .pattern = "out", .recursive = true }}),
        .env_read = @as([]const []const u8, &.{"PROBE_*"}),
        .stdio = .{ .stdin = true, .stdout = true, .stderr = true },
    },
});

export fn plugin_alloc(len: u32) ?[*]u8 {
    if (len > max_buffer) return null;
    return (allocator.alloc(u8, @max(len, 1)) catch return null).ptr;
}

export fn plugin_dealloc(ptr: ?[*]u8, len: u32) void {
    const data = ptr orelse return;
    allocator.free(data[0..@max(len, 1)]);
}

export fn plugin_manifest() u64 {
    return pack(allocator.dupe(u8, manifest) catch @panic("out of memory"));
}

export fn plugin_execute(ptr: ?[*]const u8, len: u32) u64 {
    const message = if (ptr) |data| data[0..len] else "";
    return pack(execute(message) catch @panic("out of memory"));
}

/// The address in the upper half, the length in the lower one. The host frees it.
fn pack(message: []const u8) u64 {
    return @as(u64, @intFromPtr(message.ptr)) << 32 | message.len;
}

fn execute(message: []const u8) ![]const u8 {
    var args = msgpack.Strings.open(message) catch |fault| return failed(1, switch (fault) {
        error.CutShort => "cannot decode the arguments: the message is cut short",
        error.WrongType => "cannot decode the arguments: expected an array of strings",
        error.InvalidUtf8 => "cannot decode the arguments: invalid UTF-8",
    });
    var arena = std.heap.ArenaAllocator.init(allocator);
    defer arena.deinit();
    var report = std.Io.Writer.Allocating.init(arena.allocator());
    const writer = &report.writer;
    while (args.next() catch unreachable) |step| {
        if (writer.end > 0) try writer.writeByte('\n');
        try writer.print("{s}: ", .{step});
        run(step, arena.allocator(), writer) catch |fault| switch (fault) {
            error.OutOfMemory => return error.OutOfMemory,
            error.UnknownStep => {
                const text = "unknown step: {s}";
                return failed(2, try std.fmt.allocPrint(arena.allocator(), text, .{step}));
            },
            else => try writer.print("failed: {s}", .{@errorName(fault)}),
        };
    }
    return encode(struct { Success: []const u8 }{ .Success = report.written() });
}

fn failed(code: u7, text: []const u8) ![]const u8 {
    const Failure = struct { code: u7, message: []const u8 };
    return encode(struct { Error: Failure }{ .Error = .{ .code = code, .message = text } });
}

fn encode(value: anytype) ![]const u8 {
    var count = msgpack.Writer{};
    count.write(value);
    const buffer = try allocator.alloc(u8, count.len);
    var writer = msgpack.Writer{ .buffer = buffer };
    writer.write(value);
    return buffer;
}

const Step = enum {
    append,
    args,
    env,
    exit,
    input,
    list,
    mkdir,
    print,
    random,
    read,
    remove,
    rename,
    sleep,
    time,
    write,
};

/// Do a step, and write what it saw.
fn run(step: []const u8, arena: std.mem.Allocator, out: *std.Io.Writer) !void {
    var words = std.mem.splitScalar(u8, step, ' ');
    const kind = std.meta.stringToEnum(Step, words.first()) orelse return error.UnknownStep;
    const first = words.next() orelse "";
    const rest = words.rest();
    switch (kind) {
        .read => {
            const place = try Place.find(first, arena);
            return out.writeAll(try place.dir.readFileAlloc(arena, place.path, max_read));
        },
        .list => {
            const place = try Place.find(first, arena);
            var dir = try place.dir.openDir(place.path, .{ .iterate = true });
            defer dir.close();
            var entries = dir.iterate();
            while (try entries.next()) |entry| {
                try out.print("{s}{s} ", .{ entry.name, if (entry.kind == .directory) "/" else "" });
            }
            return;
        },
        .env => {
            const variables = try std.process.getEnvMap(arena);
            return out.writeAll(variables.get(first) orelse "not set");
        },
        .args => {
            for (try std.process.argsAlloc(arena)) |arg| try out.print("[{s}]", .{arg});
            return;
        },
        .time => return out.print("{d}", .{std.time.nanoTimestamp()}),
        .sleep => {
            var timer = try std.time.Timer.start();
            const milliseconds = std.fmt.parseInt(u32, first, 10) catch return error.UnknownStep;
            std.Thread.sleep(@as(u64, milliseconds) * std.time.ns_per_ms);
            return out.print("{d}", .{timer.read()});
        },
        .random => {
            var bytes: [8]u8 = undefined;
            try std.posix.getrandom(&bytes);
            return out.print("{x}", .{&bytes});
        },
        .input => {
            var buffer: [256]u8 = undefined;
            const length = try std.posix.read(0, &buffer);
            return out.writeAll(buffer[0..length]);
        },
        .exit => std.process.exit(std.fmt.parseInt(u8, first, 10) catch return error.UnknownStep),
        .print => {
            const text = try std.fmt.allocPrint(arena, "{s} {s}\n", .{ first, rest });
            try std.fs.File.stdout().writeAll(text);
        },
        .write => {
            const place = try Place.find(first, arena);
            try place.dir.writeFile(.{ .sub_path = place.path, .data = rest });
        },
        .append => {
            const place = try Place.find(first, arena);
            const file = try place.dir.createFile(place.path, .{ .truncate = false });
            defer file.close();
            try file.seekFromEnd(0);
            try file.writeAll(rest);
        },
        .remove => {
            const place = try Place.find(first, arena);
            try place.dir.deleteFile(place.path);
        },
        .mkdir => {
            const place = try Place.find(first, arena);
            try place.dir.makePath(place.path);
        },
        .rename => {
            const old = try Place.find(first, arena);
            const new = try Place.find(rest, arena);
            try std.fs.rename(old.dir, old.path, new.dir, new.path);
        },
    }
    try out.writeAll("done");
}

/// A path, in the granted directory that it starts with.
const Place = struct {
    dir: std.fs.Dir,
    path: []const u8,

    fn find(path: []const u8, arena: std.mem.Allocator) !Place {
        const granted = try std.fs.wasi.preopensAlloc(arena);
        for (granted.names[3..], 3..) |name, fd| {
            if (!std.mem.startsWith(u8, path, name)) continue;
            const below = path[name.len..];
            const dir = std.fs.Dir{ .fd = @intCast(fd) };
            if (below.len == 0) return .{ .dir = dir, .path = "." };
            if (below[0] == '/') return .{ .dir = dir, .path = below[1..] };
        }
        return error.NotGranted;
    }
};
