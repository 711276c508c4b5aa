"""nn.fit: training over epochs, with validation, checkpoints, early stopping, and a resume that continues bit for bit.

    history = nn.fit(model, nn.CrossEntropyLoss(), optimizer, train, epochs=5, valid=valid, metrics=[nn.accuracy],
                     out="runs/first")

With `out` the folder receives history.csv, last.npz (everything needed to go on), best.npz (the best state_dict) and,
where matplotlib is installed, curve.png. Where tqdm is installed a terminal shows a bar with the loss and the rate.

Read next: `evaluation.py`, `stopping.py`, `run_state.py`, `run_files.py`.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from .distributed import ranks_of, whole
from .evaluation import Metric, refuse_arrays
from .modules import Module
from .optim import Optimizer
from .optim.lr_scheduler import ReduceLROnPlateau
from .run_files import RunFiles
from .run_state import History, RunState
from .stopping import Interruption, cause
from .training import NotFinite, TrainStep

SHOWN = 0.1  # seconds between two looks of the progress bar: writing it takes longer than a small step


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
    callbacks: Iterable[Callable[[RunState], Any]] = (),
    comm: Any = None,
) -> History:
    """Train for `epochs` epochs over the batches (x, y) of `train`; gives the history, one row for each epoch.

    A row has the mean training loss, the validation's loss and metrics (without `valid` the metrics are of `train`),
    the learning rate and the seconds. `scheduler` is stepped after each epoch, one for batches after each batch, one
    that watches a figure with the validation loss. With `compile` the steps run as one generated function.

    A callback is called after each epoch with the state of the run: its `model`, `loss_fn`, `optimizer`, `epoch` and
    `step` (how many are complete), `loss` (of the last batch), `history` (whose last row is the epoch's) and `out` (the
    folder, or None). By giving True it stops the training. If it has a method `on_batch`, that is called with the same
    after each batch, when the gradients are still there, and `on_end` at the end, however that came. What it has to
    remember for a resume it gives as `state_dict()` and takes as `load_state_dict(state)`.

    Checkpoints are written after an epoch, but not twice in a second, and at the end. Ctrl-C waits for the batch, saves
    and returns, with history.interrupted set. With `resume` the run goes on where out/last.npz left it, with the same
    results, to the last bit, as if it had never stopped: parameters, optimizer, scheduler, callbacks and every random
    generator (the common one, and those that the modules or `train` hold) continue.

    With `comm`, a communicator of mpi4py, each of its processes takes its share of every batch; the model becomes that
    of one process, and rank 0 alone writes files: `distributed.py`.

    Raises FloatingPointError for a loss that is NaN or infinite, before it reaches the parameters, naming the first
    operation that produced it (if a gradient did, the steps of the epoch are taken again, watched, to find it);
    ValueError for an empty data set, resume without `out`, or a checkpoint of another run; TypeError for a model that
    is no Module, and for arrays in place of batches.

    >>> import numpy as np, nn
    >>> generator = nn.manual_seed(0)
    >>> model, x = nn.Linear(1, 1), np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    >>> train = nn.DataLoader(x, 3 * x, batch_size=5, shuffle=True)
    >>> history = nn.fit(model, nn.MSELoss(), nn.optim.Adam(model.parameters(), lr=0.1), train, epochs=40)
    >>> len(history), history["loss"][-1] < 1e-3
    (40, True)
    """
    ranks = ranks_of(comm)
    with ranks.together():
        _refuse(model, train, valid, resume and out is None)
        metrics, callbacks = list(metrics), list(callbacks)
        folder = None if out is None else Path(out)
        history = History("loss" if valid is None else "valid_loss")
        run = RunState(model, optimizer, scheduler, train, history, callbacks, folder, loss_fn)
        files = None if folder is None or not ranks.first else RunFiles(run, folder)
    ranks.begin(run, files.resume if files is not None and resume else None)
    with ranks.together():
        step = ranks.step(model, loss_fn, optimizer, compile)
    model.train()
    with ranks, Interruption() as signal, _Progress(run, epochs, ranks.first) as progress, ExitStack() as endings:
        interruption = ranks.agreed(signal)
        for callback in callbacks:
            if hasattr(callback, "on_end"):
                endings.callback(callback.on_end, run)
        while run.epoch < epochs and not (history.stopped or history.interrupted):
            begun = time.perf_counter()
            try:
                complete = _one_epoch(step, run, ranks.train(train), interruption, progress)
            except FloatingPointError:
                if files is not None:
                    files.close(spoilt=True)
                raise
            if not complete:
                history.interrupted = True
                break
            ranks.settle(model)
            row = {"epoch": run.epoch + 1, "loss": run.mean_loss}
            if valid is not None:
                row |= {f"valid_{k}": v for k, v in ranks.evaluate(model, loss_fn, valid, metrics).items()}
            elif metrics:
                row |= {k: v for k, v in ranks.evaluate(model, loss_fn, train, metrics).items() if k != "loss"}
            row |= {"lr": optimizer.param_groups[0]["lr"], "seconds": time.perf_counter() - begun}
            history.rows.append(row)
            run.next_epoch()
            if scheduler is not None and not getattr(scheduler, "per_batch", False):
                watches = isinstance(scheduler, ReduceLROnPlateau)
                scheduler.step(row[history.monitored]) if watches else scheduler.step()
            for callback in callbacks:
                history.stopped |= ranks.any(callback(run) is True)
            if files is not None:
                files.after_epoch()
            history.interrupted = interruption.asked
        if files is not None:
            files.close()
        history.interrupted |= interruption.asked
    if history.interrupted and files is not None:
        place = f"in epoch {run.epoch + 1}" if run.batch else f"after epoch {run.epoch}"
        print(f"fit: interrupted {place}; {files.last} is saved, resume=True goes on from it.")
    return history


def _refuse(model: Any, train: Any, valid: Any, nowhere: bool) -> None:
    """Raise for what cannot be trained, or has nowhere to resume from."""
    if nowhere:
        raise ValueError("fit: resume=True needs out=, the folder of the run to go on with.")
    if not isinstance(model, Module):
        raise TypeError(
            f"fit: the model must be an nn.Module, whose parameters can be saved and restored by name, not "
            f"{type(model).__name__}. For a function of yours: step = nn.TrainStep(function, loss_fn, optimizer), and "
            "step(x, y) for each batch."
        )
    for data in (train, valid):
        refuse_arrays("fit", data)
    if isinstance(train, Iterator):
        raise ValueError("fit: train can be run through only once; give a DataLoader or a list of batches.")


def _one_epoch(
    step: TrainStep, run: RunState, train: Iterable[Any], interruption: Interruption, progress: _Progress
) -> bool:
    """Run through the rest of an epoch; whether it came to its end."""
    scheduler = run.scheduler if getattr(run.scheduler, "per_batch", False) else None
    watchers = [callback.on_batch for callback in run.callbacks if hasattr(callback, "on_batch")]
    live = progress.live
    run.mark()
    for x, y in run.batches(train):
        try:
            loss = step(x, y)
        except NotFinite as error:
            place = f"{error.args[0].removeprefix('TrainStep: ').rstrip('.')} in epoch {run.epoch + 1}"
            place = f"fit: {place}, batch {run.batch + 1}"
            raise FloatingPointError(f"{place}: {cause(run, whole(x), y)}") from None
        if scheduler is not None:
            scheduler.step()
        run.count(loss, len(y))
        for watch in watchers:
            watch(run)
        if live:
            progress.show()
        if interruption.asked:
            return False
    if run.rows == 0:
        raise ValueError("fit: the training data have no batches.")
    return True


class _Progress:
    """A bar over all batches, where tqdm is installed and somebody looks."""

    def __init__(self, run: RunState, epochs: int, wanted: bool) -> None:
        self.run = run
        self.epochs = epochs
        self.bar: Any = None
        self.due = 0.0
        try:
            tqdm = importlib.import_module("tqdm")
        except ImportError:
            return
        total = epochs * len(run.train) if hasattr(run.train, "__len__") else None
        self.bar = tqdm.tqdm(total=total, initial=run.step, unit="batch", disable=None if wanted else True, leave=False)

    @property
    def live(self) -> bool:
        """Whether there is a bar that somebody sees."""
        return self.bar is not None and not self.bar.disable

    def show(self) -> None:
        """Bring the bar up to date, if it is time."""
        now = time.perf_counter()
        if now >= self.due:
            self.due = now + SHOWN
            run = self.run
            self.bar.set_description(f"epoch {run.epoch + 1}/{self.epochs}", refresh=False)
            rate = run.optimizer.param_groups[0]["lr"]
            self.bar.set_postfix(loss=f"{run.mean_loss:.4g}", lr=f"{rate:.3g}", refresh=False)
            self.bar.update(run.step - self.bar.n)

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.bar is not None:
            self.bar.close()
