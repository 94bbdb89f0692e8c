"""Reading and writing safetensors checkpoints with numpy, the row-wise int8 form of crossenc included.

Relies on numpy only, so that a checkpoint can be made and read where no framework is installed. The int8 form holds a
matrix NAME as an I8 tensor [rows, columns] and an F32 tensor NAME.scale [rows]: weight = scale[row] * value.
"""

import json
import struct
from pathlib import Path

import numpy as np

DTYPES = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2"), "I8": np.dtype("i1"),
          "I64": np.dtype("<i8")}
SCALE = ".scale"
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"


class Stored:
    """A tensor as it lies in a file: dtype is a safetensors name, data an array of DTYPES[dtype] with the shape."""

    def __init__(self, dtype, data):
        self.dtype = dtype
        self.data = np.ascontiguousarray(data, dtype=DTYPES[dtype])

    def float32(self):
        if self.dtype == "BF16":
            return (self.data.astype(np.uint32) << 16).view(np.float32)
        return self.data.astype(np.float32)


def to_stored(array, dtype):
    """A float32 array in the dtype named; bfloat16 is rounded to nearest, ties to even."""
    array = np.ascontiguousarray(array, dtype=np.float32)
    if dtype != "BF16":
        return Stored(dtype, array.astype(DTYPES[dtype]))
    bits = array.view(np.uint32).astype(np.uint64)
    return Stored(dtype, ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16))


def read_file(path):
    """{name: Stored}, metadata."""
    blob = Path(path).read_bytes()
    (size,) = struct.unpack_from("<Q", blob)
    header = json.loads(blob[8 : 8 + size])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        flat = np.frombuffer(blob[begin:end], dtype=DTYPES[entry["dtype"]])
        tensors[name] = Stored(entry["dtype"], flat.reshape(entry["shape"]))
    return tensors, metadata


def read_folder(folder):
    """{name: Stored} of a whole checkpoint, sharded or not."""
    folder = Path(folder)
    if (folder / SINGLE).exists():
        return read_file(folder / SINGLE)[0]
    shards = sorted(set(json.loads((folder / INDEX).read_text())["weight_map"].values()))
    tensors = {}
    for shard in shards:
        tensors.update(read_file(folder / shard)[0])
    return tensors


def write_file(path, tensors, metadata):
    """Writes tensors ordered by falling size of their type, then name, so that each is aligned; the same input gives
    the same bytes."""
    order = sorted(tensors, key=lambda name: (-tensors[name].data.itemsize, name))
    header, offset = {"__metadata__": dict(sorted(metadata.items()))}, 0
    for name in order:
        size = tensors[name].data.nbytes
        header[name] = {
            "dtype": tensors[name].dtype,
            "shape": list(tensors[name].data.shape),
            "data_offsets": [offset, offset + size],
        }
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 64)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in order:
            file.write(tensors[name].data.tobytes())


def quantize_rows(matrix, rounds=8, grid=41):
    """Values [-127, 127] and float32 scales of a float32 matrix [rows, columns] with small squared error: the same as
    src/formats/quantize.c gives.

    For each row the scales 0.8 ... 1.0 of max|w| / 127 are tried, and the best is refined by turns: with the values
    fixed the best scale is <w, v> / <v, v>; with the scale fixed the best values are the rounded quotients.
    """
    matrix = matrix.astype(np.float64)
    top = np.abs(matrix).max(axis=1) / 127.0
    top[top == 0.0] = 1.0  # a row of zeros: any scale will do
    best_scale, best_error = top.astype(np.float32), np.full(len(matrix), np.inf)
    best_values = np.zeros(matrix.shape, np.int8)

    def consider(scale):
        nonlocal best_values
        scale = scale.astype(np.float32)
        wide = scale.astype(np.float64)[:, None]
        values = np.clip(np.rint(matrix / wide), -127, 127)
        error = ((matrix - wide * values) ** 2).sum(axis=1)
        better = error < best_error
        best_error[better], best_scale[better] = error[better], scale[better]
        best_values[better] = values[better].astype(np.int8)

    for factor in np.linspace(1.0, 0.8, grid):
        consider(top * factor)
    for _ in range(rounds):
        values = best_values.astype(np.float64)
        square = (values**2).sum(axis=1)
        refined = np.where(square > 0, (matrix * values).sum(axis=1) / np.maximum(square, 1.0), best_scale)
        consider(np.where(refined > 0, refined, best_scale))
    return best_values, best_scale


def dequantize(tensors):
    """{name: float32 array} of {name: Stored}; an int8 matrix and its scales become one product, rounded once."""
    plain = {}
    for name, stored in tensors.items():
        if name.endswith(SCALE) and name[: -len(SCALE)] in tensors:
            continue
        if stored.dtype == "I8":
            plain[name] = tensors[name + SCALE].data[:, None] * stored.data.astype(np.float32)
        else:
            plain[name] = stored.float32()
    return plain


def write_float32_copy(folder, out):
    """A copy of a model folder with its weights as float32 in one file, for programs that do not know the int8 form."""
    folder, out = Path(folder), Path(out)
    out.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.suffix in (".json", ".txt") and path.name != INDEX:
            (out / path.name).write_bytes(path.read_bytes())
    stored = {name: to_stored(array, "F32") for name, array in dequantize(read_folder(folder)).items()}
    write_file(out / SINGLE, stored, {"format": "pt"})
