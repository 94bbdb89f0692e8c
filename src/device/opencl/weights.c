/* weights.c - weights of the opencl device: sending them in bounded host memory, reading them back, proving them.
 *
 * Rows lie one behind another in their format; an int8 weight's scales follow at the next multiple of 4, as common.cl
 * reads them. */
#include "device/opencl/opencl.h"

#include "base/error.h"
#include "device/checksum.h"
#include "formats/values.h"

/* Values that are converted at once, unless a row has more. */
enum { PIECE = 64 * 1024 };

enum { GROUPS = 256 /* of the checksum */ };
typedef struct group_sums {
    cl_ulong a, b;
} group_sums;

static size_t value_size(cei_format format) {
    static const size_t sizes[CEI_FORMAT_COUNT] = {sizeof(float), sizeof(uint16_t), sizeof(uint16_t), sizeof(int8_t)};
    return sizes[format];
}

/* Bytes of the values, up to the scales; false on overflow. */
static bool value_bytes(const cei_weight *weight, size_t *bytes) {
    if (!cei_mul_size(weight->rows, weight->columns, bytes) || !cei_mul_size(*bytes, value_size(weight->format), bytes))
        return false;
    if (!cei_add_size(*bytes, sizeof(float) - 1, bytes)) return false;
    *bytes = *bytes / sizeof(float) * sizeof(float);
    return true;
}

size_t cei_opencl_weight_bytes(const cei_device *device, const cei_weight *shape) {
    (void)device;
    size_t bytes, scales = 0;
    if (shape->format == CEI_FORMAT_INT8 && !cei_mul_size(shape->rows, sizeof(float), &scales)) return 0;
    if (!value_bytes(shape, &bytes) || !cei_add_size(bytes, scales, &bytes) ||
        !cei_add_size(bytes, CEI_BUFFER_ALIGNMENT - 1, &bytes))
        return 0;
    return bytes & ~(size_t)(CEI_BUFFER_ALIGNMENT - 1);
}

/* Where row first's values and its scale are. */
static cei_slice values_at(const cei_weight *weight, size_t first) {
    const size_t before = first * weight->columns * value_size(weight->format);
    return (cei_slice){weight->at.buffer, weight->at.offset + before};
}

static cei_slice scales_at(const cei_weight *weight, size_t first) {
    size_t bytes = 0;
    (void)value_bytes(weight, &bytes); /* it has been laid out: it fits */
    return (cei_slice){weight->at.buffer, weight->at.offset + bytes + first * sizeof(float)};
}

static ce_status send(const cei_opencl_device *device, cei_slice to, const void *from, size_t bytes, ce_error *error) {
    if (bytes == 0) return CE_OK;
    const cl_int code = device->api.clEnqueueWriteBuffer(device->queue, cei_opencl_memory(to), CL_TRUE, to.offset,
                                                         bytes, from, 0, NULL, NULL);
    return cei_opencl_check(device, code, "sending weights", error);
}

static ce_status fetch(const cei_opencl_device *device, void *to, cei_slice from, size_t bytes, ce_error *error) {
    if (bytes == 0) return CE_OK;
    const cl_int code = device->api.clEnqueueReadBuffer(device->queue, cei_opencl_memory(from), CL_TRUE, from.offset,
                                                        bytes, to, 0, NULL, NULL);
    return cei_opencl_check(device, code, "reading weights", error);
}

static ce_status check_placed(const cei_weight *weight, ce_error *error) {
    if (weight->at.buffer) return CE_OK;
    return cei_fail(error, CE_ERR_ARGUMENT, "internal: opencl: a weight without memory");
}

/* Rows of a piece, and room for their values as they are held; NULL if there is no memory. */
static void *make_room(const cei_weight *weight, size_t count, size_t *rows) {
    *rows = cei_min_size(cei_max_size(PIECE / cei_max_size(weight->columns, 1), 1), count);
    return cei_alloc(*rows * weight->columns, value_size(weight->format));
}

/* ---- writing --------------------------------------------------------------------------------------------------- */

/* scales are those of INT8. */
static void hold(cei_format format, const float *values, size_t count, size_t columns, const float *scales, void *to) {
    if (format == CEI_FORMAT_BFLOAT16) cei_hold_bfloat16(values, count * columns, to);
    if (format == CEI_FORMAT_FLOAT16) cei_hold_float16(values, count * columns, to);
    if (format != CEI_FORMAT_INT8) return;
    for (size_t r = 0; r < count; r++)
        (void)cei_hold_int8(values + r * columns, columns, scales[r] != 0 ? 1 / scales[r] : 0,
                            (int8_t *)to + r * columns);
}

static ce_status write_low(const cei_opencl_device *device, const cei_weight *weight, size_t first, size_t count,
                           const float *values, const float *scales, ce_error *error) {
    const bool is_scaled = weight->format == CEI_FORMAT_INT8;
    const size_t columns = weight->columns, row_bytes = columns * value_size(weight->format);
    size_t rows;
    void *held = make_room(weight, count, &rows);
    if (!held) return cei_fail_memory(error, "sending weights", rows * row_bytes);
    ce_status status = CE_OK;
    for (size_t r = 0; r < count && status == CE_OK; r += rows) {
        const size_t here = cei_min_size(rows, count - r);
        hold(weight->format, values + r * columns, here, columns, is_scaled ? scales + r : NULL, held);
        status = send(device, values_at(weight, first + r), held, here * row_bytes, error);
    }
    cei_free(held);
    if (status == CE_OK && is_scaled)
        status = send(device, scales_at(weight, first), scales, count * sizeof *scales, error);
    return status;
}

ce_status cei_opencl_weight_write(cei_device *base, const cei_weight *weight, size_t first, size_t count,
                                  const float *values, const float *scales, ce_error *error) {
    const cei_opencl_device *device = cei_opencl_of(base);
    const ce_status status = check_placed(weight, error);
    if (status != CE_OK || count == 0 || weight->columns == 0) return status;
    if (weight->format != CEI_FORMAT_FLOAT32) return write_low(device, weight, first, count, values, scales, error);
    return send(device, values_at(weight, first), values, count * weight->columns * sizeof *values, error);
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

static void widen(const cei_weight *weight, size_t count, const void *held, const float *scales, float *to) {
    static const cei_dtype dtypes[CEI_FORMAT_COUNT] = {CEI_DTYPE_F32, CEI_DTYPE_BF16, CEI_DTYPE_F16, CEI_DTYPE_I8};
    const bool is_scaled = weight->format == CEI_FORMAT_INT8;
    const cei_values values = {.dtype = dtypes[weight->format],
                               .rows = count,
                               .columns = weight->columns,
                               .data = held,
                               .scales = is_scaled ? (const uint8_t *)scales : NULL};
    cei_values_read(&values, 0, count, to);
}

static ce_status read_low(const cei_opencl_device *device, const cei_weight *weight, size_t first, size_t count,
                          float *values, float *scales, ce_error *error) {
    const bool is_scaled = weight->format == CEI_FORMAT_INT8;
    const size_t columns = weight->columns, row_bytes = columns * value_size(weight->format);
    ce_status status = CE_OK;
    size_t rows;
    if (is_scaled) status = fetch(device, scales, scales_at(weight, first), count * sizeof *scales, error);
    if (status != CE_OK) return status;
    void *held = make_room(weight, count, &rows);
    if (!held) return cei_fail_memory(error, "reading weights", rows * row_bytes);
    for (size_t r = 0; r < count && status == CE_OK; r += rows) {
        const size_t here = cei_min_size(rows, count - r);
        status = fetch(device, held, values_at(weight, first + r), here * row_bytes, error);
        if (status == CE_OK) widen(weight, here, held, is_scaled ? scales + r : NULL, values + r * columns);
    }
    cei_free(held);
    return status;
}

ce_status cei_opencl_weight_read(cei_device *base, const cei_weight *weight, size_t first, size_t count, float *values,
                                 float *scales, ce_error *error) {
    const cei_opencl_device *device = cei_opencl_of(base);
    const ce_status status = check_placed(weight, error);
    if (status != CE_OK || count == 0 || weight->columns == 0) return status;
    if (weight->format != CEI_FORMAT_FLOAT32) return read_low(device, weight, first, count, values, scales, error);
    return fetch(device, values, values_at(weight, first), count * weight->columns * sizeof *values, error);
}

/* ---- checksums ------------------------------------------------------------------------------------------------- */

ce_status cei_opencl_checksum_prepare(cei_opencl_device *device, ce_error *error) {
    cl_int code;
    device->checksum = device->api.clCreateKernel(device->program, "checksum", &code);
    if (code == CL_SUCCESS)
        device->sums =
            device->api.clCreateBuffer(device->context, CL_MEM_READ_WRITE, GROUPS * sizeof(group_sums), NULL, &code);
    return cei_opencl_check(device, code, "preparing checksums", error);
}

static ce_status run_checksum(cei_opencl_device *device, const cei_weight *weight, size_t first, size_t count,
                              group_sums *sums, ce_error *error) {
    cei_opencl_launch launch = cei_opencl_begin(device, device->queue, device->checksum);
    cei_opencl_put_slice(&launch, weight->at);
    cei_opencl_put_number(&launch, weight->format);
    cei_opencl_put_long(&launch, weight->rows);
    cei_opencl_put_long(&launch, weight->columns);
    cei_opencl_put_long(&launch, first);
    cei_opencl_put_long(&launch, (uint64_t)count * weight->columns);
    cei_opencl_put_memory(&launch, device->sums);
    ce_status status =
        cei_opencl_run(&launch, CEI_OPENCL_ITEMS, 1, (const size_t[3]){GROUPS, 1, 1}, "a checksum", error);
    if (status != CE_OK) return status;
    const cl_int code = device->api.clEnqueueReadBuffer(device->queue, device->sums, CL_TRUE, 0, GROUPS * sizeof *sums,
                                                        sums, 0, NULL, NULL);
    return cei_opencl_check(device, code, "a checksum", error);
}

ce_status cei_opencl_weight_checksum(cei_device *base, const cei_weight *weight, size_t first, size_t count,
                                     uint64_t *checksum, ce_error *error) {
    cei_opencl_device *device = cei_opencl_of(base);
    group_sums sums[GROUPS];
    ce_status status = check_placed(weight, error);
    if (status != CE_OK) return status;
    pthread_mutex_lock(&device->lock);
    status = run_checksum(device, weight, first, count, sums, error);
    pthread_mutex_unlock(&device->lock);
    if (status != CE_OK) return status;
    uint64_t a = 0, b = 0;
    for (size_t i = 0; i < GROUPS; i++) {
        a += sums[i].a;
        b += sums[i].b;
    }
    *checksum = cei_checksum_of(a, b);
    return CE_OK;
}
