/* pair.c - tokens of a pair: both halves joined, or the prompt that a chat template makes of them; truncated.
 *
 * All memory is the lane's, so that steady use allocates nothing. */
#include "score/pair.h"

#include "base/error.h"

#include <string.h>

static ce_status fail_part(ce_error *error, ce_status status, const char *part, const ce_error *why) {
    return cei_fail(error, status, "its %s: %s", part, why->message);
}

/* ---- joined -------------------------------------------------------------------------------------------------- */

static bool same_text(ce_text a, ce_text b) {
    return a.size == b.size && (a.data == b.data || a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Pairs of one call often share their query. */
static ce_status read_query(const cei_pair_reading *reading, ce_text query, cei_lane_text *lane, ce_error *error) {
    if (lane->has_cached && same_text(lane->cached, query)) return CE_OK;
    ce_text text = query;
    lane->has_cached = false;
    ce_status status = cei_lane_prompt(lane, reading->prompt, &text, error);
    if (status == CE_OK)
        status = cei_tokenizer_encode(reading->model->tokenizer, text, reading->utf8, &lane->query, error);
    lane->cached = query;
    lane->has_cached = status == CE_OK;
    return status;
}

static ce_status read_joined(const cei_pair_reading *reading, ce_pair pair, cei_lane_text *lane, cei_tokens *tokens,
                             ce_truncation *truncation, ce_error *error) {
    const cei_tokenizer *tokenizer = reading->model->tokenizer;
    const size_t specials = cei_tokenizer_pair_specials(tokenizer);
    size_t query_kept, document_kept;
    ce_error why = {0};
    ce_status status = read_query(reading, pair.query, lane, &why);
    if (status != CE_OK) return fail_part(error, status, "query", &why);
    status = cei_tokenizer_encode(tokenizer, pair.document, reading->utf8, &lane->document, &why);
    if (status != CE_OK) return fail_part(error, status, "document", &why);
    cei_truncate_pair(lane->query.count, lane->document.count, reading->max_length - specials, &query_kept,
                      &document_kept);
    cei_tokenizer_join(tokenizer, lane->query.ids, query_kept, lane->document.ids, document_kept, tokens->ids,
                       tokens->types);
    tokens->count = query_kept + document_kept + specials;
    *truncation = (ce_truncation){lane->query.count, lane->document.count, lane->query.count - query_kept,
                                  lane->document.count - document_kept};
    return CE_OK;
}

/* ---- by a chat template -------------------------------------------------------------------------------------- */

static ce_status read_chat(const cei_pair_reading *reading, ce_pair pair, cei_lane_text *lane, cei_tokens *tokens,
                           ce_truncation *truncation, ce_error *error) {
    const char *part;
    ce_error why = {0};
    ce_status status = cei_chat_encode(reading->chat, reading->model->tokenizer, reading->prompt, pair, reading->utf8,
                                       &lane->chat, &lane->document, &part, &why);
    if (status != CE_OK) return fail_part(error, status, part, &why);
    const size_t found = lane->document.count, kept = cei_min_size(found, reading->max_length);
    if (kept) memcpy(tokens->ids, lane->document.ids, kept * sizeof *tokens->ids);
    memset(tokens->types, 0, kept * sizeof *tokens->types);
    tokens->count = kept;
    *truncation = (ce_truncation){.document_tokens = found, .document_removed = found - kept};
    if (kept == 0) return cei_fail(error, CE_ERR_MODEL, "its prompt is empty: the chat template makes no tokens of it");
    if (kept < reading->max_length) return CE_OK;
    const size_t restored = cei_min_size(reading->suffix_count, kept);
    if (restored)
        memcpy(tokens->ids + kept - restored, reading->suffix + reading->suffix_count - restored,
               restored * sizeof *tokens->ids);
    return CE_OK;
}

/* The model's chat with the settings of a call over its own. */
static ce_status vary_chat(cei_pair_reading *reading, const ce_text *settings, ce_error *error) {
    static const char name[] = "ce_score_options.chat_settings";
    json_t *root = NULL;
    ce_error why = {0};
    ce_status status = cei_text_given(*settings, &why);
    if (status == CE_OK) status = cei_json_parse(settings->data, settings->size, name, &root, &why);
    if (status == CE_OK && !json_is_object(root))
        status = cei_fail(&why, CE_ERR_FORMAT, "%s is %s, and must be an object", name, cei_json_type(root));
    if (status == CE_OK)
        status = cei_chat_vary(reading->chat, reading->model->tokenizer, root, name, &reading->own, &why);
    json_decref(root);
    reading->chat = reading->own;
    if (status == CE_OK) return CE_OK;
    return cei_fail(error, status == CE_ERR_FORMAT ? CE_ERR_ARGUMENT : status, "%s", why.message);
}

/* ---- both ---------------------------------------------------------------------------------------------------- */

ce_status cei_pair_reading_start(const ce_model *model, const ce_score_options *options, cei_lane_text *lane,
                                 cei_pair_reading *reading, ce_error *error) {
    const ce_text usual = ce_text_of(ce_model_prompt(model, model->modules.default_prompt));
    ce_error why = {0};
    *reading = (cei_pair_reading){.model = model,
                                  .prompt = options->prompt ? *options->prompt : usual,
                                  .utf8 = options->utf8,
                                  .max_length = options->max_length,
                                  .chat = model->chat};
    ce_status status = cei_text_given(reading->prompt, &why);
    if (status != CE_OK) return cei_fail(error, status, "the prompt: %s", why.message);
    if (!model->chat) return CE_OK;
    status = options->chat_settings ? vary_chat(reading, options->chat_settings, error) : CE_OK;
    if (status != CE_OK) return status;
    status = cei_text_check(&reading->prompt, options->utf8, &lane->prompt, &why);
    if (status == CE_OK)
        status = cei_chat_suffix(reading->chat, model->tokenizer, reading->prompt, &lane->chat, &lane->query,
                                 &lane->document, &reading->suffix, &reading->suffix_count, &why);
    return status == CE_OK ? CE_OK : cei_fail(error, status, "the prompt: %s", why.message);
}

void cei_pair_reading_end(cei_pair_reading *reading) { cei_chat_free(reading->own); }

ce_status cei_pair_read(const cei_pair_reading *reading, ce_pair pair, cei_lane_text *lane, cei_tokens *tokens,
                        ce_truncation *truncation, ce_error *error) {
    ce_error why = {0};
    ce_status status = cei_text_given(pair.query, &why);
    if (status != CE_OK) return fail_part(error, status, "query", &why);
    status = cei_text_given(pair.document, &why);
    if (status != CE_OK) return fail_part(error, status, "document", &why);
    status = reading->chat ? read_chat(reading, pair, lane, tokens, truncation, error)
                           : read_joined(reading, pair, lane, tokens, truncation, error);
    if (status == CE_OK) tokens->removed = truncation->query_removed + truncation->document_removed;
    return status;
}
