/* test_gguf_write.c - GGUF files that are written: pairs of all kinds and tensors of all types are read again as they
 * were put; F16 and Q8_0 are rounded as IEEE 754 and the package gguf have it. */
#include "formats/blocks.h"
#include "formats/gguf_write.h"

#include "base/memory.h"
#include "support/failing_malloc.h"
#include "support/support.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static cei_gguf_text text_of(const char *string) { return (cei_gguf_text){string, strlen(string)}; }

/* ---- values -------------------------------------------------------------------------------------------------------
 */

static float widened(uint16_t half) {
    const cei_values one = {.dtype = CEI_DTYPE_F16, .rows = 1, .columns = 1, .data = (const uint8_t *)&half};
    float value;
    cei_values_read(&one, 0, 1, &value);
    return value;
}

/* Each half is itself; what lies between two goes to the nearer one, and from the middle to the even one. */
static void halves_are_rounded_to_nearest_even(void **state) {
    (void)state;
    for (uint32_t half = 0; half < 0x7C00; half++) {
        const float value = widened((uint16_t)half);
        assert_int_equal(cei_round_float16(value), half);
        assert_int_equal(cei_round_float16(-value), half | 0x8000);
        const float next = half + 1 < 0x7C00 ? widened((uint16_t)(half + 1)) : 65536.0f;
        const float middle = (float)(((double)value + next) / 2);
        assert_int_equal(cei_round_float16(middle), half + (half & 1));
        assert_int_equal(cei_round_float16(nextafterf(middle, 0)), half);
        assert_int_equal(cei_round_float16(nextafterf(middle, INFINITY)), half + 1);
    }
}

static void what_is_no_half_is_infinity_or_no_number(void **state) {
    (void)state;
    assert_int_equal(cei_round_float16(INFINITY), 0x7C00);
    assert_int_equal(cei_round_float16(-1e30f), 0xFC00);
    assert_true(isnan(widened(cei_round_float16(NAN))));
    assert_int_equal(cei_round_float16(1e-30f), 0);
}

static void blocks_are_those_of_the_package(void **state) {
    (void)state;
    json_t *root = json_load_file(test_data("formats/gguf.json"), 0, NULL);
    const json_t *written = json_object_get(root, "written");
    size_t bytes, want_bytes;
    uint8_t *from = test_from_hex(json_string_value(json_object_get(written, "floats")), &bytes);
    uint8_t *want = test_from_hex(json_string_value(json_object_get(written, "blocks")), &want_bytes);
    float *values = malloc(bytes);
    uint8_t *got = malloc(want_bytes);
    memcpy(values, from, bytes);
    assert_int_equal(want_bytes, bytes / sizeof *values / 32 * 34);
    assert_true(cei_blocks_write_q8_0(values, bytes / sizeof *values, got));
    assert_memory_equal(got, want, want_bytes);
    free(got);
    free(values);
    free(want);
    free(from);
    json_decref(root);
}

static void blocks_refuse_what_they_do_not_hold(void **state) {
    (void)state;
    static const float bad[] = {NAN, INFINITY, 1e30f};
    for (size_t i = 0; i < 3; i++) {
        float values[32] = {1, 2, 3};
        uint8_t out[34];
        values[17] = bad[i];
        assert_false(cei_blocks_write_q8_0(values, 32, out));
    }
}

/* ---- files --------------------------------------------------------------------------------------------------------
 */

static void put_pairs(cei_gguf_out *out) {
    cei_gguf_put_string(out, "general.architecture", text_of("bert"));
    cei_gguf_put_uint32(out, "a.size", 4000000000u);
    cei_gguf_put_float32(out, "a.real", 1e-12f);
    cei_gguf_put_bool(out, "a.bool", true);
    cei_gguf_put_array(out, "a.texts", CEI_GGUF_STRING, 2);
    cei_gguf_put_text(out, text_of(""));
    cei_gguf_put_text(out, text_of("\xC3\xA4"));
    cei_gguf_put_array(out, "a.numbers", CEI_GGUF_INT32, 1);
    cei_gguf_put_number(out, (uint64_t)-3, 4);
    cei_gguf_put_array(out, "a.reals", CEI_GGUF_FLOAT32, 1);
    cei_gguf_put_real(out, -0.5f);
}

static void check_pairs(const cei_gguf *file) {
    size_t size = 0;
    double real = 0;
    bool flag = false;
    const cei_gguf_value *texts = NULL, *numbers = NULL, *reals = NULL;
    ce_error error = {0};
    expect_ok(cei_gguf_size(file, "a.size", SIZE_MAX, &size, &error), &error);
    expect_ok(cei_gguf_double(file, "a.real", &real, &error), &error);
    expect_ok(cei_gguf_bool(file, "a.bool", &flag, &error), &error);
    expect_ok(cei_gguf_array(file, "a.texts", CEI_GGUF_STRING, &texts, &error), &error);
    expect_ok(cei_gguf_array(file, "a.numbers", CEI_GGUF_INT32, &numbers, &error), &error);
    expect_ok(cei_gguf_array(file, "a.reals", CEI_GGUF_FLOAT32, &reals, &error), &error);
    const uint8_t *at = texts->data;
    assert_true(size == 4000000000u && real == (double)1e-12f && flag && texts->count == 2);
    assert_int_equal(cei_gguf_next_string(&at).size, 0);
    assert_memory_equal(cei_gguf_next_string(&at).data, "\xC3\xA4", 2);
    assert_int_equal(cei_gguf_integer_at(numbers, 0), -3);
    assert_true(cei_gguf_number_at(reals, 0) == -0.5);
}

enum { TENSORS = 5 };

/* Each tensor's bytes are its number. */
static ce_status write_file(void *path, ce_error *error) {
    cei_new_tensor tensors[TENSORS] = {{"one", CEI_DTYPE_F32, 1, {3}, 0, 0},
                                       {"two", CEI_DTYPE_F16, 2, {3, 5}, 0, 0},
                                       {"three", CEI_DTYPE_Q8_0, 2, {2, 64}, 0, 0},
                                       {"four", CEI_DTYPE_BF16, 2, {1, 1}, 0, 0},
                                       {"five", CEI_DTYPE_F32, 2, {2, 2}, 0, 0}};
    uint8_t bytes[256];
    cei_gguf_out keys = {.count = 0};
    cei_new_file file;
    (void)remove(path);
    put_pairs(&keys);
    ce_status status = cei_gguf_create(path, &keys, tensors, TENSORS, &file, error);
    for (size_t i = 0; i < TENSORS && status == CE_OK; i++) {
        memset(bytes, (int)i + 1, sizeof bytes);
        status = cei_new_file_write(&file, tensors[i].offset, bytes, tensors[i].bytes, error);
    }
    if (status == CE_OK) status = cei_new_file_finish(&file, error);
    cei_new_file_close(&file);
    cei_free(keys.pairs.data);
    return status;
}

static void check_tensors(const cei_gguf *file) {
    static const uint64_t bytes[TENSORS] = {12, 30, 136, 2, 16};
    static const char *const dtypes[TENSORS] = {"F32", "F16", "Q8_0", "BF16", "F32"};
    assert_int_equal(file->tensor_count, TENSORS);
    for (size_t i = 0; i < TENSORS; i++) {
        const cei_tensor *tensor = &file->tensors[i];
        assert_string_equal(tensor->dtype, dtypes[i]);
        assert_int_equal(tensor->bytes, bytes[i]);
        for (uint64_t k = 0; k < tensor->bytes; k++) assert_int_equal(tensor->data[k], i + 1);
    }
    const cei_tensor *two = cei_gguf_tensor(file, "two");
    assert_true(two->rank == 2 && two->shape[0] == 3 && two->shape[1] == 5);
}

static void a_file_is_read_as_it_was_put(void **state) {
    (void)state;
    char *folder = test_make_folder();
    char *path = cei_join_path(folder, "new.gguf");
    cei_gguf file;
    ce_error error = {0};
    expect_ok(write_file(path, &error), &error);
    expect_ok(cei_gguf_open(path, &file, &error), &error);
    check_pairs(&file);
    check_tensors(&file);
    cei_gguf_close(&file);
    cei_free(path);
    test_remove_folder(folder);
}

static void sizes_that_overflow_are_refused(void **state) {
    (void)state;
    cei_new_tensor huge = {"huge", CEI_DTYPE_F32, 2, {UINT64_C(1) << 40, UINT64_C(1) << 40}, 0, 0};
    const cei_gguf_out keys = {.count = 0};
    cei_new_file file;
    ce_error error = {0};
    expect_status(cei_gguf_create("new.gguf", &keys, &huge, 1, &file, &error), CE_ERR_ARGUMENT, &error, "larger than");
}

static void each_allocation_may_fail(void **state) {
    (void)state;
    failing_malloc_or_skip();
    char *folder = test_make_folder();
    char *path = cei_join_path(folder, "new.gguf");
    assert_true(test_each_allocation(write_file, path) > 5);
    cei_free(path);
    test_remove_folder(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(halves_are_rounded_to_nearest_even),
        cmocka_unit_test(what_is_no_half_is_infinity_or_no_number),
        cmocka_unit_test(blocks_are_those_of_the_package),
        cmocka_unit_test(blocks_refuse_what_they_do_not_hold),
        cmocka_unit_test(a_file_is_read_as_it_was_put),
        cmocka_unit_test(sizes_that_overflow_are_refused),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("gguf_write", tests, NULL, NULL);
}
