"""Your own functions with your own rules, in the same form as the library's.

Read next: `derivatives.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .primitives import Primitive, Rule
from .tensors import Tensor, binary, unary


class CustomPrimitive(Primitive):
    """A user's function that is recorded as one operation."""

    def __init__(self, function: Callable[..., Any]) -> None:
        name = getattr(function, "__name__", type(function).__name__)
        super().__init__(function, name="function" if name == "<lambda>" else name)
        self.__doc__ = function.__doc__
        self.__name__ = self.name
        self.__wrapped__ = function
        self.__module__ = function.__module__
        self.onnx_form: Callable[..., Any] | None = None

    def __call__(self, *args: Any, **settings: Any) -> Any:
        """Compute on arrays; compute and record on tensors. Without rules, what wants gradients is taken apart."""
        if not self.rules and self.joint is None:  # def_rule(None) is a rule, too
            if any(isinstance(each, Tensor) and each.requires_grad for each in (*args, *settings.values())):
                return self.function(*args, **settings)
        if not settings:
            if len(args) == 2:
                if self.arity > 1 and (isinstance(args[0], Tensor) or isinstance(args[1], Tensor)):
                    return binary(self, args[0], args[1])
            elif len(args) == 1 and isinstance(args[0], Tensor):
                return unary(self, args[0])
        return super().__call__(*args, **settings)

    def def_rule(self, *rules: Rule | None, joint: Rule | None = None, arrays: int | None = None) -> None:
        """Set the rules: one `rule(g, y, *inputs, **settings)` per array argument, or one joint rule for all.

        `arrays` says how many arguments are arrays when a joint rule does not take them one by one.

        >>> import numpy as np, autograd_lite as ag
        >>> @ag.primitive
        ... def cube(x):
        ...     return x * x * x
        >>> cube.def_rule(lambda g, y, x: g * 3 * x * x)
        >>> x = ag.tensor(2.0, requires_grad=True)
        >>> cube(x).backward()
        >>> float(x.grad)
        12.0
        """
        if joint is None:
            arrays = len(rules)
        elif arrays is None:
            arrays = joint.__code__.co_argcount - 2
        Primitive.__init__(self, self.function, rules, joint, arrays=arrays, name=self.name)

    def def_onnx(self, form: Callable[..., Any]) -> None:
        """Say what the function is in ONNX: `form(graph, *inputs, **settings)` adds nodes and gives back the result.

        Without it `ag.export_onnx` takes the body apart. `onnx_graph.py` tells what the graph can do.

        >>> import numpy as np, autograd_lite as ag
        >>> @ag.primitive
        ... def celu(x):
        ...     return np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1)
        >>> celu.def_onnx(lambda graph, x: graph("Celu", x))
        >>> [node.op_type for node in ag.export_onnx(celu, np.ones(3, np.float32)).graph.node]
        ['Celu']
        """
        self.onnx_form = form


def primitive(function: Callable[..., Any]) -> CustomPrimitive:
    """Make a function one recorded operation with rules of its own: a decorator; give the rules with `def_rule`.

    The function's body must be NumPy that runs on tensors, so that it can be traced, printed and taken apart.

    >>> import numpy as np, autograd_lite as ag
    >>> @ag.primitive
    ... def softplus(x):
    ...     return np.log(1 + np.exp(x))
    >>> softplus.def_rule(lambda g, y, x: g / (1 + np.exp(-x)))
    >>> x = ag.tensor(0.0, requires_grad=True)
    >>> softplus(x).backward()
    >>> float(x.grad)
    0.5
    """
    return CustomPrimitive(function)
