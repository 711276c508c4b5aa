"""From a Program to DOT: which box, which arrow, which frame.

Each operation is a box with its result's name, the operation in mathematical form, and dtype and shape; each use of a
value is an arrow; modules and `ag.scope` blocks are frames. What the way back computes is hung up the other way round,
so that every gradient stands beside what it belongs to.

Read next: `rendering.py` (how an operation is written).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import numpy as np

from .program import UNKNOWN, Operation, Program, Variable
from .rendering import DOT, as_mathematics, order_matters

if TYPE_CHECKING:
    from graphviz import Digraph  # type: ignore[import-untyped]  # it ships no types

BACKWARD = "backward pass"  # the frame of what the gradient rules computed

# Okabe and Ito's colours, which colour-blind readers tell apart, as line and as tint
_BLUE, _ORANGE, _GREEN, _PURPLE, _GREY = "#0072B2", "#B36B00", "#007A5A", "#A6528A", "#666666"
_STYLES: dict[str, dict[str, str]] = {
    "input": {"shape": "ellipse", "color": _BLUE, "fillcolor": "#DCEEF9"},
    "parameter": {"shape": "cylinder", "color": _ORANGE, "fillcolor": "#FCEBCB"},
    "constant": {"shape": "note", "color": _GREY, "fillcolor": "#F0F0F0"},
    "operation": {},
    "output": {"color": _GREEN, "fillcolor": "#D9F2E8", "peripheries": "2"},
    "gradient": {"color": _PURPLE},
    "gradient output": {"color": _PURPLE, "fillcolor": "#F7E3F0", "peripheries": "2"},
}
_NAMED = {"class": "named"}


def leaves(program: Program) -> Iterable[Variable]:
    """The variables that no operation makes."""
    return (*program.inputs, *program.captured)


def dot_text(program: Program) -> str:
    """The DOT text of a program's picture: nodes and frames in the program's order, the same on every run."""
    from graphviz import Digraph

    frames: dict[tuple[str, ...], Digraph] = {(): Digraph(name=program.name)}
    graph = frames[()]
    graph.attr(rankdir="TB", bgcolor="white", nodesep="0.3", ranksep="0.35", fontname="Helvetica", newrank="true")
    graph.attr("node", shape="box", style="rounded,filled", color="#444444", fillcolor="white", margin="0.2,0.06")
    graph.attr("node", fontname="Helvetica", fontsize="12")
    graph.attr("edge", color="#555555", arrowsize="0.7", fontname="Helvetica", fontsize="10")

    def frame(scope: tuple[str, ...]) -> Digraph:
        for depth in range(1, len(scope) + 1):
            if scope[:depth] not in frames:
                frames[scope[:depth]] = cluster = Digraph(name=f"cluster_{len(frames)}")
                back = scope[0] == BACKWARD
                colours = {"color": _PURPLE if back else "#999999", "fillcolor": "#0000000A", "fontcolor": "#333333"}
                cluster.attr(label=_escaped(scope[depth - 1]), style="rounded,filled", **colours)
                cluster.attr(labeljust="l", fontsize="11")  # at the left, where fewer arrows cross it
        return frames[scope]

    hidden = {each for each in program.captured if _inline(each, program)}
    homes = _homes(program)
    for variable in leaves(program):
        if variable not in hidden:
            value = program.number(variable)
            attributes = _STYLES[variable.kind] | (_NAMED if variable.given else {})
            label = _label(variable.label, value, variable.form)
            frame(homes.get(variable, ())).node(variable.name, label, **attributes)
    outputs = {each for each in program.outputs if isinstance(each, Variable)}
    outputs.update(new for _, new in program.updates)
    source: dict[Variable, Operation] = {}
    for operation in program.operations:
        back = _is_back(operation)
        name = operation.outputs[0].name
        kind = "gradient" if back else "operation"
        if not outputs.isdisjoint(operation.outputs):
            kind = "gradient output" if back else "output"
        operands = [_operand(each, program, hidden) for each in operation.inputs]
        attributes = _STYLES[kind] | (_NAMED if any(each.given for each in operation.outputs) else {})
        if operands.count(DOT) > 1 and order_matters(operation.primitive, operands):
            attributes["ordering"] = "out" if back else "in"
        if operation.line:
            attributes["tooltip"] = _escaped(operation.line)
        frame(operation.scope).node(name, _operation_label(operation, program, hidden), **attributes)
        for variable in operation.reads:
            if variable not in hidden:
                hangs = _is_back(source.get(variable), homes.get(variable, ()))
                _edge(graph, variable, source.get(variable), operation, hangs)
        source.update(dict.fromkeys(operation.outputs, operation))
    for scope in sorted((each for each in frames if each), key=len, reverse=True):
        frames[scope[:-1]].subgraph(frames[scope])
    return str(graph.source)


def _is_back(operation: Operation | None, home: tuple[str, ...] = ()) -> bool:
    """Whether an operation, or without one a leaf whose frame is `home`, belongs to the way back."""
    return (home if operation is None else operation.scope)[:1] == (BACKWARD,)


def _edge(graph: Digraph, variable: Variable, source: Operation | None, target: Operation, hangs: bool) -> None:
    """One arrow for one use of a value; of several results of an operation it says which.

    Layers follow from arrows: on the way back (`hangs`) they are declared the other way round.
    """
    attributes: dict[str, str] = {}
    tail = source.outputs[0].name if source else variable.name
    head = target.outputs[0].name
    if source and len(source.outputs) > 1:
        attributes["label"] = _escaped(variable.label)
    if _is_back(target):
        attributes["color"] = _PURPLE
        if hangs:
            tail, head = head, tail
            attributes["dir"] = "back"
        else:
            attributes |= {"style": "dashed", "color": "#CBA3BF", "constraint": "false"}
    graph.edge(tail, head, **attributes)


def _inline(variable: Variable, program: Program) -> bool:
    """Whether a constant is a mere number, which is shown where it is used."""
    number = variable.kind == "constant" and variable.shape == () and not variable.given
    return number and variable not in program.outputs


def _homes(program: Program) -> dict[Variable, tuple[str, ...]]:
    """The innermost frame that holds all uses of a captured variable on the way forward."""
    homes: dict[Variable, tuple[str, ...]] = {}
    captured = set(program.captured)
    for operation in program.operations:
        for variable in operation.reads:
            if variable in captured and not (_is_back(operation) and variable in homes):
                known = homes.get(variable, operation.scope)
                pairs = takewhile(lambda pair: pair[0] == pair[1], zip(known, operation.scope, strict=False))
                homes[variable] = tuple(part for part, _ in pairs)
    return homes


def _operand(value: Any, program: Program, hidden: set[Variable]) -> str:
    """An operand in a label: the user's name for it, its value, or a dot."""
    if value is UNKNOWN:
        return "?"
    if isinstance(value, Variable):
        if value in hidden:
            return program.number(value)
        return value.label if value.given else DOT
    return f"{value:.6g}" if isinstance(value, (float, np.floating)) else repr(value)


def _operation_label(operation: Operation, program: Program, hidden: set[Variable]) -> str:
    def text(value: Any) -> str:
        return _operand(value, program, hidden)

    written = as_mathematics(operation.primitive, operation.inputs, operation.settings, text)
    given = [each for each in operation.outputs if each.given]
    forms = ", ".join(each.form for each in operation.outputs)
    return _label(", ".join(each.label for each in given), written, forms)


def _label(name: str, written: str, form: str) -> str:
    """A label of up to three lines: the name, the operation, the form."""
    return r"\n".join(_escaped(each) for each in (name, written, form) if each)


def _escaped(text: str) -> str:
    """Text as it may stand in a label: nothing in it is an escape, an entity or markup; control characters show."""
    shown = text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return shown.replace("&", "&amp;").replace("\\", r"\\").replace("<", "&lt;").replace(">", "&gt;")
