/* test_config_decoder.c - what decoders' configs say, what their classes have where a field is left out, and what is
 * refused. The numbers are those of transformers' classes. */
#include "model/config.h"

#include "support/failing_malloc.h"
#include "support/support.h"

#include <stdio.h>
#include <string.h>

/* A small config of a model type with text, which has single quotes, in front of its last brace. */
static ce_status parse(const char *model_type, const char *text, cei_config *config, ce_error *error) {
    char json[1024];
    const int size = snprintf(json, sizeof json,
                              "{'model_type': '%s', 'vocab_size': 8, 'hidden_size': 64, 'num_hidden_layers': 6, "
                              "'num_attention_heads': 32, 'intermediate_size': 12, 'max_position_embeddings': 16%s%s}",
                              model_type, *text ? ", " : "", text);
    for (int i = 0; i < size; i++) json[i] = json[i] == '\'' ? '"' : json[i];
    return cei_config_parse(json, (size_t)size, "dir/config.json", NULL, config, error);
}

static cei_config read(const char *model_type, const char *text) {
    ce_error error = {0};
    cei_config config;
    expect_ok(parse(model_type, text, &config, &error), &error);
    assert_true(config.decoder.is_on);
    return config;
}

/* Heads of keys, columns of a head, the window, and which of six layers have it. */
static void expect_layers(const char *model_type, const char *text, size_t key_heads, size_t head_size, size_t window,
                          const char *layers) {
    cei_config config = read(model_type, text);
    assert_int_equal(config.decoder.key_heads, key_heads);
    assert_int_equal(config.decoder.head_size, head_size);
    assert_int_equal(config.decoder.window, window);
    for (size_t i = 0; i < 6; i++) assert_int_equal(cei_config_is_local(&config, i), layers[i] == 'L');
    cei_config_free(&config);
}

static void what_is_left_out(void **state) {
    (void)state;
    expect_layers("qwen2", "", 32, 0, 0, "------");
    expect_layers("qwen3", "", 32, 128, 0, "------");
    expect_layers("llama", "", 32, 0, 0, "------");
    expect_layers("mistral", "", 8, 0, 4096, "LLLLLL");
    expect_layers("gemma", "", 16, 256, 0, "------");
    expect_layers("gemma2", "", 4, 256, 4096, "L-L-L-");
    expect_layers("gemma3_text", "", 4, 256, 4096, "LLLLL-");
}

static void what_is_written(void **state) {
    (void)state;
    static const char window[] = "'use_sliding_window': true, 'sliding_window': 9, 'max_window_layers': 4";
    static const char types[] = "'use_sliding_window': true, 'sliding_window': 9, 'layer_types': ['sliding_attention', "
                                "'full_attention', 'full_attention', 'full_attention', 'full_attention', "
                                "'sliding_attention']";
    expect_layers("qwen2", window, 32, 0, 9, "----LL");
    expect_layers("qwen3", types, 32, 128, 9, "L----L");
    expect_layers("qwen3", "'sliding_window': 9, 'num_key_value_heads': 2, 'head_dim': 6", 2, 6, 0, "------");
    expect_layers("qwen3", "'num_key_value_heads': null, 'head_dim': null", 32, 0, 0, "------");
    expect_layers("mistral", "'sliding_window': null, 'head_dim': 10", 8, 10, 0, "------");
    expect_layers("mistral", types, 8, 0, 9, "LLLLLL"); /* whose class has all layers alike */
    expect_layers("gemma3_text", "'sliding_window_pattern': 2, 'sliding_window': 7", 4, 256, 7, "L-L-L-");
}

static void functions_and_numbers(void **state) {
    (void)state;
    cei_config config = read("qwen3", "'rms_norm_eps': 0.25, 'attention_bias': true, 'mlp_bias': true");
    assert_true(config.layer_norm_eps == 0.25 && config.hidden_act == CEI_FN_SILU && !config.decoder.ties_words);
    assert_true(config.attention_bias && !config.mlp_bias && config.pad_token_id == CEI_NO_TOKEN);
    cei_config_free(&config);
    config = read("llama", "'mlp_bias': true, 'tie_word_embeddings': true, 'pad_token_id': 3");
    assert_true(config.mlp_bias && config.decoder.ties_words && config.layer_norm_eps == 1e-6);
    assert_int_equal(config.pad_token_id, 3);
    cei_config_free(&config);
    config = read("gemma", "'hidden_act': 'gelu', 'tie_word_embeddings': false");
    assert_true(config.hidden_act == CEI_FN_GELU_TANH && !config.decoder.ties_words && config.pad_token_id == 0);
    cei_config_free(&config);
    config = read("gemma2", "'hidden_activation': 'gelu', 'attn_logit_softcapping': null, 'pad_token_id': null");
    assert_true(config.hidden_act == CEI_FN_GELU && config.decoder.query_scale == 256 && config.decoder.score_cap == 0);
    assert_true(config.decoder.logit_cap == 30 && config.decoder.ties_words && config.pad_token_id == CEI_NO_TOKEN);
    cei_config_free(&config);
    config = read("gemma3_text", "'query_pre_attn_scalar': 24, 'attn_logit_softcapping': 5, 'rope_theta': 90, "
                                 "'rope_local_base_freq': 40, 'use_bidirectional_attention': true");
    assert_true(config.decoder.query_scale == 24 && config.decoder.score_cap == 0 && config.decoder.sees_ahead);
    assert_true(config.rope_theta == 90 && config.local_rope_theta == 40);
    cei_config_free(&config);
}

static void other_models_are_none(void **state) {
    (void)state;
    ce_error error = {0};
    cei_config config;
    expect_ok(parse("bert", "'num_key_value_heads': 0, 'sliding_window': 'x', 'rms_norm_eps': 7", &config, &error),
              &error);
    assert_true(!config.decoder.is_on && config.decoder.key_heads == 0);
    cei_config_free(&config);
}

static void expect_refusal(const char *model_type, const char *text, ce_status want, const char *part) {
    ce_error error = {0};
    cei_config config;
    memset(&config, 0xA5, sizeof config);
    expect_status(parse(model_type, text, &config, &error), want, &error, part);
    cei_config_free(&config); /* a failed parse leaves a zeroed config */
}

static void what_is_refused(void **state) {
    (void)state;
    expect_refusal("qwen2", "'num_key_value_heads': 0", CE_ERR_FORMAT, "num_key_value_heads");
    expect_refusal("qwen3", "'head_dim': 'x'", CE_ERR_FORMAT, "head_dim");
    expect_refusal("llama", "'rms_norm_eps': 2", CE_ERR_FORMAT, "rms_norm_eps");
    expect_refusal("mistral", "'sliding_window': 1", CE_ERR_UNSUPPORTED, "sliding_window of 1");
    expect_refusal("gemma", "'use_bidirectional_attention': true", CE_ERR_UNSUPPORTED, "use_bidirectional_attention");
    expect_refusal("gemma2", "'attn_logit_softcapping': -1", CE_ERR_FORMAT, "attn_logit_softcapping");
    expect_refusal("gemma2", "'hidden_activation': 'mish'", CE_ERR_UNSUPPORTED, "mish");
    expect_refusal("gemma3_text", "'sliding_window_pattern': 0", CE_ERR_FORMAT, "sliding_window_pattern");
    expect_refusal("qwen2", "'use_sliding_window': 3", CE_ERR_FORMAT, "use_sliding_window");
}

static ce_status parse_and_free(void *user, ce_error *error) {
    (void)user;
    cei_config config;
    const ce_status status = parse("gemma3_text", "'sliding_window': 9", &config, error);
    if (status == CE_OK) cei_config_free(&config);
    return status;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    assert_true(test_each_allocation(parse_and_free, NULL) > 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_left_out),      cmocka_unit_test(what_is_written),
        cmocka_unit_test(functions_and_numbers), cmocka_unit_test(other_models_are_none),
        cmocka_unit_test(what_is_refused),       cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
