/* bert.c - BERT (Devlin et al. 2019), as transformers' BertModel and BertForSequenceClassification.
 * Head: a pooler with tanh over [CLS], and the classifier. */
#include "model/post_norm.h"

static const cei_post_norm_form form = {.prefix = "bert.", .names = CEI_BERT_NAMES, .has_types = true};

const cei_architecture cei_bert = {
    .model_type = "bert",
    .encoder = "BertModel",
    .classifier = "BertForSequenceClassification",
    .ops = CEI_POST_NORM_OPS,
    .head = {"bert.pooler.dense", CEI_FN_TANH, "classifier"},
    .form = &form,
    .create = cei_post_norm_create,
    .workspace = cei_post_norm_workspace,
    .encode = cei_post_norm_encode,
};
