"""The advice to begin with: a linear model on Iris, before any hidden layer.

4-3: softmax regression on 150 flowers. If this does not learn, no deeper network will.

    python -m examples.iris
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

import nn

from .common import Array, Document, Run, leaves
from .data import iris, stratified_folds

FOLDS = 5

# ---- the model, in plain NumPy: X (N, 4), t (N, 3) -----------------------------------------------------------------


def softmax(z: Any) -> Any:
    e = np.exp(z - np.max(z, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)


def loss(X: Any, t: Any, W: Any, b: Any) -> Any:
    """The cross-entropy, averaged over the flowers."""
    return -np.sum(t * np.log(softmax(np.dot(X, W) + b))) / len(t)


# ---- the gradients, by hand ----------------------------------------------------------------------------------------


def repaired(X: Array, t: Array, W: Array, b: Array) -> dict[str, Array]:
    """The direction that is added: t - p, summed over the flowers."""
    d = t - softmax(X.dot(W) + b)
    return {"W": X.T.dot(d), "b": d.sum(axis=0)}


def model() -> tuple[Any, ...]:
    """What `python -m autograd_lite draw examples.iris:model` draws: the loss of the linear model, and inputs."""
    rng = np.random.default_rng(0)
    params = leaves({"W": 0.1 * rng.standard_normal((4, 3)), "b": np.zeros(3)})
    return loss, rng.standard_normal((16, 4)), np.eye(3)[rng.integers(0, 3, 16)], *params.values()


# ---- the story -----------------------------------------------------------------------------------------------------


def story(run: Run) -> None:
    X, labels = iris()
    X = nn.standardize(X)
    t = nn.one_hot(labels, 3, np.float64)
    params = {"W": 0.1 * run.rng.standard_normal((4, 3)), "b": np.zeros(3)}
    run.check("the hand-written formulas", lambda p: loss(X, t, **p), params, repaired(X, t, **params))
    if run.as_posted:
        run.because("Nothing was posted here: the linear model is the documents' advice, and it learns.")
    x = X.astype(np.float32)
    run.draw(nn.Linear(4, 3, rng=run.rng), x[:16])
    right = 0.0
    for k, fold in enumerate(stratified_folds(labels, FOLDS, run.rng), 1):
        right += len(fold) * fit(run, x, labels, fold, f"fold-{k}")
    run.require(f"accuracy, {FOLDS}-fold", right / len(x), at_least=0.95)


def fit(run: Run, x: Array, labels: Array, fold: Array, part: str) -> float:
    """Train on the other folds; the accuracy on this one."""
    learn = np.setdiff1d(np.arange(len(x)), fold)
    model = nn.Linear(4, 3, rng=run.rng)
    optimizer = nn.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    train, test = [(x[learn], labels[learn])], [(x[fold], labels[fold])]
    return run.train(model, nn.CrossEntropyLoss(), optimizer, train, test, part=part)[-1]["valid_accuracy"]


DOCUMENT = Document(
    name="iris",
    question="What does a linear model make of Iris, before any hidden layer?",
    epochs=100,
    posted_epochs=100,
    story=story,
)

if __name__ == "__main__":
    sys.exit(DOCUMENT.main())
