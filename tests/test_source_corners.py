"""Printed derivations of operations that are copied as code: with what their module gives them, or not at all."""

from __future__ import annotations

import importlib.util
import math
from collections import namedtuple
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import autograd_lite as ag
from tests.test_source import round_trip

X = np.random.default_rng(1).standard_normal(4)

FACTOR = 3.0
TABLE = {"shift": (1, 2.5)}
x = X  # a module often calls something what a function calls its parameter
entries = "nothing that matters"


def _scaled(entries: Any) -> Any:
    return entries * FACTOR * math.pi


@ag.primitive
def thirds(x):
    entries = np.zeros(x.shape)
    entries[1:] = _scaled(x[1:]) / TABLE["shift"][1]
    return entries


thirds.def_rule(lambda g, y, x: thirds(g))


@ag.primitive
def twice_thirds(x: Any, factor: float = FACTOR) -> Any:
    out: Any = np.empty(x.shape)
    out[:] = [each * factor for each in thirds(x)]
    return out


twice_thirds.def_rule(lambda g, y, x: twice_thirds(g))


def test_a_copied_function_brings_what_it_uses_of_its_module_and_nothing_else() -> None:
    text = round_trip(lambda x: np.sum(thirds(x) * x), (X,))
    assert "FACTOR = 3.0\n" in text
    assert "TABLE = {'shift': (1, 2.5)}\n" in text
    assert text.count("def _scaled(entries):") == 1
    assert "nothing that matters" not in text


def test_a_primitive_that_uses_a_primitive_brings_both() -> None:
    text = round_trip(lambda x: np.sum(twice_thirds(x) * x) + np.sum(thirds(x)), (X,))
    assert "def thirds(x):" in text


def halving(factor: float) -> Any:
    """A primitive made by a function: each has the same name."""
    sources = {
        0.5: lambda x: np.array([each * 0.5 for each in x]),
        5.0: lambda x: np.array([each * 5.0 for each in x]),
    }
    made = ag.primitive(sources[factor])
    made.def_rule(lambda g, y, x: made(g))
    return made


def part_one() -> Any:
    @ag.primitive
    def part(x):
        y = np.zeros(x.shape)
        y[:2] = x[:2] / 2
        return y

    part.def_rule(lambda g, y, x: part(g))
    return part


def part_two() -> Any:
    @ag.primitive
    def part(x):
        y = np.zeros(x.shape)
        y[1:] = x[1:] * 5
        return y

    part.def_rule(lambda g, y, x: part(g))
    return part


def test_many_arguments_stand_on_lines_of_their_own() -> None:
    def loss(
        first_layers_weights, first_layers_bias, second_layers_weights, second_layers_bias, penalty_of_the_weights
    ):
        hidden = first_layers_weights * second_layers_weights + first_layers_bias
        return np.sum(hidden * penalty_of_the_weights + second_layers_bias)

    text = round_trip(loss, (X, X + 1, X + 2, X + 3, X + 4), (0, 1, 2, 3, 4))
    assert "def backprop(\n    first_layers_weights,\n    first_layers_bias,\n" in text
    assert "np.array(np.array(" not in text


class Silent:
    __signature__ = 0  # what `inspect` does not take for a signature

    def __call__(self, *args: Any) -> Any:
        return np.sum(args[0])


def test_a_function_that_does_not_tell_its_parameters() -> None:
    text = ag.backprop_source(Silent(), X)
    assert "def backprop(x):" in text
    value, gradient = text.function(X)
    assert value == pytest.approx(X.sum())
    np.testing.assert_array_equal(gradient, np.ones(4))


@pytest.mark.parametrize(
    "f",
    [np.sum, np.mean, lambda x: np.sum(x * 3 - 1), lambda x: np.sum(x[::2]), lambda x: x[0, 0] / 7, np.linalg.trace],
)
def test_gradients_that_are_large_constants_are_computed_and_no_arguments(f: Any) -> None:
    text = round_trip(f, (np.random.default_rng(0).standard_normal((50, 20)),))
    assert not text.captured


def test_what_a_function_returns_may_be_its_argument_or_nothing_of_it() -> None:
    value, gradient = ag.backprop_source(lambda x: x, np.array(2.0)).function(np.array(3.0))
    assert (value, gradient) == (3.0, 1.0)
    assert type(gradient) is np.ndarray
    function = ag.backprop_source(lambda x: np.sum(np.ones_like(x)), X).function
    value, gradient = function(X)
    gradient += 1  # it is the caller's own
    value, gradient = function(X)
    assert value == 4
    np.testing.assert_array_equal(gradient, np.zeros(4))


@ag.primitive
def doubled_twice(x):
    y = x + x
    return y, y


doubled_twice.def_rule(lambda g, y, x: 2 * (g[0] + g[1]))


def test_one_result_under_two_names_is_one_value() -> None:
    text = round_trip(lambda x: np.sum(doubled_twice(x)[0] * doubled_twice(x)[1]), (X,))
    assert text.count("x + x") == 1


def test_two_functions_of_one_name_are_two_functions() -> None:
    one, two = part_one(), part_two()
    text = round_trip(lambda x: np.sum(one(x) * two(x)), (X,))
    assert "def _part(x):" in text
    assert "def _part_1(x):" in text


def test_functions_written_as_lambdas_are_two_functions() -> None:
    half, five = halving(0.5), halving(5.0)
    round_trip(lambda x: np.sum(half(x) * five(x)), (X,))


def test_two_numbers_of_one_name_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "elsewhere.py"
    lines = "y = np.zeros(x.shape); y[1:] = x[1:] * FACTOR; return y"
    rule = "other.def_rule(lambda g, y, x: other(g))"
    file.write_text(
        f"import autograd_lite as ag, numpy as np\nFACTOR = 3\n@ag.primitive\ndef other(x):\n    {lines}\n{rule}\n"
    )
    specification = importlib.util.spec_from_file_location("elsewhere", file)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    assert "FACTOR = 3\n" in round_trip(lambda x: np.sum(module.other(x)), (X,))
    with pytest.raises(NotImplementedError, match="two different things are called FACTOR here: rename one"):
        ag.backprop_source(lambda x: np.sum(thirds(x) + module.other(x)), X)


class Window(NamedTuple):
    start: int
    stop: int

    def of(self, x: Any) -> Any:
        return x[self.start : self.stop] * FACTOR


Bare = namedtuple("Bare", ["start", "stop"])


@ag.primitive
def windowed(x, window):
    y = np.zeros(x.shape)
    y[window.start : window.stop] = window.of(x)
    return y


windowed.def_rule(lambda g, y, x, window: windowed(g, window))


@ag.primitive
def barely(x, window):
    y = np.zeros(x.shape)
    y[window.start : window.stop] = x[window.start : window.stop]
    return y


barely.def_rule(lambda g, y, x, window: barely(g, window))


def test_a_named_tuple_brings_its_class_once_with_what_that_uses() -> None:
    text = round_trip(
        lambda x: np.sum(
            windowed(x, window=Window(0, 2)) * windowed(x, window=Window(1, 3)) + windowed(x, window=Window(0, 2))
        ),
        (X,),
    )
    assert text.count("class Window:") == 1
    assert text.count(" = Window(start=") == 2


def test_the_users_variables_hide_none_of_it() -> None:
    def f(x: Any) -> Any:
        window = x * 2
        _thirds = thirds(window)
        return np.sum(windowed(window, window=Window(0, 2)) * _thirds)

    text = round_trip(f, (X,))
    assert "_thirds = _thirds_1(window)" in text
    assert "window_1 = Window(start=0, stop=2)" in text


UNPRINTABLE = object()
NOT_A_NUMBER = (math.nan,)


def enclosing() -> Any:
    size = 2

    @ag.primitive
    def closed(x):
        y = np.zeros(x.shape)
        y[:size] = x[:size]
        return y

    closed.def_rule(lambda g, y, x: closed(g))
    return closed


@ag.primitive
def uses_an_object(x):
    y = np.zeros(x.shape)
    y[:2] = x[:2] if UNPRINTABLE is not None else 2
    return y


uses_an_object.def_rule(lambda g, y, x: uses_an_object(g))


@ag.primitive
def uses_a_nan(x):
    y = np.zeros(x.shape)
    y[:2] = x[:2] * len(NOT_A_NUMBER)
    return y


uses_a_nan.def_rule(lambda g, y, x: uses_a_nan(g))


class Halving:
    def __call__(self, x):
        y = np.zeros(x.shape)
        y[:2] = x[:2] / 2
        return y


CALLED = ag.primitive(Halving())
CALLED.def_rule(lambda g, y, x: CALLED(g))


def made(text: str, name: str, **scope: Any) -> Any:
    """A primitive whose code stands in no file."""
    scope |= {"np": np, "__name__": "made"}
    exec(text, scope)
    function = ag.primitive(scope[name])
    function.def_rule(lambda g, y, x: function(g))
    return function


WRITES = "def typed(x):\n    y = np.zeros(x.shape)\n    y[:2] = x[:2]\n    return y"


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (enclosing(), r"enclosing.<locals>.closed uses variables of the function around it"),
        (uses_an_object, "uses_an_object uses UNPRINTABLE, which cannot be printed"),
        (uses_a_nan, "uses_a_nan uses NOT_A_NUMBER, which cannot be printed"),
        (CALLED, "Halving has no Python code that could be printed"),
        (made(WRITES, "typed"), "the code of typed was not found"),
        (lambda x: barely(x, window=Bare(0, 2)), "the code of Bare was not found"),
    ],
)
def test_what_cannot_be_copied_is_refused_by_name(function: Any, message: str) -> None:
    with pytest.raises(NotImplementedError, match=f"^backprop_source: .*{message}"):
        ag.backprop_source(lambda x: np.sum(function(x)), X)
