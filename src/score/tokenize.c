/* tokenize.c - the tokens of one pair, for those who want to see what the model reads. */
#include "base/error.h"
#include "base/memory.h"
#include "score/pair.h"
#include "score/predict.h"

#include <string.h>

static ce_status read_one(const ce_model *model, ce_pair pair, const ce_score_options *options, cei_tokens *tokens,
                          ce_truncation *truncation, ce_error *error) {
    cei_lane_text prompt = {0}, lane = {0};
    cei_pair_reading reading;
    ce_error why = {0};
    ce_status status = cei_pair_reading_start(model, options, &prompt, &reading, error);
    if (status == CE_OK) {
        status = cei_pair_read(&reading, pair, &lane, tokens, truncation, &why);
        if (status != CE_OK) status = cei_fail(error, status, "the pair, %s", why.message);
    }
    cei_pair_reading_end(&reading);
    cei_lane_free(&prompt);
    cei_lane_free(&lane);
    return status;
}

ce_status ce_tokenize(const ce_model *model, ce_pair pair, const ce_score_options *given, int32_t *ids,
                      int32_t *type_ids, size_t capacity, size_t *count, ce_truncation *truncation, ce_error *error) {
    if (!model || !count) return cei_fail(error, CE_ERR_ARGUMENT, "ce_tokenize: %s is NULL", model ? "count" : "model");
    if (capacity && !ids) return cei_fail(error, CE_ERR_ARGUMENT, "ce_tokenize: ids is NULL, capacity is not 0");
    ce_score_options options;
    ce_truncation cut = {0};
    ce_status status = cei_score_options_check(model, given, &options, error);
    if (status != CE_OK) return status;
    int32_t *room = cei_alloc(2 * options.max_length, sizeof *room);
    if (!room) return cei_fail_memory(error, "token ids", 2 * options.max_length * sizeof *room);
    cei_tokens made = {.ids = room, .types = room + options.max_length};
    status = read_one(model, pair, &options, &made, &cut, error);
    const size_t fitting = status == CE_OK ? cei_min_size(made.count, capacity) : 0;
    if (fitting) memcpy(ids, made.ids, fitting * sizeof *ids);
    if (fitting && type_ids) memcpy(type_ids, made.types, fitting * sizeof *type_ids);
    if (status == CE_OK) *count = made.count;
    if (status == CE_OK && truncation) *truncation = cut;
    cei_free(room);
    return status;
}
