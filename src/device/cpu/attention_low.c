/* attention_low.c - the products of attention in bfloat16, for tiers that multiply so and can pack values
 * (cei_cpu_low.pack).
 *
 * Q, K, V and the exponentials of a row are rounded, sums are float32. K lies in panels of pairs along the head's
 * columns, V of pairs along tokens; both go on as far as a step, where V is 0. Rows are rounded where they are, in
 * scratch memory whose rows are as far apart as those of float32. The order of a sum follows from its depth alone. */
#include "device/cpu/cpu.h"

static size_t padded_depth(const cei_cpu_low *low, size_t depth) {
    return cei_cpu_divide_up(depth, low->step) * low->step;
}

size_t cei_cpu_low_depth_floats(const cei_cpu_low *low, size_t depth) {
    return low->pack ? cei_max_size(depth, padded_depth(low, depth) / low->group) : depth;
}

/* Floats from one panel to the next: a pair of values is as large. */
static size_t panel_floats(const cei_cpu_kernels *kernels, size_t depth) {
    return padded_depth(&kernels->bfloat16, depth) / kernels->bfloat16.group * kernels->panel;
}

/* Keys are rounded, then transposed in pairs. The last panel's columns past the sequence take whatever was there: they
 * reach no score that is read. */
void cei_cpu_low_pack_keys(const cei_cpu_low_head *h, const float *k, size_t stride) {
    const cei_cpu_low *low = &h->kernels->bfloat16;
    const size_t width = h->kernels->panel, floats = panel_floats(h->kernels, h->size);
    const size_t pairs = floats / width, row = cei_cpu_padded(h->size);
    for (size_t t = 0; t < h->length; t += width) {
        const size_t count = cei_min_size(width, h->length - t);
        low->prepare(k + t * stride, stride, count, h->size, h->queries, row * sizeof(float), NULL);
        h->kernels->pack(h->queries, row, count, pairs, 0, h->keys + t / width * floats);
    }
}

void cei_cpu_low_pack_values(const cei_cpu_low_head *h, const float *v, size_t stride) {
    const size_t width = h->kernels->panel, floats = panel_floats(h->kernels, h->length);
    for (size_t c = 0; c < h->size; c += width)
        h->kernels->bfloat16.pack(v + c, stride, h->length, cei_min_size(width, h->size - c),
                                  h->values + c / width * floats);
}

void cei_cpu_low_round_queries(const cei_cpu_low_head *h, const float *q, size_t stride, size_t rows) {
    const size_t row = cei_cpu_padded(h->size) * sizeof(float);
    h->kernels->bfloat16.prepare(q, stride, rows, h->size, h->queries, row, NULL);
}

void cei_cpu_low_score(const cei_cpu_low_head *h, size_t rows, size_t first_key, size_t keys, float *scores,
                       size_t stride) {
    const cei_cpu_low *low = &h->kernels->bfloat16;
    const size_t floats = panel_floats(h->kernels, h->size);
    const cei_cpu_low_product product = {.rows = rows,
                                         .depth = padded_depth(low, h->size),
                                         .columns = keys,
                                         .a = h->queries,
                                         .a_stride = cei_cpu_padded(h->size) * sizeof(float),
                                         .panel = h->keys + first_key / h->kernels->panel * floats,
                                         .panel_bytes = floats * sizeof(float),
                                         .out = scores,
                                         .out_stride = stride};
    low->score(&product);
}

void cei_cpu_low_mix(const cei_cpu_low_head *h, size_t rows, size_t first_key, size_t keys, const float *weights,
                     const float *factors, float *out, size_t out_stride) {
    const cei_cpu_low *low = &h->kernels->bfloat16;
    const cei_cpu_low_product product = {.rows = rows,
                                         .depth = padded_depth(low, keys),
                                         .columns = h->size,
                                         .a = weights,
                                         .a_stride = cei_cpu_padded(keys) * sizeof(float),
                                         .factors = factors,
                                         .panel = h->values + first_key / low->group * h->kernels->panel,
                                         .panel_bytes = panel_floats(h->kernels, h->length) * sizeof(float),
                                         .out = out,
                                         .out_stride = out_stride};
    low->mix(&product);
}
