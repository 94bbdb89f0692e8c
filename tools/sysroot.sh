#!/bin/sh
# Unpacks the Debian packages for 64-bit ARM that crossenc and its tests are linked with into build/aarch64-sysroot,
# where cmake/aarch64.cmake looks for them. Does nothing if they are there.
#
# usage: tools/sysroot.sh
#
# Needs apt-get, a network, and no root: package lists and downloads stay in build/ too, and nothing is installed. Exit
# status 1 if the packages could not be had.
set -u
cd "$(dirname "$0")/.." || exit 1

wanted='libjansson4 libjansson-dev libcmocka0 libcmocka-dev'
sysroot=$PWD/build/aarch64-sysroot
apt=$PWD/build/aarch64-apt

say() { printf 'sysroot: %s\n' "$*" >&2; }

[ -e "$sysroot/complete" ] && exit 0
if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-deb >/dev/null 2>&1; then
    say "this is not Debian; unpack these packages for arm64 into $sysroot and create the file complete in it: $wanted"
    exit 1
fi

# apt's own folders, so that the machine's lists and architectures stay as they are.
arm64() {
    apt-get -q -y -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User="$(id -un)" \
        -o Dir::State="$apt/state" -o Dir::State::status="$apt/status" -o Dir::Cache="$apt/cache" \
        -o Acquire::Languages=none -o Acquire::Retries=1 -o Acquire::http::Timeout=20 "$@"
}

rm -rf "$apt" "$sysroot"
mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial" "$apt/debs" "$sysroot"
: >"$apt/status"
arm64 update >"$apt/log" 2>&1 # a list that is not for arm64 fails, and is not missed
# shellcheck disable=SC2086 # one word a package
if ! (cd "$apt/debs" && arm64 download $wanted) >>"$apt/log" 2>&1; then
    say "could not download $wanted for arm64: is there a network, and is Debian 12's main archive in /etc/apt?"
    tail -n 5 "$apt/log" >&2
    exit 1
fi
for deb in "$apt"/debs/*.deb; do
    dpkg-deb -x "$deb" "$sysroot" || exit 1
done
touch "$sysroot/complete"
# What was configured without these libraries has found others.
rm -rf "$apt" build/aarch64/CMakeCache.txt
