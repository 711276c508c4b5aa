"""Where a derivative is a convention: ties, bounds, kinks, zeros, NaN; and what must be refused in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import autograd_lite as ag


def slope(f: Callable[..., Any], *values: Any) -> Any:
    """The gradients of sum(f), for each value."""
    xs = [ag.tensor(np.array(value, float), requires_grad=True) for value in values]
    np.sum(f(*xs)).backward()
    found = [np.zeros(x.shape) if x.grad is None else x.grad for x in xs]
    return found[0] if len(found) == 1 else found


# ---- ties ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [np.max, np.min, np.nanmax, np.amax, np.median])
def test_extremes_share_evenly_among_ties(f: Any) -> None:
    assert_allclose(slope(f, [2.0, 2.0, 2.0, 2.0]), [0.25] * 4)
    assert_allclose(
        slope(f, [1.0, 2.0, 2.0] if f in (np.max, np.nanmax, np.amax, np.median) else [3.0, 2.0, 2.0]), [0, 0.5, 0.5]
    )


@pytest.mark.parametrize("f", [np.maximum, np.minimum, np.fmax, np.fmin])
def test_pairs_share_evenly_at_a_tie(f: Any) -> None:
    a, b = slope(f, [1.0, 2.0], [1.0, 5.0])
    assert a[0] == b[0] == 0.5
    assert sorted([a[1], b[1]]) == [0, 1]


def test_sorts_are_stable() -> None:
    weights = np.array([1.0, 10.0, 100.0])
    assert_array_equal(slope(lambda x: np.sort(x) * weights, [3.0, 1.0, 1.0]), [100, 1, 10])
    assert_array_equal(slope(lambda x: np.partition(x, 1) * weights, [3.0, 1.0, 1.0]), [100, 1, 10])


def test_a_partition_is_numpys_own() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        x = rng.integers(0, 5, 12).astype(float)
        k = int(rng.integers(12))
        assert_array_equal(np.partition(ag.tensor(x), k).data, np.partition(x, k))


# ---- bounds and kinks ----------------------------------------------------------------------------------------------


def test_a_clips_bound_is_inside() -> None:
    assert_array_equal(slope(lambda x: np.clip(x, 0.0, 1.0), [-1.0, 0.0, 0.5, 1.0, 2.0]), [0, 1, 1, 1, 0])


@pytest.mark.parametrize(
    "f",
    [
        lambda x, low, high: np.clip(x, low, high),
        lambda x, low, high: np.clip(x, a_min=low, a_max=high),
        lambda x, low, high: np.clip(a=x, a_max=high, a_min=low),
        pytest.param(
            lambda x, low, high: np.clip(x, min=low, max=high),
            marks=pytest.mark.skipif(
                np.lib.NumpyVersion(np.__version__) < "2.1.0", reason="np.clip(min=) is new in 2.1"
            ),
        ),
        lambda x, low, high: x.clip(low, high),
        lambda x, low, high: x.clip(min=low, max=high),
    ],
)
def test_a_bound_gets_its_gradient_however_it_is_passed(f: Any) -> None:
    x, low, high = slope(f, [-5.0, 0.5, 5.0, 6.0], 0.0, 1.0)
    assert_array_equal(x, [0, 1, 0, 0])
    assert (low, high) == (1, 2)


def test_a_clip_with_crossed_bounds_is_the_upper_one() -> None:
    x, low, high = slope(lambda x, low, high: np.clip(x, low, high), [-5.0, 0.5, 5.0], 2.0, 1.0)
    assert_array_equal(x, [0, 0, 0])
    assert (low, high) == (0, 3)


@pytest.mark.parametrize("f", [np.abs, np.fabs, np.sign, np.linalg.norm, np.hypot])
def test_slope_at_the_kink_is_zero(f: Any) -> None:
    found = slope(f, [0.0], [0.0]) if f is np.hypot else [slope(f, [0.0])]
    assert all((g == 0).all() for g in found)


@pytest.mark.parametrize("f", [np.floor, np.ceil, np.rint, np.trunc, np.sign, np.round, np.fix])
def test_staircases_have_slope_zero(f: Any) -> None:
    assert_array_equal(slope(f, [-1.5, 0.3, 2.0]), [0, 0, 0])


# ---- zeros ---------------------------------------------------------------------------------------------------------


def test_powers_at_zero_are_torchs() -> None:
    assert_array_equal(slope(lambda x: x**2, [0.0, 3.0]), [0, 6])
    assert_array_equal(slope(lambda x: x**0, [0.0, 3.0]), [0, 0])
    assert_array_equal(slope(lambda x: x ** np.array([0.0, 1.0, 2.0]), [0.0, 0.0, 0.0]), [0, 1, 0])
    assert_array_equal(slope(lambda y: 0.0**y, [2.0, 0.0]), [0, 0])
    with np.errstate(divide="ignore"):
        assert_array_equal(slope(lambda y: 0.0**y, [-1.0]), [-np.inf])
        assert_array_equal(slope(np.sqrt, [0.0, 4.0]), [np.inf, 0.25])


@pytest.mark.parametrize(
    "f", [np.std, np.nanstd, np.linalg.norm, lambda x: np.linalg.norm(x, 3), lambda x: np.linalg.norm(x, 2, axis=0)]
)
def test_roots_of_nothing_have_slope_zero(f: Any) -> None:
    assert_array_equal(slope(f, [0.0, 0.0, 0.0]), [0, 0, 0])


@pytest.mark.parametrize(
    ("x", "wanted"),
    [([2.0, 0.0, 3.0], [0, 6, 0]), ([0.0, 0.0, 3.0], [0, 0, 0]), ([0.0], [1]), ([1.0, 2.0, 3.0], [6, 3, 2])],
)
def test_products_with_zeros_are_exact(x: Any, wanted: Any) -> None:
    assert_array_equal(slope(np.prod, x), wanted)


def test_a_cumulative_product_with_zeros_is_exact() -> None:
    # y = (a, ab, abc): dy/da = 1 + b + bc, dy/db = a + ac, dy/dc = ab
    a, b, c = 0.0, 0.0, 5.0
    assert_array_equal(slope(np.cumprod, [a, b, c]), [1 + b + b * c, a + a * c, a * b])


def test_the_determinant_of_a_singular_matrix() -> None:
    assert_allclose(slope(np.linalg.det, [[1.0, 2.0], [2.0, 4.0]]), [[4, -2], [-2, 1]])
    assert_allclose(slope(np.linalg.det, np.zeros((3, 3))), np.zeros((3, 3)), atol=1e-15)


def test_infinities_of_logaddexp_share_evenly() -> None:
    a, b = slope(np.logaddexp, [-np.inf, 1000.0, -1000.0], [-np.inf, -1000.0, 1000.0])
    assert_array_equal(a, [0.5, 1, 0])
    assert_array_equal(b, [0.5, 0, 1])


def test_sinc_at_zero_to_the_sixth_order() -> None:
    # sinc x = sum (-1)^m (pi x)^2m / (2m + 1)!: the sixth derivative at 0 is -pi^6 / 7
    f: Any = np.sinc
    for _ in range(6):
        f = ag.grad(f)
    assert_allclose(f(0.0), -(np.pi**6) / 7, rtol=1e-12)


# ---- NaN -----------------------------------------------------------------------------------------------------------


def test_a_nan_is_passed_on_by_maximum_and_not_by_fmax() -> None:
    a, b = slope(np.maximum, [np.nan], [1.0])
    assert (a[0], b[0]) == (1, 1)
    a, b = slope(np.fmax, [np.nan, 1.0], [1.0, np.nan])
    assert_array_equal(a, [0, 1])
    assert_array_equal(b, [1, 0])


def test_nan_reductions_give_nan_no_gradient() -> None:
    assert_array_equal(slope(np.nansum, [1.0, np.nan]), [1, 0])
    assert_array_equal(slope(np.nanmean, [1.0, np.nan, 2.0]), [0.5, 0, 0.5])


# ---- duplicates ----------------------------------------------------------------------------------------------------


def test_repeated_places_accumulate() -> None:
    assert_array_equal(slope(lambda x: x[[0, 0, 2]], [1.0, 2.0, 3.0]), [2, 0, 1])
    assert_array_equal(slope(lambda x: np.take(x, [[0, 1], [1, 1]]), [1.0, 2.0, 3.0]), [1, 3, 0])


def test_a_rectangles_diagonal_and_a_tiled_matrix() -> None:
    assert_array_equal(slope(np.diag, np.ones((2, 3))), [[1, 0, 0], [0, 1, 0]])
    assert_array_equal(slope(lambda x: np.tile(x, 2), np.ones((2, 3))), np.full((2, 3), 2.0))


# ---- keywords of every kind ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "wanted"),
    [
        (lambda x, w: np.average(x, weights=w), "weights"),
        (lambda x, w: np.sum(x, initial=w[0]), "initial"),
        (lambda x, w: np.max(x, initial=w[0] + 10), "initial"),
        (lambda x, w: np.interp(0.5, np.arange(3.0), fp=x) * w, "fp"),
        (lambda x, w: np.diff(x, prepend=w), "prepend"),
        (lambda x, w: np.pad(x, 1, constant_values=w[0]), "constant_values"),
        (lambda x, w: np.ediff1d(x, to_end=w), "to_end"),
        (lambda x, w: np.trapezoid(x, x=w), "x"),
        (lambda x, w: np.select([np.array([True, False, False])], [x], default=w), "default"),
        (lambda x, w: np.insert(x, 1, values=w[0]), "values"),
        (lambda x, w: np.matmul(x, w), "positional"),
        (lambda x, w: np.var(x, mean=np.sum(w)), "mean"),
        (lambda x, w: np.cov(x, aweights=w), "aweights"),
    ],
)
def test_an_array_passed_by_keyword_gets_its_gradient(f: Any, wanted: str) -> None:
    rng = np.random.default_rng(0)
    x, w = rng.random(3), rng.random(3) + 1
    ag.gradcheck(lambda x, w: np.sum(f(x, w)), x, w)
    assert (slope(f, x, w)[1] != 0).any(), f"{wanted}= got no gradient"


# ---- refusals ------------------------------------------------------------------------------------------------------

X = ag.tensor([[1.0, 2.0], [3.0, 5.0]], requires_grad=True)
BUFFER = np.empty((2, 2))


@pytest.mark.parametrize(
    "f",
    [
        lambda: np.exp(X, out=BUFFER), lambda: np.sum(X, axis=0, out=np.empty(2)), lambda: np.clip(X, 0, 1, out=BUFFER),
        lambda: np.argmax(X, out=np.empty((), int)), lambda: np.cumsum(X, axis=0, out=BUFFER),
        lambda: np.add(X, 1, BUFFER),
        lambda: np.max(X, out=np.empty(())), lambda: np.matmul(X, X, out=BUFFER), lambda: np.mean(X, out=np.empty(())),
        lambda: np.std(X, out=np.empty(())), lambda: np.take(X, 0, out=np.empty(())), lambda: np.round(X, out=BUFFER),
        lambda: np.concatenate([X, X], out=np.empty((4, 2))), lambda: np.einsum("ij->i", X, out=np.empty(2)),
    ],
)  # fmt: skip
def test_out_is_refused_and_says_what_to_write(f: Any) -> None:
    with pytest.raises(TypeError, match="a result is always a new tensor|array = array \\+ tensor"):
        f()


@pytest.mark.parametrize(
    "f",
    [
        lambda: np.copyto(BUFFER, X), lambda: np.put(BUFFER, [0], X[0]), lambda: np.place(BUFFER, BUFFER > 0, X),
        lambda: np.putmask(BUFFER, BUFFER > 0, X), lambda: np.fill_diagonal(X, 0.0),
        lambda: np.put_along_axis(BUFFER, np.zeros((1, 2), int), X, 0),
    ],
)  # fmt: skip
def test_writers_are_refused_and_name_the_remedy(f: Any) -> None:
    with pytest.raises(TypeError, match=r"x\[index\] = value"):
        f()


@pytest.mark.parametrize("name", ["at", "reduceat"])
def test_ufunc_forms_without_a_rule_are_refused(name: str) -> None:
    with pytest.raises((NotImplementedError, TypeError), match=f"np.add.{name}"):
        getattr(np.add, name)(X, [0], X)


def test_ufunc_forms_with_a_rule() -> None:
    assert_array_equal(slope(lambda x: np.add.reduce(x), [[1.0, 2.0]]), [[1, 1]])
    assert_array_equal(slope(lambda x: np.multiply.accumulate(x), [2.0, 3.0]), [4, 2])
    a, b = slope(lambda a, b: np.multiply.outer(a, b), [1.0, 2.0], [3.0, 4.0, 5.0])
    assert_array_equal(a, [12, 12])
    assert_array_equal(b, [3, 3, 3])


def test_where_of_a_ufunc_is_refused_and_names_np_where() -> None:
    with pytest.raises(NotImplementedError, match=r"np\.where"):
        np.exp(X, where=np.eye(2, dtype=bool))


@pytest.mark.parametrize(
    ("f", "word"),
    [
        (lambda: np.linalg.svd(ag.tensor(np.ones((2, 3)))), "full_matrices=False"),
        (lambda: np.linalg.qr(ag.tensor(np.ones((3, 2))), mode="complete"), "reduced"),
        (lambda: np.quantile(X, 0.5, weights=np.ones((2, 2)), method="inverted_cdf"), "weights"),
        (lambda: np.emath.sqrt(X), "astype"),
        (lambda: np.save("nowhere", X), "detach"),
        (lambda: np.roots(ag.tensor([1.0, 2.0])), "eigvals"),
    ],
)
def test_what_has_no_rule_names_the_remedy(f: Any, word: str) -> None:
    with pytest.raises((NotImplementedError, TypeError), match=word):
        f()


@pytest.mark.parametrize(
    "f",
    [
        lambda: np.squeeze(X, 0), lambda: np.expand_dims(X, 5), lambda: np.split(X, 3), lambda: np.flip(X, 2),
        lambda: np.roll(X, 1, 7),
        lambda: np.take(X, 9), lambda: np.repeat(X, [1, 2, 3], axis=0), lambda: np.rot90(X, 1, (0, 0)),
        lambda: np.fliplr(X[0]),
        lambda: np.stack([X, X[0]]), lambda: np.choose(np.array([3]), [X, X]), lambda: np.reshape(X, (3, 3)),
        lambda: np.sum(X, axis=2),
        lambda: np.linalg.norm(X, axis=3), lambda: np.linalg.norm(X, 7), lambda: np.pad(X, -1),
        lambda: np.convolve(X, X), lambda: np.diff(X, -1),
        lambda: np.matrix_transpose(X[0]), lambda: np.vecdot(X, X[0, :1]), lambda: np.cross(X[:, :1], X[:, :1]),
        lambda: np.einsum("ij->k", X),
        lambda: np.interp(0.5, X[0], X[:1, 0]), lambda: np.gradient(X, 1.0, 2.0, 3.0),
        lambda: np.meshgrid(X, indexing="zz"), lambda: np.block([]),
        lambda: np.average(X, weights=X[0]), lambda: np.inner(X, X[0, :1]), lambda: np.trace(X[0]),
        lambda: np.percentile(X, 140),
        lambda: np.linalg.inv(X[:1]), lambda: np.linalg.matrix_power(X[:1], 2), lambda: np.max(X[:0]),
        lambda: np.select([], []), lambda: np.select([X > 0], []),
        lambda: np.bincount(np.array([0, 1]), weights=X[0, :1]),
        lambda: np.take_along_axis(X, np.array([0]), 1), lambda: np.diag(ag.tensor(1.0)),
        lambda: np.cumulative_sum(X) if hasattr(np, "cumulative_sum") else np.cumsum(X, axis=9),
        lambda: np.max(X, where=X > 0),
        lambda: np.diff(ag.tensor(1.0)), lambda: np.gradient(X, edge_order=3), lambda: np.gradient(X[:1], axis=0),
        lambda: np.gradient(X, np.ones(5), axis=0), lambda: np.linspace(X, 1.0, -1), lambda: np.vander(X),
        lambda: np.einsum("ij,jk->ik", X), lambda: np.einsum("ij->i", X, nonsense=1), lambda: np.block((X, X)),
        lambda: np.block([[X], X]), lambda: np.array_split(X, 0), lambda: np.array_split(X, 2, axis=4),
        lambda: np.vsplit(X[0], 2),
        lambda: np.linalg.tensorinv(X, ind=0), lambda: np.linalg.norm(X[0], "fro"),
        lambda: np.linalg.norm(X, axis=(0, 0)),
        lambda: np.linalg.norm(X, axis=(0, 1, 0)), lambda: np.linalg.matrix_norm(X[0]),
        lambda: np.linalg.norm(X.reshape(2, 2, 1), 1),
        lambda: np.linalg.outer(X, X[0]), lambda: np.convolve(X[0], X[0], mode="nonsense"),
        lambda: np.average(X, axis=0, weights=X[0, :1]),
        lambda: np.take(X, [0.5]), lambda: np.take(X, 0, axis=3), lambda: np.take_along_axis(X, np.array([[0.5]]), 1),
        lambda: np.take_along_axis(X, np.array([[0]]), 5), lambda: np.select([np.array([1, 0])], [X]),
        lambda: np.piecewise(X, [X > 0], [1, 2, 3]),
        lambda: np.repeat(X, -1), lambda: np.repeat(X, 2, axis=5), lambda: np.resize(X, (-1, 2)),
        lambda: np.rollaxis(X, 7),
        lambda: np.quantile(X[:0], 0.5, axis=0), lambda: np.pad(X, 1, nonsense=2),
        lambda: np.pad(X, 1, "nonsense"), lambda: np.pad(X, 0.5),
        lambda: np.clip(X, 0, 1, min=0), lambda: X[0.5], lambda: np.split(X, 2, axis=9),
        lambda: np.median(X, axis=5), lambda: np.quantile(X, 0.5, axis=(0, 0)), lambda: np.diff(X, axis=7),
        lambda: np.gradient(X, axis=4),
        lambda: np.trapezoid(X, axis=3), lambda: np.pad(X, {5: 1}), lambda: np.nanmedian(X, axis=-3),
        lambda: np.unwrap(X, axis=2),
        lambda: np.apply_along_axis(np.sum, 3, X), lambda: np.fft.fftn(X, axes=(0, 4)), lambda: np.fft.rfft(X, axis=2),
        lambda: np.average(X, axis=4), lambda: np.nanmean(X, axis=3), lambda: np.cumprod(X, axis=2),
        lambda: np.insert(X, 0, 1.0, axis=2),
        lambda: np.delete(X, 0, axis=2), lambda: np.rot90(X, 1, (0, 2)), lambda: np.stack([X, X], axis=4),
        lambda: np.vecdot(X, X, axis=3),
        lambda: np.cross(X, X, axis=3), lambda: np.sort(X, axis=2), lambda: np.partition(X, 0, axis=3),
        lambda: np.partition(X, 9),
        lambda: np.tensordot(X, X, ([3], [0])), lambda: np.diagonal(X, 0, 0, 5), lambda: np.trace(X, 0, 1, 1),
        lambda: np.std(X, axis=2),
        lambda: np.ptp(X, axis=2), lambda: np.fft.fftshift(X, axes=3), lambda: np.linalg.vector_norm(X, axis=2),
        lambda: np.compress([True], X, axis=3),
        lambda: np.concatenate([X, X], axis=2), lambda: np.dsplit(X, 2), lambda: np.expand_dims(X, (0, 0)),
        lambda: np.moveaxis(X, 0, 4),
    ],
)  # fmt: skip
def test_bad_calls_raise_as_numpys_do(f: Any) -> None:
    with pytest.raises((ValueError, IndexError, TypeError, np.linalg.LinAlgError)):
        f()


@pytest.mark.parametrize("f", [np.linalg.norm, np.std, lambda x: x.clip(0, 9), lambda x: np.kron(x, x)])
def test_a_compositions_line_is_its_callers(f: Any) -> None:
    x = ag.tensor([1.0, 2.0], requires_grad=True)
    result = np.sum(f(x))
    with ag.no_grad():
        x += 10
    with pytest.raises(RuntimeError, match=r"test_conventions\.py:\d+"):
        result.backward()


def test_whole_numbers_and_unusual_inputs() -> None:
    whole = ag.tensor([[3, 1], [2, 2]])
    for f in (
        np.linalg.norm,
        np.median,
        np.nanmax,
        np.i0,
        lambda x: np.pad(x, 1, "mean"),
        np.nan_to_num,
        lambda x: np.diff(x > 1),
    ):
        wanted = f(whole.data)
        assert_allclose(f(whole), wanted)
        assert np.asarray(f(whole)).dtype == np.asarray(wanted).dtype
    z = ag.tensor([1 + 1j * np.inf, 2.0])
    assert_array_equal(np.nan_to_num(z), np.nan_to_num(z.data))
    assert_array_equal(np.resize(ag.tensor(np.zeros((0,))), 2), np.zeros(2))
    assert_array_equal(np.bincount(ag.tensor([1, 1, 3])), [0, 2, 0, 1])
    assert_array_equal(np.trim_zeros(ag.tensor([0.0, 0.0])), np.zeros(0))
    assert_array_equal(np.pad(X, {0: 1, -1: (0, 2)}).data, np.pad(X.data, ((1, 1), (0, 2))))
    assert_array_equal(np.unravel_index(ag.tensor(5), (2, 3)), (1, 2))
    with pytest.raises(TypeError, match="copy"):
        np.nan_to_num(X, copy=False)
    with pytest.raises(NotImplementedError, match="vectors"):
        np.trim_zeros(X)
    with pytest.raises(NotImplementedError, match="coefficients"):
        np.polyfit(X[0], X[1], 1, cov=True)
    with pytest.raises(NotImplementedError, match="eigh"):
        np.linalg.svd(X, hermitian=True)
    with pytest.raises(NotImplementedError, match="weights"):
        np.nanquantile(X, 0.5, weights=np.ones((2, 2)), method="inverted_cdf")


@pytest.mark.parametrize("f", [np.median, np.i0, lambda x: np.einsum("i,i->", x, x), lambda x: np.percentile(x, 30)])
def test_an_error_names_the_line_of_a_functions_own_parts(f: Any) -> None:
    x = ag.tensor([1.0, 2.0, 4.0], requires_grad=True)
    result = np.sum(f(x))
    with ag.no_grad():
        x += 1
    with pytest.raises(RuntimeError, match=r"recorded it \(test_conventions\.py:\d+: .*np\."):
        result.backward()
