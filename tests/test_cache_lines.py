"""What trains begins with a cache line, and is a copy of what it was made of, in the same order."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import autograd_lite as ag
import nn

WIDE = np.arange(784 * 20, dtype=np.float64).reshape(784, 20)


def begins(array: Any) -> int:
    return int(array.__array_interface__["data"][0]) % 64


@pytest.mark.parametrize(
    "array", [WIDE, WIDE.T, WIDE[::2], WIDE.astype(np.float32), WIDE.astype(complex), WIDE.reshape(28, 28, 20)]
)
@pytest.mark.parametrize("offset", range(8))
def test_leaves_that_train_begin_with_a_cache_line(array: Any, offset: int) -> None:
    keep = np.empty(offset * 16 + 1)  # so that NumPy's next array begins elsewhere
    leaf = ag.tensor(array, requires_grad=True)
    assert begins(leaf.data) == 0
    assert leaf.data.dtype == array.dtype
    assert leaf.data.flags.writeable
    assert leaf.data.flags.c_contiguous == np.array(array).flags.c_contiguous
    assert not np.shares_memory(leaf.data, array)
    np.testing.assert_array_equal(leaf.data, array)
    del keep


def test_small_leaves_and_constants_stay_where_numpy_put_them() -> None:
    assert ag.tensor([1.0, 2.0], requires_grad=True).data.base is None
    assert ag.tensor(WIDE).data.base is None


def test_parameters_and_their_copies_begin_with_a_cache_line() -> None:
    layer = nn.Linear(784, 20)
    others = [copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))]  # our own bytes
    for each in [layer, *others]:
        assert begins(each.weight.data) == 0
        np.testing.assert_array_equal(each.weight.data, layer.weight.data)
    layer.weight.data[0, 0] = 7.0
    assert all(each.weight.data[0, 0] != 7.0 for each in others)
