"""CrossEncoder with the arguments, results and names of Sentence Transformers' class (6.2), on the C library."""
from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from . import _activations, _crossenc, _inputs, _tensors
from ._arguments import (
    call_arguments, call_chat_settings, call_max_length, config_settings, init_arguments, read_options,
    refuse_modules_and_backends,
)
from ._log import logger
from ._model import PlacedModel
from ._model_card import ModelCardData, cross_encoder_card
from ._models import find_model, saved_prompts
from ._progress import watched
from ._prompts import Prompted
from ._settings import Settings, write_cross_encoder

if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike
    from typing import Literal, Union

    import torch
    from numpy.typing import NDArray

    Pair = Union[tuple[str, str], list[str]]
    Pairs = Union[Iterable[Pair], NDArray[Any]]


class CrossEncoder(Prompted, PlacedModel):
    """Scores pairs of texts that it reads together, on the device that the constructor names.

    model_name_or_path   a folder; or a name (_models.find_model), fetched if it is not here. None is the default model
    device               "cpu", "cuda", "cuda:1", "auto", a torch.device; None is the best device that works; a list
                         of devices of one kind puts a replica on each. When the constructor returns, the weights are
                         there, verified; a device that is not there raises DeviceError before a file is opened
    place                "deferred" leaves placing to the first use or to place()
    precision            "float32" (default), "bfloat16", "float16" or "int8"; model_kwargs={"dtype": ...} says the same
    threads              CPU threads that one call may use; None is all that the process may use
    num_labels, max_length, activation_fn, prompts, default_prompt_name, cache_folder, revision, local_files_only, token
                         as in Sentence Transformers
    trust_remote_code, model_card_data
                         have no effect: no code of a model is run

    What makes no sense here is refused with a sentence that names the alternative. docs/python.md has the differences.
    """

    default_huggingface_organization = "cross-encoder"
    model_type = "CrossEncoder"
    _handle: _crossenc.Model

    @init_arguments
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
        model_kwargs: dict[str, Any] | None = None,
        processor_kwargs: dict[str, Any] | None = None,
        config_kwargs: dict[str, Any] | None = None,
        model_card_data: Any = None,
        backend: str = "torch",
        num_labels: int | None = None,
        max_length: int | None = None,
        activation_fn: Callable[..., Any] | None = None,
        keep_in_fp32_modules: list[str] | None = None,
        place: str = "eager",
        precision: str | None = None,
        threads: int | None = None,
    ) -> None:
        refuse_modules_and_backends(modules, backend)
        _refuse_other_precisions(keep_in_fp32_modules)
        options = read_options(
            device, precision, num_labels, max_length, threads, model_kwargs, processor_kwargs, config_kwargs
        )
        self._activation = _activations.check(activation_fn)
        self.trust_remote_code = trust_remote_code
        self.model_card_data = ModelCardData() if model_card_data is None else model_card_data
        path = find_model(
            model_name_or_path, self.default_huggingface_organization, cache_folder, revision, local_files_only, token
        )
        self._config_settings = config_settings(config_kwargs)
        self._open(path, options, place)
        if self._activation is None:
            self._activation = _activations.by_name(self._description["activation"])
        self._set_prompts(prompts, default_prompt_name, *saved_prompts(path, self.model_type))

    def _loaded_activation(self) -> str | None:
        if self._activation is None:
            return None
        return _activations.native_name(self._activation) or "Identity"

    # ---- scores

    # Of one pair it is a score, which type checkers are told is an array, as by the reference.
    @overload
    def predict(
        self, inputs: Pair | Pairs, prompt_name: str | None = ..., prompt: str | None = ..., batch_size: int = ...,
        show_progress_bar: bool | None = ..., activation_fn: Callable[..., Any] | None = ...,
        apply_softmax: bool | None = ..., convert_to_numpy: Literal[True] = ...,
        convert_to_tensor: Literal[False] = ..., device: Any = ..., pool: Any = ..., chunk_size: int | None = ...,
        processing_kwargs: dict[str, Any] | None = ...,
    ) -> NDArray[np.float32]: ...

    @overload
    def predict(
        self, inputs: Pair | Pairs, prompt_name: str | None = ..., prompt: str | None = ..., batch_size: int = ...,
        show_progress_bar: bool | None = ..., activation_fn: Callable[..., Any] | None = ...,
        apply_softmax: bool | None = ..., convert_to_numpy: bool = ..., *,
        convert_to_tensor: Literal[True], device: Any = ..., pool: Any = ..., chunk_size: int | None = ...,
        processing_kwargs: dict[str, Any] | None = ...,
    ) -> torch.Tensor: ...

    @overload
    def predict(
        self, inputs: Pair, prompt_name: str | None = ..., prompt: str | None = ..., batch_size: int = ...,
        show_progress_bar: bool | None = ..., activation_fn: Callable[..., Any] | None = ...,
        apply_softmax: bool | None = ..., *, convert_to_numpy: Literal[False],
        convert_to_tensor: Literal[False] = ..., device: Any = ..., pool: Any = ..., chunk_size: int | None = ...,
        processing_kwargs: dict[str, Any] | None = ...,
    ) -> torch.Tensor: ...

    @overload
    def predict(
        self, inputs: Pairs, prompt_name: str | None = ..., prompt: str | None = ..., batch_size: int = ...,
        show_progress_bar: bool | None = ..., activation_fn: Callable[..., Any] | None = ...,
        apply_softmax: bool | None = ..., *, convert_to_numpy: Literal[False],
        convert_to_tensor: Literal[False] = ..., device: Any = ..., pool: Any = ..., chunk_size: int | None = ...,
        processing_kwargs: dict[str, Any] | None = ...,
    ) -> list[torch.Tensor]: ...

    @overload
    def predict(
        self, inputs: Pair | Pairs, prompt_name: str | None = ..., prompt: str | None = ..., batch_size: int = ...,
        show_progress_bar: bool | None = ..., activation_fn: Callable[..., Any] | None = ...,
        apply_softmax: bool | None = ..., convert_to_numpy: bool = ...,
        convert_to_tensor: bool = ..., device: Any = ..., pool: Any = ..., chunk_size: int | None = ...,
        processing_kwargs: dict[str, Any] | None = ...,
    ) -> NDArray[np.float32] | torch.Tensor | list[torch.Tensor]: ...

    @call_arguments("num_workers")
    def predict(
        self,
        inputs: Any,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        activation_fn: Callable[..., Any] | None = None,
        apply_softmax: bool | None = False,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: Any = None,
        pool: Any = None,
        chunk_size: int | None = None,
        processing_kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Scores of pairs, in their order: float32 [pairs], or [pairs, labels] for several labels; of one pair, its own.

        inputs               a list of (query, document), an array of them, or one pair
        prompt, prompt_name  goes before each query, or is the message "system" of a model with a chat template
        batch_size           must be positive, and changes nothing: the library batches by tokens
        show_progress_bar    None shows it if the logger "crossenc" is at INFO or DEBUG
        activation_fn        for this call; one that the library has not is called with all logits [pairs, labels]
        apply_softmax        over the labels, after the activation; of one label it changes nothing
        convert_to_tensor    a tensor, by importing PyTorch; with neither this nor convert_to_numpy, a list of tensors
        device               moves the model there first, for good, as to() does; of a list, to each
        pool, chunk_size     checked, and change nothing (start_multi_process_pool)
        processing_kwargs    {"text": {"max_length": n}} for this call; {"chat_template": {...}}, names for the model's chat
                             template, if it has one
        """
        _inputs.check_batch_size(batch_size)
        if device is not None or pool is not None:
            self._before_call(device, pool, chunk_size)
        limit = (call_max_length(processing_kwargs) if processing_kwargs else 0) or self._limit or 0
        chat = call_chat_settings(processing_kwargs) if processing_kwargs else None
        pairs, is_single = _inputs.as_pairs(inputs)
        text = _inputs.prompt_bytes(self._resolve_prompt(prompt, prompt_name))
        scores = self._score(pairs, text, activation_fn, bool(apply_softmax), show_progress_bar, limit, chat)
        result = _tensors.convert(scores, convert_to_numpy, convert_to_tensor)
        return result[0] if is_single else result

    @call_arguments("num_workers", "convert_to_numpy", "convert_to_tensor", "apply_softmax")
    def rank(
        self,
        query: str,
        documents: Iterable[str] | NDArray[Any],
        top_k: int | None = None,
        return_documents: bool = False,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        activation_fn: Callable[..., Any] | None = None,
        device: Any = None,
        pool: Any = None,
        chunk_size: int | None = None,
    ) -> list[dict[str, Any]]:
        """Documents by their score, best first: dictionaries of corpus_id, score and, if asked for, text. Equal scores
        keep the order of the documents, and scores that are no number come last."""
        if self.num_labels != 1:
            raise ValueError(
                f"{type(self).__name__}.rank() only works for models with num_labels=1. "
                f"Consider using {type(self).__name__}.predict() with input pairs instead."
            )
        texts = _inputs.as_documents(documents)
        scores = self.predict(
            [(query, text) for text in texts], prompt_name, prompt, batch_size, show_progress_bar,
            activation_fn, device=device, pool=pool, chunk_size=chunk_size,
        )
        if scores.ndim > 1:
            raise ValueError(f"rank() needs a score a pair, and activation_fn made {scores.shape} of the logits")
        order = np.argsort(-scores, kind="stable").tolist()[:top_k]
        results: list[dict[str, Any]] = [{"corpus_id": index, "score": float(scores[index])} for index in order]
        if return_documents:
            for result in results:
                result["text"] = texts[result["corpus_id"]]
        return results

    def _score(
        self, pairs: list[Any], prompt: bytes, activation_fn: Callable[..., Any] | None, softmax: bool,
        show: bool | None, limit: int, chat: str | None,
    ) -> np.ndarray:
        function = self._activation if activation_fn is None else _activations.check(activation_fn)
        native = _activations.native_name(function)
        arguments = (pairs, prompt, native or "Identity", softmax and native is not None, limit, chat)
        scores = np.frombuffer(watched(self._handle.predict, arguments, len(pairs), show, "pair"), np.float32)
        labels = self.num_labels
        if native is not None or not pairs:
            return scores if labels == 1 else scores.reshape(len(pairs), labels)
        scores = _activations.apply(function, scores.reshape(len(pairs), labels))
        if labels == 1 and scores.ndim > 1 and scores.shape[-1] == 1:
            scores = scores[..., 0]
        return _activations.Softmax()(scores) if softmax and scores.ndim > 1 else scores

    def is_singular_input(self, inputs: Any) -> bool:
        """Whether predict takes the inputs for one pair."""
        return _inputs.is_one_pair(inputs)

    # ---- files

    def _new_card(self) -> str:
        return cross_encoder_card(self.num_labels, self.max_seq_length)

    def _settings_writer(self, card: str | None) -> Callable[[str], None]:
        activation = _activations.path_of(self._activation)
        if _activations.native_name(self._activation) is None:
            logger.warning(
                f"activation_fn {activation} is saved by its name alone: give it to the constructor again where the "
                "folder is loaded"
            )
        settings = Settings(
            self.prompts, self.default_prompt_name, self.max_seq_length, self._config_settings, card
        )
        return lambda folder: write_cross_encoder(folder, settings, activation)

    # ---- properties

    @property
    def model(self) -> CrossEncoder:
        """The object itself, for programs that say model.model.to(...), .eval(), .device or .config."""
        return self

    @property
    def num_labels(self) -> int:
        return int(self._description["num_labels"])

    @property
    def activation_fn(self) -> Callable[..., Any]:
        """What is applied to logits. Settable."""
        function: Callable[..., Any] = self._activation
        return function

    @activation_fn.setter
    def activation_fn(self, function: Callable[..., Any]) -> None:
        if function is None:
            raise TypeError("activation_fn must be callable; crossenc.Identity() gives raw logits")
        self._activation = _activations.check(function)

    @property
    def default_activation_function(self) -> Callable[..., Any]:
        _warn_renamed("default_activation_function", "activation_fn")
        return self.activation_fn

    @property
    def max_length(self) -> int:
        _warn_renamed("max_length", "max_seq_length")
        return self.max_seq_length

    @max_length.setter
    def max_length(self, value: int) -> None:
        _warn_renamed("max_length", "max_seq_length")
        self.max_seq_length = value

    def __repr__(self) -> str:
        try:
            where = self.placement
        except (ValueError, RuntimeError) as error:
            return f"CrossEncoder({self._path!r}: {error})"
        return (
            f"CrossEncoder({self._path!r}, device={','.join(self.devices)!r}, state={where.state!r}, "
            f"precision={where.precision!r}, num_labels={self.num_labels}, max_seq_length={self.max_seq_length})"
        )


def _warn_renamed(old: str, new: str) -> None:
    warnings.warn(
        f"The `{old}` property was renamed and is now deprecated. Please use `{new}` instead.",
        category=DeprecationWarning, stacklevel=3,
    )


def _refuse_other_precisions(keep_in_fp32_modules: Any) -> None:
    if keep_in_fp32_modules:
        raise NotImplementedError(
            "keep_in_fp32_modules: the classifier is always float32 here; precision=\"float32\" keeps all layers so"
        )
