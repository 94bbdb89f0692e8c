/* ops.c - the operations on rows: embedding, normalization, gathering, pooling, rotary positions, gates. */
#include "device/cpu/cpu.h"

#include <math.h>
#include <string.h>

/* Below this many simple operations (some microseconds) waking a thread costs more than it saves. */
static const double fewest_operations = 1 << 20;

/* What an element costs, in simple operations: these loops wait for memory. */
static const double work_of_an_element = 8;

/* Rows of a task are about this many elements. */
enum { ELEMENTS = 16 * 1024 };

bool cei_cpu_is_worth_waking(const cei_cpu_device *device, double work) {
    return device->pool && device->workers > 1 && work >= fewest_operations;
}

void cei_cpu_run(const cei_cpu_device *device, size_t count, double work, cei_task_fn fn, void *argument) {
    if (cei_cpu_is_worth_waking(device, work)) {
        cei_pool_run(device->pool, count, fn, argument);
        return;
    }
    for (size_t task = 0; task < count; task++) fn(argument, task, 0);
}

/* Rows for each task, and the tasks for all rows. */
static size_t rows_of_a_task(size_t columns) {
    const size_t rows = columns ? ELEMENTS / columns : ELEMENTS;
    return rows ? rows : 1;
}

static void run_rows(const cei_cpu_device *device, size_t rows, size_t columns, cei_task_fn fn, void *job) {
    const double work = work_of_an_element * (double)rows * (double)columns;
    cei_cpu_run(device, cei_cpu_divide_up(rows, rows_of_a_task(columns)), work, fn, job);
}

/* ---- embed -------------------------------------------------------------------------------------------------- */

typedef struct embed_job {
    const cei_cpu_kernels *kernels;
    const cei_cpu_stream *stream;
    const cei_weight *word, *position, *type;
    const int32_t *ids, *positions, *types;
    size_t tokens, columns;
    float scale;
    float *out;
} embed_job;

static void scale_row(float *row, size_t columns, float scale) {
    for (size_t i = 0; i < columns; i++) row[i] *= scale;
}

static void embed_rows(void *argument, size_t task, size_t worker) {
    const embed_job *job = argument;
    const size_t columns = job->columns, step = rows_of_a_task(columns);
    const size_t end = cei_min_size((task + 1) * step, job->tokens);
    /* Where a table is not float32, its row is widened into a third of what linear layers have for rows. */
    float *wide = job->stream->scratch + worker * job->stream->plan.total + job->stream->plan.rows;
    float *type = wide + columns, *position = wide + 2 * columns;
    if (!job->type) memset(type, 0, columns * sizeof *type);
    if (!job->position) memset(position, 0, columns * sizeof *position);
    for (size_t t = task * step; t < end; t++) {
        job->kernels->embed(cei_cpu_table_row(job->kernels, job->word, (size_t)job->ids[t], wide),
                            job->type ? cei_cpu_table_row(job->kernels, job->type, (size_t)job->types[t], type) : type,
                            job->position
                                ? cei_cpu_table_row(job->kernels, job->position, (size_t)job->positions[t], position)
                                : position,
                            columns, job->out + t * columns);
        if (job->scale != 0) scale_row(job->out + t * columns, columns, job->scale);
    }
}

ce_status cei_cpu_embed(cei_stream *stream, const cei_embed_args *args, ce_error *error) {
    ce_status status = cei_cpu_check_placed(args->word, error);
    if (status == CE_OK) status = cei_cpu_check_placed(args->position, error);
    if (status == CE_OK) status = cei_cpu_check_placed(args->type, error);
    if (status != CE_OK) return status;
    const cei_cpu_device *device = cei_cpu_stream_of(stream)->device;
    embed_job job = {
        .kernels = &device->kernels,
        .stream = cei_cpu_stream_of(stream),
        .word = args->word,
        .position = args->position,
        .type = args->type,
        .ids = cei_cpu_at(args->ids),
        .positions = args->position ? cei_cpu_at(args->positions) : NULL,
        .types = args->type ? cei_cpu_at(args->types) : NULL,
        .tokens = args->tokens,
        .columns = args->word->columns,
        .scale = args->scale,
        .out = cei_cpu_at(args->out),
    };
    run_rows(device, job.tokens, job.columns, embed_rows, &job);
    return CE_OK;
}

/* ---- norm --------------------------------------------------------------------------------------------------- */

typedef struct norm_job {
    const cei_cpu_kernels *kernels;
    cei_cpu_norm whole;
} norm_job;

static void norm_rows(void *argument, size_t task, size_t worker) {
    (void)worker;
    const norm_job *job = argument;
    cei_cpu_norm part = job->whole;
    const size_t step = rows_of_a_task(part.columns), at = task * step * part.columns;
    part.rows = cei_min_size(step, part.rows - task * step);
    part.x += at;
    part.residual = part.residual ? part.residual + at : NULL;
    part.sum += at;
    part.out += at;
    job->kernels->norm(&part);
}

ce_status cei_cpu_norm_rows(cei_stream *stream, const cei_norm_args *args, ce_error *error) {
    ce_status status = cei_cpu_check_placed(args->gain, error);
    if (status == CE_OK) status = cei_cpu_check_placed(args->bias, error);
    if (status != CE_OK) return status;
    const cei_cpu_device *device = cei_cpu_stream_of(stream)->device;
    norm_job job = {&device->kernels,
                    {.rows = args->rows,
                     .columns = args->gain->columns,
                     .x = cei_cpu_at(args->x),
                     .residual = args->residual ? cei_cpu_at(*args->residual) : NULL,
                     .gain = cei_cpu_at(args->gain->at),
                     .bias = args->bias ? cei_cpu_at(args->bias->at) : NULL,
                     .epsilon = args->epsilon,
                     .sum = cei_cpu_at(args->sum ? *args->sum : args->out),
                     .out = cei_cpu_at(args->out),
                     .rms = args->rms,
                     .adds_one = args->adds_one}};
    if (job.whole.columns) run_rows(device, args->rows, job.whole.columns, norm_rows, &job);
    return CE_OK;
}

typedef struct head_norm_job {
    const cei_cpu_kernels *kernels;
    const cei_head_norm_args *args;
    const float *gain;
    float *x;
} head_norm_job;

/* To the kernel, the heads of a row are rows. */
static void norm_heads(void *argument, size_t task, size_t worker) {
    (void)worker;
    const head_norm_job *job = argument;
    const cei_head_norm_args *args = job->args;
    const size_t step = rows_of_a_task(args->heads * args->gain->columns);
    const size_t end = cei_min_size((task + 1) * step, args->rows);
    for (size_t r = task * step; r < end; r++) {
        float *row = job->x + r * args->x.stride;
        job->kernels->norm(&(cei_cpu_norm){.rows = args->heads,
                                           .columns = args->gain->columns,
                                           .x = row,
                                           .gain = job->gain,
                                           .epsilon = args->epsilon,
                                           .sum = row,
                                           .out = row,
                                           .rms = true,
                                           .adds_one = args->adds_one});
    }
}

ce_status cei_cpu_norm_heads(cei_stream *stream, const cei_head_norm_args *args, ce_error *error) {
    const ce_status status = cei_cpu_check_placed(args->gain, error);
    if (status != CE_OK || args->gain->columns == 0) return status;
    const cei_cpu_device *device = cei_cpu_stream_of(stream)->device;
    head_norm_job job = {&device->kernels, args, cei_cpu_at(args->gain->at), cei_cpu_at(args->x.at)};
    run_rows(device, args->rows, args->heads * args->gain->columns, norm_heads, &job);
    return CE_OK;
}

/* ---- gather ------------------------------------------------------------------------------------------------- */

/* Few rows are gathered: the first of each sequence. No thread is woken for them. */
ce_status cei_cpu_gather(cei_stream *stream, const cei_gather_args *args, ce_error *error) {
    (void)stream, (void)error;
    const float *x = cei_cpu_at(args->x);
    const int32_t *rows = cei_cpu_at(args->rows);
    float *out = cei_cpu_at(args->out);
    const size_t columns = args->columns;
    for (size_t i = 0; i < args->count; i++)
        memcpy(out + i * columns, x + (size_t)rows[i] * columns, columns * sizeof(float));
    return CE_OK;
}

/* ---- pool --------------------------------------------------------------------------------------------------- */

typedef struct pool_job {
    const cei_pool_args *args;
    const int32_t *offsets;
    const float *x;
    float *out;
} pool_job;

/* out = the sum of rows [first, rows) of x, the row at place i weighted with i + 1 if the pooling weighs them, divided
 * by what the pooling divides by. */
static void pool_sum(const cei_pool_args *args, const float *x, size_t first, size_t rows, float *out) {
    const size_t columns = args->columns;
    double weights = 0;
    memset(out, 0, columns * sizeof *out);
    for (size_t i = first; i < rows; i++) {
        const float weight = args->pooling == CEI_POOL_WEIGHTED ? (float)(i + 1) : 1.0f;
        for (size_t c = 0; c < columns; c++) out[c] += weight * x[i * columns + c];
        weights += (double)weight;
    }
    if (weights == 0) return;
    const float scale = (float)(1 / (args->pooling == CEI_POOL_MEAN_SQRT ? sqrt(weights) : weights));
    for (size_t c = 0; c < columns; c++) out[c] *= scale;
}

static void pool_most(const cei_pool_args *args, const float *x, size_t first, size_t rows, float *out) {
    for (size_t c = 0; c < args->columns; c++) out[c] = -INFINITY;
    for (size_t i = first; i < rows; i++)
        for (size_t c = 0; c < args->columns; c++) {
            const float value = x[i * args->columns + c];
            out[c] = value <= out[c] ? out[c] : value; /* a NaN stays */
        }
}

static void pool_sequence(void *argument, size_t s, size_t worker) {
    (void)worker;
    const pool_job *job = argument;
    const cei_pool_args *args = job->args;
    const size_t rows = (size_t)(job->offsets[s + 1] - job->offsets[s]), bytes = args->columns * sizeof(float);
    const float *x = job->x + (size_t)job->offsets[s] * args->columns;
    float *out = job->out + s * args->out.stride;
    const bool none = args->skipped >= rows;
    if (rows == 0 || (none && args->pooling == CEI_POOL_LAST))
        memset(out, 0, bytes);
    else if (args->pooling == CEI_POOL_FIRST)
        memcpy(out, x + (none ? 0 : args->skipped) * args->columns, bytes);
    else if (args->pooling == CEI_POOL_LAST)
        memcpy(out, x + (rows - 1) * args->columns, bytes);
    else
        (args->pooling == CEI_POOL_MAX ? pool_most : pool_sum)(args, x, args->skipped, rows, out);
}

ce_status cei_cpu_pool(cei_stream *stream, const cei_pool_args *args, ce_error *error) {
    (void)error;
    pool_job job = {args, cei_cpu_at(args->offsets), cei_cpu_at(args->x), cei_cpu_at(args->out.at)};
    const double work = work_of_an_element * (double)args->tokens * (double)args->columns;
    if (args->columns) cei_cpu_run(cei_cpu_stream_of(stream)->device, args->sequences, work, pool_sequence, &job);
    return CE_OK;
}

/* ---- normalize ---------------------------------------------------------------------------------------------- */

/* A row for each sequence: few. No thread is woken for them. */
ce_status cei_cpu_normalize(cei_stream *stream, const cei_normalize_args *args, ce_error *error) {
    (void)stream, (void)error;
    const size_t columns = args->columns;
    const float *x = cei_cpu_at(args->x);
    float *out = cei_cpu_at(args->out);
    for (size_t r = 0; r < args->rows; r++, x += columns, out += columns) {
        double sum = 0;
        for (size_t c = 0; c < columns; c++) sum += (double)x[c] * (double)x[c];
        const double length = sqrt(sum), divisor = length > 1e-12 ? length : 1e-12;
        for (size_t c = 0; c < columns; c++) out[c] = (float)((double)x[c] / divisor);
    }
    return CE_OK;
}

/* ---- rotary positions --------------------------------------------------------------------------------------- */

/* What the C library's cosine and sine take together, in simple operations. */
static const double work_of_an_angle = 100;

typedef struct angles_job {
    const cei_angles_args *args;
    float *out;
} angles_job;

static void find_angles(void *argument, size_t position, size_t worker) {
    (void)worker;
    const angles_job *job = argument;
    const size_t half = job->args->half;
    float *cosines = job->out + position * 2 * half, *sines = cosines + half;
    for (size_t i = 0; i < half; i++) {
        const float angle = (float)position * job->args->frequencies[i];
        cosines[i] = (float)cos((double)angle);
        sines[i] = (float)sin((double)angle);
    }
}

ce_status cei_cpu_angles(cei_stream *stream, const cei_angles_args *args, ce_error *error) {
    (void)error;
    angles_job job = {args, cei_cpu_at(args->out)};
    const double work = work_of_an_angle * (double)args->count * (double)args->half;
    cei_cpu_run(cei_cpu_stream_of(stream)->device, args->count, work, find_angles, &job);
    return CE_OK;
}

typedef struct rotary_job {
    const cei_cpu_kernels *kernels;
    const cei_rotary_args *args;
    const int32_t *positions;
    const float *angles;
    float *x;
} rotary_job;

static void rotate_rows(void *argument, size_t task, size_t worker) {
    (void)worker;
    const rotary_job *job = argument;
    const cei_rotary_args *args = job->args;
    const size_t half = args->half, step = rows_of_a_task(args->heads * 2 * half);
    const size_t end = cei_min_size((task + 1) * step, args->rows);
    for (size_t r = task * step; r < end; r++) {
        const float *angles = job->angles + (size_t)job->positions[r] * 2 * half;
        job->kernels->rotate(job->x + r * args->x.stride, args->heads, half, angles, angles + half);
    }
}

ce_status cei_cpu_rotate(cei_stream *stream, const cei_rotary_args *args, ce_error *error) {
    (void)error;
    const cei_cpu_device *device = cei_cpu_stream_of(stream)->device;
    rotary_job job = {&device->kernels, args, cei_cpu_at(args->positions), cei_cpu_at(args->angles),
                      cei_cpu_at(args->x.at)};
    run_rows(device, args->rows, args->heads * 2 * args->half, rotate_rows, &job);
    return CE_OK;
}

/* ---- gate --------------------------------------------------------------------------------------------------- */

typedef struct gate_job {
    const cei_cpu_kernels *kernels;
    const cei_gate_args *args;
    const float *a, *b;
    float *out;
} gate_job;

/* A row stays in the first-level cache between its three passes. */
static void gate_rows(void *argument, size_t task, size_t worker) {
    (void)worker;
    const gate_job *job = argument;
    const cei_gate_args *args = job->args;
    const size_t columns = args->columns, step = rows_of_a_task(columns);
    const size_t end = cei_min_size((task + 1) * step, args->rows);
    for (size_t r = task * step; r < end; r++) {
        float *out = job->out + r * columns;
        job->kernels->copy(job->a + r * args->a.stride, columns, 1, columns, out, columns);
        job->kernels->apply[args->function](out, 1, columns, columns);
        job->kernels->times(out, job->b + r * args->b.stride, columns);
    }
}

ce_status cei_cpu_gate(cei_stream *stream, const cei_gate_args *args, ce_error *error) {
    (void)error;
    const cei_cpu_device *device = cei_cpu_stream_of(stream)->device;
    gate_job job = {&device->kernels, args, cei_cpu_at(args->a.at), cei_cpu_at(args->b.at), cei_cpu_at(args->out)};
    run_rows(device, args->rows, args->columns, gate_rows, &job);
    return CE_OK;
}
