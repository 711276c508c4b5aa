"""Complex numbers: their parts, and the convention for their gradients.

Inside the walk the gradient of a real loss L with respect to z = a + ib is dL/da - i dL/db, so that every rule of a
holomorphic function is its plain derivative: g * y for exp, never g * conj(y). Where gradients enter and leave,
`backward` conjugates, so that z.grad is dL/da + i dL/db, the direction of steepest ascent.

Read next: `fft.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..primitives import Primitive, composite, rule
from .shape import plain

rule(np.conjugate, lambda g, y, x: np.conj(g))


def _part(name: str) -> Any:
    """A part of a complex array: a view, which must not be written through, for it is not the whole of its entries."""

    def part(z: Any) -> Any:
        view = np.asarray(getattr(z, name))
        view.flags.writeable = False
        return view

    return part


REAL = Primitive(_part("real"), (lambda g, y, z: g,), name="real", view=True)
IMAG = Primitive(_part("imag"), (lambda g, y, z: g * -1j,), name="imag", view=True)


@composite(np.real)
def real(val: Any) -> Any:
    """np.real: a real number is its own real part."""
    return REAL(val) if val.dtype.kind == "c" else val


@composite(np.imag)
def imag(val: Any) -> Any:
    """np.imag: 0 for a real number."""
    return IMAG(val) if val.dtype.kind == "c" else np.zeros_like(val)


@composite(np.angle)
def angle(z: Any, deg: bool = False) -> Any:
    """np.angle: the argument of a complex number."""
    turned = np.arctan2(np.imag(z), np.real(z))
    return np.degrees(turned) if deg else turned


def conjugated(x: Any) -> Any:
    """conj(x), which costs nothing for real numbers."""
    return np.conj(x) if x.dtype.kind == "c" else x


@composite(np.real_if_close)
def real_if_close(a: Any, tol: float = 100) -> Any:
    """np.real_if_close: the real part, if the imaginary one is nothing but rounding."""
    return np.real(a) if np.isrealobj(np.real_if_close(plain(a), tol)) else a
