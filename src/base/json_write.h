/* json_write.h - JSON that is written: text that grows. Zeroed is empty; its owner frees data by cei_free. */
#ifndef CEI_JSON_WRITE_H
#define CEI_JSON_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Want of memory is remembered, so that it can be asked for once, at the end. */
typedef struct cei_json_out {
    char *data;
    size_t size, capacity;
    bool is_short;
} cei_json_out;

void cei_json_put(cei_json_out *out, const char *text); /* as it is */
void cei_json_put_bytes(cei_json_out *out, const char *data, size_t size);
void cei_json_put_number(cei_json_out *out, uint64_t number);
void cei_json_put_real(cei_json_out *out, double number); /* so that the same double is read again; finite */

/* A string in quotes, and what stands between them. Bytes that are no UTF-8 are the caller's to refuse. */
void cei_json_put_string(cei_json_out *out, const char *data, size_t size);
void cei_json_put_escaped(cei_json_out *out, const char *data, size_t size);

#endif
