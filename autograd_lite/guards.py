"""What a function reaches without being handed it, and whether that is still what it was.

Walked are closure cells, default arguments, the globals that the code names, the attributes of modules, classes and
objects that the code names (as an attribute or as text, for `getattr`), what is in lists, tuples, dicts, sets and
deques, and the functions and primitives, with their rules, among all those in turn. Numbers, strings and flags are
compared by value, arrays by content, everything else by identity.

Read next: `watching.py` (how it is compared), `compiler.py`.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from types import (
    BuiltinMethodType,
    CellType,
    CodeType,
    FunctionType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any

import numpy as np

from .primitives import Primitive
from .recording import _PACKAGES, Recorded
from .watching import PLAIN, Watch

_LIBRARY = ("autograd_lite", "nn")
_FOREIGN = ("builtins", "numpy")
_BY_TEXT = frozenset({"getattr", "globals", "vars", "__dict__", "attrgetter", "__getattribute__"})


class Reach:
    """Everything that a function reaches: its `tensors`, its `generators`, and a `check` of all else."""

    def __init__(self, *functions: Any) -> None:
        self.names: set[str] = set()
        self._by_text = False  # some code asks for attributes by text
        while True:  # an object is read through names, and what it leads to may name more
            known = len(self.names), self._by_text
            self.tensors: dict[int, Any] = {}
            self.generators: dict[int, np.random.Generator] = {}
            self._watch = Watch()
            self._seen: dict[int, Any] = {}
            self._waiting: list[Any] = list(functions)
            while self._waiting:
                self._visit(self._waiting.pop())
            if (len(self.names), self._by_text) == known:
                break

    def keeps_length(self, sequence: Sized) -> None:
        """Watch how many entries a sequence has, and not what they are."""
        self._watch.test(f"len({self._watch.name(sequence)}) == {len(sequence)}")

    def check(self) -> Callable[[], bool]:
        """A function that looks at everything once: whether it is what it was."""
        return self._watch.function()

    # ---- values ----------------------------------------------------------------------------------------------------

    def _visit(self, value: Any) -> None:
        if isinstance(value, str) and self._by_text and value.isidentifier():
            self.names.add(value)
        if isinstance(value, PLAIN) or id(value) in self._seen:
            return
        self._seen[id(value)] = value
        if isinstance(value, Recorded):
            self.tensors[id(value)] = value
        elif isinstance(value, np.ndarray):
            self._watch.array(value)
        elif isinstance(value, np.random.Generator):
            self.generators[id(value)] = value
        elif isinstance(value, dict):
            self._watch.test(f"list({self._watch.name(value)}) == {self._watch.name(list(value))}")
            self._entries(value, value.items())
        elif isinstance(value, (list, deque)):
            self.keeps_length(value)
            self._entries(value, enumerate(value))
        elif isinstance(value, (set, frozenset, bytearray)):
            content = bytes(value) if isinstance(value, bytearray) else frozenset(value)
            self._watch.test(f"{self._watch.name(value)} == {self._watch.name(content)}")
            self._each(value)
        elif isinstance(value, tuple):
            self._each(value)
        elif isinstance(value, functools.partial):
            self._each((value.func, value.args, value.keywords))
        elif isinstance(value, MethodType):
            self._each((value.__self__, value.__func__))
        elif isinstance(value, BuiltinMethodType):
            if not isinstance(value.__self__, ModuleType):  # table.get; the functions of modules are none's methods
                self._waiting.append(value.__self__)
        elif isinstance(value, FunctionType):
            self._function(value)
        elif isinstance(value, Primitive):
            self._watch.value(f"{self._watch.name(value)}.rules", value.rules)
            self._watch.value(f"{self._watch.name(value)}.joint", value.joint)
            self._each((value.function, value.joint, *value.rules))
        elif isinstance(value, ModuleType):
            if not _ours(getattr(value, "__file__", None) or ""):
                self._named(vars(value))
        elif isinstance(value, type):
            for kind in value.__mro__:
                self._members(kind, value, None, {})
        else:
            self._object(value)

    def _each(self, values: Iterable[Any]) -> None:
        self._waiting += values

    def _entries(self, container: Any, entries: Iterable[tuple[Any, Any]]) -> None:
        name = self._watch.name(container)
        for key, each in list(entries):
            self._watch.value(f"{name}[{repr(key) if type(key) in (str, int) else self._watch.name(key)}]", each)
            self._waiting.append(each)

    def _named(self, table: dict[str, Any]) -> None:
        self._entries(table, [(name, table[name]) for name in sorted(self.names.intersection(table))])

    # ---- functions -------------------------------------------------------------------------------------------------

    def _function(self, function: FunctionType) -> None:
        name = self._watch.name(function)
        for cell in function.__closure__ or ():
            try:
                content = cell.cell_contents
            except ValueError:  # not set yet
                self._watch.test(f"{self._watch.name(cell)} == {self._watch.name(CellType())}")
                continue
            self._watch.value(f"{self._watch.name(cell)}.cell_contents", content)
            self._waiting.append(content)
        if _ours(function.__code__.co_filename):
            self._each((function.__defaults__, function.__kwdefaults__))
            return
        for each in ("__code__", "__defaults__", "__kwdefaults__"):
            self._watch.value(f"{name}.{each}", getattr(function, each))
        self._each((function.__defaults__, function.__kwdefaults__))
        names = _names(function.__code__)
        self._by_text = self._by_text or not names.isdisjoint(_BY_TEXT)
        self.names |= names
        self._named(function.__globals__)

    # ---- objects and classes ---------------------------------------------------------------------------------------

    def _object(self, value: Any) -> None:
        """The attributes that the code names, and what a class does unnamed: operators, calls, properties."""
        table = getattr(value, "__dict__", None)
        own = table if isinstance(table, dict) else {}
        for kind in type(value).__mro__:
            self._members(kind, type(value), value, own)
        if hasattr(type(value), "named_parameters"):  # a module: what is public may be looked for by no name
            self._entries(own, [(name, own[name]) for name in own if name[0] != "_" or name in self.names])
        else:
            self._named(own)

    def _members(self, kind: type, owner: type, value: Any, own: dict[str, Any]) -> None:
        """What a class gives an object of class `owner`, or `owner` itself where there is none."""
        package = kind.__module__.partition(".")[0]
        if package in _FOREIGN:
            return
        watch = self._watch
        for name, each in list(vars(kind).items()):
            special = name[:2] == "__"
            named = not special and (name in self.names or name in ("forward", "training"))
            if not named and not (special and name not in ("__init__", "__new__") and _code(each)):
                continue
            if isinstance(each, MemberDescriptorType):  # a slot
                if value is not None and hasattr(value, name):
                    watch.value(f"{watch.name(value)}.{name}", getattr(value, name))
                    self._waiting.append(getattr(value, name))
                continue
            if named and value is not None and name not in own and not isinstance(each, property):
                self._absent(own, value, name)
            inherited = isinstance(each, (*PLAIN, FunctionType, property)) and getattr(owner, name, None) is each
            if inherited and package not in _LIBRARY:
                watch.value(f"{watch.name(owner)}.{name}", each)  # a class in between may come to hide it
            elif package not in _LIBRARY or isinstance(each, PLAIN):
                watch.value(f"{watch.name(kind)}.__dict__[{name!r}]", each)
            self._each(_code(each) or (each,))

    def _absent(self, own: dict[str, Any], value: Any, name: str) -> None:
        """Watch that an object has no attribute of its own that hides its class's."""
        if getattr(value, "__dict__", None) is own:
            self._watch.test(f"{name!r} not in {self._watch.name(own)}")


def _code(member: Any) -> tuple[Any, ...]:
    """The functions that a member of a class is made of."""
    if isinstance(member, FunctionType):
        return (member,)
    if isinstance(member, (staticmethod, classmethod)):
        return (member.__func__,)
    if isinstance(member, property):
        return (member.fget,)
    if isinstance(member, functools.cached_property):
        return (member.func,)
    return ()


def _ours(path: str) -> bool:
    return path.startswith(_PACKAGES) or not path


def _names(code: CodeType) -> set[str]:
    """Every global and attribute that a function's code names, inner functions included; as text where it asks so."""
    found = set(code.co_names)
    by_text = not found.isdisjoint(_BY_TEXT)
    for each in _constants(code.co_consts):
        if isinstance(each, CodeType):
            found |= _names(each)
        elif by_text and isinstance(each, str) and each.isidentifier():
            found.add(each)
    return found


def _constants(values: Iterable[Any]) -> Iterator[Any]:
    for each in values:
        if isinstance(each, tuple):
            yield from _constants(each)
        else:
            yield each
