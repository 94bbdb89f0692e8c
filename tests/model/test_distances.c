/* test_distances.c - which distances DeBERTa's and MPNet's attention tell apart, against the reference's answers
 * (tools/golden/distance_golden.py), and the configs that are refused. */
#include "model/distance_bias.h"
#include "model/relative.h"
#include "model/token_conv.h"

#include "base/json.h"
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>

enum { MOST_INTEGERS = 4096 };

static cei_config config_of(size_t buckets, size_t most, size_t positions) {
    static char path[] = "dir/config.json";
    return (cei_config){
        .path = path,
        .hidden_size = 12,
        .heads = 2,
        .layers = 3,
        .max_positions = positions,
        .conv_groups = 1,
        .relative = {.is_on = true, .c2p = true, .p2c = true, .buckets = buckets, .max_positions = most}};
}

/* An entry of a case; -1 stands for none. */
static size_t number(const json_t *values, size_t i) {
    const json_int_t value = json_integer_value(json_array_get(values, i));
    return value < 0 ? 0 : (size_t)value;
}

static void check_places(const cei_relative *relative, const json_t *runs, size_t positions) {
    size_t run, at = 0;
    const json_t *one;
    const size_t count = 2 * positions - 1;
    json_array_foreach((json_t *)(uintptr_t)runs, run, one) {
        for (size_t i = 0; i < number(one, 1); i++, at++) {
            assert_true(at < count);
            const int32_t row = relative->query_places[at], mirrored = relative->key_places[count - 1 - at];
            assert_int_equal(row, run); /* each run is a row of its own, in order */
            assert_int_equal(relative->sources[row], number(one, 0));
            assert_int_equal(mirrored, (int32_t)relative->rows - 1 - row);
        }
    }
    assert_int_equal(at, count);
    assert_int_equal(relative->rows, json_array_size(runs));
}

static void test_rows_of_distances(void **state) {
    (void)state;
    ce_error error;
    json_t *root = NULL;
    expect_ok(cei_json_load(test_data("model/distances.json"), (size_t)1 << 20, &root, &error), &error);
    const json_t *cases = json_object_get(root, "cases"), *one;
    size_t index;
    assert_true(json_array_size(cases) > 5);
    json_array_foreach((json_t *)(uintptr_t)cases, index, one) {
        const cei_config config = config_of(number(one, 0), number(one, 1), number(one, 2));
        expect_ok(cei_relative_check(&config, &error), &error);
        int32_t *memory = calloc(cei_relative_integers(&config), sizeof *memory);
        assert_non_null(memory);
        cei_relative relative = {0};
        cei_relative_init(&relative, &config, memory);
        check_places(&relative, json_array_get(one, 3), config.max_positions);
        assert_true(relative.rows_per_head % CEI_PANEL_ROWS == 0 && relative.rows_per_head >= relative.rows);
        assert_int_equal(cei_relative_shape(&relative, 6).rows, 2 * relative.rows_per_head);
        free(memory);
    }
    json_decref(root);
}

static cei_distance_bias bias_of(cei_bias_kind kind, const cei_config *config, int32_t *memory) {
    cei_distance_bias bias = {0};
    ce_error error;
    assert_true(cei_distance_bias_integers(config) <= MOST_INTEGERS);
    expect_ok(cei_distance_bias_check(kind, config, &error), &error);
    cei_distance_bias_init(&bias, kind, config, memory);
    return bias;
}

static void test_buckets(void **state) {
    (void)state;
    static int32_t memory[MOST_INTEGERS];
    ce_error error;
    json_t *root = NULL;
    expect_ok(cei_json_load(test_data("model/distances.json"), (size_t)1 << 20, &root, &error), &error);
    const json_t *mpnet = json_object_get(root, "mpnet"), *runs = json_array_get(mpnet, 1), *one;
    cei_config config = config_of(0, 0, number(mpnet, 0));
    config.bias_buckets = CEI_BIAS_TABLE_ROWS;
    const cei_distance_bias bias = bias_of(CEI_BIAS_BUCKETS, &config, memory);
    size_t run, at = 0;
    json_array_foreach((json_t *)(uintptr_t)runs, run, one) {
        assert_int_equal(bias.sources[run], number(one, 0));
        for (size_t i = 0; i < number(one, 1); i++, at++) assert_int_equal(bias.places[at], run);
    }
    assert_int_equal(at, 2 * config.max_positions - 1);
    assert_int_equal(bias.rows, CEI_BIAS_TABLE_ROWS - 1); /* no distance has the second half's first */
    assert_int_equal(cei_distance_bias_shape(&bias).rows, 2 * CEI_PANEL_ROWS);
    json_decref(root);
}

static void test_slopes(void **state) {
    (void)state;
    static int32_t memory[MOST_INTEGERS];
    const cei_config config = config_of(0, 0, 100);
    const cei_distance_bias bias = bias_of(CEI_BIAS_SLOPES, &config, memory);
    assert_int_equal(bias.rows, 199);
    for (size_t i = 0; i < 199; i++) {
        assert_int_equal(bias.places[i], i);
        assert_int_equal(bias.sources[i], i < 99 ? 99 - i : i - 99);
    }
}

static void test_biases_that_are_refused(void **state) {
    (void)state;
    ce_error error;
    cei_config config = config_of(0, 0, 65537);
    expect_status(cei_distance_bias_check(CEI_BIAS_SLOPES, &config, &error), CE_ERR_UNSUPPORTED, &error, "65536");
    config = config_of(0, 0, 512);
    config.bias_buckets = CEI_BIAS_TABLE_ROWS - 1;
    expect_ok(cei_distance_bias_check(CEI_BIAS_SLOPES, &config, &error), &error);
    expect_status(cei_distance_bias_check(CEI_BIAS_BUCKETS, &config, &error), CE_ERR_MODEL, &error,
                  "relative_attention_num_buckets is 31");
}

static void test_distances_that_are_refused(void **state) {
    (void)state;
    ce_error error;
    cei_config config = config_of(1, 0, 100);
    expect_status(cei_relative_check(&config, &error), CE_ERR_MODEL, &error, "position_buckets 1 of 100");
    config = config_of(256, 129, 512);
    expect_status(cei_relative_check(&config, &error), CE_ERR_MODEL, &error, "position_buckets 256 of 129");
    config = config_of(256, 0, 65537);
    expect_status(cei_relative_check(&config, &error), CE_ERR_UNSUPPORTED, &error, "65536");
    config = config_of(256, 130, 65536);
    expect_ok(cei_relative_check(&config, &error), &error);
}

static void test_convolutions_that_are_refused(void **state) {
    (void)state;
    ce_error error;
    cei_config config = config_of(0, 0, 10);
    expect_ok(cei_token_conv_check(&config, &error), &error);
    config.conv_kernel_size = 4;
    expect_status(cei_token_conv_check(&config, &error), CE_ERR_UNSUPPORTED, &error, "conv_kernel_size is 4");
    config.conv_kernel_size = 3;
    config.conv_groups = 5;
    expect_status(cei_token_conv_check(&config, &error), CE_ERR_MODEL, &error, "conv_groups 5");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_of_distances),
        cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_slopes),
        cmocka_unit_test(test_biases_that_are_refused),
        cmocka_unit_test(test_distances_that_are_refused),
        cmocka_unit_test(test_convolutions_that_are_refused),
    };
    return cmocka_run_group_tests_name("distances", tests, NULL, NULL);
}
