/* test_metrics.c - ranking measures against trec_eval's own values (tools/golden/metrics_golden.py made them), and
 * the cases that trec_eval has no word for. */
#include "support/support.h"

#include <crossenc/metrics.h>

#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>

enum { MOST = 200 };

typedef struct golden_list {
    int relevance[MOST], ideal[MOST];
    size_t count, ideal_count, relevant;
} golden_list;

static size_t read_numbers(const json_t *array, int *numbers) {
    assert_true(json_is_array(array) && json_array_size(array) <= MOST);
    for (size_t i = 0; i < json_array_size(array); i++) {
        numbers[i] = (int)json_integer_value(json_array_get(array, i));
    }
    return json_array_size(array);
}

static void read_list(const json_t *golden, golden_list *list) {
    list->count = read_numbers(json_object_get(golden, "relevance"), list->relevance);
    list->ideal_count = read_numbers(json_object_get(golden, "ideal"), list->ideal);
    list->relevant = 0;
    for (size_t i = 0; i < list->ideal_count; i++) list->relevant += list->ideal[i] > 0;
}

static void expect_close(double got, const json_t *golden, const char *key) {
    assert_true(json_is_number(json_object_get(golden, key)));
    double want = json_number_value(json_object_get(golden, key));
    if (!(fabs(got - want) <= 1e-9)) fail_msg("%s is %.17g, and trec_eval's %.17g", key, got, want);
}

static void check_list(const json_t *golden) {
    golden_list list;
    read_list(golden, &list);
    expect_close(ce_metric_ndcg(list.relevance, list.count, list.ideal, list.ideal_count, 0), golden, "ndcg");
    expect_close(ce_metric_average_precision(list.relevance, list.count, list.relevant, 0), golden, "map");
    size_t index;
    json_t *cut;
    json_array_foreach(json_object_get(golden, "cuts"), index, cut) {
        size_t k = (size_t)json_integer_value(json_object_get(cut, "k"));
        expect_close(ce_metric_ndcg(list.relevance, list.count, list.ideal, list.ideal_count, k), cut, "ndcg");
        expect_close(ce_metric_average_precision(list.relevance, list.count, list.relevant, k), cut, "map");
        expect_close(ce_metric_recall(list.relevance, list.count, list.relevant, k), cut, "recall");
        expect_close(ce_metric_reciprocal_rank(list.relevance, list.count, k), cut, "mrr");
    }
}

static void test_golden(void **state) {
    (void)state;
    json_error_t why;
    json_t *lists = json_load_file(test_data("score/metrics.json"), 0, &why);
    if (!lists) fail_msg("metrics.json: %s", why.text);
    assert_int_equal(json_array_size(lists), 30);
    for (size_t i = 0; i < json_array_size(lists); i++) check_list(json_array_get(lists, i));
    json_decref(lists);
}

static void test_nothing_relevant(void **state) {
    (void)state;
    const int none[] = {0, -1, 0};
    assert_true(ce_metric_ndcg(none, 3, none, 3, 10) == 0.0);
    assert_true(ce_metric_ndcg(NULL, 0, NULL, 0, 0) == 0.0);
    assert_true(ce_metric_reciprocal_rank(none, 3, 0) == 0.0);
    assert_true(ce_metric_average_precision(none, 3, 0, 0) == 0.0);
    assert_true(ce_metric_recall(none, 3, 0, 0) == 0.0);
}

static void test_empty_list_of_a_judged_query(void **state) {
    (void)state;
    const int ideal[] = {1, 2};
    assert_true(ce_metric_ndcg(NULL, 0, ideal, 2, 10) == 0.0);
    assert_true(ce_metric_average_precision(NULL, 0, 2, 0) == 0.0);
    assert_true(ce_metric_recall(NULL, 0, 2, 10) == 0.0);
}

static void test_best_order_is_one(void **state) {
    (void)state;
    const int best[] = {INT_MAX, INT_MAX, INT_MAX - 1, 7, 7, 3, 1, 1, 0, INT_MIN};
    const int shuffled[] = {1, 7, 0, INT_MAX, 3, INT_MIN, INT_MAX, 1, INT_MAX - 1, 7};
    for (size_t k = 0; k <= 11; k++) assert_true(ce_metric_ndcg(best, 10, shuffled, 10, k) == 1.0);
    assert_true(ce_metric_average_precision(best, 10, 8, 0) == 1.0);
    assert_true(ce_metric_recall(best, 10, 8, 8) == 1.0);
    assert_true(ce_metric_recall(best, 10, 8, 4) == 0.5);
}

/* Worked by hand: gains 3 at rank 2 and 1 at rank 3, against 3 and 1 at ranks 1 and 2. */
static void test_worked_example(void **state) {
    (void)state;
    const int list[] = {0, 3, 1}, ideal[] = {1, 3};
    double want = (3 / log2(3) + 1 / log2(4)) / (3 / log2(2) + 1 / log2(3));
    assert_true(fabs(ce_metric_ndcg(list, 3, ideal, 2, 0) - want) < 1e-15);
    assert_true(fabs(ce_metric_average_precision(list, 3, 2, 0) - (1.0 / 2 + 2.0 / 3) / 2) < 1e-15);
    assert_true(ce_metric_reciprocal_rank(list, 3, 2) == 0.5);
    assert_true(ce_metric_reciprocal_rank(list, 3, 1) == 0.0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_nothing_relevant),
        cmocka_unit_test(test_best_order_is_one),
        cmocka_unit_test(test_empty_list_of_a_judged_query),
        cmocka_unit_test(test_worked_example),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
