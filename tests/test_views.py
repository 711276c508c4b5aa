"""In-place writes and views: what NumPy shows, with the gradients that follow, or an error that names both lines.

The last part runs random programs of views, writes and operations beside a naive engine: NumPy arrays that carry their
tangents along in arrays of the same memory layout, so that NumPy itself decides what is a view of what.
"""

from __future__ import annotations

import gc
import re
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import autograd_lite as ag

HERE = r"test_views\.py:\d+: .*"


def parameter(data: Any, **kwargs: Any) -> ag.Tensor:
    return ag.tensor(data, requires_grad=True, **kwargs)


def gradient(t: ag.Tensor) -> Any:
    assert t.grad is not None
    return t.grad.tolist()


# ---- writes into computed tensors --------------------------------------------------------------------------------


def test_setitem_moves_the_gradient_to_what_was_written() -> None:
    w, v = parameter([1.0, 2.0, 3.0]), parameter([10.0, 20.0])
    y = w * 1
    y[1:] = v * 2
    np.sum(y * [1.0, 2.0, 3.0]).backward()
    assert y.data.tolist() == [1, 20, 40]
    assert gradient(w) == [1, 0, 0]
    assert gradient(v) == [4, 6]


@pytest.mark.parametrize(
    ("index", "shape"),
    [
        (1, ()), ((1, 2), ()), (slice(None), ()), (..., (3,)), ((slice(None), 1), (2,)), ([0, 1], (1, 3)),
        ([[0], [1]], ()),
        ((np.array([0, 1]), np.array([2, 2])), (2,)), (np.array([[True, False, True], [False, False, True]]), (3,)),
        (np.array([True, False]), (3,)), ((None, 0), (1, 3)), ((slice(None, None, -1), slice(0, 2)), (2, 2)),
        ([], (0, 3)),
        ((0, [0, 0, 1]), (3,)), (([0, 0], [1, 1]), (2,)), (0, (1, 1, 3)), (False, (1, 2, 3)),
    ],
    ids=str,
)  # fmt: skip
def test_setitem_at_any_index(index: Any, shape: tuple[int, ...]) -> None:
    """The last write at an entry stands, and gets its gradient: counted by writing numbers."""
    w, v = parameter(np.arange(6.0).reshape(2, 3)), parameter(np.random.default_rng(0).standard_normal(shape))
    y = w * 1
    y[index] = v
    wanted, owner = np.arange(6.0).reshape(2, 3), np.full((2, 3), -1)
    wanted[index] = v.data
    owner[index] = np.arange(v.size).reshape(shape)
    weights = np.arange(1.0, 7.0).reshape(2, 3)
    np.testing.assert_array_equal(y.data, wanted)
    np.sum(y * weights).backward()
    np.testing.assert_array_equal(w.grad, np.where(owner < 0, weights, 0))
    counted = np.bincount(owner[owner >= 0].ravel(), weights[owner >= 0].ravel(), v.size).reshape(shape)
    np.testing.assert_array_equal(v.grad, counted)


def test_setitem_of_a_single_number() -> None:
    w, v = parameter(2.0), parameter(3.0)
    y = w * 1
    y[...] = v * v
    (y * w).backward()
    assert gradient(w) == 9
    assert gradient(v) == 12
    y = w * 1
    y[()] += v
    y.backward()
    assert gradient(w) == 10


@pytest.mark.parametrize(
    ("update", "value", "slope"),
    [
        (lambda y, v: y.__iadd__(v), [6.0, 8.0], ([1, 1], [1, 1])),
        (lambda y, v: y.__isub__(v), [-4.0, -4.0], ([1, 1], [-1, -1])),
        (lambda y, v: y.__imul__(v), [5.0, 12.0], ([5, 6], [1, 2])),
        (lambda y, v: y.__itruediv__(v), [1 / 5, 2 / 6], ([1 / 5, 1 / 6], [-1 / 25, -2 / 36])),
        (lambda y, v: y.__ipow__(v), [1.0, 64.0], ([5, 192], [0, 64 * np.log(2)])),
        (lambda y, v: y.__ifloordiv__(v), [0.0, 0.0], ([0, 0], [0, 0])),
    ],
)  # fmt: skip
def test_updates(update: Callable[..., Any], value: Any, slope: Any) -> None:
    w, v = parameter([1.0, 2.0]), parameter([5.0, 6.0])
    y = w * 1
    alias, view = y, y[:1]
    assert update(y, v) is y
    assert alias.data.tolist() == value
    assert view.data.tolist() == value[:1]
    np.sum(y).backward()
    np.testing.assert_allclose(w.grad, slope[0])
    np.testing.assert_allclose(v.grad, slope[1])


def test_what_was_recorded_before_a_write_stays_true() -> None:
    w = parameter([1.0, 2.0])
    y = w * 1
    squared, view = y * y, y[:1]
    seen = view * 5
    y += 10
    (np.sum(squared) + np.sum(seen) + np.sum(y * y)).backward()
    assert squared.data.tolist() == [1, 4]
    assert gradient(w) == [2 + 5 + 22, 4 + 24]


def test_a_value_that_is_overwritten_before_it_is_used_has_no_gradient() -> None:
    w = parameter([1.0, 2.0])
    y = np.exp(w)
    y[:] = 3.0
    np.sum(y + w).backward()
    assert gradient(w) == [1, 1]


# ---- views -------------------------------------------------------------------------------------------------------

VIEWS: list[Callable[[Any], Any]] = [
    lambda x: x[0], lambda x: x[:, 1], lambda x: x[..., ::-1], lambda x: x.T, lambda x: x.reshape(-1),
    lambda x: np.ravel(x),
    lambda x: np.expand_dims(x, 0), lambda x: x.swapaxes(0, 1), lambda x: np.moveaxis(x, 0, 1), lambda x: x[None][0],
    lambda x: np.squeeze(x[:, :1]), lambda x: x.T[1:].reshape(2, 2), lambda x: np.split(x, 2)[1], lambda x: np.flip(x),
    lambda x: np.atleast_2d(x), lambda x: np.rot90(x), lambda x: np.atleast_3d(x)[0], lambda x: np.hsplit(x, 3)[2],
    lambda x: np.permute_dims(x, (1, 0)), lambda x: x[1:][0][1:], lambda x: x[...], lambda x: np.rollaxis(x, 1),
]  # fmt: skip


@pytest.mark.parametrize("take", VIEWS)
@pytest.mark.parametrize("first", ["constant", "computed"])
def test_a_view_and_its_base_see_each_others_writes_as_in_numpy(take: Callable[[Any], Any], first: str) -> None:
    w = parameter([2.0, 3.0])
    array = np.arange(6.0).reshape(2, 3)
    base = ag.tensor(array) if first == "constant" else parameter(array) * 1
    plain, view, taken = array, take(base), take(array)
    assert np.shares_memory(taken, plain) or taken.base is None
    shared = np.shares_memory(taken, plain)
    for write in (
        lambda b, v, w: b.__setitem__((0, 1), 7.0), lambda b, v, w: v.__setitem__(..., 8.0),
        lambda b, v, w: b.__imul__(w[0]),
        lambda b, v, w: v.__iadd__(w[1]), lambda b, v, w: v.__setitem__(0, 5.0),
        lambda b, v, w: b.__setitem__(1, w[0] * w[1]),
        lambda b, v, w: v.__imul__(v + 0.0),
    ):  # fmt: skip
        write(base, view, w)
        write(plain, taken, w.data)
        np.testing.assert_array_equal(base.data, plain)
        np.testing.assert_array_equal(view.data, taken)
    assert np.array_equal(take(base).data, take(plain))
    np.sum(base * 1.0).backward()
    assert shared or w.grad is not None


def test_scaling_a_row_through_a_view() -> None:
    w, s = parameter(np.arange(1.0, 7.0).reshape(2, 3)), parameter(10.0)
    y = w * w
    row = y[0]
    row *= s
    np.sum(y).backward()
    assert y.data.tolist() == [[10, 40, 90], [16, 25, 36]]
    assert gradient(w) == [[20, 40, 60], [8, 10, 12]]
    assert gradient(s) == 14


def test_a_view_taken_before_a_write_has_the_new_gradient() -> None:
    w, v = parameter([1.0, 2.0]), parameter(5.0)
    y = w * 3
    view = y[1:]
    y[1] = v * v
    assert view.data.tolist() == [25]
    np.sum(view * 2).backward()
    assert gradient(v) == 20
    assert w.grad is None or gradient(w) == [0, 0]


def test_the_layout_of_what_is_written_stays_and_with_it_what_is_a_view() -> None:
    w, plain = parameter(7.0), np.asfortranarray(np.arange(6.0).reshape(2, 3))
    base = ag.tensor(plain)
    before, taken_before = base.T.reshape(-1), plain.T.reshape(-1)
    base[0, 1] = w
    base.T[0] *= w
    plain[0, 1] = 7.0
    plain.T[0] *= 7.0
    after, taken_after = base.T.reshape(-1), plain.T.reshape(-1)
    for view, taken in ((before, taken_before), (after, taken_after)):
        view[3] = 50.0
        taken[3] = 50.0
        view[0] += 1.0
        taken[0] += 1.0
        np.testing.assert_array_equal(base.data, plain)
        np.testing.assert_array_equal(after.data, taken_after)


def test_the_layout_stays_where_a_product_would_change_it() -> None:
    plain = np.asfortranarray(np.arange(4.0).reshape(2, 2))
    base = ag.tensor(plain)
    base @= parameter(np.eye(2))
    view, taken = base.T.reshape(-1), plain.T.reshape(-1)
    view[1] = 9.0
    taken[1] = 9.0
    np.testing.assert_array_equal(base.data, plain)


def test_an_update_of_an_item_is_recorded_once() -> None:
    y = parameter([1.0, 2.0]) * 1
    y[:1] += 5.0
    assert "np.where" in repr(y)
    assert y.data.tolist() == [6, 2]


def test_iteration_gives_views() -> None:
    w = parameter([[1.0, 2.0], [3.0, 4.0]])
    y = w * 1
    for row in y:
        row *= 2
    np.sum(y).backward()
    assert gradient(w) == [[2, 2], [2, 2]]


def test_a_view_that_cannot_be_written_says_so() -> None:
    y = parameter([1.0, 2.0]) * 1
    for view in (np.broadcast_to(y, (3, 2)), np.diagonal(np.broadcast_to(y, (2, 2)))):
        with pytest.raises(ValueError, match="read-only"):
            view[0] = 1.0
        with pytest.raises(ValueError, match="read-only"):
            view += 1.0
    view = np.broadcast_to(ag.tensor([1.0, 2.0]), (3, 2))
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 1.0
    y[0] = 9.0
    assert np.broadcast_to(y, (3, 2)).data.tolist() == [[9, 2]] * 3


def test_shapes_and_dtypes_that_do_not_fit_raise() -> None:
    y = parameter([1.0, 2.0]) * 1
    with pytest.raises(ValueError, match=r"\(2, 2\) does not fit into \(2,\)"):
        y += np.ones((2, 2))
    with pytest.raises(ValueError, match=r"broadcast"):
        y[:] = np.ones(3)
    with pytest.raises(IndexError):
        y[5] = 1.0
    whole = ag.tensor([1, 2])
    with pytest.raises(TypeError, match=r"float64.*int64"):
        whole += parameter(1.0)
    with pytest.raises(TypeError, match="Cannot cast|float64"):
        whole += 1.5
    single = parameter(np.ones(2, np.float32)) * 1
    single += np.ones(2)
    assert single.dtype == np.float32
    with pytest.raises(TypeError, match="complex"):
        y += 1j


def test_writing_lists_masked_arrays_and_tensors() -> None:
    x = ag.tensor([1.0, 2.0, 3.0])
    x[:2] = [5, 6]
    x += [1, 1, 1]
    assert x.data.tolist() == [6, 7, 4]
    masked = np.ma.array([1.0, 2.0, 3.0], mask=[0, 1, 0])
    for write in (lambda: x.__setitem__(..., masked), lambda: x.__iadd__(masked)):
        with pytest.raises(TypeError, match="masked|Masked"):
            write()
    with pytest.raises(TypeError, match=r"np\.stack"):
        x[:2] = [parameter(1.0), parameter(2.0)]
    assert x.data.tolist() == [6, 7, 4]
    mask = ag.tensor([True, False, True])
    x[mask] = 0.0
    assert x.data.tolist() == [0, 7, 0]
    x[x > 5] = -1.0
    assert x.data.tolist() == [0, -1, 0]


def test_a_mask_that_was_computed_from_what_is_written() -> None:
    w = parameter([-1.0, 2.0, -3.0])
    y = w * 2
    y[y < 0] = 0.0
    y[y > 0] *= 5
    np.sum(y).backward()
    assert y.data.tolist() == [0, 20, 0]
    assert gradient(w) == [0, 10, 0]


def test_updates_at_repeated_indices_are_numpys() -> None:
    w, array = parameter([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0])
    y = w * 1
    y[[0, 0, 1]] += 10.0
    array[[0, 0, 1]] += 10.0
    assert y.data.tolist() == array.tolist() == [11, 12, 3]
    np.sum(y).backward()
    assert gradient(w) == [1, 1, 1]


def test_writing_a_view_of_itself() -> None:
    w = parameter([1.0, 2.0, 3.0])
    y = w * 1
    y[1:] = y[:-1]
    y[0] += y[2]
    assert y.data.tolist() == [3, 1, 2]
    np.sum(y * [1.0, 10.0, 100.0]).backward()
    assert gradient(w) == [11, 101, 0]
    x = ag.tensor([1.0, 2.0, 3.0])
    x[1:] = x[:-1]
    assert x.data.tolist() == [1, 1, 2]


def test_a_written_tensor_is_what_a_nested_derivative_sees() -> None:
    def f(x: Any) -> Any:
        y = x * 1
        y[0] = x[1] ** 3
        y[1:] *= x[0]
        return np.sum(y * y)

    x = np.array([2.0, 3.0, 5.0])
    # f = b^6 + a^2 b^2 + a^2 c^2
    a, b, c = x
    np.testing.assert_allclose(ag.grad(f)(x), [2 * a * (b * b + c * c), 6 * b**5 + 2 * a * a * b, 2 * a * a * c])
    np.testing.assert_allclose(
        ag.hessian(f)(x),
        [[2 * (b * b + c * c), 4 * a * b, 4 * a * c], [4 * a * b, 30 * b**4 + 2 * a * a, 0], [4 * a * c, 0, 2 * a * a]],
    )


# ---- leaves ------------------------------------------------------------------------------------------------------

WRITES: list[Callable[[Any], Any]] = [
    lambda x: x.__setitem__(0, 5.0), lambda x: x.__iadd__(1.0), lambda x: x.__imul__(ag.tensor(2.0)),
    lambda x: x[:1].__iadd__(1.0),
    lambda x: x[:1].__setitem__(0, 5.0), lambda x: x.reshape(-1, 1).__imul__(3.0), lambda x: x.fill(4.0),
]  # fmt: skip


@pytest.mark.parametrize("write", WRITES)
def test_a_leaf_that_requires_gradients_is_written_inside_no_grad_alone(write: Callable[[Any], Any]) -> None:
    w = parameter([1.0, 2.0], name="w")
    with pytest.raises(RuntimeError, match=r"the leaf 'w', which requires gradients.*ag\.no_grad"):
        write(w)
    assert w.data.tolist() == [1, 2]
    memory, plain = w.data, np.array([1.0, 2.0])
    with ag.no_grad():
        write(w)
    if write is WRITES[-1]:
        plain.fill(4.0)
    elif write is WRITES[2]:
        plain *= 2.0
    else:
        write(plain)
    assert w.data is memory
    assert w.is_leaf
    assert w.requires_grad
    assert memory.tolist() == plain.tolist()


@pytest.mark.parametrize(
    "write", [*WRITES, lambda x: setattr(x, "data", np.zeros(2)), lambda x: x.detach().__iadd__(1.0)]
)
@pytest.mark.parametrize(
    "reads",
    [
        lambda w: w * w, lambda w: w[:1] * w[:1], lambda w: w.reshape(2, 1) ** 2, lambda w: np.sin(w.T),
        lambda w: w.detach() * w, lambda w: w.var(), lambda w: w.T @ w, lambda w: np.stack([w, w]) * w,
    ],
)  # fmt: skip
def test_a_write_between_forward_and_backward_raises_and_names_both_lines(write: Any, reads: Any) -> None:
    w = parameter([1.0, 2.0], name="w")
    y = np.sum(reads(w))
    with ag.no_grad():
        write(w)
    with pytest.raises(RuntimeError, match=rf"'w' was written to after .* recorded it \({HERE}\) by {HERE}"):
        y.backward()


def test_a_write_that_spoils_nothing_raises_nothing() -> None:
    w, v = parameter([1.0, 2.0]), parameter([3.0, 4.0])
    y = np.sum(w * 3 + v)
    z = np.sum(w * ag.tensor([5.0, 6.0]))
    with ag.no_grad():
        w += 100.0
        v[0] = 7.0
    (y + z).backward()
    assert gradient(w) == [8, 9]
    assert gradient(v) == [1, 1]


@pytest.mark.parametrize(
    ("make", "write"),
    [
        (lambda c: c * 1.0, lambda c, v: None),
        (lambda c: c, lambda c, v: c.__setitem__(0, 9.0)), (lambda c: c, lambda c, v: v.__setitem__(0, 9.0)),
        (lambda c: c[:2], lambda c, v: c.__setitem__(0, 9.0)), (lambda c: c[:2], lambda c, v: v.__imul__(2.0)),
        (lambda c: c.reshape(-1)[::-1], lambda c, v: v.__imul__(2.0)),
        (lambda c: c.detach(), lambda c, v: v.__imul__(2.0)),
        (lambda c: c, lambda c, v: c.detach()[1:].__setitem__(0, 1.5)),
        (lambda c: c.detach()[1:], lambda c, v: c.__imul__(2.0)),
    ],
)  # fmt: skip
def test_constants_too_and_through_any_name(make: Any, write: Any) -> None:
    c = ag.tensor([1.0, 2.0, 3.0])
    view, read = c[:2], make(c)
    w = parameter(np.ones(read.shape))
    y = np.sum(read * w)
    wanted = read.data.copy()
    write(c, view)
    if np.array_equal(read.data, wanted):
        y.backward()
        assert gradient(w) == wanted.tolist()
    else:
        with pytest.raises(RuntimeError, match=rf"written to after np\.multiply recorded it \({HERE}\) by {HERE}"):
            y.backward()


def test_a_constant_that_receives_a_history_has_one() -> None:
    w, c = parameter(3.0), ag.tensor([1.0, 2.0])
    view = c[1:]
    before = np.sum(c * w)
    c[0] = w * w
    assert c.requires_grad
    assert view.data.tolist() == [2]
    c[1] = w
    assert view.requires_grad
    (before + np.sum(c) + np.sum(view)).backward()
    assert gradient(w) == 3 + 6 + 1 + 1


def test_in_place_on_a_history_inside_no_grad_raises() -> None:
    y = parameter([1.0, 2.0]) * 2
    with ag.no_grad(), pytest.raises(RuntimeError, match=r"would cut that history.*x = x \+"):
        y += 1.0
    with ag.no_grad():
        y = y + 1.0
        y += 1.0
    assert y.data.tolist() == [4, 6]


# ---- detached names ----------------------------------------------------------------------------------------------


def test_a_detached_leaf_is_the_same_array_without_gradient() -> None:
    w = parameter([1.0, 2.0])
    d = w.detach()
    assert d.data is w.data
    assert not d.requires_grad
    d[0] = 5.0
    assert w.data.tolist() == [5, 2]
    with ag.no_grad():
        w[1] = 6.0
    assert d.data.tolist() == [5, 6]
    y = np.sum(d * w)
    y.backward()
    assert gradient(w) == [5, 6]


def test_a_detached_result_follows_and_cannot_be_written() -> None:
    w = parameter([1.0, 2.0])
    y = w * 2
    d, part = y.detach(), y[1:].detach()
    y += 1.0
    assert d.data.tolist() == [3, 5]
    assert part.data.tolist() == [5]
    for each in (d, part, d[:1], part.reshape(1, 1)):
        with pytest.raises(RuntimeError, match=r"x\.detach\(\)\.copy\(\)"):
            each += 1.0
        with pytest.raises(RuntimeError, match=r"x\.detach\(\)\.copy\(\)"):
            each[0] = 1.0
    free = d.copy()
    free += 1.0
    assert free.data.tolist() == [4, 6]
    assert y.data.tolist() == [3, 5]


def test_a_detached_name_that_cannot_follow_raises() -> None:
    w, c = parameter([1.0, 2.0]), ag.tensor([3.0, 4.0])
    for each in (c.detach(), w.detach(), c.detach()[:1], c[:1].detach()):
        with pytest.raises(RuntimeError, match="could not follow"):
            each += w[0]
    assert c.data.tolist() == [3, 4]


def test_a_detached_name_follows_a_constant_that_receives_a_history() -> None:
    w, c = parameter(3.0), ag.tensor([1.0, 2.0])
    d, part = c.detach(), c[:1].detach()
    c[0] = w
    assert d.data.tolist() == [3, 2]
    assert part.data.tolist() == [3]
    assert not d.requires_grad
    assert not part.requires_grad


def test_a_detached_tensor_that_is_made_to_require_gradients_owns_its_array() -> None:
    w = parameter([1.0, 2.0])
    for d in (w.detach(), (w * 2).detach(), ag.tensor([1.0, 2.0])[:1]):
        d.requires_grad = True
        assert not np.shares_memory(d.data, w.data)
        np.sum(d * d).backward()
        assert gradient(d) == (2 * d.data).tolist()
        with ag.no_grad():
            d -= 1.0
    assert w.data.tolist() == [1, 2]
    assert w.grad is None


def test_a_detached_number_keeps_no_history_alive() -> None:
    w = parameter(np.ones(3))
    y = np.exp(w)
    losses = [np.sum(y).detach(), y[:1].detach(), y.reshape(3, 1)[1:].detach()]
    node = weakref.ref(y._node)
    del y
    gc.disable()
    try:
        assert node() is None
    finally:
        gc.enable()
    assert losses[1].data.tolist() == [np.e]


def test_setting_data_through_a_view_of_a_leaf() -> None:
    c = ag.tensor([1.0, 2.0, 3.0])
    view = c[1:]
    view.data = [8.0, 9.0]
    assert c.data.tolist() == [1, 8, 9]
    w = parameter([1.0, 1.0])
    c[0] = w[0]
    with pytest.raises(RuntimeError, match=r"ag\.tensor\(value\)"):
        view.data = [0.0, 0.0]


# ---- random programs beside a naive engine -----------------------------------------------------------------------

SIZES = (6, 3)  # entries of the two parameters
DIRECTIONS = sum(SIZES)


class Naive:
    """Values, and their derivatives along every entry of the parameters, in arrays that NumPy treats alike."""

    def __init__(self, value: Any, tangent: Any, since: int) -> None:
        self.value = np.asarray(value)
        # an entry taken as a number is a copy, and so must its tangent be
        self.tangent = np.array(tangent) if isinstance(value, np.generic) else tangent
        self.since = since  # the number of writes into leaves before the oldest operation behind it

    def map(self, f: Callable[[Any], Any], f_tangent: Callable[[Any], Any] | None = None) -> Naive:
        return Naive(f(self.value), (f_tangent or f)(self.tangent), self.since)


def dual(a: Naive, b: Any) -> Naive:
    return b if isinstance(b, Naive) else Naive(np.float64(b), np.zeros(DIRECTIONS), a.since)


def added(a: Naive, b: Naive) -> tuple[Any, Any]:
    value = a.value + b.value
    return value, np.broadcast_to(a.tangent, (*value.shape, DIRECTIONS)) + b.tangent


def multiplied(a: Naive, b: Naive) -> tuple[Any, Any]:
    return a.value * b.value, a.tangent * b.value[..., None] + a.value[..., None] * b.tangent


def sine(a: Naive) -> tuple[Any, Any]:
    return np.sin(a.value), np.cos(a.value)[..., None] * a.tangent


INDICES: dict[int, list[Any]] = {
    0: [..., (), None],
    1: [0, -1, slice(1, None), slice(None, None, -1), [0, 0], ..., None, slice(0, 0)],
    2: [
        0, (slice(None), -1), (slice(None), slice(1, None)), (slice(None, None, -1), 0), [0, 0], (..., 0), (0, None),
        (0, 0),
    ],
    3: [0, (..., -1), (slice(None), 0), (0, 0, 0), slice(None, None, -1)],
}  # fmt: skip


def tangent_index(index: Any) -> Any:
    """The same index for an array with one more axis at the end."""
    parts = index if isinstance(index, tuple) else (index,)
    return (*parts, slice(None)) if any(each is Ellipsis for each in parts) else parts


KINDS = ("index", "transpose", "reshape", "ravel", "flip", "expand", "diagonal", "broadcast")
WRITING = ("set", "add", "multiply", "set number", "add number", "add at")


class Programs(RuleBasedStateMachine):
    """Views, writes and operations at random: every value at every step, and gradients on request."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.pool: list[tuple[ag.Tensor, Naive]] = []

    def leaf(self, array: Any, offset: int | None) -> None:
        tangent = np.zeros((*array.shape, DIRECTIONS))
        if offset is not None:
            tangent.reshape(-1, DIRECTIONS)[:, offset : offset + array.size] = np.eye(array.size)
        t = ag.tensor(array, requires_grad=offset is not None, name=None if offset is None else f"p{offset}")
        self.pool.append((t, Naive(array, tangent, self.writes)))

    @initialize(seed=st.integers(0, 1000))
    def start(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.leaf(rng.uniform(-1, 1, (2, 3)), 0)
        self.leaf(rng.uniform(-1, 1, 3), 6)
        self.parameters = [t for t, _ in self.pool]
        self.leaf(rng.uniform(-1, 1, (2, 3)), None)
        for t, naive in self.pool[:2]:
            self.keep(t * 1.0, Naive(naive.value * 1, naive.tangent * 1, 0))

    def keep(self, t: Any, naive: Naive) -> None:
        assert isinstance(t, ag.Tensor)
        assert t.shape == naive.value.shape
        if np.max(np.abs(naive.value), initial=0) < 1e6 and np.max(np.abs(naive.tangent), initial=0) < 1e6:
            self.pool.append((t, naive))

    def refused(self, error: Exception, *words: str) -> None:
        assert any(re.search(each, str(error)) for each in words), error

    def some(self, data: Any) -> tuple[ag.Tensor, Naive]:
        position: int = data.draw(st.integers(0, len(self.pool) - 1), label="position")
        return self.pool[position]

    @rule(data=st.data())
    def constant(self, data: Any) -> None:
        shape = data.draw(st.sampled_from([(), (3,), (2, 1), (2, 3)]))
        self.leaf(np.asarray(np.random.default_rng(len(self.pool)).uniform(-1, 1, shape)), None)

    @rule(data=st.data())
    def take_view(self, data: Any) -> None:
        t, naive = self.some(data)
        kind = data.draw(st.sampled_from(KINDS))
        ndim, since = naive.value.ndim, naive.since
        value, tangent = naive.value, naive.tangent
        if kind == "index" and 0 not in value.shape:
            index = data.draw(st.sampled_from(INDICES[min(ndim, 3)]) if ndim < 4 else st.just(...))
            self.keep(t[index], Naive(value[index], tangent[tangent_index(index)], since))
        elif kind == "transpose":
            self.keep(t.T, naive.map(np.transpose, lambda d: np.transpose(d, (*range(ndim)[::-1], ndim))))
        elif kind == "reshape":
            shape = data.draw(st.sampled_from([value.shape[::-1], (value.size, 1), (1, value.size)]))
            along = tangent.reshape((*shape, DIRECTIONS))
            self.keep(t.reshape(shape), Naive(value.reshape(shape), along, since))
        elif kind == "ravel":
            flat = np.ravel(value)  # a copy of what is not contiguous
            along = tangent.reshape(-1, DIRECTIONS)
            self.keep(np.ravel(t), Naive(flat, along if np.shares_memory(flat, value) else along.copy(), since))
        elif kind == "flip" and ndim:
            self.keep(np.flip(t, 0), naive.map(lambda d: d[::-1]))
        elif kind == "expand" and ndim < 3:
            self.keep(np.expand_dims(t, 0), naive.map(lambda d: d[None]))
        elif kind == "diagonal" and ndim == 2:
            self.keep(np.diagonal(t), Naive(np.diagonal(value), np.moveaxis(np.diagonal(tangent), -1, 0), since))
        elif kind == "broadcast" and ndim < 3:
            shape = (2, *value.shape)
            along = np.broadcast_to(tangent, (*shape, DIRECTIONS))
            self.keep(np.broadcast_to(t, shape), Naive(np.broadcast_to(value, shape), along, since))

    @rule(data=st.data())
    def detach(self, data: Any) -> None:
        t, naive = self.some(data)
        tangent = np.zeros(naive.tangent.shape)
        tangent.flags.writeable = False
        self.keep(t.detach(), Naive(naive.value, tangent, naive.since))

    @rule(data=st.data(), kind=st.sampled_from(["add", "multiply", "sine", "sum", "where"]))
    def operate(self, data: Any, kind: str) -> None:
        (t, a), (u, b) = self.some(data), self.some(data)
        since = min(a.since, b.since)
        if kind == "sine":
            self.keep(np.sin(t), Naive(*sine(a), a.since))
        elif kind == "sum":
            self.keep(np.sum(t), Naive(np.sum(a.value), a.tangent.reshape(-1, DIRECTIONS).sum(0), a.since))
        else:
            try:
                shape = np.broadcast_shapes(a.value.shape, b.value.shape)
            except ValueError:
                return
            if len(shape) > 3:
                return
            if kind == "add":
                self.keep(t + u, Naive(*added(a, b), since))
            elif kind == "multiply":
                self.keep(t * u, Naive(*multiplied(a, b), since))
            else:
                chosen = np.where(b.value[..., None] > 0, np.broadcast_to(a.tangent, (*shape, DIRECTIONS)), b.tangent)
                self.keep(np.where(u > 0, t, u), Naive(np.where(b.value > 0, a.value, b.value), chosen, since))

    @rule(data=st.data(), kind=st.sampled_from(WRITING), quiet=st.booleans())
    def write(self, data: Any, kind: str, quiet: bool) -> None:
        """One write; what the engine refuses must be one of the refusals it documents, and then nothing has changed."""
        (t, a), (u, b) = self.some(data), self.some(data)
        index = data.draw(st.sampled_from(INDICES[a.value.ndim]), label="index") if a.value.ndim < 4 else ...
        if 0 in a.value.shape:
            index = ...
        number = kind.endswith("number")
        if number or kind == "add at":
            b = dual(a, 0.5)
            u = 0.5  # type: ignore[assignment]  # a number will do
        whole = kind in ("add", "multiply", "add number")
        target = a.value.shape if whole else a.value[index].shape
        try:
            if np.broadcast_shapes(target, b.value.shape) != target:
                return
        except ValueError:
            return
        quiet = quiet and any(t is each for each in self.parameters)  # parameters are written inside no_grad alone
        was_leaf = t.is_leaf or quiet
        old = (a.value.copy(), np.array(b.value), np.array(a.tangent), np.array(b.tangent))
        try:
            with ag.no_grad() if quiet else ag.enable_grad():
                if kind == "add" or kind == "add number":
                    t += u
                elif kind == "multiply":
                    t *= u
                elif kind == "add at":
                    t[index] += u
                else:
                    t[index] = u
        except (RuntimeError, ValueError) as error:
            self.refused(error, "which requires gradients", "could not follow", "detached tensor", "read-only")
            return
        live = not quiet
        place, places = (..., ...) if whole else (index, tangent_index(index))
        new_value = old[1]
        new_tangent = old[3]
        if kind in ("add", "add number", "add at"):
            first = Naive(old[0][place], old[2][places], 0)
            new_value, new_tangent = added(first, Naive(old[1], old[3], 0))
        elif kind == "multiply":
            new_value, new_tangent = multiplied(Naive(old[0], old[2], 0), Naive(old[1], old[3], 0))
        a.value[place] = new_value
        if live and a.tangent.flags.writeable:
            a.tangent[places] = new_tangent
        self.writes += 1
        if not was_leaf or (isinstance(u, ag.Tensor) and u.requires_grad):
            a.since = min(a.since, b.since)

    @rule(data=st.data())
    def differentiate(self, data: Any) -> None:
        t, naive = self.some(data)
        weights = np.random.default_rng(len(self.pool)).uniform(-1, 1, naive.value.shape)
        if not t.requires_grad:
            assert not naive.tangent.any()
            return
        for each in self.parameters:
            each.grad = None
        try:
            np.sum(t * weights).backward(retain_graph=True)
        except RuntimeError as error:
            self.refused(error, rf"was written to after .* recorded it \({HERE}\) by {HERE}")
            assert self.writes > naive.since, "nothing was written since"
            return
        wanted = np.tensordot(weights, naive.tangent, weights.ndim)
        for each, part in zip(self.parameters, np.split(wanted, [SIZES[0]]), strict=True):
            got = np.zeros(each.shape) if each.grad is None else each.grad
            np.testing.assert_allclose(got.ravel(), part, rtol=1e-9, atol=1e-9)

    @invariant()
    def values_are_numpys(self) -> None:
        for t, naive in self.pool:
            np.testing.assert_allclose(t._array(), naive.value, rtol=1e-12, atol=1e-12)


Programs.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestPrograms = Programs.TestCase
