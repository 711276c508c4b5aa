"""Mistakes in adding up over the records of a batch and the units of a layer.

Read next: `branches.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..anatomy import Bias, Network
from ..sites import Delta, Forward, Overrides, Rule
from .base import Mistake, Place, register
from .products import deltas_like, outer, turned, weight_place


def bias_place(network: Network, part: Bias, other: Any = None) -> Place:
    """The gradient of a bias as a place."""
    return Place(part.parameter, part, "biases", network.signature(part.y), other)


def reduced(function: Callable[..., Any], d: Any, part: Bias) -> Any:
    """A delta, summed or averaged over the records to the bias's shape."""
    if tuple(1 if i in part.axes else n for i, n in enumerate(d.shape)) == part.b.shape:
        return function(d, axis=part.axes, keepdims=True)
    total = function(d, axis=part.axes)
    return total if total.shape == part.b.shape else np.reshape(total, part.b.shape)


class BiasMistake(Mistake):
    """Another reduction of the delta than the sum over the records; the result may have any shape."""

    batch = True  # only where there are several records

    def places(self, network: Network) -> Iterator[Place]:
        """The biases."""
        for each in network.biases:
            if (each.axes or not self.batch) and each.b is each.parameter:
                yield bias_place(network, each)

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        """The wrong reduction."""
        part: Bias = place.part
        return {part.edge: Rule((Delta(part.y),), lambda d: self.wrong(d, part))}

    def wrong(self, d: Any, part: Bias) -> Any:
        """The gradient as it was computed from the delta."""
        raise NotImplementedError


@register
class BiasNotSummed(BiasMistake):
    """One gradient for each record."""

    name = "bias not summed"
    rank = 1

    def wrong(self, d: Any, part: Bias) -> Any:
        return 1 * d

    def sentence(self, place: Place) -> str:
        return f"the gradient of {place.of.name} is not summed over the records: it is the delta itself"


@register
class BiasAveraged(BiasMistake):
    """The mean over the records for the sum."""

    name = "bias averaged"
    rank = 1

    def wrong(self, d: Any, part: Bias) -> Any:
        return reduced(np.mean, d, part)

    def sentence(self, place: Place) -> str:
        return f"the gradient of {place.of.name} is averaged over the records, where the weights' are summed"


@register
class BiasSummedOverUnits(BiasMistake):
    """The sum over the units for the sum over the records."""

    name = "bias summed over the wrong axis"
    rank = 2

    def wrong(self, d: Any, part: Bias) -> Any:
        others = tuple(i for i in range(len(part.y.shape)) if i not in part.axes)
        return np.sum(d, axis=others)

    def sentence(self, place: Place) -> str:
        return f"the gradient of {place.of.name} is summed over the units instead of the records: the wrong axis"


@register
class BiasOneNumber(BiasMistake):
    """Everything summed to one number."""

    name = "bias summed to one number"
    rank = 3
    batch = False

    def wrong(self, d: Any, part: Bias) -> Any:
        return np.broadcast_to(np.sum(d), part.b.shape)

    def sentence(self, place: Place) -> str:
        return f"the gradient of {place.of.name} is one number, the sum over records and units, in every component"


@register
class BiasMeanOfUnits(BiasMistake):
    """The sum over the records, averaged over the units."""

    name = "bias averaged over the units"
    rank = 4
    batch = False

    def wrong(self, d: Any, part: Bias) -> Any:
        return np.broadcast_to(np.mean(reduced(np.sum, d, part)), part.b.shape)

    def sentence(self, place: Place) -> str:
        return f"the gradient of {place.of.name} is one number, averaged over the units, in every component"


@register
class BiasMeanOfAll(BiasMistake):
    """The mean over everything."""

    name = "bias averaged to one number"
    rank = 4
    batch = False

    def wrong(self, d: Any, part: Bias) -> Any:
        return np.broadcast_to(np.mean(d), part.b.shape)

    def sentence(self, place: Place) -> str:
        return f"the gradient of {place.of.name} is one number, the mean over records and units, in every component"


@register
class BiasLastRecordOneNumber(BiasMistake):
    """Assigned in a loop over the records, and summed over the units."""

    name = "bias of the last record, summed to one number"
    rank = 3

    def wrong(self, d: Any, part: Bias) -> Any:
        return np.broadcast_to(np.sum(last(d, part.axes)), part.b.shape)

    def sentence(self, place: Place) -> str:
        b = place.of.name
        return (
            f"the gradient of {b} is the last record's, summed over the units to one number that stands in every "
            "component: it is assigned in the loop over the records where it has to be added up, unit by unit"
        )


def last(d: Any, axes: tuple[int, ...], first: bool = False) -> Any:
    """The last record's part of a delta."""
    number = 0 if first else -1
    one = slice(number, number + 1 or None)
    index = tuple(one if i in axes else slice(None) for i in range(max(axes) + 1))
    return d[index if len(index) > 1 else one]


@register
class BiasOfWrongDelta(Mistake):
    """Another layer's delta, or the delta before the slope, for a bias."""

    name = "bias from the wrong delta"
    rank = 4

    def places(self, network: Network) -> Iterator[Place]:
        if len(network.last) > 1:
            return
        products = {each.y: each for each in network.products}
        for each in network.biases:
            for other in deltas_like(network, products[each.x]):
                yield bias_place(network, each, other)

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        part: Bias = place.part
        return {part.edge: Rule((Delta(place.other),), lambda d: reduced(np.sum, d, part))}

    def sentence(self, place: Place) -> str:
        return f"the gradient of {place.of.name} takes the delta of {place.other.name} instead of its own layer's"


@register
class BiasForgotten(Mistake):
    """The hand-written forward pass leaves a bias out."""

    name = "bias forgotten"
    rank = 4

    def places(self, network: Network) -> Iterator[Place]:
        for each in network.biases:
            yield bias_place(network, each)

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        return {Forward(place.part.edge.operation): Rule((place.part.x,), lambda x: 1 * x)}

    def sentence(self, place: Place) -> str:
        y = place.part.y.name
        return f"the bias {place.of.name} is forgotten in the hand-written forward pass: {y} is computed without it"


@register
class AveragedFirst(Mistake):
    """The mean input times the mean delta for the mean of the products."""

    name = "averaged before the product"
    rank = 5

    def places(self, network: Network) -> Iterator[Place]:
        for each in network.products:
            if len(each.x.shape) == len(each.y.shape) == 2 and each.x.shape[0 if each.left else 1] > 1:
                yield weight_place(network, each)

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        part = place.part
        axis = 0 if part.left else 1

        def wrong(x: Any, d: Any) -> Any:
            mean, total = np.mean(x, axis=axis, keepdims=True), np.sum(d, axis=axis, keepdims=True)
            return turned(outer(mean, total, part.left), part)

        return {part.weight: Rule((part.x, Delta(part.y)), wrong)}

    def sentence(self, place: Place) -> str:
        return (
            f"the gradient of {place.of.name} is the mean input times the mean delta, where each record's input "
            "belongs to its own delta: multiply first, then average"
        )


# ---- one record of many --------------------------------------------------------------------------------------------


class OneRecord(Mistake):
    """Of all records' contributions one is left, as when `=` stands in a loop where `+=` is meant."""

    first = False
    which = "last"

    def places(self, network: Network) -> Iterator[Place]:
        """The weights and the biases."""
        for each in network.products:
            axis = 0 if each.left else 1
            if len(each.x.shape) == len(each.y.shape) == 2 and each.x.shape[axis] > 1:
                yield weight_place(network, each)
        for bias in network.biases:
            if bias.axes:
                yield bias_place(network, bias)

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        """The gradient of one record."""
        part = place.part
        first = self.first
        if isinstance(part, Bias):

            def own(d: Any) -> Any:
                if part.axes == (0,) and part.b.shape == part.y.shape[1:]:
                    return 1 * d[0 if first else -1]
                return np.reshape(last(d, part.axes, first), part.b.shape)

            return {part.edge: Rule((Delta(part.y),), own)}
        axes = (0 if part.left else 1,)

        def wrong(x: Any, d: Any) -> Any:
            return turned(outer(last(x, axes, first), last(d, axes, first), part.left), part)

        return {part.weight: Rule((part.x, Delta(part.y)), wrong)}

    def sentence(self, place: Place) -> str:
        """What is wrong, in the user's names."""
        return (
            f"the gradient of {place.of.name} is the {self.which} record's alone: the records have to be added up "
            "(`+=` in the loop, not `=`)"
        )


@register
class LastRecordOnly(OneRecord):
    """Assignment in the loop over the records."""

    name = "last record only"
    rank = 1


@register
class FirstRecordOnly(OneRecord):
    """The loop ends after one record."""

    name = "first record only"
    rank = 4
    first = True
    which = "first"
