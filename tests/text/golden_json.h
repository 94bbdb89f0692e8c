/* golden_json.h - reading the files of tests/data/text; whatever is missing in them fails the test. */
#ifndef TEST_GOLDEN_JSON_H
#define TEST_GOLDEN_JSON_H

#include "support/support.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define FNV_START UINT64_C(0xCBF29CE484222325)

static inline uint64_t fnv1a(uint64_t state, const void *data, size_t size) {
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++) state = (state ^ bytes[i]) * UINT64_C(0x100000001B3);
    return state;
}

/* tests/data/text/name; the caller gives it back by json_decref. */
static inline json_t *golden_load(const char *name) {
    char path[128];
    json_error_t error;
    snprintf(path, sizeof path, "text/%s", name);
    json_t *root = json_load_file(test_data(path), JSON_ALLOW_NUL, &error);
    if (!root) fail_msg("%s, line %d: %s", path, error.line, error.text);
    return root;
}

static inline json_t *golden_get(const json_t *object, const char *key) {
    json_t *value = json_object_get(object, key);
    if (!value) fail_msg("no \"%s\"", key);
    return value;
}

/* The bytes of a string of hex digits; freed by the caller. */
static inline char *golden_hex(const json_t *string, size_t *size) {
    *size = json_string_length(string) / 2;
    char *bytes = malloc(*size + 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < *size; i++) {
        unsigned value;
        assert_int_equal(sscanf(json_string_value(string) + 2 * i, "%2x", &value), 1);
        bytes[i] = (char)value;
    }
    return bytes;
}

/* Files of a folder: JSON, or bytes as hex digits. */
static inline void golden_write_files(const char *folder, const json_t *files) {
    const char *name;
    const json_t *content;
    json_object_foreach((json_t *)(uintptr_t)files, name, content) {
        size_t size = 0;
        char *bytes = json_is_string(content) ? golden_hex(content, &size) : json_dumps(content, JSON_COMPACT);
        assert_non_null(bytes);
        test_write_file(folder, name, bytes, json_is_string(content) ? size : strlen(bytes));
        free(bytes);
    }
}

#endif
