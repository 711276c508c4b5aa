"""Rules of the functions that move entries about without changing them: reshape, transpose, join, split.

Read next: `index.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..primitives import Primitive, composite, rule

rule(np.reshape, lambda g, y, x, shape=None, order="C": np.reshape(g, x.shape, order=order), view=True)
rule(np.ravel, lambda g, y, x, order="C": np.reshape(g, x.shape, order=order), view=True)
rule(
    np.transpose,
    lambda g, y, x, axes=None: np.transpose(g, None if axes is None else tuple(np.argsort([a % x.ndim for a in axes]))),
    view=True,
)
rule(np.swapaxes, lambda g, y, x, axis1, axis2: np.swapaxes(g, axis1, axis2), view=True)
rule(np.moveaxis, lambda g, y, x, source, destination: np.moveaxis(g, destination, source), view=True)
rule(np.expand_dims, lambda g, y, x, axis: np.reshape(g, x.shape), view=True)
rule(np.squeeze, lambda g, y, x, axis=None: np.reshape(g, x.shape), view=True)
rule(np.broadcast_to, lambda g, y, x, shape=None: g, view=True)


def _concatenate(g: Any, y: Any, *arrays: Any, axis: int | None = 0) -> tuple[Any, ...]:
    """Each input's own part of the gradient."""
    if axis is None:
        ends = np.cumsum([a.size for a in arrays])
        return tuple(np.reshape(g[end - a.size : end], a.shape) for a, end in zip(arrays, ends, strict=True))
    ends = np.cumsum([a.shape[axis] for a in arrays])
    lead = (slice(None),) * (axis % g.ndim)
    return tuple(g[(*lead, slice(end - a.shape[axis], end))] for a, end in zip(arrays, ends, strict=True))


rule(np.concatenate, joint=_concatenate, sequence=True, arrays=1)


@composite(np.stack)
def stack(arrays: Any, axis: int = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    """np.stack: join along a new axis."""
    arrays = list(arrays)
    shapes = {np.shape(a) for a in arrays}
    if len(shapes) != 1:
        raise ValueError(f"np.stack: all arrays must have one shape, got {', '.join(str(np.shape(a)) for a in arrays)}.")
    return np.concatenate([np.expand_dims(a, axis) for a in arrays], axis=axis)


ASTYPE = Primitive(lambda x, dtype: x.astype(dtype), (lambda g, y, x, dtype: g,), name="astype")
COPY = Primitive(lambda x: x.copy(), (lambda g, y, x: g,), name="copy")
DETACH = Primitive(lambda x: x, (None,), name="detach")
