"""The walk: gradients flow from a result back to the leaves, newest operation first.

A result is younger than everything it was computed from, so taking the youngest node that waits, again and again, sees
each node once and only after all its consumers. Rules only say what one function does; broadcasting and dtypes are
undone here, and gradients live in a table of the walk's own, so that leaves alone receive `.grad`.

Handed arrays the walk computes. Handed tensors and `lift`, the same rules are recorded: that is how `derivatives.py`
differentiates derivatives, `drawing.py` draws the backward pass and `source.py` prints it.

Complex numbers: rules carry the plain derivative (`rules/complex.py`). The seed is conjugated where it enters, in
`make_seed`, and a gradient where it leaves, in `deliver` and for hooks; so z.grad is dL/da + i dL/db of z = a + ib.

What a rule gives is what flows: 0 times an infinite slope is NaN, as in every formula. np.where(x > 0, np.sqrt(x), 0)
has the gradient NaN at 0, whether it runs here, compiled or as printed source; `ag.detect_anomaly` names the square
root, and the remedy is to keep it away from 0: np.sqrt(np.where(x > 0, x, 1)).

Read next: `derivatives.py`, `anomaly.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from sys import getrefcount
from typing import Any

import numpy as np

from .anomaly import inspect, mark
from .primitives import PICK, Primitive
from .recording import Array, Mode, Node, describe_line, fingerprint, history, new_leaf, record, thread

Lift = Callable[[Any, Node], Any]
_ONE = {char: np.dtype(char).type(1) for char in "efdFD"}  # the seed of nearly every backward
_LAST = 1 << 62  # leaves wait behind all operations


def backward(root: Node, value: Array, gradient: Any = None, retain_graph: bool = False) -> None:
    """Add to every leaf's `grad` the derivative of `root` with respect to it."""
    if not root.requires_grad:
        raise RuntimeError(
            "backward: this tensor does not depend on anything that requires gradients. "
            "Make the parameters with ag.tensor(w, requires_grad=True), and compute outside ag.no_grad()."
        )
    seed = _ONE.get(value.dtype.char) if gradient is None and not value.ndim else None
    if seed is None:
        seed = make_seed(value, gradient, "backward")
    walk(root, seed, deliver, None, None, not retain_graph)


def make_seed(value: Any, gradient: Any, who: str) -> Any:
    """The gradient that the walk starts from: 1 for a scalar, else what the caller gave, of the result's shape."""
    if gradient is None:
        if value.size != 1:
            raise RuntimeError(
                f"{who} of a result of shape {value.shape} needs a seed: reduce it to a scalar first "
                f"(np.sum, np.mean), or pass gradient= of that shape."
            )
        return np.ones(value.shape, value.dtype) if value.ndim else value.dtype.type(1)
    gradient = np.asarray(gradient)
    if gradient.shape != value.shape:
        raise ValueError(f"{who}: gradient= has shape {gradient.shape}, the result has {value.shape}.")
    if gradient.dtype.kind not in ("biufc" if value.dtype.kind == "c" else "biuf"):
        raise TypeError(f"{who}: gradient= of dtype {gradient.dtype} for a result of {value.dtype}.")
    gradient = gradient.astype(value.dtype, copy=False)
    return np.conj(gradient) if gradient.dtype.kind == "c" else gradient


def deliver(leaf: Node, gradient: Any) -> None:
    """Leave a gradient in a leaf's `.grad`, in memory that nobody else can reach, adding to what is there."""
    if leaf.dtype.kind == "c":
        gradient = np.conj(gradient)
    if leaf.grad is not None:
        np.add(leaf.grad, gradient, out=leaf.grad)
    # A rule may hand on its g, an input or a view of one. If only the walk and this frame refer to an array, then the
    # last rule made it, and it can belong to this leaf.
    elif type(gradient) is np.ndarray and gradient.base is None and getrefcount(gradient) <= _ONLY_THE_WALKS:
        leaf.grad = gradient
    else:
        leaf.grad = np.array(gradient, order="C")


def walk(
    root: Node,
    seed: Any,
    found: Callable[[Node, Any], None],
    ends: set[Node] | None = None,
    lift: Lift | None = None,
    freeing: bool = False,
) -> None:
    """Send `seed` back from `root`; call `found(leaf, gradient)` wherever it arrives.

    Operations come newest first, leaves last, since a leaf's clock tells of its last write. With `ends`, the gradient
    goes to those nodes alone and no further. With `lift` (array, node -> tensor) the rules run on
    tensors and are recorded. With `freeing`, each node's values are dropped when they have been used.
    """
    wanted = None if ends is None else leading_to(root, ends)
    if thread.mode.anomaly:
        mark(history(root))
    table: dict[Node, Any] = {}
    waiting: list[tuple[float, Node]] = []
    node: Any = root
    parent: Any
    g = seed
    ahead_g: Any = None
    while True:
        primitive = node.primitive
        if node.notes is not None:
            g = _attended(node, g)
        ahead: Node | None = None  # in a chain the next node is known: it passes by the table
        if primitive is None or (ends is not None and node in ends):
            found(node, g)
        else:
            inputs = node.inputs
            when = node.when
            for leaf in node.guards:
                if leaf.when > when or leaf.guard is not None:
                    _check_unchanged(node, leaf)
            if inputs is None:
                raise _freed(node)
            y = node.value
            if lift is not None:
                inputs, y = _lifted(node, lift)
            settings = node.settings
            if settings and not settings.keys() <= primitive.takes:
                settings = {key: value for key, value in settings.items() if key in primitive.takes}
            if type(g) is list:
                g = _fill(node, g)
            parents = node.parents
            joint = None
            if primitive.joint is not None:
                if primitive.folded and not freeing:
                    y = [*y]  # of a row, whose rule uses up the list as it goes
                if primitive.asks_wanted:
                    wants = node.plan.wants if wanted is None else [parent in wanted for parent in parents]
                    if settings:
                        joint = [*primitive.joint(g, y, *inputs, wanted=wants, **settings)]
                    else:
                        joint = [*primitive.joint(g, y, *inputs, wanted=wants)]
                else:
                    joint = [*primitive.joint(g, y, *inputs, **settings or {})]
            rules = primitive.rules
            for i in node.plan.flows:
                parent = parents[i]
                if wanted is not None and parent not in wanted:
                    continue
                if joint is None:
                    result = rules[i](g, y, *inputs, **settings) if settings else rules[i](g, y, *inputs)
                else:
                    result = joint[i] if i < len(joint) else None
                    if result is None:
                        continue
                    joint[i] = None
                if result.shape != parent.shape or result.dtype is not parent.dtype:
                    if primitive is PICK:
                        result = _collect(table.get(parent), node, result)
                    else:
                        result = fit(result, parent, node, ends)
                if parent.primitive is None and parent.notes is None and wanted is None:
                    found(parent, result)
                elif parent is ahead:
                    ahead_g = ahead_g + result
                elif table and parent in table:
                    if type(result) is not list:
                        table[parent] = table[parent] + result
                elif ahead is None and not waiting:
                    ahead, ahead_g = parent, result
                else:
                    table[parent] = result
                    heappush(waiting, (-parent.when if parent.primitive else _LAST - parent.when, parent))
                result = None  # lest it counts as a reference when a leaf asks who else can reach its gradient
            if freeing:
                node.inputs = node.value = None
            y = inputs = joint = None
        if ahead is not None:
            if not waiting:
                node, g = ahead, ahead_g
                continue
            table[ahead] = ahead_g
            heappush(waiting, (-ahead.when if ahead.primitive else _LAST - ahead.when, ahead))
        if not waiting:
            return
        node = heappop(waiting)[1]
        g = table.pop(node)


def _collect(gradients: list[Any] | None, node: Node, gradient: Any) -> list[Any]:
    """The gradients of an operation's several results, gathered in one list."""
    whole = node.parents[0]
    assert whole is not None
    assert node.settings is not None
    if gradients is None:
        gradients = [None] * len(whole.shape)
    index = node.settings["index"]
    gradients[index] = gradient if gradients[index] is None else gradients[index] + gradient
    return gradients


def fit(gradient: Any, parent: Node, node: Node, ends: set[Node] | None) -> Any:
    """Undo what broadcasting and type promotion did to an input: sum to its shape, cast to its dtype.

    A gradient that is the same along some axes (that of a sum) stays small where the next rules are a ufunc's that did
    not broadcast, so that they give gradients as small; everywhere else it is repeated to the full shape.
    """
    shape = parent.shape
    if gradient.shape != shape:
        if shape != node.shape and node.primitive.elementwise and gradient.shape != node.shape:
            gradient = np.broadcast_to(gradient, node.shape)
        lead = gradient.ndim - len(shape)
        if lead > 0 or (lead == 0 and (gradient.size > parent.size > 0 or not gradient.size)):
            gradient = summed_to(gradient, shape)
        if gradient.shape != shape:
            if lead > 0:
                raise _misshapen(node, gradient.shape, shape)
            if not (
                parent.primitive is not None
                and parent.primitive.elementwise
                and parent.notes is None
                and (ends is None or parent not in ends)
                and _of_one_shape(parent)
            ):
                try:
                    gradient = np.broadcast_to(gradient, shape)
                except ValueError:
                    raise _misshapen(node, gradient.shape, shape) from None
    if gradient.dtype != parent.dtype:
        if gradient.dtype.kind == "c" and parent.dtype.kind != "c":
            gradient = np.real(gradient)
        gradient = gradient.astype(parent.dtype)
    return gradient


def _of_one_shape(node: Node) -> bool:
    """Whether no input that wants a gradient was broadcast."""
    for parent in node.parents:
        if parent is not None and parent.requires_grad and parent.shape != node.shape:
            return False
    return True


def _misshapen(node: Node, got: tuple[int, ...], shape: tuple[int, ...]) -> Exception:
    return ValueError(
        f"a gradient rule of {node.primitive.label} gave shape {got} for an input of shape {shape} ({node.line})."
    )


def summed_to(gradient: Any, shape: tuple[int, ...]) -> Any:
    """A gradient of a broadcast result, summed over the axes along which the input was repeated."""
    lead = gradient.ndim - len(shape)
    axes = tuple(range(lead)) + tuple(lead + i for i, n in enumerate(shape) if n == 1 and gradient.shape[lead + i] != 1)
    if lead and axes == tuple(range(lead)):
        return np.add.reduce(gradient, axis=axes if lead > 1 else 0)
    gradient = np.add.reduce(gradient, axis=axes, keepdims=True)
    return np.reshape(gradient, shape) if lead else gradient


def leading_to(root: Node, targets: set[Node]) -> set[Node]:
    """The nodes of a history through which `root` depends on `targets`, the targets included."""
    reached = set(targets)
    for node in history(root):
        if node.primitive is not None and node.primitive.differentiable and node.requires_grad:
            if any(parent in reached for parent in node.parents):
                reached.add(node)
    return reached


def _lifted(node: Node, lift: Lift) -> tuple[list[Any], Any]:
    """A node's inputs and result as tensors with their histories."""
    assert node.inputs is not None
    inputs = [
        value if parent is None or value is parent else lift(value, parent)
        for value, parent in zip(node.inputs, node.parents, strict=True)
    ]
    if not isinstance(node.value, tuple):
        return inputs, None if node.value is None else lift(node.value, node)
    picks = [
        record(PICK, PICK.plan(node.requires_grad, 1), each, [None], [node], False, {"index": i}, thread.mode, 2)
        for i, each in enumerate(node.value)
    ]
    return inputs, tuple(lift(each, pick) for each, pick in zip(node.value, picks, strict=True))


def _freed(node: Node) -> Exception:
    return RuntimeError(
        f"backward a second time through {node.primitive.label} ({node.line}): its history was freed by the first. "
        "Pass retain_graph=True to the first backward, or compute the result again."
    )


def _check_unchanged(node: Node, leaf: Node) -> None:
    """Raise if a leaf's values are no longer what an operation recorded."""
    if leaf.when > node.when or fingerprint(leaf.array) != leaf.guard:
        label = f"the leaf {leaf.name!r}" if leaf.name else f"an array of shape {leaf.shape}"
        written = leaf.written
        by = f" by {describe_line(*written[1:])}" if written is not None and written[0] == leaf.when else ""
        raise RuntimeError(
            f"{label} was written to after {node.primitive.label} recorded it ({node.line}){by}, so the gradient would "
            "be wrong. Call backward before the write, or compute again after it."
        )


def _attended(node: Node, gradient: Any) -> Any:
    """The gradient of a node that somebody takes an interest in: hooks may replace it, and anomaly mode looks at it."""
    for hook in node.hooks or ():
        if isinstance(gradient, (np.ndarray, np.generic)):
            gradient = _hooked(node, hook, gradient)
        elif hook is not None:  # in a lifted walk, a tensor or the tensors of several results
            replaced = hook(gradient)
            gradient = gradient if replaced is None else replaced
    if "kept" in (node.notes or ()):
        inspect(node, gradient)
    return gradient


def _hooked(node: Node, hook: Callable[[Array], Array | None] | None, gradient: Any) -> Any:
    """A gradient after one hook, which sees it as `.grad` would show it, in an array of its own."""
    shown = np.conj(gradient) if gradient.dtype.kind == "c" else np.array(gradient)
    if hook is None:
        node.grad = shown if node.grad is None else node.grad + shown
        return gradient
    shown.flags.writeable = False
    replaced = hook(shown)
    if replaced is None:
        return gradient
    replaced = np.asarray(replaced, node.dtype)
    if replaced.shape != node.shape:
        raise ValueError(f"a hook gave a gradient of shape {replaced.shape} for a tensor of shape {node.shape}.")
    return np.conj(replaced) if replaced.dtype.kind == "c" else replaced


def _fill(node: Node, gradients: list[Any]) -> tuple[Any, ...]:
    """Zeros for the results of a many-valued operation that nothing used."""
    return tuple(
        np.zeros(shape, node.dtype) if g is None else g for g, shape in zip(gradients, node.shape, strict=True)
    )


def _references() -> int:
    """What `getrefcount` tells `deliver` of an array that only the walk knows: Pythons differ in it."""
    counts: list[int] = []
    negative = Primitive(np.negative, (lambda g, y, x: -g,))
    leaf = new_leaf(np.zeros(1), requires_grad=True)
    node = record(negative, negative.plan(1, 1), leaf.array, [leaf.array], [leaf], True, None, Mode(), 1)
    walk(node, np.ones(1), lambda leaf, gradient: counts.append(getrefcount(gradient)))
    return counts[0]


_ONLY_THE_WALKS = _references()
