/* weights.c - how the cpu device holds float32 weights, and proves what it holds; weights_low.c has the others.
 *
 * A VECTOR or TABLE is row-major. A MATRIX [out, in] is panels of kernels.panel outputs, [panels][in][panel], the last
 * one padded with zeros: a product reads it from front to back. Where products are of digits (linear_digits.c), the
 * exponents of the panels' columns lie behind the panels. Work is shared out by panels and by parts of tables;
 * tasks touch different bytes, so they need no order. */
#include "device/cpu/cpu.h"

#include "base/error.h"
#include "base/memory.h"
#include "device/checksum.h"

#include <stdatomic.h>
#include <string.h>

/* Values of a table in one task. */
enum { PART = 1 << 17 };

/* What moving a value costs, in the operations of cei_cpu_run. */
static const double work_of_a_value = 8;

size_t cei_cpu_weight_bytes(const cei_device *device, const cei_weight *shape) {
    const cei_cpu_kernels *kernels = &cei_cpu_of(device)->kernels;
    size_t bytes, padded = shape->rows, columns = shape->columns;
    if (shape->format != CEI_FORMAT_FLOAT32) return cei_cpu_low_bytes(kernels, shape);
    if (shape->role == CEI_ROLE_MATRIX) {
        if (!cei_mul_size(cei_cpu_divide_up(shape->rows, kernels->panel), kernels->panel, &padded)) return 0;
        if (cei_cpu_takes_digits(kernels, columns)) columns++; /* an exponent each */
    }
    if (!cei_mul_size(padded, columns, &bytes) || !cei_mul_size(bytes, sizeof(float), &bytes)) return 0;
    if (!cei_add_size(bytes, CEI_BUFFER_ALIGNMENT - 1, &bytes)) return 0;
    return bytes / CEI_BUFFER_ALIGNMENT * CEI_BUFFER_ALIGNMENT;
}

ce_status cei_cpu_check_placed(const cei_weight *weight, ce_error *error) {
    if (!weight || weight->at.buffer) return CE_OK;
    return cei_fail(error, CE_ERR_ARGUMENT, "internal: a weight without memory on the cpu device");
}

/* Rows [first, first + count) of a weight, and what is done with them. */
typedef struct weight_job {
    const cei_cpu_kernels *kernels;
    float *data;      /* of the weight, as it is held */
    float *exponents; /* of a MATRIX's columns that become digits; else NULL */
    size_t rows, columns, first, count;
    const float *from; /* write: [count, columns] */
    float *to;         /* read: [count, columns] */
    _Atomic uint64_t a, b;
} weight_job;

static weight_job make_job(cei_device *device, const cei_weight *weight, size_t first, size_t count) {
    const cei_cpu_kernels *kernels = &cei_cpu_of(device)->kernels;
    const bool has_digits = weight->role == CEI_ROLE_MATRIX && cei_cpu_takes_digits(kernels, weight->columns);
    return (weight_job){.kernels = kernels,
                        .data = cei_cpu_at(weight->at),
                        .exponents = has_digits ? cei_cpu_exponents(kernels, weight) : NULL,
                        .rows = weight->rows,
                        .columns = weight->columns,
                        .first = first,
                        .count = count};
}

/* Runs one task for each panel that the job's rows touch, or for each part of a table. */
static void run_job(cei_device *device, const cei_weight *weight, weight_job *job, cei_task_fn panels,
                    cei_task_fn parts) {
    if (job->count == 0 || job->columns == 0) return;
    const double work = work_of_a_value * (double)job->count * (double)job->columns;
    const size_t panel = job->kernels->panel;
    if (weight->role == CEI_ROLE_MATRIX) {
        const size_t tasks = cei_cpu_divide_up(job->first % panel + job->count, panel);
        cei_cpu_run(cei_cpu_of(device), tasks, work, panels, job);
    } else {
        cei_cpu_run(cei_cpu_of(device), cei_cpu_divide_up(job->count * job->columns, PART), work, parts, job);
    }
}

/* The columns of one panel that the job's rows are. */
typedef struct panel_range {
    float *data;
    float *exponents;    /* of all its columns, or NULL */
    size_t first, count; /* columns within the panel */
    size_t row;          /* of the job, that the first of them is */
} panel_range;

static panel_range find_panel(const weight_job *job, size_t task) {
    const size_t width = job->kernels->panel;
    const size_t panel = job->first / width + task, start = panel * width;
    const size_t begin = start > job->first ? start : job->first;
    const size_t end = cei_min_size(start + width, job->first + job->count);
    return (panel_range){job->data + start * job->columns, job->exponents ? job->exponents + start : NULL,
                         begin - start, end - begin, begin - job->first};
}

/* Of all columns of the panel, as its values make them. */
static void find_exponents(const weight_job *job, const panel_range *range, float exponents[CEI_CPU_MAX_PANEL]) {
    const cei_cpu_digits *digits = &job->kernels->digits;
    for (size_t part = 0; part < job->kernels->panel; part += digits->width)
        digits->find_exponents(range->data + part, job->columns, exponents + part);
}

/* Values [first, end) of a job on a table, counted from its first row. */
typedef struct part_range {
    size_t first, count;
} part_range;

static part_range find_part(const weight_job *job, size_t task) {
    const size_t all = job->count * job->columns, first = task * PART;
    return (part_range){first, cei_min_size(PART, all - first)};
}

/* ---- writing ------------------------------------------------------------------------------------------------ */

/* The panel's columns from first on: no rows of the weight. */
static void pad_panel(const weight_job *job, const panel_range *range, size_t first) {
    const size_t width = job->kernels->panel;
    for (size_t k = 0; k < job->columns; k++)
        memset(range->data + k * width + first, 0, (width - first) * sizeof(float));
}

static void write_panel(void *argument, size_t task, size_t worker) {
    (void)worker;
    const weight_job *job = argument;
    const panel_range range = find_panel(job, task);
    job->kernels->pack(job->from + range.row * job->columns, job->columns, range.count, job->columns, range.first,
                       range.data);
    size_t end = range.first + range.count;
    if (job->first + range.row + range.count == job->rows && end < job->kernels->panel) {
        pad_panel(job, &range, end);
        end = job->kernels->panel;
    }
    if (!range.exponents) return;
    float exponents[CEI_CPU_MAX_PANEL]; /* of other columns they may be of values that are not yet written */
    find_exponents(job, &range, exponents);
    memcpy(range.exponents + range.first, exponents + range.first, (end - range.first) * sizeof *exponents);
}

static void write_part(void *argument, size_t task, size_t worker) {
    (void)worker;
    const weight_job *job = argument;
    const part_range range = find_part(job, task);
    memcpy(job->data + job->first * job->columns + range.first, job->from + range.first, range.count * sizeof(float));
}

ce_status cei_cpu_weight_write(cei_device *device, const cei_weight *weight, size_t first, size_t count,
                               const float *values, const float *scales, ce_error *error) {
    const ce_status status = cei_cpu_check_placed(weight, error);
    if (status != CE_OK) return status;
    if (weight->format != CEI_FORMAT_FLOAT32) {
        cei_cpu_low_write(device, weight, first, count, values, scales);
        return CE_OK;
    }
    weight_job job = make_job(device, weight, first, count);
    job.from = values;
    run_job(device, weight, &job, write_panel, write_part);
    return CE_OK;
}

/* ---- reading ------------------------------------------------------------------------------------------------ */

static void read_panel(void *argument, size_t task, size_t worker) {
    (void)worker;
    const weight_job *job = argument;
    const panel_range range = find_panel(job, task);
    for (size_t j = 0; j < range.count; j++) {
        const float *from = range.data + range.first + j;
        float *to = job->to + (range.row + j) * job->columns;
        for (size_t k = 0; k < job->columns; k++) to[k] = from[k * job->kernels->panel];
    }
}

static void read_part(void *argument, size_t task, size_t worker) {
    (void)worker;
    const weight_job *job = argument;
    const part_range range = find_part(job, task);
    memcpy(job->to + range.first, job->data + job->first * job->columns + range.first, range.count * sizeof(float));
}

ce_status cei_cpu_weight_read(cei_device *device, const cei_weight *weight, size_t first, size_t count, float *values,
                              float *scales, ce_error *error) {
    const ce_status status = cei_cpu_check_placed(weight, error);
    if (status != CE_OK) return status;
    if (weight->format != CEI_FORMAT_FLOAT32) {
        cei_cpu_low_read(device, weight, first, count, values, scales);
        return CE_OK;
    }
    weight_job job = make_job(device, weight, first, count);
    job.to = values;
    run_job(device, weight, &job, read_panel, read_part);
    return CE_OK;
}

/* ---- checksums ---------------------------------------------------------------------------------------------- */

static void add_sums(weight_job *job, uint64_t a, uint64_t b) {
    atomic_fetch_add_explicit(&job->a, a, memory_order_relaxed);
    atomic_fetch_add_explicit(&job->b, b, memory_order_relaxed);
}

/* Column j of a panel is row n of the job: value k of it has the index n columns + k. What products read beside the
 * values, their exponents, is proved with them: where they are not what the values make them, the checksum is another.
 */
static void sum_panel(void *argument, size_t task, size_t worker) {
    (void)worker;
    weight_job *job = argument;
    const panel_range range = find_panel(job, task);
    uint64_t sums[CEI_CPU_MAX_PANEL], weighted[CEI_CPU_MAX_PANEL], a = 0, b = 0;
    job->kernels->checksum(range.data, job->columns, sums, weighted);
    for (size_t j = 0; j < range.count; j++) {
        const uint64_t before = (uint64_t)(range.row + j) * job->columns;
        a += sums[range.first + j];
        b += weighted[range.first + j] + before * sums[range.first + j];
    }
    if (range.exponents) {
        float exponents[CEI_CPU_MAX_PANEL];
        find_exponents(job, &range, exponents);
        if (memcmp(exponents + range.first, range.exponents + range.first, range.count * sizeof *exponents) != 0) a++;
    }
    add_sums(job, a, b);
}

/* A row of values as steps of the kernel's width: value j of step i has the index i width + j. */
static void sum_part(void *argument, size_t task, size_t worker) {
    (void)worker;
    weight_job *job = argument;
    const part_range range = find_part(job, task);
    const float *values = job->data + job->first * job->columns + range.first;
    const size_t width = job->kernels->panel, steps = range.count / width;
    uint64_t sums[CEI_CPU_MAX_PANEL], weighted[CEI_CPU_MAX_PANEL];
    cei_checksum sum = {.count = steps * width};
    job->kernels->checksum(values, steps, sums, weighted);
    for (size_t j = 0; j < width; j++) {
        sum.a += sums[j];
        sum.b += width * (weighted[j] - sums[j]) + (j + 1) * sums[j];
    }
    cei_checksum_add(&sum, values + steps * width, range.count - steps * width);
    add_sums(job, sum.a, sum.b + range.first * sum.a);
}

ce_status cei_cpu_weight_checksum(cei_device *device, const cei_weight *weight, size_t first, size_t count,
                                  uint64_t *checksum, ce_error *error) {
    const ce_status status = cei_cpu_check_placed(weight, error);
    if (status != CE_OK) return status;
    if (weight->format != CEI_FORMAT_FLOAT32) {
        *checksum = cei_cpu_low_checksum(device, weight, first, count);
        return CE_OK;
    }
    weight_job job = make_job(device, weight, first, count);
    run_job(device, weight, &job, sum_panel, sum_part);
    *checksum = cei_checksum_of(atomic_load(&job.a), atomic_load(&job.b));
    return CE_OK;
}
