"""Containers: modules in a row, in a list, in a dictionary.

    net = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))

Read next: `layers.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from autograd_lite.recording import thread
from autograd_lite.rows import Row

from .functional.dense import linear, linear_relu, linear_sigmoid, linear_tanh
from .layers import Linear, ReLU, Sigmoid, Tanh
from .modules import Module, indented


class _Row(Module):
    """Modules one after another, with the names '0', '1', ..."""

    def __init__(self, modules: Iterable[Module]) -> None:
        self.row: list[Module] = []
        for module in modules:
            self.append(module)

    def append(self, module: Module) -> Any:
        """Add a module at the end."""
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__}: {module!r} is no module; give nn.Tanh() and not np.tanh.")
        self.row.append(module)
        return self

    def extend(self, modules: Iterable[Module]) -> Any:
        """Add several modules at the end."""
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Any:
        """Put a module before the one at `index`."""
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__}: {module!r} is no module.")
        self.row.insert(index, module)
        return self

    def _members(self) -> Iterable[tuple[str, Any]]:
        return ((str(i), module) for i, module in enumerate(self.row))

    def __len__(self) -> int:
        return len(self.row)

    def __iter__(self) -> Iterator[Module]:
        return iter(self.row)

    def __getitem__(self, index: int | slice) -> Any:
        return type(self)(*self._as_arguments(self.row[index])) if isinstance(index, slice) else self.row[index]

    def __setitem__(self, index: int, module: Module) -> None:
        self.row[index] = module

    def __delitem__(self, index: int | slice) -> None:
        del self.row[index]

    def _as_arguments(self, modules: list[Module]) -> tuple[Any, ...]:
        return (modules,)


class Sequential(_Row):
    """Modules one after another: each takes the result of the one before. Takes modules, or one dict of them by name.

    >>> import numpy as np, nn
    >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    >>> net
    Sequential(
      (0): Linear(in_features=2, out_features=3, bias=True)
      (1): ReLU()
    )
    >>> net(np.ones((5, 2), np.float32)).shape
    (5, 3)
    """

    def __init__(self, *modules: Any) -> None:
        self.names: list[str] | None = None
        self._planned: list[Module] = []
        self._steps: list[Module | Row] = []
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            self.names = [str(name) for name in modules[0]]
            modules = tuple(modules[0].values())
        super().__init__(modules)

    def __call__(self, x: Any) -> Any:
        """Run `forward`, as every module does; with one argument alone a call costs less."""
        return self._call_in_scope((x,), {}) if thread.mode.precise else self.forward(x)

    def forward(self, x: Any) -> Any:
        """The last module's result. A Linear and the activation after it are recorded as one operation, except in a
        trace, which shows every module."""
        if thread.mode.precise:
            for module in self.row:
                x = module(x)
            return x
        if self._planned != self.row:
            self._planned, self._steps = list(self.row), _steps(self.row)
        for step in self._steps:
            if not isinstance(step, Row):
                x = step(x)
                continue
            y = step.record(x)
            if y is None:
                for link, layer in step.links:
                    x = link(x, layer.weight) if layer.bias is None else link(x, layer.weight, layer.bias)
            else:
                x = y
        return x

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_planned": [], "_steps": []}  # made again at the next call

    def _members(self) -> Iterable[tuple[str, Any]]:
        if self.names is None:
            return super()._members()
        rest = (str(i) for i in range(len(self.names), len(self.row)))
        return zip((*self.names, *rest), self.row, strict=True)

    def _as_arguments(self, modules: list[Module]) -> tuple[Any, ...]:
        return tuple(modules)

    def insert(self, index: int, module: Module) -> Any:
        """Put a module before the one at `index`; raises TypeError where modules have names of their own."""
        if self.names is not None:
            raise TypeError("Sequential.insert: these modules were given by name; build a new Sequential from a dict.")
        return super().insert(index, module)

    def __delitem__(self, index: int | slice) -> None:
        super().__delitem__(index)
        if self.names is not None:
            del self.names[index]

    def __getattr__(self, name: str) -> Any:
        """A module by the name that it was given."""
        names = self.__dict__.get("names") or ()
        if name in names:
            return self.row[names.index(name)]
        raise AttributeError(f"Sequential has no attribute {name!r}")


_ACTIVATED: dict[type, Any] = {Sigmoid: linear_sigmoid, Tanh: linear_tanh, ReLU: linear_relu}


def _steps(modules: list[Module]) -> list[Module | Row]:
    """What a Sequential calls: modules, and a Row in place of Linear layers that follow one another with their
    activations."""
    steps: list[Module | Row] = []
    links: list[tuple[Any, Linear]] = []
    for module in [*modules, None]:
        fused = _ACTIVATED.get(type(module))
        if type(module) is Linear:
            links.append((linear, module))
        elif fused is not None and links and links[-1][0] is linear:
            links[-1] = fused, links[-1][1]
        else:
            if links:
                steps.append(Row("nn.Sequential", links))
                links = []
            if module is not None:
                steps.append(module)
    return steps


class ModuleList(_Row):
    """A list of modules. An ordinary list as an attribute does as well; this one has torch's parameter names.

    >>> import nn
    >>> layers = nn.ModuleList([nn.Linear(2, 2) for _ in range(3)])
    >>> len(layers), [name for name, _ in layers.named_parameters()][:2]
    (3, ['0.weight', '0.bias'])
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__(modules)

    def _lines(self) -> list[str]:
        """Equal neighbours on one line: (0-2): 3 x Linear(...)."""
        lines = []
        first = 0
        for text, group in groupby(map(repr, self.row)):
            count = len(list(group))
            name = f"({first}): " if count == 1 else f"({first}-{first + count - 1}): {count} x "
            lines.append(name + indented(text))
            first += count
        return lines


class ModuleDict(Module):
    """A dictionary of modules by name.

    >>> import nn
    >>> heads = nn.ModuleDict({"digit": nn.Linear(8, 10), "parity": nn.Linear(8, 2)})
    >>> heads["parity"].out_features
    2
    """

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        self.table: dict[str, Module] = {}
        self.update(modules or {})

    def _members(self) -> Iterable[tuple[str, Any]]:
        return self.table.items()

    def __getitem__(self, name: str) -> Module:
        return self.table[name]

    def __setitem__(self, name: str, module: Module) -> None:
        if not isinstance(module, Module):
            raise TypeError(f"ModuleDict: {module!r} is no module.")
        self.table[str(name)] = module

    def __delitem__(self, name: str) -> None:
        del self.table[name]

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[str]:
        return iter(self.table)

    def __contains__(self, name: object) -> bool:
        return name in self.table

    def keys(self) -> Iterable[str]:
        """The names."""
        return self.table.keys()

    def values(self) -> Iterable[Module]:
        """The modules."""
        return self.table.values()

    def items(self) -> Iterable[tuple[str, Module]]:
        """The names with their modules."""
        return self.table.items()

    def update(self, modules: Mapping[str, Module]) -> None:
        """Add modules, replacing those of the same name."""
        for name, module in modules.items():
            self[name] = module
