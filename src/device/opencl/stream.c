/* stream.c - streams of the opencl device: a queue in order, kernels of its own, scratch memory.
 *
 * What is written is copied into staging memory and sent without waiting; reading waits, and is the one place where a
 * batch does. Staging is free again once something was read: all that was sent before has arrived by then. */
#include "device/opencl/opencl.h"

#include "base/error.h"

#include <string.h>

/* What a batch sends: arrays of int32 for its tokens (ids, positions, types, offsets), places of distances, of which
 * two arrays are twice as long as a sequence, and room for what else is small, as frequencies of angles are. */
enum { ARRAYS = 4, PLACES = 4, SMALL = 4096 };

/* Bytes of attention's local memory: attention.cl, which pads keys to 33 columns at a time. */
static size_t attention_bytes(size_t queries, size_t head_size) {
    const size_t fixed = CEI_OPENCL_KEYS * 33 + queries * (CEI_OPENCL_KEYS + 3);
    return (fixed + 2 * queries * head_size) * sizeof(float);
}

static bool fits_locally(const cei_opencl_device *device, size_t queries, size_t head_size) {
    return head_size <= device->local_bytes && attention_bytes(queries, head_size) <= device->local_bytes;
}

static const char *kernel_name(const cei_opencl_device *device, size_t kernel) {
    static const char *const names[CEI_OPENCL_KERNELS] = {
        "embed",  "norm", "row_scales",     "",       "attention", "attention_one", "relative", "relative_one",
        "gather", "pool", "normalize_rows", "angles", "rotary",    "gate"};
    return kernel == CEI_OPENCL_LINEAR ? cei_opencl_tiles[device->tile].name : names[kernel];
}

static ce_status make_objects(const cei_opencl_device *device, cei_opencl_stream *stream, ce_error *error) {
    cl_int code;
    stream->queue = device->api.clCreateCommandQueue(device->context, device->choice.device, 0, &code);
    for (size_t i = 0; i < CEI_OPENCL_KERNELS && code == CL_SUCCESS; i++)
        stream->kernels[i] = device->api.clCreateKernel(device->program, kernel_name(device, i), &code);
    return cei_opencl_check(device, code, "a stream", error);
}

size_t cei_opencl_stream_bytes(const cei_device *device, const cei_stream_limits *limits) {
    (void)device;
    size_t scales, frequencies;
    if (!cei_mul_size(limits->tokens, sizeof(cl_float2), &scales) ||
        !cei_mul_size(limits->head_size / 2, sizeof(cl_float), &frequencies))
        return SIZE_MAX;
    return cei_max_size(scales, frequencies);
}

static ce_status make_memory(cei_device *device, cei_opencl_stream *stream, ce_error *error) {
    const cei_stream_limits *limits = &stream->base.limits;
    size_t staging, places;
    if (!cei_mul_size(limits->tokens, ARRAYS * sizeof(int32_t), &staging) ||
        !cei_mul_size(limits->sequence, PLACES * sizeof(int32_t), &places) ||
        !cei_add_size(staging, places, &staging) || !cei_add_size(staging, SMALL, &staging))
        return cei_fail_memory(error, "staging memory", 0);
    stream->staging = cei_alloc(staging, 1);
    if (!stream->staging) return cei_fail_memory(error, "staging memory", staging);
    stream->staging_bytes = staging;
    return cei_opencl_buffer_create(device, cei_opencl_stream_bytes(device, limits), &stream->scratch, error);
}

ce_status cei_opencl_stream_create(cei_device *base, const cei_stream_limits *limits, cei_stream **out,
                                   ce_error *error) {
    *out = NULL;
    const cei_opencl_device *device = cei_opencl_of(base);
    if (!fits_locally(device, 1, limits->head_size))
        return cei_fail(error, CE_ERR_UNSUPPORTED,
                        "opencl:%d has %llu bytes of local memory, which is too little for attention heads of %zu "
                        "columns; take another device",
                        base->id.index, (unsigned long long)device->local_bytes, limits->head_size);
    cei_opencl_stream *stream = cei_alloc_zeroed(1, sizeof *stream);
    if (!stream) return cei_fail_memory(error, "a stream", sizeof *stream);
    stream->base = (cei_stream){base, *limits};
    stream->has_many = fits_locally(device, CEI_OPENCL_QUERIES, limits->head_size);
    ce_status status = make_objects(device, stream, error);
    if (status == CE_OK) status = make_memory(base, stream, error);
    if (status != CE_OK) {
        cei_opencl_stream_free(&stream->base);
        return status;
    }
    *out = &stream->base;
    return CE_OK;
}

void cei_opencl_stream_free(cei_stream *base) {
    const cei_opencl_api *api = &cei_opencl_of(base->device)->api;
    cei_opencl_stream *stream = (cei_opencl_stream *)base;
    if (stream->queue) (void)api->clFinish(stream->queue); /* after a fault, something may still read from staging */
    for (size_t i = 0; i < CEI_OPENCL_KERNELS; i++)
        if (stream->kernels[i]) (void)api->clReleaseKernel(stream->kernels[i]);
    if (stream->queue) (void)api->clReleaseCommandQueue(stream->queue);
    cei_buffer_free(stream->scratch);
    cei_free(stream->staging);
    cei_free(stream);
}

ce_status cei_opencl_write(cei_stream *base, cei_slice to, const void *from, size_t bytes, ce_error *error) {
    const cei_opencl_device *device = cei_opencl_of(base->device);
    cei_opencl_stream *stream = (cei_opencl_stream *)base;
    if (bytes == 0) return CE_OK;
    const bool is_staged = bytes <= stream->staging_bytes - stream->staged;
    if (is_staged) {
        from = memcpy(stream->staging + stream->staged, from, bytes);
        stream->staged += bytes;
    }
    const cl_int code = device->api.clEnqueueWriteBuffer(
        stream->queue, cei_opencl_memory(to), is_staged ? CL_FALSE : CL_TRUE, to.offset, bytes, from, 0, NULL, NULL);
    return cei_opencl_check(device, code, "writing to the device", error);
}

ce_status cei_opencl_read(cei_stream *base, void *to, cei_slice from, size_t bytes, ce_error *error) {
    const cei_opencl_device *device = cei_opencl_of(base->device);
    cei_opencl_stream *stream = (cei_opencl_stream *)base;
    cl_int code;
    if (bytes == 0)
        code = device->api.clFinish(stream->queue);
    else
        code = device->api.clEnqueueReadBuffer(stream->queue, cei_opencl_memory(from), CL_TRUE, from.offset, bytes, to,
                                               0, NULL, NULL);
    if (code == CL_SUCCESS) stream->staged = 0;
    return cei_opencl_check(device, code, "reading from the device", error);
}
