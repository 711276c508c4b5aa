"""Passes: functions that take a Program and give a smaller one that computes the same.

    program = simplify(common_subexpressions(ag.trace(f, x)))

Each pass looks at operations one by one, oldest first, and either keeps one or says which value replaces its result. A
pass changes no value beyond the sign of a zero, and leaves the program that it is given alone.

Read next: `lifting.py` (formulas recognised as functions), `joint.py` (the backward pass as part of a program).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from .primitives import PRIMITIVES
from .program import Operation, Program, Variable
from .recording import Leaf
from .rewriting import Rewriter, renamed, rewrite
from .rules.shape import ASTYPE, COPY, DETACH

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


def foldable(values: dict[Variable, Leaf], value: Any) -> bool:
    """Whether a value can never change: a literal, or a constant that nobody holds under a name."""
    if not isinstance(value, Variable):
        return True
    return value.kind == "constant" and not value.given and value in values and values[value].guard is None


def fold_constants(program: Program) -> Program:
    """Compute what depends on constants alone, once and for all; 0-dimensional results become plain numbers.

    A captured array that the user holds under a name is no constant here: it may change.

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
        result = function(values, **settings) if operation.primitive.sequence else function(*values, **settings)
        return state.constant(np.array(result), operation.outputs[0].name)

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


# ---- algebra ---------------------------------------------------------------------------------------------------------

_ADD, _SUBTRACT, _MULTIPLY, _DIVIDE, _NEGATIVE = (
    PRIMITIVES[each] for each in (np.add, np.subtract, np.multiply, np.divide, np.negative)
)
_SAME_ON_REALS = frozenset({np.conjugate, np.real, np.positive})
_ALONG = frozenset({np.sum, np.mean, np.prod, np.max, np.min, np.var, np.std, np.any, np.all, np.argmax, np.argmin})
_RESHAPES = frozenset({np.reshape, np.ravel, np.expand_dims, np.squeeze, np.broadcast_to})


def simplify(program: Program) -> Program:
    """Algebra that is exact: copies, casts and reshapes that change nothing, double transposes, signs, ones and
    zeros, powers of two. Only the sign of a zero may differ, and a product by powers of two beyond the range of floats.

    >>> import numpy as np, autograd_lite as ag
    >>> print(simplify(ag.trace(lambda x: -(-np.copy(x) * 1.0) + 0.0, np.ones(2))).operations)
    ()
    """
    for _ in range(20):
        before = program.operations
        program = dead_code(rewrite(program, _simpler))
        if len(before) == len(program.operations) and all(
            a.primitive is b.primitive and same(a.inputs, b.inputs) and a.settings == b.settings
            for a, b in zip(before, program.operations, strict=True)
        ):
            break
    return program


def shortened(program: Program) -> Program:
    """All passes that are exact, until none of them finds anything: the program to print or to compile.

    >>> import numpy as np, autograd_lite as ag
    >>> program = ag.trace(ag.value_and_grad(lambda x: np.sum(x * x)), np.ones(2))
    >>> [each.primitive.name for each in shortened(program).operations]
    ['multiply', 'sum', 'add']
    """
    program = simplify(undetached(program))
    count = len(program.operations) + 1
    while len(program.operations) < count:
        count = len(program.operations)
        program = simplify(fold_constants(common_subexpressions(program)))
    return program


def undetached(program: Program) -> Program:
    """Leave out `x.detach()`, which changes no value: for programs that nobody will differentiate any more."""
    return rewrite(program, lambda state, each: each.inputs[0] if each.primitive is DETACH else each)


def from_the_front(state: Rewriter, operation: Operation) -> Operation:
    """A reduction whose axis is counted from the front, so that one along -1 is known to be one along 1."""
    axis, x = operation.settings.get("axis"), operation.inputs[0]
    along = operation.primitive.called in _ALONG and isinstance(x, Variable) and x.shape
    if along and type(axis) is int and axis < 0:
        return replace(operation, settings={**operation.settings, "axis": axis + len(x.shape)})
    return operation


def _simpler(state: Rewriter, operation: Operation) -> Any:
    if len(operation.outputs) > 1 or not operation.inputs:
        return operation
    result, x, called = operation.outputs[0], operation.inputs[0], operation.primitive.called
    unchanged = isinstance(x, Variable) and (x.shape, x.dtype) == (result.shape, result.dtype)
    if unchanged:
        if operation.primitive in (COPY, ASTYPE) or called in _RESHAPES:
            return x
        if called in _SAME_ON_REALS and x.dtype.kind != "c":
            return x
    if called is np.transpose and operation.settings.get("axes") is None:
        inner = state.maker(x, np.transpose)
        if inner is not None and inner.settings.get("axes") is None:
            return inner.inputs[0]
    if called is np.reshape and operation.settings.get("order", "C") == "C":
        inner = state.maker(x, np.reshape)
        if inner is not None and inner.settings.get("order", "C") == "C":
            return replace(operation, inputs=(inner.inputs[0],), settings={"shape": result.shape})
    if operation.primitive.elementwise and not operation.settings:
        return _arithmetic(state, _spread_later(state, _unspread(state, operation)))
    return from_the_front(state, operation)


def _unspread(state: Rewriter, operation: Operation) -> Operation:
    """An elementwise operation on what `np.broadcast_to` repeated, if it repeats that anyway."""
    inputs = list(operation.inputs)
    for i, each in enumerate(inputs):
        spread = state.maker(each, np.broadcast_to)
        if spread is not None:
            tried = [*inputs[:i], spread.inputs[0], *inputs[i + 1 :]]
            shapes = [x.shape if isinstance(x, Variable) else np.shape(x) for x in tried]
            if np.broadcast_shapes(*shapes) == operation.outputs[0].shape:
                inputs = tried
    return operation if same(inputs, operation.inputs) else replace(operation, inputs=tuple(inputs))


def _spread_later(state: Rewriter, operation: Operation) -> Operation:
    """A repeated value meets nothing but numbers: compute first, repeat then."""
    spreads = [state.maker(each, np.broadcast_to) for each in operation.inputs]
    given = [each for each in spreads if each is not None]
    small = [each for each in operation.inputs if not isinstance(each, Variable)]
    if len(given) != 1 or len(small) + 1 != len(operation.inputs):
        return operation
    few_of = dict.fromkeys(given[0].outputs, given[0].inputs[0])
    inputs = tuple(few_of.get(each, each) if isinstance(each, Variable) else each for each in operation.inputs)
    function = operation.primitive.called
    assert isinstance(function, np.ufunc)
    shape, dtype = result_form(function, inputs)
    if dtype != operation.outputs[0].dtype:
        return operation
    few = state.another(operation.outputs[0], shape=shape)
    state.keep(replace(operation, inputs=inputs, outputs=(few,)))
    return replace(given[0], inputs=(few,), outputs=operation.outputs, settings={"shape": operation.outputs[0].shape})


def _arithmetic(state: Rewriter, operation: Operation) -> Any:
    called, inputs, result = operation.primitive.called, operation.inputs, operation.outputs[0]

    def alone(value: Any) -> bool:
        return isinstance(value, Variable) and (value.shape, value.dtype) == (result.shape, result.dtype)

    def negated(value: Any) -> Any:
        inner = state.maker(value, np.negative)
        return None if inner is None else inner.inputs[0]

    def becoming(primitive: Any, *values: Any) -> Operation:
        return replace(operation, primitive=primitive, inputs=values)

    if called is np.negative:
        x = inputs[0]
        if negated(x) is not None:
            return negated(x)
        inner = state.maker(x, np.subtract)
        if inner is not None and state.uses[x] == 1:
            return becoming(_SUBTRACT, inner.inputs[1], inner.inputs[0])
        inner = state.maker(x, np.multiply)
        if inner is not None and state.uses[x] == 1 and not inner.settings and result.dtype.kind in "fc":
            for c, factor in (inner.inputs, inner.inputs[::-1]):
                if type(c) in (int, float):
                    return becoming(_MULTIPLY, -c, factor)
        return operation
    if len(inputs) != 2:
        return operation
    a, b = inputs
    if called in (np.multiply, np.add) and type(a) in (int, float) and a == (called is np.multiply) and alone(b):
        return b
    if called in (np.multiply, np.divide) and type(b) in (int, float) and b == 1 and alone(a):
        return a
    if called in (np.add, np.subtract) and type(b) in (int, float) and b == 0 and alone(a):
        return a
    if called in (np.multiply, np.divide) and negated(a) is not None and negated(b) is not None:
        return becoming(operation.primitive, negated(a), negated(b))
    if called is np.add and negated(b) is not None:
        return becoming(_SUBTRACT, a, negated(b))
    if called is np.add and negated(a) is not None:
        return becoming(_SUBTRACT, b, negated(a))
    if called is np.subtract and negated(b) is not None:
        return becoming(_ADD, a, negated(b))
    if called is np.multiply:
        return _scaled(state, operation)
    return operation


def _scaled(state: Rewriter, operation: Operation) -> Operation:
    """c * (d * x) as (c d) * x where c or d is a power of two, with which every product is exact."""
    for c, factor in (operation.inputs, operation.inputs[::-1]):
        inner = state.maker(factor, np.multiply)
        if type(c) not in (int, float) or inner is None or inner.settings or state.uses[factor] != 1:
            continue
        for d, x in (inner.inputs, inner.inputs[::-1]):
            if type(d) not in (int, float) or not (_power_of_two(c) or _power_of_two(d)):
                continue
            if isinstance(x, Variable) and x.dtype == operation.outputs[0].dtype and x.dtype.kind in "fc":
                return replace(operation, inputs=(c * d, x))
    return operation


def _power_of_two(value: Any) -> bool:
    return value != 0 and abs(math.frexp(value)[0]) == 0.5 and abs(math.log2(abs(value))) < 64
