"""watch: hand-written gradients checked now and then while your own loop trains with them.

    watch = ag.watch(loss, every=100)
    for step in range(10_000):
        gradients = backprop(params)
        watch(params, gradients)
        ...

A derivation may be right at the start and part from the gradient later: where a unit saturates, a batch is shorter, or
a value is kept from the step before.

Read next: `checks.py`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from .checks import check_backprop
from .recording import Array
from .reports import Report


class Watch:
    """Checks every so many calls; `report` is the last one made, `parted` the first call that was found wrong."""

    def __init__(self, loss_fn: Callable[..., Any], every: int) -> None:
        self.loss_fn = loss_fn
        self.every = every
        self.calls = 0
        self.right: int | None = None
        self.parted: int | None = None
        self.report: Report | None = None

    def __call__(self, params: dict[str, Any], manual: dict[str, Array], *batch: Any) -> Report | None:
        """Note one step; return the report if it is one that is checked. `batch` is handed on to the loss."""
        step, self.calls = self.calls, self.calls + 1
        if step % self.every or self.parted is not None:
            return None
        self.report = check_backprop(lambda given: self.loss_fn(given, *batch), params, manual)
        if self.report.ok:
            self.right = step
        else:
            self.parted = step
            since = "from the first step on" if self.right is None else f"right at step {self.right}, wrong at {step}"
            warnings.warn(f"the hand-written gradients are wrong, {since}\n{self.report}", RuntimeWarning, stacklevel=2)
        return self.report

    def __repr__(self) -> str:
        state = "not called yet" if self.report is None else f"right until step {self.right}"
        return f"<watch: {state if self.parted is None else f'wrong at step {self.parted}'}>"


def watch(loss_fn: Callable[..., Any], every: int = 100) -> Watch:
    """Check hand-written gradients in a loop of your own, at the first call and then every `every` calls.

    Call the result with `(params, manual)`, as `check_backprop`, or with a batch behind them, which `loss_fn` gets
    after params. At the first wrong step it warns (RuntimeWarning) with the whole report, keeps its number in `.parted`
    and the report in `.report`, and checks no more. Other calls cost nothing. Raises ValueError unless `every` is at
    least 1, and what check_backprop raises.

    >>> import numpy as np, autograd_lite as ag
    >>> watch = ag.watch(lambda p, x: np.sum((p["w"] * x) ** 2), every=2)
    >>> w, x = np.ones(2), np.array([1.0, 2.0])
    >>> for step in range(4):
    ...     report = watch({"w": w}, {"w": 2 * w * x**2}, x)
    >>> watch.parted is None, watch.right
    (True, 2)
    """
    if every < 1:
        raise ValueError(f"watch: every={every}, but it has to be at least 1.")
    return Watch(loss_fn, every)
