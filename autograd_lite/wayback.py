"""The way back as part of a Program: the gradient rules run on tensors while everything is being recorded.

Read next: `joint.py`, which makes one program of both ways; `drawing.py`, which shows them side by side.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from .backward import walk
from .naming import Names
from .program import BACKWARD, Program, Variable
from .recording import Node, Recorded, history, new_leaf, switched, thread, tick
from .tensors import wrap
from .trees import flatten


def walk_back(
    root: Node,
    seed: Node,
    attend: Callable[[Node, Any], None],
    found: Callable[[Node, Any], None],
    ends: set[Node] | None = None,
) -> None:
    """Run the gradient rules of a history on tensors, so that they are recorded.

    `attend(node, gradient)` is called before the rule of a node, whose operations stand in the scope of the backward
    pass and the node's own; `found(leaf, gradient)` at a leaf.
    """

    def hook(node: Node) -> Callable[[Any], None]:
        def arrived(gradient: Any) -> None:
            thread.mode = thread.mode.but(scope=(BACKWARD, *getattr(node, "scope", ())))
            attend(node, gradient)

        return arrived

    nodes = history(root)
    before = [node.hooks for node in nodes]
    for node in nodes:
        node.hooks = [hook(node)]
    try:
        with switched(tracing=True):  # a trace notes frames and lines, which an eager history does without
            walk(root, wrap(seed.array, seed), found, ends, lift=wrap)
    finally:
        for node, hooks in zip(nodes, before, strict=True):
            node.hooks = hooks


class WayBack:
    """Computes gradients when a recording is over, and remembers which one belongs to which value."""

    def __init__(self) -> None:
        self._pairs: list[tuple[Node, Node]] = []
        self._visits: list[tuple[int, Node]] = []
        self._kept = 0

    def __call__(self, outputs: list[Node], names: Names) -> list[Node]:
        """Run the gradient rules on tensors; return the leaves' gradients, then each value and its gradient."""
        gradients: dict[Node, Any] = {}

        def found(leaf: Node, gradient: Any) -> None:
            gradients[leaf] = gradients[leaf] + gradient if leaf in gradients else gradient

        roots = [each for each in dict.fromkeys(outputs) if each.requires_grad and each.primitive is not None]
        if not roots:
            raise RuntimeError("ag.draw(..., backward=True): nothing here requires gradients.")
        for root in roots:
            seed = new_leaf(np.ones(root.shape, root.dtype), name=f"d_{names.of(root) or 'result'}", live=True)
            walk_back(root, seed, partial(self._attend, names), found)
        for leaf, gradient in gradients.items():
            names.propose(gradient._node, f"d_{names.of(leaf) or 'constant'}", 0)
        results = [each._node for each in gradients.values()]
        reached = self._place(results)
        self._pairs = [pair for pair in self._pairs if pair[1] in reached]
        self._pairs += [(leaf, gradient._node) for leaf, gradient in gradients.items()]
        self._kept = len(results)
        return [*results, *(node for pair in self._pairs for node in pair)]

    def apart(self, program: Program) -> tuple[Program, dict[Variable, Variable]]:
        """The recorded program with the leaves' gradients as its last outputs, and the gradient of each value."""
        end = len(program.outputs) - 2 * len(self._pairs)
        outputs, rest = program.outputs[:end], program.outputs[end:]
        pairs = dict(zip(rest[::2], rest[1::2], strict=True))
        return replace(program, outputs=outputs, returns=flatten([0] * end)[1]), pairs

    def _attend(self, names: Names, node: Node, gradient: Any) -> None:
        """Remember when a node's gradient was there, and call it after the node."""
        self._visits.append((tick(), node))
        if not isinstance(gradient, Recorded):
            return
        if node.primitive is not None:
            self._pairs.append((node, gradient._node))
        called = names.of(node)
        if called and gradient._node.primitive is not None:
            names.propose(gradient._node, f"d_{called}", 1)

    def _place(self, results: list[Node]) -> set[Node]:
        """Give every operation of the way back the source line of the forward one; return all that was reached."""
        times = [when for when, _ in self._visits]
        waiting = list(results)
        reached: set[Node] = set()
        while waiting:
            node = waiting.pop()
            if node in reached:
                continue
            reached.add(node)
            at = bisect_right(times, node.when) - 1
            if node.primitive is None or at < 0:
                continue
            forward = self._visits[at][1]
            code = forward.code if forward.primitive is not None else None
            if code is not None and forward.primitive is not None:
                node._code, node._instruction = code, forward._instruction
            waiting += [each for each in node.parents if each is not None]
        return reached
