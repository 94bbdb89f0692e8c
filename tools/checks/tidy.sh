#!/bin/sh
# clang-tidy over the C files of a build; .clang-tidy says which findings count. Tests are left out: the analyzer does
# not know that a failed assertion of cmocka ends the test, and follows what comes behind it.
# usage: tools/checks/tidy.sh BUILD [PATTERN]    PATTERN: of the names of files, as grep -E takes it
#   CE_TIDY_NODES: how many states the analyzer follows in a function (75000). Its own 225000 takes twice the time.
set -eu
cd "$(dirname "$0")/../.."
build=${1:?usage: tools/checks/tidy.sh BUILD [PATTERN]}
command -v clang-tidy >/dev/null || {
    echo 'SKIP: clang-tidy is not installed'
    exit 77
}
. tools/checks/files.sh
list=$(mktemp)
trap 'rm -f "$list"' EXIT
list_files '*.c' | grep -v '^tests/' | grep -E "${2-}" | while IFS= read -r file; do
    # Only what this build compiles: the fuzz targets need another.
    if grep -qF "/$file\"" "$build/compile_commands.json"; then printf '%s\n' "$file"; fi
done >"$list"
[ -s "$list" ] || {
    echo "no C file is in $build/compile_commands.json"
    exit 1
}
set -- --extra-arg=-Xclang --extra-arg=-analyzer-config --extra-arg=-Xclang \
    --extra-arg=max-nodes="${CE_TIDY_NODES:-75000}"
xargs -d '\n' -n 4 -P "$(nproc)" clang-tidy -p "$build" --quiet --warnings-as-errors='*' "$@" <"$list" 2>&1 |
    { grep -v -E '^[0-9]+ warnings? (generated|treated)|^Suppressed |^Use -header-filter|^$' || true; } >"$list.out"
cat "$list.out"
found=$(grep -c -E '(warning|error): ' "$list.out" || true)
rm -f "$list.out"
echo "clang-tidy: $(wc -l <"$list") files, $found findings"
[ "$found" -eq 0 ]
