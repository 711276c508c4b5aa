"""Case: what a check may look at: the network and its values, the loss and its gradients, how good the answers are.

A check is a function `check(case)` that yields findings.

Read next: `targets.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

import autograd_lite as ag
from autograd_lite.joint import with_gradients
from autograd_lite.lifting import lift
from autograd_lite.program import Program, Variable
from autograd_lite.recording import Node
from autograd_lite.trees import flatten

from .anatomy import Anatomy
from .findings import Finding
from .network import Network
from .records import Array, history_rows
from .trial import Rates, trial

BEGUN, LEARNED = 0.1, 0.5  # shares of the way from the best constant answer to a perfect one
REFUSALS = (ValueError, TypeError, IndexError, AssertionError)  # what a loss raises for targets that do not suit it


class Case(Network):
    """A network with its loss, and what can be seen of both.

    `loss` and `gradient` belong to the few records. `history` has a dict of figures for each epoch. `refusal` is what
    the loss raised, if it did.
    """

    def __init__(self, model: Any, loss: Any, x: Any, y: Any, history: Any, optimizer: Any) -> None:
        super().__init__(model, x, y)
        self.loss_fn = loss
        self.history = history_rows(history)
        self.optimizer = optimizer
        self.refusal: Exception | None = None

    # ---- the loss ----------------------------------------------------------------------------------------------

    @cached_property
    def whole(self) -> Program | None:
        """The loss of the few as a program, None if it cannot be computed: `refusal` says why."""

        def whole(x: Any, y: Any) -> Any:
            return self.loss_fn(self.model(x), y)

        assert self.output is not None  # a model that returns no array is told before its loss fails
        try:
            program = ag.trace(whole, self.few_x, self.few_y)
        except REFUSALS:
            self.refusal = self._refused()
            if self.refusal is None:
                raise  # it is the tracing that the loss does not take, and the error says why
            return None
        output = program.outputs[0] if len(program.outputs) == 1 else None
        if not isinstance(output, Variable) or np.prod(output.shape, dtype=int) != 1:
            raise TypeError("diagnose: the loss must be one number: reduce it with np.mean or np.sum.")
        return lift(program)

    def _refused(self) -> Exception | None:
        """What the loss raises for the few as they are."""
        try:
            with ag.no_grad():
                self.loss_fn(ag.tensor(self.prediction), ag.tensor(self.few_y))
        except REFUSALS as error:
            return error
        return None

    @cached_property
    def loss_anatomy(self) -> Anatomy | None:
        """The parts of network and loss together."""
        return None if self.whole is None else Anatomy(self.whole)

    @cached_property
    def both(self) -> Program | None:
        """Loss and gradients of the few as a program; None where there is nothing to differentiate."""
        if self.whole is None:
            return None
        wanted = [each for each, leaf in self.whole.values.items() if leaf.requires_grad and each.dtype.kind == "f"]
        if not wanted:
            return None
        program = replace(self.whole, updates=(), returns=flatten(0)[1])
        return with_gradients(program, (self.few_x, self.few_y), wanted)

    @cached_property
    def _loss_and_gradients(self) -> tuple[float, dict[Node, Array]]:
        if self.both is None:
            found = self.whole(self.few_x, self.few_y) if self.whole is not None else np.nan
            return float(found), {}
        value, gradients = self.both(self.few_x, self.few_y)
        leaves = [leaf for each, leaf in self.whole.values.items() if leaf.requires_grad and each.dtype.kind == "f"]  # type: ignore[union-attr]  # both comes from it
        return float(value), dict(zip(leaves, gradients, strict=True))

    @property
    def loss(self) -> float:
        """The loss of the few; nan if it cannot be computed."""
        return self._loss_and_gradients[0]

    def gradient(self, variable: Variable) -> Array | None:
        """The gradient of one of the network's parameters; None if the loss does not depend on it."""
        return self._loss_and_gradients[1].get(self.program.values[variable])

    def loss_of(self, prediction: Any, y: Any = None) -> float:
        """The loss of any prediction for the few; nan if it is refused."""
        try:
            with ag.no_grad():
                return float(self.loss_fn(ag.tensor(prediction), ag.tensor(self.few_y if y is None else y)))
        except REFUSALS:
            return float("nan")

    def pull(self, prediction: Any) -> Array | None:
        """The loss's gradient at any prediction for the few; None if it is refused."""
        target = ag.tensor(self.few_y)
        try:
            found: Array = ag.grad(lambda p: self.loss_fn(p, target))(np.asarray(prediction, self.prediction.dtype))
        except (*REFUSALS, RuntimeError):
            return None
        return found

    @cached_property
    def compares(self) -> bool:
        """Whether the loss draws each output to its target: least, with a slope of 0, where they are equal."""
        if self.few_y.dtype.kind not in "fiub" or self.few_y.shape != self.prediction.shape:
            return False
        slope = self.pull(self.few_y)
        away = self.pull(self.few_y + 1.0)
        if slope is None or away is None or not np.all(np.isfinite(slope)):
            return False
        return bool(np.max(np.abs(slope), initial=0) <= 1e-6 * np.max(np.abs(away), initial=0))

    @cached_property
    def summed(self) -> bool:
        """Whether the loss grows with the number of records: twice as many, twice as much."""
        axis = self.anatomy.axes.get(self.output)
        if axis is None or self.records.axis is None or not np.isfinite(self.loss) or self.loss == 0:
            return False
        twice = np.concatenate([self.prediction] * 2, axis)
        now = self.loss_of(self.prediction)
        ratio = self.loss_of(twice, np.concatenate([self.few_y] * 2, self._axis)) / now
        return bool(abs(ratio - 2) < 0.01)

    @property
    def scale(self) -> float:
        """By what the gradient of the few is to be multiplied to be that of all: a sum grows with the records."""
        return len(self.records) / self.few_x.shape[self._axis] if self.summed else 1.0

    @cached_property
    def rates(self) -> Rates | None:
        """Where the optimizer's rate leads, and others; None without an optimizer, or with nothing to train."""
        if self.optimizer is None or self.both is None or not np.isfinite(self.loss) or self.loss == 0:
            return None
        return Rates(self, self.optimizer)

    @property
    def rate(self) -> float:
        """The optimizer's rate, the largest of its groups."""
        return max((float(group["lr"]) for group in self.optimizer.param_groups), default=0.0)

    @cached_property
    def alive(self) -> bool:
        """Whether fifty steps of Adam bring the loss well below that of the best constant answer."""
        for factor in (1.0, 10.0, 0.1):
            course = trial(self, None, factor, steps=50)
            if course is None:
                return False
            share = self.share_learned(course.last / self.scale)
            if share > BEGUN or (np.isnan(share) and course.last < course.losses[0] - BEGUN * abs(course.losses[0])):
                return True
        return False

    # ---- how good it is ----------------------------------------------------------------------------------------

    @cached_property
    def labels(self) -> Array | None:
        """The class of each of the few, if the targets are classes: indices, one-hot rows, or 0 and 1."""
        y, out = self.few_y, self.prediction
        if self._indices(y):
            return y.ravel()
        if y.shape != out.shape or not np.all((y == 0) | (y == 1)):
            return None
        rows = self._rows(y)
        if rows is not None and rows.ndim == 2 and rows.shape[1] > 1:
            return np.argmax(rows, axis=1) if np.all(rows.sum(axis=1) == 1) else None
        return y.ravel().astype(int)

    def _indices(self, y: Array) -> bool:
        out = self.prediction
        return y.dtype.kind in "iu" and out.ndim == y.ndim + 1 and out.shape[:1] + out.shape[2:] == y.shape

    def _rows(self, value: Array) -> Array | None:
        found: Array | None = self.anatomy.records_first(self.output, value)
        return value if found is None and self.records.axis == 0 else found

    @cached_property
    def guesses(self) -> Array | None:
        """The class that the network answers for each of the few, where the targets are classes."""
        if self.labels is None:
            return None
        out = self.prediction
        if self._indices(self.few_y):
            return np.asarray(np.argmax(out, axis=1)).ravel()
        rows = self._rows(out)
        if rows is not None and rows.ndim == 2 and rows.shape[1] > 1:
            return np.asarray(np.argmax(rows, axis=1))
        bound = 0.5 if self.compares or self.interval == (0.0, 1.0) else 0.0
        return (out > bound).ravel().astype(int)

    @cached_property
    def constant_loss(self) -> float:
        """The loss of the best answer that is the same for all records, as far as it is known; nan if it is not."""
        low, high = self.interval
        within = [each for each in self._constants() if np.all((each >= low) & (each <= high))]
        losses = [self.loss_of(each) for each in within]
        losses = [each for each in losses if np.isfinite(each)]
        return min(losses, default=float("nan"))

    def _constants(self) -> Iterator[Array]:
        """Answers alike for all records: the mean target, as a number, a logarithm, or a logit."""
        out, y = self.prediction, self.few_y
        with np.errstate(all="ignore"):
            if self._indices(y):
                shares: Array = np.array([np.mean(y == each) for each in range(out.shape[1])])
                shares = np.reshape(shares, (1, -1) + (1,) * (out.ndim - 2))
            elif y.shape == out.shape and y.dtype.kind in "fiub":
                axis = self.anatomy.axes.get(self.output, 0)
                shares = np.asarray(np.mean(y, axis=axis, keepdims=True, dtype=np.float64) if y.ndim else y)
                yield np.broadcast_to(np.median(y, axis=axis, keepdims=True) if y.ndim else y, out.shape) * 1.0
            else:
                return
            for each in (shares, np.log(np.maximum(shares, 1e-12)), np.log(shares) - np.log(1 - shares)):
                if np.all(np.isfinite(each)):
                    yield np.ascontiguousarray(np.broadcast_to(each, out.shape), out.dtype)

    def share_learned(self, loss: float) -> float:
        """How far a loss is from that of the best constant answer (0) to none at all (1); nan if that is not known."""
        best = self.constant_loss
        return 1 - loss / best if np.isfinite(best) and best > 0 else float("nan")

    @property
    def on_its_way(self) -> bool:
        """Whether the network already answers better than any constant: so far nothing has kept it from learning."""
        return self.share_learned(self.loss) >= BEGUN

    @cached_property
    def learned(self) -> bool:
        """Whether the network answers much better than any constant: what it does well enough needs no remedy."""
        share = self.share_learned(self.loss)
        if share >= LEARNED or share < 0 or self.labels is None or self.guesses is None:
            return share >= LEARNED
        most = np.max(np.unique(self.labels, return_counts=True)[1]) / len(self.labels)
        right = np.mean(self.guesses == self.labels)
        return bool(right == 1 or (most < 1 and (right - most) / (1 - most) >= LEARNED))


Check: TypeAlias = Callable[[Case], Iterator[Finding]]
