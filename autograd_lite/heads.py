"""The head of a network: its last layer and the loss, recognised by the gradient that arrives before the activation.

The squared error, the cross-entropy and the binary cross-entropy are written in many ways, with labels or with targets,
with logits or with probabilities. What tells them apart is d_z, the gradient at the last layer's z: it is c (p - t) for
both cross-entropies and c (a - t) times the activation's slope for the squared error, with one factor c.

Read next: `mistakes/losses.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .anatomy import Layer, Network
from .program import Variable
from .recording import Array
from .sites import Delta, Given, Read, Rule


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """The last layer's z, its activation, the loss and its targets; d_z = `factor` times what `right` gives."""

    layer: Layer
    activation: str  # identity, sigmoid, tanh, relu or softmax
    axis: Any
    loss: str  # squared error, cross-entropy or binary cross-entropy
    targets: Read
    factor: float

    @property
    def z(self) -> Variable:
        """The value before the activation."""
        return self.layer.z

    @property
    def explicit(self) -> bool:
        """Whether the activation was computed, rather than being part of a loss on logits."""
        return self.layer.activation is not None

    @property
    def reads(self) -> tuple[Read, ...]:
        """What the formulas of the head take: the output (or the logits), the targets and z."""
        return self.layer.out, self.targets, self.z

    def output(self, a: Any) -> Any:
        """The probabilities, from the output or the logits."""
        return a if self.explicit else activate(self.activation, a, self.axis)

    def rule(self) -> Rule:
        """d_z as it is right."""

        def right(a: Any, t: Any, z: Any) -> Any:
            p = self.output(a)
            return times(through(self.loss, self.activation, p, p - t, z, self.axis), self.factor)

        return Rule(self.reads, right)


def activate(kind: str, z: Any, axis: Any = None) -> Any:
    """An activation function by its name, in plain NumPy."""
    if kind == "sigmoid":
        return 1 / (1 + np.exp(-z))
    if kind == "tanh":
        return np.tanh(z)
    if kind == "relu":
        return np.maximum(z, 0)
    if kind == "softmax":
        e = np.exp(z - np.max(z, axis=axis, keepdims=True))
        return e / np.sum(e, axis=axis, keepdims=True)
    return z


def slope_of_output(kind: str, y: Any) -> Any:
    """The slope of an elementwise activation in terms of its output."""
    return y * (1 - y) if kind == "sigmoid" else 1 - y**2 if kind == "tanh" else y > 0


def jacobian_product(y: Any, g: Any, axis: Any) -> Any:
    """A softmax's Jacobian times g."""
    return y * (g - np.sum(g * y, axis=axis, keepdims=True))


def through(loss: str, kind: str, p: Any, error: Any, z: Any, axis: Any) -> Any:
    """The error at the output as it arrives before the activation."""
    if loss != "squared error" or kind == "identity":
        return error
    if kind == "softmax":
        return jacobian_product(p, error, axis)
    return error * (z > 0 if kind == "relu" else slope_of_output(kind, p))


def times(x: Any, factor: float) -> Any:
    """A factor as people write it: a whole number, or a division by one."""
    for multiple in (1, 2):
        count = round(multiple / abs(factor)) if abs(factor) > 1e-9 else 0
        if count >= 1 and math.isclose(abs(factor), multiple / count, rel_tol=1e-6):
            x = multiple * x if multiple > 1 else x
            x = x / count if count > 1 else x
            return -x if factor < 0 else x
    return factor * x


# ---- recognising it ------------------------------------------------------------------------------------------------


def heads_of(network: Network) -> list[Head]:
    """The head of every last layer whose loss can be recognised."""
    return [head for layer in network.last if (head := _head(network, layer)) is not None]


def _head(network: Network, layer: Layer) -> Head | None:
    z = layer.z
    d = network.right.totals.get(z)
    value = network.values[z]
    if d is None or not np.all(np.isfinite(d)) or not np.any(d):
        return None
    best: tuple[int, Head] | None = None
    for kind, axis, loss in _choices(layer, value):
        p = activate(kind, value, axis)
        for name, t in _targets(network, layer, kind, axis, p, d):
            u = through(loss, kind, p, p - t, value, axis)
            factor = _ratio(d, u)
            if factor is not None:
                plain = not _is_plain(factor, value.shape)
                if best is None or plain < best[0]:
                    best = int(plain), Head(layer, kind, axis, loss, name, factor)
    return None if best is None else best[1]


def _choices(layer: Layer, z: Array) -> Iterator[tuple[str, Any, str]]:
    """The activations and losses that may be at the end of a layer."""
    axes: list[Any] = [axis for axis in range(z.ndim - 1, -1, -1) if z.shape[axis] > 1] or [None]
    if layer.activation is not None:
        kind, axis = layer.activation.kind, layer.activation.axis
        yield kind, axis, "squared error"
        if kind == "softmax":
            yield kind, axis, "cross-entropy"
        if kind == "sigmoid":
            yield kind, None, "binary cross-entropy"
        return
    yield "identity", None, "squared error"
    for axis in axes:
        yield "softmax", axis, "cross-entropy"
    yield "sigmoid", None, "binary cross-entropy"


def _targets(network: Network, layer: Layer, kind: str, axis: Any, p: Array, d: Array) -> Iterator[tuple[Read, Array]]:
    """The arrays that may be targets: those of the outputs' shape, and for labels what the gradient says of them."""
    for each, value in network.values.items():
        if each not in network.replay.active and np.shape(value) == p.shape and np.asarray(value).dtype.kind in "fiub":
            yield each, np.asarray(value)
    if kind == "softmax":
        with np.errstate(all="ignore"):
            ratios = d / p
        for factor in dict.fromkeys(ratios[np.isfinite(ratios)].ravel()[:: max(1, ratios.size // 6)].tolist()):
            t = p - d / factor if factor else p
            whole = np.round(t)
            near = 1e-6 if d.dtype == np.float64 else 1e-3
            if np.abs(t - whole).max() < near and np.all(np.sum(whole, axis=axis) == 1) and whole.min() == 0:
                yield Given("t", whole.astype(d.dtype)), whole
                return


def _ratio(d: Array, u: Array) -> float | None:
    """The factor between two arrays, if there is one."""
    if not np.all(np.isfinite(u)) or not np.any(u):
        return None
    a, b = d.astype(np.float64).ravel(), u.astype(np.float64).ravel()
    factor = float(a @ b / (b @ b))
    near = 1e-7 if d.dtype == np.float64 else 1e-4
    return factor if factor and np.abs(a - factor * b).max() <= near * np.abs(a).max() else None


def _is_plain(factor: float, shape: tuple[int, ...]) -> bool:
    """Whether a factor is 1, 2 or 1/2 up to the counts of a batch: what tells losses apart on a single number."""
    counts = {1, *shape, math.prod(shape)}
    return any(math.isclose(abs(factor) * n, m, rel_tol=1e-5) for n in counts for m in (1, 2, 0.5))


__all__ = ["Delta", "Head", "activate", "heads_of", "jacobian_product", "slope_of_output", "through", "times"]
