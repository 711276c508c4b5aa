"""Rules of the functions that work entry by entry: arithmetic, exponentials, trigonometry, choices.

`g` is the gradient of the result `y`. Rules ignore broadcasting: the walk sums a gradient back to its input's shape.
Conventions at ties and kinks: maximum and minimum share evenly, abs has slope 0 at 0, a clip's bound is inside.
For complex inputs rules carry the plain derivative, and `backward` conjugates where gradients enter and leave.

Read next: `reduce.py`.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..primitives import Primitive, composite, nondifferentiable, rule

# arithmetic
rule(np.add, lambda g, y, a, b: g, lambda g, y, a, b: g)
rule(np.subtract, lambda g, y, a, b: g, lambda g, y, a, b: -g)
rule(np.multiply, lambda g, y, a, b: g * b, lambda g, y, a, b: g * a)
rule(np.divide, lambda g, y, a, b: g / b, lambda g, y, a, b: -g * y / b)
rule(np.negative, lambda g, y, x: -g)
rule(np.positive, lambda g, y, x: g)
rule(np.reciprocal, lambda g, y, x: -g * y * y)
rule(np.square, lambda g, y, x: g * 2 * x)


def _power_base(g: Any, y: Any, a: Any, b: Any) -> Any:
    """d(a**b)/da = b a**(b-1), and 0 where b is 0, even at a = 0."""
    if type(b) in (int, float):
        return g * (2 * a) if b == 2 else g * (b * a ** (b - 1)) if b else np.zeros_like(g)
    return g * np.where(b == 0, 0, b * a ** np.where(b == 0, 1, b - 1))


def _power_exponent(g: Any, y: Any, a: Any, b: Any) -> Any:
    """d(a**b)/db = a**b log(a); at a = 0 it is 0 for b >= 0 and -inf for b < 0."""
    at_zero = np.where(np.real(b) >= 0, 0.0, -np.inf)
    return g * np.where(a == 0, at_zero, y * np.log(np.where(a == 0, 1, a)))


rule(np.power, _power_base, _power_exponent)
rule(operator.pow, _power_base, _power_exponent, arrays=2, name="power")  # x ** 2, which NumPy computes as a square

# exponentials and logarithms
rule(np.exp, lambda g, y, x: g * y)
rule(np.exp2, lambda g, y, x: g * y * np.log(2.0))
rule(np.expm1, lambda g, y, x: g * (y + 1))
rule(np.log, lambda g, y, x: g / x)
rule(np.log2, lambda g, y, x: g / (x * np.log(2.0)))
rule(np.log10, lambda g, y, x: g / (x * np.log(10.0)))
rule(np.log1p, lambda g, y, x: g / (1 + x))
rule(np.sqrt, lambda g, y, x: g / (2 * y))

# hyperbolic
rule(np.tanh, lambda g, y, x: g * (1 - y * y))

# kinks and choices
rule(np.absolute, lambda g, y, x: g * np.conj(np.sign(x)))
rule(np.sign, lambda g, y, x: np.zeros_like(g))


def _share(g: Any, a: Any, b: Any) -> Any:
    """The gradient where a > b, half of it where they tie."""
    return np.where(a == b, 0.5 * g, np.where(a > b, g, 0))


rule(np.maximum, lambda g, y, a, b: _share(g, a, b), lambda g, y, a, b: _share(g, b, a))
rule(np.minimum, lambda g, y, a, b: _share(g, b, a), lambda g, y, a, b: _share(g, a, b))
rule(
    np.where,
    None,
    lambda g, y, condition, a, b: np.where(condition, g, 0),
    lambda g, y, condition, a, b: np.where(condition, 0, g),
    signature="condition x y",
)


def _clip(x: Any, low: Any, high: Any) -> Any:
    return np.clip(x, low, high)


def _inside(x: Any, low: Any, high: Any) -> Any:
    above = True if low is None else x >= low
    below = True if high is None else x <= high
    return np.logical_and(above, below)


CLIP = Primitive(
    _clip,
    (
        lambda g, y, x, low, high: np.where(_inside(x, low, high), g, 0),
        lambda g, y, x, low, high: np.where(x < low if high is None else np.logical_and(x < low, low <= high), g, 0),
        lambda g, y, x, low, high: np.where(x > high if low is None else np.logical_or(x > high, low > high), g, 0),
    ),
    name="clip",
)


@composite(np.clip)
def clip(a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, *, min: Any = None, max: Any = None) -> Any:
    """np.clip, its bounds positional or by any of their keywords."""
    return CLIP(a, min if a_min is None else a_min, max if a_max is None else a_max)


nondifferentiable(
    np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal,
    np.logical_and, np.logical_or, np.logical_xor, np.bitwise_and, np.bitwise_or, np.bitwise_xor,
    np.left_shift, np.right_shift, np.floor_divide, arrays=2,
)  # fmt: skip
nondifferentiable(np.isnan, np.isinf, np.isfinite, np.signbit, np.logical_not, np.invert)
nondifferentiable(np.zeros_like, np.ones_like)
rule(np.remainder, lambda g, y, a, b: g, lambda g, y, a, b: -g * np.floor(a / b))
rule(np.floor, lambda g, y, x: np.zeros_like(g))
rule(np.ceil, lambda g, y, x: np.zeros_like(g))
rule(np.rint, lambda g, y, x: np.zeros_like(g))
rule(np.trunc, lambda g, y, x: np.zeros_like(g))
rule(np.conjugate, lambda g, y, x: np.conj(g))


@composite(np.round)
def round_(a: Any, decimals: int = 0, out: Any = None) -> Any:
    """np.round: a staircase, so its gradient is 0."""
    scale = 10.0**decimals
    return np.rint(a) if decimals == 0 else np.rint(a * scale) / scale
