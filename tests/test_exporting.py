"""ONNX: onnxruntime computes what NumPy does, for layers, networks, plain functions and each function with a rule."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import autograd_lite as ag
import nn
from tests.nn.cases import LAYERS, layer_input
from tests.op_cases import CASES, Case, function_of, specs

onnx = pytest.importorskip("onnx", reason='onnx is not installed: pip install "autograd-lite[onnx]"')
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install onnxruntime")
onnxruntime.set_default_logger_severity(4)  # what it cannot run raises; its warnings about odd models are no news


def run(model: Any, *arrays: Any) -> list[Any]:
    """What onnxruntime makes of the inputs."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, {each.name: a for each, a in zip(session.get_inputs(), arrays, strict=True)}))


def values(result: Any) -> list[Any]:
    """The arrays of a result."""
    parts = result if isinstance(result, (tuple, list)) else [result]
    return [each.detach().data if isinstance(each, ag.Tensor) else np.asarray(each) for each in parts]


def agree(f: Any, model: Any, *arrays: Any, atol: float = 1e-5) -> None:
    """Assert that the model computes what the function does, in the same shapes and dtypes."""
    with np.errstate(all="ignore"):
        wanted = values(f(*(ag.tensor(a) for a in arrays)))
    for found, want in zip(run(model, *arrays), wanted, strict=True):
        assert (found.shape, found.dtype) == (want.shape, want.dtype)
        assert_allclose(found, want, rtol=1e-5, atol=atol)


def sizes(value: Any) -> list[Any]:
    return [each.dim_param or each.dim_value for each in value.type.tensor_type.shape.dim]


# ---- layers, networks, plain functions ---------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "kind", "args", "settings", "shape"), LAYERS, ids=[case[0] for case in LAYERS])
def test_every_layer(name: str, kind: str, args: Any, settings: Any, shape: Any) -> None:
    layer = getattr(nn, kind)(*args, **settings).eval()
    for each in (*layer.parameters(), *layer.buffers()):
        if each.dtype.kind == "f":
            each.data = np.random.default_rng(0).uniform(0.5, 1.5, each.shape)
    x = layer_input(name, kind, shape)
    x = x.astype(np.float32) if x.dtype.kind == "f" else x
    one_image = name.endswith("_one")
    model = ag.export_onnx(layer, x, batch=() if one_image else (0,))
    agree(layer, model, x)
    if not one_image:
        assert sizes(model.graph.input[0])[0] == "batch"
        agree(layer, model, np.concatenate([x, x, x[:1]]))


NETWORKS = ["xor", "mnist_ann", "mnist_mat", "abs_sin", "heart", "mnist_relu", "lenet"]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_examples_network_with_its_names(name: str) -> None:
    rng = np.random.default_rng(0)
    network = importlib.import_module(f"examples.{name}").network(rng).eval()
    columns = (1, 28, 28) if name == "lenet" else next(network.parameters()).shape[1:]
    model = ag.export_onnx(network, rng.random((2, *columns), np.float32))
    assert {each.name for each in model.graph.initializer} >= {name for name, _ in network.named_parameters()}
    assert sizes(model.graph.output[0])[0] == "batch"
    for rows in (1, 9):
        agree(network, model, rng.random((rows, *columns), np.float32))


def test_iris_is_a_linear_layer() -> None:
    layer = nn.Linear(4, 3)
    agree(layer, ag.export_onnx(layer, np.ones((1, 4), np.float32)), np.ones((5, 4), np.float32))


@pytest.mark.parametrize("name", ["xor", "mnist_mat", "abs_sin", "heart", "mnist_relu", "lenet"])
def test_every_examples_plain_forward_function(name: str) -> None:
    module, rng = importlib.import_module(f"examples.{name}"), np.random.default_rng(0)
    if name == "lenet":
        params = {"K": rng.random((6, 5, 5)), "b": rng.random(6), "W": 0.01 * rng.random((6 * 24 * 24, 10))}
    elif name == "xor":
        params = {"W1": rng.random((3, 5)), "W2": rng.random((5, 1))}
    else:
        params = module.weights(rng)
    columns = (28, 28) if name == "lenet" else next(iter(params.values())).shape[:1]

    def forward(x: Any) -> Any:
        return module.forward(x, **params)

    model = ag.export_onnx(forward, rng.random((2, *columns)))
    assert {each.name for each in model.graph.initializer} >= params.keys()
    agree(forward, model, rng.random((7, *columns)), atol=1e-10)


def test_columns_of_samples_keep_a_fixed_batch() -> None:
    module, rng = importlib.import_module("examples.mnist_ann"), np.random.default_rng(0)
    params = module.weights(rng)
    args = (rng.random((784, 3)), *params.values())
    model = ag.export_onnx(module.forward, *args, batch=())
    assert [each.name for each in model.graph.input] == ["a0", *params]
    agree(module.forward, model, *args, atol=1e-10)


# ---- each function with a rule -----------------------------------------------------------------------------------

# Functions that ONNX has no words for, in all calls of their cases or in some: linear algebra, sorting, Fourier
# transforms, masks, special functions. Everything else must come out right.
REFUSED = set(
    """
    conjugate logaddexp2 arctan2 sinc i0 copysign spacing nextafter modf frexp ldexp astype nanmedian nancumprod cumprod
    cumulative_prod reshape ravel getitem setitem take_along_axis piecewise bincount diagonal diag diagflat trace sort
    partition median quantile percentile nanquantile nanpercentile convolve correlate inv solve slogdet cholesky eigh
    eigvalsh eig eigvals svd svdvals qr pinv tensorsolve tensorinv matrix_power norm matrix_norm cond pad fft ifft rfft
    ihfft irfft hfft fft2 ifft2 fftn ifftn rfft2 rfftn interp poly polyfit corrcoef
    """.split()
)
NO_TRACE = {"real_if_close", "trim_zeros", "lstsq", "polymul"}  # they ask for values


@pytest.mark.parametrize("entry", CASES.values(), ids=[entry.name for entry in CASES.values()])
def test_each_function(entry: Case) -> None:
    refused = []
    for one in entry.calls[:1]:
        arrays = [spec.array(np.random.default_rng(0)) for spec in specs(one)]
        f = function_of(entry, one)
        if any(each.dtype.kind == "c" for each in arrays) or 0 in (each.size for each in arrays):
            continue
        try:
            with np.errstate(all="ignore"):
                model = ag.export_onnx(f, *arrays, batch=())
        except NotImplementedError as error:
            refused.append(str(error))
            continue
        except TypeError:
            assert entry.name in NO_TRACE
            continue
        if any(0 in sizes(each) for each in model.graph.output):
            continue
        try:
            agree(f, model, *arrays)
        except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:  # for float64
            singles = [each.astype(np.float32) for each in arrays]
            agree(f, ag.export_onnx(f, *singles, batch=()), *singles, atol=2e-5)
    assert all(".py:" in each for each in refused)
    assert not refused or entry.name.partition(":")[0] in REFUSED, refused


def test_a_numpy_name_that_onnx_lacks_is_told_with_its_line() -> None:
    def angle(x: Any, y: Any) -> Any:
        return np.arctan2(y, x)

    here = Path(__file__).name
    with pytest.raises(NotImplementedError, match=rf"np.arctan2 \({here}:\d+: return np.arctan2\(y, x\)\) has no"):
        ag.export_onnx(angle, np.ones(3), np.ones(3), batch=(0, 1))


@ag.primitive
def resized(x: Any, times: int = 1) -> Any:
    return np.concatenate([x] * times)


resized.def_rule(lambda g, y, x, times=1: np.sum(np.reshape(g, (times, *x.shape)), axis=0))
resized.def_onnx(lambda graph, x: graph("Identity", x))  # it knows nothing of sizes


def softmax(x: Any, axis: Any) -> Any:
    powers = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return powers / np.sum(powers, axis=axis, keepdims=True)


@pytest.mark.parametrize(
    ("f", "kinds"),
    [
        (lambda x: np.argmax(x), "Reshape ArgMax"),
        (lambda x: np.argmin(x, keepdims=True), "Reshape ArgMin Reshape"),
        (lambda x: np.argmin(x, axis=0, keepdims=True), "ArgMin"),
        (lambda x: np.argmax(x, axis=1), "ArgMax"),
        (lambda x: np.concatenate([x, x], axis=None), "Reshape Reshape Concat"),
        (lambda x: x[:, None, 1:, None], "Slice Unsqueeze"),
        (lambda x: x[None, 1], "Slice Squeeze Unsqueeze"),
        (lambda x: x[None, np.array([1, 0]), None, 1:], "Slice Gather Unsqueeze"),
        (lambda x: np.dot(x[0, 0], x), "Slice Squeeze Mul"),
        (lambda x: np.var(x, axis=0, ddof=1), "ReduceMean Sub Mul ReduceMean Mul"),
        (lambda x: np.std(x, ddof=2, keepdims=True), "ReduceMean Sub Mul ReduceMean Mul Sqrt"),
        (lambda x: softmax(x, (1,)), "Softmax"),
        (lambda x: softmax(x, None), "Reshape Softmax Reshape"),
        (lambda x: (x + 1, 2.5, True), "Add Identity Identity"),
    ],
)
def test_further_ways_to_call(f: Any, kinds: str) -> None:
    x = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    model = ag.export_onnx(f, x, batch=())
    assert [node.op_type for node in model.graph.node] == kinds.split()
    agree(f, model, x)


@pytest.mark.parametrize(
    ("f", "told"),
    [
        (lambda x: softmax(x, (0, 1)), "softmax .*runs over several axes"),
        (lambda x: np.reshape(x, (3, 4), order="F"), "np.reshape .*order='F' has no counterpart"),
        (lambda x: np.abs(x * np.array([1j, 2, 3])), "np.multiply .*holds complex128, which ONNX lacks"),
        (lambda x: np.real(x.astype(np.complex64)), "astype .*computes in complex64, which ONNX lacks"),
        (
            lambda x: resized(x, times=2),
            r"resized .*called in a way that has no counterpart in ONNX \(.*times",
        ),
    ],
)
def test_what_onnx_has_no_word_for_is_refused(f: Any, told: str) -> None:
    with pytest.raises(NotImplementedError, match=f"^export_onnx: {told}"):
        ag.export_onnx(f, np.ones((4, 3), np.float32), batch=())


# ---- the batch ---------------------------------------------------------------------------------------------------


def test_sizes_that_follow_the_batch() -> None:
    def f(x: Any) -> Any:
        pairs = x.reshape(len(x) * 3, -1)
        spread = np.broadcast_to(np.sum(x, axis=0), (len(x), 3, 2))
        return pairs, spread, np.sum(x) / len(x), np.reshape(x, (2, len(x), 3)), x, 2 * len(x)

    model = ag.export_onnx(f, np.ones((4, 3, 2)))
    assert [sizes(each) for each in model.graph.output][:2] == [["3*batch", 2], ["batch", 3, 2]]
    for rows in (1, 6):
        agree(f, model, np.random.default_rng(0).random((rows, 3, 2)))


def test_two_batched_arguments_and_a_dictionary() -> None:
    def f(x: Any, p: Any, y: Any) -> Any:
        return {"out": x @ p["w"] - y}

    arrays = [np.random.default_rng(0).random(shape) for shape in ((4, 3), (3, 2), (4, 2))]
    model = ag.export_onnx(f, arrays[0], {"w": arrays[1]}, arrays[2], batch=(0, 2))
    assert [(each.name, *sizes(each)) for each in model.graph.input] == [
        ("x", "batch", 3),
        ("w", 3, 2),
        ("y", "batch", 2),
    ]
    x, y = np.ones((7, 3)), np.ones((7, 2))
    assert_allclose(run(model, x, arrays[1], y)[0], x @ arrays[1] - y)


@pytest.mark.parametrize(
    ("f", "told"),
    [
        (lambda x: x[: len(x) // 2], "follows|uses 2 for 5 rows and 3 for 7|depends on the number of rows"),
        (lambda x: x / (len(x) - 1), "uses 4 for 5 rows and 6 for 7"),
        (lambda x: x * np.arange(len(x))[:, None], "depends on the number of rows"),
        (lambda x: np.exp(x) if len(x) > 5 else np.sin(x), "another operation for another number of rows"),
        (lambda x: np.sum(x, axis=None if len(x) == 5 else (0, 1)), "np.sum .*another operation for another number"),
        (
            lambda x: np.lib.stride_tricks.sliding_window_view(x, 2, axis=0),
            "sliding_window_view .*depends on the number",
        ),
        (lambda x: sum((x * k for k in range(len(x))), x), "something else for another number of rows"),
    ],
)
def test_what_follows_the_batch_otherwise_is_refused(f: Any, told: str) -> None:
    with pytest.raises(NotImplementedError, match=told):
        ag.export_onnx(f, np.ones((4, 2)))


def test_a_batch_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"batch=\(1,\) names an argument that is not there"):
        ag.export_onnx(np.exp, np.ones(3), batch=(1,))
    with pytest.raises(ValueError, match=r"an array of shape \(\) has no batch axis"):
        ag.export_onnx(np.exp, np.array(3.0))


# ---- modules and users' own functions ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "told"), [(nn.Dropout(0.5), "random"), (nn.BatchNorm1d(2), "writes to num_batches_tracked")]
)
def test_a_module_in_training_is_refused(layer: nn.Module, told: str) -> None:
    with pytest.raises(NotImplementedError, match=rf"{told}.*model.eval\(\)"):
        ag.export_onnx(layer, np.ones((3, 2), np.float32))


def test_a_users_own_function_is_taken_apart_or_has_its_form() -> None:
    @ag.primitive
    def celu(x: Any) -> Any:
        return np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1)

    x = np.linspace(-2, 2, 8, dtype=np.float32)
    model = ag.export_onnx(celu, x)
    assert {node.op_type for node in model.graph.node} >= {"Where", "Exp"}
    agree(celu, model, x)
    celu.def_onnx(lambda graph, x: graph("Celu", x))
    model = ag.export_onnx(celu, x)
    assert [node.op_type for node in model.graph.node] == ["Celu"]
    agree(celu, model, x)


def test_scopes_and_names_are_kept() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            self.hidden = nn.Sequential(nn.Linear(3, 4), nn.GELU())

        def forward(self, features: Any) -> Any:
            hidden = self.hidden(features)
            score = np.sum(hidden, axis=1)
            return score

    model = ag.export_onnx(Net(), np.ones((2, 3), np.float32))
    assert [each.name for each in model.graph.output] == ["score"]
    assert {each.name for each in model.graph.initializer} >= {"hidden.0.weight", "hidden.0.bias"}
    assert any(node.name.startswith("/hidden/1/") for node in model.graph.node)


def test_the_file_is_the_model(tmp_path: Path) -> None:
    model = ag.export_onnx(nn.Linear(2, 1), np.ones((1, 2), np.float32), path=tmp_path / "linear.onnx")
    onnx.checker.check_model(str(tmp_path / "linear.onnx"), full_check=True)
    assert onnx.load(tmp_path / "linear.onnx") == model
    assert [each.name for each in tmp_path.iterdir()] == ["linear.onnx"]


def test_without_onnx_the_call_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "autograd-lite\[onnx\]"'):
        ag.export_onnx(np.exp, np.ones(2))
