#!/bin/sh
# Every shell script through shellcheck, and a parse of every Python file.
set -eu
cd "$(dirname "$0")/../.."
. tools/checks/files.sh
list_files '*.py' | while IFS= read -r file; do
    python3 -c 'import ast, sys; ast.parse(open(sys.argv[1], encoding="utf-8").read(), sys.argv[1])' "$file"
done
command -v shellcheck >/dev/null || {
    echo 'SKIP: shellcheck is not installed'
    exit 77
}
{
    printf '%s\n' quickstart check .ci/run
    list_files '*.sh'
} | xargs -d '\n' shellcheck --external-sources --severity=warning
