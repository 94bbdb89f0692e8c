/* distilbert.c - DistilBERT (Sanh et al. 2019), as transformers' DistilBertModel and
 * DistilBertForSequenceClassification.
 *
 * BERT without token types, and with names of its own. Head: a dense layer with ReLU over [CLS], and the classifier. */
#include "model/post_norm.h"

static const cei_post_norm_form form = {
    .prefix = "distilbert.",
    .names = {"transformer.layer", "attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin",
              "sa_layer_norm", "ffn.lin1", "ffn.lin2", "output_layer_norm"},
};

const cei_architecture cei_distilbert = {
    .model_type = "distilbert",
    .encoder = "DistilBertModel",
    .classifier = "DistilBertForSequenceClassification",
    .ops = CEI_POST_NORM_OPS,
    .head = {"pre_classifier", CEI_FN_RELU, "classifier"},
    .form = &form,
    .create = cei_post_norm_create,
    .workspace = cei_post_norm_workspace,
    .encode = cei_post_norm_encode,
};
