/* config_flash.c - configs of models whose authors built them on flash-attention's code: NomicBERT's, in the words of
 * GPT-2 (n_embd, n_layer, n_head), and Jina AI's of XLM-RoBERTa with rotary positions.
 *
 * Where newer names stand beside NomicBERT's own, its own count, as in its authors' code. Must not read weights; what
 * that code can do besides is refused by name. */
#include "model/config_parts.h"

#include "base/error.h"

#include <string.h>

enum { INNER_MULTIPLE = 256 }; /* the feed-forward is as wide as the next multiple of so many */

/* Switches of the authors' code that no published text encoder sets, but for experts. */
static ce_status refuse_switches(const cei_config_reader *in) {
    static const char *const keys[] = {"qkv_proj_bias", "mlp_fc1_bias",   "mlp_fc2_bias",
                                       "prenorm",       "parallel_block", "use_rms_norm",
                                       "causal",        "norm_mlp",       "rotary_head_dim"};
    ce_status status = CE_OK;
    for (size_t i = 0; i < sizeof keys / sizeof *keys && status == CE_OK; i++) {
        bool is_set = i < 3; /* the class's own defaults */
        status = cei_json_bool(in->root, keys[i], in->path, &is_set, in->error);
        if (status == CE_OK && is_set)
            status = cei_fail(in->error, CE_ERR_UNSUPPORTED, "%s: %s is not false, which is not supported of NomicBERT",
                              in->path, keys[i]);
    }
    return status;
}

static ce_status refuse_experts(const cei_config_reader *in) {
    size_t every = 0;
    ce_status status = cei_json_size(in->root, "moe_every_n_layers", 0, SIZE_MAX, in->path, &every, in->error);
    if (status != CE_OK || every == 0) return status;
    return cei_fail(in->error, CE_ERR_UNSUPPORTED, "%s: moe_every_n_layers is %zu: experts are not supported", in->path,
                    every);
}

/* How flash-attention's code turns, where it is told to turn otherwise than by halves of whole heads. */
static ce_status check_rotary(const cei_config_reader *in, size_t head_size) {
    bool is_interleaved = false;
    size_t size = head_size;
    const json_t *scale = json_object_get(in->root, "rotary_emb_scale_base");
    ce_status status = cei_json_bool(in->root, "rotary_emb_interleaved", in->path, &is_interleaved, in->error);
    if (status == CE_OK)
        status = cei_json_size(in->root, "rotary_emb_dim", 0, CEI_CONFIG_MOST, in->path, &size, in->error);
    if (status != CE_OK || (!is_interleaved && size == head_size && (!scale || json_is_null(scale)))) return status;
    return cei_fail(in->error, CE_ERR_UNSUPPORTED, "%s: %s is not supported", in->path,
                    is_interleaved      ? "rotary_emb_interleaved"
                    : size != head_size ? "rotary_emb_dim, of a part of each head,"
                                        : "rotary_emb_scale_base");
}

static ce_status check_fraction(const cei_config_reader *in) {
    double fraction = 0;
    ce_status status = cei_json_double(in->root, "rotary_emb_fraction", in->path, &fraction, in->error);
    if (status != CE_OK || fraction == 1) return status;
    return cei_fail(in->error, CE_ERR_UNSUPPORTED, "%s: rotary_emb_fraction is %g; supported: 1", in->path, fraction);
}

static size_t head_size_of(const cei_config *config) { return config->heads ? config->hidden_size / config->heads : 0; }

static ce_status read_gate(const cei_config_reader *in, cei_config *config) {
    const char *name = "gelu";
    ce_status status = cei_json_string(in->root, "activation_function", in->path, &name, in->error);
    config->hidden_act = CEI_FN_SILU;
    if (status != CE_OK || strcmp(name, "swiglu") == 0) return status;
    return cei_fail(in->error, CE_ERR_UNSUPPORTED, "%s: activation_function \"%.64s\"; supported of NomicBERT: swiglu",
                    in->path, name);
}

/* Beyond the length that it was trained on the frequencies of a model with a factor depend on a text's length. */
static ce_status read_positions(const cei_config_reader *in, cei_config *config) {
    size_t trained = 2048;
    double factor = 0;
    ce_status status =
        cei_json_size(in->root, "n_positions", 1, CEI_CONFIG_MOST, in->path, &config->max_positions, in->error);
    if (status == CE_OK)
        status = cei_json_size(in->root, "max_trained_positions", 1, CEI_CONFIG_MOST, in->path, &trained, in->error);
    if (status == CE_OK) status = cei_json_double(in->root, "rotary_scaling_factor", in->path, &factor, in->error);
    if (factor != 0 && config->max_positions > trained) config->max_positions = trained;
    return status;
}

static ce_status read_sizes(const cei_config_reader *in, cei_config *config) {
    const struct {
        const char *key;
        size_t *value;
    } sizes[] = {{"n_embd", &config->hidden_size},
                 {"n_layer", &config->layers},
                 {"n_head", &config->heads},
                 {"n_inner", &config->intermediate_size}};
    size_t padding = 1;
    ce_status status = CE_OK;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes && status == CE_OK; i++)
        status = cei_json_size(in->root, sizes[i].key, 1, CEI_CONFIG_MOST, in->path, sizes[i].value, in->error);
    if (status == CE_OK)
        status = cei_json_size(in->root, "pad_vocab_size_multiple", 1, CEI_CONFIG_MOST, in->path, &padding, in->error);
    config->intermediate_size = (config->intermediate_size + INNER_MULTIPLE - 1) / INNER_MULTIPLE * INNER_MULTIPLE;
    config->vocab_size = (config->vocab_size + padding - 1) / padding * padding;
    return status;
}

static ce_status read_epsilon(const cei_config_reader *in, cei_config *config) {
    double *epsilon = &config->layer_norm_eps;
    ce_status status = cei_json_double(in->root, "layer_norm_epsilon", in->path, epsilon, in->error);
    if (status != CE_OK || (*epsilon >= 0 && *epsilon <= 1)) return status;
    return cei_fail(in->error, CE_ERR_FORMAT, "%s: \"layer_norm_epsilon\" is %g, and must be from 0 to 1", in->path,
                    *epsilon);
}

ce_status cei_config_read_nomic(const cei_config_reader *in, cei_config *config) {
    config->is_authors = json_object_get(in->root, "n_embd") != NULL;
    if (!config->is_authors) return CE_OK;
    ce_status status = read_sizes(in, config);
    if (status == CE_OK) status = read_positions(in, config);
    if (status == CE_OK) status = read_epsilon(in, config);
    if (status == CE_OK) status = read_gate(in, config);
    if (status == CE_OK) status = check_fraction(in);
    if (status == CE_OK) status = check_rotary(in, head_size_of(config));
    if (status == CE_OK) status = refuse_switches(in);
    return status == CE_OK ? refuse_experts(in) : status;
}

ce_status cei_config_check_flash(const cei_config_reader *in, const cei_config *config) {
    return check_rotary(in, head_size_of(config));
}
