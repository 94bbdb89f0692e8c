#!/usr/bin/env python3
"""Golden values of ranking measures, computed by trec_eval itself (the package pytrec_eval).

Writes tests/data/score/metrics.json, ranked lists with what trec_eval says of them for test_metrics.c, and
tests/data/cli/ties/, a small collection whose run tests how the command orders: equal scores, scores that are equal
only as float32, unjudged documents, graded and negative relevance, queries without judgements, judgements without a
run, queries without a relevant document. Its expected.json has trec_eval's averages.

    python3 tools/golden/metrics_golden.py        (needs numpy and pytrec_eval)
"""
import json
import pathlib
import random

import numpy
import pytrec_eval

ROOT = pathlib.Path(__file__).resolve().parents[2]
CUTS = [1, 3, 5, 10, 20, 100]
WORDS = "flow wing heat plate shock wave jet body mach layer pressure boundary supersonic lift drag theory".split()


def measure(qrels, run):
    """trec_eval's measures of each query that has both judgements and a run."""
    names = {"map", f"ndcg_cut.{','.join(map(str, CUTS))}", f"recall.{','.join(map(str, CUTS))}",
             f"map_cut.{','.join(map(str, CUTS))}", "recip_rank", "ndcg"}
    return pytrec_eval.RelevanceEvaluator(qrels, names).evaluate(run)


def ranked(documents):
    """Documents as trec_eval orders them: by score as float32, then by id, both descending."""
    return sorted(documents, key=lambda name: (numpy.float32(documents[name]), name.encode()), reverse=True)


def reciprocal_ranks(qrels, run):
    """trec_eval's recip_rank has no cut-off: it is given lists that were cut."""
    values = {}
    for k in CUTS:
        cut = {query: {name: documents[name] for name in ranked(documents)[:k]} for query, documents in run.items()}
        for query, measures in measure(qrels, cut).items():
            values.setdefault(query, {})[k] = measures["recip_rank"]
    return values


def random_case(generator, levels, size, judged, scores):
    """One query: a run of size documents and judged judgements, some of them of documents outside the run."""
    names = [f"d{number}" for number in generator.sample(range(1000), size + judged)]
    run = {name: generator.choice(scores) for name in names[:size]}
    pool = generator.sample(names, judged)
    return {name: generator.choice(levels) for name in pool}, run


def random_collection(seed):
    """Queries of every kind that matters, by name."""
    generator = random.Random(seed)
    few = [1.5, 1.25, 0.5, -3.0]
    close = [0.1, 0.1 + 1e-12, 0.1 - 1e-12, 16777216.0, 16777217.0, 0.2]
    many = [generator.uniform(-11, 11) for _ in range(1000)]
    shapes = {"binary": ([0, 1], 50, 20, many), "graded": ([0, 1, 2, 3], 100, 60, many),
              "negative": ([-2, -1, 0, 1, 2], 40, 30, many), "ties": ([0, 1, 2], 60, 30, few),
              "float32": ([0, 1], 30, 20, close), "short": ([0, 1, 4], 3, 12, many), "one": ([1], 1, 1, many),
              "none": ([0, -1], 20, 10, many), "all": ([1, 2], 15, 15, few), "steep": ([0, 1, 100], 30, 20, few)}
    qrels, run = {}, {}
    for name, shape in shapes.items():
        for number in range(3):
            qrels[f"{name}{number}"], run[f"{name}{number}"] = random_case(generator, *shape)
    return qrels, run


def write_lists(path):
    qrels, run = random_collection(1)
    measures, reciprocal = measure(qrels, run), reciprocal_ranks(qrels, run)
    cases = []
    for query in sorted(run):
        values = measures[query]
        cases.append({
            "name": query, "relevance": [qrels[query].get(name, 0) for name in ranked(run[query])],
            "ideal": list(qrels[query].values()), "ndcg": values["ndcg"], "map": values["map"],
            "cuts": [{"k": k, "ndcg": values[f"ndcg_cut_{k}"], "map": values[f"map_cut_{k}"],
                      "recall": values[f"recall_{k}"], "mrr": reciprocal[query][k]} for k in CUTS]})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


def write_collection(folder):
    qrels, run = random_collection(2)
    qrels["judged-only"] = {"d1": 1}
    run["run-only"] = {"d1": 1.0, "d2": 0.5}
    measures, reciprocal = measure(qrels, run), reciprocal_ranks(qrels, run)
    expected = {"queries": len(measures)}
    for k in CUTS:
        expected[f"ndcg@{k}"] = numpy.mean([values[f"ndcg_cut_{k}"] for values in measures.values()])
        expected[f"recall@{k}"] = numpy.mean([values[f"recall_{k}"] for values in measures.values()])
        expected[f"mrr@{k}"] = numpy.mean([reciprocal[query][k] for query in measures])
    expected["map"] = numpy.mean([values["map"] for values in measures.values()])

    generator = random.Random(3)
    folder.mkdir(parents=True, exist_ok=True)
    documents = sorted({name for listed in run.values() for name in listed})
    with open(folder / "corpus.jsonl", "w") as out:
        for name in documents:
            out.write(json.dumps({"_id": name, "title": "", "text": " ".join(generator.sample(WORDS, 5))}) + "\n")
    with open(folder / "queries.jsonl", "w") as out:
        for name in run:
            out.write(json.dumps({"_id": name, "text": " ".join(generator.sample(WORDS, 3))}) + "\n")
    with open(folder / "qrels.txt", "w") as out:
        for query, judged in qrels.items():
            out.writelines(f"{query} 0 {name} {relevance}\n" for name, relevance in judged.items())
    with open(folder / "run.trec", "w") as out:
        for query, listed in run.items():
            lines = [f"{query} Q0 {name} 0 {score!r} golden\n" for name, score in listed.items()]
            out.writelines(lines)
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    write_lists(ROOT / "tests/data/score/metrics.json")
    write_collection(ROOT / "tests/data/cli/ties")
