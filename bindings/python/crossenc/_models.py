"""From the name of a model to its folder, and what of the folder's files only Python needs. Nothing is downloaded."""
from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from . import _crossenc

_PACKAGED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "models", "crossenc-small-en")


def default_model_path() -> str:
    """The folder of the model that comes with crossenc: the environment variable CROSSENC_DEFAULT_MODEL if set, else the
    package's own, else the library's (ce_default_model_path)."""
    if not os.environ.get("CROSSENC_DEFAULT_MODEL") and os.path.isfile(os.path.join(_PACKAGED, "config.json")):
        return _PACKAGED
    return _crossenc.default_model_path()


def find_model(name: Any, organization: str, cache_folder: Any = None, revision: str | None = None) -> str:
    """The folder of a model: the name itself; that name in a folder of CROSSENC_MODELS or beside the default model; or
    in the cache of the Hugging Face hub, where names without an organization are the given one's, else nobody's, as
    bert-base-uncased is."""
    if name is None:
        return default_model_path()
    name = os.fsdecode(os.fspath(name))
    if os.path.isdir(name):
        return str(os.path.abspath(name))
    if os.path.isfile(name):
        raise NotADirectoryError(f"{name} is a file: give the folder that has the model's config.json")
    if name and name.count("/") <= 1 and not os.path.isabs(name):
        for folder in _candidates(name, organization, cache_folder, revision):
            if any(os.path.isfile(os.path.join(folder, file)) for file in ("config.json", "modules.json")):
                return os.path.abspath(folder)
    raise FileNotFoundError(
        f"there is no model {name!r}: no such folder, none of that name in CROSSENC_MODELS, beside the default model or "
        f"in the Hugging Face cache ({_hub_cache(cache_folder)}). crossenc downloads nothing: fetch it with "
        f"`hf download`, or give the folder where it is"
    )


def _candidates(name: str, organization: str, cache_folder: Any, revision: str | None) -> Iterator[str]:
    for folder in os.environ.get("CROSSENC_MODELS", "").split(os.pathsep):
        if folder:
            yield os.path.join(folder, name)
    if "/" not in name:
        try:
            yield os.path.join(os.path.dirname(default_model_path()), name)
        except FileNotFoundError:
            pass
        yield from _cached(f"{organization}/{name}", cache_folder, revision)
    yield from _cached(name, cache_folder, revision)


def _cached(name: str, cache_folder: Any, revision: str | None) -> Iterator[str]:
    repository = os.path.join(_hub_cache(cache_folder), "models--" + name.replace("/", "--"))
    try:
        with open(os.path.join(repository, "refs", revision or "main"), encoding="utf-8") as file:
            yield os.path.join(repository, "snapshots", file.read().strip())
    except (OSError, ValueError):
        pass
    if revision:
        yield os.path.join(repository, "snapshots", revision)


def _hub_cache(cache_folder: Any) -> str:
    """Where huggingface_hub keeps what it downloaded, or the caller's folder, which has the same layout."""
    folder = cache_folder or os.environ.get("SENTENCE_TRANSFORMERS_HOME") or os.environ.get("HF_HUB_CACHE")
    if folder:
        return os.fsdecode(os.fspath(folder))
    home = os.environ.get("HF_HOME")
    if not home:
        home = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "huggingface")
    return os.path.join(home, "hub")


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
