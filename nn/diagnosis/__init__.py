"""nn.diagnose: what is wrong with a training, rather than with a gradient.

    print(nn.diagnose(model, loss_fn, x, y, history, optimizer=optimizer))

Each kind of finding is one small function of a `Case`, in one of `CHECKS`; give your own with `checks=`.

Read next: `findings.py`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from ..optim import Optimizer
from . import descent, outputs, progress, targets, units
from .case import Case, Check
from .findings import Diagnosis, Finding
from .network import looked_at

CHECKS: tuple[Check, ...] = (
    *targets.CHECKS,
    *outputs.CHECKS,
    *units.CHECKS,
    *descent.CHECKS,
    *progress.CHECKS,
)
_OF_DATA: tuple[Check, ...] = (targets.records_that_do_not_match, targets.values_that_are_no_numbers)

__all__ = ["CHECKS", "Case", "Check", "Diagnosis", "Finding", "diagnose"]


def diagnose(
    model: Callable[[Any], Any],
    loss: Callable[[Any, Any], Any],
    x: Any,
    y: Any,
    history: Any = None,
    *,
    optimizer: Optimizer | None = None,
    checks: Sequence[Check] = CHECKS,
) -> Diagnosis:
    """What is wrong with a training, before it or during it: findings, each with evidence, confidence and remedy.

    `model` is a module or a plain function of a tensor, `loss(prediction, y)` gives one number, `x` and `y` are the
    records of a step as you train on them (N, ...), or (..., N) where records are columns. `history` is what nn.fit
    returns, a list of dicts or a dict of lists; with `optimizer` its rate is tried out on copies. Nothing is changed:
    parameters, buffers, gradients, modes, random generators and the optimizer stay as they are. A check is a function
    of a `Case` that yields `Finding`s: `checks=[*CHECKS, mine]`.

    A plain function's weights must be tensors that require gradients: arrays are taken for constants.

    Raises TypeError for arguments in another order, data that are no numbers, a model that returns no single array, one
    that cannot be traced because it asks for values (`if x > 0`), and a loss that is not one number.

    >>> import numpy as np, nn
    >>> x = np.random.default_rng(0).standard_normal((99, 2))
    >>> model = nn.Sequential(nn.Linear(2, 9), nn.Tanh(), nn.Linear(9, 1), nn.Sigmoid())
    >>> [each.name for each in nn.diagnose(model, nn.MSELoss(), x, 4 * (x[:, :1] > 0))]
    ['targets out of reach']
    """
    _asked_with("model", model, "model(x)", "predictions")
    _asked_with("loss", loss, "loss(predictions, y)", "one number")
    case = Case(model, loss, x, y, history, optimizer)
    findings: list[Finding] = []
    with looked_at(model, loss, len(case.records)):
        usable = len(case.records.finite) > 0
        for check in checks if usable else [each for each in checks if each in _OF_DATA]:
            findings += check(case)
    rows = f"{len(case.records)} record{'s' * (len(case.records) != 1)}"
    notes = () if optimizer is not None else ("the rate and the size of a step were not tried: pass optimizer=.",)
    return Diagnosis(findings, f"{rows}, {len(checks)} checks", notes if usable else ())


def _asked_with(name: str, given: Any, call: str, result: str) -> None:
    """Raise TypeError for what cannot be called as model or loss: most often the arguments stand in another order."""
    fits = callable(given)
    try:
        inspect.signature(getattr(given, "forward", given)).bind(*call.split(","))
    except ValueError:  # what is written in C need not tell how it is called
        return
    except TypeError:
        fits = False
    if not fits:
        what = getattr(given, "__name__", type(given).__name__)
        raise TypeError(
            f"diagnose: {call} must give {result}, but {what} cannot be called so: the order is "
            f"nn.diagnose(model, loss, x, y, history, optimizer=optimizer), and {name} is {what}."
        )
