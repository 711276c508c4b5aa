"""Every document, one table: `python -m examples [--quick]` and the options of a single trainer.

Data that is not on this machine is said to be missing, and its documents are left out of the verdict.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from .common import INTERRUPTED, Run, command_line
from .data import MissingData

NAMES = ("xor", "mnist_ann", "mnist_mat", "abs_sin", "heart", "mnist_relu", "lenet", "iris")


def main(arguments: list[str] | None = None) -> int:
    """Run every trainer, print the table; 0 when each figure was reached."""
    options = command_line("python -m examples", "Train every document's network and print one table.").parse_args(
        arguments
    )
    runs = []
    for name in NAMES:
        out = Path(options.out or "out") / name
        run = importlib.import_module(f"examples.{name}").DOCUMENT.run(
            argparse.Namespace(**vars(options) | {"out": str(out)})
        )
        runs.append(run)
        if run.code == INTERRUPTED:
            break
    print("\n" + "\n".join(line for run in runs for line in rows(run)))
    return max((run.code for run in runs if not isinstance(run.error, MissingData)), default=0)


def rows(run: Run) -> list[str]:
    """One line for each figure of a run, or for why there is none."""
    name = f"{run.document.name:<12}"
    if run.error is not None:
        return [f"{name}{'no data' if isinstance(run.error, MissingData) else 'error':<9}{run.error}"]
    if run.code == INTERRUPTED:
        return [f"{name}interrupted"]
    return [f"{name}{'reached' if figure.reached else 'MISSED':<9}{figure}" for figure in run.figures]


if __name__ == "__main__":
    sys.exit(main())
