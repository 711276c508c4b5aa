"""What stands on a node: statistics against NumPy's own, colours, marks, gradient rules, verdicts, source lines."""

from __future__ import annotations

import functools
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autograd_lite as ag
import nn
from autograd_lite.formulas import local_derivatives
from autograd_lite.pictures import colour
from autograd_lite.statistics import statistics
from examples import mnist_ann, mnist_mat

from .test_drawing import X, Y, parts, weights, words, xor


def labels(graph: Any) -> dict[str, list[str]]:
    title = "{http://www.w3.org/2000/svg}title"
    return {str(each.findtext(title)): words(each) for each in parts(graph.svg(), "node")}


# ---- statistics ----


LARGE = np.random.default_rng(0).normal(size=(30, 20)) * (np.arange(20) > 5)


@pytest.mark.parametrize(
    "values",
    [
        *([0.0, 1, -2, 5], [[1.5]], [True, False], [3, 0, 0], [1e200, -2e200], [1e-200]),
        *(LARGE, LARGE + 1e6, LARGE * 1e200, LARGE * 1e-200, LARGE * 0, LARGE * 0 + 7, LARGE.T[::2]),
    ],
)
def test_the_statistics_are_numpys(values: Any) -> None:
    array = np.array(values)
    wide = array.astype(np.longdouble)
    found = statistics(array)
    assert found.mean == pytest.approx(float(wide.mean()))
    assert found.spread == pytest.approx(float(wide.std()))
    assert found.norm == pytest.approx(float(np.sqrt((wide**2).sum())))
    assert found.size == pytest.approx(float(np.sqrt((wide**2).mean())))
    assert found.zeros == (array == 0).mean()
    assert found.finite


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("size", [2, 1000])
def test_what_is_not_finite_is_said(bad: float, size: int) -> None:
    found = statistics(np.where(np.arange(size) == 1, bad, 1.0))
    assert not found.finite
    assert str(found) == "NaN or infinite"


@pytest.mark.parametrize(("count", "said"), [(0, ""), (1, ", <1% zero"), (250, ", 25% zero"), (999, ", >99% zero")])
def test_nearly_no_zeros_are_not_none(count: int, said: str) -> None:
    assert (
        str(statistics((np.arange(1000) >= count).astype(float))).partition(", norm")[2].lstrip("0123456789. ") == said
    )


def test_single_precision_is_enough_for_three_digits() -> None:
    array = np.random.default_rng(1).normal(loc=3, size=100_000).astype(np.float32)
    assert statistics(array).norm == pytest.approx(float(np.sqrt((array.astype(float) ** 2).sum())), rel=1e-4)
    assert statistics(array).spread == pytest.approx(float(array.astype(float).std()), rel=1e-3)


def test_complex_entries_count_with_their_absolute_values() -> None:
    assert statistics(np.array([3 + 4j, 0])).mean == 2.5


def test_empty_arrays_have_statistics() -> None:
    assert statistics(np.zeros((0, 3))).norm == 0


def test_a_node_tells_its_value_and_its_gradient() -> None:
    W1, W2 = weights()
    shown = labels(ag.draw(xor, W1, W2, backward=True))
    a1 = 1 / (1 + np.exp(-(X @ W1)))
    o = 1 / (1 + np.exp(-(a1 @ W2)))
    d_z2 = -(Y - o) * o * (1 - o) / 4
    d_a1 = d_z2 @ W2.T
    assert f"value {statistics(a1)}" in shown["a1"]
    assert f"gradient {statistics(d_a1)}" in shown["a1"]
    assert f"value {statistics(W2)}" in shown["W2"]
    assert f"gradient {statistics(a1.T @ d_z2)}" in shown["W2"]
    assert f"gradient {statistics(d_z2)}" in shown["z2"]
    assert "value 0.1" in " ".join(shown["loss"])
    assert not any("value" in each for each in labels(ag.draw(xor, W1, W2))["a1"])


def test_every_value_on_the_way_has_its_gradient() -> None:
    W1, W2 = (ag.tensor(each, requires_grad=True) for each in weights())
    graph = ag.draw(xor, W1, W2, backward=True)
    forward = [each for each in graph.program.operations if each.scope[:1] != ("backward pass",)]
    for operation in forward:
        assert operation.outputs[0] in graph.notes.gradients
    for variable, gradient in graph.notes.gradients.items():
        assert variable.shape == gradient.shape


def test_an_eager_tensor_tells_what_it_still_knows() -> None:
    W1, W2 = (ag.tensor(each, requires_grad=True) for each in weights())
    shown = labels(ag.draw(xor(W1, W2), backward=True))
    assert f"value {statistics(W1.data)}" in shown["W1"]
    loss = xor(W1, W2)
    loss.backward()
    assert f"gradient {statistics(W1.grad)}" in shown["W1"]


def test_drawing_leaves_parameters_and_gradients_alone() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU())
    before = {name: value.copy() for name, value in model.state_dict().items()}
    ag.draw(model, X.astype(np.float32), backward=True)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    assert all(each.grad is None for each in model.parameters())


def test_a_recording_sees_the_parameters_as_they_are_now() -> None:
    w = ag.tensor([1.0, 2.0], requires_grad=True, name="w")
    graph = ag.draw(lambda x: np.sum((x - w) ** 2), np.zeros(2), backward=True)
    w.data = np.array([3.0, 4.0])
    graph.record(np.zeros(2))
    variable = graph.program.captured[0]
    assert graph.notes.values[variable].norm == pytest.approx(5**0.5)
    assert graph.recordings[0][1][variable].norm == 5
    assert graph.recordings[0][1][graph.notes.gradients[variable]].norm == 10
    with pytest.raises(RuntimeError, match="draw the function itself"):
        ag.draw(np.sum(w * w), backward=True).record()


# ---- colours and marks ----


def test_stronger_gradients_have_stronger_colours() -> None:
    def darkness(size: float) -> int:
        return -sum(bytes.fromhex(colour(size)[1:]))

    sizes = [10.0**power for power in range(-9, 4)]
    shades = [darkness(size) for size in sizes]
    assert shades == sorted(shades)
    assert len(set(shades[1:-1])) == 11
    assert colour(0.0) == colour(1e-300) == colour(1e-8)
    assert colour(1e300) == colour(100.0)


def marks(f: Any, *args: Any) -> dict[str, str]:
    with np.errstate(all="ignore"):
        shown = labels(ag.draw(f, *args, backward=True))
    return {name: lines[-1] for name, lines in shown.items() if lines[-1].startswith("! ")}


def test_dead_units_are_marked() -> None:
    def f(x: Any) -> Any:
        z = x - 100
        a = np.maximum(z, 0)
        return np.sum(a + np.exp(x))

    assert marks(f, X) == {"z": "! dead", "a": "! dead"}


def test_parameters_that_start_at_zero_are_not_dead() -> None:
    params = {"W1": np.ones((3, 2)), "b1": np.zeros(2), "W2": np.zeros((2, 2)), "b2": np.zeros(2)}

    def f(p: Any) -> Any:
        z = np.tanh(X @ p["W1"] + p["b1"]) @ p["W2"] + p["b2"]
        a = np.tanh(z)
        return np.mean((a - Y) ** 2)

    assert set(marks(f, params)) == {"tanh", "add", "matmul", "W1", "b1"}  # what lies before W2 gets zeros alone
    assert marks(f, {**params, "W2": np.ones((2, 2))}) == {}


def stable_softmax(z: Any) -> Any:
    e = np.exp(z - np.max(z, axis=1, keepdims=True))
    return -np.mean(np.log(e / np.sum(e, axis=1, keepdims=True))[:, 0])


def stable_logarithm(z: Any) -> Any:
    highest = np.max(z, axis=1)
    return np.mean(highest + np.log(np.sum(np.exp(z - highest[:, None]), axis=1)) - z[:, 0])


def standardized(z: Any) -> Any:
    shifted = z + np.ones(4) * np.mean(z)
    centred = shifted - np.mean(shifted, axis=0)
    return np.mean((centred / np.sqrt(np.mean(centred**2, axis=0) + 0.1)) ** 3)


@pytest.mark.parametrize("f", [stable_softmax, stable_logarithm, standardized])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_what_cancels_is_neither_dead_nor_vanishing(f: Any, dtype: Any) -> None:
    z = np.random.default_rng(0).normal(size=(20, 4)).astype(dtype)
    assert marks(f, z) == {}


def test_a_bias_that_a_softmax_does_not_see_hides_no_bias_that_vanishes() -> None:
    def f(b: Any, c: Any) -> Any:
        seen = X[:, :2] + b
        gone = X[:, :2] + c
        return stable_softmax(seen) + np.sum(gone * 1e-9)

    assert "c" in (found := marks(f, np.ones(2), np.ones(2)))
    assert set(found.values()) == {"! vanishing"}
    assert "b" not in found


def test_vanishing_and_exploding_gradients_are_marked() -> None:
    def f(x: Any) -> Any:
        small = x * 1e-9
        large = x * 1e9
        a = small + 1
        return np.sum(a + large)

    assert marks(lambda x: np.sum(x * 1e-9), X) == {"x": "! vanishing"}
    assert marks(lambda x: np.sum(x * 1e9), X) == {"x": "! exploding"}
    assert marks(lambda x: np.sum(x * 2), X) == {}
    assert marks(f, X) == {"x": "! exploding"}


def test_what_is_not_a_number_is_marked_where_it_begins() -> None:
    def f(x: Any) -> Any:
        z = x - 5
        r = np.sqrt(z)
        return np.sum(r)

    marked = marks(f, X)
    assert marked["r"] == "! NaN"
    assert set(marked.values()) == {"! NaN"}


def test_there_is_a_legend_only_where_there_are_colours() -> None:
    assert "legend" not in ag.draw(xor, *weights()).source
    source = ag.draw(xor, *weights(), backward=True).source
    assert source.count("class=legend") == 1
    assert f'fillcolor="{colour(0.0).upper()}:{colour(1e9).upper()}"' in source


# ---- gradient rules ----


def test_the_gradient_rule_of_an_operation_can_be_asked_for() -> None:
    def f(a: Any, b: Any) -> Any:
        return np.exp(a) * b / np.sqrt(b)

    found = [rule for operation in ag.trace(f, X + 1, X + 1).operations for rule in local_derivatives(operation)]
    assert found == [
        "d_a = g * y", "d_a = g * b", "d_b = g * a", "d_b = g / (2 * y)", "d_a = g / b", "d_b = -g * y / b",
    ]  # fmt: skip
    assert "d_a = g * y" in " ".join(labels(ag.draw(f, X + 1, X + 1, formulas=True))["exp"])
    assert "g * y" not in ag.draw(f, X + 1, X + 1).source


def test_a_users_own_rule_is_shown() -> None:
    @ag.primitive
    def cube(x: Any) -> Any:
        return x**3

    cube.def_rule(lambda g, y, x: g * 3 * x**2)
    operation = ag.trace(lambda x: cube(x), X).operations[0]
    assert local_derivatives(operation) == ["d_x = g * 3 * x ** 2"]


def rule_in_words(g: Any, y: Any, x: Any) -> Any:
    """Three times what arrives.

    The rest is not told.
    """
    first = g * 3
    return first


def rule_without_words(g: Any, y: Any, x: Any) -> Any:
    first = g * 3
    return first


def rule_of_one_line(g: Any, y: Any, x: Any) -> Any:
    """What it returns is its formula."""
    return 3 * g + 0 * x


def rule_from(text: str, file: Path) -> Any:
    """A rule that the interpreter read from a file which now holds something else."""
    space: dict[str, Any] = {}
    exec(compile(text, str(file), "exec"), space)
    file.write_text("A report.\n")
    return space["rule"]


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (rule_in_words, "d_x = three times what arrives"),
        (rule_without_words, "d_x = rule_without_words(g, y, …)"),
        (rule_of_one_line, "d_x = 3 * g + 0 * x"),
        (functools.partial(rule_in_words), "d_x = partial"),
        ("rule = lambda g, y, x: 3 * g", "d_x = <lambda>(g, y, …)"),
        ("def rule(g, y, x):\n    return 3 * g", "d_x = rule(g, y, …)"),
    ],
)
def test_a_rule_says_what_it_can_of_itself(rule: Any, told: str, tmp_path: Path) -> None:
    @ag.primitive
    def thrice(x: Any) -> Any:
        return 3 * x

    thrice.def_rule(rule_from(rule, tmp_path / "report.txt") if isinstance(rule, str) else rule)
    (operation,) = ag.trace(lambda x: thrice(x), X).operations
    assert local_derivatives(operation) == [told]


def test_a_function_that_does_not_tell_its_parameters_is_drawn() -> None:
    class Summed:
        __signature__ = 0  # what `inspect` does not take for a signature

        def __call__(self, x: Any) -> Any:
            return np.sum(x)

    def total(x: Any) -> Any:
        return summed(x)

    summed = ag.primitive(Summed())
    summed.def_rule(lambda g, y, x: g * np.ones(x.shape))
    with pytest.raises(TypeError, match="signature"):
        inspect.signature(summed.function)
    assert labels(ag.draw(total, X))["total"] == ["total", "Summed x", "float64[]"]


# ---- verdicts ----


def posted(params: dict[str, Any]) -> dict[str, Any]:
    """Document 1's formulas, of which W1's is wrong."""
    a1 = 1 / (1 + np.exp(-(X @ params["W1"])))
    o = 1 / (1 + np.exp(-(a1 @ params["W2"])))
    d2 = (o - Y) * o * (1 - o) / 4
    return {"W1": X.T @ (d2 @ params["W2"].T), "W2": a1.T @ d2}


def test_a_wrong_gradient_by_hand_is_marked() -> None:
    params = dict(zip(("W1", "W2"), weights(), strict=True))

    def loss(params: Any) -> Any:
        return xor(params["W1"], params["W2"])

    report = ag.check_backprop(loss, params, posted(params))
    assert not report["W1"].ok
    assert report["W2"].ok
    shown = labels(ag.draw(loss, params, report=report))
    assert shown["W1"][-1] == "! gradient by hand: wrong"
    assert [name for name, lines in shown.items() if lines[-1].startswith("!")] == ["W1"]


@pytest.mark.parametrize(("factor", "begins"), [(1.0, "z1"), (1 - Y, "z2")])
def test_the_operation_where_the_deviation_begins_is_marked(factor: Any, begins: str) -> None:
    params = dict(zip(("W1", "W2"), weights(), strict=True))

    def loss(params: Any) -> Any:
        z1 = X @ params["W1"]
        a1 = np.tanh(z1)
        z2 = a1 @ params["W2"]
        return np.sum((z2 - Y) ** 2)

    a1 = np.tanh(X @ params["W1"])
    d2 = 2 * (a1 @ params["W2"] - Y) * factor
    d1 = d2 @ params["W2"].T * a1**3  # wrong: the slope of tanh is 1 - a1 ** 2
    manual = {"W1": X.T @ d1, "z1": d1, "z2": d2, "W2": a1.T @ d2}
    shown = labels(ag.draw(loss, params, report=ag.check_backprop(loss, params, manual)))
    marked = {name: text for name, lines in shown.items() if "! " in (text := " ".join(lines))}
    assert {"W1"} <= set(marked)
    assert [name for name, text in marked.items() if "the deviation begins here" in text] == [begins]


def test_the_fault_of_document_2_is_marked_where_it_was_made() -> None:
    rng = np.random.default_rng(0)
    a0, t, params = rng.random((784, 1)), nn.one_hot(np.array([3]), 10, np.float64).T, mnist_ann.weights(rng)

    def loss(p: Any) -> Any:
        return mnist_ann.loss(a0, t, **p)

    report = ag.check_backprop(loss, params, mnist_ann.posted(a0, t, **params))
    graph = ag.draw(loss, params, report=report)
    shown = labels(graph)
    begins = [name for name, lines in shown.items() if any("the deviation begins here" in each for each in lines)]
    assert begins == ["softmax"]
    assert "softmax p is treated elementwise" in " ".join(" ".join(shown["softmax"]).split())
    wrong = {name for name, lines in shown.items() if lines[-1] == "! gradient by hand: wrong"}
    assert wrong == {"W1", "b1", "W2", "b2", "W3", "b3"}
    line = next(each for each in graph.source.splitlines() if each.lstrip().startswith("softmax ["))
    assert "right  d_z3 = p * (d_p - np.sum(d_p * p" in line  # what the line has to be, on hovering
    assert "softmax" not in " ".join(" ".join(shown[name]) for name in wrong)


def test_beside_a_mistake_what_is_dead_is_a_note() -> None:
    params = dict(zip(("W1", "W2"), weights(), strict=True))

    def loss(params: Any) -> Any:
        idle = np.sum(np.maximum(params["W2"] - 100, 0))
        return xor(params["W1"], params["W2"]) + idle

    assert 'color="#C00000"' in ag.draw(loss, params, backward=True).source
    graph = ag.draw(loss, params, backward=True, report=ag.check_backprop(loss, params, posted(params)))
    red = [line.split()[0] for line in graph.source.splitlines() if 'color="#C00000"' in line]
    shown = labels(graph)
    assert {name for name in red if not any("by hand" in each or "begins" in each for each in shown[name])} == set()
    assert "W1" in red
    assert "note: dead" in shown["maximum"]
    assert "maximum" not in red


def test_a_mark_stands_at_the_line_that_the_report_names() -> None:
    rng = np.random.default_rng(0)
    x, t, params = rng.random((1, 784)), nn.one_hot(np.array([3]), 10, np.float64), mnist_mat.weights(rng)

    def loss(p: Any) -> Any:
        return mnist_mat.loss(x, t, **p)

    report = ag.check_backprop(loss, params, mnist_mat.posted(x, t, **params))
    graph = ag.draw(loss, params, report=report)
    marked = [each for each in graph.notes.verdicts if "begins here" in graph.notes.verdicts[each].mark]
    lines = {each.place for each in graph.program.operations if not set(each.outputs).isdisjoint(marked)}
    assert lines == {each.location.rstrip(")").rpartition("(")[2] for each in report.findings}


def test_a_report_on_something_else_is_refused() -> None:
    params = {"V": np.ones(3)}
    report = ag.check_backprop(lambda p: np.sum(p["V"]), params, {"V": np.ones(3)})
    with pytest.raises(ValueError, match="nothing in the picture is called 'V'"):
        ag.draw(xor, *weights(), report=report)


# ---- source lines ----


def test_an_operation_of_the_way_back_names_its_forward_line() -> None:
    def f(x: Any) -> Any:
        y = np.exp(x)
        return np.sum(y * y)

    first = inspect.getsourcelines(f)[1]
    places = {each.outputs[0].name: each.place for each in ag.draw(f, X, backward=True).program.operations}
    assert places["d_x"] == f"test_drawing_notes.py:{first + 1}"
    assert places["d_y"] == f"test_drawing_notes.py:{first + 2}"


def test_a_long_cause_does_not_stretch_its_box() -> None:
    params = dict(zip(("W1", "W2"), weights(), strict=True))

    def loss(params: Any) -> Any:
        return xor(params["W1"], params["W2"])

    report = ag.check_backprop(loss, params, posted(params))
    report.findings[0].cause = "of the slope " + "that is missing here " * 20
    (told,) = [
        " ".join(lines) for lines in labels(ag.draw(loss, params, report=report)).values() if "here: of" in str(lines)
    ]
    assert told.endswith("…")
    assert len(told) < 300
    assert all(len(line) < 50 for lines in labels(ag.draw(loss, params, report=report)).values() for line in lines)
