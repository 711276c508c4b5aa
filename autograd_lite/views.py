"""In-place writes and views: `x += y`, `x[i] = v`, and every name for the same values sees the change.

An array with a history is never written to. A write makes a new array, points the handle at it, and a view that was
taken before finds out, when it is next used, that the handle it ends at has changed, and becomes the view of the new
values. Writing through a view writes to what it is a view of. A leaf's array is written in place: the write is stamped
on the leaf that owns the memory, and every operation that recorded any view of that memory looks at that stamp.

Read next: `tensors.py`.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import ref

import numpy as np

from .boundary import LITERALS, foreign
from .primitives import Primitive
from .recording import Array, Node, Recorded, here, new_leaf, thread, tick, users_frame
from .rules.index import GETITEM, SETITEM, has_tensor, split_index
from .rules.shape import ASTYPE


class View(NamedTuple):
    """How a tensor came to be a view: enough to make it again when `root`, the last of its bases, has changed."""

    base: Any
    primitive: Primitive
    rest: tuple[Any, ...]
    settings: dict[str, Any] | None
    root: Any
    seen: Node  # the root's node when the view was made


class Alias(NamedTuple):
    """A detached name for another handle's array; weak, so that a number kept for a report keeps no history."""

    base: ref[Any]
    seen: ref[Node]
    leaf: Node | None  # the base's node, if the array is a leaf's


class _Watch(threading.local):
    """Where a trace finds the tensors that were pointed at new values, with what they held before."""

    written: dict[Recorded, tuple[Array, Node]] | None = None


watch = _Watch()


def link(result: Recorded, primitive: Primitive, args: tuple[Any, ...], settings: dict[str, Any] | None) -> None:
    """Remember that `result` is a view of its first argument, if it shares that argument's memory."""
    base = args[0]
    if isinstance(base, Recorded) and (result._data.base is not None or result._data is base._data):
        if np.may_share_memory(result._data, base._data):
            root = base._view.root if type(base._view) is View else base
            result._view = View(base, primitive, args[1:], settings, root, root._node)


def follow(handle: Recorded) -> None:
    """If what this tensor is a view of has been pointed at new values, become the view of those."""
    view = handle._view
    if type(view) is View:
        root = view.root
        if root._view is not None:
            follow(root)
        if root._node is view.seen:
            return
        stale = []
        while handle is not root and handle._view.seen is not root._node:
            stale.append(handle)
            handle = handle._view.base
        for each in reversed(stale):
            view = each._view
            again = each._apply(view.primitive, (view.base, *view.rest), view.settings)
            each._data, each._node, each._view = again._data, again._node, again._view
    elif view is not None:
        base = view.base()
        if base is not None and base._node is not view.seen():
            show(handle, base)


def show(handle: Recorded, base: Recorded) -> None:
    """Make `handle` a detached name for the array of `base`, which is no view."""
    node = base._node
    handle._data = base._data
    if node.primitive is not None:
        handle._data = base._data.view()
        handle._data.flags.writeable = False
    handle._node = new_leaf(handle._data)
    handle._view = Alias(ref(base), ref(node), node if node.primitive is None else None)


def detached(handle: Recorded, blank: Callable[[], Any]) -> Any:
    """A detached name for the values of a handle: for a view, the same view of a detached name for its root.

    `blank()` makes an empty handle.
    """
    follow(handle)
    chain = []
    while type(handle._view) is View:
        chain.append(handle._view)
        handle = handle._view.base
    result = blank()
    if handle._view is None:
        show(result, handle)
    else:
        result._data, result._node, result._view = handle._data, new_leaf(handle._data), handle._view
    for view in reversed(chain):
        result = result._apply(view.primitive, (result, *view.rest), view.settings)
    return result


def owner(handle: Recorded) -> Node | None:
    """The leaf in whose memory a handle's values lie, or None if an operation made that memory."""
    view = handle._view
    if type(view) is View:
        handle = view.root
        view = handle._view
    node = handle._node if view is None else view.leaf
    return node if node is not None and node.primitive is None else None


def stamp(handle: Recorded) -> None:
    """Note the time and the line of a write into a leaf's array: histories recorded before it no longer hold."""
    leaf = owner(handle)
    if leaf is not None:
        frame = users_frame(sys._getframe(1))
        leaf.when = tick()
        leaf.written = leaf.when, frame.f_code, frame.f_lasti


def update(handle: Recorded, primitive: Primitive, other: Any) -> Any:
    """`handle += other` and its like: into the array where nothing of it is recorded, else as a new value."""
    follow(handle)
    if not (isinstance(primitive.called, np.ufunc) and _in_memory(handle, other)):
        return assign(handle, handle._apply(primitive, (handle, other)))
    _check_writable(handle)
    memory = _memory(handle)
    primitive.called(memory, _plain(other, primitive), out=memory)
    stamp(handle)
    return handle


def assign(handle: Recorded, new: Any) -> Any:
    """Make this handle, and every view of the same values, see `new`."""
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
    target = handle
    while type(target._view) is View:
        if not target._data.flags.writeable:
            raise _read_only()
        new = _write_through(target._view, new)
        target = target._view.base
    if target._view is not None:
        raise RuntimeError(
            f"in-place write of a value with a history to a detached tensor ({here()}): what it was detached from "
            "could not follow. Write x = x + ... for a new tensor, or copy it first: x.detach().copy()."
        )
    if watch.written is not None:
        watch.written.setdefault(target, (target._data, target._node))
    if new._data.strides == target._data.strides:
        target._data = new._data
    else:  # a reshape is a view, or is not, as it was and would be of the array that was there
        target._data = np.empty_like(target._data)
        np.copyto(target._data, new._data)
    target._node = new._node
    follow(handle)
    return handle


def setitem(handle: Recorded, index: Any, value: Any) -> None:
    """`handle[index] = value`."""
    follow(handle)
    _check_writable(handle)
    if not has_tensor(index) and _in_memory(handle, value):
        _memory(handle)[index] = _plain(value, SETITEM)
        stamp(handle)
        return
    arrays, template = split_index(index)
    if isinstance(value, Recorded) and type(value._view) is View and not arrays:
        view = value._view
        if view.base is handle and view.primitive is GETITEM and view.settings == {"index": template}:
            return  # x[i] += v, which Python runs as t = x[i]; t += v; x[i] = t: the second step has written to x
    assign(handle, handle._apply(SETITEM, (handle, value, *arrays), {"index": template}))


def _plain(value: Any, primitive: Primitive) -> Any:
    """What is written into an array: a tensor's values, or plain numbers."""
    if isinstance(value, Recorded):
        follow(value)
        return value._data
    return value if type(value) in LITERALS else foreign(value, primitive)


def _write_through(view: View, new: Any) -> Any:
    """The base's values with those that the view shows replaced: the view's own rule sends them to their places."""
    primitive = view.primitive
    settings = {key: value for key, value in (view.settings or {}).items() if key in primitive.takes}

    def placed(shown: Any) -> Any:
        if primitive.joint is not None:
            return primitive.joint(shown, None, view.base, *view.rest, **settings)[0]
        return primitive.rules[0](shown, None, view.base, *view.rest, **settings)  # type: ignore[misc]  # a view has one

    return np.where(placed(np.ones(new.shape, bool)), placed(new), view.base)


def _in_memory(handle: Recorded, new: Any) -> bool:
    """Whether a write goes straight into the array: a leaf's, and nothing about the write is recorded."""
    recording = thread.mode.enabled or thread.mode.tracing
    if owner(handle) is None:
        if handle._node.primitive is None:
            raise RuntimeError(
                f"in-place write to a detached tensor ({here()}) would change the array of the history that it was "
                "detached from: copy it first, x.detach().copy()."
            )
        if not recording:
            raise RuntimeError(
                f"in-place write inside no_grad to a tensor with a history ({here()}) would cut that history: "
                "write x = x + ... for a new tensor."
            )
        return False
    if isinstance(new, Recorded) and new._node.live and recording:
        return False
    return not thread.mode.tracing  # a trace keeps every value that an operation has read


def _memory(handle: Recorded) -> Array:
    if not handle._data.flags.writeable:
        raise _read_only()
    return handle._data


def _read_only() -> Exception:
    return ValueError(f"in-place: this view is read-only, as that of np.broadcast_to is ({here()}); copy it first.")


def _check_writable(handle: Recorded) -> None:
    if not thread.mode.enabled:
        return
    root = handle._view.root if type(handle._view) is View else handle
    for node in (handle._node, root._node):
        if node.primitive is None and node.requires_grad:
            label = f" {node.name!r}" if node.name else ""
            raise RuntimeError(
                f"in-place write to the leaf{label}, which requires gradients ({here()}): "
                "update it inside `with ag.no_grad():`, or write x = x + ... for a new tensor."
            )
