"""ag.ravel: what comes back, what derivatives go through, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import autograd_lite as ag
from autograd_lite.trees import flatten

PARAMS: dict[str, Any] = {
    "layers": [np.arange(6, dtype=np.float32).reshape(2, 3), np.asfortranarray(np.arange(4.0).reshape(2, 2))],
    "empty": (np.zeros((0, 3)),),
    "scale": np.array(7.0),
    "half": np.array([0.5], np.float16),
}


def test_the_vector_holds_every_entry_and_leads_back() -> None:
    vector, unravel = ag.ravel(PARAMS)
    assert vector.dtype == np.float64
    assert vector.tolist() == [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 7, 0.5]
    (given, wanted), (found, structure) = flatten(PARAMS), flatten(unravel(vector))
    assert structure == wanted
    for a, b in zip(found, given, strict=True):
        assert a.dtype == b.dtype
        assert_array_equal(a, b)


def test_neither_way_shares_memory() -> None:
    array = np.arange(3.0)
    vector, unravel = ag.ravel([array])
    (back,) = unravel(vector)
    assert not np.shares_memory(vector, array)
    assert not np.shares_memory(back, vector)


def loss(p: Any) -> Any:
    return np.sum(np.tanh(p["a"] @ p["b"]) ** 2) * p["c"][0]


def test_derivatives_of_the_vector_are_those_of_the_parameters() -> None:
    rng = np.random.default_rng(0)
    params = {"a": rng.standard_normal((2, 3)), "b": rng.standard_normal((3, 2)), "c": (rng.standard_normal(),)}
    vector, unravel = ag.ravel(params)
    wanted, _ = ag.ravel(ag.grad(loss)(params))
    assert_allclose(ag.grad(lambda v: loss(unravel(v)))(vector), wanted, rtol=1e-14)
    direction = rng.standard_normal(vector.size)
    product, _ = ag.ravel(ag.hvp(loss)(params, unravel(direction)))
    assert_allclose(ag.hvp(lambda v: loss(unravel(v)))(vector, direction), product, rtol=1e-12)
    value, gradient = ag.compile(ag.value_and_grad(lambda v: loss(unravel(v))))(vector)
    assert_allclose(gradient, wanted, rtol=1e-13)
    assert_allclose(value, loss(params), rtol=1e-14)


@pytest.mark.parametrize("bad", [np.arange(3), np.ones(2, complex), np.array([True]), np.array(["a"])])
def test_what_is_no_floating_point_number_is_named(bad: Any) -> None:
    with pytest.raises(TypeError, match=f"a/1 holds {bad.dtype}"):
        ag.ravel({"a": [np.ones(2), bad]})


@pytest.mark.parametrize("bad", [np.ones(3), np.ones((2, 1)), 1.0, ag.tensor(np.ones(1))])
def test_a_vector_of_another_size_is_refused(bad: Any) -> None:
    _, unravel = ag.ravel(np.ones(2))
    with pytest.raises(ValueError, match=r"\(2,\) is needed"):
        unravel(bad)


def test_it_is_what_scipy_asks_for() -> None:
    optimize = pytest.importorskip("scipy.optimize", reason="SciPy is not installed")
    x0, unravel = ag.ravel({"a": np.array(-1.2), "b": np.array([1.0])})

    def rosenbrock(v: Any) -> Any:
        p = unravel(v)
        return np.sum(100 * (p["b"] - p["a"] ** 2) ** 2) + (1 - p["a"]) ** 2

    for method, further in (("L-BFGS-B", {}), ("Newton-CG", {"hessp": ag.hvp(rosenbrock)})):
        found = optimize.minimize(ag.value_and_grad(rosenbrock), x0, jac=True, method=method, **further)
        assert_allclose(found.x, [1, 1], rtol=1e-3)
