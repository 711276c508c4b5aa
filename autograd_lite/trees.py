"""Nested dicts, lists and tuples of arrays as a flat list of leaves, and back.

`flatten` gives the leaves and a structure; `unflatten` puts other leaves into the same structure. A structure is plain
data that can be compared and hashed, so it can be the key of a table.

Read next: `derivatives.py` and `program.py`, which take and return such arguments.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple


class Structure(NamedTuple):
    """The form of a tree: a container's type, its keys and its parts; a leaf has no type."""

    kind: type[Any] | None
    keys: tuple[Any, ...] = ()
    parts: tuple[Structure, ...] = ()


LEAF = Structure(None)


def flatten(tree: Any) -> tuple[list[Any], Structure]:
    """The leaves of nested dicts, lists and tuples, in order, and their structure: whatever else it is, is a leaf.

    >>> leaves, structure = flatten({"w": 1.0, "b": [2.0, (3.0,)]})
    >>> leaves
    [1.0, 2.0, 3.0]
    >>> unflatten(structure, [10, 20, 30])
    {'w': 10, 'b': [20, (30,)]}
    """
    leaves: list[Any] = []
    return leaves, _flatten(tree, leaves)


def _flatten(tree: Any, leaves: list[Any]) -> Structure:
    if isinstance(tree, dict):
        return Structure(type(tree), tuple(tree), tuple(_flatten(each, leaves) for each in tree.values()))
    if isinstance(tree, (list, tuple)):
        return Structure(type(tree), tuple(range(len(tree))), tuple(_flatten(each, leaves) for each in tree))
    leaves.append(tree)
    return LEAF


def unflatten(structure: Structure, leaves: Iterable[Any]) -> Any:
    """The tree of a structure with the given leaves; raises ValueError if there are too few or too many.

    >>> unflatten(flatten((0, [0]))[1], [1, 2])
    (1, [2])
    """
    rest = iter(leaves)
    try:
        tree = _unflatten(structure, rest)
    except StopIteration:
        raise ValueError("unflatten: there are fewer leaves than the structure has places.") from None
    if next(rest, rest) is not rest:
        raise ValueError("unflatten: there are more leaves than the structure has places.")
    return tree


def _unflatten(structure: Structure, leaves: Iterator[Any]) -> Any:
    kind = structure.kind
    if kind is None:
        return next(leaves)
    parts = [_unflatten(part, leaves) for part in structure.parts]
    if issubclass(kind, dict):
        tree = dict(zip(structure.keys, parts, strict=True))
        return tree if kind is dict else kind(tree)
    return kind(*parts) if hasattr(kind, "_fields") else kind(parts)


def paths(structure: Structure) -> list[tuple[Any, ...]]:
    """The keys and positions that lead to each leaf.

    >>> paths(flatten({"w": 1.0, "b": [2.0, 3.0]})[1])
    [('w',), ('b', 0), ('b', 1)]
    """
    if structure.kind is None:
        return [()]
    return [(key, *path) for key, part in zip(structure.keys, structure.parts, strict=True) for path in paths(part)]
