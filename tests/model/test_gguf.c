/* test_gguf.c - models in a GGUF file against the same models in folders: tokens, and the bits of scores and
 * embeddings; what a file becomes that is converted; files that cannot be read as what is asked for. The files are made
 * by tools/golden/gguf_golden.py of the folders beside them, which test_golden.c compares with the reference. */
#include "model/gguf.h"

#include "support/failing_malloc.h"
#include "support/support.h"

#include <crossenc/crossenc.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 256, LABELS = 8, MOST_PAIRS = 64, MOST_VALUES = 64 };

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

static ce_model *load(const char *path, size_t max_length) {
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

/* ---- cross-encoders ---------------------------------------------------------------------------------------------- */

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

static void same_models(const char *one, const char *other, const char *folder) {
    float logits[2][MOST_PAIRS * LABELS];
    const cases all = read_cases(folder);
    ce_model *a = load(one, all.max_length), *b = load(other, all.max_length);
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

static void a_file_has_the_bits_of_its_folder(void **state) {
    static const char *const names[][2] = {
        {"xlm-roberta", "xlm-roberta-unigram"}, {"roberta", "roberta-byte-level"}, {"modernbert", "modernbert"}};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        same_models(file_of(names[i][0]), folder_of(names[i][1]), names[i][1]);
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
    same_models(file_of("distilbert"), folder, "distilbert");
    free(text);
    json_decref(config);
    test_remove_folder(folder);
}

/* ---- bi-encoders ------------------------------------------------------------------------------------------------- */

static size_t encode(const char *path, float values[3 * MOST_VALUES]) {
    const ce_text texts[] = {ce_text_of("how many people live in berlin?"), ce_text_of(""), ce_text_of("Äpfel, a b")};
    ce_encoder *encoder = load_encoder(path);
    ce_encoder_info info = {.size = sizeof info};
    ce_error error = {0};
    expect_ok(ce_encoder_describe(encoder, &info, &error), &error);
    assert_string_equal(info.pooling, "mean");
    assert_true(info.dimension <= MOST_VALUES);
    expect_ok(ce_encode(encoder, texts, 3, NULL, values, &error), &error);
    ce_encoder_free(encoder);
    return info.dimension;
}

static void same_encoders(const char *one, const char *other) {
    float values[2][3 * MOST_VALUES];
    const size_t dimension = encode(one, values[0]);
    assert_int_equal(encode(other, values[1]), dimension);
    assert_memory_equal(values[0], values[1], 3 * dimension * sizeof(float));
}

/* The folders are taken for transformers with mean pooling, which the files say. */
static void embeddings_have_the_bits_of_the_folder(void **state) {
    (void)state;
    same_encoders(file_of("nomic-bert"), folder_of("nomic-bert"));
    same_encoders(file_of("without-pooler"), folder_of("three-labels"));
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
        same_models(file_of(names[i][0]), test_path(place, names[i][0]), names[i][1]);
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
    same_encoders(file_of("nomic-bert"), test_path(place, "nomic"));
    test_remove_folder(place);
}

/* ---- what a file is said to be ----------------------------------------------------------------------------------- */

static void a_file_is_described(void **state) {
    (void)state;
    ce_model *model = load(file_of("quantized"), 0);
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
    same_models(folder, file_of("quantized"), "three-labels");
    copy_to(file_of("quantized"), folder, "model-Q8.gguf");
    expect_refused(folder, CE_ERR_UNSUPPORTED, "has 2 GGUF files");
    test_remove_folder(folder);
}

/* The file with one occurrence of a text in it changed to another of the same length. */
static const char *changed(const char *folder, const char *name, const char *from, const char *to) {
    size_t size;
    char *data = test_read_file(file_of(name), &size), *found = NULL;
    for (size_t i = 0; i + strlen(from) <= size && !found; i++)
        if (memcmp(data + i, from, strlen(from)) == 0) found = data + i;
    assert_non_null(found);
    memcpy(found, to, strlen(to));
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
