/* test_rounding.c - rounding to bfloat16, to float16, to int8 rows and to activations, against the definitions in
 * rounding.h, taken in double; and what reading a file in a format gives. */
#include "formats/rounding.h"
#include "formats/values.h"

#include "support/support.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Uniform over 32 bits, the same every time (the finalizer of MurmurHash3). */
static uint32_t hash(uint32_t h) {
    h = h * 0x9E3779B9u + 1;
    h ^= h >> 16;
    h *= 0x85EBCA6Bu;
    h ^= h >> 13;
    h *= 0xC2B2AE35u;
    return h ^ h >> 16;
}

static float uniform(uint32_t seed, float least, float most) {
    return least + (most - least) * (float)(hash(seed) >> 8) / 16777216.0f;
}

/* ---- bfloat16 ------------------------------------------------------------------------------------------------ */

/* What an upper half stands for; beyond the largest number follows 2^128. */
static double value_of_half(uint32_t half) {
    return (half & 0x7FFF) == 0x7F80 ? ldexp(half & 0x8000 ? -1 : 1, 128) : (double)float_of(half << 16);
}

/* Every upper half, with lower halves below, at, and above a tie, and at the ends. */
static void bfloat16_rounds_to_nearest_even(void **state) {
    (void)state;
    static const uint32_t lower[] = {0, 1, 0x3FFF, 0x7FFF, 0x8000, 0x8001, 0xC000, 0xFFFF};
    for (uint32_t half = 0; half < 0x10000; half++)
        for (size_t i = 0; i < sizeof lower / sizeof *lower; i++) {
            const float x = float_of(half << 16 | lower[i]), found = cei_round_bfloat16(x);
            if ((bits_of(found) & 0xFFFF) != 0) fail_msg("%a keeps lower bits", (double)x);
            if (isnan(x)) {
                if (!isnan(found)) fail_msg("the NaN %08x became %a", bits_of(x), (double)found);
                continue;
            }
            if (isinf(x)) {
                assert_int_equal(bits_of(found), bits_of(x));
                continue;
            }
            const double below = fabs((double)x - value_of_half(half)),
                         above = fabs(value_of_half(half + 1) - (double)x);
            const uint32_t wanted = half + (above < below || (above == below && (half & 1)));
            if (bits_of(found) >> 16 != wanted)
                fail_msg("%a became %a, wanted the half %04x", (double)x, (double)found, wanted);
        }
}

static void bfloat16_of_known_numbers(void **state) {
    (void)state;
    static const uint32_t known[][2] = {
        {0x3F800000, 0x3F800000}, {0x3F808000, 0x3F800000}, {0x3F818000, 0x3F820000}, {0x3F808001, 0x3F810000},
        {0x00000000, 0x00000000}, {0x80000000, 0x80000000}, {0x00000001, 0x00000000}, {0x80008001, 0x80010000},
        {0x7F7FFFFF, 0x7F800000}, {0xFF7F8000, 0xFF800000}, {0x7F7F7FFF, 0x7F7F0000}, {0x007FFFFF, 0x00800000},
        {0x7F800000, 0x7F800000}, {0x7F800001, 0x7FC00000}, {0xFFFFFFFF, 0xFFFF0000},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_int_equal(bits_of(cei_round_bfloat16(float_of(known[i][0]))), known[i][1]);
}

/* ---- float16 ------------------------------------------------------------------------------------------------- */

/* Each number below the largest, what lies between it and the next, and the neighbours of the tie. */
static void float16_rounds_to_nearest_even(void **state) {
    (void)state;
    for (uint16_t half = 0; half < 0x7BFF; half++) {
        const float low = cei_widen_float16(half), high = cei_widen_float16((uint16_t)(half + 1));
        const float tie = low + (high - low) / 2, even = half % 2 ? high : low;
        const float from[] = {low, nextafterf(tie, 0), tie, nextafterf(tie, 1e6f)}, wanted[] = {low, low, even, high};
        for (size_t i = 0; i < 4; i++)
            for (int sign = -1; sign <= 1; sign += 2)
                if (bits_of(cei_saturate_float16((float)sign * from[i])) != bits_of((float)sign * wanted[i]))
                    fail_msg("%a became %a, wanted %a", (double)((float)sign * from[i]),
                             (double)cei_saturate_float16((float)sign * from[i]), (double)((float)sign * wanted[i]));
    }
}

/* Numbers stay numbers, and what is none stays none. */
static void float16_ends_at_its_largest_number(void **state) {
    (void)state;
    static const float beyond[] = {65504, 65519, 65520, 65536, 1e30f, FLT_MAX};
    for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++) {
        assert_true(cei_saturate_float16(beyond[i]) == 65504);
        assert_true(cei_saturate_float16(-beyond[i]) == -65504);
    }
    assert_true(cei_saturate_float16(INFINITY) == INFINITY && cei_saturate_float16(-INFINITY) == -INFINITY);
    const float odd[] = {NAN, float_of(0x7F800001), float_of(0xFFFFFFFF)};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(bits_of(cei_saturate_float16(odd[i])), 0x7FC00000 | (bits_of(odd[i]) & 0x80000000));
}

/* What was rounded is held in 16 bits, and comes back. */
static void float16_is_held_exactly(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 4000; i++) {
        float value = float_of(i % 5 ? bits_of(uniform(i, -9, 9)) : hash(i));
        uint16_t half;
        cei_round_rows(CEI_FORMAT_FLOAT16, &value, 1, 1, NULL);
        cei_hold_float16(&value, 1, &half);
        assert_int_equal(bits_of(cei_widen_float16(half)), bits_of(value));
    }
}

/* ---- rows of int8 -------------------------------------------------------------------------------------------- */

enum { COLUMNS = 61, ROWS = 200 };

static void fill_row(float *row, uint32_t seed) {
    const float size = ldexpf(1, (int)(hash(seed) % 200) - 100);
    for (uint32_t i = 0; i < COLUMNS; i++) row[i] = size * uniform(seed * COLUMNS + i, -1, 1);
}

/* A value that was rounded is scale times a whole number of steps, the nearest one. */
static void expect_row(const float *row, const float *rounded, size_t columns, float scale) {
    double largest = 0;
    for (size_t i = 0; i < columns; i++) largest = fmax(largest, fabs((double)row[i]));
    assert_true(scale == (float)largest / 127);
    for (size_t i = 0; i < columns; i++) {
        const double steps = nearbyint((double)rounded[i] / (double)scale);
        assert_true(fabs(steps) <= 127);
        assert_int_equal(bits_of(rounded[i]), bits_of(scale * (float)steps));
        if (!(fabs((double)row[i] / (double)scale - steps) <= 0.5 + 127 * ldexp(1, -22)))
            fail_msg("%.9g became %g steps of %.9g", (double)row[i], steps, (double)scale);
        if (fabs((double)row[i]) == largest) assert_true(fabs(steps) == 127);
    }
}

static void int8_rows_have_127_steps_to_each_side(void **state) {
    (void)state;
    static float values[ROWS * COLUMNS], rounded[ROWS * COLUMNS], scales[ROWS];
    for (uint32_t r = 0; r < ROWS; r++) fill_row(values + r * COLUMNS, r);
    memcpy(rounded, values, sizeof rounded);
    cei_round_rows(CEI_FORMAT_INT8, rounded, ROWS, COLUMNS, scales);
    for (size_t r = 0; r < ROWS; r++) {
        float alone[COLUMNS], scale;
        expect_row(values + r * COLUMNS, rounded + r * COLUMNS, COLUMNS, scales[r]);
        memcpy(alone, values + r * COLUMNS, sizeof alone);
        cei_round_rows(CEI_FORMAT_INT8, alone, 1, COLUMNS, &scale);
        assert_memory_equal(alone, rounded + r * COLUMNS, sizeof alone);
        assert_memory_equal(&scale, &scales[r], sizeof scale);
    }
}

static void int8_ties_go_to_even(void **state) {
    (void)state;
    float row[] = {127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, 126.5f, -126.5f, -0.0f, 0.25f, -0.25f}, scale;
    static const float wanted[] = {127, 0, 2, 2, 0, -2, -2, 126, -126, 0, 0, 0};
    cei_round_rows(CEI_FORMAT_INT8, row, 1, sizeof row / sizeof *row, &scale);
    assert_true(scale == 1);
    assert_memory_equal(row, wanted, sizeof wanted); /* no zero has a sign */
}

static void int8_rows_of_zeros_and_of_what_is_no_number(void **state) {
    (void)state;
    static const struct {
        float value;
        bool finite;
    } kinds[] = {{0, true},         {-0.0f, true},      {1e-45f, true},   {FLT_MIN * 126, true}, {NAN, false},
                 {INFINITY, false}, {-INFINITY, false}, {FLT_MAX, false}, {-NAN, false}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (size_t place = 0; place < 3; place++) {
            float row[3] = {0, -0.0f, 0}, scale = 77, zeros[3] = {0};
            row[place] = kinds[i].value;
            if (!kinds[i].finite) row[(place + 1) % 3] = 5;
            cei_round_rows(CEI_FORMAT_INT8, row, 1, 3, &scale);
            assert_true(isfinite(scale) == kinds[i].finite);
            if (!kinds[i].finite) continue;
            assert_int_equal(bits_of(scale), 0);
            assert_memory_equal(row, zeros, sizeof row);
        }
    float row[2] = {FLT_MIN * 128, 0}, scale; /* just large enough to be told from 0 */
    cei_round_rows(CEI_FORMAT_INT8, row, 1, 2, &scale);
    assert_true(scale >= FLT_MIN && row[0] == scale * 127);
}

static void other_formats_have_no_scales(void **state) {
    (void)state;
    float values[2 * COLUMNS], rounded[2 * COLUMNS];
    fill_row(values, 1);
    fill_row(values + COLUMNS, 2);
    memcpy(rounded, values, sizeof rounded);
    cei_round_rows(CEI_FORMAT_FLOAT32, rounded, 2, COLUMNS, NULL);
    assert_memory_equal(rounded, values, sizeof rounded);
    cei_round_rows(CEI_FORMAT_BFLOAT16, rounded, 2, COLUMNS, NULL);
    for (size_t i = 0; i < 2 * COLUMNS; i++) assert_true(rounded[i] == cei_round_bfloat16(values[i]));
    static const char *const names[] = {"float32", "bfloat16", "float16", "int8", "unknown"};
    assert_int_equal(sizeof names / sizeof *names, CEI_FORMAT_COUNT + 1);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_string_equal(cei_format_name((cei_format)i), names[i]);
}

/* ---- activations --------------------------------------------------------------------------------------------- */

static void expect_activations(const float *x, size_t count) {
    float least = 0, largest = 0, rounded[COLUMNS];
    for (size_t i = 0; i < count; i++) least = fminf(least, x[i]), largest = fmaxf(largest, x[i]);
    const cei_row_scale row = cei_activation_scale(x, count);
    memcpy(rounded, x, count * sizeof *x);
    cei_round_activations(rounded, count);
    assert_true(row.zero >= 0 && row.zero <= 255);
    assert_true(row.scale == (largest - least) / 255);
    if (row.scale == 0) return;
    assert_true(fabs((double)-least / (double)row.scale - row.zero) <= 0.5001);
    for (size_t i = 0; i < count; i++) {
        const double q = (double)rounded[i] / (double)row.scale + row.zero;
        assert_true(fabs(q - nearbyint(q)) < 1e-3 && nearbyint(q) >= 0 && nearbyint(q) <= 255);
        assert_int_equal(bits_of(rounded[i]), bits_of(row.scale * (float)(nearbyint(q) - row.zero)));
        /* Half a step; at the ends of the range the zero's own rounding comes on top. */
        const bool is_end = nearbyint(q) == 0 || nearbyint(q) == 255;
        assert_true(fabs((double)x[i] - (double)rounded[i]) / (double)row.scale <= (is_end ? 1.001 : 0.501));
        if (x[i] == 0) assert_true(rounded[i] == 0); /* what GELU gives so often */
    }
}

static void activations_have_255_steps_over_their_range(void **state) {
    (void)state;
    for (uint32_t round = 0; round < 2000; round++) {
        const size_t count = 1 + hash(round) % COLUMNS;
        const float low = uniform(round * 3, -2, 1), high = uniform(round * 3 + 1, low, 3);
        const float size = ldexpf(1, (int)(hash(round * 3 + 2) % 160) - 80);
        float x[COLUMNS];
        for (uint32_t i = 0; i < count; i++) x[i] = i % 9 == 8 ? 0 : size * uniform(round * COLUMNS + i, low, high);
        expect_activations(x, count);
    }
}

/* One side is used whole: a row that is never negative has 255 steps above 0. */
static void one_sided_activations_keep_their_steps(void **state) {
    (void)state;
    const float up[] = {0, 0.5f, 255}, down[] = {-255, -0.5f, 0}, both[] = {-100, 155};
    cei_row_scale row = cei_activation_scale(up, 3);
    assert_true(row.scale == 1 && row.zero == 0);
    row = cei_activation_scale(down, 3);
    assert_true(row.scale == 1 && row.zero == 255);
    row = cei_activation_scale(both, 2);
    assert_true(row.scale == 1 && row.zero == 100);
    for (int zero = 100; zero <= 101; zero++) { /* rounded before the zero is added: ties fall alike */
        float ties[] = {(float)-zero, (float)(255 - zero), 0.5f, 1.5f, -0.5f, -1.5f, 2.5f};
        static const float even[] = {0, 2, 0, -2, 2};
        cei_round_activations(ties, 7);
        for (size_t i = 0; i < 5; i++) assert_true(ties[2 + i] == even[i]);
    }
}

static void activations_without_a_range(void **state) {
    (void)state;
    const float zeros[] = {0, -0.0f, 0}, tiny[] = {1e-39f, -1e-45f, 0}, huge[] = {FLT_MAX, -FLT_MAX, 1};
    const float infinite[] = {1, INFINITY, 2}, nothing[] = {NAN, NAN, NAN}, some[] = {NAN, 255, NAN};
    const float *const rows[] = {zeros, tiny, huge, infinite, nothing};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const cei_row_scale row = cei_activation_scale(rows[i], 3);
        assert_true(row.scale == 0 && row.zero == 0);
    }
    assert_true(cei_activation_scale(NULL, 0).scale == 0);
    assert_true(cei_activation_scale(some, 3).scale == 1); /* NaN is passed over */
    float kept[] = {NAN, 255, NAN};
    cei_round_activations(kept, 3);
    assert_true(isnan(kept[0]) && kept[1] == 255 && isnan(kept[2])); /* and shows in the reference */
}

/* ---- files in formats ---------------------------------------------------------------------------------------- */

/* Values of every dtype, at an odd address, in every format: those of cei_values_read, rounded; rows by themselves. */
static void files_are_read_in_every_format(void **state) {
    (void)state;
    enum { HEIGHT = 7, WIDTH = 13, SIZE = HEIGHT * WIDTH };
    static uint8_t room[SIZE * 4 + 1], scale_room[HEIGHT * 4 + 1];
    for (size_t i = 0; i < sizeof room; i++) room[i] = (uint8_t)(i % 4 == 0 ? 0x3E - i % 3 : hash((uint32_t)i));
    for (size_t r = 0; r < HEIGHT; r++) {
        const float scale = r % 2 ? 0.03f : -0.5f; /* a negative scale is as good as any */
        memcpy(scale_room + 1 + r * 4, &scale, 4);
    }
    for (int dtype = 0; dtype <= CEI_DTYPE_I8; dtype++) /* blocks have rows of their own widths */
        for (int format = 0; format < CEI_FORMAT_COUNT; format++) {
            const cei_values values = {.dtype = (cei_dtype)dtype,
                                       .rows = HEIGHT,
                                       .columns = WIDTH,
                                       .data = room + 1,
                                       .scales = scale_room + 1};
            float wanted[SIZE], found[SIZE], wanted_scales[HEIGHT] = {0}, scales[HEIGHT] = {0};
            cei_values_read(&values, 0, HEIGHT, wanted);
            const bool keeps = dtype == CEI_DTYPE_I8 && format == CEI_FORMAT_INT8;
            if (keeps)
                memcpy(wanted_scales, scale_room + 1, sizeof wanted_scales);
            else
                cei_round_rows((cei_format)format, wanted, HEIGHT, WIDTH, wanted_scales);
            for (size_t first = 0; first < HEIGHT; first++)
                for (size_t count = 0; first + count <= HEIGHT; count++) {
                    cei_values_read_as(&values, first, count, (cei_format)format, found, scales);
                    assert_memory_equal(found, wanted + first * WIDTH, count * WIDTH * sizeof *found);
                    assert_memory_equal(scales, wanted_scales + first, count * sizeof *scales);
                }
        }
}

/* A scale of 0 makes a row of zeros, whatever its integers: and of zeros without signs, which integers don't have. */
static void a_scale_of_zero_makes_plain_zeros(void **state) {
    (void)state;
    static const int8_t integers[] = {5, -5, 0, 127, -128, 1};
    static const float file_scales[] = {0, -0.0f};
    const cei_values values = {.dtype = CEI_DTYPE_I8,
                               .rows = 2,
                               .columns = 3,
                               .data = (const uint8_t *)integers,
                               .scales = (const uint8_t *)file_scales};
    const float zeros[6] = {0};
    float found[6], scales[2];
    cei_values_read_as(&values, 0, 2, CEI_FORMAT_INT8, found, scales);
    assert_memory_equal(found, zeros, sizeof zeros);
    assert_memory_equal(scales, zeros, sizeof scales);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bfloat16_rounds_to_nearest_even),
        cmocka_unit_test(bfloat16_of_known_numbers),
        cmocka_unit_test(float16_rounds_to_nearest_even),
        cmocka_unit_test(float16_ends_at_its_largest_number),
        cmocka_unit_test(float16_is_held_exactly),
        cmocka_unit_test(int8_rows_have_127_steps_to_each_side),
        cmocka_unit_test(int8_ties_go_to_even),
        cmocka_unit_test(int8_rows_of_zeros_and_of_what_is_no_number),
        cmocka_unit_test(other_formats_have_no_scales),
        cmocka_unit_test(activations_have_255_steps_over_their_range),
        cmocka_unit_test(one_sided_activations_keep_their_steps),
        cmocka_unit_test(activations_without_a_range),
        cmocka_unit_test(files_are_read_in_every_format),
        cmocka_unit_test(a_scale_of_zero_makes_plain_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
