"""Document 2: MNIST with two hidden layers. "It is stuck at 11.35 percent."

784-128-64-10: two layers of sigmoids, then softmax, and the mean squared error of its ten outputs. The document takes
one image at a time, as a column vector; so do the formulas here. The network with nn takes them in batches.

    python -m examples.mnist_ann [--as-posted] [--data DIR]
"""

from __future__ import annotations

import sys
import time
from itertools import pairwise
from typing import Any

import numpy as np

import nn

from .common import Array, Document, Run, leaves
from .data import Shifted, Split, batches, held_out, pixels
from .terminal import progress

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
    a1, a2, p = forward(a0, **params)
    return backward(a0, a1, a2, p * (1 - p) * (p - t) / 10, **params)


def repaired(a0: Array, t: Array, **params: Array) -> dict[str, Array]:
    """As it is right: every output of the softmax depends on every input."""
    a1, a2, p = forward(a0, **params)
    e = 2 * (p - t) / 10
    return backward(a0, a1, a2, p * (e - np.sum(e * p)), **params)


def backward(a0: Array, a1: Array, a2: Array, d3: Array, **params: Array) -> dict[str, Array]:
    """From the last layer's delta down: the same in both versions."""
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


def network(rng: np.random.Generator, dtype: Any = np.float32) -> nn.Sequential:
    """784-128-64-10 from the same initial weights; it ends in logits, which the cross-entropy takes."""
    params = weights(rng)
    first, second, third = (nn.Linear(*sizes, dtype=dtype) for sizes in pairwise(SIZES))
    for i, layer in enumerate((first, second, third), 1):
        layer.weight.data = params[f"W{i}"]
        layer.bias.data = params[f"b{i}"][:, 0]
    return nn.Sequential(first, nn.Sigmoid(), second, nn.Sigmoid(), third)


def model() -> tuple[Any, ...]:
    """What `python -m autograd_lite draw examples.mnist_ann:model` draws: the document's loss, and inputs."""
    rng = np.random.default_rng(0)
    a0, t = rng.uniform(0.01, 1, (SIZES[0], 1)), np.eye(10)[:, 3:4]
    return lambda params, a0, t: loss(a0, t, **params), leaves(weights(rng)), a0, t


def step_ratio(images: Array, targets: Array, seed: int, turns: int = 40) -> float:
    """How long a compiled step on one image takes against the same step by hand: the median over turns of both."""
    model = nn.Sequential(*network(np.random.default_rng(seed), np.float64), nn.Softmax(dim=1))
    step = nn.TrainStep(model, nn.MSELoss(), nn.optim.SGD(model.parameters(), lr=0.01), compile=True)
    params = weights(np.random.default_rng(seed))

    def by_hand(a0: Array, t: Array) -> None:
        for name, gradient in repaired(a0, t, **params).items():
            params[name] -= 0.01 * gradient

    def seconds(turn: Any, x: Array, t: Array) -> float:
        start = time.perf_counter()
        for each in zip(x, t, strict=True):
            turn(*each)
        return time.perf_counter() - start

    rows, columns = (images[:, None, :], targets[:, None, :]), (images[:, :, None], targets[:, :, None])
    return float(np.median([seconds(step, *rows) / seconds(by_hand, *columns) for _ in range(turns)]))


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

    ratio = step_ratio(pixels(split.x[:25], np.float64), nn.one_hot(split.y[:25], 10, np.float64), run.seed)
    print(f"A compiled step on one image takes {ratio:.2f} of the time of the same step by hand.\n")
    model = network(run.rng)
    run.draw(model, pixels(split.x[:16]))

    run.shorten(2)
    train = Shifted(batches(pixels(split.x), split.y, 32, run.rng), run.rng)
    optimizer = nn.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
    decay = nn.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.75)
    test = held_out(pixels(split.test_x), split.test_y)
    rows = run.train(model, nn.CrossEntropyLoss(), optimizer, train, test, scheduler=decay)
    run.require("test accuracy after the first epoch", rows[0]["valid_accuracy"], at_least=0.94, quick=0.7)
    run.require("test accuracy", rows[-1]["valid_accuracy"], at_least=0.979, quick=0.85)
    run.require("one-image step against by hand", ratio, at_most=1.0, quick=1.5)
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
