"""Anomaly mode: the operation, the line, the index, forward and backward; arrays changed behind the engine's back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_lite as ag
import nn

LINE = r"\(test_anomaly\.py:\d+: .*\)"


def parameter(data: Any, **kwargs: Any) -> ag.Tensor:
    return ag.tensor(data, requires_grad=True, **kwargs)


@pytest.fixture(autouse=True)
def quiet() -> Any:
    """NumPy's own warnings are errors in the tests; here they would come first."""
    with np.errstate(all="ignore"):
        yield


# ---- forward -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "words"),
    [
        (lambda x: np.log(x), r"np\.log gives -inf at index \[1\]"),
        (lambda x: np.log(x - 0.5), r"np\.log gives nan at index \[1\]"),
        (lambda x: 1 / x, r"np\.divide gives inf at index \[1\]"),
        (lambda x: np.sum(x / x), r"np\.divide gives nan at index \[1\]"),
        (lambda x: np.exp(x * 1e4), r"np\.exp gives inf at index \[0\]"),
        (lambda x: np.reshape(x, (2, 1)) ** -1.0, r"gives inf at index \[1, 0\]"),
        (lambda x: np.sum(x * 1e308) * 10, r"np\.multiply gives inf at its only entry"),
        (lambda x: np.linalg.norm(x / x[1:]), r"np\.divide gives inf at index \[0\]"),
    ],
)  # fmt: skip
def test_the_operation_the_line_and_the_first_index_are_named(f: Callable[[Any], Any], words: str) -> None:
    for x in (parameter([1.0, 0.0]), ag.tensor([1.0, 0.0])):
        with ag.detect_anomaly(), pytest.raises(FloatingPointError, match=words + f" {LINE}"):
            f(x)


def test_the_operands_are_told() -> None:
    with ag.detect_anomaly(), pytest.raises(FloatingPointError, match=r"where its inputs are 3\.0 and 0\.0\.$"):
        parameter([[1.0, 2.0], [3.0, 4.0]]) / np.array([[5.0], [0.0]])


def test_what_was_there_before_is_not_reported_again() -> None:
    w, mask = parameter([1.0, 2.0]), np.array([0.0, -np.inf])
    with ag.detect_anomaly():
        y = w + mask
        np.sum(np.exp(y)).backward()
        nan = parameter([np.nan, 1.0]) * 2
        assert np.isnan(nan.data[0])
        assert np.where(mask == 0, w, np.inf).data.tolist() == [1, np.inf]
        assert float(np.logaddexp(-np.inf, parameter(-np.inf))) == -np.inf
    assert w.grad is not None
    np.testing.assert_allclose(w.grad, [np.e, 0])


# ---- backward ----------------------------------------------------------------------------------------------------


def test_an_infinite_slope_is_named() -> None:
    w = parameter([4.0, 0.0])
    with ag.detect_anomaly():
        y = np.sum(np.sqrt(w))
        with pytest.raises(FloatingPointError, match=rf"gradient of np\.sqrt is inf at index \[1\] {LINE}"):
            y.backward()


@pytest.mark.parametrize("around", ["both", "forward", "backward"])
def test_the_branch_that_was_not_chosen_is_named_with_its_remedy(around: str) -> None:
    w = parameter([4.0, 0.0])
    with ag.detect_anomaly() if around != "backward" else ag.enable_grad():
        y = np.sum(np.where(w > 0, np.sqrt(w), 0.0))
    with ag.detect_anomaly() if around != "forward" else ag.enable_grad():
        words = r"np\.sqrt is nan at index \[1\].*np\.sqrt\(np\.where\(x > 0, x, 1\)\)"
        with pytest.raises(FloatingPointError, match=words):
            y.backward()


def test_in_derivatives_of_functions_and_of_higher_order() -> None:
    with ag.detect_anomaly():
        with pytest.raises(FloatingPointError, match=r"gradient of np\.sqrt is inf"):
            ag.grad(lambda x: np.sum(np.sqrt(x)))(np.zeros(2))
        with pytest.raises(FloatingPointError, match=r"gives -?inf|is -?inf|is nan"):
            ag.hessian(lambda x: np.sum(x**1.5))(np.zeros(2))
        assert ag.hessian(lambda x: np.sum(x**3))(np.ones(2)).tolist() == [[6, 0], [0, 6]]


def test_a_rule_of_ones_own_is_named_with_the_input() -> None:
    @ag.primitive
    def odd(a: Any, b: Any) -> Any:
        return a + b

    odd.def_rule(lambda g, y, a, b: g, lambda g, y, a, b: g * np.nan)
    with ag.detect_anomaly(), pytest.raises(FloatingPointError, match="gradient of odd with respect to its input 1 is"):
        np.sum(odd(parameter([1.0]), parameter([2.0]))).backward()


def test_joint_rules_and_several_results_are_looked_at() -> None:
    with ag.detect_anomaly():
        w = parameter([[2.0, 0.0], [0.0, 3.0]])
        values, vectors = np.linalg.eigh(w)
        np.sum(values).backward()
        np.testing.assert_allclose(w.grad, np.eye(2), atol=1e-12)
        first, second = np.split(parameter([4.0, 0.0]), 2)
        with pytest.raises(FloatingPointError, match=r"np\.sqrt is inf at index \[0\]"):
            np.sum(np.sqrt(second)).backward()
        np.sum(np.concatenate([first, first])).backward()


# ---- changed behind the engine's back ----------------------------------------------------------------------------


def _data(w: ag.Tensor, y: ag.Tensor) -> None:
    w.data[0] = 9.0


def _view(w: ag.Tensor, y: ag.Tensor) -> None:
    w.data[::-1][:1] *= 2.0


def _result(w: ag.Tensor, y: ag.Tensor) -> None:
    y._data[0] = 9.0


@pytest.mark.parametrize("change", [_data, _view, _result])
def test_a_changed_array_is_caught(change: Callable[[Any, Any], None]) -> None:
    w = parameter([1.0, 2.0], name="w")
    with ag.detect_anomaly():
        y = np.exp(w) * w
        z = np.sum(y * y)
        change(w, y)
        with pytest.raises(RuntimeError, match=rf"of np\.multiply {LINE} was changed after it was recorded"):
            z.backward()


def test_an_array_of_numpys_that_shares_a_leafs_memory() -> None:
    w = parameter(np.arange(1.0, 4.0), name="w")
    alias = w.detach().numpy()
    with ag.detect_anomaly():
        z = np.sum(w * w)
        alias += 1.0
        with pytest.raises(RuntimeError, match=r"input 0, 'w', of np\.multiply"):
            z.backward()


def test_the_engines_own_error_stays_where_it_knows_of_the_write() -> None:
    w = parameter([1.0, 2.0], name="w")
    with ag.detect_anomaly():
        z = np.sum(w * w)
        with ag.no_grad():
            w += 1.0
        with pytest.raises(RuntimeError, match=r"'w' was written to after .* by test_anomaly\.py"):
            z.backward()


# ---- the mode itself ---------------------------------------------------------------------------------------------


def test_gradients_are_the_same_and_the_mode_ends() -> None:
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    x, t = rng.standard_normal((5, 3)).astype(np.float32), np.array([0, 1, 1, 0, 1])
    nn.CrossEntropyLoss()(model(x), t).backward()
    wanted = [each.grad.copy() for each in model.parameters()]
    for each in model.parameters():
        each.grad = None
    with ag.detect_anomaly():
        nn.CrossEntropyLoss()(model(x), t).backward()
    for each, grad in zip(model.parameters(), wanted, strict=True):
        np.testing.assert_array_equal(each.grad, grad)
    assert np.isinf(np.log(parameter(0.0)).data)


def test_every_line_is_noted() -> None:
    w = parameter([1.0, 2.0])
    with ag.detect_anomaly():
        y = (w * 2) * 3
    z = (w * 2) * 3
    assert "test_anomaly.py" in y._node.line
    assert "detect_anomaly" in z._node.line


def test_it_is_this_threads_alone_and_nests() -> None:
    seen: list[float] = []

    def other() -> None:
        with np.errstate(all="ignore"):
            seen.append(float(np.log(parameter(0.0))))

    with ag.detect_anomaly():
        worker = threading.Thread(target=other)
        worker.start()
        worker.join()
        with ag.detect_anomaly(), ag.no_grad():
            pass
        with ag.no_grad(), pytest.raises(FloatingPointError):
            np.log(parameter(0.0))
    assert seen == [-np.inf]
    assert np.isinf(np.log(parameter(0.0)).data)
