"""Schedules of the learning rate: call `scheduler.step()` after each epoch (OneCycleLR: after each batch).

    schedule = nn.optim.lr_scheduler.StepLR(optimizer, step_size=10)

Read next: `base.py`, `formulas.py`, `one_cycle.py`, `plateau.py`; then `../../training.py`.
"""

from .base import LRScheduler
from .formulas import CosineAnnealingLR, ExponentialLR, LinearLR, MultiStepLR, StepLR
from .one_cycle import OneCycleLR
from .plateau import ReduceLROnPlateau

__all__ = [
    "CosineAnnealingLR",
    "ExponentialLR",
    "LRScheduler",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "ReduceLROnPlateau",
    "StepLR",
]
