"""compile: a function's program as straight-line NumPy, made once for each set of shapes and dtypes.

    fast = ag.compile(ag.value_and_grad(loss))
    value, gradients = fast(parameters, x, y)

The function is traced at the first call with new shapes. From then on one generated function runs, which makes no
object for an operation: it writes into memory that was allocated once. What the function reads without being handed it
is watched, and a change makes a new program.

Read next: `retracing.py` (the program), `emission.py` (the code), `guards.py` (what is watched).
"""

from __future__ import annotations

import builtins
import inspect
import itertools
import linecache
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import update_wrapper
from typing import Any

import numpy as np

from .boundary import numbers
from .emission import Emitter
from .guards import Reach
from .program import Program, Variable
from .recording import Recorded, fingerprint, thread
from .retracing import reduced, traced, undrawn
from .trees import Structure, flatten

MOST = 32  # programs that one compiled function keeps; the one that was not used for longest goes first
_numbers = itertools.count(1)


def compile(f: Callable[..., Any]) -> Compiled:
    """A function like `f`, which runs as generated NumPy code: traced once for every set of shapes and dtypes.

    Arguments are arrays, floats, and dicts, lists and tuples of them; whatever else (int, bool, str, None) is fixed in
    the program, of which the 32 last used are kept. Results are new arrays. Compile what computes the gradient:
    `ag.compile(ag.value_and_grad(loss))`; on a tensor that requires gradients, or inside a trace, `f` itself runs.
    Captured tensors are read anew at each call. Numbers, arrays and modules that `f` finds in closures, globals and
    attributes are watched, and if one changed `f` is traced again; everything else that changes has to be an argument.
    Raises TypeError where `f` asks for a value (`if x > 0`), RuntimeError if two traces differ, as with a hidden
    random draw, and if the function is called from inside itself. Threads take turns.

    >>> import numpy as np, autograd_lite as ag
    >>> fast = ag.compile(ag.value_and_grad(lambda w, x: np.sum(np.tanh(x @ w))))
    >>> value, gradient = fast(np.zeros((2, 1)), np.ones((3, 2)))
    >>> float(value), gradient.tolist()
    (0.0, [[3.0], [3.0]])
    >>> "tanh(" in fast.source
    True
    """
    return Compiled(f)


class Compiled:
    """A function that runs as generated code; `source` is the code that ran last."""

    def __init__(self, f: Callable[..., Any]) -> None:
        self._f = f
        self._kept: OrderedDict[Any, list[Code]] = OrderedDict()
        self._last: Code | None = None
        self._lock = threading.RLock()
        self._busy = False
        update_wrapper(self, f, updated=())

    def __repr__(self) -> str:
        return f"<compiled {getattr(self._f, '__name__', type(self._f).__name__)}>"

    @property
    def source(self) -> str:
        """The generated code; raises RuntimeError before the first call."""
        if self._last is None:
            raise RuntimeError("source: nothing has been compiled yet; call the function once.")
        return self._last.source

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the function returns, in new arrays."""
        if kwargs:
            bound = inspect.signature(self._f).bind(*args, **kwargs)
            if bound.kwargs:
                names = ", ".join(bound.kwargs)
                raise TypeError(f"{self!r}: pass {names} by position: what is compiled has no keywords.")
            args = bound.args
        if thread.mode.tracing:
            return self._f(*args)
        with self._lock:
            if self._busy:
                raise RuntimeError(f"{self!r} is called from inside itself, and its memory is in use.")
            self._busy = True
            try:
                code = self._last
                given = None if code is None else code.enter(args)
                if code is None or given is None or not code.valid():
                    key, given, live = _key(args)
                    if live:
                        return self._f(*args)
                    code = self._last = self._code(key, args)
                return code.run(*given)
            finally:
                self._busy = False

    def _code(self, key: Any, args: tuple[Any, ...]) -> Code:
        """The code for these shapes, made now if there is none, or if what it was made for has changed."""
        found = self._kept.setdefault(key, [])
        self._kept.move_to_end(key)
        for code in found:
            if code.valid():
                return code
        code = self._build(args)
        found.insert(0, code)
        while sum(map(len, self._kept.values())) > MOST:
            oldest = next(iter(self._kept))
            self._kept[oldest].pop()
            if not self._kept[oldest]:
                del self._kept[oldest]
        return code

    def _build(self, args: tuple[Any, ...]) -> Code:
        """Trace the function and generate its code."""
        reach = Reach(self._f)
        with undrawn(reach.generators.values()):
            try:
                program, written = traced(self._f, args)
            except RecursionError:
                raise RuntimeError(f"{self!r} is called from inside itself, without end.") from None
            _refuse_floats(program, args)
            program = reduced(program)
        emitter = Emitter(program, {}, unchanging(program, reach))
        count = len(program.outputs) - len(written)
        results = emitter.fresh(program.outputs[:count])
        lines = [*emitter.lines, f"result = {emitter.returned(program.returns, results)}"]
        lines += emitter.stores(zip(program.outputs[count:], written, strict=True))
        return finished(program, emitter, [*lines, "return result"], reach)


def _key(args: tuple[Any, ...]) -> tuple[Any, list[Any], bool]:
    """What a program depends on in its arguments, their arrays, and whether gradients are wanted through them."""
    leaves, structure = flatten(args)
    given = []
    live = False
    key: list[Any] = [structure]
    for each in leaves:
        if isinstance(each, Recorded):
            array = each._array()
            live = live or each._node.live
            each = array
        elif isinstance(each, (np.ndarray, np.generic)):
            each = numbers(np.asanyarray(each), "ag.compile")
        elif isinstance(each, (float, complex)):
            each = np.asarray(each)
        else:
            key.append((type(each), each))
            continue
        given.append(each)
        key.append((each.shape, each.dtype))
    return tuple(key), given, live


def _refuse_floats(program: Program, args: tuple[Any, ...]) -> None:
    """Raise TypeError for a Python float beside narrow arrays: NumPy lets it take their dtype, an input has its own."""
    if any(isinstance(each, (float, complex)) and not isinstance(each, np.generic) for each in flatten(args)[0]):
        results = (each for operation in program.operations for each in operation.outputs)
        for each in (*program.inputs, *program.captured, *results):
            if each.dtype.kind in "fc" and np.finfo(each.dtype).bits < 64:
                raise TypeError(
                    f"compile: {program.name} is given a Python float and computes with {each.dtype}, which it would "
                    f"widen: pass np.{each.dtype}(value), or let the function capture the number."
                )


class Code:
    """Generated code: `enter` takes the arrays out of arguments that fit, `valid` says whether what was captured is
    unchanged, `run` computes; `memory` is the bytes that it keeps."""

    def __init__(
        self,
        run: Callable[..., Any],
        source: str,
        enter: Callable[..., Any],
        valid: Callable[[], bool],
        memory: int,
    ) -> None:
        self.run = run
        self.source = source
        self.enter = enter
        self.valid = valid
        self.memory = memory


def unchanging(program: Program, reach: Reach) -> set[Variable]:
    """The captured values that are no tensors: what they hold is watched, so that it counts as known."""
    tensors = {each._node for each in reach.tensors.values()}
    fixed = ((each, leaf) for each, leaf in program.values.items() if each.kind == "constant")
    return {each for each, leaf in fixed if leaf not in tensors and not leaf.live}


def finished(program: Program, emitter: Emitter, lines: list[str], reach: Reach) -> Code:
    """The generated function of a program."""
    name = emitter.bind(program.name, program)  # a name that no value has
    source = _function(name, [each.name for each in program.inputs], lines)
    filename = f"<compiled {program.name} {next(_numbers)}>"
    linecache.cache[filename] = len(source), None, source.splitlines(keepends=True), filename
    run = _executed(source, filename, emitter.names, name)
    return Code(run, source, _entry(program), _validity(reach, emitter), emitter.pool.bytes)


def _function(name: str, parameters: list[str], lines: list[str]) -> str:
    return "\n    ".join([f"def {name}({', '.join(parameters)}):", *lines]) + "\n"


def _executed(source: str, filename: str, names: dict[str, Any], name: str) -> Callable[..., Any]:
    space = dict(names)
    exec(builtins.compile(source, filename, "exec"), space)
    function: Callable[..., Any] = space[name]
    return function


def _validity(reach: Reach, emitter: Emitter) -> Callable[[], bool]:
    """Whether what was captured is what it was: the leaves have their arrays, and all else its value."""
    names: dict[str, Any] = {"unchanged": reach.check(), "fingerprint": fingerprint}
    tests = []
    for i, leaf in enumerate(emitter.program.values.values()):
        if leaf.guard is not None:
            names[f"leaf{i}"] = leaf
            tests.append(f"fingerprint(leaf{i}.array) == {leaf.guard}")
        elif leaf in emitter.leaves:
            names |= {f"leaf{i}": leaf, f"array{i}": leaf.array}
            tests.append(f"leaf{i}.array is array{i} and leaf{i}.requires_grad is {leaf.requires_grad}")
    tests.append("unchanged()")
    return _executed(_function("valid", [], [f"return {' and '.join(tests)}"]), "<validity>", names, "valid")


def _entry(program: Program) -> Callable[..., Any]:
    """A function that takes the arrays out of arguments with the right structure, shapes and dtypes; else None."""
    names: dict[str, Any] = {"ndarray": np.ndarray}
    lines = ["try:"]
    statics = iter(program.statics)
    taken: list[str] = []

    def bound(value: Any) -> str:
        name = f"v{len(names)}"
        names[name] = value
        return name

    def look(text: str, structure: Structure) -> None:
        if structure.kind is not None:
            lines.append(f"    if type({text}) is not {bound(structure.kind)} or len({text}) != {len(structure.keys)}:")
            lines.append("        return None")
            for key, part in zip(structure.keys, structure.parts, strict=True):
                name = f"a{len(lines)}"
                lines.append(f"    {name} = {text}[{repr(key) if type(key) in (int, str) else bound(key)}]")
                look(name, part)
            return
        static = next(statics)
        if isinstance(static, Variable):
            wrong = f"{text}.shape != {static.shape} or {text}.dtype is not {bound(static.dtype)}"
            wrong = f"type({text}) is not ndarray or {wrong}"
            taken.append(text)
        else:
            wrong = f"type({text}) is not {bound(type(static))} or {text} != {bound(static)}"
        lines.append(f"    if {wrong}:")
        lines.append("        return None")

    assert program.takes is not None
    look("args", program.takes)
    lines.append(f"    return ({', '.join(taken)}{',' * bool(taken)})")
    lines += ["except (KeyError, IndexError):", "    return None"]
    return _executed(_function("enter", ["args"], lines), "<entry>", names, "enter")
