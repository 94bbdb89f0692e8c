/* pair.h - the way of a pair to the tokens that the model reads: joined behind its prompt, or as a chat template has
 * it, and cut. */
#ifndef CEI_SCORE_PAIR_H
#define CEI_SCORE_PAIR_H

#include "score/job.h"

#include <crossenc/score.h>

/* How the pairs of a call are read. */
typedef struct cei_pair_reading {
    const ce_model *model;
    ce_text prompt; /* empty is none */
    ce_utf8_policy utf8;
    size_t max_length;
    const cei_chat *chat;  /* NULL: pairs are joined */
    cei_chat *own;         /* that of this call alone; NULL if it has none */
    const int32_t *suffix; /* what a chat template puts behind everything */
    size_t suffix_count;
} cei_pair_reading;

/* Reads as options, with all defaults filled in, say. lane is kept: the suffix lies in it. To be ended, also when it
 * failed. Errors: TEXT (the prompt), MODEL (the template), ARGUMENT and UNSUPPORTED (the chat's settings), MEMORY. */
ce_status cei_pair_reading_start(const ce_model *model, const ce_score_options *options, cei_lane_text *lane,
                                 cei_pair_reading *reading, ce_error *error);

void cei_pair_reading_end(cei_pair_reading *reading);

/* The tokens of a pair. The message names the half that is wrong. Errors: TEXT, MODEL, MEMORY. */
ce_status cei_pair_read(const cei_pair_reading *reading, ce_pair pair, cei_lane_text *lane, cei_tokens *tokens,
                        ce_truncation *truncation, ce_error *error);

#endif
