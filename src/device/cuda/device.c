/* device.c - the driver of cuda:N: what there is, and opening it. Relies on api.h alone for CUDA.
 *
 * Counting and probing open no context: a probe says how much memory is free only where this process has one already.
 */
#include "device/cuda/cuda.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

static const char *const kernel_names[CEI_CUDA_KERNEL_COUNT] = {
#define CEI_CUDA_NAME(name, arguments, threads, least, shared) #name,
    CEI_CUDA_KERNELS(CEI_CUDA_NAME)
#undef CEI_CUDA_NAME
};

static const unsigned kernel_threads[CEI_CUDA_KERNEL_COUNT] = {
#define CEI_CUDA_THREADS(name, arguments, threads, least, shared) threads,
    CEI_CUDA_KERNELS(CEI_CUDA_THREADS)
#undef CEI_CUDA_THREADS
};

static const int kernel_capabilities[CEI_CUDA_KERNEL_COUNT] = {
#define CEI_CUDA_LEAST(name, arguments, threads, least, shared) least,
    CEI_CUDA_KERNELS(CEI_CUDA_LEAST)
#undef CEI_CUDA_LEAST
};

static const unsigned kernel_shared[CEI_CUDA_KERNEL_COUNT] = {
#define CEI_CUDA_SHARED(name, arguments, threads, least, shared) shared,
    CEI_CUDA_KERNELS(CEI_CUDA_SHARED)
#undef CEI_CUDA_SHARED
};

/* ---- calls to the driver ------------------------------------------------------------------------------------- */

static ce_status fail_lost(const cei_cuda_device *device, ce_error *error) {
    return cei_fail(error, CE_ERR_DEVICE_LOST,
                    "cuda:%d was lost: an earlier operation broke its context; place the model again, or on another "
                    "device",
                    device->base.id.index);
}

ce_status cei_cuda_enter(cei_cuda_device *device, ce_error *error) {
    if (atomic_load(&device->lost)) return fail_lost(device, error);
    return cei_cuda_check(device, device->api.context_push(device->context), "making it current", error);
}

void cei_cuda_leave(cei_cuda_device *device) {
    cei_cuda_context before;
    (void)device->api.context_pop(&before);
}

static const char *next_step(ce_status status) {
    switch (status) {
    case CE_ERR_DEVICE_LOST:
        return "the device is lost to this process: place the model again, or on another device; if both fail, restart "
               "the process";
    case CE_ERR_DEVICE_MEMORY: return "free memory on the GPU, or use smaller batches";
    default: return "repeat; if it persists, take another device";
    }
}

ce_status cei_cuda_check(cei_cuda_device *device, cei_cuda_result result, const char *what, ce_error *error) {
    const ce_status status = cei_cuda_status_of(result);
    char text[160];
    if (status == CE_OK) return CE_OK;
    if (status == CE_ERR_DEVICE_LOST) atomic_store(&device->lost, true);
    return cei_fail(error, status, "cuda:%d: %s failed: %s; %s", device->base.id.index, what,
                    cei_cuda_describe(&device->api, result, text, sizeof text), next_step(status));
}

ce_status cei_cuda_launch(cei_cuda_device *device, cei_cuda_kernel kernel, cei_cuda_stream stream, size_t blocks_x,
                          size_t blocks_y, void *arguments, ce_error *error) {
    enum { MOST_X = INT32_MAX, MOST_Y = 65535 }; /* of every capability */
    void *parameters[] = {arguments};
    if (blocks_x == 0 || blocks_y == 0) return CE_OK;
    if (blocks_x > MOST_X || blocks_y > MOST_Y)
        return cei_fail(error, CE_ERR_UNSUPPORTED, "cuda:%d: %s over %zu x %zu blocks; the most is %d x %d",
                        device->base.id.index, kernel_names[kernel], blocks_x, blocks_y, MOST_X, MOST_Y);
    return cei_cuda_check(device,
                          device->api.launch(device->kernels[kernel], (unsigned)blocks_x, (unsigned)blocks_y, 1,
                                             kernel_threads[kernel], 1, 1, kernel_shared[kernel], stream, parameters,
                                             NULL),
                          kernel_names[kernel], error);
}

/* ---- what there is ------------------------------------------------------------------------------------------- */

static int count_devices(char *reason, size_t size) {
    cei_cuda_api api;
    int count = 0;
    if (!cei_cuda_api_open(CEI_CUDA_LIBRARY, &api, reason, size)) return 0;
    if (api.device_count(&count) != CEI_CUDA_SUCCESS || count <= 0) {
        snprintf(reason, size, "%s", cei_cuda_advice(CEI_CUDA_NO_DEVICE));
        count = 0;
    }
    cei_cuda_api_close(&api);
    return count;
}

static int attribute(const cei_cuda_api *api, int which, cei_cuda_device_number number) {
    int value = 0;
    return api->device_attribute(&value, which, number) == CEI_CUDA_SUCCESS ? value : 0;
}

static int capability(const cei_cuda_api *api, cei_cuda_device_number number) {
    return attribute(api, CEI_CUDA_CAPABILITY_MAJOR, number) * 10 + attribute(api, CEI_CUDA_CAPABILITY_MINOR, number);
}

static void describe_memory(const cei_cuda_api *api, cei_cuda_device_number number, ce_device_info *info) {
    cei_cuda_context context;
    unsigned flags;
    int active = 0;
    size_t total = 0, available = 0;
    if (api->device_memory(&total, number) == CEI_CUDA_SUCCESS) info->memory_total = total;
    if (api->context_state(number, &flags, &active) != CEI_CUDA_SUCCESS || !active) return;
    if (api->context_retain(&context, number) != CEI_CUDA_SUCCESS) return;
    if (api->context_push(context) == CEI_CUDA_SUCCESS) {
        if (api->memory_info(&available, &total) == CEI_CUDA_SUCCESS) info->memory_free = available;
        (void)api->context_pop(&context);
    }
    (void)api->context_release(number);
}

/* Sets usable and reason. */
static void judge(const cei_cuda_api *api, cei_cuda_device_number number, ce_device_info *info) {
    const int of = capability(api, number);
    if (!cei_cuda_image_for(cei_cuda_images, of, false))
        snprintf(info->reason, sizeof info->reason,
                 "its compute capability is %d.%d, and the kernels need 7.0: a GPU of 2017 or later", of / 10, of % 10);
    else if (attribute(api, CEI_CUDA_COMPUTE_MODE, number) == CEI_CUDA_COMPUTE_PROHIBITED)
        snprintf(info->reason, sizeof info->reason, "its compute mode is \"prohibited\": nvidia-smi -c 0 changes that");
    else
        info->usable = true;
}

static void describe(const cei_cuda_api *api, cei_cuda_device_number number, ce_device_info *info) {
    const int of = capability(api, number);
    if (api->device_name(info->name, sizeof info->name, number) != CEI_CUDA_SUCCESS) info->name[0] = '\0';
    info->name[sizeof info->name - 1] = '\0';
    snprintf(info->features, sizeof info->features, "sm_%d driver_cuda_%d.%d", of, api->version / 1000,
             api->version % 1000 / 10);
    info->float32 = info->bfloat16 = info->int8 = info->float16 = true;
    describe_memory(api, number, info);
    judge(api, number, info);
}

static void probe(int index, ce_device_info *info) {
    cei_cuda_api api;
    cei_cuda_device_number number;
    snprintf(info->id, sizeof info->id, "cuda:%d", index);
    if (!cei_cuda_api_open(CEI_CUDA_LIBRARY, &api, info->reason, sizeof info->reason)) return;
    const cei_cuda_result result = api.device_get(&number, index);
    if (result == CEI_CUDA_SUCCESS)
        describe(&api, number, info);
    else
        cei_cuda_describe(&api, result, info->reason, sizeof info->reason);
    cei_cuda_api_close(&api);
}

/* ---- the device ----------------------------------------------------------------------------------------------- */

static ce_status get_status(cei_device *base, ce_device_info *info, ce_error *error) {
    cei_cuda_device *device = cei_cuda_of(base);
    size_t available = 0, total = 0;
    ce_status status = cei_cuda_enter(device, error);
    if (status != CE_OK) return status;
    describe(&device->api, device->number, info);
    status = cei_cuda_check(device, device->api.memory_info(&available, &total), "asking for its memory", error);
    info->memory_free = available;
    info->memory_total = total;
    cei_cuda_leave(device);
    return status;
}

/* By name: a model that asks for more is refused when it is placed. */
static bool supports(const cei_device *device, cei_op op, ce_precision precision) {
    (void)device;
    switch (op) {
    case CEI_OP_EMBED:
    case CEI_OP_NORM:
    case CEI_OP_LINEAR:
    case CEI_OP_ATTENTION:
    case CEI_OP_GATHER:
    case CEI_OP_POOL:
    case CEI_OP_NORMALIZE:
    case CEI_OP_ANGLES:
    case CEI_OP_ROTARY:
    case CEI_OP_GATE:
    case CEI_OP_ATTENTION_RELATIVE:
    case CEI_OP_ATTENTION_CAUSAL:
    case CEI_OP_RMS_NORM:
    case CEI_OP_HEAD_NORM: return ce_precision_name(precision) != NULL;
    default: return false;
    }
}

static void close_device(cei_device *base) {
    cei_cuda_device *device = cei_cuda_of(base);
    const cei_cuda_api *api = &device->api;
    if (device->context && api->context_push(device->context) == CEI_CUDA_SUCCESS) {
        cei_cuda_slots_free(device);
        if (device->module) (void)api->module_unload(device->module);
        cei_cuda_leave(device);
    }
    if (device->context) (void)api->context_release(device->number);
    cei_cuda_api_close(&device->api);
    pthread_cond_destroy(&device->returned);
    pthread_mutex_destroy(&device->lock);
    cei_free(device);
}

static const cei_device_table table = {
    .close = close_device,
    .status = get_status,
    .supports = supports,
    .measure = cei_cuda_measure,
    .buffer_create = cei_cuda_buffer_create,
    .buffer_free = cei_cuda_buffer_free,
    .weight_bytes = cei_cuda_weight_bytes,
    .weight_write = cei_cuda_weight_write,
    .weight_read = cei_cuda_weight_read,
    .weight_checksum = cei_cuda_weight_checksum,
    .batch_tokens = cei_cuda_batch_tokens,
    .stream_bytes = cei_cuda_stream_bytes,
    .stream_create = cei_cuda_stream_create,
    .stream_free = cei_cuda_stream_free,
    .write = cei_cuda_write,
    .read = cei_cuda_read,
    .embed = cei_cuda_embed,
    .norm = cei_cuda_norm,
    .norm_heads = cei_cuda_norm_heads,
    .linear = cei_cuda_linear,
    .attention = cei_cuda_attention,
    .attention_relative = cei_cuda_attention_relative,
    .gather = cei_cuda_gather,
    .pool = cei_cuda_pool,
    .normalize = cei_cuda_normalize,
    .angles = cei_cuda_angles,
    .rotate = cei_cuda_rotate,
    .gate = cei_cuda_gate,
};

/* What the driver's compiler says of an image that it refuses, in one line. */
static ce_status fail_image(cei_cuda_device *device, cei_cuda_result result, char *log, ce_error *error) {
    char text[160];
    log[strcspn(log, "\n")] = '\0';
    return cei_fail(error, cei_cuda_status_of(result), "cuda:%d: the driver cannot load the kernels: %s%s%s; %s",
                    device->base.id.index, cei_cuda_describe(&device->api, result, text, sizeof text),
                    log[0] ? ": " : "", log,
                    result == CEI_CUDA_OLD_PTX ? "install a newer NVIDIA driver" : "take another device");
}

/* PTX is compiled by the driver here, and kept in its own cache: so that a fault shows at open. */
static cei_cuda_result load_image(cei_cuda_device *device, const unsigned char *bytes, char *log, size_t size) {
    enum { ERROR_LOG = 5, ERROR_LOG_SIZE = 6 }; /* CUjit_option */
    int options[] = {ERROR_LOG, ERROR_LOG_SIZE};
    void *values[] = {log, (void *)(uintptr_t)(size - 1)};
    return device->api.module_load(&device->module, bytes, 2, options, values);
}

static ce_status unpack_and_load(cei_cuda_device *device, const cei_cuda_image *image, ce_error *error) {
    char log[512] = "";
    unsigned char *bytes = cei_alloc(image->size, 1);
    if (!bytes) return cei_fail_memory(error, "the kernels of cuda", image->size);
    const bool is_sound = cei_cuda_unpack(image, bytes);
    const cei_cuda_result result =
        is_sound ? load_image(device, bytes, log, sizeof log) : (cei_cuda_result)CEI_CUDA_INVALID_IMAGE;
    cei_free(bytes);
    if (result == CEI_CUDA_SUCCESS) return CE_OK;
    device->module = NULL;
    return fail_image(device, result, log, error);
}

static ce_status find_kernels(cei_cuda_device *device, const cei_cuda_image *image, ce_error *error) {
    for (int i = 0; i < CEI_CUDA_KERNEL_COUNT; i++) {
        if (kernel_capabilities[i] > image->level) continue;
        cei_cuda_result result = device->api.module_function(&device->kernels[i], device->module, kernel_names[i]);
        if (result == CEI_CUDA_SUCCESS && kernel_shared[i])
            result = device->api.function_set(device->kernels[i], CEI_CUDA_FUNCTION_SHARED, (int)kernel_shared[i]);
        if (result != CEI_CUDA_SUCCESS) return cei_cuda_check(device, result, kernel_names[i], error);
    }
    return CE_OK;
}

/* A cubin that the driver does not take is no error: it has PTX for the same chip. */
static ce_status load_kernels(cei_cuda_device *device, ce_error *error) {
    const int of = capability(&device->api, device->number);
    const cei_cuda_image *image = cei_cuda_image_for(cei_cuda_images, of, true);
    ce_status status = image ? unpack_and_load(device, image, error) : CE_ERR_DEVICE_FAULT;
    if (status == CE_ERR_DEVICE_FAULT) {
        image = cei_cuda_image_for(cei_cuda_images, of, false);
        if (!image)
            return cei_fail(error, CE_ERR_UNSUPPORTED, "cuda:%d is older than the kernels can run on",
                            device->base.id.index);
        status = unpack_and_load(device, image, error);
    }
    return status == CE_OK ? find_kernels(device, image, error) : status;
}

static ce_status take_context(cei_cuda_device *device, ce_error *error) {
    cei_cuda_api *api = &device->api;
    char reason[256];
    if (!cei_cuda_api_open(CEI_CUDA_LIBRARY, api, reason, sizeof reason))
        return cei_fail(error, CE_ERR_DEVICE_ABSENT, "cuda:%d cannot be used: %s", device->base.id.index, reason);
    ce_status status =
        cei_cuda_check(device, api->device_get(&device->number, device->base.id.index), "finding it", error);
    if (status != CE_OK) return status;
    status = cei_cuda_check(device, api->context_retain(&device->context, device->number), "opening it", error);
    if (status != CE_OK) device->context = NULL;
    return status;
}

static ce_status open_device(int index, const cei_device_options *options, cei_device **out, ce_error *error) {
    (void)options;
    *out = NULL;
    cei_cuda_device *device = cei_alloc_zeroed(1, sizeof *device);
    if (!device) return cei_fail_memory(error, "the cuda device", sizeof *device);
    device->base = (cei_device){&table, {"cuda", index}};
    pthread_mutex_init(&device->lock, NULL);
    pthread_cond_init(&device->returned, NULL);
    ce_status status = take_context(device, error);
    if (status == CE_OK) status = cei_cuda_enter(device, error);
    if (status == CE_OK) {
        device->processors = (size_t)attribute(&device->api, CEI_CUDA_PROCESSORS, device->number);
        status = load_kernels(device, error);
        if (status == CE_OK) status = cei_cuda_slots_create(device, error);
        cei_cuda_leave(device);
    }
    if (status != CE_OK) {
        close_device(&device->base);
        return status;
    }
    *out = &device->base;
    return CE_OK;
}

const cei_driver cei_cuda_driver = {"cuda", count_devices, probe, open_device, NULL, NULL};
