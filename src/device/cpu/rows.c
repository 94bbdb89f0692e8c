/* rows.c - lists of operations on rows: a task takes a block of rows through the whole list, while what is made between
 * stays in the second-level cache.
 *
 * To an operation of a block, the worker's thread is the whole device, and a matrix begins with the block's first row.
 * What is temporary is in scratch memory, which the next block uses again. Rows get the same bits as in operations one
 * by one, since bits depend on nothing but the row. */
#include "device/cpu/cpu.h"

/* Rows of a block: products take multiples of the first best. Where there is room for less than LEAST_ROWS, blocks
 * would wait for weights; from GOOD_ROWS on there are as many as leave what is temporary in the second-level cache. */
enum { ROW_STEP = 32, LEAST_ROWS = 64, GOOD_ROWS = 128, MOST_ROWS = CEI_CPU_MAX_ROWS };

/* Few rows may be shared out by columns of weights as well: then each worker reads its part of the weights alone, and
 * of every operation's rows what the others have just written, which takes about three times as long a byte. With fewer
 * rows than this for each worker there is not enough to share out. */
enum { SLOWER = 3, LEAST_OF_WORKER = 12 };

/* Of GOOD_ROWS as wide as the widest activation, up to a width from which products are large enough by themselves,
 * there is room for so many: an encoder's list holds a little more than one. */
enum { WIDTHS = 2, MOST_COLUMNS = 4096 };

static size_t most_floats(size_t columns) { return WIDTHS * GOOD_ROWS * cei_min_size(columns, MOST_COLUMNS); }

size_t cei_cpu_temporary_floats(size_t columns) { return most_floats(columns) + CEI_ROW_OPS * CEI_CPU_LINE; }

typedef struct rows_job {
    const cei_row_op *ops;
    size_t count;
    const cei_row_plan *plan;
    const cei_cpu_device *alone; /* the device as one worker has it, without the pool: the stream's */
    const cei_cpu_stream *stream;
    bool is_pair[CEI_ROW_OPS];  /* an operation and the next are layers that run as one */
    size_t floats[CEI_ROW_OPS]; /* that a row of each temporary matrix takes */
    size_t step, blocks;        /* blocks that all rows are cut into, between steps */
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

static cei_linear_args move_linear(row_block *b, size_t op, cei_linear_args args) {
    args.rows = b->rows;
    args.x = move(b, op, CEI_ROW_X, args.x, args.weight->columns);
    args.out = move(b, op, CEI_ROW_OUT, args.out, args.weight->rows);
    return args;
}

/* Runs operation i of the list on the block's rows. */
static void run_op(row_block *b, size_t i, cei_row_op op) {
    cei_slice residual, sum;
    switch (op.op) {
    case CEI_OP_LINEAR: op.of.linear = move_linear(b, i, op.of.linear); break;
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

static void run_rows(void *argument, size_t task, size_t worker) {
    rows_job *job = argument;
    const cei_cpu_scratch_plan *at = &job->stream->plan;
    const size_t steps = cei_cpu_divide_up(job->plan->rows, job->step);
    const size_t first = steps * task / job->blocks * job->step;
    const size_t end = steps * (task + 1) / job->blocks * job->step;
    row_block b = {
        .plan = job->plan, .stream = *job->stream, .first = first, .rows = cei_min_size(end, job->plan->rows) - first};
    b.stream.device = job->alone;
    b.stream.scratch += worker * at->total;
    b.scratch.data = (uint8_t *)(b.stream.scratch + at->temporary);
    size_t offset = 0;
    for (size_t t = 0; t < job->plan->count; t++) {
        b.offsets[t] = offset;
        offset += cei_cpu_divide_up(b.rows * job->floats[t], CEI_CPU_LINE) * CEI_CPU_LINE * sizeof(float);
    }
    for (size_t i = 0; i < job->count; i++) {
        if (!job->is_pair[i]) {
            run_op(&b, i, job->ops[i]);
            continue;
        }
        const cei_linear_args one = move_linear(&b, i, job->ops[i].of.linear);
        const cei_linear_args other = move_linear(&b, i + 1, job->ops[i + 1].of.linear);
        cei_cpu_linear_pair(&b.stream.base, &one, &other, cei_cpu_at(one.out));
        i++;
    }
}

static ce_status check_placed(const cei_row_op *op, ce_error *error) {
    const cei_weight *weights[2] = {NULL, NULL};
    if (op->op == CEI_OP_LINEAR) weights[0] = op->of.linear.weight, weights[1] = op->of.linear.bias;
    if (op->op == CEI_OP_NORM) weights[0] = op->of.norm.gain, weights[1] = op->of.norm.bias;
    if (op->op == CEI_OP_HEAD_NORM) weights[0] = op->of.head_norm.gain;
    const ce_status status = cei_cpu_check_placed(weights[0], error);
    return status == CE_OK ? cei_cpu_check_placed(weights[1], error) : status;
}

/* Is a layer's weight split into digits for each block that it is multiplied with? */
static bool is_split(const cei_cpu_kernels *kernels, const cei_weight *weight) {
    return weight->format == CEI_FORMAT_FLOAT32 && cei_cpu_takes_digits(kernels, weight->columns);
}

/* Bytes of a value that products read: those that are widened first cost as much as float32, or more, and those that
 * are split into digits about three times as much. */
static size_t bytes_of_value(const cei_cpu_kernels *kernels, const cei_weight *weight) {
    enum { SPLIT = 3 };
    if (is_split(kernels, weight)) return SPLIT * sizeof(float);
    if (weight->format == CEI_FORMAT_FLOAT32) return sizeof(float);
    const cei_cpu_low *low = cei_cpu_low_lay_out(kernels, weight).low;
    return low->multiply ? low->element : sizeof(float);
}

/* Is a list better cut by its rows, each worker taking some through all of it, than operation by operation? */
static bool should_cut_rows(const rows_job *job, size_t workers) {
    double weights = 0, matrices = 0; /* bytes */
    const size_t rows = job->plan->rows;
    if (workers == 1) return true;
    for (size_t i = 0; i < job->count; i++) {
        if (job->ops[i].op != CEI_OP_LINEAR) continue;
        const cei_weight *weight = job->ops[i].of.linear.weight;
        weights += (double)weight->rows * (double)(weight->columns * bytes_of_value(&job->alone->kernels, weight));
        matrices += (double)rows * (double)(weight->rows + weight->columns) * sizeof(float);
    }
    return rows / workers >= LEAST_OF_WORKER && SLOWER * matrices >= weights;
}

static double work_of(const cei_row_op *op) {
    if (op->op != CEI_OP_LINEAR) return 0; /* the rest is small beside it */
    const cei_linear_args *args = &op->of.linear;
    return 2.0 * (double)args->rows * (double)args->weight->rows * (double)args->weight->columns;
}

/* How many matrices of the list are of a temporary one. */
static size_t count_uses(const rows_job *job, size_t temporary) {
    size_t uses = 0;
    for (size_t i = 0; i < job->count; i++)
        for (size_t m = 0; m < CEI_ROW_MATRICES; m++) uses += job->plan->places[i][m].temporary == temporary;
    return uses;
}

/* Finds layers of which the second alone reads what the first gives. */
static void find_pairs(rows_job *job) {
    for (size_t t = 0; t < job->plan->count; t++) job->floats[t] = job->plan->columns[t];
    for (size_t i = 0; i + 1 < job->count; i++) {
        if (job->ops[i].op != CEI_OP_LINEAR || job->ops[i + 1].op != CEI_OP_LINEAR) continue;
        const cei_weight *one = job->ops[i].of.linear.weight, *other = job->ops[i + 1].of.linear.weight;
        const size_t between = job->plan->places[i][CEI_ROW_OUT].temporary;
        if (between == CEI_ROW_OPS || job->plan->places[i + 1][CEI_ROW_X].temporary != between ||
            one->rows != other->columns || count_uses(job, between) != 2 ||
            !cei_cpu_can_pair(&job->alone->kernels, one, other))
            continue;
        job->is_pair[i] = true;
        job->floats[between] = cei_cpu_pair_bytes(&job->alone->kernels, other) / sizeof(float);
    }
}

static bool splits_weights(const rows_job *job) {
    for (size_t i = 0; i < job->count; i++)
        if (job->ops[i].op == CEI_OP_LINEAR && is_split(&job->alone->kernels, job->ops[i].of.linear.weight))
            return true;
    return false;
}

/* Rows that a block may have, by the room that there is for what is temporary; 0 if it is too wide. Weights are not
 * split for blocks that have no room in the cache: operations one by one take more rows at a time. */
static size_t rows_of_block(const rows_job *job) {
    const size_t most = most_floats(job->stream->base.limits.columns);
    size_t floats = 0;
    for (size_t t = 0; t < job->plan->count; t++) {
        if (job->floats[t] > most - floats) return 0;
        floats += job->floats[t];
    }
    if (floats == 0) return GOOD_ROWS;
    size_t rows = cei_min_size(job->alone->copy_floats / floats / ROW_STEP * ROW_STEP, MOST_ROWS);
    if (rows < GOOD_ROWS && splits_weights(job)) return 0;
    rows = cei_min_size(cei_max_size(rows, GOOD_ROWS), most / floats / ROW_STEP * ROW_STEP);
    return rows < LEAST_ROWS ? 0 : rows;
}

ce_status cei_cpu_rows(cei_stream *stream, const cei_row_op *ops, size_t count, const cei_row_plan *plan,
                       ce_error *error) {
    const cei_cpu_stream *of = cei_cpu_stream_of(stream);
    const cei_cpu_device *device = of->device;
    ce_status status = CE_OK;
    double work = 0;
    for (size_t i = 0; i < count && status == CE_OK; i++) {
        status = check_placed(&ops[i], error);
        work += work_of(&ops[i]);
    }
    if (status != CE_OK) return status;
    rows_job job = {.ops = ops, .count = count, .plan = plan, .alone = &of->single, .stream = of};
    find_pairs(&job);
    const size_t workers = cei_cpu_is_worth_waking(device, work) ? device->workers : 1;
    const size_t rows = rows_of_block(&job);
    if (rows == 0 || !should_cut_rows(&job, workers)) {
        for (size_t i = 0; i < count && status == CE_OK; i++) status = cei_run_row_op(stream, &ops[i], error);
        return status;
    }
    job.blocks = cei_cpu_divide_up(cei_cpu_divide_up(plan->rows, rows), workers) * workers;
    job.step = plan->rows / job.blocks < LEAST_ROWS ? 1 : ROW_STEP; /* small blocks are to be alike */
    cei_cpu_run(device, job.blocks, work, run_rows, &job);
    return CE_OK;
}
