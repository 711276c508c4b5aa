"""What all schedules share: an optimizer, its learning rates, and a state that can be saved.

Read next: `formulas.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..optimizer import Optimizer


class Schedule:
    """What all schedules share: the optimizer, its learning rates, a state."""

    optimizer: Optimizer

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

    def for_groups(self, name: str, value: Any) -> list[float]:
        """A setting for each group, of one number for all or a list with one for each."""
        count = len(self.optimizer.param_groups)
        values = [float(each) for each in value] if isinstance(value, (list, tuple)) else [float(value)] * count
        if len(values) != count:
            raise ValueError(f"{type(self).__name__}: {name} has {len(values)} entries for {count} groups.")
        return values


class LRScheduler(Schedule):
    """The base of the schedules: keeps t as `last_epoch` and writes each group's "lr".

    `last_epoch` is the t that an optimizer loaded from a checkpoint had come to, -1 for a new one. Raises KeyError if
    such an optimizer's groups do not say what "initial_lr" they started with.
    """

    per_batch = False  # whether step() belongs after each batch and not after each epoch

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"{type(self).__name__}: last_epoch={last_epoch} goes on with a schedule, but a group of the "
                    "optimizer has no initial_lr: load the optimizer's state_dict first."
                )
        self.base_lrs = [float(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self.step()

    def step(self) -> None:
        """Go on to the next t and set the learning rates."""
        self.last_epoch += 1
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = float(self.rate(self.last_epoch, base))

    def rate(self, t: int, base: float) -> float:
        """The learning rate at t."""
        raise NotImplementedError
