/* Products of warp groups on cuda:0, of capability 9.0, beside what test_cuda_ops.c asks of every chip: rows that a
 * stream holds from one layer to the next give the bits that float32 between them gives, and are forgotten when what
 * they stand for changes; weights come into tiles, and back. */
#include "base/memory.h"
#include "device/cases.h"
#include "device/checksum.h"
#include "device/cuda/cuda.h"
#include "device/cuda/cuda_cases.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 70, IN = 96, MIDDLE = 200, OUT = 65, FORMATS = 3 };
static const cei_format formats[FORMATS] = {CEI_FORMAT_BFLOAT16, CEI_FORMAT_FLOAT16, CEI_FORMAT_INT8};

typedef struct chain {
    cuda_bench bench;
    cei_weight up, down, bias;
    cei_slice x, between, out;
} chain;

/* Skips the test on a GPU without warp groups. */
static void chain_open(chain *c, cei_format format) {
    float *up = floats(MIDDLE * IN, 0.3f), *down = floats(OUT * MIDDLE, 0.3f), *bias = floats(MIDDLE, 1);
    float *x = floats(ROWS * IN, 2), scales[MIDDLE] = {0}, of_down[OUT];
    fake_set_capability(9, 0);
    fake_set_processors(1);
    cei_round_rows(format, up, MIDDLE, IN, scales);
    cei_round_rows(format, down, OUT, MIDDLE, of_down);
    c->bench = cuda_open((cei_stream_limits){ROWS, ROWS, 4, MIDDLE, false});
    c->up = cuda_put_weight(&c->bench, CEI_ROLE_MATRIX, format, MIDDLE, IN, up, scales);
    c->down = cuda_put_weight(&c->bench, CEI_ROLE_MATRIX, format, OUT, MIDDLE, down, of_down);
    c->bias = cuda_put_weight(&c->bench, CEI_ROLE_VECTOR, CEI_FORMAT_FLOAT32, 1, MIDDLE, bias, NULL);
    c->x = cuda_put(&c->bench, x, ROWS * IN * sizeof *x);
    c->between = cuda_put_result(&c->bench, ROWS * MIDDLE);
    c->out = cuda_put_result(&c->bench, ROWS * OUT);
    free(up), free(down), free(bias), free(x);
}

static void run(chain *c, cei_slice x, const cei_weight *weight, cei_function function, cei_slice out,
                const cei_weight *next) {
    const cei_linear_args args = {ROWS, x, weight, weight == &c->up ? &c->bias : NULL, function, out, next, NULL};
    expect_ok(cei_linear(c->bench.stream, &args, &c->bench.error), &c->bench.error);
}

/* Both layers; found is the second's results. */
static void run_both(chain *c, cei_function function, bool tells, float found[ROWS * OUT]) {
    run(c, c->x, &c->up, function, c->between, tells ? &c->down : NULL);
    run(c, c->between, &c->down, CEI_FN_IDENTITY, c->out, NULL);
    cuda_get_result(&c->bench, c->out, found, ROWS * OUT);
}

static void test_has_groups(void **state) {
    (void)state;
    chain c;
    chain_open(&c, CEI_FORMAT_BFLOAT16);
    if (fake_is_here()) {
        const cei_cuda_device *device = cei_cuda_of(c.bench.device);
        assert_true(cei_cuda_has_groups(device));
        assert_int_equal(cei_cuda_tiles_of(device, &c.up), 2);
        assert_int_equal(cei_cuda_tiles_of(device, &c.bias), 0);
    }
    cuda_close(&c.bench);
}

static void test_next(void **state) {
    (void)state;
    static const cei_function functions[] = {CEI_FN_IDENTITY, CEI_FN_GELU, CEI_FN_SILU};
    static float wanted[ROWS * OUT], found[ROWS * OUT];
    for (size_t f = 0; f < FORMATS; f++)
        for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
            chain c;
            chain_open(&c, formats[f]);
            run_both(&c, functions[i], false, wanted);
            run_both(&c, functions[i], true, found);
            expect_same_bits(found, wanted, ROWS * OUT, "through the next layer's form");
            cuda_close(&c.bench);
        }
}

/* The same matrix is read twice, then another one at the same place: written by the host, by a layer, by an operation
 * that is none. */
static void test_held_rows(void **state) {
    (void)state;
    static float first[ROWS * MIDDLE], again[ROWS * MIDDLE], other[ROWS * MIDDLE];
    for (size_t f = 0; f < FORMATS; f++) {
        chain c;
        chain_open(&c, formats[f]);
        float *x = floats(ROWS * IN, 2);
        run(&c, c.x, &c.up, CEI_FN_IDENTITY, c.between, NULL);
        cuda_get_result(&c.bench, c.between, first, ROWS * MIDDLE);
        run(&c, c.x, &c.up, CEI_FN_IDENTITY, c.between, NULL);
        cuda_get_result(&c.bench, c.between, again, ROWS * MIDDLE);
        expect_same_bits(again, first, ROWS * MIDDLE, "of held rows");
        expect_ok(cei_write(c.bench.stream, c.x, x, ROWS * IN * sizeof *x, &c.bench.error), &c.bench.error);
        run(&c, c.x, &c.up, CEI_FN_IDENTITY, c.between, NULL);
        cuda_get_result(&c.bench, c.between, other, ROWS * MIDDLE);
        assert_memory_not_equal(other, first, sizeof first);
        /* A layer's own results, from which the next ones come, at the same place. */
        run(&c, c.between, &c.down, CEI_FN_IDENTITY, c.out, NULL);
        cuda_get_result(&c.bench, c.out, first, ROWS * OUT);
        run(&c, c.x, &c.up, CEI_FN_GELU, c.between, NULL);
        run(&c, c.between, &c.down, CEI_FN_IDENTITY, c.out, NULL);
        cuda_get_result(&c.bench, c.out, other, ROWS * OUT);
        assert_memory_not_equal(other, first, ROWS * OUT * sizeof *first);
        free(x);
        cuda_close(&c.bench);
    }
}

/* A norm and attention, and the layer that reads what they give: told of it, and not. */
static void check_next_of_other_operations(cei_format format, ce_precision precision) {
    enum { HEADS = 2, HEAD = 64, WIDTH = HEADS * HEAD };
    static const int32_t offsets[] = {0, 3, ROWS};
    static float found[2][ROWS * OUT];
    float *values = floats(ROWS * 3 * WIDTH, 1), *matrix = floats(OUT * WIDTH, 0.3f), *gain = floats(WIDTH, 1);
    fake_set_capability(9, 0);
    cuda_bench b = cuda_open((cei_stream_limits){ROWS, ROWS, HEAD, 3 * WIDTH, false});
    cei_round_rows(format, matrix, OUT, WIDTH, NULL);
    const cei_weight weight = cuda_put_weight(&b, CEI_ROLE_MATRIX, format, OUT, WIDTH, matrix, NULL);
    const cei_weight of_norm = cuda_put_weight(&b, CEI_ROLE_VECTOR, CEI_FORMAT_FLOAT32, 1, WIDTH, gain, NULL);
    const cei_slice between = cuda_put_result(&b, ROWS * WIDTH), out = cuda_put_result(&b, ROWS * OUT);
    cei_attention_args attention = {.tokens = ROWS,
                                    .sequences = 2,
                                    .longest = ROWS - 3,
                                    .offsets = cuda_put(&b, offsets, sizeof offsets),
                                    .heads = HEADS,
                                    .head_size = HEAD,
                                    .scale = 0.2f,
                                    .out = between,
                                    .precision = precision};
    const cei_slice x = cuda_put(&b, values, ROWS * 3 * WIDTH * sizeof *values);
    cei_attention_take_qkv(&attention, x);
    cei_norm_args norm = {.rows = ROWS, .x = x, .gain = &of_norm, .epsilon = 1e-5f, .out = between};
    const cei_linear_args linear = {ROWS, between, &weight, NULL, CEI_FN_IDENTITY, out, NULL, NULL};
    for (int is_norm = 0; is_norm < 2; is_norm++) {
        for (int tells = 0; tells < 2; tells++) {
            norm.next = attention.next = tells ? &weight : NULL;
            expect_ok(is_norm ? cei_norm(b.stream, &norm, &b.error) : cei_attention(b.stream, &attention, &b.error),
                      &b.error);
            expect_ok(cei_linear(b.stream, &linear, &b.error), &b.error);
            cuda_get_result(&b, out, found[tells], ROWS * OUT);
        }
        expect_same_bits(found[1], found[0], ROWS * OUT, is_norm ? "of a norm" : "of attention");
    }
    cuda_close(&b);
    free(values), free(matrix), free(gain);
}

static void test_next_of_other_operations(void **state) {
    (void)state;
    check_next_of_other_operations(CEI_FORMAT_BFLOAT16, CE_PRECISION_BFLOAT16);
    check_next_of_other_operations(CEI_FORMAT_FLOAT16, CE_PRECISION_FLOAT16);
}

/* A norm has whole rows at hand and gives integers itself, whichever number of warps shares a row. */
static void check_integers_of_norm(size_t width) {
    static float found[2][ROWS * OUT];
    float *values = floats(ROWS * width, 1), *matrix = floats(OUT * width, 0.3f), *gain = floats(width, 1);
    float scales[OUT];
    fake_set_capability(9, 0);
    cuda_bench b = cuda_open((cei_stream_limits){ROWS, ROWS, 4, width, false});
    cei_round_rows(CEI_FORMAT_INT8, matrix, OUT, width, scales);
    const cei_weight weight = cuda_put_weight(&b, CEI_ROLE_MATRIX, CEI_FORMAT_INT8, OUT, width, matrix, scales);
    const cei_weight of_norm = cuda_put_weight(&b, CEI_ROLE_VECTOR, CEI_FORMAT_FLOAT32, 1, width, gain, NULL);
    const cei_slice between = cuda_put_result(&b, ROWS * width), out = cuda_put_result(&b, ROWS * OUT);
    const cei_slice x = cuda_put(&b, values, ROWS * width * sizeof *values);
    cei_norm_args norm = {.rows = ROWS, .x = x, .gain = &of_norm, .epsilon = 1e-5f, .out = between};
    const cei_linear_args linear = {ROWS, between, &weight, NULL, CEI_FN_IDENTITY, out, NULL, NULL};
    for (int tells = 0; tells < 2; tells++) {
        const uint64_t rounded = fake_is_here() ? fake_ran("cei_k_round") : 0;
        norm.next = tells ? &weight : NULL;
        expect_ok(cei_norm(b.stream, &norm, &b.error), &b.error);
        expect_ok(cei_linear(b.stream, &linear, &b.error), &b.error);
        cuda_get_result(&b, out, found[tells], ROWS * OUT);
        if (fake_is_here()) assert_int_equal(fake_ran("cei_k_round") > rounded, !tells);
    }
    expect_same_bits(found[1], found[0], ROWS * OUT, "of a norm's integers");
    cuda_close(&b);
    free(values), free(matrix), free(gain);
}

static void test_integers_of_norms(void **state) {
    (void)state;
    static const size_t widths[] = {128, 640, 1152, 2048};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) check_integers_of_norm(widths[i]);
}

/* Rows that are rounded in registers, by one, two or four warps, give the bits of those that are read twice, as rows
 * are that are not aligned. */
static void check_rounded_rows(size_t width) {
    enum { COUNT = 7 };
    static float found[2][COUNT * OUT];
    float *values = floats(COUNT * width, 1), *matrix = floats(OUT * width, 0.3f), scales[OUT];
    fake_set_capability(9, 0);
    memset(values + width, 0, width * sizeof *values);
    values[2 * width] = NAN;
    cuda_bench b = cuda_open((cei_stream_limits){COUNT, COUNT, 4, cei_max_size(width, OUT), false});
    cei_round_rows(CEI_FORMAT_INT8, matrix, OUT, width, scales);
    const cei_weight weight = cuda_put_weight(&b, CEI_ROLE_MATRIX, CEI_FORMAT_INT8, OUT, width, matrix, scales);
    const cei_slice x = cuda_put_result(&b, COUNT * width + 1), out = cuda_put_result(&b, COUNT * OUT);
    for (size_t shift = 0; shift < 2; shift++) {
        const cei_slice at = {x.buffer, x.offset + shift * sizeof(float)};
        const cei_linear_args linear = {COUNT, at, &weight, NULL, CEI_FN_IDENTITY, out, NULL, NULL};
        expect_ok(cei_write(b.stream, at, values, COUNT * width * sizeof *values, &b.error), &b.error);
        expect_ok(cei_linear(b.stream, &linear, &b.error), &b.error);
        cuda_get_result(&b, out, found[shift], COUNT * OUT);
    }
    expect_same_bits(found[1], found[0], COUNT * OUT, "of rows read twice");
    cuda_close(&b);
    free(values), free(matrix);
}

static void test_rounded_rows(void **state) {
    (void)state;
    static const size_t widths[] = {4, 100, 1024, 1028, 2052, 4096};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) check_rounded_rows(widths[i]);
}

/* Rows of a batch that takes large blocks, some of them one after the other on a multiprocessor, have the bits that
 * they have in one that takes small blocks. A GPU needs more rows for that than the emulator, which is told of few
 * multiprocessors. */
static void check_large_blocks(cei_format format, size_t outs) {
    enum { WIDTH = 136, FEW = 40 };
    const size_t rows = fake_is_here() ? 300 : 12000;
    float *x = floats(rows * WIDTH, 1), *matrix = floats(outs * WIDTH, 0.3f), *scales = floats(outs, 1);
    float *all = floats(rows * outs, 1), *few = floats(FEW * outs, 1);
    fake_set_capability(9, 0);
    fake_set_processors(5);
    cei_round_rows(format, matrix, outs, WIDTH, scales);
    cuda_bench b = cuda_open((cei_stream_limits){rows, rows, 4, cei_max_size(outs, WIDTH), false});
    const cei_weight weight = cuda_put_weight(&b, CEI_ROLE_MATRIX, format, outs, WIDTH, matrix, scales);
    const cei_slice at = cuda_put(&b, x, rows * WIDTH * sizeof *x), out = cuda_put_result(&b, rows * outs);
    cei_linear_args args = {rows, at, &weight, NULL, CEI_FN_GELU, out, NULL, NULL};
    expect_ok(cei_linear(b.stream, &args, &b.error), &b.error);
    cuda_get_result(&b, out, all, rows * outs);
    for (size_t first = 0; first + FEW <= rows; first += rows / 5) {
        args.rows = FEW;
        args.x.offset = at.offset + first * WIDTH * sizeof *x;
        expect_ok(cei_linear(b.stream, &args, &b.error), &b.error);
        expect_ok(cei_read(b.stream, few, out, FEW * outs * sizeof *few, &b.error), &b.error);
        expect_same_bits(few, all + first * outs, FEW * outs, "in small blocks");
    }
    cuda_close(&b);
    free(x), free(matrix), free(scales), free(all), free(few);
}

static void test_large_blocks(void **state) {
    (void)state;
    for (size_t f = 0; f < FORMATS; f++) {
        check_large_blocks(formats[f], fake_is_here() ? 200 : 130);  /* 128 columns wide */
        check_large_blocks(formats[f], fake_is_here() ? 520 : 1100); /* 256 */
    }
}

/* In pieces that begin and end anywhere in a tile. */
static void test_weights_in_tiles(void **state) {
    (void)state;
    enum { COUNT = 130, WIDTH = 72, BEGIN = 61 };
    fake_set_capability(9, 0);
    for (size_t f = 0; f < FORMATS; f++) {
        const cei_format format = formats[f];
        float *values = floats(COUNT * WIDTH, 1), *found = floats(COUNT * WIDTH, 1), scales[COUNT] = {0}, of[COUNT];
        cei_checksum sum = {0};
        uint64_t checksum = 0;
        cuda_bench b = cuda_open((cei_stream_limits){8, 8, 8, WIDTH, false});
        cei_round_rows(format, values, COUNT, WIDTH, scales);
        const cei_weight weight = cuda_put_weight(&b, CEI_ROLE_MATRIX, format, COUNT, WIDTH, values, scales);
        expect_ok(cei_weight_write(b.device, &weight, BEGIN, 5, values + BEGIN * WIDTH, scales + BEGIN, &b.error),
                  &b.error);
        for (size_t first = 0, rows; first < COUNT; first += rows) {
            rows = first + 37 < COUNT ? 37 : COUNT - first;
            expect_ok(cei_weight_read(b.device, &weight, first, rows, found + first * WIDTH, of + first, &b.error),
                      &b.error);
        }
        expect_same_bits(found, values, COUNT * WIDTH, "read back");
        expect_ok(cei_weight_checksum(b.device, &weight, BEGIN, 9, &checksum, &b.error), &b.error);
        cei_checksum_add(&sum, values + BEGIN * WIDTH, 9 * WIDTH);
        assert_true(checksum == cei_checksum_value(&sum));
        cuda_close(&b);
        free(values), free(found);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cuda_test(test_has_groups),        cuda_test(test_next),
        cuda_test(test_held_rows),         cuda_test(test_next_of_other_operations),
        cuda_test(test_integers_of_norms), cuda_test(test_rounded_rows),
        cuda_test(test_large_blocks),      cuda_test(test_weights_in_tiles),
    };
    if (!cuda_is_here()) return 77;
    cases_seed();
    return cmocka_run_group_tests_name("warp groups", tests, NULL, NULL);
}
