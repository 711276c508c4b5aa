"""Keyword arguments at random, family by family: what NumPy takes is taken and right, what NumPy refuses is refused.

Read next: `test_hypothesis_rules.py`, where shapes, layouts and dtypes are drawn.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import autograd_lite as ag
from tests.numerical import check
from tests.test_hypothesis_rules import LAYOUTS, SEEDS, normal

QUICK = settings(max_examples=60, deadline=None, derandomize=True)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
FULL = hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=3)
AXES = st.one_of(st.none(), st.integers(-4, 3))
TUPLES = st.one_of(AXES, st.lists(st.integers(-3, 2), max_size=3).map(tuple))
REFUSALS = (TypeError, ValueError, IndexError, ZeroDivisionError)


def some(**options: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Keyword arguments, each of which may be left out."""
    return st.fixed_dictionaries({}, optional=options)


def agree(f: Callable[..., Any], arrays: list[Any], seed: int, order: int = 2) -> None:
    """f on tensors is f on arrays, with the derivatives of differences; or both raise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of empty slices, and of what will be removed
        try:
            values = f(*arrays)
        except REFUSALS as error:
            try:
                f(*(ag.tensor(a, requires_grad=True) for a in arrays))
            except REFUSALS:
                return
            raise AssertionError(f"NumPy refuses this: {error}") from error
        finite = all(np.isfinite(each).all() for each in (values if isinstance(values, (tuple, list)) else [values]))
        if finite:
            check(f, arrays, np.random.default_rng(seed), order)
        else:
            got = f(*(ag.tensor(a, requires_grad=True) for a in arrays))
            np.testing.assert_allclose(got.data, values)


@QUICK
@given(
    st.sampled_from([np.sum, np.mean, np.prod, np.nansum, np.nanprod, np.nanmean]), SHAPES, st.sampled_from(LAYOUTS),
    some(axis=TUPLES, keepdims=st.booleans(), where=st.booleans(), initial=st.sampled_from([0.5, 2.0])), SEEDS,
)  # fmt: skip
def test_sums(f: Any, shape: Any, layout: str, how: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    if f in (np.mean, np.nanmean):
        how.pop("initial", None)
    if how.get("where"):
        how["where"] = rng.random(shape) < 0.6
    if len(shape) == 0:
        how.pop("axis", None)  # NumPy's functions differ in what they take of a scalar
    agree(lambda x: f(x, **how), [normal(rng, shape, layout)], seed)


@QUICK
@given(
    st.sampled_from([np.max, np.min, np.nanmax, np.nanmin]), SHAPES, st.booleans(),
    some(axis=TUPLES, keepdims=st.booleans(), initial=st.sampled_from([-5.0, 0.1])), SEEDS,
)  # fmt: skip
def test_extremes(f: Any, shape: Any, masked: bool, how: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    if masked:
        how["where"] = rng.random(shape) < 0.6
    agree(lambda x: f(x, **how), [normal(rng, shape)], seed)


@QUICK
@given(
    st.sampled_from([np.var, np.std, np.nanvar, np.nanstd]), FULL,
    some(axis=TUPLES, keepdims=st.booleans(), ddof=st.sampled_from([0, 1])), SEEDS,
)  # fmt: skip
def test_variances(f: Any, shape: Any, how: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(n + 1 for n in shape)
    if how.get("axis") == ():
        return  # one entry has no spread
    agree(lambda x: f(x, **how), [normal(rng, shape)], seed)


@QUICK
@given(
    SHAPES, st.sampled_from(["C", "F"]), st.lists(st.sampled_from([-1, 0, 1, 2, 3, 6]), max_size=3).map(tuple), SEEDS
)
def test_reshape(shape: Any, order: Any, new: Any, seed: int) -> None:
    agree(lambda x: np.reshape(x, new, order=order), [normal(np.random.default_rng(seed), shape)], seed, 1)


@QUICK
@given(FULL, st.integers(-4, 4), AXES, st.sampled_from([1.5, "number", "row", "like"]), SEEDS)
def test_insert_and_delete(shape: Any, place: int, axis: Any, value: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = normal(rng, shape)
    values: Any = {"number": normal(rng, ()), "row": normal(rng, shape[-1:]), "like": x * 2}.get(value, value)
    agree(lambda x: np.delete(x, place, axis=axis), [x], seed, 1)
    agree(lambda x: np.delete(x, [place, 0], axis=axis), [x], seed, 1)
    for where in (place, [place, 0], slice(0, 2)):
        if isinstance(values, float):
            agree(lambda x, where=where: np.insert(x, where, values, axis=axis), [x], seed, 1)
        else:
            agree(lambda x, v, where=where: np.insert(x, where, v, axis=axis), [x, values], seed, 1)
    if not isinstance(values, float):
        agree(lambda x, v: np.append(x, v, axis=axis), [x, values], seed, 1)


@QUICK
@given(FULL, st.lists(st.integers(-4, 4), max_size=3), AXES, st.sampled_from(["raise", "wrap", "clip"]), SEEDS)
def test_take_and_choose(shape: Any, places: Any, axis: Any, mode: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = normal(rng, shape)
    agree(lambda x: np.take(x, places, axis=axis, mode=mode), [x], seed, 1)
    which = rng.integers(-1, 4, shape)
    agree(lambda x, y: np.choose(which, [x, 2 * y, y], mode=mode), [x, normal(rng, shape[-1:])], seed, 1)
    agree(lambda x, y: np.select([which > 1, which > 0], [x, y], 0.5), [x, normal(rng, shape[-1:])], seed, 1)
    agree(lambda x: np.compress(rng.random(3) < 2, x, axis=axis), [x], seed, 1)


@QUICK
@given(FULL, st.one_of(st.integers(-1, 4), st.lists(st.integers(0, 4), max_size=3)), AXES, SEEDS)
def test_splits_and_repeats(shape: Any, how: Any, axis: Any, seed: int) -> None:
    x = normal(np.random.default_rng(seed), shape)
    along = 0 if axis is None else axis
    agree(lambda x: np.split(x, how, axis=along), [x], seed, 1)
    agree(lambda x: np.array_split(x, how, axis=along), [x], seed, 1)
    agree(lambda x: np.repeat(x, how, axis=axis), [x], seed, 1)
    agree(lambda x: np.roll(x, how, axis=axis), [x], seed, 1)
    agree(lambda x: np.tile(x, how), [x], seed, 1)


@QUICK
@given(FULL, st.integers(0, 3), AXES, st.sampled_from([1, 2]), st.booleans(), SEEDS)
def test_differences_and_slopes(shape: Any, n: int, axis: Any, edge: Any, spaced: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = normal(rng, shape)
    along = -1 if axis is None else axis
    agree(lambda x: np.diff(x, n=n, axis=along), [x], seed, 1)
    agree(lambda x, end: np.diff(x, axis=along, prepend=end, append=1.5), [x, normal(rng, ())], seed, 1)
    if -len(shape) <= along < len(shape):
        at = np.cumsum(rng.random(shape[along]) + 0.2)
        agree(lambda x, at: np.trapezoid(x, at, axis=along), [x, at], seed)
        if shape[along] > edge:
            spacing = at if spaced else np.asarray(0.5)
            agree(lambda x, s: np.gradient(x, s, axis=along, edge_order=edge), [x, spacing], seed)
    agree(lambda x: np.cumsum(x, axis=axis), [x], seed, 1)
    agree(lambda x: np.cumprod(x, axis=axis), [x], seed)


@QUICK
@given(
    FULL, st.sampled_from([None, 1, 2, 3, -1, -2, 0.5, np.inf, -np.inf, 0, "fro", "nuc"]),
    st.one_of(AXES, st.sampled_from([(0, 1), (-1, -2), (1, 0)])), st.booleans(), st.sampled_from([float, complex]),
    SEEDS,
)  # fmt: skip
def test_norms(shape: Any, order: Any, axis: Any, keepdims: bool, dtype: Any, seed: int) -> None:
    x = normal(np.random.default_rng(seed), shape, dtype=dtype)
    singular = order in (2, -2, "nuc") and np.linalg.matrix_rank(np.atleast_2d(x)).min() < min(np.atleast_2d(x).shape)
    agree(lambda x: np.linalg.norm(x, order, axis, keepdims), [x], seed, 1 if singular else 2)


@QUICK
@given(
    st.lists(st.integers(1, 2), max_size=2), st.integers(1, 3), st.integers(0, 2), st.sampled_from([float, complex]),
    SEEDS,
)  # fmt: skip
def test_systems(batch: Any, n: int, columns: int, dtype: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a = normal(rng, (*batch, n, n), dtype=dtype) + 4 * n * np.eye(n)
    agree(np.linalg.solve, [a, normal(rng, n, dtype=dtype)], seed)
    agree(np.linalg.solve, [a, normal(rng, (2, *batch, n, columns))], seed)
    for power in (-2, 0, 3):
        agree(lambda a, power=power: np.linalg.matrix_power(a / (4 * n), power), [a], seed)
    b = a @ np.conj(np.swapaxes(a, -1, -2)) / (4 * n)
    agree(np.linalg.cholesky, [b], seed)
    apart = b + np.diag(8.0 * np.arange(n))
    agree(lambda b: np.linalg.eigvalsh(b, "U"), [apart], seed)
    agree(lambda b: np.abs(np.linalg.eigh(b)[1]), [apart], seed)
    if not batch:
        agree(lambda a, b: np.linalg.multi_dot([a, b, a]), [a, normal(rng, (n, n), dtype=dtype)], seed)


@QUICK
@given(st.integers(0, 5), st.booleans(), hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=2, max_side=3), SEEDS)
def test_ranges(num: int, endpoint: bool, shapes: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ends = [np.asarray(rng.uniform(0.5, 2.0, shape)) for shape in shapes.input_shapes]
    for f in (np.linspace, np.logspace, np.geomspace):
        agree(lambda a, b, f=f: f(a, b, num, endpoint=endpoint), ends, seed)
        agree(lambda a, b, f=f: f(a, b, num, endpoint=endpoint, axis=-1), ends, seed, 1)


@QUICK
@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 3), SEEDS)
def test_polynomials(n: int, m: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, q = normal(rng, n), normal(rng, m)
    for f in (np.polyadd, np.polysub, np.polymul, np.polyval):
        agree(f, [p, q], seed)
    agree(lambda p: np.polyder(p, k), [p], seed, 1)
    agree(lambda p, c: np.polyint(p, k, c), [p, normal(rng, max(k, 1))], seed, 1)
    agree(np.poly, [p], seed)
    agree(lambda x: np.vander(x, m, increasing=bool(k)), [p], seed)


@QUICK
@given(
    st.integers(1, 3), st.integers(2, 5), some(rowvar=st.booleans(), bias=st.booleans(), ddof=st.integers(0, 1)), SEEDS
)
def test_covariances(rows: int, columns: int, how: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = normal(rng, (rows, columns))
    if how.get("rowvar", True) is False and rows < 3:
        return  # too few to vary
    agree(lambda x: np.cov(x, **how), [x], seed)
    weights = rng.random(columns if how.get("rowvar", True) else rows) + 0.5
    agree(lambda x, w: np.cov(x, aweights=w, **how), [x, weights], seed)


@QUICK
@given(st.integers(1, 5), some(left=st.just(0.5), right=st.just(-0.5), period=st.just(1.7)), SEEDS)
def test_interpolation(n: int, how: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    places = np.sort(rng.uniform(0, 4, n)) if "period" not in how else np.sort(rng.uniform(0, 1.6, n))
    x = rng.uniform(-1, 5, (2, 2))
    if np.min(np.abs(np.remainder(x, 1.7)[..., None] - places), initial=1) > 1e-3:
        agree(lambda x, xp, fp: np.interp(x, xp, fp, **how), [x, places, normal(rng, n)], seed)


@QUICK
@given(
    st.sampled_from([np.fft.fftn, np.fft.ifftn, np.fft.fft2, np.fft.rfftn, np.fft.irfftn, np.fft.rfft2, np.fft.irfft2]),
    FULL, some(
        axes=st.sampled_from([(0,), (-1, 0), (0, 1), (-1,), (5,)]), s=st.sampled_from([(2,), (3, 4), (1, 2)]),
        norm=st.sampled_from(["ortho", "forward", "nonsense"]),
    ), SEEDS,
)  # fmt: skip
def test_transforms_of_several_axes(f: Any, shape: Any, how: Any, seed: int) -> None:
    if "s" in how and "axes" not in how:
        how["axes"] = tuple(range(-len(how["s"]), 0))  # NumPy warns of s alone
    real = f in (np.fft.rfftn, np.fft.rfft2)
    x = normal(np.random.default_rng(seed), shape, dtype=float if real else complex)
    agree(lambda x: f(x, **how), [x], seed, 1)


@QUICK
@given(
    st.sampled_from([
        "constant", "linear_ramp", "mean", "maximum", "minimum", "median", "reflect", "symmetric", "wrap", "nonsense",
    ]), FULL, st.integers(0, 4), st.integers(0, 4), some(
        constant_values=st.sampled_from([1.5, (1.0, 2.0)]), end_values=st.sampled_from([1.5, (1.0, 2.0)]),
        stat_length=st.sampled_from([1, 2, (1, 3), 9]), reflect_type=st.sampled_from(["odd", "even"]),
    ), SEEDS,
)  # fmt: skip
def test_padding(mode: Any, shape: Any, before: int, after: int, how: Any, seed: int) -> None:
    agree(lambda x: np.pad(x, (before, after), mode, **how), [normal(np.random.default_rng(seed), shape)], seed, 1)
