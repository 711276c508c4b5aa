"""Compiled code computes the same in whichever order its matrices lie, and whatever it leaves to BLAS."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_lite as ag
import autograd_lite.kernels
from autograd_lite.blas import adding
from autograd_lite.layouts import features_first, product_features_first, tall


def test_which_products_lie_features_first() -> None:
    rows, columns = np.ones((64, 300)), np.ones((300, 64)).T
    weight, turned = np.ones((300, 80)), np.ones((80, 300)).T
    assert not product_features_first((64, 80), rows, weight)
    assert product_features_first((64, 80), rows, turned)  # the larger factor would have to be transposed
    assert product_features_first((64, 80), columns, weight)  # neither would, and what follows lies so already
    assert not product_features_first((64, 80), rows, turned, [np.ones((64, 80))])  # which it will meet
    assert product_features_first((64, 80), columns, weight, [np.ones((80, 64)).T])
    assert product_features_first((3000, 4), np.ones((3000, 3)), np.ones((3, 4)))
    assert tall((297, 13))
    assert not tall((64, 10))
    assert not features_first(np.ones((1, 5)))


ROWS = (1, 2, 9, 70, 700)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("rows", ROWS)
def test_networks_of_all_shapes(rows: int, turned: bool) -> None:
    rng = np.random.default_rng(rows)
    for sizes in ((1, 3, 30), (30, 1, 3), (3, 30, 30), (30, 30, 1), (1, 1, 1)):
        shapes = list(itertools.pairwise((5, *sizes)))
        weights = [rng.standard_normal(shape[::-1] if turned else shape) for shape in shapes]
        biases = [rng.standard_normal(shape[1]) for shape in shapes]
        x = rng.standard_normal((rows, 5))

        def loss(weights: Any, biases: Any, x: Any) -> Any:
            for k, (w, b) in enumerate(zip(weights, biases, strict=True)):
                x = x @ (w.T if turned else w) + b
                x = (np.tanh(x), np.maximum(x, 0), 1 / (1 + np.exp(-x)))[k % 3]
            return np.sum(x * x) + np.sum(np.mean(x, axis=0)) + np.mean(np.sum(x, axis=1, keepdims=True) * x)

        both = ag.value_and_grad(loss, (0, 1, 2))
        (mine, gradients), (value, expected) = ag.compile(both)(weights, biases, x), both(weights, biases, x)
        np.testing.assert_allclose(mine, value, rtol=1e-12)
        for a, b in zip(flat(gradients), flat(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def flat(tree: Any) -> list[Any]:
    return [leaf for part in tree for leaf in (part if isinstance(part, list) else [part])]


EDGES = np.array([-np.inf, -1.5, -0.0, 0.0, 1e-320, 2.5, np.inf, np.nan])
CHOICES: dict[str, Callable[[Any, Any], Any]] = {
    "zero first": lambda m, x: np.where(m, 0, x * 3),
    "zero last": lambda m, x: np.where(m, x * 3, 0.0),
    "minus zero": lambda m, x: np.where(m, -0.0, x * 3),
    "a column": lambda m, x: np.where(m, 0, x[:, :1] * 3) + x,
    "one mask": lambda m, x: np.where(m[:1], x * 3, 0),
    "both": lambda m, x: np.where(m, x * 2, x * 3),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int64])
@pytest.mark.parametrize("name", CHOICES)
def test_choices_keep_every_bit(name: str, dtype: Any) -> None:
    f = CHOICES[name]
    with np.errstate(all="ignore"):
        x = np.stack([EDGES, EDGES[::-1]]).astype(dtype)
        mask = np.arange(16).reshape(2, 8) % 3 > 0

        def chosen(m: Any, x: Any) -> Any:
            return np.exp(f(np.logical_not(m), x)) if dtype is not np.int64 else f(np.logical_not(m), x) + 1

        plain, fast = chosen(mask, x), ag.compile(chosen)(mask, x)
        assert fast.dtype == plain.dtype
        assert fast.tobytes() == plain.tobytes() or np.array_equal(np.isnan(fast), np.isnan(plain))
        np.testing.assert_array_equal(fast, plain)


def test_a_choice_that_chooses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autograd_lite.kernels, "_RARE", 4)
    fast = ag.compile(lambda x: np.where(np.equal(x, 1), x * 5, x * 2) + 0.5)
    for x in (np.zeros(6), np.ones(6), np.arange(6.0)):
        np.testing.assert_array_equal(fast(x), np.where(x == 1, x * 5, x * 2) + 0.5)
    assert "if equal.any(): " in fast.source


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("orders", [*itertools.product("CF", repeat=3)], ids="".join)
@pytest.mark.parametrize("inner", [1, 3])
def test_products_are_added_in_place(inner: int, orders: tuple[str, str, str], dtype: Any) -> None:
    pytest.importorskip("scipy", reason="SciPy, the extra `fast`, is not installed")
    rng = np.random.default_rng(0)
    for rows, columns in ((70, 80), (5, 7), (1, 9), (9, 1)):
        a, b, c = (
            np.array(rng.standard_normal(shape), dtype, order=order)  # type: ignore[call-overload]  # a letter
            for shape, order in zip(((rows, inner), (inner, columns), (rows, columns)), orders, strict=True)
        )
        for scaled in (False, True):
            call = adding(c, a, b, scaled=scaled)
            assert call is not None
            before = c.copy()
            if call.rest:
                call.function(-0.5, *call.first, 0.25 if scaled else 1.0, *call.rest)
            else:
                call.function(-0.5, *call.first)
            wanted = (0.25 if scaled else 1) * before - 0.5 * (a @ b)
            np.testing.assert_allclose(c, wanted, rtol=1e-5 if dtype is np.float32 else 1e-13, atol=1e-6)


def test_what_blas_would_copy_is_left_alone() -> None:
    a, b, c = np.ones((8, 2)), np.ones((2, 9)), np.zeros((8, 9))
    readonly = c.copy()
    readonly.flags.writeable = False
    raw = np.zeros(8 * 9 * 8 + 1, np.uint8)[1:].view(np.float64).reshape(8, 9)
    for array in (readonly, raw, c[:, ::2], c.astype(">f8"), c.astype(np.float16), c.astype(complex)):
        assert adding(array, a[:, :], b[:, : array.shape[1]]) is None
    assert adding(c, a.astype(np.float32), b) is None
    assert adding(c, np.ones((8, 4))[:, ::2], b) is None
