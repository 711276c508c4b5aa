"""Document 5: heart disease. "Every prediction becomes 1."

13-13-1, sigmoids, on the 303 patients of the Cleveland file. The hand-written gradients are right; the target
runs to 4, where a sigmoid ends at 1, and the rate is 1 on a sum over all patients.

    python -m examples.heart [--as-posted] [--data DIR]
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import numpy as np

import nn

from .common import Array, Document, Run, leaves, overflow_is_the_point
from .data import BadInput, cleveland

FOLDS = 5
RATE = 0.01
REPEATS = 5  # of the cross-validation, on other folds each time: with 297 patients one division is a matter of luck

# ---- the network, in plain NumPy: X (N, 13), y (N, 1) --------------------------------------------------------------


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def forward(X: Any, W1: Any, W2: Any) -> Any:
    """The activations a1 (N, 13) and the output o (N, 1)."""
    a1 = sigmoid(np.dot(X, W1))
    return a1, sigmoid(a1.dot(W2))


def loss(X: Any, y: Any, **params: Any) -> Any:
    return np.mean(0.5 * (y - forward(X, **params)[-1]) ** 2)


# ---- the gradients, by hand: right as posted -----------------------------------------------------------------------


def posted(X: Array, y: Array, W1: Array, W2: Array) -> dict[str, Array]:
    """The direction that is added: -N times the gradient of mean(0.5 (y - o)^2)."""
    a1, o = forward(X, W1, W2)
    d2 = (y - o) * o * (1 - o)
    return {"W1": X.T.dot(d2.dot(W2.T) * a1 * (1 - a1)), "W2": a1.T.dot(d2)}


def weights(rng: np.random.Generator) -> dict[str, Array]:
    return {"W1": rng.standard_normal((13, 13)), "W2": rng.standard_normal((13, 1))}


# ---- the repaired network with nn ----------------------------------------------------------------------------------


def network(rng: np.random.Generator | None = None) -> nn.Sequential:
    """13-13-1 with biases; it ends in the logit of "disease present"."""
    model = nn.Sequential(nn.Linear(13, 13), nn.Sigmoid(), nn.Linear(13, 1))
    for layer in (model[0], model[2]):
        nn.init.xavier_uniform_(layer.weight, rng=rng)
        nn.init.zeros_(layer.bias)
    return model


make_optimizer = partial(nn.optim.Adam, weight_decay=0.03)


def model() -> tuple[Any, ...]:
    """What `python -m autograd_lite draw examples.heart:model` draws: the document's loss, and inputs."""
    rng = np.random.default_rng(0)
    X, y = rng.uniform(0, 1, (16, 13)), rng.integers(0, 5, (16, 1)).astype(np.float64)
    return lambda params, X, y: loss(X, y, **params), leaves(weights(rng)), X, y


# ---- the story -----------------------------------------------------------------------------------------------------


def story(run: Run) -> None:
    table = cleveland(run.options.data, run.options.download)
    complete = ~np.isnan(table).any(axis=1)
    missing = len(table) - complete.sum()
    print(f"{len(table)} patients; the {missing} with a missing value (`?`) are dropped, {complete.sum()} are left.\n")
    X, diagnosis = table[complete, :13], table[complete, 13:]
    fewest = min(np.sum(diagnosis > 0), np.sum(diagnosis == 0))
    if fewest < FOLDS:
        raise BadInput(
            f"only {fewest} patients of one kind, ill or healthy: {FOLDS} folds need {FOLDS}. Is the file whole?"
        )
    scaled = X / X.max(axis=0)
    params = weights(run.rng)
    run.check(
        "the document's formulas", lambda p: loss(scaled, diagnosis, **p), params, posted(scaled, diagnosis, **params)
    )
    print("The derivation is right. At fault are the target, which a sigmoid cannot reach, and the rate.\n")
    if run.as_posted:
        train_as_posted(run, scaled, diagnosis, params)
        return

    ill = diagnosis[:, 0] > 0
    run.draw(network(np.random.default_rng(run.seed)), X[:16].astype(np.float32))
    accuracy, auc = cross_validated(run, X, ill)
    x, y = nn.standardize(X).astype(np.float32), ill[:, None].astype(np.float32)
    model = network(run.rng)
    run.train(model, nn.BCEWithLogitsLoss(), make_optimizer(model.parameters(), lr=RATE), [(x, y)], None)
    run.require(f"accuracy, {FOLDS}-fold", accuracy, at_least=0.82, quick=0.8)
    run.require(f"ROC AUC, {FOLDS}-fold", auc, at_least=0.88)
    run.because(
        "Why it learns now: the target is disease present or not, which lies in [0, 1]; the columns have mean 0 and "
        "deviation 1; the rate does not grow with the number of patients."
    )


def cross_validated(run: Run, X: Array, ill: Array) -> tuple[float, float]:
    """Accuracy and ROC AUC on patients whom nothing of the training has seen, not even the scaling: scikit-learn's
    cross-validation of the network as one of its classifiers."""
    try:
        from sklearn.model_selection import RepeatedStratifiedKFold, cross_validate
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ModuleNotFoundError:
        raise BadInput('the folds are scikit-learn\'s: pip install "autograd-lite[examples]".') from None
    classifier = nn.sklearn.Classifier(
        lambda inputs, outputs: network(), optimizer=make_optimizer, lr=RATE, epochs=run.epochs, batch_size=None,
        random_state=run.seed,
    )  # fmt: skip
    folds = RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=1 if run.quick else REPEATS, random_state=run.seed)
    measured = ("accuracy", "roc_auc")
    found = cross_validate(make_pipeline(StandardScaler(), classifier), X, ill, cv=folds, scoring=measured)
    for repeat, scores in enumerate(found["test_accuracy"].reshape(-1, FOLDS), 1):
        print(f"  cross-validation {repeat}: accuracy {np.mean(scores):.2%}")
    return float(np.mean(found["test_accuracy"])), float(np.mean(found["test_roc_auc"]))


def train_as_posted(run: Run, X: Array, y: Array, params: dict[str, Array]) -> None:
    """100 full-batch steps of the summed direction, no learning rate, the diagnosis 0 to 4 as the target."""
    with overflow_is_the_point():
        for epoch in run.passes():
            for name, direction in posted(X, y, **params).items():
                params[name] = params[name] + direction
            output = forward(X, **params)[-1]
            run.log(epoch, loss=float(np.mean(0.5 * (y - output) ** 2)), smallest_output=float(output.min()))
    run.require("smallest output", run.history[-1]["smallest_output"], at_least=0.99)
    run.because(
        "Why: the mean diagnosis is near 1 and some are 4, so the error y - o stays positive on average and pushes "
        "every output up, at a rate of 1 on a sum over all patients; at 1 the sigmoid is flat and nothing comes back."
    )


DOCUMENT = Document(
    name="heart",
    question="Why does every prediction of a 13-13-1 network for heart disease become 1?",
    epochs=100,
    posted_epochs=100,
    story=story,
)

if __name__ == "__main__":
    sys.exit(DOCUMENT.main())
