"""Losses as modules: an object that is called with (prediction, target). What each computes is in `functional/`.

Read next: `functional/losses.py`, `functional/classification.py`.
"""

from __future__ import annotations

from typing import Any

from autograd_lite.recording import thread
from autograd_lite.tensors import binary

from . import functional as F
from .functional.losses import MSE
from .modules import Buffer, Module


def _buffer(weight: Any) -> Buffer | None:
    return None if weight is None else Buffer(weight)


class _Loss(Module):
    """A loss with its reduction: "mean", "sum" or "none"."""

    def __init__(self, *, reduction: str = "mean") -> None:
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f"{type(self).__name__}: reduction must be 'mean', 'sum' or 'none', not {reduction!r}.")
        self.reduction = reduction
        # The default is left out of the call: a call without settings is the fastest.
        self.settings: dict[str, Any] = {} if reduction == "mean" else {"reduction": reduction}

    def __call__(self, input: Any, target: Any) -> Any:
        """Run `forward`, as every module does; with its two arguments alone a call costs less."""
        return self._call_in_scope((input, target), {}) if thread.mode.precise else self.forward(input, target)


class MSELoss(_Loss):
    """The mean squared error.

    >>> import numpy as np, nn
    >>> float(nn.MSELoss()(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    2.0
    """

    def forward(self, input: Any, target: Any) -> Any:
        """The loss of a prediction."""
        return binary(MSE[self.reduction], input, target)


class L1Loss(_Loss):
    """The mean absolute error.

    >>> import numpy as np, nn
    >>> float(nn.L1Loss()(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    1.0
    """

    def forward(self, input: Any, target: Any) -> Any:
        """The loss of a prediction."""
        return F.l1_loss(input, target, **self.settings)


class SmoothL1Loss(_Loss):
    """Squared below `beta`, absolute above; scaled so that the slope far away is 1.

    >>> import numpy as np, nn
    >>> float(nn.SmoothL1Loss()(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    0.75
    """

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.beta = beta

    def forward(self, input: Any, target: Any) -> Any:
        """The loss of a prediction."""
        return F.smooth_l1_loss(input, target, beta=self.beta, **self.settings)


class HuberLoss(_Loss):
    """Squared below `delta`, absolute above; scaled so that the curvature near 0 is 1.

    >>> import numpy as np, nn
    >>> float(nn.HuberLoss()(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    0.75
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input: Any, target: Any) -> Any:
        """The loss of a prediction."""
        return F.huber_loss(input, target, delta=self.delta, **self.settings)


class BCELoss(_Loss):
    """Binary cross-entropy of probabilities. For raw scores use BCEWithLogitsLoss, which is exact at any score.

    >>> import numpy as np, nn
    >>> float(nn.BCELoss()(np.array([0.5]), np.array([1.0])).round(4))
    0.6931
    """

    def __init__(self, weight: Any = None, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.weight = _buffer(weight)

    def forward(self, input: Any, target: Any) -> Any:
        """The loss of a prediction."""
        return F.binary_cross_entropy(input, target, self.weight, **self.settings)


class BCEWithLogitsLoss(_Loss):
    """Binary cross-entropy of raw scores, the sigmoid included.

    >>> import numpy as np, nn
    >>> float(nn.BCEWithLogitsLoss()(np.array([1e4]), np.array([1.0])))
    0.0
    """

    def __init__(self, weight: Any = None, *, reduction: str = "mean", pos_weight: Any = None) -> None:
        super().__init__(reduction=reduction)
        self.weight = _buffer(weight)
        self.pos_weight = _buffer(pos_weight)

    def forward(self, input: Any, target: Any) -> Any:
        """The loss of a prediction."""
        if self.weight is None and self.pos_weight is None:
            return F.binary_cross_entropy_with_logits(input, target, **self.settings)
        return F.binary_cross_entropy_with_logits(input, target, self.weight, self.pos_weight, **self.settings)


class NLLLoss(_Loss):
    """The negative log-likelihood of class indices, for log-probabilities.

    >>> import numpy as np, nn
    >>> float(nn.NLLLoss()(np.log(np.array([[0.25, 0.75]])), np.array([0])).round(4))
    1.3863
    """

    def __init__(self, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.weight = _buffer(weight)
        self.ignore_index = ignore_index

    def forward(self, input: Any, target: Any) -> Any:
        """The loss of a prediction."""
        return F.nll_loss(input, target, self.weight, ignore_index=self.ignore_index, **self.settings)


class CrossEntropyLoss(_Loss):
    """Cross-entropy of raw scores (N, C) with class indices (N,) or probabilities (N, C), the softmax included.

    >>> import numpy as np, nn
    >>> float(nn.CrossEntropyLoss()(np.array([[0.0, 1e4]]), np.array([1])))
    0.0
    """

    def __init__(
        self, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean", label_smoothing: float = 0.0
    ) -> None:
        super().__init__(reduction=reduction)
        self.weight = _buffer(weight)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Any, target: Any) -> Any:
        """The loss of a prediction."""
        return F.cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )
