"""In-place writes and views: `x += y`, `x[i] = v`, and every name for the same values sees the change.

An array with a history is never written to. A write makes a new array, points the handle at it, and a view that was
taken before finds out, when it is next used, that its base has changed, and becomes the view of the new values. Writing
through a view writes to its base. A leaf's array is written in place, and the write is stamped.

Read next: `tensors.py`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .primitives import Primitive
from .recording import AnyNode, Leaf, Recorded, here, thread, tick
from .rules.index import SETITEM, has_tensor, split_index
from .rules.shape import ASTYPE


class View(NamedTuple):
    """How a tensor came to be a view: enough to make it again when its base has changed.

    Without a primitive it is a detached handle of the same array, which follows the array and not the base.
    """

    base: Any
    primitive: Primitive | None
    rest: tuple[Any, ...]
    settings: dict[str, Any] | None
    seen: AnyNode


def link(result: Recorded, primitive: Primitive, args: tuple[Any, ...], settings: dict[str, Any] | None) -> None:
    """Remember that `result` is a view of its first argument, if it shares that argument's memory."""
    base = args[0]
    if isinstance(base, Recorded) and result._data.base is not None and np.may_share_memory(result._data, base._data):
        result._view = View(base, primitive, args[1:], settings, base._node)


def follow(handle: Recorded) -> None:
    """If what this tensor is a view of has been pointed at new values, become the view of those."""
    view = handle._view
    if view is None:
        return
    base = view.base
    follow(base)
    if base._node is view.seen:
        return
    if view.primitive is None:
        handle._view = None
        return
    again = handle._apply(view.primitive, (base, *view.rest), view.settings)
    handle._data, handle._node, handle._view = again._data, again._node, again._view


def stamp(handle: Recorded) -> None:
    """Note the time of a write into a leaf's array: histories recorded before it no longer hold."""
    now = tick()
    while True:
        if type(handle._node) is Leaf:
            handle._node.when = now
        if handle._view is None:
            return
        handle = handle._view.base


def update(handle: Recorded, primitive: Primitive, other: Any) -> Any:
    """`handle += other` and its like: into the array where nothing of it is recorded, else as a new value."""
    follow(handle)
    if not (isinstance(primitive.function, np.ufunc) and _in_memory(handle, other)):
        return assign(handle, handle._apply(primitive, (handle, other)))
    _check_writable(handle)
    memory = _memory(handle)
    primitive.function(memory, other._data if isinstance(other, Recorded) else other, out=memory)
    stamp(handle)
    return handle


def assign(handle: Recorded, new: Any) -> Any:
    """Make this handle, and every view of the same values, see `new`."""
    follow(handle)
    if new.shape != handle._data.shape:
        raise ValueError(f"in-place: a result of shape {new.shape} does not fit into {handle._data.shape}.")
    if not np.can_cast(new.dtype, handle._data.dtype, "same_kind"):
        raise TypeError(f"in-place: {new.dtype} does not go into a tensor of {handle._data.dtype}; write x = x + ...")
    _check_writable(handle)
    if _in_memory(handle, new):
        np.copyto(_memory(handle), new._data, casting="same_kind")
        stamp(handle)
        return handle
    if new.dtype != handle._data.dtype:
        new = handle._apply(ASTYPE, (new,), {"dtype": handle._data.dtype})
    view = handle._view
    if view is None or view.primitive is None:
        handle._data, handle._node, handle._view = new._data, new._node, None
        return handle
    if not handle._data.flags.writeable:
        raise ValueError("in-place: this view is read-only (broadcast or diagonal); copy it first.")
    assign(view.base, _write_through(view, new))
    follow(handle)
    return handle


def setitem(handle: Recorded, index: Any, value: Any) -> None:
    """`handle[index] = value`."""
    follow(handle)
    _check_writable(handle)
    plain = not has_tensor(index)
    if plain and _in_memory(handle, value):
        _memory(handle)[index] = value._data if isinstance(value, Recorded) else value
        stamp(handle)
        return
    arrays, template = split_index(index)
    assign(handle, handle._apply(SETITEM, (handle, value, *arrays), {"index": template}))


def _write_through(view: View, new: Any) -> Any:
    """The base's values with those that the view shows replaced: the view's own rule sends them to their places."""
    primitive = view.primitive
    assert primitive is not None
    settings = {key: value for key, value in (view.settings or {}).items() if key in primitive.takes}

    def placed(shown: Any) -> Any:
        if primitive.joint is not None:
            return primitive.joint(shown, None, view.base, *view.rest, **settings)[0]
        return primitive.rules[0](shown, None, view.base, *view.rest, **settings)  # type: ignore[misc]  # a view has one

    return np.where(placed(np.ones(new.shape, bool)), placed(new), view.base)


def _in_memory(handle: Recorded, new: Any) -> bool:
    """Whether a write goes straight into the array: a leaf, and nothing about the write is recorded."""
    if type(handle._node) is not Leaf:
        if not thread.mode.enabled and not thread.mode.tracing:
            raise RuntimeError(
                f"in-place write inside no_grad to a tensor with a history ({here()}) would cut that history: "
                "write x = x + ... for a new tensor."
            )
        return False
    if isinstance(new, Recorded) and new._node.live and (thread.mode.enabled or thread.mode.tracing):
        return False
    return not (thread.mode.tracing and handle._node.live)


def _memory(handle: Recorded) -> Any:
    """The array to write into; a detached result's is copied first, for its history still needs the old values."""
    if not handle._data.flags.writeable:
        if handle._view is not None:
            raise ValueError("in-place: this view is read-only (broadcast or diagonal); copy it first.")
        handle._data = handle._data.copy()
        handle._node = Leaf(handle._data, name=handle._node.name)
    return handle._data


def _check_writable(handle: Recorded) -> None:
    base = handle
    while base._view is not None:
        base = base._view.base
    node = base._node
    if type(node) is Leaf and node.requires_grad and thread.mode.enabled:
        label = f" {node.name!r}" if node.name else ""
        raise RuntimeError(
            f"in-place write to the leaf{label}, which requires gradients ({here()}): "
            "update it inside `with ag.no_grad():`, or write x = x + ... for a new tensor."
        )
