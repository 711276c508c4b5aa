"""From a Program to a Scene: which boxes a picture has when modules, repetitions and excess are folded into one.

Every operation belongs to exactly one box, and every arrow of the scene is a use of a value between two boxes: a folded
picture is the whole one with some boxes laid on top of each other. Three things fold, in this order:

  depth    frames deeper than `depth` become one box each;
  repeats  blocks that follow one another and differ only in numbers in their names are shown once, with a count;
  most     what still has too many boxes is folded to a smaller depth, and at last into runs of operations.

Read next: `repetitions.py` (which blocks are equal), `pictures.py` (how a scene is written down).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from typing import TypeAlias

from .program import BACKWARD, Operation, Program, Variable
from .rendering import spoken
from .repetitions import TIMES, Unit, called, common, repeated, side_by_side

FEW = 60  # operations: a picture of so few is drawn as it is


@dataclass(eq=False)
class Box:
    """One node of a picture: a leaf, an operation, or several of them; `shown` is the variable it is named after.

    `times` says how many equal ones lie on top of each other, `title` is what a folded box is called.
    """

    shown: Variable
    scope: tuple[str, ...]
    operations: list[Operation] = field(default_factory=list)
    leaves: list[Variable] = field(default_factory=list)
    times: int = 1
    title: str = ""

    @property
    def name(self) -> str:
        """Its identity in the picture: the name of the variable that it shows, which no other box has."""
        return self.shown.name

    @property
    def operation(self) -> Operation | None:
        """The operation that it shows, if it shows one."""
        return self.operations[0] if self.operations and not self.title else None

    @property
    def back(self) -> bool:
        """Whether it belongs to the way back."""
        return self.scope[:1] == (BACKWARD,)


@dataclass(frozen=True, slots=True)
class Link:
    """The use of a value, from the box that makes it to the box that uses it; `again` leads to a next repetition."""

    tail: Box
    head: Box
    variable: Variable
    several: bool
    again: bool


@dataclass
class Scene:
    """The boxes of a picture in order, the links that lead into each, what frames are called, what was folded."""

    program: Program
    boxes: list[Box]
    links: dict[Box, list[Link]]
    titles: dict[tuple[str, ...], str]
    hidden: set[Variable]
    note: str
    place: dict[Variable, Box]


def leaves(program: Program) -> Iterable[Variable]:
    """The variables that no operation makes."""
    return (*program.inputs, *program.captured)


def fold(program: Program, depth: int | None = None, repeats: bool | None = None, most: int | None = 200) -> Scene:
    """The scene of a program, its frames folded below `depth`, equal blocks merged (None: if there are more than a few
    operations), and not many more than `most` boxes (None: however many). Where nothing is asked for, the way back of
    more than a few operations is folded to modules."""
    automatic = repeats is None and depth is None
    if repeats is None:
        repeats = len(program.operations) > FEW
    scene = _scene(program, (depth, depth), repeats, 0)
    if scene.note and depth is not None:
        scene.note = scene.note.removesuffix(".") + ", and a greater depth."
    deepest = max((_depth(each.scope) for each in scene.boxes), default=0)
    if automatic and len(scene.boxes) > FEW and any(each.back for each in scene.boxes):
        for shallower in range(deepest, 0, -1):
            scene = _scene(program, (None, shallower), repeats, 0)
            if len(scene.boxes) <= FEW:
                break
    if most is None or len(scene.boxes) <= most:
        return scene
    for shallower in range(min(deepest, depth or deepest) - 1, 0, -1):
        scene = _scene(program, (shallower, shallower), repeats, 0)
        if len(scene.boxes) <= most:
            return scene
    shallowest = (1, 1) if deepest else (None, None)  # no repeats now: small blocks would cut the runs short
    units = sum(bool(each.operations) for each in _scene(program, shallowest, False, 0).boxes)
    return _scene(program, shallowest, False, max(2, -(-2 * units // most)))


def _depth(scope: tuple[str, ...]) -> int:
    return len(scope) - (scope[:1] == (BACKWARD,))


# ---- which operations share a box ------------------------------------------------------------------------------------


Depths: TypeAlias = tuple[int | None, int | None]  # down to which frames are shown, on the way forward and back


def _scene(program: Program, depths: Depths, repeats: bool, run: int) -> Scene:
    units = _visits(program, depths)
    copies: list[list[Unit]] = [[each] for each in units]
    titles: dict[tuple[str, ...], str] = {}
    merged = ""
    if repeats:
        copies, titles = repeated(units, program)
        copies = side_by_side(copies, titles, program)
        largest = max(map(len, copies), default=1)
        merged = f", equal blocks drawn once (up to {TIMES}{largest:,})" * (largest > 1)
    if run:
        copies = _runs(copies, run)
    hidden = {each for each in program.captured if _inline(each, program)}
    boxes: list[Box] = []
    place: dict[Variable, Box] = {}
    for group in copies:
        unit = group[0]
        operations = [operation for each in group for operation in each.operations]
        box = Box(unit.operations[-1].outputs[0], unit.scope, operations, times=len(group), title=unit.title)
        boxes.append(box)
        for operation in operations:
            place.update(dict.fromkeys(operation.outputs, box))
    tops = _leaf_boxes(program, copies, hidden, place)
    scene = Scene(program, [*tops, *boxes], {}, titles, hidden, "", place)
    _link(scene)
    folded = sum(len(each.operations) - 1 for each in boxes)
    if folded:
        shown = f"{len(program.operations):,} operations in {len(boxes):,} boxes"
        scene.note = f"{shown}{merged}. To see them all: fold=False."
    return scene


def _visits(program: Program, depths: Depths) -> list[Unit]:
    """Single operations, and one unit for every stay in a frame that lies too deep."""
    units: list[Unit] = []
    for scope, group in groupby(program.operations, key=lambda each: each.scope):
        stay = list(group)
        back = scope[:1] == (BACKWARD,)
        depth = depths[back]
        outer = scope if depth is None else scope[: depth + back]
        if depth is None or _depth(scope) < depth or not outer:
            units += [Unit([each], scope) for each in stay]
        elif units and units[-1].title and (*units[-1].scope, units[-1].title) == (*outer[:-1], called(outer)):
            units[-1].operations += stay
        else:
            units.append(Unit(stay, outer[:-1], called(outer)))
    return units


def _runs(copies: list[list[Unit]], length: int) -> list[list[Unit]]:
    """Runs of `length` units that stand in one frame, each as one unit."""
    runs = []
    for scope, group in groupby(copies, key=lambda each: each[0].scope):
        members = list(group)
        for start in range(0, len(members), length):
            part = [unit for copy in members[start : start + length] for unit in copy]
            operations = [operation for unit in part for operation in unit.operations]
            names = list(dict.fromkeys(spoken(each.primitive) for each in operations))
            title = ", ".join(names[:4]) + ", …" * (len(names) > 4)
            runs.append([Unit(operations, scope, title) if len(part) > 1 else part[0]])
    return runs


# ---- leaves and links ------------------------------------------------------------------------------------------------


def _leaf_boxes(
    program: Program, copies: list[list[Unit]], hidden: set[Variable], place: dict[Variable, Box]
) -> list[Box]:
    """A box for every leaf that is not inside a folded one: parameters of equal blocks lie on top of each other."""
    users: dict[Variable, dict[Box, None]] = defaultdict(dict)
    first: dict[Variable, Variable] = {}
    homes: dict[Variable, tuple[str, ...]] = {}
    known = set(leaves(program))
    for group in copies:
        box = place[group[0].operations[0].outputs[0]]
        for unit in group:
            for operation, model in zip(unit.operations, group[0].operations, strict=True):
                for variable, shown in zip(operation.reads, model.reads, strict=True):
                    if variable in known:
                        users[variable][box] = None
                        if shown in known and variable.kind != "input":
                            first.setdefault(variable, first.get(shown, shown))
                        home = (*group[0].scope, group[0].title) if group[0].title else group[0].scope
                        if variable not in homes or not box.back:
                            homes[variable] = common((homes.get(variable, home), home))
    outputs = {each for each in program.outputs if isinstance(each, Variable)}
    tops: list[Box] = []
    for variable in sorted(leaves(program), key=lambda each: first.get(each, each) is not each):
        if variable in hidden:
            continue
        mine = [each for each in users[variable] if not each.back] or list(users[variable])
        shown = first.get(variable, variable)
        if len(mine) == 1 and mine[0].title and variable.kind != "input" and variable not in outputs:
            place[variable] = mine[0]
            mine[0].leaves.append(variable)
        elif shown is not variable and shown in place:
            place[variable] = place[shown]
            place[shown].times += 1
        else:
            home = homes.get(variable, ()) if variable.kind != "input" else ()
            place[variable] = Box(variable, home)
            tops.append(place[variable])
    rank = {variable: at for at, variable in enumerate(leaves(program))}
    return sorted(tops, key=lambda each: rank[each.shown])


def _link(scene: Scene) -> None:
    """Note every use of a value: one link each between single operations, one in all between folded ones."""
    order = {box: at for at, box in enumerate(scene.boxes)}
    for head in scene.boxes:
        links = scene.links[head] = []
        seen = set()
        for operation in head.operations:
            for variable in operation.reads:
                if variable in scene.hidden:
                    continue
                tail = scene.place[variable]
                if tail is head and head.title:
                    continue
                whole = not head.title and len(head.operations) == 1 and len(tail.operations) <= 1 and tail.times == 1
                if whole or tail not in seen:
                    several = len(tail.operations) == 1 and len(tail.operations[0].outputs) > 1
                    links.append(Link(tail, head, variable, several, order[tail] >= order[head]))
                    seen.add(tail)


def _inline(variable: Variable, program: Program) -> bool:
    """Whether a constant is a mere number, which is shown where it is used."""
    number = variable.kind == "constant" and variable.shape == () and not variable.given
    return number and variable not in program.outputs
