#!/usr/bin/env python3
"""Writes tests/data/model/rotary.json: frequencies of rotary positions, as transformers computes them from configs.

Each case is [config, frequencies, factor of cosines and sines]. A config's hidden_size is of one head. Those of NewModel,
which transformers does not have, are by our own reading of its authors' code (authors.py).
"""

import json
from types import SimpleNamespace

import authors
import common
import torch
from transformers import GteConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

OUT = common.ROOT / "tests" / "data" / "model" / "rotary.json"
SHORT = [1.0, 1.05, 1.1, 1.3, 1.7, 2.1, 2.9, 4.0]
CASES = [
    {"rope_theta": 10000.0, "rope_scaling": {"type": "linear", "factor": 2.5}},
    {"rope_parameters": {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 500.0}},
    {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "rope_theta": 10000.0,
                         "original_max_position_embeddings": 512}},
    {"rope_parameters": {"rope_type": "yarn", "factor": 16.0, "rope_theta": 1000000.0, "beta_fast": 20, "beta_slow": 2,
                         "original_max_position_embeddings": 4096, "truncate": False, "attention_factor": 0.9}},
    {"rope_theta": 5000.0, "original_max_position_embeddings": 300,
     "rope_scaling": {"type": "yarn", "factor": 0.5, "mscale": 0.7, "mscale_all_dim": 1.1}},
    {"rope_parameters": {"rope_type": "yarn", "factor": 40.0, "rope_theta": 10000.0, "mscale": 0.7,
                         "mscale_all_dim": 1.1, "original_max_position_embeddings": 64}},
    {"rope_parameters": {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": SHORT, "long_factor": SHORT[::-1],
                         "original_max_position_embeddings": 256}},
    {"rope_parameters": {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": SHORT, "long_factor": SHORT[::-1],
                         "factor": 8.0, "attention_factor": 1.25}},
    {"rope_parameters": {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
                         "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}},
    {"rope_parameters": {"rope_type": "llama3", "rope_theta": 100.0, "factor": 3.0, "low_freq_factor": 0.5,
                         "high_freq_factor": 9.0, "original_max_position_embeddings": 200}},
    {"model_type": "new", "rope_theta": 20000.0, "rope_scaling": {"type": "ntk", "factor": 8.0}},
    {"model_type": "new", "rope_theta": 20000.0, "rope_scaling": {"type": "ntk", "factor": 8.0, "mixed_b": 0.75}},
]  # fmt: skip
SIZES = {"hidden_size": 16, "num_attention_heads": 1, "max_position_embeddings": 1024}


def by_authors(config):
    rotary = SimpleNamespace(inv_freq=torch.zeros(8), original_inv_freq=torch.zeros(8))
    authors.scale_positions(SimpleNamespace(gte=SimpleNamespace(rotary_emb=rotary)), config)
    return rotary.inv_freq, 1.0


def find(config):
    if config.get("model_type") == "new":
        return by_authors(config)
    settings = GteConfig(**json.loads(json.dumps(config)))
    return ROPE_INIT_FUNCTIONS[settings.rope_parameters["rope_type"]](settings)


def main():
    cases = []
    for case in CASES:
        config = {**SIZES, **case}
        frequencies, factor = find(config)
        cases.append([config, [float(f"{x:.9g}") for x in frequencies.tolist()], float(f"{factor:.9g}")])
    text = json.dumps({"made_by": "tools/golden/rotary_golden.py", "versions": common.versions(), "cases": cases},
                      separators=(",", ":"))  # fmt: skip
    OUT.write_text(text.replace('[{"hidden', '\n[{"hidden') + "\n")


if __name__ == "__main__":
    main()
