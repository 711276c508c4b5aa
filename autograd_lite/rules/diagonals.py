"""Diagonals and triangles of matrices.

Read next: `sorting.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..primitives import composite, rule
from .index import SCATTER, Slot

rule(np.tril, lambda g, y, x, k=0: np.tril(g, k))
rule(np.triu, lambda g, y, x, k=0: np.triu(g, k))


def _on_diagonal(g: Any, y: Any, x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """Zeros with g on the diagonal."""
    i = np.arange(g.shape[-1])
    others = tuple(n for axis, n in enumerate(x.shape) if axis not in (axis1 % x.ndim, axis2 % x.ndim))
    shape = (*others, x.shape[axis1], x.shape[axis2])
    placed = SCATTER(g, i + max(-offset, 0), i + max(offset, 0), index=(Ellipsis, Slot(0), Slot(1)), shape=shape)
    return np.moveaxis(placed, (-2, -1), (axis1, axis2))


rule(np.diagonal, _on_diagonal, view=True)
rule(np.diagflat, lambda g, y, x, k=0: np.reshape(np.diagonal(g, k), x.shape))
composite(np.linalg.diagonal)(lambda x, /, *, offset=0: np.diagonal(x, offset, -2, -1))
composite(np.linalg.trace)(lambda x, /, *, offset=0, dtype=None: np.trace(x, offset, -2, -1, dtype))


@composite(np.diag)
def diag(v: Any, k: int = 0) -> Any:
    """np.diag: a matrix with the given diagonal, or a matrix' diagonal."""
    if v.ndim not in (1, 2):
        raise ValueError(f"np.diag takes a vector or a matrix, not shape {v.shape}.")
    return np.diagflat(v, k) if v.ndim == 1 else np.diagonal(v, k)


@composite(np.trace)
def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None) -> Any:
    """np.trace: the sum of the diagonal."""
    return np.sum(np.diagonal(a, offset, axis1, axis2), axis=-1, dtype=dtype)


@composite(np.vander)
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:  # NumPy's own name
    """np.vander: the powers of a vector's entries as columns."""
    if x.ndim != 1:
        raise ValueError(f"np.vander takes a vector, not shape {x.shape}.")
    powers = np.arange(len(x) if N is None else N)
    return np.expand_dims(x, 1) ** (powers if increasing else powers[::-1])
