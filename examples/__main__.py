"""Every document from every seed, one table: `python -m examples`, `--quick` for one short run of each.

A run prints into out/NAME/seed-K/log.txt, beside its other files; the table is also written as out/table.json. With
`--resume` what is complete is not run again, and what was interrupted goes on. Data that is not on this machine is said
to be missing, and its documents are left out of the verdict.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import platform
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nn.run_files import write_file

from .common import INTERRUPTED, Document
from .data import MissingData
from .figures import Figure, Line, table
from .terminal import command_line, say

NAMES = ("xor", "mnist_ann", "mnist_mat", "abs_sin", "heart", "mnist_relu", "lenet", "iris")


def main(arguments: list[str] | None = None) -> int:
    """Run every trainer, print the table; 0 when each figure was reached."""
    parser = command_line("python -m examples", "Train every document's network and print one table of all figures.")
    options = parser.parse_args(arguments)
    out = Path(options.out or "out")
    found: dict[str, list[dict[str, Any]]] = {}
    notes: list[str] = []
    codes = [0]
    start = time.perf_counter()
    try:
        for document, seed in _runs(options):
            code, result, note = _one(document, seed, out / document.name / f"seed-{seed}", options)
            if note and note not in notes:
                notes.append(note)
            if result is not None:
                found.setdefault(document.name, []).append(result)
            codes.append(code)
            if code == INTERRUPTED:
                break
    except KeyboardInterrupt:  # between two runs
        codes.append(INTERRUPTED)
    if INTERRUPTED in codes:
        notes.append("Interrupted: --resume goes on from here.")
    lines = [line for results in found.values() for line in _lines(results)]
    if lines:
        print("\n" + table(lines))
        write_file(out / "table.json", _json(lines, options))
    print("\n".join(["", *notes]))
    seeds = sum(len(results) for results in found.values())
    print(f"{seeds} runs of {len(found)} documents in {_clock(time.perf_counter() - start)}; all files are in {out}.")
    return max(codes)


def _runs(options: argparse.Namespace) -> Iterator[tuple[Document, int]]:
    """Each document with each of its seeds; with --quick or a --seed of one's own with a single one."""
    for name in NAMES:
        document: Document = importlib.import_module(f"examples.{name}").DOCUMENT
        chosen = [options.seed or 0] if options.quick or options.seed is not None else document.seeds
        for seed in chosen:
            yield document, seed


def _one(
    document: Document, seed: int, folder: Path, options: argparse.Namespace
) -> tuple[int, dict[str, Any] | None, str]:
    """One run: its exit code, its result as plain data, and a line on why there is none."""
    wanted = {"seed": seed, "quick": options.quick, "as_posted": options.as_posted, "interrupted": False}
    path = folder / "result.json"
    if options.resume and options.epochs is None and path.exists():
        with contextlib.suppress(ValueError):  # of a file that is damaged: then the run is made again
            earlier = json.loads(path.read_text())
            if all(earlier[name] == value for name, value in wanted.items()):
                say(f"{document.name:<12}seed {seed:<4}as before")
                return int(not earlier["reached"]), earlier, ""
    resume = options.resume and not options.as_posted
    given = vars(options) | {"seed": seed, "out": str(folder), "resume": resume}
    log = io.StringIO()
    start = time.perf_counter()
    with contextlib.redirect_stdout(log):
        run = document.run(argparse.Namespace(**given))
    spent = time.perf_counter() - start
    if run.error is not None:
        missing = isinstance(run.error, MissingData)
        return 0 if missing else run.code, None, f"{document.name}: {'no data: ' if missing else ''}{run.error}"
    write_file(folder / "log.txt", log.getvalue().encode())
    if run.code == INTERRUPTED:
        say(f"{document.name:<12}seed {seed:<4}interrupted")
        return run.code, None, ""
    reached = "; ".join(str(figure).partition(", required")[0] for figure in run.figures)
    say(f"{document.name:<12}seed {seed:<4}{_clock(spent):>8}  {reached}")
    return run.code, run.result(), ""


def _lines(results: list[dict[str, Any]]) -> list[Line]:
    """One line for each figure that the runs of a document share."""
    seconds = statistics.mean(result["seconds"] for result in results)
    found: dict[str, list[Figure]] = {}
    for each in (figure for result in results for figure in result["figures"]):
        values = [float(value) for value in each["values"]]
        found.setdefault(each["name"], []).append(Figure(each["name"], values, each["at_least"], each["at_most"]))
    return [Line(results[0]["document"], figures, seconds) for figures in found.values()]


def _json(lines: list[Line], options: argparse.Namespace) -> bytes:
    whole = {
        "quick": options.quick,
        "as_posted": options.as_posted,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "figures": [line.plain() for line in lines],
    }
    return json.dumps(whole, indent=1).encode()


def _clock(seconds: float) -> str:
    """A time as people read it: 4.2 s, 3:05 min."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02} min" if minutes else f"{seconds:.1f} s"


if __name__ == "__main__":
    sys.exit(main())
