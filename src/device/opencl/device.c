/* device.c - the driver of opencl:N: how devices are counted, described, opened and closed. */
#include "device/opencl/opencl.h"

#include "base/error.h"

#include <stdio.h>

/* Finds the library and the devices; an empty list has a reason. */
static void find_all(cei_opencl_api *api, cei_opencl_list *list, char *reason, size_t size) {
    list->count = 0;
    if (cei_opencl_load(api, reason, size)) cei_opencl_find(api, list, reason, size);
}

static int count_devices(char *reason, size_t size) {
    cei_opencl_api api;
    cei_opencl_list list;
    find_all(&api, &list, reason, size);
    return (int)list.count;
}

static void probe(int index, ce_device_info *info) {
    cei_opencl_api api;
    cei_opencl_list list;
    char reason[sizeof info->reason] = "", id[CE_DEVICE_ID_SIZE];
    snprintf(id, sizeof id, "opencl:%d", index);
    *info = (ce_device_info){0};
    find_all(&api, &list, reason, sizeof reason);
    if (index >= 0 && (size_t)index < list.count)
        cei_opencl_describe(&api, &list.all[index], 0, info);
    else
        snprintf(info->reason, sizeof info->reason, "%s", *reason ? reason : "it is no longer there");
    snprintf(info->id, sizeof info->id, "%s", id);
}

/* Processors are for those who name them: auto has the cpu device for that. */
static bool suits_auto(int index) {
    cei_opencl_api api;
    cei_opencl_list list;
    char reason[256];
    find_all(&api, &list, reason, sizeof reason);
    return index >= 0 && (size_t)index < list.count &&
           (list.all[index].type & (CL_DEVICE_TYPE_GPU | CL_DEVICE_TYPE_ACCELERATOR)) != 0;
}

/* ---- opened ---------------------------------------------------------------------------------------------------- */

/* A read that goes to the device and back: whoever answers it is alive. */
static ce_status get_status(cei_device *base, ce_device_info *info, ce_error *error) {
    cei_opencl_device *device = cei_opencl_of(base);
    cl_ulong pulse;
    pthread_mutex_lock(&device->lock);
    const cl_int code =
        device->api.clEnqueueReadBuffer(device->queue, device->sums, CL_TRUE, 0, sizeof pulse, &pulse, 0, NULL, NULL);
    pthread_mutex_unlock(&device->lock);
    ce_status status = cei_opencl_check(device, code, "asking the device", error);
    if (status != CE_OK) return status;
    cei_opencl_describe(&device->api, &device->choice, atomic_load(&device->held), info);
    snprintf(info->id, sizeof info->id, "opencl:%d", base->id.index);
    if (info->usable) return CE_OK;
    return cei_fail(error, CE_ERR_DEVICE_LOST, "opencl:%d is lost: %s", base->id.index, info->reason);
}

static bool supports(const cei_device *device, cei_op op, ce_precision precision) {
    (void)device;
    return (unsigned)op < CEI_OP_COUNT && ce_precision_name(precision) != NULL;
}

static void close_device(cei_device *base) {
    cei_opencl_device *device = cei_opencl_of(base);
    const cei_opencl_api *api = &device->api;
    if (device->sums) (void)api->clReleaseMemObject(device->sums);
    if (device->checksum) (void)api->clReleaseKernel(device->checksum);
    if (device->program) (void)api->clReleaseProgram(device->program);
    if (device->queue) (void)api->clReleaseCommandQueue(device->queue);
    if (device->context) (void)api->clReleaseContext(device->context);
    if (device->has_lock) pthread_mutex_destroy(&device->lock);
    cei_free(device);
}

static const cei_device_table table = {
    .close = close_device,
    .status = get_status,
    .supports = supports,
    .measure = cei_opencl_measure,
    .buffer_create = cei_opencl_buffer_create,
    .buffer_free = cei_opencl_buffer_free,
    .weight_bytes = cei_opencl_weight_bytes,
    .weight_write = cei_opencl_weight_write,
    .weight_read = cei_opencl_weight_read,
    .weight_checksum = cei_opencl_weight_checksum,
    .stream_bytes = cei_opencl_stream_bytes,
    .stream_create = cei_opencl_stream_create,
    .stream_free = cei_opencl_stream_free,
    .write = cei_opencl_write,
    .read = cei_opencl_read,
    .embed = cei_opencl_embed,
    .norm = cei_opencl_norm,
    .norm_heads = cei_opencl_norm_heads,
    .linear = cei_opencl_linear,
    .attention = cei_opencl_attention,
    .attention_relative = cei_opencl_attention_relative,
    .gather = cei_opencl_gather,
    .pool = cei_opencl_pool,
    .normalize = cei_opencl_normalize,
    .angles = cei_opencl_angles,
    .rotate = cei_opencl_rotate,
    .gate = cei_opencl_gate,
};

static ce_status open_objects(cei_opencl_device *device, ce_error *error) {
    const cei_opencl_api *api = &device->api;
    cl_device_id id = device->choice.device;
    cl_int code;
    device->total = cei_opencl_number(api, id, CL_DEVICE_GLOBAL_MEM_SIZE);
    device->most_bytes = cei_opencl_number(api, id, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
    device->local_bytes = cei_opencl_number(api, id, CL_DEVICE_LOCAL_MEM_SIZE);
    device->context = api->clCreateContext(NULL, 1, &id, NULL, NULL, &code);
    if (code == CL_SUCCESS) device->queue = api->clCreateCommandQueue(device->context, id, 0, &code);
    ce_status status = cei_opencl_check(device, code, "opening the device", error);
    if (status == CE_OK) status = cei_opencl_program_make(device, error);
    if (status == CE_OK) status = cei_opencl_checksum_prepare(device, error);
    return status;
}

/* The device itself, closed. */
static ce_status create(int index, const cei_device_options *options, cei_opencl_device **out, ce_error *error) {
    cei_opencl_list list;
    char reason[256] = "it is no longer there";
    cei_opencl_device *device = cei_alloc_zeroed(1, sizeof *device);
    if (!device) return cei_fail_memory(error, "an opencl device", sizeof *device);
    device->base = (cei_device){&table, {"opencl", index}};
    if (options) device->log = options->log;
    find_all(&device->api, &list, reason, sizeof reason);
    if (index < 0 || (size_t)index >= list.count) {
        cei_free(device);
        return cei_fail(error, CE_ERR_DEVICE_ABSENT, "opencl:%d cannot be used: %s", index, reason);
    }
    device->choice = list.all[index];
    device->has_lock = pthread_mutex_init(&device->lock, NULL) == 0;
    *out = device;
    return CE_OK;
}

static ce_status open_device(int index, const cei_device_options *options, cei_device **out, ce_error *error) {
    *out = NULL;
    cei_opencl_device *device = NULL;
    ce_status status = create(index, options, &device, error);
    if (status != CE_OK) return status;
    status = device->has_lock ? open_objects(device, error) : cei_fail_memory(error, "a lock", 0);
    if (status != CE_OK) {
        close_device(&device->base);
        return status;
    }
    *out = &device->base;
    return CE_OK;
}

const cei_driver cei_opencl_driver = {"opencl",    count_devices, probe,
                                      open_device, suits_auto,    cei_opencl_may_suit_auto};
