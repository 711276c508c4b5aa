"""nn.fit: training over epochs, with validation, checkpoints, early stopping, and a resume that continues bit for bit.

    history = nn.fit(model, nn.CrossEntropyLoss(), optimizer, train, epochs=5, valid=valid, metrics=[nn.accuracy],
                     out="runs/first")

With `out` the folder receives history.csv, last.npz (everything needed to go on), best.npz (the best state_dict) and,
where matplotlib is installed, curve.png. Where tqdm is installed a terminal shows a bar for each epoch.

Read next: `run_state.py`.
"""

from __future__ import annotations

import importlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import autograd_lite as ag

from .modules import Module
from .optim import Optimizer
from .optim.lr_scheduler import ReduceLROnPlateau
from .run_state import History, RunState, write_curve, write_history
from .saving import load, save
from .training import TrainStep

Metric = Callable[[Any, Any], Any]


def accuracy(prediction: Any, target: Any) -> float:
    """The share of rows whose largest score stands at the label; of one score for each row, whose sign is the answer.

    `target` holds class indices, probabilities of the prediction's shape, or 0 and 1 for a single score.

    >>> import numpy as np
    >>> accuracy(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
    0.5
    """
    prediction, target = np.asarray(prediction), np.asarray(target)
    if prediction.ndim < 2 or prediction.shape[1] == 1:
        return float(np.mean((prediction.ravel() > 0) == (target.ravel() > 0.5)))
    labels = np.argmax(target, axis=1) if target.shape == prediction.shape else target
    return float(np.mean(np.argmax(prediction, axis=1) == labels))


class EarlyStopping:
    """A callback that stops the training when a figure has not improved for `patience` epochs.

    `monitor` is a column of the history (the validation loss, or without validation the loss); `mode` says whether it
    should be "min" or "max"; an improvement is one by more than `min_delta`.
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

    def __call__(self, history: History) -> bool:
        """Whether to stop, after an epoch."""
        column = self.monitor or history.monitored
        if column not in history.rows[-1]:
            raise ValueError(f"EarlyStopping: the history has no column {column!r}, only {list(history.rows[-1])}.")
        value = history.rows[-1][column] * (1 if self.mode == "min" else -1)
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


def evaluate(model: Module, loss_fn: Any, data: Iterable[Any], metrics: Iterable[Metric] = ()) -> dict[str, float]:
    """The mean loss and metrics over batches, the model in eval(); each batch counts by its rows.

    >>> import numpy as np, nn
    >>> nn.evaluate(nn.Identity(), nn.MSELoss(), [(np.ones(2), np.zeros(2))])
    {'loss': 1.0}
    """
    sums: dict[str, float] = {}
    rows = 0
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with ag.no_grad():
            for x, y in data:
                prediction = model(x)
                figures = {"loss": float(loss_fn(prediction, y))}
                shown = prediction.data if isinstance(prediction, ag.Tensor) else prediction
                for metric in metrics:
                    figures[getattr(metric, "__name__", type(metric).__name__)] = float(metric(shown, y))
                for name, value in figures.items():
                    sums[name] = sums.get(name, 0.0) + value * len(y)
                rows += len(y)
    finally:
        for module, training in modes:
            module.training = training
    if rows == 0:
        raise ValueError("evaluate: the data set is empty.")
    return {name: value / rows for name, value in sums.items()}


class _Interruption:
    """Ctrl-C, kept until a batch is complete; a second one acts at once. Only in the main thread."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> _Interruption:
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


def fit(
    model: Module,
    loss_fn: Any,
    optimizer: Optimizer,
    train: Iterable[Any],
    epochs: int = 1,
    valid: Iterable[Any] | None = None,
    metrics: Iterable[Metric] = (),
    scheduler: Any = None,
    compile: bool = False,
    out: Any = None,
    resume: bool = False,
    callbacks: Iterable[Callable[[History], Any]] = (),
) -> History:
    """Train for `epochs` epochs over the batches (x, y) of `train`; gives the history, one row for each epoch.

    A row has the mean training loss, the validation's loss and metrics (without `valid` the metrics are of `train`),
    the learning rate and the seconds. `scheduler` is stepped after each epoch, one for batches after each batch, one
    that watches a figure with the validation loss. A callback is called with the history after each epoch and stops the
    training by giving True. Ctrl-C waits for the batch, saves and returns, with history.interrupted set. With
    `resume` the run goes on where out/last.npz left it, with the same results, to the last bit, as if it had never
    stopped: parameters, optimizer, scheduler, callbacks and every random generator (the common one, `train.rng`, and
    each module's `rng`) continue.

    Raises FloatingPointError for a loss that is NaN or infinite, before it reaches the parameters, naming the first
    operation that produced it; ValueError for an empty data set, or resume without `out`.
    """
    if resume and out is None:
        raise ValueError("fit: resume=True needs out=, the folder of the run to go on with.")
    if isinstance(train, Iterator):
        raise ValueError("fit: train can be run through only once; give a DataLoader or a list of batches.")
    folder = None if out is None else Path(out)
    metrics, callbacks = list(metrics), list(callbacks)
    step = TrainStep(model, loss_fn, optimizer, compile=compile)
    run = RunState(model, optimizer, scheduler, callbacks, train, History("loss" if valid is None else "valid_loss"))
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        if resume and (folder / "last.npz").exists():
            run.load_state_dict(load(folder / "last.npz"))
    history = run.history
    model.train()
    with _Interruption() as interruption:
        while run.epoch < epochs and not history.stopped:
            begun = time.perf_counter()
            loss = _one_epoch(step, run, interruption, f"epoch {run.epoch + 1}/{epochs}")
            if loss is None:
                history.interrupted = True
                break
            row = {"epoch": run.epoch + 1, "loss": loss}
            if valid is not None:
                row |= {f"valid_{k}": v for k, v in evaluate(model, loss_fn, valid, metrics).items()}
            elif metrics:
                row |= {k: v for k, v in evaluate(model, loss_fn, train, metrics).items() if k != "loss"}
            row |= {"lr": optimizer.param_groups[0]["lr"], "seconds": time.perf_counter() - begun}
            history.rows.append(row)
            run.next_epoch()
            if scheduler is not None and not getattr(scheduler, "per_batch", False):
                watches = isinstance(scheduler, ReduceLROnPlateau)
                scheduler.step(row[history.monitored]) if watches else scheduler.step()
            for callback in callbacks:
                history.stopped |= callback(history) is True
            if folder is not None:
                _write(folder, run, best=history.best_epoch == row["epoch"])
            if interruption.asked and run.epoch < epochs:
                history.interrupted = True
                break
    if folder is not None and history.rows:
        write_curve(history, folder / "curve.png")
    if history.interrupted and folder is not None:
        save(run.state_dict(), folder / "last.npz")
        print(
            f"fit: interrupted in epoch {run.epoch + 1}; {folder / 'last.npz'} is saved, resume=True goes on from it."
        )
    return history


def _write(folder: Path, run: RunState, best: bool) -> None:
    if best:
        save(run.model.state_dict(), folder / "best.npz")
    save(run.state_dict(), folder / "last.npz")
    write_history(run.history, folder / "history.csv")


def _one_epoch(step: TrainStep, run: RunState, interruption: _Interruption, title: str) -> float | None:
    """Run through the rest of an epoch; the mean loss, or None if it was interrupted."""
    per_batch = run.scheduler is not None and getattr(run.scheduler, "per_batch", False)
    bar = _bar(run.batches(), run.train, title)
    for x, y in bar:
        loss = step.gradients(x, y)
        if not math.isfinite(loss):
            raise FloatingPointError(f"fit: the loss is {loss} in {title}, batch {run.batch + 1}: {_why(step, x, y)}")
        step.optimizer.step()
        if per_batch:
            run.scheduler.step()
        run.count(loss, len(y))
        if hasattr(bar, "set_postfix"):
            bar.set_postfix(loss=f"{run.mean_loss:.4g}", refresh=False)
        if interruption.asked:
            bar.close()
            return None
    if run.rows == 0:
        raise ValueError("fit: the training data have no batches.")
    return run.mean_loss


def _bar(batches: Iterator[Any], train: Any, title: str) -> Any:
    """The batches, under a progress bar where tqdm is installed and somebody looks."""
    try:
        tqdm = importlib.import_module("tqdm")
    except ImportError:
        return batches
    return tqdm.tqdm(batches, title, len(train) if hasattr(train, "__len__") else None, disable=None)


def _why(step: TrainStep, x: Any, y: Any) -> str:
    """Where a NaN or an infinity came from, in words: found by computing the batch again, watched."""
    if isinstance(step.model, Module):
        for name, each in step.model.named_parameters():
            if not np.isfinite(each.data).all():
                return f"the parameter {name} is no longer finite; lower the learning rate, or clip the gradients."
    if not all(np.isfinite(each).all() for each in (x, y) if isinstance(each, np.ndarray)):
        return "the batch itself holds a NaN or an infinity."
    try:
        with ag.detect_anomaly(), np.errstate(all="ignore"):
            step.gradients(x, y)
    except FloatingPointError as error:
        return str(error)
    return "it grew beyond what the numbers can hold."
