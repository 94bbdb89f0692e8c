#!/usr/bin/env python3
"""Writes a Hugging Face model folder in crossenc's weight-only int8 form.

    quantize_checkpoint.py MODEL_DIR OUT_DIR

Every matrix of at least --min-values values and two rows (linear weights and embedding tables) becomes int8 with a
scale for each row; the rest (biases, norms, the classifier, small tables) becomes float32. Computation stays float32:
the form makes a model smaller, not faster. The tokenizer is written as vocab.txt where that alone says all, which is
checked here against the folder's tokenizer.json; else tokenizer.json is copied. Needs numpy; no framework.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np

import checkpoint

FORM = "weight-only int8: NAME I8 [rows, columns], NAME.scale F32 [rows], weight = scale * value"
TOKENIZER_CONFIG_KEPT = (
    "cls_token", "do_basic_tokenize", "do_lower_case", "mask_token", "model_max_length", "never_split", "pad_token",
    "padding_side", "sep_token", "strip_accents", "tokenize_chinese_chars", "tokenizer_class", "truncation_side",
    "unk_token",
)  # fmt: skip


def quantize(tensors, min_values):
    out, report = {}, []
    for name, stored in sorted(tensors.items()):
        plain = stored.float32()
        if plain.ndim != 2 or plain.shape[0] < 2 or plain.size < min_values or name.startswith("classifier"):
            out[name] = checkpoint.to_stored(plain, "F32")
            continue
        values, scale = checkpoint.quantize_rows(plain)
        error = plain - scale[:, None] * values.astype(np.float32)
        report.append((name, float(np.sqrt((error**2).sum() / (plain**2).sum()))))
        out[name] = checkpoint.Stored("I8", values)
        out[name + checkpoint.SCALE] = checkpoint.Stored("F32", scale)
    return out, report


def vocab_txt_says_all(folder):
    """Whether tokenizer.json is what vocab.txt and tokenizer_config.json give: a plain BERT WordPiece tokenizer."""
    if not (folder / "vocab.txt").exists():
        return False
    if not (folder / "tokenizer.json").exists():
        return True
    config = json.loads((folder / "tokenizer_config.json").read_text())
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    pieces = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")[:-1]
    model, normalizer = tokenizer["model"], tokenizer["normalizer"]
    special = {config[key] for key in ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token")}
    return (
        model["type"] == "WordPiece"
        and model["vocab"] == {piece: i for i, piece in enumerate(pieces)}
        and (model["unk_token"], model["continuing_subword_prefix"]) == (config["unk_token"], "##")
        and model["max_input_chars_per_word"] == 100
        and (normalizer["type"], normalizer["clean_text"]) == ("BertNormalizer", True)
        and normalizer["lowercase"] == config["do_lower_case"]
        and normalizer["strip_accents"] == config.get("strip_accents")
        and normalizer["handle_chinese_chars"] == config.get("tokenize_chinese_chars", True)
        and tokenizer["pre_tokenizer"] == {"type": "BertPreTokenizer"}
        and {token["content"] for token in tokenizer["added_tokens"]} == special
    )


def write_tokenizer(folder, out):
    if not vocab_txt_says_all(folder):
        for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
            if (folder / name).exists():
                shutil.copyfile(folder / name, out / name)
        return
    shutil.copyfile(folder / "vocab.txt", out / "vocab.txt")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    kept = {key: config[key] for key in TOKENIZER_CONFIG_KEPT if key in config}
    (out / "tokenizer_config.json").write_text(json.dumps(kept, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--min-values", type=int, default=4096)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    tensors, report = quantize(checkpoint.read_folder(options.model), options.min_values)
    metadata = {"format": "pt", "crossenc.weights": FORM}
    checkpoint.write_file(options.out / checkpoint.SINGLE, tensors, metadata)
    shutil.copyfile(options.model / "config.json", options.out / "config.json")
    (options.out / "config.json").chmod(0o644)
    write_tokenizer(options.model, options.out)
    for name, error in report:
        print(f"{error:9.6f}  {name}")
    print(f"{sum(p.stat().st_size for p in options.out.iterdir()):9d}  bytes")


if __name__ == "__main__":
    main()
