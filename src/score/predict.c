/* predict.c - the way of a score: texts, token ids, packed batches, logits, scores in input order.
 *
 * A call is cut into windows of pairs. A window is tokenized by all threads, sorted by length (so that the pairs of a
 * batch are alike and the longest start first) and cut into batches by token budget. No token is ever padded, and no
 * step's result for a pair depends on the other pairs. */
#include "score/predict.h"

#include "base/error.h"

#include <string.h>

enum { TOKENIZE_GRAIN = 8 }; /* pairs in a row */

/* One window at work. */
typedef struct window {
    ce_model *model;
    const cei_pairs *pairs;
    const ce_score_options *options;
    cei_scratch *scratch;
    size_t first, count; /* pairs of the call */
    pthread_mutex_t lock;
    size_t failed; /* the lowest pair that failed: the error does not depend on threads */
    ce_status status;
    ce_error error;
    uint64_t truncated, first_truncated;
} window;

static ce_pair pair_at(const cei_pairs *pairs, size_t index) {
    return pairs->pairs ? pairs->pairs[index] : (ce_pair){pairs->query, pairs->documents[index]};
}

/* ---- tokens -------------------------------------------------------------------------------------------------- */

static bool same_text(ce_text a, ce_text b) {
    return a.size == b.size && (a.data == b.data || a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static ce_status encode_query(const window *w, cei_lane_text *lane, ce_text query, ce_error *error) {
    if (lane->has_cached && same_text(lane->cached, query)) return CE_OK;
    lane->has_cached = false;
    ce_status status = cei_tokenizer_encode(w->model->tokenizer, query, w->options->utf8, &lane->query, error);
    lane->cached = query;
    lane->has_cached = status == CE_OK;
    return status;
}

static void record_failure(window *w, size_t pair, const char *which, ce_status status, const ce_error *error) {
    pthread_mutex_lock(&w->lock);
    if (w->status == CE_OK || pair < w->failed) {
        w->failed = pair;
        w->status = status;
        cei_fail(&w->error, status, "pair %zu, its %s: %s", pair, which, error->message);
    }
    pthread_mutex_unlock(&w->lock);
}

static void record_truncation(window *w, size_t pair, const ce_truncation *cut) {
    if (w->options->truncations) w->options->truncations[pair] = *cut;
    if (cut->query_removed + cut->document_removed == 0) return;
    pthread_mutex_lock(&w->lock);
    if (w->truncated++ == 0 || pair < w->first_truncated) w->first_truncated = pair;
    pthread_mutex_unlock(&w->lock);
}

/* Tokenizes, truncates and joins the pair with number slot of the window. */
static void encode_pair(window *w, size_t slot, cei_lane_text *lane) {
    const cei_tokenizer *tokenizer = w->model->tokenizer;
    size_t limit = w->model->blueprint.max_length, specials = cei_tokenizer_pair_specials(tokenizer);
    size_t index = w->first + slot;
    ce_pair pair = pair_at(w->pairs, index);
    ce_error error = {0};
    ce_status status = encode_query(w, lane, pair.query, &error);
    if (status != CE_OK) {
        record_failure(w, index, "query", status, &error);
        return;
    }
    status = cei_tokenizer_encode(tokenizer, pair.document, w->options->utf8, &lane->document, &error);
    if (status != CE_OK) {
        record_failure(w, index, "document", status, &error);
        return;
    }
    size_t query_kept, document_kept;
    cei_truncate_pair(lane->query.count, lane->document.count, limit - specials, &query_kept, &document_kept);
    cei_tokenizer_join(tokenizer, lane->query.ids, query_kept, lane->document.ids, document_kept,
                       w->scratch->ids + slot * limit, w->scratch->types + slot * limit);
    w->scratch->lengths[slot] = (uint32_t)(query_kept + document_kept + specials);
    ce_truncation cut = {lane->query.count, lane->document.count, lane->query.count - query_kept,
                         lane->document.count - document_kept};
    record_truncation(w, index, &cut);
}

/* Lane l of n takes grains l, l + n, l + 2n ... with memory of its own. Lanes are not workers: which thread runs a
 * task is a matter of chance, and memory that fits the texts of a call must fit them when the call is repeated. */
static void encode_lane(void *argument, size_t lane, size_t worker) {
    (void)worker;
    window *w = argument;
    size_t step = w->scratch->lanes * TOKENIZE_GRAIN;
    for (size_t first = lane * TOKENIZE_GRAIN; first < w->count; first += step)
        for (size_t slot = first; slot < first + TOKENIZE_GRAIN && slot < w->count; slot++)
            encode_pair(w, slot, &w->scratch->texts[lane]);
}

/* ---- batches ------------------------------------------------------------------------------------------------- */

/* Longest first; pairs of one length in input order. A counting sort: lengths are at most max_length. */
static void sort_by_length(const window *w) {
    cei_scratch *scratch = w->scratch;
    size_t limit = w->model->blueprint.max_length;
    uint32_t *tally = scratch->tally;
    memset(tally, 0, (limit + 2) * sizeof *tally);
    for (size_t i = 0; i < w->count; i++) tally[limit - scratch->lengths[i] + 1]++;
    for (size_t i = 1; i <= limit; i++) tally[i] += tally[i - 1];
    for (size_t i = 0; i < w->count; i++) scratch->order[tally[limit - scratch->lengths[i]]++] = (uint32_t)i;
}

/* Packs pairs order[first ..] into a batch as far as the budgets reach; at least one. */
static cei_batch pack_batch(const window *w, size_t first) {
    const cei_blueprint *blueprint = &w->model->blueprint;
    cei_scratch *scratch = w->scratch;
    cei_batch batch = {0, 0, 0, scratch->batch_ids, scratch->batch_types, scratch->batch_positions, scratch->offsets};
    scratch->offsets[0] = 0;
    while (first + batch.sequences < w->count && batch.sequences < blueprint->batch_sequences) {
        size_t slot = scratch->order[first + batch.sequences], length = scratch->lengths[slot];
        if (batch.tokens + length > blueprint->batch_tokens) break;
        size_t from = slot * blueprint->max_length;
        memcpy(scratch->batch_ids + batch.tokens, scratch->ids + from, length * sizeof(int32_t));
        memcpy(scratch->batch_types + batch.tokens, scratch->types + from, length * sizeof(int32_t));
        for (size_t i = 0; i < length; i++) scratch->batch_positions[batch.tokens + i] = (int32_t)i;
        if (length > batch.longest) batch.longest = length;
        batch.tokens += length;
        scratch->offsets[++batch.sequences] = (int32_t)batch.tokens;
    }
    return batch;
}

static void deliver(const window *w, size_t first, size_t sequences, float *scores) {
    size_t labels = w->model->blueprint.network->labels;
    for (size_t s = 0; s < sequences; s++) {
        float *row = scores + (w->first + w->scratch->order[first + s]) * labels;
        memcpy(row, w->scratch->logits + s * labels, labels * sizeof *row);
        cei_activate(row, labels, w->options->activation, w->options->apply_softmax);
    }
}

static ce_status report_progress(const window *w, size_t done, ce_error *error) {
    const ce_score_options *options = w->options;
    if (!options->progress || options->progress(options->progress_user, w->first + done, w->pairs->count)) return CE_OK;
    return cei_fail(error, CE_ERR_CANCELLED, "cancelled after %zu of %zu pairs", w->first + done, w->pairs->count);
}

static ce_status run_batches(const window *w, cei_placement *placement, cei_context *context, float *scores,
                             ce_error *error) {
    const cei_network *network = w->model->blueprint.network;
    ce_status status = CE_OK;
    for (size_t first = 0; first < w->count && status == CE_OK;) {
        cei_batch batch = pack_batch(w, first);
        status = network->architecture->forward(network, placement->weights, &batch, context->stream,
                                                context->workspace, w->scratch->logits, error);
        if (status != CE_OK) break;
        deliver(w, first, batch.sequences, scores);
        first += batch.sequences;
        if (w->options->report) w->options->report->tokens += batch.tokens;
        status = report_progress(w, first, error);
    }
    return status;
}

/* ---- calls --------------------------------------------------------------------------------------------------- */

static ce_status run_window(window *w, cei_placement *placement, cei_context *context, float *scores, ce_error *error) {
    cei_pool *pool = w->model->blueprint.pool;
    cei_pool_run(pool, w->scratch->lanes, encode_lane, w);
    if (w->status != CE_OK) {
        if (error) *error = w->error;
        return w->status;
    }
    sort_by_length(w);
    return run_batches(w, placement, context, scores, error);
}

static void finish_report(const window *w) {
    ce_score_report *report = w->options->report;
    if (report) {
        report->pairs = w->pairs->count;
        report->truncated = w->truncated;
        report->first_truncated = w->first_truncated;
    }
    if (w->truncated)
        cei_log_line(&w->model->blueprint.log, CE_LOG_WARNING,
                     "%llu of %zu pairs were truncated to %zu tokens, the first of them pair %llu",
                     (unsigned long long)w->truncated, w->pairs->count, w->model->blueprint.max_length,
                     (unsigned long long)w->first_truncated);
}

ce_status cei_score_pairs(ce_model *model, const cei_pairs *pairs, const ce_score_options *options,
                          cei_scratch *scratch, float *scores, ce_error *error) {
    cei_placement *placement = NULL;
    cei_context *context = NULL;
    ce_status status = cei_model_acquire(model, &placement, error);
    if (status != CE_OK) return status;
    status = cei_context_take(placement, &context, error);
    window w = {.model = model, .pairs = pairs, .options = options, .scratch = scratch};
    pthread_mutex_init(&w.lock, NULL);
    if (options->report) *options->report = (ce_score_report){.size = options->report->size};
    while (status == CE_OK && w.first < pairs->count) {
        size_t left = pairs->count - w.first;
        w.count = left < scratch->window ? left : scratch->window;
        status = run_window(&w, placement, context, scores, error);
        w.first += w.count;
    }
    if (status == CE_OK) finish_report(&w);
    pthread_mutex_destroy(&w.lock);
    cei_context_give(placement, context);
    cei_model_release(model, placement, status);
    return status;
}

ce_status cei_score_options_check(const ce_score_options *given, ce_score_options *options, ce_error *error) {
    *options = (ce_score_options){.size = sizeof *options};
    if (!given) return CE_OK;
    ce_status status = cei_check_struct(given->size, sizeof *given, "ce_score_options", error);
    if (status != CE_OK) return status;
    if ((unsigned)given->activation > CE_ACTIVATION_SOFTMAX)
        return cei_fail(error, CE_ERR_ARGUMENT, "ce_score_options.activation is %d, which is no ce_activation",
                        (int)given->activation);
    if (given->utf8 != CE_UTF8_STRICT && given->utf8 != CE_UTF8_REPLACE)
        return cei_fail(error, CE_ERR_ARGUMENT, "ce_score_options.utf8 is %d, which is no ce_utf8_policy",
                        (int)given->utf8);
    if (given->report) status = cei_check_struct(given->report->size, sizeof *given->report, "ce_score_report", error);
    *options = *given;
    return status;
}

ce_status ce_predict(ce_model *model, const ce_pair *pairs, size_t count, const ce_score_options *given, float *scores,
                     ce_error *error) {
    if (!model) return cei_fail(error, CE_ERR_ARGUMENT, "ce_predict: model is NULL");
    if (count && (!pairs || !scores))
        return cei_fail(error, CE_ERR_ARGUMENT, "ce_predict: %s is NULL", pairs ? "scores" : "pairs");
    ce_score_options options;
    ce_status status = cei_score_options_check(given, &options, error);
    if (status != CE_OK) return status;
    if (options.activation == CE_ACTIVATION_DEFAULT) options.activation = model->activation;
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
