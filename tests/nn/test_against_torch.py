"""Layers, losses, optimizers and schedules against torch's stored results."""

from __future__ import annotations

import ast
import inspect
import json
import operator
from typing import Any

import numpy as np
import pytest

import autograd_lite as ag
import nn

from .cases import (
    CONTINUED,
    DATA,
    FIRST,
    LAYERS,
    LOSSES,
    OPTIMIZERS,
    SCHEDULE_STEPS,
    SCHEDULES,
    SIGNATURES,
    cotangent,
    gradients,
    layer_input,
    loss_data,
    metrics,
    start,
)

with np.load(DATA / "torch.npz", allow_pickle=False) as _archive:
    TORCH = {key: _archive[key] for key in _archive.files}
TEXT = json.loads((DATA / "torch.json").read_text())


def close(got: Any, wanted: Any, rtol: float = 1e-9) -> None:
    got = np.asarray(got)
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, rtol=rtol, atol=1e-11)


def part(prefix: str) -> dict[str, Any]:
    """The recorded arrays whose names begin so, under the rest of their names."""
    return {key.removeprefix(prefix): value for key, value in TORCH.items() if key.startswith(prefix)}


@pytest.mark.parametrize(("name", "kind", "settings"), OPTIMIZERS, ids=[case[0] for case in OPTIMIZERS])
def test_optimizer_takes_torchs_steps(name: str, kind: str, settings: dict[str, Any]) -> None:
    params = [nn.Parameter(a) for a in start()]
    optimizer = getattr(nn.optim, kind)(params, **settings)
    for t, step in enumerate(gradients()):
        for p, g in zip(params, step, strict=True):
            p.grad = g
        optimizer.step()
        for i, p in enumerate(params):
            close(p.data, TORCH[f"{name}.{i}"][t])


@pytest.mark.parametrize(("name", "kind", "settings"), SCHEDULES, ids=[case[0] for case in SCHEDULES])
def test_schedule_gives_torchs_rates(name: str, kind: str, settings: dict[str, Any]) -> None:
    groups = [{"params": [nn.Parameter([0.0])], "lr": lr} for lr in (0.5, 0.02)]
    optimizer = nn.optim.SGD(groups, lr=1.0, momentum=0.9)
    schedule = getattr(nn.optim.lr_scheduler, kind)(optimizer, **settings)
    for t in range(SCHEDULE_STEPS + 1):
        rates = [group["lr"] for group in optimizer.param_groups]
        close([*rates, optimizer.param_groups[0]["momentum"]], np.array(TEXT["schedules"][name][t]))
        assert schedule.get_last_lr() == rates
        if t < SCHEDULE_STEPS:
            schedule.step(metrics()[t]) if kind == "ReduceLROnPlateau" else schedule.step()


@pytest.mark.parametrize("name", CONTINUED)
def test_schedule_goes_on_as_torchs_does(name: str) -> None:
    kind, settings = next((kind, settings) for each, kind, settings in SCHEDULES if each == name)
    make = getattr(nn.optim.lr_scheduler, kind)
    groups = [{"params": [nn.Parameter([0.0])], "lr": lr} for lr in (0.5, 0.02)]
    optimizer = nn.optim.SGD(groups, lr=1.0, momentum=0.9)
    schedule = make(optimizer, **settings)
    for t, row in enumerate(TEXT["continued"][name]):
        if t == FIRST:
            schedule = make(optimizer, **settings, last_epoch=schedule.last_epoch - 1)
        close([group["lr"] for group in optimizer.param_groups], np.array(row))
        if t < SCHEDULE_STEPS - 1:
            schedule.step()
    with pytest.raises(KeyError, match="initial_lr"):
        make(nn.optim.SGD([nn.Parameter([0.0])], momentum=0.9), **settings, last_epoch=3)


# What torch has and NumPy has no use for, or what has been deprecated there for years.
ABSENT = {
    "device", "foreach", "fused", "capturable", "differentiable", "decoupled_weight_decay", "generator", "_stacklevel",
    "size_average", "reduce", "max_norm", "norm_type", "scale_grad_by_freq", "sparse", "_weight", "_freeze",
    "return_indices",
}  # fmt: skip
# Arguments that single functions do without: what writes into its argument, a dtype of the result, weights.
ABSENT_AT = {
    "nn.functional.elu": {"inplace"},
    "nn.functional.relu": {"inplace"}, "nn.functional.silu": {"inplace"}, "nn.functional.leaky_relu": {"inplace"},
    "nn.functional.dropout": {"inplace"}, "nn.functional.softmax": {"dtype"}, "nn.functional.log_softmax": {"dtype"},
    "nn.functional.mse_loss": {"weight"}, "nn.functional.l1_loss": {"weight"}, "nn.functional.huber_loss": {"weight"},
    "nn.functional.smooth_l1_loss": {"weight"},
}  # fmt: skip


@pytest.mark.parametrize("name", [f"{place}.{name}" for place, names in SIGNATURES.items() for name in names])
def test_arguments_have_torchs_names_order_and_defaults(name: str) -> None:
    place, _, short = name.rpartition(".")
    found = operator.attrgetter(f"{place.removeprefix('nn').lstrip('.')}.{short}".lstrip("."))(nn)
    mine = inspect.signature(found).parameters
    absent = ABSENT | ABSENT_AT.get(name, set())
    theirs = dict(argument.partition("=")[::2] for argument in TEXT["signatures"][name].split("; "))
    order = list(theirs)
    positional = [key for key, each in mine.items() if each.kind is each.POSITIONAL_OR_KEYWORD]
    # What can be given by position is given in torch's order, with nothing left out before it.
    assert positional == order[: len(positional)]
    assert [argument for argument in order if argument not in mine and argument not in absent] == []
    for argument in order:
        if argument in mine and argument != "dtype":
            default = theirs[argument]
            assert mine[argument].default == (ast.literal_eval(default) if default else inspect.Parameter.empty), (
                argument
            )


@pytest.mark.parametrize(("name", "kind", "args", "settings", "shape"), LAYERS, ids=[case[0] for case in LAYERS])
def test_layer_computes_what_torchs_does(
    name: str, kind: str, args: Any, settings: Any, shape: tuple[int, ...]
) -> None:
    layer = getattr(nn, kind)(*args, **settings).to(np.float64)
    assert repr(layer) == TEXT["reprs"][name]
    layer.load_state_dict(part(f"{name}/before/"))  # so the names and shapes are torch's
    if name == "dropout_eval":
        layer.eval()
    data = layer_input(name, kind, shape)
    x = ag.tensor(data, requires_grad=data.dtype.kind == "f")
    y = layer(x)
    close(y.data, TORCH[f"{name}/value"])
    y.backward(cotangent(y.shape)) if y.requires_grad else None
    if f"{name}/grad" in TORCH:
        close(x.grad, TORCH[f"{name}/grad"])
    for key, p in layer.named_parameters():
        close(p.grad, TORCH[f"{name}/grad/{key}"])
    layer(x.detach() * 2 if x.requires_grad else x)
    state = layer.state_dict()
    for key, wanted in part(f"{name}/after/").items():
        close(state[key], wanted)
    close(layer.eval()(x).data, TORCH[f"{name}/eval"])


@pytest.mark.parametrize(("name", "kind", "settings", "shape", "target_kind"), LOSSES, ids=[case[0] for case in LOSSES])
def test_loss_is_torchs(name: str, kind: str, settings: Any, shape: tuple[int, ...], target_kind: str) -> None:
    given = {key: np.array(value) if isinstance(value, list) else value for key, value in settings.items()}
    data, target = loss_data(name, shape, target_kind)
    x = ag.tensor(data, requires_grad=True)
    t = ag.tensor(target, requires_grad=target.dtype.kind == "f")
    y = getattr(nn, kind)(**given)(x, t)
    close(y.data, TORCH[f"{name}/value"])
    y.backward(cotangent(y.shape))
    close(x.grad, TORCH[f"{name}/grad"])
    if f"{name}/grad_target" in TORCH:
        close(t.grad, TORCH[f"{name}/grad_target"])
    # Plain arrays give the same value, as a plain number or array.
    close(getattr(nn.functional, _function(kind))(data, target, **given), TORCH[f"{name}/value"])


def _function(kind: str) -> str:
    return {
        "MSELoss": "mse_loss",
        "L1Loss": "l1_loss",
        "SmoothL1Loss": "smooth_l1_loss",
        "HuberLoss": "huber_loss",
        "BCELoss": "binary_cross_entropy",
        "BCEWithLogitsLoss": "binary_cross_entropy_with_logits",
        "NLLLoss": "nll_loss",
        "CrossEntropyLoss": "cross_entropy",
    }[kind]
