#!/usr/bin/env python3
"""What threads gain over one, beside what the machine has to give.

    scaling.py --pairs FILE.tsv [--model DIR] [--precision NAME] [--cores N] [--rounds N] [--throughput PROGRAM] [--json]

The cores of a shared machine are not as quick together as one is alone: neighbours take what cores have in common,
clocks fall. So each round measures, on the same pairs and one after the other,

    threads     one program with a thread for each core
    together    as many programs of one thread each, bound to a core each, all at the same time
    alone       one of these, the others idle

and tells, as medians over the rounds, pairs a second of each, threads/alone, which is how far the threads scale, and
threads/together, which is how much of what the cores give they get.
"""

import argparse
import json
import os
import statistics
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--throughput", type=Path, default=ROOT / "build" / "release" / "bench" / "throughput")
    parser.add_argument("--json", action="store_true", help="prints one object in place of the lines")
    return parser.parse_args()


class Program:
    """A throughput program that runs a round when it is told to (--serve), on some cores."""

    def __init__(self, options, cores):
        command = [options.throughput, "--pairs", options.pairs, "--precision", options.precision, "--serve"]
        command += ["--threads", str(len(cores)), "--rounds", str(3 * options.rounds)]
        if options.model:
            command += ["--model", options.model]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        if not self.process.stdout.readline().startswith("ready"):
            raise SystemExit(f"{options.throughput} did not begin")

    def start(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def seconds(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("a program ended before its rounds were over")
        return float(line.split()[0])

    def end(self):
        self.process.kill()
        self.process.wait()


def measure(options):
    """Rates of threads, together and alone, a list of one a round each."""
    cores = sorted(os.sched_getaffinity(0))[: options.cores]
    pairs = sum(1 for line in options.pairs.read_text(encoding="utf-8").splitlines() if line)
    whole, single = Program(options, set(cores)), [Program(options, {core}) for core in cores]
    rates = {"threads": [], "together": [], "alone": []}
    for _ in range(options.rounds):
        whole.start()
        rates["threads"].append(pairs / whole.seconds())
        for program in single:
            program.start()
        rates["together"].append(sum(pairs / program.seconds() for program in single))
        single[0].start()
        rates["alone"].append(pairs / single[0].seconds())
    for program in [whole, *single]:
        program.end()
    return rates


def ratio(rates, first, second):
    return statistics.median(a / b for a, b in zip(rates[first], rates[second]))


def main():
    options = parse_arguments()
    rates = measure(options)
    found = {name: statistics.median(values) for name, values in rates.items()}
    found["threads/alone"] = ratio(rates, "threads", "alone")
    found["together/alone"] = ratio(rates, "together", "alone")
    found["threads/together"] = ratio(rates, "threads", "together")
    if options.json:
        print(json.dumps({"cores": options.cores, "precision": options.precision, **found}))
        return
    print(f"{options.cores} cores, {options.precision}, medians of {options.rounds} rounds")
    for name, value in found.items():
        print(f"{name:17} {value:8.2f}{'' if '/' in name else ' pairs/s'}")


if __name__ == "__main__":
    main()
