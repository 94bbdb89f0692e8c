/* deberta.c - DeBERTa-v2 and v3 (He et al. 2021), as transformers' DebertaV2Model and
 * DebertaV2ForSequenceClassification.
 *
 * BERT in whose attention distances count, mostly without absolute positions. Head: a dense layer with
 * pooler_hidden_act over [CLS], and the classifier. */
#include "model/transformer.h"

static const cei_transformer_form form = {
    .prefix = "deberta.",
    .names = {.word = "embeddings.word_embeddings",
              .embedding_norm = "embeddings.LayerNorm",
              .project = "embeddings.embed_proj",
              .layer = "encoder.layer",
              .query = "attention.self.query_proj",
              .key = "attention.self.key_proj",
              .value = "attention.self.value_proj",
              .attention = "attention.output.dense",
              .attention_norm = "attention.output.LayerNorm",
              .up = "intermediate.dense",
              .down = "output.dense",
              .output_norm = "output.LayerNorm"},
    .biases = CEI_ALL_BIASES,
    .has_types = true,
    .types_are_optional = true,
    .projects = true,
    .is_deberta = true,
};

static void set_head(const cei_config *config, cei_classifier *head) { head->function = config->pooler_act; }

const cei_architecture cei_deberta_v2 = {
    .model_type = "deberta-v2",
    .encoder = "DebertaV2Model",
    .classifier = "DebertaV2ForSequenceClassification",
    .ops = CEI_TRANSFORMER_OPS | CEI_DEBERTA_OPS,
    .head = {.first = "pooler.dense", .second = "classifier"},
    .form = &form,
    .set_head = set_head,
    CEI_TRANSFORMER_FUNCTIONS,
};
