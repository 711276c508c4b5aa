"""One run of a function, and the way back through it: what all derivatives of functions have in common.

A function runs on handles of its arguments. A handle is a copy operation, so that the way back ends at it although an
outer derivative goes on through it to what was copied; that keeps nested derivatives apart. On the way back the rules
run on arrays, at NumPy's speed, except where a value they read depends on something live from outside: there they run
on tensors and are recorded.

Complex numbers: the gradient of a real L is dL/d(re z) + i dL/d(im z), the direction of steepest ascent (torch's
convention), so that z - rate * gradient descends. The rules carry the plain derivative: seeds are conjugated where they
enter (`_enter`), gradients where they leave (`_leave`).

Read next: `derivatives.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .backward import walk
from .boundary import numbers
from .primitives import PICK
from .recording import Array, Node, new_leaf, switched, thread, tick, unfold
from .rules.shape import COPY
from .tensors import Tensor, constant, wrap
from .trees import Structure, flatten, paths, unflatten
from .views import follow


class Trail:
    """What some results were computed from since `start`, and the way back through it.

    `outer(node)` says which leaves, and which nodes from before `start`, count as live outside.
    """

    def __init__(self, results: list[Any], start: int, outer: Callable[[Node], bool]) -> None:
        self.differentiable = [each._node.primitive is not None and each.requires_grad for each in results]
        sources = [each for each, wanted in zip(results, self.differentiable, strict=True) if wanted]
        self._single = len(results) == 1
        if sources and not self._single:
            sources = [np.concatenate([np.ravel(each) for each in sources])]
        self.root: Node | None = sources[0]._node if sources else None
        self.outside, self.border = behind([each._node for each in (*results, *sources)], start, outer)

    def back(self, seeds: list[Any], ends: Iterable[Node], freeing: bool = False) -> dict[Node, Any]:
        """The plain gradients that arrive at `ends` when each result sends its seed back."""
        found: dict[Node, Any] = {}
        sent = [seed for seed, wanted in zip(seeds, self.differentiable, strict=True) if wanted]
        if self.root is not None:
            seed = sent[0] if self._single else np.concatenate([np.ravel(each) for each in sent])
            lift = self._lift if self.outside and recording() else None
            walk(self.root, seed, found.__setitem__, set(ends), lift, freeing=freeing and lift is None)
        return found

    def _lift(self, value: Any, node: Node) -> Any:
        """A recorded value as the rules shall see it: a tensor where it depends on something outside."""
        source = node.parents[0] if node.primitive is PICK else node
        return wrap(value, node) if source in self.outside else value


def recording() -> bool:
    """Whether this thread records what is computed on live tensors."""
    return thread.mode.enabled or thread.mode.tracing


def behind(results: list[Node], start: int, outer: Callable[[Node], bool]) -> tuple[set[Node], dict[Node, None]]:
    """The nodes behind `results` (which are among them) that depend on something outer, and the outer ones alone."""
    seen: set[Node] = set()
    inside: list[Node] = []
    border: dict[Node, None] = {}  # in the order in which they are met, which a set would not keep
    waiting: list[Node | None] = list(results)
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.primitive is not None and node.when > start:
            unfold(node)
            inside.append(node)
            waiting.extend(node.parents)
        elif outer(node):
            border[node] = None
    outside = set(border)
    if outside:
        for each in sorted(inside, key=lambda node: node.when):
            if any(parent in outside for parent in each.parents):
                outside.add(each)
    return outside, border


class Run:
    """One run of `f` on handles of the arguments at the positions `chosen`."""

    def __init__(self, who: str, f: Callable[..., Any], args: Any, chosen: tuple[int, ...], kwargs: Any = None) -> None:
        self._who = who
        start = tick()
        given = list(args)
        handles: list[Tensor] = []
        self._structures: list[Structure] = []
        with switched(enabled=True):
            for i in chosen:
                leaves, structure = flatten(args[i])
                made = [_handle(leaf, label(who, i, path)) for leaf, path in zip(leaves, paths(structure), strict=True)]
                given[i] = unflatten(structure, made)
                handles += made
                self._structures.append(structure)
            self.ends = [handle._node for handle in handles]  # before f, where x += 1 moves a handle to another node
            values, self.structure = flatten(f(*given, **kwargs or {}))
            self._results = [_result(value, who) for value in values]
            self.trail = Trail(self._results, start, lambda node: node.live)
        self.arrays = [each._array() for each in self._results]

    def values(self) -> Any:
        """What f returned: tensors where it depends on something live outside, else arrays of the caller's own."""
        outside = self.trail.outside if recording() else ()
        return unflatten(
            self.structure,
            [
                wrap(array, each._node) if each._node in outside else array.copy()
                for each, array in zip(self._results, self.arrays, strict=True)
            ],
        )

    def unit(self) -> Array:
        """The seed of a result that is one real number; raises RuntimeError if it is not."""
        if len(self.arrays) != 1 or self.arrays[0].size != 1:
            shapes = ", ".join(str(each.shape) for each in self.arrays)
            raise RuntimeError(
                f"{self._who}: the function's result has shape {shapes or 'of nothing'}, and only a scalar has a "
                "gradient: reduce it (np.sum, np.mean) and return it alone, or use ag.jacobian or ag.vjp."
            )
        if self.arrays[0].dtype.kind in "cb":
            raise TypeError(
                f"{self._who}: the function's result is {self.arrays[0].dtype}, and only a real number has a gradient: "
                "return np.real or np.abs of a complex one; a truth value has none."
            )
        return np.ones_like(self.arrays[0])

    def pull(self, seeds: list[Any], once: bool = False) -> tuple[Any, ...]:
        """The gradients of the chosen arguments, given those of the results. `once` lets the values go on the way."""
        entered = [_enter(seed, array) for seed, array in zip(seeds, self.arrays, strict=True)]
        found = self.trail.back(entered, self.ends, freeing=once)
        return self.arranged([_leave(found.get(node), node) for node in self.ends])

    def arranged(self, leaves: list[Any]) -> tuple[Any, ...]:
        """One leaf for each handle, in the structures of the chosen arguments."""
        rest = iter(leaves)
        return tuple(unflatten(structure, [next(rest) for _ in paths(structure)]) for structure in self._structures)


def label(who: str, position: int, path: tuple[Any, ...]) -> str:
    """How an error names a leaf of an argument: "grad: argument 0['w'][1]"."""
    return f"{who}: argument {position}{''.join(f'[{key!r}]' for key in path)}"


def _handle(leaf: Any, named: str) -> Tensor:
    """A tensor that stands for an argument inside f."""
    leaf_of_ours = None
    if isinstance(leaf, Tensor):
        follow(leaf)
    if not isinstance(leaf, Tensor) or not leaf._node.live:
        array = leaf._data if isinstance(leaf, Tensor) else numbers(np.asanyarray(leaf), named)
        leaf_of_ours = new_leaf(array, live=True)
        leaf = wrap(array, leaf_of_ours)
    if leaf.dtype.kind not in "fc":
        raise TypeError(
            f"{named} is {leaf.dtype}: derivatives need floating point. Pass x.astype(np.float64) (3.0 rather than 3), "
            "or let the function capture what is not to be differentiated."
        )
    handle: Tensor = COPY(leaf)
    handle._node.requires_grad = True
    if leaf_of_ours is not None:
        leaf_of_ours.live = False  # it was live to be recorded; nothing outside depends on it
    return handle


def _result(value: Any, who: str) -> Tensor:
    """One result of f; what is no tensor depends on nothing."""
    if isinstance(value, Tensor):
        follow(value)
        return value
    if value is None:
        raise TypeError(f"{who}: the function returned None; does it end with `return`?")
    return constant(numbers(np.asanyarray(value), f"{who}: the function's result"))


def _enter(seed: Any, result: Any) -> Any:
    """A seed as the walk wants it: of the result's dtype, conjugated, recorded only if that is wanted."""
    if isinstance(seed, Tensor) and not (seed._node.live and recording()):
        seed = seed._array()
    if not isinstance(seed, Tensor):
        seed = np.asarray(seed)
    if seed.dtype != result.dtype and result.dtype.kind in "fc":
        if seed.dtype.kind == "c" and result.dtype.kind == "f":
            raise TypeError(f"a complex seed for a result of {result.dtype}: take its real part.")
        seed = seed.astype(result.dtype)
    return np.conj(seed) if seed.dtype.kind == "c" else seed


def _leave(gradient: Any, node: Node) -> Any:
    """A gradient as the caller gets it: zeros where none arrived, conjugated, in memory of its own."""
    if gradient is None:
        return np.zeros(node.shape, node.dtype)
    if isinstance(gradient, Tensor):
        gradient = wrap(gradient._array(), gradient._node) if gradient._node.live else gradient._array()
    if gradient.dtype.kind == "c":
        gradient = np.conj(gradient)
    return gradient if isinstance(gradient, Tensor) else np.array(gradient)
