"""What layers become in ONNX, for `ag.export_onnx`; what is not here is taken apart into NumPy's functions.

Read next: `../../autograd_lite/onnx_graph.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from . import activations, dense, normalization, pooling, windows
from .windows import Windows

# ---- activations -------------------------------------------------------------------------------------------------


def _gelu(g: Any, x: Any, approximate: str = "none") -> Any:
    """Both forms by hand: ONNX's own needs a newer version than many runtimes read."""

    def number(value: float) -> Any:
        return g.constant(value, x.dtype)

    if approximate == "tanh":
        cube = g("Mul", g("Mul", x, x), x)
        inner = g("Mul", g("Add", x, g("Mul", cube, number(0.044715))), number(math.sqrt(2 / math.pi)))
        share = g("Tanh", inner)
    else:
        share = g("Erf", g("Mul", x, number(math.sqrt(0.5))))
    return g("Mul", g("Mul", x, number(0.5)), g("Add", share, number(1)))


def _softplus(g: Any, x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    scaled = x if beta == 1 else g("Mul", x, g.constant(beta, x.dtype))
    y = g("Softplus", scaled)
    y = y if beta == 1 else g("Div", y, g.constant(beta, x.dtype))
    return g("Where", g("Greater", scaled, g.constant(threshold, x.dtype), dtype=bool), x, y, dtype=x.dtype)


def _logsumexp(g: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    axes = None if axis is None else g.constant(np.atleast_1d(axis), np.int64, "axes")
    return g("ReduceLogSumExp", x, axes, keepdims=int(keepdims))


activations.sigmoid.def_onnx(lambda g, x: g("Sigmoid", x))
activations.relu.def_onnx(lambda g, x: g("Relu", x))
activations.leaky_relu.def_onnx(lambda g, x, negative_slope=0.01: g("LeakyRelu", x, alpha=float(negative_slope)))
activations.elu.def_onnx(lambda g, x, alpha=1.0: g("Elu", x, alpha=float(alpha)))
activations.silu.def_onnx(lambda g, x: g("Mul", x, g("Sigmoid", x)))
activations.gelu.def_onnx(_gelu)
activations.erf.def_onnx(lambda g, x: g("Erf", x))
activations.softplus.def_onnx(_softplus)
activations.logsigmoid.def_onnx(lambda g, x: g("Neg", g("Softplus", g("Neg", x))))
activations.softmax_along.def_onnx(lambda g, x, axis=-1: g("Softmax", x, axis=axis))
activations.log_softmax_along.def_onnx(lambda g, x, axis=-1: g("LogSoftmax", x, axis=axis))
activations.logsumexp.def_onnx(_logsumexp)

# ---- matrices and norms ------------------------------------------------------------------------------------------


def _linear(g: Any, x: Any, weight: Any, bias: Any = None) -> Any:
    if x.ndim == weight.ndim == 2:
        return g("Gemm", x, weight, bias, transB=1)
    product = g("MatMul", x, g("Transpose", weight) if weight.ndim == 2 else weight)
    return product if bias is None else g("Add", product, bias)


def _activated(kind: str) -> Callable[..., Any]:
    return lambda g, x, weight, bias=None: g(kind, _linear(g, x, weight, bias))


def _embedding(g: Any, x: Any, weight: Any, padding_idx: int | None = None) -> Any:
    return g("Gather", weight, g.cast(x, np.int64), axis=0)


def _standardized(g: Any, x: Any, weight: Any, bias: Any, axes: tuple[int, ...], eps: float) -> Any:
    """ONNX's layer norm where the axes are the last ones; over others (the batch) the formula."""
    first = min(axes)
    shape = x.shape[first:]
    if axes == tuple(range(first, x.ndim)) and all(isinstance(each, int) for each in shape):
        scale = g.constant(np.ones(shape), x.dtype, "scale") if weight is None else weight
        return g("LayerNormalization", x, scale, bias, axis=first, epsilon=eps)
    over = g.constant(axes, np.int64, "axes")
    centred = g("Sub", x, g("ReduceMean", x, over, keepdims=1))
    variance = g("ReduceMean", g("Mul", centred, centred), over, keepdims=1)
    y = g("Div", centred, g("Sqrt", g("Add", variance, g.constant(eps, x.dtype))))
    y = y if weight is None else g("Mul", y, weight)
    return y if bias is None else g("Add", y, bias)


dense.linear.def_onnx(_linear)
dense.linear_sigmoid.def_onnx(_activated("Sigmoid"))
dense.linear_tanh.def_onnx(_activated("Tanh"))
dense.linear_relu.def_onnx(_activated("Relu"))
dense.embedding.def_onnx(_embedding)
normalization.standardized.def_onnx(_standardized)

# ---- windows -----------------------------------------------------------------------------------------------------


def _convolution(g: Any, x: Any, weight: Any, bias: Any, where: Windows, groups: int) -> Any:
    return g(
        "Conv", x, weight, bias, kernel_shape=where.size, strides=where.stride, pads=(*where.before, *where.after),
        dilations=where.dilation, group=groups,
    )  # fmt: skip


def _pooled(kind: str, value: float) -> Callable[..., Any]:
    def form(g: Any, x: Any, where: Windows) -> Any:
        y = x if x.ndim == 4 else g("Unsqueeze", x, g.constant([0], np.int64, "axes"))
        if any(where.before + where.after):  # what reaches over the edge is no padding that ONNX's pooling allows
            widths = g.constant((0, 0, *where.before, 0, 0, *where.after), np.int64, "widths")
            y = g("Pad", y, widths, g.constant(value, x.dtype))
        dilations = where.dilation if any(each != 1 for each in where.dilation) else None
        y = g(kind, y, kernel_shape=where.size, strides=where.stride, dilations=dilations)
        return y if x.ndim == 4 else g("Squeeze", y, g.constant([0], np.int64, "axes"))

    return form


def _sum(g: Any, x: Any, where: Windows) -> Any:
    """The mean of each window times its size."""
    return g("Mul", _pooled("AveragePool", 0.0)(g, x, where), g.constant(math.prod(where.size), x.dtype))


windows.convolution.def_onnx(_convolution)
pooling.largest_of_windows.def_onnx(_pooled("MaxPool", -np.inf))
pooling.sum_of_windows.def_onnx(_sum)
