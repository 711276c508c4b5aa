"""One entry per function with a gradient: the calls by which its rule is checked.

`case(np.f, call(...), call(...))` lists calls; among their arguments `N(2,
     3)` and its kin stand for arrays whose gradient
is checked,
     and everything else is passed as it is. `via=` replaces the function where its result is not unique (the sign of
an eigenvector), or where it is no function of NumPy's at all (a method, an operator).

Read next: `test_rules.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Maker = Callable[[np.random.Generator, tuple[int, ...]], Any]


class Spec(NamedTuple):
    """An array to be made: how, and of which shape."""

    make: Maker
    shape: tuple[int, ...]

    def array(self, rng: np.random.Generator) -> Any:
        """The array, in double precision."""
        return np.asarray(self.make(rng, self.shape))


class Call(NamedTuple):
    """Positional arguments and keywords, with specs in the places of differentiable arrays."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Case(NamedTuple):
    """A function and the calls by which its gradient is checked."""

    key: Any
    calls: tuple[Call, ...]
    via: Callable[..., Any]
    order: int

    @property
    def name(self) -> str:
        """The function's name, for the report of a test."""
        return self.key if isinstance(self.key, str) else getattr(self.key, "__name__", str(self.key))


CASES: dict[Any, Case] = {}


def case(key: Any, *calls: Call, via: Callable[..., Any] | None = None, order: int = 2) -> None:
    """Add the entry of one function."""
    assert key not in CASES, f"{key} has two cases"
    CASES[key] = Case(key, calls, via or key, order)


def call(*args: Any, **kwargs: Any) -> Call:
    """One call."""
    return Call(args, kwargs)


def specs(part: Any) -> Iterator[Spec]:
    """The specs in a call, from left to right."""
    if isinstance(part, Spec):
        yield part
    elif isinstance(part, Call):
        yield from specs([*part.args, *part.kwargs.values()])
    elif isinstance(part, (list, tuple)):
        for each in part:
            yield from specs(each)


def filled(part: Any, arrays: Iterator[Any]) -> Any:
    """A call's part with arrays in the places of its specs."""
    if isinstance(part, Spec):
        return next(arrays)
    if isinstance(part, (list, tuple)):
        return type(part)(filled(each, arrays) for each in part)
    return part


def function_of(entry: Case, one: Call) -> Callable[..., Any]:
    """The call as a function of its differentiable arrays alone."""

    def f(*arrays: Any) -> Any:
        rest = iter(arrays)
        args = [filled(each, rest) for each in one.args]
        return entry.via(*args, **{key: filled(value, rest) for key, value in one.kwargs.items()})

    return f


# ---- arrays of many kinds ------------------------------------------------------------------------------------------


def _kind(make: Maker) -> Callable[..., Spec]:
    return lambda *shape: Spec(make, shape)


def _distinct(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    n = int(np.prod(shape))
    return (rng.permutation(n) - n / 2 + 0.3 * rng.random(n)).reshape(shape) * 0.4


def _definite(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    x = rng.standard_normal(shape)
    return x @ np.swapaxes(x, -1, -2) + shape[-1] * np.eye(shape[-1])


N = _kind(lambda rng, shape: rng.standard_normal(shape))  # normal
P = _kind(lambda rng, shape: rng.uniform(0.5, 2.0, shape))  # positive
U = _kind(lambda rng, shape: rng.uniform(-0.9, 0.9, shape))  # within the unit interval
G = _kind(lambda rng, shape: rng.uniform(1.2, 3.0, shape))  # greater than one
D = _kind(_distinct)  # all different, and from 0
M = _kind(lambda rng, shape: rng.standard_normal(shape) + 2 * shape[-1] * np.eye(*shape[-2:]))  # invertible
S = _kind(_definite)  # symmetric and positive definite
C = _kind(lambda rng, shape: rng.standard_normal(shape) + 1j * rng.standard_normal(shape))  # complex
Z = _kind(
    lambda rng, shape: np.asarray(rng.uniform(0.5, 2.0, shape) + 1j * rng.standard_normal(shape))
)  # right half plane


def V(*values: Any) -> Spec:
    """These very values."""
    array = np.array(values[0] if len(values) == 1 else values, float)
    return Spec(lambda rng, shape: array.copy(), array.shape)


NAN = np.nan
I32 = np.array([2, 0, 1, 2])
MASK = np.array([[True, False, True], [False, True, True]])

# fmt: off

# ---- entry by entry ------------------------------------------------------------------------------------------------

PAIRS = [(N(2, 3), N(2, 3)), (N(2, 3), N(3)), (N(), N(2, 1)), (N(2, 1), N(1, 3)), (N(0, 3), N(3)), (N(2), 1.5), (0.5,
     N(2))]
for _f in (np.add, np.subtract, np.multiply):
    case(_f, *(call(*pair) for pair in PAIRS), call(C(3), C(2, 1)), call(C(2), N(2)))
case(np.divide, call(N(2, 3), P(2, 3)), call(N(3), P(2, 1)), call(1.0, P()), call(C(2), Z(2)))
case(np.power, call(P(2, 3), N(3)), call(N(3), 3), call(N(3), np.array([2.0, 0.0, 1.0])), call(2.0, N(2)),
     call(V(0.0, -1.0), 2.0),
     call(Z(2), C(2)))
case(np.float_power, call(P(2), N(2)), call(P(3), 0.5))
case("operator.pow", call(N(3), 2), call(P(3), N(3)), call(P(2), -0.5), call(N(2), 0), via=lambda a, b: a**b)
case(np.remainder, call(N(2, 3), P(3)), call(D(4), 0.7))
case(np.fmod, call(N(2, 3), P(3)))
case(np.floor_divide, call(N(3), P(3)))
case(np.divmod, call(N(3), P(3)))
for _f in (np.negative, np.positive, np.square, np.exp, np.sin, np.cos, np.sinh, np.cosh, np.tanh, np.conjugate):
    case(_f, call(N(2, 3)), call(N()), call(N(0, 2)), call(C(2)))
for _f in (np.exp2, np.expm1, np.arctan, np.arcsinh):
    case(_f, call(N(2, 3)), call(N()), call(Z(2)))
for _f in (np.cbrt, np.deg2rad, np.radians, np.rad2deg, np.degrees):
    case(_f, call(P(2, 3)), call(P()))
for _f in (np.log, np.log2, np.log10, np.log1p, np.sqrt, np.reciprocal):
    case(_f, call(P(2, 3)), call(P()), call(Z(2)))
for _f in (np.tan, np.arcsin, np.arccos, np.arctanh):
    case(_f, call(U(2, 3)), call(U()))
case(np.arccosh, call(G(2, 3)), call(G()))
case(np.logaddexp, call(N(2, 3), N(3)), call(V(0.3, 800.0), V(0.3, -800.0)))
case(np.logaddexp2, call(N(2, 3), N(3)))
case(np.hypot, call(N(2, 3), N(3)), call(N(2), 0.0))
case(np.arctan2, call(N(2, 3), N(3)), call(N(2), -1.0))
case(np.sinc, call(D(5)), call(V(0.0, 1e-3, 1.0, 7.5)))
case(np.i0, call(N(2, 3)), call(V(0.0, 5.0)))
case(np.absolute, call(D(2, 3)), call(C(3)))
case(np.fabs, call(D(2, 3)))
case(np.sign, call(D(3)), call(C(3)))
case(np.copysign, call(D(2, 3), D(3)))
case(np.heaviside, call(D(3), N(3)), call(np.zeros(2), N(2)))
for _f in (np.maximum, np.minimum, np.fmax, np.fmin):
    case(_f, call(N(2, 3), N(3)), call(N(2, 3), 0.1), call(N(), N(2)))
for _f in (np.floor, np.ceil, np.rint, np.trunc, np.fix):
    case(_f, call(D(4)))
case(np.spacing, call(P(3)))
case(np.nextafter, call(P(3), P(3)))
case(np.round, call(D(4)), call(D(4), 1), call(D(4), decimals=-1))
case(np.around, call(D(4)), call(D(4), 1))
case(np.modf, call(D(4)))
case(np.frexp, call(D(4)))
case(np.ldexp, call(N(4), I32))
case(np.where, call(MASK, N(2, 3), N(3)), call(MASK, N(2, 3), 0.0), call(True, N(2), N(2)))
case(np.clip, call(D(6), -0.5, 0.5), call(D(6), N(), None), call(D(6), a_min=V(-0.5), a_max=V(0.7)),
     call(D(2, 3), None, N(3)),
     call(D(6), None, P()), call(D(6), 1.1, N()),
     *([call(D(2, 3), max=N(3))] if np.lib.NumpyVersion(np.__version__) >= "2.1.0" else []))  # fmt: skip  # new in 2.1
case(np.nan_to_num, call(D(3)), call(V(1.0, NAN, np.inf, -np.inf), nan=0.5, posinf=2.0, neginf=-2.0))
case(np.real, call(C(3)), call(N(2)))
case(np.imag, call(C(3)), call(N(2)))
case(np.angle, call(C(3)), call(Z(3), deg=True))
case(np.real_if_close, call(C(3)), call(N(2)), via=lambda x: np.real_if_close(x) * 2)
case(np.unwrap, call(V(0.0, 1.0, 7.5, 14.0, 1.0)), call(D(2, 5), axis=0), call(D(5), period=1.5),
     call(D(6), discont=4.0))
case("astype", call(N(2, 3)), via=lambda x: x.astype(np.complex128))
case("copy", call(N(2, 3)), via=lambda x: x.copy())

# ---- reductions ----------------------------------------------------------------------------------------------------

AXES = [call(D(2, 3)), call(D(2, 3), axis=0), call(D(2, 3, 2), axis=(0, -1)),
     call(D(2, 3), axis=-1, keepdims=True), call(D())]
for _f in (np.sum, np.mean):
    case(_f, *AXES, call(N(2, 3), axis=1, where=MASK), call(N(2, 3), dtype=np.float64), call(C(2, 3), axis=0),
         call(N(2), axis=()))
for _f in (np.var, np.std):
    case(_f, *AXES[:-1], call(D(2, 3), axis=0, ddof=1), call(D(2, 3), axis=1, where=MASK), call(C(2, 3), axis=1),
         call(D(2, 3), axis=1, mean=N(2, 1), keepdims=True), call(D(2, 3), axis=1, correction=1))
for _f in (np.max, np.min, np.amax, np.amin):
    case(_f, *AXES, call(D(2, 3), axis=1, initial=0.05), call(D(2, 3), axis=0, where=MASK, initial=0.1),
         call(D(2, 3), initial=N()))
case(np.ptp, *AXES[:-1])
case(np.prod, *AXES, call(V(1.0, 0.0, 2.0)), call(V([[0.0, 3.0], [0.0, 2.0]]), axis=1), call(V(0.0, 0.0, 3.0)),
     call(N(0, 2)),
     call(N(2, 3), axis=1, where=MASK), call(N(2, 3), initial=N()), call(C(3)))
HOLES = V([[1.0, NAN, 3.0], [0.5, 2.0, NAN]])
for _f in (np.nansum, np.nanprod, np.nanmax, np.nanmin, np.nanmean, np.nanvar, np.nanstd, np.nanmedian):
    case(_f, call(D(2, 3)), call(HOLES), call(HOLES, axis=0), call(HOLES, axis=1, keepdims=True))
for _f in (np.nancumsum, np.nancumprod):
    case(_f, call(D(2, 3)), call(HOLES, axis=0))
case(np.average, call(N(2, 3)), call(N(2, 3), axis=0, weights=P(2)), call(N(2, 3), weights=P(2, 3)),
     call(N(2, 3), 1, P(2, 3), True),
     call(N(2, 3, 2), axis=(0, 2), weights=P(2, 2), keepdims=True), call(N(2, 3, 2), axis=(2, 0), weights=P(2, 2)))
case(np.cumsum, call(N(2, 3)), call(N(2, 3), axis=0), call(N(2, 3), -1))
case(np.cumprod, call(N(2, 3)), call(N(2, 3), axis=0), call(V(1.0, 0.0, 3.0, 0.0, 2.0)),
     call(V([[0.0, 2.0], [3.0, 0.0]]), axis=1))
if hasattr(np, "cumulative_sum"):
    for _f in (np.cumulative_sum, np.cumulative_prod):
        case(_f, call(N(3)), call(N(2, 3), axis=1), call(N(2, 3), axis=0, include_initial=True))
case(np.diff, call(N(5)), call(N(2, 5), n=2), call(N(2, 3), axis=0), call(N(2, 3), prepend=N(2, 1), append=N()),
     call(N(3), n=0))
case(np.ediff1d, call(N(2, 3)), call(N(4), to_end=N(2), to_begin=N()))
case(np.trapezoid, call(N(5)), call(N(2, 5), N(5)), call(N(2, 5), dx=0.5), call(N(3, 2), P(3, 2), axis=0))
case(np.gradient, call(N(5)), call(N(5), 0.5), call(N(4, 3), axis=0, edge_order=2), call(N(4, 3)),
     call(N(4, 3), 2.0, np.array([0.0, 1.0, 3.0])),
     call(N(5), V(0.0, 1.0, 2.5, 3.0, 5.0), edge_order=2), call(N(4, 3), P(), axis=1))

# ---- shapes --------------------------------------------------------------------------------------------------------

case(np.reshape, call(N(2, 3), (3, 2)), call(N(2, 3), -1), call(N(2, 3), (3, 2), order="F"), call(N(), (1, 1)))
case(np.ravel, call(N(2, 3)), call(N(2, 3), order="F"))
case(np.expand_dims, call(N(2, 3), 1), call(N(2, 3), (0, -1)))
case(np.squeeze, call(N(1, 3, 1)), call(N(1, 3, 1), axis=0))
case(np.broadcast_to, call(N(3), (2, 3)), call(N(), (2, 2)), call(N(2, 1), (2, 0)))
case(np.copy, call(N(2, 3)))
case(np.astype, call(N(2, 3), np.float64), call(N(2, 3), np.complex128))
case(np.transpose, call(N(2, 3)), call(N(2, 3, 4), (2, 0, 1)), call(N(2, 3, 4), axes=(-1, 0, 1)))
case(np.swapaxes, call(N(2, 3, 4), 0, -1))
case(np.moveaxis, call(N(2, 3, 4), 0, -1), call(N(2, 3, 4), (0, 1), (-1, 0)))
case(np.rollaxis, call(N(2, 3, 4), 2), call(N(2, 3, 4), 0, 3), call(N(2, 3, 4), -1, 1))
case(np.matrix_transpose, call(N(2, 3)), call(N(2, 3, 4)))
case(np.linalg.matrix_transpose, call(N(2, 3, 4)))
for _f in (np.atleast_1d, np.atleast_2d, np.atleast_3d):
    case(_f, call(N()), call(N(2), N(2, 3)), call(N(2)))
case(np.broadcast_arrays, call(N(2, 1), N(3)))
case(np.meshgrid, call(N(2), N(3)), call(N(2), N(3), indexing="ij"), call(N(2), N(3), sparse=True),
     call(N(2), N(3), copy=False))
case(np.flip, call(N(2, 3)), call(N(2, 3), 0), call(N(2, 3, 2), axis=(0, -1)))
case(np.fliplr, call(N(2, 3)))
case(np.flipud, call(N(2, 3)))
case(np.rot90, call(N(2, 3)), call(N(2, 3), 2), call(N(2, 3), -1), call(N(2, 3, 2), 1, (1, 2)), call(N(2, 3), k=4))
case(np.roll, call(N(2, 3), 2), call(N(2, 3), 1, axis=0), call(N(2, 3), (1, -2), axis=(0, 1)))
case(np.tile, call(N(2, 3), 2), call(N(2), (2, 3)), call(N(2, 3), (2, 1, 2)), call(N(), 3), call(N(2), 0))
case(np.repeat, call(N(2, 3), 2), call(N(2, 3), 2, axis=1), call(N(3), [2, 0, 1]), call(N(2, 3), [1, 2], axis=0),
     call(N(), 2))
case(np.resize, call(N(2, 3), (4, 2)), call(N(3), 2), call(N(2, 2), (3, 3)))
case(np.concatenate, call([N(2, 3), N(1, 3)]), call([N(2, 3), N(2, 1)], axis=-1),
     call((N(2, 3), N(2)), axis=None), call([N(0, 2), N(1, 2)]))
case(np.stack, call([N(2, 3), N(2, 3)]), call([N(2), N(2)], axis=-1))
case(np.vstack, call([N(3), N(2, 3)]))
case(np.hstack, call([N(3), N(2)]), call([N(2, 1), N(2, 3)]))
case(np.dstack, call([N(3), N(3)]), call([N(2, 3), N(2, 3, 2)]))
case(np.column_stack, call([N(3), N(3, 2)]))
case(np.block, call([[N(2, 2), N(2, 1)], [N(1, 2), N(1, 1)]]), call([N(2), 1.0, N(3)]), call(N(2)))
case(np.append, call(N(2), N(3)), call(N(2, 3), N(1, 3), axis=0), call(N(2, 2), 1.0))
case(np.insert, call(N(4), 1, N()), call(N(4), [1, 3], N(2)), call(N(2, 3), 1, N(2), axis=1), call(N(4), 2, N(3)),
     call(N(3), slice(0, 2), N()),
     call(N(3, 2), [0, 2], N(2), axis=0), call(N(2, 3), -1, 5.0, axis=0))
case(np.delete, call(N(4), 1), call(N(2, 3), [0, 2], axis=1), call(N(4), slice(0, 2)))
case(np.split, call(N(4), 2), call(N(2, 6), [1, 4], axis=1), call(N(4), [1, 3]))
case(np.array_split, call(N(5), 3), call(N(2, 5), [1, 3], axis=1))
case(np.hsplit, call(N(2, 4), 2), call(N(4), 2))
case(np.vsplit, call(N(4, 2), 2))
case(np.dsplit, call(N(2, 2, 4), [1]))
if hasattr(np, "unstack"):
    case(np.unstack, call(N(2, 3)), call(N(2, 3), axis=1))

# ---- indices -------------------------------------------------------------------------------------------------------

INDICES = [1, (slice(None, None, -1), slice(0, 2)), (None, 1, Ellipsis), MASK, [1, 0, 1], ([0, 1, 0], [2, 2, 2]),
     (slice(None), [0, 0, 2]),
           np.array([True, False]), ([],), (np.array([[0], [1]]), np.array([[0, 2, 2]])), (), (1, 2), (slice(5, 9),),
           True]
case("getitem", *(call(N(2, 3), index) for index in INDICES), via=lambda x, index: x[index])


def _set(x: Any, index: Any, value: Any) -> Any:
    x = x * 1.0
    x[index] = value
    return x


case("setitem", call(N(2, 3), 0, N(3)), call(N(2, 3), MASK, N(4)), call(N(2, 3), (slice(None), 1), N()),
     call(N(3), ([0, 0, 2],), N(3)),
     call(N(3), slice(0, 2), N(1, 2)), via=_set)
case(np.take, call(N(2, 3), I32), call(N(2, 3), I32, axis=1), call(N(3), [-1, 5], mode="wrap"),
     call(N(3), [-1, 5], mode="clip"), call(N(3), 1))
case(np.take_along_axis, call(N(2, 3), np.array([[0, 0], [2, 1]]), axis=1), call(N(3), np.array([1, 1]), axis=None),
     call(N(2, 3), np.array([[0, 1, 0]]), axis=0))
case(np.compress, call([True, False], N(2, 3), axis=0), call(np.array([True, False, True]), N(2, 3)))
case(np.extract, call(MASK, N(2, 3)))
case(np.choose, call(I32, [N(4), N(4), N()]), call(np.array([[0], [1]]), (N(3), N(2, 1))),
     call(I32 - 2, [N(4), N(4)], mode="wrap"),
     call(I32, [N(4), N(4)], mode="clip"))
case(np.select, call([MASK, ~MASK], [N(2, 3), N(3)], N()), call([MASK], [N(2, 3)]))
case(np.piecewise, call(V(-1.0, 0.5, 2.0), [np.array([True, False, False])], [np.exp, np.sqrt]),
     call(V(-1.0, 0.5, 2.0), [np.array([True, False, True]), np.array([False, True, False])], [np.exp, 3.0]))
case(np.bincount, call(I32, N(4)), call(I32, weights=N(4), minlength=5))
case(np.trim_zeros, call(V(0.0, 1.0, 0.0, 2.0, 0.0)), call(V(0.0, 1.0, 0.0), "f"), order=1,
     via=lambda x, trim="fb": np.trim_zeros(np.where(np.abs(x) < 0.1, 0, x), trim))
for _f in (np.tril, np.triu):
    case(_f, call(N(3, 4)), call(N(2, 3, 3), 1), call(N(3, 3), k=-1), call(N(3)))
case(np.diagonal, call(N(3, 4)), call(N(3, 4), 1), call(N(2, 3, 4), offset=-1, axis1=1, axis2=-1),
     call(N(2, 3, 4), 0, 2, 0))
case(np.diag, call(N(3)), call(N(3), -1), call(N(3, 4)), call(N(4, 2), k=-1))
case(np.diagflat, call(N(2, 2)), call(N(3), 1))
case(np.trace, call(N(3, 4)), call(N(3, 3), -1), call(N(2, 3, 4), 0, 1, 2))
case(np.linalg.diagonal, call(N(2, 3, 4)), call(N(3, 4), offset=1))
case(np.linalg.trace, call(N(2, 3, 4)), call(N(3, 4), offset=1))
case(np.vander, call(P(3)), call(V(0.0, 1.0, 2.0), 4), call(P(3), 2, increasing=True))

# ---- order ---------------------------------------------------------------------------------------------------------

case(np.sort, call(D(2, 3)), call(D(2, 3), axis=0), call(D(2, 3), axis=None))
case(np.sort_complex, call(C(4)))
case(np.partition, call(D(6), 2), call(D(2, 5), (1, 3), axis=1), call(D(5, 2), 1, axis=0), call(D(2, 3), 2, axis=None))
case(np.median, call(D(5)), call(D(2, 4), axis=1), call(D(2, 3, 2), axis=(0, 2), keepdims=True), call(D(4)))
METHODS = ["inverted_cdf", "averaged_inverted_cdf", "closest_observation", "interpolated_inverted_cdf", "hazen",
     "weibull", "linear",
           "median_unbiased", "normal_unbiased", "lower", "higher", "midpoint", "nearest"]
case(np.quantile, call(D(5), 0.3), call(D(2, 5), [0.1, 0.8], axis=1), call(D(4, 2), 0.6, axis=0, keepdims=True),
     call(D(2, 3), [[0.2], [0.9]]),
     *(call(D(6), [0.33, 0.7], method=method) for method in METHODS))
case(np.percentile, call(D(5), 30), call(D(2, 5), [10, 80], axis=1))
case(np.nanquantile, call(HOLES, 0.3), call(HOLES, [0.3, 0.6], axis=1), call(HOLES, 0.2, axis=0, keepdims=True))
case(np.nanpercentile, call(HOLES, 30, axis=1))

# ---- products ------------------------------------------------------------------------------------------------------

MATMUL = [(N(2, 3), N(3, 2)), (N(3), N(3)), (N(3), N(3, 2)), (N(2, 3), N(3)), (N(2, 2, 3), N(3, 2)), (N(2, 1, 2, 3),
     N(4, 3, 1)),
          (N(3), N(2, 3, 2)), (N(2, 2, 3), N(3)), (N(2, 0), N(0, 3)), (N(2, 1), N(1, 3)), (C(2, 3), C(3, 2))]
case(np.matmul, *(call(*pair) for pair in MATMUL))
case(np.linalg.matmul, call(N(2, 3), N(3, 2)))
case("operator.matmul", call(N(2, 3), N(3, 2)), via=lambda a, b: a @ b)
case(np.dot, *(call(*pair) for pair in MATMUL[:4]), call(N(2, 2, 3), N(4, 3, 2)), call(N(2, 3), N(2, 3, 2)),
     call(N(3), N(2, 3, 2)),
     call(N(2, 2, 3), N(3)), call(N(), N(2, 3)), call(N(2), 3.0), call(2.0, N(2)), call(C(2, 3), C(3)))
case(np.inner, call(N(3), N(3)), call(N(2, 3), N(4, 3)), call(N(), N(3)), call(N(2, 3), 2.0))
case(np.outer, call(N(2), N(3)), call(N(2, 2), N(3)), call(N(2), 2.0))
case(np.linalg.outer, call(N(2), N(3)))
case(np.vdot, call(N(2, 3), N(2, 3)), call(C(3), C(3)))
case(np.vecdot, call(N(2, 3), N(3)), call(C(2, 3), C(2, 3)))
case(np.linalg.vecdot, call(N(2, 3), N(2, 3), axis=0), call(C(3), C(3)))
if hasattr(np, "matvec"):
    case(np.matvec, call(N(2, 3), N(3)), call(N(2, 2, 3), N(2, 3)))
    case(np.vecmat, call(N(2), N(2, 3)), call(C(2), C(2, 3)))
case(np.tensordot, call(N(2, 3, 4), N(3, 4, 2)), call(N(2, 3), N(4, 3), (1, 1)),
     call(N(2, 3, 4), N(4, 2, 5), ((0, 2), (1, 0))),
     call(N(2), N(3), 0), call(N(2, 3), N(4, 3), axes=([-1], [-1])))
case(np.linalg.tensordot, call(N(2, 3), N(3, 4), axes=1))
case(np.kron, call(N(2), N(3)), call(N(2, 3), N(2, 2)), call(N(2), N(2, 2)), call(N(2), 2.0))
case(np.cross, call(N(3), N(3)), call(N(2, 3), N(3)), call(N(3, 2), N(3, 2), axis=0), call(N(3, 2), N(2, 3), 0, 1, 0))
case(np.linalg.cross, call(N(3, 2), N(3, 2), axis=0))
case(np.convolve, call(N(5), N(3)), call(N(3), N(5), mode="same"), call(N(5), N(4), "valid"), call(N(2), N()),
     call(C(3), C(2)))
case(np.correlate, call(N(5), N(3)), call(N(5), N(2), mode="same"), call(N(3), N(5), "full"), call(N(3), N(5)),
     call(N(2), N(5), "same"),
     call(C(4), C(2)), call(C(2), C(4), "same"))
case(np.einsum, call("ij,jk->ik", N(2, 3), N(3, 2)), call("ij,jk", N(2, 3), N(3, 2)), call("ii->i", N(3, 3)),
     call("ii", N(3, 3)),
     call("ij->", N(2, 3)), call("ij->j", N(2, 3)), call("i,j,ij->", N(2), N(3), N(2, 3)),
     call("...ij,...jk->...ik", N(2, 2, 3), N(3, 2)),
     call("...,...->...", N(2, 3), N(3)), call("iij,jk->ik", N(2, 2, 3), N(3, 2)), call("ba", N(2, 3)),
     call("i,i->i", N(3), N(3)),
     call(N(2, 3), [0, 1], N(3, 2), [1, 2], [0, 2]), call(N(2, 3), [0, 1]), call("ij,jk->ik", N(2, 1), N(3, 2)),
     call("i...->...", N(2, 3)),
     call("ij,kj,lk->il", N(2, 3), N(2, 3), N(2, 2), optimize=True), call("ij,jk->ik", C(2, 3), C(3, 2)),
     call(",i->i", N(), N(2)))

# ---- linear algebra ------------------------------------------------------------------------------------------------

case(np.linalg.inv, call(M(3, 3)), call(M(2, 3, 3)),
     call(Spec(lambda rng, shape: C(2, 2).array(rng) + 4 * np.eye(2), (2, 2))))
case(np.linalg.solve, call(M(3, 3), N(3)), call(M(3, 3), N(3, 2)), call(M(2, 3, 3), N(3, 2)), call(M(2, 3, 3), N(3)))
case(np.linalg.det, call(M(3, 3)), call(M(2, 2, 2)),
     call(Spec(lambda rng, shape: C(2, 2).array(rng) + 2 * np.eye(2), (2, 2))))
case("cofactors", call(V([[1.0, 2.0], [2.0, 4.0]])), via=np.linalg.det, order=1)
case(np.linalg.slogdet, call(M(3, 3)), call(M(2, 2, 2)),
     call(Spec(lambda rng, shape: C(2, 2).array(rng) + 2 * np.eye(2), (2, 2))))


def _sym(x: Any) -> Any:
    """The gradient of a function of symmetric matrices is that along symmetric changes."""
    return (x + np.conj(np.swapaxes(x, -1, -2))) / 2


HERMITIAN = Spec(lambda rng, shape: _sym(C(3, 3).array(rng)) + 6 * np.eye(3), (3, 3))
case(np.linalg.cholesky, call(S(3, 3)), call(S(2, 3, 3)), call(S(3, 3), upper=True), call(HERMITIAN),
     via=lambda x, **settings: np.linalg.cholesky(_sym(x), **settings))
case(np.linalg.eigh, call(S(3, 3)), call(S(2, 3, 3), UPLO="U"), call(HERMITIAN),
     via=lambda x, **settings: [np.abs(part) for part in np.linalg.eigh(_sym(x), **settings)])
case(np.linalg.eigvalsh, call(S(3, 3)), call(HERMITIAN, "U"), via=lambda x, *rest: np.linalg.eigvalsh(_sym(x), *rest))
ROTATION = V([[1.0, -2.0, 0.3], [1.5, 0.8, 0.2], [0.1, 0.4, 3.0]])
case(np.linalg.eig, call(ROTATION), call(S(3, 3)), call(C(3, 3)),
     via=lambda x: [np.abs(part) for part in np.linalg.eig(x)])
case(np.linalg.eigvals, call(ROTATION), call(S(2, 3, 3)), call(C(3, 3)))
case(np.linalg.svd, call(M(3, 3)), call(N(4, 2), full_matrices=False), call(N(2, 2, 4), full_matrices=False),
     call(N(2, 3), compute_uv=False),
     call(C(3, 3)), call(C(3, 2), False), call(C(2, 3), False),
     via=lambda *args, **settings: [np.abs(part) for part in _listed(np.linalg.svd(*args, **settings))])
case("svd: signs", call(N(4, 2)), call(N(2, 3)), via=lambda x: _rebuilt(*np.linalg.svd(x, full_matrices=False)))
case(np.linalg.svdvals, call(N(3, 2)), call(C(2, 3)))


def _listed(x: Any) -> list[Any]:
    return list(x) if isinstance(x, tuple) else [x]


def _rebuilt(u: Any, s: Any, v: Any) -> Any:
    """A function of the singular vectors that their signs cancel in."""
    return u * np.cos(np.expand_dims(s, -2)) @ v


case(np.linalg.qr, call(M(3, 3)), call(N(4, 2)), call(N(2, 4)), call(N(2, 3, 3)), call(N(3, 2), mode="r"),
     call(M(2, 2), "complete"))
case(np.linalg.pinv, call(N(4, 2)), call(N(2, 4)), call(N(2, 3, 2)), call(C(3, 2)), call(C(2, 3)))
case(np.linalg.lstsq, call(N(4, 2), N(4)), call(N(4, 2), N(4, 2)),
     via=lambda a, b: [np.linalg.lstsq(a, b, rcond=None)[i] for i in (0, 1, 3)])
case(np.linalg.tensorsolve, call(Spec(lambda rng, shape: np.eye(6).reshape(2, 3, 6) + 0.1 * rng.standard_normal((2, 3,
     6)), (2, 3, 6)), N(2, 3)),
     call(Spec(lambda rng, shape: np.eye(6).reshape(2, 6, 3) + 0.1 * rng.standard_normal((2, 6, 3)), (2, 6, 3)), N(2,
     3), axes=(1,)))
case(np.linalg.tensorinv, call(Spec(lambda rng, shape: np.eye(6).reshape(6, 2, 3) + 0.1 * rng.standard_normal((6, 2,
     3)), (6, 2, 3)), ind=1))
case(np.linalg.matrix_power, *(call(M(2, 2), n) for n in (0, 1, 2, 3, -2)), call(M(2, 2, 2), 5))
case(np.linalg.multi_dot, call([N(2, 3), N(3, 4), N(4, 1)]), call([N(2), N(2, 3), N(3, 2), N(2)]),
     call([N(2, 2), N(2, 2)]))
ORDERS = [None, "fro", "nuc", np.inf, -np.inf, 1, -1, 2, -2]
case(np.linalg.norm, call(N(3)), call(N(2, 3)), call(N(2, 3, 2)), *(call(N(2, 3), order) for order in ORDERS),
     *(call(D(3), order) for order in (0, 1, 2, 3, 0.5, -1, -2.5, np.inf, -np.inf)), call(N(2, 3), axis=1),
     call(N(2, 3), 3, axis=0, keepdims=True),
     call(N(2, 3, 2), "nuc", axis=(0, 2), keepdims=True), call(N(2, 3, 2), 1, axis=(2, 0)), call(C(3)),
     call(C(2, 2)), call(C(3), 3))
case(np.linalg.vector_norm, call(N(2, 3)), call(N(2, 3), axis=1, keepdims=True), call(N(2, 3), ord=3),
     call(N(2, 3, 2), axis=(0, 2)))
case(np.linalg.matrix_norm, call(N(2, 3)), call(N(2, 3, 2), keepdims=True), call(N(2, 3), ord="nuc"),
     call(N(2, 3), ord=np.inf))
case(np.linalg.cond, *(call(M(3, 3), p) for p in (None, 2, -2, 1, -1, "fro", "nuc", np.inf)))

# ---- windows and transforms ----------------------------------------------------------------------------------------

case(sliding_window_view, call(N(5), 3), call(N(4, 5), (2, 3)), call(N(4, 5), 2, axis=0),
     call(N(3, 4), (2, 2), axis=(1, 0)),
     call(N(5), (2, 2), axis=(0, 0)))
case(np.pad, call(N(2, 3), 1), call(N(3), (1, 2), constant_values=N()),
     call(N(2, 3), ((1, 0), (2, 1)), constant_values=V([[1.0, 2.0], [3.0, 4.0]])),
     call(N(2, 3), 0), call(N(2, 3), 2, mode="edge"), call(N(3), 5, mode="reflect"),
     call(N(2, 3), 2, mode="symmetric"), call(N(2, 3), 4, mode="wrap"),
     call(N(4), 2, mode="reflect", reflect_type="odd"),
     call(N(2, 3), (1, 2), mode="linear_ramp", end_values=5.0),
     call(N(2, 3), 1, mode="linear_ramp", end_values=((1.0, 2.0), (3.0, 4.0))),
     call(N(2, 3), 1, mode="mean"), call(N(4), 2, mode="mean", stat_length=2), call(D(2, 3), 2, mode="maximum"),
     call(D(5), (2, 1), mode="minimum", stat_length=(2, 3)), call(D(2, 3), 1, mode="median"), call(N(2, 3), [(1, 0)]))
for _f in (np.fft.fft, np.fft.ifft):
    case(_f, call(C(4)), call(N(5)), call(C(2, 4), n=6), call(C(4, 2), n=3, axis=0), call(C(4), norm="ortho"),
         call(C(3), norm="forward"))
for _f in (np.fft.rfft, np.fft.ihfft):
    case(_f, call(N(4)), call(N(5)), call(N(2, 4), n=6), call(N(4, 2), n=3, axis=0), call(N(4), norm="ortho"),
         call(N(3), norm="forward"))
for _f in (np.fft.irfft, np.fft.hfft):
    case(_f, call(C(4)), call(C(4), n=5), call(C(2, 4), n=4), call(C(4, 2), n=9, axis=0),
         call(C(3), norm="ortho"), call(C(3), norm="forward"),
         call(N(3)))
for _f in (np.fft.fft2, np.fft.ifft2):
    case(_f, call(C(3, 4)), call(N(2, 3, 2)), call(C(3, 4), s=(2, 5)), call(C(2, 2, 3), axes=(0, 2), norm="ortho"))
for _f in (np.fft.fftn, np.fft.ifftn):
    case(_f, call(C(2, 3, 2)), call(N(3, 2)), call(C(3, 4), s=(2, 5), axes=(0, 1)), call(C(2, 2, 3), axes=(0, 2)))
for _f in (np.fft.rfft2, np.fft.rfftn):
    case(_f, call(N(3, 4)), call(N(2, 3, 5), axes=(0, 2)), call(N(3, 4), s=(2, 5), axes=(0, 1)),
         call(N(3, 4), norm="ortho"))
for _f in (np.fft.irfft2, np.fft.irfftn):
    case(_f, call(C(3, 4)), call(C(2, 3, 3), axes=(0, 2)), call(C(3, 4), s=(2, 5), axes=(0, 1)),
         call(C(3, 3), norm="ortho"))
for _f in (np.fft.fftshift, np.fft.ifftshift):
    case(_f, call(N(5)), call(N(3, 4)), call(N(3, 4), axes=1))

# ---- curves --------------------------------------------------------------------------------------------------------

KNOTS = V(-1.0, 0.0, 0.7, 2.0)
case(np.interp, call(V(-0.5, 0.3, 1.1), KNOTS, N(4)), call(V(-3.0, 0.2, 3.0), KNOTS, N(4), left=N(), right=N()),
     call(V(-3.0, 3.0), KNOTS, N(4)),
     call(V(-4.4, 0.25, 5.3), KNOTS, N(4), period=3.5), call(V([[0.1], [0.2]]), np.array([0.0, 1.0]), N(2)))
case(np.linspace, call(N(), N(), 5), call(N(2), N(2), 4, endpoint=False), call(N(2), N(), 3, axis=-1),
     call(N(), 2.0, 5, retstep=True), call(N(), N(), 1))
case(np.logspace, call(U(), U(), 4), call(U(2), 0.5, 3, base=2.0), call(U(), U(), 3, base=P()))
case(np.geomspace, call(P(), P(), 4), call(P(2), 3.0, 3, endpoint=False))
case(np.full_like, call(N(2, 3), N()), call(N(2, 3), N(3)))
case(np.polyval, call(N(4), N(3)), call(N(3), N(2, 2)))
case(np.polyadd, call(N(3), N(2)))
case(np.polysub, call(N(2), N(4)))
case(np.polymul, call(N(3), N(2)))
case(np.polyder, call(N(4)), call(N(4), 2))
case(np.polyint, call(N(3)), call(N(3), 2, k=N(2)))
case(np.poly, call(N(3)), call(S(3, 3)))
case(np.polyfit, call(D(6), N(6), 2), call(D(5), N(5, 2), 1, w=P(5)), call(np.arange(4.0), N(4), 1))
case(np.cov, call(N(3, 5)), call(N(5)), call(N(5, 2), rowvar=False), call(N(4), N(4), ddof=0),
     call(N(2, 4), aweights=P(4)),
     call(N(2, 4), fweights=np.array([1, 2, 1, 3])), call(N(2, 4), bias=True), call(C(2, 4)))
case(np.corrcoef, call(N(3, 5)), call(N(4), N(4)), call(N(4)))
case(np.apply_along_axis, call(lambda v: np.cumsum(v) * v[0], 1, N(2, 3)), call(lambda v: np.sum(v * v), 0, N(2, 3, 2)),
     call(lambda v: np.outer(v, v), 1, N(2, 2, 2)))
case(np.apply_over_axes, call(np.sum, N(2, 3, 2), (0, 2)), call(np.max, D(2, 3), 1))
