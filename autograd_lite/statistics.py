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

from .program import BACKWARD, UNKNOWN, Operation, Program, Variable, compute
from .recording import Array

VANISHING, EXPLODING = 1e-7, 1e3  # gradient sizes: below the rest of a float32's digits, and above any useful step
_ROUNDINGS = 4096  # the rounding of a sum, in units of the last digit
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


def complaints(
    program: Program, seen: dict[Variable, Statistics], gradients: dict[Variable, Variable]
) -> dict[Variable, str]:
    """What is wrong with a program's values and their gradients: 'NaN', 'dead', 'vanishing' or 'exploding'.

    `seen` are the statistics, `gradients` says which variable is the gradient of which. Dead is what gets a gradient of
    zeros alone, and what is zero although it was computed from something else: a parameter that starts at 0 is not. No
    complaint is made of a gradient whose parts cancel, as they do at the maximum that a softmax subtracts.
    """
    arriving = {each: seen[gradient] for each, gradient in gradients.items() if gradient in seen}
    makers = {out: each for each in program.operations for out in each.outputs if each.scope[:1] != (BACKWARD,)}
    cancelled = _cancelled(makers, arriving)
    found: dict[Variable, str] = {}
    for each in dict.fromkeys((*seen, *arriving)):
        value, gradient = seen.get(each), arriving.get(each)
        if any(known is not None and not known.finite for known in (value, gradient)):
            found[each] = "NaN"
        elif gradient is None or each in cancelled:
            continue
        elif gradient.zeros == 1 or (each in makers and _silent(makers[each], value, seen, arriving)):
            found[each] = "dead"
        elif not VANISHING <= gradient.size <= EXPLODING:
            found[each] = "vanishing" if gradient.size < VANISHING else "exploding"
    return found


def _silent(
    maker: Operation, value: Statistics | None, seen: dict[Variable, Statistics], arriving: dict[Variable, Statistics]
) -> bool:
    """Whether an operation gives zeros alone for operands that are others, as a relu below its threshold."""
    if value is None or value.zeros < 1 or len(value.entries) == 1:
        return False
    operands = [seen[each] for each in maker.reads if each in arriving and each in seen]
    return bool(operands) and all(each.zeros < 1 for each in operands)


def _cancelled(makers: dict[Variable, Operation], arriving: dict[Variable, Statistics]) -> set[Variable]:
    """The variables whose gradient is nothing but the rounding of a sum: what they are added to gets far more of it."""
    users: dict[Variable, list[Operation]] = {}
    for maker in dict.fromkeys(makers.values()):
        for each in maker.reads:
            users.setdefault(each, []).append(maker)
    found: set[Variable] = set()
    for each in reversed([*(each for each in users if each not in makers), *makers]):
        own = arriving.get(each)
        later = [(user, out) for user in users.get(each, ()) for out in user.outputs if out in arriving]
        if own is None or not later:
            continue
        rounding = min(_ROUNDINGS * float(np.finfo(each.dtype).eps), 1e-3) if each.dtype.kind in "fc" else 0.0
        added = (arriving[out].size for user, out in later if user.primitive.name in ("add", "subtract"))
        if any(0 < size and own.size <= rounding * size for size in added) or all(out in found for _, out in later):
            found.add(each)
    return found
