#!/usr/bin/env python3
"""Writes tests/data/model/distances.json: the rows of tables that distances have in the reference, as runs.

cases: of DeBERTa-v2, where each is [buckets, max_relative_positions, max_position_embeddings, [[row, distances], ...]], from the least
distance query - key to the greatest; mpnet: [max_position_embeddings, runs], from the least distance key - query on.
"""

import json

import common
import torch
from transformers.models.deberta_v2.modeling_deberta_v2 import build_relative_position
from transformers.models.mpnet.modeling_mpnet import MPNetEncoder

OUT = common.ROOT / "tests" / "data" / "model" / "distances.json"
CASES = [(256, -1, 512), (256, 512, 1024), (32, 128, 200), (0, -1, 20), (0, 5, 33), (7, 40, 90), (2, 3, 9),
         (64, 60, 70), (320, 4096, 600)]  # fmt: skip


def rows(buckets, most, positions):
    most = most if most > 0 else positions
    span = buckets or most
    x = torch.zeros(1, positions, 1)
    relative = build_relative_position(x, x, bucket_size=buckets or -1, max_position=most)[0]
    distances = torch.cat([relative[0].flip(0), relative[1:, 0]])
    return torch.clamp(distances + span, 0, 2 * span - 1).tolist()


def runs(values):
    out = []
    for value in values:
        if out and out[-1][0] == value:
            out[-1][1] += 1
        else:
            out.append([value, 1])
    return out


def main():
    cases = [[*case, runs(rows(*case))] for case in CASES]
    mpnet = [600, runs(MPNetEncoder.relative_position_bucket(torch.arange(-599, 600)).tolist())]
    text = json.dumps({"made_by": "tools/golden/distance_golden.py", "versions": common.versions(), "cases": cases,
                       "mpnet": mpnet}, separators=(",", ":"))  # fmt: skip
    OUT.write_text(text.replace('[[', '[\n[') + "\n")


if __name__ == "__main__":
    main()
