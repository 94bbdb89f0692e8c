"""What all tests of the package share: models, pairs, and why the tests cannot run if they cannot."""
import os
import pathlib
import subprocess
import sys

import pytest

SOURCE = pathlib.Path(os.environ.get("CE_SOURCE") or pathlib.Path(__file__).resolve().parents[2])
BUILD = pathlib.Path(os.environ.get("CE_BUILD") or SOURCE / "build" / "release")
DATA = pathlib.Path(os.environ.get("CE_TEST_DATA") or SOURCE / "tests" / "data")
MODELS = DATA / "golden" / "models"
SHARED = pathlib.Path(os.environ.get("CE_SHARED") or SOURCE.parent / "shared")
PACKAGE = BUILD / "python"
COMMAND = os.environ.get("CE_COMMAND") or str(BUILD / "cli" / "crossenc")

# The tests set what they test.
for name in ("CROSSENC_MODELS", "CROSSENC_DEFAULT_MODEL", "LOCAL_RANK", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME",
             "SENTENCE_TRANSFORMERS_HOME"):
    os.environ.pop(name, None)
os.environ["HF_HUB_CACHE"] = "/nonexistent"
os.environ["HF_HUB_OFFLINE"] = "1"  # models that are fetched are the matter of tests/hub
sys.path.insert(0, str(PACKAGE))

MISSING = None
if os.environ.get("CE_SANITIZE"):
    MISSING = "a Python without the sanitizer's runtime cannot load an extension that needs it"
elif not (PACKAGE / "crossenc" / "_crossenc.abi3.so").exists():
    MISSING = "the Python package was not built (CE_BUILD_PYTHON, which needs Python's headers)"
else:
    try:
        import numpy  # noqa: F401
    except ImportError:
        MISSING = f"{sys.executable} has no numpy"


def pytest_collection_modifyitems(items):
    if MISSING:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=MISSING))


def python_with(*modules):
    """A Python that has the modules: the one of tools/python_tools.sh, or this one. Skips if neither has."""
    for python in (str(SOURCE / "build" / "python-tools" / "bin" / "python"), sys.executable):
        code = "; ".join(f"import {name}" for name in modules)
        if os.path.exists(python) and subprocess.run([python, "-c", code], stderr=subprocess.DEVNULL).returncode == 0:
            return python
    return pytest.skip(f"no Python with {' and '.join(modules)} (tools/python_tools.sh installs them)")


@pytest.fixture
def package():
    import crossenc
    return crossenc


@pytest.fixture
def one():
    """A small random model with one label, at most 1,024 tokens and the identity as activation."""
    return str(MODELS / "long-1024")


@pytest.fixture
def three():
    """A small random model with three labels."""
    return str(MODELS / "three-labels")


@pytest.fixture
def model(package, one):
    with package.CrossEncoder(one, device="cpu", threads=2) as opened:
        yield opened


@pytest.fixture
def pairs():
    return [("how many people live in berlin?", f"Berlin has a population of {n} people, and {n} more." * (1 + n % 3))
            for n in range(40)]
