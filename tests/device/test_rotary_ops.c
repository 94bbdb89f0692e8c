/* What encoders with rotary positions ask of a device beside the rest: attention with a window, rotary positions,
 * gates, norms that keep their sum and have no bias, embeddings of words alone. On every device: bench.h. */
#include "device/bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- windows ------------------------------------------------------------------------------------------------- */

typedef struct window_case {
    size_t sequences, heads, size, window;
    const int32_t *offsets;
    const float *qkv;
} window_case;

static size_t tokens_of(const window_case *c) { return (size_t)c->offsets[c->sequences]; }

static size_t longest_of(const window_case *c) {
    size_t longest = 0;
    for (size_t s = 0; s < c->sequences; s++)
        longest = cei_max_size(longest, (size_t)(c->offsets[s + 1] - c->offsets[s]));
    return longest;
}

/* The first tokens alone must come out as they do among all. */
static void check_first_only(bench *b, cei_attention_args args, const window_case *c, const float *all) {
    const size_t hidden = c->heads * c->size;
    float *q = random_floats(c->sequences * hidden, 1), *found = random_floats(c->sequences * hidden, 1);
    for (size_t s = 0; s < c->sequences; s++)
        if (c->offsets[s] < c->offsets[s + 1])
            memcpy(q + s * hidden, c->qkv + (size_t)c->offsets[s] * 3 * hidden, hidden * sizeof *q);
    args.first_only = true;
    args.q = (cei_strided){bench_put(b, q, c->sequences * hidden * sizeof *q), hidden};
    args.out = bench_reserve(b, c->sequences * hidden * sizeof *found);
    expect_ok(cei_attention(b->stream, &args, &b->error), &b->error);
    bench_get(b, args.out, found, c->sequences * hidden);
    for (size_t s = 0; s < c->sequences; s++)
        if (c->offsets[s] < c->offsets[s + 1])
            expect_same_bits(found + s * hidden, all + (size_t)c->offsets[s] * hidden, hidden, "the first token alone");
    free(q), free(found);
}

static void run_window(const tier *of, unsigned threads, const void *argument, float *out) {
    const window_case *c = argument;
    const size_t hidden = c->heads * c->size, tokens = tokens_of(c);
    bench b = bench_open(of, threads, (cei_stream_limits){tokens, longest_of(c), c->size, 3 * hidden, false});
    cei_attention_args args = {.tokens = tokens,
                               .sequences = c->sequences,
                               .longest = longest_of(c),
                               .offsets = bench_put(&b, c->offsets, (c->sequences + 1) * sizeof *c->offsets),
                               .heads = c->heads,
                               .head_size = c->size,
                               .window = c->window,
                               .scale = 0.3f,
                               .out = bench_reserve(&b, tokens * hidden * sizeof *out)};
    cei_attention_take_qkv(&args, bench_put(&b, c->qkv, tokens * 3 * hidden * sizeof *out));
    expect_ok(cei_attention(b.stream, &args, &b.error), &b.error);
    bench_get(&b, args.out, out, tokens * hidden);
    check_first_only(&b, args, c, out);
    bench_close(&b);
}

/* A column of a query: the keys that are not too far away, by the definition. */
static double window_value(const window_case *c, size_t s, size_t query, size_t column) {
    const size_t hidden = c->heads * c->size, first = (size_t)c->offsets[s], head = column / c->size * c->size;
    const size_t length = (size_t)c->offsets[s + 1] - first;
    double sum = 0, mixed = 0;
    for (size_t k = 0; k < length; k++) {
        if (fabs((double)k - (double)query) > (double)c->window) continue;
        double score = 0;
        for (size_t i = head; i < head + c->size; i++)
            score += (double)c->qkv[(first + query) * 3 * hidden + i] *
                     (double)c->qkv[(first + k) * 3 * hidden + hidden + i];
        const double weight = exp(0.3 * score);
        sum += weight;
        mixed += weight * (double)c->qkv[(first + k) * 3 * hidden + 2 * hidden + column];
    }
    return mixed / sum;
}

static void check_window(const void *argument, const float *out) {
    const window_case *c = argument;
    const size_t hidden = c->heads * c->size;
    for (size_t s = 0; s < c->sequences; s++)
        for (size_t t = 0; t < (size_t)(c->offsets[s + 1] - c->offsets[s]); t += random_size(1, 1 + tokens_of(c) / 100))
            for (size_t i = 0; i < hidden; i += c->size - 1) {
                const size_t at = ((size_t)c->offsets[s] + t) * hidden + i;
                expect_near((double)out[at], window_value(c, s, t, i), 1e-5, "window", at);
            }
}

static void test_windows(void **state) {
    if (*state != &reference_tier) tier_require(*state);
    static const int32_t offsets[] = {0, 1, 8, 8, 41, 73, 130, 330, 331};
    static const size_t windows[] = {1, 2, 7, 16, 64, 99, 199, SIZE_MAX};
    for (size_t w = 0; w < sizeof windows / sizeof *windows; w++) {
        const size_t heads = 1 + w % 3, size = w % 2 ? 16 : 11;
        float *qkv = random_floats(331 * 3 * heads * size, 2);
        const window_case c = {8, heads, size, windows[w], offsets, qkv};
        expect_everywhere(*state, &(op_case){run_window, check_window, &c, 331 * heads * size, 2e-5, "window"});
        free(qkv);
    }
}

/* One sequence with fewer heads than threads, whose blocks see more keys than a product takes at once. */
static void test_wide_window(void **state) {
    if (*state != &reference_tier) tier_require(*state);
    if (is_emulated()) skip_in_emulator();
    static const int32_t offsets[] = {0, 3000};
    float *qkv = random_floats(3000 * 3 * 8, 2);
    const window_case c = {1, 1, 8, 700, offsets, qkv};
    expect_everywhere(*state, &(op_case){run_window, check_window, &c, 3000 * 8, 2e-5, "wide window"});
    free(qkv);
}

/* A sequence gives the same bits alone as among others. */
static void test_window_alone(void **state) {
    if (*state == &reference_tier) return; /* each query by itself, by its formula */
    tier_require(*state);
    static const int32_t offsets[] = {0, 3, 203, 204, 260, 700};
    enum { HIDDEN = 48 };
    float *qkv = random_floats(700 * 3 * HIDDEN, 2), *all = random_floats(700 * HIDDEN, 1),
          *one = random_floats(700 * HIDDEN, 1);
    const window_case c = {5, 3, 16, 40, offsets, qkv};
    run_window(*state, 3, &c, all);
    for (size_t s = 0; s < 5; s++) {
        const int32_t alone[] = {0, offsets[s + 1] - offsets[s]};
        const window_case part = {1, 3, 16, 40, alone, qkv + (size_t)offsets[s] * 3 * HIDDEN};
        run_window(*state, 1 + (unsigned)s % 3, &part, one);
        expect_same_bits(one, all + (size_t)offsets[s] * HIDDEN, (size_t)alone[1] * HIDDEN, "a sequence alone");
    }
    free(qkv), free(all), free(one);
}

/* Keys far behind a window are not visited: what is not a number there would show. */
static void test_window_visits(void **state) {
    if (*state != &reference_tier) tier_require(*state);
    static const int32_t offsets[] = {0, 500};
    enum { HIDDEN = 32, CLEAN = 200, BAD = 400 };
    float *qkv = random_floats(500 * 3 * HIDDEN, 2), *wanted = random_floats(500 * HIDDEN, 1),
          *found = random_floats(500 * HIDDEN, 1);
    const window_case c = {1, 2, 16, 20, offsets, qkv};
    run_window(*state, 1, &c, wanted);
    for (size_t i = BAD * 3 * HIDDEN; i < 500 * 3 * HIDDEN; i++) qkv[i] = NAN;
    run_window(*state, 2, &c, found);
    expect_same_bits(found, wanted, CLEAN * HIDDEN, "queries far from what is not a number");
    assert_true(isnan(found[BAD * HIDDEN]));
    free(qkv), free(wanted), free(found);
}

/* ---- rotary positions ---------------------------------------------------------------------------------------- */

enum { ROTARY_ROWS = 300, ROTARY_HEADS = 5, ROTARY_HALF = 21, ROTARY_POSITIONS = 8192, ROTARY_STRIDE = 5 * 42 + 9 };

typedef struct rotary_case {
    float frequencies[ROTARY_HALF];
    int32_t positions[ROTARY_ROWS];
    const float *x; /* [ROTARY_ROWS, ROTARY_STRIDE] */
} rotary_case;

static void run_rotary(const tier *of, unsigned threads, const void *argument, float *out) {
    const rotary_case *c = argument;
    bench b =
        bench_open(of, threads, (cei_stream_limits){ROTARY_ROWS, ROTARY_ROWS, 2 * ROTARY_HALF, ROTARY_STRIDE, false});
    const cei_slice x = bench_put(&b, c->x, ROTARY_ROWS * ROTARY_STRIDE * sizeof *c->x);
    const cei_slice angles = bench_reserve(&b, ROTARY_POSITIONS * 2 * ROTARY_HALF * sizeof(float));
    const cei_angles_args make = {ROTARY_POSITIONS, ROTARY_HALF, c->frequencies, angles};
    const cei_rotary_args turn = {
        ROTARY_ROWS, ROTARY_HEADS,     ROTARY_HALF,       bench_put(&b, c->positions, sizeof c->positions),
        angles,      ROTARY_POSITIONS, {x, ROTARY_STRIDE}};
    expect_ok(cei_angles(b.stream, &make, &b.error), &b.error);
    expect_ok(cei_rotate(b.stream, &turn, &b.error), &b.error);
    bench_get(&b, x, out, ROTARY_ROWS * ROTARY_STRIDE);
    bench_close(&b);
}

static void check_rotary(const void *argument, const float *out) {
    const rotary_case *c = argument;
    for (size_t r = 0; r < ROTARY_ROWS; r++)
        for (size_t i = 0; i < ROTARY_STRIDE; i++) {
            const size_t at = r * ROTARY_STRIDE + i, column = i % (2 * ROTARY_HALF), pair = column % ROTARY_HALF;
            if (i >= ROTARY_HEADS * 2 * ROTARY_HALF) {
                expect_same_bits(&out[at], &c->x[at], 1, "what is beside the heads");
                continue;
            }
            const float angle = (float)c->positions[r] * c->frequencies[pair];
            const double other =
                column < ROTARY_HALF ? -(double)c->x[at + ROTARY_HALF] : (double)c->x[at - ROTARY_HALF];
            const double wanted = (double)c->x[at] * cos((double)angle) + other * sin((double)angle);
            expect_near((double)out[at], wanted, 4e-7, "rotary", at);
        }
}

static void test_rotary(void **state) {
    if (*state != &reference_tier) tier_require(*state);
    static rotary_case c;
    float *x = random_floats(ROTARY_ROWS * ROTARY_STRIDE, 2);
    for (size_t i = 0; i < ROTARY_HALF; i++) c.frequencies[i] = powf(1e4f, -(float)i / ROTARY_HALF);
    for (size_t r = 0; r < ROTARY_ROWS; r++) c.positions[r] = (int32_t)random_size(0, ROTARY_POSITIONS - 1);
    c.positions[0] = 0, c.positions[1] = ROTARY_POSITIONS - 1;
    c.x = x;
    expect_everywhere(*state, &(op_case){run_rotary, check_rotary, &c, ROTARY_ROWS * ROTARY_STRIDE, 1e-6, "rotary"});
    free(x);
}

/* ---- gates --------------------------------------------------------------------------------------------------- */

enum { GATE_ROWS = 333, GATE_COLUMNS = 77, GATE_STRIDE = 2 * GATE_COLUMNS + 5 };

typedef struct gate_case {
    cei_function function;
    const float *x; /* [GATE_ROWS, GATE_STRIDE] */
} gate_case;

static void run_gate(const tier *of, unsigned threads, const void *argument, float *out) {
    const gate_case *c = argument;
    bench b = bench_open(of, threads, (cei_stream_limits){GATE_ROWS, 1, 1, GATE_STRIDE, false});
    const cei_slice x = bench_put(&b, c->x, GATE_ROWS * GATE_STRIDE * sizeof *c->x);
    const cei_slice half = {x.buffer, x.offset + GATE_COLUMNS * sizeof(float)};
    const cei_slice to = bench_reserve(&b, GATE_ROWS * GATE_COLUMNS * sizeof *out);
    const cei_gate_args args = {GATE_ROWS, GATE_COLUMNS, {x, GATE_STRIDE}, {half, GATE_STRIDE}, c->function, to};
    expect_ok(cei_gate(b.stream, &args, &b.error), &b.error);
    bench_get(&b, to, out, GATE_ROWS * GATE_COLUMNS);
    bench_close(&b);
}

static void check_gate(const void *argument, const float *out) {
    const gate_case *c = argument;
    for (size_t r = 0; r < GATE_ROWS; r++)
        for (size_t i = 0; i < GATE_COLUMNS; i++) {
            const float *row = c->x + r * GATE_STRIDE;
            const double wanted = exact_function(c->function, (double)row[i]) * (double)row[GATE_COLUMNS + i];
            expect_near((double)out[r * GATE_COLUMNS + i], wanted, 2e-6, "gate", r * GATE_COLUMNS + i);
        }
}

static void test_gate(void **state) {
    if (*state != &reference_tier) tier_require(*state);
    float *x = random_floats(GATE_ROWS * GATE_STRIDE, 4);
    for (int f = 0; f < CEI_FN_COUNT; f++) {
        const gate_case c = {(cei_function)f, x};
        expect_everywhere(*state, &(op_case){run_gate, check_gate, &c, GATE_ROWS * GATE_COLUMNS, 2e-6, "gate"});
    }
    free(x);
}

/* ---- embeddings of words alone, norms that keep their sum ------------------------------------------------------ */

enum { NORM_ROWS = 400, NORM_COLUMNS = 93, NORM_WORDS = 50, NORM_COUNT = NORM_ROWS * NORM_COLUMNS };

typedef struct norm_case {
    int32_t ids[NORM_ROWS];
    const float *table, *residual, *gain;
} norm_case;

/* The embeddings are the norm's x, and the sum takes their place; out is the norm's results, then the sums. */
static void run_sum(const tier *of, unsigned threads, const void *argument, float *out) {
    const norm_case *c = argument;
    bench b = bench_open(of, threads, (cei_stream_limits){NORM_ROWS, 1, 1, NORM_COLUMNS, false});
    const cei_weight table = bench_put_weight(&b, CEI_ROLE_TABLE, NORM_WORDS, NORM_COLUMNS, c->table);
    const cei_weight gain = bench_put_weight(&b, CEI_ROLE_VECTOR, 1, NORM_COLUMNS, c->gain);
    const cei_slice x = bench_reserve(&b, NORM_COUNT * sizeof *out), to = bench_reserve(&b, NORM_COUNT * sizeof *out);
    const cei_slice residual = bench_put(&b, c->residual, NORM_COUNT * sizeof *out);
    const cei_embed_args embed = {
        .tokens = NORM_ROWS, .ids = bench_put(&b, c->ids, sizeof c->ids), .word = &table, .out = x};
    const cei_norm_args norm = {
        .rows = NORM_ROWS, .x = x, .residual = &residual, .gain = &gain, .epsilon = 1e-5f, .out = to, .sum = &x};
    expect_ok(cei_embed(b.stream, &embed, &b.error), &b.error);
    expect_ok(cei_norm(b.stream, &norm, &b.error), &b.error);
    bench_get(&b, to, out, NORM_COUNT);
    bench_get(&b, x, out + NORM_COUNT, NORM_COUNT);
    bench_close(&b);
}

static void check_sum(const void *argument, const float *out) {
    const norm_case *c = argument;
    for (size_t r = 0; r < NORM_ROWS; r++) {
        const float *sum = out + NORM_COUNT + r * NORM_COLUMNS;
        double mean = 0, variance = 0;
        for (size_t i = 0; i < NORM_COLUMNS; i++) {
            const float wanted = c->table[(size_t)c->ids[r] * NORM_COLUMNS + i] + c->residual[r * NORM_COLUMNS + i];
            expect_same_bits(&sum[i], &wanted, 1, "the sum of a norm");
            mean += (double)sum[i] / NORM_COLUMNS;
        }
        for (size_t i = 0; i < NORM_COLUMNS; i++) variance += pow((double)sum[i] - mean, 2) / NORM_COLUMNS;
        for (size_t i = 0; i < NORM_COLUMNS; i++)
            expect_near((double)out[r * NORM_COLUMNS + i],
                        (double)c->gain[i] * ((double)sum[i] - mean) / sqrt(variance + 1e-5), 2e-6, "norm", i);
    }
}

static void test_sums(void **state) {
    if (*state != &reference_tier) tier_require(*state);
    static norm_case c;
    float *values[] = {random_floats(NORM_WORDS * NORM_COLUMNS, 1), random_floats(NORM_COUNT, 1),
                       random_floats(NORM_COLUMNS, 1)};
    for (size_t r = 0; r < NORM_ROWS; r++) c.ids[r] = (int32_t)random_size(0, NORM_WORDS - 1);
    c.table = values[0], c.residual = values[1], c.gain = values[2];
    expect_everywhere(*state, &(op_case){run_sum, check_sum, &c, 2 * NORM_COUNT, 2e-6, "norm and sum"});
    for (size_t i = 0; i < 3; i++) free(values[i]);
}

/* ---- what is refused ----------------------------------------------------------------------------------------- */

#define refused(call) expect_status((call), CE_ERR_ARGUMENT, &b.error, "internal: ")

static void test_refusals(void **state) {
    (void)state;
    bench b = bench_open(&simulated_tier, 1, (cei_stream_limits){8, 8, 8, 8, false});
    static const float frequencies[4] = {1, 0.5f, 0.25f, 0.125f};
    static const int32_t positions[2] = {0, 3}, beyond[2] = {0, 4}, below[2] = {-1, 0};
    float values[64] = {0};
    const cei_slice x = bench_put(&b, values, sizeof values), at = bench_put(&b, positions, sizeof positions);
    const cei_slice angles = bench_reserve(&b, 4 * 8 * sizeof(float)), outside = {b.buffer, BENCH_SPACE - 4};
    const cei_angles_args make = {4, 4, frequencies, angles};
    const cei_rotary_args turn = {2, 2, 4, at, angles, 4, {x, 16}};
    const cei_gate_args gate = {2, 4, {x, 8}, {x, 8}, CEI_FN_GELU, angles};
    expect_ok(cei_angles(b.stream, &make, &b.error), &b.error);
    expect_ok(cei_rotate(b.stream, &turn, &b.error), &b.error);
    expect_ok(cei_gate(b.stream, &gate, &b.error), &b.error);
    cei_angles_args m = make;
    m.half = 5, refused(cei_angles(b.stream, &m, &b.error));
    m.half = SIZE_MAX, refused(cei_angles(b.stream, &m, &b.error));
    m = make, m.count = SIZE_MAX / 2, refused(cei_angles(b.stream, &m, &b.error));
    m = make, m.out = outside, refused(cei_angles(b.stream, &m, &b.error));
    cei_rotary_args t = turn;
    t.half = 5, refused(cei_rotate(b.stream, &t, &b.error));
    t = turn, t.heads = SIZE_MAX / 2, refused(cei_rotate(b.stream, &t, &b.error));
    t = turn, t.x.stride = 15, refused(cei_rotate(b.stream, &t, &b.error));
    t = turn, t.x.at = outside, refused(cei_rotate(b.stream, &t, &b.error));
    t = turn, t.positions = outside, refused(cei_rotate(b.stream, &t, &b.error));
    t = turn, t.angles = outside, refused(cei_rotate(b.stream, &t, &b.error));
    t = turn, t.positions = bench_put(&b, beyond, sizeof beyond);
    expect_status(cei_rotate(b.stream, &t, &b.error), CE_ERR_DEVICE_FAULT, &b.error, "rotary");
    t.positions = bench_put(&b, below, sizeof below);
    expect_status(cei_rotate(b.stream, &t, &b.error), CE_ERR_DEVICE_FAULT, &b.error, "rotary");
    cei_gate_args g = gate;
    g.function = CEI_FN_COUNT, refused(cei_gate(b.stream, &g, &b.error));
    g = gate, g.a.stride = 3, refused(cei_gate(b.stream, &g, &b.error));
    g = gate, g.b.at = outside, refused(cei_gate(b.stream, &g, &b.error));
    g = gate, g.out = outside, refused(cei_gate(b.stream, &g, &b.error));
    bench_close(&b);
}

int main(void) {
    static const op_kind kinds[] = {{"windows", test_windows},
                                    {"wide window", test_wide_window},
                                    {"window alone", test_window_alone},
                                    {"what a window visits", test_window_visits},
                                    {"rotary", test_rotary},
                                    {"gate", test_gate},
                                    {"sums", test_sums}};
    const struct CMUnitTest refusals = cmocka_unit_test(test_refusals);
    return bench_run("operations of rotary encoders", kinds, sizeof kinds / sizeof *kinds, &refusals);
}
