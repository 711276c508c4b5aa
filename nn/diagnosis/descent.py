"""What is wrong with the way down: gradients that vanish, explode or do not arrive, steps too large, rates too low.

Read next: `progress.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from autograd_lite.program import Operation, Program, Variable

from ..modules import Module
from .anatomy import Layer, place_of
from .case import Case
from .findings import ERROR, HINT, WARNING, Finding
from .targets import unscaled_targets
from .trial import STEPS
from .units import saturated_units, units_all_alike, weights_out_of_scale

VANISHING, EXPLODING = 1e-3, 1e2  # the error at the first layer beside that at the last but one
FAR = 3.0  # a step that many times the weights
STALLED, DOWN = 2e-4, 0.05  # shares of the loss that a rate takes away in 20 steps: next to nothing, and enough


def not_a_number(case: Case) -> Iterator[Finding]:
    """Parameters, predictions or a loss that are NaN or infinite, though the data are not."""
    spoilt = [name for name, each in case.parameters.items() if not np.all(np.isfinite(each))]
    if spoilt:
        where, seen = spoilt[0], f"The parameters {', '.join(spoilt[:3])} hold NaN or infinity"
    elif not np.all(np.isfinite(case.prediction)):
        bad = [op for op in case.program.operations if not _finite(case, op)]
        where = place_of(bad[0]) if bad else "the output"
        seen = f"The parameters are finite, the predictions are not: the first NaN or infinity comes from {where}"
    elif case.whole is not None and not np.isfinite(case.loss):
        where, seen = "the loss", f"The predictions are finite, and their loss is {case.loss}"
    else:
        return
    yield Finding(
        "not finite",
        f"{seen}.",
        "Start again with a tenth of the rate (nn.utils.clip_grad_norm_ bounds a step); ag.detect_anomaly() names the "
        "operation. A logarithm or quotient of 0 in a loss: use one that takes raw scores, as nn.CrossEntropyLoss.",
        where,
        1.0,
        ERROR,
    )


def _finite(case: Case, operation: Operation) -> bool:
    return all(np.all(np.isfinite(case.values[each])) for each in operation.outputs)


def no_parameters(case: Case) -> Iterator[Finding]:
    """Nothing that could be trained: weights that are plain arrays are constants."""
    if case.whole is None or case.both is not None:
        return
    yield Finding(
        "no parameters",
        "No parameter of the model reaches the loss, so there is nothing to train, and its weights could not be looked "
        "at: plain arrays are taken for constants.",
        'Make them tensors: W = ag.tensor(W, requires_grad=True, name="W"); or pass an nn.Module.',
        "the model",
        1.0,
        ERROR,
    )


def unused_parameters(case: Case) -> Iterator[Finding]:
    """Parameters that the loss does not depend on, and an optimizer of something else."""
    if case.both is None or case.whole is None or not isinstance(case.model, Module):
        return
    reached = _reached(case.whole)
    used = {id(case.whole.values[each].array) for each in reached if each in case.whole.values}
    unused = [name for name, each in case.parameters.items() if id(each) not in used]
    if unused:
        yield Finding(
            "parameters without gradient",
            f"{len(unused)} of {len(case.parameters)} parameters do not reach the loss: {', '.join(unused[:6])}.",
            "Use them in forward, or take them out; a value that was detached (.detach(), .data) gives no gradient.",
            unused[0],
            0.9,
            HINT,
        )


def _reached(program: Program) -> set[Variable]:
    """The variables through which gradients flow from a program's result."""
    found = {each for each in program.outputs if isinstance(each, Variable)}
    for operation in reversed(program.operations):
        if any(each in found and each.requires_grad for each in operation.outputs):
            found.update(operation.reads)
    return found


def foreign_optimizer(case: Case) -> Iterator[Finding]:
    """An optimizer that has none of the parameters that the loss depends on."""
    if case.optimizer is None or case.both is None:
        return
    owned = {id(each.data) for group in case.optimizer.param_groups for each in group["params"]}
    trained = [leaf for leaf in case.both.values.values() if leaf.requires_grad]
    if trained and not any(id(leaf.array) in owned for leaf in trained):
        yield Finding(
            "optimizer of other parameters",
            f"The loss depends on {len(trained)} parameters, and the optimizer holds none of them: no step will change "
            "the model.",
            "Make the optimizer of this model's parameters, after the model: nn.optim.Adam(model.parameters()).",
            "the optimizer",
            1.0,
            ERROR,
        )


def gradients_by_depth(case: Case) -> Iterator[Finding]:
    """Errors that shrink or grow on the way back from the last layer to the first."""
    errors = []
    # The last layer is left out: it may well start small, which makes all errors before it small alike.
    for level in case.anatomy.levels()[:-1]:  # of layers side by side, the one that gets most
        sizes = [(_error(case, layer), layer.name) for layer in level]
        errors += [max(sizes)] if max(sizes)[0] > 0 else []
    if len(errors) < 2 or case.learned or case.on_its_way:
        return
    if any(saturated_units(case)) or any(units_all_alike(case)) or any(weights_out_of_scale(case)):
        return  # then it is their doing, and told there
    ratio = errors[0][0] / errors[-1][0]
    if VANISHING <= ratio <= EXPLODING:
        return
    word, remedy = (
        ("vanishing", "relu or tanh in place of sigmoid, weights scaled to the fan-in, nn.BatchNorm1d, fewer layers.")
        if ratio < 1
        else ("exploding", "Weights scaled to the fan-in, nn.utils.clip_grad_norm_, nn.LayerNorm.")
    )
    yield Finding(
        f"gradients {word}",
        f"The error arriving at {errors[0][1]} is {ratio:.2g} times that at {errors[-1][1]}, {len(errors) - 1} layers "
        f"later: by layer {', '.join(f'{size:.1e}' for size, _ in errors)}.",
        remedy,
        f"{errors[0][1]} to {errors[-1][1]}",
        0.85,
        WARNING,
    )


def _error(case: Case, layer: Layer) -> float:
    """The size of the error that arrives at a layer: its weight's gradient, beside its inputs; 0 if it is not known."""
    gradient, size = case.gradient(layer.weight), _size(case.values[layer.input])
    return 0.0 if gradient is None or not size or not np.all(np.isfinite(gradient)) else _size(gradient) / size


def _size(values: object) -> float:
    wide = np.asarray(values, np.float64)
    return float(np.sqrt(np.mean(wide * wide))) if wide.size else 0.0


def step_too_large(case: Case) -> Iterator[Finding]:
    """A step many times as large as the weights that it changes."""
    rates = case.rates
    if rates is None or case.learned:
        return
    course = rates.course(1.0, steps=1)
    name, ratio = max(course.relative_changes.items(), key=lambda item: item[1], default=("", 0.0))
    if not ratio > FAR or rates[0.01].last > 0.98 * rates[1.0].last:
        return
    yield Finding(
        "step larger than the weights",
        f"One step moves {name} by {ratio:.3g} times its own size. {STEPS} steps at this rate take the loss from "
        f"{rates.start:.4g} to {rates[1.0].last:.4g}, at a hundredth of it to {rates[0.01].last:.4g}."
        + f" The loss is a sum over {len(case.records)} records."
        * case.summed,
        f"A rate {_power(ratio / 0.03)} times smaller"
        + f", or np.mean for np.sum in the loss, which divides the step by {len(case.records)}" * case.summed
        + ".",
        name,
        min(0.99, 0.7 + 0.1 * float(np.log10(ratio))),
        ERROR,
    )


def _power(number: float) -> str:
    return f"{10 ** round(float(np.log10(number))):,}"


def rate_too_high(case: Case) -> Iterator[Finding]:
    """A rate that leads up, where a smaller one leads down."""
    rates = case.rates
    if rates is None or case.learned or any(step_too_large(case)):
        return
    gain = rates.gain(1.0)
    if gain > 0:
        return
    smaller = max((rates.gain(factor), factor) for factor in (0.1, 0.01))
    if smaller[0] < 0.2 and not (gain < -0.5 and smaller[0] > 0):
        return
    factor = smaller[1]
    yield Finding(
        "rate too high",
        f"{STEPS} steps at your rate ({case.rate:.3g}) take the loss from {rates.start:.4g} to "
        f"{rates[1.0].last:.4g}, at {case.rate * factor:.3g} to {rates[factor].last:.4g}.",
        f"Try a rate of {case.rate * factor:.3g}.",
        "the optimizer",
        0.85,
        WARNING,
    )


def rate_too_low(case: Case) -> Iterator[Finding]:
    """A rate at which nothing moves, where a hundred times as much leads down."""
    rates = case.rates
    if rates is None or len(case.records) < 2 or case.rate <= 0 or _decayed(case):
        return
    if case.learned or case.on_its_way:
        return
    gain = rates.gain(1.0)
    if abs(gain) >= STALLED:
        return
    for factor in (1e2, 1e3, 1e4, 1e5, 1e6):
        more = rates.gain(factor)
        if more >= DOWN:
            break
    # Where a rate is too low, what it takes away grows with it; on a plateau it does not.
    if more < DOWN or gain > 10 * more / factor or rates.gain(10.0) < gain or any(unscaled_targets(case)):
        return
    yield Finding(
        "rate too low",
        f"{STEPS} steps at your rate ({case.rate:.3g}) change the loss by {gain:.1e} of itself, at {factor:,.0f} times "
        f"that rate by {more:.1%}.",
        f"Try a rate of {factor * case.rate:.3g}.",
        "the optimizer",
        0.85,
        WARNING,
    )


def _decayed(case: Case) -> bool:
    """Whether a schedule has brought the rate down from a larger one: that is as it should be."""
    first = max((group.get("initial_lr", 0.0) for group in case.optimizer.param_groups), default=0.0)
    seen = [row["lr"] for row in case.history if "lr" in row]
    return max([first, *seen]) > 5 * case.rate


CHECKS = (
    not_a_number,
    no_parameters,
    foreign_optimizer,
    unused_parameters,
    gradients_by_depth,
    step_too_large,
    rate_too_high,
    rate_too_low,
)
