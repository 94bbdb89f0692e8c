/* roberta.c - RoBERTa (Liu et al. 2019), and those with its arithmetic and other vocabularies: XLM-RoBERTa,
 * CamemBERT.
 *
 * BERT whose positions begin behind the padding token's id. Head: a dense layer with tanh over <s>, and another. */
#include "model/post_norm.h"

static const cei_post_norm_form form = {
    .prefix = "roberta.", .names = CEI_BERT_NAMES, .has_types = true, .skips_padding = true, .padding_id = 1};

const cei_architecture cei_roberta = {
    .model_type = "roberta",
    .encoder = "RobertaModel",
    .classifier = "RobertaForSequenceClassification",
    .ops = CEI_POST_NORM_OPS,
    .head = {"classifier.dense", CEI_FN_TANH, "classifier.out_proj"},
    .form = &form,
    .create = cei_post_norm_create,
    .workspace = cei_post_norm_workspace,
    .encode = cei_post_norm_encode,
};

const cei_architecture cei_xlm_roberta = {
    .model_type = "xlm-roberta",
    .encoder = "XLMRobertaModel",
    .classifier = "XLMRobertaForSequenceClassification",
    .ops = CEI_POST_NORM_OPS,
    .head = {"classifier.dense", CEI_FN_TANH, "classifier.out_proj"},
    .form = &form,
    .create = cei_post_norm_create,
    .workspace = cei_post_norm_workspace,
    .encode = cei_post_norm_encode,
};

const cei_architecture cei_camembert = {
    .model_type = "camembert",
    .encoder = "CamembertModel",
    .classifier = "CamembertForSequenceClassification",
    .ops = CEI_POST_NORM_OPS,
    .head = {"classifier.dense", CEI_FN_TANH, "classifier.out_proj"},
    .form = &form,
    .create = cei_post_norm_create,
    .workspace = cei_post_norm_workspace,
    .encode = cei_post_norm_encode,
};
