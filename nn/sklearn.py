"""Networks as scikit-learn's estimators: for cross_val_score, GridSearchCV and pipelines.

    def network(inputs, outputs):
        return nn.Sequential(nn.Linear(inputs, 16), nn.Tanh(), nn.Linear(16, outputs))

    estimator = make_pipeline(StandardScaler(), nn.sklearn.Classifier(network, lr=0.01, random_state=0))
    cross_val_score(estimator, X, y, cv=5)

This file alone needs scikit-learn: it is loaded when `nn.sklearn` is first asked for.

Read next: `fitting.py`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np

import autograd_lite as ag

from . import functional as F
from .data import DataLoader
from .fitting import fit
from .layers import Linear
from .losses import BCEWithLogitsLoss, CrossEntropyLoss, MSELoss
from .modules import Module
from .optim import Adam
from .saving import Array
from .seeding import get_state, manual_seed, set_state

try:
    # scikit-learn carries no types
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin  # type: ignore[import-untyped]
    from sklearn.utils import check_random_state  # type: ignore[import-untyped]
    from sklearn.utils.multiclass import check_classification_targets  # type: ignore[import-untyped]
    from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data  # type: ignore[import-untyped]
except ModuleNotFoundError:
    raise ModuleNotFoundError('nn.sklearn needs scikit-learn: pip install "autograd-lite[sklearn]".') from None

__all__ = ["Classifier", "Regressor"]

ROWS = 1000  # that a prediction takes at once, so that images of a large set do not all lie in memory as columns


class _Network(BaseEstimator):  # type: ignore[misc]  # scikit-learn is not typed
    """What both estimators have in common: the settings, the training, the network's output."""

    def __init__(
        self,
        module: Module | Callable[[int, int], Module] | None = None,
        loss_fn: Any = None,
        optimizer: Callable[..., Any] | None = None,
        lr: float = 0.01,
        epochs: int = 100,
        batch_size: int | None = 32,
        compile: bool = False,
        random_state: Any = None,
    ) -> None:
        self.module = module
        self.loss_fn = loss_fn
        self.optimizer = optimizer
        self.lr = lr
        self.epochs = epochs
        self.batch_size = batch_size
        self.compile = compile
        self.random_state = random_state

    def _train(self, X: Array, y: Array, outputs: int, loss_of: Callable[[Any, Any], Any]) -> None:
        """Make the network and train it; `loss_of` is the loss unless another was given."""
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        with _seeded(seed) as rng:
            self.module_ = _made(self.module, X.shape[1], outputs)
            make = Adam if self.optimizer is None else self.optimizer
            optimizer = make(self.module_.parameters(), lr=self.lr)
            rows = len(X) if self.batch_size is None else min(self.batch_size, len(X))
            loader = DataLoader(self._floating(X), self._floating(y), batch_size=rows, shuffle=True, rng=rng)
            history = fit(self.module_, loss_of, optimizer, loader, self.epochs, compile=self.compile)
        if history.interrupted:
            raise KeyboardInterrupt  # or a search would go on with the next of a hundred trainings
        self.module_.eval()
        self.history_ = history.rows
        self.n_iter_ = len(history)

    def _floating(self, array: Array) -> Array:
        """An array in the dtype of the network's parameters; class indices stay integers."""
        if array.dtype.kind in "iu" and array.ndim == 1:
            return array
        first = next(iter(self.module_.parameters()), None)
        return array.astype(np.float64 if first is None else first.dtype, copy=False)

    def _output(self, X: Any) -> Array:
        """What the network makes of X, in float64."""
        check_is_fitted(self)
        X = self._floating(validate_data(self, X, reset=False, allow_nd=True))
        with ag.no_grad():
            parts = [self.module_(X[at : at + ROWS]) for at in range(0, len(X), ROWS)]
        parts = [part.detach().data if isinstance(part, ag.Tensor) else part for part in parts]
        return np.concatenate(parts).astype(np.float64, copy=False)


@contextmanager
def _seeded(seed: int) -> Iterator[np.random.Generator]:
    """Let everything random, initial weights and dropout too, follow from the seed; then go on as before."""
    before = get_state()
    try:
        yield manual_seed(seed)
    finally:
        set_state(before)


def _made(module: Any, inputs: int, outputs: int) -> Module:
    """A new network: a copy of the given one, or one made for these sizes."""
    if module is None:
        return Linear(inputs, outputs, dtype=np.float64)
    made = copy.deepcopy(module) if isinstance(module, Module) else module(inputs, outputs)
    if not isinstance(made, Module):
        raise TypeError(f"module must be an nn.Module or a function (inputs, outputs) that makes one, not {made!r}.")
    return made


class Classifier(ClassifierMixin, _Network):  # type: ignore[misc]  # scikit-learn is not typed
    """A classifier of scikit-learn around a network that ends in scores (logits).

    `module` is a function (inputs, outputs) -> Module, called by each fit with the number of columns and of classes; or
    a Module, of which each fit trains a copy; or None, a linear model. A network with one output for two classes gets
    BCEWithLogitsLoss with targets 0. and 1. of its output's shape, any other CrossEntropyLoss with class indices,
    unless `loss_fn` is given. `optimizer` is called with (parameters, lr=lr); None is nn.optim.Adam. `batch_size` None
    is all rows. All that is random, initial weights too, follows from `random_state`. The data are converted to the
    parameters' dtype. Afterwards `module_` is the trained network, `history_` holds the figures of each epoch, and
    `classes_` the labels. Raises as scikit-learn's own estimators do.

    >>> import numpy as np, nn
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> model = nn.sklearn.Classifier(lr=0.3, random_state=0).fit(X, ["low", "low", "high", "high"])
    >>> model.predict([[-1.0], [4.0]]).tolist(), model.predict_proba(X).shape
    (['low', 'high'], (4, 2))
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Train on X (n, columns) or (n, channels, ...) and labels y (n,)."""
        X, y = validate_data(self, X, y, allow_nd=True, ensure_min_samples=2)
        check_classification_targets(y)
        self.classes_, indices = np.unique(column_or_1d(y, warn=True), return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"Classifier: all labels are of one class, {self.classes_[0]!r}; there must be two.")
        self._train(X, indices, len(self.classes_), _loss_of(len(self.classes_), self.loss_fn))
        return self

    def decision_function(self, X: Any) -> Array:
        """The scores: (n, classes), or for two classes (n,), positive for the second."""
        scores = self._output(X)
        if _single(scores):
            return scores.ravel()
        difference: Array = scores[:, 1] - scores[:, 0]
        return difference if len(self.classes_) == 2 else scores

    def predict_proba(self, X: Any) -> Array:
        """The probabilities (n, classes): the softmax of the scores, or of a single one the sigmoid."""
        scores = self._output(X)
        if _single(scores):
            p = np.asarray(F.sigmoid(scores.ravel()))
            return np.stack([1 - p, p], axis=1)
        return np.asarray(F.softmax(scores, dim=1))

    def predict(self, X: Any) -> Array:
        """The labels (n,) with the largest scores."""
        scores = self._output(X)
        chosen = scores.ravel() > 0 if _single(scores) else np.argmax(scores, axis=1)
        labels: Array = self.classes_[chosen.astype(int)]
        return labels


def _loss_of(classes: int, given: Any) -> Callable[[Any, Any], Any]:
    """The loss of scores and class indices; not a method, or a compiled step would watch the estimator as well, and
    through it all of scikit-learn."""

    def loss(scores: Any, indices: Any) -> Any:
        if not _single(scores):
            return (CrossEntropyLoss() if given is None else given)(scores, indices)
        if classes > 2:
            raise ValueError(f"Classifier: one output cannot tell {classes} classes apart.")
        targets = np.reshape(indices, scores.shape).astype(scores.dtype)
        return (BCEWithLogitsLoss() if given is None else given)(scores, targets)

    return loss


def _single(scores: Any) -> bool:
    """Whether there is one score for each row."""
    return bool(scores.ndim == 1 or (scores.ndim == 2 and scores.shape[1] == 1))


class Regressor(RegressorMixin, _Network):  # type: ignore[misc]  # scikit-learn is not typed
    """A regressor of scikit-learn around a network whose output has as many columns as y.

    Arguments as of `Classifier`; the function (inputs, outputs) gets the number of columns of y, or 1; the loss is
    MSELoss unless `loss_fn` is given.

    >>> import numpy as np, nn
    >>> X = np.linspace(-1, 1, 20)[:, None]
    >>> model = nn.sklearn.Regressor(lr=0.1, random_state=0).fit(X, 2 * X[:, 0] + 1)
    >>> model.predict([[0.5]]).round(1).tolist()
    [2.0]
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Train on X (n, columns) or (n, channels, ...) and numbers y, (n,) or (n, k)."""
        X, y = validate_data(self, X, y, allow_nd=True, multi_output=True, y_numeric=True, ensure_min_samples=2)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        self._flat = y.ndim == 1
        columns = np.reshape(y, (len(y), -1)).astype(np.float64, copy=False)
        self._train(X, columns, columns.shape[1], MSELoss() if self.loss_fn is None else self.loss_fn)
        return self

    def predict(self, X: Any) -> Array:
        """The network's output, of y's shape."""
        output = self._output(X)
        return output.ravel() if self._flat else output

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
