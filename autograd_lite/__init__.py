"""autograd-lite: plain NumPy code with exact gradients.

Read next: `tensors.py`.
"""

from .anomaly import detect_anomaly
from .checks import check_backprop, gradcheck
from .compiler import compile
from .custom import primitive
from .derivatives import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp
from .drawing import draw
from .program import Program
from .recomputing import checkpoint
from .recording import enable_grad, is_grad_enabled, no_grad, scope
from .source import backprop_source
from .tensors import Tensor, tensor
from .tracing import trace

__all__ = [
    "Program", "Tensor", "backprop_source", "check_backprop", "checkpoint", "compile", "detect_anomaly", "draw",
    "enable_grad", "grad", "gradcheck", "hessian", "hvp", "is_grad_enabled", "jacobian", "jvp", "no_grad", "primitive",
    "scope", "tensor", "trace", "value_and_grad", "vjp",
]  # fmt: skip
