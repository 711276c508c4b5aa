"""A view whose base has been pointed at new values since: whoever asks it anything must see those."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_lite as ag

X = np.array([1.0, 2.0, 3.0])


def doubled(x: Any) -> Any:
    """The first two entries of 2x, through a view that is older than the values."""
    y = ag.tensor(np.zeros(3))
    view = y[:2]
    y[...] = x * 2.0
    return view


def cubes(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: np.sum(f(x) ** 3)


def test_a_function_may_return_one() -> None:
    wanted = [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]
    assert ag.jacobian(doubled)(X).tolist() == wanted
    assert ag.compile(ag.jacobian(doubled))(X).tolist() == wanted
    assert ag.vjp(doubled, X)[1](np.ones(2))[0].tolist() == [2.0, 2.0, 0.0]
    assert ag.jvp(doubled, (X,), (X,))[1].tolist() == [2.0, 4.0]
    assert ag.trace(doubled, X)(X).tolist() == [2.0, 4.0]


@pytest.mark.parametrize("f", [doubled, ag.checkpoint(doubled)])
def test_a_function_of_one_has_its_gradient(f: Callable[..., Any]) -> None:
    np.testing.assert_allclose(ag.grad(cubes(f))(X), [24.0, 96.0, 0.0])
    np.testing.assert_allclose(ag.hessian(cubes(f))(X), np.diag([48.0, 96.0, 0.0]))


def test_as_an_argument_it_is_live() -> None:
    w = ag.tensor(X, requires_grad=True)
    inner = ag.grad(lambda v: np.sum(v**3))(doubled(w))
    np.sum(inner).backward()
    assert w.grad is not None
    np.testing.assert_allclose(w.grad, [2 * 6 * 2.0, 2 * 6 * 4.0, 0.0])


@pytest.mark.parametrize("leave", [np.asarray, lambda v: v.numpy(), copy.deepcopy, pickle.dumps, ag.tensor])
def test_it_does_not_lose_its_history_silently(leave: Callable[..., Any]) -> None:
    with pytest.raises((TypeError, RuntimeError)):
        leave(doubled(ag.tensor(X, requires_grad=True)))


def test_its_gradient_can_be_watched() -> None:
    w = ag.tensor(X, requires_grad=True)
    view, seen = doubled(w), []
    view.retain_grad()
    view.register_hook(lambda g: seen.append(g.tolist()))
    np.sum(view**2).backward()
    assert seen == [[4.0, 8.0]]
    assert view.grad.tolist() == [4.0, 8.0]
