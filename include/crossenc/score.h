/* crossenc/score.h - scores of pairs, and documents ranked by them.
 *
 * score = activation(logit); for C labels, C of them. A pair's score is the same to the bit alone and in any
 * batch, at any place in it, with any number of threads; it depends on the device and the precision only.
 * All calls are safe from many threads on one model. After the first calls of a given size, no memory is
 * allocated. A deferred model is placed by its first call. */
#ifndef CROSSENC_SCORE_H
#define CROSSENC_SCORE_H

#include <crossenc/model.h>
#include <crossenc/text.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a call did, beside its scores. */
typedef struct ce_score_report {
    size_t size; /* set by the caller: sizeof(ce_score_report) */
    uint64_t pairs;
    uint64_t tokens;          /* encoded, special ones included; padding is never computed */
    uint64_t truncated;       /* pairs that lost tokens */
    uint64_t first_truncated; /* index of the first of them, if truncated > 0 */
} ce_score_report;

/* How to score. Zero every field but size for the defaults. */
typedef struct ce_score_options {
    size_t size;                /* sizeof(ce_score_options) as the caller was compiled */
    ce_activation activation;   /* default: the model's */
    bool apply_softmax;         /* softmax over the labels, after the activation. With one label it has no effect */
    ce_utf8_policy utf8;        /* default: strict */
    ce_truncation *truncations; /* [number of pairs], filled if not NULL */
    ce_score_report *report;    /* filled if not NULL */
    ce_progress_fn progress;    /* pairs done; NULL is none */
    void *progress_user;
    size_t max_length;     /* tokens of a pair, special ones included, in this call: from the special ones alone to the
                              max_length that the model was loaded with, which 0 stands for */
    const ce_text *prompt; /* put before each query as it is, or, where a chat template makes prompts, given to it as
                              the message "system"; NULL is the model's default prompt, an empty text none */
    const ce_text *chat_settings; /* a JSON object of names for the chat template in this call, over those that the
                                     model's files set; the call then reads the template anew, and allocates. NULL is
                                     none. Where no chat template makes prompts it has no effect */
} ce_score_options;

/* Scores pairs.
 *
 * Where a chat template makes prompts of pairs, a prompt is cut at its end, and the tokens that the template puts
 * behind everything are put back there, as the reference does (unless chat_settings say "restore_suffix": false).
 *
 * pairs   [count]; may be NULL if count is 0
 * scores  [count, num_labels], row-major, in input order. On failure its content is unspecified
 *
 * Pairs longer than max_length are cut as the reference does (longest_first) and counted in the
 * report, which is how truncation is never silent; the first one of a call is also logged.
 * Errors: CE_ERR_ARGUMENT, CE_ERR_TEXT, CE_ERR_MEMORY, CE_ERR_CANCELLED, CE_ERR_DEVICE_*. */
CE_API ce_status ce_predict(ce_model *model, const ce_pair *pairs, size_t count, const ce_score_options *options,
                            float *scores, ce_error *error);

/* A document in a ranking. */
typedef struct ce_ranked {
    size_t index; /* of the document in the caller's array */
    float score;
    ce_text document; /* the caller's own text */
} ce_ranked;

/* Ranks documents for a query, best first; equal scores keep the input order; NaN comes last.
 * The model must have one label.
 *
 * documents  [count]; may be NULL if count is 0
 * top_k      how many to return; 0 is all
 * ranked     [min(count, top_k)], owned by the caller
 * ranked_count receives how many were written; may be NULL
 *
 * Errors: those of ce_predict, and CE_ERR_ARGUMENT if the model has several labels. */
CE_API ce_status ce_rank(ce_model *model, ce_text query, const ce_text *documents, size_t count, size_t top_k,
                         const ce_score_options *options, ce_ranked *ranked, size_t *ranked_count, ce_error *error);

/* The token ids of one pair as the model reads them, with its prompt, special tokens and after truncation.
 *
 * options        its prompt, max_length and utf8 are read; NULL is all defaults
 * ids, type_ids  [capacity] each; type_ids may be NULL; both may be NULL if capacity is 0
 * count          receives how many there are, which may exceed capacity
 * truncation     filled if not NULL
 *
 * Errors: CE_ERR_ARGUMENT, CE_ERR_TEXT, CE_ERR_MEMORY. Thread-safe. */
CE_API ce_status ce_tokenize(const ce_model *model, ce_pair pair, const ce_score_options *options, int32_t *ids,
                             int32_t *type_ids, size_t capacity, size_t *count, ce_truncation *truncation,
                             ce_error *error);

#ifdef __cplusplus
}
#endif
#endif
