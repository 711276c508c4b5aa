"""How the operations of a program are written as lines of NumPy code.

A value that is used once and that nobody named stands inside the expression that uses it; everything else gets a line.

Read next: `source.py`, which puts the lines together.
"""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from .expansion import Helpers, constant_line, has_a_name, numpys_name, transplanted
from .passes import FEW
from .primitives import PRIMITIVES, Primitive
from .program import BACKWARD, Operation, Program, Variable
from .recording import Array
from .rendering import SIGNS, index_text, literal
from .rewriting import Rewriter, rewrite
from .rules.index import GETITEM, SCATTER, SETITEM
from .rules.shape import ASTYPE

_LONGEST = 60  # characters of an expression that may stand inside another
_SHORT = 30  # characters of a constant that may
_LEVELS = {
    "**": 8, "-{}": 7, "+{}": 7, "~{}": 7, "*": 6, "/": 6, "//": 6, "%": 6, "@": 6, "+": 5, "-": 5, "<<": 4, ">>": 4,
    "&": 3, "^": 2, "|": 1, "==": 0, "!=": 0, "<": 0, "<=": 0, ">": 0, ">=": 0,
}  # fmt: skip
_ATOM = 10
_NOT_FINITE = re.compile(r"(?<![\w.'\"])(inf|nan)\b")


def number_text(value: Any) -> str:
    """A literal as Python text that needs numpy alone: infinities and NaN are np.inf and np.nan."""
    shown = literal(value)
    return shown if isinstance(value, str) else _NOT_FINITE.sub(r"np.\1", shown)


def array_text(array: Array) -> str:
    """An array as an expression."""
    if array.dtype == np.int64 and array.ndim == 1 and array.size > 1 and (array == np.arange(array.size)).all():
        return f"np.arange({array.size})"
    if array.size > 1 and not array.any():
        return f"np.zeros({array.shape}, np.{array.dtype.name})"
    entries = number_text(array.tolist())
    plain = array.dtype in (np.float64, np.int64, np.bool_, np.complex128) and array.size
    return f"np.array({entries})" if plain else f"np.array({entries}, dtype=np.{array.dtype.name})"


def is_literal(variable: Variable, array: Array) -> bool:
    """Whether a captured value is written out: a constant that nobody holds under a name."""
    return variable.kind == "constant" and not variable.given and (array.size <= FEW or not array.any())


def plainly(program: Program) -> Program:
    """A program in the form in which it reads best: a mean's gradient divided by the count instead of multiplied by
    its inverse (which differs in the last place), and the product of matrices as A @ B."""
    return rewrite(program, _plain)


def _plain(state: Rewriter, operation: Operation) -> Operation:
    called, inputs = operation.primitive.called, operation.inputs
    if called is np.dot and all(isinstance(each, Variable) and len(each.shape) == 2 for each in inputs):
        return replace(operation, primitive=PRIMITIVES[np.matmul])
    if called is np.multiply and operation.scope[:1] == (BACKWARD,) and not operation.settings:
        for c, x in (inputs, inputs[::-1]):
            count = _inverse_of(c, operation.outputs[0].dtype)
            if count and isinstance(x, Variable) and x.dtype == operation.outputs[0].dtype:
                if c < 0:
                    opposite = state.another(x, f"minus_{x.name}")
                    state.keep(replace(operation, primitive=PRIMITIVES[np.negative], inputs=(x,), outputs=(opposite,)))
                    x = opposite
                return replace(operation, primitive=PRIMITIVES[np.divide], inputs=(x, count))
    return operation


def _inverse_of(value: Any, dtype: np.dtype[Any]) -> int:
    """n if the value is 1 / n or -1 / n in this dtype, for a whole n from 2 on, else 0."""
    if type(value) is not float or dtype.kind != "f" or not 1e-9 < abs(value) <= 0.5:
        return 0
    count = round(1 / abs(value))
    return count if dtype.type(1) / dtype.type(count) == dtype.type(abs(value)) else 0


class Written:
    """The lines of a program, and the functions that they call beyond NumPy's."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._maker = {each: operation for operation in program.operations for each in operation.outputs}
        self._helpers: Helpers = {}
        self._taken = [each.name for each in (*program.inputs, *program.captured, *self._maker)]
        self._named: dict[Any, str] = {}
        outputs = {each for each in program.outputs if isinstance(each, Variable)}
        uses = Counter(outputs)
        reader: dict[Variable, Operation] = {}
        self._inside: set[Variable] = set()
        self._texts: dict[Variable, tuple[str, int]] = {}
        self.lines: dict[Variable, str] = {}  # the constants that get a line, with what it says
        for each, leaf in program.values.items():
            if is_literal(each, leaf.array):
                shown = array_text(leaf.array)
                if len(shown) <= _SHORT:
                    self._texts[each] = shown, _ATOM
                else:
                    self.lines[each] = f"{each.name} = {shown}"
        for operation in reversed(program.operations):
            y = operation.outputs[0]
            always = _is_transpose(operation)
            if len(operation.outputs) == 1 and y not in outputs and not _is_statement(operation):
                if always or (uses[y] == 1 and not y.given and _together(operation, reader[y])):
                    self._inside.add(y)
            for each in operation.reads:
                uses[each] += uses[y] if always else 1
                reader[each] = reader.get(y, operation) if always else operation
        for operation in program.operations:
            if operation.outputs[0] in self._inside:
                text, level = self._expression(operation)
                if len(text) > _LONGEST and not _is_transpose(operation):
                    self._inside.discard(operation.outputs[0])
                else:
                    self._texts[operation.outputs[0]] = text, level
            elif not has_a_name(operation.primitive):
                self._expression(operation)  # the functions and constants that it needs come first in the text

    def maker(self, each: Variable) -> Operation | None:
        """The operation that computes a value; None for inputs and captured values."""
        return self._maker.get(each)

    def helpers(self) -> Iterator[str]:
        """The lines of the functions that the program calls beyond NumPy's."""
        for _, text in self._helpers.values():
            if text.startswith(("def ", "class ")):
                yield from ("", "")
            yield from text.splitlines()

    def text(self, value: Any, level: int = -1) -> str:
        """A value as it stands in an expression that binds as strongly as `level`."""
        if not isinstance(value, Variable):
            if hasattr(value, "_fields"):
                return constant_line(value, self._helpers, self._taken)
            shown = number_text(value)
            return f"({shown})" if shown.startswith("-") and level >= 6 else shown
        shown, own = self._texts.get(value, (value.name, _ATOM))
        return f"({shown})" if own < level else shown

    def statements(self, operation: Operation) -> list[str]:
        """The lines of one operation; none if it stands inside another."""
        y = operation.outputs[0]
        if y in self._texts:
            return []
        if operation.primitive is SCATTER:
            return self._scattered(operation)
        if operation.primitive is SETITEM:
            x, value, *arrays = map(self.text, operation.inputs)
            place = index_text(operation.settings["index"], arrays, self.text)
            return [f"{y.name} = np.array({x})", f"{y.name}[{place}] = {value}"]
        names = ", ".join(each.name for each in operation.outputs)
        return [f"{names} = {self._expression(operation)[0]}"]

    def _scattered(self, operation: Operation) -> list[str]:
        y, settings = operation.outputs[0], operation.settings
        g, *arrays = map(self.text, operation.inputs)
        place = index_text(settings["index"], arrays, self.text)
        kinds = [each.dtype if isinstance(each, Variable) else np.asarray(each).dtype for each in operation.inputs[1:]]
        zeros = f"{y.name} = np.zeros({literal(tuple(settings['shape']))}, np.{y.dtype.name})"
        if all(kind.kind == "b" for kind in kinds):
            return [zeros, f"{y.name}[{place}] = {g}"]
        tuple_place = place if type(settings["index"]) is not tuple else f"np.s_[{place}]"
        return [zeros, f"np.add.at({y.name}, {tuple_place}, {g})"]

    def _expression(self, operation: Operation) -> tuple[str, int]:
        """An operation as an expression, and how strongly it binds."""
        primitive, inputs, settings = operation.primitive, operation.inputs, operation.settings
        if primitive is GETITEM:
            arrays = [self.text(each) for each in inputs[1:]]
            return f"{self.text(inputs[0], _ATOM)}[{index_text(settings['index'], arrays, self.text)}]", _ATOM
        if primitive is ASTYPE:
            return f"{self.text(inputs[0], _ATOM)}.astype({number_text(np.dtype(settings['dtype']))})", _ATOM
        if _is_transpose(operation):
            return f"{self.text(inputs[0], _ATOM)}.T", _ATOM
        sign = SIGNS.get(primitive.called, ("", ""))[0]
        if sign and not settings:
            return self._signed(sign, inputs)
        operands = [self.text(each) for each in inputs]
        if primitive.sequence:
            operands = [f"[{', '.join(operands)}]"]
        if primitive.called is np.reshape:
            settings = dict(settings)
            operands.append(literal(settings.pop("shape")))
            if settings.get("order") == "C":
                del settings["order"]
        rest = [f"{key}={self.text(each)}" for key, each in settings.items() if not _is_default(primitive, key, each)]
        return f"{self._called(operation)}({', '.join(operands + rest)})", _ATOM

    def _signed(self, sign: str, inputs: tuple[Any, ...]) -> tuple[str, int]:
        level = _LEVELS[sign]
        if len(inputs) == 1:
            return sign.format(self.text(inputs[0], level + 1)), level
        left, right = (level + 1, level) if sign == "**" else (level + (level == 0), level + 1)
        return f"{self.text(inputs[0], left)} {sign} {self.text(inputs[1], right)}", level

    def _called(self, operation: Operation) -> str:
        primitive = operation.primitive
        return numpys_name(primitive) or self._helper(operation)

    def _helper(self, operation: Operation) -> str:
        """The name of the function that computes an operation which NumPy has no word for."""
        primitive = operation.primitive
        name = self._named.get(primitive)
        if name is None:
            name = self._named[primitive] = transplanted(primitive, self._helpers, self._taken)
        return name


def _is_default(primitive: Primitive, key: str, value: Any) -> bool:
    """Whether a setting says None where NumPy takes None anyway."""
    if value is not None:
        return False
    try:
        return inspect.signature(primitive.called).parameters[key].default is None
    except (ValueError, KeyError):
        return False


def _is_transpose(operation: Operation) -> bool:
    """Whether an operation is written x.T: it costs nothing and is never given a line."""
    return operation.primitive.called is np.transpose and operation.settings.get("axes") is None


def _is_statement(operation: Operation) -> bool:
    return operation.primitive in (SCATTER, SETITEM)


def _together(operation: Operation, reader: Operation) -> bool:
    """Whether an operation may stand in its reader's line: both of the way forward, or both of the same line's way
    back."""
    back = operation.scope[:1] == (BACKWARD,)
    if back != (reader.scope[:1] == (BACKWARD,)):
        return False
    return not back or (operation.line, operation.scope) == (reader.line, reader.scope)
