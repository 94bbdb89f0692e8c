/* tokenizer_files.h - opening tokenizers from strings, and what must hold for those that are refused. */
#ifndef TEST_TOKENIZER_FILES_H
#define TEST_TOKENIZER_FILES_H

#include "support/failing_malloc.h"
#include "support/support.h"

#include "text/spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline cei_tokenizer_file file_of(const char *path, const char *text) {
    return (cei_tokenizer_file){path, text, text ? strlen(text) : 0};
}

static inline ce_status parse_config(const char *json, const char *config, cei_tokenizer **tokenizer, ce_error *error) {
    const cei_tokenizer_files files = {.tokenizer_json = file_of("tokenizer.json", json),
                                       .vocab_txt = file_of("vocab.txt", NULL),
                                       .tokenizer_config = file_of("tokenizer_config.json", config),
                                       .special_tokens_map = file_of("special_tokens_map.json", NULL),
                                       .added_tokens = file_of("added_tokens.json", NULL)};
    return cei_tokenizer_parse(&files, tokenizer, error);
}

static inline void expect_refused(const char *json, const char *config, ce_status want, const char *part) {
    ce_error error = {CE_OK, ""};
    cei_tokenizer *tokenizer = NULL;
    ce_status status = parse_config(json, config, &tokenizer, &error);
    if (status != want) print_error("%s, %s:\n", json, config ? config : "no tokenizer_config.json");
    expect_status(status, want, &error, part);
    assert_null(tokenizer);
}

static inline cei_tokenizer *open_json(const char *json) {
    ce_error error;
    cei_tokenizer *tokenizer = NULL;
    expect_ok(parse_config(json, NULL, &tokenizer, &error), &error);
    return tokenizer;
}

static inline void expect_ids(const cei_tokenizer *tokenizer, const char *text, size_t count, const int32_t *want) {
    cei_token_buffer buffer = {0};
    ce_error error;
    expect_ok(cei_tokenizer_encode(tokenizer, ce_text_of(text), CE_UTF8_STRICT, &buffer, &error), &error);
    assert_int_equal(buffer.count, count);
    for (size_t i = 0; i < count; i++) assert_int_equal(buffer.ids[i], want[i]);
    cei_token_buffer_free(&buffer);
}

static inline void skip_without_allocator(void) {
    if (failing_malloc_works()) return;
    print_message("SKIP: a sanitizer has the allocator\n");
    skip();
}

/* After the first round, texts take no more memory. */
static inline void check_steady(const char *json, const ce_text *texts, size_t count) {
    cei_tokenizer *tokenizer = open_json(json);
    cei_token_buffer buffer = {0};
    ce_error error;
    for (size_t round = 0; round < 3; round++) {
        failing_malloc_start(FAILING_NONE, 0, FAILING_THIS_THREAD);
        for (size_t i = 0; i < count; i++)
            expect_ok(cei_tokenizer_encode(tokenizer, texts[i], CE_UTF8_REPLACE, &buffer, &error), &error);
        size_t made = failing_malloc_stop();
        assert_int_equal(made > 0, round == 0);
    }
    cei_token_buffer_free(&buffer);
    cei_tokenizer_free(tokenizer);
}

#endif
