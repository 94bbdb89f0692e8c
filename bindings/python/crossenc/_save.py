"""Writing a model's folder: the whole of it or nothing. The library writes and checks weights and copies what belongs
to a model (ce_convert) into a hidden folder, settings are added there, and only then it takes its name.

A folder that is there already is written into, as by the reference: files of a model are replaced, or removed if the
new model has none of that name, and all others stay. The hidden folder is inside it then, on the same file system, so
that nothing is left to do but to rename; if that fails, the old files are put back."""
from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable
from typing import Any

from . import _crossenc

# What a loader would take for a part of the new model if it stayed beside it: the library's list of names
# (src/base/model_files.c, which a test compares) as a pattern, and weights.
_MODEL_FILE = re.compile(
    r"config\.json|model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json|tokenizer\.json|"
    r"tokenizer_config\.json|chat_template\.jinja|vocab\.(txt|json)|special_tokens_map\.json|added_tokens\.json|"
    r"merges\.txt|(sentencepiece\.bpe|spm|spiece|tokenizer)\.model|modules\.json|config_sentence_transformers\.json|"
    r"sentence_[\w-]+_config\.json"
)
_MODULE_FOLDER = re.compile(r"\d+_\w+")  # of a bi-encoder: 1_Pooling
# What a loader reads only where there are no safetensors: it may stay beside them.
_OLDER_WEIGHTS = re.compile(r"pytorch_model(-\d+-of-\d+)?\.bin|pytorch_model\.bin\.index\.json")
_PEOPLES_FILE = re.compile(r"(LICENSE|NOTICE)(\.\w+)?")


def files_of(folder: str) -> list[str]:
    """Names of a model folder's files, those of its modules' folders among them: "1_Pooling/config.json"."""
    found = []
    for entry in os.scandir(folder):
        if not entry.is_dir():
            found.append(entry.name)
        elif _MODULE_FOLDER.fullmatch(entry.name):
            found += [os.path.join(entry.name, inner.name) for inner in os.scandir(entry.path) if not inner.is_dir()]
    return sorted(found)


def _is_models(name: str) -> bool:
    return _MODEL_FILE.fullmatch(os.path.basename(name)) is not None


def stamp(folder: str) -> list[tuple[str, int, int, int]]:
    """Changes when a file that the model was read from does. Says nothing of files that can't be seen: that is the
    library's."""
    found = []
    try:
        if os.path.isfile(folder):
            status = os.stat(folder)
            return [("", status.st_ino, status.st_size, status.st_mtime_ns)]
        for name in files_of(folder):
            if _is_models(name) or _OLDER_WEIGHTS.fullmatch(os.path.basename(name)):
                status = os.stat(os.path.join(folder, name))
                found.append((name, status.st_ino, status.st_size, status.st_mtime_ns))
    except OSError:
        return []
    return found


def write_json(folder: str, name: str, content: Any) -> None:
    write_text(folder, name, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_text(folder: str, name: str, text: str) -> None:
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def write_folder(
    path: str, source: str, precision: str, threads: int, is_bi_encoder: bool, log: Callable[[int, str], None],
    add_settings: Callable[[str], None],
) -> None:
    """Makes the folder path of the model in the folder source; add_settings is called with the new one before it has
    its name."""
    import tempfile  # here, as it takes longer to import than the rest of the package

    target = os.path.abspath(path)
    is_there = os.path.isdir(target)
    if not is_there and os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, "a model is a folder, and this is none", path)
    parent = target if is_there else os.path.dirname(target)
    os.makedirs(parent, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".crossenc-", dir=parent) as work:
        new = os.path.join(work, "new")
        _crossenc.convert(os.fsencode(source), os.fsencode(new), precision, threads, is_bi_encoder, log)
        add_settings(new)
        if is_there:
            _replace_files(new, target, os.path.join(work, "old"))
        else:
            os.rename(new, target)
        _sync(parent)


def _replace_files(new: str, target: str, old: str) -> None:
    def is_there(name: str) -> bool:
        return os.path.lexists(os.path.join(target, name))

    names = [name for name in files_of(new) if not _PEOPLES_FILE.fullmatch(name) or not is_there(name)]
    folders = {os.path.dirname(name) for name in names}
    stale = [name for name in filter(_is_models, files_of(target))
             if os.path.dirname(name) in folders and name not in names]
    _keep([name for name in (*names, *stale) if is_there(name)], target, old)
    added = [name for name in names if not is_there(name)]
    made = [folder for folder in sorted(folders) if not is_there(folder)]
    try:
        for folder in made:
            os.mkdir(os.path.join(target, folder))
        for name in names:
            os.replace(os.path.join(new, name), os.path.join(target, name))
        for name in stale:
            os.remove(os.path.join(target, name))
    except BaseException:
        _put_back(old, target, added, made)
        raise
    for folder in folders:
        _sync(os.path.join(target, folder))


def _keep(names: list[str], target: str, old: str) -> None:
    """Second names for files that are about to be replaced; copies where the file system has no links."""
    import shutil  # as tempfile

    os.mkdir(old)
    for name in names:
        path = os.path.join(target, name)
        if os.path.isdir(path) and not os.path.islink(path):
            raise IsADirectoryError(errno.EISDIR, "a folder is where a file of the model would be", path)
        os.makedirs(os.path.dirname(os.path.join(old, name)), exist_ok=True)
        try:
            os.link(path, os.path.join(old, name), follow_symlinks=False)
        except OSError:
            shutil.copy2(path, os.path.join(old, name), follow_symlinks=False)


def _put_back(old: str, target: str, added: list[str], made: list[str]) -> None:
    for name in files_of(old):
        os.replace(os.path.join(old, name), os.path.join(target, name))
    for name in added:
        if os.path.lexists(os.path.join(target, name)):
            os.remove(os.path.join(target, name))
    for folder in made:
        if os.path.isdir(os.path.join(target, folder)):
            os.rmdir(os.path.join(target, folder))


def _sync(folder: str) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
