"""Mistakes at the mask of a relu: always true, inverted, of the delta, leaky, clipped, of another layer.

Read next: `softmaxes.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..anatomy import Activation, Network
from ..heads import slope_of_output
from ..sites import Delta, Overrides, Read, Rule
from .base import Place, register
from .slopes import SlopeMistake


@register
class MaskAlwaysTrue(SlopeMistake):
    """a >= 0 for z > 0: a relu's output is never negative."""

    name = "mask from the output with >="
    rank = 2
    kinds = ("relu",)

    def wrong(self, kind: str, g: Any, y: Any, z: Any) -> Any:
        return g * (y >= 0)

    def sentence(self, place: Place) -> str:
        y, z = place.part.y.name, place.part.z.name
        return f"the mask is {y} >= 0, which is always true, for a relu's output is never negative: it is {z} > 0"


@register
class MaskInverted(SlopeMistake):
    """The mask lets through where the relu did not."""

    name = "mask inverted"
    rank = 4
    kinds = ("relu",)

    def wrong(self, kind: str, g: Any, y: Any, z: Any) -> Any:
        return g * (z <= 0)

    def sentence(self, place: Place) -> str:
        return f"the mask of the relu is the wrong way round: it lets through where {place.part.z.name} is not positive"


@register
class MaskOfTheDelta(SlopeMistake):
    """The relu is applied to the delta."""

    name = "mask of the delta"
    rank = 4
    kinds = ("relu",)

    def wrong(self, kind: str, g: Any, y: Any, z: Any) -> Any:
        return g * (g > 0)

    def sentence(self, place: Place) -> str:
        y, z = place.part.y.name, place.part.z.name
        return f"the relu is applied to the delta d_{y}; it has to be masked by where {z} is positive"


@register
class MaskOfTheDeltaToo(SlopeMistake):
    """The relu is applied to the delta, and the mask is right."""

    name = "mask of the delta as well"
    rank = 5
    kinds = ("relu",)

    def wrong(self, kind: str, g: Any, y: Any, z: Any) -> Any:
        return g * (g > 0) * (z > 0)

    def sentence(self, place: Place) -> str:
        y, z = place.part.y.name, place.part.z.name
        return f"the relu is applied to the delta d_{y} before it is masked: the mask {z} > 0 alone belongs there"


@register
class Leak(SlopeMistake):
    """The slope of a leaky relu for a relu's."""

    name = "slope of a leaky relu"
    rank = 4
    kinds = ("relu",)
    free = True
    usual = 0.01

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        def wrong(g: Any, z: Any) -> Any:
            return g * np.where(z > 0, 1, c)

        return {place.part.edge: Rule((Delta(place.part.y), place.part.z), wrong)}

    def plausible(self, c: float, scale: float | None) -> bool:
        """The leaks that are in use; 1 would be no mask at all."""
        return 1e-4 <= c <= 0.5

    def sentence(self, place: Place) -> str:
        y, z = place.part.y.name, place.part.z.name
        return f"{y} is a relu, but the slope is that of a leaky relu: where {z} is not positive it has to be 0"


class Cap:
    """Where a clipped relu ends."""

    def __init__(self, value: int) -> None:
        self.value = value
        self.name = f"{value}"


@register
class ClippedMask(SlopeMistake):
    """The mask of a relu that is clipped at 1 or at 6."""

    name = "slope of a clipped relu"
    rank = 6
    kinds = ("relu",)

    def at(self, network: Network, part: Activation) -> Iterator[Place]:
        for cap in (1, 6):
            if np.any(network.values[part.z] >= cap):
                yield Place(part.z, part, part.kind, network.signature(part.y), Cap(cap), also=(part.y.name,))

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        cap = place.other.value
        rule = Rule((Delta(place.part.y), place.part.z), lambda g, z: g * ((z > 0) & (z < cap)))
        return {place.part.edge: rule}

    def sentence(self, place: Place) -> str:
        z, cap = place.part.z.name, place.other.name
        return f"the mask of the relu ends at {cap}, as if it were clipped: it lets through wherever {z} is positive"


@register
class MaskOfAnotherLayer(SlopeMistake):
    """The slope (of a relu, the mask) of another layer of as many units."""

    name = "slope of another layer"
    rank = 4

    def at(self, network: Network, part: Activation) -> Iterator[Place]:
        if len(network.last) > 1:
            return  # copies of a loop: each has its own
        others = [each.y for each in network.activations if each.kind == part.kind]
        data = [each.product.x for each in network.layers if each.product.x not in network.replay.active]
        for other in dict.fromkeys([*others, *(data if part.kind != "relu" else [])]):
            if other is not part.y and other.shape == part.y.shape:
                yield Place(part.z, part, part.kind, network.signature(part.y), other, also=(part.y.name,))

    def reads(self, place: Place) -> tuple[Read, ...]:
        return Delta(place.part.y), place.other, place.part.z

    def wrong(self, kind: str, g: Any, y: Any, z: Any) -> Any:
        return g * slope_of_output(kind, y)

    def sentence(self, place: Place) -> str:
        what = "mask" if place.part.kind == "relu" else "slope"
        return f"the {what} at {place.part.z.name} is that of another layer, {place.other.name}"
