"""Interpolation, ranges, polynomials, covariances, and functions applied along axes: compositions, all of them.

Read next: `questions.py`.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..primitives import composite
from .complex import conjugated
from .index import at
from .shape import ASTYPE, array, inexact, plain


@composite(np.interp)
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: float | None = None) -> Any:
    """np.interp, differentiable in the places, the data's places and the data; at a kink the slope to the right."""
    x, xp = (ASTYPE(array(each), dtype=np.dtype(float)) for each in (x, xp))
    fp = array(fp)
    fp = ASTYPE(fp, dtype=np.result_type(fp.dtype, np.float64))
    if xp.ndim != 1 or xp.shape != fp.shape or not xp.size:
        raise ValueError(f"np.interp: data of shapes {xp.shape} and {fp.shape} must be two vectors of one length.")
    if period is not None:
        period = abs(period)
        x, xp = np.remainder(x, period), np.remainder(xp, period)
        order = np.argsort(xp)
        xp, fp = at(xp, order), at(fp, order)
        xp = np.concatenate([xp[-1:] - period, xp, xp[:1] + period])
        fp = np.concatenate([fp[-1:], fp, fp[:1]])
        left = right = None
    low = np.clip(np.searchsorted(xp, x, side="right") - 1, 0, max(xp.size - 2, 0))
    high = np.minimum(low + 1, xp.size - 1)
    start, width = at(xp, low), at(xp, high) - at(xp, low)
    part = np.where(width == 0, 0, (x - start) / np.where(width == 0, 1, width))
    inside = at(fp, low) + part * (at(fp, high) - at(fp, low))
    below = fp[0] if left is None else left
    above = fp[-1] if right is None else right
    return np.where(x < xp[0], below, np.where(x > xp[-1], above, inside))


# ---- ranges --------------------------------------------------------------------------------------------------------


@composite(np.linspace)
def linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None,
    axis: int = 0, *, device: Any = None,
) -> Any:  # fmt: skip
    """np.linspace: evenly spaced values, differentiable in both ends."""
    num = operator.index(num)
    parts = num - 1 if endpoint else num
    if num < 0:
        raise ValueError(f"np.linspace: {num} values.")
    shape = np.broadcast_shapes(np.shape(start), np.shape(stop))
    kind = np.result_type(start, stop, float(num))
    place = np.reshape(np.arange(num) / max(parts, 1), (num,) + (1,) * len(shape)).astype(kind)
    result = start * (1 - place) + stop * place
    if dtype is not None:
        result = ASTYPE(result, dtype=np.dtype(dtype))
    result = np.moveaxis(result, 0, axis)
    return (result, (stop - start) / parts if parts else np.nan) if retstep else result


@composite(np.logspace)
def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None, axis: int = 0
) -> Any:
    """np.logspace: powers of a base, evenly spaced in the exponent."""
    powers = np.power(base, linspace(start, stop, num, endpoint, axis=0))
    return np.moveaxis(powers if dtype is None else ASTYPE(powers, dtype=np.dtype(dtype)), 0, axis)


@composite(np.geomspace)
def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Any:
    """np.geomspace: values in a constant ratio."""
    result = start * np.power(
        stop / start, linspace(0.0, np.ones(np.broadcast_shapes(np.shape(start), np.shape(stop))), num, endpoint)
    )
    return np.moveaxis(result if dtype is None else ASTYPE(result, dtype=np.dtype(dtype)), 0, axis)


@composite(np.full_like)
def full_like(
    a: Any,
    fill_value: Any,
    dtype: Any = None,
    order: str = "K",
    subok: bool = True,
    shape: Any = None,
    *,
    device: Any = None,
) -> Any:
    """np.full_like: one value, which keeps its gradient, in the shape of another array."""
    result = np.zeros_like(a, dtype=dtype, shape=shape)
    return ASTYPE(result + fill_value, dtype=result.dtype)


# ---- polynomials, highest power first ------------------------------------------------------------------------------


@composite(np.polyval)
def polyval(p: Any, x: Any) -> Any:
    """np.polyval: Horner's scheme."""
    p, x = (array(each) for each in (p, x))
    result = 0 * x
    for k in range(p.shape[0]):
        result = result * x + p[k]
    return result


def _longer(p: Any, n: int) -> Any:
    return np.concatenate([np.zeros(n - len(p), p.dtype), p]) if len(p) < n else p


def _coefficients(*polynomials: Any) -> list[Any]:
    each = [np.atleast_1d(p) for p in polynomials]
    return [_longer(p, max(len(q) for q in each)) for p in each]


composite(np.polyadd)(lambda a1, a2: np.add(*_coefficients(a1, a2)))
composite(np.polysub)(lambda a1, a2: np.subtract(*_coefficients(a1, a2)))


def _trimmed(p: Any) -> Any:
    return np.trim_zeros(np.atleast_1d(p), "f")


composite(np.polymul)(lambda a1, a2: np.convolve(_trimmed(a1), _trimmed(a2)))


@composite(np.polyder)
def polyder(p: Any, m: int = 1) -> Any:
    """np.polyder: the coefficients of the m-th derivative."""
    if m < 0:
        raise ValueError(f"np.polyder: the order m is not negative, got {m}.")
    for _ in range(m):
        p = p[:-1] * np.arange(len(p) - 1, 0, -1)
    return p


@composite(np.polyint)
def polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    """np.polyint: the coefficients of the m-th integral, with the constants of integration k."""
    constants = np.zeros(m) if k is None else np.broadcast_to(k, (m,))
    for i in range(m):
        p = np.concatenate([p / np.arange(len(p), 0, -1), np.reshape(constants[i], (1,))])
    return p


@composite(np.poly)
def poly(seq_of_zeros: Any) -> Any:
    """np.poly: the coefficients of the polynomial with given zeros, or of a matrix' characteristic polynomial."""
    zeros = inexact(np.linalg.eigvals(seq_of_zeros) if seq_of_zeros.ndim == 2 else seq_of_zeros)
    result = np.ones(1, zeros.dtype)
    for k in range(len(zeros)):
        result = np.convolve(result, np.stack([np.ones((), zeros.dtype), -zeros[k]]))
    return np.real(result) if seq_of_zeros.dtype.kind != "c" or _paired(plain(zeros)) else result


def _paired(zeros: Any) -> bool:
    """Whether zeros come with their conjugates, so that the coefficients are real."""
    return bool(np.all(np.sort(zeros) == np.sort(zeros.conjugate())))


@composite(np.polyfit)
def polyfit(x: Any, y: Any, deg: int, rcond: Any = None, full: bool = False, w: Any = None, cov: bool = False) -> Any:
    """np.polyfit: the coefficients of the best polynomial, by least squares."""
    if full or cov:
        raise NotImplementedError("np.polyfit(full=, cov=) has no gradient rule; the coefficients alone have one.")
    x, y = (each if hasattr(each, "ndim") else np.asarray(each, float) for each in (x, y))
    matrix = np.vander(x, deg + 1)
    if w is not None:
        matrix = matrix * np.expand_dims(w, -1)
        y = y * (np.expand_dims(w, -1) if y.ndim == 2 else w)
    scale = np.sqrt(np.sum(matrix * matrix, axis=0))
    found = np.linalg.pinv(matrix / scale, rcond=len(x) * np.finfo(float).eps if rcond is None else rcond) @ y
    return found / (np.expand_dims(scale, -1) if y.ndim == 2 else scale)


# ---- covariances ---------------------------------------------------------------------------------------------------


@composite(np.cov)
def cov(
    m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None, fweights: Any = None,
    aweights: Any = None, *, dtype: Any = None,
) -> Any:  # fmt: skip
    """np.cov: the covariance matrix of variables in rows."""

    def rows(each: Any) -> Any:
        each = np.atleast_2d(each)
        return np.transpose(each) if not rowvar and each.shape[0] != 1 else each

    x = rows(m) if y is None else np.concatenate([rows(m), rows(y)])
    x = ASTYPE(x, dtype=np.result_type(x.dtype, np.float64) if dtype is None else np.dtype(dtype))
    ddof = (0 if bias else 1) if ddof is None else ddof
    w = fweights if aweights is None else aweights if fweights is None else fweights * aweights
    weights = np.ones(x.shape[1]) if w is None else w
    total = np.sum(weights)
    centred = x - np.expand_dims(np.sum(x * weights, axis=1) / total, 1)
    lost = ddof if aweights is None else ddof * np.sum(weights * aweights) / total
    return np.squeeze((centred * weights) @ conjugated(np.transpose(centred)) / (total - lost))


@composite(np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    """np.corrcoef: the covariances over the standard deviations."""
    c = cov(x, y, rowvar, dtype=dtype)
    if c.ndim == 0:
        return c / c
    deviations = np.sqrt(np.real(np.diagonal(c)))
    return c / np.expand_dims(deviations, 1) / np.expand_dims(deviations, 0)


# ---- along axes ----------------------------------------------------------------------------------------------------


@composite(np.apply_along_axis)
def apply_along_axis(func1d: Any, axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    """np.apply_along_axis: a function of vectors on every vector along an axis; its result takes the axis' place."""
    moved = np.moveaxis(arr, axis, -1)
    others = moved.shape[:-1]
    parts = [func1d(moved[index], *args, **kwargs) for index in np.ndindex(*others)]
    parts = [array(part) for part in parts]
    result = np.reshape(np.stack(parts), others + parts[0].shape)
    n = len(others)
    place = axis % arr.ndim
    order = (*range(place), *range(n, result.ndim), *range(place, n))
    return np.transpose(result, order)


@composite(np.apply_over_axes)
def apply_over_axes(func: Any, a: Any, axes: Any) -> Any:
    """np.apply_over_axes: a reduction over one axis after another, the axes kept."""
    for axis in axes if np.iterable(axes) else (axes,):
        result = func(a, axis)
        a = result if result.ndim == a.ndim else np.expand_dims(result, axis)
    return a
