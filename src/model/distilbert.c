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

static ce_status create(const cei_config *config, const cei_checkpoint *checkpoint, bool first_only, cei_plan *plan,
                        cei_network **network, ce_error *error) {
    return cei_post_norm_create(config, checkpoint, &form, first_only, plan, network, error);
}

static ce_status classify(const cei_config *config, cei_plan *plan, cei_network *network, ce_error *error) {
    static const cei_two_dense names = {"pre_classifier", CEI_FN_RELU, "classifier"};
    return cei_head_classify(&network->head, plan, network->hidden, &names, config->num_labels, error);
}

const cei_architecture cei_distilbert = {
    .model_type = "distilbert",
    .encoder = "DistilBertModel",
    .classifier = "DistilBertForSequenceClassification",
    .ops = CEI_POST_NORM_OPS,
    .create = create,
    .classify = classify,
    .workspace = cei_post_norm_workspace,
    .encode = cei_post_norm_encode,
};
