"""A row of operations recorded as one: each takes the result of the one before it, and parameters of its own.

A small network spends its time on records and not on arithmetic. As long as nobody looks at what lies within a row,
one node stands for all of it. Whoever looks (a picture, a derivative of a derivative, anomaly mode) passes through
`recording.unfold` and finds the operations one by one, as if they had been recorded so.

Read next: `backward.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from .backward import summed_to
from .primitives import Primitive
from .recording import Node, Plan, thread, tick
from .tensors import Tensor, wrap


class Row(Primitive):
    """Operations one after another, each a primitive with a layer that has its `weight` and its `bias`, or None.

    A link is called with x, the weight and the bias if there is one. Its rule is a joint one that reads no bias and
    asks what is wanted.
    """

    folded = True

    def __init__(self, name: str, links: Sequence[tuple[Primitive, Any]]) -> None:
        super().__init__(links[-1][0].called, joint=self._back, name=name)
        self.links = links
        self._functions = [(link.function, layer) for link, layer in links]
        # Where the inputs of each link stand: x comes first, then weights and biases as they are used.
        self._places: list[tuple[int, int | None]] = []
        self._count = 1
        for _, layer in links:
            self._places.append((self._count, None if layer.bias is None else self._count + 1))
            self._count += 1 if layer.bias is None else 2
        weights = [weight for weight, _ in self._places]
        self._read = itemgetter(*weights, weights[-1])  # of two places at least, which makes it a tuple
        self._by_wants: dict[tuple[bool, ...], Plan] = {}
        self._ways: dict[tuple[bool, ...], list[Any]] = {}
        self._all = [self._plan((wanted, *(True,) * (self._count - 1))) for wanted in (False, True)]

    def _plan(self, wants: tuple[bool, ...]) -> Plan:
        """What is done when the inputs that `wants` says require gradients."""
        if wants not in self._by_wants:
            self._by_wants[wants] = Plan(wants, True, (0, *(weight for weight, _ in self._places)))
            way: list[Any] = []
            self._ways[wants] = way
            for (link, _), (weight, bias) in zip(self.links, self._places, strict=True):
                if any(wants[: weight + (1 if bias is None else 2)]):
                    way.insert(0, (link.joint, weight, bias, (any(wants[:weight]), wants[weight])))
        return self._by_wants[wants]

    def record(self, x: Any) -> Tensor | None:
        """The result, recorded as one node; None where the operations have to be applied one by one.

        That is so for what is no tensor, for views, where nothing or more than usual is recorded, for parameters that
        are computed, and for shapes that do not fit, which the operations will explain.
        """
        if not (isinstance(x, Tensor) and thread.mode.plain) or x._view is not None:
            return None
        below = x._node
        value = x._data
        inputs = [value]
        parents = [below]
        results = []
        frozen = False
        try:
            for function, layer in self._functions:
                parameter = layer.weight
                node = parameter._node
                if node.primitive is not None or parameter._view is not None:
                    return None
                if not node.requires_grad:
                    frozen = True
                weight = parameter._data
                inputs.append(weight)
                parents.append(node)
                parameter = layer.bias
                if parameter is None:
                    value = function(value, weight)
                else:
                    node = parameter._node
                    if node.primitive is not None or parameter._view is not None:
                        return None
                    if not node.requires_grad:
                        frozen = True
                    bias = parameter._data
                    inputs.append(bias)
                    parents.append(node)
                    value = function(value, weight, bias)
                results.append(value)
        except (ValueError, TypeError, IndexError):
            return None
        if len(inputs) != self._count:  # a bias has come or gone
            return None
        plan = self._plan(tuple([each.requires_grad for each in parents])) if frozen else self._all[below.requires_grad]
        if not plan.differentiable:
            return None
        guards = self._read(parents)
        node = Node()
        node.guards = guards if below.primitive is not None else (below, *guards)
        node.inputs = inputs
        node.parents = parents
        node.primitive = self
        node.settings = node.notes = node.name = node.grad = None
        node.live = node.requires_grad = True
        node.value = results
        node.shape = value.shape
        node.dtype = value.dtype
        node.plan = plan
        node.when = tick()
        return wrap(value, node)

    def _back(self, g: Any, results: Any, *inputs: Any, wanted: Any) -> list[Any]:
        """The gradients of the inputs that are wanted, and of some that are not; the results are let go on the way."""
        found: list[Any] = [None] * self._count
        y = results.pop()
        for rule, weight, bias, wants in self._ways[wanted]:
            x = results.pop() if results else inputs[0]
            g, found[weight], delta = rule(g, y, x, inputs[weight], wanted=wants)
            if bias is not None:
                found[bias] = delta if delta.ndim == 1 else summed_to(delta, inputs[bias].shape)
            y, delta = x, None
        found[0] = g
        return found

    def unfold(self, node: Node) -> None:
        """Make a node of this row that of its last operation, with new nodes of the others behind it."""
        parents: Any = node.parents
        inputs, results = node.inputs, node.value
        end = node.when
        below: Any = parents[0]
        x = inputs and inputs[0]
        for i, ((link, _), (weight, bias)) in enumerate(zip(self.links, self._places, strict=True)):
            places = [weight] if bias is None else [weight, bias]
            made = node if i == len(self.links) - 1 else Node()
            made.parents = nodes = (below, *(parents[j] for j in places))
            values = (x, *(inputs and inputs[j] for j in places))
            made.plan = plan = link.plan(sum(each.requires_grad << j for j, each in enumerate(nodes)), len(nodes))
            made.inputs = inputs and tuple(value if j in plan.reads else nodes[j] for j, value in enumerate(values))
            x = results and results[i]
            made.value = x if plan.keeps_result else None
            made.guards = tuple(nodes[j] for j in plan.reads if nodes[j].primitive is None)
            made.primitive = link
            made.requires_grad = plan.differentiable
            made.live = True
            made.shape = (*below.shape[:-1], parents[weight].shape[0])
            made.dtype = np.result_type(*(each.dtype for each in nodes))
            made.when = end - 1 + (i + 1) / len(self.links)  # the clock has ticked once for all of them
            if made is not node:
                made.settings = made.notes = made.name = made.grad = None
            below = made
