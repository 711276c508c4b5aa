"""np.einsum: its gradient is another einsum.

Read next: `linalg.py`.
"""

from __future__ import annotations

import string
from typing import Any

import numpy as np

from ..primitives import Primitive, composite
from .index import SCATTER, Slot
from .shape import array


def terms(subscripts: str, ndims: list[int]) -> tuple[list[str], str]:
    """The labels of every operand and of the result, ellipses spelled out."""
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    spare = [letter for letter in string.ascii_letters if letter not in subscripts]
    extra = [
        ndim - len(term.replace("...", "")) if "..." in term else 0 for term, ndim in zip(terms, ndims, strict=True)
    ]
    letters = "".join(spare[: max(extra, default=0)])
    terms = [term.replace("...", letters[len(letters) - n :]) for term, n in zip(terms, extra, strict=True)]
    if arrow:
        return terms, right.replace("...", letters)
    labels = "".join(terms)
    return terms, letters + "".join(sorted(x for x in set(labels) - set(letters) if labels.count(x) == 1))


def _gradients(g: Any, y: Any, *operands: Any, subscripts: str, optimize: Any = False) -> tuple[Any, ...]:
    """For each operand: the result's gradient times the other operands, summed over what the operand does not have."""
    labels, result = terms(subscripts, [np.ndim(x) for x in operands])
    found = []
    for k, (term, x) in enumerate(zip(labels, operands, strict=True)):
        others = [each for i, each in enumerate(operands) if i != k]
        theirs = [each for i, each in enumerate(labels) if i != k]
        own = "".join(dict.fromkeys(term))
        known = "".join(label for label in own if label in result or any(label in each for each in theirs))
        part = np.einsum(",".join([result, *theirs]) + "->" + known, g, *others, optimize=optimize)
        if known != own:  # a label that stands nowhere else was summed: the gradient is the same along it
            sizes = dict(zip(known, part.shape, strict=True))
            part = np.reshape(part, tuple(sizes.get(label, 1) for label in own))
        if own != term:
            part = _on_diagonals(part, term, own, np.shape(x))
        found.append(part)
    return tuple(found)


def _on_diagonals(part: Any, term: str, own: str, shape: tuple[int, ...]) -> Any:
    """An operand with a repeated label is read along a diagonal: its gradient lies there."""
    sizes = {label: shape[term.index(label)] for label in own}
    part = np.broadcast_to(part, tuple(sizes[label] for label in own))
    places = [np.reshape(np.arange(sizes[label]), tuple(-1 if each == label else 1 for each in own)) for label in term]
    return SCATTER(part, *places, index=tuple(Slot(k) for k in range(len(term))), shape=shape)


def _einsum(*operands: Any, subscripts: str, optimize: Any = False) -> Any:
    return np.einsum(subscripts, *operands, optimize=optimize)


# a transpose or a diagonal, np.einsum("ii->i", x), is a view of its operand
EINSUM = Primitive(_einsum, joint=_gradients, variadic=True, view=True, name="einsum")


@composite(np.einsum)
def einsum(*operands: Any, out: Any = None, optimize: Any = False, **settings: Any) -> Any:
    """np.einsum, with its subscripts as a string or as lists of numbers."""
    if settings.keys() - {"dtype", "order", "casting"}:
        raise TypeError(f"np.einsum does not take {sorted(settings)}.")
    if isinstance(operands[0], str):
        subscripts, operands = operands[0], operands[1:]
    else:
        subscripts, operands = _spelled(operands)
    operands = tuple(array(x) for x in operands)
    return EINSUM(*operands, subscripts=subscripts, optimize=optimize)


def _spelled(operands: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """einsum(a, [0, 1], b, [1, 2], [0, 2]) as 'ab,bc->ac'."""

    def word(labels: Any) -> str:
        return "".join("..." if each is Ellipsis else string.ascii_letters[each] for each in labels)

    pairs = len(operands) // 2 * 2
    subscripts = ",".join(word(labels) for labels in operands[1:pairs:2])
    if len(operands) > pairs:
        subscripts += "->" + word(operands[-1])
    return subscripts, operands[:pairs:2]
