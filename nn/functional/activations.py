"""Activations: one recorded operation each, stable and free of warnings at any argument.

`y` is the result and `g` its gradient, as in every rule of the engine.

Read next: `losses.py`.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

import autograd_lite as ag

# The largest argument whose exponential is finite, by the bytes of a float (an integer array becomes a float at least
# as wide as these).
_LARGEST = {1: 11.0, 2: 11.0, 4: 88.72, 8: 709.78, 16: 709.78}


@ag.primitive
def sigmoid(input: Any) -> Any:
    """1 / (1 + exp(-x)), entry by entry, as e / (1 + e) with e = exp(x): exact far to the left, 1 far to the right.

    >>> import numpy as np
    >>> sigmoid(np.array([-1e4, 0.0, 1e4])).tolist()
    [0.0, 0.5, 1.0]
    """
    e = np.exp(np.minimum(input, _LARGEST[input.itemsize]))
    return e / (1 + e)


sigmoid.def_rule(lambda g, y, x: g * (y * (1 - y)))

# Small arrays spend half as long on a 0-d array of their own dtype as on a Python number.
ONE = {char: np.ones((), char) for char in "efdgFDG"}
_BOUND = {char: np.array(_LARGEST[ONE[char].itemsize], char) for char in "efdg"}


def sigmoid_inside(z: Any) -> Any:
    """The sigmoid of an array that nobody else will read, in its own memory."""
    char = z.dtype.char
    if char not in _BOUND:
        return sigmoid.function(z)
    np.exp(np.minimum(z, _BOUND[char], out=z), z)
    return np.divide(z, z + ONE[char], z)


def tanh(input: Any) -> Any:
    """The hyperbolic tangent: np.tanh.

    >>> tanh(0.0).item()
    0.0
    """
    return np.tanh(input)


@ag.primitive
def relu(input: Any) -> Any:
    """max(x, 0); its slope at 0 is 0.

    >>> import numpy as np
    >>> relu(np.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    return np.maximum(input, 0)


relu.def_rule(lambda g, y, x: g * (y > 0))


@ag.primitive
def leaky_relu(input: Any, negative_slope: float = 0.01) -> Any:
    """x where x > 0, else negative_slope * x.

    >>> import numpy as np
    >>> leaky_relu(np.array([-1.0, 2.0])).tolist()
    [-0.01, 2.0]
    """
    return np.where(input > 0, input, input * negative_slope)


leaky_relu.def_rule(lambda g, y, x, negative_slope=0.01: np.where(x > 0, g, g * negative_slope))


@ag.primitive
def elu(input: Any, alpha: float = 1.0) -> Any:
    """x where x > 0, else alpha * (exp(x) - 1).

    >>> import numpy as np
    >>> elu(np.array([-1e4, 2.0])).tolist()
    [-1.0, 2.0]
    """
    return np.where(input > 0, input, alpha * np.expm1(np.minimum(input, 0)))


elu.def_rule(lambda g, y, x, alpha=1.0: np.where(x > 0, g, g * (alpha * np.exp(np.where(x < 0, x, 0)))))


@ag.primitive
def silu(input: Any) -> Any:
    """x * sigmoid(x), also called swish.

    >>> import numpy as np
    >>> silu(np.array([-1e4, 0.0, 1e4])).round(3).tolist()
    [-0.0, 0.0, 10000.0]
    """
    return input * sigmoid(input)


def _silu_rule(g: Any, y: Any, x: Any) -> Any:
    s = sigmoid(x)
    return g * (s + y * (1 - s))


silu.def_rule(_silu_rule)


def log1p_exp(x: Any) -> Any:
    """log(1 + exp(x)) without overflow: NumPy that runs on arrays and tensors alike."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


@ag.primitive
def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """log(1 + exp(beta x)) / beta, and x itself where beta x > threshold.

    >>> import numpy as np
    >>> softplus(np.array([-1e4, 1e4])).tolist()
    [0.0, 10000.0]
    """
    scaled = input * beta
    return np.where(scaled > threshold, input, log1p_exp(scaled) / beta)


softplus.def_rule(
    lambda g, y, x, beta=1.0, threshold=20.0: np.where(x * beta > threshold, g, g * sigmoid(x * beta)),
)


@ag.primitive
def logsigmoid(input: Any) -> Any:
    """log(sigmoid(x)) = -log(1 + exp(-x)).

    >>> import numpy as np
    >>> logsigmoid(np.array([-1e4, 1e4])).tolist()
    [-10000.0, 0.0]
    """
    return np.minimum(input, 0) - np.log1p(np.exp(-np.abs(input)))


logsigmoid.def_rule(lambda g, y, x: g * sigmoid(-x))


@functools.cache
def _complementary_series() -> Any:
    """Chebyshev coefficients in u of log(erfc(x) exp(x^2) / t), where t = 2 / (2 + x) = (u + 1) / 2 and x >= 0.

    erfc(x) exp(x^2) = (2 / sqrt(pi)) * integral over s >= 0 of exp(-s^2 - 2 s x), which is smooth: Gauss-Legendre
    quadrature gives it to the last digit, and interpolation at Chebyshev's points gives the series.
    """
    count = 30
    angles = np.pi * (np.arange(count) + 0.5) / count
    t = np.square(np.cos(angles / 2))
    x = 2 / t - 2
    nodes, weights = np.polynomial.legendre.leggauss(80)
    end = 40 / (np.sqrt(x * x + 40) + x)  # where s^2 + 2 s x = 40, and the rest of the integral is below 1e-17
    s = end[:, None] * (nodes + 1) / 2
    integral = end / 2 * (np.exp(-s * s - 2 * s * x[:, None]) @ weights)
    series = 2 / count * np.cos(np.arange(count)[:, None] * angles) @ np.log(2 / math.sqrt(math.pi) * integral / t)
    series[0] /= 2
    return series


@ag.primitive
def erf(input: Any) -> Any:
    """The error function, 2/sqrt(pi) times the integral of exp(-s^2) from 0 to x; accurate to 1e-14.

    >>> import math, numpy as np
    >>> float(abs(erf(np.array(0.7)) - math.erf(0.7))) < 1e-14
    True
    """
    size = np.abs(input)
    t = 2 / (2 + size)
    logarithm = np.polynomial.chebyshev.chebval(2 * t - 1, _complementary_series().astype(t.dtype))
    complement = t * np.exp(logarithm - np.square(np.minimum(size, 40)))
    return np.sign(input) * (1 - complement)


erf.def_rule(lambda g, y, x: g * (2 / math.sqrt(math.pi)) * np.exp(-np.square(np.minimum(np.abs(x), 40))))


@ag.primitive
def gelu(input: Any, approximate: str = "none") -> Any:
    """x * Phi(x), Phi the normal distribution function; `approximate="tanh"` takes
    x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))) instead (Hendrycks and Gimpel, 2016).

    >>> import numpy as np
    >>> gelu(np.array([-1e4, 1.0, 1e4])).round(4).tolist()
    [-0.0, 0.8413, 10000.0]
    """
    return input * _bell_sum(input, approximate)


def _bell_sum(x: Any, approximate: str) -> Any:
    """Phi(x), or its approximation by tanh."""
    if approximate == "none":
        return (1 + erf(x * math.sqrt(0.5))) / 2
    if approximate == "tanh":
        return (1 + np.tanh(_inner(x))) / 2
    raise ValueError(f"gelu: approximate must be 'none' or 'tanh', not {approximate!r}.")


def _inner(x: Any) -> Any:
    return x * (math.sqrt(2 / math.pi) + math.sqrt(2 / math.pi) * 0.044715 * np.square(x))


def _gelu_rule(g: Any, y: Any, x: Any, approximate: str = "none") -> Any:
    """Phi(x) + x Phi'(x)."""
    if approximate == "none":
        density = np.exp(-np.square(np.minimum(np.abs(x), 60)) / 2) / math.sqrt(2 * math.pi)
    else:
        t = np.tanh(_inner(x))
        density = (1 - t * t) / 2 * (math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * np.square(x)))
    return g * (_bell_sum(x, approximate) + x * density)


gelu.def_rule(_gelu_rule)


def _axis(who: str, x: Any, dim: int | None, axis: int | None) -> int:
    """The axis of a softmax, under torch's name or NumPy's; the last one of a vector or a matrix if not given."""
    chosen = axis if dim is None else dim
    if chosen is not None:
        return chosen
    if x.ndim > 2:
        raise ValueError(f"{who} of shape {x.shape}: say along which axis, dim=1 for classes in (N, C, ...).")
    return -1


@ag.primitive
def softmax_along(x: Any, axis: int = -1) -> Any:
    """exp(x) divided by its sum along `axis`; see `softmax`."""
    if x.size == 0:
        return np.exp(x)  # nothing has no maximum
    powers = np.exp(x - np.maximum.reduce(x, axis=axis, keepdims=True))
    return powers / np.add.reduce(powers, axis=axis, keepdims=True)


softmax_along.def_rule(lambda g, y, x, axis=-1: y * (g - np.add.reduce(g * y, axis=axis, keepdims=True)))


def softmax(input: Any, dim: int | None = None, *, axis: int | None = None) -> Any:
    """exp(x) / sum(exp(x)) along `dim` (or `axis`, the same; the last one of a vector or matrix if not given).

    >>> import numpy as np
    >>> softmax(np.array([[0.0, 1e4]])).tolist()
    [[0.0, 1.0]]
    """
    axis = _axis("softmax", input, dim, axis)
    return softmax_along(input) if axis == -1 else softmax_along(input, axis=axis)


@ag.primitive
def log_softmax_along(x: Any, axis: int = -1) -> Any:
    """x minus the logarithm of the sum of exp(x) along `axis`; see `log_softmax`."""
    if x.size == 0:
        return np.exp(x)
    shifted = x - np.maximum.reduce(x, axis=axis, keepdims=True)
    return shifted - np.log(np.add.reduce(np.exp(shifted), axis=axis, keepdims=True))


log_softmax_along.def_rule(lambda g, y, x, axis=-1: g - np.exp(y) * np.add.reduce(g, axis=axis, keepdims=True))


def log_softmax(input: Any, dim: int | None = None, *, axis: int | None = None) -> Any:
    """log(softmax(x)) along `dim` (or `axis`; the last one of a vector or matrix if not given).

    >>> import numpy as np
    >>> log_softmax(np.array([[0.0, 1e4]])).tolist()
    [[-10000.0, 0.0]]
    """
    axis = _axis("log_softmax", input, dim, axis)
    return log_softmax_along(input) if axis == -1 else log_softmax_along(input, axis=axis)


@ag.primitive
def logsumexp(input: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """log(sum(exp(x))) along `axis`, without overflow; of minus infinities alone, or of nothing, -inf, gradient 0.

    >>> import numpy as np
    >>> float(logsumexp(np.array([1e4, 1e4])).round(4))
    10000.6931
    """
    top = (np.maximum if input.size else np.add).reduce(input, axis=axis, keepdims=True)  # nothing has no maximum
    top = np.where(np.isfinite(top), top, 0)
    total = np.add.reduce(np.exp(input - top), axis=axis, keepdims=True)
    result = np.where(total == 0, -np.inf, np.log(np.where(total == 0, 1, total))) + top
    return result if keepdims else np.reshape(result, _without(result.shape, axis))


def _without(shape: tuple[int, ...], axis: Any) -> tuple[int, ...]:
    """A shape without the axes that were reduced."""
    if axis is None:
        return ()
    gone = {each % len(shape) for each in (axis if isinstance(axis, tuple) else (axis,))}
    return tuple(n for i, n in enumerate(shape) if i not in gone)


def _logsumexp_rule(g: Any, y: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """softmax(x), and 0 where everything is -inf."""
    kept = _kept(x.shape, axis)
    y, g = np.reshape(y, kept), np.reshape(g, kept)
    return g * np.where(y == -np.inf, 0, np.exp(x - np.where(np.isfinite(y), y, 0)))


def _kept(shape: tuple[int, ...], axis: Any) -> tuple[int, ...]:
    """A shape with length 1 for the axes that were reduced."""
    gone = range(len(shape)) if axis is None else (axis if isinstance(axis, tuple) else (axis,))
    reduced = {each % len(shape) for each in gone} if shape else set()
    return tuple(1 if i in reduced else n for i, n in enumerate(shape))


logsumexp.def_rule(_logsumexp_rule)
