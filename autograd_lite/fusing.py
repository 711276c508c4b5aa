"""Passes for programs that run, and that nobody reads: fewer and faster operations, equal up to rounding.

    np.sum(e * e)      np.dot(e, e) of the entries in a row
    -(x @ w)           x @ (-w), where w is much smaller than the product
    (a @ b).T          b.T @ a.T, written where the transpose is wanted

Read next: `retracing.py` (who asks), `passes.py` (passes that change nothing).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from .buffers import ufunc_of
from .passes import dead_code
from .primitives import PRIMITIVES
from .program import Operation, Program, Variable
from .rewriting import Rewriter, rewrite

_DOT, _RESHAPE, _DIVIDE, _TRANSPOSE = (PRIMITIVES[each] for each in (np.dot, np.reshape, np.divide, np.transpose))
_SMALLER = 4  # times that a factor must be smaller than the product to be negated instead


def fused(program: Program) -> Program:
    """A program with its sums of products as inner products, and signs where they cost least.

    >>> import numpy as np, autograd_lite as ag
    >>> program = fused(ag.trace(lambda x: np.sum(x * x), np.ones(3)))
    >>> [each.primitive.label for each in program.operations]
    ['np.dot']
    """
    for each in (_inner_product, _transposed_product, _sign_inside):
        program = dead_code(rewrite(program, each))
    return program


def _inner_product(state: Rewriter, operation: Operation) -> Any:
    """The sum or mean of all entries of a product, as an inner product.

    Only of float64 entries in one row: NumPy adds narrower numbers in pairs, which keeps more of them.
    """
    called, result = operation.primitive.called, operation.outputs[0]
    if called not in (np.sum, np.mean) or result.shape or any(each is not None for each in operation.settings.values()):
        return operation
    factors = _factors(state, operation.inputs[0])
    if factors is None or state.uses[operation.inputs[0]] != 1:
        return operation
    count = int(np.prod(factors[0].shape, dtype=int))
    if result.dtype != np.float64 or count != max(factors[0].shape, default=0):
        return operation
    rows = {each: _row(state, operation, each, count) for each in dict.fromkeys(factors)}
    inputs = tuple(rows[each] for each in factors)
    if called is np.sum:
        return replace(operation, primitive=_DOT, inputs=inputs, settings={})
    total = state.another(result)
    state.keep(replace(operation, primitive=_DOT, inputs=inputs, settings={}, outputs=(total,)))
    return replace(operation, primitive=_DIVIDE, inputs=(total, count), settings={})


def _factors(state: Rewriter, value: Any) -> tuple[Variable, Variable] | None:
    """a and b, given a * b, or a and a, given its square."""
    made = state.made.get(value) if isinstance(value, Variable) else None
    if made is None or made.settings:
        return None
    ufunc = ufunc_of(made)
    if ufunc is not np.square and ufunc is not np.multiply:
        return None
    a, b = made.inputs if ufunc is np.multiply else made.inputs[:1] * 2
    if not isinstance(a, Variable) or not isinstance(b, Variable):
        return None
    return (a, b) if (a.shape, a.dtype) == (b.shape, b.dtype) == (value.shape, value.dtype) else None


def _row(state: Rewriter, operation: Operation, value: Variable, count: int) -> Variable:
    """A value's entries in a row."""
    if value.shape == (count,):
        return value
    row = state.another(value, value.name + "_row", shape=(count,))
    state.keep(replace(operation, primitive=_RESHAPE, inputs=(value,), settings={"shape": (count,)}, outputs=(row,)))
    return row


def _transposed_product(state: Rewriter, operation: Operation) -> Any:
    """The transpose of a product as the product of the transposes."""
    if operation.primitive is not _TRANSPOSE or operation.settings.get("axes") is not None:
        return operation
    value = operation.inputs[0]
    product = state.maker(value, np.matmul) or state.maker(value, np.dot)
    if product is None or product.settings or state.uses[value] != 1:
        return operation
    if not all(isinstance(each, Variable) and len(each.shape) == 2 for each in product.inputs):
        return operation
    a, b = (_turned(state, operation, each) for each in product.inputs)
    return replace(operation, primitive=product.primitive, inputs=(b, a), settings={})


def _turned(state: Rewriter, operation: Operation, value: Variable) -> Variable:
    """The transpose of a factor; of a transpose what it is the transpose of."""
    inner = state.maker(value, np.transpose)
    if inner is not None and inner.settings.get("axes") is None and isinstance(inner.inputs[0], Variable):
        return inner.inputs[0]
    turned = state.another(value, value.name + "_turned", shape=value.shape[::-1], kind="result")
    state.keep(replace(operation, inputs=(value,), outputs=(turned,)))
    return turned


def _sign_inside(state: Rewriter, operation: Operation) -> Any:
    """-(x @ w) as x @ (-w): the same numbers, with fewer signs to change."""
    if operation.primitive.called is not np.negative:
        return operation
    value = operation.inputs[0]
    product = state.maker(value, np.matmul) or state.maker(value, np.dot)
    if product is None or product.settings or state.uses[value] != 1 or value.dtype.kind != "f":
        return operation
    x, w = product.inputs
    if not isinstance(w, Variable) or np.prod(w.shape) * _SMALLER > np.prod(value.shape):
        return operation
    negated = state.another(w, w.name + "_negated", kind="result")
    state.keep(replace(operation, inputs=(w,), outputs=(negated,)))
    return replace(operation, primitive=product.primitive, inputs=(x, negated))
