"""The blocks of docs/ecosystem.md run."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[1] / "docs" / "ecosystem.md"


def test_the_blocks_run() -> None:
    for name in ("sklearn", "safetensors", "onnx"):
        pytest.importorskip(name, reason=f'{name} is not installed: pip install "autograd-lite[{name}]"')
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    result = doctest.testfile(str(DOCUMENT), module_relative=False, optionflags=flags)
    assert result.attempted >= 35
    assert result.failed == 0
