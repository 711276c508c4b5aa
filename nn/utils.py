"""Gradient clipping, between backward and the optimizer's step.

Read next: `optim/`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

import autograd_lite as ag


def _gradients(parameters: Any) -> list[Any]:
    each: Iterable[ag.Tensor] = [parameters] if isinstance(parameters, ag.Tensor) else parameters
    return [p.grad for p in each if p.grad is not None]


def clip_grad_norm_(
    parameters: Any, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> float:
    """Scale all gradients by one factor so that their norm, taken together, is at most `max_norm`; give the norm back.

    The factor is min(1, max_norm / (norm + 1e-6)). Raises RuntimeError for a norm that is not finite, if asked to.

    >>> import numpy as np, nn
    >>> w = nn.Parameter([0.0, 0.0]); w.grad = np.array([3.0, 4.0])
    >>> nn.utils.clip_grad_norm_([w], 1.0), w.grad.round(3).tolist()
    (5.0, [0.6, 0.8])
    """
    gradients = _gradients(parameters)
    norms = [float(np.linalg.norm(g.ravel(), norm_type)) for g in gradients]
    if not norms:
        return 0.0
    total = max(norms) if norm_type == math.inf else float(np.linalg.norm(np.array(norms), norm_type))
    if error_if_nonfinite and not math.isfinite(total):
        raise RuntimeError(f"clip_grad_norm_: the norm of the gradients is {total}, so they cannot be scaled.")
    factor = min(1.0, max_norm / (total + 1e-6)) if total == total else math.nan
    for g in gradients:
        np.multiply(g, factor, out=g)
    return total


def clip_grad_value_(parameters: Any, clip_value: float) -> None:
    """Bound every entry of every gradient by -clip_value and clip_value.

    >>> import numpy as np, nn
    >>> w = nn.Parameter([0.0, 0.0]); w.grad = np.array([3.0, -0.5])
    >>> nn.utils.clip_grad_value_([w], 1.0); w.grad.tolist()
    [1.0, -0.5]
    """
    for g in _gradients(parameters):
        np.clip(g, -clip_value, clip_value, out=g)
