"""The printed derivation computes what the engine does, reads as people write, and holds for nothing else silently."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autograd_lite as ag
import nn
from autograd_lite.trees import flatten
from tests.numerical import inner, like, results
from tests.op_cases import Call, Case, function_of
from tests.test_rules import PARAMETERS, arrays_of

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((7, 3)), RNG.standard_normal((7, 1))
W1, W2 = RNG.standard_normal((3, 4)), RNG.standard_normal((4, 1))

# functions whose result has a shape, or takes a way, that depends on values: no program can hold them
BY_VALUE = {"real_if_close", "trim_zeros", "lstsq", "polymul"}


def xor(W1, W2, X, y):  # the document's names
    z1 = X @ W1
    a1 = 1 / (1 + np.exp(-z1))
    z2 = a1 @ W2
    o = 1 / (1 + np.exp(-z2))
    return np.mean(0.5 * (y - o) ** 2)


GOLDEN = '''\
import numpy as np


def _check_argument(name, array, shape, dtype):
    """Raise ValueError for an argument that the derivation below does not hold for."""
    array = np.asarray(array)
    if array.shape != shape or array.dtype != dtype:
        found, wanted = f"{array.dtype}{list(array.shape)}", f"{dtype}{list(shape)}"
        raise ValueError(f"backprop: {name} is {found}, and this derivation is for {wanted}")


def backprop(W1, W2, X, y):
    """The value of xor and its gradients, derived line by line."""
    _check_argument("W1", W1, (3, 4), "float64")
    _check_argument("W2", W2, (4, 1), "float64")
    _check_argument("X", X, (7, 3), "float64")
    _check_argument("y", y, (7, 1), "float64")

    # forward
    z1 = X @ W1                           # (7, 4)
    a1 = 1 / (1 + np.exp(-z1))            # (7, 4)
    z2 = a1 @ W2                          # (7, 1)
    o = 1 / (1 + np.exp(-z2))             # (7, 1)
    difference = y - o                    # (7, 1)
    xor = np.mean(0.5 * difference ** 2)  # ()

    # backward
    d_o = -difference / 7                 # (7, 1)  from: return np.mean(0.5 * (y - o) ** 2)
    d_z2 = d_o * (o * (1 - o))            # (7, 1)  from: o = 1 / (1 + np.exp(-z2))
    d_a1 = d_z2 @ W2.T                    # (7, 4)  from: z2 = a1 @ W2
    d_W2 = a1.T @ d_z2                    # (4, 1)  from: z2 = a1 @ W2
    d_z1 = d_a1 * (a1 * (1 - a1))         # (7, 4)  from: a1 = 1 / (1 + np.exp(-z1))
    d_W1 = X.T @ d_z1                     # (3, 4)  from: z1 = X @ W1

    return xor, (d_W1, d_W2)
'''


def test_document_1_reads_as_its_repaired_derivation():
    assert ag.backprop_source(xor, W1, W2, X, Y, argnums=(0, 1)) == GOLDEN


def test_document_1_is_the_repaired_formula():
    """direction W1: X.T @ d1, W2: a1.T @ d2 with d2 = (y - o) sigma'(z2), d1 = (d2 @ W2.T) sigma'(z1); -N gradients."""
    _, (d_w1, d_w2) = ag.backprop_source(xor, W1, W2, X, Y, argnums=(0, 1)).function(W1, W2, X, Y)
    a1 = 1 / (1 + np.exp(-X @ W1))
    o = 1 / (1 + np.exp(-a1 @ W2))
    d2 = (Y - o) * o * (1 - o)
    d1 = d2 @ W2.T * a1 * (1 - a1)
    np.testing.assert_allclose(-7 * d_w1, X.T @ d1, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(-7 * d_w2, a1.T @ d2, rtol=1e-12, atol=1e-15)


def imports(text: str) -> set[str]:
    """The modules that a text imports."""
    return {
        alias.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }


def round_trip(f: Any, args: tuple[Any, ...], argnums: Any = 0, tolerance: float = 1e-12) -> str:
    """Print, run in a namespace of its own, and compare with the engine."""
    text = ag.backprop_source(f, *args, argnums=argnums)
    assert imports(text) == {"numpy"}
    namespace: dict[str, Any] = {}
    exec(text, namespace)
    value, gradients = namespace["backprop"](*args, **text.captured)
    wanted, slopes = ag.value_and_grad(f, argnums)(*args)
    np.testing.assert_allclose(value, wanted, rtol=tolerance, atol=tolerance)
    assert type(gradients) is type(slopes) or isinstance(slopes, np.ndarray)
    mine, theirs = (flatten(each) for each in (gradients, slopes))
    assert mine[1] == theirs[1]
    for one, other in zip(mine[0], theirs[0], strict=True):
        assert np.shape(one) == other.shape
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)
    return text


@pytest.mark.parametrize(("entry", "one"), PARAMETERS)
def test_every_rule_is_printed_and_runs_as_the_engine_does(entry: Case, one: Call):
    arrays = tuple(arrays_of(one))
    if not arrays:
        return
    f = function_of(entry, one)
    outs = results(f(*(a.copy() for a in arrays)))
    weights = [like(np.asarray(out, np.result_type(out.dtype, np.float64)), np.random.default_rng(1)) for out in outs]

    def scalar(*xs: Any) -> Any:
        return inner(results(f(*xs)), weights)

    try:
        round_trip(scalar, arrays, tuple(range(len(arrays))))
    except TypeError:
        with pytest.raises(TypeError):
            ag.trace(scalar, *arrays)
        assert entry.name in BY_VALUE, "only what depends on values cannot be traced"


# ---- what it takes and gives -----------------------------------------------------------------------------------------


def test_gradients_have_the_structure_of_the_arguments():
    parameters = {"first": [W1, (W2,)], "bias": np.zeros(1)}

    def loss(p, x):
        return np.sum((np.tanh(x @ p["first"][0]) @ p["first"][1][0] + p["bias"]) ** 2)

    text = round_trip(loss, (parameters, X))
    assert "p['first'][0]" in text
    round_trip(loss, (parameters, X), (1, 0))
    round_trip(loss, (parameters, X), (1,))


def test_captured_arrays_are_required_arguments_under_their_own_names():
    targets = np.eye(3)[[0, 1, 2, 0, 1, 2, 0]]

    def loss(w):
        return np.sum((X @ w - targets) ** 2)

    text = round_trip(loss, (np.ones((3, 3)),))
    assert "def backprop(w, X, targets):" in text
    assert text.captured.keys() == {"X", "targets"}
    with pytest.raises(TypeError, match="targets"):
        text.function(np.ones((3, 3)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("layers", "loss"),
    [
        (lambda d: [nn.Linear(3, 4, dtype=d), nn.ReLU(), nn.Linear(4, 1, dtype=d), nn.Sigmoid()], nn.MSELoss()),
        (lambda d: [nn.Linear(3, 4, dtype=d), nn.GELU(), nn.Linear(4, 1, dtype=d)], nn.BCEWithLogitsLoss()),
        (lambda d: [nn.Linear(3, 4, dtype=d), nn.LayerNorm(4, dtype=d), nn.Linear(4, 1, dtype=d)], nn.HuberLoss()),
    ],
)
def test_a_module_with_its_loss(dtype: Any, layers: Any, loss: Any):
    model = nn.Sequential(*layers(dtype))
    x, y = X.astype(dtype), (Y > 0).astype(dtype)

    def f(x, y):
        return loss(model(x), y)

    text = ag.backprop_source(f, x, y, argnums=None)
    assert imports(text) == {"numpy"}
    value, gradients = text.function(x, y, **text.captured)
    eager = f(x, y)
    eager.backward()
    tolerance = 1e-12 if dtype is np.float64 else 1e-6
    np.testing.assert_allclose(value, eager.data, rtol=tolerance)
    assert value.dtype == dtype
    assert list(gradients) == [name for name, _ in model.named_parameters()]
    for name, parameter in model.named_parameters():
        assert gradients[name].dtype == dtype
        np.testing.assert_allclose(gradients[name], parameter.grad, rtol=tolerance, atol=tolerance)


def test_a_convolutional_network_is_printed_with_the_functions_it_needs():
    d = np.float64
    convolution = nn.Conv2d(1, 2, 3, dtype=d)
    model = nn.Sequential(convolution, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 3, dtype=d))
    x, y = RNG.standard_normal((2, 1, 8, 8)), np.array([2, 0])
    criterion = nn.CrossEntropyLoss()
    text = ag.backprop_source(lambda x, y: criterion(model(x), y), x, y, argnums=None)
    assert imports(text) == {"numpy"}
    criterion(model(x), y).backward()
    _, gradients = text.function(x, y, **text.captured)
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(gradients[name], parameter.grad, rtol=1e-12, atol=1e-14)


def test_without_captured_parameters_there_is_nothing_to_differentiate():
    with pytest.raises(TypeError, match="captures no parameters"):
        ag.backprop_source(lambda x: np.sum(x), X, argnums=None)


def test_a_users_own_primitive_is_taken_apart_or_copied():
    @ag.primitive
    def cube(x):
        return x * x * x

    cube.def_rule(lambda g, y, x: g * 3 * x * x)
    assert "x * x * x" in round_trip(lambda x: np.sum(cube(x) * 2), (X,))


@ag.primitive
def halves(x):
    result = np.zeros(x.shape)
    result[:2] = x[:2] / 2
    return result


halves.def_rule(lambda g, y, x: halves(g))


def test_a_body_that_writes_into_arrays_is_copied_as_code():
    assert "def _halves(x):" in round_trip(lambda x: np.sum(halves(x) * x), (X,))


# ---- never a wrong answer --------------------------------------------------------------------------------------------


def test_other_shapes_and_dtypes_are_refused_by_name():
    function = ag.backprop_source(xor, W1, W2, X, Y, argnums=(0, 1)).function
    with pytest.raises(ValueError, match=r"X is float64\[6, 3\], and this derivation is for float64\[7, 3\]"):
        function(W1, W2, X[:6], Y[:6])
    with pytest.raises(ValueError, match=r"X is int64"):
        function(W1, W2, X.astype(int), Y)
    with pytest.raises(ValueError, match="W2 is float32"):
        function(W1, W2.astype(np.float32), X, Y)


def test_an_argument_that_is_no_array_must_be_the_one_it_was_derived_for():
    text = round_trip(lambda x, axis, keep: np.sum(np.max(x, axis=axis, keepdims=keep)), (X, 1, True))
    with pytest.raises(ValueError, match="axis must be 1"):
        text.function(X, 0, True)
    with pytest.raises(ValueError, match="keep must be True"):
        text.function(X, 1, False)


def test_arguments_may_have_any_names():
    def loss(array, shape, name, dtype):
        return np.sum(array * shape + name / dtype)

    round_trip(loss, (X, Y, X + 9, Y + 9), (0, 1, 2, 3))


def test_gradients_are_the_callers_own():
    def loss(a, b):
        return np.sum(a * b) + np.sum(a)

    a, b = X.copy(), X.copy()
    _, (d_a, d_b) = ag.backprop_source(loss, a, b, argnums=(0, 1)).function(a, b)
    for mine in (d_a, d_b):
        assert mine.flags.writeable
        assert not any(np.shares_memory(mine, each) for each in (a, b))
    _, (d_a, d_b) = ag.backprop_source(lambda a, b: np.sum(a + b), a, b, argnums=(0, 1)).function(a, b)
    d_a += 1
    assert (d_b == 1).all()


def test_what_is_not_used_gets_zeros():
    round_trip(lambda a, b: np.sum(a * 2), (X, Y), (0, 1))
    round_trip(lambda a: 3.0 * a, (2.0,))


def test_what_draws_random_numbers_is_refused():
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))
    with pytest.raises(NotImplementedError, match=r"draws random numbers.*model\.eval"):
        ag.backprop_source(lambda x: np.sum(model(x)), X.astype(np.float32), argnums=None)


def test_what_value_and_grad_refuses_is_refused():
    with pytest.raises(RuntimeError, match="only one real number"):
        ag.backprop_source(np.exp, X)
    with pytest.raises(TypeError, match="floating point"):
        ag.backprop_source(lambda n: np.sum(n * 1.0), np.arange(3))
    with pytest.raises(ValueError, match="argnums"):
        ag.backprop_source(np.sum, X, argnums=1)


# ---- how it is shown -------------------------------------------------------------------------------------------------


def test_tracebacks_show_the_lines():
    text = ag.backprop_source(xor, W1, W2, X, Y, argnums=(0, 1))
    try:
        text.function(None, W2, X, Y)
    except ValueError:
        shown = traceback.format_exc()
    assert '"<backprop xor>"' in shown
    assert '_check_argument("W1", W1, (3, 4), "float64")' in shown


def test_the_text_is_the_same_in_every_process():
    program = (
        "import numpy as np, autograd_lite as ag\n"
        "def f(a, b, c):\n    z = a * b + np.exp(c)\n    return np.sum(z * z / c)\n"
        "print(ag.backprop_source(f, *np.ones((3, 4)), argnums=(2, 0, 1)))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[1])},
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(texts) == 1


def test_every_line_of_the_way_back_tells_its_forward_line_and_every_line_its_shape():
    text = ag.backprop_source(xor, W1, W2, X, Y, argnums=(0, 1))
    forward, backward = text.split("    # forward\n")[1].split("    # backward\n")
    assert all(re.search(r"# \([\d, ]*\)$", line) for line in forward.splitlines() if "=" in line)
    assert all(re.search(r"# \([\d, ]*\)  from: ", line) for line in backward.splitlines() if " = " in line)


def test_a_common_subexpression_is_named_once():
    def f(x):
        return np.sum(np.exp(x) * np.exp(x))

    code = [line.partition("  # ")[0] for line in round_trip(f, (X,)).splitlines()]
    assert sum(line.count("np.exp(") for line in code) == 1


def test_infinities_and_nan_are_written_with_numpy():
    round_trip(lambda x: np.sum(np.where(x > -np.inf, x, np.nan) * x), (X,))
