"""What is wrong inside: saturated and dead units, weights too large or too small, no biases, units that are all alike.

Read next: `descent.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .anatomy import Activation, Layer
from .case import Case
from .findings import ERROR, HINT, WARNING, Finding
from .records import Array

FLAT = 0.02  # a slope below this share of its largest counts as none
SATURATED = 0.4  # the share of a layer's values
DEAD = 0.75  # the share of a layer's units
TOO_LARGE, TOO_SMALL = 5.0, 0.025  # how much larger or smaller a layer's sums are than its inputs


def saturated_units(case: Case) -> Iterator[Finding]:
    """Layers of sigmoid or tanh whose slopes have gone."""
    if case.learned:
        return
    found = []
    for each in case.activations:
        flat = _flat(case, each)
        if flat.size and each.output is case.anatomy.source(case.output):
            if not case.compares:
                continue  # a cross-entropy undoes the slope of its own sigmoid
            flat &= np.abs(case.prediction - case.few_y).reshape(flat.shape) > 0.3
        share = float(np.mean(flat)) if flat.size else 0.0
        if share >= (0.9 if case.on_its_way else SATURATED):
            found.append((share, float(np.median(np.abs(case.values[each.input]))), each))
    if not found:
        return
    share, z, worst = max(found, key=lambda each: each[0])
    yield Finding(
        "saturated units",
        f"{share:.0%} of the values of {worst.name} lie where the {worst.kind}'s slope is below {FLAT:.0%} of the "
        f"largest (half of its inputs are beyond +-{z:.3g}), so next to no gradient passes." + _others(found, worst),
        "Smaller weights (normal * sqrt(1 / fan_in), nn.init.xavier_uniform_), inputs of size 1, a smaller rate.",
        ", ".join(each.name for _, _, each in found),
        min(0.99, 0.6 + 0.4 * share),
        ERROR if share > 0.9 else WARNING,
    )


def _flat(case: Case, each: Activation) -> Array:
    """Where the slope of a sigmoid or tanh has gone."""
    y = np.asarray(case.values[each.output], np.float64)
    if each.kind == "sigmoid":
        return np.asarray(4 * y * (1 - y) < FLAT)
    return np.asarray(1 - y * y < FLAT) if each.kind == "tanh" else np.zeros(0, bool)


def _others(found: list[tuple[float, float, Activation]], worst: Activation) -> str:
    rest = [f"{share:.0%} of {each.name}" for share, _, each in found if each is not worst]
    return f" Likewise {', '.join(rest)}." if rest else ""


def dead_units(case: Case) -> Iterator[Finding]:
    """Layers of relu in which most units are 0 for every record."""
    if case.learned or any(units_all_alike(case)):
        return
    found = []
    for each in case.activations:
        if each.kind != "relu" or each.output is case.anatomy.source(case.output):
            continue
        columns = case.anatomy.by_unit(each.output, case.values[each.output])
        if columns is None or len(columns) < 4:
            continue
        dead = np.all(columns == 0, axis=0)
        share = float(np.mean(dead))
        if share == 1 or (share >= DEAD and len(dead) >= 6 and len(columns) >= 16 and not case.on_its_way):
            found.append((share, f"{dead.sum()} of {len(dead)} units of {each.name}", each.name))
    if not found:
        return
    share = max(each for each, _, _ in found)
    yield Finding(
        "dead units",
        f"{', '.join(text for _, text, _ in found)} are 0 for all {len(case.few_x)} records: their slope is 0 too, and "
        "they will not come back.",
        "Weights normal * sqrt(2 / fan_in) (nn.init.kaiming_normal_), biases that start at 0, a smaller rate, or "
        "nn.LeakyReLU.",
        ", ".join(name for _, _, name in found),
        0.7 if share < 1 else 0.97,
        ERROR if share == 1 else WARNING,
    )


def weights_out_of_scale(case: Case) -> Iterator[Finding]:
    """Weights whose sums are far larger or smaller than their inputs: the scale does not suit the fan-in."""
    if case.learned or case.on_its_way:
        return
    alike = _alike(case)
    scales = []
    for layer in case.layers[:-1] if len(case.layers) > 1 else case.layers:
        w = np.asarray(case.values[layer.weight], np.float64)
        if case.anatomy.normalised(layer):
            continue
        if layer not in alike and w.ndim > 1 and np.all(np.isfinite(w)) and w.any():
            size = float(np.sqrt(np.mean(w * w)))
            scales.append((size * float(np.sqrt(layer.fan_in)), size, layer))
    large = [each for each in scales if each[0] > TOO_LARGE and _harmed(case, each[2])]
    small = [each for each in scales if each[0] < TOO_SMALL]
    for found, word, effect, remedy in (
        (large, "large", "what follows is saturated or grows from layer to layer", " If they grew, lower the rate."),
        (small, "small", "all records look alike from here on, and the gradient is as small: a plateau", ""),
    ):
        if not found:
            continue
        ratio, size, worst = max(found, key=lambda each: abs(np.log(each[0])))
        rest = [f"{other.name} ({by:.3g} times)" for by, _, other in found if other is not worst]
        yield Finding(
            f"weights too {word}",
            f"{worst.name} has a root mean square of {size:.3g} at a fan-in of {worst.fan_in}, where "
            f"{1 / np.sqrt(worst.fan_in):.3g} is usual: its sums are {ratio:.3g} times its inputs, so that {effect}."
            + (f" Likewise {', '.join(rest)}." if rest else ""),
            "Start from normal * sqrt(1 / fan_in) (nn.init.xavier_uniform_), for relu sqrt(2 / fan_in) "
            f"(nn.init.kaiming_normal_).{remedy}",
            ", ".join(layer.name for _, _, layer in found),
            0.7 if 1 < ratio < 2 * TOO_LARGE else 0.9,
            WARNING,
        )


def _harmed(case: Case, layer: Layer) -> bool:
    """Whether large weights do harm: a squashing function after them is flat, or the answers have run away."""
    for each in case.activations:
        if each.kind in ("sigmoid", "tanh") and case.anatomy.source(each.input) is layer.output:
            return bool(np.mean(_flat(case, each)) > 0.15)
    return bool(case.constant_loss > 0 and case.loss > 10 * case.constant_loss)


def units_all_alike(case: Case) -> Iterator[Finding]:
    """Units that start the same and get the same gradient: they stay one unit many times over."""
    found = _alike(case)
    counts = [(layer.weight.shape[layer.unit_axis or 0], layer) for layer in found]
    told = [f"{units - _different(case, layer) + 1} of the {units} units of {layer.name}" for units, layer in counts]
    if found:
        yield Finding(
            "units all alike",
            f"{', '.join(told)} have the same weights and the same gradient: no step will ever tell them apart, so "
            "that a layer is one unit many times over.",
            "Start from random weights (nn.init.xavier_uniform_); zeros and equal numbers are for biases only.",
            ", ".join(layer.name for layer in found),
            0.99,
            ERROR,
        )


def _alike(case: Case) -> list[Layer]:
    """The hidden layers most of whose units have both weights and gradients in common."""
    found = []
    for layer in case.layers:
        if layer.unit_axis is None or layer.output is case.anatomy.source(case.output) or case.both is None:
            continue
        if layer is case.layers[-1] or layer.weight.shape[layer.unit_axis] < 2 or layer.fan_in < 1:
            continue
        if _different(case, layer) <= layer.weight.shape[layer.unit_axis] / 2:
            found.append(layer)
    return found


def _different(case: Case, layer: Layer) -> int:
    """How many of a layer's units differ in their weights or in their gradients."""
    gradient = case.gradient(layer.weight)
    parts = [np.asarray(case.values[layer.weight], np.float64)]
    if gradient is not None:
        largest = float(np.max(np.abs(gradient), initial=0)) or 1.0
        parts.append(np.round(np.asarray(gradient, np.float64) / largest, 4))
    first = [np.moveaxis(each, layer.unit_axis or 0, 0) for each in parts]
    rows: Array = np.concatenate([each.reshape(len(each), -1) for each in first], axis=1)
    return len(np.unique(rows, axis=0))


def no_biases(case: Case) -> Iterator[Finding]:
    """A network of units that all have their middle at the origin."""
    names = {each.primitive.name for each in case.program.operations}
    shifted = any(each.biased for each in case.layers) or names & {"concatenate", "embedding", "standardized"}
    if shifted or case.learned or not case.layers or not case.activations or _constant_column(case):
        return
    adds = [each for each in case.program.operations if each.primitive.name in ("add", "subtract")]
    if any(getattr(case.anatomy.source(value), "kind", "") == "parameter" for each in adds for value in each.inputs):
        return
    count = len(case.layers)
    yield Finding(
        "no biases",
        f"None of the {count} linear maps adds a bias, and no input column is constant: every unit has its middle at "
        "x = 0, and none can be moved to where the data are.",
        "Add a bias to each layer (nn.Linear has one by default), or a column of ones to the inputs.",
        ", ".join(each.name for each in case.layers),
        0.6,
        HINT,
    )


def _constant_column(case: Case) -> bool:
    """Whether an input is the same number, and not 0, for all records."""
    columns = case.records.rows(case.few_x)
    size = np.sqrt(np.mean(columns**2))
    return len(columns) > 1 and bool(np.any((np.ptp(columns, axis=0) == 0) & (np.abs(columns[0]) > 0.3 * size)))


CHECKS = (saturated_units, dead_units, weights_out_of_scale, units_all_alike, no_biases)
