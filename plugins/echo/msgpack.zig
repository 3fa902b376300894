//! The little of MessagePack that this plugin needs: writing in the shortest
//! form, structs as maps by field name, and reading an array of strings.

const std = @import("std");

/// Writes into a buffer of sufficient size, or only counts if there is none.
pub const Writer = struct {
    buffer: ?[]u8 = null,
    len: usize = 0,

    pub fn raw(self: *Writer, data: []const u8) void {
        if (self.buffer) |buffer| @memcpy(buffer[self.len..][0..data.len], data);
        self.len += data.len;
    }

    fn marker(self: *Writer, byte: u8, comptime T: type, value: T) void {
        var data: [1 + @sizeOf(T)]u8 = undefined;
        data[0] = byte;
        std.mem.writeInt(T, data[1..], value, .big);
        self.raw(&data);
    }

    pub fn strHeader(self: *Writer, len: usize) void {
        if (len < 32) {
            self.raw(&.{0xa0 | @as(u8, @intCast(len))});
        } else if (len <= std.math.maxInt(u8)) {
            self.marker(0xd9, u8, @intCast(len));
        } else if (len <= std.math.maxInt(u16)) {
            self.marker(0xda, u16, @intCast(len));
        } else {
            self.marker(0xdb, u32, @intCast(len));
        }
    }

    fn str(self: *Writer, text: []const u8) void {
        self.strHeader(text.len);
        self.raw(text);
    }

    /// Any value made of structs, slices, optionals, text, bool and numbers up
    /// to 127. A union is a map of one entry, as enums are on the wire.
    pub fn write(self: *Writer, value: anytype) void {
        const T = @TypeOf(value);
        switch (@typeInfo(T)) {
            .bool => self.raw(&.{if (value) 0xc3 else 0xc2}),
            .int => |int| {
                comptime std.debug.assert(int.signedness == .unsigned and int.bits <= 7);
                self.raw(&.{value});
            },
            .optional => if (value) |present| self.write(present) else self.raw(&.{0xc0}),
            .pointer => |pointer| {
                comptime std.debug.assert(pointer.size == .slice);
                if (pointer.child == u8) return self.str(value);
                self.fixed(0x90, value.len);
                for (value) |item| self.write(item);
            },
            .@"struct" => |info| {
                comptime std.debug.assert(info.fields.len < 16);
                self.fixed(0x80, info.fields.len);
                inline for (info.fields) |field| {
                    self.str(field.name);
                    self.write(@field(value, field.name));
                }
            },
            .@"union" => switch (value) {
                inline else => |payload, tag| {
                    self.fixed(0x80, 1);
                    self.str(@tagName(tag));
                    self.write(payload);
                },
            },
            else => @compileError("no MessagePack form for " ++ @typeName(T)),
        }
    }

    /// The marker of a collection of fewer than 16 entries.
    fn fixed(self: *Writer, kind: u8, len: usize) void {
        std.debug.assert(len < 16);
        self.raw(&.{kind | @as(u8, @intCast(len))});
    }
};

/// The encoding of a value that is known when the plugin is built.
pub fn encoded(comptime value: anytype) []const u8 {
    comptime {
        @setEvalBranchQuota(100_000);
        var count = Writer{};
        count.write(value);
        var bytes: [count.len]u8 = undefined;
        var writer = Writer{ .buffer = &bytes };
        writer.write(value);
        const final = bytes;
        return &final;
    }
}

pub const Error = error{ CutShort, WrongType, InvalidUtf8 };

/// Reads an array of strings. Like the decoders of other plugins, it takes binary
/// data for a string if it is valid UTF-8, and does not care what follows the array.
pub const Strings = struct {
    rest: []const u8,
    left: usize,

    /// Fails unless the whole array can be read: `next` on a copy cannot fail.
    pub fn open(message: []const u8) Error!Strings {
        var self = Strings{ .rest = message, .left = 0 };
        self.left = switch (try self.byte()) {
            0x90...0x9f => |marker| marker & 0x0f,
            0xdc => try self.int(u16),
            0xdd => try self.int(u32),
            else => return error.WrongType,
        };
        var check = self;
        while (try check.next()) |text| {
            if (!std.unicode.utf8ValidateSlice(text)) return error.InvalidUtf8;
        }
        return self;
    }

    pub fn next(self: *Strings) Error!?[]const u8 {
        if (self.left == 0) return null;
        self.left -= 1;
        const len: usize = switch (try self.byte()) {
            0xa0...0xbf => |marker| marker & 0x1f,
            0xc4, 0xd9 => try self.int(u8),
            0xc5, 0xda => try self.int(u16),
            0xc6, 0xdb => try self.int(u32),
            else => return error.WrongType,
        };
        return try self.take(len);
    }

    fn take(self: *Strings, len: usize) Error![]const u8 {
        if (len > self.rest.len) return error.CutShort;
        defer self.rest = self.rest[len..];
        return self.rest[0..len];
    }

    fn byte(self: *Strings) Error!u8 {
        return (try self.take(1))[0];
    }

    fn int(self: *Strings, comptime T: type) Error!T {
        const data = try self.take(@sizeOf(T));
        return std.mem.readInt(T, data[0..@sizeOf(T)], .big);
    }
};
