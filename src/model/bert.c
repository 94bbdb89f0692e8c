/* bert.c - BERT (Devlin et al. 2019), as transformers' BertModel and BertForSequenceClassification.
 * Head: a pooler with tanh over [CLS], and the classifier. */
#include "model/transformer.h"

static const cei_transformer_form form = {
    .prefix = "bert.", .names = CEI_BERT_NAMES, .biases = CEI_ALL_BIASES, .has_types = true};

const cei_architecture cei_bert = {
    .model_type = "bert",
    .encoder = "BertModel",
    .classifier = "BertForSequenceClassification",
    .ops = CEI_TRANSFORMER_OPS,
    .head = {.first = "bert.pooler.dense", .function = CEI_FN_TANH, .second = "classifier"},
    .form = &form,
    CEI_TRANSFORMER_FUNCTIONS,
};
