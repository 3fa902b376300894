/* Counts lines, words and bytes of each text that it is given, as wc(1) does in
 * the C locale: a line ends with a newline, a word is a run of bytes between
 * ASCII white space. One row for each text, and a row of sums for two or more. */
#include <stddef.h>

#include "guest.h"

enum { LINES = 1, WORDS = 2, BYTES = 4, ALL = LINES | WORDS | BYTES };

typedef struct {
    uint32_t lines, words, bytes; /* no text is longer than memory: no overflow */
} Counts;

/* One argument of the manifest: an option, or a text if it has no long name. */
static void put_arg(Message *out, Str name, Str long_name, Str short_name, bool required,
                    Str help, Str value_name) {
    put_array(out, 8);
    put_str(out, name);
    if (long_name.len) {
        put_str(out, long_name);
        put_str(out, short_name);
    } else {
        put_nil(out);
        put_nil(out);
    }
    put_bool(out, required);
    put_str(out, help);
    if (value_name.len) {
        put_str(out, value_name);
    } else {
        put_nil(out);
    }
    put_nil(out); /* default value */
    put_nil(out); /* possible values */
}

EXPORT(plugin_manifest) uint64_t plugin_manifest(void) {
    const Str none = {0};
    Message out = {0};
    put_array(&out, 2);
    put_uint(&out, API_VERSION);
    put_array(&out, 6);
    put_str(&out, STR("wordcount"));
    put_str(&out, STR("Counts lines, words and bytes of its arguments"));
    put_str(&out, STR("1.0.0"));
    put_nil(&out); /* author */
    put_array(&out, 4);
    put_arg(&out, STR("text"), none, none, true, STR("Text to count; may be repeated"),
            STR("TEXT"));
    put_arg(&out, STR("lines"), STR("lines"), STR("l"), false, STR("Count lines"), none);
    put_arg(&out, STR("words"), STR("words"), STR("w"), false, STR("Count words"), none);
    put_arg(&out, STR("bytes"), STR("bytes"), STR("c"), false, STR("Count bytes"), none);
    put_array(&out, 0); /* subcommands */
    return send(&out);
}

static bool equal(Str a, Str b) {
    if (a.len != b.len) return false;
    for (uint32_t i = 0; i < a.len; i++) {
        if (a.data[i] != b.data[i]) return false;
    }
    return true;
}

/* The counts that an option asks for: one by its long name, or any number of
 * letters as in -lw. 0 if there is no such option. */
static uint32_t parse_option(Str option) {
    if (equal(option, STR("--lines"))) return LINES;
    if (equal(option, STR("--words"))) return WORDS;
    if (equal(option, STR("--bytes"))) return BYTES;
    uint32_t columns = 0;
    for (uint32_t i = 1; i < option.len; i++) {
        switch (option.data[i]) {
        case 'l': columns |= LINES; break;
        case 'w': columns |= WORDS; break;
        case 'c': columns |= BYTES; break;
        default: return 0;
        }
    }
    return columns;
}

static Counts count(Str text) {
    Counts counts = {.bytes = text.len};
    bool in_word = false;
    for (uint32_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        bool space = c == ' ' || (c >= '\t' && c <= '\r');
        counts.lines += c == '\n';
        counts.words += !space && !in_word;
        in_word = !space;
    }
    return counts;
}

static void put_decimal(Message *out, uint32_t value) {
    char digits[10];
    uint32_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    put_bytes(out, digits + at, sizeof digits - at);
}

/* The chosen counts with spaces between, on a line of their own. */
static void put_row(Message *out, Counts counts, uint32_t columns) {
    const uint32_t values[] = {counts.lines, counts.words, counts.bytes};
    const char *gap = out->len ? "\n" : "";
    for (uint32_t i = 0; i < 3; i++) {
        if (!(columns & 1u << i)) continue;
        put_bytes(out, gap, *gap != 0);
        put_decimal(out, values[i]);
        gap = " ";
    }
}

static uint64_t refuse_option(Str option) {
    Str prefix = STR("unknown option ");
    Message out = {0};
    put_map(&out, 1);
    put_str(&out, STR("Error"));
    put_array(&out, 2);
    put_uint(&out, USAGE);
    put_str_header(&out, prefix.len + option.len);
    put_bytes(&out, prefix.data, prefix.len);
    put_bytes(&out, option.data, option.len);
    return send(&out);
}

EXPORT(plugin_execute) uint64_t plugin_execute(const uint8_t *data, uint32_t len) {
    Args args;
    Str fault = args_open(&args, data, len);
    if (fault.len) return send_error(FAILURE, fault);

    /* Options may stand anywhere before "--", so they are read in a first pass. */
    uint32_t columns = 0, texts = 0;
    bool options = true;
    Args pass = args;
    for (uint32_t i = 0; i < args.count; i++) {
        Str arg = args_next(&pass);
        if (!options || arg.len < 2 || arg.data[0] != '-') {
            texts++;
        } else if (equal(arg, STR("--"))) {
            options = false;
        } else {
            uint32_t chosen = parse_option(arg);
            if (!chosen) return refuse_option(arg);
            columns |= chosen;
        }
    }
    if (!texts) return send_error(USAGE, STR("no text to count"));
    if (!columns) columns = ALL;

    Counts sums = {0};
    Message rows = {0};
    options = true;
    for (uint32_t i = 0; i < args.count; i++) {
        Str arg = args_next(&args);
        if (options && arg.len >= 2 && arg.data[0] == '-') {
            if (equal(arg, STR("--"))) options = false;
            continue;
        }
        Counts counts = count(arg);
        sums.lines += counts.lines;
        sums.words += counts.words;
        sums.bytes += counts.bytes;
        put_row(&rows, counts, columns);
    }
    if (texts > 1) put_row(&rows, sums, columns);
    if (rows.failed) return send(&rows);

    uint64_t sent = send_success((Str){(const char *)rows.data, rows.len});
    guest_free(rows.data);
    return sent;
}
