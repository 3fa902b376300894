"""Reading and rewriting WebAssembly binaries. Knows the binary format, no engine."""
