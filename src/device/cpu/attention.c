/* attention.c - exact softmax(scale Q K^T) V over packed sequences, with the same inner product as linear layers.
 *
 * A task is a head of a sequence, or a part of its queries where heads are few. It packs K^T and V of the head into
 * panels, then takes queries in blocks whose scores fit into the second-level cache: memory grows with the length of
 * a sequence, never with its square. Sums run over keys in an order that follows from the length alone. */
#include "device/cpu/cpu.h"

#include <string.h>

/* Scores that are held at once, unless a few rows are more. */
enum { SCORES = 48 * 1024, FEWEST_ROWS = 14 };

/* Queries are split over tasks in parts of at least this. */
enum { FEWEST_QUERIES = 64 };

static size_t query_block(size_t length) {
    const size_t rows = SCORES / cei_cpu_padded(length);
    return rows < FEWEST_ROWS ? FEWEST_ROWS : rows > 112 ? 112 : rows / FEWEST_ROWS * FEWEST_ROWS;
}

size_t cei_cpu_score_floats(size_t length) {
    const size_t most = FEWEST_ROWS * cei_cpu_padded(length);
    return most > SCORES ? most : SCORES;
}

typedef struct attention_job {
    const cei_cpu_device *device;
    const cei_cpu_stream *stream;
    const float *qkv; /* [tokens, 3, heads, head_size] */
    const int32_t *offsets;
    float *out; /* [tokens, heads, head_size] */
    size_t heads, head_size, parts;
    float scale;
} attention_job;

/* One head of one sequence, and the worker's memory for it. */
typedef struct head {
    const float *q, *k, *v; /* of its first token; rows stride floats apart */
    float *out;
    size_t length, stride, out_stride;
    float *keys, *values, *queries, *scores, *factors, *partial;
} head;

static head find_head(const attention_job *job, size_t task, size_t worker) {
    const size_t sequence = task / job->heads, index = task % job->heads, hidden = job->heads * job->head_size;
    const size_t first = (size_t)job->offsets[sequence];
    const float *q = job->qkv + first * 3 * hidden + index * job->head_size;
    const cei_cpu_scratch_plan *plan = &job->stream->plan;
    float *scratch = job->stream->scratch + worker * plan->total;
    return (head){
        .q = q,
        .k = q + hidden,
        .v = q + 2 * hidden,
        .out = job->out + first * hidden + index * job->head_size,
        .length = (size_t)job->offsets[sequence + 1] - first,
        .stride = 3 * hidden,
        .out_stride = hidden,
        .keys = scratch + plan->keys,
        .values = scratch + plan->values,
        .queries = scratch + plan->queries,
        .scores = scratch + plan->scores,
        .factors = scratch + plan->factors,
        .partial = scratch + plan->partial,
    };
}

/* Panels of K^T, [head_size, width] each. The last one's columns past the sequence take whatever was there: they
 * reach no score that is read. */
static void pack_keys(const attention_job *job, const head *h) {
    const size_t width = job->device->kernels.panel;
    for (size_t t = 0; t < h->length; t += width)
        job->device->kernels.pack(h->k + t * h->stride, h->stride, cei_cpu_min(width, h->length - t), job->head_size, 0,
                                  h->keys + t * job->head_size);
}

/* Panels of V, [length, width] each, the last one padded with zeros. */
static void pack_values(const attention_job *job, const head *h) {
    const size_t width = job->device->kernels.panel;
    for (size_t c = 0; c < job->head_size; c += width) {
        const size_t columns = cei_cpu_min(width, job->head_size - c);
        float *panel = h->values + c * h->length;
        job->device->kernels.copy(h->v + c, h->stride, h->length, columns, panel, width);
        if (columns == width) continue;
        for (size_t t = 0; t < h->length; t++)
            memset(panel + t * width + columns, 0, (width - columns) * sizeof(float));
    }
}

/* scores [rows, length] = Q K^T for rows queries from first on. */
static void score_block(const attention_job *job, const head *h, size_t first, size_t rows) {
    const cei_cpu_kernels *kernels = &job->device->kernels;
    const size_t width = kernels->panel, size = job->head_size, q_stride = cei_cpu_padded(size);
    kernels->copy(h->q + first * h->stride, h->stride, rows, size, h->queries, q_stride);
    cei_cpu_product product = {
        .rows = rows, .depth = size, .a = h->queries, .a_stride = q_stride, .out_stride = cei_cpu_padded(h->length)};
    for (size_t t = 0; t < h->length; t += width) {
        product.columns = cei_cpu_min(width, h->length - t);
        product.panel = h->keys + t * size;
        product.out = h->scores + t;
        cei_cpu_multiply_deep(kernels, &product, h->partial);
    }
}

/* out = scores V * factors, for rows queries from first on. */
static void mix_block(const attention_job *job, const head *h, size_t first, size_t rows) {
    const cei_cpu_kernels *kernels = &job->device->kernels;
    const size_t width = kernels->panel, size = job->head_size;
    float *out = h->out + first * h->out_stride;
    cei_cpu_product product = {.rows = rows,
                               .depth = h->length,
                               .a = h->scores,
                               .a_stride = cei_cpu_padded(h->length),
                               .factors = h->factors,
                               .out_stride = h->out_stride};
    for (size_t c = 0; c < size; c += width) {
        product.columns = cei_cpu_min(width, size - c);
        product.panel = h->values + c * h->length;
        product.out = out + c;
        cei_cpu_multiply_deep(kernels, &product, h->partial);
    }
}

static void run_head(void *argument, size_t task, size_t worker) {
    const attention_job *job = argument;
    const cei_cpu_kernels *kernels = &job->device->kernels;
    const head h = find_head(job, task / job->parts, worker);
    const size_t part = task % job->parts;
    const size_t begin = h.length * part / job->parts, end = h.length * (part + 1) / job->parts;
    if (begin == end) return;
    pack_keys(job, &h);
    pack_values(job, &h);
    const size_t block = query_block(h.length), blocks = cei_cpu_divide_up(end - begin, block);
    for (size_t b = 0; b < blocks; b++) {
        const size_t first = begin + (end - begin) * b / blocks, last = begin + (end - begin) * (b + 1) / blocks;
        score_block(job, &h, first, last - first);
        kernels->softmax(h.scores, last - first, h.length, cei_cpu_padded(h.length), job->scale, h.factors);
        mix_block(job, &h, first, last - first);
    }
}

ce_status cei_cpu_attention(cei_stream *stream, const cei_attention_args *args, ce_error *error) {
    (void)error;
    const cei_cpu_device *device = cei_cpu_of(stream->device);
    attention_job job = {
        .device = device,
        .stream = cei_cpu_stream_of(stream),
        .qkv = cei_cpu_at(args->qkv),
        .offsets = cei_cpu_at(args->offsets),
        .out = cei_cpu_at(args->out),
        .heads = args->heads,
        .head_size = args->head_size,
        .parts = 1,
        .scale = args->scale,
    };
    const size_t tasks = args->sequences * args->heads;
    if (tasks == 0 || args->head_size == 0) return CE_OK;
    if (device->workers > 1 && tasks < 4 * device->workers) {
        const size_t wanted = cei_cpu_divide_up(4 * device->workers, tasks);
        const size_t most = cei_cpu_divide_up(args->longest, FEWEST_QUERIES);
        job.parts = cei_cpu_min(wanted, most ? most : 1);
    }
    const double work = 4.0 * (double)args->tokens * (double)args->longest * (double)(args->heads * args->head_size);
    cei_cpu_run(device, tasks * job.parts, work, run_head, &job);
    return CE_OK;
}
