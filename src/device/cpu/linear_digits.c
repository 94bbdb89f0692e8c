/* linear_digits.c - linear layers of float32 weights where the tier multiplies by integers (cei_cpu_digits).
 *
 * Weights are held as float32, to the bit as they were in the file; a panel is split into digits for each block of rows
 * that it is multiplied with, as the rows of the block are once for all panels. The digits of a panel take three
 * quarters of its bytes, and splitting them a tenth of the time of a product with 224 rows. */
#include "device/cpu/cpu.h"

bool cei_cpu_takes_digits(const cei_cpu_kernels *kernels, size_t depth) {
    return kernels->digits.multiply && depth <= CEI_CPU_DEEPEST_DIGITS;
}

static size_t padded_depth(const cei_cpu_kernels *kernels, size_t depth) {
    const size_t step = kernels->digits.step;
    return cei_cpu_divide_up(depth, step) * step;
}

size_t cei_cpu_row_floats(const cei_cpu_kernels *kernels, size_t depth) {
    if (!cei_cpu_takes_digits(kernels, depth)) return cei_cpu_padded(depth);
    return cei_cpu_padded(3 * padded_depth(kernels, depth) / sizeof(float));
}

void cei_cpu_run_digit_block(const cei_cpu_linear_job *job, const cei_cpu_linear_block *b) {
    const cei_cpu_kernels *kernels = &job->device->kernels;
    const cei_cpu_digits *digits = &kernels->digits;
    const cei_cpu_scratch_plan *plan = &job->stream->plan;
    const size_t width = kernels->panel;
    const size_t parts = width / digits->width, panel_bytes = job->in * width * sizeof(float);
    const float *weight = cei_cpu_at(job->weight->at);
    float *rows = b->scratch + plan->rows, *exponents = b->scratch + plan->row_scales,
          *split = b->scratch + plan->panel;
    cei_cpu_digit_product product = {.rows = b->rows,
                                     .depth = padded_depth(kernels, job->in),
                                     .a = rows,
                                     .a_stride = cei_cpu_row_floats(kernels, job->in) * sizeof(float),
                                     .exponents = exponents,
                                     .columns_at = split,
                                     .out_stride = job->columns,
                                     .next_bytes = panel_bytes / parts};
    digits->prepare(job->x + b->first_row * job->in, job->in, b->rows, job->in, rows, product.a_stride, exponents);
    for (size_t p = b->first_panel; p < b->end_panel; p++) {
        const float *panel = weight + p * width * job->in, *next = panel + width * job->in;
        const size_t end = cei_min_size((p + 1) * width, job->columns);
        float *out = job->out + b->first_row * job->columns + p * width;
        for (size_t column = p * width; column < end; column += digits->width) {
            const size_t part = (column - p * width) / digits->width;
            digits->split(panel + part * digits->width, job->in, split);
            product.columns = cei_min_size(digits->width, end - column);
            product.next = p + 1 < b->end_panel ? next + part * panel_bytes / parts / sizeof(float) : NULL;
            product.bias = job->bias ? job->bias + column : NULL;
            product.out = out + part * digits->width;
            digits->multiply(&product);
        }
        kernels->apply[job->function](out, b->rows, end - p * width, job->columns);
    }
}
