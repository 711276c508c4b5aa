"""What TrainingCharts saw, as charts, and those as a PNG or an HTML page.

A chart is plain data that both draw: {"title", "kind", "x", ...}, of the kind "lines" (`lines`: name and values, `log`
whether the scale is), "heat" (`cells`: for each x the shares of the bins between `low` and `high`) or "bands" (`bands`:
for each x least value, 5 %, median, 95 %, largest). `notes` says something for each x.

Read next: `charts.py`.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .curves import ASIDE, png

if TYPE_CHECKING:
    from autograd_lite.statistics import Statistics

    from .charts import TrainingCharts

Chart: TypeAlias = dict[str, Any]
Section: TypeAlias = dict[str, Any]

BINS = 32  # of a chart: the histograms, each with its own ends, are laid into common ones
MOST = 12  # layers: of more, so many are drawn, evenly chosen
STEPS = 30  # that the page's slider has


def write_charts(charts: TrainingCharts, path: Path) -> None:
    """Write a .png or .html file."""
    if not charts.seen:
        raise ValueError("TrainingCharts: nothing has been seen yet; hand it to nn.fit(callbacks=[...]).")
    ending = path.suffix.lower()
    if ending == ".html":
        content = _page(charts)
    elif ending == ".png":
        content = _png(sections(charts))
    else:
        raise ValueError(f"TrainingCharts.save({str(path)!r}): the name must end in .html or .png.")
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


# ---- charts ----------------------------------------------------------------------------------------------------------


def sections(charts: TrainingCharts) -> list[Section]:
    """The charts: curves, and then for each layer its gradients, activations and weights."""
    found = [{"title": "loss and figures", "charts": _curves(charts)}]
    chosen = _chosen(len(charts.layers))
    more = f" ({len(chosen)} of {len(charts.layers)} layers)" * (len(chosen) < len(charts.layers))
    kinds = (
        ("gradients", "gradients: log10 of their size", _heat),
        ("activations", "activations: what the layer hands on", _heat),
        ("weights", "weights: range, 90 % and median", _bands),
    )
    for key, title, make in kinds:
        if charts.seen[-1][key].size:
            each = [make(charts, key, at) for at in chosen]
            found.append({"title": title + more, "charts": each})
    return found


def _chosen(count: int) -> list[int]:
    return sorted({round(at) for at in np.linspace(0, count - 1, min(count, MOST))}) if count else []


def _curves(charts: TrainingCharts) -> list[Chart]:
    """The losses, of the batches that were looked at and of the epochs; the figures between 0 and 1 by themselves."""
    rows, ends = charts.rows, charts.ends[: len(charts.rows)]
    batches = [look["step"] for look in charts.seen], [_number(look["loss"]) for look in charts.seen]
    losses: list[Chart] = [{"name": "batch", "x": batches[0], "y": batches[1], "faint": True}]
    shares: list[Chart] = []
    for name in rows[0] if rows else ():
        if name in ASIDE:
            continue
        line = {"name": name.replace("_", " "), "x": ends, "y": [_number(row[name]) for row in rows]}
        (shares if "accuracy" in name else losses).append(line)
    positive = all(y is None or y > 0 for line in losses for y in line["y"])
    found: list[Chart] = [{"title": "loss", "kind": "lines", "lines": losses, "log": positive}]
    if shares:
        found.append({"title": "accuracy", "kind": "lines", "lines": shares, "log": False})
    return found


def _heat(charts: TrainingCharts, key: str, layer: int) -> Chart:
    """Histograms over time, laid into common bins."""
    looks = [look[key][layer] for look in charts.seen]
    full = [each for each in looks if each[4:].any()]
    low, high = (min(each[0] for each in full), max(each[1] for each in full)) if full else (0.0, 0.0)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BINS + 1)
    return {
        "title": charts.layers[layer],
        "kind": "heat",
        "x": [look["step"] for look in charts.seen],
        "low": low,
        "high": high,
        "cells": [_shares(each, edges).round(4).tolist() for each in looks],
        "notes": [_note(each[2], each[3]) for each in looks],
    }


def _note(zeros: float, bad: float) -> str:
    return ", ".join(f"{share:.1%} {name}" for share, name in ((zeros, "zero"), (bad, "NaN")) if share > 0)


def _shares(kept: Any, edges: Any) -> Any:
    """A histogram's shares in other bins, its entries spread evenly over each of its own."""
    counts = kept[4:]
    low, high = (kept[0], kept[1]) if kept[1] > kept[0] else (kept[0] - 1e-9, kept[0] + 1e-9)
    total = np.concatenate([[0.0], np.cumsum(counts)]) / max(counts.sum(), 1.0)
    return np.diff(np.interp(edges, np.linspace(low, high, len(total)), total, left=0.0))


def _bands(charts: TrainingCharts, key: str, layer: int) -> Chart:
    bands = np.array([look[key][layer] for look in charts.seen]).T
    steps = [look["step"] for look in charts.seen]
    return {"title": charts.layers[layer], "kind": "bands", "x": steps, "bands": bands.tolist()}


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


# ---- files -----------------------------------------------------------------------------------------------------------


def _page(charts: TrainingCharts) -> bytes:
    """The HTML page: the graph with a slider over some of the looks, beside the charts."""
    from autograd_lite.page import page  # pictures are loaded when there is one to draw

    graph = charts.graph
    if graph is not None:
        looks = [look for look in charts.seen if "values" in look]
        kept = [looks[round(at)] for at in np.linspace(0, len(looks) - 1, min(len(looks), STEPS))]
        variables = list(graph.notes.values)
        graph.recordings = [
            (str(look["step"]), dict(zip(variables, map(_known, look["values"]), strict=True))) for look in kept
        ]
    return page(graph, sections(charts), "training").encode()


def _known(row: Any) -> Statistics:
    """A row of what a look kept of each value."""
    from autograd_lite.statistics import Statistics  # pictures are loaded when there is one to draw

    mean, spread, norm, size, zeros, finite = map(float, row)
    return Statistics(mean, spread, norm, size, zeros, bool(finite), ())


def _png(parts: list[Section]) -> bytes:
    drawn = png(lambda figure: _draw(figure, parts))
    if drawn is None:
        raise ImportError('TrainingCharts: a PNG needs matplotlib: pip install "autograd-lite[examples]".')
    return drawn


def _draw(figure: Any, parts: list[Section]) -> None:
    """The curves in the first row, and a row for each layer."""
    curves, *columns = parts
    rows = max((len(each["charts"]) for each in columns), default=0)
    figure.set_size_inches(11, 2.8 + 1.5 * rows)
    heights = [2.8, 1.5 * rows] if rows else [2.8]
    top, *rest = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    for axes, chart in zip(top.subplots(1, len(curves["charts"]), squeeze=False)[0], curves["charts"], strict=True):
        _lines(axes, chart)
        axes.set_xlabel("step")
    if not rest:
        return
    grid = rest[0].subplots(rows, len(columns), squeeze=False, sharex=True)
    for column, section in enumerate(columns):
        grid[0, column].set_title(section["title"], fontsize=9.5)
        grid[-1, column].set_xlabel("step", fontsize=9)
        for axes, chart in zip(grid[:, column], section["charts"], strict=True):
            (_heat_map if chart["kind"] == "heat" else _band)(axes, chart)
            axes.tick_params(labelsize=8)
            axes.spines[["top", "right"]].set_visible(False)
            if column == 0:
                axes.set_ylabel(chart["title"], rotation=0, ha="right", va="center", fontsize=10, fontweight="bold")


def _lines(axes: Any, chart: Chart) -> None:
    for at, line in enumerate(chart["lines"]):
        values = [math.nan if y is None else y for y in line["y"]]
        look = {"color": "#B0B0B0", "linewidth": 1} if line.get("faint") else {"color": COLOURS[at % len(COLOURS)]}
        marker = "o" if not line.get("faint") and len(values) <= 20 else None
        axes.plot(line["x"], values, label=line["name"], marker=marker, markersize=4, **look)
    axes.set_yscale("log" if chart["log"] else "linear")
    axes.set_title(chart["title"], fontsize=10)
    axes.tick_params(labelsize=8, which="both")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)


def _heat_map(axes: Any, chart: Chart) -> None:
    x = np.array(chart["x"], float)
    between = (x[1:] + x[:-1]) / 2
    edges = np.concatenate([[x[0] - 0.5], between, [x[-1] + 0.5]])
    cells = np.sqrt(np.array(chart["cells"]).T)  # so that the rare can be seen beside the frequent
    cells = np.ma.masked_equal(cells, 0)
    axes.pcolormesh(edges, np.linspace(chart["low"], chart["high"], len(cells) + 1), cells, cmap="Oranges", vmin=0)
    if chart["notes"][-1]:
        place = {"transform": axes.transAxes, "ha": "right", "va": "top", "fontsize": 7.5}
        ground = {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1.5}
        axes.text(0.985, 0.95, chart["notes"][-1], bbox=ground, **place)


def _band(axes: Any, chart: Chart) -> None:
    least, few, middle, most, largest = chart["bands"]
    axes.fill_between(chart["x"], least, largest, color=COLOURS[0], alpha=0.15, linewidth=0)
    axes.fill_between(chart["x"], few, most, color=COLOURS[0], alpha=0.35, linewidth=0)
    axes.plot(chart["x"], middle, color=COLOURS[0])


COLOURS = ("#0072B2", "#D55E00", "#007A5A", "#A6528A", "#666666")
