#!/usr/bin/env python3
"""Writes tests/data/golden/formula-NAME.json: logits of models with the dimensions of published ones, one layer of each,
whose weights follow from a formula, so that nobody has to keep them.

    formula_golden.py [NAME ...]

tests/golden/test_formula.c makes the same model by the same formula, and texts of the same made-up words.
"""

import json
import sys
import tempfile
from pathlib import Path

import common
import numpy as np
import tiny_models
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

OUT = common.ROOT / "tests" / "data" / "golden"
WORDS = 97
SIZES = {
    "vocab_size": len(tiny_models.SPECIALS) + WORDS, "hidden_size": 768, "num_hidden_layers": 1,
    "num_attention_heads": 12, "intermediate_size": 3072, "hidden_act": "gelu", "max_position_embeddings": 512,
}  # fmt: skip
REST = {"pad_token_id": 0, "id2label": {"0": "LABEL_0"}, "sentence_transformers": {"activation_fn": tiny_models.IDENTITY}}


def decoder(hidden, heads, shared, inner):
    return {**SIZES, "hidden_size": hidden, "num_attention_heads": heads, "num_key_value_heads": shared,
            "intermediate_size": inner}  # fmt: skip


def rope(theta):
    return {"rope_parameters": {"rope_type": "default", "rope_theta": theta}}


DISTANCES = {"type_vocab_size": 0, "layer_norm_eps": 1e-7, "relative_attention": True}
MODELS = {
    "deberta-v3": {
        "architectures": ["DebertaV2ForSequenceClassification"], "model_type": "deberta-v2", **SIZES, **DISTANCES,
        "position_buckets": 256, "norm_rel_ebd": "layer_norm", "share_att_key": True, "pos_att_type": "p2c|c2p",
        "max_relative_positions": -1, "position_biased_input": False, **REST},
    "deberta-base": {
        "architectures": ["DebertaForSequenceClassification"], "model_type": "deberta", **SIZES, **DISTANCES,
        "pos_att_type": "c2p|p2c", "max_relative_positions": -1, "position_biased_input": False, **REST},
    "mpnet-base": {
        "architectures": ["MPNetForSequenceClassification"], "model_type": "mpnet", **SIZES,
        "layer_norm_eps": 1e-5, "relative_attention_num_buckets": 32, **REST, "max_position_embeddings": 514},
    "bert-base": {
        "architectures": ["BertForSequenceClassification"], "model_type": "bert", **SIZES, "type_vocab_size": 2,
        "layer_norm_eps": 1e-12, **REST},
    "roberta-base": {  # with two token types, since the tokenizer here makes them
        "architectures": ["RobertaForSequenceClassification"], "model_type": "roberta", **SIZES, "type_vocab_size": 2,
        "layer_norm_eps": 1e-5, **REST, "max_position_embeddings": 514},
    "electra-base": {
        "architectures": ["ElectraForSequenceClassification"], "model_type": "electra", **SIZES, "embedding_size": 768,
        "type_vocab_size": 2, "layer_norm_eps": 1e-12, "summary_type": "first", "summary_use_proj": True,
        "summary_activation": "gelu", **REST},
    "distilbert-base": {
        "architectures": ["DistilBertForSequenceClassification"], "model_type": "distilbert", "dim": 768,
        "hidden_dim": 3072, "n_heads": 12, "n_layers": 1, "activation": "gelu", "sinusoidal_pos_embds": False,
        "vocab_size": SIZES["vocab_size"], "max_position_embeddings": 512, **REST},
    "albert-base": {
        "architectures": ["AlbertForSequenceClassification"], "model_type": "albert", **SIZES, "num_hidden_layers": 2,
        "hidden_act": "gelu_new", "embedding_size": 128, "num_hidden_groups": 1, "inner_group_num": 1,
        "type_vocab_size": 2, "layer_norm_eps": 1e-12, **REST},
    "llama-135m": {
        "architectures": ["LlamaForSequenceClassification"], "model_type": "llama", **decoder(576, 9, 3, 1536),
        "hidden_act": "silu", "rms_norm_eps": 1e-5, "attention_bias": False, "mlp_bias": False, **rope(1e4), **REST},
    "gemma3-270m": {
        "architectures": ["Gemma3TextForSequenceClassification"], "model_type": "gemma3_text",
        **decoder(640, 4, 1, 2048), "head_dim": 256, "hidden_activation": "gelu_pytorch_tanh", "rms_norm_eps": 1e-6,
        "query_pre_attn_scalar": 256, "sliding_window": 512, "layer_types": ["full_attention"],
        "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 1e6},
                            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}, **REST},
}  # fmt: skip
PAIRS = [(3, 4), (20, 100), (9, 380), (60, 449), (0, 7)]


def hashes(name, count):
    """32 bits for each element of a tensor: FNV-1a of its name, then two rounds of mixing."""
    seed = np.uint32(2166136261)
    with np.errstate(over="ignore"):
        for byte in name.encode():
            seed = (seed ^ np.uint32(byte)) * np.uint32(16777619)
        x = np.arange(count, dtype=np.uint32) * np.uint32(2654435761) + seed
        x = (x ^ (x >> np.uint32(15))) * np.uint32(2246822519)
        x = (x ^ (x >> np.uint32(13))) * np.uint32(3266489917)
        return x ^ (x >> np.uint32(16))


def is_gain(name):
    *_, layer, kind = ("." + name).split(".")
    return kind == "weight" and "norm" in layer.lower()


def values(name, shape):
    """Multiples of a power of two from -128 to 127, so that bfloat16 has them; gains are around 1."""
    steps = (hashes(name, int(np.prod(shape))) >> np.uint32(24)).astype(np.float32) - 128
    if is_gain(name):
        return (1 + np.floor(steps / 8) / 32).astype(np.float32).reshape(shape)
    last = name.startswith(("classifier", "score")) and "dense" not in name
    wide = last or "embed" in name or "attention_bias" in name
    scale = 2.0**-7 if wide else 2.0**-11 if len(shape) > 1 else 2.0**-9
    return (steps * np.float32(scale)).astype(np.float32).reshape(shape)


def text(words, salt):
    return " ".join(f"w{(i * i * 7 + salt) % WORDS}" for i in range(words))


def vocabulary():
    return tiny_models.SPECIALS + [f"w{i}" for i in range(WORDS)]


def make(name):
    config = MODELS[name]
    model = AutoModelForSequenceClassification.from_config(AutoConfig.for_model(**config, num_labels=1)).eval()
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    model.load_state_dict({name: torch.from_numpy(values(name, shape)) for name, shape in shapes.items()})
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        model.save_pretrained(folder)
        (folder / "config.json").write_text(json.dumps(config))
        spec = {"tokenizer": "vocab", "limit": 512}
        tiny_models.write_tokenizer(folder, spec, vocabulary())
        reference = common.reference(folder)
        pairs = []
        for words in PAIRS:
            pair = (text(words[0], 1), text(words[1], 2))
            tokens = len(common.encode(reference, *pair, truncation="longest_first", max_length=512)["input_ids"])
            pairs.append({"words": list(words), "tokens": tokens,
                          "logit": float(f"{common.logits(reference, pair)[0]:.9g}")})  # fmt: skip
    tokenizer = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 512}
    out = {"made_by": "tools/golden/formula_golden.py", "versions": common.versions(), "config": config,
           "tokenizer_config": tokenizer, "words": WORDS, "specials": tiny_models.SPECIALS,
           "tensors": {name: list(shapes[name]) for name in sorted(shapes)}, "pairs": pairs}  # fmt: skip
    (OUT / f"formula-{name}.json").write_text(json.dumps(out, indent=1) + "\n")
    print(name, [pair["logit"] for pair in pairs])


def main():
    for name in sys.argv[1:] or MODELS:
        make(name)


if __name__ == "__main__":
    main()
