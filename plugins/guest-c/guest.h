/* What the C plugins share: the functions that a host calls, memory to hand to
 * it, and the little of MessagePack that plugin ABI version 2 needs.
 *
 * A plugin defines plugin_manifest() and plugin_execute(); guest-c exports
 * plugin_alloc() and plugin_dealloc(). Structs are sent by position.
 */
#ifndef GUEST_H
#define GUEST_H

#include <stdbool.h>
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(#name)))

enum { API_VERSION = 2 };

/* Exit codes: the run failed, or was not asked for properly. */
enum { FAILURE = 1, USAGE = 2 };

/* Text that is not ended by a zero byte. */
typedef struct {
    const char *data;
    uint32_t len;
} Str;

#define STR(literal) ((Str){(literal), sizeof(literal) - 1})

/* ---- memory (memory.c) ---- */

/* At least len bytes, aligned to 8, or NULL if there is no room. */
void *guest_alloc(uint32_t len);
/* Free what guest_alloc gave; any other address is left alone. */
void guest_free(void *data);

/* ---- writing messages (write.c) ---- */

/* A message under construction. It grows; once there was no room, nothing is
 * written any more and `failed` stays set. Start from {0}. */
typedef struct {
    uint8_t *data;
    uint32_t len, capacity;
    bool failed;
} Message;

void put_array(Message *out, uint32_t count);
void put_map(Message *out, uint32_t count);
void put_uint(Message *out, uint32_t value);
void put_bool(Message *out, bool value);
void put_nil(Message *out);
void put_str(Message *out, Str text);
/* The header of a string whose len bytes follow through put_bytes. */
void put_str_header(Message *out, uint32_t len);
void put_bytes(Message *out, const void *data, uint32_t len);

/* Hand the message to the host, which frees it: the address in the upper half,
 * the length in the lower one. A failed message becomes an Error result. */
uint64_t send(Message *out);
uint64_t send_success(Str text);
uint64_t send_error(uint8_t code, Str message);

/* ---- reading arguments (read.c) ---- */

/* The arguments that are still to be read. */
typedef struct {
    const uint8_t *at, *end;
    uint32_t count;
} Args;

/* Check the whole message, an array of strings, and make it ready for args_next.
 * Returns an empty text, or what is wrong with the message. */
Str args_open(Args *args, const uint8_t *data, uint32_t len);
/* The next argument: valid UTF-8. Call it args->count times at most. */
Str args_next(Args *args);

#endif
