"""Mistakes that show without a look at the network: the right numbers in a wrong shape, exchanged, or no gradients.

Read next: `diagnosis.py`, which looks for the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .recording import Array
from .reports import Comparison, Finding, Report


def handed_over(report: Report, params: dict[str, Any]) -> Iterator[Finding]:
    """The finding that parameters stand in the places of their gradients, if they do."""
    names = tuple(each.name for each in _wrong(report, params) if _same(each.manual, _array(params[each.name])))
    if names:
        which = "this is the parameter itself, not its gradient"
        if len(names) > 1:
            which = "these are the parameters themselves, not their gradients"
        yield Finding(f"{', '.join(names)}: {which}", names, "", "", "")


def _wrong(report: Report, params: dict[str, Any]) -> list[Comparison]:
    return [each for each in report.entries.values() if not each.ok and each.name in params]


def misshapen(report: Report, params: dict[str, Any]) -> Iterator[Finding]:
    """The findings on right numbers in wrong shapes and in the places of others."""
    rest = [each for each in _wrong(report, params) if np.all(np.isfinite(each.manual))]
    told: set[str] = set()
    for one in rest:
        for other in rest:
            if one.name < other.name and not told & {one.name, other.name} and _exchanged(one, other, report):
                told |= {one.name, other.name}
                cause = (
                    f"the gradients of {one.name} and {other.name} are exchanged: each is handed over as the other's"
                )
                yield Finding(cause, (one.name, other.name), "", "", "")
    groups: dict[str, list[str]] = {}
    for each in rest:
        shape = None if each.name in told else _shape(each, report)
        if shape:
            groups.setdefault(shape, []).append(each.name)
    for words, names in groups.items():
        yield Finding(f"{', '.join(names)}: {words}", tuple(names), "", "", "")


def _array(value: Any) -> Array:
    return np.asarray(value.detach().numpy() if hasattr(value, "detach") else value)


def _same(one: Array, other: Array) -> bool:
    return one.shape == other.shape and one.size > 1 and bool(np.any(one)) and bool(np.all(one == other))


def _exchanged(one: Comparison, other: Comparison, report: Report) -> bool:
    """Whether each of two gradients is the other one's."""
    return (
        one.generated.shape != other.generated.shape
        and _fits(one.manual, other, report)
        and _fits(other.manual, one, report)
    )


def _shape(entry: Comparison, report: Report) -> str | None:
    """What makes a gradient of the right numbers have another number of axes."""
    m, g = entry.manual, entry.generated
    if m.ndim == g.ndim:
        return None
    if m.size == g.size and _fits(m.reshape(g.shape), entry, report):
        reshape = "or reshape to the parameter's shape"
        if m.ndim == g.ndim - 1:
            return f"the numbers are right, but the axis of length 1 is lost: np.sum(..., keepdims=True), {reshape}"
        if m.ndim == g.ndim + 1:
            return f"the numbers are right, but there is an axis of length 1 too many: leave out keepdims, {reshape}"
        return f"the numbers are right, but not the number of axes: reshape to {g.shape}"
    if m.size == 1 and g.size > 1 and _is_sum(float(m.reshape(())), entry, report):
        return "everything is summed to one number: sum over the records only, np.sum(..., axis=...)"
    return None


def _fits(m: Array, entry: Comparison, report: Report) -> bool:
    """Whether an array is a gradient on the report's scale."""
    g = report.scale * entry.generated
    if m.shape != g.shape:
        return False
    return bool(np.max(np.abs(m - g), initial=0.0) <= entry.tolerance * np.max(np.abs(g), initial=0.0))


def _is_sum(number: float, entry: Comparison, report: Report) -> bool:
    g = report.scale * entry.generated
    return bool(abs(number - np.sum(g)) <= entry.tolerance * np.sum(np.abs(g)))
