/* head.h - what comes after an encoder: pooling of its tokens, then layers on one row a sequence.
 *
 * The classification heads of all architectures, and the modules behind a bi-encoder's transformer, are of this form.
 * Whoever makes a head says what it consists of; it runs by itself. */
#ifndef CEI_HEAD_H
#define CEI_HEAD_H

#include "model/plan.h"

enum { CEI_HEAD_LAYERS = 16 };

typedef enum cei_head_kind {
    CEI_HEAD_DENSE,    /* function(x W^T + bias) */
    CEI_HEAD_NORM,     /* layer norm */
    CEI_HEAD_NORMALIZE /* to length 1 */
} cei_head_kind;

typedef struct cei_head_layer {
    cei_head_kind kind;
    size_t weight, bias; /* in the plan; of a norm: its gain and shift */
    bool has_bias;
    cei_function function;
    float epsilon;
    size_t columns; /* of its result */
} cei_head_layer;

/* A causal model's scores of words, of which one or two are read at a sequence's last token: how a re-ranker is read
 * that answers with a word. The score is the logit of true_id, less that of false_id if there is one. */
typedef struct cei_token_logits {
    bool is_read;              /* else nothing here counts */
    int32_t true_id, false_id; /* rows of the vocabulary; false_id -1 is none */
} cei_token_logits;

typedef struct cei_head {
    cei_pooling poolings[CEI_POOL_COUNT]; /* their results stand side by side */
    size_t pooling_count;
    size_t hidden;        /* columns of a token */
    bool includes_prompt; /* a prompt's tokens count in pooling */
    cei_head_layer layers[CEI_HEAD_LAYERS];
    size_t layer_count;
    size_t outputs; /* columns of the last result: labels, or dimensions of an embedding */
    size_t widest;  /* columns of the widest result */
    bool subtracts; /* the last layer has two columns, and the result is the first less the second: outputs is 1 */
    int32_t passes; /* the id of tokens at a sequence's end that pooling of the last token passes over; -1 is none */
} cei_head;

/* A head that pools tokens of hidden columns, and no more. */
cei_head cei_head_pool(size_t hidden, const cei_pooling *poolings, size_t count);

/* Add layers, which read what was there before. A bias or shift of NULL is none. Dense layers are float32 in every
 * precision: they cost nothing on one row a sequence, and their error would not average out. Errors: MEMORY, MODEL,
 * UNSUPPORTED (too many layers). */
ce_status cei_head_add_dense(cei_head *head, cei_plan *plan, const char *weight, const char *bias, size_t columns,
                             cei_function function, ce_error *error);
ce_status cei_head_add_norm(cei_head *head, cei_plan *plan, const char *gain, const char *shift, float epsilon,
                            ce_error *error);
ce_status cei_head_add_normalize(cei_head *head, ce_error *error);

/* The rows of a causal model's matrix of logits [vocabulary, columns] that logits names; tensor is its whole name, and
 * may be that of the word embeddings. Float32 in every precision. Errors: MODEL (an id outside the vocabulary), MEMORY,
 * UNSUPPORTED. */
ce_status cei_head_add_token_logits(cei_head *head, cei_plan *plan, const cei_token_logits *logits, const char *tensor,
                                    size_t vocabulary, ce_error *error);

/* The head of a classifier: a dense layer with a function over the pooled tokens, perhaps a norm, and a dense layer to
 * the labels; or that alone. Names are those of tensors without ".weight" and ".bias". */
typedef struct cei_classifier {
    const char *first; /* NULL is none */
    cei_function function;
    const char *second;
    cei_pooling pooling; /* CEI_POOL_FIRST if nothing is said */
    bool no_bias;        /* of the first */
    bool no_second_bias;
    const char *norm; /* NULL is none */
    bool no_norm_bias;
    float epsilon;
} cei_classifier;

/* Adds its layers to a head that pools as it wants. Errors: as add. */
ce_status cei_head_classify(cei_head *head, cei_plan *plan, const cei_classifier *classifier, size_t labels,
                            ce_error *error);

/* The tokens of a sequence whose states are read. */
typedef enum cei_reads {
    CEI_READS_ALL,
    CEI_READS_FIRST, /* that one alone */
    CEI_READS_LAST   /* that one alone, or the one before those that the head passes over */
} cei_reads;

cei_reads cei_head_reads(const cei_head *head);

/* 1 << cei_op for each operation that it calls in a network of which it reads that. */
unsigned cei_head_ops(const cei_head *head, cei_reads reads);

/* Bytes of device workspace for so many sequences; 0 on overflow. */
size_t cei_head_workspace(const cei_head *head, size_t sequences);

/* What an encoder leaves on the device. */
typedef struct cei_states {
    cei_slice at;      /* [tokens, hidden], or [sequences, hidden] of those tokens alone that the head reads */
    cei_slice offsets; /* int32 [sequences + 1] */
    const int32_t *host_offsets; /* the same in host memory */
    cei_slice rows;              /* int32 [sequences] of the tokens that the head reads, where it reads one alone */
    size_t tokens, sequences;
    bool one_only; /* of those that the head reads */
    bool gather;   /* of all, and the head reads one of each sequence */
} cei_states;

/* Runs the head. skipped is how many tokens of each sequence pooling leaves out; workspace has cei_head_workspace bytes
 * at its offset; *values receives where the result [sequences, outputs] is, or [sequences, 2] of a head that subtracts.
 * Errors: DEVICE_*. */
ce_status cei_head_run(const cei_head *head, const cei_weight *weights, const cei_states *states, size_t skipped,
                       cei_stream *stream, cei_slice workspace, cei_slice *values, ce_error *error);

#endif
