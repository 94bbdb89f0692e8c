"""What the programs of all peers share: arguments, tokenizing, batches, and taking turns with run.py.

    PEER.py prepare --model DIR --folder DIR --precision P --calibration PAIRS
    PEER.py serve   --model DIR --folder DIR --precision P --pairs PAIRS --setting S --batch N --call-pairs N
                    --threads N --scores FILE

prepare writes to --folder what the peer needs beside the float32 model of --model, if it is not there yet. serve loads,
scores all pairs once to warm up, writes the scores to --scores and prints "ready" and a remark, if any; then, for each
line on standard input, it scores all pairs and prints the seconds that took, followed by those of each call if
--call-pairs is given.

Tokenizing, sorting by length and padding are within the seconds, as they are in a user's call.
"""

import argparse
import os
import sys
import time
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "true"

import numpy  # noqa: E402
import workloads  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
LONGEST = 512


def parse_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("action", choices=("prepare", "serve"))
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--precision", required=True)
    parser.add_argument("--calibration", type=Path)
    parser.add_argument("--pairs", type=Path)
    parser.add_argument("--setting", default="")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--call-pairs", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--scores", type=Path)
    return parser.parse_args()


def load_tokenizer(model):
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(LONGEST)
    return tokenizer


def padded(encodings, length=0):
    """The inputs of a batch [pairs, tokens], padded at the right to its longest pair or to length."""
    length = max(length, *(len(e) for e in encodings))
    arrays = numpy.zeros((3, len(encodings), length), numpy.int64)
    for i, encoding in enumerate(encodings):
        size = len(encoding)
        arrays[0, i, :size], arrays[1, i, :size], arrays[2, i, :size] = encoding.ids, 1, encoding.type_ids
    return dict(zip(INPUTS, arrays))


def in_batches(tokenizer, batch, run):
    """A function from pairs to scores: tokenizes, sorts by length, and gives lists of encodings to run, which returns
    their logits in the same order, an array a batch."""

    def score(pairs):
        encodings = tokenizer.encode_batch(pairs) if len(pairs) > 1 else [tokenizer.encode(*pairs[0])]
        order = sorted(range(len(pairs)), key=lambda i: -len(encodings[i]))
        batches = [[encodings[i] for i in order[at : at + batch]] for at in range(0, len(order), batch)]
        logits = numpy.concatenate(run(batches))
        scores = numpy.empty(len(pairs), numpy.float32)
        scores[order] = logits
        return scores

    return score


def serve(options, score, remark):
    pairs = workloads.read(options.pairs)
    step = options.call_pairs or len(pairs)
    calls = [pairs[at : at + step] for at in range(0, len(pairs), step)]
    scores = [float(value) for call in calls for value in score(call)]
    options.scores.write_text("".join(f"{value:.9g}\n" for value in scores), encoding="utf-8")
    print("ready", remark, flush=True)
    for _ in sys.stdin:
        times, begin = [], time.perf_counter()
        for call in calls:
            start = time.perf_counter()
            score(call)
            times.append(time.perf_counter() - start)
        total = time.perf_counter() - begin
        print(*(f"{t:.6f}" for t in ([total, *times] if options.call_pairs else [total])), flush=True)


def main(load, prepare=None):
    """prepare(options) writes files; load(options) returns a function from a list of pairs to their scores, and a
    remark for the table, which may be empty."""
    options = parse_arguments()
    if options.action == "serve":
        serve(options, *load(options))
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    if prepare:
        prepare(options)
