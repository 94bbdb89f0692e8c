/* electra.c - ELECTRA (Clark et al. 2020), as transformers' ElectraModel and ElectraForSequenceClassification.
 *
 * BERT whose embeddings may be narrower than its layers. Head: a dense layer with GELU over [CLS], and another. */
#include "model/transformer.h"

static const cei_transformer_form form = {
    .prefix = "electra.", .names = CEI_BERT_NAMES, .biases = CEI_ALL_BIASES, .has_types = true, .projects = true};

const cei_architecture cei_electra = {
    .model_type = "electra",
    .encoder = "ElectraModel",
    .classifier = "ElectraForSequenceClassification",
    .ops = CEI_TRANSFORMER_OPS,
    .head = {.first = "classifier.dense", .function = CEI_FN_GELU, .second = "classifier.out_proj"},
    .form = &form,
    CEI_TRANSFORMER_FUNCTIONS,
};
