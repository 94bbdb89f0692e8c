/* test_tasks.c - a model with adapters of its own for tasks, as jina-embeddings-v3 is published, against
 * tests/data/golden/tasks/tasks.json (tools/golden/tasks_golden.py): with none, with each, merged by converting; and
 * what does not fit. */
#include "formats/tasks.h"

#include "support/failing_malloc.h"
#include "support/support.h"

#include <crossenc/crossenc.h>

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TEXTS = 8, WIDTH = 20 };
static const double bound = 2e-6;

static const char *model_folder(void) { return test_data("golden/tasks/model"); }

static json_t *load_golden(void) {
    json_t *root = json_load_file(test_data("golden/tasks/tasks.json"), JSON_ALLOW_NUL, NULL);
    assert_non_null(root);
    return root;
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

typedef struct warnings {
    size_t count;
} warnings;

static void count_warnings(void *user, ce_log_level level, const char *message) {
    warnings *seen = user;
    if (level == CE_LOG_WARNING && strstr(message, "name a task")) seen->count++;
}

/* Embeddings of the golden texts; how many warnings say that there are tasks. */
static size_t encode(const char *path, const char *task, const json_t *texts, float *values) {
    warnings seen = {0};
    const ce_load_options options = {.size = sizeof options,
                                     .device = "cpu",
                                     .threads = 1,
                                     .adapter = task,
                                     .log = count_warnings,
                                     .log_user = &seen};
    ce_text given[MOST_TEXTS];
    ce_encoder *encoder = NULL;
    ce_error error = {0};
    const size_t count = json_array_size(texts);
    assert_true(count <= MOST_TEXTS);
    for (size_t i = 0; i < count; i++) given[i] = ce_text_of(json_string_value(json_array_get(texts, i)));
    expect_ok(ce_encoder_load(path, &options, &encoder, &error), &error);
    expect_ok(ce_encode(encoder, given, count, NULL, values, &error), &error);
    ce_encoder_free(encoder);
    return seen.count;
}

static void check_rows(const json_t *rows, const float *got, const char *task) {
    for (size_t i = 0; i < json_array_size(rows); i++)
        for (size_t k = 0; k < WIDTH; k++) {
            const double want = json_number_value(json_array_get(json_array_get(rows, i), k));
            if (!(fabs(want - (double)got[i * WIDTH + k]) <= bound))
                fail_msg("%s, %zu, %zu: %.9g, expected %.9g", task, i, k, (double)got[i * WIDTH + k], want);
        }
}

/* The tasks' name is NULL for none. */
static const char *task_at(const json_t *root, size_t i) {
    const char *name = json_string_value(json_array_get(json_object_get(root, "tasks"), i));
    return *name ? name : NULL;
}

static void each_task_has_its_weights(void **state) {
    (void)state;
    json_t *root = load_golden(), *rows;
    size_t i;
    json_array_foreach(json_object_get(root, "embeddings"), i, rows) {
        float values[MOST_TEXTS * WIDTH];
        const char *task = task_at(root, i);
        char path[512];
        snprintf(path, sizeof path, "%s", model_folder());
        assert_int_equal(encode(path, task, json_object_get(root, "texts"), values), task == NULL);
        check_rows(rows, values, task ? task : "none");
    }
    assert_int_equal(i, 3);
    json_decref(root);
}

static void converting_merges_a_task(void **state) {
    (void)state;
    char *place = test_make_folder(), path[512];
    json_t *root = load_golden();
    const ce_convert_options options = {
        .size = sizeof options, .threads = 1, .adapter = task_at(root, 2), .kind = CE_KIND_BI_ENCODER};
    float values[MOST_TEXTS * WIDTH];
    ce_error error = {0};
    ce_encoder *encoder = NULL;
    snprintf(path, sizeof path, "%s", model_folder());
    expect_ok(ce_convert(path, test_path(place, "new"), &options, NULL, &error), &error);
    snprintf(path, sizeof path, "%s", test_path(place, "new"));
    assert_int_equal(encode(path, NULL, json_object_get(root, "texts"), values), 0);
    check_rows(json_array_get(json_object_get(root, "embeddings"), 2), values, "merged");
    const ce_load_options again = {.size = sizeof again, .device = "cpu", .adapter = task_at(root, 1)};
    expect_status(ce_encoder_load(path, &again, &encoder, &error), CE_ERR_MODEL, &error, "no adapters for tasks");
    json_decref(root);
    test_remove_folder(place);
}

/* What the authors call the module, anybody may: it is known where a config says that it is theirs. */
static void the_authors_module_is_known_of_theirs_alone(void **state) {
    (void)state;
    static const char modules[] = "[{\"path\": \"\", \"type\": \"custom_st.Transformer\"},"
                                  " {\"path\": \"1_Pooling\", \"type\": \"sentence_transformers.models.Pooling\"}]";
    static const char *const configs[] = {"{}", "{\"model_type\": \"xlm-roberta\"}",
                                          "{\"model_type\": \"qwen2\", \"lora_adaptations\": []}"};
    char *folder = test_make_folder();
    test_write_file(folder, "modules.json", modules, sizeof modules - 1);
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        ce_encoder *encoder = NULL;
        ce_error error = {0};
        test_write_file(folder, "config.json", configs[i], strlen(configs[i]));
        expect_status(ce_encoder_load(folder, NULL, &encoder, &error), CE_ERR_UNSUPPORTED, &error,
                      "custom_st.Transformer");
    }
    test_remove_folder(folder);
}

/* What is no task is looked for as any adapter. */
static void other_names_are_of_adapters(void **state) {
    (void)state;
    const ce_load_options options = {.size = sizeof options, .device = "cpu", .adapter = "classification"};
    ce_encoder *encoder = NULL;
    ce_error error = {0};
    char path[512];
    snprintf(path, sizeof path, "%s", model_folder());
    expect_status(ce_encoder_load(path, &options, &encoder, &error), CE_ERR_NOT_FOUND, &error, "\"classification\"");
}

/* ---- checkpoints ------------------------------------------------------------------------------------------------- */

/* A tensor of zeros; rank 3 unless tasks is 0. */
typedef struct entry {
    const char *name, *dtype;
    unsigned tasks, rows, columns;
} entry;

static void write_model(const char *folder, const entry *tensors, size_t count) {
    static char file[8192];
    char *header = file + 8;
    size_t used = 1, offset = 0;
    memset(file, 0, sizeof file);
    header[0] = '{';
    for (size_t i = 0; i < count; i++) {
        const entry *t = &tensors[i];
        const size_t bytes = (size_t)(t->tasks ? t->tasks : 1) * t->rows * t->columns * (t->dtype[0] == 'I' ? 1 : 4);
        char first[16] = "";
        if (t->tasks) snprintf(first, sizeof first, "%u,", t->tasks);
        used += (size_t)snprintf(header + used, 4000 - used,
                                 "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%s%u,%u],\"data_offsets\":[%zu,%zu]}",
                                 i ? "," : "", t->name, t->dtype, first, t->rows, t->columns, offset, offset + bytes);
        offset += bytes;
    }
    header[used++] = '}';
    const uint64_t size = used;
    memcpy(file, &size, sizeof size);
    test_write_file(folder, "model.safetensors", file, 8 + used + offset);
}

#define WITHIN(part) "a.parametrizations.weight." part

static void expect_task(const entry *tensors, size_t count, size_t task, ce_status want, const char *part) {
    char *folder = test_make_folder();
    cei_checkpoint *checkpoint = NULL;
    ce_error error = {0};
    write_model(folder, tensors, count);
    expect_ok(cei_checkpoint_open(folder, &checkpoint, &error), &error);
    const ce_status status = cei_checkpoint_take_task(checkpoint, task, 1, &error);
    if (want == CE_OK) {
        expect_ok(status, &error);
        assert_non_null(cei_checkpoint_find(checkpoint, "a.weight"));
        assert_null(cei_checkpoint_find(checkpoint, WITHIN("original")));
    } else {
        expect_status(status, want, &error, part);
    }
    cei_checkpoint_close(checkpoint);
    test_remove_folder(folder);
}

static void what_does_not_fit(void **state) {
    (void)state;
    const entry base = {WITHIN("original"), "F32", 0, 2, 3}, a = {WITHIN("0.lora_A"), "F32", 2, 1, 3},
                b = {WITHIN("0.lora_B"), "F32", 2, 2, 1};
    expect_task((entry[]){base, a, b}, 3, 0, CE_OK, NULL);
    expect_task((entry[]){base, a, b}, 3, 2, CE_OK, NULL);
    expect_task((entry[]){base, a, b}, 3, 3, CE_ERR_MODEL, "has 2 tasks, and number 3");
    expect_task((entry[]){base, a}, 2, 1, CE_ERR_FORMAT, "lora_B\"");
    expect_task((entry[]){base, b}, 2, 1, CE_ERR_FORMAT, "lora_A\"");
    expect_task((entry[]){base, a, {b.name, "F32", 2, 4, 1}}, 3, 1, CE_ERR_MODEL, "do not fit");
    expect_task((entry[]){base, {a.name, "F32", 0, 1, 3}, b}, 3, 1, CE_ERR_UNSUPPORTED, "of rank 2");
    expect_task((entry[]){base, {a.name, "I8", 2, 1, 3}, b}, 3, 1, CE_ERR_UNSUPPORTED, "is I8");
    expect_task((entry[]){base, {"a.weight", "F32", 0, 2, 3}}, 2, 0, CE_ERR_FORMAT, "\"a.weight\"");
    expect_task((entry[]){{"a.weight", "F32", 0, 2, 3}}, 1, 1, CE_ERR_MODEL, "no adapters for tasks");
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static ce_status load_with_a_task(void *path, ce_error *error) {
    const ce_load_options options = {
        .size = sizeof options, .device = "cpu", .place = CE_PLACE_DEFERRED, .adapter = "text-matching"};
    ce_encoder *encoder = NULL;
    const ce_status status = ce_encoder_load(path, &options, &encoder, error);
    ce_encoder_free(encoder);
    return status;
}

static void each_allocation_may_fail(void **state) {
    (void)state;
    failing_malloc_or_skip();
    char path[512];
    snprintf(path, sizeof path, "%s", model_folder());
    test_some_allocations(load_with_a_task, path, 300);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_task_has_its_weights),
        cmocka_unit_test(converting_merges_a_task),
        cmocka_unit_test(the_authors_module_is_known_of_theirs_alone),
        cmocka_unit_test(other_names_are_of_adapters),
        cmocka_unit_test(what_does_not_fit),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("tasks", tests, NULL, NULL);
}
