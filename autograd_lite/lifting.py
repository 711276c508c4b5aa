"""Formulas in plain NumPy recognised as the functions they are: sigmoid, softmax, its logarithm, relu.

    1 / (1 + np.exp(-x))                                  sigmoid: its slope becomes y * (1 - y)
    np.exp(z) / np.sum(np.exp(z), axis=1, keepdims=True)  softmax, without overflow; minus the maximum or not
    np.log(p), z - np.log(np.sum(np.exp(z), ...))         of a softmax: without underflow
    x * (x > 0), np.where(x > 0, x, 0)                    relu, with slope 0 at 0

A lifted function's gradient rule is the one that people derive by hand, and it holds where the chain of the formula's
own rules meets infinity times 0. Values: sigmoid is computed as written, 1 / (1 + exp(-x)); the others within a few
units in the last place of the formula, and right where the formula overflows to NaN. The slope y * (1 - y) is within
one rounding error of 1 of the formula's. np.maximum(x, 0) is left alone: at a tie its gradient is shared.

Read next: `joint.py`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from .algebra import from_the_front
from .passes import common_subexpressions, dead_code
from .primitives import Primitive
from .program import Operation, Program, Variable
from .rewriting import Rewriter, rewrite
from .rules.reduce import axes_of


def _softmax(x: Any, axis: Any = None) -> Any:
    powers = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return powers / np.sum(powers, axis=axis, keepdims=True)


def _log_softmax(x: Any, axis: Any = None) -> Any:
    shifted = x - np.max(x, axis=axis, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


SIGMOID = Primitive(lambda x: 1 / (1 + np.exp(-x)), (lambda g, y, x: g * (y * (1 - y)),), name="sigmoid")
RELU = Primitive(lambda x: np.maximum(x, 0), (lambda g, y, x: g * (x > 0),), name="relu")
SOFTMAX = Primitive(
    _softmax,
    (lambda g, y, x, axis=None: y * (g - np.sum(g * y, axis=axis, keepdims=True)),),
    name="softmax",
)
LOG_SOFTMAX = Primitive(
    _log_softmax,
    (lambda g, y, x, axis=None: g - np.exp(y) * np.sum(g, axis=axis, keepdims=True),),
    name="log_softmax",
)
LIFTED = (SIGMOID, RELU, SOFTMAX, LOG_SOFTMAX)


def lift(program: Program) -> Program:
    """Recognise sigmoid, softmax, log-softmax and relu in plain formulas, before the gradients are taken.

    >>> import autograd_lite as ag
    >>> program = ag.trace(lambda x: 1 / (1 + np.exp(-x)), np.ones(2))
    >>> [str(each) for each in lift(program).operations]
    ['divide: float64[2] = sigmoid(x)']
    """
    return dead_code(rewrite(common_subexpressions(rewrite(program, from_the_front)), _lifted))


def _lifted(state: Rewriter, operation: Operation) -> Operation:
    if len(operation.outputs) != 1 or operation.outputs[0].dtype.kind != "f" or operation.settings:
        return operation
    found = _sigmoid(state, operation) or _softmax_of(state, operation) or _log(state, operation)
    found = found or _relu(state, operation)
    if found is None:
        return operation
    primitive, x, settings = found
    y = operation.outputs[0]
    if not isinstance(x, Variable) or (x.shape, x.dtype) != (y.shape, y.dtype):
        return operation
    return replace(operation, primitive=primitive, inputs=(x,), settings=settings)


Found = tuple[Primitive, Any, dict[str, Any]]


def _one_plus(state: Rewriter, value: Any) -> Any:
    """What 1 is added to."""
    found = state.maker(value, np.add)
    if found is None or found.settings:
        return None
    a, b = found.inputs
    return b if _is(a, 1) else a if _is(b, 1) else None


def _is(value: Any, number: int) -> bool:
    return type(value) in (int, float) and value == number


def _exponent(state: Rewriter, value: Any) -> Any:
    found = state.maker(value, np.exp)
    return None if found is None or found.settings else found.inputs[0]


def _negated(state: Rewriter, value: Any) -> Any:
    """x, given -x, -1 * x or x * -1."""
    found = state.maker(value, np.negative)
    if found is not None:
        return found.inputs[0]
    found = state.maker(value, np.multiply)
    if found is None or found.settings:
        return None
    a, b = found.inputs
    return b if _is(a, -1) else a if _is(b, -1) else None


def _sigmoid(state: Rewriter, operation: Operation) -> Found | None:
    called, inputs = operation.primitive.called, operation.inputs
    if called is np.reciprocal or (called is np.divide and _is(inputs[0], 1)):
        x = _negated(state, _exponent(state, _one_plus(state, inputs[-1])))
        return None if x is None else (SIGMOID, x, {})
    if called is np.divide and isinstance(inputs[0], Variable) and inputs[0] is _one_plus(state, inputs[1]):
        x = _exponent(state, inputs[0])
        return None if x is None else (SIGMOID, x, {})
    return None


def _softmax_of(state: Rewriter, operation: Operation) -> Found | None:
    if operation.primitive.called is not np.divide:
        return None
    powers, total = operation.inputs
    x, axis = _exponent(state, powers), _reduced(state, total, powers, np.sum)
    if not isinstance(x, Variable) or axis is None or 0 in x.shape:
        return None
    return SOFTMAX, _unshifted(state, x, axis[0]), {"axis": axis[0]}


def _unshifted(state: Rewriter, x: Variable, axis: Any) -> Any:
    """z, given z minus its maximum along an axis, which no softmax feels; else x itself."""
    shifted = state.maker(x, np.subtract)
    if shifted is not None and not shifted.settings:
        top = _reduced(state, shifted.inputs[1], shifted.inputs[0], np.max)
        if top is not None and axes_of(top[0], len(x.shape)) == axes_of(axis, len(x.shape)):
            return shifted.inputs[0]
    return x


def _reduced(state: Rewriter, value: Any, x: Any, function: Any) -> tuple[Any] | None:
    """The axis along which `x` was reduced to `value`, if it can be divided or subtracted as it is."""
    found = state.maker(value, function)
    if found is None or found.inputs[0] is not x or not isinstance(x, Variable):
        return None
    if not found.settings.keys() <= {"axis", "keepdims"}:
        return None
    axis = found.settings.get("axis")
    if found.settings.get("keepdims") or len(axes_of(axis, len(x.shape))) == len(x.shape):
        return (axis,)
    return None


def _log(state: Rewriter, operation: Operation) -> Found | None:
    if operation.primitive.called is np.log:
        found = state.maker(operation.inputs[0], SOFTMAX)
        return None if found is None else (LOG_SOFTMAX, found.inputs[0], found.settings)
    if operation.primitive.called is not np.subtract:
        return None
    x, log = operation.inputs[0], state.maker(operation.inputs[1], np.log)
    total = None if log is None or log.settings else state.maker(log.inputs[0], np.sum)
    if total is None or _exponent(state, total.inputs[0]) is not x or not isinstance(x, Variable) or 0 in x.shape:
        return None
    axis = _reduced(state, total.outputs[0], total.inputs[0], np.sum)
    return None if axis is None else (LOG_SOFTMAX, _unshifted(state, x, axis[0]), {"axis": axis[0]})


def _relu(state: Rewriter, operation: Operation) -> Found | None:
    called, inputs = operation.primitive.called, operation.inputs
    if called is np.multiply:
        for x, mask in (inputs, inputs[::-1]):
            if isinstance(x, Variable) and _positive(state, mask) is x:
                return RELU, x, {}
    if called is np.where and len(inputs) == 3 and _is(inputs[2], 0) and isinstance(inputs[1], Variable):
        if _positive(state, inputs[0]) is inputs[1]:
            return RELU, inputs[1], {}
    return None


def _positive(state: Rewriter, mask: Any) -> Any:
    """x, given x > 0 or 0 < x."""
    found = state.maker(mask, np.greater)
    if found is not None and _is(found.inputs[1], 0):
        return found.inputs[0]
    found = state.maker(mask, np.less)
    return found.inputs[1] if found is not None and _is(found.inputs[0], 0) else None
