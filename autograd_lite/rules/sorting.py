"""Sorting and order statistics.

A sort is a gather by its own argsort, in stable order: equal entries keep theirs, and each gets its own gradient. An
order statistic (median, quantile) shares its gradient evenly among the entries that equal it, as max does.

Read next: `products.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ..primitives import Primitive, composite, nondifferentiable
from .reduce import kept, reduced_last


@composite(np.sort)
def sort(a: Any, axis: int | None = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    """np.sort, as the gather that it is."""
    if kind is not None or stable is not None:
        np.sort(np.zeros(1), kind=kind, stable=stable)  # raises for kinds that there are not
    if axis is None:
        a, axis = np.ravel(a), -1
    axis = normalize_axis_index(axis, a.ndim)
    return np.take_along_axis(a, np.argsort(a, axis=axis, kind="stable"), axis=axis)


# NumPy's own choice of the complex dtype
composite(np.sort_complex)(lambda a: np.sort(a.astype(np.sort_complex(np.zeros(1, a.dtype)).dtype), axis=-1))


def _partition_order(x: Any, kth: Any, axis: int) -> Any:
    """The places that np.partition takes its entries from, equal entries in stable order."""
    ordered = np.argsort(x, axis=axis, kind="stable")
    ranks = np.argsort(np.argsort(np.partition(x, kth, axis=axis), axis=axis, kind="stable"), axis=axis, kind="stable")
    return np.take_along_axis(ordered, ranks, axis=axis)


PARTITION_ORDER = Primitive(_partition_order, arrays=1, name="partition_order")


@composite(np.partition)
def partition(a: Any, kth: Any, axis: int | None = -1, kind: str = "introselect", order: Any = None) -> Any:
    """np.partition, as the gather that it is."""
    if axis is None:
        a, axis = np.ravel(a), -1
    return np.take_along_axis(a, PARTITION_ORDER(a, kth=kth, axis=axis), axis=axis)


def _order_statistic(x: Any, k: Any) -> Any:
    """The k-th smallest entries along the last axis, for an array of k."""
    return np.take_along_axis(np.sort(x, axis=-1), k, axis=-1)


def _share_statistic(g: Any, y: Any, x: Any, k: Any) -> Any:
    """To the entries that equal the statistic, in equal shares; NaN equals NaN."""
    x, y = np.expand_dims(x, -2), np.expand_dims(y, -1)
    chosen = np.logical_or(x == y, np.logical_and(np.isnan(x), np.isnan(y)))
    shares = np.sum(chosen, axis=-1, keepdims=True, dtype=g.dtype)
    return np.sum(np.where(chosen, np.expand_dims(g, -1) / shares, 0), axis=-2)


ORDER_STATISTIC = Primitive(_order_statistic, (_share_statistic, None), name="order_statistic")


def _between(x: Any, positions: Any, dtype: Any) -> Any:
    """The values at fractional places of the sorted last axis of x: (..., n), (..., m) -> (..., m)."""
    low = np.floor(positions).astype(int)
    part = (positions - low).astype(dtype)
    below, above = (
        ORDER_STATISTIC(x, np.broadcast_to(k, (*x.shape[:-1], k.shape[-1]))) for k in (low, low + (part > 0))
    )
    return np.where(part == 0, below, below + np.where(part == 0, 0, above - below) * part)


def _positions(n: int, q: Any, method: str) -> Any:
    """Where the quantiles of n sorted values lie, in places: what NumPy itself makes of the values 0, 1, ... n - 1."""
    return np.quantile(np.arange(n, dtype=float), q, method=method)  # type: ignore[call-overload]  # checked by NumPy


def _positions_of_counts(counts: Any, q: Any, method: str) -> Any:
    """The places for every count of values that are not NaN."""
    counts = np.asarray(counts)
    positions = np.zeros((*counts.shape, q.size))
    for n in np.unique(counts[counts > 0]):
        positions[counts == n] = np.ravel(_positions(int(n), q, method))
    return positions


POSITIONS = Primitive(_positions_of_counts, arrays=1, name="quantile_positions")


def _result_dtype(dtype: Any, q: Any, method: Any) -> Any:
    """The dtype that NumPy itself gives to quantiles."""
    return np.quantile(np.zeros(1, dtype), q, method=method).dtype


def _rows(a: Any, axis: Any) -> Any:
    """The values of which one quantile is taken along the last axis; a scalar has no axis, as in NumPy."""
    return reduced_last(a, None if axis is None else normalize_axis_tuple(axis, a.ndim))


@composite(np.quantile)
def quantile(
    a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, method: str = "linear",
    keepdims: bool = False, *, weights: Any = None,
) -> Any:  # fmt: skip
    """np.quantile, by any of NumPy's methods: each lies between two neighbours of the sorted values."""
    if weights is not None:
        raise NotImplementedError("np.quantile(weights=...) has no gradient rule; it has one without weights=.")
    x = _rows(a, axis)
    if x.shape[-1] == 0:
        raise IndexError(f"np.quantile of shape {a.shape} along axis {axis}: there is nothing to take it of.")
    q, dtype = np.asarray(q), _result_dtype(x.dtype, q, method)
    found = _between(x, np.ravel(_positions(x.shape[-1], q, method)), dtype)
    if x.dtype.kind in "fc":
        found = np.where(np.any(np.isnan(x), axis=-1, keepdims=True), np.nan, found)
    return _quantile_shape(found, q, a, axis, keepdims)


def _quantile_shape(found: Any, q: Any, a: Any, axis: Any, keepdims: bool) -> Any:
    """NumPy's order of axes: those of q first, then what the reduction left."""
    found = np.moveaxis(found, -1, 0)
    if keepdims:
        found = np.stack([kept(each, a.shape, axis) for each in found])
    return np.reshape(found, (*q.shape, *found.shape[1:]))


@composite(np.nanquantile)
def nanquantile(
    a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, method: str = "linear",
    keepdims: bool = False, *, weights: Any = None,
) -> Any:  # fmt: skip
    """np.nanquantile: the quantiles of what is not NaN."""
    if weights is not None:
        raise NotImplementedError("np.nanquantile(weights=...) has no gradient rule; it has one without weights=.")
    x = _rows(a, axis)
    if x.shape[-1] == 0:
        x = np.full_like(x, np.nan, shape=(*x.shape[:-1], 1))
    q, dtype = np.asarray(q), _result_dtype(x.dtype, q, method)
    counts = np.sum(np.logical_not(np.isnan(x)), axis=-1)
    positions = POSITIONS(counts, q=q, method=method)
    found = _between(x, positions, dtype)  # a sort puts NaN last, so the places of the others are their own
    return _quantile_shape(found, q, a, axis, keepdims)


def _percent(function: Any) -> Any:
    return lambda a, q, *args, **settings: function(
        a, np.true_divide(q, a.dtype.type(100) if a.dtype.kind == "f" else 100), *args, **settings
    )


def _middle(function: Any) -> Any:
    def body(a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: bool = False) -> Any:
        return (function if a.size else np.nanquantile)(a, 0.5, axis=axis, keepdims=keepdims)

    return body


composite(np.percentile)(_percent(np.quantile))
composite(np.nanpercentile)(_percent(np.nanquantile))
composite(np.median)(_middle(np.quantile))
composite(np.nanmedian)(_middle(np.nanquantile))

nondifferentiable(np.argsort, np.argpartition, np.unique, np.unique_all, np.unique_counts, np.unique_inverse)
nondifferentiable(np.unique_values, np.histogram, np.histogram_bin_edges)
if "in1d" in vars(np):  # until NumPy 2.3
    nondifferentiable(vars(np)["in1d"], arrays=2)
nondifferentiable(np.searchsorted, np.isin, np.intersect1d, np.union1d, np.setdiff1d, np.setxor1d, arrays=2)
