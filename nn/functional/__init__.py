"""Functions of layers and losses, with torch.nn.functional's names: on tensors each is recorded as one operation.

Read next: `dense.py`, `activations.py`, `losses.py`.
"""

from .activations import (
    elu, erf, gelu, leaky_relu, log_softmax, logsigmoid, logsumexp, relu, sigmoid, silu, softmax, softplus, tanh,
)  # fmt: skip
from .classification import cross_entropy, nll_loss
from .dense import embedding, linear
from .losses import (
    binary_cross_entropy, binary_cross_entropy_with_logits, huber_loss, l1_loss, mse_loss, smooth_l1_loss,
)  # fmt: skip

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "elu", "embedding", "erf", "gelu",
    "huber_loss", "l1_loss", "leaky_relu", "linear", "log_softmax", "logsigmoid", "logsumexp", "mse_loss", "nll_loss",
    "relu", "sigmoid", "silu", "smooth_l1_loss", "softmax", "softplus", "tanh",
]  # fmt: skip
