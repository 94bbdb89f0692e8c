/* Linear layers and embeddings whose weights are bfloat16, float16 or int8, on every device: the cpu device tier by
 * tier, emulated ones too, the reference, and sim:0; compiled with CE_ON_TIER, on that one's device. Against double
 * precision with values rounded by rounding.h, against each other, and against themselves on other numbers of rows and
 * threads, to the bit. */
#include "device/emulated.h"

#include "device/ref/ref.h"
#include "device/sim/sim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A device of any kind; a test's initial state. */
typedef struct target {
    const char *name;
    const tier *of; /* of the cpu device, else NULL */
} target;

static target targets[] = {
    {"ref", NULL},
    {"sim", NULL},
    {"c", &tiers[0]},
    {"avx2", &tiers[1]},
    {"avx512", &tiers[2]},
    {"neon", &low_tiers[LOW_NEON]},
    {"neon with dot products", &low_tiers[LOW_NEON_DOTPROD]},
    {"neon with I8MM", &low_tiers[LOW_NEON_I8MM]},
    {"neon with BF16", &low_tiers[LOW_NEON_BF16]},
#if defined(CE_ON_TIER)
    {"another device", &CE_ON_TIER},
#elif defined(__x86_64__)
    {"AVX-512 VNNI and BF16, emulated", &emulated_tiers[EMULATED_AVX512]},
    {"AMX, emulated", &emulated_tiers[EMULATED_AMX]},
#endif
};
enum { REFERENCE, SIM, TARGETS = sizeof targets / sizeof *targets };
#ifdef CE_ON_TIER
enum { FIRST = TARGETS - 1 };
#else
enum { FIRST = 0 };
#endif

/* Emulated tiers are a hundred times slower than others, and so is everything in an emulator: some sizes are smaller.
 */
static bool is_slow(const target *on) { return (on->of && on->of->fill) || is_emulated(); }

enum { FORMATS = 3 };
static const cei_format formats[FORMATS] = {CEI_FORMAT_BFLOAT16, CEI_FORMAT_FLOAT16, CEI_FORMAT_INT8};

typedef struct bench {
    const target *on;
    cpu_device cpu;
    cei_device *device;
    cei_stream *stream;
    cei_buffer *buffers[16];
    size_t count;
    ce_error error;
} bench;

/* Skips the test, before it allocates anything, where the processor lacks the tier. */
static void require(const target *on) {
    if (on->of) tier_require(on->of);
}

static bench bench_open(const target *on, unsigned threads, cei_stream_limits limits) {
    bench b = {.on = on};
    if (on->of) {
        b.cpu = cpu_open(on->of, threads);
        b.device = b.cpu.device;
    } else if (strcmp(on->name, "ref") == 0) {
        expect_ok(cei_ref_open(NULL, &b.device, &b.error), &b.error);
    } else {
        cei_sim_reset();
        cei_sim_set_devices(1);
        expect_ok(cei_device_open((cei_device_id){"sim", 0}, NULL, &b.device, &b.error), &b.error);
    }
    expect_ok(cei_stream_create(b.device, &limits, &b.stream, &b.error), &b.error);
    return b;
}

static void bench_close(bench *b) {
    for (size_t i = 0; i < b->count; i++) cei_buffer_free(b->buffers[i]);
    cei_stream_free(b->stream);
    if (b->on->of)
        cpu_close(&b->cpu);
    else
        cei_device_close(b->device);
}

static cei_slice reserve(bench *b, size_t bytes) {
    assert_true(b->count < sizeof b->buffers / sizeof *b->buffers);
    cei_buffer **buffer = &b->buffers[b->count++];
    expect_ok(cei_buffer_create(b->device, bytes ? bytes : 1, buffer, &b->error), &b->error);
    return (cei_slice){*buffer, 0};
}

static cei_slice put(bench *b, const void *from, size_t bytes) {
    const cei_slice slice = reserve(b, bytes);
    expect_ok(cei_write(b->stream, slice, from, bytes, &b->error), &b->error);
    return slice;
}

/* A weight with values that were rounded to the format; scales are those of rows in int8. */
static cei_weight put_weight(bench *b, cei_role role, cei_format format, size_t rows, size_t columns,
                             const float *values, const float *scales) {
    cei_weight weight = {role, rows, columns, {NULL, 0}, format, false};
    weight.at = reserve(b, cei_weight_bytes(b->device, &weight));
    expect_ok(cei_weight_write(b->device, &weight, 0, rows, values, scales, &b->error), &b->error);
    return weight;
}

/* ---- linear ------------------------------------------------------------------------------------------------- */

typedef struct linear_case {
    size_t rows, in, out;
    cei_function function;
    cei_format format;
    float *x, *weight, *scales, *bias;
} linear_case;

static linear_case make_case(size_t rows, size_t in, size_t out, cei_function function, cei_format format) {
    linear_case c = {rows,           in,  out, function, format, floats(rows * in, 2), floats(in * out, 0.3f),
                     floats(out, 1), NULL};
    if (random_bits() & 1) c.bias = floats(out, 1);
    for (size_t i = 0; i < rows * in; i++) /* one-sided rows too, as GELU gives them */
        if (i / (in ? in : 1) % 2 && c.x[i] < 0) c.x[i] = c.x[i] / 16;
    cei_round_rows(format, c.weight, out, in, c.scales);
    return c;
}

static void free_case(linear_case *c) { free(c->x), free(c->weight), free(c->scales), free(c->bias); }

/* Rows [first, first + rows) of the case, into y [rows, out]. */
static void run_linear(const target *on, unsigned threads, const linear_case *c, size_t first, size_t rows, float *y) {
    const size_t widest = c->in > c->out ? c->in : c->out;
    bench b = bench_open(on, threads, (cei_stream_limits){rows ? rows : 1, 1, 1, widest, false});
    const cei_weight weight = put_weight(&b, CEI_ROLE_MATRIX, c->format, c->out, c->in, c->weight, c->scales);
    const cei_weight bias = c->bias ? put_weight(&b, CEI_ROLE_VECTOR, CEI_FORMAT_FLOAT32, 1, c->out, c->bias, NULL)
                                    : (cei_weight){.role = CEI_ROLE_VECTOR};
    const cei_slice x = put(&b, c->x + first * c->in, rows * c->in * sizeof *y);
    const cei_slice out = reserve(&b, rows * c->out * sizeof *y);
    const cei_linear_args args = {rows, x, &weight, c->bias ? &bias : NULL, c->function, out, NULL, NULL};
    expect_ok(cei_linear(b.stream, &args, &b.error), &b.error);
    expect_ok(cei_read(b.stream, y, out, rows * c->out * sizeof *y, &b.error), &b.error);
    bench_close(&b);
}

/* Does the device round activations? A tier without such products has no need to, but in int8. */
static bool rounds_activations(const target *on, cei_format format) {
    if (!on->of || format == CEI_FORMAT_INT8) return true;
    if (on->of->device || format == CEI_FORMAT_FLOAT16) return false;
    void *of = (void *)(uintptr_t)on->of;
    return tier_kernels(&of).bfloat16.multiply != NULL;
}

/* The rounding errors of a float32 sum (Higham 2002, 3.1) through a function whose slope is at most 1.8. */
static void check_linear(const target *on, const linear_case *c, const float *y) {
    float *x = floats(c->in, 1);
    for (size_t r = 0; r < c->rows; r++) {
        memcpy(x, c->x + r * c->in, c->in * sizeof *x);
        if (c->format == CEI_FORMAT_INT8) cei_round_activations(x, c->in);
        if (c->format != CEI_FORMAT_INT8 && rounds_activations(on, c->format))
            cei_round_rows(c->format, x, 1, c->in, NULL);
        for (size_t o = 0; o < c->out; o++) {
            double sum = c->bias ? (double)c->bias[o] : 0, size = fabs(sum);
            for (size_t i = 0; i < c->in; i++) {
                const double term = (double)x[i] * (double)c->weight[o * c->in + i];
                sum += term;
                size += fabs(term);
            }
            const double wanted = exact_function(c->function, sum);
            const double bound = 1.8 * ((double)c->in + 8) * ldexp(1, -24) * size + function_bound(wanted);
            expect_near((double)y[r * c->out + o], wanted, bound, "linear", r * c->out + o);
        }
    }
    free(x);
}

static void test_linear(void **state) {
    require(*state);
    static const size_t shapes[][3] = {{0, 8, 8},      {1, 1, 1},      {1, 384, 1},   {3, 5, 7},    {2, 33, 65},
                                       {17, 31, 100},  {40, 384, 96},  {29, 513, 3},  {5, 1040, 9}, {131, 129, 129},
                                       {300, 16, 100}, {30, 1536, 40}, {7, 3001, 10}, {250, 1, 33}, {9, 63, 17}};
    const target *on = *state;
    for (size_t f = 0; f < FORMATS; f++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            linear_case c =
                make_case(shapes[s][0], shapes[s][1], shapes[s][2], (cei_function)(s % CEI_FN_COUNT), formats[f]);
            float *y = floats(c.rows * c.out, 1);
            run_linear(on, 1 + (unsigned)(s % 3), &c, 0, c.rows, y);
            check_linear(on, &c, y);
            free_case(&c);
            free(y);
        }
}

/* 301 rows take blocks and threads apart; each row alone must give the same. */
static void test_linear_bits(void **state) {
    require(*state);
    if (!((const target *)*state)->of) skip_in_emulator();
    static const size_t shapes[][2] = {{384, 1152}, {1536, 200}, {77, 333}},
                        few[][2] = {{384, 96}, {1536, 40}, {77, 70}};
    static const unsigned threads[] = {2, 3, 5};
    static const size_t counts[] = {1, 2, 5, 6, 7, 13, 28, 63, 128, 225};
    enum { ROWS = 301 };
    for (size_t s = 0; s < 3 * FORMATS; s++) {
        const size_t *shape = is_slow(*state) ? few[s / FORMATS] : shapes[s / FORMATS];
        linear_case c = make_case(ROWS, shape[0], shape[1], CEI_FN_GELU, formats[s % FORMATS]);
        float *all = floats(ROWS * c.out, 1), *again = floats(ROWS * c.out, 1);
        run_linear(*state, 1, &c, 0, ROWS, all);
        for (size_t t = 0; t < 3; t++) {
            run_linear(*state, threads[t], &c, 0, ROWS, again);
            expect_same_bits(again, all, ROWS * c.out, "linear on more threads");
        }
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            const size_t first = random_size(0, ROWS - counts[i]);
            run_linear(*state, 1 + (unsigned)(i % 3), &c, first, counts[i], again);
            expect_same_bits(again, all + first * c.out, counts[i] * c.out, "rows of linear by themselves");
        }
        free_case(&c);
        free(all), free(again);
    }
}

/* A row that is no number leaves the others alone. */
static void test_a_bad_row(void **state) {
    require(*state);
    enum { ROWS = 20, IN = 37, OUT = 35 };
    for (size_t f = 0; f < FORMATS; f++) {
        linear_case c = make_case(ROWS, IN, OUT, CEI_FN_IDENTITY, formats[f]);
        float *good = floats(ROWS * OUT, 1), *bad = floats(ROWS * OUT, 1);
        run_linear(*state, 1, &c, 0, ROWS, good);
        for (size_t i = 0; i < IN; i++) c.x[7 * IN + i] = i % 3 ? NAN : INFINITY;
        run_linear(*state, 1, &c, 0, ROWS, bad);
        expect_same_bits(bad, good, 7 * OUT, "rows before a bad one");
        expect_same_bits(bad + 8 * OUT, good + 8 * OUT, (ROWS - 8) * OUT, "rows after a bad one");
        free_case(&c);
        free(good), free(bad);
    }
}

/* sim:N does the reference's arithmetic, and the reference gives the same whether its weights lie in a buffer or are
 * bound to a file's values, which it rounds itself. */
static void test_the_reference_rounds_what_is_bound(void **state) {
    (void)state;
    enum { ROWS = 6, IN = 45, OUT = 12 };
    for (size_t f = 0; f < FORMATS; f++) {
        float *file = floats(OUT * IN, 1), in_buffer[ROWS * OUT], on_sim[ROWS * OUT], bound[ROWS * OUT];
        linear_case c = make_case(ROWS, IN, OUT, CEI_FN_TANH, formats[f]);
        free(c.bias), c.bias = NULL;
        memcpy(c.weight, file, OUT * IN * sizeof *file);
        cei_round_rows(c.format, c.weight, OUT, IN, c.scales);
        run_linear(&targets[REFERENCE], 1, &c, 0, ROWS, in_buffer);
        run_linear(&targets[SIM], 1, &c, 0, ROWS, on_sim);
        expect_same_bits(on_sim, in_buffer, ROWS * OUT, "linear on sim:0");
        bench b = bench_open(&targets[REFERENCE], 1, (cei_stream_limits){ROWS, 1, 1, IN, false});
        const cei_weight weight = {CEI_ROLE_MATRIX, OUT, IN, {NULL, 0}, c.format, false};
        const cei_values source = {.dtype = CEI_DTYPE_F32, .rows = OUT, .columns = IN, .data = (const uint8_t *)file};
        expect_ok(cei_ref_bind(b.device, &weight, 0, &source, &b.error), &b.error);
        const cei_slice x = put(&b, c.x, ROWS * IN * sizeof *c.x), out = reserve(&b, sizeof bound);
        const cei_linear_args args = {ROWS, x, &weight, NULL, c.function, out, NULL, NULL};
        expect_ok(cei_linear(b.stream, &args, &b.error), &b.error);
        expect_ok(cei_read(b.stream, bound, out, sizeof bound, &b.error), &b.error);
        expect_same_bits(bound, in_buffer, ROWS * OUT, "linear with a bound weight");
        bench_close(&b);
        free_case(&c);
        free(file);
    }
}

/* ---- embed -------------------------------------------------------------------------------------------------- */

enum { TOKENS = 500, COLUMNS = 77, WORDS = 50, POSITIONS = 20, TYPES = 2, TABLE_KINDS = 3 };
static const size_t heights[TABLE_KINDS] = {WORDS, POSITIONS, TYPES};

/* Tables may even differ in format. */
static void check_embed(const target *on, const cei_format kinds[TABLE_KINDS], unsigned threads) {
    float *tables[TABLE_KINDS], scales[WORDS], *found = floats(TOKENS * COLUMNS, 1);
    int32_t chosen[TABLE_KINDS][TOKENS];
    cei_weight weights[TABLE_KINDS];
    cei_slice indices[TABLE_KINDS];
    bench b = bench_open(on, threads, (cei_stream_limits){TOKENS, TOKENS, 1, COLUMNS, false});
    for (size_t k = 0; k < TABLE_KINDS; k++) {
        tables[k] = floats(heights[k] * COLUMNS, 1);
        cei_round_rows(kinds[k], tables[k], heights[k], COLUMNS, scales);
        weights[k] = put_weight(&b, CEI_ROLE_TABLE, kinds[k], heights[k], COLUMNS, tables[k], scales);
        for (size_t t = 0; t < TOKENS; t++) chosen[k][t] = (int32_t)random_size(0, heights[k] - 1);
        indices[k] = put(&b, chosen[k], sizeof chosen[k]);
    }
    const cei_slice out = reserve(&b, TOKENS * COLUMNS * sizeof *found);
    const cei_embed_args args = {.tokens = TOKENS,
                                 .ids = indices[0],
                                 .positions = indices[1],
                                 .types = indices[2],
                                 .word = &weights[0],
                                 .position = &weights[1],
                                 .type = &weights[2],
                                 .out = out};
    expect_ok(cei_embed(b.stream, &args, &b.error), &b.error);
    expect_ok(cei_read(b.stream, found, out, TOKENS * COLUMNS * sizeof *found, &b.error), &b.error);
    for (size_t t = 0; t < TOKENS; t++)
        for (size_t i = 0; i < COLUMNS; i++) {
            const float word = tables[0][(size_t)chosen[0][t] * COLUMNS + i];
            const float wanted =
                (word + tables[2][(size_t)chosen[2][t] * COLUMNS + i]) + tables[1][(size_t)chosen[1][t] * COLUMNS + i];
            expect_same_bits(&found[t * COLUMNS + i], &wanted, 1, "embed");
        }
    bench_close(&b);
    for (size_t k = 0; k < TABLE_KINDS; k++) free(tables[k]);
    free(found);
}

static void test_embed(void **state) {
    require(*state);
    static const cei_format kinds[][TABLE_KINDS] = {{CEI_FORMAT_BFLOAT16, CEI_FORMAT_BFLOAT16, CEI_FORMAT_BFLOAT16},
                                                    {CEI_FORMAT_INT8, CEI_FORMAT_INT8, CEI_FORMAT_INT8},
                                                    {CEI_FORMAT_FLOAT16, CEI_FORMAT_FLOAT16, CEI_FORMAT_FLOAT16},
                                                    {CEI_FORMAT_INT8, CEI_FORMAT_FLOAT32, CEI_FORMAT_BFLOAT16}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (unsigned threads = 1; threads <= 3; threads++) check_embed(*state, kinds[i], threads);
}

/* ---- the whole ---------------------------------------------------------------------------------------------- */

static void test_supports(void **state) {
    require(*state);
    bench b = bench_open(*state, 1, (cei_stream_limits){1, 1, 1, 1, false});
    for (int op = 0; op < CEI_OP_COUNT; op++)
        for (int precision = 0; precision <= CE_PRECISION_FLOAT16 + 1; precision++)
            assert_true(cei_device_supports(b.device, (cei_op)op, (ce_precision)precision) ==
                        (precision <= CE_PRECISION_FLOAT16));
    ce_device_info info;
    expect_ok(cei_device_status(b.device, &info, &b.error), &b.error);
    assert_true(info.float32 && info.bfloat16 && info.int8 && info.float16);
    bench_close(&b);
}

int main(void) {
    static const struct {
        const char *name;
        CMUnitTestFunction function;
    } kinds[] = {{"linear", test_linear},
                 {"bits of linear", test_linear_bits},
                 {"a bad row", test_a_bad_row},
                 {"embed", test_embed},
                 {"supports", test_supports}};
    enum { KINDS = sizeof kinds / sizeof *kinds };
    enum { COUNT = KINDS * (TARGETS - FIRST) };
    static char names[COUNT][80];
    struct CMUnitTest tests[COUNT + 1];
    for (size_t at = 0; at < COUNT; at++) {
        target *on = &targets[FIRST + at / KINDS];
        snprintf(names[at], sizeof names[at], "%s (%s)", kinds[at % KINDS].name, on->name);
        tests[at] = (struct CMUnitTest){names[at], kinds[at % KINDS].function, NULL, NULL, on};
    }
    tests[COUNT] = (struct CMUnitTest)cmocka_unit_test(test_the_reference_rounds_what_is_bound);
    cases_seed();
    return cmocka_run_group_tests_name("operations in low precision", tests, NULL, tier_teardown);
}
