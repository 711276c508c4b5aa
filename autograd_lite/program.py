"""Program: a recorded computation as plain data, with many readers.

    >>> import numpy as np, autograd_lite as ag
    >>> def loss(X, W):
    ...     z = X @ W
    ...     return np.mean(z * z)
    >>> program = ag.trace(loss, np.ones((2, 3)), np.ones((3, 1)))
    >>> [operation.primitive.label for operation in program.operations]
    ['np.matmul', 'np.multiply', 'np.mean']
    >>> float(program(np.ones((2, 3)), np.full((3, 1), 2.0)))
    36.0

A program is a straight line of operations on named variables: no closures, nothing hidden. `str(program)` reads like
the code it came from. Its inputs are the function's arguments; what the function reached without being handed it
(parameters, data) is `captured`.

Read next: `tracing.py`, which records one; `drawing.py`, which shows one as a picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from .primitives import Primitive
from .recording import Array, Node, fingerprint
from .rendering import as_python, literal
from .tensors import Tensor
from .trees import Structure, flatten, unflatten

BACKWARD = "backward pass"  # the outermost scope of what gradient rules computed


@dataclass(frozen=True, slots=True, eq=False)
class Variable:
    """A value of a program: `kind` is input, parameter, constant or result; `given` says that the user named it."""

    name: str
    label: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    kind: str
    given: bool
    requires_grad: bool

    @property
    def form(self) -> str:
        """Its dtype and shape: 'float64[5, 3]'."""
        return f"{self.dtype.name}{list(self.shape)}"

    def __str__(self) -> str:
        return f"{self.name}: {self.form}"


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One step: `outputs = primitive(*inputs, **settings)`. Inputs and settings are variables or literal values.

    `line` is the user's source line, '' where an eager history did not note it.
    """

    primitive: Primitive
    inputs: tuple[Any, ...]
    settings: dict[str, Any]
    outputs: tuple[Variable, ...]
    line: str
    scope: tuple[str, ...]
    requires_grad: bool

    @property
    def place(self) -> str:
        """The source line's file and number: 'xor.py:12'."""
        return self.line.partition(": ")[0]

    @property
    def reads(self) -> Iterator[Variable]:
        """The variables that it uses."""
        return (each for each in (*self.inputs, *self.settings.values()) if isinstance(each, Variable))

    def __str__(self) -> str:
        return f"{', '.join(map(str, self.outputs))} = {as_python(self.primitive, self.inputs, self.settings, text)}"


class Unknown:
    """A literal operand of an operation whose history was freed: its value is gone."""

    def __repr__(self) -> str:
        return "..."


UNKNOWN = Unknown()


def text(value: Any) -> str:
    """A variable's name or a literal's value."""
    return value.name if isinstance(value, Variable) else literal(value)


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A recorded computation as data: inputs, captured values, operations in order, outputs.

    `outputs` are variables or literal values; `values` holds each captured variable's leaf, so that a program sees a
    parameter's present values. `updates` pairs a captured tensor that the function wrote to with its new value. Calling
    a program computes the operations again with NumPy, and writes to nothing.
    """

    name: str
    inputs: tuple[Variable, ...]
    captured: tuple[Variable, ...]
    operations: tuple[Operation, ...]
    outputs: tuple[Any, ...]
    takes: Structure | None = field(repr=False)
    returns: Structure = field(repr=False)
    statics: tuple[Any, ...] = field(repr=False)
    values: dict[Variable, Node] = field(repr=False)
    updates: tuple[tuple[Variable, Variable], ...] = ()

    @classmethod
    def from_tensor(cls, tensor: Tensor) -> Program:
        """The history of a tensor that was computed eagerly, for reading and drawing; it cannot be called.

        Of a freed history the structure is left: functions, names, shapes, but no literal operands.

        >>> import numpy as np, autograd_lite as ag
        >>> w = ag.tensor([1.0, 2.0], requires_grad=True, name="w")
        >>> print(ag.Program.from_tensor(np.exp(w)).operations[0])
        exp: float64[2] = np.exp(w)
        """
        from .tracing import from_tensor  # it makes programs, so it imports this module

        return from_tensor(tensor)

    def __call__(self, *args: Any) -> Any:
        """What the traced function returned, computed anew from `args`, of the same structure, shapes and dtypes."""
        table = self.bind(args)
        for operation in self.operations:
            compute(operation, table)
        return unflatten(self.returns, [_value(each, table) for each in self.outputs])

    def bind(self, args: tuple[Any, ...]) -> dict[Variable, Array]:
        """The table from which the operations compute: inputs and captured values, checked against the recording."""
        if self.takes is None:
            raise RuntimeError("a program read from a tensor's history cannot be called: use ag.trace(f, *args).")
        leaves, structure = flatten(args)
        if structure != self.takes:
            raise TypeError(f"{self.name}: the arguments are not structured like those of the trace.")
        table: dict[Variable, Array] = {}
        rest = iter(self.inputs)
        for given, static in zip(leaves, self.statics, strict=True):
            if not isinstance(static, Variable):
                if type(given) is not type(static) or given != static:
                    raise ValueError(f"{self.name} was traced with {static!r} and given {given!r}: trace it again.")
                continue
            variable = next(rest)
            array = given._array() if isinstance(given, Tensor) else np.asarray(given)
            if array.shape != variable.shape or array.dtype != variable.dtype:
                raise ValueError(
                    f"{self.name}: {variable.name} is {array.dtype.name}{list(array.shape)}, but the program is for "
                    f"{variable.form}: trace it again for other shapes and dtypes."
                )
            table[variable] = array
        for variable, leaf in self.values.items():
            if leaf.guard is not None and fingerprint(leaf.array) != leaf.guard:
                raise RuntimeError(
                    f"{self.name}: the captured array {variable.name} was changed after the trace: "
                    "make it an argument, or trace again."
                )
            table[variable] = leaf.array
        return table

    def verify(self, *args: Any) -> None:
        """Raise ValueError unless every name is unique, every value is defined before it is used, and the shapes and
        dtypes of elementwise operations follow from their inputs; with example arguments those of every operation.
        """
        table = self.bind(args) if args else None
        defined: set[Variable] = {*self.inputs, *self.captured}
        names = {each.name for each in defined}
        if len(names) < len(defined):
            raise ValueError(f"{self.name}: two inputs share a name.")
        for operation in self.operations:
            where = f"{operation} ({operation.line})"
            for variable in operation.reads:
                if variable not in defined:
                    raise ValueError(f"{where}: {variable.name} is used before it is defined.")
            for variable in operation.outputs:
                if variable.name in names or not variable.name.isidentifier():
                    raise ValueError(f"{where}: the name {variable.name!r} is taken, or no identifier.")
                names.add(variable.name)
                defined.add(variable)
            for variable, (shape, dtype) in zip(operation.outputs, _forms(operation, table), strict=False):
                if variable.shape != shape or variable.dtype != dtype:
                    raise ValueError(f"{where}: its inputs give {dtype.name}{list(shape)}.")
        for variable in (*self.outputs, *(new for _, new in self.updates)):
            if isinstance(variable, Variable) and variable not in defined:
                raise ValueError(f"{self.name}: the output {variable.name} is never defined.")

    def number(self, variable: Variable) -> str:
        """The value of a captured constant that is a mere number, as text; else ''."""
        if variable.kind != "constant" or variable.shape:
            return ""
        value = self.values[variable].array.item()
        return f"{value:.6g}" if isinstance(value, float) else str(value)

    def __str__(self) -> str:
        lines = [f"def {self.name}({', '.join(map(str, self.inputs))}):"]
        for each in self.captured:
            label = f" {each.label}" * (each.label != each.name)
            lines.append(f"    {each}  # {each.kind}{label} {self.number(each)}".rstrip())
        steps = [f"    {each}" for each in self.operations]
        width = max((len(each) for each in steps if len(each) <= 80), default=0)
        for step, operation in zip(steps, self.operations, strict=True):
            scope = f" in {'/'.join(operation.scope)}" * bool(operation.scope)
            lines.append(f"{step:<{width}}  # {operation.place}{scope}".rstrip(" #"))
        lines += [f"    {old.name}[...] = {new.name}" for old, new in self.updates]
        shown = unflatten(self.returns, [_Shown(text(each)) for each in self.outputs])
        return "\n".join([*lines, f"    return {shown!r}"])


class _Shown(str):
    """Text whose repr is itself, so that a structure of names prints as code."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _value(each: Any, table: dict[Variable, Array]) -> Any:
    return table[each] if isinstance(each, Variable) else each


def compute(operation: Operation, table: dict[Variable, Array]) -> None:
    """Run one operation on the values in the table, and put its results there."""
    values = [_value(each, table) for each in operation.inputs]
    settings = {key: _value(each, table) for key, each in operation.settings.items()}
    function = operation.primitive.function
    result = function(values, **settings) if operation.primitive.sequence else function(*values, **settings)
    results = result if isinstance(result, (tuple, list)) else [result]
    table.update(zip(operation.outputs, map(np.asarray, results), strict=True))


Form: TypeAlias = tuple[tuple[int, ...], np.dtype[Any]]


def _forms(operation: Operation, table: dict[Variable, Array] | None) -> Iterator[Form]:
    """The shapes and dtypes that an operation's results must have: computed, or for ufuncs by NumPy's rules."""
    function = operation.primitive.function
    inputs = operation.inputs
    if table is not None:
        compute(operation, table)
        yield from ((table[each].shape, table[each].dtype) for each in operation.outputs)
    elif isinstance(function, np.ufunc) and operation.primitive.elementwise:
        if operation.settings or UNKNOWN in inputs:
            return
        shape = np.broadcast_shapes(*(each.shape if isinstance(each, Variable) else np.shape(each) for each in inputs))
        kinds = (*map(_dtype_or_type, inputs), *(None,) * function.nout)
        yield from ((shape, dtype) for dtype in function.resolve_dtypes(kinds)[function.nin :])


def _dtype_or_type(operand: Any) -> Any:
    """What NumPy's promotion goes by: Python's own numbers adapt to the arrays they meet, except bool."""
    if isinstance(operand, (Variable, np.generic)):
        return operand.dtype
    return np.dtype(bool) if type(operand) is bool else type(operand)
