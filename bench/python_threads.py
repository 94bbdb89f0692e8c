#!/usr/bin/env python3
"""How many pairs and texts a second one model gives to one Python thread, and to several that call it at once.

    PYTHONPATH=build/release/python bench/python_threads.py [--threads N] [--seconds S] [--rounds R] [--encoder DIR]

Each call has 32 inputs. Rounds take turns with one thread and with N, so that both see the same machine; the ratio is the
median of theirs. The cross-encoder is the default model, the bi-encoder a folder (default: that of the golden tests,
which is tiny, so that its figure says what the interpreter's lock costs and not what a model does). Needs the package.
"""
import argparse
import pathlib
import statistics
import threading
import time

import crossenc

TINY = pathlib.Path(__file__).resolve().parents[1] / "tests/data/golden/encoders/mean"
TEXT = "Berlin has a population of 3,520,031 registered inhabitants in an area of 891.82 square kilometers. "


def rate(call, inputs, threads, seconds):
    """Inputs a second of so many threads that call for so long."""
    counts, end = [0] * threads, time.perf_counter() + seconds

    def work(number):
        while time.perf_counter() < end:
            call(inputs)
            counts[number] += len(inputs)
    started = time.perf_counter()
    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / (time.perf_counter() - started)


def measure(name, call, inputs, options):
    call(inputs)
    rounds = [(rate(call, inputs, 1, options.seconds), rate(call, inputs, options.threads, options.seconds))
              for _ in range(options.rounds)]
    one, many = (statistics.median(row[i] for row in rounds) for i in (0, 1))
    print(f"{name}: one thread {one:.1f}/s, {options.threads} threads {many:.1f}/s (medians of {options.rounds}), "
          f"median of ratios {statistics.median(b / a for a, b in rounds):.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--encoder", default=TINY)
    options = parser.parse_args()
    texts = [TEXT * (1 + n % 3) for n in range(32)]
    with crossenc.CrossEncoder(device="cpu") as model:
        measure(f"CrossEncoder {pathlib.Path(model.path).name}", model.predict,
                [("How many people live in Berlin?", text) for text in texts], options)
    with crossenc.SentenceTransformer(options.encoder, device="cpu") as model:
        measure(f"SentenceTransformer {pathlib.Path(model.path).name}", model.encode, texts, options)


if __name__ == "__main__":
    main()
