"""What is wrong with the answers: softmaxes over the wrong axis, activations twice, the same answer to everything.

Read next: `units.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .anatomy import place_of
from .case import Case
from .findings import ERROR, WARNING, Finding

MOST = 0.6  # the share of a class from which it may well be the best answer to everything
FLAT = 1e-3  # answers that vary less than this, beside the targets, are one answer
FEW = 16  # outputs for each record: up to so many are quantities of their own
CLOSE = 0.05  # of the way between an output's ends: that near to one counts as there
_TAKES_SCORES = frozenset(
    """cross_entropy_of_labels cross_entropy_of_probabilities log_softmax_along log_softmax softmax softmax_along
    binary_cross_entropy_with_logits logsigmoid""".split()
)
_GIVES_PROBABILITIES = frozenset("softmax softmax_along sigmoid".split())


def softmax_rows(case: Case) -> Iterator[Finding]:
    """A softmax whose sum runs over the records too: its rows do not sum to 1."""
    for operation, result in case.anatomy.softmaxes():
        rows = case.anatomy.records_first(result, case.values[result])
        if rows is None or rows.ndim < 2 or not np.all(np.isfinite(rows)):
            continue
        axes = (*((each,) for each in range(1, rows.ndim)), tuple(range(1, rows.ndim)))
        sums = [np.sum(rows, axis=each, dtype=np.float64) for each in axes]
        if any(np.allclose(each, 1, atol=1e-3) for each in sums):
            continue
        last = sums[-1]
        yield Finding(
            "softmax rows do not sum to 1",
            f"Over {len(rows)} records the rows of the softmax sum to {last.min():.3g} up to {last.max():.3g}: its sum "
            "runs over more than one record, so each answer depends on the others, and the loss with it.",
            "np.sum(e, axis=1, keepdims=True), and the same axis for the maximum; or nn.Softmax(dim=1).",
            place_of(operation),
            1.0,
            ERROR,
        )


def activation_twice(case: Case) -> Iterator[Finding]:
    """A softmax or sigmoid before a function that takes raw scores and applies it itself."""
    anatomy = case.loss_anatomy
    for operation in anatomy.program.operations if anatomy else ():
        if operation.primitive.name not in _TAKES_SCORES:
            continue
        below = anatomy.below(operation.inputs[0])  # type: ignore[union-attr]  # the loop runs if there is one
        if below is not None and (below.primitive.name in _GIVES_PROBABILITIES or below in _softmax_makers(case)):
            first, second = str(below.primitive.name), str(operation.primitive.name)
            yield Finding(
                "activation twice",
                f"{second} takes raw scores and applies its own {'softmax' if 'bin' not in second else 'sigmoid'}; it "
                f"gets the result of {first}, numbers between 0 and 1. Its answers can never be sure, and its gradient "
                "is small.",
                f"Take the {first.removesuffix('_along')} away: end the network in the raw scores.",
                place_of(below),
                0.95,
                ERROR,
            )


def _softmax_makers(case: Case) -> list[object]:
    return [] if case.loss_anatomy is None else [operation for operation, _ in case.loss_anatomy.softmaxes()]


def saturating_output(case: Case) -> Iterator[Finding]:
    """A regression that ends in a function with two ends, and targets at the ends."""
    low, high = case.interval
    y = case.y[np.isfinite(case.y)] if case.y.dtype.kind == "f" else case.y
    if not (np.isfinite(low) and np.isfinite(high) and low < high) or case.learned or case.labels is not None:
        return
    if not case.compares or not y.size or y.min() < low or y.max() > high:
        return
    if case.prediction.size > FEW * len(case.few_y) or np.array_equal(case.y, case.x):
        return  # pixels, or a code of the inputs: a sigmoid suits them
    share = (y - low) / (high - low)
    inside = np.mean((share > 0.01) & (share < 0.99))
    near = np.mean((share < CLOSE) | (share > 1 - CLOSE))
    if inside < 0.5 or near == 0 or len(np.unique(y)) <= min(10, y.size / 2):
        return
    maker = case.anatomy.below(case.output)
    name = maker.primitive.name if maker else "output"
    yield Finding(
        "saturating output",
        f"The targets are a continuous quantity ({len(np.unique(y))} values from {y.min():.3g} to {y.max():.3g}), the "
        f"output is a {name}: it reaches {low:.3g} and {high:.3g} at infinite weights only, and {near:.0%} of the "
        "targets lie within 5% of them, where its slope is next to 0.",
        "End in a linear output: a regression needs no activation at its end.",
        "the output",
        0.8,
        WARNING,
    )


def one_answer(case: Case) -> Iterator[Finding]:
    """The same prediction, or the same class, for every record, after training."""
    rows = case.anatomy.records_first(case.output, case.prediction)
    if rows is None or len(rows) < 4 or case.learned or not np.all(np.isfinite(rows)) or not np.isfinite(case.loss):
        return
    y = case.few_y.astype(np.float64)
    if case.both is None or np.ptp(y) == 0 or _last_layer_is_zero(case):
        return
    spread = float(np.max(np.std(rows, axis=0, dtype=np.float64)))
    size = float(np.max(np.abs(rows)))
    constant = spread <= FLAT * (min(size, float(np.std(y))) if y.shape == case.prediction.shape else size)
    classes = None if case.guesses is None or case.labels is None else np.unique(case.guesses)
    one = classes is not None and len(classes) == 1 and len(np.unique(np.asarray(case.labels))) > 1
    share = float(np.mean(case.labels == classes[0])) if one and classes is not None else 1.0
    if not (constant or (share < MOST and case.history and case.activations)) or case.alive:
        return
    evidence = f"Over {len(rows)} records the predictions differ by a standard deviation of {spread:.2g}."
    if one and classes is not None:
        evidence = f"All {len(rows)} records get class {classes[0]}, the class of {share:.1%}. {evidence}"
    yield Finding(
        "one class for all" if one else "constant predictions",
        f"{evidence} The loss is {case.loss:.4g}, that of the best constant answer {case.constant_loss:.4g}, and fifty "
        "steps of Adam from here do not bring it below.",
        "Start again from new weights (nn.init.xavier_uniform_), with biases and a smaller rate, and remedy the other "
        "findings first; check hand-written gradients with ag.check_backprop.",
        "the output",
        0.9,
        ERROR,
    )


def _last_layer_is_zero(case: Case) -> bool:
    """A start with a last layer of zeros is a sound one: its own gradient is not zero."""
    return bool(case.layers) and not np.any(case.values[case.layers[-1].weight])


CHECKS = (softmax_rows, activation_twice, saturating_output, one_answer)
