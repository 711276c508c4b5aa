"""The walk: seeds, accumulation, freeing, memory that nobody shares, hooks, long chains, complex numbers,
broadcasting.
"""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import autograd_lite as ag


def parameter(data: Any, **kwargs: Any) -> ag.Tensor:
    return ag.tensor(data, requires_grad=True, **kwargs)


def gradient(t: ag.Tensor) -> Any:
    assert t.grad is not None
    return t.grad


@contextmanager
def collector_off() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# ---- seeds -------------------------------------------------------------------------------------------------------


def test_a_scalar_needs_no_seed_and_a_single_entry_neither() -> None:
    for shape in ((), (1,), (1, 1)):
        w = parameter(np.full(shape, 3.0))
        (w * w).backward()
        assert gradient(w).shape == shape
        assert gradient(w).item() == 6


def test_a_non_scalar_needs_a_seed() -> None:
    with pytest.raises(RuntimeError, match=r"shape \(2,\) needs a seed.*np\.sum.*gradient="):
        (parameter([1.0, 2.0]) * 2).backward()
    w = parameter([1.0, 2.0])
    (w * w).backward([1.0, 10.0])
    assert gradient(w).tolist() == [2, 40]
    (w * w).backward(ag.tensor([1, 1]))
    assert gradient(w).tolist() == [4, 44]


@pytest.mark.parametrize("seed", [1.0, [1.0], [[1.0, 1.0]], np.ones((2, 1)), np.ones(3), [], 5])
def test_a_seed_of_another_shape_raises(seed: Any) -> None:
    with pytest.raises(ValueError, match=r"gradient= has shape .* the result has \(2,\)"):
        (parameter([1.0, 2.0]) * 2).backward(seed)


@pytest.mark.parametrize("seed", [1j, "1", None, object()])
def test_a_seed_that_is_no_real_number_raises(seed: Any) -> None:
    with pytest.raises((TypeError, ValueError, RuntimeError), match="gradient=|seed"):
        (parameter([1.0, 2.0]) * 2).backward([seed, seed] if seed is not None else None)


def test_without_a_history_backward_says_what_is_missing() -> None:
    with ag.no_grad():
        computed = parameter(1.0) * 2
    for t in (ag.tensor(1.0), ag.tensor(1.0) * 2, computed, parameter(1.0).detach(), parameter(1.0) > 0):
        with pytest.raises(RuntimeError, match=r"requires_grad=True.*ag\.no_grad"):
            t.backward()


def test_backward_of_a_leaf_itself() -> None:
    w = parameter(2.0)
    w.backward()
    w.backward(3.0)
    assert gradient(w) == 4


# ---- accumulation and freeing ------------------------------------------------------------------------------------


def test_gradients_of_two_losses_add_up() -> None:
    w = parameter([1.0, 2.0])
    np.sum(w * w).backward()
    np.sum(w * 3).backward()
    assert gradient(w).tolist() == [5, 7]
    w.grad = None
    np.sum(w).backward()
    assert gradient(w).tolist() == [1, 1]


def test_a_value_used_many_times_collects_all_its_gradients() -> None:
    w = parameter(2.0)
    y = w * w
    z = y * y + y + w  # w^4 + w^2 + w
    (z * z + z).backward()
    assert gradient(w) == pytest.approx((2 * 22 + 1) * (4 * 8 + 2 * 2 + 1))


def test_a_diamond_of_depth_forty_is_walked_once() -> None:
    w = parameter(1.0)
    y = w
    for _ in range(40):
        y = y + y
    y.backward()
    assert gradient(w) == 2.0**40


def test_a_second_backward_raises_and_says_how_to_keep_the_history() -> None:
    w = parameter([1.0, 2.0])
    h = np.exp(w)
    y = np.sum(h)
    y.backward()
    first = gradient(w).copy()
    for again in (y, np.sum(h * 2)):
        with pytest.raises(RuntimeError, match=r"np\.(sum|exp).*freed.*retain_graph=True"):
            again.backward()
    y = np.sum(np.exp(w))
    w.grad = None
    y.backward(retain_graph=True)
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_allclose(gradient(w), 3 * first)
    with pytest.raises(RuntimeError, match="retain_graph"):
        y.backward()


def test_freeing_lets_the_arrays_go_though_the_result_lives() -> None:
    w = parameter(np.ones(1000))
    h = np.exp(w)
    array = weakref.ref(h._data)
    y = np.sum(h * h)
    del h
    assert array() is not None
    y.backward()
    assert array() is None


def test_a_freed_history_can_still_be_drawn() -> None:
    w = parameter([1.0, 2.0], name="w")
    y = np.sum(np.exp(w) * w)
    before = ag.draw(y).source
    y.backward()
    assert ag.draw(y).source == before
    assert "np.exp" in before or "exp" in before


# ---- memory ------------------------------------------------------------------------------------------------------

SHARERS: list[Callable[[ag.Tensor, ag.Tensor], Any]] = [
    lambda a, b: a + b, lambda a, b: a - b, lambda a, b: (a + b) + (b + a), lambda a, b: np.stack([a, b]),
    lambda a, b: np.concatenate([a, b]), lambda a, b: a.reshape(2, 2) + b.reshape(2, 2), lambda a, b: a + b.sum(),
    lambda a, b: np.where([True, False, True, False], a, b), lambda a, b: +a + b, lambda a, b: np.copy(a) + b,
    lambda a, b: a[::-1] + b, lambda a, b: np.maximum(a, b), lambda a, b: np.broadcast_to(a, (3, 4)) + b,
    lambda a, b: a * b, lambda a, b: a @ b, lambda a, b: np.real(a) + b, lambda a, b: a[0] + b[1],
    lambda a, b: np.split(a, 2)[0] + np.split(b, 2)[1], lambda a, b: np.expand_dims(a, 0) + b,
]  # fmt: skip


@pytest.mark.parametrize("f", SHARERS)
def test_gradients_share_memory_with_nothing(f: Callable[[ag.Tensor, ag.Tensor], Any]) -> None:
    a, b = parameter([1.0, 2.0, 3.0, 4.0]), parameter([5.0, 6.0, 7.0, 8.0])
    y = f(a, b)
    seed = np.ones(y.shape)
    y.backward(seed)
    arrays = [gradient(a), gradient(b), seed, a.data, b.data, y.data]
    for i, one in enumerate(arrays[:2]):
        assert one.base is None
        assert one.flags.writeable
        assert one.flags.owndata
        for other in arrays[i + 1 :]:
            assert not np.shares_memory(one, other)


@ag.primitive
def passed(x: Any) -> Any:
    """The identity, with a rule that hands on what it was given or what it kept."""
    return x * 1.0


KEPT = np.array([2.0, 3.0])


@pytest.mark.parametrize(
    "rule",
    [
        lambda g, y, x: g, lambda g, y, x: x, lambda g, y, x: y, lambda g, y, x: KEPT, lambda g, y, x: g[:],
        lambda g, y, x: KEPT[::1],
    ],
)  # fmt: skip
def test_a_rule_may_hand_on_any_array(rule: Callable[..., Any]) -> None:
    passed.def_rule(rule)
    w, seed = parameter([2.0, 3.0]), np.array([2.0, 3.0])
    y = passed(w)
    y.backward(seed, retain_graph=True)
    assert gradient(w).tolist() == [2, 3]
    for other in (seed, w.data, y.data, KEPT):
        assert not np.shares_memory(gradient(w), other)
    y.backward(seed)
    assert gradient(w).tolist() == [4, 6]
    assert (seed.tolist(), w.data.tolist(), KEPT.tolist()) == ([2, 3], [2, 3], [2, 3])


@pytest.mark.parametrize("shape", [(3, 1), (4,), (2,)])
def test_a_rule_that_gives_another_shape_is_named(shape: tuple[int, ...]) -> None:
    passed.def_rule(lambda g, y, x: np.ones(shape))
    w = parameter([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"gradient rule of passed gave shape .* for an input of shape \(3,\)"):
        passed(w).backward(np.ones(3))


@pytest.mark.parametrize("leaf", [np.float16, np.float32, np.float64, np.complex64])
@pytest.mark.parametrize("data", [np.float32, np.float64])
def test_grad_has_the_leafs_dtype_and_shape(leaf: Any, data: Any) -> None:
    w, b = parameter(np.ones((3, 2), leaf)), parameter(np.ones((), leaf))
    y = np.real(np.sum(np.ones((4, 3), data) @ w + b))
    assert y.dtype == np.real(np.zeros((), np.result_type(leaf, data))).dtype
    y.backward()
    for each in (w, b):
        assert (type(each.grad), gradient(each).dtype, gradient(each).shape) == (np.ndarray, leaf, each.shape)
    assert gradient(w)[0, 0] == 4
    assert gradient(b) == 8  # it was added to 4 rows of 2


# ---- hooks -------------------------------------------------------------------------------------------------------


def test_hooks_see_and_replace_the_whole_gradient_once() -> None:
    w = parameter([1.0, 2.0])
    seen: list[Any] = []
    y = w * 2
    y.register_hook(lambda g: seen.append(g))
    y.register_hook(lambda g: g * 10)
    y.register_hook(lambda g: seen.append(g))
    w.register_hook(lambda g: seen.append(g))
    np.sum(y * y + y).backward()
    assert [each.tolist() for each in seen] == [[5, 9], [50, 90], [100, 180]]
    assert gradient(w).tolist() == [100, 180]


def test_the_hook_of_a_leaf_sees_the_sum_though_the_leaf_was_written_meanwhile() -> None:
    w = parameter([1.0])
    seen: list[float] = []
    w.register_hook(lambda g: seen.append(g.item()))
    a = w + 1
    b = np.exp(a) * 0 + w
    with ag.no_grad():
        w += 1  # no rule reads w
    np.sum(a * 3 + b).backward()
    assert seen == [4]


def test_hooks_of_a_leaf_that_is_the_root() -> None:
    w = parameter(1.0)
    w.register_hook(lambda g: g * 5)
    w.backward()
    assert gradient(w) == 5


def test_a_hook_cannot_write_into_what_it_sees_or_change_the_shape() -> None:
    w = parameter([1.0, 2.0])
    y = w * 1
    y.register_hook(lambda g: g.__setitem__(0, 9.0))
    with pytest.raises(ValueError, match="read-only"):
        np.sum(y).backward()
    y = w * 1
    y.register_hook(lambda g: g.sum())
    with pytest.raises(ValueError, match=r"hook gave a gradient of shape \(\) for a tensor of shape \(2,\)"):
        np.sum(y).backward()


def test_retain_grad() -> None:
    w = parameter([1.0, 2.0])
    y = w * 3
    y.retain_grad()
    total = np.sum(y)
    total.retain_grad()
    (total * total).backward(retain_graph=True)
    assert isinstance(y.grad, np.ndarray)
    assert y.grad.tolist() == [18, 18]
    assert isinstance(total.grad, np.ndarray)
    assert total.grad.shape == ()
    (total * total).backward()
    assert y.grad.tolist() == [36, 36]
    assert not np.shares_memory(y.grad, gradient(w))
    with pytest.raises(RuntimeError, match="does not require"):
        ag.tensor(1.0).retain_grad()
    with pytest.raises(RuntimeError, match="does not require"):
        ag.tensor(1.0).register_hook(lambda g: g)


# ---- no cycles, no recursion -------------------------------------------------------------------------------------


def test_two_hundred_steps_leave_nothing_to_collect() -> None:
    rng = np.random.default_rng(0)
    w, b = parameter(rng.standard_normal((3, 4))), parameter(np.zeros(4))
    x = rng.standard_normal((8, 3))

    def step() -> None:
        h = np.tanh(x @ w + b)
        h[0] *= 2
        parts = np.split(np.sort(h, axis=1), 2)
        loss = np.mean(np.square(parts[0])) + np.linalg.norm(parts[1]) + np.max(h)
        loss.backward()
        with ag.no_grad():
            for each in (w, b):
                each -= 0.01 * gradient(each)
                each.grad = None
        ag.grad(lambda v: np.sum(np.exp(v)))(x)
        with pytest.raises(ValueError, match=r"np\.add"):
            w + np.ones(9)

    step()
    with collector_off():
        for _ in range(200):
            step()
        # an exception's traceback is a cycle of pytest's own making, so errors count apart
        found = gc.collect()
    assert found < 200 * 40
    with collector_off():
        for _ in range(200):
            loss = np.mean(np.square(np.tanh(x @ w + b)))
            loss.backward()
        del loss
        assert gc.collect() == 0


LONG = 100_000


def chain(kind: str) -> None:
    """Forward, backward and freeing of a chain that any recursion would trip over."""
    w = parameter(np.ones(2))
    y: Any = w
    if kind == "views":
        for _ in range(LONG // 2):
            y = y.reshape(2, 1).reshape(2)
    elif kind == "in place":
        y = w * 1
        for _ in range(LONG):
            y += 1.0
    else:
        for _ in range(LONG):
            y = y * 1.0
    np.sum(y).backward()
    assert gradient(w).tolist() == [1, 1]
    y = y + 1
    del y


@pytest.mark.parametrize("kind", ["operations", "views", "in place"])
def test_a_hundred_thousand_operations_with_the_collector_off(kind: str) -> None:
    with collector_off():
        chain(kind)


@pytest.mark.parametrize(("kind", "kilobytes"), [("operations", 64), ("operations", 256), ("views", 64)])
def test_a_hundred_thousand_operations_on_a_small_stack(kind: str, kilobytes: int) -> None:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            chain(kind)
        except BaseException as error:
            failures.append(error)

    before = threading.stack_size(kilobytes * 1024)
    try:
        worker = threading.Thread(target=run)
        with collector_off():
            worker.start()
            worker.join()
    finally:
        threading.stack_size(before)
    assert not failures


def test_an_unused_long_history_is_freed_without_recursion() -> None:
    y: Any = parameter(1.0)
    first = y = y * 1.0
    for _ in range(LONG):
        y = y * 1.0
    alive = weakref.ref(first._node)
    with collector_off():
        del first, y
        assert alive() is None


# ---- complex numbers: dL/da + i dL/db of z = a + ib --------------------------------------------------------------

Z = np.array([1 + 2j, -0.5 + 0.25j])


def test_of_a_squared_modulus_the_gradient_is_twice_the_number() -> None:
    for loss in (
        lambda z: np.sum(np.real(z * np.conj(z))), lambda z: np.sum(np.abs(z) ** 2),
        lambda z: np.sum(np.square(np.real(z)) + np.square(np.imag(z))),
    ):  # fmt: skip
        z = parameter(Z)
        loss(z).backward()
        np.testing.assert_allclose(gradient(z), 2 * Z, rtol=1e-15)
        np.testing.assert_allclose(ag.grad(loss)(Z), 2 * Z, rtol=1e-15)


@pytest.mark.parametrize(
    ("f", "derivative"),
    [(lambda z: z * z, lambda z: 2 * z), (np.exp, np.exp), (np.sin, np.cos), (lambda z: 1 / z, lambda z: -1 / z**2)],
)
def test_of_the_real_part_of_a_holomorphic_function_it_is_the_conjugate_derivative(f: Any, derivative: Any) -> None:
    z = parameter(Z)
    np.sum(np.real(f(z))).backward()
    np.testing.assert_allclose(gradient(z), np.conj(derivative(Z)), rtol=1e-14)
    z = parameter(Z)
    np.sum(np.imag(f(z))).backward()
    np.testing.assert_allclose(gradient(z), np.conj(-1j * derivative(Z)), rtol=1e-14)


def test_a_complex_seed_is_a_gradient_in_the_same_convention() -> None:
    """For y = f(z) holomorphic and dL/dy = v in the convention, dL/dz = v conj(f'(z))."""
    seed = np.array([0.5 - 1j, 2 + 3j])
    z = parameter(Z)
    seen: list[Any] = []
    y = z * z
    y.register_hook(lambda g: seen.append(g))
    y.retain_grad()
    y.backward(seed)
    np.testing.assert_allclose(gradient(z), seed * np.conj(2 * Z), rtol=1e-15)
    np.testing.assert_array_equal(seen[0], seed)
    np.testing.assert_array_equal(y.grad, seed)


def test_a_step_against_the_complex_gradient_descends() -> None:
    def loss(z: Any) -> Any:
        return np.sum(np.abs(np.exp(z) - (1 + 2j)) ** 2)

    z = parameter(Z)
    for _ in range(3):
        before = float(loss(z))
        z.grad = None
        loss(z).backward()
        with ag.no_grad():
            z -= 1e-3 * gradient(z)
        assert float(loss(z)) < before


def test_a_real_parameter_of_a_complex_computation_has_a_real_gradient() -> None:
    w = parameter([1.0, 2.0])
    np.sum(np.real((w * 1j) ** 2)).backward()
    assert gradient(w).dtype == np.float64
    np.testing.assert_allclose(gradient(w), [-2, -4])
    y = parameter([1.0]) * 2
    with pytest.raises(TypeError, match="complex"):
        y.backward([1j])


# ---- broadcasting, 0-d and empty included, against closed forms --------------------------------------------------

shapes = hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, min_side=0, max_side=3)


def reduced(full: Any, shape: tuple[int, ...]) -> Any:
    """A full gradient summed over what broadcasting repeated, by counting: one entry of the input at a time."""
    places = np.broadcast_to(np.arange(int(np.prod(shape, dtype=int))).reshape(shape), full.shape)
    total = np.bincount(places.ravel(), weights=full.ravel(), minlength=int(np.prod(shape, dtype=int)))
    return total.reshape(shape)


BINARY: list[tuple[Any, Any, Any]] = [
    (np.add, lambda a, b: np.ones_like(a * b), lambda a, b: np.ones_like(a * b)),
    (np.subtract, lambda a, b: np.ones_like(a * b), lambda a, b: -np.ones_like(a * b)),
    (np.multiply, lambda a, b: b + 0 * a, lambda a, b: a + 0 * b),
    (np.divide, lambda a, b: 1 / b + 0 * a, lambda a, b: -a / b**2),
    (np.power, lambda a, b: b * a ** (b - 1), lambda a, b: np.log(a) * a**b),
    (np.maximum, lambda a, b: 1.0 * (a > b), lambda a, b: 1.0 * (b > a)),
    (np.hypot, lambda a, b: a / np.sqrt(a * a + b * b), lambda a, b: b / np.sqrt(a * a + b * b)),
    (lambda a, b: np.where(a > b, a, b), lambda a, b: 1.0 * (a > b), lambda a, b: 1.0 * (b > a)),
]


@settings(max_examples=100, deadline=None)
@given(shapes=shapes, which=st.integers(0, len(BINARY) - 1), seed=st.integers(0, 2**31), after=st.booleans())
def test_broadcasting_is_undone(shapes: Any, which: int, seed: int, after: bool) -> None:
    rng = np.random.default_rng(seed)
    (left, right), f_and_slopes = shapes.input_shapes, BINARY[which]
    a, b = rng.uniform(0.5, 1.5, left), rng.uniform(1.6, 2.5, right)
    if rng.random() < 0.5:
        a, b = b.copy().reshape(right), a.copy().reshape(left)
    f, slope_a, slope_b = f_and_slopes
    ta, tb = parameter(a), parameter(b)
    y = f(ta, tb)
    assert y.shape == shapes.result_shape
    weights = rng.standard_normal(y.shape)
    if after:  # a gradient that is the same everywhere stays small on its way
        weights[...] = 1
        np.sum(y).backward()
    else:
        y.backward(weights)
    np.testing.assert_allclose(gradient(ta), reduced(weights * slope_a(a, b), a.shape), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(gradient(tb), reduced(weights * slope_b(a, b), b.shape), rtol=1e-12, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(shapes=shapes, seed=st.integers(0, 2**31))
def test_a_whole_expression_against_central_differences(shapes: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrays = [rng.uniform(0.5, 1.5, shape) for shape in shapes.input_shapes]

    def f(a: Any, b: Any) -> Any:
        c = np.exp(a) * b + np.sum(b, keepdims=True) / 3
        return np.sum(c * c - np.tanh(a)) + np.sum(np.where(a > 1, a, b * b))

    tensors = [parameter(each) for each in arrays]
    f(*tensors).backward()
    for k, array in enumerate(arrays):
        assert gradient(tensors[k]).shape == array.shape
        for index in np.ndindex(array.shape):
            ends = []
            for h in (1e-6, -1e-6):
                moved = [each.copy() for each in arrays]
                moved[k][index] += h
                ends.append(float(f(*moved)))
            if abs(array[index] - 1) > 1e-5:
                assert gradient(tensors[k])[index] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6, abs=1e-6)
