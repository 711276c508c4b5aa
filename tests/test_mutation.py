"""A mistake made on purpose is the mistake, is found again, and says what it is; a loop of one's own is watched."""

import warnings

import numpy as np
import pytest

import autograd_lite as ag
from autograd_lite import mutation
from autograd_lite.mistakes.slopes import SlopeMissing
from autograd_lite.mutation import Exercise, exercises

rng = np.random.default_rng(0)
X, T = rng.standard_normal((6, 4)), rng.uniform(0.1, 0.9, (6, 2))
P = {"W1": rng.standard_normal((4, 5)), "b1": rng.standard_normal(5), "W2": rng.standard_normal((5, 2))}


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def loss(p):
    z1 = X @ p["W1"] + p["b1"]
    a1 = sigmoid(z1)
    z2 = a1 @ p["W2"]
    return np.mean((sigmoid(z2) - T) ** 2)


def by_hand(p, slope=lambda z, a: a * (1 - a), x=X, t=T):
    z1 = x @ p["W1"] + p["b1"]
    a1 = sigmoid(z1)
    o = sigmoid(a1 @ p["W2"])
    d2 = 2 * (o - t) * o * (1 - o) / o.size
    d1 = d2 @ p["W2"].T * slope(z1, a1)
    return {"W1": x.T @ d1, "b1": d1.sum(0), "W2": a1.T @ d2}


@pytest.mark.parametrize("mistake", ["slope at the activation", "slope missing"])
def test_a_mutant_is_the_mistake_that_a_student_would_make(mistake):
    slope = {
        "slope at the activation": lambda z, a: sigmoid(a) * (1 - sigmoid(a)),
        "slope missing": lambda z, a: 1.0,
    }[mistake]
    wrong = ag.mutate(ag.trace(loss, P), mistake, "a1")
    for params in (P, {name: 0.3 * value for name, value in P.items()}):
        for name, expected in by_hand(params, slope).items():
            np.testing.assert_allclose(wrong(params)[name], expected, rtol=1e-10)
    assert ag.check_backprop(loss, P, wrong(P)).findings[0].cause == wrong.cause
    assert wrong.right == "d_z1 = d_a1 * (a1 * (1 - a1))"
    assert wrong.written != wrong.right
    assert wrong.cause in repr(wrong)


def test_a_mutant_leaves_the_rest_alone_and_its_arguments_untouched():
    kept = {name: value.copy() for name, value in P.items()}
    wrong = ag.mutate(ag.trace(loss, P), "sign", "W2")(P)
    right = by_hand(P)
    np.testing.assert_allclose(wrong["W2"], -right["W2"], rtol=1e-10)
    np.testing.assert_allclose(wrong["W1"], right["W1"], rtol=1e-10)
    wrong["W1"][:] = 0
    for name in P:
        np.testing.assert_array_equal(P[name], kept[name])


def test_without_a_place_it_is_made_everywhere_and_a_class_will_do():
    wrong = ag.mutate(ag.trace(loss, P), SlopeMissing)
    assert "and so at z1" in wrong.cause
    assert ag.check_backprop(loss, P, wrong(P)).findings[0].mistakes[0][1] == ("z2", "z1")


def test_data_may_be_arguments_too():
    def batch_loss(p, x, t):
        return np.mean((sigmoid(sigmoid(x @ p["W1"] + p["b1"]) @ p["W2"]) - t) ** 2)

    wrong = ag.mutate(ag.trace(batch_loss, P, X, T), "slope missing", "z1")
    x, t = X[::-1].copy(), T * 0.5
    expected = by_hand(P, lambda z, a: 1.0, x, t)
    assert wrong(P, x, t).keys() == expected.keys()
    np.testing.assert_allclose(wrong(P, x, t)["W1"], expected["W1"], rtol=1e-10)


def test_exercises_can_all_be_set_and_are_all_wrong():
    program = ag.trace(loss, P)
    found = list(exercises(program))
    assert Exercise("slope at the activation", "z1") in found
    assert len(found) > 50
    for mistake, place in found[::7]:
        wrong = ag.mutate(program, mistake, place)(P)
        assert not ag.check_backprop(loss, P, {name: np.asarray(value) for name, value in wrong.items()}).ok


@pytest.mark.parametrize(
    ("mistake", "place", "message"),
    [
        ("slope mising", None, "Do you mean 'slope missing'"),
        ("slope missing", "W7", r"cannot be made at 'W7'; it can at z1, o|it can at z1, z2"),
        ("softmax twice", None, "cannot be made in loss"),
    ],
)
def test_what_cannot_be_made(mistake, place, message):
    with pytest.raises(ValueError, match=message):
        ag.mutate(ag.trace(loss, P), mistake, place)


def torch_like_loss(p):
    z1 = X @ p["W1"].T + p["b1"]
    a1 = sigmoid(z1)
    z2 = a1 @ p["W2"].T
    o = sigmoid(z2)
    return np.mean((o - T) ** 2)


def test_the_lines_of_every_exercise_compute_what_they_say():
    """Weights as in torch: a line for their transpose is one for them. What follows a line is written out here."""
    p = {"W1": P["W1"].T, "b1": P["b1"], "W2": P["W2"].T}
    z1 = X @ P["W1"] + P["b1"]
    a1 = sigmoid(z1)
    z2 = a1 @ P["W2"]
    o = sigmoid(z2)
    d_o = 2 * (o - T) / o.size
    d_z2 = d_o * o * (1 - o)
    d_a1 = d_z2 @ P["W2"].T
    d_z1 = d_a1 * a1 * (1 - a1)
    right = {"d_o": d_o, "d_z2": d_z2, "d_a1": d_a1, "d_z1": d_z1, "d_W1": d_z1.T @ X, "d_b1": d_z1.sum(0)}
    right["d_W2"] = d_z2.T @ a1
    known = {"np": np, "sigmoid": sigmoid, "X": X, "T": T, "z1": z1, "a1": a1, "z2": z2, "o": o, **p, **right}
    follows = {
        "d_o": lambda d: {"W2": (d * o * (1 - o)).T @ a1},
        "d_z2": lambda d: {"W2": d.T @ a1},
        "d_a1": lambda d: {"W1": (d * a1 * (1 - a1)).T @ X},
        "d_z1": lambda d: {"W1": d.T @ X, "b1": d.sum(0)},
        "d_W1": lambda d: {"W1": d},
        "d_b1": lambda d: {"b1": d},
        "d_W2": lambda d: {"W2": d},
    }
    program = ag.trace(torch_like_loss, p)
    seen = set()
    for each in exercises(program):
        wrong = ag.mutate(program, *each)
        target = wrong.right.splitlines()[-1].partition(" = ")[0] if wrong.right else ""
        if target not in right:
            continue  # a line of the way forward
        space = dict(known)
        exec(wrong.right, space)
        np.testing.assert_allclose(space[target], right[target], rtol=1e-9, atol=1e-15, err_msg=wrong.right)
        if not wrong.written:
            continue
        space = dict(known)
        exec(wrong.written, space)
        gradients = wrong(p)
        for name, expected in follows[target](space[target]).items():
            np.testing.assert_allclose(gradients[name], expected, rtol=1e-9, atol=1e-15, err_msg=wrong.written)
        seen.add(target)
    assert seen >= {"d_z2", "d_a1", "d_z1", "d_W1", "d_W2", "d_b1"}


def test_every_exercise_can_be_set_where_values_have_no_names():
    def cross_entropy(p):
        o = sigmoid(X @ p["w"] + p["c"])
        return -np.mean(T[:, 0] * np.log(o) + (1 - T[:, 0]) * np.log(1 - o))

    p = {"w": P["W1"][:, 0], "c": np.array(0.2)}
    program = ag.trace(cross_entropy, p)
    found = list(exercises(program))
    assert len(found) > 20
    lines = {ag.mutate(program, *each).right for each in found}
    assert any(each.startswith("d_w = ") for each in lines)


def test_a_mistake_itself_will_do_and_what_is_no_array_stays_what_it_is():
    def scaled_loss(p):
        return loss({name: p[name] for name in P}) * p["times"]

    params = {**P, "times": 3}
    wrong = ag.mutate(ag.trace(scaled_loss, params), SlopeMissing(), "a1")(params)
    assert wrong.pop("times") == 3
    for name, expected in by_hand(P, lambda z, a: 1.0).items():
        np.testing.assert_allclose(wrong[name], 3 * expected, rtol=1e-10)


def test_a_program_without_parameters_is_refused():
    with pytest.raises(TypeError, match=r"trace of a function of its parameters: ag.trace\(loss, params\)"):
        ag.mutate(ag.trace(lambda: loss(P)), "sign")


def test_a_mistake_that_fits_nowhere_is_no_exercise(monkeypatch):
    class Flat(SlopeMissing):
        name = "flat"

        def wrong(self, kind, g, y, z):
            return np.ravel(g)

    monkeypatch.setattr(mutation, "CATALOGUE", [Flat(), SlopeMissing()])
    assert {each.mistake for each in exercises(ag.trace(loss, P))} == {"slope missing"}


# ---- watch -----------------------------------------------------------------------------------------------------------


def train(steps, parts_at, every):
    watch = ag.watch(loss, every=every)
    params = {name: value.copy() for name, value in P.items()}
    reports = []
    for step in range(steps):
        manual = by_hand(params) if step < parts_at else by_hand(params, lambda z, a: 1.0)
        reports.append(watch(params, manual))
        for name in params:
            params[name] -= 0.1 * manual[name]
    return watch, reports


def test_right_gradients_are_watched_in_silence():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        watch, reports = train(11, 99, every=5)
    assert [step for step, report in enumerate(reports) if report is not None] == [0, 5, 10]
    assert watch.parted is None
    assert watch.right == 10
    assert "right until step 10" in repr(watch)


def test_the_first_step_at_which_they_part_is_reported_once():
    with pytest.warns(RuntimeWarning, match="right at step 6, wrong at 9") as caught:
        watch, reports = train(20, 7, every=3)
    assert len(caught) == 1
    assert "slope of the sigmoid is missing between a1 and z1" in str(caught[0].message)
    assert watch.parted == 9
    assert not watch.report.ok
    assert [step for step, report in enumerate(reports) if report is not None] == [0, 3, 6, 9]
    with pytest.warns(RuntimeWarning, match="from the first step on"):
        train(2, 0, every=1)


def test_watch_hands_on_the_batch_and_refuses_nonsense():
    watch = ag.watch(lambda p, x: np.sum((x @ p["w"]) ** 2), every=1)
    w, x = np.ones(3), rng.standard_normal((2, 3))
    assert watch({"w": w}, {"w": 2 * x.T @ (x @ w)}, x).ok
    with pytest.raises(ValueError, match="every=0"):
        ag.watch(loss, every=0)
