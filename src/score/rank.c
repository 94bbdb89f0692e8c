/* rank.c - one query, its documents, best first. */
#include "base/error.h"
#include "score/predict.h"

#include <math.h>
#include <string.h>

/* Does a come before b? Higher scores first, NaN last. */
static bool better(float a, float b) { return isnan(b) ? !isnan(a) : a > b; }

/* Sorts 0 .. count - 1 by scores, best first, stable: bottom-up merging, so that nothing is allocated and ties keep
 * the input order. Returns the array, sorted or spare, that holds the result. */
static size_t *sort_by_score(const float *scores, size_t count, size_t *sorted, size_t *spare) {
    for (size_t i = 0; i < count; i++) sorted[i] = i;
    for (size_t width = 1; width<count; width = width> count / 2 ? count : width * 2) {
        for (size_t start = 0; start<count; start = count - start> 2 * width ? start + 2 * width : count) {
            size_t middle = count - start > width ? start + width : count;
            size_t end = count - middle > width ? middle + width : count;
            size_t a = start, b = middle;
            for (size_t out = start; out < end; out++) {
                bool second = a == middle || (b < end && better(scores[sorted[b]], scores[sorted[a]]));
                spare[out] = second ? sorted[b++] : sorted[a++];
            }
        }
        size_t *swap = sorted;
        sorted = spare;
        spare = swap;
    }
    return sorted;
}

static ce_status check_call(const ce_model *model, const ce_text *documents, size_t count, const ce_ranked *ranked,
                            ce_error *error) {
    if (!model) return cei_fail(error, CE_ERR_ARGUMENT, "ce_rank: model is NULL");
    if (count && (!documents || !ranked))
        return cei_fail(error, CE_ERR_ARGUMENT, "ce_rank: %s is NULL", documents ? "ranked" : "documents");
    size_t labels = model->blueprint.network->head.outputs;
    if (labels == 1) return CE_OK;
    return cei_fail(error, CE_ERR_ARGUMENT,
                    "ce_rank needs a model with one label, and %s has %zu; use ce_predict with pairs instead",
                    model->path, labels);
}

ce_status ce_rank(ce_model *model, ce_text query, const ce_text *documents, size_t count, size_t top_k,
                  const ce_score_options *given, ce_ranked *ranked, size_t *ranked_count, ce_error *error) {
    ce_score_options options;
    ce_status status = check_call(model, documents, count, ranked, error);
    if (status == CE_OK) status = cei_score_options_check(model, given, &options, error);
    if (status != CE_OK) return status;
    cei_scratch *scratch = NULL;
    status = cei_scratch_take(model, count, &scratch, error);
    if (status == CE_OK) status = cei_scratch_reserve_ranked(scratch, count, error);
    cei_pairs pairs = {.query = query, .documents = documents, .count = count};
    if (status == CE_OK) status = cei_score_pairs(model, &pairs, &options, scratch, scratch->scores, error);
    if (status == CE_OK) {
        size_t wanted = top_k && top_k < count ? top_k : count;
        const size_t *best = sort_by_score(scratch->scores, count, scratch->sorted, scratch->spare);
        for (size_t i = 0; i < wanted; i++)
            ranked[i] = (ce_ranked){best[i], scratch->scores[best[i]], documents[best[i]]};
        if (ranked_count) *ranked_count = wanted;
    }
    cei_scratch_give(model, scratch);
    return status;
}
