"""From what callers give to a list of texts or of pairs. Whether they are str is checked by the extension, once."""
from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ._crossenc import InputError

_NOT_SEQUENCES = (str, bytes, bytearray, memoryview, dict, set, frozenset)
_PAIRS = "give a list of pairs (query, document) of two str, or one such pair"
_TEXTS = "give a str or a list of str"


def as_texts(inputs: Any) -> tuple[list[Any], bool]:
    """A list of texts, and whether the caller gave one text by itself."""
    if isinstance(inputs, str):
        return [inputs], True
    if isinstance(inputs, np.ndarray):
        _check_array(inputs, "encoded", _TEXTS)
        return (inputs.tolist() if inputs.size else []), False
    return _listed(inputs, "encoded", _TEXTS), False


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
    pairs = _listed(inputs, "scored", _PAIRS)
    if pairs and isinstance(pairs[0], np.ndarray):
        pairs = [pair.tolist() if isinstance(pair, np.ndarray) else pair for pair in pairs]
    return pairs, False


def _listed(inputs: Any, done: str, expected: str) -> list[Any]:
    """What can be iterated over, as a list, the caller's own if it is one."""
    if isinstance(inputs, _NOT_SEQUENCES) or not hasattr(inputs, "__iter__"):
        raise InputError(f"{type(inputs).__name__} is not what can be {done}: {expected}")
    return inputs if isinstance(inputs, list) else list(inputs)


def _check_array(inputs: np.ndarray, done: str, expected: str) -> None:
    if inputs.dtype.kind not in "UOT":
        raise InputError(f"an array of {inputs.dtype} is not what can be {done}: {expected}")
    if inputs.ndim == 0:
        raise InputError(f"an array without dimensions is not what can be {done}: {expected}")


def _pairs_of_array(inputs: np.ndarray) -> tuple[list[Any], bool]:
    _check_array(inputs, "scored", _PAIRS)
    if inputs.size == 0:
        return [], False
    if is_one_pair(inputs):
        return [inputs.tolist()], True
    return inputs.tolist(), False


def check_prompt(prompt: Any) -> str:
    if not isinstance(prompt, str):
        raise InputError(f"a prompt must be str, not {type(prompt).__name__}")
    return prompt


def prompt_bytes(prompt: Any) -> bytes:
    """A prompt as the library reads it; None is no prompt."""
    try:
        return check_prompt("" if prompt is None else prompt).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"the prompt has a surrogate, which is half a character and no text: {error}") from None


def text_bytes(text: Any, number: int) -> bytes:
    """A text as the library reads it."""
    if not isinstance(text, str):
        raise InputError(f"text {number}: expected str, not {type(text).__name__}: {_TEXTS}")
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"text {number} has a surrogate, which is half a character and no text: {error}") from None


def as_documents(documents: Any) -> Any:
    """A sequence of documents, the caller's own if it is one."""
    if isinstance(documents, _NOT_SEQUENCES) or not hasattr(documents, "__iter__"):
        raise InputError(f"documents must be a list of str, not {type(documents).__name__}")
    return documents if isinstance(documents, (list, tuple, np.ndarray)) else list(documents)


def check_batch_size(batch_size: Any) -> None:
    """The library batches by tokens, and results don't depend on it; but what the reference refuses is refused."""
    if operator.index(batch_size) <= 0:
        raise ValueError(f"batch_size must be a positive integer, got {batch_size}.")
