"""An installed prefix: what is in it, and programs built against it by CMake and by pkg-config, also after a move."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

SOURCE = pathlib.Path(os.environ["CE_SOURCE"])
BUILD = pathlib.Path(os.environ["CE_BUILD"])
COMPILER = os.environ["CE_CC"]
CONSUMER = SOURCE / "tests/package/consumer"
# The generator that built crossenc: CMake's own choice needs make, which a machine with Ninja may lack.
GENERATOR = re.search(r"^CMAKE_GENERATOR:INTERNAL=(.*)$", (BUILD / "CMakeCache.txt").read_text(), re.MULTILINE)[1]


def run(*command, **variables):
    environment = {name: value for name, value in os.environ.items() if name != "CROSSENC_DEFAULT_MODEL"}
    done = subprocess.run([str(part) for part in command], env=environment | variables, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, f"{command}: {done.stdout}"
    return done.stdout.strip()


@pytest.fixture(scope="module", name="prefix")
def installed_and_moved(tmp_path_factory):
    """The package, installed into one folder and then moved to another: none of its files may know the first."""
    first = tmp_path_factory.mktemp("first") / "prefix"
    run("cmake", "--install", BUILD, "--prefix", first)
    second = tmp_path_factory.mktemp("second") / "moved"
    shutil.move(first, second)
    return second


@pytest.fixture(name="libraries")
def folder_of_libraries(prefix):
    return next(prefix.rglob("libcrossenc.a")).parent


def check_program(output, prefix):
    version, model, score = output.split()
    assert version == (BUILD / "crossenc.pc").read_text().split("Version: ")[1].split()[0]
    assert pathlib.Path(model).resolve() == (prefix / "share/crossenc/models/crossenc-small-en").resolve()
    assert float(score) == float(score)


def build_by_cmake(prefix, folder, kind):
    run("cmake", "-G", GENERATOR, "-S", CONSUMER, "-B", folder, f"-DCMAKE_PREFIX_PATH={prefix}", f"-DKIND={kind}",
        f"-DCMAKE_C_COMPILER={COMPILER}")
    run("cmake", "--build", folder)
    return folder / "consumer"


def pkg_config(libraries, *options):
    return run("pkg-config", *options, "crossenc", PKG_CONFIG_PATH=str(libraries / "pkgconfig")).split()


def place_in_prefix(program, prefix):
    """A program with the static library in it looks for the model from its own folder."""
    (prefix / "bin").mkdir(exist_ok=True)
    return shutil.copy(program, prefix / "bin/consumer")


def test_files(prefix, libraries):
    headers = {path.name for path in (SOURCE / "include/crossenc").glob("*.h")}
    assert {path.name for path in (prefix / "include/crossenc").iterdir()} == headers
    assert {"config.json", "model.safetensors", "README.md"} <= {
        path.name for path in (prefix / "share/crossenc/models/crossenc-small-en").iterdir()}
    assert "Apache License" in (prefix / "share/licenses/crossenc/LICENSE").read_text(encoding="utf-8")
    assert (libraries / "libcrossenc.so").is_symlink()
    assert (libraries / "libcrossenc.so").resolve().name.startswith("libcrossenc.so.")


def test_nothing_of_the_build_is_left_in_files(prefix):
    """Text files that name the build or source folder would break on another machine."""
    texts = [path for path in prefix.rglob("*") if path.suffix in (".cmake", ".pc", ".h")]
    assert texts
    for path in texts:
        text = path.read_text(encoding="utf-8")
        assert str(BUILD) not in text and str(SOURCE) not in text, path


def test_cmake_shared(prefix, libraries, tmp_path):
    program = build_by_cmake(prefix, tmp_path, "shared")
    assert str(libraries) in run("ldd", program)
    check_program(run(program), prefix)


def test_cmake_static(prefix, tmp_path):
    program = build_by_cmake(prefix, tmp_path, "static")
    assert "libcrossenc" not in run("ldd", program)
    check_program(run(place_in_prefix(program, prefix)), prefix)


def test_pkg_config_shared(prefix, libraries, tmp_path):
    program = tmp_path / "consumer"
    run(COMPILER, CONSUMER / "consumer.c", "-o", program, *pkg_config(libraries, "--cflags", "--libs"))
    check_program(run(program, LD_LIBRARY_PATH=str(libraries)), prefix)


def test_pkg_config_static(prefix, libraries, tmp_path):
    """Nothing is shared in this program, not even the C library."""
    program = tmp_path / "consumer"
    run(COMPILER, "-static", CONSUMER / "consumer.c", "-o", program,
        *pkg_config(libraries, "--static", "--cflags", "--libs"))
    assert "NEEDED" not in run("readelf", "--dynamic", program)
    check_program(run(place_in_prefix(program, prefix)), prefix)


def test_finding_brings_no_fetching_along(libraries, tmp_path):
    """A program that only finds models by name has nothing in it that loads libcurl."""
    program, source = tmp_path / "find", tmp_path / "find.c"
    source.write_text("#include <crossenc/hub.h>\nint main(void) {\n  char path[4096];\n"
                      "  return ce_model_find(NULL, NULL, path, sizeof path, NULL) != CE_OK;\n}\n", encoding="utf-8")
    said = run(COMPILER, "-static", source, "-o", program, *pkg_config(libraries, "--static", "--cflags", "--libs"))
    names = run("nm", program)
    assert said == "" and "ce_model_find" in names and "cei_curl" not in names


def test_wrong_version_is_refused(prefix, tmp_path):
    (tmp_path / "CMakeLists.txt").write_text("cmake_minimum_required(VERSION 3.21)\nproject(p NONE)\n"
                                             "find_package(crossenc 99)\nif(crossenc_FOUND)\n"
                                             "  message(FATAL_ERROR found)\nendif()\n", encoding="utf-8")
    run("cmake", "-G", GENERATOR, "-S", tmp_path, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={prefix}")


def test_installed_command_runs(prefix):
    command = prefix / "bin/crossenc"
    if not command.exists():
        pytest.skip("this build has no command")
    assert "cpu" in run(command, "devices")
    assert "crossenc-small-en" in run(command, "inspect")
