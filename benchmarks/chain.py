"""A chain of 100,000 operations: what a recorded operation costs, and which libraries come through it.

The sine of the sine ... of ten numbers, its sum, and the gradient, which is one step of training when the numbers are
the parameter. There is nothing to fuse and hardly anything to compute: all that is measured is what stands around it.

Read next: `networks.py`, `cases.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .networks import Array, Network, sigmoid


class Chain(Network):
    """`length` sines, one after another; a parameter of ten numbers, no data."""

    rate = 0.001

    def __init__(self, length: int = 100_000) -> None:
        self.length = length
        self.name = f"{length:,} operations"
        super().__init__()

    def start(self, rng: np.random.Generator) -> list[Array]:
        return [rng.uniform(0.5, 1.5, 10)]

    def inputs(self, rng: np.random.Generator) -> Array:
        return np.zeros(1)

    def targets(self, rng: np.random.Generator) -> Array:
        return np.zeros(1)

    def gradients(self, *parameters: Array) -> tuple[float, list[Array]]:
        (y,) = parameters
        kept = []
        for _ in range(self.length):
            kept.append(y)
            y = np.sin(y)
        gradient = np.ones_like(y)
        for before in reversed(kept):
            gradient *= np.cos(before)
        return np.sum(y), [gradient]

    def forward(self, x: Any, t: Any, *parameters: Any, np: Any = np, sigmoid: Any = sigmoid) -> Any:
        (y,) = parameters
        for _ in range(self.length):
            y = np.sin(y)
        return np.sum(y)

    def model(self, nn: Any, dtype: Any) -> tuple[Any, Callable[..., Any]]:
        import torch

        class Sines(nn.Module):  # type: ignore[misc]  # which nn is known when it runs
            def __init__(self) -> None:
                super().__init__()
                self.start = nn.Parameter(torch.zeros(10, dtype=dtype))

            def forward(self, x: Any) -> Any:
                return chain.forward(x, None, self.start, np=torch)

        chain = self
        return Sines(), lambda total, t: total
