/* decoder.c - decoders, as transformers has them in seven models: Qwen 2 (Yang et al. 2024) and 3 (2025), Llama
 * (Touvron et al. 2023), Mistral (Jiang et al. 2023), Gemma 1, 2 (Gemma Team 2024) and the text model of Gemma 3
 * (2025).
 *
 * No token sees those behind it; RMS norms before the layers; rotary positions; heads of queries share heads of keys; a
 * gated feed-forward. They differ in biases, norms of heads (Qwen 3, Gemma 3), norms behind the steps too (Gemma 2 and
 * 3), and windows. As classifiers they read the last token; so do embedders and, of its words' logits, re-rankers that
 * answer with a word. */
#include "model/transformer.h"

#define NAMES                                                                                                   \
    .word = "embed_tokens", .layer = "layers", .query = "self_attn.q_proj", .key = "self_attn.k_proj",          \
    .value = "self_attn.v_proj", .attention = "self_attn.o_proj", .gate = "mlp.gate_proj", .up = "mlp.up_proj", \
    .down = "mlp.down_proj", .output_norm = "input_layernorm", .final_norm = "norm"

#define HEAD_NAMES .query_norm = "self_attn.q_norm", .key_norm = "self_attn.k_norm"

/* Norms before the steps alone, and behind them too. */
#define BEFORE .attention_norm = "post_attention_layernorm"
#define AROUND                                                                                    \
    .attention_norm = "pre_feedforward_layernorm", .attention_after = "post_attention_layernorm", \
    .down_after = "post_feedforward_layernorm"

#define FORM .prefix = "model.", .pre_norm = true, .gated = true, .is_decoder = true

static const cei_transformer_form qwen2 = {FORM, .names = {NAMES, BEFORE}, .biases = {.query = true}, .is_local = true,
                                           .theta = 10000};

static const cei_transformer_form qwen3 = {FORM, .names = {NAMES, HEAD_NAMES, BEFORE}, .asks_biases = true,
                                           .is_local = true, .theta = 10000};

static const cei_transformer_form llama = {FORM, .names = {NAMES, BEFORE}, .asks_biases = true, .theta = 10000};

static const cei_transformer_form mistral = {FORM, .names = {NAMES, BEFORE}, .is_local = true, .theta = 10000};

static const cei_transformer_form gemma = {
    FORM, .names = {NAMES, BEFORE}, .asks_biases = true, .adds_one = true, .scales_words = true, .theta = 10000};

static const cei_transformer_form gemma2 = {FORM,
                                            .names = {NAMES, AROUND},
                                            .asks_biases = true,
                                            .adds_one = true,
                                            .scales_words = true,
                                            .is_local = true,
                                            .theta = 10000};

static const cei_transformer_form gemma3 = {FORM,
                                            .names = {NAMES, HEAD_NAMES, AROUND},
                                            .asks_biases = true,
                                            .adds_one = true,
                                            .scales_words = true,
                                            .is_local = true,
                                            .theta = 1000000,
                                            .local_theta = 10000};

#define DECODER(type, class, its_form, more)                                                                \
    {                                                                                                       \
        .model_type = (type), .encoder = class "Model", .classifier = class "ForSequenceClassification",    \
        .ops = CEI_DECODER_OPS | CEI_ROTARY_OPS | CEI_GATED_OPS | (more),                                   \
        .head = {.second = "score", .no_second_bias = true, .pooling = CEI_POOL_LAST}, .logits = "lm_head", \
        .form = &(its_form), CEI_TRANSFORMER_FUNCTIONS                                                      \
    }

const cei_architecture cei_qwen2 = DECODER("qwen2", "Qwen2", qwen2, 0);
const cei_architecture cei_qwen3 = DECODER("qwen3", "Qwen3", qwen3, 1u << CEI_OP_HEAD_NORM);
const cei_architecture cei_llama = DECODER("llama", "Llama", llama, 0);
const cei_architecture cei_mistral = DECODER("mistral", "Mistral", mistral, 0);
const cei_architecture cei_gemma = DECODER("gemma", "Gemma", gemma, 0);
const cei_architecture cei_gemma2 = DECODER("gemma2", "Gemma2", gemma2, 0);
const cei_architecture cei_gemma3 = DECODER("gemma3_text", "Gemma3Text", gemma3, 1u << CEI_OP_HEAD_NORM);
