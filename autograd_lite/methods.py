"""The methods of an ndarray, on tensors: `x.sum(axis=0)` is `np.sum(x, axis=0)`.

Each passes on to the NumPy function of the same meaning, which finds its rule as always.

Read next: `rules/`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .primitives import public_name
from .recording import Recorded
from .rules.shape import ASTYPE, COPY


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    method.__doc__ = f"{public_name(function) or function.__name__} of this tensor."
    return method


def _shape_method(function: Callable[..., Any]) -> Callable[..., Any]:
    """A method that takes its tuple as one argument or spread out: x.reshape(2, 3), x.reshape((2, 3))."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if len(args) > 1:
            args = (args,)
        return function(self, *args, **kwargs)

    method.__doc__ = f"{public_name(function) or function.__name__} of this tensor."
    return method


class ArrayMethods(Recorded):
    """What an ndarray can do, for a tensor."""

    __slots__ = ()

    sum = _method(np.sum)
    mean = _method(np.mean)
    prod = _method(np.prod)
    max = _method(np.max)
    min = _method(np.min)
    var = _method(np.var)
    std = _method(np.std)
    cumsum = _method(np.cumsum)
    cumprod = _method(np.cumprod)
    argmax = _method(np.argmax)
    argmin = _method(np.argmin)
    argsort = _method(np.argsort)
    argpartition = _method(np.argpartition)
    all = _method(np.all)
    any = _method(np.any)
    dot = _method(np.dot)
    round = _method(np.round)
    conj = _method(np.conjugate)
    conjugate = _method(np.conjugate)
    ravel = _method(np.ravel)
    squeeze = _method(np.squeeze)
    swapaxes = _method(np.swapaxes)
    repeat = _method(np.repeat)
    take = _method(np.take)
    diagonal = _method(np.diagonal)
    trace = _method(np.trace)
    nonzero = _method(np.nonzero)
    choose = _method(np.choose)
    searchsorted = _method(np.searchsorted)
    reshape = _shape_method(np.reshape)
    transpose = _shape_method(np.transpose)

    def clip(self, min: Any = None, max: Any = None, **settings: Any) -> Any:
        """np.clip of this tensor: no entry below `min` or above `max`."""
        return np.clip(self, min, max, **settings)  # type: ignore[call-overload]  # a tensor speaks NumPy's protocol

    def compress(self, condition: Any, axis: int | None = None) -> Any:
        """np.compress of this tensor: the slices along `axis` where `condition` is true."""
        return np.compress(condition, self, axis=axis)  # type: ignore[call-overload]  # a tensor speaks NumPy's protocol

    def flatten(self, order: str = "C") -> Any:
        """The entries as a new 1-d tensor."""
        return COPY(np.ravel(self, order))  # type: ignore[call-overload]  # as above

    def copy(self, order: str = "C") -> Any:
        """A tensor of the same values that shares no memory with this one; gradients flow through."""
        return COPY(self)

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        """The same values in another dtype; the gradient comes back in this tensor's own."""
        dtype = np.dtype(dtype)
        if dtype.kind not in "biufc":
            raise TypeError(f"astype({dtype}): a tensor holds numbers.")
        return self if dtype == self._data.dtype and not copy else ASTYPE(self, dtype=dtype)

    def sort(self, *args: Any, **kwargs: Any) -> None:
        """Refused: write y = np.sort(x), for an in-place sort would change a recorded value."""
        raise TypeError("x.sort() sorts in place: write y = np.sort(x).")

    def partition(self, *args: Any, **kwargs: Any) -> None:
        """Refused: write y = np.partition(x, kth)."""
        raise TypeError("x.partition() works in place: write y = np.partition(x, kth).")

    def fill(self, value: Any) -> None:
        """Every entry becomes `value`: x[...] = value."""
        self[...] = value  # type: ignore[index]  # Tensor defines it

    def put(self, *args: Any, **kwargs: Any) -> None:
        """Refused: write x[index] = value."""
        raise TypeError("x.put() on a tensor: write x[index] = value.")

    def resize(self, *args: Any, **kwargs: Any) -> None:
        """Refused: write y = x.reshape(...)."""
        raise TypeError("x.resize() works in place: write y = x.reshape(...).")

    T = property(lambda self: np.transpose(self), doc="The axes in reverse order.")
    mT = property(lambda self: np.swapaxes(self, -1, -2), doc="The last two axes exchanged.")
    real = property(lambda self: np.real(self), doc="The real part.")
    imag = property(lambda self: np.imag(self), doc="The imaginary part.")
    flat = property(lambda self: iter(np.reshape(self, -1)), doc="An iterator over the entries.")
