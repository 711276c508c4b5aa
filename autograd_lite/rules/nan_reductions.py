"""The reductions that pass over NaN: each is the plain one with NaN replaced by what does not count.

Read next: `cumulative.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..primitives import composite, nondifferentiable
from .reduce import ROOT


def _replacing(function: Callable[..., Any], neutral: float) -> Callable[..., Any]:
    """A reduction with every NaN replaced by a value that does not change the result."""
    return lambda a, *args, **settings: function(np.where(np.isnan(a), neutral, a), *args, **settings)


composite(np.nansum)(_replacing(np.sum, 0))
composite(np.nanprod)(_replacing(np.prod, 1))
composite(np.nancumsum)(_replacing(np.cumsum, 0))
composite(np.nancumprod)(_replacing(np.cumprod, 1))


def _extreme(function: Callable[..., Any], worst: float) -> Callable[..., Any]:
    def body(
        a: Any, axis: Any = None, out: Any = None, keepdims: bool = False, initial: Any = None, where: Any = True
    ) -> Any:
        if a.dtype.kind not in "fc":
            return function(a, axis=axis, keepdims=keepdims, initial=initial, where=where)
        missing = np.isnan(a)
        result = function(np.where(missing, worst, a), axis=axis, keepdims=keepdims, initial=initial, where=where)
        if initial is not None:
            return result
        return np.where(np.all(missing, axis=axis, keepdims=keepdims), np.nan, result)

    return body


composite(np.nanmax)(_extreme(np.max, -np.inf))
composite(np.nanmin)(_extreme(np.min, np.inf))


@composite(np.nanmean)
def nanmean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False, *, where: Any = True
) -> Any:
    """np.nanmean: the mean of what is not NaN."""
    present = np.logical_and(np.logical_not(np.isnan(a)), where)
    return np.mean(np.where(present, a, 0), axis=axis, dtype=dtype, keepdims=keepdims, where=present)


@composite(np.nanvar)
def nanvar(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: float = 0, keepdims: bool = False, *,
    where: Any = True, mean: Any = None, correction: float | None = None,
) -> Any:  # fmt: skip
    """np.nanvar: the variance of what is not NaN."""
    present = np.logical_and(np.logical_not(np.isnan(a)), where)
    return np.var(
        np.where(present, a, 0), axis=axis, dtype=dtype, ddof=ddof if correction is None else correction,
        keepdims=keepdims, where=present, mean=mean,
    )  # fmt: skip


composite(np.nanstd)(lambda a, *args, **settings: ROOT(np.nanvar(a, *args, **settings)))

nondifferentiable(np.nanargmax, np.nanargmin)
