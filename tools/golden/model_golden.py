#!/usr/bin/env python3
"""Writes tests/data/golden/models/NAME/ and the reference's results for it, tests/data/golden/NAME.json.

    model_golden.py [NAME ...]

Results are in float32, one pair at a time, so that padding has no part in them. Each model is also run in float64, and
the script stops if the reference itself is not within 2e-5 of that: such a case would prove nothing at 1e-4.
"""

import inspect
import json
import random
import sys
import tempfile
import warnings
from pathlib import Path

import authors
import common
import numpy as np
import tiny_models
import torch

OUT = common.ROOT / "tests" / "data" / "golden"
CONDITION = 2e-5

PAIRS = [
    ("how many people live in berlin?", "Berlin has a population of 3,520,031 people in an area of 891.82 square km."),
    ("How many people live in Berlin?", "New York City is famous for the Museum of Art."),
    ("what is the heat flow over a wing", "the pressure of the air on the wing is not the answer"),
    ("who was in the war", "this was the most musical house of the year, it was not on the river"),
    ("", ""),
    ("", "the sea"),
    ("the sea", ""),
    ("a", "b"),
    ("Ünïcödé ÀÉÎ straße", "naïve café, œuvre — “quoted” … 100 % €5"),
    ("北京人口是多少？", "北京是大学的city、人口は多い。日本語ひらカタナ 한국어"),
    ("сколько людей живёт в городе", "как много воды в реке и море Ωмега"),
    ("שלום תודה", "السلام على من وهب"),
    ("आका करता है", "นมา กขค मरहाि"),
    ("tokens [SEP] inside [CLS] and [MASK]", "[PAD][UNK] the [sep]"),
    ("NASA Berlin BERLIN berlin É é", "The The the THE Wing wing"),
    ("tabs\tand\nlines\r\u00a0\u2003and\u200b\u00adzero\u0000width\ufeff",
     "e\u0301 A\u030a \ufb01 \u01c5 \u0130 \U0001f600 \U00020000"),
    ("x" * 100 + " " + "y" * 101, "unbelievableness " * 3),
    ("1234567890 0.5 -3e10", "((a+b)*c)/d = e^f & g | h ~ i # j @ k $ l"),
]  # fmt: skip


def long_pairs(limit):
    """Pairs around and above the limit: the document too long, the query, both, and lengths just at it."""
    rng = random.Random(limit)

    def text(words):
        return " ".join(rng.choice(tiny_models.WORDS) for _ in range(words))

    sizes = [(5, limit * 2), (limit * 2, 5), (limit, limit), (limit // 2 - 1, limit - limit // 2 - 2)]
    sizes += [(limit // 2 - 1, limit - limit // 2 - 1), (limit - 4, 1), (3, limit - 6), (limit + 1, limit - 1)]
    if limit > 512:
        sizes = sizes[1:4]
    return [(text(max(a, 0)), text(max(b, 0))) for a, b in sizes]


def result(model, pair, max_length):
    encoded = common.encode(model, *pair, truncation="longest_first", max_length=max_length)
    ids, types = encoded["input_ids"], encoded.get("token_type_ids")
    options = {"batch_size": 1, "show_progress_bar": False}
    out = {
        "query": pair[0],
        "document": pair[1],
        "ids": ids,
        "type_ids": types or [0] * len(ids),
        "query_tokens": len(model.tokenizer(pair[0], add_special_tokens=False)["input_ids"]),
        "document_tokens": len(model.tokenizer(pair[1], add_special_tokens=False)["input_ids"]),
        "logits": numbers(common.logits(model, pair)),
        "scores": numbers(model.predict([pair], **options)[0]),
    }
    if model.num_labels > 1:  # with one label the reference turns every score into 1
        softmax = model.predict([pair], apply_softmax=True, activation_fn=torch.nn.Identity(), **options)
        out["softmax"] = numbers(softmax[0])
    return out


def numbers(values):
    return [float(f"{value:.9g}") for value in np.atleast_1d(np.asarray(values, np.float32))]


def condition(model, pairs, results):
    """Largest |float32 - float64| / (1 + |float64|) of the logits."""
    worst, network = 0.0, model.double()[0].model
    for pair, got in zip(pairs, results):
        if len(model) > 1:  # modules, which only the whole of it runs
            exact = common.logits(model, pair).astype(np.float64)
            worst = max(worst, float(np.max(np.abs(exact - got["logits"]) / (1 + np.abs(exact)))))
            continue
        encoded = {"input_ids": torch.tensor([got["ids"]])}
        if "token_type_ids" in inspect.signature(network.forward).parameters:
            encoded["token_type_ids"] = torch.tensor([got["type_ids"]])
        with torch.inference_mode():
            exact = network(**encoded).logits[0].numpy()
        worst = max(worst, float(np.max(np.abs(exact - got["logits"]) / (1 + np.abs(exact)))))
    model.float()
    return worst


def padded(model, pairs):
    """What a batch gives with padding on either side: the pairs' own logits."""
    out = {}
    for side in ("left", "right"):
        model.tokenizer.padding_side = side
        got = model.predict(pairs, batch_size=len(pairs), activation_fn=torch.nn.Identity(), show_progress_bar=False)
        out[side] = [numbers(row) for row in got]
    return out


def rankings(model):
    """The reference's rank over documents with duplicates; near ties apart from those would make the order chance."""
    query = PAIRS[0][0]
    documents = [pair[1] for pair in PAIRS] + [PAIRS[2][1], "", PAIRS[0][1], PAIRS[3][1]]
    out = []
    for top_k in (None, 1, 5, 100):
        ranked = model.rank(query, documents, top_k=top_k, batch_size=1, show_progress_bar=False)
        out.append({"top_k": top_k or 0, "order": [entry["corpus_id"] for entry in ranked]})
    ranked = model.rank(query, documents, batch_size=1, activation_fn=torch.nn.Identity(), show_progress_bar=False)
    for a, b in zip(ranked, ranked[1:]):
        same = documents[a["corpus_id"]] == documents[b["corpus_id"]]
        assert (a["score"] == b["score"]) if same else (a["score"] - b["score"] > 5e-4), (a, b)
    return {"query": query, "documents": documents, "rankings": out}


def golden(name, folder):
    with tempfile.TemporaryDirectory() as copy:
        modular = (folder / "modules.json").exists()  # and in float32 already
        plain = folder if modular else common.plain_copy(folder, Path(copy))
        twin = tiny_models.MODELS[name].get("twin")
        complete = authors.to_twin(plain, twin) if twin else lambda network: None

        def reference(**options):
            model = common.reference(plain, **options)
            with torch.no_grad():
                complete(model[0].model)
            return model

        model = reference()
        limit = model.max_seq_length
        brief = tiny_models.MODELS[name].get("brief", False)
        specials = model.tokenizer.num_special_tokens_to_add(pair=True)
        pairs = (PAIRS[:5] + PAIRS[16:17] if brief else PAIRS) + long_pairs(limit)[: 3 if brief else None]
        if specials == 0:  # of no token at all the reference makes nothing
            pairs.remove(("", ""))
        results = [result(model, pair, limit) for pair in pairs]
        worst = condition(model, pairs, results)
        assert worst < CONDITION, f"{name}: the reference itself is off by {worst:.3g}"
        shorter = []
        for max_length in (12,) if brief else (specials, specials + 1, specials + 2, 12):
            cut = reference(max_length=max_length)
            chosen = [PAIRS[i] for i in (0, 1, 4, 5, 6, 7, 8, 13, 16)] + long_pairs(max_length + 1)
            chosen = [pair for pair in chosen[: 7 if brief else None] if specials or any(pair)]
            shorter.append({"max_length": max_length, "pairs": [result(cut, pair, max_length) for pair in chosen]})
        labels = model.config.id2label
        out = {
            "made_by": "tools/golden/model_golden.py",
            "versions": common.versions(),
            "float64_deviation": float(f"{worst:.2g}"),
            "activation": type(model.activation_fn).__name__,
            "labels": [f"LABEL_{i}" if modular else labels[i] for i in range(model.num_labels)],
            "max_length": limit,
            "special_tokens": specials,
            "cases": [{"max_length": 0, "pairs": results}] + shorter,
        }
        if tiny_models.MODELS[name].get("kind", ("bert",))[0] in tiny_models.DECODERS and name != "qwen3-ends":
            out["padded"] = padded(model, pairs)
        if model.num_labels == 1:
            out["rank"] = rankings(model)
        return out


def write(out, path):
    """One pair a line: small, and a change shows."""
    text = json.dumps(out, ensure_ascii=True, separators=(",", ":"))
    path.write_text(text.replace('{"query":', '\n{"query":') + "\n")


def main():
    warnings.filterwarnings("ignore", message="Implicit dimension choice")  # torch.nn.Softmax() as activation
    for seed, name in enumerate(tiny_models.MODELS):
        if len(sys.argv) > 1 and name not in sys.argv[1:]:
            continue
        folder = OUT / "models" / name
        tiny_models.make(folder, name, tiny_models.MODELS[name].get("seed", seed + 100))
        out = golden(name, folder)
        write(out, OUT / f"{name}.json")
        spread = np.std([pair["logits"] for pair in out["cases"][0]["pairs"]])
        size = sum(path.stat().st_size for path in folder.glob("**/*"))
        print(f"{name}: {size} bytes, logits spread {spread:.3g}, float64 deviation {out['float64_deviation']:.2g}")


if __name__ == "__main__":
    main()
