"""Pooling: the largest entry, or the mean, of each window of an image.

Read next: `normalization.py`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import autograd_lite as ag

from .windows import Windows, framed, spread, windows


def _geometry(who: str, x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Windows:
    """The windows of a pooling over the last two axes."""
    if x.ndim not in (3, 4):
        raise ValueError(f"{who}: images must be (N, C, H, W) or (C, H, W), not {x.shape}.")
    size = spread(who, kernel_size, 2, "kernel_size", 1)
    if any(2 * p > k for p, k in zip(spread(who, padding, 2, "padding", 0), size, strict=True)):
        raise ValueError(f"{who}: padding={padding} must be at most half of kernel_size={kernel_size}.")
    return windows(who, x.shape, size, size if stride is None or stride == () else stride, padding, dilation, ceil_mode)


# ---- the largest entry -----------------------------------------------------------------------------------------


@ag.primitive
def largest_of_windows(x: Any, where: Windows) -> Any:
    """The largest entry of each window; see `max_pool2d`."""
    padded = framed(x, where, -np.inf)
    first, *rest = where.taps()
    result = padded[first].copy()
    for tap in rest:
        np.maximum(result, padded[tap], out=result)
    return result


@ag.primitive
def places_of_largest(x: Any, y: Any, where: Windows) -> Any:
    """The number of the place, row by row, where each window's first largest entry stands."""
    padded = framed(x, where, -np.inf)
    places = np.full(y.shape, -1, np.int16 if math.prod(where.size) < 1 << 15 else np.int64)
    for k, tap in enumerate(where.taps()):
        np.copyto(places, k, where=(padded[tap] == y) & (places < 0))
    return places


@ag.primitive
def sent_to_places(g: Any, places: Any, where: Windows) -> Any:
    """Each entry of g added to the image at its window's place."""
    padded = np.zeros(g.shape[:-2] + where.padded, g.dtype)
    for k, tap in enumerate(where.taps()):
        padded[tap] += np.where(places == k, g, 0)
    return padded[where.inside()]


@ag.primitive
def taken_from_places(x: Any, places: Any, where: Windows) -> Any:
    """The entry of the image at each window's place."""
    padded = framed(x, where, 0)
    result = np.zeros(places.shape, x.dtype)
    for k, tap in enumerate(where.taps()):
        np.copyto(result, padded[tap], where=places == k)
    return result


places_of_largest.def_rule(None, None)
sent_to_places.def_rule(lambda h, y, g, places, where: taken_from_places(h, places, where=where), None)
taken_from_places.def_rule(lambda g, y, x, places, where: sent_to_places(g, places, where=where), None)
largest_of_windows.def_rule(lambda g, y, x, where: sent_to_places(g, places_of_largest(x, y, where=where), where=where))


def max_pool2d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Any:
    """The largest entry of each window of images (N, C, H, W), or of one (C, H, W).

    The stride is the window's size if not given; the padding never wins; `ceil_mode` adds windows that reach over the
    edge. At a tie the gradient goes to the first, row by row. Raises ValueError where no window fits.

    >>> import numpy as np
    >>> max_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2).tolist()
    [[[[5.0, 7.0], [13.0, 15.0]]]]
    """
    return largest_of_windows(
        input, where=_geometry("max_pool2d", input, kernel_size, stride, padding, dilation, ceil_mode)
    )


# ---- the mean --------------------------------------------------------------------------------------------------


@ag.primitive
def sum_of_windows(x: Any, where: Windows) -> Any:
    """The sum of each window."""
    padded = framed(x, where, 0)
    first, *rest = where.taps()
    result = padded[first].copy()
    for tap in rest:
        result += padded[tap]
    return result


@ag.primitive
def spread_over_windows(g: Any, where: Windows) -> Any:
    """Each entry of g added to all places of its window: the gradient of the sum."""
    padded = np.zeros(g.shape[:-2] + where.padded, g.dtype)
    for tap in where.taps():
        padded[tap] += g
    return padded[where.inside()]


sum_of_windows.def_rule(lambda g, y, x, where: spread_over_windows(g, where=where))
spread_over_windows.def_rule(lambda g, y, x, where: sum_of_windows(g, where=where))


def avg_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The mean of each window of images (N, C, H, W), or of one (C, H, W); arguments as in `max_pool2d`.

    The zeros of the padding count unless count_include_pad=False, what lies beyond it never does; `divisor_override`
    divides by that number instead.

    >>> import numpy as np
    >>> avg_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2).tolist()
    [[[[2.5, 4.5], [10.5, 12.5]]]]
    """
    where = _geometry("avg_pool2d", input, kernel_size, stride, padding, 1, ceil_mode)
    total = sum_of_windows(input, where=where)
    if divisor_override is not None:
        return total / divisor_override
    edges = spread("avg_pool2d", padding, 2, "padding", 0)
    whole = where.padded == tuple(n + 2 * p for n, p in zip(where.lengths, edges, strict=True))
    if whole and (count_include_pad or not any(edges)):
        return total / math.prod(where.size)
    return total / _entries(where, edges, count_include_pad).astype(input.dtype)


def _entries(where: Windows, edges: tuple[int, ...], count_include_pad: bool) -> Any:
    """How many entries of each window count."""
    counted = np.zeros(where.padded)
    reach = edges if count_include_pad else (0, 0)
    counted[tuple(slice(p - r, p + n + r) for p, n, r in zip(edges, where.lengths, reach, strict=True))] = 1
    return sum_of_windows(counted, where=where._replace(lengths=where.padded, before=(0, 0), after=(0, 0)))
