/* Attention whose products are bfloat16, on the tiers of the cpu device that have such, emulated ones and those of the
 * processor, and on the reference that rounds as they do. Against double precision, by bounds that follow from the 8
 * bits of bfloat16; on other numbers of threads, alone and for one token, to the bit; in memory between guard pages.
 * Elsewhere, and in float32, it must be that of float32. */
#include "device/attention_run.h"
#include "device/emulated.h"

#include "formats/rounding.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static float *make_qkv(const attention_case *c) {
    float *qkv = random_floats(tokens_of(c) * columns_of(c), 1);
    if (c->is_rounded) cei_round_rows(CEI_FORMAT_BFLOAT16, qkv, 1, tokens_of(c) * columns_of(c), NULL);
    return qkv;
}

/* ---- values -------------------------------------------------------------------------------------------------- */

/* One query's weights, not yet divided by their sum; returns the largest sum of a score's terms. */
static double find_weights(const attention_case *c, size_t s, size_t head, size_t query, double *weights) {
    const float *tokens = c->qkv + (size_t)c->offsets[s] * columns_of(c);
    const float *q = tokens + query * columns_of(c) + head * c->size;
    const float *k = tokens + (c->heads + head / (c->heads / c->key_heads)) * c->size;
    double most = 0;
    for (size_t t = 0; t < length_of(c, s); t++) {
        double score = 0, size = 0;
        weights[t] = 0;
        if ((c->causal && t > query) || (c->window && fabs((double)t - (double)query) > (double)c->window)) continue;
        for (size_t i = 0; i < c->size; i++) {
            const double term = (double)c->scale * (double)q[i] * (double)k[t * columns_of(c) + i];
            score += term;
            size += fabs(term);
        }
        weights[t] = exp(c->cap > 0 ? (double)c->cap * tanh(score / (double)c->cap) : score);
        most = fmax(most, size);
    }
    return most;
}

/* As a share of the largest value. In float32 a score moves by a few units of its size and terms, the mean of values by
 * twice that and their number. Weights that are rounded to 8 bits move the mean by 2^-8 at most; so do values, and a
 * score whose factors are rounded moves by 2^-8 of its terms for each, and its weight and their sum by that power of e.
 */
static double bound_of(const attention_case *c, double terms, size_t length) {
    const double steps = ((double)c->size + 12) * terms * 2 + sqrt((double)length) + 20, bit = ldexp(1, -8);
    const double whole = steps * ldexp(1, -24);
    if (c->precision == CE_PRECISION_FLOAT32) return whole;
    return whole + bit + (c->is_rounded ? 0 : bit * (1 + bit) + expm1(2 * (2 + bit) * bit * terms));
}

static void check_query(const attention_case *c, const float *out, size_t s, size_t head, size_t query) {
    const size_t length = length_of(c, s), first = (size_t)c->offsets[s], hidden = c->heads * c->size;
    const size_t value = c->heads + c->key_heads + head / (c->heads / c->key_heads);
    const float *v = c->qkv + first * columns_of(c) + value * c->size;
    double *weights = malloc(length * sizeof *weights), sum = 0;
    assert_non_null(weights);
    const double terms = find_weights(c, s, head, query, weights);
    for (size_t t = 0; t < length; t++) sum += weights[t];
    for (size_t i = 0; i < c->size; i++) {
        const size_t at = (first + query) * hidden + head * c->size + i;
        double wanted = 0, largest = 0;
        for (size_t t = 0; t < length; t++) {
            wanted += weights[t] / sum * (double)v[t * columns_of(c) + i];
            if (weights[t] > 0) largest = fmax(largest, fabs((double)v[t * columns_of(c) + i]));
        }
        expect_near((double)out[at], wanted, bound_of(c, terms, length) * largest, "attention", at);
    }
    free(weights);
}

static void check_all(const attention_case *c, const float *out, size_t step) {
    for (size_t s = 0; s < c->sequences; s++)
        for (size_t head = 0; head < c->heads; head++)
            for (size_t t = 0; t < length_of(c, s); t += random_size(1, step)) check_query(c, out, s, head, t);
}

/* scale / cap is a power of 2: a rounded query stays one. */
static const attention_case shapes[] = {
    {.heads = 1, .key_heads = 1, .size = 1, .scale = 3},
    {.heads = 3, .key_heads = 3, .size = 5, .scale = 1},
    {.heads = 2, .key_heads = 2, .size = 64, .scale = 0.5f},
    {.heads = 1, .key_heads = 1, .size = 33, .scale = 0.7f},
    {.heads = 1, .key_heads = 1, .size = 100, .scale = 0.3f},
    {.heads = 6, .key_heads = 2, .size = 11, .causal = true, .scale = 1},
    {.heads = 4, .key_heads = 1, .size = 16, .causal = true, .window = 7, .scale = 1},
    {.heads = 2, .key_heads = 2, .size = 24, .window = 64, .scale = 1},
    {.heads = 1, .key_heads = 1, .size = 32, .window = 1, .scale = 1},
    {.heads = 2, .key_heads = 1, .size = 8, .causal = true, .window = 199, .scale = 2},
    {.heads = 4, .key_heads = 2, .size = 10, .window = 16, .scale = 1.5f, .cap = 3},
    {.heads = 3, .key_heads = 3, .size = 32, .scale = 0.5f, .cap = 2},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static const int32_t offsets[] = {0, 1, 8, 8, 41, 73, 130, 330, 331};
enum { SEQUENCES = 8 };

/* Every third shape has values that are rounded on the way. */
static void test_values(void **state) {
    tier_require(*state);
    for (size_t i = 0; i < SHAPES; i++) {
        attention_case c = shapes[i];
        c.sequences = SEQUENCES, c.offsets = offsets, c.is_rounded = i % 3 > 0;
        c.precision = i % 2 ? CE_PRECISION_BFLOAT16 : CE_PRECISION_INT8;
        float *out = random_floats(tokens_of(&c) * c.heads * c.size, 1), *qkv = make_qkv(&c);
        c.qkv = qkv;
        run_attention(*state, 1 + (unsigned)(i % 3), &c, out);
        check_all(&c, out, 5);
        free(qkv), free(out);
    }
}

/* Blocks of the fewest queries, whose scores are the most that a stream plans for, and fewer heads than threads. */
static void test_long(void **state) {
    tier_require(*state);
    enum { LENGTH = 3100, SIZE = 8 };
    static const int32_t one[] = {0, LENGTH};
    attention_case c = {.sequences = 1,
                        .heads = 1,
                        .key_heads = 1,
                        .size = SIZE,
                        .causal = true,
                        .scale = 1,
                        .offsets = one,
                        .precision = CE_PRECISION_BFLOAT16,
                        .is_rounded = true};
    float *qkv = make_qkv(&c), *out = random_floats(LENGTH * SIZE, 1);
    c.qkv = qkv;
    run_attention(*state, 2, &c, out);
    check_all(&c, out, 300);
    free(qkv), free(out);
}

/* ---- bits ---------------------------------------------------------------------------------------------------- */

static void check_bits(const tier *of, const attention_case *c) {
    const size_t hidden = c->heads * c->size, count = tokens_of(c) * hidden;
    float *all = random_floats(count, 1), *again = random_floats(count, 1);
    run_attention(of, 1, c, all);
    for (unsigned threads = 2; threads <= 5; threads += 3) {
        run_attention(of, threads, c, again);
        expect_same_bits(again, all, count, "attention on more threads");
    }
    for (size_t s = 0; s < c->sequences; s++) {
        const int32_t alone[] = {0, (int32_t)length_of(c, s)};
        attention_case part = *c;
        part.sequences = 1, part.offsets = alone, part.qkv = c->qkv + (size_t)c->offsets[s] * columns_of(c);
        if (!length_of(c, s)) continue;
        run_attention(of, 1 + (unsigned)(s % 3), &part, again);
        expect_same_bits(again, all + (size_t)c->offsets[s] * hidden, length_of(c, s) * hidden, "a sequence alone");
    }
    free(all), free(again);
}

static void test_bits(void **state) {
    tier_require(*state);
    static const attention_case cases[] = {
        {.heads = 3, .key_heads = 3, .size = 32, .scale = 1},
        {.heads = 2, .key_heads = 1, .size = 16, .scale = 1, .causal = true},
        {.heads = 2, .key_heads = 2, .size = 20, .scale = 1, .window = 40, .cap = 5},
    };
    static const int32_t lengths[] = {0, 3, 163, 164, 220, 460};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        attention_case c = cases[i];
        c.sequences = 5, c.offsets = lengths, c.precision = CE_PRECISION_BFLOAT16;
        float *qkv = make_qkv(&c);
        c.qkv = qkv;
        check_bits(*state, &c);
        free(qkv);
    }
}

static bool rounds(const tier *of) {
    if (of == &reference_tier) return true;
    cpu_device cpu = cpu_open(of, 1);
    const bool has = cei_device_rounds_attention(cpu.device, CE_PRECISION_BFLOAT16);
    assert_true(cei_device_rounds_attention(cpu.device, CE_PRECISION_INT8) == has);
    assert_true(!cei_device_rounds_attention(cpu.device, CE_PRECISION_FLOAT32));
    assert_true(!cei_device_rounds_attention(cpu.device, CE_PRECISION_DEFAULT));
    cpu_close(&cpu);
    return has;
}

/* The same bits in both low precisions, others in float32; where the tier lacks such products, the same in all. */
static void test_precisions(void **state) {
    tier_require(*state);
    attention_case c = {.sequences = SEQUENCES,
                        .heads = 2,
                        .key_heads = 2,
                        .size = 24,
                        .scale = 1,
                        .offsets = offsets,
                        .precision = CE_PRECISION_FLOAT32};
    enum { COUNT = 331 * 48 };
    float *qkv = make_qkv(&c), *whole = random_floats(COUNT, 1), *half = random_floats(COUNT, 1),
          *byte = random_floats(COUNT, 1);
    c.qkv = qkv;
    run_attention(*state, 2, &c, whole);
    check_all(&c, whole, 5);
    c.precision = CE_PRECISION_DEFAULT;
    run_attention(*state, 1, &c, half);
    expect_same_bits(half, whole, COUNT, "attention in the precision of the default");
    c.precision = CE_PRECISION_BFLOAT16;
    run_attention(*state, 1, &c, half);
    c.precision = CE_PRECISION_INT8;
    run_attention(*state, 1, &c, byte);
    expect_same_bits(byte, half, COUNT, "attention in int8 beside bfloat16");
    assert_true((memcmp(half, whole, COUNT * sizeof *half) == 0) == !rounds(*state));
    free(qkv), free(whole), free(half), free(byte);
}

/* ---- what is rounded ----------------------------------------------------------------------------------------- */

/* Intel's processors without AMX multiply bfloat16 too slowly (features.c). */
static void require_rounding(const tier *of) {
    tier_require(of);
    if (rounds(of)) return;
    print_message("SKIP: this processor's attention is float32\n");
    skip();
}

/* Queries, keys and values: rounded beforehand they give the same bits. */
static void check_rounded(const tier *of, const attention_case *shape) {
    attention_case c = *shape;
    c.sequences = SEQUENCES, c.offsets = offsets, c.precision = CE_PRECISION_INT8;
    const size_t count = tokens_of(&c) * c.heads * c.size;
    float *qkv = make_qkv(&c), *out = random_floats(count, 1), *again = random_floats(count, 1);
    c.qkv = qkv;
    run_attention(of, 1, &c, out);
    cei_round_rows(CEI_FORMAT_BFLOAT16, qkv, 1, tokens_of(&c) * columns_of(&c), NULL);
    run_attention(of, 1, &c, again);
    expect_same_bits(again, out, count, "attention of rounded values");
    free(qkv), free(out), free(again);
}

/* Weights, behind their sum: e = exp(-t) of the second token, beside 1 of the first. */
static void check_weight(const tier *of, float t) {
    static const int32_t two[] = {0, 2};
    const float qkv[] = {1, 0, 0, 1, -t, 1}, e = expf(-t);
    const attention_case c = {.sequences = 1,
                              .heads = 1,
                              .key_heads = 1,
                              .size = 1,
                              .scale = 1,
                              .offsets = two,
                              .qkv = qkv,
                              .precision = CE_PRECISION_BFLOAT16};
    float out[2];
    run_attention(of, 1, &c, out);
    const double wanted = (double)cei_round_bfloat16(e) / (1 + (double)e);
    for (size_t i = 0; i < 2; i++) expect_near((double)out[i], wanted, ldexp(1, -20), "a rounded weight", i);
}

static void test_rounding(void **state) {
    require_rounding(*state);
    for (size_t i = 0; i < SHAPES; i += 3) check_rounded(*state, &shapes[i]);
    check_rounded(*state, &shapes[SHAPES - 1]); /* capped */
    static const float distances[] = {0.25f, 0.5f, 1, 1.5f, 3};
    for (size_t i = 0; i < sizeof distances / sizeof *distances; i++) check_weight(*state, distances[i]);
}

/* ---- memory -------------------------------------------------------------------------------------------------- */

/* What a stream plans for a head is enough, and no more is touched: in panels, and in rows that are rounded. */
static void check_memory(const cei_cpu_kernels *kernels, size_t size, size_t length, guard_side side) {
    const cei_cpu_low *low = &kernels->bfloat16;
    const size_t width = kernels->panel, row = cei_cpu_padded(size), stride = cei_cpu_padded(length), rows = 3;
    const size_t tokens = (length + width - 1) / width * width, columns = (size + width - 1) / width * width;
    const cei_cpu_low_head h = {kernels,
                                size,
                                length,
                                guarded_floats(tokens * cei_cpu_low_depth_floats(low, size), side),
                                guarded_floats(cei_cpu_low_depth_floats(low, length) * columns, side),
                                guarded_floats(width * row, side)};
    const float *k = guarded_floats(length * size, side), *v = guarded_floats(length * size, side);
    float *scores = guarded_floats(rows * stride, side), *out = guarded_floats(rows * size, side);
    float *factors = guarded_floats(rows, side);
    cei_cpu_low_pack_keys(&h, k, size);
    cei_cpu_low_pack_values(&h, v, size);
    random_fill(h.queries, rows * row, 1);
    cei_cpu_low_round_queries(&h, h.queries, row, rows);
    cei_cpu_low_score(&h, rows, 0, length, scores, stride);
    for (size_t t = 0; t < length; t++) /* the last value alone */
        scores[t] = scores[stride + t] = t == length - 1 ? 0 : -200;
    low->weigh(&(cei_cpu_weighing){.scores = scores,
                                   .rows = rows,
                                   .columns = length,
                                   .stride = stride,
                                   .seen = length,
                                   .scale = 1,
                                   .factors = factors});
    factors[2] = 0;
    cei_cpu_low_mix(&h, rows, 0, length, scores, factors, out, size);
    for (size_t i = 0; i < size; i++) {
        float wanted = v[(length - 1) * size + i];
        cei_round_rows(CEI_FORMAT_BFLOAT16, &wanted, 1, 1, NULL);
        assert_true(out[i] == wanted && out[size + i] == wanted && out[2 * size + i] == 0);
    }
    guards_free();
}

static void test_memory(void **state) {
    static const size_t sizes[] = {1, 5, 16, 31, 32, 33, 64, 80}, lengths[] = {1, 2, 15, 31, 32, 33, 64, 131};
    const cei_cpu_kernels kernels = tier_kernels(state);
    require_rounding(*state);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
            check_memory(&kernels, sizes[s], lengths[l], (s + l) % 2 ? GUARD_BEHIND : GUARD_BEFORE);
}

enum { MOST_TESTS = 32 };
static struct CMUnitTest tests[MOST_TESTS];
static char names[MOST_TESTS][80];
static size_t count;

static void add(const char *name, CMUnitTestFunction function, tier *on) {
    assert_true(count < MOST_TESTS);
    snprintf(names[count], sizeof names[count], "%s (%s)", name, on->name);
    tests[count] = (struct CMUnitTest){names[count], function, NULL, guards_teardown, on};
    count++;
}

int main(void) {
    tier *const low[] = {&emulated_tiers[EMULATED_AVX512], &emulated_tiers[EMULATED_AMX], &low_tiers[LOW_BF16],
                         &low_tiers[LOW_AMX]};
    for (size_t i = 0; i < sizeof low / sizeof *low; i++) {
        add("values", test_values, low[i]);
        if (i > 0) add("a long sequence", test_long, low[i]); /* seconds, once emulated is enough */
        add("bits", test_bits, low[i]);
        add("rounding", test_rounding, low[i]);
        add("memory", test_memory, low[i]);
        add("precisions", test_precisions, low[i]);
    }
    add("values", test_values, &reference_tier);
    add("rounding", test_rounding, &reference_tier);
    add("precisions", test_precisions, &reference_tier);
    add("precisions", test_precisions, &low_tiers[LOW_C]);
    add("precisions", test_precisions, &low_tiers[LOW_AVX2]);
    cases_seed();
    return _cmocka_run_group_tests("attention in bfloat16", tests, count, NULL, tier_teardown);
}
