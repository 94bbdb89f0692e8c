/* test_decoder.c - what the golden results do not say of decoders: texts without tokens, and configs that contradict
 * themselves or their weights. */
#include "support/support.h"

#include <crossenc/crossenc.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ce_status load(const char *folder, ce_model **model, ce_error *error) {
    const ce_load_options options = {.size = sizeof options, .device = "cpu", .threads = 2};
    return ce_model_load(folder, &options, model, error);
}

static void predict(ce_model *model, const ce_pair *pairs, size_t count, float *logits) {
    const ce_score_options raw = {.size = sizeof raw, .activation = CE_ACTIVATION_IDENTITY};
    ce_error error = {0};
    expect_ok(ce_predict(model, pairs, count, &raw, logits, &error), &error);
}

/* Qwen's tokenizer adds no special token, so that an empty pair has none at all: its state is zeros and so, without
 * bias, its score. The reference makes nothing of it. The last pair ends with what is padding to the model. */
static void texts_without_tokens(void **state) {
    (void)state;
    static const char *const texts[][2] = {{"", ""}, {"how many people", "the city of berlin"},
                                           {"", ""}, {"", "water"},
                                           {"", ""}, {"sea", "x<|endoftext|>"}};
    enum { COUNT = sizeof texts / sizeof *texts };
    ce_pair pairs[COUNT];
    float all[COUNT], alone, without[2];
    ce_model *model = NULL;
    ce_error error = {0};
    for (size_t i = 0; i < COUNT; i++) pairs[i] = (ce_pair){ce_text_of(texts[i][0]), ce_text_of(texts[i][1])};
    expect_ok(load(test_data("golden/models/qwen2"), &model, &error), &error);
    predict(model, pairs, COUNT, all);
    for (size_t i = 0; i < COUNT; i++) {
        predict(model, &pairs[i], 1, &alone);
        assert_memory_equal(&alone, &all[i], sizeof alone);
        assert_true(*texts[i][1] ? all[i] != 0 : all[i] == 0);
    }
    predict(model, (ce_pair[]){pairs[5], {ce_text_of("sea"), ce_text_of("x")}}, 2, without);
    assert_true(fabsf(without[0] - without[1]) < 1e-5f); /* no token sees those behind it */
    ce_model_free(model);
}

/* ---- what is refused ------------------------------------------------------------------------------------------ */

/* A copy of a golden model in whose config one text stands for another. */
static void expect_refusal(const char *name, const char *from, const char *to, ce_status want, const char *part) {
    static const char *const files[] = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"};
    char *folder = test_make_folder(), path[200];
    ce_model *model = NULL;
    ce_error error = {0};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        size_t size;
        snprintf(path, sizeof path, "golden/models/%s/%s", name, files[i]);
        char *data = test_read_file(test_data(path), &size), *at = i == 0 ? strstr(data, from) : NULL;
        char *changed = calloc(1, size + strlen(to) + 1);
        assert_non_null(changed);
        if (i == 0) {
            assert_non_null(at);
            snprintf(changed, size + strlen(to), "%.*s%s%s", (int)(at - data), data, to, at + strlen(from));
            size = strlen(changed);
        } else {
            memcpy(changed, data, size);
        }
        test_write_file(folder, files[i], changed, size);
        free(changed);
        free(data);
    }
    expect_status(load(folder, &model, &error), want, &error, part);
    test_remove_folder(folder);
}

static void what_is_refused(void **state) {
    (void)state;
    expect_refusal("qwen3", "\"num_key_value_heads\": 2", "\"num_key_value_heads\": 4", CE_ERR_MODEL, "not a multiple");
    expect_refusal("qwen3", "\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", CE_ERR_MODEL, "k_proj");
    expect_refusal("qwen3", "\"head_dim\": 8", "\"head_dim\": 7", CE_ERR_MODEL, "turned in pairs");
    expect_refusal("qwen3", "\"head_dim\": 8", "\"head_dim\": 6", CE_ERR_MODEL, "q_proj");
    expect_refusal("qwen3", "\"head_dim\": 8", "\"head_dim\": 70000", CE_ERR_UNSUPPORTED, "70000");
    expect_refusal("qwen3", "\"model_type\": \"qwen3\"", "\"model_type\": \"bert\"", CE_ERR_MODEL, "of two kinds");
    expect_refusal("qwen3", "\"Qwen3ForSequenceClassification\"", "\"Qwen3ForCausalLM\"", CE_ERR_MODEL,
                   "no token \"yes\"");
    expect_refusal("llama", "\"LlamaForSequenceClassification\"", "\"Qwen2ForSequenceClassification\"", CE_ERR_MODEL,
                   "of two kinds");
    expect_refusal("mistral", "\"hidden_size\": 16", "\"hidden_size\": 18", CE_ERR_MODEL, "embed_tokens");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(texts_without_tokens), cmocka_unit_test(what_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
