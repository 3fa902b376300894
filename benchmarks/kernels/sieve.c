/* How many primes there are below n, at most 1,048,576. */

#include "kernels.h"

static uint8_t composite[1 << 20];

EXPORT(sieve) uint32_t sieve(uint32_t n)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++)
        composite[i] = 0;
    for (uint32_t i = 2; i < n; i++)
        if (!composite[i]) {
            count++;
            for (uint32_t multiple = 2 * i; multiple < n; multiple += i)
                composite[multiple] = 1;
        }
    return count;
}
