"""The command that draws: `python -m autograd_lite draw examples.xor:model -o graph.html --backward`.

`module:object` names what to draw, as an import would: dots may follow the colon. The object is a tensor or a Program,
or a tuple (function or module, *example inputs), or a function without required parameters that returns one of these.

Read next: `drawing.py`.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import inspect
import os
import sys
from collections.abc import Sequence
from typing import Any

from .drawing import FORMATS, draw, write
from .program import Program
from .tensors import Tensor


class Refused(Exception):
    """What cannot be drawn, in words for the terminal."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 if the picture was written, 2 with one line on standard error if not."""
    options = parser().parse_args(arguments)
    output = options.output or f"graph.{options.format or 'svg'}"
    form = options.format or os.path.splitext(output)[1].lower().lstrip(".")
    try:
        if form not in FORMATS:
            raise Refused(f"{output}: the name must end in one of {', '.join(FORMATS)}, or --format must name one.")
        subject, *inputs = found(options.subject)
        graph = draw(
            subject,
            *inputs,
            backward=options.backward,
            depth=options.depth,
            fold=False if options.unfolded else None,
            formulas=options.formulas,
        )
        write(output, graph.content(form))
    except OSError as error:
        print(f"autograd_lite draw: {output} cannot be written: {error.strerror}.", file=sys.stderr)
        return 2
    except (Refused, TypeError, ValueError, RuntimeError, NotImplementedError) as error:
        print(f"autograd_lite draw: {error}", file=sys.stderr)
        return 2
    print(f"{output}: {len(graph.program.operations):,} operations")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    top = argparse.ArgumentParser(prog="python -m autograd_lite", description="Plain NumPy code with exact gradients.")
    command = top.add_subparsers(required=True, metavar="draw").add_parser(
        "draw",
        help="draw the computation graph of a function, module, tensor or Program",
        description="Draw a computation graph. The subject is MODULE:OBJECT; the object is a tensor, a Program, a "
        "tuple (function or module, *example inputs), or a function without parameters that returns one of these.",
    )
    command.add_argument("subject", metavar="MODULE:OBJECT", help="what to draw, such as examples.xor:model")
    command.add_argument("-o", "--output", metavar="FILE", help="the file to write (graph.svg)")
    command.add_argument("--format", choices=FORMATS, help="the file's format, if its name does not end with it")
    command.add_argument(
        "--backward", nargs="?", const=True, default=False, choices=["only"], metavar="only",
        help="draw the way back too, or only it, with values and gradients",
    )  # fmt: skip
    command.add_argument("--depth", type=int, metavar="N", help="fold modules that lie deeper than N")
    command.add_argument("--unfolded", action="store_true", help="fold no repetitions, and draw however many boxes")
    command.add_argument("--formulas", action="store_true", help="write each operation's gradient rule into its box")
    return top


def found(name: str) -> tuple[Any, ...]:
    """What `module:object` stands for: a tuple of what is to be drawn and its example inputs."""
    module_name, colon, path = name.partition(":")
    if not (module_name and colon and path):
        raise Refused(f"{name!r}: write MODULE:OBJECT, such as examples.xor:model.")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as python -m does, also where it was installed as a script
    try:
        here: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise Refused(f"{name!r}: there is no module {error.name!r} (in {os.getcwd()} or installed).") from None
    for part in path.split("."):
        if not hasattr(here, part):
            public = [each for each in dir(here) if not each.startswith("_")] or dir(here)
            near = difflib.get_close_matches(part, public, n=1, cutoff=0)
            raise Refused(f"{name!r}: there is no {part!r} in {module_name}; the nearest name is {near[0]!r}.")
        here = getattr(here, part)
    if callable(here) and not isinstance(here, (Tensor, Program)) and not hasattr(here, "named_parameters"):
        here = _called(name, here)
    if isinstance(here, tuple) and here and (callable(here[0]) or isinstance(here[0], (Tensor, Program))):
        return here
    if isinstance(here, (Tensor, Program)):
        return (here,)
    if callable(here):
        raise Refused(_remedy(name, "is a module or function without example inputs"))
    raise Refused(_remedy(name, f"is of the type {type(here).__name__}, which cannot be drawn"))


def _called(name: str, function: Any) -> Any:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        raise Refused(_remedy(name, "does not tell its parameters")) from None
    missing = [
        each.name
        for each in signature.parameters.values()
        if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    if missing:
        raise Refused(_remedy(name, f"needs {', '.join(missing)}"))
    return function()


def _remedy(name: str, why: str) -> str:
    return (
        f"{name} {why}. Name a tuple (function or module, *example inputs), or a function without parameters that "
        "returns one, such as: def model(): return loss, x, y"
    )


if __name__ == "__main__":
    sys.exit(main())
