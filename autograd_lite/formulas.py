"""The gradient rule of an operation as a formula, read from the rule itself: `d_x = g * y`.

A rule is plain NumPy, so its own text is the formula. In it g is the gradient that arrives, y the operation's result,
and every operand stands under its own name.

Read next: `pictures.py`.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from functools import lru_cache
from itertools import zip_longest
from typing import Any

from .program import Operation, Variable


def local_derivatives(operation: Operation) -> list[str]:
    """For every operand that has a gradient the formula that gives it: `d_W = X.T @ g`, or the rule's description.

    >>> import numpy as np, autograd_lite as ag
    >>> local_derivatives(ag.trace(lambda x: np.exp(x), np.ones(3)).operations[0])
    ['d_x = g * y']
    """
    primitive = operation.primitive
    rules = [primitive.joint] if primitive.joint is not None else primitive.rules
    found = []
    for at, (rule, operand) in enumerate(zip(rules, operation.inputs, strict=False)):
        if rule is None or not isinstance(operand, Variable) or operand.kind == "constant":
            continue
        parameters, text = _text(rule)
        names = [_name(each, other) for each, other in zip_longest(operation.inputs, parameters[2:], fillvalue="x")]
        target = names[at] if primitive.joint is None else ", d_".join(names[: len(operation.inputs)])
        found.append(f"d_{target} = {_renamed(text, dict(zip(parameters[2:], names, strict=False)))}")
    return found


def _name(operand: Any, parameter: Any) -> str:
    """The user's name for an operand, or without one the rule's."""
    if isinstance(operand, Variable):
        return operand.label if operand.given else str(parameter)
    return repr(operand) if isinstance(operand, (int, float)) else str(parameter)


@lru_cache(1024)
def _text(rule: Callable[..., Any]) -> tuple[tuple[str, ...], str]:
    """A rule's parameters, and its formula as source text: a lambda's body, or what a function says that it does."""
    code = getattr(rule, "__code__", None)
    if code is None:
        return (), str(getattr(rule, "__name__", type(rule).__name__))
    parameters = code.co_varnames[: code.co_argcount]
    body = _lambda_body(rule) if code.co_name == "<lambda>" else _only_return(rule)
    if body is not None:
        return parameters, body
    described = (inspect.getdoc(rule) or "").partition("\n")[0].rstrip(".")
    described = described[:1].lower() + described[1:] if described[1:2].islower() else described
    return (), described or f"{code.co_name.strip('_')}(g, y, …)"


def _only_return(rule: Callable[..., Any]) -> str | None:
    """What a function returns, if it does nothing else."""
    code = rule.__code__
    for node in ast.walk(_parsed(code.co_filename)):
        if isinstance(node, ast.FunctionDef) and node.name == code.co_name and node.lineno == code.co_firstlineno:
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            only = body[0] if len(body) == 1 else None
            return ast.unparse(only.value) if isinstance(only, ast.Return) and only.value is not None else None
    return None


def _lambda_body(rule: Callable[..., Any]) -> str | None:
    """The text of a lambda's body, found by where the lambda stands in its file."""
    code = rule.__code__
    places = [each for each in code.co_positions() if each[0] is not None and each[2] is not None]
    inside = {(each[0], each[2]) for each in places if each[3] != 0}
    for node in ast.walk(_parsed(code.co_filename)):
        if isinstance(node, ast.Lambda) and node.lineno <= code.co_firstlineno <= (node.end_lineno or 0):
            nodes = {(each.lineno, each.col_offset) for each in ast.walk(node.body) if isinstance(each, ast.expr)}
            if inside & nodes:
                return ast.unparse(node.body)
    return None


@lru_cache(64)
def _parsed(filename: str) -> ast.Module:
    import linecache

    try:
        return ast.parse("".join(linecache.getlines(filename)))
    except SyntaxError:
        return ast.Module([], [])


def _renamed(text: str, names: dict[str, str]) -> str:
    """An expression with its parameters called as their operands are."""
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError:
        return text
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in names:
            node.id = names[node.id]
    return ast.unparse(tree)
