"""Never silently wrong: the classes of error that libraries of this kind were seen to pass over, one test each.

Each is either right or an error that names the operation, the place and the remedy. The details of every class are
tested where its code is; here stands the list.
"""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autograd_lite as ag
import nn
from nn import functional as F


def parameter(data: Any, **kwargs: Any) -> ag.Tensor:
    return ag.tensor(data, requires_grad=True, **kwargs)


def slopes(f: Callable[..., Any], *arrays: Any) -> list[Any]:
    """The gradients of the sum of f's entries."""
    tensors = [parameter(np.array(each, float)) for each in arrays]
    np.sum(f(*tensors)).backward()
    return [np.zeros(each.shape) if each.grad is None else each.grad for each in tensors]


def slope(f: Callable[..., Any], array: Any) -> list[float]:
    found: list[float] = slopes(f, array)[0].tolist()
    return found


# ---- writes, views and memory ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [3, 50_000], ids=["small", "large"])
def test_a_users_array_is_changed_before_backward(size: int) -> None:
    array, w = np.full(size, 2.0), parameter(np.ones(size))
    y = np.sum(w * array)
    array *= 100
    try:
        y.backward()
    except RuntimeError as error:
        assert "np.multiply" in str(error)  # noqa: PT017  # either the right gradient or this error will do
    else:
        np.testing.assert_array_equal(w.grad, np.full(size, 2.0))


def test_a_recorded_tensor_is_changed_before_backward() -> None:
    w, c = parameter([1.0, 2.0]), ag.tensor([3.0, 4.0])
    y, view = np.sum(w * c), c[:1]
    view[0] = 100.0
    with pytest.raises(RuntimeError, match=r"written to after np\.multiply recorded it .* by test_silent_errors\.py"):
        y.backward()
    z = w * 2
    total = np.sum(z * z)
    z *= 100.0
    total.backward()
    np.testing.assert_array_equal(w.grad, [8, 16])


def test_a_leaf_that_requires_gradients_is_written_in_place() -> None:
    w = parameter([1.0, 2.0])
    for write in (lambda: w.__iadd__(1.0), lambda: w.__setitem__(0, 1.0), lambda: w[:1].__imul__(2.0)):
        with pytest.raises(RuntimeError, match=r"requires gradients.*ag\.no_grad"):
            write()


def test_a_row_is_scaled_through_a_view() -> None:
    w = parameter([[1.0, 2.0], [3.0, 4.0]])
    y = w * w
    row = y[0]
    row *= 10.0
    np.sum(y).backward()
    np.testing.assert_array_equal(w.grad, [[20, 40], [6, 8]])


def test_the_gradients_of_one_addition_are_not_one_array() -> None:
    a, b, seed = parameter([1.0, 2.0]), parameter([3.0, 4.0]), np.ones(2)
    (a + b).backward(seed)
    assert a.grad is not None
    assert b.grad is not None
    a.grad += 5
    assert b.grad.tolist() == seed.tolist() == [1, 1]


def test_duplicate_indices_accumulate() -> None:
    assert slope(lambda x: x[[0, 0, 2]], [1.0, 2.0, 3.0]) == [2, 0, 1]
    assert slope(lambda x: np.take(x, [1, 1, 1]), [1.0, 2.0, 3.0]) == [0, 3, 0]
    assert slope(lambda x: np.take_along_axis(x, np.array([2, 2]), 0), [1.0, 2.0, 3.0]) == [0, 0, 2]


# ---- ties, bounds, kinks, zeros ----------------------------------------------------------------------------------


def test_ties_are_shared_and_sorts_are_stable() -> None:
    for f in (np.max, np.min, np.median):
        np.testing.assert_allclose(slope(f, [2.0, 2.0]), [0.5, 0.5])
    for f in (np.maximum, np.minimum):
        assert [each.tolist() for each in slopes(f, [1.0], [1.0])] == [[0.5], [0.5]]
    weights = np.array([1.0, 10.0, 100.0])
    for f in (np.sort, lambda x: np.partition(x, 1)):
        assert slope(lambda x, f=f: f(x) * weights, [2.0, 1.0, 1.0]) == [100, 1, 10]


def test_bounds_and_kinks() -> None:
    assert slope(lambda x: np.clip(x, 0.0, 1.0), [0.0, 1.0, 2.0]) == [1, 1, 0]
    for f in (np.abs, F.relu, np.sign):
        assert slope(f, [0.0]) == [0]


def test_a_bound_given_as_a_keyword_tensor_has_its_gradient() -> None:
    clips: list[Callable[..., Any]] = [
        lambda x, b: np.clip(x, a_min=b, a_max=None), lambda x, b: np.clip(x, b, None), lambda x, b: x.clip(min=b),
    ]  # fmt: skip
    for f in clips:
        x, bound = slopes(f, [0.0, 3.0], 1.0)
        assert (x.tolist(), bound.tolist()) == ([0, 1], 1)
    a, weights = slopes(lambda a, b: np.average(a, weights=b), [1.0, 3.0], [1.0, 1.0])
    assert (a.tolist(), weights.tolist()) == ([0.5, 0.5], [-0.5, 0.5])


def test_tile_of_a_matrix_and_diagonal_of_a_rectangle() -> None:
    assert slope(lambda x: np.tile(x, 2) * np.arange(6.0), [[1.0, 2.0, 3.0]]) == [[3, 5, 7]]
    assert slope(lambda x: np.diag(x) * [1.0, 10.0], np.ones((2, 3))) == [[1, 0, 0], [0, 10, 0]]
    assert slope(lambda x: np.diag(x), np.ones((3, 2))) == [[1, 0], [0, 1], [0, 0]]


def test_products_with_zeros() -> None:
    assert slope(np.prod, [2.0, 0.0, 3.0]) == [0, 6, 0]
    assert slope(np.prod, [0.0, 0.0, 3.0]) == [0, 0, 0]
    assert slope(np.cumprod, [2.0, 0.0, 3.0]) == [1, 8, 0]


def test_a_root_at_zero_is_infinite_and_anomaly_mode_names_it() -> None:
    with np.errstate(divide="ignore"):
        assert slope(np.sqrt, [0.0]) == [np.inf]
        with ag.detect_anomaly(), pytest.raises(FloatingPointError, match=r"of np\.sqrt is inf at index \[0\]"):
            slope(np.sqrt, [0.0])


def test_a_norm_at_zero_and_the_deviation_of_a_constant() -> None:
    assert slope(np.linalg.norm, [0.0, 0.0]) == [0, 0]
    assert slope(np.std, [3.0, 3.0]) == [0, 0]


def test_powers_at_zero() -> None:
    assert slope(lambda x: x**2, [0.0]) == [0]
    assert slope(lambda x: x**0, [0.0, 2.0]) == [0, 0]
    assert slope(lambda x: x ** np.array([0.0, 2.0]), [0.0, 0.0]) == [0, 0]
    with np.errstate(divide="ignore"):
        assert slope(lambda y: 0.0**y, [2.0, 0.0, -1.0]) == [0, 0, -np.inf]


def _root_or_zero(x: Any) -> Any:
    return np.sum(np.where(x > 0, np.sqrt(x), 0.0))


def test_the_root_in_a_branch_that_was_not_chosen_is_the_same_in_every_form() -> None:
    """One convention in eager, compiled and printed form: NaN, which anomaly mode names with the remedy."""
    x = np.array([4.0, 0.0])
    with np.errstate(all="ignore"):
        wanted = np.array([0.25, np.nan])
        np.testing.assert_array_equal(ag.grad(_root_or_zero)(x), wanted)
        np.testing.assert_array_equal(ag.compile(ag.grad(_root_or_zero))(x), wanted)
        source: dict[str, Any] = {}
        exec(str(ag.backprop_source(_root_or_zero, x)), source)
        np.testing.assert_array_equal(np.squeeze(source["backprop"](x)[1]), wanted)
        with ag.detect_anomaly(), pytest.raises(FloatingPointError, match=r"np\.sqrt is nan.*np\.where\(x > 0, x, 1\)"):
            _root_or_zero(parameter(x)).backward()
        safe = ag.grad(lambda x: np.sum(np.where(x > 0, np.sqrt(np.where(x > 0, x, 1)), 0.0)))
        np.testing.assert_array_equal(safe(x), [0.25, 0])


def test_logsumexp_of_nothing() -> None:
    w = parameter([-np.inf, -np.inf])
    value = F.logsumexp(w, axis=0)
    value.backward()
    assert float(value) == -np.inf
    assert w.grad is not None
    assert w.grad.tolist() == [0, 0]
    a, b = slopes(np.logaddexp, [-np.inf, 0.0], [-np.inf, 0.0])
    assert np.isfinite([a, b]).all()


@pytest.mark.parametrize("size", [1e3, 1e4])
def test_saturated_activations_and_losses_are_exact_without_a_warning(size: float) -> None:
    x = np.array([-size, size])
    with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
        warnings.simplefilter("error")
        assert slope(F.sigmoid, x) == [0, 0]
        assert F.sigmoid(x).tolist() == [0, 1]
        assert F.softplus(x).tolist() == [0, size]
        assert slope(F.softplus, x) == [0, 1]
        assert F.silu(x).tolist() == [0, size]
        assert slope(F.silu, x) == [0, 1]
        assert F.softmax(x, dim=0).tolist() == [0, 1]
        assert F.log_softmax(x, dim=0).tolist() == [-2 * size, 0]
        loss = parameter(x[None])
        nn.CrossEntropyLoss()(loss, np.array([0])).backward()
        np.testing.assert_array_equal(loss.grad, [[-1, 1]])
        logits = parameter(x)
        value = nn.BCEWithLogitsLoss()(logits, np.array([1.0, 0.0]))
        value.backward()
        assert float(value) == size
        np.testing.assert_array_equal(logits.grad, [-0.5, 0.5])


# ---- dtypes ------------------------------------------------------------------------------------------------------


def test_integers_cannot_require_gradients() -> None:
    with pytest.raises(TypeError, match="int64 cannot require gradients"):
        parameter([1, 2])
    with pytest.raises(TypeError, match="floating point"):
        ag.grad(lambda x: x * 2)(3)


def test_a_float32_parameter_with_float64_data() -> None:
    w = parameter(np.ones((2, 1), np.float32))
    np.sum(np.ones((3, 2)) @ w).backward()
    assert w.grad is not None
    assert w.grad.dtype == np.float32


def test_long_float32_sums() -> None:
    tenths = np.full(1_000_000, 0.1, np.float32)
    assert float(np.mean(ag.tensor(tenths))) == pytest.approx(float(np.mean(tenths)), abs=0)
    assert float(np.sum(ag.tensor(tenths))) == float(np.sum(tenths))
    loss = nn.MSELoss()(ag.tensor(tenths, requires_grad=True), np.zeros_like(tenths))
    assert float(loss) == pytest.approx(0.01, rel=1e-6)


# ---- threads, depth, memory --------------------------------------------------------------------------------------


def test_no_grad_in_one_thread_while_another_trains() -> None:
    stop, lost = threading.Event(), 0

    def evaluate() -> None:
        while not stop.is_set():
            with ag.no_grad():
                np.exp(np.ones(3))

    worker = threading.Thread(target=evaluate)
    worker.start()
    w = parameter([1.0])
    for _ in range(3000):
        w.grad = None
        y = w * 2
        lost += not y.requires_grad
        y.backward()
        lost += w.grad is None
    stop.set()
    worker.join()
    assert lost == 0


def test_a_hundred_thousand_chained_operations() -> None:
    w = parameter(1.0)
    y = w
    for _ in range(100_000):
        y = y + 0.0
    y.backward()
    assert w.grad == 1
    assert "np.add" in repr(y)
    del y


def test_no_reference_cycles_after_200_steps() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    step = nn.TrainStep(model, nn.MSELoss(), nn.optim.SGD(model.parameters(), lr=0.1))
    x, t = np.ones((5, 3), np.float32), np.ones((5, 1), np.float32)
    step(x, t)
    gc.collect()
    gc.disable()
    try:
        for _ in range(200):
            step(x, t)
        assert gc.collect() == 0
    finally:
        gc.enable()


# ---- backward ----------------------------------------------------------------------------------------------------


def test_a_second_backward_through_a_freed_history() -> None:
    y = np.exp(parameter(1.0))
    y.backward()
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        y.backward()


def test_two_losses_into_one_leaf() -> None:
    w = parameter(1.0)
    (w * 2).backward()
    (w * 3).backward()
    assert w.grad == 5


def test_a_seed_of_the_wrong_shape() -> None:
    with pytest.raises(ValueError, match=r"\(1,\), the result has \(2,\)"):
        parameter([1.0, 2.0]).backward([1.0])
    with pytest.raises(ValueError, match=r"seed.*shape"):
        ag.vjp(np.exp, np.ones(2))[1](np.ones(3))


def test_backward_from_a_non_scalar_without_a_seed() -> None:
    with pytest.raises(RuntimeError, match=r"needs a seed.*np\.sum"):
        (parameter([1.0, 2.0]) * 2).backward()


# ---- leaving the tensor world ------------------------------------------------------------------------------------


def test_a_tensor_becomes_an_array_only_when_asked_by_name() -> None:
    w = parameter([1.0, 2.0])
    array = np.zeros(2)
    for leak in (
        lambda: np.array([w, w]), lambda: np.asarray(w), lambda: array.__setitem__(..., w),
        lambda: np.array([[1.0, 2.0]]).dot(w), lambda: np.full(2, w),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=r"np\.stack|detach|ag\.tensor|X @ w|np\.ones"):
            leak()
    for call in (float, int, lambda t: t.item()):
        assert call(w[0]) == 1
        with pytest.raises(TypeError, match="trac"):
            ag.trace(lambda x, call=call: x * call(x[0]), np.ones(2))


def test_never_an_object_array() -> None:
    w, odd = parameter([1.0, 2.0]), np.array([1.0, 2.0], object)
    for call in (lambda: np.stack([w, odd]), lambda: w + odd, lambda: np.frompyfunc(abs, 1, 1)(w)):
        with pytest.raises((TypeError, NotImplementedError)):
            call()
    assert np.stack([w, w]).dtype == np.float64


# ---- losses, copies, NaN -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "loss", [nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss, nn.BCELoss, nn.BCEWithLogitsLoss]
)
def test_n_against_n_by_1_in_a_loss(loss: Any) -> None:
    prediction = parameter(np.full((4, 1), 0.5))
    with pytest.raises(ValueError, match=r"\(4, 1\).*\(4,\)"):
        loss()(prediction, np.ones(4))


def test_one_column_of_labels_in_cross_entropy() -> None:
    with pytest.raises(ValueError, match=r"\(4, 1\)"):
        nn.CrossEntropyLoss()(parameter(np.ones((4, 3))), np.zeros((4, 1), int))


def test_copies_of_a_tensor_with_a_history() -> None:
    y = parameter(1.0) * 2
    for clone in (copy.deepcopy, pickle.dumps):
        with pytest.raises(RuntimeError, match="history"):
            clone(y)
    model = nn.Linear(2, 1)
    for each in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(each.weight.data, model.weight.data)
        assert not np.shares_memory(each.weight.data, model.weight.data)
        assert each.weight.requires_grad


def test_where_a_nan_comes_from() -> None:
    with np.errstate(all="ignore"), ag.detect_anomaly():
        with pytest.raises(FloatingPointError, match=r"np\.log gives nan at index \[1\] \(test_silent_errors\.py:\d+"):
            np.log(parameter([1.0, -1.0]))


# ---- files -------------------------------------------------------------------------------------------------------


def test_a_hostile_checkpoint_is_refused(tmp_path: Path) -> None:
    good = tmp_path / "good.npz"
    nn.save({"w": np.arange(6.0)}, good)
    whole = good.read_bytes()
    bad: dict[str, bytes] = {"half": whole[: len(whole) // 2], "bit": bytes([*whole[:90], whole[90] ^ 4, *whole[91:]])}
    objects = tmp_path / "objects.npz"
    np.savez(objects, w=np.array([{}], object))
    bad["objects"] = objects.read_bytes()
    lie = tmp_path / "lie.npz"
    with zipfile.ZipFile(lie, "w") as archive:
        header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
        archive.writestr("w.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    bad["lie"] = lie.read_bytes()
    for name, content in bad.items():
        path = tmp_path / f"bad_{name}.npz"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"nn\.load: .*bad_"):
            nn.load(path)
    model = nn.Linear(2, 1)
    before = model.weight.data.copy()
    with pytest.raises((ValueError, KeyError, RuntimeError)):
        model.load_state_dict(nn.load(good))
    np.testing.assert_array_equal(model.weight.data, before)


def test_every_mismatch_of_a_state_dict_is_listed_at_once() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    state = {**model.state_dict(), "extra": np.ones(1), "0.weight": np.ones((9, 9))}
    del state["1.bias"]
    with pytest.raises((ValueError, KeyError, RuntimeError)) as caught:
        model.load_state_dict(state)
    for each in ("extra", "0.weight", "1.bias", "(9, 9)", "(3, 2)"):
        assert each in str(caught.value)


def test_shapes_that_do_not_fit_raise_as_in_numpy() -> None:
    w = parameter(np.ones((2, 3)))
    for f in (lambda x: np.squeeze(x, 1), lambda x: np.expand_dims(x, 5), lambda x: np.split(x, 2, axis=1)):
        for each in (w, w.data):
            with pytest.raises((ValueError, np.exceptions.AxisError)):
                f(each)
