"""crossenc convert: round trips, what is refused, and that nothing half made stays."""
import json
import math
import os
import pathlib
import resource
import signal
import struct
import subprocess
import time

import pytest

from conftest import COMMAND, DATA, ENVIRONMENT, MODELS, REAL_MODEL

SHARED = pathlib.Path(os.environ.get("CE_SHARED") or REAL_MODEL.parents[2] / "shared")
ORIGINAL = SHARED / "models" / "crossenc-small-en"
KEYS = ["model", "output", "kind", "precision", "tensors", "tensors_rounded", "tensors_dropped", "files_copied",
        "bytes_before", "bytes_after", "largest_error", "largest_error_tensor", "gguf_type"]
PAIRS = "what is a panda\tThe giant panda is a bear.\nheat flow\tlaminar heat transfer\n\tx\na b c\t\n"


def header_of(folder):
    data = (folder / "model.safetensors").read_bytes()
    (size,) = struct.unpack_from("<Q", data)
    return json.loads(data[8:8 + size])


def logits(run, model, precision):
    result = run("predict", "-m", model, "--logits", "--precision", precision, input=PAIRS)
    return [float(score) for line in result.out.splitlines() for score in line.split("\t")]


def copy_of(model, folder):
    folder.mkdir()
    for file in model.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.mark.parametrize("precision, bound", [("float32", 0), ("bfloat16", 0.05), ("float16", 0.01), ("int8", 0.1)])
@pytest.mark.parametrize("name", ["long-1024", "three-labels", "relu-f16", "sharded-old-names", "int8",
                                  "silu-bf16-one-head"])
def test_round_trips(run, tmp_path, name, precision, bound):
    report = run("convert", "--precision", precision, "--json", MODELS / name, tmp_path / "new").json()
    assert list(report) == KEYS and report["precision"] == precision and report["tensors"] > 10
    assert os.listdir(tmp_path) == ["new"] and report["output"] == os.fspath(tmp_path / "new")
    assert (tmp_path / "new/config.json").read_bytes() == (MODELS / name / "config.json").read_bytes()
    want = logits(run, MODELS / name, "float32")
    for how in {"float32", precision}:
        found = logits(run, tmp_path / "new", how)
        # Activations are rounded too where the arithmetic is of low precision.
        most = 3 * bound if how == precision else bound
        assert len(found) == len(want) and all(abs(a - b) <= most * (1 + abs(b)) for a, b in zip(found, want))
    assert run("inspect", "-m", tmp_path / "new", "--precision", precision, "--place", "--json").json()[
        "placement"]["state"] == "ready"


def test_adapter(run, tmp_path):
    model, adapter = MODELS / "three-labels", DATA / "golden/adapters/patterns"
    laid = run("predict", "-m", model, "--adapter", adapter, "--logits", input=PAIRS).out
    run("convert", "--adapter", adapter, model, tmp_path / "new")
    assert run("predict", "-m", tmp_path / "new", "--logits", input=PAIRS).out == laid
    assert run("predict", "-m", model, "--logits", input=PAIRS).out != laid
    assert "adapter_config.json" in run("convert", "--adapter", model, model, tmp_path / "no", expect=3).error


def test_gguf(run, tmp_path):
    file = DATA / "golden/gguf/xlm-roberta.gguf"
    report = run("convert", "--json", file, tmp_path / "new").json()
    assert report["kind"] == "cross-encoder" and report["tensors_rounded"] == 0
    assert {entry.name for entry in (tmp_path / "new").iterdir()} == {
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert logits(run, tmp_path / "new", "float32") == logits(run, file, "float32")


def test_to_gguf(run, tmp_path):
    model, file = MODELS / "three-labels", tmp_path / "new.gguf"
    capitals = tmp_path / "NEW.GGUF"
    run("convert", model, capitals)
    assert capitals.read_bytes()[:4] == b"GGUF" and logits(run, capitals, "float32") == logits(run, model, "float32")
    capitals.unlink()
    report = run("convert", "--json", model, file).json()
    assert list(report) == KEYS and report["gguf_type"] == "F32" and os.listdir(tmp_path) == ["new.gguf"]
    assert logits(run, file, "float32") == logits(run, model, "float32")
    said = run("convert", "--force", "--gguf-type", "BF16", model, file).out
    assert "in BF16, as GGUF" in said and "files" not in said
    assert "in F16, as GGUF" in run("convert", "--force", "--precision", "float16", model, file).out
    assert "there already" in run("convert", model, file, expect=6).error
    assert "give one of them" in run("convert", "--gguf-type", "F16", "--precision", "int8", model, file, expect=2).error
    refused = run("convert", MODELS / "distilbert", tmp_path / "no.gguf", expect=3).error
    assert "it differs in the function of its feed-forward" in refused and os.listdir(tmp_path) == ["new.gguf"]


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0"])
def test_what_the_package_gguf_reads(run, tmp_path, kind):
    gguf = pytest.importorskip("gguf", reason="the package gguf is not installed")
    numpy = pytest.importorskip("numpy", reason="numpy is not installed")
    source, file = DATA / "golden/gguf/quantized.gguf", tmp_path / "new.gguf"
    run("convert", "--gguf-type", kind, source, file)
    one, other = gguf.GGUFReader(source), gguf.GGUFReader(file)
    assert other.fields["general.architecture"].contents() == "bert"
    assert other.fields["tokenizer.ggml.tokens"].contents() == one.fields["tokenizer.ggml.tokens"].contents()
    found = {tensor.name: tensor for tensor in other.tensors}
    assert found.keys() == {tensor.name for tensor in one.tensors}
    for tensor in one.tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type).astype("f4")
        stored = found[tensor.name]
        wanted = gguf.quantize(values, stored.tensor_type)
        assert (stored.shape == tensor.shape).all() and (stored.data.view("u1") == wanted.view("u1")).all()
        assert stored.tensor_type.name in (kind, "F32") and numpy.isfinite(values).all()


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("name", ["all-poolings", "cls-dense"])
def test_bi_encoders(run, tmp_path, name, precision):
    model = DATA / "golden" / "encoders" / name
    report = run("convert", "--precision", precision, "--json", model, tmp_path / "new").json()
    assert (report["kind"], report["precision"]) == ("bi-encoder", precision)
    files = {path.relative_to(model) for path in model.rglob("*")}
    assert {path.relative_to(tmp_path / "new") for path in (tmp_path / "new").rglob("*")} == files
    want, found = (run("encode", "-m", folder, "-f", "lines", "--precision", precision, input="a b\nc\n").out
                   for folder in (model, tmp_path / "new"))
    assert found == want or precision == "int8"
    run("convert", "--force", MODELS / "three-labels", tmp_path / "new")
    assert not (tmp_path / "new" / "1_Pooling").exists()


def test_a_pytorch_file_becomes_safetensors(run, tmp_path):
    model, old = MODELS / "silu-bf16-one-head", copy_of(MODELS / "silu-bf16-one-head", tmp_path / "old")
    (old / "model.safetensors").unlink()
    (old / "pytorch_model.bin").write_bytes((DATA / "formats/silu-bf16-one-head.bin").read_bytes())
    assert logits(run, old, "float32") == logits(run, model, "float32")
    for name, source in (("new", old), ("same", model)):
        run("convert", "--precision", "float32", source, tmp_path / name)
    assert "pytorch_model.bin" not in os.listdir(tmp_path / "new")
    for file in os.listdir(tmp_path / "same"):
        assert (tmp_path / "new" / file).read_bytes() == (tmp_path / "same" / file).read_bytes()


def test_the_default_model_is_what_convert_makes(run, real, tmp_path):
    if not ORIGINAL.exists():
        pytest.skip(f"{ORIGINAL} is not there")
    report = run("convert", "--precision", "int8", "--json", ORIGINAL, tmp_path / "new").json()
    assert (tmp_path / "new/model.safetensors").read_bytes() == (real / "model.safetensors").read_bytes()
    assert report["tensors_rounded"] == 39 and 0.005 < report["largest_error"] < 0.013


def test_int8_to_float32_is_exact(run, real, tmp_path):
    report = run("convert", "--json", "crossenc-small-en", tmp_path / "wide").json()
    assert report["precision"] == "float32" and report["tensors_rounded"] == 0 and report["largest_error"] == 0
    assert logits(run, tmp_path / "wide", "float32") == logits(run, real, "float32")
    assert {tensor["dtype"] for name, tensor in header_of(tmp_path / "wide").items() if name != "__metadata__"} == {"F32"}
    run("convert", "--precision", "int8", real, tmp_path / "same")
    assert (tmp_path / "same/model.safetensors").read_bytes() == (real / "model.safetensors").read_bytes()


def test_for_people(run, one, tmp_path):
    result = run("convert", "--precision", "bfloat16", one, tmp_path / "new")
    assert "in bfloat16" in result.out and "were rounded" in result.out and result.error == "" and "\033" not in result.out
    assert "\033[32m" in run("convert", "--color", "always", one, tmp_path / "other").out


def test_existing_folders(run, one, three, tmp_path):
    out = tmp_path / "new"
    run("convert", one, out)
    error = run("convert", three, out, expect=6).error
    assert "is there already" in error and "--force" in error
    run("convert", "--force", "--precision", "int8", three, out)
    assert logits(run, out, "float32") != [] and header_of(out)["__metadata__"]["format"] == "pt"
    (out / "inner").mkdir()
    assert '"inner"' in run("convert", "--force", one, out, expect=6).error
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/one").write_text("x")
    assert "no model folder" in run("convert", "--force", one, tmp_path / "photos", expect=6).error
    assert (tmp_path / "photos/one").exists() and sorted(os.listdir(tmp_path)) == ["new", "photos"]
    model = copy_of(one, tmp_path / "model")
    for same in (model, f"{model}/", f"{model}/../model"):
        assert "that is read" in run("convert", "--force", model, same, expect=2).error
    assert len(os.listdir(model)) == len(os.listdir(one))


def test_places_that_cannot_be_written(run, one, tmp_path):
    assert "No such file" in run("convert", one, tmp_path / "no/new", expect=6).error
    (tmp_path / "file").write_text("x")
    assert "no folder" in run("convert", one, tmp_path / "file", expect=6).error
    assert "Not a directory" in run("convert", one, tmp_path / "file/new", expect=6).error
    assert run("convert", one, "/proc/new", expect=6).error
    assert "names nothing" in run("convert", one, "/", expect=2).error
    if os.geteuid() != 0:
        (tmp_path / "closed").mkdir(0o500)
        assert "Permission denied" in run("convert", one, tmp_path / "closed/new", expect=6).error


def test_wrong_command_lines(run, one):
    for arguments in ([], [one], [one, "a", "b"]):
        assert "takes a model and the folder" in run("convert", *arguments, expect=2).error
    assert "there is no model" in run("convert", "no-such-model", "new", expect=3).error
    assert "--precision" in run("convert", "--precision", "int4", one, "new", expect=2).error


@pytest.mark.parametrize("spoil, part", [
    (lambda folder: (folder / "config.json").write_text("{"), "config.json"),
    (lambda folder: (folder / "model.safetensors").write_bytes(b"\xff" * 100), "model.safetensors"),
    (lambda folder: os.truncate(folder / "model.safetensors", 5000), "model.safetensors"),
    (lambda folder: (folder / "tokenizer.json").write_text("[]"), "tokenizer.json"),
    (lambda folder: (folder / "README.md").mkdir(), "README.md")])
def test_models_that_cannot_be_read(run, three, tmp_path, spoil, part):
    model = copy_of(three, tmp_path / "model")
    spoil(model)
    assert part in run("convert", "--precision", "int8", model, tmp_path / "new", expect=3).error
    assert os.listdir(tmp_path) == ["model"]


def test_weights_that_are_no_numbers(run, three, tmp_path):
    model = copy_of(three, tmp_path / "model")
    data = bytearray((model / "model.safetensors").read_bytes())
    (size,) = struct.unpack_from("<Q", data)
    begin = header_of(model)["bert.embeddings.word_embeddings.weight"]["data_offsets"][0]
    struct.pack_into("<f", data, 8 + size + begin, math.nan)
    (model / "model.safetensors").write_bytes(data)
    for precision in ("float32", "bfloat16", "float16", "int8"):
        error = run("convert", "--precision", precision, model, tmp_path / "new", expect=3).error
        assert "row 0 of bert.embeddings.word_embeddings.weight" in error and "NaN" in error
    assert os.listdir(tmp_path) == ["model"]


def test_full_disk_by_limit(run, one, three, tmp_path):
    """Files may have no more than so many bytes; the old folder stays."""
    run("convert", one, tmp_path / "new")
    before = (tmp_path / "new/model.safetensors").read_bytes()

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))

    error = run("convert", "--force", three, tmp_path / "new", expect=6, preexec_fn=limit).error
    assert "cannot write" in error and "File too large" in error
    assert os.listdir(tmp_path) == ["new"] and (tmp_path / "new/model.safetensors").read_bytes() == before


def test_full_disk(run, one, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        pytest.skip("a small disk cannot be mounted here")
    try:
        error = run("convert", one, disk / "new", expect=6).error
        assert "No space left on device" in error and os.listdir(disk) == []
    finally:
        subprocess.run(["umount", disk], check=True)


def large_model(folder):
    """A model whose conversion to int8 takes long: a table of 300,000 rows."""
    config = {"architectures": ["BertForSequenceClassification"], "model_type": "bert", "vocab_size": 300_000,
              "hidden_size": 128, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64,
              "max_position_embeddings": 16, "type_vocab_size": 2, "num_labels": 1}
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    shapes = {"bert.embeddings.word_embeddings.weight": [config["vocab_size"], hidden],
              "bert.embeddings.position_embeddings.weight": [16, hidden],
              "bert.embeddings.token_type_embeddings.weight": [2, hidden], "classifier.weight": [1, hidden],
              "classifier.bias": [1]}
    layer = "bert.encoder.layer.0."
    for name in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
        shapes |= {f"{layer}{name}.weight": [hidden, hidden], f"{layer}{name}.bias": [hidden]}
    shapes |= {f"{layer}intermediate.dense.weight": [inner, hidden], f"{layer}intermediate.dense.bias": [inner],
               f"{layer}output.dense.weight": [hidden, inner], f"{layer}output.dense.bias": [hidden],
               "bert.pooler.dense.weight": [hidden, hidden], "bert.pooler.dense.bias": [hidden]}
    for name in ("bert.embeddings.LayerNorm", f"{layer}attention.output.LayerNorm", f"{layer}output.LayerNorm"):
        shapes |= {f"{name}.weight": [hidden], f"{name}.bias": [hidden]}
    header, offset = {}, 0
    for name, shape in shapes.items():
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + 4 * math.prod(shape)]}
        offset += 4 * math.prod(shape)
    text = json.dumps(header).encode()
    pattern = struct.pack("<1021f", *(math.sin(i) / 10 for i in range(1021)))
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n")
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + (pattern * (offset // len(pattern) + 1))[:offset])
    return folder


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_leaves_no_target(tmp_path, number):
    model, place = large_model(tmp_path / "model"), tmp_path / "place"
    place.mkdir()
    with subprocess.Popen([COMMAND, "convert", "--precision", "int8", "--threads", "1", model, place / "new"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT) as process:
        for _ in range(6000):
            if os.listdir(place):
                break
            time.sleep(0.01)
        process.send_signal(number)
        assert process.wait(60) == -number and process.stdout.read() == b""
    left = os.listdir(place)
    if number == signal.SIGKILL:
        assert len(left) == 1 and left[0].startswith(".crossenc-")
    else:
        assert left == []


def test_memory_is_bounded(tmp_path):
    """A table of 150 MB is converted in less than half of that."""
    if os.environ.get("CE_SANITIZE"):
        pytest.skip("sanitizers need memory of their own")
    model = large_model(tmp_path / "model")
    code = ("import resource, subprocess, sys\nsubprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
    done = subprocess.run(["python3", "-c", code, COMMAND, "convert", "--precision", "bfloat16", model, tmp_path / "new"],
                          stdout=subprocess.PIPE, check=True, env=ENVIRONMENT)
    assert int(done.stdout) < 75_000
