"""How an operation is written: as Python in a program's text, as mathematics in a picture.

One table says which functions have a sign of their own. Both readers take operands as text, so that the same
operation can be shown with names (`X @ W1`), with values (`2 * x`), or with a dot for an operand that has no name.

Read next: `program.py`, `drawing.py`.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from .primitives import Primitive, public_name
from .rules.elementwise import CLIP
from .rules.index import GETITEM, SCATTER, SETITEM, Slot
from .rules.shape import ASTYPE, COPY, DETACH

Text = Callable[[Any], str]  # a variable's name, a literal's value
MINUS = "\N{MINUS SIGN}"
DOT = "•"  # stands for an operand without a name

# function: (its sign in Python, its sign in mathematics); a sign with {} stands around one operand, else between two
SIGNS: dict[Any, tuple[str, str]] = {
    np.add: ("+", "+"),
    np.subtract: ("-", MINUS),
    np.multiply: ("*", "\N{MULTIPLICATION SIGN}"),
    np.divide: ("/", "÷"),
    np.floor_divide: ("//", "//"),
    np.remainder: ("%", "mod"),
    np.power: ("**", "^"),
    operator.pow: ("**", "^"),
    np.matmul: ("@", "@"),
    np.equal: ("==", "="),
    np.not_equal: ("!=", "≠"),
    np.less: ("<", "<"),
    np.less_equal: ("<=", "≤"),
    np.greater: (">", ">"),
    np.greater_equal: (">=", "≥"),
    np.bitwise_and: ("&", "and"),
    np.bitwise_or: ("|", "or"),
    np.bitwise_xor: ("^", "xor"),
    np.left_shift: ("<<", "<<"),
    np.right_shift: (">>", ">>"),
    np.negative: ("-{}", f"{MINUS}{{}}"),
    np.positive: ("+{}", "+{}"),
    np.invert: ("~{}", "not {}"),
}

# what the remaining functions are called in mathematics, where that is not their own name
_WORDS: dict[str, str] = {
    "np.dot": "@",
    "np.sum": "Σ",
    "np.prod": "Π",
    "np.absolute": "|{}|",
    "np.sqrt": "√{}",
    "np.square": "{}²",
    "np.reciprocal": "1 ÷ {}",
    "np.transpose": "{}ᵀ",
    "np.conjugate": "conj",
}
RAISED = str.maketrans("-0123456789", "\N{SUPERSCRIPT MINUS}⁰¹²³⁴⁵⁶⁷⁸⁹")
_COMMUTE = frozenset(
    {np.add, np.multiply, np.equal, np.not_equal, np.logical_and, np.logical_or, np.maximum, np.minimum}
)


def literal(value: Any) -> str:
    """A setting or a literal operand as Python text, the same on every run."""
    if isinstance(value, np.dtype):
        return f"np.{value.name}"
    if isinstance(value, np.generic):
        return f"np.{value.dtype.name}({value.item()!r})"
    if type(value) is tuple:
        return f"({', '.join(map(literal, value))}{',' if len(value) == 1 else ''})"
    if type(value) is list:
        return f"[{', '.join(map(literal, value))}]"
    if callable(value):
        return public_name(value) or str(getattr(value, "__qualname__", type(value).__name__))
    return repr(value)


def index_text(index: Any, arrays: Sequence[str], text: Text = literal) -> str:
    """An index as it stands between brackets: `0, 1:3, rows`."""
    parts = index if type(index) is tuple else (index,)
    shown = ", ".join(_index_part(part, arrays, text) for part in parts)
    return shown + "," if type(index) is tuple and len(parts) == 1 else shown or "()"


def _index_part(part: Any, arrays: Sequence[str], text: Text) -> str:
    if isinstance(part, Slot):
        return arrays[part.k]
    if isinstance(part, slice):
        ends = ":".join("" if each is None else text(each) for each in (part.start, part.stop))
        return ends if part.step is None else f"{ends}:{text(part.step)}"
    return "..." if part is Ellipsis else str(part) if isinstance(part, np.integer) else repr(part)


def _settings(settings: dict[str, Any], text: Text) -> list[str]:
    return [f"{key}={text(value)}" for key, value in settings.items()]


def as_python(primitive: Primitive, inputs: Sequence[Any], settings: dict[str, Any], text: Text) -> str:
    """One operation as a Python expression: `X @ W1`, `np.sum(z, axis=1)`, `x[0, 1:3]`."""
    operands = [text(each) for each in inputs]
    if primitive is GETITEM:
        return f"{operands[0]}[{index_text(settings['index'], operands[1:], text)}]"
    if primitive is SETITEM:
        return f"setitem({operands[0]}[{index_text(settings['index'], operands[2:], text)}], {operands[1]})"
    if primitive is SCATTER:
        place = index_text(settings["index"], operands[1:], text)
        return f"scatter({operands[0]}, [{place}], shape={text(settings['shape'])})"
    if primitive is ASTYPE:
        return f"{operands[0]}.astype({text(np.dtype(settings['dtype']))})"
    if primitive in (COPY, DETACH):
        return f"{operands[0]}.{primitive.name}()"
    sign = SIGNS.get(primitive.called, ("", ""))[0]
    if sign and not settings and len(operands) == 1:
        return sign.format(operands[0])
    if sign and not settings:
        return f"{_bracketed(operands[0])} {sign} {_bracketed(operands[1])}"
    if primitive.sequence:
        operands = [f"[{', '.join(operands)}]"]
    name = "np.clip" if primitive is CLIP else primitive.label
    return f"{name}({', '.join(operands + _settings(settings, text))})"


def called(primitive: Primitive) -> str:
    """The function that a program's text calls: np.exp, relu, setitem; '' where it writes an operator or a method."""
    written_otherwise = primitive in (GETITEM, ASTYPE, COPY, DETACH, CLIP) or primitive.called in SIGNS
    return "" if written_otherwise else primitive.label


def _bracketed(operand: str) -> str:
    return f"({operand})" if operand.startswith("-") else operand


def as_mathematics(primitive: Primitive, inputs: Sequence[Any], settings: dict[str, Any], text: Text) -> str:
    """One operation as a picture's label: `X @ W1`, `exp`, `Σ axis=1`, `1 ÷ ·`.

    Where every operand is a bare dot and their order does not matter, the sign alone stands: the edges say the rest.
    """
    operands = [text(each) for each in inputs]
    function = primitive.called
    if primitive in (GETITEM, SCATTER, SETITEM):
        arrays = operands[2:] if primitive is SETITEM else operands[1:]
        place = f"[{index_text(settings['index'], arrays, text)}]"
        if primitive is GETITEM:
            return operands[0] + place
        return f"{operands[0]}{place} ← {operands[1]}" if primitive is SETITEM else f"0{place} ← {operands[0]}"
    if primitive is ASTYPE:
        return f"as {np.dtype(settings['dtype']).name}"
    if function in (np.power, operator.pow) and type(inputs[1]) is int:
        return f"{_bracketed(operands[0])}{operands[1].translate(RAISED)}"
    word = SIGNS.get(function, ("", ""))[1] or _WORDS.get(primitive.label) or spoken(primitive)
    sign = function in SIGNS or word == "@"
    if sign and len(operands) == 2:
        plain = operands[0] == operands[1] == DOT
        return word if plain and function in _COMMUTE else f"{_bracketed(operands[0])} {word} {_bracketed(operands[1])}"
    # the shape of a result stands in its label anyway, and what is as always needs no words
    usual = {"shape", *(key for key, value in _defaults(function) if _same(settings.get(key), value))}
    told = {key: value for key, value in settings.items() if value is not None and key not in usual}
    # a named tuple says itself how it reads
    rest = " ".join(str(value) if hasattr(value, "_fields") else f"{key}={text(value)}" for key, value in told.items())
    if "{}" in word:
        head = word.format(operands[0])
    elif operands == [DOT] * len(operands) and (len(operands) == 1 or function in _COMMUTE or primitive.sequence):
        head = word
    elif len(operands) == 1:
        head = f"{word} {operands[0]}"
    else:
        head = f"{word}({', '.join(operands)})"
    return f"{head} {rest}".rstrip()


def spoken(primitive: Primitive) -> str:
    """A function's name: NumPy's as it is, another in words."""
    return str(primitive.name) if primitive.label.startswith("np.") else str(primitive.name).replace("_", " ")


@lru_cache(1024)
def _defaults(function: Callable[..., Any]) -> tuple[tuple[str, Any], ...]:
    """The parameters of a function that need not be given, with what they are then."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some of NumPy's do not tell
        return ()
    return tuple((each.name, each.default) for each in parameters if each.default is not each.empty)


def _same(value: Any, other: Any) -> bool:
    return type(value) is type(other) and isinstance(value, (bool, int, float, str)) and value == other


def order_matters(primitive: Primitive, inputs: Sequence[Any]) -> bool:
    """Whether exchanging the operands of an operation would change it."""
    return len(inputs) > 1 and primitive.called not in _COMMUTE
