"""Smaller forms of embeddings: a byte or a bit a value, with the bits that the reference gives."""
from __future__ import annotations

from typing import Any

import numpy as np

from . import _tensors
from ._log import logger

PRECISIONS = ("float32", "int8", "uint8", "binary", "ubinary")
_LEVELS = 255
_CALIBRATION = 100  # embeddings; from fewer, least and greatest values say little
# What is subtracted from unsigned bytes, and the type that then holds them.
_OFFSETS: dict[str, tuple[int, Any]] = {
    "uint8": (0, np.uint8), "int8": (128, np.int8), "ubinary": (0, np.uint8), "binary": (128, np.int8),
}


def quantize_embeddings(embeddings: Any, precision: str, ranges: Any = None, calibration_embeddings: Any = None) -> Any:
    """Embeddings in a smaller form; a list of matrices, one a text, gives a list of them.

    precision               "int8", "uint8": 255 steps from the least to the greatest value of each column;
                            "binary", "ubinary": a bit a value, 1 above 0, in bytes; "float32"
    ranges                  [2, dimension]: the least and the greatest values
    calibration_embeddings  what to take them of, instead of the embeddings themselves
    """
    if precision not in PRECISIONS:
        raise ValueError(f"Precision {precision!r} is not supported")
    if _tensors.is_tensor(embeddings):
        embeddings = _tensors.to_array(embeddings)
    elif isinstance(embeddings, list):
        if not embeddings:
            return []
        embeddings = [_tensors.to_array(row) if _tensors.is_tensor(row) else row for row in embeddings]
        if isinstance(embeddings[0], np.ndarray) and embeddings[0].ndim == 2:
            return _quantize_matrices(embeddings, precision, ranges, calibration_embeddings)
    return _quantize(np.asarray(embeddings), precision, ranges, calibration_embeddings)


def _quantize_matrices(matrices: list[np.ndarray], precision: str, ranges: Any, calibration: Any) -> list[np.ndarray]:
    """All with the same ranges."""
    if ranges is None and precision in ("int8", "uint8") and any(map(len, matrices)):
        ranges = _ranges(np.concatenate(matrices), precision, calibration)
    return [_quantize(matrix, precision, ranges, calibration) for matrix in matrices]


def _quantize(embeddings: np.ndarray, precision: str, ranges: Any, calibration: Any) -> np.ndarray:
    if embeddings.dtype in (np.uint8, np.int8):
        raise TypeError("embeddings to quantize must be float, not int8 or uint8: these are quantized already")
    if precision == "float32":
        return embeddings.astype(np.float32)
    offset, dtype = _OFFSETS[precision]
    if precision.endswith("binary"):
        return (np.packbits(embeddings > 0, axis=-1).astype(np.int16) - offset).astype(dtype)
    if embeddings.ndim == 2 and len(embeddings) == 0:
        return np.zeros(embeddings.shape, dtype)
    if ranges is None:
        ranges = _ranges(embeddings, precision, calibration)
    return (_levels(embeddings, np.asarray(ranges).astype(np.float32, copy=False)) - offset).astype(dtype)


def _levels(embeddings: np.ndarray, ranges: np.ndarray) -> np.ndarray:
    low, high = ranges
    step = (high - low) / _LEVELS
    step[step == 0] = 1
    levels: np.ndarray = np.clip(np.floor((embeddings - low) / step), 0, _LEVELS)
    return levels


def _ranges(embeddings: np.ndarray, precision: str, calibration: Any) -> np.ndarray:
    if calibration is None:
        calibration = embeddings
        if embeddings.ndim == 1 or len(embeddings) == 1:
            raise ValueError(
                f"Cannot compute {precision} quantization ranges from a single embedding. Call `quantize_embeddings` "
                "with `ranges` or `calibration_embeddings` from a representative set of embeddings instead."
            )
        if len(embeddings) < _CALIBRATION:
            logger.warning(
                f"Computing {precision} quantization buckets based on {len(embeddings)} embeddings. {precision} "
                "quantization is more stable with `ranges` calculated from more embeddings or a "
                "`calibration_embeddings` that can be used to calculate the buckets."
            )
    calibration = _tensors.to_array(calibration) if _tensors.is_tensor(calibration) else np.asarray(calibration)
    return np.stack((calibration.min(axis=0), calibration.max(axis=0)))
