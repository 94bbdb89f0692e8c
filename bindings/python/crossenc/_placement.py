"""Reports about a model: where it is, and how it fares. The fields are those of crossenc/model.h."""
from __future__ import annotations

from typing import NamedTuple


class Placement(NamedTuple):
    """Where a model is, how it came there and what was checked (ce_placement_report). Times are milliseconds."""

    state: str
    requested: str
    device: str
    device_name: str
    precision: str
    generation: int
    file_bytes: int
    weight_bytes: int
    workspace_bytes: int
    host_bytes: int
    tensors: int
    tensors_verified: int
    tensors_unused: int
    self_tested: bool
    self_test_error: float
    self_test_bound: float
    fell_back: bool
    fallback_reason: str
    resolve_ms: float
    open_ms: float
    upload_ms: float
    verify_ms: float
    self_test_ms: float
    total_ms: float
    staging_bytes: int
    devices: int


class Health(NamedTuple):
    """A model's health (ce_health): the known input ran again, and gave the bits that it gave at placement."""

    state: str
    milliseconds: float
    memory_free: int
    memory_total: int
