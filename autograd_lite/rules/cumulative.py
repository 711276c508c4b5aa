"""Rules of what runs along an axis: cumulative sums and products, differences, slopes, integrals.

Read next: `shape.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ..primitives import Primitive, composite, rule
from .shape import ASTYPE, array


def _cumsum(g: Any, y: Any, x: Any, axis: int | None = None) -> Any:
    """The sum of the gradients of all later entries."""
    along = 0 if axis is None else axis
    return np.reshape(np.flip(np.cumsum(np.flip(g, along), axis=along), along), x.shape)


rule(np.cumsum, _cumsum)


def _recurrence(a: Any, b: Any) -> Any:
    """s_0 = b_0, s_k = a_k s_{k-1} + b_k along the first axis."""
    result = np.array(np.broadcast_to(b, np.broadcast_shapes(np.shape(a), np.shape(b))))
    for k in range(1, len(result)):
        result[k] += a[k] * result[k - 1]
    return result


def _backwards(g: Any, a: Any) -> Any:
    """The recurrence of the gradient: t_k = g_k + a_{k+1} t_{k+1}."""
    shifted = np.concatenate([a[1:], np.zeros_like(a[:1])])
    return np.flip(RECURRENCE(np.flip(shifted, 0), np.flip(g, 0)), 0)


RECURRENCE = Primitive(
    _recurrence,
    (
        lambda g, y, a, b: _backwards(g, a) * np.concatenate([np.zeros_like(y[:1]), y[:-1]]),
        lambda g, y, a, b: _backwards(g, a),
    ),
    name="recurrence",
)


def _cumprod(g: Any, y: Any, x: Any, axis: int | None = None) -> Any:
    """dL/dx_j = (prod of the factors before j) t_j with t_j = g_j + x_{j+1} t_{j+1}: right with zeros."""
    if x.ndim == 0:
        axis = None
    factors = np.reshape(x, -1) if axis is None else np.moveaxis(x, axis, 0)
    g, y = (each if axis is None else np.moveaxis(each, axis, 0) for each in (g, y))
    before = np.concatenate([np.ones_like(y[:1]), y[:-1]])
    result = before * _backwards(g, factors)
    return np.reshape(result, x.shape) if axis is None else np.moveaxis(result, 0, axis)


rule(np.cumprod, _cumprod)


def _cumulative(function: Any, start: float) -> Any:
    """The array API's form of a cumulative function, which may start with the empty sum or product."""

    def body(x: Any, /, *, axis: Any = None, dtype: Any = None, out: Any = None, include_initial: bool = False) -> Any:
        x = np.atleast_1d(x)
        if axis is None and x.ndim != 1:
            raise ValueError(f"{function.__name__} of shape {x.shape} needs an axis.")
        along = 0 if axis is None else axis
        result = function(x, axis=along, dtype=dtype)
        if not include_initial:
            return result
        first = tuple(1 if i == along % x.ndim else n for i, n in enumerate(x.shape))
        return np.concatenate([np.full(first, start, result.dtype), result], axis=along)

    return body


if hasattr(np, "cumulative_sum"):  # NumPy 2.1
    composite(np.cumulative_sum)(_cumulative(np.cumsum, 0))
    composite(np.cumulative_prod)(_cumulative(np.cumprod, 1))


def along(x: Any, axis: int, part: Any) -> Any:
    """x[..., part, ...] with the part at one axis."""
    return x[(slice(None),) * normalize_axis_index(axis, x.ndim) + (part,)]


@composite(np.diff)
def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = np._NoValue, append: Any = np._NoValue) -> Any:
    """np.diff: differences of neighbours, n times."""
    if n < 0:
        raise ValueError(f"np.diff: order must be non-negative, not {n}.")
    if n == 0:
        return a
    if a.ndim == 0:
        raise ValueError("np.diff needs at least one axis.")
    axis = normalize_axis_index(axis, a.ndim)
    ends: list[Any] = []
    for end in (prepend, a, append):
        if end is np._NoValue:
            continue
        if np.ndim(end) == 0:
            end = np.broadcast_to(end, tuple(1 if i == axis else m for i, m in enumerate(a.shape)))
        ends.append(end)
    x = np.concatenate(ends, axis=axis) if len(ends) > 1 else a
    for _ in range(n):
        later, earlier = along(x, axis, slice(1, None)), along(x, axis, slice(None, -1))
        x = np.not_equal(later, earlier) if x.dtype == bool else later - earlier
    return x


@composite(np.ediff1d)
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """np.ediff1d: differences of neighbours of the flattened array, with given ends."""
    x = np.ravel(array(ary))
    parts = [x[1:] - x[:-1]]
    for end, place in ((to_begin, 0), (to_end, len(parts) + 1)):
        if end is None:
            continue
        end = np.ravel(array(end))
        if not np.can_cast(end, x.dtype, "same_kind"):
            raise TypeError(f"np.ediff1d: an end of {end.dtype} does not go into differences of {x.dtype}.")
        parts.insert(place, ASTYPE(end, dtype=x.dtype))
    return np.concatenate(parts)


@composite(np.trapezoid)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """np.trapezoid: the integral of y by the trapezoid rule."""
    if x is not None:
        dx = np.diff(x) if np.ndim(x) == 1 else np.diff(x, axis=axis)
        if np.ndim(x) == 1:
            dx = np.reshape(dx, tuple(-1 if i == axis % y.ndim else 1 for i in range(y.ndim)))
    return np.sum(dx * (along(y, axis, slice(1, None)) + along(y, axis, slice(None, -1))) / 2.0, axis=axis)


@composite(np.gradient)
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """np.gradient: slopes by central differences, differentiable in the values and in the coordinates."""
    axes = tuple(range(f.ndim)) if axis is None else normalize_axis_tuple(axis, f.ndim)
    if len(varargs) not in (0, 1, len(axes)):
        raise TypeError(f"np.gradient: {len(varargs)} spacings for {len(axes)} axes.")
    if edge_order not in (1, 2):
        raise ValueError(f"np.gradient: edge_order must be 1 or 2, not {edge_order}.")
    spacings = varargs * len(axes) if len(varargs) == 1 else varargs or (1.0,) * len(axes)
    slopes = tuple(_slope(f, each, spacing, edge_order) for each, spacing in zip(axes, spacings, strict=True))
    slopes = tuple(slope if f.dtype.kind not in "fc" else slope.astype(f.dtype, copy=False) for slope in slopes)
    return slopes[0] if len(axes) == 1 else slopes


def _slope(f: Any, axis: int, spacing: Any, edge_order: int) -> Any:
    """The slope along one axis: a parabola through three neighbours, and an edge formula of the given order."""
    n = f.shape[axis]
    if n < edge_order + 1:
        raise ValueError(f"np.gradient: axis {axis} of shape {f.shape} needs at least {edge_order + 1} entries.")
    if np.ndim(spacing) == 0:
        steps = spacing * np.ones(n - 1, f.dtype)
    elif np.ndim(spacing) != 1 or len(spacing) != n:
        raise ValueError(f"np.gradient: coordinates of shape {np.shape(spacing)} do not fit axis {axis} of {f.shape}.")
    else:
        steps = np.diff(spacing)
    steps = np.reshape(steps, tuple(-1 if i == axis else 1 for i in range(f.ndim)))

    def at(part: Any) -> Any:
        return along(f, axis, part)

    def step(part: Any) -> Any:
        return along(steps, axis, part)

    left, right = step(slice(None, -1)), step(slice(1, None))
    inside = (
        at(slice(2, None)) * (left / (right * (left + right)))
        + at(slice(1, -1)) * ((right - left) / (left * right))
        - at(slice(None, -2)) * (right / (left * (left + right)))
    )
    if edge_order == 1:
        first = (at(slice(1, 2)) - at(slice(0, 1))) / step(slice(0, 1))
        last = (at(slice(-1, None)) - at(slice(-2, -1))) / step(slice(-1, None))
    else:
        first = _edge(at(slice(0, 1)), at(slice(1, 2)), at(slice(2, 3)), step(slice(0, 1)), step(slice(1, 2)))
        last = _edge(
            at(slice(-1, None)), at(slice(-2, -1)), at(slice(-3, -2)), -step(slice(-1, None)), -step(slice(-2, -1))
        )
    return np.concatenate([first, inside, last], axis=axis)


def _edge(f0: Any, f1: Any, f2: Any, near: Any, far: Any) -> Any:
    """The slope at the first of three points, by the parabola through them."""
    both = near + far
    return -f0 * (near + both) / (near * both) + f1 * both / (near * far) - f2 * near / (far * both)
