#!/usr/bin/env python3
"""Golden results of SentenceTransformer's methods: what the reference's encode, encode_query, encode_document,
similarity and quantize_embeddings return for the small random models of encoder_golden.py, argument by argument, with
types and shapes, and which exceptions they raise.

Writes tests/data/python/encodings.json, which tests/python compares with the package crossenc.

    python3 tools/golden/python_encoder_golden.py        (needs sentence-transformers)
"""
import json

from common import ROOT, call, raised, versions

import numpy as np
import torch
from sentence_transformers import SentenceTransformer, quantize_embeddings

MODELS = ROOT / "tests" / "data" / "golden" / "encoders"
OUT = ROOT / "tests" / "data" / "python" / "encodings.json"
NAMES = ("mean", "cls-dense")
PROPERTIES = (*NAMES, "all-poolings", "old-max-cased", "plain-classifier")
TEXTS = ["how many people live in berlin?", "Berlin has a population of 3,520,031 people.", "", "the air",
         "\u00e9t\u00e9 \u4e2d\u6587 \U0001f600 over the wing of a house, and the water of the river " * 6]
MEASURES = ("cosine", "dot", "euclidean", "manhattan")

# Arguments as Python writes them, so that the tests can say them again.
ENCODE = [
    "texts", "texts[0]", "[texts[0]]", "np.array(texts[:2])", "[]", "()", "np.array([], object)",
    "texts[:1], task='query'", "texts, normalize_embeddings=True", "texts, truncate_dim=7",
    "texts, truncate_dim=7, normalize_embeddings=True", "texts[:1], truncate_dim=1000", "texts, prompt='the air '",
    "texts[0], prompt=''", "texts[:1], None, 'the air ', 3", "texts[:1], precision=None", "texts, precision='binary'",
    "texts, precision='ubinary', truncate_dim=9", "texts[0], precision='binary'", "texts, precision='int8'",
    "texts, precision='uint8', normalize_embeddings=True",
]
ENCODE_ROLE = ["texts[:2]", "texts[0]", "texts[:1], prompt='the air '", "texts[:1], prompt_name='query'"]
WRONG = [
    "None", "5", "[None]", "[5]", "b'a'", "[b'a']", "['a', None]", "[1.5, 'a']", "[{'a': 1}]", "[('a', 'b', 'c')]",
    "'a\\ud800'", "['a\\ud800']", "np.zeros(3)", "np.array('a')", "[[]]", "texts, batch_size=0",
    "texts, batch_size='3'",
    "texts, batch_size=None", "texts, precision='int4'", "texts[0], precision='int8'", "texts, prompt_name='x'",
    "texts, prompt=3", "texts, nonsense=1", "texts, truncate_dim='a'",
]


def embeddings():
    """Exact in float32, with columns of one value, and rows that are zero."""
    values = (np.arange(105 * 9) * 7919 % 1009 - 504).reshape(105, 9).astype(np.float32) / 256
    values[:, 5] = 0.25
    values[7] = 0
    return values


SIMILARITY = ["e[:4], e[:5]", "e[0], e[:3]", "list(e[:2]), list(e[:2])", "e[:2].tolist(), e[:3]",
              "e[:4].astype(np.float64), e[4:9].astype(np.float64)", "e[7:8], e[:2]",
              "e[:3] * np.float32(1e-3), e[1:3]"]
PAIRWISE = ["e[:5], e[5:10]", "e[7], e[8]", "list(e[:2]), e[:2]"]
QUANTIZE = ["e, 'int8'", "e, 'uint8'", "e, 'binary'", "e, 'ubinary'", "e, 'float32'", "e[0], 'binary'",
            "e[:50] * 2, 'int8', ranges=np.stack((e.min(0), e.max(0)))", "e[0], 'uint8', calibration_embeddings=e[9:]",
            "e.astype(np.float64), 'uint8'", "list(e), 'int8'", "[e[:60], e[60:]], 'uint8'",
            "e[:0], 'int8'", "[], 'int8'"]
QUANTIZE_WRONG = ["e[0], 'int8'", "e[:1], 'uint8'", "e.astype(np.int8), 'binary'", "e, 'int4'"]


def returned(result):
    """What a result is, in JSON: bytes as they are, floats with seven digits."""
    if isinstance(result, list):
        return {"type": "list", "items": [returned(item) for item in result]}
    array = np.asarray(result)
    kind = "array" if isinstance(result, (np.ndarray, torch.Tensor)) else type(result).__name__
    values = array.tobytes().hex() if array.dtype.itemsize == 1 else [float(f"{x:.7g}") for x in array.ravel()]
    return {"type": kind, "dtype": str(array.dtype), "shape": list(array.shape), "values": values}


def results(method, cases, names):
    return [{"arguments": case} | returned(call(method, case, names)) for case in cases]


def exceptions(method, cases, names):
    return [{"arguments": case, "exception": raised(method, case, names)} for case in cases]


def features(model):
    """Of each text what output_value=None and "token_embeddings" give, without padding."""
    tokens = model.encode(TEXTS, output_value="token_embeddings")
    rows = model.encode(TEXTS, output_value=None)
    return [{"input_ids": row["input_ids"][: len(token)].tolist(), "token_embeddings": returned(token[-1]),
             "tokens": len(token), "sentence_embedding": returned(row["sentence_embedding"])}
            for row, token in zip(rows, tokens)]


def load(name):
    torch.set_num_threads(1)
    return SentenceTransformer(str(MODELS / name), device="cpu", model_kwargs={"dtype": torch.float32})


def cases(name):
    model, names = load(name), {"texts": TEXTS}
    return {
        "encode": results(model.encode, ENCODE, names),
        "encode_query": results(model.encode_query, ENCODE_ROLE, names),
        "encode_document": results(model.encode_document, ENCODE_ROLE, names),
        "raises": exceptions(model.encode, WRONG, names),
        "features": features(model),
    }


def properties(model):
    return {"max_seq_length": model.max_seq_length, "similarity_fn_name": model.similarity_fn_name,
            "truncate_dim": model.truncate_dim, "get_embedding_dimension()": model.get_embedding_dimension(),
            "prompts": model.prompts, "default_prompt_name": model.default_prompt_name,
            "config.hidden_size": model.config.hidden_size}


def measures(name):
    """similarity and similarity_pairwise by measure; the model is there for its methods alone."""
    model, names = load(name), {"e": embeddings()}
    found = {}
    for measure in MEASURES:
        model.similarity_fn_name = measure
        found[measure] = {"similarity": results(model.similarity, SIMILARITY, names),
                          "similarity_pairwise": results(model.similarity_pairwise, PAIRWISE, names)}
    return found


def main():
    names = {"e": embeddings()}
    content = {"made_by": "tools/golden/python_encoder_golden.py", "versions": versions(), "texts": TEXTS,
               "embeddings": [float(x) for x in embeddings().ravel()],
               "models": {name: cases(name) for name in NAMES}, "measures": measures(NAMES[0]),
               "properties": {name: properties(load(name)) for name in PROPERTIES},
               "quantize": results(quantize_embeddings, QUANTIZE, names),
               "quantize_raises": exceptions(quantize_embeddings, QUANTIZE_WRONG, names)}
    OUT.write_text(json.dumps(content) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
