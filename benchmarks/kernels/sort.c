/* Quicksort of n numbers, at most 65,536; a checksum of their order. */

#include "kernels.h"

static uint32_t numbers[1 << 16];

static void quicksort(uint32_t *items, int left, int right)
{
    if (left >= right)
        return;
    uint32_t pivot = items[left + (right - left) / 2];
    int i = left, j = right;
    while (i <= j) {
        while (items[i] < pivot)
            i++;
        while (items[j] > pivot)
            j--;
        if (i <= j) {
            uint32_t item = items[i];
            items[i++] = items[j];
            items[j--] = item;
        }
    }
    quicksort(items, left, j);
    quicksort(items, i, right);
}

EXPORT(sort) uint32_t sort(uint32_t n)
{
    uint32_t random = 1, checksum = 0;
    for (uint32_t i = 0; i < n; i++)
        numbers[i] = next_random(&random);
    quicksort(numbers, 0, (int)n - 1);
    for (uint32_t i = 0; i < n; i++)
        checksum = mix(checksum, numbers[i]);
    return checksum;
}
