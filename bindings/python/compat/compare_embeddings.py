#!/usr/bin/env python3
"""Encodes real texts with the installed reference and with crossenc, by the same calls, and compares.

    compare_embeddings.py [--texts N] [--model DIR ...] [--shared DIR]

Texts are those of compare.py's pairs. Exit status 1 if a value differs by more than 1e-4, if the cosine of two
embeddings of a text is below 1 - 1e-5, if a quantized value differs by more than a step, or if types or shapes differ.
Needs sentence-transformers, and the package crossenc.
"""
import argparse
import pathlib
import sys

from compare import SHARED, read_pairs

import numpy as np
import sentence_transformers
import torch

import crossenc

ABSOLUTE, COSINE = 1e-4, 1e-5


def calls(texts):
    """What both are asked: a name, and a function of a model."""
    return {
        "encode": lambda model: model.encode(texts, batch_size=1),
        "encode in batches": lambda model: model.encode(texts),
        "encode, normalized": lambda model: model.encode(texts, normalize_embeddings=True),
        "encode, truncated": lambda model: model.encode(texts, truncate_dim=64, normalize_embeddings=True),
        "encode, a prompt": lambda model: model.encode(texts[:40], prompt="passage: "),
        "encode, a tensor": lambda model: model.encode(texts[:40], convert_to_tensor=True).numpy(),
        "encode, one text": lambda model: model.encode(texts[0]),
        "encode_query": lambda model: model.encode_query(texts[:40]),
        "token embeddings": lambda model: np.concatenate(
            [np.asarray(rows) for rows in model.encode(texts[:20], output_value="token_embeddings")]),
        "max_seq_length": lambda model: cut(model, texts[-40:]),
        "int8": lambda model: model.encode(texts, precision="int8"),
        "binary": lambda model: model.encode(texts, precision="ubinary"),
        "similarity": lambda model: np.asarray(model.similarity(*[model.encode(texts[:40])] * 2)),
    }


def cut(model, texts):
    before = model.max_seq_length
    model.max_seq_length = 32
    embeddings = model.encode(texts)
    model.max_seq_length = before
    return embeddings


def least_cosine(a, b):
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return (np.sum(a * b, axis=-1) / lengths).min()


def is_close(name, theirs, found):
    if theirs.shape != found.shape or theirs.dtype != found.dtype:
        print(f"{name}: {found.dtype} {found.shape}, and the reference {theirs.dtype} {theirs.shape}")
        return False
    if theirs.dtype.itemsize == 1:
        bits = name == "binary"
        wide = [np.unpackbits(x) if bits else x.astype(int) for x in (theirs, found)]
        share = (wide[0] != wide[1]).mean()
        print(f"{name}: {share:.1e} of {wide[0].size} {'bits' if bits else 'values'} differ")
        return share < 1e-3 and np.abs(wide[0].astype(int) - wide[1]).max() <= 1
    difference, cosine = np.abs(found - theirs).max(), least_cosine(found.astype(float), theirs.astype(float))
    print(f"{name}: {found.shape}, largest difference {difference:.2e}, least cosine 1 - {1 - cosine:.1e}")
    return difference <= ABSOLUTE and cosine >= 1 - COSINE


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--shared", type=pathlib.Path, default=SHARED)
    parser.add_argument("--model", type=pathlib.Path, action="append")
    options = parser.parse_args()
    texts = list(dict.fromkeys(text for pair in read_pairs(options.shared, options.texts) for text in pair))
    texts = texts[:: max(1, len(texts) // options.texts)][: options.texts]
    print(f"sentence-transformers {sentence_transformers.__version__}, crossenc {crossenc.__version__}: "
          f"{len(texts)} texts, {sum(map(len, texts)) // len(texts)} characters in the mean")
    are_close = True
    for folder in options.model or [options.shared / "models" / "all-MiniLM-L6-v2"]:
        reference = sentence_transformers.SentenceTransformer(str(folder), device="cpu",
                                                              model_kwargs={"dtype": torch.float32})
        ours = crossenc.SentenceTransformer(folder, device="cpu")
        for name, call in calls(texts).items():
            are_close &= is_close(name, call(reference), call(ours))
    sys.exit(0 if are_close else 1)


if __name__ == "__main__":
    main()
