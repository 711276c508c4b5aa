"""Mistakes at an activation function: its slope missing, taken at the wrong value, of another function, as a matrix.

Read next: `softmaxes.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from ..anatomy import Activation, Network
from ..heads import activate, slope_of_output
from ..sites import Delta, Overrides, Read, Rule, Stale
from .base import Mistake, Place, register

SMOOTH = ("sigmoid", "tanh")
ALL = ("sigmoid", "tanh", "relu")


def slope_at(kind: str, z: Any) -> Any:
    """The slope of an activation at z, as people write it in a function of its own."""
    return z > 0 if kind == "relu" else slope_of_output(kind, activate(kind, z))


class SlopeMistake(Mistake):
    """A wrong slope at one activation of the kinds `kinds`: g is the gradient of y = f(z)."""

    kinds: ClassVar[tuple[str, ...]] = ALL

    def places(self, network: Network) -> Iterator[Place]:
        """The activations."""
        for each in network.activations:
            if each.kind in self.kinds:
                yield from self.at(network, each)

    def at(self, network: Network, part: Activation) -> Iterator[Place]:
        """The places at one activation."""
        yield Place(part.z, part, part.kind, network.signature(part.y), also=(part.y.name,))

    def reads(self, place: Place) -> tuple[Read, ...]:
        """What the wrong rule reads."""
        return Delta(place.part.y), place.part.y, place.part.z

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        """The wrong rule at the activation."""
        kind = place.part.kind
        return {place.part.edge: Rule(self.reads(place), lambda g, y, z, *rest: self.wrong(kind, g, y, z, *rest))}

    def wrong(self, kind: str, g: Any, y: Any, z: Any) -> Any:
        """What is sent back instead of g times the slope."""
        raise NotImplementedError


@register
class SlopeAtOutput(SlopeMistake):
    """The slope function is handed the activation: one sigmoid too many."""

    name = "slope at the activation"
    rank = 1
    kinds = SMOOTH

    def wrong(self, kind: str, g: Any, y: Any, z: Any) -> Any:
        return g * slope_at(kind, y)

    def sentence(self, place: Place) -> str:
        kind, y, z = place.part.kind, place.part.y.name, place.part.z.name
        return f"the slope of the {kind} is taken at its output {y} instead of at its input {z}: one {kind} too many"


@register
class OutputFormulaAtInput(SlopeMistake):
    """The formula a (1 - a) is handed z."""

    name = "slope formula at the pre-activation"
    rank = 2
    kinds = SMOOTH

    def wrong(self, kind: str, g: Any, y: Any, z: Any) -> Any:
        return g * slope_of_output(kind, z)

    def sentence(self, place: Place) -> str:
        kind, y, z = place.part.kind, place.part.y.name, place.part.z.name
        formula = f"{y} * (1 - {y})" if kind == "sigmoid" else f"1 - {y} ** 2"
        return f"the formula of the {kind}'s slope, {formula}, is handed its input {z} instead of its output {y}"


@register
class SlopeMissing(SlopeMistake):
    """The delta passes the activation as if it were not there."""

    name = "slope missing"
    rank = 1

    def wrong(self, kind: str, g: Any, y: Any, z: Any) -> Any:
        return 1 * g

    def sentence(self, place: Place) -> str:
        kind, y, z = place.part.kind, place.part.y.name, place.part.z.name
        if kind == "relu":
            return f"the mask of the relu is missing: d_{z} has to be 0 wherever {z} is not positive"
        return f"the slope of the {kind} is missing between {y} and {z}"


@register
class SlopeTwice(SlopeMistake):
    """The slope is multiplied in twice."""

    name = "slope twice"
    rank = 3
    kinds = SMOOTH

    def wrong(self, kind: str, g: Any, y: Any, z: Any) -> Any:
        return g * slope_of_output(kind, y) * slope_of_output(kind, y)

    def sentence(self, place: Place) -> str:
        return f"the slope of the {place.part.kind} at {place.part.y.name} is multiplied in twice"


class SlopeOfAnother(SlopeMistake):
    """The slope of another activation function, from the output or from the input."""

    other: ClassVar[str]
    rank = 4

    def at(self, network: Network, part: Activation) -> Iterator[Place]:
        if part.kind != self.other:
            yield from super().at(network, part)

    def wrong(self, kind: str, g: Any, y: Any, z: Any) -> Any:
        return g * slope_of_output(self.other, y)

    def sentence(self, place: Place) -> str:
        kind, y = place.part.kind, place.part.y.name
        formula = {"sigmoid": f"{y} * (1 - {y})", "tanh": f"1 - {y} ** 2", "relu": f"{y} > 0"}[self.other]
        return f"{y} is a {kind}, but the slope is that of a {self.other}, {formula}"


@register
class SlopeOfSigmoid(SlopeOfAnother):
    """a (1 - a) for another function."""

    name = "slope of a sigmoid"
    other = "sigmoid"


@register
class SlopeOfTanh(SlopeOfAnother):
    """1 - a^2 for another function."""

    name = "slope of a tanh"
    other = "tanh"


@register
class SlopeOfRelu(SlopeOfAnother):
    """A mask for a smooth function."""

    name = "slope of a relu"
    other = "relu"

    def wrong(self, kind: str, g: Any, y: Any, z: Any) -> Any:
        return g * (z > 0)

    def sentence(self, place: Place) -> str:
        return f"{place.part.y.name} is a {place.part.kind}, but the slope is that of a relu, {place.part.z.name} > 0"


class SlopeOfAnotherAtInput(SlopeOfAnother):
    """The slope of another activation function, taken at z."""

    rank = 6

    def wrong(self, kind: str, g: Any, y: Any, z: Any) -> Any:
        return g * slope_at(self.other, z)

    def sentence(self, place: Place) -> str:
        kind, y, z = place.part.kind, place.part.y.name, place.part.z.name
        return f"{y} is a {kind}, but the slope is that of a {self.other} at {z}"


@register
class SlopeOfSigmoidAtInput(SlopeOfAnotherAtInput):
    """sigmoid'(z) for another function."""

    name = "slope of a sigmoid, at the pre-activation"
    other = "sigmoid"


@register
class SlopeOfTanhAtInput(SlopeOfAnotherAtInput):
    """tanh'(z) for another function."""

    name = "slope of a tanh, at the pre-activation"
    other = "tanh"


@register
class HalfOfTheSlope(SlopeMistake):
    """a for a (1 - a); 1 - a for 1 - a^2."""

    name = "half of the slope's formula"
    rank = 5
    kinds = SMOOTH

    def wrong(self, kind: str, g: Any, y: Any, z: Any) -> Any:
        return g * y if kind == "sigmoid" else g * (1 - y)

    def sentence(self, place: Place) -> str:
        kind, y = place.part.kind, place.part.y.name
        if kind == "sigmoid":
            return f"the slope of the sigmoid is {y} * (1 - {y}), and the factor 1 - {y} is missing"
        return f"the slope of the tanh is 1 - {y} ** 2, and the square is missing"


@register
class OtherHalfOfTheSlope(SlopeMistake):
    """1 - a for a (1 - a); a^2 for 1 - a^2."""

    name = "other half of the slope's formula"
    rank = 6
    kinds = SMOOTH

    def wrong(self, kind: str, g: Any, y: Any, z: Any) -> Any:
        return g * (1 - y) if kind == "sigmoid" else g * y**2

    def sentence(self, place: Place) -> str:
        kind, y = place.part.kind, place.part.y.name
        if kind == "sigmoid":
            return f"the slope of the sigmoid is {y} * (1 - {y}), and the factor {y} is missing"
        return f"the slope of the tanh is 1 - {y} ** 2, and the 1 is missing"


@register
class OutputForTheSlope(SlopeMistake):
    """a for its slope: of a relu, the values for the mask."""

    name = "output for the slope"
    rank = 3
    kinds = ("tanh", "relu")

    def wrong(self, kind: str, g: Any, y: Any, z: Any) -> Any:
        return g * y

    def sentence(self, place: Place) -> str:
        kind, y, z = place.part.kind, place.part.y.name, place.part.z.name
        if kind == "relu":
            return f"the delta is multiplied by the relu's output {y} itself, where its mask, {z} > 0, belongs"
        return f"the delta is multiplied by {y} itself, where the slope of the tanh, 1 - {y} ** 2, belongs"


@register
class SlopeWithPlus(SlopeMistake):
    """1 + a^2 for 1 - a^2; a (1 + a) for a (1 - a)."""

    name = "plus in the slope's formula"
    rank = 4
    kinds = SMOOTH

    def wrong(self, kind: str, g: Any, y: Any, z: Any) -> Any:
        return g * y * (1 + y) if kind == "sigmoid" else g * (1 + y**2)

    def sentence(self, place: Place) -> str:
        kind, y = place.part.kind, place.part.y.name
        right, wrong = f"1 - {y} ** 2", f"1 + {y} ** 2"
        if kind == "sigmoid":
            right, wrong = f"{y} * (1 - {y})", f"{y} * (1 + {y})"
        return f"the slope of the {kind} is {right}, not {wrong}"


@register
class SquareOfTheDifference(SlopeMistake):
    """(1 - a)^2 for 1 - a^2."""

    name = "square around the difference"
    rank = 5
    kinds = ("tanh",)

    def wrong(self, kind: str, g: Any, y: Any, z: Any) -> Any:
        return g * (1 - y) ** 2

    def sentence(self, place: Place) -> str:
        y = place.part.y.name
        return f"the slope of the tanh is 1 - {y} ** 2, not (1 - {y}) ** 2: the square belongs to {y} alone"


class Order:
    """How an outer product was written: in rows or columns, y before 1 - y or the other way round."""

    def __init__(self, rows: bool, exchanged: bool) -> None:
        self.rows = rows
        self.exchanged = exchanged
        self.name = "the factors exchanged" if exchanged else ""


@register
class SlopeAsMatrix(SlopeMistake):
    """np.mat: what was meant elementwise is a product of matrices."""

    name = "matrix product for elementwise"
    rank = 3
    kinds = SMOOTH

    def at(self, network: Network, part: Activation) -> Iterator[Place]:
        if len(part.y.shape) == 2:
            rows = any(each.left for each in network.products)
            several = part.y.shape[1 if rows else 0] > 1  # of a single unit the outer product is a number
            for other in (Order(rows, False), Order(rows, True))[: 1 + several]:
                yield Place(part.z, part, part.kind, network.signature(part.y), other, also=(part.y.name,))

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        order, tanh = place.other, place.part.kind == "tanh"

        def wrong(g: Any, y: Any, z: Any) -> Any:
            first, second = 1 + y if tanh else y, 1 - y
            if order.exchanged:
                first, second = second, first
            return g @ (first.T @ second) if order.rows else (first @ second.T) @ g

        return {place.part.edge: Rule(self.reads(place), wrong)}

    def sentence(self, place: Place) -> str:
        kind, y = place.part.kind, place.part.y.name
        return (
            f"the slope of the {kind} at {y} has to be multiplied elementwise, and was multiplied as a matrix: "
            "on np.mat (or with @) `*` is the matrix product, and the slope becomes an outer product"
        )


@register
class SlopeByMatrixProduct(SlopeMistake):
    """g @ slope where g * slope is meant; it needs as many records as units."""

    name = "matrix product with the slope"
    rank = 5

    def at(self, network: Network, part: Activation) -> Iterator[Place]:
        if len(part.y.shape) == 2 and part.y.shape[0] == part.y.shape[1]:
            yield from super().at(network, part)

    def wrong(self, kind: str, g: Any, y: Any, z: Any) -> Any:
        return g @ slope_at(kind, z)

    def sentence(self, place: Place) -> str:
        y = place.part.y.name
        return f"the delta is multiplied with the slope at {y} as matrices (`@`, or `*` on np.mat), not elementwise"


# ---- the batch before ----------------------------------------------------------------------------------------------


@register
class SlopeOfTheBatchBefore(SlopeMistake):
    """The slope is taken from activations kept from the previous batch."""

    name = "slope of the batch before"
    rank = 5

    def at(self, network: Network, part: Activation) -> Iterator[Place]:
        if network.replay.stale is not None:
            yield from super().at(network, part)

    def reads(self, place: Place) -> tuple[Read, ...]:
        return Delta(place.part.y), Stale(place.part.y), place.part.z

    def wrong(self, kind: str, g: Any, y: Any, z: Any) -> Any:
        return g * slope_of_output(kind, y)

    def sentence(self, place: Place) -> str:
        return f"the slope at {place.part.y.name} comes from the batch before: the activations are stale"
