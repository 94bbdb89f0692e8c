/* weights_low.c - weights in bfloat16, float16 and int8 on the cpu device: packing, reading back, checksums, rows of
 * tables.
 *
 * Values arrive rounded, as float32; an int8 value is found again by dividing by its row's scale, which is exact after
 * rounding. Plain loops: a model is packed once. Layouts are in kernels.h, by the tier's group and step. */
#include "device/cpu/cpu.h"

#include "base/memory.h"
#include "device/checksum.h"

#include <stdatomic.h>
#include <string.h>

/* Values that are worked on together, on the stack. */
enum { CHUNK = 512 };

/* What packing or summing a value costs, in the operations of cei_cpu_run. */
static const double work_of_a_value = 8;

static size_t value_size(cei_format format) { return format == CEI_FORMAT_INT8 ? sizeof(int8_t) : sizeof(uint16_t); }

static const cei_cpu_low *low_of(const cei_cpu_kernels *kernels, cei_format format) {
    if (format == CEI_FORMAT_INT8) return &kernels->int8;
    return format == CEI_FORMAT_FLOAT16 ? &kernels->float16 : &kernels->bfloat16;
}

cei_cpu_low_layout cei_cpu_low_lay_out(const cei_cpu_kernels *kernels, const cei_weight *weight) {
    const cei_cpu_low *low = low_of(kernels, weight->format);
    cei_cpu_low_layout at = {.format = weight->format, .low = low};
    if (weight->role != CEI_ROLE_MATRIX) {
        at.panel_bytes = weight->columns * value_size(weight->format);
        return at;
    }
    at.width = kernels->panel;
    at.depth = cei_cpu_divide_up(weight->columns, low->step) * low->step;
    if (weight->format == CEI_FORMAT_INT8) at.head = at.width * (sizeof(float) + sizeof(int32_t));
    at.panel_bytes = cei_cpu_divide_up(at.head + at.depth * at.width * value_size(weight->format), 64) * 64;
    return at;
}

void cei_cpu_low_widen(const cei_cpu_kernels *kernels, cei_format format, const uint16_t *from, size_t count,
                       float *to) {
    (format == CEI_FORMAT_FLOAT16 ? kernels->widen_float16 : kernels->widen)(from, count, to);
}

size_t cei_cpu_low_bytes(const cei_cpu_kernels *kernels, const cei_weight *weight) {
    /* Paddings are below these, so that nothing in the layout overflows once this product does not. */
    size_t padded_rows, padded_columns, bytes;
    if (!cei_add_size(weight->rows, CEI_CPU_MAX_PANEL, &padded_rows) ||
        !cei_add_size(weight->columns, CEI_CPU_MAX_STEP + 8, &padded_columns) ||
        !cei_mul_size(padded_rows, padded_columns, &bytes) || !cei_mul_size(bytes, 8, &bytes) ||
        !cei_add_size(bytes, CEI_BUFFER_ALIGNMENT - 1, &bytes))
        return 0;
    const cei_cpu_low_layout at = cei_cpu_low_lay_out(kernels, weight);
    bytes = at.width ? cei_cpu_divide_up(weight->rows, at.width) * at.panel_bytes : weight->rows * at.panel_bytes;
    if (!at.width && weight->format == CEI_FORMAT_INT8)
        bytes = cei_cpu_divide_up(bytes, sizeof(float)) * sizeof(float) + weight->rows * sizeof(float);
    return cei_cpu_divide_up(bytes, CEI_BUFFER_ALIGNMENT) * CEI_BUFFER_ALIGNMENT;
}

/* Rows [first, first + count) of a weight, and what is done with them. */
typedef struct low_job {
    const cei_cpu_kernels *kernels;
    const cei_weight *weight;
    cei_cpu_low_layout at;
    uint8_t *data;
    size_t first, count;
    const float *from, *from_scales; /* write */
    float *to, *to_scales;           /* read */
    _Atomic uint64_t a, b;           /* checksum */
} low_job;

static low_job make_job(cei_device *device, const cei_weight *weight, size_t first, size_t count) {
    const cei_cpu_kernels *kernels = &cei_cpu_of(device)->kernels;
    return (low_job){.kernels = kernels,
                     .weight = weight,
                     .at = cei_cpu_low_lay_out(kernels, weight),
                     .data = cei_cpu_at(weight->at),
                     .first = first,
                     .count = count};
}

/* Where row row of the weight is. Its value k is at values + (k / group) stride + k % group, in values. */
typedef struct low_row {
    uint8_t *values;
    size_t group, stride;
    float *scale; /* NULL if not INT8 */
    int32_t *sum; /* NULL if not an INT8 MATRIX */
} low_row;

static low_row find_row(const low_job *job, size_t row) {
    const cei_cpu_low_layout *at = &job->at;
    const size_t size = value_size(at->format), columns = job->weight->columns, width = at->width;
    if (!width) {
        const size_t end = cei_cpu_divide_up(job->weight->rows * at->panel_bytes, sizeof(float)) * sizeof(float);
        float *scales = at->format == CEI_FORMAT_INT8 ? (float *)(void *)(job->data + end) : NULL;
        return (low_row){job->data + row * at->panel_bytes, columns, columns, scales ? scales + row : NULL, NULL};
    }
    uint8_t *panel = job->data + row / width * at->panel_bytes;
    const size_t group = at->low->group, column = row % width;
    low_row found = {panel + at->head + column * group * size, group, width * group, NULL, NULL};
    if (at->format == CEI_FORMAT_INT8) {
        found.scale = (float *)(void *)panel + column;
        found.sum = (int32_t *)(void *)(panel + width * sizeof(float)) + column;
    }
    return found;
}

/* Copies pieces of a fixed size, as far apart as the strides say. */
static inline void copy_pieces(uint8_t *to, size_t to_stride, const uint8_t *from, size_t from_stride, size_t count,
                               size_t size) {
    for (size_t i = 0; i < count; i++) memcpy(to + i * to_stride, from + i * from_stride, size);
}

/* The same for any size; those of the tiers are loops of one move each. */
static void copy_groups(uint8_t *to, size_t to_stride, const uint8_t *from, size_t from_stride, size_t count,
                        size_t size) {
    switch (size) {
    case 1: copy_pieces(to, to_stride, from, from_stride, count, 1); return;
    case 2: copy_pieces(to, to_stride, from, from_stride, count, 2); return;
    case 4: copy_pieces(to, to_stride, from, from_stride, count, 4); return;
    case 8: copy_pieces(to, to_stride, from, from_stride, count, 8); return;
    default: copy_pieces(to, to_stride, from, from_stride, count, size); return;
    }
}

/* How many of values [k, k + count) are whole groups from k on. */
static size_t whole_groups(const low_row *row, size_t k, size_t count) {
    return k % row->group == 0 ? count / row->group : 0;
}

/* Copies values [k, k + count) of a row, of size bytes each, from or to a place where they lie together. */
static void scatter(const low_row *row, size_t k, size_t count, size_t size, const uint8_t *from) {
    const size_t groups = whole_groups(row, k, count), bytes = row->group * size;
    copy_groups(row->values + k / row->group * row->stride * size, row->stride * size, from, bytes, groups, bytes);
    for (size_t i = groups * row->group; i < count;) {
        const size_t inside = (k + i) % row->group, run = cei_min_size(row->group - inside, count - i);
        memcpy(row->values + ((k + i) / row->group * row->stride + inside) * size, from + i * size, run * size);
        i += run;
    }
}

static void gather(const low_row *row, size_t k, size_t count, size_t size, uint8_t *to) {
    const size_t groups = whole_groups(row, k, count), bytes = row->group * size;
    copy_groups(to, bytes, row->values + k / row->group * row->stride * size, row->stride * size, groups, bytes);
    for (size_t i = groups * row->group; i < count;) {
        const size_t inside = (k + i) % row->group, run = cei_min_size(row->group - inside, count - i);
        memcpy(to + i * size, row->values + ((k + i) / row->group * row->stride + inside) * size, run * size);
        i += run;
    }
}

/* Values [k, k + count) of a row as float32; returns the sum of the integers of an int8 row that keeps it. */
static int32_t widen(const low_job *job, const low_row *row, size_t k, size_t count, float *to) {
    union {
        uint16_t halves[CHUNK];
        int8_t integers[CHUNK];
        uint8_t bytes[CHUNK * 2];
    } held;
    gather(row, k, count, value_size(job->at.format), held.bytes);
    if (!row->scale) {
        cei_cpu_low_widen(job->kernels, job->at.format, held.halves, count, to);
        return 0;
    }
    cei_widen_int8(held.integers, count, *row->scale, to);
    return row->sum ? cei_sum_int8(held.integers, count) : 0;
}

/* Are the values behind the last column zeros, as products take them to be? */
static bool has_clear_padding(const low_job *job, const low_row *row) {
    const size_t columns = job->weight->columns, bytes = (job->at.depth - columns) * value_size(job->at.format);
    uint8_t padding[CEI_CPU_MAX_STEP * sizeof(uint16_t)], any = 0;
    if (!job->at.width) return true;
    gather(row, columns, job->at.depth - columns, value_size(job->at.format), padding);
    for (size_t i = 0; i < bytes; i++) any |= padding[i];
    return any == 0;
}

/* ---- tasks: a panel, or so many rows of a table -------------------------------------------------------------- */

enum { TABLE_ROWS = 64 };

static size_t rows_of_a_task(const low_job *job) { return job->at.width ? job->at.width : TABLE_ROWS; }

static void run_job(cei_device *device, low_job *job, cei_task_fn fn) {
    if (job->count == 0 || job->weight->columns == 0) return;
    const size_t step = rows_of_a_task(job), tasks = cei_cpu_divide_up(job->first % step + job->count, step);
    cei_cpu_run(cei_cpu_of(device), tasks, work_of_a_value * (double)job->count * (double)job->weight->columns, fn,
                job);
}

typedef struct row_range {
    size_t first, end; /* rows of the weight */
} row_range;

static row_range find_rows(const low_job *job, size_t task) {
    const size_t step = rows_of_a_task(job), start = (job->first / step + task) * step, end = job->first + job->count;
    return (row_range){start > job->first ? start : job->first, cei_min_size(start + step, end)};
}

static void write_row(const low_job *job, size_t index) {
    const low_row row = find_row(job, index);
    const size_t columns = job->weight->columns;
    const float *from = job->from + (index - job->first) * columns;
    const float scale = row.scale ? job->from_scales[index - job->first] : 0, inverse = scale != 0 ? 1 / scale : 0;
    int32_t sum = 0;
    for (size_t k = 0; k < columns; k += CHUNK) {
        const size_t count = cei_min_size(CHUNK, columns - k);
        int8_t integers[CHUNK];
        uint16_t halves[CHUNK];
        if (row.scale) {
            sum += cei_hold_int8(from + k, count, inverse, integers);
            scatter(&row, k, count, 1, (const uint8_t *)integers);
        } else {
            if (job->at.format == CEI_FORMAT_FLOAT16)
                cei_hold_float16(from + k, count, halves);
            else
                cei_hold_bfloat16(from + k, count, halves);
            scatter(&row, k, count, sizeof *halves, (const uint8_t *)halves);
        }
    }
    if (row.scale) *row.scale = scale;
    if (row.sum) *row.sum = sum;
    static const uint8_t zeros[CEI_CPU_MAX_STEP * sizeof(uint16_t)];
    if (job->at.width) scatter(&row, columns, job->at.depth - columns, value_size(job->at.format), zeros);
}

/* The columns of the last panel that are no rows of the weight: zeros, so that what is computed of them is finite. */
static void clear_row(const low_job *job, size_t index) {
    const low_row row = find_row(job, index);
    static const uint8_t zeros[CHUNK * sizeof(uint16_t)];
    for (size_t k = 0; k < job->at.depth; k += CHUNK)
        scatter(&row, k, cei_min_size(CHUNK, job->at.depth - k), value_size(job->at.format), zeros);
    if (row.scale) *row.scale = 0;
    if (row.sum) *row.sum = 0;
}

static void write_rows(void *argument, size_t task, size_t worker) {
    (void)worker;
    const low_job *job = argument;
    const row_range range = find_rows(job, task);
    const size_t all = job->weight->rows, width = job->at.width;
    for (size_t row = range.first; row < range.end; row++) write_row(job, row);
    for (size_t row = range.end; width && range.end == all && row % width != 0; row++) clear_row(job, row);
}

static void read_rows(void *argument, size_t task, size_t worker) {
    (void)worker;
    const low_job *job = argument;
    const row_range range = find_rows(job, task);
    const size_t columns = job->weight->columns;
    for (size_t index = range.first; index < range.end; index++) {
        const low_row row = find_row(job, index);
        for (size_t k = 0; k < columns; k += CHUNK)
            (void)widen(job, &row, k, cei_min_size(CHUNK, columns - k), job->to + (index - job->first) * columns + k);
        if (row.scale) job->to_scales[index - job->first] = *row.scale;
    }
}

/* What products read beside the values, the sum of a row's integers and its padding, is proved with them: where it is
 * not what the values make it, the checksum is another. */
static void sum_rows(void *argument, size_t task, size_t worker) {
    (void)worker;
    low_job *job = argument;
    const row_range range = find_rows(job, task);
    const size_t columns = job->weight->columns;
    cei_checksum sum = {.count = (uint64_t)(range.first - job->first) * columns};
    for (size_t index = range.first; index < range.end; index++) {
        const low_row row = find_row(job, index);
        int32_t integers = 0;
        for (size_t k = 0; k < columns; k += CHUNK) {
            float values[CHUNK];
            const size_t count = cei_min_size(CHUNK, columns - k);
            integers += widen(job, &row, k, count, values);
            cei_checksum_add(&sum, values, count);
        }
        if ((row.sum && *row.sum != integers) || !has_clear_padding(job, &row)) sum.a++;
    }
    atomic_fetch_add_explicit(&job->a, sum.a, memory_order_relaxed);
    atomic_fetch_add_explicit(&job->b, sum.b, memory_order_relaxed);
}

void cei_cpu_low_write(cei_device *device, const cei_weight *weight, size_t first, size_t count, const float *values,
                       const float *scales) {
    low_job job = make_job(device, weight, first, count);
    job.from = values;
    job.from_scales = scales;
    run_job(device, &job, write_rows);
}

void cei_cpu_low_read(cei_device *device, const cei_weight *weight, size_t first, size_t count, float *values,
                      float *scales) {
    low_job job = make_job(device, weight, first, count);
    job.to = values;
    job.to_scales = scales;
    run_job(device, &job, read_rows);
}

uint64_t cei_cpu_low_checksum(cei_device *device, const cei_weight *weight, size_t first, size_t count) {
    low_job job = make_job(device, weight, first, count);
    run_job(device, &job, sum_rows);
    return cei_checksum_of(atomic_load(&job.a), atomic_load(&job.b));
}

const float *cei_cpu_table_row(const cei_cpu_kernels *kernels, const cei_weight *table, size_t row, float *scratch) {
    if (table->format == CEI_FORMAT_FLOAT32) return (const float *)cei_cpu_at(table->at) + row * table->columns;
    const low_job job = {
        .kernels = kernels, .weight = table, .at = cei_cpu_low_lay_out(kernels, table), .data = cei_cpu_at(table->at)};
    const low_row at = find_row(&job, row);
    for (size_t k = 0; k < table->columns; k += CHUNK)
        (void)widen(&job, &at, k, cei_min_size(CHUNK, table->columns - k), scratch + k);
    return scratch;
}
