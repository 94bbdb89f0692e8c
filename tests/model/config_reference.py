"""Asks the reference what it makes of model folders whose config files differ, and writes the answers for test_config.c.

Needs sentence-transformers (with transformers and torch), which the tests themselves do not:

    python tests/model/config_reference.py > tests/data/model/config_cases.json

Each case is a tiny random BERT with the config files given. "expect" is what the reference does: the activation's
name and the labels in order, or "error" with the exception's name. "differs" marks the cases in which crossenc is
meant to answer otherwise, and says how.
"""

import contextlib
import io
import json
import logging
import math
import os
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "critical"

import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from sentence_transformers import CrossEncoder  # noqa: E402
from transformers import AutoConfig, BertForSequenceClassification  # noqa: E402
from transformers.activations import ACT2FN  # noqa: E402

torch.set_num_threads(1)
logging.disable(logging.CRITICAL)

BASE = {
    "architectures": ["BertForSequenceClassification"],
    "model_type": "bert",
    "vocab_size": 8,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
    "max_position_embeddings": 16,
    "type_vocab_size": 2,
}
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c"]
MODULES = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"}]
ONE = {"num_labels": 1}
THREE = {"id2label": {"0": "no", "1": "perhaps", "2": "yes"}}


def ours(path):
    return {"sentence_transformers": {"activation_fn": path}}


def old(path):
    return {"sbert_ce_default_activation_function": path}


def saved(path, model_type="CrossEncoder"):
    """The files beside config.json that version 6 writes."""
    return {
        "modules.json": MODULES,
        "config_sentence_transformers.json": {"model_type": model_type, "activation_fn": path},
    }


def label_cases():
    yield "no labels at all", {}
    yield "num_labels 1", {"num_labels": 1}
    yield "num_labels 2", {"num_labels": 2}
    yield "num_labels 3", {"num_labels": 3}
    yield "num_labels null", {"num_labels": None}
    yield "num_labels 0", {"num_labels": 0}
    yield "num_labels -1", {"num_labels": -1}
    yield "num_labels is a string", {"num_labels": "1"}
    yield "id2label of one", {"id2label": {"0": "LABEL_0"}}
    yield "id2label of three", THREE
    yield "id2label null", {"id2label": None}
    yield "id2label null, num_labels 1", {"id2label": None, "num_labels": 1}
    yield "id2label empty", {"id2label": {}}
    yield "id2label is an array", {"id2label": ["a", "b"]}
    yield "id2label out of order", {"id2label": {"2": "c", "0": "a", "1": "b"}}
    yield "id2label with a gap", {"id2label": {"0": "a", "2": "c"}}
    yield "id2label with a word as key", {"id2label": {"zero": "a"}}
    yield "id2label with a number as label", {"id2label": {"0": 7, "1": "b"}}
    yield "id2label of three, num_labels 1", THREE | {"num_labels": 1}
    yield "id2label of three, num_labels 3", THREE | {"num_labels": 3}
    yield "id2label of one, num_labels 3", {"id2label": {"0": "a"}, "num_labels": 3}
    yield "no architectures", {"architectures": None}
    yield "architectures empty", {"architectures": []}
    yield "architecture without head", {"architectures": ["BertModel"]}
    yield "architecture without head, num_labels 3", {"architectures": ["BertModel"], "num_labels": 3}
    yield "architecture without head, id2label of three", {"architectures": ["BertModel"]} | THREE
    yield "second architecture has the head", {
        "architectures": ["BertModel", "BertForSequenceClassification"],
        "num_labels": 3,
    }


def activation_cases():
    for where, put in (("new key", ours), ("old key", old)):
        for path in (
            "torch.nn.modules.activation.Sigmoid",
            "torch.nn.modules.linear.Identity",
            "torch.nn.modules.activation.Tanh",
            "torch.nn.modules.activation.ReLU",
            "torch.nn.modules.activation.Softmax",
            "torch.nn.Sigmoid",
            "torch.nn.Identity",
            "torch.nn.Tanh",
            "torch.nn.ReLU",
            "torch.nn.Softmax",
            "torch.nn.modules.Sigmoid",
            "torch.nn.modules.activation.Identity",
            "torch.nn.modules.linear.Sigmoid",
            "torch.nn.modules.GELU",
            "torch.nn.NoSuchThing",
            "torch.nn.functional.relu",
            "torch.sigmoid",
            "torch.",
            "torch",
            "somebody.else.Function",
            "",
        ):
            yield f"{where}: '{path}'", ONE | put(path)
    yield "new key, three labels", THREE | ours("torch.nn.modules.activation.Sigmoid")
    yield "new key null", ONE | ours(None)
    yield "new key null, old key set", ONE | ours(None) | old("torch.nn.Tanh")
    yield "new key untrusted, old key set", ONE | ours("a.b.C") | old("torch.nn.Tanh")
    yield "new and old key", ONE | ours("torch.nn.ReLU") | old("torch.nn.Tanh")
    yield "old key null", ONE | old(None)
    yield "sentence_transformers without activation", ONE | {"sentence_transformers": {"version": "5.1.2"}}
    yield "sentence_transformers without activation, old key set", ONE | {"sentence_transformers": {}} | old("torch.nn.Tanh")
    yield "sentence_transformers null", ONE | {"sentence_transformers": None}
    yield "sentence_transformers is a string", ONE | {"sentence_transformers": "activation_fn"}
    yield "activation is a number", ONE | ours(3)
    yield "old activation is a number", ONE | old(3)


def file_cases():
    tanh, relu = "torch.nn.modules.activation.Tanh", "torch.nn.modules.activation.ReLU"
    yield "saved by version 6", ONE, saved(tanh)
    yield "saved by version 6, and config.json differs", ONE | ours(relu), saved(tanh)
    yield "saved by version 6, untrusted, config.json has one", ONE | ours(relu), saved("a.b.C")
    yield "saved by version 6, untrusted", ONE, saved("a.b.C")
    yield "saved by version 6, null, config.json has one", ONE | ours(relu), saved(None)
    yield "saved by version 6, number", ONE, saved(5)
    yield "saved by version 6, of another model type", ONE, saved(tanh, "SentenceTransformer")
    yield "saved by version 6, without modules.json", ONE, {
        "config_sentence_transformers.json": saved(tanh)["config_sentence_transformers.json"]
    }
    yield "modules.json alone", ONE | ours(relu), {"modules.json": MODULES}
    yield "saved by version 6 without activation", ONE, {
        "modules.json": MODULES,
        "config_sentence_transformers.json": {"model_type": "CrossEncoder"},
    }


DIFFERS = {
    "num_labels -1": "an error: the reference gives a model that has no label",
    "num_labels 0": "an error: the reference gives a model that has no label",
    "num_labels null": "null is as absent",
    "id2label empty": "an error: the reference gives a model that has no label",
    "id2label with a gap": "row 1 is LABEL_1: the reference has no name for it",
    "id2label with a number as label": "an error: labels are strings",
    "architectures empty": "as absent",
    "new key: 'torch.nn.modules.GELU'": "an error: no such activation",
    "old key: 'torch.nn.modules.GELU'": "an error: no such activation",
    "sentence_transformers null": "null is as absent",
}


def folder_of(case, folder):
    name, config, *files = case
    config = {key: value for key, value in (BASE | config).items() if not (key == "architectures" and value is None)}
    texts = {"config.json": json.dumps(config)}
    for file, content in (files[0] if files else {}).items():
        texts[file] = json.dumps(content)
    for file, text in texts.items():
        with open(os.path.join(folder, file), "w") as out:
            out.write(text)
    with open(os.path.join(folder, "vocab.txt"), "w") as out:
        out.write("\n".join(VOCABULARY) + "\n")
    with open(os.path.join(folder, "tokenizer_config.json"), "w") as out:
        json.dump({"tokenizer_class": "BertTokenizer", "model_max_length": 16}, out)
    return texts


def ask(case):
    with tempfile.TemporaryDirectory() as folder:
        texts = folder_of(case, folder)
        try:
            config = AutoConfig.from_pretrained(folder)
            if not any(name.endswith("ForSequenceClassification") for name in config.architectures or []):
                # The reference makes a new head then: give it a body only.
                weights = BertForSequenceClassification(config).bert.state_dict(prefix="bert.")
            else:
                weights = BertForSequenceClassification(config).state_dict()
            save_file({k: v.contiguous() for k, v in weights.items()}, os.path.join(folder, "model.safetensors"))
            model = CrossEncoder(folder)
            labels = model.config.id2label
            expect = {
                "activation": type(model.activation_fn).__name__,
                "labels": [labels[key] for key in sorted(labels)],
            }
        except Exception as error:  # whatever it is, the reference refuses
            expect = {"error": type(error).__name__}
    answer = {"name": case[0], "files": texts, "expect": expect}
    if case[0] in DIFFERS:
        answer["differs"] = DIFFERS[case[0]]
    return answer


def functions():
    """Every elementwise function of transformers by name, at points that tell them apart."""
    points = [-12.0, -5.5, -3.0, -1.7, -1.0, -0.5, -0.1, 0.0, 0.25, 0.8, 1.5, 2.9, 4.2, 7.0, 12.0]
    x = torch.tensor(points, dtype=torch.float64)
    values = {}
    for name in sorted(ACT2FN):
        try:
            y = ACT2FN[name].double()(x) if isinstance(ACT2FN[name], torch.nn.Module) else ACT2FN[name](x)
            values[name] = [v if math.isfinite(v) else None for v in y.tolist()]
        except Exception:
            values[name] = None
    return {"points": points, "values": values}


def main():
    cases = [*label_cases(), *activation_cases(), *file_cases()]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        answers = [ask(case) for case in cases]
        table = functions()
    print(json.dumps({"cases": answers, "hidden_act": table}, indent=1))


main()
