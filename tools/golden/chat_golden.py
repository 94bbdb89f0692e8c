"""Writes tests/data/golden/chat: a tiny causal model, and what the reference makes of pairs with it, for
tests/golden/test_chat.c.

model/      the files that every case has: random weights of a Qwen3ForCausalLM, a byte-level tokenizer
cases.json  further files of a folder, and pairs with prompts and limits: ids and logits. Folders of each kind that the
            reference reads: plain ones, and those that it saved itself, whose settings were changed

usage: python tools/golden/chat_golden.py   (needs sentence-transformers)
"""

import json
import logging
import shutil
import tempfile
from pathlib import Path

from common import ROOT, versions

import torch
from sentence_transformers import CrossEncoder
from sentence_transformers.base.modules import Transformer
from sentence_transformers.cross_encoder.modules.logit_score import LogitScore
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import Qwen3Config, Qwen3ForCausalLM

OUT = ROOT / "tests" / "data" / "golden" / "chat"
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>"]
WORDS = ["yes", "no", "query", "document"]

FLAT = """{%- set rule = messages | selectattr("role", "eq", "system") | map(attribute="content") | first
    | default("Does the document answer?") -%}
<|im_start|>system
{{ rule }}<|im_end|>
{% for message in messages if message.role in ("query", "document") %}
<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}
<|im_start|>assistant
{% if think %}<think>{% endif %}

"""
PARTS = """{{ eos_token }}{% for message in messages %}
{{ message.role }}: {{ message.content[0].text | trim }}
{% endfor %}
{%- if add_generation_prompt %}
<|im_start|>yes or no?{{ tail | default('') }}
{%- endif %}"""
TAIL = """{% for m in messages if m.role != 'system' %}{{ m.content }}
{% endfor %}{{ (messages | selectattr('role', 'eq', 'system') | map(attribute='content') | first) }} no"""
DEAF = "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}x"

LONG = "the quick brown fox jumps over the lazy dog and says yes, or no, to each query about a document " * 2
PAIRS = [["what?", "that"], ["", "a document"], ["query", LONG], [LONG, "no"],
         ["<|im_end|>yes", "{{ x }} {% if %}<think>"], ["\u00e9\u4e2d\U0001f600", "  spaces \n\n around  "]]
LIMITS = [None, 100, 24, 12, 3]


def tokenizer_files(folder):
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary, merges = {letter: i for i, letter in enumerate(alphabet)}, []
    for word in WORDS:
        for end in range(2, len(word) + 1):
            if word[:end] not in vocabulary:
                vocabulary[word[:end]] = len(vocabulary)
                merges.append((word[:end - 1], word[end - 1]))
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIALS)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>",
                "unk_token": None, "bos_token": None, "model_max_length": 120,
                "extra_special_tokens": SPECIALS[1:]}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1) + "\n")
    return len(vocabulary) + len(SPECIALS)


def make_model(folder):
    torch.manual_seed(5)
    size = tokenizer_files(folder)
    config = Qwen3Config(vocab_size=size, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
                         num_attention_heads=2, num_key_value_heads=1, head_dim=8, max_position_embeddings=128,
                         tie_word_embeddings=True, initializer_range=0.4)
    Qwen3ForCausalLM(config).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)


def copied(base, out, files):
    shutil.copytree(base, out)
    for name, content in files.items():
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return out


def saved_files(base, work, template, words, settings, chat=None):
    """What the reference writes of a model with a LogitScore, beside the files of the base."""
    source = copied(base, work / "source", {"chat_template.jinja": template})
    module = Transformer(str(source), transformer_task="text-generation", model_kwargs={"dtype": torch.float32},
                         processing_kwargs={"chat_template": chat} if chat else None)
    model = CrossEncoder(modules=[module, LogitScore(*words)], device="cpu", **settings)
    model.save_pretrained(str(work / "saved"))
    files = {}
    for path in sorted((work / "saved").rglob("*")):
        name = str(path.relative_to(work / "saved"))
        if path.is_file() and path.suffix in (".json", ".jinja") and not (base / name).exists():
            files[name] = path.read_text() if path.suffix == ".jinja" else json.loads(path.read_text())
    files.pop("README.md", None)
    files.pop("generation_config.json", None)
    shutil.rmtree(source)
    shutil.rmtree(work / "saved")
    return files


# Names for the template that are given in a call.
CHATS = {"plain": [{"think": True}, {"think": True, "restore_suffix": False}, {"unknown": [1, {"a": None}]}],
         "saved, one word": [{"tail": " now"}, {"add_generation_prompt": False}], "joined": [{"think": True}]}


def varied(folder, chat):
    """What is made of each pair where a call has names of its own, in few tokens."""
    model, how = CrossEncoder(str(folder), device="cpu", model_kwargs={"dtype": torch.float32}, max_length=48), {
        "processing_kwargs": {"chat_template": chat}}
    for index, pair in enumerate(PAIRS):
        ids = model[0].preprocess([tuple(pair)], prompt=model._resolve_prompt(None, None), **how)["input_ids"][0].tolist()
        score = model.predict([pair], activation_fn=torch.nn.Identity(), **how)[0]
        yield [index, None, 48, ids, float(score), chat]


def results(folder, prompts, limits):
    rows = []
    for limit in limits:
        options = {} if limit is None else {"max_length": limit}
        model = CrossEncoder(str(folder), device="cpu", model_kwargs={"dtype": torch.float32}, **options)
        for prompt in prompts:
            for index, pair in enumerate(PAIRS):
                text = model._resolve_prompt(prompt, None)
                ids = model[0].preprocess([tuple(pair)], prompt=text)["input_ids"][0].tolist()
                score = model.predict([pair], prompt=prompt, activation_fn=torch.nn.Identity())[0]
                rows.append([index, prompt, limit, ids, float(score)])
    return rows


def cases(base, work):
    words = [base_ids(base, "yes"), base_ids(base, "no")]
    yield "plain", {"chat_template.jinja": FLAT}, [None, "", "Judge it.", "<|im_end|>"], LIMITS
    config = json.loads((base / "tokenizer_config.json").read_text())
    named = [{"name": "other", "template": DEAF}, {"name": "default", "template": PARTS}]
    yield "named", {"tokenizer_config.json": {**config, "chat_template": named}}, [None, "Rule"], [None, 12]
    yield "in the config", {"tokenizer_config.json": {**config, "chat_template": TAIL}}, ["yes"], [None, 12, 3]
    yield "joined", {}, [None, "Q: "], [None, 24, 3]
    files = saved_files(base, work, PARTS, words[:1], {"prompts": {"judge": "Strictly.", "none": ""},
                                                       "default_prompt_name": "judge"},
                        {"add_generation_prompt": True, "tail": "<think>"})
    yield "saved, one word", files, [None, "", "Rule"], [None, 24, 12]
    files = saved_files(base, work, FLAT, words, {"activation_fn": torch.nn.Identity()},
                        {"think": True, "restore_suffix": False})
    yield "saved, suffix not restored", files, [None], [None, 24]
    older = {key: value for key, value in files["sentence_bert_config.json"].items() if key != "modality_config"}
    files = {**files, "sentence_bert_config.json": older}
    yield "saved before messages", files, [None, "Q: "], [None, 24]


def base_ids(base, word):
    return Tokenizer.from_file(str(base / "tokenizer.json")).token_to_id(word)


def main():
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    base = OUT / "model"
    shutil.rmtree(OUT, ignore_errors=True)
    base.mkdir(parents=True)
    make_model(base)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        for number, (title, files, prompts, limits) in enumerate(cases(base, work)):
            folder = copied(base, work / str(number), files)
            found = results(folder, prompts, limits)
            found += [row for chat in CHATS.get(title, []) for row in varied(folder, chat)]
            rows.append({"name": title, "files": files, "results": found})
            print(f"{title}: {len(rows[-1]['results'])} results, files {sorted(files)}")
    golden = {"versions": versions(), "pairs": PAIRS, "deaf": DEAF, "cases": rows}
    (OUT / "cases.json").write_text(json.dumps(golden, separators=(",", ":")).replace('{"name"', '\n{"name"') + "\n")


if __name__ == "__main__":
    main()
