"""Algebra that is exact, one operation at a time: what `simplify` rewrites an operation to.

Copies, casts and reshapes that change nothing, transposes of transposes, signs, ones and zeros, powers of two. Only the
sign of a zero may differ, and a product by powers of two beyond the range of floats.

Read next: `passes.py`, which goes over a program.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from .primitives import PRIMITIVES
from .program import Operation, Variable
from .rewriting import Rewriter, result_form, same
from .rules.shape import ASTYPE, COPY

_ADD, _SUBTRACT, _MULTIPLY, _DIVIDE, _NEGATIVE = (
    PRIMITIVES[each] for each in (np.add, np.subtract, np.multiply, np.divide, np.negative)
)
_SAME_ON_REALS = frozenset({np.conjugate, np.real, np.positive})
_ALONG = frozenset({np.sum, np.mean, np.prod, np.max, np.min, np.var, np.std, np.any, np.all, np.argmax, np.argmin})
_RESHAPE, _TRANSPOSE = PRIMITIVES[np.reshape], PRIMITIVES[np.transpose]
_PERMUTES = frozenset({np.transpose, np.swapaxes, np.moveaxis})
_RESHAPES = frozenset({np.reshape, np.ravel, np.expand_dims, np.squeeze, np.broadcast_to})


def from_the_front(state: Rewriter, operation: Operation) -> Operation:
    """A reduction whose axis is counted from the front, so that one along -1 is known to be one along 1."""
    axis, x = operation.settings.get("axis"), operation.inputs[0]
    along = operation.primitive.called in _ALONG and isinstance(x, Variable) and x.shape
    if along and type(axis) is int and axis < 0:
        return replace(operation, settings={**operation.settings, "axis": axis + len(x.shape)})
    return operation


def simpler(state: Rewriter, operation: Operation) -> Any:
    """An operation to keep, or the value of its result."""
    if len(operation.outputs) > 1 or not operation.inputs:
        return operation
    result, x, called = operation.outputs[0], operation.inputs[0], operation.primitive.called
    unchanged = isinstance(x, Variable) and (x.shape, x.dtype) == (result.shape, result.dtype)
    if unchanged:
        if operation.primitive in (COPY, ASTYPE) or called in _RESHAPES:
            return x
        if called in _SAME_ON_REALS and x.dtype.kind != "c":
            return x
    if called in _PERMUTES or called in _RESHAPES:
        return _view_of_view(state, operation)
    if operation.primitive.elementwise and not operation.settings:
        return _arithmetic(state, _spread_later(state, _unspread(state, operation)))
    return from_the_front(state, operation)


def _view_of_view(state: Rewriter, operation: Operation) -> Any:
    """Two transposes as one, two reshapes as one, and nothing where they undo each other."""
    result, x = operation.outputs[0], operation.inputs[0]
    inner = state.made.get(x) if isinstance(x, Variable) else None
    if inner is None or len(inner.outputs) > 1 or not isinstance(inner.inputs[0], Variable):
        return operation
    source = inner.inputs[0]
    if _reshapes(operation) and _reshapes(inner):
        if source.shape == result.shape:
            return source
        return replace(operation, primitive=_RESHAPE, inputs=(source,), settings={"shape": result.shape})
    first, second = _permutation(inner), _permutation(operation)
    if first is None or second is None:
        return operation
    axes = tuple(first[each] for each in second)
    if axes == tuple(range(len(axes))):
        return source
    settings = {} if axes == tuple(reversed(range(len(axes)))) else {"axes": axes}
    return replace(operation, primitive=_TRANSPOSE, inputs=(source,), settings=settings)


def _reshapes(operation: Operation) -> bool:
    """Whether an operation keeps its entries in rows, and changes their shape alone."""
    called, settings = operation.primitive.called, operation.settings
    fixed = not any(isinstance(each, Variable) for each in (*operation.inputs[1:], *settings.values()))
    return called in _RESHAPES and called is not np.broadcast_to and settings.get("order", "C") == "C" and fixed


def _permutation(operation: Operation) -> list[int] | None:
    """Where each axis of a transpose comes from."""
    x, settings = operation.inputs[0], operation.settings
    if operation.primitive.called not in _PERMUTES or len(operation.inputs) > 1:
        return None
    marked = np.broadcast_to(0, range(len(x.shape)))  # every axis as long as its number
    return list(operation.primitive.function(marked, **settings).shape)


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
