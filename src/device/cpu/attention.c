/* attention.c - exact softmax(scale Q K^T) V over packed sequences, with the same inner product as linear layers. Where
 * precision and tier allow, the two products are taken in bfloat16 (attention_low.c); the softmax between them is not.
 *
 * A task is some heads of a sequence, or a part of one head's queries where heads are few. For each head it packs K^T
 * and V into panels, then takes queries in blocks whose scores fit into the second-level cache: memory grows with the
 * length of a sequence, never with its square. Sums run over keys in an order that follows from the length alone.
 * A head's rows are a line or two each, far apart: those of the task's next head are prefetched meanwhile.
 *
 * With a window, or where no token sees those behind it, a block of queries is scored against the panels of keys that
 * any of them sees. The blocks are then places of the sequence that nothing but its length and the window decide, since
 * where a block begins and ends is where its sums over keys do. Heads that share keys and values share their panels. */
#include "device/cpu/cpu.h"

#include <string.h>

/* Scores that are held at once, unless those of a tile's rows are more: they stay in the second-level cache, or in the
 * first where a product is so fast that the scores' way would take longer. */
enum { SCORES = 48 * 1024, LOW_SCORES = 9 * 1024, TILE_ROWS = 14, LOW_TILE_ROWS = 16, MOST_TILES = 8 };

/* Queries are split over tasks in parts of at least this. */
enum { FEWEST_QUERIES = 64 };

/* Queries of a block that does not see all, at most: whole tiles of every tier, and few keys that only some of them
 * see. */
enum { LOCAL_ROWS = 42, LOW_LOCAL_ROWS = 32 };

size_t cei_cpu_pieces_depth_floats(const cei_cpu_kernels *kernels, size_t depth) {
    enum { STEP = 32 };
    const size_t count = cei_max_size(kernels->pieces.count, kernels->rounded.count);
    return cei_cpu_divide_up(depth, STEP) * STEP * count * sizeof(uint16_t) / sizeof(float);
}

size_t cei_cpu_score_floats(const cei_cpu_kernels *kernels, size_t length) {
    const size_t rows = kernels->bfloat16.pack ? LOW_TILE_ROWS : TILE_ROWS;
    _Static_assert((size_t)CEI_CPU_ATTEND_FLOATS <= SCORES, "one kernel's attention has room too");
    return cei_max_size(rows * cei_cpu_padded(length), SCORES);
}

typedef struct attention_job {
    const cei_cpu_device *device;
    const cei_cpu_stream *stream;
    const float *q, *k, *v;
    size_t q_stride, k_stride, v_stride;
    const int32_t *offsets;
    float *out; /* [rows of q, heads, head_size] */
    bool first_only, last_only, causal;
    size_t heads, head_size, window;
    size_t shared; /* heads of queries that read one head of keys */
    size_t groups; /* of heads */
    size_t parts;  /* of a head's queries; more than one only where each head is a group */
    float scale, cap;
    const cei_attention_relative_args *relative; /* NULL: distances don't count */
    bool is_low;                                 /* products in bfloat16 */
    const cei_cpu_pieces *pieces;                /* one kernel for heads that see all keys; NULL: there is none */
} attention_job;

/* Queries of a block that sees so many keys. */
static size_t block_rows(const attention_job *job, size_t keys) {
    const size_t scores = job->is_low ? LOW_SCORES : SCORES, tile = job->is_low ? LOW_TILE_ROWS : TILE_ROWS;
    const size_t rows = scores / cei_cpu_padded(keys);
    return cei_min_size(cei_max_size(rows / tile, 1), MOST_TILES) * tile;
}

/* One head of one sequence, and the worker's memory for it. */
typedef struct head {
    const float *q, *k, *v; /* of the first token that is asked for; of the first token */
    float *out;
    size_t index;
    size_t length, first, asked, out_stride; /* the place of the first query that is asked for, and how many are */
    size_t window;                           /* 0 where it is wider than the sequence */
    bool is_whole;                           /* every query sees all keys */
    bool has_next;                           /* the task goes on with the head behind this one */
    float *scratch;                          /* of the worker; the others are parts of it */
    float *keys, *values, *queries, *scores, *factors, *partial;
} head;

static head find_head(const attention_job *job, size_t sequence, size_t index, size_t worker) {
    const size_t hidden = job->heads * job->head_size;
    const size_t first = (size_t)job->offsets[sequence], length = (size_t)job->offsets[sequence + 1] - first;
    const bool is_one = job->first_only || job->last_only;
    const size_t row = is_one ? sequence : first, column = index * job->head_size;
    const size_t key_column = index / job->shared * job->head_size, window = job->window + 1 < length ? job->window : 0;
    const cei_cpu_scratch_plan *plan = &job->stream->plan;
    float *scratch = job->stream->scratch + worker * plan->total;
    return (head){
        .q = job->q + row * job->q_stride + column,
        .k = job->k + first * job->k_stride + key_column,
        .v = job->v + first * job->v_stride + key_column,
        .out = job->out + row * hidden + column,
        .index = index,
        .length = length,
        .first = job->last_only && length ? length - 1 : 0,
        .asked = is_one && length ? 1 : length,
        .out_stride = hidden,
        .window = window,
        .is_whole = !window && !job->causal,
        .scratch = scratch,
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
    if ((h->index + 1) % job->shared == 0) {
        fetch_rows(job, h->k + first * job->k_stride, job->k_stride, count);
        fetch_rows(job, h->v + first * job->v_stride, job->v_stride, count);
    }
    if (!job->first_only) fetch_rows(job, h->q + first * job->q_stride, job->q_stride, count);
}

static cei_cpu_low_head low_of(const attention_job *job, const head *h) {
    return (cei_cpu_low_head){&job->device->kernels, job->head_size, h->length, h->keys, h->values, h->queries};
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

/* Is a head's attention one kernel's work? */
static bool is_at_once(const attention_job *job, const head *h) { return job->pieces && h->is_whole; }

static void pack_head(const attention_job *job, const head *h) {
    const cei_cpu_low_head low = low_of(job, h);
    if (is_at_once(job, h)) {
        job->pieces->pack_keys(h->k, job->k_stride, h->length, job->head_size, h->keys);
        job->pieces->pack_values(h->v, job->v_stride, h->length, job->head_size, h->values);
    } else if (job->is_low) {
        cei_cpu_low_pack_keys(&low, h->k, job->k_stride);
        cei_cpu_low_pack_values(&low, h->v, job->v_stride);
    } else {
        pack_keys(job, h);
        pack_values(job, h);
    }
}

/* Some queries of a head, and the keys that they are scored against, from the beginning of a panel on. */
typedef struct query_block {
    size_t first, rows, first_key, keys;
} query_block;

/* The rows of a block's queries, as a matrix of so much width begins with those that are asked for. */
static size_t row_of(const head *h, const query_block *b) { return b->first - h->first; }

/* Scores are capped by their tanh, which takes them scaled: so the queries are. */
static void scale_queries(const attention_job *job, const head *h, size_t rows, size_t stride) {
    const float factor = job->scale / job->cap;
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < job->head_size; i++) h->queries[r * stride + i] *= factor;
}

static bool copies_queries(const attention_job *job) { return !job->is_low || job->cap > 0 || job->relative; }

static void copy_queries(const attention_job *job, const head *h, const query_block *b) {
    const size_t size = job->head_size, stride = cei_cpu_padded(size);
    job->device->kernels.copy(h->q + row_of(h, b) * job->q_stride, job->q_stride, b->rows, size, h->queries, stride);
    if (job->cap > 0) scale_queries(job, h, b->rows, stride);
}

/* scores [rows, keys] = Q K^T, of queries that are copied. */
static void score_block(const attention_job *job, const head *h, const query_block *b) {
    const cei_cpu_kernels *kernels = &job->device->kernels;
    const size_t width = kernels->panel, size = job->head_size, q_stride = cei_cpu_padded(size);
    cei_cpu_product product = {
        .rows = b->rows, .depth = size, .a = h->queries, .a_stride = q_stride, .out_stride = cei_cpu_padded(b->keys)};
    for (size_t t = 0; t < b->keys; t += width) {
        product.columns = cei_min_size(width, b->keys - t);
        if (b->first == 0 && h->has_next) fetch_next_head(job, h, t, product.columns);
        product.panel = h->keys + (b->first_key + t) * size;
        product.out = h->scores + t;
        cei_cpu_multiply_deep(kernels, &product, h->partial);
    }
}

/* The same in bfloat16. The queries lie copied where more than these products needs them; then they are rounded there.
 */
static void score_block_low(const attention_job *job, const head *h, const query_block *b) {
    const cei_cpu_low_head low = low_of(job, h);
    const size_t first = row_of(h, b);
    if (h->has_next && h->asked < h->length) fetch_next_head(job, h, 0, h->length);
    if (copies_queries(job))
        cei_cpu_low_round_queries(&low, h->queries, cei_cpu_padded(job->head_size), b->rows);
    else
        cei_cpu_low_round_queries(&low, h->q + first * job->q_stride, job->q_stride, b->rows);
    cei_cpu_low_score(&low, b->rows, b->first_key, b->keys, h->scores, cei_cpu_padded(b->keys));
}

/* The keys that a query of a block sees, from the block's first on. */
static size_t find_seen(const attention_job *job, const head *h, const query_block *b, size_t r, size_t *before) {
    size_t first;
    const size_t place = b->first + r, length = job->causal ? place + 1 : h->length;
    const size_t seen = cei_attention_sees(h->window, place, length, &first);
    *before = first - b->first_key;
    return seen;
}

/* Scores become weights: of the keys that a query sees, and 0 for the others. */
static void weigh_block(const attention_job *job, const head *h, const query_block *b, float scale) {
    const size_t stride = cei_cpu_padded(b->keys);
    if (h->is_whole) {
        job->device->kernels.softmax(h->scores, b->rows, b->keys, stride, scale, h->factors);
        return;
    }
    for (size_t r = 0; r < b->rows; r++) {
        size_t before;
        const size_t seen = find_seen(job, h, b, r, &before);
        float *row = h->scores + r * stride;
        memset(row, 0, before * sizeof *row);
        job->device->kernels.softmax(row + before, 1, seen, seen, scale, h->factors + r);
        memset(row + before + seen, 0, (b->keys - before - seen) * sizeof *row);
    }
}

/* The next head's rows from the place of a query on, if all are asked for: then each query of this head fetches one. */
static cei_cpu_next find_next(const attention_job *job, const head *h, size_t first) {
    const size_t size = job->head_size;
    cei_cpu_next next = {.floats = size, .stride = {job->q_stride, job->k_stride, job->v_stride}};
    if (!h->has_next || h->asked < h->length) return next;
    next.rows[0] = h->q + first * job->q_stride + size;
    if ((h->index + 1) % job->shared != 0) return next;
    next.rows[1] = h->k + first * job->k_stride + size;
    next.rows[2] = h->v + first * job->v_stride + size;
    return next;
}

/* The same, and weights are rounded. */
static void weigh_block_low(const attention_job *job, const head *h, const query_block *b, float scale) {
    const size_t stride = cei_cpu_padded(b->keys);
    cei_cpu_weighing w = {.scores = h->scores,
                          .rows = b->rows,
                          .columns = b->keys,
                          .stride = stride,
                          .seen = b->keys,
                          .scale = scale,
                          .factors = h->factors,
                          .next = find_next(job, h, b->first)};
    if (h->is_whole) {
        job->device->kernels.bfloat16.weigh(&w);
        return;
    }
    w.rows = 1;
    for (size_t r = 0; r < b->rows; r++, w.scores += stride, w.factors++) {
        w.next = find_next(job, h, b->first + r);
        w.seen = find_seen(job, h, b, r, &w.first);
        job->device->kernels.bfloat16.weigh(&w);
    }
}

/* out = weights V * factors. */
static void mix_block(const attention_job *job, const head *h, const query_block *b) {
    const cei_cpu_kernels *kernels = &job->device->kernels;
    const size_t width = kernels->panel, size = job->head_size;
    float *out = h->out + row_of(h, b) * h->out_stride;
    cei_cpu_product product = {.rows = b->rows,
                               .depth = b->keys,
                               .a = h->scores,
                               .a_stride = cei_cpu_padded(b->keys),
                               .factors = h->factors,
                               .out_stride = h->out_stride};
    for (size_t c = 0; c < size; c += width) {
        product.columns = cei_min_size(width, size - c);
        product.panel = h->values + c * h->length + b->first_key * width;
        product.out = out + c;
        cei_cpu_multiply_deep(kernels, &product, h->partial);
    }
}

static void mix_block_low(const attention_job *job, const head *h, const query_block *b) {
    const cei_cpu_low_head low = low_of(job, h);
    cei_cpu_low_mix(&low, b->rows, b->first_key, b->keys, h->scores, h->factors, h->out + row_of(h, b) * h->out_stride,
                    h->out_stride);
}

/* What distances contribute to the scores of a block, in float32; its queries lie copied. */
static void add_distances(const attention_job *job, const head *h, const query_block *b) {
    _Static_assert(MOST_TILES * LOW_TILE_ROWS + CEI_CPU_STRIP <= CEI_CPU_MAX_ROWS,
                   "the memory for queries has room for a strip of keys");
    const size_t q_stride = cei_cpu_padded(job->head_size);
    const cei_cpu_scores block = {.head = h->index,
                                  .length = h->length,
                                  .first = b->first,
                                  .rows = b->rows,
                                  .q = h->queries,
                                  .q_stride = q_stride,
                                  .spare = h->queries + b->rows * q_stride,
                                  .k = h->k,
                                  .k_stride = job->k_stride,
                                  .scores = h->scores,
                                  .scratch = h->scratch};
    cei_cpu_add_distances(job->device, &job->stream->plan, job->relative, &block);
}

static void run_block(const attention_job *job, const head *h, const query_block *b) {
    const float scale = job->cap > 0 ? job->cap : job->scale;
    if (copies_queries(job)) copy_queries(job, h, b);
    if (job->is_low) {
        score_block_low(job, h, b);
        if (job->relative) copy_queries(job, h, b);
    } else {
        score_block(job, h, b);
    }
    if (job->relative) add_distances(job, h, b);
    if (job->cap > 0) job->device->kernels.apply[CEI_FN_TANH](h->scores, b->rows, b->keys, cei_cpu_padded(b->keys));
    if (job->is_low) {
        weigh_block_low(job, h, b, scale);
        mix_block_low(job, h, b);
    } else {
        weigh_block(job, h, b, scale);
        mix_block(job, h, b);
    }
}

/* Queries from begin to end of a head that one kernel takes. */
static void run_at_once(const attention_job *job, const head *h, size_t begin, size_t end) {
    const size_t row = begin - h->first;
    const cei_cpu_attending a = {.rows = end - begin,
                                 .size = job->head_size,
                                 .length = h->length,
                                 .q = h->q + row * job->q_stride,
                                 .q_stride = job->q_stride,
                                 .keys = h->keys,
                                 .values = h->values,
                                 .scale = job->scale,
                                 .scratch = h->scores,
                                 .out = h->out + row * h->out_stride,
                                 .out_stride = h->out_stride,
                                 .next = find_next(job, h, begin)};
    if (h->has_next && h->asked < h->length) fetch_next_head(job, h, 0, h->length);
    job->pieces->attend(&a);
}

/* Queries from begin to end against all keys: where blocks begin changes nothing. */
static void run_global(const attention_job *job, const head *h, size_t begin, size_t end) {
    if (is_at_once(job, h)) {
        run_at_once(job, h, begin, end);
        return;
    }
    const size_t blocks = cei_cpu_divide_up(end - begin, block_rows(job, h->length));
    for (size_t i = 0; i < blocks; i++) {
        const size_t first = begin + (end - begin) * i / blocks, last = begin + (end - begin) * (i + 1) / blocks;
        run_block(job, h, &(query_block){first, last - first, 0, h->length});
    }
}

/* Queries of a block that does not see all, so many that their scores have room. */
static size_t local_rows(const attention_job *job, const head *h) {
    const size_t most = job->is_low ? LOW_LOCAL_ROWS : LOCAL_ROWS;
    const size_t others = h->window + most + job->device->kernels.panel;
    const size_t keys = h->window ? cei_min_size(h->length - h->window, others) + h->window : h->length;
    return cei_min_size(most, block_rows(job, keys));
}

/* Block i of so many rows, or those of its queries that are asked for: which keys it meets does not depend on that. */
static query_block local_block(const attention_job *job, const head *h, size_t i, size_t rows) {
    const size_t width = job->device->kernels.panel, window = h->window, begin = i * rows;
    const size_t end = cei_min_size(h->length, begin + rows);
    const size_t first_key = window && begin > window ? (begin - window) / width * width : 0;
    const size_t end_key = job->causal ? end : cei_min_size(h->length - window, end) + window;
    const size_t first = cei_max_size(begin, h->first), last = cei_min_size(end, h->first + h->asked);
    return (query_block){first, last - first, first_key, end_key - first_key};
}

/* The blocks from begin to end, of so many rows. */
static void run_local(const attention_job *job, const head *h, size_t begin, size_t end, size_t rows) {
    for (size_t i = begin; i < end; i++) {
        const query_block block = local_block(job, h, i, rows);
        run_block(job, h, &block);
    }
}

/* A part is a share of the queries, or of the blocks where these may not be cut. */
static void run_head(const attention_job *job, const head *h, size_t part, bool is_packed) {
    const size_t rows = h->is_whole ? 1 : local_rows(job, h), first = h->first / rows;
    const size_t units = cei_cpu_divide_up(h->first + h->asked, rows) - first;
    const size_t begin = first + units * part / job->parts, end = first + units * (part + 1) / job->parts;
    if (begin == end) return;
    if (!is_packed) pack_head(job, h);
    if (h->is_whole)
        run_global(job, h, begin, end);
    else
        run_local(job, h, begin, end, rows);
}

static void run_heads(void *argument, size_t task, size_t worker) {
    const attention_job *job = argument;
    const size_t part = task % job->parts, group = task / job->parts % job->groups;
    const size_t sequence = task / job->parts / job->groups;
    const size_t begin = job->heads * group / job->groups, end = job->heads * (group + 1) / job->groups;
    for (size_t index = begin; index < end; index++) {
        head h = find_head(job, sequence, index, worker);
        h.has_next = index + 1 < end;
        run_head(job, &h, part, index > begin && index % job->shared != 0);
    }
}

/* Enough tasks that no worker waits long at the end, and as many heads in each as that allows. */
static void split_heads(attention_job *job, const cei_attention_args *args) {
    const size_t workers = job->device->workers, wanted = workers > 1 ? 4 * workers : 1;
    job->groups = cei_min_size(cei_cpu_divide_up(2 * wanted, args->sequences), args->heads);
    const size_t tasks = args->sequences * job->groups, queries = cei_attention_asks_one(args) ? 1 : args->longest;
    const size_t most = cei_cpu_divide_up(queries, FEWEST_QUERIES);
    job->parts = 1;
    while (tasks * job->parts < wanted && job->parts < most) job->parts++;
}

bool cei_cpu_rounds_attention(const cei_device *device, ce_precision precision) {
    return (precision == CE_PRECISION_BFLOAT16 || precision == CE_PRECISION_INT8) &&
           cei_cpu_of(device)->kernels.bfloat16.pack;
}

static void attend(cei_stream *stream, const cei_attention_args *args, const cei_attention_relative_args *relative) {
    const cei_cpu_device *device = cei_cpu_stream_of(stream)->device;
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
        .last_only = args->last_only,
        .causal = args->causal,
        .heads = args->heads,
        .head_size = args->head_size,
        .window = args->window && args->window < args->longest ? args->window : 0,
        .scale = args->scale,
        .cap = args->cap,
        .relative = relative,
        .is_low = cei_cpu_rounds_attention(stream->device, args->precision),
    };
    if (args->sequences * args->heads == 0 || args->head_size == 0) return;
    const cei_cpu_pieces *pieces = job.is_low ? &device->kernels.rounded : &device->kernels.pieces;
    if (pieces->attend && args->head_size <= CEI_CPU_ATTEND_SIZE && job.cap <= 0 && !relative) job.pieces = pieces;
    job.shared = args->heads / cei_attention_key_heads(args);
    split_heads(&job, args);
    /* A key costs a query two products of head_size, and a few times as much again to be packed. */
    const double seen = (double)(job.window ? cei_min_size(2 * job.window, args->longest) : args->longest);
    const double queries = cei_attention_asks_one(args) ? 4 : args->causal ? seen / 2 : seen;
    const double work = 4.0 * (double)args->tokens * queries * (double)(args->heads * args->head_size);
    cei_cpu_run(device, args->sequences * job.groups * job.parts, work, run_heads, &job);
}

ce_status cei_cpu_attention(cei_stream *stream, const cei_attention_args *args, ce_error *error) {
    (void)error;
    attend(stream, args, NULL);
    return CE_OK;
}

ce_status cei_cpu_attention_relative(cei_stream *stream, const cei_attention_relative_args *args, ce_error *error) {
    (void)error;
    attend(stream, &args->attention, args);
    return CE_OK;
}
