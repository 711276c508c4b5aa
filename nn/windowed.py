"""Layers that look through windows, and layers that normalise: convolution, pooling, batch and layer norm.

Read next: `functional/windows.py`, `functional/pooling.py`, `functional/normalization.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import autograd_lite as ag

from . import functional as F
from .functional.windows import spread
from .layers import new_bias, new_weight
from .modules import Buffer, Module, Parameter

# torch's names and NumPy's
PADDING_MODES: dict[str, Any] = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


class _Convolution(Module):
    """What the convolutions have in common: `axes` spatial axes."""

    axes: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        dtype: Any = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        name = type(self).__name__
        if padding_mode not in PADDING_MODES:
            raise ValueError(f"{name}: padding_mode must be one of {list(PADDING_MODES)}, not {padding_mode!r}.")
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(f"{name}: {groups=} must divide {in_channels=} and {out_channels=}.")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = spread(name, kernel_size, self.axes, "kernel_size", 1)
        self.stride = spread(name, stride, self.axes, "stride", 1)
        self.padding = padding if isinstance(padding, str) else spread(name, padding, self.axes, "padding", 0)
        self.dilation = spread(name, dilation, self.axes, "dilation", 1)
        self.groups = groups
        self.padding_mode = padding_mode
        self.weight = new_weight((out_channels, in_channels // groups, *self.kernel_size), dtype, rng)
        self.bias = new_bias(self.weight, out_channels, rng) if bias else None

    def extra_repr(self) -> str:
        """The sizes, and what differs from the defaults."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0,) * self.axes:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * self.axes:
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        return text if self.padding_mode == "zeros" else f"{text}, padding_mode={self.padding_mode}"

    def _convolved(self, convolve: Callable[..., Any], x: Any) -> Any:
        """The convolution; what it pads with anything but zeros is padded before."""
        padding = self.padding
        if self.padding_mode != "zeros":
            x, padding = np.pad(x, self._widths(len(x.shape)), mode=PADDING_MODES[self.padding_mode]), "valid"
        return convolve(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def _widths(self, ndim: int) -> list[tuple[int, int]]:
        """How many entries come before and after, for each axis of the input."""
        spatial = [(0, 0)] * self.axes
        if self.padding == "same":
            whole = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            spatial = [(each // 2, each - each // 2) for each in whole]
        elif not isinstance(self.padding, str):
            spatial = [(each, each) for each in self.padding]
        return [(0, 0)] * (ndim - self.axes) + spatial


class Conv1d(_Convolution):
    """Cross-correlation along one axis: (N, in_channels, L) becomes (N, out_channels, L').

    >>> import numpy as np, nn
    >>> nn.Conv1d(2, 4, 3)(np.ones((5, 2, 10), np.float32)).shape
    (5, 4, 8)
    """

    axes = 1

    def forward(self, x: Any) -> Any:
        """Each window times the weight, plus the bias."""
        return self._convolved(F.conv1d, x)


class Conv2d(_Convolution):
    """Cross-correlation of images: (N, in_channels, H, W) becomes (N, out_channels, H', W').

    The weight is (out_channels, in_channels / groups, *kernel_size); `padding` is a number, one for each axis, "same"
    or "valid", and `padding_mode` says with what: "zeros", "reflect", "replicate" or "circular".

    >>> import numpy as np, nn
    >>> nn.Conv2d(1, 6, 5, padding=2)(np.ones((3, 1, 28, 28), np.float32)).shape
    (3, 6, 28, 28)
    """

    axes = 2

    def forward(self, x: Any) -> Any:
        """Each window times the weight, plus the bias."""
        return self._convolved(F.conv2d, x)


class MaxPool2d(Module):
    """The largest entry of each window; the stride is the window's size if not given.

    >>> import numpy as np, nn
    >>> nn.MaxPool2d(2)(np.ones((1, 6, 28, 28))).shape
    (1, 6, 14, 14)
    """

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, *, ceil_mode: bool = False
    ) -> None:
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.ceil_mode = ceil_mode

    def forward(self, x: Any) -> Any:
        """The largest entry of each window."""
        return F.max_pool2d(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)

    def extra_repr(self) -> str:
        """The windows."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class AvgPool2d(Module):
    """The mean of each window; the stride is the window's size if not given.

    >>> import numpy as np, nn
    >>> nn.AvgPool2d(2)(np.ones((1, 6, 28, 28))).shape
    (1, 6, 14, 14)
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, x: Any) -> Any:
        """The mean of each window."""
        return F.avg_pool2d(
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        """The windows."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _BatchNorm(Module):
    """Each channel with mean 0 and variance 1 over the batch, then times weight plus bias."""

    dims: tuple[int, ...]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
        dtype: Any = np.float32,
    ) -> None:
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self.weight = Parameter(np.ones(num_features, dtype)) if affine else None
        self.bias = Parameter(np.zeros(num_features, dtype)) if affine and bias else None
        self.running_mean = Buffer(np.zeros(num_features, dtype)) if track_running_stats else None
        self.running_var = Buffer(np.ones(num_features, dtype)) if track_running_stats else None
        self.num_batches_tracked = Buffer(np.array(0)) if track_running_stats else None

    def forward(self, x: Any) -> Any:
        """x normalised by the batch's statistics in training, by the running ones in eval()."""
        if x.ndim not in self.dims:
            raise ValueError(f"{type(self).__name__}: input of shape {x.shape} must have {self.dims} axes.")
        momentum = self.momentum
        if self.training and self.num_batches_tracked is not None:
            with ag.no_grad():
                self.num_batches_tracked[...] = self.num_batches_tracked + 1
            if momentum is None:  # the plain average of all batches so far
                momentum = 1 / self.num_batches_tracked.astype(x.dtype)
        return F.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            0.0 if momentum is None else momentum,
            self.eps,
        )

    def extra_repr(self) -> str:
        """The size and the settings."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """Batch norm of (N, C) or (N, C, L), running statistics kept for eval().

    >>> import numpy as np, nn
    >>> nn.BatchNorm1d(1, dtype=np.float64)(np.array([[1.0], [3.0]])).round(3).tolist()
    [[-1.0], [1.0]]
    """

    dims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch norm of images (N, C, H, W), running statistics kept for eval().

    >>> import numpy as np, nn
    >>> nn.BatchNorm2d(3)(np.ones((2, 3, 4, 4), np.float32)).shape
    (2, 3, 4, 4)
    """

    dims = (4,)


class LayerNorm(Module):
    """Mean 0 and variance 1 over the last axes, of shape `normalized_shape`, then times weight plus bias.

    >>> import numpy as np, nn
    >>> nn.LayerNorm(2, dtype=np.float64)(np.array([[1.0, 3.0]])).round(3).tolist()
    [[-1.0, 1.0]]
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: Any = np.float32,
    ) -> None:
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        if not shape or math.prod(shape) == 0:
            raise ValueError(f"LayerNorm: normalized_shape={normalized_shape} holds no entries.")
        self.normalized_shape = shape
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.weight = Parameter(np.ones(shape, dtype)) if elementwise_affine else None
        self.bias = Parameter(np.zeros(shape, dtype)) if elementwise_affine and bias else None

    def forward(self, x: Any) -> Any:
        """x normalised over its last axes."""
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The size and the settings."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )
