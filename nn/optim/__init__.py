"""Optimizers and schedules of the learning rate, with torch.optim's names, settings and steps.

Read next: `optimizer.py`, `descent.py`.
"""

from . import lr_scheduler
from .adaptive import Adagrad, Adam, AdamW, RMSprop
from .descent import SGD
from .optimizer import Optimizer

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "lr_scheduler"]
