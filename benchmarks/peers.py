"""The same training steps in other libraries, each written as its own documentation writes one.

`PEERS` has a function for each: a network -> its step, and what reads its parameters. Where a peer has NumPy's
functions under its own name (HIPS autograd, MyGrad, JAX) it runs the network's plain forward pass; in torch the network
is built of torch.nn. Each takes the step of the hand-written one, in the same dtype: a test holds it to that.

Read next: `cases.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .networks import Network, Read, Step, flipped


def hips_autograd(network: Network) -> tuple[Step, Read]:
    """HIPS autograd: value_and_grad over the parameters, updated in place."""
    import autograd
    import autograd.numpy

    parameters = [p.copy() for p in network.parameters]
    x, t, rate = network.x, network.t, network.rate

    def sigmoid(z: Any) -> Any:
        return 1 / (1 + autograd.numpy.exp(-z))

    def loss_of(*parameters: Any) -> Any:
        return network.forward(x, t, *parameters, np=autograd.numpy, sigmoid=sigmoid)

    value_and_grad = autograd.value_and_grad(loss_of, argnum=tuple(range(len(parameters))))

    def step() -> float:
        loss, gradients = value_and_grad(*parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter -= rate * gradient
        return float(loss)

    return step, lambda: parameters


def mygrad(network: Network) -> tuple[Step, Read]:
    """MyGrad: tensors, its own sigmoid, backward, and an update of the tensors' data."""
    import mygrad
    from mygrad.nnet.activations import sigmoid

    parameters = [mygrad.tensor(p.copy()) for p in network.parameters]
    x, t, rate = mygrad.tensor(network.x, constant=True), mygrad.tensor(network.t, constant=True), network.rate

    def step() -> float:
        loss = network.forward(x, t, *parameters, np=mygrad, sigmoid=sigmoid)
        loss.backward()
        for parameter in parameters:
            parameter.data -= rate * parameter.grad
        return float(loss.item())

    return step, lambda: [p.data for p in parameters]


def torch(network: Network, compile: bool = False) -> tuple[Step, Read]:
    """PyTorch: torch.nn modules and torch.optim.SGD."""
    import torch

    torch.set_num_threads(1)
    model, loss_fn = network.model(torch.nn, getattr(torch, np.dtype(network.dtype).name))
    parameters = list(model.parameters())
    with torch.no_grad():
        for parameter, start in zip(parameters, network.parameters, strict=True):
            parameter.copy_(torch.from_numpy(flipped(start)))
    optimizer = torch.optim.SGD(parameters, lr=network.rate)
    x, t = torch.from_numpy(network.x), torch.from_numpy(network.module_targets())

    def loss_of(x: Any, t: Any) -> Any:
        return loss_fn(model(x), t)

    forward = torch.compile(loss_of) if compile else loss_of

    def step() -> float:
        optimizer.zero_grad()
        loss = forward(x, t)
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step, lambda: [flipped(p.detach().numpy()) for p in parameters]


def torch_compile(network: Network) -> tuple[Step, Read]:
    """PyTorch, with the forward pass and so the backward pass compiled."""
    return torch(network, compile=True)


def jax_jit(network: Network) -> tuple[Step, Read]:
    """JAX: loss, gradients and update in one compiled function, which may write over the old parameters."""
    import jax

    jax.config.update("jax_enable_x64", True)
    rate = network.rate

    def loss_of(parameters: list[Any], x: Any, t: Any) -> Any:
        return network.forward(x, t, *parameters, np=jax.numpy, sigmoid=jax.nn.sigmoid)

    def update(parameters: list[Any], x: Any, t: Any) -> tuple[Any, list[Any]]:
        loss, gradients = jax.value_and_grad(loss_of)(parameters, x, t)
        return loss, [p - rate * g for p, g in zip(parameters, gradients, strict=True)]

    updated = jax.jit(update, donate_argnums=0)
    parameters = [jax.numpy.array(p) for p in network.parameters]
    x, t = jax.numpy.array(network.x), jax.numpy.array(network.t)

    def step() -> float:
        nonlocal parameters
        loss, parameters = updated(parameters, x, t)
        return float(loss)

    return step, lambda: [np.asarray(p) for p in parameters]


PEERS: dict[str, Callable[[Network], tuple[Step, Read]]] = {
    "autograd": hips_autograd, "mygrad": mygrad, "torch": torch, "torch_compile": torch_compile, "jax_jit": jax_jit,
}  # fmt: skip
