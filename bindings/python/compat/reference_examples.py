"""The examples of the reference's documentation, as tests: those of the class's docstrings, of the released README, and
of pages of a checkout. Run by run_reference_tests.py with its plugin.

An example runs with the reference and with crossenc. What it printed and what its variables hold must be the same, but
for scores within 1e-4 + 1e-4 |score|, or 0.05 where the example asks for 16 bits. Blocks of one document follow each
other, as a reader would type them.
"""
import contextlib
import inspect
import io
import itertools
import os
import pathlib
import re
import textwrap

import numpy as np
import pytest
import sentence_transformers

import reference_plugin

TOLERANCE, TOLERANCE_16 = 1e-4, 0.05
NUMBER = re.compile(r"-?\d+\.\d+(?:e[+-]\d+)?")
METHODS = ("predict", "rank", "encode", "encode_query", "encode_document", "similarity", "similarity_pairwise")
KEPT = (bool, int, float, str, list, dict, tuple, np.ndarray, np.generic)


def indented_blocks(text, name):
    """Code that is indented under a line that ends in `::`, or in `:: python`, and imports the class."""
    lines = text.splitlines()
    for i, line in enumerate(lines):
        if re.search(r"::( python)?$", line):
            indent = len(line) - len(line.lstrip())
            inside = itertools.takewhile(lambda n: not n.strip() or len(n) - len(n.lstrip()) > indent, lines[i + 1 :])
            block = textwrap.dedent("\n".join(n for n in inside if not re.match(r"\s+:\w+:", n)))
            if f"import {name}" in block and "code-block" not in block and "tab::" not in block:
                yield block


def examples(name):
    """All that the documentation shows with the class: docstrings, the README, and pages of a checkout."""
    cls = reference_plugin.REFERENCE[name]
    found = [(name, block) for block in indented_blocks(inspect.getdoc(cls), name)]
    for method in METHODS:
        text = inspect.getdoc(getattr(cls, method, None)) or ""
        found += [(f"{name}.{method}", block) for block in indented_blocks(text, name)]
    readme = pathlib.Path(os.environ["CROSSENC_README"]).read_text(encoding="utf-8")
    for section in re.split(r"\n## |\n### ", readme):
        blocks = re.findall(r"```python\n(.*?)```", section, re.S)
        if blocks and f"import {name}" in blocks[0]:
            found.append(("README " + section.split("\n")[0].strip("# "), "\n".join(blocks)))
    for page in filter(None, os.environ["CROSSENC_PAGES"].split(os.pathsep)):
        text = pathlib.Path(page).read_text(encoding="utf-8")
        found += [(os.path.basename(page), block) for block in indented_blocks(text, name)]
    return [pytest.param(code, id=f"{where} {i}") for i, (where, code) in enumerate(found)]


def run(code, cls, name):
    """What the code prints, and its variables."""
    names, out = {}, io.StringIO()
    before = getattr(sentence_transformers, name)
    setattr(sentence_transformers, name, cls)
    try:
        with contextlib.redirect_stdout(out):
            exec(compile(code, "example", "exec"), names)
    finally:
        setattr(sentence_transformers, name, before)
    return out.getvalue(), {key: value for key, value in names.items() if isinstance(value, KEPT) and key[0] != "_"}


def check(found, expected, tolerance):
    if isinstance(expected, (list, tuple)):
        assert type(found) is type(expected) and len(found) == len(expected)
        for pair in zip(found, expected):
            check(*pair, tolerance)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            check(found[key], expected[key], tolerance)
    elif isinstance(expected, (float, np.ndarray, np.generic)):
        assert type(found) is type(expected) and np.shape(found) == np.shape(expected)
        assert np.allclose(found, expected, rtol=tolerance, atol=tolerance), f"{found} is far from {expected}"
    else:
        assert found == expected


SUBJECT = os.environ.get("CROSSENC_SUBJECT", "CrossEncoder")


@pytest.mark.parametrize("code", examples(SUBJECT))
def test_example(code, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    text, names = run(code, reference_plugin.REFERENCE[SUBJECT], SUBJECT)
    if not reference_plugin.NAME:
        return
    own_text, own_names = run(code, getattr(reference_plugin.crossenc, SUBJECT), SUBJECT)
    assert sorted(own_names) == sorted(names)
    tolerance = TOLERANCE_16 if "float16" in code else TOLERANCE
    for key, value in names.items():
        if key != "pool":
            check(own_names[key], value, tolerance)
    assert "".join(NUMBER.sub("#", own_text).split()) == "".join(NUMBER.sub("#", text).split())
    assert np.allclose([float(n) for n in NUMBER.findall(own_text)], [float(n) for n in NUMBER.findall(text)],
                       rtol=1e-2, atol=1e-2)
