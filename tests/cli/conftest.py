"""What all tests of the command share: where it is, models, and a way to run it."""
import json
import os
import pathlib
import subprocess

import pytest

SOURCE = pathlib.Path(os.environ.get("CE_SOURCE") or pathlib.Path(__file__).resolve().parents[2])
DATA = pathlib.Path(os.environ.get("CE_TEST_DATA") or SOURCE / "tests" / "data")
MODELS = DATA / "golden" / "models"
REAL_MODEL = SOURCE / "models" / "crossenc-small-en"
COMMAND = os.environ.get("CE_COMMAND") or os.environ.get("CROSSENC_BIN") or "crossenc"
# The tests set what they test.
TESTED = ("NO_COLOR", "CROSSENC_MODELS", "CROSSENC_DEFAULT_MODEL", "LOCAL_RANK", "POSIXLY_CORRECT", "HF_HOME", "HF_HUB_CACHE",
          "HUGGINGFACE_HUB_CACHE", "SENTENCE_TRANSFORMERS_HOME", "XDG_CACHE_HOME", "HF_ENDPOINT", "HF_TOKEN")
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in TESTED}


class Result:
    """How a run ended: code, and output and error as bytes and text."""

    def __init__(self, done):
        self.code, self.raw, self.raw_error = done.returncode, done.stdout, done.stderr
        self.out, self.error = (data.decode("utf-8", "replace") for data in (done.stdout or b"", done.stderr or b""))

    def json(self):
        return json.loads(self.out)

    def lines(self):
        return [json.loads(line) for line in self.out.splitlines()]


def run_command(*arguments, input=b"", expect=0, env=None, **options):
    """Runs crossenc; a code other than expect (None: any) fails the test with what was said."""
    if isinstance(input, str):
        input = input.encode()
    if "stdin" not in options:
        options["input"] = input
    options.setdefault("stdout", subprocess.PIPE)
    done = subprocess.run([COMMAND, *map(os.fspath, arguments)], stderr=subprocess.PIPE, timeout=300,
                          env={**ENVIRONMENT, **(env or {})}, **options)
    result = Result(done)
    if expect is not None:
        assert result.code == expect, f"{arguments}: code {result.code}\n{result.error}"
    if result.code not in (0, 141):
        assert result.error.startswith("crossenc: error: ") or "\ncrossenc: error: " in result.error
        assert result.error.endswith("\n")
    return result


@pytest.fixture
def run():
    return run_command


@pytest.fixture
def one():
    """A small random model with one label, at most 1,024 tokens and the identity as activation."""
    return MODELS / "long-1024"


@pytest.fixture
def sigmoid():
    """A small random model with one label and the sigmoid as activation."""
    return MODELS / "sigmoid-gelu-new"


@pytest.fixture
def three():
    """A small random model with three labels."""
    return MODELS / "three-labels"


@pytest.fixture
def real():
    """The model that comes with crossenc."""
    if not (REAL_MODEL / "model.safetensors").exists():
        pytest.skip(f"{REAL_MODEL} is not there")
    return REAL_MODEL


@pytest.fixture
def ties():
    """A small collection with what makes ranking hard: tools/golden/metrics_golden.py made it."""
    return DATA / "cli" / "ties"
