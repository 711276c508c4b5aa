"""What a training run is made of, so that it can be written down and taken up again: used by `fit`.

Read next: `saving.py`.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .modules import Module
from .seeding import default_rng


class History:
    """One row of figures for each epoch; history["loss"] is a column.

    `monitored` names the column by which an epoch is the best; `stopped` says that a callback ended the training,
    `interrupted` that Ctrl-C did.
    """

    def __init__(self, monitored: str) -> None:
        self.rows: list[dict[str, float]] = []
        self.monitored = monitored
        self.stopped = False
        self.interrupted = False

    def __getitem__(self, column: str) -> list[float]:
        return [row[column] for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def best_epoch(self) -> int:
        """The epoch, counted from 1, with the lowest monitored loss."""
        return int(np.argmin(self[self.monitored])) + 1

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {value:.4g}" for name, value in (self.rows[-1] if self.rows else {}).items())
        return f"History({len(self)} epochs; {last})"


class RunState:
    """Everything that a training run changes, and how far it has come: `batch` batches into epoch number `epoch`."""

    def __init__(
        self, model: Module, optimizer: Any, scheduler: Any, callbacks: list[Any], train: Any, history: History
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.callbacks = callbacks
        self.train = train
        self.history = history
        self.generators = self._generators()
        self.epoch = 0
        self._begin()

    def _begin(self) -> None:
        self.batch = 0
        self.rows = 0
        self.loss_sum = 0.0
        self.first_random = self._random()

    def next_epoch(self) -> None:
        """Go on to the next epoch."""
        self.epoch += 1
        self._begin()

    def count(self, loss: float, rows: int) -> None:
        """Note a batch that was trained on."""
        self.batch += 1
        self.rows += rows
        self.loss_sum += loss * rows

    @property
    def mean_loss(self) -> float:
        """The mean loss of this epoch so far."""
        return self.loss_sum / self.rows

    def batches(self) -> Iterator[Any]:
        """The batches of this epoch that are still to come, in the order that its first random state gives."""
        done = self.batch
        if not done:
            yield from self.train
            return
        now = self._random()
        self._set_random(self.first_random)
        whole = iter(self.train)
        for _ in range(done):
            next(whole)
        self._set_random(now)
        yield from whole

    def _generators(self) -> list[np.random.Generator]:
        """Every random generator that the run may draw from, each once."""
        given = [
            default_rng(),
            getattr(self.train, "rng", None),
            *(getattr(m, "rng", None) for m in self.model.modules()),
        ]
        return list({id(each): each for each in given if isinstance(each, np.random.Generator)}.values())

    def _random(self) -> list[Any]:
        return [each.bit_generator.state for each in self.generators]

    def _set_random(self, states: list[Any]) -> None:
        for each, state in zip(self.generators, states, strict=True):
            each.bit_generator.state = state

    def _parts(self) -> dict[str, Any]:
        """What has a state of its own, by name."""
        parts = {"model": self.model, "optimizer": self.optimizer, "scheduler": self.scheduler}
        parts |= {f"callback {i}": each for i, each in enumerate(self.callbacks)}
        return {name: each for name, each in parts.items() if hasattr(each, "state_dict")}

    def state_dict(self) -> dict[str, Any]:
        """All of it, as plain data and arrays."""
        return {
            "parts": {name: each.state_dict() for name, each in self._parts().items()},
            "epoch": self.epoch,
            "batch": self.batch,
            "rows": self.rows,
            "loss_sum": self.loss_sum,
            "first_random": self.first_random,
            "random": self._random(),
            "history": self.history.rows,
            "stopped": self.history.stopped,
        }

    def load_state_dict(self, state: Any) -> None:
        """Take a run up again; raises ValueError for a checkpoint of another kind of run, and changes nothing then."""
        parts = self._parts()
        if not isinstance(state, dict) or "parts" not in state:
            raise ValueError("fit: this checkpoint holds no run: resume needs the last.npz that fit wrote.")
        if state["parts"].keys() != parts.keys() or len(state["random"]) != len(self.generators):
            raise ValueError(
                f"fit: the checkpoint is of a run with {sorted(state['parts'])} and {len(state['random'])} random "
                f"generators; this one has {sorted(parts)} and {len(self.generators)}."
            )
        for name, each in parts.items():
            each.load_state_dict(state["parts"][name])
        self.epoch, self.batch, self.rows = state["epoch"], state["batch"], state["rows"]
        self.loss_sum = state["loss_sum"]
        self.history.rows[:] = state["history"]
        self.history.stopped = state["stopped"]
        self.first_random = state["first_random"]
        self._set_random(state["random"])


def _replace(path: Path, content: bytes) -> None:
    """Write a file under another name, then move it into its place."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_history(history: History, path: Path) -> None:
    """Write the history as CSV."""
    import csv

    text = io.StringIO()
    writer = csv.DictWriter(text, list(history.rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history.rows)
    _replace(path, text.getvalue().encode())


def write_curve(history: History, path: Path) -> None:
    """Draw the losses over the epochs, where matplotlib is installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    figure = Figure(figsize=(6, 4))
    axes = figure.subplots()
    for column in ("loss", "valid_loss"):
        if column in history.rows[0]:
            axes.plot(history["epoch"], history[column], marker="o", label=column.replace("_", " "))
    axes.set_xlabel("epoch")
    axes.legend()
    content = io.BytesIO()
    figure.savefig(content, format="png")
    _replace(path, content.getvalue())
