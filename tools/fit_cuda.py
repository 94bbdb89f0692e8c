#!/usr/bin/env python3
"""Prints the constants of src/device/cuda/kernels/math.h, and the largest error of each approximation before rounding.

All are polynomials through Chebyshev nodes: exp(r) = 1 + r + r^2 p(r) over |r| <= ln(2) / 2; tanh(x) = x + x^3 p(x^2)
over |x| <= 0.625; and the normal distribution's upper tail, Q(t) = exp(-t^2 / 2) p(1 / (1 + t / 4)) over 0 <= t <= 14.
Needs numpy and SciPy.

    tools/fit_cuda.py
"""
import math

import numpy
from numpy.polynomial import polynomial
from scipy.special import erfcx


def interpolate(function, low, high, degree):
    """Coefficients from the constant up, rounded to float32, of the polynomial through the Chebyshev nodes."""
    angles = (2 * numpy.arange(degree + 1) + 1) * numpy.pi / (2 * degree + 2)
    nodes = (low + high) / 2 + (high - low) / 2 * numpy.cos(angles)
    return numpy.polyfit(nodes, function(nodes), degree)[::-1].astype(numpy.float32).astype(float)


def show(name, coefficients, error):
    print(f"{name}: {', '.join(c.hex() for c in coefficients.tolist())}; largest error {error:.1e}")


def exponential():
    half = math.log(2) / 2

    def rest(r):
        small = numpy.abs(r) < 1e-3  # where the difference cancels
        return numpy.where(small, 0.5 + r / 6 + r * r / 24, (numpy.expm1(r) - r) / numpy.where(small, 1, r) ** 2)

    p = interpolate(rest, -half, half, 4)
    r = numpy.linspace(-half, half, 100001)
    show("exp", p, numpy.max(numpy.abs((1 + r + r * r * polynomial.polyval(r, p)) / numpy.exp(r) - 1)))


def tangent():
    p = interpolate(lambda y: (numpy.tanh(numpy.sqrt(y)) / numpy.sqrt(y) - 1) / y, 1e-12, 0.625**2, 5)
    x = numpy.linspace(1e-3, 0.625, 100001)
    show("tanh", p, numpy.max(numpy.abs((x + x**3 * polynomial.polyval(x * x, p)) / numpy.tanh(x) - 1)))


def tail():
    def ratio(u):
        return erfcx((1 / u - 1) * 4 / math.sqrt(2)) / 2

    p = interpolate(ratio, 1 / (1 + 14 / 4), 1, 9)
    t = numpy.linspace(0, 14, 100001)
    u = 1 / (1 + t / 4)
    show("t Q(t)", p, numpy.max(numpy.abs(t * numpy.exp(-t * t / 2) * (polynomial.polyval(u, p) - ratio(u)))))


if __name__ == "__main__":
    exponential()
    tangent()
    tail()
