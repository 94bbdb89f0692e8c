/* test_config_flash.c - NomicBERT's config.json as its authors write it: what is read, and what is refused by name.
 * What a model with one computes is tests/golden. */
#include "model/config.h"

#include "support/support.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Their config with other settings; a key that comes twice counts the second time. */
static ce_status parse_nomic(const char *more, cei_config *config, ce_error *error) {
    char json[2048];
    const int size = snprintf(
        json, sizeof json,
        "{\"architectures\": [\"NomicBertModel\"], \"model_type\": \"nomic_bert\", \"vocab_size\": 30, \"n_embd\": 24, "
        "\"n_layer\": 3, \"n_head\": 4, \"n_inner\": 300, \"n_positions\": 8192, \"activation_function\": \"swiglu\", "
        "\"layer_norm_epsilon\": 1e-6, \"rotary_emb_fraction\": 1.0, \"rotary_emb_base\": 1000, "
        "\"qkv_proj_bias\": false, \"mlp_fc1_bias\": false, \"mlp_fc2_bias\": false, \"hidden_size\": 7, "
        "\"max_position_embeddings\": 2048%s%s}",
        *more ? ", " : "", more);
    json_t *root = json_loadb(json, (size_t)size, 0, NULL);
    assert_non_null(root);
    char *text = json_dumps(root, 0); /* one of each key */
    json_decref(root);
    const ce_status status = cei_config_parse(text, strlen(text), "dir/config.json", NULL, config, error);
    free(text);
    return status;
}

static void what_the_authors_of_nomic_bert_say(void **state) {
    (void)state;
    ce_error error = {0};
    cei_config config;
    expect_ok(parse_nomic("", &config, &error), &error);
    assert_true(config.is_authors && config.hidden_act == CEI_FN_SILU && config.rope_theta == 1000);
    assert_int_equal(config.hidden_size, 24);
    assert_int_equal(config.layers, 3);
    assert_int_equal(config.heads, 4);
    assert_int_equal(config.intermediate_size, 512);
    assert_int_equal(config.max_positions, 8192);
    assert_true(config.layer_norm_eps == 1e-6);
    cei_config_free(&config);
    expect_ok(parse_nomic("\"rotary_scaling_factor\": 2, \"max_trained_positions\": 1024, "
                          "\"pad_vocab_size_multiple\": 64, \"rotary_emb_scale_base\": null",
                          &config, &error),
              &error);
    assert_int_equal(config.max_positions, 1024);
    assert_int_equal(config.vocab_size, 64);
    cei_config_free(&config);
}

static void what_is_refused_of_nomic_bert(void **state) {
    (void)state;
    static const struct {
        const char *text, *part;
        ce_status status;
    } cases[] = {
        {"\"qkv_proj_bias\": true", "qkv_proj_bias", CE_ERR_UNSUPPORTED},
        {"\"mlp_fc1_bias\": null", "mlp_fc1_bias", CE_ERR_UNSUPPORTED},
        {"\"prenorm\": true", "prenorm", CE_ERR_UNSUPPORTED},
        {"\"causal\": true", "causal", CE_ERR_UNSUPPORTED},
        {"\"rotary_emb_interleaved\": true", "rotary_emb_interleaved", CE_ERR_UNSUPPORTED},
        {"\"rotary_emb_fraction\": 0", "rotary_emb_fraction is 0", CE_ERR_UNSUPPORTED},
        {"\"rotary_emb_scale_base\": 512", "rotary_emb_scale_base", CE_ERR_UNSUPPORTED},
        {"\"activation_function\": \"gelu\"", "\"gelu\"; supported of NomicBERT: swiglu", CE_ERR_UNSUPPORTED},
        {"\"moe_every_n_layers\": 2", "experts", CE_ERR_UNSUPPORTED},
        {"\"layer_norm_epsilon\": 2", "layer_norm_epsilon", CE_ERR_FORMAT},
        {"\"n_embd\": 0", "n_embd", CE_ERR_FORMAT},
        {"\"rotary_emb_base\": 0.5", "rotary_emb_base", CE_ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ce_error error = {0};
        cei_config config;
        expect_status(parse_nomic(cases[i].text, &config, &error), cases[i].status, &error, cases[i].part);
        cei_config_free(&config);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_authors_of_nomic_bert_say),
        cmocka_unit_test(what_is_refused_of_nomic_bert),
    };
    return cmocka_run_group_tests_name("config_flash", tests, NULL, NULL);
}
