"""Document 2: MNIST with two hidden layers. "It is stuck at 11.35 percent."

784-128-64-10: two layers of sigmoids, then softmax, and the mean squared error of its ten outputs. The document takes
one image at a time, as a column vector; so do the formulas here. The network with nn takes them in batches.

    python -m examples.mnist_ann [--as-posted] [--data DIR]
"""

from __future__ import annotations

import sys
from itertools import pairwise
from typing import Any

import numpy as np

import nn

from .common import Array, Document, Run, accuracy_of, progress
from .data import Shifted, Split, pixels

SIZES = (784, 128, 64, 10)


# ---- the network, in plain NumPy: one image as a column vector a0 (784, 1), the target t (10, 1) -----------------


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def softmax(z: Any) -> Any:
    e = np.exp(z - np.max(z))
    return e / np.sum(e)


def forward(a0: Any, W1: Any, b1: Any, W2: Any, b2: Any, W3: Any, b3: Any) -> Any:
    """The activations a1 (128, 1), a2 (64, 1) and the probabilities p (10, 1)."""
    a1 = sigmoid(W1.dot(a0) + b1)
    a2 = sigmoid(W2.dot(a1) + b2)
    return a1, a2, softmax(W3.dot(a2) + b3)


def loss(a0: Any, t: Any, **params: Any) -> Any:
    return np.mean((forward(a0, **params)[-1] - t) ** 2)


# ---- the gradients, by hand --------------------------------------------------------------------------------------


def posted(a0: Array, t: Array, **params: Array) -> dict[str, Array]:
    """As posted: of the softmax's Jacobian only the diagonal p (1 - p)."""
    p = forward(a0, **params)[-1]
    return backward(a0, p * (1 - p) * (p - t) / 10, **params)


def repaired(a0: Array, t: Array, **params: Array) -> dict[str, Array]:
    """As it is right: every output of the softmax depends on every input."""
    p = forward(a0, **params)[-1]
    e = 2 * (p - t) / 10
    return backward(a0, p * (e - np.sum(e * p)), **params)


def backward(a0: Array, d3: Array, **params: Array) -> dict[str, Array]:
    """From the last layer's delta down: the same in both versions."""
    a1, a2, _ = forward(a0, **params)
    d2 = params["W3"].T.dot(d3) * a2 * (1 - a2)
    d1 = params["W2"].T.dot(d2) * a1 * (1 - a1)
    return {
        "W1": np.outer(d1, a0), "b1": d1,
        "W2": np.outer(d2, a1), "b2": d2,
        "W3": np.outer(d3, a2), "b3": d3,
    }  # fmt: skip


def weights(rng: np.random.Generator) -> dict[str, Array]:
    """The document's repair: standard normal * sqrt(1 / fan_out), and biases."""
    params = {}
    for i, (fan_in, fan_out) in enumerate(pairwise(SIZES), 1):
        params[f"W{i}"] = rng.standard_normal((fan_out, fan_in)) * np.sqrt(1 / fan_out)
        params[f"b{i}"] = np.zeros((fan_out, 1))
    return params


# ---- the same network with nn ------------------------------------------------------------------------------------


def network(rng: np.random.Generator) -> nn.Sequential:
    """784-128-64-10 from the same initial weights; it ends in logits, which the cross-entropy takes."""
    params = weights(rng)
    model = nn.Sequential(nn.Linear(784, 128), nn.Sigmoid(), nn.Linear(128, 64), nn.Sigmoid(), nn.Linear(64, 10))
    for i in (1, 2, 3):
        model[2 * i - 2].weight.data = params[f"W{i}"]
        model[2 * i - 2].bias.data = params[f"b{i}"][:, 0]
    return model


# ---- the story ---------------------------------------------------------------------------------------------------


def story(run: Run) -> None:
    split = run.mnist()
    a0 = pixels(split.x[0], np.float64)[:, None]
    t = nn.one_hot(split.y[:1], 10, np.float64).T
    params = weights(run.rng)
    for title, formulas in (("posted formulas", posted), ("repaired formulas", repaired)):
        run.check(title, lambda p: loss(a0, t, **p), params, formulas(a0, t, **params))
    if run.as_posted:
        train_as_posted(run, split)
        return

    x, test_x = pixels(split.x), pixels(split.test_x)
    model = network(run.rng)
    run.draw(model, x[:16])

    run.shorten(2)
    batches = Shifted(nn.DataLoader(x, split.y, batch_size=32, shuffle=True, rng=run.rng), run.rng)
    optimizer = nn.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
    decay = nn.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.75)

    def evaluate() -> dict[str, float]:
        return {"test_accuracy": accuracy_of(model, test_x, split.test_y)}

    run.train(model, nn.CrossEntropyLoss(), optimizer, batches, evaluate, decay)
    run.require("test accuracy after the first epoch", run.history[0]["test_accuracy"], at_least=0.94, quick=0.7)
    run.require("test accuracy", run.history[-1]["test_accuracy"], at_least=0.979, quick=0.85)
    run.because(
        "Why it learns now: the whole Jacobian of the softmax (which the cross-entropy makes as simple as p - t), "
        "weights that differ from unit to unit, and biases. Images shifted by up to a pixel add the last half percent."
    )


def train_as_posted(run: Run, split: Split) -> None:
    """One image a step, the posted formulas, weights that all start the same, no biases, rate 0.001."""
    params = {name: np.full_like(value, 0.01) for name, value in weights(run.rng).items()}
    params |= {name: np.zeros_like(params[name]) for name in ("b1", "b2", "b3")}
    images, targets = pixels(split.x, np.float64)[:, :, None], nn.one_hot(split.y, 10, np.float64)[:, :, None]
    test_x = pixels(split.test_x, np.float64).T
    for epoch in run.passes():
        rows = zip(images, targets, strict=True)
        for a0, t in progress(rows, f"epoch {epoch + 1}", wanted=True, total=len(images)):
            gradients = posted(a0, t, **params)
            for name in ("W1", "W2", "W3"):
                params[name] -= 0.001 * gradients[name]
        a1 = sigmoid(params["W1"].dot(test_x))
        guesses = np.argmax(params["W3"].dot(sigmoid(params["W2"].dot(a1))), axis=0)
        share = float(np.mean(guesses == split.test_y))
        run.log(epoch, test_accuracy=share, classes_predicted=float(len(np.unique(guesses))))
    run.require("classes predicted", run.history[-1]["classes_predicted"], at_most=1)
    run.require("test accuracy", run.history[-1]["test_accuracy"], at_most=0.15)
    run.because(
        "Why: weights that start the same stay the same, so a layer is one unit many times over and all that is left "
        f"to learn is how frequent each digit is. It answers {guesses[0]} to everything. The diagonal of the softmax's "
        "Jacobian alone would slow a better start down too: it drops how each output pushes the others."
    )


DOCUMENT = Document(
    name="mnist_ann",
    question="Why is a 784-128-64-10 network on MNIST stuck at 11.35 % from the first epoch to the last?",
    epochs=10,
    posted_epochs=1,
    story=story,
)

if __name__ == "__main__":
    sys.exit(DOCUMENT.main())
