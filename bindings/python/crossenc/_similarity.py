"""How alike embeddings are: four measures, each between all of two sets and between pairs; more is more alike.

Embeddings are an array, a tensor, or a list of either or of numbers. What comes back is a tensor, on the device of the
first, if a tensor was given or if the program has imported PyTorch, as the reference gives nothing else; else an array.
It is computed in numpy either way, in float64 if that was given, else in float32: integers and half precision are
widened first."""
from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar

import numpy as np

from . import _tensors

Measure = Callable[[Any, Any], Any]
F = TypeVar("F", bound=Measure)
_LEAST_NORM = 1e-12  # below it a vector counts as zeros, as in PyTorch


def as_array(embeddings: Any) -> np.ndarray:
    """Embeddings as float32, or as float64 if that is what they are."""
    if _tensors.is_tensor(embeddings):
        embeddings = _tensors.to_array(embeddings)
    elif isinstance(embeddings, (list, tuple)):
        embeddings = [_tensors.to_array(row) if _tensors.is_tensor(row) else row for row in embeddings]
        are_numbers = embeddings and not isinstance(embeddings[0], np.ndarray)
        embeddings = np.asarray(embeddings, np.float32 if are_numbers else None)
    array = np.asarray(embeddings)
    return array if array.dtype == np.float64 else array.astype(np.float32, copy=False)


def _first_tensor(*given: Any) -> Any:
    for embeddings in given:
        first = embeddings[0] if isinstance(embeddings, (list, tuple)) and embeddings else embeddings
        if _tensors.is_tensor(first):
            return first
    return None


def like(values: Any, *given: Any) -> Any:
    """An array as what was given, or as the program expects it: see above."""
    tensor = _first_tensor(*given)
    if tensor is None and not _tensors.is_loaded():
        return values
    found = _tensors.from_array(np.asarray(values))
    return found if tensor is None else found.to(tensor.device)


def _between_all(measure: F) -> F:
    """A measure of matrices [n, dimension] and [m, dimension], made to take what callers give: [n, m]."""

    def function(a: Any, b: Any) -> Any:
        return like(measure(np.atleast_2d(as_array(a)), np.atleast_2d(as_array(b))), a, b)

    function.__name__, function.__doc__ = measure.__name__, measure.__doc__
    return function  # type: ignore[return-value]


def _between_pairs(measure: F) -> F:
    """A measure of arrays [..., dimension], made to take what callers give: [...]."""

    def function(a: Any, b: Any) -> Any:
        return like(measure(as_array(a), as_array(b)), a, b)

    function.__name__, function.__doc__ = measure.__name__, measure.__doc__
    return function  # type: ignore[return-value]


def unit(embeddings: np.ndarray) -> np.ndarray:
    """Each scaled to length 1; zeros stay zeros."""
    norms = np.sqrt(np.square(embeddings).sum(axis=-1, keepdims=True))
    scaled: np.ndarray = embeddings / np.maximum(norms, _LEAST_NORM)
    return scaled


@_between_all
def cos_sim(a: Any, b: Any) -> Any:
    """The cosine of a[i] and b[j]: [n, m]."""
    return unit(a) @ unit(b).T


@_between_all
def dot_score(a: Any, b: Any) -> Any:
    """The dot product of a[i] and b[j]: [n, m]."""
    return a @ b.T


@_between_all
def euclidean_sim(a: Any, b: Any) -> Any:
    """-|a[i] - b[j]|: [n, m]. In float64, as most of the digits may cancel."""
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    squares = np.square(wide_a).sum(axis=1)[:, None] + np.square(wide_b).sum(axis=1) - 2 * wide_a @ wide_b.T
    return -np.sqrt(np.maximum(squares, 0)).astype(np.result_type(a, b))


@_between_all
def manhattan_sim(a: Any, b: Any) -> Any:
    """-sum |a[i] - b[j]|: [n, m]."""
    return -np.stack([np.abs(row - b).sum(axis=-1) for row in a]) if len(a) else a @ b.T


@_between_pairs
def pairwise_cos_sim(a: Any, b: Any) -> Any:
    """The cosine of a[i] and b[i]: [n]."""
    return (unit(a) * unit(b)).sum(axis=-1)


@_between_pairs
def pairwise_dot_score(a: Any, b: Any) -> Any:
    """The dot product of a[i] and b[i]: [n]."""
    return (a * b).sum(axis=-1)


@_between_pairs
def pairwise_euclidean_sim(a: Any, b: Any) -> Any:
    """-|a[i] - b[i]|: [n]."""
    return -np.sqrt(np.square(a - b).sum(axis=-1))


@_between_pairs
def pairwise_manhattan_sim(a: Any, b: Any) -> Any:
    """-sum |a[i] - b[i]|: [n]."""
    return -np.abs(a - b).sum(axis=-1)


_BETWEEN_ALL: dict[str, Measure] = {
    "cosine": cos_sim, "dot": dot_score, "euclidean": euclidean_sim, "manhattan": manhattan_sim,
}
_BETWEEN_PAIRS: dict[str, Measure] = {
    "cosine": pairwise_cos_sim, "dot": pairwise_dot_score, "euclidean": pairwise_euclidean_sim,
    "manhattan": pairwise_manhattan_sim,
}


class SimilarityFunction(Enum):
    """Names of the measures."""

    COSINE = "cosine"
    DOT_PRODUCT = "dot"
    DOT = "dot"
    EUCLIDEAN = "euclidean"
    MANHATTAN = "manhattan"

    @staticmethod
    def to_similarity_fn(similarity_function: str | SimilarityFunction) -> Measure:
        """The measure between all of two sets."""
        return _BETWEEN_ALL[SimilarityFunction(similarity_function).value]

    @staticmethod
    def to_similarity_pairwise_fn(similarity_function: str | SimilarityFunction) -> Measure:
        """The measure between pairs."""
        return _BETWEEN_PAIRS[SimilarityFunction(similarity_function).value]

    @staticmethod
    def possible_values() -> list[str]:
        return [function.value for function in SimilarityFunction]
