/* attention_relative.c - what the distances between tokens contribute to the scores of attention.
 *
 * A query times the rows of all distances that it has to its keys is one row of a product, and so is a key times those
 * that it has to its queries: neighbours share all but one of them. So a strip of queries (or keys) is multiplied with
 * the panels of the distances that the strip meets, and each row of the result is spread to the distances' places: into
 * the scores for queries, through a transposed strip for keys. The number of distances bounds the products, no matrix
 * of tokens times distances is ever whole in memory, and what a score becomes does not depend on where strips begin. */
#include "device/cpu/cpu.h"

/* Queries or keys of a strip, and the most keys that are met at once. */
enum { STRIP = CEI_CPU_STRIP, MOST_KEYS = 1024, MOST_WINDOW = MOST_KEYS + STRIP + 2 * CEI_CPU_MAX_PANEL };

/* Queries of a block are CEI_CPU_MAX_ROWS at most: spread for a strip of keys, they lie behind the strip's product. */
_Static_assert(STRIP *MOST_WINDOW <= CEI_CPU_DISTANCE_FLOATS, "a strip of queries has room");
_Static_assert(STRIP *(2 * CEI_CPU_MAX_ROWS + STRIP + 2 * CEI_CPU_MAX_PANEL) <= CEI_CPU_DISTANCE_FLOATS,
               "a strip of keys has room, twice");

/* Some rows times the distances of one head from one on. */
typedef struct strip {
    const float *rows; /* [count, depth], stride floats apart */
    size_t count, stride, depth;
    const float *panels; /* of the head's distances */
    size_t low, high;    /* the first and the last of them that are met */
    size_t begin;        /* the first that is multiplied: where a panel begins */
    float *out;          /* [count, width], from begin on */
    size_t width;
} strip;

static void multiply_strip(const cei_cpu_kernels *kernels, strip *s, float *partial) {
    const size_t panel = kernels->panel;
    s->begin = s->low / panel * panel;
    s->width = cei_cpu_divide_up(s->high + 1 - s->begin, panel) * panel;
    cei_cpu_product product = {.rows = s->count,
                               .depth = s->depth,
                               .columns = panel,
                               .a = s->rows,
                               .a_stride = s->stride,
                               .out_stride = s->width};
    for (size_t c = 0; c < s->width; c += panel) {
        product.panel = s->panels + (s->begin + c) * s->depth;
        product.out = s->out + c;
        cei_cpu_multiply_deep(kernels, &product, partial);
    }
}

/* The places of distances in a sequence, by distance: entry 0 is that of distance 0. */
static const int32_t *places_of(const cei_attention_relative_args *args, const cei_distances *distances) {
    return (const int32_t *)cei_cpu_at(distances->places) + args->attention.longest - 1;
}

static const float *panels_of(const cei_attention_relative_args *args, const cei_distances *distances, size_t head) {
    const size_t values = distances->rows_per_head * args->attention.head_size;
    return (const float *)cei_cpu_at(distances->weight->at) + head * values;
}

/* Where a row of a strip begins: at the place of its first distance. */
static const float *spread_from(const strip *s, size_t row, const int32_t *places) {
    return s->out + row * s->width + ((size_t)places[0] - s->begin);
}

/* Adds q_i keys[j - i] for a strip of queries i and keys j from first_key to before end_key. */
static void add_keys(const cei_cpu_kernels *kernels, const cei_cpu_scores *block, strip *s, const int32_t *places,
                     size_t first_row, size_t first_key, size_t end_key, float *partial) {
    const size_t stride = cei_cpu_padded(block->length);
    const ptrdiff_t query = (ptrdiff_t)(block->first + first_row), last = query + (ptrdiff_t)s->count - 1;
    s->rows = block->q + first_row * block->q_stride;
    s->low = (size_t)places[(ptrdiff_t)first_key - last];
    s->high = (size_t)places[(ptrdiff_t)end_key - 1 - query];
    multiply_strip(kernels, s, partial);
    for (size_t r = 0; r < s->count; r++) {
        const int32_t *from = places + ((ptrdiff_t)first_key - query - (ptrdiff_t)r);
        float *scores = block->scores + (first_row + r) * stride + first_key;
        kernels->spread(spread_from(s, r, from), from, end_key - first_key, scores, scores);
    }
}

/* Adds k_j queries[i - j] for a strip of keys j and all queries i of the block. Copied, the keys lie as queries do. */
static void add_queries(const cei_cpu_kernels *kernels, const cei_cpu_scores *block, strip *s, const int32_t *places,
                        size_t first_key, float *partial) {
    const size_t stride = cei_cpu_padded(block->rows);
    const ptrdiff_t key = (ptrdiff_t)first_key, query = (ptrdiff_t)block->first;
    kernels->copy(block->k + first_key * block->k_stride, block->k_stride, s->count, s->depth, block->spare, s->stride);
    s->rows = block->spare;
    s->low = (size_t)places[query - (key + (ptrdiff_t)s->count - 1)];
    s->high = (size_t)places[query + (ptrdiff_t)block->rows - 1 - key];
    multiply_strip(kernels, s, partial);
    float *spread = s->out + s->count * s->width;
    for (size_t r = 0; r < s->count; r++) {
        const int32_t *from = places + (query - key - (ptrdiff_t)r);
        kernels->spread(spread_from(s, r, from), from, block->rows, NULL, spread + r * stride);
    }
    kernels->add_transposed(spread, stride, s->count, block->rows, block->scores + first_key,
                            cei_cpu_padded(block->length));
}

static void add_bias(const cei_cpu_kernels *kernels, const cei_cpu_scores *block, const float *bias,
                     const int32_t *places) {
    const size_t stride = cei_cpu_padded(block->length);
    for (size_t r = 0; r < block->rows; r++) {
        const int32_t *from = places - (ptrdiff_t)(block->first + r);
        float *scores = block->scores + r * stride;
        kernels->spread(bias + from[0], from, block->length, scores, scores);
    }
}

void cei_cpu_add_distances(const cei_cpu_device *device, const cei_cpu_scratch_plan *plan,
                           const cei_attention_relative_args *args, const cei_cpu_scores *block) {
    const cei_cpu_kernels *kernels = &device->kernels;
    float *partial = block->scratch + plan->partial;
    strip s = {.depth = args->attention.head_size, .out = block->scratch + plan->rows};
    if (args->keys.weight) {
        s.panels = panels_of(args, &args->keys, block->head);
        s.stride = block->q_stride;
        for (size_t r = 0; r < block->rows; r += STRIP) {
            s.count = cei_min_size(STRIP, block->rows - r);
            for (size_t k = 0; k < block->length; k += MOST_KEYS)
                add_keys(kernels, block, &s, places_of(args, &args->keys), r, k,
                         cei_min_size(k + MOST_KEYS, block->length), partial);
        }
    }
    if (args->queries.weight) {
        s.panels = panels_of(args, &args->queries, block->head);
        s.stride = block->q_stride;
        for (size_t k = 0; k < block->length; k += STRIP) {
            s.count = cei_min_size(STRIP, block->length - k);
            add_queries(kernels, block, &s, places_of(args, &args->queries), k, partial);
        }
    }
    if (args->bias.weight)
        add_bias(kernels, block,
                 (const float *)cei_cpu_at(args->bias.weight->at) + block->head * args->bias.rows_per_head,
                 places_of(args, &args->bias));
}
