"""A gradient that a compiled step leaves to be computed when somebody asks for it.

A step that adds lr * (a @ b) straight into a weight needs no memory for the gradient a @ b itself. The leaf keeps how
it is made, from factors that the step leaves alone until the next one, and `.grad` computes it at the first reading.

Read next: `updates.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autograd_lite.recording import Array, Node

_slot: Any = Node.__dict__["grad"]


class Deferred(Node):
    """A leaf whose `grad` is owed: it becomes an ordinary leaf when its gradient is read or set."""

    __slots__ = ()

    @property
    def grad(self) -> Array | None:
        """The gradient, computed now."""
        compute: Callable[[], Array] = _slot.__get__(self)
        self.grad = found = compute()
        return found

    @grad.setter
    def grad(self, value: Array | None) -> None:
        self.__class__ = Node  # type: ignore[assignment]  # of the same layout: Deferred has no slots
        _slot.__set__(self, value)


def defer(leaf: Node, compute: Callable[[], Array]) -> None:
    """Let a leaf's `.grad` be what `compute` gives when it is first read."""
    _slot.__set__(leaf, compute)
    leaf.__class__ = Deferred
