/* tiles.c - the tiles that linear layers are cut into, and which of them suits a device: the one whose product takes
 * the least time. All add in the same order, so that the choice changes no bit. */
#include "device/opencl/opencl.h"

#include "base/clock.h"
#include "base/error.h"

#include <string.h>

/* GPUs have their sums in the registers of many items, processors in the vectors of few. */
const cei_opencl_tile cei_opencl_tiles[CEI_OPENCL_TILES] = {
    {"linear_0", false, 16, 16, 4, 4, 16}, {"linear_1", false, 8, 8, 4, 4, 16}, {"linear_2", false, 16, 8, 8, 8, 8},
    {"linear_3", true, 4, 4, 8, 8, 32},    {"linear_4", true, 8, 16, 8, 8, 16},
};

bool cei_opencl_tile_suits(const cei_opencl_device *device, unsigned tile) {
    const bool is_processor = (device->choice.type & CL_DEVICE_TYPE_CPU) != 0;
    return cei_opencl_tiles[tile].for_processors == is_processor;
}

/* The product that is timed: some hundred tokens through a small layer. */
enum { ROWS = 256, IN = 384, COLUMNS = 384, RUNS = 3 };

typedef struct trial {
    cei_opencl_device *device;
    cl_program program;
    cei_buffer *x, *weight, *out;
    cei_weight matrix;
    cei_linear_args args;
} trial;

static bool fits(const trial *t, const cei_opencl_tile *tile, cl_kernel kernel) {
    size_t most = 0;
    const size_t local = (size_t)tile->depth * (tile->group_y * tile->rows + tile->group_x * tile->width);
    return t->device->api.clGetKernelWorkGroupInfo(kernel, t->device->choice.device, CL_KERNEL_WORK_GROUP_SIZE,
                                                   sizeof most, &most, NULL) == CL_SUCCESS &&
           (size_t)tile->group_x * tile->group_y <= most && local * sizeof(float) <= t->device->local_bytes;
}

static ce_status run(const trial *t, const cei_opencl_tile *tile, cl_kernel kernel, ce_error *error) {
    cei_opencl_launch launch = cei_opencl_begin(t->device, t->device->queue, kernel);
    ce_status status = cei_opencl_multiply(&launch, tile, &t->args, cei_opencl_memory(t->args.x), error);
    if (status != CE_OK) return status;
    return cei_opencl_check(t->device, t->device->api.clFinish(t->device->queue), "probing a tile", error);
}

/* The least time of several runs, the first of which may compile. */
static ce_status time_tile(const trial *t, const cei_opencl_tile *tile, cl_kernel kernel, double *ms, ce_error *error) {
    ce_status status = run(t, tile, kernel, error);
    for (int i = 0; i < RUNS && status == CE_OK; i++) {
        const double start = cei_now_ms();
        status = run(t, tile, kernel, error);
        const double took = cei_now_ms() - start;
        if (i == 0 || took < *ms) *ms = took;
    }
    return status;
}

static ce_status try_tiles(trial *t, ce_error *error) {
    const cei_opencl_api *api = &t->device->api;
    double best = -1, ms = 0;
    ce_status status = CE_OK;
    for (unsigned i = 0; i < CEI_OPENCL_TILES && status == CE_OK; i++) {
        if (!cei_opencl_tile_suits(t->device, i)) continue;
        cl_int code;
        cl_kernel kernel = api->clCreateKernel(t->program, cei_opencl_tiles[i].name, &code);
        if (code != CL_SUCCESS) return cei_opencl_fail(t->device, code, "probing a tile", error);
        if (fits(t, &cei_opencl_tiles[i], kernel)) {
            status = time_tile(t, &cei_opencl_tiles[i], kernel, &ms, error);
            if (best < 0 || ms < best) {
                best = ms;
                t->device->tile = i;
            }
        }
        (void)api->clReleaseKernel(kernel);
    }
    if (status == CE_OK && best < 0)
        return cei_fail(error, CE_ERR_UNSUPPORTED,
                        "opencl:%d can run no tile of a matrix product: its work-groups or "
                        "its local memory are too small; take another device",
                        t->device->base.id.index);
    return status;
}

ce_status cei_opencl_tile_choose(cei_opencl_device *device, ce_error *error) {
    trial t = {.device = device};
    ce_status status = cei_opencl_build(device, CEI_OPENCL_PROBE, &t.program, error);
    if (status == CE_OK) status = cei_opencl_buffer_create(&device->base, ROWS * IN * sizeof(float), &t.x, error);
    if (status == CE_OK)
        status = cei_opencl_buffer_create(&device->base, COLUMNS * IN * sizeof(float), &t.weight, error);
    if (status == CE_OK)
        status = cei_opencl_buffer_create(&device->base, ROWS * COLUMNS * sizeof(float), &t.out, error);
    t.matrix = (cei_weight){.role = CEI_ROLE_MATRIX, .rows = COLUMNS, .columns = IN, .at = {t.weight, 0}};
    t.args = (cei_linear_args){.rows = ROWS, .x = {t.x, 0}, .weight = &t.matrix, .out = {t.out, 0}};
    if (status == CE_OK) status = try_tiles(&t, error);
    cei_buffer_free(t.x);
    cei_buffer_free(t.weight);
    cei_buffer_free(t.out);
    if (t.program) (void)device->api.clReleaseProgram(t.program);
    return status;
}
