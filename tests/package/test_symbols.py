"""The libraries export what the public headers declare, no more and no less, and hold no writable data."""
import os
import pathlib
import re
import subprocess

SOURCE = pathlib.Path(os.environ["CE_SOURCE"])
BUILD = pathlib.Path(os.environ["CE_BUILD"])
SHARED = BUILD / "src/libcrossenc.so"
STATIC = BUILD / "src/libcrossenc.a"


def output_of(*command):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout


def declared():
    """Names of the functions that the headers mark with CE_API."""
    names = set()
    for header in (SOURCE / "include/crossenc").glob("*.h"):
        text = re.sub(r"/\*.*?\*/", "", header.read_text(encoding="utf-8"), flags=re.DOTALL)
        names |= set(re.findall(r"^CE_API\s[^;()]*?\b(\w+)\s*\(", text, flags=re.MULTILINE))
    return names


def symbols(library, *options):
    """(name, type) of the symbols that nm tells of."""
    found = set()
    for line in output_of("nm", "--format=posix", "--defined-only", *options, str(library)).splitlines():
        fields = line.split()
        if len(fields) >= 2 and not fields[0].endswith("]:"):
            found.add((fields[0], fields[1]))
    return found


def test_shared_library_exports_what_headers_declare():
    exported = {name for name, _ in symbols(SHARED, "--dynamic")}
    assert declared() and exported == declared()


def test_exported_symbols_are_functions():
    assert {kind for _, kind in symbols(SHARED, "--dynamic")} == {"T"}


def test_static_library_keeps_to_its_prefixes():
    strangers = {name for name, _ in symbols(STATIC, "--extern-only") if not name.startswith(("ce_", "cei_"))}
    assert strangers == set()


def test_static_library_defines_what_headers_declare():
    public = {name for name, _ in symbols(STATIC, "--extern-only") if name.startswith("ce_")}
    assert public == declared()


def test_test_device_is_not_shipped():
    assert not [name for name, _ in symbols(STATIC) if name.startswith("cei_sim")]


def test_no_writable_data():
    """Sections of the objects that a program could write to; .data.rel.ro is read-only once it is loaded."""
    writable = []
    for line in output_of("readelf", "--wide", "--sections", str(STATIC)).splitlines():
        match = re.match(r"\s*\[ *\d+\] (\S+)\s+\S+\s+[0-9a-f]+ [0-9a-f]+ ([0-9a-f]+) [0-9a-f]+\s+([A-Za-z]*)", line)
        if match and "W" in match[3] and int(match[2], 16) > 0 and not match[1].startswith(".data.rel.ro"):
            writable.append(match[1])
    assert writable == []


def test_soname_and_dependencies():
    dynamic = output_of("readelf", "--wide", "--dynamic", str(SHARED))
    header = (SOURCE / "include/crossenc/status.h").read_text(encoding="utf-8")
    major = re.search(r"CE_VERSION_MAJOR (\d+)", header)[1]
    assert re.findall(r"soname: \[(.*?)\]", dynamic) == [f"libcrossenc.so.{major}"]
    needed = {name.split(".so")[0] for name in re.findall(r"NEEDED.*\[(.*?)\]", dynamic)}
    assert needed <= {"libc", "libm", "libjansson", "ld-linux-x86-64", "ld-linux-aarch64"}
    assert not re.findall(r"R(?:UN)?PATH", dynamic)


def test_header_version_is_the_library_s():
    header = (SOURCE / "include/crossenc/status.h").read_text(encoding="utf-8")
    parts = [re.search(rf"CE_VERSION_{part} (\d+)", header)[1] for part in ("MAJOR", "MINOR", "PATCH")]
    assert f'CE_VERSION_STRING "{".".join(parts)}"' in header
    assert (BUILD / f"src/libcrossenc.so.{'.'.join(parts)}").exists()
