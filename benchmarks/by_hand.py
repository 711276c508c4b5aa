"""Networks and their backpropagation written by hand, with mistakes in it: what the diagnosis is scored on.

Nothing here comes from the catalogue of mistakes or from the engine: forward, backward and each mistake are plain
NumPy, written as people write them, layer by layer. A mistake is a pair (name, layer); the layer is counted from 1.

Read next: `diagnosis.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Mistakes = frozenset[tuple[str, int]]
NONE: Mistakes = frozenset()


@dataclass(frozen=True)
class Network:
    """A multi-layer perceptron: sizes, activations, loss, biases, and whether records are columns."""

    name: str
    sizes: tuple[int, ...]
    hidden: str
    output: str
    loss: str  # mse, ce or bce
    bias: bool = True
    columns: bool = False
    rows: int = 7
    style: int = 0  # how the loss function is written
    dtype: Any = np.float64
    seed: int = 0
    ties: bool = False  # whole numbers, so that some relus are handed exactly 0
    data: dict[str, Array] = field(default_factory=dict, compare=False, repr=False)

    @property
    def depth(self) -> int:
        """The number of layers."""
        return len(self.sizes) - 1

    def make(self) -> tuple[dict[str, Array], Array, Array]:
        """Parameters, inputs and targets."""
        rng = np.random.default_rng(self.seed)
        params = {}
        for i in range(1, self.depth + 1):
            fan_in, fan_out = self.sizes[i - 1], self.sizes[i]
            W = rng.standard_normal((fan_in, fan_out)) * 1.2 / np.sqrt(fan_in)
            b = 0.3 * rng.standard_normal(fan_out)
            if self.ties:
                W, b = np.round(2 * W) / 2, np.round(b)
            params[f"W{i}"] = W.T if self.columns else W
            if self.bias:
                params[f"b{i}"] = b[:, None] if self.columns else b
        x = rng.standard_normal((self.rows, self.sizes[0]))
        x = np.round(x) if self.ties else x
        units = self.sizes[-1]
        if self.loss == "ce":
            t = np.eye(units)[rng.integers(0, units, self.rows)]
        elif self.loss == "bce":
            t = rng.integers(0, 2, (self.rows, units)).astype(float)
        else:
            t = rng.uniform(0.1, 0.9, (self.rows, units))
        if self.columns:
            x, t = x.T, t.T
        params = {name: np.ascontiguousarray(value, dtype=self.dtype) for name, value in params.items()}
        return params, np.ascontiguousarray(x, dtype=self.dtype), np.ascontiguousarray(t, dtype=self.dtype)


# ---- the way forward, as users write it: on arrays or on tensors ---------------------------------------------------


def activation(kind: str, z: Any, axis: int, style: int) -> Any:
    """An activation function, in one of several formulations."""
    if kind == "sigmoid":
        return (1 / (1 + np.exp(-z)), np.exp(z) / (1 + np.exp(z)), 1.0 / (np.exp(-z) + 1), 0.5 * (1 + np.tanh(z / 2)))[
            style % 4
        ]
    if kind == "tanh":
        return np.tanh(z) if style % 2 == 0 else (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z))
    if kind == "relu":
        return (np.maximum(z, 0), z * (z > 0), np.where(z > 0, z, 0), np.maximum(0, z))[style % 4]
    if kind == "softmax":
        if style % 2 == 0:
            e = np.exp(z - np.max(z, axis=axis, keepdims=True))
            return e / np.sum(e, axis=axis, keepdims=True)
        e = np.exp(z)
        return e / e.sum(axis=axis, keepdims=True)
    return z


def loss_of(network: Network, x: Array, t: Array) -> Callable[[dict[str, Any]], Any]:
    """The loss as a function of the parameters."""
    axis = 0 if network.columns else 1
    style = network.style

    def loss(p: dict[str, Any]) -> Any:
        a: Any = x
        for i in range(1, network.depth + 1):
            z = np.dot(p[f"W{i}"], a) if network.columns else np.dot(a, p[f"W{i}"])
            if network.bias:
                z = z + p[f"b{i}"]
            last = i == network.depth
            if last and network.loss == "ce" and style % 3 == 1:
                shifted = z - np.max(z, axis=axis, keepdims=True)
                logarithms = shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))
                return -np.sum(t * logarithms) / network.rows
            a = activation(network.output if last else network.hidden, z, axis, style)
        if network.loss == "ce":
            return -np.mean(np.sum(t * np.log(a), axis=axis))
        if network.loss == "bce":
            return -np.mean(t * np.log(a) + (1 - t) * np.log(1 - a))
        return (np.mean((a - t) ** 2), 0.5 * np.sum((t - a) ** 2), np.mean(np.square(a - t)))[style % 3]

    return loss


# ---- the way back, by hand, with mistakes --------------------------------------------------------------------------


def sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


def softmax(z: Array, axis: int | None) -> Array:
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def slope(kind: str, z: Array, a: Array) -> Array:
    """The right slope."""
    if kind == "sigmoid":
        return a * (1 - a)
    if kind == "tanh":
        return 1 - a * a
    return (z > 0).astype(z.dtype) if kind == "relu" else np.ones_like(z)


def by_hand(network: Network, params: dict[str, Array], x: Array, t: Array, made: Mistakes = NONE) -> dict[str, Array]:
    """The gradients of the summed loss (for mse without its factor 2), rows or columns, with these mistakes."""
    if network.columns:  # derived in rows, and turned
        rows = {name: value.T if name[0] == "W" else value[:, 0] for name, value in params.items()}
        found = in_rows(network, rows, x.T, t.T, made)
        turned = {name: value.T if name[0] == "W" else value[:, None] for name, value in found.items()}
        return {name: turned[name] for name in params}
    return in_rows(network, params, x, t, made)


def in_rows(network: Network, p: dict[str, Array], x: Array, t: Array, made: Mistakes) -> dict[str, Array]:
    """The backward pass, rows as records."""
    L = network.depth
    zs: list[Any] = [None]
    activations = [x]
    for i in range(1, L + 1):
        z = activations[-1] @ p[f"W{i}"]
        if network.bias and ("bias forgotten", i) not in made:
            z = z + p[f"b{i}"]
        zs.append(z)
        kind = network.output if i == L else network.hidden
        if kind == "softmax":
            activations.append(softmax(z, None if ("softmax over the whole batch", L) in made else 1))
        else:
            activations.append({"sigmoid": sigmoid, "tanh": np.tanh, "relu": relu, "identity": np.copy}[kind](z))
    d = at_the_output(network, zs[L], activations[L], t, made)
    found: dict[str, Array] = {}
    for i in range(L, 0, -1):
        found |= of_a_layer(network, p, i, zs, activations, d, made)
        if i > 1:
            d = propagated(network, p, i, zs, activations, d, found, made)
    return {name: found[name] for name in p}


def relu(z: Array) -> Array:
    return np.where(z > 0, z, 0)


def at_the_output(network: Network, z: Array, p: Array, t: Array, made: Mistakes) -> Array:
    """The delta of the last layer."""
    L = network.depth
    e = p - t
    if ("target forgotten", L) in made:
        e = p
    if network.loss in ("ce", "bce"):
        if ("squared error's gradient", L) in made:
            return p * (e - (e * p).sum(1, keepdims=True)) if network.loss == "ce" else e * p * (1 - p)
        if ("diagonal of the softmax", L) in made:
            return p * (1 - p) * e
        return e
    if ("cross-entropy's gradient", L) in made:
        return e
    if ("loss for its derivative", L) in made:
        e = e**2
    if network.output == "softmax":
        if ("diagonal of the softmax", L) in made:
            return p * (1 - p) * e
        return p * (e - np.sum(e * p, axis=1, keepdims=True))
    return e * wrong_slope(network.output, z, p, L, made)


def wrong_slope(kind: str, z: Array, a: Array, layer: int, made: Mistakes) -> Array:
    """The slope at a layer, right or as one of the mistakes has it."""
    again = {"sigmoid": sigmoid, "tanh": np.tanh}.get(kind)
    if ("slope at the activation", layer) in made and again is not None:
        return slope(kind, a, again(a))
    if ("formula at z", layer) in made:
        return slope(kind, z, z)
    if ("slope missing", layer) in made:
        return np.ones_like(z)
    if ("slope twice", layer) in made:
        return slope(kind, z, a) ** 2
    if ("slope of a tanh", layer) in made:
        return 1 - a**2
    if ("slope of a sigmoid", layer) in made:
        return a * (1 - a)
    if ("a >= 0", layer) in made:
        return (a >= 0).astype(z.dtype)
    if ("a for the slope", layer) in made:
        return a
    if ("plus in the slope", layer) in made:
        return 1 + a**2
    if ("leak", layer) in made:
        return np.where(z > 0, 1.0, 0.01)
    return slope(kind, z, a)


def of_a_layer(
    network: Network, p: dict[str, Array], i: int, zs: list[Any], activations: list[Array], d: Array, made: Mistakes
) -> dict[str, Array]:
    """The gradients of one layer's weights and bias."""
    a = activations[i - 1]
    if ("z for a", i) in made:
        a = zs[i - 1]
    W = a.T @ d
    if ("input forgotten", i) in made:
        W = np.tile(d.sum(axis=0), (a.shape[1], 1))
    if ("transposed", i) in made:
        W = d.T @ a
    if ("last record", i) in made:
        W = np.zeros_like(p[f"W{i}"])
        for record, delta in zip(a, d, strict=True):
            W = np.outer(record, delta)
    if ("sign", i) in made:
        W = -W
    if ("twice", i) in made:
        W = 2 * W
    if ("averaged", i) in made:
        W = W / len(d)
    if ("decay", i) in made:
        W = W + 0.01 * p[f"W{i}"]
    found = {f"W{i}": W}
    if network.bias:
        b = d.sum(axis=0)
        if ("bias averaged", i) in made:
            b = d.mean(axis=0)
        if ("bias of the last record", i) in made:
            b = d[-1]
        if ("bias one number", i) in made:
            b = np.full(d.shape[1], d.sum())
        if ("bias of the last record, one number", i) in made:
            b = np.full(d.shape[1], d[-1].sum())
        if ("bias sign", i) in made:
            b = -b
        if ("bias zero", i) in made:
            b = np.zeros_like(b)
        found[f"b{i}"] = b
    return found


def propagated(
    network: Network,
    p: dict[str, Array],
    i: int,
    zs: list[Any],
    activations: list[Array],
    d: Array,
    found: dict[str, Array],
    made: Mistakes,
) -> Array:
    """The delta of the layer before."""
    W = p[f"W{i}"]
    if ("updated", i) in made:
        W = W - 0.02 * found[f"W{i}"]
    back = d @ W.T
    if ("not transposed", i) in made:
        back = d @ W
    if ("skipped", i) in made:
        back = np.ones_like(activations[i - 1]) * d
    if ("delta halved", i) in made:
        back = back / 2
    if ("matrix product", i - 1) in made:
        a = activations[i - 1]
        return back @ (a.T @ (1 - a))
    if ("relu of the delta", i - 1) in made:
        back = relu(back)
    return back * wrong_slope(network.hidden, zs[i - 1], activations[i - 1], i - 1, made)


# ---- which mistakes there are, and what the diagnosis has to call them ---------------------------------------------


def all_mistakes(network: Network) -> Iterator[tuple[str, int, tuple[str, ...], str]]:
    """(name, layer, names in the catalogue that are right, the place that has to be named) of every mistake."""
    L, sizes, out = network.depth, network.sizes, network.output
    if network.loss == "ce":
        yield "squared error's gradient", L, ("squared error's gradient for the cross-entropy",), f"z{L}"
        yield "diagonal of the softmax", L, ("error times p (1 - p)", "softmax elementwise"), f"z{L}"
    if network.loss == "bce":
        yield "squared error's gradient", L, ("squared error's gradient for the cross-entropy",), f"z{L}"
    if network.loss == "mse":
        yield "loss for its derivative", L, ("loss for its derivative",), f"z{L}"
        if out != "identity":
            yield "cross-entropy's gradient", L, ("cross-entropy's gradient for the squared error",), f"z{L}"
        if out == "softmax":
            yield "diagonal of the softmax", L, ("softmax elementwise", "error times p (1 - p)"), f"z{L}"
    if out == "softmax":
        whole = ("probabilities over the wrong axis", "softmax over the wrong axis")
        yield "softmax over the whole batch", L, whole, f"z{L}"
    yield "target forgotten", L, ("target forgotten",), f"z{L}"
    for i in range(1, L + 1):
        kind = out if i == L else network.hidden
        if (kind in ("sigmoid", "tanh", "relu") and network.loss == "mse") or i < L:
            if kind != "relu":
                yield "slope at the activation", i, ("slope at the activation",), f"z{i}"
                yield "formula at z", i, ("slope formula at the pre-activation",), f"z{i}"
                yield "slope twice", i, ("slope twice",), f"z{i}"
            missing = (
                "slope missing",
                "mask from the output with >=",
                "cross-entropy's gradient for the squared error",
            )
            yield "slope missing", i, missing, f"z{i}"
            if kind != "tanh":
                yield "slope of a tanh", i, ("slope of a tanh",), f"z{i}"
            if kind != "sigmoid":
                yield "slope of a sigmoid", i, ("slope of a sigmoid",), f"z{i}"
            if kind == "relu":
                yield "a >= 0", i, ("mask from the output with >=", "slope missing"), f"z{i}"
                yield "leak", i, ("slope of a leaky relu",), f"z{i}"
            if kind == "relu" and i < L:
                yield "relu of the delta", i, ("mask of the delta as well",), f"z{i}"
            if kind == "tanh":
                yield "plus in the slope", i, ("plus in the slope's formula",), f"z{i}"
            if kind != "sigmoid":
                yield "a for the slope", i, ("output for the slope",), f"z{i}"
            if kind == "sigmoid" and i < L:
                yield "matrix product", i, ("matrix product for elementwise",), f"z{i}"
        yield "transposed", i, ("weight gradient transposed",), f"W{i}"
        yield "last record", i, ("last record only",), f"W{i}"
        yield "input forgotten", i, ("input forgotten",), f"W{i}"
        yield "sign", i, ("sign",), f"W{i}"
        yield "twice", i, ("factor",), f"W{i} with 2"
        yield "averaged", i, ("factor",), f"W{i} with {1 / network.rows:.6g}"
        yield "decay", i, ("regularisation not in the loss",), f"W{i}"
        if i > 1:
            yield "z for a", i, ("input of the wrong layer",), f"W{i} with z{i - 1}"
            yield "updated", i, ("weight already updated",), f"a{i - 1}"
            yield "delta halved", i, ("factor",), f"z{i - 1} with 0.5"
            if sizes[i] == sizes[i - 1]:
                yield "not transposed", i, ("weight not transposed",), f"a{i - 1}"
            if sizes[i] in (1, sizes[i - 1]):
                yield "skipped", i, ("layer skipped",), f"a{i - 1}"
        if network.bias:
            yield "bias averaged", i, ("bias averaged",), f"b{i}"
            yield "bias of the last record", i, ("last record only",), f"b{i}"
            yield "bias one number", i, ("bias summed to one number",), f"b{i}"
            if network.rows > 1:
                names = ("bias of the last record, summed to one number",)
                yield "bias of the last record, one number", i, names, f"b{i}"
            yield "bias sign", i, ("sign",), f"b{i}"
            yield "bias zero", i, ("zero",), f"b{i}"
            yield "bias forgotten", i, ("bias forgotten",), f"b{i}"
