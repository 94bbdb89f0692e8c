/* transformer_weights.c - the weights that a transformer declares: their names in a checkpoint, shapes and order.
 * Relies on transformer_plan.c for the sizes. Must not read a value of the checkpoint. */
#include "model/transformer_network.h"

#include <stdio.h>
#include <string.h>

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

/* Whose names the checkpoint has: the form's, or another writer's, by the feed-forward in the first layer. */
static const cei_transformer_form *writer_of(const cei_checkpoint *checkpoint, const cei_transformer_form *form) {
    const cei_transformer_form *other = form->other;
    char name[NAME_SIZE];
    if (!other) return form;
    snprintf(name, sizeof name, "%.32s%.48s.0.%.80s.weight", other->prefix, other->names.layer, other->names.up);
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

ce_status cei_transformer_declare(const cei_config *config, const cei_checkpoint *checkpoint,
                                  const cei_transformer_form *form, cei_plan *plan, cei_transformer *net,
                                  ce_error *error) {
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
