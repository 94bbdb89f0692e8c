#!/bin/sh
# Tests the adapters (../crossenc/integrations) with the real frameworks, which it installs by pip at pinned releases.
#
# usage: integrations.sh FOLDER newest|oldest|reference [BUILD]
#   FOLDER     gets the virtual environment; one that is there is used again
#   newest     the releases of integrations-newest.txt; oldest: those of integrations-oldest.txt
#   reference  newest, with sentence-transformers (some gigabytes): compares with the frameworks' own rankers
#   BUILD      where the package was built (build/release)
#
# PYTHON names the interpreter (python3): 3.11 or later for the newest releases, 3.9 to 3.11 for the oldest.
set -eu
usage() {
    sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

[ $# -eq 2 ] || [ $# -eq 3 ] || usage
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
releases=$2 build=$(cd "${3:-$root/build/release}" && pwd)
case $releases in
newest | oldest | reference) ;;
*) usage ;;
esac

[ -x "$1/bin/python" ] || "${PYTHON:-python3}" -m venv "$1"
python=$(cd "$1/bin" && pwd)/python
"$python" -m pip install --quiet --requirement "$here/integrations-$releases.txt"
# What is not there would be skipped.
"$python" -c 'import haystack, langchain_core, llama_index.core'
[ "$releases" != reference ] || "$python" -c 'import sentence_transformers'
cd "$root/tests/python"
CE_BUILD=$build HF_HUB_OFFLINE=1 exec "$python" -B -m pytest -v -rs -p no:cacheprovider test_integrations.py
