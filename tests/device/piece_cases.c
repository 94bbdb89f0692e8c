/* piece_cases.c - see piece_cases.h. What is expected is computed here in double precision. */
#include "device/piece_cases.h"

#include "formats/rounding.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const float canary = 12345.678f;

/* A head, its rows apart, in memory that ends where its last number does. */
typedef struct head_case {
    size_t rows, size, length, stride, out_stride;
    float scale, *q, *k, *v, *out;
} head_case;

static size_t span(size_t rows, size_t stride, size_t size) { return rows ? (rows - 1) * stride + size : 0; }

static head_case make_head(size_t rows, size_t size, size_t length, float scale) {
    head_case h = {.rows = rows,
                   .size = size,
                   .length = length,
                   .stride = size + random_size(0, 5),
                   .out_stride = size + random_size(0, 5),
                   .scale = scale};
    h.q = guarded_floats(span(rows, h.stride, size), some_side());
    h.k = guarded_floats(span(length, h.stride, size), some_side());
    h.v = guarded_floats(span(length, h.stride, size), some_side());
    h.out = guarded_floats(span(rows, h.out_stride, size), some_side());
    return h;
}

static size_t padded(size_t count) { return (count + 31) / 32 * 32; }

/* The queries from first on, before end, to where they belong; all else in out is left alone. */
static void attend(const cei_cpu_pieces *pieces, const head_case *h, size_t first, size_t end, float *out) {
    const size_t bytes = padded(h->length) * padded(h->size) * pieces->count * sizeof(uint16_t);
    void *keys = guarded(bytes, GUARD_BEHIND), *values = guarded(bytes, GUARD_BEHIND);
    pieces->pack_keys(h->k, h->stride, h->length, h->size, keys);
    pieces->pack_values(h->v, h->stride, h->length, h->size, values);
    const cei_cpu_attending at = {.rows = end - first,
                                  .size = h->size,
                                  .length = h->length,
                                  .q = h->q + first * h->stride,
                                  .q_stride = h->stride,
                                  .keys = keys,
                                  .values = values,
                                  .scale = h->scale,
                                  .scratch = guarded_floats(CEI_CPU_ATTEND_FLOATS, GUARD_BEHIND),
                                  .out = out + first * h->out_stride,
                                  .out_stride = h->out_stride};
    pieces->attend(&at);
}

/* ---- the definition ------------------------------------------------------------------------------------------ */

/* What is multiplied. */
static double number(const cei_cpu_pieces *pieces, float x) { return pieces->count == 1 ? cei_round_bfloat16(x) : x; }

/* One query's results in double precision, and how far float32 may be from them: its scores are wrong by some 2^-22 of
 * the sum of their terms' sizes, and weights by that and a few roundings. Weights that are rounded to one piece are
 * wrong by 2^-8 of themselves, or a little more. */
static double define_row(const cei_cpu_pieces *pieces, const head_case *h, size_t row, double *out) {
    double *weights = malloc(h->length * sizeof *weights), most = -INFINITY, sum = 0, sizes = 0, largest = 0;
    for (size_t t = 0; t < h->length; t++) {
        double score = 0, size = 0;
        for (size_t i = 0; i < h->size; i++) {
            const double product = number(pieces, h->q[row * h->stride + i]) * number(pieces, h->k[t * h->stride + i]);
            score += product;
            size += fabs(product);
        }
        weights[t] = score * (double)h->scale;
        most = fmax(most, weights[t]);
        sizes = fmax(sizes, size * fabs((double)h->scale));
    }
    for (size_t t = 0; t < h->length; t++) sum += weights[t] = exp(weights[t] - most);
    for (size_t i = 0; i < h->size; i++) out[i] = 0;
    for (size_t t = 0; t < h->length; t++) {
        for (size_t i = 0; i < h->size; i++) {
            const double value = number(pieces, h->v[t * h->stride + i]);
            out[i] += weights[t] / sum * value;
            largest = fmax(largest, fabs(value));
        }
    }
    free(weights);
    return largest * (sizes * 0x1p-21 + (pieces->count == 1 ? 0x1.04p-8 : 0x1p-20));
}

/* Compares all results, and returns the root mean square of their errors, as shares of what is allowed. */
static double check_head(const cei_cpu_pieces *pieces, const head_case *h) {
    double *wanted = malloc(h->size * sizeof *wanted), squares = 0;
    char what[128];
    for (size_t r = 0; r < h->rows; r++) {
        const double bound = define_row(pieces, h, r, wanted);
        for (size_t i = 0; i < h->size; i++) {
            const double found = (double)h->out[r * h->out_stride + i];
            snprintf(what, sizeof what, "query %zu of %zu with %zu keys of %zu columns, column", r, h->rows, h->length,
                     h->size);
            expect_near(found, wanted[i], bound, what, i);
            squares += (found - wanted[i]) * (found - wanted[i]) / (bound * bound);
        }
        for (size_t i = h->size; i < h->out_stride && r + 1 < h->rows; i++)
            assert_true(h->out[r * h->out_stride + i] == canary);
    }
    free(wanted);
    return sqrt(squares / (double)(h->rows * h->size));
}

static double run_head(const cei_cpu_pieces *pieces, const head_case *h) {
    for (size_t i = 0; i < span(h->rows, h->out_stride, h->size); i++) h->out[i] = canary;
    attend(pieces, h, 0, h->rows, h->out);
    const double share = check_head(pieces, h);
    guards_free();
    return share;
}

/* ---- checks --------------------------------------------------------------------------------------------------- */

/* What is left out must be below what counts: a product of pieces too few, or weights that are cut where they should be
 * rounded, would show in the mean long before they show in the largest error. */
static void check_shapes(const cei_cpu_pieces *pieces) {
    double squares = 0;
    size_t count = 0;
    for (size_t rows = 1; rows < 60; rows += random_size(1, 9), count++) {
        const size_t size = random_size(1, CEI_CPU_ATTEND_SIZE), length = random_size(1, 200);
        const head_case h = make_head(rows, size, length, random_float(-1, 1));
        const double share = run_head(pieces, &h);
        squares += share * share;
    }
    for (size_t size = 16; size <= CEI_CPU_ATTEND_SIZE; size += 16, count++) {
        const head_case h = make_head(33, size, 64 * size / 16, 0.25f);
        const double share = run_head(pieces, &h);
        squares += share * share;
    }
    const double share = sqrt(squares / (double)count);
    print_message("errors are %.3f of what is allowed in the mean\n", share);
    assert_true(share < (pieces->count == 1 ? 0.06 : 0.02));
}

/* Around whole steps, tiles and blocks. */
static void check_lengths(const cei_cpu_pieces *pieces) {
    static const size_t around[] = {16, 32, 48, 64, 80, 96, 128, 192};
    for (size_t i = 0; i < sizeof around / sizeof *around; i++) {
        for (size_t length = around[i] - 1; length <= around[i] + 1; length++) {
            const head_case one = make_head(random_size(1, 33), 32, length, 1);
            run_head(pieces, &one);
            const head_case two = make_head(random_size(1, 33), 64, length, 1);
            run_head(pieces, &two);
        }
    }
    const head_case none = make_head(0, 32, 10, 1);
    attend(pieces, &none, 0, 0, none.out);
}

/* Blocks of keys grow or shrink, one after the other. */
static void scale_keys(const head_case *h, bool grows) {
    for (size_t t = 0; t < h->length; t++)
        for (size_t c = 0; c < h->size; c++)
            h->k[t * h->stride + c] *= (float)(grows ? t / 64 : h->length / 64 - t / 64) * 8;
}

/* Later keys count far more than the first, or far less, so that what was summed up must shrink, in some queries. */
static void check_growth(const cei_cpu_pieces *pieces) {
    for (int i = 0; i < 12; i++) {
        const head_case h = make_head(random_size(1, 40), i % 2 ? 32 : 64, random_size(65, 300), i % 3 ? 1.0f : -1.0f);
        scale_keys(&h, i < 6);
        for (size_t c = 0; c < h.size; c++) h.q[c] *= 3;
        run_head(pieces, &h);
    }
}

/* A query has the same bits alone and among any others, wherever it is among them, and if their sums shrink. */
static void check_bits(const cei_cpu_pieces *pieces) {
    for (int i = 0; i < 20; i++) {
        const size_t rows = random_size(1, 50);
        const head_case h = make_head(rows, random_size(1, CEI_CPU_ATTEND_SIZE), random_size(1, 250), 1);
        if (i % 2) scale_keys(&h, true);
        const size_t count = span(rows, h.out_stride, h.size), first = random_size(0, rows - 1);
        float *some = guarded_floats(count, GUARD_BEHIND);
        for (size_t k = 0; k < count; k++) h.out[k] = some[k] = canary;
        attend(pieces, &h, 0, rows, h.out);
        attend(pieces, &h, first, first + random_size(0, rows - first), some);
        for (size_t r = 0; r < first; r++) attend(pieces, &h, r, r + 1, some);
        for (size_t k = 0; k < count; k++)
            if (some[k] != canary) expect_same_bits(&some[k], &h.out[k], 1, "a query among others");
        guards_free();
    }
}

static float float_of_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void expect_all_nan(const float *values, size_t count) {
    for (size_t i = 0; i < count; i++) assert_true(isnan(values[i]));
}

/* What is no number spoils what it takes part in, and nothing else. */
static void check_not_finite(const cei_cpu_pieces *pieces) {
    const float bad[] = {NAN, float_of_bits(0x7FFFFFFF), float_of_bits(0xFFFFFFFF), INFINITY, -INFINITY, 3.4e38f};
    /* Of one piece infinity is a number, and what it takes part in need not be NaN. */
    for (size_t i = 0; i < (pieces->count == 1 ? 3 : sizeof bad / sizeof *bad); i++) {
        head_case h = make_head(20, 40, 100, 1);
        float *before = guarded_floats(span(20, h.out_stride, 40), GUARD_BEHIND);
        attend(pieces, &h, 0, 20, before);
        const float query = h.q[3 * h.stride + 5], value = h.v[70 * h.stride + 39];
        h.q[3 * h.stride + 5] = bad[i];
        attend(pieces, &h, 0, 20, h.out);
        for (size_t r = 0; r < 20; r++) {
            if (r == 3)
                expect_all_nan(h.out + r * h.out_stride, 40);
            else
                expect_same_bits(h.out + r * h.out_stride, before + r * h.out_stride, 40, "beside a bad query");
        }
        h.q[3 * h.stride + 5] = query;
        h.v[70 * h.stride + 39] = bad[i];
        attend(pieces, &h, 0, 20, h.out);
        for (size_t r = 0; r < 20; r++) {
            expect_all_nan(h.out + r * h.out_stride + 39, 1);
            expect_same_bits(h.out + r * h.out_stride, before + r * h.out_stride, 39, "beside a bad value");
        }
        h.v[70 * h.stride + 39] = value;
        h.k[99 * h.stride] = bad[i];
        attend(pieces, &h, 0, 20, h.out);
        for (size_t r = 0; r < 20; r++) expect_all_nan(h.out + r * h.out_stride, 40);
        guards_free();
    }
}

const piece_check piece_checks[PIECE_CHECKS] = {{"attention beside its definition", check_shapes},
                                                {"lengths around whole blocks", check_lengths},
                                                {"scores that grow", check_growth},
                                                {"bits of a query", check_bits},
                                                {"what is no number", check_not_finite}};
