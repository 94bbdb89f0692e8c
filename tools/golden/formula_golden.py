#!/usr/bin/env python3
"""Writes tests/data/golden/formula-deberta-v3.json: logits of a model with the dimensions of deberta-v3-base, one layer
of it, whose weights follow from a formula, so that nobody has to keep them.

tests/golden/test_formula.c makes the same model by the same formula, and texts of the same made-up words.
"""

import json
import tempfile
from pathlib import Path

import common
import numpy as np
import tiny_models
import torch
from transformers import DebertaV2Config, DebertaV2ForSequenceClassification

OUT = common.ROOT / "tests" / "data" / "golden" / "formula-deberta-v3.json"
WORDS = 97
CONFIG = {
    "architectures": ["DebertaV2ForSequenceClassification"], "model_type": "deberta-v2",
    "vocab_size": len(tiny_models.SPECIALS) + WORDS, "hidden_size": 768, "num_hidden_layers": 1,
    "num_attention_heads": 12, "intermediate_size": 3072, "hidden_act": "gelu", "max_position_embeddings": 512,
    "type_vocab_size": 0, "layer_norm_eps": 1e-7, "relative_attention": True, "position_buckets": 256,
    "norm_rel_ebd": "layer_norm", "share_att_key": True, "pos_att_type": "p2c|c2p", "max_relative_positions": -1,
    "position_biased_input": False, "pad_token_id": 0, "id2label": {"0": "LABEL_0"},
    "sentence_transformers": {"activation_fn": tiny_models.IDENTITY},
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


def values(name, shape):
    """Multiples of a power of two from -128 to 127, so that bfloat16 has them; gains are around 1."""
    steps = (hashes(name, int(np.prod(shape))) >> np.uint32(24)).astype(np.float32) - 128
    if name.endswith("LayerNorm.weight"):
        return (1 + np.floor(steps / 8) / 32).astype(np.float32).reshape(shape)
    wide = "embeddings" in name or name.startswith("classifier")
    scale = 2.0**-7 if wide else 2.0**-11 if len(shape) > 1 else 2.0**-9
    return (steps * np.float32(scale)).astype(np.float32).reshape(shape)


def text(words, salt):
    return " ".join(f"w{(i * i * 7 + salt) % WORDS}" for i in range(words))


def vocabulary():
    return tiny_models.SPECIALS + [f"w{i}" for i in range(WORDS)]


def main():
    model = DebertaV2ForSequenceClassification(DebertaV2Config(**CONFIG, num_labels=1)).eval()
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    model.load_state_dict({name: torch.from_numpy(values(name, shape)) for name, shape in shapes.items()})
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        model.save_pretrained(folder)
        (folder / "config.json").write_text(json.dumps(CONFIG))
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
    out = {"made_by": "tools/golden/formula_golden.py", "versions": common.versions(), "config": CONFIG,
           "tokenizer_config": tokenizer, "words": WORDS, "specials": tiny_models.SPECIALS,
           "tensors": {name: list(shapes[name]) for name in sorted(shapes)}, "pairs": pairs}  # fmt: skip
    OUT.write_text(json.dumps(out, indent=1) + "\n")
    print([pair["logit"] for pair in pairs])


if __name__ == "__main__":
    main()
