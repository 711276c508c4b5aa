"""Batch norm whose statistics are those of all ranks: as if one process had seen the whole batch.

    model = nn.distributed.synchronize(model)
    nn.fit(model, ..., comm=MPI.COMM_WORLD)

It costs two more Allreduces a layer in each direction. Without it a batch norm normalises by its own rank's rows, and
the running statistics are averaged after every epoch.

Read next: `distributed.py`.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np

import autograd_lite as ag
from autograd_lite.recording import thread

from .modules import Module
from .windowed import BatchNorm1d, BatchNorm2d, _BatchNorm

Model = TypeVar("Model", bound=Module)


@ag.primitive
def over_ranks(x: Any, ranks: Any, shares: bool) -> Any:
    """The sum over all ranks; with `shares` each counts by its share in the loss, in units of this rank's."""
    if isinstance(x, ag.Tensor):
        raise TypeError("over_ranks is no formula of NumPy's: it stays one operation.")
    if thread.mode.tracing:  # the others need not be tracing, and only the shape matters
        return x * ranks.size
    mine = np.ascontiguousarray(x) * ranks.share if shares else np.ascontiguousarray(x)
    total = np.empty_like(mine)
    ranks.comm.Allreduce(mine, total)
    return total / ranks.share if shares else total


# What comes back was reached by every rank's loss, and each of those is a share of the whole.
over_ranks.def_rule(lambda g, y, x, ranks, shares: over_ranks(g, ranks=ranks, shares=not shares))


class Synchronized(_BatchNorm):
    """A batch norm that asks the other ranks, while `ranks` says that there are any."""

    ranks: Any = None

    def forward(self, x: Any) -> Any:
        """x normalised, in training by the statistics of all ranks."""
        if self.ranks is None or not self.training:
            return super().forward(x)
        channels, axes = x.shape[1], (0, *range(2, x.ndim))
        along = (-1,) + (1,) * (x.ndim - 2)
        rows = np.full(1, math.prod(x.shape[axis] for axis in axes), x.dtype)
        sums = over_ranks(np.concatenate([np.sum(x, axis=axes), rows]), ranks=self.ranks, shares=False)
        count = sums[channels:]
        mean = sums[:channels] / count
        centred = x - np.reshape(mean, along)
        var = over_ranks(np.sum(centred * centred, axis=axes), ranks=self.ranks, shares=False) / count
        self._follow(mean, var * (count / (count - 1)))
        y = centred / np.sqrt(np.reshape(var, along) + self.eps)
        y = y if self.weight is None else y * np.reshape(self.weight, along)
        return y if self.bias is None else y + np.reshape(self.bias, along)

    def _follow(self, mean: Any, var: Any) -> None:
        """Move the running statistics towards those of a batch."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        with ag.no_grad():
            self.num_batches_tracked[...] = self.num_batches_tracked + 1
            part = self.momentum
            if part is None:  # the plain average of all batches so far
                part = 1 / self.num_batches_tracked.astype(mean.dtype)
            for running, new in ((self.running_mean, mean), (self.running_var, var)):
                running[...] = running * (1 - part) + new * part


class SyncBatchNorm1d(Synchronized, BatchNorm1d):
    """BatchNorm1d over the rows of all ranks."""


class SyncBatchNorm2d(Synchronized, BatchNorm2d):
    """BatchNorm2d over the images of all ranks."""


def synchronize(model: Model) -> Model:
    """Let the model's batch norms share their statistics in `fit(..., comm=)`; parameters and names stay.

    >>> import nn
    >>> nn.distributed.synchronize(nn.Sequential(nn.BatchNorm1d(2)))
    Sequential(
      (0): SyncBatchNorm1d(2, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
    )
    """
    for each in model.modules():
        for plain, kind in ((BatchNorm1d, SyncBatchNorm1d), (BatchNorm2d, SyncBatchNorm2d)):
            if type(each) is plain:
                each.__class__ = kind
    return model
