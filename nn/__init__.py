"""nn: layers, losses, optimizers and training on top of autograd_lite, with torch.nn's names, shapes and defaults.

    import nn
    net = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    step = nn.TrainStep(net, nn.CrossEntropyLoss(), nn.optim.Adam(net.parameters()))

Read next: `modules.py`.
"""

from . import functional, init, optim, utils
from .containers import ModuleDict, ModuleList, Sequential
from .layers import (
    ELU, GELU, Dropout, Embedding, Flatten, Identity, LeakyReLU, Linear, LogSigmoid, LogSoftmax, ReLU, Sigmoid, SiLU,
    Softmax, Softplus, Tanh,
)  # fmt: skip
from .losses import (
    BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, HuberLoss, L1Loss, MSELoss, NLLLoss, SmoothL1Loss,
)  # fmt: skip
from .modules import Buffer, Module, Parameter
from .seeding import manual_seed
from .training import TrainStep

__all__ = [
    "BCELoss", "BCEWithLogitsLoss", "Buffer", "CrossEntropyLoss", "Dropout", "ELU", "Embedding", "Flatten", "GELU",
    "HuberLoss", "Identity", "L1Loss", "LeakyReLU", "Linear", "LogSigmoid", "LogSoftmax", "MSELoss", "Module",
    "ModuleDict", "ModuleList", "NLLLoss", "Parameter", "ReLU", "Sequential", "SiLU", "Sigmoid", "SmoothL1Loss",
    "Softmax", "Softplus", "Tanh", "TrainStep", "functional", "init", "manual_seed", "optim", "utils",
]  # fmt: skip
