/* test_quantize.c - the search for scales: against plain rounding, against a search by another way, and on odd rows. */
#include "formats/quantize.h"

#include "formats/rounding.h"
#include "support/support.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 1600 };

static uint32_t seed;

static float uniform(void) {
    seed = seed * 1664525u + 1013904223u;
    return (float)(seed >> 8) / (1 << 24);
}

/* About normal, with a few values far out. */
static void fill(float *row, size_t columns) {
    for (size_t i = 0; i < columns; i++) {
        float sum = -6;
        for (int k = 0; k < 12; k++) sum += uniform();
        row[i] = 0.05f * sum * (uniform() < 0.01f ? 4 : 1);
    }
}

static double error_of(const float *row, const int8_t *integers, double scale, size_t columns) {
    double sum = 0;
    for (size_t i = 0; i < columns; i++) sum += (row[i] - scale * integers[i]) * (row[i] - scale * integers[i]);
    return sum;
}

/* The error with the best integers for a scale. */
static double error_at(const float *row, double scale, size_t columns, double *refined) {
    double sum = 0, product = 0, square = 0;
    for (size_t i = 0; i < columns; i++) {
        double q = rint(row[i] / scale);
        q = fmin(fmax(q, -127), 127);
        sum += (row[i] - scale * q) * (row[i] - scale * q);
        product += row[i] * q;
        square += q * q;
    }
    *refined = product / square;
    return sum;
}

/* The same search, plainly: the least error of the grid, and of eight refinements. */
static double search(const float *row, size_t columns) {
    double top = 0, best = INFINITY, refined = 0, next;
    for (size_t i = 0; i < columns; i++) top = fmax(top, fabs((double)row[i]) / 127);
    for (int i = 0; i <= 40; i++) {
        double error = error_at(row, (float)(top * (1 - 0.005 * i)), columns, &next);
        if (error < best) best = error, refined = next;
    }
    for (int i = 0; i < 8; i++) {
        double error = error_at(row, (float)refined, columns, &next);
        if (!(error < best)) break;
        best = error, refined = next;
    }
    return best;
}

static void errors_are_those_of_the_search(void **state) {
    (void)state;
    static const size_t lengths[] = {2, 7, 8, 9, 63, 100, 127, 128, 129, 136, 255, 384, 385, 1000, 1536, MOST};
    static float row[MOST], rounded[MOST];
    static int8_t integers[MOST];
    seed = 7;
    for (size_t n = 0; n < sizeof lengths / sizeof *lengths; n++)
        for (int turn = 0; turn < 20; turn++) {
            size_t columns = lengths[n];
            float scale = 0, plain = 0;
            fill(row, columns);
            assert_true(cei_quantize_row(row, columns, integers, &scale));
            assert_true(scale >= FLT_MIN);
            for (size_t i = 0; i < columns; i++) assert_int_not_equal(integers[i], -128);
            double found = error_of(row, integers, scale, columns);
            assert_true(fabs(found - search(row, columns)) <= 1e-9 * found);
            memcpy(rounded, row, sizeof row);
            cei_round_rows(CEI_FORMAT_INT8, rounded, 1, columns, &plain);
            double usual = 0;
            for (size_t i = 0; i < columns; i++) usual += pow((double)row[i] - rounded[i], 2);
            assert_true(found <= usual * (1 + 1e-6));
        }
}

static void rows_that_are_such_numbers_stay(void **state) {
    (void)state;
    float row[255], scale;
    int8_t integers[255];
    for (int i = 0; i < 255; i++) row[i] = 0.03125f * (float)(i - 127);
    assert_true(cei_quantize_row(row, 255, integers, &scale));
    assert_true(scale == 0.03125f);
    for (int i = 0; i < 255; i++) assert_int_equal(integers[i], i - 127);
}

static void zeros_and_the_smallest(void **state) {
    (void)state;
    static const float smallest[] = {0, 1e-45f, FLT_MIN, 100 * FLT_MIN};
    for (size_t n = 0; n < sizeof smallest / sizeof *smallest; n++) {
        float row[20] = {0}, scale = 0;
        int8_t integers[20];
        row[3] = -smallest[n];
        memset(integers, 1, sizeof integers);
        assert_true(cei_quantize_row(row, 20, integers, &scale));
        assert_true(scale == 1);
        for (int i = 0; i < 20; i++) assert_int_equal(integers[i], 0);
    }
    float row[20] = {0}, scale = 0;
    int8_t integers[20];
    row[5] = 1000 * FLT_MIN;
    assert_true(cei_quantize_row(row, 20, integers, &scale));
    assert_true(scale >= FLT_MIN && integers[5] > 0);
    assert_true(cei_quantize_row(row, 0, integers, &scale));
    assert_true(scale == 1);
}

static void the_largest(void **state) {
    (void)state;
    float row[3] = {FLT_MAX, -FLT_MAX, FLT_MAX / 2}, scale = 0;
    int8_t integers[3];
    assert_true(cei_quantize_row(row, 3, integers, &scale));
    assert_true(isfinite(scale) && isfinite(scale * (float)integers[0]));
    assert_int_equal(integers[0], -integers[1]);
}

static void what_is_no_number_is_refused(void **state) {
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t n = 0; n < 3; n++)
        for (int at = 0; at < 9; at++) {
            float row[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, scale = 5;
            int8_t integers[9] = {0};
            row[at] = bad[n];
            assert_false(cei_quantize_row(row, 9, integers, &scale));
            assert_true(scale == 5 && integers[0] == 0);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_those_of_the_search), cmocka_unit_test(rows_that_are_such_numbers_stay),
        cmocka_unit_test(zeros_and_the_smallest),         cmocka_unit_test(the_largest),
        cmocka_unit_test(what_is_no_number_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
