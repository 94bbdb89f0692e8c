#!/bin/sh
# Is every C file formatted as .clang-format says? tools/checks/format.sh --fix formats them.
set -eu
cd "$(dirname "$0")/../.."
# Another version of clang-format lays out some lines differently; Debian 12's decides.
formatter=$(command -v clang-format-14 || command -v clang-format) || {
    echo 'SKIP: clang-format is not installed'
    exit 77
}
. tools/checks/files.sh
mode='--dry-run -Werror'
[ "${1-}" = --fix ] && mode=-i
# shellcheck disable=SC2086 # two words
list_files '*.c' '*.h' '*.cu' | xargs -d '\n' "$formatter" $mode
