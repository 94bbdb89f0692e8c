/* modernbert.c - ModernBERT (Warner et al. 2024), as transformers' ModernBertModel and
 * ModernBertForSequenceClassification.
 *
 * Norms before the layers, rotary positions, gated feed-forward, few biases or none; most layers see a window of
 * tokens, and have a rotary base of their own. Head: a dense layer with a function over [CLS] or the mean of all
 * tokens, a norm, and the classifier. */
#include "model/transformer.h"

static const cei_transformer_form form = {
    .prefix = "model.",
    .names = {.word = "embeddings.tok_embeddings",
              .embedding_norm = "embeddings.norm",
              .layer = "layers",
              .query = "attn.Wqkv",
              .attention = "attn.Wo",
              .attention_norm = "mlp_norm",
              .up = "mlp.Wi",
              .down = "mlp.Wo",
              .output_norm = "attn_norm",
              .final_norm = "final_norm"},
    .asks_biases = true,
    .pre_norm = true,
    .gated = true,
    .is_local = true,
    .theta = 160000,
    .local_theta = 10000,
};

static void set_head(const cei_config *config, cei_classifier *head) {
    head->function = config->classifier_activation;
    head->pooling = config->classifier_pooling;
    head->no_bias = !config->classifier_bias;
    head->no_norm_bias = !config->norm_bias;
    head->epsilon = (float)config->layer_norm_eps;
}

const cei_architecture cei_modernbert = {
    .model_type = "modernbert",
    .encoder = "ModernBertModel",
    .classifier = "ModernBertForSequenceClassification",
    .ops = CEI_TRANSFORMER_OPS | CEI_ROTARY_OPS | CEI_GATED_OPS,
    .head = {.first = "head.dense", .norm = "head.norm", .second = "classifier"},
    .form = &form,
    .set_head = set_head,
    CEI_TRANSFORMER_FUNCTIONS,
};
