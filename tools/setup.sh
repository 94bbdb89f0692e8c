#!/bin/sh
# Installs the Debian packages that are missing, and does nothing if all are there.
#
# usage: tools/setup.sh build|tests|checks
#   build   what the library and the command need
#   tests   that, and what the tests need; an OpenCL driver for the processor if it can be had, whose tests skip else
#   checks  the tools of the other stages of ./check; those that cannot be had are left out, and their stages skipped
#
# As root, or through sudo. Exit status 1 if something that is needed could not be installed.
set -u

build='gcc libc6-dev cmake ninja-build pkgconf libjansson-dev libcurl4-openssl-dev opencl-c-headers'
tests="$build g++ binutils libcmocka-dev python3 python3-dev python3-numpy python3-pytest"
checks='clang clang-format clang-tidy libclang-rt-14-dev llvm cppcheck shellcheck valgrind mandoc zsh fish
    gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user python3-venv'
extra='ocl-icd-libopencl1 pocl-opencl-icd'

case ${1-} in
build) wanted=$build extra= ;;
tests) wanted=$tests ;;
checks) wanted=$checks extra= ;;
*)
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac

say() { printf 'setup: %s\n' "$*" >&2; }

# Other systems have the same things under other names; say which are needed and let the build find them.
if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
    say "this is not Debian, so nothing is installed. Needed, by Debian's names:" $wanted
    exit 0
fi

# Those of the packages that are not installed, each after a space.
list_missing() {
    for package in "$@"; do
        state=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
        case $state in
        ii*) ;;
        *) printf ' %s' "$package" ;;
        esac
    done
}

missing=$(list_missing $wanted)
extra=$(list_missing $extra)
[ -n "$missing$extra" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
    # Without a terminal nobody can type a password.
    if command -v sudo >/dev/null 2>&1 && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        as_root=sudo
    elif [ -z "$missing" ]; then
        exit 0
    else
        say "these packages are missing, and installing them needs root or sudo:$missing"
        say "run as root: apt-get update && apt-get install --no-install-recommends$missing"
        exit 1
    fi
fi

apt() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 "$@"; }
install() { apt install --no-install-recommends $missing; }
install_extra() {
    [ -z "$extra" ] || apt install --no-install-recommends $extra >&2 || say "went without$extra"
}

if [ -z "$missing" ]; then
    install_extra
    exit 0
fi
say "installing$missing"
# A fresh machine has no package lists, and old lists name packages that are gone: both are mended by an update.
if ! apt-get -s install --no-install-recommends $missing >/dev/null 2>&1 || ! install >&2; then
    if ! apt update >&2 || ! install >&2; then
        say "could not install$missing: is there a network, and is Debian 12's main archive in /etc/apt?"
        exit 1
    fi
fi
install_extra
