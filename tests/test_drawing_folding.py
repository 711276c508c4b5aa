"""Folded pictures: what lies in which box, what is said about it, and how long it takes."""

from __future__ import annotations

import re
import time
from typing import Any

import numpy as np
import pytest

import autograd_lite as ag
import nn
from autograd_lite.drawing import Graph
from autograd_lite.folding import Scene, fold
from autograd_lite.program import Variable

from .test_drawing import parts, words


class Block(nn.Module):
    """x + b(tanh(a(x)))."""

    def __init__(self, rng: np.random.Generator, width: int = 8) -> None:
        self.a, self.b = nn.Linear(8, width, rng=rng), nn.Linear(width, 8, rng=rng)

    def forward(self, x: Any) -> Any:
        return x + self.b(np.tanh(self.a(x)))


def tower(count: int = 12, widths: Any = None) -> nn.Module:
    rng = np.random.default_rng(0)
    blocks = [Block(rng, width) for width in (widths or [16] * count)]
    return nn.Sequential(nn.Linear(4, 8, rng=rng), nn.Sequential(*blocks), nn.Linear(8, 1, rng=rng))


X = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)


def check(scene: Scene) -> None:
    """Every operation stands in one box, every leaf too, and the links are exactly the uses between boxes."""
    program = scene.program
    inside = [operation for box in scene.boxes for operation in box.operations]
    assert len(inside) == len(set(inside))
    assert set(inside) == set(program.operations)
    leaves = {*program.inputs, *program.captured} - scene.hidden
    assert leaves <= set(scene.place)
    assert len({box.name for box in scene.boxes}) == len(scene.boxes)
    assert set(scene.place.values()) == set(scene.boxes)
    wanted = set()
    for operation in program.operations:
        head = scene.place[operation.outputs[0]]
        for each in (*operation.inputs, *operation.settings.values()):
            if isinstance(each, Variable) and each not in scene.hidden:
                tail = scene.place[each]
                if not (tail is head and head.title):
                    wanted.add((tail, head))
    assert {(link.tail, link.head) for links in scene.links.values() for link in links} == wanted


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("depth", [None, 1, 2, 3])
@pytest.mark.parametrize("repeats", [False, True])
@pytest.mark.parametrize("most", [None, 30, 10])
def test_a_folded_picture_is_the_whole_one_laid_together(
    backward: bool, depth: int | None, repeats: bool, most: int | None
) -> None:
    program = ag.draw(tower(), X, backward=backward).program
    check(fold(program, depth, repeats, most))


def late(x: Any, chains: int = 4) -> Any:
    """Equal chains, each of which starts a step later than the one before: no block follows its like."""
    functions = (np.exp, np.sin, np.tanh, np.cos, np.arctan)
    h = [x] * chains
    for moment in range(len(functions) + chains - 1):
        for i in range(chains):
            if 0 <= moment - i < len(functions):
                h[i] = functions[moment - i](h[i])
    return np.stack(h)


@pytest.mark.parametrize("backward", [False, True])
def test_equal_chains_side_by_side_are_drawn_once_in_whatever_order_they_were_computed(backward: bool) -> None:
    scene = ag.draw(late, X, fold=True, backward=backward).scene()
    check(scene)
    forward = [(box.operation.primitive.name, box.times) for box in scene.boxes if box.operations and not box.back]
    assert forward[:5] == [(name, 4) for name in ("exp", "sin", "tanh", "cos", "arctan")]
    assert not any(link.again for links in scene.links.values() for link in links)
    assert "up to \N{MULTIPLICATION SIGN} 4" in scene.note


def test_chains_that_differ_stay_apart() -> None:
    def f(x: Any) -> Any:
        a, b, c = np.exp(x), np.sin(x), np.exp(x * 2)
        return np.tanh(a) + np.cos(b) + np.tanh(c)

    scene = ag.draw(f, X, fold=True).scene()
    assert {box.times for box in scene.boxes} == {1}


def test_two_equal_chains_are_drawn_once() -> None:
    def f(x: Any) -> Any:
        a, b = np.exp(x), np.sin(x)
        c = np.exp(x)
        return np.tanh(a) * np.cos(b) + np.tanh(c)

    scene = ag.draw(f, X, fold=True).scene()
    check(scene)
    assert [box.times for box in scene.boxes if box.operations] == [2, 1, 2, 1, 1, 1]
    assert "equal blocks drawn once (up to \N{MULTIPLICATION SIGN} 2)" in scene.note


def test_heads_that_are_computed_in_turns_share_a_frame() -> None:
    rng = np.random.default_rng(0)

    class Heads(nn.Module):
        def __init__(self) -> None:
            self.heads = nn.ModuleList([nn.Linear(4, 4, rng=rng) for _ in range(3)])

        def forward(self, x: Any) -> Any:
            a = self.heads[0](x)
            b = self.heads[1](x)
            d = np.exp(x)
            c = self.heads[2](x)
            return np.tanh(a) + np.tanh(b) + d + np.tanh(c)

    scene = ag.draw(Heads(), X, fold=True).scene()
    check(scene)
    assert list(scene.titles.values()) == ["heads.0 … heads.2 \N{MULTIPLICATION SIGN} 3"]
    assert {box.name: box.times for box in scene.boxes if box.times > 1}.keys() >= {"tanh"}


def test_equal_blocks_are_drawn_once() -> None:
    scene = ag.draw(tower(12), X, fold=True).scene()
    assert sorted(scene.titles.values()) == ["1.0 … 1.11 \N{MULTIPLICATION SIGN} 12"]
    counts = {box.name: box.times for box in scene.boxes}
    assert counts.pop("p1_0_a_weight") == 12
    assert sum(box.times == 12 for box in scene.boxes) == 8  # a block's four operations and four parameters
    assert "p1_3_a_weight" not in counts


def test_the_way_back_shows_the_block_that_the_way_forward_shows() -> None:
    scene = ag.draw(tower(12), X, backward=True, fold=True).scene()
    assert len(set(scene.titles.values())) == 1
    assert len(scene.titles) == 2
    shown = {box.name for box in scene.boxes}
    assert {"d_1_0_a_weight", "p1_0_a_weight"} <= shown
    assert not {"d_1_11_a_weight", "p1_11_a_weight"} & shown


@pytest.mark.parametrize("count", [1, 2])
def test_two_blocks_are_not_many(count: int) -> None:
    assert ag.draw(tower(count), X, fold=True).scene().titles == {}


def test_blocks_that_differ_stay_apart() -> None:
    scene = ag.draw(tower(widths=[8, 16, 8, 16, 24]), X, fold=True).scene()
    assert all(box.times == 1 for box in scene.boxes)


@pytest.mark.parametrize("number", [float, np.array])
def test_constants_of_different_value_stay_apart(number: Any) -> None:
    def f(x: Any) -> Any:
        for factor in (2.0, 3.0, 2.0, 5.0, 2.0, 7.0):
            x = np.tanh(x) * number(factor)
        return x

    assert all(box.times == 1 for box in ag.draw(f, X, fold=True).scene().boxes)


def test_a_small_picture_is_left_whole_unless_asked() -> None:
    def f(x: Any) -> Any:
        for _ in range(6):
            x = np.tanh(x)
        return x

    assert len(ag.draw(f, X).scene().boxes) == 7
    assert len(ag.draw(f, X, fold=True).scene().boxes) == 2
    assert "\N{MULTIPLICATION SIGN} 6" in ag.draw(f, X, fold=True).source


def test_modules_fold_to_a_depth_and_are_named_as_in_the_code() -> None:
    titles = [box.title for box in ag.draw(tower(2), X, depth=1).scene().boxes if box.title]
    assert titles == ["0", "1", "2"]
    titles = [box.title for box in ag.draw(tower(2), X, depth=2).scene().boxes if box.title]
    assert titles == ["1.0", "1.1"]
    svg = ag.draw(tower(2), X, depth=2).svg()
    shown = [words(each) for each in parts(svg, "node")]
    assert ["1.0", "4 operations, 4 parameters", "float32[5, 8]"] in shown


def test_what_was_folded_is_said_and_how_to_unfold_it() -> None:
    graph = ag.draw(tower(12), X, depth=1)
    assert "50 operations in 3 boxes. To see them all: fold=False, and a greater depth." in graph.source
    unfolded = ag.draw(tower(12), X, fold=False)
    assert "To see them all" not in unfolded.source
    assert len(unfolded.scene().boxes) == len(unfolded.program.operations) + 1 + 2 * 26


OPERATIONS = [np.exp, np.sin, np.cos, np.tanh, np.arctan, np.square, np.negative]


def scattered(x: Any) -> Any:
    for i in np.random.default_rng(0).integers(0, 7, 10_000):
        x = OPERATIONS[i](x)
    return x


def repeated(x: Any) -> Any:
    for _ in range(5000):
        x = np.tanh(x) * 0.1
    return x


@pytest.mark.parametrize("f", [scattered, repeated])
def test_ten_thousand_operations_fold_in_time(f: Any) -> None:
    with np.errstate(all="ignore"):
        program = ag.trace(f, np.ones(3))
    assert len(program.operations) == 10_000
    start = time.process_time()
    graph = Graph(program)
    source = graph.source
    assert time.process_time() - start < 1
    check(graph.scene())
    assert len(graph.scene().boxes) <= 200
    assert "10,000 operations in" in source
    Graph(ag.trace(np.exp, np.ones(3))).svg()  # the renderer starts once in a process
    start = time.process_time()
    picture = graph.svg()
    assert time.process_time() - start < 3
    assert len(parts(picture, "node")) == len(graph.scene().boxes)


def test_the_cap_holds_with_the_way_back_where_nothing_repeats() -> None:
    def f(x: Any) -> Any:
        for i in np.random.default_rng(0).integers(0, 5, 500):
            x = OPERATIONS[i](x)
        return np.sum(x)

    with np.errstate(all="ignore"):
        graph = ag.draw(f, np.ones(3), backward=True, most=60)
    assert len(graph.program.operations) > 1000
    check(graph.scene())
    assert len(graph.scene().boxes) <= 60


def test_folded_nodes_and_edges_each_stand_once_in_the_svg() -> None:
    graph = ag.draw(tower(12), X, fold=True, backward=True)
    svg, scene = graph.svg(), graph.scene()
    nodes = [each.findtext("{http://www.w3.org/2000/svg}title") for each in parts(svg, "node")]
    assert sorted(map(str, nodes)) == sorted(box.name for box in scene.boxes)
    assert len(parts(svg, "edge")) == sum(map(len, scene.links.values()))


def test_the_same_text_every_time() -> None:
    first, second = (ag.draw(tower(), X, backward=True, most=12).source for _ in range(2))
    assert first == second
    ids = re.findall(r"^\s*(\w+) \[label", first, re.M)
    assert len(ids) == len(set(ids))
