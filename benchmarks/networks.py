"""The six networks of the documents, each as one training step written in several ways.

`by_hand` is what a competent person writes in NumPy: the repaired formulas, every intermediate computed once, the loss
returned. `plain` is the forward pass alone, in NumPy expressions run on tensors. `modules` is the same network of nn
layers. `compiled` and `compiled_plain` are these two as generated functions. All start from the same weights and must
take the same step: a test holds them to it. A step comes with a function that reads its parameters.

Read next: `peers.py` (the same steps in other libraries), `cases.py` (what is measured).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

import autograd_lite as ag
import nn

Array = np.ndarray[Any, Any]
Step = Callable[[], float]
Read = Callable[[], list[Array]]


def flipped(array: Array) -> Array:
    """A weight (in, out) as a module holds it, (out, in), and back; biases and kernels are the same in both."""
    return array.T if array.ndim == 2 else array


def sigmoid(z: Any) -> Any:
    """The logistic function, as the documents write it."""
    return 1 / (1 + np.exp(-z))


class Network(ABC):
    """One network: its sizes, its data and weights, and its step by hand and in plain NumPy on tensors."""

    name: str
    sizes: tuple[int, ...]
    rows: int
    rate = 0.01
    dtype: type = np.float64

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.parameters = self.start(rng)
        self.x = self.inputs(rng)
        self.t = self.targets(rng)

    def start(self, rng: np.random.Generator) -> list[Array]:
        """The parameters that a step starts from, in the order of the modules; weights are (in, out)."""
        shapes = zip(self.sizes, self.sizes[1:], strict=False)
        return [self.cast(rng.standard_normal(shape) / np.sqrt(shape[0])) for shape in shapes]

    def inputs(self, rng: np.random.Generator) -> Array:
        """What the network is shown: numbers in [0, 1]."""
        return self.cast(rng.random((self.rows, self.sizes[0])))

    def targets(self, rng: np.random.Generator) -> Array:
        """What the network is to learn: numbers in [0, 1]."""
        return self.cast(rng.random((self.rows, self.sizes[-1])))

    def cast(self, array: Array) -> Array:
        """In the network's dtype."""
        return np.asarray(array, self.dtype)

    @abstractmethod
    def gradients(self, *parameters: Array) -> tuple[float, list[Array]]:
        """The loss and its gradients, derived by hand."""

    @abstractmethod
    def forward(self, x: Any, t: Any, *parameters: Any, np: Any = np, sigmoid: Any = sigmoid) -> Any:
        """The loss in plain NumPy expressions; a peer that has NumPy's functions under its own name passes its own."""

    @abstractmethod
    def model(self, nn: Any, dtype: Any) -> tuple[Any, Callable[..., Any]]:
        """The network and its loss, of `nn` or of torch.nn: the names are the same."""

    def module_targets(self) -> Array:
        """The targets as the loss of a module takes them."""
        return self.t

    def by_hand(self) -> tuple[Step, Read]:
        """The hand-written step."""
        parameters = [p.copy() for p in self.parameters]
        rate = self.rate

        def step() -> float:
            loss, gradients = self.gradients(*parameters)
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter -= rate * gradient
            return float(loss)

        return step, lambda: parameters

    def plain(self) -> tuple[Step, Read]:
        """The plain forward pass on tensors, generated gradients, and the update."""
        parameters = [ag.tensor(p, requires_grad=True) for p in self.parameters]
        x, t = ag.tensor(self.x), ag.tensor(self.t)
        optimizer = nn.optim.SGD(parameters, lr=self.rate)

        def step() -> float:
            optimizer.zero_grad()
            loss = self.forward(x, t, *parameters)
            loss.backward()
            optimizer.step()
            return loss.item()

        return step, lambda: [p.data for p in parameters]

    def modules(self, compile: bool = False) -> tuple[Step, Read]:
        """The network of nn layers, trained by nn.TrainStep."""
        model, loss_fn = self.model(nn, self.dtype)
        parameters = list(model.parameters())
        for parameter, start in zip(parameters, self.parameters, strict=True):
            parameter.data = flipped(start)
        train = nn.TrainStep(model, loss_fn, nn.optim.SGD(parameters, lr=self.rate), compile=compile)
        x, t = self.x, self.module_targets()
        return lambda: train(x, t), lambda: [flipped(p.data) for p in parameters]

    def compiled(self) -> tuple[Step, Read]:
        """The network of nn layers, compiled."""
        return self.modules(compile=True)

    def compiled_plain(self) -> tuple[Step, Read]:
        """The plain forward pass on tensors, compiled together with its gradients and the update."""
        parameters = [ag.tensor(p, requires_grad=True) for p in self.parameters]
        train = nn.TrainStep(
            lambda x: x,
            lambda x, t: self.forward(x, t, *parameters),
            nn.optim.SGD(parameters, lr=self.rate),
            compile=True,
        )
        x, t = self.x, self.t
        return lambda: train(x, t), lambda: [p.data for p in parameters]


class SigmoidNetwork(Network):
    """Documents 1, 3, 4 and 5: sigmoid on every layer, no biases, a squared error."""

    mean = False  # or is it summed over the rows?

    def forward(self, x: Any, t: Any, *parameters: Any, np: Any = np, sigmoid: Any = sigmoid) -> Any:
        for w in parameters:
            x = sigmoid(x @ w)
        error = (x - t) ** 2
        return np.mean(error) if self.mean else np.sum(error)

    def model(self, nn: Any, dtype: Any) -> tuple[Any, Callable[..., Any]]:
        layers = []
        for inputs, outputs in zip(self.sizes, self.sizes[1:], strict=False):
            layers += [nn.Linear(inputs, outputs, bias=False, dtype=dtype), nn.Sigmoid()]
        return nn.Sequential(*layers), nn.MSELoss(reduction="mean" if self.mean else "sum")


class Xor(SigmoidNetwork):
    name, sizes, rows, mean = "xor 3-4-1, 3,092 rows", (3, 4, 1), 3092, True

    def gradients(self, *parameters: Array) -> tuple[float, list[Array]]:
        w1, w2 = parameters
        a1 = sigmoid(self.x @ w1)
        o = sigmoid(a1 @ w2)
        e = o - self.t
        d2 = (2 / e.size) * e * o * (1 - o)
        d1 = (d2 @ w2.T) * a1 * (1 - a1)
        return np.mean(e * e), [self.x.T @ d1, a1.T @ d2]


class SummedTwoLayers(SigmoidNetwork):
    """Documents 3 and 5: two layers, and the squared error summed."""

    def gradients(self, *parameters: Array) -> tuple[float, list[Array]]:
        w1, w2 = parameters
        a1 = sigmoid(self.x @ w1)
        o = sigmoid(a1 @ w2)
        e = o - self.t
        d2 = 2 * e * o * (1 - o)
        d1 = (d2 @ w2.T) * a1 * (1 - a1)
        return np.sum(e * e), [self.x.T @ d1, a1.T @ d2]


class MnistMat(SummedTwoLayers):
    name, sizes, rows = "784-20-10, 1 sample", (784, 20, 10), 1


class AbsSin(SigmoidNetwork):
    name, sizes, rows = "1-10-10-1, 10 rows", (1, 10, 10, 1), 10

    def gradients(self, *parameters: Array) -> tuple[float, list[Array]]:
        w1, w2, w3 = parameters
        a1 = sigmoid(self.x @ w1)
        a2 = sigmoid(a1 @ w2)
        o = sigmoid(a2 @ w3)
        e = o - self.t
        d3 = 2 * e * o * (1 - o)
        d2 = (d3 @ w3.T) * a2 * (1 - a2)
        d1 = (d2 @ w2.T) * a1 * (1 - a1)
        return np.sum(e * e), [self.x.T @ d1, a1.T @ d2, a2.T @ d3]


class Heart(SummedTwoLayers):
    name, sizes, rows, rate = "13-13-1, 297 rows", (13, 13, 1), 297, 0.001


class MnistAnn(Network):
    """Document 2: sigmoid, sigmoid, softmax, the mean squared error over the ten outputs, one sample a step."""

    name, sizes, rows = "784-128-64-10, 1 sample", (784, 128, 64, 10), 1

    def gradients(self, *parameters: Array) -> tuple[float, list[Array]]:
        w1, w2, w3 = parameters
        a1 = sigmoid(self.x @ w1)
        a2 = sigmoid(a1 @ w2)
        z3 = a2 @ w3
        p = np.exp(z3 - z3.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        e = p - self.t
        g = (2 / e.size) * e
        d3 = p * (g - np.sum(g * p, axis=1, keepdims=True))
        d2 = (d3 @ w3.T) * a2 * (1 - a2)
        d1 = (d2 @ w2.T) * a1 * (1 - a1)
        return np.mean(e * e), [np.outer(self.x, d1), np.outer(a1, d2), np.outer(a2, d3)]

    def forward(self, x: Any, t: Any, *parameters: Any, np: Any = np, sigmoid: Any = sigmoid) -> Any:
        w1, w2, w3 = parameters
        a1 = sigmoid(x @ w1)
        a2 = sigmoid(a1 @ w2)
        z3 = a2 @ w3
        shifted = np.exp(z3 - np.max(z3, axis=1, keepdims=True))
        p = shifted / np.sum(shifted, axis=1, keepdims=True)
        return np.mean((p - t) ** 2)

    def model(self, nn: Any, dtype: Any) -> tuple[Any, Callable[..., Any]]:
        first, second, third = (
            nn.Linear(a, b, bias=False, dtype=dtype) for a, b in zip(self.sizes, self.sizes[1:], strict=False)
        )
        return nn.Sequential(first, nn.Sigmoid(), second, nn.Sigmoid(), third, nn.Softmax(dim=1)), nn.MSELoss()


class MnistRelu(Network):
    """Document 6: relu, relu, softmax and cross-entropy, with biases, batches of 64 in float32."""

    name, sizes, rows, dtype = "784-300-75-10, 64 rows, f32", (784, 300, 75, 10), 64, np.float32

    def start(self, rng: np.random.Generator) -> list[Array]:
        weights = super().start(rng)
        return [each for w in weights for each in (w, np.zeros(w.shape[1], self.dtype))]

    def targets(self, rng: np.random.Generator) -> Array:
        return self.cast(np.eye(self.sizes[-1])[rng.integers(0, self.sizes[-1], self.rows)])

    def module_targets(self) -> Array:
        return np.argmax(self.t, axis=1)

    def gradients(self, *parameters: Array) -> tuple[float, list[Array]]:
        w1, b1, w2, b2, w3, b3 = parameters
        a1 = np.maximum(self.x @ w1 + b1, 0)
        a2 = np.maximum(a1 @ w2 + b2, 0)
        z3 = a2 @ w3 + b3
        z3 -= z3.max(axis=1, keepdims=True)
        p = np.exp(z3)
        total = p.sum(axis=1, keepdims=True)
        p /= total
        loss = np.mean(np.log(total[:, 0]) - np.sum(z3 * self.t, axis=1))
        d3 = (p - self.t) / self.rows
        d2 = (d3 @ w3.T) * (a2 > 0)
        d1 = (d2 @ w2.T) * (a1 > 0)
        return loss, [self.x.T @ d1, d1.sum(axis=0), a1.T @ d2, d2.sum(axis=0), a2.T @ d3, d3.sum(axis=0)]

    def forward(self, x: Any, t: Any, *parameters: Any, np: Any = np, sigmoid: Any = sigmoid) -> Any:
        w1, b1, w2, b2, w3, b3 = parameters
        a1 = np.maximum(x @ w1 + b1, 0)
        a2 = np.maximum(a1 @ w2 + b2, 0)
        z3 = a2 @ w3 + b3
        z3 = z3 - np.max(z3, axis=1, keepdims=True)
        log_p = z3 - np.log(np.sum(np.exp(z3), axis=1, keepdims=True))
        return -np.mean(np.sum(t * log_p, axis=1))

    def model(self, nn: Any, dtype: Any) -> tuple[Any, Callable[..., Any]]:
        first, second, third = (nn.Linear(a, b, dtype=dtype) for a, b in zip(self.sizes, self.sizes[1:], strict=False))
        return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third), nn.CrossEntropyLoss()


class Wide(MnistRelu):
    """The sixth document's network with equal layers: how the cost grows with them."""

    def __init__(self, width: int) -> None:
        self.name, self.sizes = f"width {width:,}, 64 rows, f32", (width, width, width, 10)
        super().__init__()


NETWORKS: dict[str, type[Network]] = {
    "xor": Xor, "mnist_ann": MnistAnn, "mnist_mat": MnistMat, "abs_sin": AbsSin, "heart": Heart,
    "mnist_relu": MnistRelu,
}  # fmt: skip
