"""Sliding windows and padding.

Read next: `fft.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index
from numpy.lib.stride_tricks import sliding_window_view

from ..primitives import Primitive, composite, rule
from .cumulative import along
from .index import at


def _window_settings(ndim: int, window_shape: Any, axis: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    sizes = tuple(window_shape) if np.iterable(window_shape) else (window_shape,)
    axes = tuple(range(ndim)) if axis is None else tuple(axis) if np.iterable(axis) else (axis,)
    return sizes, tuple(each % ndim for each in axes)


def _add_windows(g: Any, shape: tuple[int, ...], sizes: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    """Add up what every window says about each entry: the transpose of taking the windows."""
    result = np.zeros(shape, g.dtype)
    for offset in np.ndindex(*sizes):
        place = [slice(None)] * len(shape)
        for axis, start in zip(axes, offset, strict=True):
            before = place[axis].start or 0
            place[axis] = slice(before + start, None)
        part = g[(..., *offset)]
        place = [slice(s.start or 0, (s.start or 0) + n) for s, n in zip(place, part.shape, strict=True)]
        result[tuple(place)] += part
    return result


ADD_WINDOWS = Primitive(
    _add_windows,
    (lambda g, y, x, shape, sizes, axes: np.lib.stride_tricks.sliding_window_view(g, sizes, axes),),
    name="add_windows",
)


def _windows(
    g: Any, y: Any, x: Any, window_shape: Any = None, axis: Any = None, subok: bool = False, writeable: bool = False
) -> Any:
    sizes, axes = _window_settings(x.ndim, window_shape, axis)
    return ADD_WINDOWS(g, shape=x.shape, sizes=sizes, axes=axes)


rule(sliding_window_view, _windows, view=True)

# ---- padding -------------------------------------------------------------------------------------------------------

PAD = Primitive(
    lambda x, widths: np.pad(x, widths),
    (lambda g, y, x, widths: g[tuple(slice(b, b + n) for (b, _), n in zip(widths, x.shape, strict=True))],),
    name="pad",
)


ROUNDED = Primitive(np.pad, arrays=1)

# NumPy's modes and the one keyword that each takes
MODES = {
    "constant": "constant_values", "edge": None, "empty": None, "wrap": None, "linear_ramp": "end_values",
    "reflect": "reflect_type", "symmetric": "reflect_type",
    "maximum": "stat_length", "mean": "stat_length", "median": "stat_length", "minimum": "stat_length",
}  # fmt: skip


@composite(np.pad)
def pad(array: Any, pad_width: Any, mode: Any = "constant", **settings: Any) -> Any:
    """np.pad in all its modes; the constants, which may be tensors, get their gradient too."""
    widths: Any = _widths(pad_width, array.ndim)
    if callable(mode):
        raise NotImplementedError(
            "np.pad with a function of your own has no gradient rule; NumPy's own modes have one."
        )
    if mode not in MODES or settings.keys() - {MODES[mode]}:
        raise ValueError(f"np.pad: mode {mode!r} with {sorted(settings)} is not supported.")
    if array.ndim == 0:
        return np.copy(array)
    if mode == "constant":
        padded = PAD(array, widths=widths)
        constants = settings.get("constant_values", 0)
        if isinstance(constants, (int, float)) and constants == 0:
            return padded
        return _with_constants(padded, array.shape, widths, constants)
    if mode == "empty":
        return PAD(array, widths=widths)
    if mode in ("edge", "wrap") or (
        mode in ("reflect", "symmetric") and settings.get("reflect_type", "even") == "even"
    ):
        padded = array.copy()
        for axis, width in enumerate(widths):
            if any(width):
                padded = np.take(padded, np.pad(np.arange(array.shape[axis]), width, mode, **settings), axis)
        return padded
    if array.dtype.kind not in "fc":  # NumPy rounds, and no gradient is asked for
        return ROUNDED(array, pad_width=widths, mode=mode, **settings)
    if mode in ("reflect", "symmetric", "linear_ramp", "mean"):
        for axis, width in enumerate(widths):
            array = _linear_pad(array, axis, width, mode, settings)
        return array
    lengths = settings.get("stat_length")
    statistic = {"maximum": np.max, "minimum": np.min, "median": np.median}[mode]
    for axis, width in enumerate(widths):
        length = None if lengths is None else np.broadcast_to(lengths, (len(widths), 2))[axis]
        array = _statistic_pad(array, axis, width, statistic, length)
    return array


def _widths(pad_width: Any, ndim: int) -> tuple[tuple[int, int], ...]:
    """For every axis how much goes before and after."""
    if isinstance(pad_width, dict):
        given = {normalize_axis_index(axis, ndim): width for axis, width in pad_width.items()}
        pad_width = [
            given.get(axis, 0) if np.ndim(given.get(axis, 0)) else (given.get(axis, 0),) * 2 for axis in range(ndim)
        ]
    pairs = np.broadcast_to(pad_width, (ndim, 2))
    if pairs.dtype.kind not in "iu":
        raise TypeError(f"np.pad: pad_width {pad_width} must be integers.")
    if (pairs < 0).any():
        raise ValueError(f"np.pad: pad_width {pad_width} must not be negative.")
    return tuple((int(before), int(after)) for before, after in pairs)


def _with_constants(padded: Any, shape: tuple[int, ...], widths: Any, constants: Any) -> Any:
    """Each padded entry takes the constant of the axis and side that NumPy writes last."""
    ndim = len(shape)
    owner = np.pad(np.full(shape, -1), widths, constant_values=np.arange(2 * ndim).reshape(ndim, 2))
    values = np.ravel(np.broadcast_to(constants, (ndim, 2)))
    return np.where(owner < 0, padded, at(values, np.maximum(owner, 0)).astype(padded.dtype))


def _linear_pad(x: Any, axis: int, width: tuple[int, int], mode: Any, settings: dict[str, Any]) -> Any:
    """A padding that is linear along an axis: as the matrix that NumPy's own padding of the unit vectors is."""
    if mode == "linear_ramp":
        ends = np.broadcast_to(np.asarray(settings.get("end_values", 0)), (x.ndim, 2))[axis]
        given: dict[str, Any] = {"end_values": ((0, 0), tuple(ends * 0.0))}
        offset = np.pad(np.zeros(x.shape[axis]), width, mode, end_values=tuple(ends))
    elif mode == "mean":
        length = settings.get("stat_length")
        given = {} if length is None else {"stat_length": ((1, 1), tuple(np.broadcast_to(length, (x.ndim, 2))[axis]))}
        offset = np.zeros(())
    else:
        given = dict(settings)
        offset = np.zeros(())
    matrix = np.pad(np.eye(x.shape[axis]), ((0, 0), width), mode, **given).astype(x.dtype)
    result = np.moveaxis(x, axis, -1) @ matrix + offset.astype(x.dtype)
    return np.moveaxis(result, -1, axis)


def _statistic_pad(x: Any, axis: int, width: tuple[int, int], statistic: Any, length: Any) -> Any:
    """The statistic of the first and of the last entries, repeated before and after."""
    n = x.shape[axis]
    before, after = (n, n) if length is None else (min(int(each), n) for each in length)
    parts = [along(x, axis, slice(0, before)), along(x, axis, slice(n - after, None))]
    values = [statistic(part, axis=axis, keepdims=True) for part in parts]
    return np.concatenate([np.repeat(values[0], width[0], axis), x, np.repeat(values[1], width[1], axis)], axis=axis)
