"""Document 6: MNIST with ReLU. "Accuracy passes 94 %, but the loss rises."

784-300-75-10, two layers of ReLU, softmax, cross-entropy. The softmax is right on one record and wrong on many, and the
backward pass is that of another loss than the one reported.

    python -m examples.mnist_relu [--as-posted] [--data DIR]
"""

from __future__ import annotations

import sys
from itertools import pairwise
from typing import Any

import numpy as np

import autograd_lite as ag
import nn

from .common import Array, Document, Run, leaves
from .data import Shifted, Split, batches, held_out, pixels

SIZES = (784, 300, 75, 10)

# ---- the network, in plain NumPy: x (N, 784), t (N, 10) ------------------------------------------------------------


def softmax(z: Any) -> Any:
    """By row, as it is right."""
    e = np.exp(z - np.max(z, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)


def posted_softmax(z: Any) -> Any:
    """As posted: over the whole matrix, so that on a batch all rows together sum to 1."""
    e = np.exp(z - np.max(z))
    return e / np.sum(e)


def forward(x: Any, W1: Any, b1: Any, W2: Any, b2: Any, W3: Any, b3: Any) -> Any:
    """z1, a1, z2, a2 and the logits z3."""
    z1 = np.dot(x, W1) + b1
    a1 = np.maximum(z1, 0)
    z2 = a1.dot(W2) + b2
    a2 = np.maximum(z2, 0)
    return z1, a1, z2, a2, a2.dot(W3) + b3


def loss(x: Any, t: Any, **params: Any) -> Any:
    """The cross-entropy, averaged over the records."""
    return -np.sum(t * np.log(softmax(forward(x, **params)[-1]))) / len(t)


def posted_loss(x: Array, t: Array, **params: Array) -> float:
    """As posted: the softmax of the whole matrix, divided by the number of classes."""
    tiny = np.finfo(np.float64).tiny
    p = posted_softmax(forward(x, **params)[-1].astype(np.float64))
    return float(-np.sum(t * np.log(p + tiny)) / 10)


# ---- the gradients, by hand: directions that are added, averaged over the records ----------------------------------


def posted(x: Array, t: Array, **params: Array) -> dict[str, Array]:
    """As posted: t - p once more through the softmax's Jacobian; each bias is the last record's sum, in every place."""
    p = softmax(forward(x, **params)[-1])  # one record at a time, where the posted softmax is right
    u = t - p
    layers = deltas(x, p * (u - np.sum(u * p, axis=1, keepdims=True)), **params)
    biases = {f"b{i}": np.full(d.shape[1], d[-1].sum()) / len(x) for i, (_, d) in enumerate(layers, 1)}
    return {f"W{i}": a.T.dot(d) / len(x) for i, (a, d) in enumerate(layers, 1)} | biases


def repaired(x: Array, t: Array, **params: Array) -> dict[str, Array]:
    """As it is right: t - p for the cross-entropy; each bias sums its unit's deltas over the records."""
    layers = deltas(x, t - softmax(forward(x, **params)[-1]), **params)
    biases = {f"b{i}": d.sum(axis=0) / len(x) for i, (_, d) in enumerate(layers, 1)}
    return {f"W{i}": a.T.dot(d) / len(x) for i, (a, d) in enumerate(layers, 1)} | biases


def deltas(x: Array, d3: Array, **params: Array) -> tuple[tuple[Array, Array], ...]:
    """From the last layer's delta down: of each layer its input and its delta."""
    z1, a1, z2, a2, _ = forward(x, **params)
    d2 = d3.dot(params["W3"].T) * (z2 > 0)
    d1 = d2.dot(params["W2"].T) * (z1 > 0)
    return (x, d1), (a1, d2), (a2, d3)


def weights(rng: np.random.Generator) -> dict[str, Array]:
    """Normal, scaled for ReLU by sqrt(2 / fan_in)."""
    params = {}
    for i, (fan_in, fan_out) in enumerate(pairwise(SIZES), 1):
        params[f"W{i}"] = rng.standard_normal((fan_in, fan_out)) * np.sqrt(2 / fan_in)
        params[f"b{i}"] = np.zeros(fan_out)
    return params


# ---- the same network with nn --------------------------------------------------------------------------------------


def network(rng: np.random.Generator) -> nn.Sequential:
    """784-300-75-10 from the same initial weights; it ends in logits, which the cross-entropy takes."""
    params = weights(rng)
    model = nn.Sequential(nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 75), nn.ReLU(), nn.Linear(75, 10))
    for i in (1, 2, 3):
        model[2 * i - 2].weight.data = params[f"W{i}"].T
        model[2 * i - 2].bias.data = params[f"b{i}"]
    return model


def model() -> tuple[Any, ...]:
    """What `python -m autograd_lite draw examples.mnist_relu:model` draws: the document's loss, and inputs."""
    rng = np.random.default_rng(0)
    x, t = rng.uniform(0, 1, (16, SIZES[0])), np.eye(10)[rng.integers(0, 10, 16)]
    return lambda params, x, t: loss(x, t, **params), leaves(weights(rng)), x, t


# ---- the story -----------------------------------------------------------------------------------------------------


def story(run: Run) -> None:
    split = run.mnist()
    params = weights(run.rng)
    x, t = pixels(split.x[:20], np.float64), nn.one_hot(split.y[:20], 10, np.float64)
    for title, formulas in (("posted formulas", posted), ("repaired formulas", repaired)):
        run.check(title, lambda p: loss(x, t, **p), params, formulas(x, t, **params))
    run.shorten(2)
    if run.as_posted:
        train_as_posted(run, split, params)
        return

    test_images = pixels(split.test_x)
    model = network(run.rng)
    run.draw(model, test_images[:16])
    train = Shifted(batches(pixels(split.x), split.y, 64, run.rng), run.rng)
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    decay = nn.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.8)
    test = held_out(test_images, split.test_y)
    rows = run.train(model, nn.CrossEntropyLoss(), optimizer, train, test, scheduler=decay)
    with ag.no_grad():
        sums = np.sum(softmax(model(test_images).numpy().astype(np.float64)), axis=1)
    run.require("test accuracy", rows[-1]["valid_accuracy"], at_least=0.982, quick=0.87)
    run.require("farthest row of the softmax from 1", float(np.abs(sums - 1).max()), at_most=1e-6)
    run.require("last loss over first", rows[-1]["loss"] / rows[0]["loss"], at_most=0.999)
    run.because("Why the loss falls now: the softmax is taken by row, and the gradient is that of the loss reported.")


def train_as_posted(run: Run, split: Split, params: dict[str, Array]) -> None:
    """Batches of 64 at a rate of 0.5; the posted loss is taken on each batch."""
    images, targets = pixels(split.x), nn.one_hot(split.y, 10)
    test_images = pixels(split.test_x)
    params = {name: value.astype(np.float32) for name, value in params.items()}
    for epoch in run.passes():
        losses = []
        for rows in np.array_split(run.rng.permutation(len(images)), len(images) // 64):
            losses.append(posted_loss(images[rows], targets[rows], **params))
            for name, direction in posted(images[rows], targets[rows], **params).items():
                params[name] += np.float32(0.5) * direction
        guesses = np.argmax(forward(test_images, **params)[-1], axis=1)
        run.log(epoch, posted_loss=float(np.mean(losses)), test_accuracy=float(np.mean(guesses == split.test_y)))
    run.require("test accuracy", run.history[-1]["test_accuracy"], at_least=0.94, quick=0.85)
    run.require("last loss over first", run.history[-1]["posted_loss"] / run.history[0]["posted_loss"], at_least=1.01)
    run.because(
        "Why: on a batch the posted softmax makes all rows together sum to 1, so the surer it is of some rows, "
        "the less is left for the others, and the reported loss grows. What is descended is another loss, "
        "sum((p - t)^2)/2, and that one falls: so the accuracy rises."
    )


DOCUMENT = Document(
    name="mnist_relu",
    question="Why does the loss of a 784-300-75-10 network rise while its accuracy passes 94 %?",
    epochs=10,
    posted_epochs=4,
    story=story,
)

if __name__ == "__main__":
    sys.exit(DOCUMENT.main())
