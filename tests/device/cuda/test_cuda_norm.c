/* Norms of cuda:0 of rows that are kept in registers and of others, against the reference's formulas; rows alone, to
 * the bit; results in the place of inputs; and its rows in 16 bits, in tiles. */
#include "device/cases.h"
#include "device/cuda/cuda.h"
#include "device/cuda/cuda_cases.h"
#include "device/ref/ref_math.h"
#include "formats/rounding.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 5, MOST_COLUMNS = 2176 };
static const float epsilon = 1e-6f;

typedef struct norm_case {
    size_t rows, columns, shift; /* bytes that rows begin behind what is aligned */
    bool is_rms, has_bias;
    const float *x, *residual, *gain, *bias;
} norm_case;

/* out takes the residual's place; sum, if it is wanted, that of x. */
static void run_norm(const norm_case *c, float *out, float *sum) {
    const size_t bytes = c->rows * c->columns * sizeof(float);
    cuda_bench b = cuda_open((cei_stream_limits){c->rows, 1, 1, c->columns, false});
    const cei_weight gain = cuda_put_weight(&b, CEI_ROLE_VECTOR, CEI_FORMAT_FLOAT32, 1, c->columns, c->gain, NULL);
    const cei_weight bias = cuda_put_weight(&b, CEI_ROLE_VECTOR, CEI_FORMAT_FLOAT32, 1, c->columns, c->bias, NULL);
    cei_slice x = cuda_put_result(&b, c->rows * c->columns), residual = cuda_put_result(&b, c->rows * c->columns);
    x.offset += c->shift, residual.offset += c->shift;
    expect_ok(cei_write(b.stream, x, c->x, bytes, &b.error), &b.error);
    expect_ok(cei_write(b.stream, residual, c->residual, bytes, &b.error), &b.error);
    const cei_norm_args args = {.rows = c->rows,
                                .x = x,
                                .residual = &residual,
                                .gain = &gain,
                                .bias = c->has_bias ? &bias : NULL,
                                .epsilon = epsilon,
                                .out = residual,
                                .sum = sum ? &x : NULL,
                                .rms = c->is_rms};
    expect_ok(cei_norm(b.stream, &args, &b.error), &b.error);
    if (sum) expect_ok(cei_read(b.stream, sum, x, bytes, &b.error), &b.error);
    residual.offset -= c->shift;
    if (c->shift == 0)
        cuda_get_result(&b, residual, out, c->rows * c->columns);
    else
        expect_ok(cei_read(b.stream, out, args.out, bytes, &b.error), &b.error);
    cuda_close(&b);
}

static void check_norm(norm_case c) {
    const size_t count = ROWS * c.columns;
    float *x = floats(count, 2), *residual = floats(count, 2), *gain = floats(c.columns, 2),
          *bias = floats(c.columns, 2);
    float *out = floats(count, 2), *sum = floats(count, 2), *wanted = floats(c.columns, 2),
          *added = floats(c.columns, 2);
    float *alone = floats(c.columns, 2);
    c.rows = ROWS, c.x = x, c.residual = residual, c.gain = gain, c.bias = bias;
    run_norm(&c, out, sum);
    for (size_t r = 0; r < ROWS; r++) {
        const float *row = x + r * c.columns, *other = residual + r * c.columns;
        if (c.is_rms)
            cei_ref_rms_norm_row(row, other, gain, 0, c.columns, epsilon, added, wanted);
        else
            cei_ref_norm_row(row, other, gain, c.has_bias ? bias : NULL, c.columns, epsilon, added, wanted);
        expect_same_bits(sum + r * c.columns, added, c.columns, "a row that was added");
        for (size_t i = 0; i < c.columns; i++)
            expect_near((double)out[r * c.columns + i], (double)wanted[i], 2e-6 * (1 + fabs((double)wanted[i])), "norm",
                        i);
    }
    c.rows = 1, c.x += count - c.columns, c.residual += count - c.columns;
    run_norm(&c, alone, NULL);
    expect_same_bits(alone, out + count - c.columns, c.columns, "a row alone");
    free(x), free(residual), free(gain), free(bias), free(out), free(sum), free(wanted), free(added), free(alone);
}

static void test_widths(void **state) {
    (void)state;
    static const size_t widths[] = {128, 384, 512, 640, 768, 1024, 1152, 1536, 2048, 132, 1000, MOST_COLUMNS};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        for (int way = 0; way < 3; way++)
            check_norm((norm_case){.columns = widths[i], .is_rms = way == 2, .has_bias = way == 1});
    check_norm((norm_case){.columns = 256, .shift = sizeof(float), .has_bias = true});
}

/* Heads side by side, some of a row: what lies between them is left alone. */
static void test_heads(void **state) {
    (void)state;
    enum { HEADS = 3, SIZE = 128, STRIDE = 4 * SIZE };
    float *x = floats(ROWS * STRIDE, 2), *gain = floats(SIZE, 2), *found = floats(ROWS * STRIDE, 2), wanted[SIZE],
          sum[SIZE];
    cuda_bench b = cuda_open((cei_stream_limits){ROWS, 1, SIZE, STRIDE, false});
    const cei_weight g = cuda_put_weight(&b, CEI_ROLE_VECTOR, CEI_FORMAT_FLOAT32, 1, SIZE, gain, NULL);
    const cei_slice in = cuda_put(&b, x, ROWS * STRIDE * sizeof *x);
    const cei_head_norm_args args = {
        .rows = ROWS, .heads = HEADS, .x = {in, STRIDE}, .gain = &g, .adds_one = true, .epsilon = epsilon};
    expect_ok(cei_norm_heads(b.stream, &args, &b.error), &b.error);
    expect_ok(cei_read(b.stream, found, in, ROWS * STRIDE * sizeof *found, &b.error), &b.error);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t h = 0; h <= HEADS; h++) {
            const float *at = x + r * STRIDE + h * SIZE, *now = found + r * STRIDE + h * SIZE;
            cei_ref_rms_norm_row(at, NULL, gain, 1, SIZE, epsilon, sum, wanted);
            for (size_t i = 0; h < HEADS && i < SIZE; i++)
                expect_near((double)now[i], (double)wanted[i], 2e-6 * (1 + fabs((double)wanted[i])), "heads", i);
            if (h == HEADS) expect_same_bits(now, at, SIZE, "what is no head");
        }
    cuda_close(&b);
    free(x), free(gain), free(found);
}

/* ---- packed rows --------------------------------------------------------------------------------------------- */

enum { PACKED_ROWS = 67, TILE_WORDS = 64 * 32 };

static void *pointer(cei_slice slice) { return (void *)(uintptr_t)cei_cuda_at(slice); }

static void launch(cuda_bench *b, cei_norm_kernel_args *args) {
    cei_cuda_device *device = cei_cuda_of(b->device);
    const size_t blocks = args->rows * (args->warps ? args->warps : 1) / CEI_ROWS_OF_BLOCK + 1;
    expect_ok(cei_cuda_enter(device, &b->error), &b->error);
    expect_ok(cei_cuda_launch(device, CEI_CUDA_cei_k_norm, ((cei_cuda_stream_state *)b->stream)->stream, blocks, 1,
                              args, &b->error),
              &b->error);
    cei_cuda_leave(device);
}

/* The value of a row's column in words that were packed: tiles of 64 rows of 128 bytes, the row's 16 bytes of columns
 * 8 c to 8 c + 7 at c ^ row % 8. */
static uint16_t packed_at(const uint32_t *words, size_t tiles, size_t row, size_t column) {
    const unsigned char *tile = (const unsigned char *)(words + (row / 64 * tiles + column / 64) * TILE_WORDS);
    uint16_t value;
    memcpy(&value, tile + row % 64 * 128 + ((column % 64 / 8) ^ (row % 8)) * 16 + column % 8 * 2, sizeof value);
    return value;
}

static uint16_t rounded_bits(float value, bool in_halves) {
    uint16_t bits;
    cei_round_rows(in_halves ? CEI_FORMAT_FLOAT16 : CEI_FORMAT_BFLOAT16, &value, 1, 1, NULL);
    (in_halves ? cei_hold_float16 : cei_hold_bfloat16)(&value, 1, &bits);
    return bits;
}

/* A NaN is any: which one is the chip's to say. */
static void expect_rounded(uint16_t found, float value, bool in_halves) {
    const unsigned infinity = in_halves ? 0x7C00 : 0x7F80;
    if (isnan(value))
        assert_true((found & 0x7FFFu) > infinity);
    else
        assert_int_equal(found, rounded_bits(value, in_halves));
}

static void check_packed(size_t columns, unsigned warps, bool in_halves) {
    const size_t count = PACKED_ROWS * columns, tiles = (columns + 63) / 64, words = 2 * tiles * TILE_WORDS;
    float *x = floats(count, 2), *gain = floats(columns, 2), *out = floats(count, 2);
    uint32_t *packed = malloc(words * sizeof *packed);
    assert_non_null(packed);
    memset(packed, 0x5A, words * sizeof *packed);
    x[0] = NAN;
    cuda_bench b = cuda_open((cei_stream_limits){PACKED_ROWS, 1, 1, columns, false});
    const cei_slice rounded = cuda_put(&b, packed, words * sizeof *packed), at = cuda_put_result(&b, count);
    cei_norm_kernel_args args = {.x = pointer(cuda_put(&b, x, count * sizeof *x)),
                                 .gain = pointer(cuda_put(&b, gain, columns * sizeof *gain)),
                                 .out = pointer(at),
                                 .rows = PACKED_ROWS,
                                 .heads = 1,
                                 .stride = (unsigned)columns,
                                 .columns = (unsigned)columns,
                                 .epsilon = epsilon,
                                 .warps = warps,
                                 .rounded = pointer(rounded),
                                 .rounded_tiles = (unsigned)tiles,
                                 .in_halves = in_halves};
    launch(&b, &args);
    cuda_get_result(&b, at, out, count);
    expect_ok(cei_read(b.stream, packed, rounded, words * sizeof *packed, &b.error), &b.error);
    for (size_t r = 0; r < 2 * 64; r++)
        for (size_t i = 0; i < tiles * 64; i++) {
            const uint16_t found = packed_at(packed, tiles, r, i);
            if (r < PACKED_ROWS)
                expect_rounded(found, i < columns ? out[r * columns + i] : 0, in_halves);
            else
                assert_int_equal(found, 0x5A5A);
        }
    cuda_close(&b);
    free(x), free(gain), free(out), free(packed);
}

static void test_packed_rows(void **state) {
    (void)state;
    for (int in_halves = 0; in_halves < 2; in_halves++) {
        check_packed(384, 1, in_halves);
        check_packed(640, 2, in_halves);
        check_packed(1152, 4, in_halves);
        check_packed(384, 0, in_halves);
        check_packed(97, 0, in_halves);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cuda_test(test_widths),
        cuda_test(test_heads),
        cuda_test(test_packed_rows),
    };
    if (!cuda_is_here()) return 77;
    cases_seed();
    return cmocka_run_group_tests_name("norms on cuda", tests, NULL, NULL);
}
