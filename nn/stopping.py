"""What ends a training before its last epoch: a figure that no longer improves, Ctrl-C, a loss that is no number.

    history = nn.fit(..., callbacks=[nn.EarlyStopping(patience=3)])

Read next: `run_state.py`.
"""

from __future__ import annotations

import math
import signal
import threading
from types import FrameType
from typing import Any

import numpy as np

import autograd_lite as ag

from .run_state import RunState
from .training import TrainStep


class EarlyStopping:
    """A callback that stops the training when a figure has not improved for `patience` epochs.

    `monitor` is a column of the history (the validation loss, or without validation the loss); `mode` says whether it
    should be "min" or "max"; an improvement is one by more than `min_delta`.

    >>> import numpy as np, nn
    >>> model, data = nn.Linear(1, 1), [(np.ones((4, 1), np.float32), np.ones((4, 1), np.float32))]
    >>> optimizer = nn.optim.SGD(model.parameters(), lr=0.0)
    >>> history = nn.fit(model, nn.MSELoss(), optimizer, data, epochs=50, callbacks=[nn.EarlyStopping(patience=3)])
    >>> len(history), history.stopped
    (4, True)
    """

    def __init__(
        self, patience: int = 5, monitor: str | None = None, min_delta: float = 0.0, mode: str = "min"
    ) -> None:
        if mode not in ("min", "max"):
            raise ValueError(f"EarlyStopping: mode must be 'min' or 'max', not {mode!r}.")
        self.patience = patience
        self.monitor = monitor
        self.min_delta = min_delta
        self.mode = mode
        self.best = math.inf
        self.waited = 0

    def __call__(self, run: RunState) -> bool:
        """Whether to stop, after an epoch."""
        row = run.history.rows[-1]
        column = self.monitor or run.history.monitored
        if column not in row:
            raise ValueError(f"EarlyStopping: the history has no column {column!r}, only {list(row)}.")
        value = row[column] * (1 if self.mode == "min" else -1)
        if value < self.best - self.min_delta:
            self.best, self.waited = value, 0
        else:
            self.waited += 1
        return self.waited >= self.patience

    def state_dict(self) -> dict[str, Any]:
        """What has been seen so far."""
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a state_dict."""
        self.best, self.waited = float(state_dict["best"]), int(state_dict["waited"])


class Interruption:
    """Ctrl-C, kept until a batch is complete; a second one acts at once. Only in the main thread."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> Interruption:
        self.before: Any = None
        if threading.current_thread() is threading.main_thread():
            self.before = signal.signal(signal.SIGINT, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, self.before)

    def __exit__(self, *exc: object) -> None:
        if self.before is not None:
            signal.signal(signal.SIGINT, self.before)


def cause(run: RunState, x: Any, y: Any) -> str:
    """Where a NaN or an infinity came from, in words: found by computing again, watched.

    If a step before has spoilt a parameter, the run is taken back to just before that step.
    """
    step = TrainStep(run.model, run.loss_fn, run.optimizer)
    for name, each in run.model.named_parameters():
        if not np.isfinite(each.data).all():
            return f"the parameter {name} is no longer finite. {_again(run, step)}"
    if not all(np.isfinite(each).all() for each in (x, y) if isinstance(each, np.ndarray)):
        return "the batch itself holds a NaN or an infinity."
    return _watched(step, x, y) or "it grew beyond what the numbers can hold."


def _watched(step: TrainStep, x: Any, y: Any) -> str:
    """What the first operation that gives a NaN or an infinity says, forward or backward; '' if none does."""
    try:
        with ag.detect_anomaly(), np.errstate(all="ignore"):
            step.gradients(x, y)
    except FloatingPointError as error:
        return str(error)
    return ""


def _again(run: RunState, step: TrainStep) -> str:
    """Take the steps since the moment marked last again, each watched."""
    end = run.step
    if not run.rewind():
        return "It was so when the training began."
    for x, y in run.batches():
        if run.step == end:
            break
        found = _watched(step, x, y)
        if found:
            return f"In the step of batch {run.batch + 1}, {found}"
        run.optimizer.step()
        if getattr(run.scheduler, "per_batch", False):
            run.scheduler.step()
        run.count(run.loss, len(y))
    return "All gradients were finite, so it is the update: lower the learning rate, or clip the gradients."
