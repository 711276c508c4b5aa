"""One step of training: forward, backward, update.

    step = nn.TrainStep(model, nn.MSELoss(), nn.optim.SGD(model.parameters(), lr=0.1))
    for x, y in loader:
        loss = step(x, y)

Read next: `data.py`, `fitting.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_lite.tensors import constant

from .optim import Optimizer

if TYPE_CHECKING:
    from .compiled import CompiledStep


class NotFinite(FloatingPointError):
    """A loss that is NaN or infinite, seen before it reached the parameters."""


class TrainStep:
    """Called with a batch, changes the model's parameters once and gives the loss as a float.

    The parameters' gradients stay in `.grad`. `x` and `y` are arrays (used as they are, without a copy) or tensors.
    With `compile` the step runs as one generated function, `source`, made for each set of shapes and dtypes; it
    watches the model as `ag.compile` does, and writes every step's gradients into the same memory (large ones when
    `.grad` is read: a step whose gradients nobody asks for does without them). Raises TypeError for a loss that is no
    single number; compiled, also for a model that asks for values (`if x > 0`). With `finite` a loss that is NaN or
    infinite raises FloatingPointError, and changes no parameter.

    >>> import numpy as np, nn
    >>> model = nn.Linear(1, 1, rng=np.random.default_rng(0), dtype=np.float64)
    >>> step = nn.TrainStep(model, nn.MSELoss(), nn.optim.SGD(model.parameters(), lr=0.1))
    >>> x = np.array([[0.0], [1.0], [2.0]])
    >>> losses = [step(x, 3 * x + 1) for _ in range(200)]
    >>> losses[-1] < 1e-3, model.weight.grad.shape
    (True, (1, 1))
    """

    def __init__(
        self,
        model: Callable[[Any], Any],
        loss_fn: Callable[[Any, Any], Any],
        optimizer: Optimizer,
        compile: bool = False,
        *,
        finite: bool = False,
    ) -> None:
        self.model = model
        self.loss_fn = loss_fn
        self.optimizer = optimizer
        self.finite = finite
        self._compiled: CompiledStep | None = None
        self._first_half: CompiledStep | None = None
        self._last: CompiledStep | None = None
        if compile:
            from .compiled import CompiledStep  # the compiler is loaded when it is asked for

            self._last = self._compiled = CompiledStep(model, loss_fn, optimizer, finite)
            self._first_half = CompiledStep(model, loss_fn, optimizer, updates=False)

    @property
    def source(self) -> str:
        """The generated code that ran last; raises RuntimeError before the first step, and without compile=True."""
        if self._last is None:
            raise RuntimeError("TrainStep.source: this step is not compiled; pass compile=True.")
        return self._last.source

    def __call__(self, x: Any, y: Any) -> float:
        """Train on one batch; the loss is the one before the update."""
        if self._compiled is not None:
            self._last = self._compiled
            loss_before: float = self._compiled(x, y)
            return loss_before
        loss = self.gradients(x, y)
        if self.finite and not math.isfinite(loss):
            raise NotFinite(f"TrainStep: the loss is {loss}.")
        self.optimizer.step()
        return loss

    def gradients(self, x: Any, y: Any) -> float:
        """The first half of a step: the loss of a batch, and its gradients in the parameters' `.grad`."""
        if self._first_half is not None:
            self._last = self._first_half
            found: float = self._first_half(x, y)
            return found
        # Nothing can change the batch within this call, so it needs no private copy.
        if type(x) is np.ndarray:
            x = constant(x)
        if type(y) is np.ndarray:
            y = constant(y)
        self.optimizer.zero_grad()
        loss = self.loss_fn(self.model(x), y)
        loss.backward()
        value: float = loss._data.item()
        return value
