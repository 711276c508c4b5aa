"""Threads: two that train, beside one that only evaluates, do not disturb each other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_lite as ag

STEPS = 300


def train(seed: int, check: Callable[[], None] = lambda: None) -> list[Any]:
    """A small network's parameters after some steps of gradient descent."""
    rng = np.random.default_rng(seed)
    weights = [ag.tensor(rng.standard_normal(shape), requires_grad=True) for shape in ((3, 8), (8,), (8, 1))]
    x = rng.standard_normal((16, 3))
    target = np.sin(x.sum(1, keepdims=True))
    w, b, v = weights
    for _ in range(STEPS):
        loss = np.mean((np.tanh(x @ w + b) @ v - target) ** 2)
        loss.backward()
        with ag.no_grad():
            for each in weights:
                assert each.grad is not None, "a gradient was lost"
                each -= 0.05 * each.grad
                each.grad = None
        check()
    return [each.data.copy() for each in weights]


def evaluate(stop: threading.Event) -> None:
    """Compute without recording, until told to stop."""
    w = ag.tensor(np.ones(4), requires_grad=True)
    while not stop.is_set():
        with ag.no_grad():
            y = np.exp(w) * 2
            assert not y.requires_grad
            assert not ag.is_grad_enabled()


def traced(stop: threading.Event) -> None:
    """Trace, until told to stop: nothing of another thread gets into the program."""
    while not stop.is_set():
        program = ag.trace(lambda x: np.sum(x * x), np.ones(3))
        assert [each.primitive.label for each in program.operations] == ["np.multiply", "np.sum"]


@pytest.mark.parametrize("others", [[], [evaluate], [traced], [evaluate, traced]], ids=len)
def test_two_threads_train_as_if_each_were_alone(others: list[Callable[[threading.Event], None]]) -> None:
    wanted = [train(seed) for seed in (0, 1)]
    found: dict[int, list[Any]] = {}
    failures: list[BaseException] = []
    stop = threading.Event()

    def guarded(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                failures.append(error)

        return run

    def trainer(seed: int) -> Callable[[], None]:
        return guarded(lambda: found.__setitem__(seed, train(seed)))

    trainers = [threading.Thread(target=trainer(seed)) for seed in (0, 1)]
    beside = [threading.Thread(target=guarded(lambda other=other: other(stop))) for other in others]  # type: ignore[misc]  # a default keeps each
    for each in (*beside, *trainers):
        each.start()
    for each in trainers:
        each.join()
    stop.set()
    for each in beside:
        each.join()
    assert not failures
    for seed in (0, 1):
        for got, alone in zip(found[seed], wanted[seed], strict=True):
            np.testing.assert_array_equal(got, alone)


def test_a_history_may_be_walked_in_another_thread() -> None:
    w = ag.tensor([1.0, 2.0], requires_grad=True)
    y = np.sum(np.exp(w))
    worker = threading.Thread(target=y.backward)
    worker.start()
    worker.join()
    np.testing.assert_array_equal(w.grad, np.exp([1.0, 2.0]))
