"""Rules of the functions that reduce axes: sums, means, extremes, variances.

`spread` undoes the shape of a reduction: it puts the reduced axes back and repeats the values along them.

Read next: `shape.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..primitives import nondifferentiable, rule


def unreduced(values: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """The result of a reduction of `x` with the reduced axes back, of length 1."""
    if keepdims or axis is None:
        return values
    axes = axis if isinstance(axis, tuple) else (axis,)
    return np.expand_dims(values, tuple(each % x.ndim for each in axes))


def spread(g: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """The gradient of a reduction, repeated over the axes that were reduced."""
    return np.broadcast_to(unreduced(g, x, axis, keepdims), x.shape)


def count(x: Any, y: Any) -> Any:
    """How many entries of `x` went into one of `y`."""
    return x.size // max(y.size, 1)


def _sum(x: Any, axis: Any = None, **settings: Any) -> Any:
    """np.sum without its Python layers, which cost more than adding a small array."""
    return np.add.reduce(x, axis, **settings)


def _mean(x: Any, **settings: Any) -> Any:
    """np.mean; of all entries, the common case, without its Python layers."""
    if settings or x.dtype.char not in "dfD" or x.size == 0:
        return np.mean(x, **settings)
    return np.add.reduce(x, None) / x.dtype.type(x.size)


rule(
    np.sum,
    lambda g, y, x, axis=None, keepdims=False, where=True: unreduced(g, x, axis, keepdims)
    if where is True
    else np.where(where, spread(g, x, axis, keepdims), 0),
    forward=_sum,
)
rule(
    np.mean,
    lambda g, y, x, axis=None, keepdims=False: unreduced(g / count(x, g), x, axis, keepdims),
    forward=_mean,
)


def _extreme(g: Any, y: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The gradient goes to the entries that attain the extreme, in equal shares."""
    chosen = x == unreduced(y, x, axis, keepdims)
    shares = np.sum(chosen, axis=axis, keepdims=True, dtype=g.dtype)
    return np.where(chosen, unreduced(g, x, axis, keepdims) / shares, 0)


rule(np.max, _extreme)
rule(np.min, _extreme)


def _var(g: Any, y: Any, x: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> Any:
    """d var/dx = 2 (x - mean) / (n - ddof)."""
    centred = x - np.mean(x, axis=axis, keepdims=True)
    return unreduced(g * (2.0 / (count(x, g) - ddof)), x, axis, keepdims) * centred


def _std(g: Any, y: Any, x: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> Any:
    """d std/dx = (x - mean) / ((n - ddof) std), and 0 where all entries are equal."""
    safe = np.where(y == 0, 1, y)
    return _var(np.where(y == 0, 0, g / (2 * safe)), y, x, axis, ddof, keepdims)


rule(np.var, _var)
rule(np.std, _std)

nondifferentiable(np.argmax, np.argmin, np.all, np.any, np.count_nonzero, np.argsort, np.nonzero, np.searchsorted)
