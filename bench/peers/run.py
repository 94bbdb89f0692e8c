#!/usr/bin/env python3
"""Speed of crossenc beside its peers on the same machine, model and pairs, in float32.

    run.py --throughput BUILD/bench/throughput [--model DIR] [--pairs N] [--python PYTHON | --venv DIR]

Every program loads the model once and scores all pairs once to warm up; then they take turns, a round each, and wait
idle in between, so that a noisy minute meets all of them. The median round counts, in wall-clock time and in CPU time;
the latter says what a program costs on a machine that has other work to do (threads that spin while they wait included).
Scores must agree with crossenc's within 1e-4 + 1e-4 relative, or the comparison is void and the script fails.

PYTHON is an interpreter that has the packages of requirements.txt; without it they are installed into --venv.
A further peer is one entry in peers(): a command that prints "ready", then the seconds of a round for each line it
reads, and that writes its scores to a file.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BOUND = 1e-4


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--throughput", type=Path, default=ROOT / "build" / "bench" / "throughput")
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "crossenc-small-en")
    parser.add_argument("--pairs", type=int, default=200, help="number of pairs, of data/cranfield-mini")
    parser.add_argument("--collection", type=Path, default=ROOT / "data" / "cranfield-mini")
    parser.add_argument("--words", type=int, default=0, help="cut documents to so many words; 0 is not at all")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--python", type=Path)
    parser.add_argument("--venv", type=Path, default=ROOT / "build" / "peers-venv")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def make_venv(folder):
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", HERE / "requirements.txt"], check=True)
    return python


def read_json_lines(path):
    return {entry["_id"]: entry for entry in map(json.loads, path.read_text(encoding="utf-8").splitlines())}


def write_pairs(collection, count, words, path):
    """count (query, document) pairs, spread evenly over the collection's first-stage run."""
    queries, corpus = (read_json_lines(collection / name) for name in ("queries.jsonl", "corpus.jsonl"))
    run = [line.split() for line in (collection / "bm25.trec").read_text().splitlines()]
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for i in range(count):
            query, _, document = run[i * len(run) // count][:3]
            text = f"{corpus[document].get('title', '')} {corpus[document]['text']}".split()
            file.write(" ".join(queries[query]["text"].split()) + "\t" + " ".join(text[: words or None]) + "\n")


def write_float32(python, model, out):
    """A copy of the model with float32 weights, which every peer can read."""
    code = "import sys; import checkpoint; checkpoint.write_float32_copy(*sys.argv[1:])"
    subprocess.run([python, "-c", code, model, out], check=True, env={**os.environ, "PYTHONPATH": str(ROOT / "tools")})


def peers(options, python, folder):
    """name -> command; {scores} is the file for its scores."""
    pairs, threads = folder / "pairs.tsv", str(options.threads)
    ours = [options.throughput, "--model", options.model, "--pairs", pairs, "--threads", threads, "--serve"]
    ours += ["--rounds", str(options.rounds), "--scores", "{scores}"]
    torch = [python, HERE / "torch_peer.py", folder / "float32", pairs]
    return {
        "crossenc": ours,
        "crossenc, a pair a call": [*ours, "--call-pairs", "1"],
        "PyTorch, batches of 32": [*torch, "32", threads, "{scores}"],
        "PyTorch, batches of 1": [*torch, "1", threads, "{scores}"],
    }


class Peer:
    def __init__(self, name, command, scores):
        self.name, self.seconds, self.cpu_seconds = name, [], []
        command = [str(part).format(scores=scores) for part in command]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        first = self.process.stdout.readline().split()
        if not first or first[0] != "ready":
            sys.exit(f"run.py: {name} did not start: {' '.join(command)}")
        self.tokens = int(first[1]) if len(first) > 1 else 0
        self.scores = [float(line) for line in Path(scores).read_text().split()]

    def cpu_time(self):
        """Seconds of all threads so far, in user and system mode: fields 14 and 15 of stat, the name being the 2nd."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def round(self):
        before = self.cpu_time()
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.seconds.append(float(self.process.stdout.readline()))
        self.cpu_seconds.append(self.cpu_time() - before)

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def deviation(got, want):
    if len(got) != len(want):
        return float("inf")
    return max(abs(a - b) / (1 + abs(b)) for a, b in zip(got, want))


def report(options, running, pairs):
    ours = running[0]
    base, base_cpu = statistics.median(ours.seconds), statistics.median(ours.cpu_seconds)
    rows = []
    for peer in running:
        seconds, cpu_seconds = statistics.median(peer.seconds), statistics.median(peer.cpu_seconds)
        rows.append(
            {
                "name": peer.name,
                "pairs_per_second": round(pairs / seconds, 2),
                "tokens_per_second": round(ours.tokens / seconds),
                "time_ratio": round(seconds / base, 3),
                "cpu_time_ratio": round(cpu_seconds / base_cpu, 3),
                "seconds": peer.seconds,
                "cpu_seconds": peer.cpu_seconds,
                "score_deviation": deviation(ours.scores, peer.scores),
            }
        )
    if options.json:
        print(json.dumps({"pairs": pairs, "tokens": ours.tokens, "threads": options.threads, "peers": rows}))
        return rows
    print(f"{pairs} pairs, {ours.tokens} tokens, {options.threads} threads, median of {options.rounds} rounds")
    print("time and CPU time as multiples of crossenc's:")
    print(f"{'':26}{'pairs/s':>10}{'tokens/s':>10}{'time':>8}{'CPU time':>10}{'deviation':>12}")
    for row in rows:
        print(
            f"{row['name']:26}{row['pairs_per_second']:10.1f}{row['tokens_per_second']:10d}"
            f"{row['time_ratio']:8.2f}{row['cpu_time_ratio']:10.2f}{row['score_deviation']:12.1e}"
        )
    return rows


def main():
    options = parse_arguments()
    python = options.python or make_venv(options.venv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pairs(options.collection, options.pairs, options.words, folder / "pairs.tsv")
        write_float32(python, options.model, folder / "float32")
        commands = peers(options, python, folder)
        running = [Peer(key, commands[key], folder / f"scores-{i}") for i, key in enumerate(commands)]
        for _ in range(options.rounds):
            for peer in running:
                peer.round()
        for peer in running:
            peer.end()
    rows = report(options, running, options.pairs)
    if any(not row["score_deviation"] <= BOUND for row in rows):
        sys.exit("run.py: scores differ by more than the bound; the speeds don't compare the same work")


if __name__ == "__main__":
    main()
