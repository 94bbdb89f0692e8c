"""crossenc devices, inspect and tokenize."""
import json
import os

import pytest

from conftest import DATA, MODELS

ENCODERS = MODELS.parent / "encoders"


DEVICE_KEYS = ["id", "name", "usable", "reason", "features", "memory_total", "memory_free", "precisions"]


def test_devices_as_json(run):
    found = run("devices", "--json").json()
    assert {"cpu", "cuda", "opencl"} <= {device["id"].split(":")[0] for device in found}
    for device in found:
        assert list(device) == DEVICE_KEYS
        assert bool(device["reason"]) != device["usable"]
        assert all(feature and " " not in feature for feature in device["features"])
    cpu = next(device for device in found if device["id"] == "cpu")
    assert cpu["usable"] and cpu["memory_total"] >= cpu["memory_free"] > 0 and cpu["precisions"] == ["float32", "bfloat16", "float16", "int8"]


SPEED_KEYS = ["operations_per_second", "memory_bytes_per_second", "measure_milliseconds", "not_measured"]


def test_devices_measured(run):
    no_opencl = {"CROSSENC_OPENCL_LIBRARY": ""}  # whose first kernels take longer than a test should
    found = {device["id"]: device for device in run("devices", "--json", "--measure", env=no_opencl).json()}
    assert list(found["cpu"]) == DEVICE_KEYS + SPEED_KEYS and list(found["opencl"]) == DEVICE_KEYS
    speeds = found["cpu"]["operations_per_second"]
    assert list(speeds) == found["cpu"]["precisions"] and all(speed > 1e8 for speed in speeds.values())
    assert 0 < found["cpu"]["measure_milliseconds"] < 60000
    assert found["cpu"]["memory_bytes_per_second"] > 1e8 or "memory" in found["cpu"]["not_measured"]
    text = " ".join(run("devices", "--measure", env=no_opencl).out.split())
    assert "GFLOP/s, bfloat16" in text and "GB/s" in text and "CROSSENC_OPENCL_LIBRARY is set" in text


def test_devices_for_people(run):
    found = run("devices", "--json").json()
    text = run("devices").out
    for device in found:
        line = next(line for line in text.splitlines() if line.startswith(device["id"] + " "))
        assert line.split(None, 1)[1] == ("usable" if device["usable"] else "not usable")
    assert "memory" in text and "\033" not in text
    assert "\033[32musable" in run("devices", "--color", "always").out
    assert "--measure shows" in run("devices", "--color", "always").out and "--measure" not in text
    assert "no arguments" in run("devices", "cpu", expect=2).error


def test_plan(run, one):
    found = run("inspect", "-m", one, "--json").json()
    assert found["path"] == os.fspath(one) and found["architecture"] == "BertForSequenceClassification"
    assert found["tokenizer"] == "WordPiece" and found["max_length"] == 1024 == found["max_positions"]
    assert found["labels"] == ["LABEL_0"] and found["activation"] == "Identity"
    assert {file["name"]: file["bytes"] for file in found["files"]} == {f.name: f.stat().st_size for f in one.iterdir()}
    placement = found["placement"]
    assert placement["state"] == "deferred" and placement["generation"] == 0 and not placement["self_tested"]
    assert placement["requested"] == "auto" and placement["device"] == "cpu"
    assert placement["weight_bytes"] > 0 and placement["tensors"] > 0 == placement["tensors_verified"]


def test_format_of_the_weights(run, tmp_path, one):
    assert run("inspect", "-m", one, "--json").json()["weight_format"] == "safetensors"
    model = MODELS / "silu-bf16-one-head"
    for file in model.iterdir():
        if file.name != "model.safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes((DATA / "formats/silu-bf16-one-head.bin").read_bytes())
    found = run("inspect", "-m", tmp_path, "--place", "--json").json()
    assert found["weight_format"] == "PyTorch" and found["placement"]["state"] == "ready"
    assert found["weight_dtype"] == run("inspect", "-m", model, "--json").json()["weight_dtype"]
    assert "in PyTorch" in run("inspect", "-m", tmp_path).out


def test_gguf(run):
    file = DATA / "golden/gguf/quantized.gguf"
    found = run("inspect", "-m", file, "--place", "--json").json()
    assert found["path"] == os.fspath(file) and found["weight_format"] == "GGUF"
    assert {"Q8_0", "Q5_1", "F32"} < set(found["weight_dtype"].split(", ")) and found["placement"]["state"] == "ready"
    assert found["files"] == [{"name": "quantized.gguf", "bytes": file.stat().st_size}]
    shown = run("inspect", "-m", file).out
    assert "in GGUF" in shown and f"  file          {file}\n" in shown
    assert "leave out the pooler" in run("inspect", "-m", file.with_name("without-pooler.gguf"), expect=3).error


def test_verified_placement(run, one):
    found = run("inspect", "-m", one, "--place", "--json", "--device", "cpu").json()["placement"]
    assert found["state"] == "ready" and found["generation"] == 1 and found["requested"] == "cpu"
    assert found["tensors_verified"] == found["tensors"] and found["self_tested"] and found["host_bytes"] == 0
    assert 0 <= found["self_test_error"] <= found["self_test_bound"]
    times = found["milliseconds"]
    assert list(times) == ["resolve", "open", "upload", "verify", "self_test", "total"] and times["total"] > 0


def test_inspect_for_people(run, three):
    plan, placed = run("inspect", "-m", three).out, run("inspect", "-m", three, "--place").out
    assert "Placement plan" in plan and "to upload and verify" in plan
    assert "3: contradiction, entailment, neutral" in plan and "Placement plan" not in placed
    assert "tensors by checksum" in placed and "self-test" in placed and "passed" in placed
    for text in (plan, placed):
        assert "BertForSequenceClassification" in text and "model.safetensors" in text and "\033" not in text
    assert "64 tokens of 64 positions" in plan
    assert "32 tokens of 64" in run("inspect", "-m", three, "--max-length", "32").out
    assert "--model x" in run("inspect", "x", expect=2).error


def test_a_bi_encoder(run):
    folder = ENCODERS / "cls-dense"
    found = run("inspect", "-m", folder, "--place", "--device", "cpu", "--json").json()
    assert (found["kind"], found["pooling"]) == ("bi-encoder", "cls")
    assert found["dimension"] == found["truncate_dim"] > 0 and "labels" not in found
    assert set(found["prompts"]) == set(json.loads((folder / "config_sentence_transformers.json").read_text())["prompts"])
    assert "1_Pooling/config.json" in {file["name"] for file in found["files"]}
    assert found["placement"]["state"] == "ready" and found["placements"] == [found["placement"]]
    assert 0 < found["placement"]["staging_bytes"] < 64_000_000
    text = run("inspect", "-m", folder, "--place").out
    assert "bi-encoder" in text and "pooled by cls" in text and "on the way" in text and "labels" not in text


def test_the_kind_of_a_cross_encoder(run, one):
    assert run("inspect", "-m", one, "--json").json()["kind"] == "cross-encoder"
    assert run("inspect", "-m", MODELS / "bert-modules", "--json").json()["kind"] == "cross-encoder"


def test_default_model(run, real):
    found = run("inspect", "--json").json()
    assert found["path"].endswith("crossenc-small-en") and found["parameters"] > 20_000_000


@pytest.fixture
def odd(one, tmp_path):
    """A model whose config asks for an activation that nobody knows: the library warns and takes the default."""
    for file in one.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((one / "config.json").read_text())
    config["sentence_transformers"] = {"activation_fn": "my.module.Thing"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def test_warnings_of_loading_are_shown_unless_quiet(run, odd):
    for command in (["inspect"], ["rank", "q", "d"], ["predict"], ["tokenize", "q", "d"]):
        warned = run(command[0], "-m", odd, *command[1:])
        assert warned.error.startswith("crossenc: warning: ") and "my.module.Thing" in warned.error
        talkative = run(command[0], "-m", odd, "--verbose", *command[1:]).error
        assert talkative.startswith(warned.error)
        assert ("crossenc: info: placed on cpu" in talkative) == (command[0] in ("rank", "predict"))
        quiet = run(command[0], "-m", odd, "--quiet", *command[1:])
        assert quiet.error == "" and quiet.out == warned.out


def test_tokens(run, real):
    found = run("tokenize", "-m", real, "--json", "what is a panda", "the bear").json()
    assert found["ids"] == [101, 2054, 2003, 1037, 25462, 102, 1996, 4562, 102]
    assert found["type_ids"] == [0] * 6 + [1] * 3
    assert found["count"] == 9 and found["query_tokens"] == 4 and found["document_tokens"] == 2
    text = run("tokenize", "-m", real, "what is a panda", "the bear").out
    assert "9 of at most 512: query 4, document 2, special 3" in text and "101 2054 2003" in text


def test_truncated_tokens(run, real):
    found = run("tokenize", "-m", real, "--json", "--max-length", "8", "what is a panda", "the bear sleeps").json()
    assert found["count"] == 8 and found["query_removed"] + found["document_removed"] == 2
    assert found["query_tokens"] == 4 and found["document_tokens"] >= 3
    assert "removed" in run("tokenize", "-m", real, "--max-length", "8", "what is a panda", "the bear sleeps").out
    assert "takes a query and a document" in run("tokenize", "one", expect=2).error


def test_tokens_of_a_text(run):
    folder = DATA / "golden" / "encoders" / "mean"
    plain = run("tokenize", "-m", folder, "--json", "--prompt", "", "people in berlin").json()
    assert list(plain) == ["count", "prompt_tokens", "removed", "ids", "type_ids"]
    assert (plain["count"], plain["prompt_tokens"], plain["removed"]) == (len(plain["ids"]), 0, 0)
    found = run("tokenize", "-m", folder, "--json", "--prompt", "how many ", "people in berlin").json()
    assert found["prompt_tokens"] > 1 and found["ids"][found["prompt_tokens"]:] == plain["ids"][1:]
    text = run("tokenize", "-m", folder, "--max-length", "4", "--prompt", "how ", "people in berlin").out
    assert "4 of at most 4, the first" in text and "removed" in text
    assert "no prompt" in run("tokenize", "-m", folder, "--prompt-name", "gone", "a", expect=2).error


@pytest.mark.parametrize("text", ["", " ", "\t"])
def test_tokens_of_nothing(run, real, text):
    assert run("tokenize", "-m", real, "--json", text, text).json()["ids"] == [101, 102, 102]


def test_tokens_of_replaced_bytes(run, real):
    want = run("tokenize", "-m", real, "--json", "q", "a\ufffd").out
    assert run("tokenize", "-m", real, "--json", "--utf8", "replace", "q", b"a\xff").out == want
