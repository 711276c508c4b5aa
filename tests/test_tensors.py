"""Tensors, tried by somebody who wants to break them: making them, leaving their world, operators, copies, texts."""

from __future__ import annotations

import copy
import math
import operator
import pickle
import warnings
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autograd_lite as ag
from autograd_lite.primitives import PRIMITIVES


def parameter(data: Any, **kwargs: Any) -> ag.Tensor:
    return ag.tensor(data, requires_grad=True, **kwargs)


# ---- making ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1, np.int64), (1.0, np.float64), (True, np.bool_), (1j, np.complex128), ([1, 2], np.int64),
        ([[1.5]], np.float64),
        (np.float32(2), np.float32), (np.arange(3, dtype=np.int8), np.int8), ([], np.float64), ((1, 2.0), np.float64),
    ],
)  # fmt: skip
def test_dtypes_are_numpys(data: Any, dtype: Any) -> None:
    assert ag.tensor(data).dtype == dtype


def test_a_tensor_copies_its_data() -> None:
    data = np.ones(3)
    x = ag.tensor(data)
    data[0] = 7
    x.data[1] = 8
    assert x.data.tolist() == [1, 8, 1]
    assert data.tolist() == [7, 1, 1]


def test_of_a_tensor_a_copy_unless_that_would_cut_a_history() -> None:
    c = ag.tensor([1.0, 2.0])
    other = ag.tensor(c)
    other.data[0] = 5
    assert c.data.tolist() == [1, 2]
    with pytest.raises(TypeError, match="detach"):
        ag.tensor(parameter([1.0]))


def test_dtype_and_name_are_taken() -> None:
    x = ag.tensor([1, 2], dtype=np.float32, requires_grad=True, name="w")
    assert (x.dtype, x.name, x.requires_grad, x.is_leaf) == (np.float32, "w", True, True)
    x.name = "v"
    assert repr(x) == "tensor([1., 2.], dtype=float32, name='v', requires_grad=True)"


@pytest.mark.parametrize("data", ["abc", ["a", "b"], None, [None, 1.0], object(), {"a": 1.0}, np.datetime64("2020")])
def test_what_is_no_number_is_refused(data: Any) -> None:
    with pytest.raises(TypeError, match=r"does not hold numbers"):
        ag.tensor(data)


def test_ragged_lists_are_refused() -> None:
    with pytest.raises(ValueError, match="inhomogeneous"):
        ag.tensor([[1.0], [1.0, 2.0]])


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_])
def test_integers_cannot_require_gradients(dtype: Any) -> None:
    with pytest.raises(TypeError, match=r"cannot require gradients.*dtype=np.float64"):
        parameter(np.ones(2, dtype))
    x = ag.tensor(np.ones(2, dtype))
    with pytest.raises(TypeError, match="cannot require gradients"):
        x.requires_grad = True


def test_requires_grad_of_a_computed_tensor_cannot_be_set() -> None:
    with pytest.raises(RuntimeError, match="detach"):
        (parameter(1.0) * 2).requires_grad = False


def matrix(data: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy discourages np.matrix; users have them all the same
        return np.matrix(data)


MASKED = np.ma.array([[1.0, 2.0]], mask=[[False, True]])


@pytest.mark.parametrize("data", [matrix([[1.0]]), MASKED])
def test_a_matrix_or_masked_array_is_refused(data: Any) -> None:
    with pytest.raises(TypeError, match=r"np\.asarray\(x\), or x\.filled"):
        ag.tensor(data)


def test_a_memory_map_is_an_array(tmp_path: Path) -> None:
    data = np.memmap(tmp_path / "data", np.float64, "w+", shape=(3,))
    data[:] = [1, 2, 3]
    w = parameter(data)
    (w * data).sum().backward()
    assert w.grad is not None
    assert w.grad.tolist() == [1, 2, 3]


# ---- what it is --------------------------------------------------------------------------------------------------


def test_form() -> None:
    x = ag.tensor(np.zeros((2, 3), np.float32))
    assert (x.shape, x.ndim, x.size, x.itemsize, x.nbytes, len(x)) == ((2, 3), 2, 6, 4, 24, 2)
    assert (np.shape(x), np.ndim(x), np.size(x), np.size(x, 1)) == ((2, 3), 2, 6, 3)
    assert x.T.shape == (3, 2)


def test_hash_is_identity_and_equality_elementwise() -> None:
    x, y = ag.tensor([1.0, 2.0]), ag.tensor([1.0, 2.0])
    assert len({x, y, x}) == 2
    assert (x == y).data.tolist() == [True, True]
    assert (x != [1.0, 3.0]).data.tolist() == [False, True]
    assert isinstance(x == None, ag.Tensor)  # noqa: E711  # elementwise, as NumPy's


def test_iteration_and_membership() -> None:
    w = parameter([[1.0, 2.0], [3.0, 4.0]])
    rows = list(w)
    (rows[0][1] * 3 + rows[1].sum()).backward()
    assert w.grad is not None
    assert w.grad.tolist() == [[0, 3], [1, 1]]
    assert 3.0 in w
    assert 5.0 not in w
    for call in (lambda t: iter(t), len):
        with pytest.raises(TypeError):
            call(ag.tensor(1.0))


def test_texts() -> None:
    w = parameter([1.0, 2.0], name="w")
    assert repr(w) == "tensor([1., 2.], name='w', requires_grad=True)"
    assert repr(np.exp(parameter(0.0))) == "tensor(1., from np.exp)"
    assert repr(ag.tensor([1, 2])) == "tensor([1, 2])"
    assert f"{ag.tensor(1.23456):.2f}" == "1.23"
    assert f"{parameter([[2.5]]):.1e}" == "2.5e+00"
    assert f"{ag.tensor([1, 2])}" == "tensor([1, 2])"
    assert str(w) == repr(w)
    with pytest.raises(TypeError, match="one entry"):
        f"{w:.2f}"


def test_rounding_and_integers() -> None:
    x = ag.tensor([1.26, 2.74])
    assert round(x, 1).data.tolist() == [1.3, 2.7]
    assert round(x).data.tolist() == [1.0, 3.0]
    assert [10, 20, 30][ag.tensor(1)] == 20
    assert list(range(ag.tensor(2))) == [0, 1]
    with pytest.raises(TypeError):
        [1, 2][ag.tensor(1.0)]
    assert (int(ag.tensor(2.7)), float(ag.tensor([3.5])), complex(ag.tensor(1.0))) == (2, 3.5, 1 + 0j)
    assert bool(ag.tensor(0.0)) is False
    with pytest.raises(ValueError, match="ambiguous"):
        bool(ag.tensor([1.0, 2.0]))
    with pytest.raises(TypeError, match="one entry"):
        float(ag.tensor([1.0, 2.0]))


def test_numbers_leave_by_name() -> None:
    x = parameter([[1.0, 2.0]])
    assert x.item(1) == 2.0
    assert x.tolist() == [[1.0, 2.0]]
    assert float(x.sum()) == 3.0
    assert x.detach().numpy().tolist() == [[1.0, 2.0]]
    with pytest.raises(RuntimeError, match=r"x\.detach\(\)\.numpy\(\)"):
        x.numpy()
    with pytest.raises((ValueError, TypeError)):
        x.item()


def test_data_of_a_leaf_is_its_array_and_of_a_result_cannot_be_written() -> None:
    w = parameter([1.0, 2.0])
    assert w.data is w.data
    w.data[0] = 5
    assert float(w[0]) == 5
    y = w * 2
    with pytest.raises(ValueError, match="read-only"):
        y.data[0] = 1
    with pytest.raises(RuntimeError, match=r"ag\.tensor\(value\)"):
        y.data = np.ones(2)
    with pytest.raises(ValueError, match="read-only"):
        y.detach().numpy()[0] = 1


def test_setting_data_copies_and_casts() -> None:
    w = parameter(np.zeros(2, np.float32))
    array, source = w.data, np.array([1.0, 2.0])
    w.data = source
    source[0] = 9
    assert w.data is array
    assert array.tolist() == [1, 2]
    assert w.dtype == np.float32
    with pytest.raises(ValueError, match=r"shape \(3,\).*\(2,\)"):
        w.data = np.ones(3)


def test_setting_grad_copies_casts_and_checks() -> None:
    w, given = parameter(np.zeros(2, np.float32)), np.ones(2)
    w.grad = given
    assert w.grad is not None
    assert w.grad is not given
    assert w.grad.dtype == np.float32
    with pytest.raises(ValueError, match="shape"):
        w.grad = np.ones(3)
    w.grad = None
    assert w.grad is None


# ---- operators ---------------------------------------------------------------------------------------------------

ARITHMETIC = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow,
    operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne,
]  # fmt: skip
BITWISE = [operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift]
OPERANDS: list[Any] = [2, 2.5, np.float32(2.5), np.float64(1.5), np.array([2.0, 3.0]), [2.0, 3.0], np.array(2.0)]


@pytest.mark.parametrize("other", OPERANDS, ids=lambda each: f"{type(each).__name__}")
@pytest.mark.parametrize("operation", ARITHMETIC)
def test_operators_and_their_reflections_are_numpys(operation: Callable[..., Any], other: Any) -> None:
    array = np.array([[1.0, 2.0], [3.0, 4.0]])
    for wrap in (ag.tensor, parameter):
        for result, wanted in (
            (operation(wrap(array), other), operation(array, other)),
            (operation(other, wrap(array)), operation(other, array)),
            (operation(wrap(array), ag.tensor(other)), operation(array, np.asarray(other))),
        ):
            assert isinstance(result, ag.Tensor)
            assert result.dtype == wanted.dtype
            np.testing.assert_array_equal(result.data, wanted)


@pytest.mark.parametrize("operation", BITWISE)
def test_bitwise_operators(operation: Callable[..., Any]) -> None:
    a, b = np.array([5, 6, 7]), np.array([1, 2, 3])
    for result in (operation(ag.tensor(a), b), operation(a, ag.tensor(b)), operation(ag.tensor(a), ag.tensor(b))):
        np.testing.assert_array_equal(result.data, operation(a, b))
    np.testing.assert_array_equal((~ag.tensor(a)).data, ~a)
    np.testing.assert_array_equal(operation(7, ag.tensor(b)).data, operation(7, b))


def test_the_rest_of_the_operators() -> None:
    a = np.array([[1.0, -2.0], [3.0, 4.0]])
    x = parameter(a)
    for result, wanted in (
        (-x, -a), (+x, +a), (abs(x), abs(a)), (x @ a, a @ a), (a @ x, a @ a), (x @ x, a @ a),
        (divmod(x, 2)[0], a // 2), (divmod(7, x)[1], 7 % a),
    ):  # fmt: skip
        np.testing.assert_array_equal(result.data, wanted)


def test_float32_stays_float32() -> None:
    x = parameter(np.ones(2, np.float32))
    for result in (x * 2, x + 1.5, 3 / x, x**2, x**0.5, np.exp(x), x.mean(), x.sum(), np.where(x > 0, x, 0.0), x.var()):
        assert result.dtype == np.float32
    (x * 2.5 + np.exp(x)).sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == np.float32


@pytest.mark.parametrize("other", [None, "a", object(), {}, np.array(["a"]), np.datetime64("2020-01-01")])
def test_operands_that_are_no_numbers_raise(other: Any) -> None:
    with pytest.raises(TypeError):
        parameter([1.0]) + other
    with pytest.raises(TypeError):
        other + parameter([1.0])


def test_shapes_that_do_not_fit_name_the_function_and_both_shapes() -> None:
    x = parameter(np.ones((2, 3)))
    calls = ((lambda: x + np.ones(4), "np.add"), (lambda: x @ x, "np.matmul"), (lambda: np.dot(x, x), "np.dot"))
    for call, name in calls:
        with pytest.raises(ValueError, match=rf"{name}.*\(2, 3\).*\((4,|2, 3)\)"):
            call()


# ---- leaving the tensor world ------------------------------------------------------------------------------------

A = np.array([[1.0, 2.0], [3.0, 4.0]])


def _store(target: Any, index: Any, value: Any) -> None:
    target[index] = value


LEAKS: list[tuple[str, Callable[[Any], Any], str]] = [
    ("array.dot(t)", lambda t: A.dot(t), r"X @ w or np\.dot\(X, w\)"),
    ("array.take(t)", lambda t: A.take(t), r"np\.take"),
    ("np.full", lambda t: np.full((2,), t[0]), r"value \* np\.ones\(shape\)"),
    ("np.asarray", lambda t: np.asarray(t), r"t\.detach\(\)\.numpy\(\)"),
    ("np.array", lambda t: np.array(t), r"np\.stack|detach"),
    ("np.array([t, t])", lambda t: np.array([t, t]), r"np\.stack\(\[t, u\]\)"),
    ("np.exp([t, t])", lambda t: np.exp([t, t]), r"np\.stack"),
    ("np.sum([t, t])", lambda t: np.sum([t, t]), r"np\.stack"),
    ("t + [t, t]", lambda t: t + [t, t], r"np\.stack"),
    ("array[t]", lambda t: A[t], r"plain indices"),
    ("float64(t)", lambda t: np.float64(t), r"detach"),
    ("array == in list", lambda t: np.ones(2).tolist() + np.asarray([t]).tolist(), r"detach"),
]  # fmt: skip


@pytest.mark.parametrize(("leak", "remedy"), [leak[1:] for leak in LEAKS], ids=[leak[0] for leak in LEAKS])
def test_a_tensor_that_requires_gradients_does_not_leave_and_the_remedy_fits(leak: Any, remedy: str) -> None:
    w = parameter([1.0, 2.0])
    for t in (w, w * 2):
        with pytest.raises(TypeError, match=remedy):
            leak(t)


@pytest.mark.parametrize("leak", [leak[1] for leak in LEAKS[:1]])
def test_without_gradients_it_may_leave(leak: Any) -> None:
    assert leak(ag.tensor([1.0, 2.0])).tolist() == [5, 11]


def test_storing_a_tensor_in_an_array_is_caught() -> None:
    w = parameter([1.0, 2.0])
    array = np.zeros(2)
    with pytest.raises(TypeError, match=r"ag\.tensor\(array\), or use np\.stack"):
        array[:] = w
    # NumPy asks a single entry for a float, and wraps our error in its own.
    for index in (0, np.int64(1)):
        with pytest.raises(ValueError, match="sequence") as caught:
            array[index] = w.sum()
        assert isinstance(caught.value.__cause__, TypeError)
        assert "ag.tensor(array)" in str(caught.value.__cause__)
    with pytest.raises((TypeError, ValueError)):
        array[0] += w.sum()
    assert array.tolist() == [0, 0]
    array[0] = float(w.sum())
    array[1] = w.sum().item()
    assert array.tolist() == [3, 3]


def test_array_plus_equals_tensor_raises() -> None:
    array, w = np.zeros(2), parameter([1.0, 2.0])
    with pytest.raises(TypeError, match=r"array = array \+ tensor"):
        array += w
    with pytest.raises(TypeError, match=r"array = array \+ tensor"):
        array *= ag.tensor([1.0, 2.0])
    assert array.tolist() == [0, 0]


@pytest.mark.parametrize("t", [parameter([1.0, 2.0]), ag.tensor([1.0, 2.0])], ids=["parameter", "constant"])
def test_writing_functions_and_out_raise(t: ag.Tensor) -> None:
    array = np.zeros(2)
    calls: list[Callable[[], Any]] = [
        lambda: np.exp(t, out=array), lambda: np.exp(array, out=t), lambda: np.sum(t, out=np.zeros(())),
        lambda: np.add(t, t, out=array), lambda: np.copyto(array, t), lambda: np.copyto(t, array),
        lambda: np.put(array, [0], t), lambda: np.place(array, array == 0, t), lambda: np.putmask(array, array == 0, t),
        lambda: np.put_along_axis(array, np.array([0]), t, 0), lambda: np.add.at(array, [0], t),
        lambda: np.add.at(t, [0], 1.0),
        lambda: np.clip(t, 0, 1, out=array), lambda: np.concatenate([t, t], out=np.zeros(4)), lambda: t.sort(),
        lambda: np.stack([t, t], out=np.zeros((2, 2))), lambda: np.cumsum(t, out=array),
        lambda: np.dot(t, t, out=np.zeros(())),
        lambda: t.put([0], 1.0), lambda: t.resize((1, 2)), lambda: t.partition(1), lambda: np.fill_diagonal(t, 0.0),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises((TypeError, NotImplementedError)):
            call()
    assert array.tolist() == [0, 0]
    assert t.data.tolist() == [1, 2]


def test_where_of_a_ufunc_says_what_to_write() -> None:
    with pytest.raises(NotImplementedError, match=r"np\.where\(mask, np\.exp\(x\), other\)"):
        np.exp(parameter([1.0, 2.0]), where=np.array([True, False]))


@pytest.mark.parametrize("t", [parameter([[1.0, 2.0]]), ag.tensor([[1.0, 2.0]])], ids=["parameter", "constant"])
@pytest.mark.parametrize("operation", [*ARITHMETIC[:6], np.add, np.maximum, np.arctan2])
def test_matrices_and_masked_arrays_raise(operation: Callable[..., Any], t: ag.Tensor) -> None:
    for other in (matrix([[1.0, 2.0]]), MASKED):
        with pytest.raises(TypeError, match=r"matrix|[mM]asked"):
            operation(t, other)
        with pytest.raises(TypeError, match=r"matrix|[mM]asked"):
            operation(other, t)


def test_np_ma_functions_do_not_take_the_values_of_a_tensor() -> None:
    for call in (np.ma.exp, np.ma.sum, lambda t: np.ma.add(t, t), lambda t: np.ma.where([True, False], t, t)):
        with pytest.raises(TypeError):
            call(parameter([1.0, 2.0]))


def test_objects_never() -> None:
    w = parameter([1.0, 2.0])
    odd = np.array([1.0, 2.0], object)
    for call in (lambda: w + odd, lambda: odd * w, lambda: np.stack([w, odd]), lambda: np.where([True, False], w, odd)):
        with pytest.raises(TypeError, match="does not hold numbers"):
            call()
    as_objects = np.frompyfunc(lambda a: a * 2, 1, 1)
    with pytest.raises(NotImplementedError, match="has no gradient rule"):
        as_objects(w)


def test_a_function_without_a_rule_is_named_with_its_nearest_neighbour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(PRIMITIVES, np.arctanh)
    with pytest.raises(NotImplementedError, match=r"np\.arctanh has no gradient rule\..*nearest.*np\.arctan\b"):
        np.arctanh(parameter([0.5]))


def test_math_takes_the_value_silently() -> None:
    """Python's math asks for a float as `float(t)` does, so it cannot be told apart: documented, and use np.exp."""
    assert math.exp(parameter(0.0)) == 1.0
    array = np.zeros(2)
    array.fill(parameter(3.0))
    assert array.tolist() == [3, 3]


def test_tracing_lets_nothing_leave() -> None:
    for leave in (
        float, int, bool, lambda t: t.item(), lambda t: t.numpy(), lambda t: t.data, lambda t: t.tolist(),
        lambda t: np.asarray(t), lambda t: f"{t:.2f}", lambda t: t.backward(),
    ):  # fmt: skip
        with pytest.raises(TypeError, match="trac"):
            ag.trace(lambda x, leave=leave: (leave(x.sum()), x)[1], np.ones(2))


# ---- copies ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t)), copy.copy])
def test_leaves_are_copied_with_their_gradients(clone: Callable[[Any], Any]) -> None:
    w = parameter(np.array([1.0, 2.0], np.float32), name="w")
    (w * w).sum().backward()
    v = clone(w)
    assert (v.name, v.requires_grad, v.dtype) == ("w", True, np.float32)
    assert (v.data.tolist(), v.grad.tolist()) == ([1, 2], [2, 4])
    assert not np.shares_memory(v.data, w.data)
    assert not np.shares_memory(v.grad, w.grad)
    view = ag.tensor(np.arange(4.0))[1:3]
    assert clone(view).data.tolist() == [1, 2]


@pytest.mark.parametrize("clone", [copy.deepcopy, pickle.dumps])
def test_a_history_is_not_copied(clone: Callable[[Any], Any]) -> None:
    with pytest.raises(RuntimeError, match=r"history.*x\.detach\(\)"):
        clone(parameter(1.0) * 2)


def test_deepcopy_keeps_one_tensor_one() -> None:
    w = parameter(1.0)
    first, second = copy.deepcopy([w, w])
    assert first is second


# ---- the table ---------------------------------------------------------------------------------------------------

SAMPLE = np.arange(1.0, 5.0).reshape(2, 2)


def test_only_declared_views_share_memory_with_their_input() -> None:
    """A result that shared its input's memory and did not say so would change under a history."""
    undeclared = []
    for function, primitive in PRIMITIVES.items():
        x = ag.tensor(SAMPLE)
        try:
            with np.errstate(all="ignore"):
                result = function(x)
        except Exception:  # functions that want more than one argument have no part in this
            continue
        results = result if isinstance(result, (tuple, list)) else (result,)
        tensors = [each for each in results if isinstance(each, ag.Tensor) and each._view is None]
        undeclared += [primitive.label for each in tensors if np.shares_memory(each._data, x._data)]
    assert not undeclared


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: x * Fraction(1, 2), r"np\.multiply of Fraction Fraction\(1, 2\)"),
        (lambda x: Fraction(1, 2) * x, r"np\.multiply of Fraction"),
        (lambda x: np.where(x > 1.5, x, None), r"np\.where of NoneType None"),
        (lambda x: x + Decimal(1), "Decimal"),
    ],
)
@pytest.mark.parametrize("requires_grad", [True, False])
def test_an_array_of_objects_is_refused(call: Any, message: str, requires_grad: bool) -> None:
    """Its gradient would be lost without a word."""
    x = ag.tensor([1.0, 2.0], requires_grad=requires_grad)
    with pytest.raises(TypeError, match=message):
        call(x)
    with pytest.raises(TypeError, match=message):
        ag.grad(lambda x: np.sum(call(x)) + np.sum(x**2))(np.array([1.0, 2.0]))
