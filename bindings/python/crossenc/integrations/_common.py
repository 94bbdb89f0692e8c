"""What the adapters share: a model that is named or ready-made, and the error where a framework is missing."""
from __future__ import annotations

from typing import Any

from ..cross_encoder import CrossEncoder


def missing(module: str, package: str) -> ImportError:
    return ImportError(f"{module} needs a framework that cannot be imported: pip install '{package}'")


def open_model(model: Any, device: Any, arguments: dict[str, Any] | None) -> CrossEncoder:
    """The caller's CrossEncoder as it is, or the one that is named, on its device. To move a model that others may use,
    or to change it, is not an adapter's to do."""
    if not isinstance(model, CrossEncoder):
        return CrossEncoder(model, device=device, **(arguments or {}))
    if device is not None or arguments:
        raise ValueError("the model is a CrossEncoder already: give device and other arguments to its constructor")
    return model
