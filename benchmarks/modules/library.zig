//! Real code of some size: Zig's own formatter, its ZON reader, JSON and a decompressor.
//! A plugin that links this is as large as one that does real work.

const std = @import("std");

const allocator = std.heap.wasm_allocator;

/// Zig source, formatted: its length, or 0 if it cannot be parsed.
export fn format_zig(pointer: [*]const u8, length: usize) usize {
    return formatted(pointer[0..length]) catch 0;
}

fn formatted(text: []const u8) !usize {
    var tree = try parsed(text, .zig);
    defer free(&tree);
    const result = try tree.renderAlloc(allocator);
    defer allocator.free(result);
    return result.len;
}

/// The number of nodes of a ZON document, or 0 if it is not valid.
export fn read_zon(pointer: [*]const u8, length: usize) usize {
    return nodes(pointer[0..length]) catch 0;
}

fn nodes(text: []const u8) !usize {
    var tree = try parsed(text, .zon);
    defer free(&tree);
    const document = try std.zig.ZonGen.generate(allocator, tree, .{});
    defer document.deinit(allocator);
    return document.nodes.len;
}

fn parsed(text: []const u8, mode: std.zig.Ast.Mode) !std.zig.Ast {
    const source = try allocator.dupeZ(u8, text);
    errdefer allocator.free(source);
    return std.zig.Ast.parse(allocator, source, mode);
}

fn free(tree: *std.zig.Ast) void {
    allocator.free(tree.source);
    tree.deinit(allocator);
}

/// A JSON document, written with indentation: its length, or 0 if it is not valid.
export fn format_json(pointer: [*]const u8, length: usize) usize {
    return indented(pointer[0..length]) catch 0;
}

fn indented(text: []const u8) !usize {
    const value = try std.json.parseFromSlice(std.json.Value, allocator, text, .{});
    defer value.deinit();
    const result = try std.json.Stringify.valueAlloc(allocator, value.value, .{ .whitespace = .indent_2 });
    defer allocator.free(result);
    return result.len;
}

/// The length of what a Zstandard frame holds, or 0 if it is not valid.
export fn decompress(pointer: [*]const u8, length: usize) usize {
    return decompressed(pointer[0..length]) catch 0;
}

fn decompressed(data: []const u8) !usize {
    var input: std.Io.Reader = .fixed(data);
    var frame: std.compress.zstd.Decompress = .init(&input, &.{}, .{});
    var output: std.Io.Writer.Allocating = .init(allocator);
    defer output.deinit();
    return frame.reader.streamRemaining(&output.writer);
}
