"""Derivatives of every function beyond the second order, and forward, against central differences along a line.

Each case of `op_cases.py` becomes a function of one number, phi(t) = <w, f(x + t v)>. Its third derivative is held
against differences of the second, and `ag.jvp` of f along v against differences of f.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import autograd_lite as ag
from tests.numerical import inner, like, results
from tests.op_cases import CASES, Case, function_of, specs

STEP = 1e-5
Lines = Iterator[tuple[Callable[..., Any], list[Any], list[Any]]]


def lines(entry: Case) -> Lines:
    """Each call of a case: its function, a place, and a direction."""
    for call in entry.calls:
        rng = np.random.default_rng(3)
        place = [spec.array(rng) for spec in specs(call)]
        if place and all(np.isfinite(each).all() for each in place):
            yield function_of(entry, call), place, [like(each, rng) for each in place]


def ahead(place: list[Any], direction: list[Any], t: Any) -> list[Any]:
    return [x + t * v for x, v in zip(place, direction, strict=True)]


def close(got: Any, wanted: Any, size: float) -> None:
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4 * max(1.0, size))


@pytest.mark.parametrize("entry", [each for each in CASES.values() if each.order >= 2], ids=lambda each: each.name)
def test_third_order(entry: Case) -> None:
    for f, place, direction in lines(entry):

        def phi(t: Any, f: Any = f, place: Any = place, direction: Any = direction) -> Any:
            rng = np.random.default_rng(5)
            outs = results(f(*ahead(place, direction, t)))
            return inner(outs, [like(np.empty(out.shape, out.dtype), rng) for out in outs])

        second = ag.grad(ag.grad(phi))
        high, low = second(STEP), second(-STEP)
        close(ag.grad(second)(0.0), (high - low) / (2 * STEP), float(abs(high)))


@pytest.mark.parametrize("entry", CASES.values(), ids=lambda each: each.name)
def test_forward(entry: Case) -> None:
    for f, place, direction in lines(entry):

        def outs(*arrays: Any, f: Any = f) -> Any:
            return tuple(results(f(*arrays)))

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # 0 ** -1 is among the cases
            _, found = ag.jvp(outs, tuple(place), tuple(direction))
            high, low = (outs(*ahead(place, direction, t)) for t in (STEP, -STEP))
        for got, up, down in zip(found, high, low, strict=True):
            wanted = (up - down) / (2 * STEP)
            close(got, wanted, float(np.max(np.abs(wanted), initial=0)))
