"""What an operation is: a function, its gradient rules, and the table where NumPy's functions are looked up.

A rule is plain NumPy, written once:

    rule(np.exp, lambda g, y, x: g * y)

`g` is the gradient of the result `y`, then come the inputs and, by keyword, the settings of the call. There is one
rule per array argument (None where there is no gradient), or one `joint=` that returns all of them. Handed arrays a
rule computes; handed tensors it is recorded, and that is where higher derivatives come from. A rule may ignore
broadcasting and dtypes: the walk undoes both.

Read next: `rules/` (the table's contents), `tensors.py` (how it is applied), `custom.py` (your own functions).
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from .recording import Plan, Recorded

Rule: TypeAlias = Callable[..., Any]
Bound: TypeAlias = tuple[tuple[Any, ...], dict[str, Any]]

# Settings that choose a representation and not a value: no rule needs to know them, the walk restores dtypes.
NEUTRAL = frozenset({"dtype", "casting", "order", "subok", "copy"})
# What a rule may ask of an input without the engine having to keep the input's values.
_FORM = frozenset({"shape", "dtype", "ndim", "size"})
_NO_CODE = (lambda: None).__code__
_ALL = (1 << 62) - 1  # a rule that reads everything: bit 0 is the result, the inputs have the bits above it


class Primitive:
    """A function with gradient rules: the unit that is recorded, walked, drawn, printed and compiled."""

    folded = False  # whether a node of it stands for several operations (`rows.py`)

    def __init__(
        self,
        function: Callable[..., Any],
        rules: tuple[Rule | None, ...] = (),
        joint: Rule | None = None,
        *,
        arrays: int | None = None,
        sequence: bool = False,
        variadic: bool = False,
        view: bool = False,
        name: str | None = None,
        signature: str | None = None,
        forward: Callable[..., Any] | None = None,
    ) -> None:
        self.called = function  # the function as users know it
        self.function = forward or function  # what computes it: the same values, perhaps by a shorter way
        self.rules = rules
        self.joint = joint
        self.asks_wanted = joint is not None and "wanted" in getattr(joint, "__code__", _NO_CODE).co_varnames
        self.sequence = sequence  # the arrays arrive in one list: np.concatenate([a, b])
        self.variadic = variadic  # any number of arrays follow one another: getitem(x, i, j)
        self.view = view  # the result may share memory with its first input
        self.name = name or getattr(function, "__name__", type(function).__name__)
        # x ** y is a ufunc's work too, which NumPy chooses by the exponent
        self.elementwise = function is operator.pow or (isinstance(function, np.ufunc) and function.signature is None)
        self.arity = function.nin if isinstance(function, np.ufunc) else len(rules) if arrays is None else arrays
        self.simple = self.arity == 1 and not (sequence or variadic or view)
        # Inside a layer a line says little to a user: it is not noted.
        self.internal = getattr(self.called, "__module__", "").partition(".")[0] == "nn"
        self._signature = signature
        self._studied: tuple[tuple[int | None, ...], frozenset[str]] | None = None
        self._plans: dict[tuple[int, int], Plan] = {}
        self.unary_plans: tuple[Plan, ...] | None = None
        self.binary_plans: tuple[Plan, ...] | None = None
        self._names: tuple[str, ...] | None = None

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"

    @property
    def differentiable(self) -> bool:
        """Whether any argument has a gradient rule."""
        return self.joint is not None or any(self.rules)

    @property
    def label(self) -> str:
        """The name as a user writes it: np.exp, np.linalg.inv, sigmoid."""
        return public_name(self.called) or str(self.name)

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters' names, array arguments first, from the function's own signature."""
        if self._names is None:
            if self._signature is not None:
                self._names = tuple(self._signature.split())
            else:
                import inspect  # here and below: a dear import that a small program never needs

                self._names = tuple(inspect.signature(self.called).parameters)
        return self._names

    @property
    def takes(self) -> frozenset[str]:
        """The settings that the rules know."""
        return self._study()[1]

    def _study(self) -> tuple[tuple[int | None, ...], frozenset[str]]:
        """What each rule reads, as bits (None where there is no rule), and which settings the rules take: learnt once
        from the rules' own code."""
        if self._studied is None:
            found = [
                None if each is None else _study(each, self.arity)
                for each in ([self.joint] if self.joint else self.rules)
            ]
            takes: frozenset[str] = frozenset().union(*(each[1] for each in found if each is not None)) - {"wanted"}
            self._studied = tuple(None if each is None else each[0] for each in found), takes
        return self._studied

    def plan(self, wants: int, count: int) -> Plan:
        """What to keep when the inputs whose bits are set in `wants`, of `count`, require gradients."""
        key = (wants, count)
        found = self._plans.get(key)
        if found is None:
            masks = self._study()[0]
            if self.joint is not None:
                masks *= count
            wanted = tuple(mask is not None and bool(wants >> i & 1) for i, mask in enumerate(masks[:count]))
            wanted += (False,) * (count - len(wanted))
            read = 0
            for mask, want in zip(masks, wanted, strict=False):
                read |= mask or 0 if want else 0
            reads = tuple(i for i in range(count) if read >> i & 2)
            found = self._plans[key] = Plan(wanted, bool(read & 1), reads)
        return found

    def small_plans(self, count: int) -> tuple[Plan, ...]:
        """The plans for one or two inputs, indexed by which require gradients."""
        plans = tuple(self.plan(wants, count) for wants in range(1 << count))
        if count == 1:
            self.unary_plans = plans
        else:
            self.binary_plans = plans
        return plans

    def __call__(self, *args: Any, **settings: Any) -> Any:
        """Compute on arrays; compute and record on tensors."""
        if settings or self.sequence or len(args) != self.arity:
            args, settings = self.bind(args, settings)
        for arg in args:
            if isinstance(arg, Recorded):
                return arg._apply(self, args, settings)
        return self.function(list(args), **settings) if self.sequence else self.function(*args, **settings)

    def fits(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether the rules know every part of a call; if they do not, a composite of the same function may."""
        return len(args) >= self.arity and (not kwargs or kwargs.keys() - NEUTRAL <= self.takes)

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Bound:
        """Split a call, however its arguments were passed, into array inputs and settings."""
        settings = kwargs
        if self.variadic:
            inputs = args
        elif self.sequence:
            if not args:
                settings = dict(settings)
                args = (settings.pop(self.names[0]),)
            if len(args) > 1:
                settings = {**dict(zip(self.names[1:], args[1:], strict=False)), **settings}
            inputs = tuple(args[0])
        else:
            inputs = args
            arity = self.arity
            if len(args) > arity:
                extra = dict(zip(self.names[arity:], args[arity:], strict=False))
                if len(args) > len(self.names) or extra.keys() & kwargs.keys():
                    self.called(*args, **kwargs)  # raises NumPy's own TypeError
                settings = {**extra, **kwargs}
                inputs = args[:arity]
            elif len(args) < arity:
                settings = dict(kwargs)
                inputs = (*args, *(settings.pop(name, None) for name in self.names[len(args) : arity]))
        if settings:
            if "out" in settings:
                settings = {key: value for key, value in settings.items() if key != "out" or value is not None}
            settings = {key: value for key, value in settings.items() if value is not np._NoValue}
            if "out" in settings or (self.differentiable and not settings.keys() <= self.takes):
                self._refuse(settings)
        return inputs, settings

    def _refuse(self, settings: dict[str, Any]) -> None:
        for key in settings.keys() - self.takes - NEUTRAL:
            if key == "out":
                raise TypeError(
                    f"{self.label}(..., out=...) on a tensor: a result is always a new tensor. "
                    f"Write y = {self.label}(...); for `array += tensor` write array = array + tensor."
                )
            if key == "where" and settings[key] is True:
                continue
            raise NotImplementedError(
                f"{self.label}(..., {key}=...) has no gradient rule; it has one without {key}="
                + (f" and with {', '.join(sorted(self.takes))}=." if self.takes else ".")
            )


def _study(each: Rule, arity: int) -> tuple[int, set[str]]:
    """The inputs whose values a rule reads, as bits, and the names of the settings it takes."""
    code = getattr(each, "__code__", None)
    if code is None:
        return _ALL, set()
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    import dis
    import inspect

    variadic = bool(code.co_flags & inspect.CO_VARARGS)
    arrays = names[1 : code.co_argcount] if variadic else names[1 : 2 + arity]
    settings = set(names[len(arrays) + 1 :])
    read = set(code.co_cellvars)
    steps = [step for step in dis.get_instructions(code) if step.opname != "CACHE"]
    for step, after in pairwise(steps):
        if not step.opname.startswith(("LOAD_FAST", "STORE_FAST_LOAD_FAST")):
            continue
        loaded = step.argval if isinstance(step.argval, tuple) else (step.argval,)
        form_only = after.opname.startswith(("LOAD_ATTR", "LOAD_METHOD")) and after.argval in _FORM
        read.update(loaded[:-1] if form_only else loaded)
    mask = 0
    for position, name in enumerate(arrays):
        if name in read:
            mask |= 1 << position
    if variadic:
        rest = code.co_varnames[code.co_argcount + code.co_kwonlyargcount]
        if rest in read:
            mask |= _ALL & ~((1 << len(arrays)) - 1)
    return mask, settings


# One result out of an operation that has several; the walk collects their gradients into one tuple.
PICK = Primitive(lambda results, index: results[index], (lambda g, y, results, index: g,), name="pick")

PRIMITIVES: dict[Any, Primitive] = {}
COMPOSITES: dict[Any, Callable[..., Any]] = {}
REFUSED: dict[Any, str] = {}


def rule(function: Callable[..., Any], *rules: Rule | None, joint: Rule | None = None, **form: Any) -> Primitive:
    """Give a NumPy function its gradient rules: one per array argument, or one joint rule for all."""
    primitive = PRIMITIVES[function] = Primitive(function, rules, joint, **form)
    return primitive


def composite(*functions: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Say how a NumPy function is made of others that have rules: its gradients follow from theirs."""

    def register(body: Callable[..., Any]) -> Callable[..., Any]:
        for function in functions:
            COMPOSITES[function] = body
        return body

    return register


def nondifferentiable(*functions: Callable[..., Any], arrays: int = 1, **form: Any) -> None:
    """Functions whose results are recorded but have no gradient: comparisons, argmax, shapes and counts."""
    for function in functions:
        PRIMITIVES[function] = Primitive(function, arrays=arrays, **form)


def refuse(*functions: Callable[..., Any], why: str) -> None:
    """Functions that must not run on tensors, with the reason and the remedy."""
    for function in functions:
        REFUSED[function] = why


_PLACES: tuple[tuple[str, Any], ...] = (
    ("np.", np), ("np.linalg.", np.linalg), ("np.fft.", np.fft), ("np.lib.stride_tricks.", np.lib.stride_tricks),
    ("np.emath.", np.emath),
)  # fmt: skip


def public_name(function: Any) -> str | None:
    """The name under which NumPy's users know a function."""
    name: str = getattr(function, "__name__", "")
    for prefix, module in _PLACES:
        if getattr(module, name, None) is function:
            return prefix + name
    return None


def missing(function: Any) -> Exception:
    """The error for a function that has no rule, naming the nearest one that has."""
    name = public_name(function) or str(getattr(function, "__name__", function))
    if function in REFUSED:
        return TypeError(f"{name} on a tensor: {REFUSED[function]}")
    known: list[str] = [each for each in map(public_name, (*PRIMITIVES, *COMPOSITES)) if each]
    import difflib

    near = difflib.get_close_matches(name, known, 1, 0.5)
    hint = f" The nearest function that has one is {near[0]}." if near else ""
    return NotImplementedError(
        f"{name} has no gradient rule.{hint} Write it with functions that have one, "
        "or give it a rule of your own with ag.primitive; for values alone use x.detach().numpy()."
    )
