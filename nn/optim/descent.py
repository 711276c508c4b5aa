"""Gradient descent, with or without momentum.

Read next: `adaptive.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from autograd_lite.recording import tick

from .optimizer import Array, Group, Optimizer


class SGD(Optimizer):
    """w -= lr * g; with momentum w -= lr * b, where b = momentum * b + (1 - dampening) * g starts as g.

    `nesterov` steps along g + momentum * b (Sutskever et al., 2013), `weight_decay` adds that multiple of w to g, and
    `maximize` climbs. Raises ValueError for negative settings, and for nesterov without momentum or with dampening.

    >>> import numpy as np, nn
    >>> w = nn.Parameter([1.0])
    >>> w.grad = np.array([2.0])
    >>> nn.optim.SGD([w], lr=0.25).step()
    >>> w.data.tolist()
    [0.5]
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        # The rate as an array for each dtype, since a small product with one takes half as long as with a number; and
        # by parameter its values, an array to compute in, and the rate.
        self._rates: dict[str, Array] = {}
        self._rate: Any = None
        self._prepared: dict[Any, tuple[Array, Array, Array]] = {}
        super().__init__(
            params,
            {
                "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
                "nesterov": nesterov, "maximize": maximize,
            },
        )  # fmt: skip

    def check(self, group: Group) -> None:
        """Raise ValueError for settings out of range."""
        super().check(group)
        if group["nesterov"] and (group["momentum"] == 0 or group["dampening"] != 0):
            raise ValueError("SGD: nesterov needs a momentum, and no dampening.")

    def step(self) -> None:
        """Change every parameter that has a gradient."""
        for group in self.param_groups:
            if group["momentum"] or group["weight_decay"] or group["maximize"]:
                super().step()
                return
        # Plain descent spends less on arithmetic than on calls, so it does without the general loop's.
        known = self._prepared
        for group in self.param_groups:
            if group["lr"] != self._rate:
                self._rate = group["lr"]
                for rate in self._rates.values():
                    rate[...] = self._rate
            for each in group["params"]:
                node = each._node
                gradient = node.grad
                if gradient is not None:
                    values, work, rate = known.get(each) or self._prepare(each)
                    if values is not each._data:
                        values, work, rate = self._prepare(each)
                    np.subtract(values, np.multiply(gradient, rate, work), values)
                    node.when = tick()

    def _prepare(self, each: Any) -> tuple[Array, Array, Array]:
        """A parameter's values, an array to compute in, and the rate."""
        values = each._data
        char = values.dtype.char
        rate = self._rates.get(char)
        if rate is None:
            rate = self._rates[char] = np.array(self._rate, char)
        self._prepared[each] = values, self.work(each), rate
        return self._prepared[each]

    def update(self, values: Array, gradient: Array, work: Array, memory: dict[str, Any], group: Group) -> None:
        """One parameter's step."""
        momentum = group["momentum"]
        direction = gradient
        if group["maximize"]:
            direction = np.negative(direction, work)
        if group["weight_decay"]:
            direction = np.add(direction, values * group["weight_decay"], work)
        if momentum:
            buffer = memory.get("momentum_buffer")
            if buffer is None:
                buffer = memory["momentum_buffer"] = direction.copy()
            else:
                buffer *= momentum
                buffer += direction * (1 - group["dampening"])
            direction = np.add(direction, buffer * momentum, work) if group["nesterov"] else buffer
        np.subtract(values, np.multiply(direction, group["lr"], work), values)
