/* transformer_network.h - what transformer_plan.c makes of a config and transformer.c runs. */
#ifndef CEI_TRANSFORMER_NETWORK_H
#define CEI_TRANSFORMER_NETWORK_H

#include "model/relative.h"
#include "model/token_conv.h"
#include "model/transformer.h"

/* One layer; several may be the same weights. Where the head reads one token alone, the last layer's queries are a
 * product of their own, over fewer rows than the others', unless the matrix that makes them is one with those of keys
 * and values in the files, or is that of other layers too. */
typedef struct cei_layer_weights {
    cei_weight_pair query;                /* [queries, hidden]: of a last layer for that token alone */
    cei_weight_pair qkv;                  /* [queries + 2 keys, hidden]; there without queries */
    cei_weight_pair query_norm, key_norm; /* [head_size], if heads are normed */
    cei_weight_pair attention;            /* [hidden, queries] */
    cei_weight_pair attention_norm;
    cei_weight_pair attention_after, down_after; /* if what a step gives is normed */
    cei_weight_pair up;                          /* [intermediate, hidden]; [2 intermediate, hidden] of a gated unit */
    cei_weight_pair down;                        /* [hidden, intermediate] */
    cei_weight_pair output_norm;
    bool is_local; /* has a window */
} cei_layer_weights;

/* Rotary positions of the layers of one kind. */
typedef struct cei_rotary {
    float *frequencies; /* [head_size / 2] in the network's own memory; NULL: there are no such layers */
    size_t window;      /* 0 is none */
    float factor;       /* of cosines and sines, which is the square of it in scores; 1 where nothing turns */
} cei_rotary;

typedef struct cei_transformer {
    cei_network base;
    size_t intermediate, heads, key_heads, layer_count;
    size_t queries, keys; /* columns: heads * head_size, key_heads * head_size */
    float epsilon;
    bool causal;
    bool norms_heads, norms_after; /* those of queries and keys, not where they are one matrix; what a
                                      step gives, before it is added */
    float scale, cap;              /* of scores: cei_attention_args */
    float word_scale;              /* 0 is none */
    cei_function function;
    bool fused; /* queries, keys and values are one product in every layer */
    bool pre_norm, gated, gate_is_second;
    size_t position, type; /* tables, as base.word is */
    cei_weight_pair embedding_norm;
    bool projects;
    cei_weight_pair project;    /* [hidden, embedding] */
    size_t embedding;           /* columns of the embedding tables */
    bool adds_positions;        /* absolute ones */
    cei_rotary rotary[2];       /* of layers without and with a window; without frequencies nothing turns */
    cei_relative relative;      /* without terms if distances don't count */
    cei_token_conv conv;        /* its derived weight is behind those of relative */
    cei_distance_bias bias;     /* its derived weight is the only one */
    cei_layer_weights layers[]; /* [layer_count] */
} cei_transformer;

/* transformer_weights.c: declares the weights of net, whose sizes are set, in the plan. Errors: MODEL, MEMORY. */
ce_status cei_transformer_declare(const cei_config *config, const cei_checkpoint *checkpoint,
                                  const cei_transformer_form *form, cei_plan *plan, cei_transformer *net,
                                  ce_error *error);

/* transformer_compare.c: what two networks, or heads, differ in, for messages; NULL: nothing that changes a result of
 * the same weights. */
const char *cei_transformer_compare(const cei_network *one, const cei_network *other);
const char *cei_head_compare(const cei_head *a, const cei_head *b);

#endif
