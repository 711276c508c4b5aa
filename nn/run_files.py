"""The folder of a training run: history.csv, last.npz to go on from, best.npz, curve.png. Used by `fit`.

Every file is written under another name and then moved into its place, so that none is ever half there.

Read next: `curves.py`, `saving.py`.
"""

from __future__ import annotations

import io
import os
import time
from pathlib import Path
from typing import Any

from .curves import curve_png
from .run_state import History, RunState
from .saving import CheckpointError, load, save

PAUSE = 1.0  # seconds between two writings: epochs may be far shorter than it takes to write


class RunFiles:
    """The files of one run, written after an epoch when the last time is a second ago, and when the run ends."""

    def __init__(self, run: RunState, folder: Path) -> None:
        self.run = run
        self.folder = folder
        self.last = folder / "last.npz"
        self._best: dict[str, Any] | None = None
        self._written = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)

    def resume(self) -> None:
        """Go on where last.npz left off, if there is one; raises CheckpointError if it is of another run."""
        if self.last.exists():
            state = load(self.last)
            try:
                self.run.load_state_dict(state)
            except (ValueError, KeyError, TypeError, IndexError, AttributeError, RuntimeError) as error:
                reason = " ".join(str(error).split())
                raise CheckpointError(f"fit: {self.last} cannot be resumed, nothing was changed: {reason}") from None

    def after_epoch(self) -> None:
        """Note the best state so far, and write if it is time."""
        history = self.run.history
        if history.best_epoch == history.rows[-1]["epoch"]:
            self._best = self.run.model.state_dict()
        if time.monotonic() - self._written >= PAUSE:
            self.write()

    def write(self) -> None:
        """Write the checkpoints and the history."""
        save(self.run.state_dict(), self.last)
        self._write_results()
        self._written = time.monotonic()

    def _write_results(self) -> None:
        if self._best is not None:
            save(self._best, self.folder / "best.npz")
            self._best = None
        if self.run.history.rows:
            write_file(self.folder / "history.csv", _csv(self.run.history))

    def close(self, spoilt: bool = False) -> None:
        """Write everything, the curve too where matplotlib is installed; of a spoilt run not the state it is in."""
        self._write_results() if spoilt else self.write()
        curve = curve_png(self.run.history.rows) if self.run.history.rows else None
        if curve is not None:
            write_file(self.folder / "curve.png", curve)


def write_file(path: Path, content: bytes) -> None:
    """Write a file under another name, then move it into its place."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _csv(history: History) -> bytes:
    import csv

    text = io.StringIO()
    writer = csv.DictWriter(text, list(history.rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history.rows)
    return text.getvalue().encode()
