/* predict.h - scoring pairs that are named by number, so that ranking needs no array of pairs. */
#ifndef CEI_PREDICT_H
#define CEI_PREDICT_H

#include "score/scratch.h"

#include <crossenc/score.h>

/* The pairs of a call: either an array of them, or one query with documents. */
typedef struct cei_pairs {
    const ce_pair *pairs;     /* [count], or NULL */
    ce_text query;            /* if pairs is NULL */
    const ce_text *documents; /* [count], if pairs is NULL */
    size_t count;
} cei_pairs;

/* Scores all pairs into scores [count, labels]. options is not NULL and was checked. Errors: as ce_predict. */
ce_status cei_score_pairs(ce_model *model, const cei_pairs *pairs, const ce_score_options *options,
                          cei_scratch *scratch, float *scores, ce_error *error);

/* Options for a call on the model, with their defaults filled in; NULL gives all defaults. Errors: ARGUMENT. */
ce_status cei_score_options_check(const ce_model *model, const ce_score_options *given, ce_score_options *options,
                                  ce_error *error);

/* activation.c: turns a row of logits [labels] into scores, in place. */
void cei_activate(float *row, size_t labels, ce_activation activation, bool softmax);

#endif
