/* Lists of operations on rows, on every device: what an encoder's layer does between attention and attention, of either
 * kind, must give the bits that its operations give one by one, whatever the rows and threads; and what no device could
 * run some rows at a time is refused before anything runs. */
#include "device/bench.h"

#include "device/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* No multiples of anything; a layer of 400 rows is worth waking threads for. */
enum { HIDDEN = 45, INNER = 71, HEADS = 3, HALF = 5, QKV = 3 * HEADS * 2 * HALF, WIDEST = 2 * INNER, MOST_ROWS = 400 };
_Static_assert(QKV <= WIDEST, "wide is for both");

/* Weights of a layer, and its vectors, one after the other. */
typedef enum part { ATTENTION, UP, DOWN, NEXT, MATRICES } part;
static const size_t shapes[MATRICES][2] = {{HIDDEN, HIDDEN}, {2 * INNER, HIDDEN}, {HIDDEN, INNER}, {QKV, HIDDEN}};

typedef struct layer_case {
    bool is_gated; /* norms come before, and behind each step; heads are normed and turned */
    cei_format format;
    size_t rows;
    float *context, *states, *matrices[MATRICES], *scales[MATRICES], *biases, *angles;
    int32_t positions[MOST_ROWS];
} layer_case;

static size_t matrix_rows(const layer_case *c, part i) { return i == UP && !c->is_gated ? INNER : shapes[i][0]; }

static layer_case make_case(bool is_gated, cei_format format, size_t rows) {
    layer_case c = {.is_gated = is_gated, .format = format, .rows = rows};
    c.context = random_floats(rows * HIDDEN, 1);
    c.states = random_floats(rows * HIDDEN, 1);
    c.biases = random_floats(WIDEST, 1);
    c.angles = random_floats(MOST_ROWS * 2 * HALF, 1);
    for (size_t i = 0; i < MATRICES; i++) {
        c.matrices[i] = random_floats(shapes[i][0] * shapes[i][1], 0.3f);
        c.scales[i] = random_floats(shapes[i][0], 1);
        cei_round_rows(format, c.matrices[i], shapes[i][0], shapes[i][1], c.scales[i]);
    }
    for (size_t i = 0; i < MOST_ROWS; i++) c.positions[i] = (int32_t)(random_bits() % MOST_ROWS);
    return c;
}

static void free_case(layer_case *c) {
    free(c->context), free(c->states), free(c->biases), free(c->angles);
    for (size_t i = 0; i < MATRICES; i++) free(c->matrices[i]), free(c->scales[i]);
}

/* A layer on a device: the list, and what it points to. */
typedef struct layer {
    cei_slice context, states, input, projected, wide, gated, angles, positions;
    cei_weight matrices[MATRICES], gain, bias[MATRICES], head_gain;
    cei_row_op ops[CEI_ROW_OPS];
    size_t count;
} layer;

static void add_linear(layer *l, const layer_case *c, part i, cei_function function, cei_slice x, cei_slice out,
                       bool is_temporary) {
    l->ops[l->count++] = (cei_row_op){
        CEI_OP_LINEAR, is_temporary, {.linear = {c->rows, x, &l->matrices[i], &l->bias[i], function, out, NULL}}};
}

/* The states are added, and keep the sum where norms come before. */
static void add_norm(layer *l, const layer_case *c, bool adds, cei_slice out, bool is_temporary) {
    const cei_norm_args norm = {.rows = c->rows,
                                .x = l->projected,
                                .residual = adds ? &l->states : NULL,
                                .gain = &l->gain,
                                .bias = c->is_gated ? NULL : &l->gain,
                                .epsilon = 1e-5f,
                                .out = out,
                                .sum = adds && c->is_gated ? &l->states : NULL,
                                .rms = c->is_gated};
    l->ops[l->count++] = (cei_row_op){CEI_OP_NORM, is_temporary, {.norm = norm}};
}

/* As a layer of BERT's kind. */
static void list_plain(layer *l, const layer_case *c) {
    add_linear(l, c, ATTENTION, CEI_FN_IDENTITY, l->context, l->projected, true);
    add_norm(l, c, true, l->states, false);
    add_linear(l, c, UP, CEI_FN_GELU, l->states, l->wide, true);
    add_linear(l, c, DOWN, CEI_FN_IDENTITY, l->wide, l->projected, true);
    add_norm(l, c, true, l->states, false);
    add_linear(l, c, NEXT, CEI_FN_IDENTITY, l->states, l->wide, false);
}

/* As one of a decoder. What is gated lies where context was. */
static void list_gated(layer *l, const layer_case *c) {
    const cei_strided a = {l->wide, WIDEST};
    const cei_strided b = {{l->wide.buffer, l->wide.offset + INNER * sizeof(float)}, WIDEST};
    const cei_strided heads = {l->wide, QKV};
    const cei_gate_args gate = {c->rows, INNER, b, a, CEI_FN_SILU, l->gated};
    const cei_head_norm_args head_norm = {c->rows, HEADS, heads, &l->head_gain, 1e-5f, true};
    const cei_rotary_args rotary = {c->rows, 2 * HEADS, HALF, l->positions, l->angles, MOST_ROWS, heads};
    add_linear(l, c, ATTENTION, CEI_FN_IDENTITY, l->context, l->projected, true);
    add_norm(l, c, false, l->projected, true);
    add_norm(l, c, true, l->input, false);
    add_linear(l, c, UP, CEI_FN_IDENTITY, l->input, l->wide, true);
    l->ops[l->count++] = (cei_row_op){CEI_OP_GATE, true, {.gate = gate}};
    add_linear(l, c, DOWN, CEI_FN_TANH, l->gated, l->projected, true);
    add_norm(l, c, false, l->projected, true);
    add_norm(l, c, true, l->input, false);
    add_linear(l, c, NEXT, CEI_FN_IDENTITY, l->input, l->wide, false);
    l->ops[l->count++] = (cei_row_op){CEI_OP_HEAD_NORM, false, {.head_norm = head_norm}};
    l->ops[l->count++] = (cei_row_op){CEI_OP_ROTARY, false, {.rotary = rotary}};
}

static void put_layer(bench *b, const layer_case *c, layer *l) {
    const size_t row = c->rows * sizeof(float);
    *l = (layer){.context = bench_put(b, c->context, row * HIDDEN)};
    l->gated = l->context;
    (void)bench_reserve(b, row * (INNER - HIDDEN)); /* which is wider */
    l->states = bench_put(b, c->states, row * HIDDEN);
    l->input = bench_reserve(b, row * HIDDEN);
    l->projected = bench_reserve(b, row * HIDDEN);
    l->wide = bench_reserve(b, row * WIDEST);
    l->angles = bench_put(b, c->angles, MOST_ROWS * 2 * HALF * sizeof(float));
    l->positions = bench_put(b, c->positions, sizeof c->positions);
    l->gain = bench_put_weight(b, CEI_ROLE_VECTOR, 1, HIDDEN, c->biases);
    l->head_gain = bench_put_weight(b, CEI_ROLE_VECTOR, 1, 2 * HALF, c->biases);
    for (size_t i = 0; i < MATRICES; i++) {
        const size_t rows = matrix_rows(c, (part)i);
        cei_weight *matrix = &l->matrices[i];
        *matrix = (cei_weight){CEI_ROLE_MATRIX, rows, shapes[i][1], {NULL, 0}, c->format, false};
        matrix->at = bench_reserve(b, cei_weight_bytes(b->device, matrix));
        expect_ok(cei_weight_write(b->device, matrix, 0, rows, c->matrices[i], c->scales[i], &b->error), &b->error);
        l->bias[i] = bench_put_weight(b, CEI_ROLE_VECTOR, 1, rows, c->biases);
    }
    (c->is_gated ? list_gated : list_plain)(l, c);
}

enum { RESULTS = 2 * HIDDEN + QKV }; /* of a row */

static ce_status run_singly(bench *b, const cei_row_op *op) {
    switch (op->op) {
    case CEI_OP_LINEAR: return cei_linear(b->stream, &op->of.linear, &b->error);
    case CEI_OP_NORM: return cei_norm(b->stream, &op->of.norm, &b->error);
    case CEI_OP_HEAD_NORM: return cei_norm_heads(b->stream, &op->of.head_norm, &b->error);
    case CEI_OP_ROTARY: return cei_rotate(b->stream, &op->of.rotary, &b->error);
    default: return cei_gate(b->stream, &op->of.gate, &b->error);
    }
}

/* out receives the states, then their norm where norms come before, then what the next layer's first product gives. */
static void run_case(const tier *of, unsigned threads, const layer_case *c, bool as_list, float *out) {
    bench b = bench_open(of, threads, (cei_stream_limits){MOST_ROWS, 1, 2 * HALF, WIDEST, false});
    layer l;
    put_layer(&b, c, &l);
    if (as_list) expect_ok(cei_run_rows(b.stream, l.ops, l.count, &b.error), &b.error);
    for (size_t i = 0; i < l.count && !as_list; i++) expect_ok(run_singly(&b, &l.ops[i]), &b.error);
    bench_get(&b, l.states, out, c->rows * HIDDEN);
    bench_get(&b, c->is_gated ? l.input : l.states, out + c->rows * HIDDEN, c->rows * HIDDEN);
    bench_get(&b, l.wide, out + c->rows * 2 * HIDDEN, c->rows * QKV);
    bench_close(&b);
}

/* Blocks of one row, of all rows, of parts of them on each thread; and rows that are shared out otherwise. */
static const size_t row_counts[] = {1, 25, 31, 40, 64, 129, 200, 333, MOST_ROWS};

static void check_format(const tier *of, bool is_gated, cei_format format) {
    for (size_t i = 0; i < sizeof row_counts / sizeof *row_counts; i++) {
        layer_case c = make_case(is_gated, format, row_counts[i]);
        const size_t count = c.rows * RESULTS;
        float *wanted = random_floats(count, 1), *found = random_floats(count, 1);
        run_case(of, 1, &c, false, wanted);
        for (unsigned threads = 1; threads <= 3; threads++) {
            char what[64];
            snprintf(what, sizeof what, "format %d, %zu rows, %u threads", (int)format, c.rows, threads);
            run_case(of, threads, &c, true, found);
            expect_same_bits(found, wanted, count, what);
            if (of == &reference_tier || of == &simulated_tier) break;
        }
        free(wanted), free(found);
        free_case(&c);
    }
}

static void test_list(void **state) {
    const tier *of = *state;
    if (of != &reference_tier && of != &simulated_tier) tier_require(of);
    for (int format = 0; format < (int)CEI_FORMAT_COUNT; format++) {
        check_format(of, false, (cei_format)format);
        check_format(of, true, (cei_format)format);
    }
}

/* The cpu device keeps what is temporary in scratch memory: many rows go by without a trace of it. */
static void test_temporary(void **state) {
    (void)state;
    static float before[MOST_ROWS * HIDDEN], after[MOST_ROWS * HIDDEN];
    layer_case c = make_case(false, CEI_FORMAT_FLOAT32, MOST_ROWS);
    bench b = bench_open(&tiers[0], 2, (cei_stream_limits){MOST_ROWS, 1, 2 * HALF, WIDEST, false});
    layer l;
    put_layer(&b, &c, &l);
    random_fill(before, MOST_ROWS * HIDDEN, 1);
    expect_ok(cei_write(b.stream, l.projected, before, sizeof before, &b.error), &b.error);
    expect_ok(cei_run_rows(b.stream, l.ops, l.count, &b.error), &b.error);
    bench_get(&b, l.projected, after, MOST_ROWS * HIDDEN);
    expect_same_bits(after, before, MOST_ROWS * HIDDEN, "what a temporary result would have gone to");
    bench_close(&b);
    free_case(&c);
}

/* Of nothing there is nothing to do. */
static void test_no_rows(void **state) {
    (void)state;
    layer_case c = make_case(true, CEI_FORMAT_FLOAT32, 0);
    float none[1] = {0};
    run_case(&tiers[0], 2, &c, true, none);
    bench b = bench_open(&tiers[0], 2, (cei_stream_limits){MOST_ROWS, 1, 2 * HALF, WIDEST, false});
    expect_ok(cei_run_rows(b.stream, NULL, 0, &b.error), &b.error);
    bench_close(&b);
    free_case(&c);
}

/* ---- refusals ----------------------------------------------------------------------------------------------- */

typedef void (*spoil_fn)(layer *l);

static void spoil_rows(layer *l) { l->ops[1].of.norm.rows--; }
static void spoil_kind(layer *l) { l->ops[2].op = CEI_OP_GATHER; }
static void spoil_shape(layer *l) { l->ops[3].of.linear.x.offset = BENCH_SPACE; }
static void spoil_count(layer *l) { l->count = CEI_ROW_OPS + 1; }
static void spoil_out(layer *l) {
    l->ops[1].of.norm.out.offset += sizeof(float) * HIDDEN;
} /* the residual's next row */
static void spoil_kept(layer *l) { l->ops[2].is_temporary = false; } /* wide has other rows behind the next layer's */
static void spoil_part(layer *l) { l->ops[3].of.linear.x.offset += sizeof(float); } /* of wide, and one column more */
/* No fault: nothing reads the context behind its first product. */
static void spoil_nothing(layer *l) { l->ops[3].of.linear.x = l->context, l->ops[2].of.linear.out = l->context; }

static void test_refusals(void **state) {
    static const struct {
        spoil_fn spoil;
        const char *message;
    } kinds[] = {
        {spoil_rows, "not equally many"},       {spoil_kind, "not row by row"},
        {spoil_shape, "outside its buffer"},    {spoil_count, "too many operations"},
        {spoil_out, "in the memory of other"},  {spoil_kept, "in the memory of other"},
        {spoil_part, "in the memory of other"}, {spoil_nothing, NULL},
    };
    (void)state;
    layer_case c = make_case(false, CEI_FORMAT_FLOAT32, 65);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        bench b = bench_open(&simulated_tier, 1, (cei_stream_limits){MOST_ROWS, 1, 2 * HALF, WIDEST, false});
        layer l;
        put_layer(&b, &c, &l);
        kinds[i].spoil(&l);
        const ce_status status = cei_run_rows(b.stream, l.ops, l.count, &b.error);
        assert_int_equal(status, kinds[i].message ? CE_ERR_ARGUMENT : CE_OK);
        if (kinds[i].message) assert_non_null(strstr(b.error.message, kinds[i].message));
        assert_int_equal(cei_sim_count(0).ops[CEI_OP_LINEAR], kinds[i].message ? 0 : 4);
        bench_close(&b);
    }
    free_case(&c);
}

/* An operation that fails ends the list, on a device that runs them one by one. */
static void test_failure(void **state) {
    (void)state;
    layer_case c = make_case(false, CEI_FORMAT_FLOAT32, 3);
    bench b = bench_open(&simulated_tier, 1, (cei_stream_limits){MOST_ROWS, 1, 2 * HALF, WIDEST, false});
    layer l;
    put_layer(&b, &c, &l);
    cei_sim_fail(0, CEI_SIM_OP, 3, CE_ERR_DEVICE_FAULT);
    assert_int_equal(cei_run_rows(b.stream, l.ops, l.count, &b.error), CE_ERR_DEVICE_FAULT);
    assert_int_equal(cei_sim_count(0).calls[CEI_SIM_OP], 3);
    bench_close(&b);
    free_case(&c);
}

/* A weight that is on no device is refused by the cpu before any block begins. */
static void test_unplaced(void **state) {
    (void)state;
    layer_case c = make_case(false, CEI_FORMAT_FLOAT32, MOST_ROWS);
    bench b = bench_open(&tiers[0], 2, (cei_stream_limits){MOST_ROWS, 1, 2 * HALF, WIDEST, false});
    layer l;
    float before[HIDDEN], after[HIDDEN];
    put_layer(&b, &c, &l);
    l.matrices[DOWN].at.buffer = NULL;
    bench_get(&b, l.states, before, HIDDEN);
    assert_int_equal(cei_run_rows(b.stream, l.ops, l.count, &b.error), CE_ERR_ARGUMENT);
    bench_get(&b, l.states, after, HIDDEN);
    expect_same_bits(after, before, HIDDEN, "states of a list that was refused");
    bench_close(&b);
    free_case(&c);
}

int main(void) {
    struct CMUnitTest tests[LOW_TIERS + 8];
    char names[LOW_TIERS][64];
    size_t count = 0;
    cases_seed();
    tests[count++] = (struct CMUnitTest)cmocka_unit_test_prestate(test_list, &reference_tier);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test_prestate(test_list, &simulated_tier);
    for (size_t i = 0; i < LOW_TIERS; i++) {
        snprintf(names[i], sizeof names[i], "test_list, %s", low_tiers[i].name);
        tests[count++] = (struct CMUnitTest){names[i], test_list, NULL, NULL, &low_tiers[i]};
    }
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_temporary);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_no_rows);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_refusals);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_failure);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_unplaced);
    return _cmocka_run_group_tests("rows", tests, count, NULL, NULL);
}
