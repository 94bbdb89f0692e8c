/* same_models.c - two models loaded side by side. Relies on the pairs of tests/data/golden. */
#include "support/same_models.h"

#include "support/support.h"

#include <crossenc/crossenc.h>

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { TOKENS = 1024, LABELS = 8, MOST_PAIRS = 64, MOST_VALUES = 64 };

ce_model *test_load(const char *path, size_t max_length) {
    const ce_load_options options = {.size = sizeof options, .device = "cpu", .threads = 1, .max_length = max_length};
    ce_model *model = NULL;
    ce_error error = {0};
    expect_ok(ce_model_load(path, &options, &model, &error), &error);
    return model;
}

static ce_encoder *load_encoder(const char *path) {
    const ce_load_options options = {.size = sizeof options, .device = "cpu", .threads = 1};
    ce_encoder *encoder = NULL;
    ce_error error = {0};
    expect_ok(ce_encoder_load(path, &options, &encoder, &error), &error);
    return encoder;
}

/* The pairs that the reference's results are of. */
typedef struct cases {
    json_t *root;
    size_t max_length, count;
    ce_pair pairs[MOST_PAIRS];
} cases;

static ce_text text_of(const json_t *string) {
    return (ce_text){json_string_value(string), json_string_length(string)};
}

static cases read_cases(const char *folder) {
    char path[256];
    snprintf(path, sizeof path, "golden/%s.json", folder);
    cases all = {.root = json_load_file(test_data(path), JSON_ALLOW_NUL, NULL)};
    assert_non_null(all.root);
    all.max_length = (size_t)json_integer_value(json_object_get(all.root, "max_length"));
    json_t *pairs = json_object_get(json_array_get(json_object_get(all.root, "cases"), 0), "pairs"), *entry;
    size_t i;
    json_array_foreach(pairs, i, entry) {
        if (i == MOST_PAIRS) break;
        all.pairs[all.count++] =
            (ce_pair){text_of(json_object_get(entry, "query")), text_of(json_object_get(entry, "document"))};
    }
    assert_true(all.count > 5);
    return all;
}

static size_t tokenize(const ce_model *model, ce_pair pair, int32_t ids[TOKENS], int32_t types[TOKENS]) {
    size_t count = 0;
    ce_error error = {0};
    expect_ok(ce_tokenize(model, pair, NULL, ids, types, TOKENS, &count, NULL, &error), &error);
    return count;
}

static void same_tokens(const ce_model *a, const ce_model *b, ce_pair pair) {
    int32_t ids[2][TOKENS], types[2][TOKENS];
    const size_t count = tokenize(a, pair, ids[0], types[0]);
    assert_in_range(count, 1, TOKENS);
    assert_int_equal(tokenize(b, pair, ids[1], types[1]), count);
    assert_memory_equal(ids[0], ids[1], count * sizeof **ids);
    assert_memory_equal(types[0], types[1], count * sizeof **types);
}

static size_t labels_of(const ce_model *model) {
    ce_model_info info = {.size = sizeof info};
    ce_error error = {0};
    expect_ok(ce_model_describe(model, &info, &error), &error);
    return info.num_labels;
}

static void predict(ce_model *model, const cases *all, float *logits) {
    const ce_score_options options = {.size = sizeof options, .activation = CE_ACTIVATION_IDENTITY};
    ce_error error = {0};
    expect_ok(ce_predict(model, all->pairs, all->count, &options, logits, &error), &error);
}

void test_same_models(const char *one, const char *other, const char *folder) {
    float logits[2][MOST_PAIRS * LABELS];
    const cases all = read_cases(folder);
    ce_model *a = test_load(one, all.max_length), *b = test_load(other, all.max_length);
    const size_t labels = labels_of(a);
    assert_int_equal(labels_of(b), labels);
    for (size_t i = 0; i < labels; i++) assert_string_equal(ce_model_label(a, i), ce_model_label(b, i));
    for (size_t i = 0; i < all.count; i++) same_tokens(a, b, all.pairs[i]);
    predict(a, &all, logits[0]);
    predict(b, &all, logits[1]);
    assert_memory_equal(logits[0], logits[1], all.count * labels * sizeof(float));
    ce_model_free(a);
    ce_model_free(b);
    json_decref(all.root);
}

static size_t encode(const char *path, float values[3 * MOST_VALUES]) {
    const ce_text texts[] = {ce_text_of("how many people live in berlin?"), ce_text_of(""), ce_text_of("Äpfel, a b")};
    ce_encoder *encoder = load_encoder(path);
    ce_encoder_info info = {.size = sizeof info};
    ce_error error = {0};
    expect_ok(ce_encoder_describe(encoder, &info, &error), &error);
    assert_true(info.dimension <= MOST_VALUES);
    expect_ok(ce_encode(encoder, texts, 3, NULL, values, &error), &error);
    ce_encoder_free(encoder);
    return info.dimension;
}

void test_same_encoders(const char *one, const char *other) {
    float values[2][3 * MOST_VALUES];
    const size_t dimension = encode(one, values[0]);
    assert_int_equal(encode(other, values[1]), dimension);
    assert_memory_equal(values[0], values[1], 3 * dimension * sizeof(float));
}
