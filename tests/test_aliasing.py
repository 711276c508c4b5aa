"""A result shares memory with its input exactly where NumPy's does; where a write could not follow, it raises."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_lite as ag
from tests.op_cases import CASES, Case, function_of
from tests.test_rules import arrays_of

ENTRIES = [pytest.param(entry, id=entry.name) for entry in CASES.values()]
# NumPy lets these be written to (a broadcast with a warning); here the write raises, for it could not reach the input.
READ_ONLY_HERE = {np.broadcast_arrays, np.meshgrid, np.real, np.imag}
HANDLES: list[Callable[[Any], Any]] = [ag.tensor, lambda a: ag.tensor(a, requires_grad=True) * 1]


def listed(result: Any) -> list[Any]:
    """The arrays in a result, however they are nested."""
    if isinstance(result, (tuple, list)):
        return [each for part in result for each in listed(part)]
    return [result]


def values(result: Any) -> list[Any]:
    """Copies of the arrays in a result."""
    return [np.array(each.data if isinstance(each, ag.Tensor) else each) for each in listed(result)]


def changed(before: list[Any], after: list[Any]) -> list[bool]:
    """Which of the arrays differ."""
    return [not np.array_equal(a, b, equal_nan=True) for a, b in zip(before, after, strict=True)]


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("handle", HANDLES, ids=["leaf", "computed"])
def test_a_write_to_the_input_shows_where_numpys_does(entry: Case, handle: Callable[[Any], Any]) -> None:
    for one in entry.calls:
        arrays = arrays_of(one)
        if not arrays[0].size:
            continue
        f = function_of(entry, one)
        plain = [a.copy() for a in arrays]
        result = f(*plain)
        before = values(result)
        plain[0][...] = 77
        wanted = changed(before, values(result))
        tensors = [handle(a) for a in arrays]
        result = f(*tensors)
        before = values(result)
        tensors[0][...] = 77
        assert changed(before, values(result)) == wanted


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("handle", HANDLES, ids=["leaf", "computed"])
def test_a_write_to_the_result_reaches_where_numpys_does(entry: Case, handle: Callable[[Any], Any]) -> None:
    for one in entry.calls:
        arrays = arrays_of(one)
        if not arrays[0].size:
            continue
        f = function_of(entry, one)
        for k in range(len(listed(f(*(a.copy() for a in arrays))))):
            plain = [a.copy() for a in arrays]
            target = listed(f(*plain))[k]
            if not isinstance(target, np.ndarray) or target.dtype.kind not in "fc" or not target.size:
                continue
            tensors = [handle(a) for a in arrays]
            try:
                listed(f(*tensors))[k][...] = 77
            except ValueError as error:
                assert "read-only" in str(error)  # noqa: PT017  # raising is right only where NumPy raises too
                assert entry.key in READ_ONLY_HERE or not target.flags.writeable
                continue
            if not target.flags.writeable:
                assert entry.key is np.imag, "NumPy refuses the write"  # of a real number: zeros of their own here
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                target[...] = 77
            np.testing.assert_array_equal(tensors[0].data, plain[0])
