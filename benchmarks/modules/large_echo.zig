//! The plugin of echo.zig, with a lot of library code linked in.

comptime {
    _ = @import("echo.zig");
    _ = @import("library.zig");
}
