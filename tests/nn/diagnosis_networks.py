"""Networks for the tests of nn.diagnose: sound ones, in which nothing may be found, and broken ones, each with a name.

Every sound one is diagnosed before training, during it and after it. More of them, from other random numbers:

    python -m tests.nn.diagnosis_networks 3
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import autograd_lite as ag
import nn

STOPS = (0, 2, 40)  # steps after which a sound network is looked at


@dataclass
class Training:
    """What nn.diagnose takes; `expected` names the findings one of which must be made, in a broken one."""

    name: str
    model: Callable[[Any], Any]
    loss: Callable[[Any, Any], Any]
    x: np.ndarray
    y: np.ndarray
    optimizer: Any = None
    history: Any = None
    expected: tuple[str, ...] = ()

    def diagnose(self, history: Any = None) -> Any:
        return nn.diagnose(self.model, self.loss, self.x, self.y, history or self.history, optimizer=self.optimizer)


# ---- data ----------------------------------------------------------------------------------------------------------


def blobs(rng, noise=1.0, dtype=np.float32):
    """300 records of six features in three classes."""
    centres = 1.5 * rng.standard_normal((3, 6))
    labels = rng.integers(0, 3, 300)
    return (centres[labels] + noise * rng.standard_normal((300, 6))).astype(dtype), labels


def images(rng):
    """90 images (1, 12, 12) with a bright square in one of three places."""
    labels = rng.integers(0, 3, 90)
    x = 0.3 * rng.random((90, 1, 12, 12))
    for image, label in zip(x, labels, strict=True):
        image[0, 2 + 3 * label : 5 + 3 * label, 3:9] += 0.7
    return x.astype(np.float32), labels


def line(rng, outputs=1, noise=0.1):
    """300 records of a linear relation with noise."""
    x = rng.standard_normal((300, 4))
    y = x @ rng.standard_normal((4, outputs)) + noise * rng.standard_normal((300, outputs))
    return x.astype(np.float32), y.astype(np.float32)


def wave():
    x = np.linspace(-1.7, 1.7, 200, dtype=np.float32)[:, None]
    return x, np.sin(3 * x)


# ---- networks ------------------------------------------------------------------------------------------------------


def mlp(
    rng, inputs, outputs, *, hidden=(16, 16), act=nn.ReLU, dtype=np.float32, extra=(), drop=0.0, end=None, init=None
):
    layers, size = [], inputs
    for width in hidden:
        layers += [nn.Linear(size, width, rng=rng, dtype=dtype), *(make(width, dtype=dtype) for make in extra), act()]
        layers += [nn.Dropout(drop, rng=rng)] if drop else []
        size = width
    layers += [nn.Linear(size, outputs, rng=rng, dtype=dtype), *([end] if end else [])]
    for layer in layers:
        if init and isinstance(layer, nn.Linear):
            init(layer.weight, rng=rng)
    return nn.Sequential(*layers)


def convolutional(rng, norm=False):
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1, rng=rng), *([nn.BatchNorm2d(6)] if norm else []), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, rng=rng), nn.ReLU(), nn.Flatten(), nn.Linear(128, 3, rng=rng),
    )  # fmt: skip


class Bag(nn.Module):
    def __init__(self, rng):
        self.table, self.out = nn.Embedding(20, 8, rng=rng), nn.Linear(8, 2, rng=rng)

    def forward(self, x):
        return self.out(np.mean(self.table(x), axis=1))


class Residual(nn.Module):
    def __init__(self, rng):
        self.first, self.last = nn.Linear(6, 16, rng=rng), nn.Linear(16, 3, rng=rng)
        self.middle = [nn.Linear(16, 16, rng=rng) for _ in range(4)]

    def forward(self, x):
        x = self.first(x)
        for layer in self.middle:
            x = x + np.maximum(layer(x), 0)
        return self.last(x)


class Attention(nn.Module):
    def __init__(self, rng):
        self.q, self.k, self.v = (nn.Linear(6, 8, rng=rng) for _ in range(3))
        self.out = nn.Linear(8, 3, rng=rng)

    def forward(self, x):
        scores = self.q(x) @ np.swapaxes(self.k(x), 1, 2) / np.sqrt(8)
        return self.out(np.mean(nn.functional.softmax(scores, dim=-1) @ self.v(x), axis=1))


class Recurrent(nn.Module):
    def __init__(self, rng):
        self.x, self.h = nn.Linear(6, 12, rng=rng), nn.Linear(12, 12, bias=False, rng=rng)
        self.out = nn.Linear(12, 3, rng=rng)

    def forward(self, x):
        h = np.tanh(self.x(x[:, 0]))
        for t in range(1, x.shape[1]):
            h = np.tanh(self.x(x[:, t]) + self.h(h))
        return self.out(h)


def segmenter(rng):
    return nn.Sequential(nn.Conv2d(1, 6, 3, padding=1, rng=rng), nn.ReLU(), nn.Conv2d(6, 2, 3, padding=1, rng=rng))


def segments(rng):
    x, _ = images(rng)
    return x, (x[:, 0] > 0.6).astype(int)


def gaussian(o, t):
    """The negative log-likelihood of a normal distribution, which may be negative."""
    return np.mean(o[:, 1:] / 2 + (t - o[:, :1]) ** 2 / (2 * np.exp(o[:, 1:])))


class Detached(nn.Module):
    def __init__(self, rng):
        self.first, self.last = nn.Linear(6, 8, rng=rng), nn.Linear(8, 3, rng=rng)

    def forward(self, x):
        return self.last(np.tanh(self.first(x)).detach())


class Unused(Detached):
    def forward(self, x):
        return self.last(np.concatenate([x, x[:, :2]], axis=1))


def tensors(rng, **shapes):
    return {
        name: ag.tensor(rng.standard_normal(shape) / np.sqrt(shape[0]), requires_grad=True, name=name)
        for name, shape in shapes.items()
    }


def softmax(z, axis=1):
    e = np.exp(z - np.max(z, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


def squared(o, y):
    return np.mean((o - y) ** 2)


def cross_entropy(p, t):
    return -np.mean(np.sum(t * np.log(p), axis=1))


def scaled(model, factor):
    for each in model.parameters():
        if each.ndim > 1:
            each.data = each.data * factor
    return model


def filled(model, value):
    for each in model.parameters():
        each.data = np.full(each.shape, value)
    return model


def with_bias(model, layer, value):
    model[layer].bias.data = np.broadcast_to(value, model[layer].bias.shape)
    return model


# ---- sound trainings -----------------------------------------------------------------------------------------------


def adam(model, lr=0.01):
    return nn.optim.Adam(model.parameters(), lr=lr)


def sgd(model, lr=0.1, momentum=0.0):
    return nn.optim.SGD(model.parameters(), lr=lr, momentum=momentum)


def sound(seed: int) -> Iterator[Training]:
    """Trainings with nothing wrong."""
    rng = np.random.default_rng(seed)
    ce, mse, bce = nn.CrossEntropyLoss(), nn.MSELoss(), nn.BCEWithLogitsLoss()

    def of(name, model, loss, x, y, make=adam, *rate):
        return Training(name, model, loss, x, y, make(model, *rate))

    x, y = blobs(rng)
    hot, yes = nn.one_hot(y, 3), (y == 0).astype(np.float32)[:, None]
    for act in (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.ELU, nn.LeakyReLU, nn.Softplus):
        yield of(f"classes, {act.__name__}", mlp(rng, 6, 3, act=act), ce, x, y)
    yield of("batch norm", mlp(rng, 6, 3, extra=(nn.BatchNorm1d,)), ce, x, y)
    yield of("layer norm", mlp(rng, 6, 3, extra=(nn.LayerNorm,)), ce, x, y)
    yield of("dropout", mlp(rng, 6, 3, drop=0.5), ce, x, y)
    yield of("batch norm and dropout", mlp(rng, 6, 3, extra=(nn.BatchNorm1d,), drop=0.3), ce, x, y)
    yield of("six relu layers", mlp(rng, 6, 3, hidden=(32,) * 5, init=nn.init.kaiming_normal_), ce, x, y, adam, 3e-3)
    deep = mlp(rng, 6, 3, hidden=(20,) * 5, act=nn.Tanh, init=nn.init.xavier_uniform_)
    yield of("six tanh layers", deep, ce, x, y, adam, 3e-3)
    yield of("five default layers", mlp(rng, 6, 3, hidden=(32,) * 4), ce, x, y, adam, 3e-3)
    yield of("wide", mlp(rng, 6, 3, hidden=(256,)), ce, x, y)
    for rate in (0.1, 0.01, 1e-3):
        yield of(f"descent at {rate}", mlp(rng, 6, 3), ce, x, y, sgd, rate)
    yield of("momentum", mlp(rng, 6, 3), ce, x, y, sgd, 0.05, 0.9)
    for rate in (0.05, 1e-3, 1e-4):
        yield of(f"Adam at {rate}", mlp(rng, 6, 3), ce, x, y, adam, rate)
    x64, y64 = blobs(rng, dtype=np.float64)
    yield of("float64", mlp(rng, 6, 3, dtype=np.float64), ce, x64, y64)
    yield of("classes that overlap", mlp(rng, 6, 3), ce, *blobs(rng, noise=6))
    yield of("labels at random", mlp(rng, 6, 3), ce, x, rng.integers(0, 3, 300), adam, 1e-3)
    yield of("label smoothing", mlp(rng, 6, 3), nn.CrossEntropyLoss(label_smoothing=0.1), x, y)
    yield of("log-softmax", mlp(rng, 6, 3, end=nn.LogSoftmax(dim=1)), nn.NLLLoss(), x, y)
    yield of("one-hot rows", mlp(rng, 6, 3), ce, x, hot)
    yield of("softmax, squared error", mlp(rng, 6, 3, end=nn.Softmax(dim=1)), mse, x, hot)
    yield of("sigmoids, squared error", mlp(rng, 6, 3, end=nn.Sigmoid()), mse, x, hot)
    own = mlp(rng, 6, 3, end=nn.LogSoftmax(dim=1))
    yield of("own log-likelihood", own, lambda p, t: -np.mean(np.sum(t * p, axis=1)), x, hot)
    yield of("binary", mlp(rng, 6, 1, end=nn.Sigmoid()), nn.BCELoss(), x, yes)
    yield of("binary logits", mlp(rng, 6, 1), bce, x, yes)
    yield of("binary, squared error", mlp(rng, 6, 1, end=nn.Sigmoid()), mse, x, yes)
    yield of("plus and minus one", mlp(rng, 6, 1, act=nn.Tanh, end=nn.Tanh()), mse, x, 2 * yes - 1)
    rare = (rng.random((300, 1)) < 0.05).astype(np.float32)
    yield of("a rare class", mlp(rng, 6, 1), bce, x + 2 * rare, rare)
    yield of("last layer zero", scaled(with_bias(mlp(rng, 6, 3, hidden=()), 0, 0.0), 0.0), ce, x, y, sgd, 0.5)
    zero = mlp(rng, 6, 3)
    zero[4].weight.data, zero[4].bias.data = np.zeros((3, 16)), np.zeros(3)
    yield of("hidden layers, last one zero", zero, ce, x, y)
    yield of("linear", nn.Linear(6, 3, rng=rng), ce, x, y, sgd, 0.5)
    yield of("linear without bias", nn.Linear(6, 3, bias=False, rng=rng), ce, x, y, sgd, 0.5)
    yield of("sum, small rate", mlp(rng, 6, 3), nn.CrossEntropyLoss(reduction="sum"), x, y, sgd, 0.1 / 300)

    X, Y = line(rng, 2)
    yield of("linear regression", nn.Linear(4, 2, rng=rng), mse, X, Y, sgd)
    for loss in (mse, nn.L1Loss(), nn.HuberLoss()):
        yield of(f"regression, {type(loss).__name__}", mlp(rng, 4, 2), loss, X, Y)
    yield of("positive outputs", mlp(rng, 4, 2, end=nn.Softplus()), mse, X, np.abs(Y))
    yield of("targets around 10", mlp(rng, 4, 2), mse, X, Y + 10)
    yield of("targets of size 50", mlp(rng, 4, 2), mse, X, Y * 50)
    yield of("noise alone", mlp(rng, 4, 1), mse, X, rng.standard_normal((300, 1)).astype(np.float32))
    yield of("sine, tanh", mlp(rng, 1, 1, hidden=(20,), act=nn.Tanh), mse, *wave())
    yield of("sine, relu", mlp(rng, 1, 1, hidden=(20, 20)), mse, *wave(), adam, 3e-3)
    codes = (rng.random((200, 8)) ** 3).astype(np.float32)
    yield of("autoencoder", mlp(rng, 8, 8, hidden=(4,), end=nn.Sigmoid()), mse, codes, codes)

    yield of("convolution", convolutional(rng), ce, *images(rng), adam, 3e-3)
    yield of("convolution, batch norm", convolutional(rng, norm=True), ce, *images(rng), adam, 3e-3)
    words = rng.integers(0, 20, (200, 6))
    yield of("embedding", Bag(rng), ce, words, (words.mean(axis=1) > 9.5).astype(int))
    yield of("residual", Residual(rng), ce, x, y, adam, 3e-3)
    tokens = (x[:, None, :] + 0.3 * rng.standard_normal((300, 5, 6))).astype(np.float32)
    yield of("attention", Attention(rng), ce, tokens, y)

    yield of("recurrent", Recurrent(rng), ce, tokens, y)
    several = (x[:, :5] + 0.5 * rng.standard_normal((300, 5)) > 0).astype(np.float32)
    yield of("several labels", mlp(rng, 6, 5), bce, x, several)
    yield of("a class for each pixel", segmenter(rng), ce, *segments(rng))
    ignored = np.where(rng.random(300) < 0.2, -100, y)
    yield of("labels left out", mlp(rng, 6, 3), ce, x, ignored)
    counts = rng.poisson(np.exp(0.5 * x[:, :1])).astype(np.float32)
    yield of("counts", mlp(rng, 6, 1), lambda o, t: np.mean(np.exp(o) - t * o), x, counts)
    yield of("hinge", mlp(rng, 6, 1), lambda o, t: np.mean(np.maximum(1 - o * t, 0)), x, 2 * yes - 1)
    yield of("gaussian", mlp(rng, 4, 2), gaussian, X, Y[:, :1])
    clean = (1 / (1 + np.exp(-rng.standard_normal((200, 3)) @ rng.standard_normal((3, 40))))).astype(np.float32)
    noisy = (clean + 0.1 * rng.standard_normal((200, 40))).astype(np.float32)
    yield of("denoising", mlp(rng, 40, 40, hidden=(16,), end=nn.Sigmoid()), mse, noisy, clean)
    small = mlp(rng, 6, 3, init=lambda weight, rng: nn.init.normal_(weight, 0, 0.02, rng=rng))
    for layer in (0, 2, 4):
        with_bias(small, layer, 0.0)
    yield of("weights of 0.02", small, ce, x, y)
    tiny = mlp(rng, 6, 3, extra=(nn.BatchNorm1d,))
    tiny[0].weight.data = 0.01 * tiny[0].weight.data
    yield of("small weights before a norm", tiny, ce, x, y)
    last = mlp(rng, 6, 3)
    last[4].weight.data = 0.01 * last[4].weight.data
    yield of("small last layer", last, ce, x, y)
    decayed = mlp(rng, 6, 3)
    yield Training("weight decay", decayed, ce, x, y, nn.optim.AdamW(decayed.parameters(), lr=0.01, weight_decay=0.1))
    yield of("a rare class, linear", nn.Linear(6, 1, rng=rng), bce, x, rare, sgd, 0.5)
    yield of("noise, linear", nn.Linear(4, 1, rng=rng), mse, X, rng.standard_normal((300, 1)).astype(np.float32), sgd)

    p = tensors(rng, W1=(6, 16), b1=(16,), W2=(16, 3), b2=(3,))
    yield Training(
        "a plain function",
        lambda x: softmax(np.tanh(x @ p["W1"] + p["b1"]) @ p["W2"] + p["b2"]),
        cross_entropy, x64, nn.one_hot(y64, 3, np.float64), nn.optim.SGD(p.values(), lr=0.3),
    )  # fmt: skip
    q = tensors(rng, V1=(16, 6), c1=(16, 1), V2=(3, 16), c2=(3, 1))
    yield Training(
        "records as columns",
        lambda x: softmax(q["V2"] @ (1 / (1 + np.exp(-(q["V1"] @ x + q["c1"])))) + q["c2"], axis=0),
        lambda p, t: -np.sum(t * np.log(p)) / p.shape[1],
        x64.T.copy(), nn.one_hot(y64, 3, np.float64).T.copy(), nn.optim.SGD(q.values(), lr=0.3),
    )  # fmt: skip
    for count in (1, 4, 8):
        yield of(f"{count} records", mlp(rng, 6, 3), ce, x[:count], y[:count])
    bits = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    parity = np.array([[0], [1], [1], [0]], np.float32)
    for act in (nn.Tanh, nn.ReLU):
        yield of(
            f"four rows of XOR, {act.__name__}", mlp(rng, 2, 1, hidden=(8,), act=act), bce, bits, parity, adam, 0.05
        )


def looked_at_in_training(training: Training, seed: int) -> Iterator[tuple[int, Any]]:
    """The diagnoses before, during and after a training by batches of 64."""
    rng = np.random.default_rng(seed)
    step = nn.TrainStep(training.model, training.loss, training.optimizer)
    axis = 1 if training.name == "records as columns" else 0
    rows: list[dict[str, float]] = []
    done = 0
    for stop in STOPS:
        losses = []
        while done < stop:
            chosen = rng.permutation(training.x.shape[axis])[:64]
            losses.append(step(np.take(training.x, chosen, axis), np.take(training.y, chosen, axis)))
            done += 1
        rows += [{"epoch": len(rows) + 1, "loss": float(np.mean(losses))}] if losses else []
        yield stop, training.diagnose(rows)


# ---- broken trainings ----------------------------------------------------------------------------------------------


def broken(seed: int) -> Iterator[Training]:
    """Trainings with one thing wrong, each kind of it on at least two networks."""
    rng = np.random.default_rng(seed)
    ce, mse, bce = nn.CrossEntropyLoss(), nn.MSELoss(), nn.BCEWithLogitsLoss()
    x, y = blobs(rng)
    hot, yes = nn.one_hot(y, 3), (y == 0).astype(np.float32)[:, None]
    X, Y = line(rng)
    pictures, kinds = images(rng)
    t, sine = wave()

    def of(expected, model, loss, x, y, **more):
        return Training(expected, model, loss, x, y, expected=tuple(expected.split(" | ")), **more)

    yield of("records do not match", mlp(rng, 6, 3), ce, x, y[:-1])
    yield of("records do not match", nn.Linear(4, 1), mse, X[1:], Y)
    spoilt = x.copy()
    spoilt[5, 2] = np.nan
    yield of("data not finite", mlp(rng, 6, 3), ce, spoilt, y)
    yield of("data not finite", nn.Linear(4, 1, rng=rng), mse, X, np.where(Y > 2, np.inf, Y))
    yield of("loss refuses the targets", mlp(rng, 4, 1), mse, X, Y[:, 0])
    yield of("loss refuses the targets", mlp(rng, 6, 3), ce, x, y.astype(np.float32))
    yield of("labels out of range", mlp(rng, 6, 3), ce, x, y + 1)
    chosen = mlp(rng, 6, 3, end=nn.LogSoftmax(dim=1))
    yield of("labels out of range", chosen, lambda p, t: -np.mean(p[np.arange(p.shape[0]), t]), x, y - 1)
    yield of("labels out of range", mlp(rng, 6, 1), bce, x, y.astype(np.float32)[:, None])
    yield of("targets broadcast", nn.Linear(4, 1, rng=rng), squared, X, Y[:, 0])
    yield of("targets broadcast", mlp(rng, 6, 1, end=nn.Sigmoid()), squared, x, yes[:, 0])
    yield of("targets out of reach", mlp(rng, 6, 1, end=nn.Sigmoid()), mse, x, y.astype(np.float32)[:, None])
    yield of("targets out of reach", mlp(rng, 4, 1, end=nn.Tanh()), nn.L1Loss(), X, 3 * Y)
    yield of("targets out of reach", mlp(rng, 4, 1, end=nn.ReLU()), mse, X, Y)
    end = mlp(rng, 4, 1, end=nn.Sigmoid())
    yield of("targets out of reach", lambda x: 4 * end(x) - 2, squared, X, 4 * Y / np.abs(Y).max())
    three = rng.integers(0, 3, (300, 1)).astype(np.float32)
    entropy = lambda p, t: -np.mean(t * np.log(p) + (1 - t) * np.log(1 - p))
    yield of("targets out of reach", mlp(rng, 4, 1, end=nn.Sigmoid()), entropy, X, three)
    yield of("saturating output", mlp(rng, 1, 1, act=nn.Tanh, end=nn.Tanh()), mse, t, sine)
    both = np.concatenate([np.abs(sine), sine**2], axis=1)
    yield of("saturating output", mlp(rng, 1, 2, end=nn.Sigmoid()), nn.HuberLoss(), t, both)

    yield of("softmax rows do not sum to 1", mlp(rng, 6, 3, end=nn.Softmax(dim=0)), mse, x, hot)
    W = tensors(rng, W=(6, 3))["W"]
    whole = lambda z: np.exp(z) / np.sum(np.exp(z))
    no_keepdims = lambda z: np.exp(z) / np.sum(np.exp(z), axis=1)
    yield of("softmax rows do not sum to 1", lambda x: whole(x @ W), cross_entropy, x, hot)
    yield of("softmax rows do not sum to 1", lambda x: no_keepdims(x @ W), cross_entropy, x[:3], hot[:3])
    yield of("activation twice", mlp(rng, 6, 3, end=nn.Softmax(dim=1)), ce, x, y)
    yield of("activation twice", mlp(rng, 6, 1, end=nn.Sigmoid()), bce, x, yes)
    yield of("activation twice", lambda x: softmax(x @ W), ce, x, y)

    plain, column = W.data, rng.standard_normal((4, 1))
    yield of("no parameters", lambda x: x @ plain, ce, x, y)
    yield of("no parameters", lambda x: np.tanh(x) @ (0.01 * column), mse, X, Y, history=[{"loss": 1.0}] * 6)

    yield of("saturated units", scaled(mlp(rng, 6, 3, act=nn.Sigmoid), 30), ce, x, y)
    yield of("saturated units", scaled(mlp(rng, 4, 1, hidden=(32, 32), act=nn.Tanh), 20), mse, X, Y)
    yield of("dead units", with_bias(mlp(rng, 6, 3), 0, -30.0), ce, x, y)
    yield of("dead units", with_bias(convolutional(rng), 0, np.array([-9.0] * 5 + [0.1])), ce, pictures, kinds)
    dead = with_bias(mlp(rng, 4, 1), 2, -50.0)
    yield of("constant predictions", dead, mse, X, Y)
    yield of("constant predictions", with_bias(mlp(rng, 1, 1), 2, -50.0), mse, t, sine)
    yield of("one class for all", with_bias(mlp(rng, 6, 3), 2, -50.0), ce, x, y, history=[{"loss": 1.1}])
    far = scaled(mlp(rng, 6, 1, act=nn.Sigmoid, end=nn.Sigmoid()), 1e4)
    yield of("one class for all | saturated units", far, mse, x + 9, yes, history=[{"loss": 0.3}])
    yield of("weights too large", scaled(mlp(rng, 6, 3, act=nn.Tanh), 30), ce, x, y)
    yield of("weights too large", scaled(mlp(rng, 6, 3, hidden=(32,) * 3), 15), ce, x, y)
    yield of("weights too small", scaled(mlp(rng, 6, 3, act=nn.Tanh), 0.01), ce, x, y)
    yield of("weights too small", scaled(mlp(rng, 4, 1), 0.01), mse, X, Y)
    yield of("units all alike", filled(mlp(rng, 6, 3), 0.0), ce, x, y)
    yield of("units all alike", filled(mlp(rng, 4, 1, act=nn.Sigmoid), 0.1), mse, X, Y)
    ones = {name: ag.tensor(np.ones(shape), True, name=name) for name, shape in (("U", (6, 8)), ("V", (8, 3)))}
    yield of("units all alike", lambda x: np.tanh(x @ ones["U"]) @ ones["V"], ce, x, y)
    for act, inputs, outputs, loss, data in ((nn.ReLU, 4, 1, mse, (X, Y + 5)), (nn.Tanh, 6, 3, ce, (x + 4, y))):
        bare = [nn.Linear(inputs, 8, bias=False, rng=rng), act(), nn.Linear(8, outputs, bias=False, rng=rng)]
        yield of("no biases", nn.Sequential(*bare), loss, *data)
    yield of("inputs not scaled", mlp(rng, 6, 3), ce, 200 * x, y)
    yield of("inputs not scaled", mlp(rng, 4, 1, act=nn.Tanh), mse, X * np.array([1, 1000, 1, 0.01], np.float32), Y)
    yield of("inputs not scaled", convolutional(rng), ce, 255 * pictures, kinds)

    yield of("targets not scaled", mlp(rng, 4, 1), mse, X, 200_000 + 50_000 * Y)
    yield of("targets not scaled", mlp(rng, 4, 1, act=nn.Tanh), nn.L1Loss(), X, 10_000 * Y)

    def trained(expected, model, loss, x, y, make, *rate):
        return of(expected, model, loss, x, y, optimizer=make(model, *rate))

    yield trained("a sum for a mean", mlp(rng, 4, 1), nn.MSELoss(reduction="sum"), X, Y, sgd)
    yield trained("a sum for a mean", mlp(rng, 6, 3), nn.CrossEntropyLoss(reduction="sum"), x, y, sgd)
    yield of("a sum for a mean", mlp(rng, 6, 3), nn.CrossEntropyLoss(reduction="sum"), x, y)
    yield of("not finite", filled(mlp(rng, 6, 3), np.nan), ce, x, y)
    yield of("not finite", scaled(mlp(rng, 4, 1), 1e20), mse, X, Y)
    zero = with_bias(mlp(rng, 6, 1, end=nn.ReLU()), 4, -30.0)
    yield of("not finite", zero, lambda p, t: -np.mean(t * np.log(p)), x, yes)
    yield of("parameters without gradient", Detached(rng), ce, x, y)
    unused = Unused(rng)
    yield of("parameters without gradient", unused, ce, x, y)
    yield of("optimizer of other parameters", mlp(rng, 6, 3), ce, x, y, optimizer=sgd(mlp(rng, 6, 3)))
    yield of("optimizer of other parameters", nn.Linear(4, 1), mse, X, Y, optimizer=adam(nn.Linear(4, 1)))
    yield of("gradients vanishing", mlp(rng, 6, 3, hidden=(16,) * 8, act=nn.Sigmoid), ce, x, y)
    yield of("gradients vanishing", mlp(rng, 4, 1, hidden=(16,) * 9, act=nn.Sigmoid), mse, X, Y)
    yield of("gradients exploding", scaled(mlp(rng, 6, 3, hidden=(16,) * 8), 7), ce, x, y)
    grown = scaled(mlp(rng, 4, 1, hidden=(16,) * 10), 7)
    yield of("gradients exploding", grown, mse, X, Y)
    yield trained("step larger than the weights", mlp(rng, 4, 1), mse, X, Y, sgd, 100.0)
    yield trained("step larger than the weights", mlp(rng, 6, 3, act=nn.Sigmoid), ce, x, y, adam, 10.0)
    either = "rate too high | step larger than the weights"
    yield trained(either, mlp(rng, 4, 1), mse, X, 3 * Y, sgd, 3.0)
    yield trained(either, mlp(rng, 6, 3, hidden=(32,) * 3), ce, x, y, sgd, 9.0, 0.9)
    yield trained("rate too low", mlp(rng, 6, 3), ce, x, y, sgd, 1e-6)
    yield trained("rate too low", mlp(rng, 4, 1), mse, X, Y, adam, 1e-7)

    rising = {"loss": [0.5, 0.6, 0.7, 0.8], "accuracy": [0.8, 0.9, 0.92, 0.95]}
    yield of("loss rises while accuracy rises", mlp(rng, 6, 3), ce, x, y, history=rising)
    rows = [{"epoch": i, "train_loss": 1.0 + i, "valid_loss": 1.0, "val_acc": 0.5 + 0.1 * i} for i in range(4)]
    yield of("loss rises while accuracy rises", nn.Linear(6, 3, rng=rng), ce, x, y, history=rows)
    yield of("loss runs away", mlp(rng, 4, 1), mse, X, Y, history={"loss": [1.0, 2.0, 50.0]})
    yield of("loss runs away", mlp(rng, 6, 3), ce, x, y, history={"loss": [1.0, 2.0, float("nan")]})
    still = with_bias(with_bias(mlp(rng, 4, 1), 0, -50.0), 4, Y.mean())
    yield of("plateau", still, mse, X, Y, history={"loss": [float(Y.var())] * 8})
    shares = np.log(np.bincount(y) / len(y))
    still = with_bias(with_bias(mlp(rng, 6, 3), 2, -50.0), 4, shares)
    yield of("plateau", still, ce, x, y, history={"loss": [1.09] * 8})


def main(seeds: int) -> None:
    """Print how many of the broken trainings were found, and what was found in sound ones."""
    looked = wrong = cases = missed = 0
    for seed in range(seeds):
        for training in broken(seed):
            cases += 1
            found = training.diagnose().names
            if not set(found) & set(training.expected):
                missed += 1
                print(f"seed {seed}: {training.name} was not found, but {found}")
        for training in sound(seed):
            for stop, diagnosis in looked_at_in_training(training, seed):
                looked += 1
                if diagnosis:
                    wrong += 1
                    print(f"seed {seed}: {training.name} after {stop} steps: {diagnosis.names}")
    print(f"{cases - missed} of {cases} broken trainings found, {wrong} findings in {looked} looks at sound ones")


if __name__ == "__main__":
    with np.errstate(all="ignore"):
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
