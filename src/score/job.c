/* job.c - inputs, token ids, packed batches, values.
 *
 * A job is cut into windows of inputs. A window is tokenized by all threads, sorted by length (so that the inputs of a
 * batch are alike and the longest start first) and cut into batches by token budget. No token is ever padded, and no
 * step's result for an input depends on the other inputs, nor on which of several devices its batch went to. While
 * devices that compute by themselves have a window's batches, the next window is tokenized. */
#include "score/job.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdatomic.h>
#include <string.h>

enum { TOKENIZE_GRAIN = 8 }; /* inputs in a row */

/* One window at work. */
typedef struct window {
    cei_job *job;
    cei_scratch *scratch;
    const cei_tray *tray;              /* its tokens, in scratch */
    const cei_held *held;              /* the devices */
    size_t lanes;                      /* of the one device, where a thread each computes its batches; else 0 */
    cei_context *lane[CEI_MOST_ROOMS]; /* the last is a context like any other's */
    size_t first, count;               /* inputs of the job */
    pthread_mutex_t lock;
    size_t failed; /* the lowest input that failed: the error does not depend on threads */
    size_t taken;  /* inputs that are in batches */
    size_t done;   /* inputs whose values were delivered */
    size_t told;   /* of them, those that were reported as progress */
    ce_status status;
    ce_error error;
    bool lost[CE_MOST_DEVICES]; /* [held->count] devices that went away */
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

/* Several lanes of a device may find that it went away. */
static void record_loss(window *w, size_t at) {
    pthread_mutex_lock(&w->lock);
    w->lost[at] = true;
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
    cei_tokens tokens = {w->tray->ids + from, w->tray->types + from, 0, 0};
    ce_error error = {0};
    ce_status status = w->job->tokenize(w->job, index, lane, &tokens, &error);
    w->tray->lengths[slot] = (uint32_t)tokens.count;
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
    const cei_tray *tray = w->tray;
    size_t limit = w->job->model->blueprint.max_length;
    uint32_t *tally = w->scratch->tally;
    memset(tally, 0, (limit + 2) * sizeof *tally);
    for (size_t i = 0; i < w->count; i++) tally[limit - tray->lengths[i] + 1]++;
    for (size_t i = 1; i <= limit; i++) tally[i] += tally[i - 1];
    for (size_t i = 0; i < w->count; i++) tray->order[tally[limit - tray->lengths[i]]++] = (uint32_t)i;
}

/* A batch of inputs order[first ..] of the window. */
typedef struct batch_plan {
    size_t first, sequences, tokens;
} batch_plan;

/* Takes the next inputs as far as a device's budget reaches; at least one. False: there is none, or a batch has failed.
 */
static bool take_batch(window *w, const cei_budget *batch, batch_plan *plan) {
    const cei_tray *tray = w->tray;
    pthread_mutex_lock(&w->lock);
    *plan = (batch_plan){.first = w->taken};
    while (w->status == CE_OK && w->taken < w->count && plan->sequences < batch->sequences) {
        const size_t length = tray->lengths[tray->order[w->taken]];
        if (plan->tokens + length > batch->tokens) break;
        plan->tokens += length;
        plan->sequences++;
        w->taken++;
    }
    pthread_mutex_unlock(&w->lock);
    return plan->sequences > 0;
}

static cei_batch pack_batch(const window *w, const batch_plan *plan, const cei_room *room) {
    const cei_blueprint *blueprint = &w->job->model->blueprint;
    const cei_tray *tray = w->tray;
    cei_batch batch = {.ids = room->ids,
                       .types = room->types,
                       .positions = room->positions,
                       .offsets = room->offsets,
                       .prompt = w->job->prompt};
    room->offsets[0] = 0;
    while (batch.sequences < plan->sequences) {
        size_t slot = tray->order[plan->first + batch.sequences], length = tray->lengths[slot];
        size_t from = slot * blueprint->max_length;
        memcpy(room->ids + batch.tokens, tray->ids + from, length * sizeof(int32_t));
        memcpy(room->types + batch.tokens, tray->types + from, length * sizeof(int32_t));
        cei_network_positions(blueprint->network, tray->ids + from, length, room->positions + batch.tokens);
        if (length > batch.longest) batch.longest = length;
        batch.tokens += length;
        room->offsets[++batch.sequences] = (int32_t)batch.tokens;
    }
    return batch;
}

static ce_status deliver(const window *w, size_t first, const cei_batch *batch, const cei_room *room, ce_error *error) {
    const cei_network *network = w->job->model->blueprint.network;
    ce_status status = CE_OK;
    for (size_t s = 0; s < batch->sequences && status == CE_OK; s++) {
        const size_t from = (size_t)batch->offsets[s];
        const cei_result result = {
            .index = w->first + w->tray->order[first + s],
            .values = room->values + s * network->head.outputs,
            .tokens = (size_t)batch->offsets[s + 1] - from,
            .ids = batch->ids + from,
            .types = batch->types + from,
            .states = w->job->wants_states ? room->states + from * network->hidden : NULL,
        };
        status = w->job->deliver(w->job, &result, error);
    }
    return status;
}

/* Called by the thread that runs the job. */
static ce_status report_progress(window *w, ce_error *error) {
    const cei_job *job = w->job;
    pthread_mutex_lock(&w->lock);
    const bool is_new = w->done > w->told;
    w->told = w->done;
    pthread_mutex_unlock(&w->lock);
    const size_t done = w->first + w->told;
    if (!is_new || !job->progress || job->progress(job->progress_user, done, job->count)) return CE_OK;
    return cei_fail(error, CE_ERR_CANCELLED, "cancelled after %zu of %zu %ss", done, job->count, job->unit);
}

static ce_status run_batch(window *w, const batch_plan *plan, const cei_room *room, cei_placement *replica,
                           cei_context *context, ce_error *error) {
    const cei_batch batch = pack_batch(w, plan, room);
    const cei_run run = {.network = w->job->model->blueprint.network,
                         .weights = replica->weights,
                         .derived = replica->derived,
                         .batch = &batch,
                         .stream = context->stream,
                         .workspace = context->workspace,
                         .values = room->values,
                         .states = w->job->wants_states ? room->states : NULL};
    ce_status status = cei_network_run(&run, error);
    if (status == CE_OK) status = deliver(w, plan->first, &batch, room, error);
    if (status != CE_OK) return status;
    pthread_mutex_lock(&w->lock);
    w->done += plan->sequences;
    w->job->tokens += plan->tokens;
    pthread_mutex_unlock(&w->lock);
    return CE_OK;
}

static ce_status take_context(const window *w, size_t turn, cei_placement *replica, cei_context **context,
                              ce_error *error) {
    if (!w->lanes) return cei_context_take(replica, context, error);
    *context = w->lane[turn];
    return CE_OK;
}

/* Batch after batch on one device, or one lane of it, until there is none left for it. Worker 0 is the thread that runs
 * the job. */
static void run_batches(void *argument, size_t turn, size_t worker) {
    window *w = argument;
    const size_t at = (w->held->first + turn) % w->held->count;
    cei_placement *replica = w->held->replicas[at];
    const cei_budget *batch = w->lanes ? &replica->lane_batch : &replica->batch;
    cei_context *context = NULL;
    batch_plan plan;
    ce_error error = {0};
    if (!take_batch(w, batch, &plan)) return;
    ce_status status = take_context(w, turn, replica, &context, &error);
    do {
        if (status == CE_OK) status = run_batch(w, &plan, &w->scratch->rooms[turn], replica, context, &error);
        if (status == CE_OK && worker == 0) status = report_progress(w, &error);
    } while (status == CE_OK && take_batch(w, batch, &plan));
    if (!w->lanes) cei_context_give(replica, context);
    if (status != CE_OK) record_failure(w, w->first + plan.first, status, &error);
    if (status == CE_ERR_DEVICE_LOST) record_loss(w, at);
}

/* ---- jobs ---------------------------------------------------------------------------------------------------- */

/* The first failure of tokens or batches. */
static ce_status fail_window(const window *w, ce_error *error) {
    if (w->status != CE_OK && error) *error = w->error;
    return w->status;
}

/* The window that begins with input first, if there is one. */
static void open_window(window *w, size_t first) {
    w->first = first;
    w->count = cei_min_size(w->job->count - first, w->tray->window);
    w->failed = w->taken = w->done = w->told = 0;
    w->status = CE_OK;
}

static void tokenize_window(window *w) {
    cei_pool_run(w->job->model->blueprint.pool, w->scratch->lanes, tokenize_lane, w);
    if (w->status == CE_OK) sort_by_length(w);
}

/* What goes on at the same time, a role each: a device's batches, and the tokens of the next window. */
typedef struct roles {
    window *now, *next;                  /* next may be NULL */
    size_t devices;                      /* or lanes of one */
    atomic_size_t from_first, from_last; /* taken of them: devices from the first on, then next; and backwards */
} roles;

/* The thread that runs the job is a device's as long as there is one, for it reports progress. */
static void take_role(void *argument, size_t task, size_t worker) {
    (void)task;
    roles *r = argument;
    const size_t last = r->devices - (r->next == NULL);
    const size_t role = worker == 0 ? atomic_fetch_add(&r->from_first, 1) : last - atomic_fetch_add(&r->from_last, 1);
    if (role < r->devices)
        run_batches(r->now, role, worker);
    else
        tokenize_window(r->next);
}

/* A device that computes on the pool's threads shares out each operation of a batch among them, and they wait for each
 * other at its end, and for rows that others have just written. Where there are batches enough, each thread computes
 * its own instead. */
enum { BATCHES_OF_LANE = 4 };

/* Takes the device's lanes if that pays, with room for their batches. Without them all goes the other way. */
static void take_lanes(window *w) {
    const cei_job *job = w->job;
    cei_placement *replica = w->held->replicas[0];
    const size_t threads = cei_pool_size(job->model->blueprint.pool);
    size_t tokens = 0;
    if (w->held->count > 1 || w->held->crew || job->wants_states || threads > CEI_MOST_ROOMS) return;
    for (size_t i = 0; i < w->count; i++) tokens += w->tray->lengths[i];
    if (tokens < BATCHES_OF_LANE * threads * replica->lane_batch.tokens) return;
    /* Room first: a call that finds the lanes taken has it for its next. */
    if (cei_scratch_reserve_rooms(job->model, w->scratch, &replica->lane_batch, threads, NULL) != CE_OK) return;
    for (cei_context *next = cei_lanes_take(replica); next; next = next->next) w->lane[w->lanes++] = next;
    if (!w->lanes) return;
    /* Now, and not by the thread that will have it: whether that finds a batch is a matter of chance. */
    if (cei_context_take(replica, &w->lane[w->lanes], NULL) == CE_OK) {
        w->lanes++;
        return;
    }
    cei_lanes_give(replica, w->lane[0]);
    w->lanes = 0;
}

static void give_lanes(window *w) {
    cei_placement *replica = w->held->replicas[0];
    if (!w->lanes) return;
    cei_context_give(replica, w->lane[w->lanes - 1]);
    cei_lanes_give(replica, w->lane[0]);
    w->lanes = 0;
}

/* Batches go to whichever device is free. Tokens of each text are given to the caller by its own thread, which is why
 * such a job has one device, and nothing else goes on. */
static ce_status run_devices(window *w, window *next, ce_error *error) {
    cei_pool *pool = w->job->model->blueprint.pool;
    roles r = {.now = w, .next = next, .devices = w->job->wants_states ? 1 : w->held->count};
    take_lanes(w);
    if (w->lanes) r.devices = w->lanes;
    const size_t count = r.devices + (next != NULL);
    if (count == 1)
        run_batches(w, 0, 0);
    else
        cei_pool_run(w->lanes ? pool : w->held->crew, count, take_role, &r);
    give_lanes(w);
    for (size_t i = 0; i < w->held->count; i++)
        if (w->lost[i]) cei_model_lose(w->job->model, w->held->replicas[i]);
    ce_status status = fail_window(w, error);
    return status == CE_OK ? report_progress(w, error) : status; /* of what other threads did last */
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

/* Room for it is room for a batch of any of the devices: they are of one kind, but need not be alike. */
static cei_budget largest_batch(const cei_held *held) {
    cei_budget most = held->replicas[0]->batch;
    for (size_t i = 1; i < held->count; i++) {
        most.tokens = cei_max_size(most.tokens, held->replicas[i]->batch.tokens);
        most.sequences = cei_max_size(most.sequences, held->replicas[i]->batch.sequences);
    }
    return most;
}

/* Window after window; where there are two, one's tokens are made while the devices have the other's batches. */
static ce_status run_windows(window *w, window *spare, ce_error *error) {
    open_window(w, 0);
    tokenize_window(w);
    ce_status status = fail_window(w, error);
    while (status == CE_OK && w->count) {
        const size_t end = w->first + w->count;
        if (spare) {
            open_window(spare, end);
            status = run_devices(w, spare->count ? spare : NULL, error);
            window *done = w;
            w = spare;
            spare = done;
        } else {
            status = run_devices(w, NULL, error);
            if (status != CE_OK) break;
            open_window(w, end);
            tokenize_window(w);
        }
        if (status == CE_OK) status = fail_window(w, error);
    }
    return status;
}

/* Devices that compute by themselves leave the threads of the pool to the next window, if there is one. */
static bool overlaps(const cei_job *job, const cei_scratch *scratch, const cei_held *held) {
    return held->crew && !job->wants_states && job->count > scratch->trays[0].window;
}

ce_status cei_job_run(cei_job *job, cei_scratch *scratch, ce_error *error) {
    cei_held held;
    ce_status status = cei_model_acquire(job->model, &held, error);
    if (status != CE_OK) return status;
    const cei_budget batch = largest_batch(&held);
    const bool has_next = overlaps(job, scratch, &held);
    status = cei_scratch_reserve_rooms(job->model, scratch, &batch, held.count, error);
    if (status == CE_OK && job->wants_states) status = cei_scratch_reserve_states(job->model, scratch, error);
    if (status == CE_OK && has_next) status = cei_scratch_reserve_next(job->model, scratch, error);
    window windows[2];
    for (size_t i = 0; i < 2; i++) {
        windows[i] = (window){.job = job, .scratch = scratch, .tray = &scratch->trays[i], .held = &held};
        pthread_mutex_init(&windows[i].lock, NULL);
    }
    if (status == CE_OK) status = run_windows(&windows[0], has_next ? &windows[1] : NULL, error);
    if (status == CE_OK) log_truncation(job);
    for (size_t i = 0; i < 2; i++) pthread_mutex_destroy(&windows[i].lock);
    cei_held_release(&held);
    return status;
}
