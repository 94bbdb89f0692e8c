/* transformer_plan.c - from a config to a transformer: checks, sizes, the weights that it declares, and those that
 * follow from others. Must not read a value of the checkpoint. */
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
    const cei_transformer_names *names; /* the form's, or those of another writer */
    cei_transformer_biases biases;
    const char *prefix; /* of all names: the form's, or "" where the encoder was saved alone */
    size_t in_group;    /* layers of a group, where layers are in groups */
    ce_status status;
    ce_error *error;
} declaration;

enum { STEM_SIZE = 160, NAME_SIZE = 256 };

/* PREFIX STEM.weight or .bias into name; of a layer, PREFIX LAYER.index.STEM. */
static void make_name(const declaration *to, const char *stem, const char *kind, char name[NAME_SIZE]) {
    snprintf(name, NAME_SIZE, "%.32s%.*s.%.16s", to->prefix, STEM_SIZE, stem, kind);
}

static void make_stem(const declaration *to, size_t layer, const char *part, char stem[STEM_SIZE]) {
    const cei_transformer_names *names = to->names;
    if (names->inner)
        snprintf(stem, STEM_SIZE, "%.48s.%zu.%.24s.%zu.%.40s", names->layer, layer / to->in_group, names->inner,
                 layer % to->in_group, part);
    else
        snprintf(stem, STEM_SIZE, "%.48s.%zu.%.80s", names->layer, layer, part);
}

/* Count of tensors of equal width, stacked into one weight of heights[i] rows each. */
static size_t declare_stacked(declaration *to, cei_role role, size_t columns, const size_t *heights, size_t count,
                              const char *const *stems, const char *kind) {
    char text[3][NAME_SIZE];
    const char *names[3];
    size_t index = 0;
    for (size_t i = 0; i < count; i++) {
        make_name(to, stems[i], kind, text[i]);
        names[i] = text[i];
    }
    if (to->status == CE_OK)
        to->status = cei_plan_add(to->plan, role, columns, count, names, heights, &index, to->error);
    return index;
}

static size_t declare_table(declaration *to, size_t columns, size_t rows, const char *stem) {
    return declare_stacked(to, CEI_ROLE_TABLE, columns, &rows, 1, &stem, "weight");
}

/* Matrices [heights[i], columns] of these parts of a layer, one above the other, and their biases. */
static cei_weight_pair declare_heights(declaration *to, size_t layer, size_t columns, const size_t *heights,
                                       size_t count, const char *const *parts, bool has_bias) {
    char text[3][STEM_SIZE];
    const char *stems[3];
    cei_weight_pair pair = {.has_bias = has_bias};
    for (size_t i = 0; i < count; i++) {
        make_stem(to, layer, parts[i], text[i]);
        stems[i] = text[i];
    }
    pair.weight = declare_stacked(to, CEI_ROLE_MATRIX, columns, heights, count, stems, "weight");
    if (has_bias) pair.bias = declare_stacked(to, CEI_ROLE_VECTOR, 1, heights, count, stems, "bias");
    return pair;
}

/* The same of equal heights. */
static cei_weight_pair declare_parts(declaration *to, size_t layer, size_t columns, size_t rows, size_t count,
                                     const char *const *parts, bool has_bias) {
    const size_t heights[3] = {rows, rows, rows};
    return declare_heights(to, layer, columns, heights, count, parts, has_bias);
}

/* A dense layer [hidden, hidden] of layer i, for distances. */
static cei_relative_source declare_source(declaration *to, size_t hidden, size_t i, const char *part, bool has_bias) {
    const cei_weight_pair pair = declare_parts(to, i, hidden, hidden, 1, &part, has_bias);
    return (cei_relative_source){pair.weight, pair.bias, 0, has_bias};
}

static cei_weight_pair declare_norm(declaration *to, size_t columns, const char *stem) {
    cei_weight_pair pair = {.has_bias = to->biases.norm};
    pair.weight = declare_stacked(to, CEI_ROLE_VECTOR, 1, &columns, 1, &stem, "weight");
    if (pair.has_bias) pair.bias = declare_stacked(to, CEI_ROLE_VECTOR, 1, &columns, 1, &stem, "bias");
    return pair;
}

static cei_weight_pair declare_layer_norm(declaration *to, size_t hidden, size_t layer, const char *part) {
    char stem[STEM_SIZE];
    make_stem(to, layer, part, stem);
    return declare_norm(to, hidden, stem);
}

/* What the layer's distances are projected by: weights of their own, or its queries' and keys'. */
static void declare_distances(declaration *to, const cei_config *config, cei_transformer *net, size_t i) {
    const cei_transformer_names *names = to->names;
    const cei_layer_weights *layer = &net->layers[i];
    cei_relative_layer *sources = &net->relative.layers[i];
    const size_t hidden = net->base.hidden;
    const bool alone = net->base.reads != CEI_READS_ALL && i + 1 == net->layer_count;
    if (config->relative.shares_keys) {
        const cei_weight_pair queries = alone ? layer->query : layer->qkv;
        sources->query = (cei_relative_source){queries.weight, queries.bias, 0, true};
        sources->key = (cei_relative_source){layer->qkv.weight, layer->qkv.bias, alone ? 0 : hidden, true};
        return;
    }
    if (net->relative.keys) sources->key = declare_source(to, hidden, i, names->distance_key, !to->form->by_heads);
    if (net->relative.queries) sources->query = declare_source(to, hidden, i, names->distance_query, true);
}

/* Queries, keys and values that a file has head by head, with biases of queries and of values: DeBERTa's first version.
 */
static cei_weight_pair declare_by_heads(declaration *to, const cei_transformer *net, size_t i) {
    const size_t hidden = net->base.hidden;
    cei_weight_pair pair = declare_parts(to, i, hidden, 3 * hidden, 1, &to->names->query, false);
    char text[2][STEM_SIZE];
    const char *const names[] = {text[0], NULL, text[1]};
    const size_t heights[] = {hidden, hidden, hidden};
    snprintf(text[0], STEM_SIZE, "%.32s%.48s.%zu.attention.self.q_bias", to->prefix, to->names->layer, i);
    snprintf(text[1], STEM_SIZE, "%.32s%.48s.%zu.attention.self.v_bias", to->prefix, to->names->layer, i);
    if (to->status != CE_OK) return pair;
    to->plan->parts[to->plan->part_count - 1].heads = net->heads;
    pair.has_bias = true;
    to->status = cei_plan_add(to->plan, CEI_ROLE_VECTOR, 1, 3, names, heights, &pair.bias, to->error);
    return pair;
}

/* Queries, keys and values in one product; or queries apart from the rest, of a last layer. */
static void declare_qkv(declaration *to, const cei_transformer *net, size_t i, cei_layer_weights *layer) {
    const cei_transformer_names *names = to->names;
    const char *const parts[] = {names->query, names->key, names->value};
    const size_t hidden = net->base.hidden, heights[] = {net->queries, net->keys, net->keys};
    if (to->form->by_heads) {
        layer->qkv = declare_by_heads(to, net, i);
        return;
    }
    if (!names->key) {
        layer->qkv = declare_parts(to, i, hidden, 3 * hidden, 1, parts, to->biases.query);
        return;
    }
    const size_t alone = !net->fused && net->base.reads != CEI_READS_ALL && i + 1 == net->layer_count;
    if (alone) layer->query = declare_parts(to, i, hidden, net->queries, 1, parts, to->biases.query);
    layer->qkv = declare_heights(to, i, hidden, heights + alone, 3 - alone, parts + alone, to->biases.query);
    if (!net->norms_heads) return;
    layer->query_norm = declare_layer_norm(to, net->base.head_size, i, names->query_norm);
    layer->key_norm = declare_layer_norm(to, net->base.head_size, i, names->key_norm);
}

static void declare_up(declaration *to, const cei_transformer *net, size_t i, cei_layer_weights *layer) {
    const cei_transformer_names *names = to->names;
    const char *const both[] = {names->gate, names->up};
    const size_t hidden = net->base.hidden, inner = net->intermediate;
    if (names->gate)
        layer->up = declare_parts(to, i, hidden, inner, 2, both, to->biases.up);
    else
        layer->up = declare_parts(to, i, hidden, net->gated ? 2 * inner : inner, 1, &names->up, to->biases.up);
}

static void declare_layer(declaration *to, const cei_transformer *net, size_t i, cei_layer_weights *layer) {
    const cei_transformer_names *names = to->names;
    const size_t hidden = net->base.hidden, inner = net->intermediate;
    declare_qkv(to, net, i, layer);
    layer->attention = declare_parts(to, i, net->queries, hidden, 1, &names->attention, to->biases.attention);
    if (net->norms_after) layer->attention_after = declare_layer_norm(to, hidden, i, names->attention_after);
    layer->attention_norm = declare_layer_norm(to, hidden, i, names->attention_norm);
    declare_up(to, net, i, layer);
    layer->down = declare_parts(to, i, inner, hidden, 1, &names->down, to->biases.down);
    if (net->norms_after) layer->down_after = declare_layer_norm(to, hidden, i, names->down_after);
    if (!net->pre_norm)
        layer->output_norm = declare_layer_norm(to, hidden, i, names->output_norm);
    else if (i + 1 < net->layer_count)
        layer->output_norm = declare_layer_norm(to, hidden, i + 1, names->output_norm);
    else
        layer->output_norm = declare_norm(to, hidden, names->final_norm);
}

/* Whose names the checkpoint has: the form's, or another writer's, by the norm in the first layer. */
static const cei_transformer_form *writer_of(const cei_checkpoint *checkpoint, const cei_transformer_form *form) {
    const cei_transformer_form *other = form->other;
    char name[NAME_SIZE];
    if (!other) return form;
    snprintf(name, sizeof name, "%.32s%.48s.0.%.80s.weight", other->prefix, other->names.layer,
             other->names.attention_norm);
    const char *const alone = name + strlen(other->prefix);
    return cei_checkpoint_find(checkpoint, name) || cei_checkpoint_find(checkpoint, alone) ? other : form;
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
    biases.norm = !form->is_decoder && config->norm_bias;
    return biases;
}

static void declare_embeddings(declaration *to, const cei_config *config, cei_transformer *net) {
    const cei_transformer_form *form = to->form;
    const size_t columns = net->embedding, hidden = net->base.hidden;
    net->base.word = declare_table(to, columns, config->vocab_size, to->names->word);
    if (net->adds_positions)
        net->position = declare_table(to, columns, config->max_positions, "embeddings.position_embeddings");
    if (net->base.types)
        net->type = declare_table(to, columns, config->type_vocab_size, "embeddings.token_type_embeddings");
    if (net->bias.kind == CEI_BIAS_BUCKETS) {
        net->bias.table = declare_table(to, net->heads, config->bias_buckets, to->names->bias);
        if (to->status == CE_OK) to->plan->weights[net->bias.table].exact = true;
    }
    if (to->names->embedding_norm)
        net->embedding_norm = declare_norm(to, form->is_deberta ? hidden : columns, to->names->embedding_norm);
    else
        net->embedding_norm = declare_layer_norm(to, hidden, 0, to->names->output_norm);
    if (!net->projects) return;
    net->project.has_bias = !form->is_deberta;
    net->project.weight = declare_stacked(to, CEI_ROLE_MATRIX, columns, &hidden, 1, &to->names->project, "weight");
    if (net->project.has_bias)
        net->project.bias = declare_stacked(to, CEI_ROLE_VECTOR, 1, &hidden, 1, &to->names->project, "bias");
}

/* What DeBERTa's layers share. */
static void declare_shared(declaration *to, cei_transformer *net) {
    static const char *const stem = "encoder.conv.conv";
    const size_t hidden = net->base.hidden;
    cei_relative *relative = &net->relative;
    cei_token_conv *conv = &net->conv;
    if (cei_relative_weights(relative))
        relative->table = declare_table(to, hidden, 2 * relative->span, "encoder.rel_embeddings");
    if (cei_relative_weights(relative) && relative->has_norm)
        relative->norm = declare_norm(to, hidden, "encoder.LayerNorm");
    if (!conv->kernel) return;
    conv->weight = declare_table(to, hidden / conv->groups * conv->kernel, hidden, stem);
    conv->bias = declare_stacked(to, CEI_ROLE_VECTOR, 1, &hidden, 1, &stem, "bias");
    conv->norm = declare_norm(to, hidden, "encoder.conv.LayerNorm");
}

/* The group of a step through a group's layers, by the reference's division. */
static size_t group_of(const cei_config *config, size_t step) {
    return (size_t)((double)step / ((double)config->layers / (double)config->groups));
}

/* Layers that are run again and again are declared when they come first. */
static void declare_groups(declaration *to, const cei_config *config, cei_transformer *net) {
    const size_t inner = config->group_layers;
    for (size_t i = 0; i < net->layer_count && to->status == CE_OK; i++) {
        const size_t group = group_of(config, i / inner);
        if (i >= inner && group == group_of(config, i / inner - 1))
            net->layers[i] = net->layers[i - inner];
        else
            declare_layer(to, net, group * inner + i % inner, &net->layers[i]);
    }
}

static ce_status declare_all(const cei_config *config, const cei_checkpoint *checkpoint,
                             const cei_transformer_form *form, cei_plan *plan, cei_transformer *net, ce_error *error) {
    const cei_transformer_form *writer = writer_of(checkpoint, form);
    declaration to = {
        plan,  form, &writer->names, biases_of(form, config), prefix_in(checkpoint, writer), config->group_layers,
        CE_OK, error};
    if (!writer->names.key) net->fused = true;
    net->gate_is_second = writer->gate_is_second;
    declare_embeddings(&to, config, net);
    declare_shared(&to, net);
    if (form->shares_layers) declare_groups(&to, config, net);
    for (size_t i = 0; !form->shares_layers && i < net->layer_count && to.status == CE_OK; i++) {
        declare_layer(&to, net, i, &net->layers[i]);
        if (cei_relative_weights(&net->relative)) declare_distances(&to, config, net, i);
    }
    return to.status;
}

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
    for (size_t i = 0; i <= form->is_local; i++) {
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
    for (size_t i = 0; form->theta > 0 && i <= form->is_local; i++)
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
    if (status == CE_OK) status = declare_all(config, checkpoint, form, plan, net, error);
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
