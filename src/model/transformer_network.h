/* transformer_network.h - what transformer_plan.c makes of a config and transformer.c runs. */
#ifndef CEI_TRANSFORMER_NETWORK_H
#define CEI_TRANSFORMER_NETWORK_H

#include "model/transformer.h"

/* A matrix and its bias, or a norm's gain and shift: indices into the plan's weights. */
typedef struct cei_weight_pair {
    size_t weight, bias;
    bool has_bias;
} cei_weight_pair;

/* One layer. Where the head reads [CLS] alone, the last layer's queries are a product of their own, over fewer rows
 * than the others', unless their matrix is one with those of keys and values. */
typedef struct cei_layer_weights {
    cei_weight_pair query;     /* [hidden, hidden]: of a last layer for [CLS] alone */
    cei_weight_pair qkv;       /* [3 hidden, hidden]; there without queries */
    cei_weight_pair attention; /* [hidden, hidden] */
    cei_weight_pair attention_norm;
    cei_weight_pair up;   /* [intermediate, hidden]; [2 intermediate, hidden] of a gated unit */
    cei_weight_pair down; /* [hidden, intermediate] */
    cei_weight_pair output_norm;
    bool is_local; /* has a window */
} cei_layer_weights;

/* Rotary positions of the layers of one kind. */
typedef struct cei_rotary {
    float *frequencies; /* [head_size / 2] behind the layers; NULL: there are no such layers */
    size_t window;      /* 0 is none */
} cei_rotary;

typedef struct cei_transformer {
    cei_network base;
    size_t intermediate, heads, layer_count;
    float epsilon;
    cei_function function;
    bool fused; /* queries, keys and values are one matrix in the files */
    bool pre_norm, gated;
    size_t word, position, type;
    cei_weight_pair embedding_norm;
    cei_weight_pair project;    /* [hidden, embedding], if embedding is not hidden */
    size_t embedding;           /* columns of the embedding tables */
    cei_rotary rotary[2];       /* of layers without and with a window; without frequencies, positions are embedded */
    cei_layer_weights layers[]; /* [layer_count] */
} cei_transformer;

#endif
