"""A compiled function gives what the function gives, whatever it is handed and whatever has changed around it."""

from __future__ import annotations

import functools
import threading
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_lite as ag
from tests.numerical import results
from tests.op_cases import Case, function_of
from tests.test_rules import ENTRIES, arrays_of

RNG = np.random.default_rng(0)


def same(mine: Any, theirs: Any) -> None:
    """Equal structures, shapes and dtypes, and values to 1e-12."""
    if isinstance(theirs, dict):
        assert type(mine) is type(theirs)
        assert list(mine) == list(theirs)
        for key in theirs:
            same(mine[key], theirs[key])
    elif isinstance(theirs, (list, tuple)):
        assert type(mine) is type(theirs)
        assert len(mine) == len(theirs)
        for one, other in zip(mine, theirs, strict=True):
            same(one, other)
    elif isinstance(theirs, (np.ndarray, np.generic)):
        assert mine.shape == theirs.shape
        assert mine.dtype == theirs.dtype
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-13)
    else:
        assert mine == theirs


def network(p: dict[str, Any], x: Any, t: Any) -> Any:
    hidden = 1 / (1 + np.exp(-(x @ p["w1"] + p["b1"])))
    return np.mean((np.tanh(hidden @ p["w2"]) - t) ** 2)


def parameters() -> dict[str, Any]:
    shapes = {"w1": (3, 4), "b1": (4,), "w2": (4, 1)}
    return {name: RNG.standard_normal(shape) for name, shape in shapes.items()}


FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "gradient over a dict": (ag.value_and_grad(network), (parameters(), RNG.random((7, 3)), RNG.random((7, 1)))),
    "tall": (ag.value_and_grad(network), (parameters(), RNG.random((300, 3)), RNG.random((300, 1)))),
    "gradient": (ag.grad(lambda x: np.sum(np.sin(x) * x)), (RNG.random(5),)),
    "second derivative": (ag.hessian(lambda x: np.sum(np.exp(x) * x[::-1])), (RNG.random(3),)),
    "a list of outputs": (lambda x: [x + 1, {"y": (x * 2, 3)}], (RNG.random((2, 3)),)),
    "an output twice": (lambda x: (lambda y: (y, y))(np.exp(x)), (RNG.random(4),)),
    "an input given back": (lambda x: (x, x.T), (RNG.random((2, 3)),)),
    "views of buffers": (lambda x: np.reshape((x * 2).T, -1)[1:] + np.ravel(x)[1:], (RNG.random((4, 3)),)),
    "where": (lambda x: np.where(x > 0.5, x * 2, -1.0) + np.where(x > 0.2, 0.0, x * 3), (RNG.random((4, 3)),)),
    "reductions": (lambda x: np.sum(x, axis=0) * np.mean(x, axis=1, keepdims=True) + np.max(x) - np.min(x, 1)[:, None],
                   (RNG.random((4, 4)),)),
    "integers": (lambda i: (i * 2 // 3 + 1, i / 2, i > 1, np.sum(i)), (np.arange(5),)),
    "booleans": (lambda m: (np.logical_not(m), m & m, np.sum(m), np.where(m, 1, 2)), (RNG.random(6) > 0.5,)),
    "powers": (lambda x: x**2 + x**0.5 + x**-1 + x**3 + 2**x + x**1.5, (RNG.random(5) + 1,)),
    "float32": (lambda x: (x * 0.1 + 3, np.mean(x), x.astype(np.float64) * 0.1), (RNG.random(5).astype(np.float32),)),
    "complex": (lambda z: (z * 1j + np.conj(z), np.abs(z), np.sum(z)), (RNG.random(3) + 1j * RNG.random(3),)),
    "two results": (lambda x: np.modf(x * 3), (RNG.random(5),)),
    "no out=": (lambda x: np.sort(np.cumsum(np.linalg.inv(x), axis=0), axis=1), (RNG.random((3, 3)) + np.eye(3),)),
    "fancy indices": (lambda x, i: (x * 2)[i] + x[[0, 1, 1]], (RNG.random((4, 2)), np.array([3, 0, 0]))),
    "a static argument": (lambda x, axis: np.sum(x, axis=axis), (RNG.random((2, 3)), 1)),
    "a float": (lambda x, rate: x * rate, (RNG.random(3), 0.5)),
    "a constant": (lambda x: (np.ones(3) * 2, x), (RNG.random(3),)),
    "a matrix and a vector": (lambda a, v: (a @ v, v @ a, v @ v, np.dot(a, a)), (RNG.random((3, 3)), RNG.random(3))),
    "an outer product": (lambda a, b: (a @ b) * 2 + 1, (RNG.random((90, 1)), RNG.random((1, 4)))),
    "stacked matrices": (lambda a: np.exp(a @ a) @ a, (RNG.random((2, 3, 3)),)),
    "in place": (lambda x: assigned(x * 1.0), (RNG.random(5),)),
    "nothing at all": (lambda x: (np.sum(x), x * 2), (np.zeros((0, 3)),)),
    "a scalar": (lambda x: np.exp(x) * x, (np.array(0.3),)),
}  # fmt: skip


def assigned(y: Any) -> Any:
    y[1:3] = y[0] * 2
    y += 1
    return y


@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_gives_what_the_function_gives(name: str) -> None:
    f, args = FUNCTIONS[name]
    fast = ag.compile(f)
    for k in range(3):
        moved = tuple(each + 0.25 * k if getattr(each, "dtype", np.dtype(int)).kind in "fc" else each for each in args)
        expected = f(*moved)
        given = fast(*moved)
        same(given, _arrays(expected))
    assert len(fast._kept) == 1


def _arrays(tree: Any) -> Any:
    """NumPy's scalars as the arrays that a compiled function returns."""
    if isinstance(tree, dict):
        return {key: _arrays(each) for key, each in tree.items()}
    if isinstance(tree, (list, tuple)) and not hasattr(tree, "_fields"):
        return type(tree)(map(_arrays, tree))
    return np.asarray(tree) if isinstance(tree, np.generic) else tree


# What the result's form depends on are values, and those no program knows.
ASKS_FOR_VALUES = {"real_if_close", "trim_zeros", "lstsq", "polymul"}


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_function_with_a_rule_and_its_gradient(entry: Case) -> None:
    one = entry.calls[-1]
    arrays = arrays_of(one)
    f = function_of(entry, one)
    weights = [np.cos(np.arange(np.size(each))).reshape(np.shape(each)) for each in results(f(*arrays))]

    def scalar(*given: Any) -> Any:
        parts = zip(results(f(*given)), weights, strict=True)
        return sum((np.sum(np.real(each * weight)) for each, weight in parts), np.sum(np.real(given[0])) * 0)

    both = ag.value_and_grad(scalar, tuple(range(len(arrays))))
    fast = ag.compile(both)
    if entry.name in ASKS_FOR_VALUES:
        with pytest.raises(TypeError):
            fast(*arrays)
        return
    for _ in range(2):
        same(fast(*arrays), both(*arrays))


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


DERIVATIVES: dict[str, tuple[Callable[..., Any], Any, tuple[Any, ...]]] = {
    "sigmoid": (lambda w, x: np.sum(sigmoid(x @ w) ** 2), 0, (RNG.random((3, 2)), RNG.random((4, 3)))),
    "two arguments": (lambda w, x: np.mean(sigmoid(x @ w)), (1, 0), (RNG.random((3, 2)), RNG.random((4, 3)))),
    "a dict": (lambda p, x: np.sum(sigmoid(x @ p["w"] + p["b"])), 0,
               ({"w": RNG.random((3, 2)), "b": RNG.random(2)}, RNG.random((4, 3)))),
    "softmax": (lambda z, t: -np.sum(t * np.log(np.exp(z) / np.sum(np.exp(z), axis=1, keepdims=True))), 0,
                (RNG.random((4, 3)), np.eye(3)[[0, 2, 1, 1]])),
    "shifted": (lambda z: np.sum((z - z.max() - np.log(np.sum(np.exp(z - z.max())))) ** 2), 0, (RNG.random(5),)),
    "relu": (lambda x: np.sum((x * (x > 0)) ** 2), 0, (np.array([-1.0, 0.0, 2.0]),)),
    "unused": (lambda x, y: np.sum(sigmoid(x)), (0, 1), (RNG.random(3), RNG.random(2))),
    "a static argument": (lambda x, axis: np.sum(np.max(sigmoid(x), axis=axis)), 0, (RNG.random((3, 2)), 1)),
    "second": (lambda x: np.sum(ag.grad(lambda u: np.sum(sigmoid(u) ** 2))(x)), 0, (RNG.random(3),)),
}  # fmt: skip


@pytest.mark.parametrize("name", DERIVATIVES)
def test_formulas_in_compiled_derivatives(name: str) -> None:
    f, argnums, args = DERIVATIVES[name]
    for derivative in (ag.value_and_grad(f, argnums), ag.grad(f, argnums)):
        fast = ag.compile(derivative)
        for _ in range(2):
            same(fast(*args), _arrays(derivative(*args)))


def test_formulas_in_compiled_derivatives_hold_far_out() -> None:
    x = np.array([-1e4, -1e3, 0.0, 1e3, 1e4])
    with np.errstate(over="ignore"):  # which the formula itself does in its value
        value, gradient = ag.compile(ag.value_and_grad(lambda x: np.sum(sigmoid(x))))(x)
    assert float(value) == 2.5
    np.testing.assert_array_equal(gradient, [0, 0, 0.25, 0, 0])


def test_a_derivative_of_what_counts_its_calls() -> None:
    calls = ag.tensor(0.0)

    def f(x: Any) -> Any:
        with ag.no_grad():
            calls[...] = calls + 1
        return np.sum(sigmoid(x) * 2)

    fast = ag.compile(ag.value_and_grad(f))
    for k in range(3):
        value, gradient = fast(np.zeros(2))
        assert float(calls.data) == k + 1
        same((value, gradient), (np.array(2.0), np.array([0.5, 0.5])))


def test_indices_may_change() -> None:
    """Where an index names an entry twice, the last write stands: that is a value, and not frozen."""

    def f(x: Any, i: Any, v: Any) -> Any:
        y = x * 1.0
        y[i] = v
        return np.sum(y**2)

    both = ag.value_and_grad(f, (0, 2))
    fast = ag.compile(both)
    x, v = np.arange(5.0), np.array([7.0, 8.0])
    for i in ([0, 1], [3, 3], [4, 2]):
        same(fast(x, np.array(i), v), both(x, np.array(i), v))


# ---- what it returns belongs to the caller ---------------------------------------------------------------------------


def test_results_are_not_written_again() -> None:
    fast = ag.compile(ag.value_and_grad(network))
    p, x, t = parameters(), RNG.random((200, 3)), RNG.random((200, 1))
    first = fast(p, x, t)
    kept = [first[0].copy(), {key: each.copy() for key, each in first[1].items()}]
    fast(p, x + 1, t)
    same(list(first), kept)
    for each in first[1].values():
        each[...] = 7
    same(list(fast(p, x, t)), kept)


def test_a_result_is_never_an_argument_or_another_result() -> None:
    x = RNG.random((3, 2))
    given = ag.compile(lambda x: (x, x.T, x[0], np.copy(x)))(x)
    arrays = [x, *given]
    assert not any(np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i])


# ---- one program for each set of shapes ------------------------------------------------------------------------------


def test_new_shapes_dtypes_structures_and_fixed_arguments_make_new_programs() -> None:
    def f(tree: Any, axis: int | None = 0) -> Any:
        return np.sum(tree["x"], axis=axis) * 2

    fast = ag.compile(f)
    for tree, axis in [
        ({"x": np.ones((2, 3))}, 0), ({"x": np.ones((3, 3))}, 0), ({"x": np.ones((2, 3), np.float32)}, 0),
        ({"x": np.ones((2, 3))}, 1), ({"x": np.ones((2, 3))}, None), ({"x": np.ones((2, 3)), "y": np.ones(1)}, 0),
    ]:  # fmt: skip
        for _ in range(2):
            same(fast(tree, axis), np.asarray(np.sum(tree["x"], axis=axis) * 2))
    assert len(fast._kept) == 6
    assert all(len(each) == 1 for each in fast._kept.values())


def test_a_stated_number_of_programs_is_kept() -> None:
    from autograd_lite.compiler import MOST

    fast = ag.compile(lambda x: x + 1)
    for n in range(MOST + 5):
        fast(np.zeros(n))
    assert sum(map(len, fast._kept.values())) == MOST


# ---- what it captures ------------------------------------------------------------------------------------------------


def test_a_closure_that_changes() -> None:
    rate = 2.0

    def f(x: Any) -> Any:
        return x * rate

    fast = ag.compile(f)
    assert fast(np.ones(1))[0] == 2
    rate = 3.0
    assert fast(np.ones(1))[0] == 3


FACTOR = 2.0
TABLE = np.array([1.0, 2.0])


def scaled(x: Any) -> Any:
    return x * FACTOR


def test_a_global_that_changes_read_by_a_helper(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = ag.compile(lambda x: scaled(x) + 1)
    assert fast(np.ones(1))[0] == 3
    monkeypatch.setitem(globals(), "FACTOR", 5.0)
    assert fast(np.ones(1))[0] == 6
    monkeypatch.setitem(globals(), "scaled", lambda x: x * 0)
    assert fast(np.ones(1))[0] == 1


@pytest.mark.parametrize("size", [3, 5000])
def test_a_captured_array_that_is_written_to(size: int) -> None:
    table = np.ones(size)
    fast = ag.compile(lambda x: np.sum(table * x))
    assert fast(np.ones(size)) == size
    table[1] = 5
    assert fast(np.ones(size)) == size + 4
    table[:] = np.arange(size)
    assert fast(np.ones(size)) == np.arange(size).sum()


def test_an_object_whose_attribute_changes() -> None:
    settings = types.SimpleNamespace(scale=2.0, table=[1.0, {"a": 3.0}])
    fast = ag.compile(lambda x: x * settings.scale + settings.table[1]["a"])
    assert fast(np.ones(1))[0] == 5
    settings.scale = 4.0
    assert fast(np.ones(1))[0] == 7
    settings.table[1]["a"] = 0.0
    assert fast(np.ones(1))[0] == 4
    settings.table[1] = {"a": 1.0}
    assert fast(np.ones(1))[0] == 5


def test_a_method_of_an_object() -> None:
    class Model:
        power = 2

        def __init__(self) -> None:
            self.w = 3.0

        def loss(self, x: Any) -> Any:
            return self.helper(x) ** self.power

        def helper(self, x: Any) -> Any:
            return x * self.w

    model = Model()
    fast = ag.compile(model.loss)
    assert fast(np.ones(1))[0] == 9
    model.w = 2.0
    assert fast(np.ones(1))[0] == 4
    Model.power = 3
    assert fast(np.ones(1))[0] == 8


def test_an_attribute_of_a_python_module() -> None:
    module = types.ModuleType("settings")
    module.__file__ = "settings.py"
    vars(module)["scale"] = 2.0
    fast = ag.compile(lambda x: x * vars(module)["scale"] if False else x * module.scale)
    assert fast(np.ones(1))[0] == 2
    vars(module)["scale"] = 3.0
    assert fast(np.ones(1))[0] == 3


def test_captured_tensors_are_read_anew() -> None:
    w = ag.tensor([1.0, 2.0], requires_grad=True)
    t = ag.tensor([1.0, 1.0])
    fast = ag.compile(lambda x: np.sum(w * x * t))
    assert fast(np.ones(2)) == 3
    w.data = [5.0, 5.0]
    assert fast(np.ones(2)) == 10
    t.data[0] = 0
    assert fast(np.ones(2)) == 5


def test_tensors_that_the_function_writes_to() -> None:
    count = ag.tensor([0.0])

    def f(x: Any) -> Any:
        with ag.no_grad():
            count[...] = count + np.sum(x)
        return x * count

    fast = ag.compile(f)
    assert fast(np.ones(2)).tolist() == [2, 2]
    assert fast(np.ones(2)).tolist() == [4, 4]
    assert count.data[0] == 4


# ---- what it refuses -------------------------------------------------------------------------------------------------


def test_control_flow_on_values_is_refused() -> None:
    with pytest.raises(TypeError, match="freeze"):
        ag.compile(lambda x: x if x[0] > 0 else -x)(np.ones(2))
    with pytest.raises(TypeError, match="freeze"):
        ag.compile(lambda x: x * float(x[0]))(np.ones(2))


@pytest.mark.parametrize("masks", [([True, True], [True, False]), ([True, False], [True, True])])
def test_a_shape_that_depends_on_values_is_refused(masks: Any) -> None:
    fast = ag.compile(lambda x, mask: np.sum(x[mask] + 1))
    assert fast(np.zeros(2), np.array(masks[0])) == sum(masks[0])
    with pytest.raises(ValueError, match="depends on values"):
        fast(np.zeros(2), np.array(masks[1]))


def test_a_hidden_random_draw_is_found() -> None:
    rng = np.random.default_rng(0)
    for f in (lambda x: x * rng.random(x.shape), lambda x: x + float(rng.random())):
        with pytest.raises(RuntimeError, match="computes something else each time"):
            ag.compile(f)(np.ones(2))


def test_a_float_among_narrow_arrays_is_refused() -> None:
    with pytest.raises(TypeError, match="np.float32"):
        ag.compile(lambda x, rate: x * rate)(np.ones(2, np.float32), 0.5)


@pytest.mark.parametrize("seen", [True, False])
def test_a_call_from_inside_itself_is_refused(seen: bool) -> None:
    known: list[Any] = []

    @functools.cache
    def hidden() -> list[Any]:
        return []

    @ag.primitive
    def again(x: Any) -> Any:
        for each in known if seen else hidden():
            return each(x)
        return x * 1.0 if isinstance(x, np.ndarray) else x  # so that it is called, and not taken apart

    again.def_rule(lambda g, y, x: g)
    fast = ag.compile(lambda x: again(x) + 1)
    fast(np.ones(2))
    inner = known if seen else hidden()
    inner.append(fast)
    with pytest.raises(RuntimeError, match="inside itself, without end" if seen else "inside itself, and its memory"):
        fast(np.ones(2))
    inner.clear()
    assert fast(np.ones(2)).tolist() == [2, 2]


def test_threads_take_turns() -> None:
    fast = ag.compile(ag.value_and_grad(network))
    p, t = parameters(), RNG.random((500, 1))
    batches = [RNG.random((500, 3)) for _ in range(4)]
    expected = [ag.value_and_grad(network)(p, x, t) for x in batches]
    wrong: list[BaseException] = []

    def work(k: int) -> None:
        try:
            for _ in range(30):
                same(fast(p, batches[k], t), expected[k])
        except BaseException as error:  # reported below, in the test's own thread
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong


# ---- among the others ------------------------------------------------------------------------------------------------


def test_derivatives_of_a_compiled_function_are_the_functions() -> None:
    fast = ag.compile(lambda x: np.sum(x**3))
    x = RNG.random(3)
    np.testing.assert_allclose(ag.grad(fast)(x), 3 * x**2)
    w = ag.tensor(x, requires_grad=True)
    fast(w).backward()
    np.testing.assert_allclose(w.grad, 3 * x**2)
    assert "power" in str(ag.trace(fast, x)) or "**" in str(ag.trace(fast, x))


def test_keywords_go_by_their_positions() -> None:
    fast = ag.compile(lambda x, scale: x * scale)
    assert fast(np.ones(1), scale=np.array(3.0))[0] == 3


def test_the_source_is_shown_in_tracebacks() -> None:
    import linecache
    import traceback

    fast = ag.compile(lambda x: np.linalg.inv(x) * 2)
    with pytest.raises(RuntimeError, match="nothing has been compiled"):
        _ = fast.source
    fast(np.eye(2))
    assert "inv(x)" in fast.source
    with pytest.raises(np.linalg.LinAlgError) as caught:
        fast(np.zeros((2, 2)))
    assert any("inv(x)" in (each.line or "") for each in traceback.extract_tb(caught.tb))
    assert any(name.startswith("<compiled") for name in linecache.cache)


def test_memory_is_used_again() -> None:
    def deep(x: Any) -> Any:
        for _ in range(50):
            x = np.sin(x @ np.eye(100))
        return np.sum(x)

    fast = ag.compile(deep)
    fast(np.ones((100, 100)))
    assert fast._last is not None
    assert fast._last.memory <= 4 * 100 * 100 * 8
