"""Random modules of Sentence Transformers behind a transformer, in the file forms of its old and new versions."""

import json

import numpy as np

import checkpoint

OLD = "sentence_transformers.models."
NEW = {
    "Transformer": "sentence_transformers.base.modules.transformer.Transformer",
    "Pooling": "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
    "Dense": "sentence_transformers.base.modules.dense.Dense",
    "LayerNorm": "sentence_transformers.sentence_transformer.modules.layer_norm.LayerNorm",
    "Normalize": "sentence_transformers.base.modules.normalize.Normalize",
    "Dropout": "sentence_transformers.sentence_transformer.modules.dropout.Dropout",
}


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")


def module_weights(kind, config, rng):
    if kind == "LayerNorm":
        size = config["dimension"]
        return {"norm.weight": rng.normal(1, 0.3, size), "norm.bias": rng.normal(0, 0.3, size)}
    shape = (config["out_features"], config["in_features"])
    spread = 8 if config.get("module_output_name") == "scores" else 1  # scores of different texts are to differ
    weights = {"linear.weight": rng.normal(0, spread / np.sqrt(shape[1]), shape)}
    if config["bias"]:
        weights["linear.bias"] = rng.normal(0, 0.3, shape[0])
    return weights


def write_module(folder, kind, config, rng):
    folder.mkdir()
    if config is not None:
        write_json(folder / "config.json", config)
    if kind in ("Dense", "LayerNorm"):
        arrays = {k: v.astype(np.float32) for k, v in module_weights(kind, config, rng).items()}
        stored = {name: checkpoint.to_stored(array, "F32") for name, array in arrays.items()}
        checkpoint.write_file(folder / checkpoint.SINGLE, stored, {"format": "pt"})


def write(folder, modules, rng, transformer="", old=False):
    """Writes modules.json and the folders of modules, (class, config) each, behind the transformer in its folder."""
    names = {name: OLD + name for name in NEW} if old else NEW
    listed = [{"idx": 0, "name": "0", "path": transformer, "type": names["Transformer"]}]
    for i, (kind, config) in enumerate(modules, 1):
        path = f"{i}_{kind}"
        listed.append({"idx": i, "name": str(i), "path": path, "type": names[kind]})
        if kind != "Normalize" or config is not None:  # old folders have none for it, and git keeps no empty ones
            write_module(folder / path, kind, config, rng)
    write_json(folder / "modules.json", listed)
