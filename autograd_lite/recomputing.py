"""checkpoint: a function whose intermediate values are computed again on the way back, and not kept till then.

Read next: `runs.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from .primitives import Primitive
from .recording import Node, Recorded, switched, thread, tick
from .runs import Trail, behind
from .tensors import Tensor, apply, wrap
from .trees import flatten, unflatten
from .views import follow


def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f`, except that what it computes on the way is not kept: the pass back runs it again. Time for memory.

    Tensors that `f` captures get their gradients too. Raises RuntimeError in the pass back when the second run gives
    another result than the first (random numbers, or something that it reads was changed).

    >>> import numpy as np, autograd_lite as ag
    >>> w = ag.tensor(2.0, requires_grad=True)
    >>> block = ag.checkpoint(lambda x: np.exp(w * x))
    >>> np.sum(block(np.ones(3))).backward()
    >>> np.allclose(w.grad, 3 * np.exp(2.0))
    True
    """

    @wraps(f, updated=())
    def recomputed(*args: Any, **kwargs: Any) -> Any:
        if thread.mode.tracing or not thread.mode.enabled:
            return f(*args, **kwargs)
        call = _Call(f, args, kwargs)
        start = tick()
        leaves, structure = call.run()
        call.wanted = [isinstance(each, Tensor) and each.requires_grad for each in leaves]
        results = [each for each, wanted in zip(leaves, call.wanted, strict=True) if wanted]
        call.nodes = tuple(_captured(results, start))
        # The rule asks for the nodes alone, so an array of one entry stands for the values.
        tensors = [wrap(np.broadcast_to(node.dtype.type(0), node.shape), node) for node in call.nodes]
        call.arrays = [each._array() for each in results]
        fresh = iter(apply(CHECKPOINT, (call, *tensors)) if results else ())
        pairs = zip(leaves, call.wanted, strict=True)
        return unflatten(structure, [next(fresh) if wanted else _cut(each) for each, wanted in pairs])

    return recomputed


def _cut(leaf: Any) -> Any:
    """A result that is not differentiable, without its history."""
    return leaf.detach() if isinstance(leaf, Tensor) else leaf


def _captured(results: list[Tensor], start: int) -> dict[Node, None]:
    """The nodes from before `start` that results depend on."""
    return behind([each._node for each in results], start, lambda node: node.requires_grad)[1]


class _Call:
    """A call that can be made again. `nodes` are those from before it on which its results depend."""

    nodes: tuple[Node, ...]
    wanted: list[bool]
    arrays: list[Any]

    def __init__(self, f: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self.f = f
        leaves, self.structure = flatten((args, kwargs))
        # The array and the node of now: a tensor that is later written to in place points elsewhere.
        self.leaves = [(each._array(), each._node) if isinstance(each, Tensor) else (each, None) for each in leaves]

    def run(self) -> tuple[list[Any], Any]:
        leaves = [leaf if node is None else wrap(leaf, node) for leaf, node in self.leaves]
        args, kwargs = unflatten(self.structure, leaves)
        results, structure = flatten(self.f(*args, **kwargs))
        for each in results:
            if isinstance(each, Tensor):
                follow(each)
        return results, structure


def _rerun(g: Any, y: Any, call: Any, *captured: Any) -> tuple[Any, ...]:
    """Run the call again, and send g back through what that records."""
    with switched(enabled=True):
        start = tick()
        leaves, _ = call.run()
        results = [each for each, wanted in zip(leaves, call.wanted, strict=True) if wanted]
        nodes = _captured(results, start)
        if nodes.keys() != set(call.nodes) or not all(map(_same, y, results)):
            raise RuntimeError(
                f"checkpoint({getattr(call.f, '__name__', call.f)}): running it again gave another result. It must "
                "compute the same twice: hand random numbers in as arguments, and write to nothing it reads before "
                "the pass back."
            )
        recorded = {node for node, value in zip(call.nodes, captured, strict=True) if isinstance(value, Recorded)}
        trail = Trail(results, start, recorded.__contains__)
    found = trail.back(list(g), call.nodes, freeing=True)
    return (None, *(found.get(node) for node in call.nodes))


def _same(first: Any, again: Tensor) -> bool:
    """Whether two runs agree, rounding apart."""
    a, b = (each._array() if isinstance(each, Tensor) else each for each in (first, again))
    if a.shape != b.shape:
        return False
    near = float(np.sqrt(np.finfo(a.dtype).eps))
    return np.allclose(a, b, near, near * float(np.max(np.abs(a), initial=0)), equal_nan=True)


CHECKPOINT = Primitive(lambda call, *captured: call.arrays, joint=_rerun, variadic=True, name="checkpoint")
