"""The documents' hand-derived gradients, against central differences and against the generated ones.

The sources of truth are the losses themselves, in plain NumPy: once by central differences, once through tensors.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_lite as ag
from examples import mnist_ann, xor


def central_differences(f: Callable[[dict[str, Any]], Any], params: dict[str, Any], rng: np.random.Generator) -> Any:
    """f's slope along one random direction of all parameters, and that direction."""
    direction = {name: rng.standard_normal(value.shape) for name, value in params.items()}
    h = 1e-5
    ahead, behind = ({n: p + sign * h * direction[n] for n, p in params.items()} for sign in (1, -1))
    return (f(ahead) - f(behind)) / (2 * h), direction


def small_xor(seed: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    split = xor.table(rng)
    X, y = split.x[:200], split.y[:200]
    params = {"W1": rng.standard_normal((3, 4)), "W2": rng.standard_normal((4, 1))}
    # with the loss mean(0.5 (y - o)^2) the direction is -N times the gradient
    return lambda p: xor.loss(X, y, **p), params, lambda how, p: how(X, y, **p), -len(X), xor


def small_mnist_ann(seed: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    a0 = rng.uniform(0.01, 1, (784, 1))
    t = np.eye(10)[:, seed % 10 : seed % 10 + 1]
    params = mnist_ann.weights(rng)
    for i in (1, 2, 3):
        params[f"b{i}"] = rng.standard_normal(params[f"b{i}"].shape)
    return lambda p: mnist_ann.loss(a0, t, **p), params, lambda how, p: how(a0, t, **p), 1, mnist_ann


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("make", [small_xor, small_mnist_ann])
def test_repaired_formulas_against_central_differences(make, seed):
    loss, params, formulas, scale, document = make(seed)
    slope, direction = central_differences(loss, params, np.random.default_rng(seed + 100))
    manual = formulas(document.repaired, params)
    assert manual.keys() == params.keys()
    along = sum(np.sum(manual[name] * direction[name]) for name in manual) / scale
    assert along == pytest.approx(slope, rel=1e-6, abs=1e-10)
    wrong = formulas(document.posted, params)
    assert sum(np.sum(wrong[name] * direction[name]) for name in wrong) / scale != pytest.approx(slope, rel=1e-3)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("make", [small_xor, small_mnist_ann])
def test_repaired_formulas_are_the_generated_gradients(make, seed):
    loss, params, formulas, scale, document = make(seed)
    report = ag.check_backprop(loss, params, formulas(document.repaired, params))
    assert report.ok
    assert report.scale == pytest.approx(scale, rel=1e-10)
    for name in params:
        assert report[name].ok
        assert report[name].relative_error <= 1e-10


@pytest.mark.parametrize("seed", range(3))
def test_posted_xor_is_reported_wrong_in_both_weights(seed):
    loss, params, formulas, _, document = small_xor(seed)
    report = ag.check_backprop(loss, params, formulas(document.posted, params))
    assert not report.ok
    assert not report["W1"].ok


@pytest.mark.parametrize("seed", range(3))
def test_posted_mnist_ann_is_reported_wrong(seed):
    loss, params, formulas, _, document = small_mnist_ann(seed)
    report = ag.check_backprop(loss, params, formulas(document.posted, params))
    assert not report.ok
    assert not any(report[name].ok for name in params)


def test_plain_numpy_and_nn_are_the_same_networks():
    rng = np.random.default_rng(0)
    model = mnist_ann.network(np.random.default_rng(5))
    params = mnist_ann.weights(np.random.default_rng(5))
    a0 = rng.uniform(0.01, 1, (784, 1))
    logits = model(a0.T.astype(np.float32)).detach().numpy()[0]
    e = np.exp(logits - logits.max())
    assert np.allclose(e / e.sum(), mnist_ann.forward(a0, **params)[-1][:, 0], rtol=1e-4)

    model = xor.network(np.random.default_rng(5))
    X = np.array([[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]], np.float32)
    W1, W2, b2 = (parameter.detach().numpy() for parameter in model.parameters())
    o = xor.sigmoid(xor.sigmoid(X @ W1.T) @ W2.T + b2)
    assert np.allclose(model(X).detach().numpy(), o, rtol=1e-5)


def test_the_xor_table_is_the_documents():
    split = xor.table(np.random.default_rng(0))
    assert split.x.shape == (3092, 3)
    assert split.test_y.shape == (1031, 1)
    assert np.all(split.x[:, 2] == 1)
    assert np.array_equal(split.y[:, 0], (split.x[:, 0] != split.x[:, 1]).astype(float))
    assert len(np.unique(split.x, axis=0)) == 4
