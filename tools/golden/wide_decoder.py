"""A Qwen 3 with the widths of Qwen3-0.6B, of two layers and a small vocabulary, whose weights are numbers of a formula:
too large to be stored, it is made anew by whoever needs it. With numpy alone; the tokenizer is that of the small random
model qwen2 in tests/data/golden.
"""

import json
import shutil

import numpy as np
import wide_model

import checkpoint

HIDDEN, HEADS, KEY_HEADS, SIZE, INNER, LAYERS, LIMIT = 1024, 16, 8, 128, 3072, 2, 512
# Words of a query and of a document: one block of keys, some, many, over the limit.
SIZES = [(1, 1), (3, 20), (8, 60), (9, 140), (12, 400)]


def pairs():
    return [(wide_model.text(query, i), wide_model.text(document, i + 7)) for i, (query, document) in enumerate(SIZES)]


def shapes(vocabulary):
    """Shape and spread of each tensor, in the order in which numbers are drawn for them."""
    wide = 0.7 / np.sqrt(HIDDEN)
    yield "model.embed_tokens.weight", (vocabulary, HIDDEN), 1.0
    for i in range(LAYERS):
        layer = f"model.layers.{i}."
        yield layer + "input_layernorm.weight", (HIDDEN,), None
        yield layer + "self_attn.q_proj.weight", (HEADS * SIZE, HIDDEN), wide
        yield layer + "self_attn.k_proj.weight", (KEY_HEADS * SIZE, HIDDEN), wide
        yield layer + "self_attn.v_proj.weight", (KEY_HEADS * SIZE, HIDDEN), wide
        yield layer + "self_attn.q_norm.weight", (SIZE,), None
        yield layer + "self_attn.k_norm.weight", (SIZE,), None
        yield layer + "self_attn.o_proj.weight", (HIDDEN, HEADS * SIZE), wide
        yield layer + "post_attention_layernorm.weight", (HIDDEN,), None
        yield layer + "mlp.gate_proj.weight", (INNER, HIDDEN), wide
        yield layer + "mlp.up_proj.weight", (INNER, HIDDEN), wide
        yield layer + "mlp.down_proj.weight", (HIDDEN, INNER), wide
    yield "model.norm.weight", (HIDDEN,), None
    yield "score.weight", (1, HIDDEN), 2 * wide


def make(folder, tokenizer):
    ids = json.loads((tokenizer / "vocab.json").read_text(encoding="utf-8"))
    config = {
        "architectures": ["Qwen3ForSequenceClassification"], "model_type": "qwen3", "vocab_size": len(ids),
        "hidden_size": HIDDEN, "num_attention_heads": HEADS, "num_key_value_heads": KEY_HEADS, "head_dim": SIZE,
        "intermediate_size": INNER, "num_hidden_layers": LAYERS, "max_position_embeddings": 40960,
        "rms_norm_eps": 1e-6, "rope_theta": 1000000, "hidden_act": "silu", "pad_token_id": ids["<|endoftext|>"],
        "id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0},
        "sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("vocab.json", "merges.txt"):
        shutil.copyfile(tokenizer / name, folder / name)
    settings = json.loads((tokenizer / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "model_max_length": LIMIT}))
    bits = np.random.PCG64(18)
    tensors = {name: checkpoint.to_stored(wide_model.draw(bits, shape, spread), "BF16")
               for name, shape, spread in shapes(len(ids))}  # fmt: skip
    checkpoint.write_file(folder / checkpoint.SINGLE, tensors, {"format": "pt"})
