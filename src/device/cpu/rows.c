/* rows.c - lists of operations on rows: a task takes a block of rows through the whole list, while what is made between
 * stays in the second-level cache.
 *
 * To an operation of a block, the worker's thread is the whole device, and a matrix begins with the block's first row.
 * What is temporary is in scratch memory, which the next block uses again. Rows get the same bits as in operations one
 * by one, since bits depend on nothing but the row. */
#include "device/cpu/cpu.h"

/* Rows of a block: products take multiples of the first best, fewer than the second would wait for weights, and more
 * than the last for their own temporary results. */
enum { ROW_STEP = 32, FEWEST_ROWS = 64, MOST_ROWS = 128 };

/* Fewer rows for each worker are better shared out by columns of weights, of which each then reads a part. */
enum { FEWEST_OF_WORKER = 96 };

/* Wider activations than this are left to products that are large enough by themselves. */
enum { MOST_COLUMNS = 4096 };

/* An encoder's list holds about so many times its widest activation. */
enum { WIDTHS = 2 };

size_t cei_cpu_temporary_floats(size_t columns) {
    return WIDTHS * MOST_ROWS * cei_min_size(columns, MOST_COLUMNS) + CEI_ROW_OPS * CEI_CPU_LINE;
}

typedef struct rows_job {
    const cei_row_op *ops;
    size_t count;
    const cei_row_plan *plan;
    cei_cpu_device alone; /* the device as one worker has it, without the pool */
    const cei_cpu_stream *stream;
    size_t steps, blocks; /* all rows, in steps of ROW_STEP; blocks that they are cut into */
} rows_job;

typedef struct row_block {
    const cei_row_plan *plan;
    cei_cpu_stream stream;  /* whose scratch memory is the worker's alone */
    cei_cpu_buffer scratch; /* what is temporary */
    size_t first, rows;
    size_t offsets[CEI_ROW_OPS]; /* of temporary matrices in scratch */
} row_block;

/* Where the block's part of a matrix of operation op is. */
static cei_slice move(row_block *b, size_t op, size_t matrix, cei_slice at, size_t stride) {
    const struct cei_row_place *place = &b->plan->places[op][matrix];
    if (place->temporary < CEI_ROW_OPS)
        return (cei_slice){&b->scratch.base, b->offsets[place->temporary] + place->column * sizeof(float)};
    return (cei_slice){at.buffer, at.offset + b->first * stride * sizeof(float)};
}

/* Runs operation i of the list on the block's rows. */
static void run_op(row_block *b, size_t i, cei_row_op op) {
    cei_slice residual, sum;
    switch (op.op) {
    case CEI_OP_LINEAR: {
        cei_linear_args *args = &op.of.linear;
        args->rows = b->rows;
        args->x = move(b, i, CEI_ROW_X, args->x, args->weight->columns);
        args->out = move(b, i, CEI_ROW_OUT, args->out, args->weight->rows);
        break;
    }
    case CEI_OP_NORM: {
        cei_norm_args *args = &op.of.norm;
        const size_t columns = args->gain->columns;
        args->rows = b->rows;
        args->x = move(b, i, CEI_ROW_X, args->x, columns);
        if (args->residual) {
            residual = move(b, i, CEI_ROW_OTHER, *args->residual, columns);
            args->residual = &residual;
        }
        if (args->sum) {
            sum = move(b, i, CEI_ROW_SUM, *args->sum, columns);
            args->sum = &sum;
        }
        args->out = move(b, i, CEI_ROW_OUT, args->out, columns);
        break;
    }
    case CEI_OP_HEAD_NORM: {
        cei_head_norm_args *args = &op.of.head_norm;
        args->rows = b->rows;
        args->x.at = move(b, i, CEI_ROW_X, args->x.at, args->x.stride);
        break;
    }
    case CEI_OP_ROTARY: {
        cei_rotary_args *args = &op.of.rotary;
        args->rows = b->rows;
        args->x.at = move(b, i, CEI_ROW_X, args->x.at, args->x.stride);
        args->positions = move(b, i, CEI_ROW_OTHER, args->positions, 1);
        break;
    }
    default: {
        cei_gate_args *args = &op.of.gate;
        args->rows = b->rows;
        args->a.at = move(b, i, CEI_ROW_X, args->a.at, args->a.stride);
        args->b.at = move(b, i, CEI_ROW_OTHER, args->b.at, args->b.stride);
        args->out = move(b, i, CEI_ROW_OUT, args->out, args->columns);
        break;
    }
    }
    (void)cei_run_row_op(&b->stream.base, &op, NULL); /* what could fail was checked before */
}

/* Bytes of so many rows of a temporary matrix. */
static size_t bytes_of(size_t rows, size_t columns) {
    return cei_cpu_divide_up(rows * columns, CEI_CPU_LINE) * CEI_CPU_LINE * sizeof(float);
}

static void run_rows(void *argument, size_t task, size_t worker) {
    rows_job *job = argument;
    const cei_cpu_scratch_plan *at = &job->stream->plan;
    const size_t first = job->steps * task / job->blocks * ROW_STEP;
    const size_t end = job->steps * (task + 1) / job->blocks * ROW_STEP;
    row_block b = {
        .plan = job->plan, .stream = *job->stream, .first = first, .rows = cei_min_size(end, job->plan->rows) - first};
    b.stream.base.device = &job->alone.base;
    b.stream.scratch += worker * at->total;
    b.scratch.data = (uint8_t *)(b.stream.scratch + at->temporary);
    size_t offset = 0;
    for (size_t t = 0; t < job->plan->count; t++) {
        b.offsets[t] = offset;
        offset += bytes_of(b.rows, job->plan->columns[t]);
    }
    for (size_t i = 0; i < job->count; i++) run_op(&b, i, job->ops[i]);
}

static ce_status check_placed(const cei_row_op *op, ce_error *error) {
    const cei_weight *weights[2] = {NULL, NULL};
    if (op->op == CEI_OP_LINEAR) weights[0] = op->of.linear.weight, weights[1] = op->of.linear.bias;
    if (op->op == CEI_OP_NORM) weights[0] = op->of.norm.gain, weights[1] = op->of.norm.bias;
    if (op->op == CEI_OP_HEAD_NORM) weights[0] = op->of.head_norm.gain;
    const ce_status status = cei_cpu_check_placed(weights[0], error);
    return status == CE_OK ? cei_cpu_check_placed(weights[1], error) : status;
}

static double work_of(const cei_row_op *op) {
    if (op->op != CEI_OP_LINEAR) return 0; /* the rest is small beside it */
    const cei_linear_args *args = &op->of.linear;
    return 2.0 * (double)args->rows * (double)args->weight->rows * (double)args->weight->columns;
}

/* Rows that a block may have, by the scratch memory that there is for what is temporary; 0 if it is too wide. */
static size_t rows_of_block(const cei_cpu_stream *stream, const cei_row_plan *plan) {
    const size_t floats = cei_cpu_temporary_floats(stream->base.limits.columns) - CEI_ROW_OPS * CEI_CPU_LINE;
    size_t columns = 0;
    for (size_t t = 0; t < plan->count; t++) {
        if (plan->columns[t] > floats - columns) return 0;
        columns += plan->columns[t];
    }
    const size_t rows = columns ? cei_min_size(floats / columns / ROW_STEP * ROW_STEP, MOST_ROWS) : MOST_ROWS;
    return rows < FEWEST_ROWS ? 0 : rows;
}

ce_status cei_cpu_rows(cei_stream *stream, const cei_row_op *ops, size_t count, const cei_row_plan *plan,
                       ce_error *error) {
    const cei_cpu_device *device = cei_cpu_of(stream->device);
    ce_status status = CE_OK;
    double work = 0;
    for (size_t i = 0; i < count && status == CE_OK; i++) {
        status = check_placed(&ops[i], error);
        work += work_of(&ops[i]);
    }
    const size_t workers = cei_cpu_is_worth_waking(device, work) ? device->workers : 1;
    rows_job job = {.ops = ops,
                    .count = count,
                    .plan = plan,
                    .alone = *device,
                    .stream = cei_cpu_stream_of(stream),
                    .steps = cei_cpu_divide_up(plan->rows, ROW_STEP)};
    const size_t rows = rows_of_block(job.stream, plan);
    if (rows == 0 || (workers > 1 && plan->rows / workers < FEWEST_OF_WORKER)) {
        for (size_t i = 0; i < count && status == CE_OK; i++) status = cei_run_row_op(stream, &ops[i], error);
        return status;
    }
    job.alone.pool = NULL;
    job.alone.workers = 1;
    const size_t least = cei_cpu_divide_up(plan->rows, rows);
    job.blocks = cei_cpu_divide_up(least, workers) * workers;
    if (status == CE_OK) cei_cpu_run(device, job.blocks, work, run_rows, &job);
    return status;
}
