/* test_rotary.c - frequencies of rotary positions from configs, against the reference's
 * (tools/golden/rotary_golden.py).
 */
#include "model/config.h"

#include "base/json.h"
#include "support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PAIRS = 8 };

static void check_case(const json_t *one) {
    char *text = json_dumps(json_array_get(one, 0), 0);
    const json_t *frequencies = json_array_get(one, 1);
    ce_error error;
    cei_config config;
    float found[PAIRS], factor;
    assert_non_null(text);
    assert_int_equal(json_array_size(frequencies), PAIRS);
    expect_ok(cei_config_parse(text, strlen(text), "config.json", NULL, &config, &error), &error);
    cei_rotary_frequencies(&config.rope_scaling[0], config.rope_theta, 2 * PAIRS, config.max_positions, found, &factor);
    for (size_t i = 0; i < PAIRS; i++) {
        const double want = json_real_value(json_array_get(frequencies, i));
        /* Elementary functions of two libraries: a unit or two in the last place. */
        if (!(fabs((double)found[i] - want) <= ldexp(want, -22)))
            fail_msg("%s: frequency %zu is %.9g, expected %.9g", text, i, (double)found[i], want);
    }
    const double want = json_real_value(json_array_get(one, 2));
    if (!(fabs((double)factor - want) <= ldexp(want, -23)))
        fail_msg("%s: the factor is %.9g, expected %.9g", text, (double)factor, want);
    cei_config_free(&config);
    free(text);
}

static void test_frequencies(void **state) {
    (void)state;
    ce_error error;
    json_t *root = NULL;
    const json_t *one;
    size_t index;
    expect_ok(cei_json_load(test_data("model/rotary.json"), (size_t)1 << 20, &root, &error), &error);
    json_array_foreach((json_t *)(uintptr_t)json_object_get(root, "cases"), index, one) check_case(one);
    assert_int_equal(index, 12);
    json_decref(root);
}

/* Where nothing becomes longer, nothing is scaled. */
static void test_what_is_not_scaled(void **state) {
    (void)state;
    static const char *const texts[] = {
        "{\"model_type\": \"new\", \"rope_scaling\": {\"type\": \"ntk\", \"factor\": 1.0}}",
        "{\"rope_scaling\": {\"type\": \"default\", \"factor\": 3.0}}", "{\"rope_scaling\": {}}", "{}"};
    cei_rope_scaling none = {0};
    float plain[PAIRS], found[PAIRS], factor;
    cei_rotary_frequencies(&none, 700, 2 * PAIRS, 100, plain, &factor);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ce_error error;
        cei_config config;
        expect_ok(cei_config_parse(texts[i], strlen(texts[i]), "config.json", NULL, &config, &error), &error);
        cei_rotary_frequencies(&config.rope_scaling[0], 700, 2 * PAIRS, 100, found, &factor);
        assert_memory_equal(found, plain, sizeof found);
        assert_true(factor == 1);
        cei_config_free(&config);
    }
}

static void test_a_length_that_is_missing(void **state) {
    (void)state;
    static const char text[] = "{\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 2}}";
    ce_error error;
    cei_config config;
    expect_status(cei_config_parse(text, strlen(text), "config.json", NULL, &config, &error), CE_ERR_FORMAT, &error,
                  "\"original_max_position_embeddings\" is missing");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frequencies),
        cmocka_unit_test(test_what_is_not_scaled),
        cmocka_unit_test(test_a_length_that_is_missing),
    };
    return cmocka_run_group_tests_name("rotary positions", tests, NULL, NULL);
}
