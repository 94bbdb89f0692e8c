"""Writes what the reference makes of texts with byte pair encoding to tests/data/text, for tests/text.

bpe_folders.json       model folders with a small byte-level vocabulary, settings of all sorts, texts, pairs, ids
bpe_characters.json    the same with a vocabulary of characters
bpe_multilingual.json  hashes of the ids of every line of shared/data/multilingual with four real vocabularies
bpe_unicode.json       hashes of the pieces that each pre-tokenizer makes of all code points, in several surroundings

usage: python tools/golden/bpe_golden.py SHARED      (needs the packages tokenizers and transformers)
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

from tokenizer_golden import (ODD_TEXTS, OUT, PAIRS, VERSIONS, added, encoded_of, excerpts, fnv1a, hash_blocks, hash_ids,
                              ids_of, with_added, write)

import transformers
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors, trainers

SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
WORDS = r" ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+"
GPT2 = "'s|'t|'re|'ve|'m|'ll|'d|" + WORDS + r"|\s+(?!\S)|\s+"
GPT2_SHORT = "'(?:[sdmt]|ll|ve|re)|" + WORDS + r"|\s+(?!\S)|\s+"
LINES = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|" + LINES
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|" + LINES
CL100K = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|"
          r"\s+(?!\S)|\s+")

TEXTS = ODD_TEXTS + [
    "it's IT'S they'RE we've I'm I'M she'll SHE'LL he'd 'tis 's 'S ’s '\u017f '\u017fa 'l 'L 'lx 'r' 'v 'ᴌl ''s '' 'sd",
    "a  b   c    d", " a", "  a", "   ", "a ", "a  ", "\n", "\n\n", " \n", "\n ", "\n a", "a\n\nb", "a \n \n b", "\r\n\r\nx\r\n",
    "\t\tif (x) {\n\t\t\treturn\xa01;\r\n\t}", "a\u2003\u2003b \u3000c\u3000 d\u2028e\u2029f\x85g\x0bh\x0ci", " \t a\t b \t\t",
    "1 12 123 1234 12345 123456 1,234.5 x1y22z333 ¹²³ ½ ⅷ ٣٤٥ ४५६ \U0001d7d9\U0001d7da 一二", "\U00011de0\U00011de1 \U00016ff4",
    "!!! ... ?!\n\n!a !\na -- a-b a_b #a ##\r\n\r\n#\n a.b", "(\n)\n\n[ ]\t{ }", "\x00a\x00\x00b \x00", "\x7f\x80\x9f\xa0\xad",
    "가각 \u1100\u1161\u11a8 \u1112\u1161\u11ab\u1100\u1173\u11af", "ก\u0e33 \u0e01\u0e4d\u0e32 ที่นี่", "\u0301a a\u0301\u0302 \u20e3 1\ufe0f\u20e3",
    "\u202eabc\u202c \u2066x\u2069 \ufeffa \u200ba\u200cb\u200dc", "👨\u200d👩\u200d👧 🏳\ufe0f\u200d🌈 👍🏽👍🏽 🇩🇪🇫🇷", "Å \u212b Å ﬁ Ω",
    "abcdefghij" * 12, "ab" * 40, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "thethethe" * 7 + " the" * 30,
    "<s>a</s> <mask>  <mask>a <pad><unk> < mask>",
]


# ---- small tokenizers ----


def train(pre_tokenizer, texts, alphabet, size):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=1, special_tokens=SPECIALS, initial_alphabet=alphabet,
                                  show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [list(merge) for merge in model["merges"]]


def tokenizer_json(vocab, merges, pre_tokenizer, change=None, post=None, normalizer=None, **model):
    content = {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": vocab[t], **added(t, special=True)} for t in SPECIALS],
        "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "post_processor": post, "decoder": None,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, **model,
                  "vocab": vocab, "merges": merges},
    }
    if change:
        change(content)
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def byte_level(**options):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True, **options}


def split(pattern, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": invert}


def sequence(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


def digits(apart):
    return {"type": "Digits", "individual_digits": apart}


ROBERTA = {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0], "trim_offsets": True,
           "add_prefix_space": False}
BYTES = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
TEMPLATE = json.loads(processors.TemplateProcessing(
    single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", 0), ("</s>", 2)]).__getstate__())
FLAGGED = [added("<new>"), added("<l>", lstrip=True), added("<r>", rstrip=True, normalized=True), added("  "),
           added("word", single_word=True), added("é!", normalized=True)]
FLAGGED_TEXTS = ["<new><new> a<new>b <newer>", "a  <l>  b <l><l>", "a  <r>  b <r><r>  <r>", "a  b   c    d", "word sword word.",
                 "é! e\u0301! É!", "  ", " <new> "]


def files(config=None, model_type=None, **rest):
    out = {name.replace("__", "."): content for name, content in rest.items()}
    if config is not None:
        out["tokenizer_config.json"] = json.dumps(config)
    if model_type is not None:
        out["config.json"] = json.dumps({"model_type": model_type})
    return out


def byte_cases(vocab, merges):
    """name -> (files, texts that it is for in addition, whether transformers reads it; else the package alone)"""
    def plain(pre_tokenizer=None, **more):
        return tokenizer_json(vocab, merges, pre_tokenizer or byte_level(), **more)

    def alone(pre_tokenizer=None, **more):
        return files(tokenizer__json=plain(pre_tokenizer, **more)), [], False

    lines = [" ".join(merge) for merge in merges]
    pair = {"vocab__json": json.dumps(vocab, ensure_ascii=False, separators=(",", ":")),
            "merges__txt": "#version: 0.2\n" + "\n".join(lines) + "\n"}
    roberta = {"tokenizer_class": "RobertaTokenizer"}
    backend = {"tokenizer_class": "PreTrainedTokenizerFast"}
    mask = {"mask_token": {"__type": "AddedToken", **added("<mask>", lstrip=True, special=True)}}
    flagged = plain(change=with_added(*FLAGGED))
    decoder = {"added_tokens_decoder": {"4": added("<mask>", lstrip=True, special=True), "900": added("<l>", lstrip=True)}}
    qwen = {"tokenizer_class": "Qwen2Tokenizer", "bos_token": None, "unk_token": None, "eos_token": "<s>",
            "pad_token": "<pad>", "add_bos_token": False, "model_max_length": 131072}
    nfc = {"type": "NFC"}
    twice = merges + [merges[5], ["a", "b"]] if ["a", "b"] in merges else merges + [merges[5]]
    some = {token: i for token, i in vocab.items() if token not in ("Ġ", "x", "Ã", "!")}
    kept = [m for m in merges if all(t in some for t in (*m, "".join(m)))]

    return {
        "ByteLevel": alone(),
        "ByteLevel, a blank before": alone(byte_level(add_prefix_space=True)),
        "ByteLevel without its expression": alone(byte_level(use_regex=False)),
        "ByteLevel without its expression, a blank before": alone(byte_level(use_regex=False, add_prefix_space=True)),
        "merges as strings": (files(tokenizer__json=tokenizer_json(vocab, lines, byte_level())), [], False),
        "merges as strings with a version": (
            files(tokenizer__json=tokenizer_json(vocab, ["#version: 0.2"] + lines, byte_level())), [], False),
        "no merges": (files(tokenizer__json=tokenizer_json(vocab, [], byte_level())), [], False),
        "merges that come twice": (files(tokenizer__json=tokenizer_json(vocab, twice, byte_level())), [], False),
        "merges backwards": (files(tokenizer__json=tokenizer_json(vocab, merges[::-1], byte_level())), [], False),
        "ignore_merges": (
            files(tokenizer__json=tokenizer_json(vocab, merges[:40], byte_level(), ignore_merges=True)), [], False),
        "bytes that are missing": (files(tokenizer__json=tokenizer_json(some, kept, byte_level())), [], False),
        "bytes that are missing, unknown": (
            files(tokenizer__json=tokenizer_json(some, kept, byte_level(), unk_token="<unk>")), [], False),
        "bytes that are missing, fused": (
            files(tokenizer__json=tokenizer_json(some, kept, byte_level(), unk_token="<unk>", fuse_unk=True)), [], False),
        "Split by GPT-2's expression": alone(sequence(split(GPT2), byte_level(use_regex=False))),
        "Split by GPT-2's short expression": alone(sequence(split(GPT2_SHORT), byte_level(use_regex=False))),
        "Split by Qwen 2's expression": alone(sequence(split(QWEN2), byte_level(use_regex=False)), normalizer=nfc),
        "Split by Llama 3's expression": alone(sequence(split(LLAMA3), byte_level(use_regex=False))),
        "Split by GPT-4's expression": alone(sequence(split(CL100K, "Removed", True), byte_level(use_regex=False))),
        "Split, a blank before each piece": alone(sequence(split(QWEN2), byte_level(use_regex=False, add_prefix_space=True))),
        "Digits, a blank before each piece": alone(sequence(digits(True), byte_level(add_prefix_space=True))),
        "Digits apart": alone(sequence(digits(True), byte_level())),
        "Digits in runs": alone(sequence(digits(False), byte_level())),
        "a Sequence in a Sequence": alone(sequence(sequence(digits(True), split(LLAMA3)), sequence(byte_level()))),
        "RobertaProcessing": alone(post=ROBERTA),
        "ByteLevel behind": alone(post=BYTES),
        "ByteLevel and a template": alone(post={"type": "Sequence", "processors": [BYTES, TEMPLATE]}),
        "RobertaProcessing in a Sequence": alone(post={"type": "Sequence", "processors": [ROBERTA, BYTES]}),
        "added tokens": (files(tokenizer__json=flagged), FLAGGED_TEXTS, False),
        "added tokens, a blank before": (
            files(tokenizer__json=plain(byte_level(add_prefix_space=True), change=with_added(*FLAGGED))),
            FLAGGED_TEXTS, False),
        "vocab.json and merges.txt": (files(roberta, "roberta", **pair), [], True),
        "vocab.json and merges.txt, the class by the model": (files({"model_max_length": 514}, "roberta", **pair), [], True),
        "vocab.json and merges.txt alone": (files(None, "roberta", **pair), [], True),
        "vocab.json and merges.txt, RoBERTa's settings": (
            files({**roberta, **mask, "add_prefix_space": True, "model_max_length": 512}, "roberta", **pair), [], True),
        "special_tokens_map.json": (
            files(roberta, "roberta", **pair, special_tokens_map__json=json.dumps(
                {"mask_token": added("<mask>", lstrip=True), "cls_token": "</s>", "sep_token": "<pad>"})), [], True),
        "added_tokens.json": (
            files(roberta, "roberta", **pair, added_tokens__json='{"<zz>": 1001, "<mask>": 4}'), ["<zz>a <zz>"], True),
        "DeBERTa's files": (files({"model_max_length": 512}, "deberta", **pair), ["a [MASK]b [CLS][UNK]"], True),
        "the class for DeBERTa makes its own of tokenizer.json": (
            files({"tokenizer_class": "DebertaTokenizerFast", "add_prefix_space": True, "mask_token": "<mask>"}, "deberta",
                  tokenizer__json=plain(change=with_added(*FLAGGED), post=TEMPLATE, normalizer=nfc)),
            FLAGGED_TEXTS + ["a [MASK]b <mask>"], True),
        "GPT-2's files": (files({"tokenizer_class": "GPT2Tokenizer", "model_max_length": 1024}, "gpt2", **pair), [], True),
        "Qwen 2's files": (files(qwen, "qwen2", **pair), [], True),
        "the class for RoBERTa makes its own of tokenizer.json": (
            files({**roberta, "max_len": 77}, "roberta", tokenizer__json=plain(
                byte_level(add_prefix_space=True), change=with_added(*FLAGGED), post=TEMPLATE, normalizer=nfc,
                fuse_unk=True, unk_token="<unk>")), FLAGGED_TEXTS, True),
        "the class for RoBERTa, a blank before": (
            files({**roberta, **decoder, "add_prefix_space": True}, "roberta", tokenizer__json=flagged),
            FLAGGED_TEXTS, True),
        "the class for RoBERTa, with type ids": (
            files({**roberta, "model_input_names": ["input_ids", "token_type_ids"]}, "roberta",
                  tokenizer__json=plain(post=ROBERTA)), [], True),
        "the class for GPT-2 keeps the template": (
            files({"tokenizer_class": "GPT2TokenizerFast", "unk_token": None}, "gpt2",
                  tokenizer__json=plain(post=TEMPLATE)), ["<|endoftext|>a"], True),
        "the class for Qwen 2 keeps the template": (
            files(qwen, "qwen3", tokenizer__json=plain(post=BYTES)), [], True),
        "the class for Qwen 2, a blank before": (
            files({**qwen, **decoder, **mask, "add_prefix_space": True}, "qwen3", tokenizer__json=flagged),
            FLAGGED_TEXTS, True),
        "Qwen 2's class by the model, whatever is named": (
            files({**qwen, "tokenizer_class": "PreTrainedTokenizerFast"}, "qwen2", tokenizer__json=plain(post=TEMPLATE)),
            [], True),
        "tokenizer.json as it is": (
            files({**backend, "add_prefix_space": True, "mask_token": "<mask>"}, "modernbert",
                  tokenizer__json=flagged), FLAGGED_TEXTS, True),
        "tokenizer.json as it is, by the model": (
            files({**roberta, **mask}, "modernbert", tokenizer__json=plain(
                byte_level(add_prefix_space=True), post=TEMPLATE)), [], True),
        "tokenizer.json as it is, flags in added_tokens_decoder": (
            files({**backend, **decoder}, "modernbert", tokenizer__json=plain(post=TEMPLATE)), FLAGGED_TEXTS, True),
    }


def character_cases(vocab, merges):
    def case(pre_tokenizer, **more):
        return files(tokenizer__json=tokenizer_json(vocab, merges, pre_tokenizer, **more)), [], False

    white, bert = {"type": "Whitespace"}, {"type": "BertPreTokenizer"}
    lower = {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]}
    inner = {t: i for t, i in vocab.items()}
    for t in list(vocab)[len(SPECIALS):]:
        if len(t) == 1:
            for form in ("##" + t, t + "</w>", "##" + t + "</w>"):
                inner.setdefault(form, len(inner))
    for a, b in merges[:200]:
        inner.setdefault("##" + a + b, len(inner))
    prefixed = [[p + a, "##" + b] for a, b in merges[:200] for p in ("", "##")
                if all(t in inner for t in (p + a, "##" + b, p + a + b))]
    return {
        "Whitespace": case(white),
        "Whitespace, unknown": case(white, unk_token="<unk>", normalizer=lower, post=ROBERTA),
        "Whitespace, unknown, fused": case(white, unk_token="<unk>", fuse_unk=True),
        "BertPreTokenizer": case(bert, unk_token="<unk>"),
        "Digits and Whitespace": case(sequence(digits(True), white), unk_token="<unk>"),
        "Split": case(split(QWEN2), unk_token="<unk>"),
        "ignore_merges": (files(tokenizer__json=tokenizer_json(
            vocab, merges[:30], white, unk_token="<unk>", ignore_merges=True)), [], False),
        "a prefix": (files(tokenizer__json=tokenizer_json(
            inner, prefixed, white, unk_token="<unk>", continuing_subword_prefix="##")), [], False),
        "a suffix": (files(tokenizer__json=tokenizer_json(
            inner, merges[:100], white, unk_token="<unk>", end_of_word_suffix="</w>")), [], False),
        "both": (files(tokenizer__json=tokenizer_json(
            inner, prefixed[:100], white, unk_token="<unk>", fuse_unk=True, continuing_subword_prefix="##",
            end_of_word_suffix="</w>")), [], False),
    }


def open_folder(contents, with_transformers):
    folder = Path(tempfile.mkdtemp())
    try:
        for name, content in contents.items():
            (folder / name).write_bytes(content.encode())
        if with_transformers:
            return transformers.AutoTokenizer.from_pretrained(folder)
        return Tokenizer.from_file(str(folder / "tokenizer.json"))
    finally:
        shutil.rmtree(folder)


def folders_golden(name, vocab, merges, cases, texts):
    entries = []
    vocab_json = json.dumps(vocab, ensure_ascii=False, separators=(",", ":"))
    merges_json = json.dumps(merges, ensure_ascii=False, separators=(",", ":"))
    merges_txt = "\n".join(" ".join(merge) for merge in merges)
    for case, (contents, more, with_transformers) in cases.items():
        tokenizer = open_folder(contents, with_transformers)
        limit = getattr(tokenizer, "model_max_length", 10**30)
        # The long lists are the same in most: they are stored once.
        stored = {n: c.replace(vocab_json, "@VOCAB_JSON@").replace(merges_json, "@MERGES_JSON@")
                  .replace(merges_txt, "@MERGES_TXT@") for n, c in contents.items()}
        entries.append({
            "name": case, "files": stored, "max_length": int(limit) if limit < 1e9 else None,
            "ids": [ids_of(tokenizer, text) for text in texts + more], "texts": more,
            "pairs": [[q, d, n, *encoded_of(tokenizer, (q, d), n)] for q, d in PAIRS for n in (0, 16, 7)],
            "singles": [[d, n, *encoded_of(tokenizer, (d,), n)] for _, d in PAIRS for n in (0, 16, 7)],
        })
    text = ",\n".join(json.dumps(entry, ensure_ascii=True, separators=(",", ":")) for entry in entries)
    head = json.dumps({"versions": VERSIONS, "vocab": vocab_json, "merges": merges_json, "merges.txt": merges_txt,
                       "texts": texts}, ensure_ascii=True, separators=(",", ":"))
    (OUT / name).write_text(head[:-1] + ',"cases":[\n' + text + "\n]}\n", encoding="ascii")


# ---- real vocabularies ----


def real_tokenizers(shared):
    """name -> what transformers makes of the folder, and the package by itself"""
    root = shared / "tokenizers"
    for name, model_type in (("roberta-base", "roberta"), ("modernbert", "modernbert"), ("qwen3", "qwen3"),
                             ("jina-reranker-v1-tiny-en", None)):
        package = None
        if (root / name / "tokenizer.json").exists():
            package = Tokenizer.from_file(str(root / name / "tokenizer.json"))
        if model_type is None:  # transformers 5 drops most characters with this one: src/text/tokenizer_config.c
            yield name, None, package
            continue
        with tempfile.TemporaryDirectory() as work:
            for path in (root / name).iterdir():
                shutil.copy(path, work)
            Path(work, "config.json").write_text(json.dumps({"model_type": model_type}))
            yield name, transformers.AutoTokenizer.from_pretrained(work), package


def multilingual_golden(shared):
    result = {}
    for name, class_made, package in real_tokenizers(shared):
        hashes = {}
        for path in sorted((shared / "data" / "multilingual").glob("*.txt")):
            lines = path.read_text(encoding="utf-8").split("\n")
            ids = [e.ids for e in (package or class_made.backend_tokenizer).encode_batch(lines, add_special_tokens=False)]
            if class_made and package:
                assert ids == [ids_of(class_made, line) for line in lines], (name, path)
            hashes[path.name] = "".join(format(hash_ids(i) & 0xFFFF, "04x") for i in ids)
        result[name] = hashes
    write("bpe_multilingual.json",
          {"each line": "the last 4 hex digits of FNV-1a over its ids", "vocabularies": result})


# ---- all code points ----


def unicode_golden():
    isolated = {name: pre_tokenizers.Split(Regex(pattern), "isolated")
                for name, pattern in (("GPT2", GPT2), ("QWEN2", QWEN2), ("LLAMA3", LLAMA3))}
    steps = {**isolated, "Digits": pre_tokenizers.Digits(individual_digits=True),
             "Digit runs": pre_tokenizers.Digits(individual_digits=False), "Whitespace": pre_tokenizers.Whitespace()}
    hashes = {}
    for name, step in steps.items():
        def pieces(text):
            return "\x00".join(piece for piece, _ in step.pre_tokenize_str(text)).encode()
        for joiner in ("x", " ", "7", "'", "", "\n "):
            hashes[f"{name} {joiner!r}"] = hash_blocks(pieces, joiner)
    assert fnv1a(b"") == 0xCBF29CE484222325
    write("bpe_unicode.json", {"hashes": hashes})


def main():
    shared = Path(sys.argv[1])
    lines = excerpts(shared)
    texts = TEXTS + lines
    byte_alphabet = pre_tokenizers.ByteLevel.alphabet()
    vocab, merges = train(pre_tokenizers.ByteLevel(add_prefix_space=False), texts, byte_alphabet, 1000)
    folders_golden("bpe_folders.json", vocab, merges, byte_cases(vocab, merges), texts)
    vocab, merges = train(pre_tokenizers.Whitespace(), lines, [], 1600)
    folders_golden("bpe_characters.json", vocab, merges, character_cases(vocab, merges), texts)
    unicode_golden()
    multilingual_golden(shared)


if __name__ == "__main__":
    main()
