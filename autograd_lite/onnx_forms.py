"""What NumPy's functions become in ONNX: one entry for each.

A form gets the graph and the operation's inputs (values of the graph, or literal numbers) and settings, adds nodes and
gives back the result. What is no operation of ONNX but can be written with others stands in `BODIES`, as plain NumPy.

Read next: `exporting.py`.
"""

from __future__ import annotations

import math
import operator
import string
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from .lifting import LOG_SOFTMAX, RELU, SIGMOID, SOFTMAX
from .onnx_graph import Graph, Rows, Value
from .rules.einsums import EINSUM, terms
from .rules.elementwise import CLIP
from .rules.index import GETITEM, Slot
from .rules.shape import ASTYPE, COPY, DETACH
from .rules.window import PAD

Form: TypeAlias = Callable[..., Value]
FORMS: dict[Any, Form] = {}

# ---- entry by entry ----------------------------------------------------------------------------------------------

UFUNCS = {
    np.add: "Add", np.subtract: "Sub", np.multiply: "Mul", np.divide: "Div", np.power: "Pow", np.float_power: "Pow",
    np.maximum: "Max", np.minimum: "Min", np.negative: "Neg", np.reciprocal: "Reciprocal", np.sqrt: "Sqrt",
    np.exp: "Exp", np.log: "Log", np.absolute: "Abs", np.fabs: "Abs", np.sign: "Sign", np.floor: "Floor",
    np.ceil: "Ceil", np.rint: "Round", np.sin: "Sin", np.cos: "Cos", np.tan: "Tan", np.arcsin: "Asin",
    np.arccos: "Acos", np.arctan: "Atan", np.sinh: "Sinh", np.cosh: "Cosh", np.tanh: "Tanh", np.arcsinh: "Asinh",
    np.arccosh: "Acosh", np.arctanh: "Atanh", np.equal: "Equal", np.greater: "Greater", np.less: "Less",
    np.greater_equal: "GreaterOrEqual", np.less_equal: "LessOrEqual", np.logical_and: "And", np.logical_or: "Or",
    np.logical_xor: "Xor", np.logical_not: "Not", np.isnan: "IsNaN", np.positive: "Identity",
}  # fmt: skip
LOGICAL = {np.logical_and, np.logical_or, np.logical_xor, np.logical_not}


def _ufunc(function: np.ufunc, kind: str) -> Form:
    def form(g: Graph, *inputs: Any) -> Value:
        kinds = [_kind(each) for each in inputs]
        *takes, gives = function.resolve_dtypes((*kinds, None))
        if function in LOGICAL:
            takes = [np.dtype(bool)] * len(inputs)
        return g(kind, *(g.cast(x, dtype) for x, dtype in zip(inputs, takes, strict=True)), dtype=gives)

    return form


def _common(*values: Any) -> np.dtype[Any]:
    """The dtype that NumPy makes of several."""
    return np.result_type(*(each.dtype if isinstance(each, (Value, np.generic)) else each for each in values))


def _kind(value: Any) -> Any:
    """What NumPy's promotion goes by: Python's own numbers adapt to the arrays they meet."""
    if isinstance(value, Rows):
        return int
    if isinstance(value, (Value, np.generic)):
        return value.dtype
    return np.dtype(bool) if type(value) is bool else type(value)


FORMS |= {function: _ufunc(function, kind) for function, kind in UFUNCS.items()}


def _power(g: Graph, x: Any, y: Any) -> Value:
    if isinstance(x, Value) and x.dtype.kind == "f" and not isinstance(y, Value) and y == 2:
        return g("Mul", x, x)
    return FORMS[np.power](g, x, y)


def _where(g: Graph, condition: Any, x: Any, y: Any) -> Value:
    dtype = _common(x, y)
    return g("Where", g.cast(condition, bool), g.cast(x, dtype), g.cast(y, dtype), dtype=dtype)


def _clip(g: Graph, x: Any, low: Any, high: Any) -> Value:
    for bound, function in ((low, np.maximum), (high, np.minimum)):
        x = x if bound is None else FORMS[function](g, x, bound)
    return x  # type: ignore[no-any-return]  # a value by now


def _astype(g: Graph, x: Value, dtype: Any) -> Value:
    return g.cast(x, dtype)


FORMS |= {
    operator.pow: _power,
    np.where: _where,
    CLIP.called: _clip,
    ASTYPE.called: _astype,
    COPY.called: lambda g, x: x,
    DETACH.called: lambda g, x: x,
    np.square: lambda g, x: g("Mul", x, x),
    np.fmod: lambda g, x, y: g("Mod", g.cast(x, _common(x, y)), g.cast(y, _common(x, y)), fmod=1),
    np.not_equal: lambda g, x, y: g("Not", FORMS[np.equal](g, x, y)),
    np.isinf: lambda g, x: g("IsInf", x, dtype=bool),
    SIGMOID.called: lambda g, x: g("Sigmoid", x),
    RELU.called: lambda g, x: g("Relu", x),
    SOFTMAX.called: lambda g, x, axis=None: _along(g, "Softmax", x, axis),
    LOG_SOFTMAX.called: lambda g, x, axis=None: _along(g, "LogSoftmax", x, axis),
}


def _along(g: Graph, kind: str, x: Value, axis: Any) -> Value:
    if axis is None and x.ndim != 1:
        flat = g(kind, g.reshaped(x, [-1]), axis=0)
        return g.reshaped(flat, x.shape)
    if isinstance(axis, tuple):
        (axis,) = axis if len(axis) == 1 else g.refuse("runs over several axes.")
    return g(kind, x, axis=0 if axis is None else int(axis))


# ---- reductions --------------------------------------------------------------------------------------------------


def _reduction(kind: str) -> Form:
    def form(g: Graph, x: Value, axis: Any = None, keepdims: Any = False) -> Value:
        to = x.dtype
        if to.kind in "biu" and kind in ("ReduceSum", "ReduceProd", "ReduceMean"):
            to = np.dtype(np.float64 if kind == "ReduceMean" else np.int64)
        axes = None if axis is None else g.constant(_listed(axis), np.int64, "axes")
        return g(kind, g.cast(x, to), axes, keepdims=int(bool(keepdims)), noop_with_empty_axes=int(axis is not None))

    return form


FORMS |= {
    np.sum: _reduction("ReduceSum"),
    np.mean: _reduction("ReduceMean"),
    np.max: _reduction("ReduceMax"),
    np.min: _reduction("ReduceMin"),
    np.prod: _reduction("ReduceProd"),
    np.all: lambda g, x, **s: g.cast(FORMS[np.min](g, g.cast(g.cast(x, bool), np.int32), **s), bool),
    np.any: lambda g, x, **s: g.cast(FORMS[np.max](g, g.cast(g.cast(x, bool), np.int32), **s), bool),
    np.argmax: lambda g, x, **s: _arg(g, "ArgMax", x, **s),
    np.argmin: lambda g, x, **s: _arg(g, "ArgMin", x, **s),
    np.cumsum: lambda g, x, axis=None: g(
        "CumSum", g.reshaped(x, [-1]) if axis is None else x, g.constant(axis or 0, np.int64)
    ),
}


def _arg(g: Graph, kind: str, x: Value, axis: Any = None, keepdims: Any = False) -> Value:
    if axis is None:
        found = g(kind, g.reshaped(x, [-1]), axis=0, keepdims=0, dtype=np.int64)
        return g.reshaped(found, [1] * x.ndim) if keepdims else found
    return g(kind, x, axis=int(axis), keepdims=int(bool(keepdims)), dtype=np.int64)


# ---- shapes ------------------------------------------------------------------------------------------------------


def _listed(value: Any) -> list[Any]:
    """One number, or several, as a list."""
    return [value] if isinstance(value, (int, np.integer, Rows)) else list(value)


def _reshape(g: Graph, x: Value, shape: Any, order: str = "C") -> Value:
    if order != "C":
        g.refuse(f"with order={order!r} has no counterpart in ONNX.")
    return g.reshaped(x, _listed(shape))


def _transpose(g: Graph, x: Value, axes: Any = None) -> Value:
    order = range(x.ndim)[::-1] if axes is None else [int(axis) % x.ndim for axis in axes]
    return g("Transpose", x, perm=list(order))


def _moveaxis(g: Graph, x: Value, source: Any, destination: Any) -> Value:
    sources, places = ([axis % x.ndim for axis in _listed(each)] for each in (source, destination))
    order = [axis for axis in range(x.ndim) if axis not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        order.insert(place, axis)
    return _transpose(g, x, order)


def _swapaxes(g: Graph, x: Value, axis1: int, axis2: int) -> Value:
    order = list(range(x.ndim))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return _transpose(g, x, order)


def _concatenate(g: Graph, *parts: Any, axis: Any = 0) -> Value:
    dtype = _common(*parts)
    cast = [g.cast(part, dtype) for part in parts]
    if axis is None:
        cast, axis = [g.reshaped(part, [-1]) for part in cast], 0
    return g("Concat", *cast, axis=int(axis))


def _with_axes(kind: str) -> Form:
    return lambda g, x, axis=None: g(kind, x, None if axis is None else g.constant(_listed(axis), np.int64, "axes"))


def _at_least_2d(g: Graph, x: Value) -> Value:
    """A vector as NumPy's triangles take it: a square whose rows it is."""
    return x if x.ndim > 1 else g("Expand", x, g.sizes([x.shape[0], x.shape[0]]))


def _filled(g: Graph, x: Value, number: int, shape: Any = None) -> Value:
    value = g.onnx.numpy_helper.from_array(np.full(1, number, x.dtype))
    sizes = g("Shape", x, dtype=np.int64) if shape is None else g.sizes(_listed(shape))
    return g("ConstantOfShape", sizes, value=value, dtype=x.dtype)


def _pad(g: Graph, x: Value, widths: Any) -> Value:
    return g("Pad", x, g.constant([each for side in zip(*widths, strict=True) for each in side], np.int64))


FORMS |= {
    np.reshape: _reshape,
    np.ravel: lambda g, x, order="C": _reshape(g, x, -1, order),
    np.transpose: _transpose,
    np.moveaxis: _moveaxis,
    np.swapaxes: _swapaxes,
    np.expand_dims: _with_axes("Unsqueeze"),
    np.squeeze: _with_axes("Squeeze"),
    np.broadcast_to: lambda g, x, shape: g("Expand", x, g.sizes(_listed(shape))),
    np.concatenate: _concatenate,
    np.zeros_like: lambda g, x, **form: _filled(g, x, 0, **form),
    np.ones_like: lambda g, x, **form: _filled(g, x, 1, **form),
    np.tril: lambda g, m, k=0: g("Trilu", _at_least_2d(g, m), g.constant(k, np.int64), upper=0),
    np.triu: lambda g, m, k=0: g("Trilu", _at_least_2d(g, m), g.constant(k, np.int64), upper=1),
    PAD.called: _pad,
}

# ---- indices -----------------------------------------------------------------------------------------------------


def _getitem(g: Graph, x: Value, *arrays: Any, index: Any) -> Value:
    parts = list(index) if isinstance(index, tuple) and not isinstance(index, Slot) else [index]
    used = sum(part is not None and part is not Ellipsis for part in parts)
    at = parts.index(Ellipsis) if Ellipsis in parts else len(parts)
    parts[at : at + 1] = [slice(None)] * (x.ndim - used)
    slots = [part for part in parts if isinstance(part, Slot)]
    if any(type(part) is bool for part in parts) or any(each.dtype.kind == "b" for each in arrays):
        g.refuse("picks entries by a mask, so that the result's size depends on values: np.where keeps it.")
    if len(slots) > 1 or (slots and any(isinstance(part, (int, np.integer)) for part in parts)):
        g.refuse("picks entries by several indices at once; ONNX gathers along one axis.")
    present = [part for part in parts if part is not None]
    x = _sliced(g, x, present)
    wide = 1
    if slots:
        x = g("Gather", x, g.cast(arrays[0], np.int64), axis=present.index(slots[0]))
        wide = arrays[0].ndim  # the axes that the one index array becomes
    gone = [axis for axis, part in enumerate(present) if isinstance(part, (int, np.integer))]
    if gone:
        x = g("Squeeze", x, g.constant(gone, np.int64, "axes"))
    added, axis = [], 0
    for part in parts:
        if part is None:
            added.append(axis)
        axis += 0 if isinstance(part, (int, np.integer)) else wide if isinstance(part, Slot) else 1
    return g("Unsqueeze", x, g.constant(added, np.int64, "axes")) if added else x


def _sliced(g: Graph, x: Value, parts: list[Any]) -> Value:
    """The entries that slices and whole numbers name; an axis with a whole number keeps the length 1."""
    starts, ends, axes, steps = [], [], [], []
    for axis, part in enumerate(parts):
        if isinstance(part, (int, np.integer)):
            part = slice(int(part), int(part) + 1 if part != -1 else None)
        if not isinstance(part, slice) or part == slice(None):
            continue
        start, stop, step = (None if each is None else g.known(each) for each in (part.start, part.stop, part.step))
        backwards = step is not None and step < 0
        starts.append((_FAR if backwards else 0) if start is None else start)
        ends.append((-_FAR if backwards else _FAR) if stop is None else stop)
        axes.append(axis)
        steps.append(1 if step is None else step)
    if not axes:
        return x
    return g("Slice", x, *(g.constant(each, np.int64, "slices") for each in (starts, ends, axes, steps)))


_FAR = int(np.iinfo(np.int64).max)  # beyond any end


def _windows(g: Graph, x: Value, window_shape: Any, axis: Any = None, **more: Any) -> Value:
    """Windows as rows of an index: an axis of length n becomes one of n - k + 1 and, at the end, one of k."""
    sizes = _listed(window_shape)
    axes = list(range(x.ndim)) if axis is None else [each % x.ndim for each in _listed(axis)]
    lengths, found = list(x.shape), x
    for size, each in zip(sizes, axes, strict=True):
        lengths[each] = count = g.known(lengths[each]) - size + 1
        lengths.append(size)
        places = np.arange(count)[:, None] + np.arange(size)
        found = g("Gather", found, g.constant(places, np.int64, "windows"), axis=each)
        order = [axis for axis in range(len(lengths)) if axis != each + 1] + [each + 1]
        found = g("Transpose", found, perm=order)
    return found


FORMS |= {GETITEM.called: _getitem, np.lib.stride_tricks.sliding_window_view: _windows}

# ---- products ----------------------------------------------------------------------------------------------------


def _product(form: Form) -> Form:
    """A product of two arrays, both in the dtype of the result."""

    def cast(g: Graph, a: Any, b: Any, **settings: Any) -> Value:
        dtype = _common(a, b)
        return form(g, g.cast(a, dtype), g.cast(b, dtype), **settings)

    return cast


def _dot(g: Graph, a: Value, b: Value) -> Value:
    if 0 in (a.ndim, b.ndim):
        return g("Mul", a, b)
    return g("MatMul", a, b) if b.ndim <= 2 else _tensordot(g, a, b, axes=([-1], [-2]))


def _tensordot(g: Graph, a: Value, b: Value, axes: Any = 2) -> Value:
    if isinstance(axes, (int, np.integer)):
        axes = (list(range(a.ndim - axes, a.ndim)), list(range(axes)))
    left = string.ascii_letters[: a.ndim]
    right = list(string.ascii_letters[a.ndim : a.ndim + b.ndim])
    for i, j in zip(_listed(axes[0]), _listed(axes[1]), strict=True):
        right[j] = left[i]
    free = [each for each in left if each not in right] + [each for each in right if each not in left]
    return g("Einsum", a, b, equation=f"{left},{''.join(right)}->{''.join(free)}")


def _outer(g: Graph, a: Value, b: Value) -> Value:
    return g("Mul", g.reshaped(a, [-1, 1]), g.reshaped(b, [1, -1]))


def _einsum(g: Graph, *operands: Any, subscripts: str, optimize: Any = False) -> Value:
    dtype = _common(*operands)
    inputs, output = terms(subscripts, [each.ndim for each in operands])
    return g("Einsum", *(g.cast(each, dtype) for each in operands), equation=f"{','.join(inputs)}->{output}")


_PRODUCTS: dict[Any, Form] = {
    np.matmul: _product(lambda g, a, b: g("MatMul", a, b)),
    np.dot: _product(_dot),
    np.tensordot: _product(_tensordot),
    np.outer: _product(_outer),
    EINSUM.called: _einsum,
    np.linalg.det: lambda g, a: g("Det", a),
}
FORMS |= _PRODUCTS

# ---- written with others, as plain NumPy -------------------------------------------------------------------------


def _variance(a: Any, axis: Any = None, ddof: Any = 0, keepdims: Any = False) -> Any:
    centred = a - np.mean(a, axis=axis, keepdims=True)
    spread = np.mean(centred * centred, axis=axis, keepdims=keepdims)
    if not ddof:
        return spread
    count = a.size // spread.size
    return spread * (count / (count - ddof))


def _rolled(a: Any, shift: Any, axis: Any = None) -> Any:
    if axis is None:
        return np.reshape(_rolled(np.reshape(a, -1), shift, 0), a.shape)
    for by, each in zip(np.atleast_1d(shift).tolist(), np.atleast_1d(axis).tolist(), strict=True):
        at = (slice(None),) * (each % a.ndim)
        cut = -by % a.shape[each] if a.shape[each] else 0
        a = np.concatenate([a[(*at, slice(cut, None))], a[(*at, slice(None, cut))]], axis=each)
    return a


BODIES: dict[Any, Callable[..., Any]] = {
    np.log1p: lambda x: np.log(1 + x),
    np.expm1: lambda x: np.exp(x) - 1,
    np.exp2: lambda x: np.exp(x * math.log(2)),
    np.log2: lambda x: np.log(x) * (1 / math.log(2)),
    np.log10: lambda x: np.log(x) * (1 / math.log(10)),
    np.cbrt: lambda x: np.sign(x) * np.abs(x) ** (1 / 3),
    np.trunc: lambda x: np.sign(x) * np.floor(np.abs(x)),
    np.hypot: lambda x, y: np.sqrt(x * x + y * y),
    np.logaddexp: lambda x, y: np.maximum(x, y) + np.log(1 + np.exp(-np.abs(x - y))),
    np.roll: _rolled,
    np.remainder: lambda x, y: x - np.floor(x / y) * y,
    np.floor_divide: lambda x, y: np.floor(x / y),
    np.fmax: lambda x, y: np.where(np.isnan(x), y, np.where(np.isnan(y), x, np.maximum(x, y))),
    np.fmin: lambda x, y: np.where(np.isnan(x), y, np.where(np.isnan(y), x, np.minimum(x, y))),
    np.isfinite: lambda x: np.logical_not(np.logical_or(np.isnan(x), np.isinf(x))),
    np.deg2rad: lambda x: x * (math.pi / 180),
    np.radians: lambda x: x * (math.pi / 180),
    np.rad2deg: lambda x: x * (180 / math.pi),
    np.degrees: lambda x: x * (180 / math.pi),
    np.heaviside: lambda x, h: np.where(x == 0, h, np.where(x > 0, 1.0, 0.0)),
    np.round: lambda a, decimals=0: np.rint(a * 10.0**decimals) / 10.0**decimals,
    np.var: _variance,
}
