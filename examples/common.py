"""What every trainer shares: the command line, the cross-check, the training, the verdict, the files.

A trainer is a `Document` whose `story` is a function of one `Run`. The run carries the options and the seeded random
generator; the story tells it what to check, to train, to draw and to require, and the run prints and saves that.

Read next: `xor.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import fill, indent
from typing import Any

import numpy as np

import autograd_lite as ag
import nn
from nn.curves import curve_png
from nn.run_files import write_file
from nn.saving import CheckpointError
from nn.stopping import Interruption

from .data import DIGITS, BadInput, Split, mnist
from .figures import Figure, shown
from .terminal import command_line, progress, say

Array = np.ndarray[Any, Any]
LINES = 10  # epoch lines that a long training prints
INTERRUPTED = 130  # the exit code of a program that Ctrl-C ended


@dataclass(frozen=True)
class Document:
    """A question somebody asked about a network of theirs, and the trainer that answers it.

    `seeds` are those of the table of all documents.
    """

    name: str
    question: str
    epochs: int
    posted_epochs: int
    story: Callable[[Run], None]
    seeds: Sequence[int] = range(5)

    def main(self, arguments: list[str] | None = None) -> int:
        """Run from the command line: 0 all reached, 1 a figure missed, 2 bad input, 130 interrupted."""
        parser = command_line(f"python -m examples.{self.name}", self.question)
        parser.set_defaults(seed=0)
        return self.run(parser.parse_args(arguments)).code

    def run(self, options: argparse.Namespace) -> Run:
        """Run with parsed options; the `Run` that comes back says how it went."""
        run = Run(self, options)
        try:
            with (
                nullcontext() if run.first else open(os.devnull, "w") as silence,
                redirect_stdout(silence or sys.stdout),
            ):
                run.open()
                self.story(run)
                run.code = run.verdict()
        except (BadInput, FloatingPointError) as error:
            run.fail(error)
            return run
        except KeyboardInterrupt:
            print("\nInterrupted: what there is gets saved, and --resume goes on from there.")
            run.code = INTERRUPTED
        with Interruption() as held:
            if run.first:
                run.save()
        if held.asked:
            run.code = INTERRUPTED
        return run


@dataclass
class Run:
    """One run of a trainer: its options, and what it has to show so far."""

    document: Document
    options: argparse.Namespace
    code: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    checks: dict[str, Any] = field(default_factory=dict)
    error: Exception | None = None
    why: str | None = None

    def __post_init__(self) -> None:
        self.seed: int = self.options.seed
        self.quick: bool = self.options.quick
        self.as_posted: bool = self.options.as_posted
        self.rng = np.random.default_rng(self.seed)
        default = self.document.posted_epochs if self.as_posted else self.document.epochs
        self.epochs: int = self.options.epochs or default
        self.folder = Path(self.options.out or Path("out") / self.document.name)
        self.started = time.perf_counter()
        self.comm = nn.distributed.world()  # the processes of mpiexec; the first one alone speaks and writes
        self.first = self.comm is None or self.comm.rank == 0
        self.files: dict[str, bytes] = {}

    def shorten(self, epochs: int) -> None:
        """With --quick, train for `epochs` unless --epochs asked for another number."""
        if self.quick and self.options.epochs is None:
            self.epochs = epochs

    def open(self) -> None:
        """Print the headline and make sure that the results can be written."""
        print(f"\n{self.document.name}: {self.document.question}\n")
        if self.as_posted and self.options.resume:
            raise BadInput("--resume goes on with a training; --as-posted starts afresh each time. Leave one out.")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"{self.folder}: cannot be made ({error.strerror}). Name another with --out.") from None

    def fail(self, error: Exception) -> None:
        """End with one clear line: exit code 2 for bad input, 1 for a training that went wrong."""
        self.error, self.code = error, 2 if isinstance(error, BadInput) else 1
        print(f"error: {error}", file=sys.stderr, flush=True)
        if self.comm is not None:
            self.comm.Abort(self.code)  # the others would wait for this one

    # ---- the cross-check -----------------------------------------------------------------------------------------

    def check(self, title: str, loss: Callable[..., Any], params: dict[str, Array], manual: dict[str, Array]) -> Any:
        """Compare hand-written gradients with the generated ones; print the table, draw the first that was posted."""
        report = ag.check_backprop(loss, params, manual)
        self.checks[title] = {
            "ok": bool(report.ok),
            "scale": float(report.scale),
            "relative_error": {name: float(report[name].relative_error) for name in manual},
        }
        print(f"{title}: {'RIGHT' if report.ok else 'WRONG'}")
        print(indent(str(report), "  "), end="\n\n")
        if self.as_posted and not self.files:
            self.draw(loss, params, report=report)
        return report

    # ---- data and training ---------------------------------------------------------------------------------------

    def mnist(self) -> Split:
        """MNIST as bytes and labels; with --quick its first 10,000 rows, and 2,000 to be judged on."""
        split = mnist(self.options.data, self.options.download)
        if self.quick:
            return Split(split.x[:10_000], split.y[:10_000], split.test_x[:2_000], split.test_y[:2_000])
        return split

    def train(
        self,
        model: nn.Module,
        loss_fn: Any,
        optimizer: Any,
        train: Any,
        valid: Any,
        metrics: Iterable[Any] = (nn.accuracy,),
        scheduler: Any = None,
        part: str = "",
    ) -> list[dict[str, float]]:
        """Train with nn.fit; the rows of its history. `part` names one of several trainings of a run."""
        folder = self.folder / "parts" / part if part else self.folder
        known = len(self.history)
        log = _Log(self, part)
        try:
            history = nn.fit(
                model, loss_fn, optimizer, train, self.epochs, valid, metrics, scheduler, compile=True,
                out=folder, resume=self.options.resume, callbacks=[log], comm=self.comm,
            )  # fmt: skip
        except CheckpointError as error:
            raise BadInput(f"{error} Leave out --resume to start afresh.") from None
        self.history[known:] = history.rows
        if history.interrupted:
            raise KeyboardInterrupt
        return history.rows

    def passes(self) -> Iterator[int]:
        """The epochs 0, 1, ... of a training by hand, under a progress bar when there are many."""
        yield from progress(range(self.epochs), "epochs", wanted=self.epochs > LINES)

    def log(self, epoch: int, **figures: float) -> None:
        """Keep the figures of one epoch of a training by hand, and tell them."""
        self.history.append({"epoch": epoch + 1, **{name: float(value) for name, value in figures.items()}})
        self.tell(self.history[-1])

    def tell(self, row: dict[str, float], part: str = "") -> None:
        """Print a line for an epoch, in a long training for every tenth part of it; of a part, for its last alone."""
        epoch = int(row["epoch"])
        every = self.epochs if part else -(-self.epochs // LINES)
        if epoch % every == 0 or epoch == self.epochs:
            words = "  ".join(f"{k.replace('_', ' ')} {shown(k, v)}" for k, v in row.items() if k not in UNTOLD)
            say(f"  {part or f'epoch {epoch:>{len(str(self.epochs))}}/{self.epochs}'}  {words}")

    # ---- the picture and the verdict -----------------------------------------------------------------------------

    def draw(self, what: Any, *inputs: Any, **settings: Any) -> None:
        """Draw a network or a result; where nothing can render it, say so and go on."""
        try:
            self.files["graph.svg"] = ag.draw(what, *inputs, **settings).svg().encode()
        except RuntimeError as error:
            print(f"no picture: {error}\n")

    def require(
        self,
        name: str,
        value: float | Sequence[float],
        at_least: float | None = None,
        at_most: float | None = None,
        quick: float | None = None,
    ) -> None:
        """A figure (or that of each seed) that the verdict will hold against its bound, in a quick run `quick`."""
        if self.quick and quick is not None:
            at_least, at_most = (quick, None) if at_least is not None else (None, quick)
        values = [float(each) for each in np.atleast_1d(np.asarray(value))]
        self.figures.append(Figure(name, values, at_least, at_most))

    def because(self, why: str) -> None:
        """The sentence that explains what was seen."""
        self.why = why

    def verdict(self) -> int:
        """Print each figure beside its bound; 0 if all were reached, or the user chose other epochs or data."""
        print()
        for figure in self.figures:
            print(f"  {'reached' if figure.reached else 'MISSED '}  {figure}")
        reached = all(figure.reached for figure in self.figures)
        if reached and self.why:
            print("\n" + fill(self.why, 100))
        judged = self.options.epochs is None and self.options.data != DIGITS
        if not reached and not judged:
            print("\nThe figures are for the default epochs and data: here they are not held against the run.")
        return int(judged and not reached)

    # ---- files ---------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write result.json, curve.png, graph.svg, each whole or not at all; the training has written its own."""
        files = {"result.json": json.dumps(self.result(), indent=1, allow_nan=False).encode(), **self.files}
        curve = curve_png(self.history, f"{self.document.name}, seed {self.seed}") if self.history else None
        if curve is not None:
            files["curve.png"] = curve
        try:
            for name, content in files.items():
                write_file(self.folder / name, content)
        except OSError as error:
            self.fail(BadInput(f"{self.folder}: cannot be written to ({error.strerror}). Name another with --out."))
            return
        names = sorted(path.name + os.sep * path.is_dir() for path in self.folder.iterdir())
        print(f"\nin {self.folder}{os.sep}: {', '.join(names)}")

    def result(self) -> dict[str, Any]:
        """The whole run as plain data; a number that is not finite stands as its name."""
        return finite(
            {
                "document": self.document.name,
                "question": self.document.question,
                "seed": self.seed,
                "epochs": self.epochs,
                "as_posted": self.as_posted,
                "quick": self.quick,
                "interrupted": self.code == INTERRUPTED,
                "reached": bool(self.figures) and all(figure.reached for figure in self.figures),
                "figures": [{"value": each.value, "reached": each.reached} | vars(each) for each in self.figures],
                "why": self.why,
                "checks": self.checks,
                "history": self.history,
                "seconds": round(time.perf_counter() - self.started, 3),
                "python": platform.python_version(),
                "numpy": np.__version__,
            }
        )


UNTOLD = ("epoch", "lr", "seconds")  # columns of a history that its lines leave out


class _Log:
    """Tells a training's epochs, and refuses to go on with the checkpoint of a run with another seed or other data."""

    def __init__(self, run: Run, part: str) -> None:
        self.run = run
        self.part = part

    def __call__(self, state: Any) -> None:
        self.run.tell(state.history.rows[-1], self.part)

    def state_dict(self) -> dict[str, Any]:
        return {"document": self.run.document.name, "seed": self.run.seed, "quick": self.run.quick, "part": self.part}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, mine in self.state_dict().items():
            if state[name] != mine:
                raise ValueError(f"it is of a run with {name} {state[name]}, and this one has {mine}.")


def leaves(params: dict[str, Array]) -> dict[str, ag.Tensor]:
    """The parameters as tensors of their names: a picture of a loss of them leaves the data's gradients out."""
    return {name: ag.tensor(value, requires_grad=True, name=name) for name, value in params.items()}


@contextmanager
def overflow_is_the_point() -> Iterator[None]:
    """Let exp overflow without NumPy's warning, in a run whose weights are meant to blow up."""
    with np.errstate(over="ignore"):
        yield


def finite(value: Any) -> Any:
    """The same plain data with inf and nan as strings, which JSON can hold."""
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [finite(each) for each in value]
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value
