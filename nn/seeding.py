"""Randomness: one generator for everything that is not given its own.

Read next: `init.py`.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np


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
