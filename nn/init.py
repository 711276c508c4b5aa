"""Initialisation: fill a parameter in place, outside every history, with torch.nn.init's names and figures.

fan_in and fan_out are the numbers of inputs and outputs that one weight connects: shape[1] and shape[0], times the size
of a convolution's window.

Read next: `layers.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import autograd_lite as ag

from .seeding import default_rng

_GAINS: dict[str, float] = {
    "linear": 1.0, "conv1d": 1.0, "conv2d": 1.0, "sigmoid": 1.0,
    "tanh": 5.0 / 3, "relu": math.sqrt(2.0), "selu": 3.0 / 4,
}  # fmt: skip


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which a nonlinearity's inputs may be larger: sqrt(2) for relu, 5/3 for tanh,
    sqrt(2 / (1 + slope^2)) for leaky_relu, whose slope is `param` (0.01 if not given).

    >>> calculate_gain("leaky_relu", 1.0)
    1.0
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        raise ValueError(f"calculate_gain: {nonlinearity!r} is unknown; there are leaky_relu, {', '.join(_GAINS)}.")
    return _GAINS[nonlinearity]


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """The numbers of inputs and of outputs of a weight of this shape; raises ValueError below two axes."""
    if len(shape) < 2:
        raise ValueError(f"fan in and fan out need a weight with at least two axes; this one has shape {shape}.")
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def _fill(tensor: ag.Tensor, values: Callable[[tuple[int, ...]], Any] | float) -> Any:
    tensor.data = np.broadcast_to(values(tensor.shape) if callable(values) else values, tensor.shape)
    return tensor


def uniform_(tensor: Any, a: float = 0.0, b: float = 1.0, *, rng: np.random.Generator | None = None) -> Any:
    """Uniform in [a, b).

    >>> import numpy as np, nn
    >>> w = nn.init.uniform_(nn.Parameter(np.zeros(3)), -1, 1, rng=np.random.default_rng(0))
    >>> bool((np.abs(w.data) <= 1).all())
    True
    """
    return _fill(tensor, lambda shape: default_rng(rng).uniform(a, b, shape))


def normal_(tensor: Any, mean: float = 0.0, std: float = 1.0, *, rng: np.random.Generator | None = None) -> Any:
    """Normal with this mean and standard deviation.

    >>> import numpy as np, nn
    >>> nn.init.normal_(nn.Parameter(np.zeros(3)), rng=np.random.default_rng(0)).shape
    (3,)
    """
    return _fill(tensor, lambda shape: default_rng(rng).normal(mean, std, shape))


def constant_(tensor: Any, val: float) -> Any:
    """Every entry is `val`.

    >>> import numpy as np, nn
    >>> nn.init.constant_(nn.Parameter(np.zeros(2)), 3.0).data.tolist()
    [3.0, 3.0]
    """
    return _fill(tensor, val)


def zeros_(tensor: Any) -> Any:
    """Every entry is 0.

    >>> import numpy as np, nn
    >>> nn.init.zeros_(nn.Parameter(np.ones(2))).data.tolist()
    [0.0, 0.0]
    """
    return _fill(tensor, 0.0)


def ones_(tensor: Any) -> Any:
    """Every entry is 1.

    >>> import numpy as np, nn
    >>> nn.init.ones_(nn.Parameter(np.zeros(2))).data.tolist()
    [1.0, 1.0]
    """
    return _fill(tensor, 1.0)


def xavier_uniform_(tensor: Any, gain: float = 1.0, *, rng: np.random.Generator | None = None) -> Any:
    """Uniform in +-gain * sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010).

    >>> import numpy as np, nn
    >>> w = nn.init.xavier_uniform_(nn.Parameter(np.zeros((2, 4))), rng=np.random.default_rng(0))
    >>> bool((np.abs(w.data) <= 1).all())
    True
    """
    bound = gain * math.sqrt(6 / sum(fans(tensor.shape)))
    return uniform_(tensor, -bound, bound, rng=rng)


def xavier_normal_(tensor: Any, gain: float = 1.0, *, rng: np.random.Generator | None = None) -> Any:
    """Normal with standard deviation gain * sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio, 2010).

    >>> import numpy as np, nn
    >>> nn.init.xavier_normal_(nn.Parameter(np.zeros((2, 4))), rng=np.random.default_rng(0)).shape
    (2, 4)
    """
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(fans(tensor.shape))), rng=rng)


def _kaiming_std(tensor: Any, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"kaiming: mode must be 'fan_in' or 'fan_out', not {mode!r}.")
    fan = fans(tensor.shape)[mode == "fan_out"]
    if fan == 0:
        raise ValueError(f"kaiming: a weight of shape {tensor.shape} connects nothing.")
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def kaiming_uniform_(
    tensor: Any,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    rng: np.random.Generator | None = None,
) -> Any:
    """Uniform in +-gain * sqrt(3 / fan) (He et al., 2015); `a` is the slope of leaky_relu.

    >>> import math, numpy as np, nn
    >>> w = nn.init.kaiming_uniform_(nn.Parameter(np.zeros((2, 4))), a=math.sqrt(5), rng=np.random.default_rng(0))
    >>> bool((np.abs(w.data) <= 0.5).all())
    True
    """
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, rng=rng)


def kaiming_normal_(
    tensor: Any,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    rng: np.random.Generator | None = None,
) -> Any:
    """Normal with standard deviation gain / sqrt(fan) (He et al., 2015).

    >>> import numpy as np, nn
    >>> nn.init.kaiming_normal_(nn.Parameter(np.zeros((2, 4))), rng=np.random.default_rng(0)).shape
    (2, 4)
    """
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), rng=rng)
