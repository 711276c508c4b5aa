"""The benchmark compares like with like: all variants of a network, and the installed peers, take the same steps."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from benchmarks.cases import build, package
from benchmarks.chain import Chain
from benchmarks.lenet import LeNet
from benchmarks.networks import NETWORKS, Network, Wide
from benchmarks.peers import PEERS

SMALL: dict[str, Callable[[], Network]] = {
    **NETWORKS,
    "lenet": LeNet,
    "chain": partial(Chain, 100),
    "width_32": partial(Wide, 32),
}
OURS = ("plain", "modules", "compiled", "compiled_scipy", "compiled_plain", "compiled_plain_scipy")


def takes_the_steps_of_the_hand_written_one(name: str, variant: str) -> None:
    network = SMALL[name]()
    by_hand, expected = network.by_hand()
    step, parameters = build(network, variant)
    losses = [(step(), by_hand()) for _ in range(5)]
    tolerance = 1e-4 if network.dtype is np.float32 else 1e-10
    np.testing.assert_allclose(*zip(*losses, strict=True), rtol=tolerance)
    for mine, theirs, before in zip(parameters(), expected(), network.parameters, strict=True):
        assert mine.dtype == network.dtype
        moved = np.linalg.norm(theirs - before)
        assert moved > 0, "the hand-written step changed nothing"
        assert np.linalg.norm(mine - theirs) <= tolerance * moved


@pytest.mark.parametrize(("name", "variant"), [(n, v) for n in SMALL for v in OURS if n != "chain" or "plain" in v])
def test_our_variants_take_the_steps_of_the_hand_written_one(
    name: str, variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if package(variant) == "scipy":
        pytest.importorskip("scipy", reason="compiled with SciPy's BLAS: pip install 'autograd-lite[fast]'")
    monkeypatch.setenv("AUTOGRAD_LITE_SCIPY", "1")  # build sets it; afterwards it is as it was
    takes_the_steps_of_the_hand_written_one(name, variant)


# torch.compile takes seconds for each network: one of each dtype has to do
LEFT_OUT = {("lenet", "autograd"), *((n, "torch_compile") for n in SMALL if n not in ("abs_sin", "mnist_relu"))}


@pytest.mark.parametrize(("peer", "name"), [(p, n) for p in PEERS for n in SMALL if (n, p) not in LEFT_OUT])
def test_the_installed_peers_take_the_steps_of_the_hand_written_one(name: str, peer: str) -> None:
    pytest.importorskip(package(peer), reason=f"{peer} is measured where it is installed: pip install -e '.[bench]'")
    takes_the_steps_of_the_hand_written_one(name, peer)


@pytest.mark.parametrize("name", SMALL)
def test_the_hand_written_gradients_are_right(name: str) -> None:
    network = SMALL[name]()
    parameters = [parameter.astype(np.float64) for parameter in network.parameters]
    network.x, network.t = network.x.astype(np.float64), network.t.astype(np.float64)
    _, gradients = network.gradients(*parameters)
    rng = np.random.default_rng(1)
    for i, gradient in enumerate(gradients):
        direction = rng.standard_normal(gradient.shape)

        def loss(t: float, i: int = i, direction: np.ndarray = direction) -> float:
            moved = [p + t * direction if k == i else p for k, p in enumerate(parameters)]
            return float(network.gradients(*moved)[0])

        # a small step, which crosses no kink of a relu; what rounding the losses can do is no error
        slope = (loss(1e-7) - loss(-1e-7)) / 2e-7
        rounding = 8 * np.finfo(np.float64).eps * abs(loss(0)) / 2e-7
        assert slope == pytest.approx(np.sum(gradient * direction), rel=1e-6, abs=rounding)
