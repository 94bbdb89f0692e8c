/* test_convert_encoder.c - bi-encoders in another precision: every module's files, the same embeddings, what a folder
 * is taken for, and that nothing half made stays. Cross-encoders are in test_convert.c. */
#include "formats/checkpoint.h"
#include "support/failing_malloc.h"
#include "support/support.h"
#include "support/tiny_model.h"

#include <crossenc/crossenc.h>

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *at(const char *name) { return test_path(test_folder, name); }

/* The golden encoder of that name, or what is in it. */
static const char *golden(const char *name) {
    char path[512];
    snprintf(path, sizeof path, "golden/encoders/%s", name);
    return test_data(path);
}

static ce_status try_convert(const char *from, const char *to, ce_precision precision, ce_kind kind,
                             ce_convert_report *report, ce_error *error) {
    const ce_convert_options options = {.size = sizeof options, .precision = precision, .kind = kind, .threads = 1};
    *report = (ce_convert_report){.size = sizeof *report};
    return ce_convert(from, to, &options, report, error);
}

static ce_convert_report convert(const char *from, const char *to, ce_precision precision, ce_kind kind) {
    ce_error error = {0};
    ce_convert_report report;
    expect_ok(try_convert(from, to, precision, kind, &report, &error), &error);
    assert_int_equal(report.stage, CE_CONVERT_DONE);
    return report;
}

enum { TEXTS = 3, MOST_VALUES = 256 };

/* embeddings [TEXTS, dimension], and the dimension. */
static size_t encode(const char *folder, ce_precision precision, float embeddings[TEXTS * MOST_VALUES]) {
    const ce_text texts[TEXTS] = {ce_text_of("how many people live in berlin?"), ce_text_of(""), ce_text_of("a b c")};
    const ce_load_options options = {.size = sizeof options, .device = "cpu", .precision = precision, .threads = 1};
    ce_encoder_info info = {.size = sizeof info};
    ce_encoder *encoder = NULL;
    ce_error error = {0};
    expect_ok(ce_encoder_load(folder, &options, &encoder, &error), &error);
    expect_ok(ce_encoder_describe(encoder, &info, &error), &error);
    assert_true(info.truncate_dim <= MOST_VALUES);
    expect_ok(ce_encode(encoder, texts, TEXTS, NULL, embeddings, &error), &error);
    ce_encoder_free(encoder);
    return info.truncate_dim;
}

static void expect_near(const char *folder, ce_precision precision, const float *wanted, size_t dimension,
                        double bound) {
    float found[TEXTS * MOST_VALUES];
    assert_int_equal(encode(folder, precision, found), dimension);
    for (size_t i = 0; i < TEXTS * dimension; i++)
        if (!(fabs((double)found[i] - wanted[i]) <= bound))
            fail_msg("%s: value %zu is %.6g, not %.6g", folder, i, (double)found[i], (double)wanted[i]);
}

/* ---- what is written ----------------------------------------------------------------------------------------- */

static const char *const names[] = {"all-poolings", "cls-dense", "mean", "old-max-cased", "plain-classifier"};
enum { NAMES = sizeof names / sizeof *names };

static void every_form_gives_its_embeddings(void **state) {
    (void)state;
    static const double bounds[] = {0, 0.3, 0.5}; /* the models are random, with large values */
    for (size_t i = 0; i < NAMES; i++) {
        float wanted[TEXTS * MOST_VALUES];
        const size_t dimension = encode(golden(names[i]), CE_PRECISION_FLOAT32, wanted);
        for (ce_precision form = CE_PRECISION_FLOAT32; form <= CE_PRECISION_INT8; form++) {
            char name[64];
            snprintf(name, sizeof name, "%s-%s", names[i], ce_precision_name(form));
            ce_convert_report report = convert(golden(names[i]), at(name), form, CE_KIND_BI_ENCODER);
            assert_int_equal(report.kind, CE_KIND_BI_ENCODER);
            assert_true(report.tensors > 10 && (form != CE_PRECISION_FLOAT32 || report.tensors_rounded == 0));
            expect_near(at(name), CE_PRECISION_FLOAT32, wanted, dimension, bounds[form - CE_PRECISION_FLOAT32]);
        }
    }
}

static void expect_f32(const char *folder, const char *name, size_t rows) {
    ce_error error = {0};
    cei_checkpoint *checkpoint = NULL;
    expect_ok(cei_checkpoint_open(folder, &checkpoint, &error), &error);
    const cei_tensor *tensor = cei_checkpoint_find(checkpoint, name);
    assert_non_null(tensor);
    assert_string_equal(tensor->dtype, "F32");
    assert_int_equal(tensor->shape[0], rows);
    cei_checkpoint_close(checkpoint);
}

static void expect_same_file(const char *name) {
    size_t first, second;
    char wanted[256];
    snprintf(wanted, sizeof wanted, "cls-dense/%s", name);
    char *a = test_read_file(golden(wanted), &first), *b = test_read_file(at(name), &second);
    assert_int_equal(first, second);
    assert_memory_equal(a, b, first);
    free(a);
    free(b);
}

/* Modules keep their folders and their own names of tensors, float32 in every precision. */
static void modules_keep_their_folders(void **state) {
    (void)state;
    static const char *const copied[] = {"modules.json",
                                         "config_sentence_transformers.json",
                                         "0_Transformer/config.json",
                                         "0_Transformer/vocab.txt",
                                         "0_Transformer/tokenizer_config.json",
                                         "1_Pooling/config.json",
                                         "2_Dense/config.json",
                                         "3_Dropout/config.json",
                                         "4_LayerNorm/config.json",
                                         "5_Dense/config.json",
                                         "6_Normalize/config.json"};
    test_remove_folder(test_folder);
    test_folder = test_make_folder();
    assert_int_equal(rmdir(test_folder), 0);
    ce_convert_report report = convert(golden("cls-dense"), test_folder, CE_PRECISION_INT8, CE_KIND_DEFAULT);
    assert_int_equal(report.kind, CE_KIND_BI_ENCODER);
    assert_int_equal(report.files, sizeof copied / sizeof *copied);
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++) expect_same_file(copied[i]);
    expect_f32(at("4_LayerNorm"), "norm.weight", 33);
    expect_f32(at("2_Dense"), "linear.weight", 33);
    expect_f32(at("5_Dense"), "linear.weight", 16);
    expect_f32(at("0_Transformer"), "bert.encoder.layer.0.attention.output.LayerNorm.weight", 20);
}

/* ---- kinds --------------------------------------------------------------------------------------------------- */

static ce_kind kind_of(const char *path) {
    ce_error error = {0};
    ce_kind kind = CE_KIND_DEFAULT;
    expect_ok(ce_kind_find(path, &kind, &error), &error);
    return kind;
}

static void what_folders_are(void **state) {
    (void)state;
    ce_error error = {0};
    ce_kind kind;
    assert_int_equal(kind_of(golden("mean")), CE_KIND_BI_ENCODER);
    assert_int_equal(kind_of(golden("plain-classifier")), CE_KIND_CROSS_ENCODER);
    assert_int_equal(kind_of(test_data("golden/models/three-labels")), CE_KIND_CROSS_ENCODER);
    test_write_file(test_folder, "modules.json", "[]", 2);
    assert_int_equal(kind_of(test_folder), CE_KIND_BI_ENCODER);
    const char other[] = "{\"model_type\": \"CrossEncoder\"}";
    test_write_file(test_folder, "config_sentence_transformers.json", other, strlen(other));
    assert_int_equal(kind_of(test_folder), CE_KIND_CROSS_ENCODER);
    test_write_file(test_folder, "config_sentence_transformers.json", "{", 1);
    expect_status(ce_kind_find(test_folder, &kind, &error), CE_ERR_FORMAT, &error, "config_sentence_transformers.json");
    expect_status(ce_kind_find(at("gone"), &kind, &error), CE_ERR_NOT_FOUND, &error, "gone");
    expect_status(ce_kind_find(NULL, &kind, &error), CE_ERR_ARGUMENT, &error, "path is NULL");
    expect_status(ce_kind_find(test_folder, NULL, &error), CE_ERR_ARGUMENT, &error, "kind is NULL");
    assert_string_equal(ce_kind_name(CE_KIND_BI_ENCODER), "bi-encoder");
    assert_null(ce_kind_name((ce_kind)9));
}

static void a_kind_can_be_asked_for(void **state) {
    (void)state;
    ce_error error = {0};
    ce_convert_report report;
    expect_status(try_convert(golden("mean"), at("new"), 0, CE_KIND_CROSS_ENCODER, &report, &error), CE_ERR_UNSUPPORTED,
                  &error, "BertModel");
    expect_status(try_convert(golden("mean"), at("new"), 0, (ce_kind)7, &report, &error), CE_ERR_ARGUMENT, &error,
                  "kind is 7");
    report = convert(golden("plain-classifier"), at("pairs"), 0, CE_KIND_DEFAULT);
    assert_int_equal(report.kind, CE_KIND_CROSS_ENCODER);
    const uint32_t tensors = report.tensors;
    report = convert(golden("plain-classifier"), at("texts"), 0, CE_KIND_BI_ENCODER);
    assert_true(report.tensors < tensors && report.tensors_dropped > 0);
}

/* A cross-encoder in today's layout that is taken for a bi-encoder does not say any more that it is one. */
static void what_it_was_is_not_copied(void **state) {
    (void)state;
    const tiny_model shape = tiny_model_default();
    const char type[] = "{\"model_type\": \"CrossEncoder\"}";
    const char list[] =
        "[{\"idx\": 0, \"name\": \"0\", \"path\": \"\", \"type\": \"sentence_transformers.models.Transformer\"}]";
    test_make_inner(test_folder, "model");
    tiny_model_write(&shape, at("model"));
    test_write_file(test_folder, "model/modules.json", list, strlen(list));
    test_write_file(test_folder, "model/config_sentence_transformers.json", type, strlen(type));
    convert(at("model"), at("pairs"), 0, CE_KIND_DEFAULT);
    convert(at("model"), at("texts"), 0, CE_KIND_BI_ENCODER);
    assert_int_equal(access(at("pairs/modules.json"), F_OK), 0);
    assert_int_not_equal(access(at("texts/modules.json"), F_OK), 0);
    assert_int_not_equal(access(at("texts/config_sentence_transformers.json"), F_OK), 0);
}

/* ---- folders, memory ----------------------------------------------------------------------------------------- */

static void folders_are_replaced(void **state) {
    (void)state;
    ce_error error = {0};
    ce_convert_options options = {.size = sizeof options, .overwrite = true};
    expect_ok(ce_convert(golden("cls-dense"), at("new"), &options, NULL, &error), &error);
    expect_ok(ce_convert(golden("mean"), at("new"), &options, NULL, &error), &error);
    assert_int_not_equal(access(at("new/2_Dense"), F_OK), 0);
    assert_int_equal(access(at("new/1_Pooling/config.json"), F_OK), 0);
    expect_ok(ce_convert(golden("cls-dense"), at("new"), &options, NULL, &error), &error);
    assert_int_equal(access(at("new/5_Dense/model.safetensors"), F_OK), 0);
    assert_int_not_equal(access(at("new/config.json"), F_OK), 0);
    test_make_inner(test_folder, "new/mine");
    expect_status(ce_convert(golden("mean"), at("new"), &options, NULL, &error), CE_ERR_IO, &error, "\"mine\"");
}

static size_t entries_in(const char *path) {
    size_t count = 0;
    DIR *folder = opendir(path);
    assert_non_null(folder);
    while (readdir(folder)) count++;
    closedir(folder);
    return count - 2;
}

static void nothing_half_made_stays(void **state) {
    (void)state;
    ce_error error = {0};
    ce_convert_report report;
    const ce_convert_options options = {.size = sizeof options, .overwrite = true};
    expect_ok(ce_convert(golden("cls-dense"), at("model"), NULL, NULL, &error), &error);
    test_write_file(test_folder, "model/5_Dense/model.safetensors", "x", 1);
    expect_status(try_convert(at("model"), at("new"), 0, 0, &report, &error), CE_ERR_FORMAT, &error, "5_Dense");
    assert_int_equal(report.stage, CE_CONVERT_READING);
    expect_ok(ce_convert(golden("cls-dense"), at("model"), &options, NULL, &error), &error);
    test_remove_folder(strdup(at("model/3_Dropout")));
    test_make_inner(test_folder, "model/3_Dropout");
    test_make_inner(test_folder, "model/3_Dropout/config.json");
    expect_status(try_convert(at("model"), at("new"), 0, 0, &report, &error), CE_ERR_IO, &error, "3_Dropout");
    assert_int_equal(entries_in(test_folder), 1);
}

static ce_status convert_afresh(void *user, ce_error *error) {
    (void)user;
    ce_convert_report report;
    const ce_convert_options options = {.size = sizeof options, .overwrite = true, .threads = 1};
    report.size = sizeof report;
    return ce_convert(golden("cls-dense"), at("new"), &options, &report, error);
}

static void want_of_memory_leaves_nothing(void **state) {
    (void)state;
    failing_malloc_or_skip();
    assert_true(test_some_allocations(convert_afresh, NULL, 200) > 100);
    assert_int_equal(entries_in(test_folder), 1);
    assert_int_equal(entries_in(at("new")), 9);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        folder_test(every_form_gives_its_embeddings),
        folder_test(modules_keep_their_folders),
        folder_test(what_folders_are),
        folder_test(a_kind_can_be_asked_for),
        folder_test(what_it_was_is_not_copied),
        folder_test(folders_are_replaced),
        folder_test(nothing_half_made_stays),
        folder_test(want_of_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
