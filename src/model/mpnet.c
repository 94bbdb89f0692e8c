/* mpnet.c - MPNet (Song et al. 2020), as transformers' MPNetModel and MPNetForSequenceClassification.
 *
 * BERT without token types, whose positions begin behind the padding token's id and whose scores have a bias by
 * distance besides. Head: a dense layer with tanh over <s>, and another. */
#include "model/transformer.h"

static const cei_transformer_form form = {
    .prefix = "mpnet.",
    .names = {.word = "embeddings.word_embeddings",
              .embedding_norm = "embeddings.LayerNorm",
              .layer = "encoder.layer",
              .query = "attention.attn.q",
              .key = "attention.attn.k",
              .value = "attention.attn.v",
              .attention = "attention.attn.o",
              .attention_norm = "attention.LayerNorm",
              .up = "intermediate.dense",
              .down = "output.dense",
              .output_norm = "output.LayerNorm",
              .bias = "encoder.relative_attention_bias"},
    .biases = CEI_ALL_BIASES,
    .skips_padding = true,
    .padding_id = 1,
    .padding_is_fixed = true,
    .bias = CEI_BIAS_BUCKETS,
};

const cei_architecture cei_mpnet = {
    .model_type = "mpnet",
    .encoder = "MPNetModel",
    .classifier = "MPNetForSequenceClassification",
    .ops = CEI_TRANSFORMER_OPS | CEI_DISTANCE_OPS,
    .head = {.first = "classifier.dense", .function = CEI_FN_TANH, .second = "classifier.out_proj"},
    .form = &form,
    CEI_TRANSFORMER_FUNCTIONS,
};
