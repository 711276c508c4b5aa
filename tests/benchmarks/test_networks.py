"""The benchmark compares like with like: all variants of a network take the same steps."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.networks import NETWORKS


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("variant", ["plain", "modules", "compiled", "compiled_plain"])
def test_takes_the_steps_of_the_hand_written_one(name: str, variant: str) -> None:
    network = NETWORKS[name]()
    by_hand, expected = network.by_hand()
    step, parameters = getattr(network, variant)()
    start = [parameter.copy() for parameter in expected]
    losses = [(step(), by_hand()) for _ in range(5)]
    tolerance = 1e-4 if network.dtype is np.float32 else 1e-10
    np.testing.assert_allclose(*zip(*losses, strict=True), rtol=tolerance)
    for mine, theirs, before in zip(parameters, expected, start, strict=True):
        assert np.any(theirs != before), "the hand-written step changed nothing"
        np.testing.assert_allclose(mine - before, theirs - before, rtol=tolerance, atol=tolerance * 1e-2)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_hand_written_gradients_are_right(name: str) -> None:
    network = NETWORKS[name]()
    parameters = [parameter.astype(np.float64) for parameter in network.parameters]
    network.x, network.t = network.x.astype(np.float64), network.t.astype(np.float64)
    _, gradients = network.gradients(*parameters)
    rng = np.random.default_rng(1)
    for i, gradient in enumerate(gradients):
        direction = rng.standard_normal(gradient.shape)

        def loss(t: float, i: int = i, direction: np.ndarray = direction) -> float:
            moved = [p + t * direction if k == i else p for k, p in enumerate(parameters)]
            return float(network.gradients(*moved)[0])

        # a small step, which crosses no kink of a relu
        slope = (loss(1e-7) - loss(-1e-7)) / 2e-7
        assert slope == pytest.approx(np.sum(gradient * direction), rel=1e-6)
