"""What is applied to logits: five functions that the library computes, recognised also as modules of PyTorch, and any
other callable, applied here. PyTorch is never imported."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import _tensors

NATIVE = ("Identity", "Sigmoid", "Tanh", "ReLU", "Softmax")
_TORCH_MODULES = ("torch.nn.modules.linear", "torch.nn.modules.activation")


class _Activation:
    """Called with an array it computes what the library does, in float64 as there, rounded once."""

    def __call__(self, scores: Any) -> np.ndarray:
        with np.errstate(over="ignore"):
            computed: np.ndarray = self._compute(np.asarray(scores, np.float64))
        return computed.astype(np.float32)

    def _compute(self, x: np.ndarray) -> Any:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


class Identity(_Activation):
    """Raw logits."""

    def _compute(self, x: np.ndarray) -> Any:
        return x


class Sigmoid(_Activation):
    """1 / (1 + exp(-x))"""

    def _compute(self, x: np.ndarray) -> Any:
        return 1.0 / (1.0 + np.exp(-x))


class Tanh(_Activation):
    def _compute(self, x: np.ndarray) -> Any:
        return np.tanh(x)


class ReLU(_Activation):
    """max(x, 0)"""

    def _compute(self, x: np.ndarray) -> Any:
        return np.maximum(x, 0.0)


class Softmax(_Activation):
    """exp(x_i) / sum_j exp(x_j) over the labels of each pair."""

    def _compute(self, x: np.ndarray) -> Any:
        powers = np.exp(x - x.max(axis=-1, keepdims=True))
        return powers / powers.sum(axis=-1, keepdims=True)


_BY_NAME = {cls.__name__: cls for cls in (Identity, Sigmoid, Tanh, ReLU, Softmax)}


def by_name(name: str) -> _Activation:
    return _BY_NAME[name]()


def native_name(function: Callable[..., Any]) -> str | None:
    """The library's name of the function if the library has it, else None."""
    kind = type(function)
    if kind in _BY_NAME.values():
        return kind.__name__
    if kind.__module__ not in _TORCH_MODULES or kind.__name__ not in NATIVE:
        return None
    # Over another dimension than the labels' it is another function.
    return kind.__name__ if getattr(function, "dim", None) in (None, 1, -1) else None


def path_of(function: Callable[..., Any]) -> str:
    """How a model's files name the function: PyTorch's path of those that the library has, else that of its class."""
    name = native_name(function)
    if name is not None:
        return f"{_TORCH_MODULES[0 if name == 'Identity' else 1]}.{name}"
    kind = function if isinstance(function, type) else type(function)
    return f"{kind.__module__}.{kind.__name__}"


def check(function: Any) -> Any:
    if function is not None and not callable(function):
        raise TypeError(f"activation_fn must be callable, such as crossenc.Sigmoid(), not {function!r}")
    return function


def apply(function: Callable[..., Any], logits: np.ndarray) -> np.ndarray:
    """Calls the function with all logits [pairs, labels]: as a tensor if the program has imported PyTorch, which is what
    the function was written for then, else as an array."""
    result = function(_tensors.from_array(logits) if _tensors.is_loaded() else logits)
    scores = np.asarray(_tensors.to_array(result) if _tensors.is_tensor(result) else result, np.float32)
    if scores.ndim == 0 or len(scores) != len(logits):
        raise ValueError(f"activation_fn made {scores.shape} of the logits' {logits.shape}: it must keep the pairs")
    return scores
