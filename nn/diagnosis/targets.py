"""What is wrong with the data and the loss: values that are no numbers, labels, shapes, targets out of reach.

Read next: `outputs.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .case import Case
from .findings import ERROR, HINT, WARNING, Finding
from .records import Array
from .trial import STEPS

FAR = 1000.0  # a target's size, in itself and beside the predictions'
LARGE, SMALL, APART = 10.0, 1e-3, 1000.0  # sizes of an input column beside 1, and of the largest beside the smallest


def records_that_do_not_match(case: Case) -> Iterator[Finding]:
    """x and y with unequal numbers of records."""
    if not case.records.matched:
        yield Finding(
            "records do not match",
            f"x has shape {case.x.shape} and y {case.y.shape}: the numbers of records differ.",
            "Give each record its target: len(x) == len(y).",
            "x and y",
            1.0,
            ERROR,
        )


def values_that_are_no_numbers(case: Case) -> Iterator[Finding]:
    """NaN or infinity in the data."""
    for name, array in (("x", case.x), ("y", case.y)):
        finite = np.isfinite(array)
        if not finite.all():
            bad = np.argwhere(~finite)
            first = ", ".join(map(str, bad[0]))
            yield Finding(
                "data not finite",
                f"{len(bad)} of {array.size} entries of {name} are NaN or infinite, the first is {name}[{first}]. "
                "One is enough to make every weight NaN.",
                "Drop those records, or put a value in their place (the column's mean), and say so.",
                name,
                1.0,
                ERROR,
            )


def refused_targets(case: Case) -> Iterator[Finding]:
    """Targets that the loss does not take."""
    if case.whole is None and not any(labels_out_of_range(case)):
        yield Finding(
            "loss refuses the targets",
            f"{type(case.refusal).__name__}: {case.refusal}",
            "Give the loss targets of the shape and type that it says.",
            "the loss",
            1.0,
            ERROR,
        )


def labels_out_of_range(case: Case) -> Iterator[Finding]:
    """Class indices that are no class, and probabilities outside [0, 1]."""
    out, y = case.prediction, case.y
    if y.dtype.kind in "iu" and out.ndim == y.ndim + 1 and out.shape[2:] == y.shape[1:] and y.size:
        classes = out.shape[1]
        ignored = getattr(case.loss_fn, "ignore_index", -100)
        bad = (y != ignored) & ((y < 0) | (y >= classes))
        if bad.any():
            remedy = "Number the classes from 0, or give the network an output for each."
            if y.min() == 1 and y.max() == classes:
                remedy = "The labels count from 1: subtract 1."
            yield _out_of_range(y, bad, f"the {classes} outputs stand for the classes 0 to {classes - 1}", remedy)
    elif case.loss_anatomy is not None and y.dtype.kind in "fiub":
        names = {each.primitive.name for each in case.loss_anatomy.program.operations}
        bad = np.isfinite(y) & ((y < 0) | (y > 1))
        if bad.any() and "binary_cross_entropy_with_logits" in names:
            yield _out_of_range(
                y,
                bad,
                "a binary cross-entropy needs targets from 0 to 1; beyond, it has no lowest point",
                "Make the target 0 or 1, or a share between them; for more classes use CrossEntropyLoss.",
            )


def _out_of_range(y: Array, bad: Array, why: str, remedy: str) -> Finding:
    first = ", ".join(map(str, np.argwhere(bad)[0]))
    return Finding(
        "labels out of range",
        f"The targets run from {y.min():.6g} to {y.max():.6g}, but {why}: {bad.sum()} of {y.size} are outside, the "
        f"first is y[{first}].",
        remedy,
        "y",
        1.0,
        ERROR,
    )


def broadcast_targets(case: Case) -> Iterator[Finding]:
    """(N,) against (N, 1): every prediction is compared with every target."""
    out, y = case.prediction, case.few_y
    if case.whole is None or out.size != y.size or out.shape == y.shape or out.size < 2:
        return
    now, meant = case.loss_of(out), case.loss_of(out, np.reshape(y, out.shape))
    if np.isfinite(now) and np.isfinite(meant) and abs(now - meant) > 1e-5 * max(abs(now), abs(meant)):
        pair = np.broadcast_shapes(out.shape, y.shape)
        yield Finding(
            "targets broadcast",
            f"Predictions {out.shape} meet targets {y.shape}, which NumPy spreads to {pair}: each prediction is "
            f"compared with every target. The loss is {now:.4g}; record by record it is {meant:.4g}.",
            f"np.reshape(y, {tuple(-1 if i == 0 else n for i, n in enumerate(out.shape))}) before the loss.",
            "the loss",
            1.0,
            ERROR,
        )


def unreachable_targets(case: Case) -> Iterator[Finding]:
    """Targets that the output cannot take, whatever the weights."""
    low, high = case.interval
    y = case.y
    if not np.isfinite([low, high]).any() or case.few_y.shape != case.prediction.shape or case.whole is None:
        return
    margin = 1e-6 * max(1.0, *(abs(each) for each in (low, high) if np.isfinite(each)))
    beyond = np.isfinite(y) & ((y < low - margin) | (y > high + margin))
    if not beyond.any() or not _drawn_beyond(case, low + margin, high - margin):
        return
    maker = case.anatomy.below(case.output)
    ends = f"[{low:.4g}, {high:.4g}]".replace("-inf", "-infinity").replace("inf]", "infinity)")
    yield Finding(
        "targets out of reach",
        f"The output ({maker.primitive.name if maker else 'of the model'}) can only be in {ends}, and the targets run "
        f"from {np.nanmin(y):.4g} to {np.nanmax(y):.4g}: {beyond.sum()} of {y.size} ({beyond.mean():.1%}) lie outside. "
        "The output is pushed to its end, where its slope is 0.",
        f"Bring the target into {ends}: divide it by its maximum, or ask a yes-or-no question; or end in a linear "
        "output.",
        "the output and y",
        0.99,
        ERROR,
    )


def _drawn_beyond(case: Case, low: float, high: float) -> bool:
    """Whether the loss draws the output to its target, out of what it can reach; a target may be no wish at all."""
    if case.compares:
        return True
    few = (case.few_y < low) | (case.few_y > high)
    at_target, near = case.pull(case.few_y), case.pull(np.clip(case.few_y, low, high))
    if at_target is None or near is None or not few.any() or np.all(np.isfinite(at_target[few])):
        return False
    outwards = np.where(case.few_y > high, -near, near)[few]
    return bool(np.all(outwards > 0))


def unscaled_inputs(case: Case) -> Iterator[Finding]:
    """Inputs far from size 1 that go straight into a trained linear map."""
    first = [each for each in case.layers if case.anatomy.source(each.input) is case.program.inputs[0]]
    if not first or case.learned or case.records.axis is None or case.x.dtype.kind == "b":
        return
    columns = case.records.rows(case.few_x)
    sizes = np.sqrt(np.mean(columns**2, axis=0))
    sizes = sizes[sizes > 0]
    if not sizes.size:
        return
    large, small = float(sizes.max()), float(sizes.min())
    if large > LARGE:
        seen = f"the largest input column has a root mean square of {large:.4g}, the smallest of {small:.4g}"
    elif large < SMALL:
        seen = f"no input column has a root mean square above {large:.2g}"
    else:
        return
    yield Finding(
        "inputs not scaled",
        f"The inputs run from {columns.min():.4g} to {columns.max():.4g}; {seen}. Weights start for inputs of size 1.",
        "nn.standardize(x), with the mean and deviation of the training rows; pixels / 255.",
        "x",
        0.9 if large > 10 * LARGE or large / small > APART else 0.6,
        WARNING,
    )


def unscaled_targets(case: Case) -> Iterator[Finding]:
    """Targets so large that the output would have to grow for ages to reach them."""
    if not case.compares or case.learned or case.on_its_way or np.isfinite(case.interval).any():
        return
    y, out = case.few_y, case.prediction
    size, reached = (float(np.sqrt(np.mean(np.square(each, dtype=np.float64)))) for each in (y, out))
    if size < FAR or reached > size / FAR:
        return
    yield Finding(
        "targets not scaled",
        f"The targets run from {y.min():.4g} to {y.max():.4g}, the predictions from {out.min():.4g} to "
        f"{out.max():.4g}: they are {size / max(reached, 1e-30):.2g} times too small. Weights start for outputs of "
        "size 1.",
        "nn.standardize(y), and undo it in the predictions.",
        "y",
        0.8,
        WARNING,
    )


def a_sum_for_a_mean(case: Case) -> Iterator[Finding]:
    """A loss that grows with the number of records."""
    count = case.few_x.shape[case.records.axis] if case.records.axis is not None else 1
    if not case.summed or len(case.records) < 32 or case.learned or count < 2:
        return
    rates = case.rates
    if case.optimizer is not None and (rates is None or rates.gain(1.0) >= 0 or rates.gain(1 / len(case.records)) <= 0):
        return
    evidence = f"Twice the same records make the loss twice as large: it is a sum, over {len(case.records)} records."
    if rates is not None:
        evidence += (
            f" {STEPS} steps at your rate take the loss from {rates.start:.4g} to "
            f"{rates[1.0].last:.4g}, at 1/{len(case.records)} of it to {rates[1 / len(case.records)].last:.4g}."
        )
    yield Finding(
        "a sum for a mean",
        evidence,
        "np.mean in place of np.sum (or divide by the number of records, not of classes), so that the rate does not "
        "depend on how many records there are.",
        "the loss",
        0.5 if rates is None else 0.9,
        HINT if rates is None else WARNING,
    )


CHECKS = (
    records_that_do_not_match,
    values_that_are_no_numbers,
    refused_targets,
    labels_out_of_range,
    broadcast_targets,
    unreachable_targets,
    unscaled_inputs,
    unscaled_targets,
    a_sum_for_a_mean,
)
