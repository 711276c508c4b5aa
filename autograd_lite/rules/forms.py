"""The forms of a ufunc: np.hypot.reduce and np.hypot.accumulate are the compositions that they look like.

Where a form has a name of its own (np.add.reduce is np.sum) it is that function.

Read next: `cumulative.py`.
"""

from __future__ import annotations

import operator
from functools import partial
from typing import Any

import numpy as np

from .reduce import axes_of, kept, reduced_last


def _steps(ufunc: Any, slices: Any, first: Any) -> list[Any]:
    """A ufunc of the first two slices, of that and the third, and so on; from a first value, if there is one."""
    found: list[Any] = [] if first is None else [first + np.zeros_like(slices, shape=slices.shape[1:])]
    for k in range(len(slices)):
        found.append(ufunc(found[-1], slices[k]) if found else slices[k])
    return found


def _slices(ufunc: Any, x: Any, axis: Any, dtype: Any) -> Any:
    """What a ufunc goes through, along the first axis."""
    if x.ndim == 0:
        raise TypeError(f"np.{ufunc.__name__}: a scalar has nothing to go through.")
    if ufunc.identity is None and len(axes_of(axis, x.ndim)) != 1:
        raise ValueError(f"np.{ufunc.__name__} goes along one axis at a time, not along {axis}.")
    return np.moveaxis(reduced_last(x if dtype is None else x.astype(dtype), axis), -1, 0)


def reduced(
    ufunc: Any, x: Any, axis: Any = 0, dtype: Any = None, keepdims: bool = False, initial: Any = None, where: Any = True
) -> Any:
    """ufunc.reduce, as the composition that it is."""
    if where is not True:
        raise NotImplementedError(f"np.{ufunc.__name__}.reduce(where=...) has no gradient rule: select with np.where.")
    slices = _slices(ufunc, x, axis, dtype)
    if not len(slices) and initial is None:
        initial = ufunc.identity
        if initial is None:
            raise ValueError(f"np.{ufunc.__name__}.reduce of shape {x.shape} along axis {axis}: there is no identity.")
    result = _steps(ufunc, slices, initial)[-1]
    return kept(result, x.shape, axis) if keepdims else result


def accumulated(ufunc: Any, x: Any, axis: int = 0, dtype: Any = None) -> Any:
    """ufunc.accumulate, as the composition that it is."""
    slices = _slices(ufunc, x, operator.index(axis), dtype)
    return np.stack(_steps(ufunc, slices, None), axis=axis) if len(slices) else x


def _cast(function: Any) -> Any:
    """A function that has no dtype= of its own, given one."""
    return lambda x, dtype=None, **settings: function(x if dtype is None else x.astype(dtype), **settings)


# the forms of ufuncs that are functions of their own
FORMS: dict[str, dict[Any, Any]] = {
    "reduce": {
        np.add: np.sum, np.multiply: np.prod, np.maximum: _cast(np.max), np.minimum: _cast(np.min),
        np.fmax: _cast(np.nanmax), np.fmin: _cast(np.nanmin), np.logical_and: np.all, np.logical_or: np.any,
    },
    "accumulate": {np.add: np.cumsum, np.multiply: np.cumprod},
}  # fmt: skip


def form(ufunc: Any, method: str) -> Any:
    """The function that a ufunc's reduce or accumulate is; None for its other forms."""
    others = {"reduce": reduced, "accumulate": accumulated}
    if method not in others or ufunc.nin != 2 or ufunc.nout != 1 or ufunc.signature is not None:
        return None
    return FORMS[method].get(ufunc) or partial(others[method], ufunc)
