"""Rules of the functions that work entry by entry: arithmetic, exponentials, kinks, choices.

`g` is the gradient of the result `y`. Rules ignore broadcasting: the walk sums a gradient back to its input's shape.
Conventions at ties and kinks: maximum and minimum share evenly, abs has slope 0 at 0, a clip's bound is inside, a
staircase has slope 0. For complex inputs rules carry the plain derivative (`complex.py`).

Read next: `trigonometry.py`.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from ..primitives import Primitive, composite, nondifferentiable, rule
from .shape import ASTYPE

LN2, LN10 = math.log(2.0), math.log(10.0)


def zero(g: Any, y: Any, *inputs: Any, **settings: Any) -> Any:
    """The gradient of a staircase."""
    return np.zeros_like(g)


# arithmetic
rule(np.add, lambda g, y, a, b: g, lambda g, y, a, b: g)
rule(np.subtract, lambda g, y, a, b: g, lambda g, y, a, b: -g)
rule(np.multiply, lambda g, y, a, b: g * b, lambda g, y, a, b: g * a)
rule(np.divide, lambda g, y, a, b: g / b, lambda g, y, a, b: -g * y / b)
rule(np.negative, lambda g, y, x: -g)
rule(np.positive, lambda g, y, x: g)
rule(np.reciprocal, lambda g, y, x: -g * y * y)
rule(np.square, lambda g, y, x: g * 2 * x)
rule(np.remainder, lambda g, y, a, b: g, lambda g, y, a, b: -g * np.floor(a / b))
rule(np.fmod, lambda g, y, a, b: g, lambda g, y, a, b: -g * np.trunc(a / b))


def _power_base(g: Any, y: Any, a: Any, b: Any) -> Any:
    """d(a**b)/da = b a**(b-1), and 0 where b is 0, even at a = 0."""
    if type(b) in (int, float):
        return g * (2 * a) if b == 2 else g * (b * a ** (b - 1)) if b else np.zeros_like(g)
    return g * np.where(b == 0, 0, b * a ** np.where(b == 0, 1, b - 1))


def _power_exponent(g: Any, y: Any, a: Any, b: Any) -> Any:
    """d(a**b)/db = a**b log(a); at a = 0 it is 0 for b >= 0 and -inf for b < 0."""
    at_zero = np.where(np.real(b) >= 0, 0.0, -np.inf)
    return g * np.where(a == 0, at_zero, np.where(a == 0, 0, y) * np.log(np.where(a == 0, 1, a)))


rule(np.power, _power_base, _power_exponent)
rule(np.float_power, _power_base, _power_exponent)
rule(operator.pow, _power_base, _power_exponent, arrays=2, name="power")  # x ** 2, which NumPy computes as a square

# exponentials and logarithms
rule(np.exp, lambda g, y, x: g * y)
rule(np.exp2, lambda g, y, x: g * (y * LN2))
rule(np.expm1, lambda g, y, x: g * np.exp(x))
rule(np.log, lambda g, y, x: g / x)
rule(np.log2, lambda g, y, x: g / (x * LN2))
rule(np.log10, lambda g, y, x: g / (x * LN10))
rule(np.log1p, lambda g, y, x: g / (1 + x))
rule(np.sqrt, lambda g, y, x: g / (2 * y))
rule(np.cbrt, lambda g, y, x: g / (3 * y * y))


def _share(exponential: Any, a: Any, b: Any) -> Any:
    """a's share in log(exp a + exp b), 1 / (1 + exp(b - a)), no overflow; half where both are the same infinity."""
    same = np.logical_and(a == b, np.isinf(a))
    gap = np.where(same, 0, b) - np.where(same, 0, a)
    small = exponential(np.where(gap >= 0, -gap, gap))
    return np.where(gap >= 0, small, 1) / (1 + small)


def _shares(exponential: Any) -> tuple[Any, Any]:
    return lambda g, y, a, b: g * _share(exponential, a, b), lambda g, y, a, b: g * _share(exponential, b, a)


rule(np.logaddexp, *_shares(np.exp))
rule(np.logaddexp2, *_shares(np.exp2))


# kinks
def _sign(g: Any, y: Any, x: Any) -> Any:
    """0 for real numbers; for complex ones sign(z) = z / |z| turns with z."""
    if x.dtype.kind != "c":
        return np.zeros_like(g)
    size = np.abs(x)
    return np.where(size == 0, 0, (g - np.real(g * y) * np.conj(y)) / np.where(size == 0, 1, size))


rule(np.absolute, lambda g, y, x: g * (np.conj(np.sign(x)) if x.dtype.kind == "c" else np.sign(x)))
rule(np.fabs, lambda g, y, x: g * np.sign(x))
rule(np.sign, _sign)
rule(np.copysign, lambda g, y, a, b: g * (np.sign(a) * np.copysign(1.0, b)), lambda g, y, a, b: np.zeros_like(g))
rule(np.heaviside, lambda g, y, x, at_zero: np.zeros_like(g), lambda g, y, x, at_zero: np.where(x == 0, g, 0))


def _above(g: Any, a: Any, b: Any) -> Any:
    """The gradient where a > b, half of it where they tie; a NaN passes it on."""
    return np.where(a == b, 0.5 * g, np.where(a < b, 0, g))


def _below(g: Any, a: Any, b: Any) -> Any:
    """The gradient where a < b, half of it where they tie; a NaN passes it on."""
    return np.where(a == b, 0.5 * g, np.where(a > b, 0, g))


def _instead_of_nan(g: Any, share: Any, b: Any) -> Any:
    """All of the gradient where the other one is NaN, for fmax and fmin pass over it."""
    return np.where(np.isnan(b), g, share)


rule(np.maximum, lambda g, y, a, b: _above(g, a, b), lambda g, y, a, b: _above(g, b, a))
rule(np.minimum, lambda g, y, a, b: _below(g, a, b), lambda g, y, a, b: _below(g, b, a))
rule(
    np.fmax,
    lambda g, y, a, b: np.where(np.isnan(a), 0, _instead_of_nan(g, _above(g, a, b), b)),
    lambda g, y, a, b: np.where(np.isnan(b), 0, _instead_of_nan(g, _above(g, b, a), a)),
)
rule(
    np.fmin,
    lambda g, y, a, b: np.where(np.isnan(a), 0, _instead_of_nan(g, _below(g, a, b), b)),
    lambda g, y, a, b: np.where(np.isnan(b), 0, _instead_of_nan(g, _below(g, b, a), a)),
)

# staircases
rule(np.floor, zero)
rule(np.ceil, zero)
rule(np.rint, zero)
rule(np.trunc, zero)
rule(np.spacing, zero)
rule(np.floor_divide, zero, zero)
rule(np.nextafter, lambda g, y, a, b: g, lambda g, y, a, b: np.zeros_like(g))
rule(np.round, lambda g, y, x, decimals=0: np.zeros_like(g))
composite(np.around)(lambda a, decimals=0, out=None: np.round(a, decimals))
composite(np.fix)(lambda x, out=None: np.trunc(x))
composite(np.divmod)(lambda a, b: (np.floor_divide(a, b), np.remainder(a, b)))

# mantissa and exponent
rule(np.modf, joint=lambda g, y, x: (g[0],))
rule(np.frexp, joint=lambda g, y, x: (np.ldexp(g[0], -np.frexp(x)[1]),))
rule(np.ldexp, lambda g, y, x, exponent: np.ldexp(g, exponent), None)


# choices
rule(
    np.where,
    None,
    lambda g, y, condition, a, b: np.where(condition, g, 0),
    lambda g, y, condition, a, b: np.where(condition, 0, g),
    signature="condition x y",
)
composite(np.where)(lambda condition: np.nonzero(condition))


def _inside(x: Any, low: Any, high: Any) -> Any:
    above = True if low is None else x >= low
    below = True if high is None else x <= high
    return np.logical_and(above, below)


CLIP = Primitive(
    np.clip,
    (
        lambda g, y, x, low, high: np.where(_inside(x, low, high), g, 0),
        lambda g, y, x, low, high: np.where(x < low if high is None else np.logical_and(x < low, low <= high), g, 0),
        lambda g, y, x, low, high: np.where(x > high if low is None else np.logical_or(x > high, low > high), g, 0),
    ),
)


@composite(np.clip)
def clip(
    a: Any,
    a_min: Any = np._NoValue,
    a_max: Any = np._NoValue,
    out: Any = None,
    *,
    min: Any = np._NoValue,
    max: Any = np._NoValue,
    dtype: Any = None,
) -> Any:
    """np.clip, its bounds positional or by any of their keywords."""
    old, new = ([each for each in pair if each is not np._NoValue] for pair in ((a_min, a_max), (min, max)))
    if old and new:
        raise ValueError("np.clip: pass min and max, or a_min and a_max, not both.")
    if len(old) == 1:
        raise TypeError("np.clip: a_min and a_max go together; None stands for no bound.")
    low, high = old or (None if each is np._NoValue else each for each in (min, max))
    result = CLIP(a, low, high)
    return result if dtype is None else ASTYPE(result, dtype=np.dtype(dtype))


@composite(np.nan_to_num)
def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    """np.nan_to_num: what is not finite becomes a number, and gets no gradient."""
    if not copy:
        raise TypeError("np.nan_to_num(copy=False) on a tensor would write into it: leave copy=True.")
    if x.dtype.kind == "c":
        real, imag = (nan_to_num(part, True, nan, posinf, neginf) for part in (np.real(x), np.imag(x)))
        return real + imag * 1j
    if x.dtype.kind != "f":
        return np.copy(x)
    most = np.finfo(x.dtype)
    x = np.where(np.isnan(x), nan, x)
    x = np.where(x == np.inf, float(most.max) if posinf is None else posinf, x)
    return np.where(x == -np.inf, float(most.min) if neginf is None else neginf, x)


nondifferentiable(
    np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal,
    np.logical_and, np.logical_or, np.logical_xor, np.bitwise_and, np.bitwise_or, np.bitwise_xor,
    np.left_shift, np.right_shift, np.gcd, np.lcm, np.isclose, arrays=2,
)  # fmt: skip
nondifferentiable(
    np.isnan, np.isinf, np.isfinite, np.signbit, np.logical_not, np.invert, np.bitwise_count,
    np.isneginf, np.isposinf, np.isreal, np.iscomplex,
)  # fmt: skip
