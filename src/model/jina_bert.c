/* jina_bert.c - JinaBERT (Guenther et al. 2023), as its authors' JinaBertModel and JinaBertForSequenceClassification,
 * of jina-embeddings-v2 and jina-reranker-v1.
 *
 * BERT without positions, whose scores fall with the distance, with a gated feed-forward. Configs have BERT's
 * model_type and the position_embedding_type "alibi"; re-rankers are published under the encoder's class. Head: BERT's.
 */
#include "model/transformer.h"

#define NAMES                                                                                                 \
    .word = "embeddings.word_embeddings", .embedding_norm = "embeddings.LayerNorm", .layer = "encoder.layer", \
    .query = "attention.self.query", .key = "attention.self.key", .value = "attention.self.value",            \
    .attention = "attention.output.dense", .attention_norm = "attention.output.LayerNorm", .down = "mlp.wo",  \
    .output_norm = "mlp.layernorm"

#define FORM                                                                                                        \
    .prefix = "bert.", .biases = {.query = true, .attention = true, .down = true, .norm = true}, .has_types = true, \
    .gated = true, .position_type = "alibi", .bias = CEI_BIAS_SLOPES

/* As GGUF files have it: the two halves of gated_layers apart. */
static const cei_transformer_form halves = {FORM,
                                            .names = {NAMES, .gate = "mlp.gated_layers_w", .up = "mlp.gated_layers_v"}};

static const cei_transformer_form form = {FORM, .names = {NAMES, .up = "mlp.gated_layers"}, .other = &halves};

const cei_architecture cei_jina_bert = {
    .model_type = "bert",
    .encoder = "JinaBertModel",
    .classifier = "JinaBertForSequenceClassification",
    .saved_as_encoder = true,
    .position_type = "alibi",
    .ops = CEI_TRANSFORMER_OPS | CEI_GATED_OPS | CEI_DISTANCE_OPS,
    .head = {.first = "bert.pooler.dense", .function = CEI_FN_TANH, .second = "classifier"},
    .form = &form,
    CEI_TRANSFORMER_FUNCTIONS,
};
