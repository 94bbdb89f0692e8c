#!/usr/bin/env python3
"""What the package costs: a call over the library's own work, and the import over numpy's.

    overhead.py [--rounds N]

The cost of a call is measured with a model and texts so small that the library's part is little, and taken as the
difference of predict() and the extension's method, the least of all rounds; and as a call with no pairs at all. The
library's share is the rest. Needs the package crossenc alone.
"""
import argparse
import pathlib
import subprocess
import sys
import timeit

import crossenc

MODEL = pathlib.Path(__file__).resolve().parents[3] / "tests/data/golden/models/three-labels"
IMPORT = ("import time, numpy; wall, cpu = time.perf_counter(), time.process_time(); import crossenc; "
          "print(1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu))")


def least(function, rounds):
    """Microseconds a call."""
    return min(timeit.repeat(function, number=20, repeat=rounds)) / 20 * 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    model = crossenc.CrossEncoder(MODEL, device="cpu", threads=1)
    handle = model._handle
    for count in (1, 32):
        pairs = [("a", f"b {n}") for n in range(count)]
        whole = least(lambda: model.predict(pairs), rounds)
        extension = least(lambda: handle.predict(pairs, "Identity", False, None), rounds)
        print(f"{count} pairs: predict {whole:.1f} us, of that Python {whole - extension:.1f} us")
    print(f"no pairs: predict {least(lambda: model.predict([]), rounds):.1f} us")
    runs = [subprocess.run([sys.executable, "-c", IMPORT], check=True, text=True, stdout=subprocess.PIPE).stdout.split()
            for _ in range(10)]
    wall, cpu = (min(float(run[i]) for run in runs) for i in (0, 1))
    print(f"import crossenc, beyond numpy: {wall:.1f} ms, {cpu:.1f} ms of them computing")


if __name__ == "__main__":
    main()
