"""The forms of a ufunc: reduce, accumulate, outer, at, reduceat, out=, where=, dtype=, each right or refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_lite as ag
from autograd_lite.primitives import PRIMITIVES
from tests.numerical import check

UFUNCS = sorted(
    (f for f, each in PRIMITIVES.items() if isinstance(f, np.ufunc) and each.differentiable and f.nin == 2),
    key=lambda f: f.__name__,
)
FOLDED = [f for f in UFUNCS if f.signature is None and f not in (np.ldexp, np.nextafter)]
UNFAITHFUL = (np.power, np.arctan2)  # along a contiguous axis NumPy's own reduce differs from its accumulate
X = np.random.default_rng(0).uniform(0.5, 2.0, (3, 4))


@pytest.mark.parametrize("f", FOLDED)
@pytest.mark.parametrize("axis", [0, -1])
def test_reduce_and_accumulate_are_compositions(f: Any, axis: int) -> None:
    check(lambda x: f.accumulate(x, axis=axis), [X], np.random.default_rng(1))
    if f not in UNFAITHFUL:
        check(lambda x: f.reduce(x, axis=axis, keepdims=True), [X], np.random.default_rng(1))
    last = ag.tensor(f.accumulate(X, axis=axis)).data.take(-1, axis)
    np.testing.assert_allclose(f.reduce(ag.tensor(X), axis=axis).data, last, rtol=1e-15)


@pytest.mark.parametrize("f", FOLDED)
def test_outer_pairs_all_entries(f: Any) -> None:
    check(f.outer, [X[0], 0.9 * X[1:, 2:]], np.random.default_rng(1))


def test_reduce_without_an_axis_is_along_the_first() -> None:
    np.testing.assert_array_equal(np.add.reduce(ag.tensor(X)).data, X.sum(axis=0))
    np.testing.assert_array_equal(np.hypot.reduce(ag.tensor(X)).data, np.hypot.reduce(X))
    np.testing.assert_array_equal(np.hypot.reduce(ag.tensor(X), axis=(1,)).data, np.hypot.reduce(X, axis=1))


def test_a_long_logaddexp_reduce_is_a_logsumexp() -> None:
    x = np.random.default_rng(0).standard_normal(500) * 300
    gradient = ag.grad(np.logaddexp.reduce)(x)
    np.testing.assert_allclose(gradient, np.exp(x - x.max()) / np.exp(x - x.max()).sum(), rtol=1e-10, atol=1e-300)


@pytest.mark.parametrize("axis", [None, (0, 1), (-1,), ()])
@pytest.mark.parametrize("keepdims", [False, True])
def test_what_has_an_identity_goes_along_several_axes(axis: Any, keepdims: bool) -> None:
    for f in (np.logaddexp, np.hypot, np.maximum, np.fmin):
        check(lambda x, f=f: f.reduce(x, axis=axis, keepdims=keepdims), [X], np.random.default_rng(1))


def test_what_reduce_starts_from() -> None:
    np.testing.assert_array_equal(np.logaddexp.reduce(ag.tensor(X[:0])).data, [-np.inf] * 4)
    np.testing.assert_array_equal(
        np.subtract.reduce(ag.tensor(X), initial=2.0).data, np.subtract.reduce(X, initial=2.0)
    )
    np.testing.assert_array_equal(np.hypot.accumulate(ag.tensor(X[:0])).data, X[:0])
    singles = np.maximum.reduce(ag.tensor(X), dtype=np.float32)
    assert singles.dtype == np.float32
    assert np.divide.reduce(ag.tensor(X), dtype=np.float32).dtype == np.float32
    with pytest.raises(ValueError, match="identity"):
        np.subtract.reduce(ag.tensor(X[:0]))


def test_reductions_that_pass_over_nan_share_ties() -> None:
    x = ag.tensor([1.0, np.nan, 1.0], requires_grad=True)
    np.fmax.reduce(x).backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.5, 0.0, 0.5]


@pytest.mark.parametrize(
    ("error", "words", "f"),
    [
        (NotImplementedError, "reduceat", lambda x: np.add.reduceat(x, [0, 1])),
        (NotImplementedError, r"np\.where or x\[index\]", lambda x: np.add.at(x, 0, 1.0)),
        (NotImplementedError, r"np\.where", lambda x: np.hypot.reduce(x, where=X > 1)),
        (NotImplementedError, r"np\.where\(mask", lambda x: np.exp(x, where=X > 1)),
        (NotImplementedError, "does not take", lambda x: np.exp(x, signature="f->f")),
        (ValueError, "one axis at a time", lambda x: np.subtract.reduce(x, axis=None)),
        (TypeError, "integer", lambda x: np.subtract.accumulate(x, axis=None)),
        (TypeError, "scalar", lambda x: np.hypot.reduce(x[0, 0])),
        (TypeError, "out=", lambda x: np.exp(x, out=np.zeros((3, 4)))),
        (TypeError, "out=", lambda x: np.add.reduce(x, out=np.zeros(4))),
        (TypeError, "out=", lambda x: np.sum(x, axis=0, out=np.zeros(4))),
        (TypeError, "out=", lambda x: np.sort_complex(np.take(x, 0, out=np.zeros(())))),
        (ValueError, "binary", lambda x: np.exp.reduce(x)),
    ],
)
def test_other_forms_are_refused(error: type[Exception], words: str, f: Callable[..., Any]) -> None:
    with pytest.raises(error, match=words):
        f(ag.tensor(X, requires_grad=True))
