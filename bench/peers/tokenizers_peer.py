"""One thread of this project's tokenizer beside one thread of the `tokenizers` package, on the same real texts.

usage: python bench/peers/tokenizers_peer.py PROGRAM SHARED [ROUNDS]
           PROGRAM the bench program tokenizer_speed; SHARED the folder of models and data

Prints a line for each vocabulary and collection: megabytes of text a second of both, the ratio, and how long loading
takes. The package runs its quickest call, encode_batch_fast, which keeps no offsets; the best of ROUNDS (3) counts for
both. Both must give the same number of tokens.
"""

import base64
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

from tokenizers import Regex, Tokenizer, __version__, models, normalizers, pre_tokenizers  # noqa: E402

WORDPIECE = {"bert-base-uncased": True, "bert-base-multilingual-cased": False}  # name -> lower case
BPE = ["roberta-base", "modernbert", "qwen3", "jina-reranker-v1-tiny-en"]
UNIGRAM = "xlm-roberta-base"

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def collections(shared):
    """name -> texts without line ends"""
    corpus = [json.loads(line) for line in (shared / "data/scifact/corpus.jsonl").open(encoding="utf-8")]
    files = sorted((shared / "data/multilingual").glob("*.txt"))
    lines = [line for path in files for line in path.read_text(encoding="utf-8").split("\n")]
    return {"scifact": [f"{d['title']} {d['text']}".replace("\n", " ") for d in corpus], "multilingual": lines * 8}


def unigram(folder):
    """XLM-RoBERTa's: its pieces, and the charsmap nmt_nfkc, which another tokenizer has."""
    with gzip.open(folder / "pieces.tsv.gz", "rt", encoding="utf-8", newline="\n") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    other = json.loads((folder.parent / "sentencepiece-bpe/tokenizer.json").read_text(encoding="utf-8"))
    charsmap = base64.b64decode(other["normalizer"]["precompiled_charsmap"])
    pieces = [("<s>", 0.0)] + [(piece, float(score)) for piece, _, score in rows]
    tokenizer = Tokenizer(models.Unigram(pieces, 3, False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Precompiled(charsmap), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    return tokenizer


def package_tokenizer(folder):
    if folder.name in WORDPIECE:
        tokenizer = Tokenizer(models.WordPiece.from_file(str(folder / "vocab.txt"), unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=WORDPIECE[folder.name])
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.add_special_tokens(SPECIALS)
        return tokenizer
    if folder.name == UNIGRAM:
        return unigram(folder)
    if (folder / "tokenizer.json").exists():
        return Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer = Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer


def our_folder(folder, package, work):
    """The folder itself, or one with the settings that package_tokenizer has."""
    if folder.name == UNIGRAM:
        package.save(str(Path(work, "tokenizer.json")), pretty=False)
        return work
    if folder.name not in WORDPIECE:
        return folder
    Path(work, "vocab.txt").write_bytes((folder / "vocab.txt").read_bytes())
    Path(work, "tokenizer_config.json").write_text(json.dumps({"do_lower_case": WORDPIECE[folder.name]}))
    return work


def package_seconds(tokenizer, texts, rounds):
    best, tokens = float("inf"), 0
    for _ in range(rounds):
        start, tokens = time.perf_counter(), 0
        for at in range(0, len(texts), 256):
            encoded = tokenizer.encode_batch_fast(texts[at : at + 256], add_special_tokens=False)
            tokens += sum(len(e) for e in encoded)
        best = min(best, time.perf_counter() - start)
    return best, tokens


def main():
    program, shared = sys.argv[1], Path(sys.argv[2])
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    print(f"tokenizers {__version__}, one thread each")
    for vocabulary in [*WORDPIECE, *BPE, UNIGRAM]:
        folder = shared / "tokenizers" / vocabulary
        start = time.perf_counter()
        package = package_tokenizer(folder)
        load_ms = (time.perf_counter() - start) * 1e3
        for name, texts in collections(shared).items():
            with tempfile.TemporaryDirectory() as work:
                Path(work, "texts").write_text("\n".join(texts) + "\n", encoding="utf-8")
                command = [program, our_folder(folder, package, work), f"{work}/texts", str(rounds)]
                out = subprocess.run(command, check=True, capture_output=True)
            ours = json.loads(out.stdout)
            seconds, tokens = package_seconds(package, texts, rounds)
            assert tokens == ours["tokens"], (tokens, ours)
            theirs = ours["bytes"] / seconds / 1e6
            print(f"{vocabulary:28} {name:12} {ours['mb_per_s']:7.1f} MB/s, package {theirs:6.1f} MB/s, "
                  f"ratio {ours['mb_per_s'] / theirs:5.1f}, load {ours['load_ms']:.0f} ms, package {load_ms:.0f} ms",
                  flush=True)


if __name__ == "__main__":
    main()
