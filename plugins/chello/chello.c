/* Greets whoever is named: the smallest whole plugin in C. */
#include "guest.h"

EXPORT(plugin_manifest) uint64_t plugin_manifest(void) {
    Message out = {0};
    put_array(&out, 2);
    put_uint(&out, API_VERSION);
    put_array(&out, 6);
    put_str(&out, STR("chello"));
    put_str(&out, STR("C plugin"));
    put_str(&out, STR("1.0.0"));
    put_nil(&out);      /* author */
    put_array(&out, 0); /* args */
    put_array(&out, 0); /* subcommands */
    return send(&out);
}

EXPORT(plugin_execute) uint64_t plugin_execute(const uint8_t *data, uint32_t len) {
    Args args;
    Str fault = args_open(&args, data, len);
    if (fault.len) return send_error(FAILURE, fault);

    Str hello = STR("Hello, ");
    Str name = args.count ? args_next(&args) : STR("World");
    Message out = {0};
    put_map(&out, 1);
    put_str(&out, STR("Success"));
    put_str_header(&out, hello.len + name.len);
    put_bytes(&out, hello.data, hello.len);
    put_bytes(&out, name.data, name.len);
    return send(&out);
}
