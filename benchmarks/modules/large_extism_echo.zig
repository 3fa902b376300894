//! The Extism plugin echo, with the library code of large_echo.zig linked in.

comptime {
    _ = @import("extism_echo.zig");
    _ = @import("library.zig");
}
