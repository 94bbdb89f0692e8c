/* rows.c - where the matrices of a list of operations on rows are, and whether the list may be run some rows at a time.
 *
 * The list is followed as if each operation ran over all rows before the next. What is temporary stands for its memory
 * until something else is written there. */
#include "base/error.h"
#include "base/memory.h"
#include "device/table.h"

/* A matrix of an operation: rows stride floats apart. Without columns it is none. */
typedef struct matrix {
    cei_slice at;
    size_t stride, columns;
    bool is_written;
} matrix;

static matrix whole(cei_slice at, size_t columns, bool is_written) {
    return (matrix){at, columns, columns, is_written};
}

static matrix strided(cei_strided at, size_t columns, bool is_written) {
    return (matrix){at.at, at.stride, columns, is_written};
}

/* In the order in which they are read and written. Returns the rows. */
static size_t list_matrices(const cei_row_op *op, matrix all[CEI_ROW_MATRICES]) {
    for (size_t i = 0; i < CEI_ROW_MATRICES; i++) all[i] = (matrix){0};
    switch (op->op) {
    case CEI_OP_LINEAR: {
        const cei_linear_args *args = &op->of.linear;
        all[CEI_ROW_X] = whole(args->x, args->weight->columns, false);
        all[CEI_ROW_OUT] = whole(args->out, args->weight->rows, true);
        return args->rows;
    }
    case CEI_OP_NORM: {
        const cei_norm_args *args = &op->of.norm;
        const size_t columns = args->gain->columns;
        all[CEI_ROW_X] = whole(args->x, columns, false);
        if (args->residual) all[CEI_ROW_OTHER] = whole(*args->residual, columns, false);
        if (args->sum) all[CEI_ROW_SUM] = whole(*args->sum, columns, true);
        all[CEI_ROW_OUT] = whole(args->out, columns, true);
        return args->rows;
    }
    case CEI_OP_HEAD_NORM: {
        const cei_head_norm_args *args = &op->of.head_norm;
        all[CEI_ROW_X] = strided(args->x, args->heads * args->gain->columns, true);
        return args->rows;
    }
    case CEI_OP_ROTARY: {
        const cei_rotary_args *args = &op->of.rotary;
        all[CEI_ROW_X] = strided(args->x, args->heads * 2 * args->half, true);
        all[CEI_ROW_OTHER] = whole(args->positions, 1, false);
        return args->rows;
    }
    default: {
        const cei_gate_args *args = &op->of.gate;
        all[CEI_ROW_X] = strided(args->a, args->columns, false);
        all[CEI_ROW_OTHER] = strided(args->b, args->columns, false);
        all[CEI_ROW_OUT] = whole(args->out, args->columns, true);
        return args->rows;
    }
    }
}

/* Do they share memory? Sizes have been checked against their buffers. */
static bool meet(const matrix *a, const matrix *b, size_t rows) {
    if (a->at.buffer != b->at.buffer || rows == 0 || a->columns == 0 || b->columns == 0) return false;
    const size_t a_bytes = ((rows - 1) * a->stride + a->columns) * sizeof(float);
    const size_t b_bytes = ((rows - 1) * b->stride + b->columns) * sizeof(float);
    return a->at.offset < b->at.offset + b_bytes && b->at.offset < a->at.offset + a_bytes;
}

/* Is row r of one in no other row of the other than r? */
static bool agree(const matrix *a, const matrix *b) {
    const size_t first = cei_min_size(a->at.offset, b->at.offset);
    const size_t a_end = a->at.offset + a->columns * sizeof(float), b_end = b->at.offset + b->columns * sizeof(float);
    return a->stride == b->stride && cei_max_size(a_end, b_end) - first <= a->stride * sizeof(float);
}

/* Is the matrix columns of the other? */
static bool is_part(const matrix *part, const matrix *of) {
    return agree(part, of) && part->at.offset >= of->at.offset &&
           part->at.offset + part->columns * sizeof(float) <= of->at.offset + of->columns * sizeof(float);
}

typedef struct planner {
    cei_row_plan *plan;
    matrix held[CEI_ROW_OPS]; /* what a temporary matrix stands for; no columns once that is written over */
    matrix memory[CEI_ROW_OPS * CEI_ROW_MATRICES]; /* what else was read or written */
    size_t memory_count;
} planner;

/* A matrix that was there before, or stays behind the list: is it apart from others of its kind? */
static bool take_memory(planner *p, const matrix *m) {
    const size_t rows = p->plan->rows;
    for (size_t i = 0; i < p->memory_count; i++) {
        const matrix *other = &p->memory[i];
        if ((m->is_written || other->is_written) && meet(m, other, rows) && !agree(m, other)) return false;
    }
    p->memory[p->memory_count++] = *m;
    return true;
}

/* Finds where a matrix is that is read, or changed in its place. False if it is in the memory of a temporary one, and
 * no columns of it. */
static bool find(planner *p, const matrix *m, struct cei_row_place *place) {
    cei_row_plan *plan = p->plan;
    for (size_t t = 0; t < plan->count; t++) {
        if (!meet(m, &p->held[t], plan->rows)) continue;
        *place = (struct cei_row_place){t, (m->at.offset - p->held[t].at.offset) / sizeof(float)};
        return is_part(m, &p->held[t]);
    }
    return take_memory(p, m);
}

/* Finds a place for what is written. */
static bool put(planner *p, const matrix *m, bool is_temporary, struct cei_row_place *place) {
    cei_row_plan *plan = p->plan;
    size_t same = plan->count;
    for (size_t t = 0; t < plan->count; t++) {
        if (!meet(m, &p->held[t], plan->rows)) continue;
        const bool is_same = m->at.offset == p->held[t].at.offset && m->columns == p->held[t].columns;
        if (is_same) same = t;
        p->held[t].columns = 0;
    }
    if (!is_temporary) return take_memory(p, m);
    if (same == plan->count) plan->columns[plan->count++] = m->columns;
    p->held[same] = *m;
    *place = (struct cei_row_place){same, 0};
    return true;
}

static bool plan_op(planner *p, const cei_row_op *op, const matrix all[CEI_ROW_MATRICES],
                    struct cei_row_place *places) {
    for (size_t m = 0; m < CEI_ROW_MATRICES; m++) {
        places[m] = (struct cei_row_place){CEI_ROW_OPS, 0};
        if (all[m].columns == 0) continue;
        const bool fits =
            m == CEI_ROW_OUT ? put(p, &all[m], op->is_temporary, &places[m]) : find(p, &all[m], &places[m]);
        if (!fits) return false;
    }
    return true;
}

ce_status cei_plan_rows(const cei_row_op *ops, size_t count, cei_row_plan *plan, ce_error *error) {
    planner p = {.plan = plan};
    plan->rows = plan->count = 0;
    for (size_t i = 0; i < count; i++) {
        matrix all[CEI_ROW_MATRICES];
        const size_t rows = list_matrices(&ops[i], all);
        if (i == 0) plan->rows = rows;
        if (rows != plan->rows) return cei_fail(error, CE_ERR_ARGUMENT, "internal: rows: not equally many");
        if (!plan_op(&p, &ops[i], all, plan->places[i]))
            return cei_fail(error, CE_ERR_ARGUMENT, "internal: rows: %s in the memory of other rows",
                            cei_op_name(ops[i].op));
    }
    return CE_OK;
}
