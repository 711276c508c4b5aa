"""Passes: functions that take a Program and give a smaller one that computes the same.

    program = simplify(common_subexpressions(ag.trace(f, x)))

Each pass looks at operations one by one, oldest first, and either keeps one or says which value replaces its result. A
pass changes no value beyond the sign of a zero, and leaves the program that it is given alone.

Read next: `lifting.py` (formulas recognised as functions), `joint.py` (the backward pass as part of a program).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from .algebra import simpler
from .program import Operation, Program, Variable
from .recording import Node
from .rewriting import Rewriter, renamed, result_form, rewrite, same
from .rules.shape import DETACH

FEW = 32  # entries: in text a constant without a name is written out if it has no more

Pass: TypeAlias = Callable[[Program], Program]


def dead_code(program: Program) -> Program:
    """Leave out the operations and captured values that no output depends on.

    >>> import numpy as np, autograd_lite as ag
    >>> program = ag.trace(lambda x: (np.exp(x), np.sin(x))[0], np.ones(2), everything=True)
    >>> len(program.operations), len(dead_code(program).operations)
    (2, 1)
    """
    wanted = {each for each in program.outputs if isinstance(each, Variable)}
    operations = []
    for operation in reversed(program.operations):
        if wanted.intersection(operation.outputs):
            wanted.update(operation.reads)
            operations.append(operation)
    captured = tuple(each for each in program.captured if each in wanted)
    values = {each: program.values[each] for each in captured}
    return replace(program, operations=tuple(reversed(operations)), captured=captured, values=values)


def common_subexpressions(program: Program) -> Program:
    """Compute what is computed twice once, under the name that the user gave it, if any.

    >>> import numpy as np, autograd_lite as ag
    >>> program = ag.trace(lambda x: np.exp(x) * np.exp(x), np.ones(2))
    >>> [str(each) for each in common_subexpressions(program).operations]
    ['exp: float64[2] = np.exp(x)', 'multiply: float64[2] = exp * exp']
    """
    first: dict[Any, Operation] = {}
    better: dict[Variable, Variable] = {}

    def visit(state: Rewriter, operation: Operation) -> Any:
        settings = tuple(sorted((key, _key(each)) for key, each in operation.settings.items()))
        key = operation.primitive, tuple(map(_key, operation.inputs)), settings
        known = operation if draws(operation) else first.setdefault(key, operation)
        if known is operation:
            return operation
        for old, new in zip(operation.outputs, known.outputs, strict=True):
            state.replaced[old] = new
            if old.given and not new.given:
                better.setdefault(new, old)
        return state.now(operation.outputs[0]) if len(operation.outputs) == 1 else None

    state = Rewriter(program)
    for each in program.operations:
        operation = state.updated(each)
        if visit(state, operation) is operation:
            state.keep(operation)
    return renamed(state.finished(), {new: replace(old, kind=new.kind) for new, old in better.items()})


def draws(operation: Operation) -> bool:
    """Whether an operation draws random numbers: it gives something else each time."""
    return any(isinstance(each, np.random.Generator) for each in operation.settings.values())


def _key(value: Any) -> Any:
    """What makes two operands the same: a variable itself, a literal's type and text (0.0 is not -0.0, nor 0)."""
    return ("variable", id(value)) if isinstance(value, Variable) else (type(value).__name__, repr(value))


def foldable(values: dict[Variable, Node], value: Any) -> bool:
    """Whether a value can never change: a literal, or a constant that nobody holds under a name."""
    if not isinstance(value, Variable):
        return True
    return value.kind == "constant" and not value.given and value in values and values[value].guard is None


def fold_constants(program: Program, most: int | None = None) -> Program:
    """Compute what depends on constants alone, once and for all; 0-dimensional results become plain numbers.

    A captured array that the user holds under a name is no constant here: it may change. With `most`, results of more
    entries are left as they are computed, but for zeros: in text that is shorter.

    >>> import numpy as np, autograd_lite as ag
    >>> program = ag.trace(ag.grad(lambda x: np.mean(x * 3)), np.ones(2))
    >>> print(fold_constants(program).outputs[0].kind)
    constant
    """

    def visit(state: Rewriter, operation: Operation) -> Any:
        constants = all(foldable(state.values, each) for each in (*operation.inputs, *operation.settings.values()))
        if not constants or draws(operation) or len(operation.outputs) > 1:
            return _with_numbers(state, operation)
        values = [state.values[each].array if isinstance(each, Variable) else each for each in operation.inputs]
        settings = {
            key: state.values[each].array if isinstance(each, Variable) else each
            for key, each in operation.settings.items()
        }
        function = operation.primitive.function
        result = np.array(
            function(values, **settings) if operation.primitive.sequence else function(*values, **settings)
        )
        if most is not None and result.size > most and result.any():
            return operation
        return state.constant(result, operation.outputs[0].name)

    return dead_code(rewrite(program, visit))


def _with_numbers(state: Rewriter, operation: Operation) -> Operation:
    """An elementwise operation with its 0-dimensional constants as Python numbers, where that gives the same dtype."""
    function = operation.primitive.function
    if not (operation.primitive.elementwise and isinstance(function, np.ufunc)) or operation.settings:
        return operation
    inputs = list(operation.inputs)
    for i, each in enumerate(inputs):
        if isinstance(each, Variable) and not each.shape and foldable(state.values, each):
            inputs[i] = state.values[each].array.item()
    if not any(isinstance(each, Variable) for each in inputs) or same(inputs, operation.inputs):
        return operation
    if result_form(function, inputs) != (operation.outputs[0].shape, operation.outputs[0].dtype):
        return operation
    return replace(operation, inputs=tuple(inputs))


def simplify(program: Program) -> Program:
    """Algebra that is exact: copies, casts and reshapes that change nothing, double transposes, signs, ones and
    zeros, powers of two. Only the sign of a zero may differ, and a product by powers of two beyond the range of floats.

    >>> import numpy as np, autograd_lite as ag
    >>> print(simplify(ag.trace(lambda x: -(-np.copy(x) * 1.0) + 0.0, np.ones(2))).operations)
    ()
    """
    for _ in range(20):
        before = program.operations
        program = dead_code(rewrite(program, simpler))
        if len(before) == len(program.operations) and all(
            a.primitive is b.primitive and same(a.inputs, b.inputs) and a.settings == b.settings
            for a, b in zip(before, program.operations, strict=True)
        ):
            break
    return program


def shortened(program: Program) -> Program:
    """All passes that are exact, until none of them finds anything: the program to print.

    >>> import numpy as np, autograd_lite as ag
    >>> program = ag.trace(ag.value_and_grad(lambda x: np.sum(x * x)), np.ones(2))
    >>> [each.primitive.name for each in shortened(program).operations]
    ['multiply', 'sum', 'add']
    """
    program = simplify(undetached(program))
    count = len(program.operations) + 1
    while len(program.operations) < count:
        count = len(program.operations)
        program = simplify(fold_constants(common_subexpressions(program), FEW))
    return program


def undetached(program: Program) -> Program:
    """Leave out `x.detach()`, which changes no value: for programs that nobody will differentiate any more."""
    return rewrite(program, lambda state, each: each.inputs[0] if each.primitive is DETACH else each)
