"""The reference's pools of processes, for programs that use them. One model uses all cores of its device here, so that
a pool of one device, however often it is named, is that model and starts nothing."""
from __future__ import annotations

from typing import Any

from ._devices import device_name


def one_device(devices: Any) -> str | None:
    """The device that a list names."""
    names = {device_name(device) for device in devices}
    if len(names) != 1:
        raise NotImplementedError(
            f"a model is on one device, and {list(devices)!r} is not one: load one model a device for several. "
            "On the CPU one model uses all cores already"
        )
    return names.pop()


def new_pool() -> dict[str, Any]:
    return {"input": None, "output": None, "processes": []}


def check(pool: Any, chunk_size: Any) -> None:
    if not isinstance(pool, dict) or "processes" not in pool:
        raise TypeError("pool must be what start_multi_process_pool returned")
    check_chunk_size(chunk_size)


def check_chunk_size(chunk_size: Any) -> None:
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"chunk_size must be a positive integer, got {chunk_size}.")
