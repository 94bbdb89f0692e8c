/* test_embedding.c - smaller forms of embeddings: the reference's bytes (tools/golden/embedding_golden.py), and what
 * becomes of numbers and sizes that it has no answer for. */
#include "support/support.h"

#include "base/json.h"

#include <crossenc/encoder.h>

#include <math.h>
#include <string.h>

enum { MOST = 1024 };

/* ---- the reference -------------------------------------------------------------------------------------------------
 */

static size_t read_rows(const json_t *rows, float *out) {
    const json_t *row, *value;
    size_t i, k, count = 0;
    json_array_foreach(rows, i, row) json_array_foreach(row, k, value) {
        assert_true(count < MOST);
        out[count++] = (float)json_number_value(value);
    }
    return count;
}

static void check_form(const json_t *one, ce_embedding_type type, const float *embeddings, size_t count,
                       size_t dimension, const float *ranges) {
    uint8_t found[MOST];
    const json_t *row, *value;
    const char *form = ce_embedding_type_name(type);
    size_t i, k, at = 0;
    ce_error error;
    assert_true(count * ce_embedding_bytes(type, dimension) <= sizeof found);
    expect_ok(ce_embedding_quantize(embeddings, count, dimension, type, ranges, found, &error), &error);
    json_array_foreach(json_object_get(one, form), i, row) {
        assert_int_equal(json_array_size(row), ce_embedding_bytes(type, dimension));
        json_array_foreach(row, k, value) {
            if (found[at++] != (uint8_t)json_integer_value(value))
                fail_msg("%s, %s, row %zu, byte %zu: %u, expected %lld",
                         json_string_value(json_object_get(one, "name")), form, i, k, found[at - 1],
                         json_integer_value(value));
        }
    }
    assert_int_equal(i, count);
}

static void check_case(const json_t *one) {
    float embeddings[MOST], ranges[MOST], own[MOST];
    const size_t count = json_array_size(json_object_get(one, "embeddings"));
    const size_t dimension = read_rows(json_object_get(one, "embeddings"), embeddings) / count;
    ce_error error;
    assert_int_equal(read_rows(json_object_get(one, "ranges"), ranges), 2 * dimension);
    expect_ok(ce_embedding_ranges(embeddings, count, dimension, own, &error), &error);
    if (!json_is_true(json_object_get(one, "given")))
        for (size_t i = 0; i < 2 * dimension; i++) assert_true(own[i] == ranges[i]);
    for (int type = CE_EMBEDDING_INT8; type <= CE_EMBEDDING_UBINARY; type++)
        check_form(one, (ce_embedding_type)type, embeddings, count, dimension, ranges);
}

static void test_agrees_with_the_reference(void **state) {
    (void)state;
    json_t *root = NULL;
    const json_t *one;
    ce_error error;
    size_t i;
    expect_ok(cei_json_load(test_data("golden/embeddings.json"), (size_t)1 << 20, &root, &error), &error);
    json_array_foreach(json_object_get(root, "cases"), i, one) check_case(one);
    assert_true(i >= 10);
    json_decref(root);
}

/* ---- numbers -------------------------------------------------------------------------------------------------------
 */

static void test_ranges_pass_over_nan(void **state) {
    (void)state;
    const float embeddings[3][4] = {{NAN, 1, NAN, -INFINITY}, {2, NAN, NAN, 0}, {-3, 5, NAN, INFINITY}};
    const float wanted[2][4] = {{-3, 1, INFINITY, -INFINITY}, {2, 5, -INFINITY, INFINITY}};
    float ranges[2][4];
    ce_error error;
    expect_ok(ce_embedding_ranges(embeddings[0], 3, 4, ranges[0], &error), &error);
    for (size_t i = 0; i < 4; i++) assert_true(ranges[0][i] == wanted[0][i] && ranges[1][i] == wanted[1][i]);
}

static void quantize(const float *embeddings, size_t count, size_t dimension, ce_embedding_type type,
                     const float *ranges, void *out) {
    ce_error error;
    expect_ok(ce_embedding_quantize(embeddings, count, dimension, type, ranges, out, &error), &error);
}

static void test_numbers_that_are_none(void **state) {
    (void)state;
    const float row[] = {NAN, INFINITY, -INFINITY, 1}, ranges[2][4] = {{0, 0, 0, NAN}, {1, 1, 1, NAN}};
    const uint8_t wanted[] = {0, 255, 0, 0}; /* the lowest, where there is no order */
    uint8_t found[4], bits;
    quantize(row, 1, 4, CE_EMBEDDING_UINT8, ranges[0], found);
    assert_memory_equal(found, wanted, sizeof wanted);
    const float endless[2][4] = {{-INFINITY, -INFINITY, INFINITY, -3e38f}, {INFINITY, 0, -INFINITY, 3e38f}};
    quantize(row, 1, 4, CE_EMBEDDING_UINT8, endless[0], found); /* any bytes, and no undefined conversion */
    quantize(row, 1, 4, CE_EMBEDDING_UBINARY, NULL, &bits);
    assert_int_equal(bits, 0x50); /* NaN is not above 0 */
}

static void test_float32_is_a_copy(void **state) {
    (void)state;
    const float row[3] = {NAN, -0.0f, 3};
    float found[3];
    quantize(row, 1, 3, CE_EMBEDDING_FLOAT32, NULL, found);
    assert_memory_equal(found, row, sizeof row);
}

static void test_the_last_byte_is_filled_with_zeros(void **state) {
    (void)state;
    const float ones[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    uint8_t found[3] = {7, 7, 7};
    quantize(ones, 1, 1, CE_EMBEDDING_UBINARY, NULL, found);
    assert_true(found[0] == 0x80 && found[1] == 7);
    quantize(ones, 1, 8, CE_EMBEDDING_UBINARY, NULL, found);
    assert_true(found[0] == 0xFF && found[1] == 7);
    quantize(ones, 1, 9, CE_EMBEDDING_UBINARY, NULL, found);
    assert_true(found[0] == 0xFF && found[1] == 0x80 && found[2] == 7);
    quantize(ones, 1, 9, CE_EMBEDDING_BINARY, NULL, found);
    assert_true(found[0] == 0x7F && found[1] == 0 && found[2] == 7);
}

/* ---- sizes and arguments -------------------------------------------------------------------------------------------
 */

static void test_bytes_and_names(void **state) {
    (void)state;
    static const char *const names[] = {"float32", "int8", "uint8", "binary", "ubinary"};
    static const size_t dimensions[] = {0, 1, 7, 8, 9, 16, 17}, packed[] = {0, 1, 1, 1, 2, 2, 3};
    for (int type = 0; type < 5; type++)
        assert_string_equal(ce_embedding_type_name((ce_embedding_type)type), names[type]);
    assert_null(ce_embedding_type_name((ce_embedding_type)5));
    assert_null(ce_embedding_type_name((ce_embedding_type)-1));
    for (size_t i = 0; i < sizeof dimensions / sizeof dimensions[0]; i++) {
        assert_int_equal(ce_embedding_bytes(CE_EMBEDDING_FLOAT32, dimensions[i]), 4 * dimensions[i]);
        assert_int_equal(ce_embedding_bytes(CE_EMBEDDING_INT8, dimensions[i]), dimensions[i]);
        assert_int_equal(ce_embedding_bytes(CE_EMBEDDING_UINT8, dimensions[i]), dimensions[i]);
        assert_int_equal(ce_embedding_bytes(CE_EMBEDDING_BINARY, dimensions[i]), packed[i]);
        assert_int_equal(ce_embedding_bytes(CE_EMBEDDING_UBINARY, dimensions[i]), packed[i]);
    }
    assert_int_equal(ce_embedding_bytes(CE_EMBEDDING_FLOAT32, SIZE_MAX / 4 + 1), 0);
    assert_int_equal(ce_embedding_bytes(CE_EMBEDDING_UBINARY, SIZE_MAX), SIZE_MAX / 8 + 1);
    assert_int_equal(ce_embedding_bytes((ce_embedding_type)5, 8), 0);
}

static void test_nothing_to_do(void **state) {
    (void)state;
    uint8_t found = 7;
    float row = 1, range = 3;
    for (int type = 0; type < 5; type++) {
        quantize(NULL, 0, 8, (ce_embedding_type)type, NULL, NULL);
        quantize(&row, 2, 0, (ce_embedding_type)type, &range, &found);
    }
    assert_int_equal(found, 7);
    ce_error error;
    expect_ok(ce_embedding_ranges(&row, 2, 0, &range, &error), &error);
    assert_true(range == 3);
}

static void test_wrong_arguments(void **state) {
    (void)state;
    const float row[2] = {1, 2};
    float ranges[4] = {0, 0, 1, 1};
    uint8_t found[8];
    ce_error error;
    expect_status(ce_embedding_ranges(NULL, 1, 2, ranges, &error), CE_ERR_ARGUMENT, &error, "NULL");
    expect_status(ce_embedding_ranges(row, 1, 2, NULL, &error), CE_ERR_ARGUMENT, &error, "NULL");
    expect_status(ce_embedding_ranges(row, 0, 2, ranges, &error), CE_ERR_ARGUMENT, &error, "no embeddings");
    expect_status(ce_embedding_quantize(NULL, 1, 2, CE_EMBEDDING_INT8, ranges, found, &error), CE_ERR_ARGUMENT, &error,
                  "embeddings is NULL");
    expect_status(ce_embedding_quantize(row, 1, 2, CE_EMBEDDING_INT8, ranges, NULL, &error), CE_ERR_ARGUMENT, &error,
                  "quantized is NULL");
    expect_status(ce_embedding_quantize(row, 1, 2, CE_EMBEDDING_UINT8, NULL, found, &error), CE_ERR_ARGUMENT, &error,
                  "ranges is NULL");
    expect_status(ce_embedding_quantize(row, 1, 2, (ce_embedding_type)9, ranges, found, &error), CE_ERR_ARGUMENT,
                  &error, "type is 9");
    assert_int_equal(ce_embedding_quantize(row, 1, 2, (ce_embedding_type)-1, ranges, found, NULL), CE_ERR_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agrees_with_the_reference),
        cmocka_unit_test(test_ranges_pass_over_nan),
        cmocka_unit_test(test_numbers_that_are_none),
        cmocka_unit_test(test_float32_is_a_copy),
        cmocka_unit_test(test_the_last_byte_is_filled_with_zeros),
        cmocka_unit_test(test_bytes_and_names),
        cmocka_unit_test(test_nothing_to_do),
        cmocka_unit_test(test_wrong_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
