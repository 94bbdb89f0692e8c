#!/bin/sh
# Does NVIDIA's assembler take the kernels of cuda:N, for each chip that they are for?
# usage: tools/checks/cuda.sh BUILD    a build folder that has compiled them
set -eu
cd "$(dirname "$0")/../.."
build=${1:?usage: tools/checks/cuda.sh BUILD}
assembler=$(command -v build/cuda-tools/ptxas || command -v ptxas || command -v /usr/local/cuda/bin/ptxas) || {
    echo 'SKIP: ptxas is not installed (tools/cuda_tools.sh fetches it)'
    exit 77
}
set -- "$build"/src/device/cuda/sm_*.ptx
[ -e "$1" ] || {
    echo 'SKIP: this build has no CUDA kernels: neither clang nor nvcc was there'
    exit 77
}
assembled=0
for image; do
    least=$(basename "$image" .ptx)
    case $least in
    *a) chips=${least#sm_} ;; # for this chip alone
    *) chips='70 75 80 86 89 90 100 120' ;;
    esac
    for chip in $chips; do
        [ "${chip%a}" -ge "$(expr "$least" : 'sm_\([0-9]*\)')" ] || continue
        if said=$("$assembler" -arch "sm_$chip" "$image" -o /dev/null 2>&1); then
            assembled=$((assembled + 1))
            continue
        fi
        case $said in
        *"is not defined for option 'gpu-name'"*) ;; # an assembler that doesn't know the chip, or no longer
        *) printf '%s for sm_%s: %s\n' "$least" "$chip" "$said" && exit 1 ;;
        esac
    done
done
echo "cuda: $assembled times an image for a chip"
[ "$assembled" -gt 0 ]
