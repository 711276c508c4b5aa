"""Parameters as one flat vector, and back: what optimizers such as SciPy's ask for.

    x0, unravel = ag.ravel({"W": W, "b": b})
    found = scipy.optimize.minimize(ag.value_and_grad(lambda v: loss(**unravel(v))), x0, jac=True, method="L-BFGS-B")
    params = unravel(found.x)

Read next: `derivatives.py`, whose functions take the vector; `trees.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from .recording import Array
from .tensors import Tensor
from .trees import flatten, paths, unflatten


def ravel(params: Any) -> tuple[Array, Callable[[Any], Any]]:
    """Nested dicts, lists and tuples of arrays as one float64 vector, and the function that leads back.

    The vector holds the leaves in order, each in C order, as a copy. `unravel(vector)` gives the same structure with
    the leaves' shapes and dtypes; of a tensor it gives tensors with its history, so that gradients of any order, traces
    and compiled functions go through it. Of a module take `dict(model.named_parameters())`. Raises TypeError for leaves
    that are not real floating-point numbers, and in `unravel` ValueError for a vector of another size.

    >>> import numpy as np, autograd_lite as ag
    >>> vector, unravel = ag.ravel({"w": np.array([[1.0, 2.0]]), "b": np.array(3.0)})
    >>> vector
    array([1., 2., 3.])
    >>> unravel(10 * vector)
    {'w': array([[10., 20.]]), 'b': array(30.)}
    """
    leaves, structure = flatten(params)
    arrays = [each.detach().data if isinstance(each, Tensor) else np.asarray(each) for each in leaves]
    for path, each in zip(paths(structure), arrays, strict=True):
        if each.dtype.kind != "f":
            raise TypeError(
                f"ravel: {'/'.join(map(str, path)) or 'the argument'} holds {each.dtype}; a vector to optimize is made "
                "of floating-point arrays: convert it with astype, or leave it out."
            )
    forms = [(each.shape, each.dtype) for each in arrays]
    ends = [0, *np.cumsum([each.size for each in arrays], dtype=int).tolist()]
    vector = np.concatenate([np.zeros(0), *(np.ravel(each) for each in arrays)], dtype=np.float64)

    def unravel(vector: Any) -> Any:
        if np.shape(vector) != (ends[-1],):
            raise ValueError(f"unravel: a vector of shape {np.shape(vector)} was given, ({ends[-1]},) is needed.")
        vector = vector if isinstance(vector, Tensor) else np.asarray(vector)
        parts = (vector[start:end] for start, end in pairwise(ends))
        return unflatten(
            structure,
            [np.reshape(part, shape).astype(dtype) for part, (shape, dtype) in zip(parts, forms, strict=True)],
        )

    return vector, unravel
