/* A register machine runs a program that counts the divisors of the numbers 1 to n. */

#include "kernels.h"

enum { SET, MOVE, ADD_NUMBER, SUBTRACT, IF_ZERO, IF_EQUAL, IF_LESS, GOTO, HALT };

typedef struct {
    uint8_t operation, to, from;
    uint32_t number;
} Instruction;

enum { LIMIT, CURRENT, DIVISOR, REST, COUNT, REGISTERS };

static const Instruction program[] = {
    {IF_EQUAL, CURRENT, LIMIT, 13},  /*  0: next number */
    {ADD_NUMBER, CURRENT, 0, 1},     /*  1 */
    {SET, DIVISOR, 0, 0},            /*  2 */
    {ADD_NUMBER, DIVISOR, 0, 1},     /*  3: next divisor */
    {MOVE, REST, CURRENT, 0},        /*  4 */
    {IF_LESS, REST, DIVISOR, 8},     /*  5: subtract */
    {SUBTRACT, REST, DIVISOR, 0},    /*  6 */
    {GOTO, 0, 0, 5},                 /*  7 */
    {IF_ZERO, REST, 0, 11},          /*  8: divided */
    {IF_EQUAL, DIVISOR, CURRENT, 0}, /*  9: another divisor? */
    {GOTO, 0, 0, 3},                 /* 10 */
    {ADD_NUMBER, COUNT, 0, 1},       /* 11: it divides */
    {GOTO, 0, 0, 9},                 /* 12 */
    {HALT, 0, 0, 0},                 /* 13 */
};

EXPORT(interpreter) uint32_t interpreter(uint32_t n)
{
    uint32_t registers[REGISTERS] = {n, 0, 0, 0, 0};
    for (uint32_t at = 0;;) {
        const Instruction *i = &program[at++];
        uint32_t *to = &registers[i->to];
        switch (i->operation) {
        case SET:
            *to = i->number;
            break;
        case MOVE:
            *to = registers[i->from];
            break;
        case ADD_NUMBER:
            *to += i->number;
            break;
        case SUBTRACT:
            *to -= registers[i->from];
            break;
        case IF_ZERO:
            if (*to == 0)
                at = i->number;
            break;
        case IF_EQUAL:
            if (*to == registers[i->from])
                at = i->number;
            break;
        case IF_LESS:
            if (*to < registers[i->from])
                at = i->number;
            break;
        case GOTO:
            at = i->number;
            break;
        default:
            return registers[COUNT];
        }
    }
}
