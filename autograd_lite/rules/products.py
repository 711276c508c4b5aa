"""Rules of the products of vectors, matrices and tensors.

For complex numbers a product's rule is plain, without conjugation (`complex.py`); vdot, vecdot and vecmat conjugate
their first factor, and say so.

Read next: `einsums.py`, `linalg.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..primitives import Primitive, composite, rule
from .complex import conjugated
from .shape import array


def _transposed(x: Any) -> Any:
    return x.T if x.ndim == 2 else np.swapaxes(x, -1, -2)


def product(a: Any, b: Any) -> Any:
    """a @ b; for two matrices by np.dot, which is the same product and up to five times as fast for thin ones."""
    return np.dot(a, b) if a.ndim == 2 and b.ndim == 2 else a @ b


def _matmul_left(g: Any, y: Any, a: Any, b: Any) -> Any:
    """g b^T; a vector counts as the matrix it is multiplied as."""
    if b.ndim == 1:
        return g * b if a.ndim == 1 else np.expand_dims(g, -1) * b
    if a.ndim == 1:
        return np.squeeze(b @ np.expand_dims(g, -1), -1)
    return product(g, _transposed(b))


def _matmul_right(g: Any, y: Any, a: Any, b: Any) -> Any:
    """a^T g; a vector counts as the matrix it is multiplied as."""
    if a.ndim == 1:
        return g * a if b.ndim == 1 else np.expand_dims(a, -1) * np.expand_dims(g, -2)
    if b.ndim == 1:
        return np.squeeze(_transposed(a) @ np.expand_dims(g, -1), -1)
    return product(_transposed(a), g)


rule(np.matmul, _matmul_left, _matmul_right, forward=product)


def _dot_left(g: Any, y: Any, a: Any, b: Any) -> Any:
    """As matmul for vectors and matrices; else the last axis of a against the last but one of b."""
    if a.ndim == 0 or np.ndim(b) == 0:
        return g * b
    if b.ndim <= 2:
        return _matmul_left(g, y, a, b)
    rest = tuple(range(b.ndim - 2)) + (b.ndim - 1,)
    return np.tensordot(g, b, (tuple(range(a.ndim - 1, y.ndim)), rest))


def _dot_right(g: Any, y: Any, a: Any, b: Any) -> Any:
    """As matmul for vectors and matrices; else the last axis of a against the last but one of b."""
    if np.ndim(a) == 0 or b.ndim == 0:
        return g * a
    if b.ndim <= 2 and a.ndim <= 2:
        return _matmul_right(g, y, a, b)
    lead = tuple(range(a.ndim - 1))
    product = np.tensordot(a, g, (lead, lead))
    return product if b.ndim == 1 else np.moveaxis(product, 0, -2)


rule(np.dot, _dot_left, _dot_right, signature="a b out")
rule(
    np.outer,
    lambda g, y, a, b: np.reshape(g @ np.ravel(b), a.shape),
    lambda g, y, a, b: np.reshape(np.ravel(a) @ g, b.shape),
)


def _axes(axes: Any, a: Any, b: Any) -> tuple[list[int], list[int]]:
    if isinstance(axes, (int, np.integer)):
        return list(range(a.ndim - int(axes), a.ndim)), list(range(int(axes)))
    first, second = ([each] if isinstance(each, (int, np.integer)) else list(each) for each in axes)
    return [each % a.ndim for each in first], [each % b.ndim for each in second]


def _tensordot_left(g: Any, y: Any, a: Any, b: Any, axes: Any = 2) -> Any:
    """Contract g with b over b's free axes, and put the axes back in a's order."""
    summed_a, summed_b = _axes(axes, a, b)
    free_a = [i for i in range(a.ndim) if i not in summed_a]
    free_b = [i for i in range(b.ndim) if i not in summed_b]
    product = np.tensordot(g, b, (list(range(len(free_a), len(free_a) + len(free_b))), free_b))
    order = free_a + [summed_a[i] for i in np.argsort(summed_b)]
    return np.transpose(product, tuple(np.argsort(order)))


def _tensordot_right(g: Any, y: Any, a: Any, b: Any, axes: Any = 2) -> Any:
    """Contract a with g over a's free axes, and put the axes back in b's order."""
    summed_a, summed_b = _axes(axes, a, b)
    free_a = [i for i in range(a.ndim) if i not in summed_a]
    free_b = [i for i in range(b.ndim) if i not in summed_b]
    product = np.tensordot(a, g, (free_a, list(range(len(free_a)))))
    order = [summed_b[i] for i in np.argsort(summed_a)] + free_b
    return np.transpose(product, tuple(np.argsort(order)))


rule(np.tensordot, _tensordot_left, _tensordot_right)
composite(np.linalg.tensordot)(lambda x1, x2, /, *, axes=2: np.tensordot(x1, x2, axes))
composite(np.linalg.matmul)(lambda x1, x2, /: np.matmul(x1, x2))


@composite(np.linalg.outer)
def outer(x1: Any, x2: Any, /) -> Any:
    """np.linalg.outer: the products of all pairs of entries of two vectors."""
    if np.ndim(x1) != 1 or np.ndim(x2) != 1:
        raise ValueError(f"np.linalg.outer takes two vectors, not shapes {np.shape(x1)} and {np.shape(x2)}.")
    return np.outer(x1, x2)


@composite(np.inner)
def inner(a: Any, b: Any, /) -> Any:
    """np.inner: the last axes against each other."""
    a, b = array(a), array(b)
    if a.ndim == 0 or b.ndim == 0:
        return np.multiply(a, b)
    if a.shape[-1] != b.shape[-1]:
        raise ValueError(f"np.inner: the last axes of shapes {a.shape} and {b.shape} differ.")
    return np.tensordot(a, b, (-1, -1))


@composite(np.vdot)
def vdot(a: Any, b: Any, /) -> Any:
    """np.vdot: sum(conj(a) b) over all entries."""
    return np.dot(conjugated(np.ravel(a)), np.ravel(b))


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """np.vecdot: sum(conj(a) b) along an axis."""
    x1, x2 = (np.moveaxis(array(x), axis, -1) for x in (x1, x2))
    if x1.shape[-1] != x2.shape[-1]:
        raise ValueError(f"np.vecdot: axis {axis} has lengths {x1.shape[-1]} and {x2.shape[-1]}.")
    return np.sum(conjugated(x1) * x2, axis=-1)


composite(np.vecdot, np.linalg.vecdot)(vecdot)

if hasattr(np, "matvec"):  # NumPy 2.2
    composite(np.matvec)(lambda x1, x2: np.squeeze(np.matmul(x1, np.expand_dims(x2, -1)), -1))
    composite(np.vecmat)(lambda x1, x2: np.squeeze(np.matmul(np.expand_dims(conjugated(x1), -2), x2), -2))


@composite(np.kron)
def kron(a: Any, b: Any) -> Any:
    """np.kron: every entry of a times the whole of b."""
    a, b = (array(x) for x in (a, b))
    ndim = max(a.ndim, b.ndim)
    a, b = (np.reshape(x, (1,) * (ndim - x.ndim) + x.shape) for x in (a, b))
    wide = np.reshape(a, tuple(n for each in a.shape for n in (each, 1))) * np.reshape(
        b, tuple(n for each in b.shape for n in (1, each))
    )
    return np.reshape(wide, tuple(m * n for m, n in zip(a.shape, b.shape, strict=True)))


@composite(np.cross)
def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    """np.cross: the vector product along an axis; of two vectors in the plane, the one entry that is not 0."""
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = (array(x) for x in (a, b))
    a, b = np.moveaxis(a, axisa, -1), np.moveaxis(b, axisb, -1)
    if not {a.shape[-1], b.shape[-1]} <= {2, 3}:
        raise ValueError(f"np.cross takes vectors of length 3 or 2, not {a.shape[-1]} and {b.shape[-1]}.")
    if a.shape[-1] == b.shape[-1] == 2:
        return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    first, second = ([x[..., i] if i < x.shape[-1] else 0 * x[..., 0] for i in range(3)] for x in (a, b))
    parts = [first[i] * second[j] - first[j] * second[i] for i, j in ((1, 2), (2, 0), (0, 1))]
    return np.stack(parts, axis=axisc)


@composite(np.linalg.cross)
def linalg_cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """np.linalg.cross: the vector product of vectors of length 3."""
    x1, x2 = array(x1), array(x2)
    if x1.shape[axis] != 3 or x2.shape[axis] != 3:
        raise ValueError(f"np.linalg.cross takes vectors of length 3, not {x1.shape[axis]} and {x2.shape[axis]}.")
    return np.cross(x1, x2, axis=axis)


# ---- convolution ---------------------------------------------------------------------------------------------------

CONVOLVE = Primitive(
    np.convolve,
    (
        lambda g, y, a, v: np.convolve(g, np.flip(v), mode="valid"),
        lambda g, y, a, v: np.convolve(g, np.flip(a), mode="valid"),
    ),
)


@composite(np.convolve)
def convolve(a: Any, v: Any, mode: Any = "full") -> Any:
    """np.convolve: all overlaps of two vectors, or the middle ones."""
    a, v = np.atleast_1d(a, v)
    if a.ndim != 1 or v.ndim != 1 or not a.size or not v.size:
        raise ValueError(f"np.convolve takes two vectors that are not empty, not shapes {a.shape} and {v.shape}.")
    full = CONVOLVE(a, v)
    longer, shorter = max(a.size, v.size), min(a.size, v.size)
    if mode == "full":
        return full
    if mode == "same":
        start = (shorter - 1) // 2
        return full[start : start + longer]
    if mode == "valid":
        return full[shorter - 1 : longer]
    raise ValueError(f"np.convolve: mode is 'full', 'same' or 'valid', not {mode!r}.")


@composite(np.correlate)
def correlate(a: Any, v: Any, mode: Any = "valid") -> Any:
    """np.correlate: sum_k a[k + n] conj(v[k])."""
    a, v = array(a), array(v)
    if a.ndim != 1 or v.ndim != 1:
        raise ValueError(f"np.correlate takes two vectors, not shapes {a.shape} and {v.shape}.")
    if a.size >= v.size or mode == "full":
        return np.convolve(a, conjugated(np.flip(v)), mode)
    return (
        np.flip(np.convolve(v, np.flip(a), mode)) if a.dtype.kind != "c" else np.flip(np.conj(np.correlate(v, a, mode)))
    )
