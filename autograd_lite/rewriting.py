"""How a pass changes a program: operation by operation, into a new program, with the old one left alone.

Read next: `passes.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from .program import Operation, Program, Variable
from .recording import new_leaf


class Rewriter:
    """The state of one pass: what has replaced what, and how each value of the new program is computed."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.replaced: dict[Variable, Any] = {}
        self.made: dict[Variable, Operation] = {}
        self.operations: list[Operation] = []
        self.values = dict(program.values)
        self.uses = Counter(each for operation in program.operations for each in operation.reads)
        self.uses.update(each for each in program.outputs if isinstance(each, Variable))
        self._taken = {each.name for each in (*program.inputs, *program.captured)}
        self._taken |= {each.name for operation in program.operations for each in operation.outputs}

    def now(self, value: Any) -> Any:
        """What a variable has become."""
        return self.replaced.get(value, value) if isinstance(value, Variable) else value

    def updated(self, operation: Operation) -> Operation:
        """An operation that reads what its inputs have become."""
        inputs = tuple(map(self.now, operation.inputs))
        settings = {key: self.now(each) for key, each in operation.settings.items()}
        return replace(operation, inputs=inputs, settings=settings)

    def keep(self, operation: Operation) -> None:
        """Put an operation into the new program."""
        self.operations.append(operation)
        self.made.update(dict.fromkeys(operation.outputs, operation))

    def maker(self, value: Any, function: Any) -> Operation | None:
        """The operation that computed a value, if it is one of this function (or primitive)."""
        operation = self.made.get(value) if isinstance(value, Variable) else None
        if operation is None or function not in (operation.primitive, operation.primitive.called):
            return None
        return operation

    def another(self, like: Variable, name: str | None = None, **changes: Any) -> Variable:
        """A new variable with a name that is not taken."""
        base, number = name or like.name, 2
        unique = base
        while unique in self._taken:
            unique, number = f"{base}_{number}", number + 1
        self._taken.add(unique)
        return replace(like, **{"name": unique, "label": unique, "given": False, **changes})

    def constant(self, array: Any, name: str) -> Variable:
        """A captured value that the pass computed itself."""
        like = Variable(name, name, array.shape, array.dtype, "constant", False, False)
        variable = self.another(like, name)
        self.values[variable] = new_leaf(array)
        return variable

    def finished(self) -> Program:
        """The new program."""
        return replace(
            self.program,
            operations=tuple(self.operations),
            outputs=tuple(map(self.now, self.program.outputs)),
            captured=tuple(self.values),
            values=self.values,
        )


def rewrite(program: Program, visit: Callable[[Rewriter, Operation], Any]) -> Program:
    """A program with every operation looked at: `visit` returns an operation to keep, or the value of its result."""
    state = Rewriter(program)
    for operation in program.operations:
        found = visit(state, state.updated(operation))
        if isinstance(found, Operation):
            state.keep(found)
            found = found.outputs[0] if len(found.outputs) == 1 else None
        if found is not None and found is not operation.outputs[0]:
            state.replaced[operation.outputs[0]] = found
    return state.finished()


def renamed(program: Program, new: dict[Variable, Variable]) -> Program:
    """A program with variables exchanged for others of the same form."""

    def now(value: Any) -> Any:
        return new.get(value, value) if isinstance(value, Variable) else value

    operations = tuple(
        replace(
            each,
            inputs=tuple(map(now, each.inputs)),
            settings={key: now(value) for key, value in each.settings.items()},
            outputs=tuple(map(now, each.outputs)),
        )
        for each in program.operations
    )
    return replace(
        program,
        operations=operations,
        inputs=tuple(map(now, program.inputs)),
        captured=tuple(dict.fromkeys(map(now, program.captured))),
        values={now(key): leaf for key, leaf in program.values.items()},
        outputs=tuple(map(now, program.outputs)),
        statics=tuple(map(now, program.statics)),
    )


def same(first: Iterable[Any], second: Iterable[Any]) -> bool:
    """Whether two sequences hold the very same objects."""
    return all(a is b for a, b in zip(first, second, strict=True))


def result_form(function: np.ufunc, inputs: Iterable[Any]) -> tuple[tuple[int, ...], Any]:
    """The shape and dtype of an elementwise function's first result."""
    inputs = list(inputs)
    shape = np.broadcast_shapes(*(each.shape if isinstance(each, Variable) else np.shape(each) for each in inputs))
    kinds = [
        each.dtype if isinstance(each, (Variable, np.generic)) else np.dtype(bool) if type(each) is bool else type(each)
        for each in inputs
    ]
    return shape, function.resolve_dtypes((*kinds, *(None,) * function.nout))[function.nin]
