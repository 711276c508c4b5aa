"""nn: layers, losses, optimizers and training on top of autograd_lite, with torch.nn's names, shapes and defaults.

    import nn
    net = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    step = nn.TrainStep(net, nn.CrossEntropyLoss(), nn.optim.Adam(net.parameters()))

Read next: `modules.py`.
"""

from typing import TYPE_CHECKING, Any

from . import distributed, functional, init, optim, utils
from .charts import TrainingCharts
from .containers import ModuleDict, ModuleList, Sequential
from .data import DataLoader, TensorDataset, kfold, one_hot, standardize, train_test_split
from .evaluation import accuracy, evaluate
from .fitting import fit
from .layers import (
    ELU,
    GELU,
    Dropout,
    Embedding,
    Flatten,
    Identity,
    LeakyReLU,
    Linear,
    LogSigmoid,
    LogSoftmax,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from .losses import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HuberLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
    SmoothL1Loss,
)
from .modules import Buffer, Module, Parameter
from .saving import load, save
from .seeding import manual_seed
from .stateless import functional_call
from .stopping import EarlyStopping
from .training import TrainStep
from .windowed import AvgPool2d, BatchNorm1d, BatchNorm2d, Conv1d, Conv2d, LayerNorm, MaxPool2d

if TYPE_CHECKING:
    from . import sklearn as sklearn
    from .diagnosis import diagnose

__all__ = [
    "ELU",
    "GELU",
    "AvgPool2d",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Buffer",
    "Conv1d",
    "Conv2d",
    "CrossEntropyLoss",
    "DataLoader",
    "Dropout",
    "EarlyStopping",
    "Embedding",
    "Flatten",
    "HuberLoss",
    "Identity",
    "L1Loss",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "MSELoss",
    "MaxPool2d",
    "Module",
    "ModuleDict",
    "ModuleList",
    "NLLLoss",
    "Parameter",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SmoothL1Loss",
    "Softmax",
    "Softplus",
    "Tanh",
    "TensorDataset",
    "TrainStep",
    "TrainingCharts",
    "accuracy",
    "diagnose",
    "distributed",
    "evaluate",
    "fit",
    "functional",
    "functional_call",
    "init",
    "kfold",
    "load",
    "manual_seed",
    "one_hot",
    "optim",
    "save",
    "standardize",
    "train_test_split",
    "utils",
]


def __getattr__(name: str) -> Any:
    if name == "sklearn":  # loaded when it is asked for: it alone needs scikit-learn, which takes its time
        import importlib

        return importlib.import_module(".sklearn", __name__)
    if name == "diagnose":  # it reads programs, which training does without
        from .diagnosis import diagnose

        return diagnose
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
