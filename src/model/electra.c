/* electra.c - ELECTRA (Clark et al. 2020), as transformers' ElectraModel and ElectraForSequenceClassification.
 *
 * BERT whose embeddings may be narrower than its layers. Head: a dense layer with GELU over [CLS], and another. */
#include "model/post_norm.h"

static const cei_post_norm_form form = {
    .prefix = "electra.", .names = CEI_BERT_NAMES, .has_types = true, .projects = true};

static ce_status create(const cei_config *config, const cei_checkpoint *checkpoint, bool first_only, cei_plan *plan,
                        cei_network **network, ce_error *error) {
    return cei_post_norm_create(config, checkpoint, &form, first_only, plan, network, error);
}

static ce_status classify(const cei_config *config, cei_plan *plan, cei_network *network, ce_error *error) {
    static const cei_two_dense names = {"classifier.dense", CEI_FN_GELU, "classifier.out_proj"};
    return cei_head_classify(&network->head, plan, network->hidden, &names, config->num_labels, error);
}

const cei_architecture cei_electra = {
    .model_type = "electra",
    .encoder = "ElectraModel",
    .classifier = "ElectraForSequenceClassification",
    .ops = CEI_POST_NORM_OPS,
    .create = create,
    .classify = classify,
    .workspace = cei_post_norm_workspace,
    .encode = cei_post_norm_encode,
};
