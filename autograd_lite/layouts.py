"""In which order a compiled program's matrices lie in memory: samples first, as NumPy makes them, or features first.

NumPy and BLAS are fast along the axis that is contiguous. What is much taller than wide lies features first, so that
every operation runs along its long axis; so does a product whose second factor BLAS would have to transpose, such as
`x @ weight.T`; and what is computed entry by entry lies as its operands do.

Read next: `emission.py`, which asks.
"""

from __future__ import annotations

from collections.abc import Iterable

from .program import Variable
from .recording import Array

_ROW = 2048  # entries of a row from which a broadcast product is faster than a matrix product with one column
_MIXED = 8  # times as long as transposing an entry for a product takes meeting one of another order
_FEW = 256  # entries of a matrix below which it is, too


def tall(shape: tuple[int, ...]) -> bool:
    """Whether an array lies features first whatever makes it."""
    return len(shape) == 2 and shape[0] >= 64 and shape[0] >= 8 * shape[1] > 0


def features_first(array: Array | None) -> bool:
    """Whether a matrix lies column by column, and not row by row as well."""
    return array is not None and array.flags.f_contiguous and not array.flags.c_contiguous


def product_features_first(
    shape: tuple[int, ...], a: Array | None, b: Array | None, partners: Iterable[Array | None] = ()
) -> bool:
    """How the product a @ b should lie, which then meets `partners` entry by entry.

    BLAS takes the first factor of a row-by-row product in either order, and loses time on a second factor that lies
    column by column, in proportion to its size. Column by column it is the same of the transposes, b.T @ a.T. Operands
    that lie in different orders cost far more for each entry.
    """
    if tall(shape):
        return True
    if a is None or b is None or len(shape) != 2 or 1 in shape or 1 in a.shape:
        return False
    row_by_row = b.size if features_first(b) else 0
    column_by_column = 0 if features_first(a) else a.size
    for each in partners:
        if each is not None and each.shape == shape:
            if features_first(each):
                row_by_row += _MIXED * each.size
            else:
                column_by_column += _MIXED * each.size
    return column_by_column < row_by_row or (column_by_column == row_by_row and features_first(a))


def entrywise_features_first(result: Variable, operands: list[Array | None]) -> bool:
    """How what is computed entry by entry should lie: as the operands of its shape."""
    alike = [each for each in operands if each is not None and each.shape == result.shape]
    return tall(result.shape) or (len(result.shape) == 2 and bool(alike) and all(map(features_first, alike)))


def outer_by_broadcasting(array: Array) -> bool:
    """Whether a column times a row is computed into this matrix faster by broadcasting than as a matrix product."""
    return array.size <= _FEW or max(array.shape) >= _ROW
