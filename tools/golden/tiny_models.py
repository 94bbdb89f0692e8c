"""Small random folders of all architectures that cover what trained models do not.

Each is a whole Hugging Face folder of some tens of kilobytes. Weights come from numpy's PCG64 with a seed a model, wide
enough that logits differ by several units between texts and that a wrong operation shows.
"""

import json
import shutil

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, BertTokenizer

import authors
import checkpoint
import tiny_encoders
import tiny_modules

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = """the of and to in is was for on that by with from at as are it be this which or an wing flow heat water
berlin city people population river house music light paper engine pressure theory question answer number how many what
where who when does live have not one two year over most world war time day sea air""".split()
SUFFIXES = "s ing ed er est ly ion al ity ous ment ness tion able th st nd rd".split()
SYMBOLS = list(".,;:!?'\"()[]{}<>-_+*/\\=%&#@$~^`|°€£…—–“”’«»¿¡。，！？、「」")
LATIN = list("abcdefghijklmnopqrstuvwxyz")
OTHER = list("äöüßéèñçåøæœıđłþðαβγδεζηθικλμνξοπρσςτυφχψωабвгдежзийклмнопрстуфхцчшщыьэюяאבגדהוםשתابتدرسلمنهوي") + list(
    "अआकगतनमरहािीेोंกขคงนมาเ我你他是在北京人口大学日本語東ひらカタナ한국어"
)


def uncased_vocabulary():
    pieces = SPECIALS + SYMBOLS + list("0123456789") + LATIN + OTHER + WORDS
    pieces += ["##" + piece for piece in LATIN + list("0123456789") + SUFFIXES + list("αοςнаиоוםتانमर本京")]
    return list(dict.fromkeys(pieces))


def cased_vocabulary():
    """Upper case, accents kept, and the special tokens where they are not expected."""
    upper = [word.capitalize() for word in WORDS[:40]] + ["BERLIN", "NASA", "É", "Ä"]
    pieces = LATIN + [letter.upper() for letter in LATIN] + SPECIALS[::-1] + list("0123456789") + SYMBOLS + OTHER
    pieces += WORDS + upper
    pieces += ["##" + p for p in LATIN + [c.upper() for c in LATIN] + SUFFIXES + list("éäöüñ0123456789")]
    return list(dict.fromkeys(pieces))


ROBERTA_SPECIALS = ["<s>", "<pad>", "</s>", "<unk>"]
DEBERTA_SPECIALS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
MPNET_SPECIALS = ["<s>", "<pad>", "</s>", "[UNK]"]
ALBERT_SPECIALS = ["<pad>", "<unk>", "[CLS]", "[SEP]"]

# Tokenizers of Unigram: class, the first pieces, the last.
UNIGRAMS = {
    "unigram": ("XLMRobertaTokenizer", ROBERTA_SPECIALS, "<mask>"),
    "deberta": ("DebertaV2Tokenizer", DEBERTA_SPECIALS, "[MASK]"),
    "albert": ("AlbertTokenizer", ALBERT_SPECIALS, "[MASK]"),
}


def byte_level_merges():
    """Pairs that make each of the words from left to right, as a word of a sentence, and each suffix."""
    merges = []
    for word in ["\u0120" + word for word in WORDS] + SUFFIXES:
        merges += [(word[:end], word[end]) for end in range(1, len(word))]
    return list(dict.fromkeys(merges))


# Byte-level tokenizers: class, the first pieces, the last.
BYTE_LEVELS = {
    "byte-level": ("RobertaTokenizer", ROBERTA_SPECIALS, "<mask>"),
    "deberta-byte-level": ("DebertaTokenizer", DEBERTA_SPECIALS, "[MASK]"),
}


def byte_level_vocabulary(kind):
    _, specials, mask = BYTE_LEVELS[kind]
    made = [left + right for left, right in byte_level_merges()]
    pieces = specials + sorted(pre_tokenizers.ByteLevel.alphabet()) + made + [mask]
    return list(dict.fromkeys(pieces))


def unigram_vocabulary(kind):
    _, specials, mask = UNIGRAMS[kind]
    pieces = specials + ["\u2581"] + ["\u2581" + word for word in WORDS] + SUFFIXES + list("0123456789") + SYMBOLS
    return list(dict.fromkeys(pieces + LATIN + [letter.upper() for letter in LATIN] + OTHER + [mask]))


BASE = {
    "vocab_size": 0, "hidden_size": 36, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 72,
    "hidden_act": "gelu", "max_position_embeddings": 64, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
}  # fmt: skip
IDENTITY = "torch.nn.modules.linear.Identity"
SIGMOID = "torch.nn.modules.activation.Sigmoid"

RELATIVE = {"relative_attention": True, "max_relative_positions": -1, "pos_att_type": "p2c|c2p"}

DISTILBERT = {"hidden_size": "dim", "num_hidden_layers": "n_layers", "num_attention_heads": "n_heads",
              "intermediate_size": "hidden_dim", "hidden_act": "activation"}  # fmt: skip

MODERNBERT = {"hidden_act": "hidden_activation", "layer_norm_eps": "norm_eps"}

DECODER = {"layer_norm_eps": "rms_norm_eps"}
GEMMA = {**DECODER, "hidden_act": "hidden_activation"}
DECODERS = ("qwen2", "qwen3", "llama", "mistral", "gemma", "gemma2", "gemma3_text")
END = "<|endoftext|>"

# name -> what differs. kind: model_type and class of another architecture than BERT; keys: other names of config fields;
# labels: id2label is written for them; extra: other fields of config.json; store: dtype of the
# weights; tokenizer: the files; limit: model_max_length; embedding: spread of the embeddings, small where the first
# norm's epsilon is to matter; gain: of matrices, smaller where layers add up to more than norms take away; brief: on few
# pairs; seed: of the weights, else the place in this list decides.
MODELS = {
    "three-labels": {
        "config": {"num_hidden_layers": 1},
        "labels": ["contradiction", "entailment", "neutral"],
        "tokenizer": "json", "limit": 64,
    },
    "sigmoid-gelu-new": {
        "config": {"hidden_size": 33, "num_attention_heads": 3, "intermediate_size": 50, "hidden_act": "gelu_new",
                   "layer_norm_eps": 1e-5},
        "embedding": 0.02,
        "labels": ["LABEL_0"], "tokenizer": "vocab", "limit": None,
    },
    "relu-f16": {
        "config": {"hidden_size": 65, "num_attention_heads": 5, "intermediate_size": 44, "hidden_act": "relu",
                   "num_hidden_layers": 1, "max_position_embeddings": 40},
        "extra": {"sbert_ce_default_activation_function": SIGMOID},
        "labels": ["no", "yes"], "store": "F16", "tokenizer": "json", "limit": 1000000000000000019884624838656,
    },
    "silu-bf16-one-head": {
        "config": {"hidden_size": 24, "num_attention_heads": 1, "intermediate_size": 96, "hidden_act": "silu"},
        "extra": {"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Softmax"}},
        "labels": ["a", "b", "c", "d", "e"], "store": "BF16", "tokenizer": "vocab", "limit": 64,
    },
    "quick-gelu-one-type": {
        "config": {"hidden_size": 26, "num_attention_heads": 2, "hidden_act": "quick_gelu", "type_vocab_size": 1,
                   "layer_norm_eps": 1e-3, "num_hidden_layers": 3},
        "embedding": 0.1,
        "extra": {"sentence_transformers": {"activation_fn": IDENTITY}},
        "labels": ["LABEL_0"], "tokenizer": "json", "limit": 64, "no_types": True,
    },
    "long-1024": {
        "config": {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 33,
                   "max_position_embeddings": 1024},
        "extra": {"sentence_transformers": {"activation_fn": IDENTITY, "version": "5.0.0"}},
        "labels": ["LABEL_0"], "tokenizer": "json", "limit": 1024,
    },
    "cased-tanh": {
        "config": {"hidden_size": 21, "num_attention_heads": 7, "intermediate_size": 20, "num_hidden_layers": 4},
        "extra": {"sbert_ce_default_activation_function": "torch.nn.modules.activation.Tanh"},
        "labels": ["LABEL_0"], "tokenizer": "vocab", "limit": 48, "cased": True,
    },
    "int8": {
        "config": {"hidden_size": 40, "intermediate_size": 120},
        "extra": {"sentence_transformers": {"activation_fn": IDENTITY}},
        "labels": ["LABEL_0"], "store": "I8", "tokenizer": "vocab", "limit": 64,
    },
    "sharded-old-names": {
        "config": {"hidden_size": 20, "num_attention_heads": 2, "intermediate_size": 31, "num_hidden_layers": 3},
        "labels": None, "store": "sharded", "tokenizer": "json", "limit": 60,
    },
    "electra-narrow": {
        "kind": ("electra", "ElectraForSequenceClassification"),
        "config": {"hidden_size": 32, "embedding_size": 20, "num_hidden_layers": 3},
        "extra": {"sentence_transformers": {"activation_fn": IDENTITY}},
        "labels": ["LABEL_0"], "tokenizer": "json", "limit": 64,
    },
    "electra-wide": {
        "kind": ("electra", "ElectraForSequenceClassification"),
        "config": {"hidden_size": 24, "embedding_size": 24, "num_hidden_layers": 1, "hidden_act": "relu"},
        "labels": ["no", "yes", "perhaps"], "store": "F16", "tokenizer": "vocab", "limit": 48,
    },
    "distilbert": {
        "kind": ("distilbert", "DistilBertForSequenceClassification"), "keys": DISTILBERT,
        "config": {"hidden_size": 30, "num_attention_heads": 5, "hidden_act": "relu"},
        "extra": {"sentence_transformers": {"activation_fn": IDENTITY}},
        "labels": ["LABEL_0"], "tokenizer": "json", "limit": 64, "no_types": True,
    },
    "roberta-wordpiece": {
        "kind": ("roberta", "RobertaForSequenceClassification"),
        "config": {"hidden_size": 28, "max_position_embeddings": 80, "type_vocab_size": 1, "layer_norm_eps": 1e-5},
        "labels": ["LABEL_0"], "tokenizer": "json", "limit": 79, "no_types": True,
    },
    "xlm-roberta-wordpiece": {
        "kind": ("xlm-roberta", "XLMRobertaForSequenceClassification"),
        "config": {"hidden_size": 22, "num_attention_heads": 2, "max_position_embeddings": 120, "type_vocab_size": 1,
                   "num_hidden_layers": 1},
        "extra": {"sentence_transformers": {"activation_fn": IDENTITY}}, "cased": True,
        "labels": ["LABEL_0"], "store": "BF16", "tokenizer": "vocab", "limit": 50, "no_types": True,
    },
    "roberta-byte-level": {
        "kind": ("roberta", "RobertaForSequenceClassification"),
        "config": {"hidden_size": 24, "num_attention_heads": 3, "max_position_embeddings": 66, "type_vocab_size": 1,
                   "layer_norm_eps": 1e-5},
        "extra": {"sentence_transformers": {"activation_fn": IDENTITY}},
        "labels": ["LABEL_0"], "tokenizer": "byte-level", "limit": 64,
    },
    "xlm-roberta-unigram": {
        "kind": ("xlm-roberta", "XLMRobertaForSequenceClassification"),
        "config": {"hidden_size": 20, "max_position_embeddings": 66, "type_vocab_size": 1, "layer_norm_eps": 1e-5},
        "extra": {"sentence_transformers": {"activation_fn": IDENTITY}},
        "labels": ["LABEL_0"], "tokenizer": "unigram", "limit": 64,
    },
    # As ModernBERT is published: the older names of transformers 4, no bias but the classifier's, [CLS].
    "modernbert": {
        "kind": ("modernbert", "ModernBertForSequenceClassification"), "keys": MODERNBERT,
        "config": {"hidden_size": 30, "num_attention_heads": 3, "intermediate_size": 37, "num_hidden_layers": 5,
                   "max_position_embeddings": 160, "layer_norm_eps": 1e-5},
        "extra": {"global_rope_theta": 160000.0, "local_rope_theta": 500.0, "local_attention": 16,
                  "global_attn_every_n_layers": 3, "attention_bias": False, "mlp_bias": False, "norm_bias": False,
                  "classifier_bias": False, "classifier_pooling": "cls", "classifier_activation": "gelu",
                  "position_embedding_type": "absolute", "sentence_transformers": {"activation_fn": IDENTITY}},
        "labels": ["LABEL_0"], "store": "BF16", "tokenizer": "json", "limit": 150, "no_types": True, "gain": 0.6,
    },
    # The names of transformers 5, and every switch the other way; its last layer has a window.
    "modernbert-mean-biases": {
        "kind": ("modernbert", "ModernBertForSequenceClassification"), "keys": MODERNBERT,
        "config": {"hidden_size": 28, "num_attention_heads": 2, "intermediate_size": 50, "num_hidden_layers": 3,
                   "max_position_embeddings": 128, "hidden_act": "silu", "layer_norm_eps": 1e-3},
        "extra": {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"], "local_attention": 7,
                  "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 2000.0},
                                      "sliding_attention": {"rope_type": "default", "rope_theta": 50.0}},
                  "attention_bias": True, "mlp_bias": True, "norm_bias": True, "classifier_bias": True,
                  "classifier_pooling": "mean", "classifier_activation": "relu"},
        "labels": ["no", "yes", "perhaps"], "store": "F16", "tokenizer": "json", "limit": 128, "no_types": True, "cased": True,
        "gain": 0.6,
    },
    "deberta-v3": {
        "kind": ("deberta-v2", "DebertaV2ForSequenceClassification"),
        "config": {"hidden_size": 20, "type_vocab_size": 0, "layer_norm_eps": 1e-7},
        "extra": {**RELATIVE, "position_biased_input": False, "share_att_key": True, "norm_rel_ebd": "layer_norm",
                  "position_buckets": 12, "pooler_hidden_size": 20,
                  "sentence_transformers": {"activation_fn": IDENTITY}},
        "labels": ["LABEL_0"], "store": "I8", "tokenizer": "deberta", "limit": 64,
    },
    "deberta-v2-conv": {
        "kind": ("deberta-v2", "DebertaV2ForSequenceClassification"),
        "config": {"hidden_size": 30, "num_attention_heads": 3, "intermediate_size": 44, "layer_norm_eps": 1e-5},
        "extra": {**RELATIVE, "pos_att_type": ["c2p", "p2c"], "max_relative_positions": 9, "embedding_size": 14,
                  "conv_kernel_size": 3, "conv_groups": 2, "conv_act": "gelu", "pooler_hidden_act": "tanh",
                  "attention_head_size": 10},
        "labels": ["no", "yes", "perhaps"], "store": "I8", "tokenizer": "json", "limit": 64, "brief": True,
    },
    "deberta-v2-absolute": {
        "kind": ("deberta-v2", "DebertaV2ForSequenceClassification"),
        "config": {"hidden_size": 24, "num_attention_heads": 2, "num_hidden_layers": 1, "layer_norm_eps": 1e-7},
        "extra": {"pos_att_type": "p2c", "conv_kernel_size": 5,
                  "sentence_transformers": {"activation_fn": IDENTITY}},
        "labels": ["LABEL_0"], "store": "I8", "tokenizer": "vocab", "limit": 20, "brief": True,
    },
    "deberta-v2-c2p": {
        "kind": ("deberta-v2", "DebertaV2ForSequenceClassification"),
        "config": {"hidden_size": 18, "num_attention_heads": 2, "num_hidden_layers": 1, "layer_norm_eps": 1e-7,
                   "type_vocab_size": 0},
        "extra": {**RELATIVE, "pos_att_type": " C2P ", "position_biased_input": False, "position_buckets": 40,
                  "max_relative_positions": 30},
        "labels": ["LABEL_0"], "store": "I8", "tokenizer": "deberta", "limit": 48, "brief": True,
    },
    "gte": {
        "kind": ("gte", "GteForSequenceClassification"),
        "config": {"hidden_size": 12, "num_attention_heads": 2, "intermediate_size": 22, "type_vocab_size": 0},
        "extra": {"rope_parameters": {"rope_type": "default", "rope_theta": 3000.0}},
        "labels": ["LABEL_0"], "tokenizer": "json", "limit": 64, "no_types": True,
    },
    "nomic-bert": {
        "kind": ("nomic_bert", "NomicBertForSequenceClassification"),
        "config": {"hidden_size": 16, "num_attention_heads": 4, "intermediate_size": 20, "hidden_act": "silu"},
        "extra": {"sentence_transformers": {"activation_fn": IDENTITY}},
        "labels": ["LABEL_0"], "store": "F16", "tokenizer": "vocab", "limit": 64,
    },
    "jina-embeddings-v3": {
        "kind": ("jina_embeddings_v3", "JinaEmbeddingsV3ForSequenceClassification"),
        "config": {"hidden_size": 12, "num_attention_heads": 1, "intermediate_size": 20, "type_vocab_size": 1,
                   "layer_norm_eps": 1e-5},
        "extra": {"rope_theta": 500.0},
        "labels": ["no", "yes"], "store": "F16", "tokenizer": "json", "limit": 60, "no_types": True,
    },
    # Rerankers as version 6 saves them, in modules: see scorer.
    "modernbert-modules": {
        "kind": ("modernbert", "ModernBertModel"), "keys": MODERNBERT,
        "config": {"hidden_size": 12, "num_attention_heads": 2, "intermediate_size": 20, "layer_norm_eps": 1e-5},
        "extra": {"local_attention": 10, "norm_bias": True},
        "labels": None, "tokenizer": "json", "limit": 64, "no_types": True, "gain": 0.6,
        "modules": [("Pooling", {"embedding_dimension": 12, "pooling_mode": "cls", "include_prompt": True}),
                    ("Dense", {"in_features": 12, "out_features": 30, "bias": False,
                               "activation_function": "torch.nn.modules.activation.GELU"}),
                    ("LayerNorm", {"dimension": 30}),
                    ("Dense", {"in_features": 30, "out_features": 1, "bias": True, "activation_function": IDENTITY,
                               "module_input_name": "sentence_embedding", "module_output_name": "scores"})],
        "activation": IDENTITY,
    },
    "bert-modules": {
        "kind": ("bert", "BertModel"), "config": {"hidden_size": 12, "num_hidden_layers": 1},
        "labels": None, "tokenizer": "vocab", "limit": 512, "max_seq_length": 40, "transformer": "0_Transformer",
        "modules": [("Pooling", {"embedding_dimension": 12, "pooling_mode": ["mean", "max"], "include_prompt": True}),
                    ("Dense", {"in_features": 24, "out_features": 3, "bias": True, "activation_function": IDENTITY,
                               "module_output_name": "scores"})],
        "activation": SIGMOID,
    },
    # Decoders: heads that share keys, windows, and every switch that published configs set.
    "qwen2": {
        "kind": ("qwen2", "Qwen2ForSequenceClassification"), "keys": DECODER, "seed": 900,
        "config": {"hidden_size": 24, "intermediate_size": 30, "num_hidden_layers": 3, "hidden_act": "silu",
                   "layer_norm_eps": 1e-6},
        "extra": {"num_key_value_heads": 2, "use_sliding_window": True, "sliding_window": 9, "max_window_layers": 1,
                  "rope_theta": 500.0, "tie_word_embeddings": True},
        "labels": ["LABEL_0"], "store": "BF16", "tokenizer": "qwen", "limit": 64, "gain": 0.9, "brief": True,
    },
    "qwen3": {
        "kind": ("qwen3", "Qwen3ForSequenceClassification"), "keys": DECODER, "seed": 901,
        "config": {"hidden_size": 18, "num_attention_heads": 6, "intermediate_size": 28, "hidden_act": "silu",
                   "layer_norm_eps": 1e-6, "max_position_embeddings": 80},
        "extra": {"num_key_value_heads": 2, "head_dim": 8, "use_sliding_window": False, "sliding_window": None,
                  "rope_parameters": {"rope_type": "default", "rope_theta": 1000.0},
                  "sentence_transformers": {"activation_fn": IDENTITY}},
        "labels": ["LABEL_0"], "tokenizer": "json", "limit": 64, "no_types": True, "gain": 0.9,
    },
    # Its texts end with what is padding to the model: the reference reads the token before.
    "qwen3-ends": {
        "kind": ("qwen3", "Qwen3ForSequenceClassification"), "keys": DECODER, "seed": 902,
        "config": {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 20, "num_hidden_layers": 1,
                   "hidden_act": "silu", "layer_norm_eps": 1e-6},
        "extra": {"num_key_value_heads": 2, "head_dim": 6, "attention_bias": True, "pad_token_id": 3},
        "labels": ["LABEL_0"], "store": "I8", "tokenizer": "json", "limit": 48, "no_types": True, "brief": True,
        "gain": 0.9,
    },
    "llama": {
        "kind": ("llama", "LlamaForSequenceClassification"), "keys": DECODER, "seed": 903,
        "config": {"hidden_size": 18, "num_attention_heads": 3, "intermediate_size": 25, "hidden_act": "silu",
                   "layer_norm_eps": 1e-5},
        "extra": {"num_key_value_heads": 1, "attention_bias": True, "mlp_bias": True, "rope_theta": 500.0},
        "labels": ["no", "yes", "perhaps"], "store": "F16", "tokenizer": "json", "limit": 64, "no_types": True, "brief": True,
        "gain": 0.9,
    },
    "mistral": {
        "kind": ("mistral", "MistralForSequenceClassification"), "keys": DECODER, "seed": 904,
        "config": {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24, "hidden_act": "silu",
                   "layer_norm_eps": 1e-5},
        "extra": {"num_key_value_heads": 1, "head_dim": 10, "sliding_window": 7},
        "labels": ["LABEL_0"], "store": "BF16", "tokenizer": "json", "limit": 64, "no_types": True, "brief": True,
        "gain": 0.9,
    },
    "gemma": {
        "kind": ("gemma", "GemmaForSequenceClassification"), "keys": DECODER, "seed": 905,
        "config": {"hidden_size": 15, "num_attention_heads": 3, "intermediate_size": 22, "hidden_act": "gelu",
                   "layer_norm_eps": 1e-6},
        "extra": {"num_key_value_heads": 1, "head_dim": 10},
        "labels": ["LABEL_0"], "store": "BF16", "tokenizer": "json", "limit": 64, "no_types": True, "brief": True,
        "gain": 0.9, "embedding": 0.3,
    },
    "gemma2": {
        "kind": ("gemma2", "Gemma2ForSequenceClassification"), "keys": GEMMA, "seed": 906,
        "config": {"hidden_size": 16, "num_attention_heads": 4, "intermediate_size": 22, "num_hidden_layers": 3,
                   "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6},
        "extra": {"num_key_value_heads": 2, "head_dim": 6, "sliding_window": 6, "query_pre_attn_scalar": 4,
                  "attn_logit_softcapping": 1.5, "final_logit_softcapping": 30.0},
        "labels": ["LABEL_0"], "store": "BF16", "tokenizer": "json", "limit": 64, "no_types": True, "brief": True,
        "gain": 0.9, "embedding": 0.3,
    },
    "gemma3": {
        "kind": ("gemma3_text", "Gemma3TextForSequenceClassification"), "keys": GEMMA, "seed": 907,
        "config": {"hidden_size": 16, "num_attention_heads": 4, "intermediate_size": 22, "num_hidden_layers": 3,
                   "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6},
        "extra": {"num_key_value_heads": 2, "head_dim": 6, "sliding_window": 8, "sliding_window_pattern": 2,
                  "query_pre_attn_scalar": 8, "rope_theta": 900.0, "rope_local_base_freq": 50.0,
                  "sentence_transformers": {"activation_fn": IDENTITY}},
        "labels": ["LABEL_0"], "store": "BF16", "tokenizer": "json", "limit": 64, "no_types": True, "brief": True,
        "gain": 0.9, "embedding": 0.3,
    },
}  # fmt: skip


MODELS.update(tiny_encoders.MODELS)


def random_weight(name, shape, embedding, gain, rng, model_type="bert"):
    if name.endswith("norm.weight") and model_type.startswith("gemma"):
        return rng.normal(0.0, 0.3, shape)
    if name.endswith(("LayerNorm.weight", "layernorm.weight", "norm.weight")):
        return rng.normal(1.0, 0.3, shape)
    if name.endswith("pooler.dense.bias"):
        return rng.normal(0.0, 1.0, shape)
    if name.endswith("bias"):
        return rng.normal(0.0, 0.4, shape)
    if "embeddings" in name or "embed_tokens" in name:
        return rng.normal(0.0, embedding, shape)
    if name in ("classifier.weight", "classifier.out_proj.weight", "score.weight"):
        return rng.normal(0.0, 3.0, shape)
    return rng.normal(0.0, gain / np.sqrt(shape[-1]), shape)


def weights(config, embedding, seed, gain=1.6):
    rng = np.random.Generator(np.random.PCG64(seed))
    settings = AutoConfig.for_model(**{"model_type": "bert", **config})
    is_encoder = config.get("architectures", [""])[0].endswith("Model")
    with torch.device("meta"):
        model = (AutoModel if is_encoder else AutoModelForSequenceClassification).from_config(settings)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    return {
        name: random_weight(name, shapes[name], embedding, gain, rng, settings.model_type).astype(np.float32)
        for name in sorted(shapes)
    }


def old_names(name):
    return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


def store(folder, arrays, form):
    """Writes the weights in a form: a dtype, I8 (matrices by rows, the rest F32), or sharded (F32, old names)."""
    metadata = {"format": "pt"}
    if form == "sharded":
        names, shards = sorted(arrays), 3
        parts = [names[i::shards] for i in range(shards)]
        files = [f"model-{i + 1:05d}-of-{shards:05d}.safetensors" for i in range(shards)]
        for file, part in zip(files, parts):
            tensors = {old_names(name): checkpoint.to_stored(arrays[name], "F32") for name in part}
            checkpoint.write_file(folder / file, tensors, metadata)
        where = {old_names(name): file for file, part in zip(files, parts) for name in part}
        size = sum(array.nbytes for array in arrays.values())
        index = {"metadata": {"total_size": size}, "weight_map": dict(sorted(where.items()))}
        (folder / checkpoint.INDEX).write_text(json.dumps(index, indent=1) + "\n")
        return
    tensors = {}
    for name, array in arrays.items():
        if form == "I8" and array.ndim == 2 and len(array) > 2:
            values, scale = checkpoint.quantize_rows(array)
            tensors[name] = checkpoint.Stored("I8", values)
            tensors[name + checkpoint.SCALE] = checkpoint.Stored("F32", scale)
        else:
            tensors[name] = checkpoint.to_stored(array, "F32" if form == "I8" else form)
    checkpoint.write_file(folder / checkpoint.SINGLE, tensors, metadata)


def write_byte_level(folder, spec, vocabulary):
    ids = {token: i for i, token in enumerate(vocabulary)}
    (folder / "vocab.json").write_text(json.dumps(ids, ensure_ascii=False) + "\n", encoding="utf-8")
    lines = ["#version: 0.2"] + [f"{left} {right}" for left, right in byte_level_merges()]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    name = spec["tokenizer"]
    config = {"tokenizer_class": BYTE_LEVELS[name][0] if name in BYTE_LEVELS else None, "model_max_length": spec["limit"]}
    if spec["tokenizer"] == "qwen":
        config.update({"tokenizer_class": "Qwen2Tokenizer", "eos_token": END, "pad_token": END, "unk_token": END})
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def write_unigram(folder, spec, vocabulary):
    """Pieces get worse from first to last; the normalizer and the template are the class's."""
    scores = [(piece, 0.0 if i < 4 else -2.0 - i / 64) for i, piece in enumerate(vocabulary[:-1])]
    tokenizer = Tokenizer(models.Unigram(scores, 3, False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    kind, specials, mask = UNIGRAMS[spec["tokenizer"]]
    tokenizer.add_special_tokens([*specials, mask])
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    config = {"tokenizer_class": kind, "model_max_length": spec["limit"]}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def write_mpnet(folder, spec, vocabulary):
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    config = {"tokenizer_class": "MPNetTokenizer", "do_lower_case": True, "model_max_length": spec["limit"]}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def write_tokenizer(folder, spec, vocabulary):
    if spec["tokenizer"] == "mpnet":
        write_mpnet(folder, spec, vocabulary)
        return
    if spec["tokenizer"] in (*BYTE_LEVELS, "qwen", *UNIGRAMS):
        write = write_unigram if spec["tokenizer"] in UNIGRAMS else write_byte_level
        write(folder, spec, vocabulary)
        return
    lower = not spec.get("cased")
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    config = {"tokenizer_class": "BertTokenizer", "do_lower_case": lower}
    if spec["limit"] is not None:
        config["model_max_length"] = spec["limit"]
    if spec.get("no_types"):
        config["model_input_names"] = ["input_ids", "attention_mask"]
    for token in ("unk", "sep", "pad", "cls", "mask"):
        config[token + "_token"] = f"[{token.upper()}]"
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    if spec["tokenizer"] == "json":
        BertTokenizer.from_pretrained(folder).backend_tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
        Tokenizer.from_file(str(folder / "tokenizer.json"))
        (folder / "vocab.txt").unlink()


def vocabulary_of(spec):
    if spec["tokenizer"] == "qwen":  # which has no special tokens but this one, behind all others
        return byte_level_vocabulary("byte-level")[len(ROBERTA_SPECIALS) : -1] + [END]
    if spec["tokenizer"] in BYTE_LEVELS:
        return byte_level_vocabulary(spec["tokenizer"])
    if spec["tokenizer"] == "mpnet":
        return MPNET_SPECIALS + uncased_vocabulary()[len(SPECIALS):] + ["<mask>"]
    if spec["tokenizer"] in UNIGRAMS:
        return unigram_vocabulary(spec["tokenizer"])
    return cased_vocabulary() if spec.get("cased") else uncased_vocabulary()


def padding_of(vocabulary):
    return vocabulary.index(next(token for token in ("[PAD]", "<pad>", END) if token in vocabulary))


def write_scorer(folder, spec, seed):
    """What version 6 writes around the transformer of a cross-encoder in modules."""
    settings = {"activation_fn": spec["activation"], "default_prompt_name": None, "model_type": "CrossEncoder",
                "prompts": {}}  # fmt: skip
    task = {"transformer_task": "feature-extraction", "module_output_name": "token_embeddings",
            "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}}  # fmt: skip
    if "max_seq_length" in spec:
        task["max_seq_length"] = spec["max_seq_length"]
    rng = np.random.Generator(np.random.PCG64(seed))
    tiny_modules.write(folder, spec["modules"], rng, spec.get("transformer", ""))
    tiny_modules.write_json(folder / "config_sentence_transformers.json", settings)
    tiny_modules.write_json(folder / spec.get("transformer", "") / "sentence_bert_config.json", task)


def make(folder, name, seed):
    """Writes the model folder; a failure leaves it half written."""
    spec = MODELS[name]
    seed = spec.get("seed", seed)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if "modules" in spec:
        (folder / spec.get("transformer", "")).mkdir(exist_ok=True)
        write_scorer(folder, spec, seed)
        folder = folder / spec.get("transformer", "")
    vocabulary = vocabulary_of(spec)
    config = {**BASE, **spec.get("config", {}), "vocab_size": len(vocabulary)}
    labels = spec["labels"]
    count = len(labels) if labels else 2  # without id2label the reference has two labels
    model_type, name = spec.get("kind", ("bert", "BertForSequenceClassification"))
    config = {spec.get("keys", {}).get(key, key): value for key, value in config.items()}
    if model_type in ("modernbert", "mpnet", *DECODERS):
        config.pop("type_vocab_size")
    if model_type == "distilbert":  # which has neither
        config = {key: value for key, value in config.items() if key not in ("type_vocab_size", "layer_norm_eps")}
    written = {"architectures": [name], "model_type": model_type, **config}
    written.update({"pad_token_id": padding_of(vocabulary), **spec.get("extra", {})})
    if labels:
        written["id2label"] = {str(i): label for i, label in enumerate(labels)}
        written["label2id"] = {label: i for i, label in enumerate(labels)}
    (folder / "config.json").write_text(json.dumps(written, indent=2) + "\n")
    shapes = authors.settings_of(spec["twin"], written) if "twin" in spec else written
    arrays = weights({**shapes, "num_labels": count}, spec.get("embedding", 1.0), seed, spec.get("gain", 1.6))
    if "twin" in spec:
        arrays = authors.to_authors(spec["twin"], arrays, np.random.Generator(np.random.PCG64(seed)))
    store(folder, arrays, spec.get("store", "F32"))
    write_tokenizer(folder, spec, vocabulary)
