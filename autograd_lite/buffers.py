"""Where a compiled program keeps its values: memory allocated once, and used again when a value is no longer read.

Read next: `layouts.py` (in which order an array lies), `emission.py`, which asks for the memory.
"""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .memory import aligned
from .program import Operation, Program, Variable
from .recording import Array
from .rules.shape import ASTYPE, COPY, DETACH

NEVER = 1 << 60


@dataclass(eq=False)
class Storage:
    """A piece of memory that holds one value at a time; `holders` are the variables that it is."""

    memory: Array
    holders: set[Variable] = field(default_factory=set)


class Pool:
    """Gives memory out and takes it back; what is asked for next may be the same piece."""

    def __init__(self) -> None:
        self._free: dict[int, list[Storage]] = defaultdict(list)
        self.bytes = 0

    def take(self, count: int) -> Storage:
        """A piece of `count` bytes."""
        free = self._free[count]
        if free:
            return free.pop()
        self.bytes += count
        return Storage(aligned((count,), np.uint8))

    def give(self, storage: Storage) -> None:
        """Take a piece back: its value is not read any more."""
        self._free[storage.memory.size].append(storage)


def shaped(storage: Storage, shape: tuple[int, ...], dtype: np.dtype[Any], features_first: bool = False) -> Array:
    """A piece of memory as an array; a matrix lies features first (column by column) if asked."""
    flat = storage.memory[: int(np.prod(shape, dtype=int)) * dtype.itemsize].view(dtype)
    return flat.reshape(shape[::-1]).T if features_first else flat.reshape(shape)


def passes_on(operation: Operation) -> bool:
    """Whether an operation's result is its first input's memory, or may be a view of it."""
    if sum(1 for _ in operation.reads) != 1 or not isinstance(operation.inputs[0], Variable):
        return False
    if operation.primitive is ASTYPE:
        return operation.inputs[0].dtype == operation.outputs[0].dtype
    return operation.primitive in (COPY, DETACH) or operation.primitive.view


def lifetimes(
    program: Program, plain: set[Operation], kept: Iterable[Variable] = ()
) -> tuple[dict[Variable, set[Variable]], dict[Variable, int]]:
    """For each variable those in whose memory it may lie, and for each the last operation that reads its memory.

    The operations in `plain` are called without out=, and what they return may be a view of any of their inputs. What
    is `kept`, as what is returned, is read after the last operation.
    """
    roots: dict[Variable, set[Variable]] = {each: {each} for each in (*program.inputs, *program.captured)}
    last: dict[Variable, int] = {}
    for i, operation in enumerate(program.operations):
        read = set().union(*(roots[each] for each in operation.reads))
        last.update(dict.fromkeys(read, i))
        for each in operation.outputs:
            roots[each] = read if passes_on(operation) else {each} | (read if operation in plain else set())
            last.update(dict.fromkeys(roots[each], i))
    for each in (*program.outputs, *kept):
        if isinstance(each, Variable):
            last.update(dict.fromkeys(roots[each], NEVER))
    return roots, last


# x ** n of an array, as NumPy's operator computes it
POWERS: dict[float, np.ufunc] = {2: np.square, 0.5: np.sqrt, -1: np.reciprocal, 1: np.positive}


def ufunc_of(operation: Operation) -> np.ufunc | None:
    """The ufunc that computes an operation entry by entry, if it is one with a single result."""
    function = operation.primitive.function
    if function is operator.pow:
        base, exponent = operation.inputs
        if isinstance(base, Variable) and base.dtype.kind in "fc" and type(exponent) in (int, float):
            return POWERS.get(exponent, np.power)
        return np.power
    if isinstance(function, np.ufunc) and function.signature is None and function.nout == 1 and not operation.settings:
        return function
    return None
