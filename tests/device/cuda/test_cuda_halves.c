/* Queries, keys and values that a layer hands to attention as halves, on cuda:0 of capability 9.0: the bits are those
 * that float32 between them gives; who is not to read them does not find them; and whole models. */
#include "device/cases.h"
#include "device/cuda/cuda.h"
#include "device/cuda/cuda_cases.h"
#include "device/sim/sim.h"
#include "support/tiny_model.h"

#include <crossenc/crossenc.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { IN = 32, SEQUENCES = 5, TOKENS = 210, MOST = 384 /* columns of queries, keys and values */, FORMATS = 3 };
static const int32_t offsets[SEQUENCES + 1] = {0, 1, 65, 65, 80, TOKENS};
static const cei_format formats[FORMATS] = {CEI_FORMAT_BFLOAT16, CEI_FORMAT_FLOAT16, CEI_FORMAT_INT8};
static const ce_precision precisions[FORMATS] = {CE_PRECISION_BFLOAT16, CE_PRECISION_FLOAT16, CE_PRECISION_INT8};

typedef struct shape {
    size_t heads, key_heads, size, window;
    bool causal, first_only, last_only;
} shape;

typedef struct pair {
    cuda_bench bench;
    cei_weight weight, bias;
    cei_slice x, qkv, out;
    size_t columns;
    cei_linear_args linear;
    cei_attention_args attention;
} pair;

/* Two columns of the values are beyond halves. */
static void pair_open(pair *p, size_t format, shape s) {
    const size_t hidden = s.heads * s.size;
    const cei_format of = formats[format];
    p->columns = hidden + 2 * s.key_heads * s.size;
    assert_true(p->columns <= MOST);
    float *x = floats(TOKENS * IN, 2), *matrix = floats(p->columns * IN, 0.3f), *bias = floats(p->columns, 1);
    float scales[MOST] = {0};
    bias[p->columns - 1] = 1e6f, bias[p->columns - 2] = -1e30f;
    fake_set_capability(9, 0);
    fake_set_processors(s.window ? 100 : 2); /* small blocks make the product, or large ones */
    cei_round_rows(of, matrix, p->columns, IN, scales);
    p->bench = cuda_open((cei_stream_limits){TOKENS, TOKENS, s.size, MOST, false});
    p->weight = cuda_put_weight(&p->bench, CEI_ROLE_MATRIX, of, p->columns, IN, matrix, scales);
    p->bias = cuda_put_weight(&p->bench, CEI_ROLE_VECTOR, CEI_FORMAT_FLOAT32, 1, p->columns, bias, NULL);
    p->x = cuda_put(&p->bench, x, TOKENS * IN * sizeof *x);
    p->qkv = cuda_put_result(&p->bench, TOKENS * p->columns);
    p->out = cuda_put_result(&p->bench, TOKENS * hidden);
    p->linear = (cei_linear_args){TOKENS, p->x, &p->weight, &p->bias, CEI_FN_IDENTITY, p->qkv, NULL, NULL};
    p->attention = (cei_attention_args){.tokens = TOKENS,
                                        .sequences = SEQUENCES,
                                        .longest = TOKENS - 80,
                                        .offsets = cuda_put(&p->bench, offsets, sizeof offsets),
                                        .first_only = s.first_only,
                                        .last_only = s.last_only,
                                        .heads = s.heads,
                                        .head_size = s.size,
                                        .key_heads = s.key_heads,
                                        .window = s.window,
                                        .causal = s.causal,
                                        .scale = 1 / sqrtf((float)s.size),
                                        .out = p->out,
                                        .precision = precisions[format]};
    cei_attention_take_qkv(&p->attention, p->qkv);
    free(x), free(matrix), free(bias);
}

/* The layer, as a list of one, told of attention or not. */
static void run_linear(pair *p, bool tells) {
    cei_row_op op = {CEI_OP_LINEAR, false, {.linear = p->linear}};
    op.of.linear.attention = tells ? &p->attention : NULL;
    expect_ok(cei_run_rows(p->bench.stream, &op, 1, &p->bench.error), &p->bench.error);
}

static size_t results(const pair *p) {
    const size_t rows = cei_attention_asks_one(&p->attention) ? SEQUENCES : TOKENS;
    return rows * p->attention.heads * p->attention.head_size;
}

static void run_attention(pair *p, float *out) {
    expect_ok(cei_attention(p->bench.stream, &p->attention, &p->bench.error), &p->bench.error);
    expect_ok(cei_read(p->bench.stream, out, p->out, results(p) * sizeof *out, &p->bench.error), &p->bench.error);
}

static void expect_nan_or_same_bits(const float *found, const float *wanted, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!isnan(found[i]) || !isnan(wanted[i])) expect_same_bits(found + i, wanted + i, 1, "through halves");
}

/* What the layer left in its results' memory: all of them in float32, or as many halves. */
static bool left_halves(pair *p, const float *wanted) {
    const size_t count = TOKENS * p->columns;
    float *found = floats(count, 1);
    cuda_get_result(&p->bench, p->qkv, found, count);
    const bool is_whole = memcmp(found, wanted, count * sizeof *found) == 0;
    const uint16_t *halves = (const uint16_t *)found;
    for (size_t i = 0; i < count && !is_whole; i++)
        assert_int_equal(halves[i], cei_round_float16(cei_saturate_float16(wanted[i])));
    free(found);
    return !is_whole;
}

static void check_pair(size_t format, shape s) {
    static float wanted[TOKENS * MOST], found[TOKENS * MOST];
    pair p;
    pair_open(&p, format, s);
    float *between = floats(TOKENS * p.columns, 1);
    run_linear(&p, false);
    run_attention(&p, wanted);
    cuda_get_result(&p.bench, p.qkv, between, TOKENS * p.columns);
    run_linear(&p, true);
    run_attention(&p, found);
    expect_nan_or_same_bits(found, wanted, results(&p));
    run_linear(&p, true);
    if (cei_cuda_has_groups(cei_cuda_of(p.bench.device))) assert_true(left_halves(&p, between));
    run_attention(&p, found); /* that the host looks changes nothing */
    expect_nan_or_same_bits(found, wanted, results(&p));
    free(between);
    cuda_close(&p.bench);
}

static void test_shapes(void **state) {
    (void)state;
    static const shape shapes[] = {
        {2, 2, 64, 0, false, false, false},  {3, 3, 16, 0, true, false, false},   {2, 1, 48, 33, true, false, false},
        {4, 2, 32, 20, false, false, false}, {4, 1, 64, 0, true, false, false},   {1, 1, 32, 0, false, true, false},
        {2, 2, 64, 9, false, false, true},   {1, 1, 16, 64, false, false, false}, {2, 2, 48, 0, false, false, false}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (size_t f = 0; f < FORMATS; f++) check_pair(f, shapes[i]);
}

/* Where attention would not round all of a layer's results, or the layer's function is none of the few, float32 is what
 * it leaves. */
static void test_who_gets_float32(void **state) {
    (void)state;
    enum { PLAIN, PRECISION, CAP, NEGATIVE, QUERIES, STRIDE, SHIFT, FEWER, FUNCTION, WAYS };
    static float wanted[TOKENS * MOST], found[TOKENS * MOST];
    for (int way = 0; way < WAYS; way++) {
        pair p;
        pair_open(&p, (size_t)way % FORMATS, (shape){.heads = 2, .key_heads = 2, .size = 32});
        float *between = floats(TOKENS * p.columns, 1);
        cei_attention_args *attention = &p.attention;
        if (way == PRECISION) attention->precision = CE_PRECISION_FLOAT32;
        if (way == CAP) attention->cap = 3;
        if (way == NEGATIVE) attention->scale = -1;
        if (way == QUERIES) attention->q.at = cuda_put(&p.bench, between, TOKENS * p.columns * sizeof *between);
        if (way == STRIDE) attention->tokens /= 2, attention->sequences = 1, attention->q.stride *= 2;
        if (way == SHIFT) attention->k.at.offset -= 4 * sizeof(float);
        if (way == FEWER) p.linear.rows = 80;
        if (way == FUNCTION) p.linear.function = CEI_FN_SILU;
        run_linear(&p, false);
        cuda_get_result(&p.bench, p.qkv, between, TOKENS * p.columns);
        if (way != FEWER) run_attention(&p, wanted);
        run_linear(&p, true);
        if (cei_cuda_has_groups(cei_cuda_of(p.bench.device))) assert_int_equal(left_halves(&p, between), way == PLAIN);
        if (way != FEWER) {
            run_attention(&p, found);
            expect_nan_or_same_bits(found, wanted, results(&p));
        }
        free(between);
        cuda_close(&p.bench);
    }
}

/* What was in float32 again before attention came is read so: written by the host, by the layer untold, and by the
 * layer behind one that failed. */
static void test_forgotten_halves(void **state) {
    (void)state;
    enum { HOST, LAYER, FAILURE, WAYS };
    static float wanted[TOKENS * MOST], found[TOKENS * MOST];
    for (int way = 0; way < WAYS; way++) {
        pair p;
        pair_open(&p, (size_t)way, (shape){.heads = 2, .key_heads = 2, .size = 32});
        float *between = floats(TOKENS * p.columns, 1);
        const size_t bytes = TOKENS * p.columns * sizeof *between;
        if (way != HOST) run_linear(&p, false);
        if (way == HOST) expect_ok(cei_write(p.bench.stream, p.qkv, between, bytes, &p.bench.error), &p.bench.error);
        run_attention(&p, wanted);
        run_linear(&p, true);
        if (way == HOST) expect_ok(cei_write(p.bench.stream, p.qkv, between, bytes, &p.bench.error), &p.bench.error);
        if (way == FAILURE && fake_is_here()) {
            cei_linear_args told = p.linear;
            told.attention = &p.attention;
            fake_fail(FAKE_launch, 2, 701); /* the first rounds what the layer reads */
            expect_status(cei_linear(p.bench.stream, &told, &p.bench.error), CE_ERR_DEVICE_FAULT, &p.bench.error,
                          "701");
        }
        if (way != HOST) run_linear(&p, false);
        run_attention(&p, found);
        expect_nan_or_same_bits(found, wanted, results(&p));
        free(between);
        cuda_close(&p.bench);
    }
}

/* ---- models ---------------------------------------------------------------------------------------------------- */

enum { PAIRS = 5 };

static void score(const char *folder, const char *device, ce_precision precision, float scores[PAIRS]) {
    static const char *const texts[PAIRS] = {"word1 word2", "word3", "a b c 1 2 3", "word4 word5 word6",
                                             "word1 word2 word3 word4 word5 word6 word7 word8 word9 a b c d e f g h"};
    const ce_load_options options = {
        .size = sizeof options, .device = device, .threads = 1, .batch_tokens = 64, .precision = precision};
    ce_pair pairs[PAIRS];
    ce_model *model = NULL;
    ce_error error = {0};
    for (size_t i = 0; i < PAIRS; i++) pairs[i] = (ce_pair){ce_text_of("word7"), ce_text_of(texts[i])};
    expect_ok(ce_model_load(folder, &options, &model, &error), &error);
    expect_ok(ce_predict(model, pairs, PAIRS, NULL, scores, &error), &error);
    ce_model_free(model);
}

/* In front of whose devices sim:0 stands, nobody is told who reads what: all is float32 between operations. */
static void choose_front(bool is_sim) {
    fake_reset();
    fake_set_capability(9, 0);
    if (is_sim) fake_hide();
    cei_sim_reset();
    cei_sim_set_backing(is_sim ? &cei_cuda_driver : NULL);
    cei_sim_set_devices(is_sim);
}

/* Does attention in the model take halves? The scores are those of float32 between operations. */
static void check_model(const char *folder, bool takes) {
    for (size_t i = 0; i < FORMATS; i++) {
        float wanted[PAIRS], found[PAIRS];
        choose_front(true);
        uint64_t before = fake_ran("cei_k_attention_halves");
        score(folder, "sim:0", precisions[i], wanted);
        assert_int_equal(fake_ran("cei_k_attention_halves"), before);
        choose_front(false);
        before = fake_ran("cei_k_attention_halves");
        score(folder, "cuda:0", precisions[i], found);
        assert_int_equal(fake_ran("cei_k_attention_halves") > before, takes);
        expect_same_bits(found, wanted, PAIRS, "told who reads what");
    }
}

static void test_models(void **state) {
    (void)state;
    if (!fake_is_here()) skip();
    tiny_model tiny = tiny_model_default();
    tiny.hidden = 64, tiny.heads = 2, tiny.layers = 3;
    char *folder = tiny_model_folder(&tiny);
    check_model(folder, true);
    test_remove_folder(folder);
    check_model(CE_TEST_DATA "/golden/models/gte-yarn", false); /* positions are rotary */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cuda_test(test_shapes),
        cuda_test(test_who_gets_float32),
        cuda_test(test_forgotten_halves),
        cuda_test(test_models),
    };
    if (!cuda_is_here()) return 77;
    cases_seed();
    return cmocka_run_group_tests_name("halves for attention", tests, NULL, NULL);
}
