"""Module and Parameter: what a network is made of, with torch.nn's names.

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = nn.Linear(2, 8)
            self.out = nn.Linear(8, 1)

        def forward(self, x):
            return self.out(np.tanh(self.hidden(x)))

Attributes that are parameters, modules, or lists and dictionaries of them are found in the order in which they were
set. Nothing is registered behind your back: `named_parameters()` reads the attributes.

Read next: `layers.py`, `training.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import numpy as np

import autograd_lite as ag


class Parameter(ag.Tensor):
    """A leaf tensor that requires gradients and belongs to a module.

    >>> from nn import Parameter
    >>> Parameter([[1.0, 2.0]]).shape
    (1, 2)
    """

    __slots__ = ()

    def __new__(cls, data: Any, requires_grad: bool = True) -> Self:
        array = np.array(data)
        return cls._restore(array, requires_grad, None, None)


class Module:
    training = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError
