/* linear_digits.c - linear layers of float32 weights where the tier multiplies by integers (cei_cpu_digits).
 *
 * Weights are held as float32, to the bit as they were in the file; a panel is split into digits for each block of rows
 * that it is multiplied with, as the rows of the block are once for all panels. That is done between the instructions
 * of the product with the part of a panel before. The columns' units are found once, when weights are written, and lie
 * behind the panels. */
#include "device/cpu/cpu.h"

bool cei_cpu_takes_digits(const cei_cpu_kernels *kernels, size_t depth) {
    return kernels->digits.multiply && depth && depth <= CEI_CPU_DEEPEST_DIGITS;
}

static size_t padded_depth(const cei_cpu_kernels *kernels, size_t depth) {
    const size_t step = kernels->digits.step;
    return cei_cpu_divide_up(depth, step) * step;
}

size_t cei_cpu_row_floats(const cei_cpu_kernels *kernels, size_t depth) {
    if (!cei_cpu_takes_digits(kernels, depth)) return cei_cpu_padded(depth);
    return cei_cpu_padded(3 * padded_depth(kernels, depth) / sizeof(float));
}

/* Of the weight's column, a multiple of digits.width. */
static const float *part_at(const cei_cpu_linear_job *job, size_t column) {
    const size_t width = job->device->kernels.panel;
    return (const float *)cei_cpu_at(job->weight->at) + column / width * width * job->in + column % width;
}

float *cei_cpu_exponents(const cei_cpu_kernels *kernels, const cei_weight *weight) {
    const size_t panels = cei_cpu_divide_up(weight->rows, kernels->panel);
    return (float *)cei_cpu_at(weight->at) + panels * kernels->panel * weight->columns;
}

void cei_cpu_run_digit_block(const cei_cpu_linear_job *job, const cei_cpu_linear_block *b) {
    const cei_cpu_kernels *kernels = &job->device->kernels;
    const cei_cpu_digits *digits = &kernels->digits;
    const cei_cpu_scratch_plan *plan = &job->stream->plan;
    const size_t width = kernels->panel, step = digits->width, first = b->first_panel * width;
    const size_t end = cei_min_size(b->end_panel * width, job->columns), depth = padded_depth(kernels, job->in);
    float *rows = b->scratch + plan->rows, *exponents = b->scratch + plan->row_scales;
    float *out = job->out + b->first_row * job->columns;
    const float *column_exponents = cei_cpu_exponents(kernels, job->weight);
    /* Two parts' digits: those that are multiplied, and those that are made. */
    float *now = b->scratch + plan->panel, *then = now + 3 * depth * step / sizeof(float);
    cei_cpu_digit_product product = {.rows = b->rows,
                                     .depth = depth,
                                     .a = rows,
                                     .a_stride = cei_cpu_row_floats(kernels, job->in) * sizeof(float),
                                     .exponents = exponents,
                                     .out_stride = job->columns,
                                     .coming_depth = job->in};
    digits->prepare(job->x + b->first_row * job->in, job->in, b->rows, job->in, rows, product.a_stride, exponents);
    if (first < end) digits->split(part_at(job, first), job->in, column_exponents + first, now);
    for (size_t column = first, panel = first; column < end; column += step) {
        const size_t next = column + step;
        product.columns = cei_min_size(step, end - column);
        product.columns_at = now;
        product.column_exponents = column_exponents + column;
        product.coming = next < end ? part_at(job, next) : NULL;
        product.coming_exponents = column_exponents + next;
        product.coming_to = then;
        /* A panel is fetched while the first part of the one before it is multiplied. */
        product.next = column == panel && panel + width < end ? part_at(job, panel + width) : NULL;
        product.next_bytes = job->in * width * sizeof(float);
        product.bias = job->bias ? job->bias + column : NULL;
        product.out = out + column;
        digits->multiply(&product);
        float *made = then;
        then = now;
        now = made;
        if (next < end && next % width) continue;
        kernels->apply[job->function](out + panel, b->rows, cei_min_size(next, end) - panel, job->columns);
        panel = next;
    }
}
