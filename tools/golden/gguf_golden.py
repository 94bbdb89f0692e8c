#!/usr/bin/env python3
"""Writes tests/data/golden/gguf/NAME.gguf, models of tests/data/golden/models in GGUF, and tests/data/formats/gguf.json,
blocks of GGML's types with the numbers in them; and the seeds in fuzz/corpus/gguf.

    gguf_golden.py      (needs the package gguf, which writes the files, names the tensors and has the types)

The files have the keys and names that llama.cpp's converter gives such models, and the weights of the folders as they
are, or rounded to a type: of those the test compares with the folder that crossenc makes of the file.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import gguf  # noqa: E402
import numpy as np  # noqa: E402
from gguf import GGMLQuantizationType as Type  # noqa: E402
from gguf import PoolingType, TokenType  # noqa: E402

import checkpoint  # noqa: E402

DATA = Path(__file__).resolve().parents[2] / "tests" / "data"
MODELS = DATA / "golden" / "models"
MARK = "\u2581"

ARCHITECTURES = {"bert": gguf.MODEL_ARCH.BERT, "xlm-roberta": gguf.MODEL_ARCH.BERT, "roberta": gguf.MODEL_ARCH.BERT,
                 "distilbert": gguf.MODEL_ARCH.BERT, "nomic_bert": gguf.MODEL_ARCH.NOMIC_BERT,
                 "modernbert": gguf.MODEL_ARCH.MODERN_BERT, "jina": gguf.MODEL_ARCH.JINA_BERT_V2,
                 "qwen2": gguf.MODEL_ARCH.QWEN2, "qwen3": gguf.MODEL_ARCH.QWEN3, "mistral": gguf.MODEL_ARCH.LLAMA,
                 "gemma": gguf.MODEL_ARCH.GEMMA, "gemma2": gguf.MODEL_ARCH.GEMMA2,
                 "gemma3_text": gguf.MODEL_ARCH.GEMMA3}  # fmt: skip
DECODERS = ("qwen2", "qwen3", "mistral", "gemma", "gemma2", "gemma3_text")
PREFIXES = ("bert.", "roberta.", "distilbert.", "nomic_bert.", "model.")
QUANTIZED = [Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.F16, Type.BF16]
LARGE = [Type.Q4_K, Type.Q5_K, Type.Q6_K]

# What a re-ranker asks, as the converter writes it and as messages' template; both render the same.
RERANK = '<|im_start|>Is "yes" \\ no?\n<Query>: {query}\n<Document>: {document}<|im_end|>\n'
CHAT = ("{%- for message in messages %}{%- if message.role == 'query' %}{{ '<|im_start|>Is \"yes\" \\\\ no?\n<Query>: ' + "
        "message.content }}{%- elif message.role == 'document' %}{{ '\n<Document>: ' + message.content + "
        "'<|im_end|>\n' }}{%- endif %}{%- endfor %}")

# file: folder; pooling: of a bi-encoder, whose head is left out; pre: of byte-level BPE; types: matrices are rounded to
# these in turn; fused: queries, keys and values are one tensor; words: only the rows of "yes" and "no" of the matrix of
# logits, as the converter has it of re-rankers; template: the chat template's text; scaling: of rotary positions, by what
# its config has as factor, low and high, and the original length.
FILES = {
    "xlm-roberta": {"folder": "xlm-roberta-unigram"},
    "roberta": {"folder": "roberta-byte-level", "pre": "roberta-bpe", "fused": True},
    "distilbert": {"folder": "distilbert"},
    "modernbert": {"folder": "modernbert"},
    "nomic-bert": {"folder": "nomic-bert", "pooling": PoolingType.MEAN},
    "without-pooler": {"folder": "three-labels"},
    "quantized": {"folder": "quantized", "types": QUANTIZED},
    "jina-bert": {"folder": "jina-bert"},
    "qwen2": {"folder": "qwen2", "pre": "qwen2"},
    "qwen3": {"folder": "qwen3"},
    "llama": {"folder": "mistral"},
    "llama3": {"folder": "mistral", "scaling": (8, 1, 4, 8192)},
    "gemma": {"folder": "gemma"},
    "gemma2": {"folder": "gemma2"},
    "gemma3": {"folder": "gemma3"},
    "causal": {"folder": "../chat/model", "pre": "qwen2", "template": CHAT},
    "rerank": {"folder": "../chat/model", "pre": "qwen2", "words": True, "template": RERANK},
}  # fmt: skip

# transformers 5 has names of its own for nomic's tensors; the package knows those of the model's author.
NOMIC = {"self_attn.o_proj": "attn.out_proj", "post_attention_layernorm": "norm1", "post_mlp_layernorm": "norm2",
         "mlp.up_proj": "mlp.fc11", "mlp.gate_proj": "mlp.fc12", "mlp.down_proj": "mlp.fc2",
         "embeddings.LayerNorm": "emb_ln"}  # fmt: skip


# ---- weights


def kind_of(config):
    return "jina" if config.get("position_embedding_type") == "alibi" else config["model_type"]


def bare(name):
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name


def author_name(name, kind):
    """As the converter meets it."""
    if kind == "nomic_bert":
        for new, old in NOMIC.items():
            name = name.replace(new, old)
        name = name.replace("layers.", "encoder.layers.")
    if name.startswith("classifier.") and "dense" not in name and "out_proj" not in name:
        name = name.replace("classifier.", "classifier.out_proj.")  # the converter does so where there are labels
    return name


def fuse(arrays):
    """Queries, keys and values of each layer as one tensor."""
    out = {}
    for name, array in arrays.items():
        for query, others in (("self.query", ("self.key", "self.value")), ("q_proj", ("k_proj", "v_proj"))):
            if query in name:
                parts = [array] + [arrays[name.replace(query, other)] for other in others]
                out[name.replace("attention.self.query", "attn.Wqkv").replace("self_attn.q_proj", "attn.Wqkv")
                    .replace("encoder.layer.", "layers.")] = np.concatenate(parts)
                break
        else:
            if not any(part in name for part in ("self.key", "self.value", "k_proj", "v_proj")):
                out[name] = array
    return out


def pairs(array, heads):
    """Rows of each head as llama.cpp turns them: one of the first half, its fellow of the second."""
    return array.reshape(heads, 2, array.shape[0] // heads // 2, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)


def divisors(size, base, factor, low, high, original):
    """What the scaling of Llama 3.1 divides each frequency by, as the converter computes it."""
    lengths = 2 * np.pi * base ** (np.arange(0, size, 2, dtype=np.float32) / np.float32(size))
    smooth = (original / lengths - low) / (high - low)
    between = 1 / ((1 - smooth) / factor + smooth)
    out = np.where(lengths < original / high, 1, np.where(lengths > original / low, factor, between))
    return out.astype(np.float32)


def decoder_tensors(folder, config, spec):
    names = gguf.get_tensor_name_map(ARCHITECTURES[config["model_type"]], config["num_hidden_layers"])
    out = {}
    if "scaling" in spec:
        out["rope_freqs.weight"] = divisors(config["head_dim"], config.get("rope_theta", 10000.0), *spec["scaling"])
    for name, tensor in checkpoint.read_folder(folder).items():
        array = tensor.float32()
        if config["model_type"] == "mistral" and ".q_proj" in name:
            array = pairs(array, config["num_attention_heads"])
        if config["model_type"] == "mistral" and ".k_proj" in name:
            array = pairs(array, config["num_key_value_heads"])
        if config["model_type"].startswith("gemma") and name.endswith("norm.weight"):
            array = array + np.float32(1)
        if name == "model.embed_tokens.weight" and spec.get("words"):
            vocabulary = json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
            out["cls.output.weight"] = array[[vocabulary["yes"], vocabulary["no"]]]
        out["cls.output.weight" if name == "score.weight" else names.get_name(name, (".weight", ".bias"))] = array
    return out


def tensors(folder, config, spec):
    kind = kind_of(config)
    if kind in DECODERS:
        return decoder_tensors(folder, config, spec)
    stored = {bare(name): tensor.float32() for name, tensor in checkpoint.read_folder(folder).items()}
    head = ("pooler.", "classifier.", "pre_classifier.", "head.")
    if spec.get("pooling") or spec["folder"] == "three-labels":
        stored = {k: v for k, v in stored.items() if not k.startswith("pooler.")}
    if spec.get("pooling"):
        stored = {k: v for k, v in stored.items() if not k.startswith(head)}
    if kind in ("roberta", "xlm-roberta"):
        name = "embeddings.position_embeddings.weight"
        stored[name] = stored[name][config["pad_token_id"] + 1 :]
    if spec.get("fused") or kind == "nomic_bert":
        stored = fuse(stored)
    if kind == "jina":
        head = {"cls." + end: stored.pop("pooler.dense." + end) for end in ("weight", "bias")}
        stored = {new: part for name, array in stored.items() for new, part in halves(name, array)}
    names = gguf.get_tensor_name_map(ARCHITECTURES[kind], config.get("num_hidden_layers", config.get("n_layers")))
    every = gguf.get_tensor_name_map(gguf.MODEL_ARCH.MODERN_BERT, 99)  # of Wqkv
    out = {}
    for name, array in stored.items():
        if name.startswith("embeddings.position_ids") or name.startswith("pooler."):
            continue
        old = author_name(name, kind)
        new = names.get_name(old, (".weight", ".bias")) or every.get_name(old, (".weight", ".bias"))
        assert new, name
        out[new] = array
    return {**out, **head} if kind == "jina" else out


def halves(name, array):
    if "gated_layers" not in name:
        return [(name, array)]
    half = len(array) // 2
    return [(name.replace("gated_layers", "gated_layers_w"), array[:half]),
            (name.replace("gated_layers", "gated_layers_v"), array[half:])]


def stored_dtype(folder):
    return next(tensor.dtype for tensor in checkpoint.read_folder(folder).values() if tensor.data.ndim > 1)


def add_tensors(writer, arrays, types):
    """Vectors are F32 whatever the rest is, as converters have it."""
    count = 0
    for name, array in arrays.items():
        kind = Type.F32
        block, _ = gguf.GGML_QUANT_SIZES[types[0]]
        if array.ndim > 1 and array.shape[-1] % block == 0:
            kind = types[count % len(types)]
            count += 1
        data = array if kind == Type.F32 else gguf.quantize(array, kind)
        writer.add_tensor(name, np.ascontiguousarray(data), raw_dtype=kind)


# ---- keys


def add_sizes(writer, config, spec):
    get = lambda *keys: next(config[key] for key in keys if key in config)  # noqa: E731
    offset = config["pad_token_id"] + 1 if config["model_type"] in ("roberta", "xlm-roberta") else 0
    writer.add_context_length(config["max_position_embeddings"] - offset)
    writer.add_embedding_length(get("hidden_size", "dim"))
    writer.add_feed_forward_length(get("intermediate_size", "hidden_dim"))
    writer.add_block_count(get("num_hidden_layers", "n_layers"))
    writer.add_head_count(get("num_attention_heads", "n_heads"))
    if config["model_type"] in DECODERS:
        add_decoder(writer, config)
    else:
        writer.add_layer_norm_eps(config.get("norm_eps", config.get("layer_norm_eps", 1e-12)))
        writer.add_causal_attention(False)
    if spec.get("pooling"):
        writer.add_pooling_type(spec["pooling"])
    if spec.get("words"):
        writer.add_array(f"{writer.arch}.classifier.output_labels", ["yes", "no"])
    if "id2label" in config:
        writer.add_array(f"{writer.arch}.classifier.output_labels", list(config["id2label"].values()))


def add_decoder(writer, config):
    rope = config.get("rope_parameters", config)
    writer.add_head_count_kv(config["num_key_value_heads"])
    size = config.get("head_dim", config["hidden_size"] // config["num_attention_heads"])
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(rope.get("rope_theta", 10000.0))
    if config["model_type"] in ("gemma2", "gemma3_text"):
        writer.add_sliding_window(config["sliding_window"])
    if config["model_type"] == "gemma2":
        writer.add_attn_logit_softcapping(config["attn_logit_softcapping"])
        writer.add_final_logit_softcapping(config["final_logit_softcapping"])
    if config["model_type"] == "gemma3_text":
        writer.add_uint32("gemma3.attention.sliding_window_pattern", config["sliding_window_pattern"])
        writer.add_float32("gemma3.rope.freq_base_swa", config["rope_local_base_freq"])


def add_rotary(writer, config):
    if config["model_type"] == "nomic_bert":
        writer.add_rope_freq_base(1000.0)
    if config["model_type"] != "modernbert":
        return
    writer.add_rope_freq_base(config["global_rope_theta"])
    writer.add_float32("modern-bert.rope.freq_base_swa", config["local_rope_theta"])
    writer.add_sliding_window(config["local_attention"])
    writer.add_uint32("modern-bert.attention.sliding_window_pattern", config["global_attn_every_n_layers"])
    writer.add_string("modern-bert.hidden_activation", config["hidden_activation"])
    writer.add_uint32("modern-bert.classifier.pooling_type",
                      {"mean": PoolingType.MEAN, "cls": PoolingType.CLS}[config["classifier_pooling"]])


def add_ids(writer, tokens, roles):
    for role, token in roles.items():
        if token not in tokens:
            continue
        getattr(writer, f"add_{role}_token_id")(tokens.index(token))


def add_wordpiece(writer, folder):
    """Pieces as the converter rewrites them."""
    if (folder / "vocab.txt").exists():
        tokens = (folder / "vocab.txt").read_text("utf-8").splitlines()
    else:
        vocabulary = json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
        tokens = sorted(vocabulary, key=vocabulary.get)
    special = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([token if token in special else token[2:] if token.startswith("##") else MARK + token
                           for token in tokens])
    writer.add_token_types([TokenType.CONTROL if token in special else TokenType.NORMAL for token in tokens])
    add_ids(writer, tokens, {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "mask": "[MASK]"})
    writer.add_uint32("tokenizer.ggml.cls_token_id", tokens.index("[CLS]"))


def add_unigram(writer, folder):
    root = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    pieces, special = root["model"]["vocab"], {"<s>", "<pad>", "</s>", "<mask>"}
    tokens = [piece for piece, _ in pieces]
    writer.add_tokenizer_model("t5")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores([score for _, score in pieces])
    writer.add_token_types([TokenType.UNKNOWN if token == "<unk>" else TokenType.CONTROL if token in special
                            else TokenType.NORMAL for token in tokens])
    writer.add_add_space_prefix(True)
    add_ids(writer, tokens, {"bos": "<s>", "eos": "</s>", "unk": "<unk>", "sep": "</s>", "pad": "<pad>", "mask": "<mask>"})


def read_byte_level(folder):
    """Vocabulary and merges, of either form."""
    if (folder / "vocab.json").exists():
        lines = (folder / "merges.txt").read_text("utf-8").splitlines()
        return (json.loads((folder / "vocab.json").read_text("utf-8")),
                [line for line in lines if not line.startswith("#version")])
    root = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    added = {token["content"]: token["id"] for token in root["added_tokens"]}
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in root["model"]["merges"]]
    return {**root["model"]["vocab"], **added}, merges


def add_byte_level(writer, folder, pre):
    vocabulary, merges = read_byte_level(folder)
    tokens = sorted(vocabulary, key=vocabulary.get)
    special = {"<s>", "<pad>", "</s>", "<unk>", "<mask>", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>"}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL if token in special else TokenType.NORMAL for token in tokens])
    writer.add_token_merges(merges)
    if pre == "qwen2":
        add_ids(writer, tokens, {"bos": "<|endoftext|>", "eos": "<|endoftext|>", "pad": "<|endoftext|>"})
        writer.add_add_bos_token(False)
        return
    add_ids(writer, tokens, {"bos": "<s>", "eos": "</s>", "unk": "<unk>", "sep": "</s>", "pad": "<pad>", "mask": "<mask>"})


def add_tokenizer(writer, folder, config, spec):
    if "pre" in spec:
        add_byte_level(writer, folder, spec["pre"])
    elif config["model_type"] == "xlm-roberta":
        add_unigram(writer, folder)
    else:
        add_wordpiece(writer, folder)
    writer.add_token_type_count(config.get("type_vocab_size", 1))
    if "template" in spec:
        writer.add_chat_template([{"name": "rerank", "template": RERANK}] if spec.get("words") else spec["template"])


# ---- a model of all types


def quantized():
    """A BERT whose rows are whole blocks of 32, with the vocabulary of another model and a head of RoBERTa's form."""
    folder = MODELS / "three-labels"
    config = {**json.loads((folder / "config.json").read_text()), "hidden_size": 32, "intermediate_size": 64,
              "num_hidden_layers": 2}  # fmt: skip
    rng, shapes = np.random.Generator(np.random.PCG64(7)), {}
    for name, tensor in checkpoint.read_folder(folder).items():
        shape = tuple({36: 32, 72: 64}.get(size, size) for size in tensor.data.shape)
        for layer in range(config["num_hidden_layers"] if ".layer." in name else 1):
            shapes[bare(name).replace(".0.", f".{layer}.")] = shape
    arrays = {name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
    arrays["classifier.dense.weight"] = arrays.pop("pooler.dense.weight")
    arrays["classifier.dense.bias"] = arrays.pop("pooler.dense.bias")
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, 2)
    rename = lambda name: names.get_name(author_name(name, "bert"), (".weight", ".bias"))  # noqa: E731
    return folder, config, {rename(name): array for name, array in arrays.items()}


def write_model(name, spec):
    if "types" in spec:
        folder, config, arrays = quantized()
    else:
        folder = MODELS / spec["folder"]
        config = json.loads((folder / "config.json").read_text())
        arrays = tensors(folder, config, spec)
    path = DATA / "golden" / "gguf" / f"{name}.gguf"
    path.parent.mkdir(exist_ok=True)
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[ARCHITECTURES[kind_of(config)]])
    writer.add_name(name)
    add_sizes(writer, config, spec)
    add_rotary(writer, config)
    add_tokenizer(writer, folder, config, spec)
    add_tensors(writer, arrays, spec.get("types") or [Type[stored_dtype(folder)]])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(f"{name}: {path.stat().st_size} bytes")


# ---- blocks


def random_blocks(kind, rng, count):
    """Blocks of any bytes, but for their scales, which are finite."""
    _, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    halves = {Type.Q4_1: [0, 2], Type.Q5_1: [0, 2], Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [size - 2]}
    for at in halves.get(kind, [0]):
        blocks[:, at : at + 2] = rng.normal(0, 1, (count, 1)).astype(np.float16).view(np.uint8)
    return blocks


def written(rng):
    """Values, and the blocks of Q8_0 that they become: of all sizes, with a block of zeros and one of the least."""
    values = (rng.normal(0, 1, (6, 32)) * 10.0 ** rng.integers(-6, 5, (6, 1))).astype(np.float32)
    values[4], values[5, 3:] = 0, 0
    values[3, 7] = 127.5 * np.abs(values[3]).max() / 127
    blocks = gguf.quantize(values, Type.Q8_0)
    return {"floats": values.astype("<f4").tobytes().hex(), "blocks": blocks.tobytes().hex()}


def write_blocks():
    rng = np.random.Generator(np.random.PCG64(11))
    cases = []
    for kind in [kind for kind in QUANTIZED if kind.name.startswith("Q")] + LARGE:
        blocks = random_blocks(kind, rng, 2 if kind in LARGE else 4)
        values = gguf.dequantize(blocks, kind).astype("<f4")
        cases.append({"type": kind.name, "blocks": blocks.tobytes().hex(), "values": values.tobytes().hex()})
    text = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    head = json.dumps({"made_by": "tools/golden/gguf_golden.py", "versions": {"gguf": version("gguf")}})
    tail = json.dumps(written(rng), separators=(",", ":"))
    (DATA / "formats" / "gguf.json").write_text(head[:-1] + ',"cases":[\n' + text + '\n],\n"written":' + tail + "}\n",
                                                encoding="ascii")


# ---- seeds of the fuzz target


def seed(name, architecture, add_vocabulary, kinds, causal=False):
    """All keys and a few tensors of some bytes each."""
    path = DATA.parents[1] / "fuzz" / "corpus" / "gguf" / name
    path.parent.mkdir(exist_ok=True)
    writer = gguf.GGUFWriter(path, architecture)
    for key in ("context_length", "embedding_length", "feed_forward_length", "block_count", "head_count"):
        getattr(writer, f"add_{key}")(4)
    writer.add_layer_norm_eps(1e-5)
    writer.add_causal_attention(causal)
    writer.add_pooling_type(PoolingType.CLS)
    writer.add_array(f"{architecture}.classifier.output_labels", ["yes", "no"] if causal else ["no", "yes"])
    add_vocabulary(writer)
    names = ["token_embd.weight", "token_types.weight", "blk.0.attn_qkv.weight", "cls.output.weight", "cls.weight"]
    if causal:
        names = ["token_embd.weight", "blk.0.attn_q.weight", "cls.output.weight", "output.weight", "output_norm.weight"]
    for number, tensor in enumerate(names):
        kind = kinds[number % len(kinds)]
        shape = (2, gguf.GGML_QUANT_SIZES[kind][0])
        data = np.zeros(shape, np.float32)
        writer.add_tensor(tensor, data if kind == Type.F32 else gguf.quantize(data, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_seeds():
    def wordpiece(writer):
        tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", MARK + "a", "b", "[unused0]"]
        writer.add_tokenizer_model("bert")
        writer.add_token_list(tokens)
        writer.add_token_types([3, 3, 3, 3, 1, 1, 4])

    def unigram(writer):
        writer.add_tokenizer_model("t5")
        writer.add_token_list(["<s>", "<pad>", "</s>", "<unk>", MARK + "a", "b"])
        writer.add_token_scores([0.0, 0.0, 0.0, 0.0, -1.5, -2.25])
        writer.add_precompiled_charsmap(bytes([4, 0, 0, 0, 0, 0, 0, 0, 97, 0]))
        writer.add_bos_token_id(0)
        writer.add_eos_token_id(2)
        writer.add_unk_token_id(3)

    def byte_level(writer):
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("modern-bert")
        writer.add_token_list(["[CLS]", "[SEP]", "a", "b", "ab", "\"\\"])
        writer.add_token_merges(["a b"])
        writer.add_bos_token_id(0)
        writer.add_eos_token_id(1)
        writer.add_add_space_prefix(False)

    def pieces(writer):
        writer.add_tokenizer_model("llama")
        writer.add_token_list(["<unk>", "<s>", "</s>", "<0x0A>", MARK, "a", MARK + "a", "<t>"])
        writer.add_token_scores([0.0, 0.0, 0.0, 0.0, -3.0, -4.0, -1.0, 0.0])
        writer.add_token_types([2, 3, 3, 6, 1, 1, 1, 4])
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        writer.add_unk_token_id(0)
        writer.add_chat_template("{% for m in messages %}{{ m.content }}{% endfor %}")
        writer.add_string("crossenc.config_sentence_transformers", '{"prompts": {"q": "ask: "}}')

    def words(writer):
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("qwen2")
        writer.add_token_list(["a", "b", "ab", "yes", "no", "<|e|>", "[PAD6]"])
        writer.add_token_types([1, 1, 1, 1, 1, 3, 5])
        writer.add_token_merges(["a b"])
        writer.add_eos_token_id(5)
        writer.add_chat_template([{"name": "rerank", "template": "ask \"{query}\" of {document}"}])
        writer.add_string("crossenc.activation_fn", "torch.nn.Identity")
        writer.add_uint32("crossenc.max_length", 3)
        writer.add_bool("crossenc.normalize", True)

    seed("pieces", "gemma2", pieces, [Type.F32], causal=True)
    seed("words", "qwen3", words, [Type.F16, Type.Q5_0], causal=True)
    seed("wordpiece", "bert", wordpiece, [Type.F32, Type.Q8_0])
    seed("unigram", "nomic-bert", unigram, [Type.F16, Type.BF16])
    seed("byte_level", "modern-bert", byte_level, [Type.Q4_0, Type.Q5_1])


def main():
    for name, spec in FILES.items():
        write_model(name, spec)
    write_blocks()
    write_seeds()


if __name__ == "__main__":
    main()
