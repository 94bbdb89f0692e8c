"""Writes tests/data/text: what the reference's tokenizers make of texts, for tests/text.

unicode.json       hashes over all code points, of each normalizer with each setting, and of the splitting into words
utf8.json          bytes that are not UTF-8, and what Python's errors="replace" makes of them
truncation.json    how many tokens of each text longest_first keeps
folders.json       model folders with a small vocabulary, settings of all sorts, texts, pairs, ids
multilingual.json  hashes of the ids of every line of shared/data/multilingual with four real vocabularies

usage: python tools/golden/tokenizer_golden.py SHARED      (needs the packages tokenizers and transformers)
"""

import collections
import itertools
import json
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import tokenizers  # noqa: E402
import transformers  # noqa: E402
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors  # noqa: E402

OUT = Path(__file__).resolve().parent.parent.parent / "tests" / "data" / "text"
VERSIONS = {"tokenizers": tokenizers.__version__, "transformers": transformers.__version__}
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def fnv1a(data):
    """FNV-1a, 64 bits."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def write(name, content):
    content = {"versions": VERSIONS, **content}
    text = json.dumps(content, ensure_ascii=True, indent=1)
    (OUT / name).write_text(text + "\n", encoding="ascii")


# ---- all code points ----

BLOCK = 0x1000


def block_text(start, joiner):
    return joiner.join(chr(c) for c in range(start, start + BLOCK) if not 0xD800 <= c < 0xE000)


def hash_blocks(make, joiner):
    """One hash for each block of code points, of make(their text); the last 8 hex digits are enough."""
    blocks = range(0, 0x110000, BLOCK)
    return " ".join(format(fnv1a(make(block_text(start, joiner))) & 0xFFFFFFFF, "08x") for start in blocks)


def unicode_golden():
    steps = {}
    keys = ("clean_text", "handle_chinese_chars", "strip_accents", "lowercase")
    for values in itertools.product((False, True), repeat=4):
        name = "BertNormalizer " + "".join("01"[value] for value in values)
        steps[name] = normalizers.BertNormalizer(**dict(zip(keys, values)))
    for name in ("NFD", "NFC", "NFKD", "NFKC", "Lowercase", "StripAccents"):
        steps[name] = getattr(normalizers, name)()
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    hashes = {name: hash_blocks(lambda s: step.normalize_str(s).encode(), "x") for name, step in steps.items()}
    hashes["BertPreTokenizer"] = hash_blocks(lambda s: "\x00".join(p for p, _ in split(s)).encode(), "x")

    # Marks in every order: what a single code point cannot show.
    rng = random.Random(1)
    marks = [0x300, 0x301, 0x307, 0x316, 0x323, 0x327, 0x334, 0x345, 0x5B0, 0x591, 0x93C, 0x94D, 0x3099, 0xE38, 0x1D165]
    bases = [*b"aeIo \x01", 0xE9, 0x1E69, 0x130, 0x3A3, 0x1100, 0x1161, 0x11A8, 0xAC00, 0xAC01, 0x9C7, 0x9BE, 0x2126,
             0x304B, 0x4E00, 0xF900, 0x2F800, 0xFB01, 0x1D15E, 0x200D, 0x10FFFF]
    texts = ["".join(chr(rng.choice(marks if rng.random() < 0.6 else bases)) for _ in range(12)) for _ in range(60)]
    texts.append("a" + "\u0345\u0334\u0323\u0301" * 20)
    sequences = [{"text": s, "normalized": {name: step.normalize_str(s) for name, step in steps.items()
                                            if name in ("NFD", "NFC", "NFKC", "BertNormalizer 1111")}} for s in texts]
    write("unicode.json", {"block": BLOCK, "hashes": hashes, "sequences": sequences})


# ---- ill-formed UTF-8 ----


def utf8_golden():
    rng = random.Random(2)
    lead = [0x00, 0x41, 0x7F, 0x80, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xED, 0xEF, 0xF0, 0xF1, 0xF4, 0xF5, 0xFF]
    lead += [0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF]
    cases = [bytes([a, b]) for a in lead for b in (0x41, 0x80, 0x9F, 0xA0, 0xBF, 0xC2)]
    cases += [bytes(rng.choice(lead) for _ in range(rng.randint(0, 12))) for _ in range(150)]
    cases += ["aé中😀".encode()[:n] for n in range(11)]
    rows = []
    for data in cases:
        try:
            data.decode()
            bad = len(data)
        except UnicodeDecodeError as error:
            bad = error.start
        rows.append([data.hex(), bad, data.decode(errors="replace").encode().hex()])
    write("utf8.json", {"columns": ["bytes", "first ill-formed byte", "replaced"], "rows": rows})


# ---- truncation ----


def truncation_golden():
    tokenizer = Tokenizer(models.WordPiece({"?": 0, "a": 1, "b": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    budgets, most, kept = [0, 1, 2, 3, 4, 7, 8, 13, 16, 17, 40], 21, {}
    for budget in budgets:
        tokenizer.enable_truncation(budget, strategy="longest_first")
        kept[budget] = []
        for query in range(most):
            row = []
            for document in range(most):
                ids = tokenizer.encode("a " * query, "b " * document).ids
                assert len(ids) == min(budget, query + document)
                row.append(ids.count(1))
            kept[budget].append(" ".join(map(str, row)))
    write("truncation.json", {"query_kept[budget][query][document]": kept})


# ---- folders ----


def excerpts(shared):
    """Two lines of each language."""
    return [line for path in sorted((shared / "data" / "multilingual").glob("*.txt"))
            for line in path.read_text(encoding="utf-8").split("\n")[3:5]]


ODD_TEXTS = [
    "", " ", "\x09\x0d\x0a\x0b\x0c\x85\xa0\u2028\u3000", "Hello, World! It's 3.14%.", "HELLO hello HeLLo",
    "naïve café Ärger ÀÉÎ", "e\u0301 e\u0327\u0301 e\u0301\u0327 \u0301x", "Straße GROẞE ŒUVRE ǅ ǈ",
    "ΟΔΥΣΣΕΥΣ Σ ΑΣ ς", "İstanbul ISPARTA ıI i\u0307", "中国 中国人は日本語を話す 漢字かな交じり文 㐀 𠀀 豈 丽", "한국어 각각 ㄱㅏ 각",
    "ภาษาไทย กำล\u0e31ง น\u0e49ำ", "ह\u093fन\u094dद\u0940 क\u093c क\u093c म\u0942ल\u094dय",
    "👩\u200d👩\u200d👧\u200d👦 👍\U0001f3fd 🇩🇪 ☺\ufe0f",
    "\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd \u202b\u0627\u0628\u062a\u202c \u200fabc\u200e",
    "\u0627\u0644\u0639\u064e\u0631\u064e\u0628\u0650\u064a\u064e\u0651\u0629",
    "a\xadb\u200bc\ufeffd\u2060e � \x00 \x7f \x1b[0m", "x" * 100, "x" * 101, "é" * 100, "e\u0301" * 100,
    "e" * 99 + " " + "e" * 102 + "!", "…—–“”‘’«»¿¡·†‡•", "$+<=>^`|~ € £ ¥ ± × ÷ № ™",
    "[CLS] a [SEP] b[MASK]c [UNK] [PAD] [cls] [ CLS ]", "a_b-c/d\\e#f##g", "http://example.org/~u?q=1&r=%20#x",
    "ﬁ ﬂ ½ ² Ⅳ ㎏ \ufdfa", "\U000e0041\U000e007f \ue000 \U000f0000 \ud7ff", "a\u0378b \u05ff \U0001fabf",
    "1 234 567,89", "don't can't we'll o'clock",
]


def commonest(counter, count):
    return [token for token, _ in sorted(counter.items(), key=lambda x: (-x[1], x[0]))[:count]]


def small_vocabulary(texts):
    """Characters, and the commonest words and ends of words, of the texts."""
    whole, parts = collections.Counter(), collections.Counter()
    for lower in (False, True):
        steps = normalizers.BertNormalizer(lowercase=lower)
        split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
        for text in texts:
            for word, _ in split(steps.normalize_str(text)):
                whole[word] += 1
                whole[word[0]] += 1
                for i in range(1, len(word)):
                    parts["##" + word[i]] += 1
                    parts["##" + word[i : i + 2]] += 1
                    parts["##" + word[i : i + 4]] += 1
    return SPECIALS + commonest(whole, 500) + commonest(parts, 450)


def tokenizer_json(vocab, change=None, **model):
    tokenizer = Tokenizer(models.WordPiece({t: i for i, t in enumerate(vocab)}, unk_token="[UNK]", **model))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] [SEP] $B:1 [SEP]:1",
        special_tokens=[(t, vocab.index(t)) for t in ("[CLS]", "[SEP]")])
    tokenizer.add_special_tokens(SPECIALS)
    tokenizer.enable_truncation(9)
    content = json.loads(tokenizer.to_str())
    if change:
        change(content)
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def added(content, **flags):
    return {"content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": False, **flags}


def with_added(*tokens):
    def change(content):
        first = len(content["model"]["vocab"])
        content["added_tokens"] += [{"id": first + i, **token} for i, token in enumerate(tokens)]
    return change


def with_fields(**fields):
    return lambda content: content.update(fields)


def with_steps(*names):
    return with_fields(normalizer={"type": "Sequence", "normalizers": [{"type": name} for name in names]})


def with_bert(**options):
    usual = {"clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}
    return with_fields(normalizer={"type": "BertNormalizer", **usual, **options})


FLAGGED = [added("<new>"), added("<Low>", normalized=True), added("<l>", lstrip=True), added("<r>", rstrip=True),
           added("<lr>", lstrip=True, rstrip=True, normalized=True), added("word", single_word=True),
           added("W.X", single_word=True, normalized=True), added("<new>er"), added("中心", normalized=True),
           added("[X]", special=True), added("é!", normalized=True)]
FLAGGED_TEXTS = [
    "<new><new> a<new>b <newer> <new>er", "<low> <LOW> <Low>x", "a  <l>  b <l><l>  <l>",
    "a  <r>  b <r><r>  <r>\u3000\t.",
    "a \t<LR>\u2003b<lr> <lr>", "word words sword word. (word) _word word\u0301 中word", "w.x W.X aW.X W.X1 w.x,W.X",
    "中心 的中心 中 心", "[X][x] [X", "é! É! e\u0301! E\u0301!", "", " ", "<ne", "<new", "<<new>>",
]


def folder_cases(vocab):
    """name -> (files, texts that it is for in addition, whether transformers reads it; else the package alone)"""
    flag = {"do_lower_case": False, "tokenizer_class": "BertTokenizer"}
    decoder = {"2": added("[CLS]", special=True), "3000": added("<zz>", lstrip=True, normalized=True),
               "2000": added("<yy>", single_word=True)}
    odd = ["<zz> a<zz> <yy> <yy>y", "<q> a<q>b <s> [SEP]</s> <other>"]
    mpnet = ["a <mask>b<s> </s>", "a [MASK]  [UNK]<pad> c"]
    cls_map = {"cls_token": "<s>", "sep_token": added("</s>", lstrip=True), "additional_special_tokens": ["<q>"]}
    roles = {**cls_map, "sep_token": {"__type": "AddedToken", **cls_map["sep_token"]}}
    vocab_txt = "\n".join(vocab) + "\n"
    plain = tokenizer_json(vocab)
    flagged = tokenizer_json(vocab, with_added(*FLAGGED))
    backend = {"tokenizer_class": "TokenizersBackend", "model_max_length": 1000000000000000019884624838656}
    bert_processing = with_fields(post_processor={"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]})

    def files(config=None, **rest):
        out = {name.replace("__", "."): content for name, content in rest.items()}
        if config is not None:
            out["tokenizer_config.json"] = json.dumps(config)
        return out

    return {
        "vocab.txt, lower case": (
            files({"do_lower_case": True, "model_max_length": 512}, vocab__txt=vocab_txt), [], True),
        "vocab.txt, cased": (files({"do_lower_case": False}, vocab__txt=vocab_txt), [], True),
        "vocab.txt alone": (files(vocab__txt=vocab_txt), [], True),
        "vocab.txt, carriage returns, blanks, a token twice": (
            files({}, vocab__txt=vocab_txt.replace("\n", " \u3000\r\n") + "\n a\nthe\n"), [], True),
        "accents stay in lower case": (files({"strip_accents": False}, vocab__txt=vocab_txt), [], True),
        "accents go, case stays": (files({**flag, "strip_accents": True}, vocab__txt=vocab_txt), [], True),
        "ideographs are letters": (files({"tokenize_chinese_chars": False}, vocab__txt=vocab_txt), [], True),
        "special_tokens_map.json": (
            files(flag, vocab__txt=vocab_txt, special_tokens_map__json=json.dumps(cls_map)), odd, True),
        "added_tokens.json": (
            files(flag, vocab__txt=vocab_txt, added_tokens__json='{"<zz>": 1001, "<other>": 1000}'), odd, True),
        "roles in tokenizer_config.json": (
            files({**flag, **roles, "bos_token": "<b>"}, vocab__txt=vocab_txt), odd, True),
        "added_tokens_decoder": (files({**flag, "added_tokens_decoder": decoder}, vocab__txt=vocab_txt), odd, True),
        "the class for BERT makes its own of tokenizer.json": (
            files({"tokenizer_class": "BertTokenizerFast", "max_len": 77}, tokenizer__json=flagged),
            FLAGGED_TEXTS, True),
        "no class is the class for BERT": (files({"model_max_length": 128.0}, tokenizer__json=plain), [], True),
        "no type ids": (files({**flag, "tokenizer_class": "DistilBertTokenizer"}, tokenizer__json=plain), [], True),
        "the class for MPNet": (
            files({"tokenizer_class": "MPNetTokenizer", "model_max_length": 512}, vocab__txt=vocab_txt), mpnet, True),
        "the class for MPNet, cased": (
            files({**flag, "tokenizer_class": "MPNetTokenizerFast", "strip_accents": True, "mask_token": "[MASK]",
                   "model_input_names": ["input_ids", "token_type_ids"]}, tokenizer__json=flagged),
            mpnet + FLAGGED_TEXTS, True),
        "tokenizer.json with added_tokens_decoder": (
            files({**flag, "added_tokens_decoder": decoder}, tokenizer__json=flagged),
            odd + FLAGGED_TEXTS, True),
        "tokenizer.json as it is": (files(backend, tokenizer__json=flagged), FLAGGED_TEXTS, True),
        "tokenizer.json as it is, with type ids": (
            files({**backend, "model_input_names": ["input_ids", "token_type_ids"]}, tokenizer__json=plain),
            [], True),
        "tokenizer.json as it is, with more roles": (files({**backend, **roles}, tokenizer__json=plain), odd, True),
        "tokenizer.json as it is, flags in added_tokens_decoder": (
            files({**backend, "added_tokens_decoder": {"2": added("[CLS]", single_word=True), **decoder}},
                  tokenizer__json=plain), odd, True),
        "extra special tokens by both names": (
            files({**flag, "additional_special_tokens": ["<q>"], "extra_special_tokens": {"a_token": "<other>"},
                   "image_token": "<s>", "model_max_length": None, "max_len": 9}, vocab__txt=vocab_txt,
                  special_tokens_map__json='{"extra_special_tokens": ["<zz>", "<yy>"]}'), odd, True),
        "an unknown class": (files({"tokenizer_class": "MyTokenizer"}, tokenizer__json=plain), [], True),
        "tokenizer.json alone": (files(tokenizer__json=flagged), FLAGGED_TEXTS, False),
        "BertProcessing": (files(tokenizer__json=tokenizer_json(vocab, bert_processing)), [], False),
        "no post-processor": (
            files(tokenizer__json=tokenizer_json(vocab, with_fields(post_processor=None))), [], False),
        "no normalizer": (files(tokenizer__json=tokenizer_json(vocab, with_fields(normalizer=None))), [], False),
        "NFD, Lowercase, StripAccents": (
            files(tokenizer__json=tokenizer_json(vocab, with_steps("NFD", "Lowercase", "StripAccents"))), [], False),
        "NFKC": (files(tokenizer__json=tokenizer_json(vocab, with_steps("NFKC"))), [], False),
        "control characters stay": (
            files(tokenizer__json=tokenizer_json(vocab, with_bert(clean_text=False))), [], False),
        "short words only": (files(tokenizer__json=tokenizer_json(vocab, max_input_chars_per_word=4)), [], False),
        "another prefix": (files(tokenizer__json=tokenizer_json(vocab, continuing_subword_prefix="#")), [], False),
    }


PAIRS = [("a question", "the answer is here, and long. " * 3), ("", "the"), ("the", ""), ("", ""),
         ("a long question of many words, is it not? " * 4, "short"), ("the and of " * 9, "the and of " * 9)]


def ids_of(tokenizer, text):
    if isinstance(tokenizer, Tokenizer):
        return tokenizer.encode(text, add_special_tokens=False).ids
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def encoded_of(tokenizer, texts, length):
    """Token and type ids of one text, or of two that are joined."""
    if isinstance(tokenizer, Tokenizer):
        tokenizer.enable_truncation(length) if length else tokenizer.no_truncation()
        encoded = tokenizer.encode(*texts)
        return encoded.ids, encoded.type_ids
    more = {"truncation": "longest_first", "max_length": length} if length else {}
    encoded = tokenizer(*([text] for text in texts), **more)
    ids = encoded["input_ids"][0]
    return ids, encoded["token_type_ids"][0] if "token_type_ids" in encoded else [0] * len(ids)


def open_folder(files, with_transformers):
    folder = Path(tempfile.mkdtemp())
    try:
        for name, content in files.items():
            (folder / name).write_bytes(content.encode())
        (folder / "config.json").write_text('{"model_type": "bert"}')
        if with_transformers:
            return transformers.AutoTokenizer.from_pretrained(folder)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_truncation()
        return tokenizer
    finally:
        shutil.rmtree(folder)


def folders_golden(shared):
    lines = excerpts(shared)
    vocab = small_vocabulary(lines + ODD_TEXTS)
    texts, cases = ODD_TEXTS + lines, []
    for name, (files, more, with_transformers) in folder_cases(vocab).items():
        tokenizer = open_folder(files, with_transformers)
        limit = getattr(tokenizer, "model_max_length", 10**30)
        cases.append({
            "name": name,
            # The long vocabulary is the same in each: it is stored once.
            "files": {n: c.replace("\n".join(vocab), "@VOCAB_TXT@") for n, c in files.items()},
            "max_length": int(limit) if limit < 1e9 else None,
            "ids": [ids_of(tokenizer, text) for text in texts + more],
            "texts": more,
            "pairs": [[q, d, n, *encoded_of(tokenizer, (q, d), n)] for q, d in PAIRS for n in (0, 16, 7)],
            "singles": [[d, n, *encoded_of(tokenizer, (d,), n)] for _, d in PAIRS for n in (0, 16, 7)],
        })
    vocab_json = json.dumps({t: i for i, t in enumerate(vocab)}, ensure_ascii=False, separators=(",", ":"))
    for case in cases:
        if "tokenizer.json" in case["files"]:
            assert vocab_json in case["files"]["tokenizer.json"]
            case["files"]["tokenizer.json"] = case["files"]["tokenizer.json"].replace(vocab_json, "@VOCAB_JSON@")
    text = ",\n".join(json.dumps(case, ensure_ascii=True, separators=(",", ":")) for case in cases)
    head = json.dumps({"versions": VERSIONS, "vocab": vocab, "texts": texts}, ensure_ascii=True, separators=(",", ":"))
    (OUT / "folders.json").write_text(head[:-1] + ',"cases":[\n' + text + "\n]}\n", encoding="ascii")


# ---- real vocabularies ----


def hash_ids(ids):
    return fnv1a(b"".join(i.to_bytes(4, "little") for i in ids))


def multilingual_golden(shared):
    result = {}
    for name, lower in (("bert-base-uncased", True), ("bert-base-cased", False),
                        ("bert-base-multilingual-cased", False), ("bert-base-chinese", False)):
        vocab = shared / "tokenizers" / name / "vocab.txt"
        tokenizer = Tokenizer(models.WordPiece.from_file(str(vocab), unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.add_special_tokens(SPECIALS)
        files = {}
        for path in sorted((shared / "data" / "multilingual").glob("*.txt")):
            lines = path.read_text(encoding="utf-8").split("\n")
            hashes = [hash_ids(tokenizer.encode(line).ids) & 0xFFFF for line in lines]
            files[path.name] = "".join(format(h, "04x") for h in hashes)
        result[name] = {"do_lower_case": lower, "files": files}
    write("multilingual.json", {"each line": "the last 4 hex digits of FNV-1a over its ids", "vocabularies": result})


def main():
    shared = Path(sys.argv[1])
    OUT.mkdir(parents=True, exist_ok=True)
    unicode_golden()
    utf8_golden()
    truncation_golden()
    folders_golden(shared)
    multilingual_golden(shared)


if __name__ == "__main__":
    main()
