#!/usr/bin/env python3
"""Writes tests/data/golden/embeddings.json: small random embeddings, and the reference's smaller forms of them.

    embedding_golden.py

Values are float32, written with as many digits as they need. A case without ranges has those of its own columns.
"""

import json
import warnings

import common
import numpy as np
from sentence_transformers.util import quantize_embeddings

OUT = common.ROOT / "tests" / "data" / "golden" / "embeddings.json"


def rows(array):
    return [[float(np.format_float_positional(v, unique=True)) for v in row] for row in array]


def case(name, embeddings, ranges=None):
    embeddings = np.asarray(embeddings, np.float32)
    used = np.asarray(ranges if ranges is not None else [embeddings.min(0), embeddings.max(0)], np.float32)
    out = {"name": name, "embeddings": rows(embeddings), "ranges": rows(used), "given": ranges is not None}
    for precision in ("int8", "uint8", "binary", "ubinary"):
        out[precision] = quantize_embeddings(embeddings, precision, ranges=used).tolist()
    return out


def cases():
    rng = np.random.Generator(np.random.PCG64(11))
    for dimension in (1, 7, 8, 9, 17):
        yield case(f"random of {dimension}", rng.normal(0, 0.3, (6, dimension)))
    for scale in (1e-30, 1e30):
        yield case(f"scaled by {scale:g}", rng.normal(0, scale, (5, 4)))
    other = rng.normal(0, 0.2, (50, 10)).astype(np.float32)
    yield case("ranges of others", rng.normal(0, 0.3, (6, 10)), [other.min(0), other.max(0)])
    constant = rng.normal(0, 1, (4, 5))
    constant[:, 1], constant[:, 3] = 0.25, 0
    yield case("constant columns", constant)
    yield case("constant ranges", rng.normal(0, 90, (5, 3)), [[-40, 0, 1], [-40, 0, 1]])
    yield case("on the steps", np.arange(-3, 259).reshape(-1, 2) / 2, [[0, -1], [127.5, 126.5]])
    yield case("signs", [[0.0, -0.0, 1e-45, -1e-45, 1, -1, 3e38, -3e38, 0.5]] * 2)


def main():
    warnings.filterwarnings("ignore")
    out = {"made_by": "tools/golden/embedding_golden.py", "versions": {**common.versions(), "numpy": np.__version__}}
    out["cases"] = list(cases())
    text = json.dumps(out, separators=(",", ":")).replace('{"name":', '\n{"name":')
    OUT.write_text(text + "\n")
    print(f"{len(out['cases'])} cases, {len(text)} bytes")


if __name__ == "__main__":
    main()
