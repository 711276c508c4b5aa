"""At a kink there is no gradient but a range of them, and one convention is as good as another.

The rules share evenly at a tie: np.maximum(z, 0) has slope 1/2 at z = 0. Who writes z > 0 by hand has slope 0 there,
who writes z >= 0 has slope 1. To see what these give, the pass back runs on values in which every tie has been broken
by the smallest step there is.

Read next: `checks.py`, which asks for it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .recording import Array, Node

_PAIRS = (np.maximum, np.minimum, np.fmax, np.fmin)
_SIZES = (np.absolute, np.fabs)
_EXTREMES = {np.max: -np.inf, np.min: np.inf}  # and whereto an entry moves that is no longer the extreme one


def resolved(steps: list[Node], upwards: bool) -> dict[Node, Array]:
    """The values that have to move for every tie in a history to break, by node; empty where there is no tie.

    At ties the first operand of np.maximum and np.minimum that was computed, and that of np.abs and np.clip, moves up
    or down. Of the entries that share np.max or np.min the first (`upwards`) or the last is left alone.
    """
    moved: dict[Node, Array] = {}
    for node in steps:
        if node.primitive is not None and node.requires_grad and node.inputs is not None:
            values = [
                value if parent is None else moved.get(parent, value)
                for parent, value in zip(node.parents, node.inputs, strict=True)
            ]
            for parent, value in zip(node.parents, values, strict=True):
                if parent is not None and parent.requires_grad and isinstance(value, np.ndarray):
                    other = _apart(node, value, values, upwards)
                    if other is not None:
                        moved[parent] = other
                        break
    return moved


def _apart(node: Node, value: Array, values: list[Any], upwards: bool) -> Array | None:
    """An operand with its ties broken; None if it has none."""
    function = node.primitive.function
    towards = np.inf if upwards else -np.inf
    tied: Any
    if function in _PAIRS:
        tied = values[0] == values[1]
    elif function in _SIZES:
        tied = value == 0
    elif function is np.clip:
        tied = np.logical_or(value == values[1], value == values[2])
    elif function in _EXTREMES:
        towards = _EXTREMES[function]
        tied = _all_but_one(value, function, (node.settings or {}).get("axis"), upwards)
    else:
        return None
    if value.dtype.kind != "f" or np.shape(tied) != value.shape or not np.any(tied):
        return None
    return np.where(tied, np.nextafter(value, value.dtype.type(towards)), value)


def _all_but_one(x: Array, extreme: Any, axis: Any, first: bool) -> Any:
    """The entries that attain an extreme, except the first or the last of them."""
    attain = x == extreme(x, axis=axis, keepdims=True)
    numbers = np.arange(x.size).reshape(x.shape)
    if first:
        chosen = np.min(np.where(attain, numbers, x.size), axis=axis, keepdims=True)
    else:
        chosen = np.max(np.where(attain, numbers, -1), axis=axis, keepdims=True)
    return np.logical_and(attain, numbers != chosen)
