"""The pairs of each work, as a file of lines query<TAB>document. Needs the package tokenizers for those that are cut.

    scifact, cranfield   (query, document) pairs of the collection's first-stage run, top 50, spread evenly, unsorted
    mixed                the same cut to lengths from 16 to 512 tokens, about 128 in the mean, in no order
    single               the same cut to 128 tokens each; every pair is a call by itself

A document that is too short for its length is continued with those that follow in the run. The same arguments always
give the same pairs.
"""

import json
import random

TOP = 50
SHORTEST, LONGEST, MEAN = 16, 512, 128
SINGLE = 128


def read_json_lines(path):
    return {entry["_id"]: entry for entry in map(json.loads, path.read_text(encoding="utf-8").splitlines())}


class Collection:
    def __init__(self, folder):
        self.queries, self.corpus = (read_json_lines(folder / name) for name in ("queries.jsonl", "corpus.jsonl"))
        run = (line.split() for line in (folder / "bm25.trec").read_text(encoding="utf-8").splitlines())
        self.run = [entry for entry in run if int(entry[3]) <= TOP]

    def query(self, at):
        return " ".join(self.queries[self.run[at][0]]["text"].split())

    def document(self, at):
        entry = self.corpus[self.run[at % len(self.run)][2]]
        return " ".join(f"{entry.get('title', '')} {entry['text']}".split())

    def spread(self, count):
        """Places in the run, evenly over it."""
        return [i * len(self.run) // count for i in range(count)]


def whole_pairs(collection, count):
    return [(collection.query(at), collection.document(at)) for at in collection.spread(count)]


def mixed_lengths(count):
    """Lengths of which the share u is below SHORTEST + (LONGEST - SHORTEST) * u^g, with g so that the mean is MEAN."""
    power = (LONGEST - SHORTEST) / (MEAN - SHORTEST) - 1
    steps = [i / max(count - 1, 1) for i in range(count)]
    lengths = [round(SHORTEST + (LONGEST - SHORTEST) * step**power) for step in steps]
    random.Random(4).shuffle(lengths)
    return lengths


def cut(text, tokens, count):
    """The longest head of whole words that has at most so many tokens, then full stops, a token each, up to them."""
    words, kept, used = text.split(), [], 0
    for word in words:
        size = count(word)
        if used + size > tokens:
            break
        kept, used = [*kept, word], used + size
    return " ".join(kept + ["."] * (tokens - used))


def cut_pairs(collection, lengths, tokenizer):
    """Pairs of exactly these lengths in tokens, with [CLS] and two [SEP]; the query has at most half of them."""
    sizes = {}

    def count(word):
        if word not in sizes:
            sizes[word] = len(tokenizer.encode(word, add_special_tokens=False).ids)
        return sizes[word]

    def size(text):
        return sum(map(count, text.split()))

    pairs = []
    for at, length in zip(collection.spread(len(lengths)), lengths):
        query, document, more = collection.query(at), collection.document(at), at + 1
        room = length - 3
        query = cut(query, min(size(query), room // 2), count)
        room -= size(query)
        while size(document) < room:
            document, more = f"{document} {collection.document(more)}", more + 1
        pairs.append((query, cut(document, room, count)))
    return pairs


def make(work, folder, pairs, tokenizer):
    collection = Collection(folder)
    if work == "mixed":
        return cut_pairs(collection, mixed_lengths(pairs), tokenizer)
    if work == "single":
        return cut_pairs(collection, [SINGLE] * pairs, tokenizer)
    return whole_pairs(collection, pairs)


def write(pairs, path):
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{query}\t{document}\n" for query, document in pairs)


def read(path):
    with open(path, encoding="utf-8", newline="\n") as file:
        return [tuple(line.rstrip("\n").split("\t", 1)) for line in file]
