/* Parse a JSON document n times, by recursive descent; a checksum of all it holds. */

#include "kernels.h"

static const char document[] =
    "{\"name\": \"sen\", \"tags\": [\"a\", \"b\\n\", \"caf\\u00e9\"], \"empty\": [{}, []],\n"
    " \"sizes\": [1, 22, -333, 4.5, 6.25e2, 7E-3, 123456789],\n"
    " \"people\": [\n"
    "  {\"id\": 1, \"name\": \"Alice\", \"admin\": true, \"parent\": null},\n"
    "  {\"id\": 2, \"name\": \"Bob \\\"Bobby\\\" Tables\", \"admin\": false, \"parent\": 1},\n"
    "  {\"id\": 3, \"name\": \"Carol\", \"admin\": false, \"parent\": {\"id\": 2, \"of\": [1, 2]}}\n"
    " ],\n"
    " \"matrix\": [[1, 0, 0], [0, 1, 0], [0, 0, 1]], \"done\": true}";

static const char *at;
static uint32_t checksum;

static void fail(void)
{
    __builtin_trap();
}

static void skip_space(void)
{
    while (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r')
        at++;
}

static void expect(char wanted)
{
    skip_space();
    if (*at++ != wanted)
        fail();
}

static void word(const char *wanted)
{
    for (; *wanted; wanted++)
        if (*at++ != *wanted)
            fail();
}

static uint32_t hexadecimal(void)
{
    uint32_t code = 0;
    for (int i = 0; i < 4; i++) {
        char c = *at++;
        if (c >= '0' && c <= '9')
            code = code * 16 + (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            code = code * 16 + (uint32_t)(c - 'a') + 10;
        else
            fail();
    }
    return code;
}

static void string(void)
{
    expect('"');
    while (*at != '"') {
        uint32_t c = (uint8_t)*at++;
        if (c < ' ')
            fail();
        if (c == '\\') {
            c = (uint8_t)*at++;
            if (c == 'n')
                c = '\n';
            else if (c == 'u')
                c = hexadecimal();
            else if (c != '"' && c != '\\')
                fail();
        }
        checksum = mix(checksum, c);
    }
    at++;
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void number(void)
{
    double value = 0, scale = 1;
    int negative = *at == '-';
    at += negative;
    if (!is_digit(*at))
        fail();
    while (is_digit(*at))
        value = value * 10 + (*at++ - '0');
    if (*at == '.')
        for (at++; is_digit(*at); at++)
            value += (*at - '0') * (scale /= 10);
    if (*at == 'e' || *at == 'E') {
        int down = *++at == '-', exponent = 0;
        at += down;
        while (is_digit(*at))
            exponent = exponent * 10 + (*at++ - '0');
        for (; exponent > 0; exponent--)
            value = down ? value / 10 : value * 10;
    }
    checksum = mix(checksum, (uint32_t)(int32_t)((negative ? -value : value) * 1000));
}

static void value(void)
{
    skip_space();
    char open = *at;
    if (open == '{' || open == '[') {
        char close = open == '{' ? '}' : ']';
        at++;
        skip_space();
        for (uint32_t count = 0; *at != close; count++) {
            if (count)
                expect(',');
            if (open == '{') {
                string();
                expect(':');
            }
            value();
            skip_space();
        }
        at++;
    } else if (open == '"') {
        string();
    } else if (open == 't') {
        word("true");
    } else if (open == 'f') {
        word("false");
    } else if (open == 'n') {
        word("null");
    } else {
        number();
    }
    checksum = mix(checksum, (uint8_t)open);
}

EXPORT(json) uint32_t json(uint32_t n)
{
    checksum = 0;
    for (; n > 0; n--) {
        at = document;
        value();
    }
    return checksum;
}
