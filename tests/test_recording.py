"""What is recorded, when, by which thread, with which line; and what is remembered of a user's own arrays."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_lite as ag
from autograd_lite.recording import SMALL, Node, fingerprint, history, thread


def parameter(data: Any, **kwargs: Any) -> ag.Tensor:
    return ag.tensor(data, requires_grad=True, **kwargs)


# ---- modes -------------------------------------------------------------------------------------------------------


def test_no_grad_and_enable_grad_nest_and_end_with_an_error() -> None:
    w = parameter(1.0)
    with ag.no_grad():
        assert not ag.is_grad_enabled()
        assert (w * 2).is_leaf
        with ag.enable_grad():
            assert (w * 2).requires_grad
        assert not (w * 2).requires_grad
        assert np.exp(w).is_leaf
        assert np.sum(w, axis=None).is_leaf
    with pytest.raises(KeyError), ag.no_grad():
        raise KeyError
    assert ag.is_grad_enabled()


@pytest.mark.parametrize("kind", [ag.no_grad, ag.enable_grad])
def test_one_object_can_be_entered_inside_itself(kind: type[ag.no_grad]) -> None:
    mode = kind()
    with mode:
        with mode:
            pass
        assert ag.is_grad_enabled() is kind.enabled
    assert ag.is_grad_enabled()


def test_as_a_decorator() -> None:
    @ag.no_grad()
    def down(n: int) -> bool:
        return ag.is_grad_enabled() or (n > 0 and down(n - 1))

    assert down(3) is False
    assert ag.is_grad_enabled()


def test_modes_belong_to_one_thread() -> None:
    inside, leave = threading.Event(), threading.Event()
    seen: list[bool] = []

    def other() -> None:
        with ag.no_grad():
            inside.set()
            leave.wait(5)
            seen.append(ag.is_grad_enabled())

    worker = threading.Thread(target=other)
    worker.start()
    inside.wait(5)
    assert ag.is_grad_enabled()
    assert (parameter(1.0) * 2).requires_grad
    leave.set()
    worker.join()
    assert seen == [False]


def test_a_new_thread_records_though_it_was_started_inside_no_grad() -> None:
    seen: list[bool] = []
    with ag.no_grad():
        worker = threading.Thread(target=lambda: seen.append(ag.is_grad_enabled()))
        worker.start()
        worker.join()
    assert seen == [True]


def test_scopes_nest_and_are_noted_in_a_trace() -> None:
    def f(x: Any) -> Any:
        with ag.scope("outer"):
            y = np.exp(x)
            with ag.scope("inner"):
                y = y * 2
        return np.sin(y)

    assert [each.scope for each in ag.trace(f, np.ones(2)).operations] == [("outer",), ("outer", "inner"), ()]
    assert thread.mode.scope == ()


# ---- the order of a history --------------------------------------------------------------------------------------


def test_a_result_is_younger_than_what_it_was_computed_from() -> None:
    w = parameter([1.0, 2.0])
    y = np.sum(np.exp(w) * w + np.sin(w)) / 3
    nodes = history(y._node)
    assert nodes[-1] is y._node
    assert len(nodes) == len(set(nodes)) == 7
    for node in nodes:
        for parent in node.parents:
            assert parent is None or parent.when < node.when


def test_nothing_is_recorded_without_something_that_requires_gradients() -> None:
    y = np.exp(ag.tensor([1.0])) * 2
    assert y.is_leaf
    assert not y.requires_grad


def test_masks_and_indices_are_recorded_without_gradient() -> None:
    w = parameter([1.0, -2.0])
    for each in (w > 0, np.argmax(w), np.isnan(w), np.sign(w) == 1):
        assert not each.requires_grad
        assert not each.is_leaf


# ---- lines -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.exp(x), lambda x: x * 2, lambda x: x.sum(), lambda x: np.sum(x, axis=0), lambda x: x[0],
        lambda x: x.reshape(2, 1), lambda x: np.var(x), lambda x: x @ x, lambda x: np.linalg.norm(x), lambda x: -x,
        lambda x: np.stack([x, x]), lambda x: 2 ** x, lambda x: np.einsum("i,i", x, x),
    ],
)  # fmt: skip
def test_a_trace_names_the_users_line(f: Callable[[Any], Any]) -> None:
    for operation in ag.trace(f, np.array([1.0, 2.0])).operations:
        assert operation.line.startswith("test_recording.py:"), operation.line
        assert "lambda x:" in operation.line


def test_the_line_of_an_eager_operation_is_noted_where_a_write_could_spoil_it() -> None:
    w = parameter([1.0, 2.0])
    y = np.exp(w) * w
    assert y._node.primitive is not None
    assert y._node.line.endswith("y = np.exp(w) * w")


# ---- what is remembered of a user's array ------------------------------------------------------------------------

READS_ITS_ARRAY: list[Callable[[Any, Any], Any]] = [
    lambda w, a: w * a, lambda w, a: a * w, lambda w, a: np.where(a > 1, w, 0) * a, lambda w, a: np.maximum(w, a),
    lambda w, a: np.stack([w * a, w]), lambda w, a: np.sum(w * a, axis=0), lambda w, a: w / a, lambda w, a: a**w,
    lambda w, a: np.average(w, weights=a), lambda w, a: np.convolve(w, a, "same"),
    lambda w, a: np.linalg.norm(w) * np.inner(a, w), lambda w, a: np.interp(a, np.arange(len(a)) * 1.0, w),
]  # fmt: skip


def gradient(f: Callable[[Any, Any], Any], array: Any, change: Callable[[Any], None]) -> Any:
    w = parameter(np.linspace(0.5, 1.5, len(array)))
    y = np.sum(f(w, array))
    change(array)
    y.backward()
    return w.grad


@pytest.mark.parametrize("f", READS_ITS_ARRAY)
def test_a_small_array_is_copied_so_a_later_write_does_not_matter(f: Callable[[Any, Any], Any]) -> None:
    array = np.linspace(1.0, 2.0, 5)
    wanted = gradient(f, array.copy(), lambda a: None)
    np.testing.assert_array_equal(gradient(f, array, lambda a: a.fill(9)), wanted)
    np.testing.assert_array_equal(gradient(f, np.linspace(1.0, 2.0, 10)[::2], lambda a: a.fill(9)).shape, wanted.shape)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.fill(9), lambda a: a.__setitem__(700, 0.0), lambda a: a.sort(), lambda a: np.negative(a, out=a),
        lambda a: a.__setitem__(slice(None), a[::-1].copy()), lambda a: a.__setitem__([3, 4], a[[4, 3]]),
        lambda a: a.__setitem__(-1, np.nextafter(a[-1], 9)), lambda a: a.__setitem__([3, 4], -a[[3, 4]]),
    ],
)  # fmt: skip
def test_a_write_into_a_large_array_is_noticed(change: Callable[[Any], None]) -> None:
    array = np.random.default_rng(0).standard_normal(SMALL)
    assert array.nbytes > SMALL
    with pytest.raises(RuntimeError, match=r"written to after np\.multiply recorded it \(test_recording\.py:\d+: "):
        gradient(lambda w, a: w * a, array, change)


def test_a_large_array_that_stays_is_used_as_it_is() -> None:
    array = np.random.default_rng(0).standard_normal(SMALL)
    np.testing.assert_array_equal(gradient(lambda w, a: w * a, array, lambda a: None), array)
    strided = np.random.default_rng(0).standard_normal((SMALL, 2))[:, 1]
    np.testing.assert_array_equal(gradient(lambda w, a: w * a, strided, lambda a: None), strided)


def test_an_array_whose_values_no_rule_reads_may_change() -> None:
    array = np.ones(SMALL)
    w = parameter(np.ones(SMALL))
    y = np.sum(w + array)
    array[:] = 5
    y.backward()
    assert w.grad is not None
    assert w.grad.tolist() == [1] * SMALL


def test_indices_and_masks_are_remembered() -> None:
    for index in (np.array([0, 1, 1]), np.array([True, False, True])):
        w = parameter([1.0, 2.0, 3.0])
        y = np.sum(w[index])
        wanted = np.bincount(np.arange(3)[index], minlength=3)
        index[:] = 0
        y.backward()
        np.testing.assert_array_equal(w.grad, wanted)


def test_settings_that_are_arrays_are_remembered() -> None:
    repeats, w = np.array([1, 2, 3]), parameter([1.0, 2.0, 3.0])
    y = np.sum(np.repeat(w, repeats))
    repeats[:] = [3, 2, 1]
    y.backward()
    np.testing.assert_array_equal(w.grad, [1, 2, 3])
    axes, w = [1, 0], parameter(np.arange(6.0).reshape(2, 3))
    y = np.sum(np.transpose(w, axes) * np.arange(6.0).reshape(3, 2))
    axes.reverse()
    y.backward()
    np.testing.assert_array_equal(w.grad, np.arange(6.0).reshape(3, 2).T)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.complex128, np.int8, np.bool_])
def test_fingerprints_see_every_change_of_one_entry_and_of_order(dtype: Any) -> None:
    rng = np.random.default_rng(1)
    array = (rng.standard_normal(101) * 3).astype(dtype)
    before = fingerprint(array)
    assert fingerprint(array.copy()) == before
    assert fingerprint(np.asfortranarray(array)) == before
    for i in range(len(array)):
        changed = array.copy()
        changed[i] = not changed[i] if dtype == np.bool_ else changed[i] + 1
        assert fingerprint(changed) != before
    for _ in range(50):
        shuffled = rng.permutation(array)
        assert fingerprint(shuffled) != before or np.array_equal(shuffled, array)


def test_fingerprints_of_nothing_and_of_zeros() -> None:
    assert fingerprint(np.empty(0)) == fingerprint(np.empty((0, 3)))
    assert fingerprint(np.zeros(3)) != fingerprint(-np.zeros(3))  # a sign that 1 / x would show


# ---- what a node keeps -------------------------------------------------------------------------------------------


def kept(y: ag.Tensor) -> list[str]:
    """Which values a node keeps: its inputs by number, and its result."""
    node = y._node
    assert node.primitive is not None
    assert node.inputs is not None
    arrays = [str(i) for i, each in enumerate(node.inputs) if not isinstance(each, Node)]
    return arrays + (["result"] if node.value is not None else [])


def test_only_what_a_rule_reads_is_kept() -> None:
    w, c = parameter(np.ones((2, 2))) * 1, ag.tensor(np.ones((2, 2))) * 1
    assert kept(w + c) == []
    assert kept(np.exp(w)) == ["result"]
    assert kept(w * c) == ["1"]
    assert kept(c * w) == ["0"]
    assert kept(w * w) == ["0", "1"]
    assert kept(w @ c) == ["1"]
    assert kept(np.sum(w, axis=0)) == []
    assert kept(np.reshape(w, -1)) == []
    assert kept(np.tanh(w)) == ["result"]


def test_backward_lets_the_values_go_and_keeps_the_structure() -> None:
    w = parameter(np.ones(3), name="w")
    z = np.exp(w) * w
    y = np.sum(z * z)
    nodes = [node for node in history(y._node) if node.primitive is not None]
    labels = [node.primitive.label for node in nodes]
    y.backward()
    assert all(node.inputs is None and node.value is None for node in nodes)
    again = [node for node in history(y._node) if node.primitive is not None]
    assert again == nodes
    assert [node.primitive.label for node in again] == labels == ["np.exp", "np.multiply", "np.multiply", "np.sum"]
    assert [node.shape for node in again] == [(3,), (3,), (3,), ()]
