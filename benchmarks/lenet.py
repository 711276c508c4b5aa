"""A small convolutional network, of LeNet's size, beside the six: by hand, in plain NumPy, of modules and in peers.

Images are (N, 1, 32, 32), that is 28x28 with a border of two; two convolutions of 5x5, each followed by relu and the
maximum over 2x2 squares, then three linear layers and the cross-entropy.

Read next: `networks.py` (what every network has), `cases.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .networks import Array, Network, sigmoid


def convolve(x: Any, kernel: Any) -> Any:
    """(N, C, H, W) and (O, C, 5, 5) to (N, O, H - 4, W - 4), in plain NumPy."""
    squares = sliding_window_view(x, (5, 5), axis=(2, 3))
    return np.tensordot(squares, kernel, axes=([1, 4, 5], [1, 2, 3])).transpose(0, 3, 1, 2)


def pool(x: Any) -> Any:
    """The maximum over 2x2 squares, in plain NumPy."""
    rows, channels, height, width = x.shape
    return np.max(x.reshape(rows, channels, height // 2, 2, width // 2, 2), axis=(3, 5))


def windowed(library: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The convolution and the maximum over 2x2 squares, as a library's users write them."""
    if library == "numpy":
        return convolve, pool
    if library == "jax.numpy":
        from jax import lax

        return (
            lambda x, kernel: lax.conv_general_dilated(x, kernel, (1, 1), "VALID"),
            lambda x: lax.reduce_window(x, -np.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID"),
        )
    if library == "mygrad":
        from mygrad.nnet.layers import conv_nd, max_pool

        return lambda x, kernel: conv_nd(x, kernel, stride=1), lambda x: max_pool(x, (2, 2), 2)
    raise NotImplementedError(f"LeNet is not written for {library}")


class LeNet(Network):
    """Document 3's advice. By hand, images are (N, H, W, C): a convolution is a product with rows of squares."""

    name, rows, dtype = "LeNet, 32 images, f32", 32, np.float32
    sizes = (400, 120, 84, 10)
    kernels = ((6, 1, 5, 5), (16, 6, 5, 5))

    def start(self, rng: np.random.Generator) -> list[Array]:
        kernels = [self.cast(rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))) for shape in self.kernels]
        found = []
        for weight in (*kernels, *super().start(rng)):
            found += [weight, np.zeros(len(weight) if weight.ndim == 4 else weight.shape[1], self.dtype)]
        return found

    def inputs(self, rng: np.random.Generator) -> Array:
        return self.cast(rng.random((self.rows, 1, 32, 32)))

    def targets(self, rng: np.random.Generator) -> Array:
        return self.cast(np.eye(10)[rng.integers(0, 10, self.rows)])

    def module_targets(self) -> Array:
        return np.argmax(self.t, axis=1)

    def gradients(self, *parameters: Array) -> tuple[float, list[Array]]:
        k1, b1, k2, b2, w3, b3, w4, b4, w5, b5 = parameters
        n = self.rows
        k1, k2 = k1.reshape(6, 25), k2.reshape(16, 150)
        # forward: squares as rows, a product, relu, the maximum over 2x2
        s1 = sliding_window_view(self.x, (5, 5), axis=(2, 3)).transpose(0, 2, 3, 1, 4, 5).reshape(n * 28 * 28, 25)
        a1 = np.maximum(s1 @ k1.T + b1, 0).reshape(n, 14, 2, 14, 2, 6)
        m1 = a1.max(axis=(2, 4), keepdims=True)
        p1 = m1.reshape(n, 14, 14, 6)
        s2 = sliding_window_view(p1, (5, 5), axis=(1, 2)).reshape(n * 10 * 10, 150)
        a2 = np.maximum(s2 @ k2.T + b2, 0).reshape(n, 5, 2, 5, 2, 16)
        m2 = a2.max(axis=(2, 4), keepdims=True)
        p2 = m2.reshape(n, 5, 5, 16).transpose(0, 3, 1, 2).reshape(n, 400)
        a3 = np.maximum(p2 @ w3 + b3, 0)
        a4 = np.maximum(a3 @ w4 + b4, 0)
        z5 = a4 @ w5 + b5
        z5 -= z5.max(axis=1, keepdims=True)
        p = np.exp(z5)
        total = p.sum(axis=1, keepdims=True)
        p /= total
        loss = np.mean(np.log(total[:, 0]) - np.sum(z5 * self.t, axis=1))
        # backward
        d5 = (p - self.t) / n
        d4 = (d5 @ w5.T) * (a4 > 0)
        d3 = (d4 @ w4.T) * (a3 > 0)
        g2 = (d3 @ w3.T).reshape(n, 16, 5, 5).transpose(0, 2, 3, 1).reshape(m2.shape)
        d2 = (((a2 == m2) & (a2 > 0)) * g2).reshape(n * 10 * 10, 16)
        g = (d2 @ k2).reshape(n, 10, 10, 6, 5, 5)
        g1 = np.zeros_like(p1)
        for i in range(5):
            for j in range(5):
                g1[:, i : i + 10, j : j + 10] += g[..., i, j]
        d1 = (((a1 == m1) & (a1 > 0)) * g1.reshape(m1.shape)).reshape(n * 28 * 28, 6)
        return loss, [
            (d1.T @ s1).reshape(6, 1, 5, 5), d1.sum(axis=0),
            (d2.T @ s2).reshape(16, 6, 5, 5), d2.sum(axis=0),
            p2.T @ d3, d3.sum(axis=0), a3.T @ d4, d4.sum(axis=0), a4.T @ d5, d5.sum(axis=0),
        ]  # fmt: skip

    def forward(self, x: Any, t: Any, *parameters: Any, np: Any = np, sigmoid: Any = sigmoid) -> Any:
        k1, b1, k2, b2, w3, b3, w4, b4, w5, b5 = parameters
        conv, maximum = windowed(np.__name__)
        p1 = maximum(np.maximum(conv(x, k1) + b1.reshape(1, 6, 1, 1), 0))
        p2 = maximum(np.maximum(conv(p1, k2) + b2.reshape(1, 16, 1, 1), 0))
        a3 = np.maximum(p2.reshape(len(x), 400) @ w3 + b3, 0)
        a4 = np.maximum(a3 @ w4 + b4, 0)
        z5 = a4 @ w5 + b5
        z5 = z5 - np.max(z5, axis=1, keepdims=True)
        log_p = z5 - np.log(np.sum(np.exp(z5), axis=1, keepdims=True))
        return -np.mean(np.sum(t * log_p, axis=1))

    def model(self, nn: Any, dtype: Any) -> tuple[Any, Callable[..., Any]]:
        model = nn.Sequential(
            nn.Conv2d(1, 6, 5, dtype=dtype), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5, dtype=dtype), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(400, 120, dtype=dtype), nn.ReLU(),
            nn.Linear(120, 84, dtype=dtype), nn.ReLU(),
            nn.Linear(84, 10, dtype=dtype),
        )  # fmt: skip
        return model, nn.CrossEntropyLoss()
