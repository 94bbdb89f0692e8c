/* roberta.c - RoBERTa (Liu et al. 2019), and those with its arithmetic and other vocabularies: XLM-RoBERTa,
 * CamemBERT.
 *
 * BERT whose positions begin behind the padding token's id. Head: a dense layer with tanh over <s>, and another. */
#include "model/transformer.h"

static const cei_transformer_form form = {.prefix = "roberta.",
                                          .names = CEI_BERT_NAMES,
                                          .biases = CEI_ALL_BIASES,
                                          .has_types = true,
                                          .skips_padding = true,
                                          .padding_id = 1};

const cei_architecture cei_roberta = {
    .model_type = "roberta",
    .encoder = "RobertaModel",
    .classifier = "RobertaForSequenceClassification",
    .ops = CEI_TRANSFORMER_OPS,
    .head = {.first = "classifier.dense", .function = CEI_FN_TANH, .second = "classifier.out_proj"},
    .form = &form,
    .create = cei_transformer_create,
    .workspace = cei_transformer_workspace,
    .encode = cei_transformer_encode,
};

const cei_architecture cei_xlm_roberta = {
    .model_type = "xlm-roberta",
    .encoder = "XLMRobertaModel",
    .classifier = "XLMRobertaForSequenceClassification",
    .ops = CEI_TRANSFORMER_OPS,
    .head = {.first = "classifier.dense", .function = CEI_FN_TANH, .second = "classifier.out_proj"},
    .form = &form,
    .create = cei_transformer_create,
    .workspace = cei_transformer_workspace,
    .encode = cei_transformer_encode,
};

const cei_architecture cei_camembert = {
    .model_type = "camembert",
    .encoder = "CamembertModel",
    .classifier = "CamembertForSequenceClassification",
    .ops = CEI_TRANSFORMER_OPS,
    .head = {.first = "classifier.dense", .function = CEI_FN_TANH, .second = "classifier.out_proj"},
    .form = &form,
    .create = cei_transformer_create,
    .workspace = cei_transformer_workspace,
    .encode = cei_transformer_encode,
};
