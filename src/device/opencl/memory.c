/* memory.c - buffers of the opencl device: one cl_mem each, that is really there when it has been made. */
#include "device/opencl/opencl.h"

#include "base/error.h"

static ce_status fail_memory(const cei_opencl_device *device, size_t bytes, ce_error *error) {
    ce_device_info info;
    cei_opencl_describe(&device->api, &device->choice, atomic_load(&device->held), &info);
    return cei_fail(error, CE_ERR_DEVICE_MEMORY,
                    "opencl:%d has not the memory for a buffer: needed %llu bytes, free %llu, total %llu, in one piece "
                    "at most %llu; free some, or take another device",
                    device->base.id.index, (unsigned long long)bytes, (unsigned long long)info.memory_free,
                    (unsigned long long)info.memory_total, (unsigned long long)device->most_bytes);
}

/* Drivers may put off taking memory to its first use: writing it now is that use. */
static cl_int touch(const cei_opencl_device *device, cl_mem memory, size_t bytes) {
    const cl_uchar zero = 0;
    const cl_int code =
        device->api.clEnqueueFillBuffer(device->queue, memory, &zero, sizeof zero, 0, bytes, 0, NULL, NULL);
    return code == CL_SUCCESS ? device->api.clFinish(device->queue) : code;
}

/* CL_OUT_OF_RESOURCES is what some drivers say for want of memory. */
static bool is_shortage(cl_int code) {
    return code == CL_MEM_OBJECT_ALLOCATION_FAILURE || code == CL_OUT_OF_RESOURCES || code == CL_INVALID_BUFFER_SIZE;
}

ce_status cei_opencl_buffer_create(cei_device *base, size_t bytes, cei_buffer **out, ce_error *error) {
    *out = NULL;
    cei_opencl_device *device = cei_opencl_of(base);
    const size_t taken = cei_max_size(bytes, 1);
    cl_int code = CL_MEM_OBJECT_ALLOCATION_FAILURE;
    cei_opencl_buffer *buffer = cei_alloc_zeroed(1, sizeof *buffer);
    if (!buffer) return cei_fail_memory(error, "a buffer of opencl", sizeof *buffer);
    buffer->base = (cei_buffer){base, bytes};
    if (taken <= device->most_bytes)
        buffer->memory = device->api.clCreateBuffer(device->context, CL_MEM_READ_WRITE, taken, NULL, &code);
    if (buffer->memory) code = touch(device, buffer->memory, taken);
    if (code == CL_SUCCESS && buffer->memory) {
        atomic_fetch_add(&device->held, bytes);
        *out = &buffer->base;
        return CE_OK;
    }
    if (buffer->memory) (void)device->api.clReleaseMemObject(buffer->memory);
    cei_free(buffer);
    return is_shortage(code) ? fail_memory(device, bytes, error) : cei_opencl_fail(device, code, "a buffer", error);
}

void cei_opencl_buffer_free(cei_buffer *base) {
    cei_opencl_device *device = cei_opencl_of(base->device);
    cei_opencl_buffer *buffer = (cei_opencl_buffer *)base;
    (void)device->api.clReleaseMemObject(buffer->memory);
    atomic_fetch_sub(&device->held, base->bytes);
    cei_free(buffer);
}
