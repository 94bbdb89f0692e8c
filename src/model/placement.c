/* placement.c - builds a placement step by step, and lends its contexts to calls.
 *
 * The order of the steps keeps faults early and memory low: capability and memory of the device first, then the
 * reference's answer to the known input (from the file), then the upload, then verification on the device. */
#include "model/placement.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* Tokens of a lane's batches: enough for a product's blocks of rows, and little for the others to wait for at the end.
 */
enum { LANE_TOKENS = 512 };

struct cei_shared {
    pthread_mutex_t lock;
    pthread_cond_t returned; /* a context came back */
    size_t references;
    cei_context *free_contexts;
    size_t contexts;    /* made so far */
    cei_context *lanes; /* NULL while a call has them, and before the first has */
    bool has_lanes;     /* made, or being made */
};

/* ---- contexts ------------------------------------------------------------------------------------------------ */

/* Those of a lane's stream, or of one that has the device to itself. */
static cei_stream_limits context_limits(const cei_placement *placement, bool is_lane) {
    const cei_blueprint *blueprint = placement->blueprint;
    const cei_network *network = blueprint->network;
    const cei_budget *batch = is_lane ? &placement->lane_batch : &placement->batch;
    return (cei_stream_limits){batch->tokens, blueprint->max_length, network->head_size, cei_network_widest(network),
                               is_lane};
}

/* Bytes of such a context's workspace; 0 on overflow. */
static size_t workspace_bytes(const cei_placement *placement, bool is_lane) {
    const cei_budget *batch = is_lane ? &placement->lane_batch : &placement->batch;
    return cei_network_workspace(placement->blueprint->network, batch->tokens, batch->sequences);
}

static void context_free(cei_context *context) {
    if (!context) return;
    cei_buffer_free(context->workspace);
    cei_stream_free(context->stream);
    cei_free(context);
}

static ce_status context_create(cei_placement *placement, bool is_lane, cei_context **out, ce_error *error) {
    *out = NULL;
    cei_context *context = cei_alloc_zeroed(1, sizeof *context);
    if (!context) return cei_fail_memory(error, "a scoring context", sizeof *context);
    const cei_stream_limits limits = context_limits(placement, is_lane);
    const size_t bytes = workspace_bytes(placement, is_lane);
    ce_status status = bytes ? CE_OK : cei_fail(error, CE_ERR_ARGUMENT, "batch_tokens is too large");
    if (status == CE_OK) status = cei_stream_create(placement->device, &limits, &context->stream, error);
    if (status == CE_OK) status = cei_buffer_create(placement->device, bytes, &context->workspace, error);
    if (status != CE_OK) {
        context_free(context);
        return status;
    }
    *out = context;
    return CE_OK;
}

/* Waits for a context if there are any at all; NULL if there are none to wait for. */
static cei_context *await_context(cei_placement *placement) {
    struct cei_shared *shared = placement->shared;
    cei_context *context = NULL;
    pthread_mutex_lock(&shared->lock);
    while (shared->contexts > 0 && !shared->free_contexts) pthread_cond_wait(&shared->returned, &shared->lock);
    if (shared->free_contexts) {
        context = shared->free_contexts;
        shared->free_contexts = context->next;
    }
    pthread_mutex_unlock(&shared->lock);
    return context;
}

ce_status cei_context_take(cei_placement *placement, cei_context **out, ce_error *error) {
    struct cei_shared *shared = placement->shared;
    pthread_mutex_lock(&shared->lock);
    cei_context *context = shared->free_contexts;
    if (context) shared->free_contexts = context->next;
    pthread_mutex_unlock(&shared->lock);
    ce_status status = CE_OK;
    if (!context) {
        status = context_create(placement, false, &context, error);
        if (status == CE_OK) {
            pthread_mutex_lock(&shared->lock);
            shared->contexts++;
            pthread_mutex_unlock(&shared->lock);
        } else if (status == CE_ERR_DEVICE_MEMORY || status == CE_ERR_MEMORY) {
            context = await_context(placement);
            if (context) status = CE_OK;
        }
    }
    *out = context;
    return status;
}

void cei_context_give(cei_placement *placement, cei_context *context) {
    if (!context) return;
    struct cei_shared *shared = placement->shared;
    pthread_mutex_lock(&shared->lock);
    context->next = shared->free_contexts;
    shared->free_contexts = context;
    pthread_cond_signal(&shared->returned);
    pthread_mutex_unlock(&shared->lock);
}

static void free_contexts(cei_context *first) {
    while (first) {
        cei_context *next = first->next;
        context_free(first);
        first = next;
    }
}

static size_t lanes_of(const cei_placement *placement) { return cei_pool_size(placement->blueprint->pool) - 1; }

static cei_context *make_lanes(cei_placement *placement) {
    cei_context *lanes = NULL, *lane;
    for (size_t i = 0; i < lanes_of(placement); i++) {
        if (context_create(placement, true, &lane, NULL) != CE_OK) {
            free_contexts(lanes);
            return NULL;
        }
        lane->next = lanes;
        lanes = lane;
    }
    return lanes;
}

cei_context *cei_lanes_take(cei_placement *placement) {
    struct cei_shared *shared = placement->shared;
    const size_t count = lanes_of(placement);
    if (count == 0 || count > CEI_MOST_LANES || !cei_device_uses_pool(placement->device)) return NULL;
    pthread_mutex_lock(&shared->lock);
    cei_context *lanes = shared->lanes;
    const bool is_first = !shared->has_lanes;
    shared->lanes = NULL;
    shared->has_lanes = true;
    pthread_mutex_unlock(&shared->lock);
    if (!is_first) return lanes;
    lanes = make_lanes(placement);
    if (lanes) return lanes;
    pthread_mutex_lock(&shared->lock);
    shared->has_lanes = false;
    pthread_mutex_unlock(&shared->lock);
    return NULL;
}

void cei_lanes_give(cei_placement *placement, cei_context *lanes) {
    pthread_mutex_lock(&placement->shared->lock);
    placement->shared->lanes = lanes;
    pthread_mutex_unlock(&placement->shared->lock);
}

uint64_t cei_placement_workspace(const cei_placement *placement) {
    struct cei_shared *shared = placement->shared;
    pthread_mutex_lock(&shared->lock);
    uint64_t bytes = (uint64_t)shared->contexts * placement->context_bytes;
    if (shared->has_lanes) bytes += (uint64_t)lanes_of(placement) * placement->lane_bytes;
    pthread_mutex_unlock(&shared->lock);
    return bytes;
}

/* ---- life ---------------------------------------------------------------------------------------------------- */

static void placement_free(cei_placement *placement) {
    struct cei_shared *shared = placement->shared;
    if (shared) {
        free_contexts(shared->free_contexts);
        free_contexts(shared->lanes);
    }
    cei_buffer_free(placement->memory);
    cei_device_close(placement->device);
    if (shared) {
        pthread_cond_destroy(&shared->returned);
        pthread_mutex_destroy(&shared->lock);
        cei_free(shared);
    }
    cei_free(placement->weights);
    cei_free(placement->derived);
    cei_free(placement->checksums);
    cei_free(placement->probe_values);
    cei_free(placement);
}

void cei_placement_ref(cei_placement *placement) {
    pthread_mutex_lock(&placement->shared->lock);
    placement->shared->references++;
    pthread_mutex_unlock(&placement->shared->lock);
}

void cei_placement_unref(cei_placement *placement) {
    if (!placement) return;
    pthread_mutex_lock(&placement->shared->lock);
    size_t left = --placement->shared->references;
    pthread_mutex_unlock(&placement->shared->lock);
    if (left == 0) placement_free(placement);
}

static ce_status allocate(const cei_blueprint *blueprint, cei_device_id id, cei_placement **out, ce_error *error) {
    cei_placement *placement = cei_alloc_zeroed(1, sizeof *placement);
    if (!placement) return cei_fail_memory(error, "a placement", sizeof *placement);
    placement->blueprint = blueprint;
    placement->id = id;
    placement->weights = cei_alloc_zeroed(blueprint->plan.weight_count, sizeof *placement->weights);
    placement->derived = cei_alloc_zeroed(blueprint->network->derived_count, sizeof *placement->derived);
    placement->checksums = cei_alloc_zeroed(blueprint->plan.part_count, sizeof *placement->checksums);
    placement->probe_values =
        cei_alloc_zeroed(CEI_PROBE_SEQUENCES * blueprint->network->head.outputs, sizeof *placement->probe_values);
    placement->shared = cei_alloc_zeroed(1, sizeof *placement->shared);
    if (placement->shared) {
        placement->shared->references = 1;
        pthread_mutex_init(&placement->shared->lock, NULL);
        pthread_cond_init(&placement->shared->returned, NULL);
    }
    if (!placement->weights || !placement->derived || !placement->checksums || !placement->probe_values ||
        !placement->shared) {
        placement_free(placement);
        return cei_fail_memory(error, "a placement", 0);
    }
    placement->report.size = sizeof placement->report;
    cei_device_format(id, placement->report.device);
    *out = placement;
    return CE_OK;
}

/* ---- steps --------------------------------------------------------------------------------------------------- */

static ce_status check_operations(const cei_placement *placement, ce_error *error) {
    const cei_blueprint *blueprint = placement->blueprint;
    const unsigned ops = cei_network_ops(blueprint->network);
    for (int op = 0; op < CEI_OP_COUNT; op++)
        if ((ops >> op & 1) && !cei_device_supports(placement->device, (cei_op)op, blueprint->precision))
            return cei_fail(error, CE_ERR_UNSUPPORTED, "%s cannot compute \"%s\" in %s, which the model needs",
                            placement->report.device, cei_op_name((cei_op)op), ce_precision_name(blueprint->precision));
    return CE_OK;
}

/* Gives weights of such shapes their places from *bytes on. */
static ce_status lay_out(const cei_placement *placement, const cei_weight *shapes, size_t count, cei_weight *weights,
                         size_t *bytes, ce_error *error) {
    for (size_t i = 0; i < count; i++) {
        weights[i] = shapes[i];
        weights[i].at.offset = *bytes;
        size_t size = cei_weight_bytes(placement->device, &weights[i]);
        if (size == 0 || !cei_add_size(*bytes, size, bytes))
            return cei_fail(error, CE_ERR_MODEL, "the model's weights are too large for this machine");
    }
    return CE_OK;
}

/* Gives each weight its place in one block of device memory; *bytes receives the block's size. */
static ce_status lay_out_weights(cei_placement *placement, size_t *bytes, ce_error *error) {
    const cei_plan *plan = &placement->blueprint->plan;
    const cei_network *network = placement->blueprint->network;
    *bytes = 0;
    ce_status status = lay_out(placement, plan->weights, plan->weight_count, placement->weights, bytes, error);
    if (status != CE_OK) return status;
    return lay_out(placement, network->derived, network->derived_count, placement->derived, bytes, error);
}

static size_t context_bytes(const cei_placement *placement, bool is_lane) {
    const cei_stream_limits limits = context_limits(placement, is_lane);
    return workspace_bytes(placement, is_lane) + cei_stream_bytes(placement->device, &limits);
}

/* Sets the size of batches, and what a context needs for them; returns what the device needs with one of these. */
static uint64_t choose_batch(cei_placement *placement, cei_budget batch, size_t weight_bytes) {
    const cei_budget lane = cei_blueprint_budget(placement->blueprint, LANE_TOKENS);
    placement->batch = batch;
    placement->lane_batch = lane.tokens < batch.tokens ? lane : batch;
    placement->context_bytes = context_bytes(placement, false);
    placement->lane_bytes = context_bytes(placement, true);
    return (uint64_t)weight_bytes + placement->context_bytes;
}

/* Asks for all device memory that the model needs: the weights, and one context so that a first call cannot fail for
 * want of it. A shortage that the device knows of is raised before anything is asked for. Where the batches that suit
 * the device best don't fit, small ones are taken. */
static ce_status check_memory(cei_placement *placement, size_t weight_bytes, ce_error *error) {
    const cei_blueprint *blueprint = placement->blueprint;
    const size_t asked = blueprint->batch_is_asked ? 0 : cei_device_batch_tokens(placement->device);
    const cei_budget best = asked ? cei_blueprint_budget(blueprint, asked) : blueprint->batch;
    ce_device_info info;
    ce_status status = cei_device_status(placement->device, &info, error);
    uint64_t need = choose_batch(placement, best, weight_bytes);
    if (status != CE_OK || info.memory_total == 0 || need <= info.memory_free) return status;
    if (best.tokens > blueprint->batch.tokens) need = choose_batch(placement, blueprint->batch, weight_bytes);
    if (need <= info.memory_free) return CE_OK;
    return cei_fail(error, CE_ERR_DEVICE_MEMORY,
                    "%s has too little memory: needed %llu bytes (weights %llu, workspace %llu), free %llu, total %llu",
                    placement->report.device, (unsigned long long)need, (unsigned long long)weight_bytes,
                    (unsigned long long)placement->context_bytes, (unsigned long long)info.memory_free,
                    (unsigned long long)info.memory_total);
}

static ce_status take_memory(cei_placement *placement, size_t weight_bytes, ce_error *error) {
    ce_status status = cei_buffer_create(placement->device, weight_bytes, &placement->memory, error);
    for (size_t i = 0; i < placement->blueprint->plan.weight_count; i++)
        placement->weights[i].at.buffer = placement->memory;
    for (size_t i = 0; i < placement->blueprint->network->derived_count; i++)
        placement->derived[i].at.buffer = placement->memory;
    cei_context *context = NULL;
    if (status == CE_OK) status = cei_context_take(placement, &context, error);
    cei_context_give(placement, context);
    placement->report.weight_bytes = weight_bytes;
    return status;
}

/* Computes the weights that follow from others, in the memory of a context. */
static ce_status derive(cei_placement *placement, ce_error *error) {
    const cei_blueprint *blueprint = placement->blueprint;
    cei_context *context = NULL;
    if (blueprint->network->derived_count == 0) return CE_OK;
    ce_status status = cei_context_take(placement, &context, error);
    if (status == CE_OK)
        status = cei_network_derive(&(cei_derivation){.network = blueprint->network,
                                                      .weights = placement->weights,
                                                      .derived = placement->derived,
                                                      .device = placement->device,
                                                      .stream = context->stream,
                                                      .workspace = context->workspace,
                                                      .rows = placement->batch.tokens,
                                                      .longest = blueprint->max_length},
                                    error);
    cei_context_give(placement, context);
    return status;
}

static ce_status open_device(cei_placement *placement, ce_error *error) {
    const cei_blueprint *blueprint = placement->blueprint;
    cei_device_options options = {blueprint->pool, blueprint->cpu_disable, blueprint->log};
    ce_device_info info;
    ce_status status = cei_device_probe(placement->id, &info, error);
    if (status == CE_OK) status = cei_device_open(placement->id, &options, &placement->device, error);
    if (status != CE_OK) return status;
    snprintf(placement->report.device_name, sizeof placement->report.device_name, "%s", info.name);
    placement->report.precision = blueprint->precision;
    placement->report.tensors = (uint32_t)blueprint->plan.part_count;
    return check_operations(placement, error);
}

/* The values that the self-test compares with: the portable reference's, or, where there is a peer that agreed with it,
 * or if the files are gone, those of the verified placement. */
static ce_status reference_values(cei_placement *placement, const cei_source *source, float *values, ce_error *error) {
    const cei_blueprint *blueprint = placement->blueprint;
    const cei_placement *verified = source->peer ? source->peer : source->placement;
    const bool rounds_attention = cei_device_rounds_attention(placement->device, blueprint->precision);
    if (!verified) {
        const ce_status status = cei_probe_reference(blueprint, source->checkpoint, rounds_attention, values, error);
        if (status != CE_OK || cei_probe_is_finite(blueprint, values)) return status;
        /* No device is to blame, and none is to be tried next. */
        return cei_fail(error, CE_ERR_MODEL,
                        "%s: a known input gives a value that is no number: the weights have NaN or infinity, or are "
                        "damaged; fetch the model again",
                        cei_checkpoint_path(source->checkpoint));
    }
    memcpy(values, verified->probe_values, CEI_PROBE_SEQUENCES * blueprint->network->head.outputs * sizeof *values);
    return CE_OK;
}

/* Adds the time since *since to *total, and starts anew. */
static void lap(double *since, double *total) {
    double now = cei_now_ms();
    *total += now - *since;
    *since = now;
}

static ce_status build(cei_placement *placement, const cei_source *source, const uint64_t *expected, float *reference,
                       ce_error *error) {
    ce_placement_report *report = &placement->report;
    double start = cei_now_ms(), since = start;
    size_t bytes = 0;
    ce_status status = open_device(placement, error);
    if (status == CE_OK) status = lay_out_weights(placement, &bytes, error);
    if (status == CE_OK) status = check_memory(placement, bytes, error);
    lap(&since, &report->open_ms);
    if (status == CE_OK) status = reference_values(placement, source, reference, error);
    lap(&since, &report->self_test_ms);
    if (status == CE_OK) status = take_memory(placement, bytes, error);
    if (status == CE_OK) status = cei_upload(placement, source, error);
    lap(&since, &report->upload_ms);
    if (status == CE_OK) status = cei_verify(placement, expected, error);
    lap(&since, &report->verify_ms);
    if (status == CE_OK) status = derive(placement, error);
    lap(&since, &report->upload_ms);
    if (status == CE_OK) status = cei_self_test(placement, reference, source->peer, error);
    lap(&since, &report->self_test_ms);
    report->total_ms = since - start;
    return status;
}

ce_status cei_placement_create(const cei_blueprint *blueprint, cei_device_id id, const cei_source *source,
                               const uint64_t *expected, cei_placement **out, ce_error *error) {
    *out = NULL;
    cei_placement *placement = NULL;
    ce_status status = allocate(blueprint, id, &placement, error);
    if (status != CE_OK) return status;
    float *reference = cei_alloc_zeroed(CEI_PROBE_SEQUENCES * blueprint->network->head.outputs, sizeof *reference);
    if (!reference) status = cei_fail_memory(error, "the self-test", 0);
    if (status == CE_OK) status = build(placement, source, expected, reference, error);
    cei_free(reference);
    if (status != CE_OK) {
        cei_placement_unref(placement);
        return status;
    }
    *out = placement;
    return CE_OK;
}

static uint64_t bytes_of(const cei_weight *weights, size_t count) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        const cei_weight *weight = &weights[i];
        const uint64_t values = (uint64_t)weight->rows * weight->columns;
        switch (weight->format) {
        case CEI_FORMAT_FLOAT32: bytes += values * sizeof(float); break;
        case CEI_FORMAT_BFLOAT16:
        case CEI_FORMAT_FLOAT16: bytes += values * sizeof(uint16_t); break;
        case CEI_FORMAT_INT8: bytes += values + weight->rows * sizeof(float); break;
        }
    }
    return bytes;
}

uint64_t cei_blueprint_weight_bytes(const cei_blueprint *blueprint) {
    const cei_network *network = blueprint->network;
    return bytes_of(blueprint->plan.weights, blueprint->plan.weight_count) +
           bytes_of(network->derived, network->derived_count);
}

uint64_t cei_blueprint_workspace_bytes(const cei_blueprint *blueprint) {
    const cei_network *network = blueprint->network;
    return cei_network_workspace(network, blueprint->batch.tokens, blueprint->batch.sequences);
}

cei_budget cei_blueprint_budget(const cei_blueprint *blueprint, size_t tokens) {
    if (tokens < blueprint->max_length) tokens = blueprint->max_length;
    if (tokens < CEI_PROBE_TOKENS) tokens = CEI_PROBE_TOKENS;
    const size_t sequences = tokens / cei_max_size(blueprint->least_length, 1);
    return (cei_budget){tokens, cei_max_size(sequences, CEI_PROBE_SEQUENCES)};
}
