"""mutate: a backward pass that is wrong on purpose, for courses and for tests of tests.

    program = ag.trace(loss, params)
    wrong = ag.mutate(program, "slope at the activation", "a1")
    gradients = wrong(params)              # as a student might have derived them
    print(wrong.cause, wrong.written)      # the answer

`exercises(program)` lists all that can be set for a network.

Read next: `mistakes/` (the catalogue), `diagnosis.py` (which finds them again).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .anatomy import Network, network_of
from .heads import heads_of
from .hypotheses import Made
from .mistakes import CATALOGUE, Mistake
from .program import Program, Variable
from .recording import Array
from .replay import Replay
from .sites import Impossible
from .telling import cause_of, site_of
from .trees import paths, unflatten
from .wording import lines_of


class Exercise(NamedTuple):
    """A mistake that can be made, and where: what `mutate` takes."""

    mistake: str
    place: str


class Mutant:
    """A wrong backward pass: call it with the program's arguments for its gradients, structured as the first of them.

    `cause` says what is wrong, `right` and `written` are the line as it has to be and as it is here.
    """

    def __init__(self, network: Network, made: Made) -> None:
        self._network = network
        self._made = made
        self._overrides = made.overrides(network)
        site = site_of(made, network)
        self.cause = cause_of(made)
        self.right, self.written = lines_of(network, site, self._overrides, network.right)

    def __call__(self, *args: Any) -> Any:
        """The gradients with the mistake in them."""
        program = self._network.program
        totals = Replay(program, args).back(self._overrides).totals
        assert program.takes is not None
        first = program.takes.parts[0]
        leaves = program.statics[: len(paths(first))]
        return unflatten(first, [_gradient(totals, each) for each in leaves])

    def __repr__(self) -> str:
        return f"<backward pass with a mistake: {self.cause}>"


def mutate(program: Program, mistake: str | Mistake | type[Mistake], place: str | None = None) -> Mutant:
    """A wrong backward pass of `program`, with one mistake of the catalogue made on purpose.

    `program` is `ag.trace(loss, params)` of a network; `mistake` is a name of the catalogue (or one of your own);
    `place` names a value or a parameter of the network ("a1", "W2"); without it the mistake is made everywhere. The
    result takes the arguments of the program and returns the wrong gradients of the first, in its structure. Raises
    ValueError for a mistake that is not known or cannot be made there, and says what can.

    >>> import numpy as np, autograd_lite as ag
    >>> X, t = np.eye(3), np.ones((3, 1))
    >>> def loss(p):
    ...     a = np.tanh(X @ p["V"])
    ...     return np.mean((a @ p["W"] - t) ** 2)
    >>> params = {"V": np.ones((3, 2)), "W": np.ones((2, 1))}
    >>> wrong = ag.mutate(ag.trace(loss, params), "slope missing", "a")
    >>> print(wrong.cause)
    the slope of the tanh is missing between a and z1
    >>> ag.check_backprop(loss, params, wrong(params))["V"].cause == wrong.cause
    True
    """
    network = _network(program)
    chosen = _mistake(mistake)
    places = list(chosen.places(network))
    if not places:
        raise ValueError(f"mutate: {chosen.name!r} cannot be made in {program.name}: it has no place for it.")
    if place is not None:
        named = [each for each in places if each.title == place] or [each for each in places if place in each.names]
        if not named:
            known = ", ".join(dict.fromkeys(each.title for each in places))
            raise ValueError(f"mutate: {chosen.name!r} cannot be made at {place!r}; it can at {known}.")
        places = named[:1]
    else:
        first = {id(each.part): each for each in reversed(places)}
        places = [each for each in places if first[id(each.part)] is each]
    return Mutant(network, Made(chosen, tuple(reversed(places)), chosen.usual))


def exercises(program: Program) -> Iterator[Exercise]:
    """Every mistake that can be made in a network, and changes its gradients by more than a common scale.

    >>> import numpy as np, autograd_lite as ag
    >>> program = ag.trace(lambda p: np.sum((np.eye(2) @ p["w"]) ** 2), {"w": np.ones((2, 1))})
    >>> Exercise("weight gradient transposed", "w") in list(exercises(program))
    True
    """
    network = _network(program)
    for mistake in CATALOGUE:
        for place in mistake.places(network):
            made = Made(mistake, (place,), mistake.usual)
            try:
                totals = network.replay.back(made.overrides(network), network.right).totals
            except Impossible:
                continue
            right = [_gradient(network.right.totals, each) for each in network.parameters]
            wrong = [_gradient(totals, each) for each in network.parameters]
            if not _proportional(right, wrong):
                yield Exercise(mistake.name, place.title)


def _network(program: Program) -> Network:
    """A program's network, found on weights drawn at random, because a program holds none."""
    if program.takes is None or not program.inputs:
        raise TypeError("mutate takes the trace of a function of its parameters: ag.trace(loss, params).")
    rng = np.random.default_rng(0)
    args = unflatten(program.takes, [_drawn(rng, each) for each in program.statics])
    network = network_of(program, args)
    network.heads = heads_of(network)
    return network


def _drawn(rng: np.random.Generator, each: Any) -> Any:
    if not isinstance(each, Variable):
        return each
    return np.asarray(0.5 * rng.standard_normal(each.shape)).astype(each.dtype)


def _gradient(totals: dict[Variable, Array], each: Any) -> Any:
    """A leaf's gradient; zeros where none arrived, and what is no number stays what it is."""
    if not isinstance(each, Variable):
        return each
    found = totals.get(each)
    return np.zeros(each.shape, each.dtype) if found is None else np.array(found)


def _proportional(right: list[Array], wrong: list[Array]) -> bool:
    """Whether all gradients are the right ones, up to one scale."""
    if any(a.shape != b.shape for a, b in zip(right, wrong, strict=True)):
        return False
    a, b = (np.concatenate([each.ravel() for each in some]).astype(np.float64) for some in (right, wrong))
    scale = float(a @ b) / (float(a @ a) or 1.0)
    return bool(scale) and bool(np.allclose(b, scale * a, rtol=1e-7, atol=1e-10 * float(np.abs(b).max(initial=0.0))))


def _mistake(mistake: str | Mistake | type[Mistake]) -> Mistake:
    if isinstance(mistake, Mistake):
        return mistake
    if isinstance(mistake, type):
        return mistake()
    names = {each.name: each for each in CATALOGUE}
    if mistake not in names:
        near = difflib.get_close_matches(mistake, names, 3, 0.4)
        hint = f" Do you mean {' or '.join(map(repr, near))}?" if near else ""
        raise ValueError(f"mutate: no mistake is called {mistake!r}.{hint} All of them: {', '.join(sorted(names))}.")
    return names[mistake]
