#!/usr/bin/env python3
"""What the package costs: a call over the library's own work, and the import over numpy's.

    overhead.py [--rounds N] [--library libcrossenc.so]

The cost of a call is measured with a model and texts so small that the library's part is little, and taken as the
difference of predict() and the extension's method, the least of all rounds; and as a call with no pairs at all. The
library's share is the rest. The import is that of an installed package, whose files pip has compiled, whatever
PYTHONDONTWRITEBYTECODE says. With a library, 32 pairs are also scored by the default model, in turns by predict() and by
C's ce_predict. Needs the package crossenc alone.
"""
import argparse
import ctypes
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import timeit

import crossenc

MODEL = pathlib.Path(__file__).resolve().parents[3] / "tests/data/golden/models/three-labels"
IMPORT = ("import time, numpy; wall, cpu = time.perf_counter(), time.process_time(); import crossenc; "
          "print(1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu))")


def least(function, rounds):
    """Microseconds a call."""
    return min(timeit.repeat(function, number=20, repeat=rounds)) / 20 * 1e6


def real_pairs():
    passages = ["Berlin has a population of 3,520,031 registered inhabitants in an area of 891.82 square kilometers. ",
                "New York City is famous for the Metropolitan Museum of Art. "]
    return [("How many people live in Berlin?", passages[i % 2] * (1 + i % 6)) for i in range(32)]


def scorer_in_c(library, folder, pairs):
    """A function that scores the pairs by the C interface, and its scores."""
    class Text(ctypes.Structure):
        _fields_ = [("data", ctypes.c_char_p), ("size", ctypes.c_size_t)]

    c = ctypes.CDLL(library)
    texts = (Text * (2 * len(pairs)))(*[Text(t.encode(), len(t.encode())) for pair in pairs for t in pair])
    scores, model = (ctypes.c_float * len(pairs))(), ctypes.c_void_p()
    if c.ce_model_load(str(folder).encode(), None, ctypes.byref(model), None) != 0:
        sys.exit(f"{library} cannot load {folder}")
    return lambda: c.ce_predict(model, texts, ctypes.c_size_t(len(pairs)), None, scores, None), scores


def seconds(function):
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def measure_batch(library):
    """predict() and ce_predict in turns, so that both see the same machine."""
    pairs = real_pairs()
    with crossenc.CrossEncoder(device="cpu") as model:
        in_c, scores = scorer_in_c(library, model.path, pairs)
        in_c()
        if model.predict(pairs).tolist() != list(scores):
            sys.exit("the scores differ")
        rounds = [(seconds(lambda: model.predict(pairs)), seconds(in_c)) for _ in range(41)]
    python, c = ([round[i] for round in rounds] for i in (0, 1))
    ratio = statistics.median(a / b for a, b in rounds)
    name = pathlib.Path(crossenc.default_model_path()).name
    print(f"32 pairs, {name}: predict {1e3 * statistics.median(python):.2f} ms, "
          f"ce_predict {1e3 * statistics.median(c):.2f} ms (medians), least {1e3 * min(python):.2f} and "
          f"{1e3 * min(c):.2f} ms, median of ratios {ratio:.4f}")


def measure_import():
    """Medians of wall time and of time computing. A first run, which does not count, compiles what the others read."""
    with tempfile.TemporaryDirectory() as compiled:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        runs = [subprocess.run([sys.executable, "-c", IMPORT], check=True, text=True, stdout=subprocess.PIPE,
                               env=environment).stdout.split() for _ in range(21)][1:]
    wall, cpu = (statistics.median(float(run[i]) for run in runs) for i in (0, 1))
    print(f"import crossenc, beyond numpy: {wall:.1f} ms, {cpu:.1f} ms of them computing (medians of {len(runs)})")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--library", help="such as build/release/src/libcrossenc.so")
    options = parser.parse_args()
    rounds = options.rounds
    model = crossenc.CrossEncoder(MODEL, device="cpu", threads=1)
    handle = model._handle
    for count in (1, 32):
        pairs = [("a", f"b {n}") for n in range(count)]
        whole = least(lambda: model.predict(pairs), rounds)
        extension = least(lambda: handle.predict(pairs, b"", "Identity", False, 0, None, None), rounds)
        print(f"{count} pairs: predict {whole:.1f} us, of that Python {whole - extension:.1f} us")
    print(f"no pairs: predict {least(lambda: model.predict([]), rounds):.1f} us")
    if options.library:
        measure_batch(options.library)
    measure_import()


if __name__ == "__main__":
    main()
