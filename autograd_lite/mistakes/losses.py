"""Mistakes at the loss: the gradient of another loss, of another output, without the target, of the batch before.

Read next: `products.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from ..anatomy import Network
from ..heads import Head, activate, heads_of, slope_of_output, through, times
from ..program import Variable
from ..sites import Overrides, Read, Rule, Stale, Total
from .base import Mistake, Place, register
from .softmaxes import Axis, other_axes


class LossMistake(Mistake):
    """Another gradient at the last layer's z than that of the loss."""

    losses: ClassVar[tuple[str, ...]] = ("squared error", "cross-entropy", "binary cross-entropy")
    activations: ClassVar[tuple[str, ...]] = ("identity", "sigmoid", "tanh", "relu", "softmax")

    def places(self, network: Network) -> Iterator[Place]:
        """The heads."""
        for head in _heads(network):
            if head.loss in self.losses and head.activation in self.activations:
                yield from self.at(network, head)

    def at(self, network: Network, head: Head) -> Iterator[Place]:
        """The places at one head."""
        yield place_at(network, head)

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        """The wrong gradient at z."""
        head: Head = place.part

        def wrong(a: Any, t: Any, z: Any) -> Any:
            return times(self.wrong(head, head.output(a), t, z), head.factor)

        return {Total(head.z): Rule(head.reads, wrong)}

    def wrong(self, head: Head, p: Any, t: Any, z: Any) -> Any:
        """What arrives at z, up to the factor of the loss."""
        raise NotImplementedError


def place_at(network: Network, head: Head, other: Any = None) -> Place:
    """A head as a place."""
    names = tuple(dict.fromkeys(("loss", head.layer.out.name)))
    return Place(head.z, head, "loss", network.signature(head.z), other, names)


def _heads(network: Network) -> list[Head]:
    """The heads of a network, looked for once."""
    if network.heads is None:
        network.heads = heads_of(network)
    return network.heads


def output_name(place: Place) -> str:
    """What the output is called."""
    name: str = place.part.layer.out.name
    own = place.part.explicit or place.part.activation == "identity"
    return name if own else f"{place.part.activation}({name})"


def target_name(place: Place) -> str:
    """What the targets are called."""
    return str(place.part.targets.name)


@register
class CrossEntropyShortcut(LossMistake):
    """p - t for the squared error, where the activation's derivative does not cancel."""

    name = "cross-entropy's gradient for the squared error"
    rank = 1
    losses = ("squared error",)
    activations = ("sigmoid", "tanh", "softmax")

    def wrong(self, head: Head, p: Any, t: Any, z: Any) -> Any:
        return p - t

    def sentence(self, place: Place) -> str:
        p, t, kind = output_name(place), target_name(place), place.part.activation
        loss = "binary cross-entropy" if kind != "softmax" else "cross-entropy"
        return (
            f"d_{place.of.name} is {p} - {t}: with the squared error the derivative of the {kind} belongs to it; "
            f"it cancels with the {loss} only"
        )


@register
class SquaredErrorForCrossEntropy(LossMistake):
    """The error once more through the activation, which the cross-entropy cancels."""

    name = "squared error's gradient for the cross-entropy"
    rank = 1
    losses = ("cross-entropy", "binary cross-entropy")

    def wrong(self, head: Head, p: Any, t: Any, z: Any) -> Any:
        return through("squared error", head.activation, p, p - t, z, head.axis)

    def sentence(self, place: Place) -> str:
        p, t, kind = output_name(place), target_name(place), place.part.activation
        what = "Jacobian" if kind == "softmax" else "slope"
        return (
            f"{p} - {t} is multiplied by the {kind}'s {what}: that is the gradient of the squared error, "
            f"0.5 * sum(({p} - {t}) ** 2), and not of the {place.part.loss} that is reported, which cancels it"
        )


@register
class ErrorThroughTheDiagonal(LossMistake):
    """p (1 - p) (p - t) at a softmax."""

    name = "error times p (1 - p)"
    rank = 2
    activations = ("softmax",)

    def wrong(self, head: Head, p: Any, t: Any, z: Any) -> Any:
        return (p - t) * p * (1 - p)

    def sentence(self, place: Place) -> str:
        p, t = output_name(place), target_name(place)
        right = f"{p} - {t} alone" if place.part.loss == "cross-entropy" else "its whole Jacobian"
        return f"{p} - {t} is multiplied by {p} * (1 - {p}), as if the softmax were elementwise; right is {right}"


@register
class LogarithmOnly(LossMistake):
    """-t / p: the derivative of the logarithm, without the softmax's."""

    name = "activation's derivative missing after the logarithm"
    rank = 4
    losses = ("cross-entropy",)

    def wrong(self, head: Head, p: Any, t: Any, z: Any) -> Any:
        return -t / p

    def sentence(self, place: Place) -> str:
        p, t = output_name(place), target_name(place)
        return f"d_{place.of.name} is -{t} / {p}, the gradient with respect to {p}: the softmax's derivative is missing"


@register
class HalfOfTheCrossEntropy(LossMistake):
    """-t (1 - p): only the term of t log p, or only the diagonal."""

    name = "half of the cross-entropy"
    rank = 4
    losses = ("cross-entropy", "binary cross-entropy")

    def wrong(self, head: Head, p: Any, t: Any, z: Any) -> Any:
        return -t * (1 - p)

    def sentence(self, place: Place) -> str:
        p, t = output_name(place), target_name(place)
        if place.part.activation == "softmax":
            return f"d_{place.of.name} is -{t} * (1 - {p}): only the diagonal of the softmax's Jacobian is in it"
        return f"d_{place.of.name} is -{t} * (1 - {p}): the term (1 - {t}) * log(1 - {p}) of the loss is left out"


@register
class SignOfTheSecondTerm(LossMistake):
    """-t / p - (1 - t) / (1 - p): the inner derivative of log(1 - p) is -1."""

    name = "sign of the second term"
    rank = 3
    losses = ("binary cross-entropy",)

    def wrong(self, head: Head, p: Any, t: Any, z: Any) -> Any:
        return -t * (1 - p) - (1 - t) * p

    def sentence(self, place: Place) -> str:
        p, t = output_name(place), target_name(place)
        return (
            f"the second term of the binary cross-entropy's derivative has the wrong sign: it is + (1 - {t}) / "
            f"(1 - {p}), for log(1 - {p}) falls with {p}"
        )


class LabelsMistake(LossMistake):
    """1 is subtracted in other places than at each record's own class."""

    losses = ("cross-entropy",)

    def at(self, network: Network, head: Head) -> Iterator[Place]:
        if len(head.z.shape) == 2 and head.axis is not None and head.z.shape[1 - head.axis % 2] > 1:
            yield place_at(network, head)


@register
class LabelsAsColumns(LabelsMistake):
    """p[:, labels] -= 1: in every record, for every class that occurs."""

    name = "labels index whole columns"
    rank = 5

    def wrong(self, head: Head, p: Any, t: Any, z: Any) -> Any:
        return p - np.max(t, axis=1 - head.axis % 2, keepdims=True)

    def sentence(self, place: Place) -> str:
        p = output_name(place)
        return f"1 is subtracted from {p} in every record for every class that occurs: {p}[range(N), labels] -= 1"


@register
class LabelsAsRecords(LabelsMistake):
    """p[labels] -= 1: in the records whose numbers are the labels, for every class."""

    name = "labels index records"
    rank = 5

    def at(self, network: Network, head: Head) -> Iterator[Place]:
        yield from (each for each in super().at(network, head) if head.z.shape[1] <= head.z.shape[0] and head.axis % 2)

    def wrong(self, head: Head, p: Any, t: Any, z: Any) -> Any:
        seen = np.max(t, axis=0)  # the labels that occur, as numbers of records
        rest = np.zeros(p.shape[0] - p.shape[1])
        return p - np.concatenate([seen, rest])[:, None]

    def sentence(self, place: Place) -> str:
        p = output_name(place)
        return (
            f"the labels index the records of {p} instead of the classes, and 1 is subtracted from whole rows: "
            f"{p}[range(N), labels] -= 1"
        )


@register
class SoftmaxOfTheHeadAlongAnotherAxis(LossMistake):
    """p - t with a p that sums to 1 along another axis, or over the whole batch."""

    name = "probabilities over the wrong axis"
    rank = 2
    activations = ("softmax",)

    def at(self, network: Network, head: Head) -> Iterator[Place]:
        for axis in other_axes(head.z.shape, head.axis):
            yield place_at(network, head, Axis(axis))

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        head, axis = place.part, place.other.axis

        def wrong(a: Any, t: Any, z: Any) -> Any:
            p = activate("softmax", z, axis)  # the derivative that follows goes by record, as it should
            return times(through(head.loss, "softmax", p, p - t, z, head.axis), head.factor)

        return {Total(head.z): Rule(head.reads, wrong)}

    def sentence(self, place: Place) -> str:
        axis = place.part.axis
        return (
            f"the softmax of {place.of.name} in the hand-written pass goes {place.other.words} instead of along axis "
            f"{axis}: its probabilities do not sum to 1 for each record"
        )


@register
class PreActivationForOutput(LossMistake):
    """z - t for a - t."""

    name = "error of the pre-activation"
    rank = 4
    activations = ("sigmoid", "tanh", "relu", "softmax")

    def wrong(self, head: Head, p: Any, t: Any, z: Any) -> Any:
        return through(head.loss, head.activation, p, z - t, z, head.axis)

    def sentence(self, place: Place) -> str:
        return f"the error is {place.of.name} - {target_name(place)}: the output goes through the activation first"


@register
class TargetForgotten(LossMistake):
    """The output itself for the error."""

    name = "target forgotten"
    rank = 4

    def wrong(self, head: Head, p: Any, t: Any, z: Any) -> Any:
        return 1 * through(head.loss, head.activation, p, p, z, head.axis)

    def sentence(self, place: Place) -> str:
        p, t = output_name(place), target_name(place)
        return f"the error is {p} instead of {p} - {t}: the target is left out, as in the derivative of {p} ** 2"


@register
class ActivationTwice(LossMistake):
    """The activation of the output, which is one already."""

    name = "activation of the output once more"
    rank = 3
    activations = ("sigmoid", "tanh", "softmax")

    def wrong(self, head: Head, p: Any, t: Any, z: Any) -> Any:
        again = activate(head.activation, p, head.axis)
        return through(head.loss, head.activation, again, again - t, z, head.axis)

    def sentence(self, place: Place) -> str:
        p, kind = output_name(place), place.part.activation
        return f"the {kind} is applied twice in the hand-written pass: {p} comes from a {kind} already"


class Slope:
    """The slope of a function that is not there."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.name = f"the slope of a {kind}"


@register
class SlopeOfALinearOutput(LossMistake):
    """The error times the slope of an activation that the output does not have."""

    name = "slope at a linear output"
    rank = 3
    activations = ("identity",)

    def at(self, network: Network, head: Head) -> Iterator[Place]:
        yield from (place_at(network, head, Slope(kind)) for kind in ("sigmoid", "tanh", "relu"))

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        head, kind = place.part, place.other.kind

        def wrong(a: Any, t: Any, z: Any) -> Any:
            return times((a - t) * slope_of_output(kind, a), head.factor)

        return {Total(head.z): Rule(head.reads, wrong)}

    def sentence(self, place: Place) -> str:
        p, kind = output_name(place), place.other.kind
        formula = {"sigmoid": f"{p} * (1 - {p})", "tanh": f"1 - {p} ** 2", "relu": f"{p} > 0"}[kind]
        return f"the output {p} is linear, but its error is multiplied by the slope of a {kind}, {formula}"


@register
class TargetAdded(LossMistake):
    """a + t for a - t."""

    name = "target added"
    rank = 5

    def wrong(self, head: Head, p: Any, t: Any, z: Any) -> Any:
        return 1 * through(head.loss, head.activation, p, p + t, z, head.axis)

    def sentence(self, place: Place) -> str:
        p, t = output_name(place), target_name(place)
        return f"the error is {p} + {t} instead of {p} - {t}"


@register
class LossForItsDerivative(LossMistake):
    """(a - t)^2 for a - t."""

    name = "loss for its derivative"
    rank = 4
    losses = ("squared error",)

    def wrong(self, head: Head, p: Any, t: Any, z: Any) -> Any:
        return through(head.loss, head.activation, p, (p - t) ** 2, z, head.axis)

    def sentence(self, place: Place) -> str:
        p, t = output_name(place), target_name(place)
        return f"the loss ({p} - {t}) ** 2 itself is sent back instead of its derivative, 2 * ({p} - {t})"


@register
class AbsoluteError(LossMistake):
    """sign(a - t) for a - t."""

    name = "absolute error's gradient for the squared error"
    rank = 5
    losses = ("squared error",)

    def wrong(self, head: Head, p: Any, t: Any, z: Any) -> Any:
        return through(head.loss, head.activation, p, np.sign(p - t), z, head.axis)

    def sentence(self, place: Place) -> str:
        p, t = output_name(place), target_name(place)
        return f"the error is sign({p} - {t}), the derivative of the absolute error, not of the squared one"


@register
class ErrorOfTheBatchBefore(LossMistake):
    """The targets, or the outputs, of the previous batch."""

    name = "error of the batch before"
    rank = 5

    def at(self, network: Network, head: Head) -> Iterator[Place]:
        if network.replay.stale is not None:
            yield from (place_at(network, head, each) for each in (head.targets, head.layer.out) if _is(each))

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        head = place.part
        reads = tuple(Stale(each) if each is place.other else each for each in head.reads)
        return {Total(head.z): Rule(reads, head.rule().function)}

    def sentence(self, place: Place) -> str:
        return f"the error is computed with the {place.other.name} of the batch before"


def _is(each: Read) -> bool:
    return isinstance(each, Variable)
