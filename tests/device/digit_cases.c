/* digit_cases.c - see digit_cases.h. What is expected is computed here from the definition in kernels.h, in 64-bit
 * integers, and to the bit; and beside it in double precision. */
#include "device/digit_cases.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const float canary = 12345.678f;
enum { DIGITS = 3, BASE = 256 };

/* ---- the definition ------------------------------------------------------------------------------------------ */

/* Numbers as multiples of their unit. */
typedef struct split_row {
    double unit; /* NaN if a number is not finite, or too large */
    int64_t *digits[DIGITS];
} split_row;

/* The least power of two, from 2^-126 on, of which the largest number is 8,355,711 multiples at most, or, for numbers
 * a little smaller, the next. */
static double unit_of(const float *x, size_t stride, size_t depth) {
    double most = 0;
    for (size_t i = 0; i < depth; i++) {
        const float size = fabsf(x[i * stride]);
        if (!isfinite(size)) return NAN;
        most = size > most ? size : most;
    }
    int exponent;
    const float above = (float)most * 1.004f;
    if (!isfinite(above)) return NAN;
    (void)frexp(above, &exponent); /* above < 2^exponent */
    return ldexp(1, (exponent - 1 < -104 ? -104 : exponent - 1) - 22);
}

static split_row split_definition(const float *x, size_t stride, size_t depth) {
    split_row row = {.unit = unit_of(x, stride, depth)};
    for (size_t d = 0; d < DIGITS; d++) row.digits[d] = calloc(depth ? depth : 1, sizeof *row.digits[d]);
    for (size_t i = 0; i < depth && !isnan(row.unit); i++) {
        /* Rounded to float32 with the offset of the digits, then to an integer. */
        const float with_offset = fmaf(x[i * stride], (float)(1 / row.unit), 8421504.0f);
        int64_t rest = (int64_t)nearbyintf(with_offset) - 8421504;
        for (size_t d = 0; d < DIGITS; d++) {
            const int64_t digit = ((rest + 128) % BASE + BASE) % BASE - 128;
            row.digits[DIGITS - 1 - d][i] = digit;
            rest = (rest - digit) / BASE;
        }
        assert_true(rest == 0);
    }
    return row;
}

static void split_free(split_row *row) {
    for (size_t d = 0; d < DIGITS; d++) free(row->digits[d]);
}

static int64_t sum_of(const split_row *a, size_t i, const split_row *b, size_t j, size_t depth) {
    int64_t sum = 0;
    for (size_t k = 0; k < depth; k++) sum += a->digits[i][k] * b->digits[j][k];
    return sum;
}

static float define_product(const split_row *a, const split_row *b, size_t depth, const float *before,
                            const float *bias) {
    if (isnan(a->unit) || isnan(b->unit)) return NAN;
    float value = (float)sum_of(a, 0, b, 0, depth);
    value = fmaf(value, BASE, (float)(sum_of(a, 0, b, 1, depth) + sum_of(a, 1, b, 0, depth)));
    value =
        fmaf(value, BASE, (float)(sum_of(a, 0, b, 2, depth) + sum_of(a, 1, b, 1, depth) + sum_of(a, 2, b, 0, depth)));
    value = fmaf(value, BASE, (float)(sum_of(a, 1, b, 2, depth) + sum_of(a, 2, b, 1, depth)));
    value = (float)((double)value * a->unit * b->unit * BASE); /* one rounding: the factor is a power of two */
    if (before) value = *before + value;
    return bias ? value + *bias : value;
}

/* How far that may be from the exact product: halves of units, the digits' products that are left out, and float32. */
static double bound_of(const split_row *a, const float *x, const split_row *b, const float *w, size_t w_stride,
                       size_t depth, double exact) {
    double bound = 4 * ldexp(1, -24) * fabs(exact);
    for (size_t k = 0; k < depth; k++)
        bound += 0.51 * (a->unit * fabs((double)w[k * w_stride]) + b->unit * fabs((double)x[k])) +
                 ldexp(1, 14) * a->unit * b->unit;
    return bound;
}

/* ---- a product ----------------------------------------------------------------------------------------------- */

typedef struct product_case {
    const cei_cpu_kernels *kernels;
    size_t rows, depth, columns, x_stride, out_stride;
    float *x, *panel, *bias, *out;
    bool adds; /* to the canaries that are in out */
    guard_side side;
} product_case;

static size_t padded(const product_case *c) {
    const size_t step = c->kernels->digits.step;
    return (c->depth + step - 1) / step * step;
}

static void run_case(const product_case *c) {
    const cei_cpu_digits *digits = &c->kernels->digits;
    const size_t bytes = DIGITS * padded(c), stride = bytes + 4 * random_size(0, 9);
    uint8_t *a = guarded(c->rows ? (c->rows - 1) * stride + bytes : 0, c->side);
    float *exponents = guarded_floats(c->rows, c->side);
    void *split = guarded(digits->width * bytes, c->side);
    float *column_exponents = guarded_floats(digits->width, c->side);
    digits->prepare(c->x, c->x_stride, c->rows, c->depth, a, stride, exponents);
    digits->find_exponents(c->panel, c->depth, column_exponents);
    digits->split(c->panel, c->depth, column_exponents, split);
    /* Meanwhile, sometimes, the same columns become digits once more, or the first of fewer steps. */
    const size_t coming_depth = random_bits() & 1 ? c->depth : c->depth / 2;
    const bool is_coming = random_bits() & 1;
    const size_t coming_bytes =
        digits->width * DIGITS * ((coming_depth + digits->step - 1) / digits->step * digits->step);
    uint8_t *coming = guarded(coming_bytes, c->side), *expected = guarded(coming_bytes, c->side);
    const cei_cpu_digit_product product = {.rows = c->rows,
                                           .depth = padded(c),
                                           .columns = c->columns,
                                           .a = a,
                                           .a_stride = stride,
                                           .exponents = exponents,
                                           .columns_at = split,
                                           .column_exponents = column_exponents,
                                           .bias = c->bias,
                                           .out = c->out,
                                           .out_stride = c->out_stride,
                                           .adds = c->adds,
                                           .next = random_bits() & 1 ? c->panel : NULL,
                                           .next_bytes = c->depth * c->kernels->panel * sizeof(float),
                                           .coming = is_coming ? c->panel : NULL,
                                           .coming_exponents = column_exponents,
                                           .coming_depth = coming_depth,
                                           .coming_to = coming};
    digits->multiply(&product);
    if (!is_coming) return;
    digits->split(c->panel, coming_depth, column_exponents, expected);
    assert_memory_equal(coming, expected, coming_bytes);
}

/* Columns of a packed panel: its rows are as far apart as the panel is wide, and the last ends with these columns. */
static float *make_columns(const cei_cpu_kernels *kernels, size_t depth, guard_side side) {
    return guarded_floats(depth ? (depth - 1) * kernels->panel + kernels->digits.width : 0, side);
}

/* Room for results, all of it canaries. */
static float *make_out(const product_case *c, guard_side side) {
    const size_t count = c->rows ? (c->rows - 1) * c->out_stride + c->columns : 0;
    float *out = guarded_floats(count, side);
    for (size_t i = 0; i < count; i++) out[i] = canary;
    return out;
}

static product_case make_case(const cei_cpu_kernels *kernels, size_t rows, size_t depth, size_t columns) {
    product_case c = {.kernels = kernels, .rows = rows, .depth = depth, .columns = columns};
    c.side = random_bits() & 1 ? GUARD_BEHIND : GUARD_BEFORE;
    c.x_stride = depth + random_size(0, 5);
    c.out_stride = columns + random_size(0, 5);
    c.x = guarded_floats(rows ? (rows - 1) * c.x_stride + depth : 0, c.side);
    c.panel = make_columns(kernels, depth, c.side);
    c.adds = random_bits() % 4 == 0;
    c.bias = random_bits() & 1 ? guarded_floats(columns, c.side) : NULL;
    c.out = make_out(&c, c.side);
    return c;
}

static double exact_product(const product_case *c, size_t r, size_t j) {
    double sum = 0;
    for (size_t k = 0; k < c->depth; k++)
        sum += (double)c->x[r * c->x_stride + k] * (double)c->panel[k * c->kernels->panel + j];
    return sum;
}

/* Both: what the definition gives, to the bit, and what the numbers give, within the bound. */
static void expect_case(const product_case *c, bool is_bounded) {
    for (size_t r = 0; r < c->rows; r++) {
        const float *x = c->x + r * c->x_stride;
        split_row row = split_definition(x, 1, c->depth);
        for (size_t j = 0; j < c->columns; j++) {
            const float *column = c->panel + j, *bias = c->bias ? c->bias + j : NULL;
            split_row of_column = split_definition(column, c->kernels->panel, c->depth);
            const float found = c->out[r * c->out_stride + j];
            const float wanted = define_product(&row, &of_column, c->depth, c->adds ? &canary : NULL, bias);
            if (found != wanted && !(isnan(found) && isnan(wanted)))
                fail_msg("[%zu, %zu] of %zu rows, depth %zu, %zu columns: found %a, wanted %a", r, j, c->rows, c->depth,
                         c->columns, (double)found, (double)wanted);
            const double exact = exact_product(c, r, j);
            const double whole = exact + (c->adds ? (double)canary : 0) + (bias ? (double)*bias : 0);
            const double bound = bound_of(&row, x, &of_column, column, c->kernels->panel, c->depth, exact) + 1e-37;
            if (is_bounded) expect_near((double)found, whole, bound + 2e-7 * fabs(whole), "a product", c->depth);
            split_free(&of_column);
        }
        for (size_t j = c->columns; j < c->out_stride && r + 1 < c->rows; j++)
            assert_true(c->out[r * c->out_stride + j] == canary);
        split_free(&row);
    }
}

static bool has_digits(const cei_cpu_kernels *kernels) {
    const cei_cpu_digits *digits = &kernels->digits;
    if (!digits->multiply) return false;
    assert_true(digits->step >= 1 && digits->step <= CEI_CPU_MAX_STEP && digits->step % 4 == 0);
    assert_true(digits->width >= 1 && kernels->panel % digits->width == 0);
    assert_true(digits->prepare && digits->split && digits->peak(3) > 0);
    return true;
}

static void check_shapes(const cei_cpu_kernels *kernels) {
    if (!has_digits(kernels)) return;
    static const size_t rows[] = {0, 1, 2, 15, 16, 17, 31, 32, 33, 50};
    static const size_t depths[] = {0, 1, 3, 16, 31, 63, 64, 65, 100, 127, 128, 129, 384, 513, 1100};
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
        for (size_t d = 0; d < sizeof depths / sizeof *depths; d++) {
            const product_case c = make_case(kernels, rows[r], depths[d], random_size(1, kernels->digits.width));
            run_case(&c);
            expect_case(&c, true);
            guards_free();
        }
    for (size_t columns = 1; columns <= kernels->digits.width; columns++) {
        const product_case c = make_case(kernels, 3, 70, columns);
        run_case(&c);
        expect_case(&c, true);
        guards_free();
    }
}

/* Numbers of all sizes: in a row, and from row to row. */
static void check_sizes(const cei_cpu_kernels *kernels) {
    if (!has_digits(kernels)) return;
    for (int of_rows = -140; of_rows <= 120; of_rows += 13)
        for (int spread = 0; spread <= 40; spread += 20) {
            const product_case c = make_case(kernels, 5, 97, kernels->digits.width);
            for (size_t r = 0; r < c.rows; r++)
                for (size_t k = 0; k < c.depth; k++)
                    c.x[r * c.x_stride + k] = ldexpf(c.x[r * c.x_stride + k], of_rows - (int)random_size(0, spread));
            run_case(&c);
            expect_case(&c, of_rows <= 100);
            guards_free();
        }
}

/* The largest integers, all of one sign, as deep as may be: no sum overflows, and none of these is rounded. */
static void check_deepest(const cei_cpu_kernels *kernels) {
    if (!has_digits(kernels) || is_emulated()) return;
    const size_t depth = CEI_CPU_DEEPEST_DIGITS;
    for (int sign = -1; sign <= 1; sign += 2) {
        product_case c = make_case(kernels, 1, depth, 1);
        c.bias = NULL;
        c.adds = false;
        for (size_t k = 0; k < depth; k++) c.x[k] = 8355071.0f; /* the digits 127, 124, 127 */
        for (size_t k = 0; k < depth; k++)
            for (size_t j = 0; j < kernels->digits.width; j++)
                c.panel[k * kernels->panel + j] = (float)sign * 8355071.0f;
        run_case(&c);
        expect_case(&c, true);
        guards_free();
    }
}

/* Rows and columns that have no unit are NaN, and spoil no other. */
static void check_not_finite(const cei_cpu_kernels *kernels) {
    if (!has_digits(kernels)) return;
    static const float values[] = {NAN, -NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        const product_case c = make_case(kernels, 20, 130, kernels->digits.width);
        c.x[7 * c.x_stride + random_size(0, c.depth - 1)] = values[i];
        c.panel[random_size(0, c.depth - 1) * kernels->panel + 3] = values[i];
        run_case(&c);
        for (size_t r = 0; r < c.rows; r++)
            for (size_t j = 0; j < c.columns; j++)
                assert_int_equal(isnan(c.out[r * c.out_stride + j]) != 0, r == 7 || j == 3);
        expect_case(&c, false);
        guards_free();
    }
    product_case zeros = make_case(kernels, 4, 66, 5);
    zeros.bias = NULL;
    zeros.adds = false;
    for (size_t r = 0; r < zeros.rows; r++) memset(zeros.x + r * zeros.x_stride, 0, zeros.depth * sizeof(float));
    run_case(&zeros);
    for (size_t r = 0; r < zeros.rows; r++)
        for (size_t j = 0; j < zeros.columns; j++) assert_true(zeros.out[r * zeros.out_stride + j] == 0);
    guards_free();
}

/* A row has the same bits alone, among others, and at any place. */
static void check_bits(const cei_cpu_kernels *kernels) {
    if (!has_digits(kernels)) return;
    for (int i = 0; i < 20; i++) {
        const product_case all = make_case(kernels, random_size(2, 60), random_size(1, 300), random_size(1, 16));
        run_case(&all);
        for (int n = 0; n < 5; n++) {
            product_case some = all;
            const size_t first = random_size(0, all.rows - 1);
            some.rows = random_size(1, all.rows - first);
            some.x = all.x + first * all.x_stride;
            some.out = make_out(&some, GUARD_BEHIND);
            run_case(&some);
            for (size_t r = 0; r < some.rows; r++)
                expect_same_bits(some.out + r * some.out_stride, all.out + (first + r) * all.out_stride, all.columns,
                                 "a row among others");
        }
        guards_free();
    }
}

/* A row of digits does not depend on what lies behind it, and is 0 up to a step. */
static void check_prepare(const cei_cpu_kernels *kernels) {
    if (!has_digits(kernels)) return;
    for (size_t depth = 1; depth <= 130; depth += random_size(1, 9)) {
        const size_t step = kernels->digits.step, bytes = DIGITS * ((depth + step - 1) / step * step);
        float *x = guarded_floats(depth, GUARD_BEHIND), exponents[2];
        float *wide = guarded_floats(depth + step, GUARD_BEHIND);
        memcpy(wide, x, depth * sizeof *x);
        memset(wide + depth, 0, step * sizeof *wide);
        uint8_t *one = guarded(bytes, GUARD_BEHIND), *other = guarded(2 * bytes + DIGITS * step, GUARD_BEFORE);
        kernels->digits.prepare(x, depth, 1, depth, one, bytes, exponents);
        kernels->digits.prepare(wide, depth, 1, bytes / DIGITS, other, bytes, exponents + 1);
        assert_memory_equal(one, other, bytes);
        assert_true(exponents[0] == exponents[1]);
        guards_free();
    }
}

const digit_check digit_checks[DIGIT_CHECKS] = {
    {"shapes", check_shapes},
    {"sizes of numbers", check_sizes},
    {"the deepest", check_deepest},
    {"what is not finite", check_not_finite},
    {"the same bits alone", check_bits},
    {"rows of digits", check_prepare},
};
