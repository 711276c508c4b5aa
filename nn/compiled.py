"""A training step as one generated function: forward, backward and the optimizer's update.

A step writes gradients into the same memory as the step before: copy a gradient that is to be kept.

Read next: `updates.py` (the optimizer's part), `training.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from autograd_lite.compiler import Code, Compiled, finished, unchanging
from autograd_lite.emission import Emitter
from autograd_lite.guards import Reach
from autograd_lite.joint import joined_with_gradients
from autograd_lite.lifting import lift
from autograd_lite.program import Program, Variable
from autograd_lite.recording import Array, Node, no_grad, thread
from autograd_lite.retracing import reduced, traced, undrawn

from .deferred import defer
from .optim import Optimizer
from .products import Product, fusible
from .seeding import default_rng
from .training import NotFinite
from .updates import Update, flat_gradients


class _Forward:
    """The loss as a function of a batch; its parameters and buffers have the model's names."""

    def __init__(self, model: Callable[[Any], Any], loss_fn: Callable[[Any, Any], Any]) -> None:
        self.__name__ = "step"
        self.model = model
        self.loss_fn = loss_fn

    def __call__(self, x: Any, y: Any) -> Any:
        return self.loss_fn(self.model(x), y)

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        found: Iterator[tuple[str, Any]] = getattr(self.model, "named_parameters", lambda: iter(()))()
        return found

    def named_buffers(self) -> Iterator[tuple[str, Any]]:
        found: Iterator[tuple[str, Any]] = getattr(self.model, "named_buffers", lambda: iter(()))()
        return found


class CompiledStep(Compiled):
    """What nn.TrainStep(..., compile=True) calls: (x, y) -> the loss before the update, as a float.

    Without `updates` it stops when the gradients are there.
    """

    def __init__(
        self,
        model: Callable[[Any], Any],
        loss_fn: Callable[[Any, Any], Any],
        optimizer: Optimizer,
        finite: bool = False,
        updates: bool = True,
    ) -> None:
        super().__init__(_Forward(model, loss_fn))
        self._optimizer = optimizer
        self._finite = finite
        self._updates = updates

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The loss, after one step; raises RuntimeError inside no_grad, as backward does."""
        if not thread.mode.enabled:
            raise RuntimeError("TrainStep: a step needs gradients, and nothing is recorded inside ag.no_grad().")
        return super().__call__(*args, **kwargs)

    def _build(self, args: tuple[Any, ...]) -> Code:
        forward, optimizer = self._f, self._optimizer
        reach = Reach(forward, *(group["params"] for group in optimizer.param_groups))
        reach.keeps_length(optimizer.param_groups)
        with undrawn([default_rng(), *reach.generators.values()]):
            program, written = traced(forward, args)
            program, trained = _differentiated(program, args, len(written))
        gradients = program.outputs[1 : 1 + len(trained)]
        owed = fusible(gradients, trained, optimizer) if self._updates else set()
        flats, emitter, products = self._emitted(program, gradients, trained, owed, unchanging(program, reach))
        bind = emitter.bind

        def explain(x: Array, y: Array, loss: Any) -> None:
            """Run the functions themselves, whose checks find a NaN's cause, if it has one that they know."""
            with no_grad():
                forward(x, y)
            if self._finite:
                raise NotFinite(f"TrainStep: the loss is {float(loss)}.")

        def leaf_name(leaf: Node) -> str:
            return bind("leaf_" + _label(program, leaf), leaf)

        loss = emitter.place(program.outputs[0]).text
        x, y = (each.name for each in program.inputs)
        wrong = f"not {bind('isfinite', math.isfinite)}({loss})" if self._finite else f"{loss} != {loss}"
        # As zero_grad does: a step that fails half-way has spoilt the factors of the gradients that are left.
        owned = {each._node for group in optimizer.param_groups for each in group["params"]}
        lines = [f"{leaf_name(leaf)}.grad = None" for leaf in trained if leaf in owned]
        lines += [*emitter.lines, f"if {wrong}:", f"    {bind('explain', explain)}({x}, {y}, {loss})"]
        made = {each.leaf: each for each in products}
        for variable, leaf in zip(gradients, trained, strict=True):
            if leaf in made:
                compute = bind(f"d_{_label(program, leaf)}_now", made[leaf].compute)
                lines.append(f"{bind('defer', defer)}({leaf_name(leaf)}, {compute})")
                continue
            text = emitter.place(variable).text
            target = emitter.view(flats[leaf], f"{_label(program, leaf)}_grad")
            if text != target:
                lines.append(f"{emitter.function(np.copyto)}({target}, {text})")
            if leaf in owned:
                lines.append(f"{leaf_name(leaf)}.grad = {target}")
            else:
                lines.append(f"{bind('accumulate', _accumulate)}({leaf_name(leaf)}, {target})")
        for i, leaf in enumerate(owned.difference(trained)):
            lines.append(f"{bind(f'unused_{i}', leaf)}.grad = None")
        lines += emitter.stores(zip(program.outputs[1 + len(trained) :], written, strict=True))
        if self._updates:
            lines += Update(emitter, optimizer, flats, products, partial(_label, program)).lines()
        return finished(program, emitter, [*lines, f"return float({loss})"], reach)

    def _emitted(
        self,
        program: Program,
        gradients: tuple[Any, ...],
        trained: list[Node],
        owed: set[Variable],
        constants: set[Variable],
    ) -> tuple[dict[Node, Array], Emitter, list[Product]]:
        """Memory for gradients, the code of a program, and what of `owed` is left to the update: products of arrays
        that the code keeps, where that is faster."""
        while True:
            pairs = list(zip(gradients, trained, strict=True))
            flats = flat_gradients([leaf for variable, leaf in pairs if variable not in owed], self._optimizer)
            targets = {variable: flats[leaf] for variable, leaf in reversed(pairs) if leaf in flats}
            emitter = Emitter(program, targets, constants, owed)
            products = {
                variable: Product(leaf, _label(program, leaf), *emitter.factors[variable])
                for variable, leaf in pairs
                if variable in emitter.factors
            }
            wanted = {variable for variable, each in products.items() if each.worthwhile}
            if wanted == owed:
                return flats, emitter, list(products.values())
            owed = wanted


def _accumulate(leaf: Node, gradient: Array) -> None:
    """Add to the gradient of a leaf that the optimizer does not know, and so never clears."""
    leaf.grad = gradient.copy() if leaf.grad is None else leaf.grad + gradient


def _label(program: Program, leaf: Node) -> str:
    return next(variable.name for variable, each in program.values.items() if each is leaf)


def _differentiated(program: Program, args: tuple[Any, ...], states: int) -> tuple[Program, list[Node]]:
    """The program of loss, gradients and new states, and the leaves that the gradients belong to."""
    loss = program.outputs[0]
    if len(program.outputs) != 1 + states or not isinstance(loss, Variable) or np.prod(loss.shape, dtype=int) != 1:
        raise TypeError(f"TrainStep: the loss must be one number, and it is {loss}: reduce it with np.mean or np.sum.")
    program = lift(program)
    wanted = [variable for variable, leaf in program.values.items() if leaf.requires_grad]
    if not wanted:
        raise RuntimeError("TrainStep: the loss depends on nothing that requires gradients.")
    joined = replace(joined_with_gradients(program, args, wanted, states), name="step")
    return reduced(joined), [program.values[each] for each in wanted]
