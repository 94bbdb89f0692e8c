/* head.c - makes and runs heads. Does no arithmetic: it calls the device's operations. */
#include "model/head.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdio.h>

/* ---- making -------------------------------------------------------------------------------------------------- */

cei_head cei_head_pool(size_t hidden, const cei_pooling *poolings, size_t count) {
    cei_head head = {.hidden = hidden, .pooling_count = count, .includes_prompt = true, .passes = -1};
    for (size_t i = 0; i < count; i++) head.poolings[i] = poolings[i];
    head.outputs = head.widest = hidden * count;
    return head;
}

static ce_status add(cei_head *head, cei_head_layer layer, ce_error *error) {
    if (head->layer_count == CEI_HEAD_LAYERS)
        return cei_fail(error, CE_ERR_UNSUPPORTED, "the model has more than %d layers behind its encoder",
                        CEI_HEAD_LAYERS);
    head->layers[head->layer_count++] = layer;
    head->outputs = layer.columns;
    if (layer.columns > head->widest) head->widest = layer.columns;
    return CE_OK;
}

static ce_status plan_one(cei_plan *plan, cei_role role, size_t columns, const char *name, size_t rows, size_t *index,
                          ce_error *error) {
    return cei_plan_add(plan, role, columns, 1, &name, &rows, index, error);
}

ce_status cei_head_add_dense(cei_head *head, cei_plan *plan, const char *weight, const char *bias, size_t columns,
                             cei_function function, ce_error *error) {
    cei_head_layer layer = {.kind = CEI_HEAD_DENSE, .has_bias = bias, .function = function, .columns = columns};
    ce_status status = plan_one(plan, CEI_ROLE_MATRIX, head->outputs, weight, columns, &layer.weight, error);
    if (status == CE_OK) plan->weights[layer.weight].exact = true;
    if (status == CE_OK && bias) status = plan_one(plan, CEI_ROLE_VECTOR, 1, bias, columns, &layer.bias, error);
    return status == CE_OK ? add(head, layer, error) : status;
}

ce_status cei_head_add_norm(cei_head *head, cei_plan *plan, const char *gain, const char *shift, float epsilon,
                            ce_error *error) {
    cei_head_layer layer = {.kind = CEI_HEAD_NORM, .has_bias = shift, .epsilon = epsilon, .columns = head->outputs};
    ce_status status = plan_one(plan, CEI_ROLE_VECTOR, 1, gain, layer.columns, &layer.weight, error);
    if (status == CE_OK && shift) status = plan_one(plan, CEI_ROLE_VECTOR, 1, shift, layer.columns, &layer.bias, error);
    return status == CE_OK ? add(head, layer, error) : status;
}

ce_status cei_head_add_normalize(cei_head *head, ce_error *error) {
    return add(head, (cei_head_layer){.kind = CEI_HEAD_NORMALIZE, .columns = head->outputs}, error);
}

ce_status cei_head_add_token_logits(cei_head *head, cei_plan *plan, const cei_token_logits *logits, const char *tensor,
                                    size_t vocabulary, ce_error *error) {
    const size_t rows[] = {(size_t)logits->true_id, (size_t)logits->false_id}; /* a negative one is beyond all rows */
    cei_head_layer layer = {.kind = CEI_HEAD_DENSE, .columns = logits->false_id < 0 ? 1 : 2};
    ce_status status =
        cei_plan_add_rows(plan, head->outputs, tensor, vocabulary, layer.columns, rows, &layer.weight, error);
    if (status != CE_OK) return status;
    plan->weights[layer.weight].exact = true;
    status = add(head, layer, error);
    head->subtracts = layer.columns == 2;
    head->outputs = 1;
    return status;
}

/* The two names of a layer's tensors. */
typedef struct layer_names {
    char weight[128], bias[128];
} layer_names;

static layer_names names_of(const char *name) {
    layer_names names;
    snprintf(names.weight, sizeof names.weight, "%s.weight", name);
    snprintf(names.bias, sizeof names.bias, "%s.bias", name);
    return names;
}

ce_status cei_head_classify(cei_head *head, cei_plan *plan, const cei_classifier *classifier, size_t labels,
                            ce_error *error) {
    const layer_names second = names_of(classifier->second);
    ce_status status = CE_OK;
    if (classifier->first) {
        const layer_names first = names_of(classifier->first);
        status = cei_head_add_dense(head, plan, first.weight, classifier->no_bias ? NULL : first.bias, head->outputs,
                                    classifier->function, error);
    }
    if (status == CE_OK && classifier->norm) {
        const layer_names norm = names_of(classifier->norm);
        status = cei_head_add_norm(head, plan, norm.weight, classifier->no_norm_bias ? NULL : norm.bias,
                                   classifier->epsilon, error);
    }
    if (status != CE_OK) return status;
    return cei_head_add_dense(head, plan, second.weight, classifier->no_second_bias ? NULL : second.bias, labels,
                              CEI_FN_IDENTITY, error);
}

/* ---- asking -------------------------------------------------------------------------------------------------- */

cei_reads cei_head_reads(const cei_head *head) {
    if (head->pooling_count != 1 || !head->includes_prompt) return CEI_READS_ALL;
    return head->poolings[0] == CEI_POOL_FIRST  ? CEI_READS_FIRST
           : head->poolings[0] == CEI_POOL_LAST ? CEI_READS_LAST
                                                : CEI_READS_ALL;
}

unsigned cei_head_ops(const cei_head *head, cei_reads reads) {
    static const cei_op ops[] = {
        [CEI_HEAD_DENSE] = CEI_OP_LINEAR, [CEI_HEAD_NORM] = CEI_OP_NORM, [CEI_HEAD_NORMALIZE] = CEI_OP_NORMALIZE};
    unsigned all = 1u << (reads == CEI_READS_ALL ? CEI_OP_POOL : CEI_OP_GATHER);
    for (size_t i = 0; i < head->layer_count; i++) all |= 1u << ops[head->layers[i].kind];
    return all;
}

/* Bytes of one of the two places between which results go to and fro; 0 on overflow. */
static size_t place_bytes(const cei_head *head, size_t sequences) {
    size_t bytes;
    if (!cei_mul_size(sequences, head->widest, &bytes) || !cei_mul_size(bytes, sizeof(float), &bytes) ||
        !cei_add_size(bytes, CEI_BUFFER_ALIGNMENT - 1, &bytes))
        return 0;
    return bytes & ~(size_t)(CEI_BUFFER_ALIGNMENT - 1);
}

size_t cei_head_workspace(const cei_head *head, size_t sequences) {
    size_t bytes;
    return cei_mul_size(2, place_bytes(head, sequences), &bytes) ? bytes : 0;
}

/* ---- running ------------------------------------------------------------------------------------------------- */

static ce_status pool(const cei_head *head, const cei_states *states, size_t skipped, cei_stream *stream, cei_slice to,
                      ce_error *error) {
    const size_t hidden = head->hidden, width = hidden * head->pooling_count;
    ce_status status = CE_OK;
    for (size_t i = 0; i < head->pooling_count && status == CE_OK; i++) {
        const cei_strided out = {{to.buffer, to.offset + i * hidden * sizeof(float)}, width};
        const cei_pool_args args = {.tokens = states->tokens,
                                    .sequences = states->sequences,
                                    .columns = hidden,
                                    .x = states->at,
                                    .offsets = states->offsets,
                                    .pooling = head->poolings[i],
                                    .skipped = head->includes_prompt ? 0 : skipped,
                                    .out = out};
        status = cei_pool_rows(stream, &args, error);
    }
    return status;
}

/* One token of each sequence, taken as an encoder takes them that leaves no others: a network has one way to them,
 * which the device has been asked for and which the self-test has run. */
static ce_status gather(const cei_head *head, const cei_states *states, cei_stream *stream, cei_slice to,
                        ce_error *error) {
    const cei_gather_args args = {states->sequences, head->hidden, states->at, states->rows, to};
    return cei_gather(stream, &args, error);
}

/* A sequence without tokens has none to be read: as where rows are pooled, its row becomes zeros. */
static ce_status clear_empty(const cei_head *head, const cei_states *states, cei_stream *stream, cei_slice rows,
                             ce_error *error) {
    static const float zeros[256];
    const size_t bytes = head->hidden * sizeof(float);
    ce_status status = CE_OK;
    for (size_t s = 0; s < states->sequences && status == CE_OK; s++) {
        if (states->host_offsets[s] < states->host_offsets[s + 1]) continue;
        for (size_t done = 0; done < bytes && status == CE_OK; done += sizeof zeros)
            status = cei_write(stream, (cei_slice){rows.buffer, rows.offset + s * bytes + done}, zeros,
                               cei_min_size(sizeof zeros, bytes - done), error);
    }
    return status;
}

static ce_status run_layer(const cei_head_layer *layer, const cei_weight *weights, size_t rows, cei_stream *stream,
                           cei_slice x, cei_slice out, ce_error *error) {
    const cei_weight *weight = &weights[layer->weight], *bias = layer->has_bias ? &weights[layer->bias] : NULL;
    switch (layer->kind) {
    case CEI_HEAD_DENSE: {
        const cei_linear_args args = {rows, x, weight, bias, layer->function, out, NULL, NULL};
        return cei_linear(stream, &args, error);
    }
    case CEI_HEAD_NORM: {
        const cei_norm_args args = {
            .rows = rows, .x = x, .gain = weight, .bias = bias, .epsilon = layer->epsilon, .out = out};
        return cei_norm(stream, &args, error);
    }
    default: {
        const cei_normalize_args args = {rows, layer->columns, x, out};
        return cei_normalize_rows(stream, &args, error);
    }
    }
}

ce_status cei_head_run(const cei_head *head, const cei_weight *weights, const cei_states *states, size_t skipped,
                       cei_stream *stream, cei_slice workspace, cei_slice *values, ce_error *error) {
    cei_slice out = workspace, next = workspace;
    next.offset += place_bytes(head, states->sequences);
    ce_status status = CE_OK;
    *values = states->at;
    if (!states->one_only) {
        status =
            states->gather ? gather(head, states, stream, out, error) : pool(head, states, skipped, stream, out, error);
        *values = out;
        out = next;
        next = *values;
    }
    if (status == CE_OK && (states->one_only || states->gather))
        status = clear_empty(head, states, stream, *values, error);
    for (size_t i = 0; i < head->layer_count && status == CE_OK; i++) {
        status = run_layer(&head->layers[i], weights, states->sequences, stream, *values, out, error);
        *values = out;
        out = next;
        next = *values;
    }
    return status;
}
