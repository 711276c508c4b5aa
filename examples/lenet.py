"""The network that document 3 is pointed to: a small convolutional one, of LeNet's size.

Two convolutions, each followed by a maximum over 2x2 squares, then three linear layers. The hand-written gradients of a
network with one convolution are checked first, because a convolution's are the ones that people get wrong.

    python -m examples.lenet [--data DIR]
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

import nn

from .common import Array, Document, Run
from .data import Shifted, batches, held_out, pixels

# ---- one convolution and one linear layer, in plain NumPy: x (N, 28, 28), t (N, 10) --------------------------------


def windows(x: Any) -> Any:
    """Every 5x5 square of every image: (N, 24, 24, 5, 5)."""
    return np.lib.stride_tricks.sliding_window_view(x, (5, 5), axis=(1, 2))


def softmax(z: Any) -> Any:
    e = np.exp(z - np.max(z, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)


def forward(x: Any, K: Any, b: Any, W: Any) -> Any:
    """The maps z (N, 24, 24, 6), a = relu(z) flattened, and the probabilities p (N, 10)."""
    z = np.tensordot(windows(x), K, axes=([3, 4], [1, 2])) + b
    a = np.maximum(z, 0).reshape(len(x), -1)
    return z, a, softmax(np.dot(a, W))


def loss(x: Any, t: Any, **params: Any) -> Any:
    """The cross-entropy, averaged over the images."""
    return -np.sum(t * np.log(forward(x, **params)[-1])) / len(t)


def repaired(x: Array, t: Array, K: Array, b: Array, W: Array) -> dict[str, Array]:
    """The direction that is added: a kernel's is the sum of all squares, each times the delta of its place."""
    z, a, p = forward(x, K, b, W)
    d2 = t - p
    d1 = d2.dot(W.T).reshape(z.shape) * (z > 0)
    return {
        "K": np.tensordot(d1, windows(x), axes=([0, 1, 2], [0, 1, 2])),
        "b": d1.sum(axis=(0, 1, 2)),
        "W": a.T.dot(d2),
    }


# ---- the network with nn -------------------------------------------------------------------------------------------


def network(rng: np.random.Generator) -> nn.Sequential:
    """Images (N, 1, 28, 28) to ten logits."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2, rng=rng), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5, rng=rng), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120, rng=rng), nn.ReLU(),
        nn.Linear(120, 84, rng=rng), nn.ReLU(),
        nn.Linear(84, 10, rng=rng),
    )  # fmt: skip


def model() -> tuple[Any, ...]:
    """What `python -m autograd_lite draw examples.lenet:model` draws: the network, and inputs."""
    rng = np.random.default_rng(0)
    return network(rng), rng.uniform(0, 1, (16, 1, 28, 28)).astype(np.float32)


# ---- the story -----------------------------------------------------------------------------------------------------


def story(run: Run) -> None:
    split = run.mnist()
    x, t = pixels(split.x[:8], np.float64).reshape(-1, 28, 28), nn.one_hot(split.y[:8], 10, np.float64)
    params = {
        "K": 0.2 * run.rng.standard_normal((6, 5, 5)),
        "b": 0.1 * run.rng.standard_normal(6),
        "W": 0.02 * run.rng.standard_normal((6 * 24 * 24, 10)),
    }
    run.check("hand-written formulas of one convolution", lambda p: loss(x, t, **p), params, repaired(x, t, **params))
    if run.as_posted:
        run.because("Nothing was posted here: the convolutional network is the documents' advice, and it learns.")

    images, test_images = (pixels(each).reshape(-1, 1, 28, 28) for each in (split.x, split.test_x))
    model = network(run.rng)
    run.draw(model, images[:16])
    run.shorten(1)
    train = Shifted(batches(images, split.y, 32, run.rng), run.rng)
    optimizer = nn.optim.Adam(model.parameters(), lr=0.002)
    decay = nn.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.6)
    test = held_out(test_images, split.test_y)
    rows = run.train(model, nn.CrossEntropyLoss(), optimizer, train, test, scheduler=decay)
    run.require("test accuracy", rows[-1]["valid_accuracy"], at_least=0.99, quick=0.85)


DOCUMENT = Document(
    name="lenet",
    question="How far does a small convolutional network get on MNIST, with the same loss and the same gradients?",
    epochs=5,
    posted_epochs=5,
    story=story,
)

if __name__ == "__main__":
    sys.exit(DOCUMENT.main())
