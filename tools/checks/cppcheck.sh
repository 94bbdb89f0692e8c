#!/bin/sh
# cppcheck over the library, the command, the examples and the bindings.
set -eu
cd "$(dirname "$0")/../.."
command -v cppcheck >/dev/null || {
    echo 'SKIP: cppcheck is not installed'
    exit 77
}
# Not findings: system headers that it does not see, and a block that reaches its owner through memcpy.
exec cppcheck -j "$(nproc)" --quiet --std=c11 --error-exitcode=1 --inline-suppr \
    --enable=warning,portability,performance --suppress=missingIncludeSystem --suppress=memleak:cli/memory.c \
    -I include -I src -I cli -D__x86_64__ -D__GNUC__=12 src cli examples bindings
