#!/usr/bin/env python3
"""Golden results of CrossEncoder's methods: what the reference's predict and rank return for the small random models of
tests/data/golden/models, argument by argument, with types and shapes, and which exceptions they raise.

Writes tests/data/python/calls.json, which tests/python compares with the package crossenc.

    python3 tools/golden/python_golden.py        (needs sentence-transformers)
"""
import json

from common import ROOT, call, raised, reference, versions

import numpy as np
import torch

MODELS = ROOT / "tests" / "data" / "golden" / "models"
OUT = ROOT / "tests" / "data" / "python" / "calls.json"
PAIRS = [
    ["how many people live in berlin?", "Berlin has a population of 3,520,031 people."],
    ["how many people live in berlin?", "New York City is famous for the Museum of Art."],
    ["what is the heat flow over a wing", "the pressure of the air on the wing is not the answer"],
    ["", ""],
    ["a", "\u00e9t\u00e9 \u4e2d\u6587 \U0001f600"],
]
QUERY, DOCUMENTS = PAIRS[0][0], [pair[1] for pair in PAIRS] + [PAIRS[0][1]]
ACTIVATIONS = {"Identity": torch.nn.Identity(), "Sigmoid": torch.nn.Sigmoid(), "Tanh": torch.nn.Tanh(),
               "ReLU": torch.nn.ReLU(), "Softmax": torch.nn.Softmax(dim=1)}

# Arguments as Python writes them, so that the tests can say them again: pairs, pair, and what the test knows.
PREDICT = (
    ["inputs=pairs", "inputs=pair", "inputs=[pair]", "inputs=tuple(map(tuple, pairs))", "inputs=np.array(pairs)",
     "inputs=np.array(pair)", "inputs=np.array(pairs, object)", "inputs=[]", "inputs=np.array([], object)",
     "inputs=pairs, batch_size=2", "inputs=pairs, apply_softmax=True", "inputs=pairs, prompt='the air '",
     "inputs=pair, prompt='the air '", "inputs=pair, apply_softmax=True"]
    + [f"inputs=pairs, activation_fn=activations[{name!r}]" for name in ACTIVATIONS]
    + ["inputs=pairs, activation_fn=activations['Sigmoid'], apply_softmax=True"]
)
RANK = ["query, documents", "query, documents, top_k=2", "query, documents, top_k=0", "query, documents, top_k=-1",
        "query, documents, 3, True", "query, documents, return_documents=True, prompt='the air '", "query, []",
        "query, tuple(documents), activation_fn=activations['Sigmoid']"]
WRONG = ["inputs=None", "inputs=5", "inputs=[None]", "inputs=[5]", "inputs=[()]", "inputs=[('a',)]",
         "inputs=[('a', 'b', 'c')]", "inputs=['a', 'b', 'c']", "inputs=[('a', None)]", "inputs=[(b'a', b'b')]",
         "inputs=[('a', 1.5)]", "inputs=[('a\\ud800', 'b')]", "inputs=np.zeros((2, 2))", "inputs={'a': 'b'}",
         "inputs=pairs, batch_size=0", "inputs=pairs, batch_size=-1", "inputs=pairs, batch_size='3'",
         "inputs=pairs, batch_size=None", "inputs=pairs, activation_fn='x'", "inputs=pairs, prompt_name='x'"]


NAMES = {"pairs": PAIRS, "pair": PAIRS[0], "query": QUERY, "documents": DOCUMENTS, "activations": ACTIVATIONS}


def returned(result):
    if isinstance(result, (np.ndarray, np.generic)):
        return {"type": type(result).__name__, "dtype": str(result.dtype), "shape": list(result.shape),
                "scores": np.asarray(result, np.float64).tolist()}
    return {"type": type(result).__name__, "ranking": result}


def cases(folder):
    model = reference(folder)
    results = {"predict": [{"arguments": a} | returned(call(model.predict, a, NAMES)) for a in PREDICT]}
    results["raises"] = [{"arguments": a, "exception": raised(model.predict, a, NAMES)} for a in WRONG]
    if model.num_labels == 1:
        results["rank"] = [{"arguments": a} | returned(call(model.rank, a, NAMES)) for a in RANK]
    results["properties"] = {"num_labels": model.num_labels, "max_seq_length": model.max_seq_length,
                             "activation_fn": repr(model.activation_fn), "device": str(model.device)}
    return results


def main():
    content = {"made_by": "tools/golden/python_golden.py", "versions": versions(), "pairs": PAIRS, "query": QUERY,
               "documents": DOCUMENTS,
               "models": {name: cases(MODELS / name) for name in ("sigmoid-gelu-new", "long-1024", "three-labels")}}
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
