"""Gradients that are products of two matrices, made straight into a weight or its momentum.

    weight -= lr * (a @ b)

SciPy's BLAS does so in one call, where it is installed. Without it the smaller factor is multiplied by the rate, the
product made, and subtracted: two passes over memory of the weight's size instead of three.

Read next: `deferred.py` (`.grad` all the same), `updates.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import autograd_lite as ag
from autograd_lite.blas import Call, adding
from autograd_lite.emission import Emitter
from autograd_lite.layouts import outer_by_broadcasting
from autograd_lite.memory import aligned
from autograd_lite.program import Variable
from autograd_lite.recording import Array, Node, tick

from .optim import SGD, Optimizer
from .optim.optimizer import Group

SMALLEST = 1 << 12  # entries of a weight from which that is faster than the gradient first and the update then
SMALLEST_WITH_BLAS = 1 << 8


def fusible(gradients: tuple[Any, ...], trained: list[Node], optimizer: Optimizer) -> set[Variable]:
    """The gradients that nothing reads but the descent of their own leaf: candidates, if they are products."""
    if type(optimizer) is not SGD:
        return set()
    owned = {each._node for group in optimizer.param_groups for each in group["params"]}
    return {
        variable
        for variable, leaf in zip(gradients, trained, strict=True)
        if isinstance(variable, Variable)
        and gradients.count(variable) == 1
        and leaf in owned
        and (leaf.ndim, leaf.dtype) == (2, variable.dtype)
        and leaf.array.flags.forc
        and leaf.size >= SMALLEST_WITH_BLAS
    }


class Product:
    """A gradient a @ b that goes straight into a leaf's array, or into its momentum."""

    def __init__(self, leaf: Node, label: str, a: Array, b: Array) -> None:
        self.leaf = leaf
        self.label = label
        self.call = adding(leaf.array, a, b)
        self._factors = a, b
        self._gradient = aligned(leaf.shape, leaf.dtype)
        self._momentum: tuple[Array | None, Call | None] = None, None

    @property
    def worthwhile(self) -> bool:
        """Whether it is faster than the gradient first and the update then."""
        return self.leaf.size >= (SMALLEST if self.call is None else SMALLEST_WITH_BLAS)

    def compute(self) -> Array:
        """The gradient itself."""
        return np.dot(*self._factors, out=self._gradient)

    def descend(self, emitter: Emitter, work: Array) -> Iterator[str]:
        """Lines that take `lr` times the gradient from the leaf; `work` is memory for a product."""
        label, (a, b), c = self.label, self._factors, self.leaf.array
        if self.call is not None:
            operands = self.call.operands(lambda array: emitter.view(array, label + "_part"), "1.0")
            yield f"{emitter.bind(self.call.name, self.call.function)}(-lr, {', '.join(operands)})"
            return
        if not c.flags.c_contiguous:
            a, b, c = b.T, a.T, c.T
        small = a if a.size < b.size else b
        scaled = np.empty_like(small)
        factors = (scaled, b) if small is a else (a, scaled)
        texts = [emitter.view(each, f"{label}_{name}") for each, name in zip(factors, "ab", strict=True)]
        multiply, product = emitter.function(np.multiply), emitter.function(np.dot)
        if a.shape[1] == 1 and outer_by_broadcasting(c):
            product = multiply
        change, now = emitter.view(work[: c.size].reshape(c.shape), f"change_{label}"), emitter.view(c, label)
        scaled_text = texts[0] if small is a else texts[1]
        yield f"{multiply}({emitter.view(small, label + '_factor')}, lr, {scaled_text})"
        yield f"{product}({', '.join(texts)}, {change})"
        yield f"{emitter.function(np.subtract)}({now}, {change}, {now})"

    def follow_momentum(self, optimizer: Optimizer, parameter: ag.Tensor, group: Group) -> None:
        """One step of SGD with momentum: the buffer takes the gradient in, and the leaf follows the buffer."""
        values, memory = self.leaf.array, optimizer.state.setdefault(parameter, {})
        buffer = memory.get("momentum_buffer")
        work = optimizer.work(parameter)
        if buffer is None:
            buffer = memory["momentum_buffer"] = np.dot(*self._factors)
        else:
            momentum, share = group["momentum"], 1 - group["dampening"]
            if self._momentum[0] is not buffer:
                self._momentum = buffer, adding(buffer, *self._factors, scaled=True)
            call = self._momentum[1]
            if call is not None:
                call.function(share, *call.first, momentum, *call.rest)
            else:
                buffer *= momentum
                change = np.dot(*self._factors, out=self._gradient)
                buffer += change if share == 1 else np.multiply(change, share, work)
        np.subtract(values, np.multiply(buffer, group["lr"], work), values)
        self.leaf.when = tick()
