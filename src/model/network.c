/* network.c - runs an encoder, then its head, in one workspace: the head's part first, and the encoder's, whose end few
 * batches need, behind it. */
#include "model/network.h"

#include "base/error.h"
#include "base/memory.h"
#include "device/checksum.h"
#include "model/architecture.h"

size_t cei_network_workspace(const cei_network *network, size_t tokens, size_t sequences) {
    const size_t encoder = network->architecture->workspace(network, tokens, sequences);
    const size_t head = cei_head_workspace(&network->head, sequences);
    size_t bytes;
    return encoder && head && cei_add_size(encoder, head, &bytes) ? bytes : 0;
}

unsigned cei_network_ops(const cei_network *network) {
    return network->architecture->ops | cei_head_ops(&network->head, network->reads);
}

size_t cei_network_widest(const cei_network *network) {
    return network->widest > network->head.widest ? network->widest : network->head.widest;
}

ce_status cei_network_derive(const cei_derivation *derivation, ce_error *error) {
    return derivation->network->architecture->derive(derivation, error);
}

ce_status cei_derivation_write(const cei_derivation *derivation, const cei_weight *to, size_t first, size_t count,
                               const float *values, ce_error *error) {
    cei_checksum sum = {0};
    uint64_t found = 0;
    ce_status status = cei_weight_write(derivation->device, to, first, count, values, NULL, error);
    if (status == CE_OK) status = cei_weight_checksum(derivation->device, to, first, count, &found, error);
    if (status != CE_OK) return status;
    cei_checksum_add(&sum, values, count * to->columns);
    if (found == cei_checksum_value(&sum)) return CE_OK;
    return cei_fail(error, CE_ERR_VERIFY,
                    "a weight that is computed at placing did not arrive whole on the device: its checksum there is "
                    "%016llx, and was %016llx; the device's memory or its connection is faulty",
                    (unsigned long long)found, (unsigned long long)cei_checksum_value(&sum));
}

/* Two logits a sequence become their difference, on the host, as the reference takes it. */
static ce_status read_differences(const cei_run *run, cei_slice logits, ce_error *error) {
    enum { ROWS = 64 };
    float pairs[2 * ROWS];
    const size_t sequences = run->batch->sequences;
    for (size_t first = 0; first < sequences; first += ROWS) {
        const size_t count = cei_min_size(ROWS, sequences - first), bytes = 2 * count * sizeof *pairs;
        const ce_status status = cei_read(run->stream, pairs, logits, bytes, error);
        if (status != CE_OK) return status;
        for (size_t i = 0; i < count; i++) run->values[first + i] = pairs[2 * i] - pairs[2 * i + 1];
        logits.offset += bytes;
    }
    return CE_OK;
}

static ce_status read_values(const cei_run *run, cei_slice values, ce_error *error) {
    const cei_head *head = &run->network->head;
    if (head->subtracts) return read_differences(run, values, error);
    return cei_read(run->stream, run->values, values, run->batch->sequences * head->outputs * sizeof(float), error);
}

ce_status cei_derivation_read(const cei_derivation *derivation, const cei_weight *table, const int32_t *rows,
                              size_t count, float *values, ce_error *error) {
    const size_t bytes = count * sizeof *rows;
    const cei_slice ids = {derivation->workspace, 0};
    const cei_slice found = {derivation->workspace,
                             (bytes + CEI_BUFFER_ALIGNMENT - 1) & ~(size_t)(CEI_BUFFER_ALIGNMENT - 1)};
    const cei_embed_args embed = {.tokens = count, .ids = ids, .word = table, .out = found};
    ce_status status = cei_write(derivation->stream, ids, rows, bytes, error);
    if (status == CE_OK) status = cei_embed(derivation->stream, &embed, error);
    return status == CE_OK ? cei_read(derivation->stream, values, found, count * table->columns * sizeof *values, error)
                           : status;
}

ce_status cei_network_run(const cei_run *whole, ce_error *error) {
    const cei_network *network = whole->network;
    const cei_batch *batch = whole->batch;
    cei_run placed = *whole;
    placed.encoder_at = cei_head_workspace(&network->head, batch->sequences);
    const cei_run *run = &placed;
    cei_states states = {.tokens = batch->tokens, .sequences = batch->sequences, .host_offsets = batch->offsets};
    cei_slice values = {0};
    ce_status status = network->architecture->encode(run, &states, error);
    states.gather = network->reads != CEI_READS_ALL && !states.one_only;
    if (status == CE_OK)
        status = cei_head_run(&network->head, run->weights, &states, batch->prompt, run->stream,
                              (cei_slice){run->workspace, 0}, &values, error);
    if (status == CE_OK) status = read_values(run, values, error);
    if (status == CE_OK && run->states)
        status = cei_read(run->stream, run->states, states.at, batch->tokens * network->hidden * sizeof(float), error);
    return status;
}

size_t cei_network_row(const cei_network *network, const cei_batch *batch, size_t sequence) {
    const size_t first = (size_t)batch->offsets[sequence];
    size_t row = (size_t)batch->offsets[sequence + 1];
    if (network->reads != CEI_READS_LAST) return first;
    while (row > first + 1 && batch->ids[row - 1] == network->head.passes) row--;
    return row > 0 ? row - 1 : 0;
}

void cei_network_positions(const cei_network *network, const int32_t *ids, size_t length, int32_t *positions) {
    const int32_t padding = network->padding_id;
    int32_t next = padding + 1;
    for (size_t i = 0; i < length; i++) positions[i] = padding >= 0 && ids[i] == padding ? padding : next++;
}
