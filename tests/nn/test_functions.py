"""The gradients of nn.functional by central differences, to second order; extremes, dtypes and errors."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_lite as ag
from nn import functional as F
from tests.numerical import WrongGradient, check

LABELS = np.array([0, 2, 1, 2])
WEIGHTS = np.array([0.5, 1.0, 2.0])
# Whatever is checked here may be drawn at random: nothing is at a kink or a tie.
DIFFERENTIABLE: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]]]] = {
    "linear": (F.linear, [(4, 3), (2, 3), (2,)]),
    "linear vector": (F.linear, [(3,), (2, 3), (2,)]),
    "linear stack": (F.linear, [(2, 4, 3), (2, 3)]),
    "sigmoid": (F.sigmoid, [(3, 2)]),
    "relu": (F.relu, [(3, 2)]),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.3), [(3, 2)]),
    "elu": (lambda x: F.elu(x, 0.7), [(3, 2)]),
    "silu": (F.silu, [(3, 2)]),
    "softplus": (lambda x: F.softplus(x, beta=2.0, threshold=1.0), [(3, 2)]),
    "logsigmoid": (F.logsigmoid, [(3, 2)]),
    "erf": (F.erf, [(3, 2)]),
    "gelu": (F.gelu, [(3, 2)]),
    "gelu tanh": (lambda x: F.gelu(x, approximate="tanh"), [(3, 2)]),
    "softmax": (F.softmax, [(3, 2)]),
    "softmax axis": (lambda x: F.softmax(x, axis=1), [(2, 3, 2)]),
    "log_softmax": (F.log_softmax, [(3, 2)]),
    "logsumexp": (lambda x: F.logsumexp(x, axis=(0, 2)), [(2, 3, 2)]),
    "mse": (F.mse_loss, [(3, 2), (3, 2)]),
    "mse none": (lambda x, t: F.mse_loss(x, t, reduction="none"), [(3, 2), (3, 2)]),
    "l1": (lambda x, t: F.l1_loss(x, t, reduction="sum"), [(3, 2), (3, 2)]),
    "huber": (lambda x, t: F.huber_loss(x, t, delta=0.5), [(3, 2), (3, 2)]),
    "smooth l1": (lambda x, t: F.smooth_l1_loss(x, t, beta=0.5), [(3, 2), (3, 2)]),
    "bce": (
        lambda x, t, w: F.binary_cross_entropy(F.sigmoid(x), F.sigmoid(t), w, reduction="none"),
        [(3, 2), (3, 2), (2,)],
    ),
    "bce logits": (F.binary_cross_entropy_with_logits, [(3, 2), (3, 2), (2,), (2,)]),
    "cross entropy": (lambda x: F.cross_entropy(x, LABELS), [(4, 3)]),
    "cross entropy none": (lambda x: F.cross_entropy(x, LABELS, reduction="none"), [(4, 3)]),
    "cross entropy weighted": (
        lambda x, w: F.cross_entropy(x, LABELS, np.square(w), ignore_index=1, label_smoothing=0.3),
        [(4, 3), (3,)],
    ),
    "cross entropy soft": (lambda x, t, w: F.cross_entropy(x, t, w, label_smoothing=0.3), [(4, 3), (4, 3), (3,)]),
    "nll": (lambda x, w: F.nll_loss(x, LABELS, np.square(w)), [(4, 3), (3,)]),
    "embedding": (lambda w: F.embedding(np.array([[0, 2], [2, 2]]), w, padding_idx=1), [(4, 3)]),
    "embedding padding": (
        lambda w: np.sum(F.embedding(np.array([0, 2]), w, padding_idx=1) ** 3),
        [(4, 3)],
    ),
    "conv1d": (lambda x, w, b: F.conv1d(x, w, b, 2, 1, 2, 2), [(2, 4, 9), (2, 2, 3), (2,)]),
    "conv2d": (
        lambda x, w, b: F.conv2d(x, w, b, (2, 1), (0, 1), (1, 2), 2),
        [(2, 2, 5, 6), (2, 1, 2, 3), (2,)],
    ),
    "conv2d same": (lambda x, w: F.conv2d(x, w, padding="same"), [(2, 4, 5), (3, 2, 3, 2)]),
    "unfold": (lambda x: F.unfold(x, (2, 3), (1, 2), 1, (2, 1)), [(1, 2, 4, 5)]),
    "fold": (lambda x: F.fold(x, (4, 5), 2, stride=2, padding=(0, 1)), [(1, 8, 6)]),
    "max_pool2d": (lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True), [(2, 2, 6, 5)]),
    "avg_pool2d": (
        lambda x: F.avg_pool2d(x, (3, 2), 2, 1, ceil_mode=True, count_include_pad=False),
        [(2, 2, 6, 5)],
    ),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (3, 2), w, b), [(2, 3, 2), (3, 2), (3, 2)]),
    "batch_norm": (
        lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
        [(4, 3, 2), (3,), (3,)],
    ),
    "batch_norm eval": (
        lambda x, m, v, w, b: F.batch_norm(x, m, np.exp(v), w, b),
        [(4, 3, 2), (3,), (3,), (3,), (3,)],
    ),
}


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients_to_second_order(name: str) -> None:
    function, shapes = DIFFERENTIABLE[name]
    rng = np.random.default_rng(sum(name.encode()))
    check(function, [rng.standard_normal(shape) for shape in shapes], rng)


def test_the_check_catches_a_wrong_rule() -> None:
    @ag.primitive
    def wrong(x: Any) -> Any:
        return F.sigmoid(x)

    wrong.def_rule(lambda g, y, x: g * y)
    with pytest.raises(WrongGradient):
        check(wrong, [np.array([0.3])], np.random.default_rng(0))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e3, 1e4])
def test_extremes_are_exact_and_silent(dtype: Any, size: float) -> None:
    data = np.array([[-size, 0.0, size]], dtype)
    left, right = dtype(-size), dtype(size)
    values: dict[str, tuple[Any, list[Any]]] = {
        "sigmoid": (F.sigmoid, [0, 0.5, 1]),
        "tanh": (F.tanh, [-1, 0, 1]),
        "relu": (F.relu, [0, 0, right]),
        "silu": (F.silu, [0, 0, right]),
        "elu": (F.elu, [-1, 0, right]),
        "gelu": (F.gelu, [0, 0, right]),
        "gelu tanh": (lambda x: F.gelu(x, approximate="tanh"), [0, 0, right]),
        "softplus": (F.softplus, [0, math.log(2), right]),
        "logsigmoid": (F.logsigmoid, [left, -math.log(2), 0]),
        "softmax": (F.softmax, [0, 0, 1]),
        "log_softmax": (F.log_softmax, [2 * left, left, 0]),
    }
    for name, (function, wanted) in values.items():
        x = ag.tensor(data, requires_grad=True)
        y = function(x)
        assert y.dtype == dtype, name
        np.testing.assert_allclose(y.data[0], np.array(wanted, dtype), rtol=1e-6, atol=1e-300, err_msg=name)
        np.sum(y).backward()
        assert x.grad is not None
        assert x.grad.dtype == dtype
        assert np.isfinite(x.grad).all(), name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_losses_of_extreme_scores(dtype: Any) -> None:
    x = ag.tensor(np.array([-1e4, 1e4, 1e4], dtype), requires_grad=True)
    t = np.array([0, 1, 0], dtype)
    loss = F.binary_cross_entropy_with_logits(x, t, reduction="none")
    assert loss.data.tolist() == [0, 0, 1e4]
    np.sum(loss).backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, 0, 1]

    p = ag.tensor(np.array([0, 1, 1, 0.5], dtype), requires_grad=True)
    loss = F.binary_cross_entropy(p, np.array([0, 1, 0, 1], dtype), reduction="none")
    np.testing.assert_allclose(loss.data, [0, 0, 100, math.log(2)], rtol=1e-6)
    np.sum(loss).backward()
    assert p.grad is not None
    assert np.isfinite(p.grad).all()

    scores = ag.tensor(np.array([[1e4, -1e4, 0], [1e4, -1e4, 0]], dtype), requires_grad=True)
    loss = F.cross_entropy(scores, np.array([0, 1]), reduction="none")
    assert loss.dtype == dtype
    assert loss.data.tolist() == [0, 2e4]
    np.sum(loss).backward()
    assert scores.grad is not None
    assert scores.grad.tolist() == [[0, 0, 0], [1, -1, 0]]


def test_functions_of_no_rows_give_none() -> None:
    x = ag.tensor(np.zeros((0, 2)), requires_grad=True)
    np.testing.assert_array_equal(F.logsumexp(x, axis=0).data, [-np.inf, -np.inf])
    (np.sum(np.exp(F.logsumexp(x, axis=0))) + np.sum(F.layer_norm(x, (2,), np.ones(2), np.zeros(2)))).backward()
    assert x.grad is not None
    assert x.grad.shape == (0, 2)


def test_logsumexp_of_nothing_but_minus_infinity() -> None:
    x = ag.tensor([-np.inf, -np.inf], requires_grad=True)
    y = F.logsumexp(x)
    assert y.item() == -np.inf
    y.backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, 0]


def test_erf_is_the_standard_librarys() -> None:
    x = np.concatenate([np.linspace(-7, 7, 2001), [-1e300, 1e300, np.inf]])
    np.testing.assert_allclose(F.erf(x), [math.erf(v) for v in x], rtol=0, atol=1e-14)


def test_maximum_of_a_window_sends_its_gradient_to_the_first_at_a_tie() -> None:
    x = ag.tensor(np.zeros((1, 1, 2, 2)), requires_grad=True)
    np.sum(F.max_pool2d(x, 2)).backward()
    assert x.grad is not None
    assert x.grad.ravel().tolist() == [1, 0, 0, 0]


def test_convolution_by_its_formula() -> None:
    rng = np.random.default_rng(0)
    x, w, b = rng.standard_normal((2, 4, 6, 7)), rng.standard_normal((6, 2, 2, 3)), rng.standard_normal(6)
    wanted = np.zeros((2, 6, 4, 5))
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    for n, o, i, j in np.ndindex(*wanted.shape):
        group = o // 3
        patch = padded[n, 2 * group : 2 * group + 2, 2 * i : 2 * i + 2, j : j + 5 : 2]
        wanted[n, o, i, j] = b[o] + np.sum(w[o] * patch)
    got = F.conv2d(x, w, b, stride=(2, 1), padding=1, dilation=(1, 2), groups=2)
    np.testing.assert_allclose(got, wanted, rtol=1e-12)


class TestDropout:
    def test_zeroes_the_right_share_and_keeps_the_mean(self) -> None:
        x = ag.tensor(np.ones((100, 1000), np.float32), requires_grad=True)
        y = F.dropout(x, 0.3, rng=np.random.default_rng(0))
        assert y.dtype == np.float32
        assert set(np.unique(y.data)) == {np.float32(0), np.float32(1 / 0.7)}
        assert abs(float(np.mean(y.data == 0)) - 0.3) < 0.01
        np.sum(y).backward()
        assert x.grad is not None
        np.testing.assert_array_equal(x.grad, y.data)  # of ones, the gradient is the mask itself

    def test_same_seed_same_mask(self) -> None:
        one, two = (F.dropout(np.ones(50), 0.5, rng=np.random.default_rng(7)) for _ in range(2))
        np.testing.assert_array_equal(one, two)

    def test_outside_training_and_at_the_ends(self) -> None:
        x = np.ones(3)
        assert F.dropout(x, 0.9, training=False) is x
        assert F.dropout(x, 0.0) is x
        assert F.dropout(x, 1.0).tolist() == [0, 0, 0]


class TestRunningStatistics:
    def test_arrays_and_buffers_move_alike(self) -> None:
        rng = np.random.default_rng(0)
        x = rng.standard_normal((5, 3, 4))
        mean, var = np.zeros(3), np.ones(3)
        F.batch_norm(ag.tensor(x, requires_grad=True), mean, var, training=True, momentum=0.2)
        np.testing.assert_allclose(mean, 0.2 * x.mean(axis=(0, 2)), rtol=1e-12)
        np.testing.assert_allclose(var, 0.8 + 0.2 * x.var(axis=(0, 2), ddof=1), rtol=1e-12)


# ---- errors ----------------------------------------------------------------------------------------------------------

N, COLUMN = np.ones(3), np.ones((3, 1))


@pytest.mark.parametrize(
    "loss",
    [
        F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss, F.binary_cross_entropy,
        F.binary_cross_entropy_with_logits, F.cross_entropy,
    ],
)  # fmt: skip
@pytest.mark.parametrize("tensors", [False, True])
def test_a_row_against_a_column_raises_in_every_loss(loss: Any, tensors: bool) -> None:
    for x, t in ((N, COLUMN), (COLUMN, N)):
        given = ag.tensor(x, requires_grad=True) if tensors else x
        with pytest.raises((ValueError, TypeError)) as error:
            loss(given, t)
        assert str(x.shape) in str(error.value)
        assert str(t.shape) in str(error.value)


@pytest.mark.parametrize(
    "loss",
    [F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss, F.binary_cross_entropy_with_logits, F.cross_entropy],
)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_nan_in_a_target_is_named_with_its_position(loss: Any, reduction: str) -> None:
    t = np.zeros((3, 2))
    t[1, 0] = np.nan
    with pytest.raises(ValueError, match=r"nan at position \[1, 0\]"):
        loss(ag.tensor(np.zeros((3, 2)), requires_grad=True), t, reduction=reduction)


def test_nan_in_the_prediction_is_no_error_of_the_target() -> None:
    assert np.isnan(F.mse_loss(np.array([np.nan]), np.array([1.0])))


@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss])
@pytest.mark.parametrize("bad", [3, -1])
def test_label_out_of_range_is_named_with_its_position(loss: Any, bad: int) -> None:
    for weight in (None, WEIGHTS):
        with pytest.raises(IndexError, match=rf"label {bad} at position \[1\] .* 0 to 2"):
            loss(ag.tensor(np.zeros((2, 3)), requires_grad=True), np.array([0, bad]), weight)


def test_labels_that_are_no_integers() -> None:
    with pytest.raises(TypeError, match="integers"):
        F.cross_entropy(np.zeros((2, 3)), np.array([0.0, 1.0]))
    with pytest.raises(TypeError, match="integers"):
        F.nll_loss(np.zeros((2, 3)), np.array([0.0, 1.0]))
    with pytest.raises(ValueError, match="one-hot targets must be floating"):
        F.cross_entropy(np.zeros((2, 3)), np.zeros((2, 3), int))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.mse_loss(np.zeros((0, 2)), np.zeros((0, 2))), "empty batch"),
        (lambda: F.mse_loss(N, N, reduction="average"), "reduction"),
        (lambda: F.binary_cross_entropy(np.array([0.5, 1.5]), np.ones(2)), r"1\.5 at position \[1\]"),
        (lambda: F.cross_entropy(np.zeros((2, 3)), np.array([-100, -100])), "no label"),
        (lambda: F.cross_entropy(np.zeros((2, 3)), np.array([0, 1]), np.ones(2)), r"\(3,\)"),
        (lambda: F.cross_entropy(np.zeros((2, 3)), np.array([0, 1]), label_smoothing=2), "label_smoothing"),
        (lambda: F.linear(np.zeros((2, 3)), np.zeros((4, 2))), r"^linear: input of shape \(2, 3\) and weight \(4, 2\)"),
        (lambda: F.conv2d(np.zeros((1, 2, 4, 4)), np.zeros((3, 3, 2, 2))), "has 2 channels"),
        (lambda: F.conv2d(np.zeros((1, 2, 2, 2)), np.zeros((3, 2, 3, 3))), "do not fit"),
        (lambda: F.conv2d(np.zeros((1, 2, 4, 4)), np.zeros((3, 2, 2, 2)), stride=2, padding="same"), "stride 1"),
        (lambda: F.max_pool2d(np.zeros((1, 1, 4, 4)), 2, padding=2), "at most half"),
        (lambda: F.softmax(np.zeros((1, 2, 3))), "along which axis"),
        (lambda: F.gelu(N, approximate="erf"), "approximate"),
        (lambda: F.layer_norm(np.zeros((2, 3)), (2,)), "normalized_shape"),
        (lambda: F.batch_norm(np.zeros((1, 3)), None, None, training=True), "more than one value"),
        (lambda: F.batch_norm(np.zeros((2, 3)), None, None), "running statistics"),
        (lambda: F.batch_norm(np.zeros((2, 3)), np.zeros(2), np.zeros(2)), "running_mean"),
        (lambda: F.dropout(N, 1.5), "probability"),
    ],
)
def test_bad_input_is_named(call: Callable[[], Any], message: str) -> None:
    with warnings.catch_warnings(), pytest.raises(ValueError, match=message):
        call()


def test_rows_outside_a_table() -> None:
    for bad in (3, -1):
        with pytest.raises(IndexError, match=rf"{bad} at position \[1\]"):
            F.embedding(np.array([0, bad]), np.zeros((3, 2)))
    with pytest.raises(TypeError, match="integers"):
        F.embedding(np.array([0.0]), np.zeros((3, 2)))


def test_no_input_is_changed() -> None:
    rng = np.random.default_rng(0)
    for function, shapes in DIFFERENTIABLE.values():
        arrays = [np.abs(rng.standard_normal(shape)) + 0.1 for shape in shapes]
        kept = [a.copy() for a in arrays]
        tensors = [ag.tensor(a, requires_grad=True) for a in arrays]
        np.sum(function(*tensors)).backward()
        for a, t, before in zip(arrays, tensors, kept, strict=True):
            np.testing.assert_array_equal(a, before)
            np.testing.assert_array_equal(t.data, before)
