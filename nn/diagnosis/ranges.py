"""What values a network's output can take at all, whatever its weights: interval arithmetic over a Program.

A sigmoid ends at 0 and 1, a softmax too, a relu at 0; 4 * sigmoid(z) - 2 at -2 and 2. Parameters and data count as
unbounded, so a bound that comes out holds for every training.

Read next: `network.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from autograd_lite.program import Operation, Program, Variable

from .anatomy import MOVING

Interval: TypeAlias = tuple[float, float]
ANY: Interval = (-np.inf, np.inf)
_RISING = frozenset("sigmoid tanh relu exp expm1 log log1p sqrt arctan leaky_relu elu softplus logsigmoid".split())
_FIXED: dict[str, Interval] = {
    "softmax": (0.0, 1.0), "softmax_along": (0.0, 1.0), "log_softmax": (-np.inf, 0.0),
    "log_softmax_along": (-np.inf, 0.0), "sin": (-1.0, 1.0), "cos": (-1.0, 1.0), "silu": (-0.2785, np.inf),
    "gelu": (-0.17, np.inf),
}  # fmt: skip
_KEEPING = frozenset("mean max min median".split())


def interval_of(program: Program, variable: Variable) -> Interval:
    """The least and the largest value that a variable can take, -inf and inf where nothing bounds it."""
    found: dict[Variable, Interval] = {}
    for each, leaf in program.values.items():
        if each.kind == "constant" and leaf.array.size and leaf.array.dtype.kind in "iuf":
            found[each] = float(leaf.array.min()), float(leaf.array.max())
    with np.errstate(all="ignore"):
        for operation in program.operations:
            if len(operation.outputs) == 1:
                bounds = _bounds(operation, [_of(each, found) for each in operation.inputs])
                found[operation.outputs[0]] = ANY if any(each != each for each in bounds) else bounds
    return found.get(variable, ANY)


def _of(value: Any, found: dict[Variable, Interval]) -> Interval:
    if isinstance(value, Variable):
        return found.get(value, ANY)
    return (float(value), float(value)) if isinstance(value, (int, float, np.number)) else ANY


def _bounds(operation: Operation, inputs: list[Interval]) -> Interval:
    name = str(operation.primitive.name)
    if name in _FIXED:
        return _FIXED[name]
    if name in MOVING or name in _KEEPING:
        return inputs[0]
    if name in _RISING:
        ends = operation.primitive.function(np.array(inputs[0]), **operation.settings)
        return float(ends[0]), float(ends[1])
    rule = _ARITHMETIC.get(name)
    return ANY if rule is None else rule(*inputs)


def _products(a: Interval, b: Interval) -> Interval:
    # 0 times an infinite bound is 0 here: the bound itself is never reached.
    ends = [0.0 if 0 in (x, y) else x * y for x in a for y in b]
    return min(ends), max(ends)


def _square(a: Interval) -> Interval:
    low, high = sorted((abs(a[0]), abs(a[1])))
    return (0.0 if a[0] <= 0 <= a[1] else low**2), high**2


def _absolute(a: Interval) -> Interval:
    low, high = sorted((abs(a[0]), abs(a[1])))
    return (0.0 if a[0] <= 0 <= a[1] else low), high


def _quotient(a: Interval, b: Interval) -> Interval:
    return ANY if b[0] <= 0 <= b[1] else _products(a, (1 / b[1], 1 / b[0]))


_ARITHMETIC: dict[str, Callable[..., Interval]] = {
    "add": lambda a, b: (a[0] + b[0], a[1] + b[1]),
    "subtract": lambda a, b: (a[0] - b[1], a[1] - b[0]),
    "negative": lambda a: (-a[1], -a[0]),
    "multiply": _products,
    "divide": _quotient,
    "square": _square,
    "absolute": _absolute,
    "power": lambda a, b: _square(a) if b == (2.0, 2.0) else ANY,
    "maximum": lambda a, b: (max(a[0], b[0]), max(a[1], b[1])),
    "minimum": lambda a, b: (min(a[0], b[0]), min(a[1], b[1])),
    "clip": lambda a, low=ANY, high=ANY: (
        max(a[0], low[0]) if np.isfinite(low[0]) else a[0],
        min(a[1], high[1]) if np.isfinite(high[1]) else a[1],
    ),
}
