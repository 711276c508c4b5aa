"""Mistakes at a layer's matrix product: in the gradient of its weights, and in what is propagated through them.

In rows, y = x @ w: d_w = x.T @ d_y and d_x = d_y @ w.T; in columns, y = w @ x: d_w = d_y @ x.T and d_x = w.T @ d_y.

Read next: `records.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..anatomy import Network, Product
from ..program import Variable
from ..sites import Delta, Given, Overrides, Read, Rule, Stale, Total
from .base import Mistake, Place, register

_LONGEST_STEP = 10.0  # times the gradient of the loss: beyond any learning rate that learns


def outer(x: Any, d: Any, left: bool) -> Any:
    """The gradient of the weights from the layer's input and its delta."""
    return _columns(x).T @ _columns(d) if left else _rows(d) @ _rows(x).T


def _columns(x: Any) -> Any:
    """A single record as a matrix of one row."""
    return x[None, :] if x.ndim == 1 else x


def _rows(x: Any) -> Any:
    """A single record as a matrix of one column."""
    return x[:, None] if x.ndim == 1 else x


def weight_place(network: Network, part: Product, other: Any = None) -> Place:
    """The gradient of a layer's weights as a place."""
    return Place(part.parameter, part, "weights", network.signature(part.y), other)


def signal_place(network: Network, part: Product, other: Any = None) -> Place:
    """What goes back through a layer's weights, as a place."""
    return Place(part.x, part, "deltas", network.signature(part.y), other, also=(f"{part.parameter.name} back",))


def deeper(network: Network) -> Iterator[Product]:
    """The products whose input wants a gradient: all but the first layer's."""
    return (each for each in network.products if each.x in network.replay.active)


def deltas_like(network: Network, part: Product) -> Iterator[Variable]:
    """The layers' values of the shape of a product's result, whose deltas are known before this one's."""
    own = network.replay.upstream(part.y)
    seen = {part.y, *(each.z for each in network.layers if each.product is part)}
    for layer in network.layers:
        for each in (layer.out, layer.z):
            if each not in seen and each not in own and each.shape == part.y.shape and each in network.right.totals:
                seen.add(each)
                yield each


def values_like(network: Network, part: Product) -> Iterator[Variable]:
    """The layers' inputs and values of the shape of a product's input."""
    seen = {part.x}
    for layer in network.layers if len(network.last) == 1 else ():
        for each in (layer.product.x, layer.z, layer.out):
            if each not in seen and each.shape == part.x.shape:
                seen.add(each)
                yield each


# ---- the gradient of the weights -----------------------------------------------------------------------------------


@register
class WeightGradientTransposed(Mistake):
    """The outer product the wrong way round."""

    name = "weight gradient transposed"
    rank = 2

    def places(self, network: Network) -> Iterator[Place]:
        for each in network.products:
            if len(each.parameter.shape) == 2:
                yield weight_place(network, each)

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        return {Total(place.of): Rule((Delta(place.of),), lambda g: g.T)}

    def sentence(self, place: Place) -> str:
        return f"the gradient of {place.of.name} is transposed: the factors of the outer product are exchanged"


@register
class InputOfWrongLayer(Mistake):
    """Another layer's values in the outer product."""

    name = "input of the wrong layer"
    rank = 2

    def places(self, network: Network) -> Iterator[Place]:
        for each in network.products:
            for other in values_like(network, each):
                yield weight_place(network, each, other)

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        part: Product = place.part
        return {part.weight: Rule((place.other, Delta(part.y)), lambda x, d: turned(outer(x, d, part.left), part))}

    def sentence(self, place: Place) -> str:
        x, other, w = place.part.x.name, place.other.name, place.of.name
        return f"the gradient of {w} takes {other} where the input of that layer, {x}, belongs"


@register
class InputForgotten(Mistake):
    """The delta alone, summed over the records, in every row."""

    name = "input forgotten"
    rank = 4

    def places(self, network: Network) -> Iterator[Place]:
        for each in network.products:
            yield weight_place(network, each)

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        part: Product = place.part
        rule = Rule((part.x, Delta(part.y)), lambda x, d: turned(outer(np.ones_like(x), d, part.left), part))
        return {part.weight: rule}

    def sentence(self, place: Place) -> str:
        w, x = place.of.name, place.part.x.name
        return f"the input {x} is missing in the gradient of {w}: it is the delta alone, as if the input were 1"


@register
class InputNotTransposed(Mistake):
    """x @ d for x.T @ d; it needs as many records as units."""

    name = "input not transposed"
    rank = 3

    def places(self, network: Network) -> Iterator[Place]:
        for each in network.products:
            x, y = each.x.shape, each.y.shape
            if len(x) == len(y) == 2 and each.w is each.parameter and (x if each.left else y)[0] == x[1]:
                yield weight_place(network, each)

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        part: Product = place.part
        return {part.weight: Rule((part.x, Delta(part.y)), lambda x, d: x @ d if part.left else d @ x)}

    def sentence(self, place: Place) -> str:
        return f"the gradient of {place.of.name} takes {place.part.x.name} instead of its transpose"


@register
class DeltaOfWrongLayer(Mistake):
    """Another layer's delta, or the delta before the slope, in the outer product."""

    name = "delta of the wrong layer"
    rank = 3

    def places(self, network: Network) -> Iterator[Place]:
        if len(network.last) == 1:
            for each in network.products:
                for other in deltas_like(network, each):
                    yield weight_place(network, each, other)

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        part: Product = place.part
        return {part.weight: Rule((part.x, Delta(place.other)), lambda x, d: turned(outer(x, d, part.left), part))}

    def sentence(self, place: Place) -> str:
        return f"the gradient of {place.of.name} takes the delta of {place.other.name} instead of its own layer's"


def turned(gradient: Any, part: Product) -> Any:
    """A gradient of the weights as the product reads them."""
    return gradient[:, 0] if len(part.w.shape) == 1 else gradient


@register
class ElementwiseForOuter(Mistake):
    """x * d where the matrix product is meant."""

    name = "elementwise product for the weight gradient"
    rank = 4

    def places(self, network: Network) -> Iterator[Place]:
        for each in network.products:
            if len(each.x.shape) == len(each.y.shape) == 2:
                pairs = ((each.x.shape, each.y.shape), (each.x.shape[::-1], each.y.shape))
                for transposed, (a, b) in enumerate(pairs):
                    if _broadcast(a, b) == each.w.shape:
                        yield weight_place(network, each, Way(bool(transposed)))
                        break

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        part, transposed = place.part, place.other.transposed
        return {part.weight: Rule((part.x, Delta(part.y)), lambda x, d: (x.T if transposed else x) * d)}

    def sentence(self, place: Place) -> str:
        return f"the gradient of {place.of.name} is an elementwise product, where the matrix product belongs"


class Way:
    """Whether an operand was transposed first."""

    def __init__(self, transposed: bool) -> None:
        self.transposed = transposed


def _broadcast(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...] | None:
    try:
        return np.broadcast_shapes(a, b)
    except ValueError:
        return None


@register
class InputOfTheBatchBefore(Mistake):
    """The outer product with activations kept from the previous batch."""

    name = "input of the batch before"
    rank = 5

    def places(self, network: Network) -> Iterator[Place]:
        if network.replay.stale is not None:
            yield from (weight_place(network, each) for each in network.products)

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        part: Product = place.part
        reads: tuple[Read, ...] = (Stale(part.x), Delta(part.y))
        return {part.weight: Rule(reads, lambda x, d: turned(outer(x, d, part.left), part))}

    def sentence(self, place: Place) -> str:
        return f"the gradient of {place.of.name} takes {place.part.x.name} of the batch before: it is stale"


# ---- what is propagated --------------------------------------------------------------------------------------------


@register
class WeightNotTransposed(Mistake):
    """d @ w for d @ w.T."""

    name = "weight not transposed"
    rank = 1

    def places(self, network: Network) -> Iterator[Place]:
        for each in deeper(network):
            if len(each.w.shape) == 2 and each.w.shape[0] == each.w.shape[1]:
                yield signal_place(network, each)

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        part: Product = place.part
        return {part.signal: Rule((Delta(part.y), part.w), lambda d, w: d @ w if part.left else w @ d)}

    def sentence(self, place: Place) -> str:
        w, x = place.part.parameter.name, place.part.x.name
        return f"the delta is propagated to {x} with {w} instead of its transpose"


@register
class WeightOfWrongLayer(Mistake):
    """Another layer's weights in the propagation."""

    name = "weight of the wrong layer"
    rank = 3

    def places(self, network: Network) -> Iterator[Place]:
        for each in deeper(network):
            for other in dict.fromkeys(layer.w for layer in network.products):
                if other is not each.w and other.shape == each.w.shape:
                    yield signal_place(network, each, other)

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        part: Product = place.part
        return {part.signal: Rule((Delta(part.y), place.other), lambda d, w: d @ w.T if part.left else w.T @ d)}

    def sentence(self, place: Place) -> str:
        w, x = place.part.parameter.name, place.part.x.name
        return f"the delta is propagated to {x} with {place.other.name} instead of {w}, that layer's weights"


@register
class LayerSkipped(Mistake):
    """The delta passes a layer without its weights."""

    name = "layer skipped"
    rank = 2

    def places(self, network: Network) -> Iterator[Place]:
        for each in deeper(network):
            if _broadcast(each.y.shape, each.x.shape) == each.x.shape:  # the delta of a single unit fits any layer
                yield signal_place(network, each)

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        shape = place.part.x.shape
        return {place.part.signal: Rule((Delta(place.part.y),), lambda d: np.broadcast_to(1 * d, shape))}

    def sentence(self, place: Place) -> str:
        w, x = place.part.parameter.name, place.part.x.name
        return f"the layer is skipped on the way back: the delta reaches {x} without {w}"


@register
class DeltaOfWrongLayerPropagated(Mistake):
    """Another delta is propagated: one from further up, or the one before the slope."""

    name = "wrong delta propagated"
    rank = 3

    def places(self, network: Network) -> Iterator[Place]:
        if len(network.last) == 1:
            for each in deeper(network):
                for other in deltas_like(network, each):
                    yield signal_place(network, each, other)

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        part: Product = place.part
        reads: tuple[Read, ...] = (Delta(place.other), part.w)
        return {part.signal: Rule(reads, lambda d, w: d @ w.T if part.left else w.T @ d)}

    def sentence(self, place: Place) -> str:
        w, other = place.part.parameter.name, place.other.name
        return f"the delta of {other} is propagated through {w}, instead of that layer's own"


@register
class ElementwiseForProduct(Mistake):
    """d * w for d @ w.T."""

    name = "elementwise product in the propagation"
    rank = 4

    def places(self, network: Network) -> Iterator[Place]:
        for each in deeper(network):
            if len(each.w.shape) == len(each.y.shape) == 2:
                for transposed in (True, False):
                    w = each.w.shape[::-1] if transposed else each.w.shape
                    if _broadcast(each.y.shape, w) == each.x.shape and 1 not in each.y.shape:
                        yield signal_place(network, each, Way(transposed))

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        part, transposed = place.part, place.other.transposed
        return {part.signal: Rule((Delta(part.y), part.w), lambda d, w: d * (w.T if transposed else w))}

    def sentence(self, place: Place) -> str:
        return (
            f"the delta is multiplied with {place.part.parameter.name} elementwise on its way to {place.part.x.name}, "
            "where the matrix product belongs"
        )


@register
class WeightAlreadyUpdated(Mistake):
    """The step is taken before the delta is propagated: w - rate * gradient."""

    name = "weight already updated"
    rank = 2
    free = True
    usual = -0.1

    def places(self, network: Network) -> Iterator[Place]:
        for each in deeper(network):
            if each.w is each.parameter:
                yield signal_place(network, each)

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        part: Product = place.part
        hand = network.manual.get(part.parameter.name)
        step = network.right.totals[part.parameter] if hand is None or hand.shape != part.w.shape else hand
        reads: tuple[Read, ...] = (Delta(part.y), part.w, Given(f"d_{part.parameter.name}", step))

        def wrong(d: Any, w: Any, g: Any) -> Any:
            moved = w + c * g if c >= 0 else w - (-c) * g
            return d @ moved.T if part.left else moved.T @ d

        return {part.signal: Rule(reads, wrong)}

    def plausible(self, c: float, scale: float | None) -> bool:
        """A step against the gradient, and no giant one."""
        return super().plausible(c, scale) and (scale is None or (c * scale < 0 and abs(c * scale) <= _LONGEST_STEP))

    def sentence(self, place: Place) -> str:
        w, x = place.part.parameter.name, place.part.x.name
        return f"{w} has already been updated when the delta is propagated through it to {x}: update after all deltas"


@register
class StepsBackCut(Mistake):
    """Nothing is propagated: a detached branch."""

    name = "detached"
    rank = 4

    def places(self, network: Network) -> Iterator[Place]:
        for each in deeper(network):
            yield signal_place(network, each)

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        return {place.part.signal: Rule((place.part.x,), np.zeros_like)}

    def sentence(self, place: Place) -> str:
        w, x = place.part.parameter.name, place.part.x.name
        return f"nothing comes back through {w}: {x} is detached, and everything before it gets no gradient"
