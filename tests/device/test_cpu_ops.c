/* The operations of the cpu device, tier by tier: against double precision, and against themselves on other numbers of
 * threads, alone and in batches, to the bit. Compiled with CE_ON_TIER, the same of that one. */
#include "device/cases.h"
#include "device/ref/ref_math.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room on both sides of a result, which operations must leave alone. */
enum { MARGIN = 64 };
static const float canary = 12345.678f;

typedef struct bench {
    cpu_device cpu;
    cei_stream *stream;
    cei_buffer *buffers[16];
    size_t count;
    ce_error error;
} bench;

static bench bench_open(const tier *of, unsigned threads, cei_stream_limits limits) {
    bench b = {.cpu = cpu_open(of, threads)};
    expect_ok(cei_stream_create(b.cpu.device, &limits, &b.stream, &b.error), &b.error);
    return b;
}

static void bench_close(bench *b) {
    for (size_t i = 0; i < b->count; i++) cei_buffer_free(b->buffers[i]);
    cei_stream_free(b->stream);
    cpu_close(&b->cpu);
}

static cei_slice put(bench *b, const void *from, size_t bytes) {
    assert_true(b->count < sizeof b->buffers / sizeof *b->buffers);
    cei_buffer **buffer = &b->buffers[b->count++];
    expect_ok(cei_buffer_create(b->cpu.device, bytes, buffer, &b->error), &b->error);
    const cei_slice slice = {*buffer, 0};
    expect_ok(cei_write(b->stream, slice, from, bytes, &b->error), &b->error);
    return slice;
}

static cei_weight put_weight(bench *b, cei_role role, size_t rows, size_t columns, const float *values) {
    const size_t bytes = cei_weight_bytes(b->cpu.device, &(cei_weight){.role = role, .rows = rows, .columns = columns});
    assert_true(bytes % CEI_BUFFER_ALIGNMENT == 0 && bytes >= rows * columns * sizeof(float));
    float *nothing = calloc(bytes ? bytes : 1, 1);
    assert_non_null(nothing);
    const cei_weight weight = {role, rows, columns, put(b, nothing, bytes), CEI_FORMAT_FLOAT32, false};
    expect_ok(cei_read(b->stream, nothing, weight.at, bytes, &b->error), &b->error); /* the stream is done with it */
    free(nothing);
    expect_ok(cei_weight_write(b->cpu.device, &weight, 0, rows, values, NULL, &b->error), &b->error);
    return weight;
}

/* Memory for a result of count floats, in the middle of canaries. */
static cei_slice put_result(bench *b, size_t count) {
    float *values = malloc((count + 2 * MARGIN) * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < count + 2 * MARGIN; i++) values[i] = canary;
    cei_slice slice = put(b, values, (count + 2 * MARGIN) * sizeof *values);
    free(values);
    slice.offset = MARGIN * sizeof(float);
    return slice;
}

static void get_result(bench *b, cei_slice slice, float *to, size_t count) {
    float *all = malloc((count + 2 * MARGIN) * sizeof *all);
    assert_non_null(all);
    expect_ok(cei_read(b->stream, all, (cei_slice){slice.buffer, 0}, (count + 2 * MARGIN) * sizeof *all, &b->error),
              &b->error);
    for (size_t i = 0; i < MARGIN; i++)
        if (all[i] != canary || all[MARGIN + count + i] != canary) fail_msg("a result was written outside its place");
    memcpy(to, all + MARGIN, count * sizeof *to);
    free(all);
}

/* ---- linear ------------------------------------------------------------------------------------------------- */

typedef struct linear_case {
    size_t rows, in, out;
    cei_function function;
    const float *x, *weight, *bias;
} linear_case;

static void run_linear(const tier *of, unsigned threads, const linear_case *c, float *y) {
    const size_t widest = c->in > c->out ? c->in : c->out;
    bench b = bench_open(of, threads, (cei_stream_limits){c->rows ? c->rows : 1, 1, 1, widest, false});
    const cei_weight weight = put_weight(&b, CEI_ROLE_MATRIX, c->out, c->in, c->weight);
    const cei_weight bias =
        c->bias ? put_weight(&b, CEI_ROLE_VECTOR, 1, c->out, c->bias) : (cei_weight){.role = CEI_ROLE_VECTOR};
    const cei_slice x = put(&b, c->x, c->rows * c->in * sizeof(float)), out = put_result(&b, c->rows * c->out);
    const cei_linear_args args = {c->rows, x, &weight, c->bias ? &bias : NULL, c->function, out, NULL, NULL};
    expect_ok(cei_linear(b.stream, &args, &b.error), &b.error);
    get_result(&b, out, y, c->rows * c->out);
    bench_close(&b);
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
    tier_require(*state);
    static const size_t shapes[][3] = {{0, 8, 8},      {1, 1, 1},      {1, 384, 1},    {3, 5, 7},     {2, 33, 65},
                                       {17, 31, 100},  {40, 384, 96},  {29, 513, 3},   {5, 1040, 9},  {231, 129, 129},
                                       {500, 16, 300}, {70, 1536, 40}, {50, 1024, 64}, {7, 3001, 10}, {90, 3100, 70},
                                       {33, 1537, 40}, {3, 40000, 20}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        linear_case c = {shapes[s][0], shapes[s][1], shapes[s][2], (cei_function)(s % CEI_FN_COUNT), NULL, NULL, NULL};
        float *x = floats(c.rows * c.in, 2), *weight = floats(c.in * c.out, 0.3f), *bias = floats(c.out, 1);
        float *y = floats(c.rows * c.out, 1);
        c.x = x, c.weight = weight, c.bias = s % 3 ? bias : NULL;
        run_linear(*state, 1 + (unsigned)(s % 3), &c, y);
        check_linear(&c, y);
        free(x), free(weight), free(bias), free(y);
    }
}

/* 301 rows take blocks and threads apart; each row alone must give the same. */
static void test_linear_bits(void **state) {
    tier_require(*state);
    static const size_t shapes[][2] = {{384, 1152}, {1536, 200}, {77, 333}, {1700, 100}},
                        few[][2] = {{384, 96}, {1536, 40}, {77, 70}, {1700, 40}};
    enum { ROWS = 301 };
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const size_t *shape = is_emulated() ? few[s] : shapes[s], in = shape[0], out = shape[1];
        float *x = floats(ROWS * in, 1), *weight = floats(in * out, 0.1f), *bias = floats(out, 1);
        float *all = floats(ROWS * out, 1), *again = floats(ROWS * out, 1);
        const linear_case c = {ROWS, in, out, CEI_FN_GELU, x, weight, bias};
        run_linear(*state, 1, &c, all);
        static const unsigned threads[] = {2, 3, 5};
        for (size_t t = 0; t < 3; t++) {
            run_linear(*state, threads[t], &c, again);
            expect_same_bits(again, all, ROWS * out, "linear on more threads");
        }
        static const size_t counts[] = {1, 2, 5, 13, 14, 15, 28, 63, 128, 225};
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            const size_t first = random_size(0, ROWS - counts[i]);
            linear_case part = c;
            part.rows = counts[i];
            part.x = x + first * in;
            run_linear(*state, 1 + (unsigned)(i % 3), &part, again);
            expect_same_bits(again, all + first * out, counts[i] * out, "rows of linear by themselves");
        }
        free(x), free(weight), free(bias), free(all), free(again);
    }
}

/* ---- attention ---------------------------------------------------------------------------------------------- */

typedef struct attention_case {
    size_t sequences, heads, size;
    const int32_t *offsets;
    const float *qkv;
    float scale;
} attention_case;

static size_t longest_of(const attention_case *c) {
    size_t longest = 0;
    for (size_t s = 0; s < c->sequences; s++) {
        const size_t length = (size_t)(c->offsets[s + 1] - c->offsets[s]);
        if (length > longest) longest = length;
    }
    return longest;
}

/* The first token of each sequence alone, its query in a matrix of another width: what all together gave, to the bit.
 */
static void check_first_only(bench *b, const cei_attention_args *args, const attention_case *c, const float *all) {
    const size_t hidden = c->heads * c->size, stride = hidden + 3;
    float *q = floats(c->sequences * stride, 1), *found = floats(c->sequences * hidden, 1);
    for (size_t s = 0; s < c->sequences; s++)
        if (c->offsets[s] < c->offsets[s + 1])
            memcpy(q + s * stride, c->qkv + (size_t)c->offsets[s] * 3 * hidden, hidden * sizeof *q);
    const cei_slice to = put_result(b, c->sequences * hidden);
    cei_attention_args first = *args;
    first.first_only = true;
    first.q = (cei_strided){put(b, q, ((c->sequences - 1) * stride + hidden) * sizeof *q), stride};
    first.out = to;
    expect_ok(cei_attention(b->stream, &first, &b->error), &b->error);
    get_result(b, to, found, c->sequences * hidden);
    for (size_t s = 0; s < c->sequences; s++) {
        const bool is_empty = c->offsets[s] == c->offsets[s + 1];
        const float *wanted = all + (size_t)c->offsets[s] * hidden;
        for (size_t i = 0; i < hidden && is_empty; i++) assert_true(found[s * hidden + i] == canary);
        if (!is_empty) expect_same_bits(found + s * hidden, wanted, hidden, "attention of the first token alone");
    }
    free(q), free(found);
}

static void run_attention(const tier *of, unsigned threads, const attention_case *c, float *out) {
    const size_t tokens = (size_t)c->offsets[c->sequences], hidden = c->heads * c->size, longest = longest_of(c);
    bench b = bench_open(of, threads, (cei_stream_limits){tokens, longest, c->size, 3 * hidden, false});
    const cei_slice offsets = put(&b, c->offsets, (c->sequences + 1) * sizeof *c->offsets);
    const cei_slice qkv = put(&b, c->qkv, tokens * 3 * hidden * sizeof(float)), to = put_result(&b, tokens * hidden);
    cei_attention_args args = {.tokens = tokens,
                               .sequences = c->sequences,
                               .longest = longest,
                               .offsets = offsets,
                               .heads = c->heads,
                               .head_size = c->size,
                               .scale = c->scale,
                               .out = to};
    cei_attention_take_qkv(&args, qkv);
    expect_ok(cei_attention(b.stream, &args, &b.error), &b.error);
    get_result(&b, to, out, tokens * hidden);
    check_first_only(&b, &args, c, out);
    bench_close(&b);
}

/* One query in double. Rounding moves scores by about size * 2^-24 of their terms, and the mean of values by twice as
 * much of itself. */
static void check_query(const attention_case *c, const float *out, size_t sequence, size_t head, size_t query) {
    const size_t first = (size_t)c->offsets[sequence], length = (size_t)c->offsets[sequence + 1] - first;
    const size_t hidden = c->heads * c->size, stride = 3 * hidden;
    const float *q = c->qkv + (first + query) * stride + head * c->size;
    const float *k = c->qkv + first * stride + hidden + head * c->size, *v = k + hidden;
    double *p = malloc(length * sizeof *p), most = -INFINITY, sum = 0, terms = 0, largest = 0;
    assert_non_null(p);
    for (size_t t = 0; t < length; t++) {
        double score = 0, size = 0;
        for (size_t i = 0; i < c->size; i++) {
            score += (double)q[i] * (double)k[t * stride + i];
            size += fabs((double)q[i] * (double)k[t * stride + i]);
        }
        p[t] = score * (double)c->scale;
        most = fmax(most, p[t]);
        terms = fmax(terms, size * fabs((double)c->scale));
    }
    for (size_t t = 0; t < length; t++) sum += p[t] = exp(p[t] - most);
    for (size_t i = 0; i < c->size; i++) {
        double wanted = 0;
        for (size_t t = 0; t < length; t++) {
            wanted += p[t] / sum * (double)v[t * stride + i];
            largest = fmax(largest, fabs((double)v[t * stride + i]));
        }
        const double steps = ((double)c->size + 8) * terms * 2 + sqrt((double)length) + 20;
        expect_near((double)out[(first + query) * hidden + head * c->size + i], wanted, steps * ldexp(1, -24) * largest,
                    "attention", (first + query) * hidden + head * c->size + i);
    }
    free(p);
}

static void test_attention(void **state) {
    tier_require(*state);
    static const size_t shapes[][2] = {{1, 1},  {3, 5},   {2, 8},  {12, 32}, {1, 33},
                                       {2, 64}, {1, 100}, {3, 17}, {1, 256}, {1, 200}};
    static const int32_t offsets[] = {0, 1, 8, 8, 41, 73, 130, 330, 331};
    enum { SEQUENCES = 8, TOKENS = 331 };
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const size_t hidden = shapes[s][0] * shapes[s][1];
        float *qkv = floats(TOKENS * 3 * hidden, 2), *out = floats(TOKENS * hidden, 1);
        const attention_case c = {SEQUENCES, shapes[s][0], shapes[s][1], offsets, qkv, 1 / sqrtf((float)shapes[s][1])};
        run_attention(*state, 1 + (unsigned)(s % 3), &c, out);
        for (size_t sequence = 0; sequence < SEQUENCES; sequence++)
            for (size_t head = 0; head < c.heads; head++)
                for (int32_t t = 0; t < offsets[sequence + 1] - offsets[sequence]; t++)
                    check_query(&c, out, sequence, head, (size_t)t);
        free(qkv), free(out);
    }
}

/* Scratch memory is bounded: queries go in blocks, keys in several blocks of depth. */
static void test_attention_long(void **state) {
    tier_require(*state);
    enum { LENGTH = 8192, SIZE = 8 };
    const int32_t offsets[] = {0, LENGTH};
    skip_in_emulator(); /* a hundred million exponentials */
    float *qkv = floats(LENGTH * 3 * SIZE, 3), *out = floats(LENGTH * SIZE, 1), *again = floats(LENGTH * SIZE, 1);
    const attention_case c = {1, 1, SIZE, offsets, qkv, 0.4f};
    run_attention(*state, 1, &c, out);
    for (size_t t = 0; t < LENGTH; t += 509) check_query(&c, out, 0, 0, t);
    check_query(&c, out, 0, 0, LENGTH - 1);
    run_attention(*state, 3, &c, again);
    expect_same_bits(again, out, LENGTH * SIZE, "long attention on more threads");
    free(qkv), free(out), free(again);
}

static void test_attention_bits(void **state) {
    tier_require(*state);
    static const int32_t offsets[] = {0, 3, 203, 204, 260, 900};
    enum { SEQUENCES = 5, TOKENS = 900, HEADS = 3, SIZE = 32, HIDDEN = HEADS * SIZE };
    float *qkv = floats(TOKENS * 3 * HIDDEN, 2), *all = floats(TOKENS * HIDDEN, 1), *one = floats(TOKENS * HIDDEN, 1);
    const attention_case c = {SEQUENCES, HEADS, SIZE, offsets, qkv, 0.18f};
    run_attention(*state, 1, &c, all);
    static const unsigned threads[] = {2, 3, 5};
    for (size_t t = 0; t < 3; t++) {
        run_attention(*state, threads[t], &c, one);
        expect_same_bits(one, all, TOKENS * HIDDEN, "attention on more threads");
    }
    for (size_t s = 0; s < SEQUENCES; s++) {
        const int32_t alone[] = {0, offsets[s + 1] - offsets[s]};
        const attention_case part = {1, HEADS, SIZE, alone, qkv + (size_t)offsets[s] * 3 * HIDDEN, c.scale};
        run_attention(*state, 1 + (unsigned)(s % 3), &part, one);
        expect_same_bits(one, all + (size_t)offsets[s] * HIDDEN, (size_t)alone[1] * HIDDEN, "a sequence alone");
    }
    free(qkv), free(all), free(one);
}

/* ---- rows --------------------------------------------------------------------------------------------------- */

/* Every pooling against the reference's formulas, and on one thread to the bit; the gap between rows stays. */
static void test_pool_and_normalize(void **state) {
    tier_require(*state);
    enum { TOKENS = 900, COLUMNS = 77, SEQUENCES = 5, STRIDE = COLUMNS + 3, SPAN = SEQUENCES * STRIDE };
    static const int32_t offsets[] = {0, 1, 1, 4, 300, TOKENS};
    float *x = floats(TOKENS * COLUMNS, 2), out[2][SPAN], wanted[SPAN];
    for (int pooling = 0; pooling < CEI_POOL_COUNT; pooling++) {
        for (unsigned lone = 0; lone < 2; lone++) {
            bench b = bench_open(*state, lone ? 1 : 3, (cei_stream_limits){TOKENS, TOKENS, 1, COLUMNS, false});
            memset(out[lone], 0, sizeof out[lone]);
            const cei_slice to = put(&b, out[lone], sizeof out[lone]), result = put_result(&b, SPAN);
            const cei_pool_args args = {TOKENS,
                                        SEQUENCES,
                                        COLUMNS,
                                        put(&b, x, TOKENS * COLUMNS * sizeof *x),
                                        put(&b, offsets, sizeof offsets),
                                        (cei_pooling)pooling,
                                        1,
                                        {to, STRIDE}};
            expect_ok(cei_pool_rows(b.stream, &args, &b.error), &b.error);
            const cei_normalize_args normalize = {SEQUENCES, STRIDE, to, result};
            expect_ok(cei_read(b.stream, wanted, to, sizeof wanted, &b.error), &b.error);
            memset(out[lone], 0, sizeof out[lone]);
            cei_ref_pool(&args, offsets, x, out[lone]);
            for (size_t i = 0; i < SPAN; i++)
                if (wanted[i] != out[lone][i]) expect_near((double)wanted[i], (double)out[lone][i], 1e-5, "pool", i);
            memcpy(out[lone], wanted, sizeof wanted);
            expect_ok(cei_normalize_rows(b.stream, &normalize, &b.error), &b.error);
            float length[SPAN];
            get_result(&b, result, length, SPAN);
            for (size_t s = 0; s < SEQUENCES; s++)
                cei_ref_normalize_row(wanted + s * STRIDE, STRIDE, wanted + s * STRIDE);
            for (size_t i = 0; i < SPAN; i++)
                if (!isnan(wanted[i])) expect_near((double)length[i], (double)wanted[i], 1e-6, "normalize", i);
            bench_close(&b);
        }
        expect_same_bits(out[0], out[1], SPAN, "pool on more threads");
    }
    free(x);
}

static void test_embed_and_gather(void **state) {
    tier_require(*state);
    enum { TOKENS = 700, COLUMNS = 77, WORDS = 50, POSITIONS = 20, TYPES = 2 };
    float *tables[] = {floats(WORDS * COLUMNS, 1), floats(POSITIONS * COLUMNS, 1), floats(TYPES * COLUMNS, 1)};
    int32_t ids[TOKENS], positions[TOKENS], types[TOKENS], chosen[3] = {TOKENS - 1, 0, 5};
    for (size_t t = 0; t < TOKENS; t++) {
        ids[t] = (int32_t)random_size(0, WORDS - 1);
        positions[t] = (int32_t)random_size(0, POSITIONS - 1);
        types[t] = (int32_t)random_size(0, TYPES - 1);
    }
    bench b = bench_open(*state, 3, (cei_stream_limits){TOKENS, TOKENS, 1, COLUMNS, false});
    const cei_weight word = put_weight(&b, CEI_ROLE_TABLE, WORDS, COLUMNS, tables[0]);
    const cei_weight position = put_weight(&b, CEI_ROLE_TABLE, POSITIONS, COLUMNS, tables[1]);
    const cei_weight type = put_weight(&b, CEI_ROLE_TABLE, TYPES, COLUMNS, tables[2]);
    const cei_slice out = put_result(&b, TOKENS * COLUMNS), rows = put_result(&b, 3 * COLUMNS);
    const cei_embed_args args = {.tokens = TOKENS,
                                 .ids = put(&b, ids, sizeof ids),
                                 .positions = put(&b, positions, sizeof positions),
                                 .types = put(&b, types, sizeof types),
                                 .word = &word,
                                 .position = &position,
                                 .type = &type,
                                 .out = out};
    expect_ok(cei_embed(b.stream, &args, &b.error), &b.error);
    const cei_gather_args gather = {3, COLUMNS, out, put(&b, chosen, sizeof chosen), rows};
    expect_ok(cei_gather(b.stream, &gather, &b.error), &b.error);
    float *found = floats(TOKENS * COLUMNS, 1), picked[3 * COLUMNS];
    get_result(&b, out, found, TOKENS * COLUMNS);
    get_result(&b, rows, picked, 3 * COLUMNS);
    for (size_t t = 0; t < TOKENS; t++)
        for (size_t i = 0; i < COLUMNS; i++) {
            const float w = tables[0][(size_t)ids[t] * COLUMNS + i], p = tables[1][(size_t)positions[t] * COLUMNS + i];
            const float wanted = (w + tables[2][(size_t)types[t] * COLUMNS + i]) + p;
            expect_same_bits(&found[t * COLUMNS + i], &wanted, 1, "embed");
        }
    for (size_t i = 0; i < 3; i++)
        expect_same_bits(picked + i * COLUMNS, found + (size_t)chosen[i] * COLUMNS, COLUMNS, "gather");
    cei_embed_args words = args;
    words.position = words.type = NULL;
    expect_ok(cei_embed(b.stream, &words, &b.error), &b.error);
    get_result(&b, out, found, TOKENS * COLUMNS);
    for (size_t t = 0; t < TOKENS; t++)
        expect_same_bits(found + t * COLUMNS, tables[0] + (size_t)ids[t] * COLUMNS, COLUMNS, "embed without positions");
    bench_close(&b);
    for (size_t i = 0; i < 3; i++) free(tables[i]);
    free(found);
}

static void run_norm(const tier *of, unsigned threads, size_t rows, size_t columns, const float *const values[4],
                     bool in_place, float *y) {
    bench b = bench_open(of, threads, (cei_stream_limits){rows, 1, 1, columns, false});
    const cei_weight gain = put_weight(&b, CEI_ROLE_VECTOR, 1, columns, values[2]);
    const cei_weight bias = put_weight(&b, CEI_ROLE_VECTOR, 1, columns, values[3]);
    const cei_slice x = put(&b, values[0], rows * columns * sizeof(float)), out = put_result(&b, rows * columns);
    const cei_slice residual = put(&b, values[1], rows * columns * sizeof(float));
    const cei_norm_args args = {.rows = rows,
                                .x = x,
                                .residual = &residual,
                                .gain = &gain,
                                .bias = &bias,
                                .epsilon = 1e-12f,
                                .out = in_place ? x : out};
    expect_ok(cei_norm(b.stream, &args, &b.error), &b.error);
    if (in_place)
        expect_ok(cei_read(b.stream, y, x, rows * columns * sizeof *y, &b.error), &b.error);
    else
        get_result(&b, out, y, rows * columns);
    bench_close(&b);
}

/* The kernel's values are tested with the kernels; here the splitting of rows. */
static void test_norm_bits(void **state) {
    tier_require(*state);
    enum { ROWS = 1000, COLUMNS = 387 };
    const float *const values[4] = {floats(ROWS * COLUMNS, 1), floats(ROWS * COLUMNS, 1), floats(COLUMNS, 1),
                                    floats(COLUMNS, 1)};
    float *one = floats(ROWS * COLUMNS, 1), *again = floats(ROWS * COLUMNS, 1);
    run_norm(*state, 1, ROWS, COLUMNS, values, false, one);
    double sum = 0;
    for (size_t i = 0; i < COLUMNS; i++) sum += (double)((one[i] - values[3][i]) / values[2][i]);
    expect_near(sum / COLUMNS, 0, 1e-4, "the mean of a normalized row", 0);
    static const unsigned threads[] = {2, 3, 5};
    for (size_t t = 0; t < 3; t++) {
        run_norm(*state, threads[t], ROWS, COLUMNS, values, t % 2, again);
        expect_same_bits(again, one, ROWS * COLUMNS, "norm on more threads");
    }
    for (size_t i = 0; i < 4; i++) free((void *)(uintptr_t)values[i]);
    free(one), free(again);
}

/* ---- several callers ---------------------------------------------------------------------------------------- */

enum { CALLERS = 3, SHARED_ROWS = 150, SHARED_IN = 96, SHARED_OUT = 288, SHARED_HEADS = 3, CALLS = 8 };

typedef struct caller {
    cei_device *device;
    const cei_weight *weight;
    cei_slice x, offsets;
    float out[SHARED_ROWS * SHARED_IN];
    ce_status status;
    ce_error error;
} caller;

static ce_status call_once(caller *c, cei_stream *stream, cei_buffer *workspace) {
    const cei_slice qkv = {workspace, 0}, mixed = {workspace, SHARED_ROWS * SHARED_OUT * sizeof(float)};
    const cei_linear_args linear = {SHARED_ROWS, c->x, c->weight, NULL, CEI_FN_IDENTITY, qkv, NULL, NULL};
    cei_attention_args attention = {.tokens = SHARED_ROWS,
                                    .sequences = 2,
                                    .longest = SHARED_ROWS,
                                    .offsets = c->offsets,
                                    .heads = SHARED_HEADS,
                                    .head_size = SHARED_IN / SHARED_HEADS,
                                    .scale = 0.2f,
                                    .out = mixed};
    cei_attention_take_qkv(&attention, qkv);
    ce_status status = cei_linear(stream, &linear, &c->error);
    if (status == CE_OK) status = cei_attention(stream, &attention, &c->error);
    if (status == CE_OK) status = cei_read(stream, c->out, mixed, sizeof c->out, &c->error);
    return status;
}

static void *call_often(void *argument) {
    caller *c = argument;
    const cei_stream_limits limits = {SHARED_ROWS, SHARED_ROWS, SHARED_IN, SHARED_OUT, false};
    cei_stream *stream = NULL;
    cei_buffer *workspace = NULL;
    c->status = cei_stream_create(c->device, &limits, &stream, &c->error);
    if (c->status == CE_OK)
        c->status =
            cei_buffer_create(c->device, SHARED_ROWS * (SHARED_OUT + SHARED_IN) * sizeof(float), &workspace, &c->error);
    for (size_t i = 0; i < CALLS && c->status == CE_OK; i++) c->status = call_once(c, stream, workspace);
    cei_buffer_free(workspace);
    cei_stream_free(stream);
    return NULL;
}

/* One device and its pool, a stream for each caller: who finds the pool taken works alone, to the same bits. */
static void test_callers_at_once(void **state) {
    tier_require(*state);
    static const int32_t offsets[] = {0, 40, SHARED_ROWS};
    static caller callers[CALLERS];
    float *x = floats(SHARED_ROWS * SHARED_IN, 1), *values = floats(SHARED_OUT * SHARED_IN, 0.3f);
    bench b = bench_open(*state, 2, (cei_stream_limits){SHARED_ROWS, SHARED_ROWS, SHARED_IN, SHARED_OUT, false});
    const cei_weight weight = put_weight(&b, CEI_ROLE_MATRIX, SHARED_OUT, SHARED_IN, values);
    const cei_slice rows = put(&b, x, SHARED_ROWS * SHARED_IN * sizeof *x), where = put(&b, offsets, sizeof offsets);
    pthread_t threads[CALLERS];
    for (size_t i = 0; i < CALLERS; i++) {
        callers[i] = (caller){.device = b.cpu.device, .weight = &weight, .x = rows, .offsets = where};
        assert_int_equal(pthread_create(&threads[i], NULL, call_often, &callers[i]), 0);
    }
    for (size_t i = 0; i < CALLERS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (size_t i = 0; i < CALLERS; i++) {
        expect_ok(callers[i].status, &callers[i].error);
        expect_same_bits(callers[i].out, callers[0].out, SHARED_ROWS * SHARED_IN, "callers at once");
    }
    bench_close(&b);
    free(x), free(values);
}

/* ---- the device --------------------------------------------------------------------------------------------- */

static void test_supports(void **state) {
    tier_require(*state);
    cpu_device cpu = cpu_open(*state, 1);
    for (int op = 0; op < CEI_OP_COUNT; op++) {
        assert_true(cei_device_supports(cpu.device, (cei_op)op, CE_PRECISION_FLOAT32));
        assert_true(cei_device_supports(cpu.device, (cei_op)op, CE_PRECISION_DEFAULT));
        assert_false(cei_device_supports(cpu.device, (cei_op)op, (ce_precision)99));
    }
    assert_false(cei_device_supports(cpu.device, CEI_OP_COUNT, CE_PRECISION_FLOAT32));
    ce_device_info info;
    ce_error error;
    expect_ok(cei_device_status(cpu.device, &info, &error), &error);
    assert_string_equal(info.id, ((const tier *)*state)->device ? ((const tier *)*state)->device : "cpu");
    assert_true(info.usable && info.float32);
    assert_true(info.memory_free > 0 && info.memory_free <= info.memory_total);
    if (!((const tier *)*state)->device) {
        char features[sizeof info.features];
        cei_cpu_features(&cei_cpu_of(cpu.device)->kernels, features, sizeof features);
        assert_string_equal(info.features, features);
    }
    cpu_close(&cpu);
}

static void test_weight_without_memory(void **state) {
    tier_require(*state);
    bench b = bench_open(*state, 1, (cei_stream_limits){4, 4, 4, 8, false});
    const cei_weight nowhere = {CEI_ROLE_MATRIX, 8, 8, {NULL, 0}, CEI_FORMAT_FLOAT32, false};
    const float values[64] = {0};
    const cei_slice x = put(&b, values, sizeof values), out = put_result(&b, 64);
    const cei_linear_args args = {4, x, &nowhere, NULL, CEI_FN_IDENTITY, out, NULL, NULL};
    expect_status(cei_linear(b.stream, &args, &b.error), CE_ERR_ARGUMENT, &b.error, "without memory");
    expect_status(cei_weight_write(b.cpu.device, &nowhere, 0, 8, values, NULL, &b.error), CE_ERR_ARGUMENT, &b.error,
                  NULL);
    bench_close(&b);
}

int main(void) {
    static const struct {
        const char *name;
        CMUnitTestFunction function;
    } kinds[] = {{"linear", test_linear},
                 {"bits of linear", test_linear_bits},
                 {"attention", test_attention},
                 {"attention over 8192 tokens", test_attention_long},
                 {"bits of attention", test_attention_bits},
                 {"embed and gather", test_embed_and_gather},
                 {"pool and normalize", test_pool_and_normalize},
                 {"bits of norm", test_norm_bits},
                 {"callers at once", test_callers_at_once},
                 {"supports", test_supports},
                 {"weight without memory", test_weight_without_memory}};
#ifdef CE_ON_TIER
    enum { ON = 1 };
    tier *const on = &CE_ON_TIER;
#else
    enum { ON = TIERS };
    tier *const on = tiers;
#endif
    enum { KINDS = sizeof kinds / sizeof *kinds };
    static char names[KINDS * ON][48];
    struct CMUnitTest tests[KINDS * ON];
    for (size_t at = 0; at < KINDS * ON; at++) {
        snprintf(names[at], sizeof names[at], "%s (%s)", kinds[at % KINDS].name, on[at / KINDS].name);
        tests[at] = (struct CMUnitTest){names[at], kinds[at % KINDS].function, NULL, NULL, &on[at / KINDS]};
    }
    cases_seed();
    return cmocka_run_group_tests_name("operations", tests, NULL, tier_teardown);
}
