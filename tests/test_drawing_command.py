"""`python -m autograd_lite draw`: what it writes, and what it says about what cannot be drawn."""

from __future__ import annotations

import contextlib
import re
import runpy
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import autograd_lite as ag
import nn
from autograd_lite.__main__ import main


@pytest.fixture(autouse=True)
def _subjects(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module with things to draw, and things that cannot be."""
    module = ModuleType("subjects")
    x = np.ones((2, 3), np.float32)
    layer = nn.Linear(3, 1, rng=np.random.default_rng(0))
    module.pair = (layer, x)  # type: ignore[attr-defined]  # a module made here has what is put into it
    module.layer = layer  # type: ignore[attr-defined]
    module.make = lambda: (layer, x)  # type: ignore[attr-defined]
    module.program = ag.trace(np.exp, x)  # type: ignore[attr-defined]
    module.tensor = np.exp(ag.tensor(x, requires_grad=True))  # type: ignore[attr-defined]
    module.Holder = type("Holder", (), {"inner": (np.exp, x)})  # type: ignore[attr-defined]
    module.nested = (nn.Sequential(nn.Sequential(layer, nn.Linear(1, 1))), x)  # type: ignore[attr-defined]
    module.number = 3  # type: ignore[attr-defined]
    module.silent = max  # type: ignore[attr-defined]
    module.needs = lambda rng, size: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "subjects", module)


@pytest.mark.parametrize("name", ["pair", "make", "program", "tensor", "Holder.inner"])
def test_what_can_be_drawn(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "graph.dot"
    assert main(["draw", f"subjects:{name}", "-o", str(path)]) == 0
    assert path.read_text().startswith("digraph ")
    assert capsys.readouterr().out == f"{path}: 1 operations\n"


def test_document_1s_network_as_a_page(tmp_path: Path) -> None:
    path = tmp_path / "graph.html"
    assert main(["draw", "examples.xor:model", "-o", str(path), "--backward", "--formulas"]) == 0
    text = path.read_text(encoding="utf-8")
    assert "gradient " in text


@pytest.mark.parametrize(
    ("name", "gradient", "operation"),
    [
        ("mnist_ann", "d_W3", "@ a2"),
        ("mnist_mat", "d_W2", "a1 @ W2"),
        ("abs_sin", "d_W3", "a2 @ W3"),
        ("heart", "d_W2", "a1 @ W2"),
        ("mnist_relu", "d_b3", "a2 @ W3"),
        ("iris", "d_b", "X @ W"),
        ("lenet", "11.bias", "convolution(x, 0.weight, 0.bias)"),  # its way back is folded to modules
    ],
)
def test_every_example_has_a_model_to_draw(name: str, gradient: str, operation: str, tmp_path: Path) -> None:
    path = tmp_path / "graph.dot"
    assert main(["draw", f"examples.{name}:model", "-o", str(path), "--backward"]) == 0
    text = path.read_text(encoding="utf-8")
    assert re.search(rf"\b{re.escape(gradient)}\b", text)
    assert operation in text
    assert not re.search(r"\bd_(x|X|y|t|a0)\b", text), "the data's gradients are nobody's business"


def test_the_way_back_alone(tmp_path: Path) -> None:
    path = tmp_path / "graph.dot"
    assert main(["draw", "examples.xor:model", "-o", str(path), "--backward", "only"]) == 0
    text = path.read_text(encoding="utf-8")
    assert "d_W1" in text
    assert "X @ W1" not in text


def test_the_format_may_differ_from_the_name(tmp_path: Path) -> None:
    path = tmp_path / "graph"
    assert main(["draw", "subjects:pair", "-o", str(path), "--format", "dot"]) == 0
    assert path.read_text().startswith("digraph ")


def test_depth_folds(tmp_path: Path) -> None:
    plain, folded = tmp_path / "plain.dot", tmp_path / "folded.dot"
    assert main(["draw", "subjects:nested", "-o", str(plain)]) == 0
    assert main(["draw", "subjects:nested", "-o", str(folded), "--depth", "1"]) == 0
    assert plain.read_text().count("label=linear") + plain.read_text().count('label="linear') == 2
    assert folded.read_text().count("shape=folder") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["subjects"], "write MODULE:OBJECT"),
        (["nowhere_at_all:x"], "no module 'nowhere_at_all'"),
        (["subjects:pare"], "nearest name is 'pair'"),
        (["subjects:number"], "type int"),
        (["subjects:needs"], "needs rng, size"),
        (["subjects:silent"], "does not tell its parameters"),
        (["subjects:layer"], "without example inputs"),
        (["subjects:pair", "-o", "x.jpg"], "must end in one of svg"),
        (["subjects:pair", "-o", "/dev/null/x.dot"], "cannot be written: File exists"),
        (["subjects:program", "--backward", "-o", "x.dot"], "draw the function itself"),
        (["subjects:pair", "--depth", "0", "-o", "x.dot"], "1 or more"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_one_line(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["draw", *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("module", "words"), [("autograd_lite", "draw"), ("autograd_lite.rules", "np.exp")])
def test_it_runs_as_a_command(
    module: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, f"{module}.__main__", raising=False)
    monkeypatch.setattr(sys, "argv", ["python", "--help"])
    with contextlib.suppress(SystemExit):
        runpy.run_module(module, run_name="__main__")
    assert words in capsys.readouterr().out
