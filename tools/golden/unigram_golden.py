"""Writes tests/data/text/unigram.json: what the reference's Unigram tokenizers make of texts, for tests/text.

cases         model folders with a small Unigram model and settings of all sorts: a hash of the ids of each text, pairs
xlm-roberta   hashes of the ids of every line of shared/data/multilingual with the vocabulary of XLM-RoBERTa and the
              charsmap nmt_nfkc, as the class for XLM-RoBERTa and as the file is

usage: python tools/golden/unigram_golden.py SHARED      (needs the packages tokenizers and transformers)
"""

import base64
import collections
import gzip
import json
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tokenizer_golden import (FLAGGED, FLAGGED_TEXTS, ODD_TEXTS, OUT, PAIRS, VERSIONS, added, encoded_of, excerpts,
                              hash_ids, ids_of)

import transformers
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

MARK = "\u2581"
ROLES = ["<s>", "<pad>", "</s>", "<unk>"]


# ---- a charsmap ----

# Keys of one and of several characters, one that another begins with, replacements longer, shorter and empty.
RULES = {"a": "b", "\u00e4": "ae", "e\u0301": "\u00e9", "\u00a0": " ", "\u3000": " ", "\r": " ", "\t": " ", "\u200b": "",
         "\uff21": "A", "\ufb01": "fi", "\u2122": "TM", "\u0958": "\u0915\u093c", "x\u0300\u0301": "X", "\u2581": " ",
         "\U0001f130": "A", "\u0600": "#", "\u00a9": "(c)", "\u0e33": "\u0e4d\u0e32", "\u1100": "g", "\uac00": "ga",
         "\x01": "", "\u2460": "1", "i\u0307": "\u0130", "\U0001f469": "w", "\u0301": "'", "-": "--"}


def compile_charsmap(rules):
    """The bytes of SentencePiece's compiled charsmap: a double-array trie, first fit, and the replacements."""
    texts, places = b"", {}
    for value in rules.values():
        places.setdefault(value, len(texts))
        if places[value] == len(texts):
            texts += value.encode() + b"\0"
    keys = {key.encode(): places[value] for key, value in rules.items()}
    states = sorted({key[:end] for key in keys for end in range(len(key) + 1)}, key=lambda s: (len(s), s))
    units, used, where = collections.defaultdict(int), {0}, {b"": 0}
    for state in states:
        labels = [s[-1] for s in states if len(s) == len(state) + 1 and s.startswith(state)]
        labels += [0] if state in keys else []
        base = next(b for b in range(1, 1 << 20)
                    if b >> 8 != where[state] >> 8 or not state if all(b ^ label not in used for label in labels))
        used.update(base ^ label for label in labels)
        units[where[state]] |= (where[state] ^ base) << 10 | (state in keys) << 8
        if state in keys:
            units[base] = keys[state] | 1 << 31
        for label in labels:
            if label:
                units[base ^ label] = label
                where[state + bytes([label])] = base ^ label
    count = (max(units) | 0xFF) + 1
    trie = b"".join(units[i].to_bytes(4, "little") for i in range(count))
    return len(trie).to_bytes(4, "little") + trie + texts


# ---- texts ----

MORE_TEXTS = [
    "a\u0301 a\u0301\u0301 a\u0301\u0301\u0301 e\u0301 e\u0301\u0301 e\u0301\u0301\u0301x", "\r\n\r\r\n\n \t\r",
    "x\u0300\u0301 x\u0300 x\u0301\u0300 \u0600a \u0600\u0301 \u0600\u1100 \u0600\u1100\u1161 \u0600",
    "\u1100\u1161\u11a8 \uac00\u11a8 \uac01\u11a8 \u1100\uac00\u0301 \uac00\u0301 \u11a8\u11a8\u0301",
    "\u00a9\u200d\u00a9 \u00a9\u0301 \u00a9\u200d\u2122\u0301 \U0001f469\u200d\u2122\u0301 \u2122\u0301 \u00a9\ufe0f",
    "\U0001f1e9\U0001f1ea\u0301 \u0958\u0301 \u0915\u094d\u0937 \u0e01\u0e33 \u0301a \u0301 a\u200d\u2122",
    "\u200b\u200b a\u200bb \u200b", "\ufb01\ufb01 \uff21\uff22\uff23 \u2460\u2461 i\u0307 I\u0307", "\x00a\x00 \x01 b\x01c",
    "-- - --- a-b", "  two  blanks   three \u3000 wide \u00a0hard", " front", "back ", "\tfront\n", "\n\n", "   ",
    f"{MARK}mark {MARK}{MARK}marks in{MARK}side {MARK} {MARK}", "_under_score __ _", "\U0001f600 smile\U0001f600s",
    "<unk>", "a<unk>b", "\u05d0<unk>\u05d0", "\u05d0\u05d1\u05d2 \u05d0", "qz zq qzzq \u05d0q", "<0x41> <0x0A>",
    "<mask>", "a <mask> b", "a   <mask>b", "<s>a</s> <pad>", "abababababab", "aaaaaaaaaaaaaaaa", "z" * 300,
    "\U000e0041\U000e007f\U000e0001\u0301 \u061c\u0301 \u180e\u0301", "\u0c95\u0cbe\u0cbe \u0dd6\u0301 \u102b\u0301",
]


# ---- small models ----


def small_pieces(texts):
    """Characters and the commonest strings of the texts, with scores of which some are alike, some have many digits."""
    rng, counter = random.Random(3), collections.Counter()
    for text in texts:
        for word in text.split():
            word = MARK + word
            for start in range(len(word)):
                for length in range(1, min(9, len(word) - start + 1)):
                    counter[word[start : start + length]] += 1
    common = [s for s, _ in sorted(counter.items(), key=lambda x: (-x[1] * len(x[0]) ** 2, x[0]))[:420]]
    letters = [c for c, n in sorted(character_counts(texts).items()) if n > 2 and c not in common and not c.isspace()]
    pieces = [[s, 0.0] for s in ROLES] + [["<mask>", 0.0]]
    for index, piece in enumerate(common + letters):
        score = -2.0 - (index % 40) / 4 if index % 3 else -2 - rng.random() * 12
        pieces.append([piece, score])
    return pieces


def character_counts(texts):
    return collections.Counter(c for text in texts for c in text)


def unigram_json(pieces, normalizer=None, pre_tokenizer=None, unk=3, fallback=False, change=None, specials=True):
    tokenizer = Tokenizer(models.Unigram([tuple(p) for p in pieces], unk, fallback))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer or pre_tokenizers.Metaspace()
    if specials:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
        tokenizer.add_special_tokens([*ROLES, AddedToken("<mask>", lstrip=True)])
    content = json.loads(tokenizer.to_str())
    if change:
        change(content)
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def with_flagged(content):
    first = len(content["model"]["vocab"])
    content["added_tokens"] += [{"id": first + i, **token} for i, token in enumerate(FLAGGED)]


def with_roberta(content):
    content["post_processor"] = {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0],
                                 "trim_offsets": True, "add_prefix_space": True}


def with_bert_processing(content):
    content["post_processor"] = {"type": "BertProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0]}


def steps(*items):
    return normalizers.Sequence(list(items))


def metaspace_cases(pieces):
    for white in (False, True):
        for scheme in ("always", "first", "never"):
            for split in (True, False):
                for mark in (MARK, "_", "\U0001f600"):
                    if mark != MARK and (split or scheme == "never"):
                        continue
                    parts = [pre_tokenizers.WhitespaceSplit()] if white else []
                    parts.append(pre_tokenizers.Metaspace(mark, prepend_scheme=scheme, split=split))
                    name = f"Metaspace {scheme}, split {split}, {ascii(mark)}" + (", WhitespaceSplit" if white else "")
                    yield name, unigram_json(pieces, None, parts[0] if len(parts) == 1 else
                                             pre_tokenizers.Sequence(parts))


def normalizer_cases(pieces, charsmap):
    n = normalizers
    table = {
        "Precompiled": n.Precompiled(charsmap),
        "Precompiled and blanks": steps(n.Precompiled(charsmap), n.Replace(Regex(" {2,}"), " ")),
        "Precompiled and blanks to marks": steps(n.Precompiled(charsmap), n.Strip(left=False, right=True),
                                                 n.Replace(Regex(" {2,}"), MARK)),
        "Nmt": steps(n.Nmt(), n.NFKC()), "Strip": n.Strip(), "Strip left": n.Strip(left=True, right=False),
        "Strip right": n.Strip(left=False, right=True), "Prepend": n.Prepend("ab"), "Prepend mark": n.Prepend(MARK),
        "Replace a string": n.Replace("a", "\u00e4x"), "Replace a longer one": n.Replace("aa", ""),
        "Replace blanks": n.Replace(" ", MARK), "Replace some white space": n.Replace(Regex(r"\s{2,}|[\n\r\t]"), " "),
        "Replace all white space": n.Replace(Regex(r"\s+"), "-"),
        "of DeBERTa": steps(n.Replace(Regex(r"\s{2,}|[\n\r\t]"), " "), n.NFC(), n.Strip(left=False, right=True)),
        "many": steps(n.Lowercase(), n.Nmt(), n.NFD(), n.StripAccents(), n.Replace("o", "0"), n.Prepend(" "), n.Strip()),
    }
    for name, step in table.items():
        yield f"normalizer: {name}", unigram_json(pieces, step)


def model_cases(pieces):
    letters = [["<unk>", -3.0], ["a", -1.0], ["b", -1.0], ["ab", -2.0], ["ba", -2.0], ["aba", -3.0], [MARK, -0.5]]
    byte_pieces = [[f"<0x{i:02X}>", -9.0] for i in range(256)]
    plain = pre_tokenizers.WhitespaceSplit()
    yield "all bytes", unigram_json(pieces + byte_pieces, fallback=True)
    yield "some bytes", unigram_json(pieces + byte_pieces[:0xD7] + byte_pieces[0xD8:], fallback=True)
    yield "bytes that are not used", unigram_json(pieces + byte_pieces)
    yield "ties", unigram_json(letters, None, plain, 0, specials=False)
    yield "a piece twice", unigram_json(letters + [["ab", -0.5], ["z", -1.0], ["z", -50.0]], None, plain, 0, specials=False)
    yield "an empty piece", unigram_json(letters + [["", -0.5]], None, plain, 0, specials=False)
    yield "scores above 0", unigram_json([["<unk>", 3.0], ["a", 90.0], ["qz", 91.5], ["zq", 95.0], ["b", 99.0]], None,
                                         plain, 0, specials=False)
    yield "a known piece is the unknown one", unigram_json(letters, None, plain, 3, specials=False)
    third = 1 / 3
    yield "scores that add up unevenly", unigram_json(
        [["<unk>", 0.0], ["a", -third], ["b", -2 * third], ["ab", -third - 2 * third], ["ba", -0.9999999999999999],
         ["aa", -0.66666666666666674], ["aba", -1.3333333333333333], ["abab", -1.9999999999999998]], None, plain, 0,
        specials=False)


def folder_cases(pieces, charsmap):
    """name -> (files, does transformers read it; else the package alone, further texts)"""
    n = normalizers
    full = unigram_json(pieces, steps(n.Precompiled(charsmap), n.Replace(Regex(" {2,}"), " "), n.Strip()),
                        change=with_flagged)
    mask = {"__type": "AddedToken", **added("<mask>", lstrip=True, special=True)}
    config = {"tokenizer_class": "XLMRobertaTokenizer", "model_max_length": 512, "mask_token": mask}
    decoder = {str(i): added(piece, special=True) for i, piece in enumerate(ROLES)}
    decoder["4"] = added("<mask>", lstrip=True, special=True)
    backend = {"tokenizer_class": "PreTrainedTokenizerFast"}

    def files(config, tokenizer):
        return {"tokenizer.json": tokenizer, **({"tokenizer_config.json": json.dumps(config)} if config else {})}

    names = dict(zip([*ROLES, "<mask>"], ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"]))
    others = [[names[piece], score] for piece, score in pieces[:5]]
    others += [[piece, score] for piece, score in pieces[5:] if piece not in (*names, *names.values())]
    deberta = unigram_json(others, steps(n.Precompiled(charsmap), n.Strip()), specials=False)
    deberta_texts = ["a [MASK] b[SEP] [UNK]c", "\u05d0[UNK]", " a \u0301 e\u0301  ", "\n\na\tb \u00a0 c \u3000"]
    moved = [["[PAD]", 0.0], *others[5:], ["[UNK]", -1.0], ["[UNK]", 0.0], ["[CLS]", 0.0], ["[SEP]", 0.0]]
    deberta_config = {"tokenizer_class": "DebertaV2Tokenizer", "model_max_length": 512, "do_lower_case": False}
    albert_names = {"<s>": "[CLS]", "</s>": "[SEP]", "<mask>": "[MASK]"}
    albert = [[albert_names.get(piece, piece), score] for piece, score in pieces]
    bare = [albert[1], albert[3], albert[0], albert[2], *albert[4:]]
    albert = unigram_json(bare, steps(n.Lowercase(), n.Precompiled(charsmap)), specials=False)
    albert_texts = ["``a'' ``` \u05d0<unk>[MASK]b", "\u00c4\ufb01 E\u0301 \u2460\uac00", "a\t b\n\u3000c [SEP]"]
    cases = {
        "the class for ALBERT": (files({"tokenizer_class": "AlbertTokenizer"}, albert), True, albert_texts),
        "the class for ALBERT, letters kept": (files(
            {"tokenizer_class": "AlbertTokenizerFast", "do_lower_case": False, "keep_accents": True,
             "add_prefix_space": False, "mask_token": mask}, albert), True, albert_texts),
        "the class for ALBERT, no charsmap": (files(
            {"tokenizer_class": "AlbertTokenizer", "model_input_names": ["input_ids", "token_type_ids"]},
            unigram_json(bare, n.Lowercase(), specials=False)), True, []),
        "the class for DeBERTa": (files(deberta_config, deberta), True, deberta_texts),
        "the class for DeBERTa, in lower case": (
            files({**deberta_config, "do_lower_case": True, "tokenizer_class": "DebertaV2TokenizerFast"}, deberta), True,
            deberta_texts),
        "the class for DeBERTa, no prefix": (
            files({**deberta_config, "add_prefix_space": False}, deberta), True, deberta_texts),
        "the class for DeBERTa, pieces moved": (
            files(deberta_config, unigram_json(moved, None, specials=False)), True, deberta_texts),
        "the class for XLM-RoBERTa": (files(config, full), True, FLAGGED_TEXTS),
        "its older name, added tokens": (
            files({**config, "tokenizer_class": "XLMRobertaTokenizerFast", "added_tokens_decoder": decoder}, full),
            True, []),
        "no class": (files({"model_max_length": 77}, full), True, []),
        "no prefix": (files({**config, "add_prefix_space": False}, full), True, []),
        "other roles": (files({**config, "bos_token": "<q>", "unk_token": "<r>", "extra_special_tokens": ["<t>"]}, full),
                        True, ["<q><r>a<t>"]),
        "no charsmap": (files(config, unigram_json(pieces, n.Lowercase(), pre_tokenizers.WhitespaceSplit(), 2)), True, []),
        "bytes are not for the class": (files(config, unigram_json(
            pieces + [[f"<0x{i:02X}>", -9.0] for i in range(256)], fallback=True)), True, []),
        "as it is": (files(backend, full), True, FLAGGED_TEXTS),
        "the file alone": (files(None, full), False, FLAGGED_TEXTS),
        "RobertaProcessing": (files(None, unigram_json(pieces, change=with_roberta)), False, []),
        "BertProcessing": (files(None, unigram_json(pieces, change=with_bert_processing)), False, []),
    }
    for maker in (metaspace_cases(pieces), normalizer_cases(pieces, charsmap), model_cases(pieces)):
        for name, tokenizer in maker:
            cases[name] = (files(None, tokenizer), False, [])
    return cases


def open_folder(files, with_transformers):
    folder = Path(tempfile.mkdtemp())
    try:
        for name, content in files.items():
            (folder / name).write_text(content, encoding="utf-8")
        (folder / "config.json").write_text('{"model_type": "xlm-roberta"}')
        if with_transformers:
            return transformers.AutoTokenizer.from_pretrained(folder)
        return Tokenizer.from_file(str(folder / "tokenizer.json"))
    finally:
        shutil.rmtree(folder)


def hash_of(ids):
    return format(hash_ids(ids) & 0xFFFFFFFF, "08x")


def make_case(name, files, with_transformers, more, texts, shared_parts):
    tokenizer = open_folder(files, with_transformers)
    limit = getattr(tokenizer, "model_max_length", 10**30)
    for mark, part in shared_parts.items():
        files = {file: content.replace(part, mark) for file, content in files.items()}
    hashes = "".join(hash_of(ids_of(tokenizer, text)) for text in texts + more)  # before truncation is set
    pairs = name.startswith(("the class", "as it", "Roberta", "Bert", "all bytes"))
    rows = [[q, d, n, *encoded_of(tokenizer, (q, d), n)] for q, d in PAIRS for n in (0, 16, 7)] if pairs else []
    singles = [[d, n, *encoded_of(tokenizer, (d,), n)] for _, d in PAIRS for n in (0, 16, 7)] if pairs else []
    return {"name": name, "files": files, "max_length": int(limit) if limit < 1e9 else None, "texts": more,
            "hashes": hashes, "pairs": rows, "singles": singles}


# ---- XLM-RoBERTa ----


def xlm_roberta_json(shared):
    """tokenizer.json of the vocabulary that is shared: a piece, its id, its score in each line; <s> is number 0."""
    with gzip.open(shared / "tokenizers/xlm-roberta-base/pieces.tsv.gz", "rt", encoding="utf-8", newline="\n") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    pieces = [["<s>", 0.0]] + [[piece, float(score)] for piece, _, score in rows]
    assert all(number == f"WORD_ID_{i + 1}" for i, (_, number, _) in enumerate(rows))
    other = json.loads((shared / "tokenizers/sentencepiece-bpe/tokenizer.json").read_text(encoding="utf-8"))
    charsmap = base64.b64decode(other["normalizer"]["precompiled_charsmap"])
    parts = [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    return unigram_json(pieces, steps(normalizers.Precompiled(charsmap), normalizers.Replace(Regex(" {2,}"), " ")),
                        pre_tokenizers.Sequence(parts))


def xlm_roberta_golden(shared):
    content = xlm_roberta_json(shared)
    tokenizer = open_folder({"tokenizer.json": content}, False)
    as_class = open_folder({"tokenizer.json": content, "tokenizer_config.json":
                            '{"tokenizer_class": "XLMRobertaTokenizer"}'}, True)
    files = {}
    for path in sorted((shared / "data" / "multilingual").glob("*.txt")):
        lines = path.read_text(encoding="utf-8").split("\n")
        ids = [ids_of(tokenizer, line) for line in lines]
        assert ids == as_class(lines, add_special_tokens=False)["input_ids"], path
        files[path.name] = "".join(format(hash_ids(i) & 0xFFFF, "04x") for i in ids)
    return files


def main():
    shared = Path(sys.argv[1])
    lines = excerpts(shared)
    pieces, charsmap = small_pieces(lines + ODD_TEXTS + MORE_TEXTS), compile_charsmap(RULES)
    texts = ODD_TEXTS + MORE_TEXTS + lines
    compact = {"ensure_ascii": False, "separators": (",", ":")}
    parts = {"@CHARSMAP@": base64.b64encode(charsmap).decode(), "@PIECES@": json.dumps(pieces, **compact)[1:-1]}
    cases = [make_case(name, *case, texts, parts) for name, case in folder_cases(pieces, charsmap).items()]
    head = {"versions": VERSIONS, "each hash": "the last 8 hex digits of FNV-1a over the ids", **parts, "texts": texts,
            "each line": "the last 4 hex digits of FNV-1a over its ids", "xlm-roberta": xlm_roberta_golden(shared)}
    text = ",\n".join(json.dumps(case, ensure_ascii=True, separators=(",", ":")) for case in cases)
    head = json.dumps(head, ensure_ascii=True, separators=(",", ":"))
    (OUT / "unigram.json").write_text(head[:-1] + ',"cases":[\n' + text + "\n]}\n", encoding="ascii")


if __name__ == "__main__":
    main()
