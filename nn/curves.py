"""curve.png: the losses of a training over its epochs, and its accuracies on an axis of their own.

Read next: `run_files.py`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

MARKED = 20  # epochs: with more, a marker for each would only thicken the line
ASIDE = ("epoch", "lr", "seconds")  # columns that are no result


def png(draw: Callable[[Any], None]) -> bytes | None:
    """A PNG of what `draw` puts on a matplotlib figure; None where matplotlib is not installed."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return None
    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    return content.getvalue()


def curve_png(rows: Sequence[dict[str, float]], title: str = "") -> bytes | None:
    """A PNG of the figures in the rows of a history; None where matplotlib is not installed.

    Several trainings may follow one another: where a row has epoch 1 a new one begins, drawn in the same colours.
    """
    return png(lambda figure: _draw(figure, rows, title))


def _draw(figure: Any, rows: Sequence[dict[str, float]], title: str) -> None:
    epochs = [row["epoch"] for row in rows]
    starts = [at for at, epoch in enumerate(epochs) if at == 0 or epoch == 1]
    trainings = [slice(*ends) for ends in pairwise([*starts, len(epochs)])]
    shares = [name for name in rows[0] if "accuracy" in name]
    others = [name for name in rows[0] if name not in shares and name not in ASIDE]
    style = {"marker": "o" if max(epochs) <= MARKED else None, "alpha": 1.0 if len(trainings) == 1 else 0.4}
    left = figure.subplots()

    def draw(axes: Any, name: str, factor: float, **more: Any) -> None:
        values = [factor * row[name] for row in rows]
        for i, each in enumerate(trainings):
            label = name.replace("_", " ") if i == 0 else None
            axes.plot(epochs[each], values[each], label=label, **style, **more)

    for i, name in enumerate(others):
        draw(left, name, 1, color=f"C{i}")
    left.set_yscale("log" if all(row[name] > 0 for row in rows for name in others) else "symlog")
    left.set(title=title, xlabel="epoch", ylabel="loss" if "loss" in others else "")
    left.grid(alpha=0.3)
    left.xaxis.get_major_locator().set_params(integer=True)
    lines = left.get_lines()
    if shares:
        right = left.twinx()
        for i, name in enumerate(shares, len(others)):
            draw(right, name, 100, color=f"C{i}", linestyle="--")
        right.set(ylabel="accuracy, %")
        lines = [*lines, *right.get_lines()]
    left.legend(handles=[line for line in lines if not str(line.get_label()).startswith("_")], loc="center right")
