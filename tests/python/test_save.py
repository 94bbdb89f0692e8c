"""save_pretrained: the same scores from the saved folder, settings kept, and no folder that is half written."""
import copy
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys

import pytest
from conftest import MODELS, PACKAGE, SOURCE

NAMES = sorted(folder.name for folder in MODELS.iterdir())


def contents(folder):
    return {path.name: path.read_bytes() for path in pathlib.Path(folder).iterdir()}


def settings(folder, name):
    return json.loads((pathlib.Path(folder) / name).read_text(encoding="utf-8"))


@pytest.fixture
def copied(one, tmp_path):
    """A folder of one's own with the model."""
    shutil.copytree(one, tmp_path / "model")
    return tmp_path / "model"


def test_the_library_s_list_of_files_fits_the_pattern(package):
    from crossenc import _save
    listed = re.findall(r'\{"([^"]+)", CEI_FILE_(\w+)\}', (SOURCE / "src/base/model_files.c").read_text())
    assert len(listed) > 20
    for name, use in listed:
        fits = _save._MODEL_FILE.fullmatch(name)
        assert bool(fits) == (use != "PEOPLE"), name
        assert fits or name == "README.md" or _save._PEOPLES_FILE.fullmatch(name), name


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16", "int8"])
@pytest.mark.parametrize("name", NAMES)
def test_the_same_bits(package, pairs, tmp_path, name, precision):
    model = package.CrossEncoder(MODELS / name, device="cpu", precision=precision)
    model.save_pretrained(tmp_path / "new")
    loaded = package.CrossEncoder(tmp_path / "new", device="cpu", precision=precision)
    assert loaded.predict(pairs).tolist() == model.predict(pairs).tolist()
    assert (loaded.max_seq_length, loaded.num_labels) == (model.max_seq_length, model.num_labels)
    assert loaded.activation_fn == model.activation_fn and loaded.config.id2label == model.config.id2label
    transformer = next(tmp_path.glob("new/**/tokenizer_config.json")).parent
    assert settings(transformer, "config.json")["dtype"] == "float32"
    assert os.listdir(tmp_path) == ["new"]


def test_settings_are_kept(package, one, pairs, tmp_path):
    model = package.CrossEncoder(one, prompts={"web": "find: ", "\u00e9": "\u00e9t\u00e9"}, default_prompt_name="web",
                                 config_kwargs={"classifier_dropout": 0.25})
    model.max_seq_length = 24
    model.activation_fn = package.Tanh()
    model.save(str(tmp_path / "new"))
    loaded = package.CrossEncoder(tmp_path / "new")
    assert (loaded.max_seq_length, loaded.activation_fn) == (24, package.Tanh())
    assert (loaded.prompts, loaded.default_prompt_name) == (model.prompts, "web")
    assert loaded.config.classifier_dropout == 0.25
    assert loaded.predict(pairs).tolist() == model.predict(pairs).tolist()
    assert loaded.predict(pairs, prompt="").tolist() != loaded.predict(pairs).tolist()


def test_every_release_finds_the_activation(package, three, tmp_path):
    package.CrossEncoder(three, activation_fn=package.Sigmoid()).save_pretrained(tmp_path / "new")
    path = "torch.nn.modules.activation.Sigmoid"
    assert settings(tmp_path / "new", "config.json")["sentence_transformers"]["activation_fn"] == path
    saved = settings(tmp_path / "new", "config_sentence_transformers.json")
    assert (saved["activation_fn"], saved["model_type"]) == (path, "CrossEncoder")
    package.CrossEncoder(MODELS / "cased-tanh").save_pretrained(tmp_path / "old")
    assert "sbert_ce_default_activation_function" not in settings(tmp_path / "old", "config.json")


def test_a_function_has_no_name_to_be_found_by(package, one, tmp_path, caplog):
    package.CrossEncoder(one, activation_fn=lambda x: x).save_pretrained(tmp_path / "new")
    assert "activation_fn builtins.function is saved by its name alone" in caplog.text
    assert package.CrossEncoder(tmp_path / "new").activation_fn == package.Sigmoid()  # of one label


def test_a_function_that_only_pytorch_has(package, one, tmp_path, caplog):
    """Such a folder is of the reference as well: it loads where another function is given, and is converted as it is."""
    kind = type("GELU", (), {"__module__": "torch.nn.modules.activation", "__call__": lambda self, x: 2 * x})
    package.CrossEncoder(one, activation_fn=kind()).save_pretrained(tmp_path / "new")
    assert "activation_fn torch.nn.modules.activation.GELU is saved by its name alone" in caplog.text
    with pytest.raises(NotImplementedError, match="torch.nn.modules.activation.GELU.* is not supported"):
        package.CrossEncoder(tmp_path / "new")
    loaded = package.CrossEncoder(tmp_path / "new", activation_fn=kind())
    pair = ("what is it", "it is this")
    logit = package.CrossEncoder(one, activation_fn=package.Identity()).predict(pair)
    assert loaded.predict(pair) == 2 * logit and copy.deepcopy(loaded).predict(pair) == 2 * logit
    other = package.CrossEncoder(tmp_path / "new", activation_fn=package.Identity())
    assert other.predict(pair) == logit and other.activation_fn == package.Identity()


def test_none_is_nothing(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert model.save(None) is None and model.save() is None and model.save_pretrained(None) is None
    assert os.listdir(tmp_path) == []


def test_arguments_of_the_reference(model, tmp_path):
    model.save_pretrained(str(tmp_path / "a" / "b"), "org/name", True, ["data"], safe_serialization=False)
    card = (tmp_path / "a" / "b" / "README.md").read_text()
    assert 'CrossEncoder("org/name")' in card and "pipeline_tag: text-ranking" in card
    model.save_pretrained(tmp_path / "c", create_model_card=False)
    assert not (tmp_path / "c" / "README.md").exists()


def test_the_models_own_card(package, copied, tmp_path):
    text = '# Mine\n\nCrossEncoder("cross_encoder_model_id")\n'
    (copied / "README.md").write_text(text)
    package.CrossEncoder(copied).save_pretrained(tmp_path / "new")
    assert (tmp_path / "new" / "README.md").read_text() == text


def test_a_copy_saves(model, pairs, package, tmp_path):
    copy.deepcopy(model).save_pretrained(tmp_path / "new")
    assert package.CrossEncoder(tmp_path / "new").predict(pairs).tolist() == model.predict(pairs).tolist()


def test_a_deferred_model_saves_and_stays_deferred(package, one, pairs, tmp_path):
    model = package.CrossEncoder(one, place="deferred")
    model.save_pretrained(tmp_path / "new")
    assert model.placement.state == "deferred"
    assert package.CrossEncoder(tmp_path / "new").predict(pairs).tolist() == model.predict(pairs).tolist()


def test_files_can_be_read_by_others(model, tmp_path):
    before = os.umask(0o022)
    try:
        model.save_pretrained(tmp_path / "new")
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o755
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "new").iterdir()} == {0o644}


# ---- folders that are there


def test_files_of_others_stay(package, three, pairs, tmp_path):
    target = tmp_path / "new"
    shutil.copytree(MODELS / "sharded-old-names", target)
    (target / "checkpoints").mkdir()
    for name in ("notes.txt", "LICENSE", "vocab.txt", "pytorch_model.bin", "checkpoints/a"):
        (target / name).write_text("mine")
    (target / "README.md").write_text("of the old model")
    model = package.CrossEncoder(three, device="cpu")
    model.save_pretrained(target)
    assert package.CrossEncoder(target, device="cpu").predict(pairs).tolist() == model.predict(pairs).tolist()
    assert all((target / name).read_text() == "mine" for name in ("notes.txt", "LICENSE", "pytorch_model.bin",
                                                                  "checkpoints/a"))
    assert "text-classification" in (target / "README.md").read_text()
    assert not [name for name in os.listdir(target) if "of-00003" in name or "index" in name or name == "vocab.txt"]
    assert not [name for name in os.listdir(target) if name.startswith(".")]


def test_the_models_own_folder(package, copied, pairs):
    model = package.CrossEncoder(copied)
    scores = model.predict(pairs).tolist()
    for _ in range(2):
        model.save_pretrained(copied)
        assert model.predict(pairs).tolist() == scores == package.CrossEncoder(copied).predict(pairs).tolist()
    model.max_seq_length = 30
    model.save_pretrained(os.path.join(copied, "."))
    assert package.CrossEncoder(copied).max_seq_length == 30


def test_a_link_to_a_folder(package, model, copied, pairs, tmp_path):
    (tmp_path / "link").symlink_to(copied)
    model.save_pretrained(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert package.CrossEncoder(copied).predict(pairs).tolist() == model.predict(pairs).tolist()


# ---- what goes wrong


def test_a_file_is_no_folder(model, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError, match="this is none"):
        model.save_pretrained(tmp_path / "file")
    with pytest.raises((NotADirectoryError, FileExistsError)):
        model.save_pretrained(tmp_path / "file" / "new")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    with pytest.raises(FileExistsError):
        model.save_pretrained(tmp_path / "nowhere")
    assert (tmp_path / "file").read_text() == "mine" and sorted(os.listdir(tmp_path)) == ["file", "nowhere"]


def test_a_folder_where_a_file_would_be(model, copied):
    os.remove(copied / "tokenizer_config.json")
    (copied / "tokenizer_config.json").mkdir()
    before = (copied / "config.json").read_bytes()
    with pytest.raises(IsADirectoryError):
        model.save_pretrained(copied)
    assert (copied / "config.json").read_bytes() == before
    assert not [name for name in os.listdir(copied) if name.startswith(".")]


def test_a_place_that_cannot_be_written(model, tmp_path):
    with pytest.raises(OSError):
        model.save_pretrained("/proc/new")
    disk = mounted(tmp_path, "ro,size=64k")
    try:
        for target in (disk, disk / "new"):
            with pytest.raises(OSError, match="Read-only"):
                model.save_pretrained(target)
    finally:
        subprocess.run(["umount", disk], check=True)


def mounted(tmp_path, options):
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        pytest.skip("a small disk cannot be mounted here")
    return disk


@pytest.mark.parametrize("is_there", [False, True])
def test_a_full_disk(model, tmp_path, is_there):
    disk = mounted(tmp_path, "size=64k")
    try:
        if is_there:
            (disk / "new").mkdir()
            (disk / "new" / "config.json").write_text("mine")
        with pytest.raises(OSError, match="No space left") as caught:
            model.save_pretrained(disk / "new")
        assert caught.value.status == "CE_ERR_IO"
        assert contents(disk / "new") == {"config.json": b"mine"} if is_there else os.listdir(disk) == []
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_disk_that_is_full_in_the_middle(one, copied):
    """Files may have no more than so many bytes: the weights fit, the tokenizer does not."""
    before = contents(copied)
    size = os.path.getsize(os.path.join(one, "tokenizer.json")) - 1

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    code = "import sys, crossenc\ntry: crossenc.CrossEncoder(sys.argv[1]).save_pretrained(sys.argv[2])\n" \
           "except OSError as error: print(error)"
    done = subprocess.run([sys.executable, "-B", "-c", code, one, copied], env={"PYTHONPATH": str(PACKAGE)}, check=True,
                          text=True, stdout=subprocess.PIPE, preexec_fn=limit)
    assert "File too large" in done.stdout and contents(copied) == before


@pytest.mark.parametrize("fails_at", range(8))
def test_a_failure_while_files_are_replaced(package, three, copied, monkeypatch, fails_at):
    (copied / "vocab.txt").write_text("stale")
    before = contents(copied)
    replace, left = os.replace, [fails_at]

    def failing(source, target):
        left[0] -= 1
        if left[0] == -1:
            raise OSError("no more")
        replace(source, target)
    monkeypatch.setattr(os, "replace", failing)
    try:
        with package.CrossEncoder(three) as model:
            model.save_pretrained(copied)
    except OSError:
        assert contents(copied) == before
    else:
        assert fails_at >= len(set(os.listdir(copied)) - {"notes.txt"})


def test_an_interrupt_leaves_nothing(model, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt
    monkeypatch.setattr("crossenc._settings.write_json", interrupt)
    with pytest.raises(KeyboardInterrupt):
        model.save_pretrained(tmp_path / "new")
    assert os.listdir(tmp_path) == []


def test_a_model_that_is_not_there_any_more(package, copied, tmp_path):
    model = package.CrossEncoder(copied)
    (copied / "config.json").write_text((copied / "config.json").read_text() + "\n")
    with pytest.raises(OSError, match="have changed since the model was loaded"):
        model.save_pretrained(tmp_path / "new")
    model.close()
    with pytest.raises(ValueError, match="closed"):
        model.save_pretrained(tmp_path / "new")
    assert os.listdir(tmp_path) == ["model"]


# ---- the reference


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("int8", "sharded-old-names")])
def test_the_reference_loads_it(package, pairs, tmp_path, name):
    reference = pytest.importorskip("sentence_transformers", reason="Sentence Transformers is not installed")
    import numpy
    model = package.CrossEncoder(MODELS / name, device="cpu", prompts={"web": "find: "}, default_prompt_name="web")
    model.max_seq_length = 20
    model.save_pretrained(tmp_path / "new")
    loaded = reference.CrossEncoder(str(tmp_path / "new"), device="cpu")
    assert numpy.allclose(loaded.predict(pairs), model.predict(pairs), rtol=1e-4, atol=1e-4)
    assert (loaded.prompts, loaded.default_prompt_name, loaded.max_seq_length) == ({"web": "find: "}, "web", 20)
    assert repr(loaded.activation_fn).partition("(")[0] == repr(model.activation_fn).partition("(")[0]
