/* test_values.c - every half, every bfloat16, every int8, against arithmetic in double. */
#include "formats/values.h"

#include "support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ALL = 65536 };

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* IEEE 754 binary16, by its definition. NaN is the caller's affair. */
static double half_value(unsigned half) {
    unsigned exponent = half >> 10 & 31, mantissa = half & 1023;
    double magnitude = exponent == 31  ? INFINITY
                       : exponent == 0 ? ldexp(mantissa, -24)
                                       : ldexp(1024 + mantissa, (int)exponent - 25);
    return half & 0x8000 ? -magnitude : magnitude;
}

/* All 16-bit patterns, at an odd address, as a matrix of 16 rows. */
static cei_values all_patterns(cei_dtype dtype, uint8_t *room) {
    for (unsigned i = 0; i < ALL; i++) {
        room[1 + 2 * i] = (uint8_t)i;
        room[2 + 2 * i] = (uint8_t)(i >> 8);
    }
    return (cei_values){.dtype = dtype, .rows = 16, .columns = ALL / 16, .data = room + 1};
}

static void every_half_is_exact(void **state) {
    (void)state;
    uint8_t *room = malloc(2 * ALL + 1);
    float *out = malloc(ALL * sizeof *out);
    assert_true(room && out);
    cei_values values = all_patterns(CEI_DTYPE_F16, room);
    cei_values_read(&values, 0, 16, out);
    for (unsigned i = 0; i < ALL; i++) {
        bool nan = (i & 0x7C00) == 0x7C00 && (i & 0x3FF) != 0;
        uint32_t want = nan ? (i & 0x8000) << 16 | 0x7F800000u | (i & 0x3FF) << 13 : bits_of((float)half_value(i));
        if (bits_of(out[i]) != want) fail_msg("half %04x became %08x, not %08x", i, bits_of(out[i]), want);
    }
    free(out);
    free(room);
}

static void every_bfloat16_is_exact(void **state) {
    (void)state;
    uint8_t *room = malloc(2 * ALL + 1);
    float *out = malloc(ALL * sizeof *out);
    assert_true(room && out);
    cei_values values = all_patterns(CEI_DTYPE_BF16, room);
    cei_values_read(&values, 0, 16, out);
    for (unsigned i = 0; i < ALL; i++) assert_int_equal(bits_of(out[i]), (uint32_t)i << 16);
    free(out);
    free(room);
}

static void int8_rows_have_their_scales(void **state) {
    (void)state;
    enum { ROWS = 5, COLUMNS = 256 };
    static const float scales[ROWS] = {1.0f, 0.1f, -3.5e-3f, 0.0f, 1e-30f};
    uint8_t data[ROWS * COLUMNS], unaligned[1 + sizeof scales];
    float out[ROWS * COLUMNS];
    for (int i = 0; i < ROWS * COLUMNS; i++) data[i] = (uint8_t)i;
    memcpy(unaligned + 1, scales, sizeof scales);
    cei_values values = {
        .dtype = CEI_DTYPE_I8, .rows = ROWS, .columns = COLUMNS, .data = data, .scales = unaligned + 1};
    cei_values_read(&values, 0, ROWS, out);
    for (int row = 0; row < ROWS; row++)
        for (int i = 0; i < COLUMNS; i++) {
            float want = (float)((double)scales[row] * (double)(i < 128 ? i : i - 256)); /* one rounding */
            assert_int_equal(bits_of(out[row * COLUMNS + i]), bits_of(want));
        }
}

/* Any range of rows is that part of the whole, and nothing beside it is written. */
static void ranges_of_rows(void **state) {
    (void)state;
    enum { ROWS = 7, COLUMNS = 13 };
    uint8_t data[ROWS * COLUMNS * 4 + 3];
    float scales[ROWS], whole[ROWS * COLUMNS], part[ROWS * COLUMNS + 1];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(i * 37 % 61);
    for (int i = 0; i < ROWS; i++) scales[i] = (float)i + 0.5f;
    for (int dtype = CEI_DTYPE_F32; dtype <= CEI_DTYPE_I8; dtype++)
        for (size_t shift = 0; shift < 4; shift++) {
            cei_values values = {.dtype = (cei_dtype)dtype,
                                 .rows = ROWS,
                                 .columns = COLUMNS,
                                 .data = data + shift,
                                 .scales = (const uint8_t *)scales};
            cei_values_read(&values, 0, ROWS, whole);
            for (size_t first = 0; first <= ROWS; first++)
                for (size_t count = 0; first + count <= ROWS; count++) {
                    memset(part, 0x55, sizeof part);
                    float guard = part[0];
                    cei_values_read(&values, first, count, part);
                    assert_memory_equal(part, whole + first * COLUMNS, count * COLUMNS * sizeof *part);
                    assert_int_equal(bits_of(part[count * COLUMNS]), bits_of(guard));
                }
        }
}

static void aligned_floats_are_used_in_place(void **state) {
    (void)state;
    float numbers[6] = {1, 2, 3, 4, 5, 6};
    uint8_t shifted[sizeof numbers + 1];
    cei_values values = {.dtype = CEI_DTYPE_F32, .rows = 2, .columns = 3, .data = (const uint8_t *)numbers};
    assert_ptr_equal(cei_values_direct(&values, 0), numbers);
    assert_ptr_equal(cei_values_direct(&values, 1), numbers + 3);
    values.data = (uintptr_t)shifted % 4 == 0 ? shifted + 1 : shifted;
    assert_null(cei_values_direct(&values, 0));
    values = (cei_values){.dtype = CEI_DTYPE_F16, .rows = 2, .columns = 3, .data = (const uint8_t *)numbers};
    assert_null(cei_values_direct(&values, 0));
}

static void dtypes_have_names_and_sizes(void **state) {
    (void)state;
    static const char *const names[] = {"F32", "F16", "BF16", "I8"};
    static const size_t sizes[] = {4, 2, 2, 1};
    for (int dtype = CEI_DTYPE_F32; dtype <= CEI_DTYPE_I8; dtype++) {
        assert_string_equal(cei_dtype_name((cei_dtype)dtype), names[dtype]);
        assert_int_equal(cei_dtype_size((cei_dtype)dtype), sizes[dtype]);
    }
}

/* Two heads of six rows: the file has 0 3 1 4 2 5 of each. A change of low rank is of the rows as they are read. */
static void rows_that_a_file_has_in_pairs(void **state) {
    (void)state;
    enum { ROWS = 12, COLUMNS = 2, HEAD = 6 };
    static const size_t places[HEAD] = {0, 2, 4, 1, 3, 5};
    float rows[ROWS][COLUMNS], got[ROWS][COLUMNS], b[ROWS];
    const float a[COLUMNS] = {1, 10};
    for (size_t i = 0; i < ROWS; i++) {
        const size_t at = i / HEAD * HEAD + places[i % HEAD];
        rows[at][0] = (float)i;
        rows[at][1] = 100 + (float)i;
        b[i] = (float)i;
    }
    cei_values values = {
        .dtype = CEI_DTYPE_F32, .rows = ROWS, .columns = COLUMNS, .data = (const uint8_t *)rows, .pairs = HEAD};
    assert_null(cei_values_direct(&values, 0));
    cei_values_read(&values, 0, ROWS, *got);
    for (size_t i = 0; i < ROWS; i++) assert_true(got[i][0] == (float)i && got[i][1] == 100 + (float)i);
    const cei_delta delta = {.a = {.dtype = CEI_DTYPE_F32, .rows = 1, .columns = COLUMNS, .data = (const uint8_t *)a},
                             .b = {.dtype = CEI_DTYPE_F32, .rows = ROWS, .columns = 1, .data = (const uint8_t *)b},
                             .scale = 1};
    values.delta = &delta;
    cei_values_read(&values, 7, 4, *got);
    for (size_t i = 0; i < 4; i++)
        assert_true(got[i][0] == 2 * (float)(i + 7) && got[i][1] == 100 + 11 * (float)(i + 7));
}

static void values_of_which_a_file_has_one_more(void **state) {
    (void)state;
    static const float more[] = {1, 1.25f, 0, -3};
    float got[4];
    const cei_values values = {
        .dtype = CEI_DTYPE_F32, .rows = 1, .columns = 4, .data = (const uint8_t *)more, .is_more = true};
    assert_null(cei_values_direct(&values, 0));
    assert_int_equal(cei_values_own_format(&values), CEI_FORMAT_FLOAT32);
    cei_values_read(&values, 0, 1, got);
    for (size_t i = 0; i < 4; i++) assert_true(got[i] == more[i] - 1);
}

/* Two heads of two columns: the file has q0 q0 k0 k0 v0 v0 q1 q1 k1 k1 v1 v1, and rows are q0 q0 q1 q1 k0 k0 ... */
static void rows_that_a_file_has_by_heads(void **state) {
    (void)state;
    static const int wanted[12] = {0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11};
    float rows[12][3], scales[12], found[12 * 3], found_scales[12];
    int8_t integers[12][3];
    for (int r = 0; r < 12; r++) {
        scales[r] = (float)(r + 1);
        for (int c = 0; c < 3; c++) rows[r][c] = (float)(10 * r + c), integers[r][c] = (int8_t)(10 * r + c);
    }
    const cei_values plain = {
        .dtype = CEI_DTYPE_F32, .rows = 12, .columns = 3, .data = (const uint8_t *)rows, .heads = 2};
    const cei_values scaled = {.dtype = CEI_DTYPE_I8,
                               .rows = 12,
                               .columns = 3,
                               .data = (const uint8_t *)integers,
                               .scales = (const uint8_t *)scales,
                               .heads = 2};
    assert_null(cei_values_direct(&plain, 0));
    for (size_t first = 0; first < 12; first++) {
        cei_values_read(&plain, first, 12 - first, found);
        for (size_t r = first; r < 12; r++)
            assert_memory_equal(found + (r - first) * 3, rows[wanted[r]], sizeof rows[0]);
        cei_values_read_as(&scaled, first, 12 - first, CEI_FORMAT_INT8, found, found_scales);
        for (size_t r = first; r < 12; r++) {
            assert_true(found_scales[r - first] == scales[wanted[r]]);
            assert_true(found[(r - first) * 3 + 1] == scales[wanted[r]] * (float)integers[wanted[r]][1]);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_is_exact),
        cmocka_unit_test(every_bfloat16_is_exact),
        cmocka_unit_test(int8_rows_have_their_scales),
        cmocka_unit_test(ranges_of_rows),
        cmocka_unit_test(aligned_floats_are_used_in_place),
        cmocka_unit_test(dtypes_have_names_and_sizes),
        cmocka_unit_test(rows_that_a_file_has_by_heads),
        cmocka_unit_test(rows_that_a_file_has_in_pairs),
        cmocka_unit_test(values_of_which_a_file_has_one_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
