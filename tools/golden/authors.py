"""Models as their authors' code writes them, which transformers cannot run, and their twins, which it can.

A twin has the same weights under the names of one of transformers' classes; what that class does not do is put into it
after it was loaded, from the published formulas. So a golden value of such a model is as right as our reading of its
authors' code, and no more: how tensors are named and laid out, which half of a matrix is the gate, ALiBi's slopes,
NewModel's scaled positions.
"""

import json
import math
import re

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

# By spec["twin"]: the class and model_type of the twin, and names of the authors as patterns of its names, in order.
TWINS = {
    "new": ("GteForSequenceClassification", "gte", [
        (r"^gte\.", "new."), (r"\.layers\.", ".encoder.layer."), (r"self_attn\.o_proj", "attention.o_proj"),
        (r"post_attention_layernorm", "attn_ln"), (r"post_mlp_layernorm", "mlp_ln")]),
    "flash": ("XLMRobertaForSequenceClassification", "xlm-roberta", [
        (r"embeddings\.LayerNorm", "emb_ln"), (r"encoder\.layer\.", "encoder.layers."),
        (r"attention\.output\.dense", "mixer.out_proj"), (r"attention\.output\.LayerNorm", "norm1"),
        (r"intermediate\.dense", "mlp.fc1"), (r"(layers\.\d+)\.output\.dense", r"\1.mlp.fc2"),
        (r"output\.LayerNorm", "norm2")]),
    "flash-rotary": ("JinaEmbeddingsV3ForSequenceClassification", "jina_embeddings_v3", [
        (r"embeddings\.LayerNorm", "emb_ln"), (r"roberta\.layers\.", "roberta.encoder.layers."),
        (r"self_attn\.o_proj", "mixer.out_proj"), (r"post_attention_layernorm", "norm1"),
        (r"post_mlp_layernorm", "norm2")]),
    "nomic": ("NomicBertForSequenceClassification", "nomic_bert", [
        (r"^nomic_bert\.", "bert."), (r"\.layers\.", ".encoder.layers."), (r"embeddings\.LayerNorm", "emb_ln"),
        (r"self_attn\.o_proj", "attn.out_proj"), (r"mlp\.up_proj", "mlp.fc11"), (r"mlp\.gate_proj", "mlp.fc12"),
        (r"mlp\.down_proj", "mlp.fc2"), (r"post_attention_layernorm", "norm1"), (r"post_mlp_layernorm", "norm2")]),
    "jina-bert": ("BertForSequenceClassification", "bert", [
        (r"(layer\.\d+)\.output\.dense", r"\1.mlp.wo"), (r"(layer\.\d+)\.output\.LayerNorm", r"\1.mlp.layernorm")]),
}  # fmt: skip

# Matrices that the authors have one above the other: their name, and the twin's in that order.
STACKS = {
    "new": {"attention.qkv_proj": ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
            "mlp.up_gate_proj": ["mlp.up_proj", "mlp.gate_proj"]},
    "flash-rotary": {"mixer.Wqkv": ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]},
    "nomic": {"attn.Wqkv": ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]},
    "flash": {"mixer.Wqkv": ["attention.self.query", "attention.self.key", "attention.self.value"]},
    "jina-bert": {},
}  # fmt: skip

# What the authors of NomicBERT call what the twin's config has; the rest of theirs says that nothing is unusual.
NOMIC = {"n_embd": "hidden_size", "n_layer": "num_hidden_layers", "n_head": "num_attention_heads",
         "n_inner": "intermediate_size", "layer_norm_epsilon": "layer_norm_eps", "rotary_emb_base": "rope_theta",
         "n_positions": "max_position_embeddings"}


def settings_of(kind, config):
    """The config of the twin."""
    name, model_type, _ = TWINS[kind]
    twin = {key: value for key, value in config.items() if key not in ("auto_map", "position_embedding_type")}
    twin.pop("rope_scaling", None)
    if kind == "flash-rotary":
        twin["rope_theta"] = twin.pop("rotary_emb_base")
    if kind == "nomic":
        twin = {NOMIC.get(key, key): value for key, value in twin.items()}
        twin |= {"hidden_act": "silu", "intermediate_size": -(-twin["intermediate_size"] // 256) * 256}
    return {**twin, "architectures": [name], "model_type": model_type}


def renamed(kind, name):
    for pattern, text in TWINS[kind][2]:
        name = re.sub(pattern, text, name)
    return name


def to_authors(kind, arrays, rng):
    """The arrays of a twin as the authors have them."""
    out, arrays = {}, dict(arrays)
    for stack, parts in STACKS[kind].items():
        for first in sorted(name for name in arrays if f".{parts[0]}." in name):
            rows = [arrays.pop(first.replace(parts[0], part)) for part in parts]
            out[renamed(kind, first.replace(parts[0], stack))] = np.concatenate(rows)
    for name, array in arrays.items():
        if kind == "jina-bert" and name.endswith("intermediate.dense.weight"):
            gated = rng.normal(0.0, 1.6 / np.sqrt(array.shape[1]), (2 * len(array), array.shape[1]))
            out[name.replace("intermediate.dense", "mlp.gated_layers")] = gated.astype(np.float32)
        elif kind != "jina-bert" or not re.search(r"intermediate|position_embeddings", name):
            out[renamed(kind, name)] = array
    return out


def to_twin(folder, kind):
    """Turns a folder of the authors' into its twin. Returns what puts the rest into the twin once it is loaded."""
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings_of(kind, config)))
    arrays = load_file(folder / "model.safetensors")
    if kind == "new":  # whose names transformers knows
        return lambda network: scale_positions(network, config)
    if kind == "flash-rotary":  # these too
        return lambda network: None
    if kind == "nomic":  # the same, but for the first part
        arrays = {re.sub(r"^bert\.", "nomic_bert.", name): array for name, array in arrays.items()}
        save_file(arrays, folder / "model.safetensors", {"format": "pt"})
        return lambda network: None
    if kind == "flash":
        save_file(flash_twin(arrays), folder / "model.safetensors", {"format": "pt"})
        return lambda network: None
    gated = [torch.from_numpy(arrays[f"bert.encoder.layer.{i}.mlp.gated_layers.weight"])
             for i in range(config["num_hidden_layers"])]  # fmt: skip
    save_file(jina_twin(arrays, config), folder / "model.safetensors", {"format": "pt"})
    return lambda network: put_jina(network, config, gated)


def flash_twin(arrays):
    out = {}
    for name, array in arrays.items():
        for text, pattern in ((r"embeddings.LayerNorm", r"emb_ln"), (r"attention.output.dense", r"mixer\.out_proj"),
                              (r"attention.output.LayerNorm", r"norm1"), (r"output.LayerNorm", r"norm2"),
                              (r"intermediate.dense", r"mlp\.fc1"), (r"output.dense", r"mlp\.fc2"),
                              (r"encoder.layer.", r"encoder\.layers\.")):  # fmt: skip
            name = re.sub(pattern, text, name)
        if "mixer.Wqkv" not in name:
            out[name] = array
            continue
        for part, rows in zip(("query", "key", "value"), np.split(array, 3)):
            out[name.replace("mixer.Wqkv", f"attention.self.{part}")] = np.ascontiguousarray(rows)
    return out


def jina_twin(arrays, config):
    out = {name.replace("mlp.wo", "output.dense").replace("mlp.layernorm", "output.LayerNorm"): array
           for name, array in arrays.items() if "gated_layers" not in name}  # fmt: skip
    shape = (config["max_position_embeddings"], config["hidden_size"])
    out["bert.embeddings.position_embeddings.weight"] = np.zeros(shape, np.float32)
    return out


def scale_positions(network, config):
    """NewModel's fixed scaling: one base for all lengths, and in its mixed form a factor for each frequency."""
    scaling, size = config.get("rope_scaling"), config["hidden_size"] // config["num_attention_heads"]
    if not scaling:
        return
    factor, mixed = scaling["factor"], scaling.get("mixed_b")
    places = torch.arange(0, size, 2).float() / size
    frequencies = 1.0 / ((config["rope_theta"] * (factor if mixed is None else 1)) ** places)
    if mixed is None:
        frequencies = frequencies / factor ** (2 / size)
    else:
        slope = torch.tensor(float(factor)).log() / (size / 2) ** mixed
        frequencies = frequencies / (slope * torch.arange(1, size // 2 + 1).float() ** mixed).exp()
    rotary = network.gte.rotary_emb
    rotary.inv_freq.copy_(frequencies)
    rotary.original_inv_freq.copy_(frequencies)


def slopes(heads):
    """ALiBi's, of a power of two; of other numbers those of the power below, and every second of that above."""
    below = 2 ** math.floor(math.log2(heads))
    out = [2 ** (-8 * (i + 1) / below) for i in range(below)]
    return out + [2 ** (-8 * (i + 1) / (2 * below)) for i in range(0, 2 * below, 2)][: heads - below]


class Gated(torch.nn.Module):
    """function(first half) * second half of one product."""

    def __init__(self, weight, function):
        super().__init__()
        self.weight = torch.nn.Parameter(weight)
        self.function = function

    def forward(self, x):
        first, second = torch.nn.functional.linear(x, self.weight).chunk(2, dim=-1)
        return self.function(first) * second


def put_jina(network, config, gated):
    function = torch.nn.functional.relu if config["feed_forward_type"] == "reglu" else torch.nn.functional.gelu
    slope = torch.tensor(slopes(config["num_attention_heads"])).float()[:, None, None]

    def add_bias(module, args, kwargs):
        states = args[0] if args else kwargs["hidden_states"]
        places = torch.arange(states.shape[1])
        bias = slope * -(places[None, :] - places[:, None]).abs()[None].float()
        kwargs["attention_mask"] = bias[None].to(states.dtype)
        return args[:1], kwargs

    for layer, weight in zip(network.bert.encoder.layer, gated):
        layer.intermediate = Gated(weight, function)
        layer.attention.self.register_forward_pre_hook(add_bias, with_kwargs=True)
