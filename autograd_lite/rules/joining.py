"""Joining and splitting: concatenate has the rule, the rest is made of it and of slices.

The parts of a split are slices, so they are views: writing to one reaches the whole, as in NumPy.

Read next: `index.py`.
"""

from __future__ import annotations

import operator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ..primitives import composite, rule
from .shape import ASTYPE, array


def _concatenate(g: Any, y: Any, *arrays: Any, axis: int | None = 0) -> tuple[Any, ...]:
    """Each input's own part of the gradient."""
    if axis is None:
        ends = np.cumsum([a.size for a in arrays])
        return tuple(np.reshape(g[end - a.size : end], a.shape) for a, end in zip(arrays, ends, strict=True))
    ends = np.cumsum([a.shape[axis] for a in arrays])
    lead = (slice(None),) * (axis % g.ndim)
    return tuple(g[(*lead, slice(end - a.shape[axis], end))] for a, end in zip(arrays, ends, strict=True))


rule(np.concatenate, joint=_concatenate, sequence=True, arrays=1, signature="arrays axis out dtype casting")


def _shaped(arrays: Any) -> list[Any]:
    """The arrays of a list, numbers and nested lists among them made arrays."""
    return [array(a) for a in arrays]


@composite(np.stack)
def stack(arrays: Any, axis: int = 0, out: Any = None, *, dtype: Any = None, casting: Any = "same_kind") -> Any:
    """np.stack: join along a new axis."""
    arrays = _shaped(arrays)
    if len({a.shape for a in arrays}) != 1:
        raise ValueError(f"np.stack: all arrays must have one shape, got {', '.join(str(a.shape) for a in arrays)}.")
    return np.concatenate([np.expand_dims(a, axis) for a in arrays], axis=axis, dtype=dtype, casting=casting)


def _joined(atleast: Any, axis: int) -> Any:
    """np.vstack and its kin: each array with enough axes, then joined."""

    def body(tup: Any, *, dtype: Any = None, casting: Any = "same_kind") -> Any:
        return np.concatenate([atleast(a) for a in tup], axis=axis, dtype=dtype, casting=casting)

    return body


composite(np.vstack)(_joined(np.atleast_2d, 0))
composite(np.dstack)(_joined(np.atleast_3d, 2))


@composite(np.hstack)
def hstack(tup: Any, *, dtype: Any = None, casting: Any = "same_kind") -> Any:
    """np.hstack: join along the second axis, vectors along their only one."""
    arrays = [np.atleast_1d(a) for a in tup]
    return np.concatenate(arrays, axis=0 if arrays and arrays[0].ndim == 1 else 1, dtype=dtype, casting=casting)


@composite(np.column_stack)
def column_stack(tup: Any) -> Any:
    """np.column_stack: vectors become columns, and all are joined along the second axis."""
    arrays = _shaped(tup)
    return np.concatenate([a if a.ndim >= 2 else np.reshape(a, (-1, 1)) for a in arrays], axis=1)


@composite(np.block)
def block(arrays: Any) -> Any:
    """np.block: a nested list of blocks, the innermost lists joined along the last axis."""
    depths = set(_depths(arrays, 0))
    if len(depths) != 1:
        raise ValueError(f"np.block: lists are nested to different depths: {sorted(depths)}.")
    depth = depths.pop()
    ndim = max(depth, *(np.ndim(leaf) for leaf in _leaves(arrays)))

    def join(part: Any, level: int) -> Any:
        if isinstance(part, list):
            return np.concatenate([join(each, level + 1) for each in part], axis=level - depth)
        x = array(part)
        return np.reshape(x, (1,) * (ndim - x.ndim) + x.shape)

    result = join(arrays, 0)
    return np.copy(result) if depth == 0 else result


def _depths(part: Any, level: int) -> list[int]:
    if isinstance(part, tuple):
        raise TypeError("np.block: use lists, not tuples.")
    if not isinstance(part, list):
        return [level]
    if not part:
        raise ValueError("np.block: lists must not be empty.")
    return [depth for each in part for depth in _depths(each, level + 1)]


def _leaves(part: Any) -> list[Any]:
    return [leaf for each in part for leaf in _leaves(each)] if isinstance(part, list) else [part]


@composite(np.append)
def append(arr: Any, values: Any, axis: int | None = None) -> Any:
    """np.append: values joined to the end."""
    arr, values = _shaped((arr, values))
    if axis is None:
        return np.concatenate([np.ravel(arr), np.ravel(values)])
    return np.concatenate([arr, values], axis=axis)


@composite(np.insert)
def insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Any:
    """np.insert: values put in before the given places."""
    arr, values = _shaped((arr, values))
    if axis is None:
        arr, axis = np.ravel(arr), 0
    count = arr.shape[normalize_axis_index(axis, arr.ndim)]
    if not isinstance(obj, slice):
        obj = np.asarray(obj)
        obj = obj.astype(np.intp) if not obj.size else obj
    places = np.arange(count)[obj] if isinstance(obj, slice) else np.flatnonzero(obj) if obj.dtype == bool else obj
    values = np.reshape(values, (1,) * (arr.ndim - values.ndim) + values.shape)
    if np.size(places) == 1 and np.ndim(obj if not isinstance(obj, slice) else places) == 0:
        values = np.moveaxis(values, 0, axis)
    new = values.shape[axis] if np.size(places) == 1 else np.size(places)
    shape = tuple(new if i == axis % arr.ndim else n for i, n in enumerate(arr.shape))
    values = ASTYPE(np.broadcast_to(values, shape), dtype=arr.dtype)
    order = np.insert(np.arange(count), obj, count + np.arange(new))
    return np.take(np.concatenate([arr, values], axis=axis), order, axis=axis)


@composite(np.delete)
def delete(arr: Any, obj: Any, axis: int | None = None) -> Any:
    """np.delete: all entries but the given ones."""
    if axis is None:
        arr, axis = np.ravel(arr), 0
    return np.take(arr, np.delete(np.arange(arr.shape[normalize_axis_index(axis, arr.ndim)]), obj), axis=axis)


# ---- splitting -----------------------------------------------------------------------------------------------------


def _parts(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """np.array_split: parts along an axis, in number or up to given places."""
    if not -ary.ndim <= axis < ary.ndim:
        raise np.exceptions.AxisError(axis, ary.ndim, "np.array_split")
    length = ary.shape[axis]
    if np.ndim(indices_or_sections) == 0:
        sections = operator.index(indices_or_sections)
        if sections <= 0:
            raise ValueError(f"np.array_split: {sections} sections.")
        each, larger = divmod(length, sections)
        places = [0, *np.cumsum([each + 1] * larger + [each] * (sections - larger)).tolist()]
        pairs = list(pairwise(places))
    else:
        cuts = [operator.index(place) for place in indices_or_sections]
        pairs = list(zip([0, *cuts], [*cuts, length], strict=True))
    lead = (slice(None),) * (axis % ary.ndim)
    return [ary[(*lead, slice(start, stop))] for start, stop in pairs]


composite(np.array_split)(_parts)


@composite(np.split)
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """np.split: equal parts along an axis, or parts up to given places."""
    if np.ndim(indices_or_sections) == 0 and ary.shape[axis] % operator.index(indices_or_sections):
        raise ValueError(
            f"np.split: axis {axis} of shape {ary.shape} does not divide into {indices_or_sections} equal parts; "
            "np.array_split takes unequal ones."
        )
    return _parts(ary, indices_or_sections, axis)


def _split_along(axis: int, ndim: int, name: str) -> Any:
    def body(ary: Any, indices_or_sections: Any) -> list[Any]:
        if ary.ndim < ndim:
            raise ValueError(f"{name} needs at least {ndim} axes, got shape {ary.shape}.")
        return np.split(ary, indices_or_sections, 0 if axis == 1 and ary.ndim == 1 else axis)

    return body


composite(np.vsplit)(_split_along(0, 2, "np.vsplit"))
composite(np.hsplit)(_split_along(1, 1, "np.hsplit"))
composite(np.dsplit)(_split_along(2, 3, "np.dsplit"))

if hasattr(np, "unstack"):  # NumPy 2.1

    @composite(np.unstack)
    def unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
        """np.unstack: the slices along an axis."""
        if x.ndim == 0:
            raise ValueError("np.unstack of an array without axes.")
        return tuple(np.moveaxis(x, axis, 0))
