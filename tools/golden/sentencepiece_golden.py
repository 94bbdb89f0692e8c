"""Writes tests/data/text/sentencepiece.json: what the reference makes of SentencePiece models, for tests/text.

cases         folders with a small model, Unigram or BPE, and settings of all sorts, and tokenizer.json files with what
              such models are written as: a hash of the ids of each text
multilingual as Llama, as T5  of each file one hash: the BPE model by the class for Llama, DeBERTa-v3's by that for T5
multilingual  hashes of the ids of every line of shared/data/multilingual: DeBERTa-v3's spm.model and XLM-RoBERTa's
              pieces by their classes, a BPE model as it is

usage: python tools/golden/sentencepiece_golden.py SHARED   (needs tokenizers, transformers, sentencepiece, protobuf)
"""

import gzip
import io
import json
import shutil
import sys
import tempfile
from pathlib import Path

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as pb
from tokenizer_golden import ODD_TEXTS, OUT, VERSIONS, added, excerpts, hash_ids, ids_of
from unigram_golden import MARK, MORE_TEXTS, RULES, compile_charsmap, small_pieces

import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
BYTES = [(f"<0x{i:02X}>", 0.0, BYTE) for i in range(256)]
TEXTS = ["a <mask> b", "x  [MASK] y", "<ctrl>a<user>b <user>", "<s>a</s> <unk>NOTUSED <s>NOTUSED", "<new> a <new>b",
         "  a  b  ", "\u00df\u00e9\U0001f600\u4e2d<0x41>", f"{MARK}a{MARK}{MARK}b", "[CLS] a[UNK] <t>", "a\n\nb\tc"]
T5_TEXTS = ["<extra_id_0> a<extra_id_1>b <extra_id_3><extra_id_99>", "<t> a<u>b </s> <pad><ctrl><unk>"]


# ---- models ----


def model_of(pieces, charsmap=None, trainer=None, normalizer=None):
    proto = pb.ModelProto()
    for text, score, kind in pieces:
        piece = proto.pieces.add(piece=text, score=score)
        if kind != NORMAL:
            piece.type = kind
    proto.trainer_spec.model_type = 1
    for spec, fields in ((proto.trainer_spec, trainer), (proto.normalizer_spec, normalizer)):
        for key, value in (fields or {}).items():
            setattr(spec, key, value)
    if charsmap:
        proto.normalizer_spec.precompiled_charsmap = charsmap
    return proto.SerializeToString()


def trained_bpe(lines, **options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, model_type="bpe", vocab_size=900, character_coverage=0.98,
        byte_fallback=True, minloglevel=2, **options)
    return model.getvalue()


def changed(model, charsmap=b"", **normalizer):
    proto = pb.ModelProto.FromString(model)
    proto.normalizer_spec.precompiled_charsmap = charsmap
    for key, value in normalizer.items():
        setattr(proto.normalizer_spec, key, value)
    return proto.SerializeToString()


def without(model, kind):
    proto = pb.ModelProto.FromString(model)
    kept = [piece for piece in proto.pieces if piece.type != kind]
    del proto.pieces[:]
    proto.pieces.extend(kept)
    return proto.SerializeToString()


# ---- folders ----


def folder_cases(pieces, charsmap, lines):
    """name -> (model_type, files)"""
    names = ("<unk>", "<s>", "</s>", "<mask>", "<pad>")
    normal = [(text, score, NORMAL) for text, score in pieces[5:200] if text not in names]
    more = [("<ctrl>", 0.0, CONTROL), ("<user>", -1.5, USER), ("<unused>", -2.0, UNUSED)]
    fairseq = model_of([("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL), *normal, *more], charsmap)
    deberta = model_of([("[PAD]", 0.0, CONTROL), ("[CLS]", 0.0, CONTROL), ("[SEP]", 0.0, CONTROL),
                        ("[UNK]", 0.0, UNKNOWN), *BYTES, *normal, *more], charsmap,
                       {"unk_id": 3, "bos_id": 1, "eos_id": 2, "pad_id": 0, "byte_fallback": True,
                        "unk_piece": "[UNK]", "bos_piece": "[CLS]", "eos_piece": "[SEP]"})
    albert = model_of([("<pad>", 0.0, CONTROL), ("<unk>", 0.0, UNKNOWN), ("[CLS]", 0.0, USER), ("[SEP]", 0.0, USER),
                       ("[MASK]", 0.0, USER), *normal, *more], charsmap)
    t5 = model_of([("<pad>", 0.0, CONTROL), ("</s>", 0.0, CONTROL), ("<unk>", 0.0, UNKNOWN), *normal, *more], charsmap)
    t5_class = {"tokenizer_class": "T5TokenizerFast"}
    scored = changed(deberta)
    bpe = trained_bpe(lines, normalization_rule_name="identity", remove_extra_whitespaces=False)
    mask = {"__type": "AddedToken", **added("<mask>", lstrip=True, special=True)}
    backend = {"tokenizer_class": "PreTrainedTokenizerFast"}
    new = {"900": added("<new>", normalized=True, rstrip=True), "1": added("<s>", special=True, normalized=True)}
    xlm, camembert, spm, plain = "sentencepiece.bpe.model", "sentencepiece.bpe.model", "spm.model", "tokenizer.model"
    spiece = "spiece.model"
    llama, gemma = {"tokenizer_class": "LlamaTokenizer"}, {"tokenizer_class": "GemmaTokenizer", "bos_token": "<s>",
                                                           "eos_token": "</s>", "pad_token": "<unk>"}
    config, map_file = "tokenizer_config.json", "special_tokens_map.json"
    return {
        "ALBERT": ("albert", {spiece: albert, config: {"model_max_length": 512}}),
        "ALBERT alone": ("albert", {spiece: changed(albert)}),
        "DeBERTa": ("deberta-v2", {spm: deberta, config: {"do_lower_case": False}, "added_tokens.json": {"[MASK]": 454}}),
        "DeBERTa alone": ("deberta-v2", {spm: deberta}),
        "DeBERTa, in lower case": ("deberta-v2", {spm: scored, config: {"do_lower_case": True, "unk_id": 7,
                                                                       "mask_token": "[MASK]"},
                                                  "added_tokens.json": {"[MASK]": 454, "<new>": 455}}),
        "DeBERTa, extras": ("deberta-v2", {spm: deberta, config: {"additional_special_tokens": ["<t>", "<user>"]}}),
        "XLM-RoBERTa": ("xlm-roberta", {xlm: fairseq, config: {"model_max_length": 512, "mask_token": mask}}),
        "XLM-RoBERTa alone": ("xlm-roberta", {xlm: fairseq}),
        "XLM-RoBERTa, roles": ("xlm-roberta", {xlm: fairseq, config: {"add_prefix_space": False},
                                               map_file: {"bos_token": "<q>", "mask_token": "<m>",
                                                          "additional_special_tokens": ["<t>"]}}),
        "XLM-RoBERTa, no charsmap": ("xlm-roberta", {xlm: changed(fairseq), config: {"extra_special_tokens": ["<t>"]}}),
        "T5": ("t5", {spiece: t5, config: {"extra_ids": 3, "model_max_length": 512, "add_prefix_space": False}}),
        "T5 alone": ("t5", {spiece: t5}),
        "T5, extras": ("", {spiece: changed(t5), config: {**t5_class, "extra_ids": 2, "additional_special_tokens": ["<t>"]}}),
        "T5, no sentinels": ("mt5", {spiece: t5, config: {"extra_ids": 0, "additional_special_tokens": None}}),
        "T5, named sentinels": ("t5", {spiece: t5, config: {"extra_ids": 2, "eos_token": "<ctrl>"},
                                       map_file: {"additional_special_tokens": ["<t>"]}}),
        "CamemBERT": ("camembert", {camembert: fairseq, config: {"model_max_length": 512}}),
        "CamemBERT alone": ("camembert", {camembert: fairseq}),
        "CamemBERT, extras": ("camembert", {camembert: fairseq, config: {"additional_special_tokens": ["<t>"],
                                                                         "mask_token": "<mask>"}}),
        "Llama's class": ("", {plain: bpe, config: {**llama, "add_bos_token": True, "add_eos_token": False}}),
        "Llama's class, legacy, ends": ("", {plain: bpe, config: {**llama, "legacy": True, "add_eos_token": True,
                                                          "added_tokens_decoder": new}}),
        "Gemma's class": ("gemma", {plain: bpe, config: {**gemma, "add_bos_token": True}}),
        "Unigram as it is": ("", {plain: without(deberta, USER), config: backend}),
        "Unigram, no bytes": ("", {plain: without(fairseq, USER), config: backend}),
        "BPE as it is": ("", {plain: bpe, config: backend}),
        "BPE, not legacy": ("", {plain: bpe, config: {**backend, "legacy": False}}),
        "BPE, added tokens": ("", {plain: bpe, config: {**backend, "added_tokens_decoder": new}}),
        "BPE, single blanks": ("", {plain: changed(bpe, remove_extra_whitespaces=True), config: backend}),
        "BPE, charsmap": ("", {plain: changed(bpe, charsmap, remove_extra_whitespaces=True), config: backend}),
        "BPE, no prefix": ("", {plain: changed(bpe, add_dummy_prefix=False), config: backend}),
        "BPE, no marks": ("", {plain: changed(bpe, escape_whitespaces=False), config: backend}),
        "BPE, no bytes": ("", {plain: without(bpe, BYTE), config: {**backend, "bos_token": None}}),
    }, bpe


def json_cases(bpe):
    """tokenizer.json as Llama, Mistral and Gemma have them; the package reads them."""
    proto = pb.ModelProto.FromString(bpe)
    n, p, cases = normalizers, pre_tokenizers, {}
    vocab = {piece.piece: i for i, piece in enumerate(proto.pieces)}
    normal = {piece.piece: -piece.score for piece in proto.pieces if piece.type == NORMAL}
    cuts = sorted((rank, vocab[t], t[:i], t[i:]) for t, rank in normal.items() for i in range(1, len(t))
                  if t[:i] in normal and t[i:] in normal)
    merges = [(left, right) for _, _, left, right in cuts]
    some = [t for t in vocab if t not in ("<0x80>", "<0xE2>", "<0xC3>")]
    marks = n.Replace(" ", MARK)

    def add(name, normalizer, words, vocab=vocab, **model):
        fields = {"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True, **model}
        tokenizer = Tokenizer(models.BPE(vocab, merges, **fields))
        if normalizer:
            tokenizer.normalizer = normalizer
        if words:
            tokenizer.pre_tokenizer = words
        tokenizer.add_special_tokens(["<s>", "</s>"])
        cases[name] = tokenizer

    add("Llama", n.Sequence([n.Prepend(MARK), marks]), None)
    add("Mistral", None, p.Metaspace(MARK, prepend_scheme="first", split=False))
    add("Gemma", marks, p.Split(" ", "merged_with_previous"))
    add("cut behind blanks", None, p.Split(" ", "merged_with_previous"))
    add("cut at marks", None, p.Metaspace(MARK), ignore_merges=True)
    add("some bytes", marks, None, {t: i for i, t in enumerate(some)})
    add("some bytes, unknown ones apart", marks, None, {t: i for i, t in enumerate(some)}, fuse_unk=False)
    add("some bytes, no unknown token", marks, None, {t: i for i, t in enumerate(some)}, unk_token=None)
    return cases


def open_folder(model_type, files):
    folder = Path(tempfile.mkdtemp())
    try:
        write_folder(folder, model_type, files)
        return transformers.AutoTokenizer.from_pretrained(folder)
    finally:
        shutil.rmtree(folder)


def write_folder(folder, model_type, files):
    (folder / "config.json").write_text(json.dumps({"model_type": model_type} if model_type else {}))
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())


def saved_json(model_type, files):
    """The folder saved anew, with a tokenizer.json."""
    folder = Path(tempfile.mkdtemp())
    try:
        open_folder(model_type, files).save_pretrained(folder)
        names = ("tokenizer.json", "tokenizer_config.json")
        files = {name: json.loads((folder / name).read_text(encoding="utf-8")) for name in names}
        if files["tokenizer_config.json"]["model_max_length"] > 1e18:  # no limit, in more than 64 bits
            del files["tokenizer_config.json"]["model_max_length"]
        return files
    finally:
        shutil.rmtree(folder)


def make_case(name, model_type, files, tokenizer, texts):
    hashes = "".join(format(hash_ids(ids_of(tokenizer, text)) & 0xFFFFFFFF, "08x") for text in texts)
    files = {file: content.hex() if isinstance(content, bytes) else content for file, content in files.items()}
    wrapped = tokenizer.encode("a b")
    more = [[text, ids_of(tokenizer, text)] for text in (T5_TEXTS if name.startswith("T5") else [])]
    return {"name": name, "files": {"config.json": {"model_type": model_type}, **files}, "hashes": hashes,
            "a b": wrapped if isinstance(wrapped, list) else wrapped.ids, **({"ids": more} if more else {})}


# ---- real vocabularies ----


def xlm_roberta_model(shared):
    """The pieces that are shared, as fairseq's model had them, with the charsmap of another model."""
    other = pb.ModelProto.FromString((shared / "tokenizers/sentencepiece-bpe/sentencepiece.bpe.model").read_bytes())
    with gzip.open(shared / "tokenizers/xlm-roberta-base/pieces.tsv.gz", "rt", encoding="utf-8", newline="\n") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    pieces = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)]
    pieces += [(piece, float(score), NORMAL) for piece, _, score in rows[3:-1]]
    return model_of(pieces, other.normalizer_spec.precompiled_charsmap)


def multilingual(shared):
    tokenizers = shared / "tokenizers"
    bpe = (tokenizers / "sentencepiece-bpe/sentencepiece.bpe.model").read_bytes()
    folders = {
        "deberta-v3": ("deberta-v2", {"spm.model": (tokenizers / "deberta-v3/spm.model").read_bytes()}),
        "xlm-roberta-base": ("xlm-roberta", {"sentencepiece.bpe.model": xlm_roberta_model(shared)}),
        "sentencepiece-bpe": ("", {"tokenizer.model": bpe,
                                   "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast"}}),
    }
    out = {}
    for name, (model_type, files) in folders.items():
        tokenizer, out[name] = open_folder(model_type, files), {}
        for path in sorted((shared / "data" / "multilingual").glob("*.txt")):
            lines = path.read_text(encoding="utf-8").split("\n")
            ids = tokenizer(lines, add_special_tokens=False)["input_ids"]
            out[name][path.name] = "".join(format(hash_ids(i) & 0xFFFF, "04x") for i in ids)
    return out


def multilingual_as(shared, tokenizer_class, model, name):
    """One hash of the ids of all lines of a file."""
    tokenizer, out = open_folder("", {name: (shared / "tokenizers" / model).read_bytes(),
                                      "tokenizer_config.json": {"tokenizer_class": tokenizer_class}}), {}
    for path in sorted((shared / "data" / "multilingual").glob("*.txt")):
        ids = tokenizer(path.read_text(encoding="utf-8").split("\n"), add_special_tokens=False)["input_ids"]
        out[path.name] = format(hash_ids([i for line in ids for i in line]), "016x")
    return out


def main():
    shared = Path(sys.argv[1])
    lines = excerpts(shared)
    texts = TEXTS + ODD_TEXTS + MORE_TEXTS + lines
    folders, bpe = folder_cases(small_pieces(lines + ODD_TEXTS + MORE_TEXTS), compile_charsmap(RULES), lines)
    for name in ("CamemBERT", "ALBERT", "Llama's class", "T5"):
        folders[f"{name}, tokenizer.json"] = (folders[name][0], saved_json(*folders[name]))
    bare = {key: value for key, value in saved_json(*folders["T5, no sentinels"]).items() if key == "tokenizer.json"}
    t5_class = {"tokenizer_class": "T5Tokenizer"}
    folders["T5, sentinels behind tokenizer.json"] = ("t5", {**bare, "tokenizer_config.json": {**t5_class, "extra_ids": 4}})
    folders["T5, its map behind tokenizer.json"] = ("t5", {
        **bare, "tokenizer_config.json": {**t5_class, "extra_ids": 2},
        "special_tokens_map.json": {"additional_special_tokens": ["<t>", "<u>"]}})
    cases = [make_case(name, *case, open_folder(*case), texts) for name, case in folders.items()]
    cases += [make_case(name, "", {"tokenizer.json": json.loads(tokenizer.to_str())}, tokenizer, texts)
              for name, tokenizer in json_cases(bpe).items()]
    head = {"versions": {**VERSIONS, "sentencepiece": sentencepiece.__version__}, "texts": texts,
            "each hash": "the last 8 hex digits of FNV-1a over the ids, of a line the last 4",
            "multilingual": multilingual(shared),
            "multilingual as Llama": multilingual_as(shared, "LlamaTokenizer", "sentencepiece-bpe/sentencepiece.bpe.model",
                                                     "tokenizer.model"),
            "multilingual as T5": multilingual_as(shared, "T5Tokenizer", "deberta-v3/spm.model", "spiece.model")}
    text = ",\n".join(json.dumps(case, ensure_ascii=True, separators=(",", ":")) for case in cases)
    head = json.dumps(head, ensure_ascii=True, separators=(",", ":"))
    (OUT / "sentencepiece.json").write_text(head[:-1] + ',"cases":[\n' + text + "\n]}\n", encoding="ascii")


if __name__ == "__main__":
    main()
