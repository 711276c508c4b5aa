"""nn.diagnose on the six documents: what was wrong as posted is found, and nothing in the networks that learn."""

import functools
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import autograd_lite as ag
import nn
from examples import abs_sin, heart, lenet, mnist_ann, mnist_mat, mnist_relu, xor
from examples.data import MissingData, Split, cleveland, iris, mnist, pixels

DATA = Path(os.environ.get("AUTOGRAD_LITE_DATA") or Path(__file__).parents[3] / "shared" / "data")


@functools.cache
def kept(read):
    """A data set's first rows, read once; or why there is none."""
    try:
        found = read(DATA)
    except MissingData as error:
        return error
    return Split(*(each[:2000] for each in found)) if isinstance(found, Split) else found


def data(read):
    """A data set, or a loud skip."""
    found = kept(read)
    if isinstance(found, MissingData):
        pytest.skip(str(found))
    return found


def tensors(params):
    return {name: ag.tensor(value, requires_grad=True, name=name) for name, value in params.items()}


def half_squared(o, y):
    return np.sum(0.5 * (y - o) ** 2)


def squared(o, y):
    return np.sum((y - o) ** 2)


def walked(params, steps):
    """Parameters after posted directions were added to them: `steps` yields a function of them and a rate."""
    params = {name: value.copy() for name, value in params.items()}
    with np.errstate(all="ignore"):
        for directions, rate in steps:
            for name, each in directions(params).items():
                params[name] += rate * each
    return params


# ---- as posted -----------------------------------------------------------------------------------------------------


def test_document_1_steps_far_larger_than_the_weights():
    rng = np.random.default_rng(0)
    split = xor.table(rng)
    params = {"W1": 0.01 * rng.standard_normal((3, 4)), "W2": 0.01 * rng.standard_normal((4, 1))}
    w = tensors(params)
    optimizer = nn.optim.SGD(w.values(), lr=1.0)
    before = nn.diagnose(lambda X: xor.forward(X, **w)[-1], half_squared, split.x, split.y, optimizer=optimizer)
    assert before[0].name == "step larger than the weights"
    assert set(before.names) == {"step larger than the weights", "a sum for a mean", "weights too small"}

    v = tensors(walked(params, [(lambda p: xor.posted(split.x, split.y, **p), 1.0)] * 100))
    after = nn.diagnose(lambda X: xor.forward(X, **v)[-1], half_squared, split.x, split.y)
    assert {"saturated units", "one class for all", "weights too large"} <= set(after.names)
    assert "half of its inputs" in after["saturated units"].evidence


def test_document_2_weights_that_start_the_same_and_no_biases():
    split = data(mnist)
    x, t = pixels(split.x[:64], np.float64).T, nn.one_hot(split.y[:64], 10, np.float64).T
    start = mnist_ann.weights(np.random.default_rng(0))
    w = tensors({name: np.full_like(value, 0.01) for name, value in start.items() if name[0] == "W"})
    zeros = {name: np.zeros_like(value) for name, value in start.items() if name[0] == "b"}

    def network(a0):
        return mnist_ann.forward(a0, **w, **zeros)[-1]

    def loss(p, t):
        return np.mean((p - t) ** 2)

    one = nn.diagnose(network, loss, x[:, :1], t[:, :1])
    assert one.names == ["units all alike", "no biases"]
    assert "128 of the 128 units of W1, 64 of the 64 units of W2" in one[0].evidence
    many = nn.diagnose(network, loss, x, t, {"test_accuracy": [0.1135], "loss": [0.09]})
    assert {"units all alike", "one class for all", "softmax rows do not sum to 1"} <= set(many.names)


@pytest.mark.parametrize("seed", range(3))
def test_document_3_saturated_and_one_class(seed):
    split = data(mnist)
    params = mnist_mat.weights(np.random.default_rng(seed))
    x, t = mnist_mat.posted_pixels(split.x[:1500]), nn.one_hot(split.y[:1500], 10, np.float64)
    w = tensors(params)
    before = nn.diagnose(lambda x: mnist_mat.forward(x, **w)[-1], squared, x[:300], t[:300])
    assert {"saturated units", "weights too large", "no biases"} <= set(before.names)
    assert "fan-in of 784" in before["weights too large"].evidence

    steps = [(lambda p, i=i: mnist_mat.posted(x[i : i + 1], t[i : i + 1], **p), 0.1) for i in range(1500)]
    v = tensors(walked(params, steps))
    after = nn.diagnose(lambda x: mnist_mat.forward(x, **v)[-1], squared, x[:300], t[:300], [{"loss": 1.0}])
    assert {"one class for all", "saturated units"} <= set(after.names)


@pytest.mark.parametrize("length", [np.pi, 2 * np.pi, 4 * np.pi])
@pytest.mark.parametrize("records", [10, 1000])
def test_document_4_a_saturating_output_on_a_regression(length, records):
    rng = np.random.default_rng(0)
    w = tensors(abs_sin.weights(rng))
    x = rng.uniform(0, length, (records, 1))
    found = nn.diagnose(lambda x: abs_sin.forward(x, **w)[-1], squared, x, np.abs(np.sin(x)))
    assert {"saturating output", "no biases"} <= set(found.names)
    assert found[0].name == "saturating output"


def test_document_5_targets_that_a_sigmoid_cannot_reach():
    table = data(cleveland)
    rng = np.random.default_rng(0)
    params = heart.weights(rng)
    w = tensors(params)
    raw = nn.diagnose(lambda X: heart.forward(X, **w)[-1], half_squared, table[:, :13], table[:, 13:])
    assert {"data not finite", "targets out of reach", "inputs not scaled"} <= set(raw.names)
    assert "6 of 3939 entries" in raw["data not finite"].evidence

    complete = table[~np.isnan(table).any(axis=1)]
    X, y = complete[:, :13] / complete[:, :13].max(axis=0), complete[:, 13:]
    optimizer = nn.optim.SGD(w.values(), lr=1.0)
    before = nn.diagnose(lambda X: heart.forward(X, **w)[-1], half_squared, X, y, optimizer=optimizer)
    assert before[0].name == "targets out of reach"
    assert f"{(y > 1).sum()} of 297" in before[0].evidence
    assert {"step larger than the weights", "no biases"} <= set(before.names)

    v = tensors(walked(params, [(lambda p: heart.posted(X, y, **p), 1.0)] * 100))
    after = nn.diagnose(lambda X: heart.forward(X, **v)[-1], half_squared, X, y)
    assert {"targets out of reach", "constant predictions", "saturated units"} <= set(after.names)


def test_document_6_softmax_over_the_batch_and_a_loss_that_rises():
    split = data(mnist)
    params = mnist_relu.weights(np.random.default_rng(0))
    x, t = pixels(split.x[:2000], np.float64), nn.one_hot(split.y[:2000], 10, np.float64)
    rows = []
    for _ in range(4):
        losses = []
        for at in range(0, len(x), 50):
            part = slice(at, at + 50)
            losses.append(mnist_relu.posted_loss(x[part], t[part], **params))
            params = walked(params, [(lambda p, s=part: mnist_relu.posted(x[s], t[s], **p), 0.5)])
        guesses = np.argmax(mnist_relu.forward(x, **params)[-1], axis=1)
        rows.append({"posted_loss": np.mean(losses), "test_accuracy": np.mean(guesses == split.y[:2000])})
    w = tensors(params)

    def posted_loss(p, t):
        return -np.sum(t * np.log(p + 1e-300)) / 10

    def network(x):
        return mnist_relu.posted_softmax(mnist_relu.forward(x, **w)[-1])

    found = nn.diagnose(network, posted_loss, x[:64], t[:64], rows)
    assert found.names[:2] == ["softmax rows do not sum to 1", "loss rises while accuracy rises"]
    right = nn.diagnose(lambda x: mnist_relu.softmax(mnist_relu.forward(x, **w)[-1]), posted_loss, x[:64], t[:64])
    assert not right  # the formulas were wrong, the network that they made is not


# ---- repaired ------------------------------------------------------------------------------------------------------


def digits(shape=(784,)):
    split = data(mnist)
    return pixels(split.x[:1000]).reshape(-1, *shape), split.y[:1000]


def repaired_xor(rng):
    split = xor.table(rng)
    return xor.network(rng), nn.MSELoss(), split.x.astype(np.float32), split.y.astype(np.float32), 0.1, 4000


def repaired_ann(rng):
    params = mnist_ann.weights(rng)
    first, second, third = (nn.Linear(*sizes) for sizes in pairwise(mnist_ann.SIZES))
    for i, layer in enumerate((first, second, third), 1):
        layer.weight.data, layer.bias.data = params[f"W{i}"], params[f"b{i}"][:, 0]
    model = nn.Sequential(first, nn.Sigmoid(), second, nn.Sigmoid(), third)
    return model, nn.CrossEntropyLoss(), *digits(), None, 32


def repaired_mat(rng):
    return mnist_mat.network(rng), nn.CrossEntropyLoss(), *digits(), 0.01, 32


def repaired_sin(rng):
    points = rng.uniform(0, 4 * np.pi, 12566)
    x, y = abs_sin.standardized(points, 4 * np.pi), np.abs(np.sin(points)).astype(np.float32)[:, None]
    return abs_sin.network(rng), nn.MSELoss(), x, y, 0.02, 100


def repaired_heart(rng):
    table = data(cleveland)
    table = table[~np.isnan(table).any(axis=1)]
    x, y = nn.standardize(table[:, :13]), table[:, 13:] > 0
    return heart.network(rng), nn.BCEWithLogitsLoss(), x.astype(np.float32), y.astype(np.float32), 0.01, 300


def repaired_relu(rng):
    return mnist_relu.network(rng), nn.CrossEntropyLoss(), *digits(), None, 64


def repaired_lenet(rng):
    return lenet.network(rng), nn.CrossEntropyLoss(), *digits((1, 28, 28)), 0.002, 32


def repaired_iris(rng):
    X, labels = iris()
    return nn.Linear(4, 3, rng=rng), nn.CrossEntropyLoss(), nn.standardize(X).astype(np.float32), labels, None, 150


@pytest.mark.parametrize(
    "make",
    [
        repaired_xor, repaired_ann, repaired_mat, repaired_sin, repaired_heart, repaired_relu, repaired_lenet,
        repaired_iris,
    ],
)  # fmt: skip
def test_nothing_is_found_in_the_networks_that_learn(make):
    rng = np.random.default_rng(0)
    model, loss, x, y, rate, size = make(rng)
    params = list(model.parameters())
    optimizer = nn.optim.Adam(params, lr=rate) if rate else nn.optim.SGD(params, lr=0.1, momentum=0.9)
    step = nn.TrainStep(model, loss, optimizer)
    stops = (0, 6) if make is repaired_lenet else (0, 2, 10, 60)
    rows = []
    for begin, end in pairwise((0, *stops)):
        losses = []
        for _ in range(begin, end):
            chosen = rng.permutation(len(x))[:size]
            losses.append(step(x[chosen], y[chosen]))
        rows += [{"epoch": len(rows) + 1, "loss": float(np.mean(losses))}] if losses else []
        found = nn.diagnose(model, loss, x, y, rows, optimizer=optimizer)
        assert not found, f"after {end} steps:\n{found}"
