#!/usr/bin/env python3
"""Speed of crossenc beside its peers, each with its best settings, on the same machine, model and pairs.

    run.py --work scifact|mixed|single|cranfield [--precisions float32,bfloat16,int8] [--peers torch,ort,openvino,llamacpp]
           [--model DIR] [--pairs N] [--rounds N] [--tier avx512|avx2] [--throughput PROGRAM] [--json FILE]
           [--python PYTHON | --venv DIR]

For each precision, every program loads the model and scores all pairs once to warm up; then they take turns, a round
each, and wait idle in between, so that a noisy minute meets all of them. The median round counts, and for the work
"single" the median call. Which of a peer's settings is its best is found before that in the same way, on the first
pairs, and remembered in --folder with the models that were translated for the peers (remove it to start afresh).

Scores must agree with PyTorch's in float32, a pair at a time (table.py has the bounds): a peer whose scores do not is
void, and the script fails if crossenc's do not.

With --tier, what a lesser processor would do is measured on a better one: crossenc uses no better instructions, and
PyTorch and OpenVINO are told not to (PEERS_TIERS). ONNX Runtime cannot be told.

PYTHON is an interpreter that has the packages of requirements.txt; without it they are installed into --venv. A further
peer is a file like torch_peer.py and an entry in catalogue.py.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
import zlib
from pathlib import Path

import catalogue
import table

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SHARED = ROOT.parent / "shared"
WORKS = ("cranfield", "scifact", "mixed", "single")


# What the peers' libraries read: oneDNN, ATen and MKL.
PEERS_TIERS = {
    "avx512": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16", "ATEN_CPU_CAPABILITY": "avx512",
               "MKL_ENABLE_INSTRUCTIONS": "AVX512"},
    "avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
}


def names(text):
    return text.split(",")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", choices=WORKS, default="cranfield")
    parser.add_argument("--precisions", type=names, default=names("float32,bfloat16,int8"))
    parser.add_argument("--peers", type=names, default=names("torch,ort,openvino,llamacpp"))
    parser.add_argument("--throughput", type=Path, default=ROOT / "build" / "release" / "bench" / "throughput")
    parser.add_argument("--model", type=Path, help="default: the 12-layer model of ../shared, else crossenc-small-en")
    parser.add_argument("--collection", type=Path, help="default: scifact of ../shared; data/cranfield-mini without it")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tier", choices=PEERS_TIERS, help="the best instructions to use; default: all there are")
    parser.add_argument("--choose-pairs", type=int, default=16, help="pairs to find the best setting with")
    parser.add_argument("--prepare", action="store_true", help="end when all files are made, before anything is timed")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "peers")
    parser.add_argument("--python", type=Path)
    parser.add_argument("--venv", type=Path, default=ROOT / "build" / "peers-venv")
    parser.add_argument("--json", type=Path, help="writes all that was measured to this file")
    options = parser.parse_args()
    small, large = ROOT / "models" / "crossenc-small-en", SHARED / "models" / "ms-marco-MiniLM-L-12-v2-dq"
    options.model = (options.model or (large if large.exists() else small)).resolve()
    os.environ.update(PEERS_TIERS.get(options.tier, {}))
    scifact = SHARED / "data" / "scifact"
    if not options.collection:
        cranfield = options.work == "cranfield" or (options.work != "scifact" and not scifact.exists())
        options.collection = ROOT / "data" / "cranfield-mini" if cranfield else scifact
    unknown = set(options.peers) - set(catalogue.PEERS) | set(options.precisions) - set(catalogue.PRECISIONS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    return options


# ---- what is made once -----------------------------------------------------------------------------------------------


def make_venv(options):
    python = options.venv / "bin" / "python"
    if not python.exists():
        venv.create(options.venv, with_pip=True)
    wanted, done = HERE / "requirements.txt", options.venv / "installed.txt"
    if not done.exists() or done.read_bytes() != wanted.read_bytes():
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", wanted], check=True)
        done.write_bytes(wanted.read_bytes())
    return python


class Place:
    """Where the files of one model and one work lie."""

    def __init__(self, options, python):
        self.model = options.folder / f"{options.model.name}-{zlib.crc32(bytes(options.model)):08x}"
        name = f"{options.work}-{options.collection.name}-{options.pairs}"
        tier = f"-{options.tier}" if options.tier else ""
        self.work, self.choices = self.model / name, self.model / f"choices-{name}-{options.threads}{tier}.json"
        self.pairs, self.python = self.work / "pairs.tsv", python

    def prepare(self, options, collection, work, pairs, out):
        if not (out / "work.json").exists():
            command = [self.python, HERE / "prepare.py", options.model, collection, work, str(pairs), self.model, out]
            subprocess.run(command, check=True)
        return json.loads((out / "work.json").read_text(encoding="utf-8"))


def prepare(options, place):
    """Pairs, reference scores and the peers' models; returns what is known of the pairs."""
    told = place.prepare(options, options.collection, options.work, options.pairs, place.work)
    other = place.model / "calibration"
    place.prepare(options, ROOT / "data" / "cranfield-mini", "cranfield", 64, other)
    for key in options.peers:
        for precision in options.precisions:
            done = place.model / key / f"prepared-{precision}"
            if catalogue.settings(key, precision, options.work, 1) and not done.exists():
                command = [place.python, HERE / catalogue.PEERS[key].script, "prepare", "--precision", precision]
                command += ["--model", place.model / "float32", "--folder", place.model / key]
                subprocess.run([*command, "--calibration", other / "pairs.tsv"], check=True, stdout=sys.stderr)
                done.touch()
    return told


# ---- programs --------------------------------------------------------------------------------------------------------


class Program:
    """A program that loads, prints "ready", and scores all pairs for each line that it reads."""

    def __init__(self, entry, command, scores):
        self.entry, self.scores_path = {**entry, "seconds": [], "calls": [], "cpu_seconds": []}, scores
        command = [str(part) for part in (*command, "--scores", scores)]
        self.errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
                                        text=True)
        words = self.process.stdout.readline().split(maxsplit=1)
        if not words or words[0] != "ready":
            self.fail()
            return
        if len(words) > 1 and not words[1].strip().isdigit():
            self.entry["setting"] += f" ({words[1].strip()})"
        self.entry["scores"] = [float(line.split()[0]) for line in scores.read_text(encoding="utf-8").splitlines()]

    def fail(self):
        self.errors.seek(0)
        lines = [line.strip() for line in self.errors.read().splitlines() if line.strip()]
        self.entry["failure"] = lines[-1][:150] if lines else "ended without a word"

    def cpu_time(self):
        """Seconds of all threads so far, in user and system mode: fields 14 and 15 of stat, the name being the 2nd."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def round(self):
        if "failure" in self.entry:
            return
        before = self.cpu_time()
        try:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it ended: there is no answer either
        words = [float(word) for word in self.process.stdout.readline().split()]
        if not words:
            self.fail()
            return
        self.entry["seconds"].append(words[0])
        self.entry["calls"] += words[1:]
        self.entry["cpu_seconds"].append(self.cpu_time() - before)

    def memory(self):
        """Peak of resident memory in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")), None)

    def end(self):
        if "failure" not in self.entry:
            self.entry["memory_mib"] = self.memory()
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.wait()
        self.errors.close()
        return self.entry


def take_turns(starts, rounds):
    """Starts all programs, lets each score in turn so many times, and returns what they did."""
    with tempfile.TemporaryDirectory() as name:
        running = [Program(*start, Path(name) / str(i)) for i, start in enumerate(starts)]
        for _ in range(rounds):
            for program in running:
                program.round()
        return [program.end() for program in running]


def ours(options, place, precision):
    """crossenc with its own defaults: all pairs in one call, and a pair a call."""
    command = [options.throughput, "--model", options.model, "--pairs", place.pairs, "--serve", "--precision", precision]
    command += ["--threads", str(options.threads), "--rounds", "1000"]
    command += ["--tier", options.tier] if options.tier else []
    entry = {"name": "crossenc", "precision": precision, "setting": "", "ours": True,
             "float32_bound": table.FLOAT32_BOUND}
    single = [({**entry, "batch": "a pair a call"}, [*command, "--call-pairs", "1"])]
    return single if options.work == "single" else [({**entry, "batch": "one call"}, command), *single]


def theirs(options, place, key, precision, batch, setting, pairs):
    peer = catalogue.PEERS[key]
    command = [place.python, HERE / peer.script, "serve", "--model", place.model / "float32", "--pairs", pairs]
    command += ["--folder", place.model / key, "--precision", precision, "--setting", setting, "--batch", str(batch)]
    command += ["--threads", str(options.threads), "--call-pairs", "1" if options.work == "single" else "0"]
    entry = {"name": peer.name, "precision": precision, "setting": setting, "ours": False,
             "float32_bound": peer.float32_bound}
    return {**entry, "batch": f"batches of {batch}"}, command


# ---- settings and measuring ------------------------------------------------------------------------------------------


def choose(options, place, told):
    """The best setting of each peer, precision and batch size: {"ort int8 32": setting}."""
    chosen = json.loads(place.choices.read_text(encoding="utf-8")) if place.choices.exists() else {}
    some = place.work / "some.tsv"
    lines = place.pairs.read_text(encoding="utf-8").split("\n")[: options.choose_pairs]
    some.write_text("\n".join(lines).rstrip("\n") + "\n", encoding="utf-8", newline="\n")
    for key in options.peers:
        for precision in options.precisions:
            for batch in catalogue.batches(key, options.work):
                settings, slot = catalogue.settings(key, precision, options.work, batch), f"{key} {precision} {batch}"
                if len(settings) > 1 and slot not in chosen:
                    starts = [theirs(options, place, key, precision, batch, setting, some) for setting in settings]
                    chosen[slot] = best_setting(take_turns(starts, 3), told["scores"][: options.choose_pairs], slot)
                    place.choices.write_text(json.dumps(chosen, indent=1), encoding="utf-8")
                elif settings:
                    chosen.setdefault(slot, settings[0])
    return chosen


def best_setting(results, reference, slot):
    """The setting of the quickest result whose scores agree; of the quickest, if none do."""
    def order(result):
        failed = bool(result.get("failure"))
        bad = failed or table.disagreement(result["precision"], result["scores"], reference,
                                           result["float32_bound"]) is not None
        return failed, bad, float("inf") if failed else statistics.median(result["seconds"])

    for result in results:
        _, bad, seconds = order(result)
        print(f"{slot}: {result['setting']} {seconds:.3f} s{', void' if bad else ''}", file=sys.stderr)
    return min(results, key=order)["setting"].partition(" (")[0]


def measure(options, place, chosen):
    """Programs of one precision are in memory together, and take turns."""
    results = []
    for precision in options.precisions:
        starts = ours(options, place, precision)
        for key in options.peers:
            for batch in catalogue.batches(key, options.work):
                setting = chosen.get(f"{key} {precision} {batch}")
                if setting:
                    starts.append(theirs(options, place, key, precision, batch, setting, place.pairs))
        results += take_turns(starts, options.rounds)
    return results


def chip():
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def report(options, told, results):
    latency = options.work == "single"
    rows = [table.row(result, told["scores"]) for result in results]
    best = table.compare(rows, latency)
    print(f"{options.work}: {options.pairs} pairs, {told['tokens'] / options.pairs:.0f} tokens a pair, "
          f"{options.model.name}; {chip()}, {options.threads} threads, median of {options.rounds} rounds")
    print("time and CPU time as multiples of crossenc's in the same precision:")
    print(*table.render(rows, latency), sep="\n")
    for precision, name, ratio in best:
        print(f"{precision}: the quickest peer ({name}) takes {ratio:.2f} times as long as crossenc")
    if options.json:
        whole = {"work": options.work, "pairs": options.pairs, "tokens": told["tokens"], "model": options.model.name,
                 "chip": chip(), "threads": options.threads, "rows": rows}
        options.json.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    return rows


def main():
    options = parse_arguments()
    place = Place(options, options.python or make_venv(options))
    told = prepare(options, place)
    if options.prepare:
        return
    rows = report(options, told, measure(options, place, choose(options, place, told)))
    if any(row["ours"] and row["void"] and "seconds" in row for row in rows):
        sys.exit("run.py: crossenc's scores are not those of the model; its speed means nothing")


if __name__ == "__main__":
    main()
