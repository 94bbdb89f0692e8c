"""Makes the safetensors files, good and hostile, that test_header.c reads and fuzz/fuzz_safetensors.c starts from.

Needs the safetensors package, whose verdict on each file is written down beside what crossenc's message must say:

    python tests/formats/hostile.py

What the package refuses, crossenc refuses. The reverse holds but for the cases marked STRICTER.
"""

import json
import os
import struct

from safetensors import deserialize

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
FILES = os.path.join(ROOT, "fuzz", "corpus", "safetensors")
VERDICTS = os.path.join(ROOT, "tests", "data", "formats", "verdicts.json")
BITS = {
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
    "F8_E5M2FNUZ": 8, "F8_E4M3FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
    "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}
STRICTER = "stricter"  # crossenc refuses what the package takes


def tensor(shape, begin, end, dtype="F32", **more):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end], **more}


def file(header, data=0, length=None):
    if not isinstance(header, (bytes, str)):
        header = json.dumps(header)
    if isinstance(header, str):
        header = header.encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + bytes(range(1, 251))[:data].ljust(data, b"\7")


ONE = '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'


def good():
    yield "two", file({"__metadata__": {"format": "pt"}, "a": tensor([2, 3], 0, 24), "b": tensor([1], 24, 28)}, 28)
    yield "order-of-names", file({"z": tensor([1], 0, 4), "a": tensor([1], 8, 12), "m": tensor([1], 4, 8)}, 12)
    yield "no-tensors", file({})
    yield "metadata-only", file({"__metadata__": {"a": "b"}})
    yield "metadata-null", file({"__metadata__": None, "a": tensor([1], 0, 4)}, 4)
    yield "scalar", file({"a": tensor([], 0, 4)}, 4)
    yield "empty-tensors", file({"a": tensor([0], 0, 0), "b": tensor([1], 0, 4), "c": tensor([5, 0], 4, 4)}, 4)
    yield "empty-name", file({"": tensor([1], 0, 4)}, 4)
    yield "escaped-name", file('{"\\u0061\\u00e9\\ud83d\\ude00\\n":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4)
    yield "space-around", file("  \n\t" + ONE + "   \r\n", 4)
    yield "unknown-field", file({"a": tensor([1], 0, 4, strange={"x": [1, 2.5]})}, 4)
    yield "rank-8", file({"a": tensor([1] * 8, 0, 4)}, 4)
    yield "zero-then-huge", file({"a": tensor([0, 2**62, 2], 0, 0)})
    yield "unaligned", file({"a": tensor([1], 0, 1, "I8"), "b": tensor([1], 1, 5)}, 5)
    for dtype, bits in BITS.items():
        yield f"dtype-{dtype}", file({"a": tensor([4], 0, bits // 2, dtype)}, bits // 2)


def hostile():
    """name, bytes, what the message must contain[, STRICTER]"""
    yield "empty", b"", "has 0 bytes, too few"
    yield "seven-bytes", b"\0" * 7, "has 7 bytes, too few"
    yield "length-zero", file(""), "header of the file is not valid JSON"
    yield "length-behind-end", file("{}", length=3), "has 10 bytes, and its header alone would have 11"
    yield "length-over-cap", file("{}", length=100_000_001), "claims a header of 100000001 bytes"
    yield "length-2-63", file("{}", length=2**63), "claims a header of 9223372036854775808"
    yield "length-max", file("{}", length=2**64 - 1), "claims a header of 18446744073709551615"
    yield "html", b"<!DOCTYPE html><html><body>not found</body></html>", "it is no safetensors file"
    yield "git-lfs-pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "it is no safetensors file"
    yield "root-array", file("[]"), "must be a JSON object, and is an array"
    yield "root-null", file("null"), "must be a JSON object, and is null"
    yield "root-number", file("7"), "must be a JSON object, and is an integer"
    yield "cut-json", file(ONE[:-1], 4), "expected ',' or '}', and the text ends"
    yield "nul-behind-json", file(ONE + "\0", 4), "expected the end of the text"
    yield "text-behind-json", file(ONE + "x", 4), "expected the end of the text"
    yield "byte-order-mark", file(b"\xef\xbb\xbf" + ONE.encode(), 4), "expected a value"
    yield "not-utf8", file(b'{"\xff":1}'), "not UTF-8"
    yield "lone-surrogate", file('{"\\ud800":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4), "malformed escape"
    yield "deep", file('{"a":' + "[" * 200 + "]" * 200 + "}"), "nested too deep"
    yield "name-twice", file(ONE[:-1] + "," + ONE[1:], 4), "a key for the second time", STRICTER
    yield "field-twice", file('{"a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}}', 4), "second time"
    yield "metadata-twice", file('{"__metadata__":{},"__metadata__":{},' + ONE[1:], 4), "second time"
    yield "name-with-nul", file({"a\0b": tensor([1], 0, 4)}, 4), "a NUL in a key", STRICTER
    yield "metadata-number", file({"__metadata__": {"k": 1}, "a": tensor([1], 0, 4)}, 4), '"k" is an integer'
    yield "metadata-array", file({"__metadata__": [], "a": tensor([1], 0, 4)}, 4), "__metadata__ must be an object"
    yield "tensor-null", file({"a": None}), 'tensor "a" must be described by an object, and is by null'
    yield "tensor-string", file({"a": "x"}), "and is by a string"
    yield "tensor-array", file('{"a":["F32",[1],[0,4]]}', 4), "and is by an array", STRICTER
    yield "no-dtype", file({"a": {"shape": [1], "data_offsets": [0, 4]}}, 4), 'the dtype of tensor "a" must be a string, and is absent'
    yield "no-shape", file({"a": {"dtype": "F32", "data_offsets": [0, 4]}}, 4), 'shape of tensor "a" must be an array, and is absent'
    yield "no-offsets", file({"a": {"dtype": "F32", "shape": [1]}}, 4), "data_offsets of tensor"
    yield "dtype-null", file({"a": tensor([1], 0, 4, None)}, 4), "must be a string, and is null"
    yield "dtype-unknown", file({"a": tensor([1], 0, 4, "F99")}, 4), 'the unknown dtype "F99"'
    yield "dtype-lower", file({"a": tensor([1], 0, 4, "f32")}, 4), 'the unknown dtype "f32"'
    yield "dtype-nul", file({"a": tensor([1], 0, 4, "F32\0")}, 4), "unknown dtype"
    yield "shape-negative", file({"a": tensor([-1], 0, 4)}, 4), "must be whole numbers from 0, and number 1 is not"
    yield "shape-minus-zero", file('{"a":{"dtype":"F32","shape":[-0],"data_offsets":[0,0]}}'), "must be whole numbers"
    yield "shape-real", file({"a": tensor([1.0], 0, 4)}, 4), "must be whole numbers"
    yield "shape-exponent", file(ONE.replace("[1]", "[1e0]"), 4), "must be whole numbers"
    yield "shape-bool", file({"a": tensor([True], 0, 4)}, 4), "must be whole numbers"
    yield "shape-string", file({"a": tensor(["1"], 0, 4)}, 4), "must be whole numbers"
    yield "shape-2-64", file({"a": tensor([2**64, 0], 0, 0)}), "must be whole numbers"
    yield "shape-over-int64", file({"a": tensor([2**63, 0], 0, 0)}), "must be whole numbers", STRICTER
    yield "shape-overflow", file({"a": tensor([2**62, 4], 0, 4)}, 4), "overflows"
    yield "shape-overflow-then-zero", file({"a": tensor([2**62, 4, 0], 0, 0)}), "overflows"
    yield "bytes-overflow", file({"a": tensor([2**62], 0, 0)}), "overflows"
    yield "shape-object", file({"a": tensor({}, 0, 4)}, 4), "must be an array, and is an object"
    yield "rank-9", file({"a": tensor([1] * 9, 0, 4)}, 4), "has 9 numbers, and may have 8", STRICTER
    yield "half-a-byte", file({"a": tensor([3], 0, 2, "F4")}, 2), "does not end at a whole byte"
    yield "one-offset", file({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}}, 4), "must be [begin, end]"
    yield "three-offsets", file({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 4]}}, 4), "has 3 numbers"
    yield "offsets-backwards", file({"a": tensor([1], 4, 0)}, 4), "must be [begin, end]"
    yield "offset-negative", file({"a": tensor([1], -4, 0)}, 4), "must be whole numbers"
    yield "offset-behind-end", file({"a": tensor([2], 0, 8)}, 4), 'tensor "a" ends at byte 8 of the data, of which the file has 4'
    yield "offset-huge", file({"a": tensor([1], 2**63 - 5, 2**63 - 1)}, 4), "ends at byte 9223372036854775807"
    yield "size-too-small", file({"a": tensor([2], 0, 4)}, 4), '[2] of F32, needs 8 bytes, and its data_offsets span 4'
    yield "size-too-large", file({"a": tensor([1], 0, 8)}, 8), "needs 4 bytes, and its data_offsets span 8"
    yield "size-of-empty", file({"a": tensor([0], 0, 4)}, 4), "needs 0 bytes"
    yield "overlap", file({"a": tensor([2], 0, 8), "b": tensor([1], 4, 8)}, 8), 'tensors "a" and "b" overlap at byte 4'
    yield "same-place", file({"a": tensor([1], 0, 4), "b": tensor([1], 0, 4)}, 4), "overlap at byte 0"
    yield "empty-inside", file({"a": tensor([0], 2, 2), "b": tensor([1], 0, 4)}, 4), "overlap at byte 2"
    yield "hole", file({"a": tensor([1], 0, 4), "b": tensor([1], 8, 12)}, 12), '4 bytes before tensor "b" belong to no tensor'
    yield "hole-first", file({"a": tensor([1], 4, 8)}, 8), '4 bytes before tensor "a"'
    yield "rest", file({"a": tensor([1], 0, 4)}, 5), "the last 1 bytes belong to no tensor"
    yield "rest-without-tensors", file({}, 3), "the last 3 bytes"
    yield "cut-data", file({"a": tensor([1], 0, 4)}, 3), "it is truncated or damaged"


def verdict(data):
    try:
        deserialize(data)
        return "ok"
    except Exception as error:
        return str(error)[:160]


def main():
    os.makedirs(FILES, exist_ok=True)
    cases = [(f"good-{name}", data, "") for name, data in good()]
    cases += [(f"bad-{name}", *rest) for name, *rest in hostile()]
    verdicts = []
    for name, data, message, *stricter in cases:
        reference = verdict(data)
        assert (reference == "ok") == (not message or bool(stricter)), (name, reference)
        with open(os.path.join(FILES, name), "wb") as out:
            out.write(data)
        verdicts.append({"file": name, "reference": reference, "message": message})
    with open(VERDICTS, "w") as out:
        json.dump(verdicts, out, indent=1)
        out.write("\n")


main()
