"""Normalisation over a batch or over features, and dropout.

Read next: `../layers.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import autograd_lite as ag

from ..seeding import default_rng, own_draws


@ag.primitive
def standardized(x: Any, weight: Any, bias: Any, axes: tuple[int, ...], eps: float) -> Any:
    """(x - mean) / sqrt(var + eps) * weight + bias, mean and variance taken over `axes`."""
    y = _standard(x, axes, eps)[0]
    if weight is not None:
        y = y * weight
    return y if bias is None else y + bias


def _standard(x: Any, axes: tuple[int, ...], eps: float) -> tuple[Any, Any]:
    """x with mean 0 and variance 1 over `axes`, and the standard deviation that it was divided by."""
    count = 1
    for axis in axes:
        count *= x.shape[axis]
    centred = x - np.add.reduce(x, axis=axes, keepdims=True) / count
    deviation = np.sqrt(np.add.reduce(np.square(centred), axis=axes, keepdims=True) / count + eps)
    return centred / deviation, deviation


def _standardized_rule(g: Any, y: Any, x: Any, weight: Any, bias: Any, axes: tuple[int, ...], eps: float) -> Any:
    """The part of the gradient that moves neither mean nor variance, divided by the deviation."""
    standard, deviation = _standard(x, axes, eps)
    if weight is not None:
        g = g * weight
    rest = g - _mean(g, axes) - standard * _mean(g * standard, axes)
    return rest / deviation


def _mean(x: Any, axes: tuple[int, ...]) -> Any:
    total = np.add.reduce(x, axis=axes, keepdims=True)
    return total * (total.size / max(x.size, 1))


standardized.def_rule(
    _standardized_rule,
    lambda g, y, x, weight, bias, axes, eps: g * _standard(x, axes, eps)[0],
    lambda g, y, x, weight, bias, axes, eps: g,
)


def layer_norm(input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """(x - mean) / sqrt(var + eps) * weight + bias over the last axes, which must have the shape `normalized_shape`.

    >>> import numpy as np
    >>> layer_norm(np.array([[1.0, 3.0]]), (2,)).round(3).tolist()
    [[-1.0, 1.0]]
    """
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or input.shape[-len(shape) :] != shape:
        raise ValueError(f"layer_norm: input of shape {input.shape} must end in normalized_shape={shape}.")
    for name, each in (("weight", weight), ("bias", bias)):
        if each is not None and each.shape != shape:
            raise ValueError(f"layer_norm: {name} of shape {each.shape} must have normalized_shape={shape}.")
    return standardized(input, weight, bias, axes=tuple(range(input.ndim - len(shape), input.ndim)), eps=eps)


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """(x - mean) / sqrt(var + eps) * weight + bias for each channel of (N, C, ...).

    In training mean and variance are the batch's, and running_mean and running_var, if given, are moved towards them:
    r = (1 - momentum) * r + momentum * statistic, the variance being the unbiased one. Otherwise they are the running
    ones. Raises ValueError for a batch with one value for each channel, whose variance says nothing.

    >>> import numpy as np
    >>> batch_norm(np.array([[1.0], [3.0]]), None, None, training=True).round(3).tolist()
    [[-1.0], [1.0]]
    """
    if input.ndim < 2:
        raise ValueError(f"batch_norm: input must be (N, C, ...), not {input.shape}.")
    channels = input.shape[1]
    given = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    for name, each in given.items():
        if each is not None and each.shape != (channels,):
            raise ValueError(f"batch_norm: {name} has shape {each.shape}; input {input.shape} needs ({channels},).")
    along = (-1,) + (1,) * (input.ndim - 2)
    axes = (0, *range(2, input.ndim))
    if input.ndim > 2:
        weight, bias = (None if each is None else np.reshape(each, along) for each in (weight, bias))
    if training:
        count = input.size // max(channels, 1)
        if count <= 1:
            raise ValueError(f"batch_norm: training needs more than one value for each channel, input {input.shape}.")
        if running_mean is not None:
            _move(running_mean, running_var, input, axes, momentum, count / (count - 1))
        return standardized(input, weight, bias, axes=axes, eps=eps)
    if running_mean is None or running_var is None:
        raise ValueError("batch_norm: outside training the running statistics are needed, and they are None.")
    y = (input - np.reshape(running_mean, along)) / np.sqrt(np.reshape(running_var, along) + eps)
    if weight is not None:
        y = y * weight
    return y if bias is None else y + bias


def _move(mean: Any, var: Any, x: Any, axes: tuple[int, ...], momentum: float, unbias: float) -> None:
    """Move the running statistics towards those of a batch."""
    with ag.no_grad():
        for running, new in ((mean, np.mean(x, axis=axes)), (var, np.var(x, axis=axes) * unbias)):
            moved = running * (1 - momentum) + new * momentum
            running[...] = moved if isinstance(running, ag.Tensor) or not isinstance(moved, ag.Tensor) else moved.data


@ag.primitive
def random_mask(x: Any, p: float, rng: np.random.Generator) -> Any:
    """0 with probability p, else 1 / (1 - p), for each entry of x: drawn anew wherever this operation runs."""
    with own_draws(rng):
        kept = rng.random(x.shape, np.float32 if x.dtype == np.float32 else np.float64) >= p
    return kept * x.dtype.type(1 / (1 - p) if p < 1 else 0)


random_mask.def_rule(None)


def dropout(input: Any, p: float = 0.5, training: bool = True, *, rng: np.random.Generator | None = None) -> Any:
    """Sets entries to 0 with probability p and scales the rest by 1 / (1 - p); gives the input back outside training.

    >>> import numpy as np
    >>> dropout(np.ones(4), 0.5, rng=np.random.default_rng(0)).tolist()
    [2.0, 0.0, 0.0, 0.0]
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: p is a probability, and {p} is none.")
    if not training or p == 0:
        return input
    return input * random_mask(input, p=p, rng=default_rng(rng))
