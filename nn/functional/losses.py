"""Losses: how far a prediction is from its target, as one number (or, with reduction="none", one for each entry).

Input and target must have the same shape: (N,) against (N, 1) would broadcast to (N, N) and train something else, so it
raises. `reduction` is "mean" (over all entries), "sum" or "none". A NaN in a target, a label that is no class and a
probability outside [0, 1] are named with their positions.

Read next: `classification.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import autograd_lite as ag

from .activations import log1p_exp, sigmoid


def _same_shape(who: str, input: Any, target: Any) -> None:
    if input.shape != target.shape:
        raise _unlike(who, input, target)


def _unlike(who: str, input: Any, target: Any) -> Exception:
    return ValueError(
        f"{who}: input has shape {input.shape} and target {target.shape}, which must be the same: "
        f"np.reshape(target, {input.shape}), if that is what you mean."
    )


def reduced(who: str, loss: Any, reduction: str, target: Any) -> Any:
    """The mean, the sum or the losses themselves."""
    if reduction == "mean":
        if loss.size == 0:
            raise ValueError(f"{who}: the mean over an empty batch, of shape {loss.shape}, is not defined.")
        result = np.add.reduce(loss, axis=None) / loss.size
    elif reduction == "sum":
        result = np.add.reduce(loss, axis=None)
    elif reduction == "none":
        result = loss
    else:
        raise ValueError(f"{who}: reduction must be 'mean', 'sum' or 'none', not {reduction!r}.")
    # Looking at the result costs less than looking through every target, and finds the same NaNs.
    if isinstance(result, np.floating):
        if result != result:
            check_nan(who, target)
    elif isinstance(result, np.ndarray) and np.isnan(result).any():
        check_nan(who, target)
    return result


def check_nan(who: str, target: Any) -> None:
    """Raise ValueError that names the first NaN of a target."""
    if isinstance(target, np.ndarray) and target.dtype.kind in "fc":
        bad = np.argwhere(np.isnan(target))
        if len(bad):
            raise ValueError(f"{who}: the target is nan at {position(bad[0])} ({len(bad)} of its {target.size} are).")


def position(index: Any) -> str:
    place = ", ".join(str(i) for i in index)
    return f"position [{place}]"


def share(g: Any, x: Any, reduction: str) -> Any:
    """The gradient of each entry's loss, from that of the reduced loss."""
    return g / x.size if reduction == "mean" else g


# ---- distances -------------------------------------------------------------------------------------------------


_SMALL = 1024  # entries: the squares of so few are added by one product of vectors, as exactly as one by one


def _mse(reduction: str) -> Any:
    """The squared error with one reduction: a call without settings is recorded fastest."""

    @ag.primitive
    def mse_loss(input: Any, target: Any) -> Any:
        """The squared error."""
        if input.shape != target.shape:
            raise _unlike("mse_loss", input, target)
        error = input - target
        if reduction != "none" and type(error) is np.ndarray and 0 < error.size <= _SMALL and error.dtype.char in "fd":
            total = np.vdot(error, error)
            if total == total:
                return total / error.size if reduction == "mean" else total
        return reduced("mse_loss", np.square(error), reduction, target)

    def slope(g: Any, y: Any, x: Any, t: Any) -> Any:
        return (x - t) * (2 * g / x.size if reduction == "mean" else 2 * g)

    mse_loss.def_rule(slope, lambda g, y, x, t: slope(-g, y, x, t))
    return mse_loss


# By reduction; `nn.MSELoss` calls one of them.
MSE = {reduction: _mse(reduction) for reduction in ("mean", "sum", "none")}


def mse_loss(input: Any, target: Any, *, reduction: str = "mean") -> Any:
    """The squared error (x - t)^2, averaged.

    >>> import numpy as np
    >>> float(mse_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    2.0
    """
    if reduction not in MSE:
        raise ValueError(f"mse_loss: reduction must be 'mean', 'sum' or 'none', not {reduction!r}.")
    return MSE[reduction](input, target)


@ag.primitive
def l1_loss(input: Any, target: Any, *, reduction: str = "mean") -> Any:
    """The absolute error |x - t|, averaged; its slope at 0 is 0.

    >>> import numpy as np
    >>> float(l1_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    1.0
    """
    _same_shape("l1_loss", input, target)
    return reduced("l1_loss", np.abs(input - target), reduction, target)


def _l1_input(g: Any, y: Any, x: Any, t: Any, *, reduction: str = "mean") -> Any:
    return share(g, x, reduction) * np.sign(x - t)


l1_loss.def_rule(_l1_input, lambda g, y, x, t, *, reduction="mean": _l1_input(-g, y, x, t, reduction=reduction))


def _bent(distance: Any, bend: float) -> Any:
    """d^2 / 2 up to |d| = bend, and from there on the straight line bend * (|d| - bend / 2)."""
    size = np.abs(distance)
    return np.where(size < bend, np.square(distance) / 2, bend * (size - bend / 2))


def _bent_slope(distance: Any, bend: float) -> Any:
    return np.where(np.abs(distance) < bend, distance, bend * np.sign(distance))


@ag.primitive
def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    """d^2 / 2 where d = |x - t| < delta, else delta * (d - delta / 2), averaged. Raises ValueError unless delta > 0.

    >>> import numpy as np
    >>> float(huber_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    0.75
    """
    _same_shape("huber_loss", input, target)
    if delta <= 0:
        raise ValueError(f"huber_loss: delta must be positive, not {delta}.")
    return reduced("huber_loss", _bent(input - target, delta), reduction, target)


def _huber_input(g: Any, y: Any, x: Any, t: Any, *, reduction: str = "mean", delta: float = 1.0) -> Any:
    return share(g, x, reduction) * _bent_slope(x - t, delta)


huber_loss.def_rule(
    _huber_input,
    lambda g, y, x, t, *, reduction="mean", delta=1.0: _huber_input(-g, y, x, t, reduction=reduction, delta=delta),
)


@ag.primitive
def smooth_l1_loss(input: Any, target: Any, *, reduction: str = "mean", beta: float = 1.0) -> Any:
    """d^2 / (2 beta) where d = |x - t| < beta, else d - beta / 2, averaged. Raises ValueError for beta < 0.

    >>> import numpy as np
    >>> float(smooth_l1_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    0.75
    """
    _same_shape("smooth_l1_loss", input, target)
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta must not be negative: {beta}.")
    distance = input - target
    return reduced("smooth_l1_loss", _bent(distance, beta) / beta if beta else np.abs(distance), reduction, target)


def _smooth_l1_input(g: Any, y: Any, x: Any, t: Any, *, reduction: str = "mean", beta: float = 1.0) -> Any:
    return share(g, x, reduction) * (_bent_slope(x - t, beta) / beta if beta else np.sign(x - t))


smooth_l1_loss.def_rule(
    _smooth_l1_input,
    lambda g, y, x, t, *, reduction="mean", beta=1.0: _smooth_l1_input(-g, y, x, t, reduction=reduction, beta=beta),
)


# ---- yes or no -------------------------------------------------------------------------------------------------


def _logarithm(x: Any) -> Any:
    """log(x), but never below -100: so that a certain mistake costs much and not infinity."""
    smallest = 1e-45 if x.dtype == np.float32 else 5e-324
    return np.maximum(np.log(np.maximum(x, smallest)), -100)


@ag.primitive
def binary_cross_entropy(input: Any, target: Any, weight: Any = None, *, reduction: str = "mean") -> Any:
    """-(t log p + (1 - t) log(1 - p)) of probabilities p, averaged; the logarithms are bounded by -100 from below.

    `weight` multiplies each entry's loss. Raises ValueError for a probability outside [0, 1].

    >>> import numpy as np
    >>> float(binary_cross_entropy(np.array([0.5, 0.5]), np.array([1.0, 0.0])).round(4))
    0.6931
    """
    _same_shape("binary_cross_entropy", input, target)
    if isinstance(input, np.ndarray):
        _check_probabilities(input)
    loss = -(target * _logarithm(input) + (1 - target) * _logarithm(1 - input))
    return reduced("binary_cross_entropy", loss if weight is None else weight * loss, reduction, target)


def _check_probabilities(input: Any) -> None:
    if input.size == 0 or (np.minimum.reduce(input, axis=None) >= 0 and np.maximum.reduce(input, axis=None) <= 1):
        return
    bad = np.argwhere((input < 0) | (input > 1))
    if len(bad):
        raise ValueError(
            f"binary_cross_entropy: the input is {input[tuple(bad[0])]} at {position(bad[0])}, which is no "
            "probability: put a sigmoid before it, or use binary_cross_entropy_with_logits."
        )


def _bce_input(g: Any, y: Any, p: Any, t: Any, weight: Any = None, *, reduction: str = "mean") -> Any:
    """(p - t) / (p (1 - p)), the denominator bounded away from 0."""
    slope = (p - t) / np.maximum(p * (1 - p), 1e-12)
    return share(g, p, reduction) * (slope if weight is None else weight * slope)


def _bce_target(g: Any, y: Any, p: Any, t: Any, weight: Any = None, *, reduction: str = "mean") -> Any:
    slope = _logarithm(1 - p) - _logarithm(p)
    return share(g, p, reduction) * (slope if weight is None else weight * slope)


def _bce_weight(g: Any, y: Any, p: Any, t: Any, weight: Any = None, *, reduction: str = "mean") -> Any:
    return share(g, p, reduction) * -(t * _logarithm(p) + (1 - t) * _logarithm(1 - p))


binary_cross_entropy.def_rule(_bce_input, _bce_target, _bce_weight)


@ag.primitive
def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, pos_weight: Any = None, *, reduction: str = "mean"
) -> Any:
    """binary_cross_entropy(sigmoid(x), t) computed from x, exact at any x: log(1 + exp(x)) - x t.

    `weight` multiplies each entry's loss, `pos_weight` the part of the positive class; both broadcast.

    >>> import numpy as np
    >>> binary_cross_entropy_with_logits(np.array([1e4, 1e4]), np.array([1.0, 0.0]), reduction="none").tolist()
    [0.0, 10000.0]
    """
    _same_shape("binary_cross_entropy_with_logits", input, target)
    loss = _logit_loss(input, target, pos_weight)
    return reduced("binary_cross_entropy_with_logits", loss if weight is None else weight * loss, reduction, target)


def _logit_loss(x: Any, t: Any, pos_weight: Any) -> Any:
    if pos_weight is None:
        return log1p_exp(x) - x * t
    return (1 - t) * x + (1 + (pos_weight - 1) * t) * log1p_exp(-x)


def _logit_input(
    g: Any, y: Any, x: Any, t: Any, weight: Any = None, pos_weight: Any = None, *, reduction: str = "mean"
) -> Any:
    """sigmoid(x) - t."""
    s = sigmoid(x)
    slope = s - t if pos_weight is None else (1 - t) - (1 + (pos_weight - 1) * t) * (1 - s)
    return share(g, x, reduction) * (slope if weight is None else weight * slope)


def _logit_target(
    g: Any, y: Any, x: Any, t: Any, weight: Any = None, pos_weight: Any = None, *, reduction: str = "mean"
) -> Any:
    slope = -x if pos_weight is None else (pos_weight - 1) * log1p_exp(-x) - x
    return share(g, x, reduction) * (slope if weight is None else weight * slope)


def _logit_weight(
    g: Any, y: Any, x: Any, t: Any, weight: Any = None, pos_weight: Any = None, *, reduction: str = "mean"
) -> Any:
    return share(g, x, reduction) * _logit_loss(x, t, pos_weight)


def _logit_pos_weight(
    g: Any, y: Any, x: Any, t: Any, weight: Any = None, pos_weight: Any = None, *, reduction: str = "mean"
) -> Any:
    slope = t * log1p_exp(-x)
    return share(g, x, reduction) * (slope if weight is None else weight * slope)


binary_cross_entropy_with_logits.def_rule(_logit_input, _logit_target, _logit_weight, _logit_pos_weight)
