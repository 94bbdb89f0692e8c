/* The operations of cuda:0, its kernels run by the emulator, or on a GPU where there is one: against the reference's
 * formulas and double precision; rows and sequences alone and in batches, to the bit; indices that no table has. */
#include "device/cases.h"
#include "device/checksum.h"
#include "device/cuda/cuda_cases.h"
#include "device/ref/ref_math.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static float *floats(size_t count, float scale) {
    float *values = malloc((count ? count : 1) * sizeof *values);
    assert_non_null(values);
    random_fill(values, count, scale);
    return values;
}

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
    cuda_bench b = cuda_open((cei_stream_limits){c->rows ? c->rows : 1, 1, 1, widest});
    const cei_weight weight = cuda_put_weight(&b, CEI_ROLE_MATRIX, CEI_FORMAT_FLOAT32, c->out, c->in, c->weight, NULL);
    cei_weight bias = {.role = CEI_ROLE_VECTOR};
    if (c->bias) bias = cuda_put_weight(&b, CEI_ROLE_VECTOR, CEI_FORMAT_FLOAT32, 1, c->out, c->bias, NULL);
    const cei_slice x = cuda_put(&b, c->x, c->rows * c->in * sizeof(float));
    const cei_slice out = cuda_put_result(&b, c->rows * c->out);
    const cei_linear_args args = {c->rows, x, &weight, c->bias ? &bias : NULL, c->function, out};
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
    static const size_t shapes[][3] = {{0, 8, 8},      {1, 1, 1},     {1, 384, 1},  {3, 5, 7},
                                       {2, 33, 65},    {17, 31, 100}, {40, 96, 64}, {5, 300, 9},
                                       {65, 129, 129}, {130, 16, 70}, {7, 1001, 10}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        linear_case c = {shapes[s][0], shapes[s][1], shapes[s][2], (cei_function)(s % CEI_FN_COUNT), NULL, NULL, NULL};
        float *x = floats(c.rows * c.in, 2), *weight = floats(c.in * c.out, 0.3f), *bias = floats(c.out, 1);
        float *y = floats(c.rows * c.out, 1);
        c.x = x, c.weight = weight, c.bias = s % 3 ? bias : NULL;
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

static void test_linear_bits(void **state) {
    (void)state;
    enum { ROWS = 131, IN = 77, OUT = 70 };
    float *x = floats(ROWS * IN, 1), *weight = floats(IN * OUT, 0.1f), *bias = floats(OUT, 1);
    float *all = floats(ROWS * OUT, 1), *again = floats(ROWS * OUT, 1);
    linear_case c = {ROWS, IN, OUT, CEI_FN_GELU, x, weight, bias};
    run_linear(&c, all);
    static const size_t counts[] = {1, 2, 13, 63, 65, 128};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
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
    cuda_bench b = cuda_open((cei_stream_limits){c->rows, 1, 1, c->in > c->out ? c->in : c->out});
    const cei_weight weight = cuda_put_weight(&b, CEI_ROLE_MATRIX, c->format, c->out, c->in, c->weight, c->scales);
    const cei_slice x = cuda_put(&b, c->x, c->rows * c->in * sizeof(float));
    const cei_slice out = cuda_put_result(&b, c->rows * c->out);
    const cei_linear_args args = {c->rows, x, &weight, NULL, CEI_FN_IDENTITY, out};
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

/* On a chip with tensor cores, and on one without. */
static void test_low_precision(void **state) {
    (void)state;
    static const size_t shapes[][3] = {{1, 1, 1}, {3, 37, 5}, {70, 96, 65}, {9, 300, 40}, {66, 33, 130}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int which = fake_is_here() ? 0 : 1; which < 3; which++) { /* a real chip is what it is */
            low_case c = {which == 2 ? CEI_FORMAT_INT8 : CEI_FORMAT_BFLOAT16,
                          shapes[s][0],
                          shapes[s][1],
                          shapes[s][2],
                          NULL,
                          NULL,
                          NULL};
            float *x = floats(c.rows * c.in, 2), *weight = floats(c.in * c.out, 0.3f), *scales = floats(c.out, 1);
            float *y = floats(c.rows * c.out, 1), *one = floats(c.out, 1);
            memset(x, 0, c.in * sizeof *x); /* a row of zeros, which has no scale */
            cei_round_rows(c.format, weight, c.out, c.in, scales);
            c.x = x, c.weight = weight, c.scales = scales;
            fake_set_capability(which == 0 ? 7 : 9, 0);
            run_low(&c, y);
            check_low(&c, which > 0, y);
            const size_t row = c.rows - 1;
            c.rows = 1, c.x = x + row * c.in;
            run_low(&c, one);
            expect_same_bits(one, y + row * c.out, c.out, "a row alone in low precision");
            free(x), free(weight), free(scales), free(y), free(one);
        }
}

/* ---- attention ---------------------------------------------------------------------------------------------- */

enum { SEQUENCES = 6, TOKENS = 142, LONGEST = 70 };
static const int32_t offsets[SEQUENCES + 1] = {0, 1, 8, 8, 40, 110, TOKENS};

typedef struct attention_case {
    size_t heads, size, sequences;
    const int32_t *offsets;
    const float *qkv;
} attention_case;

static cei_attention_args attention_args(const attention_case *c) {
    return (cei_attention_args){.tokens = (size_t)c->offsets[c->sequences],
                                .sequences = c->sequences,
                                .longest = LONGEST,
                                .heads = c->heads,
                                .head_size = c->size,
                                .scale = 1 / sqrtf((float)c->size)};
}

/* The first token of each sequence alone, its query in a matrix of another width. */
static void check_first_only(cuda_bench *b, const cei_attention_args *args, const attention_case *c, const float *all) {
    const size_t hidden = c->heads * c->size, stride = hidden + 3;
    float *q = floats(c->sequences * stride, 1), *found = floats(c->sequences * hidden, 1);
    for (size_t s = 0; s < c->sequences; s++)
        if (c->offsets[s] < c->offsets[s + 1])
            memcpy(q + s * stride, c->qkv + (size_t)c->offsets[s] * 3 * hidden, hidden * sizeof *q);
    cei_attention_args first = *args;
    first.first_only = true;
    first.q = (cei_strided){cuda_put(b, q, c->sequences * stride * sizeof *q), stride};
    first.out = cuda_put_result(b, c->sequences * hidden);
    expect_ok(cei_attention(b->stream, &first, &b->error), &b->error);
    cuda_get_result(b, first.out, found, c->sequences * hidden);
    for (size_t s = 0; s < c->sequences; s++)
        if (c->offsets[s] < c->offsets[s + 1])
            expect_same_bits(found + s * hidden, all + (size_t)c->offsets[s] * hidden, hidden, "first tokens alone");
        else
            assert_true(found[s * hidden] > 12345); /* an empty sequence's row is left alone */
    free(q), free(found);
}

static void run_attention(const attention_case *c, float *out, bool with_first) {
    cei_attention_args args = attention_args(c);
    const size_t hidden = c->heads * c->size;
    cuda_bench b = cuda_open((cei_stream_limits){TOKENS, LONGEST, c->size, 3 * hidden});
    args.offsets = cuda_put(&b, c->offsets, (c->sequences + 1) * sizeof *c->offsets);
    args.out = cuda_put_result(&b, args.tokens * hidden);
    cei_attention_take_qkv(&args, cuda_put(&b, c->qkv, args.tokens * 3 * hidden * sizeof(float)));
    expect_ok(cei_attention(b.stream, &args, &b.error), &b.error);
    cuda_get_result(&b, args.out, out, args.tokens * hidden);
    if (with_first) check_first_only(&b, &args, c, out);
    cuda_close(&b);
}

static void test_attention(void **state) {
    (void)state;
    static const size_t shapes[][2] = {{1, 1}, {3, 5}, {2, 32}, {2, 64}, {1, 100}, {1, 256}, {1, 200}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const size_t heads = shapes[s][0], size = shapes[s][1], hidden = heads * size;
        float *qkv = floats(TOKENS * 3 * hidden, 2), *out = floats(TOKENS * hidden, 1);
        float *wanted = floats(TOKENS * hidden, 1), scores[LONGEST];
        const attention_case c = {heads, size, SEQUENCES, offsets, qkv};
        cei_attention_args args = attention_args(&c);
        args.q.stride = args.k.stride = args.v.stride = 3 * hidden;
        cei_ref_attention(&args, offsets, qkv, qkv + hidden, qkv + 2 * hidden, scores, wanted);
        run_attention(&c, out, true);
        expect_close(out, wanted, TOKENS * hidden, 4e-6, "attention");
        free(qkv), free(out), free(wanted);
    }
}

static void test_attention_bits(void **state) {
    (void)state;
    enum { HEADS = 2, SIZE = 40, HIDDEN = HEADS * SIZE };
    float *qkv = floats(TOKENS * 3 * HIDDEN, 2), *all = floats(TOKENS * HIDDEN, 1), *one = floats(TOKENS * HIDDEN, 1);
    const attention_case c = {HEADS, SIZE, SEQUENCES, offsets, qkv};
    run_attention(&c, all, false);
    for (size_t s = 0; s < SEQUENCES; s++) {
        const size_t first = (size_t)offsets[s], length = (size_t)offsets[s + 1] - first;
        const int32_t alone[2] = {0, (int32_t)length};
        const attention_case part = {HEADS, SIZE, 1, alone, qkv + first * 3 * HIDDEN};
        if (length == 0) continue;
        run_attention(&part, one, false);
        expect_same_bits(one, all + first * HIDDEN, length * HIDDEN, "a sequence alone");
    }
    free(qkv), free(all), free(one);
}

static void test_attention_of_a_wide_head(void **state) {
    (void)state;
    const cei_device_options options = {0};
    cei_device *device = NULL;
    cei_stream *stream = NULL;
    ce_error error = {0};
    expect_ok(cei_device_open((cei_device_id){"cuda", 0}, &options, &device, &error), &error);
    expect_status(cei_stream_create(device, &(cei_stream_limits){8, 8, 257, 300}, &stream, &error), CE_ERR_UNSUPPORTED,
                  &error, "257 columns");
    cei_device_close(device);
}

/* ---- rows ---------------------------------------------------------------------------------------------------- */

enum { ROWS = 23, COLUMNS = 135 };

static void test_embed_and_gather(void **state) {
    (void)state;
    enum { COUNT = 4 };
    float *tables[3] = {floats(9 * COLUMNS, 1), floats(5 * COLUMNS, 1), floats(2 * COLUMNS, 1)};
    const int32_t ids[COUNT] = {8, 0, 3, 9}, positions[COUNT] = {0, 4, 2, 1}, types[COUNT] = {0, 1, 1, 0};
    const int32_t chosen[3] = {2, 0, 1 << 20};
    float found[COUNT * COLUMNS], wanted[COLUMNS], picked[3 * COLUMNS];
    cuda_bench b = cuda_open((cei_stream_limits){COUNT, 4, 4, COLUMNS});
    const cei_weight word = cuda_put_weight(&b, CEI_ROLE_TABLE, CEI_FORMAT_FLOAT32, 9, COLUMNS, tables[0], NULL);
    const cei_weight position = cuda_put_weight(&b, CEI_ROLE_TABLE, CEI_FORMAT_FLOAT32, 5, COLUMNS, tables[1], NULL);
    const cei_weight type = cuda_put_weight(&b, CEI_ROLE_TABLE, CEI_FORMAT_FLOAT32, 2, COLUMNS, tables[2], NULL);
    cei_embed_args args = {.tokens = COUNT, .word = &word, .position = &position, .type = &type};
    args.ids = cuda_put(&b, ids, sizeof ids);
    args.positions = cuda_put(&b, positions, sizeof positions);
    args.types = cuda_put(&b, types, sizeof types);
    args.out = cuda_put_result(&b, COUNT * COLUMNS);
    const cei_gather_args gather = {3, COLUMNS, args.out, cuda_put(&b, chosen, sizeof chosen),
                                    cuda_put_result(&b, 3 * COLUMNS)};
    expect_ok(cei_embed(b.stream, &args, &b.error), &b.error);
    expect_ok(cei_gather(b.stream, &gather, &b.error), &b.error);
    cuda_get_result(&b, args.out, found, COUNT * COLUMNS);
    cuda_get_result(&b, gather.out, picked, 3 * COLUMNS);
    for (size_t t = 0; t < 3; t++) {
        cei_ref_embed_row(tables[0] + ids[t] * COLUMNS, tables[2] + types[t] * COLUMNS,
                          tables[1] + positions[t] * COLUMNS, COLUMNS, wanted);
        expect_same_bits(found + t * COLUMNS, wanted, COLUMNS, "embed");
    }
    expect_same_bits(picked, found + 2 * COLUMNS, COLUMNS, "gather");
    for (size_t i = 0; i < COLUMNS; i++) /* rows that are not there are loud, and not read */
        assert_true(isnan(found[3 * COLUMNS + i]) && isnan(picked[2 * COLUMNS + i]));
    cuda_close(&b);
    for (size_t i = 0; i < 3; i++) free(tables[i]);
}

static void test_norm(void **state) {
    (void)state;
    float *x = floats(ROWS * COLUMNS, 3), *residual = floats(ROWS * COLUMNS, 1), *gain = floats(COLUMNS, 1);
    float *bias = floats(COLUMNS, 1), *found = floats(ROWS * COLUMNS, 1), wanted[COLUMNS];
    cuda_bench b = cuda_open((cei_stream_limits){ROWS, 1, 1, COLUMNS});
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

static void test_pool(void **state) {
    (void)state;
    enum { STRIDE = COLUMNS + 5, FLOATS = (SEQUENCES - 1) * STRIDE + COLUMNS };
    float *x = floats(TOKENS * COLUMNS, 1), found[FLOATS], wanted[FLOATS];
    cuda_bench b = cuda_open((cei_stream_limits){TOKENS, LONGEST, 1, COLUMNS});
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
    cuda_bench b = cuda_open((cei_stream_limits){ROWS, 1, 1, COLUMNS});
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

/* Offsets that contradict the number of tokens are not followed. */
static void test_unsound_offsets(void **state) {
    (void)state;
    static const int32_t unsound[][3] = {{0, 9, 4}, {0, -1, 4}, {0, 1 << 30, 4}};
    float x[4 * 3 * 8] = {0}, y[2 * 8];
    for (size_t i = 0; i < sizeof unsound / sizeof *unsound; i++) {
        cuda_bench b = cuda_open((cei_stream_limits){4, 4, 8, 24});
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
    cuda_bench b = cuda_open((cei_stream_limits){4, 4, 4, 8});
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
    cuda_bench b = cuda_open((cei_stream_limits){4, 4, 4, 8});
    const cei_weight nowhere = {CEI_ROLE_MATRIX, 8, 8, {NULL, 0}, CEI_FORMAT_FLOAT32, false};
    const float values[64] = {0};
    const cei_slice x = cuda_put(&b, values, sizeof values), out = cuda_put_result(&b, 64);
    const cei_linear_args args = {4, x, &nowhere, NULL, CEI_FN_IDENTITY, out};
    expect_status(cei_linear(b.stream, &args, &b.error), CE_ERR_ARGUMENT, &b.error, "without memory");
    expect_status(cei_weight_write(b.device, &nowhere, 0, 8, values, NULL, &b.error), CE_ERR_ARGUMENT, &b.error, NULL);
    cuda_close(&b);
}

/* Bytes far beyond what a stream stages, both ways. */
static void test_long_copies(void **state) {
    (void)state;
    enum { COUNT = 1 << 18 };
    float *values = floats(COUNT, 1), *found = floats(COUNT, 1);
    cuda_bench b = cuda_open((cei_stream_limits){4, 4, 4, 8});
    const cei_slice at = cuda_put(&b, values, COUNT * sizeof *values);
    expect_ok(cei_read(b.stream, found, at, COUNT * sizeof *found, &b.error), &b.error);
    expect_same_bits(found, values, COUNT, "a long copy");
    cuda_close(&b);
    free(values), free(found);
}

#define cuda_test(name) cmocka_unit_test_setup_teardown(name, cuda_setup, cuda_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        cuda_test(test_linear),
        cuda_test(test_functions),
        cuda_test(test_linear_bits),
        cuda_test(test_low_precision),
        cuda_test(test_attention),
        cuda_test(test_attention_bits),
        cuda_test(test_attention_of_a_wide_head),
        cuda_test(test_embed_and_gather),
        cuda_test(test_norm),
        cuda_test(test_pool),
        cuda_test(test_normalize),
        cuda_test(test_unsound_offsets),
        cuda_test(test_weights),
        cuda_test(test_weight_without_memory),
        cuda_test(test_long_copies),
    };
    cei_device_id id;
    ce_error error = {0};
    if (cei_device_resolve("cuda:0", 0, &id, &error) != CE_OK) {
        print_message("SKIP: %s\n", error.message);
        return 77;
    }
    cases_seed();
    return cmocka_run_group_tests_name("cuda operations", tests, NULL, NULL);
}
