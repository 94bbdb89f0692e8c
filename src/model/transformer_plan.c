/* transformer_plan.c - from a config to a transformer: checks, sizes, and the weights that follow from others. Must not
 * read a value of the checkpoint. */
#include "model/transformer_network.h"

#include "base/error.h"
#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- config ------------------------------------------------------------------------------------------------- */

static ce_status require(const cei_config *config, const char *field, size_t value, ce_error *error) {
    if (value > 0) return CE_OK;
    return cei_fail(error, CE_ERR_MODEL, "%s: \"%s\" is missing or 0, and the model needs it", config->path, field);
}

static ce_status check_deberta(const cei_config *config, ce_error *error) {
    if (config->head_size && config->head_size != config->hidden_size / config->heads)
        return cei_fail(error, CE_ERR_UNSUPPORTED,
                        "%s: attention_head_size is %zu, and hidden_size / num_attention_heads %zu; they must be equal",
                        config->path, config->head_size, config->hidden_size / config->heads);
    ce_status status = config->relative.is_on ? cei_relative_check(config, error) : CE_OK;
    return status == CE_OK ? cei_token_conv_check(config, error) : status;
}

/* Far above any model: shared layers take no room in the checkpoint that would bound them. */
enum { MOST_SHARED = 1024 };

static ce_status check_groups(const cei_config *config, ce_error *error) {
    size_t layers;
    if (cei_mul_size(config->layers, config->group_layers, &layers) && layers <= MOST_SHARED) return CE_OK;
    return cei_fail(error, CE_ERR_UNSUPPORTED,
                    "%s: num_hidden_layers %zu times inner_group_num %zu is more than the %d layers that are supported",
                    config->path, config->layers, config->group_layers, MOST_SHARED);
}

/* Columns of a head: what a decoder's config says, or as many as share the hidden size. */
static size_t head_size_of(const cei_config *config) {
    return config->decoder.head_size ? config->decoder.head_size : config->hidden_size / config->heads;
}

/* Far above any model: frequencies of a head are made before a tensor has shown its shape. */
enum { WIDEST_HEAD = 1 << 16 };

static ce_status check_decoder(const cei_config *config, const cei_transformer_form *form, ce_error *error) {
    const cei_decoder_config *decoder = &config->decoder;
    if (!form->is_decoder && config->is_decoder)
        return cei_fail(error, CE_ERR_UNSUPPORTED, "%s: is_decoder is true; only encoders are supported", config->path);
    if (!form->is_decoder) return CE_OK;
    if (head_size_of(config) > WIDEST_HEAD)
        return cei_fail(error, CE_ERR_UNSUPPORTED, "%s: head_dim is %zu; the most is %d", config->path,
                        head_size_of(config), WIDEST_HEAD);
    if (config->heads % decoder->key_heads == 0) return CE_OK;
    return cei_fail(error, CE_ERR_MODEL, "%s: num_attention_heads %zu is not a multiple of num_key_value_heads %zu",
                    config->path, config->heads, decoder->key_heads);
}

/* What a config says of scaling must be for heads of this width, and logarithms of a base must be there. */
static ce_status check_scaling(const cei_config *config, const cei_transformer_form *form, ce_error *error) {
    const size_t half = head_size_of(config) / 2;
    const size_t kinds = form->is_local ? 2 : 1;
    for (size_t i = 0; i < kinds; i++) {
        const cei_rope_scaling *scaling = &config->rope_scaling[i];
        if (scaling->kind == CEI_ROPE_LONG && scaling->short_count != half)
            return cei_fail(error, CE_ERR_MODEL, "%s: short_factor has %zu numbers, and heads %zu pairs of columns",
                            config->path, scaling->short_count, half);
        if (scaling->kind == CEI_ROPE_YARN && (i == 0 ? config->rope_theta : config->local_rope_theta) == 1)
            return cei_fail(error, CE_ERR_MODEL, "%s: rope_theta is 1, which cannot be scaled by \"yarn\"",
                            config->path);
    }
    return CE_OK;
}

/* A decoder's config is read by its model_type, an encoder's by its own rules. */
static ce_status check_kind(const cei_architecture *self, const cei_config *config, ce_error *error) {
    const cei_transformer_form *form = self->form;
    const bool agrees = form->is_decoder ? strcmp(config->model_type, self->model_type) == 0 : !config->decoder.is_on;
    if (agrees) return CE_OK;
    return cei_fail(error, CE_ERR_MODEL, "%s: model_type \"%.64s\" and architecture \"%.64s\" are of two kinds",
                    config->path, config->model_type, config->architecture);
}

static ce_status check_config(const cei_config *config, const cei_transformer_form *form, ce_error *error) {
    ce_status status = require(config, "vocab_size", config->vocab_size, error);
    if (status == CE_OK) status = require(config, "hidden_size", config->hidden_size, error);
    if (status == CE_OK) status = require(config, "num_hidden_layers", config->layers, error);
    if (status == CE_OK) status = require(config, "num_attention_heads", config->heads, error);
    if (status == CE_OK) status = require(config, "intermediate_size", config->intermediate_size, error);
    if (status == CE_OK) status = require(config, "max_position_embeddings", config->max_positions, error);
    if (status == CE_OK && form->has_types && !form->types_are_optional)
        status = require(config, "type_vocab_size", config->type_vocab_size, error);
    if (status != CE_OK) return status;
    if (!config->decoder.head_size && config->hidden_size % config->heads != 0)
        return cei_fail(error, CE_ERR_MODEL, "%s: hidden_size %zu is not a multiple of num_attention_heads %zu",
                        config->path, config->hidden_size, config->heads);
    if (form->theta > 0 && head_size_of(config) % 2 != 0)
        return cei_fail(error, CE_ERR_MODEL, "%s: heads of %zu columns cannot be turned in pairs", config->path,
                        head_size_of(config));
    const char *const type = form->position_type ? form->position_type : "absolute";
    if ((form->theta == 0 || form->position_type) && strcmp(config->position_embedding, type) != 0)
        return cei_fail(error, CE_ERR_UNSUPPORTED, "%s: position_embedding_type \"%.64s\"; supported: %s", config->path,
                        config->position_embedding, type);
    status = check_decoder(config, form, error);
    if (status != CE_OK) return status;
    if (form->shares_layers) return check_groups(config, error);
    if (form->theta > 0) return check_scaling(config, form, error);
    if (form->bias) return cei_distance_bias_check(form->bias, config, error);
    return form->is_deberta ? check_deberta(config, error) : CE_OK;
}

/* How many layers a token goes through. */
static size_t layers_of(const cei_config *config, const cei_transformer_form *form) {
    return form->shares_layers ? config->layers * config->group_layers : config->layers;
}

/* A config that asks for an absurd number of layers must not make us allocate for them: each layer needs a tensor. */
static ce_status check_layers(const cei_config *config, const cei_transformer_form *form,
                              const cei_checkpoint *checkpoint, ce_error *error) {
    /* Zeros in the place of a bias of keys are as many. */
    if (form->by_heads && config->hidden_size > cei_checkpoint_bytes(checkpoint))
        return cei_fail(error, CE_ERR_MODEL, "%s: hidden_size is %zu, and %s has only %llu bytes", config->path,
                        config->hidden_size, cei_checkpoint_path(checkpoint),
                        (unsigned long long)cei_checkpoint_bytes(checkpoint));
    if (form->shares_layers || config->layers <= cei_checkpoint_count(checkpoint)) return CE_OK;
    return cei_fail(error, CE_ERR_MODEL, "%s: num_hidden_layers is %zu, and %s has only %zu tensors", config->path,
                    config->layers, cei_checkpoint_path(checkpoint), cei_checkpoint_count(checkpoint));
}

/* Where positions begin: at 0, or behind the padding token's id, whose row is the padding's own. */
static ce_status set_positions(const cei_config *config, const cei_transformer_form *form, cei_network *network,
                               ce_error *error) {
    const bool says = config->pad_token_id < CEI_NO_TOKEN && !form->padding_is_fixed;
    const size_t padding = says ? config->pad_token_id : form->padding_id;
    network->padding_id = form->skips_padding ? (int32_t)padding : -1;
    network->positions = config->max_positions;
    /* Longer texts would turn all their tokens by other factors. */
    const size_t kinds = form->theta == 0 ? 0 : form->is_local ? 2 : 1;
    for (size_t i = 0; i < kinds; i++)
        if (config->rope_scaling[i].kind == CEI_ROPE_LONG)
            network->positions = cei_min_size(network->positions, config->rope_scaling[i].original);
    if (!form->skips_padding) return CE_OK;
    if (padding + 1 >= config->max_positions)
        return cei_fail(error, CE_ERR_MODEL, "%s: pad_token_id %zu leaves none of the %zu positions", config->path,
                        padding, config->max_positions);
    network->positions -= padding + 1;
    return CE_OK;
}

/* How far a token sees in a layer with a window, on either side: of a decoder's window it is itself the last token, or,
 * where it sees ahead, the one in the middle. */
static size_t window_of(const cei_config *config) {
    const cei_decoder_config *decoder = &config->decoder;
    if (!decoder->is_on) return config->local_attention / 2;
    return decoder->sees_ahead ? decoder->window / 2 : decoder->window - 1;
}

/* Those of one kind of layers, which a config may scale beyond all numbers. */
static ce_status find_frequencies(const cei_config *config, bool is_local, double theta, size_t size,
                                  cei_rotary *rotary, ce_error *error) {
    cei_rotary_frequencies(&config->rope_scaling[is_local], theta, size, config->max_positions, rotary->frequencies,
                           &rotary->factor);
    bool is_finite = isfinite(rotary->factor * rotary->factor);
    for (size_t i = 0; i < size / 2; i++) is_finite = is_finite && isfinite(rotary->frequencies[i]);
    if (is_finite) return CE_OK;
    return cei_fail(error, CE_ERR_MODEL, "%s: rotary positions are scaled so that frequencies or scores are no numbers",
                    config->path);
}

static ce_status set_rotary(const cei_config *config, const cei_transformer_form *form, cei_transformer *net,
                            ce_error *error) {
    const size_t size = net->base.head_size;
    const double theta = config->rope_theta > 0 ? config->rope_theta : form->theta;
    const double local = config->local_rope_theta > 0 ? config->local_rope_theta : form->local_theta;
    net->rotary[0].factor = net->rotary[1].factor = 1;
    if (form->theta == 0) return CE_OK;
    ce_status status = find_frequencies(config, false, theta, size, &net->rotary[0], error);
    if (status != CE_OK || !form->is_local || (form->is_decoder && !config->decoder.window)) return status;
    float *const frequencies = net->rotary[0].frequencies;
    net->rotary[1] = (cei_rotary){frequencies + size / 2, window_of(config), net->rotary[0].factor};
    bool all = true;
    for (size_t i = 0; i < net->layer_count; i++) {
        net->layers[i].is_local = cei_config_is_local(config, i);
        all = all && net->layers[i].is_local;
    }
    if (all) net->rotary[0].frequencies = NULL;
    if (form->local_theta > 0) return find_frequencies(config, true, local, size, &net->rotary[1], error);
    memcpy(net->rotary[1].frequencies, frequencies, size / 2 * sizeof *frequencies); /* one for all layers */
    return CE_OK;
}

/* Room for a network and, behind it, what its size depends on: layers, derived weights, integers of distances or
 * frequencies of rotary positions. */
static cei_transformer *allocate(size_t count, size_t derived, size_t integers, size_t frequencies) {
    size_t layers, relative, weights, bytes, tables;
    cei_transformer *net = NULL;
    if (!cei_mul_size(count, sizeof *net->layers, &layers) ||
        !cei_mul_size(count, sizeof(cei_relative_layer), &relative) ||
        !cei_mul_size(derived, sizeof(cei_weight), &weights) ||
        !cei_mul_size(integers + frequencies, sizeof(int32_t), &tables) || !cei_add_size(sizeof *net, layers, &bytes) ||
        !cei_add_size(bytes, relative, &bytes) || !cei_add_size(bytes, weights, &bytes) ||
        !cei_add_size(bytes, tables, &bytes))
        return NULL;
    net = cei_alloc_zeroed(1, bytes);
    if (!net) return NULL;
    net->base.derived = (cei_weight *)(void *)((uint8_t *)net->layers + layers);
    net->base.derived_count = derived;
    net->relative.layers = (cei_relative_layer *)(void *)(net->base.derived + derived);
    if (frequencies) net->rotary[0].frequencies = (float *)(void *)(net->relative.layers + count);
    return net;
}

/* A bias by distance, and the shape of its derived weight. */
static void set_bias(const cei_config *config, const cei_transformer_form *form, cei_transformer *net) {
    cei_distance_bias_init(&net->bias, form->bias, config,
                           (int32_t *)(void *)(net->relative.layers + net->layer_count));
    *net->base.derived = cei_distance_bias_shape(&net->bias);
}

/* Distances and convolution, and the shapes of the weights that are derived for them. */
static void set_deberta(const cei_config *config, cei_transformer *net) {
    cei_relative *relative = &net->relative;
    cei_weight *derived = net->base.derived;
    net->adds_positions = config->adds_positions;
    if (config->relative.is_on)
        cei_relative_init(relative, config, (int32_t *)(void *)(relative->layers + config->layers));
    relative->terms = 1 + (size_t)config->relative.c2p + config->relative.p2c;
    net->scale = 1.0f / sqrtf((float)(net->base.head_size * relative->terms));
    for (size_t i = 0; i < config->layers * cei_relative_weights(relative); i++)
        *derived++ = cei_relative_shape(relative, net->base.head_size);
    net->conv.kernel = config->conv_kernel_size;
    net->conv.groups = config->conv_groups;
    net->conv.function = config->conv_act;
    if (net->conv.kernel) *derived = cei_token_conv_shape(&net->conv, net->base.hidden);
    net->base.widest = cei_max_size(net->base.widest, net->conv.kernel * net->base.hidden);
    /* The convolution is over all tokens of the first layer. */
    if (net->conv.kernel && net->layer_count == 1) net->base.reads = CEI_READS_ALL;
}

static size_t derived_of(const cei_config *config, const cei_transformer_form *form) {
    const cei_relative_config *relative = &config->relative;
    if (!form->is_deberta) return form->bias != CEI_BIAS_NONE;
    return (relative->is_on ? config->layers * ((size_t)relative->c2p + relative->p2c) : 0) +
           (config->conv_kernel_size > 0);
}

static size_t integers_of(const cei_config *config, const cei_transformer_form *form) {
    if (form->bias) return cei_distance_bias_integers(config);
    return form->is_deberta && config->relative.is_on ? cei_relative_integers(config) : 0;
}

/* Heads, and how their scores are made. */
static void set_heads(const cei_config *config, const cei_transformer_form *form, cei_transformer *net) {
    const cei_decoder_config *decoder = &config->decoder;
    const size_t size = head_size_of(config);
    net->heads = config->heads;
    net->key_heads = form->is_decoder ? decoder->key_heads : config->heads;
    net->base.head_size = size;
    net->queries = net->heads * size;
    net->keys = net->key_heads * size;
    net->causal = form->is_decoder && !decoder->sees_ahead;
    net->scale = decoder->query_scale > 0 ? (float)(1 / sqrt(decoder->query_scale)) : 1.0f / sqrtf((float)size);
    net->cap = (float)decoder->score_cap;
}

static void set_sizes(const cei_config *config, const cei_transformer_form *form, cei_transformer *net) {
    cei_network *base = &net->base;
    net->intermediate = config->intermediate_size;
    net->layer_count = layers_of(config, form);
    net->epsilon = (float)config->layer_norm_eps;
    net->function = config->hidden_act;
    net->fused = !form->names.key || form->shares_layers;
    net->pre_norm = form->pre_norm;
    net->norms_heads = form->names.query_norm != NULL;
    net->norms_after = form->names.attention_after != NULL;
    net->gated = form->gated;
    net->embedding = form->projects && config->embedding_size ? config->embedding_size : config->hidden_size;
    net->projects = form->always_projects || net->embedding != config->hidden_size;
    net->adds_positions = form->theta == 0 && form->bias != CEI_BIAS_SLOPES;
    net->relative.terms = 1;
    base->types = form->has_types ? config->type_vocab_size : 0;
    base->hidden = config->hidden_size;
    set_heads(config, form, net);
    net->word_scale = form->scales_words ? sqrtf((float)base->hidden) : 0;
    base->widest = cei_max_size(net->queries + 2 * net->keys, form->gated ? 2 * net->intermediate : net->intermediate);
    base->widest = cei_max_size(base->widest, base->hidden);
    base->widest = cei_max_size(base->widest, net->embedding);
}

ce_status cei_transformer_create(const cei_architecture *self, const cei_config *config,
                                 const cei_checkpoint *checkpoint, cei_reads reads, cei_plan *plan,
                                 cei_network **network, ce_error *error) {
    const cei_transformer_form *form = self->form;
    *network = NULL;
    ce_status status = check_kind(self, config, error);
    if (status == CE_OK) status = check_config(config, form, error);
    if (status == CE_OK) status = check_layers(config, form, checkpoint, error);
    if (status != CE_OK) return status;
    const size_t integers = integers_of(config, form);
    const size_t frequencies = form->theta == 0 ? 0 : head_size_of(config);
    cei_transformer *net = allocate(layers_of(config, form), derived_of(config, form), integers, frequencies);
    if (!net) return cei_fail_memory(error, "the network", 0);
    net->base.architecture = self;
    net->base.reads = reads == CEI_READS_LAST && !form->is_decoder ? CEI_READS_ALL : reads;
    set_sizes(config, form, net);
    if (form->is_deberta) set_deberta(config, net);
    if (form->bias) set_bias(config, form, net);
    status = set_rotary(config, form, net, error);
    if (status == CE_OK) status = set_positions(config, form, &net->base, error);
    if (status == CE_OK) status = cei_transformer_declare(config, checkpoint, form, plan, net, error);
    if (status != CE_OK) {
        cei_free(net);
        return status;
    }
    *network = &net->base;
    return CE_OK;
}

/* ---- derived weights ---------------------------------------------------------------------------------------- */

ce_status cei_transformer_derive(const cei_derivation *derivation, ce_error *error) {
    const cei_transformer *net = (const cei_transformer *)derivation->network;
    const size_t distances = net->layer_count * cei_relative_weights(&net->relative);
    if (net->bias.kind) return cei_distance_bias_derive(&net->bias, derivation, derivation->derived, error);
    ce_status status = distances ? cei_relative_derive(&net->relative, derivation, error) : CE_OK;
    if (status != CE_OK || !net->conv.kernel) return status;
    return cei_token_conv_derive(&net->conv, derivation, derivation->derived + distances, error);
}
