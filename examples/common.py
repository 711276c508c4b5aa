"""What every trainer shares: the command line, the cross-check, the training loop, the verdict, the files.

A trainer is a `Document` whose `story` is a function of one `Run`. The run carries the options and the seeded random
generator; the story tells it what to check, to train, to draw and to require, and the run prints and saves that.

Read next: `xor.py`.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from textwrap import fill, indent
from typing import Any

import numpy as np

import autograd_lite as ag
import nn

from .data import BadInput, Split, mnist

Array = np.ndarray[Any, Any]
LINES = 10  # epoch lines that a long training prints
INTERRUPTED = 130  # the exit code of a program that Ctrl-C ended


@dataclass(frozen=True)
class Document:
    """A question somebody asked about a network of theirs, and the trainer that answers it."""

    name: str
    question: str
    epochs: int
    posted_epochs: int
    story: Callable[[Run], None]

    def main(self, arguments: list[str] | None = None) -> int:
        """Run from the command line: 0 all reached, 1 a figure missed, 2 bad input, 130 interrupted."""
        parser = command_line(f"python -m examples.{self.name}", self.question)
        return self.run(parser.parse_args(arguments)).code

    def run(self, options: argparse.Namespace) -> Run:
        """Run with parsed options; the `Run` that comes back says how it went."""
        run = Run(self, options)
        try:
            run.open()
            self.story(run)
            run.code = run.verdict()
        except BadInput as error:
            run.fail(error)
            return run
        except KeyboardInterrupt:
            print("\nInterrupted: what there is gets saved.")
            run.code = INTERRUPTED
        run.save()
        return run


def command_line(program: str, description: str) -> argparse.ArgumentParser:
    """The options that all trainers take."""
    parser = argparse.ArgumentParser(prog=program, description=description)
    parser.add_argument("--epochs", type=_positive, metavar="N", help="passes over the training rows")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of everything random (default 0)")
    parser.add_argument("--as-posted", action="store_true", help="show what the author of the document saw")
    parser.add_argument("--quick", action="store_true", help="a short version that still has to learn")
    parser.add_argument("--data", metavar="DIR", help="folder of the data files (default $AUTOGRAD_LITE_DATA)")
    parser.add_argument("--download", action="store_true", help="fetch data files that are missing")
    parser.add_argument("--out", metavar="DIR", help="folder for the results (default out/NAME)")
    return parser


def _positive(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 up")
    return number


@dataclass
class Figure:
    """A number that was measured, and the bound it has to keep."""

    name: str
    value: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def reached(self) -> bool:
        """Whether the value keeps its bound; NaN never does."""
        above = self.at_least is None or self.value >= self.at_least
        below = self.at_most is None or self.value <= self.at_most
        return bool(above and below and self.value == self.value)

    def __str__(self) -> str:
        bounds = [f"at least {shown(self.name, self.at_least)}"] if self.at_least is not None else []
        bounds += [f"at most {shown(self.name, self.at_most)}"] if self.at_most is not None else []
        return f"{self.name} {shown(self.name, self.value)}, required {' and '.join(bounds)}"


def shown(name: str, value: float) -> str:
    """A figure as people read it: accuracies in percent, everything else to four digits."""
    return f"{value:.2%}" if "accuracy" in name else f"{value:.4g}"


@dataclass
class Run:
    """One run of a trainer: its options, and what it has to show so far."""

    document: Document
    options: argparse.Namespace
    code: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    checks: dict[str, Any] = field(default_factory=dict)
    model: nn.Module | None = None
    error: BadInput | None = None
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
        self.files: dict[str, bytes] = {}

    def shorten(self, epochs: int) -> None:
        """With --quick, train for `epochs` unless --epochs asked for another number."""
        if self.quick and self.options.epochs is None:
            self.epochs = epochs

    def open(self) -> None:
        """Print the headline and make sure that the results can be written."""
        print(f"\n{self.document.name}: {self.document.question}\n")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"{self.folder}: cannot be made ({error.strerror}). Name another with --out.") from None

    def fail(self, error: BadInput) -> None:
        """End with one clear line and exit code 2."""
        self.error, self.code = error, 2
        print(f"error: {error}", file=sys.stderr)

    # ---- the cross-check -----------------------------------------------------------------------------------------

    def check(self, title: str, loss: Callable[..., Any], params: dict[str, Array], manual: dict[str, Array]) -> Any:
        """Compare hand-written gradients with the generated ones, and print the table."""
        report = ag.check_backprop(loss, params, manual)
        self.checks[title] = {
            "ok": bool(report.ok),
            "scale": float(report.scale),
            "relative_error": {name: float(report[name].relative_error) for name in manual},
        }
        print(f"{title}: {'RIGHT' if report.ok else 'WRONG'}")
        print(indent(str(report), "  "), end="\n\n")
        return report

    # ---- data and training ---------------------------------------------------------------------------------------

    def mnist(self) -> Split:
        """MNIST as bytes and labels; with --quick its first 10,000 rows, and 2,000 to be judged on."""
        split = mnist(self.options.data, self.options.download)
        if self.quick:
            return Split(split.x[:10_000], split.y[:10_000], split.test_x[:2_000], split.test_y[:2_000])
        return split

    def passes(self) -> Iterator[int]:
        """The epochs 0, 1, ..., under a progress bar when there are many."""
        yield from progress(range(self.epochs), "epochs", wanted=self.epochs > LINES)

    def log(self, epoch: int, part: str = "", **figures: float) -> None:
        """Keep the figures of one epoch; print a line of them, for a long training every tenth part of it.

        `part` names one of several trainings of a run; of such, the last epoch alone gets a line.
        """
        self.history.append({"epoch": epoch + 1, **{name: float(value) for name, value in figures.items()}})
        every = self.epochs if part else -(-self.epochs // LINES)
        if (epoch + 1) % every == 0 or epoch + 1 == self.epochs:
            words = "  ".join(f"{name.replace('_', ' ')} {shown(name, value)}" for name, value in figures.items())
            place = part or f"epoch {epoch + 1:>{len(str(self.epochs))}}/{self.epochs}"
            say(f"  {place}  {words}")

    def train(
        self,
        model: nn.Module,
        loss_fn: Any,
        optimizer: Any,
        batches: Any,
        evaluate: Callable[[], dict[str, float]],
        scheduler: Any = None,
        part: str = "",
    ) -> None:
        """Train by generated gradients; log the mean loss and `evaluate()` of each epoch, then step the scheduler."""
        self.model = model
        step = nn.TrainStep(model, loss_fn, optimizer)
        for epoch in self.passes():
            losses = [step(x, y) for x, y in progress(batches, f"epoch {epoch + 1}", wanted=self.epochs <= LINES)]
            with ag.no_grad():
                self.log(epoch, part, loss=float(np.mean(losses)), **evaluate())
            if scheduler is not None:
                scheduler.step()

    # ---- the picture and the verdict -----------------------------------------------------------------------------

    def draw(self, what: Any, *inputs: Any) -> None:
        """Draw a network or a result; where nothing can render it, say so and go on."""
        try:
            self.files["graph.svg"] = ag.draw(what, *inputs).svg().encode()
        except RuntimeError as error:
            print(f"\nno picture: {error}")

    def require(
        self,
        name: str,
        value: float,
        at_least: float | None = None,
        at_most: float | None = None,
        quick: float | None = None,
    ) -> None:
        """A figure that the verdict will hold against its bound, or against `quick` in a quick run."""
        if self.quick and quick is not None:
            at_least, at_most = (quick, None) if at_least is not None else (None, quick)
        self.figures.append(Figure(name, float(value), at_least, at_most))

    def because(self, why: str) -> None:
        """The sentence that explains what was seen."""
        self.why = why

    def verdict(self) -> int:
        """Print each figure beside its bound; 0 if all were reached. Epochs chosen by the user are not judged."""
        print()
        for figure in self.figures:
            print(f"  {'reached' if figure.reached else 'MISSED '}  {figure}")
        reached = all(figure.reached for figure in self.figures)
        if reached and self.why:
            print("\n" + fill(self.why, 100))
        judged = self.options.epochs is None
        if not reached and not judged:
            print(
                "\nThe figures are for the default number of epochs; with --epochs they are not held against the run."
            )
        return int(judged and not reached)

    # ---- files ---------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write result.json, curve.png, graph.svg and the checkpoint, each whole or not at all."""
        files = {"result.json": json.dumps(self.result(), indent=1, allow_nan=False).encode(), **self.files}
        if self.history:
            curve = plot(lambda picture: draw_curve(picture, self.history, f"{self.document.name}, seed {self.seed}"))
            files |= {"curve.png": curve} if curve else {}
        try:
            for name, content in files.items():
                write(self.folder / name, content)
            if self.model is not None:
                nn.save(self.model.state_dict(), self.folder / "checkpoint.npz")
                files["checkpoint.npz"] = b""
        except OSError as error:
            self.fail(BadInput(f"{self.folder}: cannot be written to ({error.strerror}). Name another with --out."))
            return
        print(f"written to {self.folder}{os.sep}: {', '.join(files)}")

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
                "figures": [vars(figure) | {"reached": figure.reached} for figure in self.figures],
                "why": self.why,
                "checks": self.checks,
                "history": self.history,
                "seconds": round(time.perf_counter() - self.started, 3),
                "python": platform.python_version(),
                "numpy": np.__version__,
            }
        )


def finite(value: Any) -> Any:
    """The same plain data with inf and nan as strings, which JSON can hold."""
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [finite(each) for each in value]
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value


def progress(items: Iterable[Any], label: str, wanted: bool, total: int | None = None) -> Iterable[Any]:
    """The items under a progress bar, where tqdm is installed."""
    if not wanted:
        return items
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        return items
    bar: Iterable[Any] = tqdm(items, label, total, leave=False, disable=None)  # None: shown on a terminal alone
    return bar


def say(line: str) -> None:
    """Print a line without tearing a progress bar."""
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        print(line, flush=True)
    else:
        tqdm.write(line)


def write(path: Path, content: bytes) -> None:
    """Write a file under a temporary name and move it into place."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(content)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def plot(draw: Callable[[Any], None]) -> bytes | None:
    """A PNG of what `draw` puts on a matplotlib figure; None, said aloud, where matplotlib is not installed."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure as Picture
    except ModuleNotFoundError:
        print('no plot: it needs matplotlib (pip install "autograd-lite[examples]").')
        return None
    picture = Picture(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(picture)
    draw(picture)
    file = io.BytesIO()
    picture.savefig(file, format="png", dpi=120)
    return file.getvalue()


def draw_curve(picture: Any, history: list[dict[str, float]], title: str) -> None:
    """The losses over the epochs, and the accuracies, where there are any, on an axis of their own."""
    epochs = [row["epoch"] for row in history]
    starts = [at for at, epoch in enumerate(epochs) if epoch == 1]
    trainings = [slice(*ends) for ends in pairwise([*starts, len(epochs)])]
    accuracies = [name for name in history[0] if "accuracy" in name]
    others = [name for name in history[0] if name not in accuracies and name != "epoch"]
    marker = "o" if max(epochs) < 2 * LINES else None
    left = picture.subplots()

    def draw(axes: Any, name: str, factor: float, **style: Any) -> None:
        values = [factor * row[name] for row in history]
        for i, each in enumerate(trainings):
            label = name.replace("_", " ") if i == 0 else None
            axes.plot(epochs[each], values[each], marker=marker, label=label, **style)

    for i, name in enumerate(others):
        draw(left, name, 1, color=f"C{i}")
    positive = all(row[name] > 0 for row in history for name in others)
    left.set_yscale("log" if positive else "symlog")
    left.set(title=title, xlabel="epoch", ylabel="loss" if "loss" in others else "")
    left.grid(alpha=0.3)
    lines = left.get_lines()
    if accuracies:
        right = left.twinx()
        for i, name in enumerate(accuracies, len(others)):
            draw(right, name, 100, color=f"C{i}", linestyle="--")
        right.set(ylabel="accuracy, %")
        lines = [*lines, *right.get_lines()]
    handles = [line for line in lines if not str(line.get_label()).startswith("_")]
    left.legend(handles=handles, loc="center right")


@contextmanager
def overflow_is_the_point() -> Iterator[None]:
    """Let exp overflow without NumPy's warning, in a run whose weights are meant to blow up."""
    with np.errstate(over="ignore"):
        yield


def accuracy_of(model: nn.Module, x: Array, labels: Array) -> float:
    """The share of rows whose largest output is at their label."""
    with ag.no_grad():
        return float(np.mean(np.argmax(model(x).numpy(), axis=1) == labels))
