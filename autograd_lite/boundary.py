"""The border of the tensor world: what may come in, what may not leave silently, and the words that say so.

float(t) and t.item() ask for a number by name and get it. Python's math.exp(t) and array.fill(t) ask in the same way,
and cannot be told apart: they compute with the value and lose the history. Write np.exp(t) and t * np.ones(shape).

Read next: `tensors.py`.
"""

from __future__ import annotations

import opcode
import re
from collections.abc import Iterator
from types import FrameType
from typing import Any

import numpy as np

from .primitives import Primitive
from .recording import Array, Recorded, here

LITERALS = frozenset({int, float, bool, complex, type(None), str})


def numbers(array: Array, who: str) -> Array:
    """The array, if it is a plain one that holds numbers; else TypeError with the remedy."""
    if type(array) is np.memmap:
        array = np.asarray(array)
    if type(array) is not np.ndarray:
        raise TypeError(
            f"{who}: {type(array).__name__} is not supported (np.matrix multiplies by other rules, masks would be "
            "lost); use np.asarray(x), or x.filled(...) for a masked array."
        )
    if array.dtype.kind not in "biufc":
        raise TypeError(f"{who}: an array of dtype {array.dtype} does not hold numbers. Convert it first.")
    return array


def check_differentiable(dtype: np.dtype[Any]) -> None:
    """Raise TypeError for a dtype that cannot require gradients."""
    if dtype.kind not in "fc":
        raise TypeError(
            f"a tensor of {dtype} cannot require gradients: derivatives need floating point. "
            "Write ag.tensor(x, dtype=np.float64, requires_grad=True)."
        )


def foreign(arg: Any, primitive: Primitive) -> Any:
    """An operand that is no tensor: arrays and NumPy's scalars as they are, sequences of numbers as arrays."""
    if type(arg) is np.ndarray and arg.dtype.kind in "biufc":
        return arg
    if isinstance(arg, (np.generic, int, float, complex)):
        return arg
    if isinstance(arg, (list, tuple)):
        if any(isinstance(each, Recorded) for each in _flatten(arg)):
            raise TypeError(f"{primitive.label}: a list that holds tensors is no array: use np.stack([...]) ({here()})")
    elif not hasattr(arg, "__array__"):
        return arg
    return numbers(np.asanyarray(arg), primitive.label)


def _flatten(sequence: Any) -> Iterator[Any]:
    for each in sequence:
        if isinstance(each, (list, tuple)):
            yield from _flatten(each)
        else:
            yield each


def explained(error: Exception, primitive: Primitive, values: list[Any]) -> Exception:
    """NumPy's error with the function's name and the shapes of what it was given."""
    shapes = ", ".join(str(np.shape(each)) for each in values if isinstance(each, (np.ndarray, np.generic, float, int)))
    message = str(error)
    speaker, colon, _ = message.partition(":")
    if not (colon and primitive.label.startswith(speaker)):  # linear_tanh passes on what linear says
        message = f"{primitive.label} of shapes {shapes}: {message}"
    for kind in (np.exceptions.AxisError, np.linalg.LinAlgError, IndexError, TypeError):
        if isinstance(error, kind):
            return kind(message)
    return ValueError(message)


def objects(primitive: Primitive, values: list[Any]) -> Exception:
    """The error for a result that NumPy could only give as an array of Python objects, which has no gradient."""
    kinds = (np.generic, np.ndarray, int, float, complex)
    which = "".join(f"of {type(each).__name__} {each!r} " for each in values if not isinstance(each, kinds))
    return TypeError(
        f"{primitive.label} {which}would give an array of Python objects, which has no gradient ({here()}): "
        "use numbers, float(...)."
    )


# What the line that asked says, as a pattern, and what to write instead.
_REMEDIES = (
    (r"\.dot\(", "array.dot(tensor) never asks the tensor: write X @ w or np.dot(X, w), or ag.tensor(X) before"),
    (r"\.take\(", "array.take(tensor) never asks the tensor: write np.take(X, i) with i = t.detach().numpy()"),
    (r"np\.[rc]_\[", "np.r_ and np.c_ make plain arrays: write np.concatenate([t, u]) or np.stack([t, u], axis=-1)"),
    (r"np\.(u?int|float|complex|bool)\w*\(", "NumPy's scalar types make plain numbers: write t.astype(dtype)"),
    (r"full\(", "np.full makes a plain array: write value * np.ones(shape)"),
    (r"asarray\(", "np.asarray would lose its history: use the tensor itself, or t.detach().numpy() for its values"),
    (r"array\(", "np.array makes a plain array: write np.stack([t, u]), or t.detach().numpy() for the values alone"),
    (r"\] \W?=", "array[i] = tensor would lose its history: make it a tensor with ag.tensor(array), or use np.stack"),
    (r"np\.[\w.]+\(\[", "a list of tensors becomes a plain array: write np.stack([t, u])"),
    (r"\w\[", "array[tensor] needs plain indices: use t.detach().numpy(), or make it a tensor with ag.tensor(array)"),
)


_STORES = {opcode.opmap[name] for name in ("STORE_SUBSCR", "STORE_SLICE") if name in opcode.opmap}


def stored(frame: FrameType) -> bool:
    """Whether a frame is at `a[i] = value`: then it is NumPy that asks the value to become a number."""
    return frame.f_code.co_code[frame.f_lasti] in _STORES


def array_remedy() -> str:
    """The message for a tensor that NumPy asks to become an array, worded by the line that asked."""
    line = here()
    text = line.partition(": ")[2]
    remedy = next(
        (words for sign, words in _REMEDIES if re.search(sign, text)),
        "use x.detach().numpy() for its values, or ag.tensor(array) so that the whole computation is recorded",
    )
    return f"a tensor that requires gradients or is being traced cannot become a plain array ({line}): {remedy}."
