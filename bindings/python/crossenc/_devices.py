"""Devices: their names, taken from what people write for PyTorch, and what this machine has."""
from __future__ import annotations

from typing import Any, NamedTuple

from . import _crossenc


class Device(str):
    """A device's name, "cpu" or "cuda:1", with the parts that torch.device has. PyTorch takes it where it takes names,
    and it equals a torch.device of the same type and index."""

    __slots__ = ()

    @property
    def type(self) -> str:
        return self.partition(":")[0]

    @property
    def index(self) -> int | None:  # type: ignore[override]  # torch.device's, where str has a method
        index = self.partition(":")[2]
        return int(index) if index else None

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return str.__eq__(self, other)
        return (self.type, self.index) == (getattr(other, "type", None), getattr(other, "index", None))

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


class DeviceInfo(NamedTuple):
    """One device, or the reason why a kind of device cannot be used (ce_device_info of crossenc/device.h)."""

    id: str
    name: str
    usable: bool
    reason: str
    features: str
    memory_total: int
    memory_free: int
    float32: bool
    bfloat16: bool
    int8: bool
    float16: bool


def devices() -> list[DeviceInfo]:
    """Every kind of device that crossenc knows, in order of preference. Opens nothing."""
    return [DeviceInfo(**info) for info in _crossenc.devices()]


def device_name(device: Any) -> str | None:
    """The library's name of a device: None, a str, a torch.device or its like, or an int, which PyTorch takes as the
    number of a CUDA device; or a list of these, each of which counts once. Whether there are such devices is the
    library's to say."""
    if device is None or isinstance(device, str):
        return None if device is None else str(device)
    if isinstance(device, int) and not isinstance(device, bool):
        return f"cuda:{device}"
    if isinstance(device, (list, tuple)):
        if not device:
            raise ValueError("the list of devices is empty")
        return ",".join(dict.fromkeys(device_name(one) or "auto" for one in device))
    kind, index = getattr(device, "type", None), getattr(device, "index", None)
    if not isinstance(kind, str) or not isinstance(index, (int, type(None))):
        raise TypeError(f"device must be a name such as 'cpu' or 'cuda:1', or a torch.device, not {device!r}")
    return kind if index is None else f"{kind}:{index}"
