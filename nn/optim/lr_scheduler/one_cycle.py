"""One cycle: the learning rate goes up and comes down again within the training, and momentum the other way.

Read next: `plateau.py`.
"""

from __future__ import annotations

import math

from ..optimizer import Optimizer
from .base import LRScheduler


class OneCycleLR(LRScheduler):
    """Up from max_lr / div_factor to max_lr in the first pct_start of all steps, then down to the start divided by
    final_div_factor, while momentum (or beta1) goes the other way (Smith and Topin, 2018). Call step() after each
    batch.

    `max_lr` may be a list with one for each group. `three_phase` comes down the way it went up before the final
    descent. Raises ValueError beyond the last step.

    >>> import nn
    >>> optimizer = nn.optim.SGD([nn.Parameter([1.0])], lr=1.0, momentum=0.9)
    >>> schedule = nn.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=10, pct_start=0.2)
    >>> optimizer.param_groups[0]["lr"], (schedule.step(), optimizer.param_groups[0]["lr"])[1]
    (0.04, 1.0)
    """

    per_batch = True

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR: give total_steps, or epochs and steps_per_epoch.")
            total_steps = epochs * steps_per_epoch
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"OneCycleLR: anneal_strategy must be 'cos' or 'linear', not {anneal_strategy!r}.")
        if total_steps <= 0 or not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: total_steps={total_steps} must be positive, {pct_start=} in [0, 1].")
        self.total_steps = total_steps
        self.anneal_strategy = anneal_strategy
        self.cycle_momentum = cycle_momentum
        if cycle_momentum and not any({"momentum", "betas"} & group.keys() for group in optimizer.param_groups):
            raise ValueError("OneCycleLR: this optimizer has no momentum to cycle: cycle_momentum=False.")
        self.optimizer = optimizer
        self.max_lrs = self.for_groups("max_lr", max_lr)
        first, last = 1 / div_factor, 1 / div_factor / final_div_factor  # of max_lr
        turn = float(pct_start * total_steps) - 1
        if three_phase:
            self.phases = [
                (turn, first, 1.0, max_momentum, base_momentum),
                (2 * turn, 1.0, first, base_momentum, max_momentum),
                (total_steps - 1.0, first, last, max_momentum, max_momentum),
            ]
        else:
            self.phases = [
                (turn, first, 1.0, max_momentum, base_momentum),
                (total_steps - 1.0, 1.0, last, base_momentum, max_momentum),
            ]
        if last_epoch == -1:
            for group, largest in zip(optimizer.param_groups, self.max_lrs, strict=True):
                group["initial_lr"] = largest * first
        super().__init__(optimizer, last_epoch)

    def _now(self, t: int) -> tuple[float, float]:
        """The learning rate at t, as a part of max_lr, and the momentum."""
        if t > self.total_steps:  # the step after the last batch sets rates that no batch uses
            raise ValueError(f"OneCycleLR: the cycle has {self.total_steps} steps, and step() was called once more.")
        begin = 0.0
        for i, (end, lr0, lr1, momentum0, momentum1) in enumerate(self.phases):
            if t <= end or i == len(self.phases) - 1:
                part = (t - begin) / (end - begin) if end != begin else 1.0
                if self.anneal_strategy == "cos":
                    part = (1 - math.cos(math.pi * part)) / 2
                return lr0 + (lr1 - lr0) * part, momentum0 + (momentum1 - momentum0) * part
            begin = end
        raise AssertionError("the last phase takes every t")

    def step(self) -> None:
        """Go on to the next t and set the learning rates and momenta."""
        part, momentum = self._now(self.last_epoch + 1)
        self.last_epoch += 1
        for group, largest in zip(self.optimizer.param_groups, self.max_lrs, strict=True):
            group["lr"] = largest * part
            if self.cycle_momentum and "betas" in group:
                group["betas"] = (momentum, *group["betas"][1:])
            elif self.cycle_momentum:
                group["momentum"] = momentum
