/* albert.c - ALBERT (Lan et al. 2020), as transformers' AlbertModel and AlbertForSequenceClassification.
 *
 * BERT whose layers are one, or a few in groups, run again and again, and whose embeddings are narrower and always
 * projected. Head: the pooler with tanh over [CLS], and the classifier. */
#include "model/transformer.h"

static const cei_transformer_form form = {
    .prefix = "albert.",
    .names = {.word = "embeddings.word_embeddings",
              .embedding_norm = "embeddings.LayerNorm",
              .project = "encoder.embedding_hidden_mapping_in",
              .layer = "encoder.albert_layer_groups",
              .inner = "albert_layers",
              .query = "attention.query",
              .key = "attention.key",
              .value = "attention.value",
              .attention = "attention.dense",
              .attention_norm = "attention.LayerNorm",
              .up = "ffn",
              .down = "ffn_output",
              .output_norm = "full_layer_layer_norm"},
    .biases = CEI_ALL_BIASES,
    .has_types = true,
    .projects = true,
    .always_projects = true,
    .shares_layers = true,
};

const cei_architecture cei_albert = {
    .model_type = "albert",
    .encoder = "AlbertModel",
    .classifier = "AlbertForSequenceClassification",
    .ops = CEI_TRANSFORMER_OPS,
    .head = {.first = "albert.pooler", .function = CEI_FN_TANH, .second = "classifier"},
    .form = &form,
    CEI_TRANSFORMER_FUNCTIONS,
};
