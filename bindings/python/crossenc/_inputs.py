"""From what callers give to a list of pairs. Whether members are str is checked by the extension, once."""
from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ._crossenc import InputError

_NOT_SEQUENCES = (str, bytes, bytearray, memoryview, dict, set, frozenset)
_EXPECTED = "give a list of pairs (query, document) of two str, or one such pair"


def is_one_pair(inputs: Any) -> bool:
    """Whether a list, a tuple or an array is one pair by itself."""
    if isinstance(inputs, np.ndarray):
        return inputs.dtype.kind in "UOT" and inputs.size > 0 and inputs.ndim == 1 and isinstance(inputs[0], str)
    return isinstance(inputs, (list, tuple)) and len(inputs) > 0 and isinstance(inputs[0], str)


def as_pairs(inputs: Any) -> tuple[list[Any], bool]:
    """A list of pairs, and whether the caller gave one pair by itself."""
    if isinstance(inputs, np.ndarray):
        return _pairs_of_array(inputs)
    if is_one_pair(inputs):
        return [inputs], True
    if isinstance(inputs, _NOT_SEQUENCES) or not hasattr(inputs, "__iter__"):
        raise InputError(f"{type(inputs).__name__} is not what can be scored: {_EXPECTED}")
    pairs = inputs if isinstance(inputs, list) else list(inputs)
    if pairs and isinstance(pairs[0], np.ndarray):
        pairs = [pair.tolist() if isinstance(pair, np.ndarray) else pair for pair in pairs]
    return pairs, False


def _pairs_of_array(inputs: np.ndarray) -> tuple[list[Any], bool]:
    if inputs.dtype.kind not in "UOT":
        raise InputError(f"an array of {inputs.dtype} is not what can be scored: {_EXPECTED}")
    if inputs.size == 0:
        return [], False
    if inputs.ndim == 0:
        raise InputError(f"an array without dimensions is not what can be scored: {_EXPECTED}")
    if is_one_pair(inputs):
        return [inputs.tolist()], True
    return inputs.tolist(), False


def with_prompt(pairs: list[Any], prompt: str) -> list[Any]:
    """The prompt before each query. Pairs that are none are left for the extension to complain of."""
    if not isinstance(prompt, str):
        raise InputError(f"a prompt must be str, not {type(prompt).__name__}")
    return [
        (prompt + pair[0], *pair[1:]) if isinstance(pair, (list, tuple)) and pair and isinstance(pair[0], str) else pair
        for pair in pairs
    ]


def as_documents(documents: Any) -> Any:
    """A sequence of documents, the caller's own if it is one."""
    if isinstance(documents, _NOT_SEQUENCES):
        raise InputError(f"documents must be a list of str, not {type(documents).__name__}")
    return documents if isinstance(documents, (list, tuple, np.ndarray)) else list(documents)


def check_batch_size(batch_size: Any) -> None:
    """The library batches by tokens, and scores don't depend on it; but what the reference refuses is refused."""
    if operator.index(batch_size) <= 0:
        raise ValueError(f"batch_size must be a positive integer, got {batch_size}.")
