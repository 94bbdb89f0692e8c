/* ops.c - the operations of the opencl device: each is a kernel, or two, put into the stream's queue. Nothing waits,
 * and nothing is allocated: faults show at the next cei_read. */
#include "device/opencl/opencl.h"

#include "base/error.h"

static cei_opencl_launch begin(cei_stream *stream, cei_opencl_kernel kernel) {
    const cei_opencl_stream *own = (const cei_opencl_stream *)stream;
    return cei_opencl_begin(cei_opencl_of(stream->device), own->queue, own->kernels[kernel]);
}

/* An item for each column of each row (row_of_item in common.cl). */
static ce_status run_columns(cei_opencl_launch *launch, size_t columns, size_t rows, const char *what,
                             ce_error *error) {
    const size_t groups[3] = {cei_opencl_divide_up(columns, CEI_OPENCL_ITEMS) * rows, 1, 1};
    return cei_opencl_run(launch, CEI_OPENCL_ITEMS, 1, groups, what, error);
}

/* A work-group for each row. */
static ce_status run_rows(cei_opencl_launch *launch, size_t rows, const char *what, ce_error *error) {
    return cei_opencl_run(launch, CEI_OPENCL_ITEMS, 1, (const size_t[3]){rows, 1, 1}, what, error);
}

static void put_strided(cei_opencl_launch *launch, cei_strided matrix) {
    cei_opencl_put_slice(launch, matrix.at);
    cei_opencl_put_long(launch, matrix.stride);
}

static ce_status check_placed(const cei_weight *weight, ce_error *error) {
    if (!weight || weight->at.buffer) return CE_OK;
    return cei_fail(error, CE_ERR_ARGUMENT, "internal: opencl: a weight without memory");
}

/* ---- rows ------------------------------------------------------------------------------------------------------ */

static void put_table(cei_opencl_launch *launch, const cei_weight *table) {
    cei_opencl_put_slice(launch, table->at);
    cei_opencl_put_number(launch, table->rows);
    cei_opencl_put_number(launch, table->format);
}

ce_status cei_opencl_embed(cei_stream *stream, const cei_embed_args *args, ce_error *error) {
    ce_status status = check_placed(args->word, error);
    if (status == CE_OK) status = check_placed(args->position, error);
    if (status == CE_OK) status = check_placed(args->type, error);
    if (status != CE_OK || args->tokens == 0 || args->word->columns == 0) return status;
    cei_opencl_launch launch = begin(stream, CEI_OPENCL_EMBED);
    cei_opencl_put_slice(&launch, args->ids);
    cei_opencl_put_slice(&launch, args->position ? args->positions : args->ids);
    cei_opencl_put_slice(&launch, args->type ? args->types : args->ids);
    put_table(&launch, args->word);
    put_table(&launch, args->position ? args->position : args->word);
    put_table(&launch, args->type ? args->type : args->word);
    cei_opencl_put_number(&launch, args->type != NULL);
    cei_opencl_put_number(&launch, args->position != NULL);
    cei_opencl_put_float(&launch, args->scale);
    cei_opencl_put_number(&launch, args->word->columns);
    cei_opencl_put_slice(&launch, args->out);
    return run_columns(&launch, args->word->columns, args->tokens, "embed", error);
}

/* What norms of rows and of heads differ in. */
static void put_norm(cei_opencl_launch *launch, size_t heads, size_t stride, const cei_weight *gain, float epsilon,
                     bool rms, bool adds_one) {
    cei_opencl_put_number(launch, heads);
    cei_opencl_put_long(launch, stride);
    cei_opencl_put_number(launch, gain->columns);
    cei_opencl_put_float(launch, epsilon);
    cei_opencl_put_number(launch, rms);
    cei_opencl_put_float(launch, adds_one ? 1.0f : 0.0f);
}

ce_status cei_opencl_norm(cei_stream *stream, const cei_norm_args *args, ce_error *error) {
    const size_t columns = args->gain->columns;
    ce_status status = check_placed(args->gain, error);
    if (status == CE_OK) status = check_placed(args->bias, error);
    if (status != CE_OK || args->rows == 0 || columns == 0) return status;
    cei_opencl_launch launch = begin(stream, CEI_OPENCL_NORM);
    cei_opencl_put_slice(&launch, args->x);
    cei_opencl_put_slice(&launch, args->residual ? *args->residual : args->x);
    cei_opencl_put_number(&launch, args->residual != NULL);
    cei_opencl_put_slice(&launch, args->gain->at);
    cei_opencl_put_slice(&launch, args->bias ? args->bias->at : args->gain->at);
    cei_opencl_put_number(&launch, args->bias != NULL);
    put_norm(&launch, 1, columns, args->gain, args->epsilon, args->rms, args->adds_one);
    cei_opencl_put_slice(&launch, args->out);
    cei_opencl_put_slice(&launch, args->sum ? *args->sum : args->out);
    cei_opencl_put_number(&launch, args->sum != NULL);
    return run_rows(&launch, args->rows, "norm", error);
}

ce_status cei_opencl_norm_heads(cei_stream *stream, const cei_head_norm_args *args, ce_error *error) {
    const ce_status status = check_placed(args->gain, error);
    const cei_slice x = args->x.at, gain = args->gain->at;
    if (status != CE_OK || args->rows * args->heads == 0 || args->gain->columns == 0) return status;
    cei_opencl_launch launch = begin(stream, CEI_OPENCL_NORM);
    cei_opencl_put_slice(&launch, x);
    cei_opencl_put_slice(&launch, x);
    cei_opencl_put_number(&launch, false); /* no residual */
    cei_opencl_put_slice(&launch, gain);
    cei_opencl_put_slice(&launch, gain);
    cei_opencl_put_number(&launch, false); /* no bias */
    put_norm(&launch, args->heads, args->x.stride, args->gain, args->epsilon, true, args->adds_one);
    cei_opencl_put_slice(&launch, x);
    cei_opencl_put_slice(&launch, x);
    cei_opencl_put_number(&launch, false); /* nothing is kept */
    return run_rows(&launch, args->rows * args->heads, "norm", error);
}

ce_status cei_opencl_gather(cei_stream *stream, const cei_gather_args *args, ce_error *error) {
    if (args->count == 0 || args->columns == 0) return CE_OK;
    cei_opencl_launch launch = begin(stream, CEI_OPENCL_GATHER);
    cei_opencl_put_slice(&launch, args->x);
    cei_opencl_put_slice(&launch, args->rows);
    cei_opencl_put_number(&launch, args->columns);
    cei_opencl_put_slice(&launch, args->out);
    return run_columns(&launch, args->columns, args->count, "gather", error);
}

ce_status cei_opencl_pool(cei_stream *stream, const cei_pool_args *args, ce_error *error) {
    if (args->sequences == 0 || args->columns == 0) return CE_OK;
    cei_opencl_launch launch = begin(stream, CEI_OPENCL_POOL);
    cei_opencl_put_slice(&launch, args->x);
    cei_opencl_put_slice(&launch, args->offsets);
    cei_opencl_put_number(&launch, args->columns);
    cei_opencl_put_number(&launch, args->pooling);
    cei_opencl_put_number(&launch, args->skipped);
    cei_opencl_put_slice(&launch, args->out.at);
    cei_opencl_put_long(&launch, args->out.stride);
    return run_columns(&launch, args->columns, args->sequences, "pool", error);
}

ce_status cei_opencl_normalize(cei_stream *stream, const cei_normalize_args *args, ce_error *error) {
    if (args->rows == 0 || args->columns == 0) return CE_OK;
    cei_opencl_launch launch = begin(stream, CEI_OPENCL_NORMALIZE);
    cei_opencl_put_slice(&launch, args->x);
    cei_opencl_put_number(&launch, args->columns);
    cei_opencl_put_slice(&launch, args->out);
    return run_rows(&launch, args->rows, "normalize", error);
}

ce_status cei_opencl_gate(cei_stream *stream, const cei_gate_args *args, ce_error *error) {
    if (args->rows == 0 || args->columns == 0) return CE_OK;
    cei_opencl_launch launch = begin(stream, CEI_OPENCL_GATE);
    put_strided(&launch, args->a);
    put_strided(&launch, args->b);
    cei_opencl_put_number(&launch, args->columns);
    cei_opencl_put_number(&launch, args->function);
    cei_opencl_put_slice(&launch, args->out);
    return run_columns(&launch, args->columns, args->rows, "gate", error);
}

/* ---- rotary positions ------------------------------------------------------------------------------------------ */

ce_status cei_opencl_angles(cei_stream *stream, const cei_angles_args *args, ce_error *error) {
    const cei_slice frequencies = {((const cei_opencl_stream *)stream)->scratch, 0};
    if (args->count == 0 || args->half == 0) return CE_OK;
    ce_status status = cei_opencl_write(stream, frequencies, args->frequencies, args->half * sizeof(float), error);
    if (status != CE_OK) return status;
    cei_opencl_launch launch = begin(stream, CEI_OPENCL_ANGLES);
    cei_opencl_put_memory(&launch, cei_opencl_memory(frequencies));
    cei_opencl_put_number(&launch, args->half);
    cei_opencl_put_slice(&launch, args->out);
    return run_columns(&launch, args->half, args->count, "angles", error);
}

ce_status cei_opencl_rotate(cei_stream *stream, const cei_rotary_args *args, ce_error *error) {
    const size_t pairs = args->heads * args->half; /* at most x.stride */
    if (args->rows == 0 || pairs == 0) return CE_OK;
    cei_opencl_launch launch = begin(stream, CEI_OPENCL_ROTARY);
    cei_opencl_put_slice(&launch, args->positions);
    cei_opencl_put_slice(&launch, args->angles);
    cei_opencl_put_number(&launch, pairs);
    cei_opencl_put_number(&launch, args->half);
    put_strided(&launch, args->x);
    return run_columns(&launch, pairs, args->rows, "rotary", error);
}

/* ---- linear ---------------------------------------------------------------------------------------------------- */

static ce_status scale_rows(cei_stream *stream, const cei_linear_args *args, ce_error *error) {
    const cei_opencl_stream *own = (const cei_opencl_stream *)stream;
    if (args->rows > stream->limits.tokens)
        return cei_fail(error, CE_ERR_ARGUMENT, "internal: linear: more rows than the stream has tokens");
    cei_opencl_launch launch = begin(stream, CEI_OPENCL_ROW_SCALES);
    cei_opencl_put_slice(&launch, args->x);
    cei_opencl_put_number(&launch, args->weight->columns);
    cei_opencl_put_memory(&launch, cei_opencl_memory((cei_slice){own->scratch, 0}));
    return run_rows(&launch, args->rows, "linear", error);
}

ce_status cei_opencl_multiply(cei_opencl_launch *launch, const cei_opencl_tile *tile, const cei_linear_args *args,
                              cl_mem scales, ce_error *error) {
    const cei_weight *weight = args->weight;
    cei_opencl_put_slice(launch, args->x);
    cei_opencl_put_slice(launch, weight->at);
    cei_opencl_put_number(launch, weight->format);
    cei_opencl_put_memory(launch, scales);
    cei_opencl_put_slice(launch, args->bias ? args->bias->at : weight->at);
    cei_opencl_put_number(launch, args->bias != NULL);
    cei_opencl_put_number(launch, args->rows);
    cei_opencl_put_number(launch, weight->columns);
    cei_opencl_put_number(launch, weight->rows);
    cei_opencl_put_number(launch, args->function);
    cei_opencl_put_slice(launch, args->out);
    const size_t groups[3] = {cei_opencl_divide_up(weight->rows, tile->group_x * tile->width),
                              cei_opencl_divide_up(args->rows, tile->group_y * tile->rows), 1};
    return cei_opencl_run(launch, tile->group_x, tile->group_y, groups, "linear", error);
}

ce_status cei_opencl_linear(cei_stream *stream, const cei_linear_args *args, ce_error *error) {
    const cei_opencl_device *device = cei_opencl_of(stream->device);
    const cei_opencl_stream *own = (const cei_opencl_stream *)stream;
    ce_status status = check_placed(args->weight, error);
    if (status == CE_OK) status = check_placed(args->bias, error);
    if (status != CE_OK || args->rows == 0 || args->weight->rows == 0) return status;
    if (args->weight->format == CEI_FORMAT_INT8) status = scale_rows(stream, args, error);
    if (status != CE_OK) return status;
    cei_opencl_launch launch = begin(stream, CEI_OPENCL_LINEAR);
    return cei_opencl_multiply(&launch, &cei_opencl_tiles[device->tile], args,
                               cei_opencl_memory((cei_slice){own->scratch, 0}), error);
}

/* ---- attention ------------------------------------------------------------------------------------------------- */

/* How far a query sees; no window is one as wide as all. */
static size_t window_of(const cei_attention_args *args) {
    return args->window ? cei_min_size(args->window, args->longest) : args->longest;
}

static bool is_empty(const cei_attention_args *args) {
    return args->sequences == 0 || args->heads == 0 || args->head_size == 0 || args->longest == 0;
}

/* Blocks of many queries, or of one: the same bits. */
static bool takes_many(const cei_stream *stream, const cei_attention_args *args) {
    return ((const cei_opencl_stream *)stream)->has_many && !cei_attention_asks_one(args);
}

static void put_attention(cei_opencl_launch *launch, const cei_attention_args *args) {
    put_strided(launch, args->q);
    put_strided(launch, args->k);
    put_strided(launch, args->v);
    cei_opencl_put_slice(launch, args->offsets);
    cei_opencl_put_number(launch, args->first_only);
    cei_opencl_put_number(launch, args->last_only);
    cei_opencl_put_number(launch, args->head_size);
    cei_opencl_put_number(launch, args->heads / cei_attention_key_heads(args));
    cei_opencl_put_number(launch, window_of(args));
    cei_opencl_put_number(launch, args->causal);
    cei_opencl_put_float(launch, args->scale);
    cei_opencl_put_float(launch, args->cap);
    cei_opencl_put_slice(launch, args->out);
}

/* The last argument, and the work-groups. */
static ce_status run_attention(cei_opencl_launch *launch, const cei_attention_args *args, bool many, const char *what,
                               ce_error *error) {
    const size_t queries = many ? CEI_OPENCL_QUERIES : 1, asked = cei_attention_asks_one(args) ? 1 : args->longest;
    cei_opencl_put_local(launch, 2 * queries * args->head_size * sizeof(float));
    const size_t groups[3] = {cei_opencl_divide_up(asked, queries), args->heads, args->sequences};
    return cei_opencl_run(launch, CEI_OPENCL_ITEMS, 1, groups, what, error);
}

ce_status cei_opencl_attention(cei_stream *stream, const cei_attention_args *args, ce_error *error) {
    if (is_empty(args)) return CE_OK;
    const bool many = takes_many(stream, args);
    cei_opencl_launch launch = begin(stream, many ? CEI_OPENCL_ATTENTION : CEI_OPENCL_ATTENTION_ONE);
    put_attention(&launch, args);
    return run_attention(&launch, args, many, "attention", error);
}

/* instead: any memory, for what is not there. */
static void put_distances(cei_opencl_launch *launch, const cei_distances *distances, cei_slice instead) {
    const bool is_there = distances->weight != NULL;
    cei_opencl_put_slice(launch, is_there ? distances->weight->at : instead);
    cei_opencl_put_slice(launch, is_there ? distances->places : instead);
    cei_opencl_put_number(launch, is_there ? distances->rows_per_head : 0);
}

ce_status cei_opencl_attention_relative(cei_stream *stream, const cei_attention_relative_args *args, ce_error *error) {
    const cei_attention_args *attention = &args->attention;
    if (is_empty(attention)) return CE_OK;
    const bool many = takes_many(stream, attention);
    cei_opencl_launch launch = begin(stream, many ? CEI_OPENCL_RELATIVE : CEI_OPENCL_RELATIVE_ONE);
    put_attention(&launch, attention);
    put_distances(&launch, &args->keys, attention->offsets);
    put_distances(&launch, &args->queries, attention->offsets);
    put_distances(&launch, &args->bias, attention->offsets);
    cei_opencl_put_number(&launch, attention->longest);
    return run_attention(&launch, attention, many, "relative attention", error);
}
