"""The torch-named functions of a stored corpus of torch's double-precision results: value, gradient, second order."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

from nn import functional
from tests.test_oracle import REPORTED, Adapter, corpus, needs_corpus, replayer

__all__ = ["corpus", "replayer"]  # the fixtures that load the corpus and its own replay.py


class NetworkAdapter(Adapter):
    """nn.functional, as the corpus' replayer wants to call it."""

    def __init__(self, offered: list[str]) -> None:
        super().__init__(skip=())
        self.offered = set(offered)

    def op(self, name: str) -> Callable[..., Any] | None:
        return getattr(functional, name) if name in self.offered else None


@needs_corpus
def test_values_gradients_and_second_order_are_torchs(replayer: ModuleType, corpus: Any) -> None:  # fixtures
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # infinities minus infinities are among the inputs
        results = replayer.replay(NetworkAdapter(corpus.meta["nn"]), corpus)
    mine = [(case, status, note) for case, status, note in results if status != "unsupported"]
    assert len(mine) > 350
    failures = [
        f"{case['id']} {status} {case['tags']}: {note}"
        for case, status, note in mine
        if status != "pass" and not REPORTED & set(case["tags"])
    ]
    assert not failures, "\n".join(failures)


@needs_corpus
def test_what_must_raise_raises(replayer: ModuleType, corpus: Any) -> None:  # fixtures
    results = replayer.replay_raises(NetworkAdapter(corpus.meta["nn"]), corpus)
    statuses = [(case["id"], status) for case, status, _ in results if status != "unsupported"]
    assert len(statuses) >= 15
    assert all(status == "pass" for _, status in statuses), statuses
