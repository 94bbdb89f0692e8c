#!/usr/bin/env python3
"""Writes tests/data/golden/adapters/NAME/, LoRA adapters of models in tests/data/golden, and adapters.json with what PEFT
makes of them: logits of pairs, or embeddings of texts, in float32.

    adapter_golden.py      (needs the package peft)

Adapters are random, and large enough that results are others than the model's by far. base_model_name_or_path is a name
that CROSSENC_MODELS finds, so that the folders can be anywhere.
"""

import json
import shutil
import warnings
from importlib.metadata import version

import common
import numpy as np
import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

GOLDEN = common.ROOT / "tests" / "data" / "golden"
OUT = GOLDEN / "adapters"
PAIRS = [("how many people live in berlin?", "Berlin has a population of 3,520,031 people."), ("who was in the war", ""),
         ("the wing", "the pressure of the air on the wing is not the answer"), ("", "")]  # fmt: skip
TEXTS = ["how many people live in berlin?", "the sea", ""]

# folder: the model's; labels: of a classifier that is trained on an encoder; bi: embeddings, mean pooling.
ADAPTERS = {
    "patterns": {
        "folder": "models/three-labels",
        "config": {"task_type": TaskType.SEQ_CLS, "r": 4, "lora_alpha": 8, "use_rslora": True, "bias": "all",
                   "target_modules": ["query", "value", "dense"], "alpha_pattern": {"self.query": 3},
                   "rank_pattern": {"encoder.layer.0.attention.self.value": 2}},
    },
    "classifier": {
        "folder": "encoders/mean", "labels": 2,
        "config": {"task_type": TaskType.SEQ_CLS, "r": 3, "lora_alpha": 5, "target_modules": ["key", "output.dense"],
                   "modules_to_save": ["classifier", "pooler"]},
    },
    "encoder": {
        "folder": "models/three-labels", "bi": True, "binary": True,
        "config": {"task_type": TaskType.FEATURE_EXTRACTION, "r": 2, "lora_alpha": 6, "bias": "lora_only",
                   "target_modules": "all-linear"},
    },
    "xlm-roberta": {
        "folder": "models/xlm-roberta-unigram",
        "config": {"task_type": TaskType.SEQ_CLS, "r": 2, "lora_alpha": 4, "target_modules": ["query", "value"]},
    },
    "xlm-roberta-encoder": {
        "folder": "models/xlm-roberta-unigram", "bi": True,
        "config": {"task_type": TaskType.FEATURE_EXTRACTION, "r": 2, "lora_alpha": 4, "target_modules": ["query", "value"]},
    },
    "tables": {
        "folder": "models/three-labels",
        "config": {"task_type": TaskType.SEQ_CLS, "r": 3, "lora_alpha": 6, "alpha_pattern": {"word_embeddings": 2},
                   "target_modules": ["word_embeddings", "position_embeddings", "token_type_embeddings", "query"]},
    },
    "tables-gemma3": {
        "folder": "models/gemma3",
        "config": {"task_type": TaskType.SEQ_CLS, "r": 2, "lora_alpha": 1, "target_modules": ["embed_tokens"]},
    },
}  # fmt: skip


def load(spec):
    folder = GOLDEN / spec["folder"]
    kind = AutoModel if spec.get("bi") else AutoModelForSequenceClassification
    more = {"num_labels": spec["labels"]} if "labels" in spec else {}
    return kind.from_pretrained(folder, dtype=torch.float32, **more), AutoTokenizer.from_pretrained(folder)


def make(name, spec, seed):
    torch.manual_seed(seed)
    model, _ = load(spec)
    model = get_peft_model(model, LoraConfig(init_lora_weights=False, **spec["config"]))
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if "lora_" in key or parameter.requires_grad:
                parameter.copy_(torch.randn_like(parameter) * 0.4)
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, safe_serialization=not spec.get("binary"))
    (folder / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = spec["folder"].split("/")[1]
    for path in folder.iterdir():
        path.chmod(0o644)
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    return folder


def results(folder, spec):
    torch.manual_seed(99)  # of what neither the model nor the adapter has, which must not count
    model, tokenizer = load(spec)
    model = PeftModel.from_pretrained(model, folder).eval()
    out = []
    for item in TEXTS if spec.get("bi") else PAIRS:
        encoded = tokenizer([item], return_tensors="pt") if spec.get("bi") else tokenizer(
            [item[0]], [item[1]], return_tensors="pt")
        with torch.inference_mode():
            found = model(**encoded)
        row = found.last_hidden_state.mean(1)[0] if spec.get("bi") else found.logits[0]
        out.append([float(f"{value:.9g}") for value in np.asarray(row, np.float32)])
    return out


def main():
    warnings.filterwarnings("ignore")
    cases = []
    for seed, (name, spec) in enumerate(ADAPTERS.items()):
        folder = make(name, spec, seed + 500)
        cases.append({"name": name, "folder": spec["folder"], "bi_encoder": bool(spec.get("bi")),
                      "inputs": TEXTS if spec.get("bi") else PAIRS, "results": results(folder, spec)})
        print(name, sum(path.stat().st_size for path in folder.iterdir()), "bytes", cases[-1]["results"][0][:3])
    head = {"made_by": "tools/golden/adapter_golden.py", "versions": {**common.versions(), "peft": version("peft")}}
    text = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    (GOLDEN / "adapters.json").write_text(json.dumps(head)[:-1] + ',"cases":[\n' + text + "\n]}\n", encoding="ascii")


if __name__ == "__main__":
    main()
