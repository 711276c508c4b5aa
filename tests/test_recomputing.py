"""checkpoint: the same values and gradients, less memory, and an error when the second run differs."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import autograd_lite as ag

X = np.array([0.5, -1.2, 2.0])


def block(w, x):
    return np.tanh(w * x) * np.exp(x)


def test_same_values_and_gradients_as_the_plain_function():
    w, x = ag.tensor(X[::-1], requires_grad=True), ag.tensor(X, requires_grad=True)
    plain = block(w, x)
    np.sum(plain**2).backward()
    expected = w.grad, x.grad
    w.grad = x.grad = None
    y = ag.checkpoint(block)(w, x)
    assert_array_equal(y.data, plain.data)
    np.sum(y**2).backward()
    assert_array_equal(w.grad, expected[0])
    assert_array_equal(x.grad, expected[1])


def test_captured_tensors_get_their_gradients():
    w = ag.tensor(2.0, requires_grad=True)
    scaled = w * 3  # captured, and computed before
    y = ag.checkpoint(lambda x: np.sum(w * scaled * x))(X)
    y.backward()
    assert_allclose(w.grad, 12 * X.sum())


@pytest.mark.parametrize("n", [1, 2, 3])
def test_nests_and_goes_to_any_order(n):
    f = lambda x: np.exp(2 * x)
    g = ag.checkpoint(lambda x: ag.checkpoint(np.exp)(2 * x))
    for _ in range(n):
        f, g = ag.grad(f), ag.grad(g)
    assert_allclose(g(0.3), 2**n * np.exp(0.6), rtol=1e-14)
    assert_allclose(f(0.3), g(0.3), rtol=1e-14)


def test_second_order_through_captured_tensors():
    w = ag.tensor(X, requires_grad=True)
    slope = ag.grad(ag.checkpoint(lambda x: np.sum(w * x**2)))(X)
    np.sum(slope**2).backward()
    assert_allclose(w.grad, 8 * X**3)


def test_forward_mode():
    f = lambda x: x**3
    assert_allclose(ag.jvp(ag.checkpoint(f), (X,), (X,))[1], 3 * X**3)
    assert_allclose(ag.hessian(ag.checkpoint(lambda x: np.sum(f(x))))(X), np.diag(6 * X))


def test_structures_and_results_without_gradient():
    def f(p, *, scale):
        y = p["a"] * scale
        return {"y": y, "best": np.argmax(y), "rest": (np.sum(p["a"]), 3.0)}

    a = ag.tensor(X, requires_grad=True)
    out = ag.checkpoint(f)({"a": a}, scale=2.0)
    assert out["rest"][1] == 3.0
    assert int(out["best"]) == 2
    assert out["best"].is_leaf  # its history would keep what checkpoint lets go
    (np.sum(out["y"]) * out["rest"][0]).backward()
    assert_allclose(a.grad, np.full(3, 4 * X.sum()))


def test_nothing_live_means_nothing_recorded():
    y = ag.checkpoint(np.exp)(X)
    assert type(y) is np.ndarray
    w = ag.tensor(1.0, requires_grad=True)
    with ag.no_grad():
        assert not ag.checkpoint(lambda x: w * x)(X).requires_grad


def test_an_argument_written_to_later_is_remembered_as_it_was():
    w = ag.tensor(X, requires_grad=True)
    x = w * 1
    y = ag.checkpoint(np.square)(x)
    x += 100
    np.sum(y).backward()
    assert_allclose(w.grad, 2 * X)


def test_random_numbers_are_noticed():
    rng = np.random.default_rng(0)
    w = ag.tensor(X, requires_grad=True)
    y = np.sum(ag.checkpoint(lambda x: x * rng.random(3))(w))
    with pytest.raises(RuntimeError, match=r"running it again gave another result.*random numbers"):
        y.backward()


def test_a_changed_capture_is_noticed():
    w = ag.tensor(X, requires_grad=True)
    table = {"w": ag.tensor(2.0, requires_grad=True)}
    y = np.sum(ag.checkpoint(lambda x: x * table["w"])(w))
    table["w"] = ag.tensor(2.0, requires_grad=True)  # the same value, but the gradient belongs to the other
    with pytest.raises(RuntimeError, match="gave another result"):
        y.backward()


def test_a_changed_array_or_leaf_is_noticed():
    w, c = ag.tensor(X, requires_grad=True), np.ones(3)
    y = np.sum(ag.checkpoint(lambda x: x * c)(w))
    c[:] = 2
    with pytest.raises(RuntimeError, match="gave another result"):
        y.backward()
    y = np.sum(ag.checkpoint(np.square)(w))
    w.data = X + 1
    with pytest.raises(RuntimeError, match="written to after"):
        y.backward()


def test_another_shape_is_noticed():
    w, rows = ag.tensor(X, requires_grad=True), [X]
    y = np.sum(ag.checkpoint(lambda x: np.stack([x * row for row in rows]))(w))
    rows.append(X)
    with pytest.raises(RuntimeError, match="gave another result"):
        y.backward()


def test_a_freed_history_says_so():
    w = ag.tensor(X, requires_grad=True)
    y = np.sum(ag.checkpoint(np.square)(w))
    y.backward()
    with pytest.raises(RuntimeError, match="retain_graph"):
        y.backward()


def test_memory_is_saved():
    """Twenty steps of 0.8 MB each, in four parts: what is kept till the pass back is 4 arrays and not 20 and more."""
    w = ag.tensor(np.linspace(0, 1, 100_000), requires_grad=True)

    def part(x):
        for _ in range(5):
            x = np.tanh(x)
        return x

    def kept(part):
        tracemalloc.start()
        y = w
        for _ in range(4):
            y = part(y)
        now = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        del y
        return now / w.nbytes

    assert kept(part) > 19
    assert kept(ag.checkpoint(part)) < 5
