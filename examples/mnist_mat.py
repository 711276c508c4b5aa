"""Document 3: MNIST with np.mat. "It always predicts the same class."

784-20-10, sigmoids on both layers, one image a step as a row vector, the squared error summed. The document computes
with `np.mat`, on which `*` is the matrix product: what was meant elementwise became an outer product.

    python -m examples.mnist_mat [--as-posted] [--data DIR]
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

import nn

from .common import Array, Document, Run, leaves, overflow_is_the_point
from .data import Split, batches, held_out, pixels
from .terminal import progress

# ---- the network, in plain NumPy: x (1, 784), y (1, 10) ------------------------------------------------------------


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def forward(x: Any, W1: Any, W2: Any) -> Any:
    """The activations a1 (1, 20) and the output o (1, 10)."""
    a1 = sigmoid(np.dot(x, W1))
    return a1, sigmoid(a1.dot(W2))


def loss(x: Any, y: Any, **params: Any) -> Any:
    return np.sum((y - forward(x, **params)[-1]) ** 2)


# ---- the gradients, by hand: directions that are added to the weights ----------------------------------------------


def posted(x: Array, y: Array, W1: Array, W2: Array) -> dict[str, Array]:
    """As posted: the slope o * (1 - o) computed on matrices, where * is the matrix product."""
    a1, o = forward(x, W1, W2)
    d2 = 2 * (y - o) @ (o.T @ (1 - o))
    d1 = d2 @ W2.T @ (a1.T @ (1 - a1))
    return {"W1": x.T @ d1, "W2": a1.T @ d2}


def repaired(x: Array, y: Array, W1: Array, W2: Array) -> dict[str, Array]:
    """As it is right: the slope of each unit times its own error."""
    a1, o = forward(x, W1, W2)
    d2 = 2 * (y - o) * o * (1 - o)
    d1 = d2 @ W2.T * a1 * (1 - a1)
    return {"W1": x.T @ d1, "W2": a1.T @ d2}


def posted_pixels(images: Array) -> Array:
    """As posted: a bracket in the wrong place, x / (255 * 0.99 + 0.01) for x / 255 * 0.99 + 0.01."""
    return images / (255 * 0.99 + 0.01)


def weights(rng: np.random.Generator) -> dict[str, Array]:
    """Standard normal, as posted: a sum over 784 pixels then lies far out on the sigmoid."""
    return {"W1": rng.standard_normal((784, 20)), "W2": rng.standard_normal((20, 10))}


# ---- the same network with nn --------------------------------------------------------------------------------------


def network(rng: np.random.Generator) -> nn.Sequential:
    """784-20-10 with biases and Xavier's weights; it ends in logits, which the cross-entropy takes."""
    model = nn.Sequential(nn.Linear(784, 20), nn.Sigmoid(), nn.Linear(20, 10))
    for layer in (model[0], model[2]):
        nn.init.xavier_uniform_(layer.weight, rng=rng)
        nn.init.zeros_(layer.bias)
    return model


def model() -> tuple[Any, ...]:
    """What `python -m autograd_lite draw examples.mnist_mat:model` draws: the document's loss, and inputs."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0.01, 1, (1, 784)), np.eye(10)[3:4]
    return lambda params, x, y: loss(x, y, **params), leaves(weights(rng)), x, y


# ---- the story -----------------------------------------------------------------------------------------------------


def story(run: Run) -> None:
    split = run.mnist()
    params = weights(run.rng)
    x, y = pixels(split.x[:1], np.float64), nn.one_hot(split.y[:1], 10, np.float64)
    small = {"W1": params["W1"] / 28, "W2": params["W2"]}  # where no unit is saturated, every entry tells
    for title, formulas in (("posted formulas", posted), ("repaired formulas", repaired)):
        run.check(title, lambda p: loss(x, y, **p), small, formulas(x, y, **small))
    if run.as_posted:
        train_as_posted(run, split, params)
        return

    model = network(run.rng)
    run.draw(model, pixels(split.x[:16]))
    run.shorten(2)
    train, test = batches(pixels(split.x), split.y, 32, run.rng), held_out(pixels(split.test_x), split.test_y)
    optimizer = nn.optim.Adam(model.parameters(), lr=0.01)
    decay = nn.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.7)
    rows = run.train(model, nn.CrossEntropyLoss(), optimizer, train, test, scheduler=decay)
    run.require("test accuracy", rows[-1]["valid_accuracy"], at_least=0.948, quick=0.85)
    run.because("Why it learns now: each unit's own slope, weights scaled to 784 inputs, biases, and ten epochs.")


def train_as_posted(run: Run, split: Split, params: dict[str, Array]) -> None:
    """One image a step at a rate of 0.1, with the posted formulas, pixels and weights."""
    images, targets = posted_pixels(split.x)[:, None], nn.one_hot(split.y, 10, np.float64)[:, None]
    with overflow_is_the_point():
        for epoch in run.passes():
            rows = zip(images, targets, strict=True)
            for x, y in progress(rows, f"epoch {epoch + 1}", wanted=True, total=len(images)):
                directions = posted(x, y, **params)
                for name in params:
                    params[name] += 0.1 * directions[name]
            guesses = np.argmax(forward(posted_pixels(split.test_x), **params)[-1], axis=1)
            share = float(np.mean(guesses == split.test_y))
            run.log(epoch, test_accuracy=share, classes_predicted=float(len(np.unique(guesses))))
    run.require("classes predicted", run.history[-1]["classes_predicted"], at_most=1)
    run.because(
        f"Why: it answers {guesses[0]} to everything. On matrices, o.T * (1 - o) is an outer product: the error of "
        "each output is mixed into all others, its sign is lost, and the weights run away until each unit is at an end."
    )


DOCUMENT = Document(
    name="mnist_mat",
    question="Why does a 784-20-10 network on MNIST, written with np.mat, always predict the same class?",
    epochs=10,
    posted_epochs=1,
    story=story,
)

if __name__ == "__main__":
    sys.exit(DOCUMENT.main())
