/* stream.c - streams of the cpu device: scratch memory for its workers, sized once. Operations run when they are
 * called, so writing and reading is copying. */
#include "device/cpu/cpu.h"

#include "base/error.h"
#include "base/memory.h"

#include <string.h>

size_t cei_cpu_padded(size_t columns) {
    const size_t stride = cei_cpu_divide_up(columns, CEI_CPU_LINE) * CEI_CPU_LINE + CEI_CPU_LINE;
    /* A multiple of 4 KiB would map all rows of a tile to the same set of the first-level cache. */
    return stride % 1024 == 0 ? stride + CEI_CPU_LINE : stride;
}

/* Overflow anywhere makes the plan unusable: sizes come from config files. */
typedef struct planner {
    size_t total;
    bool fits;
} planner;

static size_t place(planner *p, size_t a, size_t b) {
    const size_t at = p->total;
    size_t floats, end;
    p->fits = p->fits && cei_mul_size(a, b, &floats) && cei_add_size(floats, CEI_CPU_LINE - 1, &floats) &&
              cei_add_size(at, floats / CEI_CPU_LINE * CEI_CPU_LINE, &end);
    if (p->fits) p->total = end;
    return at;
}

static bool make_plan(const cei_cpu_device *device, const cei_stream_limits *limits, cei_cpu_scratch_plan *plan) {
    const size_t limit = SIZE_MAX / 64; /* paddings below cannot overflow */
    if (limits->columns > limit || limits->sequence > limit || limits->head_size > limit) return false;
    const size_t panel = device->kernels.panel, keys = cei_cpu_divide_up(limits->sequence, panel) * panel;
    const size_t head = cei_cpu_divide_up(limits->head_size, panel) * panel;
    const bool at_once = limits->head_size <= CEI_CPU_ATTEND_SIZE;
    const size_t head_depth = at_once ? cei_cpu_pieces_depth_floats(&device->kernels, limits->head_size) : 0;
    const size_t sequence_depth = at_once ? cei_cpu_pieces_depth_floats(&device->kernels, limits->sequence) : 0;
    const cei_cpu_low *low = &device->kernels.bfloat16;
    planner p = {0, true};
    *plan = (cei_cpu_scratch_plan){0};
    /* Rows in low precision take no more than as float32, padded: see cei_cpu_block_rows for how many there are. */
    size_t columns = cei_cpu_padded(limits->columns) + CEI_CPU_MAX_STEP, fewest;
    p.fits = cei_mul_size(columns, CEI_CPU_FEWEST_ROWS, &fewest);
    plan->rows = place(&p, cei_max_size(cei_max_size(fewest, device->copy_floats), CEI_CPU_DISTANCE_FLOATS), 1);
    plan->row_scales = place(&p, CEI_CPU_MAX_ROWS, sizeof(cei_row_scale) / sizeof(float));
    plan->panel = place(&p, limits->columns + CEI_CPU_MAX_STEP, panel); /* of digits: see linear_digits.c */
    plan->partial = place(&p, CEI_CPU_MAX_ROWS, panel);
    plan->temporary = place(&p, cei_cpu_temporary_floats(limits->columns), 1);
    plan->keys = place(&p, keys, cei_max_size(cei_cpu_low_depth_floats(low, limits->head_size), head_depth));
    plan->values = place(&p, cei_max_size(cei_cpu_low_depth_floats(low, limits->sequence), sequence_depth), head);
    plan->queries = place(&p, CEI_CPU_MAX_ROWS, cei_cpu_padded(limits->head_size));
    plan->scores = place(&p, cei_cpu_score_floats(&device->kernels, limits->sequence), 1);
    plan->factors = place(&p, CEI_CPU_MAX_ROWS, 1);
    plan->total = p.total;
    return p.fits;
}

static size_t workers_of(const cei_cpu_device *device, const cei_stream_limits *limits) {
    return limits->alone ? 1 : device->workers;
}

size_t cei_cpu_stream_bytes(const cei_device *device, const cei_stream_limits *limits) {
    const cei_cpu_device *cpu = cei_cpu_of(device);
    cei_cpu_scratch_plan plan;
    size_t bytes;
    if (!make_plan(cpu, limits, &plan) || !cei_mul_size(plan.total, workers_of(cpu, limits), &bytes) ||
        !cei_mul_size(bytes, sizeof(float), &bytes))
        return SIZE_MAX;
    return bytes;
}

ce_status cei_cpu_stream_create(cei_device *device, const cei_stream_limits *limits, cei_stream **out,
                                ce_error *error) {
    *out = NULL;
    const size_t bytes = cei_cpu_stream_bytes(device, limits);
    cei_cpu_stream *stream = cei_alloc_zeroed(1, sizeof *stream);
    if (!stream) return cei_fail_memory(error, "a stream", sizeof *stream);
    *stream = (cei_cpu_stream){
        .base = {device, *limits}, .device = cei_cpu_of(device), .single = *cei_cpu_of(device), .bytes = bytes};
    stream->single.pool = NULL;
    stream->single.workers = 1;
    if (limits->alone) stream->device = &stream->single;
    if (bytes != SIZE_MAX && make_plan(cei_cpu_of(device), limits, &stream->plan))
        stream->scratch = cei_cpu_block_alloc(bytes);
    if (!stream->scratch) {
        cei_free(stream);
        return cei_cpu_fail_memory(error, "scratch memory", bytes);
    }
    *out = &stream->base;
    return CE_OK;
}

void cei_cpu_stream_free(cei_stream *base) {
    if (!base) return;
    cei_cpu_stream *stream = cei_cpu_stream_of(base);
    cei_cpu_block_free(stream->scratch, stream->bytes);
    cei_free(stream);
}

ce_status cei_cpu_write(cei_stream *stream, cei_slice to, const void *from, size_t bytes, ce_error *error) {
    (void)stream, (void)error;
    if (bytes) memcpy(cei_cpu_at(to), from, bytes);
    return CE_OK;
}

ce_status cei_cpu_read(cei_stream *stream, void *to, cei_slice from, size_t bytes, ce_error *error) {
    (void)stream, (void)error;
    if (bytes) memcpy(to, cei_cpu_at(from), bytes);
    return CE_OK;
}
