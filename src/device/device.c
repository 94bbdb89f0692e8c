/* device.c - the one way into a device: checks the arguments of each call, then goes through the driver's table.
 *
 * A failed check is a fault of the layer above, never of a user or a file: it is reported, and nothing is touched. */
#include "base/error.h"
#include "base/memory.h"
#include "device/table.h"

#include <limits.h>

static ce_status bad(ce_error *error, const char *what) {
    return cei_fail(error, CE_ERR_ARGUMENT, "internal: %s", what);
}

/* Does the slice hold rows * columns elements of 4 bytes, inside its buffer and on this device? */
static bool holds(const cei_stream *stream, cei_slice slice, size_t rows, size_t columns) {
    size_t count, bytes, end;
    return slice.buffer && slice.buffer->device == stream->device && slice.offset % 4 == 0 &&
           cei_mul_size(rows, columns, &count) && cei_mul_size(count, 4, &bytes) &&
           cei_add_size(slice.offset, bytes, &end) && end <= slice.buffer->bytes;
}

/* The last row needs no more than its columns. */
static bool holds_strided(const cei_stream *stream, cei_strided matrix, size_t rows, size_t columns) {
    size_t whole, floats;
    if (rows == 0) return holds(stream, matrix.at, 0, columns);
    return matrix.stride >= columns && cei_mul_size(rows - 1, matrix.stride, &whole) &&
           cei_add_size(whole, columns, &floats) && holds(stream, matrix.at, 1, floats);
}

/* Does the weight lie inside its buffer, on this device? The reference device's weights have no buffer: they are bound
 * to memory of its own knowing, and other devices refuse such a weight themselves. */
static bool lies_on(const cei_device *device, const cei_weight *weight) {
    size_t end, columns = weight->columns, bytes;
    if (!weight->at.buffer) return true;
    if ((unsigned)weight->format >= CEI_FORMAT_COUNT) return false;
    if (weight->role == CEI_ROLE_VECTOR) { /* may be a piece of a vector, which ends where the vector goes on */
        if (weight->rows != 1 || !cei_mul_size(columns, sizeof(float), &bytes)) return false;
    } else {
        bytes = device->table->weight_bytes(device, weight);
        if (bytes == 0 && weight->rows > 0 && columns > 0) return false;
    }
    return weight->at.buffer->device == device && cei_add_size(weight->at.offset, bytes, &end) &&
           end <= weight->at.buffer->bytes;
}

static bool is_vector(const cei_stream *stream, const cei_weight *weight, size_t columns) {
    return weight && weight->role == CEI_ROLE_VECTOR && weight->rows == 1 && weight->columns == columns &&
           lies_on(stream->device, weight);
}

static bool is_table(const cei_stream *stream, const cei_weight *weight, size_t columns) {
    return weight && weight->role == CEI_ROLE_TABLE && weight->columns == columns && lies_on(stream->device, weight);
}

void cei_device_close(cei_device *device) {
    if (device) device->table->close(device);
}

ce_status cei_device_status(cei_device *device, ce_device_info *info, ce_error *error) {
    *info = (ce_device_info){0};
    cei_device_format(device->id, info->id);
    return device->table->status(device, info, error);
}

bool cei_device_supports(const cei_device *device, cei_op op, ce_precision precision) {
    return device->table->supports(device, op, precision);
}

bool cei_device_rounds_attention(const cei_device *device, ce_precision precision) {
    return device->table->rounds_attention && device->table->rounds_attention(device, precision);
}

ce_status cei_device_measure(cei_device *device, ce_precision precision, bool with_bandwidth, ce_device_speed *speed,
                             ce_error *error) {
    char name[CE_DEVICE_ID_SIZE];
    cei_device_format(device->id, name);
    if (!device->table->measure)
        return cei_fail(error, CE_ERR_UNSUPPORTED, "device %s cannot be measured: crossenc has no measurement for it",
                        name);
    if (precision == CE_PRECISION_DEFAULT) precision = CE_PRECISION_FLOAT32;
    return device->table->measure(device, precision, with_bandwidth, speed, error);
}

const char *cei_op_name(cei_op op) {
    static const char *const names[CEI_OP_COUNT] = {
        "embed",  "norm",   "linear", "attention",          "gather",           "pool",     "normalize",
        "angles", "rotary", "gate",   "relative attention", "causal attention", "RMS norm", "RMS norm of heads"};
    return (unsigned)op < CEI_OP_COUNT ? names[op] : "unknown";
}

ce_status cei_buffer_create(cei_device *device, size_t bytes, cei_buffer **buffer, ce_error *error) {
    *buffer = NULL;
    return device->table->buffer_create(device, bytes, buffer, error);
}

void cei_buffer_free(cei_buffer *buffer) {
    if (buffer) buffer->device->table->buffer_free(buffer);
}

size_t cei_buffer_size(const cei_buffer *buffer) { return buffer->bytes; }

size_t cei_weight_bytes(const cei_device *device, const cei_weight *shape) {
    return device->table->weight_bytes(device, shape);
}

static bool rows_inside(const cei_device *device, const cei_weight *weight, size_t first, size_t count) {
    return first <= weight->rows && count <= weight->rows - first && lies_on(device, weight);
}

ce_status cei_weight_write(cei_device *device, const cei_weight *weight, size_t first, size_t count,
                           const float *values, const float *scales, ce_error *error) {
    if (!rows_inside(device, weight, first, count))
        return bad(error, "weight_write: rows outside the weight, or the weight outside its buffer");
    if (weight->format == CEI_FORMAT_INT8 && !scales) return bad(error, "weight_write: int8 without scales");
    return device->table->weight_write(device, weight, first, count, values, scales, error);
}

ce_status cei_weight_read(cei_device *device, const cei_weight *weight, size_t first, size_t count, float *values,
                          float *scales, ce_error *error) {
    if (!rows_inside(device, weight, first, count))
        return bad(error, "weight_read: rows outside the weight, or the weight outside its buffer");
    if (weight->format == CEI_FORMAT_INT8 && !scales) return bad(error, "weight_read: int8 without scales");
    return device->table->weight_read(device, weight, first, count, values, scales, error);
}

ce_status cei_weight_checksum(cei_device *device, const cei_weight *weight, size_t first, size_t count,
                              uint64_t *checksum, ce_error *error) {
    if (!rows_inside(device, weight, first, count))
        return bad(error, "weight_checksum: rows outside the weight, or the weight outside its buffer");
    return device->table->weight_checksum(device, weight, first, count, checksum, error);
}

bool cei_device_uses_pool(const cei_device *device) { return device->table->uses_pool; }

size_t cei_device_batch_tokens(const cei_device *device) {
    return device->table->batch_tokens ? device->table->batch_tokens(device) : 0;
}

size_t cei_stream_bytes(const cei_device *device, const cei_stream_limits *limits) {
    return device->table->stream_bytes(device, limits);
}

ce_status cei_stream_create(cei_device *device, const cei_stream_limits *limits, cei_stream **stream, ce_error *error) {
    *stream = NULL;
    return device->table->stream_create(device, limits, stream, error);
}

void cei_stream_free(cei_stream *stream) {
    if (stream) stream->device->table->stream_free(stream);
}

static bool bytes_inside(const cei_stream *stream, cei_slice slice, size_t bytes) {
    size_t end;
    return slice.buffer && slice.buffer->device == stream->device && cei_add_size(slice.offset, bytes, &end) &&
           end <= slice.buffer->bytes;
}

ce_status cei_write(cei_stream *stream, cei_slice to, const void *from, size_t bytes, ce_error *error) {
    if (!bytes_inside(stream, to, bytes)) return bad(error, "write: outside the buffer");
    return stream->device->table->write(stream, to, from, bytes, error);
}

ce_status cei_read(cei_stream *stream, void *to, cei_slice from, size_t bytes, ce_error *error) {
    if (!bytes_inside(stream, from, bytes)) return bad(error, "read: outside the buffer");
    return stream->device->table->read(stream, to, from, bytes, error);
}

ce_status cei_embed(cei_stream *stream, const cei_embed_args *args, ce_error *error) {
    size_t tokens = args->tokens;
    if (tokens > stream->limits.tokens) return bad(error, "embed: more tokens than the stream's limit");
    if (!holds(stream, args->ids, tokens, 1) || (args->position && !holds(stream, args->positions, tokens, 1)) ||
        (args->type && !holds(stream, args->types, tokens, 1)))
        return bad(error, "embed: indices outside their buffer");
    size_t columns = args->word ? args->word->columns : 0;
    if (!is_table(stream, args->word, columns) || (args->position && !is_table(stream, args->position, columns)) ||
        (args->type && !is_table(stream, args->type, columns)))
        return bad(error, "embed: tables of unequal columns");
    if (columns > stream->limits.columns) return bad(error, "embed: wider than the stream's limit");
    if (args->scale != 0 && (args->position || args->type)) return bad(error, "embed: scaled words have no positions");
    if (!holds(stream, args->out, tokens, columns)) return bad(error, "embed: out outside its buffer");
    return stream->device->table->embed(stream, args, error);
}

static ce_status check_norm(const cei_stream *stream, const cei_norm_args *args, ce_error *error) {
    size_t columns = args->gain ? args->gain->columns : 0;
    if (!is_vector(stream, args->gain, columns) || (args->bias && !is_vector(stream, args->bias, columns)))
        return bad(error, "norm: gain and bias of unequal columns");
    if (args->rms ? args->bias != NULL : args->adds_one) return bad(error, "norm: another kind has that");
    if (!holds(stream, args->x, args->rows, columns) || !holds(stream, args->out, args->rows, columns) ||
        (args->residual && !holds(stream, *args->residual, args->rows, columns)) ||
        (args->sum && !holds(stream, *args->sum, args->rows, columns)))
        return bad(error, "norm: a matrix outside its buffer");
    return CE_OK;
}

ce_status cei_norm(cei_stream *stream, const cei_norm_args *args, ce_error *error) {
    const ce_status status = check_norm(stream, args, error);
    return status == CE_OK ? stream->device->table->norm(stream, args, error) : status;
}

static ce_status check_norm_heads(const cei_stream *stream, const cei_head_norm_args *args, ce_error *error) {
    const size_t size = args->gain ? args->gain->columns : 0;
    size_t columns;
    if (!is_vector(stream, args->gain, size)) return bad(error, "norm of heads: the gain is no vector");
    if (!cei_mul_size(args->heads, size, &columns) || !holds_strided(stream, args->x, args->rows, columns))
        return bad(error, "norm of heads: a matrix outside its buffer");
    return CE_OK;
}

ce_status cei_norm_heads(cei_stream *stream, const cei_head_norm_args *args, ce_error *error) {
    const ce_status status = check_norm_heads(stream, args, error);
    return status == CE_OK ? stream->device->table->norm_heads(stream, args, error) : status;
}

static ce_status check_linear(const cei_stream *stream, const cei_linear_args *args, ce_error *error) {
    const cei_weight *weight = args->weight;
    if (!weight || weight->role != CEI_ROLE_MATRIX) return bad(error, "linear: the weight is no matrix");
    if (!lies_on(stream->device, weight)) return bad(error, "linear: the weight is outside its buffer");
    if (args->bias && !is_vector(stream, args->bias, weight->rows)) return bad(error, "linear: bias of another size");
    if (weight->rows > stream->limits.columns || weight->columns > stream->limits.columns)
        return bad(error, "linear: wider than the stream's limit");
    if (!holds(stream, args->x, args->rows, weight->columns) || !holds(stream, args->out, args->rows, weight->rows))
        return bad(error, "linear: a matrix outside its buffer");
    if ((unsigned)args->function >= CEI_FN_COUNT) return bad(error, "linear: unknown function");
    return CE_OK;
}

ce_status cei_linear(cei_stream *stream, const cei_linear_args *args, ce_error *error) {
    const ce_status status = check_linear(stream, args, error);
    return status == CE_OK ? stream->device->table->linear(stream, args, error) : status;
}

static ce_status check_attention(const cei_stream *stream, const cei_attention_args *args, ce_error *error) {
    const size_t key_heads = cei_attention_key_heads(args), keys = key_heads * args->head_size;
    size_t hidden;
    if (!cei_mul_size(args->heads, args->head_size, &hidden)) return bad(error, "attention: too many heads");
    if (key_heads && args->heads % key_heads != 0) return bad(error, "attention: heads of keys that divide no heads");
    if (args->first_only && args->last_only) return bad(error, "attention: one token is asked for, or the other");
    if (!(args->cap >= 0)) return bad(error, "attention: a cap below 0");
    if (args->tokens > stream->limits.tokens || args->longest > stream->limits.sequence ||
        args->head_size > stream->limits.head_size || args->sequences >= INT_MAX)
        return bad(error, "attention: over the stream's limits");
    const size_t queries = cei_attention_asks_one(args) ? args->sequences : args->tokens;
    if (!holds(stream, args->offsets, args->sequences + 1, 1) || !holds_strided(stream, args->q, queries, hidden) ||
        !holds_strided(stream, args->k, args->tokens, keys) || !holds_strided(stream, args->v, args->tokens, keys) ||
        !holds(stream, args->out, queries, hidden))
        return bad(error, "attention: a matrix outside its buffer");
    return CE_OK;
}

ce_status cei_attention(cei_stream *stream, const cei_attention_args *args, ce_error *error) {
    const ce_status status = check_attention(stream, args, error);
    return status == CE_OK ? stream->device->table->attention(stream, args, error) : status;
}

static ce_status check_distances(const cei_stream *stream, const cei_attention_args *args,
                                 const cei_distances *distances, cei_role role, size_t columns, ce_error *error) {
    const cei_weight *weight = distances->weight;
    size_t rows;
    if (!weight) return CE_OK;
    if (distances->rows_per_head % CEI_PANEL_ROWS != 0 || !cei_mul_size(args->heads, distances->rows_per_head, &rows) ||
        weight->role != role || weight->format != CEI_FORMAT_FLOAT32 || weight->rows != rows ||
        weight->columns != columns || !weight->at.buffer || !lies_on(stream->device, weight))
        return bad(error, "relative attention: a weight of another kind or size");
    if (args->longest && !holds(stream, distances->places, 2 * args->longest - 1, 1))
        return bad(error, "relative attention: places outside their buffer");
    return CE_OK;
}

ce_status cei_attention_relative(cei_stream *stream, const cei_attention_relative_args *args, ce_error *error) {
    const cei_attention_args *attention = &args->attention;
    const size_t size = attention->head_size;
    if (attention->window || cei_attention_op(attention) != CEI_OP_ATTENTION)
        return bad(error, "relative attention: it has no windows, and is not causal");
    ce_status status = check_attention(stream, attention, error);
    if (status == CE_OK) status = check_distances(stream, attention, &args->keys, CEI_ROLE_MATRIX, size, error);
    if (status == CE_OK) status = check_distances(stream, attention, &args->queries, CEI_ROLE_MATRIX, size, error);
    if (status == CE_OK) status = check_distances(stream, attention, &args->bias, CEI_ROLE_TABLE, 1, error);
    return status == CE_OK ? stream->device->table->attention_relative(stream, args, error) : status;
}

ce_status cei_gather(cei_stream *stream, const cei_gather_args *args, ce_error *error) {
    if (!holds(stream, args->x, 1, args->columns) || !holds(stream, args->rows, args->count, 1) ||
        !holds(stream, args->out, args->count, args->columns))
        return bad(error, "gather: a matrix outside its buffer");
    return stream->device->table->gather(stream, args, error);
}

ce_status cei_pool_rows(cei_stream *stream, const cei_pool_args *args, ce_error *error) {
    if ((unsigned)args->pooling >= CEI_POOL_COUNT) return bad(error, "pool: unknown pooling");
    if (args->sequences >= INT_MAX || !holds(stream, args->x, args->tokens, args->columns) ||
        !holds(stream, args->offsets, args->sequences + 1, 1) ||
        !holds_strided(stream, args->out, args->sequences, args->columns))
        return bad(error, "pool: a matrix outside its buffer");
    return stream->device->table->pool(stream, args, error);
}

ce_status cei_normalize_rows(cei_stream *stream, const cei_normalize_args *args, ce_error *error) {
    if (!holds(stream, args->x, args->rows, args->columns) || !holds(stream, args->out, args->rows, args->columns))
        return bad(error, "normalize: a matrix outside its buffer");
    return stream->device->table->normalize(stream, args, error);
}

/* A row of angles is as wide as a head: a cosine and a sine for each pair of columns. */
static bool are_angles(const cei_stream *stream, cei_slice angles, size_t count, size_t half) {
    return half <= SIZE_MAX / 2 && 2 * half <= stream->limits.head_size && holds(stream, angles, count, 2 * half);
}

ce_status cei_angles(cei_stream *stream, const cei_angles_args *args, ce_error *error) {
    if (!are_angles(stream, args->out, args->count, args->half) || args->count > INT_MAX)
        return bad(error, "angles: outside their buffer, or over the stream's limits");
    return stream->device->table->angles(stream, args, error);
}

static ce_status check_rotate(const cei_stream *stream, const cei_rotary_args *args, ce_error *error) {
    size_t columns;
    if (!are_angles(stream, args->angles, args->count, args->half) || args->count > INT_MAX)
        return bad(error, "rotary: angles outside their buffer, or over the stream's limits");
    if (!cei_mul_size(args->heads, 2 * args->half, &columns) || !holds(stream, args->positions, args->rows, 1) ||
        !holds_strided(stream, args->x, args->rows, columns))
        return bad(error, "rotary: a matrix outside its buffer");
    return CE_OK;
}

ce_status cei_rotate(cei_stream *stream, const cei_rotary_args *args, ce_error *error) {
    const ce_status status = check_rotate(stream, args, error);
    return status == CE_OK ? stream->device->table->rotate(stream, args, error) : status;
}

static ce_status check_gate(const cei_stream *stream, const cei_gate_args *args, ce_error *error) {
    if ((unsigned)args->function >= CEI_FN_COUNT) return bad(error, "gate: unknown function");
    if (!holds_strided(stream, args->a, args->rows, args->columns) ||
        !holds_strided(stream, args->b, args->rows, args->columns) ||
        !holds(stream, args->out, args->rows, args->columns))
        return bad(error, "gate: a matrix outside its buffer");
    return CE_OK;
}

ce_status cei_gate(cei_stream *stream, const cei_gate_args *args, ce_error *error) {
    const ce_status status = check_gate(stream, args, error);
    return status == CE_OK ? stream->device->table->gate(stream, args, error) : status;
}

static ce_status check_row_op(const cei_stream *stream, const cei_row_op *op, ce_error *error) {
    switch (op->op) {
    case CEI_OP_LINEAR: return check_linear(stream, &op->of.linear, error);
    case CEI_OP_NORM: return check_norm(stream, &op->of.norm, error);
    case CEI_OP_HEAD_NORM: return check_norm_heads(stream, &op->of.head_norm, error);
    case CEI_OP_ROTARY: return check_rotate(stream, &op->of.rotary, error);
    case CEI_OP_GATE: return check_gate(stream, &op->of.gate, error);
    default: return bad(error, "rows: an operation that is not row by row");
    }
}

ce_status cei_run_row_op(cei_stream *stream, const cei_row_op *op, ce_error *error) {
    const cei_device_table *table = stream->device->table;
    switch (op->op) {
    case CEI_OP_LINEAR: return table->linear(stream, &op->of.linear, error);
    case CEI_OP_NORM: return table->norm(stream, &op->of.norm, error);
    case CEI_OP_HEAD_NORM: return table->norm_heads(stream, &op->of.head_norm, error);
    case CEI_OP_ROTARY: return table->rotate(stream, &op->of.rotary, error);
    default: return table->gate(stream, &op->of.gate, error);
    }
}

ce_status cei_run_rows(cei_stream *stream, const cei_row_op *ops, size_t count, ce_error *error) {
    if (count > CEI_ROW_OPS) return bad(error, "rows: too many operations");
    cei_row_plan plan;
    ce_status status = CE_OK;
    for (size_t i = 0; i < count && status == CE_OK; i++) status = check_row_op(stream, &ops[i], error);
    if (status == CE_OK) status = cei_plan_rows(ops, count, &plan, error);
    if (status == CE_OK && count > 1 && plan.rows > 0 && stream->device->table->rows)
        return stream->device->table->rows(stream, ops, count, &plan, error);
    for (size_t i = 0; i < count && status == CE_OK; i++) status = cei_run_row_op(stream, &ops[i], error);
    return status;
}
