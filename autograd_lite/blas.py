"""SciPy's BLAS, which adds a product to what an array holds; NumPy alone makes the product first, then adds it.

    update = adding(weight, a, b)        # weight += alpha * (a @ b), for alpha given later; None without SciPy

SciPy is the extra `fast`. Setting the environment variable AUTOGRAD_LITE_SCIPY to 0 does without it.

Read next: `compiler.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .recording import Array

_LETTERS = {"f": "s", "d": "d"}
_LONG = 64  # entries of a column from which a rank-1 update is faster than a product


class Call(NamedTuple):
    """A call that computes `c = beta * c + alpha * (a @ b)` in place: `function(alpha, *first, beta, *rest)`; of a
    rank-1 update, which has no beta, `function(alpha, *first)`."""

    name: str
    function: Callable[..., Any]
    first: tuple[Any, ...]
    rest: tuple[Any, ...]

    def operands(self, name: Callable[[Array], str], beta: str) -> list[str]:
        """Its operands after alpha as text; `name` gives those of arrays."""
        texts = [name(each) if isinstance(each, np.ndarray) else repr(each) for each in (*self.first, *self.rest)]
        return [*texts[: len(self.first)], *[beta] * bool(self.rest), *texts[len(self.first) :]]


def adding(c: Array, a: Array, b: Array, scaled: bool = False) -> Call | None:
    """How SciPy's BLAS adds a multiple of a @ b to c; with `scaled` to a multiple of c. None where it cannot.

    It can where SciPy is installed, and matrices of one of the dtypes float32 and float64 lie row by row or column by
    column.
    """
    letter = _LETTERS.get(c.dtype.char)
    # Of any other array SciPy would change a copy, and not the array.
    if letter is None or not c.dtype.isnative or not c.flags.behaved or not a.dtype == b.dtype == c.dtype:
        return None
    if not all(each.flags.forc for each in (a, b, c)):
        return None
    blas = _blas()
    if blas is None:
        return None
    if not c.flags.f_contiguous:
        c, a, b = c.T, b.T, a.T
    if a.shape[1] == 1 and a.shape[0] >= _LONG and not scaled:
        name = letter + "ger"
        return Call(name, getattr(blas, name), (a[:, 0], b[0], 1, 1, c, 1, 1, 1), ())
    name = letter + "gemm"
    (a, turned_a), (b, turned_b) = _columns(a), _columns(b)
    return Call(name, getattr(blas, name), (a, b), (c, turned_a, turned_b, 1))


def _columns(matrix: Array) -> tuple[Array, int]:
    """A matrix that lies column by column, and 1 if it is the transpose of the one given."""
    return (matrix, 0) if matrix.flags.f_contiguous else (matrix.T, 1)


def _blas() -> Any:
    if os.environ.get("AUTOGRAD_LITE_SCIPY", "1") == "0":
        return None
    try:
        from scipy.linalg import blas  # type: ignore[import-untyped]  # SciPy has no annotations
    except ImportError:
        return None
    return blas
