"""The results as a picture: the ratios of every network, and how they change with the width.

Read next: `tables.py` (what a result holds).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .tables import Result, duration

# Ours in blue (eager) and green (compiled), peers in other colours; variants of one kind share a colour.
MARKS = {
    "modules": ("eager, nn", "#1f5fa8", "o"),
    "plain": ("eager, plain NumPy", "#8db4e0", "o"),
    "compiled": ("compiled, nn", "#1b8a3c", "D"),
    "compiled_scipy": ("compiled, nn, with SciPy", "#0b4d1f", "D"),
    "compiled_plain": ("compiled, plain NumPy", "#8fd19e", "D"),
    "compiled_plain_scipy": ("compiled, plain, with SciPy", "#5bb573", "D"),
    "autograd": ("HIPS autograd", "#9a9a9a", "^"),
    "mygrad": ("MyGrad", "#5c5c5c", "v"),
    "torch": ("torch, eager", "#d1495b", "s"),
    "torch_compile": ("torch.compile", "#f0a6a0", "s"),
    "jax_jit": ("jax.jit", "#e09f3e", "P"),
}


def draw(results: list[Result], path: Path) -> None:
    """Save the picture: the networks to the left, the widths to the right; PNG or what else the ending says."""
    from matplotlib.figure import Figure

    networks = [each for each in results if not each["case"].startswith("width_")]
    widths = [each for each in results if each["case"].startswith("width_")]
    figure = Figure(figsize=(13, 6.2), layout="constrained", dpi=110)
    panels = [bool(networks) and _networks, len(widths) > 1 and _widths]
    chosen = [(panel, part) for panel, part in zip(panels, (networks, widths), strict=True) if panel]
    shown: dict[str, Any] = {}
    for axes, (panel, part) in zip(figure.subplots(1, max(1, len(chosen)), squeeze=False)[0], chosen, strict=False):
        panel(axes, part, shown)
        axes.spines[["top", "right"]].set_visible(False)
    entries = {label: shown[label] for label, _, _ in MARKS.values() if label in shown}
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle(
        "A training step as a multiple of the step written by hand in NumPy: left of 1, or below it, is faster"
    )
    figure.savefig(path)


def _networks(axes: Any, results: list[Result], shown: dict[str, Any]) -> None:
    """A line for each network, a mark for each variant."""
    for row, result in enumerate(results):
        for variant, (label, color, mark) in MARKS.items():
            figures = result["variants"].get(variant, {})
            if "ratio" in figures:
                shown[label] = axes.scatter(
                    figures["ratio"], row, s=56, color=color, marker=mark, edgecolor="white", linewidth=0.6, zorder=3
                )
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    _plain_ticks(axes.xaxis, [r["ratio"] for each in results for r in each["variants"].values() if "ratio" in r])
    names = [f"{each['title']}\n(by hand {duration(each['variants']['by_hand']['seconds'])})" for each in results]
    axes.set_yticks(range(len(results)), names)
    axes.set_ylim(len(results) - 0.5, -0.5)
    axes.grid(axis="both", color="#e6e6e6")


def _widths(axes: Any, results: list[Result], shown: dict[str, Any]) -> None:
    """A line for each variant over the width."""
    widths = [int(each["case"].removeprefix("width_")) for each in results]
    for variant, (label, color, mark) in MARKS.items():
        ratios = [each["variants"].get(variant, {}).get("ratio") for each in results]
        points = [(width, ratio) for width, ratio in zip(widths, ratios, strict=True) if ratio is not None]
        if points:
            (shown[label],) = axes.plot(
                *zip(*points, strict=True),
                color=color,
                marker=mark,
                markersize=6,
                linewidth=1.4,
                markeredgecolor="white",
            )
    axes.axhline(1, color="black", linewidth=1)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    _plain_ticks(axes.yaxis, [r["ratio"] for each in results for r in each["variants"].values() if "ratio" in r])
    by_hand = [duration(each["variants"]["by_hand"]["seconds"]) for each in results]
    axes.set_xticks(widths, [f"{width:,}\n{time}" for width, time in zip(widths, by_hand, strict=True)])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("width of three layers, 64 rows; below it the time of the step by hand")
    axes.grid(axis="both", color="#e6e6e6")


def _plain_ticks(axis: Any, ratios: list[float]) -> None:
    """Ticks that read as numbers, as many as the ratios need."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    low, high = 0.8 * min(ratios), 1.2 * max(ratios)
    ticks = [each for each in (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 20, 50) if low < each < high]
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
