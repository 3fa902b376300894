/* Writing MessagePack: every value in its shortest form. */
#include <stddef.h>

#include "guest.h"

static bool reserve(Message *out, uint32_t more) {
    if (out->failed) return false;
    if (more <= out->capacity - out->len) return true;
    uint64_t wanted = (uint64_t)out->len + more;
    uint64_t doubled = (uint64_t)out->capacity * 2;
    uint64_t capacity = wanted > doubled ? wanted : doubled;
    uint8_t *data = capacity <= UINT32_MAX ? guest_alloc((uint32_t)capacity) : NULL;
    if (!data) {
        out->failed = true;
        return false;
    }
    if (out->data) {
        __builtin_memcpy(data, out->data, out->len);
        guest_free(out->data);
    }
    out->data = data;
    out->capacity = (uint32_t)capacity;
    return true;
}

void put_bytes(Message *out, const void *data, uint32_t len) {
    if (!len || !reserve(out, len)) return;
    __builtin_memcpy(out->data + out->len, data, len);
    out->len += len;
}

/* A marker, then the low `width` bytes of `value`, the highest one first. */
static void put_marker(Message *out, uint8_t marker, uint32_t value, uint32_t width) {
    uint8_t bytes[5] = {marker};
    for (uint32_t i = 0; i < width; i++) bytes[1 + i] = (uint8_t)(value >> 8 * (width - 1 - i));
    put_bytes(out, bytes, 1 + width);
}

/* A count: inside the marker below `fixed_limit`, after one of the markers that
 * start at `wide` otherwise. */
static void put_count(Message *out, uint32_t count, uint8_t fixed, uint32_t fixed_limit,
                      uint8_t wide) {
    if (count < fixed_limit) {
        put_marker(out, (uint8_t)(fixed | count), 0, 0);
    } else if (count <= UINT16_MAX) {
        put_marker(out, wide, count, 2);
    } else {
        put_marker(out, wide + 1, count, 4);
    }
}

void put_array(Message *out, uint32_t count) { put_count(out, count, 0x90, 16, 0xdc); }

void put_map(Message *out, uint32_t count) { put_count(out, count, 0x80, 16, 0xde); }

void put_str_header(Message *out, uint32_t len) {
    if (len >= 32 && len <= UINT8_MAX) {
        put_marker(out, 0xd9, len, 1);
    } else {
        put_count(out, len, 0xa0, 32, 0xda);
    }
}

void put_uint(Message *out, uint32_t value) {
    if (value < 128) {
        put_marker(out, (uint8_t)value, 0, 0);
    } else if (value <= UINT8_MAX) {
        put_marker(out, 0xcc, value, 1);
    } else if (value <= UINT16_MAX) {
        put_marker(out, 0xcd, value, 2);
    } else {
        put_marker(out, 0xce, value, 4);
    }
}

void put_bool(Message *out, bool value) { put_marker(out, value ? 0xc3 : 0xc2, 0, 0); }

void put_nil(Message *out) { put_marker(out, 0xc0, 0, 0); }

void put_str(Message *out, Str text) {
    put_str_header(out, text.len);
    put_bytes(out, text.data, text.len);
}

static uint64_t pack(const void *data, uint32_t len) {
    return (uint64_t)(uintptr_t)data << 32 | len;
}

uint64_t send(Message *out) {
    if (!out->failed) return pack(out->data, out->len);
    guest_free(out->data);
    /* {"Error": [1, "out of memory"]}; it is not on the heap, so the host's
     * call of plugin_dealloc leaves it alone. */
    static const char no_room[] = "\x81\xa5" "Error" "\x92\x01\xad" "out of memory";
    return pack(no_room, sizeof no_room - 1);
}

uint64_t send_success(Str text) {
    Message out = {0};
    put_map(&out, 1);
    put_str(&out, STR("Success"));
    put_str(&out, text);
    return send(&out);
}

uint64_t send_error(uint8_t code, Str message) {
    Message out = {0};
    put_map(&out, 1);
    put_str(&out, STR("Error"));
    put_array(&out, 2);
    put_uint(&out, code);
    put_str(&out, message);
    return send(&out);
}
