/* distilbert.c - DistilBERT (Sanh et al. 2019), as transformers' DistilBertModel and
 * DistilBertForSequenceClassification.
 *
 * BERT without token types, and with names of its own. Head: a dense layer with ReLU over [CLS], and the classifier. */
#include "model/transformer.h"

static const cei_transformer_form form = {
    .prefix = "distilbert.",
    .names = {"transformer.layer", "attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin",
              "sa_layer_norm", "ffn.lin1", "ffn.lin2", "output_layer_norm"},
};

const cei_architecture cei_distilbert = {
    .model_type = "distilbert",
    .encoder = "DistilBertModel",
    .classifier = "DistilBertForSequenceClassification",
    .ops = CEI_TRANSFORMER_OPS,
    .head = {"pre_classifier", CEI_FN_RELU, "classifier"},
    .form = &form,
    .create = cei_transformer_create,
    .workspace = cei_transformer_workspace,
    .encode = cei_transformer_encode,
};
