/* Attention in which distances count, on each device: against double precision; on other numbers of threads, alone, in
 * batches and for first tokens, to the bit; and what is refused. Compiled with CE_ON_TIER, on that alone. */
#include "device/cases.h"
#include "device/ref/ref.h"
#include "device/sim/sim.h"

#if defined(__x86_64__) && !defined(CE_ON_TIER)
#include "device/emulated.h"
#endif

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS = 1, QUERIES = 2, BIAS = 4 };

/* A problem, and its inputs in host memory. */
typedef struct problem {
    size_t sequences, heads, size, longest;
    const int32_t *offsets;
    unsigned parts; /* of KEYS, QUERIES, BIAS */
    size_t rows;    /* of distances, of a head */
    float scale;
    bool is_low;             /* is attention in bfloat16? Then qkv is rounded so */
    const float *qkv;        /* [tokens, 3 heads size] */
    const float *weights[3]; /* [heads * rows, size], the same, [heads * rows] */
} problem;

static size_t tokens_of(const problem *p) { return (size_t)p->offsets[p->sequences]; }
static size_t hidden_of(const problem *p) { return p->heads * p->size; }

/* The row of a distance: all near ones have their own, every third of those farther away, and the last two go on for
 * ever; keys' first row is another than queries', so that they cannot stand in for each other. */
static int32_t place_of(const problem *p, unsigned part, ptrdiff_t distance) {
    const ptrdiff_t near = 40, far = (distance < 0 ? -distance : distance) - near;
    const ptrdiff_t most = (ptrdiff_t)p->rows / 2 - 4, middle = (ptrdiff_t)p->rows / 2 - (part == KEYS);
    ptrdiff_t size = far > 0 ? near + far / 3 : near + far;
    if (size > most) size = most;
    return (int32_t)(middle + (distance < 0 ? -size : size));
}

static problem make_problem(size_t heads, size_t size, const int32_t *offsets, size_t sequences, unsigned parts) {
    problem p = {.sequences = sequences, .heads = heads, .size = size, .offsets = offsets, .parts = parts, .rows = 160};
    for (size_t s = 0; s < sequences; s++) {
        const size_t length = (size_t)(offsets[s + 1] - offsets[s]);
        if (length > p.longest) p.longest = length;
    }
    p.scale = 0.6f / sqrtf((float)size);
    p.qkv = floats(tokens_of(&p) * 3 * hidden_of(&p), 2);
    for (size_t i = 0; i < 3; i++) p.weights[i] = floats(heads * p.rows * (i < 2 ? size : 1), 2);
    return p;
}

/* The same in bfloat16. */
static problem make_low(size_t heads, size_t size, const int32_t *offsets, size_t sequences, unsigned parts) {
    problem p = make_problem(heads, size, offsets, sequences, parts);
    p.is_low = true;
    cei_round_rows(CEI_FORMAT_BFLOAT16, (float *)(uintptr_t)p.qkv, 1, tokens_of(&p) * 3 * hidden_of(&p), NULL);
    return p;
}

static void free_problem(problem *p) {
    free((void *)(uintptr_t)p->qkv);
    for (size_t i = 0; i < 3; i++) free((void *)(uintptr_t)p->weights[i]);
}

/* ---- running ------------------------------------------------------------------------------------------------- */

typedef struct bench {
    cei_device *device;
    cei_stream *stream;
    cei_buffer *buffers[16];
    size_t count;
    cei_weight weights[3];
    cei_attention_relative_args args;
    ce_error error;
} bench;

static cei_slice reserve(bench *b, size_t bytes) {
    assert_true(b->count < sizeof b->buffers / sizeof *b->buffers);
    cei_buffer **buffer = &b->buffers[b->count++];
    expect_ok(cei_buffer_create(b->device, bytes, buffer, &b->error), &b->error);
    return (cei_slice){*buffer, 0};
}

static cei_slice put(bench *b, const void *from, size_t bytes) {
    const cei_slice slice = reserve(b, bytes);
    expect_ok(cei_write(b->stream, slice, from, bytes, &b->error), &b->error);
    return slice;
}

static cei_distances put_distances(bench *b, const problem *p, size_t index) {
    const unsigned part = 1u << index;
    if (!(p->parts & part)) return (cei_distances){0};
    cei_weight *weight = &b->weights[index];
    *weight = (cei_weight){.role = part == BIAS ? CEI_ROLE_TABLE : CEI_ROLE_MATRIX,
                           .rows = p->heads * p->rows,
                           .columns = part == BIAS ? 1 : p->size};
    weight->at = reserve(b, cei_weight_bytes(b->device, weight));
    expect_ok(cei_weight_write(b->device, weight, 0, weight->rows, p->weights[index], NULL, &b->error), &b->error);
    int32_t *places = calloc(2 * p->longest, sizeof *places);
    assert_non_null(places);
    for (size_t i = 0; i + 1 < 2 * p->longest; i++)
        places[i] = place_of(p, part, (ptrdiff_t)i - (ptrdiff_t)p->longest + 1);
    const cei_slice at = put(b, places, 2 * p->longest * sizeof *places);
    free(places);
    return (cei_distances){weight, at, p->rows};
}

static void bench_open(bench *b, cei_device *device, const problem *p) {
    *b = (bench){.device = device};
    const cei_stream_limits limits = {tokens_of(p), p->longest, p->size, 3 * hidden_of(p), false};
    expect_ok(cei_stream_create(device, &limits, &b->stream, &b->error), &b->error);
    cei_attention_args args = {.tokens = tokens_of(p),
                               .sequences = p->sequences,
                               .longest = p->longest,
                               .offsets = put(b, p->offsets, (p->sequences + 1) * sizeof *p->offsets),
                               .heads = p->heads,
                               .head_size = p->size,
                               .scale = p->scale,
                               .out = reserve(b, tokens_of(p) * hidden_of(p) * sizeof(float)),
                               .precision = p->is_low ? CE_PRECISION_BFLOAT16 : CE_PRECISION_FLOAT32};
    cei_attention_take_qkv(&args, put(b, p->qkv, tokens_of(p) * 3 * hidden_of(p) * sizeof(float)));
    const cei_distances keys = put_distances(b, p, 0), queries = put_distances(b, p, 1);
    b->args = (cei_attention_relative_args){args, keys, queries, put_distances(b, p, 2)};
}

static void bench_close(bench *b) {
    for (size_t i = 0; i < b->count; i++) cei_buffer_free(b->buffers[i]);
    cei_stream_free(b->stream);
}

static void run(cei_device *device, const problem *p, float *out) {
    bench b;
    bench_open(&b, device, p);
    expect_ok(cei_attention_relative(b.stream, &b.args, &b.error), &b.error);
    expect_ok(cei_read(b.stream, out, b.args.attention.out, tokens_of(p) * hidden_of(p) * sizeof *out, &b.error),
              &b.error);
    bench_close(&b);
}

static void run_on(const tier *of, unsigned threads, const problem *p, float *out) {
    cpu_device cpu = cpu_open(of, threads);
    run(cpu.device, p, out);
    cpu_close(&cpu);
}

/* ---- values -------------------------------------------------------------------------------------------------- */

static double dot(const float *a, const float *b, size_t count, double *size) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += (double)a[i] * (double)b[i];
        *size += fabs((double)a[i] * (double)b[i]);
    }
    return sum;
}

/* What query i and key j of a sequence have as their score; *size is the sum of its terms' sizes. */
static double exact_score(const problem *p, const float *tokens, size_t head, size_t i, size_t j, double *size) {
    const size_t stride = 3 * hidden_of(p);
    const float *q = tokens + i * stride + head * p->size, *k = tokens + j * stride + hidden_of(p) + head * p->size;
    const ptrdiff_t distance = (ptrdiff_t)j - (ptrdiff_t)i;
    const size_t rows = head * p->rows;
    *size = 0;
    double score = dot(q, k, p->size, size);
    if (p->parts & KEYS)
        score += dot(q, p->weights[0] + (rows + (size_t)place_of(p, KEYS, distance)) * p->size, p->size, size);
    if (p->parts & QUERIES)
        score += dot(k, p->weights[1] + (rows + (size_t)place_of(p, QUERIES, -distance)) * p->size, p->size, size);
    if (p->parts & BIAS) score += (double)p->weights[2][rows + (size_t)place_of(p, BIAS, distance)];
    *size *= (double)p->scale;
    return score * (double)p->scale;
}

/* Rounding moves scores by about size * 2^-24 of their terms, and the mean of values by twice as much of itself;
 * weights that are rounded to bfloat16 move it by 2^-8. */
static void check_query(const problem *p, const float *out, size_t s, size_t head, size_t i) {
    const size_t first = (size_t)p->offsets[s], length = (size_t)p->offsets[s + 1] - first;
    const size_t hidden = hidden_of(p), stride = 3 * hidden;
    const float *tokens = p->qkv + first * stride, *v = tokens + 2 * hidden + head * p->size;
    double *weight = calloc(length, sizeof *weight), most = -INFINITY, sum = 0, terms = 0, largest = 0;
    assert_non_null(weight);
    for (size_t j = 0; j < length; j++) {
        double size;
        weight[j] = exact_score(p, tokens, head, i, j, &size);
        most = fmax(most, weight[j]);
        terms = fmax(terms, size);
    }
    for (size_t j = 0; j < length; j++) sum += weight[j] = exp(weight[j] - most);
    for (size_t c = 0; c < p->size; c++) {
        double wanted = 0;
        for (size_t j = 0; j < length; j++) {
            wanted += weight[j] / sum * (double)v[j * stride + c];
            largest = fmax(largest, fabs((double)v[j * stride + c]));
        }
        const double steps = ((double)p->size + 12) * terms * 2 + sqrt((double)length) + 20;
        const double bound = steps * ldexp(1, -24) + (p->is_low ? ldexp(1, -8) : 0);
        expect_near((double)out[(first + i) * hidden + head * p->size + c], wanted, bound * largest,
                    "relative attention", (first + i) * hidden + head * p->size + c);
    }
    free(weight);
}

static void check_all(const problem *p, const float *out, size_t step) {
    for (size_t s = 0; s < p->sequences; s++)
        for (size_t head = 0; head < p->heads; head++)
            for (size_t i = 0; i < (size_t)(p->offsets[s + 1] - p->offsets[s]); i += step)
                check_query(p, out, s, head, i);
}

static const int32_t lengths[] = {0, 1, 8, 8, 41, 73, 98, 298, 299};
enum { SEQUENCES = 8 };

static void test_reference(void **state) {
    (void)state;
    for (unsigned i = 0; i < 16; i++) {
        problem p = (i < 8 ? make_problem : make_low)(2, 5, lengths, SEQUENCES, i % 8);
        float *out = floats(tokens_of(&p) * hidden_of(&p), 1);
        cei_device *device = NULL;
        ce_error error;
        expect_ok(cei_ref_open(NULL, &device, &error), &error);
        cei_ref_round_attention(device, p.is_low);
        run(device, &p, out);
        cei_device_close(device);
        check_all(&p, out, 1);
        free(out);
        free_problem(&p);
    }
}

static void test_values(void **state) {
    tier_require(*state);
    static const struct {
        size_t heads, size;
        unsigned parts;
    } shapes[] = {
        {1, 1, KEYS},  {3, 5, QUERIES}, {2, 8, KEYS | QUERIES}, {2, 64, KEYS | QUERIES}, {1, 33, KEYS | QUERIES | BIAS},
        {3, 17, BIAS}, {1, 20, 0}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        problem p = make_problem(shapes[i].heads, shapes[i].size, lengths, SEQUENCES, shapes[i].parts);
        float *out = floats(tokens_of(&p) * hidden_of(&p), 1);
        run_on(*state, 1 + (unsigned)(i % 3), &p, out);
        check_all(&p, out, 1);
        free(out);
        free_problem(&p);
    }
}

/* More keys than are met at once, and head sizes of several blocks of depth; the widest that every device takes. */
static void test_long(void **state) {
    const tier *of = *state;
    const size_t wide_head = of->device ? 256 : 700;
    tier_require(of);
    skip_in_emulator();
    static const int32_t offsets[] = {0, 2100}, few[] = {0, 40};
    problem p = make_problem(1, 8, offsets, 1, KEYS | QUERIES),
            deep = make_problem(1, wide_head, few, 1, KEYS | QUERIES);
    float *out = floats(2100 * 8, 1), *again = floats(2100 * 8, 1), *wide = floats(40 * wide_head, 1);
    run_on(of, 2, &p, out);
    check_all(&p, out, 97);
    run_on(of, 1, &p, again);
    expect_same_bits(again, out, 2100 * 8, "long relative attention on one thread");
    run_on(of, 2, &deep, wide);
    check_all(&deep, wide, 1);
    free(out), free(again), free(wide);
    free_problem(&p), free_problem(&deep);
}

/* ---- bits ---------------------------------------------------------------------------------------------------- */

static void check_alone(const tier *of, const problem *p, const float *all) {
    const size_t hidden = hidden_of(p);
    float *one = floats(p->longest * hidden, 1);
    for (size_t s = 0; s < p->sequences; s++) {
        const int32_t alone[] = {0, p->offsets[s + 1] - p->offsets[s]};
        if (alone[1] == 0) continue;
        problem part = *p;
        part.sequences = 1;
        part.offsets = alone;
        part.longest = (size_t)alone[1];
        part.qkv = p->qkv + (size_t)p->offsets[s] * 3 * hidden;
        run_on(of, 1 + (unsigned)(s % 3), &part, one);
        expect_same_bits(one, all + (size_t)p->offsets[s] * hidden, part.longest * hidden, "a sequence alone");
    }
    free(one);
}

/* The first token of each sequence alone, its query in a matrix of another width. */
static void check_first_only(const tier *of, const problem *p, const float *all) {
    const size_t hidden = hidden_of(p), stride = hidden + 3;
    float *q = floats(p->sequences * stride, 1), *found = floats(p->sequences * hidden, 1);
    for (size_t s = 0; s < p->sequences; s++)
        if (p->offsets[s] < p->offsets[s + 1])
            memcpy(q + s * stride, p->qkv + (size_t)p->offsets[s] * 3 * hidden, hidden * sizeof *q);
    cpu_device cpu = cpu_open(of, 2);
    bench b;
    bench_open(&b, cpu.device, p);
    b.args.attention.first_only = true;
    b.args.attention.q = (cei_strided){put(&b, q, p->sequences * stride * sizeof *q), stride};
    expect_ok(cei_attention_relative(b.stream, &b.args, &b.error), &b.error);
    expect_ok(cei_read(b.stream, found, b.args.attention.out, p->sequences * hidden * sizeof *found, &b.error),
              &b.error);
    for (size_t s = 0; s < p->sequences; s++)
        if (p->offsets[s] < p->offsets[s + 1])
            expect_same_bits(found + s * hidden, all + (size_t)p->offsets[s] * hidden, hidden, "the first token alone");
    bench_close(&b);
    cpu_close(&cpu);
    free(q), free(found);
}

static void test_bits(void **state) {
    tier_require(*state);
    static const int32_t offsets[] = {0, 3, 203, 204, 204, 260, 600};
    problem p = make_problem(3, 32, offsets, 6, KEYS | QUERIES);
    const size_t count = tokens_of(&p) * hidden_of(&p);
    float *all = floats(count, 1), *again = floats(count, 1);
    run_on(*state, 1, &p, all);
    static const unsigned threads[] = {2, 3, 5};
    for (size_t t = 0; t < 3; t++) {
        run_on(*state, threads[t], &p, again);
        expect_same_bits(again, all, count, "relative attention on more threads");
    }
    check_alone(*state, &p, all);
    check_first_only(*state, &p, all);
    free(all), free(again);
    free_problem(&p);
}

#if defined(__x86_64__) && !defined(CE_ON_TIER)
/* Of tiers whose products are bfloat16: the values, and the bits. */
static void test_low(void **state) {
    static const struct {
        size_t heads, size;
        unsigned parts;
    } shapes[] = {{2, 8, KEYS | QUERIES}, {1, 33, KEYS | QUERIES | BIAS}, {3, 17, BIAS}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        problem p = make_low(shapes[i].heads, shapes[i].size, lengths, SEQUENCES, shapes[i].parts), whole = p;
        const size_t count = tokens_of(&p) * hidden_of(&p);
        float *out = floats(count, 1), *other = floats(count, 1);
        run_on(*state, 1 + (unsigned)i, &p, out);
        check_all(&p, out, 3);
        check_alone(*state, &p, out);
        check_first_only(*state, &p, out);
        whole.is_low = false;
        run_on(*state, 1, &whole, other);
        check_all(&whole, other, 10);
        assert_memory_not_equal(other, out, count * sizeof *out);
        free(out), free(other);
        free_problem(&p);
    }
}
#endif

/* ---- the simulated device ------------------------------------------------------------------------------------ */

static const int32_t short_lengths[] = {0, 3, 3, 8};

static cei_device *open_sim(void) {
    const cei_device_options options = {0};
    cei_device *device = NULL;
    ce_error error;
    cei_sim_reset();
    cei_sim_set_devices(1);
    expect_ok(cei_device_open((cei_device_id){"sim", 0}, &options, &device, &error), &error);
    return device;
}

static void test_sim_values(void **state) {
    (void)state;
    cei_device *device = open_sim();
    problem p = make_problem(2, 5, short_lengths, 3, KEYS | QUERIES | BIAS);
    float out[8 * 10], wrong[8 * 10];
    run(device, &p, out);
    check_all(&p, out, 1);
    cei_sim_distort(0, CEI_OP_ATTENTION_RELATIVE, true);
    run(device, &p, wrong);
    assert_true(wrong[0] != out[0] && memcmp(wrong + 1, out + 1, sizeof out - sizeof *out) == 0);
    assert_int_equal(cei_sim_count(0).ops[CEI_OP_ATTENTION_RELATIVE], 2);
    cei_device_close(device);
    free_problem(&p);
}

#define refused(what) expect_status(cei_attention_relative(b.stream, &args, &b.error), CE_ERR_ARGUMENT, &b.error, what)

static void test_arguments(void **state) {
    (void)state;
    cei_device *device = open_sim();
    problem p = make_problem(2, 5, short_lengths, 3, KEYS | QUERIES | BIAS);
    bench b;
    bench_open(&b, device, &p);
    cei_attention_relative_args args = b.args;
    cei_distances *const parts[] = {&args.keys, &args.queries, &args.bias};
    args.attention.longest = 9, refused("limits");
    args = b.args, args.attention.q.stride = 3, refused("outside");
    for (size_t i = 0; i < 3; i++) {
        cei_weight weight = b.weights[i];
        args = b.args, parts[i]->rows_per_head = 150, refused("kind or size");
        args = b.args, parts[i]->rows_per_head = 128, refused("kind or size");
        args = b.args, parts[i]->rows_per_head = SIZE_MAX / 32 * 32, refused("kind or size");
        args = b.args, parts[i]->places.offset = 8, refused("places");
        args = b.args, parts[i]->places.buffer = NULL, refused("places");
        args = b.args, parts[i]->weight = &weight;
        weight.columns++, refused("kind or size");
        weight = b.weights[i], weight.role = CEI_ROLE_VECTOR, refused("kind or size");
        weight = b.weights[i], weight.format = CEI_FORMAT_BFLOAT16, refused("kind or size");
        weight = b.weights[i], weight.at.buffer = NULL, refused("kind or size");
        weight = b.weights[i], weight.at.offset = 256, refused("kind or size");
    }
    assert_int_equal(cei_sim_count(0).ops[CEI_OP_ATTENTION_RELATIVE], 0);
    bench_close(&b);
    cei_device_close(device);
    free_problem(&p);
}

/* What lies in the device's memory is refused by the device. */
static void test_places(void **state) {
    (void)state;
    cei_device *device = open_sim();
    problem p = make_problem(2, 5, short_lengths, 3, KEYS);
    bench b;
    bench_open(&b, device, &p);
    static const int32_t wrong[][9] = {{-1, 0, 1, 2, 3, 4, 5, 6, 7},
                                       {152, 153, 154, 155, 156, 157, 158, 159, 160},
                                       {0, 1, 2, 4, 5, 6, 7, 8, 9},
                                       {0, 1, 2, 3, 2, 3, 4, 5, 6}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        expect_ok(cei_write(b.stream, b.args.keys.places, wrong[i], sizeof wrong[i], &b.error), &b.error);
        expect_status(cei_attention_relative(b.stream, &b.args, &b.error), CE_ERR_DEVICE_FAULT, &b.error, "places");
    }
    bench_close(&b);
    cei_device_close(device);
    free_problem(&p);
}

int main(void) {
    static const struct {
        const char *name;
        CMUnitTestFunction function;
    } kinds[] = {{"values", test_values}, {"long", test_long}, {"bits", test_bits}};
    tier *const on[] = {
#if defined(CE_ON_TIER)
        &CE_ON_TIER,
#else
        &tiers[0],
        &tiers[1],
        &tiers[2],
        &tiers[3],
#endif
    };
    enum { KINDS = sizeof kinds / sizeof *kinds, ON = sizeof on / sizeof *on, OTHERS = 4 };
    static char names[KINDS * ON][48];
    struct CMUnitTest tests[OTHERS + KINDS * ON + 3] = {
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_sim_values),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_places),
    };
    size_t first = 0, count = OTHERS;
    for (size_t at = 0; at < KINDS * ON; at++) {
        snprintf(names[at], sizeof names[at], "%s (%s)", kinds[at % KINDS].name, on[at / KINDS]->name);
        tests[count++] = (struct CMUnitTest){names[at], kinds[at % KINDS].function, NULL, NULL, on[at / KINDS]};
    }
#if defined(CE_ON_TIER)
    first = OTHERS;
#elif defined(__x86_64__)
    tests[count++] =
        (struct CMUnitTest){"values (AVX-512, emulated)", test_values, NULL, NULL, &emulated_tiers[EMULATED_AVX512]};
    tests[count++] =
        (struct CMUnitTest){"in bfloat16 (AVX-512, emulated)", test_low, NULL, NULL, &emulated_tiers[EMULATED_AVX512]};
    tests[count++] =
        (struct CMUnitTest){"in bfloat16 (AMX, emulated)", test_low, NULL, NULL, &emulated_tiers[EMULATED_AMX]};
#endif
    cases_seed();
    return _cmocka_run_group_tests("relative attention", tests + first, count - first, NULL, tier_teardown);
}
