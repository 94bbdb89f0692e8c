#!/usr/bin/env python3
"""Writes reference logits of a real model over real pairs, as tests/golden/test_real.c reads them.

    real_golden.py shared MODEL_DIR DATA_DIR OUT.tsv      2,000 pairs and two fixed ones, texts under DATA_DIR
    real_golden.py repository MODEL_DIR OUT.tsv           300 pairs of data/cranfield-mini

No text is written but the fixed ones: a line is QUERY, DOCUMENT, tokens after truncation, tokens before, logit, parted
by tabs, where a text is given by references, joined by a blank if there are several parted by "+":

    cq:ID cd:ID            query and document (title and text) of data/cranfield-mini in the repository
    Sq:ID Sd:ID Cq:ID Cd:ID     the same of scifact and cranfield under DATA_DIR
    Wq:LINE Wa:LINE        question and answer of that line, from 1, of wikiqa/WikiQA-test.txt
    M:FILE:LINE            that line, from 1, of multilingual/FILE.txt
    -                      the empty text
    "...                   the text itself

A reference may end in /N: only the first N blank-separated words. The choice is made by a fixed seed.
"""

import json
import random
import sys
import tempfile
from pathlib import Path

import common

BERLIN = "How many people live in Berlin?"
FIXED = [
    (BERLIN, "Berlin has a population of 3,520,031 registered inhabitants in an area of 891.82 square kilometers."),
    (BERLIN, "New York City is famous for the Metropolitan Museum of Art."),
]


class Texts:
    """Finds a text by its reference."""

    def __init__(self, data):
        self.collections = {"c": self.collection(common.ROOT / "data" / "cranfield-mini")}
        if not data:
            return
        self.collections["S"] = self.collection(data / "scifact")
        self.collections["C"] = self.collection(data / "cranfield")
        lines = (data / "wikiqa" / "WikiQA-test.txt").read_text(encoding="utf-8").split("\n")[:-1]
        self.wikiqa = [line.split("\t") for line in lines]
        folder = data / "multilingual"
        self.sentences = {
            path.stem: path.read_text(encoding="utf-8").split("\n")[:-1] for path in sorted(folder.glob("*.txt"))
        }

    @staticmethod
    def collection(folder):
        texts = {"q": {}, "d": {}, "run": {}}
        for line in (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            texts["q"][entry["_id"]] = entry["text"]
        for line in (folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            texts["d"][entry["_id"]] = (entry["title"] + " " if entry.get("title") else "") + entry["text"]
        for line in (folder / "bm25.trec").read_text().splitlines():
            query, _, document = line.split()[:3]
            texts["run"].setdefault(query, []).append(document)
        return texts

    def one(self, reference):
        reference, _, words = reference.partition("/")
        kind, _, rest = reference.partition(":")
        if reference == "-":
            return ""
        if kind == "M":
            name, _, line = rest.partition(":")
            text = self.sentences[name][int(line) - 1]
        elif kind[0] == "W":
            text = self.wikiqa[int(rest) - 1]["qa".index(kind[1])]
        else:
            text = self.collections[kind[0]][kind[1]][rest]
        return " ".join(text.split(" ")[: int(words)]) if words else text

    def get(self, reference):
        if reference.startswith('"'):
            return reference[1:]
        return " ".join(self.one(part) for part in reference.split("+"))


def ranked(texts, name, count, rng):
    """count (query, document) references: the queries in turn, a random one of each query's ranked documents."""
    run = texts.collections[name]["run"]
    queries = sorted(run, key=int)
    chosen = [queries[i % len(queries)] for i in range(count)]
    return [(f"{name}q:{query}", f"{name}d:{rng.choice(run[query])}") for query in chosen]


def choose_shared(texts, rng):
    pairs = ranked(texts, "S", 300, rng) + ranked(texts, "C", 300, rng)
    # Documents cut to any length, so that all token counts come about.
    pairs += [(q, f"{d}/{rng.randrange(1, 330)}") for q, d in ranked(texts, "S", 300, rng)]
    lines = rng.sample(range(1, len(texts.wikiqa) + 1), 500)
    pairs += [(f"Wq:{line}", f"Wa:{line}") for line in lines]
    names = sorted(texts.sentences)

    def sentence():
        name = rng.choice(names)
        return f"M:{name}:{rng.randrange(1, len(texts.sentences[name]) + 1)}"

    pairs += [(sentence(), "+".join(sentence() for _ in range(rng.choice((1, 1, 1, 2, 8))))) for _ in range(400)]
    # Too long by the document, by both, and by the query.
    long_ones = ranked(texts, "S", 100, rng)
    documents = sorted(texts.collections["S"]["d"], key=int)
    pairs += [(q, f"{d}+Sd:{rng.choice(documents)}+Sd:{rng.choice(documents)}") for q, d in long_ones[:60]]
    for n, (_, d) in enumerate(long_ones[60:]):
        pairs.append((f"Sd:{rng.choice(documents)}+Sd:{rng.choice(documents)}", d if n < 25 else f"{d}/{n - 25}"))
    # The shortest.
    pairs += [("-", "-"), ("-", sentence()), (sentence(), "-"), ("Sq:1/1", "-"), ("-", "Sq:1/1")]
    pairs += [(f"{sentence()}/{rng.choice((1, 1, 2))}", f"{sentence()}/{rng.choice((1, 1, 2, 3))}") for _ in range(95)]
    return pairs


def choose_repository(texts, rng):
    pairs = ranked(texts, "c", 200, rng)
    pairs += [(q, f"{d}/{rng.randrange(1, 200)}") for q, d in ranked(texts, "c", 60, rng)]
    documents = sorted(texts.collections["c"]["d"], key=int)
    for q, d in ranked(texts, "c", 24, rng):
        pairs.append((q, "+".join([d] + [f"cd:{rng.choice(documents)}" for _ in range(3)])))
    pairs += [(f"cd:{rng.choice(documents)}", f"cd:{rng.choice(documents)}") for _ in range(12)]
    return pairs + [("-", "-"), ("cq:1", "-"), ("-", f"cd:{documents[0]}"), ("cq:1/1", f"cd:{documents[0]}/1")]


def write(out, name, model, texts, pairs):
    limit = model.tokenizer.model_max_length
    with open(out, "w", encoding="utf-8") as file:
        file.write(f"# {name}: reference logits in float32, one pair at a time; tools/golden/real_golden.py\n")
        file.write("# " + ", ".join(f"{key} {value}" for key, value in common.versions().items()) + "\n")
        file.write("# query\tdocument\ttokens\ttokens before truncation\tlogit\n")
        for query, document in pairs:
            pair = (texts.get(query), texts.get(document))
            before = len(common.encode(model, *pair)["input_ids"])
            (logit,) = common.logits(model, pair)
            file.write(f"{query}\t{document}\t{min(before, limit)}\t{before}\t{logit:.9g}\n")


def main():
    kind, model_dir, *rest = sys.argv[1:]
    texts = Texts(Path(rest[0]) if kind == "shared" else None)
    if kind == "shared":
        pairs = choose_shared(texts, random.Random(20)) + [tuple('"' + text for text in pair) for pair in FIXED]
    else:
        pairs = choose_repository(texts, random.Random(21))
    with tempfile.TemporaryDirectory() as folder:
        model = common.reference(common.plain_copy(Path(model_dir), Path(folder)))
        write(rest[-1], Path(model_dir).name, model, texts, pairs)


if __name__ == "__main__":
    main()
