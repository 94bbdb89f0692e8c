/* What decoders ask of a device beside what rotary encoders do: attention that is causal, whose heads share keys and
 * values, whose scores are capped, of last tokens alone; RMS norms, of rows and of heads; embeddings that are scaled.
 * On every device: bench.h. */
#include "device/attention_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- attention ----------------------------------------------------------------------------------------------- */

static void run_scaled(const tier *of, unsigned threads, const void *argument, float *out) {
    attention_case c = *(const attention_case *)argument;
    c.scale = 0.3f;
    run_attention(of, threads, &c, out);
}

/* A column of a query, by the definition. */
static double value_of(const attention_case *c, size_t s, size_t query, size_t column) {
    const size_t columns = columns_of(c), first = (size_t)c->offsets[s], head = column / c->size;
    const size_t length = (size_t)c->offsets[s + 1] - first, keys = c->heads * c->size;
    const size_t key_head = head / (c->heads / c->key_heads) * c->size, values = keys + c->key_heads * c->size;
    double sum = 0, mixed = 0;
    for (size_t k = 0; k < length; k++) {
        if ((c->causal && k > query) || (c->window && fabs((double)k - (double)query) > (double)c->window)) continue;
        const float *row = c->qkv + (first + k) * columns, *q = c->qkv + (first + query) * columns + head * c->size;
        double score = 0;
        for (size_t i = 0; i < c->size; i++) score += 0.3 * (double)q[i] * (double)row[keys + key_head + i];
        const double weight = exp(c->cap > 0 ? (double)c->cap * tanh(score / (double)c->cap) : score);
        sum += weight;
        mixed += weight * (double)row[values + key_head + column % c->size];
    }
    return mixed / sum;
}

static void check_attention(const void *argument, const float *out) {
    const attention_case *c = argument;
    const size_t hidden = c->heads * c->size;
    for (size_t s = 0; s < c->sequences; s++)
        for (size_t t = 0; t < length_of(c, s); t += random_size(1, 1 + tokens_of(c) / 100))
            for (size_t i = 0; i < hidden; i += c->size - 1) {
                const size_t at = ((size_t)c->offsets[s] + t) * hidden + i;
                expect_near((double)out[at], value_of(c, s, t, i), 1e-5, "attention", at);
            }
}

static void test_attention(void **state) {
    if (*state != &reference_tier) tier_require(*state);
    static const int32_t offsets[] = {0, 1, 8, 8, 41, 84, 130, 330, 331};
    static const attention_case cases[] = {{.heads = 1, .key_heads = 1, .size = 16, .causal = true},
                                           {.heads = 6, .key_heads = 2, .size = 11, .causal = true},
                                           {.heads = 4, .key_heads = 1, .size = 16, .causal = true, .window = 7},
                                           {.heads = 2, .key_heads = 2, .size = 24, .causal = true, .window = 64},
                                           {.heads = 2, .key_heads = 1, .size = 8, .causal = true, .window = 199},
                                           {.heads = 4, .key_heads = 2, .size = 10},
                                           {.heads = 4, .key_heads = 2, .size = 10, .window = 16, .cap = 3},
                                           {.heads = 3, .key_heads = 3, .size = 12, .causal = true, .cap = 0.5f}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        attention_case c = cases[i];
        float *qkv = random_floats(331 * columns_of(&c), 2);
        c.sequences = 8, c.offsets = offsets, c.qkv = qkv;
        expect_everywhere(
            *state, &(op_case){run_scaled, check_attention, &c, 331 * c.heads * c.size, 2e-5, "decoder's attention"});
        free(qkv);
    }
}

/* One sequence with fewer heads than threads, whose blocks see more keys than a product takes at once. */
static void test_long_sequence(void **state) {
    if (*state != &reference_tier) tier_require(*state);
    if (is_emulated()) skip_in_emulator();
    static const int32_t offsets[] = {0, 2000};
    attention_case c = {.sequences = 1, .heads = 2, .key_heads = 1, .size = 8, .causal = true, .offsets = offsets};
    float *qkv = random_floats(2000 * columns_of(&c), 2);
    c.qkv = qkv;
    expect_everywhere(*state, &(op_case){run_scaled, check_attention, &c, 2000 * 16, 2e-5, "a long sequence"});
    free(qkv);
}

/* A sequence gives the same bits alone as among others. */
static void test_alone(void **state) {
    if (*state == &reference_tier) return; /* each query by itself, by its formula */
    tier_require(*state);
    static const int32_t offsets[] = {0, 3, 203, 204, 260, 700};
    attention_case c = {.sequences = 5, .heads = 4, .key_heads = 2, .size = 16, .causal = true, .offsets = offsets};
    enum { HIDDEN = 64 };
    float *qkv = random_floats(700 * columns_of(&c), 2), *all = random_floats(700 * HIDDEN, 1);
    float *one = random_floats(700 * HIDDEN, 1);
    c.qkv = qkv;
    run_scaled(*state, 3, &c, all);
    for (size_t s = 0; s < 5; s++) {
        const int32_t alone[] = {0, offsets[s + 1] - offsets[s]};
        attention_case part = c;
        part.sequences = 1, part.offsets = alone, part.qkv = qkv + (size_t)offsets[s] * columns_of(&c);
        run_scaled(*state, 1 + (unsigned)s % 3, &part, one);
        expect_same_bits(one, all + (size_t)offsets[s] * HIDDEN, (size_t)alone[1] * HIDDEN, "a sequence alone");
    }
    free(qkv), free(all), free(one);
}

/* Keys behind a query's block are not visited: what is not a number there would show. */
static void test_visits(void **state) {
    if (*state != &reference_tier) tier_require(*state);
    static const int32_t offsets[] = {0, 500};
    attention_case c = {.sequences = 1, .heads = 2, .key_heads = 1, .size = 16, .causal = true, .offsets = offsets};
    enum { HIDDEN = 32, CLEAN = 336, BAD = 400 };
    float *qkv = random_floats(500 * columns_of(&c), 2), *wanted = random_floats(500 * HIDDEN, 1);
    float *found = random_floats(500 * HIDDEN, 1);
    c.qkv = qkv;
    run_scaled(*state, 1, &c, wanted);
    for (size_t i = BAD * columns_of(&c); i < 500 * columns_of(&c); i++) qkv[i] = NAN;
    run_scaled(*state, 2, &c, found);
    expect_same_bits(found, wanted, CLEAN * HIDDEN, "queries before what is not a number");
    assert_true(isnan(found[BAD * HIDDEN]));
    free(qkv), free(wanted), free(found);
}

/* ---- norms --------------------------------------------------------------------------------------------------- */

enum { ROWS = 200, HEADS = 3, SIZE = 37, STRIDE = HEADS * SIZE + 11, WORDS = 50, COUNT = ROWS * STRIDE };

typedef struct norm_case {
    int32_t ids[ROWS];
    const float *table, *residual, *gain; /* [WORDS, STRIDE], [ROWS, STRIDE], [STRIDE] */
    bool adds_one;
    float scale;
} norm_case;

/* The scaled embeddings are the norm's x, and the sum takes their place; then heads of the result are normed. out is
 * the sums, then the norm's results, then those of heads. */
static void run_norms(const tier *of, unsigned threads, const void *argument, float *out) {
    const norm_case *c = argument;
    bench b = bench_open(of, threads, (cei_stream_limits){ROWS, 1, 1, STRIDE, false});
    const cei_weight table = bench_put_weight(&b, CEI_ROLE_TABLE, WORDS, STRIDE, c->table);
    const cei_weight gain = bench_put_weight(&b, CEI_ROLE_VECTOR, 1, STRIDE, c->gain);
    const cei_weight head_gain = bench_put_weight(&b, CEI_ROLE_VECTOR, 1, SIZE, c->gain);
    const cei_slice x = bench_reserve(&b, COUNT * sizeof *out), to = bench_reserve(&b, COUNT * sizeof *out);
    const cei_slice residual = bench_put(&b, c->residual, COUNT * sizeof *out);
    const cei_embed_args embed = {
        .tokens = ROWS, .ids = bench_put(&b, c->ids, sizeof c->ids), .word = &table, .scale = c->scale, .out = x};
    const cei_norm_args norm = {.rows = ROWS,
                                .x = x,
                                .residual = &residual,
                                .gain = &gain,
                                .epsilon = 1e-5f,
                                .out = to,
                                .sum = &x,
                                .rms = true,
                                .adds_one = c->adds_one};
    const cei_head_norm_args heads = {ROWS, HEADS, {to, STRIDE}, &head_gain, 1e-3f, c->adds_one};
    expect_ok(cei_embed(b.stream, &embed, &b.error), &b.error);
    expect_ok(cei_norm(b.stream, &norm, &b.error), &b.error);
    bench_get(&b, x, out, COUNT);
    bench_get(&b, to, out + COUNT, COUNT);
    expect_ok(cei_norm_heads(b.stream, &heads, &b.error), &b.error);
    bench_get(&b, to, out + 2 * COUNT, COUNT);
    bench_close(&b);
}

static void check_norm(const norm_case *c, const float *x, size_t columns, double epsilon, const float *out) {
    double squares = 0;
    for (size_t i = 0; i < columns; i++) squares += (double)x[i] * (double)x[i] / (double)columns;
    for (size_t i = 0; i < columns; i++) {
        const double gain = (double)c->gain[i] + (c->adds_one ? 1 : 0);
        expect_near((double)out[i], gain * (double)x[i] / sqrt(squares + epsilon), 2e-6, "RMS norm", i);
    }
}

static void check_norms(const void *argument, const float *out) {
    const norm_case *c = argument;
    for (size_t r = 0; r < ROWS; r++) {
        const float *sum = out + r * STRIDE, *normed = sum + COUNT, *heads = normed + COUNT;
        for (size_t i = 0; i < STRIDE; i++) {
            const float word = c->table[(size_t)c->ids[r] * STRIDE + i];
            const float wanted = (c->scale != 0 ? word * c->scale : word) + c->residual[r * STRIDE + i];
            expect_same_bits(&sum[i], &wanted, 1, "the sum of a norm");
        }
        check_norm(c, sum, STRIDE, 1e-5, normed);
        for (size_t h = 0; h < HEADS; h++) check_norm(c, normed + h * SIZE, SIZE, 1e-3, heads + h * SIZE);
        expect_same_bits(heads + HEADS * SIZE, normed + HEADS * SIZE, STRIDE - HEADS * SIZE,
                         "what is beside the heads");
    }
}

static void test_norms(void **state) {
    if (*state != &reference_tier) tier_require(*state);
    static norm_case c;
    float *values[] = {random_floats(WORDS * STRIDE, 1), random_floats(COUNT, 1), random_floats(STRIDE, 1)};
    for (size_t r = 0; r < ROWS; r++) c.ids[r] = (int32_t)random_size(0, WORDS - 1);
    c.table = values[0], c.residual = values[1], c.gain = values[2];
    for (int i = 0; i < 2; i++) {
        c.adds_one = i > 0, c.scale = i > 0 ? 5.6f : 0.0f;
        expect_everywhere(*state, &(op_case){run_norms, check_norms, &c, 3 * COUNT, 4e-6, "RMS norms"});
    }
    for (size_t i = 0; i < 3; i++) free(values[i]);
}

/* ---- what is refused ----------------------------------------------------------------------------------------- */

#define refused(call) expect_status((call), CE_ERR_ARGUMENT, &b.error, "internal: ")

static void test_refusals(void **state) {
    (void)state;
    bench b = bench_open(&simulated_tier, 1, (cei_stream_limits){8, 8, 8, 24, false});
    static const int32_t offsets[2] = {0, 4};
    float values[128] = {0};
    const cei_slice x = bench_put(&b, values, sizeof values), outside = {b.buffer, BENCH_SPACE - 4};
    const cei_weight gain = bench_put_weight(&b, CEI_ROLE_VECTOR, 1, 4, values);
    const cei_weight table = bench_put_weight(&b, CEI_ROLE_TABLE, 2, 4, values);
    cei_attention_args attention = {.tokens = 4,
                                    .sequences = 1,
                                    .longest = 4,
                                    .offsets = bench_put(&b, offsets, sizeof offsets),
                                    .heads = 4,
                                    .key_heads = 2,
                                    .head_size = 2,
                                    .causal = true,
                                    .scale = 1,
                                    .out = bench_reserve(&b, 64 * sizeof(float))};
    cei_attention_take_qkv(&attention, x);
    expect_ok(cei_attention(b.stream, &attention, &b.error), &b.error);
    cei_attention_args a = attention;
    a.key_heads = 3, refused(cei_attention(b.stream, &a, &b.error));
    a = attention, a.first_only = a.last_only = true, refused(cei_attention(b.stream, &a, &b.error));
    a = attention, a.cap = -1, refused(cei_attention(b.stream, &a, &b.error));
    a = attention, a.k.stride = 3, refused(cei_attention(b.stream, &a, &b.error));
    const cei_attention_relative_args relative = {.attention = attention};
    refused(cei_attention_relative(b.stream, &relative, &b.error));
    const cei_head_norm_args heads = {4, 2, {x, 8}, &gain, 1e-5f, false};
    expect_ok(cei_norm_heads(b.stream, &heads, &b.error), &b.error);
    cei_head_norm_args h = heads;
    h.gain = &table, refused(cei_norm_heads(b.stream, &h, &b.error));
    h = heads, h.heads = SIZE_MAX / 2, refused(cei_norm_heads(b.stream, &h, &b.error));
    h = heads, h.x.stride = 7, refused(cei_norm_heads(b.stream, &h, &b.error));
    h = heads, h.x.at = outside, refused(cei_norm_heads(b.stream, &h, &b.error));
    const cei_norm_args norm = {.rows = 2, .x = x, .gain = &gain, .bias = &gain, .out = x, .rms = true};
    refused(cei_norm(b.stream, &norm, &b.error));
    const cei_norm_args plain = {.rows = 2, .x = x, .gain = &gain, .out = x, .adds_one = true};
    refused(cei_norm(b.stream, &plain, &b.error));
    const cei_embed_args embed = {.tokens = 1,
                                  .ids = attention.offsets,
                                  .types = attention.offsets,
                                  .word = &table,
                                  .type = &table,
                                  .scale = 2,
                                  .out = x};
    refused(cei_embed(b.stream, &embed, &b.error));
    bench_close(&b);
}

int main(void) {
    static const op_kind kinds[] = {{"attention", test_attention},
                                    {"a long sequence", test_long_sequence},
                                    {"alone", test_alone},
                                    {"what is visited", test_visits},
                                    {"norms", test_norms}};
    const struct CMUnitTest refusals = cmocka_unit_test(test_refusals);
    return bench_run("operations of decoders", kinds, sizeof kinds / sizeof *kinds, &refusals);
}
