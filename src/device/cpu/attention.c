/* attention.c - exact softmax(scale Q K^T) V over packed sequences, with the same inner product as linear layers.
 *
 * A task is some heads of a sequence, or a part of one head's queries where heads are few. For each head it packs K^T
 * and V into panels, then takes queries in blocks whose scores fit into the second-level cache: memory grows with the
 * length of a sequence, never with its square. Sums run over keys in an order that follows from the length alone.
 * A head's rows are a line or two each, far apart: those of the task's next head are prefetched meanwhile. */
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
    const float *q, *k, *v;
    size_t q_stride, k_stride, v_stride;
    const int32_t *offsets;
    float *out; /* [rows of q, heads, head_size] */
    bool first_only;
    size_t heads, head_size;
    size_t groups; /* of heads */
    size_t parts;  /* of a head's queries; more than one only where each head is a group */
    float scale;
} attention_job;

/* One head of one sequence, and the worker's memory for it. */
typedef struct head {
    const float *q, *k, *v; /* of its first token */
    float *out;
    size_t length, asked, out_stride; /* asked: queries */
    bool has_next;                    /* the task goes on with the head behind this one */
    float *keys, *values, *queries, *scores, *factors, *partial;
} head;

static head find_head(const attention_job *job, size_t sequence, size_t index, size_t worker) {
    const size_t hidden = job->heads * job->head_size;
    const size_t first = (size_t)job->offsets[sequence], length = (size_t)job->offsets[sequence + 1] - first;
    const size_t row = job->first_only ? sequence : first, column = index * job->head_size;
    const cei_cpu_scratch_plan *plan = &job->stream->plan;
    float *scratch = job->stream->scratch + worker * plan->total;
    return (head){
        .q = job->q + row * job->q_stride + column,
        .k = job->k + first * job->k_stride + column,
        .v = job->v + first * job->v_stride + column,
        .out = job->out + row * hidden + column,
        .length = length,
        .asked = job->first_only && length ? 1 : length,
        .out_stride = hidden,
        .keys = scratch + plan->keys,
        .values = scratch + plan->values,
        .queries = scratch + plan->queries,
        .scores = scratch + plan->scores,
        .factors = scratch + plan->factors,
        .partial = scratch + plan->partial,
    };
}

/* Brings the next head's part of some rows into the second-level cache. */
static void fetch_rows(const attention_job *job, const float *rows, size_t stride, size_t count) {
    for (size_t r = 0; r < count; r++) {
        for (size_t i = 0; i < job->head_size; i += CEI_CPU_LINE)
            __builtin_prefetch(rows + r * stride + job->head_size + i, 0, 2);
    }
}

static void fetch_next_head(const attention_job *job, const head *h, size_t first, size_t count) {
    fetch_rows(job, h->k + first * job->k_stride, job->k_stride, count);
    fetch_rows(job, h->v + first * job->v_stride, job->v_stride, count);
    if (!job->first_only) fetch_rows(job, h->q + first * job->q_stride, job->q_stride, count);
}

/* Panels of K^T, [head_size, width] each. The last one's columns past the sequence take whatever was there: they
 * reach no score that is read. */
static void pack_keys(const attention_job *job, const head *h) {
    const size_t width = job->device->kernels.panel;
    for (size_t t = 0; t < h->length; t += width)
        job->device->kernels.pack(h->k + t * job->k_stride, job->k_stride, cei_min_size(width, h->length - t),
                                  job->head_size, 0, h->keys + t * job->head_size);
}

/* Panels of V, [length, width] each, the last one padded with zeros. */
static void pack_values(const attention_job *job, const head *h) {
    const size_t width = job->device->kernels.panel;
    for (size_t c = 0; c < job->head_size; c += width) {
        const size_t columns = cei_min_size(width, job->head_size - c);
        float *panel = h->values + c * h->length;
        job->device->kernels.copy(h->v + c, job->v_stride, h->length, columns, panel, width);
        if (columns == width) continue;
        for (size_t t = 0; t < h->length; t++)
            memset(panel + t * width + columns, 0, (width - columns) * sizeof(float));
    }
}

/* scores [rows, length] = Q K^T for rows queries from first on. */
static void score_block(const attention_job *job, const head *h, size_t first, size_t rows) {
    const cei_cpu_kernels *kernels = &job->device->kernels;
    const size_t width = kernels->panel, size = job->head_size, q_stride = cei_cpu_padded(size);
    kernels->copy(h->q + first * job->q_stride, job->q_stride, rows, size, h->queries, q_stride);
    cei_cpu_product product = {
        .rows = rows, .depth = size, .a = h->queries, .a_stride = q_stride, .out_stride = cei_cpu_padded(h->length)};
    for (size_t t = 0; t < h->length; t += width) {
        product.columns = cei_min_size(width, h->length - t);
        if (first == 0 && h->has_next) fetch_next_head(job, h, t, product.columns);
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
        product.columns = cei_min_size(width, size - c);
        product.panel = h->values + c * h->length;
        product.out = out + c;
        cei_cpu_multiply_deep(kernels, &product, h->partial);
    }
}

static void run_head(const attention_job *job, const head *h, size_t part) {
    const cei_cpu_kernels *kernels = &job->device->kernels;
    const size_t begin = h->asked * part / job->parts, end = h->asked * (part + 1) / job->parts;
    if (begin == end) return;
    pack_keys(job, h);
    pack_values(job, h);
    const size_t block = query_block(h->length), blocks = cei_cpu_divide_up(end - begin, block);
    for (size_t b = 0; b < blocks; b++) {
        const size_t first = begin + (end - begin) * b / blocks, last = begin + (end - begin) * (b + 1) / blocks;
        score_block(job, h, first, last - first);
        kernels->softmax(h->scores, last - first, h->length, cei_cpu_padded(h->length), job->scale, h->factors);
        mix_block(job, h, first, last - first);
    }
}

static void run_heads(void *argument, size_t task, size_t worker) {
    const attention_job *job = argument;
    const size_t part = task % job->parts, group = task / job->parts % job->groups;
    const size_t sequence = task / job->parts / job->groups;
    const size_t end = job->heads * (group + 1) / job->groups;
    for (size_t index = job->heads * group / job->groups; index < end; index++) {
        head h = find_head(job, sequence, index, worker);
        h.has_next = index + 1 < end;
        run_head(job, &h, part);
    }
}

/* Enough tasks that no worker waits long at the end, and as many heads in each as that allows. */
static void split_heads(attention_job *job, const cei_attention_args *args) {
    const size_t workers = job->device->workers, wanted = workers > 1 ? 4 * workers : 1;
    job->groups = cei_min_size(cei_cpu_divide_up(2 * wanted, args->sequences), args->heads);
    const size_t tasks = args->sequences * job->groups, queries = args->first_only ? 1 : args->longest;
    const size_t most = cei_cpu_divide_up(queries, FEWEST_QUERIES);
    job->parts = 1;
    while (tasks * job->parts < wanted && job->parts < most) job->parts++;
}

ce_status cei_cpu_attention(cei_stream *stream, const cei_attention_args *args, ce_error *error) {
    (void)error;
    const cei_cpu_device *device = cei_cpu_of(stream->device);
    attention_job job = {
        .device = device,
        .stream = cei_cpu_stream_of(stream),
        .q = cei_cpu_at(args->q.at),
        .k = cei_cpu_at(args->k.at),
        .v = cei_cpu_at(args->v.at),
        .q_stride = args->q.stride,
        .k_stride = args->k.stride,
        .v_stride = args->v.stride,
        .offsets = cei_cpu_at(args->offsets),
        .out = cei_cpu_at(args->out),
        .first_only = args->first_only,
        .heads = args->heads,
        .head_size = args->head_size,
        .scale = args->scale,
    };
    if (args->sequences * args->heads == 0 || args->head_size == 0) return CE_OK;
    split_heads(&job, args);
    /* A key costs a query two products of head_size, and a few times as much again to be packed. */
    const double queries = args->first_only ? 4 : (double)args->longest;
    const double work = 4.0 * (double)args->tokens * queries * (double)(args->heads * args->head_size);
    cei_cpu_run(device, args->sequences * job.groups * job.parts, work, run_heads, &job);
    return CE_OK;
}
