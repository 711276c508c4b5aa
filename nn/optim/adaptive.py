"""Optimizers that give every weight a step size of its own.

Each keeps running averages of the gradient or of its square; the formulas stand in the classes' docstrings, g being the
gradient (plus weight_decay * w, where the class does not say otherwise).

Read next: `lr_scheduler/`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from .optimizer import Array, Group, Optimizer


def _direction(values: Array, gradient: Array, group: Group, decay: bool = True) -> Array:
    """The gradient, with its sign turned for maximize and weight decay added."""
    if group["maximize"]:
        gradient = -gradient
    return gradient + values * group["weight_decay"] if decay and group["weight_decay"] else gradient


def _average(memory: dict[str, Any], name: str, sample: Array, keep: float) -> Array:
    """A running average after a new sample: average = keep * average + (1 - keep) * sample, which starts at 0."""
    average: Array | None = memory.get(name)
    if average is None:
        average = memory[name] = np.zeros_like(sample)
    average *= keep
    average += sample * (1 - keep)
    return average


class Adam(Optimizer):
    """m, v = running averages of g and g^2; w -= lr * m' / (sqrt(v') + eps), where m' = m / (1 - beta1^t) and
    v' = v / (1 - beta2^t) (Kingma and Ba, 2015); `amsgrad` takes the largest v so far (Reddi et al., 2018).

    Raises ValueError for negative settings and betas outside [0, 1).

    >>> import numpy as np, nn
    >>> w = nn.Parameter([1.0])
    >>> w.grad = np.array([2.0])
    >>> nn.optim.Adam([w], lr=0.25).step()
    >>> w.data.round(6).tolist()
    [0.75]
    """

    decoupled = False

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
                "amsgrad": amsgrad, "maximize": maximize,
            },
        )  # fmt: skip

    def check(self, group: Group) -> None:
        """Raise ValueError for settings out of range."""
        super().check(group)
        if not all(0 <= beta < 1 for beta in group["betas"]):
            raise ValueError(f"{type(self).__name__}: betas must lie in [0, 1), and they are {group['betas']}.")

    def update(self, values: Array, gradient: Array, work: Array, memory: dict[str, Any], group: Group) -> None:
        """One parameter's step."""
        first, second = group["betas"]
        memory["step"] = step = memory.get("step", 0) + 1
        if self.decoupled and group["weight_decay"]:
            values *= 1 - group["lr"] * group["weight_decay"]
        g = _direction(values, gradient, group, decay=not self.decoupled)
        mean = _average(memory, "exp_avg", g, first)
        square = _average(memory, "exp_avg_sq", np.multiply(g, g, work), second)
        if group["amsgrad"]:
            largest = memory.get("max_exp_avg_sq")
            square = square.copy() if largest is None else np.maximum(largest, square, out=largest)
            memory["max_exp_avg_sq"] = square
        np.sqrt(square, work)
        np.divide(work, math.sqrt(1 - second**step), work)
        np.add(work, group["eps"], work)
        np.divide(mean, work, work)
        np.multiply(work, group["lr"] / (1 - first**step), work)
        np.subtract(values, work, values)


class AdamW(Adam):
    """Adam with weight decay apart from the gradient: w *= 1 - lr * weight_decay before the step (Loshchilov and
    Hutter, 2019).

    >>> import numpy as np, nn
    >>> w = nn.Parameter([1.0])
    >>> w.grad = np.array([0.0])
    >>> nn.optim.AdamW([w], lr=0.5, weight_decay=0.5).step()
    >>> w.data.tolist()
    [0.75]
    """

    decoupled = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)


class RMSprop(Optimizer):
    """v = running average of g^2; w -= lr * g / (sqrt(v) + eps). `centered` subtracts the square of the running average
    of g from v, and `momentum` m steps along b = m * b + g / (sqrt(v) + eps).

    Raises ValueError for negative settings.

    >>> import numpy as np, nn
    >>> w = nn.Parameter([1.0])
    >>> w.grad = np.array([2.0])
    >>> nn.optim.RMSprop([w], lr=0.05).step()
    >>> w.data.round(6).tolist()
    [0.5]
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay, "momentum": momentum,
                "centered": centered, "maximize": maximize,
            },
        )  # fmt: skip

    def update(self, values: Array, gradient: Array, work: Array, memory: dict[str, Any], group: Group) -> None:
        """One parameter's step."""
        g = _direction(values, gradient, group)
        square = _average(memory, "square_avg", np.multiply(g, g, work), group["alpha"])
        if group["centered"]:
            mean = _average(memory, "grad_avg", g, group["alpha"])
            square = square - mean * mean
        np.sqrt(square, work)
        np.add(work, group["eps"], work)
        step = np.divide(g, work, work)
        if group["momentum"]:
            buffer = memory.setdefault("momentum_buffer", np.zeros_like(values))
            buffer *= group["momentum"]
            buffer += step
            step = buffer
        np.subtract(values, np.multiply(step, group["lr"], work), values)


class Adagrad(Optimizer):
    """s = sum of all g^2 so far; w -= lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps) (Duchi et al., 2011).

    Raises ValueError for negative settings.

    >>> import numpy as np, nn
    >>> w = nn.Parameter([1.0])
    >>> w.grad = np.array([2.0])
    >>> nn.optim.Adagrad([w], lr=0.5).step()
    >>> w.data.round(6).tolist()
    [0.5]
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr, "lr_decay": lr_decay, "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value, "eps": eps, "maximize": maximize,
            },
        )  # fmt: skip

    def update(self, values: Array, gradient: Array, work: Array, memory: dict[str, Any], group: Group) -> None:
        """One parameter's step."""
        g = _direction(values, gradient, group)
        memory["step"] = step = memory.get("step", 0) + 1
        if "sum" not in memory:
            memory["sum"] = np.full_like(values, group["initial_accumulator_value"])
        memory["sum"] += np.multiply(g, g, work)
        np.sqrt(memory["sum"], work)
        np.add(work, group["eps"], work)
        np.divide(g, work, work)
        np.multiply(work, group["lr"] / (1 + (step - 1) * group["lr_decay"]), work)
        np.subtract(values, work, values)
