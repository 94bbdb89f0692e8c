/* distilbert.c - DistilBERT (Sanh et al. 2019), as transformers' DistilBertModel and
 * DistilBertForSequenceClassification.
 *
 * BERT without token types, and with names of its own. Head: a dense layer with ReLU over [CLS], and the classifier. */
#include "model/transformer.h"

static const cei_transformer_form form = {
    .prefix = "distilbert.",
    .names = {.word = "embeddings.word_embeddings",
              .embedding_norm = "embeddings.LayerNorm",
              .layer = "transformer.layer",
              .query = "attention.q_lin",
              .key = "attention.k_lin",
              .value = "attention.v_lin",
              .attention = "attention.out_lin",
              .attention_norm = "sa_layer_norm",
              .up = "ffn.lin1",
              .down = "ffn.lin2",
              .output_norm = "output_layer_norm"},
    .biases = CEI_ALL_BIASES,
};

const cei_architecture cei_distilbert = {
    .model_type = "distilbert",
    .encoder = "DistilBertModel",
    .classifier = "DistilBertForSequenceClassification",
    .ops = CEI_TRANSFORMER_OPS,
    .head = {.first = "pre_classifier", .function = CEI_FN_RELU, .second = "classifier"},
    .form = &form,
    CEI_TRANSFORMER_FUNCTIONS,
};
