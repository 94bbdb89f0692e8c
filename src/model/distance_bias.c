/* distance_bias.c - rows of distances, and the biases that stand in them. The only arithmetic is on slopes and on what
 * a table has, while a model is placed. */
#include "model/distance_bias.h"

#include "base/error.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

/* Places take memory by it, whatever the checkpoint has. */
enum { MOST_POSITIONS = 1 << 16 };

/* ---- rows --------------------------------------------------------------------------------------------------- */

ce_status cei_distance_bias_check(cei_bias_kind kind, const cei_config *config, ce_error *error) {
    if (config->max_positions > MOST_POSITIONS)
        return cei_fail(error, CE_ERR_UNSUPPORTED,
                        "%s: max_position_embeddings is %zu; the most with a bias by distance is %d", config->path,
                        config->max_positions, MOST_POSITIONS);
    if (kind == CEI_BIAS_BUCKETS && config->bias_buckets < CEI_BIAS_TABLE_ROWS)
        return cei_fail(error, CE_ERR_MODEL,
                        "%s: relative_attention_num_buckets is %zu, and distances are told apart by %d", config->path,
                        config->bias_buckets, CEI_BIAS_TABLE_ROWS);
    return CE_OK;
}

/* The bucket of j - i: distances themselves up to 7, then by their logarithm up to 127; keys behind the query have the
 * second half. Single precision and its order of operations decide where a bucket ends, as in the reference. */
static int32_t bucket_of(ptrdiff_t distance) {
    enum { HALF = CEI_BIAS_TABLE_ROWS / 2, EXACT = HALF / 2, FARTHEST = 128 };
    const ptrdiff_t size = distance < 0 ? -distance : distance;
    const int32_t first = distance > 0 ? HALF : 0;
    if (size < EXACT) return first + (int32_t)size;
    const float share = logf((float)size / (float)EXACT) / (float)log((double)FARTHEST / EXACT);
    const int32_t bucket = EXACT + (int32_t)(share * (float)(HALF - EXACT));
    return first + (bucket < HALF ? bucket : HALF - 1);
}

static int32_t source_of(cei_bias_kind kind, ptrdiff_t distance) {
    return kind == CEI_BIAS_BUCKETS ? bucket_of(distance) : (int32_t)(distance < 0 ? -distance : distance);
}

static size_t distances_of(const cei_config *config) { return 2 * config->max_positions - 1; }

size_t cei_distance_bias_integers(const cei_config *config) { return 2 * distances_of(config); }

void cei_distance_bias_init(cei_distance_bias *bias, cei_bias_kind kind, const cei_config *config, int32_t *memory) {
    const size_t count = distances_of(config), head_size = config->hidden_size / config->heads;
    bias->kind = kind;
    bias->heads = config->heads;
    bias->length = config->max_positions;
    bias->scale = 1.0f / sqrtf((float)head_size);
    bias->places = memory;
    bias->sources = memory + count;
    for (size_t i = 0; i < count; i++) {
        const int32_t source = source_of(kind, (ptrdiff_t)i - (ptrdiff_t)config->max_positions + 1);
        if (i == 0 || source != bias->sources[bias->rows - 1]) bias->sources[bias->rows++] = source;
        bias->places[i] = (int32_t)bias->rows - 1;
    }
    bias->rows_per_head = (bias->rows + CEI_PANEL_ROWS - 1) / CEI_PANEL_ROWS * CEI_PANEL_ROWS;
}

cei_weight cei_distance_bias_shape(const cei_distance_bias *bias) {
    return (cei_weight){.role = CEI_ROLE_TABLE,
                        .rows = bias->heads * bias->rows_per_head,
                        .columns = 1,
                        .format = CEI_FORMAT_FLOAT32,
                        .exact = true};
}

/* ---- deriving ----------------------------------------------------------------------------------------------- */

/* ALiBi's slopes: 2^(-8 (h + 1) / n) for n heads, a power of two; of other numbers, those of the power below it, then
 * every second of that above it. */
static double slope_of(size_t head, size_t heads) {
    size_t below = 1;
    while (2 * below <= heads) below *= 2;
    if (head < below) return pow(2, -8 * (double)(head + 1) / (double)below);
    return pow(2, -8 * (double)(2 * (head - below) + 1) / (double)(2 * below));
}

/* count rows from first on of all heads, as values [heads, count]. */
static void fill_slopes(const cei_distance_bias *bias, size_t first, size_t count, float *values) {
    for (size_t head = 0; head < bias->heads; head++) {
        const float slope = (float)slope_of(head, bias->heads);
        for (size_t r = 0; r < count; r++)
            values[head * count + r] = -(slope * (float)bias->sources[first + r]) / bias->scale;
    }
}

/* The same from the table. looked_up: [count, heads]. */
static ce_status look_up(const cei_distance_bias *bias, const cei_derivation *on, size_t first, size_t count,
                         float *looked_up, float *values, ce_error *error) {
    const ce_status status =
        cei_derivation_read(on, &on->weights[bias->table], bias->sources + first, count, looked_up, error);
    for (size_t i = 0; i < count * bias->heads && status == CE_OK; i++)
        values[i % bias->heads * count + i / bias->heads] = looked_up[i] / bias->scale;
    return status;
}

static ce_status derive_rows(const cei_distance_bias *bias, const cei_derivation *on, size_t first, size_t count,
                             float *memory, const cei_weight *to, ce_error *error) {
    ce_status status = CE_OK;
    if (bias->kind == CEI_BIAS_SLOPES)
        fill_slopes(bias, first, count, memory);
    else
        status = look_up(bias, on, first, count, memory + on->rows * bias->heads, memory, error);
    for (size_t head = 0; head < bias->heads && status == CE_OK; head++)
        status = cei_derivation_write(on, to, head * bias->rows_per_head + first, count, memory + head * count, error);
    return status;
}

ce_status cei_distance_bias_derive(const cei_distance_bias *bias, const cei_derivation *derivation,
                                   const cei_weight *to, ce_error *error) {
    const size_t length = cei_min_size(derivation->longest, bias->length), center = bias->length - 1;
    const size_t end = (size_t)bias->places[center + length - 1] + 1;
    float *memory = cei_alloc(derivation->rows, 2 * bias->heads * sizeof *memory);
    ce_status status = memory ? CE_OK : cei_fail_memory(error, "the bias of distances", 0);
    for (size_t first = (size_t)bias->places[center - (length - 1)], count; first < end && status == CE_OK;
         first += count) {
        count = cei_min_size(derivation->rows, end - first);
        status = derive_rows(bias, derivation, first, count, memory, to, error);
    }
    cei_free(memory);
    return status;
}

/* ---- running ------------------------------------------------------------------------------------------------ */

ce_status cei_distance_bias_send(const cei_distance_bias *bias, cei_stream *stream, size_t longest, cei_slice places,
                                 ce_error *error) {
    if (longest == 0) return CE_OK;
    const size_t skipped = bias->length - longest, bytes = (2 * longest - 1) * sizeof(int32_t);
    return cei_write(stream, places, bias->places + skipped, bytes, error);
}
