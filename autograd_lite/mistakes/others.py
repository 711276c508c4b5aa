"""Mistakes at an activation function that is none of the known ones: leaky relu, softplus, sin, a user's own.

What is known of it is that y comes from z alone, entry by entry.

Read next: `masks.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..anatomy import Network
from ..sites import Delta, Overrides, Rule, Total
from .base import Mistake, Place, register


class Instead:
    """What stands in the place of a slope: in code, in words, and as a function of y and z."""

    def __init__(self, name: str, words: str, function: Callable[[Any, Any], Any]) -> None:
        self.name = name
        self.words = words
        self.function = function


_INSTEAD = (
    Instead("no slope", "the slope of the activation is missing between {y} and {z}", lambda y, z: 1),
    Instead("a relu's", "{y} is no relu, but the slope is that of one: its mask, {z} > 0", lambda y, z: z > 0),
    Instead("a tanh's", "{y} is no tanh, but the slope is that of one: 1 - {y} ** 2", lambda y, z: 1 - y**2),
    Instead(
        "a sigmoid's", "{y} is no sigmoid, but the slope is that of one: {y} * (1 - {y})", lambda y, z: y * (1 - y)
    ),
    Instead("the output", "the delta is multiplied by {y} itself, where its slope at {z} belongs", lambda y, z: y),
)


@register
class SlopeOfAnUnknown(Mistake):
    """Another slope than that of the activation."""

    name = "slope of an activation of one's own"
    rank = 2

    def places(self, network: Network) -> Iterator[Place]:
        for each in network.others:
            for instead in _INSTEAD:
                yield Place(each.z, each, "activation", network.signature(each.y), instead, also=(each.y.name,))

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        function = place.other.function
        rule = Rule((Delta(place.part.y), place.part.y, place.of), lambda g, y, z: g * function(y, z))
        return {Total(place.of): rule}

    def sentence(self, place: Place) -> str:
        return str(place.other.words.format(y=place.part.y.name, z=place.of.name))
