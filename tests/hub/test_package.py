"""Names of models in Python: crossenc's package fetches what is not here, and raises what the reference raises."""
import json
import os
import subprocess
import sys

import pytest
from conftest import BUILD, DATA

MISSING = None
if os.environ.get("CE_SANITIZE"):
    MISSING = "a Python without the sanitizer's runtime cannot load an extension that needs it"
elif not (BUILD / "python" / "crossenc" / "_crossenc.abi3.so").exists():
    MISSING = "the Python package was not built (CE_BUILD_PYTHON, which needs Python's headers)"
else:
    try:
        import numpy  # noqa: F401
    except ImportError:
        MISSING = f"{sys.executable} has no numpy"
pytestmark = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))

PROGRAM = """
import json, sys
import crossenc
out = []
for kind, name, arguments in json.load(sys.stdin):
    try:
        model = getattr(crossenc, kind)(name, device="cpu", threads=1, **arguments)
        out.append([model.path])
    except Exception as error:
        out.append([[base.__name__ for base in type(error).__mro__], str(error)])
print(json.dumps(out))
"""


def load(place, *models, **variables):
    """For each of (class, name, arguments) its folder, or the classes of the exception and its message."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], input=json.dumps(models), stdout=subprocess.PIPE, text=True,
                          check=True, timeout=60,
                          env={**place.environment, "PYTHONPATH": str(BUILD / "python"), **variables})
    return json.loads(done.stdout)


def test_models_are_fetched_once(place, files, encoder_files):
    place.hub.add("cross-encoder/tiny", files)
    place.hub.add("sentence-transformers/tiny", encoder_files)
    place.hub.add("old", files)
    first, second, third, fourth = load(place, ("CrossEncoder", "tiny", {}), ("SentenceTransformer", "tiny", {}),
                                        ("CrossEncoder", "old", {}), ("CrossEncoder", "cross-encoder/tiny@main", {}))
    assert first == [str(place.expect_whole(files, "cross-encoder/tiny"))] == fourth
    assert second == [str(place.expect_whole(encoder_files, "sentence-transformers/tiny"))]
    assert third == [str(place.expect_whole(files, "old"))]
    place.hub.requests.clear()
    assert load(place, ("CrossEncoder", "tiny", {})) == [first] and not place.hub.requests


def test_an_adapter_is_fetched_with_its_model(place):
    base = {path.name: path.read_bytes() for path in (DATA / "golden/models/three-labels").iterdir()}
    lora = {path.name: path.read_bytes() for path in (DATA / "golden/adapters/patterns").iterdir()}
    place.hub.add("three-labels", base)
    place.hub.add("org/lora", lora)
    assert load(place, ("CrossEncoder", "org/lora", {})) == [[str(place.expect_whole(lora, "org/lora"))]]
    place.expect_whole(base, "three-labels")


def test_arguments_count(place, files):
    repository = place.hub.add("org/tiny", files, private=True)
    commit = repository.commit({**files, "README.md": b"v1"}, "v1")
    folder = place.folder / "other"
    found, = load(place, ("CrossEncoder", "org/tiny", {"cache_folder": str(folder), "revision": "v1",
                                                       "token": "hf_good"}))
    assert found == [str(folder / "models--org--tiny" / "snapshots" / commit)]
    place.hub.requests.clear()
    results = load(place, ("CrossEncoder", "org/tiny", {"local_files_only": True}),
                   ("CrossEncoder", "org/tiny", {"token": False}), ("CrossEncoder", "org/tiny", {"token": True}),
                   HF_TOKEN="")
    assert all("FileNotFoundError" in classes for classes, _ in results)
    assert "'crossenc pull'" in results[0][1] and "private" in results[1][1] and "a token is needed" in results[2][1]
    assert [request.headers.get("authorization") for request in place.hub.requests] == [None]
    assert len(load(place, ("CrossEncoder", "org/tiny", {"token": True}), HF_TOKEN="hf_good")[0]) == 1


def test_exceptions(place, files):
    place.hub.add("org/gated", files, gated=True)
    place.hub.add("org/wrong", files)
    place.hub.fault("signature", "change", {"data": b"x" * len(files["model.safetensors"])})
    gated, nothing, wrong, name, offline = load(
        place, ("CrossEncoder", "org/gated", {}), ("CrossEncoder", "org/nothing", {}), ("CrossEncoder", "org/wrong", {}),
        ("CrossEncoder", "a/b/c", {}), ("CrossEncoder", "org/wrong", {"revision": ".."}))
    assert "OSError" in gated[0] and "is gated" in gated[1]
    assert "FileNotFoundError" in nothing[0] and "org/nothing" in nothing[1]
    assert "OSError" in wrong[0] and "SHA-256" in wrong[1]
    assert "FileNotFoundError" in name[0] and "ValueError" in offline[0]
    offline, = load(place, ("CrossEncoder", "org/wrong", {}), HF_HUB_OFFLINE="1")
    assert "FileNotFoundError" in offline[0] and "HF_HUB_OFFLINE" in offline[1]


def test_an_interrupted_fetch(place, files):
    """Ctrl-C ends it, though the hub says nothing."""
    place.hub.add("org/tiny", files)
    place.hub.fault("/api/", "stall", 30)
    program = ("import crossenc, os, signal, threading, time\n"
               "threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
               "began = time.monotonic()\n"
               "try: crossenc.CrossEncoder('org/tiny', device='cpu')\n"
               "except KeyboardInterrupt: print(time.monotonic() - began)")
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True, timeout=30,
                          env={**place.environment, "PYTHONPATH": str(BUILD / "python")})
    assert 0.3 < float(done.stdout) < 5
