/* kernels.c - bench_kernels: what the cpu device's operations reach on this machine, beside the multiply-add peak that
 * was measured in the same run.
 *
 *     bench_kernels [--tier c|avx2|avx512|neon|dotprod|i8mm] [--repeats N] [--threads 1|2]
 *                   [--only linear|attention|rows|weights] [--precision float32|bfloat16|float16|int8]
 *
 * Each figure is the best of N repeats, and each repeat measures the peak too: on a shared machine the clock and the
 * neighbours change from second to second. On one thread time is that thread's CPU time, on two it is wall-clock time.
 * Needs the internals of the library; prints nothing that a test relies on. */
#include "device/cpu/cpu.h"
#include "tiers.h"

#include <crossenc/model.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_THREADS = 2, TOKENS = 4096, WIDEST = 4608 };

typedef struct bench {
    cei_pool *pool;
    cei_device *device;
    cei_stream *stream;
    cei_buffer *weights, *bias, *in, *out, *residual;
    cei_format format;       /* of the weights of linear layers */
    ce_precision precision;  /* that they stand for, and that attention is asked for */
    ce_precision multiplied; /* what the operation at hand multiplies in: its peak is shown */
    unsigned repeats;
} bench;

static const ce_precision precisions[CEI_FORMAT_COUNT] = {[CEI_FORMAT_FLOAT32] = CE_PRECISION_FLOAT32,
                                                          [CEI_FORMAT_BFLOAT16] = CE_PRECISION_BFLOAT16,
                                                          [CEI_FORMAT_FLOAT16] = CE_PRECISION_FLOAT16,
                                                          [CEI_FORMAT_INT8] = CE_PRECISION_INT8};

static double now_ms(const bench *b) {
    struct timespec now;
    clock_gettime(cei_pool_size(b->pool) == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static void require(ce_status status, const ce_error *error) {
    if (status == CE_OK) return;
    fprintf(stderr, "bench_kernels: %s\n", error->message);
    exit(1);
}

static float *random_floats(size_t count) {
    float *values = malloc(count * sizeof *values);
    if (!values) exit(1);
    uint32_t state = 12345;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = (float)(state >> 8) / 16777216.0f - 0.5f;
    }
    return values;
}

static cei_buffer *make_buffer(bench *b, size_t floats) {
    ce_error error;
    cei_buffer *buffer;
    require(cei_buffer_create(b->device, floats * sizeof(float), &buffer, &error), &error);
    float *values = random_floats(floats);
    require(cei_write(b->stream, (cei_slice){buffer, 0}, values, floats * sizeof(float), &error), &error);
    free(values);
    return buffer;
}

static void bench_open(bench *b, unsigned threads, uint64_t disable, cei_format format, unsigned repeats) {
    ce_error error;
    const cei_stream_limits limits = {TOKENS, 8192, 256, WIDEST, false};
    *b = (bench){.format = format, .precision = precisions[format], .repeats = repeats};
    b->multiplied = b->precision;
    require(cei_pool_create(threads, &b->pool, &error), &error);
    const cei_device_options options = {.pool = b->pool, .cpu_disable = disable};
    require(cei_device_open((cei_device_id){"cpu", 0}, &options, &b->device, &error), &error);
    require(cei_stream_create(b->device, &limits, &b->stream, &error), &error);
    b->weights = make_buffer(b, (size_t)WIDEST * 4096);
    b->bias = make_buffer(b, WIDEST);
    b->in = make_buffer(b, (size_t)TOKENS * WIDEST);
    b->out = make_buffer(b, (size_t)TOKENS * WIDEST);
    b->residual = make_buffer(b, (size_t)TOKENS * 1024);
}

static void bench_close(bench *b) {
    cei_buffer_free(b->weights);
    cei_buffer_free(b->bias);
    cei_buffer_free(b->in);
    cei_buffer_free(b->out);
    cei_buffer_free(b->residual);
    cei_stream_free(b->stream);
    cei_device_close(b->device);
    cei_pool_free(b->pool);
}

/* ---- the peak ----------------------------------------------------------------------------------------------- */

/* GFLOP/s of all threads together. */
static double measure_peak(const bench *b) {
    const cei_cpu_device *cpu = cei_cpu_of(b->device);
    cei_cpu_peak_fn peak = cei_cpu_peak_of(&cpu->kernels, b->multiplied);
    const double start = now_ms(b), operations = cei_cpu_run_peak(cpu, peak, 200000);
    return operations / (now_ms(b) - start) * 1e-6;
}

/* ---- timing ------------------------------------------------------------------------------------------------- */

typedef void (*work_fn)(bench *b, const void *argument);

typedef struct result {
    double ms, peak; /* of one run of the work; GFLOP/s */
} result;

static result measure(bench *b, work_fn work, const void *argument, unsigned inner) {
    result best = {1e30, 0};
    work(b, argument);
    for (unsigned r = 0; r < b->repeats; r++) {
        const double peak = measure_peak(b), start = now_ms(b);
        for (unsigned i = 0; i < inner; i++) work(b, argument);
        const double ms = (now_ms(b) - start) / inner;
        if (ms < best.ms) best.ms = ms;
        if (peak > best.peak) best.peak = peak;
    }
    return best;
}

static void report(const char *name, size_t rows, size_t threads, result r, double flops) {
    const double gflops = flops / r.ms * 1e-6;
    printf("%-28s %6zu %7zu %10.3f", name, rows, threads, r.ms);
    if (flops > 0) printf(" %9.1f %9.1f %6.1f%%", gflops, r.peak, 100 * gflops / r.peak);
    printf("\n");
    fflush(stdout);
}

/* ---- operations --------------------------------------------------------------------------------------------- */

typedef struct linear_case {
    size_t in, out, rows;
    cei_function function;
} linear_case;

static void run_linear(bench *b, const void *argument) {
    const linear_case *c = argument;
    ce_error error;
    const cei_weight weight = {CEI_ROLE_MATRIX, c->out, c->in, {b->weights, 0}, b->format, false};
    const cei_weight bias = {CEI_ROLE_VECTOR, 1, c->out, {b->bias, 0}, CEI_FORMAT_FLOAT32, false};
    const cei_linear_args args = {c->rows, {b->in, 0}, &weight, &bias, c->function, {b->out, 0}, NULL, NULL};
    require(cei_linear(b->stream, &args, &error), &error);
}

/* Weights of the shape, rounded and packed. */
static void send_weight(bench *b, size_t in, size_t out) {
    ce_error error;
    float *values = random_floats(in * out), *scales = random_floats(out);
    const cei_weight weight = {CEI_ROLE_MATRIX, out, in, {b->weights, 0}, b->format, false};
    cei_round_rows(b->format, values, out, in, scales);
    require(cei_weight_write(b->device, &weight, 0, out, values, scales, &error), &error);
    free(values);
    free(scales);
}

static void bench_linear(bench *b, size_t threads) {
    static const size_t shapes[][2] = {{384, 1152}, {384, 384},   {384, 1536}, {1536, 384},
                                       {768, 3072}, {1024, 1024}, {4096, 1024}};
    static const size_t row_counts[] = {1, 8, 32, 128, 512, 4096};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        send_weight(b, shapes[s][0], shapes[s][1]);
        for (size_t m = 0; m < sizeof row_counts / sizeof *row_counts; m++) {
            const linear_case c = {shapes[s][0], shapes[s][1], row_counts[m], CEI_FN_IDENTITY};
            const double flops = 2.0 * (double)c.rows * (double)c.in * (double)c.out;
            char name[64];
            snprintf(name, sizeof name, "linear %zu->%zu", c.in, c.out);
            report(name, c.rows, threads, measure(b, run_linear, &c, c.rows < 512 ? 2048 / (unsigned)c.rows : 1),
                   flops);
        }
    }
    send_weight(b, 384, 1536);
    const linear_case gelu = {384, 1536, TOKENS, CEI_FN_GELU};
    report("linear 384->1536 gelu", TOKENS, threads, measure(b, run_linear, &gelu, 1), 2.0 * TOKENS * 384 * 1536);
}

typedef struct attention_case {
    size_t length, heads, size;
} attention_case;

static void run_attention(bench *b, const void *argument) {
    const attention_case *c = argument;
    ce_error error;
    const size_t sequences = TOKENS / c->length, tokens = sequences * c->length;
    int32_t offsets[TOKENS + 1];
    for (size_t s = 0; s <= sequences; s++) offsets[s] = (int32_t)(s * c->length);
    require(cei_write(b->stream, (cei_slice){b->bias, 0}, offsets, (sequences + 1) * sizeof *offsets, &error), &error);
    cei_attention_args args = {.tokens = tokens,
                               .sequences = sequences,
                               .longest = c->length,
                               .offsets = {b->bias, 0},
                               .heads = c->heads,
                               .head_size = c->size,
                               .scale = 0.17f,
                               .out = {b->out, 0},
                               .precision = b->precision};
    cei_attention_take_qkv(&args, (cei_slice){b->in, 0});
    require(cei_attention(b->stream, &args, &error), &error);
}

static void bench_attention(bench *b, size_t threads) {
    static const attention_case cases[] = {{32, 12, 32}, {128, 12, 32}, {400, 12, 32}, {512, 12, 32}, {4096, 12, 32},
                                           {32, 12, 64}, {128, 12, 64}, {400, 12, 64}, {512, 12, 64}, {4096, 12, 64}};
    b->multiplied = cei_device_rounds_attention(b->device, b->precision) ? CE_PRECISION_BFLOAT16 : CE_PRECISION_FLOAT32;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const attention_case *c = &cases[i];
        const size_t tokens = TOKENS / c->length * c->length;
        char name[64];
        snprintf(name, sizeof name, "attention %zux%zu, L %zu", c->heads, c->size, c->length);
        report(name, tokens, threads, measure(b, run_attention, c, 1),
               4 * (double)c->length * (double)tokens * (double)(c->heads * c->size));
    }
    b->multiplied = b->precision;
}

static void run_norm(bench *b, const void *argument) {
    ce_error error;
    const size_t columns = *(const size_t *)argument;
    const cei_weight gain = {CEI_ROLE_VECTOR, 1, columns, {b->bias, 0}, CEI_FORMAT_FLOAT32, false};
    const cei_slice residual = {b->residual, 0};
    const cei_norm_args args = {.rows = TOKENS,
                                .x = {b->in, 0},
                                .residual = &residual,
                                .gain = &gain,
                                .bias = &gain,
                                .epsilon = 1e-12f,
                                .out = {b->out, 0}};
    require(cei_norm(b->stream, &args, &error), &error);
}

static void run_gelu(bench *b, const void *argument) {
    (void)argument;
    const cei_slice x = {b->out, 0};
    cei_cpu_of(b->device)->kernels.apply[CEI_FN_GELU](cei_cpu_at(x), TOKENS, 1536, 1536);
}

static void run_softmax(bench *b, const void *argument) {
    (void)argument;
    static float factors[64];
    const cei_slice x = {b->out, 0};
    for (size_t i = 0; i < 64; i++) cei_cpu_of(b->device)->kernels.softmax(cei_cpu_at(x), 64, 512, 528, 0.17f, factors);
}

/* ---- weights ------------------------------------------------------------------------------------------------ */

enum { MATRIX_ROWS = 1152, MATRIX_COLUMNS = 384, MATRICES = 75 }; /* 133 MB */

static void bench_weights(bench *b, size_t threads) {
    ce_error error;
    const size_t bytes = cei_weight_bytes(
        b->device, &(cei_weight){.role = CEI_ROLE_MATRIX, .rows = MATRIX_ROWS, .columns = MATRIX_COLUMNS});
    float *values = random_floats((size_t)MATRIX_ROWS * MATRIX_COLUMNS);
    result write = {1e30, 0}, sum = {1e30, 0};
    for (unsigned r = 0; r < b->repeats; r++) {
        cei_buffer *buffer;
        double start = now_ms(b);
        require(cei_buffer_create(b->device, bytes * MATRICES, &buffer, &error), &error);
        for (size_t i = 0; i < MATRICES; i++) {
            const cei_weight weight = {CEI_ROLE_MATRIX,     MATRIX_ROWS,        MATRIX_COLUMNS,
                                       {buffer, i * bytes}, CEI_FORMAT_FLOAT32, false};
            require(cei_weight_write(b->device, &weight, 0, MATRIX_ROWS, values, NULL, &error), &error);
        }
        if (now_ms(b) - start < write.ms) write.ms = now_ms(b) - start;
        start = now_ms(b);
        for (size_t i = 0; i < MATRICES; i++) {
            uint64_t checksum;
            const cei_weight weight = {CEI_ROLE_MATRIX,     MATRIX_ROWS,        MATRIX_COLUMNS,
                                       {buffer, i * bytes}, CEI_FORMAT_FLOAT32, false};
            require(cei_weight_checksum(b->device, &weight, 0, MATRIX_ROWS, &checksum, &error), &error);
        }
        if (now_ms(b) - start < sum.ms) sum.ms = now_ms(b) - start;
        cei_buffer_free(buffer);
    }
    free(values);
    report("weights 133 MB, first write", MATRIX_ROWS, threads, write, 0);
    report("weights 133 MB, checksum", MATRIX_ROWS, threads, sum, 0);
    printf("    written at %.1f GB/s, summed at %.1f GB/s\n", (double)bytes * MATRICES / write.ms * 1e-6,
           (double)bytes * MATRICES / sum.ms * 1e-6);
}

typedef struct options {
    uint64_t disable;
    cei_format format;
    unsigned repeats, threads; /* threads 0: one, then two */
    const char *only;          /* "" is everything */
} options;

static bool wants(const options *o, const char *part) { return !*o->only || strcmp(o->only, part) == 0; }

static void run_all(const options *o, unsigned threads) {
    bench b;
    const size_t columns = 384;
    bench_open(&b, threads, o->disable, o->format, o->repeats);
    if (wants(o, "linear")) bench_linear(&b, threads);
    if (wants(o, "attention")) bench_attention(&b, threads);
    if (wants(o, "rows")) report("norm 384 with residual", TOKENS, threads, measure(&b, run_norm, &columns, 1), 0);
    if (wants(o, "rows") && threads == 1) {
        report("gelu 1536", TOKENS, threads, measure(&b, run_gelu, NULL, 1), 0);
        report("softmax 512", TOKENS, threads, measure(&b, run_softmax, NULL, 1), 0);
    }
    if (wants(o, "weights")) bench_weights(&b, threads);
    bench_close(&b);
}

static options parse_options(int count, char **arguments) {
    options o = {.repeats = 7, .only = ""};
    for (int i = 1; i + 1 < count; i += 2) {
        const char *name = arguments[i], *value = arguments[i + 1];
        if (strcmp(name, "--repeats") == 0) o.repeats = (unsigned)strtoul(value, NULL, 10);
        if (strcmp(name, "--threads") == 0) o.threads = (unsigned)strtoul(value, NULL, 10);
        if (strcmp(name, "--only") == 0) o.only = value;
        if (strcmp(name, "--precision") == 0)
            for (int f = 0; f < CEI_FORMAT_COUNT; f++)
                if (strcmp(value, cei_format_name((cei_format)f)) == 0) o.format = (cei_format)f;
        if (strcmp(name, "--tier") == 0 && !ce_bench_tier(value, &o.disable)) {
            fprintf(stderr, "bench_kernels: %s is no tier: " CE_BENCH_TIERS "\n", value);
            exit(2);
        }
    }
    if (o.threads > MAX_THREADS) o.threads = MAX_THREADS;
    return o;
}

int main(int count, char **arguments) {
    const options o = parse_options(count, arguments);
    cei_cpu_kernels kernels;
    char name[96];
    cei_cpu_choose_kernels(o.disable, &kernels);
    cei_cpu_model_name(name, sizeof name);
    printf("%s, kernels %s, %u CPUs\n", name, kernels.name, cei_usable_cpus());
    printf("%-28s %6s %7s %10s %9s %9s %7s\n", "operation", "rows", "threads", "ms", "GFLOP/s", "peak", "share");
    for (unsigned threads = 1; threads <= MAX_THREADS; threads++)
        if (o.threads == 0 || o.threads == threads) run_all(&o, threads);
    return 0;
}
