"""A backward pass that can be told to make mistakes.

The forward pass of a program runs once and its values are kept; the way back then runs over the program with ordinary
NumPy rules, as often as wanted, each time with another set of overrides: other rules at some sites (`sites.py`). What
differs from a way back that was run before is all that is computed.

Read next: `anatomy.py` (which operations are layers), `mistakes/` (the rules people write).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from .backward import summed_to
from .program import Operation, Program, Variable, compute
from .recording import Array
from .sites import Delta, Edge, Forward, Gradients, Impossible, Overrides, Read, Rule, Site, Stale, Total
from .trees import paths


class Replay:
    """The values of a program, on arguments or a table of its inputs, and any number of ways back through it."""

    def __init__(self, program: Program, args: tuple[Any, ...] | Mapping[Variable, Array]) -> None:
        self.program = program
        self.stale: Replay | None = None  # the values on the batch before, where that is given
        self.values: dict[Variable, Any]
        if isinstance(args, tuple):
            self.values = program.bind(args)
        else:
            self.values = {**args, **{each: leaf.array for each, leaf in program.values.items()}}
        self.operations = program.operations
        root = program.outputs[0]
        assert isinstance(root, Variable)
        self.root = root
        with np.errstate(all="ignore"):
            for operation in self.operations:
                compute(operation, self.values)
        self.active = {each for each in _parameters(program) if each.dtype.kind == "f"}
        for operation in self.operations:
            if operation.primitive.differentiable and any(each in self.active for each in operation.inputs):
                self.active.update(operation.outputs)
        self.makers = {each: k for k, operation in enumerate(self.operations) for each in operation.outputs}
        self.sends = [
            [] if step.outputs[0] not in self.active else list(self._edges(k)) for k, step in enumerate(self.operations)
        ]
        self.consumers: dict[Variable, list[Edge]] = {}
        for edge in (each for sent in self.sends for each in sent):
            self.consumers.setdefault(self.operations[edge.operation].inputs[edge.slot], []).append(edge)
        self.inputs = frozenset(program.inputs)
        self._upstream: dict[Variable, frozenset[Variable]] = {}
        self._leading: dict[tuple[Variable, ...], frozenset[Variable]] = {}
        self._rules: dict[Edge, Rule] = {}

    def _edges(self, k: int) -> Iterator[Edge]:
        """The inputs to which an operation sends a gradient."""
        operation = self.operations[k]
        for slot, each in enumerate(operation.inputs):
            primitive = operation.primitive
            if each in self.active and (primitive.joint is not None or primitive.rules[slot] is not None):
                yield Edge(k, slot)

    # ---- what depends on what ----------------------------------------------------------------------------------

    def upstream(self, variable: Variable) -> frozenset[Variable]:
        """A variable and everything active that it was computed from."""
        if not self._upstream:
            for each in self.program.inputs:
                self._upstream[each] = frozenset((each,))
            for operation in self.operations:
                behind = [self._upstream[each] for each in operation.inputs if each in self.active]
                for each in operation.outputs:
                    self._upstream[each] = frozenset((each,)).union(*behind)
        return self._upstream[variable]

    def leading(self, towards: tuple[Variable, ...]) -> frozenset[Variable]:
        """Some variables and everything that was computed from them."""
        known = self._leading.get(towards)
        if known is None:
            found = set(towards)
            for operation in self.operations:
                if any(each in found for each in operation.inputs if isinstance(each, Variable)):
                    found.update(operation.outputs)
            known = self._leading[towards] = frozenset(found)
        return known

    def touched(self, site: Site) -> frozenset[Variable]:
        """The variables whose gradients a rule at a site can change."""
        if isinstance(site, Total):
            return self.upstream(site.of)
        if isinstance(site, Forward):
            return frozenset(self.active)
        return self.upstream(self.operations[site.operation].inputs[site.slot])

    # ---- the way back ------------------------------------------------------------------------------------------

    def back(
        self, overrides: Overrides, base: Gradients | None = None, towards: Iterable[Variable] | None = None
    ) -> Gradients:
        """The gradients when the rules of `overrides` stand in the places of the right ones.

        `base` holds gradients that differ by the overrides alone, and saves what they do not reach; with `towards` only
        what leads to these variables is computed. Raises Impossible where the shapes of a rule do not fit.
        """
        with np.errstate(all="ignore"):
            values: Mapping[Variable, Any] = self.values
            forward = {site: rule for site, rule in overrides.items() if isinstance(site, Forward)}
            if base is not None and all(base.overrides.get(site) is rule for site, rule in forward.items()):
                values = base.values
            elif forward:
                values, base = self._forward(overrides), None
            if base is not None and not base.overrides.keys() <= overrides.keys():
                base = None  # it has a mistake that these have not
            return _Way(self, values, overrides, base, towards).run()

    def _forward(self, overrides: Overrides) -> dict[Variable, Any]:
        """The values of a way forward with mistakes in it."""
        values = {each: self.values[each] for each in (*self.program.inputs, *self.program.captured)}
        for k, operation in enumerate(self.operations):
            rule = overrides.get(Forward(k))
            if rule is None:
                compute(operation, values)
                continue
            try:
                result = np.asarray(rule.function(*(self.read(each, values, {}) for each in rule.reads)))
            except (ValueError, IndexError, np.linalg.LinAlgError) as error:
                raise Impossible(str(error)) from None
            y = operation.outputs[0]
            if result.shape != y.shape:
                raise Impossible(f"{result.shape} for {y.name}")
            values[y] = result.astype(y.dtype, copy=False)
        return values

    def read(self, each: Read, values: Mapping[Variable, Any], totals: Mapping[Variable, Array]) -> Any:
        """The array that a rule reads."""
        if isinstance(each, Variable):
            return values[each]
        if isinstance(each, Delta):
            if each.of not in totals:
                raise Impossible(f"the delta of {each.of.name} is not known yet")
            return totals[each.of]
        if isinstance(each, Stale):
            if self.stale is None or each.of not in self.stale.values:
                raise Impossible("no batch before is given")
            return self.stale.values[each.of]
        return each.array

    def rule(self, edge: Edge) -> Rule:
        """The right rule at an edge."""
        known = self._rules.get(edge)
        if known is None:
            known = self._rules[edge] = self._rule(edge)
        return known

    def _rule(self, edge: Edge) -> Rule:
        operation = self.operations[edge.operation]
        x = operation.inputs[edge.slot]
        deltas = tuple(Delta(each) for each in operation.outputs)
        several = len(deltas) > 1
        variables = [each for each in operation.inputs if isinstance(each, Variable)]

        settings = self._settings(operation)

        def function(*arrays: Any) -> Any:
            g = arrays[: len(deltas)] if several else arrays[0]
            y = arrays[len(deltas) : 2 * len(deltas)] if several else arrays[1]
            rest = iter(arrays[2 * len(deltas) :])
            inputs = [next(rest) if isinstance(each, Variable) else each for each in operation.inputs]
            return fitted(_sent(operation, edge.slot, g, y, inputs, settings), x.shape, operation)

        return Rule((*deltas, *operation.outputs, *variables), function)

    def _settings(self, operation: Operation) -> dict[str, Any]:
        primitive = operation.primitive
        return {
            key: self.values[each] if isinstance(each, Variable) else each
            for key, each in operation.settings.items()
            if key in primitive.takes
        }


def _sent(operation: Operation, slot: int, g: Any, y: Any, inputs: list[Any], settings: dict[str, Any]) -> Any:
    """What the engine's own rule sends to one input."""
    primitive = operation.primitive
    if primitive.joint is not None:
        if primitive.asks_wanted:
            settings = {**settings, "wanted": [i == slot for i in range(len(inputs))]}
        return primitive.joint(g, y, *inputs, **settings)[slot]
    each = primitive.rules[slot]
    assert each is not None
    return each(g, y, *inputs, **settings)


def fitted(gradient: Any, shape: tuple[int, ...], operation: Operation | None = None) -> Any:
    """A gradient with broadcasting undone: summed over what was repeated, repeated over what was summed."""
    if gradient.shape == shape:
        return gradient
    if operation is not None and operation.primitive.elementwise and gradient.shape != operation.outputs[0].shape:
        gradient = np.broadcast_to(gradient, operation.outputs[0].shape)
    lead = gradient.ndim - len(shape)
    if lead > 0 or (lead == 0 and any(n == 1 != m for n, m in zip(shape, gradient.shape, strict=True))):
        gradient = summed_to(gradient, shape)
    return gradient if gradient.shape == shape else np.broadcast_to(gradient, shape)


def _parameters(program: Program) -> tuple[Variable, ...]:
    """The inputs that are differentiated: those of the first argument."""
    assert program.takes is not None
    leaves = len(paths(program.takes.parts[0]))
    return tuple(each for each in program.statics[:leaves] if isinstance(each, Variable))


class _Way:
    """One way back: all of it, or what differs from a base."""

    def __init__(
        self,
        replay: Replay,
        values: Mapping[Variable, Any],
        overrides: Overrides,
        base: Gradients | None,
        towards: Iterable[Variable] | None,
    ) -> None:
        self.replay = replay
        self.values = values
        self.overrides = overrides
        self.base = base
        self.known: Overrides = {} if base is None else base.overrides
        self.changed: set[Variable] = set()
        self.totals: dict[Variable, Array] = {} if base is None else dict(base.totals)
        self.parts: dict[Edge, Array] = {} if base is None else dict(base.parts)
        self.wanted = None if towards is None else replay.leading(tuple(towards))
        self.ruled = {site.operation for site in overrides if isinstance(site, Edge)}

    def run(self) -> Gradients:
        replay = self.replay
        for k in range(self._start(), -1, -1):
            operation = replay.operations[k]
            if operation.outputs[0] in replay.active:
                for each in operation.outputs:
                    self._gather(each)
                if self.base is None or k in self.ruled or not self.changed.isdisjoint(operation.outputs):
                    self._send(k, operation)
        for each in replay.program.inputs:
            if each in replay.active:
                self._gather(each)
        return Gradients(self.totals, self.parts, self.values, self.overrides)

    def _start(self) -> int:
        """The last operation at which something may differ from the base."""
        if self.base is None:
            return len(self.replay.operations) - 1
        new = [site for site, rule in self.overrides.items() if self.known.get(site) is not rule]
        makers = self.replay.makers
        return max((makers.get(site.of, -1) if isinstance(site, Total) else site.operation for site in new), default=-1)

    def _gather(self, variable: Variable) -> None:
        """The gradient of a variable, all of whose consumers have sent theirs."""
        rule = self.overrides.get(Total(variable))
        if self.base is not None and variable not in self.changed and self._unchanged(Total(variable), rule):
            return
        total: Any = None
        if variable is self.replay.root:
            total = np.ones(variable.shape, variable.dtype)
        for edge in self.replay.consumers.get(variable, ()):
            part = self.parts.get(edge)
            if part is not None:
                total = part if total is None else total + part
        if total is None:
            return
        self.totals[variable] = total
        if rule is not None:
            self.totals[variable] = self._checked(np.asarray(self._computed(rule)), variable)
            self.changed.add(variable)

    def _send(self, k: int, operation: Operation) -> None:
        if not any(each in self.totals for each in operation.outputs):
            return
        replay = self.replay
        fresh = self.base is None or not self.changed.isdisjoint(operation.outputs)
        for edge in replay.sends[k]:
            x = operation.inputs[edge.slot]
            rule = self.overrides.get(edge)
            if (self.wanted is not None and x not in self.wanted) or (not fresh and self._unchanged(edge, rule)):
                continue
            if rule is None and len(operation.outputs) > 1:
                for each in operation.outputs:
                    self.totals.setdefault(each, np.zeros(each.shape, each.dtype))
            self.parts[edge] = self._checked(np.asarray(self._computed(rule or replay.rule(edge))), x)
            self.changed.add(x)

    def _unchanged(self, site: Site, rule: Rule | None) -> bool:
        """Whether a site's rule is the one that the base had, and reads what it read then."""
        if self.known.get(site) is not rule:
            return False
        return rule is None or not any(isinstance(each, Delta) and each.of in self.changed for each in rule.reads)

    def _computed(self, rule: Rule) -> Any:
        try:
            return rule.function(*(self.replay.read(each, self.values, self.totals) for each in rule.reads))
        except (ValueError, IndexError, TypeError, np.linalg.LinAlgError) as error:
            raise Impossible(str(error)) from None

    def _checked(self, result: Array, x: Variable) -> Array:
        """A gradient of its variable's shape and dtype; that of a parameter may have any shape, as people's do."""
        if result.shape != x.shape and x not in self.replay.inputs:
            raise Impossible(f"{result.shape} for {x.name} of shape {x.shape}")
        return result.astype(x.dtype, copy=False)
