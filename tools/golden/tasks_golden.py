#!/usr/bin/env python3
"""Writes tests/data/golden/tasks/model, a bi-encoder as jina-embeddings-v3 is published, with adapters for two tasks in
its own weights, and tasks.json with its embeddings: of no task, and of each.

    tasks_golden.py      (needs sentence-transformers)

The weights are those of the golden model jina-rotary. What an adapter adds is added to them here, and the sum is run by
transformers' class; how the authors lay adapters out and scale them is our own reading of their code.
"""

import json
import re
import shutil
import tempfile
from pathlib import Path

import authors
import common
import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from transformers import AutoModel, AutoTokenizer

GOLDEN = common.ROOT / "tests" / "data" / "golden"
BASE, OUT = GOLDEN / "models" / "jina-rotary", GOLDEN / "tasks" / "model"
TASKS, RANK, ALPHA = ["retrieval.query", "text-matching"], 2, 3
TEXTS = ["how many people live in berlin?", "the sea", "", "Berlin has a population of 3,520,031 people."]
MODULES = [("transformer", "", "custom_st.Transformer"), ("pooler", "1_Pooling", "sentence_transformers.models.Pooling"),
           ("normalizer", "2_Normalize", "sentence_transformers.models.Normalize")]  # fmt: skip
MATRIX = re.compile(r"(Wqkv|out_proj|fc1|fc2|word_embeddings|token_type_embeddings)\.weight$")


def adapters(name, array, rng):
    """A and B of each task, as the authors lay them out."""
    shapes = [(RANK, array.shape[1]), (array.shape[0], RANK)]
    if "embeddings" in name:
        shapes = [(array.shape[0], RANK), (RANK, array.shape[1])]
    return [rng.normal(0, 0.4, (len(TASKS), *shape)).astype(np.float16) for shape in shapes]


def changed(name, array, matrices, task):
    a, b = (matrix[task].astype(np.float64) for matrix in matrices)
    return (array.astype(np.float64) + ALPHA / RANK * (a @ b if "embeddings" in name else b @ a)).astype(np.float32)


def make(rng):
    """The folder; the plain arrays of no task and of each."""
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    arrays = {k: v for k, v in load_file(BASE / "model.safetensors").items() if k.startswith("roberta.")}
    written, plain = {}, [{} for _ in range(1 + len(TASKS))]
    for name, array in arrays.items():
        for found in plain:
            found[name] = array.astype(np.float32)
        if not MATRIX.search(name):
            written[name] = array
            continue
        stem, matrices = name.removesuffix(".weight"), adapters(name, array, rng)
        written[f"{stem}.parametrizations.weight.original"] = array
        for letter, matrix in zip("AB", matrices):
            written[f"{stem}.parametrizations.weight.0.lora_{letter}"] = matrix
        for task in range(len(TASKS)):
            plain[1 + task][name] = changed(name, array, matrices, task)
    save_file(written, OUT / "model.safetensors", {"format": "pt"})
    (OUT / "model.safetensors").chmod(0o644)
    return plain


def write_settings():
    config = json.loads((BASE / "config.json").read_text())
    config = {key: value for key, value in config.items() if key not in ("id2label", "label2id")}
    config |= {"architectures": ["XLMRobertaModel"], "lora_adaptations": TASKS, "lora_alpha": ALPHA, "lora_rank": RANK}
    (OUT / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    modules = [{"idx": i, "name": name, "path": path, "type": kind} for i, (name, path, kind) in enumerate(MODULES)]
    (OUT / "modules.json").write_text(json.dumps(modules, indent=1) + "\n")
    pooling = {"word_embedding_dimension": config["hidden_size"], "pooling_mode_mean_tokens": True,
               "pooling_mode_cls_token": False}  # fmt: skip
    (OUT / "1_Pooling").mkdir()
    (OUT / "1_Pooling" / "config.json").write_text(json.dumps(pooling) + "\n")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(BASE / name, OUT)
    return config


def embeddings(arrays, config):
    with tempfile.TemporaryDirectory() as folder:
        twin = authors.settings_of("flash-rotary", {k: v for k, v in config.items() if not k.startswith("lora_")})
        (Path(folder) / "config.json").write_text(json.dumps({**twin, "architectures": ["JinaEmbeddingsV3Model"]}))
        save_file(arrays, Path(folder) / "model.safetensors", {"format": "pt"})
        model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer, out = AutoTokenizer.from_pretrained(OUT), []
    for text in TEXTS:
        with torch.inference_mode():
            states = model(**tokenizer([text], return_tensors="pt")).last_hidden_state
        row = torch.nn.functional.normalize(states.mean(1), dim=1)[0]
        out.append([float(f"{value:.9g}") for value in row.tolist()])
    return out


def main():
    torch.set_num_threads(1)
    plain = make(np.random.Generator(np.random.PCG64(77)))
    config = write_settings()
    found = [embeddings(arrays, config) for arrays in plain]
    golden = {"made_by": "tools/golden/tasks_golden.py", "versions": common.versions(), "tasks": ["", *TASKS],
              "texts": TEXTS, "embeddings": found}
    (OUT.parent / "tasks.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    print([rows[0][:3] for rows in found])


if __name__ == "__main__":
    main()
