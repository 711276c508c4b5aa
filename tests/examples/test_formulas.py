"""The documents' hand-derived gradients, against central differences and against the generated ones.

The sources of truth are the losses themselves, in plain NumPy: once by central differences, once through tensors.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_lite as ag
from examples import abs_sin, heart, iris, lenet, mnist_ann, mnist_mat, mnist_relu, xor


def central_differences(f: Callable[[dict[str, Any]], Any], params: dict[str, Any], rng: np.random.Generator) -> Any:
    """f's slope along one random direction of all parameters, of length 1, and that direction."""
    direction = {name: rng.standard_normal(value.shape) for name, value in params.items()}
    length = np.sqrt(sum(np.sum(each**2) for each in direction.values()))
    direction = {name: each / length for name, each in direction.items()}  # so short a step meets no kink of a ReLU
    h = 1e-5
    ahead, behind = ({n: p + sign * h * direction[n] for n, p in params.items()} for sign in (1, -1))
    return (f(ahead) - f(behind)) / (2 * h), direction


def make_xor(seed: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    split = xor.table(rng)
    X, y = split.x[:200], split.y[:200]
    params = {"W1": rng.standard_normal((3, 4)), "W2": rng.standard_normal((4, 1))}
    # with the loss mean(0.5 (y - o)^2) the direction is -N times the gradient
    return lambda p: xor.loss(X, y, **p), params, lambda how, p: how(X, y, **p), -len(X), xor


def make_mnist_ann(seed: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    a0 = rng.uniform(0.01, 1, (784, 1))
    t = np.eye(10)[:, seed % 10 : seed % 10 + 1]
    params = mnist_ann.weights(rng)
    for i in (1, 2, 3):
        params[f"b{i}"] = rng.standard_normal(params[f"b{i}"].shape)
    return lambda p: mnist_ann.loss(a0, t, **p), params, lambda how, p: how(a0, t, **p), 1, mnist_ann


def make_mnist_mat(seed: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0.01, 1, (1, 784)), np.eye(10)[seed : seed + 1]
    params = {"W1": rng.standard_normal((784, 20)) / 28, "W2": rng.standard_normal((20, 10))}
    return lambda p: mnist_mat.loss(x, y, **p), params, lambda how, p: how(x, y, **p), -1, mnist_mat


def make_abs_sin(seed: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, np.pi, (10, 1))
    y = np.abs(np.sin(x))
    return lambda p: abs_sin.loss(x, y, **p), abs_sin.weights(rng), lambda how, p: how(x, y, **p), -0.5, abs_sin


def make_heart(seed: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    X, y = rng.random((30, 13)), rng.integers(0, 5, (30, 1)).astype(float)
    return lambda p: heart.loss(X, y, **p), heart.weights(rng), lambda how, p: how(X, y, **p), -30, heart


def make_mnist_relu(seed: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    x, t = rng.uniform(0.01, 1, (20, 784)), np.eye(10)[rng.integers(0, 10, 20)]
    params = mnist_relu.weights(rng)
    for i in (1, 2, 3):
        params[f"b{i}"] = 0.1 * rng.standard_normal(params[f"b{i}"].shape)
    return lambda p: mnist_relu.loss(x, t, **p), params, lambda how, p: how(x, t, **p), -1, mnist_relu


def make_lenet(seed: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    x, t = rng.uniform(0.01, 1, (4, 28, 28)), np.eye(10)[rng.integers(0, 10, 4)]
    params = {
        "K": 0.2 * rng.standard_normal((6, 5, 5)),
        "b": 0.1 * rng.standard_normal(6),
        "W": 0.02 * rng.standard_normal((6 * 24 * 24, 10)),
    }
    return lambda p: lenet.loss(x, t, **p), params, lambda how, p: how(x, t, **p), -4, lenet


def make_iris(seed: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    X, t = rng.standard_normal((30, 4)), np.eye(3)[rng.integers(0, 3, 30)]
    params = {"W": rng.standard_normal((4, 3)), "b": rng.standard_normal(3)}
    return lambda p: iris.loss(X, t, **p), params, lambda how, p: how(X, t, **p), -30, iris


ALL = [make_xor, make_mnist_ann, make_mnist_mat, make_abs_sin, make_heart, make_mnist_relu, make_lenet, make_iris]
WRONG_AS_POSTED = [make_xor, make_mnist_ann, make_mnist_mat, make_mnist_relu]


def right(document: Any) -> Any:
    """The formulas that are right: the repaired ones, or the posted ones where nothing was to be repaired."""
    return getattr(document, "repaired", None) or document.posted


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("make", ALL)
def test_right_formulas_against_central_differences(make, seed):
    loss, params, formulas, scale, document = make(seed)
    slope, direction = central_differences(loss, params, np.random.default_rng(seed + 100))
    manual = formulas(right(document), params)
    assert manual.keys() == params.keys()
    assert all(manual[name].shape == params[name].shape for name in params)
    along = sum(np.sum(manual[name] * direction[name]) for name in manual) / scale
    assert along == pytest.approx(slope, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("make", ALL)
def test_right_formulas_are_the_generated_gradients(make, seed):
    loss, params, formulas, scale, document = make(seed)
    report = ag.check_backprop(loss, params, formulas(right(document), params))
    assert report.ok
    assert report.scale == pytest.approx(scale, rel=1e-10)
    for name in params:
        assert report[name].ok
        assert report[name].relative_error <= 1e-10


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("make", WRONG_AS_POSTED)
def test_posted_formulas_are_reported_wrong_exactly_where_they_are(make, seed):
    """The scale is that of the right formulas, so an entry is wrong exactly where the two formulas differ."""
    loss, params, formulas, _, document = make(seed)
    posted, repaired = (formulas(how, params) for how in (document.posted, document.repaired))
    report = ag.check_backprop(loss, params, posted)
    assert not report.ok
    for name in params:
        factor = np.sum(posted[name] * repaired[name]) / np.sum(repaired[name] ** 2)
        assert np.abs(posted[name] - factor * repaired[name]).max() > 1e-3 * np.abs(factor * repaired[name]).max()
        assert not report[name].ok


def test_the_posted_softmax_is_right_on_one_record_and_wrong_on_many():
    z = np.random.default_rng(0).standard_normal((5, 10))
    assert np.allclose(mnist_relu.posted_softmax(z[:1]), mnist_relu.softmax(z[:1]), rtol=1e-14)
    assert np.allclose(mnist_relu.softmax(z).sum(axis=1), 1, atol=1e-15)
    assert mnist_relu.posted_softmax(z).sum() == pytest.approx(1)


def test_the_posted_loop_of_mnist_relu_over_single_records():
    """Record by record: weights are accumulated, biases assigned, all divided by the number of records."""
    _, params, formulas, _, document = make_mnist_relu(0)
    rng = np.random.default_rng(0)
    x, t = rng.uniform(0.01, 1, (20, 784)), np.eye(10)[rng.integers(0, 10, 20)]
    total = {name: np.zeros_like(value) for name, value in params.items()}
    for i in range(len(x)):
        z1, a1, z2, a2, z3 = mnist_relu.forward(x[i : i + 1], **params)
        p = mnist_relu.posted_softmax(z3)[0]
        d3 = (np.diag(p) - np.outer(p, p)) @ (t[i] - p)
        d2 = params["W3"] @ d3 * (z2[0] > 0)
        d1 = params["W2"] @ d2 * (z1[0] > 0)
        for k, (a, d) in enumerate(((x[i], d1), (a1[0], d2), (a2[0], d3)), 1):
            total[f"W{k}"] += np.outer(a, d)
            total[f"b{k}"][:] = np.sum(d)
    for name, value in formulas(document.posted, params).items():
        assert np.allclose(value, total[name] / len(x), rtol=1e-10, atol=1e-15), name


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
