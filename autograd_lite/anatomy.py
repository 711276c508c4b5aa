"""What a network is made of: its products, activations, biases, fan-outs and its head, found in a traced program.

A person derives backpropagation layer by layer, so that is where mistakes are made. `recognised` finds the activation
functions however their formulas were written, by their values: whatever comes from z alone and equals 1/(1 + exp(-z))
is a sigmoid of z. `Network` then finds the layers around them.

Read next: `heads.py` (the loss, recognised by its gradient), `mistakes/` (what can go wrong at each part).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .lifting import RELU, SIGMOID, SOFTMAX
from .passes import common_subexpressions, dead_code
from .primitives import PRIMITIVES, Primitive
from .program import Operation, Program, Variable
from .recording import Array
from .replay import Replay
from .rewriting import renamed, rewrite
from .rules.elementwise import CLIP
from .rules.shape import ASTYPE, COPY
from .sites import Edge

TANH = PRIMITIVES[np.tanh]
KINDS = {SIGMOID: "sigmoid", TANH: "tanh", RELU: "relu", SOFTMAX: "softmax"}
_PRODUCTS = frozenset({np.matmul, np.dot})
_STEPS = 12  # operations within which an activation's formula ends


# ---- recognising activation functions ------------------------------------------------------------------------------


def recognised(program: Program, args: tuple[Any, ...]) -> Program:
    """A program in which every sigmoid, tanh, relu and softmax is one operation, however it was written."""
    program = common_subexpressions(program)
    replay = Replay(program, args)
    found: dict[Variable, tuple[Primitive, Variable, dict[str, Any]]] = {}
    for z in (*program.inputs, *(each for step in program.operations for each in step.outputs)):
        maker = replay.makers.get(z)
        opposite = maker is not None and program.operations[maker].primitive.called is np.negative  # 1 - a is no layer
        if z in replay.active and z.shape and z.dtype.kind == "f" and not opposite:
            for y in _made_of(replay, z):
                kind = _kind(replay, z, y)
                # a softmax of z - max(z) is one of z, the first; but the sigmoid of a sigmoid is one of the last
                if kind is not None and not (kind[0] is SOFTMAX and found.get(y, kind)[0] is SOFTMAX and y in found):
                    found[y] = kind[0], z, kind[1]

    def visit(_: Any, operation: Operation) -> Operation:
        y = operation.outputs[0]
        if y not in found:
            return operation
        primitive, z, settings = found[y]
        return replace(operation, primitive=primitive, inputs=(z,), settings=settings)

    return dead_code(rewrite(program, visit))


def _made_of(replay: Replay, z: Variable) -> Iterator[Variable]:
    """The values of z's shape that were computed from z alone, soon after it."""
    cone = {z}
    start = replay.makers.get(z, -1) + 1
    steps = 0
    for operation in replay.operations[start:]:
        active = [each for each in operation.inputs if each in replay.active]
        if not active or operation.outputs[0] not in replay.active or not cone.issuperset(active):
            continue
        if operation.primitive.called in _PRODUCTS:
            return
        steps += 1
        cone.update(operation.outputs)
        for y in operation.outputs:
            if (y.shape, y.dtype) == (z.shape, z.dtype):
                yield y
        if steps == _STEPS:
            return


def _kind(replay: Replay, z: Variable, y: Variable) -> tuple[Primitive, dict[str, Any]] | None:
    """The activation function that y is of z."""
    operation = replay.operations[replay.makers[y]]
    if operation.primitive.called in (np.maximum, np.fmax) and any(type(x) in (int, float) for x in operation.inputs):
        return (RELU, {}) if z in operation.inputs and 0 in [x for x in operation.inputs if x is not z] else None
    x, value = replay.values[z], replay.values[y]
    if operation.primitive is RELU and operation.inputs[0] is z:
        return RELU, {}
    if np.array_equal(x, value) or not np.all(np.isfinite(value)):
        return None
    near = 1e-12 if z.dtype == np.float64 else 1e-5
    with np.errstate(all="ignore"):
        for primitive, function in _FUNCTIONS:
            if np.allclose(value, function(x), rtol=near, atol=near * 1e-3):
                return primitive, {}
        for axis in _axes(x):
            if np.allclose(value, SOFTMAX.function(x, axis=axis), rtol=near, atol=near * 1e-3):
                return SOFTMAX, {"axis": axis}
    return None


_FUNCTIONS: tuple[tuple[Primitive, Callable[[Array], Array]], ...] = (
    (SIGMOID, lambda x: 1 / (1 + np.exp(-x))),
    (TANH, np.tanh),
    (RELU, lambda x: np.maximum(x, 0) if np.any(x < 0) else np.full_like(x, np.nan)),  # else it is x, or x + 1e-8
)


def _axes(x: Array) -> tuple[int | None, ...]:
    """Along what a softmax may be; of one vector only all of it."""
    if x.size == 1:
        return ()
    long = [axis for axis, n in enumerate(x.shape) if n > 1]
    return (None,) if len(long) == 1 else (*reversed(long), None)


# ---- the parts of a network ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """y = x @ w or w @ x, where w is a parameter (or its transpose) and x what flows through the network."""

    weight: Edge
    signal: Edge
    w: Variable
    x: Variable
    y: Variable
    parameter: Variable

    @property
    def left(self) -> bool:
        """Whether the signal stands on the left, in rows."""
        return self.signal.slot == 0


@dataclass(frozen=True, slots=True, eq=False)
class Activation:
    """y = f(z), elementwise or a softmax along `axis`."""

    edge: Edge
    kind: str
    z: Variable
    y: Variable
    axis: Any


@dataclass(frozen=True, slots=True, eq=False)
class Other:
    """y = f(z), where f is elementwise and none of the activation functions that are known."""

    z: Variable
    y: Variable


@dataclass(frozen=True, slots=True, eq=False)
class Bias:
    """y = x + b after a product, where b was repeated along `axes`, those of the records."""

    edge: Edge
    b: Variable
    x: Variable
    y: Variable
    parameter: Variable
    axes: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A product, the sum z with its bias, and the activation of z, if any."""

    product: Product
    z: Variable
    activation: Activation | None

    @property
    def out(self) -> Variable:
        """What the layer hands on."""
        return self.z if self.activation is None else self.activation.y


class Network:
    """A program's parts, with its values and the right way back."""

    def __init__(self, program: Program, args: tuple[Any, ...]) -> None:
        self.program = program
        self.replay = Replay(program, args)
        self.values = self.replay.values
        self.right = self.replay.back({})
        self.products = list(self._products())
        self.activations = list(self._activations())
        self.biases = list(self._biases())
        self.layers = [self._layer(each) for each in self.products]
        self.others = list(self._others())
        self.last = [each for each in self.layers if not self._feeds_another(each)]
        self.manual: dict[str, Array] = {}  # hand-written gradients, for mistakes that read one of them
        self.heads: list[Any] | None = None
        self._numbers: dict[Any, int] = {}
        self._signatures: dict[Variable, int] = {}

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The operations of the program."""
        return self.program.operations

    @property
    def parameters(self) -> list[Variable]:
        """The parameters that the loss depends on."""
        return [each for each in self.program.inputs if each in self.right.totals]

    def parameter(self, variable: Any) -> Variable | None:
        """The parameter that a variable is, or is the transpose or the reshape of."""
        while isinstance(variable, Variable) and variable not in self.program.inputs:
            k = self.replay.makers.get(variable)
            step = None if k is None else self.operations[k]
            if step is None or not (
                step.primitive in (COPY, ASTYPE) or step.primitive.called in (np.transpose, np.reshape)
            ):
                return None
            variable = step.inputs[0]
        return variable if variable in self.replay.active else None

    def _reached(self, step: Operation) -> bool:
        return step.outputs[0] in self.right.totals

    def _products(self) -> Iterator[Product]:
        for k, step in enumerate(self.operations):
            if step.primitive.called not in _PRODUCTS or not self._reached(step):
                continue
            first, second = step.inputs
            if not (isinstance(first, Variable) and isinstance(second, Variable) and first.shape and second.shape):
                continue
            of = self.parameter(first), self.parameter(second)
            if (of[0] is None) == (of[1] is None):
                continue
            slot = 0 if of[1] is None else 1
            w, x = (second, first) if slot else (first, second)
            parameter = of[slot]
            assert parameter is not None
            yield Product(Edge(k, slot), Edge(k, 1 - slot), w, x, step.outputs[0], parameter)

    def _activations(self) -> Iterator[Activation]:
        for k, step in enumerate(self.operations):
            if step.primitive in KINDS and step.inputs[0] in self.replay.active and self._reached(step):
                kind, axis = KINDS[step.primitive], step.settings.get("axis")
                yield Activation(Edge(k, 0), kind, step.inputs[0], step.outputs[0], axis)

    def _biases(self) -> Iterator[Bias]:
        sums = {each.y for each in self.products}
        for k, step in enumerate(self.operations):
            if step.primitive.called is not np.add or not self._reached(step):
                continue
            y = step.outputs[0]
            for slot, b in enumerate(step.inputs):
                parameter = self.parameter(b)
                if parameter is None or step.inputs[1 - slot] not in sums:
                    continue
                shape = (1,) * (len(y.shape) - len(b.shape)) + b.shape
                axes = tuple(i for i, (n, m) in enumerate(zip(shape, y.shape, strict=True)) if n != m)
                yield Bias(Edge(k, slot), b, step.inputs[1 - slot], y, parameter, axes)

    def _layer(self, product: Product) -> Layer:
        z = next((each.y for each in self.biases if each.x is product.y), product.y)
        return Layer(product, z, next((each for each in self.activations if each.z is z), None))

    def _others(self) -> Iterator[Other]:
        """What stands between a layer's z and the next product, elementwise, and is no known activation."""
        ends = {each.z for each in self.layers} | {each.y for each in self.activations}
        for x in dict.fromkeys(each.x for each in self.products if each.x in self.replay.active):
            waiting, found, passed = [x] if x not in ends else [], set(), set()
            while waiting:
                each = waiting.pop()
                k = self.replay.makers.get(each)
                if each in ends or k is None or not _by_entry(self.operations[k]):
                    found.add(each)
                    continue
                passed.add(k)
                waiting += [v for v in self.operations[k].inputs if isinstance(v, Variable) and v in self.replay.active]
            if len(found) == 1:
                (z,) = found
                bare = any(each.z is z and each.activation is None for each in self.layers) and z.shape == x.shape
                if bare and all(edge.operation in passed for edge in self.replay.consumers[z]):
                    yield Other(z, x)

    def _feeds_another(self, layer: Layer) -> bool:
        return any(layer.product.y in self.replay.upstream(each.x) for each in self.products if each.x in self._active)

    @property
    def _active(self) -> set[Variable]:
        return self.replay.active

    # ---- copies: a loop over single records unrolls into the same operations on other data ---------------------

    def signature(self, variable: Any) -> int:
        """A number that two values share if they were computed alike, from the same parameters and like data."""
        if not isinstance(variable, Variable):
            return self._number(repr(variable))
        known = self._signatures.get(variable)
        if known is None:
            if variable in self.program.inputs:
                key: Any = variable.name
            elif variable not in self.replay.active:
                key = variable.shape
            else:
                step = self.operations[self.replay.makers[variable]]
                inputs = tuple(map(self.signature, step.inputs))
                key = id(step.primitive), inputs, step.outputs.index(variable), repr(sorted(step.settings))
            known = self._signatures[variable] = self._number(key)
        return known

    def _number(self, key: Any) -> int:
        return self._numbers.setdefault(key, len(self._numbers))


def _by_entry(step: Operation) -> bool:
    return step.primitive.elementwise or step.primitive.called is np.where or step.primitive is CLIP


def named(network: Network) -> dict[Variable, Variable]:
    """Better names for the layers' values where the trace knows only a helper's: z, z_2, softmax become z1, z2, p."""
    layers = network.layers
    if len(network.last) != 1 or len(layers) > 12:
        return {}
    taken = {each.name for each in (*network.program.inputs, *network.program.captured)}
    taken |= {each.name for step in network.operations for each in step.outputs}
    new: dict[Variable, Variable] = {}

    def call(variable: Variable, name: str) -> None:
        if name not in taken:
            taken.add(name)
            new[variable] = replace(variable, name=name, label=name, given=True)

    names = [layer.z.name for layer in layers] + [layer.out.name for layer in layers]

    def numbered(variable: Variable) -> bool:
        """Whether the trace had to number a name: one variable of the user's took the values of several layers."""
        return any(re.fullmatch(rf"{re.escape(re.sub(r'_[0-9]+$', '', variable.name))}_\d+", each) for each in names)

    for number, layer in enumerate(layers, 1):
        z, activation = layer.z, layer.activation
        odd = z.name == "z" and any(re.fullmatch(r"z\d+", each) for each in names)  # z1, z2, and a helper's z
        if (not z.given or odd or numbered(z)) and z not in network.program.outputs:
            call(z, f"z{number}")
        other = next((each.y for each in network.others if each.z is z and not each.y.given), None)
        if other is not None:
            call(other, f"a{number}")
        if activation is not None:
            y = activation.y
            final = layer in network.last
            if not y.given or re.fullmatch(rf"_?{activation.kind}\w*?(_\d+)?", y.name):
                call(y, ("p" if activation.kind == "softmax" else "o") if final else f"a{number}")
            elif numbered(y):
                call(y, f"a{number}")
    return new


def network_of(program: Program, args: tuple[Any, ...]) -> Network:
    """The network in a traced program, with its activations recognised and its layers named."""
    network = Network(recognised(program, args), args)
    new = named(network)
    return Network(renamed(network.program, new), args) if new else network
