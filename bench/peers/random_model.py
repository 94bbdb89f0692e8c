#!/usr/bin/env python3
"""Writes a cross-encoder of a published shape with random weights, whose speed is that of the trained one.

    random_model.py modernbert-base|modernbert-large|ettin-17m FOLDER [--tokenizer FOLDER]

For `run.py --model FOLDER --peers torch`. The tokenizer is ../shared/tokenizers/modernbert. Needs torch and transformers.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from transformers import ModernBertConfig, ModernBertForSequenceClassification

ROOT = Path(__file__).resolve().parents[2]

SHAPES = {
    "modernbert-base": {},
    "modernbert-large": {"hidden_size": 1024, "num_hidden_layers": 28, "num_attention_heads": 16,
                         "intermediate_size": 2624},
    "ettin-17m": {"hidden_size": 256, "num_hidden_layers": 7, "num_attention_heads": 4, "intermediate_size": 384,
                  "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 160000.0},
                                      "sliding_attention": {"rope_type": "default", "rope_theta": 160000.0}}},
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tokenizer", type=Path, default=ROOT.parent / "shared" / "tokenizers" / "modernbert")
    options = parser.parse_args()
    torch.manual_seed(1)
    config = ModernBertConfig(num_labels=1, **SHAPES[options.shape])
    ModernBertForSequenceClassification(config).save_pretrained(options.folder)
    target = options.folder / "tokenizer.json"
    shutil.copyfile(options.tokenizer / "tokenizer.json", target)
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 8192, "pad_token": "[PAD]",
                "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]", "mask_token": "[MASK]",
                "model_input_names": ["input_ids", "attention_mask"]}  # fmt: skip
    (options.folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")


if __name__ == "__main__":
    main()
