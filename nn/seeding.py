"""Randomness: one generator for everything that is not given its own.

Read next: `init.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

GAP = 0x9E3779B97F4A7C15F39CC0605CEDC835  # 2**128 over the golden ratio: multiples of it lie far apart modulo 2**128
_stream: int | None = None  # the rank, while several train together


@functools.cache
def _generator() -> np.random.Generator:
    """The common generator: made when it is first needed, for numpy.random takes its time to load."""
    return np.random.default_rng()


def manual_seed(seed: int) -> np.random.Generator:
    """Start the generator that layers, initialisers, dropout and loaders use when they are given no `rng=`.

    >>> import nn
    >>> _ = nn.manual_seed(0); a = nn.Linear(2, 1).weight.data
    >>> _ = nn.manual_seed(0); b = nn.Linear(2, 1).weight.data
    >>> bool((a == b).all())
    True
    """
    set_state(np.random.default_rng(seed).bit_generator.state)
    return _generator()


def default_rng(rng: np.random.Generator | None = None) -> np.random.Generator:
    """The generator given, or the common one."""
    if rng is None:
        return _generator()
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng= must be a np.random.Generator, not {type(rng).__name__}: np.random.default_rng(seed).")
    return rng


def get_state() -> Any:
    """The common generator's state, plain data: part of a checkpoint."""
    return _generator().bit_generator.state


def set_state(state: Any) -> None:
    """Put the common generator back into a state that `get_state` gave."""
    _generator().bit_generator.state = state


def choose_stream(rank: int | None) -> None:
    """Let `own_draws` draw from the stream of a rank; None is the generator's own."""
    global _stream
    _stream = rank


@contextmanager
def own_draws(rng: np.random.Generator) -> Iterator[np.random.Generator]:
    """The generator, in a stream that no other rank draws from; afterwards it stands where it would without.

    So what the ranks must draw alike (the order of the rows) they still do. A bit generator that cannot be moved
    (MT19937, SFC64) gives all ranks the same numbers.
    """
    advance = getattr(rng.bit_generator, "advance", None)
    if _stream is None or advance is None:
        yield rng
        return
    advance(_stream * GAP)
    try:
        yield rng
    finally:
        advance(-_stream * GAP)
