"""The numbers that a trainer is judged by, and the table of all of them.

Read next: `__main__.py`.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any


@dataclass
class Figure:
    """A number that was measured, and the bound it has to keep; of several seeds their median keeps it."""

    name: str
    values: list[float]
    at_least: float | None = None
    at_most: float | None = None

    @property
    def value(self) -> float:
        """The number that is judged."""
        return statistics.median(self.values)

    @property
    def reached(self) -> bool:
        """Whether the value keeps its bound; NaN never does."""
        above = self.at_least is None or self.value >= self.at_least
        below = self.at_most is None or self.value <= self.at_most
        return bool(above and below and self.value == self.value)

    @property
    def bound(self) -> str:
        """The bound in words."""
        if self.at_least is not None:
            return f"at least {shown(self.name, self.at_least)}"
        return f"at most {shown(self.name, self.at_most)}" if self.at_most is not None else ""

    def __str__(self) -> str:
        over = f" (median of {len(self.values)} seeds)" if len(self.values) > 1 else ""
        return f"{self.name} {shown(self.name, self.value)}{over}, required {self.bound}"


def shown(name: str, value: float) -> str:
    """A figure as people read it: accuracies in percent, everything else to three digits."""
    return f"{value:.2%}" if "accuracy" in name else f"{value:.3g}"


@dataclass
class Line:
    """One figure of one document over all the runs with different seeds."""

    document: str
    figures: list[Figure]
    seconds: float

    @property
    def reached(self) -> bool:
        """Whether every run reached it."""
        return all(figure.reached for figure in self.figures)

    @property
    def values(self) -> list[float]:
        """What each seed gave."""
        return [value for figure in self.figures for value in figure.values]

    def cells(self) -> tuple[str, ...]:
        """The line as text, cell by cell."""
        first = self.figures[0]
        name, values = first.name, self.values
        worst = min(values) if first.at_least is not None else max(values)
        kept = [Figure(name, [value], first.at_least, first.at_most).reached for value in values]
        return (
            self.document, name, first.bound, f"{sum(kept)} of {len(kept)}", shown(name, statistics.median(values)),
            shown(name, worst), "yes" if self.reached else "NO", f"{self.seconds:.0f} s",
        )  # fmt: skip

    def plain(self) -> dict[str, Any]:
        """The line as plain data."""
        first = self.figures[0]
        return {
            "document": self.document, "figure": first.name, "at_least": first.at_least, "at_most": first.at_most,
            "reached": self.reached, "values": self.values, "seconds_a_run": round(self.seconds, 2),
        }  # fmt: skip


HEAD = ("document", "figure", "required", "seeds", "median", "worst", "reached", "a run")
LEFT = 3  # the first columns hold words, the others numbers


def table(lines: list[Line]) -> str:
    """All lines under a heading, the columns aligned; a document's name and time stand once."""
    rows = [line.cells() for line in lines]
    widths = [max(len(row[i]) for row in (HEAD, *rows)) for i in range(len(HEAD))]
    rule = "  ".join("-" * width for width in widths)

    def aligned(cells: tuple[str, ...]) -> str:
        padded = [c.ljust(w) if i < LEFT else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))]
        return "  ".join(padded).rstrip()

    text = [aligned(HEAD), rule]
    before = ""
    for row in rows:
        text.append(aligned(row if row[0] != before else ("", *row[1:-1], "")))
        before = row[0]
    return "\n".join(text)
