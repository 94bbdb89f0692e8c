#!/usr/bin/env python3
"""Writes tests/data/golden/encoders/NAME/ and the reference's embeddings for it, tests/data/golden/encoder-NAME.json.

    encoder_golden.py [NAME ...]

Small random bi-encoders that cover the modules of Sentence Transformers, in the file forms of its old and new versions.
Embeddings are float32, one text at a time, so that padding has no part in them; a case says with which arguments.
"""

import json
import re
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

import common
import numpy as np
import tiny_models
import tiny_modules
import torch
from sentence_transformers import SentenceTransformer
from tiny_modules import write_json

import checkpoint

OUT = common.ROOT / "tests" / "data" / "golden"
ACTIVATION = "torch.nn.modules.activation."

TEXTS = [
    "how many people live in berlin?", "Berlin has a population of 3,520,031 people in an area of 891.82 square km.",
    "", "a", "the sea", "Ünïcödé ÀÉÎ straße — “quoted” … 100 %", "北京人口是多少？ 日本語ひらカタナ 한국어",
    "tokens [SEP] inside [CLS] and [MASK]", "NASA Berlin BERLIN berlin É é", "x" * 100 + " unbelievableness",
    " ".join(tiny_models.WORDS), "e\u0301 A\u030a \ufb01 zero\u0000width\ufeff \U0001f600",
]  # fmt: skip
CALLS = [{}, {"normalize_embeddings": True}, {"truncate_dim": 7}, {"truncate_dim": 5, "normalize_embeddings": True}]

CLASSES = {"bert": "Bert", "modernbert": "ModernBert", "mpnet": "MPNet", "qwen3": "Qwen3", "gemma3_text": "Gemma3Text"}
ENCODER = re.compile(r"bert\.(encoder|embeddings)|model\.|mpnet\.")
NO_TYPES = ("qwen3", "gemma3_text")

# kind: model_type; config: what differs from tiny_models.BASE; prefix: names begin with "bert."; modules: (class, config) behind the
# transformer; settings: config_sentence_transformers.json; calls: more arguments of encode.
ENCODERS = {
    "mean": {
        "config": {"hidden_size": 24}, "old": True,
        "bert": {"max_seq_length": 40, "do_lower_case": False},
        "modules": [("Pooling", {"word_embedding_dimension": 24, "pooling_mode_cls_token": False,
                                 "pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": False,
                                 "pooling_mode_mean_sqrt_len_tokens": False}), ("Normalize", None)],
        "settings": {"prompts": {"query": "question: ", "passage": "", "the": "the sea"},
                     "default_prompt_name": "query", "similarity_fn_name": "dot"},
        "calls": [{"prompt_name": "passage"}, {"prompt": "of the "}],
    },
    "cls-dense": {
        "config": {"hidden_size": 20, "num_attention_heads": 2, "intermediate_size": 31, "hidden_act": "relu"},
        "prefix": "bert.", "store": "F16", "transformer": "0_Transformer", "tokenizer": "vocab", "limit": 30,
        "modules": [("Pooling", {"embedding_dimension": 20, "pooling_mode": "cls", "include_prompt": True}),
                    ("Dense", {"in_features": 20, "out_features": 33, "bias": True,
                               "activation_function": ACTIVATION + "Tanh"}),
                    ("Dropout", {"dropout": 0.1}), ("LayerNorm", {"dimension": 33}),
                    ("Dense", {"in_features": 33, "out_features": 16, "bias": False,
                               "activation_function": "torch.nn.modules.linear.Identity"}), ("Normalize", {})],
        "settings": {"model_type": "SentenceTransformer", "prompts": {"document": "x"}, "default_prompt_name": None,
                     "similarity_fn_name": "euclidean"},
    },
    "all-poolings": {
        "config": {"hidden_size": 12, "num_attention_heads": 3, "num_hidden_layers": 3, "hidden_act": "gelu_new"},
        "limit": 40,
        "modules": [("Pooling", {"embedding_dimension": 12, "include_prompt": False, "pooling_mode": [
            "max", "cls", "weightedmean", "mean", "lasttoken", "mean_sqrt_len_tokens"]})],
        "settings": {"model_type": "SentenceTransformer", "prompts": {"query": "question: the of", "document": ""},
                     "default_prompt_name": "query", "truncate_dim": 50},
        "calls": [{"prompt": ""}, {"prompt": "x" * 90}, {"truncate_dim": 1000}],
    },
    "plain-classifier": {"config": {"hidden_size": 18, "num_attention_heads": 2}, "prefix": "bert.", "classifier": True,
                         "limit": 64},
    "old-max-cased": {
        "config": {"hidden_size": 14, "num_attention_heads": 2, "num_hidden_layers": 1}, "cased": True, "old": True,
        "bert": {"max_seq_length": 32, "do_lower_case": True}, "tokenizer": "vocab",
        "modules": [("Pooling", {"word_embedding_dimension": 14, "pooling_mode_cls_token": True,
                                 "pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": True}),
                    ("Dense", {"in_features": 28, "out_features": 9, "bias": True,
                               "activation_function": ACTIVATION + "GELU"})],
        "settings": {"__version__": {"sentence_transformers": "2.0.0"}},
    },
    "modernbert": {
        "kind": "modernbert", "limit": 60, "store": "F16",
        "config": {"hidden_size": 20, "num_attention_heads": 2, "intermediate_size": 26, "num_hidden_layers": 3,
                   "local_attention": 6},
        "modules": [("Pooling", {"embedding_dimension": 20, "pooling_mode": "cls"}), ("Normalize", {})],
        "settings": {"model_type": "SentenceTransformer", "prompts": {}, "similarity_fn_name": "cosine"},
    },
    # As all-mpnet-base-v2 is published.
    "mpnet": {
        "kind": "mpnet", "limit": 60, "tokenizer": "mpnet",
        "config": {"hidden_size": 20, "num_attention_heads": 2, "intermediate_size": 26},
        "bert": {"max_seq_length": 50, "do_lower_case": False},
        "modules": [("Pooling", {"embedding_dimension": 20, "pooling_mode": "mean"}), ("Normalize", {})],
        "settings": {"model_type": "SentenceTransformer", "prompts": {}, "similarity_fn_name": "cosine"},
    },
    "qwen3": {
        "kind": "qwen3", "limit": 40, "store": "BF16", "keys": tiny_models.DECODER, "gain": 0.9,
        "config": {"hidden_size": 20, "num_attention_heads": 4, "intermediate_size": 26, "hidden_act": "silu",
                   "layer_norm_eps": 1e-6, "num_key_value_heads": 2, "head_dim": 8, "rope_theta": 1000000},
        "modules": [("Pooling", {"embedding_dimension": 20, "pooling_mode": "lasttoken", "include_prompt": True}),
                    ("Normalize", {})],
        "settings": {"model_type": "SentenceTransformer", "prompts": {"query": "question: ", "document": ""},
                     "similarity_fn_name": "cosine"},
        "calls": [{"prompt_name": "query"}],
    },
    # As embeddinggemma is: every token sees all others, or those in a window around it.
    "gemma3": {
        "kind": "gemma3_text", "limit": 60, "store": "BF16", "keys": tiny_models.GEMMA, "gain": 0.9,
        "config": {"hidden_size": 16, "num_attention_heads": 4, "intermediate_size": 22, "num_hidden_layers": 3,
                   "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6, "num_key_value_heads": 1, "head_dim": 6,
                   "query_pre_attn_scalar": 6, "sliding_window": 8, "use_bidirectional_attention": True,
                   "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]},
        "modules": [("Pooling", {"embedding_dimension": 16, "pooling_mode": "mean", "include_prompt": True}),
                    ("Dense", {"in_features": 16, "out_features": 24, "bias": False,
                               "activation_function": "torch.nn.modules.linear.Identity"}), ("Normalize", {})],
        "settings": {"model_type": "SentenceTransformer", "prompts": {}, "similarity_fn_name": "cosine"},
    },
}  # fmt: skip


def write_transformer(folder, spec, seed):
    folder.mkdir(parents=True, exist_ok=True)
    kind = spec.get("kind", "bert")
    tokenizer = {"tokenizer": spec.get("tokenizer", "json"), "limit": spec.get("limit"), "cased": spec.get("cased"),
                 "no_types": kind in NO_TYPES}
    vocabulary = tiny_models.vocabulary_of(tokenizer)
    config = {**tiny_models.BASE, **spec["config"], "vocab_size": len(vocabulary)}
    config = {spec.get("keys", {}).get(key, key): value for key, value in config.items()}
    name = "BertForSequenceClassification" if spec.get("classifier") else f"{CLASSES[kind]}Model"
    written = {"architectures": [name], "model_type": kind, **config, "pad_token_id": tiny_models.padding_of(vocabulary)}
    write_json(folder / "config.json", written)
    whole = {**written, "architectures": [f"{CLASSES[kind]}ForSequenceClassification"], "num_labels": 2}
    arrays = tiny_models.weights(whole, 1.0, seed, spec.get("gain", 1.6))
    kept = {k: v for k, v in arrays.items() if spec.get("classifier") or ENCODER.match(k)}
    prefix = spec.get("prefix", "")
    named = {k if k.startswith("classifier") else prefix + re.sub(r"^(bert|model|mpnet)\.", "", k): v
             for k, v in kept.items()}  # fmt: skip
    tiny_models.store(folder, named, spec.get("store", "F32"))
    tiny_models.write_tokenizer(folder, tokenizer, vocabulary)
    if "bert" in spec:
        write_json(folder / "sentence_bert_config.json", spec["bert"])


def make(folder, spec, seed):
    shutil.rmtree(folder, ignore_errors=True)
    rng = np.random.Generator(np.random.PCG64(seed))
    transformer = spec.get("transformer", "")
    write_transformer(folder / transformer, spec, seed)
    if "modules" not in spec:
        return
    tiny_modules.write(folder, spec["modules"], rng, transformer, spec.get("old", False))
    write_json(folder / "config_sentence_transformers.json", spec["settings"])


def reference(folder, out):
    """The reference in float32. A bi-encoder's modules are float32 already; its transformer may not be."""
    shutil.copytree(folder, out, dirs_exist_ok=True)
    for weights in out.glob("**/" + checkpoint.SINGLE):
        if weights.parent.name in ("", out.name, "0_Transformer"):
            with tempfile.TemporaryDirectory() as copy:
                common.plain_copy(weights.parent, Path(copy))
                shutil.copy(Path(copy) / checkpoint.SINGLE, weights)
    torch.set_num_threads(1)
    return SentenceTransformer(str(out), device="cpu", model_kwargs={"dtype": torch.float32})


def numbers(array):
    """Infinity, which JSON has not, is null."""
    return [float(f"{v:.8g}") if np.isfinite(v) else None for v in np.asarray(array, np.float32).reshape(-1)]


def case(model, texts, call):
    options = {"batch_size": 1, "show_progress_bar": False, **call}
    return {"call": call, "embeddings": [numbers(model.encode([text], **options)[0]) for text in texts]}


def tokens(model, text):
    features = model.encode([text], output_value=None, batch_size=1)[0]
    ids = features["input_ids"].tolist()
    return {"text": text, "ids": ids, "token_embeddings": numbers(features["token_embeddings"].float())}


def golden(name, folder):
    with tempfile.TemporaryDirectory() as copy:
        model = reference(folder, Path(copy) / "model")
        return {
            "made_by": "tools/golden/encoder_golden.py",
            "versions": common.versions(),
            "max_length": model.max_seq_length,
            "dimension": model.get_embedding_dimension() if model.truncate_dim is None else None,
            "similarity": model.similarity_fn_name,
            "prompts": [[key, value] for key, value in model.prompts.items()],
            "default_prompt": model.default_prompt_name,
            "texts": TEXTS,
            "cases": [case(model, TEXTS, call) for call in CALLS + ENCODERS[name].get("calls", [])],
            "tokens": [tokens(model, TEXTS[i]) for i in (0, 2)],
        }


def main():
    warnings.filterwarnings("ignore")
    for seed, name in enumerate(ENCODERS):
        if len(sys.argv) > 1 and name not in sys.argv[1:]:
            continue
        folder = OUT / "encoders" / name
        make(folder, ENCODERS[name], seed + 300)
        out = golden(name, folder)
        text = json.dumps(out, ensure_ascii=True, separators=(",", ":")).replace('{"call":', '\n{"call":')
        (OUT / f"encoder-{name}.json").write_text(text + "\n")
        size = sum(path.stat().st_size for path in folder.glob("**/*") if path.is_file())
        spread = float(np.std(out["cases"][0]["embeddings"][0]))
        print(f"{name}: {size} bytes, results {len(text)}, spread {spread:.3g}, prompts {out['prompts']}")


if __name__ == "__main__":
    main()
