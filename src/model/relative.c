/* relative.c - rows of distances, and the keys and queries that layers make of them. Does no arithmetic on values: they
 * are computed by the device's operations, read, and written back in the layout of weights. */
#include "model/relative.h"

#include "base/error.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>

/* Places take memory by it, whatever the checkpoint has. */
enum { MOST_POSITIONS = 1 << 16 };

/* ---- rows --------------------------------------------------------------------------------------------------- */

static size_t positions_of(const cei_config *config) {
    return config->relative.max_positions ? config->relative.max_positions : config->max_positions;
}

static size_t span_of(const cei_config *config) {
    return config->relative.buckets ? config->relative.buckets : positions_of(config);
}

ce_status cei_relative_check(const cei_config *config, ce_error *error) {
    const cei_relative_config *relative = &config->relative;
    const size_t middle = relative->buckets / 2;
    if (config->max_positions > MOST_POSITIONS)
        return cei_fail(error, CE_ERR_UNSUPPORTED,
                        "%s: max_position_embeddings is %zu; the most with relative_attention is %d", config->path,
                        config->max_positions, MOST_POSITIONS);
    if (relative->buckets && (middle == 0 || positions_of(config) <= middle + 1))
        return cei_fail(error, CE_ERR_MODEL,
                        "%s: position_buckets %zu of %zu max_relative_positions cannot be told apart: there must be at "
                        "least 2, and positions for more than half of them",
                        config->path, relative->buckets, positions_of(config));
    return CE_OK;
}

/* The bucket of a distance: itself up to the middle, from there on by its logarithm, so that the last is reached at the
 * most positions. Single precision and its order of operations decide where a bucket ends, as in the reference. */
static ptrdiff_t bucket_of(const cei_config *config, ptrdiff_t distance) {
    const ptrdiff_t middle = (ptrdiff_t)(config->relative.buckets / 2), size = distance < 0 ? -distance : distance;
    if (middle == 0 || size <= middle) return distance;
    const double most = (double)(positions_of(config) - 1) / (double)middle;
    const float share = logf((float)size / (float)middle) / logf((float)most);
    const ptrdiff_t bucket = (ptrdiff_t)ceilf(share * (float)(middle - 1)) + middle;
    return distance < 0 ? -bucket : bucket;
}

static int32_t row_of(const cei_config *config, ptrdiff_t distance) {
    const ptrdiff_t span = (ptrdiff_t)span_of(config), row = bucket_of(config, distance) + span;
    return (int32_t)(row < 0 ? 0 : row > 2 * span - 1 ? 2 * span - 1 : row);
}

static size_t distances_of(const cei_config *config) { return 2 * config->max_positions - 1; }

size_t cei_relative_integers(const cei_config *config) { return 3 * distances_of(config); }

void cei_relative_init(cei_relative *relative, const cei_config *config, int32_t *memory) {
    const size_t count = distances_of(config);
    relative->keys = config->relative.c2p;
    relative->queries = config->relative.p2c;
    relative->has_norm = config->relative.has_norm;
    relative->epsilon = (float)config->layer_norm_eps;
    relative->span = span_of(config);
    relative->length = config->max_positions;
    relative->heads = config->heads;
    relative->layer_count = config->layers;
    relative->key_places = memory;
    relative->query_places = memory + count;
    relative->sources = memory + 2 * count;
    for (size_t i = 0; i < count; i++) {
        const int32_t row = row_of(config, (ptrdiff_t)i - (ptrdiff_t)config->max_positions + 1);
        if (i == 0 || row != relative->sources[relative->rows - 1]) relative->sources[relative->rows++] = row;
        relative->query_places[i] = (int32_t)relative->rows - 1;
    }
    for (size_t i = 0; i < count; i++)
        relative->key_places[i] = (int32_t)relative->rows - 1 - relative->query_places[count - 1 - i];
    relative->rows_per_head = (relative->rows + CEI_PANEL_ROWS - 1) / CEI_PANEL_ROWS * CEI_PANEL_ROWS;
}

size_t cei_relative_weights(const cei_relative *relative) { return (size_t)relative->keys + relative->queries; }

cei_weight cei_relative_shape(const cei_relative *relative, size_t head_size) {
    return (cei_weight){.role = CEI_ROLE_MATRIX,
                        .rows = relative->heads * relative->rows_per_head,
                        .columns = head_size,
                        .format = CEI_FORMAT_FLOAT32,
                        .exact = true};
}

/* ---- deriving ----------------------------------------------------------------------------------------------- */

/* Some rows on their way. */
typedef struct making {
    const cei_relative *relative;
    const cei_derivation *on;
    size_t first, count;             /* rows, in the order of queries' */
    cei_slice ids, normed, products; /* in the workspace: [rows], [rows, hidden], [rows, widest] */
    float *values;                   /* [rows, widest] in host memory */
    float *staging;                  /* [rows, head_size] */
    ce_error *error;
} making;

static size_t aligned(size_t bytes) { return (bytes + CEI_BUFFER_ALIGNMENT - 1) & ~(size_t)(CEI_BUFFER_ALIGNMENT - 1); }

/* The rows of the table, normed if they are to be. */
static ce_status embed_rows(const making *m) {
    const cei_weight *weights = m->on->weights;
    const cei_relative *relative = m->relative;
    const cei_embed_args embed = {
        .tokens = m->count, .ids = m->ids, .word = &weights[relative->table], .out = m->normed};
    ce_status status =
        cei_write(m->on->stream, m->ids, relative->sources + m->first, m->count * sizeof(int32_t), m->error);
    if (status == CE_OK) status = cei_embed(m->on->stream, &embed, m->error);
    if (status != CE_OK || !relative->has_norm) return status;
    const cei_norm_args norm = {.rows = m->count,
                                .x = m->normed,
                                .gain = &weights[relative->norm.weight],
                                .bias = &weights[relative->norm.bias],
                                .epsilon = relative->epsilon,
                                .out = m->normed};
    return cei_norm(m->on->stream, &norm, m->error);
}

/* A projection of the rows, into values. */
static ce_status project(const making *m, const cei_relative_source *source) {
    const cei_weight *weight = &m->on->weights[source->weight];
    const cei_weight *bias = source->has_bias ? &m->on->weights[source->bias] : NULL;
    const cei_linear_args linear = {m->count, m->normed, weight, bias, CEI_FN_IDENTITY, m->products, NULL, NULL};
    ce_status status = cei_linear(m->on->stream, &linear, m->error);
    if (status != CE_OK) return status;
    return cei_read(m->on->stream, m->values, m->products, m->count * weight->rows * sizeof(float), m->error);
}

/* Each head's part of values goes to its rows of a derived weight, reversed for keys. */
static ce_status send_rows(const making *m, const cei_relative_source *source, const cei_weight *to, bool reversed) {
    const cei_relative *relative = m->relative;
    const size_t size = to->columns, stride = m->on->weights[source->weight].rows;
    const size_t place = reversed ? relative->rows - m->first - m->count : m->first;
    ce_status status = CE_OK;
    for (size_t head = 0; head < relative->heads && status == CE_OK; head++) {
        for (size_t r = 0; r < m->count; r++)
            memcpy(m->staging + (reversed ? m->count - 1 - r : r) * size,
                   m->values + r * stride + source->column + head * size, size * sizeof(float));
        status =
            cei_derivation_write(m->on, to, head * relative->rows_per_head + place, m->count, m->staging, m->error);
    }
    return status;
}

static ce_status derive_layer(const making *m, const cei_relative_layer *layer, const cei_weight *to) {
    const cei_relative *relative = m->relative;
    ce_status status = CE_OK;
    if (relative->keys) {
        status = project(m, &layer->key);
        if (status == CE_OK) status = send_rows(m, &layer->key, to++, true);
    }
    if (!relative->queries || status != CE_OK) return status;
    /* Where one weight makes both, both are there. */
    if (!relative->keys || layer->query.weight != layer->key.weight) status = project(m, &layer->query);
    return status == CE_OK ? send_rows(m, &layer->query, to, false) : status;
}

static ce_status derive_rows(const making *m) {
    const size_t weights = cei_relative_weights(m->relative);
    ce_status status = embed_rows(m);
    for (size_t i = 0; i < m->relative->layer_count && status == CE_OK; i++)
        status = derive_layer(m, &m->relative->layers[i], m->on->derived + i * weights);
    return status;
}

ce_status cei_relative_derive(const cei_relative *relative, const cei_derivation *derivation, ce_error *error) {
    const cei_network *network = derivation->network;
    const size_t length = cei_min_size(derivation->longest, relative->length), center = relative->length - 1;
    const size_t end = (size_t)relative->query_places[center + length - 1] + 1;
    making m = {.relative = relative, .on = derivation, .error = error};
    m.first = (size_t)relative->query_places[center - (length - 1)];
    const size_t rows = cei_min_size(derivation->rows, end - m.first);
    m.ids = m.normed = m.products = (cei_slice){derivation->workspace, 0};
    m.normed.offset = aligned(rows * sizeof(int32_t));
    m.products.offset = m.normed.offset + aligned(rows * network->hidden * sizeof(float));
    m.values = cei_alloc(rows, network->widest * sizeof(float));
    m.staging = cei_alloc(rows, network->head_size * sizeof(float));
    ce_status status = m.values && m.staging ? CE_OK : cei_fail_memory(error, "the keys and queries of distances", 0);
    for (; m.first < end && status == CE_OK; m.first += m.count) {
        m.count = cei_min_size(rows, end - m.first);
        status = derive_rows(&m);
    }
    cei_free(m.values);
    cei_free(m.staging);
    return status;
}

/* ---- running ------------------------------------------------------------------------------------------------ */

ce_status cei_relative_send(const cei_relative *relative, cei_stream *stream, size_t longest, cei_slice key_places,
                            cei_slice query_places, ce_error *error) {
    if (longest == 0) return CE_OK;
    const size_t skipped = relative->length - longest, bytes = (2 * longest - 1) * sizeof(int32_t);
    ce_status status = cei_write(stream, key_places, relative->key_places + skipped, bytes, error);
    return status == CE_OK ? cei_write(stream, query_places, relative->query_places + skipped, bytes, error) : status;
}

cei_attention_relative_args cei_relative_args(const cei_relative *relative, const cei_attention_args *attention,
                                              const cei_weight *derived, size_t index, cei_slice key_places,
                                              cei_slice query_places) {
    cei_attention_relative_args args = {.attention = *attention};
    const cei_weight *weight = derived + index * cei_relative_weights(relative);
    if (relative->keys) args.keys = (cei_distances){weight++, key_places, relative->rows_per_head};
    if (relative->queries) args.queries = (cei_distances){weight, query_places, relative->rows_per_head};
    return args;
}
