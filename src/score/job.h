/* job.h - the way of a call through a model, whatever its inputs are: windows, tokens, packed batches, values.
 *
 * predict.c (pairs) and encode.c (texts) say how an input is tokenized and who gets its values; job.c does the rest. */
#ifndef CEI_JOB_H
#define CEI_JOB_H

#include "score/scratch.h"

/* Room for the tokens of one input. */
typedef struct cei_tokens {
    int32_t *ids, *types; /* [max_length] */
    size_t count;
    size_t removed; /* by truncation */
} cei_tokens;

/* What became of one input. All memory is the job's, for the time of the call; values may be changed in it. */
typedef struct cei_result {
    size_t index;
    float *values; /* [outputs] */
    size_t tokens;
    const int32_t *ids, *types; /* [tokens] */
    const float *states;        /* [tokens, hidden] if the job wants them, else NULL */
} cei_result;

typedef struct cei_job cei_job;

struct cei_job {
    ce_model *model;
    const char *unit; /* of the inputs, for messages: "pair" */
    size_t count;
    const void *call; /* what the two functions below know */
    /* Tokenizes input index; called by several threads at once, each with a lane of its own. Errors: TEXT, MEMORY, with
     * a message that names the input. */
    ce_status (*tokenize)(const cei_job *job, size_t index, cei_lane_text *lane, cei_tokens *tokens, ce_error *error);
    /* Takes the values of an input, in any order; called by several threads at once, each for other inputs, but where
     * states are wanted, by the thread that runs the job. */
    ce_status (*deliver)(const cei_job *job, const cei_result *result, ce_error *error);
    bool wants_states;
    size_t prompt;     /* tokens at the beginning of each input that are a prompt's */
    size_t max_length; /* tokens of an input; at most the model's */
    ce_progress_fn progress;
    void *progress_user;

    /* Filled by cei_job_run. */
    uint64_t tokens, truncated, first_truncated;
};

/* The tokens that an input may have when a call asks for max_length of them; 0 is the model's own. Errors: ARGUMENT
 * (out of range; type is the options' name, for the message). */
ce_status cei_choose_max_length(const ce_model *model, size_t asked, const char *type, size_t *max_length,
                                ce_error *error);

/* Runs all inputs. scratch was taken for them. Errors: those of its functions, CANCELLED, DEVICE_*. */
ce_status cei_job_run(cei_job *job, cei_scratch *scratch, ce_error *error);

#endif
