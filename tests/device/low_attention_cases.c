/* low_attention_cases.c - of low_cases.h: what attention asks of bfloat16 products beside pack. Weights against double
 * precision, products and all of attention against the layers' own product, to the bit, in memory between guard pages.
 */
#include "device/low_cases.h"

#include "device/cpu/cpu.h"
#include "formats/rounding.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const float canary = 12345.678f;

static size_t padded(const cei_cpu_low *low, size_t depth) { return (depth + low->step - 1) / low->step * low->step; }

static const cei_cpu_low *attention_of(const cei_cpu_kernels *kernels, cei_format format) {
    return format == CEI_FORMAT_BFLOAT16 && kernels->bfloat16.pack ? &kernels->bfloat16 : NULL;
}

static float *copy_of(const float *values, size_t count) {
    float *copy = guarded_floats(count, some_side());
    memcpy(copy, values, count * sizeof *copy);
    return copy;
}

static uint16_t weight_at(const float *row, size_t i) {
    uint16_t bits;
    memcpy(&bits, (const uint8_t *)row + i * sizeof bits, sizeof bits);
    return bits;
}

static float widened(uint16_t half) {
    const uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* ---- weights ------------------------------------------------------------------------------------------------- */

/* A row against its scores x, whose size is at most most: half a unit of bfloat16 beside the error of e. */
static void check_weights(const cei_cpu_low *low, const cei_cpu_weighing *w, const float *x, const float *row,
                          float factor) {
    double most = -INFINITY, sum = 0, size = 0;
    for (size_t i = w->first; i < w->first + w->seen; i++) {
        most = fmax(most, (double)w->scale * (double)x[i]);
        size = fmax(size, fabs((double)w->scale * (double)x[i]));
    }
    const double error = ldexp(1, -18) + (4 * size + 4) * ldexp(1, -24);
    for (size_t i = 0; i < padded(low, w->columns); i++) {
        const uint16_t half = weight_at(row, i);
        if (i < w->first || i >= w->first + w->seen) {
            assert_int_equal(half, 0);
            continue;
        }
        const double wanted = exp((double)w->scale * (double)x[i] - most);
        expect_near((double)widened(half), wanted, wanted * (ldexp(1, -8) + error) + ldexp(1, -125), "a weight", i);
        sum += wanted;
    }
    expect_near((double)factor, 1 / sum, (error + (double)w->seen * ldexp(1, -24)) / sum, "the factor of weights", 0);
}

static void check_weigh(const cei_cpu_low *low, size_t rows, size_t columns, float spread) {
    const size_t room = cei_max_size(columns, (padded(low, columns) + 1) / 2), stride = room + random_size(0, 9);
    const size_t count = (rows - 1) * stride + room;
    float *x = guarded_floats(count, some_side()), *factors = guarded_floats(rows, some_side());
    random_fill(x, count, spread);
    cei_cpu_weighing w = {.rows = rows, .columns = columns, .stride = stride, .scale = random_float(-1, 1)};
    w.first = random_bits() & 1 ? 0 : random_size(0, columns - 1);
    w.seen = random_bits() & 1 ? columns - w.first : random_size(1, columns - w.first);
    for (size_t r = 0; r < rows; r++) /* what is not seen counts nothing, whatever it is */
        for (size_t i = 0; i < columns; i++)
            if (i < w.first || i >= w.first + w.seen) x[r * stride + i] = i % 2 ? NAN : INFINITY;
    w.scores = copy_of(x, count);
    w.factors = factors;
    low->weigh(&w);
    for (size_t r = 0; r + 1 < rows; r++)
        expect_same_bits(w.scores + r * stride + room, x + r * stride + room, stride - room, "between rows");
    for (size_t r = 0; r < rows; r++) {
        check_weights(low, &w, x + r * stride, w.scores + r * stride, factors[r]);
        float alone_factor;
        cei_cpu_weighing alone = w;
        alone.rows = 1, alone.stride = room, alone.scores = copy_of(x + r * stride, room);
        alone.factors = &alone_factor;
        low->weigh(&alone);
        assert_memory_equal(alone.scores, w.scores + r * stride, padded(low, columns) * sizeof(uint16_t));
        expect_same_bits(&alone_factor, &factors[r], 1, "the factor of a row of weights alone");
    }
    guards_free();
}

/* A score that is no number leaves no factor of its row. */
static void check_weigh_nan(const cei_cpu_low *low, size_t columns, size_t at) {
    const size_t room = cei_max_size(columns, (padded(low, columns) + 1) / 2);
    float *x = guarded_floats(2 * room, GUARD_BEHIND), factors[2];
    random_fill(x, 2 * room, 1);
    x[at] = NAN;
    low->weigh(&(cei_cpu_weighing){
        .scores = x, .rows = 2, .columns = columns, .stride = room, .seen = columns, .scale = 1, .factors = factors});
    assert_true(isnan(factors[0]) && isfinite(factors[1]));
    guards_free();
}

void low_check_weigh(const cei_cpu_kernels *kernels, cei_format format) {
    const cei_cpu_low *low = attention_of(kernels, format);
    if (!low) return;
    for (size_t columns = 1; columns < 200; columns++)
        check_weigh(low, random_size(1, 20), columns, columns % 3 ? 10 : 500);
    check_weigh(low, 3, 4096, 30);
    for (size_t columns = 1; columns < 150; columns += 7) check_weigh_nan(low, columns, random_size(0, columns - 1));
}

/* ---- products ------------------------------------------------------------------------------------------------ */

static void fill_halves(float *memory, size_t count) {
    for (size_t i = 0; i < 2 * count; i++) {
        const float rounded = cei_round_bfloat16(random_float(-1, 1));
        uint32_t bits;
        memcpy(&bits, &rounded, sizeof bits);
        const uint16_t half = (uint16_t)(bits >> 16);
        memcpy((uint8_t *)memory + i * sizeof half, &half, sizeof half);
    }
}

/* score or mix beside multiply: the same bits, and nothing behind a row. */
static void check_product(const cei_cpu_kernels *kernels, bool is_mix, size_t rows, size_t depth, size_t columns) {
    const cei_cpu_low *low = &kernels->bfloat16;
    const size_t whole = padded(low, depth), width = kernels->panel, floats = whole * width / 2;
    const size_t panels = (columns + width - 1) / width, a_stride = (whole + 1) / 2 + random_size(0, 5);
    const size_t stride = columns + random_size(0, 9), count = rows ? (rows - 1) * stride + columns : 0;
    float *a = guarded_floats(rows ? (rows - 1) * a_stride + (whole + 1) / 2 : 0, some_side());
    float *panel = guarded_floats(panels * floats, GUARD_BEHIND), *factors = guarded_floats(rows, some_side());
    float *out = guarded_floats(count, some_side()), *wanted = guarded_floats(count, some_side());
    fill_halves(a, rows ? (rows - 1) * a_stride + (whole + 1) / 2 : 0);
    fill_halves(panel, panels * floats);
    random_fill(factors, rows, 1);
    for (size_t i = 0; i < count; i++) out[i] = wanted[i] = canary;
    cei_cpu_low_product p = {.rows = rows,
                             .depth = whole,
                             .columns = columns,
                             .a = a,
                             .a_stride = a_stride * sizeof(float),
                             .factors = is_mix ? factors : NULL,
                             .panel = panel,
                             .panel_bytes = floats * sizeof(float),
                             .out = wanted,
                             .out_stride = stride};
    low->multiply(&p);
    p.out = out;
    if (is_mix)
        low->mix(&p);
    else
        low->score(&p);
    expect_same_bits(out, wanted, count, is_mix ? "mix beside multiply" : "score beside multiply");
    guards_free();
}

void low_check_attention_products(const cei_cpu_kernels *kernels, cei_format format) {
    if (!attention_of(kernels, format)) return;
    for (size_t rows = 0; rows < 50; rows += random_size(1, 4))
        for (int is_mix = 0; is_mix < 2; is_mix++)
            check_product(kernels, is_mix, rows, random_size(1, 130), random_size(1, 200));
    for (size_t depth = 32; depth <= 64; depth += 32) check_product(kernels, false, 33, depth, 130);
    for (size_t columns = 1; columns < 140; columns += 13) check_product(kernels, true, 17, 300, columns);
}
