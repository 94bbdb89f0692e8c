/* ref.c - the reference device: the plainest loops that compute what device.h says. The outputs of a linear layer are
 * shared out over the threads of a pool, each computed by one thread.
 *
 * Weights are rows of memory that was bound, converted as they are read, or row-major float32 in a buffer of its own.
 * It relies on device.c's checks as every driver does, and must not be used for work of any size. */
#include "device/ref/ref.h"

#include "base/error.h"
#include "base/memory.h"
#include "device/checksum.h"
#include "device/ref/ref_math.h"
#include "device/table.h"

#include <stdio.h>
#include <string.h>

typedef struct binding {
    const cei_weight *weight;
    size_t first, count; /* rows of it; elements, if it is a VECTOR */
    cei_values source;
} binding;

typedef struct ref_device {
    cei_device base;
    cei_pool *pool; /* not owned; NULL is the caller's thread alone */
    binding *bindings;
    size_t count, capacity;
    cei_ref_read_fn read; /* NULL is not wanted */
    void *read_user;
    bool rounds_attention;
} ref_device;

typedef struct ref_buffer {
    cei_buffer base;
    uint8_t *data;
} ref_buffer;

/* Scratch memory: each part is long enough for one row of anything, or for all rows of a batch. */
typedef struct ref_stream {
    cei_stream base;
    float *row, *second, *third; /* [columns] each: rows being converted */
    float *scores;               /* [sequence] */
    float *rounded;              /* [tokens, columns]: activations in low precision */
    float *weights;              /* [workers, columns]: rows of a matrix being converted */
} ref_stream;

static void *at(cei_slice slice) { return ((ref_buffer *)slice.buffer)->data + slice.offset; }

/* ---- weights ------------------------------------------------------------------------------------------------ */

ce_status cei_ref_bind(cei_device *base, const cei_weight *weight, size_t first, const cei_values *source,
                       ce_error *error) {
    ref_device *device = (ref_device *)base;
    const bool is_vector = weight->role == CEI_ROLE_VECTOR;
    const size_t count = is_vector ? source->columns : source->rows, all = is_vector ? weight->columns : weight->rows;
    if ((is_vector ? source->rows != 1 : source->columns != weight->columns) || first > all || count > all - first)
        return cei_fail(error, CE_ERR_ARGUMENT, "internal: bind: %zu x %zu values do not fit at %zu of %zu x %zu",
                        source->rows, source->columns, first, weight->rows, weight->columns);
    void *bindings = device->bindings;
    if (!cei_grow(&bindings, &device->capacity, device->count + 1, sizeof *device->bindings))
        return cei_fail_memory(error, "the reference's weights", 0);
    device->bindings = bindings;
    device->bindings[device->count++] = (binding){weight, first, count, *source};
    return CE_OK;
}

void cei_ref_watch(cei_device *base, cei_ref_read_fn read, void *user) {
    ref_device *device = (ref_device *)base;
    device->read = read;
    device->read_user = user;
}

void cei_ref_round_attention(cei_device *base, bool rounds) { ((ref_device *)base)->rounds_attention = rounds; }

static bool rounds_attention(const cei_stream *stream) { return ((ref_device *)stream->device)->rounds_attention; }

/* The weights of one operation, a row at a time. */
typedef struct reader {
    const ref_device *device;
    const cei_weight *weight;
    const binding *last; /* where the row before was found: the next is there mostly */
    float *scratch;      /* [columns] */
} reader;

static const binding *find_binding(const reader *from, size_t row) {
    const binding *last = from->last;
    if (last && row - last->first < last->count) return last;
    for (size_t i = 0; i < from->device->count; i++) {
        const binding *b = &from->device->bindings[i];
        if (b->weight == from->weight && row - b->first < b->count) return b;
    }
    return NULL;
}

/* A row of a weight as float32: where it lies, or converted into the reader's scratch memory. */
static const float *read_row(reader *from, size_t row) {
    if (from->weight->at.buffer) return (const float *)at(from->weight->at) + row * from->weight->columns;
    from->last = find_binding(from, row);
    if (!from->last) { /* never bound: a fault of the caller that the results must show */
        memset(from->scratch, 0xFF, from->weight->columns * sizeof(float));
        return from->scratch;
    }
    const cei_format format = from->weight->format;
    const float *direct = cei_values_direct(&from->last->source, row - from->last->first);
    if (direct && format == CEI_FORMAT_FLOAT32) return direct;
    float scale;
    cei_values_read_as(&from->last->source, row - from->last->first, 1, format, from->scratch, &scale);
    return from->scratch;
}

/* A vector, put together from its parts. */
static const float *read_vector(reader *from) {
    if (from->weight->at.buffer) return at(from->weight->at);
    memset(from->scratch, 0xFF, from->weight->columns * sizeof(float));
    for (size_t i = 0; i < from->device->count; i++) {
        const binding *b = &from->device->bindings[i];
        if (b->weight == from->weight) cei_values_read(&b->source, 0, 1, from->scratch + b->first);
    }
    return from->scratch;
}

/* Rows [first, end) were read. Of rows in two parts, which are few, those in the part before the last are not told of.
 */
static void tell_read(const reader *from, size_t first, size_t end) {
    const binding *last = from->last;
    if (!last || !from->device->read) return;
    if (first < last->first) first = last->first;
    from->device->read(from->device->read_user, &last->source, first - last->first, end - first);
}

/* All rows of a weight were read. */
static void tell_all_read(const ref_device *device, const cei_weight *weight) {
    for (size_t i = 0; device->read && i < device->count; i++) {
        const binding *b = &device->bindings[i];
        if (b->weight == weight) device->read(device->read_user, &b->source, 0, b->count);
    }
}

static reader open_reader(const cei_stream *stream, const cei_weight *weight, float *scratch) {
    return (reader){(const ref_device *)stream->device, weight, NULL, scratch};
}

/* Row-major float32 whatever the format, then the scales of an INT8 weight, which are only handed back. */
static size_t weight_bytes(const cei_device *device, const cei_weight *shape) {
    (void)device;
    size_t bytes, columns = shape->columns;
    if (shape->format == CEI_FORMAT_INT8 && !cei_add_size(columns, 1, &columns)) return 0;
    if (!cei_mul_size(shape->rows, columns, &bytes) || !cei_mul_size(bytes, sizeof(float), &bytes) ||
        !cei_add_size(bytes, CEI_BUFFER_ALIGNMENT - 1, &bytes))
        return 0;
    return bytes / CEI_BUFFER_ALIGNMENT * CEI_BUFFER_ALIGNMENT;
}

static float *scales_of(const cei_weight *weight) { return (float *)at(weight->at) + weight->rows * weight->columns; }

static ce_status check_placed(const cei_weight *weight, ce_error *error) {
    if (weight->at.buffer) return CE_OK;
    return cei_fail(error, CE_ERR_ARGUMENT, "internal: a bound weight of the reference has no memory of its own");
}

static ce_status weight_write(cei_device *device, const cei_weight *weight, size_t first, size_t count,
                              const float *values, const float *scales, ce_error *error) {
    (void)device;
    ce_status status = check_placed(weight, error);
    if (status != CE_OK) return status;
    memcpy((float *)at(weight->at) + first * weight->columns, values, count * weight->columns * sizeof(float));
    if (weight->format == CEI_FORMAT_INT8) memcpy(scales_of(weight) + first, scales, count * sizeof(float));
    return CE_OK;
}

static ce_status weight_read(cei_device *device, const cei_weight *weight, size_t first, size_t count, float *values,
                             float *scales, ce_error *error) {
    (void)device;
    ce_status status = check_placed(weight, error);
    if (status != CE_OK) return status;
    memcpy(values, (float *)at(weight->at) + first * weight->columns, count * weight->columns * sizeof(float));
    if (weight->format == CEI_FORMAT_INT8) memcpy(scales, scales_of(weight) + first, count * sizeof(float));
    return CE_OK;
}

static ce_status weight_checksum(cei_device *device, const cei_weight *weight, size_t first, size_t count,
                                 uint64_t *checksum, ce_error *error) {
    (void)device;
    ce_status status = check_placed(weight, error);
    if (status != CE_OK) return status;
    cei_checksum sum = {0};
    cei_checksum_add(&sum, (float *)at(weight->at) + first * weight->columns, count * weight->columns);
    *checksum = cei_checksum_value(&sum);
    return CE_OK;
}

/* ---- buffers and streams ------------------------------------------------------------------------------------ */

static void buffer_free(cei_buffer *base) {
    if (!base) return;
    cei_free(((ref_buffer *)base)->data);
    cei_free(base);
}

static ce_status buffer_create(cei_device *device, size_t bytes, cei_buffer **out, ce_error *error) {
    *out = NULL;
    ref_buffer *buffer = cei_alloc_zeroed(1, sizeof *buffer);
    if (buffer) *buffer = (ref_buffer){{device, bytes}, cei_alloc_aligned(bytes, CEI_BUFFER_ALIGNMENT)};
    if (!buffer || !buffer->data) {
        buffer_free((cei_buffer *)buffer);
        return cei_fail_memory(error, "a buffer of the reference", bytes);
    }
    *out = &buffer->base;
    return CE_OK;
}

static size_t workers_of(const cei_device *device) {
    cei_pool *pool = ((const ref_device *)device)->pool;
    return pool ? cei_pool_size(pool) : 1;
}

static size_t stream_bytes(const cei_device *device, const cei_stream_limits *limits) {
    size_t rows, floats;
    if (!cei_add_size(limits->tokens, 3 + workers_of(device), &rows) || !cei_mul_size(limits->columns, rows, &floats) ||
        !cei_add_size(floats, limits->sequence, &floats) || !cei_mul_size(floats, sizeof(float), &floats))
        return SIZE_MAX;
    return floats;
}

static void stream_free(cei_stream *base) {
    if (!base) return;
    cei_free(((ref_stream *)base)->row);
    cei_free(base);
}

static ce_status stream_create(cei_device *device, const cei_stream_limits *limits, cei_stream **out, ce_error *error) {
    *out = NULL;
    const size_t bytes = stream_bytes(device, limits);
    ref_stream *stream = cei_alloc_zeroed(1, sizeof *stream);
    if (stream) *stream = (ref_stream){.base = {device, *limits}, .row = cei_alloc(bytes, 1)};
    if (!stream || !stream->row) {
        stream_free((cei_stream *)stream);
        return cei_fail_memory(error, "scratch memory of the reference", bytes);
    }
    stream->second = stream->row + limits->columns;
    stream->third = stream->second + limits->columns;
    stream->scores = stream->third + limits->columns;
    stream->rounded = stream->scores + limits->sequence;
    stream->weights = stream->rounded + limits->tokens * limits->columns;
    *out = &stream->base;
    return CE_OK;
}

static ce_status write_bytes(cei_stream *stream, cei_slice to, const void *from, size_t bytes, ce_error *error) {
    (void)stream, (void)error;
    if (bytes) memcpy(at(to), from, bytes);
    return CE_OK;
}

static ce_status read_bytes(cei_stream *stream, void *to, cei_slice from, size_t bytes, ce_error *error) {
    (void)stream, (void)error;
    if (bytes) memcpy(to, at(from), bytes);
    return CE_OK;
}

/* ---- operations --------------------------------------------------------------------------------------------- */

static ce_status embed(cei_stream *base, const cei_embed_args *args, ce_error *error) {
    (void)error;
    ref_stream *stream = (ref_stream *)base;
    const int32_t *ids = at(args->ids);
    const int32_t *positions = args->position ? at(args->positions) : NULL,
                  *types = args->type ? at(args->types) : NULL;
    const size_t columns = args->word->columns;
    float *out = at(args->out);
    reader word = open_reader(base, args->word, stream->row), type = {0}, position = {0};
    if (args->type) type = open_reader(base, args->type, stream->second);
    if (args->position) position = open_reader(base, args->position, stream->third);
    for (size_t t = 0; t < args->tokens; t++) {
        cei_ref_embed_row(read_row(&word, (size_t)ids[t]), types ? read_row(&type, (size_t)types[t]) : NULL,
                          positions ? read_row(&position, (size_t)positions[t]) : NULL, columns, out + t * columns);
        cei_ref_scale_row(args->scale, columns, out + t * columns);
    }
    return CE_OK;
}

static ce_status norm(cei_stream *base, const cei_norm_args *args, ce_error *error) {
    (void)error;
    ref_stream *stream = (ref_stream *)base;
    const size_t columns = args->gain->columns;
    const float *x = at(args->x), *residual = args->residual ? at(*args->residual) : NULL;
    float *out = at(args->out), *sum = args->sum ? at(*args->sum) : out;
    reader gains = open_reader(base, args->gain, stream->row), biases = {0};
    if (args->bias) biases = open_reader(base, args->bias, stream->second);
    const float *gain = read_vector(&gains), *bias = args->bias ? read_vector(&biases) : NULL;
    for (size_t r = 0; r < args->rows; r++)
        cei_ref_norm(args, x + r * columns, residual ? residual + r * columns : NULL, gain, bias, sum + r * columns,
                     out + r * columns);
    return CE_OK;
}

static ce_status norm_heads(cei_stream *base, const cei_head_norm_args *args, ce_error *error) {
    (void)error;
    const size_t columns = args->gain->columns;
    reader gains = open_reader(base, args->gain, ((ref_stream *)base)->row);
    const float *gain = read_vector(&gains);
    float *x = at(args->x.at);
    for (size_t i = 0; i < args->rows * args->heads; i++) {
        float *head = x + i / args->heads * args->x.stride + i % args->heads * columns;
        cei_ref_rms_norm_row(head, NULL, gain, args->adds_one ? 1.0f : 0.0f, columns, args->epsilon, head, head);
    }
    return CE_OK;
}

typedef struct linear_job {
    const ref_stream *stream;
    const cei_linear_args *args;
    const float *x, *bias;
    float *out;
} linear_job;

enum { OUTPUTS = 64 /* of a task */ };

/* Matrices of no more values are told of when all of them was read: letting pages go interrupts every thread, and for
 * each task it would take as long as the task. */
enum { TOLD_AT_ONCE = 1 << 20 };

static bool is_told_at_once(const cei_weight *weight) {
    return weight->rows <= TOLD_AT_ONCE / cei_max_size(weight->columns, 1);
}

/* Weights outside, rows inside: a row of weights is converted once. */
static void run_outputs(void *argument, size_t task, size_t worker) {
    const linear_job *job = argument;
    const cei_linear_args *args = job->args;
    const size_t in = args->weight->columns, columns = args->weight->rows, first = task * OUTPUTS;
    const size_t end = cei_min_size(first + OUTPUTS, columns);
    reader weights =
        open_reader(&job->stream->base, args->weight, job->stream->weights + worker * job->stream->base.limits.columns);
    for (size_t c = first; c < end; c++) {
        const float *weight = read_row(&weights, c);
        for (size_t r = 0; r < args->rows; r++) {
            const float sum = cei_ref_dot(job->x + r * in, weight, in);
            job->out[r * columns + c] = cei_ref_function(args->function, job->bias ? sum + job->bias[c] : sum);
        }
    }
    if (!is_told_at_once(args->weight)) tell_read(&weights, first, end);
}

static ce_status linear(cei_stream *base, const cei_linear_args *args, ce_error *error) {
    (void)error;
    ref_stream *stream = (ref_stream *)base;
    cei_pool *pool = ((const ref_device *)base->device)->pool;
    const size_t in = args->weight->columns, tasks = (args->weight->rows + OUTPUTS - 1) / OUTPUTS;
    linear_job job = {stream, args, at(args->x), NULL, at(args->out)};
    if (args->weight->format != CEI_FORMAT_FLOAT32 && args->rows <= base->limits.tokens) {
        memcpy(stream->rounded, job.x, args->rows * in * sizeof *job.x);
        cei_ref_round_activations(args->weight->format, stream->rounded, args->rows, in);
        job.x = stream->rounded;
    }
    if (args->bias) {
        reader biases = open_reader(base, args->bias, stream->second);
        job.bias = read_vector(&biases);
    }
    if (pool)
        cei_pool_run(pool, tasks, run_outputs, &job);
    else
        for (size_t task = 0; task < tasks; task++) run_outputs(&job, task, 0);
    if (is_told_at_once(args->weight)) tell_all_read((const ref_device *)base->device, args->weight);
    return CE_OK;
}

static ce_status attention(cei_stream *base, const cei_attention_args *args, ce_error *error) {
    (void)error;
    cei_ref_attention(args, rounds_attention(base), at(args->offsets), at(args->q.at), at(args->k.at), at(args->v.at),
                      ((ref_stream *)base)->scores, at(args->out));
    return CE_OK;
}

static cei_ref_distances open_distances(const cei_distances *distances) {
    if (!distances->weight) return (cei_ref_distances){0};
    return (cei_ref_distances){at(distances->weight->at), at(distances->places)};
}

static ce_status attention_relative(cei_stream *base, const cei_attention_relative_args *args, ce_error *error) {
    (void)error;
    const cei_attention_args *plain = &args->attention;
    const cei_ref_distances distances[] = {open_distances(&args->keys), open_distances(&args->queries),
                                           open_distances(&args->bias)};
    cei_ref_attention_relative(args, rounds_attention(base), at(plain->offsets), at(plain->q.at), at(plain->k.at),
                               at(plain->v.at), distances, ((ref_stream *)base)->scores, at(plain->out));
    return CE_OK;
}

static ce_status gather(cei_stream *stream, const cei_gather_args *args, ce_error *error) {
    (void)stream, (void)error;
    const int32_t *rows = at(args->rows);
    const float *x = at(args->x);
    float *out = at(args->out);
    for (size_t i = 0; i < args->count; i++)
        memcpy(out + i * args->columns, x + (size_t)rows[i] * args->columns, args->columns * sizeof(float));
    return CE_OK;
}

static ce_status pool(cei_stream *stream, const cei_pool_args *args, ce_error *error) {
    (void)stream, (void)error;
    cei_ref_pool(args, at(args->offsets), at(args->x), at(args->out.at));
    return CE_OK;
}

static ce_status normalize(cei_stream *stream, const cei_normalize_args *args, ce_error *error) {
    (void)stream, (void)error;
    const float *x = at(args->x);
    float *out = at(args->out);
    for (size_t r = 0; r < args->rows; r++)
        cei_ref_normalize_row(x + r * args->columns, args->columns, out + r * args->columns);
    return CE_OK;
}

static ce_status angles(cei_stream *stream, const cei_angles_args *args, ce_error *error) {
    (void)stream, (void)error;
    float *out = at(args->out);
    for (size_t p = 0; p < args->count; p++)
        cei_ref_angles_row(p, args->frequencies, args->half, out + p * 2 * args->half);
    return CE_OK;
}

static ce_status rotate(cei_stream *stream, const cei_rotary_args *args, ce_error *error) {
    (void)stream, (void)error;
    const int32_t *positions = at(args->positions);
    const float *angles = at(args->angles);
    float *x = at(args->x.at);
    for (size_t r = 0; r < args->rows; r++)
        cei_ref_rotate_row(angles + (size_t)positions[r] * 2 * args->half, args->heads, args->half,
                           x + r * args->x.stride);
    return CE_OK;
}

static ce_status gate(cei_stream *stream, const cei_gate_args *args, ce_error *error) {
    (void)stream, (void)error;
    const float *a = at(args->a.at), *b = at(args->b.at);
    float *out = at(args->out);
    for (size_t r = 0; r < args->rows; r++)
        cei_ref_gate_row(args->function, a + r * args->a.stride, b + r * args->b.stride, args->columns,
                         out + r * args->columns);
    return CE_OK;
}

/* ---- the device --------------------------------------------------------------------------------------------- */

static bool supports(const cei_device *device, cei_op op, ce_precision precision) {
    (void)device;
    return (unsigned)op < CEI_OP_COUNT && ce_precision_name(precision) != NULL;
}

static ce_status get_status(cei_device *device, ce_device_info *info, ce_error *error) {
    (void)device, (void)error;
    *info = (ce_device_info){.usable = true, .float32 = true, .bfloat16 = true, .int8 = true, .float16 = true};
    snprintf(info->id, sizeof info->id, "ref");
    return CE_OK;
}

static void close_device(cei_device *base) {
    if (!base) return;
    cei_free(((ref_device *)base)->bindings);
    cei_free(base);
}

static const cei_device_table table = {
    .close = close_device,
    .status = get_status,
    .supports = supports,
    .buffer_create = buffer_create,
    .buffer_free = buffer_free,
    .weight_bytes = weight_bytes,
    .weight_write = weight_write,
    .weight_read = weight_read,
    .weight_checksum = weight_checksum,
    .stream_bytes = stream_bytes,
    .stream_create = stream_create,
    .stream_free = stream_free,
    .write = write_bytes,
    .read = read_bytes,
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

ce_status cei_ref_open(cei_pool *pool, cei_device **out, ce_error *error) {
    *out = NULL;
    ref_device *device = cei_alloc_zeroed(1, sizeof *device);
    if (!device) return cei_fail_memory(error, "the reference device", sizeof *device);
    device->base = (cei_device){&table, {"ref", 0}};
    device->pool = pool;
    *out = &device->base;
    return CE_OK;
}
