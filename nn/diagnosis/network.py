"""Network: a model as a Program of the records that are looked at, with its parts and all its values.

The model is traced, never trained: nothing here writes to it.

Read next: `trial.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Any

import numpy as np

import autograd_lite as ag
from autograd_lite.guards import Reach
from autograd_lite.lifting import lift
from autograd_lite.program import Program, Variable, compute
from autograd_lite.retracing import undrawn

from ..layers import Dropout
from ..modules import Module
from ..seeding import default_rng
from .anatomy import Activation, Anatomy, Layer
from .ranges import Interval, interval_of
from .records import Array, Records

MOST_ROWS, FEWEST_ROWS = 256, 32  # records that are looked at
ENTRIES = 400_000  # values that one pass may compute: what a large network's records are cut down to


class Network:
    """A model and its records.

    `records` are all inputs and targets, `few_x`, `few_y` those that are looked at; `prediction` and `values` (by
    variable) belong to the few.
    """

    def __init__(self, model: Any, x: Any, y: Any) -> None:
        self.model = model
        self.records = Records(x, y)

    # ---- the records -------------------------------------------------------------------------------------------

    @property
    def x(self) -> Array:
        """All inputs."""
        return self.records.x

    @property
    def y(self) -> Array:
        """All targets."""
        return self.records.y

    @cached_property
    def few_x(self) -> Array:
        """The records that are looked at."""
        return self.records.chosen(self._count)[0]

    @cached_property
    def few_y(self) -> Array:
        """Their targets."""
        return self.records.chosen(self._count)[1]

    @property
    def _axis(self) -> int:
        return self.records.axis or 0

    @cached_property
    def _count(self) -> int:
        if self._fewer is None:
            return MOST_ROWS
        entries = sum(int(np.prod(each.shape)) for op in self._fewer.operations for each in op.outputs)
        each = entries / self._fewer.inputs[0].shape[self._axis]
        return int(np.clip(ENTRIES / max(each, 1), FEWEST_ROWS, MOST_ROWS))

    # ---- the network -------------------------------------------------------------------------------------------

    @cached_property
    def _fewer(self) -> Program | None:
        """The network's program of another number of records, which shows where they lie."""
        if self.records.axis is None:
            return None
        x = self.records.chosen(4)[0]
        if len(self.records.finite) <= 4:
            x = np.concatenate([x, x], self._axis)
        try:
            return lift(ag.trace(self.model, x))
        except Exception:  # a model may be made for one number of records: then where they lie stays unknown
            return None

    @cached_property
    def program(self) -> Program:
        """What the network computes from the few, its formulas recognised."""
        program = lift(ag.trace(self.model, self.few_x))
        if len(program.outputs) != 1 or not isinstance(program.outputs[0], Variable):
            raise TypeError("diagnose: the model must return one array of predictions.")
        return program

    @cached_property
    def anatomy(self) -> Anatomy:
        """The network's parts."""
        axis = self.records.axis
        return Anatomy(self.program, self._fewer, None if axis is None else (axis, self.few_x.shape[axis]))

    @property
    def layers(self) -> list[Layer]:
        """Its linear maps."""
        return self.anatomy.layers

    @property
    def activations(self) -> list[Activation]:
        """Its nonlinearities."""
        return self.anatomy.activations

    @property
    def output(self) -> Variable:
        """The variable of the prediction."""
        found: Variable = self.program.outputs[0]
        return found

    @cached_property
    def values(self) -> dict[Variable, Array]:
        """The value of each variable for the few."""
        table = self.program.bind((self.few_x,))
        for operation in self.program.operations:
            compute(operation, table)
        return table

    @property
    def prediction(self) -> Array:
        """The network's answers to the few."""
        return self.values[self.output]

    @cached_property
    def interval(self) -> Interval:
        """What the output can reach, whatever the weights."""
        return interval_of(self.program, self.output)

    @cached_property
    def parameters(self) -> dict[str, Array]:
        """The parameters' values by name; those that the network does not use among them, if it is a module."""
        if isinstance(self.model, Module):
            return {name: each.data for name, each in self.model.named_parameters() if each.requires_grad}
        return {each.label: leaf.array for each, leaf in self.program.values.items() if each.kind == "parameter"}


@contextmanager
def looked_at(model: Any, loss: Any, records: int) -> Iterator[None]:
    """A block in which a model trains its statistics but drops nothing, and which leaves everything as it was."""
    modules = [each for root in (model, loss) if isinstance(root, Module) for each in root.modules()]
    modes = [(each, each.__dict__.get("training")) for each in modules]
    generators = {id(default_rng()): default_rng(), **Reach(model, loss).generators}
    generators |= {id(each): each for each in (getattr(m, "rng", None) for m in modules) if each is not None}
    with ExitStack() as stack:
        stack.enter_context(undrawn(generators.values()))
        stack.enter_context(np.errstate(all="ignore"))
        stack.enter_context(ag.enable_grad())
        try:
            for each in modules:
                each.training = records > 1 and not isinstance(each, Dropout)
            yield
        finally:
            for each, mode in modes:
                if mode is None:
                    del each.__dict__["training"]
                else:
                    each.training = mode
