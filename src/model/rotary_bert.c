/* rotary_bert.c - BERT with rotary positions, as transformers has it in three models: gte (Zhang et al. 2024),
 * NomicBERT (Nussbaum et al. 2024), jina-embeddings-v3 (Sturua et al. 2024).
 *
 * The first two have a gated feed-forward, and their heads are BERT's; the third is XLM-RoBERTa but for its positions.
 * Tensors have the names of transformers' own classes; those of gte and NomicBERT also their authors'. */
#include "model/transformer.h"

#define NAMES                                                                                          \
    .word = "embeddings.word_embeddings", .embedding_norm = "embeddings.LayerNorm", .layer = "layers", \
    .query = "self_attn.q_proj", .key = "self_attn.k_proj", .value = "self_attn.v_proj",               \
    .attention = "self_attn.o_proj", .attention_norm = "post_attention_layernorm", .output_norm = "post_mlp_layernorm"

static const cei_transformer_form gte = {
    .prefix = "gte.",
    .names = {NAMES, .gate = "mlp.gate_proj", .up = "mlp.up_proj", .down = "mlp.down_proj"},
    .biases = {.query = true, .attention = true, .down = true, .norm = true},
    .has_types = true,
    .types_are_optional = true,
    .gated = true,
    .theta = 160000,
};

/* gte as its authors' code names it; up stands above the gate. */
static const cei_transformer_form new = {
    .prefix = "new.",
    .names = {.word = "embeddings.word_embeddings",
              .embedding_norm = "embeddings.LayerNorm",
              .layer = "encoder.layer",
              .query = "attention.qkv_proj",
              .attention = "attention.o_proj",
              .attention_norm = "attn_ln",
              .up = "mlp.up_gate_proj",
              .down = "mlp.down_proj",
              .output_norm = "mlp_ln"},
    .biases = {.query = true, .attention = true, .down = true, .norm = true},
    .has_types = true,
    .types_are_optional = true,
    .gated = true,
    .gate_is_second = true,
    .position_type = "rope",
    .theta = 10000,
};

/* NomicBERT as its authors' code names it. */
static const cei_transformer_form nomic_authors = {.prefix = "bert.",
                                                   .names = {.word = "embeddings.word_embeddings",
                                                             .embedding_norm = "emb_ln",
                                                             .layer = "encoder.layers",
                                                             .query = "attn.Wqkv",
                                                             .attention = "attn.out_proj",
                                                             .attention_norm = "norm1",
                                                             .gate = "mlp.fc12",
                                                             .up = "mlp.fc11",
                                                             .down = "mlp.fc2",
                                                             .output_norm = "norm2"}};

static const cei_transformer_form nomic = {
    .prefix = "nomic_bert.",
    .names = {NAMES, .gate = "mlp.gate_proj", .up = "mlp.up_proj", .down = "mlp.down_proj"},
    .biases = {.norm = true},
    .has_types = true,
    .types_are_optional = true,
    .gated = true,
    .theta = 1000,
    .other = &nomic_authors,
};

static void set_nomic_head(const cei_config *config, cei_classifier *head) {
    if (config->is_authors) head->first = "bert.pooler.dense";
}

static const cei_transformer_form jina = {
    .prefix = "roberta.",
    .names = {NAMES, .up = "mlp.fc1", .down = "mlp.fc2"},
    .biases = CEI_ALL_BIASES,
    .has_types = true,
    .theta = 20000,
};

const cei_architecture cei_gte = {
    .model_type = "gte",
    .encoder = "GteModel",
    .classifier = "GteForSequenceClassification",
    .ops = CEI_TRANSFORMER_OPS | CEI_ROTARY_OPS | CEI_GATED_OPS,
    .head = {.first = "gte.pooler.dense", .function = CEI_FN_TANH, .second = "classifier"},
    .form = &gte,
    CEI_TRANSFORMER_FUNCTIONS,
};

const cei_architecture cei_new = {
    .model_type = "new",
    .encoder = "NewModel",
    .classifier = "NewForSequenceClassification",
    .ops = CEI_TRANSFORMER_OPS | CEI_ROTARY_OPS | CEI_GATED_OPS,
    .head = {.first = "new.pooler.dense", .function = CEI_FN_TANH, .second = "classifier"},
    .form = &new,
    CEI_TRANSFORMER_FUNCTIONS,
};

const cei_architecture cei_nomic_bert = {
    .model_type = "nomic_bert",
    .encoder = "NomicBertModel",
    .classifier = "NomicBertForSequenceClassification",
    .ops = CEI_TRANSFORMER_OPS | CEI_ROTARY_OPS | CEI_GATED_OPS,
    .head = {.first = "nomic_bert.pooler.dense", .function = CEI_FN_TANH, .second = "classifier"},
    .form = &nomic,
    .set_head = set_nomic_head,
    CEI_TRANSFORMER_FUNCTIONS,
};

const cei_architecture cei_jina_v3 = {
    .model_type = "jina_embeddings_v3",
    .encoder = "JinaEmbeddingsV3Model",
    .classifier = "JinaEmbeddingsV3ForSequenceClassification",
    .ops = CEI_TRANSFORMER_OPS | CEI_ROTARY_OPS,
    .head = {.first = "classifier.dense", .function = CEI_FN_TANH, .second = "classifier.out_proj"},
    .form = &jina,
    CEI_TRANSFORMER_FUNCTIONS,
};
