#!/usr/bin/env python3
"""Scores real pairs with the installed reference and with crossenc, by the same calls, and compares.

    compare.py [--pairs N] [--model DIR ...] [--shared DIR]

Pairs are questions with answers of WikiQA, and queries with documents of scifact. Exit status 1 if a score differs by
more than 1e-4 + 1e-4 |score|, or an order by more than that. Needs sentence-transformers, and the package crossenc.
"""
import argparse
import json
import os
import pathlib
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np  # noqa: E402
import sentence_transformers  # noqa: E402
import torch  # noqa: E402

import crossenc  # noqa: E402

SHARED = pathlib.Path(__file__).resolve().parents[4] / "shared"
ABSOLUTE, RELATIVE = 1e-4, 1e-4


def read_pairs(shared, count):
    lines = (shared / "data/wikiqa/WikiQA-test.txt").read_text(encoding="utf-8").splitlines()
    pairs = [tuple(line.split("\t")[:2]) for line in lines[: count // 2]]
    texts = {}
    for name in ("queries", "corpus"):
        for line in (shared / f"data/scifact/{name}.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            texts[name, row["_id"]] = " ".join(filter(None, (row.get("title"), row["text"])))
    runs = [line.split() for line in (shared / "data/scifact/bm25.trec").read_text().splitlines()]
    step = max(1, len(runs) // (count - len(pairs)))
    rows = runs[::step][: count - len(pairs)]
    return pairs + [(texts["queries", row[0]], texts["corpus", row[2]]) for row in rows]


def calls(pairs):
    """What both are asked: a name, and a function of a model and its package's activations."""
    return {
        "predict": lambda model, nn: model.predict(pairs, batch_size=1),
        "predict in batches": lambda model, nn: model.predict(pairs),
        "predict, Sigmoid": lambda model, nn: model.predict(pairs, activation_fn=nn.Sigmoid()),
        "predict, a function": lambda model, nn: model.predict(pairs, activation_fn=lambda x: x * 2 + 1),
        "predict, a tensor": lambda model, nn: model.predict(pairs, convert_to_tensor=True).numpy(),
        "predict, a prompt": lambda model, nn: model.predict(pairs[:20], prompt="passage: "),
        "predict, one pair": lambda model, nn: np.array([model.predict(pairs[0])]),
        "rank": lambda model, nn: np.array([row["score"] for row in model.rank(pairs[0][0], [d for _, d in pairs[:50]])]),
        "max_seq_length": lambda model, nn: cut(model, pairs[-50:]),
    }


def cut(model, pairs):
    model.max_seq_length = 64
    scores = model.predict(pairs)
    model.max_seq_length = 512
    return scores


def compare(folder, pairs, only):
    reference = sentence_transformers.CrossEncoder(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})
    ours = crossenc.CrossEncoder(str(folder), device="cpu")
    are_close = True
    for name, call in calls(pairs).items():
        if only and name != only:
            continue
        theirs, found = call(reference, torch.nn), call(ours, torch.nn)
        same = theirs.shape == found.shape and theirs.dtype == found.dtype
        are_close &= same and np.allclose(found, theirs, rtol=RELATIVE, atol=ABSOLUTE)
        print(f"{folder.name}: {name}: {len(found)} scores, largest difference {np.abs(found - theirs).max():.2e}"
              f"{'' if same else ', and other shapes or types'}")
    return are_close & compare_saved(folder, ours, pairs[:50])


def compare_saved(folder, ours, pairs):
    """The folder that crossenc saves: its own bits again, and the reference's scores."""
    with tempfile.TemporaryDirectory() as saved:
        ours.save_pretrained(saved)
        again = crossenc.CrossEncoder(saved, device="cpu").predict(pairs)
        theirs = sentence_transformers.CrossEncoder(saved, device="cpu").predict(pairs)
    found = ours.predict(pairs)
    print(f"{folder.name}: saved: {len(found)} scores, largest difference {np.abs(found - theirs).max():.2e}")
    return np.array_equal(again, found) and np.allclose(found, theirs, rtol=RELATIVE, atol=ABSOLUTE)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--shared", type=pathlib.Path, default=SHARED)
    parser.add_argument("--model", type=pathlib.Path, action="append")
    parser.add_argument("--call", help="that call alone, such as \"predict in batches\"")
    options = parser.parse_args()
    pairs = read_pairs(options.shared, options.pairs)
    if options.call and options.call not in calls(pairs):
        parser.error(f"--call takes one of {', '.join(calls(pairs))}")
    models = options.model or [options.shared / "models" / name for name in
                               ("crossenc-small-en", "ms-marco-MiniLM-L-12-v2-dq")]
    print(f"sentence-transformers {sentence_transformers.__version__}, crossenc {crossenc.__version__}")
    sys.exit(0 if all([compare(model, pairs, options.call) for model in models]) else 1)


if __name__ == "__main__":
    main()
