/* test_adapter.c - adapters whose tensors do not fit: to each other, to the checkpoint, or to what is read. What PEFT
 * saves is tests/model/test_adapter.c. */
#include "formats/adapter.h"

#include "support/support.h"

#include "base/memory.h"

#include <stdio.h>
#include <string.h>

/* A tensor of zeros but for its first value. */
typedef struct entry {
    const char *name, *dtype;
    unsigned rows, columns;
    float first;
} entry;

static size_t bytes_of(const entry *tensor) {
    return (size_t)tensor->rows * tensor->columns * (strcmp(tensor->dtype, "F32") == 0 ? 4 : 2);
}

static void write_tensors(const char *folder, const char *name, const entry *tensors, size_t count) {
    static uint8_t file[8192];
    char header[4096] = "{";
    size_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t used = strlen(header), end = offset + bytes_of(&tensors[i]);
        snprintf(header + used, sizeof header - used,
                 "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%u,%u],\"data_offsets\":[%zu,%zu]}", i ? "," : "",
                 tensors[i].name, tensors[i].dtype, tensors[i].rows, tensors[i].columns, offset, end);
        offset = end;
    }
    strcat(header, "}");
    const uint64_t size = strlen(header);
    memset(file, 0, sizeof file);
    memcpy(file, &size, sizeof size);
    memcpy(file + 8, header, size);
    for (size_t i = 0, at = 8 + size; i < count; at += bytes_of(&tensors[i]), i++)
        if (strcmp(tensors[i].dtype, "F32") == 0) memcpy(file + at, &tensors[i].first, sizeof(float));
    test_write_file(folder, name, file, 8 + size + offset);
}

static ce_status scale_by_two(const void *user, const char *module, size_t rank, float *scale, ce_error *error) {
    (void)user, (void)module, (void)rank, (void)error;
    *scale = 2;
    return CE_OK;
}

/* A checkpoint with "bert.layer.dense.weight" [3, 4] and "classifier.weight" [1, 3], and the adapter over it. */
static ce_status adapt(const char *folder, const entry *tensors, size_t count, cei_checkpoint **checkpoint,
                       ce_error *error) {
    const entry base[] = {{"bert.layer.dense.weight", "F32", 3, 4, 1}, {"classifier.weight", "F32", 1, 3, 5}};
    *error = (ce_error){CE_OK, ""};
    write_tensors(folder, "model.safetensors", base, 2);
    write_tensors(folder, "adapter_model.safetensors", tensors, count);
    expect_ok(cei_checkpoint_open(folder, checkpoint, error), error);
    return cei_checkpoint_adapt(*checkpoint, folder, scale_by_two, NULL, error);
}

#define ROOT "base_model.model."

static void a_change_is_added_where_rows_are_read(void **state) {
    (void)state;
    const entry tensors[] = {{ROOT "bert.layer.dense.lora_A.weight", "F32", 2, 4, 3},
                             {ROOT "bert.layer.dense.lora_B.weight", "F32", 3, 2, 10},
                             {ROOT "classifier.weight", "F32", 2, 3, 7},
                             {ROOT "extra.weight", "F32", 1, 1, 9}};
    char *folder = test_make_folder();
    cei_checkpoint *checkpoint;
    ce_error error;
    cei_values values;
    float rows[12];
    expect_ok(adapt(folder, tensors, 4, &checkpoint, &error), &error);
    expect_ok(cei_checkpoint_values(checkpoint, "bert.layer.dense.weight", 3, 4, &values, &error), &error);
    assert_null(cei_values_direct(&values, 0));
    cei_values_read(&values, 0, 3, rows);
    assert_true(rows[0] == 1 + 2 * 10 * 3 && rows[1] == 0 && rows[4] == 0);
    expect_ok(cei_checkpoint_values(checkpoint, "classifier.weight", 2, 3, &values, &error), &error);
    cei_values_read(&values, 0, 1, rows);
    assert_true(rows[0] == 7);
    assert_string_equal(cei_checkpoint_added(checkpoint, 0), "extra.weight");
    assert_null(cei_checkpoint_added(checkpoint, 1));
    assert_int_equal(cei_checkpoint_count(checkpoint), 3);
    cei_checkpoint_close(checkpoint);
    size_t count = 0;
    expect_ok(cei_adapter_rows(folder, "classifier.weight", &count, &error), &error);
    assert_int_equal(count, 2);
    test_remove_folder(folder);
}

static void refuse(const entry *tensors, size_t count, ce_status status, const char *part) {
    char *folder = test_make_folder();
    cei_checkpoint *checkpoint;
    ce_error error;
    expect_status(adapt(folder, tensors, count, &checkpoint, &error), status, &error, part);
    cei_checkpoint_close(checkpoint);
    test_remove_folder(folder);
}

static void adapters_that_do_not_fit(void **state) {
    (void)state;
    const entry a = {ROOT "bert.layer.dense.lora_A.weight", "F32", 2, 4, 1};
    const entry b = {ROOT "bert.layer.dense.lora_B.weight", "F32", 3, 2, 1};
    refuse(&(entry){"bert.layer.dense.lora_A.weight", "F32", 2, 4, 1}, 1, CE_ERR_FORMAT, "it is no adapter");
    refuse(&a, 1, CE_ERR_FORMAT, "lora_B.weight\"");
    refuse(&b, 1, CE_ERR_FORMAT, "lora_A.weight\"");
    refuse((entry[]){a, {b.name, "F32", 4, 2, 1}}, 2, CE_ERR_MODEL, "do not fit");
    refuse((entry[]){a, {b.name, "F32", 3, 1, 1}}, 2, CE_ERR_MODEL, "do not fit");
    refuse((entry[]){{a.name, "F32", 2, 3, 1}, b}, 2, CE_ERR_MODEL, "do not fit");
    refuse((entry[]){{a.name, "F32", 0, 4, 1}, {b.name, "F32", 3, 0, 1}}, 2, CE_ERR_MODEL, "do not fit");
    refuse((entry[]){{a.name, "I16", 2, 4, 1}, b}, 2, CE_ERR_UNSUPPORTED, "is I16 of rank 2");
    refuse((entry[]){{ROOT "other.lora_A.weight", "F32", 2, 4, 1}, {ROOT "other.lora_B.weight", "F32", 3, 2, 1}}, 2,
           CE_ERR_MODEL, "\"other.weight\"");
    refuse(&(entry){ROOT "bert.layer.dense.lora_magnitude_vector", "F32", 1, 4, 1}, 1, CE_ERR_UNSUPPORTED,
           "is not of a plain LoRA");
    refuse((entry[]){a,
                     b,
                     {ROOT "layer.dense.lora_A.weight", "F32", 2, 4, 1},
                     {ROOT "layer.dense.lora_B.weight", "F32", 3, 2, 1}},
           4, CE_ERR_FORMAT, "twice");
}

/* The matrix is [3, 4] as of a linear layer, so A has 3 columns and B 4 rows. */
static void changes_of_tables_are_transposed(void **state) {
    (void)state;
    const entry a = {ROOT "layer.dense.lora_embedding_A", "F32", 2, 3, 3};
    const entry b = {ROOT "layer.dense.lora_embedding_B", "F32", 4, 2, 10};
    char *folder = test_make_folder();
    cei_checkpoint *checkpoint;
    ce_error error;
    cei_values values;
    float rows[12];
    expect_ok(adapt(folder, (entry[]){a, b}, 2, &checkpoint, &error), &error);
    expect_ok(cei_checkpoint_values(checkpoint, "bert.layer.dense.weight", 3, 4, &values, &error), &error);
    cei_values_read(&values, 0, 3, rows);
    assert_true(rows[0] == 1 + 2 * 10 * 3 && rows[1] == 0 && rows[4] == 0);
    cei_checkpoint_close(checkpoint);
    test_remove_folder(folder);
    refuse(&a, 1, CE_ERR_FORMAT, "lora_embedding_B\"");
    refuse(&b, 1, CE_ERR_FORMAT, "lora_embedding_A\"");
    refuse((entry[]){{a.name, "F32", 2, 4, 1}, {b.name, "F32", 3, 2, 1}}, 2, CE_ERR_MODEL, "do not fit");
    refuse((entry[]){a,
                     b,
                     {ROOT "layer.dense.lora_A.weight", "F32", 2, 4, 1},
                     {ROOT "layer.dense.lora_B.weight", "F32", 3, 2, 1}},
           4, CE_ERR_FORMAT, "twice");
}

static void a_folder_without_one(void **state) {
    (void)state;
    char *folder = test_make_folder();
    size_t rows = 1;
    ce_error error;
    expect_status(cei_adapter_rows(folder, "x", &rows, &error), CE_ERR_NOT_FOUND, &error,
                  "neither adapter_model.safetensors nor adapter_model.bin");
    assert_int_equal(rows, 0);
    test_remove_folder(folder);
}

enum { ROWS = 39, COLUMNS = 131, RANK = 5 };

static void fill(float *numbers, size_t count, uint32_t seed) {
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        numbers[i] = (float)(int32_t)seed / 1e9f;
    }
}

static cei_values matrix_of(const float *numbers, size_t rows, size_t columns) {
    return (cei_values){.dtype = CEI_DTYPE_F32, .rows = rows, .columns = columns, .data = (const uint8_t *)numbers};
}

/* The change of a row's last value; right is [RANK, COLUMNS], left [ROWS, RANK], or both are transposed. */
static double last_change(const float *left, const float *right, size_t row, bool is_transposed) {
    double sum = 0;
    for (size_t k = 0; k < RANK; k++)
        sum += is_transposed ? (double)left[k * ROWS + row] * (double)right[(COLUMNS - 1) * RANK + k]
                             : (double)left[row * RANK + k] * (double)right[k * COLUMNS + COLUMNS - 1];
    return sum;
}

static void compare_rows(bool is_transposed) {
    static float left[ROWS * RANK], right[RANK * COLUMNS], w[ROWS * COLUMNS], all[ROWS * COLUMNS], row[COLUMNS];
    fill(left, ROWS * RANK, 1);
    fill(right, RANK * COLUMNS, 2);
    fill(w, ROWS * COLUMNS, 3);
    const cei_delta plain = {matrix_of(right, RANK, COLUMNS), matrix_of(left, ROWS, RANK), 0.75f, false};
    const cei_delta table = {matrix_of(left, RANK, ROWS), matrix_of(right, COLUMNS, RANK), 0.75f, true};
    cei_values values = matrix_of(w, ROWS, COLUMNS);
    values.delta = is_transposed ? &table : &plain;
    cei_values_read(&values, 0, ROWS, all);
    for (size_t r = 0; r < ROWS; r++) {
        cei_values_read(&values, r, 1, row);
        assert_memory_equal(row, all + r * COLUMNS, sizeof row);
        const double want = (double)w[r * COLUMNS + COLUMNS - 1] + 0.75 * last_change(left, right, r, is_transposed);
        assert_true(want - (double)row[COLUMNS - 1] < 1e-5 && (double)row[COLUMNS - 1] - want < 1e-5);
    }
}

/* Each row has the same bits alone, in any block, and beside columns that fill no tile. */
static void rows_have_the_same_bits_alone(void **state) {
    (void)state;
    compare_rows(false);
    compare_rows(true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_is_added_where_rows_are_read), cmocka_unit_test(adapters_that_do_not_fit),
        cmocka_unit_test(changes_of_tables_are_transposed),      cmocka_unit_test(a_folder_without_one),
        cmocka_unit_test(rows_have_the_same_bits_alone),
    };
    return cmocka_run_group_tests_name("adapter", tests, NULL, NULL);
}
