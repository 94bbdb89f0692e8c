"""Names of models, properties, and setting what the library fixes at load."""
import ast
import json
import os
import pathlib
import shutil

import pytest
from conftest import SOURCE


def test_names(package, one, tmp_path, monkeypatch):
    monkeypatch.chdir(os.path.dirname(one))
    assert package.CrossEncoder("long-1024").path == one  # the work folder
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="HF_HUB_OFFLINE"):
        package.CrossEncoder("long-1024")
    monkeypatch.setenv("CROSSENC_MODELS", f"/nonexistent:{os.path.dirname(one)}")
    assert package.CrossEncoder("long-1024").path == one
    assert package.CrossEncoder(pathlib.Path(one)).path == one
    monkeypatch.setenv("CROSSENC_DEFAULT_MODEL", one)
    assert package.CrossEncoder().path == one == package.default_model_path()
    assert package.CrossEncoder("three-labels").path == os.path.join(os.path.dirname(one), "three-labels")


def test_gguf_file(package, one, tmp_path):
    file = os.path.join(os.path.dirname(one), "..", "gguf", "roberta.gguf")
    model = package.CrossEncoder(file, device="cpu")
    pairs = [("a wing", "the sea"), ("who", "")]
    model.save_pretrained(tmp_path / "saved")
    assert list(package.CrossEncoder(tmp_path / "saved", device="cpu").predict(pairs)) == list(model.predict(pairs))
    encoder = package.SentenceTransformer(os.path.join(os.path.dirname(file), "nomic-bert.gguf"), device="cpu")
    assert encoder.encode("the sea").shape == (16,)
    with pytest.raises(NotADirectoryError, match="or a GGUF file"):
        package.CrossEncoder(os.path.join(one, "config.json"))


@pytest.mark.parametrize("name, arguments", [
    ("cross-encoder/tiny", {}), ("tiny", {}), ("tiny", {"revision": "v2"}), ("tiny", {"revision": "abc123"})])
def test_names_in_the_hubs_cache(package, one, tmp_path, name, arguments):
    repository = tmp_path / "models--cross-encoder--tiny"
    shutil.copytree(one, repository / "snapshots" / "abc123")
    (repository / "refs").mkdir()
    for revision in ("main", "v2"):
        (repository / "refs" / revision).write_text("abc123")
    model = package.CrossEncoder(name, cache_folder=tmp_path, **arguments)
    assert model.path == str(repository / "snapshots" / "abc123")
    with pytest.raises(FileNotFoundError):
        package.CrossEncoder(name, cache_folder=tmp_path / "other")


@pytest.mark.parametrize("name, exception", [
    ("nope", FileNotFoundError), ("a/b/c", FileNotFoundError), ("/nope", FileNotFoundError), ("", FileNotFoundError),
    ("org/nope", FileNotFoundError), ("a\0b", (FileNotFoundError, ValueError)), (5, TypeError), (["a"], TypeError),
    ("\ud800", (FileNotFoundError, ValueError)), ("../..", (OSError, ValueError)),
])
def test_wrong_names(package, name, exception):
    with pytest.raises(exception):
        package.CrossEncoder(name)


def test_a_file_is_no_folder(package, one):
    with pytest.raises(NotADirectoryError):
        package.CrossEncoder(os.path.join(one, "config.json"))


def test_broken_files(package, one, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(one, folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(package.ModelError) as caught:
        package.CrossEncoder(folder)
    assert caught.value.status == "CE_ERR_FORMAT" and "config.json" in str(caught.value)
    os.remove(folder / "config.json")
    with pytest.raises(FileNotFoundError):
        package.CrossEncoder(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "t5", "architectures": ["T5Model"]}))
    with pytest.raises(NotImplementedError):
        package.CrossEncoder(folder)


def test_max_seq_length(package, one, model, pairs):
    whole = model.predict(pairs).tolist()
    model.max_seq_length = 16
    assert model.max_seq_length == 16 == package.CrossEncoder(one, max_length=16).max_seq_length
    short = model.predict(pairs).tolist()
    assert short != whole and short == package.CrossEncoder(one, max_length=16).predict(pairs).tolist()
    for wrong in (0, -1, 100000, None):
        with pytest.raises(ValueError):
            model.max_seq_length = wrong
    with pytest.raises(TypeError):
        model.max_seq_length = "x"
    assert model.predict(pairs).tolist() == short  # after a failure as before
    model.max_seq_length = 1024
    assert model.predict(pairs).tolist() == whole


def test_truncation_is_said_once(model, pairs, caplog):
    model.max_seq_length = 16
    for _ in range(3):
        model.predict(pairs)
    assert [line for line in caplog.messages if "truncated" in line][1:] == []
    assert "truncated" in caplog.text


def test_precision(package, one, model, pairs):
    import numpy
    exact = model.predict(pairs)
    assert model.dtype == "float32"
    assert model.bfloat16() is model and model.dtype == "bfloat16" == model.placement.precision
    rounded = model.predict(pairs)
    assert rounded.tolist() != exact.tolist() and numpy.allclose(rounded, exact, atol=0.5)  # of random weights
    assert rounded.tolist() == package.CrossEncoder(one, model_kwargs={"dtype": "bfloat16"}).predict(pairs).tolist()
    half = model.half().predict(pairs)
    assert model.dtype == "float16" and half.tolist() != exact.tolist() and numpy.allclose(half, exact, atol=0.05)
    for name in ("float16", "half", numpy.dtype("float16")):
        assert package.CrossEncoder(one, model_kwargs={"torch_dtype": name}).predict(pairs).tolist() == half.tolist()
    assert model.to("cpu", "float32").predict(pairs).tolist() == exact.tolist() == model.float().predict(pairs).tolist()
    assert package.CrossEncoder(one, precision="int8").dtype == "int8"


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_dtypes_of_torch(package, one, name):
    class dtype:
        def __repr__(self):
            return f"torch.{name}"
    dtype.__module__ = "torch"
    assert package.CrossEncoder(one, model_kwargs={"torch_dtype": dtype()}).dtype == name
    assert package.CrossEncoder(one).to(dtype()).dtype == name


def test_config(package, three):
    config = package.CrossEncoder(three).config
    assert config.num_labels == 3 == len(config.id2label) == len(config.label2id)
    assert config.model_type == "bert" and config.to_dict()["hidden_size"] == config.hidden_size
    assert "hidden_size" in repr(config)


def test_repr(model):
    assert "device='cpu'" in repr(model) and "num_labels=1" in repr(model)
    model.close()
    assert "closed" in repr(model)


def test_stub_names_what_the_extension_has(package):
    stub = ast.parse((SOURCE / "bindings/python/crossenc/_crossenc.pyi").read_text())
    named = {node.name: node for node in stub.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
    extension = package._crossenc
    assert named.keys() - {"_Placed"} == {name for name in dir(extension) if not name.startswith("_")}
    for name in ("Model", "Encoder"):
        methods = {node.name for node in named["_Placed"].body + named[name].body}
        assert methods - {"__new__"} == {n for n in dir(getattr(extension, name)) if not n.startswith("_")}


def test_files_are_python_3_9():
    for file in (SOURCE / "bindings/python/crossenc").glob("*.py*"):
        ast.parse(file.read_text(encoding="utf-8"), str(file), feature_version=(3, 9))


def test_version(package):
    line = next(line for line in (SOURCE / "include/crossenc/status.h").read_text().splitlines() if "VERSION_STRING" in line)
    assert package.__version__ == line.split('"')[1]
