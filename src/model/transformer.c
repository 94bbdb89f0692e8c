/* transformer.c - the encoder that BERT and its kin share.
 *
 * Embeddings: word + token type + absolute position, layer norm, and a dense layer where they are narrower than the
 * rest. Each layer: self-attention, dense, residual + norm; feed-forward, dense, residual + norm. */
#include "model/transformer.h"

#include "base/error.h"
#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Indices of one layer's weights in the plan. Where the head reads [CLS] alone, the last layer's queries are a product
 * of their own, over fewer rows than the others'. */
typedef struct layer_weights {
    size_t query, query_bias;               /* [hidden, hidden], [hidden]: of a last layer for [CLS] alone */
    size_t qkv, qkv_bias;                   /* [3 hidden, hidden], [3 hidden]; there without queries */
    size_t attention, attention_bias;       /* [hidden, hidden], [hidden] */
    size_t attention_gain, attention_shift; /* [hidden] */
    size_t up, up_bias;                     /* [intermediate, hidden], [intermediate] */
    size_t down, down_bias;                 /* [hidden, intermediate], [hidden] */
    size_t output_gain, output_shift;       /* [hidden] */
} layer_weights;

typedef struct transformer_network {
    cei_network base;
    size_t intermediate, heads, layer_count;
    float epsilon;
    cei_function function;
    size_t word, position, type, norm_gain, norm_shift;
    size_t project, project_bias; /* [hidden, embedding], [hidden], if embedding is not hidden */
    size_t embedding;             /* columns of the embedding tables */
    layer_weights layers[];       /* [layer_count] */
} transformer_network;

/* ---- weights ------------------------------------------------------------------------------------------------ */

/* Collects the weights of one network; after a failure the rest does nothing. */
typedef struct declaration {
    cei_plan *plan;
    const cei_transformer_form *form;
    const char *prefix; /* of all names: the form's, or "" where the encoder was saved alone */
    ce_status status;
    ce_error *error;
} declaration;

enum { STEM_SIZE = 160, NAME_SIZE = 256 };

/* PREFIX STEM.weight or .bias into name; of a layer, PREFIX LAYER.index.STEM. */
static void make_name(const declaration *to, const char *stem, const char *kind, char name[NAME_SIZE]) {
    snprintf(name, NAME_SIZE, "%.32s%.*s.%.16s", to->prefix, STEM_SIZE, stem, kind);
}

static void make_stem(const declaration *to, size_t layer, const char *part, char stem[STEM_SIZE]) {
    snprintf(stem, STEM_SIZE, "%.48s.%zu.%.80s", to->form->names.layer, layer, part);
}

/* Count of tensors of equal width, stacked into one weight of rows each. */
static size_t declare_stacked(declaration *to, cei_role role, size_t columns, size_t rows, size_t count,
                              const char *const *stems, const char *kind) {
    char text[3][NAME_SIZE];
    const char *names[3];
    size_t heights[3], index = 0;
    for (size_t i = 0; i < count; i++) {
        make_name(to, stems[i], kind, text[i]);
        names[i] = text[i];
        heights[i] = rows;
    }
    if (to->status == CE_OK)
        to->status = cei_plan_add(to->plan, role, columns, count, names, heights, &index, to->error);
    return index;
}

static size_t declare(declaration *to, cei_role role, size_t columns, size_t rows, const char *stem, const char *kind) {
    return declare_stacked(to, role, columns, rows, 1, &stem, kind);
}

/* A matrix [rows, columns] and its bias [rows]; or a norm's gain and shift. */
typedef struct weight_pair {
    size_t *weight, *bias;
} weight_pair;

static void declare_dense(declaration *to, size_t columns, size_t rows, const char *stem, weight_pair pair) {
    *pair.weight = declare(to, CEI_ROLE_MATRIX, columns, rows, stem, "weight");
    *pair.bias = declare(to, CEI_ROLE_VECTOR, 1, rows, stem, "bias");
}

static void declare_norm(declaration *to, size_t columns, const char *stem, weight_pair pair) {
    *pair.weight = declare(to, CEI_ROLE_VECTOR, 1, columns, stem, "weight");
    *pair.bias = declare(to, CEI_ROLE_VECTOR, 1, columns, stem, "bias");
}

/* Queries, keys and values, from the part first on, in one product. */
static void declare_qkv(declaration *to, size_t hidden, size_t layer, size_t first, size_t count, weight_pair pair) {
    const cei_transformer_names *names = &to->form->names;
    const char *const parts[] = {names->query, names->key, names->value};
    char text[3][STEM_SIZE];
    const char *stems[3];
    for (size_t i = 0; i < count; i++) {
        make_stem(to, layer, parts[first + i], text[i]);
        stems[i] = text[i];
    }
    *pair.weight = declare_stacked(to, CEI_ROLE_MATRIX, hidden, hidden, count, stems, "weight");
    *pair.bias = declare_stacked(to, CEI_ROLE_VECTOR, 1, hidden, count, stems, "bias");
}

static void declare_layer(declaration *to, const transformer_network *net, size_t i, layer_weights *layer) {
    const cei_transformer_names *names = &to->form->names;
    const size_t hidden = net->base.hidden, inner = net->intermediate;
    const size_t alone = net->base.first_only && i + 1 == net->layer_count; /* parts that are a product of their own */
    char stem[STEM_SIZE];
    if (alone) declare_qkv(to, hidden, i, 0, 1, (weight_pair){&layer->query, &layer->query_bias});
    declare_qkv(to, hidden, i, alone, 3 - alone, (weight_pair){&layer->qkv, &layer->qkv_bias});
    make_stem(to, i, names->attention, stem);
    declare_dense(to, hidden, hidden, stem, (weight_pair){&layer->attention, &layer->attention_bias});
    make_stem(to, i, names->attention_norm, stem);
    declare_norm(to, hidden, stem, (weight_pair){&layer->attention_gain, &layer->attention_shift});
    make_stem(to, i, names->up, stem);
    declare_dense(to, hidden, inner, stem, (weight_pair){&layer->up, &layer->up_bias});
    make_stem(to, i, names->down, stem);
    declare_dense(to, inner, hidden, stem, (weight_pair){&layer->down, &layer->down_bias});
    make_stem(to, i, names->output_norm, stem);
    declare_norm(to, hidden, stem, (weight_pair){&layer->output_gain, &layer->output_shift});
}

/* Writers leave the prefix out where they save the encoder alone. */
static const char *prefix_in(const cei_checkpoint *checkpoint, const cei_transformer_form *form) {
    return cei_checkpoint_find(checkpoint, "embeddings.word_embeddings.weight") ? "" : form->prefix;
}

static ce_status declare_all(const cei_config *config, const cei_checkpoint *checkpoint,
                             const cei_transformer_form *form, cei_plan *plan, transformer_network *net,
                             ce_error *error) {
    declaration to = {plan, form, prefix_in(checkpoint, form), CE_OK, error};
    const cei_role table = CEI_ROLE_TABLE;
    const size_t columns = net->embedding;
    net->word = declare(&to, table, columns, config->vocab_size, "embeddings.word_embeddings", "weight");
    net->position = declare(&to, table, columns, config->max_positions, "embeddings.position_embeddings", "weight");
    if (net->base.types)
        net->type = declare(&to, table, columns, config->type_vocab_size, "embeddings.token_type_embeddings", "weight");
    declare_norm(&to, columns, "embeddings.LayerNorm", (weight_pair){&net->norm_gain, &net->norm_shift});
    if (columns != net->base.hidden)
        declare_dense(&to, columns, net->base.hidden, "embeddings_project",
                      (weight_pair){&net->project, &net->project_bias});
    for (size_t i = 0; i < net->layer_count && to.status == CE_OK; i++) declare_layer(&to, net, i, &net->layers[i]);
    return to.status;
}

/* ---- config ------------------------------------------------------------------------------------------------- */

static ce_status require(const cei_config *config, const char *field, size_t value, ce_error *error) {
    if (value > 0) return CE_OK;
    return cei_fail(error, CE_ERR_MODEL, "%s: \"%s\" is missing or 0, and the model needs it", config->path, field);
}

static ce_status check_config(const cei_config *config, const cei_transformer_form *form, ce_error *error) {
    ce_status status = require(config, "vocab_size", config->vocab_size, error);
    if (status == CE_OK) status = require(config, "hidden_size", config->hidden_size, error);
    if (status == CE_OK) status = require(config, "num_hidden_layers", config->layers, error);
    if (status == CE_OK) status = require(config, "num_attention_heads", config->heads, error);
    if (status == CE_OK) status = require(config, "intermediate_size", config->intermediate_size, error);
    if (status == CE_OK) status = require(config, "max_position_embeddings", config->max_positions, error);
    if (status == CE_OK && form->has_types) status = require(config, "type_vocab_size", config->type_vocab_size, error);
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

/* Where positions begin: at 0, or behind the padding token's id, whose row is the padding's own. */
static ce_status set_positions(const cei_config *config, const cei_transformer_form *form, cei_network *network,
                               ce_error *error) {
    const size_t padding = config->pad_token_id < CEI_NO_TOKEN ? config->pad_token_id : form->padding_id;
    network->padding_id = form->skips_padding ? (int32_t)padding : -1;
    network->positions = config->max_positions;
    if (!form->skips_padding) return CE_OK;
    if (padding + 1 >= config->max_positions)
        return cei_fail(error, CE_ERR_MODEL, "%s: pad_token_id %zu leaves none of the %zu positions", config->path,
                        padding, config->max_positions);
    network->positions -= padding + 1;
    return CE_OK;
}

ce_status cei_transformer_create(const cei_architecture *self, const cei_config *config,
                                 const cei_checkpoint *checkpoint, bool first_only, cei_plan *plan,
                                 cei_network **network, ce_error *error) {
    const cei_transformer_form *form = self->form;
    *network = NULL;
    ce_status status = check_config(config, form, error);
    if (status == CE_OK) status = check_layers(config, checkpoint, error);
    if (status != CE_OK) return status;
    size_t bytes;
    transformer_network *net = NULL;
    if (cei_mul_size(config->layers, sizeof(layer_weights), &bytes) && cei_add_size(bytes, sizeof *net, &bytes))
        net = cei_alloc_zeroed(1, bytes);
    if (!net) return cei_fail_memory(error, "the network", bytes);
    net->intermediate = config->intermediate_size;
    net->heads = config->heads;
    net->layer_count = config->layers;
    net->epsilon = (float)config->layer_norm_eps;
    net->function = config->hidden_act;
    net->embedding = form->projects && config->embedding_size ? config->embedding_size : config->hidden_size;
    net->base.types = form->has_types ? config->type_vocab_size : 0;
    net->base.architecture = self;
    net->base.hidden = config->hidden_size;
    net->base.first_only = first_only;
    net->base.head_size = config->hidden_size / net->heads;
    net->base.widest = cei_max_size(cei_max_size(3 * config->hidden_size, net->intermediate), net->embedding);
    status = set_positions(config, form, &net->base, error);
    if (status == CE_OK) status = declare_all(config, checkpoint, form, plan, net, error);
    if (status != CE_OK) {
        cei_free(net);
        return status;
    }
    *network = &net->base;
    return CE_OK;
}

/* ---- workspace ---------------------------------------------------------------------------------------------- */

/* Where a batch's activations are, as offsets into the workspace. */
typedef struct encoder_layout {
    size_t ids, positions, types;      /* int32 [tokens] */
    size_t offsets;                    /* int32 [sequences + 1]; the first [sequences] are the rows of [CLS] */
    size_t hidden, context, projected; /* [tokens, hidden] */
    size_t wide;                       /* [tokens, max(3 hidden, intermediate, embedding)] */
    size_t first;                      /* [sequences, hidden] of [CLS] alone */
    size_t bytes;                      /* of all; 0 on overflow */
} encoder_layout;

/* Reserves rows * columns elements of 4 bytes, aligned. */
static size_t reserve(encoder_layout *layout, size_t rows, size_t columns, bool *fits) {
    size_t bytes, at = layout->bytes;
    *fits = *fits && cei_mul_size(rows, columns, &bytes) && cei_mul_size(bytes, 4, &bytes) &&
            cei_add_size(bytes, CEI_BUFFER_ALIGNMENT - 1, &bytes) &&
            cei_add_size(at, bytes & ~(size_t)(CEI_BUFFER_ALIGNMENT - 1), &layout->bytes);
    return at;
}

static encoder_layout lay_out(const transformer_network *net, size_t tokens, size_t sequences) {
    encoder_layout at = {0};
    const size_t hidden = net->base.hidden;
    bool fits = true;
    at.ids = reserve(&at, tokens, 1, &fits);
    at.positions = reserve(&at, tokens, 1, &fits);
    at.types = reserve(&at, tokens, 1, &fits);
    at.offsets = reserve(&at, sequences + 1, 1, &fits);
    at.hidden = reserve(&at, tokens, hidden, &fits);
    at.context = reserve(&at, tokens, hidden, &fits);
    at.projected = reserve(&at, tokens, hidden, &fits);
    at.wide = reserve(&at, tokens, net->base.widest, &fits);
    at.first = reserve(&at, net->base.first_only ? sequences : 0, hidden, &fits);
    if (!fits) at.bytes = 0;
    return at;
}

size_t cei_transformer_workspace(const cei_network *network, size_t tokens, size_t sequences) {
    return lay_out((const transformer_network *)network, tokens, sequences).bytes;
}

/* ---- forward ------------------------------------------------------------------------------------------------ */

/* One run over a batch. rows shrinks to one a sequence where the rest reads no other token. */
typedef struct encoder_run {
    const transformer_network *net;
    const cei_run *run;
    encoder_layout at;
    size_t rows;
    ce_error *error;
} encoder_run;

static cei_slice slice(const encoder_run *run, size_t offset) { return (cei_slice){run->run->workspace, offset}; }

static ce_status send_batch(const encoder_run *run) {
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

static ce_status linear(const encoder_run *run, size_t rows, size_t x, size_t weight, size_t bias,
                        cei_function function, size_t out) {
    const cei_weight *weights = run->run->weights;
    cei_linear_args args = {rows, slice(run, x), &weights[weight], &weights[bias], function, slice(run, out)};
    return cei_linear(run->run->stream, &args, run->error);
}

/* out = norm(x + residual); residual may be NULL. */
static ce_status norm(const encoder_run *run, size_t x, const size_t *residual, size_t gain, size_t shift, size_t out) {
    cei_slice other = residual ? slice(run, *residual) : (cei_slice){0};
    cei_norm_args args = {.rows = run->rows,
                          .x = slice(run, x),
                          .residual = residual ? &other : NULL,
                          .gain = &run->run->weights[gain],
                          .bias = &run->run->weights[shift],
                          .epsilon = run->net->epsilon,
                          .out = slice(run, out)};
    return cei_norm(run->run->stream, &args, run->error);
}

static ce_status embed(const encoder_run *run) {
    const transformer_network *net = run->net;
    const cei_weight *weights = run->run->weights;
    const bool projects = net->embedding != net->base.hidden;
    /* Narrow or wide, embeddings go where there is room for either. */
    const size_t sum = run->at.wide, normed = projects ? run->at.wide : run->at.hidden;
    cei_embed_args args = {.tokens = run->run->batch->tokens,
                           .ids = slice(run, run->at.ids),
                           .positions = slice(run, run->at.positions),
                           .types = slice(run, run->at.types),
                           .word = &weights[net->word],
                           .position = &weights[net->position],
                           .type = net->base.types ? &weights[net->type] : NULL,
                           .out = slice(run, sum)};
    ce_status status = cei_embed(run->run->stream, &args, run->error);
    if (status == CE_OK) status = norm(run, sum, NULL, net->norm_gain, net->norm_shift, normed);
    if (status == CE_OK && projects)
        status = linear(run, run->rows, normed, net->project, net->project_bias, CEI_FN_IDENTITY, run->at.hidden);
    return status;
}

/* What attention takes but for its operands. */
static cei_attention_args attention_args(const encoder_run *run) {
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
static ce_status attend(const encoder_run *run, const layer_weights *layer) {
    ce_status status =
        linear(run, run->rows, run->at.hidden, layer->qkv, layer->qkv_bias, CEI_FN_IDENTITY, run->at.wide);
    if (status != CE_OK) return status;
    cei_attention_args args = attention_args(run);
    cei_attention_take_qkv(&args, slice(run, run->at.wide));
    return cei_attention(run->run->stream, &args, run->error);
}

/* Copies the rows of [CLS] to first, for which hidden stands from then on. */
static ce_status take_first(encoder_run *run) {
    const size_t hidden = run->net->base.hidden, sequences = run->run->batch->sequences;
    const cei_gather_args gather = {sequences, hidden, slice(run, run->at.hidden), slice(run, run->at.offsets),
                                    slice(run, run->at.first)};
    run->at.hidden = run->at.first;
    run->rows = sequences;
    return cei_gather(run->run->stream, &gather, run->error);
}

/* The same as attend where queries are a product of their own; first: of [CLS] alone, which leaves one row a sequence
 * in context and hidden. projected is free before. */
static ce_status attend_apart(encoder_run *run, const layer_weights *layer, bool first) {
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

static ce_status feed_forward(const encoder_run *run, const layer_weights *layer) {
    const transformer_network *net = run->net;
    ce_status status = linear(run, run->rows, run->at.context, layer->attention, layer->attention_bias, CEI_FN_IDENTITY,
                              run->at.projected);
    if (status == CE_OK)
        status = norm(run, run->at.projected, &run->at.hidden, layer->attention_gain, layer->attention_shift,
                      run->at.hidden);
    if (status == CE_OK)
        status = linear(run, run->rows, run->at.hidden, layer->up, layer->up_bias, net->function, run->at.wide);
    if (status == CE_OK)
        status =
            linear(run, run->rows, run->at.wide, layer->down, layer->down_bias, CEI_FN_IDENTITY, run->at.projected);
    if (status == CE_OK)
        status = norm(run, run->at.projected, &run->at.hidden, layer->output_gain, layer->output_shift, run->at.hidden);
    return status;
}

ce_status cei_transformer_encode(const cei_run *whole, cei_states *states, ce_error *error) {
    const transformer_network *net = (const transformer_network *)whole->network;
    const cei_batch *batch = whole->batch;
    encoder_run run = {net, whole, lay_out(net, batch->tokens, batch->sequences), batch->tokens, error};
    const bool apart = net->base.first_only, first = apart && !whole->states;
    ce_status status = send_batch(&run);
    if (status == CE_OK) status = embed(&run);
    for (size_t i = 0; i < net->layer_count && status == CE_OK; i++) {
        const layer_weights *layer = &net->layers[i];
        status = apart && i + 1 == net->layer_count ? attend_apart(&run, layer, first) : attend(&run, layer);
        if (status == CE_OK) status = feed_forward(&run, layer);
    }
    states->at = slice(&run, run.at.hidden);
    states->offsets = slice(&run, run.at.offsets);
    states->first_only = first;
    return status;
}
