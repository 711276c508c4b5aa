"""Mistakes of size: a sign, a factor, a mean, a penalty, nothing at all; in one place only.

A factor that all gradients share is no mistake: it is the common scale.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from ..anatomy import Network
from ..heads import times
from ..program import Variable
from ..sites import Delta, Overrides, Rule, Total
from .base import Mistake, Place, register
from .branches import penalised


def parameter_places(network: Network, other: Any = None) -> Iterator[Place]:
    """The gradients of the parameters."""
    biases = {each.parameter for each in network.biases}
    for each in network.parameters:
        yield Place(each, each, "biases" if each in biases else "weights", each.name, other)


def delta_places(network: Network, other: Any = None) -> Iterator[Place]:
    """The deltas on the way back: a factor there stays in everything upstream."""
    last = {each.z for each in network.last}
    for layer in network.layers:
        if layer.z not in last:
            also = (f"delta of {layer.z.name}", layer.out.name)
            yield Place(layer.z, layer, "deltas", network.signature(layer.z), other, also)


def places_of_size(network: Network, other: Any = None) -> Iterator[Place]:
    """Parameters and deltas."""
    yield from parameter_places(network, other)
    yield from delta_places(network, other)


def subject(place: Place) -> str:
    """What a sentence is about."""
    if isinstance(place.part, Variable):
        return f"the gradient of {place.of.name}"
    return f"the delta of {place.of.name}, and so every gradient before it,"


class Factor:
    """A number, and where it comes from."""

    def __init__(self, value: float, words: str) -> None:
        self.value = value
        self.name = f"{value:.6g}"
        self.words = words


def counts(network: Network) -> dict[str, int]:
    """The number of records, and of classes."""
    found = {}
    for layer in network.layers[:1]:
        x = layer.product.x
        found["N, the number of records"] = x.shape[0 if layer.product.left else -1] if len(x.shape) == 2 else 1
    for layer in network.last:
        z = layer.z
        found["the number of classes"] = z.shape[-1 if layer.product.left else 0] if z.shape else 1
    return {words: n for words, n in found.items() if n > 2}


def factors(network: Network) -> Iterator[Factor]:
    """The factors that are lost or counted twice in practice."""
    yield Factor(2, "has a factor 2 too many")
    yield Factor(0.5, "lacks the factor 2 that the others have")
    for words, n in counts(network).items():
        yield Factor(n, f"is {n} times too large: it is not divided by {words}, and the others are")
        yield Factor(1 / n, f"is {n} times too small: it is divided by {words}, {n}, and the others are not")
    found = counts(network)
    if len(found) == 2:
        records, classes = found.values()
        if records != classes:
            yield Factor(
                records / classes,
                f"is divided by the number of classes, {classes}, where the others are by that of records, {records}",
            )


@register
class Sign(Mistake):
    """One gradient points the other way."""

    name = "sign"
    rank = 1
    size = True

    def places(self, network: Network) -> Iterator[Place]:
        yield from places_of_size(network)

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        return {Total(place.of): Rule((Delta(place.of),), lambda g: -g)}

    def sentence(self, place: Place) -> str:
        return f"{subject(place)} has the wrong sign, compared with the others"


@register
class LostFactor(Mistake):
    """A factor 2, 1/N or 1/classes in one place only."""

    name = "factor"
    rank = 2
    size = True

    def places(self, network: Network) -> Iterator[Place]:
        for factor in factors(network):
            yield from places_of_size(network, factor)

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        value = place.other.value
        return {Total(place.of): Rule((Delta(place.of),), lambda g: times(g, value))}

    def sentence(self, place: Place) -> str:
        return f"{subject(place)} {place.other.words}"


@register
class AnyFactor(Mistake):
    """Some factor that nothing explains."""

    name = "some factor"
    rank = 9
    size = True
    free = True
    usual = -0.03
    weight: ClassVar[float] = 1.3

    def places(self, network: Network) -> Iterator[Place]:
        yield from places_of_size(network)

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        return {Total(place.of): Rule((Delta(place.of),), lambda g: c * g)}

    def plausible(self, c: float, scale: float | None) -> bool:
        """What is within a hundredth of 1 is some other mistake."""
        return super().plausible(c, scale) and abs(c - 1) > 0.01

    def sentence(self, place: Place) -> str:
        return f"{subject(place)} is off by a factor"


@register
class Nothing(Mistake):
    """A gradient that was never computed."""

    name = "zero"
    rank = 4

    def places(self, network: Network) -> Iterator[Place]:
        yield from parameter_places(network)

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        return {Total(place.of): Rule((place.of,), np.zeros_like)}

    def sentence(self, place: Place) -> str:
        return f"the gradient of {place.of.name} is never computed: it is 0"


@register
class PenaltyNotInTheLoss(Mistake):
    """A regularisation term in the gradient that the loss does not have."""

    name = "regularisation not in the loss"
    rank = 3
    free = True
    usual = 0.1
    weight: ClassVar[float] = 1.32  # of a single number, some factor is named first

    def places(self, network: Network) -> Iterator[Place]:
        own = penalised(network)
        yield from (each for each in parameter_places(network) if each.of not in own)

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        return {Total(place.of): Rule((Delta(place.of), place.of), lambda g, w: g + c * w if c > 0 else g - (-c) * w)}

    def sentence(self, place: Place) -> str:
        w = place.of.name
        return f"the gradient of {w} has a regularisation term, a multiple of {w}, that the loss does not have"
