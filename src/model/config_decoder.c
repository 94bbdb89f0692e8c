/* config_decoder.c - reads what decoders' configs have: heads of keys, head sizes, windows, caps.
 *
 * A config that leaves a field out gets what transformers' class of the model has for it, and the classes differ: the
 * table below is theirs. */
#include "model/config_parts.h"

#include "base/error.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>

/* How a class decides which layers have a window, where layer_types does not say. */
typedef enum window_rule {
    WINDOW_NEVER,
    WINDOW_ALWAYS, /* all layers, whatever layer_types says, if there is a sliding_window */
    WINDOW_FROM,   /* those from max_window_layers on, if use_sliding_window is set */
    WINDOW_SKIPS   /* all but each n-th, n as in every */
} window_rule;

/* The defaults of one class. */
typedef struct decoder_class {
    const char *model_type;
    size_t key_heads;   /* 0: as many as heads */
    size_t head_size;   /* 0: hidden_size / num_attention_heads */
    window_rule rule;   /* of the layers with a window */
    size_t every;       /* of that rule */
    bool is_gemma;      /* its function, its padding token, and that words are tied */
    bool gelu_is_tanh;  /* "gelu" is read as its approximation, which old configs mean */
    double query_scale; /* here and below: 0 where there is no such field */
    bool has_mlp_bias;  /* a field of that name */
    double score_cap, logit_cap;
    bool may_see_ahead; /* use_bidirectional_attention means something; and a few fields are its own */
} decoder_class;

static const decoder_class classes[] = {
    {.model_type = "qwen2", .key_heads = 32, .rule = WINDOW_FROM},
    {.model_type = "qwen3", .key_heads = 32, .head_size = 128, .rule = WINDOW_FROM},
    {.model_type = "llama", .has_mlp_bias = true},
    {.model_type = "mistral", .key_heads = 8, .rule = WINDOW_ALWAYS},
    {.model_type = "gemma", .key_heads = 16, .head_size = 256, .is_gemma = true, .gelu_is_tanh = true},
    {.model_type = "gemma2",
     .key_heads = 4,
     .head_size = 256,
     .rule = WINDOW_SKIPS,
     .every = 2,
     .is_gemma = true,
     .query_scale = 256,
     .score_cap = 50,
     .logit_cap = 30},
    {.model_type = "gemma3_text",
     .key_heads = 4,
     .head_size = 256,
     .rule = WINDOW_SKIPS,
     .every = 6,
     .is_gemma = true,
     .query_scale = 256,
     .may_see_ahead = true},
};

static const decoder_class *find_class(const cei_config *config) {
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
        if (strcmp(config->model_type, classes[i].model_type) == 0) return &classes[i];
    return NULL;
}

/* A size that may be null, which is `none`; absent, it stays. */
static ce_status read_nullable(const cei_config_reader *in, const char *key, size_t none, size_t *value) {
    if (json_is_null(json_object_get(in->root, key))) *value = none;
    return cei_json_size(in->root, key, 1, CEI_CONFIG_MOST, in->path, value, in->error);
}

/* The same of a number above 0, whose null is 0. */
static ce_status read_number(const cei_config_reader *in, const char *key, double *value) {
    if (json_is_null(json_object_get(in->root, key))) *value = 0;
    ce_status status = cei_json_double(in->root, key, in->path, value, in->error);
    if (status != CE_OK || (*value >= 0 && isfinite(*value))) return status;
    return cei_fail(in->error, CE_ERR_FORMAT, "%s: \"%s\" is %g, and must be above 0", in->path, key, *value);
}

static ce_status read_sizes(const cei_config_reader *in, const decoder_class *class, cei_config *config) {
    cei_decoder_config *decoder = &config->decoder;
    decoder->key_heads = class->key_heads ? class->key_heads : config->heads;
    decoder->head_size = class->head_size;
    ce_status status = read_nullable(in, "num_key_value_heads", config->heads, &decoder->key_heads);
    if (status == CE_OK) status = read_nullable(in, "head_dim", 0, &decoder->head_size);
    if (class->is_gemma && !json_object_get(in->root, "pad_token_id")) config->pad_token_id = 0;
    decoder->ties_words = class->is_gemma;
    return status == CE_OK ? cei_json_bool(in->root, "tie_word_embeddings", in->path, &decoder->ties_words, in->error)
                           : status;
}

static ce_status read_scores(const cei_config_reader *in, const decoder_class *class, cei_config *config) {
    cei_decoder_config *decoder = &config->decoder;
    decoder->query_scale = class->query_scale;
    decoder->score_cap = class->score_cap;
    decoder->logit_cap = class->logit_cap;
    if (class->rule != WINDOW_SKIPS) return CE_OK; /* no field of theirs */
    ce_status status = read_number(in, "query_pre_attn_scalar", &decoder->query_scale);
    if (status == CE_OK && class->score_cap > 0) /* Gemma 3's class has the field, and its attention does not read it */
        status = read_number(in, "attn_logit_softcapping", &decoder->score_cap);
    return status == CE_OK ? read_number(in, "final_logit_softcapping", &decoder->logit_cap) : status;
}

static ce_status read_functions(const cei_config_reader *in, const decoder_class *class, cei_config *config) {
    const char *key = class->is_gemma && !class->gelu_is_tanh ? "hidden_activation" : "hidden_act";
    const char *name = json_string_value(json_object_get(in->root, key));
    double *epsilon = &config->layer_norm_eps;
    *epsilon = 1e-6;
    ce_status status = cei_json_double(in->root, "rms_norm_eps", in->path, epsilon, in->error);
    if (status == CE_OK && !(*epsilon >= 0 && *epsilon <= 1))
        status = cei_fail(in->error, CE_ERR_FORMAT, "%s: \"rms_norm_eps\" is %g, and must be from 0 to 1", in->path,
                          *epsilon);
    if (status != CE_OK) return status;
    if (class->gelu_is_tanh && name && strcmp(name, "gelu") == 0) {
        config->hidden_act = CEI_FN_GELU_TANH;
        return CE_OK;
    }
    return cei_config_read_function(in, key, class->is_gemma ? "gelu_pytorch_tanh" : "silu", &config->hidden_act);
}

/* A window of one token would be none at all to read it by. */
static ce_status read_window(const cei_config_reader *in, const decoder_class *class, cei_config *config) {
    cei_decoder_config *decoder = &config->decoder;
    bool uses = class->rule != WINDOW_FROM;
    size_t window = class->rule == WINDOW_NEVER ? 0 : 4096;
    ce_status status = CE_OK;
    if (class->rule == WINDOW_FROM) status = cei_json_bool(in->root, "use_sliding_window", in->path, &uses, in->error);
    if (status == CE_OK && class->rule != WINDOW_NEVER) status = read_nullable(in, "sliding_window", 0, &window);
    if (status == CE_OK && uses && window == 1)
        status = cei_fail(in->error, CE_ERR_UNSUPPORTED, "%s: a sliding_window of 1 token", in->path);
    decoder->window = uses ? window : 0;
    return status;
}

/* Which layers have the window, where layer_types does not say. */
static ce_status read_layers(const cei_config_reader *in, const decoder_class *class, cei_config *config) {
    cei_decoder_config *decoder = &config->decoder;
    decoder->window_from = class->rule == WINDOW_FROM ? 28 : 0;
    decoder->window_skips = class->every;
    if (class->rule == WINDOW_ALWAYS) {
        cei_free(config->local_layers);
        config->local_layers = NULL;
    }
    if (class->rule == WINDOW_FROM)
        return cei_json_size(in->root, "max_window_layers", 0, CEI_CONFIG_MOST, in->path, &decoder->window_from,
                             in->error);
    if (!class->may_see_ahead) return CE_OK;
    ce_status status =
        config->local_rope_theta > 0 ? CE_OK : read_number(in, "rope_local_base_freq", &config->local_rope_theta);
    if (status == CE_OK)
        status = cei_json_size(in->root, "sliding_window_pattern", 1, CEI_CONFIG_MOST, in->path, &decoder->window_skips,
                               in->error);
    return status == CE_OK
               ? cei_json_bool(in->root, "use_bidirectional_attention", in->path, &decoder->sees_ahead, in->error)
               : status;
}

/* What the other classes would be, no model was published as. */
static ce_status check_direction(const cei_config_reader *in, const decoder_class *class) {
    bool sees_ahead = false;
    ce_status status = cei_json_bool(in->root, "use_bidirectional_attention", in->path, &sees_ahead, in->error);
    if (status != CE_OK || !sees_ahead || class->may_see_ahead) return status;
    return cei_fail(in->error, CE_ERR_UNSUPPORTED, "%s: use_bidirectional_attention is true; supported of gemma3_text",
                    in->path);
}

ce_status cei_config_read_decoder(const cei_config_reader *in, cei_config *config) {
    const decoder_class *class = find_class(config);
    if (!class) return CE_OK;
    config->decoder.is_on = true;
    ce_status status = read_sizes(in, class, config);
    if (status == CE_OK) status = read_scores(in, class, config);
    if (status == CE_OK) status = read_functions(in, class, config);
    if (status == CE_OK) status = read_window(in, class, config);
    if (status == CE_OK) status = read_layers(in, class, config);
    if (status == CE_OK) status = check_direction(in, class);
    if (status == CE_OK)
        status = cei_json_bool(in->root, "attention_bias", in->path, &config->attention_bias, in->error);
    if (status != CE_OK || !class->has_mlp_bias) return status;
    return cei_json_bool(in->root, "mlp_bias", in->path, &config->mlp_bias, in->error);
}
