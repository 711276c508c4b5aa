"""Rules of linear algebra: inverses, determinants, factorizations, norms (`norms.py`).

The rules of cholesky, eigh, eig, svd, qr and pinv are the textbooks', for conjugated gradients: they conjugate what
comes in and what goes out, which costs nothing for real numbers. A function that reads one triangle of a matrix has its
gradient there. Where eigenvalues or singular values coincide, the vectors are not unique: what depends on the
choice among them gets no gradient, what does not is exact.

Read next: `norms.py`, `window.py`.
"""

from __future__ import annotations

import operator
from functools import reduce
from typing import Any

import numpy as np

from ..primitives import Primitive, composite, nondifferentiable, rule
from .complex import conjugated
from .shape import array, inexact, plain


def _t(x: Any) -> Any:
    return np.swapaxes(x, -1, -2)


def _h(x: Any) -> Any:
    return conjugated(_t(x))


# ---- inverses and systems ------------------------------------------------------------------------------------------

rule(np.linalg.inv, lambda g, y, a: -(_t(y) @ g @ _t(y)))


def _solve_matrix(g: Any, y: Any, a: Any, b: Any) -> Any:
    """-(a^-T g) y^T."""
    if b.ndim == 1:
        return -np.expand_dims(np.linalg.solve(_t(a), np.expand_dims(g, -1))[..., 0], -1) * np.expand_dims(y, -2)
    return -(np.linalg.solve(_t(a), g) @ _t(y))


def _solve_right(g: Any, y: Any, a: Any, b: Any) -> Any:
    """a^-T g."""
    if b.ndim == 1:
        return np.linalg.solve(_t(a), np.expand_dims(g, -1))[..., 0]
    return np.linalg.solve(_t(a), g)


rule(np.linalg.solve, _solve_matrix, _solve_right)


@composite(np.linalg.tensorsolve)
def tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    """np.linalg.tensorsolve: x with tensordot(a, x, x.ndim) = b."""
    if axes is not None:
        a = np.transpose(a, [i for i in range(a.ndim) if i not in axes] + list(axes))
    shape = a.shape[np.ndim(b) :]
    return np.reshape(np.linalg.solve(np.reshape(a, (-1, int(np.prod(shape)))), np.ravel(b)), shape)


@composite(np.linalg.tensorinv)
def tensorinv(a: Any, ind: int = 2) -> Any:
    """np.linalg.tensorinv: the inverse for tensordot over `ind` axes."""
    if ind <= 0:
        raise ValueError(f"np.linalg.tensorinv: ind must be positive, not {ind}.")
    rows = int(np.prod(a.shape[ind:]))
    return np.reshape(np.linalg.inv(np.reshape(a, (rows, -1))), a.shape[ind:] + a.shape[:ind])


def _pinv(g: Any, y: Any, a: Any, rcond: Any = None, hermitian: bool = False, rtol: Any = None) -> Any:
    """From d(p) = -p da p + p p^H da^H (1 - a p) + (1 - p a) da^H p^H p (Golub and Pereyra, 1973)."""
    g = conjugated(g)
    left = np.eye(a.shape[-2], dtype=a.dtype) - a @ y
    right = np.eye(a.shape[-1], dtype=a.dtype) - y @ a
    return conjugated(left @ _h(g) @ y @ _h(y) + _h(y) @ y @ _h(g) @ right - _h(y) @ g @ _h(y))


rule(np.linalg.pinv, _pinv)


@composite(np.linalg.lstsq)
def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    """np.linalg.lstsq: the x of least norm among those that minimize |a x - b|; rank as a number."""
    a = inexact(array(a))
    m, n = a.shape
    if rcond is None:
        rcond = np.finfo(a.dtype).eps * max(m, n)
    x = np.linalg.pinv(a, rcond=rcond) @ b
    values: Any = np.linalg.svdvals(a)
    rank = np.int32(np.sum(plain(values) > rcond * np.max(plain(values), initial=0.0)))
    rest = b - a @ x
    residuals = np.atleast_1d(np.sum(np.real(rest * conjugated(rest)), axis=0))
    return x, residuals if rank == n < m else residuals[:0], rank, values


@composite(np.linalg.matrix_power)
def matrix_power(a: Any, n: int) -> Any:
    """np.linalg.matrix_power: by repeated squaring."""
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise np.linalg.LinAlgError(f"np.linalg.matrix_power of shape {a.shape}: the last two axes must be equal.")
    n = operator.index(n)
    if n == 0:
        return np.zeros_like(a) + np.eye(a.shape[-1], dtype=a.dtype)
    square = a if n > 0 else np.linalg.inv(a)
    n = abs(n)
    result = None
    while n:
        if n % 2:
            result = square if result is None else result @ square
        n //= 2
        square = square @ square if n else square
    return result


@composite(np.linalg.multi_dot)
def multi_dot(arrays: Any, *, out: Any = None) -> Any:
    """np.linalg.multi_dot: a chain of products in the order that needs the fewest multiplications."""
    arrays = list(arrays)
    if len(arrays) < 2:
        raise ValueError(f"np.linalg.multi_dot takes two arrays or more, not {len(arrays)}.")
    if len(arrays) < 3:
        return reduce(np.dot, arrays)
    shapes = [x.shape for x in arrays]
    rows = [1 if len(shape) == 1 else shape[0] for shape in shapes[:1]]
    sizes = rows + [shape[-1] if len(shape) == 2 else shape[0] if i == 0 else 1 for i, shape in enumerate(shapes)]
    costs: dict[tuple[int, int], tuple[int, int]] = {(i, i): (0, i) for i in range(len(arrays))}
    for span in range(1, len(arrays)):
        for i in range(len(arrays) - span):
            j = i + span
            costs[i, j] = min(
                (costs[i, k][0] + costs[k + 1, j][0] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)
            )

    def chain(i: int, j: int) -> Any:
        k = costs[i, j][1]
        return arrays[i] if i == j else np.dot(chain(i, k), chain(k + 1, j))

    return chain(0, len(arrays) - 1)


# ---- determinants --------------------------------------------------------------------------------------------------


def _cofactors(a: Any) -> Any:
    """d det(a)/da, finite also where a is singular: by way of a = u s v, from the products of the other s."""
    u, s, v = np.linalg.svd(a)
    ones = np.ones((*s.shape[:-1], 1), s.dtype)
    before = np.cumprod(np.concatenate([ones, s[..., :-1]], axis=-1), axis=-1)
    after = np.cumprod(np.concatenate([ones, s[..., :0:-1]], axis=-1), axis=-1)[..., ::-1]
    turned = np.linalg.det(u) * np.linalg.det(v)
    return turned[..., None, None] * (np.conj(u) * (before * after)[..., None, :]) @ np.conj(v)


def _cofactors_rule(g: Any, y: Any, a: Any) -> Any:
    """From cofactors = det(a) a^-T, so where a is not singular (else inv says so)."""
    inverse = np.linalg.inv(a)
    along = np.sum(g * _t(inverse), axis=(-1, -2), keepdims=True)
    return along * y - _t(inverse) @ _t(g) @ y


COFACTORS = Primitive(_cofactors, (_cofactors_rule,), name="cofactors")
rule(np.linalg.det, lambda g, y, a: np.expand_dims(g, (-1, -2)) * COFACTORS(a))


def _slogdet(g: Any, y: Any, a: Any) -> tuple[Any]:
    """d log|det| = tr(a^-1 da); for complex numbers the sign turns with the imaginary part of the same."""
    turn, size = g
    if a.dtype.kind == "c":
        size = size + np.imag(turn * y[0]) * 1j
    return (np.expand_dims(size, (-1, -2)) * _t(np.linalg.inv(a)),)


rule(np.linalg.slogdet, joint=_slogdet, arrays=1)

# ---- factorizations ------------------------------------------------------------------------------------------------


def _safe_inverse(x: Any) -> Any:
    """1 / x, and 0 where x is 0."""
    return np.where(x == 0, 0, 1 / np.where(x == 0, 1, x))


def _half_diagonal(x: Any) -> Any:
    """The lower triangle, its diagonal halved."""
    n = x.shape[-1]
    return np.tril(x) - x * (np.eye(n, dtype=x.dtype) / 2)


def _cholesky(g: Any, y: Any, a: Any) -> Any:
    """l^-H phi(l^H g) l^-1 (Murray, 2016), for the lower triangle."""
    middle = _half_diagonal(_h(y) @ conjugated(g))
    inverse = np.linalg.inv(y)
    s = _h(inverse) @ middle @ inverse
    return conjugated(_half_diagonal(s + _h(s)))


CHOLESKY = rule(np.linalg.cholesky, _cholesky)


@composite(np.linalg.cholesky)
def cholesky(a: Any, /, *, upper: bool = False) -> Any:
    """np.linalg.cholesky; the upper factor is the lower one of the transpose, transposed."""
    return _h(CHOLESKY(_h(a))) if upper else CHOLESKY(a)


def _eigh(g: Any, y: Any, a: Any, UPLO: str = "L") -> tuple[Any]:  # NumPy's own name
    """v (diag(gw) + (v^H gv) / (w_j - w_i)) v^H, for the triangle that is read."""
    (gw, gv), (w, v) = g, y
    apart = np.expand_dims(w, -2) - np.expand_dims(w, -1)
    middle = (_h(v) @ conjugated(gv)) * _safe_inverse(apart) + np.expand_dims(gw, -2) * np.eye(
        w.shape[-1], dtype=w.dtype
    )
    s = v @ middle @ _h(v)
    lower = _half_diagonal(s + _h(s))
    return (conjugated(lower if UPLO in "lL" else _h(lower)),)


rule(np.linalg.eigh, joint=_eigh, arrays=1)
composite(np.linalg.eigvalsh)(lambda a, UPLO="L": np.linalg.eigh(a, UPLO)[0])


def _eig(g: Any, y: Any, a: Any) -> tuple[Any]:
    """v^-H (diag(gw) + (v^H gv - v^H v diag(re(v^H gv))) / conj(w_j - w_i)) v^H (Boeddeker and others, 2017)."""
    (gw, gv), (w, v) = (tuple(conjugated(each) for each in g), y)
    inner = _h(v) @ gv
    eye = np.eye(w.shape[-1], dtype=w.dtype)
    own = np.sum(np.real(inner) * np.real(eye), axis=-2, keepdims=True)
    apart = conjugated(np.expand_dims(w, -2) - np.expand_dims(w, -1))
    middle = (inner - (_h(v) @ v) * own) * _safe_inverse(apart) + np.expand_dims(gw, -2) * eye
    return (conjugated(np.linalg.solve(_h(v), middle @ _h(v))),)


rule(np.linalg.eig, joint=_eig, arrays=1)
composite(np.linalg.eigvals)(lambda a: np.linalg.eig(a)[0])


def _svd(g: Any, y: Any, a: Any) -> tuple[Any]:
    """The gradient of a thin a = u s v (Townsend, 2016; for complex numbers Wan and Zhang, 2019)."""
    (gu, gs, gv), (u, s, v) = (tuple(conjugated(each) for each in g), y)
    k = s.shape[-1]
    eye = np.eye(k, dtype=s.dtype)
    inverse = np.expand_dims(_safe_inverse(s), -2)
    row, column = np.expand_dims(s, -2), np.expand_dims(s, -1)
    apart = _safe_inverse((row - column) * (row + column))
    turned_u, turned_v = _h(u) @ gu, v @ _h(gv)
    middle = (turned_u - _h(turned_u)) * apart * row + column * ((turned_v - _h(turned_v)) * apart)
    middle = middle + np.expand_dims(gs, -2) * eye
    if a.dtype.kind == "c":
        middle = middle + np.imag(turned_u) * eye * inverse * 1j
    found = u @ middle @ v
    if a.shape[-2] > k:
        found = found + ((gu - u @ turned_u) * inverse) @ v
    if a.shape[-1] > k:
        found = found + (u * inverse) @ (gv - _h(turned_v) @ v)
    return (conjugated(found),)


SVD = Primitive(lambda a: np.linalg.svd(a, full_matrices=False), joint=_svd, arrays=1, name="svd", signature="a")


@composite(np.linalg.svd)
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """np.linalg.svd; the vectors that a full one adds to a matrix that is not square are arbitrary: no gradient."""
    if not compute_uv:
        return SVD(a)[1]
    if hermitian:
        raise NotImplementedError("np.linalg.svd(hermitian=True) has no gradient rule: use np.linalg.eigh.")
    if full_matrices and a.shape[-1] != a.shape[-2]:
        raise NotImplementedError(
            f"np.linalg.svd of shape {a.shape} with full_matrices=True adds vectors that have no gradient: "
            "pass full_matrices=False."
        )
    return SVD(a)


composite(np.linalg.svdvals)(lambda x, /: SVD(x)[1])


def _qr(g: Any, y: Any, a: Any) -> tuple[Any]:
    """(gq + q copyltu(gr r^H - q^H gq)) r^-H for a matrix that is not wide (Walter and Lehmann, 2010)."""
    (gq, gr), (q, r) = (tuple(conjugated(each) for each in g), y)
    m = gr @ _h(r) - _h(q) @ gq
    upper = np.triu(m)
    symmetric = upper + _h(upper) - np.real(m) * np.eye(m.shape[-1], dtype=q.dtype)
    return (conjugated(_h(np.linalg.solve(r, _h(gq + q @ symmetric)))),)


QR = Primitive(lambda a: np.linalg.qr(a), joint=_qr, arrays=1, name="qr", signature="a")


@composite(np.linalg.qr)
def qr(a: Any, mode: str = "reduced") -> Any:
    """np.linalg.qr; a wide matrix is its left square and what that square's q makes of the rest."""
    rows, columns = a.shape[-2:]
    if mode not in ("reduced", "r") and not (mode == "complete" and rows <= columns):
        raise NotImplementedError(
            f"np.linalg.qr(mode={mode!r}) of shape {a.shape} has no gradient rule: use 'reduced'."
        )
    if rows >= columns:
        result = QR(a)
    else:
        q, r = QR(a[..., :rows])
        result = type(np.linalg.qr(np.eye(1)))(q, np.concatenate([r, _h(q) @ a[..., rows:]], axis=-1))
    return result[1] if mode == "r" else result


nondifferentiable(np.linalg.matrix_rank)
