"""How good a model is: its mean loss and metrics over batches, and the share of right answers.

    figures = nn.evaluate(model, nn.CrossEntropyLoss(), valid, [nn.accuracy])

Read next: `fitting.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import numpy as np

import autograd_lite as ag

from .modules import Module

Metric: TypeAlias = Callable[[Any, Any], Any]


def accuracy(prediction: Any, target: Any) -> float:
    """The share of rows whose largest score stands at the label; of one score for each row, whose sign is the answer.

    `target` holds class indices, probabilities of the prediction's shape, or 0 and 1 for a single score.

    >>> import numpy as np
    >>> accuracy(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
    0.5
    """
    prediction, target = np.asarray(prediction), np.asarray(target)
    if prediction.ndim < 2 or prediction.shape[1] == 1:
        return float(np.mean((prediction.ravel() > 0) == (target.ravel() > 0.5)))
    labels = np.argmax(target, axis=1) if target.shape == prediction.shape else target
    return float(np.mean(np.argmax(prediction, axis=1) == labels))


def refuse_arrays(caller: str, data: Any) -> None:
    """Raise TypeError for arrays where batches belong: their rows would be taken for batches."""
    arrays = (np.ndarray, ag.Tensor)
    if isinstance(data, arrays) or (isinstance(data, (list, tuple)) and any(isinstance(each, arrays) for each in data)):
        raise TypeError(
            f"{caller}: arrays are not batches (x, y). Make batches of them: nn.DataLoader(x, y, batch_size=32, "
            "shuffle=True), or one of everything: [(x, y)]."
        )


def evaluate(model: Module, loss_fn: Any, data: Iterable[Any], metrics: Iterable[Metric] = ()) -> dict[str, float]:
    """The mean loss and metrics over batches, the model in eval(); each batch counts by its rows.

    A metric is a function of prediction and target, both arrays, and has its figure under its own name. Raises
    ValueError for no batches, TypeError for arrays in their place.

    >>> import numpy as np, nn
    >>> nn.evaluate(nn.Identity(), nn.MSELoss(), [(np.ones(2), np.zeros(2))])
    {'loss': 1.0}
    """
    metrics = list(metrics)
    sums: dict[str, float] = {}
    rows = 0
    refuse_arrays("evaluate", data)
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with ag.no_grad():
            for x, y in data:
                prediction = model(x)
                figures = {"loss": float(loss_fn(prediction, y))}
                shown = prediction.data if isinstance(prediction, ag.Tensor) else prediction
                for metric in metrics:
                    figures[getattr(metric, "__name__", type(metric).__name__)] = float(metric(shown, y))
                for name, value in figures.items():
                    sums[name] = sums.get(name, 0.0) + value * len(y)
                rows += len(y)
    finally:
        for module, training in modes:
            module.training = training
    if rows == 0:
        raise ValueError("evaluate: the data set is empty.")
    return {name: value / rows for name, value in sums.items()}
