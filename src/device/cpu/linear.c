/* linear.c - y = function(x W^T + bias) from packed weights.
 *
 * A task is a block of rows times a group of panels. The block stays in the second-level cache while the panels of
 * weights pass by; each panel's result goes through the function while it is warm. Neither the blocks nor the groups
 * change a bit of the result: the order of each sum follows from its length alone. */
#include "device/cpu/cpu.h"

#include <math.h>

size_t cei_cpu_block_depth(size_t depth) {
    const size_t blocks = cei_cpu_divide_up(depth, CEI_CPU_BLOCK_DEPTH);
    return blocks <= 1 ? depth : cei_cpu_divide_up(cei_cpu_divide_up(depth, blocks), 8) * 8;
}

void cei_cpu_multiply_deep(const cei_cpu_kernels *kernels, const cei_cpu_product *whole, float *partial) {
    const size_t width = kernels->panel, step = cei_cpu_block_depth(whole->depth);
    if (step == whole->depth) { /* the common case: one block, 0 included */
        kernels->multiply(whole);
        return;
    }
    for (size_t k = 0; k < whole->depth; k += step) {
        const size_t left = whole->depth - k;
        const bool is_last = left <= step;
        cei_cpu_product part = *whole;
        part.depth = is_last ? left : step;
        part.a = whole->a + k;
        part.panel = whole->panel + k * width;
        part.add = k ? partial : NULL;
        part.add_stride = width;
        part.next = is_last ? whole->next : left >= 2 * step ? part.panel + step * width : NULL;
        if (!is_last) {
            part.factors = NULL;
            part.bias = NULL;
            part.out = partial;
            part.out_stride = width;
        }
        kernels->multiply(&part);
    }
}

cei_cpu_linear_block cei_cpu_find_block(const cei_cpu_linear_job *job, size_t task, size_t worker) {
    const size_t block = task / job->groups, group = task % job->groups;
    const size_t r0 = job->rows * block / job->row_blocks, r1 = job->rows * (block + 1) / job->row_blocks;
    return (cei_cpu_linear_block){.first_row = r0,
                                  .rows = r1 - r0,
                                  .first_panel = job->panels * group / job->groups,
                                  .end_panel = job->panels * (group + 1) / job->groups,
                                  .scratch = job->stream->scratch + worker * job->stream->plan.total};
}

/* Copied, the rows of a block lie together in the second-level cache, apart by a stride that suits the first. That pays
 * when many panels read the copy, or where rows are whole pages apart (see cei_cpu_padded). */
static bool should_copy(const cei_cpu_linear_job *job, size_t rows, size_t panels) {
    if (rows * cei_cpu_padded(job->in) > job->device->copy_floats) return false;
    return panels * job->device->kernels.panel >= 256 || (job->in % 1024 == 0 && rows > 4);
}

static void run_block(void *argument, size_t task, size_t worker) {
    const cei_cpu_linear_job *job = argument;
    const cei_cpu_kernels *kernels = &job->device->kernels;
    const cei_cpu_linear_block b = cei_cpu_find_block(job, task, worker);
    if (cei_cpu_takes_digits(kernels, job->in)) {
        cei_cpu_run_digit_block(job, &b);
        return;
    }
    const float *weight = cei_cpu_at(job->weight->at);
    const size_t width = kernels->panel;
    cei_cpu_product product = {.rows = b.rows,
                               .depth = job->in,
                               .a = job->x + b.first_row * job->in,
                               .a_stride = job->in,
                               .out_stride = job->columns};
    if (should_copy(job, b.rows, b.end_panel - b.first_panel)) {
        float *copy = b.scratch + job->stream->plan.rows;
        product.a_stride = cei_cpu_padded(job->in);
        kernels->copy(product.a, job->in, product.rows, job->in, copy, product.a_stride);
        product.a = copy;
    }
    for (size_t p = b.first_panel; p < b.end_panel; p++) {
        product.columns = cei_min_size(width, job->columns - p * width);
        product.panel = weight + p * width * job->in;
        product.next = p + 1 < b.end_panel ? product.panel + width * job->in : NULL;
        product.bias = job->bias ? job->bias + p * width : NULL;
        product.out = job->out + b.first_row * job->columns + p * width;
        cei_cpu_multiply_deep(kernels, &product, b.scratch + job->stream->plan.partial);
        kernels->apply[job->function](product.out, product.rows, product.columns, job->columns);
    }
}

size_t cei_cpu_block_rows(const cei_cpu_device *device, size_t depth) {
    const size_t rows = device->copy_floats / cei_cpu_row_floats(&device->kernels, depth);
    return rows > CEI_CPU_MAX_ROWS ? CEI_CPU_MAX_ROWS : rows < CEI_CPU_FEWEST_ROWS ? CEI_CPU_FEWEST_ROWS : rows;
}

/* How long the tasks take one after another on the busiest worker, in rows times panels. Each task also pays about
 * four rows and a quarter of a panel for its beginning and end. */
static double estimate(const cei_cpu_linear_job *job, size_t row_blocks, size_t groups, size_t workers) {
    const double rows = (double)cei_cpu_divide_up(job->rows, row_blocks) + 4;
    const double panels = (double)cei_cpu_divide_up(job->panels, groups) + 0.25;
    return (double)cei_cpu_divide_up(row_blocks * groups, workers) * rows * panels;
}

/* Few rows are split by panels, many by rows, so that no worker waits long at the end. Two tasks a worker are enough:
 * all take about the same time. */
static void split_job(cei_cpu_linear_job *job, double work) {
    const size_t workers = cei_cpu_is_worth_waking(job->device, work) ? job->device->workers : 1;
    const size_t most = job->prepared ? CEI_CPU_MAX_ROWS : cei_cpu_block_rows(job->device, job->in);
    const size_t least = cei_cpu_divide_up(job->rows, most);
    job->row_blocks = cei_cpu_divide_up(least, workers) * workers;
    job->groups = 1;
    if (workers == 1 || least >= 8 * workers) return;
    double best = INFINITY;
    for (size_t blocks = least; blocks <= least + 2 * workers && blocks <= job->rows; blocks++) {
        for (size_t groups = 1; groups <= cei_cpu_divide_up(2 * workers, blocks) && groups <= job->panels; groups++) {
            const double time = estimate(job, blocks, groups, workers);
            if (time >= best) continue;
            best = time;
            job->row_blocks = blocks;
            job->groups = groups;
        }
    }
}

static cei_cpu_linear_job make_job(cei_stream *stream, const cei_linear_args *args) {
    const cei_cpu_device *device = cei_cpu_stream_of(stream)->device;
    return (cei_cpu_linear_job){
        .device = device,
        .stream = cei_cpu_stream_of(stream),
        .x = cei_cpu_at(args->x),
        .weight = args->weight,
        .bias = args->bias ? cei_cpu_at(args->bias->at) : NULL,
        .out = cei_cpu_at(args->out),
        .rows = args->rows,
        .in = args->weight->columns,
        .columns = args->weight->rows,
        .panels = cei_cpu_divide_up(args->weight->rows, device->kernels.panel),
        .function = args->function,
    };
}

static void run_job(cei_cpu_linear_job *job) {
    if (job->rows == 0 || job->columns == 0) return;
    const double work = 2.0 * (double)job->rows * (double)job->in * (double)job->columns;
    split_job(job, work);
    const bool is_low = job->weight->format != CEI_FORMAT_FLOAT32;
    cei_cpu_run(job->device, job->row_blocks * job->groups, work, is_low ? cei_cpu_run_low_block : run_block, job);
}

ce_status cei_cpu_linear(cei_stream *stream, const cei_linear_args *args, ce_error *error) {
    ce_status status = cei_cpu_check_placed(args->weight, error);
    if (status == CE_OK) status = cei_cpu_check_placed(args->bias, error);
    if (status != CE_OK) return status;
    cei_cpu_linear_job job = make_job(stream, args);
    run_job(&job);
    return CE_OK;
}

/* A worker by itself runs one task after the other: they share a tile. */
void cei_cpu_linear_pair(cei_stream *stream, const cei_linear_args *first, const cei_linear_args *second,
                         void *between) {
    const size_t stride = cei_cpu_low_row_stride(&cei_cpu_stream_of(stream)->device->kernels, second->weight);
    uint8_t *rounded = between;
    cei_cpu_linear_job job = make_job(stream, first), next = make_job(stream, second);
    job.rounded = rounded;
    job.rounded_stride = stride;
    job.tile = (float *)(void *)(rounded + first->rows * stride);
    next.prepared = rounded;
    run_job(&job);
    run_job(&next);
}
