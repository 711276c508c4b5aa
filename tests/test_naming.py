"""What a value is called, piece by piece: the statement that receives it, the variables that hold it, who was asked.

A profile function runs where a tracer cannot follow it, so its parts are called here as the interpreter calls them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import CodeType, FrameType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import autograd_lite as ag
from autograd_lite.naming import Names, Witness


def tensor(value: Any = 1.0) -> Any:
    return ag.tensor(value, requires_grad=True)


# ---- the statement that receives a value ----


class Probe:
    """Notes where its calls return to, as the interpreter tells a profile function."""

    def __init__(self) -> None:
        self.calls: list[tuple[CodeType, int]] = []

    def __call__(self, *args: Any) -> Any:
        caller = sys._getframe(1)
        self.calls.append((caller.f_code, caller.f_lasti))
        return self

    __iadd__ = __setitem__ = method = __call__

    def __iter__(self) -> Any:
        return iter((1, 2))

    def __neg__(self) -> int:
        return -1


class Box:
    def write(self, text: str) -> None:
        pass


@pytest.mark.parametrize(
    ("statement", "target"),
    [
        ("y = probe()", "y"),
        ("y = z = probe()", "y"),
        ("y: float = probe()", "y"),
        ("print(y := probe(), file=box)", "y"),
        ("box.score = probe()", "score"),
        ("table['key'] = probe()", "key"),
        ("table[0] = probe()", None),
        ("table[box] = probe()", None),
        ("a, b = probe()", ("a", "b")),
        ("[a, box.b] = probe()", ("a", "b")),
        ("a, table[0] = probe()", ("a", None)),
        ("a, (b, c) = 1, (probe(), 2)", "b"),
        ("probe += 1", "probe"),
        ("probe[0] = 1", "probe"),
        ("y = -probe()", None),
        ("y = (1, probe())", None),
        ("probe()", None),
        ("y: float\nprobe()", None),
        ("y = probe.method(\n    1,\n    2,\n)", "y"),
        ("y = (probe\n    .method(1)\n)", "y"),
        ("def layer():\n    return probe()\nlayer()", "layer"),
        ("def _layer():\n    return probe()\n_layer()", None),
        ("def forward():\n    return probe()\nforward()", None),
        ("def layer():\n    probe()\n    return\nlayer()", None),
        ("(lambda: probe())()", None),
    ],
)
def test_a_value_is_called_as_what_a_statement_assigns_it_to(statement: str, target: Any, tmp_path: Path) -> None:
    file = tmp_path / "subject.py"
    file.write_text(statement)
    probe = Probe()
    exec(
        compile(statement, str(file), "exec"),
        {"probe": probe, "box": Box(), "table": {}},
    )
    (place,) = probe.calls
    names = Names()
    assert names.target(*place) == target
    file.write_text("other = 0")
    assert names.target(*place) == target  # what was read of the file is kept


def test_code_whose_file_is_no_python_has_no_targets(tmp_path: Path) -> None:
    file = tmp_path / "report.txt"
    file.write_text("{{ a template }} y =")
    probe = Probe()
    exec(compile("y = probe()", str(file), "exec"), {"probe": probe})
    assert Names().target(*probe.calls[0]) is None


# ---- the variables that hold it ----


def test_variables_name_tensors_and_arrays_in_containers_and_modules() -> None:
    a, b, c, d, e = (tensor(float(i)) for i in range(5))
    array, inner = np.arange(3.0), np.arange(4.0)
    module = SimpleNamespace(named_parameters=lambda: iter([("0.weight", d)]))
    names = Names()
    held = {"x": a, "rows": array, "params": {"W": b, 1: c, "n": 3}, "model": module, "parts": [inner, None, (e, e)]}
    names.read(held.items(), 0)
    assert [names.of(each._node) for each in (a, b, c, d, e)] == ["x", "W", "1", "0.weight", None]
    assert [names.known(each._node) for each in (a, e)] == [True, False]
    assert names.array_of(tensor(array)._node) == ("rows", array)
    assert names.array_of(tensor(inner)._node) == ("parts_0", inner)


def test_what_is_too_large_a_class_or_masked_is_not_looked_into() -> None:
    x = tensor()
    many = [None] * 1000 + [x]
    kind = type("Model", (), {"named_parameters": lambda: [("w", x)]})
    masked = np.ma.masked_array([1.0, 2.0], [True, False])
    names = Names()
    names.read({"many": many, "table": dict(enumerate(many)), "kind": kind, "masked": masked}.items(), 0)
    assert not names.known(x._node)
    assert names.array_of(tensor(masked.data)._node) is None


def test_of_several_names_the_outermost_counts_then_the_first() -> None:
    x, y, z = tensor(), tensor(), ag.tensor(1.0, name="given")
    names = Names()
    for node, name, depth in [
        (x._node, "inner", 2), (x._node, "outer", 1), (x._node, "later", 1), (x._node, "deep", 3),
        (y._node, "_", 0), (z._node, "held", 0),
    ]:  # fmt: skip
        names.propose(node, name, depth)
    assert [names.of(each._node) for each in (x, y, z)] == ["outer", None, "given"]


def test_an_array_is_recognised_by_itself_or_small_by_its_values() -> None:
    small, large = np.arange(3.0), np.ones(100_000)
    names = Names()
    names.read({"other": small + 1, "small": small, "large": large}.items(), 0)
    constant = next(each for each in (tensor() * large)._node.parents if each.shape)
    assert names.of(constant) == "large"
    assert names.array_of(constant) == ("large", large)
    assert names.of(tensor(small)._node) == "small"  # a copy
    assert names.of((tensor(small) * 1)._node) is None  # a result is no array of the user's
    for other in (large, small.astype(np.float32), small[None], small + 2):  # of large ones many may be equal
        assert names.array_of(tensor(other)._node) is None


GLOBAL = tensor(2.0)
UNUSED = tensor(3.0)


def frame_of_a_function(argument: Any) -> tuple[FrameType, Any]:
    local = argument * GLOBAL
    return sys._getframe(), local


class Network:
    def __init__(self, weight: Any) -> None:
        self.weight = weight

    def forward(self, x: Any) -> FrameType:
        return sys._getframe()


def test_a_frame_gives_its_variables_the_globals_it_uses_and_the_attributes_of_self() -> None:
    x, w = tensor(), tensor()
    names = Names()
    frame, local = frame_of_a_function(x)
    names.read_frame(frame, 1)
    assert [names.of(each._node) for each in (x, local, GLOBAL, UNUSED)] == [
        "argument", "local", "GLOBAL", None,
    ]  # fmt: skip
    names.read_frame(Network(w).forward(x), 1)
    assert [names.of(each._node) for each in (x, w)] == ["argument", "weight"]
    scope: dict[str, Any] = {"first": (y := tensor()), "sys": sys}
    exec("frame = sys._getframe()", scope)
    names.read_frame(scope["frame"], 1)
    assert names.of(y._node) == "first"


def test_the_variables_of_a_comprehension_name_nothing_and_those_of_a_lambda_do() -> None:
    x, y = tensor(), tensor()
    names = Names()
    (frame,) = (sys._getframe() for each in [x])
    names.read_frame(frame, 1)
    assert not names.known(x._node)
    names.read_frame((lambda held: sys._getframe())(y), 1)
    assert names.of(y._node) == "held"


# ---- who is asked, and when ----


def library(witness: Witness) -> Any:
    """A function like one of NumPy's: the witness sees it return its argument."""
    scope = {"__name__": "numpy.somewhere", "witness": witness, "sys": sys}
    exec("def give(result):\n    witness(sys._getframe(), 'return', result)\n    return result", scope)
    return scope["give"]


def test_a_result_is_named_when_it_returns_to_the_users_line() -> None:
    names = Names()
    witness = Witness(names)
    give = library(witness)
    leaf, one, two, three, four = tensor(), tensor() * 1, tensor() * 2, tensor() * 3, tensor() * 4
    for _ in range(6):
        witness(sys._getframe(), "call", None)
    y = give(one)
    a, b = give((two, three))
    z = give(leaf)
    p, q = give((four, four, four))[:2]
    assert [y, a, b, z, p, q] == [one, two, three, leaf, four, four]
    assert [names.of(each._node) for each in (one, two, three, leaf, four)] == ["y", "a", "b", None, None]
    assert list(witness.nodes) == [one._node, leaf._node]


def test_a_returning_function_of_the_users_is_read_and_one_that_was_not_seen_to_begin_is_not() -> None:
    names = Names()
    witness = Witness(names)

    def helper(x: Any) -> Any:
        hidden = x * 2
        result = hidden + 1
        witness(sys._getframe(), "return", result)
        return result, hidden

    one = tensor()
    witness(sys._getframe(), "return", one)
    assert not witness.nodes
    witness(sys._getframe(), "call", None)
    result, hidden = helper(one)
    assert [names.of(each._node) for each in (one, result, hidden)] == ["x", "result", "hidden"]
    assert list(witness.nodes) == [result._node]


def test_a_whole_run_names_the_outermost_function_first_and_the_statement_before_other_variables() -> None:
    def helper(inner: Any) -> Any:
        result = inner * 2
        return result

    def outer(x: Any) -> Any:
        other = None
        y = x + 1
        other = y
        z = helper(other)
        return np.exp(z), other

    names = Names()
    witness = Witness(names)
    x = tensor()
    last, y = witness.watch(outer, x)
    z = last._node.parents[0]
    assert [names.of(each) for each in (x._node, y._node, z, last._node)] == ["x", "y", "z", None]
    assert {x._node, y._node, z, last._node} & witness.nodes.keys() == {y._node, z, last._node}


def test_what_a_short_helper_computes_stands_where_the_helper_is_called() -> None:
    names = Names()
    witness = Witness(names, helpers=True)

    def outer_helper(x: Any, scale: float = 1.0) -> Any:
        witness(sys._getframe(), "call", None)
        inner = helper(x)
        result = inner * scale
        witness(sys._getframe(), "return", result)
        return result

    def helper(x: Any) -> Any:
        witness(sys._getframe(), "call", None)
        result = np.tanh(x)
        witness(sys._getframe(), "return", result)
        return result

    def of_a_table(table: Any) -> Any:
        witness(sys._getframe(), "call", None)
        result = np.cos(table["x"])
        witness(sys._getframe(), "return", result)
        return result

    def of_numbers(n: int) -> Any:
        witness(sys._getframe(), "call", None)
        result = np.power(x, n)
        witness(sys._getframe(), "return", result)
        return result

    def forward() -> Any:
        witness(sys._getframe(), "call", None)
        results = outer_helper(x), of_a_table({"x": x}), of_numbers(3), np.sin(x)
        witness(sys._getframe(), "return", results)
        return results

    x = tensor([1.0, 2.0])
    witness(sys._getframe(), "call", None)
    scaled, cos, power, sin = (each._node for each in forward())
    placed = [names.place(each) for each in (scaled, scaled.parents[0], cos, power, sin)]
    assert [place is not None and place[0].co_name for place in placed] == [
        "forward", "forward", "of_a_table", "of_numbers", "forward",
    ]  # fmt: skip
    assert placed[0] == placed[1] != placed[4]
    without = Witness(Names())
    without(sys._getframe(), "call", None)
    assert not without.names.calls


def test_writing_entries_is_a_result_for_the_tensor_that_is_written() -> None:
    class Written:
        def __setitem__(self, key: Any, value: Any) -> None:
            witness(sys._getframe(), "return", None)

    names = Names()
    witness = Witness(names)
    x = tensor([1.0, 2.0]) * 1
    scope = {"__name__": "numpy.somewhere", "witness": witness, "sys": sys}
    exec("def __setitem__(self, key, value):\n    witness(sys._getframe(), 'return', None)", scope)
    table = type("Table", (), {"__setitem__": lambda _, key, value: scope["__setitem__"](x, key, value)})()
    for _ in range(2):
        witness(sys._getframe(), "call", None)
    table[0] = 1.0
    assert list(witness.nodes) == [x._node]


def test_a_witness_leaves_the_profile_function_as_it_was() -> None:
    seen: list[str] = []

    def before(frame: FrameType, event: str, result: Any) -> None:
        seen.append(event)

    witness = Witness(Names())
    sys.setprofile(before)
    try:
        with pytest.raises(ZeroDivisionError):
            witness.watch(lambda x: x / 0, 1)
        assert sys.getprofile() is before
    finally:
        sys.setprofile(None)
    assert witness.watch(lambda x: x + 1, 1) == 2
    assert sys.getprofile() is None
