/* selftest.c - a known input, end to end, on the device and on the portable reference.
 *
 * The input is short, so that it is cheap, and made of ids spread over the vocabulary: two sequences of different
 * length, so that packed offsets matter, with both token types where the model has them. */
#include "base/error.h"
#include "base/memory.h"
#include "device/ref/ref.h"
#include "model/placement.h"

#include <math.h>
#include <string.h>

/* |device - reference| / (unit + |reference|): two float32 computations in different orders differ by about 1e-5 over
 * tens of layers; a wrong kernel differs by far more than this. In low precision both compute with the same rounded
 * weights, but an activation on the edge between two steps may be rounded either way, and a device may not round it. */
static double bound_of(ce_precision precision) {
    switch (precision) {
    case CE_PRECISION_BFLOAT16: return 0.05;
    case CE_PRECISION_FLOAT16: return 0.01;
    case CE_PRECISION_INT8: return 0.1;
    default: return 1e-3;
    }
}

typedef struct probe_input {
    int32_t ids[CEI_PROBE_TOKENS], types[CEI_PROBE_TOKENS], positions[CEI_PROBE_TOKENS];
    int32_t offsets[CEI_PROBE_SEQUENCES + 1];
    cei_batch batch;
} probe_input;

static void make_probe(const cei_blueprint *blueprint, probe_input *probe) {
    size_t lengths[CEI_PROBE_SEQUENCES] = {5, 3}, token = 0;
    *probe = (probe_input){0};
    for (size_t s = 0; s < CEI_PROBE_SEQUENCES; s++) {
        size_t length = lengths[s] < blueprint->max_positions ? lengths[s] : blueprint->max_positions;
        if (length > blueprint->max_length) length = blueprint->max_length;
        for (size_t i = 0; i < length; i++, token++) {
            /* Knuth's multiplicative hash spreads neighbouring tokens over the vocabulary. */
            uint32_t spread = (uint32_t)(token + 1) * UINT32_C(2654435761);
            probe->ids[token] = (int32_t)(spread % blueprint->vocab_size);
            probe->types[token] = blueprint->type_vocab_size > 1 && i > length / 2;
        }
        cei_network_positions(blueprint->network, probe->ids + token - length, length,
                              probe->positions + token - length);
        probe->offsets[s + 1] = (int32_t)token;
        if (length > probe->batch.longest) probe->batch.longest = length;
    }
    probe->batch.tokens = token;
    probe->batch.sequences = CEI_PROBE_SEQUENCES;
    probe->batch.ids = probe->ids;
    probe->batch.types = probe->types;
    probe->batch.positions = probe->positions;
    probe->batch.offsets = probe->offsets;
}

ce_status cei_probe_run(cei_placement *placement, float *values, ce_error *error) {
    const cei_network *network = placement->blueprint->network;
    probe_input probe;
    make_probe(placement->blueprint, &probe);
    cei_context *context = NULL;
    ce_status status = cei_context_take(placement, &context, error);
    if (status == CE_OK)
        status = cei_network_run(&(cei_run){.network = network,
                                            .weights = placement->weights,
                                            .derived = placement->derived,
                                            .batch = &probe.batch,
                                            .stream = context->stream,
                                            .workspace = context->workspace,
                                            .values = values},
                                 error);
    cei_context_give(placement, context);
    return status;
}

static ce_status bind_weights(cei_device *device, const cei_plan *plan, const cei_checkpoint *checkpoint,
                              ce_error *error) {
    ce_status status = CE_OK;
    for (size_t i = 0; i < plan->part_count && status == CE_OK; i++) {
        const cei_part *part = &plan->parts[i];
        cei_values values;
        status = cei_plan_values(plan, i, checkpoint, &values, error);
        if (status == CE_OK) status = cei_ref_bind(device, &plan->weights[part->weight], part->first, &values, error);
    }
    return status;
}

/* Pages of the file leave this process as soon as they were read: of a large model never more than some are here. */
static void release_read(void *user, const cei_values *source, size_t first, size_t count) {
    cei_checkpoint_release_rows(user, source, first, count);
}

static void release_pages(const cei_plan *plan, const cei_checkpoint *checkpoint) {
    for (size_t i = 0; i < plan->part_count; i++) {
        cei_values values;
        if (cei_plan_values(plan, i, checkpoint, &values, NULL) == CE_OK) cei_checkpoint_release(checkpoint, &values);
    }
}

/* Memory of the reference for a network's derived weights; *weights [derived_count] is to be freed. */
static ce_status place_derived(const cei_network *network, cei_device *device, cei_weight **weights,
                               cei_buffer **memory, ce_error *error) {
    size_t bytes = 0;
    *weights = cei_alloc_zeroed(network->derived_count, sizeof **weights);
    if (!*weights) return cei_fail_memory(error, "the self-test", 0);
    for (size_t i = 0; i < network->derived_count; i++) {
        (*weights)[i] = network->derived[i];
        (*weights)[i].at.offset = bytes;
        const size_t size = cei_weight_bytes(device, &(*weights)[i]);
        if (size == 0 || !cei_add_size(bytes, size, &bytes))
            return cei_fail(error, CE_ERR_MODEL, "the model's weights are too large for this machine");
    }
    ce_status status = cei_buffer_create(device, bytes, memory, error);
    for (size_t i = 0; i < network->derived_count; i++) (*weights)[i].at.buffer = *memory;
    return status;
}

/* Derives and runs on the reference. */
static ce_status run_reference(const cei_run *run, cei_device *device, ce_error *error) {
    cei_run whole = *run;
    cei_weight *derived = NULL;
    cei_buffer *memory = NULL;
    ce_status status = place_derived(run->network, device, &derived, &memory, error);
    whole.derived = derived;
    if (status == CE_OK && run->network->derived_count)
        status = cei_network_derive(&(cei_derivation){.network = run->network,
                                                      .weights = run->weights,
                                                      .derived = derived,
                                                      .device = device,
                                                      .stream = run->stream,
                                                      .workspace = run->workspace,
                                                      .rows = CEI_PROBE_TOKENS,
                                                      .longest = run->batch->longest},
                                    error);
    if (status == CE_OK) status = cei_network_run(&whole, error);
    cei_buffer_free(memory);
    cei_free(derived);
    return status;
}

ce_status cei_probe_reference(const cei_blueprint *blueprint, const cei_checkpoint *checkpoint, bool rounds_attention,
                              float *values, ce_error *error) {
    const cei_network *network = blueprint->network;
    probe_input probe;
    make_probe(blueprint, &probe);
    cei_stream_limits limits = {CEI_PROBE_TOKENS, CEI_PROBE_TOKENS, network->head_size, cei_network_widest(network),
                                false};
    cei_device *device = NULL;
    cei_stream *stream = NULL;
    cei_buffer *workspace = NULL;
    size_t bytes = cei_network_workspace(network, CEI_PROBE_TOKENS, CEI_PROBE_SEQUENCES);
    ce_status status = cei_ref_open(blueprint->pool, &device, error);
    if (status == CE_OK) cei_ref_watch(device, release_read, (void *)(uintptr_t)checkpoint);
    if (status == CE_OK) cei_ref_round_attention(device, rounds_attention);
    if (status == CE_OK) status = bind_weights(device, &blueprint->plan, checkpoint, error);
    if (status == CE_OK) status = cei_stream_create(device, &limits, &stream, error);
    if (status == CE_OK) status = cei_buffer_create(device, bytes, &workspace, error);
    if (status == CE_OK)
        status = run_reference(&(cei_run){.network = network,
                                          .weights = blueprint->plan.weights,
                                          .batch = &probe.batch,
                                          .stream = stream,
                                          .workspace = workspace,
                                          .values = values},
                               device, error);
    cei_buffer_free(workspace);
    cei_stream_free(stream);
    cei_device_close(device);
    /* Those that are left, before the weights arrive on their device: one copy at a time. */
    release_pages(&blueprint->plan, checkpoint);
    return status;
}

bool cei_probe_is_finite(const cei_blueprint *blueprint, const float *values) {
    for (size_t i = 0; i < CEI_PROBE_SEQUENCES * blueprint->network->head.outputs; i++)
        if (!isfinite(values[i])) return false;
    return true;
}

/* What a deviation of a row is measured by: 1 for logits; the root of the mean square for an embedding, whose values
 * may all be small. */
static double unit_of(const cei_blueprint *blueprint, const float *row) {
    const size_t outputs = blueprint->network->head.outputs;
    double sum = 0;
    if (!blueprint->embeds) return 1;
    for (size_t i = 0; i < outputs; i++) sum += (double)row[i] * (double)row[i];
    return sum > 0 ? sqrt(sum / (double)outputs) : 1;
}

/* Compares the values of one sequence, and notes the largest deviation. */
static ce_status compare_row(const cei_blueprint *blueprint, const float *found, const float *wanted,
                             ce_placement_report *report, ce_error *error) {
    const double unit = unit_of(blueprint, wanted);
    for (size_t i = 0; i < blueprint->network->head.outputs; i++) {
        const double a = found[i], b = wanted[i], deviation = fabs(a - b) / (unit + fabs(b));
        if (!(deviation <= report->self_test_bound)) /* NaN is no agreement either */
            return cei_fail(error, CE_ERR_VERIFY,
                            "the self-test failed on %s: a known input gave the %s %.9g, and the portable "
                            "reference %.9g (deviation %.2g, allowed %.2g)",
                            report->device, blueprint->embeds ? "value" : "logit", a, b, deviation,
                            report->self_test_bound);
        if (deviation > report->self_test_error) report->self_test_error = deviation;
    }
    return CE_OK;
}

/* Devices of one kind may still compute differently: other chips, other drivers. What gives the same bits deviates from
 * the reference as much. */
static ce_status compare_with_peer(cei_placement *placement, const cei_placement *peer, ce_error *error) {
    const size_t bytes =
        CEI_PROBE_SEQUENCES * placement->blueprint->network->head.outputs * sizeof *placement->probe_values;
    placement->report.self_test_error = peer->report.self_test_error;
    if (memcmp(placement->probe_values, peer->probe_values, bytes) == 0) return CE_OK;
    return cei_fail(error, CE_ERR_UNSUPPORTED,
                    "%s and %s give a known input other bits, so that a score would depend on which of them it came "
                    "to; load one model for each",
                    placement->report.device, peer->report.device);
}

ce_status cei_self_test(cei_placement *placement, const float *reference, const cei_placement *peer, ce_error *error) {
    const cei_blueprint *blueprint = placement->blueprint;
    const size_t outputs = blueprint->network->head.outputs;
    placement->report.self_test_bound = bound_of(blueprint->precision);
    ce_status status = cei_probe_run(placement, placement->probe_values, error);
    for (size_t s = 0; s < CEI_PROBE_SEQUENCES && status == CE_OK; s++)
        status = compare_row(blueprint, placement->probe_values + s * outputs, reference + s * outputs,
                             &placement->report, error);
    if (status == CE_OK && peer) status = compare_with_peer(placement, peer, error);
    placement->report.self_tested = status == CE_OK;
    return status;
}
