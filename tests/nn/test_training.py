"""Optimizers' states and errors, TrainStep, clipping, and the data that training runs on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import autograd_lite as ag
import nn


def parameter(*values: float, grad: list[float] | None = None) -> nn.Parameter:
    p = nn.Parameter(np.array(values))
    p.grad = grad
    return p


class TestOptimizer:
    @pytest.mark.parametrize(
        ("make", "error", "message"),
        [
            (lambda: nn.optim.SGD([], lr=1.0), ValueError, "no parameters"),
            (lambda: nn.optim.SGD(parameter(1.0), lr=1.0), TypeError, "iterable"),
            (lambda: nn.optim.SGD([np.ones(2)], lr=1.0), TypeError, "ndarray"),
            (lambda: nn.optim.SGD([parameter(1.0) * 2], lr=1.0), TypeError, "computed"),
            (lambda: nn.optim.SGD([parameter(1.0)] * 2, lr=1.0), ValueError, "twice"),
            (lambda: nn.optim.SGD([parameter(1.0)], lr=-1.0), ValueError, "lr must not be negative"),
            (lambda: nn.optim.SGD([parameter(1.0)], lr=math.nan), ValueError, "nan"),
            (lambda: nn.optim.SGD([parameter(1.0)], nesterov=True), ValueError, "nesterov"),
            (lambda: nn.optim.Adam([parameter(1.0)], betas=(0.9, 1.0)), ValueError, "betas"),
            (lambda: nn.optim.SGD([{"params": [parameter(1.0)], "rate": 1}]), ValueError, "rate"),
        ],
    )
    def test_bad_settings(self, make: Any, error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            make()

    def test_groups_have_their_own_settings(self) -> None:
        a, b = parameter(1.0, grad=[1.0]), parameter(1.0, grad=[1.0])
        optimizer = nn.optim.SGD([{"params": a}, {"params": [b], "lr": 0.1, "momentum": 0.5}], lr=0.5)
        optimizer.step()
        optimizer.step()
        assert a.data.tolist() == [0.0]
        assert b.data.tolist() == [pytest.approx(1 - 0.1 - 0.15)]

    def test_no_gradient_no_step(self) -> None:
        a, b = parameter(1.0, grad=[1.0]), parameter(1.0)
        for kind in (nn.optim.SGD, nn.optim.Adam):
            kind([a, b], lr=0.1).step()
        assert b.data.tolist() == [1.0]

    @pytest.mark.parametrize("momentum", [0.0, 0.9])
    def test_a_history_from_before_the_step_raises(self, momentum: float) -> None:
        w = parameter(1.0, grad=[1.0])
        loss = np.sum(w * w)
        nn.optim.SGD([w], lr=0.1, momentum=momentum).step()
        with pytest.raises(RuntimeError, match="written to"):
            loss.backward()

    def test_gradients_and_dtypes_are_left_alone(self) -> None:
        for kind in (nn.optim.SGD, nn.optim.Adam, nn.optim.AdamW, nn.optim.RMSprop, nn.optim.Adagrad):
            w = nn.Parameter(np.ones(3, np.float32))
            w.grad = np.full(3, 0.5)
            array = w.data
            kind([w], lr=0.1, weight_decay=0.1, maximize=True).step()
            assert w.data is array
            assert w.dtype == np.float32
            assert w.grad.tolist() == [0.5] * 3

    @pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
    def test_state_continues_bit_for_bit(self, kind: str) -> None:
        settings = {"lr": 0.1} | ({"momentum": 0.9} if kind in ("SGD", "RMSprop") else {})
        rng = np.random.default_rng(0)
        steps = rng.standard_normal((6, 3))

        def run(w: nn.Parameter, optimizer: Any, part: Any) -> None:
            for g in part:
                w.grad = g
                optimizer.step()

        whole = nn.Parameter(np.ones(3))
        run(whole, getattr(nn.optim, kind)([whole], **settings), steps)
        first = nn.Parameter(np.ones(3))
        optimizer = getattr(nn.optim, kind)([first], **settings)
        run(first, optimizer, steps[:3])
        second = nn.Parameter(first.data)
        again = getattr(nn.optim, kind)([second], lr=9.0)
        again.load_state_dict(optimizer.state_dict())
        run(second, again, steps[3:])
        assert (second.data == whole.data).all()

    def test_state_of_other_parameters_is_refused(self) -> None:
        state = nn.optim.SGD([parameter(1.0), parameter(2.0)], lr=0.1).state_dict()
        with pytest.raises(ValueError, match="2"):
            nn.optim.SGD([parameter(1.0)], lr=0.1).load_state_dict(state)
        w = parameter(1.0, 2.0, grad=[1.0, 1.0])
        other = nn.optim.Adam([w])
        other.step()
        mine = nn.optim.Adam([parameter(1.0)], lr=0.5)
        with pytest.raises(ValueError, match="exp_avg"):
            mine.load_state_dict(other.state_dict())
        assert mine.param_groups[0]["lr"] == 0.5

    def test_schedules_continue_and_end(self) -> None:
        def make() -> tuple[Any, Any]:
            optimizer = nn.optim.SGD([parameter(1.0)], lr=1.0, momentum=0.9)
            return optimizer, nn.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=6)

        optimizer, schedule = make()
        for _ in range(3):
            schedule.step()
        other, again = make()
        again.load_state_dict(schedule.state_dict())
        for _ in range(3):  # one after each of the 6 batches, the last one included, which no batch follows any more
            schedule.step()
            again.step()
            assert other.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]
        with pytest.raises(ValueError, match="6 steps"):
            schedule.step()


class TestClipping:
    def test_norm(self) -> None:
        a, b, c = parameter(0.0, grad=[3.0]), parameter(0.0, grad=[4.0]), parameter(0.0)
        assert nn.utils.clip_grad_norm_([a, b, c], 10.0) == 5
        assert nn.utils.clip_grad_norm_([a, b, c], 1.0) == 5
        assert a.grad is not None
        assert a.grad[0] == pytest.approx(3 / (5 + 1e-6), rel=1e-12)
        assert nn.utils.clip_grad_norm_(b, 10.0, math.inf) == pytest.approx(4 / (5 + 1e-6))
        a.grad = np.array([np.nan])
        with pytest.raises(RuntimeError, match="nan"):
            nn.utils.clip_grad_norm_([a], 1.0, error_if_nonfinite=True)


class TestTrainStep:
    def test_is_forward_backward_and_update(self) -> None:
        rng = np.random.default_rng(0)
        x, y = rng.standard_normal((6, 2)), rng.standard_normal((6, 1))
        model = nn.Linear(2, 1, dtype=np.float64, rng=rng)
        w, b = model.weight.data.copy(), model.bias.data.copy()
        loss = nn.TrainStep(model, nn.MSELoss(), nn.optim.SGD(model.parameters(), lr=0.1))(x, y)
        error = x @ w.T + b - y
        assert isinstance(loss, float)
        assert loss == pytest.approx(np.mean(error**2), rel=1e-12)
        np.testing.assert_allclose(model.weight.grad, 2 / 6 * error.T @ x, rtol=1e-12)
        np.testing.assert_allclose(model.weight.data, w - 0.1 * model.weight.grad, rtol=1e-12)
        np.testing.assert_allclose(model.bias.data, b - 0.1 * model.bias.grad, rtol=1e-12)

    def test_takes_tensors_and_starts_afresh(self) -> None:
        model = nn.Linear(1, 1)
        step = nn.TrainStep(model, nn.MSELoss(), nn.optim.SGD(model.parameters(), lr=0.0))
        x = np.ones((2, 1), np.float32)
        first = step(x, x)
        grad = model.weight.grad
        assert step(ag.tensor(x), ag.tensor(x)) == first
        assert (model.weight.grad == grad).all()

    def test_no_cycles_are_left(self) -> None:
        import gc

        model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
        step = nn.TrainStep(model, nn.CrossEntropyLoss(), nn.optim.Adam(model.parameters()))
        x, y = np.ones((4, 2), np.float32), np.array([0, 1, 0, 1])
        step(x, y)
        gc.collect()
        gc.disable()
        try:
            for _ in range(20):
                step(x, y)
            assert gc.collect() == 0
        finally:
            gc.enable()


class TestData:
    def test_batches_cover_everything_once(self) -> None:
        x = np.arange(10)
        loader = nn.DataLoader(x, x * 2, batch_size=4, shuffle=True, rng=np.random.default_rng(0))
        passes = []
        for _ in range(2):
            batches = list(loader)
            assert [len(b[0]) for b in batches] == [4, 4, 2]
            assert all((b[1] == 2 * b[0]).all() for b in batches)
            passes.append(np.concatenate([b[0] for b in batches]).tolist())
            assert sorted(passes[-1]) == list(range(10))
        assert passes[0] != passes[1]
        again = nn.DataLoader(nn.TensorDataset(x, x), batch_size=4, shuffle=True, rng=np.random.default_rng(0))
        assert np.concatenate([b[0] for b in again]).tolist() == passes[0]
        assert len(list(nn.DataLoader(x, batch_size=4, drop_last=True))) == 2

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: nn.DataLoader(np.zeros((0, 2)), np.zeros(0)), "empty"),
            (lambda: nn.DataLoader(np.zeros(3), np.zeros(4)), "one number of rows"),
            (lambda: nn.DataLoader(np.zeros(3), batch_size=4), "larger than the data"),
            (lambda: nn.DataLoader(np.zeros(3), batch_size=0), "at least 1"),
            (lambda: nn.DataLoader(), "no data"),
            (lambda: nn.train_test_split(np.zeros(1)), "empty"),
            (lambda: nn.train_test_split(np.zeros(4), test_size=4), "empty"),
            (lambda: nn.kfold(3, 4), "folds"),
        ],
    )
    def test_bad_data(self, call: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            call()

    def test_split_keeps_rows_together_and_shares(self) -> None:
        labels = np.repeat([0, 1, 2], [60, 30, 10])
        parts = nn.train_test_split(
            np.arange(100), labels, test_size=0.2, stratify=labels, rng=np.random.default_rng(0)
        )
        assert sorted([*parts[0], *parts[1]]) == list(range(100))
        assert (labels[parts[0]] == parts[2]).all()
        assert np.bincount(parts[3]).tolist() == [12, 6, 2]

    def test_folds(self) -> None:
        folds = nn.kfold(11, 3, rng=np.random.default_rng(0))
        assert sorted(np.concatenate([test for _, test in folds])) == list(range(11))
        for train, test in folds:
            assert sorted([*train, *test]) == list(range(11))

    def test_standardize_by_the_training_part(self) -> None:
        rng = np.random.default_rng(0)
        a, b = rng.normal(5, 3, (50, 2)), rng.normal(5, 3, (20, 2))
        a[:, 1] = 0.1
        x, y = nn.standardize(a, b)
        np.testing.assert_allclose(x[:, 0].mean(), 0, atol=1e-12)
        np.testing.assert_allclose(x[:, 0].std(), 1)
        assert not x[:, 1].any()
        np.testing.assert_allclose(y[:, 0], (b[:, 0] - a[:, 0].mean()) / a[:, 0].std())

    def test_one_hot(self) -> None:
        assert nn.one_hot(np.array([[1], [0]]), 2).tolist() == [[[0, 1]], [[1, 0]]]
        with pytest.raises(IndexError, match="label -1"):
            nn.one_hot([0, -1])
        with pytest.raises(TypeError, match="integers"):
            nn.one_hot([0.0])
