"""Rules of the functions that reduce axes: sums, products, extremes, variances.

`unreduced` undoes the shape of a reduction: it puts the reduced axes back, of length 1; the walk repeats a gradient
along them. A rule passes on `x.ndim` and not `x` where the values do not matter, so that they need not be kept.

Read next: `nan_reductions.py`, `cumulative.py`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..primitives import Primitive, composite, nondifferentiable, rule
from ..recording import Recorded
from .complex import conjugated
from .shape import ASTYPE


def axes_of(axis: Any, ndim: int) -> tuple[int, ...]:
    """The axes that an axis setting names, none of them negative."""
    if axis is None or ndim == 0:  # NumPy lets a scalar be reduced along axis 0 and -1
        return tuple(range(ndim))
    return tuple(int(each) % ndim for each in (axis if isinstance(axis, tuple) else (axis,)))


def unreduced(values: Any, ndim: int, axis: Any, keepdims: bool) -> Any:
    """A reduction's result with the reduced axes back, of length 1."""
    if keepdims or axis is None or ndim == 0:
        return values
    return np.expand_dims(values, axes_of(axis, ndim))


def reduced_last(x: Any, axis: Any) -> Any:
    """x with the reduced axes moved to the end and made one."""
    axes = axes_of(axis, x.ndim) if axis is None or x.ndim == 0 else normalize_axis_tuple(axis, x.ndim)
    kept = tuple(i for i in range(x.ndim) if i not in axes)
    count = int(np.prod([x.shape[i] for i in axes], dtype=int))
    return np.reshape(np.transpose(x, kept + axes), tuple(x.shape[i] for i in kept) + (count,))


def restored(values: Any, shape: tuple[int, ...], axis: Any) -> Any:
    """What `reduced_last` did, undone: an array of the given shape again."""
    axes = axes_of(axis, len(shape))
    order = tuple(i for i in range(len(shape)) if i not in axes) + axes
    return np.transpose(np.reshape(values, tuple(shape[i] for i in order)), tuple(np.argsort(order)))


def kept(values: Any, shape: tuple[int, ...], axis: Any) -> Any:
    """A result of `reduced_last` along its last axis, with keepdims=True."""
    axes = axes_of(axis, len(shape))
    return np.reshape(values, tuple(1 if i in axes else n for i, n in enumerate(shape)))


# ---- sums and means ------------------------------------------------------------------------------------------------


def _sum(x: Any, axis: Any = None, **settings: Any) -> Any:
    """np.sum without its Python layers, which cost more than adding a small array."""
    return np.add.reduce(x, axis, **settings)


def _mean(x: Any, **settings: Any) -> Any:
    """np.mean; of all entries, the common case, without its Python layers."""
    if settings or x.dtype.char not in "dfD" or x.size == 0:
        return np.mean(x, **settings)
    return np.add.reduce(x, None) / x.dtype.type(x.size)


rule(np.sum, lambda g, y, x, axis=None, keepdims=False: unreduced(g, x.ndim, axis, keepdims), forward=_sum)
rule(
    np.mean,
    lambda g, y, x, axis=None, keepdims=False: unreduced(g / max(x.size // max(g.size, 1), 1), x.ndim, axis, keepdims),
    forward=_mean,
)


@composite(np.sum)
def sum_(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    initial: Any = 0,
    where: Any = True,
) -> Any:
    """np.sum over the entries that `where` chooses, from a starting value."""
    return np.sum(np.where(where, a, 0), axis=axis, dtype=dtype, keepdims=keepdims) + initial


@composite(np.mean)
def mean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False, *, where: Any = True
) -> Any:
    """np.mean over the entries that `where` chooses."""
    chosen = np.broadcast_to(where, a.shape)
    total = np.sum(np.where(chosen, a, 0), axis=axis, dtype=dtype, keepdims=keepdims)
    return total / np.sum(chosen, axis=axis, keepdims=keepdims, dtype=total.dtype)


@composite(np.average)
def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: bool = False) -> Any:
    """np.average: sum(w a) / sum(w), differentiable in the weights too."""
    if weights is None:
        result = np.mean(a, axis=axis, keepdims=keepdims)
        total = np.ones_like(result) * (a.size / max(result.size, 1))
        return (result, total) if returned else result
    if weights.shape != a.shape:
        if axis is None:
            raise TypeError(f"np.average: weights of shape {weights.shape} for {a.shape} need an axis.")
        axes = axes_of(axis, a.ndim)
        if weights.shape != tuple(a.shape[i] for i in axes):
            raise ValueError(f"np.average: weights of shape {weights.shape} do not fit axis {axis} of {a.shape}.")
        weights = np.transpose(weights, tuple(np.argsort(axes)))
        weights = np.reshape(weights, tuple(n if i in axes else 1 for i, n in enumerate(a.shape)))
    total = np.sum(np.broadcast_to(weights, a.shape), axis=axis, keepdims=keepdims)
    if np.any(total._array() == 0 if isinstance(total, Recorded) else total == 0):
        raise ZeroDivisionError("np.average: the weights sum to zero.")
    result = np.sum(a * weights, axis=axis, keepdims=keepdims) / total
    return (result, total.astype(result.dtype, copy=False)) if returned else result


# ---- variances -----------------------------------------------------------------------------------------------------

# sqrt whose slope at 0 is 0: the convention for norms and standard deviations
ROOT = Primitive(np.sqrt, (lambda g, y, x: np.where(y == 0, 0, g / (2 * np.where(y == 0, 1, y))),), arrays=1)


def _var(g: Any, y: Any, x: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> Any:
    """d var/dx = 2 conj(x - mean) / (n - ddof)."""
    centred = conjugated(x - np.mean(x, axis=axis, keepdims=True))
    count = x.size // max(g.size, 1) - ddof
    return unreduced(g * (2.0 / count if count > 0 else math.inf), x.ndim, axis, keepdims) * centred


rule(np.var, _var)


@composite(np.var)
def var(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: float = 0, keepdims: bool = False, *,
    where: Any = True, mean: Any = None, correction: float | None = None,
) -> Any:  # fmt: skip
    """np.var over the entries that `where` chooses, with the mean as it is given, which has a gradient of its own."""
    if correction is not None and ddof != 0:
        raise ValueError("np.var, np.std: ddof and correction are two names for one number; pass one of them.")
    chosen = np.broadcast_to(where, a.shape)
    if mean is None:
        mean = np.mean(a, axis=axis, dtype=dtype, keepdims=True, where=where)
    apart = np.where(chosen, a - mean, 0)
    total = np.sum(np.real(apart * conjugated(apart)), axis=axis, dtype=dtype, keepdims=keepdims)
    count = np.sum(chosen, axis=axis, keepdims=keepdims, dtype=total.dtype)
    return total / np.maximum(count - (ddof if correction is None else correction), 0)


composite(np.std)(lambda a, *args, **settings: ROOT(np.var(a, *args, **settings)))


# ---- extremes ------------------------------------------------------------------------------------------------------


def _shared(g: Any, beaten: Any, ndim: int, axis: Any, keepdims: bool) -> Any:
    """The gradient to the entries that are not beaten, in equal shares. (No entry beats a NaN, so a NaN spreads it.)"""
    shares = np.sum(np.logical_not(beaten), axis=axis, keepdims=True, dtype=g.dtype)
    return np.where(beaten, 0, unreduced(g, ndim, axis, keepdims) / shares)


rule(
    np.max,
    lambda g, y, x, axis=None, keepdims=False: _shared(
        g, x < unreduced(y, x.ndim, axis, keepdims), x.ndim, axis, keepdims
    ),
)
rule(
    np.min,
    lambda g, y, x, axis=None, keepdims=False: _shared(
        g, x > unreduced(y, x.ndim, axis, keepdims), x.ndim, axis, keepdims
    ),
)


def _with_start(extreme: Any, better: Any, worst: float) -> Any:
    def body(
        a: Any, axis: Any = None, out: Any = None, keepdims: bool = False, initial: Any = None, where: Any = True
    ) -> Any:
        if initial is None and where is not True:
            raise ValueError(f"np.{extreme.__name__} with where= needs initial=, as in NumPy.")
        if a.size == 0 and initial is not None:  # nothing but the start
            return ASTYPE(np.sum(a, axis=axis, keepdims=keepdims) + initial, dtype=a.dtype)
        # what is left out becomes a value that loses: the start itself among whole numbers, which have no infinity
        a = a if where is True else np.where(where, a, worst if a.dtype.kind == "f" else initial)
        chosen = extreme(a, axis=axis, keepdims=keepdims)
        return chosen if initial is None else better(chosen, initial)

    return body


composite(np.max, np.amax)(_with_start(np.max, np.maximum, -np.inf))
composite(np.min, np.amin)(_with_start(np.min, np.minimum, np.inf))


@composite(np.ptp)
def ptp(a: Any, axis: Any = None, out: Any = None, keepdims: bool = False) -> Any:
    """np.ptp: max - min."""
    return np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims)


# ---- products ------------------------------------------------------------------------------------------------------


def _other_factors(x: Any) -> Any:
    """For each entry the product of the others along the last axis: right with any number of zeros."""
    ones = np.ones((*x.shape[:-1], 1), x.dtype)
    before = np.cumprod(np.concatenate([ones, x[..., :-1]], axis=-1), axis=-1)
    after = np.cumprod(np.concatenate([ones, x[..., :0:-1]], axis=-1), axis=-1)
    return before * after[..., ::-1]


def _prod(g: Any, y: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """d prod/dx = the product of the other factors."""
    if x.size == 0:
        return np.zeros_like(x)
    return unreduced(g, x.ndim, axis, keepdims) * restored(_other_factors(reduced_last(x, axis)), x.shape, axis)


rule(np.prod, _prod)


@composite(np.prod)
def prod(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    initial: Any = 1,
    where: Any = True,
) -> Any:
    """np.prod over the entries that `where` chooses, times a starting value."""
    return np.prod(np.where(where, a, 1), axis=axis, dtype=dtype, keepdims=keepdims) * initial


nondifferentiable(np.argmax, np.argmin, np.all, np.any, np.count_nonzero)
