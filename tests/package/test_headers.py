"""Every public header compiles alone, first and twice, as C11 and as C++17, with gcc and with clang."""
import os
import pathlib
import shutil
import subprocess

import pytest

INCLUDE = pathlib.Path(os.environ["CE_SOURCE"]) / "include"
HEADERS = sorted(str(path.relative_to(INCLUDE)) for path in INCLUDE.rglob("*.h"))
COMPILERS = ["gcc", "g++", "clang", "clang++"]


def test_there_are_headers():
    assert "crossenc/crossenc.h" in HEADERS


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("header", HEADERS)
def test_header_compiles_alone(header, compiler):
    if not shutil.which(compiler):
        pytest.skip(f"{compiler} is not installed")
    cplusplus = compiler.endswith("++")
    language = ["-x", "c++", "-std=c++17"] if cplusplus else ["-x", "c", "-std=c11"]
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Wundef", "-Wshadow", "-Werror"]
    source = f"#include <{header}>\n#include <{header}>\nint main() {{ return 0; }}\n".replace(
        "main()", "main()" if cplusplus else "main(void)")
    subprocess.run([compiler, *language, *warnings, "-fsyntax-only", "-I", INCLUDE, "-"], input=source, text=True,
                   check=True)


def test_umbrella_includes_all():
    umbrella = (INCLUDE / "crossenc/crossenc.h").read_text(encoding="utf-8")
    missing = [header for header in HEADERS if header != "crossenc/crossenc.h" and f"<{header}>" not in umbrella]
    assert missing == []
