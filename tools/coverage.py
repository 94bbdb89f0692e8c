#!/usr/bin/env python3
"""Prints how much of src/ and cli/ the tests run: lines by file, least covered first, and in all.

usage: cmake --preset coverage && cmake --build --preset coverage && ctest --preset coverage
       tools/coverage.py [BUILD] [--missing]      BUILD: build/coverage; --missing: numbers of the lines not run

Relies on gcov, which comes with gcc. A line counts as run if any of the programs that hold it ran it.
"""
import collections
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDERS = ("src/", "cli/")


def count_lines(build):
    """{file: {line: times run}} of the project's own sources."""
    notes = sorted(str(path) for path in build.rglob("*.gcda"))
    counts = collections.defaultdict(lambda: collections.Counter())
    for start in range(0, len(notes), 50):
        output = subprocess.run(["gcov", "--json-format", "--stdout", *notes[start:start + 50]], check=True, text=True,
                                stdout=subprocess.PIPE, cwd=build).stdout
        for document in output.splitlines():
            for file in json.loads(document)["files"]:
                name = os.path.relpath(build / file["file"], ROOT)
                if name.startswith(FOLDERS):
                    for line in file["lines"]:
                        counts[name][line["line_number"]] += line["count"]
    return counts


def share(lines):
    return sum(1 for count in lines.values() if count) / len(lines)


def main(arguments):
    missing = "--missing" in arguments
    folders = [argument for argument in arguments if not argument.startswith("-")]
    build = pathlib.Path(folders[0] if folders else ROOT / "build/coverage").resolve()
    counts = count_lines(build)
    if not counts:
        print(f"coverage: nothing was run in {build}: build the preset coverage and run its tests", file=sys.stderr)
        return 1
    for name, lines in sorted(counts.items(), key=lambda item: share(item[1])):
        not_run = [number for number, count in sorted(lines.items()) if not count]
        print(f"{share(lines):7.1%}  {len(lines):5}  {name}" + (f"  {not_run}" if missing and not_run else ""))
    total = [count for lines in counts.values() for count in lines.values()]
    print(f"{sum(1 for count in total if count) / len(total):7.1%}  {len(total):5}  in all")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
