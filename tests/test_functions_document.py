"""docs/functions.md is what the registry says, and the registry knows every function that would ask a tensor."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import autograd_lite as ag
from autograd_lite.primitives import COMPOSITES, PRIMITIVES, REFUSED, public_name
from autograd_lite.rules import __main__ as table

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "functions.md"
NEWEST = hasattr(np, "vecmat")  # NumPy 2.2: every name of the document exists


@pytest.mark.skipif(not NEWEST, reason="the document lists functions that this NumPy does not have yet")
def test_the_document_is_what_the_registry_says() -> None:
    assert DOCUMENT.read_text() == table.text(), "stale: python -m autograd_lite.rules > docs/functions.md"


def test_the_command_prints_the_document() -> None:
    printed = subprocess.run([sys.executable, "-m", "autograd_lite.rules"], capture_output=True, text=True, check=True)
    assert printed.stdout == table.text()


def test_there_are_more_than_two_hundred_functions_with_a_slope() -> None:
    assert table.counted() - len(table.STAIRCASES) >= 200


@pytest.mark.parametrize("module", [np, np.linalg, np.fft, np.lib.stride_tricks, np.emath])
def test_every_function_that_asks_a_tensor_is_known(module: ModuleType) -> None:
    asked = {
        name: each
        for name, each in vars(module).items()
        if not name.startswith("_")
        and (isinstance(each, np.ufunc) or type(each).__name__ == "_ArrayFunctionDispatcher")
    }
    assert not {name for name, each in asked.items() if each not in {**PRIMITIVES, **COMPOSITES, **REFUSED}}


def test_no_function_is_in_two_lists() -> None:
    lists = [
        set().union(*table.differentiable().values()),
        table.recorded(),
        table.answered(),
        *table.refused().values(),
    ]
    everything = [name for each in lists for name in each]
    assert len(everything) == len(set(everything))
    assert {public_name(f) for f in REFUSED} <= set(everything)


def test_a_function_without_gradient_gives_a_tensor_that_requires_none() -> None:
    x = ag.tensor([3.0, 1.0, 2.0], requires_grad=True)
    for result in (np.argsort(x), x > 2, np.isnan(x), np.searchsorted(x, 2.0), np.count_nonzero(x), np.unique(x)):
        assert isinstance(result, ag.Tensor)
        assert not result.requires_grad


def test_questions_are_answered_with_plain_values() -> None:
    x = ag.tensor([[3.0, 1.0, 2.0]], requires_grad=True)
    assert (np.shape(x), np.ndim(x), np.size(x), np.size(x, 1)) == ((1, 3), 2, 3, 3)
    assert np.iscomplexobj(x) is False
    assert np.result_type(x, np.float32) == np.float64
    assert np.array_equal(x, x)
    assert np.allclose(x, x.data + 1e-12)
    assert np.can_cast(x.dtype, float)
    assert np.may_share_memory(x, x.T)
    assert np.array_str(x) == "[[3. 1. 2.]]"
    assert np.min_scalar_type(ag.tensor(3)) == np.uint8
    assert_array_equal(np.lexsort((x[0],)), [1, 2, 0])
    assert np.einsum_path("ij->i", x)[0] == np.einsum_path("ij->i", x.data)[0]
    assert np.empty_like(x).shape == (1, 3)
    assert [index.shape for index in np.ix_(x[0] > 1, [0])] == [(2, 1), (1, 1)]
