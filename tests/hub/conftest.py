"""What the tests of fetching share: a hub on this machine, a model that scores, and ways to run the command and Python
programs against it. No request leaves the machine."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import pytest
from server import Hub

SOURCE = pathlib.Path(os.environ.get("CE_SOURCE") or pathlib.Path(__file__).resolve().parents[2])
BUILD = pathlib.Path(os.environ.get("CE_BUILD") or SOURCE / "build" / "release")
DATA = pathlib.Path(os.environ.get("CE_TEST_DATA") or SOURCE / "tests" / "data")
COMMAND = os.environ.get("CE_COMMAND") or str(BUILD / "cli" / "crossenc")
PREFIXES = ("HF_", "HUGGING", "CROSSENC_", "SENTENCE_TRANSFORMERS_HOME", "XDG_CACHE_HOME", "TRANSFORMERS_", "CURL_CA",
            "SSL_CERT")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def without_fetching():
    """The reason why nothing can be fetched here, or None."""
    done = subprocess.run([COMMAND, "pull", "a/b"], env={"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": "/nonexistent",
                          "CROSSENC_HUB_BACKOFF_MS": "1"}, stderr=subprocess.PIPE, text=True, check=False)
    return done.stderr.strip() if "libcurl" in done.stderr else None


MISSING = without_fetching()


def pytest_collection_modifyitems(items):
    for item in items:
        if MISSING:
            item.add_marker(pytest.mark.skip(reason=MISSING))


class Place:
    """A hub, a cache, and who uses them."""

    def __init__(self, hub, folder):
        self.hub, self.folder, self.cache = hub, folder, folder / "cache"
        plain = {name: value for name, value in os.environ.items()
                 if not name.startswith(PREFIXES) and name.lower() not in PROXIES}
        self.environment = {**plain, "HOME": str(folder), "HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(self.cache),
                            "CROSSENC_HUB_BACKOFF_MS": "5", "NO_PROXY": "127.0.0.1", "HF_HUB_DISABLE_TELEMETRY": "1",
                            "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_UPDATE_CHECK": "1"}

    def start(self, *arguments, env=None, **options):
        return subprocess.Popen([COMMAND, *map(str, arguments)], env={**self.environment, **(env or {})}, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    def run(self, *arguments, env=None, expect=0, **options):
        """Runs the command; returns (output, what was said)."""
        process = self.start(*arguments, env=env, **options)
        out, said = process.communicate(timeout=60)
        assert expect is None or process.returncode == expect, f"{arguments}: {process.returncode}\n{said}"
        return out, said

    def pull(self, *arguments, **options):
        """The report of a fetch, or with another expect than 0 what was said."""
        out, said = self.run("pull", "--json", *arguments, **options)
        return json.loads(out) if options.get("expect", 0) == 0 else said

    def repository(self, name="org/tiny"):
        return self.cache / ("models--" + name.replace("/", "--"))

    def expect_whole(self, files, name="org/tiny", revision="main"):
        """All files, through relative links to blobs; and nothing unfinished."""
        commit = (self.repository(name) / "refs" / revision).read_text()
        snapshot = self.repository(name) / "snapshots" / commit
        for file, data in files.items():
            assert (snapshot / file).read_bytes() == data
            target = os.readlink(snapshot / file)
            assert target == "../" * (2 + file.count("/")) + "blobs/" + os.path.basename(target)
        found = {path.relative_to(snapshot).as_posix() for path in snapshot.rglob("*") if not path.is_dir()}
        assert found == set(files)
        assert not [path for path in self.cache.rglob("*") if path.name.endswith((".incomplete", ".tmp"))]
        return snapshot


@pytest.fixture
def place():
    """In memory where that can be: what is fetched is waited for until it is on disk, and tests need not wait."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    hub = Hub()
    with tempfile.TemporaryDirectory(dir=memory, prefix="crossenc-hub-") as folder:
        yield Place(hub, pathlib.Path(folder))
    hub.close()


@pytest.fixture(scope="session")
def files():
    """The files of a small cross-encoder."""
    folder = DATA / "golden" / "models" / "long-1024"
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="session")
def encoder_files():
    """The files of a small bi-encoder, with folders of modules."""
    folder = DATA / "golden" / "encoders" / "cls-dense"
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*"))
            if path.is_file()}


def python_with(module):
    """A Python that has the module: CE_HUB_PYTHON, that of tools/python_tools.sh, or this one; skips without."""
    candidates = [os.environ.get("CE_HUB_PYTHON"), str(SOURCE / "build" / "python-tools" / "bin" / "python"),
                  sys.executable]
    for python in filter(None, candidates):
        if os.path.exists(python) and subprocess.run([python, "-c", f"import {module}"],
                                                     stderr=subprocess.DEVNULL).returncode == 0:
            return python
    return pytest.skip(f"no Python here has {module} (CE_HUB_PYTHON may name one)")
