/* predict.c - scores of pairs: how a pair is tokenized, and how its logits become scores in input order. */
#include "score/predict.h"

#include "base/error.h"
#include "score/pair.h"

#include <string.h>

/* What a job of pairs knows. */
typedef struct scoring {
    const cei_pairs *pairs;
    const ce_score_options *options;
    cei_pair_reading reading;
    float *scores;
} scoring;

static ce_pair pair_at(const cei_pairs *pairs, size_t index) {
    return pairs->pairs ? pairs->pairs[index] : (ce_pair){pairs->query, pairs->documents[index]};
}

/* ---- tokens -------------------------------------------------------------------------------------------------- */

static ce_status tokenize_pair(const cei_job *job, size_t index, cei_lane_text *lane, cei_tokens *tokens,
                               ce_error *error) {
    const scoring *call = job->call;
    ce_truncation cut;
    ce_error why = {0};
    ce_status status = cei_pair_read(&call->reading, pair_at(call->pairs, index), lane, tokens, &cut, &why);
    if (status != CE_OK) return cei_fail(error, status, "pair %zu, %s", index, why.message);
    if (call->options->truncations) call->options->truncations[index] = cut;
    return CE_OK;
}

/* ---- scores -------------------------------------------------------------------------------------------------- */

static ce_status deliver_scores(const cei_job *job, const cei_result *result, ce_error *error) {
    (void)error;
    const scoring *call = job->call;
    const size_t labels = job->model->blueprint.network->head.outputs;
    float *row = call->scores + result->index * labels;
    memcpy(row, result->values, labels * sizeof *row);
    cei_activate(row, labels, call->options->activation, call->options->apply_softmax);
    return CE_OK;
}

ce_status cei_score_pairs(ce_model *model, const cei_pairs *pairs, const ce_score_options *options,
                          cei_scratch *scratch, float *scores, ce_error *error) {
    scoring call = {.pairs = pairs, .options = options, .scores = scores};
    cei_job job = {.model = model,
                   .unit = "pair",
                   .count = pairs->count,
                   .call = &call,
                   .tokenize = tokenize_pair,
                   .deliver = deliver_scores,
                   .max_length = options->max_length,
                   .progress = options->progress,
                   .progress_user = options->progress_user};
    ce_status status = cei_pair_reading_start(model, options, &scratch->prompt, &call.reading, error);
    if (status == CE_OK) status = cei_job_run(&job, scratch, error);
    cei_pair_reading_end(&call.reading);
    ce_score_report *report = options->report;
    if (report)
        *report = (ce_score_report){report->size, status == CE_OK ? job.count : 0, job.tokens, job.truncated,
                                    job.first_truncated};
    return status;
}

static ce_status check_given(const ce_score_options *given, ce_error *error) {
    ce_status status = cei_check_struct(given->size, sizeof *given, "ce_score_options", error);
    if (status != CE_OK) return status;
    if ((unsigned)given->activation > CE_ACTIVATION_SOFTMAX)
        return cei_fail(error, CE_ERR_ARGUMENT, "ce_score_options.activation is %d, which is no ce_activation",
                        (int)given->activation);
    if (given->utf8 != CE_UTF8_STRICT && given->utf8 != CE_UTF8_REPLACE)
        return cei_fail(error, CE_ERR_ARGUMENT, "ce_score_options.utf8 is %d, which is no ce_utf8_policy",
                        (int)given->utf8);
    return given->report ? cei_check_struct(given->report->size, sizeof *given->report, "ce_score_report", error)
                         : CE_OK;
}

ce_status cei_score_options_check(const ce_model *model, const ce_score_options *given, ce_score_options *options,
                                  ce_error *error) {
    *options = (ce_score_options){.size = sizeof *options};
    if (given) {
        ce_status status = check_given(given, error);
        if (status != CE_OK) return status;
        *options = *given;
    }
    if (options->activation == CE_ACTIVATION_DEFAULT) options->activation = model->activation;
    return cei_choose_max_length(model, options->max_length, "ce_score_options", &options->max_length, error);
}

ce_status ce_predict(ce_model *model, const ce_pair *pairs, size_t count, const ce_score_options *given, float *scores,
                     ce_error *error) {
    if (!model) return cei_fail(error, CE_ERR_ARGUMENT, "ce_predict: model is NULL");
    if (count && (!pairs || !scores))
        return cei_fail(error, CE_ERR_ARGUMENT, "ce_predict: %s is NULL", pairs ? "scores" : "pairs");
    ce_score_options options;
    ce_status status = cei_score_options_check(model, given, &options, error);
    if (status != CE_OK) return status;
    cei_scratch *scratch = NULL;
    status = cei_scratch_take(model, count, &scratch, error);
    if (status != CE_OK) return status;
    cei_pairs all = {.pairs = pairs, .count = count};
    static const ce_pair none; /* an array is told from a query by its address */
    if (!pairs) all.pairs = &none;
    status = cei_score_pairs(model, &all, &options, scratch, scores, error);
    cei_scratch_give(model, scratch);
    return status;
}
