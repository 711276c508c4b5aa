"""Blocks of a program that equal one another: one after another, or side by side in whatever order they were computed.

Two units are equal that compute the same functions of operands of the same form, and whose names differ in numbers
alone: layers.3.weight and layers.4.weight.

Read next: `folding.py`, which draws equal units as one box.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from .program import BACKWARD, Operation, Program, Variable
from .rendering import literal

REPEATS = 3  # so many equal blocks after one another are one
ALIKE = 2  # so many equal chains side by side are one
TIMES = "\N{MULTIPLICATION SIGN} "  # how a frame's name begins that only says how often it is there
_TRIES = 24  # periods that are tried at one place


@dataclass(eq=False, slots=True)
class Unit:
    """Operations that follow one another and are folded into one box, or a single one."""

    operations: list[Operation]
    scope: tuple[str, ...]  # the frame that the box stands in
    title: str = ""
    key: Any = None


def called(scope: tuple[str, ...]) -> str:
    """What a frame is called, as in the code: features.0."""
    parts = [each for each in scope if each != BACKWARD and not each.startswith(TIMES)]
    return ".".join(parts) or scope[-1]


def _plain(name: str) -> str:
    """A name without its numbers: layers.3.weight and layers.4.weight are called alike."""
    return re.sub(r"\d+", "#", re.sub(r"_\d+$", "", name))


def _fingerprint(unit: Unit, program: Program) -> Any:
    """What makes two units equal: equal functions of operands of equal forms, and names that differ in numbers."""

    def operand(value: Any) -> Any:
        if not isinstance(value, Variable):
            return type(value).__name__, literal(value)
        kept = value.kind in ("parameter", "constant")
        told = "" if not kept else _plain(value.label) if value.given else program.number(value)
        return value.shape, value.dtype.char, kept, told

    return (
        _plain(unit.title),
        tuple(map(_plain, unit.scope)),
        tuple(
            (
                each.primitive.name,
                tuple(map(operand, each.inputs)),
                tuple((key, operand(value)) for key, value in each.settings.items()),
                tuple(map(operand, each.outputs)),
            )
            for each in unit.operations
        ),
    )


def repeated(units: list[Unit], program: Program) -> tuple[list[list[Unit]], dict[tuple[str, ...], str]]:
    """The units, equal ones of repeated blocks together, and what the frames of such blocks are called."""
    keys: dict[Any, int] = {}
    sequence = [keys.setdefault(_fingerprint(unit, program), len(keys)) for unit in units]
    places: dict[int, list[int]] = defaultdict(list)
    for at, key in enumerate(sequence):
        places[key].append(at)
    rank = {at: i for each in places.values() for i, at in enumerate(each)}
    copies: list[list[Unit]] = []
    titles: dict[tuple[str, ...], str] = {}
    at = 0
    while at < len(units):
        period, times = 1, 1
        for later in places[sequence[at]][rank[at] + 1 : rank[at] + 1 + _TRIES]:
            found = _times(sequence, at, later - at)
            if found >= REPEATS and found * (later - at) > times * period:
                period, times = later - at, found
        block = units[at : at + period * times]
        at += period * times
        if times == 1:
            copies.append(block)
            continue
        copies += _merged(block, period, times, titles, len(copies))
    return copies, titles


def _times(sequence: list[int], at: int, period: int) -> int:
    """How often the block of `period` units at `at` stands there in a row."""
    end = at + period
    while end < len(sequence) and sequence[end] == sequence[end - period]:
        end += 1
    return (end - at) // period


def _merged(
    block: list[Unit], period: int, times: int, titles: dict[tuple[str, ...], str], number: int
) -> Iterable[list[Unit]]:
    """Equal units together. The way back shows its last block, which belongs to the first one of the way forward."""
    order = range(times - 1, -1, -1) if block[0].scope[:1] == (BACKWARD,) else range(times)
    starts = [each * period for each in order]
    shared = common(unit.scope for unit in block)
    own = [common(unit.scope for unit in block[start : start + period]) for start in starts]
    differing = _entitled(own, titles)
    frame = (*shared, f"{TIMES}{times} {number}")
    if not differing and period > 1:
        titles[frame] = f"{TIMES}{times:,}"
    for offset in range(period):
        group = [block[start + offset] for start in starts]
        if not differing and period > 1:
            group[0].scope = (*frame, *group[0].scope[len(shared) :])
        yield group


def _entitled(scopes: list[tuple[str, ...]], titles: dict[tuple[str, ...], str]) -> int:
    """Give the frames of equal blocks, if each has one of its own, a title in common; at which depth they differ."""
    differing = next((n for n in range(1, len(scopes[0]) + 1) if len({each[:n] for each in scopes}) == len(scopes)), 0)
    if differing:
        first, last = called(scopes[0][:differing]), called(scopes[-1][:differing])
        titles[scopes[0][:differing]] = f"{first} … {last} {TIMES}{len(scopes):,}"
    return differing


def side_by_side(copies: list[list[Unit]], titles: dict[tuple[str, ...], str], program: Program) -> list[list[Unit]]:
    """What is left of equal chains, whose units may stand in any order: units that compute the same from the same."""
    numbers: dict[Any, int] = {}
    made: dict[Variable, Any] = {each: each for each in program.inputs}
    alike: dict[int, list[int]] = defaultdict(list)
    for at, group in enumerate(copies):
        key: Any = at
        if len(group) == 1:
            reads = (made.get(each) for operation in group[0].operations for each in operation.reads)
            key = _fingerprint(group[0], program), tuple(reads)
        number = numbers.setdefault(key, len(numbers))
        alike[number].append(at)
        outputs = (each for unit in group for operation in unit.operations for each in operation.outputs)
        made.update((each, (number, i)) for i, each in enumerate(outputs))
    merged: dict[int, list[Unit]] = {}
    for places in alike.values():
        if len(places) < ALIKE:
            merged.update((at, copies[at]) for at in places)
            continue
        back = copies[places[0]][0].scope[:1] == (BACKWARD,)
        group = [copies[at][0] for at in (reversed(places) if back else places)]
        _entitled([each.scope for each in group], titles)
        merged[places[0]] = group
    return [merged[at] for at in sorted(merged)]


def common(scopes: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """The frame around all of these frames."""
    several = list(scopes)
    alike = takewhile(lambda parts: len(set(parts)) == 1, zip(*several, strict=False))
    return tuple(parts[0] for parts in alike)
