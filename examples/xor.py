"""Document 1: XOR. "It stops learning, the weights blow up, and every output is 0.5."

A 3-4-1 network of sigmoids on 4,123 rows of the XOR table. Read it from top to bottom: the forward pass in plain NumPy,
the backward pass as it was posted and as it is right, the network with nn, and the story.

    python -m examples.xor [--as-posted]
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

import nn

from .common import Array, Document, Run, leaves, overflow_is_the_point
from .data import Split

ROWS = 4123


def table(rng: np.random.Generator) -> Split:
    """Rows of the XOR table with a column of ones for the bias: X (N, 3), y (N, 1), a quarter held out."""
    bits = rng.integers(0, 2, (ROWS, 2))
    X = np.column_stack([bits, np.ones(ROWS)])
    y = (bits[:, :1] ^ bits[:, 1:]).astype(np.float64)
    x, test_x, y, test_y = nn.train_test_split(X, y, test_size=0.25, rng=rng)
    return Split(x, y, test_x, test_y)


# ---- the network, in plain NumPy: arrays in, an array out; tensors in, a tensor with a history out ---------------


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def sigmoid_slope(z: Any) -> Any:
    return sigmoid(z) * (1 - sigmoid(z))


def forward(X: Any, W1: Any, W2: Any) -> Any:
    """z1, a1, z2 and the output o."""
    z1 = np.dot(X, W1)
    a1 = sigmoid(z1)
    z2 = a1.dot(W2)
    return z1, a1, z2, sigmoid(z2)


def loss(X: Any, y: Any, W1: Any, W2: Any) -> Any:
    return squared_error(forward(X, W1, W2)[-1], y)


# ---- the gradients, by hand: directions that are added to the weights --------------------------------------------


def posted(X: Array, y: Array, W1: Array, W2: Array) -> dict[str, Array]:
    """As posted: the slope of the sigmoid is taken at the activations o and a1, a second sigmoid too many."""
    z1, a1, z2, o = forward(X, W1, W2)
    d2 = (y - o) * sigmoid_slope(o)
    d1 = d2.dot(W2.T) * sigmoid_slope(a1)
    return {"W1": X.T.dot(d1), "W2": a1.T.dot(d2)}


def repaired(X: Array, y: Array, W1: Array, W2: Array) -> dict[str, Array]:
    """As it is right: the slope of the sigmoid is taken at its input z."""
    z1, a1, z2, o = forward(X, W1, W2)
    d2 = (y - o) * sigmoid_slope(z2)
    d1 = d2.dot(W2.T) * sigmoid_slope(z1)
    return {"W1": X.T.dot(d1), "W2": a1.T.dot(d2)}


# ---- the same network with nn ------------------------------------------------------------------------------------


def network(rng: np.random.Generator, hidden: int = 8) -> nn.Sequential:
    """3-8-1 with the bias as the third input, as in the document; Xavier's weights instead of 0.01 * normal."""
    first, second = nn.Linear(3, hidden, bias=False, rng=rng), nn.Linear(hidden, 1, rng=rng)
    for layer in (first, second):
        nn.init.xavier_uniform_(layer.weight, rng=rng)
    return nn.Sequential(first, nn.Sigmoid(), second, nn.Sigmoid())


def model() -> tuple[Any, ...]:
    """What `python -m autograd_lite draw examples.xor:model` draws: the document's loss, and inputs."""
    rng = np.random.default_rng(0)
    X = np.array([[0.0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
    params = leaves({"W1": rng.standard_normal((3, 4)), "W2": rng.standard_normal((4, 1))})
    return loss, X, np.array([[0.0], [1], [1], [0]]), *params.values()


def squared_error(output: Any, y: Any) -> Any:
    """The document's loss, of an output: half the squared error."""
    return np.mean(0.5 * (y - output) ** 2)


def accuracy(output: Array, y: Array) -> float:
    return float(np.mean((output > 0.5) == (y > 0.5)))


# ---- the story ---------------------------------------------------------------------------------------------------


def story(run: Run) -> None:
    split = table(run.rng)
    params = {"W1": run.rng.standard_normal((3, 4)), "W2": run.rng.standard_normal((4, 1))}

    def document_loss(p: dict[str, Any]) -> Any:
        return loss(split.x, split.y, **p)

    for title, formulas in (("posted formulas", posted), ("repaired formulas", repaired)):
        run.check(title, document_loss, params, formulas(split.x, split.y, **params))
    if run.as_posted:
        train_as_posted(run, split)
        return

    model = network(run.rng)
    run.draw(model, split.x[:4].astype(np.float32))
    train, test = ([(x.astype(np.float32), y.astype(np.float32))] for x, y in (split[:2], split[2:]))
    optimizer = nn.optim.Adam(model.parameters(), lr=0.1)
    rows = run.train(model, squared_error, optimizer, train, test, [accuracy])
    run.require("test accuracy", rows[-1]["valid_accuracy"], at_least=1.0)
    run.require("test loss", rows[-1]["valid_loss"], at_most=0.01)
    run.because(
        "Why it learns now: gradients of the network itself, weights that start far enough apart, and a rate that "
        "does not grow with the number of rows."
    )


def train_as_posted(run: Run, split: Split) -> None:
    """The posted loop: weights 0.01 * normal; the direction, summed over all rows, is added as it is."""
    weights = {"W1": 0.01 * run.rng.standard_normal((3, 4)), "W2": 0.01 * run.rng.standard_normal((4, 1))}
    with overflow_is_the_point():
        for epoch in run.passes():
            for name, direction in posted(split.x, split.y, **weights).items():
                weights[name] = weights[name] + direction
            output = forward(split.test_x, **weights)[-1]
            run.log(
                epoch,
                posted_metric=float(np.mean(0.5 * (split.test_y**2 - output**2))),
                test_loss=float(squared_error(output, split.test_y)),
                largest_weight=max(float(np.abs(w).max()) for w in weights.values()),
                test_accuracy=accuracy(output, split.test_y),
            )
    run.require("largest weight", run.history[-1]["largest_weight"], at_least=1e3)
    run.require("farthest output from 0.5", float(np.abs(output - 0.5).max()), at_most=1e-3)
    run.because(
        f"Why: each step adds the sum over {len(split.x):,} rows at a rate of 1, and sigma' is handed the activation, "
        "so it is near 1/4 however saturated a unit is, and nothing stops the weights. Soon every hidden unit is 0 for "
        "every row, and sigma(0) = 0.5 is all that is left. The posted error, mean(y^2 - o^2)/2, hides it: it measures "
        "no distance."
    )


DOCUMENT = Document(
    name="xor",
    question="Why does a two-layer network on XOR stop learning, its weights blow up and every output become 0.5?",
    epochs=500,
    posted_epochs=100,
    story=story,
    seeds=range(20),
)

if __name__ == "__main__":
    sys.exit(DOCUMENT.main())
