"""backprop_source: the derivation of a gradient as readable NumPy code.

    text = ag.backprop_source(loss, W1, W2, X, y, argnums=(0, 1))
    print(text)                            # a complete module: it imports numpy alone and defines `backprop`
    value, gradients = text.function(W1, W2, X, y, **text.captured)

The function is traced, formulas such as 1 / (1 + np.exp(-z)) are recognised, the gradient rules are recorded, and what
remains after the passes is printed: a line for everything that has a name or is used twice, under the user's own names,
with `d_name` for the gradient of `name`.

Read next: `joint.py`, `passes.py`, `lifting.py`, `expressions.py` (how one line is written).
"""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from .expansion import expanded
from .expressions import Written, is_literal, number_text, plainly
from .joint import Argnums, wanted_variables, with_gradients
from .lifting import lift
from .naming import distinct, identifier
from .passes import shortened
from .program import BACKWARD, Operation, Program, Variable, text
from .recording import Array
from .rendering import as_python
from .rewriting import renamed
from .tracing import trace
from .trees import Structure, paths

_NOUNS = {
    "add": "total", "subtract": "difference", "multiply": "product", "divide": "quotient", "matmul": "product",
    "dot": "product", "sum": "total", "max": "largest", "min": "smallest", "reshape": "reshaped",
    "negative": "opposite", "broadcast_to": "repeated", "getitem": "part", "setitem": "written",
    "greater": "above", "less": "below",
    "transpose": "transposed", "absolute": "size", "astype": "cast", "scatter": "scattered",
}  # fmt: skip


_CHECK = (
    "def _check_argument(name, array, shape, dtype):",
    '    """Raise ValueError for an argument that the derivation below does not hold for."""',
    "    array = np.asarray(array)",
    "    if array.shape != shape or array.dtype != dtype:",
    '        found, wanted = f"{array.dtype}{list(array.shape)}", f"{dtype}{list(shape)}"',
    '        raise ValueError(f"backprop: {name} is {found}, and this derivation is for {wanted}")',
)


class Source(str):
    """The text of a function `backprop`, which `function` runs; `captured` holds its trailing arguments."""

    __slots__ = ("captured", "filename")
    captured: dict[str, Array]
    filename: str

    @property
    def function(self) -> Callable[..., Any]:
        """The function, compiled so that tracebacks and debuggers show its lines."""
        namespace: dict[str, Any] = {"__name__": "backprop"}
        exec(compile(self, self.filename, "exec"), namespace)
        function: Callable[..., Any] = namespace["backprop"]
        return function


def backprop_source(f: Callable[..., Any], *args: Any, argnums: Argnums = 0) -> Source:
    """The text of a function `backprop` that computes what `value_and_grad(f, argnums)` does, with NumPy alone.

    It takes f's arguments and returns (value, gradients), the gradients structured as `value_and_grad`'s. It holds for
    arguments of the shapes and dtypes of `args`, and raises ValueError for others. Arrays that `f` captures become
    required arguments after f's own, under their own names. With `argnums=None` the gradients are those of the
    parameters that `f` captures (those of a module, as in `lambda x, y: loss_fn(model(x), y)`), as a dict by name.

    The result is a string that has also `function` (compiled, with its lines registered in linecache) and `captured`
    (the values of the trailing arguments). Raises as `trace` and `grad`, and NotImplementedError for an operation that
    draws random numbers or whose code cannot be written without this library.

    >>> import numpy as np, autograd_lite as ag
    >>> def loss(w, x):
    ...     a = 1 / (1 + np.exp(-w * x))
    ...     return np.sum(a)
    >>> text = ag.backprop_source(loss, np.array([0.0, 1.0]), np.array([1.0, 2.0]))
    >>> value, gradient = text.function(np.array([0.0, 1.0]), np.array([1.0, 2.0]))
    >>> gradient.round(3)
    array([0.25, 0.21])
    """
    program = trace(f, *args)
    program = _told(_with_nouns(lift(program)))
    wanted, structure = wanted_variables(program, argnums, len(args), "backprop_source")
    both = shortened(expanded(shortened(with_gradients(program, args, wanted)), args))
    both = _with_nouns(plainly(both), program)
    both.verify(*args)
    return _Printer(both, wanted, structure, _top_names(f, args)).source()


def _with_nouns(program: Program, settled: Program | None = None) -> Program:
    """A program whose unnamed values are called by nouns: `difference` rather than `subtract`; those of a `settled`
    program and their gradients keep their names."""
    fixed = {"backprop", *(each.name for each in (*program.inputs, *program.captured))}
    old = set() if settled is None else {each.name for operation in settled.operations for each in operation.outputs}
    old |= {f"d_{name}" for name in (*old, *fixed)}
    names: list[str] = []
    free: list[Variable] = []
    for operation in program.operations:
        for each in operation.outputs:
            if each.given or each.name in old:
                fixed.add(each.name)
            else:
                free.append(each)
                root = settled is None and program.outputs == (each,)
                names.append("value" if root else _noun(each.name))
    unique = zip(free, distinct(names, fixed), strict=True)
    return renamed(program, {each: replace(each, name=name, label=name) for each, name in unique})


def _noun(name: str) -> str:
    """A noun for a name that comes from a function's: value_subtract_2 becomes value_difference."""
    *head, last = name.rstrip("0123456789").rstrip("_").rpartition("_") if name[-1:].isdigit() else name.rpartition("_")
    return "".join(head) + _NOUNS.get(last, last)


def _told(program: Program) -> Program:
    """A program in which an operation's line, as the way back will quote it, says what it computes: in modules and
    lambdas the line that asked does not."""

    def told(operation: Operation) -> Operation:
        quoted = operation.line.partition(": ")[2]
        if quoted and not operation.scope and "lambda" not in quoted:
            return operation
        names = ", ".join(each.name for each in operation.outputs)
        shown = as_python(operation.primitive, operation.inputs, operation.settings, text)
        return replace(operation, line=f"{operation.place}: {names} = {shown}")

    return replace(program, operations=tuple(map(told, program.operations)))


class _Printer:
    """The text of one program."""

    def __init__(self, program: Program, wanted: list[Variable], structure: Structure | None, tops: list[str]) -> None:
        self.program = program
        self.wanted = wanted
        self.structure = structure
        self.tops = tops
        self.written = Written(program)
        self.trailing = [each for each, leaf in program.values.items() if not is_literal(each, leaf.array)]

    def source(self) -> Source:
        constants = [*self.written.lines.values()]
        body = [*self._checks(), *constants, *[""] * bool(constants), *self._steps(), *self._return()]
        parameters = [name for name, _ in self._parameters()] + [each.name for each in self.trailing]
        head = f"def backprop({', '.join(parameters)}):"
        if len(head) > 120:
            head = "def backprop(\n    " + ",\n    ".join(parameters) + ",\n):"
        lines = [
            "import numpy as np",
            "",
            "",
            *_CHECK,
            *self.written.helpers(),
            "",
            "",
            head,
            f'    """{self._summary()}"""',
            *(f"    {line}".rstrip() for line in body),
        ]
        source = Source("\n".join(lines) + "\n")
        source.captured = {each.name: self.program.values[each].array for each in self.trailing}
        source.filename = f"<backprop {self.program.name}>"
        linecache.cache[source.filename] = (len(source), None, source.splitlines(True), source.filename)
        return source

    def _summary(self) -> str:
        if self.structure is None:
            return f"The value of {self.program.name} and its gradients, a dict by the parameters' names."
        return f"The value of {self.program.name} and its gradients, derived line by line."

    # ---- arguments -----------------------------------------------------------------------------------------------

    def _parameters(self) -> list[tuple[str, Structure]]:
        """The names of the function's own arguments, and their structures."""
        takes = self.program.takes
        assert takes is not None
        rest = iter(self.program.statics)
        found = []
        for name, part in zip(self.tops, takes.parts, strict=True):
            statics = [next(rest) for _ in paths(part)]
            if part.kind is None and isinstance(statics[0], Variable):
                name = statics[0].name
            found.append((name, part))
        return found

    def _checks(self) -> Iterator[str]:
        """Take the arguments apart and refuse those that the derivation does not hold for."""
        rest = iter(self.program.statics)
        table: list[Variable] = []
        for name, part in self._parameters():
            for path in paths(part):
                static = next(rest)
                access = name + "".join(f"[{key!r}]" for key in path)
                if isinstance(static, Variable):
                    if not static.shape:
                        yield f"{static.name} = np.asarray({access})"
                    elif access != static.name:
                        yield f"{static.name} = {access}"
                    table.append(static)
                else:
                    unlike = "is not" if static is None or isinstance(static, bool) else "!="
                    yield f"if {access} {unlike} {static!r}:"
                    yield f'    raise ValueError("backprop: {name} must be {static!r}, for which it was derived")'
        for each in (*table, *self.trailing):
            yield f'_check_argument("{each.name}", {each.name}, {each.shape}, "{each.dtype.name}")'
        yield ""

    # ---- the computation -----------------------------------------------------------------------------------------

    def _steps(self) -> Iterator[str]:
        rows: list[tuple[str, str]] = []
        for title, back in (("forward", False), ("backward", True)):
            lines = [
                row
                for operation in self.program.operations
                if (operation.scope[:1] == (BACKWARD,)) == back
                for row in self._rows(operation, back)
            ]
            rows += [(f"# {title}", ""), *lines, ("", "")] if lines else []
        width = max((len(code) for code, note in rows if note and len(code) <= 60), default=0)
        for code, note in rows:
            line = f"{code:<{width}}  # {note}" if note else code
            if len(line) > 112 and note:
                yield f"# {note}"
                yield code
            else:
                yield line

    def _rows(self, operation: Operation, back: bool) -> Iterator[tuple[str, str]]:
        statements = self.written.statements(operation)
        for k, code in enumerate(statements):
            last = k == len(statements) - 1
            yield code, self._note(operation, back) if last else ""

    def _note(self, operation: Operation, back: bool) -> str:
        shapes = ", ".join(str(each.shape) for each in operation.outputs)
        if not back:
            return shapes
        line = operation.line.partition(": ")[2] or operation.place
        line = line if len(line) <= 60 else line[:57] + "..."
        module = ".".join(operation.scope[1:])
        return f"{shapes}  from{' ' * bool(module)}{module}: {line}" if line else shapes

    def _return(self) -> Iterator[str]:
        value, *gradients = self.program.outputs
        seen: set[Any] = set()
        texts = [self._output(each, seen) for each in (value, *gradients)]
        if self.structure is None:
            yield f"return {texts[0]}, {{"
            yield from (f"    {each.label!r}: {text}," for each, text in zip(self.wanted, texts[1:], strict=True))
            yield "}"
        else:
            yield f"return {texts[0]}, {_structured(self.structure, iter(texts[1:]))}"

    def _output(self, each: Any, seen: set[Any]) -> str:
        """A result, in memory of its own."""
        if not isinstance(each, Variable):
            return number_text(each)
        maker = self.written.maker(each)
        shared = maker is None or maker.primitive.view or each in seen
        seen.add(each)
        name = self.written.text(each)
        return f"np.array({name})" if shared and not name.startswith(("np.array(", "np.zeros(")) else name


def _top_names(f: Callable[..., Any], args: tuple[Any, ...]) -> list[str]:
    """What the function calls its arguments."""
    names: list[str] = []
    try:
        signature = inspect.signature(f)
        for name, value in signature.bind(*args).arguments.items():
            several = signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
            names += [f"{name}_{i}" for i in range(len(value))] if several else [name]
    except (TypeError, ValueError):
        names = [f"x_{i}" for i in range(len(args))]
    return list(map(identifier, names))


def _structured(structure: Structure, texts: Iterator[str]) -> str:
    """Texts as Python code in a structure of dicts, lists and tuples."""
    kind = structure.kind
    if kind is None:
        return next(texts)
    parts = [_structured(part, texts) for part in structure.parts]
    if issubclass(kind, dict):
        return "{" + ", ".join(f"{key!r}: {part}" for key, part in zip(structure.keys, parts, strict=True)) + "}"
    if issubclass(kind, list):
        return f"[{', '.join(parts)}]"
    return f"({', '.join(parts)}{',' * (len(parts) == 1)})"
