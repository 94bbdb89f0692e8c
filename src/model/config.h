/* config.h - config.json: every field that changes results.
 *
 * Knows JSON and the reference's rules of naming and precedence; knows nothing of weights or devices. Which fields an
 * architecture needs is said by its own file (bert.c). */
#ifndef CEI_CONFIG_H
#define CEI_CONFIG_H

#include "device/device.h"
#include "model/rotary.h"

#include <crossenc/model.h>

enum { CEI_NO_TOKEN = 1 << 30 };

/* How distances between tokens count in attention, as DeBERTa's configs say it. */
typedef struct cei_relative_config {
    bool is_on;                    /* relative_attention */
    bool c2p, p2c;                 /* pos_att_type: terms of content to position, and back */
    bool shares_keys;              /* share_att_key */
    bool has_norm;                 /* norm_rel_ebd has "layer_norm" */
    size_t buckets, max_positions; /* position_buckets, max_relative_positions; 0 if absent or below 1 */
} cei_relative_config;

/* What decoders' configs say beside the rest. */
typedef struct cei_decoder_config {
    bool is_on;          /* model_type is a decoder's that is known */
    size_t key_heads;    /* num_key_value_heads; that of the heads if null */
    size_t head_size;    /* head_dim, or what the class has for it; 0: hidden_size / num_attention_heads */
    size_t window;       /* sliding_window: tokens that a layer with a window sees, itself among them; 0 is none */
    size_t window_from;  /* layers from this on have one, where local_layers does not say */
    size_t window_skips; /* but for each that is the last of so many; 0 is none */
    bool sees_ahead;     /* use_bidirectional_attention: not causal, and half the window lies on either side */
    double query_scale;  /* query_pre_attn_scalar, whose root divides scores; 0: the head size */
    double score_cap;    /* attn_logit_softcapping; 0 is none */
    double logit_cap;    /* final_logit_softcapping, of words' logits alone; 0 is none */
    bool ties_words;     /* tie_word_embeddings: logits of words are products with the word embeddings */
} cei_decoder_config;

/* The activation of scores that files name: one of the library's, or another of torch's by its path. */
typedef struct cei_named_activation {
    ce_activation known; /* DEFAULT: none */
    char other[97];      /* "": none */
} cei_named_activation;

typedef struct cei_config {
    char *path;         /* of config.json, for messages */
    char *architecture; /* architectures[0], or "" */
    char *model_type;   /* "bert", or "" */
    size_t vocab_size, hidden_size, layers, heads, intermediate_size;
    size_t embedding_size;       /* ELECTRA's and DeBERTa's; 0 if absent */
    size_t head_size;            /* attention_head_size; 0 if absent */
    size_t groups, group_layers; /* num_hidden_groups, inner_group_num; 1 if absent */
    size_t pad_token_id;         /* CEI_NO_TOKEN if absent or null */
    size_t max_positions;        /* max_position_embeddings; 0 if absent, as for the five above */
    size_t bias_buckets;         /* relative_attention_num_buckets; 32 if absent */
    size_t type_vocab_size;      /* may also be written as 0 */
    double layer_norm_eps;       /* if absent 1e-12; DeBERTa's 1e-7 */
    cei_function hidden_act;     /* "gelu" if absent; ALBERT's "gelu_new" */
    size_t num_labels; /* "num_labels"; else id2label's size; else 2. 1 if no architecture has a trained head */
    char **labels;     /* [num_labels] id2label if it has as many, else LABEL_0 ... */
    cei_named_activation named; /* by the reference's order of precedence */
    ce_activation activation;   /* that, if it is known; never DEFAULT */
    bool activation_given;      /* it is: it does not follow from num_labels */
    char *position_embedding;   /* "absolute" if absent; NewModel's "rope" */
    bool is_decoder;
    bool is_authors; /* a NomicBERT's config.json is its authors', not that of transformers' class */

    /* Rotary positions: by rope_parameters or the older names. */
    double rope_theta, local_rope_theta; /* of layers that see all tokens, and of those with a window; 0 if absent */
    cei_rope_scaling rope_scaling[2];    /* the same */
    size_t local_attention; /* tokens that a layer with a window sees, half on either side; 128 if absent */
    size_t global_every;    /* every so many layers, from the first on, one has no window; 3 if absent */
    bool *local_layers;     /* [layers] which have a window; NULL: global_every says */

    /* What ModernBERT's configs say: false, "gelu" and "cls" if absent. */
    bool attention_bias, mlp_bias, norm_bias, classifier_bias;
    cei_function classifier_activation;
    cei_pooling classifier_pooling;

    cei_decoder_config decoder;

    /* DeBERTa's; the config of another model may not have them. */
    cei_relative_config relative;
    bool adds_positions;                  /* position_biased_input; true if absent */
    size_t conv_kernel_size, conv_groups; /* 0 (none) and 1 if absent */
    cei_function conv_act, pooler_act;    /* "tanh" and, of pooler_hidden_act, "gelu" if absent */
} cei_config;

/* Has a layer of a model that has such layers a window? */
static inline bool cei_config_is_local(const cei_config *config, size_t layer) {
    const cei_decoder_config *decoder = &config->decoder;
    if (decoder->is_on && !decoder->window) return false;
    if (decoder->is_on && !config->local_layers)
        return layer >= decoder->window_from && (!decoder->window_skips || (layer + 1) % decoder->window_skips != 0);
    return config->local_layers ? config->local_layers[layer] : layer % config->global_every != 0;
}

/* Reads folder/config.json, and the activation of folder/config_sentence_transformers.json if the folder was saved as
 * a CrossEncoder by version 6 or later. An activation that is not one of torch.nn's known ones is kept by
 * its name if that begins with "torch.", else warned of and passed over, as the reference does without
 * trust_remote_code. Errors: NOT_FOUND, IO, FORMAT (with field, value and range), UNSUPPORTED (hidden_act by name),
 * MEMORY. */
ce_status cei_config_load(const char *folder, const cei_log *log, cei_config *config, ce_error *error);

/* Takes the activation out of folder/config_sentence_transformers.json, as load does, where config.json is in another
 * folder. Errors: as load. */
ce_status cei_config_take_activation(const char *folder, const cei_log *log, cei_config *config, ce_error *error);

/* Of a model whose scores have the activation of its files. Errors: UNSUPPORTED, by its name. */
ce_status cei_config_check_activation(const cei_config *config, const char *model, ce_error *error);

/* config.json alone, from bytes; path is for messages. */
ce_status cei_config_parse(const char *data, size_t size, const char *path, const cei_log *log, cei_config *config,
                           ce_error *error);

/* Another number of labels than the files say, as the reference's num_labels argument does: if it differs, the labels
 * become LABEL_0 ..., and an activation that the files don't name is chosen anew. Errors: MEMORY. */
ce_status cei_config_set_labels(cei_config *config, size_t num_labels, ce_error *error);

/* The class of torch.nn that an activation is: "Identity". */
const char *cei_activation_class(ce_activation activation);

void cei_config_free(cei_config *config); /* zeroed is fine */

#endif
