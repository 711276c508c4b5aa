"""The records of a diagnosis: arrays and where their records lie, which are finite; histories in their several forms.

Read next: `anatomy.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

import autograd_lite as ag

Array: TypeAlias = np.ndarray[Any, Any]
Row: TypeAlias = dict[str, float]


class Records:
    """Inputs and targets, record by record.

    `axis` is that of the records: 0, or -1 where they are columns, or None for a single record without one; `matched`
    says whether x and y have equally many, `finite` which of them hold no NaN and no infinity.
    """

    def __init__(self, x: Any, y: Any) -> None:
        self.x, self.y = _array("x", x), _array("y", y)
        self.axis, self.matched = _axis_of_records(self.x, self.y)
        self.finite = self._finite() if self.matched else np.zeros(0, int)

    def __len__(self) -> int:
        return 1 if self.axis is None else int(self.x.shape[self.axis])

    def chosen(self, count: int) -> tuple[Array, Array]:
        """That many records, evenly spread over all that are finite."""
        if self.axis is None:
            return self.x, self.y
        places = np.linspace(0, len(self.finite) - 1, min(count, len(self.finite))).astype(int)
        rows = self.finite[places]
        return np.take(self.x, rows, self.axis), np.take(self.y, rows, self.axis)

    def rows(self, x: Array) -> Array:
        """Some records' inputs as a matrix with a row for each."""
        if self.axis is None:
            return np.reshape(x, (1, -1)).astype(np.float64)
        return np.moveaxis(x, self.axis, 0).reshape(x.shape[self.axis], -1).astype(np.float64)

    def _finite(self) -> Array:
        if self.axis is None:
            return np.zeros(int(np.isfinite(self.x).all() and np.isfinite(self.y).all()), int)
        fine = np.ones(len(self), bool)
        for each in (self.x, self.y):
            if each.dtype.kind == "f":
                fine &= np.isfinite(np.moveaxis(each, self.axis, 0).reshape(len(self), -1)).all(axis=1)
        return np.flatnonzero(fine)


def _array(name: str, value: Any) -> Array:
    array = value.detach().data if isinstance(value, ag.Tensor) else np.asarray(value)
    if array.dtype.kind not in "biuf" or array.size == 0:
        raise TypeError(f"diagnose: {name} must be an array of real numbers; it is {array.dtype} of {array.shape}.")
    return array


def _axis_of_records(x: Array, y: Array) -> tuple[int | None, bool]:
    if x.ndim < 2 and y.ndim < 2 and x.shape != y.shape:
        return None, x.ndim == 1 or y.ndim == 0  # one record: a vector in, a vector or a number out
    if x.ndim and y.ndim:
        if len(x) == len(y):
            return 0, True
        if x.shape[-1] == y.shape[-1] and x.ndim > 1 and y.ndim > 1:
            return -1, True
    return 0, False


def history_rows(history: Any) -> list[Row]:
    """One dict of figures for each epoch, from what nn.fit returns, a list of dicts, or a dict of lists."""
    if history is None:
        return []
    rows = getattr(history, "rows", history)
    if isinstance(rows, Mapping):
        if len({len(values) for values in rows.values()}) > 1:
            lengths = {name: len(values) for name, values in rows.items()}
            raise ValueError(f"diagnose: the columns of the history have unequal lengths: {lengths}.")
        return [dict(zip(rows, values, strict=True)) for values in zip(*rows.values(), strict=True)]
    rows = list(rows)
    if not all(isinstance(each, Mapping) for each in rows):
        raise TypeError("diagnose: history is what nn.fit returns, a list of dicts, or a dict of lists.")
    return [dict(each) for each in rows]
