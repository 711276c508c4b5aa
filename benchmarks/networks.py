"""The six networks of the documents, each as one training step written in several ways.

`by_hand` is what a competent person writes in NumPy: the repaired formulas, every intermediate computed once, the loss
returned. `plain` is the forward pass alone, in NumPy expressions run on tensors. `modules` is the same network of nn
layers. `compiled` and `compiled_plain` are these two as generated functions. All start from the same weights and must
take the same step: a test holds them to it.

Read next: `__main__.py`.
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


def sigmoid(z: Array) -> Array:
    """The logistic function, as the documents write it."""
    return 1 / (1 + np.exp(-z))


class Network(ABC):
    """One network: its sizes, its data and weights, and its step by hand and in plain NumPy on tensors."""

    name: str
    sizes: tuple[int, ...]
    rows: int
    rate = 0.01
    dtype: type = np.float64
    biases = False

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        shapes = list(zip(self.sizes, self.sizes[1:], strict=False))
        self.weights = [self.cast(rng.standard_normal(shape) / np.sqrt(shape[0])) for shape in shapes]
        self.offsets = [np.zeros(shape[1], self.dtype) for shape in shapes] if self.biases else []
        self.x = self.cast(rng.random((self.rows, self.sizes[0])))
        self.t = self.targets(rng)

    def cast(self, array: Array) -> Array:
        """In the network's dtype."""
        return np.asarray(array, self.dtype)

    def targets(self, rng: np.random.Generator) -> Array:
        """What the network is to learn: numbers in [0, 1]."""
        return self.cast(rng.random((self.rows, self.sizes[-1])))

    @property
    def parameters(self) -> list[Array]:
        """Weights (in, out), then biases."""
        return [*self.weights, *self.offsets]

    @abstractmethod
    def gradients(self, *parameters: Array) -> tuple[float, list[Array]]:
        """The loss and its gradients, derived by hand."""

    @abstractmethod
    def forward(self, x: Any, t: Any, *parameters: Any) -> Any:
        """The loss in plain NumPy expressions."""

    @abstractmethod
    def model(self) -> tuple[nn.Module, Callable[..., Any]]:
        """The network and its loss, of nn."""

    def by_hand(self) -> tuple[Step, list[Array]]:
        """The hand-written step, and the parameters that it updates."""
        parameters = [p.copy() for p in self.parameters]
        rate = self.rate

        def step() -> float:
            loss, gradients = self.gradients(*parameters)
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter -= rate * gradient
            return float(loss)

        return step, parameters

    def plain(self) -> tuple[Step, list[Array]]:
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

        return step, [p.data for p in parameters]

    def modules(self, compile: bool = False) -> tuple[Step, list[Array]]:
        """The network of nn layers, trained by nn.TrainStep."""
        model, loss_fn = self.model()
        layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
        for i, layer in enumerate(layers):
            layer.weight.data = self.weights[i].T
            if self.biases:
                layer.bias.data = self.offsets[i]
        parameters = [layer.weight.data.T for layer in layers] + [layer.bias.data for layer in layers if self.biases]
        train = nn.TrainStep(model, loss_fn, nn.optim.SGD(model.parameters(), lr=self.rate), compile=compile)
        x, t = self.x, self.module_targets()
        return lambda: train(x, t), parameters

    def compiled(self) -> tuple[Step, list[Array]]:
        """The network of nn layers, compiled."""
        return self.modules(compile=True)

    def compiled_plain(self) -> tuple[Step, list[Array]]:
        """The plain forward pass on tensors, compiled together with its gradients and the update."""
        parameters = [ag.tensor(p, requires_grad=True) for p in self.parameters]
        train = nn.TrainStep(
            lambda x: x,
            lambda x, t: self.forward(x, t, *parameters),
            nn.optim.SGD(parameters, lr=self.rate),
            compile=True,
        )
        x, t = self.x, self.t
        return lambda: train(x, t), [p.data for p in parameters]

    def module_targets(self) -> Array:
        """The targets as the loss of nn takes them."""
        return self.t

    def linear(self, i: int) -> nn.Linear:
        """The i-th layer of nn."""
        return nn.Linear(self.sizes[i], self.sizes[i + 1], bias=self.biases, dtype=self.dtype)

    def sigmoid_layers(self, last: bool = True) -> list[nn.Module]:
        """Linear layers, each followed by a sigmoid (the last one only if `last`)."""
        depth = len(self.sizes) - 1
        layers: list[nn.Module] = []
        for i in range(depth):
            layers.append(self.linear(i))
            if i < depth - 1 or last:
                layers.append(nn.Sigmoid())
        return layers


class SigmoidNetwork(Network):
    """Documents 1, 3, 4 and 5: sigmoid on every layer, no biases, a squared error."""

    factor = 1.0  # of the squared error; `mean` divides by the rows
    mean = False

    def forward(self, x: Any, t: Any, *parameters: Any) -> Any:
        for w in parameters:
            x = 1 / (1 + np.exp(-(x @ w)))
        error = self.factor * (x - t) ** 2
        return np.mean(error) if self.mean else np.sum(error)

    def model(self) -> tuple[nn.Module, Callable[..., Any]]:
        loss = nn.MSELoss(reduction="mean" if self.mean else "sum")
        return nn.Sequential(*self.sigmoid_layers()), loss


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

    def forward(self, x: Any, t: Any, *parameters: Any) -> Any:
        w1, w2, w3 = parameters
        a1 = 1 / (1 + np.exp(-(x @ w1)))
        a2 = 1 / (1 + np.exp(-(a1 @ w2)))
        z3 = a2 @ w3
        shifted = np.exp(z3 - np.max(z3, axis=1, keepdims=True))
        p = shifted / np.sum(shifted, axis=1, keepdims=True)
        return np.mean((p - t) ** 2)

    def model(self) -> tuple[nn.Module, Callable[..., Any]]:
        return nn.Sequential(*self.sigmoid_layers(last=False), nn.Softmax(dim=1)), nn.MSELoss()


class MnistRelu(Network):
    """Document 6: relu, relu, softmax and cross-entropy, with biases, batches of 64 in float32."""

    name, sizes, rows, dtype, biases = "784-300-75-10, 64 rows, f32", (784, 300, 75, 10), 64, np.float32, True

    def targets(self, rng: np.random.Generator) -> Array:
        return self.cast(np.eye(10)[rng.integers(0, 10, self.rows)])

    def module_targets(self) -> Array:
        return np.argmax(self.t, axis=1)

    def gradients(self, *parameters: Array) -> tuple[float, list[Array]]:
        w1, w2, w3, b1, b2, b3 = parameters
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
        return loss, [self.x.T @ d1, a1.T @ d2, a2.T @ d3, d1.sum(axis=0), d2.sum(axis=0), d3.sum(axis=0)]

    def forward(self, x: Any, t: Any, *parameters: Any) -> Any:
        w1, w2, w3, b1, b2, b3 = parameters
        a1 = np.maximum(x @ w1 + b1, 0)
        a2 = np.maximum(a1 @ w2 + b2, 0)
        z3 = a2 @ w3 + b3
        z3 = z3 - np.max(z3, axis=1, keepdims=True)
        log_p = z3 - np.log(np.sum(np.exp(z3), axis=1, keepdims=True))
        return -np.mean(np.sum(t * log_p, axis=1))

    def model(self) -> tuple[nn.Module, Callable[..., Any]]:
        layers = [self.linear(0), nn.ReLU(), self.linear(1), nn.ReLU(), self.linear(2)]
        return nn.Sequential(*layers), nn.CrossEntropyLoss()


NETWORKS: dict[str, type[Network]] = {
    "xor": Xor, "mnist_ann": MnistAnn, "mnist_mat": MnistMat, "abs_sin": AbsSin, "heart": Heart,
    "mnist_relu": MnistRelu,
}  # fmt: skip
