"""SentenceTransformer with the arguments, results and names of Sentence Transformers' class (6.2), on the C library."""
from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _crossenc, _inputs, _tensors
from ._arguments import (
    call_max_length, config_settings, count, read_options, refuse_modules_and_backends, renamed_arguments,
)
from ._log import warn_once
from ._model import PlacedModel
from ._model_card import ModelCardData, bi_encoder_card
from ._models import find_model, read_json, read_modules, transformer_folder
from ._modules import Module, Tokenizer, modules_of
from ._progress import watched
from ._prompts import Prompted
from ._quantization import PRECISIONS, quantize_embeddings
from ._settings import BiEncoderSettings, Settings, write_bi_encoder
from ._similarity import SimilarityFunction

if TYPE_CHECKING:
    from os import PathLike

    from ._typing import Encode

_EMBEDDING, _TOKENS = "sentence_embedding", "token_embeddings"


def _encoding(function: Callable[..., Any]) -> Encode:
    """A method that encodes: it takes old names of arguments, and is typed by what it is asked to return."""
    return renamed_arguments(sentences="inputs")(function)


class SentenceTransformer(Prompted, PlacedModel):
    """Makes embeddings of texts, on the device that the constructor names.

    model_name_or_path   a folder; or a name (_models.find_model), fetched if it is not here
    device, place, threads
                         as for CrossEncoder: when the constructor returns, the weights are there, verified
    precision            "float32" (default), "bfloat16", "float16" or "int8": what the model computes in.
                         model_kwargs={"dtype": ...} says the same; encode's precision is another matter
    prompts, default_prompt_name, similarity_fn_name, truncate_dim, cache_folder, revision, local_files_only, token
                         as in Sentence Transformers; what is not given is what the model's files say
    trust_remote_code, model_card_data
                         have no effect: no code of a model is run, and no card is written

    What makes no sense here is refused with a sentence that names the alternative. docs/python.md has the differences.
    """

    default_huggingface_organization = "sentence-transformers"
    model_type = "SentenceTransformer"
    SUPPORTED_SIMILARITY_FN_NAMES = tuple(SimilarityFunction.possible_values())
    _kind = _crossenc.Encoder
    _handle: _crossenc.Encoder

    @renamed_arguments(tokenizer_kwargs="processor_kwargs")
    def __init__(
        self,
        model_name_or_path: str | PathLike[str] | None = None,
        *,
        modules: Any = None,
        device: Any = None,
        prompts: dict[str, str] | None = None,
        default_prompt_name: str | None = None,
        cache_folder: str | PathLike[str] | None = None,
        trust_remote_code: bool = False,
        revision: str | None = None,
        local_files_only: bool = False,
        token: bool | str | None = None,
        use_auth_token: bool | str | None = None,
        model_kwargs: dict[str, Any] | None = None,
        processor_kwargs: dict[str, Any] | None = None,
        config_kwargs: dict[str, Any] | None = None,
        model_card_data: Any = None,
        backend: str = "torch",
        similarity_fn_name: str | SimilarityFunction | None = None,
        truncate_dim: int | None = None,
        place: str = "eager",
        precision: str | None = None,
        threads: int | None = None,
    ) -> None:
        refuse_modules_and_backends(modules, backend)
        token = _one_token(token, use_auth_token)
        if model_name_or_path is None:
            raise ValueError("there is no default SentenceTransformer: give the folder of one, or its name")
        self.similarity_fn_name = similarity_fn_name
        self.truncate_dim = truncate_dim
        self.trust_remote_code = trust_remote_code
        self.model_card_data = ModelCardData() if model_card_data is None else model_card_data
        self._config_settings = config_settings(config_kwargs)
        options = read_options(device, precision, None, None, threads, model_kwargs, processor_kwargs, config_kwargs)
        path = find_model(
            model_name_or_path, self.default_huggingface_organization, cache_folder, revision, local_files_only, token
        )
        self._open(path, options, place)
        self._take_over(prompts, default_prompt_name)
        saved_side = read_json(transformer_folder(path), "tokenizer_config.json").get("padding_side")
        self._tokenizer = Tokenizer(self, (processor_kwargs or {}).get("padding_side", saved_side))

    def _take_over(self, prompts: dict[str, str] | None, default_prompt_name: str | None) -> None:
        """What the model's files say, where the caller did not."""
        saved = self._description
        # Every model of the reference has these two, which keeps encode_query from the default prompt.
        known = {"query": "", "document": "", **saved["prompts"]}
        self._set_prompts(prompts, default_prompt_name, known, saved["default_prompt"])
        if self._similarity_fn_name is None:
            self.similarity_fn_name = saved["similarity"]
        if self.truncate_dim is None and saved["truncate_dim"] < saved["dimension"]:
            self.truncate_dim = saved["truncate_dim"]

    # ---- embeddings

    @_encoding
    def encode(
        self,
        inputs: Any,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        output_value: str | None = _EMBEDDING,
        precision: str | None = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: Any = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        pool: Any = None,
        chunk_size: int | None = None,
        processing_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Embeddings of texts, in their order: float32 [texts, dimension]; of one str, its own.

        inputs                a list of str, an array of them, what can be iterated over, or one str
        prompt, prompt_name   goes before each text
        batch_size            must be positive, and changes nothing: the library batches by tokens
        show_progress_bar     None shows it if the logger "crossenc" is at INFO or DEBUG
        output_value          "token_embeddings": of each text what the transformer gave, [tokens, hidden size]; None:
                              of each text a dictionary with that, the ids and the embedding. Both as tensors if the
                              program has imported PyTorch or asks for tensors, else as arrays
        precision             "int8", "uint8", "binary", "ubinary": as quantize_embeddings makes of the result
        convert_to_tensor     a tensor, by importing PyTorch; with neither this nor convert_to_numpy, a list of tensors
        device                moves the model there first, for good, as to() does; of a list, to each
        pool, chunk_size      checked, and change nothing (start_multi_process_pool)
        processing_kwargs     {"text": {"max_length": n}} for this call; "chat_template" has no effect, as in the reference
                              where texts are no messages
        normalize_embeddings  scales each embedding to length 1, after truncation
        truncate_dim          keeps the first values alone; None is the model's
        """
        _inputs.check_batch_size(batch_size)
        _check_wishes(type(self).__name__, kwargs, output_value, precision)
        texts, is_single = _inputs.as_texts(inputs)
        text = _inputs.prompt_bytes(self._resolve_prompt(prompt, prompt_name))
        dimension = count("truncate_dim", truncate_dim) or self.truncate_dim or self._description["dimension"]
        limit = call_max_length(processing_kwargs) or self._limit or 0
        self._before_call(device, pool, chunk_size)
        if output_value == _EMBEDDING:
            arguments = (texts, text, dimension, bool(normalize_embeddings), limit)
            raw = watched(self._handle.encode, arguments, len(texts), show_progress_bar, "text")
            result = _tensors.convert(_embeddings(raw, len(texts), precision), convert_to_numpy, convert_to_tensor)
        else:
            arguments = (texts, text, dimension, False, limit)
            rows = watched(self._handle.encode_rows, arguments, len(texts), show_progress_bar, "text")
            are_tensors = convert_to_tensor or not convert_to_numpy or _tensors.is_loaded()
            result = self._unpack(rows, output_value, precision, are_tensors)
            if output_value is None:
                self._add_prompt_length(result, text)
        return result[0] if is_single else result

    def _unpack(
        self, rows: list[tuple[Any, ...]], output_value: str | None, precision: str | None, are_tensors: bool
    ) -> list[Any]:
        """Rows of encode_rows, in the order of the texts, as the tokens' embeddings or as dictionaries."""
        hidden = self._description["hidden_size"]
        items = [_features(row, hidden) for row in sorted(rows)]
        if output_value == _TOKENS and precision not in (None, "float32"):
            smaller: list[Any] = quantize_embeddings([item[_TOKENS] for item in items], str(precision))
            return smaller
        if are_tensors:
            items = [{name: _tensors.from_array(array) for name, array in item.items()} for item in items]
        return items if output_value is None else [item[_TOKENS] for item in items]

    def _add_prompt_length(self, items: list[dict[str, Any]], prompt: bytes) -> None:
        """What the reference's dictionaries say of a whole call."""
        length = self._handle.tokenize(b"", prompt, 0)[2] if prompt and items else 0
        for item in items:
            item["modality"] = "text"
            if prompt:
                item["prompt_length"] = length

    # ---- tokens

    def preprocess(self, inputs: Any, prompt: str | None = None, **kwargs: Any) -> dict[str, Any]:
        """What the model reads of texts: input_ids, token_type_ids and attention_mask [texts, tokens of the longest],
        filled up on the tokenizer's padding_side; modality, and with a prompt prompt_length. Tensors if the program has
        imported PyTorch, else arrays. Of no texts, nothing.

        prompt                goes before each text; none if it is not given, as in the reference
        max_length, processing_kwargs
                              as in encode
        """
        length = count("max_length", kwargs.pop("max_length", None))
        limit = call_max_length(kwargs.pop("processing_kwargs", None)) or length
        if set(kwargs) - {"task"}:
            raise TypeError(f"preprocess() got an unexpected keyword argument {sorted(set(kwargs) - {'task'})[0]!r}")
        rows, prompt_length = self._tokenize(_inputs.as_texts(inputs)[0], prompt, limit)
        if not rows:
            return {}
        features: dict[str, Any] = self._padded(rows)
        if _tensors.is_loaded():
            features = {name: _tensors.from_array(array) for name, array in features.items()}
        features["modality"] = "text"
        if prompt:
            features["prompt_length"] = prompt_length
        return features

    def tokenize(self, texts: Any, **kwargs: Any) -> dict[str, Any]:
        """preprocess, with the reference's warning."""
        warn_once("The `tokenize` method is deprecated, please use `preprocess` instead.")
        return self.preprocess(texts, **kwargs)

    def _tokenize(
        self, texts: list[Any], prompt: str | None, limit: int
    ) -> tuple[list[tuple[np.ndarray, np.ndarray]], int]:
        """Ids and type ids of each text, and the tokens of the prompt."""
        text, limit = _inputs.prompt_bytes(prompt), limit or self._limit or 0
        found = [self._handle.tokenize(_inputs.text_bytes(item, i), text, limit) for i, item in enumerate(texts)]
        rows = [(_integers(ids), _integers(type_ids)) for ids, type_ids, _ in found]
        return rows, found[0][2] if found else 0

    def _padded(self, rows: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
        width, on_left = max(len(ids) for ids, _ in rows), self._tokenizer.padding_side == "left"
        fill = getattr(self.config, "pad_token_id", None) or 0
        columns = {"input_ids": ([ids for ids, _ in rows], fill), "token_type_ids": ([types for _, types in rows], 0),
                   "attention_mask": ([np.ones_like(ids) for ids, _ in rows], 0)}
        features = {}
        for name, (arrays, filling) in columns.items():
            features[name] = np.full((len(rows), width), filling, np.int64)
            for row, array in zip(features[name], arrays):
                row[width - len(array) if on_left else 0 :][: len(array)] = array
        return features

    @property
    def tokenizer(self) -> Tokenizer:
        """The limit, the padding and the ids of the model's tokenizer."""
        return self._tokenizer

    # ---- modules

    @property
    def _is_listed(self) -> bool:
        """Whether the folder says which modules there are; else they are a transformer and mean pooling."""
        saved_as = read_json(self._path, "config_sentence_transformers.json").get("model_type", self.model_type)
        return bool(read_modules(self._path)) and saved_as == self.model_type

    @property
    def _modules(self) -> list[Module]:
        if "_views" not in self.__dict__:
            self._views = modules_of(self)
        return self._views

    def __getitem__(self, number: int | slice) -> Any:
        """A module, which says what it is: a Transformer, a Pooling, and what is behind them."""
        return self._modules[number]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules)

    def _first_module(self) -> Module:
        return self._modules[0]

    def _last_module(self) -> Module:
        return self._modules[-1]

    # ---- files

    def _new_card(self) -> str:
        return bi_encoder_card(self.get_embedding_dimension(), self.max_seq_length, self.similarity_fn_name)

    def _settings_writer(self, card: str | None) -> Callable[[str], None]:
        settings = Settings(
            self.prompts, self.default_prompt_name, self.max_seq_length, self._config_settings, card
        )
        more = BiEncoderSettings(
            self.similarity_fn_name, self.truncate_dim, self._description["include_prompt"],
            self._tokenizer._padding_side, self._description["hidden_size"],
        )
        return lambda folder: write_bi_encoder(folder, settings, more)

    @_encoding
    def encode_query(
        self, inputs: Any, prompt_name: str | None = None, prompt: str | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        """As encode, with the prompt named "query" unless another one is asked for."""
        if prompt_name is None and prompt is None and "query" in self.prompts:
            prompt_name = "query"
        return self._encode_by_names(inputs, prompt_name, prompt, args, {"task": "query", **kwargs})

    @_encoding
    def encode_document(
        self, inputs: Any, prompt_name: str | None = None, prompt: str | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        """As encode, with the prompt named "document", "passage" or "corpus" unless another one is asked for."""
        if prompt_name is None and prompt is None:
            prompt_name = next((name for name in ("document", "passage", "corpus") if name in self.prompts), None)
        return self._encode_by_names(inputs, prompt_name, prompt, args, {"task": "document", **kwargs})

    def _encode_by_names(
        self, inputs: Any, prompt_name: str | None, prompt: str | None, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """As the reference calls encode, for classes that have their own."""
        if args:
            return self.encode(inputs, prompt_name, prompt, *args, **kwargs)
        return self.encode(inputs=inputs, prompt_name=prompt_name, prompt=prompt, **kwargs)

    def is_singular_input(self, inputs: Any) -> bool:
        """Whether encode takes the inputs for one text."""
        return isinstance(inputs, str)

    def get_model_kwargs(self) -> list[str]:
        """More arguments that encode takes for this model: none."""
        return []

    # ---- how alike they are

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """How alike all of two sets of embeddings are, by similarity_fn_name: [first, second]. A tensor if tensors were
        given or the program has imported PyTorch, else an array."""
        return SimilarityFunction.to_similarity_fn(self.similarity_fn_name)(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """How alike embeddings1[i] and embeddings2[i] are: [embeddings]; else as similarity."""
        return SimilarityFunction.to_similarity_pairwise_fn(self.similarity_fn_name)(embeddings1, embeddings2)

    @property
    def similarity_fn_name(self) -> str:
        """"cosine", "dot", "euclidean" or "manhattan". Settable; None is "cosine"."""
        return self._similarity_fn_name or "cosine"

    @similarity_fn_name.setter
    def similarity_fn_name(self, value: str | SimilarityFunction | None) -> None:
        name = getattr(value, "value", value)
        known = self.SUPPORTED_SIMILARITY_FN_NAMES
        if name is not None and name not in known:
            hint = " It compares embeddings of tokens, for which the reference has a MultiVectorEncoder."
            raise ValueError(
                f"{type(self).__name__} only supports similarity_fn_name in {known}, got {name!r}."
                f"{hint if name == 'maxsim' else ''}"
            )
        self._similarity_fn_name: str | None = name

    # ---- properties

    @property
    def truncate_dim(self) -> int | None:
        """How many values of an embedding are kept; None is all. Settable."""
        return self._truncate_dim

    @truncate_dim.setter
    def truncate_dim(self, value: int | None) -> None:
        self._truncate_dim = count("truncate_dim", value) or None

    @contextmanager
    def truncate_embeddings(self, truncate_dim: int | None) -> Iterator[None]:
        """Within the with block, embeddings keep so many values."""
        before = self.truncate_dim
        self.truncate_dim = truncate_dim
        try:
            yield
        finally:
            self.truncate_dim = before

    def truncate_sentence_embeddings(self, truncate_dim: int | None) -> Any:
        _warn_renamed("truncate_sentence_embeddings", "truncate_embeddings")
        return self.truncate_embeddings(truncate_dim)

    def get_embedding_dimension(self) -> int:
        """Values of an embedding that encode returns."""
        dimension = int(self._description["dimension"])
        return dimension if self.truncate_dim is None else min(dimension, self.truncate_dim)

    def get_sentence_embedding_dimension(self) -> int:
        _warn_renamed("get_sentence_embedding_dimension", "get_embedding_dimension")
        return self.get_embedding_dimension()

    def set_pooling_include_prompt(self, include_prompt: bool) -> None:
        """Whether the tokens of a prompt count in pooling. Another value than the model has loads it anew."""
        if bool(include_prompt) != self._description["include_prompt"]:
            self._reopen(include_prompt=1 if include_prompt else 2)

    def __repr__(self) -> str:
        try:
            where = self.placement
        except (ValueError, RuntimeError) as error:
            return f"SentenceTransformer({self._path!r}: {error})"
        return (
            f"SentenceTransformer({self._path!r}, device={','.join(self.devices)!r}, state={where.state!r}, "
            f"precision={where.precision!r}, dimension={self.get_embedding_dimension()}, "
            f"max_seq_length={self.max_seq_length})"
        )


def _embeddings(raw: bytearray, texts: int, precision: str | None) -> np.ndarray:
    values = np.frombuffer(raw, np.float32)
    if texts == 0 or precision in (None, "float32"):
        return values.reshape(texts, -1) if texts else values
    smaller: np.ndarray = quantize_embeddings(values.reshape(texts, -1), str(precision))
    return smaller


def _integers(raw: bytearray) -> np.ndarray:
    return np.frombuffer(raw, np.int32).astype(np.int64)


def _features(row: tuple[Any, ...], hidden: int) -> dict[str, np.ndarray]:
    """What the reference's modules have of a text in the end."""
    _, ids, type_ids, tokens, embedding = row
    ids = _integers(ids)
    return {
        "input_ids": ids,
        "token_type_ids": _integers(type_ids),
        "attention_mask": np.ones_like(ids),
        _TOKENS: np.frombuffer(tokens, np.float32).reshape(len(ids), hidden),
        _EMBEDDING: np.frombuffer(embedding, np.float32),
    }


def _one_token(token: bool | str | None, use_auth_token: bool | str | None) -> bool | str | None:
    if use_auth_token is None:
        return token
    warnings.warn(
        "The `use_auth_token` argument is deprecated: use `token` instead.",
        category=FutureWarning, stacklevel=4,
    )
    if token is not None:
        raise ValueError("Both `token` and `use_auth_token` are specified. Please only specify the `token` argument.")
    return use_auth_token


def _check_wishes(name: str, kwargs: dict[str, Any], output_value: Any, precision: Any) -> None:
    unknown = sorted(set(kwargs) - {"task"})  # which chooses among modules of the reference that are not here
    if unknown:
        raise ValueError(
            f"{name}.encode() has been called with additional keyword arguments that this model does not use: "
            f"{unknown}. As per {name}.get_model_kwargs(), this model does not accept any additional keyword arguments."
        )
    if precision is not None and precision not in PRECISIONS:
        raise ValueError(f"Precision {precision!r} is not supported, must be one of {PRECISIONS}")
    if output_value not in (_EMBEDDING, _TOKENS, None):
        raise ValueError(f"output_value {output_value!r} is none of {_EMBEDDING!r}, {_TOKENS!r} and None")
    if output_value is None and precision not in (None, "float32"):
        raise ValueError(f"precision={precision!r} is for embeddings: with output_value=None everything is float32")


def _warn_renamed(old: str, new: str) -> None:
    warnings.warn(
        f"The `{old}` method has been renamed to `{new}`.", category=FutureWarning, stacklevel=3,
    )
