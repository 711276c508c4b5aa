"""What is recorded from torch and compared with it: optimizers, schedules and layers, described as plain data.

`record_torch.py` and `record_weights.py` run these with torch and store what comes out; the tests run them with nn.

Read next: `record_torch.py`, `test_against_torch.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(__file__).parent / "data"
STEPS = 12
SHAPES = [(3, 2), (4,)]


def start() -> list[Any]:
    """The parameters before the first step."""
    rng = np.random.default_rng(1)
    return [rng.standard_normal(shape) for shape in SHAPES]


def gradients() -> list[list[Any]]:
    """The gradients of each step."""
    rng = np.random.default_rng(2)
    return [[rng.standard_normal(shape) for shape in SHAPES] for _ in range(STEPS)]


OPTIMIZERS: list[tuple[str, str, dict[str, Any]]] = [
    ("sgd", "SGD", {"lr": 0.1}),
    ("sgd_decay", "SGD", {"lr": 0.1, "weight_decay": 0.2}),
    ("sgd_maximize", "SGD", {"lr": 0.1, "maximize": True, "weight_decay": 0.2}),
    ("sgd_momentum", "SGD", {"lr": 0.1, "momentum": 0.9}),
    ("sgd_dampening", "SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    ("sgd_nesterov", "SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "maximize": True}),
    ("adam_defaults", "Adam", {}),
    ("adam", "Adam", {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.2}),
    ("adam_amsgrad", "Adam", {"lr": 0.1, "betas": (0.8, 0.5), "amsgrad": True, "maximize": True}),
    ("adamw_defaults", "AdamW", {"lr": 0.1}),
    ("adamw_amsgrad", "AdamW", {"lr": 0.1, "weight_decay": 0.5, "amsgrad": True, "betas": (0.8, 0.5)}),
    ("rmsprop_defaults", "RMSprop", {}),
    ("rmsprop", "RMSprop", {"lr": 0.1, "alpha": 0.7, "eps": 1e-2, "weight_decay": 0.1, "momentum": 0.8}),
    ("rmsprop_centered", "RMSprop", {"lr": 0.1, "centered": True, "maximize": True}),
    ("adagrad_defaults", "Adagrad", {}),
    (
        "adagrad",
        "Adagrad",
        {"lr": 0.5, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.3, "eps": 1e-3},
    ),
]

# name, class, settings; each runs on SGD with momentum 0.9 and two groups of learning rates 0.5 and 0.02
SCHEDULES: list[tuple[str, str, dict[str, Any]]] = [
    ("step", "StepLR", {"step_size": 3, "gamma": 0.5}),
    ("multistep", "MultiStepLR", {"milestones": [2, 5, 5, 9], "gamma": 0.3}),
    ("exponential", "ExponentialLR", {"gamma": 0.7}),
    ("cosine", "CosineAnnealingLR", {"T_max": 7, "eta_min": 0.01}),
    ("linear_defaults", "LinearLR", {}),
    ("linear", "LinearLR", {"start_factor": 0.2, "end_factor": 0.9, "total_iters": 8}),
    ("one_cycle", "OneCycleLR", {"max_lr": 1.0, "total_steps": 21}),
    ("one_cycle_linear", "OneCycleLR", {"max_lr": 1.0, "epochs": 3, "steps_per_epoch": 7, "anneal_strategy": "linear"}),
    ("one_cycle_three", "OneCycleLR", {"max_lr": 1.0, "total_steps": 21, "pct_start": 0.4, "three_phase": True}),
    ("one_cycle_list", "OneCycleLR", {"max_lr": [1.0, 0.25], "total_steps": 21, "base_momentum": 0.6}),
    ("plateau_list", "ReduceLROnPlateau", {"patience": 0, "factor": 0.5, "min_lr": [0.1, 0.001]}),
    ("plateau", "ReduceLROnPlateau", {"patience": 1, "factor": 0.5, "min_lr": 0.01}),
    (
        "plateau_max",
        "ReduceLROnPlateau",
        {"mode": "max", "patience": 0, "cooldown": 2, "threshold_mode": "abs", "threshold": 0.1},
    ),
]
SCHEDULE_STEPS = 20


# Schedules that go on where another run stopped: after FIRST steps a new schedule is made with last_epoch=FIRST.
CONTINUED = ("step", "multistep", "exponential", "cosine", "linear", "one_cycle")
FIRST = 4

# The classes and functions whose names, argument order and defaults are torch's, by module.
SIGNATURES: dict[str, tuple[str, ...]] = {
    "nn": (
        "AvgPool2d", "BCELoss", "BCEWithLogitsLoss", "BatchNorm1d", "BatchNorm2d", "Conv1d", "Conv2d",
        "CrossEntropyLoss", "Dropout", "ELU", "Embedding", "Flatten", "GELU", "HuberLoss", "L1Loss", "LayerNorm",
        "LeakyReLU", "Linear", "LogSoftmax", "MSELoss", "MaxPool2d", "NLLLoss", "ReLU", "SiLU", "SmoothL1Loss",
        "Softmax", "Softplus",
    ),
    "nn.functional": (
        "binary_cross_entropy", "cross_entropy", "dropout", "elu", "embedding", "huber_loss", "l1_loss", "leaky_relu",
        "log_softmax", "mse_loss", "nll_loss", "relu", "silu", "smooth_l1_loss", "softmax",
    ),
    "nn.init": (
        "constant_", "kaiming_normal_", "kaiming_uniform_", "normal_", "ones_", "uniform_", "xavier_normal_",
        "xavier_uniform_", "zeros_",
    ),
    "nn.utils": ("clip_grad_norm_", "clip_grad_value_"),
    "optim": ("Adagrad", "Adam", "AdamW", "RMSprop", "SGD"),
    "optim.lr_scheduler": (
        "CosineAnnealingLR", "ExponentialLR", "LinearLR", "MultiStepLR", "OneCycleLR", "ReduceLROnPlateau", "StepLR",
    ),
}  # fmt: skip


def metrics() -> list[float]:
    """The metric that a plateau schedule sees."""
    rng = np.random.default_rng(3)
    return [float(v) for v in np.abs(rng.standard_normal(SCHEDULE_STEPS)) + 1 / np.arange(1, SCHEDULE_STEPS + 1)]


# name, class, arguments, settings, input shape, the number of training calls before the compared one in eval()
LAYERS: list[tuple[str, str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = [
    ("linear", "Linear", (3, 2), {}, (5, 3)),
    ("linear_no_bias", "Linear", (3, 2), {"bias": False}, (2, 4, 3)),
    ("conv1d", "Conv1d", (2, 4, 3), {"stride": 2, "padding": 1, "groups": 2}, (3, 2, 9)),
    ("conv1d_same", "Conv1d", (2, 3, 4), {"padding": "same", "dilation": 2}, (3, 2, 9)),
    ("conv2d", "Conv2d", (3, 4, (3, 2)), {"stride": (2, 1), "padding": (0, 1), "dilation": (1, 2)}, (2, 3, 7, 8)),
    ("conv2d_same", "Conv2d", (2, 4, 3), {"padding": "same", "groups": 2, "bias": False}, (2, 2, 5, 6)),
    ("conv2d_valid", "Conv2d", (2, 3, 2), {"padding": "valid"}, (2, 2, 5, 4)),
    ("conv2d_one", "Conv2d", (2, 3, 2), {}, (2, 5, 4)),
    ("conv1d_circular", "Conv1d", (2, 3, 3), {"padding": 2, "padding_mode": "circular"}, (3, 2, 9)),
    (
        "conv2d_reflect",
        "Conv2d",
        (2, 3, (3, 2)),
        {"padding": (1, 2), "stride": 2, "padding_mode": "reflect"},
        (2, 2, 5, 6),
    ),
    (
        "conv2d_replicate_same",
        "Conv2d",
        (2, 3, (4, 3)),
        {"padding": "same", "dilation": (1, 2), "padding_mode": "replicate", "bias": False},
        (2, 2, 5, 6),
    ),
    ("max_pool", "MaxPool2d", (2,), {}, (2, 3, 6, 5)),
    ("max_pool_ceil", "MaxPool2d", (3, 2, 1), {"ceil_mode": True}, (2, 3, 6, 6)),
    ("max_pool_dilated", "MaxPool2d", ((2, 3),), {"stride": 1, "dilation": 2}, (1, 2, 7, 8)),
    ("max_pool_one", "MaxPool2d", (2,), {}, (3, 6, 5)),
    ("avg_pool", "AvgPool2d", (2,), {}, (2, 3, 6, 5)),
    ("avg_pool_ceil", "AvgPool2d", (3, 2, 1), {"ceil_mode": True}, (2, 3, 6, 6)),
    ("avg_pool_edge", "AvgPool2d", (3, 2, 1), {"ceil_mode": True, "count_include_pad": False}, (2, 3, 6, 6)),
    ("avg_pool_divisor", "AvgPool2d", ((3, 2),), {"divisor_override": 5, "stride": 1}, (2, 3, 6, 6)),
    ("flatten", "Flatten", (), {}, (2, 3, 4)),
    ("flatten_part", "Flatten", (0, 1), {}, (2, 3, 4)),
    ("batch_norm1d", "BatchNorm1d", (3,), {"momentum": 0.3, "eps": 0.1}, (6, 3)),
    ("batch_norm1d_length", "BatchNorm1d", (3,), {"momentum": None}, (4, 3, 5)),
    ("batch_norm2d", "BatchNorm2d", (3,), {}, (4, 3, 2, 5)),
    ("batch_norm2d_plain", "BatchNorm2d", (3,), {"affine": False, "track_running_stats": False}, (4, 3, 2, 5)),
    ("layer_norm", "LayerNorm", (4,), {"eps": 0.1}, (2, 3, 4)),
    ("layer_norm_two", "LayerNorm", ((3, 4),), {"bias": False}, (2, 3, 4)),
    ("layer_norm_plain", "LayerNorm", (4,), {"elementwise_affine": False}, (2, 3, 4)),
    ("embedding", "Embedding", (5, 3), {"padding_idx": -2}, (2, 4)),
    ("sigmoid", "Sigmoid", (), {}, (3, 4)),
    ("tanh", "Tanh", (), {}, (3, 4)),
    ("relu", "ReLU", (), {}, (3, 4)),
    ("leaky_relu", "LeakyReLU", (0.2,), {}, (3, 4)),
    ("elu", "ELU", (0.7,), {}, (3, 4)),
    ("gelu", "GELU", (), {}, (3, 4)),
    ("gelu_tanh", "GELU", ("tanh",), {}, (3, 4)),
    ("silu", "SiLU", (), {}, (3, 4)),
    ("softplus", "Softplus", (2.0, 1.5), {}, (3, 4)),
    ("log_sigmoid", "LogSigmoid", (), {}, (3, 4)),
    ("softmax", "Softmax", (), {"dim": 1}, (3, 4, 2)),
    ("log_softmax", "LogSoftmax", (), {"dim": 0}, (3, 4)),
    ("dropout_eval", "Dropout", (0.3,), {}, (3, 4)),
    ("identity", "Identity", (), {}, (3, 4)),
]


def layer_input(name: str, kind: str, shape: tuple[int, ...]) -> Any:
    """The input of a layer: normal numbers, or row numbers for a table."""
    rng = np.random.default_rng(sum(name.encode()))
    if kind == "Embedding":
        return rng.integers(0, 5, shape)
    # Rounded, so that a convention at ties would show; never 0, where kinks are.
    return np.round(rng.standard_normal(shape), 1) + 0.01


def cotangent(shape: tuple[int, ...]) -> Any:
    """The gradient that is sent back from a result."""
    return np.random.default_rng(4).standard_normal(shape)


# name, class, settings, the shape of the input, the kind of the target
LOSSES: list[tuple[str, str, dict[str, Any], tuple[int, ...], str]] = [
    ("mse", "MSELoss", {}, (4, 3), "real"),
    ("mse_sum", "MSELoss", {"reduction": "sum"}, (4, 3), "real"),
    ("l1_none", "L1Loss", {"reduction": "none"}, (4, 3), "real"),
    ("smooth_l1", "SmoothL1Loss", {"beta": 0.3}, (4, 3), "real"),
    ("smooth_l1_sharp", "SmoothL1Loss", {"beta": 0.0}, (4, 3), "real"),
    ("huber", "HuberLoss", {"delta": 0.6, "reduction": "sum"}, (4, 3), "real"),
    ("bce", "BCELoss", {"weight": [0.5, 1.0, 2.0]}, (4, 3), "probability"),
    ("bce_logits", "BCEWithLogitsLoss", {"weight": [0.5, 1.0, 2.0], "pos_weight": [3.0, 1.0, 0.5]}, (4, 3), "fraction"),
    ("nll", "NLLLoss", {"weight": [0.5, 1.0, 2.0], "ignore_index": 1}, (6, 3), "label"),
    ("nll_image", "NLLLoss", {"reduction": "none", "weight": [0.5, 1.0, 2.0]}, (2, 3, 4), "label"),
    ("cross_entropy", "CrossEntropyLoss", {}, (6, 3), "label"),
    ("cross_entropy_sum", "CrossEntropyLoss", {"reduction": "sum", "ignore_index": 2}, (6, 3), "label"),
    (
        "cross_entropy_all",
        "CrossEntropyLoss",
        {"weight": [0.5, 1.0, 2.0], "ignore_index": 1, "label_smoothing": 0.2},
        (6, 3),
        "label",
    ),
    ("cross_entropy_image", "CrossEntropyLoss", {"label_smoothing": 0.1}, (2, 3, 4), "label"),
    ("cross_entropy_one", "CrossEntropyLoss", {}, (3,), "label"),
    (
        "cross_entropy_soft",
        "CrossEntropyLoss",
        {"weight": [0.5, 1.0, 2.0], "label_smoothing": 0.2},
        (6, 3),
        "distribution",
    ),
    ("cross_entropy_soft_none", "CrossEntropyLoss", {"reduction": "none"}, (2, 3, 4), "distribution"),
]


def loss_data(name: str, shape: tuple[int, ...], kind: str) -> tuple[Any, Any]:
    """The input and the target of a loss."""
    rng = np.random.default_rng(sum(name.encode()))
    x = rng.standard_normal(shape)
    if kind == "label":
        axis = 1 if len(shape) > 1 else 0
        return x, rng.integers(0, shape[axis], shape[:axis] + shape[axis + 1 :])
    if kind == "real":
        return x, rng.standard_normal(shape)
    t = rng.random(shape)
    if kind == "distribution":
        return x, t / t.sum(axis=1, keepdims=True)
    return (rng.random(shape) if kind == "probability" else x), t
