/* measure.c - what a GPU could do at most: products of a precision on registers, on tensor cores or by warp groups
 * where the kernels use them, and reading of its memory. The best of several runs counts, since a neighbour can only
 * make one slower. */
#include "device/cuda/cuda.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

enum { RUNS = 5, BLOCKS_OF_A_PROCESSOR = 8 };
enum { READ_BYTES = 512 << 20 }; /* of which a cache holds little */

/* A run lasts at least so long: beside it, launching one is nothing. */
static const double run_ms = 10;

typedef struct measurement {
    cei_cuda_device *device;
    cei_cuda_stream stream;
    cei_cuda_address out, data;
    size_t blocks;
    ce_error *error;
} measurement;

/* How products of a precision are measured: a kernel, and the multiply-adds of an operation of one of its threads. */
typedef struct products {
    cei_cuda_kernel kernel;
    double of_thread;
} products;

/* Halves are multiplied as quickly as bfloat16. */
static products choose(const cei_cuda_device *device, ce_precision precision) {
    enum { OF_BFLOAT16 = 16 * 8 * 16, OF_INT8 = 16 * 8 * 32 };                               /* of a warp */
    enum { OF_GROUP = CEI_TILE_ROWS * CEI_LARGE_TILE * CEI_TILE_WIDTH / CEI_GROUP_THREADS }; /* of a thread, in bytes */
    const bool has_tensor_cores = device->kernels[CEI_CUDA_cei_k_measure_tensor_bfloat16] != NULL;
    const bool is_16 = precision == CE_PRECISION_BFLOAT16 || precision == CE_PRECISION_FLOAT16;
    if (is_16 && cei_cuda_has_groups(device))
        return (products){CEI_CUDA_cei_k_measure_group_bfloat16, (double)OF_GROUP / sizeof(uint16_t)};
    if (precision == CE_PRECISION_INT8 && cei_cuda_has_groups(device))
        return (products){CEI_CUDA_cei_k_measure_group_int8, (double)OF_GROUP};
    if (is_16 && has_tensor_cores)
        return (products){CEI_CUDA_cei_k_measure_tensor_bfloat16, (double)OF_BFLOAT16 / CEI_WARP_THREADS};
    if (precision == CE_PRECISION_INT8 && has_tensor_cores)
        return (products){CEI_CUDA_cei_k_measure_tensor_int8, (double)OF_INT8 / CEI_WARP_THREADS};
    if (precision == CE_PRECISION_INT8) return (products){CEI_CUDA_cei_k_measure_int8, 4};
    return (products){CEI_CUDA_cei_k_measure_float32, 1};
}

/* Launches a kernel and waits for it. */
static ce_status run(const measurement *m, cei_cuda_kernel kernel, void *arguments, double *ms) {
    const double start = cei_now_ms();
    ce_status status = cei_cuda_launch(m->device, kernel, m->stream, m->blocks, 1, arguments, m->error);
    if (status == CE_OK)
        status = cei_cuda_check(m->device, m->device->api.stream_wait(m->stream), "measuring", m->error);
    *ms = cei_now_ms() - start;
    return status;
}

static ce_status run_products(const measurement *m, const products *what, unsigned rounds, double *ms) {
    cei_measure_kernel_args args = {(float *)(uintptr_t)m->out, rounds, 0.5f};
    return run(m, what->kernel, &args, ms);
}

static double least(double best, double ms) { return ms > 0 && (best == 0 || ms < best) ? ms : best; }

/* Operations a second. */
static ce_status measure_products(const measurement *m, const products *what, double *flops) {
    unsigned rounds = 1;
    double ms = 0, best = 0;
    ce_status status = CE_OK;
    while (status == CE_OK && ms < run_ms && rounds < 1u << 30) { /* the first ones warm up */
        rounds *= 2;
        status = run_products(m, what, rounds, &ms);
    }
    for (int i = 0; i < RUNS && status == CE_OK; i++) {
        status = run_products(m, what, rounds, &ms);
        best = least(best, ms);
    }
    const double operations = (double)m->blocks * CEI_LINEAR_THREADS * CEI_MEASURE_CHAINS * (double)rounds;
    *flops = best > 0 ? 2 * what->of_thread * operations / best * 1e3 : 0;
    return status;
}

/* Bytes a second, of as much as is to be had. */
static ce_status measure_reading(measurement *m, double *bandwidth) {
    size_t available = 0, total = 0;
    double ms = 0, best = 0;
    ce_status status =
        cei_cuda_check(m->device, m->device->api.memory_info(&available, &total), "asking for its memory", m->error);
    if (status != CE_OK) return status;
    const size_t count = cei_min_size(READ_BYTES, available / 2) / sizeof(cei_four_words);
    status = cei_cuda_allocate(m->device, count * sizeof(cei_four_words), &m->data, m->error);
    for (int i = 0; i <= RUNS && status == CE_OK; i++) { /* the first one warms up */
        cei_reading_kernel_args args = {(const cei_four_words *)(uintptr_t)m->data, (unsigned *)(uintptr_t)m->out,
                                        count, (unsigned)m->blocks};
        status = run(m, CEI_CUDA_cei_k_measure_reading, &args, &ms);
        if (i > 0) best = least(best, ms);
    }
    *bandwidth = best > 0 ? (double)count * sizeof(cei_four_words) / best * 1e3 : 0;
    return status;
}

/* The device is current. */
static ce_status measure(measurement *m, ce_precision precision, bool with_bandwidth, ce_device_speed *speed) {
    const cei_cuda_api *api = &m->device->api;
    const products what = choose(m->device, precision);
    m->blocks = cei_max_size(m->device->processors, 1) * BLOCKS_OF_A_PROCESSOR;
    ce_status status = cei_cuda_allocate(m->device, m->blocks * CEI_LINEAR_THREADS * sizeof(float), &m->out, m->error);
    if (status == CE_OK)
        status = cei_cuda_check(m->device, api->stream_create(&m->stream, CEI_CUDA_STREAM_NON_BLOCKING),
                                "making a stream", m->error);
    if (status == CE_OK) status = measure_products(m, &what, &speed->flops);
    if (status == CE_OK && with_bandwidth) status = measure_reading(m, &speed->bandwidth);
    if (m->stream) (void)api->stream_wait(m->stream); /* what it uses is freed next */
    if (m->data) (void)api->memory_free(m->data);
    if (m->out) (void)api->memory_free(m->out);
    if (m->stream) (void)api->stream_destroy(m->stream);
    return status;
}

ce_status cei_cuda_measure(cei_device *base, ce_precision precision, bool with_bandwidth, ce_device_speed *speed,
                           ce_error *error) {
    measurement m = {.device = cei_cuda_of(base), .error = error};
    if (!ce_precision_name(precision))
        return cei_fail(error, CE_ERR_UNSUPPORTED,
                        "the cuda device has no precision %d, only float32, bfloat16, float16 and int8",
                        (int)precision);
    ce_status status = cei_cuda_enter(m.device, error);
    if (status != CE_OK) return status;
    status = measure(&m, precision, with_bandwidth, speed);
    cei_cuda_leave(m.device);
    return status;
}
