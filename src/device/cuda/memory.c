/* memory.c - buffers, the slots that weights go through, streams and their copies.
 *
 * Host memory that the driver reads while a copy is under way is pinned and ours, and is not written again before the
 * host has waited for that copy. */
#include "device/cuda/cuda.h"

#include "base/error.h"
#include "base/memory.h"

#include <string.h>

/* ---- device memory ------------------------------------------------------------------------------------------- */

static ce_status fail_memory(cei_cuda_device *device, size_t bytes, ce_error *error) {
    size_t available = 0, total = 0;
    (void)device->api.memory_info(&available, &total);
    return cei_fail(error, CE_ERR_DEVICE_MEMORY,
                    "cuda:%d: not enough memory on the device: %zu bytes needed, %zu free of %zu; free some, or use "
                    "smaller batches",
                    device->base.id.index, bytes, available, total);
}

ce_status cei_cuda_allocate(cei_cuda_device *device, size_t bytes, cei_cuda_address *address, ce_error *error) {
    const cei_cuda_result result = device->api.memory_alloc(address, bytes ? bytes : 1);
    if (result == CEI_CUDA_SUCCESS) return CE_OK;
    *address = 0;
    if (result == CEI_CUDA_OUT_OF_MEMORY) return fail_memory(device, bytes, error);
    return cei_cuda_check(device, result, "allocating memory", error);
}

ce_status cei_cuda_buffer_create(cei_device *base, size_t bytes, cei_buffer **out, ce_error *error) {
    cei_cuda_device *device = cei_cuda_of(base);
    *out = NULL;
    cei_cuda_buffer *buffer = cei_alloc_zeroed(1, sizeof *buffer);
    if (!buffer) return cei_fail_memory(error, "a buffer of cuda", sizeof *buffer);
    buffer->base = (cei_buffer){base, bytes};
    ce_status status = cei_cuda_enter(device, error);
    if (status == CE_OK) {
        status = cei_cuda_allocate(device, bytes, &buffer->address, error);
        cei_cuda_leave(device);
    }
    if (status != CE_OK) {
        cei_free(buffer);
        return status;
    }
    *out = &buffer->base;
    return CE_OK;
}

/* Also on a lost device, whose driver gives the memory back with the context. */
void cei_cuda_buffer_free(cei_buffer *base) {
    cei_cuda_device *device = cei_cuda_of(base->device);
    if (device->api.context_push(device->context) == CEI_CUDA_SUCCESS) {
        (void)device->api.memory_free(((cei_cuda_buffer *)base)->address);
        cei_cuda_leave(device);
    }
    cei_free(base);
}

/* ---- slots --------------------------------------------------------------------------------------------------- */

static ce_status fail_pinned(cei_cuda_device *device, cei_cuda_result result, size_t bytes, ce_error *error) {
    if (result == CEI_CUDA_OUT_OF_MEMORY) return cei_fail_memory(error, "pinned memory of cuda", bytes);
    return cei_cuda_check(device, result, "pinning host memory", error);
}

static ce_status create_pinned(cei_cuda_device *device, size_t bytes, unsigned char **out, ce_error *error) {
    void *memory = NULL;
    const cei_cuda_result result = device->api.host_alloc(&memory, bytes, 0);
    if (result != CEI_CUDA_SUCCESS) return fail_pinned(device, result, bytes, error);
    *out = memory;
    return CE_OK;
}

static ce_status create_stream(cei_cuda_device *device, cei_cuda_stream *stream, ce_error *error) {
    return cei_cuda_check(device, device->api.stream_create(stream, CEI_CUDA_STREAM_NON_BLOCKING), "making a stream",
                          error);
}

ce_status cei_cuda_slots_create(cei_cuda_device *device, ce_error *error) {
    ce_status status = CE_OK;
    for (size_t i = 0; i < CEI_CUDA_SLOTS && status == CE_OK; i++) {
        cei_cuda_slot *slot = &device->slots[i];
        status = create_stream(device, &slot->stream, error);
        if (status == CE_OK) status = create_pinned(device, CEI_CUDA_SLOT_BYTES, &slot->memory, error);
        if (status == CE_OK)
            status = cei_cuda_allocate(device, CEI_CHECKSUM_BLOCKS * 2 * sizeof(uint64_t), &slot->sums, error);
        if (status == CE_OK && cei_cuda_has_groups(device))
            status = cei_cuda_allocate(device, CEI_CUDA_SLOT_BYTES, &slot->rows, error);
    }
    return status;
}

void cei_cuda_slots_free(cei_cuda_device *device) {
    const cei_cuda_api *api = &device->api;
    for (size_t i = 0; i < CEI_CUDA_SLOTS; i++) {
        cei_cuda_slot *slot = &device->slots[i];
        if (slot->stream) (void)api->stream_wait(slot->stream); /* what it copies is freed next */
        if (slot->rows) (void)api->memory_free(slot->rows);
        if (slot->sums) (void)api->memory_free(slot->sums);
        if (slot->memory) (void)api->host_free(slot->memory);
        if (slot->stream) (void)api->stream_destroy(slot->stream);
    }
}

/* The next slot that nobody has, or NULL. Under the lock. */
static cei_cuda_slot *find_slot(cei_cuda_device *device) {
    for (size_t i = 0; i < CEI_CUDA_SLOTS; i++) {
        cei_cuda_slot *slot = &device->slots[(device->next + i) % CEI_CUDA_SLOTS];
        if (slot->taken) continue;
        device->next = (device->next + i + 1) % CEI_CUDA_SLOTS;
        slot->taken = true;
        return slot;
    }
    return NULL;
}

ce_status cei_cuda_slot_take(cei_cuda_device *device, cei_cuda_slot **slot, ce_error *error) {
    pthread_mutex_lock(&device->lock);
    while (!(*slot = find_slot(device))) pthread_cond_wait(&device->returned, &device->lock);
    pthread_mutex_unlock(&device->lock);
    const ce_status status = cei_cuda_check(device, device->api.stream_wait((*slot)->stream), "copying weights", error);
    if (status != CE_OK) cei_cuda_slot_give(device, *slot);
    return status;
}

void cei_cuda_slot_give(cei_cuda_device *device, cei_cuda_slot *slot) {
    pthread_mutex_lock(&device->lock);
    slot->taken = false;
    pthread_cond_broadcast(&device->returned);
    pthread_mutex_unlock(&device->lock);
}

/* Waits for one slot, and overwrites what it holds: no weight stays on the host. */
static ce_status empty_slot(cei_cuda_device *device, cei_cuda_slot *slot, ce_error *error) {
    pthread_mutex_lock(&device->lock);
    while (slot->taken) pthread_cond_wait(&device->returned, &device->lock);
    slot->taken = true;
    pthread_mutex_unlock(&device->lock);
    const ce_status status = cei_cuda_check(device, device->api.stream_wait(slot->stream), "copying weights", error);
    if (status == CE_OK) memset(slot->memory, 0, CEI_CUDA_SLOT_BYTES);
    cei_cuda_slot_give(device, slot);
    return status;
}

ce_status cei_cuda_settle(cei_cuda_device *device, ce_error *error) {
    const size_t sent = atomic_load(&device->sent);
    ce_status status = CE_OK;
    if (atomic_load(&device->settled) == sent) return CE_OK;
    for (size_t i = 0; i < CEI_CUDA_SLOTS && status == CE_OK; i++)
        status = empty_slot(device, &device->slots[i], error);
    if (status == CE_OK) atomic_store(&device->settled, sent);
    return status;
}

/* ---- streams ------------------------------------------------------------------------------------------------- */

/* Bytes of all rounded rows, each as wide as a weight's, in bfloat16, which takes more than integers: in an area, whole
 * large tiles. SIZE_MAX on overflow. */
static size_t area_bytes(const cei_stream_limits *limits) {
    size_t rows, width, bytes;
    if (!cei_add_size(limits->columns, CEI_TILE_WIDTH, &width) ||
        !cei_add_size(limits->tokens, CEI_LARGE_TILE, &rows) ||
        !cei_mul_size(rows / CEI_LARGE_TILE * CEI_LARGE_TILE, width / CEI_TILE_WIDTH * CEI_TILE_WIDTH, &bytes) ||
        !cei_mul_size(bytes, sizeof(uint16_t), &bytes))
        return SIZE_MAX;
    return bytes;
}

/* Two large tiles of rows for each multiprocessor: then even the narrowest layers give each some tiles, and the time
 * from one batch to the next is little beside a batch's. */
size_t cei_cuda_batch_tokens(const cei_device *device) { return cei_cuda_of(device)->processors * 2 * CEI_LARGE_TILE; }

/* Without groups nothing is kept from an operation to the next: one area is enough. */
static size_t areas_of(const cei_cuda_device *device) { return cei_cuda_has_groups(device) ? CEI_CUDA_AREAS : 1; }

size_t cei_cuda_stream_bytes(const cei_device *device, const cei_stream_limits *limits) {
    size_t areas, beside, bytes;
    if (!cei_mul_size(limits->tokens, sizeof(float) + sizeof(int32_t), &beside) ||
        !cei_mul_size(area_bytes(limits), areas_of(cei_cuda_of(device)), &areas) ||
        !cei_add_size(areas, beside, &bytes))
        return SIZE_MAX;
    return bytes;
}

/* Scales and zeros are of the rows that were rounded last, which are used before others are. */
cei_cuda_rounded cei_cuda_rounded_of(const cei_cuda_stream_state *stream, unsigned area) {
    const cei_stream_limits *limits = &stream->base.limits;
    const size_t bytes = area_bytes(limits);
    const cei_cuda_address scales = stream->rounded + bytes * areas_of(cei_cuda_of(stream->base.device));
    return (cei_cuda_rounded){stream->rounded + bytes * area, scales, scales + limits->tokens * sizeof(float)};
}

/* Room for a batch's ids, types, positions and offsets, so that they wait for nothing. */
static size_t out_bytes(const cei_stream_limits *limits) {
    size_t bytes;
    if (!cei_mul_size(limits->tokens, 4 * sizeof(int32_t), &bytes)) bytes = CEI_CUDA_MOST_OUT;
    return cei_min_size(cei_max_size(bytes, CEI_CUDA_LEAST_OUT), CEI_CUDA_MOST_OUT);
}

static ce_status check_limits(cei_cuda_device *device, const cei_stream_limits *limits, ce_error *error) {
    if (limits->head_size <= CEI_ATTENTION_HEAD) return CE_OK;
    return cei_fail(error, CE_ERR_UNSUPPORTED, "cuda:%d: attention heads of %zu columns; the most is %d",
                    device->base.id.index, limits->head_size, CEI_ATTENTION_HEAD);
}

ce_status cei_cuda_stream_create(cei_device *base, const cei_stream_limits *limits, cei_stream **out, ce_error *error) {
    cei_cuda_device *device = cei_cuda_of(base);
    *out = NULL;
    ce_status status = check_limits(device, limits, error);
    if (status != CE_OK) return status;
    cei_cuda_stream_state *stream = cei_alloc_zeroed(1, sizeof *stream);
    if (!stream) return cei_fail_memory(error, "a stream of cuda", sizeof *stream);
    stream->base = (cei_stream){base, *limits};
    stream->out = out_bytes(limits);
    status = cei_cuda_enter(device, error);
    if (status == CE_OK) {
        status = create_stream(device, &stream->stream, error);
        if (status == CE_OK) status = create_pinned(device, stream->out + CEI_CUDA_IN_BYTES, &stream->staging, error);
        if (status == CE_OK)
            status = cei_cuda_allocate(device, cei_cuda_stream_bytes(base, limits), &stream->rounded, error);
        cei_cuda_leave(device);
    }
    if (status != CE_OK) {
        cei_cuda_stream_free(&stream->base);
        return status;
    }
    *out = &stream->base;
    return CE_OK;
}

void cei_cuda_stream_free(cei_stream *base) {
    cei_cuda_stream_state *stream = (cei_cuda_stream_state *)base;
    cei_cuda_device *device = cei_cuda_of(base->device);
    const cei_cuda_api *api = &device->api;
    if (api->context_push(device->context) == CEI_CUDA_SUCCESS) {
        if (stream->stream) (void)api->stream_wait(stream->stream); /* what it copies is freed next */
        if (stream->rounded) (void)api->memory_free(stream->rounded);
        if (stream->staging) (void)api->host_free(stream->staging);
        if (stream->stream) (void)api->stream_destroy(stream->stream);
        cei_cuda_leave(device);
    }
    cei_free(stream);
}

/* Waits for all that the stream has to do, where its faults show. */
static ce_status wait_for(cei_cuda_stream_state *stream, ce_error *error) {
    cei_cuda_device *device = cei_cuda_of(stream->base.device);
    stream->used = 0;
    return cei_cuda_check(device, device->api.stream_wait(stream->stream), "running operations", error);
}

static ce_status write_piece(cei_cuda_stream_state *stream, cei_cuda_address to, const void *from, size_t bytes,
                             ce_error *error) {
    cei_cuda_device *device = cei_cuda_of(stream->base.device);
    unsigned char *staging = stream->staging + stream->used;
    memcpy(staging, from, bytes);
    stream->used += bytes;
    return cei_cuda_check(device, device->api.copy_to_device(to, staging, bytes, stream->stream), "writing", error);
}

ce_status cei_cuda_write(cei_stream *base, cei_slice to, const void *from, size_t bytes, ce_error *error) {
    cei_cuda_stream_state *stream = (cei_cuda_stream_state *)base;
    ce_status status = cei_cuda_enter(cei_cuda_of(base->device), error);
    if (status != CE_OK) return status;
    stream->held.of.buffer = NULL;
    for (size_t done = 0, piece; done < bytes && status == CE_OK; done += piece) {
        if (stream->used == stream->out) status = wait_for(stream, error);
        piece = cei_min_size(bytes - done, stream->out - stream->used);
        if (status == CE_OK)
            status = write_piece(stream, cei_cuda_at(to) + done, (const char *)from + done, piece, error);
    }
    cei_cuda_leave(cei_cuda_of(base->device));
    return status;
}

ce_status cei_cuda_read(cei_stream *base, void *to, cei_slice from, size_t bytes, ce_error *error) {
    cei_cuda_stream_state *stream = (cei_cuda_stream_state *)base;
    cei_cuda_device *device = cei_cuda_of(base->device);
    unsigned char *staging = stream->staging + stream->out;
    ce_status status = cei_cuda_enter(device, error);
    if (status != CE_OK) return status;
    size_t done = 0;
    do { /* also of no bytes: faults are raised here */
        const size_t piece = cei_min_size(bytes - done, CEI_CUDA_IN_BYTES);
        if (piece)
            status = cei_cuda_check(device,
                                    device->api.copy_to_host(staging, cei_cuda_at(from) + done, piece, stream->stream),
                                    "reading", error);
        if (status == CE_OK) status = wait_for(stream, error);
        if (status == CE_OK && piece) memcpy((char *)to + done, staging, piece);
        done += piece;
    } while (done < bytes && status == CE_OK);
    cei_cuda_leave(device);
    return status;
}
