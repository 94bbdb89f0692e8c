#!/usr/bin/env python3
"""Writes tests/data/golden/wide-NAME.json: the reference's logits of a wide model's pairs, each pair alone, in float32,
with both of its ways to compute attention, which must agree.

    wide_golden.py [modernbert] [qwen3]
"""

import json
import sys
import tempfile
from pathlib import Path

import common
import torch
import wide_decoder
import wide_model
from sentence_transformers import CrossEncoder

MODELS = {
    "modernbert": (wide_model, common.ROOT.parent / "shared" / "tokenizers" / "modernbert"),
    "qwen3": (wide_decoder, common.ROOT / "tests" / "data" / "golden" / "models" / "qwen2"),
}


def logits(folder, module, attention):
    torch.set_num_threads(1)
    options = {"dtype": torch.float32, "attn_implementation": attention}
    model = CrossEncoder(str(folder), device="cpu", model_kwargs=options)
    tokens = [len(common.encode(model, *pair, truncation=True, max_length=module.LIMIT)["input_ids"])
              for pair in module.pairs()]  # fmt: skip
    return tokens, [float(common.logits(model, pair)[0]) for pair in module.pairs()]


def golden(name):
    module, tokenizer = MODELS[name]
    with tempfile.TemporaryDirectory() as folder:
        module.make(Path(folder), tokenizer)
        tokens, eager = logits(folder, module, "eager")
        _, sdpa = logits(folder, module, "sdpa")
    worst = max(abs(a - b) / (1 + abs(b)) for a, b in zip(eager, sdpa))
    assert worst < 2e-5, worst
    out = {"made_by": "tools/golden/wide_golden.py", "versions": common.versions(), "between_ways": worst,
           "tokens": tokens, "logits": [float(f"{value:.9g}") for value in eager]}  # fmt: skip
    path = common.ROOT / "tests" / "data" / "golden" / f"wide-{name}.json"
    path.write_text(json.dumps(out, indent=1) + "\n")
    print(out)


def main():
    for name in sys.argv[1:] or MODELS:
        golden(name)


if __name__ == "__main__":
    main()
