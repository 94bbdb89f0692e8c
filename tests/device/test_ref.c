/* The reference device: its formulas against double precision, and weights that are bound to a file's bytes. */
#include "device/cases.h"

#include "device/checksum.h"
#include "device/ref/ref.h"
#include "device/ref/ref_math.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct bench {
    cei_device *device;
    cei_stream *stream;
    cei_buffer *buffers[12];
    size_t count;
    ce_error error;
} bench;

static bench bench_open(cei_stream_limits limits) {
    bench b = {0};
    expect_ok(cei_ref_open(NULL, &b.device, &b.error), &b.error);
    expect_ok(cei_stream_create(b.device, &limits, &b.stream, &b.error), &b.error);
    return b;
}

static void bench_close(bench *b) {
    for (size_t i = 0; i < b->count; i++) cei_buffer_free(b->buffers[i]);
    cei_stream_free(b->stream);
    cei_device_close(b->device);
}

static cei_slice put(bench *b, const void *from, size_t bytes) {
    assert_true(b->count < sizeof b->buffers / sizeof *b->buffers);
    cei_buffer **buffer = &b->buffers[b->count++];
    expect_ok(cei_buffer_create(b->device, bytes, buffer, &b->error), &b->error);
    const cei_slice slice = {*buffer, 0};
    expect_ok(cei_write(b->stream, slice, from, bytes, &b->error), &b->error);
    return slice;
}

static cei_values of_floats(const float *values, size_t rows, size_t columns) {
    return (cei_values){.dtype = CEI_DTYPE_F32, .rows = rows, .columns = columns, .data = (const uint8_t *)values};
}

/* ---- binding ------------------------------------------------------------------------------------------------ */

enum { OUT = 12, IN = 37 };

/* What linear gives for the identity: row i of x picks column i of the weight. */
static void read_matrix(bench *b, const cei_weight *weight, const cei_weight *bias, float *y) {
    float x[IN * IN] = {0};
    for (size_t i = 0; i < IN; i++) x[i * IN + i] = 1;
    const cei_slice in = put(b, x, sizeof x), out = put(b, y, IN * OUT * sizeof *y);
    const cei_linear_args args = {IN, in, weight, bias, CEI_FN_IDENTITY, out, NULL, NULL};
    expect_ok(cei_linear(b->stream, &args, &b->error), &b->error);
    expect_ok(cei_read(b->stream, y, out, IN * OUT * sizeof *y, &b->error), &b->error);
}

/* A matrix of four parts, each in another dtype, at odd addresses, and a bias of two parts. */
static void test_bind_dtypes(void **state) {
    (void)state;
    bench b = bench_open((cei_stream_limits){IN, IN, IN, IN, false});
    float wanted[OUT * IN], bias[OUT], y[IN * OUT];
    random_fill(bias, OUT, 1);
    uint8_t bytes[4][1 + 3 * IN * 4], scales[1 + 3 * 4];
    for (size_t r = 0; r < OUT; r++) {
        const float scale = 0.01f * (float)(r + 1);
        memcpy(scales + 1 + (r % 3) * 4, &scale, sizeof scale); /* the last part's rows write last */
        for (size_t i = 0; i < IN; i++) {
            const int8_t whole = (int8_t)(random_bits() & 0xFF);
            const float value = (float)whole / 16; /* exact in every dtype */
            uint32_t bits;
            memcpy(&bits, &value, sizeof bits);
            const uint16_t brain = (uint16_t)(bits >> 16);
            const size_t at = (r % 3) * IN + i;
            /* binary16 of whole / 16: by its own formula, through ldexp and frexp. */
            int exponent = 0;
            const float mantissa = frexpf(fabsf(value), &exponent);
            const uint16_t half =
                (uint16_t)((whole < 0 ? 0x8000u : 0u) | (whole ? (uint32_t)(exponent + 14) << 10 : 0u) |
                           (whole ? (uint32_t)ldexpf(mantissa * 2 - 1, 10) : 0u));
            if (r < 3)
                memcpy(bytes[0] + 1 + at * 4, &value, 4);
            else if (r < 6)
                memcpy(bytes[1] + 1 + at * 2, &half, 2);
            else if (r < 9)
                memcpy(bytes[2] + 1 + at * 2, &brain, 2);
            else
                bytes[3][1 + at] = (uint8_t)whole;
            wanted[r * IN + i] = r < 9 ? value : scale * (float)whole;
        }
    }
    const cei_weight weight = {CEI_ROLE_MATRIX, OUT, IN, {NULL, 0}, CEI_FORMAT_FLOAT32, false},
                     vector = {CEI_ROLE_VECTOR, 1, OUT, {NULL, 0}, CEI_FORMAT_FLOAT32, false};
    static const cei_dtype dtypes[] = {CEI_DTYPE_F32, CEI_DTYPE_F16, CEI_DTYPE_BF16, CEI_DTYPE_I8};
    for (size_t part = 0; part < 4; part++) {
        const size_t from = 3 - part; /* in any order */
        const cei_values source = {.dtype = dtypes[from],
                                   .rows = 3,
                                   .columns = IN,
                                   .data = bytes[from] + 1,
                                   .scales = from == 3 ? scales + 1 : NULL};
        expect_ok(cei_ref_bind(b.device, &weight, from * 3, &source, &b.error), &b.error);
    }
    const cei_values low = of_floats(bias, 1, 5), high = of_floats(bias + 5, 1, OUT - 5);
    expect_ok(cei_ref_bind(b.device, &vector, 5, &high, &b.error), &b.error);
    expect_ok(cei_ref_bind(b.device, &vector, 0, &low, &b.error), &b.error);
    read_matrix(&b, &weight, &vector, y);
    for (size_t i = 0; i < IN; i++)
        for (size_t r = 0; r < OUT; r++) {
            const float value = wanted[r * IN + i] + bias[r];
            expect_same_bits(&y[i * OUT + r], &value, 1, "a bound weight");
        }
    bench_close(&b);
}

/* Rows that were never bound must not pass for numbers. */
static void test_unbound_rows(void **state) {
    (void)state;
    bench b = bench_open((cei_stream_limits){IN, IN, IN, IN, false});
    float values[OUT * IN], y[IN * OUT];
    random_fill(values, OUT * IN, 1);
    const cei_weight weight = {CEI_ROLE_MATRIX, OUT, IN, {NULL, 0}, CEI_FORMAT_FLOAT32, false};
    const cei_values some = of_floats(values, 5, IN);
    expect_ok(cei_ref_bind(b.device, &weight, 0, &some, &b.error), &b.error);
    read_matrix(&b, &weight, NULL, y);
    for (size_t r = 0; r < OUT; r++) assert_true(isnan(y[r]) == (r >= 5));
    bench_close(&b);
}

static void test_bind_refuses(void **state) {
    (void)state;
    bench b = bench_open((cei_stream_limits){IN, IN, IN, IN, false});
    float values[OUT * IN];
    random_fill(values, OUT * IN, 1);
    const cei_weight weight = {CEI_ROLE_MATRIX, OUT, IN, {NULL, 0}, CEI_FORMAT_FLOAT32, false},
                     vector = {CEI_ROLE_VECTOR, 1, OUT, {NULL, 0}, CEI_FORMAT_FLOAT32, false};
    const cei_values narrow = of_floats(values, 2, IN - 1), many = of_floats(values, OUT, IN);
    const cei_values part = of_floats(values, 1, 5), two = of_floats(values, 2, 5);
    const struct {
        const cei_weight *weight;
        size_t first;
        const cei_values *source;
    } wrong[] = {{&weight, 0, &narrow}, {&weight, 1, &many},        {&weight, SIZE_MAX, &many},
                 {&vector, 8, &part},   {&vector, SIZE_MAX, &part}, {&vector, 0, &two}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect_status(cei_ref_bind(b.device, wrong[i].weight, wrong[i].first, wrong[i].source, &b.error),
                      CE_ERR_ARGUMENT, &b.error, "do not fit");
    uint64_t checksum;
    expect_status(cei_weight_checksum(b.device, &weight, 0, OUT, &checksum, &b.error), CE_ERR_ARGUMENT, &b.error, NULL);
    bench_close(&b);
}

/* Weights in a buffer of its own, as any device holds them. */
static void test_weights_in_a_buffer(void **state) {
    (void)state;
    bench b = bench_open((cei_stream_limits){IN, IN, IN, IN, false});
    float values[OUT * IN], back[OUT * IN], y[IN * OUT];
    random_fill(values, OUT * IN, 1);
    const size_t bytes = cei_weight_bytes(b.device, &(cei_weight){.role = CEI_ROLE_MATRIX, .rows = OUT, .columns = IN});
    float *nothing = calloc(bytes, 1);
    assert_non_null(nothing);
    const cei_weight weight = {CEI_ROLE_MATRIX, OUT, IN, put(&b, nothing, bytes), CEI_FORMAT_FLOAT32, false};
    free(nothing);
    expect_ok(cei_weight_write(b.device, &weight, 5, OUT - 5, values + 5 * IN, NULL, &b.error), &b.error);
    expect_ok(cei_weight_write(b.device, &weight, 0, 5, values, NULL, &b.error), &b.error);
    expect_ok(cei_weight_read(b.device, &weight, 1, OUT - 1, back, NULL, &b.error), &b.error);
    assert_memory_equal(back, values + IN, (OUT - 1) * IN * sizeof *back);
    uint64_t checksum;
    cei_checksum sum = {0};
    cei_checksum_add(&sum, values + 2 * IN, 7 * IN);
    expect_ok(cei_weight_checksum(b.device, &weight, 2, 7, &checksum, &b.error), &b.error);
    assert_true(checksum == cei_checksum_value(&sum));
    read_matrix(&b, &weight, NULL, y);
    for (size_t r = 0; r < OUT; r++) expect_same_bits(&y[r], &values[r * IN], 1, "a weight in a buffer");
    bench_close(&b);
}

/* ---- formulas ----------------------------------------------------------------------------------------------- */

static void test_functions(void **state) {
    (void)state;
    for (int f = 0; f < CEI_FN_COUNT; f++)
        for (float x = -30; x < 30; x += 0.00371f) {
            const double wanted = exact_function((cei_function)f, (double)x);
            expect_near((double)cei_ref_function((cei_function)f, x), wanted, ldexp(1, -23) * fabs(wanted) + 1e-12,
                        function_names[f], 0);
        }
}

/* Sixteen sums of rounded products, each in its order; volatile, so that nothing is done in another way. */
static float dot_in_order(const float *a, const float *b, size_t count) {
    volatile float sums[16] = {0};
    double whole[4] = {0};
    for (size_t i = 0; i < count; i++) {
        volatile float product = a[i] * b[i];
        sums[i % 16] = sums[i % 16] + product;
    }
    for (size_t p = 0; p < 16; p++) whole[p % 4] += (double)sums[p];
    return (float)((whole[0] + whole[1]) + (whole[2] + whole[3]));
}

/* Near what it is exactly; and with the bits of its order whatever registers the processor has. */
static void test_dot(void **state) {
    (void)state;
    for (size_t count = 0; count < 100; count++) {
        const float *a = guarded_floats(count, GUARD_BEHIND), *b = guarded_floats(count, GUARD_BEFORE);
        double wanted = 0, size = 0;
        for (size_t i = 0; i < count; i++) {
            wanted += (double)a[i] * (double)b[i];
            size += fabs((double)a[i] * (double)b[i]);
        }
        const float found = cei_ref_dot(a, b, count), in_order = dot_in_order(a, b, count);
        expect_near((double)found, wanted, ((double)count / 16 + 3) * ldexp(1, -24) * size, "dot", count);
        expect_same_bits(&found, &in_order, 1, "dot");
    }
}

static void test_norm(void **state) {
    (void)state;
    enum { COLUMNS = 77 };
    float *x = guarded_floats(COLUMNS, GUARD_BEHIND), *residual = guarded_floats(COLUMNS, GUARD_BEHIND);
    const float *gain = guarded_floats(COLUMNS, GUARD_BEHIND), *bias = guarded_floats(COLUMNS, GUARD_BEHIND);
    float *out = guarded_floats(COLUMNS, GUARD_BEHIND);
    cei_ref_norm_row(x, residual, gain, bias, COLUMNS, 0.25f, out, out);
    double mean = 0, variance = 0;
    for (size_t i = 0; i < COLUMNS; i++) mean += (double)(x[i] + residual[i]) / COLUMNS;
    for (size_t i = 0; i < COLUMNS; i++) variance += pow((double)(x[i] + residual[i]) - mean, 2) / COLUMNS;
    for (size_t i = 0; i < COLUMNS; i++) {
        const double z = ((double)(x[i] + residual[i]) - mean) / sqrt(variance + 0.25);
        expect_near((double)out[i], (double)gain[i] * z + (double)bias[i], 4 * ldexp(1, -24) * (1 + fabs(z)), "norm",
                    i);
    }
    cei_ref_norm_row(x, residual, gain, bias, COLUMNS, 0.25f, residual, residual);
    expect_same_bits(residual, out, COLUMNS, "norm in place");
}

static void test_attention_and_rows(void **state) {
    (void)state;
    enum { TOKENS = 9, HEADS = 2, SIZE = 5, HIDDEN = HEADS * SIZE, COLUMNS = 3 * HIDDEN };
    static const int32_t offsets[] = {0, 4, 4, 9}, chosen[] = {4, 0};
    bench b = bench_open((cei_stream_limits){TOKENS, 5, SIZE, COLUMNS, false});
    float qkv[TOKENS * COLUMNS], out[TOKENS * HIDDEN], picked[2 * HIDDEN];
    random_fill(qkv, TOKENS * COLUMNS, 1);
    const cei_slice to = put(&b, out, sizeof out), rows = put(&b, picked, sizeof picked);
    cei_attention_args args = {.tokens = TOKENS,
                               .sequences = 3,
                               .longest = 5,
                               .offsets = put(&b, offsets, sizeof offsets),
                               .heads = HEADS,
                               .head_size = SIZE,
                               .scale = 0.7f,
                               .out = to};
    cei_attention_take_qkv(&args, put(&b, qkv, sizeof qkv));
    expect_ok(cei_attention(b.stream, &args, &b.error), &b.error);
    const cei_gather_args gather = {2, HIDDEN, to, put(&b, chosen, sizeof chosen), rows};
    expect_ok(cei_gather(b.stream, &gather, &b.error), &b.error);
    expect_ok(cei_read(b.stream, out, to, sizeof out, &b.error), &b.error);
    expect_ok(cei_read(b.stream, picked, rows, sizeof picked, &b.error), &b.error);
    for (size_t t = 0; t < TOKENS; t++)
        for (size_t i = 0; i < HIDDEN; i++) {
            const size_t first = t < 4 ? 0 : 4, end = t < 4 ? 4 : 9, head = i / SIZE * SIZE;
            double sum = 0, mixed = 0;
            for (size_t k = first; k < end; k++) {
                double score = 0;
                for (size_t c = head; c < head + SIZE; c++)
                    score += (double)qkv[t * COLUMNS + c] * (double)qkv[k * COLUMNS + HIDDEN + c];
                const double weight = exp(0.7 * score);
                sum += weight;
                mixed += weight * (double)qkv[k * COLUMNS + 2 * HIDDEN + i];
            }
            expect_near((double)out[t * HIDDEN + i], mixed / sum, 1e-6, "attention", t * HIDDEN + i);
        }
    expect_same_bits(picked, out + 4 * HIDDEN, HIDDEN, "gather");
    expect_same_bits(picked + HIDDEN, out, HIDDEN, "gather");
    bench_close(&b);
}

/* Each pooling of rows 4 to 8, and of a sequence of which all rows are skipped, against sums written out. */
static void test_pool_and_normalize(void **state) {
    (void)state;
    enum { TOKENS = 9, COLUMNS = 5 };
    static const int32_t offsets[] = {0, 2, 2, 4, TOKENS};
    float x[TOKENS * COLUMNS], out[4][COLUMNS + 1];
    bench b = bench_open((cei_stream_limits){TOKENS, TOKENS, 1, COLUMNS, false});
    random_fill(x, TOKENS * COLUMNS, 1);
    const cei_slice to = put(&b, out, sizeof out);
    cei_pool_args args = {TOKENS,         4, COLUMNS,          put(&b, x, sizeof x), put(&b, offsets, sizeof offsets),
                          CEI_POOL_FIRST, 2, {to, COLUMNS + 1}};
    for (int pooling = 0; pooling < CEI_POOL_COUNT; pooling++) {
        args.pooling = (cei_pooling)pooling;
        expect_ok(cei_pool_rows(b.stream, &args, &b.error), &b.error);
        expect_ok(cei_read(b.stream, out, to, sizeof out, &b.error), &b.error);
        for (size_t c = 0; c < COLUMNS; c++) {
            const double a = (double)x[6 * COLUMNS + c], m = (double)x[7 * COLUMNS + c], z = (double)x[8 * COLUMNS + c];
            const double wanted[] = {
                a, fmax(a, fmax(m, z)), (a + m + z) / 3, (a + m + z) / sqrt(3), (3 * a + 4 * m + 5 * z) / 12, z};
            const double empty[] = {(double)x[c], -INFINITY, 0, 0, 0, 0};
            expect_near((double)out[3][c], wanted[pooling], 1e-6, "pool", c);
            assert_true((double)out[0][c] == empty[pooling]);
            assert_true(out[1][c] == 0);
        }
    }
    const cei_normalize_args normalize = {1, COLUMNS, args.x, to};
    expect_ok(cei_normalize_rows(b.stream, &normalize, &b.error), &b.error);
    expect_ok(cei_read(b.stream, out, to, sizeof out, &b.error), &b.error);
    double sum = 0;
    for (size_t c = 0; c < COLUMNS; c++) sum += (double)x[c] * (double)x[c];
    for (size_t c = 0; c < COLUMNS; c++) expect_near((double)out[0][c], (double)x[c] / sqrt(sum), 1e-7, "normalize", c);
    bench_close(&b);
}

/* Embedding reads only the rows that it needs, from where they lie. */
static void test_embed_from_bound_tables(void **state) {
    (void)state;
    enum { TOKENS = 4, COLUMNS = 11, WORDS = 20 };
    static const int32_t ids[] = {19, 0, 7, 7}, positions[] = {0, 1, 2, 3}, types[] = {0, 0, 1, 1};
    bench b = bench_open((cei_stream_limits){TOKENS, TOKENS, 1, COLUMNS, false});
    float word[WORDS * COLUMNS], position[4 * COLUMNS], type[2 * COLUMNS], out[TOKENS * COLUMNS];
    random_fill(word, WORDS * COLUMNS, 1);
    random_fill(position, 4 * COLUMNS, 1);
    random_fill(type, 2 * COLUMNS, 1);
    const cei_weight weights[] = {{CEI_ROLE_TABLE, WORDS, COLUMNS, {NULL, 0}, CEI_FORMAT_FLOAT32, false},
                                  {CEI_ROLE_TABLE, 4, COLUMNS, {NULL, 0}, CEI_FORMAT_FLOAT32, false},
                                  {CEI_ROLE_TABLE, 2, COLUMNS, {NULL, 0}, CEI_FORMAT_FLOAT32, false}};
    const cei_values sources[] = {of_floats(word, WORDS, COLUMNS), of_floats(position, 4, COLUMNS),
                                  of_floats(type, 2, COLUMNS)};
    for (size_t i = 0; i < 3; i++) expect_ok(cei_ref_bind(b.device, &weights[i], 0, &sources[i], &b.error), &b.error);
    const cei_slice to = put(&b, out, sizeof out);
    const cei_embed_args args = {.tokens = TOKENS,
                                 .ids = put(&b, ids, sizeof ids),
                                 .positions = put(&b, positions, sizeof positions),
                                 .types = put(&b, types, sizeof types),
                                 .word = &weights[0],
                                 .position = &weights[1],
                                 .type = &weights[2],
                                 .out = to};
    expect_ok(cei_embed(b.stream, &args, &b.error), &b.error);
    expect_ok(cei_read(b.stream, out, to, sizeof out, &b.error), &b.error);
    for (size_t t = 0; t < TOKENS; t++)
        for (size_t i = 0; i < COLUMNS; i++) {
            const float both = word[(size_t)ids[t] * COLUMNS + i] + type[(size_t)types[t] * COLUMNS + i];
            const float wanted = both + position[(size_t)positions[t] * COLUMNS + i];
            expect_same_bits(&out[t * COLUMNS + i], &wanted, 1, "embed");
        }
    bench_close(&b);
}

int main(void) {
    cases_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bind_dtypes),
        cmocka_unit_test(test_unbound_rows),
        cmocka_unit_test(test_bind_refuses),
        cmocka_unit_test(test_weights_in_a_buffer),
        cmocka_unit_test(test_functions),
        cmocka_unit_test_teardown(test_dot, guards_teardown),
        cmocka_unit_test_teardown(test_norm, guards_teardown),
        cmocka_unit_test(test_attention_and_rows),
        cmocka_unit_test(test_pool_and_normalize),
        cmocka_unit_test(test_embed_from_bound_tables),
    };
    return cmocka_run_group_tests_name("reference device", tests, NULL, NULL);
}
