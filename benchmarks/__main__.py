"""`python -m benchmarks`: training steps against the same steps written by hand in NumPy, and in other libraries.

    python -m benchmarks [NAME ...] [--quick] [--rounds N] [--processes N] [--limit SECONDS] [--out DIR]

A ratio says how long a step takes against the hand-written NumPy step of the same network: 1.20 is a fifth longer.
Machines differ, so times alone say little. Each network is measured in fresh processes, on one core; in each the
variants take turns, each turn long enough to time well, and a ratio is the median over the rounds, then over the
processes. Times are the process's own, so that a busy machine changes little. The first step of each variant, which
traces and compiles, and its memory are measured in a process of their own; what takes too long there, or crashes, is
reported and left out of the turns. All variants return the loss.

Ctrl-C ends it, and leaves what was measured.

Read next: `cases.py` (what is measured), `running.py` (how).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .cases import CASES
from .peers import PEERS
from .running import Failed, Run, machine
from .tables import TABLES, Result, about, failures, markdown, text

QUICK = ("xor", "mnist_ann", "mnist_mat", "abs_sin", "heart", "mnist_relu", "lenet", "width_32")


def main() -> int:
    """Measure the cases named on the command line, or all; print, save and draw the results.

    The exit status is 1 if one of our own variants, or a whole case, broke down.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Ratios to hand-written NumPy steps.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(CASES)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="about a minute: ratios alone, without torch.compile")
    parser.add_argument("--rounds", type=int, help="turns of each variant in a process (default 25; quick: 5)")
    parser.add_argument("--processes", type=int, help="fresh processes a case (default 3; quick: 1)")
    parser.add_argument(
        "--limit", type=float, default=150, metavar="SECONDS", help="of the processor, for a first step (default 150)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="default out/benchmarks; quick: out/benchmarks_quick")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in CASES]
    if unknown:
        parser.error(f"no case is called {', '.join(unknown)}; choose from {', '.join(CASES)}")
    quick = options.quick
    if quick and "chain" in options.names:
        parser.error("chain takes minutes to compile, which --quick does not limit: measure it without")
    names = options.names or (QUICK if quick else list(CASES))
    out: Path = options.out or Path("out/benchmarks_quick" if quick else "out/benchmarks")
    out.mkdir(parents=True, exist_ok=True)
    machine_used = machine()
    results: list[Result] = []
    status = 0
    print(about(machine_used), "", text(TABLES[0], []), sep="\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="benchmarks_") as cache:
        progress = Progress(len(names))
        run = Run(
            rounds=options.rounds or (5 if quick else 25),
            processes=options.processes or (1 if quick else 3),
            limit=options.limit,
            quick=quick,
            cache=cache,
            say=progress.say,
        )
        try:
            for name in names:
                try:
                    results.append(run.case(name))
                except Failed as failed:
                    progress.clear()
                    print(f"{name}: {failed}", file=sys.stderr)
                    status = 1
                else:
                    progress.clear()
                    print(text(TABLES[0], results[-1:], heading=False), flush=True)
                    save(machine_used, results, out)
                progress.done += 1
        except KeyboardInterrupt:
            progress.clear()
            print(f"ended after {len(results)} of {len(names)} cases", file=sys.stderr)
            status = 130
    for table in TABLES[1:]:
        if any(table.rows(results)):
            print(f"\n{text(table, results)}")
    for line in failures(results):
        print(f"\n{line}")
    if any(figures.get("failed") == "crash" for r in results for v, figures in r["variants"].items() if v not in PEERS):
        status = status or 1
    if results:
        print(f"\nsaved in {out}/: {', '.join(sorted(each.name for each in out.iterdir()))}")
    return status


class Progress:
    """One line on a terminal that says what is being measured."""

    def __init__(self, cases: int) -> None:
        self.cases = cases
        self.done = 0
        self.start = time.monotonic()

    def say(self, doing: str) -> None:
        """Show what is being done."""
        if sys.stderr.isatty():
            passed = time.monotonic() - self.start
            print(
                f"\r\033[K{self.done} of {self.cases} done, {passed:.0f} s: {doing}",
                end="",
                file=sys.stderr,
                flush=True,
            )

    def clear(self) -> None:
        """Take the line away."""
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def save(machine: dict[str, Any], results: list[Result], out: Path) -> None:
    """Write results.json, table.md and ratios.png, each whole or not at all."""
    write(out / "results.json", json.dumps({"machine": machine, "results": results}, indent=2) + "\n")
    tables = [markdown(table, results) for table in TABLES if any(table.rows(results))]
    write(out / "table.md", "\n\n".join([about(machine), *tables, *failures(results)]) + "\n")
    if importlib.util.find_spec("matplotlib") is not None:
        from .charts import draw  # an extra, and slow to import

        part = out / "ratios.part.png"
        draw(results, part)
        os.replace(part, out / "ratios.png")


def write(path: Path, content: str) -> None:
    """A file that is replaced when its text is complete."""
    part = path.with_suffix(".part")
    part.write_text(content)
    os.replace(part, path)


if __name__ == "__main__":
    sys.exit(main())
