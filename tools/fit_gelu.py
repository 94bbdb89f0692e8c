#!/usr/bin/env python3
"""Writes src/device/cpu/gelu_table.h: the normal distribution's upper tail in pieces, for the exact GELU.

gelu(x) = max(x, 0) - |x| Q(|x|) with Q(t) = erfc(t / sqrt 2) / 2. Q is approximated in two ways, through Chebyshev
nodes: by a polynomial in s = t / width - piece around each whole number, |s| <= 1/2; and as exp(-t^2 / 2) times a
polynomial in u = 1 / (1 + t / 4), 0 <= t <= 6. Needs mpmath.

    tools/fit_gelu.py > src/device/cpu/gelu_table.h && clang-format -i src/device/cpu/gelu_table.h
"""
import struct

import mpmath as mp

mp.mp.dps = 40


def tail(t):
    return mp.erfc(t / mp.sqrt(2)) / 2


def interpolate(function, low, high, degree):
    """The polynomial through function at the Chebyshev nodes of [low, high]."""
    matrix = mp.matrix(degree + 1, degree + 1)
    values = mp.matrix(degree + 1, 1)
    for row in range(degree + 1):
        s = (low + high) / 2 + (high - low) / 2 * mp.cos(mp.pi * (2 * row + 1) / (2 * degree + 2))
        values[row] = function(s)
        for power in range(degree + 1):
            matrix[row, power] = s**power
    return list(mp.lu_solve(matrix, values))


def fit(width, piece, degree):
    half = mp.mpf(1) / 2
    return interpolate(lambda s: tail((s + piece) * width), -half, half, degree)


def single(x):
    rounded = struct.unpack("f", struct.pack("f", float(x)))[0]
    return rounded if abs(rounded) > 1e-30 else 0.0  # odd ones at the middle of an even piece are noise


def worst(width, pieces, table):
    error = mp.mpf(0)
    for piece, coefficients in enumerate(table):
        for step in range(-50, 51):
            s = mp.mpf(step) / 100
            t = (s + piece) * width
            if t >= 0:
                approximate = mp.polyval([mp.mpf(single(c)) for c in reversed(list(coefficients))], s)
                error = max(error, abs(t * (approximate - tail(t))))
    return error


def emit(name, width, pieces, degree, why):
    table = [fit(mp.mpf(width), piece, degree) for piece in range(pieces)]
    error = mp.nstr(worst(mp.mpf(width), pieces, table), 2)
    print(f"/* {why}: pieces of {width}, degree {degree}; the largest error of |x| Q(|x|) is {error}. */")
    print(f"static const float {name}[{degree + 1}][{pieces}] = {{")
    for power in range(degree + 1):
        row = [float.hex(single(table[piece][power])) + "f" for piece in range(pieces)]
        print("    {" + ", ".join(row) + "},")
    print("};")


def emit_ratio(name, degree):
    def ratio(u):
        t = 4 * (1 / u - 1)
        return mp.exp(t * t / 2) * tail(t)

    coefficients = [single(c) for c in interpolate(ratio, mp.mpf(1) / mp.mpf(2.5), mp.mpf(1), degree)]
    error = mp.mpf(0)
    for step in range(601):
        t = mp.mpf(step) / 100
        value = mp.polyval([mp.mpf(c) for c in reversed(coefficients)], 1 / (1 + t / 4)) * mp.exp(-t * t / 2)
        error = max(error, abs(t * (value - tail(t))))
    print(f"/* exp(t^2 / 2) times the tail, in powers of 1 / (1 + t / 4); the error of |x| Q(|x|) is {mp.nstr(error, 2)}. */")
    print(f"static const float {name}[{degree + 1}] = {{" + ", ".join(float.hex(c) + "f" for c in coefficients) + "};")


def main():
    print("/* gelu_table.h - the upper tail of the normal distribution in pieces. Written by tools/fit_gelu.py. */")
    print("#ifndef CEI_GELU_TABLE_H\n#define CEI_GELU_TABLE_H\n")
    print("/* Row p holds the coefficient of s^p for each piece. No file uses all of the tables. */")
    emit("gelu_tail_16", "0.4", 16, 5, "Sixteen pieces, which one 512-bit register holds")
    print()
    emit("gelu_tail_8", "0.8", 8, 7, "Eight pieces, which one 256-bit register holds")
    print()
    emit_ratio("gelu_ratio", 7)
    print("\n#endif")


main()
