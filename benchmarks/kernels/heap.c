/* Heapsort of n numbers, at most 65,536, with an indirect call for each comparison. */

#include "kernels.h"

typedef int Before(uint32_t, uint32_t);

static uint32_t numbers[1 << 16];

static int less(uint32_t a, uint32_t b)
{
    return a < b;
}

static int greater(uint32_t a, uint32_t b)
{
    return a > b;
}

static void sink(uint32_t at, uint32_t n, Before *before)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= n)
            return;
        if (child + 1 < n && before(numbers[child], numbers[child + 1]))
            child++;
        if (!before(numbers[at], numbers[child]))
            return;
        uint32_t item = numbers[at];
        numbers[at] = numbers[child];
        numbers[child] = item;
        at = child;
    }
}

EXPORT(heap) uint32_t heap(uint32_t n)
{
    uint32_t random = 3, checksum = 0;
    Before *volatile chosen = n % 2 ? less : greater;
    Before *before = chosen;
    for (uint32_t i = 0; i < n; i++)
        numbers[i] = next_random(&random);
    for (uint32_t i = n / 2; i-- > 0;)
        sink(i, n, before);
    for (uint32_t end = n; end-- > 1;) {
        uint32_t item = numbers[0];
        numbers[0] = numbers[end];
        numbers[end] = item;
        sink(0, end, before);
    }
    for (uint32_t i = 0; i < n; i++)
        checksum = mix(checksum, numbers[i]);
    return checksum;
}
