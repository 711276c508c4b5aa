"""The optimizer's update as a part of a compiled step.

Plain descent is written out: large gradients that are products of two matrices go straight into their weights, all
others lie in one flat array for each group of parameters and dtype, which is multiplied by the rate at once. Another
rule is applied to a flat array at once, if it is small, or as the optimizer itself applies it.

Read next: `products.py`, `flat.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import autograd_lite as ag
from autograd_lite.emission import Emitter
from autograd_lite.memory import aligned
from autograd_lite.recording import Array, Node, tick

from .flat import ENTRYWISE, FlatUpdate
from .optim import SGD, Optimizer
from .optim.optimizer import Group
from .products import Product


def flat_gradients(leaves: list[Node], optimizer: Optimizer) -> dict[Node, Array]:
    """An array for each gradient: parts of one flat array for each group of the optimizer and dtype."""
    groups: dict[Any, list[Node]] = {}
    place = {each._node: number for number, group in enumerate(optimizer.param_groups) for each in group["params"]}
    for leaf in leaves:
        groups.setdefault((place.get(leaf), leaf.dtype), []).append(leaf)
    parts = {}
    for (_, dtype), members in groups.items():
        flat = np.empty(sum(each.size for each in members), dtype)
        start = 0
        for each in members:
            parts[each] = flat[start : start + each.size].reshape(each.shape)
            start += each.size
    return parts


class Update:
    """The lines of an optimizer's step: of gradients that lie in `flats`, and of `products`."""

    def __init__(
        self,
        emitter: Emitter,
        optimizer: Optimizer,
        flats: dict[Node, Array],
        products: list[Product],
        label: Callable[[Node], str],
    ) -> None:
        self._emitter = emitter
        self._optimizer = optimizer
        self._flats = flats
        self._products = products
        self._label = label

    def lines(self) -> list[str]:
        """The whole step."""
        bind, optimizer = self._emitter.bind, self._optimizer
        if type(optimizer) not in ENTRYWISE:
            return [f"{bind('optimizer_step', optimizer.step)}()"]
        together = [(group, *each) for group in optimizer.param_groups for each in self._together(group)]
        updates = [FlatUpdate(optimizer, group, params, flat) for group, flat, params in together]
        rules = [f"{bind(f'update_{number}', each)}()" for number, each in enumerate(updates)]
        if type(optimizer) is not SGD:
            return rules
        groups = [bind(f"group_{number}", group) for number, group in enumerate(optimizer.param_groups)]

        def settings(*keys: str) -> list[str]:
            return [f"{name}[{key!r}]" for name in groups for key in keys]

        special = " or ".join(settings("momentum", "weight_decay", "maximize"))
        lines = [f"if not ({special}):", *_inner(self._descent(groups))]
        if self._products:
            tests = [
                *settings("momentum"),
                *(f"not {each}" for each in settings("weight_decay", "maximize", "nesterov")),
            ]
            lines += [f"elif {' and '.join(tests)}:", *_inner([*rules, *self._momentum()])]
            rules = [f"{bind('optimizer_step', optimizer.step)}()"]
        return [*lines, "else:", *_inner(rules)]

    def _descent(self, groups: list[str]) -> Iterator[str]:
        """Plain descent: w -= lr * g."""
        emitter = self._emitter
        multiply, subtract = emitter.function(np.multiply), emitter.function(np.subtract)
        sizes: dict[Any, int] = {}
        for each in self._products:
            sizes[each.leaf.dtype] = max(each.leaf.size, sizes.get(each.leaf.dtype, 0))
        work = {dtype: aligned((size,), dtype) for dtype, size in sizes.items()}
        tick_text = emitter.bind("tick", tick)
        for name, group in zip(groups, self._optimizer.param_groups, strict=True):
            yield f"lr = {name}['lr']"
            members = {each._node for each in group["params"]}
            for each in self._products:
                if each.leaf in members:
                    yield from each.descend(emitter, work[each.leaf.dtype])
                    yield f"{self._leaf(each.leaf)}.when = {tick_text}()"
            for flat, params in self._together(group):
                change = aligned(flat.shape, flat.dtype)
                yield f"{multiply}({emitter.view(flat, 'd_all')}, lr, {emitter.view(change, 'change')})"
                start = 0
                for leaf in (each._node for each in params):
                    assert isinstance(leaf, Node)
                    part = change[start : start + leaf.size].reshape(leaf.shape)
                    start += leaf.size
                    label = self._label(leaf)
                    values = emitter.view(leaf.array, label)
                    yield f"{subtract}({values}, {emitter.view(part, f'change_{label}')}, {values})"
                    yield f"{self._leaf(leaf)}.when = {tick_text}()"

    def _leaf(self, leaf: Node) -> str:
        return self._emitter.bind("leaf_" + self._label(leaf), leaf)

    def _momentum(self) -> Iterator[str]:
        """Descent along the momentum, of the products."""
        owners = {each._node: (each, group) for group in self._optimizer.param_groups for each in group["params"]}
        for each in self._products:
            parameter, group = owners[each.leaf]
            step = partial(each.follow_momentum, self._optimizer, parameter, group)
            yield f"{self._emitter.bind('descend_' + each.label, step)}()"

    def _together(self, group: Group) -> list[tuple[Array, list[ag.Tensor]]]:
        """The flat arrays of a group's gradients, each with its parameters in order."""
        found: dict[int, tuple[Array, list[ag.Tensor]]] = {}
        for leaf, part in self._flats.items():
            for each in group["params"]:
                if each._node is leaf and part.base is not None:
                    found.setdefault(id(part.base), (part.base, []))[1].append(each)
        return list(found.values())


def _inner(lines: list[str] | Iterator[str]) -> Iterator[str]:
    return (f"    {each}" for each in lines)
