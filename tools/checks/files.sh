# shellcheck shell=sh
# list_files PATTERN...: the project's files of these names, a line each, from its root: what git tracks or would add,
# or, where there is no git, all but what build folders hold. Sourced by the checks beside it.
list_files() {
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git ls-files --cached --others --exclude-standard -- "$@" | while IFS= read -r file; do
            if [ -f "$file" ]; then printf '%s\n' "$file"; fi
        done
    else
        for pattern in "$@"; do
            find . -path './build*' -prune -o -type f -name "$pattern" -print | sed 's,^\./,,'
        done
    fi
}
