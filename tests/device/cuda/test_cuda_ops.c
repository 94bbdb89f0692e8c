/* The operations of cuda:0, its kernels run by the emulator, or on a GPU where there is one: against the reference's
 * formulas and double precision; rows and sequences alone and in batches, to the bit; indices that no table has. */
#include "device/cases.h"
#include "device/checksum.h"
#include "device/cuda/cuda_cases.h"
#include "device/ref/ref_math.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void expect_close(const float *found, const float *wanted, size_t count, double bound, const char *what) {
    for (size_t i = 0; i < count; i++)
        expect_near((double)found[i], (double)wanted[i], bound * (1 + fabs((double)wanted[i])), what, i);
}

/* ---- linear ------------------------------------------------------------------------------------------------- */

typedef struct linear_case {
    size_t rows, in, out;
    cei_function function;
    const float *x, *weight, *bias;
} linear_case;

static void run_linear(const linear_case *c, float *y) {
    const size_t widest = c->in > c->out ? c->in : c->out;
    cuda_bench b = cuda_open((cei_stream_limits){c->rows ? c->rows : 1, 1, 1, widest, false});
    const cei_weight weight = cuda_put_weight(&b, CEI_ROLE_MATRIX, CEI_FORMAT_FLOAT32, c->out, c->in, c->weight, NULL);
    cei_weight bias = {.role = CEI_ROLE_VECTOR};
    if (c->bias) bias = cuda_put_weight(&b, CEI_ROLE_VECTOR, CEI_FORMAT_FLOAT32, 1, c->out, c->bias, NULL);
    const cei_slice x = cuda_put(&b, c->x, c->rows * c->in * sizeof(float));
    const cei_slice out = cuda_put_result(&b, c->rows * c->out);
    const cei_linear_args args = {c->rows, x, &weight, c->bias ? &bias : NULL, c->function, out, NULL, NULL};
    expect_ok(cei_linear(b.stream, &args, &b.error), &b.error);
    cuda_get_result(&b, out, y, c->rows * c->out);
    cuda_close(&b);
}

/* The sum's rounding errors (Higham 2002, 3.1), through a function whose slope is at most 1.8. */
static void check_linear(const linear_case *c, const float *y) {
    for (size_t r = 0; r < c->rows; r++)
        for (size_t o = 0; o < c->out; o++) {
            double sum = c->bias ? (double)c->bias[o] : 0, size = fabs(sum);
            for (size_t i = 0; i < c->in; i++) {
                const double term = (double)c->x[r * c->in + i] * (double)c->weight[o * c->in + i];
                sum += term;
                size += fabs(term);
            }
            const double wanted = exact_function(c->function, sum);
            const double bound = 1.8 * ((double)c->in + 4) * ldexp(1, -24) * size + function_bound(wanted);
            expect_near((double)y[r * c->out + o], wanted, bound, "linear", r * c->out + o);
        }
}

static void test_linear(void **state) {
    (void)state;
    static const size_t shapes[][3] = {{0, 8, 8},      {1, 1, 1},     {1, 384, 1},   {3, 5, 7},
                                       {2, 33, 65},    {17, 31, 100}, {40, 96, 64},  {5, 300, 9},
                                       {65, 129, 129}, {130, 16, 70}, {7, 1001, 10}, {16, 1040, 17}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        linear_case c = {shapes[s][0], shapes[s][1], shapes[s][2], (cei_function)(s % CEI_FN_COUNT), NULL, NULL, NULL};
        float *x = floats(c.rows * c.in, 2), *weight = floats(c.in * c.out, 0.3f), *bias = floats(c.out, 1);
        float *y = floats(c.rows * c.out, 1);
        c.x = x, c.weight = weight, c.bias = s % 3 ? bias : NULL;
        fake_set_processors(1 + (int)(s % 2) * 1000); /* large tiles, small ones */
        run_linear(&c, y);
        check_linear(&c, y);
        free(x), free(weight), free(bias), free(y);
    }
}

/* Each function over its whole range, through a weight of 1. */
static void test_functions(void **state) {
    (void)state;
    enum { COUNT = 4000 };
    const float one = 1;
    float x[COUNT], y[COUNT];
    for (size_t i = 0; i < COUNT; i++) x[i] = i < 3000 ? random_float(-9, 9) : random_float(-120, 120);
    x[0] = 0, x[1] = 1e-30f, x[2] = -3e38f, x[3] = 3e38f, x[4] = -1e-6f;
    for (int f = 0; f < CEI_FN_COUNT; f++) {
        const linear_case c = {COUNT, 1, 1, (cei_function)f, x, &one, NULL};
        run_linear(&c, y);
        for (size_t i = 0; i < COUNT; i++) {
            const double wanted = exact_function((cei_function)f, (double)x[i]);
            expect_near((double)y[i], wanted, 2 * function_bound(wanted), function_names[f], i);
        }
    }
}

/* Gates over whole fours that are aligned, and over the same that are not: the same bits, and a NaN stays one. */
static void test_gates_in_fours(void **state) {
    (void)state;
    enum { GATE_ROWS = 3, WIDE = 516, STRIDE = 2 * WIDE, COUNT = GATE_ROWS * STRIDE };
    float *x = floats(COUNT, 20), *found = floats(GATE_ROWS * WIDE, 1), *again = floats(GATE_ROWS * WIDE, 1);
    for (size_t r = 0; r < GATE_ROWS; r++) x[r * STRIDE + r] = NAN;
    for (int f = 0; f < CEI_FN_COUNT; f++) {
        cuda_bench b = cuda_open((cei_stream_limits){GATE_ROWS, 1, 1, STRIDE, false});
        cei_slice in = cuda_put_result(&b, COUNT);
        const cei_slice out = cuda_put_result(&b, GATE_ROWS * WIDE);
        for (size_t shift = 0; shift < 2; shift++) {
            in.offset += shift * sizeof(float);
            const cei_slice gate = {in.buffer, in.offset + WIDE * sizeof(float)};
            const cei_gate_args args = {GATE_ROWS, WIDE, {in, STRIDE}, {gate, STRIDE}, (cei_function)f, out};
            expect_ok(cei_write(b.stream, in, x, COUNT * sizeof *x, &b.error), &b.error);
            expect_ok(cei_gate(b.stream, &args, &b.error), &b.error);
            cuda_get_result(&b, out, shift ? again : found, GATE_ROWS * WIDE);
        }
        cuda_close(&b);
        for (size_t i = 0; i < GATE_ROWS * WIDE; i++) {
            const float *at = x + i / WIDE * STRIDE + i % WIDE;
            const double wanted = exact_function((cei_function)f, (double)at[0]), factor = (double)at[WIDE];
            if (i % WIDE == i / WIDE) {
                assert_true(isnan(found[i]) && isnan(again[i]));
                found[i] = again[i] = 0;
            } else {
                const double bound = (2 * function_bound(wanted) + 1.2e-7 * fabs(wanted)) * fabs(factor);
                expect_near((double)found[i], wanted * factor, bound, function_names[f], i);
            }
        }
        expect_same_bits(again, found, GATE_ROWS * WIDE, "gates one by one");
    }
    free(x), free(found), free(again);
}

static void test_linear_bits(void **state) {
    (void)state;
    enum { ROWS = 131, IN = 340, OUT = 70 };
    float *x = floats(ROWS * IN, 1), *weight = floats(IN * OUT, 0.1f), *bias = floats(OUT, 1);
    float *all = floats(ROWS * OUT, 1), *again = floats(ROWS * OUT, 1);
    linear_case c = {ROWS, IN, OUT, CEI_FN_GELU, x, weight, bias};
    fake_set_processors(1);
    run_linear(&c, all);
    fake_set_processors(1000);
    run_linear(&c, again);
    expect_same_bits(again, all, ROWS * OUT, "tiles of another size");
    fake_set_processors(2);
    static const size_t counts[] = {1, 2, 16, 63, 65, 128};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) { /* few rows have a kernel of their own */
        const size_t first = random_size(0, ROWS - counts[i]);
        c.rows = counts[i];
        c.x = x + first * IN;
        run_linear(&c, again);
        expect_same_bits(again, all + first * OUT, counts[i] * OUT, "rows of linear by themselves");
    }
    free(x), free(weight), free(bias), free(all), free(again);
}

/* ---- low precision ------------------------------------------------------------------------------------------ */

typedef struct low_case {
    cei_format format;
    size_t rows, in, out;
    const float *x, *weight, *scales;
} low_case;

static void run_low(const low_case *c, float *y) {
    cuda_bench b = cuda_open((cei_stream_limits){c->rows, 1, 1, c->in > c->out ? c->in : c->out, false});
    const cei_weight weight = cuda_put_weight(&b, CEI_ROLE_MATRIX, c->format, c->out, c->in, c->weight, c->scales);
    const cei_slice x = cuda_put(&b, c->x, c->rows * c->in * sizeof(float));
    const cei_slice out = cuda_put_result(&b, c->rows * c->out);
    const cei_linear_args args = {c->rows, x, &weight, NULL, CEI_FN_IDENTITY, out, NULL, NULL};
    expect_ok(cei_linear(b.stream, &args, &b.error), &b.error);
    cuda_get_result(&b, out, y, c->rows * c->out);
    cuda_close(&b);
}

/* Against the same products in double, of activations that were rounded as the kernel must, or not at all. */
static void check_low(const low_case *c, bool rounds, const float *y) {
    float *x = malloc(c->rows * c->in * sizeof *x);
    assert_non_null(x);
    memcpy(x, c->x, c->rows * c->in * sizeof *x);
    if (rounds) cei_ref_round_activations(c->format, x, c->rows, c->in);
    for (size_t r = 0; r < c->rows; r++)
        for (size_t o = 0; o < c->out; o++) {
            double sum = 0, size = 0;
            for (size_t i = 0; i < c->in; i++) {
                sum += (double)x[r * c->in + i] * (double)c->weight[o * c->in + i];
                size += fabs((double)x[r * c->in + i] * (double)c->weight[o * c->in + i]);
            }
            const double bound = ((double)c->in + 8) * ldexp(1, -24) * size + 1e-30;
            expect_near((double)y[r * c->out + o], sum, bound, cei_format_name(c->format), r * c->out + o);
        }
    free(x);
}

/* The last row alone, and all rows on a chip of so many processors that tiles are small: the same bits. */
static void check_low_bits(low_case c, const float *y) {
    enum { MANY = 1000 };
    float *again = floats(c.rows * c.out, 1);
    fake_set_processors(MANY);
    run_low(&c, again);
    expect_same_bits(again, y, c.rows * c.out, "tiles of another size");
    y += (c.rows - 1) * c.out;
    c.x += (c.rows - 1) * c.in;
    c.rows = 1;
    run_low(&c, again);
    expect_same_bits(again, y, c.out, "a row alone in low precision");
    free(again);
}

/* On a chip without tensor cores, with them, and with warp groups; large tiles, and small ones. */
static void test_low_precision(void **state) {
    (void)state;
    static const size_t shapes[][3] = {{1, 1, 1},     {3, 37, 5},   {70, 96, 65},    {9, 304, 40},
                                       {66, 33, 130}, {131, 40, 7}, {130, 200, 150}, {2, 8, 129}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int which = fake_is_here() ? 0 : 6; which < 9; which++) { /* a real chip is what it is */
            static const cei_format formats[] = {CEI_FORMAT_BFLOAT16, CEI_FORMAT_FLOAT16, CEI_FORMAT_INT8};
            const int capability = 7 + which / 3;
            const bool is_int8 = which % 3 == 2, has_tensor_cores = capability >= 8;
            low_case c = {.format = formats[which % 3], .rows = shapes[s][0], .in = shapes[s][1], .out = shapes[s][2]};
            float *x = floats(c.rows * c.in, 2), *weight = floats(c.in * c.out, 0.3f), *scales = floats(c.out, 1);
            float *y = floats(c.rows * c.out, 1);
            memset(x, 0, c.in * sizeof *x);             /* a row of zeros, which has no scale */
            if (!is_int8 && c.rows > 1) x[c.in] = 1e6f; /* too large for float16 */
            cei_round_rows(c.format, weight, c.out, c.in, scales);
            c.x = x, c.weight = weight, c.scales = scales;
            fake_set_capability(capability, 0);
            fake_set_processors(1);
            run_low(&c, y);
            check_low(&c, is_int8 || (has_tensor_cores && c.in % 8 == 0), y);
            check_low_bits(c, y);
            free(x), free(weight), free(scales), free(y);
        }
}

/* ---- rows ---------------------------------------------------------------------------------------------------- */

enum { ROWS = 23, COLUMNS = 135 };

/* Sums of rows of three tables, then some of these sums; a row that is not there is loud, and not read. */
static void check_embed_and_gather(cei_format format, size_t columns) {
    enum { COUNT = 4, CHOSEN = 3 };
    static const size_t rows[3] = {9, 5, 2}; /* words, positions, types */
    static const int32_t ids[COUNT] = {8, 0, 3, 9}, positions[COUNT] = {0, 4, 2, 1}, types[COUNT] = {0, 1, 1, 0};
    static const int32_t chosen[CHOSEN] = {2, 0, 1 << 20};
    float *tables[3], scales[9], *found = floats(COUNT * columns, 1), *picked = floats(CHOSEN * columns, 1);
    float *wanted = floats(columns, 1);
    cei_weight weights[3];
    cuda_bench b = cuda_open((cei_stream_limits){COUNT, 4, 4, columns, false});
    for (size_t i = 0; i < 3; i++) {
        tables[i] = floats(rows[i] * columns, 1);
        cei_round_rows(format, tables[i], rows[i], columns, scales);
        weights[i] = cuda_put_weight(&b, CEI_ROLE_TABLE, format, rows[i], columns, tables[i], scales);
    }
    cei_embed_args args = {.tokens = COUNT, .word = &weights[0], .position = &weights[1], .type = &weights[2]};
    args.ids = cuda_put(&b, ids, sizeof ids);
    args.positions = cuda_put(&b, positions, sizeof positions);
    args.types = cuda_put(&b, types, sizeof types);
    args.out = cuda_put_result(&b, COUNT * columns);
    const cei_gather_args gather = {CHOSEN, columns, args.out, cuda_put(&b, chosen, sizeof chosen),
                                    cuda_put_result(&b, CHOSEN * columns)};
    expect_ok(cei_embed(b.stream, &args, &b.error), &b.error);
    expect_ok(cei_gather(b.stream, &gather, &b.error), &b.error);
    cuda_get_result(&b, args.out, found, COUNT * columns);
    cuda_get_result(&b, gather.out, picked, CHOSEN * columns);
    for (size_t t = 0; t < 3; t++) {
        cei_ref_embed_row(tables[0] + (size_t)ids[t] * columns, tables[2] + (size_t)types[t] * columns,
                          tables[1] + (size_t)positions[t] * columns, columns, wanted);
        expect_same_bits(found + t * columns, wanted, columns, "embed");
    }
    expect_same_bits(picked, found + 2 * columns, columns, "gather");
    expect_same_bits(picked + columns, found, columns, "gather");
    for (size_t i = 0; i < columns; i++) assert_true(isnan(found[3 * columns + i]) && isnan(picked[2 * columns + i]));
    cuda_close(&b);
    for (size_t i = 0; i < 3; i++) free(tables[i]);
    free(found), free(picked), free(wanted);
}

/* Widths that are no whole fours, and that are, up to more than a block reads at once. */
static void test_embed_and_gather(void **state) {
    (void)state;
    static const size_t widths[] = {COLUMNS, 136, 768, 2052};
    for (int format = 0; format < CEI_FORMAT_COUNT; format++)
        for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
            check_embed_and_gather((cei_format)format, widths[i]);
}

static void test_norm(void **state) {
    (void)state;
    float *x = floats(ROWS * COLUMNS, 3), *residual = floats(ROWS * COLUMNS, 1), *gain = floats(COLUMNS, 1);
    float *bias = floats(COLUMNS, 1), *found = floats(ROWS * COLUMNS, 1), wanted[COLUMNS];
    cuda_bench b = cuda_open((cei_stream_limits){ROWS, 1, 1, COLUMNS, false});
    const cei_weight g = cuda_put_weight(&b, CEI_ROLE_VECTOR, CEI_FORMAT_FLOAT32, 1, COLUMNS, gain, NULL);
    const cei_weight h = cuda_put_weight(&b, CEI_ROLE_VECTOR, CEI_FORMAT_FLOAT32, 1, COLUMNS, bias, NULL);
    const cei_slice in = cuda_put(&b, x, ROWS * COLUMNS * sizeof *x), out = cuda_put_result(&b, ROWS * COLUMNS);
    const cei_slice other = cuda_put(&b, residual, ROWS * COLUMNS * sizeof *x);
    for (int way = 0; way < 3; way++) { /* alone, with a residual, and that in its place */
        const cei_norm_args args = {.rows = ROWS,
                                    .x = in,
                                    .residual = way ? &other : NULL,
                                    .gain = &g,
                                    .bias = &h,
                                    .epsilon = 1e-6f,
                                    .out = way == 2 ? other : out};
        expect_ok(cei_norm(b.stream, &args, &b.error), &b.error);
        if (way == 2)
            expect_ok(cei_read(b.stream, found, other, ROWS * COLUMNS * sizeof *found, &b.error), &b.error);
        else
            cuda_get_result(&b, out, found, ROWS * COLUMNS);
        for (size_t r = 0; r < ROWS; r++) {
            cei_ref_norm_row(x + r * COLUMNS, way ? residual + r * COLUMNS : NULL, gain, bias, COLUMNS, 1e-6f, wanted,
                             wanted);
            expect_close(found + r * COLUMNS, wanted, COLUMNS, 2e-6, "norm");
        }
    }
    cuda_close(&b);
    free(x), free(residual), free(gain), free(bias), free(found);
}

enum { SEQUENCES = 6, TOKENS = 142, LONGEST = 70 };
static const int32_t offsets[SEQUENCES + 1] = {0, 1, 8, 8, 40, 110, TOKENS};

static void test_pool(void **state) {
    (void)state;
    enum { STRIDE = COLUMNS + 5, FLOATS = (SEQUENCES - 1) * STRIDE + COLUMNS };
    float *x = floats(TOKENS * COLUMNS, 1), found[FLOATS], wanted[FLOATS];
    cuda_bench b = cuda_open((cei_stream_limits){TOKENS, LONGEST, 1, COLUMNS, false});
    const cei_slice in = cuda_put(&b, x, TOKENS * COLUMNS * sizeof *x), where = cuda_put(&b, offsets, sizeof offsets);
    const cei_slice out = cuda_put_result(&b, FLOATS);
    for (int pooling = 0; pooling < CEI_POOL_COUNT; pooling++)
        for (size_t skipped = 0; skipped < 9; skipped += 4) {
            const cei_pool_args args = {TOKENS,  SEQUENCES,    COLUMNS, in, where, (cei_pooling)pooling,
                                        skipped, {out, STRIDE}};
            expect_ok(cei_pool_rows(b.stream, &args, &b.error), &b.error);
            cuda_get_result(&b, out, found, FLOATS);
            memcpy(wanted, found, sizeof found); /* what lies between the rows */
            cei_ref_pool(&args, offsets, x, wanted);
            expect_same_bits(found, wanted, FLOATS, "pool");
        }
    cuda_close(&b);
    free(x);
}

static void test_normalize(void **state) {
    (void)state;
    float *x = floats(ROWS * COLUMNS, 1), *found = floats(ROWS * COLUMNS, 1), wanted[COLUMNS];
    memset(x, 0, COLUMNS * sizeof *x);
    for (size_t i = 0; i < COLUMNS; i++) x[COLUMNS + i] *= 1e30f, x[2 * COLUMNS + i] *= 1e-30f;
    cuda_bench b = cuda_open((cei_stream_limits){ROWS, 1, 1, COLUMNS, false});
    const cei_slice in = cuda_put(&b, x, ROWS * COLUMNS * sizeof *x);
    const cei_normalize_args args = {ROWS, COLUMNS, in, in};
    expect_ok(cei_normalize_rows(b.stream, &args, &b.error), &b.error);
    expect_ok(cei_read(b.stream, found, in, ROWS * COLUMNS * sizeof *found, &b.error), &b.error);
    for (size_t r = 0; r < ROWS; r++) {
        cei_ref_normalize_row(x + r * COLUMNS, COLUMNS, wanted);
        expect_close(found + r * COLUMNS, wanted, COLUMNS, 2e-7, "normalize");
    }
    cuda_close(&b);
    free(x), free(found);
}

/* Both to the reference's last bit but one, also at positions that no model has. */
static void test_angles(void **state) {
    (void)state;
    enum { COUNT = 700, HALF = 5 };
    static const float frequencies[HALF] = {1, 0.017f, 3e-6f, 3e6f, 7e7f};
    float found[COUNT * 2 * HALF], wanted[2 * HALF];
    cuda_bench b = cuda_open((cei_stream_limits){8, 8, 2 * HALF, 16, false});
    const cei_slice out = cuda_put_result(&b, COUNT * 2 * HALF);
    const cei_angles_args args = {COUNT, HALF, frequencies, out};
    expect_ok(cei_angles(b.stream, &args, &b.error), &b.error);
    cuda_get_result(&b, out, found, COUNT * 2 * HALF);
    for (size_t p = 0; p < COUNT; p++) {
        cei_ref_angles_row(p, frequencies, HALF, wanted);
        for (size_t i = 0; i < 2 * HALF; i++) {
            const float *row = found + p * 2 * HALF;
            if ((float)p * frequencies[i % HALF] > 0x1p+31f)
                assert_true(isnan(row[i]));
            else
                expect_near((double)row[i], (double)wanted[i], 1.2e-7 * fabs((double)wanted[i]), "angles", i);
        }
    }
    cuda_close(&b);
}

/* A position that has no angles, and places that are no rows: not a number, and nothing else is touched or read. */
static void test_unsound_positions_and_places(void **state) {
    (void)state;
    enum { HALF = 2, SIZE = 2 * HALF, LENGTH = 3, PER_HEAD = CEI_PANEL_ROWS };
    static const int32_t positions[LENGTH] = {0, 5, -1}, lengths[2] = {0, LENGTH};
    static const int32_t places[2 * LENGTH - 1] = {-7, PER_HEAD, 1 << 30, 31, -1};
    static const float frequencies[HALF] = {1, 0.5f};
    float x[LENGTH * 3 * SIZE], rows[PER_HEAD * SIZE], found[LENGTH * SIZE];
    for (size_t i = 0; i < sizeof x / sizeof *x; i++) x[i] = 1;
    memset(rows, 0, sizeof rows);
    cuda_bench b = cuda_open((cei_stream_limits){LENGTH, LENGTH, SIZE, 3 * SIZE, false});
    const cei_slice in = cuda_put(&b, x, sizeof x), out = cuda_put_result(&b, LENGTH * SIZE);
    const cei_slice angles = cuda_put_result(&b, 5 * SIZE);
    const cei_angles_args make = {5, HALF, frequencies, angles};
    const cei_rotary_args turn = {.rows = LENGTH,
                                  .heads = 1,
                                  .half = HALF,
                                  .count = 5,
                                  .angles = angles,
                                  .x = {in, SIZE},
                                  .positions = cuda_put(&b, positions, sizeof positions)};
    expect_ok(cei_angles(b.stream, &make, &b.error), &b.error);
    expect_ok(cei_rotate(b.stream, &turn, &b.error), &b.error);
    expect_ok(cei_read(b.stream, found, in, sizeof found, &b.error), &b.error);
    assert_true(found[0] == 1 && isnan(found[SIZE]) && isnan(found[2 * SIZE]));
    const cei_slice again = cuda_put(&b, x, sizeof x);
    const cei_weight weight = cuda_put_weight(&b, CEI_ROLE_MATRIX, CEI_FORMAT_FLOAT32, PER_HEAD, SIZE, rows, NULL);
    const cei_distances distances = {&weight, cuda_put(&b, places, sizeof places), PER_HEAD};
    cei_attention_relative_args args = {.keys = distances, .queries = distances};
    args.attention = (cei_attention_args){.tokens = LENGTH,
                                          .sequences = 1,
                                          .longest = LENGTH,
                                          .heads = 1,
                                          .head_size = SIZE,
                                          .scale = 1,
                                          .out = out,
                                          .offsets = cuda_put(&b, lengths, sizeof lengths)};
    cei_attention_take_qkv(&args.attention, again);
    expect_ok(cei_attention_relative(b.stream, &args, &b.error), &b.error);
    cuda_get_result(&b, out, found, LENGTH * SIZE);
    for (size_t i = 0; i < LENGTH * SIZE; i++) assert_true(isnan(found[i]));
    cuda_close(&b);
}

/* Offsets that contradict the number of tokens are not followed. */
static void test_unsound_offsets(void **state) {
    (void)state;
    static const int32_t unsound[][3] = {{0, 9, 4}, {0, -1, 4}, {0, 1 << 30, 4}};
    float x[4 * 3 * 8] = {0}, y[2 * 8];
    for (size_t i = 0; i < sizeof unsound / sizeof *unsound; i++) {
        cuda_bench b = cuda_open((cei_stream_limits){4, 4, 8, 24, false});
        const cei_slice in = cuda_put(&b, x, sizeof x), out = cuda_put_result(&b, 4 * 8);
        const cei_slice where = cuda_put(&b, unsound[i], sizeof unsound[i]);
        cei_attention_args args = {.tokens = 4, .sequences = 2, .longest = 4, .heads = 1, .head_size = 8, .scale = 1};
        args.offsets = where;
        args.out = out;
        cei_attention_take_qkv(&args, in);
        expect_ok(cei_attention(b.stream, &args, &b.error), &b.error);
        const cei_pool_args pool = {4, 2, 8, in, where, CEI_POOL_MEAN, 0, {out, 8}};
        expect_ok(cei_pool_rows(b.stream, &pool, &b.error), &b.error);
        cuda_get_result(&b, out, y, 4 * 8 / 2);
        assert_true(isnan(y[0]) && isnan(y[8]));
        cuda_close(&b);
    }
}

/* ---- weights ------------------------------------------------------------------------------------------------- */

static void check_weight(cei_format format, size_t rows, size_t columns, size_t block) {
    cuda_bench b = cuda_open((cei_stream_limits){4, 4, 4, 8, false});
    float *values = floats(rows * columns, 1), *scales = floats(rows, 1), *found = floats(rows * columns, 1);
    float *found_scales = floats(rows, 1);
    cei_round_rows(format, values, rows, columns, scales);
    const cei_weight weight = cuda_put_weight(&b, CEI_ROLE_TABLE, format, rows, columns, values, scales);
    for (size_t r = 0; r < rows; r += block) { /* again, in blocks */
        const size_t count = rows - r < block ? rows - r : block;
        expect_ok(cei_weight_write(b.device, &weight, r, count, values + r * columns, scales + r, &b.error), &b.error);
    }
    expect_ok(cei_weight_read(b.device, &weight, 0, rows, found, found_scales, &b.error), &b.error);
    expect_same_bits(found, values, rows * columns, "a weight that was read back");
    if (format == CEI_FORMAT_INT8) expect_same_bits(found_scales, scales, rows, "scales that were read back");
    for (size_t first = 0; first < rows; first += 1 + rows / 3) {
        const size_t count = rows - first < block ? rows - first : block;
        cei_checksum sum = {0};
        uint64_t checksum = 0;
        cei_checksum_add(&sum, values + first * columns, count * columns);
        expect_ok(cei_weight_checksum(b.device, &weight, first, count, &checksum, &b.error), &b.error);
        assert_true(checksum == cei_checksum_value(&sum));
    }
    cuda_close(&b);
    free(values), free(scales), free(found), free(found_scales);
}

static void test_weights(void **state) {
    (void)state;
    static const size_t shapes[][3] = {{1, 1, 1}, {7, 33, 2}, {300, 16, 64}, {3, 70000, 2}, {1, 400000, 1}};
    for (int format = 0; format < CEI_FORMAT_COUNT; format++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            if (format != CEI_FORMAT_INT8 || shapes[s][1] <= 65536)
                check_weight((cei_format)format, shapes[s][0], shapes[s][1], shapes[s][2]);
}

static void test_weight_without_memory(void **state) {
    (void)state;
    cuda_bench b = cuda_open((cei_stream_limits){4, 4, 4, 8, false});
    const cei_weight nowhere = {CEI_ROLE_MATRIX, 8, 8, {NULL, 0}, CEI_FORMAT_FLOAT32, false};
    const float values[64] = {0};
    const cei_slice x = cuda_put(&b, values, sizeof values), out = cuda_put_result(&b, 64);
    const cei_linear_args args = {4, x, &nowhere, NULL, CEI_FN_IDENTITY, out, NULL, NULL};
    expect_status(cei_linear(b.stream, &args, &b.error), CE_ERR_ARGUMENT, &b.error, "without memory");
    expect_status(cei_weight_write(b.device, &nowhere, 0, 8, values, NULL, &b.error), CE_ERR_ARGUMENT, &b.error, NULL);
    cuda_close(&b);
}

/* Bytes far beyond what a stream stages, both ways. */
static void test_long_copies(void **state) {
    (void)state;
    enum { COUNT = 1 << 18 };
    float *values = floats(COUNT, 1), *found = floats(COUNT, 1);
    cuda_bench b = cuda_open((cei_stream_limits){4, 4, 4, 8, false});
    const cei_slice at = cuda_put(&b, values, COUNT * sizeof *values);
    expect_ok(cei_read(b.stream, found, at, COUNT * sizeof *found, &b.error), &b.error);
    expect_same_bits(found, values, COUNT, "a long copy");
    cuda_close(&b);
    free(values), free(found);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cuda_test(test_linear),
        cuda_test(test_functions),
        cuda_test(test_gates_in_fours),
        cuda_test(test_linear_bits),
        cuda_test(test_low_precision),
        cuda_test(test_embed_and_gather),
        cuda_test(test_norm),
        cuda_test(test_pool),
        cuda_test(test_normalize),
        cuda_test(test_angles),
        cuda_test(test_unsound_positions_and_places),
        cuda_test(test_unsound_offsets),
        cuda_test(test_weights),
        cuda_test(test_weight_without_memory),
        cuda_test(test_long_copies),
    };
    if (!cuda_is_here()) return 77;
    cases_seed();
    return cmocka_run_group_tests_name("cuda operations", tests, NULL, NULL);
}
