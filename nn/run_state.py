"""What a training run is made of, so that it can be watched, written down and taken up again: used by `fit`.

Read next: `stopping.py`, `run_files.py`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
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
        values = np.array(self[self.monitored])
        return int(np.argmin(np.where(np.isnan(values), math.inf, values))) + 1

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {value:.4g}" for name, value in (self.rows[-1] if self.rows else {}).items())
        return f"History({len(self)} epochs; {last})"


class RunState:
    """Everything that a training run changes, and how far it has come. Callbacks are given it.

    `model`, `loss_fn`, `optimizer`, `scheduler` and `train` are what `fit` was called with, `out` its folder as a Path,
    or None. `epoch` counts the epochs that are complete, `batch` the batches of the one begun, `step` all updates so
    far; `loss` is that of the last batch, `history` has a row for each epoch that is complete.
    """

    def __init__(
        self,
        model: Module,
        optimizer: Any,
        scheduler: Any,
        train: Any,
        history: History,
        callbacks: list[Any],
        out: Path | None = None,
        loss_fn: Any = None,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.train = train
        self.history = history
        self.callbacks = callbacks
        self.out = out
        self.loss_fn = loss_fn
        self.epoch = 0
        self.step = 0
        self.loss = math.nan
        self._generators = _generators(default_rng(), train, *model.modules())
        self._mark: dict[str, Any] | None = None
        self._begin()

    def _begin(self) -> None:
        self.batch = 0
        self.rows = 0
        self.loss_sum = 0.0
        self._first_random = self._random()

    def next_epoch(self) -> None:
        """Go on to the next epoch."""
        self.epoch += 1
        self._begin()

    def count(self, loss: float, rows: int) -> None:
        """Note a batch that was trained on."""
        self.batch += 1
        self.step += 1
        self.rows += rows
        self.loss = loss
        self.loss_sum += loss * rows

    @property
    def mean_loss(self) -> float:
        """The mean loss of this epoch so far, each batch counted by its rows."""
        return self.loss_sum / self.rows

    def batches(self, train: Iterable[Any] | None = None) -> Iterator[Any]:
        """The batches of this epoch that are still to come, in the order that its first random state gives; `train`
        stands for the run's own, of which it gives the same batches."""
        train = self.train if train is None else train
        done = self.batch
        if not done:
            yield from train
            return
        now = self._random()
        self._set_random(self._first_random)
        whole = iter(train)
        found = sum(1 for _ in islice(whole, done))
        if found < done:
            raise ValueError(f"fit: the run stopped after batch {done} of an epoch; `train` has only {found} batches.")
        self._set_random(now)
        yield from whole

    def _random(self) -> list[Any]:
        return [each.bit_generator.state for each in self._generators]

    def _set_random(self, states: list[Any]) -> None:
        for each, state in zip(self._generators, states, strict=True):
            each.bit_generator.state = state

    def _parts(self) -> dict[str, Any]:
        """What has a state of its own, by name."""
        parts = {"model": self.model, "optimizer": self.optimizer, "scheduler": self.scheduler}
        parts |= {f"callback {i}": each for i, each in enumerate(self.callbacks)}
        return {name: each for name, each in parts.items() if hasattr(each, "state_dict")}

    def state_dict(self) -> dict[str, Any]:
        """All of it, as plain data and arrays."""
        parts = {name: each.state_dict() for name, each in self._parts().items()}
        return self._progress() | {"kinds": self._kinds(), "parts": parts}

    def _progress(self) -> dict[str, Any]:
        """How far the run has come."""
        return {
            **{name: getattr(self, name) for name in _COUNTS},
            "first_random": self._first_random,
            "random": self._random(),
            "history": self.history.rows,
            "stopped": self.history.stopped,
        }

    def _kinds(self) -> dict[str, str]:
        """The class of each part, and of each random generator."""
        kinds = {name: type(each).__name__ for name, each in self._parts().items()}
        generators = {
            f"generator {i}": each.bit_generator.state["bit_generator"] for i, each in enumerate(self._generators)
        }
        return kinds | generators

    def load_state_dict(self, state: Any) -> None:
        """Take a run up again; raises ValueError for a checkpoint of another kind of run, and changes nothing then."""
        if not isinstance(state, dict) or "kinds" not in state:
            raise ValueError("it holds no run: resume needs the last.npz that fit wrote.")
        theirs, mine = state["kinds"], self._kinds()
        if theirs != mine:
            differ = [name for name in {**theirs, **mine} if theirs.get(name) != mine.get(name)]
            listed = [f"{name}: {theirs.get(name, 'none')} there, {mine.get(name, 'none')} here" for name in differ]
            raise ValueError(f"it is of another run ({'; '.join(listed)}).")
        parts = self._parts()
        before = self.state_dict()
        try:
            for name, each in parts.items():
                each.load_state_dict(state["parts"][name])
            self._take(state)
        except Exception:
            for name, each in parts.items():
                each.load_state_dict(before["parts"][name])
            self._take(before)
            raise

    def mark(self) -> None:
        """Note this moment for `rewind`, if all parameters are finite."""
        if all(np.isfinite(each.data).all() for each in self.model.parameters()):
            parts = {name: each.state_dict() for name, each in self._parts().items() if name in _TRAINED}
            self._mark = self._progress() | {"parts": parts}

    def rewind(self) -> bool:
        """Go back to the moment that was marked last; whether there is one."""
        if self._mark is None:
            return False
        for name, each in self._mark["parts"].items():
            self._parts()[name].load_state_dict(each)
        self._take(self._mark)
        return True

    def _take(self, state: dict[str, Any]) -> None:
        for name in _COUNTS:
            setattr(self, name, state[name])
        self.history.rows = [dict(row) for row in state["history"]]
        self.history.stopped = bool(state["stopped"])
        self._first_random = state["first_random"]
        self._set_random(state["random"])


_TRAINED = ("model", "optimizer", "scheduler")
_COUNTS = ("epoch", "batch", "step", "rows", "loss", "loss_sum")


def _generators(*roots: Any) -> list[np.random.Generator]:
    """Every random generator that the given objects are or hold, also in what they wrap, each once and in order."""
    found: list[np.random.Generator] = []
    seen: dict[int, Any] = {}
    waiting = deque(roots)
    while waiting:
        each = waiting.popleft()
        if id(each) in seen or isinstance(each, (type, np.ndarray)):
            continue
        seen[id(each)] = each
        if isinstance(each, np.random.Generator):
            found.append(each)
        elif isinstance(each, (list, tuple)):
            waiting.extend(each)
        elif isinstance(each, dict):
            waiting.extend(each.values())
        else:
            waiting.extend(getattr(each, "__dict__", {}).values())
    return found
