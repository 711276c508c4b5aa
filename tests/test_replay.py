"""A way back with other rules in it gives what the formulas with those rules give; what does not fit is impossible."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import autograd_lite as ag
import nn
from autograd_lite.program import Variable
from autograd_lite.replay import Replay, fitted
from autograd_lite.sites import Delta, Edge, Forward, Given, Impossible, Rule, Stale, Total
from autograd_lite.tracing import recorded

RNG = np.random.default_rng(0)
X, T = RNG.standard_normal((6, 4)), RNG.standard_normal((6, 2))
P = {"W": RNG.standard_normal((4, 3)), "V": RNG.standard_normal((3, 2))}


def loss(p: Any) -> Any:
    z = X @ p["W"]
    a = np.tanh(z)
    o = a @ p["V"]
    e = o - T
    return np.sum(e * e)


def by_hand(a: Any, slope: Any, delta: Any = None) -> dict[str, Any]:
    """The gradients where the activation is `a`, its slope `slope` and the delta of the output perhaps another."""
    d = 2 * (a @ P["V"] - T) if delta is None else delta
    return {"W": X.T @ (d @ P["V"].T * slope), "V": a.T @ d}


A = np.tanh(X @ P["W"])
RIGHT = by_hand(A, 1 - A**2)


@pytest.fixture
def replay() -> Replay:
    return Replay(recorded(loss, (P,), differentiate=True), (P,))


def named(replay: Replay, name: str) -> Variable:
    return next(each for operation in replay.operations for each in operation.outputs if each.name == name)


def agree(replay: Replay, found: Any, wanted: dict[str, Any]) -> None:
    for each in replay.program.inputs:
        assert_allclose(found.totals[each], wanted[each.name], rtol=1e-12)


def test_without_other_rules_the_gradients_are_right(replay: Replay) -> None:
    agree(replay, replay.back({}), RIGHT)


def test_a_mistake_on_the_way_forward_changes_what_the_right_rules_read(replay: Replay) -> None:
    z, k = named(replay, "z"), replay.makers[named(replay, "a")]
    relu = np.maximum(X @ P["W"], 0)
    found = replay.back({Forward(k): Rule((z,), lambda z: np.maximum(z, 0))})
    agree(replay, found, by_hand(relu, 1 - relu**2))  # the rule of the tanh reads the relu
    again = replay.back({**found.overrides, Edge(k, 0): Rule((Delta(named(replay, "a")),), lambda d: d)}, found)
    agree(replay, again, by_hand(relu, 1.0))
    agree(replay, replay.back({}, replay.back({})), RIGHT)


def test_what_was_run_before_saves_work_and_changes_nothing(replay: Replay) -> None:
    a, o = named(replay, "a"), named(replay, "o")
    slope = {Edge(replay.makers[a], 0): Rule((Delta(a),), lambda d: d)}
    delta = {Total(o): Rule((Delta(o), Given("half", np.array(0.5))), lambda d, half: d * half)}
    one = replay.back(slope)
    agree(replay, one, by_hand(A, 1.0))
    agree(replay, replay.back({**slope, **delta}, one), by_hand(A, 1.0, A @ P["V"] - T))
    agree(replay, replay.back(delta, one), by_hand(A, 1 - A**2, A @ P["V"] - T))  # the slope is right again
    agree(replay, replay.back({}, one), RIGHT)


def test_towards_some_parameters_only_those_are_computed(replay: Replay) -> None:
    v = next(each for each in replay.program.inputs if each.name == "V")
    found = replay.back({}, towards=[v])
    assert_allclose(found.totals[v], RIGHT["V"], rtol=1e-12)
    assert named(replay, "a") not in found.totals


def test_what_does_not_fit_is_impossible(replay: Replay) -> None:
    a, z, o = (named(replay, each) for each in "azo")
    k = replay.makers[a]
    for overrides, message in [
        ({Forward(k): Rule((z,), lambda z: z[:2])}, r"\(2, 3\) for a"),
        ({Forward(k): Rule((z,), lambda z: z @ z)}, "matmul"),
        ({Edge(k, 0): Rule((Delta(a),), lambda d: d[:1])}, r"\(1, 3\) for z of shape \(6, 3\)"),
        ({Edge(k, 0): Rule((Delta(a),), lambda d: d @ d)}, "matmul"),
        ({Total(o): Rule((Delta(z),), lambda d: d)}, "the delta of z is not known yet"),
        ({Total(a): Rule((Stale(a),), lambda a: a)}, "no batch before is given"),
    ]:
        with pytest.raises(Impossible, match=message):
            replay.back(overrides)


def test_a_rule_reads_the_batch_before(replay: Replay) -> None:
    before = {"W": P["W"] + 1, "V": P["V"]}
    replay.stale = Replay(replay.program, (before,))
    a = named(replay, "a")
    stale = np.tanh(X @ before["W"])
    found = replay.back({Edge(replay.makers[a], 0): Rule((Delta(a), Stale(a)), lambda d, a: d * (1 - a**2))})
    agree(replay, found, {**RIGHT, "W": by_hand(A, 1 - stale**2)["W"]})


@pytest.mark.parametrize(
    "f",
    [
        lambda p: np.sum(np.split(p["x"] ** 2, 2)[0] * 3),
        lambda p: np.sum(np.linalg.eigh(p["x"] @ p["x"].T)[0] ** 2),
        lambda p: np.sum(np.linalg.svd(p["x"])[1] * np.arange(4)),
        lambda p: np.sum(np.einsum("ij,kj->ik", p["x"], np.sin(p["x"])) ** 2),
        lambda p: np.sum(np.linalg.norm(p["x"], axis=0) * np.max(p["x"], axis=1)),
        lambda p: np.sum(nn.functional.linear(p["x"], np.cos(p["x"])) ** 2),
        lambda p: np.sum(np.concatenate([p["x"], p["x"].T]) ** 3),
    ],
)
def test_operations_of_every_form_send_back_what_the_engine_does(f: Any) -> None:
    p = {"x": RNG.standard_normal((4, 4))}
    replay = Replay(recorded(f, (p,), differentiate=True), (p,))
    assert_allclose(replay.back({}).totals[replay.program.inputs[0]], ag.grad(f)(p)["x"], rtol=1e-9, atol=1e-12)


def test_broadcasting_is_undone_also_where_a_rule_left_it_out() -> None:
    program = recorded(lambda p: np.sum(p["x"] * p["y"]), ({"x": np.ones((3, 1)), "y": np.ones((1, 4))},))
    (product,) = (each for each in program.operations if each.primitive.called is np.multiply)
    row = np.arange(4.0)[None]
    full = np.broadcast_to(row, (3, 4))  # what an entrywise rule may leave out, and what the sums then count
    assert_allclose(fitted(row, (3, 1), product), full.sum(1, keepdims=True))
    assert_allclose(fitted(np.array(2.0), (1, 4), product), np.full((1, 4), 6.0))
    assert_allclose(fitted(np.ones((3, 4)), (4,)), np.full(4, 3.0))
    assert_allclose(fitted(np.ones((3, 1)), (3, 4)), np.ones((3, 4)))
    assert fitted(full, (3, 4), product) is full
