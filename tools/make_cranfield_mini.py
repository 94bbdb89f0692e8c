#!/usr/bin/env python3
"""Cuts a small collection out of Cranfield: some queries, their BM25 run, and every document ranked or judged.

    make_cranfield_mini.py CRANFIELD_DIR OUT_DIR [--queries 40] [--depth 50]

CRANFIELD_DIR holds corpus.jsonl, queries.jsonl, qrels.tsv and bm25.trec. The queries are spread evenly over the
collection's; lines are copied as they are, in their order, so the same input gives the same bytes.
"""

import argparse
import json
from pathlib import Path


def lines(path):
    return path.read_text(encoding="utf-8").splitlines(keepends=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--queries", type=int, default=40)
    parser.add_argument("--depth", type=int, default=50)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    queries = lines(options.source / "queries.jsonl")
    queries = [queries[i * len(queries) // options.queries] for i in range(options.queries)]
    chosen = {json.loads(line)["_id"] for line in queries}
    run = [line for line in lines(options.source / "bm25.trec")]
    run = [line for line in run if line.split()[0] in chosen and int(line.split()[3]) <= options.depth]
    header, *judged = lines(options.source / "qrels.tsv")
    judged = [line for line in judged if line.split("\t")[0] in chosen]
    wanted = {line.split()[2] for line in run} | {line.split("\t")[1] for line in judged}
    corpus = [line for line in lines(options.source / "corpus.jsonl") if json.loads(line)["_id"] in wanted]

    parts = {"queries.jsonl": queries, "bm25.trec": run, "qrels.tsv": [header, *judged], "corpus.jsonl": corpus}
    for name, content in parts.items():
        (options.out / name).write_text("".join(content), encoding="utf-8")
        print(f"{len(content):6d} lines  {(options.out / name).stat().st_size:8d} bytes  {name}")


if __name__ == "__main__":
    main()
