/* test_gguf.c - models in a GGUF file against the same models in folders: tokens, and the bits of scores and
 * embeddings; what a file becomes that is converted; files that cannot be read as what is asked for. The files are made
 * by tools/golden/gguf_golden.py of the folders beside them, which test_golden.c compares with the reference. */
#include "model/gguf.h"

#include "support/failing_malloc.h"
#include "support/same_models.h"
#include "support/support.h"

#include <crossenc/crossenc.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *file_of(const char *name) {
    char path[256];
    snprintf(path, sizeof path, "golden/gguf/%s.gguf", name);
    return test_data(path);
}

static const char *folder_of(const char *name) {
    char path[256];
    snprintf(path, sizeof path, "golden/models/%s", name);
    return test_data(path);
}

static void a_file_has_the_bits_of_its_folder(void **state) {
    static const char *const names[][2] = {
        {"xlm-roberta", "xlm-roberta-unigram"}, {"roberta", "roberta-byte-level"}, {"modernbert", "modernbert"}};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        test_same_models(file_of(names[i][0]), folder_of(names[i][1]), names[i][1]);
}

static void copy_to(const char *from, const char *folder, const char *name) {
    size_t size;
    char *data = test_read_file(from, &size);
    test_write_file(folder, name, data, size);
    free(data);
}

/* A GGUF file does not say its function, which is gelu in all published models; the folder's is another. */
static void distilbert_has_them_but_for_its_function(void **state) {
    (void)state;
    static const char *const names[] = {"model.safetensors", "tokenizer.json", "tokenizer_config.json"};
    char *folder = test_make_folder();
    for (size_t i = 0; i < 3; i++) copy_to(test_path(folder_of("distilbert"), names[i]), folder, names[i]);
    json_t *config = json_load_file(test_path(folder_of("distilbert"), "config.json"), 0, NULL);
    json_object_set_new(config, "activation", json_string("gelu"));
    char *text = json_dumps(config, 0);
    test_write_file(folder, "config.json", text, strlen(text));
    test_same_models(file_of("distilbert"), folder, "distilbert");
    free(text);
    json_decref(config);
    test_remove_folder(folder);
}

/* ---- bi-encoders ------------------------------------------------------------------------------------------------- */

/* The folders are taken for transformers with mean pooling, which the files say. */
static void embeddings_have_the_bits_of_the_folder(void **state) {
    (void)state;
    test_same_encoders(file_of("nomic-bert"), folder_of("nomic-bert"));
    test_same_encoders(file_of("without-pooler"), folder_of("three-labels"));
}

/* ---- converting -------------------------------------------------------------------------------------------------- */

static void convert(const char *from, const char *to, ce_convert_report *report) {
    const ce_convert_options options = {.size = sizeof options, .threads = 1};
    ce_error error = {0};
    *report = (ce_convert_report){.size = sizeof *report};
    expect_ok(ce_convert(from, to, &options, report, &error), &error);
}

static void a_file_becomes_a_folder(void **state) {
    (void)state;
    static const char *const names[][2] = {{"quantized", "three-labels"}, {"roberta", "roberta-byte-level"}};
    char *place = test_make_folder();
    for (size_t i = 0; i < 2; i++) {
        ce_convert_report report;
        convert(file_of(names[i][0]), test_path(place, names[i][0]), &report);
        assert_int_equal(report.kind, CE_KIND_CROSS_ENCODER);
        assert_int_equal(report.tensors_dropped, 0);
        test_same_models(file_of(names[i][0]), test_path(place, names[i][0]), names[i][1]);
    }
    test_remove_folder(place);
}

static void a_bi_encoder_becomes_a_folder(void **state) {
    (void)state;
    char *place = test_make_folder();
    ce_convert_report report;
    ce_kind kind = CE_KIND_DEFAULT;
    ce_error error = {0};
    convert(file_of("nomic-bert"), test_path(place, "nomic"), &report);
    assert_int_equal(report.kind, CE_KIND_BI_ENCODER);
    expect_ok(ce_kind_find(test_path(place, "nomic"), &kind, &error), &error);
    assert_int_equal(kind, CE_KIND_BI_ENCODER);
    test_same_encoders(file_of("nomic-bert"), test_path(place, "nomic"));
    test_remove_folder(place);
}

/* ---- what a file is said to be ----------------------------------------------------------------------------------- */

static void a_file_is_described(void **state) {
    (void)state;
    ce_model *model = test_load(file_of("quantized"), 0);
    ce_model_info info = {.size = sizeof info};
    ce_error error = {0};
    expect_ok(ce_model_describe(model, &info, &error), &error);
    assert_string_equal(info.weight_format, "GGUF");
    assert_string_equal(info.architecture, "BertForSequenceClassification");
    assert_int_equal(info.max_length, 64);
    static const char *const types[] = {"Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "F16", "BF16", "F32"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) assert_non_null(strstr(info.weight_dtype, types[i]));
    ce_model_free(model);
}

static void kinds_are_told_apart(void **state) {
    (void)state;
    ce_kind kind = CE_KIND_DEFAULT;
    ce_error error = {0};
    expect_ok(ce_kind_find(file_of("nomic-bert"), &kind, &error), &error);
    assert_int_equal(kind, CE_KIND_BI_ENCODER);
    expect_ok(ce_kind_find(file_of("without-pooler"), &kind, &error), &error);
    assert_int_equal(kind, CE_KIND_CROSS_ENCODER);
}

static void expect_refused(const char *path, ce_status status, const char *part) {
    const ce_load_options options = {.size = sizeof options, .device = "cpu", .threads = 1};
    ce_model *model = NULL;
    ce_error error = {0};
    expect_status(ce_model_load(path, &options, &model, &error), status, &error, part);
    assert_null(model);
}

static void half_a_head_is_refused(void **state) {
    (void)state;
    expect_refused(file_of("without-pooler"), CE_ERR_MODEL, "leave out the pooler of BERT");
    expect_refused(file_of("nomic-bert"), CE_ERR_UNSUPPORTED, "an encoder without a classifier");
}

static void a_folder_may_have_one_file(void **state) {
    (void)state;
    char *folder = test_make_folder();
    copy_to(file_of("quantized"), folder, "model-Q4.gguf");
    test_same_models(folder, file_of("quantized"), "three-labels");
    copy_to(file_of("quantized"), folder, "model-Q8.gguf");
    expect_refused(folder, CE_ERR_UNSUPPORTED, "has 2 GGUF files");
    test_remove_folder(folder);
}

/* The file with one occurrence of a text in it changed to another of the same length. */
static const char *changed(const char *folder, const char *name, const char *from, const char *to) {
    size_t size;
    char *data = test_read_file(file_of(name), &size);
    test_overwrite(data, size, from, to);
    test_write_file(folder, "changed.gguf", data, size);
    free(data);
    return test_path(folder, "changed.gguf");
}

static void what_is_not_known_is_named(void **state) {
    (void)state;
    char *folder = test_make_folder();
    expect_refused(changed(folder, "modernbert", "modern-bert", "modern-llam"), CE_ERR_UNSUPPORTED, "\"modern-llam\"");
    expect_refused(changed(folder, "roberta", "roberta-bpe", "raberta-bpe"), CE_ERR_UNSUPPORTED, "\"raberta-bpe\"");
    expect_refused(changed(folder, "roberta", "gpt2", "rwkv"), CE_ERR_UNSUPPORTED, "\"rwkv\"");
    expect_refused(changed(folder, "roberta", "bert.block_count", "bert.block_caunt"), CE_ERR_FORMAT,
                   "\"bert.block_count\" is missing");
    expect_refused(changed(folder, "roberta", "blk.1.ffn_up.weight", "blk.1.ffn_op.weight"), CE_ERR_MODEL,
                   "intermediate.dense.weight");
    expect_refused(changed(folder, "xlm-roberta", "tokenizer.ggml.scores", "tokenizer.ggml.scares"), CE_ERR_FORMAT,
                   "lacks \"tokenizer.ggml.scores\"");
    test_remove_folder(folder);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static ce_status open_once(void *user, ce_error *error) {
    cei_gguf_model model;
    ce_status status = cei_gguf_model_open(user, false, &model, error);
    if (status == CE_OK) cei_gguf_model_close(&model);
    return status;
}

static void each_allocation_may_fail(void **state) {
    (void)state;
    failing_malloc_or_skip();
    char path[512];
    snprintf(path, sizeof path, "%s", file_of("xlm-roberta"));
    assert_true(test_each_allocation(open_once, path) > 5);
    test_some_allocations(test_load_deferred, path, 200);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_has_the_bits_of_its_folder),
        cmocka_unit_test(distilbert_has_them_but_for_its_function),
        cmocka_unit_test(embeddings_have_the_bits_of_the_folder),
        cmocka_unit_test(a_file_becomes_a_folder),
        cmocka_unit_test(a_bi_encoder_becomes_a_folder),
        cmocka_unit_test(a_file_is_described),
        cmocka_unit_test(kinds_are_told_apart),
        cmocka_unit_test(half_a_head_is_refused),
        cmocka_unit_test(a_folder_may_have_one_file),
        cmocka_unit_test(what_is_not_known_is_named),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("gguf", tests, NULL, NULL);
}
