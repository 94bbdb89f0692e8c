"""From the name of a model to its folder, and what of the folder's files only Python needs. Names are the library's to
resolve (crossenc/hub.h)."""
from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

from . import _crossenc
from ._log import ModelLog, logger

# What may be fetched; the library says what is wrong with a name of this form.
_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?(@\S+)?", re.ASCII)
_PACKAGED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "models", "crossenc-small-en")


def default_model_path() -> str:
    """The folder of the model that comes with crossenc: the environment variable CROSSENC_DEFAULT_MODEL if set, else the
    package's own, else the library's (ce_default_model_path)."""
    if not os.environ.get("CROSSENC_DEFAULT_MODEL") and os.path.isfile(os.path.join(_PACKAGED, "config.json")):
        return _PACKAGED
    return _crossenc.default_model_path()


def find_model(
    name: Any, organization: str, cache_folder: Any = None, revision: str | None = None, local_files_only: bool = False,
    token: bool | str | None = None,
) -> str:
    """The folder of a model, or its GGUF file: where ce_model_find has it; else, unless only local files are wanted, fetched from the hub.
    What goes wrong on the way raises an OSError of some kind, as the reference does."""
    if name is None:
        return default_model_path()
    name = os.fsdecode(os.fspath(name))
    if os.path.isfile(name) and not name.lower().endswith(".gguf"):
        raise NotADirectoryError(f"{name} is a file: give the folder that has the model's config.json, or a GGUF file")
    cache = os.fsencode(os.path.expanduser(cache_folder or ""))
    try:
        return os.path.abspath(os.fsdecode(_crossenc.find_model(os.fsencode(name), cache, revision, organization)))
    except FileNotFoundError:
        packaged = os.path.join(os.path.dirname(_PACKAGED), name)
        if name and "/" not in name and os.path.isfile(os.path.join(packaged, "config.json")):
            return packaged
        if local_files_only or not _NAME.fullmatch(name):
            raise
    return _pull(name, organization, cache, revision, token)


def _pull(name: str, organization: str, cache: bytes, revision: str | None, token: bool | str | None) -> str:
    given = "" if token is False else token if isinstance(token, str) else None
    logger.info(f"{name} is not on this machine: it is asked of the hub")
    try:
        folder = _crossenc.pull_model(
            os.fsencode(name), cache, revision, organization, given, token is True, ModelLog()
        )
    except (_crossenc.ModelError, NotImplementedError) as error:
        raise OSError(str(error)) from error
    return os.path.abspath(os.fsdecode(folder))


def _read(folder: str, name: str) -> Any:
    try:
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def read_json(folder: str, name: str) -> dict[str, Any]:
    """An object in a model's file; empty if there is none, for the library has read and checked what matters."""
    content = _read(folder, name)
    return content if isinstance(content, dict) else {}


def read_modules(folder: str) -> list[dict[str, Any]]:
    """modules.json; empty if there is none."""
    modules = _read(folder, "modules.json")
    return [module for module in modules if isinstance(module, dict)] if isinstance(modules, list) else []


def transformer_folder(folder: str) -> str:
    """The folder of config.json: that of a model's first module, which older models have apart."""
    modules = read_modules(folder)
    return os.path.join(folder, str(modules[0].get("path") or "")) if modules else folder


_TRANSFORMER_FILES = ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")


def transformer_settings(folder: str) -> dict[str, Any]:
    """sentence_bert_config.json, which older versions named after the architecture."""
    return next(filter(None, (read_json(folder, f"sentence_{name}_config.json") for name in _TRANSFORMER_FILES)), {})


def saved_prompts(folder: str, model_type: str) -> tuple[dict[str, str], str | None]:
    """Prompts and the default prompt's name, if the folder was saved for this type of model."""
    saved = read_json(folder, "config_sentence_transformers.json")
    if saved.get("model_type") != model_type or not os.path.isfile(os.path.join(folder, "modules.json")):
        return {}, None
    prompts = saved.get("prompts")
    found = {str(key): str(text or "") for key, text in prompts.items()} if isinstance(prompts, dict) else {}
    default = saved.get("default_prompt_name")
    return found, default if isinstance(default, str) else None


class Config:
    """config.json, its keys as attributes, with a classifier's labels as the library sees them. Changing it changes no
    result."""

    classifier_dropout: Any = None

    def __init__(self, folder: str, labels: list[str] | None, settings: dict[str, Any]) -> None:
        self.__dict__.update(read_json(transformer_folder(folder), "config.json"))
        self.__dict__.update(settings)
        if labels is not None:
            self.num_labels = len(labels)
            self.id2label = dict(enumerate(labels))
            self.label2id = {label: index for index, label in enumerate(labels)}

    if TYPE_CHECKING:
        def __getattr__(self, name: str) -> Any: ...

    def to_dict(self) -> dict[str, Any]:
        return dict(self.__dict__)

    def __repr__(self) -> str:
        return f"Config({json.dumps(self.__dict__, indent=2, default=str)})"
