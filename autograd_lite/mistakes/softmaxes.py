"""Mistakes at a softmax: its Jacobian's diagonal alone, missing, twice, or over the wrong axis.

Read next: `losses.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from ..anatomy import Activation, Network
from ..heads import activate, jacobian_product
from ..sites import Delta, Forward, Overrides, Rule
from .base import Mistake, Place, register


def other_axes(shape: tuple[int, ...], axis: Any) -> Iterator[Any]:
    """The axes along which a softmax is not, None for the whole array, where that makes a difference."""
    long = [each for each, n in enumerate(shape) if n > 1]
    if axis is None or len(long) < 2:
        return
    yield None
    yield from (each for each in long if each != axis % len(shape))


class SoftmaxMistake(Mistake):
    """A wrong rule at a softmax p of z: g is the gradient of p."""

    everywhere = False

    def places(self, network: Network) -> Iterator[Place]:
        """The softmaxes."""
        for each in network.activations:
            if each.kind == "softmax":
                yield from self.at(network, each)

    def at(self, network: Network, part: Activation) -> Iterator[Place]:
        """The places at one softmax."""
        yield Place(part.z, part, "softmax", network.signature(part.y), also=(part.y.name,))

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        """The wrong rule at the softmax."""
        part = place.part
        return {part.edge: Rule((Delta(part.y), part.y), lambda g, y: self.wrong(g, y, part.axis))}

    def wrong(self, g: Any, y: Any, axis: Any) -> Any:
        """What is sent back instead of the Jacobian's product."""
        raise NotImplementedError


@register
class SoftmaxElementwise(SoftmaxMistake):
    """The diagonal p (1 - p) for the whole Jacobian."""

    name = "softmax elementwise"
    rank = 1

    def wrong(self, g: Any, y: Any, axis: Any) -> Any:
        return g * y * (1 - y)

    def sentence(self, place: Place) -> str:
        p = place.part.y.name
        return (
            f"the softmax {p} is treated elementwise: {p} * (1 - {p}) is only the diagonal of its Jacobian, "
            "and every output depends on every input"
        )


@register
class SoftmaxMissing(SoftmaxMistake):
    """The delta passes the softmax as if it were not there."""

    name = "softmax missing"
    rank = 2

    def wrong(self, g: Any, y: Any, axis: Any) -> Any:
        return 1 * g

    def sentence(self, place: Place) -> str:
        return f"the derivative of the softmax is missing between {place.part.y.name} and {place.part.z.name}"


@register
class SoftmaxTwice(SoftmaxMistake):
    """The Jacobian is multiplied in twice."""

    name = "softmax twice"
    rank = 4

    def wrong(self, g: Any, y: Any, axis: Any) -> Any:
        return jacobian_product(y, jacobian_product(y, g, axis), axis)

    def sentence(self, place: Place) -> str:
        return f"the Jacobian of the softmax {place.part.y.name} is multiplied in twice"


@register
class SoftmaxSumForgotten(SoftmaxMistake):
    """p g, without what the outputs take from one another."""

    name = "softmax without its sum"
    rank = 4

    def wrong(self, g: Any, y: Any, axis: Any) -> Any:
        return g * y

    def sentence(self, place: Place) -> str:
        p = place.part.y.name
        return f"the Jacobian of the softmax is {p} * (g - sum(g * {p})), and the sum is missing"


class AlongAnotherAxis(SoftmaxMistake):
    """Something about a softmax that goes along another axis than its own."""

    what: ClassVar[str] = ""

    def at(self, network: Network, part: Activation) -> Iterator[Place]:
        for axis in other_axes(part.z.shape, part.axis):
            yield Place(part.z, part, "softmax", network.signature(part.y), Axis(axis), also=(part.y.name,))

    def sentence(self, place: Place) -> str:
        return f"{self.what} {place.part.y.name} goes {place.other.words} instead of along axis {place.part.axis}"


class Axis:
    """An axis that was taken for another; None is the whole array."""

    def __init__(self, axis: Any) -> None:
        self.axis = axis
        self.name = "the whole batch" if axis is None else f"axis {axis}"
        self.words = "over the whole batch" if axis is None else f"along axis {axis}"


@register
class SoftmaxSumAlongAnotherAxis(AlongAnotherAxis):
    """The sum in the Jacobian's product goes along another axis."""

    name = "sum of the softmax's derivative over the wrong axis"
    what = "the sum in the derivative of the softmax"

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        part, axis = place.part, place.other.axis
        return {part.edge: Rule((Delta(part.y), part.y), lambda g, y: jacobian_product(y, g, axis))}


@register
class SoftmaxAlongAnotherAxis(AlongAnotherAxis):
    """The softmax itself is computed along another axis, forward and backward."""

    name = "softmax over the wrong axis"
    what = "in the hand-written pass, the softmax"
    rank = 3

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        part, axis = place.part, place.other.axis
        return {
            Forward(part.edge.operation): Rule((part.z,), lambda z: activate("softmax", z, axis)),
            part.edge: Rule((Delta(part.y), part.y), lambda g, y: jacobian_product(y, g, axis)),
        }
