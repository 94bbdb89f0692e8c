/* ops.c - the operations on rows: embedding, normalization, gathering. */
#include "device/cpu/cpu.h"

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
    float *out;
} embed_job;

static void embed_rows(void *argument, size_t task, size_t worker) {
    const embed_job *job = argument;
    const size_t columns = job->columns, step = rows_of_a_task(columns);
    const size_t end = cei_cpu_min((task + 1) * step, job->tokens);
    /* Where a table is not float32, its row is widened into a third of what linear layers have for rows. */
    float *wide = job->stream->scratch + worker * job->stream->plan.total + job->stream->plan.rows;
    for (size_t t = task * step; t < end; t++)
        job->kernels->embed(
            cei_cpu_table_row(job->kernels, job->word, (size_t)job->ids[t], wide),
            cei_cpu_table_row(job->kernels, job->type, (size_t)job->types[t], wide + columns),
            cei_cpu_table_row(job->kernels, job->position, (size_t)job->positions[t], wide + 2 * columns), columns,
            job->out + t * columns);
}

ce_status cei_cpu_embed(cei_stream *stream, const cei_embed_args *args, ce_error *error) {
    ce_status status = cei_cpu_check_placed(args->word, error);
    if (status == CE_OK) status = cei_cpu_check_placed(args->position, error);
    if (status == CE_OK) status = cei_cpu_check_placed(args->type, error);
    if (status != CE_OK) return status;
    const cei_cpu_device *device = cei_cpu_of(stream->device);
    embed_job job = {
        .kernels = &device->kernels,
        .stream = cei_cpu_stream_of(stream),
        .word = args->word,
        .position = args->position,
        .type = args->type,
        .ids = cei_cpu_at(args->ids),
        .positions = cei_cpu_at(args->positions),
        .types = cei_cpu_at(args->types),
        .tokens = args->tokens,
        .columns = args->word->columns,
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
    part.rows = cei_cpu_min(step, part.rows - task * step);
    part.x += at;
    part.residual = part.residual ? part.residual + at : NULL;
    part.out += at;
    job->kernels->norm(&part);
}

ce_status cei_cpu_norm_rows(cei_stream *stream, const cei_norm_args *args, ce_error *error) {
    ce_status status = cei_cpu_check_placed(args->gain, error);
    if (status == CE_OK) status = cei_cpu_check_placed(args->bias, error);
    if (status != CE_OK) return status;
    const cei_cpu_device *device = cei_cpu_of(stream->device);
    norm_job job = {&device->kernels,
                    {.rows = args->rows,
                     .columns = args->gain->columns,
                     .x = cei_cpu_at(args->x),
                     .residual = args->residual ? cei_cpu_at(*args->residual) : NULL,
                     .gain = cei_cpu_at(args->gain->at),
                     .bias = cei_cpu_at(args->bias->at),
                     .epsilon = args->epsilon,
                     .out = cei_cpu_at(args->out)}};
    if (job.whole.columns) run_rows(device, args->rows, job.whole.columns, norm_rows, &job);
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
