"""grad, value_and_grad, vjp, jvp, jacobian, hessian, hvp: closed forms, nesting, structures, errors."""

import gc
import threading
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import autograd_lite as ag

A = np.random.default_rng(0).standard_normal((4, 3))
X = np.array([0.5, -1.2, 2.0])


def nth(f, n):
    for _ in range(n):
        f = ag.grad(f)
    return f


def tanh_derivative(n, x):
    """The n-th derivative of tanh is a polynomial in t = tanh x, for dt/dx = 1 - t^2."""
    polynomial = np.polynomial.Polynomial([0.0, 1.0])
    for _ in range(n):
        polynomial = polynomial.deriv() * np.polynomial.Polynomial([1.0, 0.0, -1.0])
    return polynomial(np.tanh(x))


# ---- closed forms ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", range(1, 7))
def test_nth_derivative_of_tanh(n):
    assert_allclose(nth(np.tanh, n)(0.3), tanh_derivative(n, 0.3), rtol=1e-12)


@pytest.mark.parametrize("n", range(1, 7))
def test_nth_derivative_of_exp_of_square(n):
    """d^n/dx^n exp(-x^2) = (-1)^n H_n(x) exp(-x^2), with Hermite's polynomials."""
    expected = (-1) ** n * np.polynomial.Hermite.basis(n)(0.7) * np.exp(-0.49)
    assert_allclose(nth(lambda x: np.exp(-x * x), n)(0.7), expected, rtol=1e-12)


def test_jacobian_of_a_linear_map_is_its_matrix():
    assert_allclose(ag.jacobian(lambda x: np.dot(A, x))(X), A, rtol=1e-15)


def test_jacobian_has_the_shape_of_out_and_in():
    x = np.arange(6.0).reshape(2, 3)
    jacobian = ag.jacobian(lambda x: x.T[:, :, None] * np.ones(4))(x)
    assert jacobian.shape == (3, 2, 4, 2, 3)
    expected = np.zeros((3, 2, 4, 2, 3))
    for i, j in np.ndindex(2, 3):
        expected[j, i, :, i, j] = 1
    assert_array_equal(jacobian, expected)


def test_hessian_of_a_quadratic_form():
    Q = A.T @ A
    assert_allclose(ag.hessian(lambda x: 0.5 * np.dot(x, np.dot(Q, x)))(X), Q, rtol=1e-14)


def test_hessian_of_logsumexp():
    p = np.exp(X) / np.exp(X).sum()
    assert_allclose(ag.hessian(lambda x: np.log(np.sum(np.exp(x))))(X), np.diag(p) - np.outer(p, p), atol=1e-15)


def test_hvp_is_the_hessian_times_a_vector():
    v = np.array([1.0, -2.0, 0.5])
    p = np.exp(X) / np.exp(X).sum()
    expected = (np.diag(p) - np.outer(p, p)) @ v
    assert_allclose(ag.hvp(lambda x: np.log(np.sum(np.exp(x))))(X, v), expected, atol=1e-15)


def test_jvp_and_vjp_are_the_jacobian_from_either_side():
    v, u = np.array([1.0, -2.0, 0.5]), np.array([0.3, 1.0, -1.0, 2.0])
    y = np.tanh(A @ X)
    J = (1 - y**2)[:, None] * A
    value, tangent = ag.jvp(lambda x: np.tanh(np.dot(A, x)), (X,), (v,))
    assert_allclose(value, y, rtol=1e-15)
    assert_allclose(tangent, J @ v, rtol=1e-14, atol=1e-15)
    value, pull = ag.vjp(lambda x: np.tanh(np.dot(A, x)), X)
    assert_allclose(value, y, rtol=1e-15)
    for _ in range(2):  # as often as you like
        assert_allclose(pull(u)[0], u @ J, rtol=1e-14, atol=1e-15)


def test_jvp_at_an_infinite_slope():
    with np.errstate(divide="ignore"):
        assert ag.jvp(np.sqrt, (np.array(0.0),), (np.array(1.0),))[1] == np.inf


def test_value_and_grad():
    value, gradient = ag.value_and_grad(lambda x: np.sum(x**3))(X)
    assert_allclose(value, np.sum(X**3))
    assert_allclose(gradient, 3 * X**2)


# ---- nesting --------------------------------------------------------------------------------------------------------


def test_perturbations_are_not_confused():
    """d/dx (x d/dy (x + y)) = 1: the inner derivative must not see x move."""
    assert ag.grad(lambda x: x * ag.grad(lambda y: x + y)(1.0))(1.0) == 1.0
    assert ag.jvp(lambda x: x * ag.jvp(lambda y: x + y, (1.0,), (1.0,))[1], (1.0,), (1.0,))[1] == 1.0


def jvp_of(f):
    return lambda x: ag.jvp(f, (x,), (np.ones_like(X),))[1]


def vjp_of(f):
    return lambda x: ag.vjp(f, x)[1](np.ones_like(X))[0]


@pytest.mark.parametrize("outer", [jvp_of, vjp_of])
@pytest.mark.parametrize("middle", [jvp_of, vjp_of])
@pytest.mark.parametrize("inner", [jvp_of, vjp_of])
def test_jvp_and_vjp_nest_in_any_order(outer, middle, inner):
    """Of a function that works entry by entry, each is the derivative, entry by entry."""
    assert_allclose(outer(middle(inner(np.tanh)))(X), tanh_derivative(3, X), rtol=1e-12)


def test_the_same_variable_inside_and_outside():
    """d/dx of (d/dy x y^3 at y = x) is d/dx 3 x^3 = 9 x^2."""
    for inner in (lambda x: ag.grad(lambda y: x * y**3)(x), lambda x: ag.jvp(lambda y: x * y**3, (x,), (1.0,))[1]):
        assert ag.grad(inner)(2.0) == 36.0
        assert ag.jvp(inner, (2.0,), (1.0,))[1] == 36.0


def test_jacobian_of_a_gradient_is_the_hessian_and_symmetric():
    f = lambda x: np.sum(np.tanh(np.dot(A, x)) ** 2)
    assert_allclose(ag.jacobian(ag.grad(f))(X), ag.hessian(f)(X), rtol=1e-14)
    t = np.tanh(A @ X)
    curvature = 2 * (1 - t**2) * (1 - 3 * t**2)
    assert_allclose(ag.hessian(f)(X), A.T @ np.diag(curvature) @ A, rtol=1e-12)


def test_gradient_of_a_captured_tensor_through_a_gradient():
    """The penalty sum (d/dx sum(w x^2))^2 = sum 4 w^2 x^2 has the gradient 8 w x^2."""
    w = ag.tensor([1.0, 2.0, 3.0], requires_grad=True)
    slope = ag.grad(lambda x: np.sum(w * x**2))(X)
    assert isinstance(slope, ag.Tensor)
    np.sum(slope**2).backward()
    assert_allclose(w.grad, 8 * w.data * X**2)


def test_gradient_at_a_live_tensor_has_a_history():
    x = ag.tensor(X, requires_grad=True)
    slope = ag.grad(lambda x: np.sum(x**3))(x)
    np.sum(slope).backward()
    assert_allclose(x.grad, 6 * X)


def test_value_keeps_its_history_only_where_something_is_live():
    w = ag.tensor(2.0, requires_grad=True)
    value, gradient = ag.value_and_grad(lambda x: np.sum(w * x))(X)
    value.backward()
    assert_allclose(w.grad, X.sum())
    assert isinstance(gradient, ag.Tensor)
    value, gradient = ag.value_and_grad(lambda x: np.sum(2.0 * x))(X)
    assert type(value) is np.ndarray
    assert type(gradient) is np.ndarray


def test_arrays_come_out_where_nothing_live_is_read():
    w = ag.tensor(X, requires_grad=True)
    assert type(ag.grad(lambda x: np.sum(w) + np.sum(x**2))(X)) is np.ndarray
    assert type(ag.grad(lambda x: 3 * x)(ag.tensor(1.0, requires_grad=True))) is np.ndarray
    cut = ag.primitive(lambda x: 1.0 * x)
    cut.def_rule(lambda g, y, x: x.detach() if isinstance(x, ag.Tensor) else x)
    assert type(ag.grad(lambda x: np.sum(cut(x)))(w)) is np.ndarray


def test_tensors_that_are_not_live_are_arrays():
    y, pull = ag.vjp(np.exp, ag.tensor(X))
    assert type(y) is np.ndarray
    (gradient,) = pull(ag.tensor(X))
    assert type(gradient) is np.ndarray
    assert_allclose(gradient, X * np.exp(X))


def test_rules_see_a_seed_of_the_results_dtype():
    seen = []
    watched = ag.primitive(lambda x: 1 * x)
    watched.def_rule(lambda g, y, x: (seen.append(g.dtype), g)[1])
    ag.vjp(watched, X.astype(np.float32))[1](np.ones(3, int))
    assert seen == [np.float32]


def test_the_seed_may_be_live():
    u = ag.tensor(X, requires_grad=True)
    _, pull = ag.vjp(np.exp, X)
    np.sum(pull(u)[0] ** 2).backward()
    assert_allclose(u.grad, 2 * X * np.exp(2 * X))


def test_in_place_code_inside_a_function():
    def f(x):
        x[0] = x[1] * x[2]
        x *= 2
        return np.sum(x**2)

    kept = X.copy()
    assert_allclose(ag.grad(f)(X), [0, 8 * X[1] + 8 * X[1] * X[2] ** 2, 8 * X[2] + 8 * X[2] * X[1] ** 2])
    assert_array_equal(X, kept)
    assert_allclose(ag.hessian(f)(X)[1, 1], 8 + 8 * X[2] ** 2)


# ---- no_grad, threads, memory ---------------------------------------------------------------------------------------


def test_grad_records_for_itself_inside_no_grad():
    w = ag.tensor(2.0, requires_grad=True)
    with ag.no_grad():
        gradient = ag.grad(lambda x: np.sum(w * x**2))(X)
        assert not ag.is_grad_enabled()
    assert type(gradient) is np.ndarray
    assert_allclose(gradient, 4 * X)


def test_no_grad_inside_a_function_cuts():
    def f(x):
        with ag.no_grad():
            scale = np.sum(x)
        return np.sum(x) * scale

    assert_allclose(ag.grad(f)(X), np.full(3, X.sum()))


def test_leaves_get_no_grad_from_functions():
    w = ag.tensor(X, requires_grad=True)
    ag.grad(lambda x: np.sum(w * x))(X)
    ag.hessian(lambda x: np.sum(w * x))(X)
    assert w.grad is None


def test_threads_do_not_disturb_each_other():
    start = threading.Barrier(3)
    results = {}

    def work(k):
        start.wait()
        for i in range(60):
            if k == 2:
                with ag.no_grad():
                    ag.tensor(X) * 2
            else:
                results[k, i] = nth(lambda x: x ** (k + 3), 2)(1.5)

    threads = [threading.Thread(target=partial(work, k)) for k in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(results) == 120
    for (k, _), value in results.items():
        assert_allclose(value, (k + 3) * (k + 2) * 1.5 ** (k + 1))


def test_no_reference_cycles():
    gc.collect()
    gc.disable()
    try:
        ag.hessian(lambda x: np.sum(np.tanh(np.dot(A, x)) ** 2))(X)
        ag.jvp(np.tanh, (X,), (X,))
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_results_share_no_memory():
    a, b = ag.grad(lambda a, b: np.sum(a + b), (0, 1))(X, X)
    a[:] = 7
    assert_array_equal(b, np.ones(3))
    seed = np.ones(3)
    _, pull = ag.vjp(lambda x: x + 1, X)
    pull(seed)[0][:] = 7
    assert_array_equal(seed, np.ones(3))
    y, pull = ag.vjp(np.exp, X)
    y[:] = 0
    assert_allclose(pull(seed)[0], np.exp(X))
    x = X.copy()
    _, pull = ag.vjp(np.square, x)
    x[:] = 0
    assert_allclose(pull(seed)[0], 2 * X)
    ag.vjp(lambda x: x, x)[0][:] = 5
    assert_array_equal(x, np.zeros(3))


# ---- arguments, structures, dtypes ----------------------------------------------------------------------------------


def test_structures_go_in_and_come_out():
    def f(p):
        return np.sum(p["w"] * p["more"][0]) + p["more"][1][0] ** 2

    p = {"w": X, "more": [2 * X, (3.0,)], "unused": np.ones((2, 2), np.float32)}
    gradient = ag.grad(f)(p)
    assert list(gradient) == ["w", "more", "unused"]
    assert_allclose(gradient["w"], 2 * X)
    assert_allclose(gradient["more"][0], X)
    assert isinstance(gradient["more"][1], tuple)
    assert gradient["more"][1][0] == 6.0
    assert_array_equal(gradient["unused"], np.zeros((2, 2)))
    assert gradient["unused"].dtype == np.float32


def test_structured_hessian():
    hessian = ag.hessian(lambda p: p["a"] ** 2 * np.sum(p["b"]))({"a": 3.0, "b": X})
    assert_allclose(hessian["a"]["a"], 2 * X.sum())
    assert_allclose(hessian["a"]["b"], np.full(3, 6.0))
    assert_allclose(hessian["b"]["a"], np.full(3, 6.0))
    assert_allclose(hessian["b"]["b"], np.zeros((3, 3)))


def test_structured_results():
    f = lambda x: {"twice": 2 * x, "sum": (np.sum(x), np.exp(x[:2]))}
    y, pull = ag.vjp(f, X)
    assert_allclose(y["sum"][1], np.exp(X[:2]))
    (gradient,) = pull({"sum": (10.0, np.array([1.0, 0.0])), "twice": np.array([0.0, 1.0, 0.0])})
    assert_allclose(gradient, [10 + np.exp(X[0]), 12, 10])
    y, dy = ag.jvp(f, (X,), (np.array([1.0, 0.0, 0.0]),))
    assert_allclose(dy["twice"], [2, 0, 0])
    assert_allclose(dy["sum"][0], 1)
    assert_allclose(dy["sum"][1], [np.exp(X[0]), 0])
    jacobian = ag.jacobian(f)(X)
    assert_allclose(jacobian["twice"], 2 * np.eye(3))
    assert_allclose(jacobian["sum"][1], np.diag(np.exp(X))[:2])


def test_several_results_of_one_operation_keep_their_histories():
    @ag.primitive
    def sum_and_product(a, b):
        return a + b, a * b

    sum_and_product.def_rule(joint=lambda g, y, a, b: (g[0] + g[1] * y[1] / a, g[0] + g[1] * a), arrays=2)
    f = lambda a: sum_and_product(a, a * a)[1] * sum_and_product(a, a * a)[0]  # a^3 (a + a^2) = a^4 + a^5
    assert_allclose(ag.grad(f)(1.5), 4 * 1.5**3 + 5 * 1.5**4)
    assert_allclose(nth(f, 2)(1.5), 12 * 1.5**2 + 20 * 1.5**3)
    assert_allclose(nth(f, 3)(1.5), 24 * 1.5 + 60 * 1.5**2)


def test_argnums():
    f = lambda a, b, c=1.0: a * b**2 * c
    assert ag.grad(f, 1)(3.0, 2.0) == 12
    assert ag.grad(f, -1)(3.0, 2.0) == 12
    assert ag.grad(f, (1, 0))(3.0, 2.0, c=2.0) == (24, 8)
    assert ag.grad(f, (0,))(3.0, 2.0) == (4,)
    hessian = ag.hessian(f, (0, 1))(3.0, 2.0)
    assert_allclose(hessian, [[0, 4], [4, 6]])
    assert [part.shape for part in ag.jacobian(lambda a, b: np.outer(a, b), (0, 1))(X, X[:2])] == [(3, 2, 3), (3, 2, 2)]


def test_other_arguments_may_be_anything():
    f = lambda x, labels, how: np.sum(x[labels]) if how == "sum" else None
    assert_allclose(ag.grad(f)(X, [0, 0], "sum"), [2, 0, 0])


def test_a_result_that_ignores_its_argument():
    assert_array_equal(ag.grad(lambda x: 3.0)(X), np.zeros(3))
    assert_array_equal(ag.grad(lambda x: np.sum(x > 0))(X), np.zeros(3))
    assert_array_equal(ag.jacobian(lambda x: np.ones(2))(X), np.zeros((2, 3)))
    assert_array_equal(ag.jvp(lambda x: np.argmax(x), (X,), (X,))[1], 0)
    w = ag.tensor(1.0, requires_grad=True)
    assert_array_equal(ag.grad(lambda x: w)(X), np.zeros(3))


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (1,), (2, 0)])
def test_empty_and_0d(shape):
    x = np.full(shape, 2.0)
    assert_array_equal(ag.grad(lambda x: np.sum(x**2))(x), np.full(shape, 4.0))
    assert ag.jacobian(lambda x: x * 2)(x).shape == shape + shape
    assert ag.hessian(lambda x: np.sum(x**2))(x).shape == shape + shape


def test_float32_stays():
    x = X.astype(np.float32)
    value, gradient = ag.value_and_grad(lambda x: np.sum(x * X))(x)
    assert gradient.dtype == np.float32
    assert value.dtype == np.float64
    assert ag.jacobian(np.exp)(x).dtype == np.float32
    assert ag.jvp(np.exp, (x,), (X,))[1].dtype == np.float32


def test_complex_gradient_points_uphill():
    """Of |z|^2 it is 2 z, of re z 1, of im z 1j, of re(c z) conj(c): torch's convention."""
    z, c = np.array([1 + 2j, -0.5j]), 2 - 3j
    assert_allclose(ag.grad(lambda z: np.sum(np.real(z * np.conj(z))))(z), 2 * z)
    assert_allclose(ag.grad(lambda z: np.sum(np.real(c * z)))(z), np.full(2, np.conj(c)))
    assert_allclose(ag.grad(lambda z: np.sum(np.imag(z)))(z), np.full(2, 1j))
    step = z - 0.1 * ag.grad(lambda z: np.sum(np.real(z * np.conj(z))))(z)
    assert np.sum(np.abs(step) ** 2) < np.sum(np.abs(z) ** 2)


def test_complex_vjp_and_jvp_are_adjoint():
    """<u, J v> = <J* u, v> for the real inner product, and J v of a holomorphic function is f'(z) v."""
    z, v, u = np.array([1 + 2j, -0.5j]), np.array([0.3 - 1j, 2j]), np.array([1j, 1.5 + 1j])
    _, dy = ag.jvp(np.exp, (z,), (v,))
    assert_allclose(dy, np.exp(z) * v)
    (pulled,) = ag.vjp(np.exp, z)[1](u)
    assert_allclose(pulled, np.conj(np.exp(z)) * u)
    assert_allclose(np.real(np.vdot(u, dy)), np.real(np.vdot(pulled, v)))


# ---- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (RuntimeError, r"shape \(3,\).*np\.sum.*ag\.jacobian", lambda: ag.grad(np.exp)(X)),
        (RuntimeError, "alone", lambda: ag.grad(lambda x: (np.sum(x), 1.0))(X)),
        (TypeError, r"complex.*np\.real", lambda: ag.grad(lambda z: np.sum(z))(X + 1j)),
        (TypeError, "bool.*truth value", lambda: ag.grad(lambda x: np.allclose(x, 1.0))(X)),
        (TypeError, r"complex.*np\.real", lambda: ag.jacobian(np.exp)(X + 1j)),
        (TypeError, r"argument 0 is int64.*3\.0", lambda: ag.grad(np.exp)(3)),
        (TypeError, r"argument 1\['w'\]\[0\] is int64", lambda: ag.grad(lambda a, p: a, 1)(1.0, {"w": [1]})),
        (TypeError, "argument 0.*object", lambda: ag.grad(lambda x: x)(None)),
        (TypeError, "returned None", lambda: ag.grad(lambda x: None)(1.0)),
        (ValueError, "argnums=1.*1 positional", lambda: ag.grad(np.exp, 1)(1.0)),
        (ValueError, "argnums=-2", lambda: ag.grad(np.exp, -2)(1.0)),
        (ValueError, "twice", lambda: ag.grad(np.add, (0, -2))(1.0, 2.0)),
        (TypeError, "argnums= is an integer", lambda: ag.grad(np.exp, "x")(1.0)),
        (ValueError, r"seed must have shape \(3,\), got \(2,\)", lambda: ag.vjp(np.exp, X)[1](np.ones(2))),
        (ValueError, r"seed must have shape \(3,\), got \(\)", lambda: ag.vjp(np.exp, X)[1](1.0)),
        (TypeError, "complex seed", lambda: ag.vjp(np.exp, X)[1](X * 1j)),
        (ValueError, r"keys \['a'\], got one with \['b'\]", lambda: ag.vjp(lambda x: {"a": x}, X)[1]({"b": X})),
        (ValueError, "tuple of 2, got a tuple of 3", lambda: ag.vjp(lambda x: (x, x), X)[1]((X, X, X))),
        (TypeError, "args is a tuple", lambda: ag.jvp(np.exp, X, X)),
        (TypeError, "tangents is a tuple", lambda: ag.jvp(np.exp, (X,), X)),
        (ValueError, r"tangents must have shape \(3,\)", lambda: ag.jvp(np.exp, (X,), (1.0,))),
        (ValueError, "tuple of 1, got a tuple of 2", lambda: ag.jvp(np.exp, (X,), (X, X))),
    ],
)
def test_errors_say_what_to_do(error, message, call):
    with pytest.raises(error, match=message):
        call()


# ---- hooks ----------------------------------------------------------------------------------------------------------


def test_a_hook_sees_and_replaces_the_gradient():
    w = ag.tensor(X, requires_grad=True)
    seen = []
    y = w * 2
    y.register_hook(lambda g: seen.append(g.copy()))
    y.register_hook(lambda g: 10 * g)
    np.sum(y * y).backward()
    assert_allclose(seen[0], 4 * X)
    assert_allclose(w.grad, 80 * X)


def test_a_hook_on_a_leaf_sees_the_whole_gradient_once():
    w = ag.tensor(X, requires_grad=True)
    seen = []
    w.register_hook(lambda g: seen.append(g.copy()))
    np.sum(w * 2 + w * w).backward()
    assert len(seen) == 1
    assert_allclose(seen[0], 2 + 2 * X)


def test_retain_grad_keeps_and_accumulates():
    w = ag.tensor(X, requires_grad=True)
    y = w * 2
    y.retain_grad()
    loss = np.sum(y * y)
    loss.backward(retain_graph=True)
    assert_allclose(y.grad, 4 * X)
    loss.backward()
    assert_allclose(y.grad, 8 * X)


def test_hooks_need_a_gradient():
    with pytest.raises(RuntimeError, match="register_hook"):
        ag.tensor(X).register_hook(lambda g: g)
    with pytest.raises(RuntimeError, match="retain_grad"):
        ag.tensor(X).retain_grad()


def test_a_hook_works_in_a_derivative_of_a_function():
    def f(x):
        y = x * x
        if isinstance(y, ag.Tensor):
            y.register_hook(lambda g: 3 * g)
        return np.sum(y)

    assert_allclose(ag.grad(f)(X), 6 * X)
