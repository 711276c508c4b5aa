"""What the numbers in an array are like: mean, spread, norm, share of zeros; and what is wrong with them.

`observe` computes a Program once more and looks at every value on the way, so that a picture can say what flows
through it. A gradient's size is its root mean square, which does not grow with the number of entries.

Read next: `drawing.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .program import UNKNOWN, Operation, Program, Variable, compute
from .recording import Array

VANISHING, EXPLODING = 1e-7, 1e3  # gradient sizes: below the rest of a float32's digits, and above any useful step
_SHOWN = 64  # entries: so few are kept, to be read on hovering


@dataclass(frozen=True, slots=True)
class Statistics:
    """Mean, spread (standard deviation), Euclidean norm, size (root mean square) and share of zeros of an array.

    Complex entries count with their absolute values. `entries` holds the values themselves where they are few.
    """

    mean: float
    spread: float
    norm: float
    size: float
    zeros: float
    finite: bool
    entries: tuple[float, ...]

    def __str__(self) -> str:
        if not self.finite:
            return "NaN or infinite"
        if math.isclose(self.norm, abs(self.mean), rel_tol=1e-12) and not self.spread:  # a number
            return short(self.mean)
        zeros = f", {_share(self.zeros)} zero" if self.zeros else ""
        return f"{short(self.mean)} ± {short(self.spread)}, norm {short(self.norm)}{zeros}"


def short(number: float) -> str:
    """A number in three digits, with the sign that print has for minus."""
    return f"{number:.3g}".replace("-", "\N{MINUS SIGN}")


def _share(share: float) -> str:
    """A share in percent; nearly none is not none, and nearly all not all."""
    return "<1%" if 0 < share < 0.005 else ">99%" if 0.995 < share < 1 else f"{share:.0%}"


def statistics(array: Any) -> Statistics:
    """The statistics of an array of numbers or bools; of an empty one all are 0.

    >>> import numpy as np
    >>> print(statistics(np.array([0.0, 3.0, 4.0, 5.0])))
    3 ± 1.87, norm 7.07, 25% zero
    """
    values = np.asarray(array)
    values = np.abs(values) if values.dtype.kind == "c" else values
    quick = _quick(values.ravel()) if values.dtype.char in "fd" and values.size > _SHOWN else None
    if quick is not None:
        return quick
    wide = values.astype(np.float64).ravel()
    few = tuple(wide.tolist()) if wide.size <= _SHOWN else ()
    if not wide.size:
        return Statistics(0.0, 0.0, 0.0, 0.0, 0.0, True, ())
    if not np.all(np.isfinite(wide)):
        return Statistics(math.nan, math.nan, math.nan, math.nan, math.nan, False, few)
    largest = float(np.max(np.abs(wide))) or 1.0
    scaled = wide / largest  # lest squares overflow or underflow
    norm = float(np.sqrt(scaled @ scaled)) * largest
    return Statistics(
        mean=float(np.mean(scaled)) * largest,
        spread=float(np.std(scaled)) * largest,
        norm=norm,
        size=norm / math.sqrt(wide.size),
        zeros=float(np.mean(wide == 0)),
        finite=True,
        entries=few,
    )


def _quick(flat: Array) -> Statistics | None:
    """The statistics of a larger array without copies of it, where sums of squares neither overflow nor cancel."""
    with np.errstate(all="ignore"):
        square, mean = float(flat @ flat), float(np.mean(flat))
    variance = square / flat.size - mean * mean
    if not 1e-30 < square < 1e30 or variance < 1e-3 * mean * mean:  # also when one is NaN
        return None
    norm = math.sqrt(square)
    zeros = float(flat.size - np.count_nonzero(flat)) / flat.size
    return Statistics(mean, math.sqrt(variance), norm, norm / math.sqrt(flat.size), zeros, True, ())


def observe(program: Program, args: tuple[Any, ...]) -> dict[Variable, Statistics]:
    """The statistics of every value that a program computes from `args`."""
    return {variable: statistics(value) for variable, value in values(program, args).items()}


def values(program: Program, args: tuple[Any, ...]) -> dict[Variable, Array]:
    """Every value that a program computes from `args`, parameters as they are now.

    Of an eager history, which takes no arguments, the values are looked at that can still be computed.
    """
    if program.takes is None:
        table: dict[Variable, Array] = {variable: leaf.array for variable, leaf in program.values.items()}
    else:
        table = program.bind(args)
    with np.errstate(all="ignore"):  # what overflows here has done so before, and is marked in the picture
        for operation in program.operations:
            if _computable(operation, table):
                compute(operation, table)
    return table


def _computable(operation: Operation, table: dict[Variable, Array]) -> bool:
    """Whether all operands are at hand: an eager history keeps only what its gradient rules read."""
    if any(each is UNKNOWN or not (isinstance(each, Variable) or np.isscalar(each)) for each in operation.inputs):
        return False
    return all(each in table for each in operation.reads)


def complaint(value: Statistics | None, gradient: Statistics | None) -> str:
    """What is wrong with a value or its gradient: '' or 'NaN', 'dead', 'vanishing', 'exploding'."""
    if any(each is not None and not each.finite for each in (value, gradient)):
        return "NaN"
    if gradient is None:
        return ""
    if gradient.zeros == 1 or (value is not None and value.zeros == 1 and len(value.entries) != 1):
        return "dead"
    if gradient.size < VANISHING:
        return "vanishing"
    return "exploding" if gradient.size > EXPLODING else ""
