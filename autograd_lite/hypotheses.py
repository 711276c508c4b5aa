"""What the search for mistakes handles: gradients to be explained, mistakes that may have been made, hypotheses.

Read next: `search.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from .anatomy import Network
from .mistakes.base import Mistake, Place
from .program import Variable
from .recording import Array
from .sites import Gradients, Overrides, Rule, Site

ALIKE = 0.35  # explanations whose costs differ by less are told together
WAYS = 8  # of the same gradients in other words, those that are kept
_AGAIN = 0.03  # what "everywhere" costs beyond one place
_RANK = 0.002  # a commoner mistake is the cheaper explanation
_DEARER = 0.25  # by how much one way may be dearer than another of the same gradients


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A mistake made at some places, with the coefficient of a free one."""

    mistake: Mistake
    places: tuple[Place, ...]
    c: float = 1.0

    @property
    def cost(self) -> float:
        """How dear it is as an explanation."""
        return self.mistake.weight + _RANK * self.mistake.rank + _AGAIN * (len(self.places) > 1)

    def overrides(self, network: Network, c: float | None = None) -> Overrides:
        """Its wrong rules."""
        found: dict[Site, Rule] = {}
        for place in self.places:
            found.update(self.mistake.overrides(network, place, self.c if c is None else c))
        return found

    @property
    def title(self) -> str:
        """Its name and place."""
        return f"{self.mistake.name} at {', '.join(each.title for each in self.places)}"


Way: TypeAlias = tuple[Made, ...]


class Target(NamedTuple):
    """A hand-written gradient to be explained."""

    name: str
    variable: Variable
    manual: Array
    tolerance: float
    delta: bool = False  # no parameter's: on a scale of its own

    @property
    def informative(self) -> bool:
        """Whether it says more than one number, which any scale explains."""
        return self.manual.size > 1


@dataclass(slots=True, eq=False)
class Hypothesis:
    """Mistakes, the gradients they give, and which names they explain on which scale."""

    ways: list[Way]
    overrides: Overrides
    gradients: Gradients
    scale: float | None
    cost: float
    start: Overrides = field(default_factory=dict)  # the sides that are taken of kinks
    settled: bool = True  # the scale was known from the beginning
    explained: tuple[str, ...] = ()
    unexplained: tuple[str, ...] = ()
    key: Any = field(default=None)
    scales: dict[Way, float | None] = field(default_factory=dict)  # on which each of the ways explains them


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A mistake that may be made, with what it can change."""

    made: Made
    overrides: Overrides
    touched: frozenset[Variable]


def groups_of(mistake: Mistake, places: list[Place]) -> Iterator[tuple[Place, ...]]:
    """The sets of places at which one makes a mistake: each alone, all copies of one, all of a sort, all."""
    copies: dict[Any, list[Place]] = {}
    sorts: dict[Any, list[Place]] = {}
    for place in places:
        what = getattr(place.other, "name", None)
        copies.setdefault((place.signature, what, place.group), []).append(place)
        loose = what if isinstance(_what(place), str) else None
        sorts.setdefault((place.group, loose), []).append(place)
    seen: set[tuple[int, ...]] = set()

    def once(group: list[Place]) -> Iterator[tuple[Place, ...]]:
        key = tuple(sorted(map(id, group)))
        distinct = len({(id(each.of), id(each.part)) for each in group}) == len(group)
        if group and distinct and key not in seen:
            seen.add(key)
            yield tuple(reversed(group))  # the nearest to the loss is named first

    for same in copies.values():
        for place in same if len(same) <= 2 else (same[0], same[-1]):
            yield from once([place])
        yield from once(same)
    if mistake.everywhere:
        for group in sorts.values():
            yield from once(group)
        yield from once(places)


def _what(place: Place) -> Any:
    """What was taken instead, if it is no variable: a factor or an axis may be the same everywhere."""
    return None if place.other is None or isinstance(place.other, Variable) else getattr(place.other, "name", None)


def cleaned(ways: list[Way]) -> list[Way]:
    """Each way once, the cheapest first; not 'everywhere' where one place does it, nor one dearer by a mistake."""
    ways = sorted(ways, key=lambda way: sum(each.cost for each in way))
    found: dict[Any, Way] = {}
    for way in ways:
        cost = sum(each.cost for each in way)
        if cost <= sum(each.cost for each in ways[0]) + _DEARER:
            single = tuple(sorted((each.mistake.name, str(each.places[0].of.name)) for each in way))
            titles = tuple(sorted(each.title for each in way))
            if single not in found and titles not in found:
                found[titles] = way
                if all(len(each.places) == 1 for each in way):
                    found.setdefault(single, way)
    return list(dict.fromkeys(found.values()))[:WAYS]
