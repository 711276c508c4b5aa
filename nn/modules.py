"""Module and Parameter: what a network is made of, with torch.nn's names.

    class Net(nn.Module):
        def __init__(self):
            self.hidden = nn.Linear(2, 8)
            self.out = nn.Linear(8, 1)

        def forward(self, x):
            return self.out(np.tanh(self.hidden(x)))

Parameters, buffers and modules are ordinary attributes, alone or in lists, tuples and dictionaries, and they are found
in the order in which they were set. Nothing is registered anywhere: `named_parameters()` reads the attributes.

Read next: `containers.py`, `layers.py`, `training.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np

import autograd_lite as ag
from autograd_lite.recording import thread, tick

Array: TypeAlias = np.ndarray[Any, Any]


def _leaf_array(data: Any, dtype: Any) -> Array:
    """A copy of `data` as an array; a tensor gives its values."""
    array = np.array(data.detach().data if isinstance(data, ag.Tensor) else data, dtype)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"a parameter or buffer holds numbers, not {array.dtype}.")
    return array


class Parameter(ag.Tensor):
    """A leaf tensor that requires gradients and belongs to a module; it holds a copy of `data`, of the same dtype.

    Raises TypeError for data that is not floating point (or complex).

    >>> from nn import Parameter
    >>> Parameter([[1.0, 2.0]]).shape
    (1, 2)
    """

    __slots__ = ()

    def __new__(cls, data: Any, requires_grad: bool = True, dtype: Any = None) -> Self:
        return cls._restore(_leaf_array(data, dtype), requires_grad, None, None)  # type: ignore[return-value]  # makes a cls


class Buffer(ag.Tensor):
    """A leaf tensor without gradient that belongs to a module's state: running statistics, tables, counters.

    >>> from nn import Buffer
    >>> Buffer([0.0, 0.0]).requires_grad
    False
    """

    __slots__ = ()

    def __new__(cls, data: Any, dtype: Any = None) -> Self:
        return cls._restore(_leaf_array(data, dtype), False, None, None)  # type: ignore[return-value]  # makes a cls


class KeyMismatch(NamedTuple):
    """What `load_state_dict(strict=False)` left alone."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class _Calls(threading.local):
    """The module whose forward is running in this thread, while a trace wants names."""

    caller: Module | None = None


_calls = _Calls()


class Module:
    """The base of every layer and network: define `forward`, keep parameters and modules as attributes, call it.

    >>> import numpy as np, nn
    >>> class Double(nn.Module):
    ...     def __init__(self):
    ...         self.weight = nn.Parameter(2.0)
    ...     def forward(self, x):
    ...         return x * self.weight
    >>> double = Double()
    >>> double(np.array([1.0, 3.0])).tolist(), [name for name, _ in double.named_parameters()]
    ([2.0, 6.0], ['weight'])
    """

    training: bool = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run `forward`; what is being traced is put into a scope of the module's name."""
        if thread.mode.precise:
            return self._call_in_scope(args, kwargs)
        return self.forward(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The computation; each module defines its own."""
        raise NotImplementedError(f"{type(self).__name__} has no forward method: define what a call of it computes.")

    def _call_in_scope(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        caller = _calls.caller
        name = ""
        if caller is not None:
            name = next((name for name, each in caller.named_modules() if each is self), type(self).__name__)
        _calls.caller = self
        try:
            with ExitStack() as stack:
                for part in name.split(".") if name else ():
                    stack.enter_context(ag.scope(part))
                return self.forward(*args, **kwargs)
        finally:
            _calls.caller = caller

    def __setattr__(self, name: str, value: Any) -> None:
        # Without this, `self.w = self.w - g` would quietly turn a parameter into a number that nobody trains or saves.
        now = self.__dict__.get(name)
        if isinstance(now, Parameter) and not (value is None or isinstance(value, Parameter)):
            raise TypeError(
                f"{type(self).__name__}.{name} is a Parameter: change its values with .data = ..., "
                "assign another nn.Parameter, or None."
            )
        if isinstance(now, Buffer) and not (value is None or isinstance(value, Buffer)):
            value = Buffer(value)
        object.__setattr__(self, name, value)

    # ---- what it consists of ------------------------------------------------------------------------------------

    def _members(self) -> Iterable[tuple[str, Any]]:
        """The names and values among which parameters, buffers and modules are sought."""
        return self.__dict__.items()

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """Each parameter once, with its dotted name: ('layers.0.weight', Parameter)."""
        for name, each in _found(self, prefix):
            if isinstance(each, Parameter):
                yield name, each

    def parameters(self) -> Iterator[Parameter]:
        """Each parameter once."""
        return (each for _, each in self.named_parameters())

    def named_buffers(self, prefix: str = "") -> Iterator[tuple[str, Buffer]]:
        """Each buffer once, with its dotted name."""
        for name, each in _found(self, prefix):
            if isinstance(each, Buffer):
                yield name, each

    def buffers(self) -> Iterator[Buffer]:
        """Each buffer once."""
        return (each for _, each in self.named_buffers())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module (under `prefix`) and each module inside it once, with its dotted name."""
        yield prefix, self
        for name, each in _found(self, prefix):
            if isinstance(each, Module):
                yield name, each

    def modules(self) -> Iterator[Module]:
        """This module and each module inside it, once."""
        return (each for _, each in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly inside this one, each once, with their names."""
        for name, each in _found(self, "", deep=False):
            if isinstance(each, Module):
                yield name, each

    def children(self) -> Iterator[Module]:
        """The modules directly inside this one, each once."""
        return (each for _, each in self.named_children())

    def register_buffer(self, name: str, tensor: Any, persistent: bool = True) -> None:
        """Make `tensor` (anything that makes an array, or None) a buffer under `name`; one that is not persistent stays
        out of `state_dict`."""
        if not name or "." in name:
            raise KeyError(f"register_buffer: {name!r} is no name for a buffer; use one without dots.")
        if hasattr(self, name) and not isinstance(self.__dict__.get(name), (Buffer, type(None))):
            raise KeyError(f"register_buffer: {type(self).__name__} already has an attribute {name!r}.")
        setattr(self, name, None if tensor is None else Buffer(tensor))
        if not persistent:
            self.__dict__["_transient"] = self.__dict__.get("_transient", frozenset()) | {name}

    # ---- state --------------------------------------------------------------------------------------------------

    def _state(self) -> dict[str, Parameter | Buffer]:
        """Every name of every parameter and persistent buffer; a tied one appears under each of its names."""
        return {
            name: each
            for name, each in _found(self, "", once=False, transient=False)
            if isinstance(each, (Parameter, Buffer))
        }

    def state_dict(self) -> dict[str, Array]:
        """The values of all parameters and persistent buffers by name: copies, which later training does not change."""
        return {name: each.data.copy() for name, each in self._state().items()}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> KeyMismatch:
        """Take over the values of a state_dict, this library's or torch's.

        Raises RuntimeError that lists every missing key, every unexpected key and every mismatch of shape or kind, and
        then changes nothing. With strict=False missing and unexpected keys are returned and not raised.
        """
        own = self._state()
        given = {name: np.asarray(value) for name, value in state_dict.items()}
        missing = [name for name in own if name not in given]
        unexpected = [name for name in given if name not in own]
        problems = [f"missing: {name}" for name in missing] + [f"unexpected: {name}" for name in unexpected]
        if not strict:
            problems = []
        for name, value in given.items():
            if name not in own:
                continue
            mine = own[name]
            if value.shape != mine.shape:
                problems.append(f"shape of {name}: {value.shape} given, {mine.shape} needed")
            elif not np.can_cast(value.dtype, mine.dtype, "same_kind"):
                problems.append(f"dtype of {name}: {value.dtype} given, {mine.dtype} needed")
        if problems:
            raise RuntimeError(
                f"load_state_dict into {type(self).__name__} (nothing was changed):\n  " + "\n  ".join(problems)
            )
        for name, value in given.items():
            if name in own:
                own[name].data = value
        return KeyMismatch(missing, unexpected)

    # ---- changing it as a whole ---------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Put this module and those inside it into training mode (dropout and batch statistics on), or out of it."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Put this module and those inside it into evaluation mode."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Let all parameters require gradients, or none: a part that is not to be trained."""
        for each in self.parameters():
            each.requires_grad_(requires_grad)
        return self

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for each in self.parameters():
            each.grad = None

    def to(self, dtype: Any) -> Self:
        """Convert the floating-point parameters and buffers, and their gradients, to another floating dtype.

        >>> import numpy as np, nn
        >>> nn.Linear(2, 1).to(np.float64).weight.dtype
        dtype('float64')
        """
        dtype = np.dtype(dtype)
        if dtype.kind not in "fc":
            raise TypeError(f"Module.to({dtype}): parameters are floating point; give np.float32 or np.float64.")
        for _, each in _found(self, ""):
            if isinstance(each, (Parameter, Buffer)) and each.dtype.kind in "fc":
                _convert(each, dtype)
        return self

    def apply(self, function: Callable[[Module], Any]) -> Self:
        """Call `function` on every module inside, then on this one: for initialisation by one's own rule."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    # ---- how it is shown ----------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands between the parentheses of this module's line; layers give their sizes."""
        return ""

    def _lines(self) -> list[str]:
        """One entry for each module directly inside, under each of its names."""
        inside = _found(self, "", once=False, deep=False)
        return [f"({name}): {indented(repr(each))}" for name, each in inside if isinstance(each, Module)]

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = self._lines()
        if not lines:
            return f"{type(self).__name__}({extra})"
        return "\n  ".join([f"{type(self).__name__}({extra}", *lines]) + "\n)"


def indented(text: str) -> str:
    """A module's text as a part of another's."""
    return text.replace("\n", "\n  ")


def _convert(tensor: ag.Tensor, dtype: np.dtype[Any]) -> None:
    """Give a leaf an array of another dtype; a history that has read the old one raises at backward."""
    node: Any = tensor._node
    tensor._data = node.array = tensor._data.astype(dtype)
    node.dtype = tensor._data.dtype
    node.when = tick()
    if node.grad is not None:
        node.grad = node.grad.astype(dtype)


def _found(
    module: Module, prefix: str, *, once: bool = True, deep: bool = True, transient: bool = True
) -> Iterator[tuple[str, Module | Parameter | Buffer]]:
    """The modules, parameters and buffers inside a module, with dotted names, in the order of the attributes.

    `once` leaves out what was found before under another name; without it only a module inside itself is left out.
    """
    seen = {id(module)}

    def search(members: Iterable[tuple[str, Any]], prefix: str, left_out: Any) -> Iterator[tuple[str, Any]]:
        for name, value in members:
            if isinstance(value, (Module, Parameter, Buffer)):
                if id(value) in seen or name in left_out:
                    continue
                if once or isinstance(value, Module):
                    seen.add(id(value))
                yield prefix + name, value
                if isinstance(value, Module) and deep:
                    yield from inside(value, f"{prefix}{name}.")
                if not once:
                    seen.discard(id(value))
            elif isinstance(value, (list, tuple, dict)) and id(value) not in seen:
                entries = value.items() if isinstance(value, dict) else enumerate(value)
                seen.add(id(value))
                yield from search(((str(key), each) for key, each in entries), f"{prefix}{name}.", ())
                seen.discard(id(value))

    def inside(module: Module, prefix: str) -> Iterator[tuple[str, Any]]:
        left_out = () if transient else module.__dict__.get("_transient", ())
        return search(module._members(), prefix, left_out)

    return inside(module, f"{prefix}." if prefix else "")
