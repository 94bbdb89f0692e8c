/* job.c - inputs, token ids, packed batches, values.
 *
 * A job is cut into windows of inputs. A window is tokenized by all threads, sorted by length (so that the inputs of a
 * batch are alike and the longest start first) and cut into batches by token budget. No token is ever padded, and no
 * step's result for an input depends on the other inputs. */
#include "score/job.h"

#include "base/error.h"

#include <string.h>

enum { TOKENIZE_GRAIN = 8 }; /* inputs in a row */

/* One window at work. */
typedef struct window {
    cei_job *job;
    cei_scratch *scratch;
    size_t first, count; /* inputs of the job */
    pthread_mutex_t lock;
    size_t failed; /* the lowest input that failed: the error does not depend on threads */
    ce_status status;
    ce_error error;
} window;

/* ---- tokens -------------------------------------------------------------------------------------------------- */

static void record_failure(window *w, size_t index, ce_status status, const ce_error *error) {
    pthread_mutex_lock(&w->lock);
    if (w->status == CE_OK || index < w->failed) {
        w->failed = index;
        w->status = status;
        w->error = *error;
    }
    pthread_mutex_unlock(&w->lock);
}

static void record_truncation(window *w, size_t index) {
    cei_job *job = w->job;
    pthread_mutex_lock(&w->lock);
    if (job->truncated++ == 0 || index < job->first_truncated) job->first_truncated = index;
    pthread_mutex_unlock(&w->lock);
}

/* Tokenizes the input with number slot of the window. */
static void tokenize(window *w, size_t slot, cei_lane_text *lane) {
    const size_t index = w->first + slot, from = slot * w->job->model->blueprint.max_length;
    cei_tokens tokens = {w->scratch->ids + from, w->scratch->types + from, 0, 0};
    ce_error error = {0};
    ce_status status = w->job->tokenize(w->job, index, lane, &tokens, &error);
    w->scratch->lengths[slot] = (uint32_t)tokens.count;
    if (status != CE_OK) record_failure(w, index, status, &error);
    if (tokens.removed) record_truncation(w, index);
}

/* Lane l of n takes grains l, l + n, l + 2n ... with memory of its own. Lanes are not workers: which thread runs a
 * task is a matter of chance, and memory that fits the texts of a call must fit them when the call is repeated. */
static void tokenize_lane(void *argument, size_t lane, size_t worker) {
    (void)worker;
    window *w = argument;
    size_t step = w->scratch->lanes * TOKENIZE_GRAIN;
    for (size_t first = lane * TOKENIZE_GRAIN; first < w->count; first += step)
        for (size_t slot = first; slot < first + TOKENIZE_GRAIN && slot < w->count; slot++)
            tokenize(w, slot, &w->scratch->texts[lane]);
}

/* ---- batches ------------------------------------------------------------------------------------------------- */

/* Longest first; inputs of one length in their order. A counting sort: lengths are at most max_length. */
static void sort_by_length(const window *w) {
    cei_scratch *scratch = w->scratch;
    size_t limit = w->job->model->blueprint.max_length;
    uint32_t *tally = scratch->tally;
    memset(tally, 0, (limit + 2) * sizeof *tally);
    for (size_t i = 0; i < w->count; i++) tally[limit - scratch->lengths[i] + 1]++;
    for (size_t i = 1; i <= limit; i++) tally[i] += tally[i - 1];
    for (size_t i = 0; i < w->count; i++) scratch->order[tally[limit - scratch->lengths[i]]++] = (uint32_t)i;
}

/* Packs inputs order[first ..] into a batch as far as the budgets reach; at least one. */
static cei_batch pack_batch(const window *w, size_t first) {
    const cei_blueprint *blueprint = &w->job->model->blueprint;
    cei_scratch *scratch = w->scratch;
    cei_batch batch = {.ids = scratch->batch_ids,
                       .types = scratch->batch_types,
                       .positions = scratch->batch_positions,
                       .offsets = scratch->offsets,
                       .prompt = w->job->prompt};
    scratch->offsets[0] = 0;
    while (first + batch.sequences < w->count && batch.sequences < blueprint->batch_sequences) {
        size_t slot = scratch->order[first + batch.sequences], length = scratch->lengths[slot];
        if (batch.tokens + length > blueprint->batch_tokens) break;
        size_t from = slot * blueprint->max_length;
        memcpy(scratch->batch_ids + batch.tokens, scratch->ids + from, length * sizeof(int32_t));
        memcpy(scratch->batch_types + batch.tokens, scratch->types + from, length * sizeof(int32_t));
        cei_network_positions(blueprint->network, scratch->ids + from, length, scratch->batch_positions + batch.tokens);
        if (length > batch.longest) batch.longest = length;
        batch.tokens += length;
        scratch->offsets[++batch.sequences] = (int32_t)batch.tokens;
    }
    return batch;
}

static ce_status deliver(const window *w, size_t first, const cei_batch *batch, ce_error *error) {
    const cei_network *network = w->job->model->blueprint.network;
    const cei_scratch *scratch = w->scratch;
    ce_status status = CE_OK;
    for (size_t s = 0; s < batch->sequences && status == CE_OK; s++) {
        const size_t from = (size_t)batch->offsets[s];
        const cei_result result = {
            .index = w->first + scratch->order[first + s],
            .values = scratch->values + s * network->head.outputs,
            .tokens = (size_t)batch->offsets[s + 1] - from,
            .ids = batch->ids + from,
            .types = batch->types + from,
            .states = w->job->wants_states ? scratch->states + from * network->hidden : NULL,
        };
        status = w->job->deliver(w->job, &result, error);
    }
    return status;
}

static ce_status report_progress(const window *w, size_t done, ce_error *error) {
    const cei_job *job = w->job;
    if (!job->progress || job->progress(job->progress_user, w->first + done, job->count)) return CE_OK;
    return cei_fail(error, CE_ERR_CANCELLED, "cancelled after %zu of %zu %ss", w->first + done, job->count, job->unit);
}

static ce_status run_batches(const window *w, cei_placement *placement, cei_context *context, ce_error *error) {
    ce_status status = CE_OK;
    for (size_t first = 0; first < w->count && status == CE_OK;) {
        const cei_batch batch = pack_batch(w, first);
        const cei_run run = {.network = w->job->model->blueprint.network,
                             .weights = placement->weights,
                             .derived = placement->derived,
                             .batch = &batch,
                             .stream = context->stream,
                             .workspace = context->workspace,
                             .values = w->scratch->values,
                             .states = w->job->wants_states ? w->scratch->states : NULL};
        status = cei_network_run(&run, error);
        if (status == CE_OK) status = deliver(w, first, &batch, error);
        if (status != CE_OK) break;
        first += batch.sequences;
        w->job->tokens += batch.tokens;
        status = report_progress(w, first, error);
    }
    return status;
}

/* ---- jobs ---------------------------------------------------------------------------------------------------- */

static ce_status run_window(window *w, cei_placement *placement, cei_context *context, ce_error *error) {
    cei_pool_run(w->job->model->blueprint.pool, w->scratch->lanes, tokenize_lane, w);
    if (w->status != CE_OK) {
        if (error) *error = w->error;
        return w->status;
    }
    sort_by_length(w);
    return run_batches(w, placement, context, error);
}

static void log_truncation(const cei_job *job) {
    if (!job->truncated) return;
    cei_log_line(&job->model->blueprint.log, CE_LOG_WARNING,
                 "%llu of %zu %ss were truncated to %zu tokens, the first of them %s %llu",
                 (unsigned long long)job->truncated, job->count, job->unit, job->max_length, job->unit,
                 (unsigned long long)job->first_truncated);
}

ce_status cei_choose_max_length(const ce_model *model, size_t asked, const char *type, size_t *max_length,
                                ce_error *error) {
    const size_t most = model->blueprint.max_length, least = cei_model_specials(model);
    *max_length = asked ? asked : most;
    if (*max_length >= least && *max_length <= most) return CE_OK;
    return cei_fail(error, CE_ERR_ARGUMENT,
                    "%s.max_length is %zu, and must be from %zu, the special tokens alone, to %zu, which the model was "
                    "loaded with",
                    type, asked, least, most);
}

ce_status cei_job_run(cei_job *job, cei_scratch *scratch, ce_error *error) {
    cei_placement *placement = NULL;
    cei_context *context = NULL;
    ce_status status = cei_model_acquire(job->model, &placement, error);
    if (status != CE_OK) return status;
    status = cei_context_take(placement, &context, error);
    window w = {.job = job, .scratch = scratch};
    pthread_mutex_init(&w.lock, NULL);
    while (status == CE_OK && w.first < job->count) {
        size_t left = job->count - w.first;
        w.count = left < scratch->window ? left : scratch->window;
        status = run_window(&w, placement, context, error);
        w.first += w.count;
    }
    if (status == CE_OK) log_truncation(job);
    pthread_mutex_destroy(&w.lock);
    cei_context_give(placement, context);
    cei_model_release(job->model, placement, status);
    return status;
}
