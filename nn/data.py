"""Data as arrays: batches, splits, folds, one-hot labels, standardised columns.

    for x, y in nn.DataLoader(images, labels, batch_size=64, shuffle=True):
        step(x, y)

Read next: `training.py`, `fitting.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

from .seeding import default_rng

Array: TypeAlias = np.ndarray[Any, Any]


def _same_length(who: str, arrays: tuple[Any, ...]) -> tuple[Array, ...]:
    """The arguments as arrays; raises ValueError unless they have one number of rows, and at least one row."""
    if not arrays:
        raise ValueError(f"{who}: no data was given.")
    found = tuple(np.asarray(each) for each in arrays)
    if any(each.ndim == 0 for each in found) or len({len(each) for each in found}) != 1:
        shapes = ", ".join(str(each.shape) for each in found)
        raise ValueError(f"{who}: the arrays must have one number of rows; their shapes are {shapes}.")
    if len(found[0]) == 0:
        raise ValueError(f"{who}: the data set is empty.")
    return found


class TensorDataset:
    """Arrays whose rows belong together: dataset[i] is the tuple of their i-th rows.

    >>> import numpy as np, nn
    >>> dataset = nn.TensorDataset(np.arange(6).reshape(3, 2), np.array([0, 1, 0]))
    >>> len(dataset), dataset[1][0].tolist()
    (3, [2, 3])
    """

    def __init__(self, *arrays: Any) -> None:
        self.arrays = _same_length("TensorDataset", arrays)

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        return tuple(each[index] for each in self.arrays)


class DataLoader:
    """Batches of arrays whose rows belong together, one pass for each iteration; a batch is a tuple of arrays.

    `shuffle` draws a new order for each pass from `rng` (or the generator that `manual_seed` starts); without it
    batches are views of the arrays. `drop_last` leaves out a last batch that is smaller. Raises ValueError for no rows,
    for unequal numbers of rows, and for a batch larger than the data.

    >>> import numpy as np, nn
    >>> loader = nn.DataLoader(np.arange(5), np.arange(5) ** 2, batch_size=2)
    >>> [x.tolist() for x, y in loader], len(loader)
    ([[0, 1], [2, 3], [4]], 3)
    """

    def __init__(
        self,
        *arrays: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        drop_last: bool = False,
        rng: np.random.Generator | None = None,
    ) -> None:
        if len(arrays) == 1 and isinstance(arrays[0], TensorDataset):
            arrays = arrays[0].arrays
        self.arrays = _same_length("DataLoader", arrays)
        if batch_size < 1:
            raise ValueError(f"DataLoader: batch_size must be at least 1, not {batch_size}.")
        if batch_size > len(self.arrays[0]):
            raise ValueError(
                f"DataLoader: batch_size={batch_size} is larger than the data, which have {len(self.arrays[0])} rows."
            )
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.rng = default_rng(rng)

    def __len__(self) -> int:
        rows = len(self.arrays[0])
        return rows // self.batch_size if self.drop_last else -(-rows // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Array, ...]]:
        return (tuple([each[rows] for each in self.arrays]) for rows in self.rows())

    def rows(self) -> Iterator[Any]:
        """What picks each batch out of the arrays, for one pass: row numbers, or slices without `shuffle`."""
        order = self.rng.permutation(len(self.arrays[0])) if self.shuffle else None
        for k in range(len(self)):
            rows = slice(k * self.batch_size, (k + 1) * self.batch_size)
            yield rows if order is None else order[rows]


def train_test_split(
    *arrays: Any, test_size: float = 0.25, stratify: Any = None, rng: np.random.Generator | None = None
) -> tuple[Array, ...]:
    """Each array's rows in two parts, chosen at random: x_train, x_test, y_train, y_test for arrays x and y.

    `test_size` is a share of the rows (at least one row stays on either side) or, as an integer, their number;
    `stratify` gives one label for each row, whose shares both parts keep as nearly as they can.

    >>> import numpy as np, nn
    >>> parts = nn.train_test_split(np.arange(8), np.arange(8), rng=np.random.default_rng(0))
    >>> [len(part) for part in parts]
    [6, 2, 6, 2]
    """
    given = _same_length("train_test_split", arrays)
    rows = len(given[0])
    count = test_size if isinstance(test_size, int) else min(max(round(rows * test_size), 1), rows - 1)
    if not 0 < count < rows or not test_size > 0:
        raise ValueError(f"train_test_split: test_size={test_size} of {rows} rows leaves one of the parts empty.")
    order = default_rng(rng).permutation(rows)
    if stratify is not None:
        order = order[_spread_evenly(np.asarray(stratify)[order])]
    test, train = order[:count], order[count:]
    return tuple(part for each in given for part in (each[train], each[test]))


def _spread_evenly(labels: Array) -> Array:
    """An order of rows in which every beginning holds each label in nearly its share of the whole."""
    places = np.empty(len(labels))
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        places[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
    return np.argsort(places, kind="stable")


def kfold(rows: int, folds: int = 5, *, rng: np.random.Generator | None = None) -> list[tuple[Array, Array]]:
    """The rows 0 ... rows - 1 shuffled into parts of equal size: for each part the rows outside it and those in it.

    >>> import numpy as np, nn
    >>> [(len(train), len(test)) for train, test in nn.kfold(10, 3, rng=np.random.default_rng(0))]
    [(6, 4), (7, 3), (7, 3)]
    """
    if not 2 <= folds <= rows:
        raise ValueError(f"kfold: {folds} folds of {rows} rows: there must be at least two, and no more than rows.")
    parts = np.array_split(default_rng(rng).permutation(rows), folds)
    return [(np.concatenate(parts[:i] + parts[i + 1 :]), part) for i, part in enumerate(parts)]


def one_hot(labels: Any, num_classes: int | None = None, dtype: Any = np.float32) -> Array:
    """1 in the label's column and 0 elsewhere: labels (...) become (..., num_classes), the largest label plus 1 if not
    given. Raises TypeError for labels that are no integers, IndexError for one that is no class.

    >>> import nn
    >>> nn.one_hot([0, 2]).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu":
        raise TypeError(f"one_hot: labels must be integers, not {labels.dtype}.")
    classes = int(labels.max(initial=-1)) + 1 if num_classes is None else num_classes
    bad = np.argwhere((labels < 0) | (labels >= classes))
    if len(bad):
        raise IndexError(
            f"one_hot: label {labels[tuple(bad[0])]} at position {bad[0].tolist()} is no class: 0 to {classes - 1}."
        )
    hot: Array = np.equal(labels[..., None], np.arange(classes))
    return hot.astype(dtype)


def standardize(train: Any, *others: Any) -> Any:
    """(x - mean) / deviation of each column, both taken from `train`; a constant column becomes 0.

    Gives the array, or a tuple of all of them if `others` (a test set) are to be treated alike.

    >>> import numpy as np, nn
    >>> nn.standardize(np.array([[1.0, 5.0], [3.0, 5.0]])).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    arrays = tuple(np.asarray(each) for each in (train, *others))
    constant = np.ptp(arrays[0], axis=0) == 0
    mean = np.where(constant, arrays[0][0], arrays[0].mean(axis=0))
    deviation = np.where(constant, 1, arrays[0].std(axis=0))
    result = tuple((each - mean) / deviation for each in arrays)
    return result if others else result[0]
