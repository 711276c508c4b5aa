"""Are the gradients right? Generated ones against central differences, hand-written ones against generated ones.

Read next: `reports.py` (what a comparison says), `subgradients.py` (what counts as right at a kink).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .backward import walk
from .derivatives import vjp
from .naming import Names, Witness
from .recording import Array, Node, history, no_grad
from .reports import Report, compare, multiples
from .runs import Run, label
from .subgradients import resolved
from .tensors import Tensor
from .tracing import recorded
from .trees import flatten, paths, unflatten

Arrays = list[Array]
_ROUNDINGS, _COARSEST = 16, 1e-2  # by how much one derivation's roundings may exceed another's; no mistake is so small


def gradcheck(
    f: Callable[..., Any], *args: Any, order: int = 1, eps: float = 6e-6, rtol: float = 1e-6, atol: float = 1e-8
) -> bool:
    """True if the derivatives of `f` up to `order` agree with central differences; else AssertionError names the worst.

    For a fixed random u, the gradient of S(x) = <u, f(x)> is compared, entry by entry, with
    (S(x + h) - S(x - h)) / 2h, h = eps max(1, |x|), to within atol + rtol max(|one|, |other|). Order 2 does the same
    with that gradient as a function of u and x, and so on. Arguments and results may be structures; what is not
    floating point is held fixed. Raises TypeError for float32, where rounding drowns the differences.

    >>> import numpy as np, autograd_lite as ag
    >>> ag.gradcheck(lambda x, w: np.tanh(x @ w), np.ones((2, 3)), np.full((3, 1), 0.1), order=2)
    True
    """
    if order < 1:
        raise ValueError(f"gradcheck: order={order}, but the first derivatives are order 1.")
    leaves, structure = flatten(args)
    checked = [i for i, leaf in enumerate(leaves) if _values(leaf).dtype.kind in "fc"]
    if not checked:
        raise TypeError("gradcheck: no argument is floating point: pass x.astype(np.float64).")
    names = [label("gradcheck", path[0], path[1:]).removeprefix("gradcheck: ") for path in paths(structure)]
    points = [np.array(_values(leaves[i])) for i in checked]
    for i, point in zip(checked, points, strict=True):
        _check_double(point, names[i], "pass x.astype(np.float64)")

    def function(*values: Any) -> list[Any]:
        given = list(leaves)
        for i, value in zip(checked, values, strict=True):
            given[i] = value
        return [each for each in flatten(f(*unflatten(structure, given)))[0] if _values(each).dtype.kind in "fc"]

    who = f"gradcheck of {getattr(f, '__name__', type(f).__name__)}"
    names = [names[i] for i in checked]
    with no_grad():  # what f captures is a constant here
        for level in range(1, order + 1):
            seeds = _check_once(f"{who}, order {level}", function, points, names, eps, rtol, atol)
            function = _gradient(function, len(seeds))
            points = [*seeds, *points]
            names = [*(f"seed {i}" for i in range(len(seeds))), *names]
    return True


def _gradient(function: Callable[..., list[Any]], count: int) -> Callable[..., list[Any]]:
    """(u, x) -> the gradient of <u, function(x)>."""
    return lambda *values: list(vjp(function, *values[count:])[1](list(values[:count])))


def _check_once(
    who: str, function: Callable[..., list[Any]], points: Arrays, names: list[str], eps: float, rtol: float, atol: float
) -> Arrays:
    """Compare one generated gradient with central differences; return the random seeds that were used."""
    results, pull = vjp(function, *points)
    if not results:
        raise TypeError(f"{who}: the result is not floating point, so there is nothing to check.")
    for result in results:
        _check_double(result, "the result", "something that the function captures is not float64")
    rng = np.random.default_rng(0)
    seeds = [_random(rng, result) for result in results]

    def weighted(*values: Any) -> float:
        parts = zip(seeds, function(*values), strict=True)
        return float(sum(np.sum(np.real(np.conj(seed) * _values(result))) for seed, result in parts))

    worst, wrong, text = 1.0, 0, ""
    with np.errstate(all="ignore"):  # what comes of a division by zero is told as a wrong entry
        gradients = pull(seeds)
    for k, generated in enumerate(gradients):
        for place in np.ndindex(generated.shape):
            expected = _difference(weighted, points, k, place, eps)
            found = generated[place]
            allowed = atol + rtol * max(abs(found), abs(expected))
            excess = abs(found - expected) / allowed
            if not excess <= 1:  # NaN is wrong as well
                wrong += 1
                if not excess <= worst:
                    worst = excess if excess == excess else np.inf
                    where = f"{names[k]}, index {place}" if place else names[k]
                    text = f"{where}: generated {found:.10g}, central difference {expected:.10g}"
    if wrong:
        total = sum(point.size for point in points)
        raise AssertionError(f"{who}: {text} ({wrong} of {total} entries differ; this one the most).")
    return seeds


def _difference(f: Callable[..., float], points: Arrays, k: int, place: tuple[int, ...], eps: float) -> Any:
    """The central difference along one entry; for a complex one along its real and imaginary part."""
    entry = points[k][place]
    h = eps * max(1.0, abs(entry))
    slope: Any = 0.0
    for direction in (1.0, 1j) if points[k].dtype.kind == "c" else (1.0,):
        values = []
        for sign in (1, -1):
            moved = [point.copy() for point in points]
            moved[k][place] = entry + sign * h * direction
            with np.errstate(all="ignore"):  # so is what comes of a step over the edge of a domain
                values.append(f(*moved))
        slope += direction * (values[0] - values[1]) / (2 * h)
    return slope


def _random(rng: np.random.Generator, like: Array) -> Array:
    real = rng.standard_normal(like.shape)
    return np.asarray(real + 1j * rng.standard_normal(like.shape) if like.dtype.kind == "c" else real)


def _check_double(array: Array, name: str, remedy: str) -> None:
    if array.dtype not in (np.float64, np.complex128):
        raise TypeError(f"gradcheck: {name} is {array.dtype}, too coarse for central differences: {remedy}.")


def _values(leaf: Any) -> Any:
    return leaf._array() if isinstance(leaf, Tensor) else np.asarray(leaf)


# ---- hand-written gradients against generated ones -------------------------------------------------------------------


def check_backprop(
    loss_fn: Callable[[Any], Any],
    params: dict[str, Any],
    manual: dict[str, Array],
    previous: Callable[[Any], Any] | None = None,
) -> Report:
    """Compare hand-written gradients with the generated ones, name by name, up to one common scale; say what is wrong.

    `loss_fn(params)` gives the scalar loss; `manual[name]` is the hand-written gradient of `params[name]`. A key of
    `manual` that is no parameter names a variable of the forward pass ("z2"), and its gradient (its delta) is
    compared, on a scale of its own: a factor may come in after it. Of several values of that name the last is meant.

    A report comes back: `report.ok`, `report.scale` (manual = scale * generated, the scale that most parameters share,
    on a tie 1, then -1, N, 1/N, 2 and the like, then that of the name nearest the loss); `report[name].ok`,
    `.relative_error`; `print(report)` shows a table. Right means
    max |manual - scale * generated| <= tolerance * max |scale * generated|, where the tolerance is about the square
    root of the machine epsilon of manual's dtype: 1e-8 for float64, 1e-4 for float32. Where np.maximum, minimum, max,
    min, abs or clip meet a tie, either side of the kink is right too.

    What is wrong is explained, if one of the mistakes that people make (`mistakes/`) gives the very same gradients:
    `report[name].cause` says it in a sentence, `.fix` shows the right line and the line as it was evidently written,
    `report.location` the operation, `report.findings` all of it. `previous` may be the loss of the batch before, to
    find values that were kept from it.

    Raises ValueError for names that are missing or unknown and for a loss that does not depend on params, TypeError
    for what is no floating-point array, RuntimeError for a loss that is no scalar.

    >>> import numpy as np, autograd_lite as ag
    >>> X, t = np.ones((4, 2)), np.zeros((4, 1))
    >>> report = ag.check_backprop(
    ...     lambda p: np.mean((t - np.dot(X, p["W"])) ** 2), {"W": np.ones((2, 1))}, {"W": X.T @ (t - 2)})
    >>> report.ok, report.scale
    (True, -2.0)
    """
    _check_names(params, manual)
    _check_loss(loss_fn, params)
    names = Names()
    if manual.keys() - params.keys():
        witness = Witness(names)
        run = Run("check_backprop", lambda p: witness.watch(loss_fn, p), (params,), (0,))
    else:
        run = Run("check_backprop", loss_fn, (params,), (0,))
    seed, root = run.unit(), run.trail.root
    if root is None:
        raise ValueError(f"check_backprop: the loss does not depend on params: {_lost(loss_fn, params)}")
    steps = history(root)
    ends = dict(zip(params, run.ends, strict=True))
    for name in manual.keys() - params.keys():
        ends[name] = _variable(name, names, steps, params)

    def gradients(values: dict[Node, Array]) -> dict[str, Array]:
        """The gradients when rules see `values` instead of what was recorded."""
        found: dict[Node, Any] = {}
        lift = (lambda value, node: values.get(node, value)) if values else None
        walk(root, seed, found.__setitem__, set(run.ends), lift)
        for name in manual.keys() - params.keys():  # each on its own, for a walk stops where it is to end
            walk(root, seed, found.__setitem__, {ends[name]}, lift)
        return {name: np.array(found.get(node, np.zeros(node.shape, node.dtype))) for name, node in ends.items()}

    deltas = frozenset(manual.keys() - params.keys())
    uses = _first_uses(steps)
    nearest = sorted(manual, key=lambda name: uses.get(ends[name], 0), reverse=True)
    given = set(run.ends)
    shapes = [node.shape for node in steps if node not in given and all(isinstance(n, int) for n in node.shape)]
    repeats = max(sum(parent is end for step in steps for parent in step.parents) for end in given)
    compared = partial(compare, manual, nearest=nearest, shapes=shapes, deltas=deltas, repeats=repeats)
    generated, tie = gradients({}), False
    best = compared(generated)
    for upwards in (False, True):
        values = {} if best.ok else resolved(steps, upwards)
        if values:
            other = gradients(values)
            report = compared(other, tie=True)
            if report.right > best.right:
                best, generated, tie = report, other, True
    roundings = {} if best.ok else _roundings(loss_fn, params, best)
    if roundings:
        best = compared(generated, tie=tie, roundings=roundings)
    if not best.ok:
        from .diagnosis import diagnose  # right derivations pay nothing for it

        scale = diagnose(best, loss_fn, params, nearest, previous)
        if scale is not None and not (best.common and np.isclose(scale, best.scale, rtol=1e-6, atol=0)):
            best = best.told_in(compared(generated, tie=tie, known=scale, roundings=roundings))
        best.assign()
    best.notes[:0] = multiples(best)
    return best


def _roundings(loss_fn: Callable[[Any], Any], params: dict[str, Any], report: Report) -> dict[str, float]:
    """How far the generated gradients of float32 parameters are off, by name: against those computed in double.

    Where terms cancel, as behind a saturated softmax, single precision leaves few digits to either derivation.
    """
    single = {name: _values(value).dtype == np.float32 for name, value in params.items()}
    if not any(single.values()):
        return {}
    wide = {name: _values(value).astype(np.float64) if single[name] else value for name, value in params.items()}
    run = Run("check_backprop", loss_fn, (wide,), (0,))
    found = run.pull([run.unit()])[0]
    off = {}
    for name in params:
        exact, generated = _values(found[name]), report[name].generated
        size = float(np.max(np.abs(exact), initial=0.0))
        if single[name] and size and exact.shape == generated.shape:
            error = float(np.max(np.abs(exact - generated), initial=0.0)) / size
            off[name] = min(_ROUNDINGS * error, _COARSEST) if np.isfinite(error) else 0.0
    return off


def _lost(loss_fn: Callable[[Any], Any], params: dict[str, Any]) -> str:
    """Why a loss does not depend on the parameters that it is handed."""
    try:
        recorded(loss_fn, (params,), differentiate=True)
    except (TypeError, RuntimeError, ValueError) as error:
        return f"loss_fn leaves the tensors on its way, and gives a plain number. {error}"
    return "loss_fn has to compute it from its argument, params, with NumPy's functions (math's give plain numbers)."


def _check_loss(loss_fn: Any, params: Any) -> None:
    """Raise for what is no function of the parameters alone."""
    example = "check_backprop(lambda p: loss(p, ...), params, manual)"
    if not callable(loss_fn):
        raise TypeError(
            "check_backprop: loss_fn is the function that computes the loss from params, not its value "
            f"({type(loss_fn).__name__}): pass loss, not loss(params); with more arguments, {example}."
        )
    try:
        inspect.signature(loss_fn).bind(params)
    except TypeError as error:
        wanted = [name for name, each in inspect.signature(loss_fn).parameters.items() if each.kind <= 1]
        if len(wanted) > 1 and wanted == [name for name in wanted if name in params]:
            example = f"check_backprop(lambda p: {_called(loss_fn)}(**p), params, manual)"
        elif not wanted:
            example = "make params its argument: def loss(params): ..."
        raise TypeError(
            f"check_backprop: loss_fn is called with one argument, params, but {_called(loss_fn)}{_signature(loss_fn)} "
            f"does not take just one ({error}): {example}."
        ) from None
    except ValueError:
        return  # a builtin without a signature


def _called(loss_fn: Any) -> str:
    name = getattr(loss_fn, "__name__", type(loss_fn).__name__)
    return "loss" if name == "<lambda>" else name


def _signature(loss_fn: Any) -> str:
    return str(inspect.signature(loss_fn))


def _check_names(params: Any, manual: Any) -> None:
    """Raise for what cannot be compared at all."""
    for what, given in (("params", params), ("manual", manual)):
        if not isinstance(given, dict):
            example = "dict(zip(names, arrays))" if isinstance(given, (list, tuple)) else '{"W1": W1, "b1": b1}'
            raise TypeError(
                f"check_backprop: {what} is a dict from names to arrays, as {example}, not a {type(given).__name__}."
            )
        if not given:
            raise TypeError(f"check_backprop: {what} is empty: it is a dict from names to arrays.")
    missing = [name for name in params if name not in manual]
    if missing:
        raise ValueError(
            f"check_backprop: manual has no gradient for {', '.join(map(repr, missing))}: "
            "add it, or leave the parameter out of params."
        )
    for name, gradient in manual.items():
        if not isinstance(gradient, (np.ndarray, np.generic, float)):
            remedy = "x.detach().numpy()" if isinstance(gradient, Tensor) else "np.asarray(...)"
            raise TypeError(f"check_backprop: manual[{name!r}] is a {type(gradient).__name__}, no array: use {remedy}.")
        if np.asarray(gradient).dtype.kind not in "fc":
            dtype = np.asarray(gradient).dtype
            raise TypeError(f"check_backprop: manual[{name!r}] is {dtype}, but a gradient is floating point.")


def _variable(name: str, names: Names, steps: list[Node], params: dict[str, Any]) -> Node:
    """The last value that the forward pass called `name`."""
    named = ((names.of(node), node) for node in steps if node.primitive is not None and node.requires_grad)
    known = {each: node for each, node in named if each}
    if name not in known:
        listed = ", ".join(sorted(known.keys() - params.keys()))
        raise ValueError(
            f"check_backprop: manual[{name!r}] is neither a parameter nor a variable of the forward pass"
            f"{f', whose variables are {listed}' if listed else ''}."
        )
    return known[name]


def _first_uses(steps: list[Node]) -> dict[Node | None, float]:
    """The clock at each node's first use: the later, the nearer to the loss."""
    first: dict[Node | None, float] = {}
    for step in steps:
        for parent in step.parents:
            first.setdefault(parent, step.when)
    return first
