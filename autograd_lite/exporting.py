"""A Program as an ONNX model, which other runtimes and tools can use.

    ag.export_onnx(model.eval(), images, path="lenet.onnx")
    ag.export_onnx(lambda x: forward(x, W1, W2), X, path="heart.onnx")

The function is traced twice, with different numbers of rows: what differs follows the batch, everything else is fixed.
Inputs, outputs and parameters keep their names. What each function becomes is told in `onnx_forms.py`.

Read next: `onnx_forms.py`, `onnx_graph.py`.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .expansion import expanded
from .lifting import lift
from .onnx_forms import BODIES, FORMS
from .onnx_graph import OPSET, Graph, Rows, Size, Value
from .passes import draws
from .primitives import Primitive
from .program import Operation, Program, Variable
from .rewriting import Rewriter, rewrite
from .rules.shape import ASTYPE
from .tensors import Tensor
from .tracing import trace
from .trees import flatten, unflatten

ROWS = (5, 7)  # two numbers of rows that no layer has by chance
IR_VERSION = 8  # the oldest that has the operations used: other tools lag behind
FREE = frozenset({"dtype", "casting", "subok", "copy"})  # settings that say no more than the result's dtype does


def export_onnx(
    f: Callable[..., Any], *args: Any, path: str | os.PathLike[str] | None = None, batch: tuple[int, ...] = (0,)
) -> Any:
    """The ONNX model of a function or module, checked by onnx.checker; written to `path` if one is given.

    `args` are example arguments, as for `trace`; `batch` names those whose first axis is the batch, of any length in
    the model (() fixes all sizes). Arguments become inputs, and what `f` captures becomes part of the model, under the
    names that `trace` gives. Raises NotImplementedError, naming the source line, for an operation that ONNX lacks, for
    sizes that follow the batch in another way than as a multiple, and for random numbers (a module must be in eval()).

    >>> import numpy as np, autograd_lite as ag
    >>> W = np.ones((3, 2))
    >>> model = ag.export_onnx(lambda x: np.tanh(x @ W), np.ones((4, 3)))
    >>> [node.op_type for node in model.graph.node], [each.name for each in model.graph.initializer]
    (['MatMul', 'Tanh'], ['W'])
    """
    try:
        onnx = importlib.import_module("onnx")
    except ModuleNotFoundError:
        raise ModuleNotFoundError('export_onnx needs onnx: pip install "autograd-lite[onnx]".') from None
    first = _prepared(f, _resized(args, batch, ROWS[0]))
    second = _prepared(f, _resized(args, batch, ROWS[1])) if batch else first
    model = _Export(onnx, first, second, _batched(args, batch)).model()
    onnx.checker.check_model(model, full_check=True)
    if path is not None:
        target = Path(path)
        unfinished = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            unfinished.write_bytes(model.SerializeToString())
            os.replace(unfinished, target)
        finally:
            unfinished.unlink(missing_ok=True)
    return model


# ---- the program -------------------------------------------------------------------------------------------------


def _resized(args: tuple[Any, ...], batch: tuple[int, ...], rows: int) -> tuple[Any, ...]:
    """The example arguments with so many rows in those that hold the batch."""

    def with_rows(value: Any) -> Any:
        array = value.detach().data if isinstance(value, Tensor) else np.asarray(value)
        if array.ndim == 0 or len(array) == 0:
            raise ValueError(
                f"export_onnx: an array of shape {array.shape} has no batch axis; name others with batch=."
            )
        return np.resize(array, (rows, *array.shape[1:]))

    given = list(args)
    for i in batch:
        if not -len(args) <= i < len(args):
            raise ValueError(f"export_onnx: batch={batch} names an argument that is not there; {len(args)} were given.")
        leaves, structure = flatten(args[i])
        given[i] = unflatten(structure, map(with_rows, leaves))
    return tuple(given)


def _batched(args: tuple[Any, ...], batch: tuple[int, ...]) -> list[bool]:
    """Of each array among the arguments, whether its first axis is the batch."""
    chosen = {i % len(args) for i in batch}
    return [i in chosen for i, each in enumerate(args) for _ in flatten(each)[0]]


def _prepared(f: Callable[..., Any], args: tuple[Any, ...]) -> Program:
    """The program of `f`, its formulas recognised, and what has no form in ONNX taken apart."""
    try:
        program = trace(f, *args)
    except Exception as error:
        rows = [np.shape(each) for each in args]
        error.add_note(f"export_onnx ran the function with arguments of shapes {rows}; batch=() leaves them as given.")
        raise
    for operation in program.operations:
        if draws(operation):
            raise NotImplementedError(
                f"export_onnx: {operation.primitive.label} ({operation.line}) draws random numbers: put the model into "
                "model.eval()."
            )
    if program.updates:
        old = program.updates[0][0]
        raise NotImplementedError(f"export_onnx: the function writes to {old.label}: put the model into model.eval().")
    return expanded(rewrite(lift(program), _body), args, _has_form)


def _body(state: Rewriter, operation: Operation) -> Operation:
    """A function that ONNX lacks, as one that is made of others."""
    body = BODIES.get(operation.primitive.called)
    if body is None:
        return operation
    name = operation.primitive.name
    return replace(operation, primitive=Primitive(body, arrays=operation.primitive.arity, name=name))


def form_of(primitive: Primitive) -> Callable[..., Value] | None:
    """What says how an operation is written in ONNX."""
    return FORMS.get(primitive.called) or getattr(primitive, "onnx_form", None)


def _has_form(primitive: Primitive) -> bool:
    return form_of(primitive) is not None


# ---- the model ---------------------------------------------------------------------------------------------------


class _Export:
    """Two traces of a function side by side, and the graph that is true for both."""

    def __init__(self, onnx: Any, first: Program, second: Program, batched: list[bool]) -> None:
        self.onnx = onnx
        self.first = first
        self.second = second
        self.graph = Graph(onnx)
        self.table: dict[Variable, Value] = {}
        self.results: list[Value] = []
        self.twin = dict(zip(first.inputs, second.inputs, strict=True))
        self.inputs = [self._input(each) for each in first.inputs]
        arrays = [each for each, static in zip(batched, first.statics, strict=True) if isinstance(static, Variable)]
        self.graph.batch = next((value for value, each in zip(self.inputs, arrays, strict=True) if each), None)

    def model(self) -> Any:
        """The whole model."""
        helper, first, second = self.onnx.helper, self.first, self.second
        if len(first.operations) != len(second.operations):
            raise NotImplementedError(
                f"export_onnx: {first.name} computes something else for another number of rows: fix it with batch=()."
            )
        for ours, theirs in zip(first.operations, second.operations, strict=True):
            self._operation(ours, theirs)
        outputs = [self._output(*each) for each in zip(first.outputs, second.outputs, strict=True)]
        graph = helper.make_graph(
            self.graph.nodes,
            first.name,
            [self._info(each) for each in self.inputs],
            [self._info(each) for each in outputs],
            self.graph.initializers,
        )
        opset = helper.make_opsetid("", OPSET)
        return helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="autograd-lite")

    def _input(self, variable: Variable) -> Value:
        value = Value(self.graph.unique(variable.label), variable.dtype, self._shape(variable))
        self.table[variable] = value
        return value

    def _info(self, value: Value) -> Any:
        sizes = [str(each) if isinstance(each, Rows) else each for each in value.shape]
        return self.onnx.helper.make_tensor_value_info(
            value.name, self.onnx.helper.np_dtype_to_tensor_dtype(value.dtype), sizes
        )

    def _shape(self, variable: Variable) -> tuple[Size, ...]:
        shape: tuple[Size, ...] = self._merged(variable.shape, self.twin[variable].shape)
        return shape

    def _operation(self, ours: Operation, theirs: Operation) -> None:
        graph, primitive = self.graph, ours.primitive
        graph.doing = f"{primitive.label} ({ours.line})" if ours.line else primitive.label
        graph.scope = "".join(f"/{each}" for each in ours.scope) + "/" if ours.scope else ""
        if primitive.called is not theirs.primitive.called or ours.settings.keys() != theirs.settings.keys():
            graph.refuse("is another operation for another number of rows: fix it with batch=().")
        form = form_of(primitive)
        if form is None or len(ours.outputs) != 1:
            graph.refuse("has no counterpart in ONNX.")
        (result,) = ours.outputs
        self.twin[result] = theirs.outputs[0]
        first = len(graph.nodes)
        inputs = [self._merged(*each) for each in zip(ours.inputs, theirs.inputs, strict=True)]
        told = ours.settings.keys() - (FREE if primitive is not ASTYPE else ())
        settings = {key: self._merged(ours.settings[key], theirs.settings[key]) for key in told}
        try:
            found = graph.cast(form(graph, *inputs, **settings), result.dtype)
        except TypeError as error:
            graph.refuse(f"is called in a way that has no counterpart in ONNX ({error}).")
        self.table[result] = graph.finish(found, result.label, self._shape(result), first)

    def _output(self, ours: Any, theirs: Any) -> Value:
        """A result of the model; what is an input, a captured value or another output too gets a name of its own."""
        self.graph.doing, self.graph.scope = "the result", ""
        value = self._merged(ours, theirs)
        if not isinstance(value, Value):
            value = self.graph.cast(value, np.asarray(ours).dtype)
        made = {name for node in self.graph.nodes for name in node.output}
        if value.name not in made or value in self.results:
            value = self.graph.renamed(value, f"{value.name}_output")
        self.results.append(value)
        return value

    # ---- what two traces have in common ----------------------------------------------------------------------------

    def _merged(self, ours: Any, theirs: Any) -> Any:
        """A value of both traces: one of the graph, a literal, or a size that follows the batch."""
        if isinstance(ours, Variable) and isinstance(theirs, Variable):
            if ours not in self.table:
                self.table[ours] = self._captured(ours, theirs)
            return self.table[ours]
        if type(ours) is not type(theirs):
            self.graph.refuse("is another operation for another number of rows: fix it with batch=().")
        if isinstance(ours, (tuple, list)) and len(ours) == len(theirs):
            parts = list(map(self._merged, ours, theirs))
            return type(ours)(*parts) if hasattr(ours, "_fields") else type(ours)(parts)
        if isinstance(ours, slice):
            ends = ((ours.start, theirs.start), (ours.stop, theirs.stop), (ours.step, theirs.step))
            return slice(*(self._merged(*each) for each in ends))
        if ours is theirs or ours == theirs:
            return ours
        if type(ours) is int and ours % ROWS[0] == 0 and ours // ROWS[0] * ROWS[1] == theirs:
            return Rows(ours // ROWS[0])
        self.graph.refuse(
            f"uses {ours!r} for {ROWS[0]} rows and {theirs!r} for {ROWS[1]}: fix the batch with batch=()."
        )

    def _captured(self, ours: Variable, theirs: Variable) -> Value:
        a, b = self.first.values[ours].array, self.second.values[theirs].array
        if a.dtype != b.dtype or not np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
            self.graph.refuse(f"uses {ours.label}, which depends on the number of rows: fix it with batch=().")
        return self.graph.constant(a, name=ours.label)
