/* golden_lines.h - ids of texts by their hashes, and those of all lines of shared/data/multilingual. */
#ifndef TEST_GOLDEN_LINES_H
#define TEST_GOLDEN_LINES_H

#include "golden_json.h"

#include "text/tokenizer.h"

#include <stdio.h>

static inline void expect_hash(const int32_t *ids, size_t count, const char *hashes, size_t digits, size_t index,
                               const char *where, const char *text) {
    char got[17];
    snprintf(got, sizeof got, "%016llx", (unsigned long long)fnv1a(FNV_START, ids, count * sizeof *ids));
    if (strncmp(got + 16 - digits, hashes + digits * index, digits) == 0) return;
    for (size_t i = 0; i < count; i++) print_error("%d ", (int)ids[i]);
    fail_msg("\n%s: other ids for text %zu, \"%s\"", where, index, text);
}

/* Every line of a file of sentences. */
static inline void check_lines(const cei_tokenizer *tokenizer, const char *file, const char *hashes,
                               cei_token_buffer *buffer) {
    char path[128];
    snprintf(path, sizeof path, "data/multilingual/%s", file);
    size_t size, at = 0, line = 0;
    char *text = test_read_file(test_shared(path), &size);
    ce_error error;
    for (; at <= size; line++) {
        size_t length = strcspn(text + at, "\n");
        expect_ok(cei_tokenizer_encode(tokenizer, (ce_text){text + at, length}, CE_UTF8_STRICT, buffer, &error),
                  &error);
        expect_hash(buffer->ids, buffer->count, hashes, 4, line, path, "");
        at += length + 1;
    }
    assert_int_equal(4 * line, strlen(hashes));
    free(text);
}

/* Of one vocabulary, all files. */
static inline void check_files(const cei_tokenizer *tokenizer, const json_t *entry) {
    const json_t *hashes;
    const char *file;
    cei_token_buffer buffer = {0};
    size_t files = 0;
    json_object_foreach((json_t *)(uintptr_t)entry, file, hashes) {
        check_lines(tokenizer, file, json_string_value(hashes), &buffer);
        files++;
    }
    assert_int_equal(files, 37);
    cei_token_buffer_free(&buffer);
}

#endif
