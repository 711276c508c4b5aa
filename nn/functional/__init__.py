"""Functions of layers and losses, with torch.nn.functional's names: on tensors each is recorded as one operation.

Read next: `dense.py`, `activations.py`, `losses.py`.
"""

from . import onnx_forms as _onnx_forms  # noqa: F401  # tells each function what it is in ONNX
from .activations import (
    elu,
    erf,
    gelu,
    leaky_relu,
    log_softmax,
    logsigmoid,
    logsumexp,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from .classification import cross_entropy, nll_loss
from .dense import embedding, linear
from .losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    huber_loss,
    l1_loss,
    mse_loss,
    smooth_l1_loss,
)
from .normalization import batch_norm, dropout, layer_norm
from .pooling import avg_pool2d, max_pool2d
from .windows import conv1d, conv2d, fold, unfold

__all__ = [
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "conv1d",
    "conv2d",
    "cross_entropy",
    "dropout",
    "elu",
    "embedding",
    "erf",
    "fold",
    "gelu",
    "huber_loss",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "logsumexp",
    "max_pool2d",
    "mse_loss",
    "nll_loss",
    "relu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "tanh",
    "unfold",
]
