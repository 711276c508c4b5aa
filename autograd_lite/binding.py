"""The names that generated code reads, and where each variable's value is found.

What is known when the code is made is bound then, under a name that the code reads: memory, captured arrays, constants,
and every transpose or reshape of those.

Read next: `kernels.py` (how an operation is written), `emission.py` (a whole program).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .buffers import Pool, Storage, shaped
from .primitives import public_name
from .program import Operation, Program, Variable
from .recording import Array


@dataclass(eq=False)
class Place:
    """Where a variable's value is found: an expression, and its array if that is known when the code is made."""

    text: str
    array: Array | None = None
    storage: Storage | None = None
    fixed: bool = False  # the values, too, are known when the code is made
    fresh: bool = False  # made by the run itself, and by nobody else: it may be given away


class Binder:
    """Lines of code, the names that they read, and the places of a program's values."""

    def __init__(self, program: Program, targets: dict[Variable, Array]) -> None:
        self.program = program
        self.lines: list[str] = []
        self.names: dict[str, Any] = {}
        self.pool = Pool()
        self.places: dict[Variable, Place] = {}
        self.targets = targets
        self.factors: dict[Variable, tuple[Array, Array]] = {}
        self.owed: set[Variable] = set()
        self._made = {each: operation for operation in program.operations for each in operation.outputs}
        self._readers: dict[Variable, list[Operation]] = {}
        for operation in program.operations:
            for each in operation.reads:
                self._readers.setdefault(each, []).append(operation)
        self.roots: dict[Variable, set[Variable]] = {}
        self.last: dict[Variable, int] = {}
        self._taken = {each.name for each in (*program.inputs, *program.captured)}
        self._taken |= {each.name for operation in program.operations for each in operation.outputs}
        self._views: dict[Any, str] = {}
        self._storage: dict[Variable, Storage] = {}
        self._results = {each for each in program.outputs if isinstance(each, Variable)}

    # ---- names -----------------------------------------------------------------------------------------------------

    def bind(self, name: str, value: Any) -> str:
        """A name for a value that the code reads; a function keeps its own."""
        base, number = name, 2
        while name in self._taken or (name in self.names and self.names[name] is not value):
            name, number = f"{base}_{number}", number + 1
        self.names[name] = value
        return name

    def function(self, function: Callable[..., Any]) -> str:
        """The name of a function."""
        name = getattr(function, "__name__", type(function).__name__)
        prefix = "np_" if public_name(function) else ""
        return self.bind(prefix + name if name.isidentifier() else "function", function)

    def reduction(self, ufunc: np.ufunc) -> str:
        """The name of a ufunc's `reduce`."""
        name = f"np_{ufunc.__name__}_reduce"
        known = self.names.get(name)
        return name if known == ufunc.reduce else self.bind(name, ufunc.reduce)

    def view(self, array: Array, name: str) -> str:
        """A name for an array that is known: the same for the same one."""
        key = array.ctypes.data, array.shape, array.strides, array.dtype
        if key not in self._views:
            self._views[key] = self.bind(name, array)
        return self._views[key]

    def write(self, function: Callable[..., Any], operands: Iterable[str]) -> None:
        """A line that calls a function."""
        self.lines.append(f"{self.function(function)}({', '.join(operands)})")

    # ---- operands --------------------------------------------------------------------------------------------------

    def place(self, value: Any, like: np.dtype[Any] | None = None) -> Place:
        """Where an operand is; a literal becomes an array of the dtype in which it is used."""
        if isinstance(value, Variable):
            return self.places[value]
        if like is not None and isinstance(value, (int, float, complex, np.generic)):
            array = np.array(value, like)
            text = f"c_{repr(value).translate(_WORDS)}" if isinstance(value, (int, float)) else "c"
            return Place(self.constant(text if text.isidentifier() else "c", array), array, None, True)
        if value is None or type(value) in (bool, int, float, str):
            return Place(repr(value) if value == value and value not in (np.inf, -np.inf) else self.bind("c", value))
        return Place(self.bind("setting", value))

    def constant(self, name: str, array: Array) -> str:
        """The name of an array that nobody writes to: the same for the same values."""
        key = name, array.dtype.str, array.shape, array.tobytes()
        if key not in self._views:
            self._views[key] = self.bind(name, array)
        return self._views[key]

    def transposed(self, place: Place) -> str:
        """The transpose of a matrix."""
        if place.array is None:
            return f"{place.text}.T"
        base = place.text.removesuffix("_T") if place.text.endswith("_T") else place.text + "_T"
        return self.view(place.array.T, base)

    # ---- results ---------------------------------------------------------------------------------------------------

    def result(
        self, i: int, operation: Operation, inputs: Iterable[Place] = (), features_first: bool = False
    ) -> Place | None:
        """Where to write a result: into memory of its own, or into that of one of `inputs` if it is read for the last
        time. None stands for a fresh array, which the caller of the program will get."""
        variable = operation.outputs[0]
        if variable in self.targets:
            array = self.targets[variable]
            return Place(self.view(array, variable.name + "_out"), array)
        if variable in self._results:
            return None
        for place in inputs if variable.shape else ():
            if place.storage is None or place.array is None or not self._ends(place, operation, i):
                continue
            whole = place.array.nbytes == place.storage.memory.size and place.array.flags.forc
            if whole and (place.array.shape, place.array.dtype) == (variable.shape, variable.dtype):
                self._hold(variable, place.storage)
                self.names[variable.name] = place.array
                return Place(variable.name, place.array, place.storage)
        return self.memory(variable, features_first)

    def memory(self, variable: Variable, features_first: bool, name: str = "") -> Place:
        """New memory for a variable."""
        storage = self.pool.take(int(np.prod(variable.shape, dtype=int)) * variable.dtype.itemsize)
        self._hold(variable, storage)
        array = shaped(storage, variable.shape, variable.dtype, features_first)
        if name:
            return Place(self.bind(name, array), array, storage)
        self.names[variable.name] = array
        return Place(variable.name, array, storage)

    def _ends(self, place: Place, operation: Operation, i: int) -> bool:
        """Whether a piece of memory is read by this operation for the last time, and in one arrangement."""
        holders = place.storage.holders if place.storage is not None else ()
        read = (self.places[each] for each in operation.reads)
        forms = {_form(each.array) for each in read if each.storage is place.storage}
        return bool(holders) and all(self.last[each] <= i for each in holders) and len(forms) == 1

    def _hold(self, variable: Variable, storage: Storage) -> None:
        storage.holders.add(variable)
        self._storage[variable] = storage

    def partners(self, variable: Variable) -> Iterator[Array]:
        """The arrays that a value will meet entry by entry in the operations that read it, or arrays that lie so."""
        seen = {variable}
        waiting = [each for operation in self._readers.get(variable, ()) for each in operation.reads]
        while waiting:
            each = waiting.pop()
            if each in seen or each.shape != variable.shape:
                continue
            seen.add(each)
            place = self.places.get(each)
            if place is None:  # computed later, and as its own operands lie
                waiting += self._made[each].reads
            elif place.array is not None:
                yield place.array

    def release(self, i: int, operation: Operation) -> None:
        """Give back the memory that this operation was the last to read."""
        for root in {root for each in (*operation.reads, *operation.outputs) for root in self.roots[each]}:
            if self.last[root] <= i and root in self._storage:
                storage = self._storage.pop(root)
                storage.holders.discard(root)
                if not storage.holders:
                    self.pool.give(storage)


_WORDS = str.maketrans({".": "_", "-": "m", "+": "p"})


def _form(array: Array | None) -> Any:
    return None if array is None else (array.ctypes.data, array.shape, array.strides)
