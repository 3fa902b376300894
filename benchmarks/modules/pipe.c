/* A WASI command that writes what it reads: the least that a guest behind pipes can do. */
#include <stdint.h>

#define IMPORT(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)))

typedef struct {
    uint8_t *data;
    uint32_t length;
} Buffer;

IMPORT(fd_read) uint32_t fd_read(uint32_t file, const Buffer *buffers, uint32_t count, uint32_t *length);
IMPORT(fd_write) uint32_t fd_write(uint32_t file, const Buffer *buffers, uint32_t count, uint32_t *length);

static uint8_t data[1 << 16];

__attribute__((export_name("_start"))) void start(void) {
    for (;;) {
        Buffer buffer = {data, sizeof data};
        uint32_t written;
        if (fd_read(0, &buffer, 1, &buffer.length) || buffer.length == 0) return;
        if (fd_write(1, &buffer, 1, &written) || written != buffer.length) return;
    }
}
