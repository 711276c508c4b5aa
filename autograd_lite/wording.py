"""Lines of a backward pass as NumPy code, right and wrong, under the names of the forward pass.

    d_z2 = d_o * o * (1 - o)

What a rule computes is traced on tensors that bear the names of what it reads, and printed as `backprop_source` prints.
A value that nobody named stands as the expression that computes it.

Read next: `diagnosis.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from .anatomy import Network
from .expressions import Written, plainly
from .lifting import lift
from .naming import distinct
from .passes import common_subexpressions, dead_code, simplify, undetached
from .program import BACKWARD, Operation, Variable
from .recording import Array
from .rewriting import Rewriter, renamed, rewrite
from .sites import Delta, Edge, Forward, Gradients, Impossible, Overrides, Read, Rule, Site, Stale, Total
from .tensors import apply
from .tracing import recorded

_MOST, _LONGEST = 4, 160  # lines, characters: what is longer explains nothing
_HELPER = re.compile(r"\b_(sigmoid|softmax|relu)\(")


def lines_of(network: Network, site: Site, overrides: Overrides, gradients: Gradients) -> tuple[str, str]:
    """The right line for what is computed at a site, and the line as it is with the given overrides."""
    if isinstance(site, Forward):
        y = network.operations[site.operation].outputs[0]
        if not (y.given or _named(network, y)):
            return "", ""
        return (
            _line(y.name, lambda names: names.computed(y, {}), network, gradients),
            _line(y.name, lambda names: names.by(overrides[site]), network, gradients),
        )
    variable = site.of if isinstance(site, Total) else network.operations[site.operation].inputs[site.slot]
    while not (_named(network, variable) or variable.given):
        step = network.operations[network.replay.makers[variable]]
        if not step.primitive.view:
            return "", ""  # nobody knows it by a name
        variable = step.inputs[0]  # the transpose of a weight: the line is that of the weight
    name = f"d_{variable.name}"
    head = next((each for each in network.heads or () if each.z is variable), None)
    if isinstance(site, Total) and head is not None:
        return (
            _line(name, lambda names: names.by(head.rule()), network, gradients),
            _line(name, lambda names: names.by(overrides[site]), network, gradients),
        )
    return (
        _line(name, lambda names: names.gradient(variable, {}), network, gradients),
        _line(name, lambda names: names.gradient(variable, overrides), network, gradients),
    )


def _named(network: Network, variable: Variable) -> bool:
    """Whether a value has a name that a reader knows."""
    known = variable in network.program.inputs or variable in network.program.captured
    return known or any(variable in (each.z, each.out, each.product.x) for each in network.layers)


class _Names:
    """The values that an expression reads, under their names: arrays to begin with, then tensors."""

    def __init__(self, network: Network, gradients: Gradients, table: dict[str, Any], tracing: bool) -> None:
        self.network = network
        self.gradients = gradients
        self.table = table
        self.tracing = tracing

    def named(self, name: str, array: Any) -> Any:
        """The value of a name; noted the first time."""
        return self.table[name] if self.tracing else self.table.setdefault(name, np.asarray(array))

    def read(self, each: Read) -> Any:
        """What a rule reads."""
        network = self.network
        if isinstance(each, Variable):
            if _named(network, each) or each not in network.replay.makers:
                return self.named(each.name, network.values[each])
            return self.computed(each, {})
        if isinstance(each, Delta):
            alias = next((layer.z for layer in network.layers if layer.product.y is each.of), each.of)
            if _named(network, alias) and alias in self.gradients.totals:
                return self.named(f"d_{alias.name}", self.gradients.totals[alias])
            return self.gradient(each.of, {})
        if isinstance(each, Stale):
            assert network.replay.stale is not None
            return self.named(f"{each.of.name}_before", network.replay.stale.values[each.of])
        return self.named(each.name, each.array)

    def by(self, rule: Rule) -> Any:
        """A rule's result."""
        return rule.function(*map(self.read, rule.reads))

    def computed(self, variable: Variable, overrides: Overrides) -> Any:
        """A value of the forward pass, by its operation."""
        operation = self.network.operations[self.network.replay.makers[variable]]
        inputs = tuple(self.read(each) if isinstance(each, Variable) else each for each in operation.inputs)
        settings = {
            key: self.network.values[each] if isinstance(each, Variable) else each
            for key, each in operation.settings.items()
        }
        if not self.tracing:
            return self.network.values[variable]
        return apply(operation.primitive, inputs, settings or None)

    def gradient(self, variable: Variable, overrides: Overrides) -> Any:
        """The gradient of a variable, from the deltas of what uses it."""
        rule = overrides.get(Total(variable))
        if rule is not None:
            own = [isinstance(each, Delta) and each.of is variable for each in rule.reads]
            reads = [
                self.gradient(variable, {}) if mine else self.read(each)
                for each, mine in zip(rule.reads, own, strict=True)
            ]
            return rule.function(*reads)
        total: Any = None
        for edge in self.network.replay.consumers.get(variable, ()):
            if edge not in self.network.right.parts:
                continue
            rule = overrides.get(edge)
            if rule is not None and rule.function is np.zeros_like and len(self.network.replay.consumers[variable]) > 1:
                continue  # a use that is left out
            part = self._part(edge, overrides)
            total = part if total is None else total + part
        if variable is self.network.replay.root:
            return variable.dtype.type(1)
        return np.zeros(variable.shape) if total is None else total

    def _part(self, edge: Edge, overrides: Overrides) -> Any:
        rule = overrides.get(edge)
        if rule is not None:
            return self.by(rule)
        rule = self.network.replay.rule(edge)
        y = self.network.operations[edge.operation].outputs[0]
        if any(isinstance(site, Edge) and y in self.network.replay.touched(site) for site in overrides):
            first, *rest = rule.reads  # a transpose after the line that is wrong
            return rule.function(self.gradient(y, overrides), *map(self.read, rest))
        return self.by(rule)


def _line(target: str, expression: Callable[[_Names], Any], network: Network, gradients: Gradients) -> str:
    """One line of code; '' where it cannot be written."""
    table: dict[str, Array] = {}
    try:
        with np.errstate(all="ignore"):
            value = expression(_Names(network, gradients, table, False))
            if not table or not isinstance(value, (np.ndarray, np.generic)):
                return ""
            program = recorded(lambda table: expression(_Names(network, gradients, table, True)), (table,))
        return _written(program, target)
    except (Impossible, KeyError, TypeError, ValueError, NotImplementedError, IndexError):
        return ""  # a line is a courtesy: the cause stands without it


def _written(program: Any, target: str) -> str:
    """A program of one result as an assignment, with the lines before it that it needs."""
    back = tuple(replace(each, scope=(BACKWARD,), line="") for each in lift(program).operations)
    program = rewrite(undetached(replace(lift(program), operations=back)), _with_numbers)
    program = dead_code(plainly(simplify(common_subexpressions(program))))
    output = program.outputs[0]
    if not isinstance(output, Variable):
        return f"{target} = {output}"
    made = [y for each in program.operations for y in each.outputs]
    inner = [y for y in made if y is not output]
    names = distinct(["s"] * len(inner), [each.name for each in (*program.inputs, *program.captured)])
    new = dict(zip(inner, names, strict=True)) | ({output: target} if output in made else {})
    program = renamed(program, {y: replace(y, name=name, given=False) for y, name in new.items()})
    written = Written(program)
    rows = [*written.lines.values(), *(row for each in program.operations for row in written.statements(each))]
    if output not in made:
        rows.append(f"{target} = {written.text(output)}")
    rows = [_HELPER.sub(r"\1(", row) for row in rows]
    return "\n".join(rows) if len(rows) <= _MOST and max(map(len, rows)) <= _LONGEST else ""


def _with_numbers(state: Rewriter, operation: Operation) -> Operation:
    """An operation as people write it: a number for a constant that is the same everywhere, as the slope of a sum,
    six digits of a fitted one, and an axis alone for one in a tuple."""
    inputs = list(operation.inputs)
    for i, each in enumerate(inputs):
        if isinstance(each, Variable) and each in state.values and not each.given and operation.primitive.elementwise:
            array = state.values[each].array
            rest = [x.shape for x in (*inputs[:i], *inputs[i + 1 :]) if isinstance(x, Variable)]
            fits = rest and np.broadcast_shapes(*rest) == operation.outputs[0].shape
            if fits and array.size and array.dtype.kind == "f" and np.all(array == array.flat[0]):
                inputs[i] = float(array.flat[0])
    inputs = [float(f"{each:.6g}") if isinstance(each, float) else each for each in inputs]
    settings = dict(operation.settings)
    if isinstance(settings.get("axis"), tuple) and len(settings["axis"]) == 1:
        settings["axis"] = settings["axis"][0]
    return replace(operation, inputs=tuple(inputs), settings=settings)
