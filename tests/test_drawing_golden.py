"""The pictures of the documents' networks, held as DOT texts: a change of a picture is seen as a change of text.

`python -m tests.test_drawing_golden` writes the texts anew; look at the pictures before you commit them. Tooltips are
left out, because they tell line numbers.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autograd_lite as ag
import nn
from examples import abs_sin, heart, iris, lenet, mnist_ann, mnist_mat, mnist_relu, xor

from .test_drawing import drawn, parts

GOLDEN = Path(__file__).with_name("golden")


def ones(**shapes: tuple[int, ...]) -> dict[str, Any]:
    return {name: ag.tensor(np.full(shape, 0.5), requires_grad=True, name=name) for name, shape in shapes.items()}


def posted(loss: Callable[..., Any], x: tuple[int, ...], t: tuple[int, ...], **shapes: tuple[int, ...]) -> Any:
    """The loss of a document's own formulas, drawn to the end with the way back to its weights."""
    params = ones(**shapes)
    return ag.draw(lambda x, t: loss(x, t, **params), np.ones(x), np.ones(t), backward=True)


def layers(network: Callable[..., Any], criterion: Any, x: tuple[int, ...], t: Any) -> Any:
    """A document's network of layers, with its loss."""
    model = network(np.random.default_rng(0))
    return ag.draw(lambda x, t: criterion(model(x), t), np.ones(x, np.float32), t)


LABELS = np.array([1, 2])
PICTURES: dict[str, Callable[[], Any]] = {
    "xor_formulas": lambda: posted(xor.loss, (4, 3), (4, 1), W1=(3, 4), W2=(4, 1)),
    "xor": lambda: layers(xor.network, nn.MSELoss(), (4, 3), np.ones((4, 1), np.float32)),
    "mnist_ann_formulas": lambda: posted(
        mnist_ann.loss, (784, 1), (10, 1),
        W1=(128, 784), b1=(128, 1), W2=(64, 128), b2=(64, 1), W3=(10, 64), b3=(10, 1),
    ),
    "mnist_ann": lambda: layers(mnist_ann.network, nn.CrossEntropyLoss(), (2, 784), LABELS),
    "mnist_mat_formulas": lambda: posted(mnist_mat.loss, (1, 784), (1, 10), W1=(784, 20), W2=(20, 10)),
    "mnist_mat": lambda: layers(mnist_mat.network, nn.CrossEntropyLoss(), (2, 784), LABELS),
    "abs_sin_formulas": lambda: posted(abs_sin.loss, (9, 1), (9, 1), W1=(1, 10), W2=(10, 10), W3=(10, 1)),
    "abs_sin": lambda: layers(abs_sin.network, nn.MSELoss(), (9, 1), np.ones((9, 1), np.float32)),
    "heart_formulas": lambda: posted(heart.loss, (5, 13), (5, 1), W1=(13, 13), W2=(13, 1)),
    "heart": lambda: layers(heart.network, nn.BCEWithLogitsLoss(), (5, 13), np.ones((5, 1), np.float32)),
    "mnist_relu_formulas": lambda: posted(
        mnist_relu.loss, (2, 784), (2, 10), W1=(784, 300), b1=(300,), W2=(300, 75), b2=(75,), W3=(75, 10), b3=(10,)
    ),
    "mnist_relu": lambda: layers(mnist_relu.network, nn.CrossEntropyLoss(), (2, 784), LABELS),
    "lenet": lambda: layers(lenet.network, nn.CrossEntropyLoss(), (2, 1, 28, 28), LABELS),
    "iris_formulas": lambda: posted(iris.loss, (3, 4), (3, 3), W=(4, 3), b=(3,)),
}  # fmt: skip


def shown(graph: Any) -> str:
    """The DOT text without what depends on line numbers or on the rounding of sums."""
    graph.notes.values, graph.notes.complaints = {}, {}
    return re.sub(r' tooltip="(?:[^"\\]|\\.)*"', "", graph.source)


@pytest.mark.parametrize("name", PICTURES)
def test_the_picture_is_the_one_that_was_looked_at(name: str) -> None:
    graph = PICTURES[name]()
    text, wanted = shown(graph), (GOLDEN / f"{name}.dot").read_text(encoding="utf-8")
    change = "\n".join(difflib.unified_diff(wanted.splitlines(), text.splitlines(), lineterm=""))
    assert text == wanted, f"{change}\n(python -m tests.test_drawing_golden writes the texts anew)"


@pytest.mark.parametrize("name", PICTURES)
def test_each_node_and_use_stands_once_in_the_svg(name: str) -> None:
    graph = PICTURES[name]()
    svg = graph.svg()
    assert (len(parts(svg, "node")), len(parts(svg, "edge"))) == drawn(graph.program)


def test_no_text_is_left_over() -> None:
    assert {each.stem for each in GOLDEN.glob("*.dot")} == set(PICTURES)


def main() -> None:
    """Write the texts."""
    GOLDEN.mkdir(exist_ok=True)
    for name, make in PICTURES.items():
        part = GOLDEN / f"{name}.dot.part"
        part.write_text(shown(make()), encoding="utf-8")
        os.replace(part, GOLDEN / f"{name}.dot")


if __name__ == "__main__":
    main()
