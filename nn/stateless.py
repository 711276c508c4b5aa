"""A module as a function of its parameters: for optimizers and derivatives that want them as an argument.

    params = {name: each.data for name, each in model.named_parameters()}
    ag.hessian(lambda p: loss_fn(nn.functional_call(model, p, x), y))(params)

Read next: `modules.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import autograd_lite as ag

from .modules import Module


def functional_call(module: Module, params: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
    """module(*args, **kwargs) with the given values in the place of its parameters and buffers of those names.

    The values are arrays or tensors, and gradients flow to the latter; the module's own stay what they are, and names
    that are not given keep theirs. Raises KeyError for names that the module does not have, ValueError for values of
    another shape. As torch.func.functional_call.

    >>> import numpy as np, autograd_lite as ag, nn
    >>> model = nn.Linear(2, 1, dtype=np.float64)
    >>> params = {"weight": np.array([[3.0, 4.0]]), "bias": np.array([1.0])}
    >>> ag.grad(lambda p: np.sum(nn.functional_call(model, p, np.array([[1.0, 2.0]]))))(params)
    {'weight': array([[1., 2.]]), 'bias': array([1.])}
    """
    own = module._state()
    unknown = [name for name in params if name not in own]
    if unknown:
        raise KeyError(f"functional_call: {type(module).__name__} has no {unknown[0]!r}; it has {', '.join(own)}.")
    for name, value in params.items():
        if np.shape(value) != own[name].shape:
            raise ValueError(f"functional_call: {name} has the shape {np.shape(value)}, not {own[name].shape}.")
    places = {own[name]: value if isinstance(value, ag.Tensor) else ag.tensor(value) for name, value in params.items()}
    before = {each: (each._data, each._node, each._view) for each in places}
    try:
        for each, given in places.items():
            each._data, each._node, each._view = given._array(), given._node, None
        return module(*args, **kwargs)
    finally:
        for each, handle in before.items():
            each._data, each._node, each._view = handle
