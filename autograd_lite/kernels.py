"""How one operation is written: a call that puts its result into given memory.

    np_dot(x, weight_T, linear)
    np_maximum(linear, c_0, out=linear)

What has no out= is called as it is, and makes its result anew in every run.

Read next: `emission.py` (a whole program), `binding.py` (names and places).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from .binding import Binder, Place
from .buffers import passes_on, ufunc_of
from .layouts import entrywise_features_first, outer_by_broadcasting, product_features_first
from .program import Operation, Variable
from .recording import Array
from .rendering import index_text
from .rules.index import GETITEM
from .rules.shape import ASTYPE

Writer: TypeAlias = Callable[[Binder, int, Operation], Place]

_REDUCTIONS: dict[Any, np.ufunc] = {np.sum: np.add, np.mean: np.add, np.max: np.maximum, np.min: np.minimum}
_FILLED: dict[Any, Any] = {np.zeros_like: 0, np.ones_like: 1}
_BY_KEYWORD = frozenset({np.maximum, np.minimum})  # which take out= by position no more

_RARE = 1 << 12  # entries from which a choice that may choose nothing is asked whether it does


def writer(operation: Operation) -> Writer | None:
    """What writes an operation's result into given memory; None for what has to be called as it is."""
    called = operation.primitive.called
    if len(operation.outputs) != 1:
        return None
    result, inputs, settings = operation.outputs[0], operation.inputs, operation.settings
    arrays = [each for each in inputs if isinstance(each, Variable)]
    if passes_on(operation):
        return _passed
    if called in _FILLED and settings.keys() <= {"dtype"}:
        return _filled
    if ufunc_of(operation) is not None:
        return _elementwise
    if not all(isinstance(each, (Variable, int, float)) for each in inputs):
        return None
    if called in (np.matmul, np.dot) and not settings and len(arrays) == 2:
        axes = sorted(len(each.shape) for each in arrays)
        floats = all(each.dtype == result.dtype for each in arrays) and result.dtype.char in "fdFD"
        return _product if axes in ([1, 1], [1, 2], [2, 2]) and floats else None
    if called in _REDUCTIONS and settings.keys() <= {"axis", "keepdims"} and arrays[0].dtype == result.dtype:
        empty = 0 in arrays[0].shape
        return _reduction if result.dtype.char in "fdFD" and not empty else None
    if called is np.where and len(inputs) == 3:
        boolean = isinstance(inputs[0], Variable) and inputs[0].dtype == bool
        return _choice if boolean else None
    if operation.primitive is ASTYPE:
        return _cast
    return None


def plain(code: Binder, operation: Operation) -> None:
    """What has no out=: its own results, made anew in every run."""
    names = [each.name for each in operation.outputs]
    code.lines.append(f"{', '.join(names)} = {_call(code, operation)}")
    for each in operation.outputs:
        code.places[each] = Place(each.name)
        if each.shape:  # memory of that shape waits: another would be broadcast into it
            wrong = code.bind("reshaped", _reshaped)
            code.lines.append(f"if {each.name}.shape != {each.shape}: {wrong}({str(operation)!r}, {each.name})")


def _reshaped(operation: str, result: Array) -> None:
    """Raise for a shape that depends on values."""
    raise ValueError(
        f"compile: {operation} now has shape {result.shape}, which depends on values: a program is for one shape. "
        "Write np.where(mask, a, b) for a[mask], or leave this function uncompiled."
    )


def _call(code: Binder, operation: Operation) -> str:
    """An operation as a call that makes its own result."""
    called, settings = operation.primitive.called, operation.settings
    operands = [code.place(each).text for each in operation.inputs]
    if called is np.transpose and settings.get("axes") is None:
        return f"{operands[0]}.T"
    if called in (np.reshape, np.expand_dims, np.squeeze) and "order" not in settings:
        return f"{operands[0]}.reshape({operation.outputs[0].shape})"
    if operation.primitive is GETITEM and all(_simple(each) for each in _parts(settings["index"])):
        return f"{operands[0]}[{index_text(settings['index'], operands[1:])}]"
    if operation.primitive.sequence:
        operands = [f"[{', '.join(operands)}]"]
    words = [f"{key}={code.place(each).text}" for key, each in settings.items()]
    return f"{code.function(operation.primitive.function)}({', '.join(operands + words)})"


def _into(
    code: Binder, variable: Variable, place: Place | None, function: str, operands: list[str], keyword: bool = False
) -> Place:
    """Call a function that takes the result's place as its last operand."""
    if place is None:
        code.lines.append(f"{variable.name} = {function}({', '.join(operands)})")
        return Place(variable.name, fresh=bool(variable.shape))
    code.lines.append(f"{function}({', '.join([*operands, 'out=' * keyword + place.text])})")
    return place


# ---- views and constants ---------------------------------------------------------------------------------------------


def _passed(code: Binder, i: int, operation: Operation) -> Place:
    """A view, or the very same memory."""
    source = code.places[operation.inputs[0]]
    result = operation.outputs[0]
    primitive = operation.primitive
    if source.array is not None:
        shown = primitive.function(source.array, *operation.inputs[1:], **operation.settings)
        if np.shares_memory(shown, source.array) or not shown.size:
            text = code.view(shown, result.name)
            return Place(text, shown, source.storage, source.fixed)
        if source.fixed:
            return Place(code.bind(result.name + "_now", shown), shown, None, True)
        storage = code.pool.take(shown.nbytes)
        array = storage.memory.view(result.dtype).reshape(result.shape)
        filled = array.reshape(source.array.shape) if shown.size == source.array.size else None
        if filled is not None and primitive.called in (np.reshape, np.ravel) and "order" not in operation.settings:
            code.write(np.copyto, [code.view(filled, result.name + "_out"), source.text])
        else:
            code.write(np.copyto, [code.view(array, result.name), _call(code, operation)])
        return Place(code.view(array, result.name), array, storage)
    code.lines.append(f"{result.name} = {_call(code, operation)}")
    return Place(result.name)


def _filled(code: Binder, i: int, operation: Operation) -> Place:
    result = operation.outputs[0]
    array = np.broadcast_to(np.array(_FILLED[operation.primitive.called], result.dtype), result.shape)
    return Place(code.view(array, result.name), array, None, True)


def _cast(code: Binder, i: int, operation: Operation) -> Place:
    result = operation.outputs[0]
    source = code.places[operation.inputs[0]]
    place = code.result(i, operation, features_first=entrywise_features_first(result, [source.array]))
    if place is None:
        plain(code, operation)
        return Place(result.name, fresh=bool(result.shape))
    code.write(np.copyto, [place.text, source.text, "'unsafe'"])
    return place


# ---- entry by entry --------------------------------------------------------------------------------------------------


def _elementwise(code: Binder, i: int, operation: Operation) -> Place:
    ufunc = ufunc_of(operation)
    assert ufunc is not None
    inputs, result = operation.inputs, operation.outputs[0]
    if ufunc.nin == 1:
        inputs = inputs[:1]
    kinds = [each.dtype if isinstance(each, (Variable, np.generic)) else type(each) for each in inputs]
    kinds = [np.dtype(bool) if each is bool else each for each in kinds]
    dtypes = ufunc.resolve_dtypes((*kinds, None))
    try:
        places = [code.place(each, like) for each, like in zip(inputs, dtypes, strict=False)]
    except OverflowError:  # entries are compared with a number that their dtype cannot hold
        places = []
    if not places or dtypes[-1] != result.dtype:  # or NumPy's rules alone would give another dtype
        plain(code, operation)
        return code.places[result]
    if all(each.fixed for each in places):
        array = np.asarray(ufunc(*(each.array for each in places)))
        return Place(code.view(array, result.name + "_now"), array, None, True)
    order = entrywise_features_first(result, [each.array for each in places])
    place = code.result(i, operation, places, order)
    return _into(code, result, place, code.function(ufunc), [each.text for each in places], ufunc in _BY_KEYWORD)


def _choice(code: Binder, i: int, operation: Operation) -> Place:
    """np.where, which has no out=: one choice copied over the other, or its bits masked if the other is 0."""
    result = operation.outputs[0]
    condition, yes, no = (code.place(each, result.dtype) for each in operation.inputs)
    order = entrywise_features_first(result, [condition.array, yes.array, no.array])
    kept = no if _is_zero(yes) else yes if _is_zero(no) else None
    masked = kept is not None and kept.array is not None and kept.array.dtype == result.dtype
    masked = masked and condition.array is not None and result.dtype.char in "fd"
    # Copied over, the memory of the first choice would be lost before it is read.
    place = code.result(i, operation, [yes, no] if masked else [no], order)
    if place is None:
        plain(code, operation)
        return Place(result.name, fresh=bool(result.shape))
    if masked and kept is not None:
        arrays = [each.array for each in (condition, kept, place) if each.array is not None]
        _mask(code, arrays[0], arrays[1], arrays[2], result.name, where=kept is yes)
        return place
    if place.array is not no.array:
        code.write(np.copyto, [place.text, no.text])
    code.write(np.copyto, [place.text, yes.text, f"where={condition.text}"])
    if condition.array is not None and condition.array.size >= _RARE:  # asking first costs less where nothing is chosen
        code.lines[-1] = f"if {condition.text}.any(): {code.lines[-1]}"
    return place


def _is_zero(place: Place) -> bool:
    """Whether a value is the number 0, and not -0."""
    return place.fixed and place.array is not None and not place.array.shape and not any(place.array.tobytes())


def _mask(code: Binder, condition: Array, kept: Array, out: Array, name: str, where: bool) -> None:
    """Write what is kept where the condition is as given, and 0 elsewhere.

    The bits are masked, by ones or zeros, which takes the same time for every condition: copying decides at every
    entry, and a processor cannot foresee what.
    """
    whole = np.dtype(f"i{out.itemsize}")
    mask = code.bind(name + "_mask", np.empty_like(condition, whole))
    flags, source, target = (
        code.view(each.view(dtype), f"{name}_{label}")
        for each, dtype, label in ((condition, np.int8, "flags"), (kept, whole, "bits"), (out, whole, "out"))
    )
    if where:
        code.write(np.negative, [flags, mask])
    else:
        code.write(np.subtract, [flags, code.constant("c_1", np.array(1, np.int8)), mask])
    code.write(np.bitwise_and, [mask, source, target])


# ---- products and sums -----------------------------------------------------------------------------------------------


def _product(code: Binder, i: int, operation: Operation) -> Place:
    a, b = (code.places[each] for each in operation.inputs)
    result = operation.outputs[0]
    if result in code.owed and a.array is not None and b.array is not None and a.storage and b.storage:
        code.factors[result] = a.array, b.array
        return Place(result.name)
    order = product_features_first(result.shape, a.array, b.array, code.partners(result))
    place = code.result(i, operation, features_first=order)
    if len(result.shape) == 2 and place is not None and place.array is not None:
        if operation.inputs[0].shape[1] == 1 and outer_by_broadcasting(place.array):
            return _into(code, result, place, code.function(np.multiply), [a.text, b.text])
        if not place.array.flags.c_contiguous:
            out = Place(code.transposed(place))
            _into(code, result, out, code.function(np.dot), [code.transposed(b), code.transposed(a)])
            return place
    return _into(code, result, place, code.function(np.dot), [a.text, b.text])


def _reduction(code: Binder, i: int, operation: Operation) -> Place:
    called, settings = operation.primitive.called, operation.settings
    x, result = operation.inputs[0], operation.outputs[0]
    source = code.places[x]
    axis, keepdims = settings.get("axis"), settings.get("keepdims", False)
    place = code.result(i, operation)
    count = _size(x) // max(_size(result), 1)
    if place is not None and place.array is not None and called in (np.sum, np.mean) and len(x.shape) == 2:
        if axis in (0, 1) and place.array.flags.forc:
            return _total(code, source, x, int(axis), place, 1 if called is np.sum else count)
    function = code.reduction(_REDUCTIONS[called])
    operands = [source.text, code.place(axis).text, "None"]
    if place is None:
        operands += ["None", repr(bool(keepdims))] if keepdims else []
        code.lines.append(f"{result.name} = {function}({', '.join(operands)})")
        if called is np.mean:
            share = code.place(count, result.dtype).text
            code.lines.append(f"{result.name} = {result.name} / {share}")
        return Place(result.name, fresh=bool(result.shape))
    operands += [place.text, "True"] if keepdims else [place.text]
    code.lines.append(f"{function}({', '.join(operands)})")
    if called is np.mean:
        code.write(np.divide, [place.text, code.place(count, result.dtype).text, place.text])
    return place


def _total(code: Binder, source: Place, x: Variable, axis: int, place: Place, count: int) -> Place:
    """The sum of a matrix's rows or columns, divided by `count`: a product with ones, which BLAS makes faster."""
    assert place.array is not None
    ones = np.full(x.shape[axis], 1 / count, x.dtype)
    name = code.constant("ones" if count == 1 else "shares", ones)
    out = code.view(place.array.reshape(-1), place.text + "_flat")
    code.write(np.dot, [name, source.text, out] if axis == 0 else [source.text, name, out])
    return place


def _size(variable: Variable) -> int:
    """The number of a variable's entries."""
    return int(np.prod(variable.shape, dtype=int))


def _parts(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def _simple(part: Any) -> bool:
    """Whether a part of an index can be written as text."""
    if isinstance(part, slice):
        return all(each is None or type(each) is int for each in (part.start, part.stop, part.step))
    return part is None or part is Ellipsis or type(part) in (int, bool)
