/* weights.c - how weights lie on the device: row-major, float32, bfloat16 or float16 end to end; int8 in rows padded to
 * CEI_INT8_STEP bytes, behind them the scales of all rows, then the sums of their integers. Where warp groups multiply,
 * matrices of low precision lie in tiles instead (kernels/tiles.h).
 *
 * A write packs rows into a slot and returns while that is on its way; reads and checksums wait for all writes. Rows
 * come into tiles, and out of them, on the device. */
#include "device/cuda/cuda.h"

#include "base/error.h"
#include "base/memory.h"
#include "device/checksum.h"
#include "formats/values.h"

#include <string.h>

ce_status cei_cuda_check_placed(const cei_weight *weight, ce_error *error) {
    if (!weight || weight->at.buffer) return CE_OK;
    return cei_fail(error, CE_ERR_ARGUMENT, "internal: a weight without memory cannot be used on cuda");
}

static size_t align(size_t bytes, size_t step) { return (bytes + step - 1) / step * step; }

/* Bytes from a row to the next. */
static size_t row_bytes(const cei_weight *weight) {
    switch (weight->format) {
    case CEI_FORMAT_BFLOAT16:
    case CEI_FORMAT_FLOAT16: return weight->columns * sizeof(uint16_t);
    case CEI_FORMAT_INT8: return align(weight->columns, CEI_INT8_STEP);
    default: return weight->columns * sizeof(float);
    }
}

bool cei_cuda_has_groups(const cei_cuda_device *device) { return device->kernels[CEI_CUDA_cei_k_lay_tiles] != NULL; }

/* Rows of whole chunks of 16 bytes, which those of every real model are. */
unsigned cei_cuda_tiles_of(const cei_cuda_device *device, const cei_weight *weight) {
    const size_t bytes = row_bytes(weight);
    if (!cei_cuda_has_groups(device) || weight->role != CEI_ROLE_MATRIX || weight->format == CEI_FORMAT_FLOAT32 ||
        bytes % CEI_INT8_STEP != 0)
        return 0;
    return (unsigned)(align(bytes, CEI_TILE_WIDTH) / CEI_TILE_WIDTH);
}

/* Where the scales and the sums of an INT8 weight begin, from its own beginning. */
static size_t scales_at(const cei_cuda_device *device, const cei_weight *weight) {
    const size_t tiles = cei_cuda_tiles_of(device, weight);
    return tiles ? align(weight->rows, CEI_TILE_ROWS) * tiles * CEI_TILE_WIDTH : weight->rows * row_bytes(weight);
}

static size_t sums_at(const cei_cuda_device *device, const cei_weight *weight) {
    return scales_at(device, weight) + weight->rows * sizeof(float);
}

size_t cei_cuda_weight_bytes(const cei_device *base, const cei_weight *shape) {
    /* What any format takes at most a value, and beside each row, tells whether the exact sum overflows. */
    const cei_cuda_device *device = cei_cuda_of(base);
    size_t rows, columns, most;
    if (!cei_add_size(shape->columns, 2 * CEI_TILE_WIDTH, &columns) ||
        !cei_add_size(shape->rows, CEI_TILE_ROWS, &rows) || !cei_mul_size(rows, columns, &most) ||
        !cei_mul_size(most, sizeof(float), &most) || !cei_add_size(most, CEI_BUFFER_ALIGNMENT, &most))
        return 0;
    const bool is_int8 = shape->format == CEI_FORMAT_INT8;
    const size_t bytes = is_int8 ? sums_at(device, shape) + shape->rows * sizeof(int32_t) : scales_at(device, shape);
    return align(bytes, CEI_BUFFER_ALIGNMENT);
}

/* Device memory as a kernel's pointer. */
static void *pointer(cei_cuda_address address) { return (void *)(uintptr_t)address; }

cei_values_args cei_cuda_values_of(const cei_weight *weight) {
    const cei_cuda_device *device = cei_cuda_of(weight->at.buffer->device);
    const cei_cuda_address at = cei_cuda_at(weight->at);
    cei_values_args values = {.values = pointer(at),
                              .tiles = cei_cuda_tiles_of(device, weight),
                              .rows = (unsigned)weight->rows,
                              .columns = (unsigned)weight->columns,
                              .stride = (unsigned)weight->columns,
                              .format = (unsigned)weight->format};
    if (weight->format == CEI_FORMAT_INT8) {
        values.stride = (unsigned)row_bytes(weight);
        values.scales = pointer(at + scales_at(device, weight));
        values.sums = pointer(at + sums_at(device, weight));
    }
    return values;
}

/* ---- packing ------------------------------------------------------------------------------------------------- */

/* Bytes of a value without a scale. */
static size_t value_size(cei_format format) { return format == CEI_FORMAT_FLOAT32 ? sizeof(float) : sizeof(uint16_t); }

static void pack(cei_format format, uint8_t *to, const float *values, size_t count) {
    if (format == CEI_FORMAT_BFLOAT16)
        cei_hold_bfloat16(values, count, (uint16_t *)(void *)to);
    else if (format == CEI_FORMAT_FLOAT16)
        cei_hold_float16(values, count, (uint16_t *)(void *)to);
    else
        memcpy(to, values, count * sizeof *values);
}

static void unpack(cei_format format, float *values, const uint8_t *from, size_t count) {
    static const cei_dtype dtypes[] = {CEI_DTYPE_F32, CEI_DTYPE_BF16, CEI_DTYPE_F16};
    const cei_values held = {.dtype = dtypes[format], .rows = 1, .columns = count, .data = from};
    cei_values_read(&held, 0, 1, values);
}

/* The integers of one row, which was rounded to whole multiples of its scale; returns their sum. */
static int32_t pack_int8(int8_t *to, const float *values, size_t count, float scale) {
    int32_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        const float quotient = scale != 0 ? values[i] / scale : 0;
        to[i] = (int8_t)(quotient < 0 ? quotient - 0.5f : quotient + 0.5f);
        sum += to[i];
    }
    return sum;
}

/* ---- writing ------------------------------------------------------------------------------------------------- */

static ce_status send(cei_cuda_device *device, const cei_cuda_slot *slot, cei_cuda_address to, size_t from,
                      size_t bytes, ce_error *error) {
    atomic_fetch_add(&device->sent, 1);
    return cei_cuda_check(device, device->api.copy_to_device(to, slot->memory + from, bytes, slot->stream),
                          "copying weights", error);
}

/* Moves bytes of whole chunks between a slot's rows on the device and a weight's tiles; in the weight they begin at
 * byte first, row by row. */
static ce_status move_tiles(cei_cuda_device *device, const cei_cuda_slot *slot, const cei_weight *weight, size_t first,
                            size_t bytes, bool takes, ce_error *error) {
    cei_tiles_kernel_args args = {.matrix = pointer(cei_cuda_at(weight->at)),
                                  .rows = pointer(slot->rows),
                                  .first = first / CEI_INT8_STEP,
                                  .count = bytes / CEI_INT8_STEP,
                                  .chunks = (unsigned)(row_bytes(weight) / CEI_INT8_STEP),
                                  .tiles = cei_cuda_tiles_of(device, weight),
                                  .takes = takes};
    const size_t blocks = (args.count + CEI_LINEAR_THREADS - 1) / CEI_LINEAR_THREADS;
    return cei_cuda_launch(device, CEI_CUDA_cei_k_lay_tiles, slot->stream, blocks, 1, &args, error);
}

/* The values in a slot, from its beginning on, go to byte first of the weight's. */
static ce_status send_values(cei_cuda_device *device, const cei_cuda_slot *slot, const cei_weight *weight, size_t first,
                             size_t bytes, ce_error *error) {
    if (!cei_cuda_tiles_of(device, weight)) return send(device, slot, cei_cuda_at(weight->at) + first, 0, bytes, error);
    const ce_status status = send(device, slot, slot->rows, 0, bytes, error);
    return status == CE_OK ? move_tiles(device, slot, weight, first, bytes, false, error) : status;
}

/* count values of a weight without scales, from value first on; they fit into a slot. */
static ce_status write_values(cei_cuda_device *device, const cei_weight *weight, size_t first, size_t count,
                              const float *values, ce_error *error) {
    const size_t size = value_size(weight->format);
    cei_cuda_slot *slot;
    ce_status status = cei_cuda_slot_take(device, &slot, error);
    if (status != CE_OK) return status;
    pack(weight->format, slot->memory, values, count);
    status = send_values(device, slot, weight, first * size, count * size, error);
    cei_cuda_slot_give(device, slot);
    return status;
}

/* Rows of an INT8 weight that fit into a slot: integers, then scales, then sums. */
static ce_status write_rows(cei_cuda_device *device, const cei_weight *weight, size_t first, size_t count,
                            const float *values, const float *scales, ce_error *error) {
    const size_t stride = row_bytes(weight), at_scales = count * stride, beside = count * sizeof(float);
    const cei_cuda_address at = cei_cuda_at(weight->at);
    cei_cuda_slot *slot;
    ce_status status = cei_cuda_slot_take(device, &slot, error);
    if (status != CE_OK) return status;
    int32_t *sums = (int32_t *)(void *)(slot->memory + at_scales + beside);
    memset(slot->memory, 0, at_scales);
    memcpy(slot->memory + at_scales, scales, beside);
    for (size_t r = 0; r < count; r++)
        sums[r] =
            pack_int8((int8_t *)slot->memory + r * stride, values + r * weight->columns, weight->columns, scales[r]);
    status = send_values(device, slot, weight, first * stride, at_scales, error);
    if (status == CE_OK)
        status = send(device, slot, at + scales_at(device, weight) + first * sizeof(float), at_scales, beside, error);
    if (status == CE_OK)
        status = send(device, slot, at + sums_at(device, weight) + first * sizeof(int32_t), at_scales + beside, beside,
                      error);
    cei_cuda_slot_give(device, slot);
    return status;
}

/* How much a slot holds: of rows of an INT8 weight, of values of others. At least one. */
static size_t piece_of(const cei_weight *weight) {
    const size_t of_row = row_bytes(weight) + sizeof(float) + sizeof(int32_t);
    if (weight->format == CEI_FORMAT_INT8) return cei_max_size(CEI_CUDA_SLOT_BYTES / of_row, 1);
    return CEI_CUDA_SLOT_BYTES / sizeof(float);
}

ce_status cei_cuda_weight_write(cei_device *base, const cei_weight *weight, size_t first, size_t count,
                                const float *values, const float *scales, ce_error *error) {
    cei_cuda_device *device = cei_cuda_of(base);
    ce_status status = cei_cuda_check_placed(weight, error);
    if (status == CE_OK) status = cei_cuda_enter(device, error);
    if (status != CE_OK) return status;
    const bool is_int8 = weight->format == CEI_FORMAT_INT8;
    const size_t whole = is_int8 ? count : count * weight->columns, piece = piece_of(weight);
    for (size_t done = 0; done < whole && status == CE_OK; done += piece) {
        const size_t some = cei_min_size(piece, whole - done);
        status = is_int8 ? write_rows(device, weight, first + done, some, values + done * weight->columns,
                                      scales + done, error)
                         : write_values(device, weight, first * weight->columns + done, some, values + done, error);
    }
    cei_cuda_leave(device);
    return status;
}

/* ---- reading ------------------------------------------------------------------------------------------------- */

/* bytes of device memory into the slot, at offset to. */
static ce_status fetch(cei_cuda_device *device, const cei_cuda_slot *slot, size_t to, cei_cuda_address from,
                       size_t bytes, ce_error *error) {
    return cei_cuda_check(device, device->api.copy_to_host(slot->memory + to, from, bytes, slot->stream),
                          "reading weights back", error);
}

/* The values from byte first of the weight's on, into the slot. */
static ce_status fetch_values(cei_cuda_device *device, const cei_cuda_slot *slot, const cei_weight *weight,
                              size_t first, size_t bytes, ce_error *error) {
    if (!cei_cuda_tiles_of(device, weight))
        return fetch(device, slot, 0, cei_cuda_at(weight->at) + first, bytes, error);
    const ce_status status = move_tiles(device, slot, weight, first, bytes, true, error);
    return status == CE_OK ? fetch(device, slot, 0, slot->rows, bytes, error) : status;
}

static ce_status wait_for(cei_cuda_device *device, const cei_cuda_slot *slot, ce_error *error) {
    return cei_cuda_check(device, device->api.stream_wait(slot->stream), "reading weights back", error);
}

static ce_status read_values(cei_cuda_device *device, const cei_cuda_slot *slot, const cei_weight *weight, size_t first,
                             size_t count, float *values, ce_error *error) {
    const size_t size = value_size(weight->format);
    ce_status status = fetch_values(device, slot, weight, first * size, count * size, error);
    if (status == CE_OK) status = wait_for(device, slot, error);
    if (status != CE_OK) return status;
    unpack(weight->format, values, slot->memory, count);
    return CE_OK;
}

static ce_status read_rows(cei_cuda_device *device, const cei_cuda_slot *slot, const cei_weight *weight, size_t first,
                           size_t count, float *values, float *scales, ce_error *error) {
    const size_t stride = row_bytes(weight), at_scales = count * stride;
    const cei_cuda_address at = cei_cuda_at(weight->at);
    ce_status status = fetch_values(device, slot, weight, first * stride, at_scales, error);
    if (status == CE_OK)
        status = fetch(device, slot, at_scales, at + scales_at(device, weight) + first * sizeof(float),
                       count * sizeof(float), error);
    if (status == CE_OK) status = wait_for(device, slot, error);
    if (status != CE_OK) return status;
    memcpy(scales, slot->memory + at_scales, count * sizeof(float));
    for (size_t r = 0; r < count; r++)
        for (size_t i = 0; i < weight->columns; i++)
            values[r * weight->columns + i] = scales[r] * (float)(int8_t)slot->memory[r * stride + i];
    return CE_OK;
}

ce_status cei_cuda_weight_read(cei_device *base, const cei_weight *weight, size_t first, size_t count, float *values,
                               float *scales, ce_error *error) {
    cei_cuda_device *device = cei_cuda_of(base);
    cei_cuda_slot *slot;
    ce_status status = cei_cuda_check_placed(weight, error);
    if (status == CE_OK) status = cei_cuda_enter(device, error);
    if (status != CE_OK) return status;
    status = cei_cuda_settle(device, error);
    if (status == CE_OK) status = cei_cuda_slot_take(device, &slot, error);
    if (status == CE_OK) {
        const bool is_int8 = weight->format == CEI_FORMAT_INT8;
        const size_t whole = is_int8 ? count : count * weight->columns, piece = piece_of(weight);
        for (size_t done = 0; done < whole && status == CE_OK; done += piece) {
            const size_t some = cei_min_size(piece, whole - done);
            status =
                is_int8 ? read_rows(device, slot, weight, first + done, some, values + done * weight->columns,
                                    scales + done, error)
                        : read_values(device, slot, weight, first * weight->columns + done, some, values + done, error);
        }
        memset(slot->memory, 0, CEI_CUDA_SLOT_BYTES); /* no weight stays on the host */
        cei_cuda_slot_give(device, slot);
    }
    cei_cuda_leave(device);
    return status;
}

/* ---- checksums ----------------------------------------------------------------------------------------------- */

static ce_status sum_rows(cei_cuda_device *device, const cei_cuda_slot *slot, const cei_weight *weight, size_t first,
                          size_t count, uint64_t *checksum, ce_error *error) {
    const size_t steps = count * weight->columns / (CEI_LINEAR_THREADS * CEI_CHECKSUM_VALUES);
    const size_t blocks = cei_min_size(steps + 1, CEI_CHECKSUM_BLOCKS);
    cei_checksum_kernel_args args = {cei_cuda_values_of(weight), (unsigned)first, (unsigned)count, (unsigned)blocks,
                                     pointer(slot->sums)};
    uint64_t sums[CEI_CHECKSUM_BLOCKS][2], a = 0, b = 0;
    ce_status status = cei_cuda_launch(device, CEI_CUDA_cei_k_checksum, slot->stream, blocks, 1, &args, error);
    if (status == CE_OK) status = fetch(device, slot, 0, slot->sums, blocks * sizeof sums[0], error);
    if (status == CE_OK) status = wait_for(device, slot, error);
    if (status != CE_OK) return status;
    memcpy(sums, slot->memory, blocks * sizeof sums[0]);
    for (size_t i = 0; i < blocks; i++) {
        a += sums[i][0];
        b += sums[i][1];
    }
    *checksum = cei_checksum_of(a, b);
    return CE_OK;
}

ce_status cei_cuda_weight_checksum(cei_device *base, const cei_weight *weight, size_t first, size_t count,
                                   uint64_t *checksum, ce_error *error) {
    cei_cuda_device *device = cei_cuda_of(base);
    cei_cuda_slot *slot;
    ce_status status = cei_cuda_check_placed(weight, error);
    if (status == CE_OK) status = cei_cuda_enter(device, error);
    if (status != CE_OK) return status;
    status = cei_cuda_settle(device, error);
    if (status == CE_OK) status = cei_cuda_slot_take(device, &slot, error);
    if (status == CE_OK) {
        status = sum_rows(device, slot, weight, first, count, checksum, error);
        cei_cuda_slot_give(device, slot);
    }
    cei_cuda_leave(device);
    return status;
}
