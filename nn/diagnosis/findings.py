"""What a diagnosis says: findings, each with its evidence, its confidence and its remedy, the gravest first.

Read next: `records.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import fill
from typing import Any, overload

ERROR, WARNING, HINT = 3, 2, 1
_WORDS = {ERROR: "error", WARNING: "warning", HINT: "hint"}


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a training.

    `evidence` says with numbers what was seen, `remedy` what to do about it, `where` in which layer, line or figure it
    is; `confidence` lies between 0 and 1, and `severity` is 3 for what keeps a network from learning, 2 for what slows
    it down, 1 for what may do so.
    """

    name: str
    evidence: str
    remedy: str
    where: str
    confidence: float
    severity: int = WARNING

    def __str__(self) -> str:
        head = f"{self.name}  [{_WORDS[self.severity]}, {self.confidence:.0%} sure]  {self.where}".rstrip()
        lines = [_filled(self.evidence, "   ", "   "), _filled(self.remedy, "   -> ", "      ")]
        return "\n".join([head, *lines])


def _filled(text: str, first: str, rest: str) -> str:
    return fill(text, 100, initial_indent=first, subsequent_indent=rest, break_long_words=False)


class Diagnosis:
    """The findings, the gravest first: true if there are any, iterable, and as text a report.

    `notes` say what could not be looked at, and what it would take.

    >>> from nn.diagnosis.findings import Diagnosis, Finding
    >>> print(Diagnosis([Finding("one class for all", "All 9 are a 3.", "Shuffle.", "the output", 0.9)], "9 rows"))
    nn.diagnose: 1 finding (9 rows)
    <BLANKLINE>
    1. one class for all  [warning, 90% sure]  the output
       All 9 are a 3.
       -> Shuffle.
    """

    def __init__(self, findings: list[Finding], subject: str, notes: tuple[str, ...] = ()) -> None:
        self.findings = sorted(findings, key=lambda each: (-each.severity, -each.confidence))
        self.subject = subject
        self.notes = notes

    @property
    def names(self) -> list[str]:
        """The names of the findings, the gravest first."""
        return [each.name for each in self.findings]

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    @overload
    def __getitem__(self, key: int) -> Finding: ...
    @overload
    def __getitem__(self, key: str) -> Finding: ...
    def __getitem__(self, key: Any) -> Finding:
        """A finding by its place or by its name; raises KeyError for a name that was not found."""
        if isinstance(key, int):
            return self.findings[key]
        for each in self.findings:
            if each.name == key:
                return each
        raise KeyError(f"{key!r} was not found; there are {self.names}.")

    def __contains__(self, name: object) -> bool:
        return name in self.names or name in self.findings

    def __str__(self) -> str:
        count = f"{len(self)} finding{'s' * (len(self) != 1)}" if self.findings else "nothing found"
        lines = [f"nn.diagnose: {count} ({self.subject})"]
        for number, each in enumerate(self.findings, 1):
            lines += ["", f"{number}. {each}"]
        if self.notes:
            lines += ["", *(_filled(each, "note: ", "      ") for each in self.notes)]
        return "\n".join(lines)

    __repr__ = __str__
