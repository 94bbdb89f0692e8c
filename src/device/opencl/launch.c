/* launch.c - kernels with their arguments, put one by one in the order that the kernel has them. Allocates nothing. */
#include "device/opencl/opencl.h"

#include "base/error.h"

cei_opencl_launch cei_opencl_begin(const cei_opencl_device *device, cl_command_queue queue, cl_kernel kernel) {
    return (cei_opencl_launch){.device = device, .queue = queue, .kernel = kernel, .code = CL_SUCCESS};
}

static void put(cei_opencl_launch *launch, size_t size, const void *value) {
    const cl_int code = launch->device->api.clSetKernelArg(launch->kernel, launch->next++, size, value);
    if (launch->code == CL_SUCCESS) launch->code = code;
}

void cei_opencl_put_memory(cei_opencl_launch *launch, cl_mem memory) { put(launch, sizeof(void *), &memory); }

void cei_opencl_put_long(cei_opencl_launch *launch, uint64_t number) {
    const cl_ulong value = number;
    put(launch, sizeof value, &value);
}

void cei_opencl_put_slice(cei_opencl_launch *launch, cei_slice slice) {
    cei_opencl_put_memory(launch, cei_opencl_memory(slice));
    cei_opencl_put_long(launch, slice.offset);
}

void cei_opencl_put_number(cei_opencl_launch *launch, size_t number) {
    const cl_uint value = (cl_uint)number;
    launch->is_too_large = launch->is_too_large || value != number;
    put(launch, sizeof value, &value);
}

void cei_opencl_put_float(cei_opencl_launch *launch, float number) { put(launch, sizeof number, &number); }
void cei_opencl_put_local(cei_opencl_launch *launch, size_t bytes) { put(launch, bytes, NULL); }

ce_status cei_opencl_run(cei_opencl_launch *launch, size_t items_x, size_t items_y, const size_t groups[3],
                         const char *what, ce_error *error) {
    const size_t local[3] = {items_x, items_y, 1};
    const size_t global[3] = {groups[0] * items_x, groups[1] * items_y, groups[2]};
    if (launch->is_too_large)
        return cei_fail(error, CE_ERR_ARGUMENT, "opencl:%d: %s: a matrix of more than 2^32 rows or columns",
                        launch->device->base.id.index, what);
    if (launch->code == CL_SUCCESS)
        launch->code = launch->device->api.clEnqueueNDRangeKernel(launch->queue, launch->kernel, 3, NULL, global, local,
                                                                  0, NULL, NULL);
    return cei_opencl_check(launch->device, launch->code, what, error);
}
