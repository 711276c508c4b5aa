"""Functions that choose entries by place or by condition: each is an index with `index.py`'s rules, or a np.where.

Read next: `diagonals.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ..boundary import LITERALS
from ..primitives import Primitive, composite, nondifferentiable, refuse
from ..recording import Recorded
from .index import SCATTER, SETITEM, Slot, at, split_index
from .shape import ASTYPE, array, plain


@composite(np.take)
def take(a: Any, indices: Any, axis: int | None = None, out: Any = None, mode: str = "raise") -> Any:
    """np.take: the slices at the given places along an axis."""
    if axis is None or a.ndim == 0:
        a, axis = np.reshape(a, -1), axis or 0
    if not -a.ndim <= axis < a.ndim:
        raise np.exceptions.AxisError(axis, a.ndim, "np.take")
    indices = array(indices)
    if indices.dtype.kind not in "iu" and indices.size:
        raise TypeError(f"np.take: indices must be integers, not {indices.dtype}.")
    if mode not in ("raise", "wrap", "clip"):
        raise ValueError(f"np.take: mode is 'raise', 'wrap' or 'clip', not {mode!r}.")
    if mode == "wrap":
        indices = np.remainder(indices, a.shape[axis])
    elif mode == "clip":
        indices = np.clip(indices, 0, a.shape[axis] - 1)
    return at(a, (slice(None),) * (axis % a.ndim) + (indices,))


@composite(np.take_along_axis)
def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    """np.take_along_axis: along one axis the entries that `indices` names, as argsort and argmax give them."""
    if axis is None:
        arr, axis = np.reshape(arr, -1), 0
    if indices.dtype.kind not in "iu":
        raise IndexError(f"np.take_along_axis: indices must be integers, not {indices.dtype}.")
    if arr.ndim != indices.ndim:
        raise ValueError(f"np.take_along_axis: shapes {arr.shape} and {indices.shape} must have as many axes.")
    axis = normalize_axis_index(axis, arr.ndim)
    places: list[Any] = [
        np.reshape(np.arange(n), tuple(-1 if j == i else 1 for j in range(arr.ndim))) for i, n in enumerate(arr.shape)
    ]
    places[axis] = indices
    return at(arr, tuple(places))


@composite(np.compress)
def compress(condition: Any, a: Any, axis: int | None = None, out: Any = None) -> Any:
    """np.compress: the slices along an axis where a condition holds."""
    return np.take(a, np.flatnonzero(condition), axis=axis)


@composite(np.extract)
def extract(condition: Any, arr: Any) -> Any:
    """np.extract: the entries where a condition holds, as a vector."""
    return np.take(np.ravel(arr), np.flatnonzero(condition))


@composite(np.choose)
def choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Any:
    """np.choose: from choices[k] where a is k."""
    n = len(choices)
    if mode == "raise":
        plain = a._array() if isinstance(a, Recorded) else np.asarray(a)
        if plain.size and not (plain.min() >= 0 and plain.max() < n):
            raise ValueError(f"np.choose: entries from {plain.min()} to {plain.max()} for {n} choices.")
    a = np.remainder(a, n) if mode == "wrap" else np.clip(a, 0, n - 1) if mode == "clip" else a
    result = choices[0]
    for k in range(1, n):
        result = np.where(a == k, choices[k], result)
    return np.copy(np.broadcast_to(result, np.broadcast_shapes(np.shape(a), np.shape(result))))


@composite(np.select)
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    """np.select: from the choice of the first condition that holds."""
    if len(condlist) != len(choicelist) or not condlist:
        raise ValueError(f"np.select: {len(condlist)} conditions for {len(choicelist)} choices.")
    choices = [each if type(each) in LITERALS else array(each) for each in (*choicelist, default)]
    dtype = np.result_type(*(getattr(each, "dtype", each) for each in choices))
    result = choices[-1]
    for condition, choice in zip(reversed(condlist), reversed(choices[:-1]), strict=True):
        if condition.dtype != bool:
            raise TypeError(f"np.select: a condition must be boolean, not {condition.dtype}.")
        result = np.where(condition, choice, result)
    return ASTYPE(result, dtype=dtype)


@composite(np.piecewise)
def piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Any:
    """np.piecewise: a function or a value for each condition, the last one that holds deciding."""
    conditions = condlist if isinstance(condlist, (list, tuple)) else [condlist]
    if len(conditions) and np.ndim(conditions[0]) == 0 and np.ndim(x) > 0:
        conditions = [condlist]
    conditions = [c if hasattr(c, "ndim") else np.asarray(c, bool) for c in conditions]
    if len(funclist) == len(conditions) + 1:
        conditions = [*conditions, np.logical_not(np.any(np.stack(conditions), axis=0))]
    elif len(funclist) != len(conditions):
        raise ValueError(f"np.piecewise: {len(funclist)} functions for {len(conditions)} conditions.")
    result = np.zeros_like(x)
    for condition, function in zip(conditions, funclist, strict=True):
        value = function(at(x, condition), *args, **kw) if callable(function) else function
        arrays, template = split_index(condition)
        result = SETITEM(result, value, *arrays, index=template)
    return result


COUNTS = Primitive(lambda x, minlength: np.bincount(x, minlength=minlength), arrays=1, name="bincount")


@composite(np.bincount)
def bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Any:
    """np.bincount: sums of the weights that fall on each integer."""
    places = x._array() if isinstance(x, Recorded) else np.asarray(x)
    if weights is None:
        return COUNTS(x, minlength=minlength)
    if np.shape(weights) != places.shape or places.ndim != 1:
        raise ValueError(f"np.bincount: weights of shape {np.shape(weights)} for {places.shape}.")
    size = max(minlength, int(places.max(initial=-1)) + 1)
    return SCATTER(weights.astype(np.float64, copy=False), x, index=Slot(0), shape=(size,))


@composite(np.trim_zeros)
def trim_zeros(filt: Any, trim: str = "fb", axis: Any = None) -> Any:
    """np.trim_zeros: a vector without the zeros at its ends."""
    if filt.ndim != 1 or axis not in (None, 0, -1):
        raise NotImplementedError("np.trim_zeros has a gradient for vectors; slice arrays of more axes.")
    places = np.flatnonzero(plain(filt))
    if not len(places):
        return filt[:0]
    start = int(places[0]) if "f" in trim.lower() else 0
    return filt[start : int(places[-1]) + 1 if "b" in trim.lower() else None]


nondifferentiable(
    np.nonzero, np.flatnonzero, np.argwhere, np.diag_indices_from, np.tril_indices_from, np.triu_indices_from,
)  # fmt: skip
nondifferentiable(np.digitize, arrays=2)
# functions written in C tell their signature only since NumPy 2.4
nondifferentiable(np.unravel_index, signature="indices shape order")
nondifferentiable(np.packbits, signature="a axis bitorder")
nondifferentiable(np.unpackbits, signature="a axis count bitorder")
refuse(
    np.copyto, np.put, np.place, np.putmask, np.put_along_axis, np.fill_diagonal,
    why="it writes into an array, which a history must not see. Write x[index] = value on a tensor, or np.where.",
)  # fmt: skip
