/* The nth Fibonacci number by naive recursion: nothing but calls. */

#include "kernels.h"

EXPORT(fibonacci) uint32_t fibonacci(uint32_t n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}
