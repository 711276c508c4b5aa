"""Document 4: |sin x|. "It learns |sin x| on [0, pi] and nothing larger."

1-10-10-1. The hand-written gradients are right here; it is the model that cannot do it: a sigmoid on the output of a
regression, no biases, and inputs far from zero.

    python -m examples.abs_sin [--as-posted]
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

import nn
from nn.curves import png

from .common import Array, Document, Run, leaves

LENGTHS = {"pi": np.pi, "2 pi": 2 * np.pi, "4 pi": 4 * np.pi}
BOUNDS = {"pi": 1e-5, "2 pi": 5e-4, "4 pi": 2e-3}
STEPS = 100  # an epoch is that many steps here
SEEDS = 5

# ---- the network, in plain NumPy: x and y (N, 1) -------------------------------------------------------------------


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def forward(x: Any, W1: Any, W2: Any, W3: Any) -> Any:
    """The activations a1, a2 (N, 10) and the output o (N, 1)."""
    a1 = sigmoid(np.dot(x, W1))
    a2 = sigmoid(a1.dot(W2))
    return a1, a2, sigmoid(a2.dot(W3))


def loss(x: Any, y: Any, **params: Any) -> Any:
    return np.sum((y - forward(x, **params)[-1]) ** 2)


# ---- the gradients, by hand: right as posted -----------------------------------------------------------------------


def posted(x: Array, y: Array, W1: Array, W2: Array, W3: Array) -> dict[str, Array]:
    """The direction that is added: -1/2 times the gradient of the summed squared error."""
    a1, a2, o = forward(x, W1, W2, W3)
    d3 = (y - o) * o * (1 - o)
    d2 = d3 @ W3.T * a2 * (1 - a2)
    d1 = d2 @ W2.T * a1 * (1 - a1)
    return {"W1": x.T @ d1, "W2": a1.T @ d2, "W3": a2.T @ d3}


def weights(rng: np.random.Generator) -> dict[str, Array]:
    return {f"W{i}": rng.uniform(-0.5, 0.5, shape) for i, shape in enumerate(((1, 10), (10, 10), (10, 1)), 1)}


# ---- the repaired network with nn ----------------------------------------------------------------------------------


def network(rng: np.random.Generator) -> nn.Sequential:
    """1-10-10-1 with biases, tanh inside and nothing on the output."""
    model = nn.Sequential(nn.Linear(1, 10), nn.Tanh(), nn.Linear(10, 10), nn.Tanh(), nn.Linear(10, 1))
    for layer in (model[0], model[2], model[4]):
        nn.init.xavier_uniform_(layer.weight, gain=5 / 3, rng=rng)
        nn.init.uniform_(layer.bias, -1, 1, rng=rng)
    return model


def standardized(x: Array, length: float) -> Array:
    """Points uniform on [0, length] with mean 0 and deviation 1, (N, 1) in float32."""
    return ((x - length / 2) / (length / np.sqrt(12))).astype(np.float32)[:, None]


def model() -> tuple[Any, ...]:
    """What `python -m autograd_lite draw examples.abs_sin:model` draws: the document's loss, and inputs."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0, np.pi, (10, 1))
    return lambda params, x, y: loss(x, y, **params), leaves(weights(rng)), x, np.abs(np.sin(x))


# ---- the story -----------------------------------------------------------------------------------------------------


def story(run: Run) -> None:
    params = weights(run.rng)
    x = run.rng.uniform(0, np.pi, (10, 1))
    y = np.abs(np.sin(x))
    run.check("the document's formulas", lambda p: loss(x, y, **p), params, posted(x, y, **params))
    print("The derivation is right. At fault is the model.\n")
    if run.as_posted:
        train_as_posted(run)
        return

    run.draw(network(np.random.default_rng(run.seed)), standardized(np.zeros(16), 1.0))
    run.shorten(30)
    fits = {}
    for name in ("pi",) if run.quick else LENGTHS:
        seeds = range(run.seed, run.seed + (1 if run.quick else SEEDS))
        fits[name], errors = zip(*(fit(run, name, seed) for seed in seeds), strict=True)
        run.require(f"error on [0, {name}]", errors, at_most=BOUNDS[name], quick=1e-3)
    picture(run, {name: (lambda x, n=name, m=models[-1]: predict(m, x, LENGTHS[n])) for name, models in fits.items()})
    run.because(
        "Why it learns now: a linear output, biases, inputs around zero. Nothing of it holds outside the interval, as "
        "the grey part of fit.png shows: a network interpolates."
    )


def fit(run: Run, name: str, seed: int) -> tuple[nn.Module, float]:
    """Train one network on [0, length]; its mean squared error on a fresh grid."""
    length, rng = LENGTHS[name], np.random.default_rng(seed)
    points = rng.uniform(0, length, int(1000 * length))
    x, y = standardized(points, length), np.abs(np.sin(points)).astype(np.float32)[:, None]
    model = network(rng)
    optimizer = nn.optim.Adam(model.parameters(), lr=0.02)
    grid = np.linspace(0, length, 2001)
    test = [(standardized(grid, length), np.abs(np.sin(grid)).astype(np.float32)[:, None])]
    decay = nn.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=run.epochs)
    part = f"{name.replace(' ', '-')}-seed-{seed}"
    rows = run.train(model, nn.MSELoss(), optimizer, Minibatches(x, y, 100, rng), test, (), decay, part)
    return model, rows[-1]["valid_loss"]


class Minibatches:
    """STEPS batches of points drawn anew for each epoch."""

    def __init__(self, x: Array, y: Array, size: int, rng: np.random.Generator) -> None:
        self.x, self.y, self.size, self.rng = x, y, size, rng

    def __len__(self) -> int:
        return STEPS

    def __iter__(self) -> Any:
        for rows in self.rng.integers(0, len(self.x), (STEPS, self.size)):
            yield self.x[rows], self.y[rows]


def predict(model: nn.Module, x: Array, length: float) -> Array:
    return model(standardized(x, length)).detach().numpy()[:, 0]


def picture(run: Run, fits: dict[str, Any]) -> None:
    """fit.png: each fit, the target, and in grey the region outside the training interval."""

    def draw(figure: Any) -> None:
        for axes, (name, f) in zip(figure.subplots(len(fits), 1, squeeze=False)[:, 0], fits.items(), strict=True):
            x = np.linspace(-0.25 * LENGTHS[name], 1.25 * LENGTHS[name], 1000)
            axes.plot(x, np.abs(np.sin(x)), "k:", label="|sin x|")
            axes.plot(x, f(x), "C1", label=f"learned on [0, {name}]")
            axes.axvspan(x[0], 0, color="0.9")
            axes.axvspan(LENGTHS[name], x[-1], color="0.9")
            axes.set(ylim=(-0.5, 2.0))
            axes.legend(loc="upper center", ncols=2)

    image = png(draw)
    run.files |= {"fit.png": image} if image else {}


def train_as_posted(run: Run) -> None:
    """10,000 steps of 10 points, the rate falling from 1 by 1e-4 a step to 0.001, on each interval."""
    fits = {}
    for name, length in LENGTHS.items():
        params = weights(run.rng)
        points = run.rng.uniform(0, length, (int(1000 * length), 1))
        rate = 1.0
        for _ in range(100 * run.epochs):
            x = points[run.rng.integers(0, len(points), 10)]
            for key, direction in posted(x, np.abs(np.sin(x)), **params).items():
                params[key] += rate * direction
            rate = max(rate - 1e-4, 0.001)
        grid = np.linspace(0, length, 2001)
        fits[name] = lambda x, p=params: forward(x[:, None], **p)[-1][:, 0]
        error = float(np.mean((fits[name](grid) - np.abs(np.sin(grid))) ** 2))
        if name == "pi":
            run.require("error on [0, pi]", error, at_most=0.02)
        else:
            run.require(f"error on [0, {name}]", error, at_least=0.02)
    picture(run, fits)
    run.because(
        "Why: without biases every unit's slope has its middle at x = 0, so ten units share one kink there and none is "
        "left for a bump farther out; a sigmoid on the output can reach neither 0 nor 1. The gradients are right."
    )


DOCUMENT = Document(
    name="abs_sin",
    question="Why does a 1-10-10-1 network learn |sin x| on [0, pi] but on no larger interval?",
    epochs=100,
    posted_epochs=100,
    story=story,
    seeds=(0,),  # a run trains five networks on each interval, whose median is judged
)

if __name__ == "__main__":
    sys.exit(DOCUMENT.main())
