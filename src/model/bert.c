/* bert.c - BERT (Devlin et al. 2019), as transformers' BertModel and BertForSequenceClassification.
 *
 * Embeddings: word + token type + absolute position, layer norm. Each layer: self-attention, dense, residual + norm;
 * feed-forward, dense, residual + norm. Pooler: tanh(dense([CLS])). Classifier: dense. */
#include "model/architecture.h"

#include "base/error.h"
#include "base/memory.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Indices of one layer's weights in the plan. Where the head reads [CLS] alone, the last layer's queries are a product
 * of their own, over fewer rows than the others'. */
typedef struct bert_layer {
    size_t query, query_bias;               /* [hidden, hidden], [hidden]: of a last layer for [CLS] alone */
    size_t qkv, qkv_bias;                   /* [3 hidden, hidden], [3 hidden]; there without queries */
    size_t attention, attention_bias;       /* [hidden, hidden], [hidden] */
    size_t attention_gain, attention_shift; /* [hidden] */
    size_t up, up_bias;                     /* [intermediate, hidden], [intermediate] */
    size_t down, down_bias;                 /* [hidden, intermediate], [hidden] */
    size_t output_gain, output_shift;       /* [hidden] */
} bert_layer;

typedef struct bert_network {
    cei_network base;
    size_t intermediate, heads, layer_count;
    float epsilon;
    cei_function function;
    size_t word, position, type, norm_gain, norm_shift;
    bert_layer layers[]; /* [layer_count] */
} bert_network;

/* ---- weights ------------------------------------------------------------------------------------------------ */

/* Collects the weights of one network; after a failure the rest does nothing. */
typedef struct declaration {
    cei_plan *plan;
    const char *prefix; /* of all names: "bert." where a head was saved with the encoder, else "" */
    ce_status status;
    ce_error *error;
} declaration;

static size_t declare(declaration *to, cei_role role, size_t columns, size_t rows, const char *format, ...)
    CE_PRINTF(5, 6);

static size_t declare(declaration *to, cei_role role, size_t columns, size_t rows, const char *format, ...) {
    char name[256];
    const int prefix = snprintf(name, sizeof name, "%s", to->prefix);
    va_list args;
    va_start(args, format);
    vsnprintf(name + prefix, sizeof name - (size_t)prefix, format, args);
    va_end(args);
    size_t index = 0;
    const char *names[] = {name};
    if (to->status == CE_OK) to->status = cei_plan_add(to->plan, role, columns, 1, names, &rows, &index, to->error);
    return index;
}

/* Count of queries, keys and values, from the part first on, in one product: tensors stacked into one weight. */
static size_t declare_qkv(declaration *to, cei_role role, size_t hidden, size_t layer, const char *kind, size_t first,
                          size_t count) {
    static const char *const parts[] = {"query", "key", "value"};
    char text[3][256];
    const char *names[3];
    size_t rows[3] = {hidden, hidden, hidden}, index = 0;
    for (size_t i = 0; i < count; i++) {
        snprintf(text[i], sizeof text[i], "%sencoder.layer.%zu.attention.self.%s.%s", to->prefix, layer,
                 parts[first + i], kind);
        names[i] = text[i];
    }
    if (to->status == CE_OK)
        to->status =
            cei_plan_add(to->plan, role, role == CEI_ROLE_VECTOR ? 1 : hidden, count, names, rows, &index, to->error);
    return index;
}

static void declare_layer(declaration *to, const bert_network *net, size_t i, bert_layer *layer) {
    const cei_role matrix = CEI_ROLE_MATRIX, vector = CEI_ROLE_VECTOR;
    size_t hidden = net->base.hidden, inner = net->intermediate;
    static const char prefix[] = "encoder.layer";
    const size_t alone = net->base.first_only && i + 1 == net->layer_count; /* parts that are a product of their own */
    if (alone) {
        layer->query = declare_qkv(to, matrix, hidden, i, "weight", 0, 1);
        layer->query_bias = declare_qkv(to, vector, hidden, i, "bias", 0, 1);
    }
    layer->qkv = declare_qkv(to, matrix, hidden, i, "weight", alone, 3 - alone);
    layer->qkv_bias = declare_qkv(to, vector, hidden, i, "bias", alone, 3 - alone);
    layer->attention = declare(to, matrix, hidden, hidden, "%s.%zu.attention.output.dense.weight", prefix, i);
    layer->attention_bias = declare(to, vector, 1, hidden, "%s.%zu.attention.output.dense.bias", prefix, i);
    layer->attention_gain = declare(to, vector, 1, hidden, "%s.%zu.attention.output.LayerNorm.weight", prefix, i);
    layer->attention_shift = declare(to, vector, 1, hidden, "%s.%zu.attention.output.LayerNorm.bias", prefix, i);
    layer->up = declare(to, matrix, hidden, inner, "%s.%zu.intermediate.dense.weight", prefix, i);
    layer->up_bias = declare(to, vector, 1, inner, "%s.%zu.intermediate.dense.bias", prefix, i);
    layer->down = declare(to, matrix, inner, hidden, "%s.%zu.output.dense.weight", prefix, i);
    layer->down_bias = declare(to, vector, 1, hidden, "%s.%zu.output.dense.bias", prefix, i);
    layer->output_gain = declare(to, vector, 1, hidden, "%s.%zu.output.LayerNorm.weight", prefix, i);
    layer->output_shift = declare(to, vector, 1, hidden, "%s.%zu.output.LayerNorm.bias", prefix, i);
}

/* Writers leave the prefix out where they save the encoder alone. */
static const char *prefix_in(const cei_checkpoint *checkpoint) {
    return cei_checkpoint_find(checkpoint, "embeddings.word_embeddings.weight") ? "" : "bert.";
}

static ce_status declare_all(const cei_config *config, const cei_checkpoint *checkpoint, cei_plan *plan,
                             bert_network *net, ce_error *error) {
    declaration to = {plan, prefix_in(checkpoint), CE_OK, error};
    const cei_role vector = CEI_ROLE_VECTOR, table = CEI_ROLE_TABLE;
    size_t hidden = net->base.hidden;
    net->word = declare(&to, table, hidden, config->vocab_size, "embeddings.word_embeddings.weight");
    net->position = declare(&to, table, hidden, config->max_positions, "embeddings.position_embeddings.weight");
    net->type = declare(&to, table, hidden, config->type_vocab_size, "embeddings.token_type_embeddings.weight");
    net->norm_gain = declare(&to, vector, 1, hidden, "embeddings.LayerNorm.weight");
    net->norm_shift = declare(&to, vector, 1, hidden, "embeddings.LayerNorm.bias");
    for (size_t i = 0; i < net->layer_count && to.status == CE_OK; i++) declare_layer(&to, net, i, &net->layers[i]);
    return to.status;
}

/* Pooler: tanh(dense([CLS])). Classifier: dense. */
static ce_status bert_classify(const cei_config *config, cei_plan *plan, cei_network *network, ce_error *error) {
    cei_head *head = &network->head;
    *head = cei_head_pool(network->hidden, &(cei_pooling){CEI_POOL_FIRST}, 1);
    ce_status status = cei_head_add_dense(head, plan, "bert.pooler.dense.weight", "bert.pooler.dense.bias",
                                          network->hidden, CEI_FN_TANH, error);
    return status == CE_OK ? cei_head_add_dense(head, plan, "classifier.weight", "classifier.bias", config->num_labels,
                                                CEI_FN_IDENTITY, error)
                           : status;
}

/* ---- config ------------------------------------------------------------------------------------------------- */

static ce_status require(const cei_config *config, const char *field, size_t value, ce_error *error) {
    if (value > 0) return CE_OK;
    return cei_fail(error, CE_ERR_MODEL, "%s: \"%s\" is missing or 0, and BERT needs it", config->path, field);
}

static ce_status check_config(const cei_config *config, ce_error *error) {
    ce_status status = require(config, "vocab_size", config->vocab_size, error);
    if (status == CE_OK) status = require(config, "hidden_size", config->hidden_size, error);
    if (status == CE_OK) status = require(config, "num_hidden_layers", config->layers, error);
    if (status == CE_OK) status = require(config, "num_attention_heads", config->heads, error);
    if (status == CE_OK) status = require(config, "intermediate_size", config->intermediate_size, error);
    if (status == CE_OK) status = require(config, "max_position_embeddings", config->max_positions, error);
    if (status == CE_OK) status = require(config, "type_vocab_size", config->type_vocab_size, error);
    if (status != CE_OK) return status;
    if (config->hidden_size % config->heads != 0)
        return cei_fail(error, CE_ERR_MODEL, "%s: hidden_size %zu is not a multiple of num_attention_heads %zu",
                        config->path, config->hidden_size, config->heads);
    if (strcmp(config->position_embedding, "absolute") != 0)
        return cei_fail(error, CE_ERR_UNSUPPORTED, "%s: position_embedding_type \"%.64s\"; supported: absolute",
                        config->path, config->position_embedding);
    if (config->is_decoder)
        return cei_fail(error, CE_ERR_UNSUPPORTED, "%s: is_decoder is true; only encoders are supported", config->path);
    return CE_OK;
}

/* A config that asks for an absurd number of layers must not make us allocate for them: each layer needs a tensor. */
static ce_status check_layers(const cei_config *config, const cei_checkpoint *checkpoint, ce_error *error) {
    if (config->layers <= cei_checkpoint_count(checkpoint)) return CE_OK;
    return cei_fail(error, CE_ERR_MODEL, "%s: num_hidden_layers is %zu, and %s has only %zu tensors", config->path,
                    config->layers, cei_checkpoint_path(checkpoint), cei_checkpoint_count(checkpoint));
}

static ce_status bert_create(const cei_config *config, const cei_checkpoint *checkpoint, bool first_only,
                             cei_plan *plan, cei_network **network, ce_error *error) {
    *network = NULL;
    ce_status status = check_config(config, error);
    if (status == CE_OK) status = check_layers(config, checkpoint, error);
    if (status != CE_OK) return status;
    size_t bytes;
    bert_network *net = NULL;
    if (cei_mul_size(config->layers, sizeof(bert_layer), &bytes) && cei_add_size(bytes, sizeof *net, &bytes))
        net = cei_alloc_zeroed(1, bytes);
    if (!net) return cei_fail_memory(error, "the network", bytes);
    net->intermediate = config->intermediate_size;
    net->heads = config->heads;
    net->layer_count = config->layers;
    net->epsilon = (float)config->layer_norm_eps;
    net->function = config->hidden_act;
    net->base.architecture = &cei_bert;
    net->base.hidden = config->hidden_size;
    net->base.first_only = first_only;
    net->base.head_size = config->hidden_size / net->heads;
    net->base.widest = cei_max_size(3 * config->hidden_size, net->intermediate);
    status = declare_all(config, checkpoint, plan, net, error);
    if (status != CE_OK) {
        cei_free(net);
        return status;
    }
    *network = &net->base;
    return CE_OK;
}

/* ---- workspace ---------------------------------------------------------------------------------------------- */

/* Where a batch's activations are, as offsets into the workspace. */
typedef struct bert_layout {
    size_t ids, positions, types;      /* int32 [tokens] */
    size_t offsets;                    /* int32 [sequences + 1]; the first [sequences] are the rows of [CLS] */
    size_t hidden, context, projected; /* [tokens, hidden] */
    size_t wide;                       /* [tokens, max(3 hidden, intermediate)] */
    size_t first;                      /* [sequences, hidden] of [CLS] alone */
    size_t bytes;                      /* of all; 0 on overflow */
} bert_layout;

/* Reserves rows * columns elements of 4 bytes, aligned. */
static size_t reserve(bert_layout *layout, size_t rows, size_t columns, bool *fits) {
    size_t bytes, at = layout->bytes;
    *fits = *fits && cei_mul_size(rows, columns, &bytes) && cei_mul_size(bytes, 4, &bytes) &&
            cei_add_size(bytes, CEI_BUFFER_ALIGNMENT - 1, &bytes) &&
            cei_add_size(at, bytes & ~(size_t)(CEI_BUFFER_ALIGNMENT - 1), &layout->bytes);
    return at;
}

static bert_layout lay_out(const bert_network *net, size_t tokens, size_t sequences) {
    bert_layout layout = {0};
    const size_t hidden = net->base.hidden;
    bool fits = true;
    layout.ids = reserve(&layout, tokens, 1, &fits);
    layout.positions = reserve(&layout, tokens, 1, &fits);
    layout.types = reserve(&layout, tokens, 1, &fits);
    layout.offsets = reserve(&layout, sequences + 1, 1, &fits);
    layout.hidden = reserve(&layout, tokens, hidden, &fits);
    layout.context = reserve(&layout, tokens, hidden, &fits);
    layout.projected = reserve(&layout, tokens, hidden, &fits);
    layout.wide = reserve(&layout, tokens, cei_max_size(3 * hidden, net->intermediate), &fits);
    layout.first = reserve(&layout, net->base.first_only ? sequences : 0, hidden, &fits);
    if (!fits) layout.bytes = 0;
    return layout;
}

static size_t bert_workspace(const cei_network *network, size_t tokens, size_t sequences) {
    return lay_out((const bert_network *)network, tokens, sequences).bytes;
}

/* ---- forward ------------------------------------------------------------------------------------------------ */

/* One run over a batch. rows shrinks to one a sequence where the rest reads no other token. */
typedef struct bert_run {
    const bert_network *net;
    const cei_run *run;
    bert_layout at;
    size_t rows;
    ce_error *error;
} bert_run;

static cei_slice slice(const bert_run *run, size_t offset) { return (cei_slice){run->run->workspace, offset}; }

static ce_status send_batch(const bert_run *run) {
    const cei_batch *batch = run->run->batch;
    const struct {
        size_t to;
        const int32_t *from;
        size_t count;
    } parts[] = {{run->at.ids, batch->ids, batch->tokens},
                 {run->at.types, batch->types, batch->tokens},
                 {run->at.positions, batch->positions, batch->tokens},
                 {run->at.offsets, batch->offsets, batch->sequences + 1}};
    ce_status status = CE_OK;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && status == CE_OK; i++)
        status = cei_write(run->run->stream, slice(run, parts[i].to), parts[i].from, parts[i].count * sizeof(int32_t),
                           run->error);
    return status;
}

static ce_status linear(const bert_run *run, size_t rows, size_t x, size_t weight, size_t bias, cei_function function,
                        size_t out) {
    const cei_weight *weights = run->run->weights;
    cei_linear_args args = {rows, slice(run, x), &weights[weight], &weights[bias], function, slice(run, out)};
    return cei_linear(run->run->stream, &args, run->error);
}

/* hidden = norm(x + residual); residual may be NULL. */
static ce_status norm(const bert_run *run, size_t x, const size_t *residual, size_t gain, size_t shift) {
    cei_slice other = residual ? slice(run, *residual) : (cei_slice){0};
    cei_norm_args args = {run->rows,
                          slice(run, x),
                          residual ? &other : NULL,
                          &run->run->weights[gain],
                          &run->run->weights[shift],
                          run->net->epsilon,
                          slice(run, run->at.hidden)};
    return cei_norm(run->run->stream, &args, run->error);
}

static ce_status embed(const bert_run *run) {
    const bert_network *net = run->net;
    const cei_weight *weights = run->run->weights;
    cei_embed_args args = {run->run->batch->tokens,   slice(run, run->at.ids),      slice(run, run->at.positions),
                           slice(run, run->at.types), &weights[net->word],          &weights[net->position],
                           &weights[net->type],       slice(run, run->at.projected)};
    ce_status status = cei_embed(run->run->stream, &args, run->error);
    return status == CE_OK ? norm(run, run->at.projected, NULL, net->norm_gain, net->norm_shift) : status;
}

/* What attention takes but for its operands. */
static cei_attention_args attention_args(const bert_run *run) {
    const cei_batch *batch = run->run->batch;
    const size_t size = run->net->base.head_size;
    return (cei_attention_args){.tokens = batch->tokens,
                                .sequences = batch->sequences,
                                .longest = batch->longest,
                                .offsets = slice(run, run->at.offsets),
                                .heads = run->net->heads,
                                .head_size = size,
                                .scale = 1.0f / sqrtf((float)size),
                                .out = slice(run, run->at.context),
                                .precision = run->net->base.precision};
}

/* context = attention over hidden. */
static ce_status attend(const bert_run *run, const bert_layer *layer) {
    ce_status status =
        linear(run, run->rows, run->at.hidden, layer->qkv, layer->qkv_bias, CEI_FN_IDENTITY, run->at.wide);
    if (status != CE_OK) return status;
    cei_attention_args args = attention_args(run);
    cei_attention_take_qkv(&args, slice(run, run->at.wide));
    return cei_attention(run->run->stream, &args, run->error);
}

/* Copies the rows of [CLS] to first, for which hidden stands from then on. */
static ce_status take_first(bert_run *run) {
    const size_t hidden = run->net->base.hidden, sequences = run->run->batch->sequences;
    const cei_gather_args gather = {sequences, hidden, slice(run, run->at.hidden), slice(run, run->at.offsets),
                                    slice(run, run->at.first)};
    run->at.hidden = run->at.first;
    run->rows = sequences;
    return cei_gather(run->run->stream, &gather, run->error);
}

/* The same as attend where queries are a product of their own; first: of [CLS] alone, which leaves one row a sequence
 * in context and hidden. projected is free before. */
static ce_status attend_apart(bert_run *run, const bert_layer *layer, bool first) {
    const size_t hidden = run->net->base.hidden;
    ce_status status =
        linear(run, run->rows, run->at.hidden, layer->qkv, layer->qkv_bias, CEI_FN_IDENTITY, run->at.wide);
    if (status == CE_OK && first) status = take_first(run);
    if (status == CE_OK)
        status =
            linear(run, run->rows, run->at.hidden, layer->query, layer->query_bias, CEI_FN_IDENTITY, run->at.projected);
    if (status != CE_OK) return status;
    cei_attention_args args = attention_args(run);
    args.first_only = first;
    args.q = (cei_strided){slice(run, run->at.projected), hidden};
    args.k = (cei_strided){slice(run, run->at.wide), 2 * hidden};
    args.v = (cei_strided){slice(run, run->at.wide + hidden * sizeof(float)), 2 * hidden};
    return cei_attention(run->run->stream, &args, run->error);
}

static ce_status feed_forward(const bert_run *run, const bert_layer *layer) {
    const bert_network *net = run->net;
    ce_status status = linear(run, run->rows, run->at.context, layer->attention, layer->attention_bias, CEI_FN_IDENTITY,
                              run->at.projected);
    if (status == CE_OK)
        status = norm(run, run->at.projected, &run->at.hidden, layer->attention_gain, layer->attention_shift);
    if (status == CE_OK)
        status = linear(run, run->rows, run->at.hidden, layer->up, layer->up_bias, net->function, run->at.wide);
    if (status == CE_OK)
        status =
            linear(run, run->rows, run->at.wide, layer->down, layer->down_bias, CEI_FN_IDENTITY, run->at.projected);
    if (status == CE_OK)
        status = norm(run, run->at.projected, &run->at.hidden, layer->output_gain, layer->output_shift);
    return status;
}

static ce_status bert_encode(const cei_run *whole, cei_states *states, ce_error *error) {
    const bert_network *net = (const bert_network *)whole->network;
    const cei_batch *batch = whole->batch;
    bert_run run = {net, whole, lay_out(net, batch->tokens, batch->sequences), batch->tokens, error};
    const bool apart = net->base.first_only, first = apart && !whole->states;
    ce_status status = send_batch(&run);
    if (status == CE_OK) status = embed(&run);
    for (size_t i = 0; i < net->layer_count && status == CE_OK; i++) {
        const bert_layer *layer = &net->layers[i];
        status = apart && i + 1 == net->layer_count ? attend_apart(&run, layer, first) : attend(&run, layer);
        if (status == CE_OK) status = feed_forward(&run, layer);
    }
    states->at = slice(&run, run.at.hidden);
    states->offsets = slice(&run, run.at.offsets);
    states->first_only = first;
    return status;
}

const cei_architecture cei_bert = {
    .model_type = "bert",
    .encoder = "BertModel",
    .classifier = "BertForSequenceClassification",
    .ops = 1u << CEI_OP_EMBED | 1u << CEI_OP_NORM | 1u << CEI_OP_LINEAR | 1u << CEI_OP_ATTENTION | 1u << CEI_OP_GATHER,
    .create = bert_create,
    .classify = bert_classify,
    .workspace = bert_workspace,
    .encode = bert_encode,
};
