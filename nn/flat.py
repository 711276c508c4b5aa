"""An optimizer's rule applied to many small parameters at once, as one flat array.

Rules work entry by entry, so that one call on the parameters laid end to end does what a call for each would do, and
for small parameters the calls are what takes the time. What the rule remembers lies flat too; `optimizer.state` shows
each parameter its part.

Read next: `optim/optimizer.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import autograd_lite as ag
from autograd_lite.recording import Array, tick

from .optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop

ENTRYWISE = (SGD, Adam, AdamW, RMSprop, Adagrad)
LARGEST = 1 << 16  # entries: larger arrays take longer to copy than to call for


class FlatUpdate:
    """One step of the parameters of one group whose gradients are the parts of `gradient`."""

    def __init__(self, optimizer: Optimizer, group: dict[str, Any], params: list[ag.Tensor], gradient: Array) -> None:
        self._optimizer = optimizer
        self._group = group
        self._params = params
        self._gradient = gradient
        self._values = np.empty_like(gradient)  # of large ones never touched, and so no memory
        self._work = np.empty_like(gradient)
        self._parts = self._split(self._values)
        self._memory: dict[str, Any] = {}
        self._shown: list[dict[str, Any]] = []  # of each parameter what `optimizer.state` holds, if nobody changed it

    def __call__(self) -> None:
        """Change the parameters; one after another where their memories differ in more than the parts of arrays."""
        if self._gradient.size > LARGEST or (not self._unchanged() and not self._gather()):
            self._one_by_one()
            return
        for each, part in zip(self._params, self._parts, strict=True):
            np.copyto(part, each._data)
        before = dict(self._memory)
        self._optimizer.update(self._values, self._gradient, self._work, self._memory, self._group)
        for each, part in zip(self._params, self._parts, strict=True):
            np.copyto(each._data, part)
            each._node.when = tick()
        for key, value in self._memory.items():
            if key not in before or before[key] is not value:
                self._show(key, value)

    def _one_by_one(self) -> None:
        optimizer = self._optimizer
        for each in self._params:
            gradient: Any = each._node.grad  # the step has just set it
            memory = optimizer.state.setdefault(each, {})
            optimizer.update(each._data, gradient, optimizer.work(each), memory, self._group)
            each._node.when = tick()

    def _unchanged(self) -> bool:
        """Whether the optimizer's state is what the last step left there."""
        state = self._optimizer.state
        if not self._shown:
            return False
        for each, shown in zip(self._params, self._shown, strict=True):
            memory = state.get(each)
            if memory is None or len(memory) != len(shown):
                return False
            for key, value in shown.items():
                if memory.get(key) is not value:
                    return False
        return True

    def _gather(self) -> bool:
        """Lay the parameters' memories end to end; False if they are not alike, as after steps without some of them."""
        memories = [self._optimizer.state.setdefault(each, {}) for each in self._params]
        self._shown = [{} for _ in memories]
        first = memories[0]
        found: dict[str, Any] = {}
        if any(memory.keys() != first.keys() for memory in memories):
            return False
        for key, value in first.items():
            values = [memory[key] for memory in memories]
            if isinstance(value, np.ndarray):
                found[key] = np.concatenate([np.ravel(each) for each in values])
            elif any(each != value for each in values):
                return False
            else:
                found[key] = value
        self._memory = found
        for key, value in found.items():
            self._show(key, value)
        return True

    def _show(self, key: str, value: Any) -> None:
        """Let the optimizer's state show each parameter its part of what is remembered."""
        parts = self._split(value) if isinstance(value, np.ndarray) else [value] * len(self._params)
        for each, part, shown in zip(self._params, parts, self._shown, strict=True):
            self._optimizer.state[each][key] = shown[key] = part

    def _split(self, flat: Array) -> list[Array]:
        """The parts of a flat array that belong to the parameters."""
        ends = np.cumsum([each.size for each in self._params])
        return [flat[end - each.size : end].reshape(each.shape) for each, end in zip(self._params, ends, strict=True)]
