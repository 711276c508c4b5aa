"""What a function reaches without being handed it, and whether that is still what it was.

Walked are closure cells, default arguments, the globals that the code names, the attributes of modules and of objects
that the code names, and the functions among all those in turn. Numbers, strings and flags are compared by value, arrays
by content, everything else by identity.

Read next: `compiler.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sized
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from .recording import _PACKAGES, SMALL, Array, Recorded, fingerprint

_MISSING = object()
_PLAIN = (int, float, complex, str, bytes, bool, type(None), np.generic)


class Reach:
    """Everything that a function reaches: its `tensors`, its `generators`, and a `check` of all else."""

    def __init__(self, *functions: Any) -> None:
        self.names: set[str] = set()
        while True:  # an object is read through names, and what it leads to may name more
            known = len(self.names)
            self.tensors: dict[int, Any] = {}
            self.generators: dict[int, np.random.Generator] = {}
            self._seen: dict[int, Any] = {}
            self._checks: list[tuple[Any, Any, Any]] = []
            self._arrays: dict[int, tuple[Array, Any]] = {}
            for each in functions:
                self._value(each)
            if len(self.names) == known:
                break

    def keeps_length(self, sequence: Sized) -> None:
        """Watch how many entries a sequence has, and not what they are."""
        self._checks.append((sequence, len, len(sequence)))

    def _value(self, value: Any) -> None:
        if isinstance(value, _PLAIN) or id(value) in self._seen:
            return
        self._seen[id(value)] = value
        if isinstance(value, Recorded):
            self.tensors[id(value)] = value
        elif isinstance(value, np.ndarray):
            self._arrays[id(value)] = value, value.copy() if value.nbytes <= SMALL else fingerprint(value)
        elif isinstance(value, np.random.Generator):
            self.generators[id(value)] = value
        elif isinstance(value, dict):
            self._entries(value, list(value.items()), len(value))
        elif isinstance(value, (list, tuple)):
            self._entries(value, list(enumerate(value)), len(value))
        elif isinstance(value, functools.partial):
            for each in (value.func, value.args, value.keywords):
                self._value(each)
        elif isinstance(value, MethodType):
            self._value(value.__self__)
            self._value(value.__func__)
        elif isinstance(value, FunctionType):
            self._function(value)
        elif isinstance(value, ModuleType):
            if not _ours(getattr(value, "__file__", None) or ""):
                found = vars(value)
                self._named(found, [name for name in self.names if name in found])
        elif not isinstance(value, type):
            self._object(value)

    def _entries(self, container: Any, entries: Iterable[tuple[Any, Any]], size: int | None = None) -> None:
        if size is not None:
            self._checks.append((container, len, size))
        for key, each in entries:
            self._checks.append((container, key, each))
            self._value(each)

    def _named(self, table: dict[str, Any], names: Iterable[str]) -> None:
        self._entries(table, [(name, table.get(name, _MISSING)) for name in sorted(names)])

    def _function(self, function: FunctionType) -> None:
        for cell in function.__closure__ or ():
            try:
                content = cell.cell_contents
            except ValueError:
                continue  # not set yet
            self._checks.append((cell, CellType, content))
            self._value(content)
        for each in (function.__defaults__, function.__kwdefaults__):
            self._value(each)
        if _ours(function.__code__.co_filename):
            return
        names = _names(function.__code__)
        self.names |= names
        self._named(function.__globals__, [name for name in names if name in function.__globals__])

    def _object(self, value: Any) -> None:
        table = getattr(value, "__dict__", None)
        module = hasattr(value, "named_parameters")
        kinds = [each for each in type(value).__mro__ if not each.__module__.startswith(("builtins", "numpy"))]
        for kind in kinds:
            for name, each in list(vars(kind).items()):
                if isinstance(each, FunctionType) and (name in self.names or name in ("forward", "__call__")):
                    self._value(each)
                elif isinstance(each, _PLAIN) and (name in self.names or name == "training") and name[:2] != "__":
                    if not isinstance(table, dict) or name not in table:
                        self._checks.append((kind, getattr, (name, each)))
        if isinstance(table, dict):
            if module:
                public = [(name, each) for name, each in table.items() if name[0] != "_" or name in self.names]
                self._entries(table, public)
            else:
                self._named(table, [name for name in table if name in self.names])

    def check(self) -> Callable[[], bool]:
        """A function that looks at everything once: whether it is what it was."""
        names: dict[str, Any] = {"same": _same}
        tests: dict[str, None] = {}

        def bound(value: Any) -> str:
            name = known.setdefault(id(value), f"v{len(known)}")
            names[name] = value
            return name

        known: dict[int, str] = {}
        for container, key, value in self._checks:
            if key is len:
                tests[f"len({bound(container)}) == {value}"] = None
                continue
            if key is CellType:
                now = f"{bound(container)}.cell_contents"
            elif key is getattr:
                name, value = value
                now = f"{bound(container)}.{name}"
            elif isinstance(container, dict):
                if type(key) not in (str, int):
                    continue
                if value is _MISSING:
                    tests[f"{key!r} not in {bound(container)}"] = None
                    continue
                now = f"{bound(container)}[{key!r}]"
            elif isinstance(container, tuple):
                continue  # never changes
            else:
                now = f"{bound(container)}[{key}]"
            if value is None or isinstance(value, bool):
                tests[f"{now} is {value}"] = None
            elif isinstance(value, _PLAIN):
                tests[f"({now} is {bound(value)} or same({now}, {bound(value)}))"] = None
            else:
                tests[f"{now} is {bound(value)}"] = None
        for array, copy in self._arrays.values():
            if isinstance(copy, np.ndarray):
                names["equal"] = _equal
                tests[f"equal({bound(array)}, {bound(copy)})"] = None
            else:
                names["fingerprint"] = fingerprint
                tests[f"fingerprint({bound(array)}) == {copy}"] = None
        source = (
            f"def unchanged():\n    try:\n        return {' and '.join(tests) or True}\n"
            "    except (KeyError, IndexError, AttributeError, ValueError):\n        return False  # it is gone\n"
        )
        exec(compile(source, "<guards>", "exec"), names)
        unchanged: Callable[[], bool] = names["unchanged"]
        return unchanged


def _ours(path: str) -> bool:
    return path.startswith(_PACKAGES) or not path


def _names(code: CodeType) -> set[str]:
    """Every global and attribute that a function's code names, inner functions included."""
    found = set(code.co_names)
    for each in code.co_consts:
        if isinstance(each, CodeType):
            found |= _names(each)
    return found


def _same(now: Any, before: Any) -> bool:
    """Whether a number or a text has the value that it had; NaN is NaN."""
    if type(now) is not type(before):
        return False
    return bool(now == before or (now != now and before != before))


def _equal(array: Array, copy: Array) -> bool:
    """Whether a small array holds, bit by bit, what it held."""
    return array.shape == copy.shape and array.dtype == copy.dtype and array.tobytes() == copy.tobytes()
