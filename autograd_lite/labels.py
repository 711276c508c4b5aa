"""What stands in a box, as lines: its name, the operation, dtype and shape, what its numbers are like, what is wrong.

Read next: `rendering.py` (how an operation is written), `statistics.py`, `formulas.py`.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from .folding import Box, Scene
from .formulas import local_derivatives
from .program import UNKNOWN, Operation, Program, Variable
from .rendering import DOT, as_mathematics, literal, spoken
from .repetitions import TIMES
from .statistics import Statistics

_LONGEST, _WIDTH = 80, 44  # characters: of an operation in a label, of a line that says what is wrong


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a comparison with hand-written gradients holds against a variable: in few words, and at length."""

    mark: str
    told: str


@dataclass
class Notes:
    """What is known of a program's variables, beside their forms, and is to be told in the picture.

    `values` are statistics, `gradients` says which variable is the gradient of which, `complaints` what is wrong with
    these, `verdicts` what a comparison with hand-written gradients holds against it; `formulas` asks for local
    derivatives.
    """

    values: dict[Variable, Statistics] = field(default_factory=dict)
    gradients: dict[Variable, Variable] = field(default_factory=dict)
    complaints: dict[Variable, str] = field(default_factory=dict)
    verdicts: dict[Variable, Verdict] = field(default_factory=dict)
    formulas: bool = False

    @cached_property
    def arriving(self) -> frozenset[Variable]:
        """The variables that are gradients."""
        return frozenset(self.gradients.values())

    def of(self, variable: Variable) -> tuple[Statistics | None, Statistics | None]:
        """A variable's statistics, and its gradient's."""
        gradient = self.gradients.get(variable)
        return self.values.get(variable), None if gradient is None else self.values.get(gradient)


def is_named(box: Box) -> bool:
    """Whether the first line of a label is a name that the user gave."""
    if box.title:
        return True
    return any(each.given for each in (box.operations[0].outputs if box.operations else [box.shown]))


def labelled(box: Box, scene: Scene) -> list[str]:
    """The lines of a label that say what a box is: a name, the operation, and last the form."""
    times = f"{TIMES}{box.times:,}" if box.times > 1 and not _told(box, scene) else ""
    operation = box.operation
    if box.title:
        lines = [f"{box.title} {times}".rstrip(), _contents(box), box.shown.form]
    elif operation is None:
        lines = [f"{box.shown.label} {times}".rstrip(), scene.program.number(box.shown), box.shown.form]
    else:
        named = ", ".join(each.label for each in operation.outputs if each.given)
        forms = ", ".join(each.form for each in operation.outputs)
        lines = [named, f"{_written(operation, scene)} {times}".rstrip(), forms]
    return [each for each in lines if each]


def lines_of(box: Box, scene: Scene, notes: Notes) -> tuple[list[str], int]:
    """The lines of a box's label, and how many at the end are small: what stands below name and operation."""
    lines = labelled(box, scene)
    small = 1
    if box.back:
        return lines, small
    if notes.formulas and box.operation is not None:
        lines += (rules := local_derivatives(box.operation))
        small += len(rules)
    for word, known in zip(("value", "gradient"), notes.of(box.shown), strict=True):
        if known is not None:
            lines.append(f"{word} {known}")
            small += 1
    return lines, small


def _contents(box: Box) -> str:
    """What a folded box holds: its operations, by name where they are few, and its parameters."""
    operations = box.operations[: len(box.operations) // box.times]
    names = list(dict.fromkeys(spoken(each.primitive) for each in operations))
    what = ", ".join(names) if len(operations) <= 3 else f"{len(operations):,} operations"
    parameters = sum(each.kind == "parameter" for each in box.leaves) // box.times
    return what + f", {parameters} parameter{'s' * (parameters != 1)}" * bool(parameters)


def _told(box: Box, scene: Scene) -> bool:
    """Whether a frame around the box says how often it stands there."""
    return any(box.scope[:n] in scene.titles for n in range(1, len(box.scope) + 1))


def _written(operation: Operation, scene: Scene) -> str:
    def text(value: Any) -> str:
        return operand_text(value, scene.program, scene.hidden)

    written = as_mathematics(operation.primitive, operation.inputs, operation.settings, text)
    return written if len(written) <= _LONGEST else written[: _LONGEST - 1] + "…"


def operand_text(value: Any, program: Program, hidden: set[Variable]) -> str:
    """An operand in a label: the user's name for it, its value, or a dot."""
    if value is UNKNOWN:
        return "?"
    if isinstance(value, Variable):
        if value in hidden:
            return program.number(value)
        return value.label if value.given else DOT
    return f"{value:.6g}" if isinstance(value, (float, np.floating)) else literal(value).removeprefix("np.")


def escaped(text: str) -> str:
    """Text as it may stand in a label: nothing in it is an escape, an entity or markup; control characters show."""
    shown = text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return shown.replace("&", "&amp;").replace("\\", r"\\").replace("<", "&lt;").replace(">", "&gt;")


def marks_of(box: Box, notes: Notes) -> tuple[list[str], bool]:
    """What is wrong in a box, as lines, and whether it is grave: with values and gradients, or with one by hand.

    Beside a comparison with gradients by hand, its verdicts alone are grave, and the rest is a note.
    """
    made = _held(box)
    found = {} if box.back else dict.fromkeys(filter(None, map(notes.complaints.get, made)))
    if box.back and any((each := notes.values.get(variable)) and not each.finite for variable in made):
        found["NaN"] = None
    words = dict.fromkeys(notes.verdicts[each].mark for each in made if each in notes.verdicts)
    aside = bool(notes.verdicts)
    sayings = [("note: " if aside else "! ") + ", ".join(found)] * bool(found) + [f"! {each}" for each in words]
    lines = [line for each in sayings for line in textwrap.wrap(each, _WIDTH, subsequent_indent="  ")]
    return lines, bool(words or (found and not aside))


def _held(box: Box) -> list[Variable]:
    return [*(each for operation in box.operations for each in operation.outputs), *box.leaves] or [box.shown]


def against(box: Box, notes: Notes) -> list[str]:
    """What a comparison with hand-written gradients says against a box, at length."""
    told = dict.fromkeys(notes.verdicts[each].told for each in _held(box) if each in notes.verdicts)
    return [line for each in told for line in each.splitlines()]
