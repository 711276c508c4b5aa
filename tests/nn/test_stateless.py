"""nn.functional_call: a module as a function of its parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import autograd_lite as ag
import nn


def network() -> nn.Sequential:
    rng = np.random.default_rng(0)
    return nn.Sequential(nn.Linear(3, 4, rng=rng), nn.Tanh(), nn.BatchNorm1d(4), nn.Linear(4, 2, rng=rng)).to(float)


def test_it_computes_with_the_values_given_and_leaves_the_modules_own() -> None:
    model, other = network(), network()
    x = np.random.default_rng(1).standard_normal((5, 3))
    for each in other.parameters():
        each.data = each.data + 1
    before = {name: (each, each._node, each.data.copy()) for name, each in model.named_parameters()}
    found = nn.functional_call(model.eval(), other.state_dict(), x)
    assert_array_equal(found.detach().numpy(), other.eval()(x).detach().numpy())
    for name, each in model.named_parameters():
        own, node, data = before[name]
        assert each is own
        assert each._node is node
        assert_array_equal(each.data, data)


def test_gradients_are_those_of_backward() -> None:
    model = network()
    x, y = np.random.default_rng(1).standard_normal((5, 3)), np.arange(5) % 2
    loss = nn.CrossEntropyLoss()
    params = {name: each.data for name, each in model.named_parameters()}
    found = ag.grad(lambda p: loss(nn.functional_call(model, p, x), y))(params)
    loss(model(x), y).backward()
    for name, each in model.named_parameters():
        assert_allclose(found[name], each.grad, rtol=1e-13, atol=1e-16)


def test_names_that_are_not_given_keep_their_values_and_errors_change_nothing() -> None:
    model = nn.Linear(2, 1, dtype=float)
    x = np.ones((1, 2))
    assert nn.functional_call(model, {"bias": np.zeros(1)}, x).item() == pytest.approx(float(model.weight.data.sum()))
    before = model.state_dict()

    def fails(*args: Any) -> Any:
        raise RuntimeError("inside")

    model.forward = fails  # type: ignore[method-assign]  # to fail within the call
    with pytest.raises(RuntimeError, match="inside"):
        nn.functional_call(model, {"bias": np.zeros(1)}, x)
    assert_array_equal(model.state_dict()["bias"], before["bias"])


def test_unknown_names_and_wrong_shapes_are_named() -> None:
    model = nn.Linear(2, 1)
    with pytest.raises(KeyError, match="Linear has no 'wieght'; it has weight, bias"):
        nn.functional_call(model, {"wieght": np.ones((1, 2))}, np.ones((1, 2)))
    with pytest.raises(ValueError, match=r"bias has the shape \(\), not \(1,\)"):
        nn.functional_call(model, {"bias": 1.0}, np.ones((1, 2)))
