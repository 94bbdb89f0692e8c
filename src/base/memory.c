/* memory.c - allocation with checked sizes. Relies on the C library only. */
#include "base/memory.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool cei_mul_size(size_t a, size_t b, size_t *out) {
    if (b != 0 && a > SIZE_MAX / b) return false;
    *out = a * b;
    return true;
}

bool cei_add_size(size_t a, size_t b, size_t *out) {
    if (a > SIZE_MAX - b) return false;
    *out = a + b;
    return true;
}

void *cei_alloc_zeroed(size_t count, size_t size) {
    size_t bytes;
    if (!cei_mul_size(count, size, &bytes)) return NULL;
    return calloc(bytes ? bytes : 1, 1);
}

void *cei_alloc(size_t count, size_t size) { return cei_resize(NULL, count, size); }

void *cei_resize(void *block, size_t count, size_t size) {
    size_t bytes;
    if (!cei_mul_size(count, size, &bytes)) return NULL;
    return realloc(block, bytes ? bytes : 1);
}

void *cei_alloc_aligned(size_t bytes, size_t alignment) {
    void *block = NULL;
    return posix_memalign(&block, alignment, bytes ? bytes : 1) == 0 ? block : NULL;
}

bool cei_grow(void **block, size_t *capacity, size_t want, size_t size) {
    if (want <= *capacity) return true;
    size_t grown = *capacity < 8 ? 8 : *capacity + *capacity / 2;
    if (grown < want) grown = want;
    void *larger = cei_resize(*block, grown, size);
    if (!larger) return false;
    *block = larger;
    *capacity = grown;
    return true;
}

char *cei_copy_string(const char *data, size_t size) {
    char *copy = size < SIZE_MAX ? cei_alloc(size + 1, 1) : NULL;
    if (!copy) return NULL;
    if (size) memcpy(copy, data, size);
    copy[size] = '\0';
    return copy;
}

bool cei_ends_with(const char *text, const char *suffix, size_t *stem) {
    const size_t length = strlen(text), tail = strlen(suffix);
    if (length < tail || strcmp(text + length - tail, suffix) != 0) return false;
    *stem = length - tail;
    return true;
}

bool cei_same_string(const char *one, const char *other) { return strcmp(one ? one : "", other ? other : "") == 0; }

char *cei_format_string(const char *format, ...) {
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *string = length >= 0 ? cei_alloc((size_t)length + 1, 1) : NULL;
    if (!string) return NULL;
    va_start(args, format);
    vsnprintf(string, (size_t)length + 1, format, args);
    va_end(args);
    return string;
}

void cei_free(void *block) { free(block); }
