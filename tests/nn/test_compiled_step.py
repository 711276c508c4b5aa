"""A compiled training step takes the steps of the eager one: losses, gradients, weights, states and random draws."""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_lite as ag
import autograd_lite.blas
import nn
import nn.deferred
import nn.products

Build = Callable[[], nn.Module]


def dense() -> nn.Module:
    return nn.Sequential(
        nn.Linear(3, 5, dtype=np.float64), nn.Tanh(), nn.Linear(5, 4, dtype=np.float64), nn.Sigmoid(),
        nn.Linear(4, 2, dtype=np.float64),
    )  # fmt: skip


class Tied(nn.Module):
    """One weight, used twice."""

    def __init__(self) -> None:
        self.inner = nn.Linear(3, 3, dtype=np.float64)
        self.out = nn.Linear(3, 2, dtype=np.float64)

    def forward(self, x: Any) -> Any:
        return self.out(np.tanh(self.inner(np.tanh(self.inner(x)))) @ self.inner.weight)


def normalised() -> nn.Module:
    return nn.Sequential(
        nn.Linear(3, 6, dtype=np.float64), nn.BatchNorm1d(6, dtype=np.float64), nn.ReLU(),
        nn.Linear(6, 2, dtype=np.float64),
    )  # fmt: skip


def averaged() -> nn.Module:
    return nn.Sequential(
        nn.Linear(3, 6, dtype=np.float64), nn.BatchNorm1d(6, momentum=None, dtype=np.float64), nn.Tanh(),
        nn.Linear(6, 2, dtype=np.float64),
    )  # fmt: skip


def layer_normalised() -> nn.Module:
    return nn.Sequential(
        nn.Linear(3, 6, dtype=np.float64), nn.LayerNorm(6, dtype=np.float64), nn.GELU(),
        nn.Linear(6, 2, dtype=np.float64),
    )  # fmt: skip


def dropped() -> nn.Module:
    return nn.Sequential(
        nn.Linear(3, 8, dtype=np.float64), nn.Dropout(0.3), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(8, 2, dtype=np.float64),
    )  # fmt: skip


MODELS: dict[str, Build] = {
    "dense": dense, "tied": Tied, "batch norm": normalised, "batch norm, averaged": averaged,
    "layer norm": layer_normalised, "dropout": dropped,
}  # fmt: skip

OPTIMIZERS: dict[str, Callable[[Any], nn.optim.Optimizer]] = {
    "SGD": lambda p: nn.optim.SGD(p, lr=0.1),
    "momentum": lambda p: nn.optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.2, weight_decay=0.01),
    "nesterov": lambda p: nn.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "maximize": lambda p: nn.optim.SGD(p, lr=0.01, maximize=True),
    "Adam": lambda p: nn.optim.Adam(p, lr=0.01, weight_decay=0.1),
    "amsgrad": lambda p: nn.optim.Adam(p, lr=0.01, amsgrad=True),
    "AdamW": lambda p: nn.optim.AdamW(p, lr=0.01),
    "RMSprop": lambda p: nn.optim.RMSprop(p, lr=0.01),
    "Adagrad": lambda p: nn.optim.Adagrad(p, lr=0.01),
}


class Pair:
    """The same training twice: eager, and compiled, each with a random generator of the same seed."""

    def __init__(
        self,
        build: Build,
        optimizer: Callable[[Any], nn.optim.Optimizer] = OPTIMIZERS["SGD"],
        loss: Callable[..., Any] | None = None,
    ) -> None:
        nn.manual_seed(0)
        self.models = [build()]
        self.models.append(copy.deepcopy(self.models[0]))
        self.loss = nn.MSELoss() if loss is None else loss
        self.optimizers = [optimizer(model.parameters()) for model in self.models]
        self.steps = [
            nn.TrainStep(model, self.loss, each, compile=compiled)
            for model, each, compiled in zip(self.models, self.optimizers, (False, True), strict=True)
        ]
        self.states = [nn.seeding.get_state()] * 2

    def step(self, x: Any, y: Any) -> None:
        losses = []
        for i, each in enumerate(self.steps):
            nn.seeding.set_state(self.states[i])
            losses.append(each(x, y))
            self.states[i] = nn.seeding.get_state()
        assert type(losses[1]) is float
        np.testing.assert_allclose(losses[1], losses[0], rtol=1e-12)
        self.compare()

    def compare(self) -> None:
        assert self.states[0] == self.states[1], "other random numbers were drawn"
        eager, compiled = (dict(model.named_parameters()) for model in self.models)
        for name, each in eager.items():
            mine = compiled[name].grad
            if each.grad is None:
                assert mine is None
            else:
                assert type(mine) is np.ndarray
                assert mine.shape == each.shape
                np.testing.assert_allclose(mine, each.grad, rtol=1e-11, atol=1e-13, err_msg=name)
        for name, value in self.models[0].state_dict().items():
            np.testing.assert_allclose(self.models[1].state_dict()[name], value, rtol=1e-11, atol=1e-12, err_msg=name)


def batch(rows: int = 6, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((rows, 3)), rng.standard_normal((rows, 2))


@pytest.mark.parametrize("name", MODELS)
def test_models(name: str) -> None:
    pair = Pair(MODELS[name])
    for k in range(5):
        pair.step(*batch(seed=k))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name: str) -> None:
    pair = Pair(dense, OPTIMIZERS[name])
    for k in range(5):
        pair.step(*batch(seed=k))


# ---- products that go straight into the weights ---------------------------------------------------------------------


@pytest.fixture(params=["with SciPy", "without SciPy"])
def straight(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every product goes straight into its weight, however small, in each of the two ways."""
    for name in ("SMALLEST", "SMALLEST_WITH_BLAS"):
        monkeypatch.setattr(nn.products, name, 0)
    monkeypatch.setattr(autograd_lite.blas, "_LONG", 0)
    if request.param == "without SciPy":
        monkeypatch.setitem(sys.modules, "scipy.linalg", None)  # which makes importing it fail
        return ""
    pytest.importorskip("scipy", reason="SciPy, the extra `fast`, is not installed")
    return "dg"


class Transposed(nn.Module):
    """Weights that are (in, out), and one that is not contiguous."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.first = nn.Parameter(rng.standard_normal((3, 5)), dtype=np.float64)
        self.second = nn.Parameter(rng.standard_normal((2, 5)).T, dtype=np.float64)

    def forward(self, x: Any) -> Any:
        return np.tanh(x @ self.first) @ self.second


class Factored(nn.Module):
    """Each weight is a factor of the other's gradient."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.first = nn.Parameter(rng.standard_normal((3, 3)), dtype=np.float64)
        self.second = nn.Parameter(rng.standard_normal((3, 2)), dtype=np.float64)

    def forward(self, x: Any) -> Any:
        return x @ (self.first @ self.second)


class Summed(nn.Module):
    """Two weights with one gradient."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.first = nn.Parameter(rng.standard_normal((3, 2)), dtype=np.float64)
        self.second = nn.Parameter(rng.standard_normal((3, 2)), dtype=np.float64)

    def forward(self, x: Any) -> Any:
        return x @ (self.first + self.second)


STRAIGHT: dict[str, Build] = {**MODELS, "transposed": Transposed, "factored": Factored, "summed": Summed}


@pytest.mark.parametrize("rows", [1, 6, 80])
@pytest.mark.parametrize("name", STRAIGHT)
def test_models_straight(name: str, rows: int, straight: str) -> None:
    pair = Pair(STRAIGHT[name])
    for k in range(4):
        pair.step(*batch(max(rows, 1 + ("batch norm" in name)), seed=k))  # of one row there is no variance
    if name == "dense":
        called = ("dger(-lr" if rows == 1 else "dgemm(-lr") if straight else "_factor, lr"
        assert called in pair.steps[1].source


@pytest.mark.parametrize("rows", [1, 6])
@pytest.mark.parametrize("name", [*OPTIMIZERS, "momentum alone", "dampened"])
def test_optimizers_straight(name: str, rows: int, straight: str) -> None:
    momentum = {"momentum alone": 0.0, "dampened": 0.3}
    pair = Pair(
        dense,
        OPTIMIZERS[name]
        if name in OPTIMIZERS
        else lambda p: nn.optim.SGD(p, lr=0.1, momentum=0.9, dampening=momentum[name]),
    )
    for k in range(4):
        pair.step(*batch(rows, seed=k))
    for each in pair.optimizers:  # settings may change at any time, and a state may be loaded
        for key, value in {"lr": 0.05, "momentum": 0.5}.items():
            if key in each.param_groups[0]:
                each.param_groups[0][key] = value
        each.load_state_dict(each.state_dict())
    for k in range(3):
        pair.step(*batch(rows, seed=k))


def test_gradients_that_nobody_reads_are_not_computed_and_those_read_late_are_right(straight: str) -> None:
    pair = Pair(dense)
    (x, y), (u, v) = batch(seed=0), batch(seed=1)
    pair.steps[0](x, y)
    pair.steps[1](x, y)
    x[...] = 7  # the caller's memory is the caller's
    parameters = [dict(model.named_parameters()) for model in pair.models]
    weight = parameters[1]["0.weight"]
    assert type(weight._node) is nn.deferred.Deferred
    pair.compare()
    assert type(weight._node) is not nn.deferred.Deferred
    for step in pair.steps:
        step(u, v)
    copies = [copy.deepcopy(each) for each in pair.models]
    for one, other in zip(*(each.parameters() for each in copies), strict=True):
        np.testing.assert_allclose(one.grad, other.grad, rtol=1e-11, atol=1e-13)
    for step in pair.steps:
        step(u, v)
    for model in pair.models:  # a backward of one's own adds to what the step left
        np.sum(model(u) ** 2).backward()
    pair.compare()
    for step, model in zip(pair.steps, pair.models, strict=True):
        step(u, v)
        for each in model.parameters():
            each.grad = None
    pair.compare()
    assert weight.is_leaf
    pair.steps[1](u, v)
    assert weight.is_leaf


def test_a_gradient_that_a_leaf_outside_shares(straight: str) -> None:
    pair = Pair(Summed)
    for i, model in enumerate(pair.models):
        optimizer = nn.optim.SGD([model.first], lr=0.1)
        pair.optimizers[i] = optimizer
        pair.steps[i] = nn.TrainStep(model, pair.loss, optimizer, compile=bool(i))
    for k in range(3):  # the other weight's gradients add up
        pair.step(*batch(seed=k))


def test_float32_straight(straight: str) -> None:
    pair = Pair(lambda: nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)))
    for k in range(5):
        x, y = (each.astype(np.float32) for each in batch(seed=k))
        losses = [step(x, y) for step in pair.steps]
        np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    for one, other in zip(*(model.parameters() for model in pair.models), strict=True):
        np.testing.assert_allclose(one.data, other.data, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(one.grad, other.grad, rtol=1e-4, atol=1e-6)


def test_scipy_can_be_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("scipy", reason="SciPy, the extra `fast`, is not installed")
    monkeypatch.setenv("AUTOGRAD_LITE_SCIPY", "0")
    step = nn.TrainStep(model := nn.Linear(300, 40), nn.MSELoss(), nn.optim.SGD(model.parameters(), lr=0.1), True)
    x, y = np.ones((5, 300), np.float32), np.ones((5, 40), np.float32)
    step(x, y)
    assert "gemm" not in step.source
    monkeypatch.delenv("AUTOGRAD_LITE_SCIPY")
    step = nn.TrainStep(model, nn.MSELoss(), nn.optim.SGD(model.parameters(), lr=0.1), compile=True)
    step(x, y)
    assert "sgemm(-lr" in step.source


def test_groups_with_rates_of_their_own_and_a_schedule() -> None:
    def two(parameters: Any) -> nn.optim.Optimizer:
        first, *rest = parameters
        return nn.optim.SGD([{"params": [first], "lr": 0.5}, {"params": rest}], lr=0.1)

    pair = Pair(dense, two)
    schedules = [nn.optim.lr_scheduler.ExponentialLR(each, 0.5) for each in pair.optimizers]
    for k in range(5):
        pair.step(*batch(seed=k))
        for each in schedules:
            each.step()
    for each in pair.optimizers:
        each.param_groups[0]["momentum"] = 0.9
    for k in range(3):
        pair.step(*batch(seed=k))


def test_batches_of_several_sizes() -> None:
    pair = Pair(dense)
    for rows in (6, 2, 300, 6, 1, 300):
        pair.step(*batch(rows))


def test_train_and_eval() -> None:
    pair = Pair(normalised)
    for mode in (True, False, True):
        for model in pair.models:
            model.train(mode)
        for k in range(2):
            pair.step(*batch(seed=k))


def test_frozen_layers_and_new_layers() -> None:
    pair = Pair(dense)
    pair.step(*batch())
    for model in pair.models:
        model[0].requires_grad_(False)
    pair.step(*batch(seed=1))
    pair.step(*batch(seed=2))
    for model in pair.models:
        model[0].requires_grad_(True)
        model[1] = nn.ReLU()
    pair.step(*batch(seed=3))


def test_loaded_weights_and_another_dtype() -> None:
    pair = Pair(dense)
    pair.step(*batch())
    nn.manual_seed(5)
    state = dense().state_dict()
    for model in pair.models:
        model.load_state_dict(state)
    pair.step(*batch(seed=1))
    narrow = [model.to(np.float32) for model in pair.models]
    x, y = (each.astype(np.float32) for each in batch())
    losses = [step(x, y) for step in pair.steps]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert next(narrow[1].parameters()).grad.dtype == np.float32


def test_arrays_that_were_replaced() -> None:
    pair = Pair(dense)
    pair.step(*batch())
    for model in pair.models:
        model.to(np.float32).to(np.float64)
    pair.step(*batch(seed=1))


def test_no_step_without_gradients() -> None:
    pair = Pair(dense)
    for _ in range(2):
        with ag.no_grad(), pytest.raises(RuntimeError):
            pair.steps[1](*batch())
        pair.step(*batch())


def test_a_group_added_later() -> None:
    def first_only(parameters: Any) -> nn.optim.Optimizer:
        return nn.optim.SGD(list(parameters)[:2], lr=0.1)

    pair = Pair(dense, first_only)
    pair.step(*batch())
    pair.step(*batch(seed=1))  # the other gradients are added up, since no optimizer clears them
    for model, optimizer in zip(pair.models, pair.optimizers, strict=True):
        optimizer.add_param_group({"params": list(model.parameters())[2:]})
    pair.step(*batch(seed=2))


def test_optimizer_state_goes_from_one_to_the_other() -> None:
    pair = Pair(dense, OPTIMIZERS["Adam"])
    for k in range(3):
        pair.step(*batch(seed=k))
    pair.optimizers[1].load_state_dict(pair.optimizers[0].state_dict())
    pair.step(*batch(seed=4))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_memories_that_are_not_alike(name: str) -> None:
    """Layers trained for different numbers of steps, and a state that somebody changed."""
    pair = Pair(dense, OPTIMIZERS[name])
    pair.step(*batch())
    for frozen in (True, False):
        for model in pair.models:
            model[0].requires_grad_(not frozen)
        for k in range(3):
            pair.step(*batch(seed=k))
    for model, optimizer in zip(pair.models, pair.optimizers, strict=True):
        memory = optimizer.state.get(model[2].weight) or {}
        for key, value in memory.items():
            if isinstance(value, np.ndarray):
                memory[key] = value * 0.5
    pair.step(*batch(seed=7))
    eager, compiled = (each.state_dict()["state"] for each in pair.optimizers)
    assert eager.keys() == compiled.keys()
    for number, memory in eager.items():
        assert memory.keys() == compiled[number].keys()
        for key, value in memory.items():
            np.testing.assert_allclose(compiled[number][key], value, rtol=1e-11, atol=1e-13)


def test_labels() -> None:
    pair = Pair(lambda: nn.Linear(3, 4, dtype=np.float64), loss=nn.CrossEntropyLoss())
    x = batch()[0]
    for k in range(3):
        pair.step(x, np.array([0, 3, 1, 2, 0, k]))
    for step in pair.steps:  # and neither leaves gradients
        with pytest.raises(IndexError, match="label 4"):
            step(x, np.array([0, 1, 2, 3, 4, 0]))
    pair.compare()


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(weight=np.array([1.0, 2.0])), nn.NLLLoss()])
def test_labels_are_checked_in_every_step(loss: Any) -> None:
    pair = Pair(lambda: nn.Linear(3, 2, dtype=np.float64), loss=loss)
    x = batch()[0]
    pair.step(x, np.array([0, 1, 1, 0, 0, 1]))
    pair.step(x, np.array([0, 1, -100, 0, 0, 1]))
    with pytest.raises(IndexError, match="label 2"):
        pair.steps[1](x, np.array([0, 1, 1, 0, 0, 2]))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("first", [-100, 1])
def test_ignored_labels(first: int, reduction: str) -> None:
    pair = Pair(lambda: nn.Linear(3, 4, dtype=np.float64), loss=nn.CrossEntropyLoss(reduction=reduction))
    x = batch()[0]
    for k in (first, 2, -100):
        pair.step(x, np.array([0, 3, k, 2, 0, k]))
    if reduction == "mean":
        for step in pair.steps:
            with pytest.raises(ValueError, match="no label of shape"):
                step(x, np.full(6, -100))
    for step in pair.steps:
        with pytest.raises(IndexError, match="label 4"):
            step(x, np.array([0, -100, 2, 3, 4, 0]))


def test_a_class_that_is_ignored() -> None:
    pair = Pair(lambda: nn.Linear(3, 4, dtype=np.float64), loss=nn.CrossEntropyLoss(ignore_index=2))
    for k in range(3):
        pair.step(batch(seed=k)[0], np.array([0, 3, 2, 2, 0, k]))


def test_gradients_alone_are_compiled_too() -> None:
    pair = Pair(dense)
    for k in range(3):
        before = copy.deepcopy(pair.models[1].state_dict())
        losses = [step.gradients(*batch(seed=k)) for step in pair.steps]
        assert type(losses[1]) is float
        np.testing.assert_allclose(losses[1], losses[0], rtol=1e-12)
        for name, value in pair.models[1].state_dict().items():
            np.testing.assert_array_equal(value, before[name])
        pair.compare()
        assert "d_p0_weight" in pair.steps[1].source
        assert "lr" not in pair.steps[1].source
        for each in pair.optimizers:
            each.step()
        pair.step(*batch(seed=k))
        assert "lr" in pair.steps[1].source


def test_a_nan_target_is_named_and_nothing_is_trained() -> None:
    pair = Pair(dense)
    pair.step(*batch())
    x, y = batch(seed=1)
    y[2, 1] = np.nan
    with pytest.raises(ValueError, match=r"nan at position \[2, 1\]"):
        pair.steps[1](x, y)
    pair.optimizers[0].zero_grad()
    pair.optimizers[1].zero_grad()
    pair.compare()


def test_a_history_from_before_a_step_raises() -> None:
    model = dense()
    step = nn.TrainStep(model, nn.MSELoss(), nn.optim.SGD(model.parameters(), lr=0.1), compile=True)
    x, y = batch()
    step(x, y)
    loss = nn.MSELoss()(model(x), y)
    step(x, y)
    with pytest.raises(RuntimeError, match="was written to"):
        loss.backward()


def test_what_cannot_be_compiled_is_refused() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Linear(3, 2, dtype=np.float64)

        def forward(self, x: Any) -> Any:
            y = self.layer(x)
            return y if np.sum(y) > 0 else -y

    model = Branching()
    step = nn.TrainStep(model, nn.MSELoss(), nn.optim.SGD(model.parameters()), compile=True)
    with pytest.raises(TypeError, match="freeze"):
        step(*batch())
    vector = nn.TrainStep(dense(), nn.MSELoss(reduction="none"), nn.optim.SGD(model.parameters()), compile=True)
    with pytest.raises(TypeError, match="one number"):
        vector(*batch())


def test_the_source() -> None:
    model = dense()
    step = nn.TrainStep(model, nn.MSELoss(), nn.optim.SGD(model.parameters(), lr=0.1), compile=True)
    step(*batch())
    assert "np_tanh(" in step.source
    with pytest.raises(RuntimeError, match="compile=True"):
        _ = nn.TrainStep(model, nn.MSELoss(), nn.optim.SGD(model.parameters(), lr=0.1)).source


def test_tensors_as_batches() -> None:
    pair = Pair(dense)
    x, y = batch()
    pair.step(ag.tensor(x), ag.tensor(y))


def test_tracing_a_convolutional_network_takes_under_half_a_second() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
    )  # fmt: skip
    loss = nn.CrossEntropyLoss()
    x, y = np.zeros((2, 1, 28, 28), np.float32), np.zeros(2, int)
    seconds = []
    for _ in range(2):  # the first loads what traces need
        start = time.process_time()
        program = ag.trace(lambda x, y: loss(model(x), y), x, y)
        seconds.append(time.process_time() - start)
    assert len(program.operations) > 12
    assert min(seconds) < 0.5
