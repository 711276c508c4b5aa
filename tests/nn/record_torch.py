"""Record what torch computes for the cases of `cases.py`, into tests/nn/data. Only this script needs torch.

    python -m tests.nn.record_torch

Read next: `test_against_torch.py`.
"""

from __future__ import annotations

import importlib
import inspect
import json
import operator
from typing import Any

import numpy as np

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
)  # fmt: skip


def optimizers(torch: Any) -> dict[str, Any]:
    """The parameters after each step."""
    found = {}
    for name, kind, settings in OPTIMIZERS:
        params = [torch.nn.Parameter(torch.tensor(a)) for a in start()]
        optimizer = getattr(torch.optim, kind)(params, **settings)
        path: list[list[Any]] = [[] for _ in params]
        for step in gradients():
            for p, g in zip(params, step, strict=True):
                p.grad = torch.tensor(g)
            optimizer.step()
            for row, p in zip(path, params, strict=True):
                row.append(p.detach().numpy().copy())
        for i, row in enumerate(path):
            found[f"{name}.{i}"] = np.stack(row)
    return found


def schedules(torch: Any) -> dict[str, Any]:
    """The learning rates of both groups, and the momentum, from the beginning on."""
    found = {}
    for name, kind, settings in SCHEDULES:
        groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (0.5, 0.02)]
        optimizer = torch.optim.SGD(groups, lr=1.0, momentum=0.9)
        schedule = getattr(torch.optim.lr_scheduler, kind)(optimizer, **settings)
        rows = []
        for t in range(SCHEDULE_STEPS + 1):
            rows.append([*(group["lr"] for group in optimizer.param_groups), optimizer.param_groups[0]["momentum"]])
            if t == SCHEDULE_STEPS:
                break
            optimizer.step()
            schedule.step(metrics()[t]) if kind == "ReduceLROnPlateau" else schedule.step()
        found[name] = rows
    return found


def continued(torch: Any) -> dict[str, Any]:
    """The learning rates of schedules that are made anew, with last_epoch, in the middle of a run."""
    found = {}
    for name, kind, settings in SCHEDULES:
        if name not in CONTINUED:
            continue
        make = getattr(torch.optim.lr_scheduler, kind)
        groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (0.5, 0.02)]
        optimizer = torch.optim.SGD(groups, lr=1.0, momentum=0.9)
        first = make(optimizer, **settings)
        rows = []
        for t in range(SCHEDULE_STEPS):
            if t == FIRST:
                first = make(optimizer, **settings, last_epoch=first.last_epoch - 1)
            rows.append([group["lr"] for group in optimizer.param_groups])
            optimizer.step()
            if t < SCHEDULE_STEPS - 1:
                first.step()
        found[name] = rows
    return found


def signatures(torch: Any) -> dict[str, str]:
    """The arguments in order, "name=default" or "name", with semicolons between."""
    found = {}
    for place, names in SIGNATURES.items():
        module = operator.attrgetter(place)(torch)
        for name in names:
            arguments = inspect.signature(getattr(module, name)).parameters.values()
            texts = [each.name if each.default is each.empty else f"{each.name}={each.default!r}" for each in arguments]
            found[f"{place}.{name}"] = "; ".join(texts)
    return found


def layers(torch: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """State, result and gradients of each layer in training, and its result in eval() afterwards; and its repr."""
    found: dict[str, Any] = {}
    reprs = {}
    torch.manual_seed(0)
    for name, kind, args, settings, shape in LAYERS:
        extra = {} if not list(getattr(torch.nn, kind)(*args, **settings).parameters()) else {"dtype": torch.float64}
        layer = getattr(torch.nn, kind)(*args, **settings, **extra)
        layer = layer.double()
        for p in layer.parameters():
            if p.ndim == 1:
                torch.nn.init.normal_(p)
        reprs[name] = repr(layer)
        for key, value in layer.state_dict().items():
            found[f"{name}/before/{key}"] = value.numpy().copy()
        if name == "dropout_eval":
            layer.eval()
        x = torch.tensor(layer_input(name, kind, shape))
        if x.is_floating_point():
            x.requires_grad_()
        y = layer(x)
        y.backward(torch.tensor(cotangent(tuple(y.shape))))
        found[f"{name}/value"] = y.detach().numpy()
        if x.grad is not None:
            found[f"{name}/grad"] = x.grad.numpy()
        for key, p in layer.named_parameters():
            found[f"{name}/grad/{key}"] = p.grad.numpy()
        layer(x.detach() * 2 if x.is_floating_point() else x)
        for key, value in layer.state_dict().items():
            found[f"{name}/after/{key}"] = value.numpy().copy()
        found[f"{name}/eval"] = layer.eval()(x).detach().numpy()
    return found, reprs


def losses(torch: Any) -> dict[str, Any]:
    """Each loss, and its gradients with respect to the input and a real target."""
    found = {}
    for name, kind, settings, shape, target_kind in LOSSES:
        x, t = (torch.tensor(a) for a in loss_data(name, shape, target_kind))
        given = {k: torch.tensor(v, dtype=torch.float64) if isinstance(v, list) else v for k, v in settings.items()}
        x.requires_grad_()
        if t.is_floating_point():
            t.requires_grad_()
        y = getattr(torch.nn, kind)(**given)(x, t)
        y.backward(torch.tensor(cotangent(tuple(y.shape))))
        found[f"{name}/value"] = y.detach().numpy()
        found[f"{name}/grad"] = x.grad.numpy()
        if t.grad is not None:
            found[f"{name}/grad_target"] = t.grad.numpy()
    return found


def main() -> None:
    """Record everything."""
    torch = importlib.import_module("torch")
    recorded, reprs = layers(torch)
    np.savez_compressed(DATA / "torch.npz", **{**optimizers(torch), **recorded, **losses(torch)})
    plain = {
        "torch": torch.__version__,
        "schedules": schedules(torch),
        "continued": continued(torch),
        "reprs": reprs,
        "signatures": signatures(torch),
    }
    text = json.dumps(plain, indent=0)
    (DATA / "torch.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
