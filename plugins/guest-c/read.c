/* Reading the arguments: a MessagePack array of strings. Like the decoders of
 * other plugins, it takes binary data for a string if it is valid UTF-8, and
 * does not care what follows the array. */
#include <stddef.h>

#include "guest.h"

static uint32_t left(const Args *args) { return (uint32_t)(args->end - args->at); }

/* A number of `width` bytes, the highest one first. */
static bool read_uint(Args *args, uint32_t width, uint32_t *value) {
    if (left(args) < width) return false;
    *value = 0;
    while (width--) *value = *value << 8 | *args->at++;
    return true;
}

typedef enum { FINE, WRONG_TYPE, CUT_SHORT } Fault;

static Fault read_array_header(Args *args, uint32_t *count) {
    if (!left(args)) return CUT_SHORT;
    uint8_t marker = *args->at++;
    if ((marker & 0xf0) == 0x90) {
        *count = marker & 0x0f;
        return FINE;
    }
    if (marker != 0xdc && marker != 0xdd) return WRONG_TYPE;
    return read_uint(args, marker == 0xdc ? 2 : 4, count) ? FINE : CUT_SHORT;
}

static Fault read_str(Args *args, Str *text) {
    if (!left(args)) return CUT_SHORT;
    uint8_t marker = *args->at++;
    uint32_t len;
    if ((marker & 0xe0) == 0xa0) {
        len = marker & 0x1f;
    } else {
        uint32_t width;
        if (marker >= 0xd9 && marker <= 0xdb) {
            width = 1u << (marker - 0xd9); /* str 8, 16, 32 */
        } else if (marker >= 0xc4 && marker <= 0xc6) {
            width = 1u << (marker - 0xc4); /* bin 8, 16, 32 */
        } else {
            return WRONG_TYPE;
        }
        if (!read_uint(args, width, &len)) return CUT_SHORT;
    }
    if (len > left(args)) return CUT_SHORT;
    *text = (Str){(const char *)args->at, len};
    args->at += len;
    return FINE;
}

/* The Unicode Standard, table 3-7: no overlong forms, no surrogates, nothing
 * above U+10FFFF. */
static bool is_utf8(Str text) {
    const uint8_t *at = (const uint8_t *)text.data;
    const uint8_t *end = at + text.len;
    while (at < end) {
        uint8_t first = *at++;
        if (first < 0x80) {
            for (uint64_t word; end - at >= 8; at += 8) { /* eight at a time */
                __builtin_memcpy(&word, at, 8);
                if (word & 0x8080808080808080u) break;
            }
            continue;
        }
        uint8_t low = 0x80, high = 0xbf; /* what the second byte may be */
        int32_t more;
        if (first >= 0xc2 && first <= 0xdf) {
            more = 1;
        } else if (first >= 0xe0 && first <= 0xef) {
            more = 2;
            if (first == 0xe0) low = 0xa0;
            if (first == 0xed) high = 0x9f;
        } else if (first >= 0xf0 && first <= 0xf4) {
            more = 3;
            if (first == 0xf0) low = 0x90;
            if (first == 0xf4) high = 0x8f;
        } else {
            return false;
        }
        if (end - at < more) return false;
        while (more--) {
            uint8_t byte = *at++;
            if (byte < low || byte > high) return false;
            low = 0x80;
            high = 0xbf;
        }
    }
    return true;
}

static Str explain(Fault fault) {
    if (fault == CUT_SHORT) return STR("cannot decode the arguments: the message is cut short");
    return STR("cannot decode the arguments: expected an array of strings");
}

Str args_open(Args *args, const uint8_t *data, uint32_t len) {
    *args = (Args){.at = data, .end = data + len};
    Fault fault = read_array_header(args, &args->count);
    if (fault) return explain(fault);
    Args check = *args;
    for (uint32_t i = 0; i < args->count; i++) {
        Str text;
        fault = read_str(&check, &text);
        if (fault) return explain(fault);
        if (!is_utf8(text)) return STR("cannot decode the arguments: invalid UTF-8");
    }
    return (Str){0};
}

Str args_next(Args *args) {
    Str text = {0};
    read_str(args, &text);
    return text;
}
