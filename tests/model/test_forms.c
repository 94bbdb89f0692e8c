/* test_forms.c - what forms of the transformer make of configs: weights that layers share are declared once, and what
 * cannot be had is refused by name. The models are those of tests/golden, with a few words of their configs changed. */
#include "base/memory.h"
#include "formats/checkpoint.h"
#include "model/architecture.h"
#include "support/failing_malloc.h"
#include "support/support.h"

#include <crossenc/crossenc.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A golden model's network and what it is made of. */
typedef struct made {
    cei_config config;
    cei_checkpoint *checkpoint;
    cei_plan plan;
    cei_network *network;
} made;

static void made_free(made *m) {
    cei_free(m->network);
    cei_plan_free(&m->plan);
    cei_checkpoint_close(m->checkpoint);
    cei_config_free(&m->config);
}

/* The config's text with one string in the place of another, which must be there; "" is before everything. */
static char *change(const char *text, const char *from, const char *to) {
    const char *at = strstr(text, from);
    if (!at) fail_msg("the config has no %s", from);
    const size_t size = strlen(text) + strlen(to) + 1;
    char *changed = calloc(size, 1);
    assert_non_null(changed);
    snprintf(changed, size, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    return changed;
}

static ce_status make(const char *model, const char *from, const char *to, made *m, ce_error *error) {
    char name[128];
    size_t size;
    *m = (made){0};
    snprintf(name, sizeof name, "golden/models/%s", model);
    expect_ok(cei_checkpoint_open(test_data(name), &m->checkpoint, error), error);
    strcat(name, "/config.json");
    char *text = test_read_file(test_data(name), &size), *changed = change(text, from, to);
    const cei_architecture *architecture;
    ce_status status = cei_config_parse(changed, strlen(changed), "config.json", NULL, &m->config, error);
    if (status == CE_OK) status = cei_architecture_find(&m->config, &architecture, error);
    if (status == CE_OK)
        status = architecture->create(architecture, &m->config, m->checkpoint, true, &m->plan, &m->network, error);
    if (status == CE_OK) status = cei_plan_check(&m->plan, m->checkpoint, error);
    free(text);
    free(changed);
    return status;
}

static void expect_refused(const char *model, const char *from, const char *to, ce_status want, const char *part) {
    made m;
    ce_error error;
    expect_status(make(model, from, to, &m, &error), want, &error, part);
    made_free(&m);
}

static uint64_t parameters_of(const char *model, const char *from, const char *to) {
    made m;
    ce_error error;
    expect_ok(make(model, from, to, &m, &error), &error);
    const uint64_t parameters = cei_plan_parameters(&m.plan);
    made_free(&m);
    return parameters;
}

/* ---- ALBERT ------------------------------------------------------------------------------------------------- */

static void test_layers_that_are_shared(void **state) {
    (void)state;
    /* The head's two layers are not the encoder's. */
    made m;
    ce_error error;
    expect_ok(make("albert", "", "", &m, &error), &error);
    assert_int_equal(cei_plan_unused(&m.plan, m.checkpoint), 4);
    made_free(&m);
    const uint64_t parameters = parameters_of("albert", "", "");
    assert_int_equal(parameters_of("albert", "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 1000"), parameters);
    assert_int_equal(parameters_of("albert", "\"num_hidden_groups\": 1,", ""), parameters);
    assert_int_equal(parameters_of("albert", "\"inner_group_num\": 1,", ""), parameters);
    assert_int_equal(parameters_of("albert-groups", "\"num_hidden_layers\": 5", "\"num_hidden_layers\": 3"),
                     parameters_of("albert-groups", "", ""));
}

static void test_layers_that_are_refused(void **state) {
    (void)state;
    expect_refused("albert", "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 1025", CE_ERR_UNSUPPORTED,
                   "more than the 1024 layers");
    expect_refused("albert", "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 268435456", CE_ERR_UNSUPPORTED,
                   "num_hidden_layers 268435456 times inner_group_num 1");
    expect_refused("albert", "\"num_hidden_groups\": 1", "\"num_hidden_groups\": 2", CE_ERR_MODEL,
                   "albert_layer_groups.1");
    expect_refused("albert", "\"inner_group_num\": 1", "\"inner_group_num\": 2", CE_ERR_MODEL, "albert_layers.1");
}

/* ---- JinaBERT, NewModel ------------------------------------------------------------------------------------- */

/* jina-embeddings-v2 is published as a model for pre-training. */
static void test_a_type_that_is_shared(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const cei_architecture *encoder, *classifier; /* NULL: none */
    } cases[] = {
        {"{\"model_type\": \"bert\"}", &cei_bert, &cei_bert},
        {"{\"model_type\": \"bert\", \"position_embedding_type\": \"alibi\", \"feed_forward_type\": \"geglu\"}",
         &cei_jina_bert, &cei_jina_bert},
        {"{\"model_type\": \"bert\", \"position_embedding_type\": \"alibi\", \"feed_forward_type\": \"geglu\","
         "\"architectures\": [\"JinaBertForMaskedLM\"]}",
         &cei_jina_bert, NULL},
        {"{\"model_type\": \"bert\", \"architectures\": [\"JinaBertModel\"]}", &cei_bert, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const cei_architecture *found = NULL;
        ce_error error;
        cei_config config;
        expect_ok(cei_config_parse(cases[i].text, strlen(cases[i].text), "config.json", NULL, &config, &error), &error);
        expect_ok(cei_architecture_find_encoder(&config, &found, &error), &error);
        assert_ptr_equal(found, cases[i].encoder);
        const ce_status status = cei_architecture_find(&config, &found, &error);
        assert_int_equal(status, cases[i].classifier ? CE_OK : CE_ERR_UNSUPPORTED);
        if (cases[i].classifier) assert_ptr_equal(found, cases[i].classifier);
        cei_config_free(&config);
    }
}

/* jina-reranker-v1 is published so. */
static void test_a_class_without_a_head(void **state) {
    (void)state;
    assert_int_equal(parameters_of("jina-bert", "JinaBertForSequenceClassification", "JinaBertModel"),
                     parameters_of("jina-bert", "", ""));
    expect_refused("albert", "AlbertForSequenceClassification", "AlbertModel", CE_ERR_UNSUPPORTED, "AlbertModel");
}

static void test_switches_that_are_refused(void **state) {
    (void)state;
    expect_refused("jina-bert", "\"alibi\"", "\"relative_key\"", CE_ERR_UNSUPPORTED,
                   "JinaBertForSequenceClassification");
    expect_refused("jina-bert", "\"geglu\"", "\"original\"", CE_ERR_UNSUPPORTED, "feed_forward_type \"original\"");
    expect_refused("jina-bert", "\"max_position_embeddings\": 128", "\"max_position_embeddings\": 65537",
                   CE_ERR_UNSUPPORTED, "65536");
    expect_refused("jina-xlm-roberta", "\"absolute\"", "\"alibi\"", CE_ERR_UNSUPPORTED, "feed_forward_type");
    expect_refused("jina-rotary", "\"use_flash_attn\": true", "\"rotary_emb_interleaved\": true", CE_ERR_UNSUPPORTED,
                   "rotary_emb_interleaved");
    expect_refused("jina-rotary", "\"use_flash_attn\": true", "\"rotary_emb_dim\": 2", CE_ERR_UNSUPPORTED,
                   "rotary_emb_dim");
    expect_refused("new", "\"rope\"", "\"absolute\"", CE_ERR_UNSUPPORTED, "\"absolute\"; supported: rope");
    expect_refused("new", "\"logn_attention_scale\": false", "\"logn_attention_scale\": true", CE_ERR_UNSUPPORTED,
                   "logn_attention_scale");
    expect_refused("new", "\"layer_norm\"", "\"rms_norm\"", CE_ERR_UNSUPPORTED, "layer_norm_type \"rms_norm\"");
    expect_refused("mpnet", "\"relative_attention_num_buckets\": 32", "\"relative_attention_num_buckets\": 16",
                   CE_ERR_MODEL, "relative_attention_num_buckets is 16");
}

static void test_scaling_that_is_refused(void **state) {
    (void)state;
    expect_refused("gte", "\"hidden_act\": \"gelu\"",
                   "\"rope_scaling\": {\"type\": \"longrope\", \"short_factor\": [1, 2]}", CE_ERR_MODEL,
                   "short_factor has 2 numbers");
    expect_refused("gte", "\"hidden_act\": \"gelu\"",
                   "\"rope_theta\": 1, \"rope_scaling\": {\"type\": \"yarn\", \"factor\": 2}", CE_ERR_MODEL,
                   "rope_theta is 1");
    expect_refused("gte", "\"hidden_act\": \"gelu\"", "\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 1e-300}",
                   CE_ERR_MODEL, "no numbers");
    expect_refused("gte", "\"hidden_act\": \"gelu\"",
                   "\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 2, \"attention_factor\": 1e20}", CE_ERR_MODEL,
                   "no numbers");
}

/* ---- DeBERTa ------------------------------------------------------------------------------------------------ */

static void test_the_first_deberta(void **state) {
    (void)state;
    made m;
    ce_error error;
    expect_ok(make("deberta", "", "", &m, &error), &error);
    assert_int_equal(cei_plan_unused(&m.plan, m.checkpoint), 4); /* of the head */
    made_free(&m);
    /* Settings of later versions, which it does not read. */
    assert_int_equal(parameters_of("deberta", "\"pooler_hidden_act\"",
                                   "\"share_att_key\": true, \"position_buckets\": 32, \"conv_kernel_size\": 3, "
                                   "\"norm_rel_ebd\": \"layer_norm\", \"pooler_hidden_act\""),
                     parameters_of("deberta", "", ""));
    expect_refused("deberta", "\"c2p|p2c\"", "\"c2p|p2c\", \"talking_head\": true", CE_ERR_UNSUPPORTED, "talking_head");
    expect_refused("deberta", "\"c2p|p2c\"", "\"c2p|p2p\"", CE_ERR_UNSUPPORTED, "pos_att_type has 2 words");
    expect_refused("deberta-p2c", "\"p2c\"", "\"p2c\", \"p2p\"", CE_ERR_UNSUPPORTED, "pos_att_type has 2 words");
    expect_refused("deberta", "\"hidden_size\": 24", "\"hidden_size\": 30", CE_ERR_MODEL, "word_embeddings");
    expect_refused("deberta", "\"hidden_size\": 24", "\"hidden_size\": 268435455", CE_ERR_MODEL,
                   "hidden_size is 268435455");
}

/* ---- memory ------------------------------------------------------------------------------------------------- */

static ce_status load_and_free(void *user, ce_error *error) {
    const ce_load_options options = {.size = sizeof options, .device = "cpu", .threads = 1};
    ce_model *model = NULL;
    const ce_status status = ce_model_load(user, &options, &model, error);
    ce_model_free(model);
    return status;
}

/* What these models have of their own, from the config's arrays to derived weights and zeros. */
static void test_no_memory(void **state) {
    (void)state;
    failing_malloc_or_skip();
    static const char *const models[] = {"albert", "mpnet", "jina-bert", "deberta", "nomic-longrope"};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        char name[128];
        snprintf(name, sizeof name, "golden/models/%s", models[i]);
        char *folder = strdup(test_data(name));
        assert_non_null(folder);
        test_some_allocations(load_and_free, folder, 80);
        free(folder);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layers_that_are_shared),    cmocka_unit_test(test_layers_that_are_refused),
        cmocka_unit_test(test_a_type_that_is_shared),     cmocka_unit_test(test_a_class_without_a_head),
        cmocka_unit_test(test_switches_that_are_refused), cmocka_unit_test(test_scaling_that_is_refused),
        cmocka_unit_test(test_the_first_deberta),         cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests_name("forms of the transformer", tests, NULL, NULL);
}
