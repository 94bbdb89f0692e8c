"""The modules of a bi-encoder as programs ask for them: model[0], len(model), for module in model. They say what they
are and set what can be set of the model; the library runs all of them at once, so none can be called by itself."""
from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ._models import Config, read_json, read_modules

if TYPE_CHECKING:
    from .sentence_transformer import SentenceTransformer

_MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")


class Module:
    """A module of a model, with what its config.json says."""

    def __init__(self, model: SentenceTransformer, config: dict[str, Any]) -> None:
        self._model = model
        self._config = config

    def get_config_dict(self) -> dict[str, Any]:
        return dict(self._config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.get_config_dict()})"

    if not TYPE_CHECKING:
        def __getattr__(self, name: str) -> Any:
            config = self.__dict__.get("_config", {})
            if name in config:
                return config[name]
            raise AttributeError(
                f"crossenc's module {type(self).__name__} has no attribute {name!r}: the library runs the model as a "
                "whole, and encode(output_value=None) has what comes of a text on the way"
            )


class Transformer(Module):
    """The first module: tokens and their states."""

    @property
    def max_seq_length(self) -> int:
        return self._model.max_seq_length

    @max_seq_length.setter
    def max_seq_length(self, value: int) -> None:
        self._model.max_seq_length = value

    @property
    def tokenizer(self) -> Tokenizer:
        return self._model.tokenizer

    @property
    def config(self) -> Config:
        return self._model.config

    def preprocess(self, inputs: Any, prompt: str | None = None, **kwargs: Any) -> dict[str, Any]:
        return self._model.preprocess(inputs, prompt, **kwargs)

    def tokenize(self, texts: Any, **kwargs: Any) -> dict[str, Any]:
        return self._model.preprocess(texts, **kwargs)

    def get_embedding_dimension(self) -> int:
        """Values of a token's state."""
        return int(self._model._description["hidden_size"])

    get_word_embedding_dimension = get_embedding_dimension

    def get_config_dict(self) -> dict[str, Any]:
        architecture = self._model._description["architecture"]
        return {"transformer_task": "feature-extraction", "max_seq_length": self.max_seq_length,
                "architecture": architecture}


class Pooling(Module):
    """The second module: the states of a text's tokens become one embedding."""

    POOLING_MODES = _MODES

    @property
    def pooling_mode(self) -> str | tuple[str, ...]:
        """One of POOLING_MODES, or several, whose results stand side by side."""
        modes = tuple(self._model._description["pooling"].split(", "))
        return modes[0] if len(modes) == 1 else modes

    @property
    def include_prompt(self) -> bool:
        """Whether the tokens of a prompt count. Setting it loads the model anew."""
        return bool(self._model._description["include_prompt"])

    @include_prompt.setter
    def include_prompt(self, value: bool) -> None:
        self._model.set_pooling_include_prompt(value)

    @property
    def embedding_dimension(self) -> int:
        """Values of a token's state."""
        return int(self._model._description["hidden_size"])

    word_embedding_dimension = embedding_dimension

    def get_embedding_dimension(self) -> int:
        """Values of its result."""
        modes = 1 if isinstance(self.pooling_mode, str) else len(self.pooling_mode)
        return modes * self.embedding_dimension

    get_sentence_embedding_dimension = get_embedding_dimension

    def get_pooling_mode_str(self) -> str:
        return "+".join([self.pooling_mode] if isinstance(self.pooling_mode, str) else self.pooling_mode)

    def get_config_dict(self) -> dict[str, Any]:
        return {"embedding_dimension": self.embedding_dimension, "pooling_mode": self.pooling_mode,
                "include_prompt": self.include_prompt}


class Dense(Module):
    """A linear layer and a function behind it: in_features, out_features, bias, activation_function."""

    def get_embedding_dimension(self) -> int:
        return int(self._config["out_features"])

    get_sentence_embedding_dimension = get_embedding_dimension


class LayerNorm(Module):
    """Layer norm over dimension values."""

    def get_embedding_dimension(self) -> int:
        return int(self._config["dimension"])

    get_sentence_embedding_dimension = get_embedding_dimension


class Normalize(Module):
    """Embeddings of length 1."""


class Dropout(Module):
    """What does nothing but in training."""


_CLASSES = {kind.__name__: kind for kind in (Transformer, Pooling, Dense, LayerNorm, Normalize, Dropout)}


def modules_of(model: SentenceTransformer) -> list[Module]:
    """As the library runs them: a folder without modules is a transformer that gets mean pooling."""
    if not model._is_listed:
        return [Transformer(model, {}), Pooling(model, {})]
    return [
        _CLASSES[str(row["type"]).rpartition(".")[2]](
            model, read_json(os.path.join(model.path, str(row["path"])), "config.json") if number else {}
        )
        for number, row in enumerate(read_modules(model.path))
    ]


class Tokenizer:
    """The model's tokenizer, as far as programs ask for it: the limit, the padding, and ids."""

    def __init__(self, model: SentenceTransformer, padding_side: str | None) -> None:
        self._model = model
        self._padding_side = padding_side

    @property
    def model_max_length(self) -> int:
        """max_seq_length of the model. Settable."""
        return self._model.max_seq_length

    @model_max_length.setter
    def model_max_length(self, value: int) -> None:
        self._model.max_seq_length = value

    @property
    def padding_side(self) -> str:
        """On which side preprocess fills up what it returns: "right" or "left". Settable, and saved with the model;
        embeddings don't depend on it, for encode pads nothing."""
        return self._padding_side or "right"

    @padding_side.setter
    def padding_side(self, value: str) -> None:
        if value not in ("right", "left"):
            raise ValueError(f'padding_side must be "right" or "left", not {value!r}')
        self._padding_side = value

    @property
    def vocab_size(self) -> int:
        return int(self._model._description["vocab_size"])

    def __len__(self) -> int:
        return self.vocab_size

    def __call__(self, text: str | list[str]) -> dict[str, Any]:
        """Lists of input_ids, token_type_ids and attention_mask, special tokens included, cut to model_max_length and
        not padded: of each text, or of a single str."""
        rows, _ = self._model._tokenize([text] if isinstance(text, str) else text, None, 0)
        columns = {
            "input_ids": [ids.tolist() for ids, _ in rows],
            "token_type_ids": [types.tolist() for _, types in rows],
            "attention_mask": [[1] * len(ids) for ids, _ in rows],
        }
        return {name: column[0] for name, column in columns.items()} if isinstance(text, str) else dict(columns)

    def encode(self, text: str) -> list[int]:
        """The ids of one text."""
        ids: list[int] = self(text)["input_ids"]
        return ids

    def __repr__(self) -> str:
        return (f"Tokenizer({self._model._description['tokenizer']}, vocab_size={self.vocab_size}, "
                f"model_max_length={self.model_max_length}, padding_side={self.padding_side!r})")
