"""Calls in the forms that few people write: what NumPy takes has its result and the right gradient, the rest raises.

Read next: `op_cases.py`, the forms that many people write.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_lite as ag
from autograd_lite.trees import flatten, unflatten
from tests.numerical import check

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 3))
V = RNG.standard_normal(3)
NUMBER = np.array(1.5)
NOTHING = np.zeros((0, 2))
SLANTED = RNG.standard_normal((2, 3, 3)) + np.diag([6.0, 9.0, 15.0])  # not symmetric
DEFINITE = SLANTED @ np.swapaxes(SLANTED, -1, -2)


@pytest.mark.parametrize(
    ("f", "arrays"),
    [
        (lambda x: np.max(x, axis=0, initial=0.5), [NOTHING]),
        (lambda x, start: np.max(x, axis=0, initial=start), [NOTHING, NUMBER]),
        (lambda x: np.min(x, initial=0.5, where=np.zeros((0, 2), bool)), [NOTHING]),
        (lambda x: np.cumprod(x, axis=0), [NUMBER]),
        (lambda x: np.take(x, [0, 0], axis=-1), [NUMBER]),
        (lambda x: np.pad(x, 0), [NUMBER]),
        (lambda x: np.ediff1d(x, to_begin=[1.0, 2.0], to_end=x[0]), [V]),
        (lambda x: np.insert(x, [], 1.5), [V]),
        (lambda x: np.unwrap(x), [NOTHING[:, 0]]),
        (lambda a, b: np.append(a, [b, 2 * b]), [V, NUMBER]),
        (lambda a, b: np.dot(np.stack([a, a]), b), [V, V]),
        (lambda x: np.poly(x), [SLANTED[0]]),
        (lambda x: np.poly(np.stack([x[0] + 1j * x[1], x[0] - 1j * x[1]])), [V[:2]]),
        (lambda x: np.select([x > 0], [x], 1.5), [X]),
        (lambda x: np.linspace(x, 2.0, 1), [V]),
        (lambda x: np.interp(0.3, [0.0, 1.0, 2.0], x), [V]),
        (lambda x: np.linspace(x, 2.0, 3, dtype=complex), [V]),
        (lambda x: np.repeat(x, 3, axis=0), [NUMBER]),
        (lambda x: np.piecewise(x, [True, False, True], [np.exp, np.sin]), [V]),
        (lambda x: x.compress([True, False, True], axis=1), [X]),
        (lambda x: np.array_split(np.moveaxis(x, 0, 1), 2)[1], [X]),
        (lambda x: np.var(x, axis=0, correction=1), [X]),
        (np.linalg.cholesky, [DEFINITE + np.triu(np.ones((3, 3)), 1)]),
        (lambda x: np.linalg.cholesky(x, upper=True), [DEFINITE + np.tril(np.ones((3, 3)), -1)]),
        (np.linalg.cholesky, [DEFINITE + 1j * np.tril(np.ones((3, 3)), -1)]),
        (np.linalg.eigvalsh, [SLANTED]),
        (lambda x: np.linalg.eigvalsh(x, "U"), [SLANTED + 1j * np.triu(SLANTED[::-1], 1)]),
        (lambda x: np.abs(np.linalg.eigh(x, "U")[1]), [SLANTED]),
    ],
)  # fmt: skip
def test_the_result_is_numpys_and_the_gradient_that_of_differences(f: Callable[..., Any], arrays: list[Any]) -> None:
    check(f, arrays, np.random.default_rng(2))


@pytest.mark.parametrize(
    ("f", "wanted"),
    [
        (lambda: np.median(ag.tensor(NOTHING)), np.nan),
        (lambda: np.median(ag.tensor(NOTHING), axis=0), [np.nan, np.nan]),
        (lambda: np.nanmedian(ag.tensor(NOTHING), axis=0), [np.nan, np.nan]),
        (lambda: np.nanmax(ag.tensor([np.nan, np.nan]), initial=0.5), 0.5),
        (lambda: np.nanmin(ag.tensor([[np.nan, 2.0], [1.0, np.nan]]), axis=0, initial=9.0, where=[[True], [False]]),
         [9.0, 2.0]),
        (lambda: np.linalg.norm(ag.tensor(NOTHING[:, 0]), -1), np.inf),
        (lambda: np.linalg.norm(ag.tensor(NOTHING[:, 0]), np.inf), 0.0),  # in NumPy since 2.3
        (lambda: np.linspace(ag.tensor(1.0), 2.0, 1, retstep=True)[1], np.nan),
        (lambda: np.cross(ag.tensor([1.0, 2.0]), [3.0, 5.0]), -1.0),
        (lambda: np.concatenate(arrays=[ag.tensor([1.0]), ag.tensor([2.0])]), [1.0, 2.0]),
        (lambda: np.cross(ag.tensor([1.0, 2.0]), [3.0, 5.0, 7.0]), [14.0, -7.0, -1.0]),
    ],
)  # fmt: skip
def test_values_at_the_border(f: Callable[[], Any], wanted: Any) -> None:
    np.testing.assert_array_equal(np.asarray(getattr(f(), "data", f())), wanted)


@pytest.mark.parametrize(
    ("f", "dtype"),
    [
        (lambda x: np.select([x > 0], [x]), np.float32),
        (lambda x: np.select([x > 0, x < 0], [x, 1.5]), np.float32),
        (lambda x: np.select([x > 0], [x], np.ones(3)), np.float64),
        (np.sort_complex, np.complex128),
        (lambda x: np.ediff1d(x, to_end=np.ones(2)), np.float32),
        (lambda x: np.interp(0.5, [0.0, 1.0, 2.0], x), np.float64),
    ],
)
def test_dtypes_are_numpys(f: Callable[..., Any], dtype: Any) -> None:
    x = V.astype(np.float32)
    assert f(x).dtype == dtype
    assert f(ag.tensor(x, requires_grad=True)).dtype == dtype


def test_the_variance_of_too_few_entries_is_nan_like_its_gradient() -> None:
    for f in (np.var, np.std):
        x = ag.tensor([[1.0], [2.0]], requires_grad=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # NumPy's own, of 0 / 0
            y = f(x, axis=1, ddof=1)
            y.backward(np.ones(2))
        assert np.isnan(y.data).all()
        assert x.grad is not None


def _layouts() -> list[Any]:
    """Arrays that number their entries, in several orders of memory."""
    turned = np.arange(24).reshape(2, 3, 4)
    return [turned, np.asfortranarray(turned), np.transpose(turned, (1, 2, 0)), np.transpose(turned, (0, 2, 1))]


@pytest.mark.parametrize("order", ["C", "F", "A", "K"])
@pytest.mark.parametrize("layout", range(4))
@pytest.mark.parametrize("form", ["reshape", "ravel", "flatten"])
def test_entries_in_the_order_of_memory(form: str, layout: int, order: Any) -> None:
    numbers = _layouts()[layout]
    if form == "reshape" and order == "K":
        with pytest.raises(ValueError, match="order"):
            np.reshape(ag.tensor(numbers), -1, order="K")
        return
    read: Any = {
        "reshape": lambda x: np.reshape(x, -1, order=order),
        "ravel": lambda x: np.ravel(x, order),
        "flatten": lambda x: x.flatten(order),
    }[form]
    x = ag.tensor(numbers * 1.0, requires_grad=True)
    assert x.data.strides == numbers.strides
    y = read(x)
    np.testing.assert_array_equal(y.data, read(numbers))
    weights = np.random.default_rng(0).standard_normal(24)
    y.backward(weights)
    wanted = np.empty(24)
    wanted[read(numbers)] = weights
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad, wanted[numbers])


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.1.0", reason="np.reshape(copy=) is new in NumPy 2.1")
def test_reshape_with_copy_shares_no_memory() -> None:
    x = ag.tensor(X)
    np.reshape(x, 6, copy=True)[0] = 99.0
    assert x.data[0, 0] == X[0, 0]
    np.reshape(x, 6, copy=False)[0] = 99.0
    assert x.data[0, 0] == 99.0
    with pytest.raises(ValueError, match="needs a copy"):
        np.reshape(x.T, 6, copy=False)


@pytest.mark.parametrize("f", [lambda x: np.ravel(x, "K"), lambda x: np.reshape(x, -1, order="A")])
def test_the_order_of_memory_is_no_part_of_a_program(f: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="no part of a program"):
        ag.trace(f, X)


@pytest.mark.parametrize(
    ("error", "f"),
    [
        (np.exceptions.AxisError, lambda: np.sort(ag.tensor(1.0))),
        (np.exceptions.AxisError, lambda: np.median(ag.tensor(1.0), axis=0)),
        (np.exceptions.AxisError, lambda: np.insert(ag.tensor(V), 0, 1.0, axis=1)),
        (np.exceptions.AxisError, lambda: np.delete(ag.tensor(V), 0, axis=1)),
        (np.exceptions.AxisError, lambda: np.linalg.vector_norm(ag.tensor(1.0), axis=0)),
        (IndexError, lambda: np.quantile(ag.tensor(NOTHING), 0.5, axis=0)),
        (ValueError, lambda: np.sort(ag.tensor(V), kind="nonsense")),  # type: ignore[call-overload]  # on purpose
        (ValueError, lambda: np.take(ag.tensor(V), [], mode="nonsense")),  # type: ignore[call-overload]  # on purpose
        (ValueError, lambda: np.var(ag.tensor(V), ddof=1, correction=0)),
        (ValueError, lambda: np.correlate(ag.tensor(V), ag.tensor(1.0))),
        (ValueError, lambda: np.linalg.multi_dot([ag.tensor(X)])),
        (ValueError, lambda: np.polyder(ag.tensor(V), -1)),
        (ValueError, lambda: np.fft.hfft(ag.tensor(V), norm="nonsense")),  # type: ignore[call-overload]  # on purpose
        (ValueError, lambda: np.linalg.cross(ag.tensor(V[:2]), V[:2])),
        (ValueError, lambda: np.reshape(ag.tensor(V), -1, order="nonsense")),  # type: ignore[call-overload]  # likewise
        (ValueError, lambda: np.ravel(ag.tensor(V), "nonsense")),  # type: ignore[call-overload]  # likewise
        (TypeError, lambda: np.linalg.matrix_power(ag.tensor(SLANTED), 1.5)),
        (TypeError, lambda: np.ediff1d(ag.tensor(V), to_end=1j)),
        (TypeError, lambda: np.clip(ag.tensor(V), 0.5)),  # type: ignore[call-overload]  # likewise
        (TypeError, lambda: np.pad(ag.tensor(V), 0.5)),  # type: ignore[call-overload]  # likewise
        (TypeError, lambda: np.block([[ag.tensor(V)], (ag.tensor(V),)])),
        (ValueError, lambda: np.block([[ag.tensor(V)], []])),
        (ValueError, lambda: np.piecewise(ag.tensor(V), [V > 0], [1.0, 2.0, 3.0])),
        (TypeError, lambda: ag.tensor(V).astype("U3")),
        (TypeError, lambda: ag.tensor(V) + [[ag.tensor(1.0)]]),
        (NotImplementedError, lambda: np.exp(ag.tensor(V, requires_grad=True), where=V > 0)),
        (NotImplementedError, lambda: np.pad(ag.tensor(V), 1, lambda *_: None)),
        (ZeroDivisionError, lambda: np.average(ag.tensor(V), weights=np.zeros(3))),
        (TypeError, lambda: np.int64(ag.tensor(V, requires_grad=True))),
    ],
)
def test_what_numpy_refuses_is_refused(error: type[Exception], f: Callable[[], Any]) -> None:
    with pytest.raises(error):
        f()


@pytest.mark.parametrize(
    ("words", "f"),
    [
        (r"np\.concatenate", lambda x: np.r_[x, x]),
        (r"np\.stack", lambda x: np.c_[x, x]),
        (r"astype", lambda x: np.int64(x)),
    ],
)
def test_what_makes_plain_arrays_says_what_to_write(words: str, f: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match=words):
        f(ag.tensor(V, requires_grad=True))


def test_where_everything_is_computed_there_is_nothing_to_leave_out() -> None:
    gradient = ag.grad(lambda x: np.sum(np.exp(x, where=True) * np.sum(x, where=True)))(V)
    np.testing.assert_allclose(gradient, np.exp(V) * V.sum() + np.exp(V).sum(), rtol=1e-14)


@pytest.mark.skipif(not hasattr(np, "unstack"), reason="NOT TESTED: np.unstack is new in NumPy 2.1")
def test_an_array_without_axes_is_not_unstacked() -> None:
    with pytest.raises(ValueError, match="without axes"):
        np.unstack(ag.tensor(2.0))


def test_a_primitive_without_rules_is_what_it_is_made_of() -> None:
    double = ag.primitive(lambda *x: 2.0 * x[0])
    np.testing.assert_array_equal(ag.grad(lambda x: np.sum(double(x) * x))(V), 4 * V)


def test_a_setting_that_the_rules_do_not_know_is_refused() -> None:
    @ag.primitive
    def scaled(x: Any, by: float = 2.0, power: float = 1.0) -> Any:
        return by * x**power

    scaled.def_rule(lambda g, y, x, by=2.0: g * by)
    np.testing.assert_array_equal(ag.grad(lambda x: np.sum(scaled(x, by=3.0)))(V), [3.0] * 3)
    with pytest.raises(NotImplementedError, match=r"power=.*without power= and with by="):
        scaled(ag.tensor(V, requires_grad=True), power=2.0)
    with pytest.raises(TypeError, match="positional arguments"):
        scaled(ag.tensor(V, requires_grad=True), 1.0, 2.0, 3.0)


def test_the_edges_of_an_empty_padding_are_free_and_its_inside_is_not() -> None:
    x = ag.tensor(V, requires_grad=True)
    np.pad(x, 1, "empty")[1:4].backward(np.arange(3.0))
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 1.0, 2.0]


def test_the_path_of_a_contraction_asks_for_shapes_alone() -> None:
    x = ag.tensor(X, requires_grad=True)
    assert np.einsum_path(x, [0, 1], x.T, [1, 2])[0] == np.einsum_path(X, [0, 1], X.T, [1, 2])[0]


def test_trees_take_as_many_leaves_as_they_have_places() -> None:
    structure = flatten((1, [2]))[1]
    for leaves in ([1], [1, 2, 3]):
        with pytest.raises(ValueError, match="leaves than the structure has places"):
            unflatten(structure, leaves)
