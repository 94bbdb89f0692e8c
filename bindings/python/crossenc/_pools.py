"""The reference's pools of processes, for programs that use them. One model uses all cores of the CPU here, and has a
replica on each of several devices, so that a pool is that model and starts nothing."""
from __future__ import annotations

from typing import Any


def new_pool() -> dict[str, Any]:
    return {"input": None, "output": None, "processes": []}


def check(pool: Any, chunk_size: Any) -> None:
    if not isinstance(pool, dict) or "processes" not in pool:
        raise TypeError("pool must be what start_multi_process_pool returned")
    check_chunk_size(chunk_size)


def check_chunk_size(chunk_size: Any) -> None:
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"chunk_size must be a positive integer, got {chunk_size}.")
