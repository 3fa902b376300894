/* In how many ways n queens, at most 16, stand on a board of n x n fields. */

#include "kernels.h"

static int columns[16];

static uint32_t solutions(int n, int row)
{
    if (row == n)
        return 1;
    uint32_t count = 0;
    for (int column = 0; column < n; column++) {
        int other = 0;
        while (other < row && columns[other] != column && columns[other] - column != other - row
               && columns[other] - column != row - other)
            other++;
        if (other == row) {
            columns[row] = column;
            count += solutions(n, row + 1);
        }
    }
    return count;
}

EXPORT(queens) uint32_t queens(uint32_t n)
{
    return solutions((int)n, 0);
}
