"""What the user calls a value: the names that a Program prints and a picture shows.

A name comes from, in this order: `Tensor.name` and a module's parameter names; the variable that an assignment in the
user's code gives it, outer functions before the helpers they call; the variables that hold it when a function returns;
the helper function that returned it; and at last the operation itself (`exp`, `exp_2`).

Read next: `program.py`.
"""

from __future__ import annotations

import ast
import builtins
import keyword
import linecache
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FrameType, ModuleType
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .recording import SMALL, Array, Node, Recorded, tick, users_frame

Position: TypeAlias = tuple[int | None, int | None, int | None, int | None]
Target: TypeAlias = tuple[str | None, ...] | str

_HELPERS_LINES, _HELPERS_ARGUMENTS = 8, 3  # at most: relu(z), softmax(z), layer(x, w, b)
_MOST = 1000  # names looked at in one container: parameters are kept in small ones
_TAKEN = frozenset({*dir(builtins), *keyword.kwlist, "np"})  # names that generated code needs for itself


class Call(NamedTuple):
    """One call of a helper of a few lines that takes arrays: from when to when, and from where."""

    start: int
    end: int
    code: CodeType
    instruction: int


class Names:
    """Gathers what user code calls nodes and arrays, and settles on one name for each."""

    def __init__(self) -> None:
        self._found: dict[Node, tuple[int, str]] = {}
        self._arrays: list[tuple[str, Array]] = []
        self._targets: dict[str, dict[Position, Target]] = {}
        self._positions: dict[CodeType, list[Position]] = {}
        self.calls: list[Call] = []  # of helpers, where a Witness was asked for them

    def propose(self, node: Node, name: str, depth: int) -> None:
        """Note a name that the function `depth` calls down gives a node: the outermost one counts, then the first."""
        known = self._found.get(node)
        if name != "_" and (known is None or depth < known[0]):
            self._found[node] = depth, name

    def read(self, names: Iterable[tuple[str, Any]], depth: int) -> None:
        """Note what variables hold: tensors, arrays, containers of them, and modules."""
        for name, value in names:
            if isinstance(value, Recorded):
                self.propose(value._node, name, depth)
            elif type(value) is np.ndarray:  # a masked constant would raise when it is compared
                self._arrays.append((name, value))
            elif isinstance(value, dict) and len(value) <= _MOST:
                self._read_parts(value.items(), depth)
            elif isinstance(value, (list, tuple)) and len(value) <= _MOST:
                self._read_parts(((f"{name}_{i}", each) for i, each in enumerate(value)), depth)
            elif not isinstance(value, (type, ModuleType)) and hasattr(value, "named_parameters"):
                self._read_parts(value.named_parameters(), depth)

    def _read_parts(self, parts: Iterable[tuple[Any, Any]], depth: int) -> None:
        self.read(((str(key), each) for key, each in parts if isinstance(each, (Recorded, np.ndarray))), depth)

    def read_frame(self, frame: FrameType, depth: int) -> None:
        """Note what a frame's variables, the globals it uses and the attributes of its `self` hold."""
        code = frame.f_code
        seen = frame.f_locals
        if code.co_name == "<module>":
            self.read(list(seen.items()), depth)
            return
        if not code.co_name.startswith("<") or code.co_name == "<lambda>":
            self.read(list(seen.items()), depth)
        self.read([(name, frame.f_globals[name]) for name in code.co_names if name in frame.f_globals], depth)
        if code.co_argcount and code.co_varnames[0] == "self":
            self.read(list(getattr(seen.get("self"), "__dict__", {}).items()), depth)

    def target(self, code: CodeType, instruction: int) -> Target | None:
        """The variable, or variables, to which a statement assigns the whole of what an instruction computes."""
        positions = self._positions.get(code)
        if positions is None:
            positions = self._positions[code] = list(code.co_positions())
        targets = self._targets.get(code.co_filename)
        if targets is None:
            targets = self._targets[code.co_filename] = dict(_targets(code.co_filename))
        found = targets.get(positions[instruction // 2])
        return _function_name(code) if found == "return" else found

    def of(self, node: Node) -> str | None:
        """The best name that anybody has given a node."""
        if node.name:
            return node.name
        if node in self._found:
            return self._found[node][1]
        if node.primitive is not None:
            return None
        array = self.array_of(node)
        return None if array is None else array[0]

    def array_of(self, leaf: Node) -> tuple[str, Array] | None:
        """The user's array, with its name, whose values a leaf keeps."""
        for name, array in self._arrays:
            if array is leaf.array:
                return name, array
        if leaf.guard is not None or leaf.array.nbytes > SMALL:
            return None
        for name, array in self._arrays:
            if array.shape == leaf.shape and array.dtype == leaf.dtype and array.tobytes() == leaf.array.tobytes():
                return name, array
        return None

    def place(self, node: Node) -> tuple[CodeType, int] | None:
        """Where a node was computed: where the helper that did it was called, the outermost one."""
        self.calls.sort()
        for each in self.calls:
            if each.start < node.when <= each.end:
                return each.code, each.instruction
        return None if node.code is None else (node.code, node.instruction)

    def known(self, node: Node) -> bool:
        """Whether some variable holds a tensor with this node."""
        return node in self._found


class Witness:
    """A profile function that watches what the user's functions call the tensors that reach them.

    Every result of an operation returns to the line that asked for it: there the assignment's target is looked up. With
    `helpers` it also notes where helpers are called.
    """

    def __init__(self, names: Names, helpers: bool = False) -> None:
        self.names = names
        self.depth = 0
        self.nodes: dict[Node, None] = {}
        self._helpers = helpers
        self._begun: dict[FrameType, int] = {}

    def __call__(self, frame: FrameType, event: str, result: Any) -> None:
        """Handle one event of the interpreter."""
        if event == "call":
            self.depth += 1
            if self._helpers and _is_helper(frame):
                self._begun[frame] = tick()
        elif event == "return" and self.depth:
            self.depth -= 1
            if frame.f_code.co_name == "__setitem__":
                result = frame.f_locals.get("self")
            if isinstance(result, Recorded):
                self.nodes[result._node] = None
            caller = frame.f_back
            if caller is not None and self.depth and isinstance(result, (Recorded, tuple)) and _is_users(caller):
                self._name(result, self.names.target(caller.f_code, caller.f_lasti))
            if _is_users(frame):
                self.names.read_frame(frame, self.depth + 1)
            began = self._begun.pop(frame, None)
            if began is not None and caller is not None and _is_users(caller):
                self.names.calls.append(Call(began, tick(), caller.f_code, caller.f_lasti))

    def _name(self, result: Any, target: Target | None) -> None:
        results, targets = ((result,), (target,)) if isinstance(result, Recorded) else (result, target)
        if not isinstance(targets, tuple) or len(targets) != len(results):
            return
        for each, name in zip(results, targets, strict=True):
            if isinstance(each, Recorded) and isinstance(name, str) and each._node.primitive is not None:
                self.names.propose(each._node, name, self.depth)

    def watch(self, f: Callable[..., Any], *args: Any) -> Any:
        """Call a function under observation."""
        before = sys.getprofile()
        sys.setprofile(self)
        try:
            return f(*args)
        finally:
            sys.setprofile(before)


def _is_users(frame: FrameType) -> bool:
    """Whether a frame runs the user's code: not this library's, NumPy's, or what collections.namedtuple generates."""
    module = str(frame.f_globals.get("__name__"))
    return users_frame(frame) is frame and not module.startswith(("numpy.", "namedtuple_"))


def _is_helper(frame: FrameType) -> bool:
    """Whether a frame that begins is that of a short function of a few arrays, not all of a forward pass."""
    code = frame.f_code
    given = [name for name in code.co_varnames[: code.co_argcount] if name != "self"]
    if not 0 < len(given) <= _HELPERS_ARGUMENTS or not _is_users(frame):
        return False
    values = [frame.f_locals[name] for name in given]
    arrays = all(isinstance(each, (Recorded, np.ndarray, np.generic, int, float, str, type(None))) for each in values)
    lines = {line for *_, line in code.co_lines() if line}
    return arrays and any(isinstance(each, Recorded) for each in values) and len(lines) <= _HELPERS_LINES


def _function_name(code: CodeType) -> str | None:
    name = code.co_name
    return None if name.startswith(("<", "_")) or name in ("forward", "f", "fn", "func") else name


def _targets(filename: str) -> Iterator[tuple[Position, Target]]:
    """Where each assigned expression of a file stands, and what it is assigned to."""
    try:
        tree = ast.parse("".join(linecache.getlines(filename)))
    except SyntaxError:
        return
    for statement in ast.walk(tree):
        if isinstance(statement, (ast.Assign, ast.AnnAssign, ast.NamedExpr)):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            if statement.value is not None:
                yield from _assigned(targets[0], statement.value)
        elif isinstance(statement, ast.AugAssign):
            yield from _placed(_plain_name(statement.target), statement)
        elif isinstance(statement, ast.Return) and statement.value is not None:
            yield from _placed("return", statement.value)
        elif isinstance(statement, ast.Subscript) and isinstance(statement.ctx, ast.Store):
            yield from _placed(_plain_name(statement.value), statement)


def _assigned(target: ast.expr, value: ast.expr) -> Iterator[tuple[Position, Target]]:
    if isinstance(target, (ast.Tuple, ast.List)):
        if isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == len(target.elts):
            for each, part in zip(target.elts, value.elts, strict=True):
                yield from _assigned(each, part)
        else:
            yield from _placed(tuple(_plain_name(each) for each in target.elts), value)
    else:
        yield from _placed(_plain_name(target), value)


def _plain_name(target: ast.expr) -> str | None:
    """x, self.x and table["x"] are all called x."""
    if isinstance(target, ast.Name):
        return target.id
    if isinstance(target, ast.Attribute):
        return target.attr
    if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
        return target.slice.value if isinstance(target.slice.value, str) else None
    return None


def _placed(name: Target | None, value: ast.expr | ast.stmt) -> Iterator[tuple[Position, Target]]:
    if name is None:
        return
    yield (value.lineno, value.end_lineno, value.col_offset, value.end_col_offset), name
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        # the interpreter places a method call that runs over several lines at the method's name
        method = value.func
        if method.end_lineno is not None and method.end_col_offset is not None:
            start = method.end_col_offset - len(method.attr.encode())
            yield (method.end_lineno, value.end_lineno, start, value.end_col_offset), name


def identifier(text: str) -> str:
    """A valid Python name as close to `text` as can be: '0.weight' becomes p0_weight.

    >>> identifier("W1"), identifier("0.weight"), identifier("lambda"), identifier("+")
    ('W1', 'p0_weight', 'lambda_', 'value')
    """
    name = re.sub(r"\W+", "_", unicodedata.normalize("NFKC", text)).strip("_" if not text.startswith("_") else "")
    if name[:1].isdigit():
        name = f"p{name}"
    if not name.isidentifier():
        return "value"
    return f"{name}_" if name in _TAKEN else name


def distinct(wanted: Iterable[str], reserved: Iterable[str] = ()) -> Iterator[str]:
    """The names made different from one another: z, z_2, z_3; the first to want a name gets it, unless it is reserved.

    >>> list(distinct(["z", "z", "z_2", "z", "relu"], reserved=["relu"]))
    ['z', 'z_3', 'z_2', 'z_4', 'relu_1']
    """
    wanted = list(wanted)
    taken = {*wanted, *reserved}
    seen = dict.fromkeys(reserved, 0)
    for name in wanted:
        number = seen.get(name, 0) + 1
        unique = name
        if name in seen:
            while (unique := f"{name}_{number}") in taken:
                number += 1
            taken.add(unique)
        seen[name] = number
        yield unique
