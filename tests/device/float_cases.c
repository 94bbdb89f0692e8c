/* float_cases.c - see float_cases.h. Memory lies between guard pages. */
#include "device/float_cases.h"

#include <math.h>
#include <string.h>

static const float canary = 12345.678f;

static void fill_canaries(float *values, size_t count) {
    for (size_t i = 0; i < count; i++) values[i] = canary;
}

/* Between rows nothing may have been written. */
static void expect_canaries(const float *values, size_t rows, size_t columns, size_t stride, const char *what) {
    for (size_t r = 0; r + 1 < rows; r++)
        for (size_t i = columns; i < stride; i++)
            if (values[r * stride + i] != canary) fail_msg("%s wrote behind row %zu, at column %zu", what, r, i);
}

/* ---- multiply ----------------------------------------------------------------------------------------------- */

typedef struct multiply_case {
    size_t rows, depth, columns;
    bool add, factors, bias, in_place;
} multiply_case;

/* The bound of a float32 sum in any order: one rounding a term and a few around it (Higham 2002, 3.1). */
static double multiply_bound(const cei_cpu_product *p, size_t r, size_t j, size_t panel, double *wanted) {
    double sum = p->add ? (double)p->add[r * p->add_stride + j] : 0, size = fabs(sum);
    for (size_t i = 0; i < p->depth; i++) {
        const double term = (double)p->a[r * p->a_stride + i] * (double)p->panel[i * panel + j];
        sum += term;
        size += fabs(term);
    }
    const double factor = p->factors ? (double)p->factors[r] : 1, bias = p->bias ? (double)p->bias[j] : 0;
    *wanted = sum * factor + bias;
    return ((double)p->depth + 5) * ldexp(1, -24) * (size * fabs(factor) + fabs(bias)) + 1e-30;
}

static void check_multiply(const cei_cpu_kernels *k, const multiply_case *c, guard_side side) {
    const size_t a_stride = c->depth + random_size(0, 5), out_stride = c->columns + random_size(0, 9);
    const size_t rows_of_out = c->rows ? (c->rows - 1) * out_stride + c->columns : 0;
    cei_cpu_product p = {.rows = c->rows, .depth = c->depth, .columns = c->columns, .a_stride = a_stride};
    p.a = guarded_floats(c->rows ? (c->rows - 1) * a_stride + c->depth : 0, side);
    p.panel = guarded_floats(c->depth * k->panel, side);
    p.bias = c->bias ? guarded_floats(c->columns, side) : NULL;
    p.factors = c->factors ? guarded_floats(c->rows, side) : NULL;
    p.out = guarded_floats(rows_of_out, side);
    p.out_stride = out_stride;
    fill_canaries(p.out, rows_of_out);
    float *added = NULL;
    if (c->add) {
        added = guarded_floats(rows_of_out, side);
        if (c->in_place) memcpy(p.out, added, rows_of_out * sizeof(float));
        p.add = c->in_place ? p.out : added;
        p.add_stride = out_stride;
    }
    k->multiply(&p);
    p.add = added;
    if (!c->in_place) expect_canaries(p.out, c->rows, c->columns, out_stride, "multiply");
    for (size_t r = 0; r < c->rows; r++)
        for (size_t j = 0; j < c->columns; j++) {
            double wanted;
            const double bound = multiply_bound(&p, r, j, k->panel, &wanted);
            expect_near((double)p.out[r * out_stride + j], wanted, bound, "multiply", r * c->columns + j);
        }
    guards_free();
}

static void check_all_multiply(const cei_cpu_kernels *k) {
    for (size_t rows = 0; rows <= 31; rows++) {
        const multiply_case c = {rows,
                                 random_size(0, 70),
                                 random_size(1, k->panel),
                                 random_bits() & 1,
                                 random_bits() & 1,
                                 random_bits() & 1,
                                 random_bits() & 1};
        check_multiply(k, &c, rows % 2 ? GUARD_BEHIND : GUARD_BEFORE);
    }
    for (size_t columns = 1; columns <= k->panel; columns++) {
        const multiply_case c = {random_size(1, 40), 17, columns, columns & 1, columns & 2, columns & 4, columns & 8};
        check_multiply(k, &c, GUARD_BEHIND);
        check_multiply(k, &c, GUARD_BEFORE);
    }
    const multiply_case deep = {29, 512, k->panel, false, false, true, false};
    check_multiply(k, &deep, GUARD_BEHIND);
}

static void check_all_multiply_bits(const cei_cpu_kernels *k) {
    enum { ROWS = 61, DEPTH = 129 };
    const float *a = guarded_floats(ROWS * DEPTH, GUARD_BEHIND);
    const float *panel = guarded_floats(DEPTH * k->panel, GUARD_BEHIND), *bias = guarded_floats(k->panel, GUARD_BEHIND);
    float *all = guarded_floats(ROWS * k->panel, GUARD_BEHIND), *part = guarded_floats(ROWS * k->panel, GUARD_BEHIND);
    cei_cpu_product p = {.rows = ROWS,
                         .depth = DEPTH,
                         .columns = k->panel,
                         .a = a,
                         .a_stride = DEPTH,
                         .panel = panel,
                         .bias = bias,
                         .out = all,
                         .out_stride = k->panel};
    k->multiply(&p);
    for (size_t first = 0; first < ROWS; first++) {
        for (size_t rows = 1; first + rows <= ROWS; rows += random_size(1, 9)) {
            p.rows = rows;
            p.a = a + first * DEPTH;
            p.columns = random_size(1, k->panel);
            p.out = part;
            p.next = panel;
            k->multiply(&p);
            for (size_t r = 0; r < rows; r++)
                expect_same_bits(part + r * k->panel, all + (first + r) * k->panel, p.columns, "rows of a product");
        }
    }
}

/* ---- pack, copy, checksum ----------------------------------------------------------------------------------- */

static void check_all_pack(const cei_cpu_kernels *k) {
    for (size_t round = 0; round < 200; round++) {
        const size_t first = random_size(0, k->panel - 1), count = random_size(0, k->panel - first);
        const size_t depth = random_size(0, 50), stride = depth + random_size(0, 7);
        const guard_side side = round % 2 ? GUARD_BEHIND : GUARD_BEFORE;
        const float *rows = guarded_floats(count ? (count - 1) * stride + depth : 0, side);
        float *panel = guarded_floats(depth * k->panel, side);
        fill_canaries(panel, depth * k->panel);
        k->pack(rows, stride, count, depth, first, panel);
        for (size_t i = 0; i < depth; i++)
            for (size_t j = 0; j < k->panel; j++) {
                const bool inside = j >= first && j < first + count;
                const float wanted = inside ? rows[(j - first) * stride + i] : canary;
                expect_same_bits(&panel[i * k->panel + j], &wanted, 1, "pack");
            }
        guards_free();
    }
}

static void check_all_copy(const cei_cpu_kernels *k) {
    for (size_t round = 0; round < 100; round++) {
        const size_t rows = random_size(0, 9), columns = random_size(0, 70);
        const size_t from_stride = columns + random_size(0, 7), to_stride = columns + random_size(0, 7);
        const guard_side side = round % 2 ? GUARD_BEHIND : GUARD_BEFORE;
        const float *from = guarded_floats(rows ? (rows - 1) * from_stride + columns : 0, side);
        const size_t size = rows ? (rows - 1) * to_stride + columns : 0;
        float *to = guarded_floats(size, side);
        fill_canaries(to, size);
        k->copy(from, from_stride, rows, columns, to, to_stride);
        for (size_t r = 0; r < rows; r++) expect_same_bits(to + r * to_stride, from + r * from_stride, columns, "copy");
        expect_canaries(to, rows, columns, to_stride, "copy");
        guards_free();
    }
}

static void check_all_checksum(const cei_cpu_kernels *k) {
    for (size_t count = 0; count < 40; count++) {
        const guard_side side = count % 2 ? GUARD_BEHIND : GUARD_BEFORE;
        uint32_t *bits = guarded(count * k->panel * sizeof *bits, side);
        uint64_t *sums = guarded(k->panel * sizeof *sums, side), *weighted = guarded(k->panel * sizeof *sums, side);
        for (size_t i = 0; i < count * k->panel; i++) bits[i] = random_bits(); /* NaNs and all */
        k->checksum((const float *)(const void *)bits, count, sums, weighted);
        for (size_t j = 0; j < k->panel; j++) {
            uint64_t sum = 0, weight = 0;
            for (size_t i = 0; i < count; i++) {
                sum += bits[i * k->panel + j];
                weight += (i + 1) * (uint64_t)bits[i * k->panel + j];
            }
            assert_true(sums[j] == sum);
            assert_true(weighted[j] == weight);
        }
        guards_free();
    }
}

/* ---- functions ---------------------------------------------------------------------------------------------- */

/* Every 1009th float32 of the range where something happens, both signs. */
static void check_function_everywhere(const cei_cpu_kernels *k, cei_function function) {
    enum { CHUNK = 1000 };
    const float most = 120;
    uint32_t bits = 0, last;
    memcpy(&last, &most, sizeof last);
    while (bits < last) {
        float x[CHUNK], y[CHUNK];
        for (size_t i = 0; i < CHUNK; i++, bits += 1009 * 2) {
            const uint32_t with_sign = (bits + (uint32_t)(i % 1009)) | (uint32_t)(i & 1) << 31;
            memcpy(&x[i], &with_sign, sizeof x[i]);
        }
        memcpy(y, x, sizeof y);
        k->apply[function](y, 1, CHUNK, CHUNK);
        for (size_t i = 0; i < CHUNK; i++) {
            const double wanted = exact_function(function, (double)x[i]);
            if (fabs((double)y[i] - wanted) > function_bound(wanted))
                fail_msg("%s(%.9g) is %.9g, wanted %.9g", function_names[function], (double)x[i], (double)y[i], wanted);
        }
    }
}

static void check_function_edges(const cei_cpu_kernels *k, cei_function function) {
    const float finite[] = {0.0f, -0.0f, 1e-45f, -1e-45f, 1e-38f, 1e4f, -1e4f, 1e9f, -1e9f};
    for (size_t i = 0; i < sizeof finite / sizeof *finite; i++) {
        float y = finite[i];
        k->apply[function](&y, 1, 1, 1);
        const double wanted = exact_function(function, (double)finite[i]);
        expect_near((double)y, wanted, function_bound(wanted), function_names[function], i);
    }
    float nan = NAN, up = INFINITY;
    k->apply[function](&nan, 1, 1, 1);
    k->apply[function](&up, 1, 1, 1);
    assert_true(isnan(nan));
    expect_near((double)up, exact_function(function, (double)INFINITY), 0, function_names[function], 0);
}

static void check_function_bounds(const cei_cpu_kernels *k, cei_function function) {
    for (size_t columns = 0; columns < 70; columns++) {
        const size_t rows = random_size(1, 4), stride = columns + random_size(0, 5);
        const size_t size = (rows - 1) * stride + columns;
        const guard_side side = columns % 2 ? GUARD_BEHIND : GUARD_BEFORE;
        float *x = guarded_floats(size, side), *y = guarded_floats(size, side);
        for (size_t r = 0; r + 1 < rows; r++) fill_canaries(x + r * stride + columns, stride - columns);
        memcpy(y, x, size * sizeof *y);
        k->apply[function](y, rows, columns, stride);
        expect_canaries(y, rows, columns, stride, function_names[function]);
        for (size_t r = 0; r < rows; r++)
            for (size_t i = 0; i < columns; i++) {
                k->apply[function](&x[r * stride + i], 1, 1, 1);
                expect_same_bits(&y[r * stride + i], &x[r * stride + i], 1, function_names[function]);
            }
        guards_free();
    }
}

static void check_all_functions(const cei_cpu_kernels *k) {
    for (int f = 0; f < CEI_FN_COUNT; f++) {
        check_function_everywhere(k, (cei_function)f);
        check_function_edges(k, (cei_function)f);
        check_function_bounds(k, (cei_function)f);
    }
}

/* ---- rows --------------------------------------------------------------------------------------------------- */

static void check_softmax(const cei_cpu_kernels *k, size_t rows, size_t columns, float spread, guard_side side) {
    const size_t stride = columns + random_size(0, 5), size = (rows - 1) * stride + columns;
    const float scale = random_float(-1, 1);
    float *x = guarded_floats(size, side), *y = guarded_floats(size, side), *factors = guarded_floats(rows, side);
    random_fill(x, size, spread);
    for (size_t r = 0; r + 1 < rows; r++) fill_canaries(x + r * stride + columns, stride - columns);
    memcpy(y, x, size * sizeof *y);
    k->softmax(y, rows, columns, stride, scale, factors);
    expect_canaries(y, rows, columns, stride, "softmax");
    for (size_t r = 0; r < rows; r++) {
        double most = -INFINITY, sum = 0;
        for (size_t i = 0; i < columns; i++) most = fmax(most, (double)scale * (double)x[r * stride + i]);
        for (size_t i = 0; i < columns; i++) {
            const double s = (double)scale * (double)x[r * stride + i], wanted = exp(s - most);
            /* Rounding s and most moves the exponent by a unit of theirs. */
            const double bound = wanted * (fabs(s) + fabs(most) + 4) * ldexp(1, -23) + ldexp(1, -126);
            expect_near((double)y[r * stride + i], wanted, bound, "softmax", r * columns + i);
            if (wanted < ldexp(1, -127)) assert_true(y[r * stride + i] == 0);
            sum += wanted;
        }
        const double bound = ((double)columns + 2 * fabs(most) + 2 * (double)spread + 8) * ldexp(1, -23) / sum;
        expect_near((double)factors[r], 1 / sum, bound, "factor of softmax", r);
        float factor;
        k->softmax(x + r * stride, 1, columns, columns, scale, &factor);
        expect_same_bits(x + r * stride, y + r * stride, columns, "a row of softmax alone");
        expect_same_bits(&factor, &factors[r], 1, "the factor of a row alone");
    }
    guards_free();
}

static void check_all_softmax(const cei_cpu_kernels *k) {
    for (size_t columns = 1; columns < 100; columns++)
        check_softmax(k, random_size(1, 5), columns, columns % 3 ? 10 : 500, columns % 2 ? GUARD_BEHIND : GUARD_BEFORE);
    check_softmax(k, 3, 8192, 30, GUARD_BEHIND);
}

static void norm_exactly(const cei_cpu_norm *n, size_t r, double *wanted, double *condition) {
    double mean = 0, variance = 0, largest = 0;
    for (size_t i = 0; i < n->columns; i++) {
        const size_t at = r * n->columns + i;
        wanted[i] = (double)(n->residual ? n->x[at] + n->residual[at] : n->x[at]);
        mean += n->rms ? 0 : wanted[i] / (double)n->columns;
        largest = fmax(largest, fabs(wanted[i]));
    }
    for (size_t i = 0; i < n->columns; i++) variance += (wanted[i] - mean) * (wanted[i] - mean) / (double)n->columns;
    const double scale = 1 / sqrt(variance + (double)n->epsilon);
    for (size_t i = 0; i < n->columns; i++)
        wanted[i] = ((double)n->gain[i] + (n->adds_one ? 1 : 0)) * (wanted[i] - mean) * scale +
                    (n->bias ? (double)n->bias[i] : 0);
    *condition = largest * scale; /* how much of a value the mean takes away */
}

/* The sum in the place of an operand, the result elsewhere; then both in that place. */
static void check_norm_in_place(const cei_cpu_kernels *k, cei_cpu_norm n, int in_place, float *x, float *residual) {
    const size_t count = n.rows * n.columns;
    float *place = in_place % 2 && in_place > 1 ? residual : x;
    float *wanted = guarded_floats(count, GUARD_BEHIND), *before = guarded_floats(count, GUARD_BEHIND);
    memcpy(wanted, n.out, count * sizeof *wanted);
    memcpy(before, place, count * sizeof *before);
    n.sum = place;
    for (size_t i = 0; i < count; i++) n.out[i] = canary;
    float *sums = guarded_floats(count, GUARD_BEHIND);
    for (size_t i = 0; i < count; i++) sums[i] = n.residual ? x[i] + residual[i] : x[i];
    k->norm(&n);
    expect_same_bits(n.out, wanted, count, "norm with its sum in place");
    expect_same_bits(place, sums, count, "the sum of a norm");
    memcpy(place, before, count * sizeof *place);
    n.sum = n.out = place;
    k->norm(&n);
    expect_same_bits(place, wanted, count, "norm in place");
}

static void check_norm(const cei_cpu_kernels *k, size_t rows, size_t columns, int in_place, guard_side side) {
    cei_cpu_norm n = {.rows = rows, .columns = columns, .epsilon = 1e-5f, .rms = columns % 7 < 3};
    float *x = guarded_floats(rows * columns, side), *residual = guarded_floats(rows * columns, side);
    float *out = guarded_floats(rows * columns, side), *one = guarded_floats(columns, side);
    for (size_t i = 0; i < rows * columns; i++) x[i] += 3; /* a mean to take away */
    n.x = x;
    n.residual = in_place % 2 ? residual : NULL;
    n.gain = guarded_floats(columns, side);
    n.adds_one = n.rms && columns % 2;
    n.bias = columns % 5 && !n.rms ? guarded_floats(columns, side) : NULL;
    n.sum = columns % 3 ? out : guarded_floats(rows * columns, side);
    n.out = out;
    k->norm(&n);
    double *wanted = guarded(columns * sizeof *wanted, side), condition;
    for (size_t r = 0; r < rows; r++) {
        norm_exactly(&n, r, wanted, &condition);
        for (size_t i = 0; i < columns; i++)
            expect_near((double)out[r * columns + i], wanted[i],
                        (4 + sqrt((double)columns)) * ldexp(1, -23) * (1 + condition) * 2, "norm", r * columns + i);
        cei_cpu_norm alone = n;
        alone.rows = 1;
        alone.x = x + r * columns;
        alone.residual = n.residual ? residual + r * columns : NULL;
        alone.sum = alone.out = one;
        k->norm(&alone);
        expect_same_bits(one, out + r * columns, columns, "a row of norm alone");
    }
    check_norm_in_place(k, n, in_place, x, residual);
    guards_free();
}

static void check_all_norm(const cei_cpu_kernels *k) {
    for (size_t columns = 1; columns < 100; columns++)
        check_norm(k, random_size(1, 4), columns, (int)(columns % 4), columns % 2 ? GUARD_BEHIND : GUARD_BEFORE);
    check_norm(k, 2, 384, 1, GUARD_BEHIND);
    check_norm(k, 2, 1024, 3, GUARD_BEHIND);
}

/* Places that rise by 0 or 1, so that some registers are whole rows of values and some the same value all over. */
static void make_places(int32_t *places, size_t columns, uint32_t one_in) {
    int32_t at = (int32_t)random_size(0, 1000);
    for (size_t i = 0; i < columns; i++) {
        places[i] = at;
        at += random_bits() % one_in == 0;
    }
}

static void check_all_spread(const cei_cpu_kernels *k) {
    for (size_t columns = 1; columns < 100; columns++) {
        const guard_side side = columns % 2 ? GUARD_BEHIND : GUARD_BEFORE;
        int32_t *places = guarded(columns * sizeof *places, side);
        make_places(places, columns, columns % 3 == 0 ? 1 : columns % 3 == 1 ? 3 : 50);
        const float *values = guarded_floats((size_t)(places[columns - 1] - places[0]) + 1, side);
        float *before = guarded_floats(columns, side), *out = guarded_floats(columns, side);
        k->spread(values, places, columns, NULL, out);
        for (size_t i = 0; i < columns; i++) expect_same_bits(&out[i], &values[places[i] - places[0]], 1, "spread");
        k->spread(values, places, columns, before, out);
        k->spread(values, places, columns, before, before);
        expect_same_bits(before, out, columns, "spread in place");
        k->spread(values, places, columns, NULL, before);
        guards_free();
    }
    int32_t places[3] = {7, 7, 8};
    float values[2] = {0.5f, -2}, sums[3] = {1, 2, 3};
    k->spread(values, places, 3, sums, sums);
    assert_true(sums[0] == 1.5f && sums[1] == 2.5f && sums[2] == 1);
}

static void check_all_add_transposed(const cei_cpu_kernels *k) {
    for (size_t i = 0; i < 60; i++) {
        const guard_side side = i % 2 ? GUARD_BEHIND : GUARD_BEFORE;
        const size_t rows = random_size(0, 40), columns = random_size(0, 40), gap = random_size(0, 3);
        const size_t from_stride = columns + gap, to_stride = rows + gap;
        float *from = guarded_floats(rows ? (rows - 1) * from_stride + columns : 0, side);
        float *to = guarded_floats(columns ? (columns - 1) * to_stride + rows : 0, side);
        fill_canaries(to, columns ? (columns - 1) * to_stride + rows : 0);
        k->add_transposed(from, from_stride, rows, columns, to, to_stride);
        expect_canaries(to, columns, rows, to_stride, "add_transposed");
        for (size_t c = 0; c < columns; c++)
            for (size_t r = 0; r < rows; r++) {
                const float wanted = canary + from[r * from_stride + c];
                expect_same_bits(&to[c * to_stride + r], &wanted, 1, "add_transposed");
            }
        guards_free();
    }
}

static void check_all_embed(const cei_cpu_kernels *k) {
    for (size_t columns = 0; columns < 70; columns++) {
        const guard_side side = columns % 2 ? GUARD_BEHIND : GUARD_BEFORE;
        const float *word = guarded_floats(columns, side), *type = guarded_floats(columns, side);
        const float *position = guarded_floats(columns, side);
        float *out = guarded_floats(columns, side);
        k->embed(word, type, position, columns, out);
        for (size_t i = 0; i < columns; i++) {
            const float wanted = (word[i] + type[i]) + position[i];
            expect_same_bits(&out[i], &wanted, 1, "embed");
        }
        guards_free();
    }
}

static void check_all_times(const cei_cpu_kernels *k) {
    for (size_t count = 0; count < 70; count++) {
        const guard_side side = count % 2 ? GUARD_BEHIND : GUARD_BEFORE;
        float *values = guarded_floats(count, side), *by = guarded_floats(count, side);
        float *wanted = guarded_floats(count, side);
        for (size_t i = 0; i < count; i++) wanted[i] = values[i] * by[i];
        k->times(values, by, count);
        expect_same_bits(values, wanted, count, "times");
        guards_free();
    }
}

/* Each product is of numbers up to 1: two roundings, of which one may be fused away. */
static void check_all_rotate(const cei_cpu_kernels *k) {
    for (size_t half = 0; half < 70; half++) {
        const guard_side side = half % 2 ? GUARD_BEHIND : GUARD_BEFORE;
        const size_t heads = random_size(0, 3), count = heads * 2 * half;
        float *x = guarded_floats(count, side), *y = guarded_floats(count, side);
        const float *cosines = guarded_floats(half, side), *sines = guarded_floats(half, side);
        memcpy(y, x, count * sizeof *y);
        k->rotate(y, heads, half, cosines, sines);
        for (size_t i = 0; i < count; i++) {
            const size_t column = i % (2 * half), pair = column % half;
            const double other = column < half ? -(double)x[i + half] : (double)x[i - half];
            const double wanted = (double)x[i] * (double)cosines[pair] + other * (double)sines[pair];
            expect_near((double)y[i], wanted, 2 * ldexp(1, -24), "rotate", i);
        }
        for (size_t h = 0; h < heads; h++) {
            k->rotate(x + h * 2 * half, 1, half, cosines, sines);
            expect_same_bits(x + h * 2 * half, y + h * 2 * half, 2 * half, "a head rotated alone");
        }
        guards_free();
    }
}

static void check_all_table_is_full(const cei_cpu_kernels *k) {
    assert_true(k->panel >= 1 && k->panel <= CEI_CPU_MAX_PANEL);
    assert_non_null(k->multiply);
    assert_non_null(k->pack);
    assert_non_null(k->copy);
    assert_non_null(k->checksum);
    assert_non_null(k->softmax);
    assert_non_null(k->spread);
    assert_non_null(k->add_transposed);
    assert_non_null(k->norm);
    assert_non_null(k->embed);
    assert_non_null(k->times);
    assert_non_null(k->rotate);
    for (int f = 0; f < CEI_FN_COUNT; f++) assert_non_null(k->apply[f]);
    assert_true(k->peak(10) > 0);
}

const float_check float_checks[FLOAT_CHECKS] = {
    {"table is full", check_all_table_is_full},
    {"multiply", check_all_multiply},
    {"bits of multiply", check_all_multiply_bits},
    {"pack", check_all_pack},
    {"copy", check_all_copy},
    {"checksum", check_all_checksum},
    {"functions", check_all_functions},
    {"softmax", check_all_softmax},
    {"spread", check_all_spread},
    {"add transposed", check_all_add_transposed},
    {"norm", check_all_norm},
    {"embed", check_all_embed},
    {"times", check_all_times},
    {"rotate", check_all_rotate},
};
