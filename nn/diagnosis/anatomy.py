"""Reading a network's Program: its linear maps with weights and biases, its activations, its softmaxes, its records.

Nothing here knows modules: a network is what it computes, whether it was written with layers or in plain NumPy.

Read next: `ranges.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from autograd_lite.program import Operation, Program, Variable

# Functions that move entries about and do not change them.
MOVING = frozenset(
    """reshape transpose ravel squeeze expand_dims swapaxes moveaxis copy astype broadcast_to getitem flip rollaxis
    atleast_1d atleast_2d ascontiguousarray largest_of_windows""".split()
)
_LINEAR = frozenset("linear convolution matmul dot tensordot einsum".split())
_PRODUCTS = frozenset("matmul dot".split())
_RECTIFIERS = frozenset("relu maximum".split())
_SQUASHING = frozenset("sigmoid tanh".split())
_SMOOTH = frozenset("leaky_relu elu silu gelu softplus".split())
_SOFTMAXES = frozenset("softmax softmax_along".split())


@dataclass(frozen=True, eq=False)
class Layer:
    """A linear map of what depends on the data: `output` is the result with the bias, if it has one, added.

    `unit_axis` is the axis of the weight along which its units lie, None where that is not clear.
    """

    name: str
    operation: Operation
    weight: Variable
    unit_axis: int | None
    input: Variable
    output: Variable
    biased: bool

    @property
    def fan_in(self) -> int:
        """How many terms each unit sums."""
        units = self.weight.shape[-1 if self.unit_axis is None else self.unit_axis]
        return int(np.prod(self.weight.shape)) // max(units, 1)


@dataclass(frozen=True, eq=False)
class Activation:
    """A nonlinearity of what depends on the data; `kind` is sigmoid, tanh, relu or smooth."""

    kind: str
    name: str
    operation: Operation
    input: Variable
    output: Variable


class Anatomy:
    """The parts of a program whose first input is the data.

    `fewer` is the program of fewer records, which shows where they lie; without it `records`, the axis and the number
    of them, is what there is to go by.
    """

    def __init__(self, program: Program, fewer: Program | None = None, records: tuple[int, int] | None = None) -> None:
        self.program = program
        self.makers = {each: operation for operation in program.operations for each in operation.outputs}
        self.readers: dict[Variable, list[Operation]] = {}
        self.depends = set(program.inputs[:1])
        for operation in program.operations:
            for each in dict.fromkeys(operation.reads):
                self.readers.setdefault(each, []).append(operation)
            if any(each in self.depends for each in operation.reads):
                self.depends.update(operation.outputs)
        self.axes = _record_axes(program, fewer) if fewer else self._axes_of_length(records)
        self.layers = [each for each in map(self._layer, program.operations) if each is not None]
        self.activations = [each for each in map(self._activation, program.operations) if each is not None]

    def source(self, variable: Any) -> Any:
        """The variable whose entries these are: what was only moved about is followed back."""
        while isinstance(variable, Variable) and variable in self.makers:
            operation = self.makers[variable]
            if operation.primitive.name not in MOVING:
                break
            variable = operation.inputs[0]
        return variable

    def records_first(self, variable: Variable, value: Any) -> Any:
        """A value with its axis of records first; None if it has none."""
        axis = self.axes.get(variable)
        return None if axis is None else np.moveaxis(np.asarray(value), axis, 0)

    def by_unit(self, variable: Variable, value: Any) -> Any:
        """A value as a matrix with a column for each unit (the channels of a convolution); None without records."""
        rows = self.records_first(variable, value)
        if rows is None:
            return None
        if rows.ndim > 2 and self._convolved(variable):
            rows = np.moveaxis(rows, 1, -1)
        return np.reshape(rows, (-1, rows.shape[-1])) if rows.ndim > 1 else rows[:, None]

    def softmaxes(self) -> list[tuple[Operation, Variable]]:
        """The operations that divide exponentials by a sum of them, with their results."""
        return [(each, each.outputs[0]) for each in self.program.operations if self._is_softmax(each)]

    def below(self, variable: Variable) -> Operation | None:
        """The operation that made a variable, moving aside."""
        source = self.source(variable)
        return self.makers.get(source) if isinstance(source, Variable) else None

    def normalised(self, layer: Layer) -> bool:
        """Whether a linear map's result is brought to mean 0 and variance 1, so that its own scale does not matter."""
        return any(each.primitive.name == "standardized" for each in self.readers.get(layer.output, ()))

    def levels(self) -> list[list[Layer]]:
        """The linear maps in the order in which they build on one another, those side by side together."""
        depth: dict[Variable, int] = {}
        ends = {each.operation: each for each in self.layers}
        found: list[list[Layer]] = []
        for operation in self.program.operations:
            level = max((depth.get(each, 0) for each in operation.reads), default=0)
            if operation in ends:
                found += [[]] * (level + 1 - len(found))
                found[level] = [*found[level], ends[operation]]
                level += 1
            depth.update(dict.fromkeys(operation.outputs, level))
        return found

    def _axes_of_length(self, records: tuple[int, int] | None) -> dict[Variable, int]:
        if records is None:
            return {}
        axis, count = records
        wide = [each for each in self.depends if each.shape and each.shape[axis] == count]
        return {each: axis % len(each.shape) for each in wide}

    # ---- recognising -------------------------------------------------------------------------------------------

    def _is_parameter(self, value: Any) -> bool:
        return isinstance(value, Variable) and value.kind == "parameter"

    def _layer(self, operation: Operation) -> Layer | None:
        if operation.primitive.name not in _LINEAR or len(operation.inputs) < 2:
            return None
        pair = operation.inputs[:2]
        for place, (weight, data) in enumerate((pair[::-1], pair)):
            source = self.source(weight)
            if not self._is_parameter(source) or len(source.shape) < 1 or self.source(data) not in self.depends:
                continue
            output, biased = operation.outputs[0], len(operation.inputs) > 2 and operation.inputs[2] is not None
            if not biased:
                output, biased = self._with_bias(output)
            axis = self._unit_axis(operation, weight, source, second=place == 0)
            return Layer(source.label, operation, source, axis, data, output, biased)
        return None

    def _with_bias(self, output: Variable) -> tuple[Variable, bool]:
        """What a product becomes with a parameter added, if one is."""
        for reader in self.readers.get(output, ()):
            if reader.primitive.name in ("add", "subtract"):
                others = [each for each in reader.inputs if each is not output]
                if any(self._is_parameter(self.source(each)) for each in others):
                    return reader.outputs[0], True
        return output, False

    def _unit_axis(self, operation: Operation, operand: Any, source: Variable, second: bool) -> int | None:
        if operation.primitive.name not in _PRODUCTS:
            return 0 if operation.primitive.name in ("linear", "convolution") and len(source.shape) > 1 else None
        axis = 1 if second else 0
        while operand is not source:
            if self.makers[operand].primitive.name != "transpose":
                return None
            axis, operand = 1 - axis, self.makers[operand].inputs[0]
        return axis if len(source.shape) == 2 else None

    def _activation(self, operation: Operation) -> Activation | None:
        name = str(operation.primitive.name)
        numbers = [each for each in operation.inputs if not isinstance(each, Variable)]
        if name == "maximum" and numbers != [0]:
            return None
        kind = name if name in _SQUASHING else "relu" if name in _RECTIFIERS else "smooth" if name in _SMOOTH else ""
        data = next((each for each in operation.inputs if isinstance(each, Variable)), None)
        if not kind or data not in self.depends or data is None:
            return None
        return Activation(kind, place_of(operation), operation, data, operation.outputs[0])

    def _is_softmax(self, operation: Operation) -> bool:
        if operation.primitive.name in _SOFTMAXES:
            return True
        if operation.primitive.name != "divide" or not all(isinstance(each, Variable) for each in operation.inputs):
            return False
        powers, total = operation.inputs
        maker, summed = self.makers.get(powers), self.below(total)
        if maker is None or maker.primitive.name != "exp" or summed is None or summed.primitive.name != "sum":
            return False
        return summed.inputs[0] is powers

    def _convolved(self, variable: Variable) -> bool:
        """Whether the nearest linear map before a variable is a convolution."""
        seen: set[Variable] = set()
        waiting = [variable]
        while waiting:
            each = waiting.pop()
            operation = self.makers.get(each)
            if operation is None or each in seen:
                continue
            seen.add(each)
            if operation.primitive.name in _LINEAR:
                return operation.primitive.name == "convolution"
            waiting += [read for read in operation.reads if read in self.depends]
        return False


def _record_axes(program: Program, fewer: Program) -> dict[Variable, int]:
    """Along which axis of each variable the records lie: the one whose length follows their number."""
    if len(program.operations) != len(fewer.operations):
        return {}
    pairs = list(zip(program.inputs, fewer.inputs, strict=True))
    for one, other in zip(program.operations, fewer.operations, strict=True):
        pairs += zip(one.outputs, other.outputs, strict=False)
    axes = {}
    for a, b in pairs:
        different = [i for i, (m, n) in enumerate(zip(a.shape, b.shape, strict=False)) if m != n]
        if different and len(a.shape) == len(b.shape):
            axes[a] = different[0]
    return axes


def place_of(operation: Operation) -> str:
    """Where an operation is, in the user's terms: its module or its variable, and the line."""
    if operation.scope:
        return f"{'.'.join(operation.scope)} ({operation.primitive.name})"
    output = operation.outputs[0]
    return f"{output.label if output.given else operation.primitive.name} ({operation.place})"
