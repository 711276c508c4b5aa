"""Derivatives of functions, to any order: grad, value_and_grad, vjp, jvp, jacobian, hessian, hvp.

Each gives a function of the same arguments as `f`. An argument may be a dict, list or tuple of arrays, nested as you
like; its derivative has the same structure. Arrays come out, unless the result depends on a live tensor (an argument,
or one that `f` captures): then it is a tensor with a history. That is why they nest: the second derivative is
`grad(grad(f))`. An argument that is not used gets zeros.

Complex gradients follow torch's convention, told in `runs.py`.

Read next: `runs.py` (how), `checks.py` (are they right?).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .runs import Run
from .trees import Structure, flatten, unflatten

Function: TypeAlias = Callable[..., Any]
Argnums: TypeAlias = int | tuple[int, ...]


class Derivative(NamedTuple):
    """What a function that `grad` or `value_and_grad` made is the derivative of, for the compiler to read."""

    function: Function
    argnums: Argnums
    with_value: bool


def grad(f: Function, argnums: Argnums = 0) -> Function:
    """The gradient of a scalar function: x -> df/dx, of x's shape, dtype and structure.

    With a tuple of `argnums`, a tuple of gradients. Raises RuntimeError when the result is not a scalar, TypeError for
    arguments that are not floating point and for a complex result or a truth value, ValueError for an argument that is
    not there.

    >>> import numpy as np, autograd_lite as ag
    >>> ag.grad(lambda p: np.sum(p["w"] ** 2) + p["b"])({"w": np.array([1.0, 2.0]), "b": 3.0})
    {'w': array([2., 4.]), 'b': array(1.)}
    >>> np.allclose(ag.grad(ag.grad(np.sin))(0.5), -np.sin(0.5))
    True
    """
    both = value_and_grad(f, argnums)

    @wraps(f, updated=())
    def gradient(*args: Any, **kwargs: Any) -> Any:
        return both(*args, **kwargs)[1]

    vars(gradient)["derivative"] = Derivative(f, argnums, with_value=False)
    return gradient


def value_and_grad(f: Function, argnums: Argnums = 0) -> Function:
    """The value and the gradient of a scalar function in one pass: x -> (f(x), df/dx). Raises as `grad`.

    >>> import numpy as np, autograd_lite as ag
    >>> value, gradient = ag.value_and_grad(lambda w: np.sum(w ** 2))(np.array([1.0, 2.0]))
    >>> float(value), gradient
    (5.0, array([2., 4.]))
    """

    @wraps(f, updated=())
    def value_and_gradient(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        chosen = _chosen("grad", argnums, len(args))
        run = Run("grad", f, args, chosen, kwargs)
        gradients = run.pull([run.unit()], once=True)
        return run.values(), gradients if isinstance(argnums, tuple) else gradients[0]

    vars(value_and_gradient)["derivative"] = Derivative(f, argnums, with_value=True)
    return value_and_gradient


def vjp(f: Function, *args: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """The value y = f(*args), and `pull`: u -> (u . dy/dx for each argument), as often as you like.

    `u` has y's structure and shapes. Raises TypeError for arguments that are not floating point, ValueError for a
    seed of another shape.

    >>> import numpy as np, autograd_lite as ag
    >>> y, pull = ag.vjp(np.multiply, np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    >>> pull(np.array([1.0, 10.0]))
    (array([ 3., 40.]), array([ 1., 20.]))
    """
    run = Run("vjp", f, args, tuple(range(len(args))))

    def pull(seed: Any) -> tuple[Any, ...]:
        return run.pull(_like(run.structure, seed, run.arrays, "vjp: the seed"))

    return run.values(), pull


def jvp(f: Function, args: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
    """The value y = f(*args) and the directional derivative dy = sum over the arguments of dy/dx . tangent.

    `pull` of `vjp` is linear in its seed, and the transpose of that linear map is the derivative: so forward mode
    follows from the reverse rules. Raises as `vjp`.

    >>> import numpy as np, autograd_lite as ag
    >>> y, dy = ag.jvp(np.square, (np.array([1.0, 3.0]),), (np.array([1.0, 0.5]),))
    >>> dy
    array([2., 3.])
    """
    for name, given in (("args", args), ("tangents", tangents)):
        if not isinstance(given, tuple):
            raise TypeError(f"jvp(f, args, tangents): {name} is a tuple with one entry per argument, as in (x,).")
    leaves, structure = flatten(args)
    directions = unflatten(structure, _like(structure, tangents, leaves, "jvp: tangents"))
    run = Run("jvp", f, args, tuple(range(len(args))))
    ones = [np.ones(y.shape, y.dtype if y.dtype.kind in "fc" else float) for y in run.arrays]
    _, push = vjp(lambda seed: run.pull(flatten(seed)[0]), unflatten(run.structure, ones))
    return run.values(), push(directions)[0]


def jacobian(f: Function, argnums: Argnums = 0) -> Function:
    """The Jacobian: x -> dy/dx, of shape y.shape + x.shape, by one pass back per entry of y.

    With structures, y's structure of x's structures. Raises TypeError for complex y (take np.real and np.imag apart).

    >>> import numpy as np, autograd_lite as ag
    >>> ag.jacobian(lambda x: x[:, None] * x)(np.array([1.0, 2.0])).shape
    (2, 2, 2)
    """

    @wraps(f, updated=())
    def matrix(*args: Any, **kwargs: Any) -> Any:
        run = Run("jacobian", f, args, _chosen("jacobian", argnums, len(args)), kwargs)
        blocks = [_block(run, k) for k in range(len(run.arrays))]
        parts = [run.arranged(each) for each in blocks]
        return unflatten(run.structure, parts if isinstance(argnums, tuple) else [each[0] for each in parts])

    return matrix


def hessian(f: Function, argnums: Argnums = 0) -> Function:
    """The second derivatives of a scalar function: x -> d2f/dx2, of shape x.shape + x.shape. Raises as `grad`.

    >>> import numpy as np, autograd_lite as ag
    >>> ag.hessian(lambda x: x[0] * x[1] ** 2)(np.array([3.0, 2.0]))
    array([[0., 4.],
           [4., 6.]])
    """
    return jacobian(grad(f, argnums), argnums)


def hvp(f: Function) -> Callable[[Any, Any], Any]:
    """The Hessian of a scalar function times a vector: (x, v) -> d2f/dx2 . v, without the matrix. Raises as `grad`.

    The Hessian is symmetric, so the pass back from the gradient with the seed v gives it.

    >>> import numpy as np, autograd_lite as ag
    >>> ag.hvp(lambda x: x[0] * x[1] ** 2)(np.array([3.0, 2.0]), np.array([1.0, 0.0]))
    array([0., 4.])
    """

    def product(x: Any, v: Any) -> Any:
        return vjp(grad(f), x)[1](v)[0]

    return product


def _chosen(who: str, argnums: Argnums, count: int) -> tuple[int, ...]:
    """The positions that `argnums` names among `count` arguments."""
    positions = argnums if isinstance(argnums, tuple) else (argnums,)
    for each in positions:
        if isinstance(each, bool) or not isinstance(each, (int, np.integer)):
            raise TypeError(f"{who}: argnums= is an integer or a tuple of integers, not {each!r}.")
        if not -count <= each < count:
            raise ValueError(f"{who}: argnums={argnums!r}, but the function was given {count} positional arguments.")
    chosen = tuple(int(each) % count for each in positions)
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"{who}: argnums={argnums!r} names an argument twice.")
    return chosen


def _block(run: Run, k: int) -> list[Any]:
    """The derivatives of the k-th result with respect to every handle."""
    y = run.arrays[k]
    if y.dtype.kind == "c":
        raise TypeError("jacobian: the function's result is complex: take np.real and np.imag apart, or use ag.vjp.")
    if y.size == 0:
        return [np.zeros(y.shape + node.shape, node.dtype) for node in run.ends]
    seeds = [np.zeros(each.shape, each.dtype) for each in run.arrays]
    rows = []
    for place in np.ndindex(y.shape):
        seeds[k] = np.zeros(y.shape, y.dtype)
        seeds[k][place] = 1
        rows.append(flatten(run.pull(seeds))[0])
    return [np.reshape(np.stack(column), y.shape + column[0].shape) for column in zip(*rows, strict=True)]


def _like(structure: Structure, tree: Any, arrays: list[Any], named: str) -> list[Any]:
    """The leaves, in the order of a structure that a tree must have; they must have the shapes of `arrays`."""
    leaves = _leaves_like(structure, tree, named)
    for leaf, array in zip(leaves, arrays, strict=True):
        if _shape(leaf) != _shape(array):
            raise ValueError(f"{named} must have shape {_shape(array)}, got {_shape(leaf)}.")
    return leaves


def _shape(leaf: Any) -> tuple[int, ...]:
    return leaf.shape if hasattr(leaf, "shape") else np.shape(leaf)


def _leaves_like(structure: Structure, tree: Any, named: str) -> list[Any]:
    if structure.kind is None:
        return [tree]
    if issubclass(structure.kind, dict):
        if not isinstance(tree, dict) or tree.keys() != set(structure.keys):
            raise ValueError(f"{named} must be a dict with the keys {list(structure.keys)}, got {_form(tree)}.")
        parts = [tree[key] for key in structure.keys]
    else:
        if not isinstance(tree, (tuple, list)) or len(tree) != len(structure.keys):
            form = f"a {structure.kind.__name__} of {len(structure.keys)}"
            raise ValueError(f"{named} must be {form}, got {_form(tree)}.")
        parts = list(tree)
    return [leaf for part, each in zip(structure.parts, parts, strict=True) for leaf in _leaves_like(part, each, named)]


def _form(tree: Any) -> str:
    if isinstance(tree, dict):
        return f"one with {list(tree)}"
    return f"a {type(tree).__name__} of {len(tree)}" if isinstance(tree, (tuple, list)) else type(tree).__name__
