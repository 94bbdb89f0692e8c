/* test_scorer_modules.c - cross-encoders in modules: which folders are one, what they give, and what is refused. */
#include "model/modules.h"

#include "support/failing_malloc.h"
#include "support/support.h"

#include <crossenc/model.h>

#include <stdio.h>
#include <string.h>

#define NEW "sentence_transformers.base.modules."
#define TYPE(path, type) "{\"path\": \"" path "\", \"type\": \"" type "\"}"
#define FIRST TYPE("", NEW "transformer.Transformer")
#define POOLED FIRST ", " TYPE("1_Pooling", "sentence_transformers.sentence_transformer.modules.pooling.Pooling")
#define SCORES "{\"in_features\": 8, \"out_features\": 3, \"module_output_name\": \"scores\"}"

static char *folder;

static void write_text(const char *name, const char *text) { test_write_file(folder, name, text, strlen(text)); }

/* A pooling and a Dense that gives three scores. */
static int set_up(void **state) {
    (void)state;
    folder = test_make_folder();
    test_make_inner(folder, "1_Pooling");
    test_make_inner(folder, "2_Dense");
    write_text("modules.json", "[" POOLED ", " TYPE("2_Dense", NEW "dense.Dense") "]");
    write_text("1_Pooling/config.json", "{\"pooling_mode\": \"cls\"}");
    write_text("2_Dense/config.json", SCORES);
    write_text("config_sentence_transformers.json", "{\"model_type\": \"CrossEncoder\"}");
    write_text("sentence_bert_config.json", "{\"transformer_task\": \"feature-extraction\", \"max_seq_length\": 77}");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    test_remove_folder(folder);
    return 0;
}

static cei_modules load(void) {
    cei_modules modules;
    ce_error error;
    memset(&modules, 0xA5, sizeof modules);
    expect_ok(cei_modules_load_scorer(folder, NULL, &modules, &error), &error);
    return modules;
}

static void expect_refused(ce_status want, const char *part) {
    cei_modules modules;
    ce_error error = {CE_OK, ""};
    memset(&modules, 0xA5, sizeof modules);
    expect_status(cei_modules_load_scorer(folder, NULL, &modules, &error), want, &error, part);
    cei_modules_free(&modules); /* a failed load leaves zeroed modules */
    assert_int_equal(cei_modules_load_scorer(folder, NULL, &modules, NULL), want);
}

static void test_modules_are_the_head(void **state) {
    (void)state;
    cei_modules modules = load();
    assert_true(cei_modules_are_head(&modules));
    assert_int_equal(modules.layer_count, 1);
    assert_int_equal(modules.layers[0].out, 3);
    assert_int_equal(modules.poolings[0], CEI_POOL_FIRST);
    assert_int_equal(modules.max_length, 77);
    cei_modules_free(&modules);
}

/* Without modules, of another kind, and with transformers' classifier as the only module. */
static void test_folders_that_are_classifiers(void **state) {
    (void)state;
    write_text("config_sentence_transformers.json", "{\"model_type\": \"SentenceTransformer\"}");
    cei_modules modules = load();
    assert_false(cei_modules_are_head(&modules));
    cei_modules_free(&modules);
    write_text("config_sentence_transformers.json",
               "{\"model_type\": \"CrossEncoder\", \"default_prompt_name\": \"q\", \"prompts\": {\"q\": \"Q: \"}}");
    write_text("modules.json", "[" FIRST "]");
    write_text("sentence_bert_config.json", "{\"transformer_task\": \"sequence-classification\"}");
    modules = load();
    assert_false(cei_modules_are_head(&modules));
    assert_false(modules.reads_messages);
    assert_string_equal(modules.transformer, "");
    assert_string_equal(modules.default_prompt, "q");
    assert_string_equal(modules.prompts[0].text, "Q: ");
    cei_modules_free(&modules);
    write_text("config_sentence_transformers.json",
               "{\"model_type\": \"CrossEncoder\", \"default_prompt_name\": \"query\"}");
    expect_refused(CE_ERR_MODEL, "the default prompt \"query\" is not among its prompts");
    write_text("modules.json", "");
    expect_refused(CE_ERR_FORMAT, "modules.json");
}

static void test_what_is_refused(void **state) {
    (void)state;
    write_text("2_Dense/config.json", "{\"in_features\": 8, \"out_features\": 3}");
    expect_refused(CE_ERR_UNSUPPORTED, "\"sentence_embedding\", not scores");
    write_text("2_Dense/config.json", SCORES);
    write_text("modules.json",
               "[" POOLED ", " TYPE("2_Dense", NEW "dense.Dense") ", " TYPE("3_N", NEW "normalize.Normalize") "]");
    expect_refused(CE_ERR_UNSUPPORTED, "\"scores\"");
    write_text("modules.json", "[" POOLED ", " TYPE("2_N", NEW "normalize.Normalize") "]");
    expect_refused(CE_ERR_UNSUPPORTED, "Normalize");
    write_text("modules.json", "[" POOLED "]");
    expect_refused(CE_ERR_UNSUPPORTED, "Pooling");
    write_text("modules.json",
               "[" FIRST ", " TYPE("1_S", "sentence_transformers.cross_encoder.modules.logit_score.LogitScore") "]");
    expect_refused(CE_ERR_UNSUPPORTED, "LogitScore");
    write_text("modules.json", "[" FIRST "]");
    expect_refused(CE_ERR_UNSUPPORTED, "transformer_task");
    write_text("modules.json", "[]");
    expect_refused(CE_ERR_FORMAT, "1 to");
}

/* The number of labels is the last module's, whatever is asked for. */
static void test_labels_that_contradict_the_head(void **state) {
    (void)state;
    ce_error error;
    ce_model *model = NULL;
    ce_load_options options = {.size = sizeof options, .device = "cpu", .num_labels = 2};
    expect_status(ce_model_load(test_data("golden/models/bert-modules"), &options, &model, &error), CE_ERR_ARGUMENT,
                  &error, "gives 3");
    options.num_labels = 3;
    expect_ok(ce_model_load(test_data("golden/models/bert-modules"), &options, &model, &error), &error);
    ce_model_info info = {.size = sizeof info};
    expect_ok(ce_model_describe(model, &info, &error), &error);
    assert_int_equal(info.num_labels, 3);
    assert_string_equal(info.architecture, "BertModel");
    ce_model_free(model);
}

static ce_status load_and_free(void *user, ce_error *error) {
    cei_modules modules;
    ce_status status = cei_modules_load_scorer(user, NULL, &modules, error);
    cei_modules_free(&modules);
    return status;
}

static void test_each_allocation_fails(void **state) {
    (void)state;
    failing_malloc_or_skip();
    assert_true(test_each_allocation(load_and_free, folder) > 10);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(test_modules_are_the_head),  test(test_folders_that_are_classifiers),
        test(test_what_is_refused),       test(test_labels_that_contradict_the_head),
        test(test_each_allocation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
