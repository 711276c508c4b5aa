"""Rules of the functions that arrange entries anew without changing them: reshape, transpose, repeat, flip.

Those whose result shares memory with the input are `view=True`: writing through it reaches the input.

Read next: `joining.py`.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..primitives import PRIMITIVES, Primitive, composite, rule
from ..recording import Recorded, thread
from ..trees import flatten

ASTYPE = Primitive(lambda x, dtype: x.astype(dtype), (lambda g, y, x, dtype: g,), name="astype")
COPY = Primitive(lambda x: x.copy(), (lambda g, y, x: g,), name="copy")
DETACH = Primitive(lambda x: x, (None,), name="detach")


def array(x: Any) -> Any:
    """A tensor or an array as it is, a list that holds tensors stacked, anything else as an array."""
    if hasattr(x, "ndim"):
        return x
    if isinstance(x, (list, tuple)) and any(isinstance(leaf, Recorded) for leaf in flatten(x)[0]):
        return np.stack([array(each) for each in x])
    return np.asarray(x)


def inexact(x: Any) -> Any:
    """x, whole numbers made float64."""
    return x if x.dtype.kind in "fc" else x.astype(np.float64)


def plain(x: Any) -> Any:
    """The values of a tensor as an array, which a trace does not allow, for it would freeze them."""
    if isinstance(x, (list, tuple)):
        return type(x)(map(plain, x))
    return np.asarray(x.detach()) if hasattr(x, "detach") else x


# ---- one shape for another -----------------------------------------------------------------------------------------


class Ordered(Primitive):
    """A function that reads its entries in rows or in columns: in the order of memory it is a composition."""

    def fits(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether the order is one that the values alone decide."""
        place = len(self.names) - 1
        if not kwargs and len(args) == place:
            return True
        order = kwargs.get("order", args[place] if len(args) > place else "C")
        return order in ("C", "F") and "copy" not in kwargs and super().fits(args, kwargs)


PRIMITIVES[np.reshape] = Ordered(
    np.reshape,
    (lambda g, y, x, shape=None, order="C": np.reshape(g, x.shape, order=order),),
    view=True,
    signature="a shape order",  # NumPy 2.0 calls the shape newshape, and takes it by position alone
    forward=lambda a, shape, order="C": a.reshape(shape, order=order),
)
PRIMITIVES[np.ravel] = Ordered(
    np.ravel, (lambda g, y, x, order="C": np.reshape(g, x.shape, order=order),), view=True, signature="a order"
)


def _memory(x: Any, order: str, who: str) -> Any:
    """The array behind a tensor, to see how it lies in memory, which a trace does not fix."""
    if thread.mode.tracing:
        raise TypeError(f"{who}(order={order!r}) while tracing: how an array lies in memory is no part of a program.")
    return x._array()


@composite(np.reshape)
def reshape(a: Any, shape: Any, order: str = "C", *, copy: bool | None = None) -> Any:
    """np.reshape in the order of memory, or with a copy."""
    if order == "A":
        order = "F" if _memory(a, order, "np.reshape").flags.fnc else "C"
    if order not in ("C", "F"):
        raise ValueError(f"np.reshape: order is 'C', 'F' or 'A', not {order!r}.")
    result = np.reshape(a, shape, order=order)  # type: ignore[call-overload]  # the order is one of the two
    if copy is False and not np.shares_memory(a, result):
        raise ValueError(f"np.reshape of {a.shape} to {result.shape} with copy=False: it needs a copy.")
    return np.copy(result) if copy else result


@composite(np.ravel)
def ravel(a: Any, order: str = "C") -> Any:
    """np.ravel in the order of memory."""
    if order == "A":
        return np.reshape(a, -1, order="A")
    if order != "K":
        raise ValueError(f"np.ravel: order is 'C', 'F', 'A' or 'K', not {order!r}.")
    strides = _memory(a, order, "np.ravel").strides
    return np.reshape(np.transpose(a, sorted(range(a.ndim), key=lambda axis: -abs(strides[axis]))), -1)


rule(np.expand_dims, lambda g, y, x, axis: np.reshape(g, x.shape), view=True)
rule(np.squeeze, lambda g, y, x, axis=None: np.reshape(g, x.shape), view=True)
rule(np.broadcast_to, lambda g, y, x, shape=None: g, view=True)
composite(np.copy)(lambda a, order="K", subok=False: COPY(a))


@composite(np.astype)
def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    """np.astype: the same values in another dtype."""
    return x.astype(dtype, copy=copy)


def _at_least(x: Any, ndim: int) -> Any:
    """x with axes of length 1 where np.atleast_1d, 2d and 3d put them."""
    if x.ndim >= ndim:
        return x
    if ndim == 3 and x.ndim:
        return np.reshape(x, (1, *x.shape, 1) if x.ndim == 1 else (*x.shape, 1))
    return np.reshape(x, (1,) * (ndim - x.ndim) + x.shape)


def _each(ndim: int) -> Any:
    def body(*arys: Any) -> Any:
        results = tuple(_at_least(array(x), ndim) for x in arys)
        return results[0] if len(results) == 1 else results

    return body


composite(np.atleast_1d)(_each(1))
composite(np.atleast_2d)(_each(2))
composite(np.atleast_3d)(_each(3))


@composite(np.broadcast_arrays)
def broadcast_arrays(*args: Any, subok: bool = False) -> tuple[Any, ...]:
    """np.broadcast_arrays: every array in their common shape."""
    shape = np.broadcast_shapes(*(np.shape(a) for a in args))
    return tuple(np.broadcast_to(a, shape) for a in args)


@composite(np.meshgrid)
def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> tuple[Any, ...]:
    """np.meshgrid: coordinate arrays of a grid."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"np.meshgrid: indexing is 'xy' or 'ij', not {indexing!r}.")
    n = len(xi)
    grids = [np.reshape(x, tuple(-1 if j == i else 1 for j in range(n))) for i, x in enumerate(xi)]
    if indexing == "xy" and n > 1:
        grids = [np.swapaxes(grid, 0, 1) for grid in grids]
    if not sparse:
        shape = np.broadcast_shapes(*(grid.shape for grid in grids))
        grids = [np.broadcast_to(grid, shape) for grid in grids]
    return tuple(np.copy(grid) if copy else grid for grid in grids)


# ---- axes in another order -----------------------------------------------------------------------------------------

rule(
    np.transpose,
    lambda g, y, x, axes=None: np.transpose(g, None if axes is None else tuple(np.argsort([a % x.ndim for a in axes]))),
    view=True,
)
rule(np.swapaxes, lambda g, y, x, axis1, axis2: np.swapaxes(g, axis1, axis2), view=True)
rule(np.moveaxis, lambda g, y, x, source, destination: np.moveaxis(g, destination, source), view=True)


@composite(np.rollaxis)
def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    """np.rollaxis: one axis moved before another."""
    axis = axis + a.ndim if axis < 0 else axis
    start = start + a.ndim if start < 0 else start
    if not (0 <= axis < a.ndim and 0 <= start <= a.ndim):
        raise np.exceptions.AxisError(f"np.rollaxis: axis {axis} and start {start} for {a.ndim} axes.")
    return np.moveaxis(a, axis, start - 1 if axis < start else start)


@composite(np.matrix_transpose, np.linalg.matrix_transpose)
def matrix_transpose(x: Any, /) -> Any:
    """np.matrix_transpose: the last two axes exchanged."""
    if x.ndim < 2:
        raise ValueError(f"np.matrix_transpose needs at least two axes, got shape {x.shape}.")
    return np.swapaxes(x, -1, -2)


@composite(np.flip)
def flip(m: Any, axis: Any = None) -> Any:
    """np.flip: entries in reverse order along axes; a view, as in NumPy."""
    chosen = range(m.ndim) if axis is None else normalize_axis_tuple(axis, m.ndim)
    return m[tuple(slice(None, None, -1) if i in chosen else slice(None) for i in range(m.ndim))]


def _flip_needing(ndim: int, axis: int, name: str) -> Any:
    def body(m: Any) -> Any:
        if m.ndim < ndim:
            raise ValueError(f"{name} needs at least {ndim} axes, got shape {m.shape}.")
        return np.flip(m, axis)

    return body


composite(np.fliplr)(_flip_needing(2, 1, "np.fliplr"))
composite(np.flipud)(_flip_needing(1, 0, "np.flipud"))


@composite(np.rot90)
def rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    """np.rot90: quarter turns in the plane of two axes."""
    first, second = axes
    if len(axes) != 2 or first % m.ndim == second % m.ndim or max(abs(first), abs(second)) > m.ndim:
        raise ValueError(f"np.rot90: axes {axes} are not two different axes of shape {m.shape}.")
    if k % 4 == 0:
        return m
    if k % 4 == 1:
        return np.swapaxes(np.flip(m, second), first, second)
    if k % 4 == 2:
        return np.flip(m, (first, second))
    return np.flip(np.swapaxes(m, first, second), second)


def _negative(shift: Any) -> Any:
    return tuple(-each for each in shift) if isinstance(shift, (tuple, list)) else -shift


rule(np.roll, lambda g, y, x, shift=None, axis=None: np.roll(g, _negative(shift), axis))

# ---- repetition ----------------------------------------------------------------------------------------------------


@composite(np.tile)
def tile(A: Any, reps: Any) -> Any:  # NumPy's own name, which may be passed by keyword
    """np.tile: the whole array again and again along each axis."""
    reps = tuple(reps) if np.ndim(reps) else (reps,)
    reps = tuple(operator.index(each) for each in reps)
    shape = (1,) * (len(reps) - A.ndim) + A.shape
    reps = (1,) * (A.ndim - len(reps)) + reps
    x = np.reshape(A, tuple(n for each in shape for n in (1, each)))
    x = np.broadcast_to(x, tuple(n for pair in zip(reps, shape, strict=True) for n in pair))
    return np.copy(np.reshape(x, tuple(r * n for r, n in zip(reps, shape, strict=True))))


@composite(np.repeat)
def repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    """np.repeat: each entry again and again."""
    if axis is None:
        a, axis = np.ravel(a), 0
    if a.ndim == 0:
        a = np.reshape(a, (1,))
    if not -a.ndim <= axis < a.ndim:
        raise np.exceptions.AxisError(axis, a.ndim, "np.repeat")
    axis %= a.ndim
    repeats = np.asarray(repeats)
    if repeats.size != 1:
        return np.take(a, np.repeat(np.arange(a.shape[axis]), repeats), axis=axis)
    count = operator.index(repeats.item())
    if count < 0:
        raise ValueError(f"np.repeat: {count} repeats.")
    wide = np.broadcast_to(np.expand_dims(a, axis + 1), (*a.shape[: axis + 1], count, *a.shape[axis + 1 :]))
    result = np.reshape(wide, (*a.shape[:axis], a.shape[axis] * count, *a.shape[axis + 1 :]))
    return np.copy(result) if 1 in (count, a.shape[axis]) else result  # else the reshape has copied


@composite(np.resize)
def resize(a: Any, new_shape: Any) -> Any:
    """np.resize: the entries in order, again from the start where they run out."""
    shape = (new_shape,) if isinstance(new_shape, (int, np.integer)) else tuple(new_shape)
    if any(n < 0 for n in shape):
        raise ValueError(f"np.resize: shape {shape} has a negative length.")
    if a.size == 0:
        return np.zeros_like(a, shape=shape)
    return np.take(np.ravel(a), np.resize(np.arange(a.size), shape))
