//! A module of several hundred kilobytes of real code: the front end of the Zig compiler,
//! its formatter, and a JSON reader. It is only rewritten and compiled, never run.

const std = @import("std");

const allocator = std.heap.wasm_allocator;

fn texts(pointer: [*]const u8, length: usize) ![:0]u8 {
    return allocator.dupeZ(u8, pointer[0..length]);
}

fn lower(source: [:0]const u8) !usize {
    const tree = try std.zig.Ast.parse(allocator, source, .zig);
    const code = try std.zig.AstGen.generate(allocator, tree);
    const formatted = try tree.renderAlloc(allocator);
    return code.instructions.len + formatted.len;
}

fn read(text: []const u8) !usize {
    const value = try std.json.parseFromSlice(std.json.Value, allocator, text, .{});
    return switch (value.value) {
        .object => |object| object.count(),
        .array => |array| array.items.len,
        else => 0,
    };
}

export fn compile(pointer: [*]const u8, length: usize) usize {
    const source = texts(pointer, length) catch return 0;
    return lower(source) catch 0;
}

export fn json(pointer: [*]const u8, length: usize) usize {
    return read(pointer[0..length]) catch 0;
}
