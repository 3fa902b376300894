/* Compress n bytes, at most 1 MiB, by LZ77 with a hash table, and decompress them
 * again. Traps if they differ. */

#include "kernels.h"

enum { SIZE = 1 << 20, HASHES = 4096, SHORTEST = 4, LONGEST = 255 };

static uint8_t text[SIZE], packed[2 * SIZE], unpacked[SIZE];
static uint32_t seen[HASHES];

static uint32_t hash(const uint8_t *p)
{
    uint32_t word = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    return word * 2654435761u >> 20;
}

/* A match is a length and three bytes of distance; a literal is 0 and a byte. */
static uint32_t compress(uint32_t n)
{
    uint32_t out = 0, in = 0;
    for (uint32_t i = 0; i < HASHES; i++)
        seen[i] = 0;
    while (in < n) {
        uint32_t length = 0, candidate = in;
        if (in + SHORTEST <= n) {
            uint32_t slot = hash(text + in);
            candidate = seen[slot];
            seen[slot] = in;
        }
        if (candidate < in)
            while (in + length < n && length < LONGEST
                   && text[candidate + length] == text[in + length])
                length++;
        if (length >= SHORTEST) {
            uint32_t distance = in - candidate;
            packed[out++] = (uint8_t)length;
            packed[out++] = (uint8_t)distance;
            packed[out++] = (uint8_t)(distance >> 8);
            packed[out++] = (uint8_t)(distance >> 16);
            in += length;
        } else {
            packed[out++] = 0;
            packed[out++] = text[in++];
        }
    }
    return out;
}

static uint32_t decompress(uint32_t length)
{
    uint32_t out = 0;
    for (uint32_t in = 0; in < length;) {
        uint32_t count = packed[in++];
        if (count == 0) {
            unpacked[out++] = packed[in++];
            continue;
        }
        uint32_t distance = packed[in] | (uint32_t)packed[in + 1] << 8
                            | (uint32_t)packed[in + 2] << 16;
        in += 3;
        for (; count > 0; count--, out++)
            unpacked[out] = unpacked[out - distance];
    }
    return out;
}

EXPORT(lz) uint32_t lz(uint32_t n)
{
    uint32_t random = 7;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t number = next_random(&random);
        text[i] = (uint8_t)('a' + (number % 3 ? i % 5 : number % 8));
    }
    uint32_t length = compress(n);
    if (decompress(length) != n)
        __builtin_trap();
    for (uint32_t i = 0; i < n; i++)
        if (unpacked[i] != text[i])
            __builtin_trap();
    return length;
}
