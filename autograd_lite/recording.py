"""How a computation remembers itself: nodes, the clock, and the modes that decide what is recorded.

Every tensor points at a `Node`. A leaf stands for an array that exists in its own right (data, a parameter); every
other node stands for the result of one operation and points at the nodes of its inputs. Nodes hold plain data:
the primitive, its inputs, its settings. There are no closures and no references from an input to its results,
so reference counting alone frees a history.

One clock numbers everything. A result is always younger than its inputs, so "newest first" is an order in
which gradients can flow back; and a write is stamped with the same clock, so "written after it was recorded"
is one comparison.

Read next: `primitives.py` (what an operation is), `tensors.py` (how operations come to be recorded).
"""

from __future__ import annotations

import copy
import itertools
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ContextDecorator, contextmanager
from functools import lru_cache
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from .primitives import Primitive

Array: TypeAlias = np.ndarray[Any, Any]
tick: Callable[[], int] = itertools.count(1).__next__

SMALL = 1 << 17  # bytes: below this, copying a user's array costs less than fingerprinting it


class Mode:
    """What one thread records at the moment: an immutable set of switches, swapped as a whole."""

    __slots__ = ("anomaly", "enabled", "plain", "precise", "scope", "tracing")

    def __init__(
        self, enabled: bool = True, tracing: bool = False, anomaly: bool = False, scope: tuple[str, ...] = ()
    ) -> None:
        self.enabled = enabled
        self.tracing = tracing
        self.anomaly = anomaly
        self.scope = scope
        self.precise = tracing or anomaly
        self.plain = enabled and not self.precise

    def but(self, **changes: Any) -> Mode:
        """The same switches, some of them changed."""
        now: dict[str, Any] = {
            "enabled": self.enabled, "tracing": self.tracing, "anomaly": self.anomaly, "scope": self.scope,
        }  # fmt: skip
        return Mode(**(now | changes))


class _Thread(threading.local):
    mode = Mode()


thread = _Thread()


@contextmanager
def switched(**changes: Any) -> Iterator[None]:
    """Run a block with some switches of this thread's mode changed."""
    before = thread.mode
    thread.mode = before.but(**changes)
    try:
        yield
    finally:
        thread.mode = before


@lru_cache(64)
def _enabled(mode: Mode, enabled: bool) -> Mode:
    return mode.but(enabled=enabled)


class no_grad(ContextDecorator):
    """Compute without recording: nothing inside can be differentiated. For this thread only. Also a decorator.

    >>> import autograd_lite as ag
    >>> w = ag.tensor([1.0, 2.0], requires_grad=True)
    >>> with ag.no_grad():
    ...     y = w * 2
    >>> y.requires_grad
    False
    """

    enabled = False
    before: Any = None  # the mode outside, and what this was before: one object may be entered again inside itself

    def __enter__(self) -> None:
        self.before = thread.mode, self.before
        thread.mode = _enabled(thread.mode, self.enabled)

    def __exit__(self, *exc: object) -> None:
        thread.mode, self.before = self.before

    def _recreate_cm(self) -> no_grad:
        return type(self)()


class enable_grad(no_grad):
    """Record again inside a `no_grad` block. For this thread only.

    >>> import autograd_lite as ag
    >>> w = ag.tensor(1.0, requires_grad=True)
    >>> with ag.no_grad(), ag.enable_grad():
    ...     y = w * 2
    >>> y.requires_grad
    True
    """

    enabled = True


def is_grad_enabled() -> bool:
    """Whether operations of this thread are being recorded.

    >>> import autograd_lite as ag
    >>> ag.is_grad_enabled()
    True
    """
    return thread.mode.enabled


@contextmanager
def scope(name: str) -> Iterator[None]:
    """Put the operations of a block into a named frame of the picture and of the Program.

    >>> import numpy as np, autograd_lite as ag
    >>> def f(x):
    ...     with ag.scope("square"):
    ...         return x * x
    >>> ag.trace(f, np.ones(2)).operations[0].scope
    ('square',)
    """
    with switched(scope=(*thread.mode.scope, name)):
        yield


class Recorded:
    """The base of Tensor: lets everything below it recognise a tensor without knowing what one can do."""

    __slots__ = ("__weakref__", "_data", "_node", "_view")
    _data: Array
    _node: Node
    _view: Any
    _apply: Callable[..., Any]
    _array: Callable[..., Array]


def _note(key: str) -> Any:
    """A field that few nodes have: kept in a dictionary, which the others do without."""

    def read(node: Any) -> Any:
        return None if node.notes is None else node.notes.get(key)

    def write(node: Any, value: Any) -> None:
        node.notes = {**(node.notes or {}), key: value}

    return property(read, write)


class Node:
    """A place in a history: an array that no operation made (`new_leaf`), or the record of one operation.

    Of an operation, `inputs` and `value` hold only what the gradient rules read; `backward` drops them and leaves the
    structure (primitive, parents, shapes), so that a freed history can still be drawn. Its `when` is when it ran.

    A leaf has no `primitive`. Its `when` is the clock of the last write and `written` its line, with the clock again,
    since not every write notes one; `guard` is a fingerprint of an array that belongs to the user, and `live` says that
    results computed from it are recorded.

    Both are of one class because every operation asks its inputs' nodes, and Python answers twice as fast where it
    always meets the same class.
    """

    __slots__ = (
        "__weakref__", "_code", "_instruction", "_scope", "array", "dtype", "grad", "guard", "guards", "inputs", "live",
        "name", "notes", "parents", "plan", "primitive", "requires_grad", "settings", "shape", "value", "when",
        "written",
    )  # fmt: skip
    primitive: Any  # the Primitive that ran, None for a leaf: whoever reads more of it knows which it has
    parents: Sequence[Node | None]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    requires_grad: bool
    live: bool
    name: str | None
    when: float
    grad: Array | None
    notes: dict[str, Any] | None
    # of an operation alone
    inputs: Sequence[Any] | None
    settings: dict[str, Any] | None
    value: Any
    plan: Plan
    guards: Sequence[Node]
    _code: CodeType
    _instruction: int
    _scope: tuple[str, ...]
    # of a leaf alone
    array: Array
    guard: int | None
    written: tuple[int, CodeType, int] | None

    hooks = _note("hooks")

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of entries."""
        return math.prod(self.shape)

    def place(self, frame: FrameType) -> None:
        """Note the line that is being executed in `frame`: always in a trace and in anomaly mode, and otherwise only
        where a later write could spoil what was recorded, since it costs a tenth of a small operation."""
        if OURS[frame.f_code.co_filename]:  # a method or a composition: the line is its caller's
            frame = users_frame(frame)
        self._code = frame.f_code
        self._instruction = frame.f_lasti

    @property
    def code(self) -> CodeType | None:
        """The code object that the operation stands in, if it was noted."""
        return getattr(self, "_code", None)

    @property
    def instruction(self) -> int:
        """The instruction within `code`."""
        return self._instruction

    @property
    def scope(self) -> tuple[str, ...]:
        """The names of the modules and `ag.scope` blocks that the operation was traced in."""
        return getattr(self, "_scope", ())

    @property
    def line(self) -> str:
        """Where the operation stands in the user's code: 'file.py:12: z = np.exp(x)'."""
        if self.code is None:
            return "a line that only ag.detect_anomaly() notes"
        return describe_line(self.code, self.instruction)


def new_leaf(array: Array, requires_grad: bool = False, name: str | None = None, live: bool = False) -> Node:
    """The node of an array that exists in its own right: data, a parameter, an input of a trace."""
    node = Node()
    node.primitive = None
    node.parents = ()
    node.array = array
    node.shape = array.shape
    node.dtype = array.dtype
    node.requires_grad = requires_grad
    node.live = live or requires_grad
    node.name = name
    node.grad = node.guard = node.written = node.notes = None
    node.when = tick()
    return node


class Plan:
    """What to do with an operation, given which of its inputs require gradients: what its rules read and has to be
    kept (`keeps_result`, `reads`), and where gradients flow (`wants`; `flows` are the positions of these inputs)."""

    __slots__ = (
        "differentiable", "flows", "keeps_result", "leaves_out", "reads", "reads_first", "reads_second", "wants",
    )  # fmt: skip

    def __init__(self, wants: tuple[bool, ...], keeps_result: bool, reads: tuple[int, ...]) -> None:
        count = len(wants)
        self.wants = wants
        self.flows = tuple(i for i, want in enumerate(wants) if want)
        self.differentiable = any(wants)
        self.keeps_result = keeps_result
        self.reads = reads
        self.leaves_out = tuple(i for i in range(count) if i not in reads)
        self.reads_first = 0 in reads
        self.reads_second = 1 in reads


def record(
    primitive: Primitive,
    plan: Plan,
    value: Any,
    values: list[Any],
    parents: list[Any],
    leafy: bool,
    settings: dict[str, Any] | None,
    mode: Mode,
    depth: int,
    owners: Sequence[tuple[int, Node]] = (),
) -> Node:
    """The node of one operation, keeping of its inputs and its result what the gradient rules will read.

    `leafy` says that arrays which can be written to are among the inputs, `owners` in which leaves' memory views among
    them lie; `depth` is the number of frames up to the caller whose line is recorded.
    """
    node = Node()
    node.guards = _guard(plan, values, parents, owners, mode.tracing) if leafy or owners else ()
    for i in plan.leaves_out if not mode.tracing else ():
        if parents[i] is not None:
            values[i] = parents[i]
    node.primitive = primitive
    node.parents = tuple(parents)
    node.inputs = tuple(values)
    node.settings = settings if settings is None or mode.tracing else _settled(settings)
    node.value = value if plan.keeps_result or mode.tracing else None
    node.shape = value.shape
    node.dtype = value.dtype
    node.requires_grad = plan.differentiable
    node.plan = plan
    node.live = True
    node.name = node.grad = node.notes = None
    if mode.precise:
        node._scope = mode.scope
        node.place(sys._getframe(depth))
        if mode.anomaly:
            node.notes = {"kept": fingerprints(node)}
    elif node.guards and not primitive.internal:
        node.place(sys._getframe(depth))
    node.when = tick()
    return node


def _settled(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings that the user cannot change any more: a list of axes, an array of counts become private copies."""
    for value in settings.values():
        if type(value) in _CHANGEABLE:
            return {key: copy.deepcopy(each) if type(each) in _CHANGEABLE else each for key, each in settings.items()}
    return settings


_CHANGEABLE = frozenset({list, np.ndarray, dict})


def _guard(
    plan: Plan, values: list[Any], parents: list[Any], owners: Sequence[tuple[int, Node]], everything: bool
) -> tuple[Node, ...]:
    """The leaves whose values will be read; a user's own array becomes one here."""
    guards = [leaf for i, leaf in owners if everything or i in plan.reads]
    for i, parent in enumerate(parents):
        read = everything or i in plan.reads
        if parent is None and type(values[i]) is np.ndarray:
            parents[i] = leaf = remember(values[i]) if read else new_leaf(values[i])
            values[i] = leaf.array
            if leaf.guard is not None:
                guards.append(leaf)
        elif read and parent is not None and parent.primitive is None:
            guards.append(parent)
    return tuple(guards)


def unfold(node: Node) -> None:
    """Before a history is looked at: put the operations of a row (`rows.py`) in the place of the node of them all."""
    if node.primitive is not None and node.primitive.folded:
        node.primitive.unfold(node)


def history(root: Node) -> list[Node]:
    """Every node that `root` was computed from, oldest first, `root` last."""
    seen = {root: True}  # a dictionary, because the order of a set differs from run to run
    stack = [root]
    while stack:
        node = stack.pop()
        unfold(node)
        for parent in node.parents:
            if parent is not None and parent not in seen:
                seen[parent] = True
                stack.append(parent)
    return sorted(seen, key=lambda node: node.when if node.parents else 0)


_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_PACKAGES = (
    *(os.path.join(_HERE, package) + os.sep for package in ("autograd_lite", "nn")),
    os.path.dirname(np.__file__) + os.sep,
)


class _Ours(dict[str, bool]):
    """Whether a file is this library's own or NumPy's, asked once for each."""

    def __missing__(self, filename: str) -> bool:
        self[filename] = filename.startswith(_PACKAGES)
        return self[filename]


OURS = _Ours()


def users_frame(frame: FrameType) -> FrameType:
    """The innermost frame that is neither this library's own nor NumPy's."""
    while OURS[frame.f_code.co_filename] and frame.f_back is not None:
        frame = frame.f_back
    return frame


def describe_line(code: CodeType, instruction: int) -> str:
    """'file.py:12: the line itself' for an instruction of a code object."""
    number = next((n for start, end, n in code.co_lines() if start <= instruction < end and n), code.co_firstlineno)
    import linecache  # a dear import that only a message needs

    text = linecache.getline(code.co_filename, number).strip()
    place = f"{os.path.basename(code.co_filename)}:{number}"
    return f"{place}: {text}" if text else place


def here() -> str:
    """The user's line that is being executed."""
    frame = users_frame(sys._getframe(1))
    return describe_line(frame.f_code, frame.f_lasti)


_CHUNK = 1 << 16  # words
_ODD: Array = np.empty(0, np.uint64)


def fingerprint(array: Array) -> int:
    """A number that a change of an array's bytes changes, and a change of their order: the chance to miss one is 2^-32.

    Words are summed, each times its own odd number. The top bits of a word reach the top bits of the sum alone, where
    two flipped signs would cancel; so the words that begin half a word later are summed as well.
    """
    global _ODD
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    count = flat.size // 8
    if _ODD.size < min(count, _CHUNK):
        random = np.random.default_rng(0).integers(0, 2**63, min(2 * count, _CHUNK), np.uint64)
        _ODD = random * np.uint64(2) + np.uint64(1)
    sums = [flat.size, int.from_bytes(flat[count * 8 :].tobytes(), "little") if flat.size % 8 else 0]
    for first, last in (0, count * 8), (4, max(4, count * 8 - 4)):
        words = flat[first:last].view(np.uint64)
        for start in range(0, words.size, _CHUNK):
            part = words[start : start + _CHUNK]
            sums.append(np.dot(part, _ODD[: part.size]))
    return hash(tuple(sums))


def fingerprints(node: Node) -> list[int | None]:
    """Of everything that a node keeps: its inputs, and its result or results."""
    results = node.value if isinstance(node.value, tuple) else (node.value,)
    return [fingerprint(each) if isinstance(each, np.ndarray) else None for each in (*(node.inputs or ()), *results)]


def remember(array: Array) -> Node:
    """A leaf for a user's own array: a private copy when it is small, a fingerprint when it is large."""
    if array.nbytes <= SMALL:
        return new_leaf(array.copy())
    leaf = new_leaf(array)
    leaf.guard = fingerprint(array)
    return leaf
