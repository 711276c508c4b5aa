"""Tests that hold now, as one function that says whether they still do.

Read next: `guards.py`, which finds what to test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .recording import SMALL, Array, fingerprint

PLAIN = (int, float, complex, str, bytes, bool, type(None), np.generic)  # what is compared by value


class Watch:
    """Collects tests as expressions; `function` evaluates them all in one call."""

    def __init__(self) -> None:
        self._names: dict[str, Any] = {"same": _same, "equal": _equal, "fingerprint": fingerprint}
        self._known: dict[int, str] = {}
        self._tests: dict[str, None] = {}

    def name(self, value: Any) -> str:
        """What an object is called in the tests."""
        name = self._known.setdefault(id(value), f"v{len(self._known)}")
        self._names[name] = value
        return name

    def test(self, expression: str) -> None:
        """Test an expression."""
        self._tests[expression] = None

    def value(self, expression: str, value: Any) -> None:
        """Test that an expression gives this value, if it is a number or text, or this very object."""
        if value is None or isinstance(value, bool):
            self.test(f"{expression} is {value}")
        elif isinstance(value, PLAIN):
            self.test(f"({expression} is {self.name(value)} or same({expression}, {self.name(value)}))")
        else:
            self.test(f"{expression} is {self.name(value)}")

    def array(self, array: Array) -> None:
        """Test that an array holds what it holds."""
        if array.nbytes <= SMALL:
            self.test(f"equal({self.name(array)}, {self.name(array.copy())})")
        else:
            self.test(f"fingerprint({self.name(array)}) == {fingerprint(array)}")

    def function(self) -> Callable[[], bool]:
        """Whether everything is what it was."""
        source = (
            f"def unchanged():\n    try:\n        return {' and '.join(self._tests) or True}\n"
            "    except (KeyError, IndexError, AttributeError, ValueError):\n        return False  # it is gone\n"
        )
        names = dict(self._names)
        exec(compile(source, "<guards>", "exec"), names)
        unchanged: Callable[[], bool] = names["unchanged"]
        return unchanged


def _same(now: Any, before: Any) -> bool:
    """Whether a number or a text has the value that it had; NaN is NaN."""
    if type(now) is not type(before):
        return False
    return bool(now == before or (now != now and before != before))


def _equal(array: Array, copy: Array) -> bool:
    """Whether a small array holds, bit by bit, what it held."""
    return array.shape == copy.shape and array.dtype == copy.dtype and array.tobytes() == copy.tobytes()
