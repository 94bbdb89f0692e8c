/* device.c - the driver of the cpu device: one device, always there, with the kernels that the processor allows. */
#include "device/cpu/cpu.h"

#include "base/error.h"
#include "base/memory.h"

#include <crossenc/model.h>

#include <stdio.h>
#include <unistd.h>

/* Of the second-level cache, what a block of activations takes; the rest is for panels of weights and results. */
static const double block_share = 0.57;

static size_t copy_floats(void) {
    long cache = 0;
#if defined(_SC_LEVEL2_CACHE_SIZE)
    cache = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
    if (cache < 256 * 1024) cache = 256 * 1024; /* 0 is unknown */
    if (cache > 2048 * 1024) cache = 2048 * 1024;
    return (size_t)((double)cache * block_share) / sizeof(float);
}

static void describe(const cei_cpu_kernels *kernels, ce_device_info *info) {
    *info = (ce_device_info){.usable = true, .float32 = true, .bfloat16 = true, .int8 = true, .float16 = true};
    snprintf(info->id, sizeof info->id, "cpu");
    cei_cpu_model_name(info->name, sizeof info->name);
    cei_cpu_features(kernels, info->features, sizeof info->features);
    cei_cpu_memory(&info->memory_total, &info->memory_free);
}

static int count_devices(char *reason, size_t size) {
    (void)reason, (void)size;
    return 1;
}

static void probe(int index, ce_device_info *info) {
    (void)index;
    cei_cpu_kernels kernels;
    cei_cpu_choose_kernels(0, &kernels);
    describe(&kernels, info);
}

static ce_status get_status(cei_device *device, ce_device_info *info, ce_error *error) {
    (void)error;
    describe(&cei_cpu_of(device)->kernels, info);
    return CE_OK;
}

static bool supports(const cei_device *device, cei_op op, ce_precision precision) {
    (void)device;
    return (unsigned)op < CEI_OP_COUNT && ce_precision_name(precision) != NULL;
}

static void close_device(cei_device *device) { cei_free(device); }

static const cei_device_table table = {
    .close = close_device,
    .status = get_status,
    .supports = supports,
    .rounds_attention = cei_cpu_rounds_attention,
    .measure = cei_cpu_measure,
    .buffer_create = cei_cpu_buffer_create,
    .buffer_free = cei_cpu_buffer_free,
    .weight_bytes = cei_cpu_weight_bytes,
    .weight_write = cei_cpu_weight_write,
    .weight_read = cei_cpu_weight_read,
    .weight_checksum = cei_cpu_weight_checksum,
    .uses_pool = true,
    .stream_bytes = cei_cpu_stream_bytes,
    .stream_create = cei_cpu_stream_create,
    .stream_free = cei_cpu_stream_free,
    .write = cei_cpu_write,
    .read = cei_cpu_read,
    .embed = cei_cpu_embed,
    .norm = cei_cpu_norm_rows,
    .norm_heads = cei_cpu_norm_heads,
    .linear = cei_cpu_linear,
    .attention = cei_cpu_attention,
    .attention_relative = cei_cpu_attention_relative,
    .gather = cei_cpu_gather,
    .pool = cei_cpu_pool,
    .normalize = cei_cpu_normalize,
    .angles = cei_cpu_angles,
    .rotate = cei_cpu_rotate,
    .gate = cei_cpu_gate,
    .rows = cei_cpu_rows,
};

/* The one change that the library makes to the state of its process: see docs/architecture.md. */
static void choose_kernels(uint64_t disable, cei_cpu_kernels *kernels) {
    const uint64_t amx = CE_CPU_AMX_BF16 | CE_CPU_AMX_INT8; /* the others stand on these */
    cei_cpu_choose_kernels(disable, kernels);
    if (kernels->tiers & amx && !cei_cpu_request_amx()) cei_cpu_choose_kernels(disable | amx, kernels);
}

static ce_status open_device(int index, const cei_device_options *options, cei_device **out, ce_error *error) {
    *out = NULL;
    cei_cpu_device *device = cei_alloc_zeroed(1, sizeof *device);
    if (!device) return cei_fail_memory(error, "the cpu device", sizeof *device);
    device->base = (cei_device){&table, {"cpu", index}};
    device->pool = options ? options->pool : NULL;
    device->workers = device->pool ? cei_pool_size(device->pool) : 1;
    device->copy_floats = copy_floats();
    choose_kernels(options ? options->cpu_disable : 0, &device->kernels);
    *out = &device->base;
    return CE_OK;
}

const cei_driver cei_cpu_driver = {"cpu", count_devices, probe, open_device, NULL, NULL};
