"""Layers without windows: linear maps, tables, activations. Parameters are float32 unless `dtype=` says otherwise.

Weights have torch's shapes and its initial distribution, drawn from `rng=` or from the generator that `manual_seed`
starts, so that a state_dict moves between the two libraries as it is.

Read next: `losses.py`, `windowed.py`, `functional/`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import functional as F
from . import init
from .modules import Module, Parameter
from .seeding import default_rng


def new_weight(shape: tuple[int, ...], dtype: Any, rng: np.random.Generator | None) -> Parameter:
    """A weight with torch's default: kaiming_uniform with a = sqrt(5), which is uniform in +-1 / sqrt(fan_in)."""
    weight = Parameter(np.empty(shape, dtype))
    if weight.size:
        init.kaiming_uniform_(weight, a=math.sqrt(5), rng=rng)
    return weight


def new_bias(weight: Parameter, count: int, rng: np.random.Generator | None) -> Parameter:
    """A bias with torch's default: uniform in +-1 / sqrt(fan_in of its weight)."""
    fan_in = init.fans(weight.shape)[0]
    bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
    return init.uniform_(Parameter(np.empty(count, weight.dtype)), -bound, bound, rng=rng)  # type: ignore[no-any-return]  # gives back its argument


class Linear(Module):
    """x w^T + b: input (..., in_features), result (..., out_features), weight (out_features, in_features).

    >>> import numpy as np, nn
    >>> layer = nn.Linear(2, 3, rng=np.random.default_rng(0))
    >>> layer(np.ones((5, 2), np.float32)).shape, layer.weight.shape
    ((5, 3), (3, 2))
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: Any = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.in_features = in_features
        self.out_features = out_features
        self.weight = new_weight((out_features, in_features), dtype, rng)
        self.bias = new_bias(self.weight, out_features, rng) if bias else None

    def forward(self, x: Any) -> Any:
        """x w^T + b."""
        return F.linear(x, self.weight) if self.bias is None else F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Embedding(Module):
    """Rows of a table by number: integers of any shape become (..., embedding_dim); the table starts standard normal.

    The row `padding_idx` starts at zero and is not trained.

    >>> import numpy as np, nn
    >>> nn.Embedding(10, 4)(np.array([[1, 2, 3]])).shape
    (1, 3, 4)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        dtype: Any = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ValueError(f"Embedding: padding_idx={padding_idx} is no row of a table of {num_embeddings}.")
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.weight = Parameter(default_rng(rng).standard_normal((num_embeddings, embedding_dim)), dtype=dtype)
        if self.padding_idx is not None:
            self.weight.data[self.padding_idx] = 0

    def forward(self, x: Any) -> Any:
        """The rows numbered `x`."""
        return F.embedding(x, self.weight, padding_idx=self.padding_idx)

    def extra_repr(self) -> str:
        """The sizes."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"


class Flatten(Module):
    """Joins the axes start_dim to end_dim into one: (N, C, H, W) becomes (N, C H W).

    >>> import numpy as np, nn
    >>> nn.Flatten()(np.ones((2, 3, 4))).shape
    (2, 12)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, x: Any) -> Any:
        """The same entries with fewer axes."""
        shape = x.shape
        if len(shape) <= self.start_dim:
            raise ValueError(f"Flatten(start_dim={self.start_dim}): the input has no such axis, its shape is {shape}.")
        end = self.end_dim % len(shape) + 1
        return np.reshape(x, (*shape[: self.start_dim], math.prod(shape[self.start_dim : end]), *shape[end:]))

    def extra_repr(self) -> str:
        """The axes."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Dropout(Module):
    """Sets entries to 0 with probability `p` in training, and scales the rest by 1 / (1 - p); does nothing in eval().

    `inplace` is known for the sake of networks written for torch: a new array is made in any case.

    >>> import numpy as np, nn
    >>> nn.Dropout(0.5).eval()(np.ones(3)).tolist()
    [1.0, 1.0, 1.0]
    """

    def __init__(self, p: float = 0.5, inplace: bool = False, *, rng: np.random.Generator | None = None) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"Dropout: p is a probability, and {p} is none.")
        self.p = p
        self.inplace = inplace
        self.rng = rng

    def forward(self, x: Any) -> Any:
        """x times a random mask."""
        return F.dropout(x, self.p, self.training, rng=self.rng)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}, inplace={self.inplace}"


class Identity(Module):
    """Gives its input back, whatever it was made with.

    >>> import nn
    >>> nn.Identity()(3)
    3
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, x: Any) -> Any:
        """x."""
        return x


# ---- activations -----------------------------------------------------------------------------------------------


class Sigmoid(Module):
    """1 / (1 + exp(-x)).

    >>> import numpy as np, nn
    >>> nn.Sigmoid()(np.zeros(1)).tolist()
    [0.5]
    """

    def forward(self, x: Any) -> Any:
        """The sigmoid of each entry."""
        return F.sigmoid(x)


class Tanh(Module):
    """The hyperbolic tangent.

    >>> import numpy as np, nn
    >>> nn.Tanh()(np.zeros(1)).tolist()
    [0.0]
    """

    def forward(self, x: Any) -> Any:
        """The hyperbolic tangent of each entry."""
        return np.tanh(x)


class ReLU(Module):
    """max(x, 0). Here and below, `inplace` is known for the sake of networks written for torch: a new array is made in
    any case.

    >>> import numpy as np, nn
    >>> nn.ReLU()(np.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace

    def forward(self, x: Any) -> Any:
        """Each entry, if it is positive, else 0."""
        return F.relu(x)

    def extra_repr(self) -> str:
        """Whether in place."""
        return "inplace=True" if self.inplace else ""


class LeakyReLU(Module):
    """x where x > 0, else negative_slope * x.

    >>> import numpy as np, nn
    >>> nn.LeakyReLU(0.5)(np.array([-1.0, 2.0])).tolist()
    [-0.5, 2.0]
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, x: Any) -> Any:
        """The leaky relu of each entry."""
        return F.leaky_relu(x, negative_slope=self.negative_slope)

    def extra_repr(self) -> str:
        """The slope."""
        return f"negative_slope={self.negative_slope}" + ", inplace=True" * self.inplace


class ELU(Module):
    """x where x > 0, else alpha * (exp(x) - 1).

    >>> import numpy as np, nn
    >>> nn.ELU()(np.array([-1e4, 2.0])).tolist()
    [-1.0, 2.0]
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, x: Any) -> Any:
        """The elu of each entry."""
        return F.elu(x, alpha=self.alpha)

    def extra_repr(self) -> str:
        """alpha."""
        return f"alpha={self.alpha}" + ", inplace=True" * self.inplace


class GELU(Module):
    """x * Phi(x), exactly or, with approximate="tanh", nearly.

    >>> import numpy as np, nn
    >>> nn.GELU()(np.array([1.0])).round(4).tolist()
    [0.8413]
    """

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate

    def forward(self, x: Any) -> Any:
        """The gelu of each entry."""
        return F.gelu(x, approximate=self.approximate)

    def extra_repr(self) -> str:
        """Which form."""
        return f"approximate={self.approximate!r}"


class SiLU(Module):
    """x * sigmoid(x).

    >>> import numpy as np, nn
    >>> nn.SiLU()(np.zeros(1)).tolist()
    [0.0]
    """

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace

    def forward(self, x: Any) -> Any:
        """The silu of each entry."""
        return F.silu(x)

    def extra_repr(self) -> str:
        """Whether in place."""
        return "inplace=True" if self.inplace else ""


class Softplus(Module):
    """log(1 + exp(beta x)) / beta.

    >>> import numpy as np, nn
    >>> nn.Softplus()(np.zeros(1)).round(4).tolist()
    [0.6931]
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta = beta
        self.threshold = threshold

    def forward(self, x: Any) -> Any:
        """The softplus of each entry."""
        return F.softplus(x, beta=self.beta, threshold=self.threshold)

    def extra_repr(self) -> str:
        """beta and the threshold."""
        return f"beta={self.beta}, threshold={self.threshold}"


class LogSigmoid(Module):
    """log(sigmoid(x)).

    >>> import numpy as np, nn
    >>> nn.LogSigmoid()(np.zeros(1)).round(4).tolist()
    [-0.6931]
    """

    def forward(self, x: Any) -> Any:
        """The logarithm of each entry's sigmoid."""
        return F.logsigmoid(x)


class Softmax(Module):
    """exp(x) / sum(exp(x)) along `dim` (the last axis of a matrix if not given).

    >>> import numpy as np, nn
    >>> nn.Softmax(dim=1)(np.zeros((1, 2))).tolist()
    [[0.5, 0.5]]
    """

    def __init__(self, dim: int | None = None) -> None:
        self.dim = dim

    def forward(self, x: Any) -> Any:
        """Positive numbers that add up to 1."""
        return F.softmax(x, self.dim)

    def extra_repr(self) -> str:
        """The axis."""
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """log(softmax(x)) along `dim` (the last axis of a matrix if not given).

    >>> import numpy as np, nn
    >>> nn.LogSoftmax(dim=1)(np.zeros((1, 2))).round(4).tolist()
    [[-0.6931, -0.6931]]
    """

    def __init__(self, dim: int | None = None) -> None:
        self.dim = dim

    def forward(self, x: Any) -> Any:
        """The logarithms of the softmax."""
        return F.log_softmax(x, self.dim)

    def extra_repr(self) -> str:
        """The axis."""
        return f"dim={self.dim}"
