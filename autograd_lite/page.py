"""A graph as one HTML file that needs nothing else: no server, no script from elsewhere, no network.

The page pans and zooms, folds frames, tells values and gradients on hovering, lights a box's path to the result, and
has a slider over what `Graph.record` looked at. Charts of a training stand beside the graph, or alone. What the page
knows stands in it as JSON; `page.html` is its frame.

Read next: `drawing.py`.
"""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .folding import Box, Scene, fold
from .formulas import local_derivatives
from .labels import against, labelled
from .pictures import dot_text, frame_names, heat
from .program import Variable
from .renderers import render
from .repetitions import called
from .statistics import Statistics, complaints, short

if TYPE_CHECKING:
    from .drawing import Graph

_DEPTHS = 4  # so many foldings are drawn beforehand
_MOST = 300  # operations that are also drawn unfolded


def page(graph: Graph | None, sections: Sequence[dict[str, Any]] = (), title: str = "") -> str:
    """The text of the HTML file: a graph, and sections of charts as nn's `chart_files.py` describes them."""
    views = [] if graph is None else list(_views(graph))
    shown = {each["shown"] for view in views for each in view["boxes"].values()}
    steps = [] if graph is None else _steps(graph, shown, bool(sections))
    text = json.dumps({"views": views, "steps": steps, "sections": sections}, ensure_ascii=False, allow_nan=False)
    frame = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    name = title or ("training" if graph is None else graph.program.name)
    return frame.replace("{{title}}", html.escape(name)).replace("{{data}}", text.replace("<", "\\u003c"))


def _views(graph: Graph) -> Any:
    """The picture as it was asked for, folded to smaller depths, and not folded at all."""
    scene = graph.scene()
    scenes = {"as drawn": scene}
    deepest = max((len(frame) for frame in frame_names(scene)), default=0)
    for depth in range(min(deepest - 1, _DEPTHS), 0, -1):
        shallower = graph.scene(depth)
        if len(shallower.boxes) < len(scene.boxes):
            scenes[f"frames to depth {depth}"] = scene = shallower
    if graph.scene().note and len(graph.shown.operations) <= _MOST:
        scenes["every operation"] = fold(graph.shown, None, False, None)
    for title, each in scenes.items():
        svg = render(dot_text(each, graph.notes), "svg").decode()
        names = frame_names(each)
        frames = {
            name: {
                "title": each.titles.get(scope) or called(scope),
                "boxes": [box.name for box in each.boxes if box.scope[: len(scope)] == scope],
                "outer": [names[scope[:n]] for n in range(1, len(scope))],
            }
            for scope, name in names.items()
        }
        yield {
            "title": f"{title}: {len(each.boxes):,} boxes",
            "svg": svg[svg.index("<svg") :],
            "boxes": {box.name: _about(box, each, graph) for box in each.boxes},
            "links": [[link.tail.name, link.head.name] for box in each.boxes for link in each.links[box]],
            "frames": frames,
        }


def _about(box: Box, scene: Scene, graph: Graph) -> dict[str, Any]:
    """What stays the same about a box at every step."""
    title, *lines = labelled(box, scene)
    operation = box.operation
    return {
        "title": title,
        "lines": lines,
        "shown": box.shown.name,
        "back": box.back,
        "against": against(box, graph.notes),
        "line": operation.line if operation is not None else "",
        "rules": local_derivatives(operation) if operation is not None and not box.back else [],
    }


def _steps(graph: Graph, shown: set[str], training: bool) -> list[dict[str, Any]]:
    """What was seen at each step of the variables that are shown; of a training, as drawn is as at the first step."""
    seen = [("as drawn", graph.notes.values)] if graph.notes.values and not training else []
    return [
        {
            "name": name,
            "boxes": {each.name: _seen(each, values, wrong, graph) for each in values if each.name in shown},
        }
        for name, values in [*seen, *graph.recordings]
        for wrong in [complaints(graph.program, values, graph.notes.gradients)]
    ]


def _seen(
    variable: Variable, values: dict[Variable, Statistics], wrong: dict[Variable, str], graph: Graph
) -> dict[str, str]:
    gradient = values.get(graph.notes.gradients[variable]) if variable in graph.notes.gradients else None
    value = values[variable]
    found = {
        "value": str(value),
        "entries": _entries(value),
        "gradient": str(gradient) if gradient else "",
        "slopes": _entries(gradient) if gradient else "",
        "fill": heat(variable, values, graph.notes),
        "complaint": wrong.get(variable, ""),
    }
    return {key: text for key, text in found.items() if text}


def _entries(of: Statistics) -> str:
    return f"[{', '.join(map(short, of.entries))}]" if len(of.entries) > 1 else ""
