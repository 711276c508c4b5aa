"""A short training of copies: what a step does to the weights, and which rates lead down.

Read next: `case.py`.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from autograd_lite.recording import Node

from ..modules import Parameter
from ..optim import Adam, Optimizer

if TYPE_CHECKING:
    from .case import Case

Array: TypeAlias = np.ndarray[Any, Any]

STEPS = 20


@dataclass
class Course:
    """The losses of a few steps: before each, and after the last; `start` and `end` are the weights by name."""

    losses: list[float]
    start: dict[str, Array]
    end: dict[str, Array]

    @property
    def last(self) -> float:
        """The mean of the last three losses, inf if one of them is no number."""
        found = float(np.mean(self.losses[-3:]))
        return found if np.isfinite(found) else float("inf")

    @property
    def relative_changes(self) -> dict[str, float]:
        """By weight matrix, how far it moved, as a multiple of its own size."""
        sizes = {name: np.linalg.norm(each) for name, each in self.start.items() if each.ndim > 1}
        return {
            name: float(np.linalg.norm(self.end[name] - self.start[name]) / size)
            for name, size in sizes.items()
            if size
        }


def trial(case: Case, optimizer: Optimizer | None, factor: float = 1.0, steps: int = STEPS) -> Course | None:
    """Train copies of the parameters on the few records by a copy of the optimizer, its rate times `factor`; None where
    there is nothing to train. Without an optimizer it is Adam, with a rate of 0.01."""
    if case.both is None or case.whole is None:
        return None
    leaves = {each: leaf for each, leaf in case.both.values.items() if leaf.requires_grad}
    copies = {leaf: Parameter(leaf.array) for leaf in leaves.values()}
    values = {**case.both.values, **{each: _leaf(copies[leaf]) for each, leaf in leaves.items()}}
    program = replace(case.both, values=values)
    rule = _copied(optimizer, copies)
    for group in rule.param_groups:
        group["lr"] *= factor
    wanted = [copies[leaf] for leaf in case.whole.values.values() if leaf in copies]
    names = {copies[leaf]: each.label for each, leaf in case.whole.values.items() if leaf in copies}
    names |= {copies[leaf]: each.label for each, leaf in case.program.values.items() if leaf in copies}
    start = {name: each.data.copy() for each, name in names.items()}
    losses = []
    for step in range(steps + 1):
        value, gradients = program(case.few_x, case.few_y)
        losses.append(float(value) * case.scale)
        if step < steps:
            for each, gradient in zip(wanted, gradients, strict=True):
                each.grad = np.asarray(gradient * case.scale, each.dtype)
            rule.step()
    return Course(losses, start, {name: each.data for each, name in names.items()})


def _leaf(parameter: Parameter) -> Node:
    leaf = parameter._node
    assert isinstance(leaf, Node)
    return leaf


def _copied(optimizer: Optimizer | None, copies: dict[Any, Parameter]) -> Optimizer:
    """An optimizer like the given one, of the copies, with a memory of its own."""
    if optimizer is None:
        return Adam(copies.values(), lr=0.01)
    known = [each for group in optimizer.param_groups for each in group["params"]]
    replaced: dict[int, Any] = {id(each): copies.get(each._node, Parameter(each.data)) for each in known}
    return copy.deepcopy(optimizer, replaced)


class Rates:
    """The losses to which the optimizer's rate leads, and rates up to a hundred times as large and as small."""

    def __init__(self, case: Case, optimizer: Optimizer) -> None:
        self.case = case
        self.optimizer = optimizer
        self._known: dict[float, Course] = {}

    def __getitem__(self, factor: float) -> Course:
        if factor not in self._known:
            self._known[factor] = self.course(factor, STEPS)
        return self._known[factor]

    @cached_property
    def start(self) -> float:
        """The loss before any step."""
        return self[1.0].losses[0]

    def course(self, factor: float, steps: int) -> Course:
        """A course of another number of steps."""
        found = trial(self.case, self.optimizer, factor, steps)
        assert found is not None
        return found

    def gain(self, factor: float) -> float:
        """The share of the loss that the steps take away; negative where it grows."""
        return 1 - self[factor].last / self.start
