"""Writes tests/data/formats/torch.json, small files of torch.save with the tensors in them or what must be said of them,
and tests/data/formats/silu-bf16-one-head.bin, the weights of that model of tests/data/golden/models.

usage: python tools/golden/torch_golden.py      (needs torch and safetensors)
"""

import collections
import io
import json
import os
import zipfile
from pathlib import Path

import safetensors.torch
import torch

DATA = Path(__file__).resolve().parents[2] / "tests" / "data"
MODEL = DATA / "golden" / "models" / "silu-bf16-one-head" / "model.safetensors"
DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64", torch.int64: "I64",
          torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL"}


class Evil:
    def __reduce__(self):
        return os.system, ("echo run",)


def saved(content, **options):
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def rewritten(data, change=None, drop=(), compression=zipfile.ZIP_STORED):
    """The archive anew, with some files changed or left out."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", compression) as new:
        for name in old.namelist():
            if not name.endswith(tuple(drop)) or not drop:
                new.writestr(name, (change or {}).get(name.split("/", 1)[1], old.read(name)))
    return out.getvalue()


def plain():
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.arange(parameter.numel()).reshape(parameter.shape) / 4)
    state = module.state_dict()  # an OrderedDict with _metadata
    for number, dtype in enumerate(DTYPES):
        state[f"dtype.{number}"] = torch.arange(6).reshape(2, 3).to(dtype)
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    state.update({"base": base, "rows": base[1:3], "again": base, "one": base[2:3, 1:2], "scalar": torch.tensor(1.5),
                  "empty": torch.zeros(0, 3), "parameter": torch.nn.Parameter(torch.ones(2)),
                  "rank 8": torch.ones(1, 2, 1, 1, 1, 2, 1, 1), "na\u00efve": torch.ones(1)})
    return state


def cases():
    """name -> (bytes, None or what the message has)"""
    state, small = plain(), {"a": torch.ones(2, 3), "b": torch.zeros(3)}
    data = saved(small)
    return {
        "a state dict": (saved(state), None),
        "a plain dict": (data, None),
        "an empty one": (saved({}), None),
        "no byte order": (rewritten(data, drop=["byteorder"]), None),
        "many tensors": (saved({f"layer.{i}": torch.tensor([float(i)]) for i in range(200)}), None),
        "of before 1.6": (saved(small, _use_new_zipfile_serialization=False), None),
        "of before 1.6, a state dict": (saved(state, _use_new_zipfile_serialization=False), None),
        "of before 1.6, evil": (saved({"a": Evil()}, _use_new_zipfile_serialization=False), "\"posix.system\""),
        "of before 1.6, cut": (saved(small, _use_new_zipfile_serialization=False)[:-1], "numbers are not all in it"),
        "of before 1.6, longer": (saved(small, _use_new_zipfile_serialization=False) + b"x", "behind its numbers"),
        "big-endian": (rewritten(data, {"byteorder": b"big"}), "byte order is \"big\""),
        "compressed": (rewritten(data, compression=zipfile.ZIP_DEFLATED), "is compressed"),
        "no pickle": (rewritten(data, drop=["data.pkl"]), "no data.pkl"),
        "no numbers": (rewritten(data, drop=["data/1"]), "numbers are not in it"),
        "too few numbers": (rewritten(data, {"data/1": b"\0" * 11}), "numbers are not all in it"),
        "something behind the pickle": (rewritten(data, {"data.pkl": b"\x80\x02}."b"N"}), "behind its pickle"),
        "transposed": (saved({"a": torch.ones(2, 3).t()}), "do not lie in a row"),
        "columns": (saved({"a": torch.ones(2, 3)[:, :2]}), "do not lie in a row"),
        "expanded": (saved({"a": torch.ones(1).expand(3)}), "do not lie in a row"),
        "evil": (saved({"a": torch.ones(1), "b": Evil()}), "\"posix.system\""),
        "a module": (saved(torch.nn.Linear(2, 2)), "\"torch.nn.modules.linear.Linear\""),
        "a checkpoint of training": (saved({"state_dict": small, "epoch": 3}), "\"state_dict\" in it is no tensor"),
        "a list": (saved([torch.ones(1)]), "no dict of tensors"),
        "a tensor": (saved(torch.ones(1)), "no dict of tensors"),
        "a sparse tensor": (saved({"a": torch.ones(2).to_sparse()}), "_rebuild_sparse_tensor"),
        "complex numbers": (saved({"a": torch.ones(2, dtype=torch.complex64)}), "ComplexFloatStorage"),
        "protocol 4": (saved(small, pickle_protocol=4), "protocol 4"),
    }


def described(state):
    return {name: {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape),
                   "data": tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes().hex()
                   if tensor.numel() and tensor.dim() else tensor.detach().reshape(-1).numpy().tobytes().hex()}
            for name, tensor in state.items()}


def make_case(name, data, message):
    case = {"name": name, "file": data.hex()}
    if message:
        return {**case, "message": message}
    return {**case, "tensors": described(torch.load(io.BytesIO(data), weights_only=True))}


def main():
    made = [make_case(name, *case) for name, case in cases().items()]
    text = ",\n".join(json.dumps(case, ensure_ascii=True, separators=(",", ":")) for case in made)
    head = json.dumps({"versions": {"torch": torch.__version__}})
    (DATA / "formats" / "torch.json").write_text(head[:-1] + ',"cases":[\n' + text + "\n]}\n", encoding="ascii")
    state = collections.OrderedDict(sorted(safetensors.torch.load_file(MODEL).items()))
    (DATA / "formats" / "silu-bf16-one-head.bin").write_bytes(saved(state))


if __name__ == "__main__":
    main()
