/* The product of two matrices of n x n doubles, n at most 128. */

#include "kernels.h"

static double a[128 * 128], b[128 * 128], c[128 * 128];

EXPORT(matrix) uint32_t matrix(uint32_t n)
{
    for (uint32_t i = 0; i < n * n; i++) {
        a[i] = i % 7;
        b[i] = i % 5;
    }
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < n; j++) {
            double sum = 0;
            for (uint32_t k = 0; k < n; k++)
                sum += a[i * n + k] * b[k * n + j];
            c[i * n + j] = sum;
        }
    uint32_t checksum = 0;
    for (uint32_t i = 0; i < n * n; i++)
        checksum = mix(checksum, (uint32_t)c[i]);
    return checksum;
}
