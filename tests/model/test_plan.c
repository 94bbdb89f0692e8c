/* test_plan.c - a plan's weights and parts, checked against checkpoints that fit it and that do not. */
#include "support/support.h"

#include "model/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Writes model.safetensors with one F32 tensor of shape [rows, columns], or [columns] if rows is 0. */
static char *one_tensor(const char *name, size_t rows, size_t columns) {
    char *folder = test_make_folder();
    char header[512], shape[64];
    size_t values = (rows ? rows : 1) * columns;
    if (rows)
        snprintf(shape, sizeof shape, "[%zu,%zu]", rows, columns);
    else
        snprintf(shape, sizeof shape, "[%zu]", columns);
    int length = snprintf(header, sizeof header, "{\"%s\":{\"dtype\":\"F32\",\"shape\":%s,\"data_offsets\":[0,%zu]}}",
                          name, shape, values * 4);
    unsigned char *file = calloc(1, 8 + (size_t)length + values * 4);
    assert_non_null(file);
    file[0] = (unsigned char)length;
    memcpy(file + 8, header, (size_t)length);
    test_write_file(folder, "model.safetensors", file, 8 + (size_t)length + values * 4);
    free(file);
    return folder;
}

static void test_stacked_parts(void **state) {
    (void)state;
    cei_plan plan = {0};
    const char *names[] = {"q", "k", "v"};
    size_t rows[] = {4, 2, 3}, matrix = 9, vector = 9;
    ce_error error;
    expect_ok(cei_plan_add(&plan, CEI_ROLE_MATRIX, 5, 3, names, rows, &matrix, &error), &error);
    expect_ok(cei_plan_add(&plan, CEI_ROLE_VECTOR, 1, 3, names, rows, &vector, &error), &error);
    assert_int_equal(matrix, 0);
    assert_int_equal(vector, 1);
    assert_int_equal(plan.weights[0].rows, 9);
    assert_int_equal(plan.weights[0].columns, 5);
    assert_int_equal(plan.weights[1].rows, 1);
    assert_int_equal(plan.weights[1].columns, 9);
    assert_int_equal(plan.part_count, 6);
    assert_int_equal(plan.parts[2].first, 6);
    assert_int_equal(cei_part_stream_rows(&plan, &plan.parts[2]), 3);
    assert_int_equal(cei_part_stream_rows(&plan, &plan.parts[5]), 1);
    assert_int_equal(cei_part_stream_columns(&plan, &plan.parts[5]), 3);
    assert_int_equal(cei_plan_parameters(&plan), 9 * 5 + 9);
    cei_plan_free(&plan);
}

static void test_sizes_that_overflow(void **state) {
    (void)state;
    cei_plan plan = {0};
    const char *names[] = {"huge"};
    size_t rows[] = {SIZE_MAX / 8}, index;
    ce_error error;
    expect_status(cei_plan_add(&plan, CEI_ROLE_MATRIX, 16, 1, names, rows, &index, &error), CE_ERR_MODEL, &error,
                  "huge");
    cei_plan_free(&plan);
}

static void check_one(const char *tensor, size_t rows, size_t columns, const char *part, size_t part_rows,
                      size_t part_columns, cei_role role, ce_status want, const char *message) {
    char *folder = one_tensor(tensor, rows, columns);
    cei_checkpoint *checkpoint = NULL;
    cei_plan plan = {0};
    size_t index;
    ce_error error = {0};
    expect_ok(cei_checkpoint_open(folder, &checkpoint, &error), &error);
    expect_ok(cei_plan_add(&plan, role, part_columns, 1, &part, &part_rows, &index, &error), &error);
    expect_status(cei_plan_check(&plan, checkpoint, &error), want, &error, message);
    assert_int_equal(cei_plan_unused(&plan, checkpoint), want == CE_OK || strcmp(tensor, part) == 0 ? 0 : 1);
    cei_plan_free(&plan);
    cei_checkpoint_close(checkpoint);
    test_remove_folder(folder);
}

static void test_check(void **state) {
    (void)state;
    check_one("a.weight", 3, 4, "a.weight", 3, 4, CEI_ROLE_MATRIX, CE_OK, NULL);
    check_one("a.weight", 3, 4, "b.weight", 3, 4, CEI_ROLE_MATRIX, CE_ERR_MODEL, "b.weight");
    check_one("a.weight", 3, 4, "a.weight", 4, 3, CEI_ROLE_MATRIX, CE_ERR_MODEL, "a.weight");
    check_one("a.bias", 0, 7, "a.bias", 7, 1, CEI_ROLE_VECTOR, CE_OK, NULL);
    check_one("a.bias", 0, 7, "a.bias", 6, 1, CEI_ROLE_VECTOR, CE_ERR_MODEL, "a.bias");
}

static void test_old_spellings(void **state) {
    (void)state;
    check_one("x.LayerNorm.gamma", 0, 7, "x.LayerNorm.weight", 7, 1, CEI_ROLE_VECTOR, CE_OK, NULL);
    check_one("x.LayerNorm.beta", 0, 7, "x.LayerNorm.bias", 7, 1, CEI_ROLE_VECTOR, CE_OK, NULL);
    check_one("x.LayerNorm.delta", 0, 7, "x.LayerNorm.bias", 7, 1, CEI_ROLE_VECTOR, CE_ERR_MODEL, "LayerNorm.bias");
}

/* Rows of a table that another weight reads whole: its values, its name, and one tensor that is read. */
static void test_rows_of_a_tensor(void **state) {
    (void)state;
    char *folder = one_tensor("words.weight", 6, 4);
    cei_checkpoint *checkpoint = NULL;
    cei_plan plan = {0};
    const char *const name = "words.weight";
    const size_t height = 6, rows[] = {5, 2}, outside[] = {1, 6};
    size_t table, matrix, none;
    cei_values whole, row;
    ce_error error = {0};
    expect_ok(cei_checkpoint_open(folder, &checkpoint, &error), &error);
    expect_ok(cei_plan_add(&plan, CEI_ROLE_TABLE, 4, 1, &name, &height, &table, &error), &error);
    expect_ok(cei_plan_add_rows(&plan, 4, name, height, 2, rows, &matrix, &error), &error);
    expect_status(cei_plan_add_rows(&plan, 4, name, height, 2, outside, &none, &error), CE_ERR_MODEL, &error, "row 6");
    expect_ok(cei_plan_check(&plan, checkpoint, &error), &error);
    assert_true(plan.weight_count == 2 && plan.weights[matrix].rows == 2 && plan.weights[matrix].columns == 4);
    expect_ok(cei_plan_values(&plan, 0, checkpoint, &whole, &error), &error);
    for (size_t i = 0; i < 2; i++) {
        expect_ok(cei_plan_values(&plan, 1 + i, checkpoint, &row, &error), &error);
        assert_true(row.rows == 1 && row.columns == 4);
        assert_ptr_equal(row.data, whole.data + rows[i] * 4 * sizeof(float));
        assert_true(cei_plan_reads_before(&plan, 1 + i));
    }
    assert_false(cei_plan_reads_before(&plan, 0));
    assert_int_equal(cei_plan_unused(&plan, checkpoint), 0);
    assert_string_equal(cei_plan_name(&plan, matrix), name);
    cei_plan_free(&plan);
    cei_checkpoint_close(checkpoint);
    test_remove_folder(folder);
}

/* What no tensor has is zeros, in a vector beside tensors. */
static void test_zeros(void **state) {
    (void)state;
    char *folder = one_tensor("a.bias", 0, 3);
    const char *const names[] = {"a.bias", NULL, "a.bias", NULL};
    const size_t rows[] = {3, 2, 3, 5};
    cei_checkpoint *checkpoint = NULL;
    cei_plan plan = {0};
    cei_values values;
    ce_error error;
    size_t index;
    expect_ok(cei_plan_add(&plan, CEI_ROLE_VECTOR, 1, 4, names, rows, &index, &error), &error);
    assert_int_equal(plan.weights[index].columns, 13);
    expect_ok(cei_checkpoint_open(folder, &checkpoint, &error), &error);
    expect_ok(cei_plan_check(&plan, checkpoint, &error), &error);
    assert_int_equal(cei_plan_unused(&plan, checkpoint), 0);
    for (size_t part = 1; part < 4; part += 2) {
        float found[5] = {1, 1, 1, 1, 1};
        expect_ok(cei_plan_values(&plan, part, checkpoint, &values, &error), &error);
        assert_int_equal(values.columns, rows[part]);
        cei_values_read(&values, 0, 1, found);
        for (size_t i = 0; i < rows[part]; i++) assert_true(found[i] == 0);
        cei_checkpoint_release(checkpoint, &values);
    }
    cei_plan_free(&plan);
    cei_checkpoint_close(checkpoint);
    test_remove_folder(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stacked_parts), cmocka_unit_test(test_sizes_that_overflow), cmocka_unit_test(test_check),
        cmocka_unit_test(test_old_spellings), cmocka_unit_test(test_rows_of_a_tensor),    cmocka_unit_test(test_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
