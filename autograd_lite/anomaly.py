"""detect_anomaly: which operation made the first NaN or infinity, on which line, at which index; and who was changed.

While it is on, every operation looks at its result, and notes its line and fingerprints of the arrays it keeps; on the
way back every gradient rule looks at what it gives. A NaN is reported where it appears: in a result whose inputs have
none; an infinity where all inputs were finite. So a mask of -inf that was put there on purpose passes.

Read next: `backward.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from .primitives import Primitive
from .recording import Array, Node, fingerprints, here, no_grad, thread


class detect_anomaly(no_grad):
    """Raise where a NaN or an infinity first appears, forward or backward: FloatingPointError with the operation, its
    line and the index. Raise RuntimeError where a recorded array was changed behind the engine's back, through an alias
    of `x.data`, say. For this thread only; it costs several times the computation itself.

    >>> import numpy as np, autograd_lite as ag
    >>> w = ag.tensor([4.0, 0.0], requires_grad=True, name="w")
    >>> with ag.detect_anomaly(), np.errstate(divide="ignore"):
    ...     np.sum(np.sqrt(w)).backward()
    Traceback (most recent call last):
    FloatingPointError: the gradient of np.sqrt is inf at index [1] ...
    """

    def __enter__(self) -> None:
        self.before = thread.mode, self.before
        thread.mode = thread.mode.but(anomaly=True)


def check_result(primitive: Primitive, inputs: list[Any], result: Any) -> None:
    """Raise if an operation's result has a NaN or an infinity that its inputs do not explain."""
    for array in map(np.asarray, result if isinstance(result, (tuple, list)) else (result,)):
        index = _first_new(array, inputs)
        if index is not None:
            raise FloatingPointError(
                f"{primitive.label} gives {array[index]} {_place(index)} ({here()}){_operands(inputs, index)}."
            )


def mark(nodes: Iterable[Node]) -> None:
    """Have the walk look at nodes that were recorded before anomaly mode was on."""
    for node in nodes:
        if node.primitive is not None and "kept" not in (node.notes or ()) and node.inputs is not None:
            node.notes = {**(node.notes or {}), "kept": fingerprints(node)}


def inspect(node: Node, gradient: Any) -> None:
    """Run a node's rules on its own account, and raise if they give a NaN or an infinity, or read what was changed."""
    if node.inputs is None or any(leaf.when > node.when for leaf in node.guards):
        return  # the walk has an error of its own for these
    _check_kept(node)
    g = _plain(gradient, node)
    known = [*(g if isinstance(g, tuple) else (g,)), *node.inputs]
    known += node.value if isinstance(node.value, tuple) else (node.value,)
    for i, result in _results(node, g):
        index = None if result is None else _first_new(np.asarray(result), known)
        if index is not None:
            which = "" if len(node.inputs) == 1 else f" with respect to its input {i}"
            raise FloatingPointError(
                f"the gradient of {node.primitive.label}{which} is {np.asarray(result)[index]} {_place(index)} "
                f"({node.line}){_operands(node.inputs, index)}.{_remedy(g, index)}"
            )


def _results(node: Node, g: Any) -> Iterator[tuple[int, Any]]:
    """What the rules give for the inputs whose gradients are wanted."""
    primitive = node.primitive
    settings = {key: value for key, value in (node.settings or {}).items() if key in primitive.takes}
    assert node.inputs is not None
    if primitive.joint is not None:
        asked = {"wanted": node.plan.wants} if primitive.asks_wanted else {}
        yield from enumerate(primitive.joint(g, node.value, *node.inputs, **asked, **settings))
        return
    for i, (each, want) in enumerate(zip(primitive.rules, node.plan.wants, strict=False)):
        if want and each is not None:
            yield i, each(g, node.value, *node.inputs, **settings)


def _plain(gradient: Any, node: Node) -> Any:
    """A gradient as arrays: in a lifted walk they are tensors, and of several results some may be missing."""
    if isinstance(gradient, (list, tuple)):
        return tuple(
            np.zeros(shape, node.dtype) if each is None else getattr(each, "_data", each)
            for each, shape in zip(gradient, node.shape, strict=True)
        )
    return getattr(gradient, "_data", gradient)


def _check_kept(node: Node) -> None:
    assert node.notes is not None
    for i, (before, now) in enumerate(zip(node.notes["kept"], fingerprints(node), strict=True)):
        if before != now:
            what = f"input {i}" if i < len(node.parents) else "the result"
            parent = node.parents[i] if i < len(node.parents) else None
            name = f", {parent.name!r}," if parent is not None and parent.name else ""
            raise RuntimeError(
                f"{what}{name} of {node.primitive.label} ({node.line}) was changed after it was recorded, through an "
                "alias of its array (x.data, or the array of a view), so the gradient would be wrong. Write through "
                "the tensor inside `with ag.no_grad():`, or compute again after the write."
            )


def _first_new(array: Array, known: list[Any]) -> tuple[int, ...] | None:
    """The first index of a NaN or an infinity that is not in any of `known` either."""
    if array.dtype.kind not in "fc" or np.isfinite(array).all():
        return None
    floats = [each for each in map(_floating, known) if each is not None]
    bad = np.zeros(array.shape, bool)
    if not any(np.isnan(each).any() for each in floats):
        bad |= np.isnan(array)
    if all(np.isfinite(each).all() for each in floats):
        bad |= np.isinf(array)
    return tuple(map(int, np.argwhere(bad)[0])) if bad.any() else None


def _floating(value: Any) -> Array | None:
    """A value as an array, if it is one that may hold NaN."""
    if isinstance(value, (np.ndarray, np.generic, float, complex)):
        array = np.asarray(value)
        return array if array.dtype.kind in "fc" else None
    return None


def _place(index: tuple[int, ...]) -> str:
    return f"at index {list(index)}" if index else "at its only entry"


def _operands(inputs: Iterable[Any], index: tuple[int, ...]) -> str:
    """What stood there in the inputs: ', computed from 0.0 and 2.0'."""
    found = []
    for each in inputs:
        if isinstance(each, (np.ndarray, np.generic, float, int)):
            array = np.asarray(each)
            if array.ndim <= len(index):
                lead = index[len(index) - array.ndim :]
                if all(n == 1 or i < n for i, n in zip(lead, array.shape, strict=True)):
                    found.append(str(array[tuple(0 if n == 1 else i for i, n in zip(lead, array.shape, strict=True))]))
    return f", where its inputs are {' and '.join(found)}" if found else ""


def _remedy(g: Any, index: tuple[int, ...]) -> str:
    """A word on the commonest case: a branch of np.where that was not chosen, whose slope is infinite."""
    g = np.asarray(g) if isinstance(g, np.generic) else g
    if isinstance(g, np.ndarray) and g.ndim == len(index) and all(i < n for i, n in zip(index, g.shape, strict=True)):
        if g[index] == 0:
            return (
                " The gradient that arrives there is 0, and 0 times an infinite slope is NaN: if this is the branch of "
                "an np.where that was not chosen, give it harmless values too, as in np.sqrt(np.where(x > 0, x, 1))."
            )
    return ""
