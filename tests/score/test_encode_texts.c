/* test_encode_texts.c - what ce_encode makes of texts and their prompts: odd ones, ones that are cut, and ones that
 * have no tokens. */
#include "score/encoding.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DIMENSION = ENCODING_DIMENSION, POSITIONS = 64 };

/* ---- texts ------------------------------------------------------------------------------------------------------ */

static void test_short_limits(void **state) {
    (void)state;
    static const char text[] = "word1 word2 word3";
    static const char *const cut[] = {"", "word1", "word1 word2", "word1 word2 word3"};
    ce_encoder *whole = encoding_load(1, 0, 0);
    ce_error error;
    for (size_t kept = 0; kept <= 3; kept++) {
        ce_encoder *encoder = encoding_load(1, 1, 2 + kept);
        const ce_text one = ce_text_of(text), same = ce_text_of(cut[kept]);
        ce_encode_report report = {.size = sizeof report};
        const ce_encode_options options = {.size = sizeof options, .report = &report};
        float found[DIMENSION], wanted[DIMENSION];
        encoding_run(encoder, &one, 1, &options, found);
        encoding_plain(whole, &same, 1, wanted);
        assert_memory_equal(found, wanted, sizeof wanted);
        assert_int_equal(report.tokens, 2 + kept);
        assert_int_equal(report.truncated, kept < 3);
        ce_encoder_free(encoder);
    }
    ce_encoder_free(whole);
    ce_load_options options = encoding_options(1, 0, 1);
    ce_encoder *encoder = NULL;
    expect_status(ce_encoder_load(encoding_folder, &options, &encoder, &error), CE_ERR_ARGUMENT, &error,
                  "special tokens of a text alone are 2");
    options.max_length = POSITIONS + 1;
    expect_status(ce_encoder_load(encoding_folder, &options, &encoder, &error), CE_ERR_ARGUMENT, &error,
                  "64 positions");
    assert_null(encoder);
}

static void test_odd_texts(void **state) {
    (void)state;
    enum { LONG = 100000 };
    char *large = malloc(LONG);
    assert_non_null(large);
    for (size_t i = 0; i < LONG; i++) large[i] = i % 3 == 2 ? ' ' : (char)('a' + i % 26);
    const ce_text some[] = {{NULL, 0}, {"", 0}, {"\0", 1}, {"word1\0word2", 11}, {large, LONG}, {"word1word2", 10}};
    enum { COUNT = sizeof some / sizeof some[0] };
    float found[COUNT][DIMENSION];
    ce_encode_report report = {.size = sizeof report};
    const ce_encode_options options = {.size = sizeof options, .report = &report};
    ce_encoder *encoder = encoding_load(2, 0, 0);
    encoding_run(encoder, some, COUNT, &options, found[0]);
    assert_memory_equal(found[0], found[1], sizeof found[0]);
    assert_memory_equal(found[0], found[2], sizeof found[0]); /* BERT's normalizer drops NUL */
    assert_memory_equal(found[3], found[5], sizeof found[0]);
    for (size_t i = 0; i < COUNT; i++) assert_float_equal(encoding_length(found[i], DIMENSION), 1, 1e-5);
    assert_int_equal(report.truncated, 1);
    assert_int_equal(report.first_truncated, 4);
    ce_encoder_free(encoder);
    free(large);
}

static void test_texts_that_are_not_utf8(void **state) {
    (void)state;
    ce_text some[] = {ce_text_of("word1"), {"word2 \xFF", 7}, {"\xC3", 1}};
    const ce_text prompt = ce_text_of("word3 "), bad = {"word\xFF", 5}, fixed = {"word2 \xEF\xBF\xBD", 9};
    float found[3][DIMENSION], wanted[DIMENSION];
    ce_error error;
    ce_encoder *encoder = encoding_load(2, 0, 0);
    ce_encode_options options = {.size = sizeof options};
    expect_status(ce_encode(encoder, some, 3, &options, found[0], &error), CE_ERR_TEXT, &error, "text 1: ");
    assert_non_null(strstr(error.message, "6")); /* the byte */
    expect_status(ce_encode(encoder, some + 2, 1, &options, found[0], &error), CE_ERR_TEXT, &error, "text 0: ");
    options.prompt = &prompt;
    expect_status(ce_encode(encoder, some, 3, &options, found[0], &error), CE_ERR_TEXT, &error,
                  "text 1 behind its prompt: ");
    options.prompt = &bad;
    expect_status(ce_encode(encoder, some, 1, &options, found[0], &error), CE_ERR_TEXT, &error, "prompt");
    options.prompt = NULL;
    options.utf8 = CE_UTF8_REPLACE;
    encoding_run(encoder, some, 3, &options, found[0]);
    encoding_plain(encoder, &fixed, 1, wanted);
    assert_memory_equal(found[1], wanted, sizeof wanted);
    options.utf8 = (ce_utf8_policy)7;
    expect_status(ce_encode(encoder, some, 1, &options, found[0], &error), CE_ERR_ARGUMENT, &error, "utf8 is 7");
    ce_encoder_free(encoder);
}

/* ---- prompts ---------------------------------------------------------------------------------------------------- */

static void test_prompts_stand_before_the_text(void **state) {
    (void)state;
    const ce_text text = ce_text_of("word3"), none = {NULL, 0}, joined = ce_text_of("word1 word2 word3");
    float found[DIMENSION], wanted[DIMENSION], plain[DIMENSION];
    ce_encoder *encoder = encoding_load(1, 0, 0);
    const ce_text query = ce_text_of(ce_encoder_prompt(encoder, "query"));
    const ce_text *const nothing[] = {NULL, &none};
    ce_encode_options options = {.size = sizeof options, .prompt = &query};
    encoding_run(encoder, &text, 1, &options, found);
    encoding_plain(encoder, &joined, 1, wanted);
    assert_memory_equal(found, wanted, sizeof wanted);
    encoding_plain(encoder, &text, 1, plain);
    for (size_t i = 0; i < 2; i++) {
        options.prompt = nothing[i];
        encoding_run(encoder, &text, 1, &options, found);
        assert_memory_equal(found, plain, sizeof plain);
    }
    options.prompt = &query;
    encoding_run(encoder, &none, 1, &options, found); /* a prompt alone */
    ce_encoder_free(encoder);
}

static void test_a_prompt_that_does_not_count(void **state) {
    (void)state;
    tiny_encoder shape = tiny_encoder_default();
    shape.include_prompt = false;
    const ce_text some[2] = {ce_text_of("word3"), ce_text_of("a word")};
    float with[2][32], without[2][32];
    ce_encoder *encoder = encoding_load_shape(&shape);
    const ce_text bad = {"\xFF", 1}, query = ce_text_of("word1 word2 ");
    ce_encode_options options = {.size = sizeof options, .prompt = &query};
    ce_error error;
    encoding_run(encoder, some, 2, &options, with[0]);
    encoding_run(encoder, some, 2, NULL, without[0]);
    assert_true(memcmp(with, without, sizeof with) != 0); /* it is read */
    options.prompt = &bad;
    expect_status(ce_encode(encoder, some, 1, &options, with[0], &error), CE_ERR_TEXT, &error, "the prompt: ");
    ce_encoder_free(encoder);
}

/* The states of a text's tokens. */
typedef struct states {
    size_t tokens;
    float rows[POSITIONS][32];
} states;

static bool keep_states(void *user, const ce_encoded *encoded) {
    states *to = user;
    to->tokens = encoded->tokens;
    memcpy(to->rows, encoded->token_embeddings, encoded->tokens * sizeof to->rows[0]);
    return true;
}

/* As the reference counts: the special token behind a prompt is the text's. */
static void test_the_tokens_of_a_prompt_that_does_not_count(void **state) {
    (void)state;
    static const struct {
        bool own_tokenizer, with_cls;
        size_t skipped, tokens;
    } all_kinds[] = {{false, true, 2, 4}, {true, true, 2, 3}, {true, false, 1, 2}};
    const ce_load_options load = encoding_options(1, 0, 0);
    const ce_text prompt = ce_text_of("word0 "), text = ce_text_of("word1");
    for (size_t k = 0; k < 3; k++) {
        static states found;
        tiny_encoder shape = tiny_encoder_default();
        shape.include_prompt = false;
        char *own = test_make_folder();
        tiny_encoder_write(&shape, own);
        if (all_kinds[k].own_tokenizer) tiny_model_write_tokenizer(own, all_kinds[k].with_cls);
        ce_encoder *encoder = encoding_load_from(own, &load);
        const ce_encode_options options = {
            .size = sizeof options, .prompt = &prompt, .each = keep_states, .each_user = &found};
        float embedding[32];
        encoding_run(encoder, &text, 1, &options, embedding);
        assert_int_equal(found.tokens, all_kinds[k].tokens);
        for (size_t c = 0; c < 32; c++) {
            double sum = 0;
            for (size_t i = all_kinds[k].skipped; i < found.tokens; i++) sum += (double)found.rows[i][c];
            assert_true(fabs((double)embedding[c] - sum / (double)(found.tokens - all_kinds[k].skipped)) < 1e-5);
        }
        ce_encoder_free(encoder);
        test_remove_folder(own);
    }
}

/* Alone, a prompt may have more tokens than with the text, whose letters complete its word: nothing is left to pool. */
static void test_zeros_stay_zeros_when_they_are_normalized(void **state) {
    (void)state;
    static const float zeros[32];
    const ce_text prompt = ce_text_of("wor"), text = ce_text_of("d1");
    tiny_encoder shape = tiny_encoder_default();
    shape.include_prompt = false;
    ce_encoder *encoder = encoding_load_shape(&shape);
    const ce_encode_options options = {.size = sizeof options, .prompt = &prompt, .normalize = true};
    float found[32];
    encoding_run(encoder, &text, 1, &options, found);
    assert_memory_equal(found, zeros, sizeof zeros);
    ce_encoder_free(encoder);
}

/* A tokenizer that adds no special tokens makes no tokens of an empty text: its embedding is zeros, also where it is
 * normalized. */
static void test_texts_without_tokens(void **state) {
    (void)state;
    static const char *const poolings[] = {"\"cls\"", "\"max\"", "\"mean\"", "[\"cls\", \"mean\"]"};
    static const float zeros[64];
    const ce_load_options load = encoding_options(1, 0, 0);
    const ce_text some[] = {ce_text_of("word0 word1"), {NULL, 0}, ce_text_of("word1"), ce_text_of("")};
    for (size_t k = 0; k < 4; k++) {
        const tiny_encoder shape = encoding_shape(poolings[k], k == 3 ? 2 : 1, 0);
        char *own = test_make_folder();
        tiny_encoder_write(&shape, own);
        tiny_model_write_tokenizer(own, false);
        ce_encoder *encoder = encoding_load_from(own, &load);
        const size_t dimension = shape.poolings * 32;
        const ce_encode_options options = {.size = sizeof options, .normalize = true};
        float found[4 * 64], alone[64];
        encoding_run(encoder, some, 4, &options, found);
        for (size_t i = 0; i < 4; i++) {
            encoding_run(encoder, &some[i], 1, &options, alone);
            assert_memory_equal(alone, found + i * dimension, dimension * sizeof *alone);
            if (some[i].size == 0) assert_memory_equal(alone, zeros, dimension * sizeof *alone);
        }
        ce_encoder_free(encoder);
        test_remove_folder(own);
    }
}

/* ---- limits of a call, tokens --------------------------------------------------------------------------------- */

static void test_a_calls_own_limit(void **state) {
    (void)state;
    const ce_text text = ce_text_of("word1 word2 word3 word4");
    ce_error error;
    ce_encoder *large = encoding_load(2, 0, 0);
    for (size_t limit = 2; limit <= 6; limit++) {
        ce_encoder *small = encoding_load(1, 0, limit);
        ce_encode_report report = {.size = sizeof report};
        const ce_encode_options options = {.size = sizeof options, .report = &report, .max_length = limit};
        float found[DIMENSION], wanted[DIMENSION];
        encoding_run(large, &text, 1, &options, found);
        encoding_plain(small, &text, 1, wanted);
        assert_memory_equal(found, wanted, sizeof wanted);
        assert_int_equal(report.tokens, limit);
        assert_int_equal(report.truncated, limit < 6);
        ce_encoder_free(small);
    }
    float found[DIMENSION];
    for (size_t i = 0; i < 2; i++) {
        const ce_encode_options options = {.size = sizeof options, .max_length = i ? POSITIONS + 1 : 1};
        expect_status(ce_encode(large, &text, 1, &options, found, &error), CE_ERR_ARGUMENT, &error, "from 2");
    }
    ce_encoder_free(large);
}

static void test_the_tokens_of_a_text(void **state) {
    (void)state;
    enum { ROOM = 16 };
    const ce_text text = ce_text_of("word3 word4"), prompt = ce_text_of("word1 word2 ");
    const ce_text joined = ce_text_of("word1 word2 word3 word4"), bad = {"\xFF", 1};
    ce_encode_options options = {.size = sizeof options, .prompt = &prompt};
    ce_text_tokens tokens, plain;
    int32_t ids[ROOM], types[ROOM], wanted[ROOM] = {0};
    ce_error error;
    ce_encoder *encoder = encoding_load(1, 0, 0);
    expect_ok(ce_encoder_tokenize(encoder, text, &options, NULL, NULL, 0, &tokens, &error), &error);
    assert_true(tokens.count == 6 && tokens.prompt == 3 && tokens.removed == 0);
    expect_ok(ce_encoder_tokenize(encoder, text, &options, ids, types, ROOM, &tokens, &error), &error);
    expect_ok(ce_encoder_tokenize(encoder, joined, NULL, wanted, NULL, ROOM, &plain, &error), &error);
    assert_true(plain.count == 6 && plain.prompt == 0);
    assert_memory_equal(ids, wanted, 6 * sizeof *ids);
    for (size_t i = 0; i < 6; i++) assert_int_equal(types[i], 0);
    options.max_length = 4;
    memset(ids, 0xFF, sizeof ids);
    expect_ok(ce_encoder_tokenize(encoder, text, &options, ids, NULL, 3, &tokens, &error), &error);
    assert_true(tokens.count == 4 && tokens.removed == 2 && tokens.prompt == 3 && ids[3] == -1);
    assert_memory_equal(ids, wanted, 3 * sizeof *ids);
    options.max_length = 1;
    expect_status(ce_encoder_tokenize(encoder, text, &options, ids, NULL, 3, &tokens, &error), CE_ERR_ARGUMENT, &error,
                  "max_length is 1");
    expect_status(ce_encoder_tokenize(encoder, bad, NULL, ids, NULL, 3, &tokens, &error), CE_ERR_TEXT, &error, "0xFF");
    expect_status(ce_encoder_tokenize(encoder, text, NULL, NULL, NULL, 3, &tokens, &error), CE_ERR_ARGUMENT, &error,
                  "ids is NULL");
    expect_status(ce_encoder_tokenize(NULL, text, NULL, ids, NULL, 3, &tokens, &error), CE_ERR_ARGUMENT, &error,
                  "encoder is NULL");
    expect_status(ce_encoder_tokenize(encoder, text, NULL, ids, NULL, 3, NULL, &error), CE_ERR_ARGUMENT, &error,
                  "tokens is NULL");
    ce_encoder_free(encoder);
}

/* Said at load, it is as if the folder said so; and the report counts a prompt's tokens either way. */
static void test_include_prompt_at_load(void **state) {
    (void)state;
    static const char *const poolings[] = {"\"mean\"", "\"cls\"", "\"lasttoken\""};
    const ce_text text = ce_text_of("word3"), prompt = ce_text_of("word1 word2 ");
    for (size_t k = 0; k < 6; k++) {
        tiny_encoder shape = encoding_shape(poolings[k / 2], 1, ENCODING_DIMENSION);
        const bool wanted_value = k % 2;
        float found[DIMENSION], wanted[DIMENSION];
        shape.include_prompt = wanted_value;
        ce_encoder *as_saved = encoding_load_shape(&shape);
        char *folder = test_make_folder();
        shape.include_prompt = !wanted_value;
        tiny_encoder_write(&shape, folder);
        ce_load_options load = encoding_options(1, 0, 0);
        load.include_prompt = wanted_value ? CE_INCLUDE_PROMPT_YES : CE_INCLUDE_PROMPT_NO;
        ce_encoder *as_told = encoding_load_from(folder, &load);
        ce_encoder_info info = {.size = sizeof info};
        ce_error error;
        expect_ok(ce_encoder_describe(as_told, &info, &error), &error);
        assert_int_equal(info.include_prompt, wanted_value);
        ce_encode_report report = {.size = sizeof report};
        const ce_encode_options options = {.size = sizeof options, .prompt = &prompt, .report = &report};
        encoding_run(as_saved, &text, 1, &options, wanted);
        encoding_run(as_told, &text, 1, &options, found);
        assert_memory_equal(found, wanted, sizeof wanted);
        assert_int_equal(report.prompt_tokens, 3);
        ce_encoder_free(as_told);
        ce_encoder_free(as_saved);
        test_remove_folder(folder);
    }
    ce_load_options load = encoding_options(1, 0, 0);
    ce_encoder *encoder = NULL;
    ce_model *model = NULL;
    ce_error error;
    load.include_prompt = (ce_include_prompt)3;
    expect_status(ce_encoder_load(encoding_folder, &load, &encoder, &error), CE_ERR_ARGUMENT, &error, "is 3");
    load.include_prompt = CE_INCLUDE_PROMPT_NO;
    expect_status(ce_model_load(encoding_folder, &load, &model, &error), CE_ERR_ARGUMENT, &error, "cross-encoder");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short_limits),
        cmocka_unit_test(test_odd_texts),
        cmocka_unit_test(test_texts_that_are_not_utf8),
        cmocka_unit_test(test_prompts_stand_before_the_text),
        cmocka_unit_test(test_a_prompt_that_does_not_count),
        cmocka_unit_test(test_the_tokens_of_a_prompt_that_does_not_count),
        cmocka_unit_test(test_zeros_stay_zeros_when_they_are_normalized),
        cmocka_unit_test(test_texts_without_tokens),
        cmocka_unit_test(test_a_calls_own_limit),
        cmocka_unit_test(test_the_tokens_of_a_text),
        cmocka_unit_test(test_include_prompt_at_load),
    };
    return cmocka_run_group_tests(tests, encoding_set_up, encoding_tear_down);
}
