"""Rules of indexing: reading with any index, writing with any index, and adding at indices.

An index is split into a template, which is a setting, and the arrays in it, which are inputs like all others: so that a
mask that was computed is recorded as computed.

Read next: `selecting.py`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..primitives import Primitive
from ..recording import Recorded
from .shape import array


class Slot(NamedTuple):
    """The place of the k-th array in an index template."""

    k: int

    def __repr__(self) -> str:
        return f"index{self.k}"


def has_tensor(index: Any) -> bool:
    """Whether a tensor stands in an index."""
    return any(isinstance(each, Recorded) for each in (index if isinstance(index, tuple) else (index,)))


def split_index(index: Any) -> tuple[tuple[Any, ...], Any]:
    """The arrays of an index, and the index with `Slot`s in their places."""
    parts = index if isinstance(index, tuple) else (index,)
    arrays: list[Any] = []
    template: list[Any] = []
    for part in parts:
        if part is None or part is Ellipsis or isinstance(part, (bool, int, np.integer, slice)):
            template.append(part)
            continue
        if not isinstance(part, Recorded):
            part = np.asarray(part)
            if part.size == 0 and part.dtype.kind == "f":
                part = part.astype(np.intp)  # x[[]]
        if part.dtype.kind not in "biu":
            raise IndexError(f"an index must hold integers or booleans, not {part.dtype}.")
        template.append(Slot(len(arrays)))
        arrays.append(part)
    return tuple(arrays), tuple(template) if isinstance(index, tuple) else template[0]


def filled(index: Any, arrays: tuple[Any, ...]) -> Any:
    """The index that a template and its arrays stand for."""
    if not arrays:
        return index
    if isinstance(index, Slot):
        return arrays[0]
    return tuple(arrays[part.k] if isinstance(part, Slot) else part for part in index)


def _scatter(g: Any, *arrays: Any, index: Any, shape: Any) -> Any:
    """Zeros of `shape` with g added at the index, once for every time an entry is named."""
    result = np.zeros(shape, g.dtype)
    place = filled(index, arrays)
    if all(array.dtype == bool for array in arrays):
        result[place] = g
    else:
        np.add.at(result, place, g)
    return result


def _last_writes(*arrays: Any, index: Any, shape: Any) -> Any:
    """Where an index names an entry more than once the last write stands: 1 for those that stand, else 0."""
    place = filled(index, arrays)
    writer = np.full(shape, -1)
    numbers = np.arange(writer[place].size).reshape(writer[place].shape)
    writer[place] = numbers
    return writer[place] == numbers


def _setitem(x: Any, value: Any, *arrays: Any, index: Any) -> Any:
    result = np.array(x)  # not x.copy(), which makes no array of a gradient that is a single number
    result[filled(index, arrays)] = value
    return result


def _set_rules(g: Any, y: Any, x: Any, value: Any, *arrays: Any, index: Any) -> tuple[Any, ...]:
    rest = (None,) * len(arrays)
    kept = SETITEM(g, 0, *arrays, index=index)
    written = GETITEM(g, *arrays, index=index)
    if any(a.dtype != bool for a in arrays):
        written = np.where(LAST_WRITES(*arrays, index=index, shape=x.shape), written, 0)
    return (kept, _undo_extra_axes(written, value), *rest)


def _undo_extra_axes(written: Any, value: Any) -> Any:
    """x[i] = v lets v have extra leading axes of length 1."""
    extra = np.ndim(value) - written.ndim
    return np.reshape(written, (1,) * extra + written.shape) if extra > 0 else written


GETITEM = Primitive(
    lambda x, *arrays, index: x[filled(index, arrays)],
    joint=lambda g, y, x, *arrays, index: (
        SCATTER(g, *arrays, index=index, shape=x.shape),
        *(None for _ in arrays),
    ),
    name="getitem",
    view=True,
    variadic=True,
)
SCATTER: Primitive = Primitive(
    _scatter,
    joint=lambda g, y, x, *arrays, index, shape: (GETITEM(g, *arrays, index=index), *(None for _ in arrays)),
    name="scatter",
    variadic=True,
)
LAST_WRITES = Primitive(_last_writes, name="last_writes", variadic=True)  # an operation, since indices may be inputs
SETITEM = Primitive(_setitem, joint=_set_rules, name="setitem", variadic=True)


def getitem(x: Any, index: Any) -> Any:
    """x[index], recorded."""
    arrays, template = split_index(index)
    return x._apply(GETITEM, (x, *arrays), {"index": template})


def at(x: Any, index: Any) -> Any:
    """x[index] for tensors and arrays alike, tensors allowed in the index."""
    arrays, template = split_index(index)
    return GETITEM(array(x), *arrays, index=template)
