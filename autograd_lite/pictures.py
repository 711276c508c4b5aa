"""From a Scene to DOT: which box, which arrow, which frame, which colour.

Each operation is a box with its result's name, the operation in mathematical form, and dtype and shape; each use of a
value is an arrow; modules and `ag.scope` blocks are frames. What the way back computes is hung up the other way round,
so that every gradient stands beside what it belongs to. Where the values are known, a box tells their mean and spread,
norm and share of zeros, those of the gradient that arrives there, and has the colour of the gradient's size.

Read next: `folding.py` (which boxes there are), `labels.py` (what stands in one).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .folding import Box, Link, Scene
from .labels import Notes, against, escaped, is_named, lines_of, marks_of, operand_text
from .program import BACKWARD, Variable
from .rendering import DOT, RAISED, order_matters
from .repetitions import called
from .statistics import Statistics

if TYPE_CHECKING:
    from graphviz import Digraph  # type: ignore[import-untyped]  # it ships no types

# Okabe and Ito's colours, which colour-blind readers tell apart, as line and as tint
_BLUE, _ORANGE, _GREEN, _PURPLE, _GREY, _RED = "#0072B2", "#B36B00", "#007A5A", "#A6528A", "#666666", "#C00000"
_STYLES: dict[str, dict[str, str]] = {
    "input": {"shape": "ellipse", "color": _BLUE, "fillcolor": "#DCEEF9", "margin": "0.04,0.02"},
    "parameter": {"style": "filled", "color": _ORANGE, "fillcolor": "#FCEBCB"},
    "constant": {"shape": "note", "color": _GREY, "fillcolor": "#F0F0F0"},
    "operation": {},
    "output": {"color": _GREEN, "fillcolor": "#D9F2E8", "peripheries": "2"},
    "gradient": {},
    "gradient output": {"fillcolor": "#F7E3F0", "peripheries": "2"},
    "folded": {"shape": "folder", "style": "filled", "fillcolor": "#ECECF6"},
}
# the powers of ten between which a gradient's size is told by colour, from pale to strong, as the eye orders them
_POWERS, _PALE, _STRONG = (-8, 2), "#FFF7DC", "#EB6A3C"


def dot_text(scene: Scene, notes: Notes | None = None) -> str:
    """The DOT text of a scene: nodes and frames in the program's order, the same on every run."""
    from graphviz import Digraph

    notes = notes or Notes()
    program = scene.program
    frames: dict[tuple[str, ...], Digraph] = {(): Digraph(name=program.name)}
    graph = frames[()]
    graph.attr(rankdir="TB", bgcolor="white", nodesep="0.3", ranksep="0.35", fontname="Helvetica", newrank="true")
    graph.attr("node", shape="box", style="rounded,filled", color="#444444", fillcolor="white", margin="0.2,0.06")
    graph.attr("node", fontname="Helvetica", fontsize="10")
    graph.attr("edge", color="#555555", arrowsize="0.7", fontname="Helvetica", fontsize="9")

    for scope, name in frame_names(scene).items():
        frames[scope] = cluster = Digraph(name=name)
        colours = {"color": _PURPLE if scope[0] == BACKWARD else "#999999", "fillcolor": "#0000000A"}
        title = scene.titles.get(scope) or called(scope)
        cluster.attr(label=escaped(title), style="rounded,filled", **colours, fontcolor="#333333")
        cluster.attr(labeljust="l", fontsize="11")  # at the left, where fewer arrows cross it

    lane = graph
    alone = not any(box.operations and not box.back for box in scene.boxes)  # the way back without the way forward
    if any(box.back for box in scene.boxes) and not alone:
        lane = Digraph(name="cluster_forward")  # a frame that is not seen keeps the two passes apart
        lane.attr(style="invis")
    outputs = {each for each in program.outputs if isinstance(each, Variable)}
    outputs.update(new for _, new in program.updates)
    sides = _sides(scene)
    for box in scene.boxes:
        kind = _kind(box, outputs)
        attributes = dict(_STYLES[kind])
        if box.back and box.operations:
            attributes["color"] = _PURPLE
        classes = ["named"] if is_named(box) else []
        if notes.values:
            fill = heat(box.shown, notes.values, notes)
            attributes |= {"fillcolor": fill} if fill else {}
        lines, small = lines_of(box, scene, notes)
        marks, grave = marks_of(box, notes)
        lines, small = [*lines, *marks], small + len(marks)
        if grave:
            classes.append(f"marked{sum(not each.startswith('note: ') for each in marks)}")
            attributes |= {"color": _RED, "penwidth": "2.5"}
        if small > 1:
            classes.append(f"small{small}")
        if classes:
            attributes["class"] = " ".join(classes)
        operation = box.operation
        if operation is not None:
            operands = [operand_text(each, program, scene.hidden) for each in operation.inputs]
            if operands.count(DOT) > 1 and order_matters(operation.primitive, operands):
                attributes["ordering"] = "out" if box.back and not alone else "in"
        told = [*against(box, notes), *([operation.line] if operation is not None and operation.line else [])]
        if told:
            attributes["tooltip"] = r"\n".join(map(escaped, told))
        frame = frames[box.scope] if box.scope else lane
        frame.node(box.name, r"\n".join(map(escaped, lines)), **attributes)
        for link in scene.links[box]:
            _edge(graph, link, sides.get(link.tail) == (box, "right"), alone)
    for scope in sorted((each for each in frames if each and each != (BACKWARD,)), key=len, reverse=True):
        outer = frames[scope[:-1]] if len(scope) > 1 else lane
        outer.subgraph(frames[scope])
    if lane is not graph:
        graph.subgraph(lane)
    if (BACKWARD,) in frames:
        graph.subgraph(frames[BACKWARD,])
    for leaf, (user, _) in sides.items():
        graph.body.append(f'\t{{ rank=same "{user.name}" "{leaf.name}" }}\n')
    for box, gradient in _pairs(scene, notes).items():
        graph.body.append(f'\t{{ rank=same "{box.name}" "{gradient.name}" }}\n')
    if any(heat(box.shown, notes.values, notes) for box in scene.boxes):
        _legend(graph)
    if scene.note:  # last, lest the frames inherit it
        graph.attr(label=escaped(scene.note), labelloc="b", fontsize="11", fontcolor=_GREY)
    return str(graph.source)


def frame_names(scene: Scene) -> dict[tuple[str, ...], str]:
    """What every frame is called in the DOT text, outer ones before those inside."""
    scopes = (box.scope[:depth] for box in scene.boxes for depth in range(1, len(box.scope) + 1))
    return {scope: f"cluster_{at}" for at, scope in enumerate(dict.fromkeys(scopes), 1)}


def _kind(box: Box, outputs: set[Variable]) -> str:
    if box.title:
        return "folded"
    if not box.operations:
        return "constant" if box.shown.kind == "result" else box.shown.kind  # a value of the way forward, not drawn
    made = any(not outputs.isdisjoint(operation.outputs) for operation in box.operations)
    return ("gradient output" if made else "gradient") if box.back else ("output" if made else "operation")


def _sides(scene: Scene) -> dict[Box, tuple[Box, str]]:
    """Which parameters and data stand at the left or right of the one operation that uses them.

    So the way from the input to the result is a straight line, and every operation has its parameters at its sides: at
    most one at each, and one operand at least comes from above.
    """
    users: dict[Box, set[Box]] = {}
    for box in scene.boxes:
        for link in scene.links[box]:
            if not box.back and not link.tail.operations:
                users.setdefault(link.tail, set()).add(box)
    sides: dict[Box, tuple[Box, str]] = {}
    for box in scene.boxes:
        tails = list(dict.fromkeys(link.tail for link in scene.links[box]))
        own = [each for each in tails if users.get(each) == {box} and not box.back]
        if own and len(own) == len(tails):
            own.remove(next((each for each in own if each.shown.kind == "input"), own[0]))
        if len(own) == 1:
            sides[own[0]] = box, "left" if tails[0] is own[0] else "right"
        elif own:
            sides |= {own[0]: (box, "left"), own[-1]: (box, "right")}
    return sides


def _pairs(scene: Scene, notes: Notes) -> dict[Box, Box]:
    """The boxes of the way forward, each with the one of the way back that computes its gradient."""
    found: dict[Box, Box] = {}
    for box in scene.boxes:
        gradient = notes.gradients.get(box.shown)
        place = scene.place.get(gradient) if gradient is not None else None
        if box.operations and not box.back and place is not None and place.back:
            found.setdefault(place, box)
    return {box: gradient for gradient, box in found.items()}


def _edge(graph: Digraph, link: Link, right: bool, alone: bool) -> None:
    """One arrow for one use of a value; of several results of an operation it says which.

    Layers follow from arrows: on the way back, if it is not alone, those that hang from one another are declared the
    other way round, and so are those that come from the right.
    """
    attributes: dict[str, str] = {}
    tail, head = link.tail.name, link.head.name
    if link.several:
        attributes["label"] = escaped(link.variable.label)
    if link.head.back:
        attributes["color"] = _PURPLE
        if link.tail.back and not alone:
            tail, head = head, tail
            attributes["dir"] = "back"
        elif not alone:
            attributes |= {"style": "dashed", "color": "#CBA3BF", "constraint": "false"}
    if link.again:
        attributes |= {"style": "dotted", "constraint": "false"}
    if right:
        tail, head = head, tail
        attributes["dir"] = "back"
    graph.edge(tail, head, **attributes)


# ---- sizes of gradients as colours -----------------------------------------------------------------------------------


def colour(size: float) -> str:
    """The colour of a gradient's size: the pale and the strong one mixed by the power of ten.

    >>> colour(1e-20), colour(1e-3), colour(1e20)
    ('#fff7dc', '#f5b08c', '#eb6a3c')
    """
    low, high = _POWERS
    power = min(max(math.log10(size), low), high) if size > 0 else low
    share = (power - low) / (high - low)
    ends = bytes.fromhex(_PALE[1:]), bytes.fromhex(_STRONG[1:])
    return "#" + bytes(round((1 - share) * a + share * b) for a, b in zip(*ends, strict=True)).hex()


def heat(variable: Variable, values: dict[Variable, Statistics], notes: Notes) -> str:
    """The colour of a box that shows a variable: its gradient's size, or its own if it is one; '' without any."""
    shown = values.get(variable if variable in notes.arriving else notes.gradients.get(variable, variable))
    if shown is None or (variable not in notes.arriving and variable not in notes.gradients):
        return ""
    return colour(shown.size) if shown.finite else "#BDBDBD"


def _legend(graph: Digraph) -> None:
    """A box with the colours of gradients."""
    low, high = _POWERS
    steps = range(high, low - 1, -2)
    words = [
        f"10{str(each).translate(RAISED)}{' or more' * (each == high)}{' or less' * (each == low)}" for each in steps
    ]
    lines = r"\n".join(["gradient", "(root mean square)", *words])
    look = {"style": "filled", "fillcolor": f"{_PALE}:{_STRONG}", "gradientangle": "90", "color": "#CCCCCC"}
    graph.node("legend", lines, shape="box", fontsize="9", margin="0.1,0.05", **look, **{"class": "legend"})
