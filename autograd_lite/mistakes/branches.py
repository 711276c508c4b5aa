"""Mistakes at a value that is used several times: a use left out, counted twice, or the only one that counts; and at
a value that is multiplied or added to: a factor or an epsilon left out.

Regularisation is such a use: the penalty's part of a weight's gradient. So is a loop over records, where every record
uses the weights once more.

Read next: `factors.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..anatomy import Network
from ..heads import times
from ..program import Operation, Variable
from ..rules.index import GETITEM, filled
from ..sites import Delta, Edge, Forward, Overrides, Rule
from .base import Mistake, Place, register


class BranchMistake(Mistake):
    """A value that is used several times gets a gradient from each use."""

    def branches(self, network: Network) -> Iterator[tuple[Variable, list[Edge]]]:
        """The values used more than once, parameters and layers' values, with the uses."""
        ends = {each for layer in network.last for each in (layer.z, layer.out)}  # beyond is the loss's own formula
        inner = {each.z for each in network.others}  # of an activation's own formula
        layers = {each for layer in network.layers for each in (layer.z, layer.out, layer.product.x)} - ends - inner
        for each, edges in network.replay.consumers.items():
            sent = [edge for edge in edges if edge in network.right.parts]
            if len(sent) > 1 and (each in network.program.inputs or each in layers):
                yield each, sent


class Use:
    """One use of a value."""

    def __init__(self, edge: Edge, name: str, line: str, penalty: bool) -> None:
        self.edge = edge
        self.name = "penalty" if penalty else f"use {name}"
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
class FactorLost(Mistake):
    """What a value is multiplied with on the way forward, as the mask of a dropout, is left out on the way back."""

    name = "elementwise factor lost"
    rank = 3

    def places(self, network: Network) -> Iterator[Place]:
        for k, step in enumerate(network.operations):
            if step.primitive.called in (np.multiply, np.divide) and step.outputs[0] in network.right.totals:
                x, m = step.inputs if step.inputs[0] in network.replay.active else reversed(step.inputs)
                constant = isinstance(m, Variable) and m not in network.replay.active
                if constant and x in network.right.totals and x.shape == step.outputs[0].shape and m.shape:
                    edge = Edge(k, step.inputs.index(x))
                    maker = network.replay.makers.get(x)
                    logarithm = maker is not None and network.operations[maker].primitive.called is np.log
                    if edge in network.right.parts and not logarithm:  # nobody forgets the targets of t * log(p)
                        yield Place(x, edge, "factors", network.signature(x), m)

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        return {place.part: Rule((Delta(network.operations[place.part.operation].outputs[0]),), lambda g: 1 * g)}

    def sentence(self, place: Place) -> str:
        x, m = place.of.name, place.other.name
        return f"{x} is multiplied by {m} on the way forward, and not on the way back: d_{x} lacks that factor"


@register
class RowsAssigned(Mistake):
    """d[i] += g for np.add.at(d, i, g): of an index that occurs several times the last one counts."""

    name = "repeated indices"
    rank = 3

    def places(self, network: Network) -> Iterator[Place]:
        for k, step in enumerate(network.operations):
            x, *arrays = step.inputs
            edge = Edge(k, 0)
            if step.primitive is GETITEM and arrays and edge in network.right.parts and isinstance(x, Variable):
                index = filled(step.settings["index"], tuple(network.values[each] for each in arrays))
                times_read = np.zeros(x.shape)
                np.add.at(times_read, index, 1)
                if np.max(times_read, initial=0) > 1:
                    yield Place(x, (edge, arrays), "indices", network.signature(x))

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        edge, arrays = place.part
        step = network.operations[edge.operation]

        def wrong(g: Any, *given: Any) -> Any:
            found = np.zeros(place.of.shape, g.dtype)
            found[filled(step.settings["index"], given)] += g
            return found

        return {edge: Rule((Delta(step.outputs[0]), *arrays), wrong)}

    def sentence(self, place: Place) -> str:
        x = place.of.name
        return (
            f"the same rows of {x} are picked several times, and d_{x}[index] += ... adds only once for each: "
            f"np.add.at(d_{x}, index, ...) adds every time"
        )


@register
class EpsilonLeftOut(Mistake):
    """A small constant of the forward pass, as in log(p + 1e-8), that the derivation does without."""

    name = "epsilon left out"
    rank = 3

    def places(self, network: Network) -> Iterator[Place]:
        for k, step in enumerate(network.operations):
            if step.primitive.called is np.add and step.outputs[0] in network.right.totals:
                x, eps = step.inputs if isinstance(step.inputs[0], Variable) else reversed(step.inputs)
                if isinstance(eps, float) and 0 < eps <= _EPSILON and x in network.replay.active:
                    yield Place(x, Edge(k, step.inputs.index(x)), "epsilons", network.signature(x), Epsilon(eps, step))

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        return {Forward(place.part.operation): Rule((place.of,), lambda x: 1 * x)}

    def sentence(self, place: Place) -> str:
        where = place.other.line
        return (
            f"the {place.other.value:g} that is added to {place.of.name} ({where}) is left out of the derivation: "
            "a difference that does no harm"
        )


_EPSILON = 1e-4  # no larger constant is there for safety alone


class Epsilon:
    """A small constant, and where it stands."""

    def __init__(self, value: float, step: Operation) -> None:
        self.value = value
        self.name = f"{value:g}"
        self.line = step.place


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


class PenaltyMistake(BranchMistake):
    """A regularisation term that is there, with another number before it."""

    def places(self, network: Network) -> Iterator[Place]:
        """The terms, by parameter."""
        for variable, edges in self.branches(network):
            for edge in edges if len(edges) <= 4 else ():
                use = _use(network, edge)
                if use.penalty and variable in network.program.inputs:
                    yield Place(variable, variable, "branches", network.signature(variable), use)


def penalised(network: Network) -> set[Variable]:
    """The parameters that have a regularisation term in the loss."""
    return {each.of for each in PenaltyMistake().places(network)}


@register
class PenaltySubtracted(PenaltyMistake):
    """Its gradient with a minus."""

    name = "regularisation subtracted"
    rank = 4

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        right = network.replay.rule(place.other.edge)
        return {place.other.edge: Rule(right.reads, lambda *arrays: -right.function(*arrays))}

    def sentence(self, place: Place) -> str:
        return f"the regularisation term of {place.of.name} ({place.other.line}) is subtracted in its gradient"


@register
class PenaltyOfAnotherSize(PenaltyMistake):
    """Its factor 2, 1/2 or 1/N missing or too many: any factor."""

    name = "regularisation of another size"
    rank = 5
    free = True
    usual = 0.1
    weight = 1.32  # of a single number, some factor is named first

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        right = network.replay.rule(place.other.edge)
        return {place.other.edge: Rule(right.reads, lambda *arrays: times(right.function(*arrays), c))}

    def plausible(self, c: float, scale: float | None) -> bool:
        return super().plausible(c, scale) and c > 0 and abs(c - 1) > 0.01

    def sentence(self, place: Place) -> str:
        return f"the regularisation term of {place.of.name} ({place.other.line}) has another factor in its gradient"


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
