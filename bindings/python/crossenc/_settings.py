"""What a saved model's files say beside its weights: the settings as they are, where every release of the reference
looks for them. For cross-encoders, releases before 5.4 read config.json alone, later ones the files beside modules.json
first. For bi-encoders all read modules.json, and names that the first releases knew are those that all know."""
from __future__ import annotations

import os
from typing import Any, NamedTuple

from ._crossenc import version
from ._models import read_json, read_modules, transformer_folder, transformer_settings
from ._save import write_json, write_text

_MODULES = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"}]
_TRANSFORMER = {
    "transformer_task": "sequence-classification",
    "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}},
    "module_output_name": "scores",
}


# Of a transformer that had no modules: mean pooling, as it was loaded.
_BI_ENCODER_MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
]


class Settings(NamedTuple):
    """Of any model. card is the text of its README.md; None is to have none."""

    prompts: dict[str, str]
    default_prompt_name: str | None
    max_seq_length: int
    config: dict[str, Any]
    card: str | None


class BiEncoderSettings(NamedTuple):
    """Of a bi-encoder besides."""

    similarity_fn_name: str
    truncate_dim: int | None
    include_prompt: bool
    padding_side: str | None
    hidden_size: int


def write_cross_encoder(folder: str, settings: Settings, activation: str) -> None:
    """Into the files that were copied from the model's folder. One in modules stays so: no release that cannot read them
    could use the rest."""
    _write_model_settings(folder, "CrossEncoder", settings, {"activation_fn": activation})
    _write_card(folder, settings.card)
    if len(read_modules(folder)) > 1:
        _write_transformer(transformer_folder(folder), settings)
        return
    config = _config(folder, settings)
    config.pop("sbert_ce_default_activation_function", None)
    saved = _object(config.get("sentence_transformers"))
    config["sentence_transformers"] = {**saved, "activation_fn": activation}
    write_json(folder, "config.json", config)
    _write_tokenizer(folder, settings.max_seq_length)
    write_json(folder, "modules.json", _MODULES)
    write_json(folder, "sentence_bert_config.json", _TRANSFORMER)


def write_bi_encoder(folder: str, settings: Settings, more: BiEncoderSettings) -> None:
    """As write_cross_encoder. A folder without modules gets those that it was loaded with."""
    if not read_modules(folder):
        _write_modules(folder, more.hidden_size)
    _write_transformer(transformer_folder(folder), settings, more.padding_side)
    pooling = os.path.join(folder, str(read_modules(folder)[1]["path"]))
    write_json(pooling, "config.json", {**read_json(pooling, "config.json"), "include_prompt": more.include_prompt})
    own: dict[str, Any] = {"similarity_fn_name": more.similarity_fn_name}
    if more.truncate_dim is not None:
        own["truncate_dim"] = more.truncate_dim
    _write_model_settings(folder, "SentenceTransformer", settings, own)
    _write_card(folder, settings.card)


def _write_transformer(folder: str, settings: Settings, padding_side: str | None = None) -> None:
    """The settings of a Transformer that other modules follow."""
    write_json(folder, "config.json", _config(folder, settings))
    _write_tokenizer(folder, settings.max_seq_length, padding_side)
    write_json(folder, "sentence_bert_config.json",
               {"do_lower_case": False, **transformer_settings(folder), "max_seq_length": settings.max_seq_length})


def _write_modules(folder: str, hidden_size: int) -> None:
    write_json(folder, "modules.json", _BI_ENCODER_MODULES)
    pooling = os.path.join(folder, "1_Pooling")
    os.mkdir(pooling)
    write_json(pooling, "config.json", {
        "word_embedding_dimension": hidden_size, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True,
        "pooling_mode_max_tokens": False, "pooling_mode_mean_sqrt_len_tokens": False,
    })


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _config(folder: str, settings: Settings) -> dict[str, Any]:
    """config.json, with the dtype that the weights have now."""
    config = {**read_json(folder, "config.json"), **settings.config}
    for key in [key for key in ("dtype", "torch_dtype") if key in config] or ["dtype"]:
        config[key] = "float32"
    return config


def _write_model_settings(folder: str, model_type: str, settings: Settings, own: dict[str, Any]) -> None:
    before = _object(read_json(folder, "config_sentence_transformers.json").get("__version__"))
    write_json(folder, "config_sentence_transformers.json", {
        "__version__": {**before, "crossenc": version()},
        "default_prompt_name": settings.default_prompt_name,
        "model_type": model_type,
        "prompts": settings.prompts,
        **own,
    })


def _write_tokenizer(folder: str, max_seq_length: int, padding_side: str | None = None) -> None:
    """Without the file, the tokenizer is as tokenizer.json says, or vocab.txt; it must stay so with it."""
    tokenizer = read_json(folder, "tokenizer_config.json")
    if not tokenizer:
        has_json = os.path.isfile(os.path.join(folder, "tokenizer.json"))
        tokenizer["tokenizer_class"] = "PreTrainedTokenizerFast" if has_json else "BertTokenizer"
    tokenizer["model_max_length"] = max_seq_length
    if padding_side is not None:
        tokenizer["padding_side"] = padding_side
    write_json(folder, "tokenizer_config.json", tokenizer)


def _write_card(folder: str, text: str | None) -> None:
    card = os.path.join(folder, "README.md")
    if text is not None:
        write_text(folder, "README.md", text)
    elif os.path.exists(card):
        os.remove(card)
