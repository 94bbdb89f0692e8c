#!/bin/sh
# NVIDIA's assembler (ptxas) by pip into build/cuda-tools, for tools/checks/cuda.sh and builds with
# CE_CUDA_CUBINS. Nothing of it is in what is built. Exit status 1, with the reason, if it cannot be had.
set -eu
cd "$(dirname "$0")/.."
folder=build/cuda-tools
[ ! -x "$folder/ptxas" ] || exit 0
say() { printf 'cuda_tools: %s\n' "$*" >&2; }
python3 -m venv "$folder" >/dev/null 2>&1 || { say 'python3-venv is not installed' && exit 1; }
"$folder/bin/pip" -q install 'nvidia-cuda-nvcc-cu12==12.9.86' >"$folder/pip.log" 2>&1 || {
    say "pip cannot install nvidia-cuda-nvcc-cu12: see $folder/pip.log"
    exit 1
}
found=$(find "$folder" -name ptxas -type f | head -n 1)
[ -n "$found" ] || { say 'the package has no ptxas' && exit 1; }
ln -s "$PWD/$found" "$folder/ptxas"
