"""SentenceTransformer.save_pretrained: the same embeddings from the saved folder, settings kept, and all of it or
nothing. What it shares with CrossEncoder's is in test_save.py."""
import json
import os
import pathlib
import pickle
import shutil

import pytest
from conftest import DATA, MODELS
from test_save import settings

FOLDERS = DATA / "golden" / "encoders"
NAMES = sorted(folder.name for folder in FOLDERS.iterdir() if folder.is_dir())
TEXTS = ["how many people live in berlin?", "a b c", "", "berlin has 3.5 million inhabitants " * 9]


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in pathlib.Path(folder).rglob("*")
            if path.is_file()}


@pytest.fixture
def copied(tmp_path):
    """A folder of one's own with a model that has seven modules."""
    shutil.copytree(FOLDERS / "cls-dense", tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("name", NAMES)
def test_the_same_bits(package, tmp_path, name, precision):
    model = package.SentenceTransformer(FOLDERS / name, device="cpu", precision=precision)
    model.save_pretrained(tmp_path / "new")
    loaded = package.SentenceTransformer(tmp_path / "new", device="cpu", precision=precision)
    assert loaded.encode(TEXTS).tolist() == model.encode(TEXTS).tolist()
    assert (loaded.max_seq_length, loaded.prompts) == (model.max_seq_length, model.prompts)
    assert [type(module) for module in loaded] == [type(module) for module in model]
    assert os.listdir(tmp_path) == ["new"]


def test_settings_are_kept(package, copied, tmp_path):
    model = package.SentenceTransformer(copied, prompts={"query": "find: "}, default_prompt_name="query",
                                        config_kwargs={"hidden_dropout_prob": 0.25}, truncate_dim=7)
    model.max_seq_length = 24
    model.similarity_fn_name = "manhattan"
    model.tokenizer.padding_side = "left"
    model.set_pooling_include_prompt(False)
    model.save(str(tmp_path / "new"))
    loaded = package.SentenceTransformer(tmp_path / "new")
    assert (loaded.max_seq_length, loaded.similarity_fn_name, loaded.truncate_dim) == (24, "manhattan", 7)
    assert (loaded.prompts, loaded.default_prompt_name) == (model.prompts, "query")
    assert loaded.tokenizer.padding_side == "left" and not loaded[1].include_prompt
    assert loaded.config.hidden_dropout_prob == 0.25 and loaded.config.dtype == "float32"
    assert loaded.encode(TEXTS).tolist() == model.encode(TEXTS).tolist()
    saved = settings(tmp_path / "new", "config_sentence_transformers.json")
    assert saved["model_type"] == "SentenceTransformer" and "crossenc" in saved["__version__"]


def test_what_was_no_bi_encoder_is_one_then(package, pairs, tmp_path):
    """A cross-encoder in today's layout, and in that of transformers."""
    package.CrossEncoder(MODELS / "three-labels", prompts={"a": "b"}).save_pretrained(tmp_path / "today")
    for folder in (tmp_path / "today", MODELS / "three-labels"):
        model = package.SentenceTransformer(folder)
        model.save_pretrained(tmp_path / "new")
        loaded = package.SentenceTransformer(tmp_path / "new")
        assert loaded.prompts == {"query": "", "document": ""} and loaded[1].pooling_mode == "mean"
        assert loaded.encode(TEXTS).tolist() == model.encode(TEXTS).tolist()
        with pytest.raises(package.ModelError):
            package.CrossEncoder(tmp_path / "new")


def test_cards(package, copied, tmp_path):
    model = package.SentenceTransformer(copied)
    model.save_pretrained(tmp_path / "a", "org/name", train_datasets=["data"], safe_serialization=False)
    card = (tmp_path / "a" / "README.md").read_text()
    assert 'SentenceTransformer("org/name")' in card and "pipeline_tag: sentence-similarity" in card
    model.save_pretrained(tmp_path / "b", create_model_card=False)
    assert not (tmp_path / "b" / "README.md").exists()
    assert model.save(None) is None


# ---- folders that are there, and what goes wrong


def test_another_kind_of_model_is_replaced(package, three, pairs, copied, tmp_path):
    (copied / "notes.txt").write_text("mine")
    (copied / "2_Dense" / "notes.txt").write_text("mine")
    package.CrossEncoder(three).save_pretrained(copied)
    assert package.CrossEncoder(copied).predict(pairs[:2]).shape == (2, 3)
    model = package.SentenceTransformer(FOLDERS / "old-max-cased")
    (copied / "2_Dense" / "model.safetensors.index.json").write_text("stale")
    model.save_pretrained(copied)
    assert package.SentenceTransformer(copied).encode(TEXTS).tolist() == model.encode(TEXTS).tolist()
    assert (copied / "notes.txt").read_text() == "mine" == (copied / "2_Dense" / "notes.txt").read_text()
    assert not (copied / "2_Dense" / "model.safetensors.index.json").exists()
    assert not [name for name in os.listdir(copied) if name.startswith(".")]


def test_the_models_own_folder(package, copied):
    model = package.SentenceTransformer(copied)
    expected = model.encode(TEXTS).tolist()
    for _ in range(2):
        model.save_pretrained(copied)
        assert model.encode(TEXTS).tolist() == expected == package.SentenceTransformer(copied).encode(TEXTS).tolist()


@pytest.mark.parametrize("fails_at", [0, 1, 5, 9, 14, 16, 17])
def test_a_failure_while_files_are_replaced(package, copied, tmp_path, monkeypatch, fails_at):
    package.CrossEncoder(MODELS / "three-labels").save_pretrained(tmp_path / "target")
    model, before = package.SentenceTransformer(copied), contents(tmp_path / "target")
    replace, left = os.replace, [fails_at]

    def failing(source, target):
        left[0] -= 1
        if left[0] == -1:
            raise OSError("no more")
        replace(source, target)
    monkeypatch.setattr(os, "replace", failing)
    try:
        model.save_pretrained(tmp_path / "target")
    except OSError:
        assert contents(tmp_path / "target") == before
        assert not [name for name in os.listdir(tmp_path / "target") if (tmp_path / "target" / name).is_dir()]
    else:
        assert fails_at == 17


def test_modules_that_changed_since(package, copied, tmp_path):
    model = package.SentenceTransformer(copied)
    config = copied / "2_Dense" / "config.json"
    config.write_text(config.read_text() + "\n")
    with pytest.raises(OSError, match="have changed since the model was loaded"):
        model.save_pretrained(tmp_path / "new")
    model.close()
    with pytest.raises(ValueError, match="closed"):
        model.save_pretrained(tmp_path / "new")
    assert os.listdir(tmp_path) == ["model"]


def test_a_copy_saves(package, copied, tmp_path):
    model = package.SentenceTransformer(copied)
    model.max_seq_length = 9
    assert len(list(model)) == 7
    twin = pickle.loads(pickle.dumps(model))
    twin.save_pretrained(tmp_path / "new")
    assert package.SentenceTransformer(tmp_path / "new").encode(TEXTS).tolist() == model.encode(TEXTS).tolist()


# ---- the reference


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_loads_it(package, tmp_path, name):
    reference = pytest.importorskip("sentence_transformers", reason="Sentence Transformers is not installed")
    import numpy
    model = package.SentenceTransformer(FOLDERS / name, device="cpu", prompts={"query": "find: "})
    model.max_seq_length, model.similarity_fn_name = 20, "dot"
    for include_prompt in (False, True):
        model.set_pooling_include_prompt(include_prompt)
        model.save_pretrained(tmp_path / "new")
        loaded = reference.SentenceTransformer(str(tmp_path / "new"), device="cpu")
        ours, theirs = (m.encode(TEXTS, prompt_name="query") for m in (model, loaded))
        assert numpy.allclose(ours, theirs, rtol=1e-4, atol=1e-4)
        assert (loaded.prompts, loaded.max_seq_length) == (model.prompts, 20)
        assert (loaded.similarity_fn_name, loaded[1].include_prompt) == ("dot", include_prompt)
