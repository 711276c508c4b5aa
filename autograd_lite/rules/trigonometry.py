"""Rules of the trigonometric and hyperbolic functions, and of the special functions sinc and i0.

sinc and i0 are members of families that are closed under differentiation, so that their derivatives of every order are
exact, also at 0: the n-th derivative of sin(t)/t, and the modified Bessel function of order n.

Read next: `reduce.py`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..primitives import Primitive, composite, rule
from .cumulative import along
from .shape import inexact

DEGREE = math.pi / 180

rule(np.sin, lambda g, y, x: g * np.cos(x))
rule(np.cos, lambda g, y, x: -g * np.sin(x))
rule(np.tan, lambda g, y, x: g * (1 + y * y))
rule(np.arcsin, lambda g, y, x: g / np.sqrt((1 - x) * (1 + x)))
rule(np.arccos, lambda g, y, x: -g / np.sqrt((1 - x) * (1 + x)))
rule(np.arctan, lambda g, y, x: g / (1 + x * x))

rule(np.sinh, lambda g, y, x: g * np.cosh(x))
rule(np.cosh, lambda g, y, x: g * np.sinh(x))
rule(np.tanh, lambda g, y, x: g * (1 - y * y))
rule(np.arcsinh, lambda g, y, x: g / np.sqrt(x * x + 1))
rule(np.arccosh, lambda g, y, x: g / (np.sqrt(x - 1) * np.sqrt(x + 1)))
rule(np.arctanh, lambda g, y, x: g / ((1 - x) * (1 + x)))

rule(np.deg2rad, lambda g, y, x: g * DEGREE)
rule(np.radians, lambda g, y, x: g * DEGREE)
rule(np.rad2deg, lambda g, y, x: g / DEGREE)
rule(np.degrees, lambda g, y, x: g / DEGREE)


def _nonzero(y: Any) -> Any:
    return np.where(y == 0, 1, y)


def _turn(g: Any, a: Any, b: Any) -> Any:
    """g b / (a^2 + b^2), without overflow, and 0 at the origin."""
    radius = _nonzero(np.hypot(a, b))
    return g * (b / radius / radius)


# at the origin the slope is 0, as that of a norm
rule(np.hypot, lambda g, y, a, b: g * (a / _nonzero(y)), lambda g, y, a, b: g * (b / _nonzero(y)))
rule(np.arctan2, lambda g, y, a, b: _turn(g, a, b), lambda g, y, a, b: -_turn(g, b, a))


def _sinc_derivative(t: Any, n: int) -> Any:
    """The n-th derivative of sin(t)/t: its series near 0, else f_k = (sin(t + k pi/2) - k f_{k-1}) / t."""
    t = np.asarray(t)
    near = np.abs(t) <= n + 1
    far = np.where(near, 1, t)
    value = np.sin(far) / far
    for k in range(1, n + 1):
        value = (np.sin(far + k * np.pi / 2) - k * value) / far
    series = np.zeros_like(value)
    close = np.where(near, t, 0)
    # sin(t)/t = sum_m (-1)^m t^2m / (2m+1)!, differentiated term by term
    for m in range((n + 1) // 2, 2 * n + 14):
        rest = 2 * m - n
        series = series + (-1) ** m * close**rest / (math.factorial(rest) * (2 * m + 1))
    return np.where(near, series, value)


SINC: Primitive = Primitive(_sinc_derivative, (lambda g, y, t, n: g * SINC(t, n=n + 1),), name="sinc_derivative")
composite(np.sinc)(lambda x: SINC(x * math.pi, n=0))


def _bessel(x: Any, n: int) -> Any:
    """I_n(x) = 1/pi int_0^pi exp(x cos u) cos(n u) du by the trapezoid rule, which converges exponentially here."""
    x = np.asarray(x)
    count = 2 * n + 64 + int(10 * math.sqrt(float(np.max(np.abs(x), initial=0))))
    u = (np.arange(count, dtype=x.dtype) + 0.5) * (math.pi / count)
    return np.mean(np.exp(x[..., None] * np.cos(u)) * np.cos(n * u), axis=-1, dtype=x.dtype)


BESSEL: Primitive = Primitive(
    _bessel,
    (lambda g, y, x, n: g * (BESSEL(x, n=n + 1) + BESSEL(x, n=abs(n - 1))) / 2,),
    name="bessel_i",
)
composite(np.i0)(lambda x: BESSEL(inexact(x), n=0))


@composite(np.unwrap)
def unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: float = 2 * math.pi) -> Any:
    """np.unwrap: whole periods are added along an axis; the gradient passes through."""
    high = period / 2
    steps = np.diff(p, axis=axis)
    wrapped = np.remainder(steps + high, period) - high
    wrapped = np.where(np.logical_and(wrapped == -high, steps > 0), wrapped + period, wrapped)
    jump = np.where(np.abs(steps) < (high if discont is None else discont), 0, wrapped - steps)
    first = along(p, axis, slice(0, 1))
    return np.concatenate([first, np.cumsum(jump, axis=axis) + along(p, axis, slice(1, None))], axis=axis)
