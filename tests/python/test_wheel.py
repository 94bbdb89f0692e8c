"""The package as pip gets it: an sdist of the source tree, the wheel that is built of it, and the wheel installed. By
build and scikit-build-core (tools/python_tools.sh), and without a network."""
import email
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import zipfile

import pytest
from conftest import PACKAGE, SOURCE, python_with

CONTENT = SOURCE / "bindings" / "python" / "crossenc"
MODEL = "crossenc/models/crossenc-small-en"
VERSION = re.search(r'CE_VERSION_STRING "(.*)"', (SOURCE / "include/crossenc/status.h").read_text())[1]


@pytest.fixture(scope="module")
def tools():
    return python_with("build", "scikit_build_core", "auditwheel")


def run(*command, **variables):
    done = subprocess.run([str(part) for part in command], env={**os.environ, **variables}, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/")
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def built(tools, tmp_path_factory):
    """The folder with both: the wheel comes out of the sdist, not of the source tree."""
    folder = tmp_path_factory.mktemp("dist")
    run(SOURCE / "tools" / "wheel.sh", folder, "--no-isolation", "--skip-dependency-check", PYTHON=tools)
    assert sorted(path.suffix for path in folder.iterdir()) == [".gz", ".whl"]
    return folder


@pytest.fixture(scope="module")
def wheel(built):
    return next(built.glob("*.whl"))


def names_of(wheel):
    return {info.filename: info.file_size for info in zipfile.ZipFile(wheel).infolist() if not info.is_dir()}


def metadata_of(wheel):
    return email.message_from_bytes(zipfile.ZipFile(wheel).read(f"crossenc-{VERSION}.dist-info/METADATA"))


def test_sdist(built):
    with tarfile.open(built / f"crossenc-{VERSION}.tar.gz") as sdist:
        names = {name.split("/", 1)[1] for name in sdist.getnames()}
    wanted = ["LICENSE", "PKG-INFO", "pyproject.toml", "docs/python.md", "bindings/python/licenses/Jansson.txt",
              *[path.relative_to(SOURCE).as_posix() for path in (SOURCE / "src").rglob("*.[ch]")]]
    assert not set(wanted) - names
    assert not [name for name in names if name.split("/")[0] in ("build", "data", "tests", ".git")]


def test_wheel_has_all_and_nothing_else(wheel):
    info = f"crossenc-{VERSION}.dist-info"
    files = {path.relative_to(CONTENT.parent).as_posix() for path in CONTENT.rglob("*")
             if path.suffix in (".py", ".pyi", ".typed") or path.name == "py.typed"}
    model = {f"{MODEL}/{path.name}" for path in (SOURCE / "models/crossenc-small-en").iterdir()}
    licences = {f"{info}/licenses/{name}" for name in ("LICENSE", "bindings/python/licenses/Jansson.txt")}
    rest = {"crossenc/_crossenc.abi3.so", *[f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD")]}
    assert set(names_of(wheel)) == files | model | licences | rest


def test_one_wheel_for_every_python(wheel, tmp_path):
    """Of the glibc that the tag says: what auditwheel reads off the symbols is what they need."""
    tag = re.fullmatch(rf"crossenc-{re.escape(VERSION)}-(cp39-abi3-manylinux_2_(\d+)_\w+)\.whl", wheel.name)
    assert f"Tag: {tag[1]}" in zipfile.ZipFile(wheel).read(f"crossenc-{VERSION}.dist-info/WHEEL").decode()
    library = zipfile.ZipFile(wheel).extract("crossenc/_crossenc.abi3.so", tmp_path)
    needed = re.findall(r"GLIBC_2\.(\d+)", run("objdump", "-T", library))
    assert max(map(int, needed)) <= int(tag[2]) <= 36  # Debian 12's


def test_metadata(wheel):
    metadata = metadata_of(wheel)
    assert (metadata["Name"], metadata["Version"], metadata["Requires-Python"]) == ("crossenc", VERSION, ">=3.9")
    assert [name for name in metadata.get_all("Requires-Dist") if "extra" not in name] == ["numpy"]
    assert metadata["License-Expression"] == "Apache-2.0 AND MIT"
    description = metadata.get_payload()
    assert metadata["Description-Content-Type"] == "text/markdown" and "CrossEncoder" in description
    assert not re.findall(r"\]\((?!https?:)", description)  # where a package is shown there are no files beside it


def test_size(wheel):
    sizes = names_of(wheel)
    assert sum(size for name, size in sizes.items() if not name.startswith(MODEL)) < 3_000_000
    assert sum(sizes.values()) < 30_000_000


def test_needs_libc_alone(wheel, tmp_path):
    library = zipfile.ZipFile(wheel).extract("crossenc/_crossenc.abi3.so", tmp_path)
    needed = re.findall(r"NEEDED +(\S+)", run("objdump", "-p", library))
    assert {name.split(".")[0] for name in needed} <= {"libc", "libm"}


def test_installed(tools, wheel, tmp_path):
    """By pip; it scores as the package of the build folder, with the model that is in it."""
    run(tools, "-m", "pip", "install", "--no-index", "--no-deps", "--target", tmp_path, wheel)
    code = ("import crossenc; model = crossenc.CrossEncoder(device='cpu'); "
            "print(crossenc.__file__, model.predict(('How many people live in Berlin?', 'Berlin has 3.5 million.')), "
            "crossenc.CrossEncoder(device='cpu', place='deferred').path)")
    file, score, model = run(sys.executable, "-B", "-c", code, PYTHONPATH=str(tmp_path)).split()
    assert pathlib.Path(file) == tmp_path / "crossenc/__init__.py" and model == str(tmp_path / MODEL)
    assert score == run(sys.executable, "-B", "-c", code, PYTHONPATH=str(PACKAGE)).split()[1]
