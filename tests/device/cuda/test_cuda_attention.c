/* Attention on cuda:0, in float32 and on tensor cores: against the reference's formula; sequences and first tokens
 * alone and in batches, to the bit. Windows and distances in float32 are test_rotary_ops.c and test_relative.c. */
#include "device/cases.h"
#include "device/cuda/cuda_cases.h"
#include "device/ref/ref_math.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SEQUENCES = 6, TOKENS = 142, LONGEST = 210 };
static const int32_t offsets[SEQUENCES + 1] = {0, 1, 8, 8, 40, 110, TOKENS};

typedef struct attention_case {
    size_t heads, size, sequences;
    const int32_t *offsets;
    const float *qkv;
    ce_precision precision;
    size_t window;
    bool causal;
    float cap;
    size_t shift; /* bytes that rows begin behind what is aligned */
} attention_case;

static cei_attention_args attention_args(const attention_case *c) {
    return (cei_attention_args){.tokens = (size_t)c->offsets[c->sequences],
                                .sequences = c->sequences,
                                .longest = LONGEST,
                                .heads = c->heads,
                                .head_size = c->size,
                                .window = c->window,
                                .causal = c->causal,
                                .cap = c->cap,
                                .precision = c->precision,
                                .scale = 1 / sqrtf((float)c->size)};
}

/* The first or the last token of each sequence alone, its query in a matrix of another width. */
static void check_one_only(cuda_bench *b, const cei_attention_args *args, const attention_case *c, bool is_last,
                           const float *all) {
    const size_t hidden = c->heads * c->size, stride = hidden + 4;
    float *q = floats(c->sequences * stride, 1), *found = floats(c->sequences * hidden, 1);
    for (size_t s = 0; s < c->sequences; s++) {
        const size_t token = (size_t)(is_last ? c->offsets[s + 1] - 1 : c->offsets[s]);
        if (c->offsets[s] < c->offsets[s + 1]) memcpy(q + s * stride, c->qkv + token * 3 * hidden, hidden * sizeof *q);
    }
    cei_attention_args one = *args;
    one.first_only = !is_last, one.last_only = is_last;
    one.q = (cei_strided){cuda_put(b, q, c->sequences * stride * sizeof *q), stride};
    one.out = cuda_put_result(b, c->sequences * hidden);
    expect_ok(cei_attention(b->stream, &one, &b->error), &b->error);
    cuda_get_result(b, one.out, found, c->sequences * hidden);
    for (size_t s = 0; s < c->sequences; s++) {
        const size_t token = (size_t)(is_last ? c->offsets[s + 1] - 1 : c->offsets[s]);
        if (c->offsets[s] < c->offsets[s + 1])
            expect_same_bits(found + s * hidden, all + token * hidden, hidden, "one token alone");
        else
            assert_true(found[s * hidden] > 12345); /* an empty sequence's row is left alone */
    }
    free(q), free(found);
}

static void run_attention(const attention_case *c, float *out, bool with_one) {
    cei_attention_args args = attention_args(c);
    const size_t hidden = c->heads * c->size, values = args.tokens * 3 * hidden;
    cuda_bench b = cuda_open((cei_stream_limits){args.tokens, LONGEST, c->size, 3 * hidden, false});
    cei_slice qkv = cuda_put_result(&b, values);
    qkv.offset += c->shift;
    expect_ok(cei_write(b.stream, qkv, c->qkv, values * sizeof(float), &b.error), &b.error);
    args.offsets = cuda_put(&b, c->offsets, (c->sequences + 1) * sizeof *c->offsets);
    args.out = cuda_put_result(&b, args.tokens * hidden);
    cei_attention_take_qkv(&args, qkv);
    expect_ok(cei_attention(b.stream, &args, &b.error), &b.error);
    cuda_get_result(&b, args.out, out, args.tokens * hidden);
    for (int is_last = 0; with_one && is_last < 2; is_last++) check_one_only(&b, &args, c, is_last, out);
    cuda_close(&b);
}

static void round_to_bfloat16(float *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        bits = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000u;
        memcpy(&values[i], &bits, sizeof bits);
    }
}

/* Against the reference: in float32 to its rounding; in less, of inputs that have few enough bits already, what the
 * rounding of probabilities to halves, 2^-11 of each at most, can do to a mean of values below 2. */
static void check_attention(attention_case c) {
    const size_t hidden = c.heads * c.size, count = (size_t)c.offsets[c.sequences] * hidden;
    const bool is_low = c.precision != CE_PRECISION_FLOAT32 && c.cap == 0 && c.shift == 0;
    float *qkv = floats(3 * count, 2), *out = floats(count, 1), *wanted = floats(count, 1), scores[LONGEST];
    if (is_low) round_to_bfloat16(qkv, 3 * count);
    c.qkv = qkv;
    cei_attention_args args = attention_args(&c);
    args.q.stride = args.k.stride = args.v.stride = 3 * hidden;
    cei_ref_attention(&args, false, c.offsets, qkv, qkv + hidden, qkv + 2 * hidden, scores, wanted);
    run_attention(&c, out, c.shift == 0); /* the queries of one token alone are aligned */
    for (size_t i = 0; i < count; i++) {
        const double bound = is_low ? 2 * ldexp(1, -11) + 1e-5 : 4e-6 * (1 + fabs((double)wanted[i]));
        expect_near((double)out[i], (double)wanted[i], bound, "attention", i);
    }
    free(qkv), free(out), free(wanted);
}

static void test_attention(void **state) {
    (void)state;
    static const size_t shapes[][2] = {{1, 1}, {3, 5}, {2, 32}, {2, 64}, {1, 100}, {1, 256}, {1, 200}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        check_attention(
            (attention_case){.heads = shapes[s][0], .size = shapes[s][1], .sequences = SEQUENCES, .offsets = offsets});
}

/* On tensor cores, where a head is not too wide; with windows within, across and beyond tiles. */
static void test_attention_in_halves(void **state) {
    (void)state;
    static const ce_precision low[] = {CE_PRECISION_BFLOAT16, CE_PRECISION_INT8, CE_PRECISION_FLOAT16};
    static const size_t shapes[][3] = {{1, 16, 0},  {3, 5, 1},   {2, 32, 0},  {2, 64, 0}, {1, 80, 0},
                                       {2, 32, 20}, {1, 64, 64}, {1, 48, 63}, {1, 16, 2}, {1, 64, 100}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        check_attention((attention_case){.heads = shapes[s][0],
                                         .size = shapes[s][1],
                                         .sequences = SEQUENCES,
                                         .offsets = offsets,
                                         .precision = low[s % 3],
                                         .window = shapes[s][2]});
}

/* The same over several tiles of keys, which blocks and warps see in part; and what tensor cores leave to float32. */
static void test_long_attention_in_halves(void **state) {
    (void)state;
    static const int32_t of_long[3] = {0, LONGEST, LONGEST + 129};
    static const attention_case cases[] = {{.size = 64},
                                           {.size = 32, .causal = true},
                                           {.size = 16, .window = 70},
                                           {.size = 48, .causal = true, .window = 33},
                                           {.size = 32, .cap = 2},
                                           {.size = 32, .shift = sizeof(float)}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        attention_case c = cases[i];
        c.heads = 1, c.sequences = 2, c.offsets = of_long, c.precision = CE_PRECISION_BFLOAT16;
        check_attention(c);
    }
}

/* What is beyond halves is taken for their greatest number; not a number stays so, in its own column. */
static void test_attention_beyond_halves(void **state) {
    (void)state;
    enum { SIZE = 16, LENGTH = 3 };
    static const int32_t one[2] = {0, LENGTH};
    float qkv[LENGTH * 3 * SIZE] = {0}, out[LENGTH * SIZE];
    const attention_case c = {
        .heads = 1, .size = SIZE, .sequences = 1, .offsets = one, .qkv = qkv, .precision = CE_PRECISION_BFLOAT16};
    for (size_t t = 0; t < LENGTH; t++) {
        float *v = qkv + t * 3 * SIZE + 2 * SIZE;
        v[0] = 1e30f, v[1] = -INFINITY, v[2] = 65519, v[3] = t == 1 ? NAN : 1;
    }
    run_attention(&c, out, false);
    for (size_t t = 0; t < LENGTH; t++) {
        const float *row = out + t * SIZE;
        expect_near((double)row[0], 65504, 0.02, "a great value", t);
        expect_near((double)row[1], -65504, 0.02, "an infinite value", t);
        expect_near((double)row[2], 65504, 0.02, "a value that is rounded down", t);
        assert_true(isnan(row[3]) && row[4] == 0);
    }
    qkv[0] = NAN; /* a query: its own row */
    run_attention(&c, out, false);
    assert_true(isnan(out[0]) && isnan(out[4]) && out[SIZE + 4] == 0);
}

static void check_attention_bits(ce_precision precision, size_t window) {
    enum { HEADS = 2, SIZE = 48, HIDDEN = HEADS * SIZE };
    float *qkv = floats(TOKENS * 3 * HIDDEN, 2), *all = floats(TOKENS * HIDDEN, 1), *one = floats(TOKENS * HIDDEN, 1);
    attention_case c = {.heads = HEADS,
                        .size = SIZE,
                        .sequences = SEQUENCES,
                        .offsets = offsets,
                        .qkv = qkv,
                        .precision = precision,
                        .window = window};
    run_attention(&c, all, false);
    for (size_t s = 0; s < SEQUENCES; s++) {
        const size_t first = (size_t)offsets[s], length = (size_t)offsets[s + 1] - first;
        const int32_t alone[2] = {0, (int32_t)length};
        if (length == 0) continue;
        c.sequences = 1, c.offsets = alone, c.qkv = qkv + first * 3 * HIDDEN;
        run_attention(&c, one, false);
        expect_same_bits(one, all + first * HIDDEN, length * HIDDEN, "a sequence alone");
    }
    free(qkv), free(all), free(one);
}

static void test_attention_bits(void **state) {
    (void)state;
    check_attention_bits(CE_PRECISION_FLOAT32, 0);
    check_attention_bits(CE_PRECISION_BFLOAT16, 0);
    check_attention_bits(CE_PRECISION_BFLOAT16, 9);
}

static void test_attention_of_a_wide_head(void **state) {
    (void)state;
    const cei_device_options options = {0};
    cei_device *device = NULL;
    cei_stream *stream = NULL;
    ce_error error = {0};
    expect_ok(cei_device_open((cei_device_id){"cuda", 0}, &options, &device, &error), &error);
    expect_status(cei_stream_create(device, &(cei_stream_limits){8, 8, 257, 300, false}, &stream, &error),
                  CE_ERR_UNSUPPORTED, &error, "257 columns");
    cei_device_close(device);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cuda_test(test_attention),
        cuda_test(test_attention_in_halves),
        cuda_test(test_long_attention_in_halves),
        cuda_test(test_attention_beyond_halves),
        cuda_test(test_attention_bits),
        cuda_test(test_attention_of_a_wide_head),
    };
    if (!cuda_is_here()) return 77;
    cases_seed();
    return cmocka_run_group_tests_name("attention on cuda", tests, NULL, NULL);
}
