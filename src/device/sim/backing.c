/* backing.c - sim:N in front of another device: every call meets the machine's plans and counts first, then goes to the
 * other device, which does the work. So the tests of sim:N's promises hold a real driver to them.
 *
 * Knows the other device by its table alone. Must not compute anything but the faults that were planned. */
#include "device/sim/machine.h"

#include "base/error.h"
#include "base/memory.h"

#include <string.h>

typedef struct backed_buffer {
    sim_buffer base;
    cei_buffer *other;
} backed_buffer;

typedef struct backed_stream {
    sim_stream base;
    cei_stream *other;
} backed_stream;

static cei_device *other_device(const cei_device *device) { return ((const sim_device *)device)->other; }
static cei_stream *other_stream(const cei_stream *stream) { return ((const backed_stream *)stream)->other; }

static cei_slice other_slice(cei_slice slice) {
    if (slice.buffer) slice.buffer = ((backed_buffer *)slice.buffer)->other;
    return slice;
}

/* A weight that names the other device's memory. */
static cei_weight translate(const cei_weight *weight) {
    cei_weight other = *weight;
    other.at = other_slice(weight->at);
    return other;
}

/* The same into *copy, for a pointer that may be NULL and stays so. */
static const cei_weight *other_weight(const cei_weight *weight, cei_weight *copy) {
    if (!weight) return NULL;
    *copy = translate(weight);
    return copy;
}

/* ---- damage -------------------------------------------------------------------------------------------------- */

/* Of an INT8 weight the sign is changed, since what is written must be a whole multiple of the row's scale. */
static bool damage(const cei_weight *weight, size_t row, size_t column) {
    cei_device *device = other_device(weight->at.buffer->device);
    const cei_weight copy = translate(weight);
    float scale = 0, *values = cei_alloc(weight->columns, sizeof *values);
    bool done = values && cei_weight_read(device, &copy, row, 1, values, &scale, NULL) == CE_OK;
    if (done && weight->format == CEI_FORMAT_INT8)
        values[column] = -values[column];
    else if (done)
        cei_sim_flip(&values[column]);
    done = done && cei_weight_write(device, &copy, row, 1, values, &scale, NULL) == CE_OK;
    cei_free(values);
    return done;
}

/* ---- buffers ------------------------------------------------------------------------------------------------- */

static ce_status buffer_create(cei_device *base, size_t bytes, cei_buffer **out, ce_error *error) {
    sim_device *device = (sim_device *)base;
    ce_status status = cei_sim_enter(device, CEI_SIM_ALLOCATE, CEI_OP_COUNT, error);
    if (status != CE_OK) return status;
    backed_buffer *buffer = cei_alloc_zeroed(1, sizeof *buffer);
    if (!buffer) return cei_fail_memory(error, "a buffer of sim", sizeof *buffer);
    buffer->base.base = (cei_buffer){base, bytes};
    buffer->base.damage = damage;
    status = cei_sim_take_memory(device, &buffer->base, error);
    if (status == CE_OK) {
        status = cei_buffer_create(device->other, bytes, &buffer->other, error);
        if (status != CE_OK) cei_sim_return_memory(device, &buffer->base);
    }
    if (status != CE_OK) {
        cei_free(buffer);
        return status;
    }
    cei_sim_born(device, SIM_BUFFER);
    *out = &buffer->base.base;
    return CE_OK;
}

static void buffer_free(cei_buffer *buffer) {
    sim_device *device = (sim_device *)buffer->device;
    cei_sim_died(device, SIM_BUFFER);
    cei_sim_return_memory(device, (sim_buffer *)buffer);
    cei_buffer_free(((backed_buffer *)buffer)->other);
    cei_free(buffer);
}

/* ---- weights ------------------------------------------------------------------------------------------------- */

static size_t weight_bytes(const cei_device *device, const cei_weight *shape) {
    return cei_weight_bytes(other_device(device), shape);
}

/* Does to rows that have arrived what a broken transfer would have done. */
static ce_status corrupt(cei_device *device, const cei_weight *weight, size_t first, size_t count, const float *values,
                         const float *scales, cei_sim_corruption how, ce_error *error) {
    float *broken = cei_alloc(count * weight->columns, sizeof *broken);
    if (!broken) return cei_fail_memory(error, "a corruption of sim", 0);
    memcpy(broken, values, count * weight->columns * sizeof *broken);
    cei_sim_corrupt(broken, count, weight->columns, how);
    const ce_status status = cei_weight_write(device, weight, first, count, broken, scales, error);
    cei_free(broken);
    return status;
}

static ce_status weight_write(cei_device *device, const cei_weight *weight, size_t first, size_t count,
                              const float *values, const float *scales, ce_error *error) {
    const cei_weight copy = translate(weight);
    cei_sim_corruption how;
    ce_status status = cei_sim_enter((sim_device *)device, CEI_SIM_UPLOAD, CEI_OP_COUNT, error);
    if (status != CE_OK || count == 0) return status;
    status = cei_weight_write(other_device(device), &copy, first, count, values, scales, error);
    if (status == CE_OK && cei_sim_record_upload((sim_device *)device, weight, first, count, &how))
        status = corrupt(other_device(device), &copy, first, count, values, scales, how, error);
    return status;
}

static ce_status weight_read(cei_device *device, const cei_weight *weight, size_t first, size_t count, float *values,
                             float *scales, ce_error *error) {
    const cei_weight copy = translate(weight);
    ce_status status = cei_sim_enter((sim_device *)device, CEI_SIM_DOWNLOAD, CEI_OP_COUNT, error);
    if (status != CE_OK) return status;
    return cei_weight_read(other_device(device), &copy, first, count, values, scales, error);
}

static ce_status weight_checksum(cei_device *device, const cei_weight *weight, size_t first, size_t count,
                                 uint64_t *checksum, ce_error *error) {
    const cei_weight copy = translate(weight);
    ce_status status = cei_sim_enter((sim_device *)device, CEI_SIM_CHECKSUM, CEI_OP_COUNT, error);
    if (status != CE_OK) return status;
    return cei_weight_checksum(other_device(device), &copy, first, count, checksum, error);
}

/* ---- streams ------------------------------------------------------------------------------------------------- */

static size_t stream_bytes(const cei_device *device, const cei_stream_limits *limits) {
    return cei_stream_bytes(other_device(device), limits);
}

/* What the stream holds is accounted for as a buffer without memory. */
static ce_status take_scratch(backed_stream *stream, ce_error *error) {
    sim_device *device = (sim_device *)stream->base.base.device;
    sim_buffer *scratch = cei_alloc_zeroed(1, sizeof *scratch);
    if (!scratch) return cei_fail_memory(error, "a stream of sim", sizeof *scratch);
    scratch->base = (cei_buffer){&device->base, stream_bytes(&device->base, &stream->base.base.limits)};
    const ce_status status = cei_sim_take_memory(device, scratch, error);
    if (status == CE_OK)
        stream->base.scratch = scratch;
    else
        cei_free(scratch);
    return status;
}

static void give_scratch(backed_stream *stream) {
    cei_sim_return_memory((sim_device *)stream->base.base.device, stream->base.scratch);
    cei_free(stream->base.scratch);
}

static ce_status stream_create(cei_device *base, const cei_stream_limits *limits, cei_stream **out, ce_error *error) {
    sim_device *device = (sim_device *)base;
    ce_status status = cei_sim_enter(device, CEI_SIM_ALLOCATE, CEI_OP_COUNT, error);
    if (status != CE_OK) return status;
    backed_stream *stream = cei_alloc_zeroed(1, sizeof *stream);
    if (!stream) return cei_fail_memory(error, "a stream of sim", sizeof *stream);
    stream->base.base = (cei_stream){base, *limits};
    status = take_scratch(stream, error);
    if (status == CE_OK) {
        status = cei_stream_create(device->other, limits, &stream->other, error);
        if (status != CE_OK) give_scratch(stream);
    }
    if (status != CE_OK) {
        cei_free(stream);
        return status;
    }
    cei_sim_born(device, SIM_STREAM);
    *out = &stream->base.base;
    return CE_OK;
}

static void stream_free(cei_stream *stream) {
    cei_sim_died((sim_device *)stream->device, SIM_STREAM);
    give_scratch((backed_stream *)stream);
    cei_stream_free(other_stream(stream));
    cei_free(stream);
}

static ce_status write_slice(cei_stream *stream, cei_slice to, const void *from, size_t bytes, ce_error *error) {
    ce_status status = cei_sim_enter_stream((sim_stream *)stream, CEI_SIM_WRITE, CEI_OP_COUNT, error);
    if (status != CE_OK) return status;
    status = cei_write(other_stream(stream), other_slice(to), from, bytes, error);
    cei_sim_leave((sim_stream *)stream);
    return status;
}

static ce_status read_slice(cei_stream *stream, void *to, cei_slice from, size_t bytes, ce_error *error) {
    ce_status status = cei_sim_enter_stream((sim_stream *)stream, CEI_SIM_READ, CEI_OP_COUNT, error);
    if (status != CE_OK) return status;
    status = cei_read(other_stream(stream), to, other_slice(from), bytes, error);
    cei_sim_leave((sim_stream *)stream);
    return status;
}

/* ---- operations ---------------------------------------------------------------------------------------------- */

/* An operation is done: leaves the stream, and makes one value wrong if a test wants that. */
static ce_status end(cei_stream *stream, cei_op op, ce_status status, cei_slice out, ce_error *error) {
    float value;
    if (status == CE_OK && cei_sim_distorts(stream->device->id.index, op)) {
        status = cei_read(other_stream(stream), &value, other_slice(out), sizeof value, error);
        value = value * 1.5f + 0.25f;
        if (status == CE_OK) status = cei_write(other_stream(stream), other_slice(out), &value, sizeof value, error);
    }
    cei_sim_leave((sim_stream *)stream);
    return status;
}

static ce_status begin(cei_stream *stream, cei_op op, ce_error *error) {
    return cei_sim_enter_stream((sim_stream *)stream, CEI_SIM_OP, op, error);
}

static ce_status embed(cei_stream *stream, const cei_embed_args *args, ce_error *error) {
    ce_status status = begin(stream, CEI_OP_EMBED, error);
    if (status != CE_OK) return status;
    cei_embed_args other = *args;
    cei_weight word, position, type;
    other.ids = other_slice(args->ids);
    other.positions = other_slice(args->positions);
    other.types = other_slice(args->types);
    other.word = other_weight(args->word, &word);
    other.position = other_weight(args->position, &position);
    other.type = other_weight(args->type, &type);
    other.out = other_slice(args->out);
    return end(stream, CEI_OP_EMBED, cei_embed(other_stream(stream), &other, error), args->out, error);
}

static ce_status norm(cei_stream *stream, const cei_norm_args *args, ce_error *error) {
    const cei_op op = args->rms ? CEI_OP_RMS_NORM : CEI_OP_NORM;
    ce_status status = begin(stream, op, error);
    if (status != CE_OK) return status;
    cei_norm_args other = *args;
    cei_weight gain, bias;
    cei_slice residual, sum;
    if (args->residual) {
        residual = other_slice(*args->residual);
        other.residual = &residual;
    }
    if (args->sum) {
        sum = other_slice(*args->sum);
        other.sum = &sum;
    }
    other.x = other_slice(args->x);
    other.gain = other_weight(args->gain, &gain);
    other.bias = other_weight(args->bias, &bias);
    other.out = other_slice(args->out);
    other.next = NULL; /* out is looked at here */
    return end(stream, op, cei_norm(other_stream(stream), &other, error), args->out, error);
}

static ce_status norm_heads(cei_stream *stream, const cei_head_norm_args *args, ce_error *error) {
    ce_status status = begin(stream, CEI_OP_HEAD_NORM, error);
    if (status != CE_OK) return status;
    cei_head_norm_args other = *args;
    cei_weight gain;
    other.x.at = other_slice(args->x.at);
    other.gain = other_weight(args->gain, &gain);
    return end(stream, CEI_OP_HEAD_NORM, cei_norm_heads(other_stream(stream), &other, error), args->x.at, error);
}

static ce_status linear(cei_stream *stream, const cei_linear_args *args, ce_error *error) {
    ce_status status = begin(stream, CEI_OP_LINEAR, error);
    if (status != CE_OK) return status;
    cei_linear_args other = *args;
    cei_weight weight, bias;
    other.next = NULL; /* out is looked at here */
    other.attention = NULL;
    other.x = other_slice(args->x);
    other.weight = other_weight(args->weight, &weight);
    other.bias = other_weight(args->bias, &bias);
    other.out = other_slice(args->out);
    return end(stream, CEI_OP_LINEAR, cei_linear(other_stream(stream), &other, error), args->out, error);
}

static cei_attention_args other_attention(const cei_attention_args *args) {
    cei_attention_args other = *args;
    other.offsets = other_slice(args->offsets);
    other.q.at = other_slice(args->q.at);
    other.k.at = other_slice(args->k.at);
    other.v.at = other_slice(args->v.at);
    other.out = other_slice(args->out);
    other.next = NULL; /* out is looked at here */
    return other;
}

static ce_status attention(cei_stream *stream, const cei_attention_args *args, ce_error *error) {
    const cei_op op = cei_attention_op(args);
    ce_status status = begin(stream, op, error);
    if (status != CE_OK) return status;
    const cei_attention_args other = other_attention(args);
    return end(stream, op, cei_attention(other_stream(stream), &other, error), args->out, error);
}

static ce_status attention_relative(cei_stream *stream, const cei_attention_relative_args *args, ce_error *error) {
    ce_status status = begin(stream, CEI_OP_ATTENTION_RELATIVE, error);
    if (status != CE_OK) return status;
    cei_attention_relative_args other = {other_attention(&args->attention), args->keys, args->queries, args->bias};
    cei_distances *const parts[] = {&other.keys, &other.queries, &other.bias};
    cei_weight weights[3];
    for (size_t i = 0; i < 3; i++) {
        parts[i]->weight = other_weight(parts[i]->weight, &weights[i]);
        parts[i]->places = other_slice(parts[i]->places);
    }
    status = cei_attention_relative(other_stream(stream), &other, error);
    return end(stream, CEI_OP_ATTENTION_RELATIVE, status, args->attention.out, error);
}

static ce_status gather(cei_stream *stream, const cei_gather_args *args, ce_error *error) {
    ce_status status = begin(stream, CEI_OP_GATHER, error);
    if (status != CE_OK) return status;
    cei_gather_args other = *args;
    other.x = other_slice(args->x);
    other.rows = other_slice(args->rows);
    other.out = other_slice(args->out);
    return end(stream, CEI_OP_GATHER, cei_gather(other_stream(stream), &other, error), args->out, error);
}

static ce_status pool(cei_stream *stream, const cei_pool_args *args, ce_error *error) {
    ce_status status = begin(stream, CEI_OP_POOL, error);
    if (status != CE_OK) return status;
    cei_pool_args other = *args;
    other.x = other_slice(args->x);
    other.offsets = other_slice(args->offsets);
    other.out.at = other_slice(args->out.at);
    return end(stream, CEI_OP_POOL, cei_pool_rows(other_stream(stream), &other, error), args->out.at, error);
}

static ce_status normalize(cei_stream *stream, const cei_normalize_args *args, ce_error *error) {
    ce_status status = begin(stream, CEI_OP_NORMALIZE, error);
    if (status != CE_OK) return status;
    cei_normalize_args other = *args;
    other.x = other_slice(args->x);
    other.out = other_slice(args->out);
    return end(stream, CEI_OP_NORMALIZE, cei_normalize_rows(other_stream(stream), &other, error), args->out, error);
}

static ce_status angles(cei_stream *stream, const cei_angles_args *args, ce_error *error) {
    ce_status status = begin(stream, CEI_OP_ANGLES, error);
    if (status != CE_OK) return status;
    cei_angles_args other = *args;
    other.out = other_slice(args->out);
    return end(stream, CEI_OP_ANGLES, cei_angles(other_stream(stream), &other, error), args->out, error);
}

static ce_status rotate(cei_stream *stream, const cei_rotary_args *args, ce_error *error) {
    ce_status status = begin(stream, CEI_OP_ROTARY, error);
    if (status != CE_OK) return status;
    cei_rotary_args other = *args;
    other.positions = other_slice(args->positions);
    other.angles = other_slice(args->angles);
    other.x.at = other_slice(args->x.at);
    return end(stream, CEI_OP_ROTARY, cei_rotate(other_stream(stream), &other, error), args->x.at, error);
}

static ce_status gate(cei_stream *stream, const cei_gate_args *args, ce_error *error) {
    ce_status status = begin(stream, CEI_OP_GATE, error);
    if (status != CE_OK) return status;
    cei_gate_args other = *args;
    other.a.at = other_slice(args->a.at);
    other.b.at = other_slice(args->b.at);
    other.out = other_slice(args->out);
    return end(stream, CEI_OP_GATE, cei_gate(other_stream(stream), &other, error), args->out, error);
}

/* ---- the device ----------------------------------------------------------------------------------------------- */

static void device_close(cei_device *device) {
    cei_sim_died((sim_device *)device, SIM_DEVICE);
    cei_device_close(other_device(device));
    cei_free(device);
}

static ce_status device_status(cei_device *device, ce_device_info *info, ce_error *error) {
    ce_device_info other;
    ce_status status = cei_sim_enter((sim_device *)device, CEI_SIM_STATUS, CEI_OP_COUNT, error);
    if (status == CE_OK) status = cei_device_status(other_device(device), &other, error);
    if (status == CE_OK) cei_sim_describe(device->id.index, info);
    return status;
}

static bool device_supports(const cei_device *device, cei_op op, ce_precision precision) {
    int index = device->id.index;
    return cei_device_supports(other_device(device), op, precision) && cei_sim_has_precision(index, precision) &&
           !cei_sim_lacks(index, op);
}

static bool device_rounds_attention(const cei_device *device, ce_precision precision) {
    return cei_device_rounds_attention(other_device(device), precision);
}

const cei_device_table cei_sim_backed_table = {
    .close = device_close,
    .status = device_status,
    .supports = device_supports,
    .rounds_attention = device_rounds_attention,
    .buffer_create = buffer_create,
    .buffer_free = buffer_free,
    .weight_bytes = weight_bytes,
    .weight_write = weight_write,
    .weight_read = weight_read,
    .weight_checksum = weight_checksum,
    .stream_bytes = stream_bytes,
    .stream_create = stream_create,
    .stream_free = stream_free,
    .write = write_slice,
    .read = read_slice,
    .embed = embed,
    .norm = norm,
    .norm_heads = norm_heads,
    .linear = linear,
    .attention = attention,
    .attention_relative = attention_relative,
    .gather = gather,
    .pool = pool,
    .normalize = normalize,
    .angles = angles,
    .rotate = rotate,
    .gate = gate,
};
