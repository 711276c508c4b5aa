"""Mistakes in adding up: over the records of a batch, over the units of a layer, over the uses of a value.

Read next: `factors.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..anatomy import Bias, Network
from ..program import Variable
from ..replay import Delta, Edge, Forward, Overrides, Rule
from .base import Mistake, Place, register
from .products import deltas_like, outer, turned, weight_place


def bias_place(network: Network, part: Bias, other: Any = None) -> Place:
    """The gradient of a bias as a place."""
    return Place(part.parameter, part, "biases", network.signature(part.y), other)


def summed(d: Any, part: Bias) -> Any:
    """A delta, summed over the records to the bias's shape."""
    total = np.sum(d, axis=part.axes, keepdims=True) if part.axes else d
    return np.reshape(total, part.b.shape)


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
    rank = 2

    def wrong(self, d: Any, part: Bias) -> Any:
        return np.reshape(np.mean(d, axis=part.axes, keepdims=True), part.b.shape)

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
    index = 0 if first else -1
    return d[tuple(slice(index, index + 1 or None) if i in axes else slice(None) for i in range(max(axes) + 1))]


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
        return {part.edge: Rule((Delta(place.other),), lambda d: summed(d, part))}

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
            return {part.edge: Rule((Delta(part.y),), lambda d: np.reshape(last(d, part.axes, first), part.b.shape))}
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


# ---- the uses of a value -------------------------------------------------------------------------------------------


class BranchMistake(Mistake):
    """A value that is used several times gets a gradient from each use."""

    def branches(self, network: Network) -> Iterator[tuple[Variable, list[Edge]]]:
        """The values used more than once, parameters and layers' values, with the uses."""
        ends = {each for layer in network.last for each in (layer.z, layer.out)}  # beyond is the loss's own formula
        layers = {each for layer in network.layers for each in (layer.z, layer.out, layer.product.x)} - ends
        for each, edges in network.replay.consumers.items():
            sent = [edge for edge in edges if edge in network.right.parts]
            if len(sent) > 1 and (each in network.program.inputs or each in layers):
                yield each, sent


class Use:
    """One use of a value."""

    def __init__(self, edge: Edge, name: str, line: str, penalty: bool) -> None:
        self.edge = edge
        self.name = f"use {name}"
        self.line = line
        self.penalty = penalty  # it reaches the loss without passing a layer: a regularisation term


def _use(network: Network, edge: Edge) -> Use:
    y = network.operations[edge.operation].outputs[0]
    signals = [each.y for each in network.products]
    penalty = not any(y in network.replay.upstream(each) for each in signals) and len(network.products) > 0
    return Use(edge, y.name, network.operations[edge.operation].place, penalty)


@register
class BranchLost(BranchMistake):
    """The gradient through one use is left out."""

    name = "branch lost"
    rank = 2

    def places(self, network: Network) -> Iterator[Place]:
        for variable, edges in self.branches(network):
            for edge in edges if len(edges) <= 4 else ():
                yield Place(variable, variable, "branches", network.signature(variable), _use(network, edge))

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        return {place.other.edge: Rule((place.of,), np.zeros_like)}

    def sentence(self, place: Place) -> str:
        x, use = place.of.name, place.other
        if use.penalty:
            return f"the regularisation term of {x} ({use.line}) is missing in its gradient"
        return (
            f"{x} is used more than once, and the gradient through {use.name[4:]} ({use.line}) is lost: "
            "the uses' gradients have to be added up"
        )


@register
class BranchTwice(BranchMistake):
    """The gradient through one use is counted twice."""

    name = "branch twice"
    rank = 4

    def places(self, network: Network) -> Iterator[Place]:
        for variable, edges in self.branches(network):
            for edge in edges if len(edges) <= 4 else ():
                yield Place(variable, variable, "branches", network.signature(variable), _use(network, edge))

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        edge = place.other.edge
        right = network.replay.rule(edge)
        return {edge: Rule(right.reads, lambda *arrays: 2 * right.function(*arrays))}

    def sentence(self, place: Place) -> str:
        x, use = place.of.name, place.other
        if use.penalty:
            return f"the regularisation term of {x} ({use.line}) is doubled in its gradient"
        return f"the gradient of {x} through {use.name[4:]} ({use.line}) is counted twice"


class OneUse(BranchMistake):
    """Of many uses one is left."""

    keep = -1
    which = "last"

    def places(self, network: Network) -> Iterator[Place]:
        """The values with many uses: of two, one that is kept is one that is lost."""
        biases = {each.parameter for each in network.biases}
        for variable, edges in self.branches(network):
            if len(edges) > 2:
                group = "biases" if variable in biases else "weights" if variable in network.parameters else "branches"
                yield Place(variable, edges, group, network.signature(variable))

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        """Nothing from the others."""
        kept = sorted(place.part)[self.keep]
        return {edge: Rule((place.of,), np.zeros_like) for edge in place.part if edge != kept}

    def sentence(self, place: Place) -> str:
        """What is wrong, in the user's names."""
        count = len(place.part)
        return (
            f"of the {count} uses of {place.of.name} only the {self.which} one counts: its gradient is assigned where "
            "it has to be added up (`+=`, not `=`)"
        )


@register
class LastUseOnly(OneUse):
    """Assignment where accumulation is meant."""

    name = "last use only"
    rank = 1


@register
class FirstUseOnly(OneUse):
    """Only the first use counts."""

    name = "first use only"
    rank = 3
    keep = 0
    which = "first"
