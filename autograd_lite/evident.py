"""Mistakes that show without a look at the network: right numbers misshapen, exchanged or clipped, or no gradients.

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
    same = [each for each in _wrong(report, params) if np.array_equal(each.manual, _array(params[each.name]))]
    names = tuple(each.name for each in same)
    if any(each.manual.size > 1 and np.any(each.manual) for each in same):
        which = "this is the parameter itself, not its gradient"
        if len(names) > 1:
            which = "these are the parameters themselves, not their gradients"
        yield Finding(f"{', '.join(names)}: {which}", names, "", "", "")


def clipped(report: Report) -> Iterator[Finding]:
    """The finding that gradients end at a largest value: they were clipped, which is no part of a derivation."""
    wrong = [each for each in report.entries.values() if not each.ok]
    found = {each.name: end for each in wrong if (end := _end(each)) is not None}
    known = set(found.values())
    for each in wrong:  # what is too small to show it by itself
        fitting = [pair for pair in known if _is_clipped(each, *pair)]
        if fitting:
            found.setdefault(each.name, fitting[0])
    if found:
        names = tuple(each.name for each in wrong if each.name in found)
        limits = ", ".join(dict.fromkeys(f"{found[name][0]:.6g}" for name in names))
        cause = f"{', '.join(names)}: clipped at {limits}, and right up to there: compare before clipping"
        yield Finding(cause, names, "", "", "")


def _end(entry: Comparison) -> tuple[float, float] | None:
    """The value at which a gradient was clipped, and its scale: several entries are that large, the others right."""
    m, g = entry.manual, entry.generated
    if m.shape != g.shape or not np.all(np.isfinite(m)) or not np.any(m):
        return None
    end = float(np.max(np.abs(m)))
    inside = (np.abs(m) < end) & (g != 0)
    if np.sum(np.abs(m) == end) < 2 or np.sum(inside) < 2:
        return None
    scale = float(f"{np.median(m[inside] / g[inside]):.9g}")
    return (end, scale) if _is_clipped(entry, end, scale) else None


def _is_clipped(entry: Comparison, end: float, scale: float) -> bool:
    m, g = entry.manual, entry.generated
    if m.shape != g.shape or not scale:
        return False
    near = entry.tolerance * max(end, float(np.max(np.abs(scale * g), initial=0.0)))
    return bool(np.max(np.abs(np.clip(scale * g, -end, end) - m), initial=0.0) <= near)


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


def _exchanged(one: Comparison, other: Comparison, report: Report) -> bool:
    """Whether each of two gradients is the other one's."""
    return one.generated.size > 1 and _fits(one.manual, other, report) and _fits(other.manual, one, report)


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
