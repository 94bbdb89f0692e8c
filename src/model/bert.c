/* bert.c - BERT (Devlin et al. 2019), as transformers' BertModel and BertForSequenceClassification.
 * Head: a pooler with tanh over [CLS], and the classifier. */
#include "model/post_norm.h"

static const cei_post_norm_form form = {.prefix = "bert.", .names = CEI_BERT_NAMES, .has_types = true};

static ce_status create(const cei_config *config, const cei_checkpoint *checkpoint, bool first_only, cei_plan *plan,
                        cei_network **network, ce_error *error) {
    return cei_post_norm_create(config, checkpoint, &form, first_only, plan, network, error);
}

static ce_status classify(const cei_config *config, cei_plan *plan, cei_network *network, ce_error *error) {
    static const cei_two_dense names = {"bert.pooler.dense", CEI_FN_TANH, "classifier"};
    return cei_head_classify(&network->head, plan, network->hidden, &names, config->num_labels, error);
}

const cei_architecture cei_bert = {
    .model_type = "bert",
    .encoder = "BertModel",
    .classifier = "BertForSequenceClassification",
    .ops = CEI_POST_NORM_OPS,
    .create = create,
    .classify = classify,
    .workspace = cei_post_norm_workspace,
    .encode = cei_post_norm_encode,
};
