"""Norms of vectors and matrices, of every order, and the condition number.

All are compositions; the gradient of a norm at 0 is 0.

Read next: `window.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..primitives import composite
from .complex import conjugated
from .reduce import ROOT, axes_of
from .shape import inexact


def _vector_norm(x: Any, order: Any, axis: Any, keepdims: bool) -> Any:
    x = inexact(x)
    if order is None or order == 2:
        return ROOT(np.sum(np.real(x * conjugated(x)), axis=axis, keepdims=keepdims))
    size = np.abs(x)
    if order == np.inf:
        return (np.max if size.size else np.sum)(size, axis=axis, keepdims=keepdims)
    if order == -np.inf:
        return np.min(size, axis=axis, keepdims=keepdims)
    if order == 0:
        return np.sum((x != 0).astype(size.dtype), axis=axis, keepdims=keepdims)
    if order == 1:
        return np.sum(size, axis=axis, keepdims=keepdims)
    if isinstance(order, str):
        raise ValueError(f"np.linalg.norm: {order!r} is no order of a vector's norm.")
    # entries that are 0 have a power of 0 (or inf) and no slope: kept apart, so that 0 * inf never arises
    powers = np.where(x == 0, 0.0 if order > 0 else np.inf, np.where(x == 0, 1, size) ** order)
    total = np.sum(powers, axis=axis, keepdims=keepdims)
    return np.where(total == 0, 0.0 if order > 0 else np.inf, np.where(total == 0, 1, total) ** (1 / order))


def _matrix_norm(x: Any, order: Any, axes: tuple[int, int], keepdims: bool) -> Any:
    rows, columns = axes
    x = inexact(x)
    if rows == columns:
        raise ValueError("np.linalg.norm: the two axes of a matrix norm must differ.")
    if order in (None, "fro", "f"):
        return _vector_norm(x, 2, axes, keepdims)
    if order in (1, -1, np.inf, -np.inf):
        summed, extreme = (rows, columns) if order in (1, -1) else (columns, rows)
        sums = np.sum(np.abs(x), axis=summed, keepdims=True)
        result = (np.max if order > 0 else np.min)(sums, axis=extreme, keepdims=True)
        return result if keepdims else np.squeeze(result, axes)
    values = np.linalg.svdvals(np.moveaxis(x, axes, (-2, -1)))
    if order == 2:
        result = np.max(values, axis=-1)
    elif order == -2:
        result = np.min(values, axis=-1)
    elif order == "nuc":
        result = np.sum(values, axis=-1)
    else:
        raise ValueError(f"np.linalg.norm: {order!r} is no order of a matrix' norm.")
    return np.expand_dims(result, axes_of(axes, x.ndim)) if keepdims else result


@composite(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """np.linalg.norm: of all entries, of vectors along an axis, or of matrices along two."""
    if axis is None:
        if ord is None:
            return _vector_norm(x, None, tuple(range(x.ndim)), keepdims)
        if x.ndim not in (1, 2):
            raise ValueError(f"np.linalg.norm: order {ord!r} of shape {x.shape} needs an axis.")
        axis = tuple(range(x.ndim))
    axes = axis if isinstance(axis, tuple) else (axis,)
    for each in axes:
        if not -x.ndim <= each < x.ndim:
            raise np.exceptions.AxisError(each, x.ndim, "np.linalg.norm")
    if len(axes) == 1:
        return _vector_norm(x, ord, axes[0], keepdims)
    if len(axes) == 2:
        return _matrix_norm(x, ord, (axes[0] % x.ndim, axes[1] % x.ndim), keepdims)
    raise ValueError(f"np.linalg.norm: axis {axis} names neither a vector nor a matrix.")


@composite(np.linalg.vector_norm)
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """np.linalg.vector_norm: over all the axes together as one vector."""
    return _vector_norm(x, ord, tuple(range(x.ndim)) if axis is None else normalize_axis_tuple(axis, x.ndim), keepdims)


@composite(np.linalg.matrix_norm)
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """np.linalg.matrix_norm: of the matrices in the last two axes."""
    if x.ndim < 2:
        raise ValueError(f"np.linalg.matrix_norm needs two axes, got shape {x.shape}.")
    return _matrix_norm(x, ord, (x.ndim - 2, x.ndim - 1), keepdims)


@composite(np.linalg.cond)
def cond(x: Any, p: Any = None) -> Any:
    """np.linalg.cond: |x| |1/x| in a norm; by singular values for 2 and -2."""
    if p in (None, 2, -2):
        values = np.linalg.svdvals(x)
        return values[..., 0] / values[..., -1] if p != -2 else values[..., -1] / values[..., 0]
    return norm(x, p, (-2, -1)) * norm(np.linalg.inv(x), p, (-2, -1))
