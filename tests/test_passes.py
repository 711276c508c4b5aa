"""A pass changes how much is computed, never what; a lift recognises a formula, and nothing that only looks like it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import autograd_lite as ag
from autograd_lite.fusing import fused
from autograd_lite.joint import with_gradients
from autograd_lite.lifting import LOG_SOFTMAX, RELU, SIGMOID, SOFTMAX, lift
from autograd_lite.passes import common_subexpressions, dead_code, fold_constants, shortened, simplify
from autograd_lite.program import Program
from autograd_lite.trees import flatten
from tests.numerical import inner, like, results
from tests.op_cases import CASES, Case, function_of
from tests.test_rules import arrays_of

RNG = np.random.default_rng(0)
Z = RNG.standard_normal((5, 4))
FAR = np.array([[-1e4, -800.0, -40.0, -1.0, -0.0, 0.0, 1e-3, 40.0, 800.0, 1e4]])


def names(program: Program) -> list[str]:
    """What a program computes, step by step."""
    return [operation.primitive.name for operation in program.operations]


def equal(program: Program, other: Program, *args: Any) -> None:
    """Both give the same values, bit by bit, except for the sign of a zero."""
    for one, two in zip(program(*args), other(*args), strict=True):
        np.testing.assert_array_equal(one, two)
        assert one.dtype == two.dtype
        assert one.shape == two.shape


# ---- values ----------------------------------------------------------------------------------------------------------


BY_VALUE = ("real_if_close", "trim_zeros", "lstsq", "polymul")  # no program: they depend on values
ENTRIES = [pytest.param(each, id=each.name) for each in CASES.values() if each.name not in BY_VALUE]


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_pass_keeps_the_values_and_the_gradients_of_every_function(entry: Case):
    one = entry.calls[0]
    arrays = tuple(arrays_of(one))
    if not arrays:
        return
    f = function_of(entry, one)
    outs = results(f(*(a.copy() for a in arrays)))
    weights = [like(np.asarray(out, np.result_type(out.dtype, np.float64)), np.random.default_rng(1)) for out in outs]
    derived = ag.value_and_grad(lambda *xs: inner(results(f(*xs)), weights), tuple(range(len(arrays))))

    def value_and_gradients(*xs: Any) -> Any:
        value, gradients = derived(*xs)
        return [value, *gradients]

    both = ag.trace(value_and_gradients, *arrays, everything=True)
    for each in (common_subexpressions, dead_code, fold_constants, simplify, shortened):
        fewer = each(both)
        fewer.verify(*arrays)
        assert len(fewer.operations) <= len(both.operations)
        equal(both, fewer, *arrays)


# ---- single passes ---------------------------------------------------------------------------------------------------


def test_dead_code_goes_and_captured_values_with_it():
    w = ag.tensor([1.0, 2.0], requires_grad=True, name="w")
    program = ag.trace(lambda x: (np.exp(x) * w, np.sin(x))[1], np.ones(2), everything=True)
    assert names(dead_code(program)) == ["sin"]
    assert dead_code(program).captured == ()


def test_what_is_computed_twice_is_computed_once_under_the_users_name():
    def f(x):
        y = 2.0 * np.exp(x)
        e = np.exp(x)
        return y + e

    program = common_subexpressions(ag.trace(f, Z))
    assert [each.outputs[0].name for each in program.operations] == ["e", "y", "add"]


def test_literals_that_differ_in_type_or_sign_are_not_merged():
    program = ag.trace(lambda x: [x * 0.0, x * -0.0, x * 2, x * 2.0], np.arange(1.0, 3.0))
    assert len(common_subexpressions(program).operations) == 4


def test_two_draws_are_two_draws():
    import nn

    dropout = nn.functional.dropout
    rng = np.random.default_rng(0)
    program = ag.trace(lambda x: dropout(x, 0.5, rng=rng) - dropout(x, 0.5, rng=rng), np.ones(50))
    assert (shortened(program)(np.ones(50)) != 0).any()


def test_constants_are_computed_once_but_a_users_array_stays_what_it_is():
    scale = np.array([2.0, 3.0])
    program = ag.trace(lambda x: ag.grad(lambda y: np.mean(y * 4.0))(x) + x * scale, np.ones(2))
    folded = fold_constants(program)
    assert "mean" not in names(folded)
    assert [each.name for each in folded.captured if each.given] == ["scale"]


def test_a_gradient_that_is_a_users_array_follows_it():
    scale = ag.tensor([2.0, 3.0], name="scale")
    program = ag.trace(lambda x: np.sum(x * scale * 3.0), np.ones(2))
    both = shortened(with_gradients(program, (np.ones(2),), program.inputs))
    scale.data[0] = 7.0
    np.testing.assert_array_equal(both(np.zeros(2))[1][0], [21, 9])


def test_an_array_changed_after_the_trace_is_noticed_after_the_passes_too():
    data = RNG.standard_normal(100_000)
    program = shortened(ag.trace(lambda x: np.sum(x * data), 1.0))
    data[7] = 5
    with pytest.raises(RuntimeError, match="was changed after the trace"):
        program(1.0)


@pytest.mark.parametrize(
    ("f", "left"),
    [
        (lambda x: np.transpose(np.transpose(x)), []),
        (lambda x: np.reshape(np.reshape(x, (2, 10)), (4, 5)), ["reshape"]),
        (lambda x: np.reshape(x, (5, 4)), []),
        (lambda x: np.negative(-x), []),
        (lambda x: -(x - 1.0), ["subtract"]),
        (lambda x: x * 1.0 / 1 + 0.0 - 0, []),
        (lambda x: 0.5 * (2 * x), []),
        (lambda x: 0.1 * (0.3 * x), ["multiply", "multiply"]),
        (lambda x: x + -np.exp(x), ["exp", "subtract"]),
        (lambda x: x - -np.exp(x), ["exp", "add"]),
        (lambda x: np.sign(-np.exp(x) * -x), ["exp", "multiply", "sign"]),
        (lambda x: np.copy(x).astype(np.float64), []),
        (lambda x: np.exp(x * np.broadcast_to(np.sum(x), (5, 4))), ["sum", "multiply", "exp"]),
        (lambda x: np.real(np.conjugate(x)), []),
        (lambda x: x.astype(np.float32).astype(np.float64), ["astype", "astype"]),
        (lambda x: np.transpose(np.transpose(x[None], (1, 2, 0)), (1, 2, 0)), ["getitem", "transpose"]),
        (lambda x: np.transpose(np.transpose(x[None], (1, 2, 0)), (2, 0, 1)), ["getitem"]),
        (lambda x: np.moveaxis(np.swapaxes(x[None], 0, 2), 0, 2), ["getitem", "transpose"]),
        (lambda x: np.swapaxes(np.transpose(x), 0, 1), []),
        (lambda x: np.squeeze(np.expand_dims(np.ravel(x), 0), 0), ["reshape"]),
        (lambda x: np.reshape(np.ravel(np.expand_dims(x, 1)), (5, 4)), []),
        (lambda x: np.reshape(np.reshape(x, (4, 5), order="F"), (2, 10)), ["reshape", "reshape"]),
        (lambda x: np.reshape(np.transpose(x), (5, 4)), ["transpose", "reshape"]),
    ],
)
def test_algebra(f: Any, left: list[str]):
    program = ag.trace(f, Z)
    simple = simplify(program)
    assert names(simple) == left
    simple.verify(Z)
    np.testing.assert_array_equal(simple(Z), program(Z))


@pytest.mark.parametrize(
    ("f", "left"),
    [
        (lambda x: np.sum(x[0] * x[1]), ["getitem", "getitem", "dot"]),
        (lambda x: np.sum(x[:, :1] ** 2), ["getitem", "reshape", "dot"]),
        (lambda x: np.mean(np.square(x[0])), ["getitem", "dot", "divide"]),
        (lambda x: np.sum(x * x), ["multiply", "sum"]),  # more than one row
        (lambda x: np.sum(x[0] * 2.0), ["getitem", "multiply", "sum"]),
        (lambda x: np.sum(x[0] ** 3), ["getitem", "power", "sum"]),
        (lambda x: np.sum(x[0].astype(np.float32) ** 2), ["getitem", "astype", "power", "sum"]),
        (lambda x: (np.sum(y := x[0] * x[1]), y), ["getitem", "getitem", "multiply", "sum"]),
        (lambda x: np.transpose(x @ np.transpose(x)), ["transpose", "matmul"]),
        (lambda x: np.transpose(np.transpose(x) @ x), ["transpose", "matmul"]),
        (lambda x: -(x @ x[0, :, None]), ["getitem", "negative", "matmul"]),
        (lambda x: np.transpose(x[None] @ np.transpose(x)), ["getitem", "transpose", "matmul", "transpose"]),
        (lambda x: -(x[:1] @ np.transpose(x)), ["getitem", "transpose", "matmul", "negative"]),
    ],
)
def test_fusing(f: Any, left: list[str]):
    program = simplify(ag.trace(f, Z))
    found = fused(program)
    assert sorted(names(found)) == sorted(left)
    found.verify(Z)
    for mine, theirs in zip(flatten(found(Z))[0], flatten(program(Z))[0], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-14)


def test_a_float32_program_stays_float32():
    program = ag.trace(ag.value_and_grad(lambda x: np.mean(0.5 * (x * 3) ** 2)), Z.astype(np.float32))
    value, gradient = shortened(program)(Z.astype(np.float32))
    assert value.dtype == gradient.dtype == np.float32


# ---- lifts -----------------------------------------------------------------------------------------------------------

SIGMOIDS = [
    lambda x: 1 / (1 + np.exp(-x)),
    lambda x: 1.0 / (np.exp(-x) + 1.0),
    lambda x: np.reciprocal(1 + np.exp(-1 * x)),
    lambda x: np.exp(x) / (1 + np.exp(x)),
]
SOFTMAXES = [
    lambda z: np.exp(z) / np.sum(np.exp(z), axis=1, keepdims=True),
    lambda z: np.exp(z - z.max(1, keepdims=True)) / np.exp(z - z.max(axis=-1, keepdims=True)).sum(-1, keepdims=True),
    lambda z: np.exp(z - np.max(z)) / np.sum(np.exp(z - np.max(z))),
]
RELUS = [
    lambda x: x * (x > 0),
    lambda x: (0 < x) * x,
    lambda x: np.where(x > 0, x, 0),
    lambda x: np.where(x > 0.0, x, 0.0),
]
OTHERS = [
    lambda x: 1 / (2 + np.exp(-x)),
    lambda x: 1 / (1 + np.exp(x - 1.0)),
    lambda x: 2 / (1 + np.exp(-x)),
    lambda z: np.exp(z) / np.sum(np.exp(z), axis=0),
    lambda z: np.exp(z) / np.sum(np.exp(2 * z), axis=1, keepdims=True),
    lambda z: np.exp(z - np.max(z, axis=0, keepdims=True)) / np.mean(np.exp(z), axis=1, keepdims=True),
    lambda z: (),
    lambda z: np.exp(z) / np.sum(np.exp(z), axis=1, keepdims=True, initial=1.0),
    lambda x: np.maximum(x, 0),
    lambda x: x * (x >= 0),
    lambda x: x * (x > 1),
    lambda x: np.where(x > 0, x, 1),
    lambda x: np.where(x < 0, x, 0),
    lambda x: np.log(np.exp(x) + 1),
]


def gradient_of(program: Program, x: Any) -> Any:
    """The gradient of the sum of a program's values, weighted."""
    w = np.random.default_rng(2).standard_normal(x.shape)
    scalar = ag.trace(lambda z: np.sum(w * _run(program, z)), x)
    return with_gradients(scalar, (x,), scalar.inputs)(x)[1][0]


def _run(program: Program, x: Any) -> Any:
    """A program of one input on a tensor."""
    table: dict[Any, Any] = {program.inputs[0]: x}
    for each in program.operations:
        values = [table.get(v, v) if not isinstance(v, (int, float)) else v for v in each.inputs]
        table[each.outputs[0]] = each.primitive(*values, **each.settings)
    return table[program.outputs[0]]


@pytest.mark.parametrize(
    ("f", "primitive"),
    [(f, SIGMOID) for f in SIGMOIDS]
    + [(f, SOFTMAX) for f in SOFTMAXES]
    + [(lambda z, f=f: np.log(f(z)), LOG_SOFTMAX) for f in SOFTMAXES]
    + [(f, RELU) for f in RELUS],
)
def test_formulas_are_recognised_and_keep_values_and_gradients(f: Any, primitive: Any):
    program = ag.trace(f, Z)
    lifted = lift(program)
    assert [each.primitive for each in lifted.operations] == [primitive]
    np.testing.assert_allclose(lifted(Z), f(Z), rtol=1e-15, atol=1e-15)
    w = np.random.default_rng(2).standard_normal(Z.shape)
    np.testing.assert_allclose(gradient_of(lifted, Z), ag.grad(lambda z: np.sum(w * f(z)))(Z), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("f", OTHERS)
def test_what_only_looks_alike_is_left_alone(f: Any):
    program = ag.trace(f, Z)
    assert not {SIGMOID, SOFTMAX, LOG_SOFTMAX, RELU} & {each.primitive for each in lift(program).operations}


def test_float32_is_lifted_in_float32_and_integers_are_not():
    single = lift(ag.trace(SIGMOIDS[0], Z.astype(np.float32)))
    assert names(single) == ["sigmoid"]
    assert single(Z.astype(np.float32)).dtype == np.float32
    assert "relu" not in names(lift(ag.trace(RELUS[0], np.arange(3))))


def test_at_the_kink_relu_has_slope_0_and_maximum_shares():
    x = np.array([-1.0, 0.0, -0.0, 2.0])
    for f in RELUS:
        text = ag.backprop_source(lambda x, f=f: np.sum(f(x)), x)
        np.testing.assert_array_equal(text.function(x)[1], [0, 0, 0, 1])
    text = ag.backprop_source(lambda x: np.sum(np.maximum(x, 0)), x)
    np.testing.assert_array_equal(text.function(x)[1], [0, 0.5, 0.5, 1])


@pytest.mark.parametrize("f", SIGMOIDS)
def test_far_out_a_sigmoid_is_0_or_1_with_slope_0(f: Any):
    with np.errstate(over="ignore"):
        lifted = lift(ag.trace(f, np.zeros_like(FAR)))
        e = np.exp(-np.abs(FAR))
        np.testing.assert_allclose(lifted(FAR), np.where(FAR < 0, e / (1 + e), 1 / (1 + e)), rtol=1e-15, atol=0)
        w = np.random.default_rng(2).standard_normal(FAR.shape)
        np.testing.assert_allclose(gradient_of(lifted, FAR), w * e / (1 + e) ** 2, rtol=0, atol=3e-16)


def test_far_out_a_softmax_neither_overflows_nor_underflows():
    z = np.array([[0.0, 1e4, -1e4, 1e4 - 1.0]])
    p = np.exp(-1.0) / (1 + np.exp(-1.0))
    for f in SOFTMAXES:
        np.testing.assert_allclose(lift(ag.trace(f, Z[:1]))(z), [[0, 1 - p, 0, p]], rtol=1e-15, atol=0)
        logarithm = lift(ag.trace(lambda x, f=f: np.log(f(x)), Z[:1]))(z)
        assert np.isfinite(logarithm).all()
        np.testing.assert_allclose(logarithm[0, 3], np.log(p), rtol=1e-12)


def test_what_else_needs_the_formulas_parts_still_gets_them():
    def f(x):
        e = np.exp(-x)
        return 1 / (1 + e) + e

    program = lift(ag.trace(f, Z))
    assert names(program) == ["negative", "exp", "sigmoid", "add"]
    np.testing.assert_array_equal(program(Z), f(Z))


# ---- the way back ----------------------------------------------------------------------------------------------------


def test_gradients_of_captured_parameters_and_inputs_in_one_program():
    w = ag.tensor([1.0, 2.0], requires_grad=True, name="w")
    program = ag.trace(lambda x: np.sum(w * w * x), np.ones(2))
    both = with_gradients(program, (np.ones(2),), [program.captured[0], program.inputs[0]])
    x = np.array([3.0, 5.0])
    value, (d_w, d_x) = both(x)
    assert float(value) == 23
    np.testing.assert_array_equal(d_w, [6, 20])
    np.testing.assert_array_equal(d_x, [1, 4])
    w.data[0] = 2.0
    np.testing.assert_array_equal(both(x)[1][1], [4, 4])
    both.verify(x)


def test_only_floating_point_has_gradients():
    program = ag.trace(lambda x, n: np.sum(x * n), Z, np.arange(4))
    with pytest.raises(TypeError, match=r"n: int64\[4\] has no derivative: pass it as floating point"):
        with_gradients(program, (Z, np.arange(4)), program.inputs)


def test_running_again_draws_nothing():
    import nn

    rng = np.random.default_rng(0)
    program = ag.trace(lambda x: np.sum(nn.functional.dropout(x, 0.5, rng=rng)), np.ones(9))
    before = rng.bit_generator.state
    with_gradients(program, (np.ones(9),), program.inputs)
    assert rng.bit_generator.state == before


def test_an_operation_of_the_way_back_has_the_line_of_its_operation():
    def f(x):
        y = np.exp(x)
        return np.sum(y * y)

    program = ag.trace(f, Z)
    both = with_gradients(program, (Z,), program.inputs)
    lines = {each.line.partition(": ")[2] for each in both.operations if each.scope[:1] == ("backward pass",)}
    assert lines == {"y = np.exp(x)", "return np.sum(y * y)"}


# ---- verification ----------------------------------------------------------------------------------------------------


def test_verify_finds_a_pass_that_breaks_a_program():
    program = ag.trace(lambda x: np.exp(x) * 2.0, Z)
    program.verify(Z)
    first, second = program.operations
    with pytest.raises(ValueError, match="used before it is defined"):
        replace(program, operations=(second, first)).verify()
    wrong = replace(second.outputs[0], shape=(4, 5))
    with pytest.raises(ValueError, match=r"its inputs give float64\[5, 4\]"):
        replace(program, operations=(first, replace(second, outputs=(wrong,))), outputs=(wrong,)).verify()
    single = replace(second.outputs[0], dtype=np.dtype(np.float32))
    with pytest.raises(ValueError, match="its inputs give float64"):
        replace(program, operations=(first, replace(second, outputs=(single,))), outputs=(single,)).verify()
