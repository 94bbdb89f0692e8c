"""Tensors of PyTorch, which is imported here and nowhere else, and only where a caller asked for a tensor."""
from __future__ import annotations

import sys
from typing import Any

import numpy as np


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            "a tensor was asked for, and PyTorch cannot be imported: leave convert_to_tensor and convert_to_numpy out "
            "for an array"
        ) from error
    return torch


def is_loaded() -> bool:
    """Whether the program has imported PyTorch, and so expects tensors where the reference returns nothing else."""
    return hasattr(sys.modules.get("torch"), "from_numpy")


def is_tensor(value: Any) -> bool:
    return hasattr(value, "detach") and hasattr(value, "numpy")


def from_array(array: np.ndarray) -> Any:
    return _torch().from_numpy(array)


def to_array(tensor: Any) -> np.ndarray:
    """A tensor's values on the CPU, in a type that numpy has; sparse ones in full."""
    tensor = tensor.detach().cpu()
    if tensor.is_sparse:
        tensor = tensor.to_dense()
    if str(tensor.dtype) == "torch.bfloat16":
        tensor = tensor.float()
    array: np.ndarray = tensor.numpy()
    return array


def convert(array: np.ndarray, convert_to_numpy: bool, convert_to_tensor: bool) -> Any:
    """An array as a call asked for it: a tensor, a list of tensors, or an array, which is float64 if it is empty, as in
    the reference."""
    if convert_to_tensor:
        return from_array(array)
    if not convert_to_numpy:
        return list(from_array(array))
    return array if len(array) else np.array([])
