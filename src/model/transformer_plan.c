/* transformer_plan.c - from a config to a transformer: checks, sizes, and the weights that it declares. */
#include "model/transformer_network.h"

#include "base/error.h"
#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- weights ------------------------------------------------------------------------------------------------ */

/* Collects the weights of one network; after a failure the rest does nothing. */
typedef struct declaration {
    cei_plan *plan;
    const cei_transformer_form *form;
    cei_transformer_biases biases;
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

static size_t declare_table(declaration *to, size_t columns, size_t rows, const char *stem) {
    return declare_stacked(to, CEI_ROLE_TABLE, columns, rows, 1, &stem, "weight");
}

/* Matrices [rows, columns] of these parts of a layer, one above the other, and their biases. */
static cei_weight_pair declare_parts(declaration *to, size_t layer, size_t columns, size_t rows, size_t count,
                                     const char *const *parts, bool has_bias) {
    char text[3][STEM_SIZE];
    const char *stems[3];
    cei_weight_pair pair = {.has_bias = has_bias};
    for (size_t i = 0; i < count; i++) {
        make_stem(to, layer, parts[i], text[i]);
        stems[i] = text[i];
    }
    pair.weight = declare_stacked(to, CEI_ROLE_MATRIX, columns, rows, count, stems, "weight");
    if (has_bias) pair.bias = declare_stacked(to, CEI_ROLE_VECTOR, 1, rows, count, stems, "bias");
    return pair;
}

static cei_weight_pair declare_norm(declaration *to, size_t columns, const char *stem) {
    cei_weight_pair pair = {.has_bias = to->biases.norm};
    pair.weight = declare_stacked(to, CEI_ROLE_VECTOR, 1, columns, 1, &stem, "weight");
    if (pair.has_bias) pair.bias = declare_stacked(to, CEI_ROLE_VECTOR, 1, columns, 1, &stem, "bias");
    return pair;
}

static cei_weight_pair declare_layer_norm(declaration *to, size_t hidden, size_t layer, const char *part) {
    char stem[STEM_SIZE];
    make_stem(to, layer, part, stem);
    return declare_norm(to, hidden, stem);
}

/* Queries, keys and values in one product; or queries apart from the rest, of a last layer. */
static void declare_qkv(declaration *to, const cei_transformer *net, size_t i, cei_layer_weights *layer) {
    const cei_transformer_names *names = &to->form->names;
    const char *const parts[] = {names->query, names->key, names->value};
    const size_t hidden = net->base.hidden;
    if (net->fused) {
        layer->qkv = declare_parts(to, i, hidden, 3 * hidden, 1, parts, to->biases.query);
        return;
    }
    const size_t alone = net->base.first_only && i + 1 == net->layer_count;
    if (alone) layer->query = declare_parts(to, i, hidden, hidden, 1, parts, to->biases.query);
    layer->qkv = declare_parts(to, i, hidden, hidden, 3 - alone, parts + alone, to->biases.query);
}

static void declare_up(declaration *to, const cei_transformer *net, size_t i, cei_layer_weights *layer) {
    const cei_transformer_names *names = &to->form->names;
    const char *const both[] = {names->gate, names->up};
    const size_t hidden = net->base.hidden, inner = net->intermediate;
    if (names->gate)
        layer->up = declare_parts(to, i, hidden, inner, 2, both, to->biases.up);
    else
        layer->up = declare_parts(to, i, hidden, net->gated ? 2 * inner : inner, 1, &names->up, to->biases.up);
}

static void declare_layer(declaration *to, const cei_transformer *net, size_t i, cei_layer_weights *layer) {
    const cei_transformer_names *names = &to->form->names;
    const size_t hidden = net->base.hidden, inner = net->intermediate;
    declare_qkv(to, net, i, layer);
    layer->attention = declare_parts(to, i, hidden, hidden, 1, &names->attention, to->biases.attention);
    layer->attention_norm = declare_layer_norm(to, hidden, i, names->attention_norm);
    declare_up(to, net, i, layer);
    layer->down = declare_parts(to, i, inner, hidden, 1, &names->down, to->biases.down);
    if (!net->pre_norm)
        layer->output_norm = declare_layer_norm(to, hidden, i, names->output_norm);
    else if (i + 1 < net->layer_count)
        layer->output_norm = declare_layer_norm(to, hidden, i + 1, names->output_norm);
    else
        layer->output_norm = declare_norm(to, hidden, names->final_norm);
}

/* Writers leave the prefix out where they save the encoder alone. */
static const char *prefix_in(const cei_checkpoint *checkpoint, const cei_transformer_form *form) {
    char name[NAME_SIZE];
    snprintf(name, sizeof name, "%.64s.weight", form->names.word);
    return cei_checkpoint_find(checkpoint, name) ? "" : form->prefix;
}

static cei_transformer_biases biases_of(const cei_transformer_form *form, const cei_config *config) {
    cei_transformer_biases biases = form->biases;
    if (!form->asks_biases) return biases;
    biases.query = biases.attention = config->attention_bias;
    biases.up = biases.down = config->mlp_bias;
    biases.norm = config->norm_bias;
    return biases;
}

static ce_status declare_all(const cei_config *config, const cei_checkpoint *checkpoint,
                             const cei_transformer_form *form, cei_plan *plan, cei_transformer *net, ce_error *error) {
    declaration to = {plan, form, biases_of(form, config), prefix_in(checkpoint, form), CE_OK, error};
    const size_t columns = net->embedding;
    net->word = declare_table(&to, columns, config->vocab_size, form->names.word);
    if (form->theta == 0)
        net->position = declare_table(&to, columns, config->max_positions, "embeddings.position_embeddings");
    if (net->base.types)
        net->type = declare_table(&to, columns, config->type_vocab_size, "embeddings.token_type_embeddings");
    net->embedding_norm = declare_norm(&to, columns, form->names.embedding_norm);
    if (columns != net->base.hidden) {
        static const char *const stem = "embeddings_project";
        net->project.has_bias = true;
        net->project.weight = declare_stacked(&to, CEI_ROLE_MATRIX, columns, net->base.hidden, 1, &stem, "weight");
        net->project.bias = declare_stacked(&to, CEI_ROLE_VECTOR, 1, net->base.hidden, 1, &stem, "bias");
    }
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
    if (form->theta > 0 && config->hidden_size / config->heads % 2 != 0)
        return cei_fail(error, CE_ERR_MODEL, "%s: heads of %zu columns cannot be turned in pairs", config->path,
                        config->hidden_size / config->heads);
    if (form->theta == 0 && strcmp(config->position_embedding, "absolute") != 0)
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

/* The reference's frequencies: theta^(2 i / size) and its inverse, each rounded to float32. */
static void find_frequencies(double theta, size_t size, float *frequencies) {
    for (size_t i = 0; i < size / 2; i++) {
        const float exponent = (float)(2 * i) / (float)size;
        frequencies[i] = 1.0f / (float)pow(theta, (double)exponent);
    }
}

/* Frequencies lie behind the layers: a network is one block of memory. */
static void set_rotary(const cei_config *config, const cei_transformer_form *form, cei_transformer *net) {
    const size_t size = net->base.head_size;
    float *frequencies = (float *)(void *)(net->layers + net->layer_count);
    if (form->theta == 0) return;
    net->rotary[0].frequencies = frequencies;
    find_frequencies(config->rope_theta > 0 ? config->rope_theta : form->theta, size, frequencies);
    if (!form->is_local) return;
    net->rotary[1] = (cei_rotary){frequencies + size / 2, config->local_attention / 2};
    find_frequencies(config->local_rope_theta > 0 ? config->local_rope_theta : form->local_theta, size,
                     net->rotary[1].frequencies);
    for (size_t i = 0; i < net->layer_count; i++) net->layers[i].is_local = cei_config_is_local(config, i);
}

static void set_sizes(const cei_config *config, const cei_transformer_form *form, cei_transformer *net) {
    cei_network *base = &net->base;
    net->intermediate = config->intermediate_size;
    net->heads = config->heads;
    net->layer_count = config->layers;
    net->epsilon = (float)config->layer_norm_eps;
    net->function = config->hidden_act;
    net->fused = !form->names.key;
    net->pre_norm = form->pre_norm;
    net->gated = form->gated;
    net->embedding = form->projects && config->embedding_size ? config->embedding_size : config->hidden_size;
    base->types = form->has_types ? config->type_vocab_size : 0;
    base->hidden = config->hidden_size;
    base->head_size = config->hidden_size / net->heads;
    base->widest = cei_max_size(3 * base->hidden, form->gated ? 2 * net->intermediate : net->intermediate);
    base->widest = cei_max_size(base->widest, net->embedding);
}

ce_status cei_transformer_create(const cei_architecture *self, const cei_config *config,
                                 const cei_checkpoint *checkpoint, bool first_only, cei_plan *plan,
                                 cei_network **network, ce_error *error) {
    const cei_transformer_form *form = self->form;
    *network = NULL;
    ce_status status = check_config(config, form, error);
    if (status == CE_OK) status = check_layers(config, checkpoint, error);
    if (status != CE_OK) return status;
    size_t bytes, frequencies = form->theta == 0 ? 0 : config->hidden_size / config->heads * sizeof(float);
    cei_transformer *net = NULL;
    if (cei_mul_size(config->layers, sizeof *net->layers, &bytes) &&
        cei_add_size(bytes, sizeof *net + frequencies, &bytes))
        net = cei_alloc_zeroed(1, bytes);
    if (!net) return cei_fail_memory(error, "the network", bytes);
    net->base.architecture = self;
    net->base.first_only = first_only;
    set_sizes(config, form, net);
    set_rotary(config, form, net);
    status = set_positions(config, form, &net->base, error);
    if (status == CE_OK) status = declare_all(config, checkpoint, form, plan, net, error);
    if (status != CE_OK) {
        cei_free(net);
        return status;
    }
    *network = &net->base;
    return CE_OK;
}
