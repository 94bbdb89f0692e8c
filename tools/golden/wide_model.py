"""A ModernBERT of a published model's layers, whose weights are numbers of a formula: too large to be stored, it is made
anew by whoever needs it. With numpy alone; the tokenizer is ../shared/tokenizers/modernbert.
"""

import json
import shutil

import numpy as np

import checkpoint

HIDDEN, HEADS, INNER, LAYERS, VOCABULARY, LIMIT = 256, 4, 384, 7, 50368, 1024
WORDS = """the of and to in is was for on that by with from at as are it be this which or an wing flow heat water
berlin city people population river house music light paper engine pressure theory question answer number how many what
where who when does live have not one two year over most world war time day sea air Ünïcödé naïve 北京人口 3,520,031
e^f unbelievableness""".split()
# Words of a query and of a document: within the window of 128 tokens, just over it, over several, over the limit.
SIZES = [(1, 1), (3, 20), (6, 50), (8, 100), (8, 111), (8, 112), (9, 180), (2, 300), (150, 150), (5, 420), (300, 2),
         (12, 900)]  # fmt: skip


def text(words, seed):
    return " ".join(WORDS[(seed * 31 + i * i * 7 + i * 3) % len(WORDS)] for i in range(words))


def pairs():
    return [(text(query, i), text(document, i + 100)) for i, (query, document) in enumerate(SIZES)]


def shapes():
    """Shape and spread of each tensor, in the order in which numbers are drawn for them."""
    wide = 0.7 / np.sqrt(HIDDEN)
    yield "model.embeddings.tok_embeddings.weight", (VOCABULARY, HIDDEN), 1.0
    yield "model.embeddings.norm.weight", (HIDDEN,), None
    for i in range(LAYERS):
        layer = f"model.layers.{i}."
        if i > 0:
            yield layer + "attn_norm.weight", (HIDDEN,), None
        yield layer + "attn.Wqkv.weight", (3 * HIDDEN, HIDDEN), 2 * wide
        yield layer + "attn.Wo.weight", (HIDDEN, HIDDEN), wide
        yield layer + "mlp_norm.weight", (HIDDEN,), None
        yield layer + "mlp.Wi.weight", (2 * INNER, HIDDEN), wide
        yield layer + "mlp.Wo.weight", (HIDDEN, INNER), wide
    yield "model.final_norm.weight", (HIDDEN,), None
    yield "head.dense.weight", (HIDDEN, HIDDEN), 2 * wide
    yield "head.norm.weight", (HIDDEN,), None
    yield "classifier.weight", (1, HIDDEN), 2 * wide
    yield "classifier.bias", (1,), 0.1


def draw(bits, shape, spread):
    """Uniform numbers of the generator's bits alone, which every version of numpy gives; norms are about 1."""
    count = int(np.prod(shape))
    words = bits.random_raw((count + 3) // 4).astype("<u8").view("<u2")[:count]
    uniform = (words.astype(np.float32) - 32768) / 32768
    return ((1 + 0.3 * uniform) if spread is None else uniform * np.float32(spread * np.sqrt(3))).reshape(shape)


def make(folder, tokenizer):
    config = {
        "architectures": ["ModernBertForSequenceClassification"], "model_type": "modernbert", "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN, "num_attention_heads": HEADS, "intermediate_size": INNER, "num_hidden_layers": LAYERS,
        "max_position_embeddings": 7999, "norm_eps": 1e-5, "local_attention": 128, "global_attn_every_n_layers": 3,
        "global_rope_theta": 160000.0, "local_rope_theta": 160000.0, "hidden_activation": "gelu", "pad_token_id": 50283,
        "classifier_activation": "gelu", "classifier_pooling": "cls", "id2label": {"0": "LABEL_0"},
        "label2id": {"LABEL_0": 0}, "sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"},
    }  # fmt: skip
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": LIMIT, "cls_token": "[CLS]",
                "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]",
                "model_input_names": ["input_ids", "attention_mask"]}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    shutil.copyfile(tokenizer / "tokenizer.json", folder / "tokenizer.json")
    bits = np.random.PCG64(17)
    tensors = {name: checkpoint.to_stored(draw(bits, shape, spread), "BF16") for name, shape, spread in shapes()}
    checkpoint.write_file(folder / checkpoint.SINGLE, tensors, {"format": "pt"})
