#!/usr/bin/env python3
"""Writes tests/data/golden/wide-modernbert.json: the reference's logits of wide_model.py's pairs, each pair alone, in
float32, with both of its ways to compute attention, which must agree.
"""

import json
import tempfile
from pathlib import Path

import common
import torch
import wide_model
from sentence_transformers import CrossEncoder


def logits(folder, attention):
    torch.set_num_threads(1)
    options = {"dtype": torch.float32, "attn_implementation": attention}
    model = CrossEncoder(str(folder), device="cpu", model_kwargs=options)
    tokens = [len(common.encode(model, *pair, truncation=True, max_length=wide_model.LIMIT)["input_ids"])
              for pair in wide_model.pairs()]  # fmt: skip
    return tokens, [float(common.logits(model, pair)[0]) for pair in wide_model.pairs()]


def main():
    with tempfile.TemporaryDirectory() as folder:
        wide_model.make(Path(folder), common.ROOT.parent / "shared" / "tokenizers" / "modernbert")
        tokens, eager = logits(folder, "eager")
        _, sdpa = logits(folder, "sdpa")
    worst = max(abs(a - b) / (1 + abs(b)) for a, b in zip(eager, sdpa))
    assert worst < 2e-5, worst
    out = {"made_by": "tools/golden/wide_golden.py", "versions": common.versions(), "between_ways": worst,
           "tokens": tokens, "logits": [float(f"{value:.9g}") for value in eager]}  # fmt: skip
    path = common.ROOT / "tests" / "data" / "golden" / "wide-modernbert.json"
    path.write_text(json.dumps(out, indent=1) + "\n")
    print(out)


if __name__ == "__main__":
    main()
