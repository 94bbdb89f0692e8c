/* sim.c - the driver of sim:N: devices, buffers, weights (row-major float32), streams.
 *
 * Every call goes through cei_sim_enter first and opens the memory that it uses for its own time only. */
#include "device/sim/sim.h"

#include "base/error.h"
#include "base/memory.h"
#include "device/checksum.h"
#include "device/sim/machine.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- buffers ------------------------------------------------------------------------------------------------- */

/* Maps the buffer's memory and fills it with NaNs, so that what was never written cannot pass for a number. */
static ce_status map_memory(sim_buffer *buffer, ce_error *error) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), mapped;
    size_t bytes = buffer->base.bytes ? buffer->base.bytes : 1;
    if (!cei_add_size(bytes, page - 1, &mapped)) return cei_fail_memory(error, "a buffer of sim", 0);
    mapped &= ~(page - 1);
    void *memory = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return cei_fail_memory(error, "a buffer of sim", mapped);
    memset(memory, 0xFF, mapped);
    if (mprotect(memory, mapped, PROT_NONE) != 0) {
        munmap(memory, mapped);
        return cei_fail_memory(error, "the protection of a buffer of sim", mapped);
    }
    buffer->memory = memory;
    buffer->mapped = mapped;
    return CE_OK;
}

static ce_status create_memory(sim_device *device, size_t bytes, sim_buffer **out, ce_error *error) {
    sim_buffer *buffer = cei_alloc_zeroed(1, sizeof *buffer);
    if (!buffer) return cei_fail_memory(error, "a buffer of sim", sizeof *buffer);
    buffer->base = (cei_buffer){&device->base, bytes};
    ce_status status = cei_sim_take_memory(device, buffer, error);
    if (status != CE_OK) goto fail;
    status = map_memory(buffer, error);
    if (status != CE_OK) {
        cei_sim_return_memory(device, buffer);
        goto fail;
    }
    *out = buffer;
    return CE_OK;

fail:
    cei_free(buffer);
    return status;
}

static void free_memory(sim_buffer *buffer) {
    cei_sim_return_memory((sim_device *)buffer->base.device, buffer);
    munmap(buffer->memory, buffer->mapped);
    cei_free(buffer);
}

static ce_status buffer_create(cei_device *device, size_t bytes, cei_buffer **buffer, ce_error *error) {
    sim_buffer *made = NULL;
    ce_status status = cei_sim_enter((sim_device *)device, CEI_SIM_ALLOCATE, CEI_OP_COUNT, error);
    if (status == CE_OK) status = create_memory((sim_device *)device, bytes, &made, error);
    if (status != CE_OK) return status;
    cei_sim_born((sim_device *)device, SIM_BUFFER);
    *buffer = &made->base;
    return CE_OK;
}

static void buffer_free(cei_buffer *buffer) {
    cei_sim_died((sim_device *)buffer->device, SIM_BUFFER);
    free_memory((sim_buffer *)buffer);
}

/* ---- weights ------------------------------------------------------------------------------------------------- */

/* Row-major float32 whatever the format, then the scales of an INT8 weight. */
static size_t weight_bytes(const cei_device *device, const cei_weight *shape) {
    (void)device;
    size_t bytes, columns = shape->columns;
    if (shape->format == CEI_FORMAT_INT8 && !cei_add_size(columns, 1, &columns)) return 0;
    if (!cei_mul_size(shape->rows, columns, &bytes) || !cei_mul_size(bytes, sizeof(float), &bytes) ||
        !cei_add_size(bytes, CEI_BUFFER_ALIGNMENT - 1, &bytes))
        return 0;
    return bytes & ~(size_t)(CEI_BUFFER_ALIGNMENT - 1);
}

/* The slice of rows from first on. */
static cei_slice rows_of(const cei_weight *weight, size_t first) {
    return (cei_slice){weight->at.buffer, weight->at.offset + first * weight->columns * sizeof(float)};
}

/* The slice of the scales of rows from first on. */
static cei_slice scales_of(const cei_weight *weight, size_t first) {
    return (cei_slice){weight->at.buffer, weight->at.offset + (weight->rows * weight->columns + first) * sizeof(float)};
}

static void swap_floats(float *a, float *b, size_t count) {
    for (size_t i = 0; i < count; i++) {
        float kept = a[i];
        a[i] = b[i];
        b[i] = kept;
    }
}

void cei_sim_corrupt(float *values, size_t count, size_t columns, cei_sim_corruption how) {
    uint32_t bits;
    float *middle = &values[count * columns / 2];
    if (how == CEI_SIM_FLIP_BIT) {
        memcpy(&bits, middle, sizeof bits);
        bits ^= 1;
        memcpy(middle, &bits, sizeof bits);
    } else if (how == CEI_SIM_DROP_ROW) {
        memset(&values[(count - 1) * columns], 0, columns * sizeof *values);
    } else if (count > 1) {
        swap_floats(values, &values[(count - 1) * columns], columns);
    } else {
        swap_floats(values, &values[columns - 1], 1);
    }
}

static ce_status fail_access(sim_access *access, const cei_device *device, ce_error *error) {
    cei_sim_close_memory(access);
    return cei_fail(error, CE_ERR_DEVICE_FAULT, "sim:%d: the memory cannot be reached", device->id.index);
}

static ce_status weight_write(cei_device *device, const cei_weight *weight, size_t first, size_t count,
                              const float *values, const float *scales, ce_error *error) {
    ce_status status = cei_sim_enter((sim_device *)device, CEI_SIM_UPLOAD, CEI_OP_COUNT, error);
    if (status != CE_OK || count == 0) return status;
    sim_access access = {0};
    const bool is_scaled = weight->format == CEI_FORMAT_INT8;
    float *to = cei_sim_open_memory(&access, rows_of(weight, first));
    float *to_scales = is_scaled ? cei_sim_open_memory(&access, scales_of(weight, first)) : NULL;
    if (access.failed) return fail_access(&access, device, error);
    memcpy(to, values, count * weight->columns * sizeof *to);
    if (is_scaled) memcpy(to_scales, scales, count * sizeof *scales);
    cei_sim_corruption how;
    if (cei_sim_record_upload((sim_device *)device, weight, first, count, &how))
        cei_sim_corrupt(to, count, weight->columns, how);
    cei_sim_close_memory(&access);
    return CE_OK;
}

static ce_status weight_read(cei_device *device, const cei_weight *weight, size_t first, size_t count, float *values,
                             float *scales, ce_error *error) {
    ce_status status = cei_sim_enter((sim_device *)device, CEI_SIM_DOWNLOAD, CEI_OP_COUNT, error);
    if (status != CE_OK || count == 0) return status;
    sim_access access = {0};
    const bool is_scaled = weight->format == CEI_FORMAT_INT8;
    const float *from = cei_sim_open_memory(&access, rows_of(weight, first));
    const float *from_scales = is_scaled ? cei_sim_open_memory(&access, scales_of(weight, first)) : NULL;
    if (access.failed) return fail_access(&access, device, error);
    memcpy(values, from, count * weight->columns * sizeof *values);
    if (is_scaled) memcpy(scales, from_scales, count * sizeof *scales);
    cei_sim_close_memory(&access);
    return CE_OK;
}

static ce_status weight_checksum(cei_device *device, const cei_weight *weight, size_t first, size_t count,
                                 uint64_t *checksum, ce_error *error) {
    cei_checksum sum = {0};
    ce_status status = cei_sim_enter((sim_device *)device, CEI_SIM_CHECKSUM, CEI_OP_COUNT, error);
    if (status != CE_OK) return status;
    sim_access access = {0};
    const float *values = count ? cei_sim_open_memory(&access, rows_of(weight, first)) : NULL;
    if (access.failed) return fail_access(&access, device, error);
    if (count) cei_checksum_add(&sum, values, count * weight->columns);
    cei_sim_close_memory(&access);
    *checksum = cei_checksum_value(&sum);
    return CE_OK;
}

/* ---- streams ------------------------------------------------------------------------------------------------- */

static size_t stream_bytes(const cei_device *device, const cei_stream_limits *limits) {
    size_t floats;
    if (!cei_add_size(limits->sequence, limits->columns, &floats)) return 0;
    return weight_bytes(device, &(cei_weight){.role = CEI_ROLE_VECTOR, .rows = 1, .columns = floats});
}

static ce_status stream_create(cei_device *device, const cei_stream_limits *limits, cei_stream **out, ce_error *error) {
    sim_stream *stream = NULL;
    ce_status status = cei_sim_enter((sim_device *)device, CEI_SIM_ALLOCATE, CEI_OP_COUNT, error);
    if (status != CE_OK) return status;
    stream = cei_alloc_zeroed(1, sizeof *stream);
    if (!stream) return cei_fail_memory(error, "a stream of sim", sizeof *stream);
    stream->base = (cei_stream){device, *limits};
    status = create_memory((sim_device *)device, stream_bytes(device, limits), &stream->scratch, error);
    if (status != CE_OK) {
        cei_free(stream);
        return status;
    }
    cei_sim_born((sim_device *)device, SIM_STREAM);
    *out = &stream->base;
    return CE_OK;
}

static void stream_free(cei_stream *stream) {
    cei_sim_died((sim_device *)stream->device, SIM_STREAM);
    free_memory(((sim_stream *)stream)->scratch);
    cei_free(stream);
}

/* Takes the stream and opens slice; undone by end_transfer, or here on failure. */
static ce_status begin_transfer(cei_stream *stream, cei_sim_call call, cei_slice slice, sim_access *access,
                                void **memory, ce_error *error) {
    ce_status status = cei_sim_enter_stream((sim_stream *)stream, call, CEI_OP_COUNT, error);
    if (status != CE_OK) return status;
    *memory = cei_sim_open_memory(access, slice);
    if (*memory) return CE_OK;
    cei_sim_leave((sim_stream *)stream);
    return fail_access(access, stream->device, error);
}

static void end_transfer(cei_stream *stream, sim_access *access) {
    cei_sim_close_memory(access);
    cei_sim_leave((sim_stream *)stream);
}

static ce_status write_slice(cei_stream *stream, cei_slice to, const void *from, size_t bytes, ce_error *error) {
    sim_access access = {0};
    void *memory;
    ce_status status = begin_transfer(stream, CEI_SIM_WRITE, to, &access, &memory, error);
    if (status != CE_OK) return status;
    if (bytes) memcpy(memory, from, bytes);
    end_transfer(stream, &access);
    return CE_OK;
}

static ce_status read_slice(cei_stream *stream, void *to, cei_slice from, size_t bytes, ce_error *error) {
    sim_access access = {0};
    void *memory;
    ce_status status = begin_transfer(stream, CEI_SIM_READ, from, &access, &memory, error);
    if (status != CE_OK) return status;
    if (bytes) memcpy(to, memory, bytes);
    end_transfer(stream, &access);
    return CE_OK;
}

/* ---- devices ------------------------------------------------------------------------------------------------- */

static void device_close(cei_device *device) {
    cei_sim_died((sim_device *)device, SIM_DEVICE);
    cei_free(device);
}

static ce_status device_status(cei_device *device, ce_device_info *info, ce_error *error) {
    ce_status status = cei_sim_enter((sim_device *)device, CEI_SIM_STATUS, CEI_OP_COUNT, error);
    if (status == CE_OK) cei_sim_describe(device->id.index, info);
    return status;
}

static bool device_supports(const cei_device *device, cei_op op, ce_precision precision) {
    int index = device->id.index;
    return (unsigned)op < CEI_OP_COUNT && cei_sim_has_precision(index, precision) && !cei_sim_lacks(index, op);
}

static const cei_device_table table = {
    .close = device_close,
    .status = device_status,
    .supports = device_supports,
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
    .embed = cei_sim_embed,
    .norm = cei_sim_norm,
    .norm_heads = cei_sim_norm_heads,
    .linear = cei_sim_linear,
    .attention = cei_sim_attention,
    .attention_relative = cei_sim_attention_relative,
    .gather = cei_sim_gather,
    .pool = cei_sim_pool,
    .normalize = cei_sim_normalize,
    .angles = cei_sim_angles,
    .rotate = cei_sim_rotate,
    .gate = cei_sim_gate,
};

/* No reason is given where there are no devices: a kind that says nothing is not listed. */
static int driver_count(char *reason, size_t size) {
    snprintf(reason, size, "%s", "");
    return cei_sim_devices();
}

static ce_status driver_open(int index, const cei_device_options *options, cei_device **device, ce_error *error) {
    uint64_t epoch;
    ce_status status = cei_sim_enter_open(index, &epoch, error);
    if (status != CE_OK) return status;
    sim_device *made = cei_alloc_zeroed(1, sizeof *made);
    if (!made) return cei_fail_memory(error, "a device of sim", sizeof *made);
    made->base = (cei_device){&table, {"sim", index}};
    made->epoch = epoch;
    const cei_driver *backing = cei_sim_backing();
    if (backing) {
        made->base.table = &cei_sim_backed_table;
        status = backing->open(index, options, &made->other, error);
        if (status != CE_OK) {
            cei_free(made);
            return status;
        }
    }
    cei_sim_born(made, SIM_DEVICE);
    *device = &made->base;
    return CE_OK;
}

const cei_driver cei_sim_driver = {"sim", driver_count, cei_sim_describe, driver_open, NULL, NULL};
