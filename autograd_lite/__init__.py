"""autograd-lite: plain NumPy code with exact gradients.

    >>> import numpy as np, autograd_lite as ag
    >>> ag.grad(lambda x: np.sum(x ** 2))(np.array([1.0, 2.0]))
    array([2., 4.])

Tensors and derivatives are loaded at once; what reads programs (pictures, source, the compiler, the checks) when it is
first asked for, so that importing stays quick.

Read next: `tensors.py`.
"""

import importlib
from typing import TYPE_CHECKING, Any

from .anomaly import detect_anomaly
from .custom import primitive
from .derivatives import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp
from .recording import enable_grad, is_grad_enabled, no_grad, scope
from .tensors import Tensor, tensor

if TYPE_CHECKING:
    from .checks import check_backprop, gradcheck
    from .compiler import compile
    from .drawing import draw
    from .exporting import export_onnx
    from .flattening import ravel
    from .loops import watch
    from .mutation import mutate
    from .program import Program
    from .recomputing import checkpoint
    from .source import backprop_source
    from .tracing import trace

__all__ = [
    "Program", "Tensor", "backprop_source", "check_backprop", "checkpoint", "compile", "detect_anomaly", "draw",
    "enable_grad", "export_onnx", "grad", "gradcheck", "hessian", "hvp", "is_grad_enabled", "jacobian", "jvp",
    "mutate", "no_grad", "primitive", "ravel", "scope", "tensor", "trace", "value_and_grad", "vjp", "watch",
]  # fmt: skip

_LATER = {
    "Program": "program", "backprop_source": "source", "check_backprop": "checks", "checkpoint": "recomputing",
    "compile": "compiler", "draw": "drawing", "export_onnx": "exporting", "gradcheck": "checks", "mutate": "mutation",
    "ravel": "flattening", "trace": "tracing", "watch": "loops",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f".{_LATER[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
