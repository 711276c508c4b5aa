"""A training step as one generated function: forward, backward and the optimizer's update.

The gradients lie in one flat array for each group of parameters and dtype, and `.grad` shows its parts. A step writes
into the same memory as the step before: copy a gradient that is to be kept.

Read next: `training.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

import autograd_lite as ag
from autograd_lite.compiler import Code, Compiled, finished, unchanging
from autograd_lite.emission import Emitter
from autograd_lite.guards import Reach
from autograd_lite.joint import with_gradients
from autograd_lite.lifting import lift
from autograd_lite.program import Program, Variable
from autograd_lite.recording import Array, Leaf, no_grad, thread, tick
from autograd_lite.retracing import reduced, traced, undrawn

from .flat import ENTRYWISE, LARGEST, FlatUpdate
from .optim import SGD, Optimizer
from .seeding import default_rng
from .training import NotFinite


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
    """What nn.TrainStep(..., compile=True) calls: (x, y) -> the loss before the update, as a float."""

    def __init__(
        self,
        model: Callable[[Any], Any],
        loss_fn: Callable[[Any, Any], Any],
        optimizer: Optimizer,
        finite: bool = False,
    ) -> None:
        super().__init__(_Forward(model, loss_fn))
        self._optimizer = optimizer
        self._finite = finite

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
        owned = {each._node for group in optimizer.param_groups for each in group["params"]}
        flats = _flat(trained, optimizer)
        targets: dict[Variable, Array] = {}
        for variable, leaf in zip(gradients, trained, strict=True):
            targets.setdefault(variable, flats[leaf])
        emitter = Emitter(program, targets, unchanging(program, reach))
        bind = emitter.bind

        def explain(x: Array, y: Array, loss: Any) -> None:
            """Run the functions themselves, whose checks find a NaN's cause, if it has one that they know."""
            with no_grad():
                forward(x, y)
            if self._finite:
                raise NotFinite(f"TrainStep: the loss is {float(loss)}.")

        loss = emitter.place(program.outputs[0]).text
        x, y = (each.name for each in program.inputs)
        wrong = f"not {bind('isfinite', math.isfinite)}({loss})" if self._finite else f"{loss} != {loss}"
        lines = [*emitter.lines, f"if {wrong}:", f"    {bind('explain', explain)}({x}, {y}, {loss})"]
        for variable, leaf in zip(gradients, trained, strict=True):
            text = emitter.place(variable).text
            target = emitter.view(flats[leaf], f"{variable.name}_out")
            if text != target:
                lines.append(f"{emitter.function(np.copyto)}({target}, {text})")
            name = bind("leaf_" + _label(program, leaf), leaf)
            if leaf in owned:
                lines.append(f"{name}.grad = {target}")
            else:
                lines.append(f"{bind('accumulate', _accumulate)}({name}, {target})")
        for i, leaf in enumerate(owned.difference(trained)):
            lines.append(f"{bind(f'unused_{i}', leaf)}.grad = None")
        lines += emitter.stores(zip(program.outputs[1 + len(trained) :], written, strict=True))
        lines += _update(emitter, program, optimizer, flats)
        return finished(program, emitter, [*lines, f"return float({loss})"], reach)


def _accumulate(leaf: Leaf, gradient: Array) -> None:
    """Add to the gradient of a leaf that the optimizer does not know, and so never clears."""
    leaf.grad = gradient.copy() if leaf.grad is None else leaf.grad + gradient


def _label(program: Program, leaf: Leaf) -> str:
    return next(variable.name for variable, each in program.values.items() if each is leaf)


def _differentiated(program: Program, args: tuple[Any, ...], states: int) -> tuple[Program, list[Leaf]]:
    """The program of loss, gradients and new states, and the leaves that the gradients belong to."""
    ends = program.outputs[len(program.outputs) - states :]
    loss = program.outputs[0]
    if len(program.outputs) != 1 + states or not isinstance(loss, Variable) or np.prod(loss.shape, dtype=int) != 1:
        raise TypeError(f"TrainStep: the loss must be one number, and it is {loss}: reduce it with np.mean or np.sum.")
    program = lift(program)
    wanted = [variable for variable, leaf in program.values.items() if leaf.requires_grad]
    if not wanted:
        raise RuntimeError("TrainStep: the loss depends on nothing that requires gradients.")
    ends, loss = program.outputs[1:], program.outputs[0]
    back = with_gradients(replace(program, outputs=(loss,)), args, wanted)
    defined = {each for operation in program.operations for each in operation.outputs}
    rest = [each for each in back.operations if not defined.intersection(each.outputs)]
    values = {**program.values, **back.values}
    joined = replace(
        back,
        name="step",
        operations=(*program.operations, *rest),
        outputs=(*back.outputs, *ends),
        captured=tuple(values),
        values=values,
    )
    return reduced(joined), [program.values[each] for each in wanted]


def _flat(trained: list[Leaf], optimizer: Optimizer) -> dict[Leaf, Array]:
    """An array for each gradient: parts of one flat array for each group of the optimizer and dtype."""
    groups: dict[Any, list[Leaf]] = {}
    place = {each._node: number for number, group in enumerate(optimizer.param_groups) for each in group["params"]}
    for leaf in trained:
        groups.setdefault((place.get(leaf), leaf.dtype), []).append(leaf)
    parts = {}
    for (_, dtype), leaves in groups.items():
        flat = np.empty(sum(each.size for each in leaves), dtype)
        start = 0
        for each in leaves:
            parts[each] = flat[start : start + each.size].reshape(each.shape)
            start += each.size
    return parts


def _update(emitter: Emitter, program: Program, optimizer: Optimizer, flats: dict[Leaf, Array]) -> list[str]:
    """The optimizer's step: plain descent written out, another rule once for all small parameters of a group, or as
    the optimizer itself takes it."""
    lines = _rule(emitter, optimizer, flats)
    if type(optimizer) is not SGD:
        return lines
    groups = [emitter.bind(f"group_{number}", group) for number, group in enumerate(optimizer.param_groups)]
    special = [f"{name}[{key!r}]" for name in groups for key in ("momentum", "weight_decay", "maximize")]
    multiply, subtract = emitter.function(np.multiply), emitter.function(np.subtract)
    lines = [f"if {' or '.join(special)}:", *(f"    {each}" for each in lines), "else:"]
    for name, group in zip(groups, optimizer.param_groups, strict=True):
        lines.append(f"    lr = {name}['lr']")
        for flat, params in _together(group, flats):
            work = np.empty_like(flat)
            lines.append(f"    {multiply}({emitter.bind('d_all', flat)}, lr, {emitter.bind('change', work)})")
            start = 0
            for leaf in (each._node for each in params):
                assert isinstance(leaf, Leaf)
                part = work[start : start + leaf.size].reshape(leaf.shape)
                start += leaf.size
                label = _label(program, leaf)
                now, change = emitter.view(leaf.array, label), emitter.bind(f"change_{label}", part)
                lines.append(f"    {subtract}({now}, {change}, {now})")
                lines.append(f"    {emitter.bind('leaf_' + label, leaf)}.when = {emitter.bind('tick', tick)}()")
    return lines


def _rule(emitter: Emitter, optimizer: Optimizer, flats: dict[Leaf, Array]) -> list[str]:
    """Calls of the optimizer's rule."""
    together = [(group, *each) for group in optimizer.param_groups for each in _together(group, flats)]
    if type(optimizer) not in ENTRYWISE or any(flat.size > LARGEST for _, flat, _ in together):
        return [f"{emitter.bind('optimizer_step', optimizer.step)}()"]
    updates = [FlatUpdate(optimizer, group, params, flat) for group, flat, params in together]
    return [f"{emitter.bind(f'update_{number}', each)}()" for number, each in enumerate(updates)] or ["pass"]


def _together(group: dict[str, Any], flats: dict[Leaf, Array]) -> list[tuple[Array, list[ag.Tensor]]]:
    """The flat arrays of a group's gradients, each with its parameters in order."""
    found: dict[int, tuple[Array, list[ag.Tensor]]] = {}
    for leaf, part in flats.items():
        for each in group["params"]:
            if each._node is leaf and part.base is not None:
                found.setdefault(id(part.base), (part.base, []))[1].append(each)
    return list(found.values())
