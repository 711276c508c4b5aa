"""Matrix layers: a linear map, and rows of a table by number.

Read next: `activations.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import autograd_lite as ag

from .activations import ONE, relu, sigmoid, sigmoid_inside
from .losses import position


@ag.primitive
def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """x w^T + b: input (..., in), weight (out, in), bias (out,) or None; the result is (..., out).

    >>> import numpy as np
    >>> linear(np.ones((5, 2)), np.ones((3, 2)), np.zeros(3)).shape
    (5, 3)
    """
    try:
        if input.ndim == 2 == weight.ndim:
            # The same product as @, and up to five times as fast where a matrix is thin; for many rows and a small
            # weight, its transpose in memory order pays as well.
            product = np.dot(input, weight.T.copy() if len(input) > weight.size else weight.T)
        elif weight.ndim > 2:
            raise ValueError
        else:
            product = input @ weight.T
    except ValueError:
        raise ValueError(
            f"linear: input of shape {input.shape} and weight {weight.shape}: the last axis of the input must be "
            f"in_features {weight.shape[-1]}."
        ) from None
    return product if bias is None else product + bias


def _linear_rule(g: Any, y: Any, x: Any, w: Any, b: Any = None, *, wanted: Any) -> tuple[Any, ...]:
    """g weight; g^T input, summed over the rows; g."""
    if x.ndim == 2 == w.ndim:
        return np.dot(g, w) if wanted[0] else None, np.dot(g.T, x) if wanted[1] else None, g
    rows = np.reshape(x, (-1, x.shape[-1]))
    if w.ndim == 1:
        return np.expand_dims(g, -1) * w if wanted[0] else None, np.reshape(g, -1) @ rows if wanted[1] else None, g
    return g @ w if wanted[0] else None, np.reshape(g, (-1, g.shape[-1])).T @ rows if wanted[1] else None, g


linear.def_rule(joint=_linear_rule)


def _activated(
    name: str, activation: Callable[[Any], Any], inside: Callable[[Any], Any], through: Callable[[Any, Any], Any]
) -> Any:
    """A linear map and its activation as one recorded operation; `inside` is the activation computed in its argument's
    own memory, and `through(g, y)` its rule."""

    product = linear.function

    def activated(input: Any, weight: Any, bias: Any = None) -> Any:
        z = product(input, weight, bias)
        return inside(z) if type(z) is np.ndarray else activation(z)

    def rule(g: Any, y: Any, x: Any, w: Any, b: Any = None, *, wanted: Any) -> tuple[Any, ...]:
        return _linear_rule(through(g, y), y, x, w, wanted=wanted)

    activated.__name__ = f"linear_{name}"
    primitive = ag.primitive(activated)
    primitive.def_rule(joint=rule)
    return primitive


def _through_sigmoid(g: Any, y: Any) -> Any:
    delta = ONE[y.dtype.char] - y
    delta *= y
    delta *= g
    return delta


def _through_tanh(g: Any, y: Any) -> Any:
    delta = y * y
    delta = ONE[y.dtype.char] - delta
    delta *= g
    return delta


# A Sequential takes these for two of its modules: small networks spend their time on calls, and this halves them.
linear_sigmoid = _activated("sigmoid", sigmoid.function, sigmoid_inside, _through_sigmoid)
linear_tanh = _activated("tanh", np.tanh, lambda z: np.tanh(z, z), _through_tanh)
linear_relu = _activated("relu", relu.function, lambda z: np.maximum(z, 0, out=z), lambda g, y: g * (y > 0))


@ag.primitive
def embedding(input: Any, weight: Any, padding_idx: int | None = None) -> Any:
    """Rows of a table: weight[input] for integers of any shape; row `padding_idx` receives no gradient.

    Raises TypeError for numbers that are no integers, IndexError for one outside the table (negative ones too).

    >>> import numpy as np
    >>> embedding(np.array([[0, 2]]), np.eye(3)).shape
    (1, 2, 3)
    """
    if input.dtype.kind not in "iu":
        raise TypeError(f"embedding: row numbers must be integers, not {input.dtype}.")
    if isinstance(input, np.ndarray):
        bad = (input < 0) | (input >= weight.shape[0])
        if np.logical_or.reduce(bad, axis=None):
            place = np.argwhere(bad)[0]
            raise IndexError(
                f"embedding: {input[tuple(place)]} at {position(place)} is no row of a table of {weight.shape[0]}."
            )
    return weight[input]


@ag.primitive
def rows_gathered(g: Any, input: Any, rows: int, padding_idx: int | None) -> Any:
    """The gradients of a table's rows: each is added as often as the row was taken."""
    result = np.zeros((rows, *g.shape[input.ndim :]), g.dtype)
    np.add.at(result, input, g)
    if padding_idx is not None:
        result[padding_idx] = 0
    return result


def _gathered_rule(h: Any, y: Any, g: Any, input: Any, rows: int, padding_idx: int | None) -> Any:
    taken = embedding(input, h)
    if padding_idx is None:
        return taken
    counts = input != padding_idx % rows
    return taken * np.reshape(counts, input.shape + (1,) * (taken.ndim - input.ndim))


rows_gathered.def_rule(_gathered_rule, None)
embedding.def_rule(
    None,
    lambda g, y, x, weight, padding_idx=None: rows_gathered(g, x, rows=weight.shape[0], padding_idx=padding_idx),
)
