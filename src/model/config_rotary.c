/* config_rotary.c - reads rotary positions and windows out of config.json, in the names of transformers 5 and before.
 *
 * transformers 5 writes rope_parameters, for the whole model or for each type of layer, and layer_types; before it
 * there were rope_theta, or global_rope_theta and local_rope_theta, rope_scaling, and global_attn_every_n_layers. The
 * newer name counts where both are written, but for rope_scaling. */
#include "model/config_parts.h"

#include "base/error.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>

static ce_status read_theta(const cei_config_reader *in, const json_t *object, const char *key, double *theta) {
    ce_status status = cei_json_double(object, key, in->path, theta, in->error);
    if (status != CE_OK || *theta == 0 || (*theta >= 1 && isfinite(*theta))) return status;
    return cei_fail(in->error, CE_ERR_FORMAT, "%s: \"%s\" is %g, and must be at least 1", in->path, key, *theta);
}

/* ---- scaling ------------------------------------------------------------------------------------------------- */

/* The names of kinds; ntk is NewModel's, which has no other, and transformers' classes don't have it. */
static ce_status read_kind(const cei_config_reader *in, const cei_config *config, const json_t *parameters,
                           cei_rope_kind *kind) {
    static const char *const names[] = {
        [CEI_ROPE_PLAIN] = "default", [CEI_ROPE_LINEAR] = "linear", [CEI_ROPE_DYNAMIC] = "dynamic",
        [CEI_ROPE_YARN] = "yarn",     [CEI_ROPE_LONG] = "longrope", [CEI_ROPE_LLAMA3] = "llama3",
        [CEI_ROPE_NTK] = "ntk"};
    const bool is_new = strcmp(config->model_type, "new") == 0;
    const char *type = "default";
    ce_status status = cei_json_string(parameters, "type", in->path, &type, in->error);
    if (status == CE_OK) status = cei_json_string(parameters, "rope_type", in->path, &type, in->error);
    if (status != CE_OK) return status;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const bool is_known = i == CEI_ROPE_PLAIN || (i == CEI_ROPE_NTK) == is_new;
        *kind = (cei_rope_kind)i;
        if (is_known && strcmp(type, names[i]) == 0) return CE_OK;
    }
    return cei_fail(in->error, CE_ERR_UNSUPPORTED, "%s: rotary positions of type \"%.64s\"; supported: default, %s",
                    in->path, type, is_new ? "ntk" : "linear, dynamic, yarn, longrope, llama3");
}

/* A number above 0, which must be there if it is needed. */
static ce_status read_positive(const cei_config_reader *in, const json_t *parameters, const char *key, bool is_needed,
                               double *value) {
    const json_t *field = json_object_get(parameters, key);
    ce_status status = cei_json_double(parameters, key, in->path, value, in->error);
    if (status != CE_OK || ((!field || json_is_null(field)) && !is_needed)) return status;
    if (*value > 0 && isfinite(*value)) return CE_OK;
    return cei_fail(in->error, CE_ERR_FORMAT, "%s: \"%s\" of the rotary positions %s, and must be a number above 0",
                    in->path, key, field ? "is not" : "is missing");
}

static ce_status read_short_factors(const cei_config_reader *in, const json_t *parameters, cei_rope_scaling *scaling) {
    const json_t *list = json_object_get(parameters, "short_factor");
    if (json_array_size(list) == 0)
        return cei_fail(in->error, CE_ERR_FORMAT, "%s: \"short_factor\" of the rotary positions must be an array",
                        in->path);
    scaling->short_factors = cei_alloc(json_array_size(list), sizeof *scaling->short_factors);
    if (!scaling->short_factors) return cei_fail_memory(in->error, "short_factor", json_array_size(list));
    for (; scaling->short_count < json_array_size(list); scaling->short_count++) {
        const double value = json_number_value(json_array_get(list, scaling->short_count));
        scaling->short_factors[scaling->short_count] = value;
        if (!(value > 0 && isfinite(value)))
            return cei_fail(in->error, CE_ERR_FORMAT, "%s: \"short_factor\" has what is no number above 0", in->path);
    }
    return CE_OK;
}

/* The length that a model was first made for: the config's own word counts, but for types of layers. */
static ce_status read_original(const cei_config_reader *in, const cei_config *config, const json_t *parameters,
                               bool is_nested, cei_rope_scaling *scaling) {
    const char *const key = "original_max_position_embeddings";
    scaling->original = config->max_positions;
    ce_status status = cei_json_size(parameters, key, 2, CEI_CONFIG_MOST, in->path, &scaling->original, in->error);
    if (status == CE_OK && !is_nested)
        status = cei_json_size(in->root, key, 2, CEI_CONFIG_MOST, in->path, &scaling->original, in->error);
    if (status != CE_OK || scaling->original >= 2) return status;
    return cei_fail(in->error, CE_ERR_FORMAT, "%s: \"%s\" is missing", in->path, key);
}

/* whole: the object in which parameters are, or themselves. */
static ce_status read_yarn(const cei_config_reader *in, const json_t *parameters, const json_t *whole,
                           cei_rope_scaling *scaling) {
    ce_status status = read_positive(in, parameters, "mscale", false, &scaling->mscale);
    if (status == CE_OK) status = read_positive(in, parameters, "mscale_all_dim", false, &scaling->mscale_all_dim);
    if (status == CE_OK) status = read_positive(in, parameters, "beta_fast", false, &scaling->beta_fast);
    if (status == CE_OK) status = read_positive(in, parameters, "beta_slow", false, &scaling->beta_slow);
    return status == CE_OK ? cei_json_bool(whole, "truncate", in->path, &scaling->truncate, in->error) : status;
}

static ce_status read_llama3(const cei_config_reader *in, const json_t *parameters, cei_rope_scaling *scaling) {
    ce_status status = read_positive(in, parameters, "low_freq_factor", true, &scaling->low_factor);
    if (status == CE_OK) status = read_positive(in, parameters, "high_freq_factor", true, &scaling->high_factor);
    if (status != CE_OK || scaling->high_factor > scaling->low_factor) return status;
    return cei_fail(in->error, CE_ERR_FORMAT, "%s: high_freq_factor %g must be more than low_freq_factor %g", in->path,
                    scaling->high_factor, scaling->low_factor);
}

static ce_status read_scaling(const cei_config_reader *in, const cei_config *config, const json_t *parameters,
                              const json_t *whole, cei_rope_scaling *scaling) {
    double turned = 1;
    *scaling = (cei_rope_scaling){.beta_fast = 32, .beta_slow = 1, .truncate = true};
    ce_status status = read_kind(in, config, parameters, &scaling->kind);
    if (status == CE_OK) status = cei_json_double(parameters, "partial_rotary_factor", in->path, &turned, in->error);
    if (status == CE_OK && turned != 1)
        return cei_fail(in->error, CE_ERR_UNSUPPORTED, "%s: partial_rotary_factor is %g; supported: 1", in->path,
                        turned);
    if (status != CE_OK || scaling->kind == CEI_ROPE_PLAIN || scaling->kind == CEI_ROPE_DYNAMIC) return status;
    scaling->is_mixed = json_is_number(json_object_get(parameters, "mixed_b"));
    status = read_positive(in, parameters, "factor", scaling->kind != CEI_ROPE_LONG, &scaling->factor);
    if (status == CE_OK) status = read_positive(in, parameters, "attention_factor", false, &scaling->attention_factor);
    if (status == CE_OK) status = cei_json_double(parameters, "mixed_b", in->path, &scaling->mixed_b, in->error);
    const bool counts = scaling->kind != CEI_ROPE_LINEAR && scaling->kind != CEI_ROPE_NTK;
    if (status == CE_OK && counts) status = read_original(in, config, parameters, parameters != whole, scaling);
    if (status == CE_OK && scaling->kind == CEI_ROPE_YARN) status = read_yarn(in, parameters, whole, scaling);
    if (status == CE_OK && scaling->kind == CEI_ROPE_LLAMA3) status = read_llama3(in, parameters, scaling);
    if (status == CE_OK && scaling->kind == CEI_ROPE_LONG) status = read_short_factors(in, parameters, scaling);
    /* Where the scaled length is no longer, NewModel never scales. */
    if (scaling->kind == CEI_ROPE_NTK && scaling->factor <= 1) scaling->kind = CEI_ROPE_PLAIN;
    return status;
}

/* ---- both kinds of layers -------------------------------------------------------------------------------------- */

static ce_status check_object(const cei_config_reader *in, const json_t *parameters) {
    if (!parameters || json_is_null(parameters) || json_is_object(parameters)) return CE_OK;
    return cei_fail(in->error, CE_ERR_FORMAT, "%s: rotary parameters must be an object, and are %s", in->path,
                    cei_json_type(parameters));
}

static ce_status read_parameters(const cei_config_reader *in, const cei_config *config, const json_t *parameters,
                                 const json_t *whole, double *theta, cei_rope_scaling *scaling) {
    ce_status status = check_object(in, parameters);
    if (status == CE_OK) status = read_scaling(in, config, parameters, whole, scaling);
    return status == CE_OK ? read_theta(in, parameters, "rope_theta", theta) : status;
}

static ce_status read_old_thetas(const cei_config_reader *in, cei_config *config) {
    ce_status status = read_theta(in, in->root, "rotary_emb_base", &config->rope_theta); /* some authors' own */
    if (status == CE_OK) status = read_theta(in, in->root, "rope_theta", &config->rope_theta);
    if (status == CE_OK) status = read_theta(in, in->root, "global_rope_theta", &config->rope_theta);
    if (status == CE_OK) status = read_theta(in, in->root, "local_rope_theta", &config->local_rope_theta);
    /* Written as null, it is that of the others. */
    if (json_is_null(json_object_get(in->root, "local_rope_theta"))) config->local_rope_theta = config->rope_theta;
    return status;
}

/* The older name counts where both say something, as in the reference; what it says is of all layers. */
static ce_status read_thetas(const cei_config_reader *in, cei_config *config) {
    const json_t *older = json_object_get(in->root, "rope_scaling"),
                 *newer = json_object_get(in->root, "rope_parameters");
    const bool is_older = older && !json_is_null(older) && !(json_is_object(older) && json_object_size(older) == 0);
    const json_t *whole = is_older ? older : newer;
    const json_t *full = json_object_get(whole, "full_attention"),
                 *sliding = json_object_get(whole, "sliding_attention");
    cei_rope_scaling *scaling = config->rope_scaling;
    ce_status status = read_old_thetas(in, config);
    if (status == CE_OK) status = check_object(in, whole);
    if (status != CE_OK || !whole) return status;
    if (full || sliding) {
        status = read_parameters(in, config, full, whole, &config->rope_theta, &scaling[0]);
        return status == CE_OK ? read_parameters(in, config, sliding, whole, &config->local_rope_theta, &scaling[1])
                               : status;
    }
    double ignored = 0;
    status = read_parameters(in, config, whole, whole, &config->rope_theta, &scaling[0]);
    if (status != CE_OK) return status;
    return read_parameters(in, config, whole, whole, is_older ? &config->local_rope_theta : &ignored, &scaling[1]);
}

static ce_status read_layer_types(const cei_config_reader *in, cei_config *config) {
    const json_t *types = json_object_get(in->root, "layer_types");
    if (!types || json_is_null(types) || config->layers == 0) return CE_OK; /* without layers nothing loads */
    if (json_array_size(types) != config->layers)
        return cei_fail(in->error, CE_ERR_FORMAT, "%s: \"layer_types\" must be an array of %zu, and is %s", in->path,
                        config->layers, json_is_array(types) ? "of another size" : cei_json_type(types));
    config->local_layers = cei_alloc_zeroed(config->layers, sizeof *config->local_layers);
    if (!config->local_layers) return cei_fail_memory(in->error, "layer_types", config->layers);
    for (size_t i = 0; i < config->layers; i++) {
        const char *type = json_string_value(json_array_get(types, i));
        config->local_layers[i] = type && strcmp(type, "sliding_attention") == 0;
        if (!config->local_layers[i] && !(type && strcmp(type, "full_attention") == 0))
            return cei_fail(in->error, CE_ERR_UNSUPPORTED,
                            "%s: layer_types has \"%.64s\"; supported: full_attention, sliding_attention", in->path,
                            type ? type : "what is no string");
    }
    return CE_OK;
}

ce_status cei_config_read_rotary(const cei_config_reader *in, cei_config *config) {
    config->local_attention = 128;
    config->global_every = 3;
    ce_status status = read_thetas(in, config);
    if (status == CE_OK)
        status = cei_json_size(in->root, "local_attention", 2, CEI_CONFIG_MOST, in->path, &config->local_attention,
                               in->error);
    if (status == CE_OK)
        status = cei_json_size(in->root, "global_attn_every_n_layers", 1, CEI_CONFIG_MOST, in->path,
                               &config->global_every, in->error);
    return status == CE_OK ? read_layer_types(in, config) : status;
}
