"""A schedule that looks at how the training goes: lower rates where a figure no longer improves.

Read next: `../../training.py`.
"""

from __future__ import annotations

import math

from ..optimizer import Group, Optimizer
from .base import Schedule


class ReduceLROnPlateau(Schedule):
    """Multiplies the learning rates by `factor` when a metric has not improved for more than `patience` steps.

    Call `step(metric)`. An improvement is one by more than `threshold`, relative ("rel") or absolute ("abs"); for
    `cooldown` steps after a reduction nothing is counted; `min_lr` is one bound, or a list with one for each group.

    >>> import nn
    >>> optimizer = nn.optim.SGD([nn.Parameter([1.0])], lr=1.0)
    >>> schedule = nn.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1)
    >>> [(schedule.step(loss), optimizer.param_groups[0]["lr"])[1] for loss in (1.0, 1.0, 1.0)]
    [1.0, 1.0, 0.1]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs") or not factor < 1:
            raise ValueError("ReduceLROnPlateau: mode 'min' or 'max', threshold_mode 'rel' or 'abs', factor below 1.")
        self.optimizer = optimizer
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.min_lrs = self.for_groups("min_lr", min_lr)
        self.eps = eps
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        self.last_epoch = 0

    def step(self, metrics: float) -> None:
        """Count this metric, and reduce the learning rates if it is time."""
        value = float(metrics)
        self.last_epoch += 1
        if self._better(value):
            self.best = value
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group, lowest in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
                self._reduce(group, lowest)
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0

    def _reduce(self, group: Group, lowest: float) -> None:
        lowered = max(group["lr"] * self.factor, lowest)
        if group["lr"] - lowered > self.eps:
            group["lr"] = lowered

    def _better(self, value: float) -> bool:
        sign = 1 if self.mode == "min" else -1
        if self.threshold_mode == "abs" or math.isinf(self.best):
            margin = self.threshold if self.threshold_mode == "abs" else 0.0
        else:
            margin = self.threshold * self.best * sign
        return sign * value < sign * self.best - margin
