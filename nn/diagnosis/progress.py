"""What a history of figures shows: a loss that rises with the accuracy, one that runs away, one that stands still.

Read next: `../fitting.py`, which makes a history.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .case import Case
from .findings import ERROR, Finding
from .records import Array

RISING = 0.7  # the rank correlation with the epochs from which a figure counts as rising
STILL = 1e-3  # a loss that moves by less than this share of itself stands still


def loss_rises_with_accuracy(case: Case) -> Iterator[Finding]:
    """A training loss and an accuracy that rise together: it is not that loss that is descended."""
    loss = _column(case, "loss")
    accuracies = [name for name in _names(case) if "acc" in name.lower()]
    if loss is None or len(loss[1]) < 3 or not accuracies:
        return
    name, losses = loss
    for other in accuracies:
        right = _figures(case, other)
        if len(right) != len(losses) or _trend(losses) < RISING or _trend(right) < RISING:
            continue
        if losses[-1] <= 1.02 * losses[0] or right[-1] <= right[0] + 0.005:
            continue
        yield Finding(
            "loss rises while accuracy rises",
            f"Over {len(losses)} epochs {name} goes from {losses[0]:.4g} to {losses[-1]:.4g} while {other} goes from "
            f"{right[0]:.2%} to {right[-1]:.2%}. What is descended is not the loss that is reported.",
            "Report the loss that is differentiated: the softmax taken by row, the mean taken over records and not "
            "over classes, and the backward pass that of this very loss (ag.check_backprop tells).",
            f"history[{name!r}]",
            0.95,
            ERROR,
        )
        return


def loss_runs_away(case: Case) -> Iterator[Finding]:
    """A training loss that has become NaN, or several times what it was."""
    found = _column(case, "loss")
    if found is None or any(loss_rises_with_accuracy(case)):
        return
    name, losses = found
    if np.all(np.isfinite(losses)) and (len(losses) < 2 or not losses[-1] > 2 * losses[0] > 0 or case.learned):
        return
    yield Finding(
        "loss runs away",
        f"Over {len(losses)} epochs {name} goes from {losses[0]:.4g} to {losses[-1]:.4g}.",
        "A rate ten times smaller, inputs of size 1, nn.utils.clip_grad_norm_; and look at the sign: weights move "
        "against the gradient.",
        f"history[{name!r}]",
        0.95,
        ERROR,
    )


def plateau(case: Case) -> Iterator[Finding]:
    """A training loss that stands still at that of the best constant answer."""
    found = _column(case, "loss")
    if found is None or len(found[1]) < 5 or case.learned or not np.isfinite(case.constant_loss):
        return
    if not case.activations or case.both is None:
        return  # a linear model has no plateaus: where it stands still, the data have no more to tell
    name, losses = found
    last = losses[-5:]
    if not np.all(np.isfinite(last)) or np.ptp(last) > STILL * abs(np.mean(last)):
        return
    if case.share_learned(case.loss) > 0.02 or case.alive:
        return
    yield Finding(
        "plateau",
        f"Over the last 5 of {len(losses)} epochs {name} stays between {last.min():.5g} and {last.max():.5g}; the best "
        f"constant answer has {case.constant_loss:.5g}. Fifty steps of Adam from here do not lead off it.",
        "Start again from larger, random weights (nn.init.xavier_uniform_) with biases; nn.optim.Adam, or momentum.",
        f"history[{name!r}]",
        0.8,
        ERROR,
    )


def _names(case: Case) -> list[str]:
    return list(case.history[0]) if case.history else []


def _figures(case: Case, name: str) -> Array:
    return np.array([row[name] for row in case.history if name in row], np.float64)


def _column(case: Case, word: str) -> tuple[str, Array] | None:
    """The training figure whose name has a word in it: not that of a validation."""
    for name in sorted(_names(case), key=len):
        if word in name.lower() and not name.lower().startswith(("val", "test", "dev")):
            return name, _figures(case, name)
    return None


def _trend(figures: Array) -> float:
    """Spearman's rank correlation of figures with their order."""
    if not np.all(np.isfinite(figures)) or np.ptp(figures) == 0:
        return 0.0
    ranks = np.argsort(np.argsort(figures))
    return float(np.corrcoef(ranks, np.arange(len(figures)))[0, 1])


CHECKS = (loss_rises_with_accuracy, loss_runs_away, plateau)
