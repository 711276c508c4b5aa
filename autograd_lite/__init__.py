"""autograd-lite: plain NumPy code with exact gradients.

Read next: `tensors.py`.
"""

from .custom import primitive
from .recording import enable_grad, is_grad_enabled, no_grad, scope
from .tensors import Tensor, tensor

__all__ = ["Tensor", "enable_grad", "is_grad_enabled", "no_grad", "primitive", "scope", "tensor"]
