#!/bin/sh
# Builds every fuzz target with clang and sanitizers, and runs each for some seconds, as many at a time as there are
# CPUs. What a run finds new is kept in the build folder; a finding fails the script, which names the input to add to
# fuzz/corpus/<target>/ once it is mended.
#
# usage: tools/fuzz.sh [SECONDS_PER_TARGET] [TARGET...]      CE_FUZZ_BUILD: the build folder (build-fuzz)
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
build=${CE_FUZZ_BUILD:-$root/build-fuzz}
seconds=${1:-60}
[ $# -gt 0 ] && shift

cmake -S "$root" -B "$build" -G Ninja -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DCE_BUILD_FUZZ=ON -DCE_BUILD_TESTS=OFF -DCE_BUILD_SHARED=OFF -DCE_BUILD_CLI=OFF -DCE_BUILD_EXAMPLES=OFF \
    -DCE_BUILD_BENCH=OFF >/dev/null
if [ $# -eq 0 ]; then
    for source in "$root"/fuzz/fuzz_*.c; do
        name=${source##*/fuzz_}
        set -- "$@" "${name%.c}"
    done
fi
printf 'fuzz_%s\n' "$@" | xargs ninja -C "$build"

# One target: its own folder for what it learns and finds; the corpus in the repository is only read. A report of slow
# or large inputs is a finding too.
# shellcheck disable=SC2016 # the script's own variables, expanded where it runs
run_target='
    target=$1 seconds=$2 root=$3 build=$4
    mkdir -p "$build/runs/$target/corpus"
    cd "$build/runs/$target"
    dictionary=
    [ -f "$root/fuzz/$target.dict" ] && dictionary=-dict=$root/fuzz/$target.dict
    if "$build/fuzz/fuzz_$target" -max_total_time="$seconds" -max_len=65536 -timeout=20 -rss_limit_mb=2048 \
        -print_final_stats=1 $dictionary corpus "$root/fuzz/corpus/$target" >log 2>&1
    then
        echo "ok      $target: $(sed -n "s/^stat::number_of_executed_units: *//p" log) inputs"
    else
        echo "FINDING $target: see $PWD/log"
        tail -n 40 log
        exit 1
    fi'
status=0
printf '%s\n' "$@" | xargs -P "$(nproc)" -I '{}' sh -c "$run_target" fuzz '{}' "$seconds" "$root" "$build" || status=1
exit $status
