/* json_write.c - puts together JSON. Relies on base/memory.h; must not judge what is written. */
#include "base/json_write.h"

#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void cei_json_put_bytes(cei_json_out *out, const char *data, size_t size) {
    void *block = out->data;
    size_t want;
    out->is_short =
        out->is_short || !cei_add_size(out->size, size, &want) || !cei_grow(&block, &out->capacity, want, 1);
    out->data = block;
    if (out->is_short) return;
    if (size) memcpy(out->data + out->size, data, size);
    out->size += size;
}

void cei_json_put(cei_json_out *out, const char *text) { cei_json_put_bytes(out, text, strlen(text)); }

void cei_json_put_number(cei_json_out *out, uint64_t number) {
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRIu64, number);
    cei_json_put(out, digits);
}

/* The library does not change the locale, and its host may: a comma would be no JSON. */
void cei_json_put_real(cei_json_out *out, double number) {
    char digits[40];
    snprintf(digits, sizeof digits, "%.17g", number);
    char *comma = strchr(digits, ',');
    if (comma) *comma = '.';
    cei_json_put(out, digits);
}

static bool is_plain(unsigned char byte) { return byte >= 0x20 && byte != '"' && byte != '\\'; }

void cei_json_put_escaped(cei_json_out *out, const char *data, size_t size) {
    for (size_t at = 0; at < size;) {
        size_t run = at;
        while (run < size && is_plain((unsigned char)data[run])) run++;
        cei_json_put_bytes(out, data + at, run - at);
        at = run;
        if (at == size) break;
        char escape[8] = {'\\', data[at], '\0'};
        if ((unsigned char)data[at] < 0x20) snprintf(escape, sizeof escape, "\\u%04x", (unsigned)data[at]);
        cei_json_put(out, escape);
        at++;
    }
}

void cei_json_put_string(cei_json_out *out, const char *data, size_t size) {
    cei_json_put(out, "\"");
    cei_json_put_escaped(out, data, size);
    cei_json_put(out, "\"");
}
