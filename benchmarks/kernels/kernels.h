/* What the kernels share. Each exports one function of a size, which returns a checksum. */

#ifndef KERNELS_H
#define KERNELS_H

#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(#name)))

/* Numbers that look random and are the same everywhere. */
static inline uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* FNV-1a, a word at a time. */
static inline uint32_t mix(uint32_t checksum, uint32_t word)
{
    return (checksum ^ word) * 16777619u;
}

#endif
