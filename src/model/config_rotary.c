/* config_rotary.c - reads rotary positions and windows out of config.json, in the names of transformers 5 and before.
 *
 * transformers 5 writes rope_parameters, for the whole model or for each type of layer, and layer_types; before it
 * there were rope_theta, or global_rope_theta and local_rope_theta, and global_attn_every_n_layers. The newer name
 * counts where both are written. */
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

/* Positions may be as they are: any scaling of them changes results, and is refused. */
static ce_status read_parameters(const cei_config_reader *in, const json_t *parameters, double *theta) {
    const char *type = "default";
    if (parameters && !json_is_null(parameters) && !json_is_object(parameters))
        return cei_fail(in->error, CE_ERR_FORMAT, "%s: rotary parameters must be an object, and are %s", in->path,
                        cei_json_type(parameters));
    ce_status status = cei_json_string(parameters, "type", in->path, &type, in->error);
    if (status == CE_OK) status = cei_json_string(parameters, "rope_type", in->path, &type, in->error);
    if (status == CE_OK && strcmp(type, "default") != 0)
        return cei_fail(in->error, CE_ERR_UNSUPPORTED, "%s: rotary positions of type \"%.64s\"; supported: default",
                        in->path, type);
    return status == CE_OK ? read_theta(in, parameters, "rope_theta", theta) : status;
}

static ce_status read_old_thetas(const cei_config_reader *in, cei_config *config) {
    double ignored = 0;
    ce_status status = read_theta(in, in->root, "rope_theta", &config->rope_theta);
    if (status == CE_OK) status = read_theta(in, in->root, "global_rope_theta", &config->rope_theta);
    if (status == CE_OK) status = read_theta(in, in->root, "local_rope_theta", &config->local_rope_theta);
    /* Written as null, it is that of the others. */
    if (json_is_null(json_object_get(in->root, "local_rope_theta"))) config->local_rope_theta = config->rope_theta;
    return status == CE_OK ? read_parameters(in, json_object_get(in->root, "rope_scaling"), &ignored) : status;
}

static ce_status read_thetas(const cei_config_reader *in, cei_config *config) {
    const json_t *parameters = json_object_get(in->root, "rope_parameters");
    const json_t *full = json_object_get(parameters, "full_attention");
    const json_t *sliding = json_object_get(parameters, "sliding_attention");
    ce_status status = read_old_thetas(in, config);
    if (status != CE_OK || !parameters) return status;
    if (!full && !sliding) return read_parameters(in, parameters, &config->rope_theta);
    status = read_parameters(in, full, &config->rope_theta);
    return status == CE_OK ? read_parameters(in, sliding, &config->local_rope_theta) : status;
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
