"""The way forward and the way back as one Program: every gradient an operation like any other.

    program = ag.trace(loss, W, X)
    both = with_gradients(program, (W, X), [program.inputs[0]])     # returns (loss, (d_W,))

A program runs once more, on tensors; the gradient rules run on tensors too, so that they are recorded; what was
recorded is read off as a program. An operation of the way back stands in the scope ('backward pass', ...) of the
forward operation that it belongs to, and bears that operation's line.

Read next: `passes.py` (what makes the result short), `source.py` (which prints it).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from .derivatives import _chosen
from .naming import Names, distinct
from .program import BACKWARD, Operation, Program, Variable, _value
from .recording import Node, Recorded, new_leaf, switched
from .rendering import called
from .rewriting import renamed
from .tensors import Tensor, apply, tensor, wrap
from .tracing import recorded
from .trees import Structure, flatten, paths
from .wayback import walk_back

Argnums: TypeAlias = int | tuple[int, ...] | None


def with_gradients(program: Program, args: tuple[Any, ...], wanted: Sequence[Variable]) -> Program:
    """The program of (what the given one returns, the tuple of its gradients with respect to `wanted`).

    `args` are example arguments; `wanted` are floating inputs or captured values. The gradients are those of
    `value_and_grad`. Raises RuntimeError when the program does not return one real number, TypeError where `wanted` is
    not floating point.

    >>> import numpy as np, autograd_lite as ag
    >>> program = ag.trace(lambda x: np.sum(x * x), np.ones(2))
    >>> value, (gradient,) = with_gradients(program, (np.ones(2),), program.inputs)(np.array([1.0, 3.0]))
    >>> float(value), gradient
    (10.0, array([2., 6.]))
    """
    _check(program, wanted)
    table = program.bind(args)
    again = _Again(program, list(dict.fromkeys(wanted)), table)
    with _undrawn(program):
        found = recorded(again.run, tuple(again.inputs), then=again.way_back)
    gradients = dict(zip(again.wanted, found.outputs[1:], strict=True))
    built = replace(
        found,
        name=program.name,
        operations=tuple(map(again.placed, found.operations)),
        outputs=(found.outputs[0], *(gradients[each] for each in wanted)),
        takes=program.takes,
        returns=flatten((0, (0,) * len(wanted)))[1],
        statics=(),
    )
    new = again.originals(found)
    built = renamed(built, new)
    return replace(built, inputs=program.inputs, statics=program.statics)


def joined_with_gradients(program: Program, args: tuple[Any, ...], wanted: Sequence[Variable], states: int) -> Program:
    """The program of (what the given one returns first, its gradients, its last `states` outputs): with_gradients of a
    function that also changes what it captures."""
    loss, ends = program.outputs[0], program.outputs[1 : 1 + states]
    back = with_gradients(replace(program, outputs=(loss,)), args, wanted)
    defined = {each for operation in program.operations for each in operation.outputs}
    rest = [each for each in back.operations if not defined.intersection(each.outputs)]
    values = {**program.values, **back.values}
    return replace(
        back,
        operations=(*program.operations, *rest),
        outputs=(*back.outputs, *ends),
        captured=tuple(values),
        values=values,
    )


def wanted_variables(
    program: Program, argnums: Argnums, count: int, who: str
) -> tuple[list[Variable], Structure | None]:
    """The variables to differentiate by, and the structure of the gradients (None: a dict by the parameters' names)."""
    if argnums is None:
        found = [each for each in program.captured if each.kind == "parameter"]
        if not found:
            raise TypeError(f"{who}(..., argnums=None): the function captures no parameters.")
        return found, None
    assert program.takes is not None
    chosen = _chosen(who, argnums, count)
    parts = program.takes.parts
    begins = [sum(len(paths(part)) for part in parts[:i]) for i in range(count)]
    found = []
    for i in chosen:
        for each in program.statics[begins[i] : begins[i] + len(paths(parts[i]))]:
            if not isinstance(each, Variable) or each.dtype.kind not in "fc":
                raise TypeError(f"{who}: argument {i} holds {each}, and derivatives need floating point.")
            found.append(each)
    if isinstance(argnums, tuple):
        return found, Structure(tuple, tuple(range(len(chosen))), tuple(parts[i] for i in chosen))
    return found, parts[chosen[0]]


@contextmanager
def _undrawn(program: Program) -> Iterator[None]:
    """Leave the random generators of a program as they were: this run is nobody's."""
    settings = [each for operation in program.operations for each in operation.settings.values()]
    generators = [each for each in settings if isinstance(each, np.random.Generator)]
    states = [each.bit_generator.state for each in generators]
    try:
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.bit_generator.state = state


def _check(program: Program, wanted: Sequence[Variable]) -> None:
    forms = [(each.shape, each.dtype.kind) for each in program.outputs if isinstance(each, Variable)]
    if len(program.outputs) != 1 or len(forms) != 1 or np.prod(forms[0][0]) != 1 or forms[0][1] != "f":
        raise RuntimeError(
            f"{program.name} returns {[str(each) for each in program.outputs]}, and only one real number has a "
            "gradient: reduce it (np.sum, np.mean) and return it alone."
        )
    for each in wanted:
        if each.dtype.kind not in "fc":
            raise TypeError(f"{program.name}: {each} has no derivative: pass it as floating point.")


class _Again:
    """One run of a program on tensors, which remembers which node stands for which variable."""

    def __init__(self, program: Program, wanted: list[Variable], table: dict[Variable, Any]) -> None:
        self.program = program
        self.wanted = wanted
        self.inputs = [
            tensor(table[each], requires_grad=True) if each in wanted else table[each] for each in program.inputs
        ]
        self.variable: dict[Node, Variable] = {}
        self.leaves: dict[Variable, Node] = {}

    def run(self, *inputs: Tensor) -> Any:
        """The program's result, computed on tensors."""
        program = self.program
        table: dict[Any, Any] = dict(zip(program.inputs, inputs, strict=True))
        table |= {each: wrap(leaf.array, leaf) for each, leaf in program.values.items()}
        for each, made in table.items():
            self.variable[made._node] = each
            self.leaves[each] = made._node
        for k, operation in enumerate(program.operations):
            with switched(scope=(str(k),)):
                values = tuple(_value(each, table) for each in operation.inputs)
                settings = {key: self._setting(each, table) for key, each in operation.settings.items()}
                result = apply(operation.primitive, values, settings or None)
            results = result if isinstance(result, (tuple, list)) else [result]
            for each, made in zip(operation.outputs, results, strict=True):
                table[each] = made
                self.variable[made._node] = each
        return table[program.outputs[0]]

    def _setting(self, each: Any, table: dict[Any, Any]) -> Any:
        """A setting as it was given: an array that nothing depends on is no tensor."""
        leaf = self.program.values.get(each) if isinstance(each, Variable) else None
        return _value(each, table) if leaf is None or leaf.live else leaf.array

    def way_back(self, outputs: list[Node], names: Names) -> list[Node]:
        """Run the gradient rules on tensors, and return the nodes of the gradients, in the order of `wanted`."""
        root = outputs[0]
        found: dict[Node, Any] = {}
        if root.requires_grad:
            seed = new_leaf(np.ones(root.shape, root.dtype), live=True)
            ends = {self.leaves[each] for each in self.wanted}
            walk_back(root, seed, partial(self._attend, names), found.__setitem__, ends)
        return [self._left(found.get(self.leaves[each]), each, names) for each in self.wanted]

    def _left(self, gradient: Any, variable: Variable, names: Names) -> Node:
        """A gradient as `value_and_grad` returns it: zeros where none arrived, conjugated."""
        if gradient is None:
            gradient = wrap(zeros := np.zeros(variable.shape, variable.dtype), new_leaf(zeros))
        elif variable.dtype.kind == "c":
            with switched(scope=(BACKWARD,)):
                gradient = np.conjugate(gradient)
        names.propose(gradient._node, f"d_{variable.name}", 2)
        node: Node = gradient._node
        return node

    def _attend(self, names: Names, node: Node, gradient: Any) -> None:
        """Call a node's gradient after it."""
        variable = self.variable.get(node)
        if variable is not None and isinstance(gradient, Recorded) and gradient._node.primitive is not None:
            names.propose(gradient._node, f"d_{variable.name}", 0 if variable.given else 1)

    def placed(self, operation: Operation) -> Operation:
        """An operation with the line and the scope of the forward operation that it is, or belongs to."""
        back = operation.scope[:1] == (BACKWARD,)
        number = operation.scope[-1] if operation.scope != (BACKWARD,) else ""
        if not number:
            return operation
        original = self.program.operations[int(number)]
        return replace(operation, line=original.line, scope=(BACKWARD,) * back + original.scope)

    def originals(self, found: Program) -> dict[Variable, Variable]:
        """What the new program's variables shall be: the given program's own where it is the same value, and the others
        under names that are not taken."""
        program = self.program
        new = dict(zip(found.inputs, program.inputs, strict=True))
        known = {id(leaf.array): each for each, leaf in program.values.items()}
        new |= {each: known[id(leaf.array)] for each, leaf in found.values.items() if id(leaf.array) in known}
        for operation in found.operations:
            if len(operation.scope) == 1 and operation.scope != (BACKWARD,):
                new |= zip(operation.outputs, program.operations[int(operation.scope[0])].outputs, strict=True)
        rest = [each for each in self._variables(found) if each not in new]
        taken = {each.name for each in self._variables(program)} | {called(each.primitive) for each in found.operations}
        given = {f"d_{each.name}" for each in self._variables(program) if each.given}
        for each, name in zip(rest, distinct((each.name for each in rest), taken), strict=True):
            named = (
                name in given and each not in found.values
            )  # a gradient that is a constant is no array of the user's
            new[each] = replace(each, name=name, label=name, given=named, requires_grad=False)
        return new

    @staticmethod
    def _variables(program: Program) -> Iterable[Variable]:
        outputs = (each for operation in program.operations for each in operation.outputs)
        return dict.fromkeys((*program.inputs, *program.captured, *outputs))
