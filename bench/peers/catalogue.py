"""The peers: their programs, and the settings among which the best is looked for. What a setting means is told by the
peer's own file."""

from typing import NamedTuple

import table

PRECISIONS = ("float32", "bfloat16", "int8")


class Peer(NamedTuple):
    name: str
    script: str
    settings: dict  # precision -> settings; a precision that is not here is one that the peer does not have
    float32_bound: float = table.FLOAT32_BOUND  # of table.py; another one has its reason in the peer's own file


HINTS = ("dynamic latency", "dynamic throughput", "static latency", "static throughput")
FLOATS = [f"{attention} {hint}" for attention in ("sdpa", "eager") for hint in HINTS]
BYTES = [f"{weights} {hint}" for weights in ("full", "weights") for hint in HINTS]

PEERS = {
    "torch": Peer("PyTorch", "torch_peer.py", {"float32": ["predict"], "bfloat16": ["predict"]}),
    "ort": Peer("ONNX Runtime", "ort_peer.py", {"float32": ["fused", "plain"], "int8": ["fused", "plain"]}),
    "openvino": Peer("OpenVINO", "openvino_peer.py", {"float32": FLOATS, "bfloat16": FLOATS, "int8": BYTES}),
    "llamacpp": Peer("llama.cpp", "llamacpp_peer.py", {
        precision: [f"{kind} {attention}" for kind in kinds for attention in ("plain", "flash")]
        for precision, kinds in (("float32", ["F32"]), ("bfloat16", ["BF16", "F16"]), ("int8", ["Q8_0"]))
    }, float32_bound=5e-3),
}


def batches(key, work):
    """Batch sizes that are measured."""
    return (1,) if work == "single" else (1, 32)


def settings(key, precision, work, batch):
    """Settings that make sense: shapes are fixed for batches of one alone, and throughput needs more than one batch."""
    every = PEERS[key].settings.get(precision, [])
    return [name for name in every
            if not ("static" in name and batch > 1) and not ("throughput" in name and work == "single")]
