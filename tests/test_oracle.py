"""The NumPy-named operations of a stored corpus of torch's double-precision results: value, gradient, second order.

The corpus lies beside the checkout in shared/oracle, or where AUTOGRAD_LITE_DATA points.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from autograd_lite.tensors import tensor
from tests.numerical import gradients, inner

# The README of the corpus: these tags report, they do not gate.
REPORTED = {"special"}
# Where torch's own second derivative is NaN, by inf * 0, and central differences agree with ours: the exact 0.
TORCH_OVERFLOWS = {"01868-logaddexp"}
NAMES: dict[str, Callable[..., Any]] = {"getitem": lambda x, index: x[index], "norm": np.linalg.norm}


def corpus_folder() -> Path | None:
    """The folder that holds corpus.json, if there is one."""
    root = Path(__file__).resolve().parents[1]
    places = [root.parent / "shared" / "oracle"]
    if "AUTOGRAD_LITE_DATA" in os.environ:
        data = Path(os.environ["AUTOGRAD_LITE_DATA"])
        places = [data, data / "oracle", data.parent / "oracle", *places]
    return next((place for place in places if (place / "corpus.json").exists()), None)


FOLDER = corpus_folder()
needs_corpus = pytest.mark.skipif(
    FOLDER is None, reason="shared/oracle/corpus.json is not beside the checkout: nothing replayed"
)


class Adapter:
    """This library, as the corpus' replayer wants to call it."""

    def __init__(self, skip: Sequence[str]) -> None:
        self.skip = set(skip)

    def op(self, name: str) -> Callable[..., Any] | None:
        return None if name in self.skip else NAMES.get(name) or getattr(np, name)

    def vjp(self, fn: Any, leaves: Any, cots: Any) -> tuple[list[Any], list[Any]]:
        sources = [tensor(a, requires_grad=True) for a in leaves]
        outs = fn(*sources)
        if cots is None:
            return outs, []
        return [np.asarray(getattr(o, "data", o)) for o in outs], gradients(inner(outs, cots) + tensor(0.0), sources)

    def gg(self, fn: Any, leaves: Any, cots: Any, us: Any) -> list[Any]:
        sources = [tensor(a, requires_grad=True) for a in leaves]
        weights = [tensor(c, requires_grad=True) for c in cots]
        first = gradients(inner(fn(*sources), weights) + tensor(0.0), sources, create=True)
        return gradients(inner(first, us) + 0 * inner(weights, cots), [*sources, *weights])


@pytest.fixture(scope="module")
def replayer() -> ModuleType:
    """The corpus' own program, which compares and reports."""
    assert FOLDER is not None
    spec = importlib.util.spec_from_file_location("oracle_replay", FOLDER / "replay.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def corpus(replayer: ModuleType) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the loader leaves closing its file to the collector
        return replayer.Corpus()


@needs_corpus
def test_values_gradients_and_second_order_are_torchs(replayer: ModuleType, corpus: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the corpus divides by zero on purpose
        results = replayer.replay(Adapter(corpus.meta["nn"]), corpus)
    mine = [(case, status, note) for case, status, note in results if status != "unsupported"]
    assert len(mine) > 900
    failures = [
        f"{case['id']} {status} {case['tags']}: {note}"
        for case, status, note in mine
        if status != "pass" and not REPORTED & set(case["tags"]) and case["id"] not in TORCH_OVERFLOWS
    ]
    assert not failures, "\n".join(failures)


@needs_corpus
def test_what_must_raise_raises(replayer: ModuleType, corpus: Any) -> None:
    results = replayer.replay_raises(Adapter(corpus.meta["nn"]), corpus)
    silent = [case["id"] for case, status, _ in results if status == "NO ERROR"]
    assert not silent
    assert sum(status == "pass" for _, status, _ in results) >= 24
