"""Rules on random shapes, strides, dtypes and keywords, family by family.

A function that is linear in an input has the adjoint identity as its whole truth: <gradient(w), v> = <w, f(v)> for all
v. Others are held against central differences, and single precision against double.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.numerical import check, first_order, inner, like, results, second_order

QUICK = settings(max_examples=40, deadline=None, derandomize=True)
LAYOUTS = ["c", "fortran", "reversed", "step2"]
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
FULL_SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=3)
SEEDS = st.integers(0, 2**32 - 1)


def laid_out(a: Any, layout: str) -> Any:
    """The same values in another memory order."""
    if layout == "fortran":
        return np.array(a, order="F")
    if layout == "reversed":
        back = (slice(None, None, -1),) * a.ndim
        return np.array(a[back], order="C")[back]
    if layout == "step2":
        wide = np.full([2 * n for n in a.shape], np.nan, a.dtype)
        wide[(slice(None, None, 2),) * a.ndim] = a
        return wide[(slice(None, None, 2),) * a.ndim]
    return a


def normal(rng: np.random.Generator, shape: Any, layout: str = "c", dtype: Any = float) -> Any:
    """Normal numbers of a shape, a layout and a dtype."""
    return laid_out(like(np.empty(shape, dtype), rng), layout)


def adjoint(f: Callable[..., Any], arrays: list[Any], rng: np.random.Generator) -> None:
    """Check a function that is linear in each of its arrays, to second order."""
    plain = results(f(*arrays))
    weights = [like(np.asarray(out), rng) for out in plain]
    outs, gradients = first_order(f, arrays, weights)
    for out, wanted in zip(outs, plain, strict=True):
        np.testing.assert_allclose(out, wanted, rtol=1e-12, atol=1e-12)
    for k, gradient in enumerate(gradients):
        assert gradient.shape == arrays[k].shape
        assert gradient.dtype == arrays[k].dtype
        moved = [like(a, rng) if i == k else a for i, a in enumerate(arrays)]
        direct = inner([np.asarray(out) for out in results(f(*moved))], weights)
        np.testing.assert_allclose(inner([gradient], [moved[k]]), direct, rtol=1e-9, atol=1e-9)
    if len(arrays) == 1:
        direction = like(arrays[0], rng)
        _, (back, *_) = second_order(f, arrays, weights, [direction])
        np.testing.assert_allclose(back, results(f(direction))[0], rtol=1e-9, atol=1e-9)


# ---- entry by entry ------------------------------------------------------------------------------------------------

UNARY = [
    np.sin,
    np.exp,
    np.tanh,
    np.arctan,
    np.square,
    np.negative,
    np.sinh,
    np.arcsinh,
    np.expm1,
    np.exp2,
    np.sinc,
    np.i0,
]
BINARY = [
    np.add,
    np.subtract,
    np.multiply,
    np.hypot,
    np.arctan2,
    np.maximum,
    np.minimum,
    np.logaddexp,
    np.fmax,
    np.copysign,
]


@QUICK
@given(st.sampled_from(UNARY), SHAPES, st.sampled_from(LAYOUTS), SEEDS)
def test_unary(f: Any, shape: Any, layout: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    check(f, [normal(rng, shape, layout)], rng)


@QUICK
@given(
    st.sampled_from(BINARY), hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3, min_side=0),
    st.sampled_from(LAYOUTS), st.sampled_from(LAYOUTS), SEEDS,
)  # fmt: skip
def test_binary_with_broadcasting(f: Any, shapes: Any, first: str, second: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (normal(rng, shape, layout) for shape, layout in zip(shapes.input_shapes, (first, second), strict=True))
    check(f, [a, b], rng)


@QUICK
@given(hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=3), SEEDS)
def test_where_and_clip_with_broadcasting(shapes: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b, c = (normal(rng, shape) for shape in shapes.input_shapes)
    check(lambda x, y: np.where(a > 0, x, y), [b, c], rng)
    if np.broadcast_shapes(a.shape, b.shape, c.shape) == a.shape:
        check(np.clip, [a, b, b + np.abs(c)] if b.shape == c.shape else [a, b, c], rng)


@QUICK
@given(
    st.sampled_from([*UNARY, *BINARY, np.sum, np.mean, np.max, np.prod, np.var, np.std, np.cumsum, np.linalg.norm]),
    FULL_SHAPES,
    SEEDS,
)
def test_single_precision_stays_single_and_agrees_with_double(f: Any, shape: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = 2 if f in BINARY else 1
    doubles = [normal(rng, shape) for _ in range(count)]
    singles = [a.astype(np.float32) for a in doubles]
    weights = [like(out, rng) for out in (np.asarray(each) for each in results(f(*doubles)))]
    outs, got = first_order(f, singles, [w.astype(np.float32) for w in weights])
    _, wanted = first_order(f, [a.astype(float) for a in singles], weights)
    assert all(each.dtype == np.float32 for each in (*outs, *got))
    for g, w in zip(got, wanted, strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-3, atol=1e-3 * max(1.0, float(np.max(np.abs(w), initial=0))))


# ---- reductions ----------------------------------------------------------------------------------------------------


@st.composite
def reductions(draw: Any) -> tuple[Any, Any, bool]:
    """A shape, some of its axes in one of the ways to write them, and keepdims."""
    shape = draw(FULL_SHAPES)
    axes = draw(st.sets(st.integers(0, len(shape) - 1)))
    signed = tuple(axis - len(shape) if draw(st.booleans()) else axis for axis in sorted(axes))
    return (
        shape,
        (None if not signed else signed[0] if len(signed) == 1 and draw(st.booleans()) else signed),
        draw(st.booleans()),
    )


REDUCTIONS = [
    np.sum,
    np.mean,
    np.prod,
    np.max,
    np.min,
    np.var,
    np.std,
    np.ptp,
    np.median,
    np.nansum,
    np.nanmean,
    np.nanprod,
    np.nanmax,
    np.nanvar,
]


@QUICK
@given(st.sampled_from(REDUCTIONS), reductions(), st.sampled_from(LAYOUTS), SEEDS)
def test_reductions(f: Any, how: Any, layout: str, seed: int) -> None:
    shape, axis, keepdims = how
    rng = np.random.default_rng(seed)
    x = normal(rng, shape, layout)
    if f in (np.std,) and x.size and np.min(np.var(x, axis=axis)) == 0:
        return  # one entry has no spread: a kink, tested by hand
    check(lambda x: f(x, axis=axis, keepdims=keepdims), [x], rng)


@QUICK
@given(st.sampled_from([np.sum, np.mean, np.prod]), reductions(), SEEDS)
def test_reductions_with_where(f: Any, how: Any, seed: int) -> None:
    shape, axis, keepdims = how
    rng = np.random.default_rng(seed)
    mask = rng.random(shape) < 0.7
    mask.flat[0] = True
    if f is np.mean and not mask.any(axis=axis).all():
        mask[...] = True
    check(lambda x: f(x, axis=axis, keepdims=keepdims, where=mask), [normal(rng, shape)], rng)


@QUICK
@given(
    reductions(),
    st.lists(st.floats(0, 1), min_size=1, max_size=3),
    st.sampled_from(["linear", "hazen", "nearest", "midpoint"]),
    SEEDS,
)
def test_quantiles(how: Any, q: Any, method: Any, seed: int) -> None:
    shape, axis, keepdims = how
    rng = np.random.default_rng(seed)
    check(lambda x: np.quantile(x, q, axis=axis, keepdims=keepdims, method=method), [normal(rng, shape)], rng)


@QUICK
@given(FULL_SHAPES, st.data(), SEEDS)
def test_running_functions(shape: Any, data: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = normal(rng, shape)
    adjoint(lambda x: np.cumsum(x, axis=axis), [x], rng)
    adjoint(lambda x: np.diff(x, n=1, axis=axis), [x], rng)
    adjoint(lambda x: np.trapezoid(x, axis=axis, dx=0.3), [x], rng)
    zeros = np.where(rng.random(shape) < 0.4, 0, x)
    check(lambda x: np.cumprod(x, axis=axis), [zeros], rng)
    check(lambda x: np.prod(x, axis=axis), [zeros], rng)
    if shape[axis] > 1:
        adjoint(lambda x: np.gradient(x, axis=axis), [x], rng)


# ---- shapes and indices --------------------------------------------------------------------------------------------


@QUICK
@given(SHAPES, st.sampled_from(LAYOUTS), st.sampled_from([np.float64, np.complex128]), st.data(), SEEDS)
def test_rearrangements(shape: Any, layout: str, dtype: Any, data: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = normal(rng, shape, layout, dtype)
    ndim = len(shape)
    order = tuple(data.draw(st.permutations(range(ndim))))
    memory: Any = data.draw(st.sampled_from("CF"))
    wide = (*data.draw(st.lists(st.integers(0, 2), max_size=2)), *(3 if n == 1 else n for n in shape))
    adjoint(lambda x: np.transpose(x, order), [x], rng)
    adjoint(lambda x: np.reshape(x, -1, order=memory), [x], rng)
    adjoint(lambda x: np.broadcast_to(x, wide), [x], rng)
    adjoint(lambda x: np.tile(x, (2, 1, 2)), [x], rng)
    adjoint(lambda x: np.repeat(x, 2), [x], rng)
    adjoint(lambda x: np.roll(x, 2), [x], rng)
    adjoint(np.atleast_3d, [x], rng)
    if ndim:
        axis = data.draw(st.integers(-ndim, ndim - 1))
        adjoint(lambda x: np.flip(x, axis), [x], rng)
        adjoint(lambda x: np.roll(x, -1, axis), [x], rng)
        adjoint(lambda x: np.moveaxis(x, axis, 0), [x], rng)
        adjoint(lambda x: np.expand_dims(x, axis), [x], rng)
        counts = rng.integers(0, 3, shape[axis])
        adjoint(lambda x: np.repeat(x, counts, axis), [x], rng)
        adjoint(lambda x: np.concatenate([x, 2 * x, x], axis), [x], rng)
        adjoint(lambda x: np.stack([x, x], axis), [x], rng)
    if ndim >= 2:
        k = data.draw(st.integers(-3, 3))
        for f in (np.tril, np.triu, np.diagonal, np.trace):
            adjoint(lambda x, f=f: f(x, k), [x], rng)
        adjoint(lambda x: np.rot90(x, k), [x], rng)


@QUICK
@given(FULL_SHAPES, st.sampled_from(LAYOUTS), st.data(), SEEDS)
def test_basic_indices(shape: Any, layout: str, data: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    index = data.draw(hnp.basic_indices(shape, allow_newaxis=True))
    adjoint(lambda x: x[index], [normal(rng, shape, layout)], rng)


@QUICK
@given(hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=3), st.data(), SEEDS)
def test_advanced_indices(shape: Any, data: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = normal(rng, shape)
    places = data.draw(
        hnp.integer_array_indices(shape, result_shape=hnp.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=3))
    )
    part = data.draw(st.integers(0, len(shape) - 1))
    mask = rng.random(shape) < 0.5
    row = rng.random(shape[0]) < 0.5
    for index in (places, places[:1], (slice(None), *places[1:2]), (Ellipsis, places[-1]), (places[0], None,
         slice(None, None, -1)),
                  mask, row, (row, 0), (*places[:part], *(slice(None) for _ in places[part:]))):  # fmt: skip
        adjoint(lambda x, index=index: x[index], [x], rng)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    indices = rng.integers(-shape[axis], shape[axis], (2, 3))
    adjoint(lambda x: np.take(x, indices, axis), [x], rng)
    along = rng.integers(0, shape[axis], shape)
    adjoint(lambda x: np.take_along_axis(x, along, axis), [x], rng)


@QUICK
@given(FULL_SHAPES, st.data(), SEEDS)
def test_writing_with_an_index(shape: Any, data: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    index = data.draw(st.one_of(hnp.basic_indices(shape), hnp.integer_array_indices(shape)))

    def write(x: Any, value: Any) -> Any:
        x = x * 1.0
        x[index] = value
        return x

    check(write, [normal(rng, shape), normal(rng, np.empty(shape)[index].shape)], rng)


@QUICK
@given(FULL_SHAPES, st.data(), SEEDS)
def test_sorting(shape: Any, data: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    axis = data.draw(st.sampled_from([None, *range(-len(shape), len(shape))]))
    x = normal(rng, shape)
    k = data.draw(st.integers(0, (x.size if axis is None else shape[axis]) - 1))
    check(lambda x: np.sort(x, axis=axis), [x], rng)
    check(lambda x: np.partition(x, k, axis=axis), [x], rng)


# ---- products and transforms ---------------------------------------------------------------------------------------


@st.composite
def matmul_shapes(draw: Any) -> tuple[Any, Any]:
    """Two shapes that np.matmul takes."""
    found = draw(hnp.mutually_broadcastable_shapes(signature=np.matmul.signature, max_dims=2, min_side=0, max_side=3))
    return found.input_shapes


@QUICK
@given(matmul_shapes(), st.sampled_from(LAYOUTS), st.sampled_from([np.float64, np.complex128]), SEEDS)
def test_matmul(shapes: Any, layout: str, dtype: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    adjoint(np.matmul, [normal(rng, shape, layout, dtype) for shape in shapes], rng)


@QUICK
@given(st.integers(0, 3), st.integers(0, 2), st.integers(0, 2), st.data(), SEEDS)
def test_tensordot_and_dot(shared: int, left: int, right: int, data: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = [data.draw(st.integers(1, 3)) for _ in range(shared)]
    order = data.draw(st.permutations(range(shared)))
    a = normal(rng, (*[2] * left, *sizes))
    b = normal(rng, (*(sizes[i] for i in order), *[3] * right))
    adjoint(lambda a, b: np.tensordot(a, b, ([left + i for i in order], list(range(shared)))), [a, b], rng)
    if shared == 1:
        adjoint(np.dot, [a, np.moveaxis(b, 0, -2) if b.ndim > 1 else b], rng)
        adjoint(np.inner, [a, np.moveaxis(b, 0, -1)], rng)


@st.composite
def einsums(draw: Any) -> tuple[str, list[Any]]:
    """Subscripts with repeated, summed and free labels, and the operands' shapes."""
    sizes = dict(zip("abcd", draw(st.lists(st.integers(1, 3), min_size=4, max_size=4)), strict=True))
    terms = draw(st.lists(st.text("abcd", max_size=3), min_size=1, max_size=3))
    labels = sorted(set("".join(terms)))
    result = draw(st.permutations(labels))[: draw(st.integers(0, len(labels)))] if labels else []
    return f"{','.join(terms)}->{''.join(result)}", [tuple(sizes[label] for label in term) for term in terms]


@QUICK
@given(einsums(), SEEDS)
def test_einsum(how: Any, seed: int) -> None:
    subscripts, shapes = how
    rng = np.random.default_rng(seed)
    adjoint(lambda *operands: np.einsum(subscripts, *operands), [normal(rng, shape) for shape in shapes], rng)


@QUICK
@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.sampled_from(["full", "same", "valid"]),
    st.sampled_from([float, complex]),
    SEEDS,
)
def test_convolve_and_correlate(n: int, m: int, mode: Any, dtype: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = normal(rng, n, dtype=dtype), normal(rng, m, dtype=dtype)
    adjoint(lambda a, b: np.convolve(a, b, mode), [a, b], rng)
    check(lambda a, b: np.correlate(a, b, mode), [a, b], rng)


TRANSFORMS = [np.fft.fft, np.fft.ifft, np.fft.rfft, np.fft.irfft, np.fft.hfft, np.fft.ihfft]


@QUICK
@given(
    st.sampled_from(TRANSFORMS),
    FULL_SHAPES,
    st.one_of(st.none(), st.integers(1, 6)),
    st.sampled_from([None, "ortho", "forward"]),
    st.data(),
    SEEDS,
)
def test_fourier_transforms(f: Any, shape: Any, n: Any, norm: Any, data: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    real = f in (np.fft.rfft, np.fft.ihfft)
    if f in (np.fft.irfft, np.fft.hfft) and n is None and shape[axis] < 2:
        n = 1
    adjoint(lambda x: f(x, n, axis, norm), [normal(rng, shape, dtype=float if real else complex)], rng)


@QUICK
@given(
    st.sampled_from(["constant", "edge", "reflect", "symmetric", "wrap", "mean", "linear_ramp", "maximum", "minimum",
         "median"]),
    FULL_SHAPES, st.data(), SEEDS,
)  # fmt: skip
def test_padding(mode: Any, shape: Any, data: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    widths = [(data.draw(st.integers(0, 4)), data.draw(st.integers(0, 4))) for _ in shape]
    check(lambda x: np.pad(x, widths, mode), [normal(rng, shape)], rng)
    if mode in ("reflect", "symmetric"):
        adjoint(lambda x: np.pad(x, widths, mode, reflect_type="odd"), [normal(rng, shape)], rng)


@QUICK
@given(hnp.array_shapes(min_dims=1, max_dims=3, min_side=2, max_side=4), st.data(), SEEDS)
def test_sliding_windows(shape: Any, data: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = tuple(data.draw(st.integers(1, n)) for n in shape)
    adjoint(lambda x: np.lib.stride_tricks.sliding_window_view(x, sizes), [normal(rng, shape)], rng)


# ---- linear algebra ------------------------------------------------------------------------------------------------


@QUICK
@given(
    st.lists(st.integers(0, 2), max_size=2),
    st.integers(1, 4),
    st.sampled_from(LAYOUTS),
    st.sampled_from([float, complex]),
    SEEDS,
)
def test_square_matrices(batch: Any, n: int, layout: str, dtype: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a = laid_out(normal(rng, (*batch, n, n), dtype=dtype) + 4 * n * np.eye(n), layout)
    check(np.linalg.inv, [a], rng)
    check(np.linalg.slogdet, [a], rng)
    check(lambda a: np.linalg.det(a / (4 * n)), [a], rng)
    check(np.linalg.solve, [a, normal(rng, (*batch, n, 2), dtype=dtype)], rng)
    check(lambda a: np.linalg.cholesky(a @ np.conj(np.swapaxes(a, -1, -2)) / (4 * n)), [a], rng)
    check(lambda a: np.linalg.eigvalsh(a + np.conj(np.swapaxes(a, -1, -2))), [a + np.diag(8.0 * np.arange(n))], rng)


@QUICK
@given(st.integers(1, 4), st.integers(1, 4), st.sampled_from([float, complex]), SEEDS)
def test_oblong_matrices(m: int, n: int, dtype: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a = normal(rng, (m, n), dtype=dtype)
    values = np.linalg.svd(a, compute_uv=False)
    if values[-1] < 0.3 or np.min(-np.diff(values), initial=1) < 0.3:
        return  # near a coincidence differences say nothing
    check(lambda a: np.linalg.svd(a, compute_uv=False), [a], rng)
    check(np.linalg.pinv, [a], rng)
    check(lambda a: np.linalg.norm(a, "nuc"), [a], rng)
    check(lambda a: [np.abs(part) for part in np.linalg.svd(a, full_matrices=False)], [a], rng)


def test_the_adjoint_check_notices_a_wrong_gradient() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(AssertionError):
        adjoint(lambda x: x if isinstance(x, np.ndarray) else 2 * x, [np.ones(3)], rng)
    with pytest.raises(AssertionError):
        adjoint(lambda x: x * x, [np.ones(3)], rng)
