"""What a step takes: its peak against the hand-written one's, and nothing that stays behind."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable

import numpy as np

import autograd_lite as ag
from benchmarks.networks import MnistRelu


class LargeBatch(MnistRelu):
    rows = 4096


def peak(step: Callable[[], float]) -> int:
    """Bytes that a step holds at its worst, over what was there before it (NumPy tells tracemalloc of its arrays)."""
    step()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        step()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def test_peak_of_a_large_batch() -> None:
    network = LargeBatch()
    assert peak(network.modules()[0]) <= 1.2 * peak(network.by_hand()[0])


def test_ten_thousand_steps_leave_nothing_behind() -> None:
    rng = np.random.default_rng(0)
    x = ag.tensor(rng.random((10, 4)))
    w = ag.tensor(rng.random((4, 3)), requires_grad=True)

    def step() -> None:
        w.grad = None
        np.mean((1 / (1 + np.exp(-(x @ w))) - 0.5) ** 2).backward()
        with ag.no_grad():
            w.data -= 0.1 * w.grad

    for _ in range(100):
        step()
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(10_000):
            step()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
        gc.enable()
    assert grown < 1_000_000
