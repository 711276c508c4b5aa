"""Compiled functions at the edges: what they refuse, how unusual operations are written, users' own primitives."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
import pytest

import autograd_lite as ag

X = np.random.default_rng(0).standard_normal((4, 3))
BYTES = np.array([1, 200], np.uint8)
FLAGS = np.array([True, False])


# ---- how operations are written ----


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (lambda x: x > 300, BYTES),
        (lambda x: np.where(x != -1, x, 7), BYTES),
        (lambda x: 1000 <= x, BYTES),
        (lambda x: x**2, FLAGS),
        (lambda x: np.reshape(x * 2, (3, 4), order="F") + 1, X),
        (lambda x: np.ravel(x * 2, order="F") * 3, X),
        (lambda x: np.ravel((np.zeros_like(x) + 2).T) + np.ravel(x), X),
        (lambda x: np.exp(np.zeros_like(x)) + np.ones_like(x), X),
        (lambda x: x.astype(np.float32), X),
        (lambda x: np.sum(x).astype(np.float32), X),
        (lambda x: (x * 2).astype(int) + 1, X),
        (lambda x: np.copy((x + 1).T) * 2, X),
        (lambda x: np.transpose(x[None] @ x.T) * 1.5, X),
        (lambda x: (np.copy(x), np.copy(x)), X),
        (lambda x: x * np.array(2.0), X.astype(np.float32)),
        (lambda x: np.array(2.0) - x * np.array(3), X),
    ],
)
def test_results_have_numpys_values_and_dtypes(f: Any, x: Any) -> None:
    fast = ag.compile(f)
    with np.errstate(all="ignore"):
        wanted = f(x)
    fast(x[::-1].copy())
    found = fast(x)  # in the memory of the call before
    for one, other in zip(*(each if isinstance(each, tuple) else (each,) for each in (found, wanted)), strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        np.testing.assert_allclose(one, other, rtol=1e-6 if one.dtype == np.float32 else 1e-15)


def test_a_program_has_no_keywords_of_its_own() -> None:
    fast = ag.compile(lambda x, *, scale: x * scale)
    with pytest.raises(TypeError, match="pass scale by position: what is compiled has no keywords"):
        fast(X, scale=2.0)


class Parts(NamedTuple):
    total: Any
    rows: Any


def test_named_tuples_come_back_as_they_are() -> None:
    fast = ag.compile(lambda x: {"parts": Parts(np.sum(x), [x * 2])})
    for x in (X, X + 1):
        found = fast(x)["parts"]
        assert type(found) is Parts
        np.testing.assert_allclose(found.total, x.sum(), rtol=1e-14)
        np.testing.assert_array_equal(found.rows[0], 2 * x)


# ---- what differs from trace to trace ----


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda x, count: x + sum(x for _ in range(count())), r"\d operations, then \d"),
        (lambda x, count: x * np.full(3, count()), "the captured"),
        (lambda x, count: x * count(), r"multiply: .* at .*test_compiler_corners.py"),
        (lambda x, count: (x + 1, x - 1)[:: 1 if count() % 2 else -1], "what it returns or writes"),
        (lambda x, count: (x + 1,) * count(), "operations, then"),
        (lambda x, count: repeated(x, times=count), "repeated"),
    ],
)
def test_what_is_another_program_in_the_second_trace_is_refused(f: Any, message: str) -> None:
    counter = itertools.count(1)
    fast = ag.compile(lambda x: f(x, lambda: next(counter)))
    with pytest.raises(RuntimeError, match=f"something else each time it runs: .*{message}"):
        fast(X)


@ag.primitive
def repeated(x: Any, times: Any = None) -> Any:
    return np.concatenate([x] * times())


# ---- users' own primitives ----

WEIGHT = np.array([1.0, 2.0, 3.0])


@ag.primitive
def weighted(x: Any) -> Any:
    return x * WEIGHT


@ag.primitive
def both(x: Any) -> Any:
    return x + 1, x * 2


@ag.primitive
def itself(x: Any) -> Any:
    return x


@ag.primitive
def nothing(x: Any) -> Any:
    return np.zeros(x.shape)


@ag.primitive
def stepwise(x: Any) -> Any:
    return x * 2 if float(x[0, 0]) > 100 else x * 3


weighted.def_rule(lambda g, y, x: g * WEIGHT)
both.def_rule(lambda g, y, x: g[0] + 2 * g[1])
itself.def_rule(lambda g, y, x: g)
nothing.def_rule(lambda g, y, x: 0 * g)
stepwise.def_rule(lambda g, y, x: 3 * g)


@pytest.mark.parametrize(
    ("f", "slope"),
    [
        (lambda x: weighted(x) + 1, WEIGHT),
        (lambda x: both(x)[0] + 3 * both(x)[1], 7),
        (lambda x: itself(x) * 2, 2),
        (lambda x: nothing(x) + x, 1),
        (lambda x: stepwise(x), 3),
    ],
)
def test_primitives_of_every_form_and_their_gradients(f: Any, slope: Any) -> None:
    np.testing.assert_allclose(ag.compile(f)(X), f(X), rtol=1e-14)
    gradient = ag.compile(ag.grad(lambda x: np.sum(f(x) * X)))(X)
    np.testing.assert_allclose(gradient, slope * X, rtol=1e-14)


# ---- formulas in derivatives: what `lift` recognises, where it may not be used ----


def logistic(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def test_a_formula_in_a_derivative_of_what_is_no_number_is_refused_as_ever() -> None:
    with pytest.raises(RuntimeError, match="only a scalar has a gradient"):
        ag.compile(ag.grad(logistic))(X)


def test_a_formula_beside_a_complex_argument() -> None:
    z = X + 1j * X[::-1]
    gradient = ag.compile(ag.grad(lambda z: np.sum(logistic(np.real(z)))))(z)
    s = logistic(X)
    np.testing.assert_allclose(gradient, s * (1 - s), rtol=1e-13)
    assert gradient.dtype == np.complex128
