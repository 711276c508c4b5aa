"""Gradients by central differences, and a checker that compares them with the generated ones to second order.

Independent of the library: nothing here knows a derivative. For S(x, c) = <c, f(x)> it checks

    first order    dS/dx             against differences of f, entry by entry
    second order   d<dS/dx, u>/dx    against differences of the generated dS/dx along u
                   d<dS/dx, u>/dc    against differences of f along u

Read next: `op_cases.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograd_lite.backward import walk
from autograd_lite.tensors import Tensor, constant, tensor, wrap

Function = Callable[..., Any]
STEP = 6e-6
TOLERANCE = 1e-6


class WrongGradient(AssertionError):
    """The generated gradient is not the derivative."""


def results(out: Any) -> list[Any]:
    """The floating results of a call, as a list."""
    outs = list(out) if isinstance(out, (tuple, list)) else [out]
    return [each for each in outs if each.dtype.kind in "fc"]


def inner(outs: Sequence[Any], weights: Sequence[Any]) -> Any:
    """Re sum_i <w_i, out_i>, a scalar."""
    total: Any = 0.0
    for out, weight in zip(outs, weights, strict=True):
        total = total + np.sum(np.real(out * weight))
    return total


def gradients(scalar: Tensor, sources: Sequence[Tensor], create: bool = False) -> list[Any]:
    """d scalar / d source for each source, zeros where it does not depend on it; tensors when `create`."""
    found: dict[Any, Any] = {}
    ends = {source._node for source in sources}
    one = np.ones((), scalar.dtype)
    if scalar.requires_grad:
        walk(
            scalar._node, constant(one) if create else one, found.__setitem__, ends=ends, lift=wrap if create else None
        )
    each = [found[s._node] if s._node in found else np.zeros(s.shape, s.dtype) for s in sources]
    return [g if isinstance(g, Tensor) else constant(np.asarray(g)) for g in each] if create else each


def first_order(f: Function, arrays: Sequence[Any], weights: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """The results of f, and the gradients of S with respect to its inputs."""
    sources = [tensor(a, requires_grad=True) for a in arrays]
    outs = results(f(*sources))
    return [out.data for out in outs], gradients(inner(outs, weights), sources)


def second_order(
    f: Function, arrays: Sequence[Any], weights: Sequence[Any], directions: Sequence[Any]
) -> tuple[list[Any], list[Any]]:
    """The gradients of <dS/dx, u> with respect to the inputs, and to the weights."""
    sources = [tensor(a, requires_grad=True) for a in arrays]
    cotangents = [tensor(w, requires_grad=True) for w in weights]
    first = gradients(inner(results(f(*sources)), cotangents), sources, create=True)
    both = gradients(inner(first, directions), [*sources, *cotangents])
    return both[: len(sources)], both[len(sources) :]


def value_of(f: Function, arrays: Sequence[Any], weights: Sequence[Any]) -> float:
    """S, computed on plain arrays."""
    return float(inner([np.asarray(out) for out in results(f(*(np.array(a) for a in arrays)))], weights))


def differences(f: Function, arrays: Sequence[Any], weights: Sequence[Any]) -> list[Any]:
    """dS/dx by central differences; of a complex entry z = a + ib it is dS/da - i dS/db, as rules carry it."""
    found = []
    for k, array in enumerate(arrays):
        slopes = np.zeros(array.shape, array.dtype)
        for index in np.ndindex(array.shape):
            for unit, back in ((1, 1), (1j, -1j)) if array.dtype.kind == "c" else ((1, 1),):
                ends = []
                for sign in (STEP, -STEP):
                    moved = array.copy()
                    moved[index] += sign * unit
                    ends.append(value_of(f, [*arrays[:k], moved, *arrays[k + 1 :]], weights))
                slopes[index] += back * (ends[0] - ends[1]) / (2 * STEP)
        found.append(slopes)
    return found


def compare(got: Any, wanted: Any, what: str) -> None:
    """Raise WrongGradient unless the two agree to TOLERANCE, relative to the largest entry."""
    got, wanted = np.asarray(got), np.asarray(wanted)
    if got.shape != wanted.shape:
        raise WrongGradient(f"{what}: shape {got.shape}, not {wanted.shape}")
    scale = max(1.0, float(np.max(np.abs(wanted), initial=0)))
    error = np.abs(got - wanted)
    if not np.all(error <= TOLERANCE * scale):
        worst = np.unravel_index(np.argmax(np.where(np.isnan(error), np.inf, error)), error.shape)
        raise WrongGradient(f"{what}{list(map(int, worst))}: {got[worst]:.9g}, by differences {wanted[worst]:.9g}")


def like(array: Any, rng: np.random.Generator) -> Any:
    """Random numbers of an array's shape and kind."""
    values = rng.standard_normal(array.shape)
    if array.dtype.kind == "c":
        values = values + 1j * rng.standard_normal(array.shape)
    return np.asarray(values, array.dtype)


def check(f: Function, arrays: Sequence[Any], rng: np.random.Generator, order: int = 2) -> None:
    """Raise WrongGradient unless f's generated derivatives up to `order` are those of its values."""
    arrays = [np.asarray(a) for a in arrays]
    plain = results(f(*(a.copy() for a in arrays)))
    weights = [like(np.asarray(out), rng) for out in plain]
    outs, first = first_order(f, arrays, weights)
    for out, wanted in zip(outs, plain, strict=True):
        assert out.dtype == wanted.dtype, f"the result is {out.dtype}, NumPy's is {wanted.dtype}"
        np.testing.assert_allclose(out, wanted, rtol=1e-12, atol=1e-12, err_msg="value")
    for k, (got, wanted) in enumerate(zip(first, differences(f, arrays, weights), strict=True)):
        assert got.dtype == arrays[k].dtype, f"gradient {k} is {got.dtype}"
        compare(got, wanted, f"first order, input {k}")
    if order < 2:
        return
    # the direction is conjugated so that Re(u * gradient) is a derivative along it for complex inputs too
    directions = [like(a, rng) for a in arrays]
    got_x, got_c = second_order(f, arrays, weights, directions)
    ahead, behind = ([a + s * u for a, u in zip(arrays, directions, strict=True)] for s in (STEP, -STEP))
    outs_ahead, first_ahead = first_order(f, ahead, weights)
    outs_behind, first_behind = first_order(f, behind, weights)
    for k in range(len(arrays)):
        compare(got_x[k], (first_ahead[k] - first_behind[k]) / (2 * STEP), f"second order, input {k}")
    for k in range(len(weights)):
        compare(got_c[k], (outs_ahead[k] - outs_behind[k]) / (2 * STEP), f"second order, weight {k}")
