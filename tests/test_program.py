"""Programs: what a trace records, how it reads, and that computing it again gives the function's own results."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd_lite as ag
import nn
from autograd_lite.naming import distinct, identifier
from autograd_lite.program import Program
from autograd_lite.trees import flatten

X = np.array([[0.0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
Y = np.array([[0.0], [1], [1], [0]])
LARGE = np.random.default_rng(0).normal(size=(130, 130))  # too large to be copied: fingerprinted


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def xor(W1: Any, W2: Any) -> Any:
    z1 = X @ W1
    a1 = sigmoid(z1)
    z2 = a1 @ W2
    o = sigmoid(z2)
    return np.mean(0.5 * (Y - o) ** 2)


def weights() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(3, 5)), rng.normal(size=(5, 1))


def steps(program: Program) -> list[str]:
    return [str(operation) for operation in program.operations]


def names(f: Any, *args: Any) -> list[str]:
    program = ag.trace(f, *args)
    program.verify()
    return [each.name for operation in program.operations for each in operation.outputs]


# ---- how it reads ----


def test_document_1_reads_like_its_code() -> None:
    text = re.sub(r":\d+", ":N", str(ag.trace(xor, *weights())).replace("test_program.py", "xor.py"))
    assert text == (
        "def xor(W1: float64[3, 5], W2: float64[5, 1]):\n"
        "    X: float64[4, 3]  # constant\n"
        "    Y: float64[4, 1]  # constant\n"
        "    z1: float64[4, 5] = X @ W1                 # xor.py:N\n"
        "    negative: float64[4, 5] = -z1              # xor.py:N\n"
        "    exp: float64[4, 5] = np.exp(negative)      # xor.py:N\n"
        "    add: float64[4, 5] = 1 + exp               # xor.py:N\n"
        "    a1: float64[4, 5] = 1 / add                # xor.py:N\n"
        "    z2: float64[4, 1] = a1 @ W2                # xor.py:N\n"
        "    negative_2: float64[4, 1] = -z2            # xor.py:N\n"
        "    exp_2: float64[4, 1] = np.exp(negative_2)  # xor.py:N\n"
        "    add_2: float64[4, 1] = 1 + exp_2           # xor.py:N\n"
        "    o: float64[4, 1] = 1 / add_2               # xor.py:N\n"
        "    subtract: float64[4, 1] = Y - o            # xor.py:N\n"
        "    power: float64[4, 1] = subtract ** 2       # xor.py:N\n"
        "    multiply: float64[4, 1] = 0.5 * power      # xor.py:N\n"
        "    xor: float64[] = np.mean(multiply)         # xor.py:N\n"
        "    return xor"
    )


def test_source_lines_are_those_of_the_operations() -> None:
    operation = ag.trace(xor, *weights()).operations[0]
    first = xor.__code__.co_firstlineno
    assert operation.line == f"test_program.py:{first + 1}: z1 = X @ W1"


def test_text_is_the_same_on_every_run() -> None:
    assert str(ag.trace(xor, *weights())) == str(ag.trace(xor, *weights()))


@pytest.mark.parametrize(
    ("f", "text"),
    [
        (lambda x: x[0, 1:3], "getitem: float64[2] = x[0, 1:3]"),
        (lambda x: x[..., None, ::2], "getitem: float64[4, 1, 2] = x[..., None, ::2]"),
        (lambda x: np.sum(x, axis=1, keepdims=True), "sum_: float64[4, 1] = np.sum(x, axis=1, keepdims=True)"),
        (lambda x: np.concatenate([x, x], axis=1), "concatenate: float64[4, 6] = np.concatenate([x, x], axis=1)"),
        (lambda x: x.astype(np.float32), "astype: float32[4, 3] = x.astype(np.float32)"),
        (lambda x: (-1.5) ** x, "power: float64[4, 3] = (-1.5) ** x"),
        (lambda x: np.clip(x, 0, 1), "clip: float64[4, 3] = np.clip(x, 0, 1)"),
        (lambda x: np.exp(x, dtype=np.float64), "exp: float64[4, 3] = np.exp(x, dtype=np.float64)"),
        (lambda x: np.add(x, 1, dtype=np.float64), "add: float64[4, 3] = np.add(x, 1, dtype=np.float64)"),
        (lambda x: x >= 0.5, "greater_equal: bool[4, 3] = x >= 0.5"),
    ],
)
def test_operations_are_written_as_numpy(f: Any, text: str) -> None:
    assert steps(ag.trace(f, X)) == [text]


# ---- names ----


def test_a_variable_that_is_assigned_again_is_numbered() -> None:
    def f(x: Any) -> Any:
        z = np.exp(x)
        z = sigmoid(z)
        z += 1
        z[0] = 5.0
        z = z * 2
        return z

    assert names(f, X) == ["z", "negative", "exp", "add", "z_2", "z_3", "z_4", "z_5"]


def test_tuples_attributes_and_helpers_are_named_after_the_line_that_asked() -> None:
    class Holder:
        a: Any

    holder, table = Holder(), {}

    def pair(x: Any) -> tuple[Any, Any]:
        return x * 2, x * 3

    def f(x: Any) -> Any:
        u, v = pair(x)
        holder.a = u + v
        table["w"] = np.exp(holder.a)
        if (s := np.sum(table["w"])) is not None:
            return helper(s)
        return None

    def helper(s: Any) -> Any:
        return s + 1

    assert names(f, X) == ["u", "v", "a", "w", "s", "helper"]


def test_arguments_and_captured_values_have_the_users_names() -> None:
    w = ag.tensor(np.ones(3), requires_grad=True)
    t = ag.tensor(np.ones(3), name="my target")

    def f(params: Any, *rest: Any) -> Any:
        return np.sum((params["W"] @ w + params["layers"][0] - t + rest[0] + rest[1]) * LARGE[0, 0]) + X[0, 0]

    program = ag.trace(f, {"W": X, "layers": [np.ones(4)[:3]]} | {"W": np.ones((3, 3))}, np.ones(3), np.ones(3))
    assert [each.name for each in program.inputs] == ["W", "params_layers_0", "rest", "rest_2"]
    assert [(each.name, each.kind) for each in program.captured] == [("w", "parameter"), ("my_target", "constant")]
    assert program.captured[1].label == "my target"


def test_of_several_names_the_first_counts() -> None:
    def f(x: Any) -> Any:
        first = x * 2
        second = first
        return np.exp(second)

    assert names(f, X) == ["first", "exp"]


def test_tensors_of_equal_values_stay_apart_and_are_followed() -> None:
    table = [[ag.tensor([1.0])], [ag.tensor([1.0])]]
    one = np.array([1.0])
    program = ag.trace(lambda x: (x + table[0][0]) * table[1][0] + one, np.zeros(1))
    assert len(program.captured) == 3
    table[0][0].data = [5.0]
    assert program(np.zeros(1)) == 6.0


def test_an_array_that_a_function_returns_is_kept() -> None:
    out = np.ones(2)
    program = ag.trace(lambda x: (x, out, 7), np.zeros(1))
    out[:] = 5
    assert np.array_equal(program(np.zeros(1))[1], [1, 1])
    assert program(np.zeros(1))[2] == 7


def test_an_array_used_twice_is_one_constant() -> None:
    program = ag.trace(lambda x: ((x + X) * X) @ (LARGE[:3] + LARGE[:3]) + np.sum(x @ X.T), X)
    assert [each.name for each in program.captured if each.shape == X.shape] == ["X"]
    program = ag.trace(lambda x: (x @ LARGE) @ LARGE, np.ones(130))
    assert [each.name for each in program.captured] == ["LARGE"]


def test_a_variable_never_hides_a_function_that_is_called() -> None:
    @ag.primitive
    def relu(x: Any) -> Any:
        return np.maximum(x, 0)

    relu.def_rule(lambda g, y, x: g * (y > 0))
    assert names(lambda x: relu(relu(x)), X) == ["relu_1", "relu_2"]


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("größe", "größe"), ("0.weight", "p0_weight"), ('a b\n"c"', "a_b_c"), ("class", "class_"), ("sum", "sum_"),
        ("", "value"), ("<>", "value"), ("_x", "_x"), ("ﬁ", "fi"), ("np", "np_"),
    ],
)  # fmt: skip
def test_names_are_identifiers(wanted: str, name: str) -> None:
    assert identifier(wanted) == name


@given(st.lists(st.sampled_from(["z", "z_2", "z_3", "a", "z_2_2"])))
def test_distinct_names_differ_and_the_first_keeps_its_own(wanted: list[str]) -> None:
    found = list(distinct(wanted))
    assert len(set(found)) == len(wanted)
    for i, name in enumerate(wanted):
        assert found[i].startswith(name)
        assert (found[i] == name) == (name not in wanted[:i])


# ---- computing again ----


def f_views(x: Any) -> Any:
    y = x.reshape(2, 6).T
    y[1:, 0] = y[:-1, 1]
    return y, y[::2]


def f_masks(x: Any) -> Any:
    mask = x > 0.2
    return {"chosen": x[mask], "where": np.where(mask, x, -x), "count": mask.sum(), "best": np.argmax(x, axis=1)}


def f_many(x: Any) -> Any:
    a, b = np.split(x, 2)
    return np.concatenate([b, a]), np.stack([a, b]).max(axis=0)


def f_factors(x: Any) -> Any:
    q, r = np.linalg.qr(x)
    return (q @ r, [r], None, 3, "text")


FUNCTIONS = [
    f_views, f_masks, f_many, f_factors, lambda x: np.clip(x, 0, x.mean()) ** 3, lambda x: x.astype(np.float32) * 0.1,
]  # fmt: skip


@pytest.mark.parametrize("f", FUNCTIONS)
def test_a_program_computes_what_numpy_does_bit_for_bit(f: Any) -> None:
    rng = np.random.default_rng(2)
    example = rng.normal(size=(4, 3))
    program = ag.trace(f, example)
    program.verify()
    program.verify(example)
    for x in (example, rng.permuted(example, axis=None)):
        got, structure = flatten(program(x.copy()))
        want, same = flatten(f(x.copy()))
        assert structure == same
        for a, b in zip(got, want, strict=True):
            assert np.array_equal(a, b)
            assert getattr(a, "dtype", None) == getattr(b, "dtype", None)


OPERATIONS = [
    np.exp, np.negative, np.abs, lambda a: a * 0.5, lambda a: a.sum(axis=-1, keepdims=True), lambda a: a - a.mean(),
    lambda a: np.where(a > 0, a, 0.1 * a), lambda a: a.T.copy(), lambda a: a[..., ::-1], lambda a: np.maximum(a, 0),
]  # fmt: skip


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.sampled_from(range(len(OPERATIONS))), min_size=1, max_size=8), st.sampled_from([np.float32, np.float64])
)
def test_random_programs_compute_what_numpy_does(chosen: list[int], dtype: Any) -> None:
    def f(x: Any) -> Any:
        for i in chosen:
            x = np.clip(OPERATIONS[i](x), -3, 3)
        return x

    x = np.random.default_rng(len(chosen)).normal(size=(2, 3)).astype(dtype)
    program = ag.trace(f, x)
    program.verify(x)
    assert program(x).dtype == dtype
    assert np.array_equal(program(x), f(x))


def test_operations_of_several_results_are_one_operation() -> None:
    program = ag.trace(lambda x: np.linalg.qr(x)[1], X[:3])
    assert [len(operation.outputs) for operation in program.operations] == [2]
    assert program.outputs[0] is program.operations[0].outputs[1]


def test_a_module_is_captured_by_its_parameters_names_and_seen_at_its_present_values() -> None:
    nn.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2, dtype=np.float64), nn.Sigmoid(), nn.Linear(2, 1, dtype=np.float64))
    program = ag.trace(model, X)
    assert [each.label for each in program.captured] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert [operation.scope for operation in program.operations] == [("0",), ("1",), ("2",)]
    assert [each.name for each in program.inputs] == ["x"]
    parameters = dict(model.named_parameters())
    for step in range(2):
        w = {name: each.data.copy() for name, each in parameters.items()}
        hidden = 1 / (1 + np.exp(-(X @ w["0.weight"].T + w["0.bias"])))
        np.testing.assert_allclose(program(X), hidden @ w["2.weight"].T + w["2.bias"], rtol=1e-12)
        for each in parameters.values():
            each.data = each.data + step + 1


def test_gradients_inside_a_function_are_recorded() -> None:
    def step(w: Any) -> Any:
        return w - 0.1 * ag.grad(lambda v: np.sum(np.exp(v) * v))(w)

    w = np.array([0.5, -1.0])
    program = ag.trace(step, np.zeros(2))
    np.testing.assert_allclose(program(w), w - 0.1 * np.exp(w) * (1 + w), rtol=1e-14)


def test_everything_that_depends_on_an_input_is_recorded_also_without_gradients() -> None:
    def f(x: Any) -> Any:
        with ag.no_grad():
            return (x > 0) * 2.0

    program = ag.trace(f, np.ones(2))
    assert np.array_equal(program(np.array([-1.0, 1.0])), [0, 2])
    assert not any(operation.requires_grad for operation in program.operations)


def test_what_no_output_needs_is_left_out_unless_asked_for() -> None:
    def f(x: Any) -> Any:
        np.exp(x)
        return x * 2

    assert len(ag.trace(f, X).operations) == 1
    assert len(ag.trace(f, X, everything=True).operations) == 2


def test_what_a_function_writes_to_is_told_and_undone() -> None:
    state = ag.tensor(np.zeros(2))

    def f(x: Any) -> Any:
        state[0] = x[0]
        return float(state[0])  # which a trace must refuse

    def g(x: Any) -> Any:
        before = state * 1
        with ag.no_grad():
            state[0] = x[0] + state[0]
        return before, state * 2

    x = np.array([3.0, 4.0])
    with pytest.raises(TypeError):
        ag.trace(f, x)
    program = ag.trace(g, x)
    program.verify(x)
    assert state.data.tolist() == [0, 0]
    assert [(old.name, new.name) for old, new in program.updates] == [("state", "state_2")]
    before, after = program(x)
    assert (before.tolist(), after.tolist()) == ([0, 0], [6, 0])
    assert g(x)[1].data.tolist() == [6, 0]
    before, after = program(x)
    assert (before.tolist(), after.tolist()) == ([3, 0], [12, 0])


def test_a_private_tensor_that_is_written_to_keeps_each_value_that_was_read() -> None:
    def f(x: Any) -> Any:
        total = ag.tensor(np.zeros(2))
        first = x + total
        total[0] = 5.0
        return first, x + total

    first, second = ag.trace(f, np.zeros(2))(np.ones(2))
    assert (first.tolist(), second.tolist()) == ([1, 1], [6, 1])


def test_running_statistics_are_inputs_and_outputs() -> None:
    model = nn.BatchNorm1d(3, dtype=np.float64)
    program = ag.trace(model, X)
    assert {old.label for old, _ in program.updates} == {"running_mean", "running_var", "num_batches_tracked"}
    assert model.running_mean.data.tolist() == [0, 0, 0]
    assert int(model.num_batches_tracked) == 0
    ag.draw(model, X, backward=True)
    model(X)
    np.testing.assert_allclose(model.running_mean.data, 0.1 * X.mean(axis=0))
    assert int(model.num_batches_tracked) == 1
    last = program.operations[-1]
    with pytest.raises(ValueError, match="is never defined"):
        replace(program, operations=(last,), captured=(*program.captured, *last.reads)).verify()


# ---- what is refused ----


@pytest.mark.parametrize("ask", [float, bool, lambda t: t.item(), lambda t: t.data, lambda t: t.numpy(), np.asarray])
def test_asking_for_values_raises_while_tracing(ask: Any) -> None:
    with pytest.raises(TypeError, match="trac"):
        ag.trace(lambda x: ask(x.sum()), X)
    assert sys.getprofile() is None


def test_other_arguments_than_traced_are_refused() -> None:
    program = ag.trace(lambda x, n: x * n, {"a": X}.get("a"), 2)
    assert np.array_equal(program(Y @ np.ones((1, 3)), 2), 2 * Y @ np.ones((1, 3)))
    with pytest.raises(ValueError, match=r"x is float64\[4, 1\], but the program is for float64\[4, 3\]"):
        program(Y, 2)
    with pytest.raises(ValueError, match="float32"):
        program(X.astype(np.float32), 2)
    with pytest.raises(ValueError, match="traced with 2 and given 3"):
        program(X, 3)
    with pytest.raises(TypeError, match="structured"):
        program(X)


def test_a_captured_array_keeps_its_values_or_the_program_refuses() -> None:
    small, large = np.ones(3), np.ones((130, 130))
    program = ag.trace(lambda x: x + small, np.zeros(3))
    small[0] = 7
    assert np.array_equal(program(np.zeros(3)), np.ones(3))
    program = ag.trace(lambda x: x + large, np.zeros(130))
    large[0, 0] = 7
    with pytest.raises(RuntimeError, match="captured array large was changed"):
        program(np.zeros(130))


def test_verify_finds_a_broken_program() -> None:
    program = ag.trace(xor, *weights())
    first, *rest = program.operations
    with pytest.raises(ValueError, match="z1 is used before it is defined"):
        replace(program, operations=(*rest, first)).verify()
    with pytest.raises(ValueError, match="taken"):
        replace(program, operations=(first, first, *rest)).verify()
    wrong = replace(rest[0], outputs=(replace(rest[0].outputs[0], shape=(4, 6)),))
    with pytest.raises(ValueError, match=r"its inputs give float64\[4, 5\]"):
        replace(program, operations=(first, wrong)).verify()
    wrong = replace(first, outputs=(replace(first.outputs[0], dtype=np.dtype(np.float32)),))
    with pytest.raises(ValueError, match=r"its inputs give float64\[4, 5\]"):
        replace(program, operations=(wrong,)).verify(*weights())
    twin = replace(program.inputs[1], name=program.inputs[0].name)
    with pytest.raises(ValueError, match="two inputs share a name"):
        replace(program, inputs=(program.inputs[0], twin)).verify()
    narrow = ag.trace(lambda x: np.add(x, 1, dtype=np.float32), X)
    narrow.verify()  # which dtype a setting gives is not known without arguments
    narrow.verify(X)
    with pytest.raises(ValueError, match="output xor is never defined"):
        replace(program, operations=(first, *rest[:-1])).verify()


# ---- eager histories ----


def test_an_eager_history_is_a_program_to_read_before_and_after_it_is_freed() -> None:
    W1, W2 = (ag.tensor(each, requires_grad=True) for each in weights())
    loss = xor(W1, W2)
    program = Program.from_tensor(loss)
    traced = ag.trace(xor, *weights())
    functions = [operation.primitive for operation in traced.operations]
    assert [operation.primitive for operation in program.operations] == functions
    assert {each.name: each.kind for each in program.captured} == {"W1": "parameter", "W2": "parameter"}
    assert [each.name for each in program.inputs] == ["X", "Y"]
    assert program.outputs[0].name == "loss"
    program.verify()
    with pytest.raises(RuntimeError, match=r"ag\.trace"):
        program()
    loss.backward()
    freed = Program.from_tensor(loss)
    assert [operation.primitive for operation in freed.operations] == functions
    shapes = [[each.outputs[0].shape for each in p.operations] for p in (program, freed)]
    assert shapes[0] == shapes[1]
    assert "... + exp" in str(freed)
