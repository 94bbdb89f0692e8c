/* transformer.h - the encoder that most architectures share (Vaswani et al. 2017).
 *
 * Embeddings, normed; layers of attention and feed-forward, each added to what went in, with a norm behind the addition
 * (BERT) or before the next step (ModernBERT). Positions are embedded, or turn queries and keys (Su et al. 2021); the
 * feed-forward may be gated (Shazeer 2020); layers may have a window. An architecture of this kind is a form: names,
 * and the few things in which they differ. Decoders see no token behind, share heads of keys, and have RMS norms.
 * DeBERTa's distances are relative.c's, its convolution token_conv.c's; a bias by distance is distance_bias.c's. */
#ifndef CEI_TRANSFORMER_H
#define CEI_TRANSFORMER_H

#include "model/architecture.h"
#include "model/distance_bias.h"

/* Names of tensors without ".weight" and ".bias". */
typedef struct cei_transformer_names {
    const char *word;
    const char *embedding_norm; /* NULL: the embeddings are the states as they are, and the first layer norms them */
    const char *project;        /* of embeddings that are narrower than the rest */
    const char *layer;          /* of all layers; the rest stands behind LAYER.index */
    const char *inner;          /* of layers in groups: behind LAYER.group.INNER.index */
    const char *distance_key, *distance_query; /* of DeBERTa's distances */
    const char *query, *key, *value;           /* key NULL: query names a matrix of all three, one above the other */
    const char *query_norm, *key_norm;         /* of heads, before they are turned; NULL is none */
    const char *attention, *attention_norm;
    const char
        *gate; /* of a gated unit: what the function is of; NULL: up names a matrix of both, one above the other */
    const char *up, *down;
    const char *output_norm;                  /* where norms come before: the next layer's first */
    const char *final_norm;                   /* where norms come before: behind the last layer */
    const char *attention_after, *down_after; /* of what a step gives, before it is added; NULL is none */
    const char *bias;                         /* the table of a bias by distance */
} cei_transformer_names;

/* Which matrices and norms have biases. */
typedef struct cei_transformer_biases {
    bool query, attention, up, down, norm;
} cei_transformer_biases;

typedef struct cei_transformer_form {
    const char *prefix; /* of all names, where a head was saved with the encoder: "bert." */
    cei_transformer_names names;
    cei_transformer_biases biases;
    bool asks_biases;        /* the config has a say: attention_bias, mlp_bias, norm_bias */
    bool has_types;          /* token types have embeddings */
    bool types_are_optional; /* type_vocab_size 0 is none */
    bool is_deberta;         /* distances, a convolution, no absolute positions, as the config says; a projection
                                without bias before the norm */
    bool by_heads;           /* queries, keys and values are one matrix, head by head; keys have no bias */
    bool projects;           /* embeddings may be narrower than the rest: embedding_size */
    bool always_projects;    /* they are projected whether narrower or not */
    bool shares_layers;      /* layers are those of num_hidden_groups groups of inner_group_num, run again and again */
    bool skips_padding;      /* positions begin behind the padding token's id, which is its own position */
    size_t padding_id;       /* of a config that does not say */
    bool padding_is_fixed;   /* what a config says of it is not read */
    const char *position_type; /* the position_embedding_type that it is for; NULL is "absolute", or any where positions
                                  are rotary */
    cei_bias_kind bias;        /* of scores by distance; with slopes there are no other positions */
    bool pre_norm;             /* norms come before, and the first layer's is the embeddings' */
    bool gated;                /* feed-forward: function(a) b */
    bool gate_is_second;       /* a is below b, in a matrix of both */
    bool is_decoder;           /* all norms are RMS norms; heads, windows and direction as cei_decoder_config says */
    bool adds_one;             /* norms' gains are written less 1 */
    bool scales_words;         /* embeddings are multiplied by the root of their columns */
    bool is_local;             /* some layers have a window: cei_config_is_local */
    double theta;              /* of rotary positions, for a config that does not say; 0: positions are embedded */
    double local_theta;        /* the same of layers with a window */
    const struct cei_transformer_form *other; /* another writer's, whose prefix, names and order of the gate count where
                                                 the checkpoint has its names */
} cei_transformer_form;

/* BERT's names, which most of its kin have. */
#define CEI_BERT_NAMES                                                                                       \
    {                                                                                                        \
        .word = "embeddings.word_embeddings", .embedding_norm = "embeddings.LayerNorm",                      \
        .project = "embeddings_project", .layer = "encoder.layer", .query = "attention.self.query",          \
        .key = "attention.self.key", .value = "attention.self.value", .attention = "attention.output.dense", \
        .attention_norm = "attention.output.LayerNorm", .up = "intermediate.dense", .down = "output.dense",  \
        .output_norm = "output.LayerNorm"                                                                    \
    }

#define CEI_ALL_BIASES \
    { .query = true, .attention = true, .up = true, .down = true, .norm = true }

/* As cei_architecture's functions; self->form is a cei_transformer_form. */
ce_status cei_transformer_create(const cei_architecture *self, const cei_config *config,
                                 const cei_checkpoint *checkpoint, cei_reads reads, cei_plan *plan,
                                 cei_network **network, ce_error *error);
size_t cei_transformer_workspace(const cei_network *network, size_t tokens, size_t sequences);
ce_status cei_transformer_derive(const cei_derivation *derivation, ce_error *error);
ce_status cei_transformer_encode(const cei_run *run, cei_states *states, ce_error *error);

#define CEI_TRANSFORMER_FUNCTIONS                                                                               \
    .create = cei_transformer_create, .workspace = cei_transformer_workspace, .derive = cei_transformer_derive, \
    .encode = cei_transformer_encode

/* The operations that encode calls, for cei_architecture's ops: of all forms, and of those with rotary positions,
 * gates, distances, or distances and a convolution besides; and of decoders, in the place of all forms'. */
#define CEI_TRANSFORMER_OPS (1u << CEI_OP_EMBED | 1u << CEI_OP_NORM | 1u << CEI_OP_LINEAR | 1u << CEI_OP_ATTENTION)
#define CEI_ROTARY_OPS (1u << CEI_OP_ANGLES | 1u << CEI_OP_ROTARY)
#define CEI_GATED_OPS (1u << CEI_OP_GATE)
#define CEI_DECODER_OPS \
    (1u << CEI_OP_EMBED | 1u << CEI_OP_RMS_NORM | 1u << CEI_OP_LINEAR | 1u << CEI_OP_ATTENTION_CAUSAL)
#define CEI_DISTANCE_OPS (1u << CEI_OP_ATTENTION_RELATIVE)
#define CEI_DEBERTA_OPS (CEI_DISTANCE_OPS | 1u << CEI_OP_GATHER)

#endif
