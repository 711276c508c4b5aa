"""Rules of the Fourier transforms.

Each is linear and its matrix is symmetric, so the plain gradient of fft is fft again, cut or padded to the input's
length. The real transforms see one half of the spectrum; what they leave out is added back. Those of several axes are
made of those of one.

Read next: `curves.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..primitives import composite, rule


def opposite(norm: Any) -> Any:
    """The norm by which the inverse transform undoes a transform."""
    found = {None: "forward", "backward": "forward", "forward": "backward", "ortho": "ortho"}.get(norm)
    if found is None:
        raise ValueError(f'np.fft: norm is "backward", "ortho" or "forward", not {norm!r}.')
    return found


def resized(x: Any, n: int, axis: int) -> Any:
    """x cut, or padded with zeros, to length n along an axis."""
    have = x.shape[axis]
    if have == n:
        return x
    if have > n:
        return x[(slice(None),) * (axis % x.ndim) + (slice(0, n),)]
    return np.pad(x, tuple((0, n - have if i == axis % x.ndim else 0) for i in range(x.ndim)))


def _same(function: Any) -> Any:
    """The rule of fft and of ifft: the transform itself."""

    def transposed(g: Any, y: Any, x: Any, n: int | None = None, axis: int = -1, norm: Any = None) -> Any:
        return resized(function(g, axis=axis, norm=norm), x.shape[axis], axis)

    return transposed


rule(np.fft.fft, _same(np.fft.fft))
rule(np.fft.ifft, _same(np.fft.ifft))


def _rfft(g: Any, y: Any, x: Any, n: int | None = None, axis: int = -1, norm: Any = None) -> Any:
    """The missing half of the spectrum has no gradient."""
    length = x.shape[axis] if n is None else n
    return np.real(resized(np.fft.fft(resized(g, length, axis), axis=axis, norm=norm), x.shape[axis], axis))


def _irfft(g: Any, y: Any, x: Any, n: int | None = None, axis: int = -1, norm: Any = None) -> Any:
    """Every frequency but the first and the middle one stands for itself and its mirror image."""
    length = g.shape[axis]
    spectrum = np.conj(np.fft.rfft(g, axis=axis, norm=opposite(norm)))
    half = spectrum.shape[axis]
    twice = np.full(half, 2, g.dtype)
    twice[0] = 1
    if length % 2 == 0:
        twice[-1] = 1
    twice = np.reshape(twice, tuple(-1 if i == axis % g.ndim else 1 for i in range(g.ndim)))
    return resized(spectrum * twice, x.shape[axis], axis)


rule(np.fft.rfft, _rfft)
rule(np.fft.irfft, _irfft)


@composite(np.fft.hfft)
def hfft(a: Any, n: int | None = None, axis: int = -1, norm: Any = None, out: Any = None) -> Any:
    """np.fft.hfft: the spectrum of a signal with hermitian symmetry, which is real."""
    return np.fft.irfft(np.conj(a), 2 * (a.shape[axis] - 1) if n is None else n, axis, opposite(norm))


@composite(np.fft.ihfft)
def ihfft(a: Any, n: int | None = None, axis: int = -1, norm: Any = None, out: Any = None) -> Any:
    """np.fft.ihfft: the inverse of hfft."""
    return np.conj(np.fft.rfft(a, n, axis, opposite(norm)))


def _lengths(x: Any, s: Any, axes: Any, real_output: bool = False) -> tuple[list[int], list[int]]:
    """The lengths and the axes of a transform along several axes."""
    if axes is None:
        axes = range(x.ndim) if s is None else range(-len(s), 0)
    axes = list(axes)
    if s is None:
        sizes = [x.shape[axis] for axis in axes]
        if real_output and sizes:
            sizes[-1] = 2 * (sizes[-1] - 1)
    else:
        sizes = [x.shape[axis] if n == -1 else int(n) for n, axis in zip(s, axes, strict=True)]
    return sizes, axes


def _several(function: Any, default: Any) -> Any:
    """fftn from fft: one axis after another, the last one first."""

    def body(a: Any, s: Any = None, axes: Any = default, norm: Any = None, out: Any = None) -> Any:
        for n, axis in reversed(list(zip(*_lengths(a, s, axes), strict=True))):
            a = function(a, n, axis, norm)
        return a

    return body


def _several_from_real(default: Any) -> Any:
    def body(a: Any, s: Any = None, axes: Any = default, norm: Any = None, out: Any = None) -> Any:
        sizes, each = _lengths(a, s, axes)
        a = np.fft.rfft(a, sizes[-1], each[-1], norm)
        for n, axis in reversed(list(zip(sizes[:-1], each[:-1], strict=True))):
            a = np.fft.fft(a, n, axis, norm)
        return a

    return body


def _several_to_real(default: Any) -> Any:
    def body(a: Any, s: Any = None, axes: Any = default, norm: Any = None, out: Any = None) -> Any:
        sizes, each = _lengths(a, s, axes, real_output=True)
        for n, axis in zip(sizes[:-1], each[:-1], strict=True):
            a = np.fft.ifft(a, n, axis, norm)
        return np.fft.irfft(a, sizes[-1], each[-1], norm)

    return body


composite(np.fft.fftn)(_several(np.fft.fft, None))
composite(np.fft.ifftn)(_several(np.fft.ifft, None))
composite(np.fft.fft2)(_several(np.fft.fft, (-2, -1)))
composite(np.fft.ifft2)(_several(np.fft.ifft, (-2, -1)))
composite(np.fft.rfftn)(_several_from_real(None))
composite(np.fft.rfft2)(_several_from_real((-2, -1)))
composite(np.fft.irfftn)(_several_to_real(None))
composite(np.fft.irfft2)(_several_to_real((-2, -1)))


def _shifted(sign: int) -> Any:
    def body(x: Any, axes: Any = None) -> Any:
        axes = tuple(range(x.ndim)) if axes is None else axes if isinstance(axes, (tuple, list)) else (axes,)
        halves = tuple(x.shape[axis] // 2 if sign > 0 else -(x.shape[axis] // 2) for axis in axes)
        return np.roll(x, halves, tuple(axes))

    return body


composite(np.fft.fftshift)(_shifted(1))
composite(np.fft.ifftshift)(_shifted(-1))
