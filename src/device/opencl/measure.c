/* measure.c - what an OpenCL device could do at most: multiply-adds on registers, and reading of its memory. The best
 * of several runs counts, since a neighbour can only make one slower. */
#include "device/opencl/opencl.h"

#include "base/clock.h"
#include "base/error.h"

enum { RUNS = 5, GROUPS_OF_A_UNIT = 16, CHAIN_VALUES = 64 /* measure.cl: CHAINS * 8 */ };
enum { READ_BYTES = 256 << 20 };

/* A run lasts at least so long: beside it, launching one is nothing. */
static const double run_ms = 10;

typedef struct measurement {
    cei_opencl_device *device;
    cl_program program;
    cl_kernel kernel;
    cei_buffer *out, *data;
    size_t groups;
} measurement;

static ce_status finish(const measurement *m, cei_opencl_launch *launch, double *ms, ce_error *error) {
    const double start = cei_now_ms();
    ce_status status =
        cei_opencl_run(launch, CEI_OPENCL_ITEMS, 1, (const size_t[3]){m->groups, 1, 1}, "measuring", error);
    if (status != CE_OK) return status;
    const cl_int code = m->device->api.clFinish(m->device->queue);
    *ms = cei_now_ms() - start;
    return cei_opencl_check(m->device, code, "measuring", error);
}

static ce_status run_products(const measurement *m, size_t rounds, double *ms, ce_error *error) {
    cei_opencl_launch launch = cei_opencl_begin(m->device, m->device->queue, m->kernel);
    cei_opencl_put_number(&launch, rounds);
    cei_opencl_put_float(&launch, 0.5f); /* sums tend to 2: none overflows */
    cei_opencl_put_memory(&launch, cei_opencl_memory((cei_slice){m->out, 0}));
    return finish(m, &launch, ms, error);
}

static ce_status run_reading(const measurement *m, double *ms, ce_error *error) {
    cei_opencl_launch launch = cei_opencl_begin(m->device, m->device->queue, m->kernel);
    cei_opencl_put_memory(&launch, cei_opencl_memory((cei_slice){m->data, 0}));
    cei_opencl_put_long(&launch, cei_buffer_size(m->data) / sizeof(cl_uint4));
    cei_opencl_put_number(&launch, (m->device->choice.type & CL_DEVICE_TYPE_CPU) != 0);
    cei_opencl_put_memory(&launch, cei_opencl_memory((cei_slice){m->out, 0}));
    return finish(m, &launch, ms, error);
}

static ce_status take_kernel(measurement *m, const char *name, ce_error *error) {
    cl_int code;
    m->kernel = m->device->api.clCreateKernel(m->program, name, &code);
    return cei_opencl_check(m->device, code, "measuring", error);
}

static void drop_kernel(measurement *m) {
    if (m->kernel) (void)m->device->api.clReleaseKernel(m->kernel);
    m->kernel = NULL;
}

/* Operations a second. */
static ce_status measure_products(measurement *m, double *flops, ce_error *error) {
    size_t rounds = 64;
    double ms = 0, best = 0;
    ce_status status = take_kernel(m, "multiply_adds", error);
    while (status == CE_OK && ms < run_ms && rounds < (size_t)1 << 30) { /* the first ones compile, and warm up */
        rounds *= 2;
        status = run_products(m, rounds, &ms, error);
    }
    for (int i = 0; i < RUNS && status == CE_OK; i++) {
        status = run_products(m, rounds, &ms, error);
        if (status == CE_OK && ms > 0 && (best == 0 || ms < best)) best = ms;
    }
    drop_kernel(m);
    const double products = (double)m->groups * CEI_OPENCL_ITEMS * CHAIN_VALUES * (double)rounds;
    *flops = best > 0 ? 2 * products / best * 1e3 : 0;
    return status;
}

/* Bytes a second, of as much as a buffer may have. */
static ce_status measure_reading(measurement *m, double *bandwidth, ce_error *error) {
    double ms = 0, best = 0;
    const size_t bytes = cei_min_size(READ_BYTES, (size_t)m->device->most_bytes / sizeof(cl_uint4) * sizeof(cl_uint4));
    ce_status status = cei_opencl_buffer_create(&m->device->base, bytes, &m->data, error);
    if (status == CE_OK) status = take_kernel(m, "read_all", error);
    for (int i = 0; i <= RUNS && status == CE_OK; i++) {
        status = run_reading(m, &ms, error);
        if (i > 0 && ms > 0 && (best == 0 || ms < best)) best = ms;
    }
    drop_kernel(m);
    *bandwidth = best > 0 ? (double)bytes / best * 1e3 : 0;
    return status;
}

ce_status cei_opencl_measure(cei_device *base, ce_precision precision, bool with_bandwidth, ce_device_speed *speed,
                             ce_error *error) {
    measurement m = {.device = cei_opencl_of(base)};
    if (!ce_precision_name(precision))
        return cei_fail(error, CE_ERR_UNSUPPORTED,
                        "the opencl device has no precision %d, only float32, bfloat16, float16 and int8",
                        (int)precision);
    const uint64_t units = cei_opencl_number(&m.device->api, m.device->choice.device, CL_DEVICE_MAX_COMPUTE_UNITS);
    m.groups = cei_max_size((size_t)units, 1) * GROUPS_OF_A_UNIT;
    ce_status status = cei_opencl_build(m.device, CEI_OPENCL_MEASURE, &m.program, error);
    if (status == CE_OK)
        status = cei_opencl_buffer_create(base, m.groups * CEI_OPENCL_ITEMS * sizeof(float), &m.out, error);
    if (status == CE_OK) status = measure_products(&m, &speed->flops, error);
    if (status == CE_OK && with_bandwidth) status = measure_reading(&m, &speed->bandwidth, error);
    cei_buffer_free(m.data);
    cei_buffer_free(m.out);
    if (m.program) (void)m.device->api.clReleaseProgram(m.program);
    return status;
}
