"""Program -> straight-line NumPy: one line an operation, results written into memory that was allocated once.

What is known when the code is made is bound then, under a name that the code reads: buffers, captured arrays,
constants, and every transpose or reshape of those. What has no out= is called as it is.

Read next: `buffers.py` (the memory), `compiler.py` (who runs the code).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .buffers import Pool, Storage, lifetimes, passes_on, shaped, tall, ufunc_of
from .primitives import public_name
from .program import Operation, Program, Variable
from .recording import Array, Leaf, tick
from .rendering import index_text
from .rules.index import GETITEM
from .rules.shape import ASTYPE, COPY, DETACH
from .trees import Structure

_REDUCTIONS: dict[Any, np.ufunc] = {np.sum: np.add, np.mean: np.add, np.max: np.maximum, np.min: np.minimum}
_FILLED: dict[Any, Any] = {np.zeros_like: 0, np.ones_like: 1}
_BY_KEYWORD = frozenset({np.maximum, np.minimum})  # which take out= by position no more


@dataclass(eq=False)
class Place:
    """Where a variable's value is found: an expression, and its array if that is known when the code is made."""

    text: str
    array: Array | None = None
    storage: Storage | None = None
    fixed: bool = False  # the values, too, are known when the code is made
    fresh: bool = False  # made by the run itself, and by nobody else: it may be given away


class Emitter:
    """Writes the lines of one program and binds the names that they read."""

    def __init__(self, program: Program, targets: dict[Variable, Array], constants: Iterable[Variable]) -> None:
        self.program = program
        self.lines: list[str] = []
        self.names: dict[str, Any] = {}
        self.pool = Pool()
        self._targets = targets
        self._taken = {each.name for each in (*program.inputs, *program.captured)}
        self._taken |= {each.name for operation in program.operations for each in operation.outputs}
        self._views: dict[Any, str] = {}
        self._place: dict[Variable, Place] = {}
        self._storage: dict[Variable, Storage] = {}
        self._results = {each for each in program.outputs if isinstance(each, Variable)}
        self.leaves: set[Leaf] = set()  # whose arrays the code reads
        plain = {each for each in program.operations if self._writer(each) is None}
        self._roots, self._last = lifetimes(program, plain)
        constants = set(constants)
        for variable in program.inputs:
            self._place[variable] = Place(variable.name)
        for variable, leaf in program.values.items():
            self.names[variable.name] = leaf.array
            self._place[variable] = Place(variable.name, leaf.array, None, variable in constants)
            if variable not in constants:
                self.leaves.add(leaf)
        for i, operation in enumerate(program.operations):
            self._operation(i, operation)

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

    def _method(self, ufunc: np.ufunc) -> str:
        name = f"np_{ufunc.__name__}_reduce"
        known = self.names.get(name)
        return name if known == ufunc.reduce else self.bind(name, ufunc.reduce)

    def view(self, array: Array, name: str) -> str:
        """A name for an array that is known: the same for the same one."""
        key = array.ctypes.data, array.shape, array.strides, array.dtype
        if key not in self._views:
            self._views[key] = self.bind(name, array)
        return self._views[key]

    # ---- operands --------------------------------------------------------------------------------------------------

    def place(self, value: Any, like: np.dtype[Any] | None = None) -> Place:
        """Where an operand is; a literal becomes an array of the dtype in which it is used."""
        if isinstance(value, Variable):
            return self._place[value]
        if like is not None and isinstance(value, (int, float, complex, np.generic)):
            array = np.array(value, like)
            text = f"c_{repr(value).translate(_WORDS)}" if isinstance(value, (int, float)) else "c"
            return Place(self._constant(text if text.isidentifier() else "c", array), array, None, True)
        if value is None or type(value) in (bool, int, float, str):
            return Place(repr(value) if value == value and value not in (np.inf, -np.inf) else self.bind("c", value))
        return Place(self.bind("setting", value))

    def _constant(self, name: str, array: Array) -> str:
        key = name, array.dtype.str, array.tobytes()
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

    def _result(self, i: int, operation: Operation, inputs: Iterable[Place] = (), wide: bool = False) -> Place | None:
        """Where to write a result: into memory of its own, or into that of an input which is read for the last time.
        None stands for a fresh array, which the caller of the program will get."""
        variable = operation.outputs[0]
        if variable in self._targets:
            array = self._targets[variable]
            return Place(self.view(array, variable.name + "_out"), array)
        if variable in self._results:
            return None
        if wide and variable.shape:
            for place in inputs:
                if place.storage is None or place.array is None or not self._ends(place, operation, i):
                    continue
                whole = place.array.nbytes == place.storage.memory.size and place.array.flags.forc
                if whole and (place.array.shape, place.array.dtype) == (variable.shape, variable.dtype):
                    again = Place(variable.name, place.array, place.storage)
                    self.names[variable.name] = place.array
                    self._hold(variable, place.storage)
                    return again
        storage = self.pool.take(int(np.prod(variable.shape, dtype=int)) * variable.dtype.itemsize)
        self._hold(variable, storage)
        array = shaped(storage, variable.shape, variable.dtype)
        self.names[variable.name] = array
        return Place(variable.name, array, storage)

    def _ends(self, place: Place, operation: Operation, i: int) -> bool:
        """Whether a piece of memory is read by this operation for the last time, and in one arrangement."""
        holders = place.storage.holders if place.storage is not None else ()
        read = (self._place[each] for each in operation.reads)
        forms = {_form(each.array) for each in read if each.storage is place.storage}
        return bool(holders) and all(self._last[each] <= i for each in holders) and len(forms) == 1

    def _hold(self, variable: Variable, storage: Storage) -> None:
        storage.holders.add(variable)
        self._storage[variable] = storage

    def _release(self, i: int, operation: Operation) -> None:
        """Give back the memory that this operation was the last to read."""
        for root in {root for each in (*operation.reads, *operation.outputs) for root in self._roots[each]}:
            if self._last[root] <= i and root in self._storage:
                storage = self._storage.pop(root)
                storage.holders.discard(root)
                if not storage.holders:
                    self.pool.give(storage)

    # ---- operations ------------------------------------------------------------------------------------------------

    def _operation(self, i: int, operation: Operation) -> None:
        writer = self._writer(operation)
        variable = operation.outputs[0]
        before = len(self.lines)
        if writer is not None:
            self._place[variable] = writer(i, operation)
        else:
            self._plain(operation)
        notes = f"  # {variable.form}" + (f"  {operation.place}" if operation.place else "")
        for k in range(before, len(self.lines)):
            if k == len(self.lines) - 1:
                self.lines[k] = f"{self.lines[k]:<60}{notes}"
        self._release(i, operation)

    def _writer(self, operation: Operation) -> Callable[[int, Operation], Place] | None:
        """What writes an operation's result into given memory; None for what has to be called as it is."""
        called = operation.primitive.called
        if len(operation.outputs) != 1:
            return None
        result, inputs, settings = operation.outputs[0], operation.inputs, operation.settings
        arrays = [each for each in inputs if isinstance(each, Variable)]
        if passes_on(operation):
            return self._passed
        if called in _FILLED and settings.keys() <= {"dtype"}:
            return self._filled
        if ufunc_of(operation) is not None:
            return self._elementwise
        if not all(isinstance(each, (Variable, int, float)) for each in inputs):
            return None
        if called in (np.matmul, np.dot) and not settings and len(arrays) == 2:
            axes = sorted(len(each.shape) for each in arrays)
            floats = all(each.dtype == result.dtype for each in arrays) and result.dtype.char in "fdFD"
            return self._product if axes in ([1, 2], [2, 2]) and floats else None
        if called in _REDUCTIONS and settings.keys() <= {"axis", "keepdims"} and arrays[0].dtype == result.dtype:
            empty = 0 in arrays[0].shape
            return self._reduction if result.dtype.char in "fdFD" and not empty else None
        if called is np.where and len(inputs) == 3:
            boolean = isinstance(inputs[0], Variable) and inputs[0].dtype == bool
            return self._choice if boolean else None
        if operation.primitive is ASTYPE:
            return self._cast
        return None

    def _passed(self, i: int, operation: Operation) -> Place:
        """A view, or the very same memory."""
        source = self._place[operation.inputs[0]]
        result = operation.outputs[0]
        primitive = operation.primitive
        if primitive in (COPY, DETACH, ASTYPE):
            return Place(source.text, source.array, source.storage, source.fixed)
        if source.array is not None:
            shown = primitive.function(source.array, *operation.inputs[1:], **operation.settings)
            if np.shares_memory(shown, source.array) or not shown.size:
                text = self.view(shown, result.name)
                return Place(text, shown, source.storage, source.fixed)
            if source.fixed:
                return Place(self.bind(result.name + "_now", shown), shown, None, True)
            storage = self.pool.take(shown.nbytes)
            array = storage.memory.view(result.dtype).reshape(result.shape)
            filled = array.reshape(source.array.shape) if shown.size == source.array.size else None
            if filled is not None and primitive.called in (np.reshape, np.ravel) and "order" not in operation.settings:
                self._write(np.copyto, [self.view(filled, result.name + "_out"), source.text])
            else:
                self._write(np.copyto, [self.view(array, result.name), self._call(operation)])
            return Place(self.view(array, result.name), array, storage)
        self.lines.append(f"{result.name} = {self._call(operation)}")
        return Place(result.name)

    def _call(self, operation: Operation) -> str:
        """An operation as a call that makes its own result."""
        called, settings = operation.primitive.called, operation.settings
        operands = [self.place(each).text for each in operation.inputs]
        if called is np.transpose and settings.get("axes") is None:
            return f"{operands[0]}.T"
        if called in (np.reshape, np.expand_dims, np.squeeze) and "order" not in settings:
            return f"{operands[0]}.reshape({operation.outputs[0].shape})"
        if operation.primitive is GETITEM and all(_simple(each) for each in _parts(settings["index"])):
            return f"{operands[0]}[{index_text(settings['index'], operands[1:])}]"
        if operation.primitive.sequence:
            operands = [f"[{', '.join(operands)}]"]
        words = [f"{key}={self.place(each).text}" for key, each in settings.items()]
        return f"{self.function(operation.primitive.function)}({', '.join(operands + words)})"

    def _plain(self, operation: Operation) -> None:
        """What has no out=: its own results, made anew in every run."""
        names = [each.name for each in operation.outputs]
        self.lines.append(f"{', '.join(names)} = {self._call(operation)}")
        for each in operation.outputs:
            self._place[each] = Place(each.name)
            if each.shape:  # memory of that shape waits: another would be broadcast into it
                wrong = self.bind("reshaped", _reshaped)
                self.lines.append(f"if {each.name}.shape != {each.shape}: {wrong}({str(operation)!r}, {each.name})")

    def _write(self, function: Callable[..., Any], operands: list[str]) -> None:
        self.lines.append(f"{self.function(function)}({', '.join(operands)})")

    def _filled(self, i: int, operation: Operation) -> Place:
        result = operation.outputs[0]
        array = np.broadcast_to(np.array(_FILLED[operation.primitive.called], result.dtype), result.shape)
        return Place(self.view(array, result.name), array, None, True)

    def _into(
        self, variable: Variable, place: Place | None, function: str, operands: list[str], keyword: bool = False
    ) -> Place:
        """Call a function that takes the result's place as its last operand."""
        if place is None:
            self.lines.append(f"{variable.name} = {function}({', '.join(operands)})")
            return Place(variable.name, fresh=bool(variable.shape))
        self.lines.append(f"{function}({', '.join([*operands, 'out=' * keyword + place.text])})")
        return place

    def _elementwise(self, i: int, operation: Operation) -> Place:
        ufunc = ufunc_of(operation)
        assert ufunc is not None
        inputs, result = operation.inputs, operation.outputs[0]
        if ufunc.nin == 1:
            inputs = inputs[:1]
        kinds = [each.dtype if isinstance(each, (Variable, np.generic)) else type(each) for each in inputs]
        kinds = [np.dtype(bool) if each is bool else each for each in kinds]
        dtypes = ufunc.resolve_dtypes((*kinds, None))
        places = [self.place(each, like) for each, like in zip(inputs, dtypes, strict=False)]
        if dtypes[-1] != result.dtype:  # a dtype that NumPy's rules alone would not give
            self._plain(operation)
            return self._place[result]
        if all(each.fixed for each in places):
            array = np.asarray(ufunc(*(each.array for each in places)))
            return Place(self.view(array, result.name + "_now"), array, None, True)
        place = self._result(i, operation, places, wide=True)
        return self._into(result, place, self.function(ufunc), [each.text for each in places], ufunc in _BY_KEYWORD)

    def _product(self, i: int, operation: Operation) -> Place:
        a, b = (self._place[each] for each in operation.inputs)
        first, second = operation.inputs
        result = operation.outputs[0]
        place = self._result(i, operation)
        if len(result.shape) == 2 and place is not None and place.array is not None:
            if first.shape[1] == 1 and result not in self._targets and not tall(result.shape):
                return self._into(result, place, self.function(np.multiply), [a.text, b.text])
            if not place.array.flags.c_contiguous:
                out = Place(self.transposed(place))
                self._into(result, out, self.function(np.dot), [self.transposed(b), self.transposed(a)])
                return place
        return self._into(result, place, self.function(np.dot), [a.text, b.text])

    def _reduction(self, i: int, operation: Operation) -> Place:
        called, settings = operation.primitive.called, operation.settings
        x, result = operation.inputs[0], operation.outputs[0]
        source = self._place[x]
        axis, keepdims = settings.get("axis"), settings.get("keepdims", False)
        place = self._result(i, operation)
        count = _size(x) // max(_size(result), 1)
        function = self._method(_REDUCTIONS[called])
        operands = [source.text, self.place(axis).text, "None"]
        if place is None:
            operands += ["None", repr(bool(keepdims))] if keepdims else []
            self.lines.append(f"{result.name} = {function}({', '.join(operands)})")
            if called is np.mean:
                share = self.place(count, result.dtype).text
                self.lines.append(f"{result.name} = {result.name} / {share}")
            return Place(result.name, fresh=bool(result.shape))
        operands += [place.text, "True"] if keepdims else [place.text]
        self.lines.append(f"{function}({', '.join(operands)})")
        if called is np.mean:
            self._write(np.divide, [place.text, self.place(count, result.dtype).text, place.text])
        return place

    def _choice(self, i: int, operation: Operation) -> Place:
        """np.where, which has no out=: one choice copied over the other."""
        result = operation.outputs[0]
        condition, yes, no = (self.place(each, result.dtype) for each in operation.inputs)
        place = self._result(i, operation, [no], wide=True)
        if place is None:
            self._plain(operation)
            return Place(result.name, fresh=bool(result.shape))
        if place.array is not no.array:
            self._write(np.copyto, [place.text, no.text])
        self._write(np.copyto, [place.text, yes.text, f"where={condition.text}"])
        return place

    def _cast(self, i: int, operation: Operation) -> Place:
        result = operation.outputs[0]
        source = self._place[operation.inputs[0]]
        place = self._result(i, operation)
        if place is None:
            self._plain(operation)
            return Place(result.name, fresh=bool(result.shape))
        self._write(np.copyto, [place.text, source.text, "'unsafe'"])
        return place

    # ---- what the code ends with -----------------------------------------------------------------------------------

    def fresh(self, values: Iterable[Any]) -> list[str]:
        """Results as expressions: arrays that nobody else holds, or literals."""
        texts = []
        given = set()
        for each in values:
            place = self.place(each)
            own = not isinstance(each, Variable) or (place.fresh and each not in given)
            texts.append(place.text if own else f"{self.function(np.array)}({place.text})")
            given.add(each)
        return texts

    def returned(self, structure: Structure, texts: Iterable[str]) -> str:
        """Results in their structure, as an expression."""
        return self._arranged(structure, iter(texts))

    def _arranged(self, structure: Structure, texts: Iterator[str]) -> str:
        kind = structure.kind
        if kind is None:
            return next(texts)
        parts = [self._arranged(each, texts) for each in structure.parts]
        if issubclass(kind, dict):
            keys = [repr(key) if type(key) in (str, int) else self.bind("key", key) for key in structure.keys]
            text = f"{{{', '.join(f'{key}: {part}' for key, part in zip(keys, parts, strict=True))}}}"
            return text if kind is dict else f"{self.bind(kind.__name__, kind)}({text})"
        if kind is list:
            return f"[{', '.join(parts)}]"
        text = f"({', '.join(parts)}{',' * (len(parts) == 1)})"
        if kind is tuple:
            return text
        return f"{self.bind(kind.__name__, kind)}({'*' * hasattr(kind, '_fields')}{text})"

    def stores(self, written: Iterable[tuple[Any, Leaf]]) -> list[str]:
        """Lines that write new values into leaves, which notice it."""
        lines = []
        for number, (value, leaf) in enumerate(written):
            array, name = self.view(leaf.array, f"state_{number}"), self.bind(f"leaf_{number}", leaf)
            lines.append(f"{self.function(np.copyto)}({array}, {self.place(value).text})")
            lines.append(f"{name}.when = {self.bind('tick', tick)}()")
        return lines


_WORDS = str.maketrans({".": "_", "-": "m", "+": "p"})


def _reshaped(operation: str, result: Array) -> None:
    """Raise for a shape that depends on values."""
    raise ValueError(
        f"compile: {operation} now has shape {result.shape}, which depends on values: a program is for one shape. "
        "Write np.where(mask, a, b) for a[mask], or leave this function uncompiled."
    )


def _size(variable: Variable) -> int:
    """The number of a variable's entries."""
    return int(np.prod(variable.shape, dtype=int))


def _form(array: Array | None) -> Any:
    return None if array is None else (array.ctypes.data, array.shape, array.strides)


def _parts(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def _simple(part: Any) -> bool:
    """Whether a part of an index can be written as text."""
    if isinstance(part, slice):
        return all(each is None or type(each) is int for each in (part.start, part.stop, part.step))
    return part is None or part is Ellipsis or type(part) in (int, bool)
