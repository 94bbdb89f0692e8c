/* linear_digits.c - linear layers of float32 weights where the tier multiplies by integers (cei_cpu_digits).
 *
 * Weights are held as float32, to the bit as they were in the file; a panel is split into digits for each block of rows
 * that it is multiplied with, as the rows of the block are once for all panels. That is done between the instructions
 * of the product with the part of a panel before. The columns' units are found once, when weights are written, and lie
 * behind the panels.
 *
 * A deep sum is taken in pieces of the depth, each with all panels before the next: so many rows' digits stay in the
 * second-level cache that a panel is read and split for few blocks. Pieces follow from the depth alone; their sums are
 * added up in order, in float32. */
#include "device/cpu/cpu.h"

/* Of 224 rows' digits so deep there is room in half of 2 MiB. */
enum { PIECE_DEPTH = 1536 };

bool cei_cpu_takes_digits(const cei_cpu_kernels *kernels, size_t depth) { return kernels->digits.multiply && depth; }

/* The depth of all pieces but the last, in whole steps. */
static size_t piece_depth(const cei_cpu_kernels *kernels, size_t depth) {
    const size_t step = kernels->digits.step, pieces = cei_cpu_divide_up(depth, PIECE_DEPTH);
    return cei_cpu_divide_up(cei_cpu_divide_up(depth, pieces), step) * step;
}

size_t cei_cpu_row_floats(const cei_cpu_kernels *kernels, size_t depth) {
    if (!cei_cpu_takes_digits(kernels, depth)) return cei_cpu_padded(depth);
    return cei_cpu_padded(3 * piece_depth(kernels, depth) / sizeof(float));
}

float *cei_cpu_exponents(const cei_cpu_kernels *kernels, const cei_weight *weight) {
    const size_t panels = cei_cpu_divide_up(weight->rows, kernels->panel);
    return (float *)cei_cpu_at(weight->at) + panels * kernels->panel * weight->columns;
}

/* A piece of the depth and some columns that are multiplied together, within a panel. */
typedef struct part {
    size_t first, depth, column;
} part;

static part part_at(const cei_cpu_linear_job *job, size_t first, size_t column) {
    const size_t depth = piece_depth(&job->device->kernels, job->in);
    return (part){first, cei_min_size(depth, job->in - first), column};
}

/* The one behind it, of columns from begin on, before end; of no depth behind the last. */
static part part_behind(const cei_cpu_linear_job *job, part p, size_t step, size_t begin, size_t end) {
    if (end - p.column > step) return (part){p.first, p.depth, p.column + step};
    if (job->in - p.first > p.depth) return part_at(job, p.first + p.depth, begin);
    return (part){0};
}

static const float *values_of(const cei_cpu_linear_job *job, part p) {
    const size_t width = job->device->kernels.panel, panel = p.column / width * width;
    return (const float *)cei_cpu_at(job->weight->at) + panel * job->in + p.first * width + (p.column - panel);
}

void cei_cpu_run_digit_block(const cei_cpu_linear_job *job, const cei_cpu_linear_block *b) {
    const cei_cpu_kernels *kernels = &job->device->kernels;
    const cei_cpu_digits *digits = &kernels->digits;
    const cei_cpu_scratch_plan *plan = &job->stream->plan;
    const size_t width = kernels->panel, step = digits->width, begin = b->first_panel * width;
    const size_t end = cei_min_size(b->end_panel * width, job->columns), depth = piece_depth(kernels, job->in);
    float *rows = b->scratch + plan->rows, *exponents = b->scratch + plan->row_scales;
    float *out = job->out + b->first_row * job->columns;
    const float *x = job->x + b->first_row * job->in, *column_exponents = cei_cpu_exponents(kernels, job->weight);
    /* Two parts' digits: those that are multiplied, and those that are made. */
    float *now = b->scratch + plan->panel, *then = now + 3 * depth * step / sizeof(float);
    cei_cpu_digit_product product = {.rows = b->rows,
                                     .a = rows,
                                     .a_stride = cei_cpu_row_floats(kernels, job->in) * sizeof(float),
                                     .exponents = exponents,
                                     .out_stride = job->columns};
    if (begin >= end) return;
    part p = part_at(job, 0, begin);
    digits->split(values_of(job, p), p.depth, column_exponents + begin, now);
    for (part next; p.depth; p = next) {
        const bool is_last = p.first + p.depth == job->in;
        next = part_behind(job, p, step, begin, end);
        if (p.column == begin)
            digits->prepare(x + p.first, job->in, b->rows, p.depth, rows, product.a_stride, exponents);
        product.depth = cei_cpu_divide_up(p.depth, digits->step) * digits->step;
        product.columns = cei_min_size(step, end - p.column);
        product.columns_at = now;
        product.column_exponents = column_exponents + p.column;
        product.coming = next.depth ? values_of(job, next) : NULL;
        product.coming_depth = next.depth;
        product.coming_exponents = column_exponents + next.column;
        product.coming_to = then;
        /* A panel is fetched while the first part of the one before it is multiplied. */
        const part far = p.column % width == 0 ? part_behind(job, p, width, begin, end) : (part){0};
        product.next = far.depth ? values_of(job, far) : NULL;
        product.next_bytes = far.depth * width * sizeof(float);
        product.adds = p.first > 0;
        product.bias = is_last && job->bias ? job->bias + p.column : NULL;
        product.out = out + p.column;
        digits->multiply(&product);
        float *made = then;
        then = now;
        now = made;
        if (!is_last || (next.depth && next.column % width)) continue;
        const size_t panel = p.column / width * width;
        kernels->apply[job->function](out + panel, b->rows, cei_min_size(panel + width, end) - panel, job->columns);
    }
}
