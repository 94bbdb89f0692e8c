/* linear_low.c - tasks of linear layers whose weights are bfloat16, float16 or int8.
 *
 * The rows of a task are rounded once into scratch memory, where they stay while the task's panels pass by. A tier
 * without bfloat16 products widens each panel instead, as every tier does with float16, and takes the float32 product:
 * rounded weights, whole activations, the same order of additions. Results that one layer of bfloat16 alone reads are
 * rounded for it a few panels at a time, and are never whole as float32. */
#include "device/cpu/cpu.h"

/* Rows of widened panels are as wide as those of float32, and so is the way of the sum. */
static void run_widened(const cei_cpu_linear_job *job, const cei_cpu_linear_block *b, const cei_cpu_low_layout *at) {
    const cei_cpu_kernels *kernels = &job->device->kernels;
    const uint8_t *weight = cei_cpu_at(job->weight->at);
    const size_t width = kernels->panel;
    float *panel = b->scratch + job->stream->plan.panel;
    cei_cpu_product product = {.rows = b->rows,
                               .depth = job->in,
                               .a = job->x + b->first_row * job->in,
                               .a_stride = job->in,
                               .panel = panel,
                               .out_stride = job->columns};
    for (size_t p = b->first_panel; p < b->end_panel; p++) {
        cei_cpu_low_widen(kernels, at->format, (const uint16_t *)(const void *)(weight + p * at->panel_bytes),
                          job->in * width, panel);
        product.columns = cei_min_size(width, job->columns - p * width);
        product.bias = job->bias ? job->bias + p * width : NULL;
        product.out = job->out + b->first_row * job->columns + p * width;
        cei_cpu_multiply_deep(kernels, &product, b->scratch + job->stream->plan.partial);
        kernels->apply[job->function](product.out, product.rows, product.columns, job->columns);
    }
}

/* Apart by a stride that suits the first-level cache. */
static size_t row_stride(const cei_cpu_low_layout *at) {
    return cei_cpu_padded(cei_cpu_divide_up(at->depth * at->low->element, sizeof(float))) * sizeof(float);
}

size_t cei_cpu_low_row_stride(const cei_cpu_kernels *kernels, const cei_weight *weight) {
    const cei_cpu_low_layout at = cei_cpu_low_lay_out(kernels, weight);
    return row_stride(&at);
}

bool cei_cpu_can_pair(const cei_cpu_kernels *kernels, const cei_weight *first, const cei_weight *second) {
    const cei_cpu_low *low = &kernels->bfloat16;
    return first->format == CEI_FORMAT_BFLOAT16 && second->format == CEI_FORMAT_BFLOAT16 && low->multiply &&
           kernels->panel % low->step == 0;
}

size_t cei_cpu_pair_bytes(const cei_cpu_kernels *kernels, const cei_weight *second) {
    return cei_cpu_low_row_stride(kernels, second) + CEI_CPU_TILE_STRIDE * sizeof(float);
}

void cei_cpu_run_low_block(void *argument, size_t task, size_t worker) {
    const cei_cpu_linear_job *job = argument;
    const cei_cpu_kernels *kernels = &job->device->kernels;
    const cei_cpu_linear_block b = cei_cpu_find_block(job, task, worker);
    const cei_cpu_low_layout at = cei_cpu_low_lay_out(kernels, job->weight);
    const cei_cpu_low *low = at.low;
    if (!low->multiply) {
        run_widened(job, &b, &at);
        return;
    }
    const uint8_t *weight = cei_cpu_at(job->weight->at);
    const size_t width = kernels->panel;
    float *rows = b.scratch + job->stream->plan.rows;
    cei_row_scale *scales = (cei_row_scale *)(void *)(b.scratch + job->stream->plan.row_scales);
    cei_cpu_low_product product = {.rows = b.rows,
                                   .depth = at.depth,
                                   .a = rows,
                                   .a_stride = row_stride(&at),
                                   .rows_scale = scales,
                                   .panel_bytes = at.panel_bytes,
                                   .out_stride = job->columns};
    if (job->prepared)
        product.a = job->prepared + b.first_row * product.a_stride;
    else
        low->prepare(job->x + b.first_row * job->in, job->in, b.rows, job->in, rows, product.a_stride, scales);
    if (job->rounded) product.out_stride = CEI_CPU_TILE_STRIDE;
    const size_t step = low->wide ? CEI_CPU_PANELS_AT_ONCE : 1;
    for (size_t p = b.first_panel; p < b.end_panel; p += step) {
        const size_t end = cei_min_size(p + step, b.end_panel);
        product.columns = cei_min_size(end * width, job->columns) - p * width;
        product.panel = weight + p * at.panel_bytes;
        product.next = end < b.end_panel ? weight + end * at.panel_bytes : NULL;
        product.bias = job->bias ? job->bias + p * width : NULL;
        product.out = job->rounded ? job->tile : job->out + b.first_row * job->columns + p * width;
        low->multiply(&product);
        kernels->apply[job->function](product.out, product.rows, product.columns, product.out_stride);
        if (!job->rounded) continue;
        uint8_t *rounded = job->rounded + b.first_row * job->rounded_stride + p * width * low->element;
        low->prepare(product.out, product.out_stride, b.rows, product.columns, rounded, job->rounded_stride, NULL);
    }
}
