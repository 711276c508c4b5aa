"""What a mistake is: the places where it can be made, the wrong rule it puts there, and the sentence that names it.

A new one is a small class:

    @register
    class SlopeMissing(Mistake):
        name = "slope missing"

        def places(self, network):
            return slopes(network)

        def overrides(self, network, place, c):
            return {place.part.edge: Rule((Delta(place.part.y),), lambda g: g)}

        def sentence(self, place):
            return f"the slope of {place.part.kind} at {place.part.y.name} is missing"

A rule is plain NumPy on what it reads, and returns something new (tensors run through it when its line is printed).

Read next: `slopes.py` and its siblings, which hold the catalogue.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from ..anatomy import Network
from ..program import Variable
from ..sites import Overrides


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where a mistake can be made: at one part of a network, and with `other` as what was taken instead.

    `of` is the variable whose gradient comes out wrong first; `group` names places of one sort ("weights"), and
    `signature` is shared by the copies that a loop over records makes.
    """

    of: Variable
    part: Any
    group: str
    signature: Any
    other: Any = None
    also: tuple[str, ...] = ()  # other names under which one may ask for it

    @property
    def names(self) -> tuple[str, ...]:
        """The names by which a place can be asked for."""
        return (self.of.name, *self.also)

    @property
    def title(self) -> str:
        """Its name, with what was taken instead."""
        other = getattr(self.other, "name", None)
        return f"{self.of.name} with {other}" if other else self.of.name


class Mistake:
    """One kind of mistake. `rank` orders causes that data cannot tell apart: the commoner first.

    `free` mistakes have a coefficient c that the data determine: their gradient is affine in it, and `usual` is the one
    that a mistake on purpose has. `everywhere` says whether people make it at all places at once, `weight` how dear it
    is as an explanation, and `size` that it changes nothing but a gradient's size or sign.
    """

    name: ClassVar[str] = ""
    rank: ClassVar[int] = 5
    free: ClassVar[bool] = False
    usual: ClassVar[float] = 1.0
    everywhere: ClassVar[bool] = True
    weight: ClassVar[float] = 1.0
    size: ClassVar[bool] = False

    def places(self, network: Network) -> Iterator[Place]:
        """Every place of a network where it can be made."""
        raise NotImplementedError

    def overrides(self, network: Network, place: Place, c: float = 1.0) -> Overrides:
        """The wrong rules, by site."""
        raise NotImplementedError

    def plausible(self, c: float, scale: float | None) -> bool:
        """Whether a person may have written that coefficient, on a scale (None: not yet known)."""
        return 1e-6 <= abs(c) <= 1e6

    def sentence(self, place: Place) -> str:
        """What is wrong, in the user's names."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<mistake: {self.name}>"


CATALOGUE: list[Mistake] = []


def register(mistake: type[Mistake]) -> type[Mistake]:
    """Put a mistake into the catalogue, where check_backprop and ag.mutate find it."""
    if not mistake.name or any(each.name == mistake.name for each in CATALOGUE):
        raise ValueError(f"a mistake needs a name of its own, and {mistake.__name__} has {mistake.name!r}.")
    CATALOGUE.append(mistake())
    return mistake
