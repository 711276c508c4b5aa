"""Schedules of the learning rate: call `scheduler.step()` after each epoch (OneCycleLR: after each batch).

Each is a formula in t, the number of steps taken, and in `base`, the learning rate that a group started with.

Read next: `../training.py`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Any

from .optimizer import Group, Optimizer


class LRScheduler:
    """The base of the schedules: keeps t as `last_epoch` and writes each group's "lr"."""

    per_batch = False  # whether step() belongs after each batch and not after each epoch

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.base_lrs = [float(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = -1
        self.step()

    def step(self) -> None:
        """Go on to the next t and set the learning rates."""
        self.last_epoch += 1
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = float(self.rate(self.last_epoch, base))

    def rate(self, t: int, base: float) -> float:
        """The learning rate at t."""
        raise NotImplementedError

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, as plain data."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a state_dict; raises ValueError if it belongs to another schedule."""
        if state_dict.keys() != self.state_dict().keys():
            raise ValueError(
                f"load_state_dict: {type(self).__name__} has {sorted(self.state_dict())}, given {sorted(state_dict)}."
            )
        self.__dict__.update(state_dict)


class StepLR(LRScheduler):
    """base * gamma^(t // step_size).

    >>> import nn
    >>> optimizer = nn.optim.SGD([nn.Parameter([1.0])], lr=1.0)
    >>> schedule = nn.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    >>> [(schedule.step(), optimizer.param_groups[0]["lr"])[1] for _ in range(4)]
    [1.0, 0.5, 0.5, 0.25]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer)

    def rate(self, t: int, base: float) -> float:
        """The learning rate at t."""
        return float(base * self.gamma ** (t // self.step_size))


class MultiStepLR(LRScheduler):
    """base * gamma^(how many of the milestones t has reached).

    >>> import nn
    >>> optimizer = nn.optim.SGD([nn.Parameter([1.0])], lr=1.0)
    >>> schedule = nn.optim.lr_scheduler.MultiStepLR(optimizer, [1, 3], gamma=0.5)
    >>> [(schedule.step(), optimizer.param_groups[0]["lr"])[1] for _ in range(3)]
    [0.5, 0.5, 0.25]
    """

    def __init__(self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1) -> None:
        self.milestones = sorted(milestones)
        self.gamma = gamma
        super().__init__(optimizer)

    def rate(self, t: int, base: float) -> float:
        """The learning rate at t."""
        return float(base * self.gamma ** bisect_right(self.milestones, t))


class ExponentialLR(LRScheduler):
    """base * gamma^t.

    >>> import nn
    >>> optimizer = nn.optim.SGD([nn.Parameter([1.0])], lr=1.0)
    >>> schedule = nn.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> [(schedule.step(), optimizer.param_groups[0]["lr"])[1] for _ in range(3)]
    [0.5, 0.25, 0.125]
    """

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = gamma
        super().__init__(optimizer)

    def rate(self, t: int, base: float) -> float:
        """The learning rate at t."""
        return float(base * self.gamma**t)


class CosineAnnealingLR(LRScheduler):
    """eta_min + (base - eta_min) * (1 + cos(pi t / T_max)) / 2 (Loshchilov and Hutter, 2017, without restarts).

    >>> import nn
    >>> optimizer = nn.optim.SGD([nn.Parameter([1.0])], lr=1.0)
    >>> schedule = nn.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
    >>> [(schedule.step(), round(optimizer.param_groups[0]["lr"], 6))[1] for _ in range(2)]
    [0.5, 0.0]
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer)

    def rate(self, t: int, base: float) -> float:
        """The learning rate at t."""
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * t / self.T_max)) / 2


class LinearLR(LRScheduler):
    """base times a factor that goes from start_factor to end_factor in total_iters steps, and stays there.

    >>> import nn
    >>> optimizer = nn.optim.SGD([nn.Parameter([1.0])], lr=1.0)
    >>> schedule = nn.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> [(schedule.step(), optimizer.param_groups[0]["lr"])[1] for _ in range(3)]
    [0.75, 1.0, 1.0]
    """

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1.0 / 3, end_factor: float = 1.0, total_iters: int = 5
    ) -> None:
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            raise ValueError(f"LinearLR: factors must lie in (0, 1]: {start_factor} to {end_factor}.")
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer)

    def rate(self, t: int, base: float) -> float:
        """The learning rate at t."""
        part = min(t, self.total_iters) / self.total_iters
        return base * (self.start_factor + (self.end_factor - self.start_factor) * part)


class OneCycleLR(LRScheduler):
    """Up from max_lr / div_factor to max_lr in the first pct_start of all steps, then down to the start divided by
    final_div_factor, while momentum (or beta1) goes the other way (Smith and Topin, 2018). Call step() after each
    batch.

    `three_phase` comes down the way it went up before the final descent. Raises ValueError beyond the last step.

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
        max_lr: float,
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
        first, last = max_lr / div_factor, max_lr / div_factor / final_div_factor
        turn = float(pct_start * total_steps) - 1
        if three_phase:
            self.phases = [
                (turn, first, max_lr, max_momentum, base_momentum),
                (2 * turn, max_lr, first, base_momentum, max_momentum),
                (total_steps - 1.0, first, last, max_momentum, max_momentum),
            ]
        else:
            self.phases = [
                (turn, first, max_lr, max_momentum, base_momentum),
                (total_steps - 1.0, max_lr, last, base_momentum, max_momentum),
            ]
        for group in optimizer.param_groups:
            group["initial_lr"] = first
        super().__init__(optimizer)

    def _now(self, t: int) -> tuple[float, float]:
        """The learning rate and the momentum at t."""
        if t >= self.total_steps:
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
        lr, momentum = self._now(self.last_epoch + 1)
        self.last_epoch += 1
        for group in self.optimizer.param_groups:
            group["lr"] = lr
            if self.cycle_momentum and "betas" in group:
                group["betas"] = (momentum, *group["betas"][1:])
            elif self.cycle_momentum:
                group["momentum"] = momentum


class ReduceLROnPlateau:
    """Multiplies the learning rates by `factor` when a metric has not improved for more than `patience` steps.

    Call `step(metric)`. An improvement is one by more than `threshold`, relative ("rel") or absolute ("abs"); for
    `cooldown` steps after a reduction nothing is counted.

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
        min_lr: float = 0.0,
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
        self.min_lr = min_lr
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
            for group in self.optimizer.param_groups:
                self._reduce(group)
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0

    def _reduce(self, group: Group) -> None:
        lowered = max(group["lr"] * self.factor, self.min_lr)
        if group["lr"] - lowered > self.eps:
            group["lr"] = lowered

    def _better(self, value: float) -> bool:
        sign = 1 if self.mode == "min" else -1
        if self.threshold_mode == "abs" or math.isinf(self.best):
            margin = self.threshold if self.threshold_mode == "abs" else 0.0
        else:
            margin = self.threshold * self.best * sign
        return sign * value < sign * self.best - margin

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, as plain data."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a state_dict."""
        self.__dict__.update(state_dict)
