/* bytes.h - a block of bytes that grows. Zeroed is empty; its owner frees data by cei_free. */
#ifndef CEI_BYTES_H
#define CEI_BYTES_H

#include "base/memory.h"

#include <string.h>

typedef struct cei_bytes {
    char *data;
    size_t size;
    size_t capacity;
} cei_bytes;

/* Room for more bytes behind what is there; false if there is no memory. */
static inline bool cei_bytes_reserve(cei_bytes *bytes, size_t more) {
    if (bytes->capacity - bytes->size >= more) return true;
    size_t want;
    if (!cei_add_size(bytes->size, more, &want)) return false;
    void *block = bytes->data;
    bool grown = cei_grow(&block, &bytes->capacity, want, 1);
    bytes->data = block;
    return grown;
}

static inline bool cei_bytes_append(cei_bytes *bytes, const char *data, size_t size) {
    if (!cei_bytes_reserve(bytes, size)) return false;
    if (size) memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
    return true;
}

#endif
