"""Types, as mypy --strict sees them: the package is free of errors, its stub says what the extension has, and programs
get what the documentation says. Needs mypy and numpy (tools/python_tools.sh)."""
import os
import re
import subprocess

import pytest
from conftest import PACKAGE, SOURCE, python_with

CONTENT = SOURCE / "bindings" / "python" / "crossenc"
HEAD = """\
from collections.abc import Callable
from typing import Any, Optional, Union
from typing_extensions import assert_type
import numpy as np
import torch
from numpy.typing import NDArray
from crossenc import (CrossEncoder, Device, DeviceInfo, Health, Placement, SentenceTransformer, Sigmoid,
                      default_model_path, devices)
Scores = NDArray[np.float32]
pair, flag = ("query", "document"), bool(input())
model = CrossEncoder("folder", device="cpu", num_labels=1, max_length=512, activation_fn=Sigmoid(), place="deferred")
encoder = SentenceTransformer("folder", device="cpu", similarity_fn_name="dot", truncate_dim=64, precision="int8")
"""
# An expression, and the type that it has.
TYPES = [
    ("CrossEncoder()", "CrossEncoder"),
    ("model.predict([pair, pair])", "Scores"),
    ("model.predict([['query', 'document']])", "Scores"),
    ("model.predict(zip(['query'], ['document']))", "Scores"),
    ("model.predict(np.array([pair]))", "Scores"),
    ("model.predict(pair)", "Scores"),
    ("model.predict([pair], batch_size=8, activation_fn=Sigmoid(), apply_softmax=True)", "Scores"),
    ("model.predict([pair], convert_to_tensor=True)", "torch.Tensor"),
    ("model.predict([pair], convert_to_numpy=False, convert_to_tensor=True)", "torch.Tensor"),
    ("model.predict([pair], convert_to_numpy=False)", "list[torch.Tensor]"),
    ("model.predict(pair, convert_to_numpy=False)", "torch.Tensor"),
    ("model.predict([pair], convert_to_tensor=flag)", "Union[Scores, torch.Tensor, list[torch.Tensor]]"),
    ("model.rank('query', ['document'], top_k=3, return_documents=True)", "list[dict[str, Any]]"),
    ("model.rank('query', np.array(['document']))", "list[dict[str, Any]]"),
    ("model.to('cpu').cpu().bfloat16().half().place()", "CrossEncoder"),
    ("model.device", "Device"),
    ("model.device.index", "Optional[int]"),
    ("model.placement", "Placement"),
    ("model.placement.tensors_verified", "int"),
    ("model.check()", "Health"),
    ("model.max_seq_length", "int"),
    ("model.num_labels", "int"),
    ("model.config.hidden_size", "Any"),
    ("model.activation_fn", "Callable[..., Any]"),
    ("encoder.encode('text')", "NDArray[Any]"),
    ("encoder.encode(['text'], 'query', None, 8, precision='int8')", "NDArray[Any]"),
    ("encoder.encode_query(['text'], normalize_embeddings=True)", "NDArray[Any]"),
    ("encoder.encode_document(['text'], convert_to_tensor=True)", "torch.Tensor"),
    ("encoder.encode('text', output_value=None)", "dict[str, Any]"),
    ("encoder.encode(['text'], convert_to_tensor=flag)", "Any"),
    ("encoder.to('cpu').place()", "SentenceTransformer"),
    ("encoder.get_embedding_dimension()", "int"),
    ("encoder.similarity_fn_name", "str"),
    ("devices()", "list[DeviceInfo]"),
    ("default_model_path()", "str"),
]
# What must not pass.
WRONG = [
    "model.predict([pair], nonsense=1)", "model.predict(3)", "model.predict('text')", "model.rank('query', [3])",
    "model.rank(1, ['document'])", "model.nonsense", "model.fit()", "CrossEncoder(3)", "CrossEncoder(max_length='a')",
    "encoder.encode('text', nonsense=1)", "encoder.encode('text', precision='int4')", "encoder.fit()",
]


@pytest.fixture(scope="module")
def mypy():
    return python_with("mypy", "numpy")


def run(mypy, folder, *arguments, path=PACKAGE):
    return subprocess.run([mypy, "-m", *map(str, arguments)], cwd=folder, text=True, check=False,
                          env={**os.environ, "MYPYPATH": str(path), "PYTHONPATH": str(PACKAGE)},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_the_package_is_strict(mypy, tmp_path):
    done = run(mypy, SOURCE, "mypy", "--strict", "--cache-dir", tmp_path, CONTENT, path="")
    assert done.returncode == 0, done.stdout


def test_the_stub_is_the_extension(mypy, tmp_path):
    done = run(mypy, tmp_path, "mypy.stubtest", "crossenc._crossenc")
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def found(mypy, tmp_path_factory):
    """Line numbers of a program, and mypy's errors there. PyTorch is a stub with nothing but its tensor."""
    folder = tmp_path_factory.mktemp("program")
    (folder / "torch").mkdir()
    (folder / "torch" / "__init__.pyi").write_text("class Tensor: ...\n")
    lines = [f"assert_type({expression}, {kind})" for expression, kind in TYPES] + WRONG
    (folder / "program.py").write_text(HEAD + "\n".join(lines) + "\n")
    done = run(mypy, folder, "mypy", "--strict", "--config-file=", "--follow-imports=silent", "--cache-dir=cache",
               "program.py", path=os.pathsep.join([str(folder), str(PACKAGE)]))
    errors = {}
    for number, message in re.findall(r"^program\.py:(\d+): error: (.*)$", done.stdout, re.MULTILINE):
        errors.setdefault(int(number) - HEAD.count("\n") - 1, message)
    assert all(number >= 0 for number in errors) and done.stdout.count("error:") >= len(WRONG), done.stdout
    return errors


@pytest.mark.parametrize("number", range(len(TYPES)), ids=[expression for expression, _ in TYPES])
def test_types_of(found, number):
    assert number not in found, found[number]


@pytest.mark.parametrize("number", range(len(WRONG)), ids=WRONG)
def test_is_an_error(found, number):
    assert len(TYPES) + number in found
