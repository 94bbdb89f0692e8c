/* tokenize.c - the tokens of one pair, for those who want to see what the model reads. */
#include "base/error.h"
#include "base/memory.h"
#include "model/model.h"

#include <crossenc/score.h>

#include <string.h>

/* Copies what fits of the joined pair. */
static ce_status join_into(const ce_model *model, const cei_token_buffer *query, size_t query_kept,
                           const cei_token_buffer *document, size_t document_kept, int32_t *ids, int32_t *type_ids,
                           size_t capacity, ce_error *error) {
    size_t total = query_kept + document_kept + cei_tokenizer_pair_specials(model->tokenizer);
    size_t fitting = total < capacity ? total : capacity;
    int32_t *joined = cei_alloc(2 * total, sizeof *joined);
    if (!joined) return cei_fail_memory(error, "token ids", 2 * total * sizeof *joined);
    cei_tokenizer_join(model->tokenizer, query->ids, query_kept, document->ids, document_kept, joined, joined + total);
    if (ids) memcpy(ids, joined, fitting * sizeof *ids);
    if (type_ids) memcpy(type_ids, joined + total, fitting * sizeof *type_ids);
    cei_free(joined);
    return CE_OK;
}

ce_status ce_tokenize(const ce_model *model, ce_pair pair, ce_utf8_policy utf8, int32_t *ids, int32_t *type_ids,
                      size_t capacity, size_t *count, ce_truncation *truncation, ce_error *error) {
    if (!model || !count) return cei_fail(error, CE_ERR_ARGUMENT, "ce_tokenize: %s is NULL", model ? "count" : "model");
    if (capacity && !ids) return cei_fail(error, CE_ERR_ARGUMENT, "ce_tokenize: ids is NULL, capacity is not 0");
    const cei_tokenizer *tokenizer = model->tokenizer;
    cei_token_buffer query = {0}, document = {0};
    size_t specials = cei_tokenizer_pair_specials(tokenizer), query_kept, document_kept;
    ce_status status = cei_tokenizer_encode(tokenizer, pair.query, utf8, &query, error);
    if (status == CE_OK) status = cei_tokenizer_encode(tokenizer, pair.document, utf8, &document, error);
    if (status != CE_OK) goto done;
    cei_truncate_pair(query.count, document.count, model->blueprint.max_length - specials, &query_kept, &document_kept);
    *count = query_kept + document_kept + specials;
    if (truncation)
        *truncation =
            (ce_truncation){query.count, document.count, query.count - query_kept, document.count - document_kept};
    if (capacity)
        status = join_into(model, &query, query_kept, &document, document_kept, ids, type_ids, capacity, error);
done:
    cei_token_buffer_free(&query);
    cei_token_buffer_free(&document);
    return status;
}
