/* encode.c - embeddings of texts: how a text is tokenized behind its prompt, and what is kept of its embedding. */
#include "base/error.h"
#include "base/memory.h"
#include "model/encoder.h"
#include "score/job.h"

#include <math.h>
#include <string.h>

/* What a job of texts knows. */
typedef struct encoding {
    const ce_text *texts;
    const ce_encode_options *options;
    ce_text prompt;
    size_t dimension; /* values that are kept */
    float *embeddings;
} encoding;

/* ---- tokens -------------------------------------------------------------------------------------------------- */

/* The tokens that can be a text's, beside its special ones. */
static size_t room_of(const ce_model *model, const encoding *call) {
    return call->options->max_length - cei_tokenizer_single_specials(model->tokenizer);
}

static ce_status tokenize_text(const cei_job *job, size_t index, cei_lane_text *lane, cei_tokens *tokens,
                               ce_error *error) {
    const encoding *call = job->call;
    const cei_tokenizer *tokenizer = job->model->tokenizer;
    ce_text text = call->texts[index];
    ce_error found = {0};
    ce_status status = cei_text_given(text, &found);
    if (status == CE_OK) status = cei_lane_prompt(lane, call->prompt, &text, &found);
    if (status == CE_OK) status = cei_tokenizer_encode(tokenizer, text, call->options->utf8, &lane->document, &found);
    if (status != CE_OK)
        return cei_fail(error, status, "text %zu%s: %s", index, call->prompt.size ? " behind its prompt" : "",
                        found.message);
    const size_t kept = cei_min_size(lane->document.count, room_of(job->model, call));
    cei_tokenizer_wrap(tokenizer, lane->document.ids, kept, tokens->ids, tokens->types);
    tokens->count = kept + cei_tokenizer_single_specials(tokenizer);
    tokens->removed = lane->document.count - kept;
    return CE_OK;
}

/* The tokens of the prompt, which pooling may leave out: as the reference counts them, those of the prompt alone,
 * truncated, with its special tokens but for a closing one. buffer is lent, and keeps its memory. */
static ce_status count_prompt(const ce_model *model, const encoding *call, cei_token_buffer *buffer, size_t *count,
                              ce_error *error) {
    const cei_tokenizer *tokenizer = model->tokenizer;
    *count = 0;
    if (call->prompt.size == 0) return CE_OK;
    ce_error found = {0};
    ce_status status = cei_tokenizer_encode(tokenizer, call->prompt, call->options->utf8, buffer, &found);
    if (status != CE_OK) return cei_fail(error, status, "the prompt: %s", found.message);
    *count = cei_min_size(buffer->count, room_of(model, call)) + cei_tokenizer_single_specials(tokenizer) -
             (cei_tokenizer_single_closes(tokenizer) ? 1 : 0);
    return CE_OK;
}

/* ---- embeddings ---------------------------------------------------------------------------------------------- */

/* x / max(|x|, 1e-12), as torch.nn.functional.normalize. */
static void normalize(float *x, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (double)x[i] * (double)x[i];
    const double length = sqrt(sum), divisor = length > 1e-12 ? length : 1e-12;
    for (size_t i = 0; i < count; i++) x[i] = (float)((double)x[i] / divisor);
}

static ce_status deliver_embedding(const cei_job *job, const cei_result *result, ce_error *error) {
    const encoding *call = job->call;
    if (call->options->normalize) normalize(result->values, call->dimension);
    if (call->embeddings)
        memcpy(call->embeddings + result->index * call->dimension, result->values,
               call->dimension * sizeof *call->embeddings);
    if (!call->options->each) return CE_OK;
    const ce_encoded encoded = {result->index, result->tokens, result->ids,
                                result->types, result->states, result->values};
    if (call->options->each(call->options->each_user, &encoded)) return CE_OK;
    return cei_fail(error, CE_ERR_CANCELLED, "cancelled at text %zu", result->index);
}

/* ---- calls --------------------------------------------------------------------------------------------------- */

static ce_status check_given(const ce_encode_options *given, ce_error *error) {
    ce_status status = cei_check_struct(given->size, sizeof *given, "ce_encode_options", error);
    if (status != CE_OK) return status;
    if (given->utf8 != CE_UTF8_STRICT && given->utf8 != CE_UTF8_REPLACE)
        return cei_fail(error, CE_ERR_ARGUMENT, "ce_encode_options.utf8 is %d, which is no ce_utf8_policy",
                        (int)given->utf8);
    return given->report ? cei_check_struct(given->report->size, sizeof *given->report, "ce_encode_report", error)
                         : CE_OK;
}

/* Options with their defaults filled in. */
static ce_status check_options(const ce_encoder *encoder, const ce_encode_options *given, ce_encode_options *options,
                               ce_error *error) {
    *options = (ce_encode_options){.size = sizeof *options};
    if (given) {
        ce_status status = check_given(given, error);
        if (status == CE_OK && given->prompt) status = cei_text_given(*given->prompt, error);
        if (status != CE_OK) return status;
        *options = *given;
    }
    return cei_choose_max_length(encoder->model, options->max_length, "ce_encode_options", &options->max_length, error);
}

static ce_text choose_prompt(const ce_encoder *encoder, const ce_encode_options *options) {
    if (options->prompt) return *options->prompt;
    return ce_text_of(ce_encoder_prompt(encoder, encoder->model->modules.default_prompt));
}

static ce_status run(ce_model *model, size_t count, const encoding *call, ce_error *error) {
    const ce_encode_options *options = call->options;
    cei_job job = {.model = model,
                   .unit = "text",
                   .count = count,
                   .call = call,
                   .tokenize = tokenize_text,
                   .deliver = deliver_embedding,
                   .wants_states = options->each,
                   .max_length = options->max_length,
                   .progress = options->progress,
                   .progress_user = options->progress_user};
    const bool needs_prompt = options->report || !model->modules.includes_prompt;
    cei_scratch *scratch = NULL;
    ce_status status = cei_scratch_take(model, count, &scratch, error);
    if (status == CE_OK && needs_prompt)
        status = count_prompt(model, call, &scratch->texts[0].document, &job.prompt, error);
    if (status == CE_OK) status = cei_job_run(&job, scratch, error);
    cei_scratch_give(model, scratch);
    ce_encode_report *report = options->report;
    if (report)
        *report = (ce_encode_report){report->size,  status == CE_OK ? count : 0, job.tokens,
                                     job.truncated, job.first_truncated,         job.prompt};
    return status;
}

ce_status ce_encode(ce_encoder *encoder, const ce_text *texts, size_t count, const ce_encode_options *given,
                    float *embeddings, ce_error *error) {
    if (!encoder) return cei_fail(error, CE_ERR_ARGUMENT, "ce_encode: encoder is NULL");
    ce_encode_options options;
    ce_status status = check_options(encoder, given, &options, error);
    if (status != CE_OK) return status;
    if (count && (!texts || (!embeddings && !options.each)))
        return cei_fail(error, CE_ERR_ARGUMENT, "ce_encode: %s is NULL", texts ? "embeddings" : "texts");
    const encoding call = {.texts = texts,
                           .options = &options,
                           .prompt = choose_prompt(encoder, &options),
                           .dimension = cei_encoder_dimension(encoder, options.truncate_dim),
                           .embeddings = embeddings};
    return run(encoder->model, count, &call, error);
}

/* ---- tokens alone -------------------------------------------------------------------------------------------- */

/* Tokenizes the one text of a call into ids and type ids [max_length]. */
static ce_status tokenize_one(ce_model *model, const encoding *call, cei_tokens *made, ce_text_tokens *tokens,
                              ce_error *error) {
    const cei_job job = {.model = model, .call = call};
    cei_lane_text lane = {0};
    ce_status status = count_prompt(model, call, &lane.document, &tokens->prompt, error);
    if (status == CE_OK) status = tokenize_text(&job, 0, &lane, made, error);
    cei_lane_free(&lane);
    tokens->count = made->count;
    tokens->removed = made->removed;
    return status;
}

ce_status ce_encoder_tokenize(const ce_encoder *encoder, ce_text text, const ce_encode_options *given, int32_t *ids,
                              int32_t *type_ids, size_t capacity, ce_text_tokens *tokens, ce_error *error) {
    if (!encoder || !tokens || (capacity && !ids))
        return cei_fail(error, CE_ERR_ARGUMENT, "ce_encoder_tokenize: %s is NULL",
                        !encoder  ? "encoder"
                        : !tokens ? "tokens"
                                  : "ids");
    ce_encode_options options;
    ce_status status = check_options(encoder, given, &options, error);
    if (status != CE_OK) return status;
    const encoding call = {.texts = &text, .options = &options, .prompt = choose_prompt(encoder, &options)};
    int32_t *room = cei_alloc(2 * options.max_length, sizeof *room);
    if (!room) return cei_fail_memory(error, "token ids", 2 * options.max_length * sizeof *room);
    cei_tokens made = {.ids = room, .types = room + options.max_length};
    *tokens = (ce_text_tokens){0};
    status = tokenize_one(encoder->model, &call, &made, tokens, error);
    const size_t fitting = status == CE_OK ? cei_min_size(made.count, capacity) : 0;
    if (fitting) memcpy(ids, made.ids, fitting * sizeof *ids);
    if (fitting && type_ids) memcpy(type_ids, made.types, fitting * sizeof *type_ids);
    cei_free(room);
    return status;
}
