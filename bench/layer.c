/* layer.c - bench_layer: how long each operation of a BERT layer takes on any device, in the order and with the hints
 * that an encoder gives, so that what one operation leaves for the next is what it is in a model.
 *
 *     bench_layer [--device D] [--precision P] [--hidden N] [--inner N] [--heads N] [--tokens N] [--length N]
 *                 [--repeats N] [--threads N]
 *
 * Without options: the shape of BERT-large, 16,896 tokens in sequences of 123, bfloat16, cuda:0. Behind each operation
 * the host waits, by reading a number; what that takes by itself is taken off. "the layer" is all of them with one wait
 * at the end. Medians of the repeats. Needs the internals of the library; prints nothing that a test relies on. */
#include "base/clock.h"
#include "device/device.h"

#include <crossenc/model.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QKV, OUT, UP, DOWN, MATRICES };
enum { OP_QKV, OP_ATTENTION, OP_OUT, OP_NORM_1, OP_UP, OP_DOWN, OP_NORM_2, OPS, WAIT = OPS, LAYER, TIMES };
static const char *const names[TIMES] = {
    "queries, keys, values", "attention", "out", "norm", "up, gelu", "down", "norm", "waiting", "the layer"};

typedef struct settings {
    const char *device;
    ce_precision precision;
    size_t hidden, inner, heads, tokens, length, repeats, threads;
} settings;

typedef struct layer {
    const settings *with;
    cei_pool *pool;
    cei_device *device;
    cei_stream *stream;
    cei_buffer *memory; /* all of it */
    size_t used, rows;  /* bytes of it; tokens of whole sequences */
    cei_weight matrices[MATRICES], biases[MATRICES], gain;
    cei_slice x, qkv, mixed, projected, wide, offsets, mark;
} layer;

static void require(ce_status status, const ce_error *error) {
    if (status == CE_OK) return;
    fprintf(stderr, "bench_layer: %s\n", error->message);
    exit(1);
}

static cei_slice take(layer *l, size_t bytes) {
    const cei_slice at = {l->memory, l->used};
    l->used += (bytes + CEI_BUFFER_ALIGNMENT - 1) / CEI_BUFFER_ALIGNMENT * CEI_BUFFER_ALIGNMENT;
    return at;
}

static float *random_floats(size_t count, float size) {
    float *values = malloc((count + 1) * sizeof *values);
    uint32_t state = 12345;
    if (!values) exit(1);
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = ((float)(state >> 8) / 8388608.0f - 1) * size;
    }
    return values;
}

static cei_weight put_weight(layer *l, cei_role role, cei_format format, size_t rows, size_t columns) {
    ce_error error;
    cei_weight weight = {role, rows, columns, {l->memory, l->used}, format, false};
    weight.at = take(l, cei_weight_bytes(l->device, &weight));
    float *values = random_floats(rows * columns, 0.03f), *scales = random_floats(rows, 1);
    cei_round_rows(format, values, rows, columns, scales);
    require(cei_weight_write(l->device, &weight, 0, rows, values, format == CEI_FORMAT_INT8 ? scales : NULL, &error),
            &error);
    free(values), free(scales);
    return weight;
}

static cei_slice put_floats(layer *l, size_t count) {
    ce_error error;
    const cei_slice at = take(l, count * sizeof(float));
    float *values = random_floats(count, 1);
    require(cei_write(l->stream, at, values, count * sizeof *values, &error), &error);
    free(values);
    return at;
}

static cei_format format_of(ce_precision precision) {
    switch (precision) {
    case CE_PRECISION_BFLOAT16: return CEI_FORMAT_BFLOAT16;
    case CE_PRECISION_FLOAT16: return CEI_FORMAT_FLOAT16;
    case CE_PRECISION_INT8: return CEI_FORMAT_INT8;
    default: return CEI_FORMAT_FLOAT32;
    }
}

static void open_layer(layer *l, const settings *with) {
    ce_error error;
    cei_device_id id;
    const size_t hidden = with->hidden, inner = with->inner, widest = inner > 3 * hidden ? inner : 3 * hidden;
    const size_t sequences = with->tokens / with->length, rows = sequences * with->length;
    const size_t shapes[MATRICES][2] = {{3 * hidden, hidden}, {hidden, hidden}, {inner, hidden}, {hidden, inner}};
    int32_t *offsets = malloc((sequences + 1) * sizeof *offsets);
    if (!offsets) exit(1);
    *l = (layer){.with = with, .rows = rows};
    require(cei_device_resolve(with->device, 0, &id, &error), &error);
    require(cei_pool_create((unsigned)with->threads, &l->pool, &error), &error);
    const cei_device_options options = {.pool = l->pool};
    require(cei_device_open(id, &options, &l->device, &error), &error);
    const cei_stream_limits limits = {rows, with->length, hidden / with->heads, widest, false};
    require(cei_stream_create(l->device, &limits, &l->stream, &error), &error);
    /* Twice the weights in float32 is more than they take anywhere. */
    const size_t floats = 2 * (4 * hidden * hidden + 2 * hidden * inner) + rows * (6 * hidden + inner) + 64 * widest;
    require(cei_buffer_create(l->device, floats * sizeof(float) + (sequences << 4) + (1 << 20), &l->memory, &error),
            &error);
    for (size_t m = 0; m < MATRICES; m++) {
        l->matrices[m] = put_weight(l, CEI_ROLE_MATRIX, format_of(with->precision), shapes[m][0], shapes[m][1]);
        l->biases[m] = put_weight(l, CEI_ROLE_VECTOR, CEI_FORMAT_FLOAT32, 1, shapes[m][0]);
    }
    l->gain = put_weight(l, CEI_ROLE_VECTOR, CEI_FORMAT_FLOAT32, 1, hidden);
    l->x = put_floats(l, rows * hidden);
    l->qkv = put_floats(l, rows * 3 * hidden);
    l->mixed = put_floats(l, rows * hidden);
    l->projected = put_floats(l, rows * hidden);
    l->wide = put_floats(l, rows * inner);
    l->mark = put_floats(l, 1);
    for (size_t s = 0; s <= sequences; s++) offsets[s] = (int32_t)(s * with->length);
    l->offsets = take(l, (sequences + 1) * sizeof *offsets);
    require(cei_write(l->stream, l->offsets, offsets, (sequences + 1) * sizeof *offsets, &error), &error);
    free(offsets);
}

static void close_layer(layer *l) {
    cei_buffer_free(l->memory);
    cei_stream_free(l->stream);
    cei_device_close(l->device);
    cei_pool_free(l->pool);
}

static void run_linear(layer *l, int matrix, cei_slice x, cei_function function, cei_slice out, const cei_weight *next,
                       const cei_attention_args *attention) {
    ce_error error;
    const cei_linear_args args = {l->rows, x, &l->matrices[matrix], &l->biases[matrix], function, out, next, attention};
    require(cei_linear(l->stream, &args, &error), &error);
}

/* x + y is normed, to x. */
static void run_norm(layer *l, cei_slice y, const cei_weight *next) {
    ce_error error;
    const cei_norm_args args = {.rows = l->rows,
                                .x = y,
                                .residual = &l->x,
                                .gain = &l->gain,
                                .bias = &l->gain,
                                .epsilon = 1e-12f,
                                .out = l->x,
                                .next = next};
    require(cei_norm(l->stream, &args, &error), &error);
}

static void run_op(layer *l, int op) {
    ce_error error;
    const settings *with = l->with;
    cei_attention_args attention = {.tokens = l->rows,
                                    .sequences = l->rows / with->length,
                                    .longest = with->length,
                                    .offsets = l->offsets,
                                    .heads = with->heads,
                                    .head_size = with->hidden / with->heads,
                                    .scale = 0.125f,
                                    .out = l->mixed,
                                    .precision = with->precision,
                                    .next = &l->matrices[OUT]};
    cei_attention_take_qkv(&attention, l->qkv);
    switch (op) {
    case OP_QKV: run_linear(l, QKV, l->x, CEI_FN_IDENTITY, l->qkv, NULL, &attention); break;
    case OP_ATTENTION: require(cei_attention(l->stream, &attention, &error), &error); break;
    case OP_OUT: run_linear(l, OUT, l->mixed, CEI_FN_IDENTITY, l->projected, NULL, NULL); break;
    case OP_NORM_1: run_norm(l, l->projected, &l->matrices[UP]); break;
    case OP_UP: run_linear(l, UP, l->x, CEI_FN_GELU, l->wide, &l->matrices[DOWN], NULL); break;
    case OP_DOWN: run_linear(l, DOWN, l->wide, CEI_FN_IDENTITY, l->projected, NULL, NULL); break;
    case OP_NORM_2: run_norm(l, l->projected, &l->matrices[QKV]); break;
    default: break; /* waiting alone */
    }
}

static void wait_for(layer *l) {
    ce_error error;
    float mark;
    require(cei_read(l->stream, &mark, l->mark, sizeof mark, &error), &error);
}

/* Of one operation, or of all, the first ones of which are not waited for. */
static double time_ops(layer *l, int first, int end) {
    const double start = cei_now_ms();
    for (int op = first; op < end; op++) run_op(l, op);
    wait_for(l);
    return cei_now_ms() - start;
}

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Multiply-adds, twice, of an operation; 0 of a norm. */
static double flops_of(const layer *l, int op) {
    const settings *with = l->with;
    static const int matrices[OPS] = {QKV, -1, OUT, -1, UP, DOWN, -1};
    if (op == LAYER) {
        double sum = 0;
        for (int i = 0; i < OPS; i++) sum += flops_of(l, i);
        return sum;
    }
    if (op == OP_ATTENTION) return 4.0 * (double)l->rows * (double)with->length * (double)with->hidden;
    if (op >= OPS || matrices[op] < 0) return 0;
    const cei_weight *weight = &l->matrices[matrices[op]];
    return 2.0 * (double)l->rows * (double)weight->rows * (double)weight->columns;
}

static void measure(layer *l) {
    const size_t repeats = l->with->repeats;
    double *times[TIMES], medians[TIMES];
    for (int t = 0; t < TIMES; t++)
        if (!(times[t] = malloc(repeats * sizeof **times))) exit(1);
    for (size_t r = 0; r < repeats + 2; r++) { /* two to warm up */
        const size_t at = r < 2 ? 0 : r - 2;
        for (int op = 0; op <= WAIT; op++) times[op][at] = time_ops(l, op, op + 1);
        times[LAYER][at] = time_ops(l, 0, OPS);
    }
    for (int t = 0; t < TIMES; t++) {
        qsort(times[t], repeats, sizeof **times, compare);
        medians[t] = times[t][repeats / 2];
        free(times[t]);
    }
    printf("%-24s %10s %12s\n", "operation", "us", "GFLOP/s");
    for (int t = 0; t < TIMES; t++) {
        const double ms = t == WAIT ? medians[t] : medians[t] - medians[WAIT], flops = flops_of(l, t);
        printf("%-24s %10.1f", names[t], ms * 1e3);
        if (flops > 0 && ms > 0) printf(" %12.1f", flops / ms * 1e-6);
        printf("\n");
    }
}

static int usage(void) {
    fputs("usage: bench_layer [--device D] [--precision P] [--hidden N] [--inner N] [--heads N] [--tokens N]\n"
          "                   [--length N] [--repeats N] [--threads N]\n"
          "Without options: the shape of BERT-large, bfloat16, cuda:0.\n",
          stderr);
    return 2;
}

static bool read_options(int argc, char **argv, settings *with) {
    struct {
        const char *name;
        size_t *value;
    } const numbers[] = {{"--hidden", &with->hidden},  {"--inner", &with->inner},   {"--heads", &with->heads},
                         {"--tokens", &with->tokens},  {"--length", &with->length}, {"--repeats", &with->repeats},
                         {"--threads", &with->threads}};
    for (int i = 1; i + 1 < argc; i += 2) {
        bool is_known = strcmp(argv[i], "--device") == 0;
        if (is_known) with->device = argv[i + 1];
        for (size_t n = 0; n < sizeof numbers / sizeof *numbers; n++) {
            if (strcmp(argv[i], numbers[n].name) != 0) continue;
            *numbers[n].value = strtoul(argv[i + 1], NULL, 10);
            is_known = *numbers[n].value > 0;
        }
        for (int p = CE_PRECISION_FLOAT32; strcmp(argv[i], "--precision") == 0 && ce_precision_name((ce_precision)p);
             p++) {
            if (strcmp(argv[i + 1], ce_precision_name((ce_precision)p)) != 0) continue;
            with->precision = (ce_precision)p;
            is_known = true;
        }
        if (!is_known) return false;
    }
    return argc % 2 == 1 && with->hidden % with->heads == 0 && with->tokens >= with->length;
}

int main(int argc, char **argv) {
    settings with = {"cuda:0", CE_PRECISION_BFLOAT16, 1024, 4096, 16, 16896, 123, 20, 1};
    layer l;
    if (!read_options(argc, argv, &with)) return usage();
    open_layer(&l, &with);
    measure(&l);
    close_layer(&l);
    return 0;
}
