"""What a recorded operation is made of: its body traced, or its code copied.

A program holds operations that NumPy has no name for: layers and losses, a user's own primitives, what a gradient rule
needs besides. `expanded` puts in the place of each what its body computes. A body that cannot be traced, because it
writes into arrays or asks for values, is copied as code by `transplanted`, with the functions and numbers that it uses.

Read next: `expressions.py`.
"""

from __future__ import annotations

import ast
import dis
import inspect
import math
import sys
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import replace
from functools import partial
from types import CodeType, FunctionType
from typing import Any, TypeAlias

import numpy as np

from .naming import distinct, identifier
from .passes import draws
from .primitives import Primitive, public_name
from .program import Operation, Program, Variable, _value, compute
from .rendering import SIGNS
from .rewriting import Rewriter, rewrite
from .rules.complex import IMAG, REAL
from .rules.elementwise import CLIP
from .rules.index import GETITEM, SCATTER, SETITEM
from .rules.shape import ASTYPE, COPY, DETACH
from .tracing import recorded

Helpers: TypeAlias = dict[str, tuple[Any, str]]
"""What printed code needs beyond NumPy, in order: what each name stands for (a function, class or number), its text."""

WRITTEN = frozenset({GETITEM, SETITEM, SCATTER, ASTYPE, COPY, DETACH})
NUMPYS = {CLIP: "np.clip", REAL: "np.real", IMAG: "np.imag"}  # ours, under NumPy's names


def numpys_name(primitive: Primitive) -> str | None:
    """What NumPy calls an operation."""
    return NUMPYS.get(primitive) or public_name(primitive.called)


def has_a_name(primitive: Primitive) -> bool:
    """Whether NumPy has a word or a sign for an operation."""
    return primitive in WRITTEN or primitive.called in SIGNS or numpys_name(primitive) is not None


def expanded(program: Program, args: tuple[Any, ...], known: Callable[[Primitive], bool] = has_a_name) -> Program:
    """A program with the bodies of its operations in their places, as far as they can be traced with these arguments;
    those whose primitive is `known` stay.

    >>> import autograd_lite as ag
    >>> @ag.primitive
    ... def twice(x):
    ...     return x + x
    >>> program = ag.trace(lambda x: np.exp(twice(x)), np.ones(2))
    >>> [str(each) for each in expanded(program, (np.ones(2),)).operations]
    ['twice_1: float64[2] = x + x', 'exp: float64[2] = np.exp(twice_1)']
    """
    whole: set[Primitive] = set()
    while any(not known(each.primitive) and each.primitive not in whole for each in program.operations):
        program = rewrite(program, partial(_body, table=_values(program, args), whole=whole, known=known))
    return program


def _values(program: Program, args: tuple[Any, ...]) -> dict[Variable, Any]:
    """Every value of a program."""
    table = program.bind(args)
    with np.errstate(all="ignore"):
        for operation in program.operations:
            compute(operation, table)
    return table


def _body(
    state: Rewriter,
    operation: Operation,
    table: dict[Variable, Any],
    whole: set[Primitive],
    known: Callable[[Primitive], bool],
) -> Any:
    primitive = operation.primitive
    if known(primitive) or primitive in whole:
        return operation
    original = next(each for each in state.program.operations if each.outputs is operation.outputs)
    if draws(operation):
        raise NotImplementedError(
            f"backprop_source: {primitive.label} ({operation.line}) draws random numbers: evaluate the model with "
            "model.eval(), or make the mask an argument."
        )
    inner = _traced(original, table, state.program.values)
    if inner is None or any(each.primitive is primitive for each in inner.operations):
        whole.add(primitive)
        return operation
    return _inlined(state, operation, inner)


def _traced(operation: Operation, table: dict[Variable, Any], captured: Container[Variable]) -> Program | None:
    """The program of an operation's body, its inputs the variables that the operation reads; None if there is none."""
    reads = _arrays(operation, captured)

    def body(*arrays: Any) -> Any:
        given = {**table, **dict(zip(reads, arrays, strict=True))}
        values = [_value(each, given) for each in operation.inputs]
        settings = {key: _value(each, given) for key, each in operation.settings.items()}
        function = operation.primitive.function
        return function(values, **settings) if operation.primitive.sequence else function(*values, **settings)

    try:
        with np.errstate(all="ignore"):
            inner = recorded(body, tuple(table[each] for each in reads))
    except Exception:  # whatever a body raises, it was not written to run on tensors
        return None
    forms = [(each.shape, each.dtype) for each in inner.outputs if isinstance(each, Variable)]
    same = forms == [(each.shape, each.dtype) for each in operation.outputs]
    return inner if same and len(forms) == len(inner.outputs) else None


def _arrays(operation: Operation, captured: Container[Variable]) -> list[Variable]:
    """The variables that an operation's body gets as tensors: not the captured arrays among its settings."""
    inputs = [each for each in operation.inputs if isinstance(each, Variable)]
    settings = [each for each in operation.settings.values() if isinstance(each, Variable) and each not in captured]
    return inputs + settings


def _inlined(state: Rewriter, operation: Operation, inner: Program) -> Any:
    """Put a body's operations into the program; give back what the result has become."""
    now: dict[Any, Any] = dict(zip(inner.inputs, _arrays(operation, state.values), strict=True))
    for each in inner.captured:
        now[each] = state.constant(inner.values[each].array, f"{operation.outputs[0].name}_{identifier(each.name)}")
    made = {each for step in inner.operations for each in step.outputs}
    for old, new in zip(inner.outputs, operation.outputs, strict=True):
        if old in made and old not in now:
            now[old] = new
    for step in inner.operations:
        for each in step.outputs:
            if each not in now:
                now[each] = state.another(each, f"{operation.outputs[0].name}_{identifier(each.name)}")
        state.keep(
            replace(
                step,
                inputs=tuple(now.get(each, each) if isinstance(each, Variable) else each for each in step.inputs),
                settings={
                    key: now.get(each, each) if isinstance(each, Variable) else each
                    for key, each in step.settings.items()
                },
                outputs=tuple(now[each] for each in step.outputs),
                line=operation.line,
                scope=operation.scope,
                requires_grad=operation.requires_grad,
            )
        )
    for old, new in zip(inner.outputs, operation.outputs, strict=True):
        if now[old] is not new:
            state.replaced[new] = now[old]
    return None


# ---- code that is copied ---------------------------------------------------------------------------------------------


def transplanted(primitive: Primitive, helpers: Helpers, taken: Iterable[str]) -> str:
    """Put the code of an operation that cannot be traced among the helpers, after what it uses; give back its name,
    which is none of those that are taken."""
    function = primitive.function
    if not isinstance(function, FunctionType):
        raise NotImplementedError(f"backprop_source: {primitive.label} has no Python code that could be printed.")
    name = next(distinct([f"_{primitive.name}"], [*helpers, *taken]))
    _copied(function, name, helpers)
    return name


def constant_line(value: Any, helpers: Helpers, taken: Iterable[str]) -> str:
    """The name of a named tuple that a setting holds (the sizes of windows, say): it gets a line, after its class, and
    a name that is none of those that are taken."""
    kind = type(value)
    name = next((name for name, (each, _) in helpers.items() if type(each) is kind and each == value), None)
    if name is None:
        if not _stands_for(kind.__name__, kind, helpers):
            _copied_class(kind, helpers)
        name = next(distinct([kind.__name__.lower()], [*helpers, *taken]))
        helpers[name] = value, f"{name} = {value!r}"
    return name


def _stands_for(name: str, value: Any, helpers: Helpers) -> bool:
    """Whether a name is already given to this; it cannot stand for two things."""
    if name not in helpers:
        return False
    known = helpers[name][0]
    if type(known) is not type(value) or known != value:
        raise NotImplementedError(f"backprop_source: two different things are called {name} here: rename one of them.")
    return True


def _copied_class(kind: type, helpers: Helpers) -> None:
    """Put a named tuple's class among the helpers: its fields, and its methods after what they use."""
    found = [each for each in _parsed(kind) if isinstance(each, ast.ClassDef) and each.name == kind.__name__]
    if not found:
        raise _not_found(kind)
    node = _Cleaner().visit(found[0])
    methods = [each for each in node.body if isinstance(each, ast.FunctionDef)]
    fields = kind._fields  # type: ignore[attr-defined]  # a named tuple's
    made = f"def __init__(self, {', '.join(fields)}):\n" + "\n".join(f"    self.{each} = {each}" for each in fields)
    node.bases, node.keywords, node.decorator_list = [], [], []
    node.body = [ast.Expr(ast.Constant(inspect.getdoc(kind) or kind.__name__)), *ast.parse(made).body, *methods]
    _copy_what_is_used(node, vars(sys.modules[kind.__module__]), helpers, kind.__name__)
    helpers[kind.__name__] = kind, ast.unparse(node)


def _copied(function: FunctionType, name: str, helpers: Helpers) -> None:
    helpers[name] = function, ""  # a function may call itself
    node = _definition(function)
    if function.__code__.co_freevars:
        raise NotImplementedError(f"backprop_source: {function.__qualname__} uses variables of the function around it.")
    node.name = name
    node.decorator_list = []
    node = _Cleaner().visit(node)
    _copy_what_is_used(node, function.__globals__, helpers, function.__qualname__)
    del helpers[name]
    helpers[name] = function, ast.unparse(node)


def _copy_what_is_used(node: ast.stmt, scope: dict[str, Any], helpers: Helpers, who: str) -> None:
    """Put the functions and numbers of the module that a definition uses among the helpers."""
    module = ast.fix_missing_locations(ast.Module([node], []))
    for used in dict.fromkeys(_looked_up(compile(module, who, "exec"))):
        value = scope.get(used)
        if used not in scope or value is np:
            continue
        if isinstance(value, Primitive):
            value = value.function
        if _stands_for(used, value, helpers):
            continue
        if isinstance(value, FunctionType):
            _copied(value, used, helpers)
        elif isinstance(value, (int, float, str, tuple, dict)) and _is_literal(value):
            helpers[used] = value, f"{used} = {value!r}"
        else:
            raise NotImplementedError(f"backprop_source: {who} uses {used}, which cannot be printed.")


def _looked_up(code: CodeType) -> Iterator[str]:
    """The names that code, and the functions in it, look for in their module: neither parameters nor variables."""
    for each in dis.get_instructions(code):
        if each.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield each.argval
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _looked_up(inner)


def _is_literal(value: Any) -> bool:
    try:
        return bool(ast.literal_eval(repr(value)) == value)
    except (ValueError, SyntaxError):
        return False


def _definition(function: FunctionType) -> ast.FunctionDef:
    """The syntax tree of a function; a lambda's as that of a function that returns."""
    code = function.__code__
    for node in _parsed(function):
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            if first == code.co_firstlineno and node.name == code.co_name:
                return node
        if isinstance(node, ast.Lambda) and node.lineno == code.co_firstlineno and code.co_name == "<lambda>":
            inside = node.body
            if (inside.lineno, inside.end_lineno, inside.col_offset, inside.end_col_offset) in code.co_positions():
                body: list[ast.stmt] = [ast.Return(inside)]
                return ast.FunctionDef("f", node.args, body, [], None, None, **_no_type_parameters())
    raise _not_found(function)


def _parsed(thing: FunctionType | type) -> Iterator[ast.AST]:
    """The syntax tree of the file in which something stands, node by node."""
    try:
        return ast.walk(ast.parse("".join(inspect.findsource(thing)[0])))
    except (OSError, TypeError, SyntaxError):  # it was typed at a prompt, or made by a program
        raise _not_found(thing) from None


def _not_found(thing: FunctionType | type) -> NotImplementedError:
    return NotImplementedError(f"backprop_source: the code of {thing.__qualname__} was not found.")


def _no_type_parameters() -> dict[str, Any]:
    return {"type_params": []} if "type_params" in ast.FunctionDef._fields else {}


class _Cleaner(ast.NodeTransformer):
    """Takes out annotations, and writes what comes from the module math with numbers and NumPy."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:  # ast's own name
        node.returns = None
        self.generic_visit(node)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:  # ast's own name
        self.generic_visit(node)
        return ast.Pass() if node.value is None else ast.copy_location(ast.Assign([node.target], node.value), node)

    def visit_Call(self, node: ast.Call) -> ast.AST:  # ast's own name
        if ast.unparse(node.func) == "math.factorial":  # the one function of math that NumPy lacks
            node = ast.parse(f"np.prod(np.arange(1.0, {ast.unparse(node.args[0])} + 1))", mode="eval").body  # type: ignore[assignment]  # a call
        self.generic_visit(node)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:  # ast's own name
        self.generic_visit(node)
        if isinstance(node.value, ast.Name) and node.value.id == "math":
            value: float | Callable[..., Any] = getattr(math, node.attr)
            if isinstance(value, float):
                return ast.Constant(value)
            node.value = ast.Name("np", ast.Load())
        return node
