/* deberta.c - DeBERTa (He et al. 2021), v2 and v3 as transformers' DebertaV2Model and
 * DebertaV2ForSequenceClassification, the first version as its DebertaModel and DebertaForSequenceClassification.
 *
 * BERT in whose attention distances count, mostly without absolute positions. Head: a dense layer with
 * pooler_hidden_act over [CLS], and the classifier. */
#include "model/transformer.h"

#define NAMES                                                                                            \
    .word = "embeddings.word_embeddings", .embedding_norm = "embeddings.LayerNorm",                      \
    .project = "embeddings.embed_proj", .layer = "encoder.layer", .attention = "attention.output.dense", \
    .attention_norm = "attention.output.LayerNorm", .up = "intermediate.dense", .down = "output.dense",  \
    .output_norm = "output.LayerNorm"

#define FORM                                                                                                         \
    .prefix = "deberta.", .biases = CEI_ALL_BIASES, .has_types = true, .types_are_optional = true, .projects = true, \
    .is_deberta = true

static const cei_transformer_form first = {FORM,
                                           .names = {NAMES, .distance_key = "attention.self.pos_proj",
                                                     .distance_query = "attention.self.pos_q_proj",
                                                     .query = "attention.self.in_proj"},
                                           .by_heads = true};

static const cei_transformer_form second = {
    FORM, .names = {NAMES, .distance_key = "attention.self.pos_key_proj",
                    .distance_query = "attention.self.pos_query_proj", .query = "attention.self.query_proj",
                    .key = "attention.self.key_proj", .value = "attention.self.value_proj"}};

static void set_head(const cei_config *config, cei_classifier *head) { head->function = config->pooler_act; }

const cei_architecture cei_deberta = {
    .model_type = "deberta",
    .encoder = "DebertaModel",
    .classifier = "DebertaForSequenceClassification",
    .ops = CEI_TRANSFORMER_OPS | CEI_DISTANCE_OPS,
    .head = {.first = "pooler.dense", .second = "classifier"},
    .form = &first,
    .set_head = set_head,
    CEI_TRANSFORMER_FUNCTIONS,
};

const cei_architecture cei_deberta_v2 = {
    .model_type = "deberta-v2",
    .encoder = "DebertaV2Model",
    .classifier = "DebertaV2ForSequenceClassification",
    .ops = CEI_TRANSFORMER_OPS | CEI_DEBERTA_OPS,
    .head = {.first = "pooler.dense", .second = "classifier"},
    .form = &second,
    .set_head = set_head,
    CEI_TRANSFORMER_FUNCTIONS,
};
