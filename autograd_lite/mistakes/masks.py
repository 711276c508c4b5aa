"""Mistakes at the mask of a relu: always true, inverted, of the delta, of another layer.

Read next: `softmaxes.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..anatomy import Activation, Network
from ..heads import slope_of_output
from ..sites import Delta, Read
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
class MaskOfAnotherLayer(SlopeMistake):
    """The slope (of a relu, the mask) of another layer of as many units."""

    name = "slope of another layer"
    rank = 4

    def at(self, network: Network, part: Activation) -> Iterator[Place]:
        if len(network.last) > 1:
            return  # copies of a loop: each has its own
        for each in network.activations:
            if each is not part and each.kind == part.kind and each.y.shape == part.y.shape:
                yield Place(part.z, part, part.kind, network.signature(part.y), each.y, also=(part.y.name,))

    def reads(self, place: Place) -> tuple[Read, ...]:
        return Delta(place.part.y), place.other, place.part.z

    def wrong(self, kind: str, g: Any, y: Any, z: Any) -> Any:
        return g * slope_of_output(kind, y)

    def sentence(self, place: Place) -> str:
        what = "mask" if place.part.kind == "relu" else "slope"
        return f"the {what} at {place.part.z.name} is that of another layer, {place.other.name}"
