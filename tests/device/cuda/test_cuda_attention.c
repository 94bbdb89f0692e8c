/* Attention on cuda:0, in float32 and on tensor cores: against the reference's formula; sequences and first tokens
 * alone and in batches, to the bit. Windows and distances in float32 are test_rotary_ops.c and test_relative.c. */
#include "device/cases.h"
#include "device/cuda/cuda_cases.h"
#include "device/ref/ref_math.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SEQUENCES = 6, TOKENS = 142, LONGEST = 70 };
static const int32_t offsets[SEQUENCES + 1] = {0, 1, 8, 8, 40, 110, TOKENS};

typedef struct attention_case {
    size_t heads, size, sequences;
    const int32_t *offsets;
    const float *qkv;
    ce_precision precision;
    size_t window;
} attention_case;

static cei_attention_args attention_args(const attention_case *c) {
    return (cei_attention_args){.tokens = (size_t)c->offsets[c->sequences],
                                .sequences = c->sequences,
                                .longest = LONGEST,
                                .heads = c->heads,
                                .head_size = c->size,
                                .window = c->window,
                                .precision = c->precision,
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
    const size_t hidden = c.heads * c.size, count = TOKENS * hidden;
    const bool is_low = c.precision != CE_PRECISION_FLOAT32;
    float *qkv = floats(3 * count, 2), *out = floats(count, 1), *wanted = floats(count, 1), scores[LONGEST];
    if (is_low) round_to_bfloat16(qkv, 3 * count);
    c.qkv = qkv;
    cei_attention_args args = attention_args(&c);
    args.q.stride = args.k.stride = args.v.stride = 3 * hidden;
    cei_ref_attention(&args, offsets, qkv, qkv + hidden, qkv + 2 * hidden, scores, wanted);
    run_attention(&c, out, true);
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
            (attention_case){shapes[s][0], shapes[s][1], SEQUENCES, offsets, NULL, CE_PRECISION_FLOAT32, 0});
}

/* On tensor cores, where a head is not too wide; with windows within, across and beyond tiles. */
static void test_attention_in_halves(void **state) {
    (void)state;
    static const size_t shapes[][3] = {{1, 16, 0},  {3, 5, 1},   {2, 32, 0},  {2, 64, 0}, {1, 80, 0},
                                       {2, 32, 20}, {1, 64, 64}, {1, 48, 63}, {1, 16, 2}, {1, 64, 100}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        check_attention((attention_case){shapes[s][0], shapes[s][1], SEQUENCES, offsets, NULL,
                                         s % 2 ? CE_PRECISION_INT8 : CE_PRECISION_BFLOAT16, shapes[s][2]});
}

static void check_attention_bits(ce_precision precision, size_t window) {
    enum { HEADS = 2, SIZE = 48, HIDDEN = HEADS * SIZE };
    float *qkv = floats(TOKENS * 3 * HIDDEN, 2), *all = floats(TOKENS * HIDDEN, 1), *one = floats(TOKENS * HIDDEN, 1);
    const attention_case c = {HEADS, SIZE, SEQUENCES, offsets, qkv, precision, window};
    run_attention(&c, all, false);
    for (size_t s = 0; s < SEQUENCES; s++) {
        const size_t first = (size_t)offsets[s], length = (size_t)offsets[s + 1] - first;
        const int32_t alone[2] = {0, (int32_t)length};
        const attention_case part = {HEADS, SIZE, 1, alone, qkv + first * 3 * HIDDEN, precision, window};
        if (length == 0) continue;
        run_attention(&part, one, false);
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
    expect_status(cei_stream_create(device, &(cei_stream_limits){8, 8, 257, 300}, &stream, &error), CE_ERR_UNSUPPORTED,
                  &error, "257 columns");
    cei_device_close(device);
}

#define cuda_test(name) cmocka_unit_test_setup_teardown(name, cuda_setup, cuda_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        cuda_test(test_attention),
        cuda_test(test_attention_in_halves),
        cuda_test(test_attention_bits),
        cuda_test(test_attention_of_a_wide_head),
    };
    cei_device_id id;
    ce_error error = {0};
    if (cei_device_resolve("cuda:0", 0, &id, &error) != CE_OK) {
        print_message("SKIP: %s\n", error.message);
        return 77;
    }
    cases_seed();
    return cmocka_run_group_tests_name("attention on cuda", tests, NULL, NULL);
}
