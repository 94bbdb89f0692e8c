/* roberta.c - RoBERTa (Liu et al. 2019), and those with its arithmetic and other vocabularies: XLM-RoBERTa,
 * CamemBERT; also as Jina AI's implementation of XLM-RoBERTa names tensors (jina-reranker-v2), and turns positions.
 *
 * BERT whose positions begin behind the padding token's id. Head: a dense layer with tanh over <s>, and another. */
#include "model/transformer.h"

#define JINA_NAMES                                                                                        \
    {                                                                                                     \
        .word = "embeddings.word_embeddings", .embedding_norm = "emb_ln", .layer = "encoder.layers",      \
        .query = "mixer.Wqkv", .attention = "mixer.out_proj", .attention_norm = "norm1", .up = "mlp.fc1", \
        .down = "mlp.fc2", .output_norm = "norm2"                                                         \
    }

static const cei_transformer_form jina = {.prefix = "roberta.", .names = JINA_NAMES};

/* The same implementation with rotary positions: jina-embeddings-v3 as its authors have it. */
static const cei_transformer_form jina_rotary = {.prefix = "roberta.",
                                                 .names = JINA_NAMES,
                                                 .biases = CEI_ALL_BIASES,
                                                 .has_types = true,
                                                 .types_are_optional = true,
                                                 .position_type = "rotary",
                                                 .theta = 10000};

static const cei_transformer_form form = {.prefix = "roberta.",
                                          .names = CEI_BERT_NAMES,
                                          .biases = CEI_ALL_BIASES,
                                          .has_types = true,
                                          .skips_padding = true,
                                          .padding_id = 1,
                                          .other = &jina};

#define ROBERTA_HEAD \
    { .first = "classifier.dense", .function = CEI_FN_TANH, .second = "classifier.out_proj" }

const cei_architecture cei_jina_roberta = {.model_type = "xlm-roberta",
                                           .encoder = "XLMRobertaModel",
                                           .classifier = "XLMRobertaForSequenceClassification",
                                           .position_type = "rotary",
                                           .ops = CEI_TRANSFORMER_OPS | CEI_ROTARY_OPS,
                                           .head = ROBERTA_HEAD,
                                           .form = &jina_rotary,
                                           CEI_TRANSFORMER_FUNCTIONS};

#define CEI_ROBERTA(type, class)                                                                         \
    {                                                                                                    \
        .model_type = (type), .encoder = class "Model", .classifier = class "ForSequenceClassification", \
        .ops = CEI_TRANSFORMER_OPS, .head = ROBERTA_HEAD, .form = &form, CEI_TRANSFORMER_FUNCTIONS       \
    }

const cei_architecture cei_roberta = CEI_ROBERTA("roberta", "Roberta");
const cei_architecture cei_xlm_roberta = CEI_ROBERTA("xlm-roberta", "XLMRoberta");
const cei_architecture cei_camembert = CEI_ROBERTA("camembert", "Camembert");
