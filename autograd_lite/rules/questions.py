"""Functions that ask about an array, print it, store it or make another like it; and those that tensors refuse.

Read next: `../backward.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..primitives import composite, nondifferentiable, refuse
from ..recording import Recorded
from .shape import plain

nondifferentiable(np.zeros_like, np.ones_like)
composite(np.empty_like)(
    lambda prototype, dtype=None, order="K", subok=True, shape=None, **_: np.zeros_like(
        prototype, dtype=dtype, shape=shape
    )
)

# ---- about the form alone ------------------------------------------------------------------------------------------


def _form(x: Any) -> Any:
    """An array that tells a tensor's dtype, shape and place in memory, or what is no tensor as it is."""
    if isinstance(x, (list, tuple)):
        return type(x)(map(_form, x))
    return x._data if isinstance(x, Recorded) else x


def _of_form(function: Callable[..., Any]) -> None:
    """A question whose answer no value can change, so that it may be asked of any tensor, also in a trace."""
    composite(function)(
        lambda *args, **settings: function(*map(_form, args), **{key: _form(value) for key, value in settings.items()})
    )


for _function in (
    np.shape, np.ndim, np.size, np.iscomplexobj, np.isrealobj, np.result_type, np.can_cast, np.common_type,
    np.may_share_memory, np.shares_memory,
):  # fmt: skip
    _of_form(_function)


@composite(np.einsum_path)
def einsum_path(*operands: Any, optimize: Any = "greedy", einsum_call: bool = False) -> Any:
    """np.einsum_path: the order of contraction, which depends on shapes alone."""
    return np.einsum_path(*map(_form, operands), optimize=optimize)


@composite(np.ix_)
def ix_(*args: Any) -> tuple[Any, ...]:
    """np.ix_: an open grid of indices."""
    vectors = [np.flatnonzero(x) if x.dtype == bool else x for x in map(np.atleast_1d, args)]
    return tuple(np.reshape(x, tuple(-1 if j == i else 1 for j in range(len(args)))) for i, x in enumerate(vectors))


# ---- about the values ----------------------------------------------------------------------------------------------


def _of_values(function: Callable[..., Any]) -> None:
    """A question about values, answered with something that is no array."""
    composite(function)(lambda *args, **settings: function(*map(plain, args), **settings))


for _question in (
    np.array_equal, np.array_equiv, np.allclose, np.min_scalar_type, np.array2string, np.array_repr, np.array_str,
    np.ravel_multi_index, np.lexsort,
):  # fmt: skip
    _of_values(_question)


# ---- refused -------------------------------------------------------------------------------------------------------

refuse(
    np.save, np.savez, np.savez_compressed, np.savetxt,
    why="a file holds values and no history. Store x.detach().numpy().",
)  # fmt: skip
refuse(
    np.lib.scimath.sqrt, np.lib.scimath.log, np.lib.scimath.log2, np.lib.scimath.log10, np.lib.scimath.logn,
    np.lib.scimath.power, np.lib.scimath.arccos, np.lib.scimath.arcsin, np.lib.scimath.arctanh,
    why="whether its result is complex depends on the values. Use x.astype(complex) with the function of np itself.",
)  # fmt: skip
refuse(
    np.histogram2d, np.histogramdd,
    why="counts have no gradient. Use x.detach().numpy() for the values.",
)  # fmt: skip
refuse(
    np.roots, np.polydiv,
    why="how many numbers it returns depends on the values. Use np.linalg.eigvals of the companion matrix for roots.",
)  # fmt: skip
refuse(
    np.busday_count, np.busday_offset, np.is_busday, np.datetime_as_string, np.isnat,
    why="a tensor holds numbers, not dates.",
)  # fmt: skip
