/* plan.h - which weights a model needs, how they are made from the tensors of a checkpoint.
 *
 * An architecture declares its weights once, at load; everything that moves weights (binding, upload, verification,
 * inspection) walks this plan and knows no architecture. */
#ifndef CEI_PLAN_H
#define CEI_PLAN_H

#include "device/device.h"
#include "formats/checkpoint.h"

/* A tensor of the checkpoint and the rows of a weight that it fills. */
typedef struct cei_part {
    char *name;         /* in the checkpoint; "" for zeros, which no tensor has */
    size_t heads;       /* as in cei_values; 0 where rows are the file's */
    size_t weight;      /* index into the plan's weights */
    size_t first, rows; /* rows of the weight */
    size_t from, of; /* they are rows from .. of a tensor that has so many; of is 0 where they are the whole tensor */
} cei_part;

typedef struct cei_plan {
    cei_weight *weights; /* [weight_count] roles and shapes; the slices stay empty */
    size_t weight_count, weight_capacity;
    cei_part *parts; /* [part_count] in the order of weights */
    size_t part_count, part_capacity;
    float *zeros; /* [zero_count] for the longest part of zeros */
    size_t zero_count;
} cei_plan;

/* Adds a weight made of count tensors of equal columns, stacked by rows: names[i] fills rows[i] of them. For a vector
 * the tensors are laid end to end and rows[i] is their length; a name may be NULL there, for zeros. *index receives the
 * weight's index. The tensors' presence and shapes are checked by cei_plan_check. Errors: MEMORY, MODEL (a size that
 * overflows). */
ce_status cei_plan_add(cei_plan *plan, cei_role role, size_t columns, size_t count, const char *const *names,
                       const size_t *rows, size_t *index, ce_error *error);

enum { CEI_PLAN_ROWS = 2 };

/* Adds a MATRIX of count single rows of one tensor [height, columns]: row i of the weight is row rows[i] of it; count
 * is at most CEI_PLAN_ROWS. The tensor may be another weight's too. Errors: as add; MODEL also where a row is outside
 * the tensor. */
ce_status cei_plan_add_rows(cei_plan *plan, size_t columns, const char *name, size_t height, size_t count,
                            const size_t *rows, size_t *index, ce_error *error);

/* Every weight but vectors, those marked exact, and matrices too deep for the format's sums, will be held in the format
 * of a precision. Call once, after all weights were added. */
void cei_plan_round(cei_plan *plan, ce_precision precision);

/* Of a model in float32: tables whose tensors are F16, BF16, or int8 with scales, stay so. Their rows are widened as
 * they are picked, to the bits that the file's values have in float32, and they take a half or a quarter of the memory,
 * of the upload and of the time to clear it. Matrices are multiplied in float32 and gain nothing. Errors: those of
 * cei_plan_values. */
ce_status cei_plan_narrow(cei_plan *plan, const cei_checkpoint *checkpoint, ce_error *error);

/* Is each part in the checkpoint, with the right shape and a dtype that can be read? Errors: MODEL, UNSUPPORTED. */
ce_status cei_plan_check(const cei_plan *plan, const cei_checkpoint *checkpoint, ce_error *error);

/* The values of a part in the checkpoint, which may be a few rows of a tensor; whole: all rows of the tensor. Old
 * spellings are found too: LayerNorm.gamma and .beta. */
ce_status cei_plan_values(const cei_plan *plan, size_t part, const cei_checkpoint *checkpoint, cei_values *values,
                          ce_error *error);
ce_status cei_plan_whole_values(const cei_plan *plan, size_t part, const cei_checkpoint *checkpoint, cei_values *values,
                                ce_error *error);

/* Rows of a part as they are streamed: a vector is one row. */
size_t cei_part_stream_rows(const cei_plan *plan, const cei_part *part);
size_t cei_part_stream_columns(const cei_plan *plan, const cei_part *part);

/* Is the part some rows of a tensor that a part before it reads too? */
bool cei_plan_reads_before(const cei_plan *plan, size_t part);

/* The whole name of the first tensor of a weight. */
const char *cei_plan_name(const cei_plan *plan, size_t weight);

uint64_t cei_plan_parameters(const cei_plan *plan);

/* Tensors in the checkpoint that no part reads (an I8 tensor's .scale is read with it). */
size_t cei_plan_unused(const cei_plan *plan, const cei_checkpoint *checkpoint);

void cei_plan_free(cei_plan *plan); /* zeroed is fine */

/* A matrix and its bias, or a norm's gain and shift: indices into a plan's weights. */
typedef struct cei_weight_pair {
    size_t weight, bias;
    bool has_bias;
} cei_weight_pair;

#endif
