"""The results as tables: for a terminal of 120 columns, and in Markdown.

A result is what one case gave, as plain data: `{"case": "xor", "title": ..., "variants": {"compiled": figures, ...}}`.
Figures are `ratio` (to the step by hand), `seconds` a step, and, of a process of its own, `first` (seconds of the first
step) and `peak` (bytes); or `failed`, in a word, with what was `said`.

Read next: `charts.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from .cases import EAGER, VARIANTS

Result = dict[str, Any]
Figures = dict[str, Any]
HEADINGS = {
    "by_hand": "by hand", "modules": "eager nn", "plain": "eager plain",
    "compiled": "comp. nn", "compiled_scipy": "comp. nn +SciPy",
    "compiled_plain": "comp. plain", "compiled_plain_scipy": "comp. plain +SciPy",
    "autograd": "HIPS auto- grad", "mygrad": "MyGrad", "torch": "torch eager", "torch_compile": "torch comp.",
    "jax_jit": "JAX jit",
}  # fmt: skip


class Table(NamedTuple):
    """A heading, the variants that are its columns, and the text of a cell: None where nothing was measured."""

    heading: str
    columns: tuple[str, ...]
    cell: Callable[[Result, str], str | None]

    def rows(self, results: list[Result]) -> Iterator[list[str]]:
        """The title and the cells of every case that has any."""
        for result in results:
            cells = [self.cell(result, variant) for variant in self.columns]
            failed = [result["variants"].get(variant, {}).get("failed") for variant in self.columns]
            if any(cells):
                yield [result["title"], *(a or b or "-" for a, b in zip(failed, cells, strict=True))]


def number(value: float) -> str:
    """A figure in at most six characters: 0.07, 12.6, 1,234, 1e+07."""
    if value >= 99_999.5:
        return f"{value:.0e}"
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:,.0f}"


def duration(seconds: float) -> str:
    """A time in at most six characters: 43 us, 1.2 ms, 35 s."""
    unit, size = ("us", 1e-6) if seconds < 999.5e-6 else ("ms", 1e-3) if seconds < 0.9995 else ("s", 1.0)
    return f"{seconds / size:.1f} {unit}" if seconds < 9.95 * size else f"{seconds / size:.0f} {unit}"


def paid_off(first: float, compiled: float, other: float) -> float:
    """Steps after which a compiled step, with its first one, has taken less time than another; inf if it never does.

    n steps take first + (n - 1) * compiled, the other's n * other.
    """
    return math.floor((first - compiled) / (other - compiled)) + 1 if other > compiled else math.inf


def _ratio(result: Result, variant: str) -> str | None:
    figures = result["variants"].get(variant, {})
    if "ratio" not in figures:
        return None
    return duration(figures["seconds"]) if variant == "by_hand" else number(figures["ratio"])


def _first(result: Result, variant: str) -> str | None:
    figures = result["variants"].get(variant, {})
    return duration(figures["first"]) if "first" in figures else None


def _peak(result: Result, variant: str) -> str | None:
    peak = result["variants"].get(variant, {}).get("peak")
    return None if peak is None else number(peak / 1e6)


def _paid_off(against: Callable[[str], str]) -> Callable[[Result, str], str | None]:
    def cell(result: Result, variant: str) -> str | None:
        compiled, other = (result["variants"].get(each, {}) for each in (variant, against(variant)))
        if "seconds" not in compiled or "seconds" not in other or "first" not in compiled:
            return None
        steps = paid_off(compiled["first"], compiled["seconds"], other["seconds"])
        return "never" if math.isinf(steps) else f"{steps:,}" if steps < 100_000 else number(steps)

    return cell


TABLES = (
    Table("A step, as a multiple of the step by hand", VARIANTS, _ratio),
    Table("The first step, which traces and compiles", VARIANTS, _first),
    Table("Memory at its peak, in MB over what was in use before the first step", VARIANTS, _peak),
    Table(
        "Steps until compiling has paid off, against the same code run eagerly",
        tuple(EAGER),
        _paid_off(EAGER.__getitem__),
    ),
    Table(
        "Steps until compiling has paid off, against the step by hand",
        (*EAGER, "jax_jit"),
        _paid_off(lambda _: "by_hand"),
    ),
)


def text(table: Table, results: list[Result], heading: bool = True) -> str:
    """A table for the terminal: at most 120 columns wide, the titles to the left and the figures to the right."""
    words = [HEADINGS[variant].split() for variant in table.columns]
    depth = max(map(len, words))
    heads = [["", *row] for row in zip(*([""] * (depth - len(each)) + each for each in words), strict=True)]
    lines = []
    for row in (*heads * heading, *table.rows(results)):
        cells = "".join(f"{cell:>7}" for cell in row[2:])
        lines.append(f"{row[0]:27}{row[1]:>8}{cells}")
    if heading:
        lines[depth:depth] = ["-" * len(lines[0])]
        lines[:0] = [table.heading]
    return "\n".join(line.rstrip() for line in lines)


def markdown(table: Table, results: list[Result]) -> str:
    """The same table in Markdown."""
    heads = ["", *(HEADINGS[variant] for variant in table.columns)]
    rule = ["---", *["---:"] * len(table.columns)]
    rows = [heads, rule, *table.rows(results)]
    return "\n".join([f"### {table.heading}", "", *(f"| {' | '.join(row)} |" for row in rows)])


def failures(results: list[Result]) -> list[str]:
    """A line for everything that crashed."""
    return [
        f"{result['title']}, {' '.join(HEADINGS[variant].split())}: {figures['said']}"
        for result in results
        for variant, figures in result["variants"].items()
        if figures.get("said")
    ]


def about(machine: dict[str, Any]) -> str:
    """One line on what the figures belong to."""
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    return f"{machine['processor']}, one core; {machine['system']}, Python {machine['python']}, {packages}"
