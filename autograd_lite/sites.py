"""Where a backward pass can go wrong, and the rule that stands there: the vocabulary of `replay.py`.

    Edge(k, i)    what operation k sends back to its i-th input
    Total(v)      the gradient of the variable v, once all its consumers have sent theirs
    Forward(k)    what operation k computes: the mistake is made on the way forward

A rule is a plain function of arrays and says which ones it reads: variables, their deltas, their values on a batch
before. So the same rule computes a wrong gradient and, run on tensors, prints the line that was evidently written.

Read next: `replay.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from .program import Variable
from .recording import Array


class Edge(NamedTuple):
    """What an operation, by its number, sends back to one of its inputs."""

    operation: int
    slot: int


class Total(NamedTuple):
    """The gradient of a variable with respect to the loss."""

    of: Variable


class Forward(NamedTuple):
    """What an operation, by its number, computes."""

    operation: int


class Delta(NamedTuple):
    """A rule reads the gradient of a variable, as far as it is known by then."""

    of: Variable


class Stale(NamedTuple):
    """A rule reads the value that a variable had on the batch before."""

    of: Variable


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """A rule reads an array from elsewhere, under a name."""

    name: str
    array: Array


Site: TypeAlias = Edge | Total | Forward
Read: TypeAlias = Variable | Delta | Stale | Given


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A function of what it reads, in that order: the right rule at a site, or a wrong one."""

    reads: tuple[Read, ...]
    function: Callable[..., Any]


Overrides: TypeAlias = Mapping[Site, Rule]


class Impossible(Exception):
    """A mistake that cannot have been made here: its shapes do not fit."""


@dataclass(slots=True)
class Gradients:
    """One way back: the gradient of every variable that was reached, what each operation sent, and from what."""

    totals: dict[Variable, Array]
    parts: dict[Edge, Array]
    values: Mapping[Variable, Any]
    overrides: Overrides
