/* electra.c - ELECTRA (Clark et al. 2020), as transformers' ElectraModel and ElectraForSequenceClassification.
 *
 * BERT whose embeddings may be narrower than its layers. Head: a dense layer with GELU over [CLS], and another. */
#include "model/post_norm.h"

static const cei_post_norm_form form = {
    .prefix = "electra.", .names = CEI_BERT_NAMES, .has_types = true, .projects = true};

const cei_architecture cei_electra = {
    .model_type = "electra",
    .encoder = "ElectraModel",
    .classifier = "ElectraForSequenceClassification",
    .ops = CEI_POST_NORM_OPS,
    .head = {"classifier.dense", CEI_FN_GELU, "classifier.out_proj"},
    .form = &form,
    .create = cei_post_norm_create,
    .workspace = cei_post_norm_workspace,
    .encode = cei_post_norm_encode,
};
