"""trace: run a function once and keep what it computed as a Program.

The arguments become tensors, and everything that is computed from a tensor is recorded, with gradients or without; then
the history of the results is read off, oldest first, and every node becomes a named variable.

Read next: `naming.py` (where the names come from), `drawing.py`.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import CodeType
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .boundary import numbers
from .naming import Names, Witness, distinct, identifier
from .primitives import PICK
from .program import UNKNOWN, Operation, Program, Variable
from .recording import Array, Node, Recorded, describe_line, new_leaf, switched, tick, unfold, users_frame
from .rendering import called
from .tensors import Tensor, wrap
from .trees import Structure, flatten, paths, unflatten
from .views import watch

Place: TypeAlias = tuple[Node, int]  # a node, and which of its results


def trace(f: Callable[..., Any], *args: Any, everything: bool = False) -> Program:
    """Run `f` once and return the Program of what it computed, true for all arguments of these shapes and dtypes.

    Arguments are arrays, tensors and Python floats, or dicts, lists and tuples of them; others (int, bool, str, None)
    are fixed in the program. `f` may be a module: its parameters are captured under their own names. Tensors that `f`
    writes to keep their values, and the program tells their `updates` (a module's running statistics). Operations that
    no output depends on are left out unless `everything`. While tracing, asking a tensor for its values (`float`, `if`,
    `.item()`, `.numpy()`) raises TypeError, because the answer would be frozen into the program.

    >>> import numpy as np, autograd_lite as ag
    >>> print(ag.trace(lambda x: 2 * np.exp(x), np.ones(3)).operations[1])
    multiply: float64[3] = 2 * exp
    """
    return recorded(f, args, everything=everything)


Then: TypeAlias = Callable[[list[Node], Names], list[Node]]


def recorded(
    f: Callable[..., Any],
    args: tuple[Any, ...],
    *,
    everything: bool = False,
    differentiate: bool = False,
    then: Then | None = None,
    helpers: bool = False,
) -> Program:
    """`trace`, with more to choose: floating inputs that require gradients (`differentiate`), further outputs, which
    `then(nodes of the outputs, names)` computes while everything is still being recorded, and lines that are those
    where `helpers` of a few lines are called, not those within them."""
    names = Names()
    leaves, takes = flatten(args)
    inputs: list[Node] = []
    statics: list[Any] = []
    tensors: list[Any] = []
    for given, name in zip(leaves, _argument_names(f, args, takes), strict=True):
        if not isinstance(given, (Recorded, np.ndarray, np.generic, float, complex)):
            statics.append(given)
            tensors.append(given)
            continue
        array = given._array() if isinstance(given, Tensor) else numbers(np.asanyarray(given), "ag.trace")
        wanted = given.requires_grad if isinstance(given, Tensor) else differentiate and array.dtype.kind in "fc"
        leaf = new_leaf(array, wanted, name, live=True)
        inputs.append(leaf)
        statics.append(leaf)
        tensors.append(wrap(array, leaf))
    if hasattr(f, "named_parameters"):
        names.read(f.named_parameters(), 0)
    if hasattr(f, "named_buffers"):
        names.read(f.named_buffers(), 0)
    witness = Witness(names, helpers)
    began = tick()
    with switched(tracing=True), _undone() as written:
        results, returns = flatten(witness.watch(f, *unflatten(takes, tensors)))
        roots = [_root(each) for each in results]
        outputs = [each for each in roots if each is not None]
        added = then(outputs, names) if then else []
        updated = [(old, each._node) for each, (_, old) in written.items() if old.when < began and old not in inputs]
    for old, new in updated:
        names.propose(old, names.of(new) or "state", 0)
    nodes = [*outputs, *added, *(witness.nodes if everything else ()), *(each for pair in updated for each in pair)]
    built = _build(names, inputs, nodes, began)
    if added:
        results, roots, returns = [*results, *added], [*roots, *added], flatten([*results, *added])[1]
    return Program(
        name=_name_of(f),
        inputs=tuple(built.variable[each, 0] for each in inputs),
        captured=tuple(built.values),
        operations=built.operations,
        outputs=tuple(each if root is None else built.of(root) for each, root in zip(results, roots, strict=True)),
        takes=takes,
        returns=returns,
        statics=tuple(built.variable[each, 0] if isinstance(each, Node) else each for each in statics),
        values=built.values,
        updates=tuple((built.of(old), built.of(new)) for old, new in updated),
    )


@contextmanager
def _undone() -> Iterator[dict[Recorded, tuple[Array, Node]]]:
    """Gather the tensors that a block writes to, and give them back what they held."""
    before = watch.written
    written = watch.written = {}
    try:
        yield written
    finally:
        watch.written = before
        for tensor, (array, node) in written.items():
            tensor._data, tensor._node = array, node


def from_tensor(tensor: Tensor, then: Then | None = None) -> Program:
    """The history of an eager tensor as a program, with the names that the user's code which asks has for its values;
    `then(nodes of the outputs, names)` may compute further outputs."""
    names = Names()
    frame = users_frame(sys._getframe(1))
    names.read_frame(frame, 1)
    names.read(list(frame.f_globals.items()), 2)
    tensor._array()  # a view catches up with its base
    nodes: list[Node] = [tensor._node]
    if then:
        nodes += then(nodes, names)
    built = _build(names, None, nodes, 0)
    inputs = tuple(each for each in built.values if each.kind == "input")
    return Program(
        name="history",
        inputs=inputs,
        captured=tuple(each for each in built.values if each.kind != "input"),
        operations=built.operations,
        outputs=tuple(map(built.of, nodes)),
        takes=None,
        returns=flatten(tuple(nodes) if len(nodes) != 1 else nodes[0])[1],
        statics=(),
        values=built.values,
    )


def _root(output: Any) -> Node | None:
    """The node of a result: an array that a function returns is a constant, what is no array a literal (None)."""
    if isinstance(output, Tensor):
        output._array()  # a view catches up with its base
        return output._node
    return new_leaf(output.copy()) if isinstance(output, np.ndarray) else None


def _name_of(f: Callable[..., Any]) -> str:
    name = str(getattr(f, "__name__", type(f).__name__))
    return name if name.isidentifier() else "f"


def _argument_names(f: Callable[..., Any], args: tuple[Any, ...], structure: Structure) -> list[str]:
    """A name for each leaf of the arguments: its parameter's, or in a dict its key if no other has that key."""
    tops: list[str] = []
    try:
        signature = inspect.signature(f)
        for name, value in signature.bind(*args).arguments.items():
            several = signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
            tops += ["x" if name == "args" else name] * len(value) if several else [name]
    except (TypeError, ValueError):
        tops = ["x"] * len(args)
    full = [(tops[path[0]], *path[1:]) for path in paths(structure)]
    keys = [path[-1] if len(path) > 1 and isinstance(path[-1], str) else None for path in full]
    return [
        key if key is not None and keys.count(key) == 1 and key not in tops else "_".join(map(str, path))
        for key, path in zip(keys, full, strict=True)
    ]


# ---- from nodes to variables -----------------------------------------------------------------------------------------


class _Built(NamedTuple):
    """The variables of a history, its operations, and the leaves that it captured."""

    variable: dict[Place, Variable]
    place: dict[Node, Place]
    operations: tuple[Operation, ...]
    values: dict[Variable, Node]

    def of(self, node: Node) -> Variable:
        return self.variable[self.place.get(node, (node, 0))]


def _build(names: Names, inputs: list[Node] | None, roots: list[Node], began: int) -> _Built:
    """Give every node that the roots were computed from a variable, and every operation its variables.

    `inputs` is None for an eager history; `began` is when the recording did: older constants are the user's tensors.
    """
    steps = _steps(roots)
    arguments = set(inputs or ())
    place: dict[Node, Place] = {}  # where a node's value is found, if not in its own variable
    picked: dict[Place, Node] = {}
    ordered: list[Node] = []
    for step in steps:
        if step.primitive is PICK:
            place[step] = next(steps[step].reads), steps[step].settings["index"]
            picked.setdefault(place[step], step)
        else:
            ordered.append(step)
    wholes = {whole for whole, _ in picked}
    captured: dict[Any, Node] = {}
    for leaf in dict.fromkeys((*(each for node in ordered for each in steps[node].reads), *roots)):
        if leaf.primitive is None and leaf not in arguments:
            first = captured.setdefault(_identity(leaf, names, began), leaf)
            if first is not leaf:
                place[leaf] = first, 0
    places: list[Place] = [(leaf, 0) for leaf in (*(inputs or ()), *captured.values())]
    places += [(node, i) for node in ordered for i in range(len(node.shape) if node in wholes else 1)]
    nodes: list[Node] = [picked.get(each, each[0]) for each in places]
    found = [None if node in wholes else names.of(node) for node in nodes]
    labels = [name or _fallback(node) for name, node in zip(found, nodes, strict=True)]
    variable: dict[Place, Variable] = {}
    functions = {called(each) for each in {node.primitive for node in ordered}}  # no variable may hide one of them
    uniques = distinct(map(identifier, labels), functions)
    for each, node, given, label, unique in zip(places, nodes, found, labels, uniques, strict=True):
        shapes: Any = node.shape  # one for each result of an operation that has several
        variable[each] = Variable(
            name=unique,
            label=label if unique == identifier(label) else unique,
            shape=shapes[each[1]] if node in wholes else shapes,
            dtype=_dtype(node, each[1]) if node in wholes else node.dtype,
            kind="input" if node in arguments else _kind(node, inputs is None, names),
            given=given is not None,
            requires_grad=node.requires_grad,
        )
    built = _Built(variable, place, (), {variable[leaf, 0]: leaf for leaf in captured.values()})
    lines: dict[tuple[Any, int], str] = {}
    operations = []
    for node in ordered:
        count = len(node.shape) if node in wholes else 1
        outputs = tuple(variable[node, i] for i in range(count))
        operations.append(_operation(node, steps[node], outputs, built, names.place(node), lines))
    return built._replace(operations=tuple(operations))


class _Step(NamedTuple):
    """What an operation was applied to: nodes for arrays, values for the rest."""

    inputs: list[Any]
    settings: dict[str, Any]

    @property
    def reads(self) -> Iterator[Node]:
        return (each for each in (*self.inputs, *self.settings.values()) if isinstance(each, Node))


def _steps(roots: Iterable[Node]) -> dict[Node, _Step]:
    """Every operation that the roots depend on, oldest first."""
    found: dict[Node, _Step] = {}
    arrays: dict[int, Node] = {}

    def operand(value: Any) -> Any:
        if isinstance(value, Recorded):
            return value._node
        return arrays.setdefault(id(value), new_leaf(value)) if isinstance(value, np.ndarray) else value

    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        if node.primitive is None or node in found:
            continue
        unfold(node)
        inputs = [UNKNOWN] * len(node.parents) if node.inputs is None else node.inputs
        step = found[node] = _Step(
            [operand(value) if parent is None else parent for parent, value in zip(node.parents, inputs, strict=True)],
            {key: operand(value) for key, value in (node.settings or {}).items()},
        )
        waiting += step.reads
    return dict(sorted(found.items(), key=lambda item: item[0].when))


def _identity(leaf: Node, names: Names, began: int) -> Any:
    """What makes two leaves one constant: a user's array is recorded anew each time it is used."""
    if leaf.requires_grad or names.known(leaf) or leaf.when < began:
        return leaf
    array = names.array_of(leaf)
    return id(leaf.array if array is None else array[1]), leaf.guard


def _dtype(whole: Node, index: int) -> np.dtype[Any]:
    """The dtype of one result of an operation that has several, as long as the values are there to tell."""
    value = whole.value if whole.primitive is not None else None
    dtype: np.dtype[Any] = whole.dtype if value is None else value[index].dtype
    return dtype


def _fallback(node: Node) -> str:
    return str(node.primitive.name) if node.primitive is not None else "constant"


def _kind(node: Node, eager: bool, names: Names) -> str:
    if node.primitive is not None:
        return "result"
    if node.requires_grad:
        return "parameter"
    return "input" if eager and node.shape and names.of(node) else "constant"


def _operation(
    node: Node,
    step: _Step,
    outputs: tuple[Variable, ...],
    built: _Built,
    where: tuple[CodeType, int] | None,
    lines: dict[tuple[Any, int], str],
) -> Operation:
    def operand(value: Any) -> Any:
        return built.of(value) if isinstance(value, Node) else value

    line = ""
    if where is not None:
        line = lines[where] = lines.get(where) or describe_line(*where)
    return Operation(
        primitive=node.primitive,
        inputs=tuple(map(operand, step.inputs)),
        settings={key: operand(value) for key, value in step.settings.items()},
        outputs=outputs,
        line=line,
        scope=node.scope,
        requires_grad=node.requires_grad,
    )
