"""What a saved cross-encoder's files say beside its weights: the settings as they are, where every release of the
reference looks for them. Releases before 5.4 read config.json alone, later ones the files beside modules.json first."""
from __future__ import annotations

import os
from typing import Any, NamedTuple

from ._crossenc import version
from ._model_card import card_of
from ._models import read_json
from ._save import write_json, write_text

_MODULES = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"}]
_TRANSFORMER = {
    "transformer_task": "sequence-classification",
    "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}},
    "module_output_name": "scores",
}


class Settings(NamedTuple):
    activation: str
    prompts: dict[str, str]
    default_prompt_name: str | None
    max_seq_length: int
    config: dict[str, Any]
    card: bool
    model_id: str | None
    num_labels: int


def write_settings(folder: str, settings: Settings) -> None:
    """Into the files that were copied from the model's folder."""
    _write_config(folder, settings)
    _write_tokenizer(folder, settings.max_seq_length)
    before = _object(read_json(folder, "config_sentence_transformers.json").get("__version__"))
    write_json(folder, "config_sentence_transformers.json", {
        "__version__": {**before, "crossenc": version()},
        "activation_fn": settings.activation,
        "default_prompt_name": settings.default_prompt_name,
        "model_type": "CrossEncoder",
        "prompts": settings.prompts,
    })
    write_json(folder, "modules.json", _MODULES)
    write_json(folder, "sentence_bert_config.json", _TRANSFORMER)
    _write_card(folder, settings)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _write_config(folder: str, settings: Settings) -> None:
    config = {**read_json(folder, "config.json"), **settings.config}
    config.pop("sbert_ce_default_activation_function", None)
    saved = _object(config.get("sentence_transformers"))
    config["sentence_transformers"] = {**saved, "activation_fn": settings.activation}
    for key in [key for key in ("dtype", "torch_dtype") if key in config] or ["dtype"]:
        config[key] = "float32"
    write_json(folder, "config.json", config)


def _write_tokenizer(folder: str, max_seq_length: int) -> None:
    """Without the file, the tokenizer is as tokenizer.json says, or vocab.txt; it must stay so with it."""
    tokenizer = read_json(folder, "tokenizer_config.json")
    if not tokenizer:
        has_json = os.path.isfile(os.path.join(folder, "tokenizer.json"))
        tokenizer["tokenizer_class"] = "PreTrainedTokenizerFast" if has_json else "BertTokenizer"
    tokenizer["model_max_length"] = max_seq_length
    write_json(folder, "tokenizer_config.json", tokenizer)


def _write_card(folder: str, settings: Settings) -> None:
    card = os.path.join(folder, "README.md")
    if settings.card:
        text = card_of(folder, settings.model_id, settings.num_labels, settings.max_seq_length)
        write_text(folder, "README.md", text)
    elif os.path.exists(card):
        os.remove(card)
