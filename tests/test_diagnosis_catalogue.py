"""Mistakes that people make by hand, derived here in plain NumPy, are told in the words of the user's names.

The network has as many records as units, so that transposes, other layers and elementwise products fit in shape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_lite as ag
import nn

N = 4
RNG = np.random.default_rng(3)
X, X_BEFORE = RNG.standard_normal((N, N)), RNG.standard_normal((N, N))
T, T_BEFORE = RNG.uniform(0.1, 0.9, (N, 2)), RNG.uniform(0.1, 0.9, (N, 2))
P = {
    "W1": 0.6 * RNG.standard_normal((N, N)),
    "W2": 0.6 * RNG.standard_normal((N, N)),
    "W3": 0.6 * RNG.standard_normal((N, 2)),
}


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def relu(z: Any) -> Any:
    return np.maximum(z, 0)


SLOPES: dict[Any, Callable[[Any], Any]] = {
    sigmoid: lambda a: a * (1 - a),
    np.tanh: lambda a: 1 - a**2,
    relu: lambda a: (a > 0) * 1.0,
}


def loss_of(g: Any, x: Any = X, t: Any = T) -> Callable[[Any], Any]:
    def loss(p: Any) -> Any:
        z1 = x @ p["W1"]
        a1 = g(z1)
        z2 = a1 @ p["W2"]
        a2 = g(z2)
        z3 = a2 @ p["W3"]
        o = sigmoid(z3)
        return np.mean((o - t) ** 2)

    return loss


def by_hand(
    g: Any,
    error: Callable[[Any, Any], Any] = lambda o, t: 2 * (o - t) / t.size,
    slope: Callable[[Any, Any, Any], Any] = lambda d, a1, a2: None,
    through: Callable[[Any, Any, Any], Any] = lambda d, w, other: d @ w.T,
    weight: Callable[[Any, Any], Any] = lambda x, d: x.T @ d,
    t: Any = T,
) -> dict[str, Any]:
    """The gradients of the three layers, with one step of the derivation given."""
    a1 = g(X @ P["W1"])
    a2 = g(a1 @ P["W2"])
    o = sigmoid(a2 @ P["W3"])
    d3 = error(o, t) * o * (1 - o)
    d2 = d3 @ P["W3"].T * SLOPES[g](a2)
    back = through(d2, P["W2"], P["W1"])
    wrong = slope(back, a1, a2)
    d1 = back * SLOPES[g](a1) if wrong is None else wrong
    return {"W1": X.T @ d1, "W2": weight(a1, d2), "W3": a2.T @ d3}


@pytest.mark.parametrize("g", SLOPES)
def test_the_derivation_is_right_without_a_mistake(g: Any) -> None:
    for name, gradient in ag.grad(loss_of(g))(P).items():
        np.testing.assert_allclose(by_hand(g)[name], gradient, rtol=1e-12)


def told(loss: Any, manual: dict[str, Any], previous: Any = None, params: dict[str, Any] = P) -> list[tuple[str, str]]:
    """The names and sentences of what is found, and every name that stands beside them."""
    report = ag.check_backprop(loss, params, manual, previous=previous)
    return [(name, finding.cause) for finding in report.findings for name, _ in finding.mistakes]


@pytest.mark.parametrize(
    ("g", "wrong", "name", "sentence"),
    [
        (np.tanh, {"through": lambda d, w, other: d @ w}, "weight not transposed",
         "the delta is propagated to a1 with W2 instead of its transpose"),
        (np.tanh, {"through": lambda d, w, other: d @ other.T}, "weight of the wrong layer",
         "the delta is propagated to a1 with W1 instead of W2, that layer's weights"),
        (np.tanh, {"through": lambda d, w, other: d * w.T}, "elementwise product in the propagation",
         "the delta is multiplied with W2 elementwise on its way to a1, where the matrix product belongs"),
        (np.tanh, {"through": lambda d, w, other: d * w}, "elementwise product in the propagation",
         "the delta is multiplied with W2 elementwise on its way to a1, where the matrix product belongs"),
        (np.tanh, {"weight": lambda x, d: x * d}, "elementwise product for the weight gradient",
         "the gradient of W2 is an elementwise product, where the matrix product belongs"),
        (np.tanh, {"slope": lambda d, a1, a2: d @ (1 - a1**2)}, "matrix product with the slope",
         "the delta is multiplied with the slope at a1 as matrices (`@`, or `*` on np.mat), not elementwise"),
        (np.tanh, {"slope": lambda d, a1, a2: d * a1**2}, "other half of the slope's formula",
         "the slope of the tanh is 1 - a1 ** 2, and the 1 is missing"),
        (sigmoid, {"slope": lambda d, a1, a2: d * (1 - a1)}, "other half of the slope's formula",
         "the slope of the sigmoid is a1 * (1 - a1), and the factor a1 is missing"),
        (np.tanh, {"slope": lambda d, a1, a2: d * (1 - a2**2)}, "slope of another layer",
         "the slope at z1 is that of another layer, a2"),
        (relu, {"slope": lambda d, a1, a2: d * (a2 > 0)}, "slope of another layer",
         "the mask at z1 is that of another layer, a2"),
        (np.tanh, {"error": lambda o, t: np.sign(o - t)}, "absolute error's gradient for the squared error",
         "the error is sign(o - t), the derivative of the absolute error, not of the squared one"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_in_the_users_names(g: Any, wrong: Any, name: str, sentence: str) -> None:
    found = told(loss_of(g), by_hand(g, **wrong))
    assert found[0][0] == name, found
    assert sentence in found[0][1]


def test_targets_of_the_batch_before() -> None:
    manual = by_hand(np.tanh, t=T_BEFORE)
    ((name, sentence),) = told(loss_of(np.tanh), manual, previous=loss_of(np.tanh, X_BEFORE, T_BEFORE))
    assert name == "error of the batch before"
    assert "the error is computed with the t of the batch before" in sentence


def test_half_of_the_binary_cross_entropy() -> None:
    params = {"W": P["W1"][:, :2]}

    def loss(p: Any) -> Any:
        o = sigmoid(X @ p["W"])
        return -np.mean(T * np.log(o) + (1 - T) * np.log(1 - o))

    o = sigmoid(X @ params["W"])
    ((name, sentence), *_) = told(loss, {"W": -X.T @ (T * (1 - o))}, params=params)
    assert name == "half of the cross-entropy"
    assert "is -T * (1 - o): the term (1 - T) * log(1 - o) of the loss is left out" in sentence


# ---- networks in other words ----


def test_a_relu_by_its_name_and_weights_that_are_a_product() -> None:
    params = {"A": P["W1"][:, :2], "B": P["W2"][:2], "W": P["W3"]}

    def loss(p: Any) -> Any:
        z = X @ (p["A"] @ p["B"])
        a = nn.functional.relu(z)
        o = a @ p["W"]
        return np.sum((o - T) ** 2)

    z = X @ (params["A"] @ params["B"])
    a = relu(z)
    d = 2 * (a @ params["W"] - T)

    def by_hand(mask: Any) -> dict[str, Any]:
        weights = X.T @ (d @ params["W"].T * mask)
        return {"A": weights @ params["B"].T, "B": params["A"].T @ weights, "W": a.T @ d}

    assert ag.check_backprop(loss, params, by_hand(z > 0)).ok
    name, sentence = told(loss, by_hand(1.0), params=params)[0]
    assert name == "slope missing"
    assert "the mask of the relu is missing: d_z has to be 0 wherever z is not positive" in sentence


def test_where_the_loss_is_least_every_gradient_is_zero() -> None:
    params = {"W": P["W3"]}
    least = X @ P["W3"]
    report = ag.check_backprop(lambda p: np.sum((X @ p["W"] - least) ** 2), params, {"W": np.zeros((N, 2))})
    assert report.ok
    assert not ag.check_backprop(lambda p: np.sum((X @ p["W"] - least) ** 2), params, {"W": least}).ok


# ---- what nothing explains, with what was handed over beside it ----


def test_deltas_that_are_right_say_that_the_mistake_is_not_before_them() -> None:
    params = {"W": P["W3"]}

    def loss(p: Any) -> Any:
        z = X @ p["W"]
        o = sigmoid(z)
        return np.mean((o - T) ** 2)

    o = sigmoid(X @ params["W"])
    delta = 2 * (o - T) / T.size * o * (1 - o)
    report = ag.check_backprop(loss, params, {"W": RNG.standard_normal((N, 2)), "z": delta})
    assert [name for name in ("W", "z") if report[name].ok] == ["z"]
    told = "No mistake that is known explains 'W'. The deltas that you gave are as expected."
    assert any(told in each for each in report.notes)


def test_a_parameter_that_the_loss_does_not_use_has_no_gradient() -> None:
    params = {**P, "unused": np.ones(3)}
    right = {**by_hand(np.tanh), "unused": np.zeros(3)}
    assert ag.check_backprop(loss_of(np.tanh), params, right).ok
    report = ag.check_backprop(loss_of(np.tanh), params, {**right, "unused": np.ones(3)})
    assert [name for name in params if not report[name].ok] == ["unused"]
