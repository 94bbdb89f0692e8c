"""Writes tests/data/text/ends.json: which tokens the reference puts around texts where tokenizer_config.json says
add_bos_token or add_eos_token, with a tokenizer.json of any post_processor and without one, by class and kind of model.

usage: python tools/golden/ends_golden.py      (needs tokenizers, transformers, sentencepiece, protobuf)
"""

import itertools
import json

from sentencepiece_golden import CONTROL, NORMAL, OUT, UNKNOWN, USER, model_of, open_folder, pb
from tokenizer_golden import VERSIONS
from unigram_golden import MARK

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

END = "<|endoftext|>"
BYTE_CLASSES = [("Qwen2Tokenizer", "qwen3"), ("Qwen2TokenizerFast", "qwen2"), ("GPT2Tokenizer", "gpt2"), (None, "qwen3"),
                ("PreTrainedTokenizerFast", "qwen3"), ("LlamaTokenizer", "llama"), ("RobertaTokenizer", "roberta")]
PIECE_CLASSES = [("LlamaTokenizer", "llama"), ("LlamaTokenizerFast", "mistral"), ("GemmaTokenizer", "gemma2"),
                 ("PreTrainedTokenizerFast", "llama")]
FLAGS = [{}, {"add_bos_token": True}, {"add_eos_token": True}, {"add_bos_token": False}, {"add_eos_token": False},
         {"add_bos_token": True, "add_eos_token": True}]
NAMED = [{"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": True, "add_eos_token": True}]
NULLS = [{"bos_token": None, "add_bos_token": True, "add_eos_token": True}]


# ---- files ----


def bytes_tokenizer():
    tokenizer = Tokenizer(models.BPE({MARK: 0, "a": 1, "b": 2, "\u0120": 3, "<s>": 4, "</s>": 5, END: 6, "<unk>": 7,
                                      "<pad>": 8, "<mask>": 9}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(["<s>", "</s>", END])
    return tokenizer


def pieces_tokenizer():
    names = ["<unk>", "<s>", "</s>", "<pad>", "<bos>", "<eos>", "<mask>", MARK, "a", "b", END]
    tokenizer = Tokenizer(models.BPE({name: i for i, name in enumerate(names)}, [], unk_token="<unk>", fuse_unk=True,
                                     byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", MARK)
    tokenizer.add_special_tokens([name for name in names if name.startswith("<")])
    return tokenizer


def post_processors(tokenizer, byte_level):
    def template(single, pair, *names):
        tokens = [(name, tokenizer.token_to_id(name)) for name in names]
        return processors.TemplateProcessing(single=single, pair=pair, special_tokens=tokens)

    found = {"none": None, "begin": template("<s> $A", "<s> $A <s>:1 $B:1", "<s>"),
             "both": template("<s> $A </s>", "<s> $A $B:1 </s>:1", "<s>", "</s>")}
    if byte_level:
        last = template(f"$A {END}", f"$A $B:1 {END}:1", END)
        level = processors.ByteLevel(trim_offsets=False)
        found |= {"bytes": level, "bytes, an end": processors.Sequence([level, last])}
    return found


def json_files():
    """name -> (is it of bytes?, {file: content})"""
    out = {}
    for make, is_bytes in ((bytes_tokenizer, True), (pieces_tokenizer, False)):
        for name, post in post_processors(make(), is_bytes).items():
            tokenizer = make()
            if post:
                tokenizer.post_processor = post
            out[f"{'bytes' if is_bytes else 'pieces'}, {name}"] = is_bytes, {"tokenizer.json": json.loads(tokenizer.to_str())}
    return out


def older_files():
    normal = [(MARK + "a", -1.0, NORMAL), (MARK + "b", -1.0, NORMAL), (MARK, -2.0, NORMAL), ("a", -3.0, NORMAL),
              ("b", -3.0, NORMAL)]
    unigram = model_of([("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL), *normal])
    bpe = pb.ModelProto.FromString(unigram)
    bpe.trainer_spec.model_type = 2
    albert = model_of([("<pad>", 0.0, CONTROL), ("<unk>", 0.0, UNKNOWN), ("[CLS]", 0.0, USER), ("[SEP]", 0.0, USER),
                       ("[MASK]", 0.0, USER), *normal])
    t5 = model_of([("<pad>", 0.0, CONTROL), ("</s>", 0.0, CONTROL), ("<unk>", 0.0, UNKNOWN), *normal])
    names = [*bytes_tokenizer().get_vocab()]
    vocab = {name: i for i, name in enumerate(sorted(names))}
    return {"vocab.json": {"vocab.json": vocab, "merges.txt": b"#version: 0.2\n"}, "unigram": {"tokenizer.model": unigram},
            "bpe": {"tokenizer.model": bpe.SerializeToString()}, "xlm": {"sentencepiece.bpe.model": unigram},
            "albert": {"spiece.model": albert}, "t5": {"spiece.model": t5}}


# ---- cases ----


def cases(jsons):
    """(name of the files, class, model_type, settings)"""
    for name, (is_bytes, _) in jsons.items():
        for (tokenizer_class, model_type), flags in itertools.product(BYTE_CLASSES if is_bytes else PIECE_CLASSES, FLAGS):
            yield name, tokenizer_class, model_type, flags
    older = [("vocab.json", "GPT2Tokenizer", "gpt2"), ("vocab.json", "Qwen2Tokenizer", "qwen3"),
             ("unigram", "PreTrainedTokenizerFast", ""), ("bpe", None, "llama"), ("bpe", "LlamaTokenizer", "llama"),
             ("bpe", "LlamaTokenizer", "mistral")]
    for (name, tokenizer_class, model_type), flags in itertools.product(older, FLAGS + NAMED + NULLS):
        yield name, tokenizer_class, model_type, flags
    others = [("vocab.json", "RobertaTokenizer", "roberta"), ("xlm", "XLMRobertaTokenizer", "xlm-roberta"),
              ("albert", "AlbertTokenizer", "albert"), ("t5", "T5Tokenizer", "t5")]
    for (name, tokenizer_class, model_type), flags in itertools.product(others, FLAGS):
        yield name, tokenizer_class, model_type, flags


def make_case(files, name, tokenizer_class, model_type, flags):
    config = {**flags, **({"tokenizer_class": tokenizer_class} if tokenizer_class else {})}
    tokenizer = open_folder(model_type, {**files[name], "tokenizer_config.json": config})
    return {"files": name, "model_type": model_type, "config": config, "single": tokenizer("a b")["input_ids"],
            "pair": tokenizer("a b", "a b")["input_ids"]}


def main():
    jsons = json_files()
    files = {**{name: content for name, (_, content) in jsons.items()}, **older_files()}
    rows = [make_case(files, *case) for case in cases(jsons)]
    written = {name: {file: content.hex() if isinstance(content, bytes) else content for file, content in of.items()}
               for name, of in files.items()}
    head = json.dumps({"versions": VERSIONS, "files": written}, separators=(",", ":"))
    text = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    (OUT / "ends.json").write_text(head[:-1] + ',"cases":[\n' + text + "\n]}\n", encoding="ascii")
    print(len(rows), "cases")


if __name__ == "__main__":
    main()
