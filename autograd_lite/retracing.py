"""From a function to the program that is compiled: traced twice, with everything that it reads and writes found.

Read next: `emission.py`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FunctionType
from typing import Any

import numpy as np

from .custom import CustomPrimitive
from .derivatives import Derivative
from .fusing import fused
from .joint import joined_with_gradients, wanted_variables
from .lifting import LIFTED, lift
from .passes import common_subexpressions, dead_code, fold_constants, simplify, undetached
from .program import Operation, Program, Variable
from .recording import Node
from .rewriting import Rewriter
from .tracing import trace
from .trees import Structure


@contextmanager
def undrawn(generators: Iterable[np.random.Generator]) -> Iterator[None]:
    """Leave generators as they were, so that the first run draws what the function itself would have drawn."""
    states = [(each.bit_generator, each.bit_generator.state) for each in generators]
    try:
        yield
    finally:
        for generator, state in states:
            generator.state = state


def traced(f: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Program, list[Node]]:
    """The program of `f` with what it writes into tensors as further outputs, and those tensors' leaves.

    If `f` is the derivative of a function in which formulas are recognised, the gradients are those of the functions
    that they are. Raises RuntimeError if a second trace gives another program: then something is drawn at random, or
    counted.
    """
    derivative = getattr(f, "derivative", None)
    found = _derived(derivative, args) if isinstance(derivative, Derivative) else None
    return _traced(f, args) if found is None else found


def _derived(derivative: Derivative, args: tuple[Any, ...]) -> tuple[Program, list[Node]] | None:
    """The program of a derivative, if the function holds formulas that `lift` recognises."""
    program, written = _traced(derivative.function, args)
    program = lift(program)
    value = program.outputs[0] if program.returns.kind is None else None
    if not any(each.primitive in LIFTED for each in program.operations) or not isinstance(value, Variable):
        return None
    if value.dtype.kind != "f" or value.shape or len(program.outputs) != 1 + len(written):
        return None
    wanted, structure = wanted_variables(program, derivative.argnums, len(args), "grad")
    if structure is None or any(each.dtype.kind != "f" for each in wanted):
        return None
    both = joined_with_gradients(program, args, wanted, len(written))
    if derivative.with_value:
        return replace(both, returns=Structure(tuple, (0, 1), (program.returns, structure))), written
    return replace(both, returns=structure, outputs=both.outputs[1:]), written


def _traced(f: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Program, list[Node]]:
    first, second = trace(f, *args), trace(f, *args)
    difference = _difference(first, second)
    if difference:
        raise RuntimeError(
            f"compile: {first.name} computes something else each time it runs: {difference}. Random numbers, counters "
            "and times that are read inside would be frozen into the program: make them arguments."
        )
    written = [first.values[old] for old, _ in first.updates]
    return replace(first, outputs=(*first.outputs, *(new for _, new in first.updates)), updates=()), written


def _difference(first: Program, second: Program) -> str:
    """What makes two traces of one function different programs; '' if nothing does."""
    if len(first.operations) != len(second.operations) or first.returns != second.returns:
        return f"{len(first.operations)} operations, then {len(second.operations)}"
    twin: dict[Variable, Variable] = dict(zip(first.inputs, second.inputs, strict=True))
    captured = zip(first.captured, second.captured, strict=False)
    for a, b in captured:
        if not _same_array(first.values[a], second.values[b]):
            return f"the captured {a}"
        twin[a] = b
    for one, two in zip(first.operations, second.operations, strict=True):
        parts = [(one.inputs, two.inputs), (tuple(one.settings.items()), tuple(two.settings.items()))]
        if one.primitive is not two.primitive or not all(_matches(a, b, twin) for a, b in parts):
            return f"{one} at {one.line or one.scope}"
        if [each.form for each in one.outputs] != [each.form for each in two.outputs]:
            return str(one)
        twin.update(zip(one.outputs, two.outputs, strict=True))
    one_ends, two_ends = ((*each.outputs, *itertools.chain(*each.updates)) for each in (first, second))
    return "" if _matches(one_ends, two_ends, twin) else "what it returns or writes"


def _same_array(a: Node, b: Node) -> bool:
    if a is b or a.array is b.array:
        return True
    return a.array.dtype == b.array.dtype and a.array.shape == b.array.shape and a.array.tobytes() == b.array.tobytes()


def _matches(a: Any, b: Any, twin: dict[Variable, Variable]) -> bool:
    if isinstance(a, Variable):
        return twin.get(a) is b
    if isinstance(a, (tuple, list)):
        return type(a) is type(b) and len(a) == len(b) and all(_matches(x, y, twin) for x, y in zip(a, b, strict=True))
    return a is b or (type(a) is type(b) and repr(a) == repr(b))


# ---- what a compiler does to a program -------------------------------------------------------------------------------


def reduced(program: Program) -> Program:
    """A program with its functions taken apart, and without what is computed twice, or for nothing."""
    drawn = any(isinstance(each, np.random.Generator) for step in program.operations for each in step.settings.values())
    passes = [dead_code, apart, undetached, simplify]
    if not drawn:  # two draws are two, and a draw is no constant
        passes += [fold_constants, simplify, common_subexpressions, simplify, fused]
    for each in passes:
        program = each(program)
    return program


_DEPTH = 5  # a function may be made of functions that are made of functions


def apart(program: Program) -> Program:
    """Replace functions that are written in NumPy by the operations of which they are made.

    A function that looks at the type of what it is given stays: it checks arrays as it cannot check tensors.
    """
    for _ in range(_DEPTH):
        state = Rewriter(program)
        changed = False
        for operation in program.operations:
            now = state.updated(operation)
            body = _body(now)
            if body is None:
                state.keep(now)
                continue
            changed = True
            _inline(state, now, body)
        if not changed:
            break
        program = state.finished()
    return dead_code(program)


def _body(operation: Operation) -> Program | None:
    """The program of an operation's function, if it can be taken apart."""
    primitive = operation.primitive
    function = primitive.function
    if primitive not in LIFTED and not (isinstance(primitive, CustomPrimitive) and primitive.differentiable):
        return None
    if not isinstance(function, FunctionType) or "isinstance" in function.__code__.co_names:
        return None
    if len(operation.outputs) != 1 or any(isinstance(each, Variable) for each in operation.settings.values()):
        return None
    arrays = [np.ones(each.shape, each.dtype) for each in operation.inputs if isinstance(each, Variable)]

    def called(*given: Any) -> Any:
        rest = iter(given)
        inputs = [next(rest) if isinstance(each, Variable) else each for each in operation.inputs]
        return function(*inputs, **operation.settings)

    try:
        with np.errstate(all="ignore"):
            body = trace(called, *arrays)
    except (TypeError, ValueError, IndexError, NotImplementedError, RuntimeError, np.linalg.LinAlgError):
        return None  # it asks for values: it is called as it is
    result = body.outputs[0] if len(body.outputs) == 1 else None
    made = body.operations[-1].outputs if body.operations else ()
    wanted = operation.outputs[0]
    if not isinstance(result, Variable) or result not in made or len(made) != 1:
        return None
    return body if (result.shape, result.dtype) == (wanted.shape, wanted.dtype) else None


def _inline(state: Rewriter, operation: Operation, body: Program) -> None:
    """Put the operations of a body in the place of an operation."""
    table: dict[Any, Any] = dict(
        zip(body.inputs, (each for each in operation.inputs if isinstance(each, Variable)), strict=True)
    )
    for variable, leaf in body.values.items():
        table[variable] = state.constant(leaf.array, variable.name)
    table[body.outputs[0]] = operation.outputs[0]

    def now(value: Any) -> Any:
        return table[value] if isinstance(value, Variable) else value

    for step in body.operations:
        for each in step.outputs:
            if each not in table:
                table[each] = state.another(each)
        state.keep(
            replace(
                step,
                inputs=tuple(map(now, step.inputs)),
                settings={key: now(each) for key, each in step.settings.items()},
                outputs=tuple(table[each] for each in step.outputs),
                line=operation.line,
                scope=operation.scope,
            )
        )
